"""Experiments with many settings: what `sweep` is made of."""
