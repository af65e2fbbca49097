"""Submissions to CellMap's challenge: written, checked, read."""
