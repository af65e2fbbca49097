"""A network that was exported to one file, as the inferers take it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..geometry import parse_targets
from .unet_plan import UNetPlan, check_patch_size

METADATA_FILE = "metadata.json"
"""Name in an exported file under which it says what it is; MONAI's name for it in TorchScript files."""

_SAFE_LOAD = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class ExportedNetwork(nn.Module):
    """A network from a TorchScript (`.ts`), `torch.export` (`.pt2`) or ONNX (`.onnx`) file, with one output per target.

    The file's one output holds the targets' channels one behind the other, as `PackedOutput` gives them. What
    `python -m scripts export` wrote also says which targets these are, and which sizes it takes; both are checked.

    Such a file is a program: load only those that you trust. Reading a `.pt2` file unpickles nothing but tensors.

    Args:
        path: the file. ONNX needs the package `onnxruntime`.
        targets: the `targets` table, in the order of the channels.
        device: where it computes; for ONNX that depends on the device's execution provider.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: for ONNX without `onnxruntime`.
        ValueError: for another kind of file, one that is not readable, and one that was exported with other targets.
    """

    file_hash: torch.Tensor

    def __init__(self, path: str | Path, targets: Mapping[str, Any], device: str | torch.device = "cpu") -> None:
        super().__init__()
        path = Path(path)
        if path.suffix not in EXPORT_SUFFIXES:
            raise ValueError(f"{path}: expected an exported network, {', '.join(EXPORT_SUFFIXES)}")
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist; write it with `python -m scripts export {path}`")
        self._given = (str(path), targets, device)
        self.targets = parse_targets(targets)
        self._run: Callable[..., torch.Tensor]
        self._run, metadata = _LOADERS[path.suffix](path, torch.device(device))
        self._check_targets(metadata.get("targets"))
        self.plan = UNetPlan(**metadata["plan"]) if metadata.get("plan") else None
        self._only_size = None if self.plan is not None else metadata.get("only_size")
        # a stream that is continued must have been begun with the same file
        digest = hashlib.sha256(path.read_bytes()).digest()
        self.register_buffer("file_hash", torch.frombuffer(bytearray(digest), dtype=torch.uint8))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Predict every target.

        Args:
            x: image, B C D H W (2D: B C H W).

        Returns:
            per target, in their order, logits B C D H W.

        Raises:
            ValueError: for a size that the network does not take, and where the file has another number of channels
                than the targets.
        """
        size = list(x.shape[2:])
        if self.plan is not None:
            check_patch_size(size, self.plan)
        if self._only_size is not None and size != self._only_size:
            raise ValueError(f"{self._path} was exported for windows of {self._only_size} alone, got {size}")
        packed = self._run(x.as_subclass(torch.Tensor))
        channels = self._channels
        if packed.shape[1] != sum(channels.values()):
            raise ValueError(
                f"{self._path} returns {packed.shape[1]} channels; expected {sum(channels.values())}, of the targets "
                f"{_listed(channels)}. Export the network with all of them: python -m scripts export"
            )
        return dict(zip(channels, packed.split(list(channels.values()), dim=1), strict=True))

    def train(self, mode: bool = True) -> ExportedNetwork:
        """Set the mode, which the exported network does not know: it predicts."""
        self.training = mode
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._given  # each process reads the file itself

    @property
    def _path(self) -> str:
        return self._given[0]

    @property
    def _channels(self) -> dict[str, int]:
        return {name: target.channels for name, target in self.targets.items()}

    def _check_targets(self, exported: Mapping[str, int] | None) -> None:
        if exported is not None and list(exported.items()) != list(self._channels.items()):
            raise ValueError(
                f"{self._path} was exported with the targets {_listed(exported)}; the config's are "
                f"{_listed(self._channels)}"
            )


def _torchscript(path: Path, device: torch.device) -> tuple[Callable[..., torch.Tensor], dict[str, Any]]:
    extra = {METADATA_FILE: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # MONAI Deploy and TensorRT live on these files
        try:
            module = torch.jit.load(path, map_location=device, _extra_files=extra)
        except RuntimeError as error:
            raise ValueError(f"{path} is no TorchScript file: {str(error).splitlines()[0]}") from error
    return module.eval(), json.loads(extra[METADATA_FILE] or "{}")


def _torch_export(path: Path, device: torch.device) -> tuple[Callable[..., torch.Tensor], dict[str, Any]]:
    from torch.export.passes import move_to_device_pass  # slow to import
    from torch.export.pt2_archive import PT2ArchiveReader, constants

    content = path.read_bytes()  # once, so that what is read is what was looked at
    try:
        names = PT2ArchiveReader(io.BytesIO(content)).get_file_names()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"{path} is no file of torch.export: {str(error).splitlines()[0]}") from error
    machine_code = constants.AOTINDUCTOR_DIR
    unpickled_unchecked = (constants.CUSTOM_OBJ_FILENAME_PREFIX, constants.OPAQUE_OBJ_FILENAME_PREFIX)
    refused = (machine_code, *(constants.CONSTANTS_DIR + prefix for prefix in unpickled_unchecked))
    if foreign := [name for name in names if any(part in name for part in refused)]:
        raise ValueError(
            f"{path} holds objects beyond tensors and a graph, which are not read: {', '.join(foreign[:3])}"
        )
    extra = {METADATA_FILE: "{}"}
    try:
        with _only_tensors_unpickled():
            program = torch.export.load(io.BytesIO(content), extra_files=extra)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} holds pickled objects other than tensors, which are not read") from error
    if device.type != "cpu":
        program = move_to_device_pass(program, device)
    return program.module(), json.loads(extra[METADATA_FILE])


def _onnx(path: Path, device: torch.device) -> tuple[Callable[..., torch.Tensor], dict[str, Any]]:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ImportError(f"{path}: ONNX files need onnxruntime: pip install 'polytome[export]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait would slow the others
    wanted = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise ValueError(f"device {device}: this onnxruntime has no {wanted}; install onnxruntime-gpu, or use the CPU")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[wanted])
    except Exception as error:  # its own classes, which derive from nothing narrower
        raise ValueError(f"{path} is no ONNX model that onnxruntime reads: {str(error).splitlines()[0]}") from error
    name = session.get_inputs()[0].name

    def run(x: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled(x.device.type):
            raise ValueError("precision: an ONNX file's number format is fixed when it is exported; use fp32")
        (packed,) = session.run(None, {name: x.detach().cpu().contiguous().numpy()})
        return torch.from_numpy(packed).to(x.device)

    return run, json.loads(session.get_modelmeta().custom_metadata_map.get(METADATA_FILE, "{}"))


@contextmanager
def _only_tensors_unpickled() -> Iterator[None]:
    """`torch.export.load` unpickles whatever a file holds, unless torch as a whole is told not to."""
    before = os.environ.get(_SAFE_LOAD)
    os.environ[_SAFE_LOAD] = "1"
    try:
        yield
    finally:
        del os.environ[_SAFE_LOAD]
        if before is not None:
            os.environ[_SAFE_LOAD] = before


def _listed(channels: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in channels.items())


_LOADERS = {".ts": _torchscript, ".pt2": _torch_export, ".onnx": _onnx}

EXPORT_SUFFIXES = tuple(_LOADERS)
