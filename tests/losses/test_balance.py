"""How targets are weighed against each other, on losses whose best weights are known."""

import math

import pytest
import torch

from scripts.geometry import parse_targets
from scripts.losses import BALANCES, MultiTaskLoss, make_balance

TARGETS = parse_targets({"sheet": {"channels": 1}, "depth": {"channels": 1, "kind": "scalar"}})
KNOWN = {name: torch.tensor(True) for name in TARGETS}


def terms(sheet, depth):
    return {"sheet": torch.as_tensor(sheet), "depth": torch.as_tensor(depth)}


def test_fixed_is_the_sum():
    balance = make_balance("fixed", TARGETS)
    assert balance(terms(2.0, 5.0), KNOWN).item() == 7.0
    assert balance.factors == {}


def test_uncertainty_starts_with_1_for_labels_and_one_half_for_numbers():
    balance = make_balance("uncertainty", TARGETS)
    assert balance(terms(2.0, 5.0), KNOWN).item() == pytest.approx(2.0 + 5.0 / 2)
    assert balance.factors == {"sheet": 1.0, "depth": 0.5}


def test_uncertainty_learns_the_size_of_each_loss():
    """f exp(-s) L + s / 2 is least at exp(-s) = 1 / (2 f L)."""
    balance = make_balance("uncertainty", TARGETS)
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.2)
    for _ in range(400):
        optimizer.zero_grad()
        balance(terms(0.1, 8.0), KNOWN).backward()
        optimizer.step()
    assert balance.factors["sheet"] == pytest.approx(1 / (2 * 0.1), rel=1e-3)
    assert balance.factors["depth"] == pytest.approx(0.5 / 8.0, rel=1e-3)


def test_an_unknown_target_leaves_its_uncertainty_alone():
    balance = make_balance("uncertainty", TARGETS)
    total = balance(terms(1.0, 0.0), {"sheet": torch.tensor(True), "depth": torch.tensor(False)})
    assert total.item() == pytest.approx(1.0)
    total.backward()
    assert balance.log_variance.grad[1] == 0
    assert balance.log_variance.grad[0] == pytest.approx(-1.0 + 0.5)


def gradient_norm(asymmetry=None):
    shared = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    balance = make_balance("gradient_norm", TARGETS, [shared])
    if asymmetry is not None:
        balance.asymmetry = asymmetry
    return balance, shared


def test_gradient_norms_become_equal():
    """Gradients of length 3 and 30: factors 20 / 11 and 2 / 11, which multiply to equal lengths and add up to 2."""
    balance, shared = gradient_norm(asymmetry=0.0)
    for _ in range(400):
        balance(terms(3 * shared[0], 30 * shared[1]), KNOWN)
    assert balance.factors["sheet"] == pytest.approx(20 / 11, rel=1e-3)
    assert balance.factors["depth"] == pytest.approx(2 / 11, rel=1e-3)
    total = balance(terms(3 * shared[0], 30 * shared[1]), KNOWN)
    total.backward()
    assert shared.grad.abs().tolist() == pytest.approx([60 / 11, 60 / 11], rel=1e-3)


def test_a_target_that_lags_behind_pulls_harder():
    """Losses at 1/4 and at all of their first values, equal gradients: relative rates 0.4 and 1.6."""
    balance, shared = gradient_norm(asymmetry=1.5)
    balance(terms(shared[0] * 4, shared[1] * 4), KNOWN)
    for _ in range(400):
        balance(terms(shared[0] - 0.0, shared[1] * 1.0 + 3.0), KNOWN)
    ratio = balance.factors["depth"] / balance.factors["sheet"]
    assert ratio == pytest.approx((1.6 / 0.4) ** 1.5, rel=1e-2)
    assert sum(balance.factors.values()) == pytest.approx(2.0)


def test_factors_move_every_tenth_batch_and_not_without_gradients():
    balance, shared = gradient_norm()
    seen = []
    for _ in range(21):
        with torch.no_grad():
            balance(terms(shared[0], shared[1]), KNOWN)
        balance(terms(3 * shared[0], 30 * shared[1]), KNOWN)
        seen.append(balance.factors["sheet"])
    assert [i for i in range(1, 21) if seen[i] != seen[i - 1]] == [10, 20]


def test_a_target_without_truth_keeps_its_factor():
    balance, shared = gradient_norm()
    balance(terms(3 * shared[0], 0 * shared[1]), KNOWN)
    assert balance.factors == {"sheet": 1.0, "depth": 1.0}


def test_what_was_learnt_is_kept():
    balance, shared = gradient_norm()
    for _ in range(15):
        balance(terms(3 * shared[0], 30 * shared[1]), KNOWN)
    other, _ = gradient_norm()
    other.load_state_dict(balance.state_dict())
    assert other.factors == balance.factors
    assert other.get_extra_state() == balance.get_extra_state()


@pytest.mark.parametrize("balance", BALANCES)
def test_each_balance_weighs_the_losses_of_a_network(balance):
    torch.manual_seed(0)
    convolution = torch.nn.Conv3d(1, 2, 1)
    loss = MultiTaskLoss(TARGETS, balance=balance, shared_parameters=list(convolution.parameters()))
    image, label = torch.randn(1, 1, 3, 3, 3), torch.randn(1, 1, 3, 3, 3)

    def total():
        both = convolution(image)
        return loss({"sheet": both[:, :1], "depth": both[:, 1:]}, {"sheet": (label > 0).float(), "depth": label})

    first = total()
    by_hand = {"fixed": (1.0, 1.0), "uncertainty": (1.0, 0.5)}
    if balance in by_hand:
        f, g = by_hand[balance]
        torch.testing.assert_close(first.detach(), f * loss.terms["sheet"] + g * loss.terms["depth"])
    else:
        assert loss.factors["sheet"] != 1.0
    first.backward()
    assert all(math.isfinite(p.grad.sum()) for p in convolution.parameters())


def test_wrong_names_and_missing_parameters_are_errors():
    with pytest.raises(ValueError, match=r"balance must be one of fixed, uncertainty, gradient_norm; got 'gradnorm'"):
        make_balance("gradnorm", TARGETS)
    with pytest.raises(ValueError, match=r"needs the parameters of the layer that the targets share"):
        make_balance("gradient_norm", TARGETS)
