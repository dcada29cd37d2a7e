"""What units and cells of a table have in common, beside the statistics themselves: what makes the likelihood cheap.

Units and groups of equal design and total (`rasch`), and kinds of groups (`tables`); `cheapest` says which is used when.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayeskit_models.benchmarks.rasch import fold_by_total, pool_kinds
from bayeskit_models.benchmarks.tables import fold

__all__ = ["DESIGN", "with_shares", "without_shares"]

_FOLD = ("fold_ptr", "fold_unit", "fold_weight", "fold_column", "fold_group", "fold_k", "fold_n", "fold_kind")
_DIMS = ("fold_edge", "fold", "fold", "fold_cell", "fold_cell", "fold_cell", "fold_cell", "kind_of_fold_cell")
_COUNTS = ("k", "n")
_UNITS = ("unit_ptr", "unit_benchmark", "unit_weight", "cell_column", "cell_group")

DESIGN = (*_UNITS, *_COUNTS, "cell_kind", *_FOLD)
"""The statistics that the likelihood reads, in the order of its arguments after the chance level."""

_WORTH = 0.5  # of the cells, or kinds of groups, that are left at most, for a fold to be worth its own work


def without_shares(statistics: xr.Dataset) -> xr.Dataset:
    """The statistics alone: what is shared says nothing of units or cells that have changed."""
    return statistics.drop_vars([name for name in ("cell_kind", "fold_place", *_FOLD) if name in statistics])


def with_shares(statistics: xr.Dataset, sums: tuple[str, ...] = _COUNTS, *, single: bool = False) -> xr.Dataset:
    """Add what units and cells have in common; whatever changes the units or cells of statistics calls this again.

    Parameters
    ----------
    statistics : Dataset
        With the units and cells of `statistics.fold_units`, and the attribute ``interaction``.
    sums : tuple of str
        Statistics that the likelihood needs of a cell.
    single : bool
        Whether the law of a cell is so dear that single cells are worth sharing; units are then never folded.

    Returns
    -------
    Dataset
        With the other arrays of `DESIGN`; those of a fold, or of kinds, are empty where these would save nothing. And with
        ``fold_place``, the folded unit of each unit, -1 for none.
    """
    ptr, benchmark, weight, column, group = (statistics[name].values for name in _UNITS)
    cells = [statistics[name].values for name in sums]
    cluster = statistics["unit_cluster"].values if "unit_cluster" in statistics else np.zeros(len(benchmark), dtype=np.int64)
    nothing, none = np.zeros(0, dtype=np.int64), np.zeros(0)
    kind, k, n, found = nothing, *cells[:2], None
    if statistics.attrs["interaction"]:
        kind = fold(ptr, benchmark, column, group, *cells)
        pooled, k = (nothing, k) if single else pool_kinds(ptr, benchmark, weight, column, group, k, n)
        fewer = not kind.size or len(np.unique(pooled)) <= _WORTH * len(np.unique(kind))
        if pooled.size and fewer:
            found = fold_by_total(ptr, benchmark, cluster, weight, column, k, n, group, pooled)
    elif single:
        kind = fold(ptr, benchmark, column, np.arange(len(column)), *cells)
    else:
        found = fold_by_total(ptr, benchmark, cluster, weight, column, k, n)
        found = found if len(found.k) <= _WORTH * len(k) else None
    parts = (np.zeros(1, dtype=np.int64), nothing, none, nothing, nothing, none, none, nothing)
    place = np.full(len(benchmark), -1, dtype=np.int64)
    if found is not None:
        place = found.place
        like = np.zeros(len(found.unit_weight), dtype=np.int64)
        kept = found.place >= 0
        like[found.place[kept]] = np.flatnonzero(kept)  # any of its units: they agree in cluster and benchmark
        kinds = found.cell_kind if statistics.attrs["interaction"] else nothing
        parts = (found.unit_ptr, like, found.unit_weight, found.cell_column, found.cell_group, found.k, found.n, kinds)
    shared = {name: ((d,), v) for name, d, v in zip(_FOLD, _DIMS, parts, strict=True)}
    shared |= {"cell_kind": (("kind_of_cell",), kind), "fold_place": (("unit",), place)}
    return without_shares(statistics).assign(shared)
