"""One training of nnU-Net and its predictions, run by the Python of nnU-Net's own environment; see hippocampus.py.

Run: python nnunet_reference.py STAGE FOLDER [--iterations N] [--seed S]
Stages: `plan` (fingerprint, ResEncM plan, preprocessing), `train`, `predict`. FOLDER holds `raw`, `preprocessed` and
`results`. Writes `FOLDER/nnunet_SEED.json` with the seconds of every iteration, and `FOLDER/nnunet_SEED/CASE.nii.gz`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path
from typing import Any

from reference_sides.stand_ins import stand_in

DATASET = "Dataset004_Hippocampus"
PLANS = "nnUNetResEncUNetMPlans"
PER_EPOCH, VALIDATED = 50, 5
BATCH = 2  # the plan's own is 9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=("plan", "train", "predict"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    for part in ("raw", "preprocessed", "results"):  # read when the package is imported
        os.environ[f"nnUNet_{part}"] = str(words.folder / part)
    os.environ |= {"nnUNet_n_proc_DA": "1" if words.stage == "plan" else "0", "nnUNet_compile": "false"}
    stand_in("timm")  # which would bring torchvision; no network of the ResEnc plans uses it
    stages = {"plan": plan, "train": train, "predict": predict}
    stages[words.stage](words.folder, words.iterations, words.seed)


def plan(folder: Path, iterations: int, seed: int) -> None:
    """Fingerprint, plan and preprocessing, as `nnUNetv2_plan_and_preprocess -pl nnUNetPlannerResEncM` does them."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    api.extract_fingerprints([4], num_processes=1, check_dataset_integrity=False)
    api.plan_experiments([4], experiment_planner_class_name="nnUNetPlannerResEncM")
    api.preprocess([4], PLANS, configurations=["3d_fullres"], num_processes=[1])


def train(folder: Path, iterations: int, seed: int) -> None:
    """Train on the first fold of `splits_final.json`, and note how long each iteration took, loading included."""
    import numpy as np
    import torch

    trainer = _trainer(folder, iterations)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what its augmentation draws from
    torch.manual_seed(seed)
    trainer.run_training()
    report = {"seconds": trainer.seconds, "parameters": sum(p.numel() for p in trainer.network.parameters())}
    (folder / f"nnunet_{seed}.json").write_text(json.dumps(report))


def predict(folder: Path, iterations: int, seed: int) -> None:
    """Predict `imagesTs` with the last weights and mirrored windows, as nnU-Net does by default."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    trainer = _trainer(folder, iterations)
    trainer.initialize()
    trainer.load_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    trainer.set_deep_supervision_enabled(False)
    predictor = nnUNetPredictor(perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    target = folder / f"nnunet_{seed}"
    target.mkdir(exist_ok=True)
    predictor.predict_from_files_sequential(str(folder / "raw" / DATASET / "imagesTs"), str(target), False, True)


def _trainer(folder: Path, iterations: int) -> Any:
    """The trainer of the ResEncM plan with batches of two and as many epochs of 50 iterations as are asked for."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class Timed(nnUNetTrainer):
        """nnU-Net's trainer, shortened, with a note of each iteration's seconds."""

        seconds: list[float]

        def on_train_epoch_start(self) -> None:
            super().on_train_epoch_start()
            self._last = time.perf_counter()

        def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
            output = super().train_step(batch)
            now = time.perf_counter()
            self.seconds.append(now - self._last)
            self._last = now
            return output

        def perform_actual_validation(self, save_probabilities: bool = False) -> None:
            """Not needed: the test cases are predicted instead."""

    preprocessed = folder / "preprocessed" / DATASET
    plans = json.loads((preprocessed / f"{PLANS}.json").read_text())
    plans["continue_training"] = False  # the command line puts it there
    plans["configurations"]["3d_fullres"]["batch_size"] = BATCH
    dataset = json.loads((folder / "raw" / DATASET / "dataset.json").read_text())
    trainer = Timed(plans, "3d_fullres", 0, dataset, device=torch.device("cpu"))
    trainer.seconds = []
    trainer.num_iterations_per_epoch = PER_EPOCH
    trainer.num_val_iterations_per_epoch = VALIDATED
    trainer.num_epochs = max(1, iterations // PER_EPOCH)
    return trainer


if __name__ == "__main__":
    main()
