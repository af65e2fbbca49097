"""Which trainings the benchmark of several targets compares, and how it sums them up."""

import multitask
import pytest

DATA = multitask.Data(
    targets={
        "sheet": {"channels": 1, "mask": "labelled", "metric": ["dice"]},
        "distance": {"channels": 1, "kind": "scalar", "source": "sheet"},
        "normals": {"channels": 3, "kind": "normal", "metric": ["angle"]},
    },
    volumes=[{"image": "i", "sheet": "s", "normals": "n", "labelled": "l"}],
    tests=[],
    derive={"distance": {"_target_": "D"}},
)


def test_every_scored_target_has_a_training_of_its_own_and_no_other():
    assert list(DATA.variants()) == [*multitask.MULTI, "single-sheet-se", "single-normals-se"]


def test_a_single_target_is_trained_on_what_it_needs_alone():
    sheet, normals = (DATA.variants()[f"single-{name}-se"] for name in ("sheet", "normals"))
    assert sheet["volumes"] == [{"image": "i", "sheet": "s", "labelled": "l"}]
    assert normals["volumes"] == [{"image": "i", "normals": "n"}]
    assert (list(sheet["targets"]), sheet["derive"]) == (["sheet"], [])
    assert DATA.variants()["multi-separate-se"]["derive"] == [{"_target_": "D"}]


def run(variant: str, seconds: float, **scores: float) -> dict:
    return {"variant": variant, "parameters": 7, "s_per_iteration": seconds, "scores": scores}


def test_means_and_spreads_are_over_the_seeds_and_times_go_by_the_baseline():
    rows = multitask.summary(
        [
            run("single-sheet-se", 1.0, dice=0.5),
            run(multitask.BASELINE, 2.0, dice=0.8, angle=10.0),
            run(multitask.BASELINE, 6.0, dice=0.9, angle=30.0),
        ]
    )
    single, multi = rows
    assert (single["ratio"], single["seeds"], single["angle"], single["angle_spread"]) == (0.25, 1, None, None)
    assert (multi["ratio"], multi["seeds"], multi["s_per_iteration"]) == (1.0, 2, 4.0)
    assert (multi["dice"], multi["dice_spread"]) == pytest.approx((0.85, 0.1))
    assert (multi["angle"], multi["angle_spread"]) == pytest.approx((20.0, 20.0))


def test_a_stopped_benchmark_goes_on_with_the_same_settings_only(monkeypatch):
    stored = {"machine": "m", "iterations": 300, "runs": [run(multitask.BASELINE, 1.0)]}
    monkeypatch.setattr(multitask.harness, "read_results", lambda name: stored)
    assert multitask.earlier_runs({"machine": "m", "iterations": 300}) == stored["runs"]
    with pytest.raises(ValueError, match=r"have \{'iterations': 300\}"):
        multitask.earlier_runs({"machine": "m", "iterations": 20})
