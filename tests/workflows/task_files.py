"""Task files as SheetNorm and its successor had them, and what `import-task` makes of one."""

import json

from monai.bundle import ConfigParser
from tests.bundle.running import BUNDLE

from scripts.workflows.import_task import import_task

CONFIGS = BUNDLE / "configs"

# every key of the JSON files
SHEETNORM = {
    "tr_params": {
        "model_name": "SheetNorm",
        "patch_size": [32, 64, 64],
        "batch_size": 3,
        "tr_val_split": 0.9,
        "ignore_label": 2,
        "loss_only_on_label": True,
        "dilate_label": True,
        "label_smoothing": 0.15,
        "initial_lr": 0.01,
        "weight_decay": 0.0003,
        "max_steps_per_epoch": 400,
        "max_val_steps_per_epoch": 20,
        "max_epoch": 300,
        "gradient_accumulation": 2,
        "checkpoint_path": "/c/SheetNorm_12.pth",
        "load_weights_only": True,
        "ckpt_out_base": "/c",
        "optimizer": "SGD",
        "num_dataloader_workers": 6,
        "tensorboard_log_dir": "/logs",
    },
    "inference_params": {
        "patch_size": [64, 64, 64],
        "batch_size": 4,
        "checkpoint_path": "/c/SheetNorm_final.pth",
        "num_dataloader_workers": 5,
        "input_path": "/d/other.zarr",
        "input_format": "zarr",
        "output_dir": "/d/out/",
        "output_format": "zarr",
        "output_type": "np.uint8",
        "output_targets": ["normals"],
        "overlap": 0.5,
        "load_all": False,
        "load_strict": True,
    },
    "model_config": {
        "f_maps": [16, 24, 32],
        "num_levels": 3,
        "n_levels": 3,
        "basic_module": "ResNetBlockSE",
        "se_module": "cse",
    },
    "dataset_config": {
        "min_bbox_percent": 0.9,
        "min_labeled_ratio": 0.05,
        "use_cache": False,
        "cache_file": "/d/cache.json",
        "normalization": "ct_normalization",
    },
    "volume_paths": [
        {"input": "/d/raw.zarr", "sheet": "/d/sheet.zarr", "normals": "/d/normals.zarr", "ref_label": "normals"},
        {"input": "/d/raw2.zarr", "sheet": "/d/sheet2.zarr", "normals": "/d/normals2.zarr"},
    ],
    "targets": {
        "sheet": {"channels": 1, "activation": "sigmoid", "weight": 2},
        "normals": {"channels": 3, "activation": "none"},
    },
}

# every key of the YAML files; numbers such as 1e-4, without a point, are text to a YAML parser
SUCCESSOR = """
tr_setup:
  model_name: Sheets
  vram_max: 24
  autoconfigure: false
  tr_val_split: 0.75
  dilate_label: false
  checkpoint_path: /c/Sheets_12.pth
  load_weights_only: false
  ckpt_out_base: /c
  tensorboard_log_dir: /logs
tr_config:
  optimizer: AdamW
  initial_lr: 1e-4
  weight_decay: 1e-5
  patch_size: [16, 32, 32]
  batch_size: 4
  gradient_accumulation: 3
  max_steps_per_epoch: 200
  max_val_steps_per_epoch: 10
  num_dataloader_workers: 2
  max_epoch: 100
  ignore_label: 3
  loss_only_on_label: true
model_config:
  basic_encoder_block: BasicBlockD
  basic_decoder_block: ConvBlock
  bottleneck_block: BottleneckD
  features_per_stage: [16, 24, 32]
  num_stages: 3
  n_blocks_per_stage: [1, 2, 2]
  kernel_sizes: [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
  n_conv_per_stage_decoder: [1, 2]
  strides: [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
  squeeze_excitation: true
  stochastic_depth_p: 0.1
  nonlin: nn.ReLU
  norm_op_kwargs: {affine: true, eps: 1e-3}
dataset_config:
  min_labeled_ratio: 0.2
  min_bbox_percent: 0.8
  use_cache: false
  cache_folder: /d/cache
  in_channels: 2
  volume_paths:
    - {input: [/d/a.zarr, /d/b.zarr], ink: /d/ink.zarr, depth: /d/depth.zarr, normals: /d/n.zarr, ref_label: ink}
  targets:
    ink: {channels: 1, activation: sigmoid, weight: 3, loss_fn: BCEDiceLoss, loss_kwargs: {alpha: 0.25, beta: 0.75}}
    depth: {channels: 1, loss_fn: MSELoss}
    normals: {channels: 3, activation: none, weight: 0.5, loss_fn: MaskedCosineLoss}
inference_config:
  checkpoint_path: /c/Sheets_final.pth
  patch_size: [32, 32, 32]
  batch_size: 5
  output_path: /d/out.zarr
  output_format: zarr
  type: np.uint8
  output_targets: [all]
  overlap: 0.1
"""

TARGETS = {"sheet": {"channels": 1}}
VOLUMES = [{"input": "/d/raw.zarr", "sheet": "/d/sheet.zarr"}]
MINIMAL = {"tr_params": {}, "dataset_config": {"targets": TARGETS, "volume_paths": VOLUMES}}


def imported(tmp_path, task, **arguments):
    """What is printed, and the two overlays."""
    source = tmp_path / ("task.yaml" if isinstance(task, str) else "task.json")
    source.write_text(task if isinstance(task, str) else json.dumps(task))
    output = tmp_path / "overlay.json"
    said = import_task(source, output_path=output, overwrite=True, **arguments)
    inference = tmp_path / "overlay.inference.json"
    return said, json.loads(output.read_text()), json.loads(inference.read_text()) if inference.exists() else None


def changed(task, **sections):
    """A task with other sections; those of a table are merged."""
    return {**task, **{key: {**task.get(key, {}), **value} for key, value in sections.items()}}


def with_targets(targets, **sections):
    volume = {"input": "/d/raw.zarr"} | {name: f"/d/{name}.zarr" for name in targets}
    return changed(MINIMAL, dataset_config={"targets": targets, "volume_paths": [volume]}, **sections)


def parsed(name, overlay, tmp_path):
    """The bundle's config with an overlay, its data left out."""
    path = tmp_path / "given.json"
    path.write_text(json.dumps(overlay))
    parser = ConfigParser()
    parser.read_config([CONFIGS / f"{name}.json", path])
    parser.update({"spacing": [2.0, 2.0, 2.0], "device": "$torch.device('cpu')"})
    return parser
