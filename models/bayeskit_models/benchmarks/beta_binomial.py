"""The likelihood of over-dispersed counts with one effect summed out of every unit.

The probability of success of a cell (a model on an item) is beta-distributed about

    p(x) = chance + (1 - chance) / (1 + exp(-x))

with parameters ``p precision`` and ``(1 - p) precision``, and its k successes in n trials are binomial given that probability:
what a model knows of an item beyond both their levels. Two samples of a cell have intraclass correlation
``1 / (1 + precision)``. With r = 1 / precision the law of a sequence of trials is

    prod_{j < k} (p + j r)  prod_{j < n - k} (1 - p + j r)  /  prod_{j < n} (1 + j r),

which for whole counts is exact, cancels nothing and is the binomial law at r = 0. Skellam (1948), J. R. Stat. Soc. B 10, 257.
`nodes` says what a unit is, what x is made of and how the integral over the unit's effect is taken.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bayeskit.fused import fast_exp, fast_log, fused, kernel
from bayeskit_models.benchmarks.crossed import DROP_CHANCE, start_of_counts
from bayeskit_models.benchmarks.nodes import cell_function
from bayeskit_models.benchmarks.totals import NOBODY, totals

__all__ = ["beta_binomial_kernel", "draw_units", "log_likelihood", "unit_log_likelihood"]

_FACTORS = 8  # whose product stays within the range of numbers for r from 1e-30 to 1e30
_LEAST, _MOST = 1e-30, 1e30  # of r

_inline: Any = numba.njit(fastmath={"contract", "nsz", "arcp"}, forceinline=True, error_model="numpy")


@_inline
def _product(p, r, first, stop):  # type: ignore[no-untyped-def]
    """Logarithm of the product of ``p + j r`` over eight j from `first`, those below `stop`; derivatives by p and by r."""
    product, by_p, by_r = 1.0, 0.0, 0.0
    for j in range(_FACTORS):
        place = first + j
        factor = p + place * r if place < stop else 1.0
        once = product if place < stop else 0.0
        by_p = by_p * factor + once
        by_r = by_r * factor + place * once
        product = product * factor
    inverse = 1.0 / product
    return fast_log(product), by_p * inverse, by_r * inverse


@_inline
def _first(x, k, n, chance):  # type: ignore[no-untyped-def]
    """Factors of j = 0: logarithm, derivative by x; then p, 1 - p and dp / dx."""
    z = fast_exp(-abs(x))
    w = 1.0 / (1.0 + z)
    low = z * w
    p, q = (w, low) if x > 0.0 else (low, w)
    miss = fast_log(w) - max(x, 0.0)  # log(1 - sigmoid)
    hit = chance + (1.0 - chance) * p
    log_hit = x + miss if chance == 0.0 else fast_log(hit)
    steep = (1.0 - chance) * w * low
    some, rest = (1.0 if k > 0.0 else 0.0), (1.0 if n > k else 0.0)
    value = some * log_hit + rest * (miss + fast_log(1.0 - chance))
    ratio = q if chance == 0.0 else steep / hit
    return value, some * ratio - rest * p, hit, (1.0 - chance) * q, steep


@_inline
def _shared(n, r):  # type: ignore[no-untyped-def]
    """Logarithm of the product of ``1 + j r`` over all j below n, and its derivative by r."""
    value, by_r, first = 0.0, 0.0, 1.0
    while first < n:
        part, _, moved = _product(1.0, r, first, n)
        value += part
        by_r += moved
        first += _FACTORS
    return value, by_r


@cell_function
def _evaluate(base, offset, stats, theta, value, slope, extra):  # type: ignore[no-untyped-def]
    size, chance = base.size, theta[1]
    r = min(max(1.0 / max(theta[0], _LEAST), _LEAST), _MOST)
    k, n = stats[:size], stats[size:]
    by_r, hit, miss, steep = extra[:size], extra[size : 2 * size], extra[2 * size : 3 * size], extra[3 * size : 4 * size]
    most_hits, most_misses = 0.0, 0.0
    for i in range(size):
        value[i], slope[i], hit[i], miss[i], steep[i] = _first(base[i] + offset, k[i], n[i], chance)
        by_r[i] = 0.0
        most_hits, most_misses = max(most_hits, k[i]), max(most_misses, n[i] - k[i])
    first = 1.0
    while first < most_hits:
        for i in range(size):
            part, by_p, moved = _product(hit[i], r, first, k[i])
            value[i] += part
            slope[i] += steep[i] * by_p
            by_r[i] += moved
        first += _FACTORS
    first = 1.0
    while first < most_misses:
        for i in range(size):
            part, by_p, moved = _product(miss[i], r, first, n[i] - k[i])
            value[i] += part
            slope[i] -= steep[i] * by_p
            by_r[i] += moved
        first += _FACTORS
    seen, part, moved = 0.0, 0.0, 0.0
    for i in range(size):
        if n[i] != seen:
            seen = n[i]
            part, moved = _shared(seen, r)
        value[i] -= part
        by_r[i] = (moved - by_r[i]) * r * r  # by the precision


@cell_function
def _curvature(base, offset, stats, theta, slope, weight):  # type: ignore[no-untyped-def]
    """The information is at most that of the binomial, and about that of independent trials of the same variance."""
    size, chance = base.size, theta[1]
    r = min(max(1.0 / max(theta[0], _LEAST), _LEAST), _MOST)
    k, n = stats[:size], stats[size:]
    alike = r / (1.0 + r)
    for c in range(size):
        _, slope[c], hit, miss, steep = _first(base[c] + offset, k[c], n[c], chance)
        p = min(max(miss / (1.0 - chance), 0.0), 1.0)
        j = 1.0
        while j < k[c]:
            slope[c] += steep / (hit + j * r)
            j += 1.0
        j = 1.0
        while j < n[c] - k[c]:
            slope[c] -= steep / (miss + j * r)
            j += 1.0
        weight[c] = p * (1.0 - p) * min(n[c], 2.0 * n[c] / (1.0 + (n[c] - 1.0) * alike))


@cell_function
def _start(base, stats, theta, sd):  # type: ignore[no-untyped-def]
    return start_of_counts(base, stats, theta[1], sd)


@cell_function
def _trials(stats, c, theta):  # type: ignore[no-untyped-def]
    return stats[1][c]


@cell_function
def _drop(theta):  # type: ignore[no-untyped-def]
    return DROP_CHANCE  # factors of j > 0 never vanish: they act as a chance level does


_total = totals(_evaluate, _curvature, _start, _trials, _drop, extras=1, rows=4)


@kernel
def _theta(precision, chance):  # type: ignore[no-untyped-def]
    theta = np.empty((precision.size, 2))
    for b in range(precision.size):
        theta[b, 0], theta[b, 1] = precision[b], chance[b]
    return theta


@kernel
def _beta_binomial(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, precision, chance, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, k, n, fine,
    cell_kind, member_unit, uniform,
):  # fmt: skip
    """`beta_binomial_kernel`, the value of one of each unit, and draws of the members' effects."""
    value, d_eta, d_shift, d_sd, d_inner, d_theta, each, drawn = _total(
        eta, shift, sd, inner_sd, _theta(precision, chance), (unit_ptr, unit_benchmark, unit_weight),
        (cell_column, cell_group, cell_kind), (k, n), fine[0], (member_unit, uniform),
    )  # fmt: skip
    return value, d_eta, d_shift, d_sd, d_inner, np.ascontiguousarray(d_theta[:, 0]), each, drawn


_operation = fused(
    _beta_binomial,
    wrt=(1, 1, 1, 1, 1),
    data=(
        "float64:1", "int64:1", "int64:1", "float64:1", "int64:1", "int64:1", "float64:1", "float64:1", "float64:1", "int64:1",
        "int64:1", "float64:1",
    ),
    also=(8, 16),
)  # fmt: skip


def beta_binomial_kernel(
    eta: np.ndarray,
    shift: np.ndarray,
    sd: np.ndarray,
    inner_sd: np.ndarray,
    precision: np.ndarray,
    chance: np.ndarray,
    unit_ptr: np.ndarray,
    unit_benchmark: np.ndarray,
    unit_weight: np.ndarray,
    cell_column: np.ndarray,
    cell_group: np.ndarray,
    k: np.ndarray,
    n: np.ndarray,
    fine: np.ndarray,
    cell_kind: np.ndarray,
) -> tuple[Any, ...]:
    """Log likelihood of all units and its gradients with respect to the first five arguments.

    Parameters
    ----------
    precision : (B,) float64
        Sum of the two parameters of the beta distribution of a cell's probability, by benchmark. The intraclass correlation is
        ``1 / (1 + precision)``; values below 1e-30 or above 1e30 count as these.
    eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, k, n, fine, cell_kind
        As in `cheapest.crossed_kernel`; counts are whole numbers.

    Returns
    -------
    value : float
        Natural log, NaN (as the gradients) where an input is NaN or +inf.
    d_eta, d_shift, d_sd, d_inner_sd, d_precision : ndarray
        Gradients, shaped as the inputs.
    """
    return _operation.compute(
        eta, shift, sd, inner_sd, precision, chance, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, k, n, fine,
        cell_kind, *NOBODY,
    )[:6]  # fmt: skip


def log_likelihood(*arguments: Any) -> Any:
    """`beta_binomial_kernel` on symbolic arrays; the kinds may be left out."""
    kinds = [NOBODY[0]] if len(arguments) == 14 else []
    return _operation(*arguments, *kinds, *NOBODY)


def unit_log_likelihood(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, precision, chance, unit_ptr, unit_benchmark, cell_column, cell_group, k, n, fine,
    cell_kind=NOBODY[0],
) -> np.ndarray:  # fmt: skip
    """Log likelihood of ONE of each unit (U,), without gradients; arguments as in `beta_binomial_kernel`."""
    each: np.ndarray = _operation.compute(
        eta, shift, sd, inner_sd, precision, chance, unit_ptr, unit_benchmark, np.ones(unit_benchmark.size), cell_column,
        cell_group, k, n, fine, cell_kind, *NOBODY,
    )[6]  # fmt: skip
    return each


def draw_units(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, precision, chance, unit_ptr, unit_benchmark, cell_column, cell_group, k, n, member_unit, uniform,
    cell_kind=NOBODY[0],
) -> np.ndarray:  # fmt: skip
    """Draw the effect z of every member of every unit from its posterior given the other parameters.

    Arguments as in `cheapest.draw_units` and `beta_binomial_kernel`.
    """
    drawn: np.ndarray = _operation.compute(
        eta, shift, sd, inner_sd, precision, chance, unit_ptr, unit_benchmark, np.ones(unit_benchmark.size), cell_column,
        cell_group, k, n, np.full(1, 2.0), cell_kind, member_unit, uniform,
    )[7]  # fmt: skip
    return drawn
