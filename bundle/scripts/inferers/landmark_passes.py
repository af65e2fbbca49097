"""Several passes of a network over one image: mirrored, or with its dropout at work."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import nn

_AXES = "zyx"

_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class LandmarkPasses:
    """What a network says of an image and of its mirror images, each so many times with dropout.

    What a pass drops follows from the seed and the number of the pass, so that an image gets the same coordinates
    whatever came before it.

    Source of MC dropout: Gal and Ghahramani 2016.

    Args:
        mc_dropout: so many passes of each image with dropout; 0: one without.
        mirror_axes: of "z", "y", "x": axes along which the image is mirrored, in all combinations.
        pairs: left and right landmarks, two each, by position (counted from 0) or name, that change places in a mirror.
        names: of the landmarks; needed for pairs by name.
        seed: of what dropout drops.

    Raises:
        ValueError: for axes that there are not, a negative number of passes, and pairs that are none.
    """

    def __init__(
        self,
        mc_dropout: int = 0,
        mirror_axes: Sequence[str] = (),
        pairs: Sequence[Sequence[int | str]] | None = None,
        names: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        if mc_dropout < 0:
            raise ValueError(f"mc_dropout is a number of passes, at least 0; got {mc_dropout}")
        if unknown := [axis for axis in mirror_axes if axis not in tuple(_AXES)]:
            raise ValueError(f"mirror_axes: expected some of z, y, x; got {unknown[0]!r}")
        self.mc_dropout, self.seed = mc_dropout, seed
        self.mirror_axes = sorted({_AXES.index(axis) for axis in mirror_axes})
        self.pairs = [_positions(pair, names) for pair in pairs or []]

    def __call__(
        self, image: torch.Tensor, network: nn.Module, predict: Callable[[torch.Tensor], torch.Tensor]
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Make all passes, with everything but dropout as in evaluation.

        Args:
            image: C D H W.
            network: what predicts; its mode is restored.
            predict: maps images 1 C D H W to heatmaps 1 N D H W by the network.

        Yields:
            what is put behind the network's name for a pass, and heatmaps of the image as it was, 1 N D H W.

        Raises:
            ValueError: for dropout of a network that has none, and pairs of landmarks that there are not.
        """
        modes = {module: module.training for module in network.modules()}
        network.eval()
        try:
            for draw in range(max(1, self.mc_dropout)):
                # other seeds have none of these draws
                seed = int(np.random.SeedSequence([self.seed, draw]).generate_state(1)[0])
                for axes in _subsets(self.mirror_axes):
                    mirrored = image.flip([axis + 1 for axis in axes])  # C D H W
                    with _dropout(network, seed, image.device) if self.mc_dropout else nullcontext():
                        maps = predict(mirrored[None])
                    maps = maps.flip([axis + 2 for axis in axes])  # 1 N D H W
                    suffix = (f"_draw{draw + 1}" if self.mc_dropout else "") + (
                        f"_mirror_{''.join(_AXES[axis] for axis in axes)}" if axes else ""
                    )
                    # two mirrors are a rotation, in which left stays left
                    yield suffix, self._swapped(maps) if len(axes) % 2 else maps
        finally:
            for module, is_training in modes.items():
                module.training = is_training

    def _swapped(self, maps: torch.Tensor) -> torch.Tensor:
        order = list(range(maps.shape[1]))
        for first, second in self.pairs:
            if max(first, second) >= len(order):
                raise ValueError(f"pairs: there is no landmark {max(first, second)}: there are {len(order)}, from 0")
            order[first], order[second] = second, first
        return maps[:, order]


def _positions(pair: Sequence[int | str], names: Sequence[str] | None) -> tuple[int, int]:
    """The two landmarks of a pair, counted from 0."""
    known = list(names or [])
    found = [known.index(one) if one in known else one for one in pair]
    if len(found) != 2 or not all(isinstance(one, int) and one >= 0 for one in found):
        raise ValueError(
            f"pairs: expected two landmarks by position from 0, or by name; got {pair!r}, and the names are "
            f"{', '.join(known) or 'not given'}"
        )
    return int(found[0]), int(found[1])


def _subsets(axes: Sequence[int]) -> list[tuple[int, ...]]:
    return [chosen for n in range(len(axes) + 1) for chosen in itertools.combinations(axes, n)]


def dropout_layers(network: nn.Module) -> list[nn.Module]:
    """Layers of a network that drop something in training."""
    return [layer for layer in network.modules() if isinstance(layer, _DROPOUT) and layer.p > 0]


@contextmanager
def _dropout(network: nn.Module, seed: int, device: torch.device) -> Iterator[None]:
    """Dropout layers at work, everything else as it is, generators of random numbers included."""
    layers = dropout_layers(network)
    if not layers:
        raise ValueError(
            "mc_dropout: the network has no dropout; train it with a 'dropout' above 0, or set mc_dropout to 0"
        )
    for layer in layers:
        layer.train()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        for layer in layers:
            layer.eval()
