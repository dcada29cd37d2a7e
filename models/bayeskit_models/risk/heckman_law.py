"""Heckman's law of an outcome seen only for the tested: log likelihood, moments given the decision, two parameterisations.

::

    Y = mu + Z,   T = 1[nu + eps > 0],   (Z, eps) normal with standard deviations (sigma, 1) and correlation rho,

Y seen where T = 1; mu and nu are linear predictors. With ``a = atanh(rho)``, hence ``1 / sqrt(1 - rho^2) = cosh(a)`` and
``rho / sqrt(1 - rho^2) = sinh(a)``, and ``e = (y - mu) / sigma`` ::

    tested:    log phi(e) - log sigma + log Phi(nu cosh(a) + e sinh(a))
    untested:  log Phi(-nu)

In the terms of a risk score that the decision follows, ``T = 1[alpha Y + delta + standard normal > 0]``, the same law has
``sinh(a) = alpha sigma`` and ``nu = (alpha mu + delta) / cosh(a)``. Both maps are smooth for either sign of alpha and rho, and
no bound on a covariance is needed. (Heckman 1979, Econometrica 47:153-161; the equivalence is proposition 3.1 of Balachandar,
Garg, Pierson 2024, ICLR.)

All functions broadcast. The algebra is written once and serves NumPy arrays and PyTensor graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "HeckmanAlgebra", "exceedance", "from_unobservable", "log_likelihood", "log_tested", "log_untested", "moments",
    "numpy_algebra", "pytensor_algebra", "to_unobservable",
]  # fmt: skip

FloatArray = NDArray[np.float64]

_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)
_ROOT_HALF = np.sqrt(0.5)
_RATIO = np.sqrt(2.0 / np.pi)


@dataclass(frozen=True)
class HeckmanAlgebra:
    """The formulas over one array library.

    Attributes
    ----------
    xp : module
        NumPy or ``pytensor.tensor``: `exp`, `log`, `log1p`, `sinh`, `cosh`, `tanh`, `arcsinh`, `minimum`, `maximum`.
    where : callable
        ``where(condition, a, b)``.
    erfc, erfcx : callable
        Complementary error function, plain and scaled by ``exp(x^2)``.
    """

    xp: ModuleType
    where: Any
    erfc: Any
    erfcx: Any

    def log_cdf(self, z: Any) -> Any:
        """``log Phi(z)``, to rounding in both tails. Each branch is fed numbers that leave its gradient finite."""
        below, above = self.xp.minimum(z, 0.0), self.xp.maximum(z, 0.0)
        lower = self.xp.log(0.5 * self.erfcx(-_ROOT_HALF * below)) - 0.5 * below**2
        return self.where(z < 0.0, lower, self.xp.log1p(-0.5 * self.erfc(_ROOT_HALF * above)))

    def ratio(self, z: Any) -> Any:
        """Inverse Mills ratio ``phi(z) / Phi(z)``; Heckman's lambda."""
        below, above = self.xp.minimum(z, 0.0), self.xp.maximum(z, 0.0)
        upper = 0.5 * _RATIO * self.xp.exp(-0.5 * above**2) / (1.0 - 0.5 * self.erfc(_ROOT_HALF * above))
        return self.where(z < 0.0, _RATIO / self.erfcx(-_ROOT_HALF * below), upper)

    def log_tested(self, outcome: Any, mu: Any, nu: Any, log_sigma: Any, atanh_rho: Any) -> Any:
        """Log density of being tested with this outcome."""
        e = (outcome - mu) * self.xp.exp(-log_sigma)
        score = nu * self.xp.cosh(atanh_rho) + e * self.xp.sinh(atanh_rho)
        return -0.5 * e**2 - _HALF_LOG_2PI - log_sigma + self.log_cdf(score)

    def log_untested(self, nu: Any) -> Any:
        """Log probability of not being tested."""
        return self.log_cdf(-nu)

    def moments(self, mu: Any, nu: Any, log_sigma: Any, atanh_rho: Any, sign: Any) -> tuple[Any, Any]:
        """Mean and variance of the outcome given the decision; `sign` is 1 for the tested, -1 for the untested."""
        sigma, rho, ratio = self.xp.exp(log_sigma), self.xp.tanh(atanh_rho), self.ratio(sign * nu)
        return mu + sign * rho * sigma * ratio, sigma**2 * (1.0 - rho**2 * ratio * (ratio + sign * nu))

    def from_unobservable(self, mu: Any, delta: Any, alpha: Any, log_sigma: Any) -> tuple[Any, Any]:
        """`nu` and `atanh_rho` of the law in which the decision follows ``alpha Y + delta``."""
        atanh_rho = self.xp.arcsinh(alpha * self.xp.exp(log_sigma))
        return (alpha * mu + delta) / self.xp.cosh(atanh_rho), atanh_rho

    def to_unobservable(self, mu: Any, nu: Any, log_sigma: Any, atanh_rho: Any) -> tuple[Any, Any]:
        """`delta` and `alpha`: the inverse of `from_unobservable`."""
        alpha = self.xp.sinh(atanh_rho) * self.xp.exp(-log_sigma)
        return self.xp.cosh(atanh_rho) * nu - alpha * mu, alpha


def numpy_algebra() -> HeckmanAlgebra:
    """The formulas on NumPy arrays."""
    from scipy.special import erfc, erfcx

    return HeckmanAlgebra(np, np.where, erfc, erfcx)


def pytensor_algebra() -> HeckmanAlgebra:
    """The formulas as PyTensor graphs."""
    import pytensor.tensor as pt

    return HeckmanAlgebra(pt, pt.switch, pt.erfc, pt.erfcx)


def _floats(*arrays: ArrayLike) -> list[FloatArray]:
    return [np.asarray(x, dtype=np.float64) for x in arrays]


def log_tested(outcome: ArrayLike, mu: ArrayLike, nu: ArrayLike, log_sigma: ArrayLike, atanh_rho: ArrayLike) -> FloatArray:
    """Log density of being tested with this outcome.

    Parameters
    ----------
    outcome : array_like
        The outcome of tested rows.
    mu, nu : array_like
        Linear predictors of the outcome (in its unit) and of testing (probit).
    log_sigma, atanh_rho : array_like
        Log of the standard deviation of the outcome's error; Fisher's z of its correlation with that of testing.

    Returns
    -------
    ndarray
        Shape of the broadcast arguments.
    """
    return np.asarray(numpy_algebra().log_tested(*_floats(outcome, mu, nu, log_sigma, atanh_rho)))


def log_untested(nu: ArrayLike) -> FloatArray:
    """Log probability ``log Phi(-nu)`` of not being tested."""
    return np.asarray(numpy_algebra().log_untested(*_floats(nu)))


def log_likelihood(
    outcome: ArrayLike, tested: ArrayLike, mu: ArrayLike, nu: ArrayLike, log_sigma: ArrayLike, atanh_rho: ArrayLike
) -> FloatArray:
    """Log likelihood of rows.

    Parameters
    ----------
    outcome : array_like
        Outcomes; not looked at where `tested` is false (NaN is usual there).
    tested : array_like of bool
        Whose outcome was seen.
    mu, nu, log_sigma, atanh_rho : array_like
        See `log_tested`.

    Returns
    -------
    ndarray
        Shape of the broadcast arguments: a row's log density (tested) or log probability (untested).
    """
    algebra, seen = numpy_algebra(), np.asarray(tested, dtype=bool)
    y, mean, score, log_scale, z = _floats(outcome, mu, nu, log_sigma, atanh_rho)
    given = np.where(seen, y, mean)
    return np.asarray(np.where(seen, algebra.log_tested(given, mean, score, log_scale, z), algebra.log_untested(score)))


def moments(
    mu: ArrayLike, nu: ArrayLike, log_sigma: ArrayLike, atanh_rho: ArrayLike, tested: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of the outcome given whether it was seen.

    ``E[Y | T = 1] = mu + rho sigma lambda(nu)`` and ``E[Y | T = 0] = mu - rho sigma lambda(-nu)`` with the inverse Mills ratio
    lambda (Heckman 1979, equations 9 and 10).

    Parameters
    ----------
    mu, nu, log_sigma, atanh_rho : array_like
        See `log_tested`.
    tested : array_like of bool
        The decision to condition on.

    Returns
    -------
    mean, variance : ndarray
        Shape of the broadcast arguments.
    """
    sign = np.where(np.asarray(tested, dtype=bool), 1.0, -1.0)
    mean, variance = numpy_algebra().moments(*_floats(mu, nu, log_sigma, atanh_rho), sign)
    return np.asarray(mean), np.asarray(variance)


def exceedance(
    threshold: ArrayLike,
    mu: ArrayLike,
    nu: ArrayLike,
    log_sigma: ArrayLike,
    atanh_rho: ArrayLike,
    tested: ArrayLike | None = None,
) -> FloatArray:
    """Probability that the outcome exceeds a threshold, for everybody or given the decision.

    Parameters
    ----------
    threshold : array_like
        In the unit of the outcome.
    mu, nu, log_sigma, atanh_rho : array_like
        See `log_tested`.
    tested : array_like of bool, optional
        The decision to condition on; without it, of no decision.

    Returns
    -------
    ndarray
        Shape of the broadcast arguments.
    """
    algebra = numpy_algebra()
    limit, mean, score, log_scale, z = _floats(threshold, mu, nu, log_sigma, atanh_rho)
    above = (mean - limit) * np.exp(-log_scale)
    if tested is None:
        return np.asarray(np.exp(algebra.log_cdf(np.broadcast_arrays(above, score, z)[0])))
    from bayeskit_models.risk.bivariate_normal import log_bivariate_normal_cdf

    sign = np.where(np.asarray(tested, dtype=bool), 1.0, -1.0)
    joint = log_bivariate_normal_cdf(above, sign * score, sign * z)
    return np.asarray(np.exp(joint - algebra.log_cdf(sign * score)))


def from_unobservable(mu: ArrayLike, delta: ArrayLike, alpha: ArrayLike, log_sigma: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """`nu` and `atanh_rho` of the law ``T = 1[alpha Y + delta + standard normal > 0]``.

    Parameters
    ----------
    mu, delta : array_like
        Linear predictors of the outcome and of how testing departs from it.
    alpha : array_like
        How steeply testing follows the outcome; of any sign.
    log_sigma : array_like
        Log of the standard deviation of the unobservable.

    Returns
    -------
    nu, atanh_rho : ndarray
    """
    nu, atanh_rho = numpy_algebra().from_unobservable(*_floats(mu, delta, alpha, log_sigma))
    return np.asarray(nu), np.asarray(atanh_rho)


def to_unobservable(mu: ArrayLike, nu: ArrayLike, log_sigma: ArrayLike, atanh_rho: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """`delta` and `alpha` of `from_unobservable`, which this inverts. It works on linear predictors and on coefficients."""
    delta, alpha = numpy_algebra().to_unobservable(*_floats(mu, nu, log_sigma, atanh_rho))
    return np.asarray(delta), np.asarray(alpha)
