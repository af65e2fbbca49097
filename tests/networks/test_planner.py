"""The planner against nnU-Net's own plans."""

import time
from dataclasses import replace

import pytest
import torch

from scripts.networks import MultiTaskUNet, count_feature_map_values, plan_unet

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


def test_max_features_and_min_bottleneck_edge():
    assert plan_unet((64, 64, 64), ONE, max_features=100).features_per_stage == (32, 64, 100, 100, 100)
    assert plan_unet((64, 64, 64), ONE, min_bottleneck_edge=8).bottleneck_size == (8, 8, 8)


def test_preset_is_kept_and_leaves_the_topology():
    plans = [plan_unet((64, 64, 64), ONE, preset=preset) for preset in ("M", "XL")]
    assert [plan.preset for plan in plans] == ["M", "XL"]
    assert plans[0].strides == plans[1].strides


# preset, median shape at 1 mm, patch; every batch is 2
MEMORY_CASES = [
    pytest.param("M", (1024, 1024, 1024), (128, 128, 128), id="M cube"),
    pytest.param("L", (1024, 1024, 1024), (192, 192, 192), id="L cube"),
    pytest.param("XL", (1024, 1024, 1024), (256, 224, 224), id="XL cube"),
    pytest.param("M", (512, 2048, 2048), (56, 224, 192), id="M tall"),
    pytest.param("M", (64, 1024, 1024), (32, 256, 256), id="M flat"),
]


@pytest.mark.parametrize(("preset", "median_shape", "patch"), MEMORY_CASES)
def test_patch_and_batch_of_nnunets_presets(preset, median_shape, patch):
    plan = plan_unet(None, ONE, preset=preset, median_shape=median_shape)
    assert (plan.patch_size, plan.batch_size) == (patch, 2)
    assert replace(plan, batch_size=None) == plan_unet(patch, ONE, preset=preset)


def test_patch_is_clipped_to_the_typical_volume_and_padded_to_the_strides():
    # smaller than the memory allows: 100 is padded to 112, and what is left goes into the batch
    plan = plan_unet(None, ONE, median_shape=(100, 99.5, 100))
    assert plan.patch_size == (112, 112, 112)
    assert plan.batch_size == round(680e6 / count_feature_map_values(plan) * 2) == 4


def test_memory_is_scaled_from_the_presets_own():
    assert plan_unet((64, 64, 64), ONE, memory_gb=8).batch_size == round(2 * 680e6 / 69_341_184) == 20
    assert plan_unet((64, 64, 64), ONE, memory_gb=16).batch_size == round(4 * 680e6 / 69_341_184) == 39
    assert plan_unet((64, 64, 64), ONE, preset="L", memory_gb=8).batch_size == round(2 * 700e6 / 69_341_184)
    chosen = [plan_unet(None, ONE, median_shape=(1024,) * 3, memory_gb=gb).patch_size for gb in (2, 8, 32)]
    assert chosen == sorted(chosen)
    assert len(set(chosen)) == 3


def test_batch_does_not_exceed_the_data():
    assert plan_unet((64, 64, 64), ONE, dataset_voxels=7.4 * 64**3).batch_size == 7
    assert plan_unet((64, 64, 64), ONE, dataset_voxels=64**3).batch_size == 2
    assert plan_unet((64, 64, 64), ONE, dataset_voxels=1e12).batch_size == 20


def test_batch_of_2d_is_counted_against_a_reference_of_twelve():
    plan = plan_unet((512, 512), (1, 1), memory_gb=8)
    assert plan.batch_size == round(12 * 135e6 / count_feature_map_values(plan)) == 13
    assert plan_unet((1024, 1024), (1, 1), memory_gb=8).batch_size == 3
    with pytest.raises(ValueError, match=r"two patches of 810,000,000 .*one of \[2048, 2048\] voxels has 2,"):
        plan_unet((2048, 2048), (1, 1), memory_gb=8)


def test_without_a_question_about_memory_there_is_no_batch_size():
    assert plan_unet((64, 64, 64), ONE).batch_size is None


def test_targets_and_channels_of_the_image_take_memory():
    def batch(**options):
        return plan_unet((64, 64, 64), ONE, memory_gb=8, **options).batch_size

    targets = {"a": {"channels": 2}, "b": {"channels": 2}}
    assert batch(targets={"a": {"channels": 2}}) == batch() == 20
    # each decoder holds 64 values per voxel in the first level, 128 / 8 in the second, 256 / 64, 512 / 512
    second = 64**3 * (64 + 16 + 4 + 1)
    assert batch(targets=targets) == round(2 * 680e6 / (69_341_184 + second + 2 * 64**3)) == 15
    assert batch(targets=targets, decoder="shared") == round(2 * 680e6 / (69_341_184 + 2 * 64**3)) == 19
    assert batch(in_channels=65) == round(2 * 680e6 / (69_341_184 + 64 * 64**3)) == 16


def test_largest_plan_takes_less_than_a_second():
    begun = time.perf_counter()
    plan_unet(None, (1, 1, 1), preset="XL", median_shape=(4096, 4096, 4096))
    plan_unet(None, (0.1, 50, 1), median_shape=(30000, 30000, 30000), memory_gb=0.01)
    assert time.perf_counter() - begun < 1


def test_memory_that_holds_no_patch_names_the_smallest():
    with pytest.raises(ValueError, match=r"1e-05 GB holds a patch of 850 .*even one of \[4, 4, 4\] voxels has 6,272"):
        plan_unet(None, ONE, median_shape=(64, 64, 64), memory_gb=1e-5)


def test_deep_supervision_at_128_speaks_at_five_levels():
    with torch.device("meta"):
        network = MultiTaskUNet(3, 1, {"t": {"channels": 2}}, patch_size=(128,) * 3, deep_supervision=True)
        outputs = network(torch.zeros(1, 1, 128, 128, 128))["t"]
    assert [tuple(level.shape[2:]) for level in outputs] == [(edge,) * 3 for edge in (128, 64, 32, 16, 8)]


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
        ((64, 64, 64), ONE, {"in_channels": 0}, "in_channels must be a positive whole number, got 0"),
        ((64, 64, 64), ONE, {"decoder": "share"}, r"'separate' or 'shared', got 'share'"),
        ((64, 64, 64), ONE, {"targets": {"a": {"chanels": 1}}}, "did you mean 'channels'"),
        ((64, 64, 64), ONE, {"memory_gb": 0}, "memory_gb must be a positive number, got 0"),
        ((64, 64, 64), ONE, {"dataset_voxels": -1}, "dataset_voxels must be a positive number, got -1"),
        ((64, 64, 64), ONE, {"median_shape": ONE}, r"leave it out, or patch_size = \[64, 64, 64\]"),
        (None, ONE, {}, "give `patch_size`, or `median_shape` .*neither was given"),
        (None, ONE, {"median_shape": (64, 0, 64)}, r"2 or 3 numbers of at least 1, got \[64, 0, 64\]"),
        (None, ONE, {"median_shape": (64, 64)}, r"spacing must be 2 positive numbers.*got \[1, 1, 1\]"),
        (
            (192, 192, 192),
            ONE,
            {"memory_gb": 8},
            r"8 GB holds a batch of two patches of 680,000,000 .*one of \[192, 192, 192\] .*22 GB",
        ),
    ],
)
def test_bad_input(size, spacing, options, message):
    with pytest.raises(ValueError, match=message):
        plan_unet(size, spacing, **options)
