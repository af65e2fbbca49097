"""What all label transforms share: values, unknown voxels, spacing, meta, keys."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Compose, Flipd, Rotate90d, Rotated, Zoomd

from scripts.transforms import (
    DilateLabel,
    DilateLabeld,
    LabelToBoundary,
    LabelToBoundaryd,
    LabelToDistance,
    LabelToDistanced,
    LabelToNormals,
    LabelToNormalsd,
    SmoothLabel,
    SmoothLabeld,
)
from scripts.transforms.labels import read_label

SPACING = (3.0, 1.0, 1.5)
PAIRS = [
    pytest.param(LabelToDistance, LabelToDistanced, {"clip": 4.0}, id="distance"),
    pytest.param(LabelToNormals, LabelToNormalsd, {"mode": "object", "sigma": 2.0, "width": 4.0}, id="normals"),
    pytest.param(LabelToBoundary, LabelToBoundaryd, {"thickness": 1.5}, id="boundary"),
    pytest.param(DilateLabel, DilateLabeld, {"radius": 1.5}, id="dilate"),
    pytest.param(SmoothLabel, SmoothLabeld, {"sigma": 1.5}, id="smooth"),
]
UNKNOWN = {LabelToDistance: "nan", LabelToNormals: 0, LabelToBoundary: -1, DilateLabel: -1, SmoothLabel: "nan"}


def affine_of(spacing):
    return torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))


def blob() -> torch.Tensor:
    """A box with a corner of unknown voxels, 1 D H W."""
    label = torch.zeros(1, 6, 10, 8, dtype=torch.int32)
    label[:, 1:4, 2:7, 2:6] = 3
    label[:, :2, :4, :4] = -1
    return label


def with_affine(label, spacing=SPACING):
    affine = affine_of(spacing)
    return MetaTensor(label, affine=affine, meta={"reference_affine": affine.clone(), "start": [1, 2, 3]})


@pytest.mark.parametrize(("array_form", "dictionary_form", "options"), PAIRS)
class TestAllOfThem:
    def test_unknown_voxels_are_background_that_stays_unknown(self, array_form, dictionary_form, options):
        label = blob()
        unknown = label[0] < 0
        out = array_form(**options, spacing=SPACING)(label)
        as_background = array_form(**options, spacing=SPACING)(label.clamp_min(0))
        assert torch.equal(out[:, ~unknown], as_background[:, ~unknown])
        if UNKNOWN[array_form] == "nan":
            assert out[:, unknown].isnan().all()
        else:
            assert (out[:, unknown] == UNKNOWN[array_form]).all()
        assert not torch.equal(out[:, unknown], as_background[:, unknown])

    def test_dictionary_and_array_form_agree(self, array_form, dictionary_form, options):
        label = with_affine(blob())
        expected = array_form(**options)(label)
        sample = {"label": label, "other": 5}
        out = dictionary_form("label", "derived", **options)(sample)
        torch.testing.assert_close(out["derived"], expected, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(out["label"], label)
        assert "derived" not in sample
        in_place = dictionary_form(["label"], **options)(sample)
        torch.testing.assert_close(in_place["label"], expected, rtol=0, atol=0, equal_nan=True)
        assert in_place.keys() == {"label", "other"}

    def test_the_spacing_of_the_meta_equals_the_argument(self, array_form, dictionary_form, options):
        from_meta = array_form(**options)(with_affine(blob())).as_tensor()
        plain = array_form(**options, spacing=SPACING)(blob())
        other = array_form(**options, spacing=(1, 1, 1))(with_affine(blob())).as_tensor()
        torch.testing.assert_close(from_meta, plain, rtol=0, atol=0, equal_nan=True)
        assert not torch.equal(torch.nan_to_num(other), torch.nan_to_num(plain))

    def test_a_zoom_does_not_change_the_nominal_spacing(self, array_form, dictionary_form, options):
        zoom = Zoomd("label", zoom=1.5, mode="nearest-exact", keep_size=False)
        zoomed = zoom({"label": with_affine(blob())})["label"]
        out = array_form(**options)(zoomed).as_tensor()
        read_as_if = array_form(**options, spacing=SPACING)(zoomed.as_tensor())
        torch.testing.assert_close(out, read_as_if, rtol=0, atol=0, equal_nan=True)

    def test_the_meta_stays_and_collates(self, array_form, dictionary_form, options):
        label = with_affine(blob())
        out = dictionary_form("label", **options)({"label": label})
        assert isinstance(out["label"], MetaTensor)
        assert torch.equal(out["label"].affine, affine_of(SPACING))
        assert out["label"].meta["start"] == [1, 2, 3]
        for single in decollate_batch(list_data_collate([out, out])):
            assert torch.equal(single["label"].meta["reference_affine"], affine_of(SPACING))

    def test_float_labels_and_two_dimensions(self, array_form, dictionary_form, options):
        flat = blob()[:, 2]
        flat[:, 8:] = -1
        out = array_form(**options, spacing=SPACING[1:])(flat)
        assert out.shape[1:] == (10, 8)
        as_float = array_form(**options, spacing=SPACING[1:])(torch.where(flat < 0, torch.nan, flat.double()))
        torch.testing.assert_close(as_float, out, rtol=0, atol=0, equal_nan=True)

    def test_errors_name_the_key(self, array_form, dictionary_form, options):
        transform = dictionary_form(["a", "b"], **options)
        with pytest.raises(ValueError, match=r"key 'b': a label must have shape 1 D H W .* got \(2, 4, 4, 4\)"):
            transform({"a": with_affine(blob()), "b": torch.zeros(2, 4, 4, 4)})
        with pytest.raises(TypeError, match=r"key 'a': expected a label tensor .*got list"):
            transform({"a": [1], "b": [1]})
        with pytest.raises(KeyError, match="missing"):
            transform({"a": with_affine(blob())})
        assert dictionary_form(["a", "b"], **options, allow_missing_keys=True)({"c": 1}) == {"c": 1}

    def test_as_many_output_keys_as_keys(self, array_form, dictionary_form, options):
        with pytest.raises(ValueError, match=r"output_keys must hold one key per key \('a', 'b'\), got \('c',\)"):
            dictionary_form(["a", "b"], "c", **options)


class TestReading:
    def test_ids_unknown_and_geometry(self):
        label = torch.tensor([[[2.0, 0.0], [-1.0, float("nan")]]])
        affine = affine_of((2.0, 4.0))
        read = read_label(MetaTensor(label, affine=affine, meta={"reference_affine": affine_of((1.0, 2.0))}))
        assert read.ids.tolist() == [[2, 0], [0, 0]]
        assert read.unknown.tolist() == [[False, False], [True, True]]
        assert read.spacing == (1.0, 2.0)
        assert np.array_equal(read.affine, affine.numpy())
        assert np.array_equal(read_label(label, (1, 2)).affine, affine_of((1, 2)).numpy())

    @pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float32])
    def test_dtypes(self, dtype):
        label = torch.tensor([[[0, 1], [1, 0]]]).to(dtype)
        assert read_label(label, (1, 1)).ids.tolist() == [[0, 1], [1, 0]]

    def test_a_plain_tensor_needs_a_spacing(self):
        with pytest.raises(ValueError, match=r"a plain tensor has no spacing: give spacing=\[z, y, x\]"):
            read_label(torch.zeros(1, 2, 2, 2))
        with pytest.raises(ValueError, match=r"spacing must hold 3 lengths above 0.*got \(1, 0, 1\)"):
            read_label(torch.zeros(1, 2, 2, 2), (1, 0, 1))

    def test_an_interpolated_label_is_refused_with_the_remedy(self):
        """MONAI 1.6 forgets mode="nearest" in Compose(lazy=True), which turns labels into fractions."""
        turn = Rotated("label", angle=(0.3, 0.0, 0.0), mode="nearest", padding_mode="zeros")
        derive = DilateLabeld("label", radius=1.5)
        sample = {"label": with_affine(blob().clamp_min(0))}
        with pytest.raises(Exception) as caught:
            Compose([turn, derive], lazy=True)(sample)
        assert "key 'label': a label must hold whole numbers, got" in str(caught.value.__cause__)
        assert "overrides" in str(caught.value.__cause__)
        overrides = {"label": {"mode": "nearest", "padding_mode": "zeros"}}
        lazily = Compose([turn, derive], lazy=True, overrides=overrides)(sample)["label"]
        assert torch.equal(lazily, Compose([turn, derive])(sample)["label"])

    def test_pending_operations(self):
        label = Flipd("label", lazy=True)({"label": with_affine(blob())})["label"]
        with pytest.raises(ValueError, match=r"label still has 1 pending lazy operations.*ApplyPendingd"):
            read_label(label)

    def test_the_order_of_quarter_turns_and_derivation_does_not_matter_where_voxels_are_cubes(self):
        label = {"label": with_affine(blob(), (2.0, 2.0, 2.0))}
        turn, derive = Rotate90d("label", spatial_axes=(0, 2)), LabelToDistanced("label", clip=5.0)
        torch.testing.assert_close(
            Compose([turn, derive])(label)["label"], Compose([derive, turn])(label)["label"], equal_nan=True
        )
