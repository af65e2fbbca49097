"""Landmarks of an image: heatmaps of one network, of several, or of views of the image, and where they are highest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer, SlidingWindowInferer
from torch import nn

from ..geometry import Kind, did_you_mean, parse_targets
from ..landmarks import DECODINGS, EVALUATION_MODES, decode_at, e_cpv, fit_gaussians, scale_points
from ..landmarks.decoding import SCALE_HEATMAP_FIRST, SOFT_ARGMAX, SUBPIXEL, USE_INPUT_SIZE
from ..volumes import Volume, fit, open_stack
from .landmark_passes import LandmarkPasses
from .window_transform import WindowTransform, bound, transformed

SMHA, EMHA, ECPV, GAUSSIAN = "smha", "emha", "ecpv", "gaussian"

UNCERTAINTIES = (SMHA, EMHA, ECPV)
"""Activation of one model, of the mean heatmap, and how far the members' coordinates are apart (Schobs et al. 2022)."""

WHOLE, STITCHED = "fully_convolutional", "patchify_and_stitch"

INFERENCE_MODES = (WHOLE, STITCHED)
"""The network sees the whole image at once; or windows, whose heatmaps are blended."""


@dataclass(frozen=True, eq=False)
class LandmarkPrediction:
    """Where the N landmarks of an image are.

    Points are indices z, y, x of the evaluated grid, N 3 float64 on the CPU, NaN where nothing was found.

    Args:
        found: points and uncertainty N of each method, the prediction proper first: `ecpv` where there are several
            members, else `smha`. The numbers of `smha` and `emha` are activations: the higher, the surer.
        members: points of each member.
        columns: further numbers, N each.
        heatmaps: mean of all members, N D H W float32 on the CPU, at the network's resolution; with the decoding
            `soft_argmax` of their weights exp(value / temperature), whose sum is 1.
        image: what the network got, C D H W float32 on the CPU.
        grid_shape: voxels z, y, x of the evaluated grid.
    """

    found: Mapping[str, tuple[np.ndarray, np.ndarray]]
    members: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray]
    heatmaps: torch.Tensor
    image: torch.Tensor
    grid_shape: tuple[int, int, int]


@dataclass
class _Passes:
    """What the passes of one network over the image gave: points of each, and the sum of heatmaps."""

    found: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)  # points 1 N 3, highest values 1 N
    total: torch.Tensor = field(default_factory=lambda: torch.zeros(()))  # 1 N D H W

    def add(self, heatmaps: torch.Tensor, found: tuple[torch.Tensor, torch.Tensor]) -> None:
        self.found.append(found)
        self.total = self.total.to(heatmaps.device) + heatmaps


class LandmarkInferer(Inferer):
    """Find landmarks by heatmaps, with how sure they are.

    The members of an ensemble are the networks of `members`, or else the network that the inferer is called with. Each
    may make several passes: mirrored, or with its dropout at work (MC dropout). All passes are members of what E-CPV
    and E-MHA measure; S-MHA is of the mean heatmaps of one network's passes.

    Sources: S-MHA, E-MHA and E-CPV from Schobs et al. 2022; MC dropout from Gal and Ghahramani 2016.

    Args:
        roi_size: windows of `patchify_and_stitch`, z, y, x.
        sw_batch_size: windows evaluated together.
        overlap: share of a window that its neighbour covers, too.
        inference_mode: one of `INFERENCE_MODES`.
        target: name of the target of kind points; `None`: the network's only one.
        input_size: voxels z, y, x to which images are resized; `None`: as they are.
        decoding: see `scripts.landmarks.decode_heatmaps`.
        evaluation_mode: see `scripts.landmarks.decode_at`. With `use_input_size` points stay in voxels of the resized
            image.
        temperature, window: of the decoding `soft_argmax`.
        uncertainties: which of `UNCERTAINTIES`; of a single pass there is `smha` alone.
        smha_member: number of the network that `smha` is of.
        mc_dropout: so many passes of each network with dropout; 0: one without.
        mirror_axes: of "z", "y", "x": images are also predicted mirrored; all combinations count.
        pairs: left and right landmarks, two each, by position (counted from 0) or name, that change places in a mirror.
        fit_gaussian: whether a Gaussian is fitted to the mean heatmaps: method `gaussian`, with the square root of the
            covariance's trace as uncertainty, and its covariance as columns.
        image_transform: of the image as the network gets it, such as `NormalizeImage`.
        members: the networks of an ensemble by name.
        names: of the landmarks; needed for pairs by name.
        seed: of what `mc_dropout` drops, the same of every image.

    Raises:
        ValueError: for unknown words, numbers out of range, and pairs that are none.
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        sw_batch_size: int = 1,
        overlap: float = 0.5,
        *,
        inference_mode: str = STITCHED,
        target: str | None = None,
        input_size: Sequence[int] | None = None,
        decoding: str = SUBPIXEL,
        evaluation_mode: str = SCALE_HEATMAP_FIRST,
        temperature: float = 1.0,
        window: int | None = None,
        uncertainties: Sequence[str] = UNCERTAINTIES,
        smha_member: int = 0,
        mc_dropout: int = 0,
        mirror_axes: Sequence[str] = (),
        pairs: Sequence[Sequence[int | str]] | None = None,
        fit_gaussian: bool = False,
        image_transform: WindowTransform | None = None,
        members: Mapping[str, nn.Module] | None = None,
        names: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        for name, value, known in (
            ("inference_mode", inference_mode, INFERENCE_MODES),
            ("decoding", decoding, DECODINGS),
            ("evaluation_mode", evaluation_mode, EVALUATION_MODES),
            *(("uncertainties", one, UNCERTAINTIES) for one in uncertainties),
        ):
            if value not in known:
                raise ValueError(f"{name}: expected {', '.join(known)}; got {value!r}{did_you_mean(str(value), known)}")
        if not uncertainties or smha_member < 0:
            raise ValueError(
                "expected at least one of uncertainties, and smha_member of at least 0; got "
                f"uncertainties = {list(uncertainties)}, smha_member = {smha_member}"
            )
        self.roi_size = [int(n) for n in roi_size]
        self.sw_batch_size, self.overlap, self.inference_mode = sw_batch_size, overlap, inference_mode
        self.target, self.input_size = target, input_size
        self.decoding, self.evaluation_mode = decoding, evaluation_mode
        self.temperature, self.window = temperature, window
        self.uncertainties = list(uncertainties)
        self.smha_member = smha_member
        self.passes = LandmarkPasses(mc_dropout, mirror_axes, pairs, names, seed)
        self.fit_gaussian = fit_gaussian
        self.image_transform = image_transform
        self.members = members

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self, inputs: Volume | Sequence[Volume], network: nn.Module, *args: Any, **kwargs: Any
    ) -> LandmarkPrediction:
        """Predict one image.

        Args:
            inputs: an opened image, or several of one shape that are stacked as channels; read as a whole.
            network: maps B C D H W to heatmaps B N D H W by target; of no effect where there are `members`.
            args, kwargs: handed on to the networks.

        Raises:
            ValueError: where the network has not just one target of kind points, no dropout that is asked for, or
                there is no `smha_member`; for channels of several shapes.
        """
        image = self._read(inputs)
        full = (inputs if isinstance(inputs, Volume) else inputs[0]).spatial_shape
        networks = {"network": network} if self.members is None else dict(self.members)
        if self.smha_member >= len(networks):
            raise ValueError(f"smha_member = {self.smha_member}, counted from 0, of {len(networks)} networks")
        passes: list[_Passes] = []
        members: dict[str, torch.Tensor] = {}
        for name, one in networks.items():
            device = next((p.device for p in one.parameters()), torch.device("cpu"))
            passes.append(_Passes())
            predict = self._predictor(image.shape[1:], one, args, kwargs)
            for suffix, heatmaps in self.passes(image.to(device), one, predict):
                found = self._decode(heatmaps, full)
                passes[-1].add(self._averaged(heatmaps), found)
                members[f"{name}{suffix}"] = found[0]
        shape = tuple(image.shape[1:]) if self.evaluation_mode == USE_INPUT_SIZE else full
        total = passes[0].total
        for others in passes[1:]:
            total = total + others.total
        mean = total / len(members)
        methods = self._methods(passes[self.smha_member], mean, list(members.values()), full)
        columns: dict[str, np.ndarray] = {}
        if self.fit_gaussian:
            methods[GAUSSIAN], columns = self._fitted(mean, shape)
        return LandmarkPrediction(
            methods,
            {name: _numbers(points[0]) for name, points in members.items()} if len(members) > 1 else {},
            columns,
            mean[0].cpu(),
            image.cpu(),
            (shape[0], shape[1], shape[2]),
        )

    def _read(self, inputs: Volume | Sequence[Volume]) -> torch.Tensor:
        """What the networks get, C D H W."""
        volumes = [inputs] if isinstance(inputs, Volume) else list(inputs)
        if self.input_size is not None:
            volumes = _fitted(volumes, self.input_size)
        if len({volume.spatial_shape for volume in volumes}) > 1:
            said = ", ".join(f"{volume.path} {list(volume.spatial_shape)}" for volume in volumes)
            raise ValueError(f"the channels of an image must have one shape; got {said}; give input_size or spacing")
        arrays = [volume.read((0, 0, 0), volume.spatial_shape).astype(np.float32) for volume in volumes]
        image = torch.from_numpy(np.concatenate(arrays))
        whole = volumes[0] if len(volumes) == 1 else image
        return transformed(image[None], bound(self.image_transform, whole))[0]

    def _predictor(
        self, shape: Sequence[int], network: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """From images 1 C D H W to heatmaps 1 N D H W."""
        target, windows = self._target_of(network), self._windows(shape, network)

        def predict(x: torch.Tensor) -> torch.Tensor:
            heatmaps: torch.Tensor = network(x, *args, **kwargs)[target]
            return heatmaps.float()

        return lambda x: torch.as_tensor(windows(x, predict))

    def _windows(self, shape: Sequence[int], network: nn.Module) -> SlidingWindowInferer:
        size = self.roi_size
        if self.inference_mode == WHOLE:  # padded to what can be halved as often as the network does
            plan = getattr(network, "plan", None)
            steps = [1, 1, 1] if plan is None else np.prod(plan.strides, axis=0).tolist()
            size = [-(-n // step) * step for n, step in zip(shape, steps, strict=True)]
        is_one = all(edge >= n for edge, n in zip(size, shape, strict=True))  # weights would only add rounding
        mode = "constant" if is_one else "gaussian"
        return SlidingWindowInferer(size, self.sw_batch_size, self.overlap, mode=mode)

    def _target_of(self, network: nn.Module) -> str:
        targets = parse_targets(getattr(network, "targets", {}))
        names = [name for name, target in targets.items() if target.kind is Kind.POINTS]
        if self.target in names:
            return str(self.target)
        if self.target is not None or len(names) != 1:
            raise ValueError(
                f"expected a network with one target of kind points, or its name in 'target'; got target = "
                f"{self.target!r}, and the network's are {', '.join(names) or 'none'}"
            )
        return names[0]

    def _decode(self, heatmaps: torch.Tensor, full: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Points 1 N 3 of the evaluated grid, and highest values 1 N."""
        return decode_at(
            self.evaluation_mode, heatmaps, full, self.decoding, temperature=self.temperature, window=self.window
        )

    def _averaged(self, heatmaps: torch.Tensor) -> torch.Tensor:
        """What is averaged of heatmaps 1 N D H W: weights, where these alone are trained and heights mean nothing."""
        if self.decoding != SOFT_ARGMAX:
            return heatmaps
        return (heatmaps / self.temperature).flatten(2).softmax(dim=2).reshape_as(heatmaps)

    def _decodable(self, averaged: torch.Tensor) -> torch.Tensor:
        """Heatmaps with these weights."""
        if self.decoding != SOFT_ARGMAX:
            return averaged
        return self.temperature * averaged.clamp(min=torch.finfo(averaged.dtype).tiny).log()

    def _methods(
        self, own: _Passes, mean: torch.Tensor, members: list[torch.Tensor], full: Sequence[int]
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for method in self.uncertainties if len(members) > 1 else [SMHA]:
            if method == ECPV:
                spread = e_cpv(members)
                points, values = spread.points, spread.distance
            elif method == SMHA and len(own.found) == 1:
                points, values = own.found[0]
            else:
                maps = own.total / len(own.found) if method == SMHA else mean
                points, values = self._decode(self._decodable(maps), full)
            found[method] = _numbers(points[0]), _numbers(values[0])
        first = next(method for method in (ECPV, EMHA, SMHA) if method in found)
        return {first: found.pop(first), **found}

    def _fitted(
        self, mean: torch.Tensor, shape: Sequence[int]
    ) -> tuple[tuple[np.ndarray, np.ndarray], dict[str, np.ndarray]]:
        """Points and uncertainty of Gaussians fitted to the mean heatmaps, and their covariances."""
        old = mean.shape[2:]
        axes = [axis for axis, n in enumerate(old) if n > 1]  # a picture has no extent along z
        fitted = fit_gaussians(mean.reshape(*mean.shape[:2], *(old[axis] for axis in axes)))
        found, covariance = fitted.points[0], fitted.covariance[0]  # N D, N D D of these axes
        points = torch.zeros(len(found), len(old), dtype=found.dtype)
        points[:, axes] = found
        points = scale_points(torch.where(found.isnan().any(dim=1)[:, None], torch.nan, points), old, shape)
        step = torch.diag(covariance.new_tensor([shape[axis] / old[axis] for axis in axes]))
        whole = torch.zeros(len(found), len(old), len(old), dtype=covariance.dtype)
        rows, cols = np.ix_(axes, axes)
        whole[:, rows, cols] = step @ covariance @ step
        covariance = torch.where(fitted.converged[0][:, None, None], whole, torch.nan)
        spread = covariance.diagonal(dim1=-2, dim2=-1).sum(dim=-1).sqrt()
        columns = {f"gaussian_variance_{a}{a}": _numbers(covariance[:, n, n]) for n, a in enumerate("zyx")}
        columns |= {
            f"gaussian_covariance_{'zyx'[n]}{'zyx'[m]}": _numbers(covariance[:, n, m])
            for n, m in ((0, 1), (0, 2), (1, 2))
        }
        return (_numbers(points), _numbers(spread)), columns


def _fitted(volumes: Sequence[Volume], shape: Sequence[int]) -> list[Volume]:
    """The channels of an image at a number of voxels: of pyramids from the level that training reads."""
    if any(type(volume) is not Volume for volume in volumes):
        return [fit(volume, shape, "area") for volume in volumes]
    return open_stack([volume.path for volume in volumes], shape=shape)


def _numbers(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()
