"""Several outputs as one tensor."""

import torch

from scripts.networks import MultiTaskUNet, PackedOutput

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}


def test_channels_follow_the_order_of_the_targets():
    network = MultiTaskUNet(2, 1, TARGETS, patch_size=(8, 8), features_per_stage=[4, 8], deep_supervision=True)
    packed = PackedOutput(network)
    x = torch.randn(2, 1, 8, 8)
    for training in (True, False):  # with deep supervision, training gives lists
        packed.train(training)
        outputs = network.eval()(x)
        network.train(training)
        y = packed(x)
        assert y.shape == (2, 4, 8, 8)
        torch.testing.assert_close(y[:, :1], outputs["sheet"])
        torch.testing.assert_close(y[:, 1:], outputs["normals"])
