"""Networks of a task file, as the overlays build them."""

import pytest
import torch
from tests.workflows.task_files import MINIMAL, SHEETNORM, SUCCESSOR, changed, imported, parsed


@pytest.mark.parametrize(("task", "ratio", "slope"), [(SHEETNORM, 4, 0.01), (SUCCESSOR, 16, 0)], ids=["json", "yaml"])
def test_the_overlays_build_the_same_network_and_the_optimizer(tmp_path, task, ratio, slope):
    _, train, inference = imported(tmp_path, task)
    trained, used = (
        parsed(name, overlay, tmp_path).get_parsed_content("network_def").state_dict()
        for name, overlay in (("train", train), ("inference", inference))
    )
    assert {key: value.shape for key, value in trained.items()} == {key: value.shape for key, value in used.items()}
    assert (
        sum(key.startswith("encoder.stages.2.") and key.endswith("conv1.conv.weight") for key in trained)
        == (train["n_blocks_per_stage"][2])
    )
    parser = parsed("train", train, tmp_path)
    parser["loss"] = None
    optimizer = parser.get_parsed_content("optimizer")
    scheduler = parser.get_parsed_content("lr_scheduler")
    (group,) = optimizer.param_groups
    if task is SHEETNORM:
        assert isinstance(optimizer, torch.optim.SGD)
        assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (0.01, 0.9, True, 0.0003)
    else:
        assert isinstance(optimizer, torch.optim.AdamW)
        assert (group["lr"], group["weight_decay"]) == (0.0001, 0.00001)
    assert scheduler.T_max == train["max_epochs"]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"basic_module": "ResNetBlock", "se_module": "cse"}, {"squeeze_excitation": False}),
        ({"basic_module": "nnUNetStyleResNetBlockSE"}, {"squeeze_excitation": "both", "se_ratio": 1}),
        ({"basic_module": "DoubleConv"}, {"squeeze_excitation": False}),
        ({"se_module": "sse"}, {"squeeze_excitation": "spatial"}),
    ],
)
def test_blocks_of_the_json_tasks(tmp_path, model, expected):
    said, train, _ = imported(tmp_path, changed(MINIMAL, model_config=model))
    assert {key: train[key] for key in expected} == expected
    assert ("basic_module = DoubleConv: the encoder's blocks are residual" in said) == ("DoubleConv" in str(model))


def test_layers_of_the_yaml_tasks(tmp_path):
    layers = "norm_op: nn.GroupNorm\n  norm_op_kwargs: {num_groups: 4}\n  nonlin_kwargs: {negative_slope: 2e-1}"
    task = SUCCESSOR.replace(
        "nonlin: nn.ReLU\n  norm_op_kwargs: {affine: true, eps: 1e-3}", layers + "\n  conv_bias: no"
    )
    _, train, _ = imported(
        tmp_path, task.replace("stochastic_depth_p: 0.1", "squeeze_excitation_reduction_ratio: 0.25")
    )
    assert train["norm"] == ["group", {"num_groups": 4}]
    assert train["act"] == ["leakyrelu", {"negative_slope": 0.2, "inplace": True}]
    assert (train["conv_bias"], train["se_ratio"]) == (False, 4)


def test_lists_beside_autoconfigure_count_and_the_rest_is_planned(tmp_path):
    task = SUCCESSOR.replace("autoconfigure: false", "autoconfigure: true").replace("  strides: ", "  # ")
    said, train, _ = imported(tmp_path, task)
    assert (train["features_per_stage"], train["strides"]) == ([16, 24, 32], None)
    assert "their program planned everything and did not read the lists of model_config" in said


def test_a_network_that_is_never_planned_says_so(tmp_path):
    task = changed(MINIMAL, tr_params={"autoconfigure": True}, model_config={"f_maps": [8, 16]})
    assert "tr_params.autoconfigure = true: this network is as model_config says" in imported(tmp_path, task)[0]
