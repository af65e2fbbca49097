"""Sampling against SciPy's, and unknown voxels, exact ids and borders by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from scripts.geometry.rotations import turn_and_scale
from scripts.geometry.sampling import IndexMap, Reading, resample

NAN = float("nan")
SHAPE, SIZE = (17, 21, 19), (12, 9, 14)
TURNED = turn_and_scale((25, -10, 15), (1.1, 1.1, 1.1), (2, 1, 1))
ZOOMED = turn_and_scale((0, 0, 0), (0.7, 1.3, 1.0), (1, 1, 1))
ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}


def centred(linear, shape=SHAPE, size=SIZE, shift=None):
    """A map that keeps the centre where it is, a little aside so that no position lies between two voxels."""
    last_old, last_new = (torch.tensor(n, dtype=torch.float64) - 1 for n in (shape, size))
    return IndexMap(linear, last_old / 2 - linear @ last_new / 2 + 0.013, tuple(size), shift)


def positions(index_map):
    index = np.stack(np.meshgrid(*(np.arange(n) for n in index_map.size), indexing="ij"))
    places = np.einsum("ij,j...->i...", index_map.linear.numpy(), index)
    places += index_map.offset.numpy().reshape(-1, *[1] * len(index_map.size))
    return places if index_map.shift is None else places + index_map.shift.numpy()


def smooth(shape, channels=1, seed=0):
    noise = np.random.default_rng(seed).normal(size=(channels, *shape))
    return torch.from_numpy(ndimage.gaussian_filter(noise, (0, *[1.5] * len(shape)))).float()


def shift_of(size, seed=3):
    return 2 * smooth(size, len(size), seed)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("linear", [TURNED, ZOOMED], ids=["turned", "zoomed"])
@pytest.mark.parametrize("mode", ORDERS)
def test_every_mode_is_scipys(mode, linear, shifted):
    index_map = centred(linear, shift=shift_of(SIZE) if shifted else None)
    values = smooth(SHAPE, 2)
    (found,) = resample([Reading(values, mode)], index_map)
    border = "mirror" if mode == "cubic" else "nearest"
    at = np.clip(positions(index_map), 0, np.array(SHAPE).reshape(3, 1, 1, 1) - 1)
    for channel, result in zip(values.double().numpy(), found, strict=True):
        expected = ndimage.map_coordinates(channel, at, order=ORDERS[mode], mode=border)
        np.testing.assert_allclose(result, expected, atol=2e-5)


@pytest.mark.parametrize("mode", ORDERS)
def test_two_dimensions(mode):
    shape, size = (15, 18), (10, 11)
    index_map = centred(turn_and_scale([35], (1.2, 1.2), (1, 2)), shape, size)
    (found,) = resample([Reading(smooth(shape), mode)], index_map)
    at = np.clip(positions(index_map), 0, np.array(shape).reshape(2, 1, 1) - 1)
    expected = ndimage.map_coordinates(smooth(shape)[0].double().numpy(), at, order=ORDERS[mode], mode="mirror")
    np.testing.assert_allclose(found[0], expected, atol=2e-5)


@pytest.mark.parametrize("mode", [*ORDERS, "one_hot"])
def test_the_identity_changes_nothing(mode):
    values = smooth(SHAPE).mul(20).round()
    identity = IndexMap(torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), SHAPE)
    still = IndexMap(identity.linear, identity.offset, SHAPE, torch.zeros(3, *SHAPE))  # the way without short cuts
    values = values.abs() if mode == "one_hot" else values
    for index_map in (identity, still):
        (found,) = resample([Reading(values, mode)], index_map)
        torch.testing.assert_close(found, values, rtol=0, atol=1e-4 if mode == "cubic" else 2e-5)


@pytest.mark.parametrize("linear", [TURNED, ZOOMED], ids=["turned", "zoomed"])
def test_ids_beyond_float32_stay_exact(linear):
    labels = 2**40 + torch.arange(np.prod(SHAPE)).reshape(1, *SHAPE)
    index_map = centred(linear)
    (found,) = resample([Reading(labels, "nearest")], index_map)
    last = np.array(SHAPE).reshape(3, 1, 1, 1) - 1
    index = np.clip(np.floor(positions(index_map) + 0.5), 0, last).astype(int)
    assert found.dtype == torch.int64
    assert np.array_equal(found[0], labels[0].numpy()[tuple(index)])


@pytest.mark.parametrize("linear", [TURNED * 1.5, ZOOMED * 1.5], ids=["turned", "zoomed"])
def test_outside_is_where_no_voxel_is(linear):
    index_map = centred(linear, size=SHAPE)
    ones = torch.ones(1, *SHAPE)
    number, label, image = resample(
        [Reading(ones, "linear", NAN), Reading(ones.int(), "nearest", -1), Reading(ones, "linear")], index_map
    )
    places = positions(index_map)
    beyond = ((places < -0.5) | (places > np.array(SHAPE).reshape(3, 1, 1, 1) - 0.5)).any(axis=0)
    assert 0.1 < beyond.mean() < 0.9
    assert np.array_equal(number[0].isnan().numpy(), beyond)
    assert np.array_equal((label[0] == -1).numpy(), beyond)
    torch.testing.assert_close(image, torch.ones_like(image))


@pytest.mark.parametrize("linear", [TURNED, ZOOMED], ids=["turned", "zoomed"])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_unknown_voxels_do_not_bleed(mode, linear):
    """A constant beside unknown voxels stays that constant, and what is unknown is so to the nearest voxel."""
    known = torch.from_numpy(np.random.default_rng(1).random((1, *SHAPE)) < 0.8)
    known[:, 3:7, 4:9] = False
    values = torch.where(known, 5.0, NAN).repeat(2, 1, 1, 1)
    values[1] = torch.where(known[0], 7.0, float("inf"))
    index_map = centred(linear)
    found, nearest = resample([Reading(values, mode), Reading(known.int(), "nearest")], index_map)
    for channel, constant in zip(found, (5.0, 7.0), strict=True):
        assert torch.equal(~channel.isnan(), nearest[0] == 1)
        torch.testing.assert_close(channel[nearest[0] == 1], torch.full_like(channel, constant)[nearest[0] == 1])


@pytest.mark.parametrize("axis", range(3))
def test_a_zero_vector_stays_zero_and_shortens_no_other_place(axis):
    field = torch.zeros(3, *SHAPE)
    field[axis, 6:] = 1.0
    field[:, :3] = NAN
    kinds = field[axis][None].nan_to_num(2).int()
    found, nearest = resample([Reading(field, "linear", keep_zero=True), Reading(kinds, "nearest")], centred(TURNED))
    assert {0, 1, 2} == set(nearest.unique().tolist())
    assert torch.equal(found.isnan().all(dim=0), nearest[0] == 2)
    assert torch.equal((found == 0).all(dim=0), nearest[0] == 0)
    assert (found[axis][nearest[0] == 1] >= 0.49).all()


def test_one_hot_takes_the_largest_share():
    """Against shares that SciPy interpolates class by class."""
    labels = smooth(SHAPE, seed=5).mul(20).abs().round().int()
    index_map = centred(TURNED)
    (found,) = resample([Reading(labels, "one_hot")], index_map)
    at = np.clip(positions(index_map), 0, np.array(SHAPE).reshape(3, 1, 1, 1) - 1)
    ids = labels.unique().numpy()
    shares = [ndimage.map_coordinates((labels[0].numpy() == i).astype(float), at, order=1) for i in ids]
    clear = np.sort(shares, axis=0)[-1] - np.sort(shares, axis=0)[-2] > 1e-4
    assert len(ids) > 3
    assert clear.mean() > 0.9
    assert np.array_equal(found[0].numpy()[clear], ids[np.argmax(shares, axis=0)][clear])
    (nearest,) = resample([Reading(labels, "nearest")], index_map)
    assert not torch.equal(found, nearest)


def test_one_hot_between_two_labels_takes_the_smaller_and_leaves_unknown_alone():
    half = IndexMap(torch.eye(1, dtype=torch.float64).repeat(2, 2) * torch.eye(2), torch.tensor([0.0, 0.5]), (1, 3))
    labels = torch.tensor([[[4, 2, -1, 3]]])
    (found,) = resample([Reading(labels, "one_hot")], half)
    assert found.tolist() == [[[2, -1, 3]]]  # halves are rounded up: the nearest of the second is unknown


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    size=st.tuples(*[st.integers(1, 9)] * 3),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    factor=st.floats(0.3, 3),
)
def test_a_plane_stays_a_plane(shape, size, angles, factor):
    """Any affine map of any box: a linear function is sampled exactly inside, and continued at the border."""
    index_map = centred(turn_and_scale(angles, (factor,) * 3, (1, 1, 1)), shape, size)
    index = torch.stack(torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")).double()
    slope = torch.tensor([0.3, -0.7, 1.1]).reshape(3, 1, 1, 1).double()
    (found,) = resample([Reading((slope * index).sum(dim=0, keepdim=True).float())], index_map)
    at = np.clip(positions(index_map), 0, np.array(shape).reshape(3, 1, 1, 1) - 1)
    np.testing.assert_allclose(found[0], (slope.numpy() * at).sum(axis=0), atol=1e-4)


def test_arrays_that_do_not_fit():
    with pytest.raises(ValueError, match=r"must share one spatial shape; got \[\(2, 2, 2\), \(3, 2, 2\)\]"):
        resample([Reading(torch.zeros(1, 2, 2, 2)), Reading(torch.zeros(1, 3, 2, 2))], centred(TURNED))
    with pytest.raises(ValueError, match="mode must be one of nearest, linear, cubic, one_hot; got 'spline'"):
        resample([Reading(torch.zeros(1, 2, 2, 2), "spline")], centred(TURNED))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_a_gpu_reads_the_same():
    values, labels = smooth(SHAPE, 3), smooth(SHAPE).mul(20).abs().round().int()
    values[:, :4] = NAN
    for linear, shift in ((TURNED, shift_of(SIZE)), (ZOOMED, None)):
        on_cpu, on_gpu = (
            resample(
                [Reading(values.to(device), "linear", NAN), Reading(labels.to(device), "one_hot", -1)],
                centred(linear, shift=None if shift is None else shift.to(device)),
            )
            for device in ("cpu", "cuda")
        )
        for one, other in zip(on_cpu, on_gpu, strict=True):
            torch.testing.assert_close(one, other.cpu(), equal_nan=True, rtol=0, atol=1e-4)
