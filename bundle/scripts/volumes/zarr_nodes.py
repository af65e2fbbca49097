"""Arrays and groups as zarr-python opens them, with one kind of error for metadata that it cannot use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import zarr
from zarr.abc.store import Store

from .errors import CannotListError, MetadataError
from .metadata_documents import shown
from .stores import open_store

Node = zarr.Array[Any] | zarr.Group

_REFUSALS = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, NotImplementedError)
"""What zarr-python, numcodecs and NumPy raise for codecs, types and fill values that they do not understand."""


def open_node(path: str, store: Store | None = None) -> Node:
    """Open the array or group at a path, to be read.

    Consolidated metadata are left aside: what each node says of itself counts.

    Args:
        path: folder or URL.
        store: there, where it is open already.

    Raises:
        FileNotFoundError: where there is none.
        MetadataError: where its metadata cannot be used.
        RemoteError: for a server that does not answer.
    """
    with _refused_by_zarr(path):
        return zarr.open(store or open_store(path), mode="r", use_consolidated=False)


def open_array(path: str, store: Store | None = None) -> zarr.Array[Any]:
    """Open an array, to be read; raises as `open_node`, and ValueError for a group."""
    node = open_node(path, store)
    if not isinstance(node, zarr.Array):
        raise ValueError(f"{path} is a zarr group; expected an array")
    return node


def open_group(path: str) -> zarr.Group:
    """Open a group, to be read; raises as `open_node`, and FileNotFoundError for an array."""
    node = open_node(path)
    if not isinstance(node, zarr.Group):
        raise FileNotFoundError(f"{path} is a zarr array; expected a group")
    return node


def members(path: str, group: zarr.Group, depth: int = 1) -> list[tuple[str, Node]]:
    """Name and node of everything in a group, sorted; from its consolidated metadata where the server cannot list.

    Args:
        path: of the group.
        group: open.
        depth: how many levels down.

    Raises:
        CannotListError: where there are no consolidated metadata either.
        MetadataError: where those of a member cannot be used.
    """
    with _refused_by_zarr(path):
        try:
            found = list(group.members(max_depth=depth - 1))
        except CannotListError:
            try:
                group = zarr.open_group(open_store(path), mode="r", use_consolidated=True)
            except ValueError:  # there are none
                raise CannotListError(f"{path}: the server does not tell what the group holds") from None
            found = list(group.members(max_depth=depth - 1))
    return sorted(found, key=lambda member: member[0])


@contextlib.contextmanager
def _refused_by_zarr(path: str) -> Iterator[None]:
    try:
        yield
    except (MetadataError, OSError):  # zarr-python's word for "nothing is there" is a FileNotFoundError, too
        raise
    except _REFUSALS as error:
        raise MetadataError(
            f"{path}: the zarr metadata cannot be used: {type(error).__name__}: {shown(str(error))}"
        ) from error
