"""Small stores that are scored, and volumes whose objects follow from a seed."""

import numpy as np

from scripts.volumes import Encoding, create_ome_zarr
from scripts.workflows.evaluation.cases import Case
from scripts.workflows.evaluation.measures import parse_measures
from scripts.workflows.evaluation.open import ReadOptions, open_cases

PROBABILITY = Encoding(scale=1 / 255)


def store(path, array, *, spacing=(1, 1, 1), translation=(0, 0, 0), unit="nm", chunks=(4, 4, 4), **options):
    """Store an array D H W or C D H W as OME-Zarr; returns the path."""
    array = np.asarray(array)
    array = array if array.ndim == 4 else array[None]
    encoding = options.pop("encoding", None)
    if encoding is not None:
        options["attributes"] = encoding.as_attributes()
    writer = create_ome_zarr(
        path, array.shape, array.dtype, spacing=spacing, translation=translation, unit=unit, chunks=chunks, **options
    )
    writer.write((0, 0, 0), array)
    return writer.finish()


def opened(truth, *predictions, metrics="dice", label="thing", mask=None, image=None, **options):
    """Open one case of paths."""
    case = Case(label, truth, predictions, mask=mask, image=image)
    return open_cases([case], ReadOptions(measures=parse_measures([metrics]), **options))[0]


def blocky(seed, shape=(12, 11, 13), largest=9, zeros=0.3, dtype=np.uint32):
    """Cubes of random ids, some of them 0, so that objects touch and overlap in many ways."""
    random = np.random.default_rng(seed)
    coarse = random.integers(1, largest + 1, [-(-n // 3) for n in shape])
    coarse[random.random(coarse.shape) < zeros] = 0
    fine = coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)
    return fine[tuple(slice(n) for n in shape)].astype(dtype)
