"""Tests in forked processes, for `mutation.py`: which of them run a line, and whether they pass."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import harness

LONGEST = 300
"""Seconds after which tests that still run have failed."""
LONGEST_WATCHED = 1500
"""The same for all tests of a room while coverage watches them."""
SAID, RAN = "said.txt", "ran.coverage"


@dataclass(frozen=True)
class Covering:
    """Which test functions run which lines.

    Args:
        everything: all test files.
        functions: names of test functions as pytest takes them, by module and line; an empty name is that of what runs
            outside of tests: on import, in fixtures.
    """

    everything: list[str]
    functions: Mapping[Path, Mapping[int, set[str]]]

    def stages(self, module: Path, lines: Iterable[int]) -> list[list[str]]:
        """Which tests could notice a change in lines of a module; what is likelier and quicker first."""
        found: set[str] = set()
        for line in lines:
            found |= self.functions.get(module, {}).get(line, set())
        own = f"test_{module.stem}"
        named = sorted(found - {""}, key=lambda name: (own not in name, name))
        return [named, self.everything] if named and "" in found else [named or self.everything]


def covering_tests(tests: Sequence[Path], modules: Sequence[Path], copy: Path) -> Covering:
    """Run tests, and see which lines of modules each of them runs.

    Args:
        tests: files in the copy.
        modules: files in the copy.
        copy: of the checkout.

    Raises:
        RuntimeError: for tests that fail, since they would notice every change.
    """
    from coverage import CoverageData

    files = [str(path.relative_to(copy)) for path in tests]
    if not passes(files, copy, modules, LONGEST_WATCHED):
        said = (copy / SAID).read_text()
        raise RuntimeError(f"{', '.join(files)} fail without any change:\n{said[-4000:]}")
    data = CoverageData(str(copy / RAN))
    data.read()
    functions = {
        path.relative_to(copy): {
            line: {_function(context) for context in contexts}
            for line, contexts in data.contexts_by_lineno(str(path)).items()
        }
        for path in modules
    }
    return Covering(files, functions)


def _function(context: str) -> str:
    """`tests.losses.test_balance.test_one` -> `tests/losses/test_balance.py::test_one`; classes go between."""
    tests, room, file, *names = [*context.split("."), "", ""]
    return "::".join([f"{tests}/{room}/{file}.py", *filter(None, names)]) if tests == "tests" else ""


def passes(tests: Sequence[str], copy: Path, watched: Sequence[Path] = (), longest: float = LONGEST) -> bool:
    """Run tests in a forked process; false where one fails, or all take longer than `longest` seconds.

    Args:
        tests: files or functions.
        copy: of the checkout, where they run.
        watched: modules whose lines are noted in RAN, with the test function that runs them.
        longest: seconds.
    """
    child = os.fork()
    if child == 0:
        _run(tests, copy, watched)
    end = time.monotonic() + longest
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run(tests: Sequence[str], copy: Path, watched: Sequence[Path]) -> None:
    """What the forked process does; it ends here."""
    status = 1
    try:
        os.setsid()
        os.chdir(copy)
        said = os.open(SAID, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        for stream in (0, 1, 2):
            os.dup2(said, stream)
        sys.path[:] = [str(copy / "bundle"), str(copy), *filter(_is_installed, sys.path)]
        import pytest
        from coverage import Coverage

        sys.modules["__main__"] = ModuleType("__main__")  # not this program, which processes that tests start would run
        coverage = Coverage(data_file=RAN, config_file=False, include=[str(path) for path in watched])
        coverage.set_option("run:dynamic_context", "test_function")
        if watched:
            coverage.start()
        words = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        status = int(pytest.main([*words, *tests]))
        if watched:
            coverage.stop()
            coverage.save()
    finally:
        os._exit(status)


def _is_installed(entry: str) -> bool:
    """Whether an entry of `sys.path` is none of the checkout itself, in which the environment may lie."""
    return entry.startswith(sys.prefix) or not entry.startswith(str(harness.ROOT))


def import_libraries() -> None:
    """What all tests import, so that forks need not; the package itself must not be among it."""
    import coverage
    import hypothesis
    import monai.bundle
    import pytest
    import scipy.ndimage
    import skimage.measure
    import torch
    import zarr

    torch.set_num_threads(1)
    del coverage, hypothesis, monai, pytest, scipy, skimage, zarr
    for name in [name for name in sys.modules if name.partition(".")[0] in ("scripts", "tests")]:
        del sys.modules[name]
