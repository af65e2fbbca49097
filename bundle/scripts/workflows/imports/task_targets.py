"""Targets and volumes of a task file as the tables of train.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...geometry import IMAGE_KEY, did_you_mean, target_faults
from ...losses import loss_faults
from .task_file import Entry, Findings, Task, channels_of, is_normal, loss_of, short
from .task_keys import (
    DATASET,
    REDUCTION,
    TARGETS,
    TRAINING,
    VOLUMES,
    choice,
    flag,
    number,
    share,
    whole,
)

DILATION = 5
"""Radius, voxels, by which the old program grew labels."""

_ACTIVATIONS = {word: word for word in ("none", "sigmoid", "softmax")}
_REFERENCE = "sheet"
_SMOOTHING = 0.1  # of their smoothed cross-entropy, where nothing says so
_FACTORS = {"alpha": 0.5, "beta": 0.5}  # likewise, of BCEDiceLoss
_TWICE = "counts twice: theirs moves both classes by it, label_smoothing by its half"
_SMOOTHED = ("dice_bce", "smoothed_bce")


def import_targets(task: Task, findings: Findings) -> None:
    """Write the `targets` table and what the training's keys say of all targets.

    Raises:
        ValueError: for a target that cannot be trained, all faults at once.
    """
    rows = {name: Entry(f"targets.{name}", row) for name, row in task.entries[DATASET][TARGETS].value.items()}
    losses = {name: loss_of(name, entry.value) for name, entry in rows.items()}
    notes: dict[str, list[str]] = {name: [] for name in rows}
    table = {name: _row(entry, losses[name], notes[name]) for name, entry in rows.items()}
    _smooth(task, table, losses, findings)
    _ignore(task, table, findings)
    _only_on_label(task, table, findings)
    faults = target_faults(table) or loss_faults(table)
    if faults:
        raise ValueError("\n".join(faults))
    findings.settings["targets"] = table
    for name, entry in rows.items():
        findings.say(entry, f"targets.{name} = {short(table[name])}", "; ".join(notes[name]))
    _dilate(task, table, findings)


def import_volumes(task: Task, findings: Findings) -> None:
    """Write the `volumes` table.

    Raises:
        ValueError: for a reference label that a volume does not have.
    """
    targets = findings.settings["targets"]
    volumes = []
    for n_volume, row in enumerate(task.entries[DATASET][VOLUMES].value):
        volume = {IMAGE_KEY: row["input"]} | {name: row[name] for name in targets if row.get(name) is not None}
        labels = [name for name in volume if name != IMAGE_KEY]
        reference = row.get("ref_label")
        if reference is not None and reference not in labels:
            raise ValueError(
                f"volume_paths[{n_volume}].ref_label: the volume has no '{reference}'"
                f"{did_you_mean(reference, labels)}; its targets: {', '.join(labels) or 'none'}"
            )
        if reference is None and _REFERENCE in labels:
            reference = _REFERENCE
        volumes.append(volume if reference is None else volume | {"ref_label": reference})
        findings.say(Entry(f"volume_paths[{n_volume}]", row), f"volumes[{n_volume}] = {short(volumes[-1])}")
    findings.settings["volumes"] = volumes


def _row(entry: Entry, loss: str, notes: list[str]) -> dict[str, Any]:
    """Options of one target; what differs goes to the notes."""
    row, name = entry.value, entry.place.partition(".")[2]
    if channels_of(row) is None:
        raise ValueError(f"{entry.place}: 'channels' must be given as a whole number of at least 1")
    options: dict[str, Any] = {"channels": Entry(f"{entry.place}.channels", channels_of(row)).read(whole(1))}
    number_kind = "normal" if is_normal(name, row) else "scalar"
    options["kind"] = {"masked_cosine": "normal", "mse": number_kind}.get(loss, "label")
    options["activation"] = _activation(entry, options, loss, notes)
    options["weight"] = 1.0
    if row.get("weight") is not None:
        options["weight"] = Entry(f"{entry.place}.weight", row["weight"]).read(number)
    options |= _loss(
        Entry(f"{entry.place}.loss_kwargs", row.get("loss_kwargs") or {}), loss, options["channels"], notes
    )
    if options["kind"] == "label" and options["channels"] > 1:
        notes.append("the label must hold one class number per voxel, in one channel; 0 is the background")
    return options


def _activation(entry: Entry, options: Mapping[str, Any], loss: str, notes: list[str]) -> str:
    given = Entry(f"{entry.place}.activation", entry.value.get("activation") or "none").read(
        lambda value: choice(value, _ACTIVATIONS)
    )
    fitting, why = given, ""
    if options["kind"] == "normal":
        fitting, why = "none", "a normal gets unit length instead"
    elif options["kind"] == "label" and options["channels"] > 1 and loss != "ce":
        fitting, why = "sigmoid", "the loss decides each class by itself"
    elif loss == "ce" and given == "sigmoid":
        fitting, why = "softmax", "the loss decides between classes"
    elif options["channels"] == 1 and given == "softmax":
        fitting, why = "sigmoid", "a softmax over one channel is always 1"
    if fitting != given:
        notes.append(f"activation {given} becomes {fitting}: {why}")
    return fitting


def _loss(kwargs: Entry, loss: str, channels: int, notes: list[str]) -> dict[str, Any]:
    """Loss and what belongs to it, as options of a target."""
    given = kwargs.value
    if given.get(REDUCTION, "mean") != "mean":
        notes.append(f"reduction {given[REDUCTION]} becomes the mean over the known voxels")

    def read(key: str, reader: Any = number) -> Any:
        return Entry(f"{kwargs.place}.{key}", given[key]).read(reader)

    if loss == "dice_bce":
        factors = {key: read(key) if key in given else default for key, default in _FACTORS.items()}
        if set(factors) - set(given):
            notes.append("alpha and beta are 0.5 where the file does not say")
        notes.append("alpha is cross_entropy, beta is dice, which is that of the whole batch as theirs")
        parts = {"dice": factors["beta"], "cross_entropy": factors["alpha"]}
        return {"loss": {"name": loss, **parts, "batch_dice": True}}
    options: dict[str, Any] = {"loss": "bce" if loss == "smoothed_bce" else loss}
    for key in ("pos_weight", "weight"):
        if key in given:
            weights = given[key] if isinstance(given[key], list) else [given[key]] * channels
            options["class_weights"] = Entry(f"{kwargs.place}.{key}", weights).read(lambda w: [number(v) for v in w])
    if "label_smoothing" in given:
        options["label_smoothing"] = read("label_smoothing")
    if "smoothing" in given:
        options["label_smoothing"] = 2 * read("smoothing", share)
        notes.append(f"smoothing {_TWICE}")
    if "ignore_index" in given:
        options["ignore_label"] = read("ignore_index", whole())
    return options


def _smooth(task: Task, table: dict[str, Any], losses: Mapping[str, str], findings: Findings) -> None:
    """Their smoothing moves 0 to `s` and 1 to `1 - s`; `label_smoothing` moves both by its half."""
    entry = task.get(TRAINING, "label_smoothing")
    names = [name for name, loss in losses.items() if loss in _SMOOTHED and "label_smoothing" not in table[name]]
    if entry is None:
        entry = Entry("smoothing", _SMOOTHING, is_given=False)
        names = [name for name in names if losses[name] == "smoothed_bce"]
    for name in names:
        table[name]["label_smoothing"] = 2 * entry.read(share)
        findings.say(entry, f"targets.{name}.label_smoothing = {short(table[name]['label_smoothing'])}", _TWICE)
    if not names:
        findings.drop(entry, "no target has a loss that it acts on")


def _ignore(task: Task, table: dict[str, Any], findings: Findings) -> None:
    entry = task.get(TRAINING, "ignore_label")
    if entry is None:
        return
    labels = _labels(table)
    for name in labels:
        table[name]["ignore_label"] = entry.read(whole())
        findings.say(entry, f"targets.{name}.ignore_label = {table[name]['ignore_label']}", _unread(task))
    if not labels:
        findings.drop(entry, "it belongs to labels, and there is none")


def _unread(task: Task) -> str:
    """What is to be known of keys that the successor's documents name and its program does not read."""
    return "their program did not act on it" if task.layout.has_resenc else ""


def _only_on_label(task: Task, table: dict[str, Any], findings: Findings) -> None:
    entry = task.get(TRAINING, "loss_only_on_label")
    if entry is None or not (entry.is_given or entry.value):
        return
    if not entry.read(flag):
        findings.say(entry, "loss_only_on_label = false, the default of a target")
        return
    single = _labels(table, single=True)
    for name in table:
        if name not in single:
            table[name]["loss_only_on_label"] = True
            findings.say(entry, f"targets.{name}.loss_only_on_label = true", _unread(task))
    if single:
        findings.drop(
            entry,
            f"for {', '.join(single)}: a label with 1 channel has nothing but foreground there, so that its loss "
            "counts everywhere, as in their program; give the voxels that count in a 'mask'",
        )


def _dilate(task: Task, table: Mapping[str, Any], findings: Findings) -> None:
    entry = task.get(TRAINING, "dilate_label")
    if entry is None or not (entry.is_given or entry.value):
        return
    voxels = entry.read(lambda value: DILATION * value if isinstance(value, bool) else whole(0)(value))
    labels = _labels(table, single=True)
    if not voxels:
        findings.say(entry, "derive = [], the default")
    elif not labels:
        findings.drop(entry, "no target is a label with 1 channel")
    else:
        transform = {
            "_target_": "scripts.transforms.DilateLabeld",
            "keys": labels,
            "radius": f"${voxels} * min(@spacing)",
        }
        why = f"by {voxels} voxels of the finest axis; patches are searched in the labels as they are stored"
        if any("ignore_label" in table[name] for name in labels):
            why += "; what ignore_label marks grows, too"
        findings.put(entry, findings.settings, "derive", [transform], why)


def _labels(table: Mapping[str, Any], single: bool = False) -> list[str]:
    """Names of the labels, or of those with one channel alone."""
    return [name for name, row in table.items() if row["kind"] == "label" and (row["channels"] == 1 or not single)]
