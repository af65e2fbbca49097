"""`sweep FILE`: pre-trainings, heads and their validation for every combination of some settings."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..blockwise import choose_workers
from ..geometry import did_you_mean
from .datasplit import as_list
from .sweeps.experiment import Experiment, Notes
from .sweeps.file import read_experiment
from .sweeps.job import Runner, do_runs, run_command
from .sweeps.plan import LATEST, Plan
from .sweeps.run import DONE_STATE, MODES, Run, shown
from .sweeps.table import collect_best, write_best, write_plot

BEST, PLOT = "best_metrics.csv", "best_metrics.png"

_MODES = {"contrastive": ("contrastive",), "emb": ("emb",), "seg": ("points", "seg"), "val": ("val",)}
"""Runs of each mode of the command line."""


def sweep(
    param_dict: str | Path,
    *,
    output: str | Path = "experiments",
    dataset: str | None = None,
    name: str | None = None,
    mode: str | None = None,
    index: int | None = None,
    head_index: int | None = None,
    checkpoints: Sequence[int] | int | str = LATEST,
    dry_run: bool = False,
    workers: int | None = None,
    cluster: str | None = None,
    overwrite: bool = False,
) -> str:
    """Train, embed and validate every combination of the settings of a file.

    What is done already is not done again; what was begun goes on from its last checkpoint. A run that fails stops
    none but those that need it.

    Args:
        param_dict: Contraband's `param_dict.json`, or tables of the bundle's own keys.
        output: folder of all experiments; this one goes to `<output>/<dataset>/<name>`.
        dataset: a word for the data. Default: the name of the first image's store.
        name: of the experiment. Default: the name of the file, or of the folder of a `param_dict.json`.
        mode: contrastive, emb, seg or val. Default: all, in this order.
        index: number of the combination of pre-training and model. Default: all.
        head_index: number of the head. Default: all.
        checkpoints: pre-training iterations whose checkpoints are used, `5000,10000`, or `latest`.
        dry_run: write the files and show the commands, but run none.
        workers: so many runs side by side, in worker processes of Dask.
        cluster: address of a Dask scheduler, such as `tcp://host:8786`, whose workers do the runs.
        overwrite: throw away runs with other settings that lie in the same folders.

    Returns:
        what there was to do, and what was done.

    Raises:
        FileNotFoundError: where the file does not exist.
        ValueError: for unknown keys and numbers, for folders that hold other runs, and for runs that are needed first.
        ChildProcessError: that says which runs failed.
    """
    experiment = read_experiment(param_dict)
    root = Path(output) / (dataset or _dataset_of(experiment)) / (name or _name_of(Path(param_dict)))
    plan = Plan(experiment, root, _numbers(checkpoints))
    chosen = choose_runs(plan, mode, index, head_index)
    said = [_summary(plan, chosen)]
    _settle(chosen, overwrite and not dry_run)
    plan.root.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(param_dict, plan.root / "param_dict.json")
    if dry_run:
        for run in chosen:
            run.write()
        return "\n".join([*said, *(line for run in chosen for line in _lines(run))])
    done, failed = run_plan(plan, chosen, choose_workers(cluster, workers))
    n_skipped = len(chosen) - len(done) - len(failed)
    said.append(f"{len(done)} runs done, {n_skipped} were done before, {len(failed)} not done")
    said += [str(path) for path in write_results(plan)]
    if failed:
        said += [f"{name}: {fault}" for name, fault in failed.items()]
        raise ChildProcessError("\n".join(said))
    return "\n".join(said)


def choose_runs(
    plan: Plan, mode: str | None = None, index: int | None = None, head_index: int | None = None
) -> list[Run]:
    """The runs of a plan that are asked for, in an order in which they can be done.

    Raises:
        ValueError: for a mode or number that there is not, and where nothing is to be done.
    """
    if mode is not None and mode not in _MODES:
        raise ValueError(f"mode: expected one of {', '.join(_MODES)}; got {mode!r}{did_you_mean(str(mode), _MODES)}")
    for option, value, count in (
        ("index", index, len(plan.experiment.combinations)),
        ("head_index", head_index, len(plan.experiment.heads)),
    ):
        if value is not None and not (isinstance(value, int) and 0 <= value < count):
            raise ValueError(f"{option}: expected a number from 0 to {count - 1}, got {value!r}")
    wanted = [
        run
        for kind in (MODES if mode is None else _MODES[mode])
        for run in plan.runs.values()
        if run.mode == kind and _is_asked_for(plan, run, index, head_index)
    ]
    needed = {need for run in wanted for need in run.needs}
    wanted = [run for run in wanted if run.mode != "points" or run.name in needed]
    if not wanted:
        raise ValueError(
            f"nothing to do for mode = {mode}, index = {index}, head_index = {head_index}: the plan has "
            f"{len(plan.runs)} runs"
        )
    return wanted


def run_plan(
    plan: Plan, chosen: Sequence[Run], workers: Any, runner: Runner = run_command
) -> tuple[list[str], Mapping[str, str]]:
    """Do the chosen runs that are not done.

    Returns:
        names of the runs that were done, and of those that were not, with what went wrong.

    Raises:
        ValueError: where a run needs one that is neither done nor chosen.
    """
    names = {run.name for run in chosen}
    open_runs = [run for run in chosen if run.state != DONE_STATE]
    lacking = sorted(
        {need for run in open_runs for need in run.needs if need not in names and plan.runs[need].state != DONE_STATE}
    )
    if lacking:
        modes = {plan.runs[need].mode for need in lacking}
        raise ValueError(
            f"these runs are needed first: {', '.join(lacking)}; do them by --mode "
            f"{' and --mode '.join(mode for mode, kinds in _MODES.items() if set(kinds) & modes)}, or leave out --mode"
        )
    return do_runs(open_runs, workers, runner)


def write_results(plan: Plan) -> list[Path]:
    """Write the table and the picture of what is validated; no file where nothing is."""
    rows = collect_best(plan.heads, plan.root)
    if not rows:
        return []
    return [write_best(rows, plan.root / BEST), write_plot(rows, plan.root / PLOT)]


def _is_asked_for(plan: Plan, run: Run, index: int | None, head_index: int | None) -> bool:
    i, j = plan.indices[run.name]
    return (index is None or i in (None, index)) and (head_index is None or j in (None, head_index))


def _settle(runs: Sequence[Run], overwrite: bool) -> None:
    """Make sure that no folder holds another run."""
    stale = [(run, fault) for run in runs if (fault := run.fault())]
    if stale and not overwrite:
        lines = "\n".join(fault for _, fault in stale)
        raise ValueError(f"{lines}\nChoose another --name, or pass --overwrite to throw these runs away")
    for run, _ in stale:
        shutil.rmtree(run.folder, ignore_errors=True)  # it may lie in one that is gone


def _summary(plan: Plan, chosen: Sequence[Run]) -> str:
    experiment = plan.experiment
    notes = Notes(dropped=[line for one in _all_notes(experiment) for line in one.dropped])
    states = [run.state for run in chosen]
    said = (
        f"{plan.root}: {len(experiment.contrastive)} settings x {len(experiment.models)} models, "
        f"{len(experiment.heads)} heads; {len(chosen)} runs, of which {states.count(DONE_STATE)} are done"
    )
    return f"{said}\n{notes}".rstrip()


def _all_notes(experiment: Experiment) -> list[Notes]:
    return [one.notes for one in (*experiment.models, *experiment.contrastive, *experiment.heads)]


def _lines(run: Run) -> list[str]:
    return [f"{run.name}: {run.state}", *(f"  {shown(command)}" for command in run.commands)]


def _numbers(checkpoints: Sequence[int] | int | str) -> list[int] | str:
    if checkpoints == LATEST:
        return LATEST
    try:
        return [int(one) for one in as_list(checkpoints)]
    except (TypeError, ValueError):
        raise ValueError(
            f"checkpoints: expected numbers such as 5000,10000, or {LATEST}; got {checkpoints!r}"
        ) from None


def _dataset_of(experiment: Experiment) -> str:
    """Name of the first image's store."""
    rows = experiment.combinations[0].settings.get("volumes")
    image = rows[0].get("image") if isinstance(rows, list) and rows and isinstance(rows[0], Mapping) else None
    found = re.search(r"([^/]+?)(\.ome)?\.(zarr|n5|nii|tiff?)\b", str(image))
    if found is None:
        raise ValueError(f"give a word for the data as --dataset; the first image is {json.dumps(image)}")
    return found[1]


def _name_of(path: Path) -> str:
    return path.absolute().parent.name if path.stem == "param_dict" else path.stem
