"""The numbers that have a goal, reached or not."""

from __future__ import annotations

from dataclasses import dataclass

from tests.documentation.key_tables import markdown_table
from tests.documentation.result_tables import number, result


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
    for place, row in enumerate(result("start_up")["rows"]):
        what, case = "seconds from the command to the first batch, patches found before", f"{row['workers']} workers"
        found.append(Goal(what, case, "start_up", ("rows", place, "seconds"), 10.0))
    for place, row in enumerate(result("hippocampus")["time"]):
        if row["system"] != "nnunet":
            what = "time of a training step / that of nnU-Net"
            found.append(Goal(what, f"hippocampus, {row['system']}", "hippocampus", ("time", place, "ratio"), 0.9))
    for place, row in enumerate(result("hippocampus")["accuracy"]):
        if row["system"] != "nnunet":
            what, path = "Dice of unseen cases after 1,000 iterations", ("accuracy", place, "dice")
            found.append(Goal(what, f"hippocampus, {row['system']}", "hippocampus", path, 0.88, at_most=False))
    return found + _against_others()


def _against_others() -> list[Goal]:
    """The same work by this bundle and by other systems, a time each."""
    described = {
        "search": lambda row: (
            f"{row['labels']}, {row['threads']} threads, theirs at {row['their_resolution']} resolution"
        ),
        "loading": lambda row: f"64^3, {row['workers']} workers",
        "inference": lambda row: f"192^3, {row['workers']} workers",
    }
    names = {"search": "patch search", "loading": "patch loading", "inference": "inference from zarr to zarr"}
    return [
        Goal(
            f"time of {names[part]} / that of {row['system']}",
            case(row),
            "reference_systems",
            (part, "rows", place, "ratio"),
            1.0,
        )
        for part, case in described.items()
        for place, row in enumerate(result("reference_systems")[part]["rows"])
    ]


def goals_table() -> str:
    """All goals, those that were missed in bold."""
    rows = []
    for one in goals():
        reached = "yes" if one.is_reached else "**no**"
        bound = f"{'≤' if one.at_most else '≥'}\N{NO-BREAK SPACE}{one.goal}"
        rows.append((one.what, one.case, number(one.value, ".3f"), bound, reached, f"`{one.file}`"))
    return markdown_table(["What", "Case", "Measured", "Goal", "Reached", "Program"], rows)


def _of(key: str) -> list[str]:
    return list(result("patch_search")[key])
