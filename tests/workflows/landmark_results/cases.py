"""Images whose errors are known by hand: what the tests of landmark results share."""

import numpy as np

from scripts.workflows.landmark_results.case import LandmarkCase

NAN = float("nan")
SPACING = (2.0, 1.0, 0.5)
TRUTH = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [NAN, NAN, NAN]])


def case(name="one", found=None, truth=TRUTH, unit="mm", **options):
    """An image of 4 6 8 voxels with the landmarks a, b and c, of which c is missing.

    Unless given, `ecpv` finds a 3 along y and 4 along x away: 5 voxels, or sqrt(13) mm; b where it is; and c somewhere.
    """
    ecpv = np.array([[0.0, 3.0, 4.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    found = {"ecpv": (ecpv, np.array([0.5, 0.25, 0.125]))} if found is None else found
    shape = (4, 6, 8)
    defaults = {"shape": shape, "grid_shape": shape, "input_shape": shape, "spacing": SPACING}
    options = defaults | {"path": f"/{name}.nii.gz", "landmarks": ("a", "b", "c")} | options
    return LandmarkCase(name=name, found=found, truth=truth, unit=unit, **options)


def along_x(name, errors, uncertainty=None, method="ecpv", **options):
    """An image whose landmarks are all at the origin and found at given distances along x, in voxels."""
    errors = np.asarray(errors, float)
    points = np.zeros((len(errors), 3))
    points[:, 2] = errors
    points[np.isinf(errors)] = NAN
    truth = np.where(np.isnan(errors)[:, None], NAN, np.zeros((len(errors), 3)))
    numbers = np.zeros(len(errors)) if uncertainty is None else np.asarray(uncertainty, float)
    landmarks = tuple("abcdefgh"[: len(errors)])
    return case(name, {method: (points, numbers)}, truth, landmarks=landmarks, **options)
