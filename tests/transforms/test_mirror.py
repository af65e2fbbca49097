"""Mirrored axes: MONAI's own result, the sphere's normals, and how often."""

import numpy as np
import pytest
import torch
from monai.transforms import Compose, Flip
from scipy import stats
from tests.transforms.sphere import SPACINGS, expected_normals, old_array, unit

from scripts.transforms import RandMirror, RandMirrord, ReorientVectorsd, mirror_axes


@pytest.mark.parametrize("axes", [(0,), (2,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_it_is_monais_flip(spacing, axes):
    field = old_array(spacing, unit)
    expected = Flip(axes)(field)
    found = mirror_axes(field, axes)
    assert torch.equal(found.as_tensor(), expected.as_tensor())
    assert torch.equal(found.affine, expected.affine)
    assert torch.equal(found.meta["reference_affine"], field.affine)
    assert torch.equal(mirror_axes(field.as_tensor(), axes), expected.as_tensor())


def test_two_dimensions():
    image = old_array((3.0, 1.5), lambda offset: offset[:1])
    assert torch.equal(mirror_axes(image, [1]).affine, Flip(1)(image).affine)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_sphere_keeps_its_normals(spacing):
    out = Compose([RandMirrord("n", 1, [0, 2]), ReorientVectorsd("n")])({"n": old_array(spacing, unit)})["n"]
    expected, _ = expected_normals(out, spacing)
    there = expected.norm(dim=0) > 0.5
    torch.testing.assert_close(out.as_tensor().double()[:, there], expected[:, there], rtol=0, atol=1e-6)


def test_each_axis_is_drawn_by_itself():
    transform = RandMirror(0.4, (0, 2)).set_random_state(0)
    drawn = []
    for _ in range(2000):
        transform.randomize()
        drawn.append([axis in transform.reversed for axis in range(3)])
    times = np.sum(drawn, axis=0)
    assert times[1] == 0
    assert all(stats.binomtest(int(n), 2000, 0.4).pvalue > 1e-4 for n in times[[0, 2]])
    assert stats.binomtest(int(np.sum([d[0] and d[2] for d in drawn])), 2000, 0.16).pvalue > 1e-4


def test_keys_agree_the_seed_repeats_and_what_is_not_drawn_stays():
    image = torch.arange(24.0).reshape(1, 2, 3, 4)
    transform = RandMirrord(["a", "b"])
    outs = [transform.set_random_state(seed)({"a": image, "b": image}) for seed in (*range(8), *range(8))]
    assert all(torch.equal(out["a"], out["b"]) for out in outs)
    assert all(torch.equal(one["a"], again["a"]) for one, again in zip(outs[:8], outs[8:], strict=True))
    assert len({float(out["a"][0, 0, 0, 0]) for out in outs}) > 3
    given = old_array(SPACINGS[0], unit)
    assert RandMirror(0)(given) is given
    with pytest.raises(ValueError, match=r"axes must be spatial axes, of 0, 1 and 2; got \[3\]"):
        RandMirrord("a", axes=[3])
