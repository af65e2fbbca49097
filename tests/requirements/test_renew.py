"""What `make lock` writes, with a resolver whose answers are given."""

import json
from pathlib import Path

import pytest
from tests.requirements import renew
from tests.requirements.renew import Pin, locks, one_version_each, read_cpu_builds, read_pins, resolve_by_uv, write_pins

LINUX = "sys_platform == 'linux'"
OLD = "python_full_version < '3.12'"
CPU = "c" * 64 + "  torch-2.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl\n"

NAMES = ("torch", "cublas", "numpy", "zipp", "ruff", "uv")
HASHES = {name: (f"sha256:{str(digit) * 64}",) for digit, name in enumerate(NAMES)}
WITH_CUDA = [Pin("torch", "2.0"), Pin("cublas", "13", LINUX), Pin("numpy", "2.4")]
NEEDED = {
    ("torch",): WITH_CUDA,
    (): [*WITH_CUDA, Pin("zipp", "4", OLD)],
    ("dev",): [*WITH_CUDA, Pin("zipp", "4"), Pin("ruff", "1")],
    ("pins",): [*WITH_CUDA, Pin("zipp", "4", OLD), Pin("uv", "0.9")],
    ("tiff",): [Pin("numpy", "2.4")],
    ("mutation",): [Pin("numpy", "2.4")],
}


def resolve(source: str, *options: str, versions: dict[str, str] | None = None) -> list[Pin]:
    """As `resolve_by_uv`: everything with hashes, and what is asked of it then, with the versions that this gave."""
    if versions is None:
        assert (source, options) == ("pyproject.toml", ("--all-extras", "--generate-hashes"))
        every = {pin.name: pin for pins in NEEDED.values() for pin in pins}
        return [Pin(pin.name, pin.version, pin.marker, HASHES[pin.name]) for pin in every.values()]
    assert versions == {"torch": "2.0", "cublas": "13", "numpy": "2.4", "zipp": "4", "ruff": "1", "uv": "0.9"}
    if source == "torch":
        return NEEDED["torch",]
    assert source == "pyproject.toml"
    return NEEDED[tuple(options[1:])]


def pinned(text: str) -> list[tuple[str, str, str]]:
    return [(pin.name, pin.version, pin.marker) for pin in read_pins(text)]


def test_each_package_stands_where_it_is_needed() -> None:
    files = {Path(name).stem: text for name, text in locks(resolve, CPU).items()}
    assert pinned(files["torch"]) == [("torch", "2.0", "")]
    assert pinned(files["cuda"]) == [("cublas", "13", LINUX)]
    assert pinned(files["base"]) == [("numpy", "2.4", ""), ("zipp", "4", OLD)]
    assert pinned(files["dev"]) == [("ruff", "1", ""), ("zipp", "4", "")]  # zipp for every Python, which base has not
    assert pinned(files["pins"]) == [("uv", "0.9", "")]
    assert pinned(files["tiff"]) == []
    constraints = [("numpy", "2.4", ""), ("ruff", "1", ""), ("torch", "2.0", ""), ("uv", "0.9", ""), ("zipp", "4", "")]
    assert pinned(files["constraints"]) == constraints
    assert "--hash" not in files["constraints"]


def test_each_pin_has_its_hashes_and_the_cpu_builds_of_torch_theirs() -> None:
    files = {Path(name).stem: read_pins(text) for name, text in locks(resolve, CPU).items()}
    del files["constraints"]
    assert files.pop("torch_cpu") == [Pin("torch", "2.0+cpu", "", ("sha256:" + "c" * 64,))]
    assert {pin.name: pin.hashes for pins in files.values() for pin in pins} == HASHES


def test_written_pins_are_read_back() -> None:
    pins = [Pin("a-b", "1.0rc1", OLD, ("sha256:aa", "sha256:bb")), Pin("c", "2")]
    text = write_pins("Title", reversed(pins))
    assert text == (
        "# Title; written by `make lock`.\n"
        "a-b==1.0rc1 ; python_full_version < '3.12' \\\n"
        "    --hash=sha256:aa \\\n"
        "    --hash=sha256:bb\n"
        "c==2\n"
    )
    assert read_pins(text) == pins


def test_names_are_read_in_the_spelling_of_pypi() -> None:
    assert read_pins("# other\n\nPy_Y.AML==6 # why\n") == [Pin("py-y-aml", "6")]


@pytest.mark.parametrize("line", ["numpy>=2", "numpy", "-e ."])
def test_a_line_without_an_exact_version_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=rf"'{line}' pins no version; expected NAME==VERSION"):
        read_pins(f"zarr==3.1\n{line}\n")


def test_two_versions_of_a_package_are_refused() -> None:
    with pytest.raises(ValueError, match=r"numpy has two versions, 2\.4 and 2\.5; put one that suits all Pythons"):
        one_version_each([Pin("numpy", "2.4", OLD), Pin("zarr", "3"), Pin("numpy", "2.5")])


def test_cpu_builds_of_another_torch_are_refused() -> None:
    with pytest.raises(ValueError, match=r"torch_cpu.sha256 has torch-2.0\+cpu-cp311.*whl, but torch 2.1 is locked"):
        read_cpu_builds(CPU, "2.1")
    with pytest.raises(ValueError, match=r"has torch-2.0\+cpu"):
        read_cpu_builds(CPU, "2")


UV = """
import json, pathlib, sys
words = sys.argv[1:]
output = pathlib.Path(words[words.index("--output-file") + 1])
texts = {pathlib.Path(word).name: pathlib.Path(word).read_text() for word in words if pathlib.Path(word).is_file()}
pathlib.Path("called.json").write_text(json.dumps({"words": words, "texts": texts}))
if "--fail" in words:
    sys.exit("no solution")
output.write_text("zarr==3.1\\ntorch==2.1\\n" if "--all-extras" in words else "zarr==3.1\\n")
"""
"""Stands in for uv where it is run: writes down what it was given, and pins zarr, and torch among all."""


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What the last call of uv was given, in a checkout that pins zarr 3.0."""
    (tmp_path / "uv.py").write_text(UV)
    (tmp_path / "constraints.txt").write_text("zarr==3.0\n")
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools>=77"]\n')
    monkeypatch.setattr(renew, "ROOT", tmp_path)
    return tmp_path / "called.json"


def test_uv_keeps_the_versions_of_the_constraints_unless_told_otherwise(called: Path) -> None:
    assert resolve_by_uv("pyproject.toml", "--all-extras", upgrade=["--upgrade-package", "zarr"]) == [
        Pin("zarr", "3.1"),
        Pin("torch", "2.1"),
    ]
    given = json.loads(called.read_text())
    assert given["texts"]["output.txt"] == "zarr==3.0\n"  # what uv holds to
    assert given["texts"]["needed.in"] == "setuptools>=77"
    assert "pyproject.toml" in given["words"]
    assert {"--universal", "--all-extras", "--upgrade-package"} <= set(given["words"])
    assert given["words"][given["words"].index("--python-version") + 1] == "3.11.5"


def test_uv_takes_the_versions_that_are_fixed(called: Path) -> None:
    resolve_by_uv("torch", versions={"torch": "2.0"}, upgrade=["--upgrade"])
    given = json.loads(called.read_text())
    assert given["texts"] == {"needed.in": "torch", "fixed.txt": "# Fixed; written by `make lock`.\ntorch==2.0\n"}
    assert "--upgrade" not in given["words"]


@pytest.mark.usefixtures("called")
def test_what_uv_says_of_a_failure_is_told() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)-m uv pip compile .*--fail.*ended with 1:\nno solution"):
        resolve_by_uv("pyproject.toml", "--fail")


def test_nothing_is_written_where_a_part_fails(called: Path) -> None:
    (called.parent / ".ci" / "requirements").mkdir(parents=True)
    (called.parent / ".ci" / "requirements" / "torch_cpu.sha256").write_text(CPU)
    with pytest.raises(ValueError, match=r"torch_cpu\.sha256 has torch-2\.0\+cpu.*, but torch 2\.1 is locked"):
        renew.main([])
    assert (called.parent / "constraints.txt").read_text() == "zarr==3.0\n"
    assert [path.name for path in (called.parent / ".ci" / "requirements").iterdir()] == ["torch_cpu.sha256"]
