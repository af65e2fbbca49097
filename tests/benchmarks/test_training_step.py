"""What the numbers of the training step's benchmark rest on."""

import numpy as np
import pytest
import torch
import training_step
from ignite.engine import Engine, Events
from monai.data import MetaTensor, list_data_collate

SPACING = (2.0, 1.0, 1.0)


def turn(degrees: float) -> np.ndarray:
    """Rotation about the first axis."""
    angle = np.radians(degrees)
    return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])


def batch(linear: np.ndarray) -> MetaTensor:
    """One sample as it was read, and one after a step from new to old index."""
    affines = [np.eye(4), np.eye(4)]
    affines[0][:3, :3], affines[1][:3, :3] = np.diag(SPACING), np.diag(SPACING) @ linear
    samples = [
        {"image": MetaTensor(torch.zeros(1, 2, 2, 2), torch.as_tensor(affine), {"spacing": np.array(SPACING)})}
        for affine in affines
    ]
    return list_data_collate(samples)["image"]


@pytest.mark.parametrize(
    ("linear", "expected"),
    [
        pytest.param(np.eye(3), False, id="as it was"),
        pytest.param(np.diag([-1.0, 1.0, -1.0]), False, id="flipped"),
        pytest.param(turn(5), True, id="rotated"),
        pytest.param(1.05 * np.eye(3), True, id="scaled"),
        pytest.param(np.diag([1.0, -1.0, 1.0]) @ turn(5), True, id="rotated and flipped"),
    ],
)
def test_a_rotated_or_scaled_sample_is_told_from_a_flipped_one(linear, expected):
    assert training_step.is_turned(batch(linear)) is expected


@pytest.mark.parametrize(("skipped", "expected"), [(0, [6.0, 60.0]), (2, [2.0, 20.0])])
def test_a_block_is_the_mean_of_its_iterations_without_the_first_ones_and_the_epochs_end(
    monkeypatch, skipped, expected
):
    time = 0.0

    def wait(seconds: float) -> None:
        nonlocal time
        time += seconds

    monkeypatch.setattr(training_step, "now", lambda: time)
    engine = Engine(lambda _, seconds: wait(seconds))
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: wait(7.0))
    clock = training_step.BlockClock(skipped, between=lambda: wait(1000.0))
    clock.attach(engine)
    engine.run([10, 10, 1, 3, 100, 100, 10, 30], max_epochs=2, epoch_length=4)
    assert clock.blocks == expected
    assert clock.ends == [7.0, 7.0]
