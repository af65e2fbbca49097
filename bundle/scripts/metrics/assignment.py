"""Which objects belong together: the assignment of largest total weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

_GROUP = 1000  # rows solved at once: a call costs as much as hundreds of rows, its time grows with their square


def best_pairs(rows: NDArray[np.intp], columns: NDArray[np.intp], weights: NDArray[np.float64]) -> NDArray[np.intp]:
    """Choose pairs so that no row and no column is in two of them and the sum of their weights is the largest.

    A row or column may stay without a partner. Exact at any size: the sparse assignment of Jonker and Volgenant
    (SciPy) on the connected components of the graph, which do not influence each other.

    Args:
        rows: row of each possible pair, from 0; each pair comes once.
        columns: column of each possible pair, from 0.
        weights: what each pair is worth, above 0.

    Returns:
        indices of the chosen pairs, ascending.
    """
    if not len(rows):
        return np.zeros(0, dtype=np.intp)
    rows, columns = _numbered(rows), _numbered(columns)
    n_rows, n_nodes = rows.max() + 1, rows.max() + columns.max() + 2
    graph = coo_array((np.ones(len(rows)), (rows, columns + n_rows)), shape=(n_nodes, n_nodes))
    n_components, component = connected_components(graph, directed=False)
    rows_so_far = np.cumsum(np.bincount(component[:n_rows], minlength=n_components))
    group = (rows_so_far // _GROUP)[component[rows]]  # of each pair; a component is never cut
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    chosen = [part[_solve(_numbered(rows[part]), _numbered(columns[part]), weights[part])] for part in parts]
    return np.sort(np.concatenate(chosen))


def _solve(rows: NDArray[np.intp], columns: NDArray[np.intp], weights: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the best pairs.

    The solver matches every row. So each has a column of its own that stands for no partner; the 1 that is added to
    all weights keeps that column an entry of the sparse matrix and changes no choice, since all rows get one.
    """
    n_rows, n_columns = rows.max() + 1, columns.max() + 1
    alone = np.arange(n_rows)
    matrix = csr_array(
        (
            np.concatenate([weights + 1, np.ones(n_rows)]),
            (np.concatenate([rows, alone]), np.concatenate([columns, n_columns + alone])),
        ),
        shape=(n_rows, n_columns + n_rows),
    )
    partner = min_weight_full_bipartite_matching(matrix, maximize=True)[1]
    return np.flatnonzero(partner[rows] == columns)


def _numbered(values: NDArray[np.intp]) -> NDArray[np.intp]:
    """Values as 0, 1, ... in their order."""
    return np.unique(values, return_inverse=True)[1]
