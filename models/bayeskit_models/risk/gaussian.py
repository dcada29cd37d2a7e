"""A continuous outcome with normal errors: Heckman's model, in the correlation of the errors.

    Y = x' beta_Y + sigma e,   T = 1[nu + eps > 0],   corr(e, eps) = rho,

with everything of Y in units of `unit`. Testing follows the outcome: it is ``1[alpha Y + x' beta_Delta + N(0, 1) > 0]`` with
``alpha sigma = rho / sqrt(1 - rho^2)``. So a covariate along which testing does not depart has in nu the coefficient
``rho / sigma`` times that in the mean; the others have a coefficient of their own, as is usual for Heckman's model. The law
and its moments are in `heckman_law`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr

from bayeskit.assumptions import Assumption, Prior
from bayeskit_models.risk import heckman_law
from bayeskit_models.risk.assumptions import sign_places, stated_numbers

if TYPE_CHECKING:
    from bayeskit import Graph
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["GaussianCoefficients", "correlation_assumption", "followed", "gaussian_coefficients", "write_gaussian"]

FloatArray = NDArray[np.float64]

_BLOCK = 4_000_000  # numbers that are worked on at a time


def followed(statistics: xr.Dataset) -> FloatArray:
    """1 for the terms of the risk along which testing does not depart, else 0."""
    free = set(map(str, statistics["testing_term"].values))
    return np.array([0.0 if str(t) in free else 1.0 for t in statistics["risk_term"].values])


@dataclass(frozen=True)
class GaussianCoefficients:
    """Draws of the parameters, with the draws first.

    Attributes
    ----------
    risk, testing : ndarray, shape (S, p + 1), (S, q + 1)
        Intercept first: of the mean, and of testing (probit; free terms).
    follows : ndarray, shape (p,)
        See `followed`.
    sigma, correlation : ndarray, shape (S,)
    unit : (float, float)
        What of the user's outcome is 0 inside, and how much of it is one unit.
    """

    risk: FloatArray
    testing: FloatArray
    follows: FloatArray
    sigma: FloatArray
    correlation: FloatArray
    unit: tuple[float, float]

    def __getitem__(self, which: Any) -> GaussianCoefficients:
        parts = self.risk[which], self.testing[which]
        return GaussianCoefficients(*parts, self.follows, self.sigma[which], self.correlation[which], self.unit)

    def __len__(self) -> int:
        return len(self.sigma)

    @property
    def alpha(self) -> FloatArray:
        """Probit score of testing per unit of the outcome."""
        return np.asarray(np.sinh(np.arctanh(self.correlation)) / self.sigma)

    def predictors(self, risk_columns: FloatArray, testing_columns: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and probit score of every draw and row, shape (S, n), on the internal scale."""
        mean = self.risk[:, :1] + self.risk[:, 1:] @ risk_columns
        ratio = (self.correlation / self.sigma)[:, None]
        score = self.testing[:, :1] + self.testing[:, 1:] @ testing_columns
        return mean, score + (ratio * self.risk[:, 1:] * self.follows) @ risk_columns

    def _law(self) -> tuple[FloatArray, FloatArray]:
        return np.log(self.sigma)[:, None], np.arctanh(self.correlation)[:, None]

    def rows(self, risk_columns: FloatArray, testing_columns: FloatArray) -> FloatArray:
        """For every draw and row E[Y], E[Y; tested] and P(untested), in the user's unit, shape (S, n, 3)."""
        mean, score = self.predictors(risk_columns, testing_columns)
        inside, _ = heckman_law.moments(mean, score, *self._law(), np.ones(score.shape, dtype=bool))
        centre, spread = self.unit
        tested = ndtr(score)
        return np.stack([centre + spread * mean, tested * (centre + spread * inside), ndtr(-score)], axis=-1)

    def sums(self, statistics: xr.Dataset, testing_columns: FloatArray) -> FloatArray:
        """Weighted means over the rows of the same, shape (S, 3)."""
        weight, columns = statistics["weight"].values, statistics["risk_columns"].values
        share = weight / weight.sum()
        step = max(1, _BLOCK // len(weight))
        parts = [
            np.einsum("snk,n->sk", self[s : s + step].rows(columns, testing_columns), share) for s in range(0, len(self), step)
        ]
        return np.concatenate(parts)

    def implied(self, statistics: xr.Dataset) -> FloatArray:
        """Mean outcome of every group with a stated one, in the user's unit, shape (S, groups)."""
        centre, spread = self.unit
        means = statistics["stated_means"].values  # of the covariates, by group
        return np.asarray(centre + spread * (self.risk[:, :1] + self.risk[:, 1:] @ means.T))

    def log_rows(self, statistics: xr.Dataset, testing_columns: FloatArray) -> FloatArray:
        """Log likelihood of one row of each cell in the user's unit, shape (S, rows)."""
        mean, score = self.predictors(statistics["risk_columns"].values, testing_columns)
        tested = np.arange(mean.shape[1]) >= int(statistics["kind_ptr"][1])
        found = heckman_law.log_likelihood(statistics["outcome"].values, tested, mean, score, *self._law())
        return found - np.where(tested, np.log(self.unit[1]), 0.0)

    def unobserved(self, statistics: xr.Dataset, testing_columns: FloatArray) -> FloatArray:
        """Mean of the error of the outcome given what was seen, in the user's unit, shape (S, rows)."""
        mean, score = self.predictors(statistics["risk_columns"].values, testing_columns)
        tested = np.arange(mean.shape[1]) >= int(statistics["kind_ptr"][1])
        inside, _ = heckman_law.moments(mean, score, *self._law(), np.zeros(score.shape, dtype=bool))
        seen = np.where(tested, statistics["outcome"].values, inside)
        return np.asarray(self.unit[1] * (seen - mean))


def gaussian_coefficients(values: Mapping[str, Any], statistics: xr.Dataset) -> GaussianCoefficients:
    """Draws of the variables, each with the draws first."""
    sigma = np.asarray(values["unobserved_scale"], dtype=float)

    def joined(*names: str) -> FloatArray:
        parts = [np.asarray(values[n], dtype=float).reshape(len(sigma), -1) for n in names if n in values]
        return np.concatenate(parts, axis=1)

    unit = tuple(map(float, statistics["unit"].values))
    correlation = np.asarray(values["correlation"], dtype=float)
    parts = joined("risk_intercept", "risk_effect"), joined("testing_intercept", "testing_effect")
    return GaussianCoefficients(*parts, followed(statistics), sigma, correlation, (unit[0], unit[1]))


def correlation_assumption(spec: SelectiveRisk) -> Assumption:
    """The prior of the correlation of the errors."""
    lower = 0.0 if spec.alpha == "positive" else -1.0
    told = "not negative" if spec.alpha == "positive" else "of either sign"
    sentence = (
        f"What moves the outcome beyond the covariates and what moves testing have a correlation, {told}, all equally likely."
    )
    prior = Prior("Uniform", lower=lower, upper=1.0)
    return Assumption("correlation", sentence, "hyper", prior, setting="alpha", alternatives=("free", "positive"))


def write_gaussian(spec: SelectiveRisk, graph: Graph) -> None:
    """Priors, constraints and the fused likelihood of Heckman's model."""
    import pytensor.tensor as pt

    from bayeskit_models.risk.heckman_kernel import log_likelihood

    sigma, correlation = graph.prior("unobserved_scale"), graph.prior("correlation")
    mean, score = graph.prior("risk_intercept"), graph.prior("testing_intercept")
    columns = graph.data("risk_columns")
    n = graph.data("weight").shape[0]
    mean_rows, score_rows = mean + pt.zeros(n), score + pt.zeros(n)
    if "risk_effect" in graph.assumptions:
        effect = graph.prior("risk_effect")
        mean_rows = mean_rows + pt.dot(effect, columns)
        follows = followed(graph.statistics)
        if follows.any():
            score_rows = score_rows + pt.dot(correlation / sigma * effect * follows, columns)
    if "testing_effect" in graph.assumptions:
        score_rows = score_rows + pt.dot(graph.prior("testing_effect"), graph.data("testing_columns"))
    first, weight = graph.data("kind_ptr")[1], graph.data("weight")
    found = log_likelihood(
        mean_rows, score_rows, pt.log(sigma)[None], pt.arctanh(correlation)[None], graph.data("outcome")[first:],
        pt.arange(first, n), weight[first:], pt.arange(first), weight[:first],
    )  # fmt: skip
    graph.likelihood(found + graph.data("log_unit"))
    if spec.stated:
        centre, spread = graph.data("unit")[0], graph.data("unit")[1]
        implied = mean + pt.zeros(graph.data("stated_means").shape[0])
        if "risk_effect" in graph.assumptions:
            implied = implied + pt.dot(graph.data("stated_means"), graph.variables["risk_effect"])
        numbers = [[graph.dial(name) for name in names] for names in stated_numbers(spec)]
        low, high, sd = (pt.stack([row[k] for row in numbers]) for k in range(3))
        off = pt.minimum(centre + spread * implied - low, 0.0) + pt.maximum(centre + spread * implied - high, 0.0)
        graph.constraint("prevalence", -0.5 * ((off / sd) ** 2).sum())
    if spec.signs:
        places, signs = sign_places(spec, graph.statistics)
        wrong = -graph.dial("signs.sharpness") * signs * graph.variables["risk_effect"][np.array(places)]
        graph.constraint("signs", -pt.softplus(wrong).sum())
