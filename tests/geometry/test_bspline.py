"""Cubic B-spline weights against SciPy's basis function."""

import numpy as np
import torch
from scipy.interpolate import BSpline

from scripts.geometry.bspline import spline_slopes, spline_weights

BASIS = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)  # centred at 0


def test_weights_and_slopes_are_those_of_the_basis_function():
    fraction = np.linspace(0.01, 0.99, 23)
    for tap, at in enumerate((-1, 0, 1, 2)):
        np.testing.assert_allclose(spline_weights(torch.from_numpy(fraction))[tap], BASIS(fraction - at), atol=1e-12)
        slope = BASIS.derivative()(fraction - at)
        np.testing.assert_allclose(spline_slopes(torch.from_numpy(fraction))[tap], slope, atol=1e-12)
