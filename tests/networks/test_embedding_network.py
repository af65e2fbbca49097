"""A base with an embedding, and the projection that training compares."""

import pytest
import torch
from monai.networks.nets import UNet

from scripts.networks import EmbeddingNetwork, HeadNetwork, MultiTargetNetwork, MultiTaskUNet, match_weights

EMBEDDING = {"embedding": {"channels": 6, "kind": "scalar"}}


def base(targets=EMBEDDING, seed=0, **options):
    torch.manual_seed(seed)
    given = {"patch_size": [8, 8, 8], "features_per_stage": [4, 8], "n_blocks_per_stage": [1, 1], **options}
    return MultiTaskUNet(len(given["patch_size"]), 1, targets, **given)


def test_the_projection_is_two_products_with_a_relu_between():
    network = EmbeddingNetwork(base(), 3)
    image = torch.randn(2, 1, 8, 8, 8)
    outputs = network(image)
    assert list(outputs) == ["embedding", "projection"]
    torch.testing.assert_close(outputs["embedding"], network.base(image)["embedding"])
    (first, _, second) = network.projection
    vectors = outputs["embedding"].movedim(1, -1)  # B C D H W -> B D H W C
    hidden = (vectors @ first.weight.flatten(1).T + first.bias).clamp(min=0)
    expected = hidden @ second.weight.flatten(1).T + second.bias
    torch.testing.assert_close(outputs["projection"].movedim(1, -1), expected)


def test_planes_and_networks_of_monai_are_bases_too():
    plane = EmbeddingNetwork(base(patch_size=[8, 8]), 3)
    assert plane(torch.randn(2, 1, 8, 8))["projection"].shape == (2, 3, 8, 8)
    adapted = MultiTargetNetwork(UNet(3, 1, 5, (4, 8), (2,)), EMBEDDING, patch_size=[8, 8, 8])
    assert EmbeddingNetwork(adapted, 2)(torch.randn(2, 1, 8, 8, 8))["embedding"].shape == (2, 6, 8, 8, 8)


def test_a_base_without_one_embedding_is_refused():
    with pytest.raises(ValueError, match=r"MultiTaskUNet has the targets sheet; a base needs one.*\"embedding\""):
        EmbeddingNetwork(base({"sheet": {"channels": 1}}), 3)
    deep = base(deep_supervision=True, patch_size=[16] * 3, features_per_stage=[4, 8, 8], n_blocks_per_stage=[1] * 3)
    with pytest.raises(ValueError, match="deep_supervision: false"):
        EmbeddingNetwork(deep, 3)


@pytest.mark.parametrize("decoder", ["shared", "separate"])
@pytest.mark.parametrize("base_decoder", ["shared", "separate"])
@pytest.mark.parametrize("is_bare", [True, False])
def test_encoder_and_decoder_start_other_targets(decoder, base_decoder, is_bare):
    trained = EmbeddingNetwork(base(decoder=base_decoder), 3)
    targets = {"sheet": {"channels": 1}, "normals": {"channels": 3, "kind": "normal"}}
    network = base(targets, seed=1, decoder=decoder)
    match = match_weights(network, (trained.base if is_bare else trained).state_dict())
    assert match.faults == []
    network.load_state_dict(match.weights, strict=False)
    image = torch.randn(2, 1, 8, 8, 8)
    features = trained.base.encoder(image)
    for found, expected in zip(network.encoder(image), features, strict=True):
        torch.testing.assert_close(found, expected)
    old = trained.base.shared_decoder or trained.base.decoders["embedding"]
    decoders = [network.shared_decoder] if decoder == "shared" else list(network.decoders.values())
    assert len(decoders) == (1 if decoder == "shared" else 2)
    for one in decoders:
        torch.testing.assert_close(one(features)[0], old(features)[0])
    names = ["shared_decoder"] if decoder == "shared" else ["decoders.sheet", "decoders.normals"]
    source = "shared_decoder" if base_decoder == "shared" else "decoders.embedding"
    assert match.loaded == ["encoder", *names]
    assert match.sources == ({} if [source] == names else dict.fromkeys(names, source))
    assert match.fresh == ["heads.sheet.levels.0", "heads.normals.levels.0"]
    assert match.unused == ["heads.embedding.levels.0", *([] if is_bare else ["projection"])]


def test_a_base_fits_the_networks_that_have_one():
    trained = base()
    pre_training = EmbeddingNetwork(base(seed=1), 3)
    match = match_weights(pre_training, trained.state_dict())
    assert match.faults == []
    assert match.fresh == ["projection"]
    pre_training.load_state_dict(match.weights, strict=False)
    heads = HeadNetwork({"sheet": {"channels": 1}}, base(seed=2))
    match = match_weights(heads, pre_training.state_dict())
    assert match.faults == []
    assert (match.fresh, match.unused) == (["heads.sheet"], ["projection"])
    assert match.loaded == ["base.encoder", "base.decoders.embedding", "base.heads.embedding.levels.0"]
    heads.load_state_dict(match.weights, strict=False)
    image = torch.randn(2, 1, 8, 8, 8)
    torch.testing.assert_close(heads.base(image), trained(image))


def test_a_frozen_base_must_fit_whole():
    other = EmbeddingNetwork(base({"embedding": {"channels": 5, "kind": "scalar"}}), 3)
    frozen = HeadNetwork({"sheet": {"channels": 1}}, base())
    (fault,) = match_weights(frozen, other.state_dict()).faults
    assert fault.startswith("has other shapes: base.heads.embedding.levels.0.weight (5, 4, 1, 1, 1) instead of (6, 4")
    (fault,) = match_weights(frozen, base({"sheet": {"channels": 1}}).state_dict()).faults
    assert fault == "lacks base.heads.embedding.levels.0.weight, base.heads.embedding.levels.0.bias"
    free = HeadNetwork({"sheet": {"channels": 1}}, base(), freeze_base=False)
    match = match_weights(free, other.state_dict())
    assert match.faults == []
    assert set(match.fresh) == {"base.heads.embedding.levels.0", "heads.sheet"}
