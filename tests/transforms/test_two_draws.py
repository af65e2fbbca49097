"""Two draws for one patch, and the box that holds what both need."""

import numpy as np
import pytest
import torch

from scripts.transforms import ApplySpatiald, RandSpatialDrawd, RandTwoSpatialDrawsd, SpatialDraw, TwoSpatialDraws

DATUM = {"image": "x", "start": [10, 20, 30], "size": [9, 9, 9], "volume": 2}


def test_the_box_holds_both_boxes_and_each_draw_is_one_of_its_own():
    options = {"prob_rotation": 1.0, "prob_scaling": 1.0, "prob_elastic": 1.0, "max_enlargement": 4.0}
    transform = RandTwoSpatialDrawsd(**options).set_random_state(3)
    out = transform(DATUM)
    alone = RandSpatialDrawd(**options).set_random_state(3)
    singles = [alone(DATUM)["spatial"] for _ in range(2)]
    assert singles[0].angles != singles[1].angles
    low = np.min([one.box[0] for one in singles], axis=0)
    high = np.max([np.add(*one.box) for one in singles], axis=0)
    assert out["start"] == low.tolist()
    assert out["size"] == (high - low).tolist()
    for found, single in zip(out["spatial"], singles, strict=True):
        assert (found.angles, found.factors, found.elastic_seed) == (single.angles, single.factors, single.elastic_seed)
        assert found.patch == ((10, 20, 30), (9, 9, 9))
        assert found.box == (tuple(low), tuple(high - low))
    assert {key: out[key] for key in ("image", "volume")} == {"image": "x", "volume": 2}


def test_a_view_that_stays_as_it_is_still_needs_the_patch():
    """Factor 0.7 alone would read 5 voxels of 9; the other view needs all 9."""
    for seed in range(20):
        transform = RandTwoSpatialDrawsd(prob_rotation=0, prob_scaling=0.5, scaling=[0.5, 0.5]).set_random_state(seed)
        out = transform({**DATUM, "bounds": [[0] * 3, [99] * 3]})
        factors = [one.factors[0] for one in out.get("spatial", ())]
        assert "bounds" not in out
        if factors == []:
            assert (out["start"], out["size"]) == ([10, 20, 30], [9, 9, 9])
        elif factors == [0.5, 0.5]:
            assert (out["start"], out["size"]) == ([12, 22, 32], [5, 5, 5])
        else:
            assert sorted(factors) == [0.5, 1.0]
            assert (out["start"], out["size"]) == ([10, 20, 30], [9, 9, 9])


def test_bounds_hold_for_both():
    transform = RandTwoSpatialDrawsd(0, 30, 1, [1.8, 1.8])
    out = transform({**DATUM, "bounds": [[10, 0, 0], [18, 99, 99]]})
    assert (out["start"], out["size"]) == ([10, 16, 26], [8, 17, 17])


def test_the_pair_is_cut_to_a_volume_as_each_draw_is():
    pair = TwoSpatialDraws(*[SpatialDraw(patch=((0, 0, 0), (9, 9, 9)), box=((-3, 20, 50), (20, 20, 9)))] * 2)
    assert pair.inside((12, 50, 48)).box == ((0, 20, 47), (12, 20, 1))
    assert pair.inside((12, 50, 48)).second.box == ((0, 20, 47), (12, 20, 1))
    assert pair.patch == ((0, 0, 0), (9, 9, 9))


def test_a_loaded_sample_is_drawn_for_as_it_is():
    out = RandTwoSpatialDrawsd(1, 30, 1)({"image": torch.zeros(1, 4, 4, 4)})
    assert out["spatial"].patch is None
    assert out["spatial"].box is None


def test_two_draws_are_not_for_one_view():
    sample = RandTwoSpatialDrawsd(1, 30, 1)({"image": torch.zeros(1, 4, 4, 4)})
    with pytest.raises(ValueError, match=r"expected one draw.*got TwoSpatialDraws, for TwoViewsd"):
        ApplySpatiald("image")(sample)
