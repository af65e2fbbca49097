"""The plan: what it says of sizes, and which plans no network can have."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.networks import UNetPlan, check_patch_size, plan_unet

ONE = (1, 1, 1)


def test_plan_survives_json():
    plan = plan_unet((20, 256, 256), (5, 1, 1), preset="L", memory_gb=24)
    assert plan.batch_size == 7
    assert UNetPlan(**json.loads(json.dumps(plan.as_dict()))) == plan


def test_one_number_per_stage_stands_for_all_axes():
    plan = UNetPlan((8, 8), (1, 2), (3, (1, 3)), (4, 8), (1, 1), (1,))
    assert plan.strides == ((1, 1), (2, 2))
    assert plan.kernel_sizes == ((3, 3), (1, 3))


@given(
    st.lists(st.integers(1, 200), min_size=2, max_size=3),
    st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_padded_patch_is_the_smallest_that_fits(size, spacing):
    plan = plan_unet(size, spacing[: len(size)])
    check_patch_size(plan.padded_patch_size, plan)
    for asked, padded, divisor in zip(size, plan.padded_patch_size, plan.divisor, strict=True):
        assert padded - divisor < asked <= padded


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((100, 112, 112), r"axis z has 100 voxels, which 16 does not divide \(nearest: 96 or 112\)"),
        ((112, 112, 5), r"axis x has 5 voxels, which 16 does not divide \(nearest: 16\)"),
        ((17, 112, 30), r"axis z has 17 .*16 or 32\); axis x has 30 .*16 or 32\)"),
        ((112, 112), r"expected 3 spatial axes, got a patch of size \[112, 112\]"),
    ],
)
def test_check_patch_size_names_axis_and_nearest_sizes(size, message):
    with pytest.raises(ValueError, match=message):
        check_patch_size(size, plan_unet((100, 100, 100), ONE))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strides": [1]}, "strides has 1 entries, but features_per_stage has 2 stages, which need 2"),
        ({"n_conv_per_stage_decoder": [1, 1]}, "n_conv_per_stage_decoder has 2 entries.* 2 stages, which need 1"),
        ({"strides": [2, 2]}, r"strides\[0\] must be ones, got \[2, 2\]"),
        ({"kernel_sizes": [3, 4]}, r"kernel_sizes must be odd.*got \[4, 4\]"),
        ({"kernel_sizes": [3, [3, 3, 3]]}, "kernel_sizes must hold 2 positive whole numbers per stage"),
        ({"n_blocks_per_stage": [1, 0]}, r"n_blocks_per_stage must hold positive whole numbers, got \[1, 0\]"),
        ({"features_per_stage": []}, r"at least one; got \[\]"),
        ({"batch_size": 0}, "batch_size must be a positive whole number or null, got 0"),
    ],
)
def test_plans_that_no_network_can_have(changes, message):
    values = plan_unet((8, 8), (1, 1)).as_dict() | changes
    with pytest.raises(ValueError, match=message):
        UNetPlan(**values)
