"""Surface meshes of objects, and the files that other programs read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from ..geometry.affines import check_spacing
from .inputs import check_mask, check_spatial


@dataclass(frozen=True)
class Mesh:
    """Triangles in physical space.

    Args:
        vertices: N 3, positions z y x in the unit of the spacing.
        faces: M 3, indices of vertices, counter-clockwise seen from outside in a right-handed system z y x.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    def in_file_order(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Vertices x y z, and faces turned around: exchanging axes is a reflection, outside stays outside."""
        return self.vertices[:, ::-1], self.faces[:, ::-1]


def surface_mesh(mask: Any, spacing: Sequence[float], translation: Sequence[float] = (0.0, 0.0, 0.0)) -> Mesh:
    """Surface of an object, midway between its voxels and those around it (marching cubes, Lewiner et al. 2003).

    The surface is closed: where the array cuts the object, it ends half a voxel beyond the last voxel's centre. Parts
    that touch by an edge of voxels only may share that edge, which then lies in four triangles.

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
    padded = np.pad(inside[box], 1).astype(np.float32)
    vertices, faces, _, _ = measure.marching_cubes(padded, 0.5, spacing=size, gradient_direction="ascent")
    start = np.array([(s.start - 1) * step for s, step in zip(box, size, strict=True)])
    return Mesh(vertices.astype(np.float64) + start + np.asarray(translation, dtype=np.float64), faces.astype(np.int64))


def write_obj(path: str | Path, mesh: Mesh) -> None:
    """Write a mesh as Wavefront OBJ (text), coordinates x y z.

    Raises:
        FileNotFoundError: when the folder does not exist.
    """
    vertices, faces = mesh.in_file_order()
    with Path(path).open("w", encoding="ascii") as file:
        np.savetxt(file, vertices, fmt="v %.9g %.9g %.9g")
        np.savetxt(file, faces + 1, fmt="f %d %d %d")  # OBJ counts from 1


def write_ply(path: str | Path, mesh: Mesh) -> None:
    """Write a mesh as PLY (binary, little-endian), coordinates x y z in double precision.

    Raises:
        FileNotFoundError: when the folder does not exist.
    """
    vertices, faces = mesh.in_file_order()
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(vertices)}\nproperty double x\nproperty double y\nproperty double z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(faces), dtype=[("n", "u1"), ("vertices", "<i4", 3)])
    rows["n"], rows["vertices"] = 3, faces
    with Path(path).open("wb") as file:
        file.write(header.encode("ascii"))
        file.write(vertices.astype("<f8").tobytes())
        file.write(rows.tobytes())


def check_object(mask: Any) -> NDArray[np.bool_]:
    """Return a mask D H W of an object.

    Raises:
        TypeError: when it holds floats.
        ValueError: when it has another number of axes, or holds no voxel.
    """
    array = check_spatial(mask, "mask")
    if array.ndim != 3:
        raise ValueError(f"mask must have shape D H W, got {array.shape}")
    inside = np.ascontiguousarray(check_mask(array, array.shape))
    if not inside.any():
        raise ValueError(f"the mask of shape {array.shape} holds no voxel, so there is no object; is the id right?")
    return inside
