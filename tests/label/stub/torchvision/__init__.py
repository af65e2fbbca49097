"""Stands in for torchvision, of which MONAI Label imports `torchvision.utils`, where there is no build of it."""
