"""Landmarks: heatmaps and PHD-Net's patches of them, back to coordinates, and how sure these are."""

from ..geometry.peaks import highest_voxels, peak_points, refine_points, soft_argmax
from .decoding import (
    DECODINGS,
    EVALUATION_MODES,
    decode_at,
    decode_heatmaps,
    resize_heatmaps,
    scale_points,
    voxels_to_world,
)
from .displacement import clamp_displacement, decode_displacement, encode_displacement
from .gaussian_fit import GaussianFit, fit_gaussians
from .heatmaps import density_amplitude, gaussian_heatmaps
from .learned_sigma import LearnedSigma
from .patch_grid import patch_centres, patch_grid_shape
from .patch_targets import CLASS_SCHEMES, patch_class_maps, patch_displacements
from .quantile_binning import QuantileBins, fit_quantile_bins
from .uncertainty import CoordinateSpread, e_cpv, e_mha, s_mha, uncertainty_correlation
from .votes import decode_votes, vote_maps

__all__ = [
    "CLASS_SCHEMES",
    "DECODINGS",
    "EVALUATION_MODES",
    "CoordinateSpread",
    "GaussianFit",
    "LearnedSigma",
    "QuantileBins",
    "clamp_displacement",
    "decode_at",
    "decode_displacement",
    "decode_heatmaps",
    "decode_votes",
    "density_amplitude",
    "e_cpv",
    "e_mha",
    "encode_displacement",
    "fit_gaussians",
    "fit_quantile_bins",
    "gaussian_heatmaps",
    "highest_voxels",
    "patch_centres",
    "patch_class_maps",
    "patch_displacements",
    "patch_grid_shape",
    "peak_points",
    "refine_points",
    "resize_heatmaps",
    "s_mha",
    "scale_points",
    "soft_argmax",
    "uncertainty_correlation",
    "vote_maps",
    "voxels_to_world",
]
