"""The probit-probit law of a binary outcome seen only for the tested: three cells, their logs, and the fused likelihood.

::

    Y = 1[mu + e > 0],   T = 1[nu + eps > 0],   (e, eps) standard normal with correlation rho,

Y seen where T = 1. The cells have the probabilities ::

    P11 = Phi2(mu, nu, rho),   P10 = Phi2(-mu, nu, -rho),   P0 = Phi(-nu),   which sum to 1

(Van de Ven and Van Praag 1981, Journal of Econometrics 17:229-252; Stata's heckprobit). The same law arises from a risk score
``r = risk + Z`` with ``Z ~ N(0, sigma^2)``, ``P(Y = 1 | r) = Phi(r)`` and ``P(T = 1 | r) = Phi(alpha r + departure)``: see
`from_unobservable`.

Importing this module imports numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.fused import all_numbers, fused, kernel
from bayeskit_models.risk.bivariate_normal import log_bivariate_normal_cdf, log_cdf_and_gradient
from bayeskit_models.risk.normal_tail import log_cdf_and_ratio

__all__ = ["from_unobservable", "log_cells", "log_likelihood", "log_risk", "probit_kernel"]

FloatArray = NDArray[np.float64]


def log_cells(mu: ArrayLike, nu: ArrayLike, atanh_rho: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Logs of P(T=1, Y=1), P(T=1, Y=0) and P(T=0).

    Parameters
    ----------
    mu, nu : array_like
        Linear predictors (probit) of outcome and testing.
    atanh_rho : array_like
        Fisher's z of the correlation of the errors.

    Returns
    -------
    three ndarrays
        Shape of the broadcast arguments. Each is accurate by itself: none is one minus the others.
    """
    from scipy.special import log_ndtr

    mean, score, z = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (mu, nu, atanh_rho)))
    positive = log_bivariate_normal_cdf(mean, score, z)
    return positive, log_bivariate_normal_cdf(-mean, score, -z), np.asarray(log_ndtr(-score))


def log_risk(mu: ArrayLike, nu: ArrayLike, atanh_rho: ArrayLike, tested: ArrayLike | None = None) -> FloatArray:
    """Log of the probability of the outcome, for everybody or given the decision.

    Parameters
    ----------
    mu, nu, atanh_rho : array_like
        See `log_cells`.
    tested : array_like of bool, optional
        The decision to condition on; without it, ``log Phi(mu)``.

    Returns
    -------
    ndarray
        Shape of the broadcast arguments.
    """
    from scipy.special import log_ndtr

    mean, score, z = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (mu, nu, atanh_rho)))
    if tested is None:
        return np.asarray(log_ndtr(mean))
    sign = np.where(np.asarray(tested, dtype=bool), 1.0, -1.0)
    return np.asarray(log_bivariate_normal_cdf(mean, sign * score, sign * z) - log_ndtr(sign * score))


def from_unobservable(
    risk: ArrayLike, departure: ArrayLike, alpha: ArrayLike, sigma: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """`mu`, `nu` and `atanh_rho` of the law in which the decision follows a risk score with a normal unobservable.

    ``mu = risk / sqrt(1 + sigma^2)``, ``nu = (alpha risk + departure) / sqrt(1 + alpha^2 sigma^2)`` and
    ``rho = alpha sigma^2 / sqrt((1 + sigma^2) (1 + alpha^2 sigma^2))``.

    Parameters
    ----------
    risk, departure : array_like
        Linear predictors of the risk score and of how testing departs from it.
    alpha, sigma : array_like
        How steeply testing follows the score (any sign), and the standard deviation of the unobservable.

    Returns
    -------
    mu, nu, atanh_rho : ndarray
    """
    score, shift, steep, scale = (np.asarray(x, dtype=np.float64) for x in (risk, departure, alpha, sigma))
    outcome, testing = np.sqrt(1.0 + scale**2), np.sqrt(1.0 + (steep * scale) ** 2)
    # sqrt(1 - rho^2) = sqrt(1 + sigma^2 + alpha^2 sigma^2) / (outcome testing), so that rho / it needs no 1 - rho^2
    z = np.arcsinh(steep * scale**2 / np.sqrt(1.0 + scale**2 + (steep * scale) ** 2))
    return score / outcome, (steep * score + shift) / testing, np.asarray(z)


@kernel
def probit_kernel(mu, nu, atanh_rho, positive, negative, untested):  # type: ignore[no-untyped-def]
    """Log likelihood of rows with a selected binary outcome, and its gradients.

    Parameters
    ----------
    mu, nu : (P,) float64
        Linear predictors of outcome and testing by pattern of covariates; differentiable.
    atanh_rho : (1,) float64
        Fisher's z of the correlation of the errors; differentiable.
    positive, negative, untested : (P,) float64
        How many rows of the pattern were tested with outcome 1, tested with outcome 0, and not tested.

    Returns
    -------
    value : float
    d_mu, d_nu, d_atanh_rho : ndarray
        Shaped as the inputs.
    """
    d_mu, d_nu, d_a = np.zeros(mu.size), np.zeros(nu.size), np.zeros(1)
    if not (all_numbers(mu) and all_numbers(nu) and all_numbers(atanh_rho)):
        return np.nan, d_mu, d_nu, d_a
    a, value = atanh_rho[0], 0.0
    for i in range(mu.size):
        if positive[i] > 0.0:
            log_p, by_mu, by_nu, by_a = log_cdf_and_gradient(mu[i], nu[i], a)
            value += positive[i] * log_p
            d_mu[i] += positive[i] * by_mu
            d_nu[i] += positive[i] * by_nu
            d_a[0] += positive[i] * by_a
        if negative[i] > 0.0:
            log_p, by_mu, by_nu, by_a = log_cdf_and_gradient(-mu[i], nu[i], -a)
            value += negative[i] * log_p
            d_mu[i] -= negative[i] * by_mu
            d_nu[i] += negative[i] * by_nu
            d_a[0] -= negative[i] * by_a
        if untested[i] > 0.0:
            log_p, ratio = log_cdf_and_ratio(-nu[i])
            value += untested[i] * log_p
            d_nu[i] -= untested[i] * ratio
    return value, d_mu, d_nu, d_a


log_likelihood = fused(probit_kernel, wrt=(1, 1, 1), data=("float64:1", "float64:1", "float64:1"))
"""`probit_kernel` on symbolic arrays."""
