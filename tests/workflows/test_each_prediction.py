"""segment_each: which predictions are found, and where their objects go."""

import pytest

from scripts.workflows import segment_each


class Recorder:
    """Stands for BlockSegmentation; remembers what was run."""

    def __init__(self):
        self.ran = []

    def __call__(self, inputs, output):
        self.made = (inputs, output)
        return self

    def run(self):
        self.ran.append(self.made)


@pytest.fixture
def folder(tmp_path):
    for crop in ("crop1", "crop2", "crop10"):
        for label in ("nuc", "mito", "mito_mem"):
            (tmp_path / "p" / f"{crop}.zarr" / label).mkdir(parents=True)
    return tmp_path


def test_without_fields_there_is_one_run():
    recorder = Recorder()
    assert segment_each({"a": "p/x", "b": "p/y"}, "out", recorder) == ["out"]
    assert recorder.ran == [({"a": "p/x", "b": "p/y"}, "out")]


def test_every_path_that_fits_is_run_in_order(folder):
    recorder = Recorder()
    inputs = {"foreground": f"{folder}/p/{{crop}}.zarr/mito", "border": f"{folder}/q/{{crop}}/border"}
    found = segment_each(inputs, f"{folder}/out/{{crop}}.zarr", recorder)
    assert found == [f"{folder}/out/crop{n}.zarr" for n in (1, 2, 10)]
    assert recorder.ran[2] == (
        {"foreground": f"{folder}/p/crop10.zarr/mito", "border": f"{folder}/q/crop10/border"},
        f"{folder}/out/crop10.zarr",
    )
    assert len(recorder.ran) == 3


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ({"label": "mito*"}, ["crop1 mito", "crop1 mito_mem", "crop2 mito", "crop2 mito_mem", "crop10 mito"]),
        ({"label": ["nuc"], "crop": ["crop1", "crop2"]}, ["crop1 nuc", "crop2 nuc"]),
    ],
)
def test_fields_keep_what_fits(folder, keep, expected):
    (folder / "p" / "crop10.zarr" / "mito_mem").rmdir()
    assert segment_each({"a": f"{folder}/p/{{crop}}.zarr/{{label}}"}, "{crop} {label}", Recorder(), keep) == expected


@pytest.mark.parametrize(
    ("inputs", "output", "keep", "message"),
    [
        ({}, "out", None, "at least one entry"),
        ({"a": 7}, "out", None, "inputs: 'a' must be a path; got 7"),
        ({"a": "{crop}.zarr"}, "{label}", None, r"output names \{label\}, which is no field .* its fields are crop"),
        ({"a": "x.zarr"}, "out", {"crop": "1"}, r"keep names \{crop\}.* its fields are none"),
        ({"a": "{crop}", "b": "{crop}/{label}"}, "out", None, r"the path of 'b' names \{label\}"),
        ({"a": "{folder}/p/{{crop}}.zarr/{{label}}"}, "{crop}", None, r"mito_mem and .*/mito would both"),
    ],
)  # fmt: skip
def test_faults_are_named(folder, inputs, output, keep, message):
    given = {n: path.format(folder=folder) if "{folder}" in str(path) else path for n, path in inputs.items()}
    recorder = Recorder()
    with pytest.raises(ValueError, match=message):
        segment_each(given, output, recorder, keep)
    assert recorder.ran == []


def test_nothing_that_fits_is_an_error(folder):
    with pytest.raises(FileNotFoundError, match=r"no prediction fits .*\{crop\} being crop3"):
        segment_each({"a": f"{folder}/p/{{crop}}.zarr/nuc"}, "{crop}", Recorder(), {"crop": "crop3"})
