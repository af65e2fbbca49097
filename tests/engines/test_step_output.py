"""A batch by name, samples by number, as MONAI's handlers want them."""

import torch
from monai.handlers import from_engine
from monai.utils.enums import CommonKeys as Keys

from scripts.engines import StepOutput

IMAGE, LOSS = torch.arange(12.0).reshape(2, 1, 6), torch.tensor(0.5)


def output():
    pred = {"sheet": [IMAGE + 1, IMAGE[..., :3] + 1], "depth": IMAGE * 2}
    return StepOutput({Keys.IMAGE: IMAGE, Keys.LABEL: {"sheet": IMAGE > 3}, Keys.PRED: pred, Keys.LOSS: LOSS})


def test_names_give_the_batch():
    found = output()
    assert found[Keys.LOSS] is LOSS
    assert found["image"] is IMAGE
    assert Keys.PRED in found
    assert "nothing" not in found


def test_numbers_give_samples_without_copying():
    found = output()
    assert len(found) == 2
    torch.testing.assert_close(found[1]["image"], IMAGE[1])
    torch.testing.assert_close(found[1]["label"]["sheet"], IMAGE[1] > 3)
    torch.testing.assert_close(found[1]["pred"]["sheet"][1], IMAGE[1, :, :3] + 1)
    torch.testing.assert_close(found[1]["pred"]["depth"], IMAGE[1] * 2)
    assert found[1]["loss"] is LOSS
    assert found[0]["image"].data_ptr() == IMAGE.data_ptr()


def test_monais_handlers_find_what_they_look_for():
    assert from_engine(["loss"], first=True)(output()) is LOSS
    images = from_engine(["image"])(output())
    torch.testing.assert_close(torch.stack(images), IMAGE)


def test_without_an_image_there_is_one_sample():
    assert StepOutput({"loss": LOSS}) == [{"loss": LOSS}]
