"""Scores over checkpoints: a smooth curve and the noise of a checkpoint, by an exact posterior without a sampler.

Checkpoints of a run answer the same items, so how the items were sampled moves all of them together and is no part of the noise
between them: the binomial variance of a score must not be used here (the noise of the last checkpoints is below the standard
error of the items on most benchmarks). On the logit scale of a score, or on the scale of a metric that has no limits, ::

    y_c = f(log step_c) + noise sd * e_c,      e_c independent standard normal,

with f an integrated Wiener process (the prior of a cubic smoothing spline, Wahba 1978): level and slope flat, the flexibility
`ratio` times the noise, for steps that span 1. The noise has the prior 1 / sd. Given `ratio`, the marginal likelihood, the
distribution of the noise and that of the curve are closed forms (Rasmussen and Williams 2006, section 2.7); `ratio`,
half-Cauchy a priori, is summed over a grid. Draws are therefore independent draws of the posterior.

All about these items. That the noise is independent from one checkpoint to the next is an assumption: `autocorrelation` shows
what is left in the residuals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, special, stats

from bayeskit.errors import DataError, SpecificationError
from bayeskit.estimands import interval
from bayeskit.report.content import Figure
from bayeskit.report.figures import curve_plot
from bayeskit_models.benchmarks.quantities import Quantities

__all__ = ["CheckpointCurve", "curve_of_counts", "curve_of_values", "kendall_tau", "table_of_curves"]

FloatArray = NDArray[np.float64]

_LEAST = 5  # checkpoints: two are spent on level and slope
_SCALE = 10.0  # median of the prior of `ratio`: curves that bend by ten times the noise are as likely as straighter ones
_GRID = (1e-3, 1e4, 141)  # of ratio / _SCALE: what lies outside has prior probability 7e-4
_POPULATION = "these items; a repetition of the run's checkpoints"


@dataclass(frozen=True, repr=False)
class CheckpointCurve:
    """Posterior of the scores of one model on one benchmark over its training.

    Attributes
    ----------
    steps : ndarray, shape (C,)
        Training steps.
    observed : ndarray, shape (C,)
        Scores.
    curve : ndarray, shape (S, C)
        Draws of the smooth curve at the checkpoints, on the scale of the score.
    noise : ndarray, shape (S, C)
        Draws of the standard deviation of the noise there, on the same scale.
    repeated : ndarray, shape (S, C)
        Draws of another set of noisy scores at these checkpoints (curve and noise together).
    ratio : ndarray, shape (S,)
        Draws of the flexibility of the curve, in noise standard deviations.
    item_error : ndarray, shape (C,)
        Standard error of the scores for new items; NaN where the number of items is not known.
    label : str
        Model and benchmark, in words.
    """

    steps: FloatArray
    observed: FloatArray
    curve: FloatArray
    noise: FloatArray
    repeated: FloatArray
    ratio: FloatArray
    item_error: FloatArray
    label: str = "score"

    @property
    def observed_tau(self) -> float:
        """Kendall's tau (b) of the observed scores with the order of training."""
        return float(stats.kendalltau(self.steps, self.observed).statistic)

    def observed_noise(self, last: int = 5) -> float:
        """Standard deviation of the last observed scores (divisor ``last - 1``), trend and noise together."""
        return float(self.observed[-self._last(last) :].std(ddof=1))

    @property
    def p_monotone(self) -> float:
        """Probability that the curve rises from every checkpoint to the next."""
        return float((np.diff(self.curve, axis=1) > 0.0).all(1).mean())

    def autocorrelation(self) -> Quantities:
        """First autocorrelation of the noise, and what it would be were the noise independent (a posterior predictive check).

        Returns
        -------
        Quantities
            noise: of the standardised distances of the observed scores from draws of the curve; independent: the same for
            repetitions. The note has the probability that the second is larger; near 0 or 1 it speaks against independence.
        """
        noise, free = (_first_autocorrelation((y - self.curve) / self.noise) for y in (self.observed, self.repeated))
        note = f"P(independent > noise) = {float((free > noise).mean()):.2f}."
        draws = {"noise": noise, "independent": free}
        return Quantities(draws, f"first autocorrelation of {self.label}", "correlation", _POPULATION, note)

    def monotonicity(self) -> Quantities:
        """Kendall's tau with the order of training: of the curve, and of a repetition of its noisy scores.

        The observed tau is one draw of the second, so it is below that of the curve wherever there is noise.
        """
        draws = {"tau_curve": kendall_tau(self.curve), "tau_repeat": kendall_tau(self.repeated)}
        note = f"Observed tau {self.observed_tau:.3f}; P(curve rises throughout) = {self.p_monotone:.2f}."
        return Quantities(draws, f"monotonicity of {self.label}", "Kendall's tau", _POPULATION, note)

    def last_noise(self, last: int = 5) -> Quantities:
        """Noise of the last checkpoints.

        Parameters
        ----------
        last : int
            How many, 2 or more.

        Returns
        -------
        Quantities
            noise: standard deviation of one checkpoint about the curve, root mean square over the last ones; sd_repeat:
            standard deviation of the last scores in a repetition, which is what the observed one estimates: trend included.

        Raises
        ------
        SpecificationError
            For fewer than two or more than all checkpoints.
        """
        n = self._last(last)
        draws = {
            "noise": np.sqrt((self.noise[:, -n:] ** 2).mean(1)),
            "sd_repeat": self.repeated[:, -n:].std(axis=1, ddof=1),
        }
        error = float(self.item_error[-n:].mean())
        items = f"; mean standard error for new items {error:.4f}" if np.isfinite(error) else ""
        note = f"Observed sd of the last {n}: {self.observed_noise(n):.4f}{items}."
        return Quantities(draws, f"noise of the last {n} checkpoints of {self.label}", "score", _POPULATION, note)

    def snr(self, last: int = 5, *, chance: float = 0.0) -> Quantities:
        """Mean of the curve over the last checkpoints divided by the noise of one, with and without the score of a guess."""
        n = self._last(last)
        mean, noise = self.curve[:, -n:].mean(1), self.last_noise(n)["noise"]
        draws = {"mean_over_noise": mean / noise, "above_chance_over_noise": (mean - chance) / noise}
        note = f"Noise of one checkpoint about the curve; chance level {chance:g}."
        return Quantities(draws, f"signal to noise of {self.label}", "standard deviations", _POPULATION, note)

    @cached_property
    def _summary(self) -> str:
        tau = self.monotonicity().table().loc["tau_curve"]
        noise = self.last_noise(min(5, len(self.steps))).table().loc["noise"]
        return (
            f"{self.label}: {len(self.steps)} checkpoints from step {self.steps[0]:g} to {self.steps[-1]:g}. Tau of the curve "
            f"{tau['median']:.3f} [{tau['lower']:.3f}, {tau['upper']:.3f}], observed {self.observed_tau:.3f}; P(monotone) "
            f"{self.p_monotone:.2f}; noise of a late checkpoint {noise['median']:.4f} [{noise['lower']:.4f}, "
            f"{noise['upper']:.4f}]. 95% equal-tailed intervals, about {_POPULATION}."
        )

    def __repr__(self) -> str:
        return self._summary

    def plot(self, prob: float = 0.95) -> Figure:
        """The curve with its band, and the band of noisy scores, over the logarithm of the step."""
        bands = {}
        for name, draws in (("curve", self.curve), ("a repetition", self.repeated)):
            ends = interval(draws, prob)
            bands[name] = (np.median(draws, axis=0), ends[:, 0], ends[:, 1])
        xlabel = f"log10 of the training step; about {_POPULATION}"
        return curve_plot(np.log10(self.steps), bands, xlabel=xlabel, ylabel=self.label, prob=prob)

    def _last(self, last: int) -> int:
        if not 2 <= last <= len(self.steps):
            raise SpecificationError(f"last={last!r}: from 2 to {len(self.steps)} checkpoints can be asked for.")
        return int(last)


def curve_of_counts(
    steps: ArrayLike, successes: ArrayLike, trials: ArrayLike, *, draws: int = 4000, scale: float = _SCALE, seed: int = 0,
    label: str = "score",
) -> CheckpointCurve:  # fmt: skip
    """Fit a curve to counts of right answers.

    Parameters
    ----------
    steps : array_like, shape (C,)
        Training steps, above 0 and ascending; 5 or more.
    successes, trials : array_like, shape (C,)
        Right answers, and items: the same items at every checkpoint.
    draws : int
        Draws of the posterior.
    scale : float
        Median of the half-Cauchy prior of the flexibility of the curve, in noise standard deviations.
    seed : int
        Of the generator.
    label : str
        Model and benchmark, in words.

    Returns
    -------
    CheckpointCurve
        The curve is smooth on the scale ``log((k + 1/2) / (n - k + 1/2))``.

    Raises
    ------
    DataError
        For steps that are not above 0 and ascending, too few of them, or counts out of range.
    """
    k, n = (np.asarray(v, dtype=float) for v in (successes, trials))
    n = np.broadcast_to(n, k.shape)
    x = _positions(steps, k)
    if not ((n > 0) & (k >= 0) & (k <= n)).all():
        raise DataError("successes and trials are out of range.", rule="0 <= successes <= trials.", fix="correct the counts.")
    logit, sd, again, ratio = _posterior(x, np.log((k + 0.5) / (n - k + 0.5)), draws, scale, seed)
    p = special.expit(logit)
    error = np.sqrt(k / n * (1.0 - k / n) / np.maximum(n - 1.0, 1.0))
    return CheckpointCurve(
        np.asarray(steps, float), k / n, p, sd[:, None] * p * (1.0 - p), special.expit(again), ratio, error, label
    )


def curve_of_values(
    steps: ArrayLike, values: ArrayLike, *, draws: int = 4000, scale: float = _SCALE, seed: int = 0, label: str = "metric"
) -> CheckpointCurve:
    """Fit a curve to a metric without limits, such as a log likelihood, on its own scale; parameters as `curve_of_counts`."""
    y = np.asarray(values, dtype=float)
    x = _positions(steps, y)
    curve, sd, again, ratio = _posterior(x, y, draws, scale, seed)
    noise = np.broadcast_to(sd[:, None], curve.shape)
    return CheckpointCurve(np.asarray(steps, float), y, curve, noise, again, ratio, np.full(len(x), np.nan), label)


def table_of_curves(curves: Sequence[CheckpointCurve], last: int = 5, prob: float = 0.95) -> pd.DataFrame:
    """One row a curve: monotonicity and noise, observed and from the posterior.

    Parameters
    ----------
    curves : sequence of CheckpointCurve
        Of several models or benchmarks.
    last : int
        Checkpoints whose noise is told.
    prob : float
        Probability of the equal-tailed intervals.

    Returns
    -------
    DataFrame
        Indexed by label. observed_tau, tau (of the curve) with tau_lower and tau_upper, p_monotone, observed_sd of the last
        scores, noise with noise_lower and noise_upper, and item_error: mean standard error of those scores for new items.
    """
    rows = []
    for curve in curves:
        tau, noise = (q.table(prob).iloc[0] for q in (curve.monotonicity(), curve.last_noise(last)))
        rows.append(
            {
                "observed_tau": curve.observed_tau, "tau": tau["median"], "tau_lower": tau["lower"], "tau_upper": tau["upper"],
                "p_monotone": curve.p_monotone, "observed_sd": curve.observed_noise(last), "noise": noise["median"],
                "noise_lower": noise["lower"], "noise_upper": noise["upper"], "item_error": curve.item_error[-last:].mean(),
            }
        )  # fmt: skip
    out = pd.DataFrame(rows, index=pd.Index([c.label for c in curves], name="curve"))
    out.attrs = {"prob": prob, "kind": "eti", "population": _POPULATION, "last": last}
    return out


def kendall_tau(curves: ArrayLike) -> FloatArray:
    """Kendall's tau of every row with the order of its columns; ties count for neither order.

    Parameters
    ----------
    curves : array_like, shape (S, C)

    Returns
    -------
    ndarray, shape (S,)
    """
    x = np.asarray(curves, dtype=float)
    total = np.zeros(len(x))
    for lag in range(1, x.shape[1]):
        total += np.sign(x[:, lag:] - x[:, :-lag]).sum(1)
    return np.asarray(total / (x.shape[1] * (x.shape[1] - 1) / 2))


def _first_autocorrelation(x: FloatArray) -> FloatArray:
    centred = x - x.mean(1, keepdims=True)
    return np.asarray((centred[:, 1:] * centred[:, :-1]).sum(1) / (centred**2).sum(1))


def _positions(steps: ArrayLike, y: FloatArray) -> FloatArray:
    """Logarithms of the steps, moved to 0 to 1."""
    step = np.asarray(steps, dtype=float)
    if step.ndim != 1 or y.shape != step.shape or len(step) < _LEAST or not np.isfinite(y).all():
        raise DataError(
            f"steps has shape {step.shape} and the scores {y.shape}.", rule=f"one finite score a step, {_LEAST} steps or more.",
            fix="leave out checkpoints without a score; with fewer there is no curve to speak of.",
        )  # fmt: skip
    if not (step > 0).all() or not (np.diff(step) > 0).all():
        raise DataError(
            f"steps are {_few(step)}.", rule="steps are above 0 and ascending, one score each.",
            fix="leave out step 0, sort, and fit one model and benchmark at a time.",
        )  # fmt: skip
    x = np.log(step)
    return np.asarray((x - x[0]) / (x[-1] - x[0]))


def _posterior(
    x: FloatArray, y: FloatArray, draws: int, scale: float, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Draws of curve (S, C), noise sd (S,), repeated noisy values (S, C) and ratio (S,)."""
    if draws < 1 or not scale > 0.0:
        raise SpecificationError(f"draws={draws!r}, scale={scale!r}: at least 1 draw and a scale above 0 are needed.")
    if np.ptp(y) == 0.0:
        raise DataError("all scores are the same.", rule="two different scores or more.", fix="there is no curve to fit.")
    rng, size = np.random.default_rng(seed), len(x)
    ratios, log_weight, projections, squares = _grid(x, y, scale)
    weight = np.exp(log_weight - log_weight.max())
    node = rng.choice(len(ratios), draws, p=weight / weight.sum())
    sd = np.sqrt(squares[node] / rng.chisquare(size - 2, draws))
    curve = np.empty((draws, size))
    for j in np.unique(node):
        at = node == j
        # Noise given the data: mean P y, covariance sd^2 (I - P); the curve is what it leaves.
        value, vector = linalg.eigh(np.eye(size) - projections[j])
        root = vector * np.sqrt(np.clip(value, 0.0, None))
        curve[at] = y - projections[j] @ y + sd[at, None] * (rng.normal(size=(at.sum(), size)) @ root.T)
    return curve, sd, curve + sd[:, None] * rng.normal(size=curve.shape), ratios[node]


def _grid(x: FloatArray, y: FloatArray, scale: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Ratios, their log posterior weights, the projections P and the sums of squares y'Py.

    With V = I + ratio^2 K and H = (1, x): P = V^-1 - V^-1 H (H'V^-1 H)^-1 H'V^-1, and with the prior 1 / sd the marginal
    likelihood is |V|^(-1/2) |H'V^-1 H|^(-1/2) (y'Py)^(-(C - 2) / 2).
    """
    low, high, count = _GRID
    ratios = scale * np.geomspace(low, high, count)
    log_prior = np.log(ratios / scale) - np.log1p((ratios / scale) ** 2)  # half-Cauchy, on the log scale of the grid
    less, more = np.minimum.outer(x, x), np.maximum.outer(x, x)
    value, vector = linalg.eigh(less**2 * (3.0 * more - less) / 6.0)
    # On the axes of K every V is diagonal.
    inverse = 1.0 / (1.0 + ratios[:, None] ** 2 * np.clip(value, 0.0, None))
    line = np.stack([np.ones_like(x), x], axis=1)
    bent = y - line @ np.linalg.lstsq(line, y)[0]  # P takes lines to 0; without them its sums keep their digits
    h = vector.T @ line
    scaled = inverse[:, :, None] * h
    gram = np.einsum("ci,jck->jik", h, scaled)
    projections = -scaled @ np.linalg.solve(gram, scaled.transpose(0, 2, 1))
    projections[:, np.arange(len(x)), np.arange(len(x))] += inverse
    projections = vector @ projections @ vector.T
    squares = np.einsum("c,jcd,d->j", bent, projections, bent)
    log_det = np.linalg.slogdet(gram)[1] - np.log(inverse).sum(1)
    return ratios, log_prior - 0.5 * log_det - 0.5 * (len(x) - 2) * np.log(squares), projections, squares


def _few(values: Sequence[float] | FloatArray) -> str:
    told = ", ".join(f"{v:g}" for v in values[:6])
    return told + (", ..." if len(values) > 6 else "")
