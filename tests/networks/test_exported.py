"""Networks read from exported files, with foreign and hostile files; what the files hold is checked by test_export."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor, save_net_with_metadata
from torch import nn

from scripts.inferers import weights_fingerprint
from scripts.networks import ExportedNetwork

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}


class Scaled(nn.Module):
    """Four channels: the image times 1, 2, 3, 4."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factors = nn.Parameter(factor * torch.arange(1.0, 5.0).reshape(1, 4, 1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factors


def write(path: Path, factor: float = 1.0, **metadata: object) -> Path:
    network, example = Scaled(factor).eval(), torch.zeros(2, 1, 4, 4, 4)
    if path.suffix == ".pt2":
        free = dict.fromkeys((0, 2, 3, 4), torch.export.Dim.DYNAMIC)
        torch.export.save(torch.export.export(network, (example,), dynamic_shapes=(free,)), path)
    else:
        save_net_with_metadata(torch.jit.trace(network, example), str(path), meta_values=metadata)
    return path


pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.mark.parametrize("suffix", [".ts", ".pt2"])
def test_channels_are_dealt_out_to_the_targets_in_their_order(tmp_path, suffix):
    network = ExportedNetwork(write(tmp_path / f"model{suffix}"), TARGETS).eval()
    x = torch.randn(3, 1, 4, 6, 8)
    with torch.no_grad():
        outputs = network(x)
    assert list(outputs) == ["sheet", "normals"]
    assert torch.equal(outputs["sheet"], x)
    assert torch.equal(outputs["normals"], torch.cat([2 * x, 3 * x, 4 * x], dim=1))


def test_a_tensor_with_meta_data_is_a_tensor_like_any_other(tmp_path):
    network = ExportedNetwork(write(tmp_path / "model.ts"), TARGETS)
    x = torch.randn(2, 1, 4, 4, 4)
    assert torch.equal(network(MetaTensor(x))["sheet"], x)


def test_the_mode_is_no_matter_of_the_file(tmp_path):
    network = ExportedNetwork(write(tmp_path / "model.pt2"), TARGETS)
    assert network.train().training
    assert not network.eval().training


@pytest.mark.parametrize("suffix", [".ts", ".pt2"])
def test_a_process_that_is_handed_the_network_reads_the_file(tmp_path, suffix):
    network = ExportedNetwork(write(tmp_path / f"model{suffix}"), TARGETS)
    x = torch.randn(2, 1, 4, 4, 4)
    with torch.no_grad():
        assert torch.equal(pickle.loads(pickle.dumps(network))(x)["normals"], network(x)["normals"])


def test_files_of_other_weights_have_other_fingerprints(tmp_path):
    one, other = (ExportedNetwork(write(tmp_path / f"{factor}.ts", factor), TARGETS) for factor in (1.0, 2.0))
    assert weights_fingerprint(one) == weights_fingerprint(ExportedNetwork(tmp_path / "1.0.ts", TARGETS))
    assert weights_fingerprint(one) != weights_fingerprint(other)


def test_a_file_of_other_targets_is_refused(tmp_path):
    path = write(tmp_path / "model.ts", targets={"normals": 3, "sheet": 1})
    with pytest.raises(ValueError, match=r"normals \(3\), sheet \(1\); the config's are sheet \(1\), normals \(3\)"):
        ExportedNetwork(path, TARGETS)


def test_a_file_of_other_channels_is_refused_with_the_first_image(tmp_path):
    network = ExportedNetwork(write(tmp_path / "model.ts"), {"sheet": {"channels": 1}})
    with pytest.raises(ValueError, match=r"returns 4 channels; expected 1, of the targets sheet \(1\)"):
        network(torch.zeros(2, 1, 4, 4, 4))


def test_sizes_that_the_network_did_not_take_are_refused(tmp_path):
    plan = {"patch_size": [8] * 3, "strides": [1, 2], "kernel_sizes": [3, 3]}
    plan |= {"features_per_stage": [4, 8], "n_blocks_per_stage": [1, 1], "n_conv_per_stage_decoder": [1]}
    planned = ExportedNetwork(write(tmp_path / "planned.ts", plan=plan), TARGETS)
    with pytest.raises(ValueError, match="axis y has 5 voxels, which 2 does not divide"):
        planned(torch.zeros(2, 1, 4, 5, 4))
    fixed = ExportedNetwork(write(tmp_path / "fixed.ts", only_size=[4, 4, 4]), TARGETS)
    with pytest.raises(ValueError, match=r"windows of \[4, 4, 4\] alone, got \[4, 4, 6\]"):
        fixed(torch.zeros(2, 1, 4, 4, 6))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("model.pt", ValueError, r"model\.pt: expected an exported network, \.ts, \.pt2, \.onnx"),
        ("missing.ts", FileNotFoundError, r"missing\.ts does not exist; write it with `python -m scripts export"),
        ("text.ts", ValueError, r"text\.ts is no TorchScript file"),
        ("text.pt2", ValueError, r"text\.pt2 is no file of torch\.export"),
    ],
)
def test_what_is_no_exported_network_is_said(tmp_path, name, error, message):
    if not name.startswith("missing"):
        (tmp_path / name).write_text("no network")
    with pytest.raises(error, match=message):
        ExportedNetwork(tmp_path / name, TARGETS)


class Harmful:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def _replaced(path: Path, end: str, content: bytes) -> Path:
    """The archive with the content of the record whose name ends so replaced, or with a new record."""
    changed = path.with_name("changed.pt2")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_STORED) as new:
        names = [info.filename for info in old.infolist()]
        for name in names:
            new.writestr(name, content if name.endswith(end) else old.read(name))
        if not any(name.endswith(end) for name in names):
            new.writestr(f"{names[0].split('/')[0]}/{end}", content)
    return changed


def test_objects_in_a_pt2_file_are_not_unpickled(tmp_path):
    buffer = io.BytesIO()
    torch.save(Harmful(tmp_path / "harm"), buffer)
    path = _replaced(write(tmp_path / "model.pt2"), "sample_inputs/model.pt", buffer.getvalue())
    with pytest.raises(ValueError, match="holds pickled objects other than tensors, which are not read"):
        ExportedNetwork(path, TARGETS)
    assert not (tmp_path / "harm").exists()
    torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    assert (tmp_path / "harm").exists()  # which torch.load alone would have done


@pytest.mark.parametrize(
    "record", ["data/constants/opaque_obj_0", "data/constants/custom_obj_0", "data/aotinductor/model/model.so"]
)
def test_records_of_a_pt2_file_that_nothing_guards_are_not_read(tmp_path, record):
    path = _replaced(write(tmp_path / "model.pt2"), record, pickle.dumps(Harmful(tmp_path / "harm")))
    with pytest.raises(ValueError, match=f"objects beyond tensors and a graph, which are not read: {record}"):
        ExportedNetwork(path, TARGETS)
    assert not (tmp_path / "harm").exists()


def test_onnx_without_onnxruntime_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ImportError, match=r"ONNX files need onnxruntime: pip install 'polytome\[export\]'"):
        ExportedNetwork(tmp_path / "model.onnx", TARGETS)
