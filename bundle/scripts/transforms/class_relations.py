"""What annotated classes say about those that nobody has annotated."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray

from ..geometry import UNKNOWN_LABEL, Kind, parse_targets
from .class_deduction import fill_unknown
from .class_hierarchy import ClassHierarchy
from .meta import with_values


def fill_crop(
    labels: Mapping[str, NDArray[Any]],
    classes: Sequence[str],
    hierarchy: ClassHierarchy,
    mutual_exclusion: bool = False,
) -> dict[str, NDArray[Any]]:
    """Decide classes of a whole crop that are not annotated there, see `fill_unknown`.

    Args:
        labels: what is annotated: D H W each; above 0 present, 0 absent, below 0 unknown.
        classes: the classes to return.
        hierarchy: of these classes, and of all in `labels`.
        mutual_exclusion: see `fill_unknown`.

    Returns:
        D H W of every class: those in `labels` with their unknown voxels filled, the others int8 with 1, 0 and -1.

    Raises:
        ValueError: for labels that differ in shape, or a class that the hierarchy does not have.
    """
    shapes = {name: np.shape(label) for name, label in labels.items()}
    if len(set(shapes.values())) != 1:
        raise ValueError(f"labels must share one shape; got {shapes or 'none'}")
    nobody = np.full(next(iter(shapes.values())), UNKNOWN_LABEL, np.int8)
    every = {name: np.asarray(label) for name, label in labels.items()}
    every |= {name: nobody for name in classes if name not in labels}
    states = np.stack([np.where(label < 0, -1, label > 0).astype(np.int8) for label in every.values()])  # K D H W
    filled = fill_unknown(torch.from_numpy(states), hierarchy.of(every), mutual_exclusion).numpy()
    found = dict(zip(every, filled, strict=True))
    return {name: np.where(every[name] < 0, found[name], every[name]).astype(every[name].dtype) for name in classes}


class FillUnknownClasses(Transform):
    """Array form of `fill_unknown` for some classes.

    Args:
        classes: the K classes, in the order of the channels.
        hierarchy: which classes are parts of which, or the CSV file that says it (see `ClassHierarchy.read`).
        use_mutual_exclusion: whether a voxel belongs to one atomic class at most.

    Raises:
        ValueError: for a class that the hierarchy does not have.
    """

    def __init__(
        self, classes: Sequence[str], hierarchy: ClassHierarchy | str | Path, use_mutual_exclusion: bool = False
    ) -> None:
        table = hierarchy if isinstance(hierarchy, ClassHierarchy) else ClassHierarchy.read(hierarchy)
        self.atoms = table.of(classes)
        self.use_mutual_exclusion = use_mutual_exclusion

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """
        Args:
            states: K D H W or K H W; above 0 present, 0 absent, below 0 unknown.

        Returns:
            the same with 1 and 0 for some of the unknown.
        """
        return fill_unknown(states, self.atoms, self.use_mutual_exclusion)


class FillUnknownClassesd(MapTransform):
    """Dictionary form of `FillUnknownClasses`: each key is a class of its own, 1 D H W or 1 H W.

    Voxels that are annotated stay as they are; one that is found to be present becomes 1. Unknown are voxels below 0
    and those that a target's `ignore_label` names. Labels that number objects belong here only where a number more
    does no harm: not before objects are told apart by their numbers.

    Args:
        keys: keys of the labels, which are names of classes.
        hierarchy, use_mutual_exclusion: see `FillUnknownClasses`.
        targets: the `targets` table, for its ignore labels.
        allow_missing_keys: whether a sample may lack a key; its class then counts as unknown.

    Raises:
        ValueError: for a class that the hierarchy does not have, and for a target that is no label of one channel.
    """

    def __init__(
        self,
        keys: KeysCollection,
        hierarchy: ClassHierarchy | str | Path,
        use_mutual_exclusion: bool = False,
        targets: Mapping[str, Any] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.fill = FillUnknownClasses([str(key) for key in self.keys], hierarchy, use_mutual_exclusion)
        table = parse_targets(targets) if targets else {}
        rows = {key: table[key] for key in map(str, self.keys) if key in table}
        if wrong := [key for key, row in rows.items() if row.kind is not Kind.LABEL or row.channels != 1]:
            raise ValueError(f"keys: {', '.join(wrong)} must be labels with 1 channel, one class each")
        self.ignored = {key: row.ignore_label for key, row in rows.items() if row.ignore_label is not None}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample with the decided voxels of its labels."""
        sample = dict(data)
        plain = {key: _plain(sample[key]) for key in self.key_iterator(sample)}
        if not plain:
            return sample
        states = {key: self._states(str(key), label) for key, label in plain.items()}
        nobody = torch.full_like(next(iter(states.values())), UNKNOWN_LABEL)
        stacked = torch.cat([states.get(key, nobody) for key in self.keys])  # 1 D H W -> K D H W
        filled = dict(zip(self.keys, self.fill(stacked), strict=True))  # D H W each
        for key, label in plain.items():
            found = (states[key] < 0) & (filled[key] >= 0)
            if found.any():
                values = torch.where(found, filled[key].to(label.dtype), label)
                sample[key] = with_values(sample[key], values)
        return sample

    def _states(self, key: str, label: torch.Tensor) -> torch.Tensor:
        """1 D H W int8: 1 present, 0 absent, -1 unknown."""
        states = torch.where(label > 0, 1, torch.where(label == 0, 0, UNKNOWN_LABEL))  # NaN is unknown, too
        if key in self.ignored:
            states[label == self.ignored[key]] = UNKNOWN_LABEL
        return states.to(torch.int8)


def _plain(label: torch.Tensor) -> torch.Tensor:
    return label.as_tensor() if isinstance(label, MetaTensor) else label
