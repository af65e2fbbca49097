"""Heads on a base, frozen or not, and on the input alone."""

import pytest
import torch
from torch.nn import functional as F

from scripts.networks import HeadNetwork, MultiTaskUNet

TARGETS = {"boundary": {"channels": 3}, "cell": {"channels": 2}}
IMAGE = torch.randn(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))


def base(channels=6, **options):
    torch.manual_seed(0)
    given = {
        "patch_size": [8] * 3,
        "features_per_stage": [4, 8],
        "n_blocks_per_stage": [1, 1],
        "norm": "batch",
        **options,
    }
    return MultiTaskUNet(3, 1, {"embedding": {"channels": channels, "kind": "scalar"}}, **given)


def test_each_target_has_a_head_on_the_embedding():
    network = HeadNetwork(TARGETS, base(), hidden_channels=5).eval()
    found = network(IMAGE)
    assert list(found) == ["boundary", "cell"]
    embedding = network.base(IMAGE)["embedding"]
    for name, channels in (("boundary", 3), ("cell", 2)):
        first, _, second = network.heads[name]
        assert first.weight.shape[:2] == (5, 6)
        expected = F.conv3d(F.relu(F.conv3d(embedding, first.weight, first.bias)), second.weight, second.bias)
        torch.testing.assert_close(found[name], expected)
        assert found[name].shape[1] == channels
    assert network.plan is network.base.plan
    assert HeadNetwork(TARGETS, base()).heads["cell"][0].weight.shape[:2] == (6, 6)


def trained_step(network):
    """State of the base before and after a training step with weight decay."""
    before = {name: value.clone() for name, value in network.base.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    sum(output.square().mean() for output in network.train()(IMAGE).values()).backward()
    optimizer.step()
    return [(name, torch.equal(before[name], value)) for name, value in network.base.state_dict().items()]


def test_a_frozen_base_stays_as_it_is():
    """Running statistics of batch norm and weight decay would change it."""
    network = HeadNetwork(TARGETS, base())
    assert not any(p.requires_grad for p in network.base.parameters())
    outputs = network.train()(IMAGE)
    assert network.heads.training
    assert not any(module.training for module in network.base.modules())
    assert outputs["cell"].grad_fn is not None
    assert all(is_equal for _, is_equal in trained_step(network))
    assert all(p.grad is None for p in network.base.parameters())
    assert all(p.grad is not None for p in network.heads.parameters())


def test_a_free_base_is_trained():
    network = HeadNetwork(TARGETS, base(), freeze_base=False)
    assert network.train().base.training
    unchanged = [name for name, is_equal in trained_step(network) if is_equal]
    assert all(name.endswith(".bias") for name in unchanged)  # those before a batch norm


def test_heads_on_a_free_base_share_what_makes_the_embedding():
    network = HeadNetwork(TARGETS, base(), freeze_base=False)
    shared = network.shared_parameters()
    assert {id(p) for p in shared} == {id(p) for p in network.base.heads["embedding"].parameters()}
    for output in network(IMAGE).values():
        gradients = torch.autograd.grad(output.square().mean(), shared, retain_graph=True)
        assert all(gradient.norm() > 0 for gradient in gradients)


@pytest.mark.parametrize(
    ("options", "why"),
    [({"base": base()}, "the base is frozen"), ({"in_channels": 6}, "there is no base")],
    ids=["frozen", "no base"],
)
def test_heads_that_share_nothing_trained_cannot_be_balanced_by_gradients(options, why):
    with pytest.raises(ValueError, match=f"{why}: choose another loss_balance"):
        HeadNetwork(TARGETS, **options).shared_parameters()


def test_without_a_base_heads_stand_on_the_input():
    embeddings = torch.randn(2, 6, 4, 4, 4)
    network = HeadNetwork(TARGETS, in_channels=6)
    torch.testing.assert_close(network(embeddings)["cell"], network.heads["cell"](embeddings))
    plane = HeadNetwork(TARGETS, in_channels=6, spatial_dims=2)
    assert plane(embeddings[:, :, 0])["boundary"].shape == (2, 3, 4, 4)


def test_sparse_heads_take_points():
    points = torch.randn(2, 9, 6)
    sparse = HeadNetwork(TARGETS, in_channels=6, head="sparse")
    on_points = sparse(points)["cell"]
    on_map = sparse(points.transpose(1, 2).reshape(2, 6, 9, 1, 1))["cell"]
    torch.testing.assert_close(on_map.flatten(2).transpose(1, 2), on_points, rtol=1e-5, atol=1e-6)
    with pytest.raises(RuntimeError):
        HeadNetwork(TARGETS, in_channels=6, head="simple")(points)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give a base, or in_channels of the input, one of both; got in_channels = None"),
        ({"base": base(), "in_channels": 6}, "one of both; got in_channels = 6"),
        ({"in_channels": 6, "head": "spars"}, r"got 'spars' \(did you mean 'sparse'\?\)"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        HeadNetwork(TARGETS, **options)


def test_options_of_targets_that_heads_do_not_have():
    with pytest.raises(ValueError, match=r"targets: cell: a head has neither levels nor.*leave out 'decoder'"):
        HeadNetwork({"cell": {"channels": 1, "decoder": "separate"}}, in_channels=6)
    with pytest.raises(ValueError, match="leave out 'deep_supervision'"):
        HeadNetwork({"cell": {"channels": 1, "deep_supervision": True}}, in_channels=6)
