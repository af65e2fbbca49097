"""Means over views against flips and turns by hand, and against directions that are known."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer
from torch import nn

from scripts.inferers.ensemble import Ensemble
from scripts.inferers.test_time_augmentation import TestTimeAugmentation

TARGETS = {"sheet": {"channels": 2}}
NORMALS = {"normals": {"channels": 3, "kind": "normal"}}
MIRRORS = ("z", "y", "x")
PLANES = ("zy", "zx", "yx")
UNEQUAL = (3.0, 1.0, 1.5)


class PlaceDependent(nn.Module):
    """A convolution plus a map of its own, so that neither place nor direction is without effect."""

    def __init__(self, size, channels=2, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        kernel = torch.randn(channels, 1, *[3] * len(size), generator=generator)
        self.kernel, self.map = nn.Parameter(kernel), nn.Parameter(torch.randn(channels, *size, generator=generator))

    def forward(self, x):
        conv = nn.functional.conv3d if x.ndim == 5 else nn.functional.conv2d
        return {"sheet": torch.tanh(conv(x, self.kernel, padding=1) + self.map)}


class SphereNormals(nn.Module):
    """A perfect predictor: the unit gradient of the window, read at its spacing."""

    def __init__(self, spacing=(1.0, 1.0, 1.0)):
        super().__init__()
        self.spacing = spacing

    def forward(self, x):
        gradient = torch.stack(
            [torch.gradient(x[:, 0], dim=d + 1)[0] / s for d, s in enumerate(self.spacing)], dim=1
        )  # B D H W -> B C D H W
        return {"normals": torch.nn.functional.normalize(gradient, dim=1)}


class TowardsCentre(nn.Module):
    """Vectors from each voxel to the window's centre of mass, in physical length."""

    def __init__(self, spacing):
        super().__init__()
        self.spacing = spacing

    def forward(self, x):
        grid = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in x.shape[2:]], indexing="ij"))  # C D H W
        grid = grid * torch.tensor(self.spacing).reshape(3, 1, 1, 1)
        centre = (x * grid).sum(dim=(2, 3, 4), keepdim=True) / x.sum(dim=(2, 3, 4), keepdim=True)
        return {"offset": centre - grid}


class Recorder(nn.Module):
    """Keeps every batch that it is given, and answers with it."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, x):
        self.batches.append(x.clone())
        return {"echo": x}


def sphere(size=9, spacing=(1.0, 1.0, 1.0)):
    """Distance from a point beside the centre, 1 1 D H W."""
    axes = [(torch.arange(float(size)) - centre) * s for centre, s in zip((3.3, 4.9, 2.2), spacing, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(dim=0).sqrt()[None, None]


def by_hand(network, windows, moves):
    """Mean over (there, back) pairs of NumPy functions on B C D H W."""
    outputs = []
    with torch.no_grad():
        for there, back in moves:
            shown = torch.from_numpy(there(windows.numpy()).copy())
            outputs.append(back(network(shown)["sheet"].numpy()))
    return np.mean(outputs, axis=0)


def flips(axes):
    subsets = [s for n in range(len(axes) + 1) for s in itertools.combinations(axes, n)]
    return [(lambda a, s=s: np.flip(a, s), lambda a, s=s: np.flip(a, s)) for s in subsets]


def turns(axes):
    return [(lambda a, k=k: np.rot90(a, k, axes), lambda a, k=k: np.rot90(a, -k, axes)) for k in range(4)]


def both(first, second):
    return [
        (lambda a, f=f, s=s: s[0](f[0](a)), lambda a, f=f, s=s: f[1](s[1](a)))
        for f, s in itertools.product(first, second)
    ]


@pytest.mark.parametrize(
    ("options", "size", "moves"),
    [
        ({"mirror_axes": "zyx"}, (4, 5, 6), flips((2, 3, 4))),
        ({"mirror_axes": ["z", "x"]}, (4, 5, 6), flips((2, 4))),
        ({"rotation_planes": ["yx"]}, (3, 5, 5), turns((3, 4))),
        ({"rotation_planes": ["zx"]}, (5, 3, 5), turns((2, 4))),
        ({"mirror_axes": ["z"], "rotation_planes": ["yx"]}, (3, 5, 5), both(flips((2,)), turns((3, 4)))),
        ({"mirror_axes": ["x"], "rotation_planes": ["zx"]}, (5, 3, 5), both(flips((4,)), turns((2, 4)))),
        ({"mirror_axes": ["y"]}, (4, 6), flips((2,))),
        ({"mirror_axes": ["y"], "rotation_planes": ["yx"]}, (5, 5), both(flips((2,)), turns((2, 3)))),
    ],
)
def test_the_mean_is_that_of_flips_and_turns_by_hand(options, size, moves):
    network, windows = PlaceDependent(size), torch.rand(2, 1, *size)
    with torch.no_grad():
        out = TestTimeAugmentation(network, TARGETS, **options)(windows)["sheet"]
    np.testing.assert_allclose(out, by_hand(network, windows, moves), rtol=0, atol=1e-6)
    assert np.abs(out.numpy() - network(windows)["sheet"].detach().numpy()).max() > 0.1


def test_a_turned_window_gets_the_turned_prediction():
    """With all 48 views the answer follows any turn of the window, which the bare network's does not."""
    network, window = PlaceDependent((4, 4, 4)), torch.rand(1, 1, 4, 4, 4)
    augmented = TestTimeAugmentation(network, TARGETS, mirror_axes=MIRRORS, rotation_planes=PLANES, views_at_once=6)

    def turned(x):
        return x.transpose(2, 4).flip(3)

    with torch.no_grad():
        torch.testing.assert_close(augmented(turned(window))["sheet"], turned(augmented(window)["sheet"]))
        assert (network(turned(window))["sheet"] - turned(network(window)["sheet"])).abs().max() > 0.1


def test_perfect_normals_stay_as_they_are_over_all_mirrors():
    network, window = SphereNormals(), sphere()
    single = network(window)["normals"]
    out = TestTimeAugmentation(network, NORMALS, mirror_axes=MIRRORS)(window)["normals"]
    torch.testing.assert_close(out, single, rtol=0, atol=1e-6)

    as_scalars = {"normals": {"channels": 3, "kind": "scalar"}}  # voxels turned back, components not
    naive = TestTimeAugmentation(network, as_scalars, mirror_axes=MIRRORS)(window)["normals"]
    assert naive.abs().max() < 1e-6


def test_perfect_normals_stay_as_they_are_over_all_turns():
    network, window = SphereNormals(), sphere()
    options = {"mirror_axes": MIRRORS, "rotation_planes": PLANES}
    out = TestTimeAugmentation(network, NORMALS, **options)(window)["normals"]
    torch.testing.assert_close(out, network(window)["normals"], rtol=0, atol=1e-6)


def test_turned_normals_depend_on_the_spacing():
    """A sphere that is exchanged between unequal axes looks like another ellipsoid, whose normals tell the sphere's."""
    network, window = SphereNormals(UNEQUAL), sphere(spacing=UNEQUAL)
    single = network(window)["normals"]
    out, unaware = (
        TestTimeAugmentation(network, NORMALS, rotation_planes=PLANES, spacing=spacing)(window)["normals"]
        for spacing in (UNEQUAL, None)
    )
    torch.testing.assert_close(out, single, rtol=0, atol=1e-6)
    cosine = (torch.nn.functional.normalize(unaware, dim=1) * single).sum(dim=1)
    assert torch.rad2deg(cosine.clamp(-1, 1).acos()).median() > 5


def test_turned_vectors_depend_on_the_spacing():
    network, window = TowardsCentre(UNEQUAL), torch.rand(1, 1, 5, 5, 5, generator=torch.Generator().manual_seed(1))
    targets, single = {"offset": {"channels": 3, "kind": "vector"}}, network(window)["offset"]
    options = {"mirror_axes": ["x"], "rotation_planes": PLANES}
    out, unaware = (
        TestTimeAugmentation(network, targets, **options, spacing=spacing)(window)["offset"]
        for spacing in (UNEQUAL, None)
    )
    torch.testing.assert_close(out, single, rtol=0, atol=1e-5)
    assert (unaware - single).abs().max() > 1


@pytest.mark.parametrize(("views_at_once", "batches"), [(1, [2] * 48), (5, [10] * 9 + [6]), (100, [96])])
def test_each_view_of_each_window_is_evaluated_once(views_at_once, batches):
    network, windows = Recorder(), torch.rand(2, 1, 3, 3, 3)
    augmented = TestTimeAugmentation(
        network,
        {"echo": {"channels": 1}},
        mirror_axes=MIRRORS,
        rotation_planes=PLANES,
        views_at_once=views_at_once,
    )
    torch.testing.assert_close(augmented(windows)["echo"], windows)
    assert [len(batch) for batch in network.batches] == batches
    seen = [window.numpy().tobytes() for batch in network.batches for window in batch]
    expected = [
        np.ascontiguousarray(np.flip(window.transpose(0, *(axis + 1 for axis in order)), axes)).tobytes()
        for window in windows.numpy()
        for order in itertools.permutations(range(3))
        for n in range(4)
        for axes in itertools.combinations((1, 2, 3), n)
    ]
    assert sorted(seen) == sorted(expected)


def test_how_many_views_go_together_does_not_change_the_mean():
    network, windows = PlaceDependent((4, 4, 4)), torch.rand(3, 1, 4, 4, 4)
    options = {"mirror_axes": MIRRORS, "rotation_planes": ["yx"]}
    with torch.no_grad():
        alone, some, all_at_once = (
            TestTimeAugmentation(network, TARGETS, **options, views_at_once=n)(windows)["sheet"] for n in (1, 5, 16)
        )
    torch.testing.assert_close(some, alone, rtol=0, atol=1e-6)
    torch.testing.assert_close(all_at_once, alone, rtol=0, atol=1e-6)


def test_windows_and_the_networks_own_tensors_are_left_alone():
    network, windows = Recorder(), torch.rand(2, 1, 3, 3, 3)
    before = windows.clone()
    TestTimeAugmentation(network, {"echo": {"channels": 1}})(windows)
    assert torch.equal(windows, before)


def test_half_precision_is_turned_back_and_summed_in_float32():
    network, windows = TowardsCentre(UNEQUAL), torch.rand(2, 1, 5, 5, 5)

    def half(x):
        return {"offset": network(x)["offset"].bfloat16(), "rest": x}

    out, expected = (
        TestTimeAugmentation(
            function, {"offset": {"channels": 3, "kind": "vector"}}, rotation_planes=["zy"], spacing=UNEQUAL
        )(windows)
        for function in (half, lambda x: {"offset": half(x)["offset"].float()})
    )
    assert list(out) == ["offset"]
    torch.testing.assert_close(out["offset"], expected["offset"], rtol=0, atol=0)


def test_it_travels_to_other_processes_and_follows_its_network():
    network = PlaceDependent((4, 4, 4)).eval()
    augmented = TestTimeAugmentation(network, TARGETS, mirror_axes=["y"], spacing=UNEQUAL)
    assert not augmented.training
    windows = torch.rand(2, 1, 4, 4, 4)
    there = pickle.loads(pickle.dumps(augmented))
    torch.testing.assert_close(there(windows)["sheet"], augmented(windows)["sheet"], rtol=0, atol=0)
    assert set(augmented.state_dict()) == {"network.kernel", "network.map"}


def test_further_arguments_reach_the_network():
    augmented = TestTimeAugmentation(lambda x, add, times: {"sheet": (x + add) * times}, {"sheet": {"channels": 1}})
    assert augmented(torch.zeros(2, 1, 2, 2, 2), 3.0, times=2.0)["sheet"].unique().tolist() == [6.0]


def test_in_monais_inferer_mirrored_windows_are_windows_of_the_mirrored_volume():
    """Window positions 0 and 4 of 12 voxels are the same from either side."""
    network, volume = PlaceDependent((8, 8, 8)), torch.rand(1, 1, 12, 12, 12)
    inferer = SlidingWindowInferer(8, sw_batch_size=4, overlap=0.5, mode="gaussian")
    with torch.no_grad():
        out = inferer(volume, TestTimeAugmentation(network, TARGETS, mirror_axes=["z", "x"]))["sheet"]
        expected = [
            inferer(volume.flip(axes), network)["sheet"].flip(axes) if axes else inferer(volume, network)["sheet"]
            for axes in ((), (2,), (4,), (2, 4))
        ]
    torch.testing.assert_close(out, torch.stack(expected).mean(dim=0))


def test_around_an_ensemble_the_disagreement_is_averaged_over_views():
    members, windows = [PlaceDependent((4, 4, 4), seed=seed) for seed in range(3)], torch.rand(2, 1, 4, 4, 4)
    ensemble = Ensemble(members, TARGETS, disagreement=True)
    augmented = TestTimeAugmentation(ensemble, ensemble.targets, mirror_axes=["z", "x"], views_at_once=3)
    with torch.no_grad():
        out = augmented(windows)
        each = [[m(windows.flip(axes))["sheet"].flip(axes).numpy() for m in members] for axes in ([], [2], [4], [2, 4])]
    logits = np.array(each)  # view member B C D H W
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=3, keepdims=True)
    np.testing.assert_allclose(out["sheet"], logits.mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(
        out["sheet_disagreement"], probabilities.var(axis=1).sum(axis=2, keepdims=True).mean(axis=0), atol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mirror_axes": ["depth"]}, r"mirror_axes must be a list of names out of z, y, x; got 'depth'"),
        ({"rotation_planes": "yx"}, r"rotation_planes must be a list of names out of zy, zx, yx; got 'y'"),
        ({"spacing": [1, 0, 1]}, r"spacing must hold 3 lengths above 0, one per spatial axis; got \[1, 0, 1\]"),
        ({"views_at_once": 0}, r"views_at_once must be at least 1; got 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        TestTimeAugmentation(PlaceDependent((4, 4, 4)), TARGETS, **options)


@pytest.mark.parametrize(
    ("options", "targets", "shape", "message"),
    [
        (
            {"rotation_planes": ["zx"]},
            TARGETS,
            (1, 1, 4, 5, 6),
            r"plane zx need equal edges there; got \[4, 5, 6\] \(z, y, x\). Choose another window, or leave zx out",
        ),
        (
            {},
            {"flow": {"channels": 2, "kind": "vector"}},
            (1, 1, 4, 4, 4),
            r"target 'flow' of kind 'vector' has 2 channels, but windows have 3 axes \(z, y, x\)",
        ),
        (
            {},
            NORMALS,
            (1, 1, 4, 4),
            r"target 'normals' of kind 'normal' has 3 channels, but windows have 2 axes \(y, x",
        ),
        ({"mirror_axes": ["z"]}, TARGETS, (1, 1, 4, 4), r"mirror_axes must be .* out of y, x; got 'z'"),
        ({"spacing": UNEQUAL}, TARGETS, (1, 1, 4, 4), r"spacing must hold 2 lengths"),
        ({}, {"tubes": {"channels": 1}}, (1, 1, 4, 4, 4), r"the network has no output 'tubes'; its outputs: sheet"),
        ({}, {"sheet": {"channels": 1}}, (1, 1, 4, 4, 4), r"shape \(1, 2, 4, 4, 4\), expected \(1, 1, 4, 4, 4\)"),
    ],
)
def test_windows_and_outputs_that_do_not_fit(options, targets, shape, message):
    with pytest.raises(ValueError, match=message):
        TestTimeAugmentation(PlaceDependent((4, 4, 4)), targets, **options)(torch.zeros(shape))
