"""Pictures of the first samples of a training on landmarks."""

import numpy as np
import torch
from ignite.engine import Engine
from PIL import Image

from scripts.workflows import LandmarkSamples


def run(directory, batches, **options):
    engine = Engine(lambda engine, batch: None)
    LandmarkSamples(directory, "heatmaps", **options).attach(engine)
    engine.run(batches, max_epochs=2)
    return sorted(path.name for path in directory.glob("*"))


def batch(places):
    image = torch.rand(2, 1, 6, 20, 24, generator=torch.Generator().manual_seed(0))
    return {"image": image, "heatmaps": torch.tensor(places, dtype=torch.float32)}


def test_so_many_samples_are_drawn_of_a_run(tmp_path):
    batches = [batch([[[2, 5, 6]], [[3, 15, 20]]])] * 3
    assert run(tmp_path / "a", batches, count=3) == ["sample_0001.png", "sample_0002.png", "sample_0003.png"]
    assert len(run(tmp_path / "b", batches)) == 8
    assert run(tmp_path / "c", batches, count=0) == []


def test_pictures_show_the_landmarks_of_their_sample(tmp_path):
    """One that is missing has neither mark nor heatmap; sigma changes how wide heatmaps are."""
    nan = float("nan")
    pictures = {}
    for name, places, sigma in (
        ("marked", [[[2, 5, 6]]] * 2, 2.0), ("missing", [[[nan, nan, nan]]] * 2, 2.0), ("wide", [[[2, 5, 6]]] * 2, 5.0),
    ):  # fmt: skip
        run(tmp_path / name, [batch(places)], sigma=sigma, count=1)
        pictures[name] = np.asarray(Image.open(tmp_path / name / "sample_0001.png").convert("RGB"))
    assert pictures["marked"].shape == pictures["missing"].shape
    assert (pictures["marked"] != pictures["missing"]).any(axis=2).sum() > 100
    assert (pictures["marked"] != pictures["wide"]).any(axis=2).sum() > 100
