"""What happens between the check and the first batch."""

import logging

import pytest
import torch

from scripts.networks import EmbeddingNetwork, MultiTaskUNet
from scripts.workflows import load_weights
from scripts.workflows.start import changed_settings


def network(*targets):
    return MultiTaskUNet(
        3,
        1,
        {name: {"channels": 1} for name in targets},
        patch_size=[8, 8, 8],
        features_per_stage=[4, 8],
        n_blocks_per_stage=[1, 1],
    )


def test_no_file_leaves_the_network_as_it_is():
    one = network("sheet")
    before = one.encoder.stem.conv.weight.clone()
    load_weights(one, None)
    assert torch.equal(one.encoder.stem.conv.weight, before)


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"network": state, "epoch": 3}])
def test_weights_come_from_a_bare_file_or_a_checkpoint(tmp_path, wrap):
    source, one = network("sheet"), network("sheet")
    torch.save(wrap(source.state_dict()), tmp_path / "model.pt")
    load_weights(one, tmp_path / "model.pt")
    for name, value in source.state_dict().items():
        assert torch.equal(one.state_dict()[name], value)


def test_targets_may_have_come_since_where_that_is_allowed(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    source = network("sheet")
    torch.save(source.state_dict(), tmp_path / "model.pt")
    one = network("sheet", "depth")
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"decoders\.depth"):
        load_weights(one, tmp_path / "model.pt")
    load_weights(one, tmp_path / "model.pt", partial=True)
    assert torch.equal(one.encoder.stem.conv.weight, source.encoder.stem.conv.weight)
    assert torch.equal(one.heads["sheet"].levels[0].weight, source.heads["sheet"].levels[0].weight)
    assert "loaded encoder, decoders.sheet, heads.sheet.levels.0; starting anew" in caplog.text


def test_a_pre_trained_base_starts_other_targets(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    source, one = network("embedding"), network("sheet", "depth")
    pre_trained = EmbeddingNetwork(source, 4)
    torch.save({"network": pre_trained.state_dict()}, tmp_path / "model.pt")
    load_weights(one, tmp_path / "model.pt", partial=True)
    image = torch.randn(2, 1, 8, 8, 8)
    features, decoder = source.encoder(image), source.decoders["embedding"]
    for name in ("sheet", "depth"):
        torch.testing.assert_close(one.decoders[name](one.encoder(image))[0], decoder(features)[0])
    assert "loaded encoder, decoders.sheet (from decoders.embedding), decoders.depth (from" in caplog.text
    assert "starting anew, not in the file or with other channels there: heads.sheet" in caplog.text
    assert "in the file, but not in the network: heads.embedding.levels.0, projection" in caplog.text


def test_another_plan_is_refused_even_in_parts(tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "model.pt")
    with pytest.raises(RuntimeError, match=r"belongs to another architecture: it lacks encoder\.stem"):
        load_weights(network("sheet"), tmp_path / "model.pt", partial=True)


def test_settings_that_have_changed_since_a_checkpoint():
    before = {"learning_rate": 0.1, "patch_size": [8, 8, 8], "load_model": None, "gone": 1}
    now = {"learning_rate": 0.2, "patch_size": (8, 8, 8), "load_model": "latest", "new": "x"}
    assert changed_settings(before, now) == ["learning_rate: 0.1 -> 0.2", "gone: 1 -> null", 'new: null -> "x"']
    assert changed_settings(before, before) == []
