"""What all transforms share that derive one array from a label: reading it, its spacing, its unknown voxels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, ensure_tuple
from numpy.typing import NDArray

from ..geometry.affines import check_spacing, nominal_spacing
from ..geometry.targets import did_you_mean

_WHOLE = 1e-4


@dataclass(frozen=True)
class Label:
    """A label array as the computations want it.

    Args:
        ids: D H W or H W, whole numbers, 0 = background; unknown voxels are 0 here.
        unknown: of the same shape, true where the truth is unknown (label below 0, or NaN).
        spacing: nominal spacing of the array, one length per axis.
        affine: (R + 1) x (R + 1), array index to physical position, R >= axes.
    """

    ids: NDArray[np.int64]
    unknown: NDArray[np.bool_]
    spacing: tuple[float, ...]
    affine: NDArray[np.float64]


def read_label(label: torch.Tensor, spacing: Sequence[float] | None = None) -> Label:
    """Check a one-channel label array and part it into ids, unknown voxels and geometry.

    Args:
        label: 1 D H W or 1 H W; > 0 foreground, 0 background, < 0 (or NaN) unknown; any dtype that holds whole numbers.
        spacing: nominal spacing; `None` takes it from the MetaTensor's meta (see `scripts.geometry.nominal_spacing`).

    Raises:
        TypeError: when `label` is no tensor.
        ValueError: when the shape, a value or the spacing does not fit, or lazy operations are pending.
    """
    if not isinstance(label, torch.Tensor):
        raise TypeError(f"expected a label tensor of shape 1 D H W or 1 H W, got {type(label).__name__}")
    if label.ndim not in (3, 4) or label.shape[0] != 1:
        raise ValueError(f"a label must have shape 1 D H W or 1 H W (one channel of ids), got {tuple(label.shape)}")
    dims = label.ndim - 1
    meta = label if isinstance(label, MetaTensor) else None
    if meta is not None and meta.has_pending_operations:
        raise ValueError(
            f"the label still has {len(meta.pending_operations)} pending lazy operations; place this transform in the "
            "same Compose(lazy=True), which applies them first, or put ApplyPendingd before it"
        )
    if spacing is not None:
        size = check_spacing(spacing, dims)
    elif meta is not None:
        size = nominal_spacing(meta)
    else:
        raise ValueError("a plain tensor has no spacing: give spacing=[z, y, x], or a MetaTensor with its affine")
    affine = np.diag([*size, 1.0]) if meta is None else meta.affine.cpu().numpy()
    plain = label if meta is None else meta.as_tensor()
    values = plain.detach().cpu().numpy()[0]  # 1 D H W -> D H W
    unknown = ~(values >= 0)  # true for NaN, too
    ids = _whole_numbers(np.where(unknown, 0, values))
    return Label(ids, unknown, size, affine)


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return `value` when it is one of `choices`.

    Raises:
        ValueError: when it is not.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}{did_you_mean(value, choices)}")
    return value


def check_length(name: str, value: float) -> float:
    """Return a physical length as a float.

    Raises:
        ValueError: when it is not a finite number above zero.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a physical length above 0, in the unit of the spacing; got {value!r}")
    return float(value)


class LabelTransform(Transform, ABC):
    """Base of the array forms: reads the label, computes, writes unknown voxels, keeps the meta.

    Unknown voxels count as background in the computation and are unknown in the result.

    Args:
        spacing: nominal spacing; `None` takes it from the MetaTensor (plain tensors need it).
    """

    unknown_value: ClassVar[float] = float("nan")
    needs_spacing: ClassVar[bool] = True

    def __init__(self, spacing: Sequence[float] | None = None) -> None:
        self.spacing = None if spacing is None else tuple(spacing)

    @abstractmethod
    def derive(self, label: Label) -> NDArray[np.generic]:
        """Compute C D H W (or C H W) from a label that has been read."""

    def __call__(self, label: torch.Tensor) -> torch.Tensor:
        """
        Args:
            label: 1 D H W or 1 H W; > 0 foreground, 0 background, < 0 unknown.

        Returns:
            C D H W or C H W, a MetaTensor with the label's meta where the label is one.

        Raises:
            TypeError: when `label` is no tensor.
            ValueError: when its shape or a value is not that of a label, or the spacing is not known.
        """
        is_tensor = isinstance(label, torch.Tensor)
        parts = read_label(label, (1.0,) * (label.ndim - 1) if is_tensor and not self.needs_spacing else self.spacing)
        derived = self.derive(parts)
        derived[:, parts.unknown] = self.unknown_value
        values = torch.from_numpy(np.ascontiguousarray(derived))
        return convert_to_dst_type(values, label, dtype=values.dtype)[0]


class LabelTransformd(MapTransform):
    """Base of the dictionary forms: one array transform for all keys.

    Args:
        keys: keys of the labels.
        output_keys: where the results go, one per key; `None`: in place.
        transform: the array form.
        allow_missing_keys: whether a sample may lack a key.

    Raises:
        ValueError: when there are not as many output keys as keys.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection | None,
        transform: LabelTransform,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        outputs = self.keys if output_keys is None else ensure_tuple(output_keys)
        if len(outputs) != len(self.keys):
            raise ValueError(f"output_keys must hold one key per key {self.keys}, got {outputs}")
        self.output_keys = outputs
        self.transform = transform

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the sample with the derived arrays under the output keys."""
        sample = dict(data)
        for key, output_key in self.key_iterator(sample, self.output_keys):
            try:
                derived = self.transform(sample[key])
            except (TypeError, ValueError) as error:
                raise type(error)(f"key '{key}': {error}") from error
            sample[output_key] = derived
        return sample


def _whole_numbers(values: NDArray[np.generic]) -> NDArray[np.int64]:
    if values.dtype.kind in "biu":
        return values.astype(np.int64)
    rounded = np.rint(values)
    off = np.abs(values - rounded) > _WHOLE
    if off.any():
        raise ValueError(
            f"a label must hold whole numbers, got {values[off][0]:g}: it was interpolated linearly. Give its key "
            'mode="nearest" in every spatial transform; Compose(lazy=True) ignores those modes in MONAI 1.6 and needs '
            'overrides={key: {"mode": "nearest"}}'
        )
    return rounded.astype(np.int64)
