"""The first sample of a training and of its validation, made before anything is written."""

from __future__ import annotations

from typing import Any

import torch
from monai.bundle import ConfigParser

from ..patches import SeededIndex
from ..transforms import UnknownKeyError
from .config_place import failed_component
from .faults import root_message
from .random_numbers import same_random_numbers

_PARTS = {"train": "trainer", "validate": "evaluator"}

_OF_CONFIG = (
    *(AttributeError, ImportError, IndexError, KeyError, NameError, OverflowError, TypeError),
    UnknownKeyError,
)
"""Errors that a wrong component or argument brings about. What is wrong with the data themselves is left to the run,
which tells where they lie, and may never come to this patch."""


def first_sample_faults(parser: ConfigParser) -> list[str]:
    """Load the first patch as a batch of one and prepare it as the engine does, with random numbers put back.

    The engines themselves are not built: some of their handlers open files.

    Args:
        parser: the config of a training, of which the data loaders can be built.

    Returns:
        a line for each part whose transforms fail by an error that is the config's.
    """
    with same_random_numbers():
        return [
            fault
            for part, engine in _PARTS.items()
            if f"{part}#dataloader" in parser
            for fault in _faults(parser, part, f"{part}#{engine}#prepare_batch")
        ]


def _faults(parser: ConfigParser, part: str, prepares: str) -> list[str]:
    loader: Any = parser.get_parsed_content(f"{part}#dataloader")
    dataset: Any = getattr(loader, "dataset", None)
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__") or not len(dataset):
        return []
    try:
        batch = loader.collate_fn([dataset[SeededIndex(0, 0)]])
        if prepares in parser:
            parser.get_parsed_content(prepares)(batch, torch.device("cpu"))
    except Exception as error:  # whatever a user's own transform raises
        if not isinstance(_first(error), _OF_CONFIG):
            return []
        place = failed_component(error, parser) or f"{part}#dataset"
        return [f"{place}: fails on the first patch: {root_message(error)}"]
    return []


def _first(error: BaseException) -> BaseException:
    """What an error was first; MONAI wraps what a transform raises."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
