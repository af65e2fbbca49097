"""Values set by hand over planned ones."""

import pytest

from scripts.networks import plan_unet, resolve_plan

PATCH, SPACING = (20, 64, 64), (5, 1, 1)  # strides 111, 122, 122, 222, 122 with kernels 133, 133, 333, 333, 333


def test_without_overrides_it_is_the_plan():
    plan = plan_unet(PATCH, SPACING)
    assert resolve_plan(PATCH, SPACING) == plan
    assert resolve_plan(plan=plan) == plan
    assert resolve_plan(plan=plan.as_dict()) == plan
    assert resolve_plan((32, 32)) == plan_unet((32, 32), (1, 1))


def test_fewer_features_keep_the_first_stages_and_a_full_kernel_at_the_bottleneck():
    plan = resolve_plan(PATCH, SPACING, features_per_stage=[8, 16])
    assert plan.features_per_stage == (8, 16)
    assert plan.strides == ((1, 1, 1), (1, 2, 2))
    assert plan.kernel_sizes == ((1, 3, 3), (3, 3, 3))
    assert plan.n_blocks_per_stage == (1, 3)
    assert plan.n_conv_per_stage_decoder == (1,)


def test_each_list_replaces_the_planned_one():
    plan = resolve_plan(
        PATCH,
        SPACING,
        features_per_stage=[4, 8, 12],
        n_blocks_per_stage=[2, 2, 2],
        strides=[1, 2, [1, 2, 2]],
        kernel_sizes=[3, 5, [1, 3, 3]],
        n_conv_per_stage_decoder=[2, 1],
    )
    assert plan.features_per_stage == (4, 8, 12)
    assert plan.n_blocks_per_stage == (2, 2, 2)
    assert plan.strides == ((1, 1, 1), (2, 2, 2), (1, 2, 2))
    assert plan.kernel_sizes == ((3, 3, 3), (5, 5, 5), (1, 3, 3))
    assert plan.n_conv_per_stage_decoder == (2, 1)
    assert plan.divisor == (2, 4, 4)


def test_one_number_of_convolutions_holds_for_all_stages():
    assert resolve_plan((32, 32, 32), n_conv_per_stage_decoder=2).n_conv_per_stage_decoder == (2, 2, 2)


def test_batch_size_is_kept_and_old_plans_have_none():
    plan = plan_unet((64, 64, 64), (1, 1, 1), memory_gb=8)
    assert resolve_plan(plan=plan.as_dict(), n_conv_per_stage_decoder=2).batch_size == plan.batch_size == 20
    old = {name: value for name, value in plan.as_dict().items() if name not in ("preset", "batch_size")}
    assert resolve_plan(plan=old).batch_size is None


def test_too_many_features_name_the_smallest_patch():
    with pytest.raises(ValueError, match=r"has 5 entries .*has 4 stages.*a patch of at least \[64, 64, 64\]"):
        resolve_plan((32, 32, 32), features_per_stage=[8, 16, 32, 64, 64])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give `patch_size` .*or a `plan`"),
        (
            {"patch_size": (32, 32), "plan": plan_unet((32, 32), (1, 1))},
            r"leave out `plan`, or patch_size = \(32, 32\)",
        ),
        (
            {"patch_size": (32, 32), "n_blocks_per_stage": [1, 1]},
            "n_blocks_per_stage has 2 entries, but features_per_stage has 4 stages, which need 4",
        ),
        (
            {"patch_size": (32, 32), "features_per_stage": [4, 8], "n_conv_per_stage_decoder": [1, 1]},
            "n_conv_per_stage_decoder has 2 entries, but features_per_stage has 2 stages, which need 1",
        ),
        ({"patch_size": (32, 32), "features_per_stage": []}, r"at least one; got \[\]"),
        (
            {"patch_size": (32, 3), "features_per_stage": [4, 8, 8], "strides": [1, 2, [1, 2]]},
            r"\[32, 3\] is too small for 3 stages with strides \[\[1, 1\], .*; the smallest is \[2, 4\]",
        ),
        (
            {"patch_size": (32, 32), "features_per_stage": [4, 8], "strides": [1, 2, 2]},
            "strides has 3 entries, but features_per_stage has 2 stages, which need 2",
        ),
        (
            {"plan": {"patch_size": [8, 8], "stride": []}},
            r"'stride' \(did you mean 'strides'\?\); missing.*strides, ker",
        ),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        resolve_plan(**options)
