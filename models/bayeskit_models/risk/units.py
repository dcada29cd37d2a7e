"""Units whose influence can be asked of a risk fit: one row of the table, a group, a category of a covariate.

A cell that stands for several equal rows is a unit for each of them; where weights are not whole numbers a cell is one unit
with its weight. Leaving out takes rows away and nothing else: centring and scaling of covariates stay. The people over whom a
stated prevalence is taken become fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit_models.risk.population import coefficients_of, pooled, testing_columns

if TYPE_CHECKING:
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["drop_units", "unit_counts", "unit_effects", "unit_names"]

FloatArray = NDArray[np.float64]

_SEEN = ("untested", "tested, outcome 1", "tested, outcome 0")
_BLOCK = 20_000_000  # numbers that are worked on at a time


def unit_names(spec: SelectiveRisk, statistics: xr.Dataset) -> tuple[str, ...]:
    """Rows, the groups where there are any, and covariates that are labels (but for one named "row" or "group")."""
    names = ["row"] + (["group"] if "group_code" in statistics else [])
    labels = [v for v in spec.covariates if v not in ("row", "group") and statistics[f"x_{v}"].dtype.kind in "UOT"]
    return (*names, *labels)


def _whole(statistics: xr.Dataset) -> bool:
    weight = statistics["weight"].values
    return bool((weight == np.round(weight)).all())


def _home(statistics: xr.Dataset, by: str) -> tuple[list[str], NDArray[np.int64]]:
    """Labels of groups or categories, and the place of each cell's own among them."""
    if by == "group":
        return [str(x) for x in statistics["group"].values], statistics["group_code"].values
    found, place = np.unique(statistics[f"x_{by}"].values.astype(str), return_inverse=True)
    return [str(x) for x in found], np.asarray(place).reshape(-1)


def unit_counts(statistics: xr.Dataset, by: str) -> xr.DataArray:
    """Labels of the units, and how many identical rows each stands for."""
    if by != "row":
        labels = _home(statistics, by)[0]
        return xr.DataArray(np.ones(len(labels), dtype=np.int64), {"unit": labels}, ("unit",), name=by)
    weight, whole = statistics["weight"].values, _whole(statistics)
    kind = np.repeat(np.arange(3), np.diff(statistics["kind_ptr"].values))
    labels = [
        f"row {row}: {_SEEN[k]}" + ("" if whole else f", weight {w:g}")
        for row, k, w in zip(statistics["table_row"].values, kind, weight, strict=True)
    ]
    counts = np.round(weight) if whole else np.ones(len(weight))
    return xr.DataArray(counts.astype(np.int64), {"unit": labels}, ("unit",), name=by)


def drop_units(statistics: xr.Dataset, by: str, places: NDArray[np.int64]) -> xr.Dataset:
    """The statistics less some units; parameters stay."""
    weight = statistics["weight"].values.copy()
    if by != "row":
        weight[np.isin(_home(statistics, by)[1], places)] = 0.0
    elif _whole(statistics):
        np.subtract.at(weight, places, 1.0)
    else:
        weight[places] = 0.0
    kind = np.repeat(np.arange(3), np.diff(statistics["kind_ptr"].values))
    keep = np.flatnonzero(weight > 0.0)
    place = np.full(len(weight) + 1, -1)  # the last is that of rows that had no cell
    place[keep] = np.arange(len(keep))
    cell = place[statistics["cell"].values]
    out = statistics.assign(weight=(("row",), weight)).isel(row=keep)
    return out.assign(
        kind_ptr=(("kind_edge",), np.concatenate([[0], np.cumsum(np.bincount(kind[keep], minlength=3))])),
        cell=(("observation",), cell),
        counts=(("kind",), np.array([weight[kind == k].sum() for k in range(3)])),
        **_tested_moments(out, weight[keep], kind[keep]),
    ).assign_attrs(statistics.attrs)


def _tested_moments(out: xr.Dataset, weight: FloatArray, kind: NDArray[np.int64]) -> dict:
    """What of the statistics follows from the outcomes of the tested rows."""
    tested = kind > 0
    if not weight[tested].sum():
        return {}
    centre, spread = (float(x) for x in out["unit"].values) if "unit" in out else (0.0, 1.0)
    y = (kind[tested] == 1).astype(float) if "unit" not in out else centre + spread * out["outcome"].values[tested]
    mean = float(np.average(y, weights=weight[tested]))
    found = {
        "tested_mean": ((), mean), "tested_sd": ((), float(np.sqrt(np.average((y - mean) ** 2, weights=weight[tested])))),
    }  # fmt: skip
    return found | ({"log_unit": ((), -float(np.log(spread)) * weight[tested].sum())} if "unit" in out else {})


def unit_effects(
    spec: SelectiveRisk, draws: xr.Dataset, statistics: xr.Dataset, by: str, dials: Mapping[str, float]
) -> FloatArray:
    """What ONE of each unit adds to the log likelihood, shape (chains, draws, units)."""
    c = coefficients_of(spec, pooled(draws), statistics, dials)
    size, weight = len(c), statistics["weight"].values
    labels, home = _home(statistics, by) if by != "row" else ([], np.empty(0, dtype=np.int64))
    out = np.empty((size, len(labels) if by != "row" else len(weight)))
    columns = testing_columns(statistics)
    step = max(1, _BLOCK // max(1, len(weight)))
    for start in range(0, size, step):
        found = c[start : start + step].log_rows(statistics, columns)
        if by == "row":
            out[start : start + step] = found if _whole(statistics) else found * weight
        else:
            for u in range(len(labels)):
                out[start : start + step, u] = (found * weight)[:, home == u].sum(1)
    return out.reshape(draws.sizes["chain"], draws.sizes["draw"], -1)
