"""The likelihood of scores from 0 to 1, both ends included, with one effect summed out of every unit.

Scores of judges and of partial credit are often exactly 0 or 1 and otherwise in between, where no beta law reaches. In the
ordered beta law (Kubinec 2023, Political Analysis 31, 519) one predictor x moves all three: with s the logistic function,

    P(0) = s(cut_low - x),    P(1) = s(x - cut_high),    otherwise beta with mean s(x) and precision `precision`.

The probability of a score inside, s(x - cut_low) - s(x - cut_high), is the product s(x - cut_low) s(cut_high - x)
(1 - exp(cut_low - cut_high)), which cancels nothing. Sufficient for a cell are its numbers of zeros, of ones and of scores
inside, and of these the sums of log y and of log(1 - y). `nodes` says what a unit is, what x is made of and how the integral
over its effect is taken.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bayeskit.fused import fast_exp, fast_log, fused, kernel, softplus_sigmoid
from bayeskit_models.benchmarks.crossed import DROP_CHANCE
from bayeskit_models.benchmarks.nodes import cell_function
from bayeskit_models.benchmarks.totals import NOBODY, totals

__all__ = ["draw_units", "log_likelihood", "ordered_beta_kernel", "unit_log_likelihood"]

_HALF_LOG_2_PI = 0.9189385332046727
_SHIFT = 8  # Stirling's series from here on is exact to rounding

_inline: Any = numba.njit(fastmath={"contract", "nsz", "arcp"}, forceinline=True, error_model="numpy")


@_inline
def _log_gamma(x):  # type: ignore[no-untyped-def]
    """Logarithm of the gamma function and its derivative, of a positive number."""
    product, slope = 1.0, 0.0
    for j in range(_SHIFT):
        slope = slope * (x + j) + product
        product = product * (x + j)
    z = x + _SHIFT
    log_z, r = fast_log(z), 1.0 / z
    w = r * r
    series = 1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w * (1 / 1188 - w * (691 / 360360 - w / 156)))))
    steep = 1 / 12 - w * (1 / 120 - w * (1 / 252 - w * (1 / 240 - w * (1 / 132 - w * (691 / 32760 - w / 12)))))
    value = (z - 0.5) * log_z - z + _HALF_LOG_2_PI + r * series
    return value - fast_log(product), log_z - 0.5 * r - w * steep - slope / product


@_inline
def _ends(x, zeros, ones, inside, low, high):  # type: ignore[no-untyped-def]
    """What zeros, ones and their absence say: log likelihood, derivatives by x and by both cuts."""
    up, a = softplus_sigmoid(x - low)
    down, b = softplus_sigmoid(high - x)
    fall = fast_exp(low - high)
    crowd = inside * fall / (1.0 - fall)
    value = inside * (high - low + fast_log(1.0 - fall)) - (zeros + inside) * up - (ones + inside) * down
    by_low, by_high = zeros * a - inside * (1.0 - a), inside * (1.0 - b) - ones * b
    return value, -by_low - by_high, by_low - crowd, by_high + crowd


@_inline
def _middle(x, inside, log_score, log_rest, precision):  # type: ignore[no-untyped-def]
    """What the scores inside say of the beta law: log likelihood, derivatives by x and by the precision."""
    z = fast_exp(-abs(x))
    big = 1.0 / (1.0 + z)
    mean, rest = (big, z * big) if x > 0.0 else (z * big, big)
    whole, by_whole = _log_gamma(precision)
    first, by_first = _log_gamma(mean * precision)
    second, by_second = _log_gamma(rest * precision)
    value = inside * (whole - first - second) + (mean * precision - 1.0) * log_score + (rest * precision - 1.0) * log_rest
    pull = log_score - log_rest - inside * (by_first - by_second)
    by_precision = inside * (by_whole - mean * by_first - rest * by_second) + mean * log_score + rest * log_rest
    return value, mean * rest * precision * pull, by_precision


@cell_function
def _evaluate(base, offset, stats, theta, value, slope, extra):  # type: ignore[no-untyped-def]
    size, low, high, precision = base.size, theta[0], theta[1], theta[2]
    zeros, ones, inside = stats[:size], stats[size : 2 * size], stats[2 * size : 3 * size]
    log_score, log_rest = stats[3 * size : 4 * size], stats[4 * size : 5 * size]
    by_low, by_high, by_precision = extra[:size], extra[size : 2 * size], extra[2 * size : 3 * size]
    most = 0.0
    for i in range(size):
        value[i], slope[i], by_low[i], by_high[i] = _ends(base[i] + offset, zeros[i], ones[i], inside[i], low, high)
        by_precision[i] = 0.0
        most = max(most, inside[i])
    if most > 0.0:
        for i in range(size):
            more, steeper, by_precision[i] = _middle(base[i] + offset, inside[i], log_score[i], log_rest[i], precision)
            value[i] += more
            slope[i] += steeper


@_inline
def _trigamma(x):  # type: ignore[no-untyped-def]
    """Derivative of the digamma function to a few per cent, which is enough for the spacing of nodes."""
    return 1.0 / (x * x) + 1.0 / (x + 0.5)


@cell_function
def _curvature(base, offset, stats, theta, slope, weight):  # type: ignore[no-untyped-def]
    size, low, high, precision = base.size, theta[0], theta[1], theta[2]
    for c in range(size):
        x, zeros, ones, inside = base[c] + offset, stats[c], stats[size + c], stats[2 * size + c]
        _, slope[c], _, _ = _ends(x, zeros, ones, inside, low, high)
        _, a = softplus_sigmoid(x - low)
        _, b = softplus_sigmoid(x - high)
        weight[c] = (zeros + inside) * a * (1.0 - a) + (ones + inside) * b * (1.0 - b)
        if inside > 0.0:
            _, steeper, _ = _middle(x, inside, stats[3 * size + c], stats[4 * size + c], precision)
            slope[c] += steeper
            _, mean = softplus_sigmoid(x)
            _, rest = softplus_sigmoid(-x)
            steep = mean * rest * precision
            weight[c] += inside * steep * steep * (_trigamma(mean * precision) + _trigamma(rest * precision))
            weight[c] += abs((rest - mean) * steeper)


@cell_function
def _start(base, stats, theta, sd):  # type: ignore[no-untyped-def]
    """Mean logit of the scores, ends a unit beyond their cuts, drawn towards 0 as a normal likelihood would be."""
    size, total, middle, level = base.size, 0.0, 0.0, 0.0
    for c in range(size):
        zeros, ones, inside = stats[c], stats[size + c], stats[2 * size + c]
        total += zeros + ones + inside
        middle += (zeros + ones + inside) * base[c]
        level += zeros * (theta[0] - 1.0) + ones * (theta[1] + 1.0) + stats[3 * size + c] - stats[4 * size + c]
    weight = 0.2 * sd * sd * total
    return (level - middle) / max(total, 1.0) / sd * weight / (1.0 + weight)


@cell_function
def _trials(stats, c, theta):  # type: ignore[no-untyped-def]
    return stats[0][c] + stats[1][c] + stats[2][c] * (6.0 + theta[2])


@cell_function
def _drop(theta):  # type: ignore[no-untyped-def]
    return DROP_CHANCE


_total = totals(_evaluate, _curvature, _start, _trials, _drop, extras=3, rows=3)


@numba.njit(error_model="numpy", fastmath=False)  # type: ignore[untyped-decorator, unused-ignore]
def _theta(cut_low, cut_high, precision):  # type: ignore[no-untyped-def]
    """Parameters by benchmark; none that is a number where cuts are out of order or a precision is not positive."""
    theta = np.empty((precision.size, 3))
    for b in range(precision.size):
        theta[b, 0], theta[b, 1], theta[b, 2] = cut_low[b], cut_high[b], precision[b]
        if cut_low[b] >= cut_high[b] or precision[b] <= 0.0:
            theta[b, 2] = np.inf
    return theta


@kernel
def _ordered_beta(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, cut_low, cut_high, precision, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group,
    zeros, ones, inside, log_score, log_rest, fine, cell_kind, member_unit, uniform,
):  # fmt: skip
    """`ordered_beta_kernel`, the value of one of each unit, and draws of the members' effects."""
    value, d_eta, d_shift, d_sd, d_inner, d_theta, each, drawn = _total(
        eta, shift, sd, inner_sd, _theta(cut_low, cut_high, precision), (unit_ptr, unit_benchmark, unit_weight),
        (cell_column, cell_group, cell_kind), (zeros, ones, inside, log_score, log_rest), fine[0], (member_unit, uniform),
    )  # fmt: skip
    d_low, d_high, d_precision = d_theta[:, 0].copy(), d_theta[:, 1].copy(), d_theta[:, 2].copy()
    return value, d_eta, d_shift, d_sd, d_inner, d_low, d_high, d_precision, each, drawn


_operation = fused(
    _ordered_beta,
    wrt=(1, 1, 1, 1, 1, 1, 1),
    data=(
        "int64:1", "int64:1", "float64:1", "int64:1", "int64:1", "float64:1", "float64:1", "float64:1", "float64:1",
        "float64:1", "float64:1", "int64:1", "int64:1", "float64:1",
    ),
    also=(9, 20),
)  # fmt: skip


def ordered_beta_kernel(
    eta: np.ndarray,
    shift: np.ndarray,
    sd: np.ndarray,
    inner_sd: np.ndarray,
    cut_low: np.ndarray,
    cut_high: np.ndarray,
    precision: np.ndarray,
    unit_ptr: np.ndarray,
    unit_benchmark: np.ndarray,
    unit_weight: np.ndarray,
    cell_column: np.ndarray,
    cell_group: np.ndarray,
    zeros: np.ndarray,
    ones: np.ndarray,
    inside: np.ndarray,
    log_score: np.ndarray,
    log_rest: np.ndarray,
    fine: np.ndarray,
    cell_kind: np.ndarray,
) -> tuple[Any, ...]:
    """Log likelihood of all units and its gradients with respect to the first seven arguments.

    Parameters
    ----------
    cut_low, cut_high : (B,) float64
        Predictors at which a score of 0, and of 1, is as likely as not, by benchmark; the first below the second.
    precision : (B,) float64
        Sum of the two parameters of the beta law of scores inside, by benchmark; positive.
    zeros, ones, inside : (N,) float64
        Number of scores of each cell that are 0, 1, and between.
    log_score, log_rest : (N,) float64
        Sums over the latter of log y and of log(1 - y).
    eta, shift, sd, inner_sd, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, fine, cell_kind
        As in `cheapest.crossed_kernel`.

    Returns
    -------
    value : float
        Natural log density, NaN (as the gradients) where an input is NaN or +inf, cuts are out of order or a precision is not
        positive.
    d_eta, d_shift, d_sd, d_inner_sd, d_cut_low, d_cut_high, d_precision : ndarray
        Gradients, shaped as the inputs.
    """
    return _operation.compute(
        eta, shift, sd, inner_sd, cut_low, cut_high, precision, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group,
        zeros, ones, inside, log_score, log_rest, fine, cell_kind, *NOBODY,
    )[:8]  # fmt: skip


def log_likelihood(*arguments: Any) -> Any:
    """`ordered_beta_kernel` on symbolic arrays; the kinds may be left out."""
    kinds = [NOBODY[0]] if len(arguments) == 18 else []
    return _operation(*arguments, *kinds, *NOBODY)


def unit_log_likelihood(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, cut_low, cut_high, precision, unit_ptr, unit_benchmark, cell_column, cell_group, zeros, ones,
    inside, log_score, log_rest, fine, cell_kind=NOBODY[0],
) -> np.ndarray:  # fmt: skip
    """Log likelihood of ONE of each unit (U,), without gradients; arguments as in `ordered_beta_kernel`."""
    each: np.ndarray = _operation.compute(
        eta, shift, sd, inner_sd, cut_low, cut_high, precision, unit_ptr, unit_benchmark, np.ones(unit_benchmark.size),
        cell_column, cell_group, zeros, ones, inside, log_score, log_rest, fine, cell_kind, *NOBODY,
    )[8]  # fmt: skip
    return each


def draw_units(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, cut_low, cut_high, precision, unit_ptr, unit_benchmark, cell_column, cell_group, zeros, ones,
    inside, log_score, log_rest, member_unit, uniform, cell_kind=NOBODY[0],
) -> np.ndarray:  # fmt: skip
    """Draw the effect z of every member of every unit from its posterior given the other parameters.

    Arguments as in `cheapest.draw_units` and `ordered_beta_kernel`.
    """
    drawn: np.ndarray = _operation.compute(
        eta, shift, sd, inner_sd, cut_low, cut_high, precision, unit_ptr, unit_benchmark, np.ones(unit_benchmark.size),
        cell_column, cell_group, zeros, ones, inside, log_score, log_rest, np.full(1, 2.0), cell_kind, member_unit, uniform,
    )[9]  # fmt: skip
    return drawn
