"""Which of a file's weights a network takes when targets have come or gone since."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

_BASE = "base."
"""Prefix of the base's weights in `EmbeddingNetwork` and `HeadNetwork`."""

_OF_TARGETS = re.compile(
    r"^((?:base\.)?(?:shared_decoder|decoders\.[^.]+|heads\.[^.]+(?:\.levels\.\d+)?)|projection)\."
)
"""Parts of a network that belong to targets: `MultiTaskUNet`'s decoders and heads, heads of other networks."""

_DECODER = re.compile(r"^((?:base\.)?(?:shared_decoder|decoders\.[^.]+))\.")
_LAST_LAYER = re.compile(r"^(?:base\.)?heads\.|^projection\.")


@dataclass
class WeightMatch:
    """What of a state dictionary a network takes.

    Args:
        weights: parameters and buffers to load.
        loaded: parts that are loaded, such as `encoder` and `heads.sheet`.
        fresh: parts of the network that the file does not have, or has in another shape: they start anew.
        unused: parts of the file that the network does not have.
        faults: in words, why the weights belong to another network; then nothing should be loaded.
        sources: parts that are loaded from one of another name in the file, and that name.
    """

    weights: dict[str, torch.Tensor]
    loaded: list[str]
    fresh: list[str]
    unused: list[str]
    faults: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        origins = {part: f" (from {source})" for part, source in self.sources.items()}
        said = [f"loaded {', '.join(part + origins.get(part, '') for part in self.loaded)}"]
        if self.fresh:
            said.append(f"starting anew, not in the file or with other channels there: {', '.join(self.fresh)}")
        if self.unused:
            said.append(f"in the file, but not in the network: {', '.join(self.unused)}")
        return "; ".join(said)


def match_weights(network: torch.nn.Module, stored: Mapping[str, torch.Tensor]) -> WeightMatch:
    """Compare a network with the weights of a file, part by part.

    A decoder or head is taken as a whole or not at all; a head whose number of channels has changed starts anew.
    Everything that does not belong to a target must be there in the same shapes, and nothing besides; where it is not,
    the file is of another plan. Frozen parts must be there, whatever they belong to.

    A file with one decoder, under a name that the network does not have, gives it to every decoder that it fits: so a
    base that was trained for embeddings starts other targets. Weights of a base alone fit a network that has it as its
    `base`, and the other way round.

    Args:
        network: what is to be trained.
        stored: its state dictionary, from a file.
    """
    wanted = network.state_dict()
    stored, sources = _lend_decoder(wanted, _with_prefix_of(wanted, stored))
    missing = [name for name in wanted if name not in stored]
    unknown = [name for name in stored if name not in wanted]
    reshaped = [name for name, value in wanted.items() if name in stored and stored[name].shape != value.shape]
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    fresh = _parts([*missing, *reshaped])
    loaded = [part for part in _parts(wanted) if part not in fresh]
    faults = differences(
        [name for name in missing if name in frozen or not _OF_TARGETS.match(name)],
        [name for name in unknown if not _OF_TARGETS.match(name)],
        {
            name: (tuple(stored[name].shape), tuple(wanted[name].shape))
            for name in reshaped
            if name in frozen or not _LAST_LAYER.match(name)
        },
    )
    return WeightMatch(
        weights={name: stored[name] for name in wanted if _part(name) in loaded},
        loaded=loaded,
        fresh=fresh,
        unused=[part for part in _parts(unknown) if part not in fresh],
        faults=faults,
        sources=sources,
    )


def _with_prefix_of(
    wanted: Mapping[str, torch.Tensor], stored: Mapping[str, torch.Tensor]
) -> Mapping[str, torch.Tensor]:
    """Stored weights with the base's prefix where the network has a base, and without it where it is none."""
    has_base, is_stored = (any(name.startswith(_BASE) for name in names) for names in (wanted, stored))
    if has_base == is_stored:
        return stored
    if has_base:
        return {_BASE + name: value for name, value in stored.items()}
    return {name.removeprefix(_BASE): value for name, value in stored.items()}


def _lend_decoder(
    wanted: Mapping[str, torch.Tensor], stored: Mapping[str, torch.Tensor]
) -> tuple[Mapping[str, torch.Tensor], dict[str, str]]:
    """Stored weights in which the only decoder stands under the names that the network has; those names and its own."""
    given, needed = _decoders(stored), _decoders(wanted)
    if len(given) != 1 or set(given) & set(needed):
        return stored, {}
    ((source, weights),) = given.items()
    shapes = {name: value.shape for name, value in weights.items()}
    takers = [part for part, own in needed.items() if {name: value.shape for name, value in own.items()} == shapes]
    if not takers:
        return stored, {}
    kept = {name: value for name, value in stored.items() if not name.startswith(f"{source}.")}
    lent = {f"{part}.{name}": value for part in takers for name, value in weights.items()}
    return kept | lent, dict.fromkeys(takers, source)


def _decoders(weights: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Each decoder's weights, by their names within it."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in weights.items():
        if match := _DECODER.match(name):
            found.setdefault(match[1], {})[name[match.end() :]] = value
    return found


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
    return match[1] if match else ".".join(name.split(".")[: 2 if name.startswith(_BASE) else 1])


def _parts(names: Iterable[str]) -> list[str]:
    """Parts that hold some of the names, in order."""
    return list(dict.fromkeys(_part(name) for name in names))


def _first(names: Sequence[str], count: int = 4) -> str:
    rest = f" and {len(names) - count} more" if len(names) > count else ""
    return f"{', '.join(names[:count])}{rest}"
