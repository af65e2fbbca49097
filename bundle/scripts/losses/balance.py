"""How much each target counts in the total, found during the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import distributed, nn

from ..geometry import Kind, Target, did_you_mean

FIXED, UNCERTAINTY, GRADIENT_NORM = "fixed", "uncertainty", "gradient_norm"

BALANCES = (FIXED, UNCERTAINTY, GRADIENT_NORM)
"""Names of the ways to weigh targets against each other."""


class FixedBalance(nn.Module):
    """Every target counts by its `weight`, from beginning to end."""

    def forward(self, terms: Mapping[str, torch.Tensor], known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Add the weighted terms."""
        return torch.stack(list(terms.values())).sum()

    @property
    def factors(self) -> dict[str, float]:
        """Present factor of each target beside its weight; nothing where they cannot change."""
        return {}


class UncertaintyBalance(nn.Module):
    """Homoscedastic uncertainty: each target has a noise that is learnt, and counts by its inverse.

    The total is the sum of f exp(-s) L + s / 2 over the targets. s is the logarithm of the noise's variance and starts
    at 0; f is 1 for labels and 1/2 for numbers. A target that is unknown in the batch is left out, s included.

    Source: Kendall, Gal and Cipolla 2018.

    Args:
        targets: the parsed table.
    """

    def __init__(self, targets: Mapping[str, Target]) -> None:
        super().__init__()
        self.names = list(targets)
        self.halved = [target.kind is not Kind.LABEL for target in targets.values()]
        self.log_variance = nn.Parameter(torch.zeros(len(self.names)))
        self.log_variance.register_hook(_mean_over_processes)

    def forward(self, terms: Mapping[str, torch.Tensor], known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """
        Args:
            terms: each target's loss, multiplied by its weight.
            known: for each target whether the batch holds any truth for it, as a boolean tensor.
        """
        total = torch.zeros(())
        for name, half, log_variance in zip(self.names, self.halved, self.log_variance, strict=True):
            s = log_variance.to(terms[name].device)
            weighted = (0.5 if half else 1.0) * torch.exp(-s) * terms[name] + torch.where(known[name], s / 2, 0.0)
            total = total.to(weighted.device) + weighted
        return total

    @property
    def factors(self) -> dict[str, float]:
        """Present factor of each target beside its weight."""
        values = torch.exp(-self.log_variance.detach()).tolist()
        return {
            name: (0.5 if half else 1.0) * value
            for name, half, value in zip(self.names, self.halved, values, strict=True)
        }


class GradientNormBalance(nn.Module):
    """Factors under which all targets pull equally hard at the layer that they share, and slow ones harder.

    With g the length of a target's gradient there and r its loss as a share of its first one, relative to the mean of
    these shares, the factors are proportional to r^asymmetry / g and add up to the number of targets. Every tenth
    batch they move towards that by a fifth of the way.

    Source: GradNorm (Chen et al. 2018), whose fixed point this is; the factors move there directly instead of by
    gradient steps with a rate of their own.

    Args:
        targets: the parsed table.
        shared_parameters: of the last layer that all targets share.
        asymmetry: how much harder slow targets pull; 0: all equally.

    Raises:
        ValueError: without shared parameters.
    """

    interval = 10
    share = 0.2

    def __init__(
        self, targets: Mapping[str, Target], shared_parameters: Sequence[nn.Parameter] | None, asymmetry: float = 1.5
    ) -> None:
        super().__init__()
        if not shared_parameters:
            raise ValueError(
                f"balance '{GRADIENT_NORM}' needs the parameters of the layer that the targets share: "
                'shared_parameters = "$@network.shared_parameters()"'
            )
        self.names = list(targets)
        self.shared = list(shared_parameters)  # in a list of its own: they belong to the network, not to the loss
        self.asymmetry = asymmetry
        self._factors = dict.fromkeys(self.names, 1.0)
        self._first: dict[str, float] = {}
        self._calls = 0

    def forward(self, terms: Mapping[str, torch.Tensor], known: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """
        Args:
            terms: each target's loss, multiplied by its weight.
            known: for each target whether the batch holds any truth for it, as a boolean tensor.
        """
        if torch.is_grad_enabled():
            if self._calls % self.interval == 0:
                self._move(terms, known)
            self._calls += 1
        return torch.stack([self._factors[name] * term for name, term in terms.items()]).sum()

    def _move(self, terms: Mapping[str, torch.Tensor], known: Mapping[str, torch.Tensor]) -> None:
        losses, lengths = {}, {}
        for name, term in terms.items():
            gradients = torch.autograd.grad(term, self.shared, retain_graph=True, allow_unused=True)
            length = torch.stack([g.float().norm() for g in gradients if g is not None]).norm()
            measured = torch.stack([known[name].float(), term.detach().float(), length])
            _known, losses[name], lengths[name] = _mean_over_processes(measured).tolist()
        present = [name for name in terms if losses[name] > 0 and lengths[name] > 0]
        for name in present:
            self._first.setdefault(name, losses[name])
        if len(present) < 2:
            return
        shares = {name: losses[name] / self._first[name] for name in present}
        # GradNorm divides shares by their mean, which the scale takes out again
        wanted = {name: shares[name] ** self.asymmetry / lengths[name] for name in present}
        scale = sum(self._factors[name] for name in present) / sum(wanted.values())
        for name in present:
            self._factors[name] += self.share * (wanted[name] * scale - self._factors[name])

    @property
    def factors(self) -> dict[str, float]:
        """Present factor of each target beside its weight."""
        return dict(self._factors)

    def get_extra_state(self) -> dict[str, Any]:
        return {"factors": dict(self._factors), "first": dict(self._first), "calls": self._calls}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        self._factors, self._first, self._calls = dict(state["factors"]), dict(state["first"]), state["calls"]


def make_balance(
    name: str, targets: Mapping[str, Target], shared_parameters: Sequence[nn.Parameter] | None = None
) -> FixedBalance | UncertaintyBalance | GradientNormBalance:
    """Build a balance by its name.

    Raises:
        ValueError: for a name that does not exist, and where shared parameters are needed and missing.
    """
    if name == FIXED:
        return FixedBalance()
    if name == UNCERTAINTY:
        return UncertaintyBalance(targets)
    if name == GRADIENT_NORM:
        return GradientNormBalance(targets, shared_parameters)
    raise ValueError(f"balance must be one of {', '.join(BALANCES)}; got {name!r}{did_you_mean(name, BALANCES)}")


def _mean_over_processes(values: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over all processes that train together."""
    if distributed.is_available() and distributed.is_initialized():
        values = values.clone()
        distributed.all_reduce(values)
        values /= distributed.get_world_size()
    return values
