"""A shrunk sweep by Contraband's own file, from unlabelled images to the table of best scores."""

import csv
import json

import numpy as np
import pytest
from scipy import ndimage, spatial
from tests.bundle.running import command

from scripts.blockwise import Threads
from scripts.volumes import create_ome_zarr
from scripts.workflows.sweep import BEST, PLOT, choose_runs, run_plan, sweep, write_results
from scripts.workflows.sweeps.file import read_experiment
from scripts.workflows.sweeps.plan import Plan

SHAPE = (24, 32, 32)


@pytest.fixture
def folder(tmp_path):
    """Cells with dark walls in two volumes, one of which trains; their ids."""
    for number, part in enumerate(("train", "validate")):
        rng = np.random.default_rng(number)
        places = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
        ids = spatial.cKDTree(rng.uniform(0, 1, (8, 3)) * SHAPE).query(places)[1] + 1
        wall = ndimage.morphological_gradient(ids, size=3) > 0
        image = np.clip(np.where(wall, 60, 170) + rng.normal(0, 20, SHAPE), 0, 255)
        for name, values in (("raw", image), ("gt", np.where(wall, 0, ids))):
            path = tmp_path / "cells.zarr" / part / name
            create_ome_zarr(path, (1, *SHAPE), "uint8", spacing=(1, 1, 1)).write((0, 0, 0), values[None].astype("u1"))
    return tmp_path


def param_dict(folder):
    store = str(folder / "cells.zarr")
    training = {"optimizer": ["adam"], "lr": [0.01], "norm_factor": [0.25], "simple": [True], "batch_size": [2],
                "simple_params": [{"mirror_only": [0, 1, 2], "transpose_only": []}]}  # fmt: skip
    return {
        "pipeline": "sparse_sh",
        "model": [
            {"model": "unet", "in_shape": [16, 16, 16], "in_channels": 1, "num_fmaps": 8, "fmap_inc_factors": 2,
             "downsample_factors": [[2, 2, 2]], "kernel_size_down": [[[3, 3, 3], [3, 3, 3]]],
             "kernel_size_down_repeated": 2, "kernel_size_up": [[[3, 3, 3], [3, 3, 3]]], "kernel_size_up_repeated": 1,
             "constant_upsample": True, "h_channels": 6, "contrastive_out_channels": 6}
        ],
        "contrastive": {
            **training, "data_file": [store], "dataset": [["train/raw"]], "num_iterations": [20], "save_every": [20],
            "point_density": [0.02], "temperature": [0.1],
        },
        "seg": {
            **training, "data_file": [store], "seg_head": ["Sparse"], "basline": [False, True], "freeze_base": [True],
            "dataset": [{part: {"raw": f"{part}/raw", "gt": f"{part}/gt"} for part in ("train", "validate")}],
            "num_iterations": [20], "save_every": [20], "thresholds": [[0.4, 0.6]], "num_points": [16],
            "seg_out_channels": [2],
        },
    }  # fmt: skip


@pytest.mark.long
def test_from_param_dict_to_best_metrics(folder):
    path = folder / "param_dict.json"
    path.write_text(json.dumps(param_dict(folder)))
    said = sweep(path, output=folder / "experiments", dataset="cells", name="EXP0-small", dry_run=True)
    assert "python -m monai.bundle run training" in said
    root = folder / "experiments" / "cells" / "EXP0-small"
    plan = Plan(read_experiment(path), root)
    chosen = choose_runs(plan)
    done, failed = run_plan(plan, chosen, Threads(1), lambda arguments, log: command(*arguments))
    assert (len(done), failed) == (len(chosen), {})
    assert write_results(plan) == [root / BEST, root / PLOT]
    with (root / BEST).open(newline="") as file:
        rows = list(csv.DictReader(file))
    print(rows)
    assert len(rows) == 2
    for row in rows:
        assert float(row["threshold"]) in (0.4, 0.6)
        assert 0 < float(row["dice"]) <= 1
        assert float(row["voi_sum"]) == pytest.approx(float(row["voi_split"]) + float(row["voi_merge"]), abs=1e-4)
    assert sorted(int(row["num_points"]) for row in rows) == [16, 16]
    # all is done: nothing is run again
    assert run_plan(plan, choose_runs(plan), Threads(1), lambda *_: pytest.fail("ran again")) == ([], {})
