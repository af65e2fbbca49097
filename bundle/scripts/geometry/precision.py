"""Mixed precision: which device can do which, and the context in which the network runs."""

from __future__ import annotations

import torch

from .targets import did_you_mean

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

PRECISIONS = tuple(_DTYPES)
"""Values of `precision`: the number format of the network's activations."""


def check_precision(precision: str, device: str | torch.device) -> None:
    """Check that a device computes in a precision.

    Raises:
        ValueError: that says what the device can do.
    """
    if precision not in _DTYPES:
        raise ValueError(
            f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}{did_you_mean(precision, PRECISIONS)}"
        )
    kind = torch.device(device).type
    if precision == "fp32":
        return
    if not torch.amp.is_autocast_available(kind):
        raise ValueError(f"precision '{precision}' is not available on device '{device}'; use 'fp32'")
    if precision == "fp16" and kind != "cuda":
        raise ValueError(f"precision 'fp16' needs CUDA, but the device is '{device}'; use 'bf16' or 'fp32'")
    if precision == "bf16" and kind == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ValueError(f"the GPU '{device}' has no bfloat16; use precision 'fp16' or 'fp32'")


def autocast(precision: str, device: str | torch.device) -> torch.autocast:
    """Context in which convolutions and products are computed in a precision; does nothing for `"fp32"`."""
    kind = torch.device(device).type
    if precision == "fp32":
        return torch.autocast(kind, enabled=False)
    return torch.autocast(kind, dtype=_DTYPES[precision])
