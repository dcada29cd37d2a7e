"""Signal to noise of a benchmark in four definitions, with intervals: ratios to a standard deviation known from a few runs.

Madaan et al. (2024), arXiv 2406.10229, divide the mean score by its standard deviation over training seeds. That grows with the
score of guessing, so the same with the chance level taken off stands beside it, and so does the spread between models, which is
what a benchmark is to tell apart. Heineman et al. (2025), arXiv 2508.13144, divide the largest gap between models by the noise
of the last checkpoints. Seeds meet the same items, so none of these says anything about other items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bayeskit.errors import DataError, SpecificationError
from bayeskit_models.benchmarks.decomposition import Components
from bayeskit_models.benchmarks.quantities import Quantities

__all__ = ["heineman", "sd_draws", "sd_factors", "seed_noise", "signal_to_noise"]

FloatArray = NDArray[np.float64]

_SEEDS = "new seeds on the same items"


def sd_factors(runs: int, prob: float = 0.95) -> tuple[float, float]:
    """Ends of the interval of a standard deviation, as factors of the one observed in so many runs.

    Equal-tailed, from the chi-square distribution with ``runs - 1`` degrees of freedom: exact for normal scores, and the same
    as the credible interval under the prior 1 / sd.

    Raises
    ------
    SpecificationError
        For fewer than two runs or a probability out of range.
    """
    if not runs >= 2:
        raise SpecificationError(f"runs={runs!r}: a standard deviation needs two runs or more.")
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: must lie strictly between 0 and 1.")
    tail = (1.0 - prob) / 2.0
    low, high = np.sqrt((runs - 1) / stats.chi2.ppf([1.0 - tail, tail], runs - 1))
    return float(low), float(high)


def sd_draws(
    sd: float, runs: int, draws: int = 4000, *, mean: float | None = None, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Posterior draws of mean and standard deviation from the summary of normal scores, under the prior 1 / sd.

    Parameters
    ----------
    sd : float
        Observed standard deviation over the runs, divisor ``runs - 1``.
    runs : int
        How many, 2 or more.
    draws : int
        How many draws.
    mean : float, optional
        Observed mean; 0 where it does not matter.
    seed : int
        Of the generator.

    Returns
    -------
    mean, sd : ndarray, shape (draws,)

    Raises
    ------
    DataError
        For a standard deviation below 0.
    SpecificationError
        For fewer than two runs.
    """
    if not sd >= 0.0:
        raise DataError(f"sd is {sd!r}.", rule="a standard deviation is 0 or more.", fix="correct it.")
    if not runs >= 2:
        raise SpecificationError(f"runs={runs!r}: a standard deviation needs two runs or more.")
    rng = np.random.default_rng(seed)
    sigma = sd * np.sqrt((runs - 1) / rng.chisquare(runs - 1, draws))
    return (0.0 if mean is None else mean) + sigma / np.sqrt(runs) * rng.normal(size=draws), sigma


def seed_noise(components: Components, items: float, samples: float = 1.0) -> FloatArray:
    """Standard deviation of a model's score over training seeds, on the same items: draws, shape (S,).

    Runs themselves, what they do to single items, and the samples of every cell; never the items' main effect, which is why a
    seed sd below the standard error of the items is no surprise.
    """
    cell = components.get("item_run") + components["within"] / samples
    return np.asarray(np.sqrt(components.get("run") + cell / items))


def signal_to_noise(
    mean: ArrayLike, noise: ArrayLike, *, chance: float = 0.0, between: ArrayLike | None = None, population: str = _SEEDS
) -> Quantities:
    """Three ratios to the noise of a training run.

    Parameters
    ----------
    mean : array_like, shape (S,)
        Draws of the score.
    noise : array_like, shape (S,)
        Draws of its standard deviation over seeds.
    chance : float
        Score of a guess.
    between : array_like, shape (S,), optional
        Draws of the standard deviation of true scores between models.
    population : str
        What the noise is about.

    Returns
    -------
    Quantities
        mean_over_noise, above_chance_over_noise and, where known, models_over_noise. Infinite where the noise is 0.
    """
    sd, x = np.asarray(noise, dtype=float), np.asarray(mean, dtype=float)
    signals = {"mean_over_noise": x, "above_chance_over_noise": x - chance}
    if between is not None:
        signals["models_over_noise"] = np.asarray(between, dtype=float)
    note = f"Noise is one standard deviation over seeds; chance level {chance:g}."
    return _ratios(signals, sd, "signal to noise", population, note)


def heineman(scores: ArrayLike, noise: ArrayLike, mean: ArrayLike) -> Quantities:
    """Largest gap between models over their mean, divided by the noise of the last checkpoints over its own mean.

    Parameters
    ----------
    scores : array_like, shape (S, M)
        Draws of the final scores of the models that are to be told apart. The maximum over them makes the number depend on
        which models these are.
    noise : array_like, shape (S,)
        Draws of the standard deviation of one model's score over its last checkpoints.
    mean : array_like, shape (S,)
        Draws of that model's mean score there.

    Returns
    -------
    Quantities
        signal (relative gap), noise (relative standard deviation) and snr.

    Raises
    ------
    SpecificationError
        For fewer than two models.
    """
    x, sd = np.asarray(scores, dtype=float), np.asarray(noise, dtype=float)
    if x.ndim != 2 or x.shape[1] < 2:
        raise SpecificationError(f"scores has shape {x.shape}: draws of two models or more, (S, M), are needed.")
    signal, relative = np.ptp(x, axis=1) / x.mean(1), sd / np.asarray(mean, dtype=float)
    draws = {"signal": signal, "noise": relative}
    ratio = _ratios({"snr": signal}, relative, "", "", "")
    note = "The signal is a maximum over models: other models, another signal."
    return Quantities({**draws, **ratio.draws}, "signal and noise of Heineman et al.", "ratios", "these models and items", note)


def _ratios(signals: dict[str, FloatArray], noise: FloatArray, label: str, population: str, note: str) -> Quantities:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {name: x / noise for name, x in signals.items()}
    clean = {name: np.where(np.isnan(v), 0.0, v) for name, v in found.items()}  # 0 / 0: no signal
    return Quantities(clean, label, "standard deviations", population, note)
