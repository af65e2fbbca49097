"""What reorienting reads from the meta and leaves there, and how it fails."""

import copy

import numpy as np
import pytest
import torch
from monai.data import decollate_batch, list_data_collate
from monai.transforms import (
    Compose,
    Flipd,
    RandFlipd,
    RandRotate90d,
    Resized,
    Rotate90d,
    Rotated,
    Spacingd,
)
from tests.transforms.sphere import (
    CENTRE,
    KEYS,
    SPACINGS,
    affine_of,
    angles,
    expected_normals,
    old_array,
    positions,
    unit,
)

from scripts.transforms import ReorientVectors, ReorientVectorsd, TakeReferenceAffine, TakeReferenceAffined


class TestMeta:
    def test_a_second_use_changes_nothing(self):
        chain = [Rotate90d(KEYS, spatial_axes=(0, 2)), Rotated(KEYS, angle=(0.3, 0.1, 0.0), padding_mode="zeros")]
        once = Compose([*chain, ReorientVectorsd(KEYS)])({"n": old_array(SPACINGS[1], unit)})
        twice = ReorientVectorsd(KEYS)(once)
        assert torch.equal(once["n"].as_tensor(), twice["n"].as_tensor())
        assert torch.equal(twice["n"].meta["reference_affine"], twice["n"].affine)

    @pytest.mark.parametrize("kind", ["normal", "vector"])
    def test_twice_with_a_transform_between_is_once_after_both(self, kind):
        """Across unequal axes: the second step needs the nominal spacing, which the first reference no longer has."""
        first, second = Rotate90d(KEYS, spatial_axes=(0, 2)), Flipd(KEYS, spatial_axis=0)
        third = Rotate90d(KEYS, spatial_axes=(0, 1))
        turn = ReorientVectorsd(KEYS, kind=kind)
        data = old_array(SPACINGS[1], unit)
        stepped = Compose([first, turn, second, turn, third, turn])({"n": data})["n"]
        at_once = Compose([first, second, third, turn])({"n": data})["n"]
        torch.testing.assert_close(stepped.as_tensor(), at_once.as_tensor(), rtol=0, atol=1e-6)
        assert stepped.meta["nominal_spacing"].tolist() == [3.0, 1.0, 1.5]

    def test_the_input_stays_as_it_was(self):
        data = Rotate90d(KEYS, spatial_axes=(0, 2))({"n": old_array(SPACINGS[1], unit)})
        before = copy.deepcopy(data)
        ReorientVectorsd(KEYS)(data)
        assert torch.equal(data["n"], before["n"])
        assert torch.equal(data["n"].meta["reference_affine"], before["n"].meta["reference_affine"])
        assert "nominal_spacing" not in data["n"].meta

    def test_original_affine_serves_where_there_is_no_reference(self):
        data = old_array(SPACINGS[1], unit)
        data.meta["original_affine"] = data.meta.pop("reference_affine").numpy()
        out = Compose([Flipd(KEYS, spatial_axis=1), ReorientVectorsd(KEYS)])({"n": data})["n"]
        expected, _ = expected_normals(out, SPACINGS[1])
        torch.testing.assert_close(out.as_tensor().double(), expected, rtol=0, atol=1e-6)

    def test_batches_keep_each_samples_reference(self):
        transform = Compose([RandRotate90d(KEYS, prob=0.5, spatial_axes=(0, 2)), RandFlipd(KEYS, prob=0.5)])
        transform.set_random_state(2)
        samples = [transform({"n": old_array((3.0, 1.0, 3.0), unit, {"start": [1, 2, 3]})}) for _ in range(4)]
        batch = list_data_collate(samples)
        assert batch["n"].meta["reference_affine"].shape == (4, 4, 4)
        for sample, single in zip(samples, decollate_batch(batch), strict=True):
            assert torch.equal(single["n"].meta["reference_affine"], affine_of((3.0, 1.0, 3.0)))
            assert torch.equal(ReorientVectorsd(KEYS)(single)["n"], ReorientVectorsd(KEYS)(sample)["n"])
        turned = [ReorientVectorsd(KEYS)(sample) for sample in samples]
        singles = decollate_batch(list_data_collate(turned))
        for one, single in zip(turned, singles, strict=True):
            assert torch.equal(single["n"].meta["nominal_spacing"], one["n"].meta["nominal_spacing"])
            assert torch.equal(single["n"].meta["reference_affine"], one["n"].affine)

    def test_zero_stays_zero_and_unknown_stays_unknown(self):
        data = old_array(SPACINGS[1], unit)
        data[:, :4], data[:, 4:8] = 0, float("nan")
        out = Compose([Flipd(KEYS, spatial_axis=0), ReorientVectorsd(KEYS)])({"n": data})["n"]
        assert torch.equal(out[:, -4:].as_tensor(), torch.zeros(3, 4, 45, 30))
        assert out[:, -8:-4].isnan().all()
        assert not out[:, :-8].isnan().any()


class TestTakeReference:
    def test_spacingd_changes_the_grid_not_the_directions(self):
        """Resampled from (3, 1, 1.5) to (1.5, 1.5, 1.5): the normals are those of the sphere itself."""
        resample = Spacingd(KEYS, pixdim=(1.5, 1.5, 1.5), mode="bilinear")
        take, turn = TakeReferenceAffined(KEYS), ReorientVectorsd(KEYS)
        out = Compose([resample, take, turn])({"n": old_array(SPACINGS[1], unit)})["n"]
        expected, compared = self.normals_of_the_scene(out)
        assert float(angles(out.as_tensor(), expected)[compared].median()) <= 0.3
        wrong = Compose([resample, turn])({"n": old_array(SPACINGS[1], unit)})["n"]
        assert float(angles(wrong.as_tensor(), expected)[compared].median()) > 3

    @staticmethod
    def normals_of_the_scene(out):
        linear, translation = out.affine[:3, :3], out.affine[:3, 3] - affine_of(SPACINGS[1])[:3, 3]
        offset = positions(out.shape[1:], linear, translation - torch.tensor(CENTRE, dtype=torch.float64))
        distance = offset.norm(dim=0)
        return unit(offset), (distance > 7) & (distance < 19)

    def test_it_forgets_the_old_nominal_spacing(self):
        data = ReorientVectors()(old_array((3.0, 1.0, 1.5), unit))
        out = TakeReferenceAffine()(Resized(KEYS, spatial_size=(30, 45, 30))({"n": data})["n"])
        assert "nominal_spacing" not in out.meta
        assert torch.equal(out.meta["reference_affine"], out.affine)
        assert data.meta["nominal_spacing"].tolist() == [3.0, 1.0, 1.5]


class TestErrors:
    def test_unknown_kind(self):
        with pytest.raises(ValueError, match=r"kind must be 'normal' or.*got 'normals' \(did you mean 'normal'"):
            ReorientVectorsd(KEYS, kind="normals")
        with pytest.raises(ValueError, match="got 'label'"):
            ReorientVectors("label")

    def test_one_kind_per_key(self):
        spacing = SPACINGS[1]
        sample = {"n": old_array(spacing, unit), "v": old_array(spacing, lambda offset: 5 * unit(offset))}
        flip = Rotate90d(["n", "v"], spatial_axes=(0, 2))
        both = Compose([flip, ReorientVectorsd(["n", "v"], kind=["normal", "vector"])])(sample)
        assert torch.equal(both["n"], ReorientVectors("normal")(flip(sample)["n"]))
        assert torch.equal(both["v"], ReorientVectors("vector")(flip(sample)["v"]))

    def test_plain_tensors(self):
        for transform in (ReorientVectorsd(KEYS), TakeReferenceAffined(KEYS)):
            with pytest.raises(TypeError, match=r"key 'n': expected a MetaTensor.*got Tensor.*set_track_meta\(True\)"):
                transform({"n": torch.zeros(3, 4, 4, 4)})
        with pytest.raises(TypeError, match="got ndarray"):
            ReorientVectors()(np.zeros((3, 4, 4, 4)))

    def test_missing_keys(self):
        with pytest.raises(KeyError, match="missing"):
            ReorientVectorsd(["absent"])({"n": 1})
        assert ReorientVectorsd(["absent"], allow_missing_keys=True)({"n": 1}) == {"n": 1}
        assert TakeReferenceAffined(["absent"], allow_missing_keys=True)({"n": 1}) == {"n": 1}

    def test_pending_operations(self):
        data = Flipd(KEYS, spatial_axis=0, lazy=True)({"n": old_array(SPACINGS[0], unit)})["n"]
        with pytest.raises(ValueError, match=r"1 pending lazy operations.*ApplyPendingd"):
            ReorientVectors()(data)
