"""The likelihood of selective labels as one fused operation: value and gradient in a single pass over the rows.

With a = x' beta_Y, d = w' beta_Delta, the unobservable Z = sigma v, the risk score r = a + Z and t = alpha r + d a row adds

    untested                log E[s(-t)]
    tested, outcome 1       log E[s(r) s(t)]
    tested, outcome 0       log E[s(-r) s(t)]

where s is the logistic function and E the mean over v, a weighted sum over nodes. For v uniform on (0, 1) and alpha = 1 the
means have closed forms (Balachandar, Garg, Pierson 2024, the Bernoulli-sigmoid model): with e = a + d, sp(x) = log(1 + exp x),
G(x) = sp(x + sigma) - sp(x), F(x) = sp(-x) - sp(-x - sigma) and m = 1 - exp(-d)

    sigma E[s(-e - Z)] = F(e),   sigma E[s(r) s(t)] = (G(a) - exp(-d) G(e)) / m,   sigma E[s(-r) s(t)] = (F(a) - F(e)) / m.

They cancel where d is small, where both predictors are far below 0 and where sigma is small. Such rows are found by a first
pass without branches and done again by Gauss-Legendre quadrature, which has no such places. Covariates lie in contiguous
columns, rows by kind (untested, outcome 1, outcome 0), so that no loop over rows branches.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bayeskit.fused import all_numbers, fast_exp, fast_log, fused, kernel, softplus_sigmoid

__all__ = ["KINDS", "log_likelihood", "prevalence_kernel", "prevalence_weight", "selection_kernel"]

KINDS = ("untested", "tested, outcome 1", "tested, outcome 0")
"""Order in which the rows lie."""

BLOCK = 256  # rows whose intermediate numbers stay in the first cache
# Columns of the work space, BLOCK numbers each: 0 a, 1 d, 2 log of the mean, 3 to 6 its derivatives by a, d, sigma and alpha,
# 7 whether the closed form must be done again, 8 to 13 sums over nodes.
COLUMNS = 14
SMALL_SIGMA = 0.5  # below it the closed forms lose digits by differences
_SMALL_D = 0.02  # below it derivatives by d lose more than four digits
_DEEP = -7.0  # of the larger predictor plus sigma: below it both factors are tiny, and their product is lost in rounding
_FAR = 300.0  # beyond it exp(d) is out of the range of doubles or near to it
_FEW, _MANY = np.polynomial.legendre.leggauss(8), np.polynomial.legendre.leggauss(32)
FEW_NODES, FEW_WEIGHTS = (_FEW[0] + 1.0) / 2.0, _FEW[1] / 2.0
MANY_NODES, MANY_WEIGHTS = (_MANY[0] + 1.0) / 2.0, _MANY[1] / 2.0
FEW_UP_TO = 1.0  # alpha times sigma for which eight nodes are exact to rounding

_inline: Any = numba.njit(fastmath={"contract", "nsz", "arcp"}, forceinline=True, error_model="numpy")


@kernel
def combine(start, n, coefficients, columns, work, place):  # type: ignore[no-untyped-def]
    """A linear predictor of a block of rows: intercept first, then the columns."""
    for i in range(n):
        work[place * BLOCK + i] = coefficients[0]
    for k in range(columns.shape[0]):
        b = coefficients[k + 1]
        for i in range(n):
            work[place * BLOCK + i] += b * columns[k, start + i]


@kernel
def _hand_back(start, n, columns, work, place, gradient):  # type: ignore[no-untyped-def]
    """Add a block's derivatives by a predictor to those by its coefficients."""
    total = 0.0
    for i in range(n):
        total += work[place * BLOCK + i]
    gradient[0] += total
    for k in range(columns.shape[0]):
        total = 0.0
        for i in range(n):
            total += work[place * BLOCK + i] * columns[k, start + i]
        gradient[k + 1] += total


@kernel
def _closed_untested(n, sigma, work):  # type: ignore[no-untyped-def]
    redo = 0.0
    inverse, log_sigma = 1.0 / sigma, np.log(sigma)
    for i in range(n):
        e = work[i] + work[BLOCK + i]
        far = 1.0 if abs(e) > _FAR else 0.0
        near = 1.0 - far
        sp0, s0 = softplus_sigmoid(-e * near)
        sp1, s1 = softplus_sigmoid(-e * near - sigma)
        total = sp0 - sp1
        inverted = 1.0 / total
        slope = (s1 - s0) * inverted
        work[2 * BLOCK + i] = fast_log(total) - log_sigma
        work[3 * BLOCK + i] = slope
        work[4 * BLOCK + i] = slope
        work[5 * BLOCK + i] = s1 * inverted - inverse
        work[7 * BLOCK + i] = far
        redo += far
    return redo


@kernel
def _closed_tested(n, sigma, outcome, work):  # type: ignore[no-untyped-def]
    redo = 0.0
    inverse, log_sigma = 1.0 / sigma, np.log(sigma)
    sign = 1.0 if outcome else -1.0
    for i in range(n):
        a, d = work[i], work[BLOCK + i]
        e = a + d
        bad = 1.0 if abs(d) < _SMALL_D or max(a, e) + sigma < _DEEP or max(max(abs(a), abs(e)), abs(d)) > _FAR else 0.0
        good = 1.0 - bad
        a, d, e = a * good, d * good + bad, e * good + bad  # what is computed there is thrown away, and must be finite
        x, y = sign * a, sign * e
        sp_a, s_a = softplus_sigmoid(x)
        sp_e, s_e = softplus_sigmoid(y)
        up_a, t_a = softplus_sigmoid(x + sign * sigma)
        up_e, t_e = softplus_sigmoid(y + sign * sigma)
        ratio = fast_exp(-d)
        share = 1.0 / (1.0 - ratio)
        # g is G for outcome 1 and F for outcome 0; its slopes carry the sign of the argument
        g_a, g_e = sign * (up_a - sp_a), sign * (up_e - sp_e)
        slope_a, slope_e = t_a - s_a, t_e - s_e
        scale = ratio if outcome else 1.0
        total = (g_a - scale * g_e) * share
        inverted = 1.0 / total
        by_d = (scale * (g_e - slope_e) - ratio * total) if outcome else (-slope_e - ratio * total)
        work[2 * BLOCK + i] = fast_log(total) - log_sigma
        work[3 * BLOCK + i] = (slope_a - scale * slope_e) * share * inverted
        work[4 * BLOCK + i] = by_d * share * inverted
        work[5 * BLOCK + i] = (t_a - scale * t_e) * share * inverted - inverse
        work[7 * BLOCK + i] = bad
        redo += bad
    return redo


@kernel
def _summed(first, last, kind, sigma, alpha, nodes, node_weight, work):  # type: ignore[no-untyped-def]
    """Means over nodes of rows `first` to `last` of a block, scaled by the integrand in the middle: nothing underflows."""
    sign = 1.0 if kind == 1 else (-1.0 if kind == 2 else 0.0)  # of r; 0: the row was not tested
    turn = -1.0 if kind == 0 else 1.0  # of t
    middle = sigma * nodes[nodes.size // 2]
    for i in range(first, last):
        x = work[i] + middle
        work[13 * BLOCK + i] = min(sign * x, 0.0) + min(turn * (alpha * x + work[BLOCK + i]), 0.0)
        for c in range(8, 13):
            work[c * BLOCK + i] = 0.0
    for k in range(nodes.size):
        v, w = nodes[k], node_weight[k]
        z = sigma * v
        for i in range(first, last):
            x = work[i] + z
            r, t = sign * x, turn * (alpha * x + work[BLOCK + i])
            er, et = fast_exp(-abs(r)), fast_exp(-abs(t))
            pr, qt = 1.0 / (1.0 + er), 1.0 / (1.0 + et)
            pr = pr if kind > 0 else 1.0
            g = w * pr * qt * fast_exp(min(r, 0.0) + min(t, 0.0) - work[13 * BLOCK + i])
            by_r = g * sign * (er * pr if r > 0.0 else pr)
            by_t = g * turn * (et * qt if t > 0.0 else qt)
            work[8 * BLOCK + i] += g
            work[9 * BLOCK + i] += by_r
            work[10 * BLOCK + i] += by_t
            work[11 * BLOCK + i] += (by_r + alpha * by_t) * v
            work[12 * BLOCK + i] += by_t * x
    for i in range(first, last):
        inverted = 1.0 / work[8 * BLOCK + i]
        work[2 * BLOCK + i] = fast_log(work[8 * BLOCK + i]) + work[13 * BLOCK + i]
        work[3 * BLOCK + i] = (work[9 * BLOCK + i] + alpha * work[10 * BLOCK + i]) * inverted
        work[4 * BLOCK + i] = work[10 * BLOCK + i] * inverted
        work[5 * BLOCK + i] = work[11 * BLOCK + i] * inverted
        work[6 * BLOCK + i] = work[12 * BLOCK + i] * inverted


@kernel
def block_means(n, kind, sigma, alpha, closed, nodes, node_weight, work):  # type: ignore[no-untyped-def]
    """Log means of a block of rows of one kind, and their derivatives, into columns 2 to 6 of the work space."""
    if not closed:
        _summed(0, n, kind, sigma, alpha, nodes, node_weight, work)
        return
    redo = _closed_untested(n, sigma, work) if kind == 0 else _closed_tested(n, sigma, kind == 1, work)
    if redo > 0.0:
        for i in range(n):
            if work[7 * BLOCK + i] > 0.0:
                _summed(i, i + 1, kind, sigma, alpha, nodes, node_weight, work)


@kernel
def selection_kernel(
    risk, testing, scale, risk_columns, testing_columns, kind_ptr, weight, nodes, node_weight
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Log likelihood of rows of which only the tested have an outcome, and its gradients.

    Parameters
    ----------
    risk : (p + 1,) float64
        Intercept and coefficients of the risk score; differentiable.
    testing : (q + 1,) float64
        Intercept and coefficients of the departure of testing from risk; differentiable.
    scale : (2,) float64
        sigma (at least 0) and alpha; differentiable.
    risk_columns, testing_columns : (p, n), (q, n) float64
        Covariates, a row for each column of the design.
    kind_ptr : (4,) int64
        Rows of kind k are ``kind_ptr[k]`` to ``kind_ptr[k + 1]``; see `KINDS`.
    weight : (n,) float64
        How many equal rows each stands for.
    nodes, node_weight : (K,) or (0,) float64
        Nodes of Z / sigma and their weights, which sum to 1; none for Z uniform on (0, sigma) with a fixed alpha.

    Returns
    -------
    value : float
    d_risk, d_testing, d_scale : ndarray
        The derivative by alpha is only meant where nodes are given.
    """
    d_risk, d_testing, d_scale = np.zeros(risk.size), np.zeros(testing.size), np.zeros(2)
    if not (all_numbers(risk) and all_numbers(testing) and all_numbers(scale)):
        return np.nan, d_risk, d_testing, d_scale
    sigma, alpha = scale[0], scale[1]
    closed = nodes.size == 0 and alpha == 1.0 and sigma >= SMALL_SIGMA
    v, w = nodes, node_weight
    if nodes.size == 0:
        few = max(1.0, abs(alpha)) * sigma < FEW_UP_TO
        v, w = (FEW_NODES, FEW_WEIGHTS) if few else (MANY_NODES, MANY_WEIGHTS)
    work = np.zeros(COLUMNS * BLOCK)
    value = 0.0
    for kind in range(3):
        for start in range(kind_ptr[kind], kind_ptr[kind + 1], BLOCK):
            n = min(BLOCK, kind_ptr[kind + 1] - start)
            combine(start, n, risk, risk_columns, work, 0)
            combine(start, n, testing, testing_columns, work, 1)
            block_means(n, kind, sigma, alpha, closed, v, w, work)
            by_sigma, by_alpha = 0.0, 0.0
            for i in range(n):
                m = weight[start + i]
                value += m * work[2 * BLOCK + i]
                work[3 * BLOCK + i] *= m
                work[4 * BLOCK + i] *= m
                by_sigma += m * work[5 * BLOCK + i]
                by_alpha += m * work[6 * BLOCK + i]
            d_scale[0] += by_sigma
            d_scale[1] += by_alpha
            _hand_back(start, n, risk_columns, work, 3, d_risk)
            _hand_back(start, n, testing_columns, work, 4, d_testing)
    return value, d_risk, d_testing, d_scale


@kernel
def block_risks(n, sigma, closed, nodes, node_weight, work):  # type: ignore[no-untyped-def]
    """E[s(a + Z)] of a block of rows into column 2, its derivatives by a and sigma into 3 and 5."""
    if closed:
        inverse = 1.0 / sigma
        for i in range(n):
            low, s0 = softplus_sigmoid(work[i])
            high, s1 = softplus_sigmoid(work[i] + sigma)
            share = (high - low) * inverse
            work[2 * BLOCK + i] = share
            work[3 * BLOCK + i] = (s1 - s0) * inverse
            work[5 * BLOCK + i] = (s1 - share) * inverse
        return
    for i in range(n):
        work[2 * BLOCK + i] = 0.0
        work[3 * BLOCK + i] = 0.0
        work[5 * BLOCK + i] = 0.0
    for k in range(nodes.size):
        z, v, w = sigma * nodes[k], nodes[k], node_weight[k]
        for i in range(n):
            x = work[i] + z
            e = fast_exp(-abs(x))
            half = 1.0 / (1.0 + e)
            s = half if x > 0.0 else e * half
            slope = w * e * half * half
            work[2 * BLOCK + i] += w * s
            work[3 * BLOCK + i] += slope
            work[5 * BLOCK + i] += slope * v


@kernel
def prevalence_kernel(risk, scale, risk_columns, group, weight, nodes, node_weight, low, high, sd):  # type: ignore[no-untyped-def]
    """Log weight of what is known about the prevalence of groups, and its gradients.

    The prevalence of a group is the weighted mean of E[s(a + Z)] over its rows. Between `low` and `high` its log weight is 0,
    outside minus half the square of the distance in units of `sd`.

    Parameters
    ----------
    risk, scale, risk_columns, weight, nodes, node_weight
        As in `selection_kernel`; alpha has no part in it.
    group : (n,) int64
        Group of each row; -1 for none.
    low, high, sd : (G,) float64
        What is known of each group.

    Returns
    -------
    value : float
    d_risk, d_scale : ndarray
    """
    d_risk, d_scale = np.zeros(risk.size), np.zeros(2)
    if not (all_numbers(risk) and all_numbers(scale)):
        return np.nan, d_risk, d_scale
    sigma = scale[0]
    closed = nodes.size == 0 and sigma >= SMALL_SIGMA
    v, w = nodes, node_weight
    if nodes.size == 0:
        v, w = (FEW_NODES, FEW_WEIGHTS) if sigma < FEW_UP_TO else (MANY_NODES, MANY_WEIGHTS)
    groups = low.size
    implied, total, by_sigma = np.zeros(groups), np.zeros(groups), np.zeros(groups)
    by_risk = np.zeros((groups, risk.size))
    work = np.zeros(COLUMNS * BLOCK)
    for start in range(0, weight.size, BLOCK):
        n = min(BLOCK, weight.size - start)
        combine(start, n, risk, risk_columns, work, 0)
        block_risks(n, sigma, closed, v, w, work)
        for g in range(groups):
            for i in range(n):
                m = weight[start + i] if group[start + i] == g else 0.0
                total[g] += m
                implied[g] += m * work[2 * BLOCK + i]
                by_sigma[g] += m * work[5 * BLOCK + i]
                work[4 * BLOCK + i] = m * work[3 * BLOCK + i]
            _hand_back(start, n, risk_columns, work, 4, by_risk[g])
    value = 0.0
    for g in range(groups):
        if total[g] == 0.0:
            continue
        p = implied[g] / total[g]
        off = min(p - low[g], 0.0) + max(p - high[g], 0.0)
        value -= 0.5 * (off / sd[g]) ** 2
        pull = -off / sd[g] ** 2 / total[g]
        d_scale[0] += pull * by_sigma[g]
        for k in range(risk.size):
            d_risk[k] += pull * by_risk[g, k]
    return value, d_risk, d_scale


log_likelihood = fused(
    selection_kernel,
    wrt=(1, 1, 1),
    data=("float64:2", "float64:2", "int64:1", "float64:1", "float64:1", "float64:1"),
)
"""`selection_kernel` on symbolic arrays."""

prevalence_weight = fused(
    prevalence_kernel,
    wrt=(1, 1),
    data=("float64:2", "int64:1", "float64:1", "float64:1", "float64:1", "float64:1", "float64:1", "float64:1"),
)
"""`prevalence_kernel` on symbolic arrays."""
