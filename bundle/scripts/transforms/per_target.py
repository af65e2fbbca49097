"""The transforms that a `targets` table asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..geometry import Kind, stored_kinds
from .reorient import ReorientVectorsd


def reorient_targets(targets: Mapping[str, Any]) -> list[ReorientVectorsd]:
    """`ReorientVectorsd` for the stored normals and for the stored vectors of a table; empty where there are none.

    They belong after the last spatial transform.
    """
    kinds = stored_kinds(targets)
    groups = {kind: [key for key, value in kinds.items() if value is kind] for kind in (Kind.NORMAL, Kind.VECTOR)}
    return [ReorientVectorsd(keys, kind=str(kind)) for kind, keys in groups.items() if keys]
