"""MONAI's sliding-window inferer, which streams when it is given a volume instead of a tensor."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.utils import compute_importance_map
from monai.inferers import SlidingWindowInferer
from monai.utils import ensure_tuple_rep

from ..geometry import Target, parse_targets
from ..volumes import Volume
from .outputs import OutputFormat, channel_slices, finalise, output_format, raw_format
from .store import PredictionStore
from .streaming import Totals, WindowStream
from .sums import Chunk, ChunkSums
from .window_transform import WindowTransform, bound, describe, is_bindable, transformed
from .windows import WindowGrid, window_grid

logger = logging.getLogger(__name__)

ARRAY_CHUNK = 96
"""Voxels along each axis of an output chunk, unless given."""


class ZarrSlidingWindowInferer(SlidingWindowInferer):
    """Sliding-window inference for tensors in memory and, window by window, for volumes of any size.

    Given a tensor B C D H W it does what MONAI's `SlidingWindowInferer` does. Given a `Volume` it reads windows from
    the store, adds up their weighted predictions per output chunk, and writes each chunk to OME-Zarr as soon as its
    last window is in: one multiscale image per target under `<output>/<target>`, with the input's geometry. Both give
    the same values to float32 rounding (with `skip_empty` false).

    Args:
        roi_size: window, voxels z, y, x, or one number for all.
        sw_batch_size: windows evaluated together.
        overlap: share of a window that its neighbour covers too, one number or one per axis.
        mode: "gaussian" or "constant" weights.
        sigma_scale: width of the Gaussian as a share of the window.
        output: the zarr group to write, `.zarr` is added where it lacks; `{name}` in it becomes the volume's name.
            Needed for volumes only.
        targets: the `targets` table; `None`: that of the network (`network.targets`).
        output_targets: which targets are written; `None`: all.
        window_transform: applied to each window C D H W (float32) before the network, such as `NormalizeImage()`; the
            same as in training. One that has a method `bind` is first bound to the image as a whole.
        activate: whether to write what the targets' kinds say (see `output_format`); false writes the network's
            output as float32.
        class_output: "argmax" or "probabilities", for labels of several classes.
        float_dtype: "float32" or "float16", for scalars and vectors.
        levels: pyramid levels; `None`: until the longest axis is short.
        chunk_size: z, y, x of an output chunk.
        skip_empty: leave out windows that hold nothing but the store's fill value; voxels no window covers become 0.
        memory_limit: bytes of open output chunks; beyond it they move to `scratch`. `None`: no limit.
        scratch: folder for those; `None`: the system's.
        resume: go on with an unfinished run of the same settings in `output`; false: refuse an output that exists.
        overwrite: replace an output that exists.
        sw_device: device of the network; `None`: that of its parameters.
        kwargs: further arguments of MONAI's inferer, which concern tensors alone.

    Raises:
        ValueError: if the network's outputs are not those of `targets`, if an argument is out of range, or if `output`
            holds a run with other settings.
        FileExistsError: if `output` exists and is something else.
    """

    def __init__(
        self,
        roi_size: Sequence[int] | int,
        sw_batch_size: int = 1,
        overlap: Sequence[float] | float = 0.25,
        mode: str = "gaussian",
        sigma_scale: Sequence[float] | float = 0.125,
        *,
        output: str | Path | None = None,
        targets: Mapping[str, Any] | None = None,
        output_targets: Sequence[str] | None = None,
        window_transform: WindowTransform | None = None,
        activate: bool = True,
        class_output: str = "argmax",
        float_dtype: str = "float32",
        levels: int | None = None,
        chunk_size: Sequence[int] | int = ARRAY_CHUNK,
        skip_empty: bool = True,
        memory_limit: int | None = None,
        scratch: str | Path | None = None,
        resume: bool = True,
        overwrite: bool = False,
        sw_device: torch.device | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            roi_size,
            sw_batch_size,
            overlap,
            mode,
            sigma_scale,
            sw_device=sw_device,
            **kwargs,
        )
        self.window_size = tuple(int(n) for n in ensure_tuple_rep(roi_size, 3))
        self.output = output
        self.targets = None if targets is None else parse_targets(targets)
        self.output_targets = None if output_targets is None else list(output_targets)
        self.window_transform = window_transform
        self.activate = activate
        self.class_output = class_output
        self.float_dtype = float_dtype
        self.levels = levels
        self.chunk_size = tuple(ensure_tuple_rep(chunk_size, 3))
        self.skip_empty = skip_empty
        self.memory_limit = memory_limit
        self.scratch = scratch
        self.resume = resume
        self.overwrite = overwrite
        self.totals = Totals()

    def __call__(self, inputs: torch.Tensor | Volume, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """
        Args:
            inputs: tensor B C D H W, or a volume to stream.
            network: returns a dictionary target -> B C D H W of network output.

        Returns:
            for a tensor what MONAI returns; for a volume the path of the array written for each target.
        """
        if isinstance(inputs, Volume):
            return self._stream(inputs, network)
        if is_bindable(self.window_transform) and len(inputs) > 1:  # each image by its own statistics
            parts = [self(image[None], network, *args, **kwargs) for image in inputs]
            return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        transform = bound(self.window_transform, inputs[0])
        return super().__call__(inputs, lambda x, *a, **k: network(transformed(x, transform), *a, **k), *args, **kwargs)

    def _stream(self, volume: Volume, network: Callable[..., Any]) -> dict[str, str]:
        targets = self._written_targets(network)
        transform = bound(self.window_transform, volume)
        formats = {
            name: output_format(target, class_output=self.class_output, float_dtype=self.float_dtype)
            if self.activate
            else raw_format(target.channels)
            for name, target in targets.items()
        }
        grid = window_grid(volume.spatial_shape, self.window_size, ensure_tuple_rep(self.overlap, 3))
        store = PredictionStore(
            self._output_path(volume),
            volume,
            formats,
            self._header(volume, network, grid, formats, transform),
            chunk_size=self.chunk_size,
            levels=self.levels,
            resume=self.resume,
            overwrite=self.overwrite,
        )
        if not store.journal.is_complete:
            self._fill(store, volume, network, targets, formats, grid, transform)
        return store.paths

    def _fill(
        self,
        store: PredictionStore,
        volume: Volume,
        network: Callable[..., Any],
        targets: Mapping[str, Target],
        formats: Mapping[str, OutputFormat],
        grid: WindowGrid,
        transform: WindowTransform | None,
    ) -> None:
        slices = channel_slices([target.channels for target in targets.values()])

        def write(chunk: Chunk, sums: np.ndarray, weights: np.ndarray) -> None:
            covered = weights > 0
            mean = sums / np.where(covered, weights, 1)  # C D H W
            for (name, target), part in zip(targets.items(), slices, strict=True):
                values = finalise(mean[part], covered, target, formats[name]) if self.activate else mean[part]
                store.write(name, chunks.chunk_box(chunk)[0], values)
            store.journal.finish_chunk(chunk)

        channels = sum(target.channels for target in targets.values())
        with ChunkSums(
            grid, self.chunk_size, channels, self.memory_limit, self.scratch, store.journal.finished
        ) as chunks:
            stream = WindowStream(
                volume=volume,
                predict=lambda windows: self._predict(windows, network, targets, transform),
                sums=chunks,
                weight=self._weight(),
                write=write,
                batch_size=self.sw_batch_size,
                skip_empty=self.skip_empty,
            )
            self.totals = stream.run()
        store.finish()
        logger.info("%s -> %s: %s", volume.path, store.path, self.totals)

    def _predict(
        self,
        windows: np.ndarray,
        network: Callable[..., Any],
        targets: Mapping[str, Target],
        transform: WindowTransform | None,
    ) -> np.ndarray:
        """Windows B C D H W as stored -> the written targets' output, concatenated: B K D H W float32."""
        inputs = transformed(torch.from_numpy(windows.astype(np.float32)), transform)
        with torch.no_grad():
            outputs = network(inputs.to(_device(network, self.sw_device)))
        _check_outputs(outputs, targets, inputs.shape)
        return torch.cat([outputs[name].float() for name in targets], dim=1).cpu().numpy()  # B C D H W -> B K D H W

    def _weight(self) -> np.ndarray:
        weight = compute_importance_map(
            self.window_size, mode=self.mode, sigma_scale=self.sigma_scale, dtype=torch.float32
        )
        return weight.numpy()

    def _written_targets(self, network: Callable[..., Any]) -> dict[str, Target]:
        table = self.targets or getattr(network, "targets", None)
        if not table:
            raise ValueError(
                "a volume needs 'targets', which say what the network's outputs are; the network names none"
            )
        table = parse_targets(table)
        names = list(table) if self.output_targets is None else self.output_targets
        if unknown := [name for name in names if name not in table]:
            raise ValueError(f"output_targets {unknown} are no targets; targets: {', '.join(table)}")
        return {name: table[name] for name in names}

    def _output_path(self, volume: Volume) -> Path:
        if self.output is None:
            raise ValueError("a volume needs 'output', the zarr group that the predictions are written to")
        path = Path(str(self.output).format(name=volume.name))
        return path if path.suffix == ".zarr" else path.with_name(f"{path.name}.zarr")

    def _header(
        self,
        volume: Volume,
        network: Callable[..., Any],
        grid: WindowGrid,
        formats: Mapping[str, OutputFormat],
        transform: WindowTransform | None,
    ) -> dict[str, Any]:
        """Everything on which the written bytes depend."""
        return {
            "input": volume.path,
            "input_fingerprint": volume.fingerprint(),
            "shape": list(volume.shape),
            "network": _weights_hash(network),
            "roi_size": list(grid.roi_size),
            "overlap": list(ensure_tuple_rep(self.overlap, 3)),
            "mode": str(self.mode),
            "sigma_scale": list(ensure_tuple_rep(self.sigma_scale, 3)),
            "sw_batch_size": self.sw_batch_size,
            "window_transform": describe(transform),
            "skip_empty": self.skip_empty,
            "chunk_size": list(self.chunk_size),
            "levels": self.levels,
            "outputs": {name: [form.channels, form.dtype, form.attributes] for name, form in formats.items()},
        }


def _device(network: Callable[..., Any], device: torch.device | str | None) -> torch.device | str:
    if device is not None or not isinstance(network, torch.nn.Module):
        return device or "cpu"
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def _check_outputs(outputs: Any, targets: Mapping[str, Target], shape: torch.Size) -> None:
    if not isinstance(outputs, Mapping):
        raise ValueError(f"the network must return a dictionary target -> tensor; got {type(outputs).__name__}")
    for name, target in targets.items():
        if name not in outputs:
            raise ValueError(f"the network has no output '{name}'; its outputs: {', '.join(outputs)}")
        wanted = (shape[0], target.channels, *shape[2:])
        if tuple(outputs[name].shape) != wanted:
            raise ValueError(f"output '{name}' has shape {tuple(outputs[name].shape)}, expected {wanted} (B C D H W)")


def _weights_hash(network: Callable[..., Any]) -> str | None:
    """Hash of a network's parameters and buffers; `None` for a plain function."""
    if not isinstance(network, torch.nn.Module):
        return None
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()[:16]
