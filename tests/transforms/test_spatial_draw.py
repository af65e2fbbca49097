"""What is drawn, how often, and which box of voxels a turned patch needs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scripts.geometry.elastic import MOST_DISPLACEMENT, displacement, displacement_gradient
from scripts.transforms import RandSpatialDraw, RandSpatialDrawd, SpatialDraw

ALL = {"prob_rotation": 1.0, "prob_scaling": 1.0}


def draws(n=2000, seed=0, **options):
    transform = RandSpatialDraw(**options)
    transform.set_random_state(seed)
    found = []
    for _ in range(n):
        transform.randomize()
        found.append(transform.drawn)
    return found


def is_binomial(times, n, prob):
    return stats.binomtest(times, n, prob).pvalue > 1e-4


def test_each_part_comes_with_its_own_probability():
    found = draws(prob_rotation=0.2, prob_scaling=0.3, prob_elastic=0.1)
    does = np.array(
        [[any(d.angles), d.factors != (1, 1, 1), d.elastic_displacement > 0] if d else [0] * 3 for d in found]
    )
    for times, prob in zip(does.sum(axis=0), (0.2, 0.3, 0.1), strict=True):
        assert is_binomial(int(times), len(found), prob)
    both = int((does[:, 0] & does[:, 1]).sum())
    assert is_binomial(both, len(found), 0.2 * 0.3)
    assert all((d is None) == (not row.any()) for d, row in zip(found, does, strict=True))


def test_the_defaults_are_those_of_nnunet():
    found = draws()
    assert is_binomial(sum(d is not None and any(d.angles) for d in found), len(found), 0.2)
    assert is_binomial(sum(d is not None and d.factors[0] != 1 for d in found), len(found), 0.2)
    assert all(d is None or d.elastic_displacement == 0 for d in found)
    sure = draws(**ALL)
    for axis in range(3):
        angles = [d.angles[axis] for d in sure]
        assert stats.kstest(angles, stats.uniform(-30, 60).cdf).pvalue > 1e-4
    assert stats.kstest([d.factors[0] for d in sure], stats.uniform(0.7, 0.7).cdf).pvalue > 1e-4
    assert all(len(set(d.factors)) == 1 for d in sure)
    assert abs(np.corrcoef(np.array([d.angles for d in sure]).T)[0, 1]) < 0.1


def test_ranges_for_each_axis_and_elastic_ones():
    found = draws(500, prob_rotation=1, rotation=[180, 0, 5], prob_elastic=1, elastic_displacement=[2, 3])
    angles = np.abs([d.angles for d in found])
    assert 170 < angles[:, 0].max() <= 180
    assert angles[:, 1].max() == 0
    assert 4.5 < angles[:, 2].max() <= 5
    moved = [d.elastic_displacement for d in found]
    assert 2 <= min(moved) < 2.1 < 2.9 < max(moved) <= 3
    assert len({d.elastic_seed for d in found}) == 500


def test_in_plane_leaves_z_alone():
    found = draws(200, **ALL, prob_elastic=1, elastic_displacement=[2, 3], rotation=180, in_plane=True)
    assert max(abs(d.angles[0]) for d in found) > 150
    assert {d.angles[1:] for d in found} == {(0.0, 0.0)}
    assert {d.factors[0] for d in found} == {1.0}
    for one in found[:5]:
        shifts = one.coefficients((8, 32, 32), (5, 1, 1))
        assert (shifts[0] == 0).all()
        assert (shifts[1:].abs().amax(dim=(1, 2, 3)) > 1.5).all()


def test_the_seed_repeats_the_draws_and_probabilities_do_not_shift_them():
    first, again, other = draws(20, **ALL), draws(20, **ALL), draws(20, seed=1, **ALL)
    assert first == again
    assert first != other
    rotated = draws(20, prob_rotation=1, prob_scaling=0)
    assert [d.angles for d in rotated] == [d.angles for d in first]
    assert {d.factors for d in rotated} == {(1.0, 1.0, 1.0)}


def test_control_points_move_within_their_limits():
    """16 edges of the smallest voxel apart: 64 x 20 x 40 voxels of 1 x 4 x 2 have 4, 5 and 5 intervals."""
    draw = SpatialDraw(elastic_displacement=3.0, elastic_seed=4)
    shifts = draw.coefficients((64, 20, 40), (1, 4, 2))
    assert shifts.shape == (3, 7, 8, 8)
    largest = shifts.abs().amax(dim=(1, 2, 3)) * torch.tensor([1.0, 4.0, 2.0])
    assert ((largest > 2.9) & (largest <= 3)).all()
    assert torch.equal(shifts, draw.coefficients((64, 20, 40), (1, 4, 2)))
    thin = draw.coefficients((2, 64, 64), (1, 1, 1))
    assert thin.shape == (3, 4, 7, 7)
    assert 0.75 < float(thin[0].abs().max()) <= 0.8  # 0.4 of its only interval, which is 2 voxels long
    assert SpatialDraw().coefficients((64, 20, 40), (1, 4, 2)) is None


@pytest.mark.parametrize(
    ("size", "spacing"), [((32, 32, 32), (1, 1, 1)), ((6, 40, 30), (5, 1, 2)), ((3, 40, 40), (1, 1, 1))]
)
def test_the_largest_displacement_folds_nothing(size, spacing):
    for seed in range(5):
        draw = SpatialDraw(elastic_spacing=10, elastic_displacement=MOST_DISPLACEMENT * 10, elastic_seed=seed)
        slopes = displacement_gradient(draw.coefficients(size, spacing), size)
        jacobian = slopes.movedim((0, 1), (-2, -1)) + torch.eye(3)
        assert torch.linalg.det(jacobian).min() > 0


class TestBox:
    def test_a_quarter_turn_about_z_exchanges_y_and_x(self):
        start, size = SpatialDraw(angles=(90, 0, 0)).box_of([0, 10, 20], [10, 20, 31], (1, 1, 1), 9)
        # y: centre 19.5, half 15 -> 4.5 to 34.5; x: centre 35, half 9.5 -> 25.5 to 44.5
        assert (start, size) == ((0, 4, 25), (10, 32, 21))

    def test_a_factor_stretches_the_box_or_shrinks_it(self):
        draw = SpatialDraw(factors=(1.4, 1.4, 1.4))
        assert draw.box_of([10] * 3, [11] * 3, (1, 1, 1), 2) == ((8,) * 3, (15,) * 3)  # 15 +- 7
        draw = SpatialDraw(factors=(0.7, 0.7, 0.7))
        assert draw.box_of([10] * 3, [11] * 3, (1, 1, 1), 2) == ((11,) * 3, (9,) * 3)  # 15 +- 3.5

    def test_rotation_is_in_physical_space(self):
        """Turned by 90 degrees about x, 8 slices of 5 cover 40 rows of 1, and 41 rows take 8 steps of 5."""
        draw = SpatialDraw(angles=(0, 0, 90))
        assert draw.box_of([0, 0, 0], [9, 41, 6], (5, 1, 1), 9) == ((0, 0, 0), (9, 41, 6))
        assert draw.box_of([0, 0, 0], [9, 41, 6], (1, 1, 1), 9) == ((-16, 16, 0), (41, 9, 6))

    def test_deformation_adds_its_reach(self):
        draw = SpatialDraw(elastic_displacement=4.0, elastic_axes=(False, True, True))
        assert draw.box_of([10] * 3, [9] * 3, (2, 1, 2), 9) == ((10, 6, 8), (9, 17, 13))
        stretched = SpatialDraw(factors=(1.5, 1.5, 1.5), elastic_displacement=4.0)  # 14 +- 1.5 x (4 + 4)
        assert stretched.box_of([10] * 3, [9] * 3, (1, 1, 1), 9) == ((2,) * 3, (25,) * 3)

    def test_it_has_limits(self):
        draw = SpatialDraw(factors=(3, 3, 3))
        assert draw.box_of([10] * 3, [10] * 3, (1, 1, 1), 1.6) == ((7,) * 3, (16,) * 3)
        bounds = [[9, 0, 0], [30, 18, 30]]
        assert draw.box_of([10] * 3, [10] * 3, (1, 1, 1), 1.6, bounds) == ((9, 7, 7), (14, 11, 16))

    def test_it_ends_where_the_volume_does(self):
        draw = SpatialDraw(patch=((0, 0, 0), (9, 9, 9)), box=((-3, 20, 50), (20, 20, 9)))
        assert draw.inside((12, 50, 48)).box == ((0, 20, 47), (12, 20, 1))
        assert draw.inside((12, 50, 48)).patch == draw.patch
        assert SpatialDraw().inside((12, 50, 48)) == SpatialDraw()

    @settings(max_examples=60, deadline=None)
    @given(
        size=st.tuples(*[st.integers(1, 20)] * 3),
        angles=st.tuples(*[st.floats(-180, 180)] * 3),
        factor=st.floats(0.5, 2),
        spacing=st.tuples(*[st.floats(0.5, 4)] * 3),
        moved=st.floats(0, 5),
    )
    def test_it_holds_every_place_that_is_read(self, size, angles, factor, spacing, moved):
        draw = SpatialDraw(angles, (factor,) * 3, elastic_displacement=moved, elastic_seed=1)
        start, extent = draw.box_of((100,) * 3, size, spacing, 1000)
        half = (np.array(size) - 1) / 2
        index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij")).reshape(3, -1)
        shifts = draw.coefficients(size, spacing)
        deformed = index if shifts is None else index + displacement(shifts, size).numpy().reshape(3, -1)
        places = draw.linear(spacing).numpy() @ (deformed - half[:, None]) + 100 + half[:, None]
        assert (places >= np.array(start)[:, None] - 1e-4).all()
        assert (places <= (np.array(start) + extent - 1)[:, None] + 1e-4).all()
        if shifts is None:  # no larger than it must be
            assert (np.array(extent) < np.ptp(places, axis=1) + 3).all()


class TestDatum:
    DATUM = {"image": "x", "start": [10, 20, 30], "size": [9, 9, 9], "volume": 2, "found": [1, 2, 3]}

    def test_the_datum_gets_the_box_and_remembers_the_patch(self):
        transform = RandSpatialDrawd(prob_rotation=0, prob_scaling=1, scaling=[1.25, 1.25])
        out = transform(self.DATUM)
        assert (out["start"], out["size"]) == ([9, 19, 29], [11, 11, 11])
        assert out["spatial"].patch == ((10, 20, 30), (9, 9, 9))
        assert out["spatial"].box == ((9, 19, 29), (11, 11, 11))
        assert {key: out[key] for key in ("image", "volume", "found")} == {
            "image": "x",
            "volume": 2,
            "found": [1, 2, 3],
        }
        assert "spatial" not in self.DATUM

    def test_without_a_draw_nothing_changes_but_bounds_are_used_up(self):
        transform = RandSpatialDrawd(prob_rotation=0, prob_scaling=0)
        assert transform({**self.DATUM, "bounds": [[0] * 3, [99] * 3]}) == self.DATUM

    def test_the_datums_spacing_goes_first(self):
        boxes = []
        for own, default in (((5, 1, 1), (1, 1, 1)), (None, (5, 1, 1)), (None, None), ((1, 1, 1), (5, 1, 1))):
            transform = RandSpatialDrawd(1, [0, 0, 90], 0, spacing=default)
            transform.set_random_state(3)
            boxes.append(transform({**self.DATUM, "size": [9, 41, 6], "spacing": own})["size"])
        assert boxes[0] == boxes[1] != boxes[2] == boxes[3]

    def test_the_volumes_spacing_is_seen_along_the_datums_axes(self):
        """What is 5 along z and 1 along x for the volume is 1 along the first axis of x-slices, and 5 along y."""
        boxes = []
        for axes, default in (("xzy", (5, 1, 1)), (None, (1, 5, 1))):
            transform = RandSpatialDrawd(1, [60, 0, 0], 0, spacing=default)
            transform.set_random_state(3)
            boxes.append(transform({**self.DATUM, "size": [1, 41, 41], "axes": axes})["size"])
        assert boxes[0] == boxes[1] != [1, 41, 41]

    def test_bounds_and_max_enlargement_reach_the_box(self):
        transform = RandSpatialDrawd(0, 30, 1, [1.8, 1.8], max_enlargement=1.25)
        assert transform(self.DATUM)["size"] == [13, 13, 13]  # 5.1 to each side of the centre
        bounded = transform({**self.DATUM, "bounds": [[10, 0, 0], [18, 99, 99]]})
        assert (bounded["start"], bounded["size"]) == ([10, 18, 28], [8, 13, 13])
        assert "bounds" not in bounded

    def test_a_loaded_sample_is_drawn_for_as_it_is(self):
        out = RandSpatialDrawd(1, 30, 1)({"image": torch.zeros(1, 4, 4, 4), "patch": {"start": [0, 0, 0]}})
        assert out["spatial"].patch is None
        assert out["spatial"].box is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prob_rotation": 1.5}, "prob_rotation must be a number from 0 to 1; got 1.5"),
        ({"prob_elastic": True}, "prob_elastic must be a number from 0 to 1; got True"),
        ({"rotation": 200}, "rotation must be an angle from 0 to 180 degrees, or one for each of z, y, x; got 200"),
        ({"rotation": [10, 20]}, r"one for each of z, y, x; got \[10, 20\]"),
        ({"rotation": [10, 0, 5], "in_plane": True}, r"the other angles must be 0; got \[10, 0, 5\]"),
        ({"scaling": [0, 1]}, r"scaling must hold two numbers above 0, the smaller first; got \[0, 1\]"),
        ({"scaling": 1.2}, "scaling must hold two numbers above 0, the smaller first; got 1.2"),
        ({"elastic_spacing": 0}, "elastic_spacing must be a distance above 0; got 0"),
        (
            {"elastic_displacement": [0, 7]},
            r"at most 0.4 x elastic_spacing = 6.4, beyond which space folds; got \[0, 7\]",
        ),
        ({"elastic_displacement": [3, 2]}, r"two numbers of at least 0, the smaller first; got \[3, 2\]"),
        ({"max_enlargement": 0.5}, "max_enlargement must be a number of at least 1; got 0.5"),
        ({"spacing": [1, 1]}, r"spacing must hold 3 lengths above 0.*got \[1, 1\]"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        RandSpatialDrawd(**options)
