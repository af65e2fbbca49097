"""MONAI's sliding-window inferer, which streams when it is given a volume instead of a tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.utils import ensure_tuple_rep

from ..geometry import parse_targets
from ..geometry.affines import affine_spacing
from ..volumes import Volume
from .executor import Executor
from .settings import StreamSettings
from .totals import Totals
from .volume_run import VolumeRun, written_targets
from .window_network import window_network
from .window_transform import WindowTransform, bound, is_bindable, transformed


class ZarrSlidingWindowInferer(SlidingWindowInferer):
    """Sliding-window inference for tensors in memory and, window by window, for volumes of any size.

    Given a tensor B C D H W it does what MONAI's `SlidingWindowInferer` does. Given a `Volume` it reads windows from
    the store, adds up their weighted predictions block by block, and writes each output chunk to OME-Zarr as soon as
    its last window is in: one multiscale image per target under `<output>/<target>`, with the input's geometry, and
    what the run came to as `<output>.json`. Both give the same values to float32 rounding (with `skip_empty` false).

    A run that was killed goes on where it stopped when it is started again, and ends with the same bytes.

    Args:
        roi_size: window, voxels z, y, x, or one number for all.
        sw_batch_size: windows evaluated together; with `slice_axes`, slices, and windows one by one.
        overlap: share of a window that its neighbour covers too, one number or one per axis.
        mode: "gaussian" or "constant" weights.
        sigma_scale: width of the Gaussian as a share of the window.
        output: the zarr group to write, a path or a URL (`s3://`), `.zarr` is added where it lacks; `{name}` in it
            becomes the volume's name. Needed for volumes only. `x.nii.gz` or `x.nii`: beside the group `x.zarr` each
            target is also written as NIfTI, `x_<target>.nii.gz`, where that fits into `memory_limit`.
        targets: the `targets` table; `None`: that of the network (`network.targets`).
        output_targets: which targets are written; `None`: all.
        window_transform: applied to each window C D H W (float32) before the network, such as `NormalizeImage()`; the
            same as in training. One that has a method `bind` is first bound to the image as a whole.
        activate: whether to write what the targets' kinds say (see `output_format`); false writes the network's
            output as float32.
        class_output: "argmax" or "probabilities", for labels of several classes.
        threshold: write labels of one channel as 0 and 1, 1 where the probability is at least this; `None`: as uint8
            probabilities.
        float_dtype: "float32" or "float16", for scalars and vectors.
        levels: pyramid levels; `None`: until the longest axis is short.
        chunk_size: z, y, x of an output chunk; `None`: about 96 voxels, so that windows begin where chunks begin.
        shard_size: z, y, x of an output shard, multiples of `chunk_size` (then given); `None`: no shards.
        ome_version: "0.5" (zarr v3) or "0.4" (zarr v2).
        block_size: z, y, x of the boxes that are read and summed at a time, multiples of the chunk (or shard); `None`:
            about 256 voxels, less where `memory_limit` asks for it.
        skip_empty: leave out windows that hold nothing but the store's fill value; voxels no window covers become 0.
        on_bad_chunk: "error", or "fill": read input chunks that are damaged as empty, and list them.
        memory_limit: bytes for blocks, for sums that wait for the next block, and for decoded input chunks; more sums
            than that wait on disk. `None`: no limit.
        scratch: folder or URL for what an unfinished run needs to go on; `None`: beside the output.
        resume: go on with an unfinished run of the same settings in `output`; false: refuse an output that exists.
        overwrite: replace an output that exists.
        precision: number format of the network's activations: "fp32", "bf16", or (CUDA) "fp16".
        channels_last: lay out the network's weights and windows with channels innermost, which suits some GPUs.
        mirror_axes: "z", "y", "x": axes along which windows are also predicted mirrored; all combinations count.
        rotation_planes: "zy", "zx", "yx": planes in which windows are also predicted turned by 90, 180, 270 degrees.
        slice_axes: of "z", "y", "x": the network is one of slices; windows are predicted slice by slice along each of
            these axes, and the outputs are averaged (see `SlicePasses`). `None`: windows as they are.
        executor: where blocks are predicted; `None`: in this process.
        sw_device: device of the network; `None`: that of its parameters.
        kwargs: further arguments of MONAI's inferer; of them `device` is where a volume's sums are kept (`None`: where
            the network is), the others concern tensors alone.

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
        threshold: float | None = None,
        float_dtype: str = "float32",
        levels: int | None = None,
        chunk_size: Sequence[int] | int | None = None,
        shard_size: Sequence[int] | int | None = None,
        ome_version: str = "0.5",
        block_size: Sequence[int] | int | None = None,
        skip_empty: bool = True,
        on_bad_chunk: str = "error",
        memory_limit: int | None = None,
        scratch: str | Path | None = None,
        resume: bool = True,
        overwrite: bool = False,
        precision: str = "fp32",
        channels_last: bool = False,
        mirror_axes: Sequence[str] = (),
        rotation_planes: Sequence[str] = (),
        slice_axes: Sequence[str] | None = None,
        executor: Executor | None = None,
        sw_device: torch.device | str | None = None,
        **kwargs: Any,
    ) -> None:
        at_once = sw_batch_size if slice_axes is None else 1
        super().__init__(roi_size, at_once, overlap, mode, sigma_scale, sw_device=sw_device, **kwargs)
        self.targets = None if targets is None else parse_targets(targets)
        self.window_transform = window_transform
        self.settings = StreamSettings(
            roi_size=_triple(roi_size),
            batch_size=sw_batch_size,
            overlap=ensure_tuple_rep(overlap, 3),
            mode=str(mode),
            sigma_scale=ensure_tuple_rep(sigma_scale, 3),
            output=None if output is None else str(output),
            output_targets=None if output_targets is None else tuple(output_targets),
            activate=activate,
            class_output=class_output,
            threshold=threshold,
            float_dtype=float_dtype,
            levels=levels,
            chunk_size=_triple(chunk_size),
            shard_size=_triple(shard_size),
            ome_version=str(ome_version),
            block_size=_triple(block_size),
            skip_empty=skip_empty,
            on_bad_chunk=on_bad_chunk,
            memory_limit=memory_limit,
            scratch=None if scratch is None else str(scratch),
            resume=resume,
            overwrite=overwrite,
            precision=precision,
            channels_last=channels_last,
            mirror_axes=tuple(mirror_axes),
            rotation_planes=tuple(rotation_planes),
            slice_axes=None if slice_axes is None else tuple(slice_axes),
            network_device=sw_device,
            sum_device=self.device,
        )
        self.executor = executor
        self.totals = Totals()

    def __call__(
        self,
        inputs: torch.Tensor | Volume,
        network: Callable[..., Any],
        *args: Any,
        region: Sequence[Sequence[int]] | None = None,
        mask: Volume | str | None = None,
        **kwargs: Any,
    ) -> Any:
        """
        Args:
            inputs: tensor B C D H W, or a volume to stream.
            network: returns a dictionary target -> B C D H W of network output.
            region: of a volume, first voxel and the one after the last, z y x, of what is predicted: that part of what
                the whole volume would give. `None`: everything.
            mask: of a volume, the path of another one on any grid that overlaps it in space, or one on the same grid;
                windows without any voxel other than 0 in it are skipped.

        Returns:
            for a tensor what MONAI returns; for a volume the path of the array written for each target.
        """
        if isinstance(inputs, Volume):
            run = VolumeRun(
                self.settings,
                inputs,
                network,
                self.targets,
                self.window_transform,
                region=region,
                mask=mask,
                executor=self.executor,
            )
            paths, self.totals = run.run()
            return paths
        if region is not None or mask is not None:
            raise ValueError("region and mask are for volumes that are streamed; cut a tensor yourself")
        if is_bindable(self.window_transform) and len(inputs) > 1:  # each image by its own statistics
            parts = [self(image[None], network, *args, **kwargs) for image in inputs]
            return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        transform = bound(self.window_transform, inputs[0])
        augmented = self._augmented(network, inputs)
        return super().__call__(
            inputs, lambda x, *a, **k: augmented(transformed(x, transform), *a, **k), *args, **kwargs
        )

    def _augmented(self, network: Callable[..., Any], inputs: torch.Tensor) -> Callable[..., Any]:
        if not self.settings.is_augmented and self.settings.slice_axes is None:
            return network
        targets = written_targets(network, self.targets, None)
        return window_network(network, targets, self.settings, _spacing(inputs))


def _spacing(inputs: torch.Tensor) -> tuple[float, ...] | None:
    """Spacing of images B C D H W, that of the first; `None` where they do not say."""
    if not isinstance(inputs, MetaTensor):
        return None
    affine = inputs.affine.reshape(-1, *inputs.affine.shape[-2:])[0]  # [B] 4 4 -> 4 4
    return affine_spacing(affine, inputs.ndim - 2)


def _triple(sizes: Sequence[int] | int | None) -> Any:
    return None if sizes is None else tuple(int(n) for n in ensure_tuple_rep(sizes, 3))
