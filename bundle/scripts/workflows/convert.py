"""`convert IN OUT`: any volume into a multiscale OME-Zarr image."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ..blockwise import WorkProgress
from ..geometry import did_you_mean
from ..volumes import OmeZarrWriter, Volume, bundle, create_ome_zarr, lattice, open_volume, touched_blocks

logger = logging.getLogger(__name__)

KINDS = ("auto", "image", "label")

_BUFFER_BYTES = 256 * 2**20
_KEPT_ATTRIBUTES = ("polytome", "nifti_affine")


def convert(
    input: str | Path,
    output: str | Path,
    *,
    spacing: Sequence[float] | None = None,
    unit: str | None = None,
    levels: int | None = None,
    chunks: Sequence[int] | int | None = None,
    shards: Sequence[int] | int | None = None,
    version: str = "0.5",
    kind: str = "auto",
    level: int | None = None,
    time: int | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
) -> str:
    """Convert NIfTI, TIFF, npy or zarr into OME-Zarr.

    The volume is read and written piece by piece (256 MB at a time, or one block where that is larger); a compressed
    NIfTI is held in memory as a whole. Pieces that the input's store leaves out are left out. The output appears under
    its name when it is complete; until then it is `OUTPUT.partial`, which a failure removes.

    Args:
        input: path or URL of the volume, `PATH::2` for a pyramid level.
        output: folder to write, such as `scan.zarr`.
        spacing: voxel size z, y, x of the input; replaces what the input states, its translation included.
        unit: unit of the spacing (nm, um, mm); replaces what the input states.
        levels: pyramid levels to write; default halves until the longest axis has at most 64 voxels.
        chunks: D, H, W of a chunk, or one number for all three; default 64.
        shards: D, H, W of a shard, or one number; default no shards.
        version: of OME-Zarr, 0.5 or 0.4.
        kind: `image` (coarser levels are means) or `label` (most frequent value). `auto` takes a label for what the
            input calls an image-label, for bool, and for integers of more than 16 bits; anything else is an image.
            Unit vectors, known by their encoding, are averaged as such in any case but `label`.
        level: pyramid level of the input.
        time: time point of an input that has several.
        dry_run: say what would be written, and write nothing.
        overwrite: replace an output that exists.

    Returns:
        the output's path; of a dry run its levels.

    Raises:
        FileExistsError: where the output exists.
        FileNotFoundError: where the input does not.
        ValueError: for options that do not fit.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}{did_you_mean(kind, KINDS)}")
    target = _checked_target(str(input), str(output), overwrite)
    volume = open_volume(input, level=level, time=time)
    create = partial(
        create_ome_zarr,
        shape=volume.shape,
        dtype=volume.dtype,
        spacing=volume.spacing if spacing is None else spacing,
        translation=volume.translation if spacing is None else (0.0, 0.0, 0.0),
        unit=volume.unit if unit is None else unit,
        chunks=_triple(chunks),
        shards=_triple(shards),
        levels=levels,
        downsample=_downsample(volume, kind),
        version=version,
        fill_value=volume.fill_value,
        attributes={key: volume.attributes[key] for key in _KEPT_ATTRIBUTES if key in volume.attributes},
        name=target.name.removesuffix(".zarr").removesuffix(".ome"),
    )
    if dry_run:
        return _levels(create, volume, target)
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)  # left behind by a run that was killed
    try:
        writer = create(unfinished)
        logger.info("%s: converting %s x %s voxels to %s", volume.path, volume.shape, volume.dtype, target)
        _copy(volume, writer)
        writer.finish()
        if target.exists():
            shutil.rmtree(target)
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return str(target)


def _levels(create: Callable[..., OmeZarrWriter], volume: Volume, target: Path) -> str:
    """What would be written: metadata are made, in a folder that is thrown away, and so every option is checked."""
    with TemporaryDirectory() as folder:
        writer = create(Path(folder) / target.name)
    lines = [f"{volume.path}: {volume.dtype}, {volume.channels} channels, unit {writer.grid.unit}"]
    lines += [
        f"level {number}: {' x '.join(map(str, level.shape))} voxels, spacing {list(level.grid.spacing)}"
        for number, level in enumerate(writer.pyramid)
    ]
    return "\n".join([*lines, f"dry run: {target} is not written"])


def _copy(volume: Volume, writer: OmeZarrWriter) -> None:
    """Copy what is stored, in boxes of whole blocks."""
    voxel_bytes = volume.channels * volume.dtype.itemsize
    step = bundle(writer.block_shape, volume.spatial_shape, _BUFFER_BYTES // voxel_bytes)
    stored = touched_blocks(volume.stored_chunks(), step)
    boxes = [
        box for box in lattice(volume.spatial_shape, step)
        if tuple(low // n for low, n in zip(box[0], step, strict=True)) in stored
    ]  # fmt: skip
    with WorkProgress(f"convert {volume.name}", len(boxes), "boxes") as progress:
        for start, size in boxes:
            writer.write(start, volume.read(start, size))
            progress.advance()


def _downsample(volume: Volume, kind: str) -> str:
    if kind == "label":
        return "mode"
    if volume.encoding is not None and volume.encoding.zero_is_missing and volume.channels in (2, 3):
        return "normal"
    if kind == "image":
        return "mean"
    content = volume.attributes.get("ome", volume.attributes)
    is_label = "image-label" in content or volume.dtype.kind == "b"
    return "mode" if is_label or (volume.dtype.kind in "iu" and volume.dtype.itemsize > 2) else "mean"


def _checked_target(source: str, output: str, overwrite: bool) -> Path:
    if "://" in output:
        raise ValueError(f"output: got the URL {output}; expected a local path. Copy the result there afterwards")
    target = Path(output)
    if source.partition("::")[0] and Path(source.partition("::")[0]).absolute() == target.absolute():
        raise ValueError(f"output: {output} is the input itself; expected another path")
    if not target.name.endswith(".zarr"):
        raise ValueError(f"output: expected a name that ends in .zarr, got {output}")
    if target.exists():
        if not overwrite:
            raise FileExistsError(f"{output} exists; choose another path, or pass --overwrite to replace it")
        if not any((target / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
            raise FileExistsError(f"{output} exists and is no zarr, so it is not replaced; remove it yourself")
    return target


def _triple(sizes: Sequence[int] | int | None) -> Sequence[int] | None:
    return (sizes,) * 3 if isinstance(sizes, int) else sizes
