"""Cases in a JSON file."""

import json

import pytest

from scripts.workflows.evaluation.list import as_region, read_cases


def write(folder, content):
    path = folder / "cases.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_cases_are_read_with_paths_relative_to_the_file(tmp_path):
    path = write(
        tmp_path,
        [
            {
                "truth": "t/mito.zarr", "prediction": {"a": "a.zarr", "b": "/b.zarr"}, "class": "mito", "crop": "c1",
                "dataset": "d", "image": "s3://bucket/raw", "mask": "m.zarr", "kind": "instance",
                "region": [[0, 1, 2], [4, 5, 6]],
            },
            {"truth": "t/nuc.zarr", "prediction": {"b": None, "c": "c.zarr"}},
        ],
    )  # fmt: skip
    names, (mito, nuc) = read_cases(path)
    assert names == ["a", "b", "c"]
    assert (mito.title, mito.kind, mito.region) == ("d/c1/mito", "instance", ((0, 1, 2), (4, 5, 6)))
    assert (mito.truth, mito.mask, mito.image) == (f"{tmp_path}/t/mito.zarr", f"{tmp_path}/m.zarr", "s3://bucket/raw")
    assert mito.predictions == (f"{tmp_path}/a.zarr", "/b.zarr", None)
    assert (nuc.label, nuc.predictions) == ("nuc", (None, None, f"{tmp_path}/c.zarr"))


def test_one_prediction_needs_no_name(tmp_path):
    names, (case,) = read_cases(write(tmp_path, [{"truth": "t.zarr", "prediction": "p.zarr"}]))
    assert (names, case.predictions) == (["prediction"], (f"{tmp_path}/p.zarr",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"cases.json: no JSON"),
        ({"truth": "t"}, r"expected a list of dictionaries with truth and prediction; got \{'truth': 't'\}"),
        ([], r"expected a list .* got \[\]"),
        ([{"truth": "t"}], r"case 0: 'prediction' is missing"),
        (
            [{"truth": "t", "prediction": "p"}, {"prediction": 3, "truht": "t"}],
            r"case 1: 'truth' is missing\n.*unknown key 'truht' \(did you mean 'truth'\?\); keys are class.*\n.*got 3",
        ),
        ([{"truth": "t", "prediction": "p", "region": [[0, 0], [1, 1]]}], r"region: expected \[\[z0.* got \[\[0, 0\]"),
    ],
)
def test_wrong_content_is_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_cases(write(tmp_path, content))


def test_a_region_is_two_corners_of_whole_numbers():
    assert as_region(None) is None
    assert as_region([[0, 1, 2.0], [3, 4, 5]]) == ((0, 1, 2), (3, 4, 5))
    for wrong in ([0, 1], [[0, 1, 2], [3, 4, 5.5]], "all"):
        with pytest.raises(ValueError, match="region: expected"):
            as_region(wrong)
