"""Intervals of one proportion: exact posteriors of a beta prior, with and without clusters, and the usual normal interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from bayeskit.errors import DataError, SpecificationError

__all__ = ["beta_interval", "clt_interval", "clustered_interval"]

FloatArray = NDArray[np.float64]

_THETA, _CONCENTRATION = 240, 48  # nodes


def beta_interval(
    successes: ArrayLike, trials: ArrayLike, prob: float = 0.95, prior: tuple[float, float] = (1.0, 1.0)
) -> FloatArray:
    """Equal-tailed credible interval of a proportion under a beta prior.

    Right at every size for independent answers of equal weight: averaged over the prior it covers with exactly `prob`. The
    default, a uniform prior, is that of Bowyer, Aitchison and Ivanova (2025), arXiv 2503.01747.

    Parameters
    ----------
    successes, trials : array_like
        Counts, of shapes that broadcast.
    prob : float
        Probability inside.
    prior : (float, float)
        Parameters of the beta distribution, above 0.

    Returns
    -------
    ndarray, shape (..., 2)

    Raises
    ------
    DataError
        For counts out of range.
    SpecificationError
        For a probability or a prior out of range.
    """
    k, n = _counts(successes, trials, prob)
    if not min(prior) > 0.0:
        raise SpecificationError(f"prior={prior!r}: both parameters must be above 0.")
    tail = (1.0 - prob) / 2.0
    return np.stack([stats.beta.ppf(q, prior[0] + k, prior[1] + n - k) for q in (tail, 1.0 - tail)], axis=-1)


def clustered_interval(successes: ArrayLike, trials: ArrayLike, prob: float = 0.95) -> FloatArray:
    """Equal-tailed credible interval of a proportion from answers in clusters, such as questions about the same text.

    The clustered model of Bowyer, Aitchison and Ivanova (2025): each cluster has its own probability of a success from
    Beta(d theta, d (1 - theta)), with theta uniform and d exponential with mean 1. Its posterior is summed over a grid of both.

    Parameters
    ----------
    successes, trials : array_like, shape (clusters,)
        Counts of every cluster.
    prob : float
        Probability inside.

    Returns
    -------
    ndarray, shape (2,)
        Ends of the interval of theta.

    Raises
    ------
    DataError, SpecificationError
        As `beta_interval`.
    """
    k, n = (np.ravel(v) for v in _counts(successes, trials, prob))
    theta, weight = _legendre(_THETA)
    uniform, also = _legendre(_CONCENTRATION)
    d = -np.log1p(-uniform)  # quantiles of the exponential distribution
    a, b = np.multiply.outer(theta, d), np.multiply.outer(1.0 - theta, d)
    log_likelihood = -len(k) * special.betaln(a, b)
    pairs, count = np.unique(np.stack([k, n], axis=1), axis=0, return_counts=True)
    for (hits, total), times in zip(pairs, count, strict=True):
        log_likelihood += times * special.betaln(a + hits, b + total - hits)
    density = np.exp(log_likelihood - log_likelihood.max()) @ also * weight
    below = np.concatenate([[0.0], np.cumsum(density) - 0.5 * density, [density.sum()]]) / density.sum()
    tail = (1.0 - prob) / 2.0
    return np.asarray(np.interp([tail, 1.0 - tail], below, np.concatenate([[0.0], theta, [1.0]])))


def _legendre(size: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes and weights from 0 to 1."""
    x, w = np.polynomial.legendre.leggauss(size)
    return 0.5 * (x + 1.0), 0.5 * w


def clt_interval(successes: ArrayLike, trials: ArrayLike, prob: float = 0.95) -> FloatArray:
    """The usual interval: score plus and minus a normal quantile of standard errors ``sqrt(p (1 - p) / n)``.

    It is empty of width at 0 and at n successes and covers too little for a few dozen answers; it is here as the comparator.
    Parameters, shape and errors as in `beta_interval`.
    """
    k, n = _counts(successes, trials, prob)
    p = k / n
    half = stats.norm.ppf(0.5 + prob / 2.0) * np.sqrt(p * (1.0 - p) / n)
    return np.stack([p - half, p + half], axis=-1)


def _counts(successes: ArrayLike, trials: ArrayLike, prob: float) -> tuple[FloatArray, FloatArray]:
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=float), np.asarray(trials, dtype=float))
    if not ((n > 0) & (k >= 0) & (k <= n)).all():
        raise DataError(
            "successes and trials are out of range.", rule="0 <= successes <= trials, trials > 0.", fix="correct the counts."
        )
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: must lie strictly between 0 and 1.")
    return k, n
