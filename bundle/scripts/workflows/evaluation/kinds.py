"""How the values of a prediction are to be read, told from what its store says and what is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from ...geometry import Kind, did_you_mean
from ...metrics import CELLMAP_INSTANCE_CLASSES
from ...volumes import ResampledVolume, Volume
from ...volumes.encoding import ATTRIBUTE
from .measures import CLASSES, INSTANCE, KINDS, LABELS, NUMBERS, SEMANTIC, Measure

AUTO = "auto"

_BY_VALUES = {"class": CLASSES, "mask": SEMANTIC, "probability": SEMANTIC}
"""What predictions written by the bundle say about themselves."""


def checked_kind(kind: str | None) -> str:
    """A kind, or `auto`.

    Raises:
        ValueError: for another word.
    """
    if kind is not None and kind not in (AUTO, *KINDS):
        raise ValueError(f"kind: expected {AUTO}, {', '.join(KINDS)}; got {kind!r}{did_you_mean(kind, KINDS)}")
    return kind or AUTO


def kind_of(
    asked: str, label: str, truth: Volume, predictions: Sequence[Volume | None], measures: Sequence[Measure] | None
) -> str:
    """The kind of a case: the one that is asked for, or told from, in this order,

    1. the name of the class, where the score of the CellMap challenge is asked for: it counts objects of some classes;
    2. what the store of a prediction says: `scalar`, `vector`, `normal`, a class per voxel, a mask, a probability;
    3. a truth of floats: `scalar`, or `vector` with several channels;
    4. probabilities: `semantic`, or `classes` with several channels;
    5. the name of the class: those whose objects the challenge counts;
    6. the metrics: `instance` where one of them is of objects only, otherwise `semantic`.

    Raises:
        ValueError: where nothing tells, or the challenge reads the class in another way than is asked for.
    """
    names = {measure.base for measure in measures or ()}
    by_name = INSTANCE if label in CELLMAP_INSTANCE_CLASSES else SEMANTIC
    if "cellmap" in names:
        if asked not in (AUTO, by_name):
            raise ValueError(
                f"metric 'cellmap': the challenge reads '{label}' as kind {by_name}, but kind {asked} is asked for; it "
                f"counts objects of {', '.join(CELLMAP_INSTANCE_CLASSES)} and voxels of all others"
            )
        return by_name
    if asked != AUTO:
        return asked
    given = [volume for volume in predictions if volume is not None]
    said = next((kind for kind in map(_said_kind, given) if kind is not None), None)
    if said is not None:
        return said
    if truth.dtype.kind == "f" and truth.channels > 1:
        return str(Kind.VECTOR)
    if truth.dtype.kind == "f" and not names - {"mae", "r2"}:
        return str(Kind.SCALAR)
    for volume in given:
        if holds_probabilities(volume):
            return CLASSES if volume.channels > 1 else SEMANTIC
    if label in CELLMAP_INSTANCE_CLASSES:
        return INSTANCE
    if measures is None:
        raise ValueError(
            f"{truth.path}: nothing says whether its values are ids of objects or a mask; give --kind {INSTANCE}, "
            f"{SEMANTIC} or {CLASSES}, or say by --metrics what to measure"
        )
    return INSTANCE if any(measure.kinds == (INSTANCE,) for measure in measures) else SEMANTIC


def _said_kind(prediction: Volume) -> str | None:
    """What the store of a prediction says of its values; `None` where it says nothing."""
    about = prediction.attributes.get(ATTRIBUTE)
    if isinstance(about, dict) and about.get("kind") in NUMBERS:
        return str(about["kind"])
    if isinstance(about, dict) and about.get("values") in _BY_VALUES:
        return CLASSES if prediction.channels > 1 else _BY_VALUES[about["values"]]
    return None


def stored_volume(volume: Volume) -> Volume:
    """What is stored, of a volume that is seen on another grid."""
    return volume.base if isinstance(volume, ResampledVolume) else volume


def holds_probabilities(volume: Volume) -> bool:
    """Whether a label is stored as how sure it is: floats, or whole numbers with an encoding."""
    stored = stored_volume(volume)
    return stored.dtype.kind == "f" or stored.encoding is not None


def check_values(kind: str, truth: Volume, predictions: Sequence[Volume | None]) -> None:
    """Check that values can be read as a kind.

    Raises:
        TypeError: for ids or classes that are floats.
        ValueError: for a number of channels that does not fit.
    """
    given = [volume for volume in predictions if volume is not None]
    if kind not in LABELS:
        for volume in given:
            if volume.channels != truth.channels:
                raise ValueError(
                    f"{volume.path} has {volume.channels} channels; expected {truth.channels}, as the truth "
                    f"{truth.path}"
                )
        return
    if holds_probabilities(truth):
        raise TypeError(
            f"{truth.path} holds {_words(truth)}, but a truth of kind {kind} is whole numbers; convert it, as by "
            ".astype('uint64'), or give --kind scalar to compare numbers"
        )
    for volume in given:
        if kind == INSTANCE and holds_probabilities(volume):
            raise TypeError(
                f"{volume.path} holds {_words(volume)}, but ids of objects are whole numbers; segment it first, "
                f"convert it as by .astype('uint64'), or give --kind {SEMANTIC}"
            )
    for volume in (truth, *given):
        most = 1 if volume is truth or kind != CLASSES or not holds_probabilities(volume) else None
        if most and volume.channels != most:
            raise ValueError(f"{volume.path} has {volume.channels} channels; expected 1 for kind {kind}")


def _words(volume: Volume) -> str:
    stored = stored_volume(volume)
    return "probabilities" if stored.encoding is not None else str(stored.dtype)
