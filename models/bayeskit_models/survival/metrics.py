"""How well predictions agree with what happened: discrimination and error under right censoring. Arrays in, arrays out.

Predictions have the draws first, shape (S, n); every function returns one number for each draw. With T the observed time, d the
event, w the weight of a row (how many equal rows it stands for) and G the survival curve of the time to censoring::

    C     share of the pairs (i with an event, j followed longer) in which i had the higher risk; a tied risk counts one half.
          Harrell weighs all pairs alike, Uno by G(T_i)^-2 among events before tau, so that the limit does not depend on who
          was censored when
    AUC(t)    the same of those with an event by t (weight 1 / G(T_i)) against those without one by t
    Brier(t)  mean of S(t|x)^2 [T <= t, d] / G(T) + (1 - S(t|x))^2 [T > t] / G(t)

At a time that events and censorings share, events come first, and G is read after the time. That is the usual convention of
software; reading G just before the event instead (`left`) has no bias with ties either, and without such ties nothing differs.

Sources: Harrell, Lee, Mark (1996), Stat. Med. 15:361-387; Uno et al. (2011), Stat. Med. 30:1105-1117; Uno et al. (2007), JASA
102:527-537; Hung, Chiang (2010), Can. J. Stat. 38:8-26; Graf et al. (1999), Stat. Med. 18:2529-2545.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Followed",
    "StepCurve",
    "auc",
    "brier",
    "censoring_curve",
    "concordance",
    "integrated",
    "survival_curve",
    "uno_concordance",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_TIED = 1e-10  # relative difference of two risks below which they are one: equal covariates, unequal rounding


@dataclass(frozen=True)
class Followed:
    """What happened to n rows.

    Attributes
    ----------
    time : ndarray, shape (n,)
        Of the event or of censoring.
    event : ndarray of bool, shape (n,)
    weight : ndarray, shape (n,)
        How many equal rows each stands for.
    """

    time: FloatArray
    event: NDArray[np.bool_]
    weight: FloatArray

    @classmethod
    def of(cls, time: ArrayLike, event: ArrayLike, weight: ArrayLike | None = None) -> Followed:
        """From anything like arrays; weight 1 by default."""
        t = np.asarray(time, dtype=float)
        return cls(t, np.asarray(event).astype(bool), np.ones(t.shape) if weight is None else np.asarray(weight, dtype=float))


@dataclass(frozen=True)
class StepCurve:
    """A curve that starts at 1 and steps at `times`, shape (k,), to `values`, shape (k,); NaN beyond `last` unless it is 0."""

    times: FloatArray
    values: FloatArray
    last: float

    def at(self, times: ArrayLike, *, left: bool = False) -> FloatArray:
        """Value at each time, or with `left` just before it."""
        asked = np.asarray(times, dtype=float)
        place = np.searchsorted(self.times, asked, side="left" if left else "right")
        found = np.concatenate([[1.0], self.values])[place]
        return np.where((asked > self.last) & (found > 0.0), np.nan, found)


def survival_curve(rows: Followed) -> StepCurve:
    """Kaplan and Meier's curve of the time to the event."""
    return _product_limit(rows, of_events=True)


def censoring_curve(rows: Followed) -> StepCurve:
    """Kaplan and Meier's curve of the time to censoring: at a time that both share, events have left before."""
    return _product_limit(rows, of_events=False)


def _product_limit(rows: Followed, *, of_events: bool) -> StepCurve:
    times, place = np.unique(rows.time, return_inverse=True)
    left = np.bincount(place, weights=rows.weight, minlength=len(times))
    events = np.bincount(place, weights=rows.weight * rows.event, minlength=len(times))
    at_risk = np.cumsum(left[::-1])[::-1]
    steps, base = (events, at_risk) if of_events else (left - events, at_risk - events)
    moves = steps > 0.0
    share = np.where(steps[moves] >= base[moves] * (1.0 - 1e-12), 1.0, steps[moves] / base[moves])
    return StepCurve(times[moves], np.cumprod(1.0 - share), float(times[-1]))


# -- concordance ----------------------------------------------------------------------------------------------------


def concordance(risk: ArrayLike, rows: Followed, case_weight: FloatArray | None = None) -> FloatArray:
    """Harrell's C; with `case_weight` every pair counts as much as the row that had its event says.

    Parameters
    ----------
    risk : array_like, shape (S, n)
        Higher: sooner expected.
    rows : Followed
    case_weight : ndarray, shape (n,), optional

    Returns
    -------
    ndarray, shape (S,)
        NaN where no pair can be compared.

    Notes
    -----
    A row with an event is compared with all that were followed longer, or as long without an event. In n log n by draw: rows
    enter a tree of cumulative weights by rank of risk, the longest followed first.
    """
    order = np.lexsort((rows.event, -rows.time))
    case = np.where(rows.event, rows.weight if case_weight is None else rows.weight * case_weight, 0.0)
    rank = np.ascontiguousarray(_ranks(np.atleast_2d(np.asarray(risk, dtype=float)))[0][:, order])
    found = _tree()(rows.time[order], rows.event[order], case[order], rows.weight[order], rank)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(found[:, 0] / found[:, 1])


def uno_concordance(risk: ArrayLike, rows: Followed, censoring: StepCurve, tau: float, *, left: bool = False) -> FloatArray:
    """Uno's C: events before `tau` only, weighed by the inverse square of G at their times; shapes as in `concordance`."""
    used = rows.event & (rows.time < tau)
    weight = np.zeros(len(rows.time))
    weight[used] = censoring.at(rows.time[used], left=left) ** -2.0
    return concordance(risk, rows, weight)


def _ranks(values: FloatArray) -> tuple[IntArray, IntArray, NDArray[np.bool_]]:
    """Dense rank of each value in its draw, the order, and where in that order a new value opens; shapes (S, n)."""
    finite = np.nan_to_num(values, nan=np.nan, posinf=np.finfo(float).max, neginf=np.finfo(float).min)
    order = np.argsort(finite, axis=1, kind="stable")
    ordered = np.take_along_axis(finite, order, axis=1)
    opens = np.ones(values.shape, dtype=bool)
    opens[:, 1:] = ordered[:, 1:] - ordered[:, :-1] > _TIED * np.abs(ordered[:, 1:])
    rank = np.empty(values.shape, dtype=np.int64)
    np.put_along_axis(rank, order, np.cumsum(opens, axis=1) - 1, axis=1)
    return rank, order, opens


@cache
def _tree() -> Any:
    """The compiled loop of `concordance`: pairs in the right order (ties one half) and all pairs, by draw."""
    import numba

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator, unused-ignore]
    def add(tree, place, weight):  # type: ignore[no-untyped-def]
        place += 1
        while place < tree.size:
            tree[place] += weight
            place += place & -place

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator, unused-ignore]
    def below(tree, place):  # type: ignore[no-untyped-def]
        total = 0.0
        while place > 0:
            total += tree[place]
            place -= place & -place
        return total

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator, unused-ignore]
    def pairs(time, event, case, weight, rank):  # type: ignore[no-untyped-def]
        size, n = rank.shape
        out = np.zeros((size, 2))
        for s in range(size):
            tree, inside, start = np.zeros(n + 1), 0.0, 0
            while start < n:
                stop = start
                while stop < n and time[stop] == time[start] and not event[stop]:
                    add(tree, rank[s, stop], weight[stop])
                    inside += weight[stop]
                    stop += 1
                first = stop
                while stop < n and time[stop] == time[start]:
                    if case[stop] > 0.0:
                        lower = below(tree, rank[s, stop])
                        same = below(tree, rank[s, stop] + 1) - lower
                        out[s, 0] += case[stop] * (lower + 0.5 * same)
                        out[s, 1] += case[stop] * inside
                    stop += 1
                for i in range(first, stop):  # events at one time are no pair
                    add(tree, rank[s, i], weight[i])
                    inside += weight[i]
                start = stop
        return out

    return pairs


# -- at a time ------------------------------------------------------------------------------------------------------


def auc(risk: ArrayLike, rows: Followed, censoring: StepCurve, time: float, *, left: bool = False) -> FloatArray:
    """Cumulative/dynamic AUC at one time, shape (S,); `risk`, shape (S, n), may be that of this time. NaN without a pair."""
    _, order, opens = _ranks(np.atleast_2d(np.asarray(risk, dtype=float)))
    case, control = _cases(rows, censoring, time, left), rows.weight * (rows.time > time)
    cases, controls = case[order], control[order]
    before = np.cumsum(controls, axis=1) - controls
    places = np.arange(order.shape[1])
    first = np.maximum.accumulate(np.where(opens, places, 0), axis=1)  # where this value's run of ties begins
    closes = np.ones(opens.shape, dtype=bool)
    closes[:, :-1] = opens[:, 1:]
    last = np.minimum.accumulate(np.where(closes, places, order.shape[1])[:, ::-1], axis=1)[:, ::-1]
    lower = np.take_along_axis(before, first, axis=1)
    upper = np.take_along_axis(before + controls, last, axis=1)
    total = case.sum() * control.sum()
    found = (cases * (lower + upper) / 2.0).sum(axis=1)
    return np.asarray(found / total if total > 0.0 else np.full(len(found), np.nan))


def brier(survival: ArrayLike, rows: Followed, censoring: StepCurve, time: float, *, left: bool = False) -> FloatArray:
    """Brier score at one time, weighed by the inverse probability of censoring, shape (S,).

    Parameters
    ----------
    survival : array_like, shape (S, n)
        Predicted probability of no event by `time`.
    rows : Followed
    censoring : StepCurve
        Of the rows themselves or of others that were censored alike.
    time : float
        Before the end of follow-up.
    left : bool
        Read G just before each event.
    """
    predicted = np.atleast_2d(np.asarray(survival, dtype=float))
    case = _cases(rows, censoring, time, left)
    control = rows.weight * (rows.time > time) / float(censoring.at(time))
    total = predicted**2 @ case + (1.0 - predicted) ** 2 @ control
    return np.asarray(total / rows.weight.sum())


def _cases(rows: Followed, censoring: StepCurve, time: float, left: bool) -> FloatArray:
    used = rows.event & (rows.time <= time)
    weight = np.zeros(len(rows.time))
    weight[used] = rows.weight[used] / censoring.at(rows.time[used], left=left)
    return weight


def integrated(scores: ArrayLike, times: ArrayLike) -> FloatArray:
    """Mean of scores, shape (S, k), over the time from the first to the last of `times`, shape (k,): the trapezoid rule."""
    values, at = np.atleast_2d(np.asarray(scores, dtype=float)), np.asarray(times, dtype=float)
    if len(at) < 2:
        return np.full(len(values), np.nan)
    return np.asarray(np.trapezoid(values, at, axis=1) / (at[-1] - at[0]))
