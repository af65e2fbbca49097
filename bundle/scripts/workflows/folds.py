"""`folds`: a training for every fold of a cross-validation, and a table over all of them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..blockwise import choose_workers
from .cross_validation.plan import FoldPlan
from .cross_validation.table import PARTS, fold_row, show_table, with_summary, write_table
from .datasplit import as_list
from .landmark_results.folds import FOLDS_SUMMARY, pool_summaries
from .landmark_results.results import PREDICTIONS
from .sweeps.job import Runner, do_runs, run_command
from .sweeps.run import DONE_STATE, Run, shown

TABLE = "folds.csv"


def folds(
    *,
    config_file: str | Sequence[str],
    output_dir: str | Path = "output/folds",
    n_folds: int | None = None,
    folds: Sequence[int] | int | str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    **settings: Any,
) -> str:
    """Train every fold of a cross-validation, and put what they reached into one table.

    Where all of them predicted landmarks, scores over all images together go to `validation/folds_summary.csv` and
    `test/folds_summary.csv`.

    A fold that is done is not done again; one that was begun goes on from its last checkpoint. One that fails does not
    stop the others. Every other option, `--key value`, is a setting of the training.

    Args:
        config_file: configs of a training, `"['configs/train.json','configs/landmarks.json']"`.
        output_dir: the folds go to `fold_0`, `fold_1`, ... in it, the table to `folds.csv`.
        n_folds: how many folds to divide the data into; where `landmark_file` is a folder of `fold0.json` and so on,
            how many of these. Default: that of the config, or all files.
        folds: which ones to train, `0,2`. Default: all.
        workers: so many folds side by side, in worker processes of Dask.
        cluster: address of a Dask scheduler, such as `tcp://host:8786`, whose workers train.
        dry_run: show the commands and write the settings, but train nothing.
        overwrite: throw away folds with other settings that lie in the same folders.
        settings: of the training.

    Returns:
        the table, and the files that were written.

    Raises:
        FileNotFoundError: for a config or a fold file that does not exist.
        ValueError: for a fold that there is not, and for folders that hold folds with other settings.
        ChildProcessError: that says which folds failed.
    """
    plan = FoldPlan([str(one) for one in as_list(config_file)], output_dir, n_folds, settings)
    chosen = _chosen(plan, folds)
    _settle(chosen, overwrite and not dry_run)
    if dry_run:
        for run in chosen:
            run.write()
        return "\n".join(f"{run.name}: {run.state}\n  {shown(run.commands[0])}" for run in chosen)
    return run_folds(plan, chosen, choose_workers(cluster, workers))


def run_folds(plan: FoldPlan, chosen: Sequence[Run], workers: Any, runner: Runner = run_command) -> str:
    """Train what is not done of the chosen folds, and write the table over all that are done.

    Returns:
        the table, and the files that were written.

    Raises:
        ChildProcessError: that says which folds failed.
    """
    open_runs = [run for run in chosen if run.state != DONE_STATE]
    done, failed = do_runs(open_runs, workers, runner)
    said = [f"{len(done)} folds done, {len(chosen) - len(open_runs)} were done before, {len(failed)} not done"]
    results = {number: plan.results_dir(number) for number, run in plan.runs.items() if run.state == DONE_STATE}
    if results:
        table = with_summary([fold_row(number, plan.runs[number].folder, path) for number, path in results.items()])
        files = [write_table(table, plan.root / TABLE), *_pool(list(results.values()), plan.root)]
        said += [show_table(table), *(f"written: {file}" for file in files)]
    if failed:
        said += [f"{name}: {fault}" for name, fault in failed.items()]
        raise ChildProcessError("\n".join(said))
    return "\n".join(said)


def _pool(results: Sequence[Path], root: Path) -> list[Path]:
    """Write scores over the landmarks of all folds together, where all of them predicted some."""
    files = []
    for part in PARTS:
        folders = [folder / part for folder in results if (folder / part / PREDICTIONS).is_file()]
        if len(folders) == len(results) > 1:
            pool_summaries(folders, root / part)
            files.append(root / part / FOLDS_SUMMARY)
    return files


def _chosen(plan: FoldPlan, folds: Sequence[int] | int | str | None) -> list[Run]:
    if folds is None:
        return list(plan.runs.values())
    known = {str(number): run for number, run in plan.runs.items()}
    wanted = list(dict.fromkeys(str(one) for one in as_list(folds)))
    if wrong := [one for one in wanted if one not in known]:
        raise ValueError(f"folds: there is no fold {', '.join(wrong)}; there are {', '.join(known)}")
    return [known[one] for one in wanted]


def _settle(runs: Sequence[Run], overwrite: bool) -> None:
    """Make sure that no folder holds a fold with other settings."""
    stale = [(run, fault) for run in runs if (fault := run.fault())]
    if stale and not overwrite:
        lines = "\n".join(fault for _, fault in stale)
        raise ValueError(f"{lines}\nChoose another --output_dir, or pass --overwrite to throw these folds away")
    for run, _ in stale:
        shutil.rmtree(run.folder)
