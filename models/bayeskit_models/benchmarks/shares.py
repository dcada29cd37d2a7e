"""What units and cells of a table have in common, beside the statistics themselves: what makes the likelihood cheap.

Units of equal design and total (`totals`), and kinds of cells (`kinds`); `cheapest` says which of them is used when.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayeskit_models.benchmarks.kinds import kinds_of
from bayeskit_models.benchmarks.totals import fold_by_total

__all__ = ["DESIGN", "with_shares"]

DESIGN = (
    "unit_ptr", "unit_benchmark", "unit_weight", "cell_column", "cell_group", "k", "n",
    "fold_ptr", "fold_unit", "fold_weight", "fold_column", "fold_k", "fold_n",
    "group_ptr", "group_kind", "kind_ptr", "kind_benchmark", "kind_column", "kind_k", "kind_n",
)  # fmt: skip
"""The statistics that the likelihood reads, in the order of its arguments after the chance level."""

_WORTH = 0.5  # of the cells that are left at most, for a fold or a table to be worth its own work
_WORTH_TABLE = 0.25


def with_shares(statistics: xr.Dataset) -> xr.Dataset:
    """Add what units and cells have in common; whatever changes the units or cells of statistics calls this again.

    Parameters
    ----------
    statistics : Dataset
        With the units and cells of `statistics.fold_units`, and the attribute ``interaction``.

    Returns
    -------
    Dataset
        With the other arrays of `DESIGN`; those of a fold, or of kinds, are empty where these would save nothing.
    """
    ptr, benchmark, weight, column, group, k, n = (statistics[name].values for name in DESIGN[:7])
    cluster = statistics["unit_cluster"].values if "unit_cluster" in statistics else np.zeros(len(benchmark), dtype=np.int64)
    grouped = bool(statistics.attrs["interaction"])
    nothing, none = np.zeros(0, dtype=np.int64), np.zeros(0)
    fold = (np.zeros(1, dtype=np.int64), nothing, none, nothing, none, none)
    if not grouped:
        found = fold_by_total(ptr, benchmark, cluster, weight, column, k, n)
        if len(found.k) <= _WORTH * len(k):
            like = np.zeros(len(found.unit_weight), dtype=np.int64)
            kept = found.place >= 0
            like[found.place[kept]] = np.flatnonzero(kept)  # any of its units: they agree in cluster and benchmark
            fold = (found.unit_ptr, like, found.unit_weight, found.cell_column, found.k, found.n)
    kinds = kinds_of(ptr, benchmark, column, group, k, n, grouped)
    if len(kinds.k) > _WORTH_TABLE * len(k):
        table = (np.zeros(1, dtype=np.int64), nothing, np.zeros(1, dtype=np.int64), nothing, nothing, none, none)
    else:
        table = (
            kinds.unit_ptr, kinds.group_kind, kinds.kind_ptr, kinds.kind_benchmark, kinds.column, kinds.k, kinds.n
        )  # fmt: skip
    dims = (
        "fold_edge", "fold", "fold", "fold_cell", "fold_cell", "fold_cell",
        "group_edge", "group", "kind_edge", "kind", "kind_cell", "kind_cell", "kind_cell",
    )  # fmt: skip
    rest = statistics.drop_vars([name for name in DESIGN[7:] if name in statistics])
    return rest.assign({name: ((d,), v) for name, d, v in zip(DESIGN[7:], dims, (*fold, *table), strict=True)})
