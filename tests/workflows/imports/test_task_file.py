"""What is no task file, or one with faults."""

import pytest
from tests.workflows.task_files import MINIMAL, SUCCESSOR, TARGETS, VOLUMES, changed, imported, with_targets


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"targets": TARGETS}, r"is no task file; expected the sections tr_params, .* or tr_setup, .*; found targets"),
        ({**MINIMAL, "tr_setup": {}}, "mixes the sections of two programs"),
        ({"tr_params": {}}, r"dataset_config.targets must be such as .*; got nothing"),
        (changed(MINIMAL, dataset_config={"volume_paths": []}), r"dataset_config.volume_paths must be .*; got \[\]"),
        (
            changed(MINIMAL, dataset_config={"volume_paths": [{"sheet": "s"}]}),
            r"volume_paths\[0\] must be a table with",
        ),
        (
            {**MINIMAL, "targets": {"ink": {"channels": 1}}},
            "'targets' differs from dataset_config.targets; give it once",
        ),
        (changed(MINIMAL, tr_params={"bath_size": 2}), r"tr_params.bath_size \(did you mean 'batch_size'\?\)"),
        (changed(MINIMAL, tr_params={"use_cache": 1}), r"tr_params.use_cache \(it belongs to dataset_config\)"),
        (changed(MINIMAL, inference_parms={}), r"unknown keys: inference_parms \(did you mean 'inference_params'\?\)"),
        (with_targets({"x": {"chanels": 1}}), r"targets.x.chanels \(did you mean 'channels'\?\)"),
        (with_targets({"x": {}}), "targets.x: 'channels' must be given"),
        (with_targets({"x": {"channels": 0}}), "targets.x.channels: expected a whole number of at least 1, got 0"),
        (
            with_targets({"x": {"channels": 1, "loss_fn": "BCEDice"}}),
            r"targets.x.loss_fn: .*did you mean 'BCEDiceLoss'",
        ),
        (
            with_targets({"x": {"channels": 1, "loss_kwargs": {"alfa": 1}}}),
            r"targets.x.loss_kwargs.alfa \(did you mean 'alpha'\?\)",
        ),
        (with_targets({"x": {"channels": 1, "loss_fn": "CE"}}), "targets: x: loss 'ce' needs a label with at least 2"),
        (
            changed(MINIMAL, tr_params={"optimizer": "Adam"}),
            r"tr_params.optimizer: expected one of AdamW, SGD; got 'Adam'",
        ),
        (changed(MINIMAL, tr_params={"initial_lr": "fast"}), "tr_params.initial_lr: expected a number, got 'fast'"),
        (
            changed(MINIMAL, tr_params={"tr_val_split": 95}),
            "tr_params.tr_val_split: expected a share from 0 to 1, got 95",
        ),
        (
            changed(MINIMAL, tr_params={"patch_size": [64, 64]}),
            r"expected three numbers of voxels z, y, x, got \[64, 64\]",
        ),
        (
            changed(MINIMAL, tr_params={"patch_size": [16] * 3}),
            r"too small for 6 stages .* the smallest is \[32, 32, 32\]",
        ),
        (
            changed(MINIMAL, tr_params={"patch_size": [48] * 3}),
            r"patch_size: .* axis z has 48 voxels.*nearest: 32 or 64",
        ),
        (
            changed(MINIMAL, model_config={"f_maps": [8, 16], "n_levels": 3}),
            r"n_levels = 3, but model_config.f_maps = \[8",
        ),
        (
            changed(MINIMAL, model_config={"f_maps": 32}),
            "expected a list with one number of channels per level, got 32",
        ),
        (
            changed(MINIMAL, model_config={"f_maps": [8], "strides": [1]}),
            "mixes the keys of two networks: f_maps; and str",
        ),
        (
            changed(MINIMAL, inference_params={"patch_size": [40] * 3}),
            "the window of inference: .* axis z has 40 voxels",
        ),
        (
            changed(MINIMAL, inference_params={"output_targets": ["shet"]}),
            r"inference_params.output_targets: there is no target 'shet' \(did you mean 'sheet'\?\)",
        ),
        (
            changed(MINIMAL, dataset_config={"volume_paths": [{**VOLUMES[0], "ref_label": "shet"}]}),
            r"volume_paths\[0\].ref_label: the volume has no 'shet' \(did you mean 'sheet'\?\)",
        ),
        (
            SUCCESSOR.replace("num_stages: 3", "num_stages: 4"),
            r"num_stages = 4, but model_config.features_per_stage = \[",
        ),
        (
            SUCCESSOR.replace("[1, 2, 2]\n", "[1, 2]\n"),
            "n_blocks_per_stage has 2 entries, but features_per_stage has 3",
        ),
        (SUCCESSOR.replace("  strides: ", "  # "), "model_config lacks strides, and autoconfigure is false"),
        (
            SUCCESSOR.replace("nonlin: nn.ReLU", "squeeze_excitation_reduction_ratio: 0"),
            "squeeze_excitation_reduction_ratio: expected a share above 0, got 0",
        ),
        (
            changed(MINIMAL, inference_params={"overlap": 1}),
            "inference_params.overlap: expected a share below 1, got 1",
        ),
        ("a: [", "cannot be read: while parsing"),
        ("- a", "holds a list; expected a table of sections"),
    ],
)
def test_faults_of_a_task_are_named(tmp_path, task, message):
    with pytest.raises(ValueError, match=message):
        imported(tmp_path, task)
    assert not (tmp_path / "overlay.json").exists()


def test_unknown_keys_can_be_left_out(tmp_path):
    task = changed(MINIMAL, tr_params={"bath_size": 7})
    said, train, _ = imported(tmp_path, task, skip_unknown=True)
    assert train["batch_size"] == 2
    assert "tr_params.bath_size (did you mean 'batch_size'?): unknown, left out" in said
