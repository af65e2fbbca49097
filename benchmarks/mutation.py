"""How many small faults the tests notice: mutation testing of geometry, patch search, blending and losses.

A mutant is the package with one operator, number, comparison, condition ... changed, as cosmic-ray makes it. Of all of
them a few hundred are drawn at random. Each is given to the tests of its module, and if they notice nothing, to those
of its whole room (of `inferers`, to those named in MORE). Mutants that mean the same as the original, such as those of
annotations and docstrings, are not drawn, nor those of what messages say.

Mutants are tried two at a time, in copies of the checkout; tests run in processes that are forked from one that has
imported torch and MONAI. A mutant whose tests take LONGEST seconds is noticed: it never ends.

Run: pip install '.[mutation]', then python benchmarks/mutation.py [--sample 300] [--minutes 60] [--seed 0]
Prints a table and the survivors, and writes benchmarks/results/mutation.json.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: tests run side by side, and in forks
sys.dont_write_bytecode = True

import fire
import harness

NAME = "mutation"
GOAL = 0.85
LONGEST = 300
ROOMS = {
    "geometry": ["*.py"],
    "losses": ["*.py"],
    "patches": ["search.py", "cells.py", "groups.py", "island.py", "labelled.py", "lattice.py", "bits.py"],
    "inferers": ["block_layout.py", "block_sums.py", "partial_sums.py", "windows.py", "outputs.py", "block_job.py"],
}
MORE = {"inferers": ["tests/inferers/test_volume_run.py", "tests/inferers/test_resume.py"]}
LANES = 2


@dataclass(frozen=True)
class Place:
    """Where an operator can change something.

    Args:
        room: of the module.
        module: path in the checkout.
        operator: cosmic-ray's name of the change.
        number: of the place among those of this operator in the module.
        line: where it is.
    """

    room: str
    module: Path
    operator: str
    number: int
    line: int


@dataclass(frozen=True)
class Mutant:
    """One changed place.

    Args:
        place: what is changed.
        before, after: its line.
        source: the whole module, changed.
    """

    place: Place
    before: str
    after: str
    source: str

    def tests(self) -> list[list[str]]:
        """Test files that are tried, those of the module first."""
        room = self.place.room
        own = [f"tests/{room}/{path.name}" for path in _own_tests(room, self.place.module.stem)]
        rest = MORE.get(room, [f"tests/{room}"])
        return [files for files in (own, rest) if files]


def main(sample: int = 300, minutes: float = 60, seed: int = 0, rooms: Any = None) -> None:
    """Make mutants, try them, print and write.

    Args:
        sample: how many are drawn.
        minutes: after which no further one is begun.
        seed: of the draw.
        rooms: which, separated by commas; default: all of geometry, losses, patches, inferers.
    """
    chosen = harness.choices("rooms", list(ROOMS) if rooms is None else rooms, ROOMS)
    places = [place for room in chosen for place in find_places(room)]
    random.Random(seed).shuffle(places)
    drawn = list(itertools.islice(filter(None, map(make_mutant, places)), sample))
    print(f"{len(places)} places, {len(drawn)} mutants drawn", flush=True)
    _import_libraries()
    begun = time.monotonic()
    outcomes = try_all(drawn, begun + 60 * minutes)
    rows = [_row(room, outcomes) for room in [*chosen, "all"]]
    survivors = [
        {"place": f"{mutant.place.module}:{mutant.place.line}", "before": mutant.before, "after": mutant.after}
        for mutant, outcome in outcomes
        if outcome == "survived"
    ]
    harness.print_table(f"noticed (goal {GOAL})", rows)
    for one in survivors:
        print(f"{one['place']}\n  - {one['before']}\n  + {one['after']}")
    content = {"machine": harness.machine(), "goal": GOAL, "places": len(places), "seed": seed}
    elapsed = (time.monotonic() - begun) / 60
    harness.write_results(NAME, {**content, "minutes": elapsed, "rows": rows, "survivors": survivors})


def find_places(room: str) -> list[Place]:
    """Every place of a room's modules that an operator can change, whether that means anything or not."""
    try:
        from cosmic_ray.ast import ast_nodes, get_ast
        from cosmic_ray.plugins import get_operator, operator_names
    except ImportError as error:
        raise ImportError(f"mutants need {error.name}: pip install '.[mutation]'") from error
    kinds = {name: get_operator(name) for name in operator_names()}
    operators = {name: kind() for name, kind in kinds.items() if not kind.arguments()}
    found = []
    folder = harness.ROOT / "bundle" / "scripts" / room
    for path in sorted(path for pattern in ROOMS[room] for path in folder.glob(pattern)):
        nodes = [] if path.name == "__init__.py" else list(ast_nodes(get_ast(path.read_text())))
        for name, operator in operators.items():
            starts = [start[0] for node in nodes for start, _ in operator.mutation_positions(node)]
            found += [Place(room, path.relative_to(harness.ROOT), name, i, line) for i, line in enumerate(starts)]
    return found


def make_mutant(place: Place) -> Mutant | None:
    """The mutant of a place; `None` where it means the same as the original."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    source = (harness.ROOT / place.module).read_text()
    changed = mutate_code(source, get_operator(place.operator)(), place.number)
    if changed is None or _meaning(changed) in (_meaning(source), None):
        return None
    pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
    before, after = next(((one, other) for one, other in pairs if one != other), ("", ""))
    return Mutant(place, before.strip(), after.strip(), changed)


def _meaning(source: str) -> str | None:
    """What the tests could notice of a module: no annotations, docstrings, texts; `None` where it is no Python."""

    class Bare(ast.NodeTransformer):
        def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
            node.annotation = ast.Constant(None)
            return self.generic_visit(node)

        def visit_arg(self, node: ast.arg) -> ast.AST:
            node.annotation = None
            return node

        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
            node.returns = None
            return self.generic_visit(node)

        def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
            return ast.Constant("text")

        def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
            return ast.Pass() if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    try:
        return ast.dump(Bare().visit(ast.parse(source)))
    except SyntaxError:
        return None


def _own_tests(room: str, module: str) -> Iterator[Path]:
    folder = harness.ROOT / "tests" / room
    yield from sorted(folder.glob(f"test_{module}*.py"))


def try_all(mutants: list[Mutant], end: float) -> list[tuple[Mutant, str]]:
    """Try mutants in copies of the checkout until the time is over; each with `noticed` or `survived`.

    Raises:
        RuntimeError: for tests that fail without any change.
    """
    copies: Queue[Path] = Queue()
    outcomes: list[tuple[Mutant, str]] = []

    def attempt(mutant: Mutant) -> None:
        if time.monotonic() > end:
            return
        copy = copies.get()
        try:
            outcomes.append((mutant, "noticed" if is_noticed(mutant, copy) else "survived"))
        finally:
            copies.put(copy)
        if len(outcomes) % 20 == 0:
            print(f"{len(outcomes)} of {len(mutants)}: {_row('all', outcomes)}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for lane in range(LANES):
            copies.put(copy_checkout(Path(folder) / str(lane)))
        with ThreadPoolExecutor(LANES) as pool:
            tries = [pool.submit(attempt, mutant) for mutant in mutants]
            done, _ = wait(tries, return_when=FIRST_EXCEPTION)
            pool.shutdown(cancel_futures=True)
        for one in done:
            one.result()
    return outcomes


def copy_checkout(copy: Path) -> Path:
    """What tests need of the checkout, in a folder where it may be changed."""
    for part in ("bundle", "tests", ".ci"):
        shutil.copytree(harness.ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "output"))
    for part in ("pyproject.toml", "README.md", "Makefile", "CHANGELOG.md", "constraints.txt"):
        shutil.copy(harness.ROOT / part, copy / part)
    return copy


def is_noticed(mutant: Mutant, copy: Path) -> bool:
    """Whether a test fails with a mutant."""
    for files in mutant.tests():
        check_unchanged(tuple(files), copy)
    path = copy / mutant.place.module
    original = path.read_text()
    path.write_text(mutant.source)
    try:
        return any(not passes(files, copy) for files in mutant.tests())
    finally:
        path.write_text(original)


@functools.cache
def check_unchanged(files: tuple[str, ...], copy: Path) -> None:
    """Tests that fail by themselves would notice everything.

    Raises:
        RuntimeError: where they do.
    """
    if not passes(list(files), copy):
        raise RuntimeError(f"{', '.join(files)} fail without any change, in {copy}")


def passes(files: list[str], copy: Path) -> bool:
    """Run test files in a forked process; false where one fails or takes too long."""
    child = os.fork()
    if child == 0:
        _run_tests(files, copy)
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run_tests(files: list[str], copy: Path) -> None:
    """What the forked process does; it ends here."""
    status = 1
    try:
        os.setsid()
        os.chdir(copy)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        sys.path[:] = [str(copy / "bundle"), str(copy), *(p for p in sys.path if not p.startswith(str(harness.ROOT)))]
        import pytest

        words = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        status = int(pytest.main([*words, *files]))
    finally:
        os._exit(status)


def _import_libraries() -> None:
    """What all tests import, so that forks need not; the package itself must not be among it."""
    import hypothesis
    import monai.bundle
    import pytest
    import scipy.ndimage
    import skimage.measure
    import torch
    import zarr

    torch.set_num_threads(1)
    del hypothesis, monai, pytest, scipy, skimage, zarr
    for name in [name for name in sys.modules if name.partition(".")[0] in ("scripts", "tests")]:
        del sys.modules[name]


def _row(room: str, outcomes: list[tuple[Mutant, str]]) -> dict[str, Any]:
    said = [outcome for mutant, outcome in outcomes if room in ("all", mutant.place.room)]
    noticed = said.count("noticed")
    return {"share": noticed / len(said) if said else None, "room": room, "tried": len(said), "noticed": noticed}


if __name__ == "__main__":
    fire.Fire(main)
