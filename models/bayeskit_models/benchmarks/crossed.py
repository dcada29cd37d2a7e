"""The likelihood of counts with one effect summed out of every unit: value and gradients in one pass.

The law of a cell is binomial, k successes in n trials of probability

    p(x) = chance + (1 - chance) / (1 + exp(-x));

`nodes` says what a unit is, what x is made of and how the integral over the unit's effect is taken. There are no binomial
coefficients: the data are sequences of trials.
"""

from __future__ import annotations

from typing import Any

import numba

from bayeskit.fused import fast_exp, fast_log, kernel
from bayeskit_models.benchmarks.nodes import cell_function
from bayeskit_models.benchmarks.totals import totals

__all__ = ["crossed"]

DROP = 24.0
"""Nats by which the integrand has fallen where the sum ends."""
DROP_CHANCE = 45.0
"""The same where a chance level can make a second, lower mode."""

_inline: Any = numba.njit(fastmath={"contract", "nsz", "arcp"}, forceinline=True, error_model="numpy")


@_inline
def _sigmoid(x):  # type: ignore[no-untyped-def]
    z = fast_exp(-abs(x))
    w = 1.0 / (1.0 + z)
    return w if x > 0.0 else z * w


@_inline
def _counts(x, k, n, chance):  # type: ignore[no-untyped-def]
    """Log likelihood of k successes in n trials, and its derivative."""
    z = fast_exp(-abs(x))
    w = 1.0 / (1.0 + z)
    p = w if x > 0.0 else z * w
    miss = fast_log(w) - max(x, 0.0)  # log(1 - sigmoid)
    if chance == 0.0:
        return k * x + n * miss, k - n * p
    hit = chance + (1.0 - chance) * p
    value = k * fast_log(hit) + (n - k) * (miss + fast_log(1.0 - chance))
    return value, k * (1.0 - chance) * p * (1.0 - p) / hit - (n - k) * p


@cell_function
def _evaluate(base, offset, stats, theta, value, slope, extra):  # type: ignore[no-untyped-def]
    size, chance = base.size, theta[0]
    k, n = stats[:size], stats[size:]
    if chance == 0.0:
        for i in range(size):
            value[i], slope[i] = _counts(base[i] + offset, k[i], n[i], 0.0)
    else:
        for i in range(size):
            value[i], slope[i] = _counts(base[i] + offset, k[i], n[i], chance)


@cell_function
def _curvature(base, offset, stats, theta, slope, weight):  # type: ignore[no-untyped-def]
    size, chance = base.size, theta[0]
    k, n = stats[:size], stats[size:]
    for c in range(size):
        p = _sigmoid(base[c] + offset)
        hit = chance + (1.0 - chance) * p
        ratio = (1.0 - chance) * (1.0 - p) / hit * p if chance > 0.0 else 1.0 - p
        slope[c] = k[c] * ratio - (n[c] - k[c]) * p
        weight[c] = n[c] * p * (1.0 - p)


@cell_function
def start_of_counts(base, stats, chance, sd):  # type: ignore[no-untyped-def]
    """Where the unit's share of successes is that of its average cell, drawn towards 0 as a normal likelihood would be."""
    size = base.size
    k, n = stats[:size], stats[size:]
    total, hits, middle = 0.0, 0.0, 0.0
    for c in range(size):
        total += n[c]
        hits += k[c]
        middle += n[c] * base[c]
    if total == 0.0:
        return 0.0
    share = max(hits / total - chance, 0.0) / (1.0 - chance)
    share = (share * total + 0.5) / (total + 1.0)
    weight = sd * sd * total * share * (1.0 - share)
    return (fast_log(share / (1.0 - share)) - middle / total) / sd * weight / (1.0 + weight)


@cell_function
def _start(base, stats, theta, sd):  # type: ignore[no-untyped-def]
    return start_of_counts(base, stats, theta[0], sd)


@cell_function
def _trials(stats, c, theta):  # type: ignore[no-untyped-def]
    return stats[1][c]


@cell_function
def _drop(theta):  # type: ignore[no-untyped-def]
    return DROP if theta[0] == 0.0 else DROP_CHANCE


_total = totals(_evaluate, _curvature, _start, _trials, _drop, costly=False)


@kernel
def crossed(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, k, n, fine, cell_kind,
    member_unit, uniform,
):  # fmt: skip
    """Value and gradients, value of one of each unit, draws of the members' effects; see `cheapest.crossed_kernel`."""
    value, d_eta, d_shift, d_sd, d_inner, _, each, drawn = _total(
        eta, shift, sd, inner_sd, chance.reshape((-1, 1)), (unit_ptr, unit_benchmark, unit_weight),
        (cell_column, cell_group, cell_kind), (k, n), fine[0], (member_unit, uniform),
    )  # fmt: skip
    return value, d_eta, d_shift, d_sd, d_inner, each, drawn
