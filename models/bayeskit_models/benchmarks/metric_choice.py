"""A discrete or a continuous metric? Both on the same training runs: signal to noise and monotonicity, with paired intervals.

Accuracy and, say, the log likelihood of the answer score the same runs, so their noise is correlated, and what is wanted is how
much better one is than the other. The two final scores are taken to be normal over runs. Each ratio to noise has the posterior
of a metric by itself (`sd_draws`). For the quotient of the two, draws of the quotient of the standard deviations invert the
test of Pitman (1939) and Morgan (1939), which is exact whatever the correlation: that sum and difference of the metrics, each
in units of its own deviation, are uncorrelated. (Posteriors of the covariance under the usual priors gave intervals of the
quotient that covered too little.) The source of the question, Madaan et al. (2024), arXiv 2406.10229, Table 2, prints ratios
without intervals; ten seeds leave a factor of two either way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bayeskit.errors import DataError
from bayeskit_models.benchmarks.quantities import Quantities
from bayeskit_models.benchmarks.snr import sd_draws

__all__ = ["metric_choice", "metric_choice_of_summaries"]

FloatArray = NDArray[np.float64]

_LEAST = 3  # runs: a covariance of two metrics
_POPULATION = "new seeds on the same items"


def metric_choice(
    first: ArrayLike, second: ArrayLike, *, names: tuple[str, str] = ("discrete", "continuous"),
    chance: tuple[float, float] = (0.0, 0.0), rising: tuple[bool, bool] = (True, True), draws: int = 4000, seed: int = 0,
) -> Quantities:  # fmt: skip
    """Compare two metrics of one benchmark on the same runs of one model.

    Parameters
    ----------
    first, second : array_like, shape (R,) or (R, C)
        Scores of R training runs, the same runs in both, at the end or at C checkpoints in order.
    names : (str, str)
        What the metrics are called.
    chance : (float, float)
        What is taken off the mean score before it is divided by the noise; 0 for the ratio of Madaan et al.
    rising : (bool, bool)
        Whether a metric rises as models get better (a loss falls).
    draws, seed : int
        Draws, and seed of the generator.

    Returns
    -------
    Quantities
        snr_<name> of both metrics (distance of the mean from chance in standard deviations over runs, last
        checkpoint) and snr_ratio (second over first); with checkpoints tau_<name> (mean over runs of Kendall's tau with the
        order of training) and tau_difference (second less first).

    Raises
    ------
    DataError
        For different shapes, fewer than three runs, scores that are not finite, or a metric on which all runs agree exactly.
    """
    a, b = (np.asarray(v, dtype=float) for v in (first, second))
    if a.shape != b.shape or a.ndim not in (1, 2) or len(a) < _LEAST or not np.isfinite([a, b]).all():
        raise DataError(
            f"first has shape {a.shape} and second {b.shape}.",
            rule=f"finite scores of the same {_LEAST} runs or more in both.",
            fix="leave out runs and checkpoints that lack one of the metrics.",
        )  # fmt: skip
    a, b = (v.reshape(len(v), -1) for v in (a, b))
    rng = np.random.default_rng(seed)
    out, correlation = _signal(np.stack([a[:, -1], b[:, -1]], axis=1), names, chance, rng, draws)
    if a.shape[1] > 1:
        out |= _monotonicity(a, b, names, rising, rng, draws)
    note = f"{len(a)} runs, the same for both metrics, which correlate with {correlation:.2f} over them."
    return Quantities(out, f"{names[1]} against {names[0]}", "standard deviations, ratios, Kendall's tau", _POPULATION, note)


def metric_choice_of_summaries(
    first: tuple[float, float], second: tuple[float, float], runs: int, *,
    names: tuple[str, str] = ("discrete", "continuous"), draws: int = 4000, seed: int = 0,
) -> Quantities:  # fmt: skip
    """The same from printed means and standard deviations, whose errors are then taken to be independent.

    Parameters
    ----------
    first, second : (float, float)
        Mean and standard deviation over the runs. Of a printed signal to noise ratio: the ratio and 1.
    runs : int
        How many runs.
    names, draws, seed
        As in `metric_choice`.

    Returns
    -------
    Quantities
        snr_<name> of both, and snr_ratio.

    Raises
    ------
    DataError, SpecificationError
        As `bayeskit_models.benchmarks.snr.sd_draws`, and for a standard deviation of 0.
    """
    out = {}
    for i, (name, (mean, sd)) in enumerate(zip(names, (first, second), strict=True)):
        if not sd > 0.0:
            raise DataError(f"{name}: the standard deviation is {sd!r}.", rule="it is above 0.", fix="give more digits.")
        level, spread = sd_draws(sd, runs, draws, mean=mean, seed=seed + i)
        out[f"snr_{name}"] = np.abs(level) / spread
    out["snr_ratio"] = out[f"snr_{names[1]}"] / out[f"snr_{names[0]}"]
    note = f"From summaries of {runs} runs: paired scores would give a narrower interval of the ratio."
    return Quantities(out, f"{names[1]} against {names[0]}", "standard deviations, ratios", _POPULATION, note)


def _signal(
    x: FloatArray, names: tuple[str, str], chance: tuple[float, float], rng: np.random.Generator, draws: int
) -> tuple[dict[str, FloatArray], float]:
    """Signal to noise of both columns of x (R, 2) and their quotient; and the observed correlation."""
    runs, left = len(x), x - x.mean(0)
    out: dict[str, FloatArray] = {}
    for name, column, guess in zip(names, x.T, chance, strict=True):
        if np.ptp(column) == 0.0:
            raise DataError(
                f"{name}: all {runs} runs have the same final score.", rule="scores differ between runs.",
                fix="give scores with more digits, or report that this metric has no noise here.",
            )  # fmt: skip
        own = int(rng.integers(2**31))
        mean, sd = sd_draws(float(column.std(ddof=1)), runs, draws, mean=float(column.mean()), seed=own)
        out[f"snr_{name}"] = np.abs(mean - guess) / sd
    covariance = left.T @ left / (runs - 1)
    sds = np.sqrt(np.diag(covariance))
    correlation = covariance[0, 1] / sds.prod()
    t = rng.standard_t(runs - 2, draws)
    excess = 2.0 * (1.0 - correlation**2) * t * t / (runs - 2)  # cosh of the log quotient of variances, less 1
    quotient = sds[0] / sds[1] * np.exp(0.5 * np.sign(t) * np.arccosh(1.0 + np.maximum(excess, 0.0)))
    value, vector = np.linalg.eigh(covariance)
    z = rng.normal(size=(draws, 2)) * np.sqrt((runs - 1) / rng.chisquare(runs - 1, (draws, 1)) / runs)
    means = np.abs(x.mean(0) + (z * np.sqrt(np.maximum(value, 0.0))) @ vector.T - np.asarray(chance))
    return out | {"snr_ratio": means[:, 1] / means[:, 0] * quotient}, float(correlation)


def _monotonicity(
    a: FloatArray, b: FloatArray, names: tuple[str, str], rising: tuple[bool, bool], rng: np.random.Generator, draws: int
) -> dict[str, FloatArray]:
    """Mean Kendall's tau over runs, and the paired difference: draws of a t distribution for the mean."""
    order = np.arange(a.shape[1])
    signs = [1.0 if up else -1.0 for up in rising]
    taus = np.array([[s * _tau(order, run) for run in scores] for s, scores in zip(signs, (a, b), strict=True)])
    found = {f"tau_{names[0]}": taus[0], f"tau_{names[1]}": taus[1], "tau_difference": taus[1] - taus[0]}
    t = rng.standard_t(len(a) - 1, (3, draws))
    return {name: v.mean() + v.std(ddof=1) / np.sqrt(len(v)) * row for row, (name, v) in zip(t, found.items(), strict=True)}


def _tau(order: NDArray[np.int64], run: FloatArray) -> float:
    """Kendall's tau b; 0 for a run whose scores never change."""
    found = float(stats.kendalltau(order, run).statistic)
    return 0.0 if np.isnan(found) else found
