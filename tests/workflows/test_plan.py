"""`plan`: what it prints builds the network that it speaks of."""

import json
import re
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from tests.bundle.running import command

from scripts.networks import MultiTaskUNet, batch_size_for, estimate_training_memory, plan_unet
from scripts.volumes import create_ome_zarr
from scripts.workflows.plan import plan

TRAIN = Path(__file__).parents[2] / "bundle" / "configs" / "train.json"
SMALL = {"memory_gb": 0.02, "median_shape": (48, 64, 64), "spacing": (3, 1, 1)}
TINY = {"patch_size": (4, 4), "spacing": (1, 1), "memory_gb": 0.01}


def _entries(printed):
    return json.loads(printed[printed.index("{\n") :])


def _shapes(network):
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.fixture
def volumes(tmp_path):
    rows = []
    for number, (shape, spacing) in enumerate(
        [((20, 64, 64), (4, 1, 1)), ((40, 64, 80), (2, 1, 1)), ((32, 48, 64), (4, 2, 1))]
    ):
        path = create_ome_zarr(tmp_path / f"{number}.zarr", (1, *shape), "uint8", spacing=spacing, levels=1).finish()
        rows.append({"image": str(path)})
    return rows


def test_printed_json_builds_the_planned_network():
    entries = _entries(plan(**SMALL))
    planned = plan_unet(None, SMALL["spacing"], memory_gb=0.02, median_shape=SMALL["median_shape"])
    assert entries.pop("batch_size") == planned.batch_size
    targets = {"label": {"channels": 2}}
    with torch.device("meta"):
        pasted = MultiTaskUNet(3, 1, targets, **entries)
        expected = MultiTaskUNet(3, 1, targets, plan=planned)
    assert _shapes(pasted) == _shapes(expected)
    assert pasted.plan.strides == planned.strides


def test_written_json_is_an_overlay_of_the_training_config(tmp_path, volumes):
    overlay = tmp_path / "plan.json"
    settings = {"volumes": volumes, "in_channels": 2, "deep_supervision": True}
    printed = plan(str(TRAIN), memory_gb=0.02, json=overlay, **settings)
    assert json.loads(overlay.read_text()) == _entries(printed)
    parser = ConfigParser()
    parser.read_config([str(TRAIN), str(overlay)])
    parser.update(settings)
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
    assert f"{sum(p.numel() for p in network.parameters()):,}" in printed
    assert parser["batch_size"] == _entries(printed)["batch_size"]
    # medians: spacing 4, 1, 1; shapes at this spacing 20, 64, 64 and 20, 64, 80 and 32, 96, 64
    planned = plan_unet(
        None,
        (4, 1, 1),
        memory_gb=0.02,
        median_shape=(20, 64, 64),
        dataset_voxels=20 * 64 * 64 + 20 * 64 * 80 + 32 * 96 * 64,
        in_channels=2,
        targets=parser["targets"],
        decoder="shared",
    )
    assert network.plan.strides == planned.strides
    assert tuple(parser["patch_size"]) == planned.patch_size
    assert parser["batch_size"] == planned.batch_size


def test_a_volume_counts_with_its_region_and_the_spacing_at_which_it_is_read(volumes):
    volumes = [{**volumes[0], "region": [[0, 0, 0], [12, 32, 16]]}]
    printed = plan(volumes=volumes, memory_gb=0.02)
    assert re.search(r"typical volume +12 x 32 x 16 voxels", printed)
    entries = _entries(printed)
    assert entries["patch_size"] == list(
        plan_unet(None, (4, 1, 1), memory_gb=0.02, median_shape=(12, 32, 16)).patch_size
    )
    entries = _entries(plan(volumes=volumes, memory_gb=0.02, spacing=(4, 2, 1)))
    assert entries["patch_size"] == list(
        plan_unet(None, (4, 2, 1), memory_gb=0.02, median_shape=(12, 16, 16)).patch_size
    )


def test_table_says_what_each_stage_is():
    printed = plan(patch_size=(13, 32), spacing=(3, 1), memory_gb=0.01)
    rows = [re.split(r"\s{2,}", line) for line in printed.splitlines()[:4]]
    # x is halved alone until its spacing of 2 is less than twice y's; y is padded to 14
    assert rows == [
        ["stage", "size", "stride", "kernel", "features", "blocks", "decoder convolutions"],
        ["1", "14 x 32", "1 x 1", "1 x 3", "32", "1", "1"],
        ["2", "14 x 16", "1 x 2", "3 x 3", "64", "3", "1"],
        ["3", "7 x 8", "2 x 2", "3 x 3", "128", "4", "-"],
    ]
    assert _entries(printed)["patch_size"] == [14, 32]


@pytest.mark.long
def test_memory_is_that_of_the_network_with_its_options():
    options = {"targets": {"a": {"channels": 1}, "b": {"channels": 3}}, "in_channels": 2, "decoder": "shared"}
    printed = plan(patch_size=(8, 8), spacing=(1, 1), memory_gb=0.05, batch_size=3, squeeze_excitation=True, **options)
    network = MultiTaskUNet(2, patch_size=(8, 8), squeeze_excitation=True, **options)
    assert re.search(rf"parameters +{sum(p.numel() for p in network.parameters()):,}\n", printed)
    for precision in ("fp32", "bf16"):
        memory = estimate_training_memory(network, (8, 8), 3, in_channels=2, precision=precision)
        found = re.search(rf"memory in {precision} +([\d.]+) GB .*0.05 GB holds a batch of (\d+)", printed)
        assert float(found[1]) == pytest.approx(memory.peak / 1e9, rel=0.01)
    assert int(found[2]) == batch_size_for(0.05, network, (8, 8), in_channels=2, precision="bf16")


def test_memory_that_holds_no_patch_by_bytes_is_told():
    # nnU-Net's rule counts feature maps alone; of a network for small patches the weights are what does not fit
    assert "0.002 GB holds not even one patch" in plan(patch_size=(8, 8), spacing=(1, 1), memory_gb=0.002)


def test_what_is_set_by_hand_replaces_the_rule():
    assert _entries(plan(**TINY, batch_size=5))["batch_size"] == 5
    assert _entries(plan(**TINY, max_features=8))["features_per_stage"] == [8]
    # a patch for which the preset's memory is too small is planned all the same
    huge = {"patch_size": (4, 4), "spacing": (1, 1), "targets": {"a": {"channels": 10**8}}, "max_features": 1}
    with pytest.raises(ValueError, match=r"8 GB holds a batch of two patches of 810,000,000 .* has 1,600,000,048"):
        plan(**huge)
    assert _entries(plan(**huge, batch_size=1))["batch_size"] == 1


def test_command_line_prints_the_plan_and_writes_the_overlay(tmp_path):
    printed = command(
        "scripts", "plan", "--patch_size", "4,4", "--spacing", "1,1", "--memory_gb", "0.01", "--json", "p.json",
        cwd=tmp_path,
    )  # fmt: skip
    assert _entries(printed) == json.loads((tmp_path / "p.json").read_text())
    assert _entries(printed)["patch_size"] == [4, 4]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"spacing": (1, 1)}, ValueError, "no volumes to measure; give --patch_size or --median_shape, or --volumes"),
        ({"patch_size": (16, 16)}, ValueError, "no volumes to measure; give --spacing, or --volumes"),
        ({"patch_size": 16, "spacing": (1, 1)}, ValueError, "patch_size: expected 2 or 3 numbers .*, got 16"),
        ({"spacing": 1, "patch_size": (16, 16)}, ValueError, "spacing: expected 2 or 3 numbers .*, got 1"),
        ({"patchsize": (16, 16)}, ValueError, r"unknown setting 'patchsize' \(did you mean 'patch_size'\?\)"),
        ({"config_file": str(TRAIN), "decoders": "shared"}, ValueError, r"'decoders' \(did you mean 'decoder'\?\)"),
        ({**TINY, "squeeze_excitation": "yes"}, ValueError, "squeeze_excitation must be 'channel' .*, got 'yes'"),
        ({"config_file": "no.json"}, FileNotFoundError, "no.json"),
        ({"json": "plan.txt"}, ValueError, "json: expected a name that ends in .json, got plan.txt"),
        ({**SMALL, "memory_gb": 1e-5}, ValueError, "1e-05 GB holds a patch of 850 .*even one of"),
    ],
)
def test_bad_input(options, error, message):
    with pytest.raises(error, match=message):
        plan(**options)


def test_a_file_that_exists_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("{}")
    options = {**TINY, "batch_size": 2, "json": path}
    with pytest.raises(FileExistsError, match=r"plan.json exists; choose another path, or pass --overwrite"):
        plan(**options)
    plan(**options, overwrite=True)
    assert json.loads(path.read_text())["batch_size"] == 2


def test_configs_that_do_not_build_the_plan(tmp_path):
    config = {"targets": {"a": {"channels": 1}}, "in_channels": 1}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    options = {"config_file": str(path), "patch_size": (16, 16), "spacing": (1, 1)}
    with pytest.raises(ValueError, match=r"config.json lacks decoder, network_def; give configs/train.json first"):
        plan(**options)
    path.write_text(json.dumps(config | {"decoder": "shared", "network_def": {"_target_": "torch.nn.Identity"}}))
    with pytest.raises(ValueError, match=r"network_def builds a Identity that does not follow the plan"):
        plan(**options)
