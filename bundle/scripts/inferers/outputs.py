"""How a target's prediction is written: dtype, scale, pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..geometry import Activation, Kind, Target, activate_prediction
from ..volumes import NORMAL_INT8, Encoding, encode

ATTRIBUTE = "polytome"
CLASS_OUTPUTS = ("argmax", "probabilities")
FLOAT_DTYPES = ("float16", "float32")
PROBABILITY_UINT8 = Encoding(scale=1 / 255)


@dataclass(frozen=True)
class OutputFormat:
    """One written array.

    Args:
        channels: of the written array.
        dtype: of the written array.
        downsample: how a coarser pyramid level is made.
        encoding: how stored values become real ones, `None` where they are real already.
        attributes: what the store says about the array.
    """

    channels: int
    dtype: str
    downsample: str
    encoding: Encoding | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def store_attributes(self) -> dict[str, Any]:
        """Attributes of the written array: what it holds and how its values are encoded."""
        encoding = self.encoding.as_attributes() if self.encoding else {ATTRIBUTE: {}}
        return {ATTRIBUTE: self.attributes | encoding[ATTRIBUTE]}


def output_format(
    target: Target, *, class_output: str = "argmax", threshold: float | None = None, float_dtype: str = "float32"
) -> OutputFormat:
    """The format of a target's prediction, by its kind.

    One-channel labels are uint8 probabilities x 255, or 0 and 1; labels of C classes a class per voxel, uint8 or
    (beyond 256) uint16, or C probabilities, as always where each class is decided by itself (sigmoid); normals int8
    with a scale; scalars and vectors `float_dtype`.

    Args:
        target: its row of the table.
        class_output: `"argmax"` or `"probabilities"`, for labels of several classes.
        threshold: probability from which on a one-channel label is 1; `None`: probabilities are written.
        float_dtype: `"float32"` or `"float16"`.
    """
    check_format(class_output, threshold, float_dtype)
    about: dict[str, Any] = {"target": target.name, "kind": str(target.kind)}
    if target.kind is Kind.NORMAL:
        return OutputFormat(
            target.channels, "int8", "normal", NORMAL_INT8, {**about, "values": "unit normal, components z y x"}
        )
    if target.kind is not Kind.LABEL:
        return OutputFormat(target.channels, float_dtype, "mean", None, {**about, "values": str(target.kind)})
    if target.channels > 1 and class_output == "argmax" and target.activation is not Activation.SIGMOID:
        dtype = "uint8" if target.channels <= 256 else "uint16"
        return OutputFormat(1, dtype, "mode", None, {**about, "values": "class", "classes": target.channels})
    if target.channels == 1 and threshold is not None:
        return OutputFormat(1, "uint8", "mode", None, {**about, "values": "mask", "threshold": threshold})
    return OutputFormat(target.channels, "uint8", "mean", PROBABILITY_UINT8, {**about, "values": "probability"})


def check_format(class_output: str, threshold: float | None, float_dtype: str) -> None:
    """Check the arguments of `output_format`.

    Raises:
        ValueError: that says which values there are.
    """
    if class_output not in CLASS_OUTPUTS:
        raise ValueError(f"class_output must be one of {', '.join(CLASS_OUTPUTS)}; got {class_output!r}")
    if float_dtype not in FLOAT_DTYPES:
        raise ValueError(f"float_dtype must be one of {', '.join(FLOAT_DTYPES)}; got {float_dtype!r}")
    if threshold is not None and not 0 < threshold < 1:
        raise ValueError(f"threshold must be a probability between 0 and 1, or null; got {threshold!r}")


def finalise(logits: np.ndarray, covered: np.ndarray, target: Target, form: OutputFormat) -> np.ndarray:
    """Turn averaged network output into what is written; voxels that no window covered become 0.

    Args:
        logits: C D H W float32.
        covered: D H W bool.
        target: its row of the table.
        form: from `output_format`.

    Returns:
        C D H W of the format's channels and dtype.
    """
    values = activate_prediction(torch.from_numpy(logits)[None], target)[0].numpy()  # C D H W -> B C D H W -> C D H W
    if form.attributes.get("values") == "class":
        values = values.argmax(axis=0, keepdims=True)  # C D H W -> 1 D H W
        return np.where(covered, values, 0).astype(form.dtype)
    if form.attributes.get("values") == "mask":
        return np.asarray(covered & (values >= form.attributes["threshold"]), form.dtype)
    values = np.where(covered, values, 0)
    return encode(values, form.encoding, form.dtype) if form.encoding else values.astype(form.dtype)


def raw_format(channels: int) -> OutputFormat:
    """Float32 network output as it is, for callers that give no targets."""
    return OutputFormat(channels, "float32", "mean", None, {"values": "network output"})


def channel_slices(channels: Sequence[int]) -> list[slice]:
    """Where each of several outputs lies once they are concatenated along the channel axis."""
    ends = np.cumsum(channels)
    return [slice(int(end - n), int(end)) for end, n in zip(ends, channels, strict=True)]
