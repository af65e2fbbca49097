"""Tensors with meta are what MONAI's constructor makes."""

import torch
from monai.data import MetaTensor

from scripts.transforms.meta import meta_tensor, with_values

AFFINE = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))


def test_it_is_what_the_constructor_makes():
    made = meta_tensor(torch.arange(3.0), {"name": "x"}, AFFINE)
    plain = MetaTensor(torch.arange(3.0), meta={"name": "x", "affine": AFFINE})
    assert type(made) is MetaTensor
    assert set(plain.meta) - set(made.meta) == {"space"}
    assert made.meta["name"] == "x"
    assert torch.equal(made.affine, plain.affine)
    assert set(vars(made)) == set(vars(plain))
    assert torch.equal(made.as_tensor(), plain.as_tensor())


def test_new_values_keep_meta_of_their_own():
    source = meta_tensor(torch.zeros(3), {"name": "x"}, AFFINE.clone())
    source.push_applied_operation({"class": "Flip"})
    out = with_values(source, torch.ones(3))
    assert out.meta["name"] == "x"
    assert out.applied_operations == source.applied_operations
    out.meta["name"], out.affine[0, 0] = "y", 9
    assert source.meta["name"] == "x"
    assert torch.equal(source.affine, AFFINE)
    assert type(with_values(torch.zeros(3), torch.ones(3))) is torch.Tensor
