"""The Heckman likelihood with its gradient as one fused operation; `heckman_law` holds the formulas.

With ``e = (y - mu) / sigma``, ``z = nu cosh(a) + e sinh(a)`` and the inverse Mills ratio r of z, a tested row has

    d/dmu = (e - r sinh(a)) / sigma,            d/dnu = r cosh(a),
    d/dlog sigma = e^2 - 1 - r sinh(a) e,       d/da = r (nu sinh(a) + e cosh(a)).

Importing this module imports numba.
"""

from __future__ import annotations

import numpy as np

from bayeskit.fused import all_numbers, fused, kernel
from bayeskit_models.risk.normal_tail import HALF_LOG_2PI, log_cdf_and_ratio

__all__ = ["heckman_kernel", "log_likelihood"]

_BLOCK = 256  # rows whose intermediate numbers stay in the first cache
_FLATTEST = 300.0  # of |atanh rho|: beyond it the square of cosh overflows


@kernel
def _tested(start, n, outcome, pattern, weight, mu, nu, constants, work):  # type: ignore[no-untyped-def]
    """Value of a block of tested rows; work holds mu and nu by row, and receives their derivatives."""
    precision, log_sigma, c, s = constants
    for i in range(n):
        work[i] = mu[pattern[start + i]]
        work[_BLOCK + i] = nu[pattern[start + i]]
    value, d_sigma, d_a = 0.0, 0.0, 0.0
    for i in range(n):
        w = weight[start + i]
        e = (outcome[start + i] - work[i]) * precision
        score = work[_BLOCK + i]
        log_cdf, ratio = log_cdf_and_ratio(score * c + e * s)
        value += w * (log_cdf - 0.5 * e * e - HALF_LOG_2PI - log_sigma)
        d_sigma += w * (e * e - 1.0 - ratio * s * e)
        d_a += w * ratio * (score * s + e * c)
        work[i] = w * (e - ratio * s) * precision
        work[_BLOCK + i] = w * ratio * c
    return value, d_sigma, d_a


@kernel
def _untested(start, n, pattern, weight, nu, work):  # type: ignore[no-untyped-def]
    """Value of a block of untested rows; work receives their derivatives."""
    for i in range(n):
        work[i] = nu[pattern[start + i]]
    value = 0.0
    for i in range(n):
        w = weight[start + i]
        log_cdf, ratio = log_cdf_and_ratio(-work[i])
        value += w * log_cdf
        work[i] = -w * ratio
    return value


@kernel
def heckman_kernel(mu, nu, log_sigma, atanh_rho, outcome, pattern, weight, untested, untested_weight):  # type: ignore[no-untyped-def]
    """Log likelihood of rows with a selected outcome, and its gradients.

    Parameters
    ----------
    mu, nu : (P,) float64
        Linear predictors of outcome and testing by pattern of covariates; differentiable.
    log_sigma, atanh_rho : (1,) float64
        Log standard deviation of the outcome's error and Fisher's z of its correlation with that of testing; differentiable.
    outcome, pattern, weight : (n,) float64, int64, float64
        Tested rows: outcome, pattern of covariates (not checked here), how many rows it stands for.
    untested, untested_weight : (m,) int64, float64
        Pattern and weight of untested rows.

    Returns
    -------
    value : float
    d_mu, d_nu, d_log_sigma, d_atanh_rho : ndarray
        Shaped as the inputs.
    """
    d_mu, d_nu = np.zeros(mu.size), np.zeros(nu.size)
    d_sigma, d_a = np.zeros(1), np.zeros(1)
    numbers = all_numbers(mu) and all_numbers(nu) and all_numbers(log_sigma) and all_numbers(atanh_rho)
    if not numbers or abs(atanh_rho[0]) > _FLATTEST:
        return np.nan, d_mu, d_nu, d_sigma, d_a
    constants = (np.exp(-log_sigma[0]), log_sigma[0], np.cosh(atanh_rho[0]), np.sinh(atanh_rho[0]))
    work = np.empty(2 * _BLOCK)
    value = 0.0
    for start in range(0, pattern.size, _BLOCK):
        n = min(_BLOCK, pattern.size - start)
        part, part_sigma, part_a = _tested(start, n, outcome, pattern, weight, mu, nu, constants, work)
        value += part
        d_sigma[0] += part_sigma
        d_a[0] += part_a
        for i in range(n):
            d_mu[pattern[start + i]] += work[i]
            d_nu[pattern[start + i]] += work[_BLOCK + i]
    for start in range(0, untested.size, _BLOCK):
        n = min(_BLOCK, untested.size - start)
        value += _untested(start, n, untested, untested_weight, nu, work)
        for i in range(n):
            d_nu[untested[start + i]] += work[i]
    return value, d_mu, d_nu, d_sigma, d_a


log_likelihood = fused(heckman_kernel, wrt=(1, 1, 1, 1), data=("float64:1", "int64:1", "float64:1", "int64:1", "float64:1"))
"""`heckman_kernel` on symbolic arrays."""
