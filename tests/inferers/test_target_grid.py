"""TargetGridInferer: MONAI's SimpleInferer, and outputs on another grid."""

import torch

from scripts.geometry import TargetGrid
from scripts.inferers import TargetGridInferer


def test_outputs_are_brought_onto_the_targets_grid():
    image = torch.rand(2, 1, 4, 4, 4)
    network = lambda x, factor: {"a": x * factor}  # noqa: E731
    assert torch.equal(TargetGridInferer()(image, network, 3)["a"], image * 3)
    grid = TargetGrid((4, 4, 4), (1, 1, 1), (2, 2, 2), (2, 2, 2))
    expected = (image * 3).reshape(2, 1, 2, 2, 2, 2, 2, 2).mean((3, 5, 7))
    assert torch.allclose(TargetGridInferer(grid)(image, network, factor=3)["a"], expected)
