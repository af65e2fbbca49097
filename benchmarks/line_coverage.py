"""Which lines and branches of the package the tests run.

All tests but those of `make stress`, two files side by side, as `make test test-long` runs them. Processes that tests
start, fork or hand work to are followed; one that is killed outright leaves nothing, so that a line may have run that
is not counted. A branch is a jump that a line can take: an `if` has two.

Run: python benchmarks/line_coverage.py [--processes 2] [--tests tests]
Prints a table by room and the modules that are covered least, and writes benchmarks/results/line_coverage.json. Ends
with status 1 where the share of all lines is below GOAL, or a test fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import fire
import harness

NAME = "line_coverage"
GOAL = 0.92
LEAST = 12
PACKAGE = "bundle/scripts/"
LEFT_OUT = [
    "tests/engines/test_checkpoint_file.py::test_a_file_that_outgrows_the_disk_leaves_the_one_before",
    "tests/engines/test_tensorboard_log.py::test_a_full_disk_does_not_end_a_training",
]
"""Tests that limit the size of all files of a process, in which coverage could not write its own."""


def main(processes: int = 2, tests: str = "tests") -> None:
    """Run tests, print and write.

    Args:
        processes: how many run tests side by side.
        tests: folder or file of tests; of a part of them nothing is written.
    """
    with tempfile.TemporaryDirectory() as folder:
        failed = run_tests(Path(folder), processes, tests)
        modules = read_modules(Path(folder))
    rooms = sorted({room_of(path) for path in modules})
    rows = [row_of(room, [one for path, one in modules.items() if room_of(path) == room]) for room in rooms]
    rows.append(row_of("all", modules.values()))
    least = sorted((row_of(path, [one]) for path, one in modules.items()), key=lambda row: row["lines"])[:LEAST]
    harness.print_table(f"share of lines and branches that tests run (goal {GOAL} of lines)", rows)
    harness.print_table("covered least", least)
    if Path(tests) == Path("tests"):
        content = {"machine": harness.machine(), "goal": GOAL, "rows": rows, "least": least}
        harness.write_results(NAME, content)
    if failed or rows[-1]["lines"] < GOAL:
        raise SystemExit("tests failed" if failed else f"fewer than {GOAL:.0%} of the lines")


def run_tests(folder: Path, processes: int, tests: str) -> bool:
    """Run tests, following their processes; whether any failed. What ran is left in `folder`."""
    words = ["-m", "not stress", "-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder", "-W", QUIET]
    words += [f"--deselect={test}" for test in LEFT_OUT]
    known = {"COVERAGE_FILE": str(folder / "ran"), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-m", "coverage", "run", "-m", "pytest", *words, tests]
    return subprocess.run(program, cwd=harness.ROOT, env=os.environ | known).returncode != 0


QUIET = "ignore::coverage.exceptions.CoverageWarning"
"""Tests make warnings errors, and coverage warns in processes that never import the package."""


def read_modules(folder: Path) -> dict[str, dict[str, Any]]:
    """What coverage counted of each module, by its path in the checkout."""
    known = os.environ | {"COVERAGE_FILE": str(folder / "ran")}
    report = folder / "report.json"
    for words in (["combine", "--quiet"], ["json", "--quiet", "-o", str(report)]):
        subprocess.run([sys.executable, "-m", "coverage", *words], cwd=harness.ROOT, env=known, check=True)
    files = json.loads(report.read_text())["files"]
    return {path: content["summary"] for path, content in files.items() if path.startswith(PACKAGE)}


def room_of(path: str) -> str:
    """The folder that a module lies in; `scripts` for those in none."""
    first, _, rest = path.removeprefix(PACKAGE).partition("/")
    return first if rest else "scripts"


def row_of(name: str, counts: Collection[dict[str, Any]]) -> dict[str, Any]:
    """Shares of modules taken together."""
    keys = ("covered_lines", "num_statements", "covered_branches", "num_branches")
    ran, lines, jumped, branches = (sum(one[key] for one in counts) for key in keys)
    return {
        "name": name,
        "lines": ran / lines if lines else 1.0,
        "branches": jumped / branches if branches else 1.0,
        "n_lines": lines,
        "n_branches": branches,
    }


if __name__ == "__main__":
    fire.Fire(main)
