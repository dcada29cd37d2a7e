"""Benchmark errors of larger models from their loss: Gadre et al. (2024), arXiv 2403.08540, with an exact posterior.

::

    error_i = epsilon - k exp(-gamma loss_i) + noise sd * e_i,      e_i independent standard normal.

Given gamma this is a regression with two coefficients. They are parameterised as the expected errors at the smallest and at
the largest loss of the table, each with a flat prior (a flat prior on epsilon and k would favour gamma = 0 without end); the
noise has the prior 1 / sd and gamma a log-normal one. So coefficients, noise and predictions have closed forms given gamma,
and gamma is summed over a grid: draws are independent draws of the posterior. The source fits a point and gives no interval.

The noise is what models of one loss differ by, items and training together. Losses are taken as known: a loss that is itself
a prediction enters with its standard deviation (`ErrorCurve.predict`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.errors import DataError, SpecificationError
from bayeskit_models.benchmarks.quantities import Quantities

__all__ = ["ErrorCurve", "errors_from_losses"]

FloatArray = NDArray[np.float64]

_LEAST = 5  # models: two coefficients, gamma, and two degrees of freedom for the noise
_PRIOR = (0.0, 1.0)  # of log gamma: from .14 to 7.1 per nat with 95 %
_NODES, _END = 641, 5.0  # of log gamma, in its prior standard deviations
_POPULATION = "new models trained in the same way, on the same items"


@dataclass(frozen=True)
class ErrorCurve:
    """Posterior of the curve.

    Attributes
    ----------
    gamma : ndarray, shape (S,)
        Draws of the rate, per unit of loss.
    ends : ndarray, shape (S, 2)
        Draws of the expected error at the smallest and the largest loss.
    noise : ndarray, shape (S,)
        Draws of the standard deviation of a model about the curve.
    losses : (float, float)
        The smallest and the largest loss of the table.
    """

    gamma: FloatArray
    ends: FloatArray
    noise: FloatArray
    losses: tuple[float, float]

    def parameters(self) -> Quantities:
        """Epsilon (error at an infinite loss), k, gamma and the noise."""
        low, high = (np.exp(-self.gamma * v) for v in self.losses)
        k = (self.ends[:, 1] - self.ends[:, 0]) / (low - high)
        draws = {"epsilon": self.ends[:, 1] + k * high, "k": k, "gamma": self.gamma, "noise": self.noise}
        return Quantities(draws, "error over loss", "error; gamma per unit of loss", _POPULATION)

    def expected(self, loss: ArrayLike) -> FloatArray:
        """Draws of the curve at these losses, shape (S, L); losses (L,) or (S, L)."""
        x = np.atleast_1d(np.asarray(loss, dtype=float))
        share = _share(np.broadcast_to(x, (len(self.gamma), x.shape[-1])), self.gamma[:, None], self.losses)
        return self.ends[:, :1] * (1.0 - share) + self.ends[:, 1:] * share

    def predict(self, loss: ArrayLike, *, loss_sd: float = 0.0, seed: int = 0) -> FloatArray:
        """Draws of the error of a new model of each loss, its own noise included.

        Parameters
        ----------
        loss : array_like, shape (L,)
            Losses, measured or predicted.
        loss_sd : float
            Standard deviation of the error of a loss, 0 where it was measured.
        seed : int
            Of the generator.

        Returns
        -------
        ndarray, shape (S, L)
        """
        rng, x = np.random.default_rng(seed), np.atleast_1d(np.asarray(loss, dtype=float))
        shape = (len(self.gamma), x.size)
        return self.expected(x + loss_sd * rng.normal(size=shape)) + self.noise[:, None] * rng.normal(size=shape)


def errors_from_losses(
    losses: ArrayLike, errors: ArrayLike, *, prior: tuple[float, float] = _PRIOR, draws: int = 4000, seed: int = 0
) -> ErrorCurve:
    """Fit the curve to the models of one training recipe.

    Parameters
    ----------
    losses, errors : array_like, shape (N,)
        Loss on a validation set and error (1 - score, averaged over tasks) of 5 models or more.
    prior : (float, float)
        Mean and standard deviation of the normal prior of log gamma.
    draws, seed : int
        Draws, and seed of the generator.

    Raises
    ------
    DataError
        For different shapes, values that are not finite, fewer than five models or fewer than three different losses.
    SpecificationError
        For a prior without width or no draws.
    """
    x, y = (np.asarray(v, dtype=float) for v in (losses, errors))
    if x.ndim != 1 or x.shape != y.shape or len(x) < _LEAST or not np.isfinite([x, y]).all() or len(np.unique(x)) < 3:
        raise DataError(
            f"losses has shape {x.shape} and errors {y.shape}.",
            rule=f"finite losses and errors of {_LEAST} models or more, with three different losses.",
            fix="leave out models that lack one of them.",
        )  # fmt: skip
    if not prior[1] > 0.0 or draws < 1:
        raise SpecificationError(
            f"prior={prior!r}, draws={draws!r}: a standard deviation above 0 and 1 draw or more are needed."
        )
    ends, size = (float(x.min()), float(x.max())), len(x)
    z = np.linspace(-_END, _END, _NODES)
    gammas = np.exp(prior[0] + prior[1] * z)
    share = _share(x, gammas[:, None], ends)
    h = np.stack([1.0 - share, share], axis=2)
    q, root = np.linalg.qr(h)
    means = np.linalg.solve(root, np.einsum("jni,n->ji", q, y)[..., None])[..., 0]
    squares = ((y - np.einsum("jni,ji->jn", h, means)) ** 2).sum(1)
    log_det = np.log(np.abs(np.diagonal(root, axis1=1, axis2=2))).sum(1)
    log_weight = -0.5 * z * z - log_det - 0.5 * (size - 2) * np.log(np.maximum(squares, np.finfo(float).tiny))
    rng = np.random.default_rng(seed)
    weight = np.exp(log_weight - log_weight.max())
    node = rng.choice(_NODES, draws, p=weight / weight.sum())
    noise = np.sqrt(squares[node] / rng.chisquare(size - 2, draws))
    scatter = np.einsum("dij,dj->di", np.linalg.inv(root)[node], rng.normal(size=(draws, 2)))
    return ErrorCurve(gammas[node], means[node] + noise[:, None] * scatter, noise, ends)


def _share(loss: FloatArray, gamma: FloatArray, ends: tuple[float, float]) -> FloatArray:
    """How far, from 0 to 1, the curve has gone from its value at the smallest loss to that at the largest."""
    return np.asarray(np.expm1(-gamma * (loss - ends[0])) / np.expm1(-gamma * (ends[1] - ends[0])))
