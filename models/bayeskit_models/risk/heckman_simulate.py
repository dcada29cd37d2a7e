"""Simulated rows with a selected outcome and normal errors: continuous (Heckman) or binary (probit-probit).

The truth is kept: the outcome of the untested, which data would not have, and the unobservable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.errors import SpecificationError

__all__ = ["SelectionTruth", "draw_design", "simulate_selection", "simulate_study"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SelectionTruth:
    """Simulated rows and what they were made of.

    Attributes
    ----------
    risk, testing : ndarray, shape (n, P) and (n, Q)
        Designs, intercepts included.
    beta_risk, beta_testing : ndarray, shape (P,) and (Q,)
    sigma, rho : float
        Standard deviation of the outcome's error (1 for a binary one) and its correlation with that of testing.
    tested : ndarray of bool, shape (n,)
    complete : ndarray, shape (n,)
        The outcome of everybody.
    unobservable : ndarray, shape (n,)
        The outcome's error.
    """

    risk: FloatArray
    testing: FloatArray
    beta_risk: FloatArray
    beta_testing: FloatArray
    sigma: float
    rho: float
    tested: NDArray[np.bool_]
    complete: FloatArray
    unobservable: FloatArray

    @property
    def outcome(self) -> FloatArray:
        """What data would have: the outcome, NaN for the untested."""
        return np.asarray(np.where(self.tested, self.complete, np.nan))


def simulate_selection(
    rng: np.random.Generator,
    risk: ArrayLike,
    testing: ArrayLike,
    beta_risk: ArrayLike,
    beta_testing: ArrayLike,
    *,
    sigma: float = 1.0,
    rho: float = 0.0,
    binary: bool = False,
) -> SelectionTruth:
    """Draw outcome and testing for given designs and coefficients.

    Parameters
    ----------
    rng : numpy.random.Generator
    risk, testing : array_like, shape (n, P) and (n, Q)
    beta_risk, beta_testing : array_like, shape (P,) and (Q,)
        Coefficients of the outcome, and of testing (probit).
    sigma : float
        Standard deviation of the outcome's error, above 0.
    rho : float
        Its correlation with the error of testing, between -1 and 1.
    binary : bool
        Whether the outcome is ``1[X beta + error > 0]`` instead of ``X beta + error``; then sigma is 1.

    Returns
    -------
    SelectionTruth

    Raises
    ------
    SpecificationError
        For a sigma or rho out of range, or a binary outcome with another sigma than 1.
    """
    if not (sigma > 0.0 and np.isfinite(sigma)):
        raise SpecificationError(f"sigma={sigma!r}: must be a finite number above 0.")
    if not -1.0 <= rho <= 1.0:
        raise SpecificationError(f"rho={rho!r}: a correlation lies between -1 and 1.")
    if binary and sigma != 1.0:
        raise SpecificationError(f"sigma={sigma!r}: the scale of a binary outcome is fixed, its sigma is 1.")
    x, z, b, g = (np.asarray(v, dtype=np.float64) for v in (risk, testing, beta_risk, beta_testing))
    error, other = rng.normal(size=(2, len(x)))
    tested = z @ g + rho * error + np.sqrt((1.0 - rho) * (1.0 + rho)) * other > 0.0
    latent = x @ b + sigma * error
    complete = (latent > 0.0).astype(np.float64) if binary else latent
    return SelectionTruth(x, z, b, g, float(sigma), float(rho), tested, complete, sigma * error)


def draw_design(rng: np.random.Generator, n: int, features: int) -> FloatArray:
    """An intercept and `features` columns of standard normal numbers, each brought to mean 0 and standard deviation 1."""
    x = rng.normal(size=(n, features))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return np.column_stack([np.ones(n), x])


def simulate_study(rng: np.random.Generator, n: int = 5000, features: int = 4, free: int = 1) -> SelectionTruth:
    """A data set of the synthetic study of Balachandar, Garg and Pierson (2024) in its Heckman form.

    The intercepts are near -2 (outcome) and 2 (testing), sigma near 2, the covariance of the errors near 1 (each with standard
    deviation 0.1), other coefficients standard normal. Testing departs from the outcome along the intercept and the first
    `free` features only: for the others ``beta_testing = beta_risk rho / sigma``, which is expertise. About 94 % are tested.

    Parameters
    ----------
    rng : numpy.random.Generator
    n, features, free : int
        Rows, features beside the intercept, and how many of them testing departs along.

    Returns
    -------
    SelectionTruth
        With the same design for outcome and testing.
    """
    if not 0 <= free <= features:
        raise SpecificationError(f"free={free!r}: from 0 to the number of features, {features}.")
    x = draw_design(rng, n, features)
    beta_risk, beta_testing = rng.normal(size=(2, features + 1))
    beta_risk[0], beta_testing[0] = rng.normal(-2.0, 0.1), rng.normal(2.0, 0.1)
    sigma, covariance = rng.normal(2.0, 0.1), rng.normal(1.0, 0.1)
    rho = covariance / sigma
    beta_testing[free + 1 :] = beta_risk[free + 1 :] * rho / sigma
    return simulate_selection(rng, x, x, beta_risk, beta_testing, sigma=sigma, rho=rho)
