"""What is compared of `vesuvius`, run by the Python of an environment that has it; see reference_systems.py."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stand_ins import stand_in

stand_in("cv2", "fft_conv_pytorch", "huggingface_hub", "nnunetv2", "numba", "SimpleITK", "timm")

import zarr
from epochs import epochs
from network import SmallNetwork
from torch.utils.data import DataLoader
from turns import Turn, serve
from vesuvius.models.datasets.find_valid_patches import find_valid_patches
from vesuvius.models.datasets.zarr_dataset import PatchInfo, ZarrDataset
from vesuvius.models.run.blending import merge_inference_outputs
from vesuvius.models.run.finalize_outputs import FinalizeConfig
from vesuvius.models.run.inference import Inferer

multiprocessing.set_start_method("fork", force=True)  # `inference` sets spawn; starting processes is not what counts


def search(label: str, patch: int, min_bbox_percent: float, min_labeled_ratio: float, workers: int, level: int) -> Turn:
    """Patches of a pyramid of labels, found in one of its levels."""

    def turn(is_check: bool) -> dict[str, Any]:
        found = find_valid_patches(
            [zarr.open(label, mode="r")],
            ["sheet"],
            (patch,) * 3,
            bbox_threshold=min_bbox_percent,
            label_threshold=min_labeled_ratio,
            num_workers=workers,
            valid_patch_find_resolution=level,
        )
        return {"starts": [list(map(int, one["start_pos"])) for one in found["fg_patches"]]}

    return turn


def loading(
    image: str, label: str, size: int, starts: Sequence[Sequence[int]], patch: int, batch: int, workers: int
) -> Turn:
    """Batches of given patches, neither normalised nor augmented; its folders are `images` and `labels`."""
    settings = SimpleNamespace(
        data_path=Path(image).parents[1],
        train_patch_size=(patch,) * 3,
        targets={"sheet": {"out_channels": 1}},
        normalization_scheme="none",
    )
    dataset = ZarrDataset(settings, is_training=False)
    dataset._patches = [PatchInfo(0, "scan", tuple(start), (patch,) * 3) for start in starts]
    loader = DataLoader(dataset, batch, num_workers=workers, persistent_workers=workers > 0)
    return epochs(loader, ("image", "sheet"))


def inference(image: str, work: str, patch: int, overlap: float, batch: int, workers: int) -> Turn:
    """A volume's windows into a store of logits, then the blended volume of 8-bit probabilities."""

    def run(network: SmallNetwork) -> Path:
        class Given(Inferer):
            def _load_model(self) -> SmallNetwork:
                self.num_classes = 1
                return network

        folder = Path(tempfile.mkdtemp(dir=work))
        inferer = Given(
            model_path="given",
            input_dir=image,
            output_dir=str(folder),
            do_tta=False,
            overlap=overlap,
            batch_size=batch,
            patch_size=(patch,) * 3,
            normalization_scheme="none",
            device="cpu",
            num_dataloader_workers=workers,
        )
        inferer._run_inference()  # `infer` prints an error and goes on
        return folder

    def turn(is_check: bool) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        if is_check:
            try:
                run(SmallNetwork(as_float32=False))
            except RuntimeError as error:
                facts["as_it_is"] = f"{type(error).__name__}: {error}"
        network = SmallNetwork()
        folder = run(network)
        output = folder / "probabilities.zarr"
        merge_inference_outputs(str(folder), str(output), num_workers=2, finalize_config=FinalizeConfig(mode="binary"))
        written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return facts | {
            "forward_s": network.seconds,
            "windows": network.windows,
            "output": str(output),
            "written_mb": written / 1e6,
        }

    return turn


if __name__ == "__main__":
    serve({"search": search, "loading": loading, "inference": inference})
