"""Kaplan and Meier's survival curve and Nelson and Aalen's cumulative hazard, with delayed entry and weights.

At each distinct event time t_j let d_j be the weight of the events and n_j the weight of the rows at risk, those with
``entry < t_j <= time``. Then ::

    S(t) = prod_{t_j <= t} (1 - d_j / n_j),        var log S(t) = sum_{t_j <= t} d_j / (n_j (n_j - d_j))   (Greenwood)
    H(t) = sum_{t_j <= t} d_j / n_j,               var H(t) = sum_{t_j <= t} d_j / n_j^2                   (Aalen)

Sources: Kaplan, Meier (1958), JASA 53:457-481; Kalbfleisch, Prentice (2002), The Statistical Analysis of Failure Time Data,
section 1.4 (the interval on the scale of log(-log S)).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.errors import SpecificationError

__all__ = ["KaplanMeier", "kaplan_meier"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class KaplanMeier:
    """A survival curve that changes at `times` only.

    Attributes
    ----------
    times : ndarray, shape (k,)
        Distinct times of events, ascending.
    survival, variance : ndarray, shape (k,)
        S just after each of them, and the variance of its logarithm (inf once S is 0).
    cumulative_hazard, hazard_variance : ndarray, shape (k,)
        Nelson and Aalen's H, and its variance.
    at_risk, events : ndarray, shape (k,)
        Weights n_j and d_j.
    last : float
        The longest time of any row: beyond it the curve is not defined, unless it has come down to 0.
    """

    times: FloatArray
    survival: FloatArray
    variance: FloatArray
    cumulative_hazard: FloatArray
    hazard_variance: FloatArray
    at_risk: FloatArray
    events: FloatArray
    last: float

    def at(self, times: ArrayLike) -> FloatArray:
        """S at any times; NaN beyond `last`, where nobody was followed, unless S is 0 by then."""
        asked = np.asarray(times, dtype=float)
        found = np.concatenate([[1.0], self.survival])[np.searchsorted(self.times, asked, side="right")]
        return np.where((asked > self.last) & (found > 0.0), np.nan, found)

    def interval(self, times: ArrayLike, prob: float = 0.95) -> FloatArray:
        """Pointwise confidence limits of S on the scale of log(-log S), shape (..., 2); NaN where S is 0 or not defined.

        Before the first event S is 1 and so are its limits: the sample says nothing of their width.
        """
        asked = np.asarray(times, dtype=float)
        survival = self.at(asked)
        spread = np.concatenate([[0.0], self.variance])[np.searchsorted(self.times, asked, side="right")]
        z = NormalDist().inv_cdf(0.5 + prob / 2.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(survival)
            half = z * np.sqrt(spread) / np.abs(log)
            found = np.stack([survival ** np.exp(half), survival ** np.exp(-half)], axis=-1)
        found = np.where((survival == 1.0)[..., None], 1.0, found)
        return np.where((survival == 0.0)[..., None], np.nan, found)


def kaplan_meier(
    time: ArrayLike, event: ArrayLike, *, entry: ArrayLike | None = None, weights: ArrayLike | None = None
) -> KaplanMeier:
    """Estimate a survival curve without a model; see the module for the formulas.

    Parameters
    ----------
    time : array_like, shape (n,)
        Times of events or of censoring, above 0.
    event : array_like, shape (n,)
        True or 1 where the event was seen.
    entry : array_like, shape (n,), optional
        Times from which rows were at risk (delayed entry); 0 by default.
    weights : array_like, shape (n,), optional
        How many equal rows a row stands for; 1 by default.

    Returns
    -------
    KaplanMeier

    Raises
    ------
    SpecificationError
        For arrays of unequal length, none at all, or a row that enters at or after its time.
    """
    until = np.asarray(time, dtype=float)
    seen = np.asarray(event).astype(bool)
    start = np.zeros(until.shape) if entry is None else np.asarray(entry, dtype=float)
    weight = np.ones(until.shape) if weights is None else np.asarray(weights, dtype=float)
    shapes = {"time": until.shape, "event": seen.shape, "entry": start.shape, "weights": weight.shape}
    if until.ndim != 1 or until.size == 0 or len(set(shapes.values())) > 1:
        told = ", ".join(f"{k} {v}" for k, v in shapes.items())
        raise SpecificationError(f"Shapes {told}: all must be one-dimensional, of one length above 0.")
    if not (start < until).all():
        row = int(np.flatnonzero(~(start < until))[0])
        raise SpecificationError(
            f"entry={start[row]:g} in row {row}: must lie before its time, {until[row]:g}; correct it or leave the row out."
        )
    times, place = np.unique(until[seen], return_inverse=True)
    events = np.bincount(place, weights=weight[seen], minlength=len(times))
    at_risk = _weight_from(until, weight, times) - _weight_from(start, weight, times)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(events >= at_risk, 1.0, events / at_risk)  # rounding of weights must not leave S below 0
        variance = np.cumsum(events / (at_risk * (at_risk - events)))
    survival = np.cumprod(1.0 - share)
    variance = np.where(survival > 0.0, variance, np.inf)
    return KaplanMeier(
        times, survival, variance, np.cumsum(share), np.cumsum(events / at_risk**2), at_risk, events, float(until.max())
    )


def _weight_from(values: FloatArray, weight: FloatArray, times: FloatArray) -> FloatArray:
    """Total weight of the values that are at least each time."""
    order = np.argsort(values, kind="stable")
    total = np.concatenate([np.cumsum(weight[order][::-1])[::-1], [0.0]])
    return np.asarray(total[np.searchsorted(values[order], times, side="left")])


def numbers_at_risk(time: FloatArray, entry: FloatArray, weights: FloatArray, times: ArrayLike) -> FloatArray:
    """Weight of the rows that had entered by each time and were still followed just before it."""
    asked = np.asarray(times, dtype=float)
    later = _weight_from(entry, weights, np.nextafter(asked, np.inf))  # entered after it
    return np.asarray(_weight_from(time, weights, asked) - later)
