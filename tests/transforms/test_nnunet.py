"""nnU-Net's list: order, probabilities and ranges; and MONAI's transforms in it by hand."""

import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    RandCoarseDropoutd,
    RandScaleIntensityd,
)
from scipy import stats

from scripts.transforms import (
    ApplySpatiald,
    RandBlurd,
    RandContrastd,
    RandGammad,
    RandLowResolutiond,
    RandMirrord,
    RandNoised,
    RandSpatiald,
    ReorientVectorsd,
    nnunet_augmentation,
)

TARGETS = {"organ": {"channels": 4}, "n": {"channels": 3, "kind": "normal"}}
KEYS = ["image", "organ", "n"]
EXPECTED = [
    (RandSpatiald, None),
    (RandNoised, 0.1),
    (RandBlurd, 0.2 * 0.5),
    (RandScaleIntensityd, 0.15),
    (RandContrastd, 0.15),
    (RandLowResolutiond, 0.25 * 0.5),
    (RandGammad, 0.1),
    (RandGammad, 0.3),
    (RandMirrord, 1 - 0.5**3),
]


def sample(size=(8, 8, 8), channels=1):
    generator = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(3, *size, generator=generator), dim=0)
    return {
        "image": MetaTensor(torch.randn(channels, *size, generator=generator)),
        "organ": MetaTensor(torch.randint(0, 4, (1, *size), generator=generator)),
        "n": MetaTensor(normals, meta={"reference_affine": torch.eye(4)}),
    }


def test_order_and_rates():
    transforms = nnunet_augmentation(KEYS, TARGETS)
    assert [type(one) for one in transforms] == [kind for kind, _ in EXPECTED]
    given = sample((3, 3, 90))  # so long that hardly any loss of resolution rounds to none
    for one, (_, prob) in list(zip(transforms, EXPECTED, strict=True))[1:]:
        one.set_random_state(1)
        changed = sum(not torch.equal(one(given)["image"].as_tensor(), given["image"].as_tensor()) for _ in range(2000))
        assert stats.binomtest(changed, 2000, prob).pvalue > 1e-4, type(one)
    assert transforms[0].draw.probabilities == {"rotation": 0.2, "scaling": 0.2, "elastic": 0.0}


def test_the_seed_repeats_everything():
    transform = Compose([*nnunet_augmentation(KEYS, TARGETS), ReorientVectorsd("n")])
    given = sample(channels=2)
    outs = []
    for seed in (*range(25), *range(25)):
        outs.append(transform.set_random_state(seed)(given))
    for one, again in zip(outs[:25], outs[25:], strict=True):
        for key in KEYS:
            assert torch.equal(one[key].as_tensor().nan_to_num(9), again[key].as_tensor().nan_to_num(9))
            assert torch.equal(one[key].affine, again[key].affine)
    assert len({float(out["image"].sum()) for out in outs}) == 25


def test_threads_make_no_difference():
    """Workers have one thread, the main process has more."""
    transform, given = Compose([*nnunet_augmentation(KEYS, TARGETS), ReorientVectorsd("n")]), sample((40, 48, 40))
    transform.transforms[4].transform.prob = 1.0  # a mean, the one step where threads could count
    threads = torch.get_num_threads()
    try:
        for seed in range(8):
            outs = []
            for n in (1, 2):
                torch.set_num_threads(n)
                outs.append(transform.set_random_state(seed)(given))
            for key in KEYS:
                assert torch.equal(*(out[key].as_tensor().nan_to_num(9) for out in outs))
    finally:
        torch.set_num_threads(threads)


def test_the_input_stays():
    given, transform = sample(), Compose(nnunet_augmentation(KEYS, TARGETS))
    for seed in range(10):
        transform.set_random_state(seed)(given)
    for key, value in sample().items():
        assert torch.equal(given[key].as_tensor(), value.as_tensor())
        assert torch.equal(given[key].affine, value.affine)


def test_a_wide_patch_is_augmented_in_its_planes():
    flat, cubic = (nnunet_augmentation(KEYS, TARGETS, patch_size=size) for size in ((20, 80, 61), (20, 60, 60)))
    assert flat[0].draw.rotation.tolist() == [180, 0, 0]
    assert flat[0].draw.in_plane
    assert flat[5].transform.axes == (1, 2)
    assert cubic[0].draw.rotation.tolist() == [30, 30, 30]
    assert not cubic[0].draw.in_plane
    assert cubic[5].transform.axes is None


def test_what_is_drawn_before_reading_is_only_applied():
    assert isinstance(nnunet_augmentation(KEYS, TARGETS, is_drawn=True)[0], ApplySpatiald)


def test_other_images():
    given = {"ct": torch.randn(1, 4, 4, 4), "pet": torch.randn(1, 4, 4, 4), "image": torch.randn(1, 4, 4, 4)}
    transforms = nnunet_augmentation(list(given), image_keys=["ct", "pet"])[1:8]
    outs = [Compose(transforms).set_random_state(seed)(given) for seed in range(10)]
    for key, changes in {"ct": True, "pet": True, "image": False}.items():
        assert any(not torch.equal(torch.as_tensor(out[key]), given[key]) for out in outs) == changes


class TestMonai:
    """What MONAI's transforms of the list do, by hand."""

    IMAGE = torch.stack([torch.randn(5, 6, 7), 10 + 3 * torch.randn(5, 6, 7)])

    def test_brightness_multiplies_each_channel(self):
        transform = RandScaleIntensityd("image", factors=0.25, prob=1, channel_wise=True).set_random_state(0)
        factors = []
        for _ in range(300):
            ratio = transform({"image": self.IMAGE})["image"].as_tensor() / self.IMAGE
            torch.testing.assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio))
            factors += ratio[:, 0, 0, 0].tolist()
        assert stats.kstest(factors, stats.uniform(0.75, 0.5).cdf).pvalue > 1e-4
        assert len(set(factors)) > 590

    def test_random_erasing_repeats_with_the_seed(self):
        transform = RandCoarseDropoutd("image", holes=2, spatial_size=3, fill_value=0, prob=1)
        first, again, other = (
            transform.set_random_state(seed)({"image": self.IMAGE.clone()})["image"].as_tensor() for seed in (1, 1, 2)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert 27 <= int((first == 0).all(dim=0).sum()) <= 54
        assert torch.equal(first[first != 0], self.IMAGE[first != 0])
