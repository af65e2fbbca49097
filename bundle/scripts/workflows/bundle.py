"""`bundle`: this bundle as one zip file, in the form of MONAI's Model Zoo."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from .demo_run import BUNDLE, require_bundle

LARGEST_FILE = 25 * 10**6
"""Bytes of a file that the Model Zoo takes."""

_FILES = ("LICENSE", "models/model.pt")
_FOLDERS = ("configs", "docs", "scripts")
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def bundle(output: str | Path | None = None, *, dry_run: bool = False, overwrite: bool = False) -> str:
    """Write the bundle to a zip file: configs, docs, license, `models/model.pt` and scripts, in one folder.

    The same files give the same bytes: in the order of their names, without their dates. Data, results, caches and
    weights of your own trainings stay out.

    Args:
        output: file to write. Default: `dist/NAME_vVERSION.zip`, by name and version in `configs/metadata.json`.
        dry_run: list the files, and write none.
        overwrite: replace a file that exists.

    Returns:
        the files, or what was written.

    Raises:
        FileExistsError: if the output exists.
        FileNotFoundError: where a file is missing that every bundle has.
        ValueError: for a version that the changelog does not tell of, and for files above 25 MB.
    """
    require_bundle("configs/metadata.json")
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    name, version = metadata["name"].lower().replace(" ", "_"), metadata["version"]
    if version not in metadata["changelog"]:
        raise ValueError(
            f"configs/metadata.json: version {version} is missing from its changelog, which has "
            f"{', '.join(metadata['changelog'])}; add an entry"
        )
    target = Path("dist") / f"{name}_v{version}.zip" if output is None else Path(output)
    if target.suffix != ".zip":
        raise ValueError(f"output: expected a name that ends in .zip, got {target}")
    if target.exists() and not (overwrite or dry_run):
        raise FileExistsError(f"{target} exists; choose another output, or pass --overwrite to replace it")
    files = bundle_files(BUNDLE)
    size = sum(path.stat().st_size for path in files)
    if dry_run:
        lines = [f"{name}/{path.relative_to(BUNDLE).as_posix()}  {path.stat().st_size}" for path in files]
        return "\n".join([*lines, f"{len(files)} files, {size} bytes", f"dry run: {target} is not written"])
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in files:
                entry = zipfile.ZipInfo(f"{name}/{path.relative_to(BUNDLE).as_posix()}", _EARLIEST)
                entry.external_attr = 0o644 << 16
                entry.create_system = 3  # the same on every system
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return f"written: {target}, {len(files)} files, {target.stat().st_size} bytes"


def bundle_files(folder: Path) -> list[Path]:
    """Files of a bundle that belong into its zip, in the order of their paths.

    Args:
        folder: of the bundle.

    Raises:
        FileNotFoundError: where one is missing that every bundle has.
        ValueError: for files above 25 MB.
    """
    for name in (*_FILES, *_FOLDERS):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} does not exist; the bundle is not complete")
    found = [folder / name for name in _FILES]
    for name in _FOLDERS:
        found += [path for path in (folder / name).rglob("*") if path.is_file() and not _is_cache(path, folder)]
    for path in found:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(
                f"{path} has {path.stat().st_size} bytes; the Model Zoo takes files up to {LARGEST_FILE}. Put it where "
                "it can be downloaded, and list it in large_files.yml (docs/export.md)"
            )
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _is_cache(path: Path, folder: Path) -> bool:
    return any(part == "__pycache__" or part.startswith(".") for part in path.relative_to(folder).parts)
