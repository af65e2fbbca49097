"""Heads are trained on embeddings of their own base only."""

import numpy as np
import pytest
import torch
from tests.inferers.runs import TwoOutputs, make_volume

from scripts.inferers import ZarrSlidingWindowInferer
from scripts.workflows import RunError, check_embedding_stores

TARGETS = {"normals": {"channels": 3, "kind": "scalar"}}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """Embeddings of two volumes, the raw image of the first, and the weights that made the embeddings."""
    folder = tmp_path_factory.mktemp("embeddings")
    network, rows = TwoOutputs(), []
    for name in ("a", "b"):
        image = make_volume(folder / f"{name}.zarr", np.ones((1, 8, 8, 8), np.float32))
        inferer = ZarrSlidingWindowInferer((8, 8, 8), 2, output=str(folder / f"{name}_h.zarr"), targets=TARGETS)
        rows.append({"image": inferer(image, network)["normals"], "points": "points.csv"})
    torch.save(network.state_dict(), folder / "base.pt")
    whole = {f"base.{name}": value for name, value in network.state_dict().items()}
    torch.save({"network": {**whole, "projection.weight": torch.ones(2)}, "epoch": 3}, folder / "whole.pt")
    torch.save({name: value + 1 for name, value in network.state_dict().items()}, folder / "other.pt")
    return rows, folder


def test_embeddings_of_the_base_pass(volumes):
    rows, folder = volumes
    check_embedding_stores(rows, folder / "base.pt")
    check_embedding_stores(rows, folder / "whole.pt", prefix="base.")
    check_embedding_stores([{"image": [row["image"] for row in rows]}], folder / "base.pt")
    check_embedding_stores([{"image": "anything"}], None)


def test_every_store_of_other_weights_is_named(volumes):
    rows, folder = volumes
    with pytest.raises(RunError, match=r"cannot start, 2 faults:\n  1\. .*a_h\.zarr.*other\.pt.*\n  2\. .*b_h\.zarr"):
        check_embedding_stores(rows, folder / "other.pt")
    with pytest.raises(RunError, match=r"1 fault:\n  1\. .*a\.zarr: its attributes do not say with which weights"):
        check_embedding_stores([rows[0], {"image": [str(folder / "a.zarr")]}], folder / "base.pt")
    with pytest.raises(RunError, match="2 faults"):
        check_embedding_stores(rows, folder / "whole.pt")
    with pytest.raises(FileNotFoundError, match=r"missing\.pt"):
        check_embedding_stores(rows, folder / "missing.pt")
