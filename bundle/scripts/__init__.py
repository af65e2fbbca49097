"""Polytome: multi-task deep learning on volumes that do not fit in memory, as a MONAI bundle."""
