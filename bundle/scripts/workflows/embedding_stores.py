"""The check that a head is trained on the embeddings that its base network made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..geometry import IMAGE_KEY
from ..inferers import check_fingerprint, weights_fingerprint
from .faults import raise_faults
from .weight_files import read_weights


def check_embedding_stores(volumes: Sequence[Mapping[str, Any]], weights: str | Path | None, prefix: str = "") -> None:
    """Check that the images of all volumes are embeddings made with the weights of a file.

    Args:
        volumes: the `volumes` table, whose images are predictions of this bundle's inference.
        weights: a bare state dictionary or a training checkpoint; `None`: not checked.
        prefix: only weights whose names begin so were used, see `weights_fingerprint`.

    Raises:
        RunError: with every image that was made with other weights, or does not say with which.
        FileNotFoundError: if the file does not exist.
    """
    if weights is None:
        return
    expected = weights_fingerprint(read_weights(weights), prefix)
    faults = []
    for volume in volumes:
        images = volume[IMAGE_KEY]
        for path in [images] if isinstance(images, str | Path) else images:
            try:
                check_fingerprint(str(path), expected, str(weights))
            except ValueError as error:
                faults.append(str(error))
    raise_faults(faults, "the training")


def check_head(
    volumes: Sequence[Mapping[str, Any]],
    base_weights: str | Path | None,
    freeze_base: bool,
    saved_embeddings: bool,
) -> None:
    """Check that a head stands on something that was learnt.

    Args:
        volumes: the `volumes` table.
        base_weights: file of the pre-trained base; `None`: there is none.
        freeze_base: whether the base stays as it is.
        saved_embeddings: whether the images are embeddings, so that there is no base in the network.

    Raises:
        RunError: for a frozen base without weights, and for embeddings that were made with others.
        FileNotFoundError: if the file does not exist.
    """
    if saved_embeddings:
        check_embedding_stores(volumes, base_weights)
    elif freeze_base and base_weights is None:
        fault = (
            "base_weights: there are none, so that a frozen base would stay as it is drawn at random; give those of a "
            "pre-training (configs/contrastive.json), or set freeze_base to false"
        )
        raise_faults([fault], "the training")
