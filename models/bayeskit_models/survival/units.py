"""Units whose influence can be asked of a survival fit: one row of the table, a group, a category of a covariate.

A row that stands for several (whole weights) is a unit for each of them; where weights are not whole numbers a row is one unit
with its weight. Leaving out takes rows away and nothing else: the scale of time, the centring of covariates, the patterns and
the times of the estimands stay those of the whole table, so that the same question is asked of less data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit_models.survival.frailty import frailty_effects, with_events
from bayeskit_models.survival.likelihood import row_log_likelihood
from bayeskit_models.survival.overview import with_overview
from bayeskit_models.survival.predictors import designs_of, predictors

if TYPE_CHECKING:
    from bayeskit_models.survival.model import FlexibleSurvival

__all__ = ["drop_units", "unit_counts", "unit_effects", "unit_names"]

FloatArray = NDArray[np.float64]

_KINDS = ("event at {1}", "censored at {0}", "event before {1}", "event between {0} and {1}")
_BLOCK = 2_000_000  # of draws times rows that are worked on at a time: some ten arrays of 16 MB


def unit_names(spec: FlexibleSurvival, statistics: xr.Dataset) -> tuple[str, ...]:
    """Rows, the groups where there are any, and covariates that are labels (but for one named as those)."""
    names = ["row"] + [n for n, data in (("group", "pattern_group"), ("frailty", "frailty_row")) if data in statistics]
    labels = [v for v in spec.covariates if v not in ("row", "group", "frailty") and statistics[f"x_{v}"].dtype.kind in "UOT"]
    return (*names, *labels)


def _whole(statistics: xr.Dataset) -> bool:
    """Whether every row stands for a whole number of rows."""
    weight = statistics["weight"].values
    return bool((weight == np.round(weight)).all())


def _home(statistics: xr.Dataset, by: str) -> tuple[list[str], NDArray[np.int64]]:
    """Labels of groups or categories, and the place of each row's own among them."""
    if by == "frailty":
        return [str(x) for x in statistics["frailty"].values], statistics["frailty_row"].values
    if by == "group":
        labels = [str(x) for x in statistics["group"].values]
        place = statistics["pattern_group"].values
    else:
        found, place = np.unique(statistics[f"x_{by}"].values.astype(str), return_inverse=True)
        labels = [str(x) for x in found]
    return labels, np.asarray(place).reshape(-1)[statistics["pattern"].values]


def unit_counts(statistics: xr.Dataset, by: str) -> xr.DataArray:
    """Labels of the units, and how many identical rows each stands for."""
    if by != "row":
        labels = _home(statistics, by)[0]
        return xr.DataArray(np.ones(len(labels), dtype=np.int64), {"unit": labels}, ("unit",), name=by)
    scale, pointer = float(statistics["time_scale"]), statistics["kind_ptr"].values
    lower, upper = (np.exp(statistics[n].values) * scale for n in ("log_lower", "log_upper"))
    kind = np.repeat(np.arange(4), np.diff(pointer))
    weight, whole = statistics["weight"].values, _whole(statistics)
    labels = [
        f"row {row}: {_KINDS[k].format(f'{a:g}', f'{b:g}')}" + ("" if whole else f", weight {w:g}")
        for row, k, a, b, w in zip(statistics["table_row"].values, kind, lower, upper, weight, strict=True)
    ]
    counts = np.round(weight) if whole else np.ones(len(weight))
    return xr.DataArray(counts.astype(np.int64), {"unit": labels}, ("unit",), name=by)


def drop_units(statistics: xr.Dataset, by: str, places: NDArray[np.int64]) -> xr.Dataset:
    """The statistics less some units; patterns of covariates, and with them every dimension of parameters, stay."""
    weight = statistics["weight"].values.copy()
    if by != "row":
        weight[np.isin(_home(statistics, by)[1], places)] = 0.0
    elif _whole(statistics):
        np.subtract.at(weight, places, 1.0)
    else:
        weight[places] = 0.0
    keep = np.flatnonzero(weight > 0.0)
    late = np.flatnonzero(np.isin(statistics["entry_row"].values, keep))
    kind = np.repeat(np.arange(4), np.diff(statistics["kind_ptr"].values))[keep]
    out = statistics.assign(weight=(("row",), weight)).isel(row=keep, late=late)
    events = float(out["weight"].values[kind == 0].sum())
    out = out.assign(
        kind_ptr=(("kind_edge",), np.concatenate([[0], np.cumsum(np.bincount(kind, minlength=4))])),
        entry_row=(("late",), np.searchsorted(keep, out["entry_row"].values)),
        log_unit=((), -np.log(float(statistics["time_scale"])) * events),
    )
    return with_events(with_overview(out)).assign_attrs(statistics.attrs)


def unit_effects(
    spec: FlexibleSurvival, draws: xr.Dataset, statistics: xr.Dataset, by: str, dials: Mapping[str, float]
) -> FloatArray:
    """What ONE of each unit adds to the log likelihood, shape (chains, draws, units): row by row in plain NumPy."""
    chains, length = draws.sizes["chain"], draws.sizes["draw"]
    values = {str(n): v.transpose("chain", "draw", ...).values for n, v in draws.data_vars.items()}
    flat = {n: v.reshape(chains * length, *v.shape[2:]) for n, v in values.items()}
    designs = designs_of(statistics)
    group = statistics["pattern_group"].values if "pattern_group" in statistics else None
    weight = statistics["weight"].values
    labels, home = _home(statistics, by) if by != "row" else ([], np.empty(0, dtype=np.int64))
    out = np.empty((chains * length, len(labels) if by != "row" else len(weight)))
    step = max(1, _BLOCK // max(1, len(weight)))
    for start in range(0, chains * length, step):
        here = slice(start, min(start + step, chains * length))
        logs = predictors(spec, {n: v[here] for n, v in flat.items()}, designs, dials, group)
        wide = tuple(np.broadcast_to(p, (here.stop - here.start, p.shape[-1])) for p in logs)
        if spec.frailty is not None:  # rows of a group are not independent: what one adds depends on the others
            copies = weight if by != "row" else np.ones(len(weight))
            out[here] = frailty_effects(wide, statistics, home if by != "row" else np.arange(len(weight)), out.shape[1], copies)
            continue
        rows = row_log_likelihood(wide, statistics)
        if by != "row":
            for u in range(len(labels)):
                out[here, u] = rows[:, home == u].sum(1)
        else:
            out[here] = rows / weight if _whole(statistics) else rows
    return out.reshape(chains, length, -1)
