"""What a sweep consists of: pre-trainings, heads, and what they are validated on; and grids of values."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TRAIN, VALIDATE = "train", "val"
"""Parts that rows of volumes belong to, as `split` has them."""

SEG_HEAD, SPARSE_HEAD, SPARSE_BASELINE = "seg_head", "sparse_head", "sparse_baseline"
HEAD_CONFIGS = (SEG_HEAD, SPARSE_HEAD, SPARSE_BASELINE)


@dataclass(frozen=True)
class Notes:
    """What became of the entries of a file.

    Args:
        mapped: lines for entries that have a counterpart.
        dropped: lines for entries that have none, with the reason.
    """

    mapped: Sequence[str] = ()
    dropped: Sequence[str] = ()

    def __add__(self, other: Notes) -> Notes:
        return Notes([*self.mapped, *other.mapped], [*self.dropped, *other.dropped])

    def __str__(self) -> str:
        blocks = {"Became": self.mapped, "No counterpart": self.dropped}
        return "".join(
            f"{title}:\n" + "".join(f"  {line}\n" for line in dict.fromkeys(lines))
            for title, lines in blocks.items()
            if lines
        )


@dataclass(frozen=True)
class Combination:
    """Settings of one training.

    Args:
        settings: overlay of its config.
        notes: what became of the entries that it is made from.
    """

    settings: Mapping[str, Any]
    notes: Notes = field(default_factory=Notes)


@dataclass(frozen=True)
class Head(Combination):
    """Settings of one head, or of a baseline in its place.

    Args:
        config: the config that the overlay follows, one of `HEAD_CONFIGS`.
        volumes: rows with `image`, `labels`, `split` and perhaps `region`: what trains, and what validates.
        num_points: annotated points that train it; `None`: all voxels.
        thresholds: of the validation.
        has_background: whether the validation looks for background.
        is_baseline: whether it is trained from scratch, without a pre-training.
    """

    config: str = SEG_HEAD
    volumes: Sequence[Mapping[str, Any]] = ()
    num_points: int | None = None
    thresholds: Sequence[float] = (0.5,)
    has_background: bool = False
    is_baseline: bool = False

    def rows(self, split: str) -> list[Mapping[str, Any]]:
        """Volumes of a part."""
        return [row for row in self.volumes if row.get("split", TRAIN) == split]


@dataclass(frozen=True)
class Experiment:
    """All that a file asks for.

    Args:
        contrastive: pre-training settings, without the model.
        models: whole models, which both pre-trainings and baselines are made with.
        heads: heads and baselines.
        images: what is embedded besides the volumes of sparse heads, by a name for the store.
    """

    contrastive: Sequence[Combination]
    models: Sequence[Combination]
    heads: Sequence[Head]
    images: Mapping[str, str] = field(default_factory=dict)

    @property
    def combinations(self) -> list[Combination]:
        """Pre-trainings: each of the settings with each of the models; index = settings x number of models + model."""
        return [
            Combination({**model.settings, **one.settings}, model.notes + one.notes)
            for one, model in itertools.product(self.contrastive, self.models)
        ]

    def model_of(self, index: int) -> Combination:
        """The model of a combination."""
        return self.models[index % len(self.models)]


def grid(table: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values of some keys; the last key changes fastest."""
    return [dict(zip(table, values, strict=True)) for values in itertools.product(*table.values())]
