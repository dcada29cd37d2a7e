"""Mean and variance of one sample's score at a linear predictor, for every law of scores.

`x` is everything that is known of a cell (model, item, template, run): the variance is what is left within it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

__all__ = ["MOMENTS", "ScoreMoments"]


@dataclass(frozen=True)
class ScoreMoments:
    """Moments of scores given the linear predictor of their cell; arrays of one shape.

    Attributes
    ----------
    mean : ndarray
        Expected score.
    variance : ndarray
        Variance of one sample's score.
    shared : ndarray
        Covariance of two samples of one cell, which more samples do not average out; 0 where samples are independent.
    """

    mean: np.ndarray
    variance: np.ndarray
    shared: np.ndarray


def _binomial(x: ArrayLike, *, chance: ArrayLike = 0.0) -> ScoreMoments:
    rest = (1.0 - np.asarray(chance)) * expit(-np.asarray(x, dtype=float))
    return ScoreMoments(1.0 - rest, rest * (1.0 - rest), np.zeros_like(rest))


def _beta_binomial(x: ArrayLike, *, precision: ArrayLike, chance: ArrayLike = 0.0) -> ScoreMoments:
    plain = _binomial(x, chance=chance)
    return ScoreMoments(plain.mean, plain.variance, plain.variance / (1.0 + np.asarray(precision, dtype=float)))


def _gaussian(x: ArrayLike, *, noise_sd: ArrayLike) -> ScoreMoments:
    mean, spread = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(noise_sd, dtype=float))
    return ScoreMoments(mean.copy(), spread**2, np.zeros(mean.shape))


def _ordered_beta(x: ArrayLike, *, cut_low: ArrayLike, cut_high: ArrayLike, precision: ArrayLike) -> ScoreMoments:
    x, low, high = (np.asarray(a, dtype=float) for a in (x, cut_low, cut_high))
    one, inside = expit(x - high), expit(x - low) * expit(high - x) * -np.expm1(low - high)
    level = expit(x)
    mean = one + inside * level
    square = one + inside * (level**2 + level * expit(-x) / (1.0 + np.asarray(precision, dtype=float)))
    variance = square - mean**2
    return ScoreMoments(mean, variance, np.zeros_like(variance))


MOMENTS: dict[str, Callable[..., ScoreMoments]] = {
    "binomial": _binomial,
    "beta_binomial": _beta_binomial,
    "gaussian": _gaussian,
    "ordered_beta": _ordered_beta,
}
"""Moments by the name of the law: functions of the predictor (any shape) and, by name, of the law's parameters (broadcast)."""
