"""The likelihood of survival rows as one fused operation: value and gradient in a single pass over the rows.

Every row has one of four kinds, and rows of a kind lie together, so that no loop over rows has a branch on the kind:

    exact      log h(t) - H(t)                        (with a background hazard b: log(h(t) + b) - H(t))
    right      -H(t)
    left       log(1 - exp(-H(t)))
    interval   -H(l) + log(1 - exp(-(H(r) - H(l))))

and a row that entered late, at e, adds H(e). Rows of equal covariates share a *pattern*: the four linear predictors come by
pattern, and a predictor that all patterns share comes as one number. `algebra` holds the formulas as a plain graph, against
which this is tested.

With v = log u - log k1, a = softplus(v), s = sigmoid(v) and x = kappa a the derivatives are

    dH/da = lambda k1 exp(x),   dH/dkappa = lambda k1 a^2 exprel'(x)   (at fixed a and k1),   da/dv = s.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bayeskit.fused import all_numbers, fast_exp, fast_log, fused, kernel

__all__ = ["KINDS", "log_likelihood", "survival_kernel"]

KINDS = ("exact", "right", "left", "interval")
"""Order in which the rows lie."""

_BLOCK = 256  # rows whose intermediate numbers stay in the first cache
_COLUMNS = 15
# Columns of the work space, _BLOCK numbers each: 0 log phi, 1 lambda, 2 gamma, 3 kappa, 4 k1, 5 log k1, 6 to 9 derivatives,
# 10 log time, 11 weight, 12 factor of the cumulative hazard (one without frailty), 13 log lambda, 14 log gamma. One array with
# offsets known to the compiler: with many arrays it would have to allow for any two of them to overlap, and would not turn the
# loops into vector instructions.
_SERIES = 0.03  # of |x|: below it seven terms are exact to rounding, above it a difference with 1 loses no digits that matter

_LARGEST = 300.0  # of x: beyond it the cumulative hazard is over 1e130, and a product of two such numbers would overflow

_inline: Any = numba.njit(fastmath={"contract", "nsz", "arcp"}, forceinline=True, error_model="numpy")


@_inline
def _softplus_sigmoid(v):  # type: ignore[no-untyped-def]
    z = fast_exp(-abs(v))
    w = 1.0 / (1.0 + z)
    # log(1 + z) by its own series where 1 + z rounds the digits of z away
    tail = z * (1.0 - z * (0.5 - z * (1.0 / 3.0 - 0.25 * z))) if z < 1e-4 else fast_log(1.0 + z)
    return max(v, 0.0) + tail, (w if v > 0.0 else z * w)


@_inline
def _exprel(x, e):  # type: ignore[no-untyped-def]
    """``expm1(x) / x`` and its derivative, given ``e = exp(x)``."""
    near = 1.0 + x * (1 / 2 + x * (1 / 6 + x * (1 / 24 + x * (1 / 120 + x * (1 / 720 + x / 5040)))))
    slope = 1 / 2 + x * (1 / 3 + x * (1 / 8 + x * (1 / 30 + x * (1 / 144 + x * (1 / 840 + x / 5760)))))
    inverse = 1.0 / (x if abs(x) > _SERIES else 1.0)
    far = (e - 1.0) * inverse
    return (near, slope) if abs(x) <= _SERIES else (far, (e - far) * inverse)


@_inline
def _point(log_time, log_phi, lam, gamma, kappa, k1, log_k1):  # type: ignore[no-untyped-def]
    """What the likelihood needs at one time: log u, a, s, H, dH/dv and the part of dH/dlog k1 beside it."""
    log_u = gamma * (log_time + log_phi)
    a, s = _softplus_sigmoid(log_u - log_k1)
    x = kappa * a
    x = x if x < _LARGEST else _LARGEST
    e = fast_exp(x)
    r, slope = _exprel(x, e)
    scale = min(lam * k1, 1e100)
    total = scale * a * r
    d_v = scale * e * s
    return log_u, a, s, total, d_v, total + scale * a * a * slope * k1 - d_v


@_inline
def _together(start, n, pattern):  # type: ignore[no-untyped-def]
    """Whether the patterns of a block follow one another, as they do where every row has its own."""
    off = 0
    for i in range(n):
        off |= pattern[start + i] - pattern[start] - i
    return off == 0


@_inline
def _gather(start, n, pattern, together, source, work, place):  # type: ignore[no-untyped-def]
    """The rows' values of one predictor into a column of the work space; one that all patterns share is there already."""
    if source.size > 1:
        if together:
            first = pattern[start]
            for i in range(n):
                work[place * _BLOCK + i] = source[first + i]
        else:
            for i in range(n):
                work[place * _BLOCK + i] = source[pattern[start + i]]


@_inline
def _exponential(n, work, logs, place):  # type: ignore[no-untyped-def]
    """Column `place` is the exponential of column `logs`."""
    for i in range(n):
        work[place * _BLOCK + i] = fast_exp(work[logs * _BLOCK + i])


@kernel
def _shared(log_phi, log_lambda, log_gamma, log_k1):  # type: ignore[no-untyped-def]
    """The work space, with the columns of predictors that all patterns share filled once and for all."""
    work = np.empty(_COLUMNS * _BLOCK)
    for i in range(_BLOCK):
        work[i] = log_phi[0]
        work[13 * _BLOCK + i] = log_lambda[0]
        work[14 * _BLOCK + i] = log_gamma[0]
        work[5 * _BLOCK + i] = log_k1[0]
        work[12 * _BLOCK + i] = 1.0
    _exponential(_BLOCK, work, 13, 1)
    _exponential(_BLOCK, work, 14, 2)
    _exponential(_BLOCK, work, 5, 4)
    for i in range(_BLOCK):
        work[3 * _BLOCK + i] = work[4 * _BLOCK + i] - 1.0
    return work


@kernel
def _load(start, n, pattern, log_phi, log_lambda, log_gamma, log_k1, log_time, weight, work):  # type: ignore[no-untyped-def]
    """Fill the columns of the work space that a block of rows reads, but for those that `_shared` has filled."""
    together = _together(start, n, pattern)
    _gather(start, n, pattern, together, log_phi, work, 0)
    _gather(start, n, pattern, together, log_lambda, work, 13)
    _gather(start, n, pattern, together, log_gamma, work, 14)
    _gather(start, n, pattern, together, log_k1, work, 5)
    if log_lambda.size > 1:
        _exponential(n, work, 13, 1)
    if log_gamma.size > 1:
        _exponential(n, work, 14, 2)
    if log_k1.size > 1:
        _exponential(n, work, 5, 4)
        for i in range(n):
            work[3 * _BLOCK + i] = work[4 * _BLOCK + i] - 1.0
    for i in range(n):
        work[10 * _BLOCK + i] = log_time[start + i]
        work[11 * _BLOCK + i] = weight[start + i]


@kernel
def _hand_back(start, n, pattern, work, d_phi, d_lambda, d_gamma, d_k1):  # type: ignore[no-untyped-def]
    """Add a block's derivatives to those of its patterns, or to the one number that all share."""
    together = _together(start, n, pattern)
    for c, target in ((0, d_phi), (1, d_lambda), (2, d_gamma), (3, d_k1)):
        if target.size == 1:
            total = 0.0
            for i in range(n):
                total += work[(6 + c) * _BLOCK + i]
            target[0] += total
        elif together:
            first = pattern[start]
            for i in range(n):
                target[first + i] += work[(6 + c) * _BLOCK + i]
        else:
            for i in range(n):
                target[pattern[start + i]] += work[(6 + c) * _BLOCK + i]


@_inline
def _at(work, i, time):  # type: ignore[no-untyped-def]
    return _point(
        time, work[i], work[_BLOCK + i], work[2 * _BLOCK + i], work[3 * _BLOCK + i], work[4 * _BLOCK + i], work[5 * _BLOCK + i]
    )


@kernel
def _exact(n, work):  # type: ignore[no-untyped-def]
    value = 0.0
    for i in range(n):
        t, w = work[10 * _BLOCK + i], work[11 * _BLOCK + i]
        log_u, a, s, total, d_v, rest = _at(work, i, t)
        k, z = work[3 * _BLOCK + i] - 1.0, work[12 * _BLOCK + i]
        value += w * (work[13 * _BLOCK + i] + work[14 * _BLOCK + i] + log_u - t + k * a - z * total)
        u = 1.0 + k * s - z * d_v
        work[6 * _BLOCK + i] = w * work[2 * _BLOCK + i] * u
        work[7 * _BLOCK + i] = w * (1.0 - z * total)
        work[8 * _BLOCK + i] = w * (1.0 + log_u * u)
        work[9 * _BLOCK + i] = w * (work[4 * _BLOCK + i] * a - k * s - z * rest)
    return value


@kernel
def _exact_with_background(start, n, background, work):  # type: ignore[no-untyped-def]
    """Events that may be those of the general population: the hazard is the sum of both."""
    value = 0.0
    for i in range(n):
        t, w = work[10 * _BLOCK + i], work[11 * _BLOCK + i]
        log_u, a, s, total, d_v, rest = _at(work, i, t)
        k = work[3 * _BLOCK + i] - 1.0
        rate = fast_exp(work[13 * _BLOCK + i] + work[14 * _BLOCK + i] + log_u - t + k * a)
        both = rate + background[start + i]
        share = rate / both
        value += w * (fast_log(both) - total)
        u = share * (1.0 + k * s) - d_v
        work[6 * _BLOCK + i] = w * work[2 * _BLOCK + i] * u
        work[7 * _BLOCK + i] = w * (share - total)
        work[8 * _BLOCK + i] = w * (share + log_u * u)
        work[9 * _BLOCK + i] = w * (share * (work[4 * _BLOCK + i] * a - k * s) - rest)
    return value


@kernel
def _exposure(n, sign, work):  # type: ignore[no-untyped-def]
    """Sum of ``sign * weight * H``: rows that are censored on the right (-1), and late entry (+1)."""
    value = 0.0
    for i in range(n):
        log_u, _a, _s, total, d_v, rest = _at(work, i, work[10 * _BLOCK + i])
        w = sign * work[11 * _BLOCK + i] * work[12 * _BLOCK + i]
        value += w * total
        work[6 * _BLOCK + i] = w * work[2 * _BLOCK + i] * d_v
        work[7 * _BLOCK + i] = w * total
        work[8 * _BLOCK + i] = w * log_u * d_v
        work[9 * _BLOCK + i] = w * rest
    return value


@kernel
def _between(start, n, log_upper, work):  # type: ignore[no-untyped-def]
    """Rows censored on the left (lower end at time 0, log -inf) or in an interval."""
    value = 0.0
    for i in range(n):
        w, lower = work[11 * _BLOCK + i], work[10 * _BLOCK + i]
        log_u, _a, _s, total, d_v, rest = _at(work, i, log_upper[start + i])
        low_u, low, low_v, low_rest = 0.0, 0.0, 0.0, 0.0
        if lower > -1e300:
            low_u, _a, _s, low, low_v, low_rest = _at(work, i, lower)
        gap = max(total - low, 1e-300)  # rounding may turn a gap of nothing round
        value += w * (np.log(-np.expm1(-gap)) - low)
        up = w / max(np.expm1(gap), 1e-300)  # with respect to H at the upper end; w + up of it is taken at the lower end
        down = w + up
        work[6 * _BLOCK + i] = work[2 * _BLOCK + i] * (up * d_v - down * low_v)
        work[7 * _BLOCK + i] = up * total - down * low
        work[8 * _BLOCK + i] = up * log_u * d_v - down * low_u * low_v
        work[9 * _BLOCK + i] = up * rest - down * low_rest
    return value


@kernel
def survival_kernel(
    log_phi, log_lambda, log_gamma, log_k1,
    kind_ptr, pattern, log_lower, log_upper, weight, background, entry_row, log_entry,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Log likelihood of survival rows and its gradients.

    Parameters
    ----------
    log_phi, log_lambda, log_gamma, log_k1 : (P,) or (1,) float64
        Predictors by pattern of covariates, or one for all; differentiable.
    kind_ptr : (5,) int64
        Rows of kind q are ``kind_ptr[q]`` to ``kind_ptr[q + 1]``; see `KINDS`.
    pattern : (n,) int64
        Pattern of each row. Not checked here.
    log_lower, log_upper : (n,) float64
        Log of the time (both the same) of exact and right-censored rows, else of the ends of the interval; -inf for a left
        censored row.
    weight : (n,) float64
        Weight of each row.
    background : (n,) or (0,) float64
        Background hazard at the time of each row (0 for none; exact rows only); empty where nobody has one.
    entry_row, log_entry : (m,) int64, float64
        Rows that entered after time 0, and the log of when.

    Returns
    -------
    value : float
    d_log_phi, d_log_lambda, d_log_gamma, d_log_k1 : ndarray
        Shaped as the predictors.
    """
    d_phi, d_lambda = np.zeros(log_phi.size), np.zeros(log_lambda.size)
    d_gamma, d_k1 = np.zeros(log_gamma.size), np.zeros(log_k1.size)
    if not (all_numbers(log_phi) and all_numbers(log_lambda) and all_numbers(log_gamma) and all_numbers(log_k1)):
        return np.nan, d_phi, d_lambda, d_gamma, d_k1
    work = _shared(log_phi, log_lambda, log_gamma, log_k1)
    value = 0.0
    for kind in range(4):
        for start in range(kind_ptr[kind], kind_ptr[kind + 1], _BLOCK):
            n = min(_BLOCK, kind_ptr[kind + 1] - start)
            _load(start, n, pattern, log_phi, log_lambda, log_gamma, log_k1, log_lower, weight, work)
            if kind == 0 and background.size == 0:
                value += _exact(n, work)
            elif kind == 0:
                value += _exact_with_background(start, n, background, work)
            elif kind == 1:
                value += _exposure(n, -1.0, work)
            else:
                value += _between(start, n, log_upper, work)
            _hand_back(start, n, pattern, work, d_phi, d_lambda, d_gamma, d_k1)
    late, late_weight = np.empty(_BLOCK, np.int64), np.empty(_BLOCK)
    for start in range(0, entry_row.size, _BLOCK):
        n = min(_BLOCK, entry_row.size - start)
        for i in range(n):
            late[i] = pattern[entry_row[start + i]]
            late_weight[i] = weight[entry_row[start + i]]
        _load(0, n, late, log_phi, log_lambda, log_gamma, log_k1, log_entry[start : start + n], late_weight, work)
        value += _exposure(n, 1.0, work)
        _hand_back(0, n, late, work, d_phi, d_lambda, d_gamma, d_k1)
    return value, d_phi, d_lambda, d_gamma, d_k1


log_likelihood = fused(
    survival_kernel,
    wrt=(1, 1, 1, 1),
    data=("int64:1", "int64:1", "float64:1", "float64:1", "float64:1", "float64:1", "int64:1", "float64:1"),
)
"""`survival_kernel` on symbolic arrays."""
