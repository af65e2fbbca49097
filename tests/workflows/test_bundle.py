"""The zip of a bundle: what is in it, its bytes, and what is refused."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from scripts.workflows import bundle as bundle_module
from scripts.workflows import demo_run
from scripts.workflows.bundle import bundle
from scripts.workflows.export import export

IN = (
    "LICENSE", "configs/metadata.json", "configs/train.json", "docs/README.md", "docs/demo.png", "models/model.pt",
    "scripts/__init__.py", "scripts/viewers/page.css",
)  # fmt: skip
OUT = (
    "models/model_epoch=3.pt", "models/model.ts", "output/history.csv", "data/phantom.zarr/raw/zarr.json",
    "polytome.egg-info/PKG-INFO", ".mypy_cache/CACHEDIR.TAG", "scripts/__pycache__/a.pyc", "docs/.DS_Store",
)  # fmt: skip
METADATA = {"name": "Rolled Sheets", "version": "0.2.0", "changelog": {"0.2.0": "", "0.1.0": ""}}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a bundle, beside files that do not belong to it."""
    folder = tmp_path / "bundle"
    for name in (*IN, *OUT):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    monkeypatch.setattr(bundle_module, "BUNDLE", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_what_belongs_to_the_bundle_lies_in_one_folder_and_nothing_else(small):
    said = bundle()
    with zipfile.ZipFile("dist/rolled_sheets_v0.2.0.zip") as archive:
        assert archive.namelist() == sorted(f"rolled_sheets/{name}" for name in IN)
        for name in IN:
            assert archive.read(f"rolled_sheets/{name}") == (small / name).read_bytes()
    assert said.startswith("written: dist/rolled_sheets_v0.2.0.zip, 8 files, ")
    assert [path.name for path in Path("dist").iterdir()] == ["rolled_sheets_v0.2.0.zip"]


def test_dates_and_permissions_of_files_do_not_change_the_bytes(small):
    bundle("one.zip")
    for name in IN:
        os.utime(small / name, (10**9, 10**9))
        (small / name).chmod(0o600)
    bundle("two.zip")
    assert Path("one.zip").read_bytes() == Path("two.zip").read_bytes()
    (small / "LICENSE").write_text("another one")
    bundle("three.zip")
    assert Path("one.zip").read_bytes() != Path("three.zip").read_bytes()


def test_a_dry_run_lists_the_files_and_writes_none(small):
    lines = bundle(dry_run=True).splitlines()
    assert lines[0] == "rolled_sheets/LICENSE  18"
    assert len(lines) == len(IN) + 2
    assert lines[-1] == "dry run: dist/rolled_sheets_v0.2.0.zip is not written"
    assert not Path("dist").exists()


def test_what_exists_is_kept_unless_it_may_be_replaced(small):
    Path("mine.zip").write_text("mine")
    with pytest.raises(FileExistsError, match=r"mine\.zip exists; choose another output, or pass --overwrite"):
        bundle("mine.zip")
    bundle("mine.zip", overwrite=True)
    assert zipfile.is_zipfile("mine.zip")


def test_a_version_without_a_word_in_the_changelog_is_refused(small):
    (small / "configs" / "metadata.json").write_text(json.dumps(METADATA | {"version": "0.3.0"}))
    with pytest.raises(ValueError, match=r"version 0\.3\.0 is missing from its changelog, which has 0\.2\.0, 0\.1\.0"):
        bundle()


def test_files_that_the_zoo_does_not_take_are_named(small, monkeypatch):
    monkeypatch.setattr(bundle_module, "LARGEST_FILE", 20)
    with pytest.raises(ValueError, match=r"models/model\.pt has 26 bytes; the Model Zoo takes files up to 20\."):
        bundle()


def test_a_bundle_without_weights_is_not_complete(small):
    (small / "models" / "model.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"models/model\.pt does not exist; the bundle is not complete"):
        bundle()


def test_another_ending_is_refused(small):
    with pytest.raises(ValueError, match=r"ends in \.zip, got mine\.tar"):
        bundle("mine.tar")


def test_without_the_bundles_files_it_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_run, "BUNDLE", tmp_path)
    for verb in (bundle, lambda: export(tmp_path / "model.ts")):
        with pytest.raises(FileNotFoundError, match=r"configs/\w+\.json does not exist; this verb needs a checkout"):
            verb()
