"""Kinds of cells: a million cells of a table of scores are of a few hundred kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kinds", "alike", "kinds_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def alike(*facts: NDArray[Any]) -> tuple[IntArray, IntArray]:
    """Rows that agree in all of several arrays.

    Returns
    -------
    first, inverse : ndarray of int
        One row of every set, in the order of their first rows, and the set of each row.
    """
    import pandas as pd

    inverse = np.zeros(len(facts[0]), dtype=np.int64)
    for fact in facts:
        codes, found = pd.factorize(fact)
        inverse = np.asarray(pd.factorize(inverse * len(found) + codes)[0], dtype=np.int64)
    first = np.full(inverse.max(initial=-1) + 1, len(inverse), dtype=np.int64)
    np.minimum.at(first, inverse, np.arange(len(inverse)))
    return first, inverse


@dataclass(frozen=True)
class Kinds:
    """What is the same in many units: the distinct groups of cells.

    Attributes
    ----------
    unit_ptr : ndarray of int, shape (U + 1,)
        Groups of unit i are those from ``unit_ptr[i]`` to ``unit_ptr[i + 1]``.
    group_kind : ndarray of int, shape (G,)
        Kind of each group.
    kind_ptr : ndarray of int, shape (K + 1,)
        Cells of kind j are those from ``kind_ptr[j]`` to ``kind_ptr[j + 1]``.
    kind_benchmark : ndarray of int, shape (K,)
        Benchmark of each kind.
    column : ndarray of int, shape (M,)
        Column of each cell of a kind.
    k, n : ndarray, shape (M,)
        Its successes and trials.
    """

    unit_ptr: IntArray
    group_kind: IntArray
    kind_ptr: IntArray
    kind_benchmark: IntArray
    column: IntArray
    k: FloatArray
    n: FloatArray


def kinds_of(
    unit_ptr: IntArray,
    unit_benchmark: IntArray,
    cell_column: IntArray,
    cell_group: IntArray,
    k: FloatArray,
    n: FloatArray,
    grouped: bool,
) -> Kinds:
    """The distinct groups of cells, in the layout of `lattice_kernel`.

    Parameters
    ----------
    unit_ptr, unit_benchmark, cell_column, cell_group, k, n
        As in `crossed.crossed_kernel`.
    grouped : bool
        Whether cells of a group share an interaction; without one every cell is a group of its own, which makes fewer kinds.

    Returns
    -------
    Kinds
        Sorted by benchmark.
    """
    cells = cell_column.size
    unit = np.repeat(np.arange(unit_ptr.size - 1), np.diff(unit_ptr))
    opens = np.ones(cells, dtype=bool)
    if grouped and cells:
        opens[1:] = (unit[1:] != unit[:-1]) | (cell_group[1:] != cell_group[:-1])
    starts = np.flatnonzero(opens)
    lengths = np.diff(np.append(starts, cells))
    cell = alike(cell_column, k, n)[1]
    benchmark = unit_benchmark[unit[starts]]
    found: list[IntArray] = []
    kind = np.empty(starts.size, dtype=np.int64)
    count = 0
    for length in np.unique(lengths):
        here = np.flatnonzero(lengths == length)
        first, inverse = alike(*(cell[starts[here] + j] for j in range(length)))
        kind[here] = count + inverse
        count += first.size
        found.append(here[first])
    groups = np.concatenate([np.zeros(0, np.int64), *found])
    order = np.argsort(benchmark[groups], kind="stable")
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    groups = groups[order]
    kind_ptr = np.concatenate([[0], np.cumsum(lengths[groups])]).astype(np.int64)
    taken = np.concatenate([np.zeros(0, np.int64), *(starts[g] + np.arange(lengths[g]) for g in groups)])
    ends = np.searchsorted(starts, unit_ptr)
    return Kinds(
        ends.astype(np.int64), rank[kind], kind_ptr, benchmark[groups], cell_column[taken], k[taken].astype(float),
        n[taken].astype(float),
    )  # fmt: skip
