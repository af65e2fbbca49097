"""Which of a file's weights a network takes when targets have come or gone since."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

_OF_TARGETS = re.compile(r"^(shared_decoder|decoders\.[^.]+|heads\.[^.]+(?:\.levels\.\d+)?)\.")
"""Parts of a network that belong to targets: `MultiTaskUNet`'s decoders and heads, the heads of adapted networks."""


@dataclass
class WeightMatch:
    """What of a state dictionary a network takes.

    Args:
        weights: parameters and buffers to load.
        loaded: parts that are loaded, such as `encoder` and `heads.sheet`.
        fresh: parts of the network that the file does not have, or has in another shape: they start anew.
        unused: parts of the file that the network does not have.
        faults: in words, why the weights belong to another network; then nothing should be loaded.
    """

    weights: dict[str, torch.Tensor]
    loaded: list[str]
    fresh: list[str]
    unused: list[str]
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = [f"loaded {', '.join(self.loaded)}"]
        if self.fresh:
            said.append(f"starting anew, not in the file or with other channels there: {', '.join(self.fresh)}")
        if self.unused:
            said.append(f"in the file, but not in the network: {', '.join(self.unused)}")
        return "; ".join(said)


def match_weights(network: torch.nn.Module, stored: Mapping[str, torch.Tensor]) -> WeightMatch:
    """Compare a network with the weights of a file, part by part.

    A decoder or head is taken as a whole or not at all; a head whose number of channels has changed starts anew.
    Everything that does not belong to a target must be there in the same shapes, and nothing besides; where it is not,
    the file is of another plan.

    Args:
        network: what is to be trained.
        stored: its state dictionary, from a file.
    """
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in stored]
    unknown = [name for name in stored if name not in wanted]
    reshaped = [name for name, value in wanted.items() if name in stored and stored[name].shape != value.shape]
    fresh = _parts([*missing, *reshaped])
    loaded = [part for part in _parts(wanted) if part not in fresh]
    faults = differences(
        [name for name in missing if not _OF_TARGETS.match(name)],
        [name for name in unknown if not _OF_TARGETS.match(name)],
        {
            name: (tuple(stored[name].shape), tuple(wanted[name].shape))
            for name in reshaped
            if not name.startswith("heads.")
        },
    )
    return WeightMatch(
        weights={name: stored[name] for name in wanted if _part(name) in loaded},
        loaded=loaded,
        fresh=fresh,
        unused=[part for part in _parts(unknown) if part not in fresh],
        faults=faults,
    )


def differences(
    missing: Sequence[str], unknown: Sequence[str], reshaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
) -> list[str]:
    """In words what a file has otherwise than a network: names, and shapes (in the file, in the network)."""
    shapes = [f"{name} {given} instead of {wanted}" for name, (given, wanted) in reshaped.items()]
    return [
        f"{word} {_first(names)}"
        for word, names in (("lacks", missing), ("has unknown", unknown), ("has other shapes:", shapes))
        if names
    ]


def _part(name: str) -> str:
    match = _OF_TARGETS.match(name)
    return match[1] if match else name.split(".")[0]


def _parts(names: Iterable[str]) -> list[str]:
    """Parts that hold some of the names, in order."""
    return list(dict.fromkeys(_part(name) for name in names))


def _first(names: Sequence[str], count: int = 4) -> str:
    rest = f" and {len(names) - count} more" if len(names) > count else ""
    return f"{', '.join(names[:count])}{rest}"
