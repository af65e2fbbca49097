"""`evaluate PREDICTION TRUTH`: scores of predictions of any size, as a table, files and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..blockwise import choose_workers
from ..metrics import CELLMAP_VERSION
from .datasplit import as_list
from .evaluation.inputs import Predictions, named_cases
from .evaluation.job import ScoreJob, run_job
from .evaluation.kinds import AUTO, checked_kind
from .evaluation.list import as_region
from .evaluation.measures import CLASSES, Measure, column_table, default_measures, parse_measures
from .evaluation.open import OpenCase, ReadOptions, open_cases
from .evaluation.pictures import worst_pictures
from .evaluation.report import write_evaluation_report
from .evaluation.result import JSON_FILE, REPORT_FILE, Evaluation
from .evaluation.rows import class_rows, crop_rows, overall_scores
from .evaluation.whole import check_memory


def evaluate(
    predictions: Predictions,
    truth: str | Path | None = None,
    *,
    metrics: str | Sequence[str] | None = None,
    output: str | Path | None = "evaluation",
    names: str | Sequence[str] | None = None,
    kind: str = "auto",
    classes: str | Sequence[str] | Mapping[int, str] = "*",
    crops: str | Sequence[str] = "*",
    datasets: str | Sequence[str] = "*",
    mask: str | None = None,
    ignore_label: int | None = None,
    threshold: float = 0.5,
    region: Sequence[Sequence[int]] | None = None,
    spacing: Sequence[float] | None = None,
    resample: bool = True,
    strict: bool = True,
    image: str | None = None,
    pictures: int = 6,
    memory_limit: float = 8e9,
    n_workers: int | None = None,
    threads: int = 2,
    cluster: Any = None,
    dry_run: bool = False,
    overwrite: bool = False,
) -> Evaluation | str:
    """Score predictions against a truth, and write tables and a report.

    They are `scores.csv` (per crop and class), `summary.csv` (per class over all crops), `scores.json` (both, and the
    settings) and `report.html`.

    Everything that is a sum over voxels is counted block by block, whatever the size. Surface distances and the CellMap
    score need a crop in memory, and refuse crops that are too large. `docs/evaluation.md` says what the numbers are.

    Args:
        predictions: path of a prediction, or of several that are compared: a volume, a group with an image per class, a
            tree of crops, a submission to CellMap's challenge (`NAME.zip`), or a pattern with `{dataset}`, `{crop}`,
            `{label}`. Or a JSON file that lists cases, then without `truth` (see `read_cases`).
        truth: path of a volume, of a group with an image per class, of a tree of CellMap's crops, or such a pattern.
        metrics: dice, iou, voi, rand, f1, pq, ap, assd, hausdorff95, surface_dice, ece, mae, r2, epe, angle, cellmap;
            `f1@0.75`, `pq@0.75`, `ap@0.5` set the least IoU, `surface_dice@40` the tolerance. Default: by kind.
        output: folder for the files; `None`: nothing is written.
        names: of the predictions; default from their paths.
        kind: how values are read: `instance` (ids of objects), `semantic` (a mask: above 0, or a probability),
            `classes` (a class per voxel), `scalar`, `vector`, `normal`; `auto`: see `kind_of`.
        classes: classes to score, with wildcards; or for kind `classes` a dictionary, number -> name.
        crops: names or numbers of crops, with wildcards.
        datasets: names of datasets, with wildcards.
        mask: path or pattern of an array whose zeros mark voxels where the truth is unknown.
        ignore_label: value of the truth that stands for unknown; negative ones always do.
        threshold: probability above which a voxel is foreground; of the CellMap score it is 0.5.
        region: part of the truth that counts, `[[z0, y0, x0], [z1, y1, x1]]` in its voxels.
        spacing: voxel size z, y, x: picks a level of the truth; the one of a truth that states none.
        resample: place predictions on the grid of the truth by their position in space: nearest for ids, linear for
            masks, probabilities and numbers. Otherwise shapes must be equal.
        strict: count a crop as all false if it is in too many pieces for the CellMap score; otherwise it is left out.
        image: path or pattern of the image, for the report's pictures.
        pictures: most cases that the report shows, the worst ones.
        memory_limit: bytes that a crop may take for metrics that need it as a whole; a process holds one at a time.
        n_workers: processes that share the work, by Dask; default: this one alone.
        threads: of this process, each with a block of its own; or of each of the processes.
        cluster: address of a Dask scheduler, or a cluster.
        dry_run: say what would be compared, and compare and write nothing.
        overwrite: replace files of an earlier evaluation.

    Returns:
        the scores; printed, they are the summary. Of a dry run the cases.

    Raises:
        FileExistsError: where the output holds an evaluation.
        FileNotFoundError: where a path does not exist.
        TypeError: for ids that are floats.
        ValueError: for volumes that do not fit or do not overlap, a class that is not there, a metric that does not
            exist or fits no case.
    """
    folder = None if output is None else Path(output)
    if folder is not None and (folder / JSON_FILE).exists() and not (overwrite or dry_run):
        raise FileExistsError(f"{folder} holds an evaluation; choose another output, or pass --overwrite to replace it")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold: expected a probability between 0 and 1, got {threshold}")
    if min(threads, 1 if n_workers is None else n_workers) < 1:
        raise ValueError(f"threads and n_workers: expected at least 1, got {threads} and {n_workers}")
    asked = None if metrics is None else parse_measures(as_list(metrics))
    class_names = {int(n): str(name) for n, name in classes.items()} if isinstance(classes, Mapping) else {}
    if class_names and checked_kind(kind) not in (AUTO, CLASSES):
        raise ValueError(f"classes: numbers with names, {class_names}, are for kind {CLASSES}; got kind {kind}")
    titles, cases = named_cases(
        predictions,
        truth,
        names,
        classes="*" if class_names else classes,
        crops=crops,
        datasets=datasets,
        image=image,
        mask=mask,
    )
    read_as = CLASSES if class_names else checked_kind(kind)
    options = ReadOptions(read_as, asked, resample, spacing, as_region(region), ignore_label, threshold)
    opened = open_cases(cases, options)
    measures = asked or default_measures(case.kind for case in opened)
    _check_measures(opened, measures)
    for case in opened:
        check_memory(case, measures, memory_limit)
    if dry_run:
        return _what_would_be_done(opened, measures, titles, folder)
    job = ScoreJob(opened, measures, strict)
    tallies = run_job(job, choose_workers(cluster, n_workers, threads))
    by_class = class_rows(opened, tallies, titles, measures, class_names)
    settings = {
        "predictions": predictions,
        "truth": truth,
        "metrics": [measure.name for measure in measures],
        "kind": read_as,
        "classes": classes,
        "crops": crops,
        "datasets": datasets,
        "mask": mask,
        "ignore_label": ignore_label,
        "threshold": threshold,
        "region": region,
        "spacing": spacing,
        "resample": resample,
        "strict": strict,
        "cellmap_version": CELLMAP_VERSION,
    }
    result = Evaluation(
        titles,
        crop_rows(opened, tallies, titles, measures, class_names),
        by_class,
        overall_scores(by_class, titles),
        column_table(measures),
        settings,
        folder,
    )
    if folder is not None:
        result.write(folder)
        worst = worst_pictures(opened, tallies, titles, pictures, job.block_voxels)
        write_evaluation_report(folder / REPORT_FILE, result, opened, tallies, worst)
    return result


def _what_would_be_done(
    cases: Sequence[OpenCase], measures: Sequence[Measure], names: Sequence[str], folder: Path | None
) -> str:
    lines = [
        f"{' '.join(filter(None, (one.case.dataset, one.case.crop, one.case.label)))} ({one.kind}): "
        f"{' x '.join(map(str, one.size))} voxels"
        for one in cases
    ]
    lines.append(f"metrics {', '.join(measure.name for measure in measures)}; predictions {', '.join(names)}")
    return "\n".join([*lines, f"dry run: {folder or 'nothing'} is not written"])


def _check_measures(cases: Sequence[OpenCase], measures: Sequence[Measure]) -> None:
    """Check that every metric measures something.

    Raises:
        ValueError: for those that fit no case, all at once.
    """
    kinds = list(dict.fromkeys(case.kind for case in cases))
    faults = [
        f"metric '{measure.name}' needs kind {' or '.join(measure.kinds)}, but what is compared is read as "
        f"{', '.join(kinds)}; leave it out, or say by --kind how to read it"
        for measure in measures
        if not set(kinds) & set(measure.kinds)
    ]
    with_probabilities = any(case.has_probabilities(n) for case in cases for n in range(len(case.predictions)))
    if any(measure.base == "ece" for measure in measures) and not faults and not with_probabilities:
        faults.append("metric 'ece' needs probabilities, but the predictions hold whole numbers")
    if faults:
        raise ValueError("\n".join(faults))
