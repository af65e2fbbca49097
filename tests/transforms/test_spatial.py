"""Images, labels, normals and vectors through one draw: against the analytic sphere, and against each other."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, RandFlipd
from scipy.interpolate import NdBSpline
from tests.transforms.sphere import (
    CENTRE,
    SPACINGS,
    affine_of,
    angles,
    expected_normals,
    new_to_old,
    old_array,
    positions,
    unit,
)

from scripts.transforms import ApplySpatiald, ReorientVectorsd, SpatialDraw

TARGETS = {
    "n": {"channels": 3, "kind": "normal"},
    "v": {"channels": 3, "kind": "vector"},
    "ball": {"channels": 1, "mask": "inside"},
    "distance": {"channels": 1, "kind": "scalar"},
}
TURN = SpatialDraw(angles=(25.0, -18.0, 12.0), factors=(1.2, 1.2, 1.2))
BEND = SpatialDraw(elastic_displacement=5.0, elastic_spacing=14.0, elastic_seed=7)
BOTH = SpatialDraw(TURN.angles, TURN.factors, 14.0, 5.0, elastic_seed=7)


def radius(offset):
    return offset.norm(dim=0, keepdim=True)


def sphere(spacing, **more):
    sample = {
        "image": old_array(spacing, radius),
        "n": old_array(spacing, unit),
        "v": old_array(spacing, lambda offset: -offset),
        "ball": old_array(spacing, radius),
        "distance": old_array(spacing, radius),
    }
    ball = (sample["image"] < 13).as_tensor().int()
    sample["ball"] = MetaTensor(ball, meta=sample["ball"].meta)
    return {**sample, **more}


def moved(sample, draw, **options):
    return ApplySpatiald([key for key in sample if key in TARGETS or key == "image"], TARGETS, **options)(
        {**sample, "spatial": draw}
    )


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_sphere_keeps_its_normals(spacing):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        draw = SpatialDraw(tuple(rng.uniform(-30, 30, 3)), (rng.uniform(0.7, 1.4),) * 3)
        chain = [
            ApplySpatiald(["n"], TARGETS),
            *(RandFlipd("n", 0.5, axis) for axis in range(3)),
            ReorientVectorsd("n"),
        ]
        transform = Compose(chain).set_random_state(seed)
        out = transform({"n": old_array(spacing, unit), "spatial": draw})["n"]
        expected, compared = expected_normals(out, spacing)
        found = angles(out.as_tensor(), expected)[compared]
        assert int(compared.sum()) > 1500
        assert float(found.median()) <= 0.3
        lengths = out.as_tensor()[:, compared].norm(dim=0)
        torch.testing.assert_close(lengths, torch.ones_like(lengths))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_rotation_leaves_a_sphere_a_sphere(spacing):
    """The image is the distance to a centre: after any physical rotation about it, each voxel's is what it was."""
    shape = [round(45 / size) for size in spacing]
    middle = torch.tensor([(n - 1) / 2 * size for n, size in zip(shape, spacing, strict=True)], dtype=torch.float64)
    offset = positions(shape, torch.diag(torch.tensor(spacing, dtype=torch.float64)), -middle)
    affine = affine_of(spacing)
    image = MetaTensor(radius(offset).float(), affine=affine, meta={"reference_affine": affine})
    out = moved({"image": image}, SpatialDraw((30.0, 20.0, -25.0), (1.0, 1.0, 1.0)))["image"].as_tensor()
    compared = (radius(offset) > 6) & (radius(offset) < 16)
    assert float((out - image.as_tensor()).abs()[compared].max()) < 0.1 * max(spacing) ** 2  # of linear interpolation


@pytest.mark.parametrize("spacing", SPACINGS)
def test_vectors_are_differences_of_moved_points(spacing):
    """The field c - p points at the centre from everywhere; so it must in the new array: S (i_c' - i')."""
    out = ReorientVectorsd("v", "vector")(moved({"v": sphere(spacing)["v"]}, TURN))["v"]
    matrix, offset = new_to_old(out, spacing)
    scale = torch.tensor(spacing, dtype=torch.float64)
    centre = torch.linalg.solve(matrix, torch.tensor(CENTRE, dtype=torch.float64) / scale - offset)
    expected = scale.reshape(3, 1, 1, 1) * (
        centre.reshape(3, 1, 1, 1) - positions(out.shape[1:], torch.eye(3).double())
    )
    _, compared = expected_normals(out, spacing)
    torch.testing.assert_close(out.as_tensor().double()[:, compared], expected[:, compared], rtol=0, atol=1e-3)


def old_places(out, draw, spacing):
    """Old index of each voxel and its derivative by the new index, the deformation by SciPy's splines."""
    size = out.shape[1:]
    matrix, offset = new_to_old(out, spacing)
    place = positions(size, matrix).numpy() + offset.numpy().reshape(3, 1, 1, 1)
    slope = np.broadcast_to(matrix.numpy()[..., None, None, None], (3, 3, *size)).copy()
    shifts = torch.einsum("ab,b...->a...", matrix, draw.coefficients(size, spacing).double())
    intervals = [n - 3 for n in shifts.shape[1:]]
    knots = tuple(np.arange(-3.0, k + 4) for k in intervals)
    axes = [(np.arange(n) + 0.5) * k / n for n, k in zip(size, intervals, strict=True)]
    at = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    for component in range(3):
        spline = NdBSpline(knots, shifts[component].numpy(), 3)
        place[component] += spline(at)
        for axis in range(3):
            slope[component, axis] += spline(at, nu=[int(a == axis) for a in range(3)]) * intervals[axis] / size[axis]
    return place, slope


@pytest.mark.parametrize("draw", [BEND, BOTH], ids=["bent", "bent and turned"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_normals_and_vectors_follow_a_deformation(spacing, draw):
    """Distance to the sphere at the old place of each voxel, phi; its slope by the new index gives the normals.

    A vector is a difference of points: where it is S J e, the new one is S e.
    """
    sample = {key: sphere(spacing)[key] for key in ("n", "v", "distance")}
    out = Compose([ReorientVectorsd(["n", "v"], ["normal", "vector"])])(moved(sample, draw))
    scale = np.array(spacing).reshape(3, 1, 1, 1)
    place, slope = old_places(out["n"], draw, spacing)
    offset = place * scale - np.array(CENTRE).reshape(3, 1, 1, 1)
    phi = np.linalg.norm(offset, axis=0)
    last = np.array(sample["n"].shape[1:]).reshape(3, 1, 1, 1) - 1
    compared = torch.from_numpy(((place > 2) & (place < last - 2)).all(axis=0) & (phi > 6) & (phi < 20))
    assert int(compared.sum()) > 1500
    np.testing.assert_allclose(out["distance"][0].numpy()[compared], phi[compared], atol=0.1 * max(spacing) ** 2)

    normals = unit(torch.from_numpy(np.einsum("abzyx,azyx->bzyx", slope, offset / phi * scale) / scale))
    found = angles(out["n"].as_tensor(), normals)[compared]
    assert float(found.median()) <= 0.3
    assert float(found.max()) < 3
    still = {**sample, "spatial": draw}
    ignored = ReorientVectorsd("n")(ApplySpatiald("n", {"n": {"channels": 3, "kind": "vector"}})(still))["n"]
    assert float(angles(unit(ignored.as_tensor()), normals)[compared].median()) > 3  # the comparison can fail

    vectors = np.linalg.solve(slope.transpose(2, 3, 4, 0, 1), np.moveaxis(-offset / scale, 0, -1)[..., None])
    expected = torch.from_numpy(np.moveaxis(vectors[..., 0], -1, 0) * scale)
    torch.testing.assert_close(out["v"].as_tensor().double()[:, compared], expected[:, compared], rtol=0, atol=2e-2)


@pytest.mark.parametrize("label_mode", ["nearest", "one_hot"])
@pytest.mark.parametrize("draw", [TURN, BEND], ids=["turned", "bent"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_image_label_and_normals_stay_registered(spacing, draw, label_mode):
    """A label that is a threshold of the image stays one, but for voxels through which the surface runs."""
    out = ReorientVectorsd("n")(moved(sphere(spacing), draw, label_mode=label_mode))
    image, ball = out["image"].as_tensor(), out["ball"].as_tensor()
    known = ball >= 0
    differs = ((image < 13) != (ball == 1)) & known
    assert float(differs.sum() / ((image - 13).abs() < max(spacing)).logical_and(known).sum()) < 0.35
    assert float((image - 13).abs()[differs].max()) < 0.9 * max(spacing)
    assert torch.equal(known[0], ~out["distance"][0].isnan())
    assert torch.equal(known[0], ~out["n"][0].isnan())
    slope = torch.from_numpy(np.stack(np.gradient(image[0].double().numpy(), *spacing)))
    near = known[0] & ((image[0] - 13).abs() < 4)
    near[0] = near[-1] = near[:, 0] = near[:, -1] = near[..., 0] = near[..., -1] = False
    assert float(angles(out["n"].as_tensor(), unit(slope))[near].median()) < 1.5


def test_outside_the_patch_targets_are_unknown_and_images_continue():
    sample = sphere((1.0, 1.0, 1.0), mask=None)
    ones = MetaTensor(torch.ones(1, 45, 45, 45), meta=sample["image"].meta)
    sample |= {"mask": ones.int(), "inside": ones.to(torch.uint8), "image": ones}
    keys = [*TARGETS, "image", "mask", "inside"]
    draw = SpatialDraw(angles=(45.0, 0.0, 0.0))
    out = ApplySpatiald(keys, TARGETS)({**sample, "spatial": draw})
    zeros = ApplySpatiald(keys, TARGETS, outside="zero")({**sample, "spatial": draw})
    matrix, offset = new_to_old(out["n"], (1.0, 1.0, 1.0))
    place = positions((45, 45, 45), matrix) + offset.reshape(3, 1, 1, 1)
    beyond = ((place < -0.5) | (place > 44.5)).any(dim=0)
    assert 0.1 < float(beyond.float().mean()) < 0.3
    assert torch.equal(out["ball"][0] == -1, beyond)
    for key in ("n", "v", "distance"):
        assert torch.equal(out[key].as_tensor().isnan().any(dim=0), beyond)
    for key in ("mask", "inside"):
        assert torch.equal(out[key][0].as_tensor() == 0, beyond)
    torch.testing.assert_close(out["image"].as_tensor(), torch.ones(1, 45, 45, 45))
    assert torch.equal(zeros["image"][0].as_tensor() == 0, beyond)


def test_modes_reach_their_arrays():
    sample = sphere((1.0, 1.0, 1.0))
    linear, nearest, cubic = (moved(sample, TURN, image_mode=mode) for mode in ("linear", "nearest", "cubic"))
    known = linear["ball"] >= 0
    truth = linear["distance"].as_tensor()
    assert torch.equal(linear["image"].as_tensor()[known], truth[known])
    matrix, offset = new_to_old(linear["n"], (1.0, 1.0, 1.0))
    exact = positions((45, 45, 45), matrix, offset - torch.tensor(CENTRE))
    inner = expected_normals(linear["n"], (1.0, 1.0, 1.0))[1][None]
    errors = [
        float((out["image"].as_tensor() - exact.norm(dim=0)[None]).abs()[inner].mean())
        for out in (nearest, linear, cubic)
    ]
    assert errors[0] > 5 * errors[1] > 5 * errors[2]
    one_hot = moved(sample, TURN, label_mode="one_hot")["ball"]
    wrong = [
        ((out.as_tensor() == 1) != (exact.norm(dim=0)[None] < 13))[inner].sum() for out in (linear["ball"], one_hot)
    ]
    assert wrong[1] < 0.75 * wrong[0]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.uint16, torch.int16, torch.int64])
def test_labels_can_be_unknown_whatever_their_type(dtype):
    label = torch.ones(1, 8, 8, 8).to(dtype)
    draw = SpatialDraw(angles=(45.0, 0.0, 0.0))
    apply = ApplySpatiald(["ball"], TARGETS)
    drawn, still = apply({"ball": label, "spatial": draw})["ball"], apply({"ball": label})["ball"]
    assert drawn.dtype == still.dtype
    assert set(drawn.unique().tolist()) == {-1, 1}
    assert (still == 1).all()


def test_numbers_become_float32_with_and_without_a_draw():
    apply = ApplySpatiald(["image", "distance", "other", "ids"], TARGETS)
    sample = {
        "image": torch.full((1, 6, 6, 6), 7, dtype=torch.uint8),
        "distance": np.full((1, 6, 6, 6), 7.0),
        "other": np.full((1, 6, 6, 6), 7.0, np.float16),
        "ids": np.full((1, 6, 6, 6), 7, np.uint32),
    }
    for given in (sample, {**sample, "spatial": SpatialDraw(angles=(90.0, 0.0, 0.0))}):
        out = apply(given)
        assert {key: out[key].dtype for key in ("image", "distance", "other")} == dict.fromkeys(
            ("image", "distance", "other"), torch.float32
        )
        assert out["ids"].dtype == torch.int64
        assert all(torch.allclose(out[key].float(), torch.tensor(7.0)) for key in sample)
        assert "spatial" not in out


def test_two_dimensions():
    """A quarter turn of a 2D image with pixels of 1 x 2, whose affine is 4 x 4 as MONAI has it."""
    affine = torch.diag(torch.tensor([1.0, 2.0, 1.0, 1.0], dtype=torch.float64))
    field = torch.zeros(2, 9, 5)
    field[0] = 1.0
    sample = {
        "image": MetaTensor(torch.arange(45.0).reshape(1, 9, 5), affine=affine),
        "n": MetaTensor(field, affine=affine, meta={"reference_affine": affine}),
    }
    targets = {"n": {"channels": 2, "kind": "normal"}}
    out = ApplySpatiald(["image", "n"], targets)({**sample, "spatial": SpatialDraw((90.0, 0.0, 0.0))})
    # new pixel (y, x) = centre + (a, b) in physical length is read at centre + (-b, a)
    assert out["image"][0, 4, 2] == sample["image"][0, 4, 2]
    assert out["image"][0, 4, 3] == sample["image"][0, 2, 2]
    assert out["image"][0, 6, 2] == sample["image"][0, 4, 3]
    turned = ReorientVectorsd("n")(out)["n"].as_tensor()
    torch.testing.assert_close(turned[:, 4, 2], torch.tensor([0.0, -1.0]))


def test_the_affine_says_where_each_voxel_was_read():
    spacing = SPACINGS[1]
    index = positions([round(45 / size) for size in spacing], torch.eye(3).double())
    affine = affine_of(spacing)
    place = MetaTensor(
        (affine[:3, :3] @ index.reshape(3, -1) + affine[:3, 3:]).reshape(index.shape).float(),
        affine=affine,
        meta={"reference_affine": affine, "filename_or_obj": "x"},
    )
    out = ApplySpatiald("place", {"place": {"channels": 3, "kind": "scalar"}})({"place": place, "spatial": TURN})[
        "place"
    ]
    index = positions(out.shape[1:], out.affine[:3, :3], 0.0) + out.affine[:3, 3].reshape(3, 1, 1, 1)
    known = ~out[0].isnan()
    torch.testing.assert_close(out.as_tensor().double()[:, known], index[:, known], rtol=0, atol=0.51 * max(spacing))
    _, inner = expected_normals(out, spacing)
    torch.testing.assert_close(out.as_tensor().double()[:, inner], index[:, inner], rtol=0, atol=1e-3)
    assert torch.equal(out.meta["reference_affine"], affine)
    assert out.meta["filename_or_obj"] == "x"
    assert torch.equal(place.affine, affine)


def test_a_patch_of_another_shape_is_refused():
    draw = SpatialDraw(patch=((0, 0, 0), (4, 4, 4)), box=((0, 0, 0), (6, 6, 6)))
    with pytest.raises(ValueError, match=r"the patch has shape \(5, 5, 5\), but the draw was made for \(6, 6, 6\)"):
        ApplySpatiald("image")({"image": torch.zeros(1, 5, 5, 5), "spatial": draw})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_mode": "bilinear"}, "image_mode must be one of nearest, linear, cubic; got 'bilinear'"),
        ({"label_mode": "linear"}, "label_mode must be one of nearest, one_hot; got 'linear'"),
        ({"outside": "zeros"}, r"outside must be one of border, zero; got 'zeros' \(did you mean 'zero'\?\)"),
    ],
)
def test_modes_that_do_not_exist(options, message):
    with pytest.raises(ValueError, match=message):
        ApplySpatiald("image", **options)


def test_missing_keys():
    with pytest.raises(KeyError, match="absent"):
        ApplySpatiald(["absent"])({"image": 1})
    assert ApplySpatiald(["absent"], allow_missing_keys=True)({"other": 1, "spatial": TURN}) == {"other": 1}
