"""Values of whole runs: against MONAI in memory, and against a loop over the windows that count."""

import itertools
import json
import logging
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map
from tests.inferers.runs import TARGETS, TwoOutputs, in_memory, make_volume, numbered, read, snapshot

from scripts.inferers import ZarrSlidingWindowInferer, window_grid
from scripts.volumes import CorruptChunkError, create_ome_zarr, open_volume

RAW = {"targets": TARGETS, "activate": False}
"""Float32 output as the network gives it."""


def by_hand(data, network, windows, roi, mode="gaussian"):
    """Weighted mean of the network's outputs for chosen windows, in float64, 0 where there is none.

    Args:
        data: C D H W.
        windows: first voxels, within the volume or beyond it.
        roi: z, y, x.
    """
    weight = compute_importance_map(roi, mode=mode, sigma_scale=0.125, dtype=torch.float32).numpy()
    padded = np.pad(data, [(0, 0), *[(r, r) for r in roi]])
    total = np.zeros((5, *padded.shape[1:]))
    for window in windows:
        here = (slice(None), *(slice(w + r, w + 2 * r) for w, r in zip(window, roi, strict=True)))
        with torch.no_grad():
            outputs = network(torch.from_numpy(padded[here])[None])
        both = np.concatenate([outputs["sheet"][0], outputs["normals"][0]])
        total[here] += np.concatenate([both * weight, weight[None]])
    total = total[:, *(slice(r, -r) for r in roi)]
    mean = total[:4] / np.where(total[4] > 0, total[4], 1)
    return {"sheet": mean[:1], "normals": mean[1:]}


def windows_of(shape, roi, overlap):
    return list(itertools.product(*(axis.tolist() for axis in window_grid(shape, roi, (overlap,) * 3).starts)))


@st.composite
def cases(draw):
    shape = draw(st.tuples(*[st.integers(2, 22)] * 3))
    chunk = draw(st.tuples(*[st.integers(3, 14)] * 3))
    region = None
    if draw(st.booleans()):
        first = tuple(draw(st.integers(0, n - 1)) for n in shape)
        region = [first, tuple(draw(st.integers(low + 1, n)) for low, n in zip(first, shape, strict=True))]
    return {
        "shape": shape,
        "input_chunks": draw(st.tuples(*[st.integers(3, 16)] * 3)),
        "roi": draw(st.tuples(*[st.integers(3, 12)] * 3)),
        "overlap": draw(st.sampled_from([0.0, 0.25, 0.5, 0.7])),
        "batch": draw(st.integers(1, 5)),
        "channels": draw(st.integers(1, 2)),
        "mode": draw(st.sampled_from(["constant", "gaussian"])),
        "chunk": chunk,
        "block": tuple(c * draw(st.integers(1, 3)) for c in chunk),
        "region": region,
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_any_layout_gives_what_monai_gives_and_sees_each_window_once(tmp_path_factory, case):
    folder, roi, region = tmp_path_factory.mktemp("run"), case["roi"], case["region"]
    data = numbered(case["shape"], case["channels"])
    volume = make_volume(folder / "in.zarr", data, case["input_chunks"])
    reference = TwoOutputs(case["channels"])
    expected = in_memory(data, reference, roi, case["overlap"], case["mode"])
    network = TwoOutputs(case["channels"])
    inferer = ZarrSlidingWindowInferer(
        roi,
        case["batch"],
        case["overlap"],
        case["mode"],
        output=folder / "out",
        skip_empty=False,
        chunk_size=case["chunk"],
        block_size=case["block"],
        **RAW,
    )
    paths = inferer(volume, network, region=region)
    first, stop = region or ((0, 0, 0), case["shape"])
    cut = tuple(slice(low, high) for low, high in zip(first, stop, strict=True))
    for name, path in paths.items():
        np.testing.assert_allclose(read(path), expected[name][:, *cut], atol=1e-5)
        assert open_volume(path).translation == first
    if region is None:
        assert sorted(network.seen) == sorted(reference.seen)
    else:  # a part of the windows, each once
        assert len(set(network.seen)) == len(network.seen)
        assert set(network.seen) <= set(reference.seen)
    assert inferer.totals.evaluated == inferer.totals.windows == len(network.seen)


def test_a_region_lies_where_it_was_cut(tmp_path):
    options = {"spacing": (3.0, 1.0, 1.5), "translation": (10.0, -2.0, 0.5), "unit": "um"}
    volume = make_volume(tmp_path / "in.zarr", numbered((20, 18, 16)), **options)
    inferer = ZarrSlidingWindowInferer((8, 8, 8), output=tmp_path / "out", targets=TARGETS)
    written = open_volume(inferer(volume, TwoOutputs(), region=[[4, 0, 10], [20, 7, 16]])["sheet"])
    assert written.spatial_shape == (16, 7, 6)
    assert (written.spacing, written.translation, written.unit) == ((3, 1, 1.5), (22.0, -2.0, 15.5), "um")


SHAPES = [(21, 17, 30), (5, 6, 7), (3, 40, 9)]
"""The second one is smaller than a window, the third one along two axes."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activate", [False, True])
@pytest.mark.parametrize(("constant", "tolerance"), [(0.5, 0), (-1024.0, 0), (0.7, 2e-6)])
def test_a_constant_predictor_gives_its_constant_up_to_the_corners(tmp_path, shape, activate, constant, tolerance):
    volume = make_volume(tmp_path / "in.zarr", numbered(shape))
    inferer = ZarrSlidingWindowInferer(
        (8, 9, 10),
        2,
        0.5,
        output=tmp_path / "out",
        targets={"depth": {"channels": 2, "kind": "scalar"}},
        activate=activate,
        skip_empty=False,
        chunk_size=7,
        block_size=7,
    )
    paths = inferer(volume, lambda x: {"depth": torch.full((len(x), 2, *x.shape[2:]), constant)})
    # what is no power of two is rounded when it is weighted
    np.testing.assert_allclose(read(paths["depth"]), np.full((2, *shape), constant, np.float32), rtol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_constants_that_are_rounded_when_written_are_exact(tmp_path, shape):
    """A probability, a class, a normal, and a half float: one value each, everywhere."""
    volume = make_volume(tmp_path / "in.zarr", numbered(shape))
    targets = {
        "sheet": {"channels": 1},
        "parts": {"channels": 4},
        "normals": {"channels": 3, "kind": "normal"},
        "depth": {"channels": 1, "kind": "scalar"},
    }
    logits = {"sheet": [math.log(4)], "parts": [0.1, 0.3, 0.2999, -5], "normals": [3.0, 0.0, -4.0], "depth": [0.7]}

    def network(x):
        return {
            name: torch.tensor(row).reshape(1, -1, 1, 1, 1).expand(len(x), -1, *x.shape[2:])
            for name, row in logits.items()
        }

    inferer = ZarrSlidingWindowInferer(
        (8, 9, 10), 3, 0.5, output=tmp_path / "out", targets=targets, float_dtype="float16", chunk_size=6, block_size=12
    )
    paths = inferer(volume, network)
    expected = {"sheet": [204], "parts": [1], "normals": [76, 0, -102], "depth": [np.float16(0.7)]}
    for name, path in paths.items():
        values = np.array(expected[name]).reshape(-1, 1, 1, 1)
        np.testing.assert_array_equal(read(path), np.broadcast_to(values, (len(values), *shape)))


@pytest.mark.parametrize("fill", [0.0, 7.0, math.nan, -math.inf])
@pytest.mark.parametrize("shape", [(24, 20, 30), (6, 33, 30)])
def test_windows_of_nothing_but_the_fill_value_are_skipped(tmp_path, fill, shape):
    """Also where a chunk is stored that holds only the fill value, and where a window reaches beyond the volume."""
    data = np.full((1, *shape), fill, np.float32)
    data[:, 2:5, 8:13, 20:24] = np.random.default_rng(0).normal(size=(3, 5, 4))
    data[:, 5:6, 5:6, 0:1] = 0.25
    roi, chunks = (8, 8, 8), (6, 6, 6)
    writer = create_ome_zarr(
        tmp_path / "in.zarr", data.shape, "float32", spacing=(1, 1, 1), chunks=chunks, fill_value=fill
    )
    writer.write((0, 0, 0), data)
    volume = open_volume(tmp_path / "in.zarr")

    class Finite(TwoOutputs):
        def forward(self, x):
            return super().forward(torch.nan_to_num(x, nan=0.5, posinf=0.5, neginf=0.5))

    is_stored = ~np.isnan(data[0]) if math.isnan(fill) else data[0] != fill
    windows = windows_of(shape, roi, 0.5)
    wanted = [w for w in windows if is_stored[tuple(slice(max(s, 0), s + 8) for s in w)].any()]
    inferer = ZarrSlidingWindowInferer(roi, 2, 0.5, output=tmp_path / "out", chunk_size=5, block_size=10, **RAW)
    paths = inferer(volume, Finite())
    totals = inferer.totals
    assert (totals.windows, totals.evaluated) == (len(windows), len(wanted))
    assert totals.skipped == len(windows) - len(wanted) > 0
    expected = by_hand(data, Finite(), wanted, roi)
    for name, path in paths.items():
        np.testing.assert_allclose(read(path), expected[name], atol=1e-5)


@pytest.mark.parametrize("outside", [0, 1])
@pytest.mark.parametrize("region", [None, [[3, 5, 0], [25, 20, 17]]])
@pytest.mark.parametrize("skip_empty", [True, False])
def test_windows_outside_the_mask_are_skipped(tmp_path, outside, region, skip_empty):
    """The mask has voxels of twice the size, and its store leaves out most of them."""
    shape, roi = (26, 24, 20), (8, 8, 8)
    data = numbered(shape)
    volume = make_volume(tmp_path / "in.zarr", data)
    coarse = np.full((13, 12, 10), outside, np.uint8)
    coarse[:7, :6, :5] = 0
    coarse[5, 4, 1] = 200
    make_volume(
        tmp_path / "mask.zarr", coarse[None], (3, 3, 3), spacing=(2, 2, 2), translation=(0.5,) * 3, fill_value=outside
    )
    mask = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    first, stop = region or ((0, 0, 0), shape)
    windows = [
        w
        for w in windows_of(shape, roi, 0.5)
        if all(s < high and s + 8 > low for s, low, high in zip(w, first, stop, strict=True))
    ]
    wanted = [w for w in windows if mask[tuple(slice(s, s + 8) for s in w)].any()]
    assert 0 < len(wanted) < len(windows)
    network = TwoOutputs()
    inferer = ZarrSlidingWindowInferer(
        roi, 3, 0.5, output=tmp_path / "out", skip_empty=skip_empty, chunk_size=5, block_size=10, **RAW
    )
    paths = inferer(volume, network, region=region, mask=str(tmp_path / "mask.zarr"))
    assert (inferer.totals.windows, inferer.totals.evaluated) == (len(windows), len(wanted))
    assert inferer.totals.skipped == len(windows) - len(wanted)
    cut = tuple(slice(low, high) for low, high in zip(first, stop, strict=True))
    expected = by_hand(data, TwoOutputs(), wanted, roi)
    for name, path in paths.items():
        np.testing.assert_allclose(read(path), expected[name][:, *cut], atol=1e-5)


def test_a_mask_of_another_shape_is_refused(tmp_path):
    volume = make_volume(tmp_path / "in.zarr", numbered((20, 18, 16)))
    mask = make_volume(tmp_path / "mask.zarr", np.ones((1, 10, 9, 8), np.uint8))
    inferer = ZarrSlidingWindowInferer((8, 8, 8), output=tmp_path / "out", **RAW)
    with pytest.raises(ValueError, match=r"mask .*mask\.zarr has shape \(10, 9, 8\), the image \(20, 18, 16\)"):
        inferer(volume, TwoOutputs(), mask=mask)


@pytest.fixture
def volume(tmp_path):
    return make_volume(tmp_path / "in.zarr", numbered((40, 30, 30)))


SPILLING = {**RAW, "roi_size": (16, 12, 12), "overlap": 0.5, "chunk_size": 10, "block_size": 20}


@pytest.mark.parametrize("memory_limit", [1, 60_000, 200_000])
def test_sums_beyond_the_limit_are_read_back_and_change_no_byte(tmp_path, volume, memory_limit):
    free = ZarrSlidingWindowInferer(**SPILLING, output=tmp_path / "free")
    tight = ZarrSlidingWindowInferer(**SPILLING, output=tmp_path / "tight", memory_limit=memory_limit)
    free(volume, TwoOutputs())
    tight(volume, TwoOutputs())
    assert free.totals.spilled_bytes == 0
    assert tight.totals.spilled_bytes > 0
    assert snapshot(tmp_path / "tight.zarr") == snapshot(tmp_path / "free.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "free.json",
        "free.zarr",
        "in.zarr",
        "tight.json",
        "tight.zarr",
    ]


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_sums_that_wait_lie_where_scratch_says_and_leave_when_they_are_used(tmp_path, volume, is_elsewhere):
    seen = []

    def network(x):
        here, there = list(tmp_path.glob("out.run")), list((tmp_path / "fast").glob("out-*.run"))
        seen.append((bool(here), bool(there), len(list((there if is_elsewhere else here)[0].glob("sums/*")))))
        return TwoOutputs()(x)

    inferer = ZarrSlidingWindowInferer(
        **{**SPILLING, "block_size": 10},
        output=tmp_path / "out",
        scratch=tmp_path / "fast" if is_elsewhere else None,
    )
    inferer(volume, network)
    assert {row[:2] for row in seen} == {(not is_elsewhere, is_elsewhere)}
    sums = [row[2] for row in seen]
    assert max(sums) > sums[0] == 0
    assert sums[-1] < max(sums)  # those of the blocks before are gone
    assert list(tmp_path.glob("**/*.run")) == []


def test_an_input_chunk_is_decoded_once_where_the_cache_holds_it(tmp_path, volume):
    inferer = ZarrSlidingWindowInferer(**SPILLING, output=tmp_path / "out")
    inferer(volume, TwoOutputs())
    assert inferer.totals.bytes_read == 40 * 30 * 30 * 4


def corrupt(folder, key):
    (folder / "0" / "c" / key).write_bytes(b"no chunk")


def test_a_damaged_chunk_is_named_or_counts_as_empty_on_request(tmp_path):
    data = numbered((20, 18, 22))
    make_volume(tmp_path / "in.zarr", data)
    corrupt(tmp_path / "in.zarr", "1/0/2")
    volume = open_volume(tmp_path / "in.zarr")
    arguments = {**RAW, "roi_size": 10, "overlap": 0.5, "output": tmp_path / "out", "block_size": 10, "chunk_size": 10}
    with pytest.raises(CorruptChunkError, match=r"in\.zarr/0: chunk 'c/1/0/2' .*cannot be read"):
        ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    inferer = ZarrSlidingWindowInferer(**arguments, on_bad_chunk="fill", overwrite=True)
    paths = inferer(volume, TwoOutputs())
    (fault,) = inferer.totals.bad_chunks
    assert "c/1/0/2" in fault
    data[:, 8:16, 0:8, 16:22] = 0
    expected = in_memory(data, TwoOutputs(), (10, 10, 10), 0.5)
    for name, path in paths.items():
        np.testing.assert_allclose(read(path), expected[name], atol=1e-5)


def test_a_line_and_a_file_say_what_the_run_came_to(tmp_path, caplog):
    data = numbered((24, 24, 24))
    data[:, :16] = 0
    volume = make_volume(tmp_path / "in.zarr", data)
    caplog.set_level(logging.INFO)
    network = TwoOutputs()
    inferer = ZarrSlidingWindowInferer(8, 2, 0.5, output=tmp_path / "{name}_out", chunk_size=8, block_size=8, **RAW)
    inferer(volume, network)
    report = json.loads((tmp_path / "in_out.json").read_text())
    # starts 0, 4 ... 16, of which 12 and 16 see voxel 16 and what follows
    assert (report["windows"], report["evaluated"], report["skipped"], report["resumed"]) == (125, 50, 75, 0)
    assert len(network.seen) == 50
    assert report["bytes_read"] == 2 * 24 * 24 * 8 * 4  # of three layers of chunks those that these windows touch
    assert report["bytes_written"] == 2 * 24 * 24 * 8 * (1 + 3) * 4
    assert report["chunks_written"] == 2 * 3 * 3
    assert report["bad_chunks"] == []
    assert report["seconds"] > 0
    assert report["peak_memory_bytes"] > 1e7
    assert report["input"] == str(tmp_path / "in.zarr")
    assert report["outputs"] == {name: str(tmp_path / "in_out.zarr" / name) for name in TARGETS}
    assert report["settings"]["roi_size"] == [8, 8, 8]
    (line,) = [record.getMessage() for record in caplog.records if " -> " in record.getMessage()]
    assert line.startswith(
        f"{volume.path} -> {tmp_path}/in_out.zarr: 125 windows, 50 evaluated, 75 skipped, 0 resumed, "
    )
