"""The closed-form head from a store of embeddings and a file of points, against NumPy over the whole region."""

import logging

import numpy as np
import pytest
import torch

from scripts.networks import HeadNetwork, discriminant_weights
from scripts.volumes import Point, create_ome_zarr, write_points
from scripts.workflows import fit_discriminant_head

SHAPE, REGION = (12, 16, 20), [[0, 0, 0], [8, 16, 20]]
TARGETS = {"cell": {"channels": 2}}


@pytest.fixture
def row(tmp_path):
    """Five features, of which the first tells the class; beyond the region they have another spread."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, SHAPE)
    features = rng.normal(size=(5, *SHAPE)) * np.array([0.15, 1, 1, 1, 1])[:, None, None, None]
    features[0] += truth
    features[1:, 8:] *= 9
    features = features.astype(np.float32)
    writer = create_ome_zarr(tmp_path / "e.zarr", features.shape, "float32", spacing=(1, 1, 1), chunks=(4, 8, 8))
    writer.write((0, 0, 0), features)
    chosen = [
        Point(int(z), int(y), int(x), int(truth[z, y, x]))
        for k in (0, 1)
        for z, y, x in np.argwhere(truth[:8] == k)[[7, 90, 200, 300, 450, 600, 800, 1000]]
    ]
    write_points(tmp_path / "points.csv", chosen)
    row = {"image": str(tmp_path / "e.zarr"), "points": str(tmp_path / "points.csv"), "region": REGION}
    return row, features, truth, chosen


def network(targets=TARGETS, **options):
    return HeadNetwork(targets, in_channels=5, **{"head": "linear", **options})


@pytest.mark.parametrize("shrinkage", [0.0, 0.4, None])
def test_weights_are_those_of_the_region(row, tmp_path, caplog, shrinkage):
    volume, features, truth, chosen = row
    head = network()
    with caplog.at_level(logging.INFO):
        fit_discriminant_head(
            head, [volume, {**volume, "split": "val"}], tmp_path / "m" / "model.pt", shrinkage=shrinkage
        )
    vectors = torch.from_numpy(np.array([features[:, p.z, p.y, p.x] for p in chosen]))
    covariance = torch.from_numpy(np.cov(features[:, :8].reshape(5, -1).astype(np.float64)))
    labels = torch.tensor([p.label for p in chosen])
    weight, bias = discriminant_weights(vectors, labels, covariance, 2, shrinkage)
    torch.testing.assert_close(head.heads["cell"].weight.data, weight, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(head.heads["cell"].bias.data, bias, rtol=1e-3, atol=1e-4)
    again = network()
    again.load_state_dict(torch.load(tmp_path / "m" / "model.pt", weights_only=True))
    found = again(torch.from_numpy(features[None, :, :8]))["cell"].argmax(dim=1)[0].numpy()
    assert (found == truth[:8]).mean() > (0.85 if shrinkage == 0 else 0.6)
    assert "16 points of 2 classes, with the covariance of 2560 voxels" in caplog.text


def test_a_part_of_the_voxels_tells_nearly_the_same(row, tmp_path):
    volume, *_ = row
    weights = []
    for n_voxels, seed in ((10**6, 0), (800, 0), (800, 1)):
        head = network()
        fit_discriminant_head(head, [volume], tmp_path / "model.pt", n_voxels=n_voxels, seed=seed)
        weights.append(head.heads["cell"].weight.detach()[1] - head.heads["cell"].weight.detach()[0])
    for other in weights[1:]:
        assert not torch.equal(weights[0], other)
        assert torch.nn.functional.cosine_similarity(weights[0], other, dim=0) > 0.99


def test_one_channel_is_the_difference_of_two(row, tmp_path):
    volume, features, *_ = row
    two, one = network(), network({"cell": {"channels": 1}})
    for head in (two, one):
        fit_discriminant_head(head, [volume], tmp_path / "model.pt")
    x = torch.from_numpy(features[None])
    logits = two(x)["cell"]
    torch.testing.assert_close(one(x)["cell"], logits[:, 1:] - logits[:, :1], rtol=1e-3, atol=1e-3)


def test_what_does_not_fit_is_named(row, tmp_path):
    volume, *_, chosen = row
    path = tmp_path / "model.pt"
    with pytest.raises(
        ValueError, match="target 'cell': expected a label and a head 'linear'; got kind 'label' and Sp"
    ):
        fit_discriminant_head(network(head="sparse"), [volume], path)
    with pytest.raises(ValueError, match="expected a head without base, for one target"):
        fit_discriminant_head(network({"a": {"channels": 2}, "b": {"channels": 2}}), [volume], path)
    with pytest.raises(ValueError, match="no row that trains has 'points'"):
        fit_discriminant_head(network(), [{**volume, "split": "val"}], path)
    write_points(volume["points"], [p for p in chosen if p.label == 0])
    with pytest.raises(ValueError, match="no annotated point of class 1 of 2"):
        fit_discriminant_head(network(), [volume], path)
    assert not path.exists()
