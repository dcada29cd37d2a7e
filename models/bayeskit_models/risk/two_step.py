"""Heckman's two-step estimator with standard errors that know of the first step.

Step one is a probit of being tested; step two regresses the outcome of the tested on their features and the inverse Mills
ratio ``lambda_i`` of the first step's score ``z_i``. Its coefficient estimates ``rho sigma``. The residuals of step two are
heteroscedastic, and ``lambda_i`` is an estimate: both enter the covariance ::

    sigma^2 (W'W)^-1 [ W'(I - rho^2 D) W + rho^2 (W'D X) V (X'D W) ] (W'W)^-1,   D = diag(lambda_i (lambda_i + z_i))

with W the design of step two (ratio included), X that of step one and V its covariance (Heckman 1979, Econometrica
47:153-161; Greene 1981, Econometrica 49:795-798). The ordinary standard errors of step two are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from bayeskit.errors import DataError
from bayeskit_models.risk.heckman_law import numpy_algebra
from bayeskit_models.risk.regression import Regression, binary_regression, check_design

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MILLS", "TwoStep", "heckman_two_step"]

FloatArray = NDArray[np.float64]

MILLS = "inverse Mills ratio"
"""Name of the last coefficient of step two."""


@dataclass(frozen=True)
class TwoStep:
    """The estimates of both steps.

    Attributes
    ----------
    names : tuple of str
        Columns of step two: those of the outcome, then `MILLS`.
    coefficients : ndarray, shape (P + 1,)
    covariance : ndarray, shape (P + 1, P + 1)
        Corrected.
    testing : Regression
        The probit of step one, Q coefficients.
    cross : ndarray, shape (P + 1, Q)
        Covariance of the coefficients of both steps.
    sigma, rho : float
        Standard deviation of the outcome's error, and its correlation with that of testing. The estimate of rho is a quotient
        that may leave -1 to 1: see `admissible`.
    """

    names: tuple[str, ...]
    coefficients: FloatArray
    covariance: FloatArray
    testing: Regression
    cross: FloatArray
    sigma: float
    rho: float

    @property
    def standard_errors(self) -> FloatArray:
        """Corrected standard errors, shape (P + 1,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    @property
    def admissible(self) -> bool:
        """Whether the estimate of rho is a correlation at all; if not, the standard errors mean little too."""
        return abs(self.rho) <= 1.0

    def table(self) -> pd.DataFrame:
        """Both steps: columns ``equation`` ("outcome", "testing", "errors"), ``term``, ``estimate``, ``standard_error``."""
        import pandas as pd

        parts = [
            ("outcome", self.names, self.coefficients, self.standard_errors),
            ("testing", self.testing.names, self.testing.coefficients, self.testing.standard_errors),
            ("errors", ("sigma", "rho"), (self.sigma, self.rho), (np.nan, np.nan)),
        ]
        rows = [(equation, *row) for equation, *columns in parts for row in zip(*columns, strict=True)]
        return pd.DataFrame(rows, columns=["equation", "term", "estimate", "standard_error"])


def heckman_two_step(
    outcome: ArrayLike,
    tested: ArrayLike,
    outcome_design: ArrayLike,
    testing_design: ArrayLike,
    *,
    outcome_names: Sequence[str],
    testing_names: Sequence[str],
    weights: ArrayLike | None = None,
) -> TwoStep:
    """Fit Heckman's selection model in two steps.

    Parameters
    ----------
    outcome : array_like, shape (n,)
        Not looked at where `tested` is false.
    tested : array_like of bool, shape (n,)
    outcome_design, testing_design : array_like, shape (n, P) and (n, Q)
        Intercepts included. A feature of testing alone (an exclusion) makes the estimates steadier; without one they rest on
        the bend of the Mills ratio.
    outcome_names, testing_names : sequence of str
        Names of their columns.
    weights : array_like, shape (n,), optional
        How many rows each one stands for; 1 by default.

    Returns
    -------
    TwoStep

    Raises
    ------
    DataError
        If features separate the tested from the others, a design has dependent columns (in step two the Mills ratio is one of
        them), everybody or nobody is tested, or an outcome of the tested is no number.
    """
    seen = np.asarray(tested, dtype=bool)
    count = np.ones(len(seen)) if weights is None else np.asarray(weights, dtype=np.float64)
    x = check_design(testing_design, testing_names)
    probit = binary_regression(x, seen, testing_names, link="probit", weights=count, what="tested")
    y = np.asarray(outcome, dtype=np.float64)[seen]
    if not np.isfinite(y).all():
        bad = np.flatnonzero(seen)[~np.isfinite(y)]
        raise DataError("is no number for rows that were tested.", column="outcome", rows=bad.tolist(), rule="finite numbers")
    score = (x @ probit.coefficients)[seen]
    ratio = numpy_algebra().ratio(score)
    names = (*outcome_names, MILLS)
    w = check_design(np.column_stack([np.asarray(outcome_design, dtype=np.float64)[seen], ratio]), names)
    f, x = count[seen], x[seen]
    bread = linalg.inv((w * f[:, None]).T @ w)
    coefficients = linalg.lstsq(w * np.sqrt(f)[:, None], y * np.sqrt(f))[0]
    bend = ratio * (ratio + score)
    slope = coefficients[-1]
    variance = f @ (y - w @ coefficients) ** 2 / f.sum() + slope**2 * (f @ bend) / f.sum()
    rho = slope / np.sqrt(variance)
    path = bread @ ((w * (f * bend)[:, None]).T @ x)  # how the coefficients move with those of step one, per unit of slope
    within = (w * (f * (1.0 - rho**2 * bend))[:, None]).T @ w
    covariance = variance * (bread @ within @ bread) + slope**2 * (path @ probit.covariance @ path.T)
    cross = slope * (path @ probit.covariance)
    return TwoStep(names, coefficients, covariance, probit, cross, float(np.sqrt(variance)), float(rho))
