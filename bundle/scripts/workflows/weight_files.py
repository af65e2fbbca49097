"""Files of weights: read without running anything that they hold, and compared with a network."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..networks import differences, match_weights


def read_weights(path: str | Path, key: str = "network") -> Mapping[str, torch.Tensor]:
    """State dictionary of a bare weights file or of a training checkpoint, on the CPU.

    Args:
        path: the file.
        key: where a checkpoint has it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that torch does not read safely, or that holds no tensors by name.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"weights {path} do not exist")
    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is no weights file that can be read safely: it is broken, or holds objects that could run code; "
            "give a state dictionary of tensors, as torch.save(network.state_dict(), path) writes it"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} is no weights file: {said}") from error
    found = stored.get(key, stored) if isinstance(stored, Mapping) else stored
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ValueError(
            f"{path} holds {_described(found)}; expected tensors by name, bare or under '{key}', as torch.save writes "
            "a network's state_dict"
        )
    return found


def state_dict_faults(network: torch.nn.Module, path: str | Path, partial: bool = False) -> list[str]:
    """Whether the weights of a file can be read and fit a network; names the parameters that do not.

    Args:
        network: what they are for.
        path: a bare state dictionary, or a checkpoint that holds one under `network`, as training's have it.
        partial: whether decoders and heads of targets may be missing, or be there in vain.
    """
    try:
        stored = read_weights(path)
    except (FileNotFoundError, ValueError) as error:
        return [str(error)]
    if partial:
        said = match_weights(network, stored).faults
    else:
        wanted = network.state_dict()
        said = differences(
            [name for name in wanted if name not in stored],
            [name for name in stored if name not in wanted],
            {
                name: (tuple(stored[name].shape), tuple(value.shape))
                for name, value in wanted.items()
                if name in stored and stored[name].shape != value.shape
            },
        )
    fault = (
        f"{path} belongs to another architecture than network_def: it {'; '.join(said)}. Give the targets, "
        "features_per_stage, decoder ... with which it was trained (they stand in the network.json beside its "
        "training's output)"
    )
    return [fault] if said else []


def _described(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    return f"other things than tensors, under {', '.join(map(str, list(content)[:5])) or 'no name'}"
