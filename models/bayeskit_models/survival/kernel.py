"""The likelihood of survival rows as one fused operation: value and gradient in a single pass over the rows.

Every row has one of four kinds, and rows of a kind lie together, so that no loop over rows has a branch on the kind:

    exact      log h(t) - H(t)                        (with a background hazard b: log(h(t) + b) - H(t))
    right      -H(t)
    left       log(1 - exp(-H(t)))
    interval   -H(l) + log(1 - exp(-(H(r) - H(l))))

and a row that entered late, at e, adds H(e). Rows of equal covariates share a *pattern*. Each of the four linear predictors is
a base (one number, or one for each pattern) and effects of covariates, whose design lies in contiguous columns. Where every
row has a pattern of its own, a block of rows makes its predictors from the design and hands its derivatives back to the
effects while all of it is in the first cache; else both go by a table of the patterns. `algebra` holds the formulas as a plain
graph, against which this is tested.

With v = log u - log k1, a = softplus(v), s = sigmoid(v), m = exp(kappa a) - 1 and H = lambda k1 m / kappa the derivatives are

    dH/da = lambda k1 exp(kappa a),   da/dv = s,   dH/dkappa = lambda k1 (a exp(kappa a) - m / kappa) / kappa  (a, k1 fixed).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bayeskit.fused import all_numbers, fast_exp, fast_exp_expm1, fast_log, fused, kernel, softplus_sigmoid

__all__ = ["KINDS", "log_likelihood", "survival_kernel"]

KINDS = ("exact", "right", "left", "interval")
"""Order in which the rows lie."""

_BLOCK = 512  # rows whose intermediate numbers stay in the first two caches; fewer spend more on entering and leaving loops
# The work space: where its columns of _BLOCK numbers begin. The logs of phi, lambda, gamma and k1 come first, in this order,
# and so do the derivatives by them. One array with offsets known to the compiler: with many arrays it would have to allow for
# any two of them to overlap, and would not turn the loops into vector instructions.
_LOGS, _SLOPES = 0, 4 * _BLOCK
_LOG_PHI, _LOG_LAMBDA, _LOG_GAMMA, _LOG_K1 = (c * _BLOCK for c in range(4))
_BY_PHI, _BY_LAMBDA, _BY_GAMMA, _BY_K1 = (c * _BLOCK for c in range(4, 8))
_GAMMA, _K1, _KAPPA, _INVERSE, _SCALE = (c * _BLOCK for c in range(8, 13))  # gamma, k1, kappa, 1 / kappa, lambda k1
_TIME, _WEIGHT, _FACTOR = (c * _BLOCK for c in range(13, 16))  # log time; factor of H, one but for rows with a frailty
_COLUMNS = 16

_SERIES = 0.03  # of |kappa a|: below it seven terms are exact to rounding, above it a difference loses no digits that matter
_LARGEST = 300.0  # of |kappa a|: beyond it H is at its limit, or over 1e130, so that a product of two would overflow
_MOST = 230.0  # of log(lambda k1), for the same reason
_LEAST = 1e-30  # of |kappa|: by it 0 is replaced, which changes no digit and spares a case

_inline: Any = numba.njit(fastmath={"contract", "nsz", "arcp"}, forceinline=True, error_model="numpy")


@_inline
def _point(work, i, log_time):  # type: ignore[no-untyped-def]
    """What the likelihood needs of a row at one time: log u, a, s, H, dH/dv and dH/dlog k1."""
    log_u = work[_GAMMA + i] * (log_time + work[_LOG_PHI + i])
    a, s = softplus_sigmoid(log_u - work[_LOG_K1 + i])
    x = max(min(work[_KAPPA + i] * a, _LARGEST), -_LARGEST)
    e, m = fast_exp_expm1(x)
    scale, inverse = work[_SCALE + i], work[_INVERSE + i]
    total, d_v = scale * (m * inverse), scale * e * s
    near = 1 / 2 + x * (1 / 3 + x * (1 / 8 + x * (1 / 30 + x * (1 / 144 + x * (1 / 840 + x / 5760)))))
    by_kappa = a * a * near if abs(x) <= _SERIES else (a * e - m * inverse) * inverse
    return log_u, a, s, total, d_v, total + scale * work[_K1 + i] * by_kappa - d_v


@_inline
def _varies(c, bases, term_ptr):  # type: ignore[no-untyped-def]
    """Whether predictor c differs between patterns."""
    return bases[c].size > 1 or term_ptr[c + 1] > term_ptr[c]


@kernel
def _natural(n, hazard, shape, tail, work):  # type: ignore[no-untyped-def]
    """The columns that follow from those predictors, of the last three, that have changed."""
    if hazard or tail:
        for i in range(n):
            work[_SCALE + i] = fast_exp(min(work[_LOG_LAMBDA + i] + work[_LOG_K1 + i], _MOST))
    if shape:
        for i in range(n):
            work[_GAMMA + i] = fast_exp(work[_LOG_GAMMA + i])
    if tail:
        for i in range(n):
            k1, kappa = fast_exp_expm1(max(min(work[_LOG_K1 + i], 709.0), -708.0))
            kappa = kappa if abs(kappa) > _LEAST else _LEAST
            work[_K1 + i] = k1
            work[_KAPPA + i] = kappa
            work[_INVERSE + i] = 1.0 / kappa


@kernel
def _predict(c, first, n, base, effects, term_ptr, design, work):  # type: ignore[no-untyped-def]
    """Predictor c of `n` patterns from `first` on."""
    out = work[_LOGS + c * _BLOCK : _LOGS + c * _BLOCK + n]  # slices, because their indices need no check in the loop
    if base.size == 1:
        for i in range(n):
            out[i] = base[0]
    else:
        own = base[first : first + n]
        for i in range(n):
            out[i] = own[i]
    for k in range(term_ptr[c], term_ptr[c + 1]):
        effect, column = effects[k], design[k, first : first + n]
        for i in range(n):
            out[i] += effect * column[i]


@kernel
def _collect(c, first, n, term_ptr, design, work, d_base, d_effects):  # type: ignore[no-untyped-def]
    """Add the derivatives by predictor c of `n` patterns from `first` on to those by its base and its effects."""
    slope = work[_SLOPES + c * _BLOCK : _SLOPES + c * _BLOCK + n]
    if d_base.size == 1:
        total = 0.0
        for i in range(n):
            total += slope[i]
        d_base[0] += total
    else:
        own = d_base[first : first + n]
        for i in range(n):
            own[i] += slope[i]
    for k in range(term_ptr[c], term_ptr[c + 1]):
        column = design[k, first : first + n]
        total = 0.0
        for i in range(n):
            total += slope[i] * column[i]
        d_effects[k] += total


@kernel
def _prepare(bases, effects, term_ptr, design, pattern, late):  # type: ignore[no-untyped-def]
    """The work space, with the predictors that all patterns share filled in, and the table of the others by pattern.

    The table is empty where none is needed: row i has pattern i, and no row is looked up again at its entry.
    """
    work, size, widest = np.zeros(_COLUMNS * _BLOCK), 1, min(_BLOCK, pattern.size)
    for c in range(4):
        if _varies(c, bases, term_ptr):
            size = max(bases[c].size, design.shape[1])
        else:
            _predict(c, 0, widest, bases[c], effects, term_ptr, design, work)
    _natural(widest, True, True, True, work)
    for i in range(widest):
        work[_FACTOR + i] = 1.0
    other = pattern.size - size
    for i in range(pattern.size):
        other |= pattern[i] - i
    if size == 1 or (late == 0 and other == 0):
        return work, np.empty((4, 0))
    table = np.empty((4, size))
    for first in range(0, size, _BLOCK):
        n = min(_BLOCK, size - first)
        for c in range(4):
            if _varies(c, bases, term_ptr):
                _predict(c, first, n, bases[c], effects, term_ptr, design, work)
                for i in range(n):
                    table[c, first + i] = work[c * _BLOCK + i]
    return work, table


@kernel
def _load(start, n, pattern, table, bases, effects, term_ptr, design, log_time, weight, work):  # type: ignore[no-untyped-def]
    """Fill the columns of the work space that a block of rows reads, but for those that `_prepare` has filled."""
    for c in range(4):
        if _varies(c, bases, term_ptr):
            if table.shape[1] == 0:
                _predict(c, start, n, bases[c], effects, term_ptr, design, work)
            else:
                column, place = table[c], pattern[start : start + n]
                for i in range(n):
                    work[_LOGS + c * _BLOCK + i] = column[place[i]]
    _natural(n, _varies(1, bases, term_ptr), _varies(2, bases, term_ptr), _varies(3, bases, term_ptr), work)
    time, own = log_time[start : start + n], weight[start : start + n]
    for i in range(n):
        work[_TIME + i] = time[i]
        work[_WEIGHT + i] = own[i]


@kernel
def _hand_back(start, n, pattern, d_table, bases, term_ptr, design, work, d_bases, d_effects):  # type: ignore[no-untyped-def]
    """Add a block's derivatives to those of its bases and effects, or to the table from which `_finish` collects."""
    for c in range(4):
        if d_table.shape[1] > 0 and _varies(c, bases, term_ptr):
            column, place = d_table[c], pattern[start : start + n]
            for i in range(n):
                column[place[i]] += work[_SLOPES + c * _BLOCK + i]
        else:
            _collect(c, start, n, term_ptr, design, work, d_bases[c], d_effects)


@kernel
def _finish(d_table, bases, term_ptr, design, work, d_bases, d_effects):  # type: ignore[no-untyped-def]
    """Collect the derivatives by bases and effects from the table of the patterns."""
    for first in range(0, d_table.shape[1], _BLOCK):
        n = min(_BLOCK, d_table.shape[1] - first)
        for c in range(4):
            if _varies(c, bases, term_ptr):
                for i in range(n):
                    work[_SLOPES + c * _BLOCK + i] = d_table[c, first + i]
                _collect(c, first, n, term_ptr, design, work, d_bases[c], d_effects)


@kernel
def _exact(n, work):  # type: ignore[no-untyped-def]
    value = 0.0
    for i in range(n):
        t, w, z = work[_TIME + i], work[_WEIGHT + i], work[_FACTOR + i]
        log_u, a, s, total, d_v, by_k1 = _point(work, i, t)
        k = work[_KAPPA + i] - 1.0
        value += w * (work[_LOG_LAMBDA + i] + work[_LOG_GAMMA + i] + log_u - t + k * a - z * total)
        u = 1.0 + k * s - z * d_v
        work[_BY_PHI + i] = w * work[_GAMMA + i] * u
        work[_BY_LAMBDA + i] = w * (1.0 - z * total)
        work[_BY_GAMMA + i] = w * (1.0 + log_u * u)
        work[_BY_K1 + i] = w * (work[_K1 + i] * a - k * s - z * by_k1)
    return value


@kernel
def _exact_with_background(start, n, background, work):  # type: ignore[no-untyped-def]
    """Events that may be those of the general population: the hazard is the sum of both."""
    value = 0.0
    for i in range(n):
        t, w = work[_TIME + i], work[_WEIGHT + i]
        log_u, a, s, total, d_v, by_k1 = _point(work, i, t)
        k = work[_KAPPA + i] - 1.0
        rate = fast_exp(work[_LOG_LAMBDA + i] + work[_LOG_GAMMA + i] + log_u - t + k * a)
        both = rate + background[start + i]
        share = rate / both
        value += w * (fast_log(both) - total)
        u = share * (1.0 + k * s) - d_v
        work[_BY_PHI + i] = w * work[_GAMMA + i] * u
        work[_BY_LAMBDA + i] = w * (share - total)
        work[_BY_GAMMA + i] = w * (share + log_u * u)
        work[_BY_K1 + i] = w * (share * (work[_K1 + i] * a - k * s) - by_k1)
    return value


@kernel
def _exposure(n, sign, work):  # type: ignore[no-untyped-def]
    """Sum of ``sign * weight * H``: rows that are censored on the right (-1), and late entry (+1)."""
    value = 0.0
    for i in range(n):
        log_u, _a, _s, total, d_v, by_k1 = _point(work, i, work[_TIME + i])
        w = sign * work[_WEIGHT + i] * work[_FACTOR + i]
        value += w * total
        work[_BY_PHI + i] = w * work[_GAMMA + i] * d_v
        work[_BY_LAMBDA + i] = w * total
        work[_BY_GAMMA + i] = w * log_u * d_v
        work[_BY_K1 + i] = w * by_k1
    return value


@kernel
def _between(start, n, known, log_upper, work):  # type: ignore[no-untyped-def]
    """Rows censored in an interval (`known` 1) or on the left (`known` 0: the lower end is time 0, whose log is not read)."""
    value = 0.0
    for i in range(n):
        w, upper = work[_WEIGHT + i], log_upper[start + i]
        log_u, _a, _s, total, d_v, by_k1 = _point(work, i, upper)
        low_u, _a, _s, low, low_v, low_k1 = _point(work, i, work[_TIME + i] if known > 0.0 else upper)
        gap = max(total - known * low, 1e-300)  # rounding may turn a gap of nothing round
        e, m = fast_exp_expm1(-min(gap, 708.0))
        value += w * (fast_log(-m) - known * low)
        up = -w * e / m  # with respect to H at the upper end; w + up of it is taken at the lower end
        down = known * (w + up)
        work[_BY_PHI + i] = work[_GAMMA + i] * (up * d_v - down * low_v)
        work[_BY_LAMBDA + i] = up * total - down * low
        work[_BY_GAMMA + i] = up * log_u * d_v - down * low_u * low_v
        work[_BY_K1 + i] = up * by_k1 - down * low_k1
    return value


@kernel
def survival_kernel(
    log_phi, log_lambda, log_gamma, log_k1, effects,
    term_ptr, design, kind_ptr, pattern, log_lower, log_upper, weight, background, entry_row, log_entry,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Log likelihood of survival rows and its gradients.

    Parameters
    ----------
    log_phi, log_lambda, log_gamma, log_k1 : (P,) or (1,) float64
        Bases of the predictors by pattern of covariates, or one for all; differentiable.
    effects : (K,) float64
        Effects of the covariates on the predictors, in the order of the predictors; differentiable.
    term_ptr : (5,) int64
        Effects on predictor c are ``term_ptr[c]`` to ``term_ptr[c + 1]``.
    design : (K, P) float64
        Covariates by effect and pattern.
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
    d_log_phi, d_log_lambda, d_log_gamma, d_log_k1, d_effects : ndarray
        Shaped as the bases and the effects.
    """
    bases, d_effects = (log_phi, log_lambda, log_gamma, log_k1), np.zeros(effects.size)
    d_bases = (np.zeros(log_phi.size), np.zeros(log_lambda.size), np.zeros(log_gamma.size), np.zeros(log_k1.size))
    known = all_numbers(log_phi) and all_numbers(log_lambda) and all_numbers(log_gamma) and all_numbers(log_k1)
    if not (known and all_numbers(effects)):
        return np.nan, d_bases[0], d_bases[1], d_bases[2], d_bases[3], d_effects
    work, table = _prepare(bases, effects, term_ptr, design, pattern, entry_row.size)
    d_table = np.zeros(table.shape)
    value = 0.0
    for kind in range(4):
        for start in range(kind_ptr[kind], kind_ptr[kind + 1], _BLOCK):
            n = min(_BLOCK, kind_ptr[kind + 1] - start)
            _load(start, n, pattern, table, bases, effects, term_ptr, design, log_lower, weight, work)
            if kind == 0 and background.size == 0:
                value += _exact(n, work)
            elif kind == 0:
                value += _exact_with_background(start, n, background, work)
            elif kind == 1:
                value += _exposure(n, -1.0, work)
            else:
                value += _between(start, n, kind - 2.0, log_upper, work)
            _hand_back(start, n, pattern, d_table, bases, term_ptr, design, work, d_bases, d_effects)
    late, late_weight = np.empty(_BLOCK, np.int64), np.empty(_BLOCK)
    for start in range(0, entry_row.size, _BLOCK):
        n = min(_BLOCK, entry_row.size - start)
        for i in range(n):
            late[i] = pattern[entry_row[start + i]]
            late_weight[i] = weight[entry_row[start + i]]
        entry = log_entry[start : start + n]
        _load(0, n, late, table, bases, effects, term_ptr, design, entry, late_weight, work)
        value += _exposure(n, 1.0, work)
        _hand_back(0, n, late, d_table, bases, term_ptr, design, work, d_bases, d_effects)
    _finish(d_table, bases, term_ptr, design, work, d_bases, d_effects)
    return value, d_bases[0], d_bases[1], d_bases[2], d_bases[3], d_effects


log_likelihood = fused(
    survival_kernel,
    wrt=(1, 1, 1, 1, 1),
    data=(
        "int64:1", "float64:2", "int64:1", "int64:1", "float64:1", "float64:1", "float64:1", "float64:1", "int64:1",
        "float64:1",
    ),
)  # fmt: skip
"""`survival_kernel` on symbolic arrays."""
