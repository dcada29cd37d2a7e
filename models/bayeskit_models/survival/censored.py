"""Censoring that tells something: what became of the study's own subjects, had the hazard changed when they were censored.

Nobody sees what happens after censoring. The model assumes that a subject who is censored at c goes on with the hazard of those
who are followed; here that hazard is multiplied by m from c on. The *sample survival* at a time t is the expected share of the
study's own subjects that is free of the event at t:

    event at s            1 if s > t, else 0
    censored at c         1 if t <= c, else exp(-m (H(t) - H(c)))
    event in (l, r]       1 if t <= l, 0 if t >= r, else (S(t) - S(r)) / (S(l) - S(r))

averaged with the rows' weights. With m = 0 nobody who was censored ever has the event, with m large everybody has it at once:
the bounds of Manski (1990), American Economic Review 80(2):319-323, that hold whatever the censoring. Multiplying the hazard
after censoring is the delta adjustment of Jackson et al. (2014), Statistics in Medicine 33:4681-4694.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit_models.survival.algebra import numpy_algebra
from bayeskit_models.survival.predictors import designs_of, predictors

if TYPE_CHECKING:
    from bayeskit_models.survival.model import FlexibleSurvival

__all__ = ["Censored", "needed", "sample_survival"]

FloatArray = NDArray[np.float64]

_ALGEBRA = numpy_algebra()
_CHUNK = 2_000_000  # numbers in one array: some 16 MB
_TIE = 1e-12  # of log time: times that differ by rounding alone are the same


def needed(statistics: xr.Dataset) -> str:
    """Why sample survival cannot be told from these statistics; empty where it can."""
    if "pattern" not in statistics:
        return "it needs the rows, and this run was saved without them"
    if "frailty_row" in statistics:
        return "with a gamma frailty the fate of who is censored depends on the group's other rows, which is not worked out"
    if statistics.attrs.get("relative"):
        return (
            "with a background hazard it is not known what happens after censoring: the population's hazard there is not given"
        )
    return ""


@dataclass(frozen=True)
class Censored:
    """What sample survival at one time needs, folded: rows that are certain, and distinct censored rows that are not.

    Attributes
    ----------
    certain : float
        Weight of the rows that are free of the event at the time, whatever the parameters.
    total : float
        Weight of all rows.
    log_time : float
        The time, on the internal scale.
    right, interval : dict of str to ndarray
        Distinct rows whose fate at the time is open: ``pattern``, ``weight`` and, as internal log times, ``lower`` (and
        ``upper``).
    """

    certain: float
    total: float
    log_time: float
    right: Mapping[str, NDArray[np.generic]]
    interval: Mapping[str, NDArray[np.generic]]

    @classmethod
    def at(cls, statistics: xr.Dataset, time: float, rows: NDArray[np.bool_] | None = None) -> Censored:
        """Fold the rows (or some of them) at one time, in the user's unit."""
        log_time = float(np.log(time / float(statistics["time_scale"])))
        chosen = np.ones(statistics.sizes["row"], dtype=bool) if rows is None else rows
        pointer = statistics["kind_ptr"].values
        kind = np.repeat(np.arange(4), np.diff(pointer))
        weight, pattern = statistics["weight"].values, statistics["pattern"].values
        lower, upper = statistics["log_lower"].values, statistics["log_upper"].values
        before = lower <= log_time + _TIE  # the event, the censoring or the last visit without it is not after the time
        within = before & (kind >= 2) & (upper > log_time + _TIE)
        open_right = chosen & (kind == 1) & (lower < log_time - _TIE)
        certain = chosen & np.where(kind == 1, ~open_right, ~before)
        return cls(
            float(weight[certain].sum()), float(weight[chosen].sum()), log_time,
            _fold({"pattern": pattern, "lower": lower, "weight": weight}, open_right),
            _fold({"pattern": pattern, "lower": lower, "upper": upper, "weight": weight}, chosen & within),
        )  # fmt: skip

    @property
    def open_rows(self) -> int:
        """Distinct rows whose fate is open."""
        return len(self.right["pattern"]) + len(self.interval["pattern"])

    def exposure(self, logs: tuple[FloatArray, ...]) -> FloatArray:
        """``H(t) - H(c)`` of the distinct censored rows, shape (S, rows), from predictors of shape (S, patterns)."""
        return _between(logs, self.right["pattern"], self.right["lower"], self.log_time)

    def settled(self, logs: tuple[FloatArray, ...]) -> FloatArray:
        """Weight of what no multiplier changes: certain rows, and those of an interval that holds the time; shape (S,)."""
        if not len(self.interval["pattern"]):
            return np.full(len(logs[0]), self.certain)
        place, low, high = (self.interval[k] for k in ("pattern", "lower", "upper"))
        whole, first = _between(logs, place, low, high), _between(logs, place, low, self.log_time)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = 1.0 - np.expm1(-first) / np.expm1(-whole)
        # an interval in which the law puts no probability at all: evenly, for nothing tells better
        low, high = (np.exp(np.asarray(v, dtype=float)) for v in (low, high))
        share = np.where(whole > 0.0, share, (high - np.exp(self.log_time)) / (high - low))
        return np.asarray(self.certain + share @ self.interval["weight"])

    def share(self, settled: FloatArray, exposure: FloatArray, multiplier: float) -> FloatArray:
        """Sample survival under a multiplier, shape (S,)."""
        return np.asarray((settled + _free(exposure, multiplier) @ self.right["weight"]) / self.total)


def _free(exposure: FloatArray, multiplier: float) -> FloatArray:
    """Probability to be free after an exposure that is multiplied; with 0 nobody has the event, however large it is."""
    with np.errstate(under="ignore"):
        return np.ones(exposure.shape) if multiplier == 0.0 else np.exp(-multiplier * exposure)


def _between(
    logs: tuple[FloatArray, ...], pattern: NDArray[np.generic], start: NDArray[np.generic], stop: NDArray[np.generic] | float
) -> FloatArray:
    """Cumulative hazard between two internal log times for rows of given patterns, shape (S, rows)."""
    by_row = tuple(p[:, pattern] if p.shape[1] > 1 else p for p in logs)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found = _ALGEBRA.cumulative_hazard(stop, *by_row) - _ALGEBRA.cumulative_hazard(start, *by_row)
    # both ends beyond any number: a subject that cannot be there, for whom the hazard is as good as infinite
    return np.where(np.isnan(found), np.inf, np.maximum(found, 0.0))


def _fold(columns: Mapping[str, NDArray[np.generic]], chosen: NDArray[np.bool_]) -> dict[str, NDArray[np.generic]]:
    """Distinct rows of the columns but ``weight``, with the sums of their weights."""
    names = [n for n in columns if n != "weight"]
    joined = np.stack([columns[n][chosen].astype(float) for n in names], axis=1)
    distinct, place = np.unique(joined, axis=0, return_inverse=True)
    weight = np.bincount(np.reshape(place, -1), weights=columns["weight"][chosen].astype(float), minlength=len(distinct))
    found: dict[str, NDArray[np.generic]] = {n: distinct[:, k] for k, n in enumerate(names)}
    return found | {"pattern": distinct[:, 0].astype(np.int64), "weight": weight}


def sample_survival(
    spec: FlexibleSurvival,
    values: Mapping[str, FloatArray],
    statistics: xr.Dataset,
    dials: Mapping[str, float],
    times: FloatArray,
) -> FloatArray:
    """Expected share of the study's own subjects free of the event at each time, for draws of the variables.

    Parameters
    ----------
    values : mapping of str to ndarray, shape (S, *own)
        Draws of the variables.
    statistics : Dataset
        With the rows; see `needed`.
    dials : mapping
        ``independent_censoring.multiplier`` is the factor of the hazard after censoring.
    times : ndarray, shape (T,)
        In the user's unit.

    Returns
    -------
    ndarray, shape (S, T)
    """
    folded = [Censored.at(statistics, float(t)) for t in times]
    multiplier = dials["independent_censoring.multiplier"]
    size = len(next(iter(values.values()))) if values else 1
    out = np.empty((size, len(times)))
    widest = max(statistics.sizes.get("unique", 1), *(f.open_rows for f in folded), 1)
    for part, logs in predictors_in_parts(spec, values, statistics, dials, max(_CHUNK // widest, 1), size):
        for k, each in enumerate(folded):
            out[part, k] = each.share(each.settled(logs), each.exposure(logs), multiplier)
    return out


def predictors_in_parts(  # type: ignore[no-untyped-def]
    spec: FlexibleSurvival, values: Mapping[str, FloatArray], statistics: xr.Dataset, dials: Mapping[str, float], step: int,
    size: int,
):  # fmt: skip
    """Predictors by pattern for a part of the draws after another: pairs of a slice and four arrays, shape (part, patterns)."""
    designs = designs_of(statistics)
    group = statistics["pattern_group"].values if "pattern_group" in statistics else None
    for start in range(0, size, step):
        part = slice(start, min(start + step, size))
        logs = predictors(spec, {n: v[part] for n, v in values.items()}, designs, dials, group)
        yield part, tuple(np.broadcast_to(p, (part.stop - part.start, p.shape[-1])) for p in logs)
