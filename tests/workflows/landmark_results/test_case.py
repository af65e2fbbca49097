"""Errors, uncertainties and places of one image."""

import numpy as np
import pytest
from tests.workflows.landmark_results.cases import NAN, TRUTH, case

from scripts.workflows.landmark_results.case import check_alike, common_unit


def test_errors_are_in_voxels_or_physical():
    errors = case().errors()
    assert errors[:2].tolist() == [5, 0]
    assert np.isnan(errors[2])  # missing
    assert case().errors("ecpv", in_unit=True)[:2] == pytest.approx([np.sqrt(3**2 + (4 * 0.5) ** 2), 0])
    assert np.isnan(case(unit=None).errors(in_unit=True)).all()
    assert np.isnan(case(truth=None).errors()).all()


def test_a_known_landmark_that_was_not_found_is_infinitely_far_away():
    points = np.array([[NAN, 0, 0], [1.0, 2.0, 4.0], [NAN, NAN, NAN]])
    one = case(found={"smha": (points, np.ones(3))})
    assert np.isinf(one.errors()[0])
    assert one.errors()[1] == 1
    assert np.isnan(one.errors()[2])
    assert one.overall_error() == np.inf
    assert case().overall_error() == 2.5
    assert np.isnan(case(truth=None).overall_error())


def test_activations_have_their_sign_changed():
    points, numbers = np.zeros((3, 3)), np.array([1.0, 2.0, 3.0])
    methods = case(found=dict.fromkeys(("smha", "emha", "ecpv", "mc_dropout"), (points, numbers)))
    assert methods.uncertainty("smha").tolist() == methods.uncertainty("emha").tolist() == [-1, -2, -3]
    assert methods.uncertainty("ecpv").tolist() == methods.uncertainty("mc_dropout").tolist() == [1, 2, 3]
    assert methods.method == "smha"


def test_points_are_placed_in_space_and_in_other_grids():
    one = case(translation=(10.0, 20.0, 30.0))
    assert one.physical(TRUTH)[1].tolist() == [12, 22, 31.5]
    assert one.rescaled(TRUTH, (4, 12, 4))[1].tolist() == [1, 4.5, 1.25]  # (x + 0.5) f - 0.5


def test_an_image_is_annotated_where_any_landmark_is_known():
    assert case().is_annotated
    assert not case(truth=None).is_annotated
    assert not case(truth=np.full((3, 3), NAN)).is_annotated


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"found": {}, "landmarks": ("a",)}, r"image 'one': expected points of at least one method; got none"),
        ({"truth": TRUTH[:2]}, r"image 'one': truth must have shape \[3, 3\] for 3 landmarks; got \[2, 3\]"),
        (
            {"found": {"smha": (TRUTH, np.zeros(2))}, "landmarks": "abc"},
            r"uncertainty of method 'smha' must have shape \[3\] for 3 landmarks; got \[2\]",
        ),
        ({"members": {"m1": TRUTH[:, 1:]}}, r"points of member 'm1' must have shape \[3, 3\].*got \[3, 2\]"),
        ({"columns": {"sigma": np.zeros((3, 3))}}, r"column 'sigma' must have shape \[3\].*got \[3, 3\]"),
    ],
)
def test_arrays_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        case(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"truth": TRUTH[:2], "found": {"ecpv": (TRUTH[:2], np.zeros(2))}, "landmarks": ("a", "b")},
            "image 'two' has 2 landmarks, but 'one' has 3",
        ),
        ({"landmarks": ("a", "b", "d")}, r"has the landmarks \['a', 'b', 'd'\], but 'one' has \['a', 'b', 'c'\]"),
        ({"found": {"smha": (TRUTH, np.zeros(3))}}, r"has the methods \['smha'\], but 'one' has \['ecpv'\]"),
        ({"members": {"m": TRUTH}}, r"has the members \['m'\], but 'one' has \[\]"),
        ({"columns": {"s": np.zeros(3)}}, r"has the columns \['s'\], but 'one' has \[\]"),
        ({"unit": "um"}, "image 'two' is measured in um, but 'one' in mm"),
    ],
)  # fmt: skip
def test_images_of_one_table_have_the_same_columns(options, message):
    with pytest.raises(ValueError, match=message):
        check_alike(case("two", **options), case())


def test_members_may_differ_where_there_are_scores_alone():
    check_alike(case("two", members={"m": TRUTH}), case(), in_summary=True)
    with pytest.raises(ValueError, match=r"has the methods \['smha'\], but 'one' has \['ecpv'\]"):
        check_alike(case("two", {"smha": (TRUTH, np.zeros(3))}), case(), in_summary=True)


def test_the_unit_is_that_of_the_images_that_have_one():
    check_alike(case("two", unit=None), case())
    assert common_unit([case(unit=None), case()]) == "mm"
    assert common_unit([case(unit=None)]) is None
