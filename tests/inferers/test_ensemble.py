"""Means of members by hand, and members from files."""

import pickle

import pytest
import torch
from torch import nn

from scripts.geometry import Kind
from scripts.inferers.ensemble import Ensemble, load_ensemble

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}


class Heads(nn.Module):
    """A 1x1x1 convolution per target, and one that is no target."""

    def __init__(self, seed=0, channels=3):
        super().__init__()
        torch.manual_seed(seed)
        self.sheet, self.normals, self.rest = nn.Conv3d(1, 1, 1), nn.Conv3d(1, channels, 1), nn.Conv3d(1, 2, 1)

    def forward(self, x):
        return {"normals": self.normals(x), "rest": self.rest(x), "sheet": self.sheet(x)}


@pytest.fixture
def windows():
    return torch.randn(2, 1, 3, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def files(tmp_path):
    """A bare state dictionary and a training checkpoint."""
    paths = [tmp_path / "bare.pt", tmp_path / "checkpoint.pt"]
    torch.save(Heads(1).state_dict(), paths[0])
    torch.save({"network": Heads(2).state_dict(), "trainer": {"epoch": 3}}, paths[1])
    return paths


def test_the_output_is_the_mean_of_the_members_raw_outputs(windows):
    members = [Heads(seed) for seed in range(3)]
    with torch.no_grad():
        out = Ensemble(members, TARGETS)(windows)
        assert list(out) == ["sheet", "normals"]
        for name, value in out.items():
            expected = (members[0](windows)[name] + members[1](windows)[name] + members[2](windows)[name]) / 3
            torch.testing.assert_close(value, expected)


def test_disagreement_has_an_output_and_a_row_for_each_target(windows):
    ensemble = Ensemble([Heads(1), Heads(2)], TARGETS, disagreement=True)
    names = ["sheet", "normals", "sheet_disagreement", "normals_disagreement"]
    with torch.no_grad():
        out = ensemble(windows)
        first, second = (member(windows) for member in ensemble.members)
    assert list(out) == list(ensemble.targets) == names
    assert ensemble.targets["sheet_disagreement"].kind is Kind.SCALAR
    # of two members: a quarter of the squared difference, half of the angle between them
    difference = torch.sigmoid(first["sheet"]) - torch.sigmoid(second["sheet"])
    torch.testing.assert_close(out["sheet_disagreement"], difference.square() / 4)
    cosine = torch.nn.functional.cosine_similarity(first["normals"].double(), second["normals"].double(), dim=1)
    angle = torch.rad2deg(cosine.acos())[:, None].float()
    torch.testing.assert_close(out["normals_disagreement"], angle / 2, rtol=1e-4, atol=1e-3)


def test_without_disagreement_the_targets_are_the_members(windows):
    ensemble = Ensemble([Heads()], {"sheet": TARGETS["sheet"]})
    assert list(ensemble.targets) == list(ensemble(windows)) == ["sheet"]


def test_members_that_hand_out_their_own_tensors_keep_them(windows):
    class Constant(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = torch.full((2, 1, 3, 4, 5), value)

        def forward(self, x):
            return {"height": self.value}

    ensemble = Ensemble(
        [Constant(1.0), Constant(3.0)], {"height": {"channels": 1, "kind": "scalar"}}, disagreement=True
    )
    for _ in range(2):
        out = ensemble(windows)
        assert out["height"].unique().tolist() == [2.0]
        assert out["height_disagreement"].unique().tolist() == [1.0]


def test_the_mode_is_that_of_the_members():
    assert not Ensemble([Heads().eval(), Heads().eval()], TARGETS).training
    assert Ensemble([Heads().eval(), Heads()], TARGETS).training


def test_it_travels_to_other_processes(windows):
    ensemble = Ensemble([Heads(1), Heads(2)], TARGETS, disagreement=True)
    there = pickle.loads(pickle.dumps(ensemble))
    for name, value in ensemble(windows).items():
        torch.testing.assert_close(there(windows)[name], value, rtol=0, atol=0)


def test_members_come_from_bare_weights_and_from_checkpoints(files, windows):
    network = Heads(0).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    ensemble = load_ensemble(network, files, TARGETS, disagreement=True)
    for loaded, seed in zip(ensemble.members, (1, 2), strict=True):
        torch.testing.assert_close(dict(loaded.state_dict()), dict(Heads(seed).state_dict()), rtol=0, atol=0)
        assert not loaded.training
    assert "sheet_disagreement" in ensemble.targets
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def test_the_state_dictionary_tells_every_member(files):
    one, other = (load_ensemble(Heads(), paths, TARGETS) for paths in (files, [files[0], files[0]]))
    assert len(one.state_dict()) == 2 * len(Heads().state_dict())
    assert not torch.equal(one.state_dict()["members.1.sheet.weight"], other.state_dict()["members.1.sheet.weight"])


@pytest.mark.parametrize(
    ("networks", "disagreement", "message"),
    [
        ([], False, r"an ensemble needs at least 1 network; got 0"),
        ([Heads()], True, r"an ensemble with disagreement needs at least 2 networks; got 1"),
    ],
)
def test_too_few_members(networks, disagreement, message):
    with pytest.raises(ValueError, match=message):
        Ensemble(networks, TARGETS, disagreement=disagreement)


def test_a_member_of_other_channels_is_refused(windows):
    with pytest.raises(ValueError, match=r"output 'normals' has shape \(2, 2, 3, 4, 5\), expected \(2, 3, 3, 4, 5\)"):
        Ensemble([Heads(), Heads(channels=2)], TARGETS)(windows)


def test_files_that_hold_no_fitting_weights(files, tmp_path):
    network = Heads()
    with pytest.raises(TypeError, match=r"paths must be a list of files, one for each member; got '.*bare.pt'"):
        load_ensemble(network, files[0], TARGETS)
    with pytest.raises(FileNotFoundError, match=r"the ensemble's weights .*third.pt do not exist"):
        load_ensemble(network, [*files, tmp_path / "third.pt"], TARGETS)
    with pytest.raises(
        ValueError, match=r"(?s)bare.pt does not hold this network's weights.*size mismatch for normals"
    ):
        load_ensemble(Heads(channels=2), files, TARGETS)
    torn = tmp_path / "torn.pt"
    torn.write_bytes(files[0].read_bytes()[:500])
    with pytest.raises(ValueError, match=r"torn.pt does not hold this network's weights"):
        load_ensemble(network, [torn], TARGETS)
    text = tmp_path / "text.pt"
    text.write_text("no weights")
    with pytest.raises(ValueError, match=r"text.pt holds no weights that torch reads safely; give a saved state"):
        load_ensemble(network, [text], TARGETS)
