"""Which patches are kept, where they lie, and what is drawn of them."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from PIL import Image

from scripts.engines import WorstPatches
from scripts.geometry import parse_targets
from scripts.viewers import preview_panels

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
DEPTH, EDGE = 5, 8


def batch_of(n, size=2):
    """Batch number n: two patches whose start tells which they are."""
    images = torch.randn(size, 1, DEPTH, EDGE, EDGE, generator=torch.Generator().manual_seed(n))
    image = MetaTensor(images)
    image.meta["filename_or_obj"] = [f"{n}_{i}.zarr" for i in range(size)]
    patch = {"volume": torch.arange(size), "start": torch.tensor([[n, i, 0] for i in range(size)])}
    return {"image": image, "patch": patch | {"size": torch.tensor([[DEPTH, EDGE, EDGE]] * size)}}


def output_of(n, loss, size=2):
    generator = torch.Generator().manual_seed(1000 + n)

    def random(channels):
        return torch.randn(size, channels, DEPTH, EDGE, EDGE, generator=generator)

    return {
        "image": batch_of(n, size)["image"].as_tensor(),
        "label": {"sheet": (random(1) > 0).float(), "normals": random(3)},
        "pred": {"sheet": random(1), "normals": random(3)},
        "loss": torch.tensor(loss),
    }


def run(path, losses, max_epochs=1, size=2, change=lambda output: output, **options):
    """Train on batches with these losses; each iteration has its own patches."""

    def step(engine, item):
        n = engine.state.iteration
        engine.state.batch = batch_of(n, size)
        return change(output_of(n, losses[n - 1], size))

    trainer = Engine(step)
    WorstPatches(path, **({"targets": TARGETS} | options)).attach(trainer)
    trainer.run([0] * (len(losses) // max_epochs), max_epochs=max_epochs)
    return json.loads(path.read_text())


def picture(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def test_the_batches_with_the_highest_loss_come_first(tmp_path):
    losses = [0.5, 3.0, 1.0, 2.0, 4.0, 0.1, 2.5]
    found = run(tmp_path / "new" / "worst.json", losses, count=6)
    assert found["epoch"] == 1
    assert [(one["iteration"], one["loss"]) for one in found["patches"]] == [
        (5, 4.0), (5, 4.0), (2, 3.0), (2, 3.0), (7, 2.5), (7, 2.5),
    ]  # fmt: skip
    first, second = found["patches"][2:4]
    assert [(one["image"], one["volume"], one["start"], one["size"], one["batch_size"]) for one in (first, second)] == [
        ("2_0.zarr", 0, [2, 0, 0], [5, 8, 8], 2), ("2_1.zarr", 1, [2, 1, 0], [5, 8, 8], 2),
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "size", "kept"), [(3, 2, 3), (1, 2, 1), (4, 8, 4), (12, 1, 7)])
def test_there_are_never_more_than_was_asked_for(tmp_path, count, size, kept):
    found = run(tmp_path / "worst.json", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], count=count, size=size)
    assert len(found["patches"]) == kept
    assert found["patches"][0]["loss"] == 7.0


def test_equal_losses_are_no_trouble(tmp_path):
    found = run(tmp_path / "worst.json", [1.0] * 6, count=4)
    assert [one["iteration"] for one in found["patches"]] == [1, 1, 2, 2]


def test_each_epoch_has_its_own(tmp_path):
    found = run(tmp_path / "worst.json", [9.0, 8.0, 1.0, 2.0], max_epochs=2, count=2)
    assert (found["epoch"], [one["loss"] for one in found["patches"]]) == (2, [2.0, 2.0])


def expected_panels(output, sample, cut):
    upper, lower = preview_panels(
        cut(output["image"][sample]),
        {name: cut(value[sample]) for name, value in output["label"].items()},
        {name: cut(value[sample]) for name, value in output["pred"].items()},
        parse_targets(TARGETS),
    )
    return [*upper, *lower]


@pytest.mark.parametrize("deep", [False, True])
def test_the_middle_slice_of_image_truth_and_prediction_is_drawn(tmp_path, deep):
    def with_supervision(output):
        coarse = {name: [value, value[..., ::2, ::2, ::2]] for name, value in output["pred"].items()}
        return output | {"pred": coarse} if deep else output

    (_, second) = run(tmp_path / "worst.json", [1.0], change=with_supervision)["patches"]
    assert second["slice"] == DEPTH // 2
    expected = expected_panels(output_of(1, 1.0), 1, lambda one: one[:, DEPTH // 2 : DEPTH // 2 + 1])
    assert [one["title"] for one in second["atlas"]["panels"]] == [one.title for one in expected]
    for found, panel in zip(second["atlas"]["panels"], expected, strict=True):
        if found["picture"].startswith("data:image/png"):
            np.testing.assert_array_equal(picture(found["picture"]), panel.colours[0])
    assert sum(found["picture"].startswith("data:image/png") for found in second["atlas"]["panels"]) >= 3


def test_landmarks_are_marked_on_the_maximum_along_z(tmp_path):
    points = torch.tensor([[[4.0, 2.0, 3.0]], [[0.0, 1.0, 1.0]]])  # B N 3, none in the middle slice

    def as_landmarks(output):
        return output | {"label": {"marks": points}, "pred": {"marks": output["pred"]["sheet"]}}

    targets = {"marks": {"channels": 1, "kind": "points"}}
    first, second = run(tmp_path / "worst.json", [1.0], change=as_landmarks, targets=targets)["patches"]
    assert first["slice"] is None
    for one, (y, x) in ((first, (2, 3)), (second, (1, 1))):
        titles = {panel["title"]: panel["picture"] for panel in one["atlas"]["panels"]}
        red, green, blue = picture(titles["marks: true landmarks"])[y, x].astype(int)
        assert (red, green, blue) == (90, 220, 120)


def test_without_an_epochs_end_nothing_is_written(tmp_path):
    trainer = Engine(lambda engine, item: output_of(1, 1.0))
    WorstPatches(tmp_path / "worst.json", TARGETS).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, trainer.terminate)
    trainer.run([batch_of(1)], max_epochs=1)
    assert not (tmp_path / "worst.json").exists()


@pytest.mark.parametrize("count", [0, 2.0])
def test_a_count_below_one_is_named(tmp_path, count):
    with pytest.raises(ValueError, match=f"count must be a whole number of at least 1, got {count!r}"):
        WorstPatches(tmp_path / "a", TARGETS, count=count)
