"""Blocks of any size give the numbers of the whole array; what is empty is not read; processes change nothing."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import adapted_rand_error
from skimage.metrics import variation_of_information as skimage_voi
from tests.workflows.evaluation_stores import PROBABILITY, blocky, opened, store

from scripts.blockwise import DaskWorkers, Threads
from scripts.metrics import R2, CalibrationError, EndPointError
from scripts.volumes import Volume, create_ome_zarr, open_volume
from scripts.workflows.evaluation.job import ScoreJob, block_box, block_step, run_job
from scripts.workflows.evaluation.measures import measures_of, parse_measures
from scripts.workflows.evaluation.tally import numbers

SHAPE = (12, 11, 13)


@pytest.fixture
def write(tmp_path):
    def write_one(name, array, **options):
        return store(tmp_path / f"{name}.zarr", array, **options)

    return write_one


def measured(case, names, block_voxels=2**21, workers=None):
    """Numbers of the first prediction."""
    measures = measures_of(case.kind, parse_measures(names))
    (tallies,) = run_job(ScoreJob([case], measures, block_voxels=block_voxels), workers)
    return numbers(tallies[:1], case.kind, measures)[0]


def reads(monkeypatch):
    """Start and size of every read."""
    found, read = [], Volume.read

    def note(volume, start, size, **kwargs):
        found.append((tuple(start), tuple(size)))
        return read(volume, start, size, **kwargs)

    monkeypatch.setattr(Volume, "read", note)
    return found


@pytest.mark.parametrize("block_voxels", [1, 50, 64, 300, 2**21])
@pytest.mark.parametrize("region", [None, ((1, 0, 5), (10, 11, 12))])
def test_objects_of_blocks_are_those_of_the_whole(write, block_voxels, region):
    truth, prediction = blocky(1, SHAPE), blocky(2, SHAPE)
    inside = tuple(slice(a, b) for a, b in zip(*(region or ((0, 0, 0), SHAPE)), strict=True))
    case = opened(write("t", truth), write("p", prediction), kind="instance", region=region)
    found = measured(case, ["voi", "rand", "dice"], block_voxels)
    expected = skimage_voi(truth[inside], prediction[inside], ignore_labels=(0,))
    assert (found["voi_split"], found["voi_merge"]) == pytest.approx(tuple(expected))
    error = adapted_rand_error(truth[inside], prediction[inside], ignore_labels=(0,))[0]
    assert found["rand_error"] == pytest.approx(error)
    a, b = truth[inside] != 0, prediction[inside] != 0
    assert found["dice"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("block_voxels", [64, 2**21])
def test_unknown_voxels_of_any_block_count_nowhere(write, block_voxels):
    truth, prediction = blocky(3, SHAPE, dtype=np.int16), blocky(4, SHAPE)
    mask = np.random.default_rng(5).integers(0, 2, SHAPE).astype(np.uint8)
    known = (mask != 0) & (truth != 4) & (truth != 7)
    stored = np.where(truth == 7, -2, truth)
    case = opened(
        write("t", stored), write("p", prediction), kind="instance", mask=write("m", mask), ignore_label=4
    )  # fmt: skip
    expected = skimage_voi(truth[known], prediction[known], ignore_labels=(0,))
    assert measured(case, ["voi"], block_voxels)["voi"] == pytest.approx(sum(expected))


@pytest.mark.parametrize("block_voxels", [64, 500])
def test_ids_beyond_32_bits_stay_apart(write, block_voxels):
    rename = np.array([0, *(2**63 + np.arange(1, 10, dtype=np.uint64))], np.uint64)
    truth, prediction = blocky(6, SHAPE), blocky(7, SHAPE)
    plain = measured(opened(write("t", truth), write("p", prediction), metrics="voi"), ["voi", "f1"], block_voxels)
    large = opened(write("tl", rename[truth]), write("pl", rename[prediction]), metrics="voi")
    assert measured(large, ["voi", "f1"], block_voxels) == plain


def test_a_resampled_prediction_is_read_block_by_block(write):
    """Each voxel of the prediction is two of the truth along every axis, so that a copy of it is the truth."""
    fine = blocky(8, (6, 6, 6)).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    truth = write("t", fine, spacing=(1, 1, 1))
    coarse = write("p", fine[::2, ::2, ::2], spacing=(2, 2, 2), translation=(0.5, 0.5, 0.5))
    for block_voxels in (64, 2**21):
        assert measured(opened(truth, coarse, metrics="voi"), ["voi", "f1"], block_voxels)["voi"] == 0
    shifted = write("s", fine[::2, ::2, ::2], spacing=(2, 2, 2), translation=(2.5, 0.5, 0.5))
    moved = np.zeros_like(fine)
    moved[2:] = fine[:-2]
    expected = skimage_voi(fine, moved, ignore_labels=(0,))
    assert measured(opened(truth, shifted, metrics="voi"), ["voi"], 64)["voi"] == pytest.approx(sum(expected))


@pytest.mark.parametrize("block_voxels", [64, 2**21])
def test_probabilities_are_calibrated_over_all_blocks(write, block_voxels):
    stored = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    truth = blocky(9, SHAPE, zeros=0.6, dtype=np.int16)
    truth[0] = -1
    case = opened(write("t", truth), write("p", stored, encoding=PROBABILITY), metrics="ece")
    oracle = CalibrationError()
    oracle.update(torch.from_numpy(stored / np.float32(255))[None, None], torch.from_numpy(truth)[None, None])
    assert measured(case, ["ece"], block_voxels)["ece"] == pytest.approx(oracle.compute()["ece"], abs=1e-6)


@pytest.mark.parametrize("block_voxels", [64, 2**21])
def test_errors_of_numbers_add_up(write, block_voxels):
    random = np.random.default_rng(1)
    truth, prediction = random.normal(size=(2, 3, *SHAPE)).astype(np.float32)
    truth[:, 2, 3] = np.nan
    case = opened(write("t", truth), write("p", prediction), kind="vector", metrics="epe")
    found = measured(case, ["mae", "r2", "epe", "angle"], block_voxels)
    known = np.isfinite(truth)
    assert found["mae"] == pytest.approx(np.abs(truth - prediction)[known].mean())
    for metric in (R2(), EndPointError()):
        metric.update(torch.from_numpy(prediction)[None], torch.from_numpy(truth)[None])
        (name,) = metric.compute()
        assert found[name] == pytest.approx(metric.compute()[name])
    a, b = truth[:, known[0]].astype(float), prediction[:, known[0]].astype(float)
    cosine = (a * b).sum(0) / np.linalg.norm(a, axis=0) / np.linalg.norm(b, axis=0)
    assert found["angle"] == pytest.approx(np.median(np.degrees(np.arccos(cosine))), abs=0.06)


def test_blocks_are_chunks_and_bounded(write):
    case = opened(write("t", blocky(0, SHAPE), chunks=(4, 5, 6)), write("p", blocky(1, SHAPE)), metrics="voi")
    assert block_step(case, 2**21) == SHAPE
    assert block_step(case, 4 * 5 * 12) == (4, 5, 12)
    assert block_step(case, 4 * 5 * 6) == (4, 5, 6)
    step = block_step(case, 50)
    assert math.prod(step) <= 50
    assert block_box(case, (8, 10, 12), 4 * 5 * 6) == ((8, 10, 12), (4, 1, 1))
    part = opened(write("t2", blocky(0, SHAPE), chunks=(4, 5, 6)), None, metrics="voi", region=((1, 2, 3), (5, 6, 7)))
    assert block_box(part, (0, 0, 0), 4 * 5 * 6) == ((1, 2, 3), (3, 3, 3))


def test_a_block_is_all_that_is_held(write, monkeypatch):
    case = opened(write("t", blocky(0, SHAPE)), write("p", blocky(1, SHAPE)), metrics="voi")
    found = reads(monkeypatch)
    measured(case, ["voi"], 64)
    assert max(math.prod(size) for _, size in found) <= 64
    assert sum(math.prod(size) for _, size in found) == 2 * math.prod(SHAPE)


def sparse(tmp_path, name, *corners):
    """A huge store that holds a few voxels."""
    path = tmp_path / f"{name}.zarr"
    writer = create_ome_zarr(path, (1, 4096, 4096, 4096), np.uint16, spacing=(1, 1, 1), unit="nm", chunks=(64, 64, 64))
    for n, corner in enumerate(corners, start=1):
        writer.write(corner, np.full((1, 64, 64, 64), n, np.uint16))
    return writer.finish()


def test_where_nothing_is_stored_nothing_is_read(tmp_path, monkeypatch):
    """Of two true objects one is found, and one is predicted elsewhere; 4096^3 voxels would take days."""
    truth = sparse(tmp_path, "t", (0, 0, 0), (2048, 64, 4032))
    prediction = sparse(tmp_path, "p", (0, 0, 0), (4032, 4032, 4032))
    case = opened(truth, prediction, metrics="f1")
    found = reads(monkeypatch)
    measures = parse_measures(["f1", "dice"])
    ((tally,),) = run_job(ScoreJob([case], measures))
    assert numbers([tally], "instance", measures)[0]["f1@0.5"] == 0.5
    assert numbers([tally], "instance", measures)[0]["dice"] == 0.5
    assert tally.voxels == tally.table.voxels.sum() == 4096**3
    assert len(found) == 2 * 3


@pytest.mark.parametrize("fill_value", [0, 5])
def test_what_is_not_stored_but_counts_is_read(tmp_path, fill_value):
    """Chunks that are left out hold the fill value."""
    truth = store(tmp_path / "t.zarr", np.full(SHAPE, fill_value, np.uint8), fill_value=fill_value)
    prediction = store(tmp_path / "p.zarr", np.full(SHAPE, 5, np.uint8), fill_value=fill_value)
    assert (len(open_volume(truth).stored_chunks()) == 0) or fill_value == 0
    found = measured(opened(truth, prediction, kind="semantic"), ["dice"], 64)
    assert found["dice"] == (1 if fill_value else 0)


@pytest.mark.parametrize("kind", ["semantic", "scalar"])
def test_where_the_truth_is_unknown_nothing_is_read(tmp_path, monkeypatch, kind):
    """One chunk of the truth is stored; everything else is -1, or NaN."""
    dtype, fill_value = (np.int8, -1) if kind == "semantic" else (np.float32, np.nan)
    writer = create_ome_zarr(
        tmp_path / "t.zarr", (1, *SHAPE), dtype, spacing=(1, 1, 1), unit="nm", chunks=(4, 4, 4), fill_value=fill_value
    )
    writer.write((4, 4, 4), np.ones((1, 4, 4, 4), dtype))
    case = opened(writer.finish(), store(tmp_path / "p.zarr", np.ones(SHAPE, dtype)), kind=kind)
    found = reads(monkeypatch)
    assert measured(case, ["dice", "mae"], 64) == ({"dice": 1} if kind == "semantic" else {"mae": 0})
    assert found == [((4, 4, 4), (4, 4, 4))] * 2


def test_empty_stores_that_are_calibrated_are_read(tmp_path):
    empty = store(tmp_path / "t.zarr", np.zeros(SHAPE, np.uint8))
    prediction = store(tmp_path / "p.zarr", np.zeros(SHAPE, np.uint8), encoding=PROBABILITY)
    assert measured(opened(empty, prediction), ["ece", "dice"]) == {"ece": 0, "dice": 1}


def test_the_worst_blocks_are_known(write):
    truth = np.ones(SHAPE, np.uint8)
    prediction = truth.copy()
    prediction[5, 1, 10:], prediction[9, 9, 2] = 0, 0
    case = opened(write("t", truth), write("p", prediction))
    ((tally,),) = run_job(ScoreJob([case], parse_measures(["dice"]), block_voxels=64))
    assert tally.worst == [(2.0, (4, 0, 8)), (1.0, (4, 0, 12)), (1.0, (8, 8, 0))]


@pytest.mark.usefixtures("prepared_workers")
@pytest.mark.parametrize("workers", [Threads(3), DaskWorkers(n_workers=1)], ids=["threads", "another process"])
def test_several_workers_find_the_same(write, workers):
    random = np.random.default_rng(3)
    values, other = random.normal(size=(2, 3, *SHAPE)).astype(np.float32)
    vectors = opened(write("tv", values), write("pv", other), kind="vector", metrics="epe")
    objects = opened(write("t", blocky(1, SHAPE)), write("p", blocky(2, SHAPE)), None, kind="instance", label="nuc")
    measures = parse_measures(["r2", "epe", "voi", "cellmap", "assd"])
    job = ScoreJob([vectors, objects], measures, block_voxels=200)
    alone, shared = run_job(job), run_job(job, workers)
    for case, one, two in zip(job.cases, alone, shared, strict=True):
        wanted = measures_of(case.kind, measures)
        for a, b in zip(one, two, strict=True):
            assert numbers([a], case.kind, wanted) == numbers([b], case.kind, wanted)
            assert (a.voxels, a.worst, a.surfaces) == (b.voxels, b.worst, b.surfaces)
