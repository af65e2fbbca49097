"""Trainings fold by fold: what `folds` is made of."""
