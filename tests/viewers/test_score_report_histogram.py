"""Histograms: what is counted in which bin, and how it is drawn."""

import re

import numpy as np
import pytest

from scripts.viewers.score_report_histogram import Histogram, bin_edges, histogram_svg


def test_bins_cover_all_series():
    edges = bin_edges(Histogram("t", "x", "y", {"a": [2.0, 5.0], "b": [1.0, 4.0], "c": []}))
    assert (edges[0], edges[-1], len(edges)) == (1, 5, 25)
    np.testing.assert_allclose(np.diff(edges), 4 / 24)
    assert bin_edges(Histogram("t", "x", "y", {"a": [0.3]}, (0, 1)))[[0, -1]].tolist() == [0, 1]


def test_logarithmic_bins_have_equal_ratios_and_leave_out_zero():
    edges = bin_edges(Histogram("t", "x", "y", {"a": [0, 10, 1000]}, is_logarithmic=True))
    assert (edges[0], edges[-1]) == pytest.approx((10, 1000))
    np.testing.assert_allclose(edges[1:] / edges[:-1], 100 ** (1 / 24))


@pytest.mark.parametrize("is_logarithmic", [False, True])
@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0]])
def test_few_values_have_bins_as_well(values, is_logarithmic):
    edges = bin_edges(Histogram("t", "x", "y", {"a": values}, is_logarithmic=is_logarithmic))
    assert (np.diff(edges) > 0).all()
    assert "<svg" in histogram_svg(Histogram("t", "x", "y", {"a": values}, is_logarithmic=is_logarithmic))


def heights(svg, series):
    """Page positions of the corners of an outline, y; up is less."""
    style = rf'd="([^"]*)"[^>]*style="fill: none; stroke: var\(--series-{series}\)'
    return [float(y) for _, y in re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", re.search(style, svg)[1])]


def test_outlines_are_as_high_as_there_are_values():
    svg = histogram_svg(Histogram("Sizes", "voxels", "objects", {"a": [0.0] * 4 + [23.5], "b": [0.0] * 2}, (0, 24)))
    a, b = heights(svg, 0), heights(svg, 1)
    ground = max(a)
    assert ground - min(a) == pytest.approx(2 * (max(b) - min(b)), rel=1e-3)
    assert (ground - a[-2]) * 4 == pytest.approx(ground - min(a), rel=1e-3)  # one value in the last bin
    for word in ("voxels", "objects", ">a<", ">b<", "currentColor"):
        assert word in svg
    assert "http" not in svg
