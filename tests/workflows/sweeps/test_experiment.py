"""Grids and combinations, against loops by hand."""

from scripts.workflows.sweeps.experiment import Combination, Experiment, Head, Notes, grid


def test_a_grid_is_every_combination_the_last_key_fastest():
    assert grid({"a": [1, 2], "b": [3], "c": [4, 5, 6]}) == [
        {"a": a, "b": 3, "c": c} for a in (1, 2) for c in (4, 5, 6)
    ]
    assert grid({}) == [{}]


def test_combinations_number_models_fastest():
    experiment = Experiment(
        [Combination({"lr": lr}, Notes([f"lr {lr}"])) for lr in (1, 2, 3)],
        [Combination({"h": h}, Notes(dropped=[f"h {h}"])) for h in (6, 12)],
        [],
    )
    assert [one.settings for one in experiment.combinations] == [
        {"h": h, "lr": lr} for lr in (1, 2, 3) for h in (6, 12)
    ]
    for i, combination in enumerate(experiment.combinations):
        assert experiment.model_of(i).settings["h"] == combination.settings["h"]
    assert str(experiment.combinations[3].notes) == "Became:\n  lr 2\nNo counterpart:\n  h 12\n"


def test_rows_of_a_part():
    head = Head({}, volumes=[{"image": "a", "split": "train"}, {"image": "b", "split": "val"}, {"image": "c"}])
    assert [row["image"] for row in head.rows("train")] == ["a", "c"]
    assert [row["image"] for row in head.rows("val")] == ["b"]
