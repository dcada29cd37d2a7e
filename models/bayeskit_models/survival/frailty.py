"""Shared gamma frailty: what the likelihood needs of the groups, what each row adds, and what is known of each group's own.

Given the parameters and the rows, the frailty of group j is gamma distributed with shape ``1/theta + d_j`` and rate
``1/theta + A_j`` (see `frailty_kernel` for the likelihood and its letters).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit.errors import DataError
from bayeskit_models.survival.algebra import numpy_algebra

if TYPE_CHECKING:
    from bayeskit import Rows
    from bayeskit_models.survival.model import FlexibleSurvival

__all__ = ["check_frailty", "frailty_effects", "frailty_posterior", "group_log_likelihood", "group_sums", "with_events"]

FloatArray = NDArray[np.float64]

_ALGEBRA = numpy_algebra()


def check_frailty(spec: FlexibleSurvival, rows: Rows, kind: NDArray[np.int64], weight: FloatArray) -> None:
    """Refuse rows for which the frailty has no closed form, and weights that are no numbers of rows.

    Raises
    ------
    DataError
        For rows censored on the left or in an interval, and for weights that are not whole.
    """
    for bad, column, values, rule, fix, what in (
        (
            kind >= 2, spec.upper or spec.duration, np.asarray(rows.columns.get("upper", np.zeros(rows.n)), dtype=float),
            "with a gamma frailty an event is seen exactly or censored on the right: the frailty of a group with intervals has "
            "no closed form (its terms double with every such row).",
            "leave frailty out and give group=..., whose deviations are normal, or give exact times.", "in intervals",
        ),
        (
            weight != np.round(weight), spec.weights or "weights", weight,
            "with a gamma frailty a weight is how many equal rows of the group a row stands for: a whole number.",
            "give each row its own line, or leave frailty out.", "with weights that are not whole",
        ),
    ):  # fmt: skip
        if bad.any():
            where = np.flatnonzero(bad)
            raise DataError(
                f"{len(where)} {'row' if len(where) == 1 else 'rows'} {what}.", column=column, rows=where[:1000].tolist(),
                found=len(where), values=values[where[:5]].tolist(), rule=rule, fix=fix,
            )  # fmt: skip


def with_events(statistics: xr.Dataset) -> xr.Dataset:
    """The statistics with, or with new values of, the events of each frailty group; as they are without frailty.

    Returns
    -------
    Dataset
        Also ``frailty_events``, shape (groups,), ``frailty_step`` (how many groups have more than 0, 1, ... events) and
        ``frailty_shared`` (how many have two rows or more, weights counted).
    """
    if "frailty_row" not in statistics:
        return statistics
    exact = slice(0, int(statistics["kind_ptr"].values[1]))
    home, weight = statistics["frailty_row"].values[exact], statistics["weight"].values[exact]
    events = np.bincount(home, weights=weight, minlength=statistics.sizes["frailty"])
    step = (events[:, None] > np.arange(max(1, int(events.max(initial=0.0))))).sum(0)
    found = statistics.drop_vars(["frailty_events", "frailty_step"], errors="ignore")
    rows = np.bincount(statistics["frailty_row"].values, weights=statistics["weight"].values, minlength=len(events))
    return found.assign(
        frailty_events=(("frailty",), events), frailty_step=(("frailty_event",), step.astype(float)),
        frailty_shared=((), int((rows > 1.0).sum())),
    ).assign_attrs(statistics.attrs)  # fmt: skip


def group_sums(values: FloatArray, home: NDArray[np.int64], size: int) -> FloatArray:
    """Sums over the rows of each group, shape (S, groups), of values of shape (S, rows)."""
    order = np.argsort(home, kind="stable")
    present, first = np.unique(home[order], return_index=True)
    out = np.zeros((len(values), size))
    if len(home):
        out[:, present] = np.add.reduceat(values[:, order], first, axis=1)
    return out


def group_log_likelihood(variance: FloatArray, events: FloatArray, lived: FloatArray, before: FloatArray) -> FloatArray:
    """What the groups add to the log likelihood beside the log hazards of their events.

    Parameters
    ----------
    variance : ndarray, shape (S, 1)
        theta.
    events, lived, before : ndarray, broadcast to (S, groups)
        d, A and E.

    Returns
    -------
    ndarray, shape (S, groups)
    """
    counts = np.unique(events)
    rising = np.zeros(np.broadcast_shapes(variance.shape, events.shape))
    for d in counts[counts > 1]:
        total = np.log1p(np.arange(1, int(d)) * variance).sum(-1, keepdims=True)
        rising = np.where(events == d, total, rising)
    after, entry = (x * _ALGEBRA.log1prel(variance * x) for x in (lived, before))
    return np.asarray(rising - after - events * np.log1p(variance * lived) + entry)


def row_exposures(logs: tuple[FloatArray, ...], statistics: xr.Dataset) -> tuple[FloatArray, FloatArray]:
    """Weighted cumulative hazards of the rows at their times and at their entries, each of shape (S, rows)."""
    place, late = statistics["pattern"].values, statistics["entry_row"].values
    by_row = [p[:, place] if p.shape[1] > 1 else p for p in logs[:4]]
    weight = statistics["weight"].values
    with np.errstate(over="ignore"):
        lived = np.broadcast_to(
            _ALGEBRA.cumulative_hazard(statistics["log_lower"].values, *by_row), (len(logs[0]), len(place))
        ) * weight  # fmt: skip
        before = np.zeros(lived.shape)
        some = [p[:, late] if p.shape[1] > 1 else p for p in by_row]
        before[:, late] = _ALGEBRA.cumulative_hazard(statistics["log_entry"].values, *some)
    return lived, before * weight


def frailty_posterior(logs: tuple[FloatArray, ...], statistics: xr.Dataset) -> tuple[FloatArray, FloatArray]:
    """Shape and rate of the gamma distribution of each group's frailty given the rows, each of shape (S, groups).

    Parameters
    ----------
    logs : five ndarrays
        Predictors by draw and pattern, shape (S, patterns) or (S, 1); last the variance.
    """
    lived = group_sums(row_exposures(logs, statistics)[0], statistics["frailty_row"].values, statistics.sizes["frailty"])
    inverse = 1.0 / logs[4]
    return inverse + statistics["frailty_events"].values, inverse + lived


def frailty_effects(
    logs: tuple[FloatArray, ...], statistics: xr.Dataset, home: NDArray[np.int64], units: int, copies: FloatArray
) -> FloatArray:
    """What units add to the log likelihood: log p(all rows) - log p(all rows but those of the unit), shape (S, units).

    Parameters
    ----------
    logs : five ndarrays
        As for `frailty_posterior`.
    home : ndarray of int, shape (rows,)
        Unit of each row.
    units : int
        Number of units.
    copies : ndarray, shape (rows,)
        How many of the equal rows that a row stands for are left out.
    """
    groups, size = statistics["frailty_row"].values, statistics.sizes["frailty"]
    place, exact = statistics["pattern"].values, int(statistics["kind_ptr"].values[1])
    weight, variance = statistics["weight"].values, logs[4]
    lived, before = row_exposures(logs, statistics)
    events = np.where(np.arange(len(weight)) < exact, weight, 0.0)
    whole = (statistics["frailty_events"].values, group_sums(lived, groups, size), group_sums(before, groups, size))
    share = copies / weight
    by_row = [p[:, place[:exact]] if p.shape[1] > 1 else p for p in logs[:4]]
    rate = _ALGEBRA.log_hazard(statistics["log_lower"].values[:exact], *by_row) - float(np.log(statistics["time_scale"]))
    out = group_sums(np.broadcast_to(rate, (len(variance), exact)) * copies[:exact], home[:exact], units)
    # each pair of a unit and a group that share rows is one part of the unit's effect
    pairs, part = np.unique(np.stack([home, groups]), axis=1, return_inverse=True)
    part, count = np.reshape(part, -1), pairs.shape[1]
    gone = (
        np.bincount(part, weights=events * share, minlength=count),
        *(group_sums(v * share, part, count) for v in (lived, before)),
    )
    left = [np.maximum(w[..., pairs[1]] - g, 0.0) for w, g in zip(whole, gone, strict=True)]
    full = group_log_likelihood(variance, *whole)[:, pairs[1]]
    return np.asarray(out + group_sums(full - group_log_likelihood(variance, *left), pairs[0], units))
