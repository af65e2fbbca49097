"""The memory rule, by its parts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.networks import count_feature_map_values, memory_budget, plan_unet


@pytest.mark.parametrize(
    ("preset", "gigabytes", "in_2d", "in_3d"),
    [("M", 8, 135e6, 680e6), ("L", 24, 380e6, 2100e6), ("XL", 40, 560e6, 3600e6)],
)
def test_reference_values(preset, gigabytes, in_2d, in_3d):
    for dims, values, batch in ((2, in_2d, 12), (3, in_3d, 2)):
        budget = memory_budget(preset, dims)
        assert (budget.gigabytes, budget.values, budget.reference_batch) == (gigabytes, values, batch)
        assert budget.largest_patch == values * batch / 2
        assert memory_budget(preset, dims, 2 * gigabytes).values == 2 * values


def test_batch_is_rounded_capped_and_at_least_two():
    budget = memory_budget("M", 3)
    assert budget.batch_size(272_000_000, 10) == 5
    assert budget.batch_size(245_000_000, 10) == 6  # 5.55
    assert budget.batch_size(10_000_000, 1000, dataset_voxels=9_400) == 9
    assert budget.batch_size(10_000_000, 1000, dataset_voxels=10) == 2
    assert budget.batch_size(2_000_000_000, 10) == 2


def test_unknown_preset_and_memory():
    with pytest.raises(ValueError, match=r"one of M, L, XL; got 'S'"):
        memory_budget("S", 3)
    with pytest.raises(ValueError, match=r"memory_gb must be a positive number, got -1"):
        memory_budget("M", 3, -1)


def test_steps_that_padding_undoes_are_repeated():
    # the second axis cannot be halved by itself; a single step along the first is padded back to where it was
    plan = plan_unet(None, (0.5, 3), median_shape=(28, 12282), memory_gb=1, min_bottleneck_edge=8)
    assert count_feature_map_values(plan) <= 135e6 / 8


@given(
    st.lists(st.floats(0.2, 20), min_size=2, max_size=3),
    st.lists(st.integers(1, 3000), min_size=3, max_size=3),
    st.sampled_from([0.05, 1, 8]),
)
@settings(max_examples=100, deadline=None)
def test_chosen_patch_fits_its_strides_and_the_memory(spacing, shape, memory_gb):
    dims = len(spacing)
    plan = plan_unet(None, spacing, median_shape=shape[:dims], memory_gb=memory_gb)
    assert plan.patch_size == plan.padded_patch_size
    assert count_feature_map_values(plan) <= memory_budget("M", dims, memory_gb).values
    assert all(edge >= min(4, whole) for edge, whole in zip(plan.patch_size, shape, strict=False))
