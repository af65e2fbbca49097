"""Passes over slices against NumPy, slice by slice, and against MONAI's inferer on the whole volume."""

import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer
from tests.inferers.runs import make_volume, read, snapshot
from torch import nn

from scripts.inferers import Distributed, SlicePasses, ZarrSlidingWindowInferer, slice_sizes

TARGETS = {"sheet": {"channels": 2}}
BOTH = {"sheet": {"channels": 1}, "flow": {"channels": 3, "kind": "vector"}}
AXES = ("z", "y", "x")


class SliceNetwork(nn.Module):
    """Of each slice alone: a lopsided convolution, and ramps along H and W that tell one axis from the other."""

    def __init__(self, targets=TARGETS):
        super().__init__()
        self.channels = {name: row["channels"] for name, row in targets.items()}
        generator = torch.Generator().manual_seed(0)
        self.kernel = nn.Parameter(torch.randn(sum(self.channels.values()), 1, 3, 3, generator=generator))
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        h, w = x.shape[3:]
        found = nn.functional.conv2d(x[:, :, 0], self.kernel, padding=1)  # B C 1 H W -> B K H W
        found = torch.tanh(found + torch.linspace(0, 1, h)[:, None] - torch.linspace(0, 3, w))
        parts = found.unsqueeze(2).split(list(self.channels.values()), dim=1)
        return dict(zip(self.channels, parts, strict=True))


def by_hand(network, windows, axes):
    """Per target the mean over passes, one slice at a time; windows B 1 D H W, outputs B K D H W."""
    found = {}
    for axis in axes:
        number = AXES.index(axis)
        moved = np.moveaxis(windows.numpy(), number + 2, 2)  # the two other axes keep their order
        with torch.no_grad():
            slices = [network(torch.from_numpy(np.ascontiguousarray(s))[:, :, None]) for s in np.moveaxis(moved, 2, 0)]
        for name in slices[0]:
            stacked = np.concatenate([one[name].numpy() for one in slices], axis=2)
            if name == "flow":  # components along the slice's axes: that across, then the others
                own = [number, *(n for n in range(3) if n != number)]
                stacked = stacked[:, [own.index(n) for n in range(3)]]
            found.setdefault(name, []).append(np.moveaxis(stacked, 2, number + 2))
    return {name: np.mean(passes, axis=0) for name, passes in found.items()}


@pytest.mark.parametrize("axes", ["zyx", "z", "y", "x", "xz"])
@pytest.mark.parametrize("slices_at_once", [1, 5, 100])
def test_the_mean_is_that_of_slices_one_by_one(axes, slices_at_once):
    network, windows = SliceNetwork(BOTH), torch.rand(2, 1, 4, 5, 6)
    with torch.no_grad():
        out = SlicePasses(network, BOTH, axes, slices_at_once)(windows)
    shapes = list(network.shapes)
    for name, expected in by_hand(network, windows, axes).items():
        np.testing.assert_allclose(out[name], expected, rtol=0, atol=1e-6)
    sizes = slice_sizes((4, 5, 6), axes)
    assert max(shape[0] for shape in shapes) <= slices_at_once
    assert {shape[1:] for shape in shapes} == {(1, *size) for size in sizes.values()}
    assert sum(shape[0] for shape in shapes) == 2 * sum({"z": 4, "y": 5, "x": 6}[axis] for axis in axes)


def test_sizes_of_slices_are_those_of_the_other_axes():
    assert slice_sizes([4, 5, 6], "zyx") == {"z": (1, 5, 6), "y": (1, 4, 6), "x": (1, 4, 5)}


def test_each_pass_sees_two_components_and_their_mean_is_radial():
    """The square of a distance has a gradient whose differences are exact: by hand it is 2 (p - c)."""

    class GradientInSlice(nn.Module):
        def forward(self, x):
            down, right = torch.gradient(x[:, 0, 0], dim=(1, 2))
            return {"normals": torch.stack([torch.zeros_like(down), down, right], dim=1).unsqueeze(2)}

    centre = np.array([3.3, 5.9, 4.2])
    offset = np.stack(np.meshgrid(*map(np.arange, (9, 10, 11)), indexing="ij")) - centre.reshape(3, 1, 1, 1)
    square = torch.from_numpy((offset**2).sum(axis=0))[None, None]
    targets = {"normals": {"channels": 3, "kind": "normal"}}
    out = SlicePasses(GradientInSlice(), targets, AXES, 4)(square)["normals"][0]
    inside = (slice(None), *[slice(1, -1)] * 3)  # differences at the border are one-sided
    np.testing.assert_allclose(out[inside], (2 * offset * 2 / 3)[inside], atol=1e-4)  # two of three passes see each


ARGUMENTS = {
    "roi_size": (8, 8, 8),
    "sw_batch_size": 3,
    "overlap": 0.5,
    "targets": BOTH,
    "activate": False,
    "skip_empty": False,
    "chunk_size": 8,
    "block_size": 16,
    "slice_axes": AXES,
}


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """With unequal spacing, which must not stretch components: slices are read with their own."""
    data = np.random.default_rng(0).normal(size=(1, 19, 21, 14)).astype(np.float32)
    return make_volume(tmp_path_factory.mktemp("in") / "in.zarr", data, spacing=(3.0, 1.0, 1.5)), data


def test_streaming_gives_the_mean_of_three_passes_in_memory(volume, tmp_path):
    stored, data = volume
    network, image = SliceNetwork(BOTH), torch.from_numpy(data)[None]
    passes = [
        SlidingWindowInferer((8, 8, 8), 1, 0.5, "gaussian")(
            image, lambda x, a=axis: {name: torch.from_numpy(v) for name, v in by_hand(network, x, a).items()}
        )
        for axis in AXES
    ]
    paths = ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out")(stored, network)
    with torch.no_grad():
        in_memory = ZarrSlidingWindowInferer(**ARGUMENTS)(image, network)
    for name, path in paths.items():
        expected = np.mean([one[name][0].numpy() for one in passes], axis=0)
        np.testing.assert_allclose(read(path), expected, rtol=0, atol=1e-5)
        np.testing.assert_allclose(in_memory[name][0], expected, rtol=0, atol=1e-5)
    assert np.abs(read(paths["flow"]) - passes[0]["flow"][0].numpy()).max() > 0.1


@pytest.mark.usefixtures("prepared_workers")
def test_workers_write_the_bytes_of_one_process(volume, tmp_path):
    stored, _ = volume
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "one")(stored, SliceNetwork(BOTH))
    finally:
        torch.set_num_threads(threads)
    ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "two", executor=Distributed(n_workers=2))(
        stored, SliceNetwork(BOTH)
    )
    assert snapshot(tmp_path / "two.zarr") == snapshot(tmp_path / "one.zarr")


def test_a_run_with_other_passes_is_another_run(volume, tmp_path):
    ZarrSlidingWindowInferer(**ARGUMENTS, output=tmp_path / "out")(volume[0], SliceNetwork(BOTH))
    for other, said in ((["z"], r'\["z", "y", "x"\] -> \["z"\]'), (None, r'\["z", "y", "x"\] -> null')):
        inferer = ZarrSlidingWindowInferer(**{**ARGUMENTS, "slice_axes": other}, output=tmp_path / "out")
        with pytest.raises(ValueError, match=f"slice_axes: {said}"):
            inferer(volume[0], SliceNetwork(BOTH))


def test_mirrored_views_are_predicted_slice_by_slice(tmp_path):
    network, image = SliceNetwork(), torch.rand(1, 1, 8, 8, 8)
    arguments = {**ARGUMENTS, "targets": TARGETS, "mirror_axes": ["y"]}
    with torch.no_grad():
        out = ZarrSlidingWindowInferer(**arguments)(image, network)["sheet"]
    mirrored = by_hand(network, image.flip(3), AXES)["sheet"][:, :, :, ::-1]
    np.testing.assert_allclose(out, (by_hand(network, image, AXES)["sheet"] + mirrored) / 2, rtol=0, atol=1e-6)


def test_it_follows_its_network_and_takes_further_arguments():
    class Scaled(nn.Module):
        def forward(self, x, factor):
            return {"sheet": (x * factor).bfloat16()}

    passes = SlicePasses(Scaled().eval(), {"sheet": {"channels": 1}}, "zx", 2)
    assert not passes.training
    out = passes(torch.full((1, 1, 3, 3, 3), 0.5), factor=3.0)["sheet"]
    assert out.dtype == torch.float32
    assert out.unique().tolist() == [1.5]


@pytest.mark.parametrize(
    ("slice_axes", "message"),
    [
        (["depth"], r"slice_axes must be a list of names out of z, y, x; got 'depth'"),
        ([], r"slice_axes must name at least one of z, y, x, each at most once; got \[\]"),
        (["y", "y"], r"each at most once; got \['y', 'y'\]"),
    ],
)
def test_axes_that_cannot_be(slice_axes, message):
    for use in (
        lambda: SlicePasses(SliceNetwork(), TARGETS, slice_axes),
        lambda: ZarrSlidingWindowInferer(8, slice_axes=slice_axes),
        lambda: slice_sizes((8, 8, 8), slice_axes),
    ):
        with pytest.raises(ValueError, match=message):
            use()


@pytest.mark.parametrize(
    ("targets", "slices", "shape", "message"),
    [
        (TARGETS, 0, (1, 1, 4, 4, 4), "slices_at_once must be at least 1; got 0"),
        (TARGETS, 1, (1, 1, 4, 4), r"slice_axes are for windows B C D H W of volumes; got shape \(1, 1, 4, 4\)"),
        ({"flow": {"channels": 2, "kind": "vector"}}, 1, (1, 1, 4, 4, 4), "'flow' of kind 'vector' has 2 channels"),
        ({"tube": {"channels": 1}}, 1, (1, 1, 4, 4, 4), "the network has no output 'tube'; its outputs: sheet"),
        ({"sheet": {"channels": 1}}, 1, (1, 1, 4, 4, 4), r"shape \(1, 2, 1, 4, 4\), expected \(1, 1, 1, 4, 4\)"),
    ],
)
def test_windows_and_outputs_that_do_not_fit(targets, slices, shape, message):
    with pytest.raises(ValueError, match=message):
        SlicePasses(SliceNetwork(), targets, AXES, slices)(torch.zeros(shape))
