"""Streaming against MONAI's in-memory result, window counts, resume, what is written."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.inferers import SlidingWindowInferer
from monai.transforms import NormalizeIntensity

from scripts.inferers import ZarrSlidingWindowInferer
from scripts.transforms import NormalizeImage
from scripts.volumes import create_ome_zarr, open_volume

TARGETS = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
SPACING, TRANSLATION = (3.0, 1.0, 1.5), (10.0, -2.0, 0.5)


class TwoOutputs(torch.nn.Module):
    """Position-dependent within a window, so that blending matters; counts the windows it sees."""

    def __init__(self, channels=1):
        super().__init__()
        torch.manual_seed(0)
        self.sheet = torch.nn.Conv3d(channels, 1, 3, padding=1)
        self.normals = torch.nn.Conv3d(channels, 3, 3, padding=1)
        self.windows = 0

    def forward(self, x):
        self.windows += len(x)
        ramp = torch.linspace(0, 1, x.shape[-1])
        return {"sheet": self.sheet(x) + ramp, "normals": self.normals(x) * (1 + ramp)}


def make_volume(path, shape, channels=1, seed=0, chunks=(8, 8, 8)):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(channels, *shape)).astype(np.float32)
    writer = create_ome_zarr(
        path, data.shape, "float32", spacing=SPACING, translation=TRANSLATION, unit="um", chunks=chunks
    )
    writer.write((0, 0, 0), data)
    writer.finish()
    return open_volume(path), data


def read(path):
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.spatial_shape)


@pytest.mark.parametrize("overlap", [0.25, 0.5])
@pytest.mark.parametrize("shape", [(37, 23, 41), (19, 50, 13), (10, 29, 31)])
def test_equals_monai_in_memory(tmp_path, shape, overlap):
    volume, data = make_volume(tmp_path / "in.zarr", shape)
    network, roi = TwoOutputs(), (16, 12, 16)
    expected = SlidingWindowInferer(roi, 2, overlap, "gaussian")(torch.from_numpy(data)[None], network)
    inferer = ZarrSlidingWindowInferer(
        roi, 2, overlap, output=tmp_path / "out", targets=TARGETS, activate=False, skip_empty=False, chunk_size=16
    )
    paths = inferer(volume, network)
    assert set(paths) == {"sheet", "normals"}
    for name, path in paths.items():
        assert np.abs(read(path) - expected[name][0].detach().numpy()).max() <= 1e-5


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(*[st.integers(4, 26)] * 3),
    roi=st.tuples(*[st.integers(4, 12)] * 3),
    overlap=st.sampled_from([0.0, 0.25, 0.6]),
    chunk=st.integers(5, 20),
    batch=st.integers(1, 4),
    channels=st.integers(1, 2),
    mode=st.sampled_from(["constant", "gaussian"]),
)
def test_equals_monai_for_any_layout(tmp_path_factory, shape, roi, overlap, chunk, batch, channels, mode):
    folder = tmp_path_factory.mktemp("run")
    volume, data = make_volume(folder / "in.zarr", shape, channels)
    network = TwoOutputs(channels)
    expected = SlidingWindowInferer(roi, 1, overlap, mode)(torch.from_numpy(data)[None], network)
    windows, network.windows = network.windows, 0
    inferer = ZarrSlidingWindowInferer(
        roi,
        batch,
        overlap,
        mode,
        output=folder / "o",
        targets=TARGETS,
        activate=False,
        skip_empty=False,
        chunk_size=chunk,
    )
    paths = inferer(volume, network)
    assert network.windows == windows  # each once
    for name, path in paths.items():
        assert np.abs(read(path) - expected[name][0].detach().numpy()).max() <= 1e-5


def test_a_tensor_gives_what_monai_gives(tmp_path):
    data = torch.randn(1, 1, 20, 20, 20)
    network = TwoOutputs()
    ours = ZarrSlidingWindowInferer((8, 8, 8), 2, 0.5)(data, network)
    theirs = SlidingWindowInferer((8, 8, 8), 2, 0.5, "gaussian")(data, network)
    assert torch.equal(ours["sheet"], theirs["sheet"])
    assert torch.equal(ours["normals"], theirs["normals"])


def test_window_transform_reaches_every_window_of_both_kinds(tmp_path):
    volume, data = make_volume(tmp_path / "in.zarr", (20, 18, 22))
    network = TwoOutputs()
    arguments = {"roi_size": (8, 8, 8), "overlap": 0.5, "targets": TARGETS, "skip_empty": False, "activate": False}
    transform = NormalizeIntensity(channel_wise=True)
    inferer = ZarrSlidingWindowInferer(**arguments, window_transform=transform, output=tmp_path / "out")
    expected = inferer(torch.from_numpy(data)[None], network)["sheet"][0].detach().numpy()
    plain = ZarrSlidingWindowInferer(**arguments)(torch.from_numpy(data)[None], network)["sheet"][0].detach().numpy()
    streamed = read(inferer(volume, network)["sheet"])
    assert np.abs(streamed - expected).max() <= 1e-5
    assert np.abs(expected - plain).max() > 0.01


@pytest.mark.parametrize("scheme", ["zscore_volume", "min_max"])
def test_statistics_of_the_whole_image_normalise_each_window(tmp_path, scheme):
    """Streaming, in memory, and each image of a batch by its own numbers: all as if normalised beforehand."""
    volume, data = make_volume(tmp_path / "in.zarr", (20, 22, 24))
    image, network = torch.from_numpy(data)[None], TwoOutputs()
    arguments = {"roi_size": (12, 12, 12), "overlap": 0.5, "targets": TARGETS, "activate": False, "skip_empty": False}
    low, high = image.min(), image.max()
    by_hand = {
        "zscore_volume": (image - image.mean()) / image.std(correction=0),
        "min_max": (image - low) / (high - low),
    }
    expected = ZarrSlidingWindowInferer(**arguments)(by_hand[scheme], network)
    inferer = ZarrSlidingWindowInferer(**arguments, window_transform=NormalizeImage(scheme), output=tmp_path / "out")
    in_memory = inferer(image, network)
    both = inferer(torch.cat([image, image * 3 + 7]), network)
    for name, path in inferer(volume, network).items():
        np.testing.assert_allclose(read(path)[None], expected[name].detach(), atol=1e-4)
        torch.testing.assert_close(in_memory[name], expected[name], atol=1e-4, rtol=1e-4)
        for part in both[name]:
            torch.testing.assert_close(part, expected[name][0], atol=1e-4, rtol=1e-4)
    other = ZarrSlidingWindowInferer(**arguments, window_transform=NormalizeImage("zscore"), output=tmp_path / "out")
    with pytest.raises(ValueError, match="window_transform"):
        other(volume, network)


def test_spilling_changes_no_byte(tmp_path):
    volume, _ = make_volume(tmp_path / "in.zarr", (40, 30, 30))
    arguments = {
        "roi_size": (16, 12, 12),
        "overlap": 0.5,
        "targets": TARGETS,
        "activate": False,
        "chunk_size": 10,
        "block_size": 20,
    }
    free = ZarrSlidingWindowInferer(**arguments, output=tmp_path / "free")
    tight = ZarrSlidingWindowInferer(**arguments, output=tmp_path / "tight", memory_limit=100_000, scratch=tmp_path)
    a, b = free(volume, TwoOutputs()), tight(volume, TwoOutputs())
    assert free.totals.spilled_bytes == 0
    assert tight.totals.spilled_bytes > 0
    for name in TARGETS:
        assert np.array_equal(read(a[name]), read(b[name]))
    assert not list(tmp_path.glob("*.run"))


def test_empty_windows_are_skipped_and_count_for_nothing(tmp_path):
    data = np.zeros((1, 32, 32, 32), np.float32)
    data[:, 24:, 24:, 24:] = np.random.default_rng(0).normal(size=(1, 8, 8, 8))
    writer = create_ome_zarr(tmp_path / "in.zarr", data.shape, "float32", spacing=(1, 1, 1), chunks=(8, 8, 8))
    writer.write((0, 0, 0), data)
    network = TwoOutputs()
    inferer = ZarrSlidingWindowInferer(
        (8, 8, 8), 3, 0.0, "constant", output=tmp_path / "out", targets=TARGETS, activate=False, chunk_size=8
    )
    paths = inferer(open_volume(tmp_path / "in.zarr"), network)
    assert network.windows == inferer.totals.evaluated == 1
    assert inferer.totals.skipped == 63
    result = read(paths["sheet"])
    expected = network(torch.from_numpy(data[None, :, 24:, 24:, 24:]))["sheet"][0].detach().numpy()
    assert np.allclose(result[:, 24:, 24:, 24:], expected, atol=1e-6)
    assert np.abs(result).sum() == pytest.approx(np.abs(expected).sum(), rel=1e-5)
    assert len(open_volume(paths["sheet"]).stored_chunks()) == 1
    everything = ZarrSlidingWindowInferer(
        (8, 8, 8), 3, 0.0, output=tmp_path / "all", targets=TARGETS, activate=False, skip_empty=False
    )
    everything(open_volume(tmp_path / "in.zarr"), network)
    assert everything.totals.evaluated == 64


def test_a_constant_predictor_gives_its_constant_up_to_the_corners(tmp_path):
    volume, _ = make_volume(tmp_path / "in.zarr", (21, 17, 30))
    inferer = ZarrSlidingWindowInferer(
        (8, 9, 10), 2, 0.5, output=tmp_path / "out", targets={"a": {"channels": 2, "kind": "scalar"}}, skip_empty=False
    )
    paths = inferer(volume, lambda x: {"a": torch.full((len(x), 2, *x.shape[2:]), 0.7)})
    assert np.allclose(read(paths["a"]), 0.7, atol=1e-6)


def test_what_is_written_follows_the_kind(tmp_path):
    volume, _ = make_volume(tmp_path / "in.zarr", (20, 18, 22))
    targets = {**TARGETS, "parts": {"channels": 3}, "depth": {"channels": 1, "kind": "scalar"}}
    logits = {name: torch.randn(1, row["channels"], 20, 18, 22) for name, row in targets.items()}
    paths = ZarrSlidingWindowInferer((20, 18, 22), output=tmp_path / "out", targets=targets, levels=2)(
        volume, lambda x: logits
    )
    probability = torch.sigmoid(logits["sheet"][0]).numpy()
    assert np.array_equal(read(paths["sheet"]), np.rint(probability * 255).astype(np.uint8))
    unit = torch.nn.functional.normalize(logits["normals"], dim=1)[0].numpy()
    normals = open_volume(paths["normals"])
    assert normals.dtype == np.int8
    assert np.abs(normals.decode(read(paths["normals"])) - unit).max() <= 0.5 / 127 + 1e-6
    assert np.array_equal(read(paths["parts"])[0], logits["parts"][0].argmax(dim=0).numpy())
    assert open_volume(paths["parts"]).dtype == np.uint8
    assert np.allclose(read(paths["depth"]), logits["depth"][0].numpy(), rtol=1e-6)  # x weight / weight
    for path in paths.values():
        written = open_volume(path)
        assert written.spacing == volume.spacing
        assert written.translation == volume.translation
        assert written.unit == "um"
        coarse = open_volume(f"{path}::1")
        assert coarse.spatial_shape < written.spatial_shape


def test_probabilities_and_half_floats_on_request(tmp_path):
    volume, _ = make_volume(tmp_path / "in.zarr", (8, 8, 8))
    targets = {"parts": {"channels": 3}, "depth": {"channels": 1, "kind": "scalar"}}
    logits = {"parts": torch.randn(1, 3, 8, 8, 8), "depth": torch.randn(1, 1, 8, 8, 8)}
    paths = ZarrSlidingWindowInferer(
        (8, 8, 8), output=tmp_path / "out", targets=targets, class_output="probabilities", float_dtype="float16"
    )(volume, lambda x: logits)
    expected = np.rint(torch.softmax(logits["parts"], 1)[0].numpy() * 255)
    assert np.abs(read(paths["parts"]) - expected).max() == 0
    assert open_volume(paths["depth"]).dtype == np.float16


def test_output_targets_chooses_what_is_written(tmp_path):
    volume, _ = make_volume(tmp_path / "in.zarr", (8, 8, 8))
    arguments = {"roi_size": (8, 8, 8), "targets": TARGETS, "output": tmp_path / "{name}_out"}
    paths = ZarrSlidingWindowInferer(**arguments, output_targets=["normals"])(volume, TwoOutputs())
    assert paths == {"normals": str(tmp_path / "in_out.zarr" / "normals")}
    assert not (tmp_path / "in_out.zarr" / "sheet").exists()
    with pytest.raises(ValueError, match=r"output_targets \['sheets'\] are no targets; targets: sheet, normals"):
        ZarrSlidingWindowInferer(**arguments, output_targets=["sheets"])(volume, TwoOutputs())


class Stop(Exception):
    """Stands for a kill."""


def snapshot(folder):
    """Bytes of every file of a store."""
    folder = Path(folder)
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("stop_after", [1, 20, 60])
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(tmp_path, stop_after):
    volume, _ = make_volume(tmp_path / "in.zarr", (40, 30, 30))
    arguments = {
        "roi_size": (16, 12, 12),
        "overlap": 0.5,
        "targets": TARGETS,
        "chunk_size": 10,
        "block_size": (20, 10, 10),
    }
    whole = ZarrSlidingWindowInferer(**arguments, output=tmp_path / "whole")
    whole(volume, TwoOutputs())

    network, calls = TwoOutputs(), 0
    forward = network.forward

    def stopping(x):
        nonlocal calls
        calls += 1
        if calls > stop_after:
            raise Stop
        return forward(x)

    network.forward = stopping
    with pytest.raises(Stop):
        ZarrSlidingWindowInferer(**arguments, output=tmp_path / "cut")(volume, network)
    network.forward, network.windows = forward, 0
    again = ZarrSlidingWindowInferer(**arguments, output=tmp_path / "cut")
    again(volume, network)
    assert snapshot(tmp_path / "cut.zarr") == snapshot(tmp_path / "whole.zarr")
    assert network.windows == again.totals.evaluated == whole.totals.evaluated - again.totals.resumed
    # of each block that was begun at most the one in work, and the one being written, are computed again
    assert again.totals.resumed >= stop_after - 2 * 2**3


def test_a_finished_run_is_not_repeated(tmp_path):
    volume, _ = make_volume(tmp_path / "in.zarr", (20, 20, 20))
    inferer = ZarrSlidingWindowInferer((10, 10, 10), targets=TARGETS, output=tmp_path / "out")
    first = inferer(volume, TwoOutputs())
    network = TwoOutputs()
    assert inferer(volume, network) == first
    assert network.windows == 0
