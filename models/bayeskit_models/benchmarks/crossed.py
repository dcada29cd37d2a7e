"""The likelihood of counts with one effect summed out of every unit: value and gradients in one pass.

The law of a cell is binomial, k successes in n trials of probability

    p(x) = chance + (1 - chance) / (1 + exp(-x));

`nodes` says what a unit is, what x is made of and how the integral over the unit's effect is taken. There are no binomial
coefficients: the data are sequences of trials.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bayeskit.fused import fast_exp, fast_log, fused, kernel
from bayeskit_models.benchmarks.nodes import cell_function
from bayeskit_models.benchmarks.totals import totals

__all__ = ["crossed_kernel", "draw_units", "log_likelihood", "unit_log_likelihood"]

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
_NOBODY = np.empty(0, np.int64), np.empty(0)


@kernel
def crossed_kernel(
    eta: np.ndarray,
    shift: np.ndarray,
    sd: np.ndarray,
    inner_sd: np.ndarray,
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
) -> Any:
    """Log likelihood of all units and its gradients with respect to the first four arguments.

    Parameters
    ----------
    eta : (C,) float64
        Linear predictor of every column (model x run x template of a benchmark), on the logit scale.
    shift : (U,) float64
        What is added to all cells of a unit (the effect of its cluster).
    sd, inner_sd : (B,) float64
        Standard deviations of the units' effects and of the interaction, by benchmark; all inner ones 0 for none.
    chance : (B,) float64
        Probability of a success by guessing.
    unit_ptr : (U + 1,) int64
        Cells of unit i are those from ``unit_ptr[i]`` to ``unit_ptr[i + 1]``.
    unit_benchmark : (U,) int64
        Benchmark of each unit.
    unit_weight : (U,) float64
        How many units look like this one.
    cell_column, cell_group : (N,) int64
        Column of each cell; cells of one unit with equal group lie together and share the interaction.
    k, n : (N,) float64
        Successes and trials.
    fine : (1,) float64
        1, or 2 for half the spacing in both sums.
    cell_kind : (N,) or (0,) int64
        Kinds of the cells' groups, by `tables.fold`; none if groups do not repeat.

    Returns
    -------
    value : float
        Natural log, NaN (as the gradients) where an input is NaN or +inf.
    d_eta, d_shift, d_sd, d_inner_sd : ndarray
        Gradients, shaped as the inputs.
    """
    value, d_eta, d_shift, d_sd, d_inner, _, _, _ = _total(
        eta, shift, sd, inner_sd, chance.reshape((-1, 1)), (unit_ptr, unit_benchmark, unit_weight),
        (cell_column, cell_group, cell_kind), (k, n), fine[0], (np.empty(0, np.int64), np.empty(0)),
    )  # fmt: skip
    return value, d_eta, d_shift, d_sd, d_inner


_operation = fused(
    crossed_kernel,
    wrt=(1, 1, 1, 1),
    data=(
        "float64:1", "int64:1", "int64:1", "float64:1", "int64:1", "int64:1", "float64:1", "float64:1", "float64:1", "int64:1",
    ),
)  # fmt: skip


def log_likelihood(*arguments: Any) -> Any:
    """`crossed_kernel` on symbolic arrays; the kinds may be left out."""
    return _operation(*arguments, *([_NOBODY[0]] if len(arguments) == 13 else []))


def unit_log_likelihood(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, cell_column, cell_group, k, n, fine, cell_kind=_NOBODY[0]
) -> np.ndarray:
    """Log likelihood of ONE of each unit (U,), without gradients; arguments as in `crossed_kernel`."""
    each: np.ndarray = _total(
        eta, shift, sd, inner_sd, chance.reshape((-1, 1)), (unit_ptr, unit_benchmark, np.ones(unit_benchmark.size)),
        (cell_column, cell_group, cell_kind), (k, n), fine[0], _NOBODY,
    )[6]  # fmt: skip
    return each


def draw_units(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, cell_column, cell_group, k, n, member_unit, uniform,
    cell_kind=_NOBODY[0],
) -> np.ndarray:  # fmt: skip
    """Draw the effect z of every member of every unit from its posterior given the other parameters.

    `member_unit` says of each member (an item) which unit it is like, in order of the units; `uniform` holds one random number
    from 0 to 1 for each. Between nodes the distribution function is linear. Other arguments as in `crossed_kernel`.
    """
    drawn: np.ndarray = _total(
        eta, shift, sd, inner_sd, chance.reshape((-1, 1)), (unit_ptr, unit_benchmark, np.ones(unit_benchmark.size)),
        (cell_column, cell_group, cell_kind), (k, n), 2.0, (member_unit, uniform),
    )[7]  # fmt: skip
    return drawn
