"""What streaming inference refuses before it writes: other settings, foreign stores, networks that do not fit."""

import pytest
import zarr
from tests.inferers.runs import TARGETS, TwoOutputs, make_volume, numbered

from scripts.inferers import ZarrSlidingWindowInferer


def test_other_settings_on_the_same_output_are_refused(tmp_path):
    volume = make_volume(tmp_path / "in.zarr", numbered((20, 20, 20)))
    arguments = {"roi_size": (10, 10, 10), "targets": TARGETS, "output": tmp_path / "out"}
    ZarrSlidingWindowInferer(**arguments)(volume, TwoOutputs())
    with pytest.raises(ValueError, match=r"overlap\[0\]: 0.25 -> 0.5"):
        ZarrSlidingWindowInferer(**arguments, overlap=0.5)(volume, TwoOutputs())
    other = TwoOutputs()
    other.layer.weight.data += 1
    with pytest.raises(ValueError, match=r"network: "):
        ZarrSlidingWindowInferer(**arguments)(volume, other)
    with pytest.raises(FileExistsError, match="resume = true, overwrite = true"):
        ZarrSlidingWindowInferer(**arguments, resume=False)(volume, TwoOutputs())
    ZarrSlidingWindowInferer(**arguments, overlap=0.5, overwrite=True)(volume, TwoOutputs())


def test_a_foreign_output_is_left_alone(tmp_path):
    volume = make_volume(tmp_path / "in.zarr", numbered((20, 20, 20)))
    zarr.create_group(str(tmp_path / "mine.zarr"), attributes={"kept": 1})
    with pytest.raises(FileExistsError, match=r"mine\.zarr exists and was not written"):
        ZarrSlidingWindowInferer((10, 10, 10), targets=TARGETS, output=tmp_path / "mine")(volume, TwoOutputs())
    assert zarr.open_group(str(tmp_path / "mine.zarr"), mode="r").attrs["kept"] == 1


@pytest.mark.parametrize(
    ("network", "targets", "message"),
    [
        (lambda x: x, TARGETS, "must return a dictionary target -> tensor; got Tensor"),
        (lambda x: {"sheet": x}, TARGETS, "no output 'normals'; its outputs: sheet"),
        (
            lambda x: {"sheet": x[..., 1:]},
            {"sheet": {"channels": 1}},
            r"shape \(1, 1, 8, 8, 7\), expected \(1, 1, 8, 8, 8\)",
        ),
        (lambda x: {"sheet": x}, None, "a volume needs 'targets'"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(tmp_path, network, targets, message):
    volume = make_volume(tmp_path / "in.zarr", numbered((8, 8, 8)))
    with pytest.raises(ValueError, match=message):
        ZarrSlidingWindowInferer((8, 8, 8), targets=targets, output=tmp_path / "out")(volume, network)


def test_a_volume_needs_an_output(tmp_path):
    volume = make_volume(tmp_path / "in.zarr", numbered((8, 8, 8)))
    with pytest.raises(ValueError, match="a volume needs 'output'"):
        ZarrSlidingWindowInferer((8, 8, 8), targets=TARGETS)(volume, TwoOutputs())


def test_a_run_that_would_write_nothing_is_refused():
    with pytest.raises(ValueError, match=r"output_targets must name a target, or be null for all of them; got \[\]"):
        ZarrSlidingWindowInferer((8, 8, 8), targets=TARGETS, output_targets=[])


@pytest.mark.parametrize("output", ["{run}_out", "{}_out", "{name"])
def test_an_output_with_other_braces_is_refused(tmp_path, output):
    volume = make_volume(tmp_path / "in.zarr", numbered((8, 8, 8)))
    with pytest.raises(ValueError, match=r"the only thing that may stand in braces is \{name\}"):
        ZarrSlidingWindowInferer((8, 8, 8), targets=TARGETS, output=str(tmp_path / output))(volume, TwoOutputs())
