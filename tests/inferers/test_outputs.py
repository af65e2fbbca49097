"""What is written of each kind, by hand-computed values."""

import numpy as np
import pytest

from scripts.geometry import parse_targets
from scripts.inferers.outputs import OutputFormat, channel_slices, finalise, output_format, raw_format
from scripts.volumes import NORMAL_INT8, Encoding, decode


def target(channels=1, kind="label", **options):
    return parse_targets({"t": {"channels": channels, "kind": kind, **options}})["t"]


def column(*values):
    """Logits C 1 1 W from one row per channel."""
    return np.array(values, np.float32)[:, None, None, :]


EVERYWHERE = np.ones((1, 1, 3), bool)
HALF_COVERED = np.array([[[True, True, False]]])


@pytest.mark.parametrize(
    ("row", "options", "channels", "dtype", "downsample", "values"),
    [
        (target(), {}, 1, "uint8", "mean", "probability"),
        (target(), {"threshold": 0.4}, 1, "uint8", "mode", "mask"),
        (target(4), {}, 1, "uint8", "mode", "class"),
        (target(256), {}, 1, "uint8", "mode", "class"),
        (target(257), {}, 1, "uint16", "mode", "class"),
        (target(4), {"threshold": 0.4}, 1, "uint8", "mode", "class"),
        (target(4), {"class_output": "probabilities"}, 4, "uint8", "mean", "probability"),
        (target(4, activation="sigmoid"), {}, 4, "uint8", "mean", "probability"),
        (target(1, "scalar"), {}, 1, "float32", "mean", "scalar"),
        (target(3, "vector"), {"float_dtype": "float16"}, 3, "float16", "mean", "vector"),
        (target(3, "normal"), {"float_dtype": "float16"}, 3, "int8", "normal", "unit normal, components z y x"),
        (target(5, "points"), {}, 5, "float32", "mean", "points"),
    ],
)
def test_the_format_follows_the_kind(row, options, channels, dtype, downsample, values):
    form = output_format(row, **options)
    assert (form.channels, form.dtype, form.downsample) == (channels, dtype, downsample)
    attributes = form.store_attributes()["polytome"]
    assert attributes["values"] == values
    assert attributes["kind"] == str(row.kind)
    encoding = Encoding.from_attributes(form.store_attributes())
    expected = {"probability": Encoding(scale=1 / 255), "unit normal, components z y x": NORMAL_INT8}
    assert encoding == expected.get(values)


def test_a_probability_is_the_sigmoid_times_255():
    form = output_format(target())
    found = finalise(column([-np.log(3), np.log(3), -50.0]), EVERYWHERE, target(), form)
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == [64, 191, 0]  # 1/4 and 3/4 of 255, rounded


def test_a_threshold_counts_itself_in():
    form = output_format(target(), threshold=0.75)
    found = finalise(column([np.log(3) + 1e-3, np.log(3) - 1e-3, 50.0]), HALF_COVERED, target(), form)
    assert found.ravel().tolist() == [1, 0, 0]
    half = finalise(column([0.0, -1e-3, 1e-3]), EVERYWHERE, target(), output_format(target(), threshold=0.5))
    assert half.ravel().tolist() == [1, 0, 1]


def test_the_class_is_that_of_the_largest_logit():
    found = finalise(column([0, 2, 0], [1, -1, 3], [0.5, 0, 9]), HALF_COVERED, target(3), output_format(target(3)))
    assert found.shape == (1, 1, 1, 3)
    assert found.ravel().tolist() == [1, 0, 0]


def test_a_class_beyond_what_a_byte_holds_is_not_another_class():
    row = target(300)
    logits = np.zeros((300, 1, 1, 3), np.float32)
    for voxel, number in enumerate((255, 256, 299)):
        logits[number, 0, 0, voxel] = 1
    assert finalise(logits, EVERYWHERE, row, output_format(row)).ravel().tolist() == [255, 256, 299]


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("none", [[51, 204], [204, 51]]), ("sigmoid", [[85, 170], [170, 85]])],  # 1/5 and 4/5 of 255; 1/3 and 2/3
)
def test_probabilities_of_classes_follow_the_activation(activation, expected):
    row = target(2, activation=activation)
    logits = column([-np.log(2), np.log(2)], [np.log(2), -np.log(2)])
    found = finalise(logits, np.ones((1, 1, 2), bool), row, output_format(row, class_output="probabilities"))
    assert found[:, 0, 0].tolist() == expected


def test_normals_get_unit_length_and_come_back_within_rounding():
    row = target(3, "normal")
    form = output_format(row)
    logits = column([3, 0, 1], [0, -5, 1], [4, 0, 1])
    found = finalise(logits, HALF_COVERED, row, form)
    assert found.dtype == np.int8
    assert found[:, 0, 0].T.tolist() == [[76, 0, 102], [0, -127, 0], [0, 0, 0]]  # 0.6 and 0.8 of 127
    values = decode(found, Encoding.from_attributes(form.store_attributes()))[:, 0, 0, :2]
    np.testing.assert_allclose(values.T, [[0.6, 0, 0.8], [0, -1, 0]], atol=0.5 / 127)


@pytest.mark.parametrize("float_dtype", ["float16", "float32"])
def test_scalars_are_written_as_they_are(float_dtype):
    row = target(1, "scalar")
    found = finalise(column([0.1, -7.25, 9.0]), HALF_COVERED, row, output_format(row, float_dtype=float_dtype))
    assert found.dtype == float_dtype
    assert found.ravel().tolist() == [np.dtype(float_dtype).type(0.1), -7.25, 0]


def test_a_scalar_with_an_activation_passes_it():
    row = target(1, "scalar", activation="sigmoid")
    found = finalise(column([0.0, np.log(3), 9.0]), HALF_COVERED, row, output_format(row))
    np.testing.assert_allclose(found.ravel(), [0.5, 0.75, 0])


def test_raw_output_is_float32():
    assert raw_format(3) == OutputFormat(3, "float32", "mean", None, {"values": "network output"})
    assert raw_format(3).store_attributes() == {"polytome": {"values": "network output"}}


def test_channels_follow_each_other():
    assert channel_slices([1, 3, 2]) == [slice(0, 1), slice(1, 4), slice(4, 6)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_output": "labels"}, "class_output must be one of argmax, probabilities; got 'labels'"),
        ({"float_dtype": "float64"}, "float_dtype must be one of float16, float32; got 'float64'"),
        ({"threshold": 1.0}, r"threshold must be a probability between 0 and 1, or null; got 1\.0"),
        ({"threshold": 0}, "threshold must be a probability between 0 and 1, or null; got 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        output_format(target(), **options)
