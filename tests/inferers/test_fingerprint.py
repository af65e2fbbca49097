"""Fingerprints of weights: what changes them, what does not, and what a store says about them."""

import hashlib

import numpy as np
import pytest
import torch
from tests.inferers.runs import TwoOutputs, make_volume

from scripts.inferers import ZarrSlidingWindowInferer, check_fingerprint, stored_fingerprint, weights_fingerprint
from scripts.volumes import create_ome_zarr


@pytest.fixture(scope="module")
def prediction(tmp_path_factory):
    """A store that inference wrote, and the network that it ran."""
    folder = tmp_path_factory.mktemp("run")
    volume = make_volume(folder / "in.zarr", np.random.default_rng(0).random((1, 12, 12, 12)).astype(np.float32))
    network = TwoOutputs()
    targets = {"sheet": {"channels": 1, "kind": "scalar"}, "normals": {"channels": 3, "kind": "scalar"}}
    inferer = ZarrSlidingWindowInferer((8, 8, 8), 2, output=str(folder / "out.zarr"), targets=targets, progress=False)
    return inferer(volume, network)["sheet"], network


def by_hand(state):
    text = b"".join(
        f"{name} {tuple(value.shape)} torch.{value.dtype}".encode() + value.tobytes()
        for name, value in sorted(state.items())
    )
    return hashlib.sha256(text).hexdigest()[:16]


def test_it_is_a_hash_of_names_shapes_types_and_values():
    state = {"b.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array(5, np.int64)}
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
    assert weights_fingerprint(tensors) == by_hand(state)
    turned = {**tensors, "b.weight": tensors["b.weight"].T.contiguous().T}
    assert weights_fingerprint(dict(reversed(turned.items()))) == by_hand(state)
    for other in (
        {**tensors, "a": torch.tensor(6)},
        {**tensors, "a": torch.tensor(5, dtype=torch.int32)},
        {**tensors, "b.weight": tensors["b.weight"].reshape(3, 2)},
        {"b.weight": tensors["b.weight"], "c": tensors["a"]},
        {"a": tensors["a"]},
    ):
        assert weights_fingerprint(other) != by_hand(state)


def test_a_part_of_a_network_has_the_fingerprint_of_that_part():
    base = torch.nn.Conv3d(1, 2, 3)
    whole = torch.nn.ModuleDict({"base": base, "projection": torch.nn.Conv3d(2, 2, 1)})
    assert weights_fingerprint(whole) != weights_fingerprint(base)
    assert weights_fingerprint(whole.state_dict(), "base.") == weights_fingerprint(base.state_dict())
    with pytest.raises(ValueError, match=r"no weight's name begins with 'bass\.'; the names are base\.weight"):
        weights_fingerprint(whole, "bass.")


def test_a_prediction_says_which_weights_made_it(prediction):
    path, network = prediction
    expected = weights_fingerprint(network.state_dict())
    for place in (path, f"{path}/0", f"{path}::0", path.rpartition("/")[0]):
        assert stored_fingerprint(place) == expected
        check_fingerprint(place, expected)


def test_a_prediction_of_other_weights_is_refused(prediction):
    path, network = prediction
    with torch.no_grad():
        changed = {name: value.clone() for name, value in network.state_dict().items()}
        changed["layer.bias"][-1] += 1e-6
    expected, found = weights_fingerprint(changed), weights_fingerprint(network)
    said = rf"{path} was made with other weights: its fingerprint is {found}, that of new\.pt is {expected}\. Make it"
    with pytest.raises(ValueError, match=said):
        check_fingerprint(path, expected, "new.pt")


def test_a_store_that_says_nothing_is_refused(tmp_path):
    create_ome_zarr(
        tmp_path / "raw.zarr", (1, 4, 4, 4), "uint8", spacing=(1, 1, 1), attributes={"polytome": {"scale": 2.0}}
    )
    for path in (str(tmp_path / "raw.zarr"), str(tmp_path / "raw.zarr/0"), str(tmp_path / "none.zarr")):
        assert stored_fingerprint(path) is None
        with pytest.raises(ValueError, match=r"do not say with which weights it was made; .* \(fingerprint abc\)"):
            check_fingerprint(path, "abc")
