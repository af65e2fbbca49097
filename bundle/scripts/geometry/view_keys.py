"""Keys under which a sample carries two views of one patch, and the same points in each."""

from __future__ import annotations

VIEW_KEYS = ("view_1", "view_2")
"""Images of the views."""

POINT_KEYS = ("points_1", "points_2")
"""Indices z, y, x in each view; equal rows are the same physical point."""
