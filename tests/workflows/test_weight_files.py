"""Files of weights: what is read, what is refused in plain words, and that none of them runs code, whoever loads it."""

import os
import pickle

import pytest
import torch
from monai.bundle import ConfigParser
from tests.bundle.running import BUNDLE

from scripts.inferers import load_ensemble
from scripts.inferers.ensemble import load_member
from scripts.networks import MultiTaskUNet
from scripts.workflows import RunError, check_embedding_stores, check_inference, check_training, load_weights
from scripts.workflows.export import export
from scripts.workflows.import_nnunet import import_nnunet
from scripts.workflows.weight_files import read_weights, state_dict_faults

TARGETS = {"sheet": {"channels": 1}}


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def network():
    return MultiTaskUNet(
        3, 1, TARGETS, patch_size=[16] * 3, features_per_stage=[4, 8], n_blocks_per_stage=[1, 1], decoder="shared"
    )


@pytest.fixture(params=["zip", "old", "pickle"])
def bomb(request, tmp_path):
    """A file that torch or pickle would blow up on, and the mark that it would leave."""
    path, mark = tmp_path / "model.pt", tmp_path / "mark"
    content = {"network": {"weight": torch.zeros(1)}, "extra": Bomb(mark)}
    if request.param == "pickle":
        path.write_bytes(pickle.dumps(Bomb(mark), protocol=2))  # the one that torch writes
    else:
        torch.save(content, path, _use_new_zipfile_serialization=request.param == "zip")
    return path, mark


def inference(path, **changes):
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "inference.json")
    small = {"patch_size": [16] * 3, "features_per_stage": [4, 8], "n_blocks_per_stage": [1, 1], "targets": TARGETS}
    parser.update({**small, "weights": path, "input": "/no/scan.zarr", **changes})
    return parser


LOADERS = {
    "read_weights": lambda path: read_weights(path),
    "load_weights": lambda path: load_weights(network(), path),
    "load_weights, partial": lambda path: load_weights(network(), path, partial=True),
    "ensemble": lambda path: load_ensemble(network(), [str(path)], TARGETS),
    "member": lambda path: load_member(network(), path),
    "embeddings": lambda path: check_embedding_stores([{"image": "x"}], path),
    "inference": lambda path: check_inference(inference(str(path))),
    "inference, several": lambda path: check_inference(inference([str(path), str(path)])),
    "export": lambda path: export(path.with_suffix(".ts"), weights=path),
    "nnunet": lambda path: import_nnunet(path, output_path=path.with_name("imported.pt")),
}


@pytest.mark.parametrize("loader", LOADERS)
def test_a_file_that_would_run_code_is_refused_in_plain_words(bomb, loader):
    path, mark = bomb
    with pytest.raises((ValueError, RunError)) as caught:
        LOADERS[loader](path)
    assert str(path) in str(caught.value)
    assert not mark.exists()
    assert len(str(caught.value)) < 1500


def test_the_bomb_would_go_off(tmp_path):
    torch.save(Bomb(tmp_path / "mark"), tmp_path / "model.pt")
    torch.load(tmp_path / "model.pt", weights_only=False)
    assert (tmp_path / "mark").is_dir()


@pytest.mark.parametrize("key", ["weights", "load_model"])
def test_a_training_refuses_it_before_anything_else(bomb, tmp_path, key):
    path, mark = bomb
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "train.json")
    folders = {"output_dir": str(tmp_path / "out"), "ckpt_dir": str(tmp_path / "ckpt"), "bundle_root": str(BUNDLE)}
    parser.update(folders)
    parser.update({"patch_size": [16] * 3, "features_per_stage": [4, 8], "n_blocks_per_stage": [1, 1], key: str(path)})
    faults = state_dict_faults(network(), path)
    assert len(faults) == 1
    assert str(path) in faults[0]
    with pytest.raises(RunError):
        check_training(parser)
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


def test_monais_own_loader_refuses_it_too(bomb):
    path, mark = bomb
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        torch.load(path, weights_only=True)
    from monai.handlers import CheckpointLoader

    loader = CheckpointLoader(str(path), {"network": network()}, map_location="cpu")
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        loader(None)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([torch.zeros(1)], "holds a list; expected tensors by name, bare or under 'network'"),
        ({"epoch": 3}, "holds other things than tensors, under epoch"),
        ({"network": 5}, "holds a int"),
    ],
)
def test_other_content_is_described(tmp_path, content, said):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=said):
        read_weights(tmp_path / "x.pt")


def test_broken_and_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"weights /no/x\.pt do not exist"):
        read_weights("/no/x.pt")
    torch.save({"a": torch.zeros(9)}, tmp_path / "x.pt")
    whole = (tmp_path / "x.pt").read_bytes()
    for cut in (0, 3, len(whole) // 2, len(whole) - 5):
        (tmp_path / "x.pt").write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"x\.pt is no weights file"):
            read_weights(tmp_path / "x.pt")
