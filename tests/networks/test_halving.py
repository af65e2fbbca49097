"""Stages of a U-Net that halves its input until it is small."""

import logging

import pytest
import torch

from scripts.networks import MultiTaskUNet, halving_stages


def sizes(patch_size, stages):
    """Voxels along each axis at every stage."""
    found = [list(patch_size)]
    for stride in stages["strides"][1:]:
        found.append([n // s for n, s in zip(found[-1], stride, strict=True)])
    return found


@pytest.mark.parametrize("patch_size", [[512, 512], [1, 512, 512]])
def test_512_pixels_have_the_8_levels_of_lannu_net(patch_size):
    """min(32 x 2^l, 512) features, down to 4 pixels."""
    stages = halving_stages(patch_size)
    assert stages["features_per_stage"] == [32, 64, 128, 256, 512, 512, 512, 512]
    flat = [1] * (len(patch_size) - 2)
    assert stages["strides"] == [[1] * len(patch_size)] + [[*flat, 2, 2]] * 7
    assert stages["kernel_sizes"] == [[*flat, 3, 3]] * 8
    assert stages["n_blocks_per_stage"] == [1] * 8
    assert sizes(patch_size, stages)[-1] == [*flat, 4, 4]


@pytest.mark.parametrize(
    ("patch_size", "least", "lowest"),
    [
        ((96, 64, 64), 4, [6, 4, 4]),
        ((96, 64, 64), 8, [12, 8, 8]),
        ((96, 96, 48), 4, [12, 12, 6]),  # the next would be 3
        ((96, 96, 48), 3, [6, 6, 3]),
        ((32, 512, 512), 4, [4, 64, 64]),  # the shortest axis decides
        ((1, 80, 48), 5, [1, 10, 6]),
    ],
)
def test_the_shortest_axis_says_when_to_stop(patch_size, least, lowest, caplog):
    stages = halving_stages(patch_size, least)
    assert sizes(patch_size, stages)[-1] == lowest
    assert not caplog.records


def test_features_are_doubled_up_to_the_most(caplog):
    stages = halving_stages((64, 64), init_features=10, max_features=70, n_blocks=2)
    assert stages["features_per_stage"] == [10, 20, 40, 70, 70]
    assert stages["n_blocks_per_stage"] == [2] * 5


@pytest.mark.parametrize(("edge", "halvings", "wanted"), [(500, 2, 6), (90, 1, 4)])
def test_edges_that_cannot_be_divided_end_it_sooner_and_are_told(edge, halvings, wanted, caplog):
    with caplog.at_level(logging.WARNING):
        stages = halving_stages([1, edge, 512])
    assert len(stages["strides"]) == halvings + 1
    message = f"a patch of [1, {edge}, 512] voxels can be halved {halvings} times only, not {wanted} times down to 4"
    assert message in caplog.text
    assert f"divided by {2**wanted}" in caplog.text


@pytest.mark.parametrize(("patch_size", "least"), [([1, 65, 65], 4), ([1, 1, 1], 4), ([6, 6, 6], 4), ([8, 64, 64], 5)])
def test_patches_that_cannot_be_halved(patch_size, least):
    message = rf"a patch of \[{', '.join(map(str, patch_size))}\] voxels cannot be halved down to {least} along"
    with pytest.raises(ValueError, match=message):
        halving_stages(patch_size, least)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"min_feature_resolution": 0}, "min_feature_resolution = 0"),
        ({"init_features": 2.0}, "init_features = 2.0"),
        ({"max_features": True, "n_blocks": -1}, "max_features = True, n_blocks = -1"),
        ({"patch_size": [64, 0, 64.0]}, r"patch_size\[1\] = 0, patch_size\[2\] = 64.0"),
    ],
)
def test_what_are_no_numbers(options, said):
    with pytest.raises(ValueError, match=f"expected whole numbers of at least 1; got {said}"):
        halving_stages(**({"patch_size": [64, 64]} | options))


@pytest.mark.parametrize(("patch_size", "lowest"), [((1, 32, 16), (1, 8, 4)), ((16, 32, 16), (4, 8, 4))])
def test_a_network_is_built_of_them(patch_size, lowest):
    stages = halving_stages(patch_size, init_features=4)
    targets = {"heatmaps": {"channels": 2, "kind": "points"}}
    network = MultiTaskUNet(3, 1, targets, patch_size=patch_size, **stages).eval()
    seen = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.register_forward_hook(lambda module, args, output: seen.append(tuple(output.shape[2:])))
    with torch.no_grad():
        output = network(torch.zeros(2, 1, *patch_size))["heatmaps"]
    assert output.shape == (2, 2, *patch_size)
    assert min(seen) == lowest
