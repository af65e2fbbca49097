"""Several networks as one, with their mean and their disagreement."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..geometry import parse_targets
from .disagreement import disagreement_name, disagreement_targets, new_disagreement
from .network_outputs import check_outputs


class Ensemble(nn.Module):
    """A network that answers with the mean of several networks' raw outputs.

    The members run one after the other on the same windows. Inside a `TestTimeAugmentation` the disagreement is that
    between members, averaged over the views.

    Args:
        networks: the members: windows B C D H W -> dictionary target -> B K D H W of raw output.
        targets: the `targets` table, or the rows of it that are wanted; other outputs are left out.
        disagreement: whether each target gets another output `<target>_disagreement`, B 1 D H W: the angular spread
            of normals in degrees, else the variance of the activated values, summed over channels. `targets` of the
            ensemble then has their rows, too, so that an inferer that takes the network's targets writes them.

    Raises:
        ValueError: where there is no member, or disagreement is wanted of one.
    """

    def __init__(
        self, networks: Sequence[nn.Module], targets: Mapping[str, Any], *, disagreement: bool = False
    ) -> None:
        super().__init__()
        needed = 2 if disagreement else 1
        if len(networks) < needed:
            raise ValueError(
                f"an ensemble{' with disagreement' if disagreement else ''} needs at least {needed} "
                f"network{'s' if needed > 1 else ''}; got {len(networks)}"
            )
        self.members = nn.ModuleList(networks)
        self.training = any(network.training for network in networks)
        self.member_targets = parse_targets(targets)
        self.disagreement = disagreement
        self.targets = self.member_targets | (disagreement_targets(targets) if disagreement else {})

    def forward(self, windows: torch.Tensor, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Predict with every member.

        Args:
            windows: B C D H W (2D: B C H W).
            args, kwargs: handed on to the members.

        Returns:
            per row of `targets` B K D H W, float32.

        Raises:
            ValueError: for a member whose outputs have other shapes than the targets say.
        """
        sums = {
            name: torch.zeros(len(windows), target.channels, *windows.shape[2:], device=windows.device)
            for name, target in self.member_targets.items()
        }
        spreads = {name: new_disagreement(target) for name, target in self.member_targets.items() if self.disagreement}
        for member in self.members:
            outputs = member(windows, *args, **kwargs)
            check_outputs(outputs, self.member_targets, windows.shape)
            for name, total in sums.items():
                output = outputs[name].float()
                total += output
                if name in spreads:
                    spreads[name].add(output)
        means = {name: total / len(self.members) for name, total in sums.items()}
        return means | {disagreement_name(name): spread.result() for name, spread in spreads.items()}


def load_ensemble(
    network: nn.Module, paths: Sequence[str | Path], targets: Mapping[str, Any], *, disagreement: bool = False
) -> Ensemble:
    """An ensemble of one network with the weights of several files.

    Args:
        network: the members' architecture; stays as it is.
        paths: one per member: a bare state dictionary, or a checkpoint that holds one under `network`.
        targets, disagreement: see `Ensemble`.

    Raises:
        FileNotFoundError: if a file is missing.
        TypeError: if `paths` is one path and no list.
        ValueError: if a file's weights are not readable or belong to another network.
    """
    if isinstance(paths, (str, Path)):
        raise TypeError(f"paths must be a list of files, one for each member; got {str(paths)!r}")
    missing = [str(path) for path in paths if not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(f"the ensemble's weights {', '.join(missing)} do not exist")
    return Ensemble([load_member(network, path) for path in paths], targets, disagreement=disagreement)


def load_member(network: nn.Module, path: str | Path) -> nn.Module:
    """A copy of a network with the weights of a file.

    Args:
        network: stays as it is.
        path: a bare state dictionary, or a checkpoint that holds one under `network`.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if its weights are not readable or belong to another network.
    """
    member = copy.deepcopy(network)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        inner = stored.get("network") if isinstance(stored, Mapping) else None
        member.load_state_dict(inner if isinstance(inner, Mapping) else stored)
    except (EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} holds no weights that torch reads safely; give a saved state dictionary") from error
    except (RuntimeError, TypeError) as error:  # a torn file, or weights of another network
        raise ValueError(f"{path} does not hold this network's weights: {error}") from error
    return member
