"""The same numbers from less memory."""

import pytest
import torch
from torch.autograd.profiler import profile

from scripts.networks import MultiTaskUNet

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal", "decoder": "separate"}}


def _pair(**options):
    """The same network without and with checkpointing."""
    options = {"patch_size": (16, 16), "features_per_stage": [4, 8, 8], "n_blocks_per_stage": [1, 2, 2]} | options
    options = {"decoder": "shared", "deep_supervision": True} | options
    torch.manual_seed(0)
    plain = MultiTaskUNet(2, 1, TARGETS, **options)
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    checkpointing = MultiTaskUNet(2, 1, TARGETS, **options, activation_checkpointing=True)
    checkpointing.load_state_dict(plain.state_dict())
    return plain, checkpointing


def _step(network, x):
    """Outputs and gradients of one training step, and a random number drawn after it."""
    torch.manual_seed(1)
    outputs = network(x)
    levels = [level for target in outputs.values() for level in target]
    sum(level.square().mean() for level in levels).backward()
    return levels, {name: p.grad for name, p in network.named_parameters()}, torch.rand(1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stochastic_depth_p": 0.5},
        {"norm": "batch"},
        {"norm": ["batch", {"momentum": None}]},
        {"squeeze_excitation": "both", "se_ratio": 2},
    ],
    ids=["plain", "stochastic depth", "batch norm", "cumulative batch norm", "squeeze-and-excitation"],
)
def test_outputs_gradients_and_buffers_are_the_same(options):
    plain, checkpointing = _pair(**options)
    x = torch.randn(4, 1, 16, 16)
    wanted, given = _step(plain, x), _step(checkpointing, x)
    torch.testing.assert_close(given, wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(dict(checkpointing.named_buffers()), dict(plain.named_buffers()))


def test_a_graph_that_is_kept_gives_each_targets_gradient():
    gradients, buffers = [], []
    x = torch.randn(4, 1, 16, 16)
    for network in _pair(norm="batch", decoder="separate"):
        outputs = network(x)
        shared = network.shared_parameters()
        for target in outputs.values():
            gradients.append(torch.autograd.grad(target[0].square().mean(), shared, retain_graph=True))
        buffers.append(dict(network.named_buffers()))
    torch.testing.assert_close(gradients[2:], gradients[:2], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(*buffers)


def test_fewer_bytes_wait_for_the_backward_pass():
    held = []
    for network in _pair(features_per_stage=[8, 8, 8]):
        x = torch.randn(2, 1, 64, 64)
        with profile(profile_memory=True, use_kineto=False) as profiler:
            outputs = network(x)
        held.append(sum(event.self_cpu_memory_usage for event in profiler.function_events))
        del outputs
    plain, checkpointing = held
    # what remains: one map of 8 channels per stage and level, at 64^2, 32^2 and 16^2
    assert checkpointing < 0.5 * plain


def test_evaluation_computes_once():
    calls = []
    for network in _pair():
        network.eval().encoder.stages[0].register_forward_pre_hook(lambda *_: calls.append(1))
        network(torch.randn(1, 1, 16, 16))["sheet"].sum().backward()
    assert len(calls) == 2
    network.train()
    network(torch.randn(1, 1, 16, 16))["sheet"][0].sum().backward()
    assert len(calls) == 4


@pytest.mark.long
def test_compiled_network_gives_the_same_gradients():
    plain, checkpointing = _pair(stochastic_depth_p=0.0, norm="batch")
    x = torch.randn(2, 1, 16, 16)
    wanted = _step(plain, x)
    given = _step(torch.compile(checkpointing, backend="aot_eager", fullgraph=True), x)
    torch.testing.assert_close(given[0], wanted[0], rtol=1e-5, atol=1e-5)
    gradients = {name.removeprefix("_orig_mod."): gradient for name, gradient in given[1].items()}
    torch.testing.assert_close(gradients, wanted[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dict(checkpointing.named_buffers()), dict(plain.named_buffers()))
