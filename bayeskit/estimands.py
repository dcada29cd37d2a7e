"""Intervals, ranks and decisions from draws: arrays in, arrays out.

Every function takes draws with the sample axis first, ``(S, ...)``; nothing here knows a model or needs
xarray. A NaN draw is refused everywhere, because a comparison with NaN is silently False and would move every
rank below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "IntervalKind",
    "group_letters",
    "interval",
    "p_above",
    "p_best",
    "rank_coverage",
    "rank_interval",
    "rank_probabilities",
    "ranks",
    "tied_groups",
]

IntervalKind = Literal["eti", "hdi"]
"""``"eti"``: equal-tailed, the same probability left out on both sides; ``"hdi"``: the narrowest interval."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# A count of draws is compared with prob * S; the product of two decimal fractions is off by some 1e-13 of S.
_ROUNDING = 1e-9


def interval(draws: ArrayLike, prob: float = 0.95, kind: IntervalKind = "eti") -> FloatArray:
    """Credible interval of each quantity.

    Parameters
    ----------
    draws : array_like, shape (S, ...)
        Draws, sample axis first. Infinite draws are allowed for ``"eti"`` (a median survival that is never
        reached).
    prob : float
        Probability inside, strictly between 0 and 1.
    kind : {"eti", "hdi"}
        Equal-tailed (quantiles by linear interpolation) or narrowest (one run of the sorted draws, so an
        interval even where the posterior has two modes).

    Returns
    -------
    ndarray, shape (..., 2)
        Lower and upper end along the last axis.

    Raises
    ------
    ValueError
        For NaN draws, no draws, a `prob` outside (0, 1), an unknown `kind`, or infinite draws with ``"hdi"``.

    Notes
    -----
    The narrowest interval follows Hyndman (1996, The American Statistician 50:120) on the empirical
    distribution, with ``floor(prob * S)`` steps between the two order statistics; of equally narrow ones the
    lowest is taken.
    """
    _check_interval(prob, kind)
    x = _samples(draws, "draws")
    if kind == "hdi":
        return _narrowest(x, prob)
    tail = (1.0 - prob) / 2.0
    if np.isinf(x).any():
        # Interpolating between two infinities gives NaN; an order statistic is exact.
        ends = np.quantile(x, (tail, 1.0 - tail), axis=0, method="inverted_cdf")
    else:
        ends = np.quantile(x, (tail, 1.0 - tail), axis=0)
    return np.asarray(np.moveaxis(ends, 0, -1), dtype=float)


def _narrowest(x: FloatArray, prob: float) -> FloatArray:
    if np.isinf(x).any():
        raise ValueError("draws holds infinite values: their narrowest interval is not defined. Use kind='eti'.")
    ordered = np.sort(x, axis=0)
    step = min(int(np.floor(prob * len(x) + _ROUNDING)), len(x) - 1)
    start = np.argmin(ordered[step:] - ordered[: len(x) - step], axis=0)[None]
    lower = np.take_along_axis(ordered, start, axis=0)[0]
    upper = np.take_along_axis(ordered, start + step, axis=0)[0]
    return np.stack((lower, upper), axis=-1)


def ranks(scores: ArrayLike, descending: bool = True) -> IntArray:
    """Rank of every candidate in every draw: ``1 + number of strictly better candidates``.

    Parameters
    ----------
    scores : array_like, shape (S, K)
        Scores of K candidates.
    descending : bool
        True where a higher score is better.

    Returns
    -------
    ndarray of int, shape (S, K)
        Competition ranks: equal scores share the best of their places (1, 2, 2, 4).

    Raises
    ------
    ValueError
        For NaN scores or another shape.
    """
    x = _matrix(scores, "scores")
    x = -x if descending else x
    order = np.argsort(x, axis=1, kind="stable")
    ordered = np.take_along_axis(x, order, axis=1)
    place = np.broadcast_to(np.arange(x.shape[1]), x.shape)
    opens = np.ones(x.shape, dtype=bool)
    opens[:, 1:] = ordered[:, 1:] > ordered[:, :-1]
    first = np.maximum.accumulate(np.where(opens, place, 0), axis=1) + 1
    out = np.empty(x.shape, dtype=np.int64)
    np.put_along_axis(out, order, first, axis=1)
    return out


def rank_probabilities(rank_draws: ArrayLike) -> FloatArray:
    """Posterior probability of every rank.

    Parameters
    ----------
    rank_draws : array_like of int, shape (S, K)
        Ranks, 1 is best.

    Returns
    -------
    ndarray, shape (K, K)
        Row k, column r: share of draws in which candidate k has rank ``r + 1``. Rows sum to 1.

    Raises
    ------
    ValueError
        For ranks that are not whole numbers from 1 to K.
    """
    x = _rank_matrix(rank_draws)
    return _rank_counts(x) / len(x)


def rank_interval(rank_draws: ArrayLike, prob: float = 0.95, kind: IntervalKind = "eti") -> IntArray:
    """Credible interval of each candidate's rank, both ends included.

    Parameters
    ----------
    rank_draws : array_like of int, shape (S, K)
        Ranks, 1 is best.
    prob : float
        Probability inside, strictly between 0 and 1. Ranks are whole numbers, so the mass inside is at least
        `prob`.
    kind : {"eti", "hdi"}
        ``"eti"``: whole-number quantiles (inverted distribution function). ``"hdi"``: the narrowest run of
        ranks whose mass is at least `prob`; of equally narrow runs the one with most mass, then the better
        ranks.

    Returns
    -------
    ndarray of int, shape (K, 2)

    Raises
    ------
    ValueError
        For ranks that are not whole numbers from 1 to K, a `prob` outside (0, 1) or an unknown `kind`.
    """
    _check_interval(prob, kind)
    x = _rank_matrix(rank_draws)
    samples = len(x)
    cumulative = np.cumsum(_rank_counts(x), axis=1)
    slack = _ROUNDING * samples
    if kind == "eti":
        tail = (1.0 - prob) / 2.0
        lower = (cumulative >= tail * samples - slack).argmax(axis=1)
        upper = (cumulative >= (1.0 - tail) * samples - slack).argmax(axis=1)
        return np.stack((lower, upper), axis=1).astype(np.int64) + 1
    return np.array([_narrowest_run(row, prob * samples - slack) for row in cumulative], dtype=np.int64) + 1


def _narrowest_run(cumulative: FloatArray, need: float) -> tuple[int, int]:
    below = np.concatenate(([0.0], cumulative))
    end = np.searchsorted(below, below[:-1] + need, side="left")
    feasible = np.flatnonzero(end < len(below))
    mass = below[end[feasible]] - below[feasible]
    best = np.lexsort((feasible, -mass, end[feasible] - feasible))[0]
    start = int(feasible[best])
    return start, int(end[start]) - 1


def p_best(rank_draws: ArrayLike) -> FloatArray:
    """Probability of being the best candidate.

    Parameters
    ----------
    rank_draws : array_like of int, shape (S, K)
        Ranks, 1 is best.

    Returns
    -------
    ndarray, shape (K,)
        Candidates that tie for the first place in a draw share it equally, so the numbers sum to 1.

    Raises
    ------
    ValueError
        For ranks that are not whole numbers from 1 to K, or a draw without a first place.
    """
    first = _rank_matrix(rank_draws) == 1
    winners = first.sum(axis=1, keepdims=True)
    if (winners == 0).any():
        raise ValueError(f"rank_draws: draw {int(np.argmin(winners))} has no candidate of rank 1.")
    return np.asarray((first / winners).mean(axis=0), dtype=float)


def p_above(scores: ArrayLike) -> FloatArray:
    """Probability that one candidate scores above another, for every pair.

    Parameters
    ----------
    scores : array_like, shape (S, K)
        Scores, higher is better.

    Returns
    -------
    ndarray, shape (K, K)
        ``P(row > column)``; a tie counts one half, so ``p + p.T == 1`` and the diagonal is 0.5.

    Raises
    ------
    ValueError
        For NaN scores or another shape.
    """
    x = _matrix(scores, "scores")
    out = np.empty((x.shape[1], x.shape[1]))
    for k in range(x.shape[1]):
        column = x[:, k : k + 1]
        wins = np.count_nonzero(column > x, axis=0) + 0.5 * np.count_nonzero(column == x, axis=0)
        out[k] = wins / len(x)
    return out


def rank_coverage(lower: ArrayLike, upper: ArrayLike, truth_low: ArrayLike, truth_high: ArrayLike) -> float:
    """Share of candidates whose true rank is covered by its interval.

    Parameters
    ----------
    lower, upper : array_like, shape (K,) or broadcastable
        Rank intervals, both ends included.
    truth_low, truth_high : array_like, shape (K,) or broadcastable
        Best and worst true rank: equal, unless candidates tie in truth. Covered means that the two ranges
        meet.

    Returns
    -------
    float
        Between 0 and 1. Print the mean width of the intervals beside it: intervals from 1 to K cover
        everything.

    Raises
    ------
    ValueError
        For no candidates, NaN, or a range that runs backwards.
    """
    low, high, true_low, true_high = np.broadcast_arrays(
        *(np.asarray(a, dtype=float) for a in (lower, upper, truth_low, truth_high))
    )
    if low.size == 0:
        raise ValueError("lower is empty: the coverage of no interval is not defined.")
    for name, a, b in (("lower, upper", low, high), ("truth_low, truth_high", true_low, true_high)):
        wrong = np.flatnonzero(~(a <= b))
        if wrong.size:
            at = int(wrong[0])
            raise ValueError(f"{name}: position {at} holds {a.flat[at]:g} to {b.flat[at]:g}; low <= high is needed.")
    return float(np.mean((low <= true_high) & (true_low <= high)))


def tied_groups(p_row_above: ArrayLike, threshold: float = 0.95) -> list[list[int]]:
    """Find the groups of candidates that the posterior does not tell apart.

    A pair is told apart where ``P(one > other) >= threshold`` in either direction. Candidates are put in
    order of their mean probability to beat another one; a group is a longest run of neighbours in which no
    pair is told apart. Not being told apart is not transitive, so groups may overlap: two candidates in one
    group are never told apart, and a candidate may belong to two groups (the letters "a", "ab", "b" of a
    compact letter display, Piepho 2004).

    Parameters
    ----------
    p_row_above : array_like, shape (K, K)
        ``P(row > column)``, see :func:`p_above`.
    threshold : float
        Probability from which a pair counts as told apart, above 0.5 and at most 1.

    Returns
    -------
    list of list of int
        Positions of candidates, best first within and between groups; every candidate is in at least one
        group.

    Raises
    ------
    ValueError
        If the matrix is not square, not finite, not complementary (``p + p.T == 1`` off the diagonal), or for
        a `threshold` out of range.
    """
    p = np.asarray(p_row_above, dtype=float)
    if p.ndim != 2 or p.shape[0] != p.shape[1] or p.shape[0] == 0:
        raise ValueError(f"p_row_above has shape {p.shape}; a square matrix P(row > column) is needed.")
    if not 0.5 < threshold <= 1.0:
        raise ValueError(f"threshold is {threshold!r}; it must be above 0.5 and at most 1.")
    size = len(p)
    off = ~np.eye(size, dtype=bool)
    if not np.allclose((p + p.T)[off], 1.0, atol=1e-6):
        raise ValueError("p_row_above is not complementary: P(a > b) + P(b > a) must be 1 for every pair.")
    beats = np.where(off, p, 0.0).sum(axis=1)
    order = np.argsort(-beats, kind="stable")
    apart = np.maximum(p, p.T)[np.ix_(order, order)] >= threshold - _ROUNDING
    groups: list[list[int]] = []
    reached = 0
    for start in range(size):
        stop = start + 1
        while stop < size and not apart[start:stop, stop].any():
            stop += 1
        if stop > reached:  # otherwise this run lies inside the one before it
            groups.append([int(i) for i in order[start:stop]])
            reached = stop
    return groups


def group_letters(groups: Sequence[Sequence[int]], size: int) -> tuple[str, ...]:
    """Letters for a table of tied groups: candidates that share a letter are not told apart.

    Parameters
    ----------
    groups : sequence of sequence of int
        From :func:`tied_groups`.
    size : int
        Number of candidates.

    Returns
    -------
    tuple of str, length `size`
        ``"a"``, ``"ab"``, ``"b"``, ...; after 26 groups ``"a1"``, ``"b1"`` and so on.
    """
    letters = [""] * size
    for i, group in enumerate(groups):
        cycle, letter = divmod(i, 26)
        for member in group:
            letters[member] += chr(ord("a") + letter) + (str(cycle) if cycle else "")
    return tuple(letters)


def _check_interval(prob: float, kind: str) -> None:
    if not 0.0 < prob < 1.0:
        raise ValueError(f"prob is {prob!r}; it must lie strictly between 0 and 1 (0.95, not 95).")
    if kind not in get_args(IntervalKind):
        raise ValueError(f"kind is {kind!r}; it must be 'eti' (equal-tailed) or 'hdi' (narrowest).")


def _samples(values: ArrayLike, name: str) -> FloatArray:
    x = np.asarray(values, dtype=float)
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"{name} has shape {x.shape}; the first axis must hold at least one draw.")
    bad = np.isnan(x)
    if bad.any():
        first = [int(i) for i in np.unique(np.nonzero(bad)[0])[:5]]
        raise ValueError(
            f"{name} holds {int(bad.sum())} NaN values (draws {', '.join(map(str, first))}, ...). "
            "A quantity that is not computed has no interval and no rank: find out why, or leave it out."
        )
    return x


def _matrix(values: ArrayLike, name: str) -> FloatArray:
    x = _samples(values, name)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"{name} has shape {x.shape}; draws by candidates, (S, K), is needed.")
    return x


def _rank_matrix(values: ArrayLike) -> IntArray:
    x = _matrix(values, "rank_draws")
    whole = (x >= 1) & (x <= x.shape[1]) & (x == np.floor(x))
    if not whole.all():
        at = tuple(int(i) for i in np.argwhere(~whole)[0])
        raise ValueError(
            f"rank_draws holds {x[at]:g} (draw {at[0]}, candidate {at[1]}); "
            f"ranks of {x.shape[1]} candidates are whole numbers from 1 to {x.shape[1]}."
        )
    return x.astype(np.int64)


def _rank_counts(x: IntArray) -> FloatArray:
    size = x.shape[1]
    flat = (x - 1) + size * np.arange(size)
    return np.bincount(flat.ravel(), minlength=size * size).reshape(size, size).astype(float)
