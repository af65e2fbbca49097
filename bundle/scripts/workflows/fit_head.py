"""A linear head on stored embeddings in closed form, from a few annotated points."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..geometry import Kind
from ..networks import HeadNetwork, discriminant_weights
from ..patches import open_images, volume_box
from ..patches.points_in_patches import volume_points
from ..volumes import POINTS_KEY, Volume

logger = logging.getLogger(__name__)

_MOST_CHUNKS = 256


def fit_discriminant_head(
    network: HeadNetwork,
    volumes: Sequence[Mapping[str, Any]],
    path: str | Path,
    *,
    shrinkage: float | None = None,
    n_voxels: int = 1_000_000,
    seed: int = 0,
) -> None:
    """Set a linear head's weights by its points, and write them.

    The embeddings' covariance comes from voxels that are drawn anywhere in the regions that train, annotated or not;
    see `scripts.networks.discriminant_weights`. There is nothing to iterate.

    Args:
        network: without a base, with one linear head for one label.
        volumes: the `volumes` table: rows whose image is a store of embeddings, with `points`; those that validate are
            left out.
        path: gets the network's weights.
        shrinkage: see `discriminant_weights`.
        n_voxels: about so many voxels tell the covariance.
        seed: of their draw.

    Raises:
        ValueError: for another network, and where a class has no point.
    """
    if network.base is not None or len(network.heads) != 1:
        raise ValueError("expected a head without base, for one target; see configs/discriminant_head.json")
    ((name, head),) = network.heads.items()
    target = network.targets[name]
    if target.kind is not Kind.LABEL or not isinstance(head, torch.nn.Linear):
        raise ValueError(f"target '{name}': expected a label and a head 'linear'; got kind '{target.kind}' and {head}")
    rows = [row for row in volumes if row.get("split") != "val" and row.get(POINTS_KEY) is not None]
    if not rows:
        raise ValueError(f"volumes: no row that trains has '{POINTS_KEY}'")
    n_classes = max(2, target.channels)
    vectors, labels, drawn = [], [], []
    rng = np.random.default_rng(seed)
    for row in rows:
        image = open_images(row)[0]
        points = volume_points(row, image)
        labels += [min(point.label, 1) if target.channels == 1 else point.label for point in points]
        vectors += [image.decode(image.read((p.z, p.y, p.x), (1, 1, 1)))[:, 0, 0, 0] for p in points]
        drawn += list(_drawn_voxels(row, image, -(-n_voxels // len(rows)), rng))
    everywhere = np.concatenate(drawn, axis=1).astype(np.float64)  # C V
    weight, bias = discriminant_weights(
        torch.from_numpy(np.array(vectors)),
        torch.tensor(labels),
        torch.from_numpy(np.cov(everywhere)),
        n_classes,
        shrinkage,
    )
    if target.channels == 1:
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    logger.info(
        "%s: a linear head of %d points of %d classes, with the covariance of %d voxels: %s",
        name, len(labels), n_classes, everywhere.shape[1], path,
    )  # fmt: skip


def _drawn_voxels(row: Mapping[str, Any], image: Volume, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """About so many voxels of a row's region, C V, from some of its chunks."""
    low, high = volume_box(row, image)
    starts = [np.arange(first, stop, step) for first, stop, step in zip(low, high, image.chunks, strict=True)]
    corners = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 3)
    chosen = rng.permutation(len(corners))[:_MOST_CHUNKS]
    for n in chosen.tolist():
        size = np.minimum(image.chunks, np.array(high) - corners[n])
        block = image.decode(image.read(corners[n].tolist(), size.tolist()))
        values = block.reshape(len(block), -1)  # C D H W -> C V
        values = values[:, np.isfinite(values).all(axis=0)]
        wanted = -(-count // len(chosen))
        kept = values if values.shape[1] <= wanted else values[:, rng.permutation(values.shape[1])[:wanted]]
        yield kept
