"""PHD-Net: perfect answers come back as landmarks, each option changes it, and it learns."""

import pytest
import torch
from monai.data import MetaTensor

from scripts.landmarks import gaussian_heatmaps, patch_class_maps, patch_displacements, peak_points, vote_maps
from scripts.losses import PHDNetLoss
from scripts.networks import BRANCH_SCHEMES, PHDNet, phdnet, voxels_per_patch

TARGETS = {"joints": {"channels": 2, "kind": "points"}}


def network_of(patch_size=(32, 48), n=2, *, seed=0, **options):
    """A small network with random weights; no branch is zero."""
    targets = {"joints": {"channels": n, "kind": "points"}}
    network = PHDNet(len(patch_size), 1, targets, patch_size, **({"features": [4, 6, 8, 8]} | options))
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return network


class Says(torch.nn.Module):
    """A branch that says the same whatever it sees."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        assert x.shape[2:] == self.answer.shape[2:]
        return self.answer


def landmarks(shape, n=5):
    """Landmarks of two images, up to the outermost voxels."""
    drawn = torch.rand(2, n, len(shape), generator=torch.Generator().manual_seed(0))
    return drawn * (torch.tensor(shape) - 1)


def knowing(points, shape, scheme, **options):
    """A network in evaluation mode whose branches say the truth of these points."""
    network = network_of(shape, points.shape[1], branch_scheme=scheme, **options).eval()
    sizes = network.voxels_per_patch
    log_transform = options.get("log_transform", True)
    truth = {
        "class": patch_class_maps(points, shape, patch_size=sizes, amplitude=10.0),
        "displacement": patch_displacements(points, shape, patch_size=sizes, log_transform=log_transform),
    }
    for name in network.branches:
        network.branches[name] = Says(truth[name])
    return network


SHAPES = [(40, 71), (64, 24), (17, 33, 24), (1, 33, 47)]


@pytest.mark.parametrize("scheme", BRANCH_SCHEMES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_perfect_branches_find_the_landmarks_within_half_a_voxel(shape, scheme):
    points = landmarks(shape)
    with torch.no_grad():
        maps = knowing(points, shape, scheme)(torch.zeros(2, 1, *shape))["joints"]
    assert maps.shape == (2, 5, *shape)
    assert (peak_points(maps) - points).abs().max() < 0.5


def test_votes_are_those_of_the_landmarks_room_times_the_class_map():
    points = landmarks((40, 71))
    network = knowing(
        points, (40, 71), "multi", log_transform=False, vote_sigma=2.0, max_pool_factor=2, features=[4] * 3
    )
    with torch.no_grad():
        maps = network(torch.zeros(2, 1, 40, 71))["joints"]
    classes, displacements = network.branches["class"].answer, network.branches["displacement"].answer
    expected = vote_maps(classes, displacements, (40, 71), patch_size=4, vote_sigma=2.0, log_transform=False)
    torch.testing.assert_close(maps, expected)


@pytest.mark.parametrize("scheme", BRANCH_SCHEMES)
def test_many_landmarks_vote_in_turns(monkeypatch, scheme):
    """Two images of 17 x 33 x 24 voxels: as many values as two landmarks have are drawn at once."""
    points = landmarks((17, 33, 24))
    network = knowing(points, (17, 33, 24), scheme)
    drawn = []

    def spy(*arguments, **options):
        drawn.append(vote_maps(*arguments, **options))
        return drawn[-1]

    monkeypatch.setattr(phdnet, "vote_maps", spy)
    x = torch.zeros(2, 1, 17, 33, 24)
    with torch.no_grad():
        together = network(x)["joints"]
        monkeypatch.setattr(phdnet, "_VALUES_AT_ONCE", 2 * 2 * 17 * 33 * 24)
        torch.testing.assert_close(network(x)["joints"], together, rtol=0, atol=0)
    assert [maps.shape[1] for maps in drawn] == [5, 2, 2, 1]


def test_a_class_branch_that_sees_nothing_finds_nothing():
    network = knowing(landmarks((32, 48)), (32, 48), "heatmap")
    network.branches["class"] = Says(torch.zeros(1, 5, 4, 6))
    maps = network(torch.zeros(1, 1, 32, 48))["joints"]
    assert (maps == 0).all()


def test_a_peak_beyond_the_image_is_taken_to_its_border():
    network = knowing(landmarks((32, 48), 1), (32, 48), "heatmap")
    beyond = torch.tensor([[[-7.0, 20.0]]])  # the highest patch is the first, the Gaussian's peak lies above it
    away = patch_displacements(beyond, (32, 48), log_transform=False) / 8
    network.branches["class"] = Says(torch.exp(-0.5 * away.square().sum(dim=1, keepdim=True)))
    found = peak_points(network(torch.zeros(1, 1, 32, 48))["joints"])[0, 0]
    assert found[0] == pytest.approx(0, abs=0.5)
    assert found[1] == pytest.approx(20, abs=0.5)


def test_training_packs_class_maps_and_then_displacements():
    points = landmarks((32, 48))
    network = knowing(points, (32, 48), "multi").train()
    packed = network(torch.zeros(2, 1, 32, 48))["joints"]
    assert packed.shape == (2, 5 * 3, 4, 6)
    assert torch.equal(packed[:, :5], network.branches["class"].answer)
    assert torch.equal(packed[:, 5:], network.branches["displacement"].answer)
    assert PHDNetLoss(amplitude=10.0)(packed, points).item() == 0


@pytest.mark.parametrize(("scheme", "channels"), [("multi", 6), ("heatmap", 2), ("displacement", 4)])
def test_a_single_branch_has_only_its_channels_and_moves_every_weight(scheme, channels):
    network = network_of(branch_scheme=scheme)
    packed = network(torch.randn(2, 1, 32, 48))["joints"]
    assert packed.shape == (2, channels, 4, 6)
    packed.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_images_of_any_size_are_continued_by_their_last_voxels():
    network = network_of()
    x = torch.randn(2, 1, 29, 43)
    whole = torch.cat([x, x[..., -1:].expand(-1, -1, -1, 5)], dim=3)
    whole = torch.cat([whole, whole[:, :, -1:].expand(-1, -1, 3, -1)], dim=2)
    torch.testing.assert_close(network(x)["joints"], network(whole)["joints"])
    network.eval()
    with torch.no_grad():
        assert network(x)["joints"].shape == (2, 2, 29, 43)


def test_a_slice_is_seen_as_a_picture():
    flat, deep = network_of(), network_of((1, 32, 48))
    assert deep.voxels_per_patch == (1, 8, 8)
    weights = flat.state_dict()
    for name, value in deep.state_dict().items():
        if name.startswith("branches.displacement.1"):  # two landmarks with components z, y, x; none votes along z
            value.zero_()
            value.unflatten(0, (2, 3))[:, 1:] = weights[name].reshape(2, 2, *value.shape[1:])
        else:
            value.copy_(weights[name].reshape(value.shape))
    x = torch.randn(2, 1, 32, 48)
    packed, expected = deep(x[:, :, None])["joints"][:, :, 0], flat(x)["joints"]
    torch.testing.assert_close(packed[:, :2], expected[:, :2])
    torch.testing.assert_close(packed[:, 2:].unflatten(1, (2, 3))[:, :, 1:], expected[:, 2:].unflatten(1, (2, 2)))
    with torch.no_grad():
        torch.testing.assert_close(deep.eval()(x[:, :, None])["joints"][:, :, 0], flat.eval()(x)["joints"])


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_parameters_by_hand():
    """Each stage two convolutions with bias, scale and offset, and a skip; each branch two 1x1 convolutions."""

    def conv(c_in, c_out, kernel=9):
        return c_in * c_out * kernel + 3 * c_out

    steps = [(1, 4), (4, 6), (6, 8), (8, 8)]
    plain = sum(conv(a, b) + conv(b, b) for a, b in steps)
    skips = sum(a * b + 2 * b for a, b in steps if a != b)
    branches = 2 * conv(8, 8, 1) + (8 * 2 + 2) + (8 * 4 + 4)
    assert count(network_of()) == plain + skips + branches
    assert count(network_of(residual=False)) == plain + branches
    assert count(network_of(branch_scheme="heatmap")) == plain + skips + conv(8, 8, 1) + (8 * 2 + 2)
    wide = PHDNet(2, 1, TARGETS, (32, 48), max_pool_factor=5)
    assert [stage.conv2.out_channels for stage in wide.stages] == [32, 64, 128, 256, 512, 512]


@pytest.mark.parametrize(
    "options",
    [
        {"residual": False},
        {"norm": "batch"},
        {"act": "relu"},
        {"max_pool_factor": 2, "features": [4, 6, 8]},
        {"vote_sigma": 3.0},
        {"log_transform": False},
    ],
    ids=str,
)
def test_every_option_changes_what_is_found(options):
    plain, other = network_of(), network_of(**options)
    kept = {name: value for name, value in plain.state_dict().items() if name in other.state_dict()}
    fitting = {name: value for name, value in kept.items() if value.shape == other.state_dict()[name].shape}
    other.load_state_dict(fitting, strict=False)
    x = torch.randn(2, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = plain.eval()(x)["joints"], other.eval()(x)["joints"]
    assert (first - second).abs().max() > 1e-3 * first.abs().max()


def test_the_number_of_poolings_is_the_size_of_patches():
    network = network_of(max_pool_factor=2, features=[4, 4, 4])
    assert network.voxels_per_patch == (4, 4)
    assert network(torch.randn(2, 1, 32, 48))["joints"].shape == (2, 6, 8, 12)


def test_dropout_changes_training_alone():
    plain, dropping = network_of(), network_of(dropout=0.5)
    x = torch.randn(2, 1, 32, 48)
    assert not torch.equal(plain(x)["joints"], dropping(x)["joints"])
    assert not torch.equal(dropping(x)["joints"], dropping(x)["joints"])
    with torch.no_grad():
        torch.testing.assert_close(plain.eval()(x)["joints"], dropping.eval()(x)["joints"], rtol=0, atol=0)


def test_shared_parameters_are_moved_by_both_branches():
    network = network_of()
    assert len(network.shared_parameters()) == len(list(network.stages[-1].parameters()))
    packed = network(torch.randn(2, 1, 32, 48))["joints"]
    for part in (packed[:, :2], packed[:, 2:]):
        gradients = torch.autograd.grad(part.square().sum(), network.shared_parameters(), retain_graph=True)
        assert all(gradient.any() for gradient in gradients)


def test_autocast_leaves_the_answers_in_float32():
    network = network_of().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        maps = network(torch.randn(2, 1, 32, 48))["joints"]
    assert maps.dtype == torch.float32
    network.train()
    with torch.autocast("cpu", torch.bfloat16):
        packed = network(torch.randn(2, 1, 32, 48))["joints"]
    assert packed.dtype == torch.float32
    assert not torch.equal(packed, packed.bfloat16().float())  # more digits than bfloat16 has


def test_metatensor_gives_the_same_values():
    network = network_of().eval()
    x = torch.randn(2, 1, 29, 43)
    with torch.no_grad():
        torch.testing.assert_close(torch.as_tensor(network(MetaTensor(x))["joints"]), network(x)["joints"])


def pictures(n, generator, shape=(32, 48)):
    """Noisy pictures, B 1 H W, with a small and a large bright blob, and the centres of these, B 2 2."""
    points = torch.rand(n, 2, 2, generator=generator) * (torch.tensor(shape) - 9) + 4
    blobs = gaussian_heatmaps(points, shape, torch.tensor([[1.5, 1.5], [3.0, 3.0]])).sum(dim=1, keepdim=True)
    return 3 * blobs + 0.1 * torch.randn(n, 1, *shape, generator=generator), points


@pytest.fixture
def one_thread():
    """More threads only wait for each other on arrays as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("scheme", BRANCH_SCHEMES)
def test_it_learns_to_tell_and_to_find_two_blobs(scheme):
    torch.manual_seed(0)
    generator, n_steps = torch.Generator().manual_seed(0), 150
    network = PHDNet(2, 1, TARGETS, (32, 48), branch_scheme=scheme, features=[8, 16, 32, 32])
    loss = PHDNetLoss(scheme, network.voxels_per_patch, amplitude=10.0)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=n_steps)
    for _ in range(n_steps):
        x, points = pictures(8, generator)
        optimizer.zero_grad()
        loss(network(x)["joints"], points).backward()
        optimizer.step()
        schedule.step()
    x, points = pictures(32, torch.Generator().manual_seed(9))
    with torch.no_grad():
        found = peak_points(network.eval()(x)["joints"])
    errors = torch.linalg.vector_norm(found - points, dim=2)
    assert errors.mean() < 2
    assert errors.median() < 1.2


def test_voxels_of_a_patch():
    assert voxels_per_patch((64, 64, 48)) == (8, 8, 8)
    assert voxels_per_patch((1, 512, 512), 4) == (1, 16, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branch_scheme": "both"}, "branch_scheme must be 'multi' or 'heatmap' or 'displacement', got 'both'"),
        ({"max_pool_factor": 0}, "max_pool_factor must be a whole number of at least 1, got 0"),
        ({"patch_size": (32, 0)}, r"patch_size must hold whole numbers above 0, one per axis; got \(32, 0\)"),
        ({"patch_size": (8, 8)}, r"\[8, 8\] is a single patch of \[8, 8\] voxels; expected several"),
        ({"spatial_dims": 3}, r"got spatial_dims = 3, patch_size = \(32, 48\)"),
        ({"in_channels": 0}, "in_channels must be a positive whole number, got 0"),
        ({"features": [4, 8]}, r"features must hold 4 whole numbers .* max_pool_factor = 3; got \[4, 8\]"),
        ({"features": [4, 8, 8, 0]}, r"features must hold 4 whole numbers above 0, .*; got \[4, 8, 8, 0\]"),
        ({"vote_sigma": 0}, "vote_sigma must be above 0; got 0"),
        ({"norm": ["group", {"num_groups": 5}]}, "num_groups = 5 does not divide 32"),
        ({"dropout": 1}, "dropout must be a number >= 0 and < 1, got 1"),
        ({"targets": {"a": {"channels": 2}}}, r"one target, of kind 'points'; got a \(kind label\)"),
        ({"targets": TARGETS | {"b": {"channels": 1}}}, r"got joints \(kind points\), b \(kind label\)"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        PHDNet(**({"spatial_dims": 2, "in_channels": 1, "targets": TARGETS, "patch_size": (32, 48)} | options))
