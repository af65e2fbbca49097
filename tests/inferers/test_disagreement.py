"""Variances against NumPy, angles by hand."""

import math

import numpy as np
import pytest
import torch

from scripts.geometry import Kind, parse_targets
from scripts.inferers.disagreement import AngularSpread, Variance, disagreement_targets, new_disagreement


def measured(options, outputs):
    """Disagreement of outputs N B K D H W about a target of these options, B 1 D H W."""
    measure = new_disagreement(parse_targets({"it": options})["it"])
    for output in outputs:
        measure.add(torch.as_tensor(output, dtype=torch.float32))
    return measure.result().numpy()


def voxels(*rows):
    """N members x V voxels x K components -> N B K D H W with B = D = H = 1."""
    return np.asarray(rows, dtype=float).swapaxes(1, 2)[:, None, :, None, None, :]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    exponentials = np.exp(x - x.max(axis=2, keepdims=True))
    return exponentials / exponentials.sum(axis=2, keepdims=True)


@pytest.mark.parametrize(
    ("options", "activated"),
    [
        ({"channels": 1}, sigmoid),
        ({"channels": 3}, softmax),
        ({"channels": 3, "activation": "sigmoid"}, sigmoid),
        ({"channels": 2, "kind": "scalar"}, lambda x: x),
        ({"channels": 1, "kind": "scalar", "activation": "sigmoid"}, sigmoid),
        ({"channels": 3, "kind": "vector"}, lambda x: x),
        ({"channels": 4, "kind": "points"}, lambda x: x),
    ],
)
def test_it_is_the_variance_of_the_activated_values(options, activated):
    outputs = np.random.default_rng(0).normal(0, 3, (4, 2, options["channels"], 3, 4, 5))
    expected = activated(outputs).var(axis=0).sum(axis=1, keepdims=True)  # N B K D H W -> B 1 D H W
    np.testing.assert_allclose(measured(options, outputs), expected, rtol=1e-4, atol=1e-6)


def test_small_variances_of_large_values_are_not_lost():
    """Sum and sum of squares in float32 would leave nothing of them."""
    outputs = np.array([10000.0, 10000.5, 10001.0]).reshape(3, 1, 1, 1, 1, 1)
    naive = np.square(outputs.astype(np.float32)).mean(dtype=np.float32) - np.square(outputs.mean(dtype=np.float32))
    assert abs(naive - 1 / 6) > 0.1
    assert measured({"channels": 1, "kind": "scalar"}, outputs).item() == pytest.approx(1 / 6, rel=1e-3)


@pytest.mark.parametrize(("classes", "members"), [(4, 2), (4, 4), (2, 4)])
def test_members_that_are_sure_of_different_classes_reach_the_stated_maximum(classes, members):
    outputs = np.zeros((members, 1, classes, 1, 1, 1))
    for member in range(members):
        outputs[member, 0, member % classes] = 100
    assert measured({"channels": classes}, outputs).item() == pytest.approx(1 - 1 / min(classes, members))


def test_members_that_are_sure_of_opposites_reach_a_quarter():
    assert measured({"channels": 1}, np.reshape([100.0, -100.0], (2, 1, 1, 1, 1, 1))).item() == pytest.approx(0.25)


def test_the_spread_of_normals_is_the_mean_angle_from_their_mean_direction():
    """Lengths do not count. Voxel by voxel: 40 degrees apart; all alike; opposite; three in a plane."""
    tilt, side = math.radians(40), math.radians(30)
    outputs = voxels(
        [[5, 0, 0], [0, 3, 4], [0, 0, 2], [math.cos(side), math.sin(side), 0]],
        [[math.cos(tilt), math.sin(tilt), 0], [0, 0.3, 0.4], [0, 0, -7], [math.cos(side), -math.sin(side), 0]],
        [[2 * math.cos(tilt / 2), 2 * math.sin(tilt / 2), 0], [0, 6, 8], [0, 0, 0], [0.1, 0, 0]],
    )
    spread = measured({"channels": 3, "kind": "normal"}, outputs).flatten()
    np.testing.assert_allclose(spread, [40 / 3, 0, 90, 20], atol=1e-3)


def test_small_angles_are_exact():
    """An arc cosine in float32 cannot tell 0.01 degrees from 0."""
    angle = math.radians(0.02)
    outputs = voxels([[1, 0]], [[math.cos(angle), math.sin(angle)]])
    assert measured({"channels": 2, "kind": "normal"}, outputs).item() == pytest.approx(0.01, rel=1e-2)


def test_members_without_a_direction_do_not_count():
    outputs = voxels([[1, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]], [[0, 1, 0], [0, 0, 0]])
    spread = measured({"channels": 3, "kind": "normal"}, outputs).flatten()
    np.testing.assert_allclose(spread, [45, 0], atol=1e-4)


def test_the_table_gets_one_scalar_for_each_target():
    extra = disagreement_targets({"sheet": {"channels": 4}, "normals": {"channels": 3, "kind": "normal"}})
    assert list(extra) == ["sheet_disagreement", "normals_disagreement"]
    assert {(row.name == name, row.channels, row.kind) for name, row in extra.items()} == {(True, 1, Kind.SCALAR)}


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(ValueError, match="about 'a' is called 'a_disagreement', as a target is; rename"):
        disagreement_targets({"a": {"channels": 1}, "a_disagreement": {"channels": 1}})


def test_normals_have_an_angle_and_all_others_a_variance():
    table = parse_targets({"n": {"channels": 3, "kind": "normal"}, "v": {"channels": 3, "kind": "vector"}})
    assert isinstance(new_disagreement(table["n"]), AngularSpread)
    assert isinstance(new_disagreement(table["v"]), Variance)
