"""Pictures of mouse skulls with landmarks, as LaNNU-Net has them: `landmarks3d/aligned`, projected."""

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from scripts.volumes import landmarks_to_voxels, open_volume, read_landmarks

N_FOLDS = 5
N_TESTING = 2
MISSING = 3
"""Number of the landmark that the first picture lacks."""


def write_projections(folder, n=12, size=(64, 96)):
    """Write PNG pictures, and `fold0.json` to `fold4.json` beside their folder.

    The skulls are seen from above: maximum over z. The last two pictures test, one of which has no annotation; each of
    the others validates in one fold.

    Args:
        folder: where to write.
        n: pictures, at least 7.
        size: height and width.

    Returns:
        the folder of the JSON files, to which paths of images are relative.
    """
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    aligned = Path(os.environ["POLYTOME_DATA"]) / "landmarks3d" / "aligned"
    samples = [_sample(path, folder, size) for path in sorted(aligned.glob("*.nii.gz"))[:n]]
    samples[0]["coordinates"][MISSING] = None
    samples[-1] |= {"coordinates": None, "has_annotation": False}
    known, testing = samples[:-N_TESTING], samples[-N_TESTING:]
    for fold in range(N_FOLDS):
        content = {
            "name": "skulls", "description": "mouse skulls from above", "fold": fold,
            "training": [sample for k, sample in enumerate(known) if k % N_FOLDS != fold],
            "validation": known[fold::N_FOLDS],
            "testing": testing,
        }  # fmt: skip
        (folder / f"fold{fold}.json").write_text(json.dumps(content, indent=1))
    return folder


def _sample(path, folder, size):
    name = path.name.removesuffix(".nii.gz").strip("_")
    volume = open_volume(path)
    voxels = landmarks_to_voxels(read_landmarks(path.with_name(path.name.replace(".nii.gz", ".csv"))), volume)
    seen = volume.read((0, 0, 0), volume.spatial_shape)[0].max(axis=0)  # z y x -> y x
    Image.fromarray(seen).resize(size[::-1], Image.Resampling.BILINEAR).save(folder / "images" / f"{name}.png")
    scale = np.array(size) / seen.shape
    places = (voxels[:, 1:] + 0.5) * scale - 0.5
    return {
        "id": name,
        "image": f"images/{name}.png",
        "coordinates": places[:, ::-1].round(3).tolist(),  # y x -> x y
        "has_annotation": True,
        "strain": name.replace("_", "/"),
    }
