"""What a `param_dict.json` says about a training: length, optimiser, volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ..import_task import PARAMETERS
from ..imports.task_file import Entry, Findings
from .experiment import TRAIN, VALIDATE
from .param_dict_values import choice, positive, whole

EMBEDDINGS = "embs"
"""What Contraband calls the image of a volume whose embeddings are read in its place."""

_OPTIMIZERS = {"adam": "torch.optim.Adam"}


def import_training(entries: Mapping[str, Entry], findings: Findings, *, batch_size: int | None = None) -> None:
    """Write length, optimiser and batch size.

    Args:
        entries: of `contrastive` or `seg`.
        findings: get the settings.
        batch_size: where the file does not say.
    """
    settings = findings.settings
    _import_length(entries, findings)
    if "lr" in entries:
        findings.put(entries["lr"], settings, "learning_rate", entries["lr"].read(positive))
    batch = entries.get("batch_size")
    if batch is not None:
        findings.put(batch, settings, "batch_size", batch.read(whole))
    elif batch_size is not None:
        settings["batch_size"] = batch_size
        findings.mapped.append(f"their batches hold one crop -> batch_size = {batch_size}")
    _import_optimizer(entries, findings)


def import_normalization(entries: Mapping[str, Entry], findings: Findings) -> None:
    """Write how intensities are brought to 0 to 1."""
    if "norm_factor" in entries:
        entries["norm_factor"].read(positive)
        findings.put(
            entries["norm_factor"], findings.settings, "normalization", "min_max", "the volume's range becomes 0 to 1"
        )


def image_rows(entries: Mapping[str, Entry], findings: Findings) -> list[dict[str, Any]]:
    """Rows of volumes of a pre-training.

    Raises:
        ValueError: where the file names no image.
    """
    file, names = _required(entries, "data_file"), _required(entries, "dataset")
    listed = names.value if isinstance(names.value, list) else [names.value]
    rows = [{"image": join(file, names, name)} for name in listed]
    for entry in (file, names):
        findings.put(entry, findings.settings, "volumes", rows)
    return rows


def labelled_rows(entries: Mapping[str, Entry], findings: Findings, embedded: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of volumes of a head: what trains, and what validates.

    Args:
        entries: of `seg`.
        findings: get a note.
        embedded: datasets that are embedded, one of which `embs` stands for.

    Raises:
        ValueError: where the file lacks one of them, or `embs` fits no image.
    """
    file, parts = _required(entries, "data_file"), _required(entries, "dataset")
    rows = []
    for part, split in (("train", TRAIN), ("validate", VALIDATE)):
        names = (parts.value if isinstance(parts.value, Mapping) else {}).get(part)
        if not isinstance(names, Mapping) or not {"raw", "gt"} <= set(names):
            raise ValueError(f'{parts}: expected {{"{part}": {{"raw": NAME, "gt": NAME}}}} among others')
        raw = names["raw"] if names["raw"] != EMBEDDINGS else _embedded_image(str(names["gt"]), embedded, parts)
        rows.append({"image": join(file, parts, raw), "labels": join(file, parts, names["gt"]), "split": split})
    for entry in (file, parts):
        findings.say(entry, f"volumes = {rows}")
    return rows


def join(file: Entry, place: Entry, name: Any) -> str:
    """Path of an array in a zarr.

    Raises:
        ValueError: where either is no text.
    """
    if not isinstance(file.value, str) or not isinstance(name, str):
        raise ValueError(f"{file}, {place}: expected the path of a zarr, and names of arrays in it")
    return f"{file.value.rstrip('/')}/{name}"


def _import_length(entries: Mapping[str, Entry], findings: Findings) -> None:
    settings = findings.settings
    length = _required(entries, "num_iterations")
    n_iterations = length.read(whole)
    every = entries.get("save_every", Entry("save_every", n_iterations, is_given=False))
    steps = min(every.read(whole), n_iterations)
    epochs = -(-n_iterations // steps)
    settings |= {"max_epochs": epochs, "max_steps_per_epoch": steps, "keep_last": epochs}
    more = (
        f"{epochs * steps} iterations, so that the last checkpoint is one, too" if epochs * steps > n_iterations else ""
    )
    findings.say(length, f"max_epochs = {epochs}, max_steps_per_epoch = {steps}", more)
    findings.say(every, f"max_steps_per_epoch = {steps}, keep_last = {epochs}", "a checkpoint ends each epoch")


def _import_optimizer(entries: Mapping[str, Entry], findings: Findings) -> None:
    settings = findings.settings
    optimizer = entries.get("optimizer", Entry("optimizer", "adam", is_given=False))
    settings["optimizer"] = {
        "_target_": optimizer.read(lambda value: choice(value, _OPTIMIZERS)),
        "params": PARAMETERS,
        "lr": "@learning_rate",
        "weight_decay": "@weight_decay",
    }
    settings["lr_scheduler"] = {
        "_target_": "torch.optim.lr_scheduler.ConstantLR", "optimizer": "@optimizer", "factor": 1.0
    }  # fmt: skip
    findings.say(optimizer, "optimizer = torch.optim.Adam; lr_scheduler = ConstantLR")
    for key, new, default in (("decay", "weight_decay", 0.0), ("clipnorm", "clip_norm", None)):
        settings[new] = default
        if key in entries:
            findings.put(entries[key], settings, new, entries[key].read(positive))


def _required(entries: Mapping[str, Entry], key: str) -> Entry:
    if key not in entries:
        raise ValueError(f"expected the key {key}; there are {', '.join(entries)}")
    return entries[key]


def _embedded_image(truth: str, embedded: Sequence[str], place: Entry) -> str:
    """The image that stands beside a truth, among those that are embedded."""
    beside = [name for name in embedded if PurePosixPath(name).parent == PurePosixPath(truth).parent]
    if len(beside) != 1:
        raise ValueError(
            f"{place}: 'embs' stands for the image beside {truth}, of those that save_embs.datasets names: "
            f"{', '.join(embedded) or 'none'}; name the image instead"
        )
    return beside[0]
