"""Principal components of embeddings as colours, against a mixture whose components are known."""

import numpy as np

from scripts.viewers import embedding_colours


def mixture(n_channels=12, shape=(6, 20, 24), seed=0):
    """Three independent patterns of falling strength, mixed by an orthogonal matrix into more channels."""
    rng = np.random.default_rng(seed)
    patterns = rng.permutation(np.linspace(-1, 1, int(np.prod(shape))))[None].repeat(3, 0)
    patterns = np.stack([rng.permutation(p) * strength for p, strength in zip(patterns, (9, 3, 1), strict=True)])
    mixing = np.linalg.qr(rng.normal(size=(n_channels, 3)))[0]
    return patterns.reshape(3, *shape), np.einsum("ck,kdhw->cdhw", mixing, patterns.reshape(3, *shape))


def test_red_green_and_blue_are_the_components_in_order_of_variance():
    patterns, values = mixture()
    colours = embedding_colours(values)
    assert (colours.dtype, colours.shape) == (np.uint8, (6, 20, 24, 3))
    for channel, pattern in enumerate(patterns):
        correlation = np.corrcoef(colours[..., channel].ravel(), pattern.ravel())[0, 1]
        assert abs(correlation) > 0.99
    # from the 1st to the 99th percentile
    assert np.isclose((colours == 0).mean(), 0.01, atol=0.01)
    assert np.isclose((colours == 255).mean(), 0.01, atol=0.01)


def test_the_same_embedding_has_the_same_colours_whatever_its_offset():
    _, values = mixture()
    assert np.abs(embedding_colours(values).astype(int) - embedding_colours(values + 5.0)).max() <= 1


def test_further_components_and_those_that_there_are_not():
    patterns, values = mixture()
    later = embedding_colours(values, first=1)
    assert abs(np.corrcoef(later[..., 0].ravel(), patterns[1].ravel())[0, 1]) > 0.99
    assert (embedding_colours(values[:2], first=3) == 127).all()
    assert (embedding_colours(np.ones((4, 2, 3, 3))) == 127).all()
