"""Units that agree in design and total are one unit: the sufficiency behind Rasch's model, exact for any number of models.

Without a chance level and without an interaction the likelihood of a unit with successes k_c in n_c trials of column c is

    exp(sum_c k_c eta_c) integral phi(z) exp(K (shift + sd z)) prod_c (1 + exp(eta_c + shift + sd z))^(-n_c) dz

with K = sum_c k_c: the integral knows the successes by their total alone. So m units with the same columns, trials, benchmark,
cluster and total have the same likelihood together as m copies of their average, whose successes need not be whole numbers. A
table of 14,042 items by 70 models with one trial each becomes 71 units.

Andersen (1977), Psychometrika 42:69; Rasch (1960).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Folded", "alike", "fold_by_total"]

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
class Folded:
    """Units after folding, in the layout of `cheapest.crossed_kernel`.

    Attributes
    ----------
    unit_ptr : ndarray of int, shape (V + 1,)
        Cells of folded unit v are those from ``unit_ptr[v]`` to ``unit_ptr[v + 1]``.
    unit_benchmark, unit_cluster : ndarray of int, shape (V,)
        Of each folded unit.
    unit_weight : ndarray, shape (V,)
        How many units it stands for.
    cell_column : ndarray of int, shape (M,)
        Column of each cell.
    k, n : ndarray, shape (M,)
        Average successes, and trials.
    place : ndarray of int, shape (U,)
        The folded unit of each unit; -1 for one without weight.
    """

    unit_ptr: IntArray
    unit_benchmark: IntArray
    unit_cluster: IntArray
    unit_weight: FloatArray
    cell_column: IntArray
    k: FloatArray
    n: FloatArray
    place: IntArray


def fold_by_total(
    unit_ptr: IntArray,
    unit_benchmark: IntArray,
    unit_cluster: IntArray,
    unit_weight: FloatArray,
    cell_column: IntArray,
    k: FloatArray,
    n: FloatArray,
) -> Folded:
    """Fold units that agree in benchmark, cluster, columns, trials and total of successes.

    Only for likelihoods without a chance level and without an interaction of model and item: there it changes neither the value
    nor any gradient.

    Parameters
    ----------
    unit_ptr : ndarray of int, shape (U + 1,)
        Cells of unit i are those from ``unit_ptr[i]`` to ``unit_ptr[i + 1]``.
    unit_benchmark, unit_cluster : ndarray of int, shape (U,)
        Of each unit (any constant where there are no clusters).
    unit_weight : ndarray, shape (U,)
        How many units look like it.
    cell_column : ndarray of int, shape (N,)
        Column of each cell.
    k, n : ndarray, shape (N,)
        Successes and trials.

    Returns
    -------
    Folded
    """
    lengths = np.diff(unit_ptr)
    place = np.full(lengths.size, -1, dtype=np.int64)
    parts: list[tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]] = []
    count = 0
    for length in np.unique(lengths):
        units = np.flatnonzero((lengths == length) & (unit_weight > 0.0))
        if not units.size:
            continue
        cells = unit_ptr[units][:, None] + np.arange(length)
        cells = np.take_along_axis(cells, np.argsort(cell_column[cells], axis=1, kind="stable"), axis=1)
        column, hits, trials = cell_column[cells], k[cells], n[cells]
        first, inverse = alike(unit_benchmark[units], unit_cluster[units], hits.sum(1), *column.T, *trials.T)
        weight = np.bincount(inverse, unit_weight[units], first.size)
        total = np.zeros((first.size, int(length)))
        np.add.at(total, inverse, unit_weight[units][:, None] * hits)
        place[units] = count + inverse
        count += first.size
        parts.append((units[first], column[first], total / weight[:, None], trials[first], weight))
    sizes = np.concatenate([[0], *(np.full(len(units), column.shape[1]) for units, column, *_ in parts)])
    like = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in parts)])
    return Folded(
        np.cumsum(sizes).astype(np.int64),
        unit_benchmark[like],
        unit_cluster[like],
        np.concatenate([np.zeros(0), *(part[4] for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part[1].ravel() for part in parts)]),
        np.concatenate([np.zeros(0), *(part[2].ravel() for part in parts)]),
        np.concatenate([np.zeros(0), *(part[3].ravel() for part in parts)]),
        place,
    )
