"""The runs of a sweep: their folders, overlays, commands and what they need."""

import copy
import json

import pytest
from tests.workflows.sweep_files import MODEL, OWN, PARAM_DICT, imported

from scripts.workflows.sweeps.file import read_experiment
from scripts.workflows.sweeps.plan import Checkpoints, Plan


def planned(tmp_path, content, **options):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    return Plan(read_experiment(path), tmp_path / "root", **options)


def configs(run, number=-1):
    """Names of the configs of a command."""
    return [name.rpartition("/")[2] for name in run.commands[number][-1].strip("[]").replace("'", "").split(", ")]


def test_the_tree_of_the_documented_form(tmp_path):
    plan = planned(tmp_path, OWN)
    expected = [f"combination-{i}/contrastive" for i in range(4)]
    expected += [f"combination-{i}/embs/contrastive_ckpt10/train" for i in range(4)]
    expected += [f"points/volume-0/k-{k}" for k in (8, 16)]
    for i in range(4):
        heads = [(0, 10), (1, 10), *([(2, 0), (3, 0)] if i < 2 else [])]  # baselines: once for each model
        for j, checkpoint in heads:
            head = f"combination-{i}/seg/combination-{j}/contrastive_ckpt{checkpoint}"
            expected += [head, *(f"{head}/val_{m}" for m in (8, 12))]  # the last 2 of 3 epochs of 4 steps
    assert sorted(plan.runs) == sorted(expected)
    assert all(run.folder == str(tmp_path / "root" / name) for name, run in plan.runs.items())


def test_runs_come_after_what_they_need(tmp_path):
    plan = planned(tmp_path, OWN)
    names = list(plan.runs)
    assert all(names.index(need) < names.index(name) for name, run in plan.runs.items() for need in run.needs)


def test_a_pretraining(tmp_path):
    run = planned(tmp_path, OWN).runs["combination-3/contrastive"]
    root = tmp_path / "root/combination-3/contrastive"
    overlay = run.files["overlay.json"]
    assert overlay["volumes"] == [{"image": str(tmp_path.cwd() / "data/cells.zarr/raw")}]
    assert {key: overlay[key] for key in ("learning_rate", "features_per_stage", "max_epochs", "load_model")} == {
        "learning_rate": 0.01, "features_per_stage": [8, 16], "max_epochs": 2, "load_model": "latest"
    }  # fmt: skip
    assert (overlay["output_dir"], overlay["ckpt_dir"]) == (str(root), str(root / "checkpoints"))
    assert run.commands[0][:4] == ("monai.bundle", "run", "training", "--config_file")
    assert configs(run) == ["train.json", "contrastive.json", "overlay.json"]
    assert run.training.weights == {2: str(root / "weights/ckpt_10.pt")}


def test_a_sparse_head_is_trained_on_the_embeddings_of_its_own_pretraining(tmp_path):
    runs = planned(tmp_path, OWN).runs
    root = tmp_path / "root"
    run = runs["combination-2/seg/combination-1/contrastive_ckpt10"]
    overlay = run.files["overlay.json"]
    assert overlay["base_weights"] == str(root / "combination-2/contrastive/weights/ckpt_10.pt")
    assert overlay["h_channels"] == 3
    assert overlay["volumes"] == [
        {
            "image": str(root / "combination-2/embs/contrastive_ckpt10/train/raw_embs.zarr/embedding"),
            "points": str(root / "points/volume-0/k-16/points.csv"),
            "region": [[0, 0, 0], [8, 16, 16]],
            "split": "train",
        }
    ]
    assert configs(run) == ["train.json", "seg_head.json", "sparse_head.json", "saved_embeddings.json", "overlay.json"]
    assert run.needs == (
        "combination-2/contrastive", "points/volume-0/k-16", "combination-2/embs/contrastive_ckpt10/train"
    )  # fmt: skip
    embedding = runs["combination-2/embs/contrastive_ckpt10/train"]
    assert embedding.files["overlay.json"]["weights"] == overlay["base_weights"]
    assert configs(embedding) == ["inference.json", "network.json", "embed.json", "overlay.json"]


def test_a_head_on_the_live_network_and_a_dense_one(tmp_path):
    content = copy.deepcopy(OWN)
    rows = content["heads"][0]["volumes"]
    content["heads"] = [
        {"config": "sparse_head", "num_points": 8, "saved_embeddings": False, "volumes": rows},
        {"volumes": rows},
        {"volumes": rows, "baseline": True},
    ]
    plan = planned(tmp_path, content)
    assert not [name for name in plan.runs if "embs" in name]
    live, dense, baseline = (
        plan.runs[f"combination-0/seg/combination-{j}/contrastive_ckpt{ckpt}"] for j, ckpt in ((0, 10), (1, 10), (2, 0))
    )
    assert configs(live) == ["train.json", "network.json", "seg_head.json", "sparse_head.json", "overlay.json"]
    assert live.files["overlay.json"]["volumes"][0]["image"].endswith("data/cells.zarr/raw")
    assert configs(dense) == ["train.json", "network.json", "seg_head.json", "overlay.json"]
    assert [row["ref_label"] for row in dense.files["overlay.json"]["volumes"]] == ["labels", "labels"]
    assert configs(baseline) == ["train.json", "seg_head.json", "overlay.json"]
    settings = baseline.files["overlay.json"]
    assert (settings["base_weights"], settings["freeze_base"], settings["features_per_stage"]) == (None, False, [4, 8])
    assert baseline.needs == ()


def test_a_baseline_has_the_model_of_its_combination_and_no_pretraining(tmp_path):
    runs = planned(tmp_path, OWN).runs
    for i, features in enumerate(([4, 8], [8, 16])):
        run = runs[f"combination-{i}/seg/combination-2/contrastive_ckpt0"]
        assert run.files["overlay.json"]["features_per_stage"] == features
        assert run.needs == ("points/volume-0/k-8",)
        assert configs(run)[-2:] == ["sparse_baseline.json", "overlay.json"]


def test_points_are_drawn_from_the_part_that_trains(tmp_path):
    run = planned(tmp_path, OWN).runs["points/volume-0/k-8"]
    words = list(run.commands[0])
    assert words[:2] == ["scripts", "points"]
    assert words[words.index("--region") + 1] == "[[0, 0, 0], [8, 16, 16]]"
    assert words[words.index("--k") + 1] == "8"


def test_a_validation_predicts_and_then_measures(tmp_path):
    name = "combination-0/seg/combination-0/contrastive_ckpt10"
    root = tmp_path / "root"
    run = planned(tmp_path, OWN).runs[f"{name}/val_12"]
    predicted, validated = run.files["predict.json"], run.files["validate.json"]["run"][0]
    assert predicted["weights"] == str(root / name / "weights/ckpt_12.pt")
    assert predicted["region"] == [[8, 0, 0], [16, 16, 16]]
    assert predicted["output"] == validated["samples"][0]["store"] == str(root / name / "samples/sample_12.zarr")
    assert validated["metrics"] == str(root / name / "metrics/metrics_12.csv")
    assert (validated["prediction"], validated["thresholds"]) == ("foreground", [0.3, 0.6])
    assert configs(run, 0) == ["inference.json", "network.json", "predict.json"]
    assert configs(run, 1) == ["validate.json"]
    assert name in run.needs


@pytest.mark.parametrize("shape", [[260, 260], [16, 16, 16]], ids=["slices", "volumes"])
def test_slices_are_validated_one_by_one(tmp_path, shape):
    dims = len(shape)
    model = {
        **MODEL, "in_shape": shape, "downsample_factors": [[2] * dims],
        "kernel_size_down": [[[3] * dims] * 2], "kernel_size_down_repeated": 2,
        "kernel_size_up": [[[3] * dims] * 2], "kernel_size_up_repeated": 1,
    }  # fmt: skip
    plan = Plan(imported(model=[model]), tmp_path)
    run = next(run for run in plan.runs.values() if run.mode == "val")
    assert run.files["validate.json"]["run"][0]["per_slice"] == (dims == 2)


def test_checkpoints_by_iteration(tmp_path):
    assert Checkpoints(6, 100, 2).by_iteration == {500: 5, 600: 6}
    assert Checkpoints(2, 5000, 9).by_iteration == {5000: 1, 10000: 2}
    plan = planned(tmp_path, PARAM_DICT, checkpoints=[5000, 10000])
    found = {name.split("/")[2] for name in plan.runs if "/embs/" in name}
    assert found == {"contrastive_ckpt5000", "contrastive_ckpt10000"}
    first = plan.runs["combination-0/seg/combination-0/contrastive_ckpt5000"].files["overlay.json"]
    assert first["base_weights"].endswith("weights/ckpt_5000.pt")
    with pytest.raises(
        ValueError, match=r"combination-0/contrastive keeps no checkpoint 7; it keeps .* 5000, 10000 iterations"
    ):
        planned(tmp_path, PARAM_DICT, checkpoints=[7])


def test_points_come_from_one_volume(tmp_path):
    content = copy.deepcopy(OWN)
    content["heads"][0]["volumes"].append({"image": "b.zarr", "labels": "c.zarr", "split": "train"})
    with pytest.raises(ValueError, match=r"points are drawn from one volume, but 2 train: .*, b.zarr"):
        planned(tmp_path, content)


def test_images_of_save_embs_are_embedded(tmp_path):
    runs = planned(tmp_path, PARAM_DICT).runs
    images = {name: run.files["overlay.json"]["input"] for name, run in runs.items() if run.mode == "emb"}
    assert images == {
        f"combination-0/embs/contrastive_ckpt10000/{part}": str(tmp_path.cwd() / f"data/cells.zarr/{part}/raw")
        for part in ("validate", "train")
    }
