"""The likelihood of continuous scores with the effects of unit and group integrated out in closed form.

A *unit* is an item of a benchmark (or, where there are no items, a training run). Observation j of cell c of a unit is

    y = eta[c] + shift[unit] + sd z + inner_sd u_g + noise_sd e,        z, u_g, e independent standard normal,

z shared by the unit, u_g by the cells of group g (a model that met the item). The covariance matrix of a unit is a multiple of
the identity plus two nested layers of ones, so that two Sherman-Morrison steps invert it. With v = noise_sd^2, N_g and r_g
number and mean of a group's residuals, W_g their sum of squares about r_g, and

    d_g = v + inner_sd^2 N_g,   h_g = N_g / d_g,   H = sum h_g,   r = sum h_g r_g / H,   D = 1 + sd^2 H,

twice the negative log likelihood is

    sum_g [N_g log 2 pi + (N_g - 1) log v + log d_g + W_g / v + h_g (r_g - r)^2] + log D + H r^2 / D.

All terms are sums of squares: nothing cancels. Searle, Casella and McCulloch (1992), Variance Components, chapter 3.

A cell of which only number S, mean and standard deviation of its scores are known loses nothing: ``n = S``, ``total = S mean``
and ``square = (S - 1) sd^2`` are sufficient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from bayeskit.fused import all_numbers, fused, kernel

__all__ = ["draw_units", "gaussian_kernel", "log_likelihood", "summary_statistics", "unit_log_likelihood", "unit_posterior"]

_LOG_2_PI = 1.8378770664093453


@kernel
def _groups(  # type: ignore[no-untyped-def]
    eta, shift, inner, noise, start, stop, cell_column, cell_group, n, total, square, left, group
):
    """Fold the cells of one unit into groups.

    `left` takes the mean residual of each cell; rows of `group` are number, mean residual, sum of squares about it, 1 / d and
    first cell of each group that holds an observation. Returns how many such groups there are.
    """
    variance, found, c = noise * noise, 0, start
    while c < stop:
        first, count, residual = c, 0.0, 0.0
        while c < stop and cell_group[c] == cell_group[first]:
            mean = eta[cell_column[c]] + shift
            left[c - start] = total[c] / n[c] - mean if n[c] > 0.0 else 0.0
            count += n[c]
            residual += n[c] * left[c - start]
            c += 1
        if count == 0.0:
            continue
        middle, within = residual / count, 0.0
        for m in range(first, c):
            away = left[m - start] - middle
            within += (square[m] if n[m] > 0.0 else 0.0) + n[m] * away * away
        group[0, found], group[1, found], group[2, found] = count, middle, within
        group[3, found], group[4, found] = 1.0 / (variance + inner * inner * count), first - start
        found += 1
    return found


@kernel
def _unit(group, groups, sd, noise):  # type: ignore[no-untyped-def]
    """Log likelihood of a unit, H, the weighted mean residual r, and 1 / D."""
    information, middle, observations, spread = 0.0, 0.0, 0.0, 0.0
    for g in range(groups):
        h = group[0, g] * group[3, g]
        information += h
        middle += h * group[1, g]
    middle = middle / information if information > 0.0 else 0.0
    value = 0.0
    for g in range(groups):
        away = group[1, g] - middle
        value += group[0, g] * group[3, g] * away * away - np.log(group[3, g])
        spread += group[2, g]
        observations += group[0, g]
    damp = 1.0 / (1.0 + sd * sd * information)
    value += observations * _LOG_2_PI + 2.0 * (observations - groups) * np.log(noise) + spread / (noise * noise)
    value += information * middle * middle * damp - np.log(damp)
    return -0.5 * value, information, middle, damp


@kernel
def _largest(unit_ptr):  # type: ignore[no-untyped-def]
    """Most cells of a unit."""
    cells = 1
    for i in range(unit_ptr.size - 1):
        cells = max(cells, unit_ptr[i + 1] - unit_ptr[i])
    return cells


@kernel
def gaussian_kernel(
    eta: np.ndarray,
    shift: np.ndarray,
    sd: np.ndarray,
    inner_sd: np.ndarray,
    noise_sd: np.ndarray,
    unit_ptr: np.ndarray,
    unit_benchmark: np.ndarray,
    unit_weight: np.ndarray,
    cell_column: np.ndarray,
    cell_group: np.ndarray,
    n: np.ndarray,
    total: np.ndarray,
    square: np.ndarray,
) -> Any:
    """Log likelihood of all units and its gradients with respect to the first five arguments.

    Parameters
    ----------
    eta : (C,) float64
        Expected score of every column (model x run x template of a benchmark) at a unit of effect 0.
    shift : (U,) float64
        What is added to all cells of a unit (the effect of its cluster).
    sd, inner_sd, noise_sd : (B,) float64
        Standard deviations of the units' effects, of the interaction of group and unit (0 for none) and of one score within its
        cell, by benchmark. The last must be positive.
    unit_ptr : (U + 1,) int64
        Cells of unit i are those from ``unit_ptr[i]`` to ``unit_ptr[i + 1]``.
    unit_benchmark : (U,) int64
        Benchmark of each unit.
    unit_weight : (U,) float64
        How many units look like this one.
    cell_column, cell_group : (N,) int64
        Column of each cell; cells of one unit with equal group lie together and share the interaction.
    n, total, square : (N,) float64
        Number of scores of a cell, their sum, and their sum of squares about the cell's own mean. Cells may be empty.

    Returns
    -------
    value : float
        Natural log; NaN (as the gradients) where an input is NaN or +inf or a `noise_sd` is not positive.
    d_eta, d_shift, d_sd, d_inner_sd, d_noise_sd : ndarray
        Gradients, shaped as the inputs.
    """
    d_eta, d_shift = np.zeros(eta.size), np.zeros(shift.size)
    d_sd, d_inner, d_noise = np.zeros(sd.size), np.zeros(inner_sd.size), np.zeros(noise_sd.size)
    known = all_numbers(eta) and all_numbers(shift) and all_numbers(sd) and all_numbers(inner_sd) and all_numbers(noise_sd)
    if not known or noise_sd.min() <= 0.0:
        for gradient in (d_eta, d_shift, d_sd, d_inner, d_noise):
            gradient.fill(np.nan)
        return np.nan, d_eta, d_shift, d_sd, d_inner, d_noise
    cells = _largest(unit_ptr)
    left, group = np.empty(cells), np.empty((5, cells + 1))
    value = 0.0
    for i in range(unit_benchmark.size):
        b, start, stop, weight = unit_benchmark[i], unit_ptr[i], unit_ptr[i + 1], unit_weight[i]
        variance = noise_sd[b] * noise_sd[b]
        groups = _groups(
            eta, shift[i], inner_sd[b], noise_sd[b], start, stop, cell_column, cell_group, n, total, square, left, group
        )
        own, information, middle, damp = _unit(group, groups, sd[b], noise_sd[b])
        value += weight * own
        group[4, groups] = stop - start
        moved = sd[b] * sd[b] * information * middle * damp  # posterior mean of the unit's effect
        d_sd[b] += weight * sd[b] * information * damp * (information * middle * middle * damp - 1.0)
        for g in range(groups):
            count, inverse = group[0, g], group[3, g]
            pull = count * (group[1, g] - moved) * inverse
            h = count * inverse
            share = sd[b] * sd[b] * h * inverse * damp
            d_inner[b] += weight * inner_sd[b] * (pull * pull - h + share * count)
            d_noise[b] += (
                weight
                * noise_sd[b]
                * (group[2, g] / (variance * variance) - (count - 1.0) / variance + pull * pull / count - inverse + share)
            )
            shrunk = moved + inner_sd[b] * inner_sd[b] * pull
            for c in range(int(group[4, g]), int(group[4, g + 1])):
                if n[start + c] > 0.0:
                    part = weight * n[start + c] * (left[c] - shrunk) / variance
                    d_eta[cell_column[start + c]] += part
                    d_shift[i] += part
    return value, d_eta, d_shift, d_sd, d_inner, d_noise


log_likelihood = fused(
    gaussian_kernel,
    wrt=(1, 1, 1, 1, 1),
    data=("int64:1", "int64:1", "float64:1", "int64:1", "int64:1", "float64:1", "float64:1", "float64:1"),
)
"""`gaussian_kernel` on symbolic arrays."""


@kernel
def unit_posterior(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, noise_sd, unit_ptr, unit_benchmark, cell_column, cell_group, n, total, square
):
    """Log likelihood of ONE of each unit, and mean and standard deviation of its effect z given the data and the parameters.

    Three arrays (U,); arguments as in `gaussian_kernel`. The posterior of z is normal.
    """
    cells = _largest(unit_ptr)
    left, group = np.empty(cells), np.empty((5, cells + 1))
    units = unit_benchmark.size
    value, mean, spread = np.empty(units), np.empty(units), np.empty(units)
    for i in range(units):
        b = unit_benchmark[i]
        groups = _groups(
            eta, shift[i], inner_sd[b], noise_sd[b], unit_ptr[i], unit_ptr[i + 1], cell_column, cell_group, n, total, square,
            left, group,
        )  # fmt: skip
        value[i], information, middle, damp = _unit(group, groups, sd[b], noise_sd[b])
        mean[i] = sd[b] * information * middle * damp
        spread[i] = np.sqrt(damp)
    return value, mean, spread


def unit_log_likelihood(*arguments: np.ndarray) -> np.ndarray:
    """Log likelihood of ONE of each unit (U,), without gradients; arguments as in `unit_posterior`."""
    value: np.ndarray = unit_posterior(*arguments)[0]
    return value


def draw_units(*arguments: np.ndarray) -> np.ndarray:
    """Draw the effect z of every member of every unit from its normal posterior given the other parameters.

    Parameters
    ----------
    *arguments : ndarray
        Those of `unit_posterior`, then `member_unit`, which says of each member (an item) which unit it is like, and `uniform`,
        one random number between 0 and 1 for each.

    Returns
    -------
    ndarray
        One z for each member.
    """
    *rest, member_unit, uniform = arguments
    _, mean, spread = unit_posterior(*rest)
    drawn: np.ndarray = mean[member_unit] + spread[member_unit] * ndtri(uniform)
    return drawn


def summary_statistics(size: ArrayLike, mean: ArrayLike, sd: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sufficient statistics of cells of which only a summary was published.

    Parameters
    ----------
    size, mean, sd : array_like
        Number of scores, their mean, and their standard deviation with divisor ``size - 1`` (ignored where there is one score).

    Returns
    -------
    n, total, square : ndarray
        What `gaussian_kernel` takes. With `noise_sd` the standard deviation over seeds the likelihood of the parameters is that
        of ``mean ~ N(eta, noise_sd^2 / S)`` and ``(S - 1) sd^2 / noise_sd^2 ~ chi2(S - 1)``.
    """
    n, middle, spread = (np.asarray(x, dtype=float) for x in (size, mean, sd))
    return n, n * middle, np.where(n > 1.0, (n - 1.0) * spread**2, 0.0)
