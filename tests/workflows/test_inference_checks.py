"""The check before an inference, of volumes and of landmarks: bad input gives one clear message and writes nothing."""

from copy import deepcopy

import pytest
import torch
from monai.bundle import ConfigParser
from tests.workflows.checked_arrays import BUNDLE, TARGETS, make_arrays

from scripts.workflows import RunError, check_inference
from scripts.workflows.start_checks import _weight_files, network_faults


@pytest.fixture
def folder(tmp_path):
    return make_arrays(tmp_path)


@pytest.fixture
def inference(folder):
    parser = ConfigParser()
    parser.read_config(BUNDLE / "configs" / "inference.json")
    parser.update(
        {
            "bundle_root": str(BUNDLE),
            "input": str(folder / "raw.zarr"),
            "output": str(folder / "out.zarr"),
            "weights": None,
            "targets": deepcopy(TARGETS),
            "patch_size": [16, 16, 16],
            "features_per_stage": [16, 16],
            "n_blocks_per_stage": [1, 1],
        }
    )
    return parser


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"input": "/no/raw.zarr"}, "/no/raw.zarr does not exist"),
        ({"in_channels": 2}, "has 1 channels, the network takes in_channels = 2"),
        ({"roi_size": [16, 16, 15]}, "roi_size: patch size [16, 16, 15] does not fit the network: axis x has 15"),
        ({"weights": "/no/model.pt"}, "weights /no/model.pt do not exist"),
        ({"targets#sheet#kind": "lable"}, "did you mean 'label'?"),
        ({"inferer#overlpa": 0.5}, "overlpa"),
        ({"mask": "/no/mask.zarr"}, "mask: /no/mask.zarr does not exist"),
        ({"region": [[0, 0, 0], [99, 9, 9]]}, "region [[0, 0, 0], [99, 9, 9]] of"),
        (
            {"handlers#0#load_dict": {"network": {"network": "@network"}}, "weights": "{folder}/model.pt"},
            "handlers#0#load_dict#network: expected an object with load_state_dict; got {'network': MultiTaskUNet",
        ),
        ({"memory_limit": -1}, "memory_limit must be a whole number of at least 1, or null; got -1"),
        ({"roi_size": None}, "roi_size: expected the window's voxels along z, y, x; got None"),
        ({"ome_version": "0.6"}, "ome_version must be one of 0.4, 0.5; got '0.6'"),
        ({"dataset#data": ["raw.zarr"]}, "dataset: data must be rows such as {\"image\": PATH}; got 'raw.zarr'"),
        ({"evaluator#val_data_loader": "x"}, "evaluator: its val_data_loader must give batches; got 'x'"),
        ({"device": "nowhere"}, "precision, device: "),
        ({"input_data": [7]}, "input_data: "),
    ],
)
def test_bad_input_of_inference(inference, folder, changes, part):
    inference.parse(True)
    torch.save(inference.get_parsed_content("network_def").state_dict(), folder / "model.pt")
    inference.update({k: v.format(folder=folder) if isinstance(v, str) else v for k, v in changes.items()})
    inference.parse(True)
    with pytest.raises(RunError, match="the inference cannot start, 1 fault:") as caught:
        check_inference(inference)
    assert part in str(caught.value)


def test_a_good_inference_passes(inference, folder):
    inference.parse(True)
    check_inference(inference)
    assert not (folder / "out.zarr").exists()


def test_of_a_folder_of_weights_every_file_is_checked(inference, folder):
    inference.parse(True)
    state = inference.get_parsed_content("network_def").state_dict()
    first = next(iter(state))
    (folder / "weights").mkdir()
    torch.save(state, folder / "weights" / "good.pt")
    torch.save({"network": state}, folder / "weights" / "checkpoint.pt")
    inference.update({"weights": str(folder / "weights")})
    inference.parse(True)
    assert _weight_files(inference) == [
        ("weights", str(folder / "weights" / name)) for name in ("checkpoint.pt", "good.pt")
    ]
    assert network_faults(inference, {}) == []
    torch.save({name: value for name, value in state.items() if name != first}, folder / "weights" / "lacking.pt")
    torch.save(state, folder / "weights" / "ignored.txt")
    (fault,) = network_faults(inference, {})
    assert fault.startswith(f"weights: {folder / 'weights' / 'lacking.pt'} belongs to another architecture")
    assert f"lacks {first}" in fault
    inference.update({"weights": [str(folder / "weights" / "good.pt"), "/no/model.pt"]})
    inference.parse(True)
    assert network_faults(inference, {}) == ["weights: weights /no/model.pt do not exist"]


@pytest.fixture
def landmarks(folder):
    """The inference of two landmarks."""
    parser = ConfigParser()
    parser.read_config([BUNDLE / "configs" / f"{name}.json" for name in ("inference", "landmarks_inference")])
    parser.update(
        {
            "bundle_root": str(BUNDLE),
            "input": [{"image": str(folder / "raw.zarr"), "landmarks": [[1, 2, 3], None], "id": "a"}],
            "weights": None,
            "targets": {"heatmaps": {"channels": 2, "kind": "points"}},
            "patch_size": [16, 16, 16],
            "features_per_stage": [16, 16],
            "n_blocks_per_stage": [1, 1],
        }
    )
    return parser


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"targets#heatmaps#channels": 3}, "a: has 2 landmarks; the network finds 3"),
        ({"mc_dropout": 4}, "mc_dropout: the network has no dropout; train it with a 'dropout' above 0"),
        (
            {"targets": deepcopy(TARGETS)},
            "targets: expected one of kind points, whose landmarks are to be found; got none",
        ),
        ({"input": None}, "give either input or landmark_file; got input = None, landmark_file = None"),
        ({"mirror_axes": ["w"]}, "mirror_axes"),
    ],
)
def test_bad_input_of_an_inference_of_landmarks(landmarks, changes, part):
    landmarks.update(changes)
    landmarks.parse(True)
    with pytest.raises(RunError, match="the inference cannot start") as caught:
        check_inference(landmarks)
    assert part in str(caught.value)


@pytest.mark.parametrize("changes", [{}, {"mc_dropout": 4, "dropout": 0.1}])
def test_a_good_inference_of_landmarks_passes(landmarks, changes):
    landmarks.update(changes)
    landmarks.parse(True)
    check_inference(landmarks)


def test_channels_of_several_inputs_are_added(landmarks, folder):
    landmarks.update({"input": [{"image": [str(folder / "raw.zarr"), str(folder / "sheet.zarr")]}], "in_channels": 2})
    landmarks.parse(True)
    check_inference(landmarks)
