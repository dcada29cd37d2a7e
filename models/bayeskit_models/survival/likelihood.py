"""The survival likelihood as a plain PyTensor graph and, per row, in NumPy: what the fused kernel is tested against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit_models.survival.algebra import numpy_algebra, pytensor_algebra

__all__ = ["plain_log_likelihood", "row_log_likelihood"]

FloatArray = NDArray[np.float64]


def plain_log_likelihood(predictors: list[Any], data: Mapping[str, Any]) -> Any:
    """Total log likelihood from the predictors by pattern and the data of `kernel.survival_kernel`, node by node.

    `background` has an entry for every row here.
    """
    import pytensor.tensor as pt

    algebra = pytensor_algebra()
    pattern, pointer = data["pattern"], data["kind_ptr"]

    def by_row(rows: Any) -> list[Any]:
        return [(p[pattern[rows]] if p.type.shape[0] != 1 else p) for p in predictors]

    def between(a: int, b: int) -> Any:
        return pt.arange(pointer[a], pointer[b])

    exact, right, left, interval = (between(q, q + 1) for q in range(4))
    time = data["log_lower"]
    rate = algebra.log_hazard(time[exact], *by_row(exact))
    background = data["background"][exact]
    rate = pt.switch(background > 0, pt.log(pt.exp(rate) + background), rate)
    total = (data["weight"][exact] * (rate - algebra.cumulative_hazard(time[exact], *by_row(exact)))).sum()
    total -= (data["weight"][right] * algebra.cumulative_hazard(time[right], *by_row(right))).sum()
    upper = algebra.cumulative_hazard(data["log_upper"][left], *by_row(left))
    total += (data["weight"][left] * pt.log(-pt.expm1(-upper))).sum()
    low = algebra.cumulative_hazard(time[interval], *by_row(interval))
    upper = algebra.cumulative_hazard(data["log_upper"][interval], *by_row(interval))
    total += (data["weight"][interval] * (pt.log(-pt.expm1(low - upper)) - low)).sum()
    late = data["entry_row"]
    return total + (data["weight"][late] * algebra.cumulative_hazard(data["log_entry"], *by_row(late))).sum()


def row_log_likelihood(predictors: tuple[FloatArray, ...], statistics: xr.Dataset) -> FloatArray:
    """Log likelihood of every row on the user's scale of time, weight included, for draws of the predictors.

    Parameters
    ----------
    predictors : four ndarrays, shape (S, P)
        By draw and pattern.
    statistics : Dataset
        As `statistics.reduce_rows` makes them.

    Returns
    -------
    ndarray, shape (S, rows)
    """
    algebra, place = numpy_algebra(), statistics["pattern"].values
    by_row = [p[:, place] if p.shape[1] > 1 else np.broadcast_to(p, (p.shape[0], len(place))) for p in predictors[:4]]
    pointer = statistics["kind_ptr"].values
    lower, upper = statistics["log_lower"].values, statistics["log_upper"].values
    out = np.empty((len(predictors[0]), len(place)))

    def part(a: int) -> tuple[slice, list[FloatArray]]:
        rows = slice(int(pointer[a]), int(pointer[a + 1]))
        return rows, [p[:, rows] for p in by_row]

    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        rows, now = part(0)
        rate, background = algebra.log_hazard(lower[rows], *now), statistics["background"].values
        if statistics.attrs.get("relative", True):
            rate = np.where(background[rows] > 0, np.log(np.exp(rate) + background[rows]), rate)
        out[:, rows] = rate - algebra.cumulative_hazard(lower[rows], *now)
        rows, now = part(1)
        out[:, rows] = -algebra.cumulative_hazard(lower[rows], *now)
        rows, now = part(2)
        out[:, rows] = np.log(-np.expm1(-algebra.cumulative_hazard(upper[rows], *now)))
        rows, now = part(3)
        low, high = (algebra.cumulative_hazard(t[rows], *now) for t in (lower, upper))
        out[:, rows] = np.log(-np.expm1(low - high)) - low
        late = statistics["entry_row"].values
        entry = algebra.cumulative_hazard(statistics["log_entry"].values, *[p[:, late] for p in by_row])
    out[:, late] += entry
    out[:, : int(pointer[1])] -= float(np.log(statistics["time_scale"]))
    return out * statistics["weight"].values
