"""Dictionary transforms: patches from stores, directions that follow space, and targets derived from labels."""

from .affinities import LabelToAffinities, LabelToAffinitiesd
from .blur import RandBlur, RandBlurd, gaussian_blur
from .boundary import LabelToBoundary, LabelToBoundaryd
from .class_deduction import fill_unknown
from .class_hierarchy import ClassHierarchy
from .class_relations import FillUnknownClasses, FillUnknownClassesd, fill_crop
from .contrast import RandContrast, RandContrastd, stretch_contrast
from .dilate import DilateLabel, DilateLabeld
from .distance import LabelToDistance, LabelToDistanced
from .gamma import RandGamma, RandGammad, gamma_curve
from .intensity import NormalizeImage, NormalizeImaged
from .landmark_pairs import pairs_by_name, swap_pairs
from .landmark_schemes import LANDMARK_SCHEMES, landmark_augmentation, landmark_space
from .landmarks import LandmarksToPointsd, LoadLandmarksd
from .load import LoadZarrPatchd, UnknownKeyError
from .low_resolution import RandLowResolution, RandLowResolutiond, lower_resolution
from .mirror import RandMirror, RandMirrord, mirror_axes
from .nnunet import nnunet_augmentation
from .noise import RandNoise, RandNoised
from .normals import LabelToNormals, LabelToNormalsd
from .open import OpenVolumed
from .per_target import reorient_targets
from .point_labels import LoadPointsd, PatchPoints, PointLabelsd, mark_points
from .random_spatial import RandSpatial, RandSpatiald
from .random_start import RandPatchStartd
from .regions import LabelToRegions, LabelToRegionsd
from .reorient import ReorientVectors, ReorientVectorsd, TakeReferenceAffine, TakeReferenceAffined
from .scan_grid import ToScanGridd, to_scan_grid
from .smooth import SmoothLabel, SmoothLabeld
from .spatial import ApplySpatiald
from .spatial_draw import RandSpatialDraw, RandSpatialDrawd, SpatialDraw
from .target_grid import ToTargetGridd
from .target_labels import TargetLabel, TargetLabeld, target_label
from .transpose import RandTranspose, RandTransposed, transpose_axes
from .two_draws import RandTwoSpatialDrawsd, TwoSpatialDraws
from .two_views import TwoViewsd, points_in_view

__all__ = [
    "LANDMARK_SCHEMES",
    "ApplySpatiald",
    "ClassHierarchy",
    "DilateLabel",
    "DilateLabeld",
    "FillUnknownClasses",
    "FillUnknownClassesd",
    "LabelToAffinities",
    "LabelToAffinitiesd",
    "LabelToBoundary",
    "LabelToBoundaryd",
    "LabelToDistance",
    "LabelToDistanced",
    "LabelToNormals",
    "LabelToNormalsd",
    "LabelToRegions",
    "LabelToRegionsd",
    "LandmarksToPointsd",
    "LoadLandmarksd",
    "LoadPointsd",
    "LoadZarrPatchd",
    "NormalizeImage",
    "NormalizeImaged",
    "OpenVolumed",
    "PatchPoints",
    "PointLabelsd",
    "RandBlur",
    "RandBlurd",
    "RandContrast",
    "RandContrastd",
    "RandGamma",
    "RandGammad",
    "RandLowResolution",
    "RandLowResolutiond",
    "RandMirror",
    "RandMirrord",
    "RandNoise",
    "RandNoised",
    "RandPatchStartd",
    "RandSpatial",
    "RandSpatialDraw",
    "RandSpatialDrawd",
    "RandSpatiald",
    "RandTranspose",
    "RandTransposed",
    "RandTwoSpatialDrawsd",
    "ReorientVectors",
    "ReorientVectorsd",
    "SmoothLabel",
    "SmoothLabeld",
    "SpatialDraw",
    "TakeReferenceAffine",
    "TakeReferenceAffined",
    "TargetLabel",
    "TargetLabeld",
    "ToScanGridd",
    "ToTargetGridd",
    "TwoSpatialDraws",
    "TwoViewsd",
    "UnknownKeyError",
    "fill_crop",
    "fill_unknown",
    "gamma_curve",
    "gaussian_blur",
    "landmark_augmentation",
    "landmark_space",
    "lower_resolution",
    "mark_points",
    "mirror_axes",
    "nnunet_augmentation",
    "pairs_by_name",
    "points_in_view",
    "reorient_targets",
    "stretch_contrast",
    "swap_pairs",
    "target_label",
    "to_scan_grid",
    "transpose_axes",
]
