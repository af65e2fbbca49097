"""Surface normals of labelled objects and sheets, as a target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.config import KeysCollection
from numpy.typing import NDArray

from ..geometry.surfaces import dominant_side, object_normals, outer_side, sheet_normals
from .labels import Label, LabelTransform, LabelTransformd, check_choice, check_length

_MODES = ("object", "sheet")


class LabelToNormals(LabelTransform):
    """Unit surface normals, components along the array's axes z, y, x; zero vector where there is none.

    A closed object has an inside, so its normals point outward (against the gradient of the smoothed signed distance).
    A sheet has two sides and its normals, the principal direction of the structure tensor, need a rule: with `origin`
    they point away from that physical position, with `axis` too, away from the line through `origin` along `axis`
    (the umbilicus of a scroll); both follow the affine, so augmentation does not switch sides. Without `origin` the
    dominant direction of the patch's normals takes the side on which its largest component is positive; that is
    one side within a patch of moderate curvature, but neighbouring patches may choose differently.

    Args:
        mode: `"object"` or `"sheet"`.
        sigma: standard deviation of the smoothing, physical length; `None`: the largest spacing, and at least 1.5
            times the smallest. Sheets closer to each other than two sigma blur into one.
        width: for objects: give normals within this distance of the boundary on both sides; `None`: in the foreground.
        origin: for sheets: physical position, one value per axis (for a plain tensor: index times spacing).
        axis: for sheets: direction of the line through `origin`.
        spacing: nominal spacing; `None` takes it from the MetaTensor.

    Raises:
        ValueError: when an option is not one of those, or belongs to the other mode.
    """

    unknown_value = 0.0

    def __init__(
        self,
        mode: str = "object",
        *,
        sigma: float | None = None,
        width: float | None = None,
        origin: Sequence[float] | None = None,
        axis: Sequence[float] | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__(spacing)
        self.mode = check_choice("mode", mode, _MODES)
        self.sigma = None if sigma is None else check_length("sigma", sigma)
        self.width = None if width is None else check_length("width", width)
        self.origin = origin
        self.axis = axis
        if mode == "sheet" and width is not None:
            raise ValueError(f"width={width!r} belongs to mode='object'; the normals of a sheet fill its foreground")
        if mode == "object" and (origin is not None or axis is not None):
            raise ValueError("origin and axis belong to mode='sheet'; the normals of an object point outward")
        if axis is not None and (origin is None or not np.linalg.norm(axis) > 0):
            raise ValueError(f"axis must be a direction other than zero, given with origin; got {axis!r}, {origin!r}")

    def derive(self, label: Label) -> NDArray[np.float32]:
        """Normals 3 D H W (or 2 H W), float32; zero where the label is unknown."""
        dims = label.ids.ndim
        for name, value in (("origin", self.origin), ("axis", self.axis)):
            if value is not None and len(value) != dims:
                raise ValueError(f"{name} must hold {dims} values, one per spatial axis of the label; got {value!r}")
        sigma = self.sigma or max(max(label.spacing), 1.5 * min(label.spacing))
        if self.mode == "object":
            return object_normals(label.ids, label.spacing, sigma, self.width)
        normals = sheet_normals(label.ids > 0, label.spacing, sigma)
        if self.origin is None:
            return dominant_side(normals)
        affine = label.affine[np.ix_([*range(dims), -1], [*range(dims), -1])]  # 2D images may carry a 4 x 4 affine
        return outer_side(normals, affine, label.spacing, self.origin, self.axis)


class LabelToNormalsd(LabelTransformd):
    """Dictionary form of `LabelToNormals`.

    Args:
        keys: keys of the labels.
        output_keys: where the normals go, one per key; `None`: in place.
        mode, sigma, width, origin, axis, spacing: see `LabelToNormals`.
        allow_missing_keys: whether a sample may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection | None = None,
        mode: str = "object",
        *,
        sigma: float | None = None,
        width: float | None = None,
        origin: Sequence[float] | None = None,
        axis: Sequence[float] | None = None,
        spacing: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        transform = LabelToNormals(mode, sigma=sigma, width=width, origin=origin, axis=axis, spacing=spacing)
        super().__init__(keys, output_keys, transform, allow_missing_keys)
