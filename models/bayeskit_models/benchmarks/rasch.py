"""Units that agree in design and total are one unit: the sufficiency behind Rasch's model, exact for any number of models.

Without a chance level and without an interaction the likelihood of a unit with successes k_c in n_c trials of column c is

    exp(sum_c k_c eta_c) integral phi(z) exp(K (shift + sd z)) prod_c (1 + exp(eta_c + shift + sd z))^(-n_c) dz

with K = sum_c k_c: the integral knows the successes by their total alone. So m units with the same columns, trials, benchmark,
cluster and total have the same likelihood together as m copies of their average, whose successes need not be whole numbers. A
table of 14,042 items by 70 models with one trial each becomes 71 units.

With an interaction the same holds of every group of cells that share one (a model that met an item, in several runs or with
several templates): its likelihood at y = shift + sd z + inner_sd u is exp(sum_c k_c eta_c + K y) times a product that does not
know the successes. So groups with the same columns, trials and total are of one kind, whichever cells the successes fell in: a
model with four runs of five answers has 21 kinds of items in place of up to 6^4, and `tables` evaluates each once.

Andersen (1977), Psychometrika 42:69; Rasch (1960).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeskit_models.benchmarks.tables import fold

__all__ = ["Folded", "alike", "fold_by_total", "pool_kinds"]

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
    cell_column, cell_group : ndarray of int, shape (M,)
        Column of each cell; cells of one unit with equal group lie together.
    cell_kind : ndarray of int, shape (M,)
        Kind of each cell's group.
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
    cell_group: IntArray
    cell_kind: IntArray
    k: FloatArray
    n: FloatArray
    place: IntArray


def pool_kinds(
    unit_ptr: IntArray,
    unit_benchmark: IntArray,
    unit_weight: FloatArray,
    cell_column: IntArray,
    cell_group: IntArray,
    k: FloatArray,
    n: FloatArray,
) -> tuple[IntArray, FloatArray]:
    """Kinds of groups that agree in benchmark, columns, trials and total, and successes that are equal within a kind.

    Only for likelihoods without a chance level: there the average over the groups of a kind may stand for each.

    Parameters
    ----------
    unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, k, n
        As in `cheapest.crossed_kernel`.

    Returns
    -------
    kind : ndarray of int, shape (N,)
        Kind of each cell's group, or no number at all where so few groups repeat that tables do not pay.
    k : ndarray, shape (N,)
        Average successes of each cell.
    """
    unit = np.repeat(np.arange(len(unit_benchmark)), np.diff(unit_ptr))
    new = np.r_[True, (cell_group[1:] != cell_group[:-1]) | (unit[1:] != unit[:-1])][: len(unit)]
    group = np.cumsum(new) - 1
    kind = fold(unit_ptr, unit_benchmark, cell_column, cell_group, n, np.bincount(group, k)[group])
    if not kind.size:
        return kind, k
    first, place = alike(kind, cell_column)
    weight = unit_weight[unit]
    seen, hits = (np.bincount(place, w, first.size) for w in (weight, weight * k))
    return kind, np.where(seen > 0.0, hits / np.maximum(seen, 1.0), k[first])[place]


def fold_by_total(
    unit_ptr: IntArray,
    unit_benchmark: IntArray,
    unit_cluster: IntArray,
    unit_weight: FloatArray,
    cell_column: IntArray,
    k: FloatArray,
    n: FloatArray,
    cell_group: IntArray | None = None,
    cell_kind: IntArray | None = None,
) -> Folded:
    """Fold units that agree in benchmark, cluster, columns, trials and total of successes; given kinds, in these as well.

    Only for likelihoods without a chance level, and unless kinds are given without an interaction: there it changes neither the
    value nor any gradient.

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
    cell_group, cell_kind : ndarray of int, shape (N,), optional
        Groups of cells that share an interaction, and their kinds, both or neither; successes are then those of `pool_kinds`.

    Returns
    -------
    Folded
    """
    group = np.zeros(len(k), dtype=np.int64) if cell_group is None else cell_group
    kind = np.zeros(len(k), dtype=np.int64) if cell_kind is None else cell_kind
    lengths = np.diff(unit_ptr)
    place = np.full(lengths.size, -1, dtype=np.int64)
    parts: list[tuple[IntArray, FloatArray, IntArray, IntArray, FloatArray]] = []
    count = 0
    for length in np.unique(lengths):
        units = np.flatnonzero((lengths == length) & (unit_weight > 0.0))
        if not units.size:
            continue
        cells = unit_ptr[units][:, None] + np.arange(length)
        order = np.lexsort((cell_column[cells], group[cells]), axis=1)
        cells = np.take_along_axis(cells, order, axis=1)
        hits, facts = k[cells], [cell_column[cells], n[cells], *([] if cell_kind is None else [kind[cells]])]
        columns = [row for fact in facts for row in fact.T]
        first, inverse = alike(unit_benchmark[units], unit_cluster[units], hits.sum(1), *columns)
        weight = np.bincount(inverse, unit_weight[units], first.size)
        total = np.zeros((first.size, int(length)))
        np.add.at(total, inverse, unit_weight[units][:, None] * hits)
        place[units] = count + inverse
        count += first.size
        sizes = np.full(first.size, length)
        parts.append((units[first], weight, sizes, cells[first].ravel(), (total / weight[:, None]).ravel()))
    like, weight, sizes, cell, mean = (
        np.concatenate([np.zeros(0, dtype), *(part[i] for part in parts)])
        for i, dtype in enumerate((np.int64, np.float64, np.int64, np.int64, np.float64))
    )
    return Folded(
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), unit_benchmark[like], unit_cluster[like], weight,
        cell_column[cell], group[cell], kind[cell], mean, n[cell], place,
    )  # fmt: skip
