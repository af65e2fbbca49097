"""Stop at a loss that is not a number, and say what made it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor

from ..geometry import IMAGE_KEY
from ..geometry.view_keys import VIEW_KEYS
from ..viewers.dashboard_files import replace_text
from .optional_file import OptionalFile


class NonFiniteLossError(RuntimeError):
    """A loss or its gradient is NaN or infinite; the weights are those from before the batch."""


def check_finite(
    what: str, value: float, terms: Mapping[str, Any], batch: Any, iteration: int, report: str | Path | None
) -> None:
    """Do nothing for a finite value; else write the batch's coordinates and raise.

    Args:
        what: `"loss"` or the like.
        value: the number that must be finite.
        terms: the loss of each target in this batch.
        batch: what the loader gave.
        iteration: number of the batch, from 1.
        report: JSON file that gets the coordinates, terms and the images' range; `None`: none is written.

    Raises:
        NonFiniteLossError: names the terms that are not finite, and the patches.
    """
    if math.isfinite(value):
        return
    numbers = {name: float(term) for name, term in terms.items()}
    guilty = [name for name, term in numbers.items() if not math.isfinite(term)]
    patches = batch_patches(batch)
    said = f"{what} is {value} at iteration {iteration}"
    said += f"; terms that are not finite: {', '.join(guilty)}" if guilty else "; every term is finite"
    said += f" ({', '.join(f'{name} {term:.4g}' for name, term in numbers.items())})" if numbers else ""
    for patch in patches:
        said += f"\n  {patch.get('image', 'sample')}: " + ", ".join(
            f"{k} {v}" for k, v in patch.items() if k != "image"
        )
    if report is not None:
        path = Path(report)
        content = {"what": what, "value": str(value), "iteration": iteration, "patches": patches}
        content["terms"] = {name: term if math.isfinite(term) else str(term) for name, term in numbers.items()}
        with OptionalFile().written(path):
            replace_text(path, json.dumps(content, indent=4) + "\n")
            said += f"\nwritten to {path}; the last checkpoint is from before"
    raise NonFiniteLossError(said)


def batch_patches(batch: Any) -> list[dict[str, Any]]:
    """For each sample of a batch: image, volume, start, size, and the least and the greatest intensity."""
    images = [batch.get(key) for key in (IMAGE_KEY, VIEW_KEYS[0])] if isinstance(batch, Mapping) else []
    image = next((one for one in images if isinstance(one, torch.Tensor)), None)
    if image is None:
        return []
    paths = image.meta.get("filename_or_obj", []) if isinstance(image, MetaTensor) else []
    patches: list[dict[str, Any]] = []
    for i, values in enumerate(image.as_subclass(torch.Tensor)):
        patch: dict[str, Any] = {"image": paths[i]} if i < len(paths) else {}
        patch |= {key: torch.as_tensor(value[i]).tolist() for key, value in batch.get("patch", {}).items()}
        patch |= {"minimum": str(values.min().item()), "maximum": str(values.max().item())}
        patches.append(patch)
    return patches
