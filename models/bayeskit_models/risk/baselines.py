"""What people do without a model of selection, side by side: four comparators in one table.

====================  ==========================================================  ===========================
method                what it does                                                what it assumes
====================  ==========================================================  ===========================
tested only           regression on the tested                                    testing ignores the unseen
untested negative     regression on all, untested as outcome 0 (binary only)      nobody untested has it
inverse probability   the tested, weighted by one over their chance of testing    testing ignores the unseen
Heckman two-step      probit of testing, then its Mills ratio (continuous only)   normal errors
====================  ==========================================================  ===========================

Standard errors are robust (HC0) for the first three; those of the weighted regression know that its weights are estimates
(stacked estimating equations; Lunceford and Davidian 2004, Statistics in Medicine 23:2937-2960); those of Heckman's method are
the corrected ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from bayeskit.errors import DataError, SpecificationError
from bayeskit_models.risk.heckman_law import numpy_algebra
from bayeskit_models.risk.regression import LINKS, Regression, binary_regression, check_design, least_squares
from bayeskit_models.risk.two_step import heckman_two_step

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "METHODS",
    "Baseline",
    "Selected",
    "baseline_table",
    "inverse_probability",
    "tested_only",
    "two_step",
    "untested_negative",
]

FloatArray = NDArray[np.float64]

METHODS = ("tested only", "untested negative", "inverse probability", "Heckman two-step")


@dataclass(frozen=True)
class Selected:
    """Rows with a selected outcome, as the comparators take them.

    Attributes
    ----------
    outcome : array_like, shape (n,)
        0 or 1 where `link` is given, else any number; not looked at where `tested` is false.
    tested : array_like of bool, shape (n,)
    risk, testing : array_like, shape (n, P) and (n, Q)
        Designs of outcome and testing, intercepts included.
    risk_names, testing_names : sequence of str
        Names of their columns.
    link : {"logit", "probit", None}
        Of a binary outcome, and of the probability of testing; None is a continuous outcome (testing by probit then).
    weights : array_like, shape (n,), optional
        How many rows each one stands for.

    Raises
    ------
    SpecificationError
        If lengths do not fit or the link is unknown.
    DataError
        If nobody was tested, everybody was, or the outcome of a tested row is no number.
    """

    outcome: ArrayLike
    tested: ArrayLike
    risk: ArrayLike
    testing: ArrayLike
    risk_names: Sequence[str]
    testing_names: Sequence[str]
    link: str | None = None
    weights: ArrayLike | None = None

    def __post_init__(self) -> None:
        seen = np.asarray(self.tested, dtype=bool)
        n = len(seen)
        count = np.ones(n) if self.weights is None else np.asarray(self.weights, dtype=np.float64)
        y = np.asarray(self.outcome, dtype=np.float64)
        if self.link not in (None, *LINKS):
            raise SpecificationError(f"link={self.link!r}: one of {', '.join(map(repr, LINKS))} or None.")
        if y.shape != (n,) or count.shape != (n,):
            raise SpecificationError(f"outcome has shape {y.shape}, weights {count.shape}: expected ({n},), that of tested.")
        used = count > 0
        for nobody, where in (("nobody was tested", seen), ("everybody was tested", ~seen)):
            if not (where & used).any():
                raise DataError(f"{nobody}: there is no selection to correct for.", column="tested", rule="both occur")
        bad = np.flatnonzero(seen & used & ~np.isfinite(y))
        if len(bad):
            raise DataError(
                "is no number for rows that were tested.", column="outcome", rows=bad.tolist(), rule="finite numbers"
            )
        designs = check_design(self.risk, self.risk_names), check_design(self.testing, self.testing_names)
        if any(len(d) != n for d in designs):
            raise SpecificationError(f"risk and testing have {[len(d) for d in designs]} rows: expected {n} each.")
        clean = {"outcome": y, "tested": seen, "risk": designs[0], "testing": designs[1], "weights": count}
        for name, value in clean.items():
            object.__setattr__(self, name, value)

    @property
    def arrays(self) -> tuple[FloatArray, NDArray[np.bool_], FloatArray, FloatArray, FloatArray]:
        """Outcome, tested, risk, testing, weights: checked arrays."""
        return self.outcome, self.tested, self.risk, self.testing, self.weights  # type: ignore[return-value]


@dataclass(frozen=True)
class Baseline:
    """One comparator.

    Attributes
    ----------
    method : str
        One of `METHODS`.
    names : tuple of str
    coefficients : ndarray, shape (P,)
    covariance : ndarray, shape (P, P)
        Robust or corrected, see the module.
    everybody, untested : (float, float)
        Mean outcome that the method implies for all rows and for the untested ones, with its standard error: by the delta
        method, for these very rows.
    remark : str
        What to know when reading it.
    """

    method: str
    names: tuple[str, ...]
    coefficients: FloatArray
    covariance: FloatArray
    everybody: tuple[float, float]
    untested: tuple[float, float]
    remark: str = ""

    @property
    def standard_errors(self) -> FloatArray:
        """Standard errors of the coefficients, shape (P,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))


def _regress(rows: Selected, x: FloatArray, y: FloatArray, f: FloatArray, sampling: FloatArray | None = None) -> Regression:
    if rows.link is None:
        return least_squares(x, y, rows.risk_names, weights=f, sampling=sampling)
    return binary_regression(x, y, rows.risk_names, link=rows.link, weights=f, sampling=sampling)


def _mean(x: FloatArray, f: FloatArray, link: str | None, b: FloatArray, covariance: FloatArray) -> tuple[float, float]:
    """Weighted mean of the fitted outcome over rows and its standard error by the delta method."""
    eta, share = x @ b, f / f.sum()
    if link is None:
        value, slope = eta, np.ones_like(eta)
    elif link == "logit":
        value, slope = special.expit(eta), special.expit(eta) * special.expit(-eta)
    else:
        value, slope = special.ndtr(eta), stats.norm.pdf(eta)
    gradient = x.T @ (share * slope)
    return float(share @ value), float(np.sqrt(gradient @ covariance @ gradient))


def _baseline(rows: Selected, method: str, fit: Regression, covariance: FloatArray, remark: str = "") -> Baseline:
    _, seen, x, _, f = rows.arrays
    means = [_mean(x[part], f[part], rows.link, fit.coefficients, covariance) for part in (slice(None), ~seen)]
    return Baseline(method, fit.names, fit.coefficients, covariance, means[0], means[1], remark)


def tested_only(rows: Selected) -> Baseline:
    """Regression on the tested rows.

    Raises
    ------
    DataError
        If columns depend on each other among the tested, or features separate their outcomes.
    """
    y, seen, x, _, f = rows.arrays
    fit = _regress(rows, x[seen], y[seen], f[seen])
    return _baseline(rows, METHODS[0], fit, fit.robust)


def untested_negative(rows: Selected) -> Baseline:
    """Regression on everybody with outcome 0 for the untested.

    Raises
    ------
    SpecificationError
        For a continuous outcome, which has no value that stands for "negative".
    DataError
        As `tested_only`.
    """
    if rows.link is None:
        raise SpecificationError("untested_negative: a continuous outcome has no value that stands for negative.")
    y, seen, x, _, f = rows.arrays
    fit = _regress(rows, x, np.where(seen, y, 0.0), f)
    found = _baseline(rows, METHODS[1], fit, fit.robust)
    share = float(f[~seen].sum() / f.sum())
    return Baseline(
        found.method, found.names, found.coefficients, found.covariance, found.everybody, found.untested,
        f"{share:.0%} of the rows are negative by decree",
    )  # fmt: skip


def inverse_probability(rows: Selected, *, known: bool = False) -> Baseline:
    """Regression on the tested, weighted by one over their probability of testing.

    Parameters
    ----------
    rows : Selected
    known : bool
        Whether the weights are taken for known, as programs for weighted data do; then standard errors are usually too large.

    Returns
    -------
    Baseline
        The remark says the largest weight and how many rows the weighted sample is worth (Kish).

    Raises
    ------
    DataError
        As `tested_only`, and if features separate the tested from the others.
    """
    y, seen, x, z, f = rows.arrays
    link = rows.link or "probit"
    testing = binary_regression(z, seen, rows.testing_names, link=link, weights=f, what="tested")
    score = (z @ testing.coefficients)[seen]
    if link == "logit":
        chance, relative = special.expit(score), special.expit(-score)  # relative slope: d log p / d score
    else:
        chance, relative = special.ndtr(score), numpy_algebra().ratio(score)
    fit = _regress(rows, x[seen], y[seen], f[seen], 1.0 / chance)
    covariance = fit.robust
    if not known:
        # the influence of a row on the weighted regression, plus what its share in the estimated weights does to it
        path = -(fit.influence * (f[seen] * relative)[:, None]).T @ z[seen]
        influence = testing.influence @ path.T
        influence[seen] += fit.influence
        covariance = (influence * f[:, None]).T @ influence
    effective = float((f[seen] / chance).sum() ** 2 / (f[seen] / chance**2).sum())
    remark = f"largest weight {1.0 / chance.min():.3g}; {f[seen].sum():g} tested rows weigh as much as {effective:.0f}"
    return _baseline(rows, METHODS[2], fit, covariance, remark)


def two_step(rows: Selected) -> Baseline:
    """Heckman's two-step estimator; see `heckman_two_step`.

    Raises
    ------
    SpecificationError
        For a binary outcome, for which the method is not made.
    DataError
        As `heckman_two_step`.
    """
    if rows.link is not None:
        raise SpecificationError("two_step: for continuous outcomes; a binary one with normal errors is the bivariate probit.")
    y, seen, x, z, f = rows.arrays
    fit = heckman_two_step(
        y, seen, x, z, outcome_names=rows.risk_names, testing_names=rows.testing_names, weights=f
    )  # fmt: skip
    # E[Y | T = 0] = x'b - slope * lambda(-score): it moves with the coefficients of both steps
    score = z[~seen] @ fit.testing.coefficients
    ratio = numpy_algebra().ratio(-score)
    share = f[~seen] / f[~seen].sum()
    value = x[~seen] @ fit.coefficients[:-1] - fit.coefficients[-1] * ratio
    by_outcome = np.append(x[~seen].T @ share, -(share @ ratio))
    by_testing = -fit.coefficients[-1] * (z[~seen].T @ (share * ratio * (ratio - score)))
    variance = by_outcome @ fit.covariance @ by_outcome + by_testing @ fit.testing.covariance @ by_testing
    variance += 2.0 * by_outcome @ fit.cross @ by_testing
    everybody = _mean(x, f, None, fit.coefficients[:-1], fit.covariance[:-1, :-1])
    remark = f"sigma {fit.sigma:.4g}, rho {fit.rho:.3f}" + ("" if fit.admissible else ": no correlation, do not use")
    untested = (float(share @ value), float(np.sqrt(variance)))
    return Baseline(METHODS[3], fit.names, fit.coefficients, fit.covariance, everybody, untested, remark)


def baseline_table(rows: Selected, *, probability: float = 0.95) -> pd.DataFrame:
    """All comparators that fit the kind of outcome, in one table.

    Parameters
    ----------
    rows : Selected
    probability : float
        Nominal coverage of the intervals (normal approximation), between 0 and 1.

    Returns
    -------
    DataFrame
        One row a method and term: ``method``, ``term`` (a coefficient, "mean outcome, everybody" or "mean outcome, untested"),
        ``estimate``, ``standard_error``, ``lower``, ``upper``, ``remark``. A method that the data do not allow has one row
        without numbers whose remark says why.

    Raises
    ------
    SpecificationError
        For a probability outside 0 to 1.
    """
    import pandas as pd

    if not 0.0 < probability < 1.0:
        raise SpecificationError(f"probability={probability!r}: must lie between 0 and 1.")
    reach = float(stats.norm.ppf(0.5 + probability / 2.0))
    lines: list[tuple[object, ...]] = []
    methods = {METHODS[0]: tested_only, METHODS[2]: inverse_probability}
    methods |= {METHODS[3]: two_step} if rows.link is None else {METHODS[1]: untested_negative}
    for name, method in methods.items():
        try:
            found = method(rows)
        except DataError as fault:
            lines.append((name, "", np.nan, np.nan, np.nan, np.nan, str(fault).splitlines()[0]))
            continue
        terms = [*found.names, "mean outcome, everybody", "mean outcome, untested"]
        values = [*found.coefficients, found.everybody[0], found.untested[0]]
        errors = [*found.standard_errors, found.everybody[1], found.untested[1]]
        for term, value, error in zip(terms, values, errors, strict=True):
            lines.append((name, term, value, error, value - reach * error, value + reach * error, found.remark))
    return pd.DataFrame(lines, columns=["method", "term", "estimate", "standard_error", "lower", "upper", "remark"])
