"""Centre lines of objects as graphs in physical space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from skimage import morphology

from ..geometry.affines import check_spacing
from ..geometry.fields import signed_distance
from ..geometry.neighbours import both_ends, half_neighbourhood
from .labelling import label_components
from .mesh import check_object


@dataclass(frozen=True)
class Skeleton:
    """A graph along the middle of an object; its loops are those of the object.

    Args:
        nodes: N 3, positions z y x in the unit of the spacing, in array order.
        edges: M 2, indices of nodes, the smaller first.
        radii: N, distance from each node to the object's surface.
    """

    nodes: NDArray[np.float64]
    edges: NDArray[np.int64]
    radii: NDArray[np.float64]

    @property
    def length(self) -> float:
        """Sum of the lengths of all edges."""
        return float(_lengths(self.nodes, self.edges).sum())


def skeletonize(mask: Any, spacing: Sequence[float], translation: Sequence[float] = (0.0, 0.0, 0.0)) -> Skeleton:
    """Thin an object to its centre line (Lee et al. 1994) and link the voxels that are left.

    Thinning goes by voxels and does not know the spacing; lengths and radii do. Of three voxels that are all
    neighbours the longest link is left out. A part that thinning leaves nothing of is one node, where it is thickest.
    Outside the array there is no object.

    Args:
        mask: boolean D H W.
        spacing: physical size of a voxel along z, y, x.
        translation: physical position of the centre of voxel 0, z, y, x.

    Raises:
        TypeError: when the mask holds floats.
        ValueError: when it is no D H W array, or holds no voxel.
    """
    inside = check_object(mask)
    size = check_spacing(spacing, 3)
    box = ndimage.find_objects(inside.view(np.uint8))[0]
    padded = np.pad(inside[box], 1)
    distance = signed_distance(padded.astype(np.int64), size)
    thin = morphology.skeletonize(padded) > 0
    parts, n = label_components(padded, 3)
    vanished = np.setdiff1d(np.arange(1, n + 1), parts[thin])  # such as 2 x 2 x 2 voxels
    if len(vanished):
        for place in ndimage.maximum_position(distance, parts, vanished):
            thin[place] = True
    voxels = np.argwhere(thin)  # N 3
    start = np.array([s.start - 1 for s in box])
    nodes = (voxels + start) * np.array(size) + np.asarray(translation, dtype=np.float64)
    return Skeleton(nodes, _without_triangles(nodes, _links(thin)), distance[thin].astype(np.float64))


def write_swc(path: str | Path, skeleton: Skeleton) -> None:
    """Write a skeleton as SWC, one line per node: number, type 0, x, y, z, radius, parent.

    SWC holds trees: every loop is cut at one edge. Each connected part has a root (parent -1), an end of it where it
    has one. Coordinates are in the unit of the spacing.

    Raises:
        FileNotFoundError: when the folder does not exist.
    """
    order, parents = _trees(skeleton)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(1, len(order) + 1)
    with Path(path).open("w", encoding="ascii") as file:
        file.write("# number type x y z radius parent\n")
        for node in order.tolist():
            z, y, x = skeleton.nodes[node]
            parent = number[parents[node]] if parents[node] >= 0 else -1
            file.write(f"{number[node]} 0 {x:.9g} {y:.9g} {z:.9g} {skeleton.radii[node]:.9g} {parent}\n")


def _links(thin: NDArray[np.bool_]) -> NDArray[np.int64]:
    """All pairs of the 26-neighbours among the voxels: M 2, numbered in array order."""
    numbers = np.cumsum(thin.ravel(), dtype=np.int64).reshape(thin.shape) - 1
    links = []
    for offset in half_neighbourhood(3, 3):
        here, there = both_ends(thin.shape, offset)
        both = thin[here] & thin[there]
        links.append(np.stack([numbers[here][both], numbers[there][both]], axis=1))
    return np.concatenate(links)


def _without_triangles(nodes: NDArray[np.float64], links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out the longest link of each triangle (of equal ones the last), which keeps connected what is."""
    links = links[np.lexsort((links[:, 1], links[:, 0], _lengths(nodes, links)))]
    place: dict[tuple[int, int], int] = {}
    neighbours: list[list[int]] = [[] for _ in nodes]
    for i, (a, b) in enumerate(links.tolist()):
        place[a, b] = place[b, a] = i
        neighbours[a].append(b)
        neighbours[b].append(a)
    kept = [
        (a, b)
        for i, (a, b) in enumerate(links.tolist())
        if not any(place[a, other] < i and place.get((other, b), i) < i for other in neighbours[a] if other != b)
    ]
    return np.array(sorted(kept), dtype=np.int64).reshape(-1, 2)


def _trees(skeleton: Skeleton) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nodes such that parents come first, and the parent of each node (below 0: none)."""
    n = len(skeleton.nodes)
    ends = skeleton.edges.T
    graph = sparse.coo_array((np.ones(len(skeleton.edges)), (ends[0], ends[1])), shape=(n, n)).tocsr()
    is_end = np.bincount(skeleton.edges.ravel(), minlength=n) == 1
    count, part = csgraph.connected_components(graph, directed=False)
    by_part = np.lexsort((np.arange(n), ~is_end, part))
    roots = by_part[np.searchsorted(part[by_part], np.arange(count))]
    parents = np.full(n, -1, dtype=np.int64)
    order = []
    for root in np.sort(roots):
        reached, before = csgraph.breadth_first_order(graph, root, directed=False)
        order.append(reached.astype(np.int64))
        parents[reached] = before[reached]
    return np.concatenate(order), parents


def _lengths(nodes: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.linalg.norm(nodes[edges[:, 0]] - nodes[edges[:, 1]], axis=1)
