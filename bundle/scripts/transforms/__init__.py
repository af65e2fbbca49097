"""Dictionary transforms: patches from stores, directions that follow space, and targets derived from labels."""

from .boundary import LabelToBoundary, LabelToBoundaryd
from .dilate import DilateLabel, DilateLabeld
from .distance import LabelToDistance, LabelToDistanced
from .intensity import NormalizeImage, NormalizeImaged
from .load import LoadZarrPatchd
from .normals import LabelToNormals, LabelToNormalsd
from .open import OpenVolumed
from .per_target import reorient_targets
from .random_start import RandPatchStartd
from .reorient import ReorientVectors, ReorientVectorsd, TakeReferenceAffine, TakeReferenceAffined
from .smooth import SmoothLabel, SmoothLabeld

__all__ = [
    "DilateLabel",
    "DilateLabeld",
    "LabelToBoundary",
    "LabelToBoundaryd",
    "LabelToDistance",
    "LabelToDistanced",
    "LabelToNormals",
    "LabelToNormalsd",
    "LoadZarrPatchd",
    "NormalizeImage",
    "NormalizeImaged",
    "OpenVolumed",
    "RandPatchStartd",
    "ReorientVectors",
    "ReorientVectorsd",
    "SmoothLabel",
    "SmoothLabeld",
    "TakeReferenceAffine",
    "TakeReferenceAffined",
    "reorient_targets",
]
