"""Tables of the page on performance, from what the benchmarks wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.documentation.key_tables import markdown_table

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

Column = tuple[str, str, str]
"""Title, key of a row, and format of the number."""


@dataclass(frozen=True)
class Goal:
    """A number of a result file that has a goal.

    Args:
        what: what is divided by what.
        case: which case of it.
        file: name of the result file.
        path: keys that lead to the number.
        goal: the number to reach.
        at_most: whether the goal is an upper bound.
    """

    what: str
    case: str
    file: str
    path: tuple[str | int, ...]
    goal: float
    at_most: bool = True

    @property
    def value(self) -> float:
        """The number that was measured."""
        found = result(self.file)
        for key in self.path:
            found = found[key]
        return float(found)

    @property
    def is_reached(self) -> bool:
        """Whether the number, as it was measured and not as it is shown, is within the goal."""
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def result(name: str) -> Any:
    """Content of a result file."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def goals() -> list[Goal]:
    """Every number with a goal, reached or not."""
    search = "patch search / decoding the stored chunks once"
    loading = "patches a second, `LoadZarrPatchd` / a plain loop of the fastest reader"
    step = "step of the trainer / bare PyTorch loop"
    whole = "step with loading and augmentation / batches in memory"
    stream = "streaming inference / its forward passes"
    found = [
        *(Goal(search, case, "patch_search", ("labels", case, "ratio_to_decode"), 1.5) for case in _of("labels")),
        Goal(search, "128^3, 0.1 s in all", "main_job", ("patch search", "ratio"), 1.5),
        Goal("search in 65,536^3 / in 4,096^3, same chunks", "", "patch_search", ("extent_ratio",), 1.2),
    ]
    for place, row in enumerate(result("patch_loading")["loading"]):
        if row["case"] == "load" and row["workers"] == 0:
            case = f"{row['layout']}, {row['patch']}^3"
            found.append(Goal(loading, case, "patch_loading", ("loading", place, "ratio"), 0.9, at_most=False))
    for place, row in enumerate(result("training_step")["loading"]["rows"]):
        path = ("loading", "rows", place, "ratio")
        found.append(Goal(whole, f"{row['workers']} workers", "training_step", path, 1.15))
    for place, row in enumerate(result("training_step")["step"]["rows"]):
        found.append(Goal(step, f"network {row['network']}", "training_step", ("step", "rows", place, "ratio"), 1.05))
    found += [
        Goal(step, "128^3, network of train.json", "main_job", ("training step", "ratio"), 1.05),
        Goal(stream, "256^3, 6.6 M parameters", "streaming_inference", ("network", "rows", 0, "ratio"), 1.1),
        Goal(stream, "128^3, 5 s in all", "main_job", ("streaming inference", "ratio"), 1.1),
    ]
    for place, row in enumerate(result("streaming_inference")["trivial"]["rows"]):
        path = ("trivial", "rows", place, "ratio")
        what = "MB a second with hardly any network / copying chunk by chunk"
        found.append(Goal(what, row["input"], "streaming_inference", path, 0.4, at_most=False))
    return found


def goals_table() -> str:
    """All goals, those that were missed in bold."""
    rows = []
    for one in goals():
        reached = "yes" if one.is_reached else "**no**"
        bound = f"{'at most' if one.at_most else 'at least'} {one.goal}"
        rows.append((one.what, one.case, _number(one.value, ".3f"), bound, reached, f"`{one.file}`"))
    return markdown_table(["Ratio", "Case", "Measured", "Goal", "Reached", "Program"], rows)


def results_table(
    file: str, path: Sequence[str], columns: Sequence[Column], keep: Callable[[Any], bool] = lambda row: True
) -> str:
    """Rows of a result file, with the machine and the command above them.

    Args:
        file: name of the file and of the program.
        path: keys that lead to the list of rows; the table above it names the machine.
        columns: what is shown.
        keep: which rows.
    """
    content = result(file)
    tables = [content]
    for key in path:
        tables.append(tables[-1][key])
    machine = next(one["machine"] for one in reversed(tables) if isinstance(one, Mapping) and "machine" in one)
    part = f" {_PARTS[file]} {path[-1] if file == 'multitask' else path[0]}" if file in _PARTS else ""
    body = [tuple(_number(row.get(key), form) for _, key, form in columns) for row in tables[-1] if keep(row)]
    said = f"Machine: {machine}. Again: `python benchmarks/{file}.py{part}`."
    return f"{said}\n\n" + markdown_table([title for title, *_ in columns], body)


def named_table(file: str, path: Sequence[str], first: str, columns: Sequence[Column]) -> str:
    """Like `results_table`, for a table of rows by name."""
    content = result(file)
    rows = content
    for key in path:
        rows = rows[key]
    body = [(name, *(_number(row.get(key), form) for _, key, form in columns)) for name, row in rows.items()]
    said = f"Machine: {content['machine']}. Again: `python benchmarks/{file}.py`."
    return f"{said}\n\n" + markdown_table([first, *(title for title, *_ in columns)], body)


_PARTS = {
    **dict.fromkeys(("patch_loading", "training_step", "streaming_inference", "segmentation"), "--part"),
    **dict.fromkeys(("objects", "multitask"), "--data"),
}
"""Programs that measure one part alone, and the option for it."""


def _of(key: str) -> list[str]:
    return list(result("patch_search")[key])


def _number(value: Any, form: str) -> str:
    """A value as it is shown; empty where there is none."""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) or not form else format(value, form)


def _augmentation(size: str) -> str:
    return named_table(
        "augmentation", (size,), "Transform", [("Mean, ms", "mean_ms", ".1f"), ("Longest, ms", "worst_ms", ".1f")]
    )


PERFORMANCE_TABLES: Mapping[str, Callable[[], str]] = {
    "goals": goals_table,
    "patch_search": partial(
        named_table,
        "patch_search",
        ("labels",),
        "Label array",
        [
            ("Search / decode", "ratio_to_decode", ".2f"),
            ("Search, s", "search_s", ".3f"),
            ("Decode, s", "decode_s", ".3f"),
            ("Stored chunks", "stored_chunks", ","),
            ("Patches", "patches", ","),
            ("Memory, MB", "memory_mb", ".0f"),
        ],
    ),
    "patch_readers": partial(
        results_table,
        "patch_loading",
        ("readers",),
        [
            ("Ratio to zarr-python", "ratio", ".2f"),
            ("Reader", "reader", ""),
            ("Layout", "layout", ""),
            ("Patch edge", "patch", ""),
            ("Threads", "threads", ""),
            ("Patches a second", "per_s", ".0f"),
        ],
    ),
    "patch_loading": partial(
        results_table,
        "patch_loading",
        ("loading",),
        [
            ("Ratio to the raw loop", "ratio", ".2f"),
            ("Layout", "layout", ""),
            ("Patch edge", "patch", ""),
            ("Case", "case", ""),
            ("Workers", "workers", ""),
            ("Patches a second", "per_s", ".0f"),
        ],
    ),
    "patch_cache": partial(
        results_table,
        "patch_loading",
        ("cache",),
        [
            ("Ratio to no cache", "ratio", ".2f"),
            ("Layout", "layout", ""),
            ("Case", "case", ""),
            ("Reads a second", "per_s", ".0f"),
        ],
    ),
    "patch_workers": partial(
        results_table,
        "patch_loading",
        ("workers",),
        [
            ("Ratio to spawn", "ratio", ".2f"),
            ("Workers", "kind", ""),
            ("First batch, s", "first_batch_s", ".1f"),
            ("Batches a second", "batches_per_s", ".1f"),
        ],
    ),
    "training_step": partial(
        results_table,
        "training_step",
        ("step", "rows"),
        [
            ("Trainer / bare loop", "ratio", ".3f"),
            ("With the end of epochs", "ratio_with_end", ".3f"),
            ("Network", "network", ""),
            ("Parameters", "parameters", ","),
            ("Patch", "patch", ""),
            ("Trainer, ms", "trainer_ms", ".0f"),
            ("Bare, ms", "bare_ms", ".0f"),
        ],
    ),
    "training_loading": partial(
        results_table,
        "training_step",
        ("loading", "rows"),
        [
            ("Loading / in memory", "ratio", ".3f"),
            ("Workers", "workers", ""),
            ("Step, ms", "ms", ".0f"),
            ("In memory, ms", "cached_ms", ".0f"),
            ("Patch", "patch", ""),
        ],
    ),
    "inference_network": partial(
        results_table,
        "streaming_inference",
        ("network", "rows"),
        [
            ("Run / forward passes", "ratio", ".3f"),
            ("Run, s", "wall_s", ".1f"),
            ("Forward passes, s", "forward_s", ".1f"),
            ("Windows", "windows", ""),
            ("Bytes read / bytes of the volume", "read_amplification", ".2f"),
        ],
    ),
    "inference_trivial": partial(
        results_table,
        "streaming_inference",
        ("trivial", "rows"),
        [
            ("Inference / copying", "ratio", ".2f"),
            ("Input", "input", ""),
            ("Inference, MB a second", "mb_per_s", ".0f"),
            ("Copying, MB a second", "copy_mb_per_s", ".0f"),
        ],
    ),
    "inference_memory": partial(
        results_table,
        "streaming_inference",
        ("memory", "rows"),
        [
            ("Ratio to the full 512^3", "ratio", ".2f"),
            ("Volume", "case", ""),
            ("Extent", "extent", ""),
            ("Peak, MB", "peak_mb", ".0f"),
            ("Of it the run, MB", "run_mb", ".0f"),
            ("Seconds", "seconds", ".0f"),
        ],
    ),
    "inference_monai": partial(
        results_table,
        "streaming_inference",
        ("monai", "rows"),
        [
            ("Time / MONAI's", "time_ratio", ".2f"),
            ("Memory / MONAI's", "memory_ratio", ".2f"),
            ("Network", "network", ""),
            ("Seconds", "seconds", ".1f"),
            ("MONAI's seconds", "monai_seconds", ".1f"),
            ("Run, MB", "run_mb", ".0f"),
            ("MONAI's run, MB", "monai_run_mb", ".0f"),
        ],
    ),
    "inference_workers": partial(
        results_table,
        "streaming_inference",
        ("workers", "rows"),
        [
            ("Time / one worker", "ratio", ".2f"),
            ("Workers", "workers", ""),
            ("Seconds", "seconds", ".0f"),
            ("Windows", "windows", ""),
            ("Hash of the bytes", "bytes", ""),
        ],
    ),
    "exported": partial(
        results_table,
        "export",
        ("rows",),
        [
            ("Exported / network", "exported / network", ".2f"),
            ("File", "file", ""),
            ("Seconds", "seconds", ".2f"),
            ("Largest difference", "largest difference", ".1e"),
        ],
    ),
    "components": partial(
        results_table,
        "segmentation",
        ("components", "rows"),
        [
            ("Time / cc3d", "time_ratio", ".2f"),
            ("Memory / cc3d", "memory_ratio", ".2f"),
            ("Method", "method", ""),
            ("Seconds", "seconds", ".1f"),
            ("Run, MB", "run_mb", ".0f"),
            ("Objects", "objects", ","),
        ],
    ),
    "agglomeration": partial(
        results_table,
        "segmentation",
        ("agglomeration", "rows"),
        [("Voxels a second", "voxels_per_s", ",.0f"), ("Step", "step", ""), ("Seconds", "seconds", ".2f")],
    ),
    "instance_matching": partial(
        results_table,
        "instance_matching",
        ("rows",),
        [
            ("Plain loop / here", "loop / function", ".0f"),
            ("Scores", "scores", ""),
            ("Seconds", "seconds", ".2f"),
            ("Plain loop, s", "loop_s", ".0f"),
        ],
    ),
    "nuclei": partial(
        results_table,
        "objects",
        ("nuclei", "rows"),
        [
            ("F1 at IoU 0.5", "f1", ".3f"),
            ("Volume", "volume", ""),
            ("True objects", "true", ""),
            ("Found", "found", ""),
            ("Panoptic quality", "panoptic_quality", ".3f"),
            ("VOI, bits", "voi", ".2f"),
        ],
    ),
    "neurons": partial(
        results_table,
        "objects",
        ("em", "rows"),
        [
            ("VOI / one object", "ratio", ".2f"),
            ("Volume", "volume", ""),
            ("Method", "method", ""),
            ("VOI, bits", "voi", ".2f"),
            ("Split", "voi_split", ".2f"),
            ("Merge", "voi_merge", ".2f"),
            ("Adapted Rand error", "adapted_rand_error", ".2f"),
        ],
    ),
    "multitask_phantom": partial(
        results_table,
        "multitask",
        ("tables", "phantom"),
        [
            ("Time / first row", "ratio", ".2f"),
            ("Network", "variant", ""),
            ("Parameters", "parameters", ","),
            ("Sheet, Dice", "sheet_dice", ".3f"),
            ("Normals, degrees", "normals_angle", ".1f"),
        ],
    ),
    "multitask_hippocampus": partial(
        results_table,
        "multitask",
        ("tables", "hippocampus"),
        [
            ("Time / first row", "ratio", ".2f"),
            ("Network", "variant", ""),
            ("Parameters", "parameters", ","),
            ("Organ, Dice", "organ_dice", ".3f"),
            ("Range of the seeds", "organ_dice_spread", ".3f"),
        ],
    ),
    "augmentation_64": partial(_augmentation, "64^3"),
    "augmentation_128": partial(_augmentation, "128^3"),
}
"""What stands between the marks of the page, by name."""
