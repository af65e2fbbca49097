"""The estimate against real training steps: what autograd really saved, and what was really allocated."""

import pytest
import torch
from monai.networks.nets import SegResNet
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from scripts.losses import MultiTaskLoss
from scripts.networks import MultiTaskUNet, batch_size_for, estimate_training_memory

SHEET = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
TISSUES = {"tissue": {"channels": 8}, **SHEET}
THREE = {"features_per_stage": [8, 16, 32], "n_blocks_per_stage": [1, 2, 2]}

# patch, targets, options of the network, precision
CASES = [
    pytest.param((32, 32, 32), SHEET, THREE, "fp32", id="separate"),
    pytest.param(
        (32, 32, 32), SHEET, {**THREE, "decoder": "shared", "squeeze_excitation": True, "se_ratio": 4}, "fp32",
        id="shared, squeeze-and-excitation",
    ),
    pytest.param((128, 96), SHEET | {"normals": {"channels": 2, "kind": "normal"}}, {}, "fp32", id="2D"),
    pytest.param(
        (16, 48, 48), TISSUES, {**THREE, "spacing": (5, 1, 1), "deep_supervision": True}, "fp32",
        id="anisotropic, deep supervision",
    ),
    pytest.param((32, 32, 32), SHEET, {**THREE, "activation_checkpointing": True}, "fp32", id="checkpointing"),
    pytest.param((32, 32, 32), SHEET, {**THREE, "deep_supervision": True}, "bf16", id="bfloat16"),
    pytest.param((32, 32, 32), SHEET, {**THREE, "activation_checkpointing": True}, "bf16", id="checkpoints, bfloat16"),
]  # fmt: skip


def _labels(targets, patch, device="cpu"):
    labels = {}
    for name, target in targets.items():
        if target.get("kind") == "normal":
            labels[name] = F.normalize(torch.randn(2, target["channels"], *patch, device=device), dim=1)
        else:
            labels[name] = torch.randint(0, max(2, target["channels"]), (2, 1, *patch), device=device).float()
    return labels


def _loss(network, targets, image, precision):
    with torch.autocast(image.device.type, torch.bfloat16, enabled=precision == "bf16"):
        outputs = network(image)
    outputs = {
        name: [level.float() for level in value] if isinstance(value, list) else value.float()
        for name, value in outputs.items()
    }
    return MultiTaskLoss(targets)(outputs, _labels(targets, image.shape[2:], image.device))


def _saved_bytes(network, forward):
    """Bytes of the storages that autograd keeps, without those of parameters."""
    parameters = {p.untyped_storage().data_ptr() for p in network.parameters()}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage  # held, so that no other one gets its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for address, storage in saved.items() if address not in parameters)


@pytest.mark.parametrize(("patch", "targets", "options", "precision"), CASES)
def test_activations_are_what_autograd_saves(patch, targets, options, precision):
    network = MultiTaskUNet(len(patch), 1, targets, patch_size=patch, **options)
    estimate = estimate_training_memory(network, patch, 2, precision=precision)
    measured = _saved_bytes(network, lambda: _loss(network, targets, torch.randn(2, 1, *patch), precision))
    assert estimate.activations == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(("patch", "targets", "options", "precision"), CASES[:5])
def test_peak_is_what_a_step_allocates(patch, targets, options, precision):
    network = MultiTaskUNet(len(patch), 1, targets, patch_size=patch, **options)
    optimizer = torch.optim.AdamW(network.parameters())

    def step():
        optimizer.zero_grad(set_to_none=True)
        _loss(network, targets, torch.randn(2, 1, *patch), precision).backward()
        optimizer.step()

    step()  # makes the optimiser's state
    optimizer.zero_grad(set_to_none=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    held = allocated = 0
    for event in sorted(profiler.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            allocated = max(allocated, held)
    estimate = estimate_training_memory(network, patch, 2)
    assert estimate.peak == pytest.approx(allocated + estimate.parameters + estimate.optimizer, rel=0.25)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_peak_is_what_cuda_allocates(precision, checkpointing):
    patch = (96, 96, 96)
    network = MultiTaskUNet(3, 1, SHEET, patch_size=patch, activation_checkpointing=checkpointing).cuda()
    optimizer = torch.optim.AdamW(network.parameters())
    for _ in range(2):
        torch.cuda.reset_peak_memory_stats()
        optimizer.zero_grad(set_to_none=True)
        _loss(network, SHEET, torch.randn(2, 1, *patch, device="cuda"), precision).backward()
        optimizer.step()
    estimate = estimate_training_memory(network, patch, 2, precision=precision)
    assert estimate.peak == pytest.approx(torch.cuda.max_memory_allocated(), rel=0.25)


def test_one_convolution_by_hand():
    network = nn.Conv3d(3, 4, kernel_size=1)
    estimate = estimate_training_memory(network, (8, 8, 8), 2, in_channels=3)
    voxels, parameters = 2 * 8**3, 3 * 4 + 4
    assert estimate.parameters == estimate.gradients == 4 * parameters
    assert estimate.optimizer == 8 * parameters
    # image and output; the loss keeps softmax, log-softmax and the truth of each output; three sums and a constant
    assert estimate.activations == pytest.approx(4 * voxels * (3 + 4 + 3 * 4), rel=0.001)
    assert estimate.peak >= estimate.activations + 3 * 4 * parameters


def test_states_of_the_optimiser_count_once_each():
    network = nn.Conv2d(1, 2, kernel_size=3)
    estimates = [estimate_training_memory(network, (16, 16), 1, optimizer_states=states) for states in (0, 1, 2)]
    assert [estimate.optimizer for estimate in estimates] == [0, 80, 160]
    assert [estimate.peak - estimates[0].peak for estimate in estimates] == [0, 80, 160]


def test_frozen_parameters_have_no_gradient():
    network = nn.Sequential(nn.Conv2d(1, 2, kernel_size=1), nn.BatchNorm2d(2), nn.Conv2d(2, 1, kernel_size=1))
    network[0].requires_grad_(False)
    estimate = estimate_training_memory(network, (16, 16), 2)
    assert estimate.parameters == 4 * (4 + 4 + 3) + 2 * 2 * 4 + 8  # with the running statistics and their count
    assert estimate.gradients == 4 * (4 + 3)


def test_other_networks_and_half_precision():
    network = SegResNet(3, 8, 1, 2)
    image = torch.randn(2, 1, 32, 32, 32)
    estimate = estimate_training_memory(network, (32, 32, 32), 2)
    loss_and_output = 4 * 2 * 2 * 32**3 * 4
    measured = _saved_bytes(network, lambda: network(image)) + loss_and_output
    assert estimate.activations == pytest.approx(measured, rel=0.05)
    halves = [estimate_training_memory(network, (32, 32, 32), 2, precision=name) for name in ("bf16", "fp16")]
    assert halves[0] == halves[1]
    assert halves[0].activations < 0.7 * estimate.activations


def test_network_and_random_numbers_are_left_as_they_are():
    network = MultiTaskUNet(2, 1, SHEET | {"normals": {"channels": 2, "kind": "normal"}}, patch_size=(16, 16))
    network.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random_state = torch.get_rng_state()
    with torch.no_grad():
        estimate_training_memory(network, (16, 16), 2)
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_a_network_without_data_is_enough():
    options = {"patch_size": (16, 16, 16), "features_per_stage": [4, 8]}
    with torch.device("meta"):
        empty = MultiTaskUNet(3, 1, SHEET, **options)
    full = MultiTaskUNet(3, 1, SHEET, **options)
    assert estimate_training_memory(empty, (16, 16, 16), 2) == estimate_training_memory(full, (16, 16, 16), 2)


@pytest.mark.parametrize("memory_gb", [0.003, 0.01])
def test_largest_batch_fits_and_the_next_does_not(memory_gb):
    network = MultiTaskUNet(2, 1, {"t": {"channels": 2}}, patch_size=(32, 32), features_per_stage=[4, 8])
    batch_size = batch_size_for(memory_gb, network, (32, 32), optimizer_states=1)
    peaks = [estimate_training_memory(network, (32, 32), batch_size + i, optimizer_states=1).peak for i in (0, 1)]
    assert batch_size > 1
    assert peaks[0] <= memory_gb * 1e9 < peaks[1]


def test_batch_grows_where_precision_is_lower():
    network = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1))
    full, half = (batch_size_for(0.01, network, (32, 32), precision=name) for name in ("fp32", "bf16"))
    assert half > 1.4 * full


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp8"}, "precision must be 'fp32' or 'bf16' or 'fp16', got 'fp8'"),
        ({"batch_size": 0}, "batch_size must be a positive whole number, got 0"),
        ({"in_channels": 1.5}, "in_channels must be a positive whole number, got 1.5"),
        ({"optimizer_states": 3}, "optimizer_states must be 0, 1 or 2, got 3"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        estimate_training_memory(nn.Conv2d(1, 1, 1), (8, 8), **({"batch_size": 2} | options))


def test_memory_for_no_patch_says_what_one_takes():
    with pytest.raises(ValueError, match=r"one patch of \[512, 512\] takes 0.00734 GB, and memory_gb is 0.001"):
        batch_size_for(0.001, nn.Conv2d(1, 1, 1), (512, 512))
    with pytest.raises(ValueError, match="memory_gb must be a positive number, got 0"):
        batch_size_for(0, nn.Conv2d(1, 1, 1), (8, 8))
