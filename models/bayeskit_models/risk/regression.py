"""Least squares, logit and probit regression with robust standard errors: what the baselines are made of.

Rows may stand for several (`weights`: frequencies) and may count for more or less than themselves (`sampling`: inverse
probabilities). Frequencies repeat a row, in the covariance too; sampling weights multiply its estimating function.

A fit that does not exist is refused by name: features that are linear combinations of others, and outcomes that features
separate, for which the likelihood has no maximum (Albert and Anderson 1984, Biometrika 71:1-10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, optimize, special

from bayeskit.errors import DataError, SamplingError, SpecificationError
from bayeskit_models.risk.heckman_law import numpy_algebra

__all__ = ["LINKS", "Regression", "binary_regression", "check_design", "least_squares", "separating_features"]

FloatArray = NDArray[np.float64]

LINKS = ("logit", "probit")
_FAR = {
    "logit": 15.0,
    "probit": 6.0,
}  # a linear predictor beyond it may be on its way to infinity: then separation is looked for
_TOLERANCE = 1e-9  # of a column of unit length, for what is left of it beside the others


@dataclass(frozen=True)
class Regression:
    """A fitted regression.

    Attributes
    ----------
    names : tuple of str
        Names of the P columns of the design.
    coefficients : ndarray, shape (P,)
    covariance : ndarray, shape (P, P)
        By the model: inverse information, or ``s^2 (X'X)^-1`` of least squares with the divisor n - P.
    robust : ndarray, shape (P, P)
        Sandwich without small-sample factor (HC0; White 1980, Econometrica 48:817-838).
    influence : ndarray, shape (n, P)
        What each row adds to the error of the coefficients, to first order; ``robust`` is its weighted sum of squares.
    log_likelihood : float
    residual_variance : float
        ``s^2`` of least squares; NaN for the other two.
    """

    names: tuple[str, ...]
    coefficients: FloatArray
    covariance: FloatArray
    robust: FloatArray
    influence: FloatArray
    log_likelihood: float
    residual_variance: float = float("nan")

    @property
    def standard_errors(self) -> FloatArray:
        """Standard errors by the model, shape (P,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    @property
    def robust_standard_errors(self) -> FloatArray:
        """Robust standard errors, shape (P,)."""
        return np.asarray(np.sqrt(np.diag(self.robust)))


def check_design(design: ArrayLike, names: Sequence[str]) -> FloatArray:
    """Return the design as an array; refuse one whose columns depend on each other.

    Parameters
    ----------
    design : array_like, shape (n, P)
        One column a feature, the intercept among them.
    names : sequence of str
        Their P names.

    Raises
    ------
    SpecificationError
        If the shape does not fit the names.
    DataError
        If a value is not finite, or a column is a linear combination of others (which it names).
    """
    x = np.asarray(design, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != len(names):
        raise SpecificationError(f"design has shape {x.shape}: expected one column for each of the {len(names)} names.")
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        rows = [int(i) for i, j in bad if j == bad[0, 1]]
        raise DataError(
            "holds values that are no numbers.",
            column=names[bad[0, 1]],
            rows=rows,
            rule="finite numbers",
            fix="Drop these rows.",
        )
    length = np.sqrt((x**2).sum(axis=0))
    scaled = x / np.where(length > 0, length, 1.0)
    _, triangle, order = linalg.qr(scaled, mode="economic", pivoting=True)
    rank = int((np.abs(np.diag(triangle)) > _TOLERANCE).sum())
    if rank < x.shape[1]:
        kept, lost = order[:rank], int(order[rank])
        parts = linalg.lstsq(scaled[:, kept], scaled[:, lost])[0] if rank else np.zeros(0)
        others = ", ".join(repr(names[j]) for j, part in zip(kept, parts, strict=True) if abs(part) > 1e-6)
        what = f"is a linear combination of {others} in the {len(x)} rows used" if others else "is zero in all rows used"
        raise DataError(f"{what}.", column=names[lost], rule="no feature is given by the others", fix="Leave one of them out.")
    return x


def _weights(weights: ArrayLike | None, n: int) -> FloatArray:
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (n,) or not (np.isfinite(w) & (w >= 0)).all():
        raise SpecificationError(f"weights: {n} numbers of at least 0 are needed.")
    return w


def least_squares(
    design: ArrayLike,
    outcome: ArrayLike,
    names: Sequence[str],
    *,
    weights: ArrayLike | None = None,
    sampling: ArrayLike | None = None,
) -> Regression:
    """Ordinary or weighted least squares.

    Parameters
    ----------
    design : array_like, shape (n, P)
    outcome : array_like, shape (n,)
    names : sequence of str
        Names of the columns.
    weights, sampling : array_like, shape (n,), optional
        Frequencies and sampling weights of rows; 1 by default.

    Returns
    -------
    Regression
        Its log likelihood is that at the maximum likelihood estimate of the variance.

    Raises
    ------
    SpecificationError, DataError
        As `check_design`, or when there are not more rows than columns.
    """
    x, y = check_design(design, names), np.asarray(outcome, dtype=np.float64)
    f, p = _weights(weights, len(x)), _weights(sampling, len(x))
    count = f.sum()
    if count <= x.shape[1]:
        raise DataError(f"{count:g} rows for {x.shape[1]} coefficients: more rows than coefficients are needed.")
    root = np.sqrt(f * p)
    coefficients = linalg.lstsq(x * root[:, None], y * root)[0]
    residual = y - x @ coefficients
    bread = linalg.inv((x * (f * p)[:, None]).T @ x)
    squares = float(f * p @ residual**2)
    variance = squares / (count - x.shape[1])
    influence = (x * (p * residual)[:, None]) @ bread
    fit = -0.5 * count * (np.log(2 * np.pi * squares / count) + 1.0)
    return Regression(
        tuple(names), coefficients, variance * bread, (influence * f[:, None]).T @ influence, influence, float(fit), variance
    )  # fmt: skip


def _binary_terms(eta: FloatArray, y: FloatArray, link: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log likelihood of rows, its derivative in the linear predictor, and minus the second one."""
    sign = 2.0 * y - 1.0
    if link == "logit":
        chance = special.expit(eta)
        return special.log_expit(sign * eta), y - chance, chance * special.expit(-eta)
    algebra = numpy_algebra()
    ratio = algebra.ratio(sign * eta)
    return algebra.log_cdf(sign * eta), sign * ratio, ratio * (ratio + sign * eta)


def binary_regression(
    design: ArrayLike,
    outcome: ArrayLike,
    names: Sequence[str],
    *,
    link: str = "logit",
    weights: ArrayLike | None = None,
    sampling: ArrayLike | None = None,
    what: str = "outcome",
) -> Regression:
    """Logit or probit regression by maximum likelihood.

    Parameters
    ----------
    design : array_like, shape (n, P)
    outcome : array_like, shape (n,)
        0 or 1.
    names : sequence of str
        Names of the columns.
    link : {"logit", "probit"}
    weights, sampling : array_like, shape (n,), optional
        Frequencies and sampling weights of rows; 1 by default.
    what : str
        What the outcome is called in errors.

    Returns
    -------
    Regression
        The covariance by the model is the inverse of the observed information.

    Raises
    ------
    SpecificationError
        For an unknown link or a design that does not fit.
    DataError
        If an outcome is neither 0 nor 1, all are equal, columns depend on each other, or features separate the outcomes.
    """
    if link not in LINKS:
        raise SpecificationError(f"link={link!r}: one of {', '.join(map(repr, LINKS))}.")
    x, y = check_design(design, names), np.asarray(outcome, dtype=np.float64)
    f, p = _weights(weights, len(x)), _weights(sampling, len(x))
    _check_binary(y, f * p, what)
    coefficients, bread = _maximise(x, y, f * p, link)
    eta = x @ coefficients
    if bread is None or np.abs(eta[f * p > 0]).max() > _FAR[link]:
        _refuse_separation(x[f * p > 0], y[f * p > 0], names, what)
    if bread is None:
        raise SamplingError(f"{link} regression of {what}: the maximum was not found; features of very different scale?")
    value, slope, _ = _binary_terms(eta, y, link)
    influence = (x * (p * slope)[:, None]) @ bread
    robust = (influence * f[:, None]).T @ influence
    return Regression(tuple(names), coefficients, bread, robust, influence, float(f * p @ value))


def _check_binary(y: FloatArray, used: FloatArray, what: str) -> None:
    wrong = np.flatnonzero((y != 0.0) & (y != 1.0))
    if len(wrong):
        raise DataError(
            "holds something other than 0 and 1.", column=what, rows=wrong.tolist(), values=y[wrong].tolist(), rule="0 or 1"
        )
    if len(set(y[used > 0].tolist())) < 2:
        raise DataError("has one value in all rows used: there is nothing to explain.", column=what, rule="both 0 and 1 occur")


def _maximise(x: FloatArray, y: FloatArray, w: FloatArray, link: str) -> tuple[FloatArray, FloatArray | None]:
    """Newton's method with halved steps on columns of unit size; None for the covariance where it does not arrive."""
    scale = np.sqrt((x**2).mean(axis=0))
    z = x / scale
    b = np.zeros(x.shape[1])
    value, slope, curvature = _binary_terms(z @ b, y, link)
    total = w @ value
    for _ in range(100):
        gradient = z.T @ (w * slope)
        try:
            factor = linalg.cho_factor((z * (w * curvature)[:, None]).T @ z)
        except linalg.LinAlgError:
            return b / scale, None
        step = linalg.cho_solve(factor, gradient)
        if gradient @ step < 1e-18 * max(1.0, abs(total)):
            b = b + step
            return b / scale, linalg.cho_solve(factor, np.eye(len(b))) / np.outer(scale, scale)
        for _halving in range(40):
            value, slope, curvature = _binary_terms(z @ (b + step), y, link)
            if w @ value >= total - 1e-12 * abs(total):
                break
            step = step / 2.0
        b, total = b + step, w @ value
    return b / scale, None


def separating_features(design: ArrayLike, outcome: ArrayLike) -> tuple[list[int], bool]:
    """Columns that separate the outcomes, as few as will do, and whether all rows are on their side strictly.

    Features separate where ``(2 y - 1) x'b >= 0`` in all rows for some b, and not all are 0: then the likelihood grows along b
    without end. Found exactly, by linear programming; columns are left out one by one while the rest still separates.

    Parameters
    ----------
    design : array_like, shape (n, P)
    outcome : array_like, shape (n,)
        0 or 1.

    Returns
    -------
    columns : list of int
        Empty where the outcomes are not separated.
    complete : bool
        True where no row lies on the border (complete as against quasi-complete separation).
    """
    x, y = np.asarray(design, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    side = (2.0 * y - 1.0)[:, None] * x / np.sqrt((x**2).mean(axis=0))
    columns = list(range(x.shape[1]))
    if _apart(side, columns) is None:
        return [], False
    for j in range(x.shape[1] - 1, -1, -1):
        rest = [k for k in columns if k != j]
        if rest and _apart(side, rest) is not None:
            columns = rest
    # complete where the least margin can be raised above 0: one more unknown, the margin that all rows keep
    part = side[:, columns]
    rows = np.column_stack([-part, np.ones(len(part))])
    found: Any = optimize.linprog(
        np.append(np.zeros(len(columns)), -1.0),
        A_ub=rows,
        b_ub=np.zeros(len(part)),
        bounds=[*[(-1.0, 1.0)] * len(columns), (0, 1)],
    )
    return columns, bool(found.status == 0 and -found.fun > 1e-9)


def _apart(side: FloatArray, columns: list[int]) -> FloatArray | None:
    """Margins of the rows in the direction that separates most of them, or None."""
    part = side[:, columns]
    # minimise minus the sum of margins, each between 0 and 1
    rows = np.vstack([part, -part])
    limits = np.concatenate([np.ones(len(part)), np.zeros(len(part))])
    found: Any = optimize.linprog(-part.sum(axis=0), A_ub=rows, b_ub=limits, bounds=(-1e6, 1e6), method="highs")
    if found.status != 0 or -found.fun < 1e-6:
        return None
    return np.asarray(part @ found.x)


def _refuse_separation(x: FloatArray, y: FloatArray, names: Sequence[str], what: str) -> None:
    columns, complete = separating_features(x, y)
    if not columns:
        return
    listing = ", ".join(repr(names[j]) for j in columns)
    kind = "completely" if complete else "up to ties"
    raise DataError(
        f"is separated {kind} by {listing}: on one side of a border all values are 1, on the other all are 0.",
        column=what,
        rule="a likelihood has a maximum only where no combination of features separates the outcomes",
        fix="Leave the feature out or join its categories; a fit with priors needs neither.",
    )
