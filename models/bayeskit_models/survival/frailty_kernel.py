"""The likelihood with a shared gamma frailty, which is integrated out in closed form, as one fused operation.

The hazards of the rows of group j are multiplied by the same unknown Z_j, gamma distributed with mean 1 and variance theta.
With d_j events, A_j the sum of the rows' cumulative hazards and E_j the sum of those at entry,

    log L_j = sum of log h over events + sum_{k < d_j} log(1 + k theta)
              - (1/theta + d_j) log(1 + theta A_j) + (1/theta) log(1 + theta E_j):

E[Z^d exp(-Z A)] over E[exp(-Z E)], the probability that all rows of the group were free of the event at their entries (Clayton
1978, Biometrika 65:141-151; Klein 1992, Biometrics 48:795-806; with late entry van den Berg, Drepper 2016, Econometric Reviews
35:1075-1098). No term is lost where theta goes to 0.

The derivative with respect to the cumulative hazard of a row is ``-(1 + theta d_j) / (1 + theta A_j)``, minus the posterior
mean of Z_j. So the rows are gone through twice: once for A and E, once as in `kernel` with each cumulative hazard counting that
many times.
"""

from __future__ import annotations

import numpy as np

from bayeskit.fused import all_numbers, fused, kernel
from bayeskit_models.survival.kernel import (
    _BLOCK,
    _FACTOR,
    _SLOPES,
    _TIME,
    _WEIGHT,
    _exact,
    _exposure,
    _finish,
    _hand_back,
    _inline,
    _load,
    _point,
    _prepare,
)

__all__ = ["frailty_kernel", "log_likelihood_with_frailty"]

_SERIES = 0.01


@_inline
def _log1prel(x):  # type: ignore[no-untyped-def]
    """``log(1 + x) / x`` and minus its derivative, for x of 0 and more."""
    if x < _SERIES:
        value = 1.0 - x * (1 / 2 - x * (1 / 3 - x * (1 / 4 - x * (1 / 5 - x * (1 / 6 - x * (1 / 7 - x / 8))))))
        slope = 1 / 2 - x * (2 / 3 - x * (3 / 4 - x * (4 / 5 - x * (5 / 6 - x * (6 / 7 - x * (7 / 8 - x * 8 / 9))))))
        return value, slope
    value = np.log1p(x) / x
    return value, (value - 1.0 / (1.0 + x)) / x


@kernel
def _sums(start, n, home, work, sums):  # type: ignore[no-untyped-def]
    """Add the weighted cumulative hazards of a block of rows to those of their groups."""
    for i in range(n):
        _u, _a, _s, total, _v, _k1 = _point(work, i, work[_TIME + i])
        work[_SLOPES + i] = work[_WEIGHT + i] * total
    for i in range(n):
        sums[home[start + i]] += work[_SLOPES + i]


@kernel
def _groups(theta, lived, before, events, step):  # type: ignore[no-untyped-def]
    """What the groups add beside the rows, its derivative by theta; `lived` and `before` become the factors of the hazards.

    The linear parts that the second pass over the rows counts are taken off here.
    """
    value, slope = 0.0, 0.0
    for k in range(step.size):
        value += step[k] * np.log1p(k * theta)
        slope += step[k] * k / (1.0 + k * theta)
    for j in range(lived.size):
        a, e, d = lived[j], before[j], events[j]
        after, after_slope = _log1prel(theta * a)
        entry, entry_slope = _log1prel(theta * e)
        factor, factor_before = (1.0 + theta * d) / (1.0 + theta * a), 1.0 / (1.0 + theta * e)
        value += a * (factor - after) - d * np.log1p(theta * a) + e * (entry - factor_before)
        slope += a * (a * after_slope) - d * a / (1.0 + theta * a) - e * (e * entry_slope)
        lived[j], before[j] = factor, factor_before
    return value, slope


@kernel
def frailty_kernel(
    log_phi, log_lambda, log_gamma, log_k1, effects, variance,
    term_ptr, design, kind_ptr, pattern, log_lower, weight, entry_row, log_entry, home, events, step,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Log likelihood of exact and right-censored rows with a shared gamma frailty, and its gradients.

    Parameters
    ----------
    log_phi, log_lambda, log_gamma, log_k1, effects : ndarray
        As in `kernel.survival_kernel`.
    variance : (1,) float64
        theta; differentiable.
    term_ptr, design, kind_ptr, pattern, log_lower, weight, entry_row, log_entry
        As in `kernel.survival_kernel`; there are no rows of the kinds left and interval.
    home : (n,) int64
        Group of each row. Not checked here.
    events : (J,) float64
        Events of each group, weights counted.
    step : (K,) float64
        How many groups have more than k events, for k from 0.

    Returns
    -------
    value : float
    d_log_phi, d_log_lambda, d_log_gamma, d_log_k1, d_effects, d_variance : ndarray
    """
    bases, d_effects, d_variance = (log_phi, log_lambda, log_gamma, log_k1), np.zeros(effects.size), np.zeros(1)
    d_bases = (np.zeros(log_phi.size), np.zeros(log_lambda.size), np.zeros(log_gamma.size), np.zeros(log_k1.size))
    known = all_numbers(log_phi) and all_numbers(log_lambda) and all_numbers(log_gamma) and all_numbers(log_k1)
    if not (known and all_numbers(effects) and all_numbers(variance)):
        return np.nan, d_bases[0], d_bases[1], d_bases[2], d_bases[3], d_effects, d_variance
    late = entry_row.size
    work, table = _prepare(bases, effects, term_ptr, design, pattern, late)
    d_table = np.zeros(table.shape)
    lived, before = np.zeros(events.size), np.zeros(events.size)
    late_pattern, late_home, late_weight = np.empty(late, np.int64), np.empty(late, np.int64), np.empty(late)
    for i in range(late):
        row = entry_row[i]
        late_pattern[i], late_home[i], late_weight[i] = pattern[row], home[row], weight[row]
    for start in range(0, kind_ptr[2], _BLOCK):
        n = min(_BLOCK, kind_ptr[2] - start)
        _load(start, n, pattern, table, bases, effects, term_ptr, design, log_lower, weight, work)
        _sums(start, n, home, work, lived)
    for start in range(0, late, _BLOCK):
        n = min(_BLOCK, late - start)
        _load(start, n, late_pattern, table, bases, effects, term_ptr, design, log_entry, late_weight, work)
        _sums(start, n, late_home, work, before)
    value, d_variance[0] = _groups(variance[0], lived, before, events, step)
    for kind in range(2):
        for start in range(kind_ptr[kind], kind_ptr[kind + 1], _BLOCK):
            n = min(_BLOCK, kind_ptr[kind + 1] - start)
            _load(start, n, pattern, table, bases, effects, term_ptr, design, log_lower, weight, work)
            for i in range(n):
                work[_FACTOR + i] = lived[home[start + i]]
            value += _exact(n, work) if kind == 0 else _exposure(n, -1.0, work)
            _hand_back(start, n, pattern, d_table, bases, term_ptr, design, work, d_bases, d_effects)
    for start in range(0, late, _BLOCK):
        n = min(_BLOCK, late - start)
        _load(start, n, late_pattern, table, bases, effects, term_ptr, design, log_entry, late_weight, work)
        for i in range(n):
            work[_FACTOR + i] = before[late_home[start + i]]
        value += _exposure(n, 1.0, work)
        _hand_back(start, n, late_pattern, d_table, bases, term_ptr, design, work, d_bases, d_effects)
    _finish(d_table, bases, term_ptr, design, work, d_bases, d_effects)
    return value, d_bases[0], d_bases[1], d_bases[2], d_bases[3], d_effects, d_variance


log_likelihood_with_frailty = fused(
    frailty_kernel,
    wrt=(1, 1, 1, 1, 1, 1),
    data=(
        "int64:1", "float64:2", "int64:1", "int64:1", "float64:1", "float64:1", "int64:1", "float64:1", "int64:1", "float64:1",
        "float64:1",
    ),
)  # fmt: skip
"""`frailty_kernel` on symbolic arrays."""
