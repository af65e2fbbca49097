"""Drawing and applying at once: the same for one array as for a sample, and nothing where nothing is drawn."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.transforms import ApplySpatiald, RandSpatial, RandSpatiald, RandSpatialDraw

TARGETS = {"organ": {"channels": 3}, "flow": {"channels": 3, "kind": "vector"}}
KEYS = ["image", "organ", "flow"]


def sample(seed=0):
    generator = torch.Generator().manual_seed(seed)
    image, flow = (torch.randn(n, 9, 10, 11, generator=generator) for n in (2, 3))
    return {"image": image, "organ": torch.randint(0, 3, (1, 9, 10, 11), generator=generator), "flow": flow}


def always(**options):
    return RandSpatialDraw(1, 30, 1, prob_elastic=1, **options)


@pytest.mark.parametrize("in_plane", [False, True])
def test_an_array_by_itself_is_moved_as_in_a_sample(in_plane):
    together = RandSpatiald(KEYS, TARGETS, always(in_plane=in_plane)).set_random_state(4)(sample())
    for key, kind in zip(KEYS, ("image", "label", "vector"), strict=True):
        alone = RandSpatial(kind, always(in_plane=in_plane)).set_random_state(4)(sample()[key])
        assert torch.equal(alone.as_tensor().nan_to_num(9), together[key].as_tensor().nan_to_num(9))
        assert not torch.equal(alone.as_tensor().float(), sample()[key].float())


def test_drawing_and_applying_are_what_is_done():
    draw = always()
    draw.set_random_state(9)
    draw.randomize()
    expected = ApplySpatiald(KEYS, TARGETS, label_mode="one_hot")({**sample(), "spatial": draw.drawn})
    found = RandSpatiald(KEYS, TARGETS, always(), label_mode="one_hot").set_random_state(9)(sample())
    for key in KEYS:
        assert torch.equal(found[key].as_tensor().nan_to_num(9), expected[key].as_tensor().nan_to_num(9))


def test_the_seed_repeats_the_sample():
    transform = RandSpatiald(KEYS, TARGETS, RandSpatialDraw(0.5, 30, 0.5, prob_elastic=0.5))
    for seed in range(6):
        first = transform.set_random_state(seed)(sample())
        transform(sample(1))  # what came before does not matter
        again = transform.set_random_state(seed)(sample())
        for key in KEYS:
            assert torch.equal(first[key].as_tensor().nan_to_num(9), again[key].as_tensor().nan_to_num(9))


def test_where_nothing_is_drawn_nothing_is_resampled():
    given = {key: MetaTensor(value) for key, value in sample().items()}
    transform = RandSpatiald(KEYS, TARGETS, RandSpatialDraw(0, 30, 0))
    out = transform(given)
    for key in KEYS:
        assert out[key].data_ptr() == given[key].data_ptr()
        assert torch.equal(out[key].affine, torch.eye(4, dtype=torch.float64))


def test_a_repeated_call_keeps_the_draw_when_asked():
    transform = RandSpatial("image", always()).set_random_state(0)
    image = sample()["image"]
    first = transform(image)
    assert torch.equal(first.as_tensor(), transform(image, randomize=False).as_tensor())
    assert not torch.equal(first.as_tensor(), transform(image).as_tensor())


def test_the_spacing_of_any_affine_counts():
    """A sphere of 12 units in voxels of 3 x 1 x 1 is one still, seen from elsewhere."""
    index = np.stack(np.meshgrid(np.arange(15), np.arange(45), np.arange(45), indexing="ij"))
    offset = (index - np.array([7, 22, 22]).reshape(3, 1, 1, 1)) * np.array([3.0, 1, 1]).reshape(3, 1, 1, 1)
    radius = torch.from_numpy(np.linalg.norm(offset, axis=0)[None]).float()
    affine = torch.diag(torch.tensor([3.0, 1, 1, 1], dtype=torch.float64))
    draw = RandSpatialDraw(1, 30, 0)
    out = RandSpatial("image", draw).set_random_state(3)(MetaTensor(radius, affine=affine))
    compared = (radius > 9) & (radius < 18)
    assert float((out.as_tensor() - radius).abs()[compared].max()) < 0.3
    as_if_cubic = RandSpatial("image", draw).set_random_state(3)(radius)
    assert float((as_if_cubic.as_tensor() - radius).abs()[compared].max()) > 3


def test_an_unknown_kind():
    with pytest.raises(ValueError, match=r"kind must be one of image, mask, label.*got 'img'"):
        RandSpatial("img")
