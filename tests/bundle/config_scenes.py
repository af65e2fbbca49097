"""Every set of the bundle's configs, on volumes and networks so small that a run takes about a second."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from tests.bundle.running import BUNDLE, folders
from tests.cellmap_tree import write_tree

from scripts.volumes import create_ome_zarr
from scripts.workflows.datasplit import datasplit

SIZE = 32
PATCH = [16, 16, 16]

NETWORK = {"patch_size": PATCH, "features_per_stage": [4, 8], "n_blocks_per_stage": [1, 1]}
SHORT = {"max_epochs": 1, "max_steps_per_epoch": 1, "max_val_steps_per_epoch": 1, "batch_size": 1, "previews": False}
TRAINING = {**NETWORK, **SHORT}


@dataclass(frozen=True)
class ConfigSet:
    """Configs that are given together.

    Args:
        name: of the set.
        configs: names of the files, in their order.
        settings: that make it small, and name the data; `{data}` stands for their folder.
        run_id: what is run.
    """

    name: str
    configs: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = "run"

    def merged(self, data: Path, root: Path) -> dict[str, Any]:
        """The config, reading from `data` and writing to `root`."""
        parser = ConfigParser()
        parser.read_config([BUNDLE / "configs" / f"{name}.json" for name in self.configs])
        own = json.loads(json.dumps(self.settings).replace("{data}", str(data)).replace("{root}", str(root)))
        common = {"bundle_root": str(BUNDLE), "dataset_dir": str(data), "device": "cpu"}
        for key, value in {**common, **folders(root), "dataset_dir": str(data), **own}.items():
            if key in parser or key in own:
                parser[key] = value
        config = copy.deepcopy(parser.config)
        config.pop("_meta_", None)  # type: ignore[union-attr]
        return config  # type: ignore[return-value]


_HEAD = {**SHORT, "h_channels": 4, "freeze_base": False}
_REGIONS = {"train_region": [[0, 0, 0], [16, 32, 32]], "val_region": [[16, 0, 0], [32, 32, 32]]}
_LANDMARKS = {
    **SHORT, "volumes": [{"image": f"{{data}}/head_{n}.zarr", "landmarks": "{data}/landmarks.csv", "id": f"h{n}"}
    for n in range(3)], "input_size": PATCH, "init_features": 4, "max_features": 8, "val_fraction": 0.34,
    "n_pictures": 0,
}  # fmt: skip
_CELLMAP = {
    **SHORT, **{key: NETWORK[key] for key in ("features_per_stage", "n_blocks_per_stage")},
    "input_array_info": {"shape": PATCH, "scale": [8.0, 8.0, 8.0]}, "classes": ["nuc", "cell"],
    "datasplit_path": "{data}/datasplit.csv",
}  # fmt: skip
_STORED = {
    **_HEAD, **_REGIONS, "base_weights": None, "embeddings": "{data}/embedding.zarr", "h_channels": 4, "batch_size": 4,
    "cover_size": PATCH,
}  # fmt: skip
_PREDICTION = {
    **NETWORK, "input": "{data}/phantom.zarr/raw", "output": "{root}/output/out.zarr", "weights": "{data}/model.pt",
    "chunk_size": 16, "levels": 1,
}  # fmt: skip
_FOUND = {
    **NETWORK, "weights": "{data}/landmarks.pt", "input": _LANDMARKS["volumes"], "n_pictures": 0,
    "targets": {"heatmaps": {"channels": 2, "kind": "points"}}, "results_dir": "{root}/output/results",
}  # fmt: skip

SETS = (
    ConfigSet("train", ["train"], TRAINING),
    ConfigSet("evaluate", ["train", "evaluate"], {**TRAINING, "weights": "{data}/model.pt"}),
    ConfigSet("cellmap", ["train", "cellmap"], _CELLMAP),
    ConfigSet("contrastive", ["train", "contrastive"], {**TRAINING, "h_channels": 4, "projection_channels": 4}),
    ConfigSet("seg_head", ["train", "seg_head"], {**TRAINING, **_HEAD}),
    ConfigSet("sparse_head", ["train", "seg_head", "sparse_head"], {**TRAINING, **_HEAD, **_REGIONS}),
    ConfigSet(
        "sparse_baseline",
        ["train", "seg_head", "sparse_head", "sparse_baseline"],
        {**TRAINING, **_REGIONS, "h_channels": 4},
    ),
    ConfigSet("saved_embeddings", ["train", "seg_head", "sparse_head", "saved_embeddings"], _STORED),
    ConfigSet(
        "discriminant_head", ["train", "seg_head", "sparse_head", "saved_embeddings", "discriminant_head"], _STORED
    ),
    ConfigSet("landmarks", ["train", "landmarks"], _LANDMARKS),
    ConfigSet("phdnet", ["train", "landmarks", "phdnet"], {**_LANDMARKS, "max_pool_factor": 2}),
    ConfigSet("inference", ["inference"], _PREDICTION),
    ConfigSet("inference_distributed", ["inference", "inference_distributed"], {**_PREDICTION, "n_workers": 1}),
    ConfigSet("embed", ["inference", "embed"], {
        **_PREDICTION, "output": "{root}/output/embedding.zarr", "weights": "{data}/embed.pt",
        "targets": {"embedding": {"channels": 4, "kind": "embedding"}},
    }),
    ConfigSet("landmarks_inference", ["inference", "landmarks_inference"], _FOUND),
    ConfigSet("landmarks_ensemble", ["inference", "landmarks_inference", "landmarks_ensemble"], {
        **_FOUND, "weights": ["{data}/landmarks.pt", "{data}/landmarks_2.pt"],
    }),
    ConfigSet("cellmap_inference", ["inference", "cellmap_inference"], {
        **_PREDICTION, "search_path": "{data}/tree", "output": "{root}/output/{name}", "spacing": [8.0, 8.0, 8.0],
        "crops": "crop1",
    }),
    ConfigSet("process", ["process"], {
        "input": "{data}/phantom.zarr/sheet", "output": "{root}/output/objects.zarr", "chunk_size": 16,
        "block_size": [16, 16, 16], "levels": 1, "threads": 1,
    }),
)  # fmt: skip
"""Left out: what needs torchrun, a GPU, TensorRT or a server (multi_gpu_*, inference_trt, comet), and inference of an
exported file, which is inference.json with another network."""


def make_data(folder: Path) -> None:
    """Write what the sets read: volumes, labels, points, landmarks, CellMap's crops, weights."""
    rng = np.random.default_rng(0)
    sheet = (np.indices((SIZE,) * 3)[0] % 3 < 2).astype(np.uint8)[None]
    normals = np.zeros((3, SIZE, SIZE, SIZE), np.float32)
    normals[0] = 1
    arrays = {
        "phantom.zarr/raw": (sheet * 100 + rng.integers(1, 60, sheet.shape)).astype(np.uint8),
        "phantom.zarr/sheet": sheet,
        "phantom.zarr/normals": normals,
        "phantom.zarr/labelled": np.ones_like(sheet),
        "embedding.zarr": rng.normal(size=(4, *sheet.shape[1:])).astype(np.float32),
        **{f"head_{n}.zarr": rng.integers(1, 200, (1, 16, 16, 16)).astype(np.uint8) for n in range(3)},
    }
    for name, array in arrays.items():
        writer = create_ome_zarr(folder / name, array.shape, str(array.dtype), spacing=(1, 1, 1), chunks=(16,) * 3)
        writer.write((0, 0, 0), array)
    places = rng.integers(0, 16, (24, 3))
    rows = [f"{z},{y},{x},{sheet[0, z, y, x]},0" for z, y, x in places]
    (folder / "points.csv").write_text("\n".join(["z,y,x,label,instance", *rows]) + "\n")
    (folder / "landmarks.csv").write_text("z,y,x\n3,4,5\n10,11,12\n")
    tree = write_tree(folder / "tree")
    datasplit(["nuc", "cell"], search_path=str(tree), csv_path=folder / "datasplit.csv", validation_prob=0.34)
    for name, of in (("model", "inference"), ("embed", "embed"), ("landmarks", "landmarks_inference")):
        (chosen,) = [one for one in SETS if one.name == of]
        state = ConfigParser(chosen.merged(folder, folder)).get_parsed_content("network_def").state_dict()
        for file in (name, f"{name}_2"):
            torch.save(state, folder / f"{file}.pt")
