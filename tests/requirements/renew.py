"""The versions and hashes that everything is installed with: `constraints.txt`, and the locks in `.ci/requirements`.

uv resolves `pyproject.toml` once for all Pythons and platforms, keeping the versions of `constraints.txt`. Which of
them a file holds is asked again with these versions fixed, so that the files agree with each other:

- `torch.lock`: PyTorch, as it is on PyPI.
- `cuda.lock`: what PyPI's build for Linux asks for beyond that, gigabytes that no other build needs.
- `torch_cpu.lock`: PyTorch's builds for the CPU, which PyPI does not have; their hashes are written by hand, into
  `torch_cpu.sha256`.
- `base.lock`: what the package needs beside PyTorch, and what builds it.
- `dev.lock` and one for each extra that `dev` leaves out: what these add.
- `constraints.txt`: all versions without hashes, for those who choose extras, or another PyTorch. CUDA's are left out,
  since another PyTorch wants others.

Run: make lock [UPGRADE="--upgrade-package zarr"]     (UPGRADE="--upgrade" takes the newest of everything)
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]

OLDEST_PYTHON = "3.11.5"  # what soupsieve asks for, which the documentation's theme needs
TORCH = "torch"
PROJECT = "pyproject.toml"
CPU_BUILDS = ".ci/requirements/torch_cpu.sha256"

EXTRAS = {
    "dev": "What the extra dev adds: tests, lint, types, and all extras that have no lock of their own",
    "tiff": "What the extra tiff adds",
    "mutation": "What the extra mutation adds",
    "pins": "What the extra pins adds: the program that writes these files",
}

Resolve = Callable[..., "list[Pin]"]


@dataclass(frozen=True)
class Pin:
    """One package in one version.

    Args:
        name: as PyPI normalises it: small letters, hyphens.
        version: the only one.
        marker: where it is needed, as requirements state it; empty for everywhere.
        hashes: `sha256:...` of every file that may be installed.
    """

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()


def read_pins(text: str) -> list[Pin]:
    """Pins of a requirements file.

    Raises:
        ValueError: for a line without an exact version.
    """
    pins = []
    for line in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = line.split("#")[0].split("--hash=")
        if not requirement.strip():
            continue
        named, _, marker = requirement.partition(";")
        name, _, version = (word.strip() for word in named.partition("=="))
        if not version:
            raise ValueError(f"{line.strip()!r} pins no version; expected NAME==VERSION")
        pins.append(Pin(normalised(name), version, marker.strip(), tuple(one.strip() for one in hashes)))
    return pins


def normalised(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def write_pins(title: str, pins: Iterable[Pin]) -> str:
    """A requirements file in the order of the names."""
    lines = [f"# {title}; written by `make lock`."]
    for pin in sorted(pins, key=lambda pin: (pin.name, pin.marker)):
        requirement = f"{pin.name}=={pin.version}" + (f" ; {pin.marker}" if pin.marker else "")
        lines.append(" \\\n    ".join([requirement, *(f"--hash={one}" for one in sorted(pin.hashes))]))
    return "\n".join(lines) + "\n"


def locks(resolve: Resolve, cpu_builds: str) -> dict[str, str]:
    """All files.

    Args:
        resolve: pins of requirements, as `resolve_by_uv` gives them.
        cpu_builds: SHA-256 and name of each CPU build of PyTorch that may be installed, a line each.

    Returns:
        What to write, by path from the checkout.

    Raises:
        ValueError: for a package in two versions, and for CPU builds of another version of PyTorch.
    """
    every = resolve(PROJECT, "--all-extras", "--generate-hashes")
    versions = one_version_each(every)
    hashes = {pin.name: pin.hashes for pin in every}
    cpu = read_cpu_builds(cpu_builds, versions[TORCH])

    def pinned(source: str, *options: str) -> list[Pin]:
        return [replace(pin, hashes=hashes[pin.name]) for pin in resolve(source, *options, versions=versions)]

    torch = pinned(TORCH)
    cuda = {pin.name for pin in torch if "sys_platform == 'linux'" in pin.marker}
    apart = {TORCH, *cuda}
    base = [pin for pin in pinned(PROJECT) if pin.name not in apart]
    files = {
        "torch": ("PyTorch, as it is on PyPI", [pin for pin in torch if pin.name == TORCH]),
        "torch_cpu": ("PyTorch's builds for the CPU", [cpu]),
        "cuda": ("What PyPI's build of PyTorch for Linux needs, and no other", [p for p in torch if p.name in cuda]),
        "base": ("What the package needs beside PyTorch, and what builds it", base),
    }
    for extra, title in EXTRAS.items():
        wanted = pinned(PROJECT, "--extra", extra)
        # a package that the extra needs in more places than the rest does has another marker, and stands in both
        files[extra] = (title, [pin for pin in wanted if pin.name not in apart and pin not in base])
    constraints = [Pin(name, version) for name, version in versions.items() if name not in cuda]
    written = {f".ci/requirements/{name}.lock": write_pins(*file) for name, file in files.items()}
    return written | {"constraints.txt": write_pins("Exact versions of everything but CUDA", constraints)}


def one_version_each(pins: Iterable[Pin]) -> dict[str, str]:
    """Version by name.

    Raises:
        ValueError: where a package has two, each for some Pythons or platforms, since constraints could not say so.
    """
    versions: dict[str, str] = {}
    for pin in pins:
        if versions.setdefault(pin.name, pin.version) != pin.version:
            both = f"{versions[pin.name]} and {pin.version}"
            raise ValueError(
                f"{pin.name} has two versions, {both}; put one that suits all Pythons into constraints.txt"
            )
    return versions


def read_cpu_builds(cpu_builds: str, version: str) -> Pin:
    """PyTorch's builds for the CPU.

    Args:
        cpu_builds: as `sha256sum` writes it: SHA-256, two spaces, name of the wheel.
        version: the one that they must have.

    Raises:
        ValueError: where one has another version.
    """
    labelled = f"{version}+cpu"
    hashes = []
    for line in cpu_builds.splitlines():
        digest, wheel = line.split()
        if not wheel.startswith(f"torch-{labelled}-"):
            raise ValueError(
                f"{CPU_BUILDS} has {wheel}, but torch {version} is locked; "
                f"write the SHA-256 and names of torch-{labelled}-... that pytorch.org lists for Linux"
            )
        hashes.append(f"sha256:{digest}")
    return Pin(TORCH, labelled, hashes=tuple(hashes))


def resolve_by_uv(
    source: str, *options: str, versions: dict[str, str] | None = None, upgrade: Sequence[str] = ()
) -> list[Pin]:
    """Pins of what is needed, for every Python from `OLDEST_PYTHON` and every platform.

    Args:
        source: `pyproject.toml` for the package and what builds it, or the name of a package.
        options: those of `uv pip compile`.
        versions: the ones to take; default those of `constraints.txt` where they still suit.
        upgrade: options of uv that let go of those of `constraints.txt`.

    Raises:
        RuntimeError: where uv fails, with what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        needed, output, fixed = (Path(folder) / name for name in ("needed.in", "output.txt", "fixed.txt"))
        words = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version", OLDEST_PYTHON]
        words += ["--no-header", "--no-annotate", "--fork-strategy", "fewest", "--output-file", str(output), *options]
        if source == PROJECT:
            build = tomllib.loads((ROOT / PROJECT).read_text())["build-system"]["requires"]
            needed.write_text("\n".join(build))
            words += [PROJECT, str(needed)]
        else:
            needed.write_text(source)
            words.append(str(needed))
        if versions is None:
            output.write_text((ROOT / "constraints.txt").read_text())  # uv prefers what its output had before
            words += upgrade
        else:
            fixed.write_text(write_pins("Fixed", [Pin(*one) for one in versions.items()]))
            words += ["--constraints", str(fixed)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}\nended with {done.returncode}:\n{done.stderr}")
        return read_pins(output.read_text())


def main(upgrade: Sequence[str]) -> None:
    """Write all files, and print what has changed."""

    def resolve(source: str, *options: str, versions: dict[str, str] | None = None) -> list[Pin]:
        return resolve_by_uv(source, *options, versions=versions, upgrade=upgrade)

    for name, text in locks(resolve, (ROOT / CPU_BUILDS).read_text()).items():
        path = ROOT / name
        before = path.read_text() if path.exists() else ""
        path.write_text(text)
        print(f"{name}: {len(read_pins(text))} packages{', as before' if text == before else ''}")


if __name__ == "__main__":
    main(sys.argv[1:])
