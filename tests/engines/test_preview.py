"""Which sample is drawn, and when."""

import base64
import io
import json

import numpy as np
import torch
from ignite.engine import Engine
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import scripts.engines.preview
from scripts.engines import Preview
from scripts.geometry import parse_targets
from scripts.viewers import preview_frames, preview_panels

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
DEPTH = 5


def output(seed):
    """An evaluator's output for a batch of two samples, B C D H W."""
    generator = torch.Generator().manual_seed(seed)

    def random(channels):
        return torch.randn(2, channels, DEPTH, 8, 8, generator=generator)

    return {
        "image": random(1),
        "label": {"sheet": (random(1) > 0).float(), "normals": random(3)},
        "pred": {"sheet": random(1), "normals": random(3)},
    }


def expected_slice(data, sample, z):
    """The picture of one slice of one sample, drawn directly."""
    frames = preview_frames(
        data["image"][sample],
        {name: value[sample] for name, value in data["label"].items()},
        {name: value[sample] for name, value in data["pred"].items()},
        parse_targets(TARGETS),
    )
    return frames[z]


def png(path):
    return np.asarray(Image.open(path))


def test_the_first_sample_of_every_epoch(tmp_path):
    outputs = iter([output(1), output(2), output(3), output(4)])
    engine = Engine(lambda engine, item: next(outputs))
    Preview(tmp_path / "previews", TARGETS).attach(engine)
    engine.run([0, 1], max_epochs=2)
    files = sorted(path.name for path in (tmp_path / "previews").iterdir())
    assert files == ["epoch_0001.gif", "epoch_0001.png", "epoch_0002.gif", "epoch_0002.png"]
    first, second = (png(tmp_path / "previews" / f"epoch_000{n}.png") for n in (1, 2))
    np.testing.assert_array_equal(first, expected_slice(output(1), 0, DEPTH // 2))
    np.testing.assert_array_equal(second, expected_slice(output(3), 0, DEPTH // 2))
    assert (first != expected_slice(output(1), 1, DEPTH // 2)).any()
    with Image.open(tmp_path / "previews" / "epoch_0001.gif") as gif:
        assert gif.n_frames == DEPTH


def test_the_still_picture_goes_to_tensorboard(tmp_path):
    engine = Engine(lambda engine, item: output(7))
    Preview(tmp_path / "previews", TARGETS, log_dir=tmp_path / "tensorboard").attach(engine)
    engine.run([0], max_epochs=2)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    pictures = events.Images("preview")
    assert {picture.step for picture in pictures} == {1, 2}  # in any order: files of one second are sorted as text
    shown = np.asarray(Image.open(io.BytesIO(pictures[0].encoded_image_string)))
    np.testing.assert_array_equal(shown, expected_slice(output(7), 0, DEPTH // 2))


def test_a_picture_without_slices_is_never_met(tmp_path, monkeypatch):
    """Who watches would take the epoch for one of an old run."""
    met = []
    write = scripts.engines.preview.write_panels

    def watched(stem, *panels):
        met.append(stem.with_name(f"{stem.name}_slices.json").exists())
        return write(stem, *panels)

    monkeypatch.setattr(scripts.engines.preview, "write_panels", watched)
    engine = Engine(lambda engine, item: output(5))
    Preview(tmp_path, TARGETS, slices=True).attach(engine)
    engine.run([0], max_epochs=1)
    assert met == [True]


def test_slices_of_every_panel_are_written_where_asked_for(tmp_path):
    engine = Engine(lambda engine, item: output(5))
    Preview(tmp_path, TARGETS, slices=True).attach(engine)
    engine.run([0], max_epochs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch_0001.gif", "epoch_0001.png", "epoch_0001_slices.json",
    ]  # fmt: skip
    atlas = json.loads((tmp_path / "epoch_0001_slices.json").read_text())
    assert atlas["z"] == list(range(DEPTH))
    data = output(5)
    upper, lower = preview_panels(
        data["image"][0],
        {name: value[0] for name, value in data["label"].items()},
        {name: value[0] for name, value in data["pred"].items()},
        parse_targets(TARGETS),
    )
    assert [(one["target"], one["title"]) for one in atlas["panels"]] == [
        (one.target, one.title) for one in [*upper, *lower]
    ]
    assert [one.title for one in lower] == ["sheet: prediction", "normals: prediction"]
    truth = atlas["panels"][1]["picture"]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(truth.split(",")[1]))).convert("RGB"))
    for z in range(DEPTH):
        row, column = divmod(z, atlas["columns"])
        tile = picture[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
        np.testing.assert_array_equal(tile, upper[1].colours[z])
