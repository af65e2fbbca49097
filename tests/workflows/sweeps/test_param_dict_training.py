"""Length, optimiser and volumes of a training of a `param_dict.json`."""

import pytest
import torch
from tests.workflows.sweep_files import imported

from scripts.workflows.imports.task_file import Entry, Findings
from scripts.workflows.sweeps.param_dict_training import import_training


def trained(**values):
    findings = Findings()
    import_training({key: Entry(f"seg.{key}", value) for key, value in values.items()}, findings)
    return findings


@pytest.mark.parametrize(
    ("n_iterations", "every", "epochs", "steps"),
    [(10000, 5000, 2, 5000), (300000, 50000, 6, 50000), (7, 3, 3, 3), (5, 9, 1, 5), (6, None, 1, 6)],
)
def test_an_epoch_ends_with_each_checkpoint_and_all_of_them_stay(n_iterations, every, epochs, steps):
    findings = trained(num_iterations=n_iterations, **({} if every is None else {"save_every": every}))
    settings = findings.settings
    assert (settings["max_epochs"], settings["max_steps_per_epoch"], settings["keep_last"]) == (epochs, steps, epochs)
    longer = any(f"{epochs * steps} iterations" in line for line in findings.mapped)
    assert longer == (epochs * steps > n_iterations)


def test_the_learning_rate_stays_as_it_is():
    settings = trained(num_iterations=1, optimizer="adam", lr=0.5, decay=0.1, clipnorm=3).settings
    assert settings["learning_rate"] == 0.5
    assert settings["optimizer"]["_target_"] == "torch.optim.Adam"
    assert (settings["weight_decay"], settings["clip_norm"]) == (0.1, 3.0)
    assert settings["lr_scheduler"]["_target_"] == "torch.optim.lr_scheduler.ConstantLR"
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=settings["lr_scheduler"]["factor"])
    rates = []
    for _ in range(9):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [0.5] * 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seg__optimizer": ["sgd"]}, "seg.optimizer: expected one of adam; got 'sgd'"),
        ({"contrastive__num_iterations": [0]}, "contrastive.num_iterations: .*at least 1, got 0"),
        ({"contrastive__lr": [-1]}, "contrastive.lr: expected a number above 0, got -1"),
        ({"seg__data_file": [3]}, "expected the path of a zarr"),
        ({"seg__dataset": [{"train": {"raw": "a", "gt": "b"}}]}, 'expected {"validate"'),
        (
            {"seg__dataset": [{"train": {"raw": "embs", "gt": "train/gt"}, "validate": {"raw": "a", "gt": "b"}}]},
            "'embs' stands for the image beside train/gt, .*: validate/raw",
        ),
    ],
)
def test_values_that_cannot_be_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        imported(**changes)


def test_volumes_are_arrays_of_the_file_and_embs_the_image_beside_the_truth():
    experiment = imported(contrastive__dataset=[["train/raw", "validate/raw"]])
    file = "data/cells.zarr"
    assert experiment.combinations[0].settings["volumes"] == [
        {"image": f"{file}/train/raw"}, {"image": f"{file}/validate/raw"}
    ]  # fmt: skip
    assert experiment.heads[0].volumes == [
        {"image": f"{file}/train/raw", "labels": f"{file}/train/gt", "split": "train"},
        {"image": f"{file}/validate/raw", "labels": f"{file}/validate/gt", "split": "val"},
    ]
    assert experiment.images == {"validate": f"{file}/validate/raw"}
