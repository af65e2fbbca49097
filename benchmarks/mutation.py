"""How many small faults the tests notice: mutation testing of geometry, patch search, blending and losses.

A mutant is the package with one operator, number, comparison, condition ... changed, as cosmic-ray makes it. Of all of
them a few hundred are drawn at random. Mutants that mean the same as the original, such as those of annotations and
docstrings, are not drawn, nor those of what messages say, and of `zip(strict=True)`, by which the code checks itself
where lengths are equal. Each is given to those tests of its room (TESTS) that run the changed line, which coverage
finds out before; what runs on import, or in fixtures, is given to all of the room.

Mutants are tried two at a time (`--lanes`), in copies of the checkout; tests run in processes that are forked from one
that has imported torch and MONAI. A mutant whose tests take `mutation_tests.LONGEST` seconds is noticed: it never ends.

Run: pip install '.[dev,mutation]', then
python benchmarks/mutation.py [--sample 300] [--minutes 60] [--seed 0] [--lanes 2]
Prints a table and the survivors, and writes benchmarks/results/mutation.json.
"""

from __future__ import annotations

import ast
import itertools
import os
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: tests run side by side, and in forks
sys.dont_write_bytecode = True

import fire
import harness
from mutation_tests import Covering, covering_tests, import_libraries, passes

NAME = "mutation"
GOAL = 0.85
ROOMS = {
    "geometry": ["*.py"],
    "losses": ["*.py"],
    "patches": ["search.py", "cells.py", "groups.py", "island.py", "labelled.py", "lattice.py", "bits.py"],
    "inferers": ["block_layout.py", "block_sums.py", "partial_sums.py", "windows.py", "outputs.py", "block_job.py"],
}
PACKAGE = "bundle/scripts"
TESTS = {
    "geometry": ["test_*.py"],
    "losses": ["test_*.py"],
    "patches": [
        *(f"test_{name}.py" for name in ("bits", "cells", "groups", "island", "search*")),
        *(f"test_{name}.py" for name in ("class_counts", "point_choice", "whole_images")),
        "../transforms/test_intensity.py",
    ],
    "inferers": [
        *(f"test_{name}.py" for name in ("block_layout", "block_sums", "partial_sums", "windows", "outputs")),
        *(f"test_{name}.py" for name in ("block_job", "volume_run", "resume")),
    ],
}


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


def main(sample: int = 300, minutes: float = 60, seed: int = 0, rooms: Any = None, lanes: int = 2) -> None:
    """Make mutants, try them, print and write.

    Args:
        sample: how many are drawn.
        minutes: after which no further one is begun.
        seed: of the draw.
        rooms: which, separated by commas; default: all of geometry, losses, patches, inferers.
        lanes: how many mutants are tried side by side, each by one core.
    """
    chosen = harness.choices("rooms", list(ROOMS) if rooms is None else rooms, ROOMS)
    places = [place for room in chosen for place in find_places(room)]
    random.Random(seed).shuffle(places)
    drawn = list(itertools.islice(filter(None, map(make_mutant, places)), sample))
    print(f"{len(places)} places, {len(drawn)} mutants drawn", flush=True)
    import_libraries()
    begun = time.monotonic()
    outcomes = try_all(drawn, begun + 60 * minutes, lanes)
    rows = [_row(room, outcomes) for room in [*chosen, "all"]]
    survivors = [
        {"place": f"{mutant.place.module}:{mutant.place.line}", "before": mutant.before, "after": mutant.after}
        for mutant, outcome in outcomes
        if outcome == "survived"
    ]
    harness.print_table(f"noticed (goal {GOAL})", rows)
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
    for path in _matching(harness.ROOT / PACKAGE / room, ROOMS[room]):
        nodes = [] if path.name == "__init__.py" else list(ast_nodes(get_ast(path.read_text())))
        for name, operator in operators.items():
            starts = [start[0] for node in nodes for start, _ in operator.mutation_positions(node)]
            found += [Place(room, path.relative_to(harness.ROOT), name, i, line) for i, line in enumerate(starts)]
    return found


def _matching(folder: Path, patterns: list[str]) -> list[Path]:
    return sorted({Path(os.path.normpath(path)) for pattern in patterns for path in folder.glob(pattern)})


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
    """What tests could notice of a module: no annotations, docstrings, texts, `strict`; `None` where it cannot run."""

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

        def visit_Call(self, node: ast.Call) -> ast.AST:
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "strict"]
            return self.generic_visit(node)

        def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
            return ast.Constant("text")

        def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
            return ast.Pass() if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    try:
        return ast.dump(Bare().visit(ast.parse(source)))
    except SyntaxError:
        return None


def try_all(mutants: list[Mutant], end: float, lanes: int) -> list[tuple[Mutant, str]]:
    """Try mutants in copies of the checkout until the time is over; each with `noticed` or `survived`.

    Prints those that survive.

    Raises:
        RuntimeError: for tests that fail without any change.
    """
    copies: Queue[Path] = Queue()
    outcomes: list[tuple[Mutant, str]] = []
    covering: dict[str, Covering] = {}

    def watch(room: str) -> None:
        copy = copies.get()
        tests = _matching(copy / "tests" / room, TESTS[room])
        modules = _matching(copy / PACKAGE / room, ROOMS[room])
        covering[room] = covering_tests(tests, modules, copy)
        copies.put(copy)

    def attempt(mutant: Mutant) -> None:
        if time.monotonic() > end:
            return
        copy = copies.get()
        outcome = "noticed" if is_noticed(mutant, covering[mutant.place.room], copy) else "survived"
        copies.put(copy)
        outcomes.append((mutant, outcome))
        if outcome == "survived":
            print(f"{mutant.place.module}:{mutant.place.line}\n  - {mutant.before}\n  + {mutant.after}", flush=True)
        if len(outcomes) % 20 == 0:
            print(f"{len(outcomes)} of {len(mutants)}: {_row('all', outcomes)}", flush=True)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(lanes) as pool:
        for lane in range(lanes):
            copies.put(copy_checkout(Path(folder) / str(lane)))
        finish(pool, [pool.submit(watch, room) for room in {mutant.place.room: None for mutant in mutants}])
        finish(pool, [pool.submit(attempt, mutant) for mutant in mutants])
    return outcomes


def finish(pool: ThreadPoolExecutor, started: list[Future[None]]) -> None:
    """Wait until all are done, or one has failed; then its error is raised and the others are not begun."""
    done, _ = wait(started, return_when=FIRST_EXCEPTION)
    if any(one.exception() for one in done):
        pool.shutdown(cancel_futures=True)
    for one in done:
        one.result()


def copy_checkout(copy: Path) -> Path:
    """What tests need of the checkout, in a folder where it may be changed."""
    for part in ("bundle", "tests", ".ci"):
        shutil.copytree(harness.ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "output"))
    for part in ("pyproject.toml", "README.md", "Makefile", "CHANGELOG.md", "constraints.txt"):
        shutil.copy(harness.ROOT / part, copy / part)
    return copy


def is_noticed(mutant: Mutant, covering: Covering, copy: Path) -> bool:
    """Whether a test fails with a mutant."""
    path = copy / mutant.place.module
    original = path.read_text()
    stages = covering.stages(mutant.place.module, statement_lines(original, mutant.place.line))
    path.write_text(mutant.source)
    try:
        return any(not passes(tests, copy) for tests in stages)
    finally:
        path.write_text(original)


def statement_lines(source: str, line: int) -> range:
    """Lines of the statement that a line belongs to; of one that has a body, those of its head."""
    heads = [range(line, line + 1)]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            heads.append(range(node.lineno, max(last, node.lineno) + 1))
    return max((head for head in heads[1:] if line in head), key=lambda head: head.start, default=heads[0])


def _row(room: str, outcomes: list[tuple[Mutant, str]]) -> dict[str, Any]:
    said = [outcome for mutant, outcome in outcomes if room in ("all", mutant.place.room)]
    noticed = said.count("noticed")
    return {"share": noticed / len(said) if said else None, "room": room, "tried": len(said), "noticed": noticed}


if __name__ == "__main__":
    fire.Fire(main)
