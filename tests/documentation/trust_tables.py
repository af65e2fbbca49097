"""Tables of the comparison with nnU-Net, of cost as work grows, and of what is estimated on paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tests.documentation.key_tables import markdown_table
from tests.documentation.result_tables import number, result, results_table

_GROWTH = (
    ("search_s", "patch search, time"),
    ("search_mb", "patch search, memory"),
    ("start_s", "start of a training, time"),
    ("step_s", "training step, time"),
    ("training_mb", "training, memory"),
    ("inference_s", "streaming inference, time"),
    ("inference_mb", "streaming inference, memory"),
)


def _scaling() -> str:
    """Costs by edge of the volume, with the slope on log axes."""
    content = result("scaling")
    rows = content["rows"]
    head = ["What", *(f"{row['edge']}^3" for row in rows), "Slope"]
    body = [
        (
            f"{title}, {'s' if key.endswith('_s') else 'MB'}",
            *(number(row[key], ",.3g") for row in rows),
            number(content["slopes"][key], ".2f"),
        )
        for key, title in _GROWTH
    ]
    said = f"Machine: {content['machine']}. Again: `python benchmarks/scaling.py`."
    return f"{said}\n\n" + markdown_table(head, body)


def _survivors() -> str:
    """Mutants that no test noticed: where, and the line before and after."""
    rows = [
        (one["place"].removeprefix("bundle/scripts/"), f"`{one['before']}`", f"`{one['after']}`")
        for one in sorted(result("mutation")["survivors"], key=lambda one: one["place"])
    ]
    return markdown_table(["Place", "Before", "After"], rows)


TRUST_TABLES: Mapping[str, Callable[[], str]] = {
    "hippocampus_accuracy": partial(
        results_table,
        "hippocampus",
        ("accuracy",),
        [
            ("System", "system", ""),
            ("Dice, test cases", "dice", ".4f"),
            ("Anterior", "anterior", ".3f"),
            ("Posterior", "posterior", ".3f"),
            ("Worst case", "worst_case", ".3f"),
            ("Dice, validation cases", "validation", ".4f"),
            ("Seeds", "seeds", ""),
            ("Parameters", "parameters", ","),
        ],
    ),
    "hippocampus_time": partial(
        results_table,
        "hippocampus",
        ("time",),
        [
            ("Ratio to nnU-Net", "ratio", ".2f"),
            ("System", "system", ""),
            ("Seconds an iteration", "s_per_iteration", ".2f"),
            ("Smallest", "smallest", ".2f"),
            ("Largest", "largest", ".2f"),
        ],
    ),
    "scaling": _scaling,
    "mutation": partial(
        results_table,
        "mutation",
        ("rows",),
        [("Room", "room", ""), ("Mutants", "tried", ","), ("Noticed", "noticed", ","), ("Share", "share", ".1%")],
    ),
    "mutation_survivors": _survivors,
    "line_coverage": partial(
        results_table,
        "line_coverage",
        ("rows",),
        [
            ("Room", "name", ""),
            ("Lines", "lines", ".1%"),
            ("Branches", "branches", ".1%"),
            ("Number of lines", "n_lines", ","),
            ("Number of branches", "n_branches", ","),
        ],
    ),
    "scheduler": partial(
        results_table,
        "scheduler",
        ("rows",),
        [
            ("Windows", "windows", ","),
            ("Blocks", "blocks", ","),
            ("Chunks", "chunks", ","),
            ("Layout, s", "layout_s", ".3f"),
            ("All blocks, s", "blocks_s", ".1f"),
            ("Going on, s", "resume_s", ".2f"),
            ("us a window", "us_a_window", ".1f"),
            ("Memory, MB", "memory_mb", ".0f"),
        ],
    ),
    "estimate_hours": partial(
        results_table,
        "estimate",
        ("hours",),
        [
            ("Fleet", "fleet", ""),
            ("Network", "network", ""),
            ("Hours", "hours", ",.0f"),
            ("Bound by", "bound_by", ""),
            ("Arithmetic, h", "arithmetic_h", ",.0f"),
            ("Reading and writing, h", "reading_and_writing_h", ",.0f"),
            ("Driver, h", "driver_h", ",.1f"),
        ],
    ),
    "estimate_limits": partial(
        results_table,
        "estimate",
        ("limits",),
        [("What", "what", ""), ("Amount", "amount", ",.0f"), ("Unit", "unit", "")],
    ),
}
