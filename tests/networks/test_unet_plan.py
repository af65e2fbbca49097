"""The planner against nnU-Net's own plans."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.networks import MultiTaskUNet, UNetPlan, check_patch_size, plan_unet, smallest_patch

ISO = (2, 2, 2)
FLAT = (1, 2, 2)
ONE = (1, 1, 1)

# patch, spacing, strides after the first, kernels other than 3,3,3, bottleneck, parameters from 1 to 2 channels
REFERENCE = [
    pytest.param((64, 192, 192), ONE, [ISO] * 4 + [FLAT], [], (4, 6, 6), 101_940_170, id="64,192,192"),
    pytest.param((128, 128, 128), ONE, [ISO] * 5, [], (4, 4, 4), 102_349_770, id="128,128,128"),
    pytest.param(
        (20, 256, 256),
        (5, 1, 1),
        [FLAT, FLAT, ISO, ISO, FLAT, FLAT],
        [(1, 3, 3), (1, 3, 3)],
        (5, 4, 4),
        140_402_188,
        id="anisotropic",
    ),
    pytest.param((40, 56, 40), ONE, [ISO] * 3, [], (5, 7, 5), None, id="40,56,40"),
    pytest.param((100, 100, 100), ONE, [ISO] * 4, [], (7, 7, 7), None, id="100,100,100"),
]


@pytest.mark.parametrize(("patch", "spacing", "strides", "kernels", "bottleneck", "parameters"), REFERENCE)
def test_reference_topologies(patch, spacing, strides, kernels, bottleneck, parameters):
    plan = plan_unet(patch, spacing)
    n_stages = len(strides) + 1
    assert plan.strides == (ONE, *strides)
    assert plan.kernel_sizes == (*kernels, *[(3, 3, 3)] * (n_stages - len(kernels)))
    assert plan.bottleneck_size == bottleneck
    assert plan.features_per_stage == (32, 64, 128, 256, 320, 320, 320)[:n_stages]
    assert plan.n_blocks_per_stage == (1, 3, 4, 6, 6, 6, 6)[:n_stages]
    assert plan.n_conv_per_stage_decoder == (1,) * (n_stages - 1)
    if parameters is not None:
        with torch.device("meta"):
            # nnU-Net's network has a head on every decoder level.
            network = MultiTaskUNet(3, 1, {"t": {"channels": 2}}, plan=plan, deep_supervision=True)
        assert sum(p.numel() for p in network.parameters()) == parameters


def test_100_is_padded_to_112():
    plan = plan_unet((100, 100, 100), ONE)
    assert plan.patch_size == (100, 100, 100)
    assert plan.padded_patch_size == (112, 112, 112)
    assert plan.divisor == (16, 16, 16)


def test_2d_caps_features_at_512():
    plan = plan_unet((512, 256), (1, 1))
    # 512, 256 halved six times; the 8 that is left of y would be halved alone, for which it would need 12.
    assert plan.strides == ((1, 1), *[(2, 2)] * 6)
    assert plan.bottleneck_size == (8, 4)
    assert plan.features_per_stage == (32, 64, 128, 256, 512, 512, 512)


def test_axis_halved_alone_needs_three_edges():
    # Only x can be halved: at 12 it is, at 8 it is not.
    assert plan_unet((4, 4, 12), ONE).strides == (ONE, (1, 1, 2))
    assert plan_unet((4, 4, 8), ONE).strides == (ONE,)


def test_max_features_and_min_bottleneck_edge():
    assert plan_unet((64, 64, 64), ONE, max_features=100).features_per_stage == (32, 64, 100, 100, 100)
    assert plan_unet((64, 64, 64), ONE, min_bottleneck_edge=8).bottleneck_size == (8, 8, 8)


def test_preset_is_kept_and_leaves_the_topology():
    plans = [plan_unet((64, 64, 64), ONE, preset=preset) for preset in ("M", "XL")]
    assert [plan.preset for plan in plans] == ["M", "XL"]
    assert plans[0].strides == plans[1].strides


def test_plan_survives_json():
    plan = plan_unet((20, 256, 256), (5, 1, 1), preset="L")
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


@given(st.integers(1, 6), st.lists(st.sampled_from([0.5, 1.0, 1.7, 2.0, 3.0, 5.0, 9.0]), min_size=2, max_size=3))
@settings(max_examples=100, deadline=None)
def test_smallest_patch_has_the_stages_and_one_step_less_has_not(n_stages, spacing):
    smallest = smallest_patch(n_stages, spacing)
    strides = plan_unet(smallest, spacing).strides[:n_stages]
    assert len(strides) == n_stages
    divisor = [math.prod(stride[axis] for stride in strides) for axis in range(len(spacing))]
    for axis, step in enumerate(divisor):
        assert smallest[axis] % step == 0
        if step > 1:
            smaller = [size - step * (a == axis) for a, size in enumerate(smallest)]
            assert plan_unet(smaller, spacing).strides[:n_stages] != strides


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
    ("size", "spacing", "options", "message"),
    [
        ((64,), (1,), {}, r"2 or 3 positive whole numbers, got \[64\]"),
        ((64, 0, 64), ONE, {}, r"patch_size must be .*got \[64, 0, 64\]"),
        ((64, 64, 64), (1, 1), {}, r"spacing must be 3 positive numbers.*got \[1, 1\]"),
        ((64, 64, 64), (1, -1, 1), {}, r"spacing .*got \[1, -1, 1\]"),
        ((64, 64, 64), ONE, {"preset": "XXL"}, r"one of M, L, XL; got 'XXL' \(did you mean 'XL'\?\)"),
        ((64, 64, 64), ONE, {"max_features": 0}, "max_features must be a positive whole number, got 0"),
        ((64, 64, 64), ONE, {"min_bottleneck_edge": 2.5}, "min_bottleneck_edge .*got 2.5"),
    ],
)
def test_bad_input(size, spacing, options, message):
    with pytest.raises(ValueError, match=message):
        plan_unet(size, spacing, **options)


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
    ],
)
def test_plans_that_no_network_can_have(changes, message):
    values = plan_unet((8, 8), (1, 1)).as_dict() | changes
    with pytest.raises(ValueError, match=message):
        UNetPlan(**values)
