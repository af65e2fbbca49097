"""What the locks hold, that they belong to pyproject.toml and to each other, and that `make setup` holds to them."""

import functools
import importlib.metadata
import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.requirements.renew import EXTRAS, OLDEST_PYTHON, ROOT, Pin, normalised, read_pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NEEDED = PROJECT["project"]["dependencies"]
OPTIONAL = PROJECT["project"]["optional-dependencies"]
LOCKS = {path.stem: read_pins(path.read_text()) for path in (ROOT / ".ci" / "requirements").glob("*.lock")}
CONSTRAINTS = read_pins((ROOT / "constraints.txt").read_text())

APART = ("cuda", "torch_cpu")  # which a build of PyTorch needs, or is
PYTHONS = (OLDEST_PYTHON, "3.12.0", "3.13.0")


def needed_on(pins: list[Pin], python: str) -> dict[str, str]:
    """Version by name of what a lock installs on Linux."""
    here = environment(python)
    markers = [(pin, Requirement(f"{pin.name}; {pin.marker}").marker if pin.marker else None) for pin in pins]
    return {pin.name: pin.version for pin, marker in markers if marker is None or marker.evaluate(here)}


def environment(python: str, extra: str = "") -> dict[str, str]:
    return {
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "extra": extra,
    }


def dependencies(requirement: Requirement, python: str) -> Iterator[Requirement]:
    """What a package asks for by itself, and for its extras that are wanted; none where it is not installed."""
    try:
        texts = importlib.metadata.requires(requirement.name) or ()
    except importlib.metadata.PackageNotFoundError:  # it is for another Python
        return
    for text in texts:
        wanted = Requirement(text)
        if wanted.marker is None or any(
            wanted.marker.evaluate(environment(python, extra)) for extra in ("", *requirement.extras)
        ):
            yield wanted


def test_there_is_a_lock_for_each_part() -> None:
    assert set(LOCKS) == {"torch", "torch_cpu", "cuda", "base", *EXTRAS}
    (own,) = [line for line in OPTIONAL["dev"] if line.startswith("polytome[")]
    assert Requirement(own).extras | set(EXTRAS) == set(OPTIONAL)


def test_every_pinned_version_has_hashes() -> None:
    for name, pins in LOCKS.items():
        assert pins
        for pin in pins:
            assert pin.hashes, f"{name}: {pin.name} has none"
            assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in pin.hashes), pin


def test_the_locks_name_no_index() -> None:
    for path in (ROOT / ".ci" / "requirements").glob("*.lock"):
        assert "//" not in path.read_text()
        assert re.findall("^-|^ +--(?!hash)", path.read_text(), re.M) == []


def test_locks_and_constraints_agree() -> None:
    locked = {(pin.name, pin.version) for name, pins in LOCKS.items() if name not in APART for pin in pins}
    assert {(pin.name, pin.version) for pin in CONSTRAINTS} == locked
    assert len(CONSTRAINTS) == len(locked)  # one version of each
    assert not {pin.name for pin in LOCKS["cuda"]} & {pin.name for pin in CONSTRAINTS}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("extra", ["", *OPTIONAL])
def test_every_dependency_of_the_project_is_locked_in_a_version_that_it_allows(extra: str, python: str) -> None:
    """In what is installed for it: an extra without a lock of its own is in dev's."""
    locks = ["torch", "base", *([extra if extra in LOCKS else "dev"] if extra else [])]
    locked = {name: version for lock in locks for name, version in needed_on(LOCKS[lock], python).items()}
    wanted = [Requirement(text) for text in (OPTIONAL[extra] if extra else NEEDED)]
    for requirement in wanted + [Requirement(text) for text in PROJECT["build-system"]["requires"]]:
        if requirement.name != "polytome":
            assert locked.get(normalised(requirement.name), "none") in requirement.specifier, requirement


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", ["base", "dev"])
def test_what_is_installed_needs_nothing_that_is_not_locked(lock: str, python: str) -> None:
    """pip is told not to look for dependencies: all of them must stand in the locks, in versions that do."""
    is_of_pypi = "+" not in importlib.metadata.version("torch")  # which brings CUDA along
    pins = [pin for name in {"torch", "base", lock, *(["cuda"] if is_of_pypi else [])} for pin in LOCKS[name]]
    locked = needed_on(pins, python)
    known: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in NEEDED + (OPTIONAL["dev"] if lock == "dev" else [])]
    while waiting:
        requirement = waiting.pop()
        key = (normalised(requirement.name), frozenset(requirement.extras))
        if key[0] != "polytome":
            assert key[0] in locked, f"{requirement} is in no lock"
            assert requirement.specifier.contains(locked[key[0]], prereleases=True), requirement
        if key not in known:
            known.add(key)
            waiting += dependencies(requirement, python)
    assert {name for name, _ in known} - {"polytome"} <= set(locked)
    if lock == "base":  # nor does it hold what nothing needs, but what builds the package
        assert set(locked) - {name for name, _ in known} <= {"setuptools"}


def test_the_cpu_builds_are_those_of_the_version_and_the_pythons_that_are_tested() -> None:
    (torch,), (cpu,) = LOCKS["torch"], LOCKS["torch_cpu"]
    assert cpu.version == f"{torch.version}+cpu"
    wheels = [line.split()[1] for line in (ROOT / ".ci" / "requirements" / "torch_cpu.sha256").read_text().splitlines()]
    machines = {(wheel.split("-")[2], wheel.removesuffix(".whl").split("_28_")[1]) for wheel in wheels}
    assert machines == set(itertools.product(("cp311", "cp312", "cp313"), ("x86_64", "aarch64")))
    assert len(cpu.hashes) == len(machines)
    assert not set(cpu.hashes) & set(torch.hashes)


def test_only_pytorch_is_left_without_its_companions_on_other_systems() -> None:
    """CUDA's packages are those of PyPI's build for Linux, each for Linux alone."""
    assert {re.split("[-_]", pin.name)[0] for pin in LOCKS["cuda"]} == {"nvidia", "cuda", "triton"}
    assert all("sys_platform == 'linux'" in pin.marker for pin in LOCKS["cuda"])
    names = {pin.name for name in LOCKS if name != "cuda" for pin in LOCKS[name]}
    assert not [name for name in names if name.startswith(("nvidia", "cuda", "triton"))]


@functools.cache
def installs(*targets: str) -> list[list[str]]:
    """What pip is told in targets of the Makefile where nothing is installed, from `install` on."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["make", "-n", *targets, "VENV=none"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    calls = [
        words.split(" pip ")[1]
        for line in done.stdout.splitlines()
        for words in re.split("[;|]+", line)
        if " pip " in words
    ]
    return [shlex.split(call.partition("2>")[0]) for call in calls]


def locks_of(call: list[str]) -> list[str]:
    return [Path(word).stem for flag, word in itertools.pairwise(call) if flag == "-r"]


def test_make_installs_nothing_without_hashes_but_the_project() -> None:
    calls = installs("setup", "lock", "mutation")
    expected = [["torch_cpu"], ["torch"], ["cuda"], ["base"], ["dev"], [], ["pins"], ["mutation"]]
    assert [locks_of(call) for call in calls] == expected
    assert installs("setup") == calls[:6]
    own = calls.pop(5)
    assert own[-4:] == ["--no-deps", "--no-build-isolation", "-e", "."]
    for call in calls:
        assert {"--require-hashes", "--no-deps", "--no-build-isolation"} <= set(call)
        assert not {"-e", "-c", "--index-url", "--extra-index-url", "--find-links"} & set(call)


def write_wheel(folder: Path, version: str, content: str) -> tuple[Path, str]:
    """A wheel that is installed as `small.py`, and its hash."""
    path = folder / f"small-{version}-py3-none-any.whl"
    about = f"small-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("small.py", content)
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: small\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return path, sha256(path.read_bytes()).hexdigest()


def install(tmp_path: Path, lock: str) -> tuple[str, str]:
    """Install a lock as `make setup` installs its own, from a folder of wheels: what pip said, what is there."""
    options = [word for word in installs("setup")[0] if word != "-r" and not word.endswith(".lock")]
    (tmp_path / "small.lock").write_text(lock)
    target = tmp_path / "installed"
    words = ["-r", tmp_path / "small.lock", "--no-index", "--find-links", tmp_path, "--target", target]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run(
        [sys.executable, "-m", "pip", *options, *words],
        env=environment | {"PIP_CONFIG_FILE": os.devnull}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    installed = target / "small.py"
    assert installed.exists() == (done.returncode == 0)
    return done.stdout + done.stderr, installed.read_text() if installed.exists() else ""


def test_pip_refuses_a_changed_wheel(tmp_path: Path) -> None:
    """With the options of `make setup`: it installs what was hashed, and nothing else of that name and version."""
    wheel, hashed = write_wheel(tmp_path, "1.0", "says = 'hello'\n")
    published = wheel.read_bytes()
    lock = f"small==1.0 --hash=sha256:{hashed}\n"
    _, changed = write_wheel(tmp_path, "1.0", "says = 'changed'\n")
    said, installed = install(tmp_path, lock)
    assert "DO NOT MATCH THE HASHES" in said
    assert hashed in said
    assert changed in said
    assert installed == ""
    wheel.write_bytes(published)
    assert install(tmp_path, lock)[1] == "says = 'hello'\n"


def test_pip_refuses_what_has_no_hash(tmp_path: Path) -> None:
    write_wheel(tmp_path, "1.0", "says = 'hello'\n")
    said, installed = install(tmp_path, "small==1.0\n")
    assert "Hashes are required in --require-hashes mode" in said
    assert installed == ""
