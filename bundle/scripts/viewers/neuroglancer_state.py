"""The state of a page: layers with their colours, and where the view starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..geometry import Target
from ..volumes import value_statistics, volume_statistics
from .colours import target_colours
from .neuroglancer_grids import METRES
from .neuroglancer_kinds import LayerKind, middle
from .neuroglancer_layers import Layer

NORMALS_LEGEND = "red |x|, green |y|, blue |z|"
"""The colours are those of the axes' lines on the page."""

_PROBABILITY_COLOURS = ("#ff3030", "#30d0ff", "#ffd030", "#60ff60")

_GREY = """#uicontrol invlerp normalized
void main() {
  emitGrayscale(normalized());
}
"""

# the lowest layer is drawn without regard to its opacity, so the colour fades, too
_PROBABILITY = """#uicontrol invlerp probability
#uicontrol vec3 colour color
void main() {
  float opacity = sqrt(probability());
  emitRGBA(vec4(colour * opacity, opacity));
}
"""

# stored z y x -> shown x y z; zero vectors and NaN are "no normal here"
_NORMALS = """void main() {
  vec3 stored = vec3(float(toRaw(getDataValue(2))), float(toRaw(getDataValue(1))), float(toRaw(getDataValue(0))));
  vec3 normal = stored * float(%r) + float(%r);
  if (!(dot(normal, normal) > 1e-6) || (%s && stored == vec3(0.0))) {
    emitTransparent();
  } else {
    emitRGB(abs(normal) / length(normal));
  }
}
"""

_MOST_COLOURED_CLASSES = 255
_PANEL_PIXELS = 320
"""Edge of the panels that the view fits into, at least."""

_OBLIQUE = [0.28, -0.32, -0.1, 0.9]
"""Quaternion x y z w of the 3D panel's view."""


def page_state(layers: Sequence[Layer], position: Sequence[float] | None = None, title: str = "") -> dict[str, Any]:
    """State of a page as neuroglancer's client takes it, but for the layers' sources.

    Args:
        layers: from below to above; of several images only the first is visible at first.
        position: voxel z, y, x of the first layer that is shown; default its middle.
        title: of the page.

    Raises:
        ValueError: for a position outside of the first layer.
    """
    first, grid = layers[0].volume, layers[0].grids[0]
    if position is None:
        position = [n // 2 for n in first.spatial_shape]
    elif not all(-0.5 <= p <= n - 0.5 for p, n in zip(position, first.spatial_shape, strict=True)):
        raise ValueError(
            f"position: the voxel {list(position)} lies outside of {first.path}, which has {first.spatial_shape} "
            "voxels (z, y, x)"
        )
    centre = [p + t / s for p, t, s in zip(position, grid.translation, grid.spacing, strict=True)]
    unit = METRES[grid.unit] if grid.unit else 1.0
    extent = max(n * s for n, s in zip(first.spatial_shape, grid.spacing, strict=True)) / min(grid.spacing)
    flat = first.spatial_shape[0] == 1
    states = [layer_state(layer) for layer in layers]
    images = [state for layer, state in zip(layers, states, strict=True) if layer.kind is LayerKind.IMAGE]
    for state in images[1:]:
        state["visible"] = False
    probabilities = [state for layer, state in zip(layers, states, strict=True) if layer.kind is LayerKind.PROBABILITY]
    for n, state in enumerate(probabilities):
        state["shaderControls"]["colour"] = _PROBABILITY_COLOURS[n % len(_PROBABILITY_COLOURS)]
    return {
        # x y z: the page's panels are named after, and oriented by, this order
        "dimensions": {a: [s * unit, "m" if grid.unit else ""] for a, s in zip("xyz", grid.spacing[::-1], strict=True)},
        "position": centre[::-1],
        "crossSectionScale": extent / (2 * _PANEL_PIXELS if flat else _PANEL_PIXELS),
        "projectionScale": 1.7 * extent,
        "projectionOrientation": _OBLIQUE,
        "crossSectionBackgroundColor": "#000000",
        "hideCrossSectionBackground3D": True,
        "showDefaultAnnotations": False,
        "layout": "xy" if flat else "4panel",
        "layers": states,
        **({"title": title} if title else {}),
    }


def layer_state(layer: Layer) -> dict[str, Any]:
    """State of one layer, without its source.

    Images are grey between the 0.5th and the 99.5th percentile of the coarsest level, or of the middle of the finest
    one where that range is wider. Probabilities are a colour, the stronger the higher. Classes have the colours that
    they have in previews, instances random ones, number 0 none. Normals show |x|, |y|, |z| as red, green, blue.
    """
    name = f"{layer.name} ({NORMALS_LEGEND})" if layer.kind is LayerKind.NORMALS else layer.name
    state: dict[str, Any] = {"name": name}
    if layer.kind is LayerKind.NORMALS:
        encoding = layer.volume.encoding
        rule = (encoding.scale, encoding.offset, encoding.zero_is_missing) if encoding else (1.0, 0.0, True)
        shader = _NORMALS % (rule[0], rule[1], str(rule[2]).lower())
        return state | {"type": "image", "shader": shader, "channelDimensions": {"c^": [1, ""]}}
    if layer.volume.channels > 1:  # one at a time, with a slider in the layer's panel; class 0 is background
        channel = 1 if layer.kind is LayerKind.PROBABILITY else 0
        state |= {"localDimensions": {"c'": [1, ""]}, "localPosition": [channel]}
    if layer.kind is LayerKind.PROBABILITY:
        controls: dict[str, Any] = {"probability": {"range": _stored_shares(layer)}}
        return state | {"type": "image", "shader": _PROBABILITY, "shaderControls": controls}
    if layer.kind is LayerKind.IMAGE:
        controls = {"normalized": {"range": _image_limits(layer)}}
        return state | {"type": "image", "shader": _GREY, "shaderControls": controls}
    state |= {"type": "segmentation", "selectedAlpha": 0.4}
    return state | ({"segmentColors": _class_colours()} if layer.kind is LayerKind.LABELS else {})


def _image_limits(layer: Layer) -> list[float]:
    """Stored numbers that are shown black and white, of the first channel."""
    coarsest = layer.volumes[-1]
    found = [_percentiles(lambda: volume_statistics(coarsest))]
    if coarsest is not layer.volume:  # it lacks the noise of finer levels
        found.append(_percentiles(lambda: value_statistics(middle(layer.volume).reshape(1, -1))))  # D H W -> C N
    limits = [pair for pair in found if pair[1] > pair[0]] or [(found[0][0], found[0][0] + 1)]
    return [min(low for low, _ in limits), max(high for _, high in limits)]


def _percentiles(measure: Callable[[], dict[str, list[Any]]]) -> tuple[float, float]:
    try:
        statistics = measure()
    except ValueError:  # no finite value
        return 0.0, 0.0
    return statistics["low"][0], statistics["high"][0]


def _stored_shares(layer: Layer) -> list[float]:
    """Stored numbers that stand for probabilities 0 and 1."""
    encoding = layer.volume.encoding
    if encoding is not None:
        return [(share - encoding.offset) / encoding.scale for share in (0, 1)]
    return [0.0, 1.0] if layer.volume.dtype.kind in "fb" else [0.0, float(np.iinfo(layer.volume.dtype).max)]


def _class_colours() -> dict[str, str]:
    classes = np.arange(1, _MOST_COLOURED_CLASSES + 1)
    colours = target_colours(classes[None, None, None], Target("classes", channels=2))  # C D H W -> D H W 3
    return {str(number): f"#{bytes(colour).hex()}" for number, colour in zip(classes, colours[0, 0], strict=True)}
