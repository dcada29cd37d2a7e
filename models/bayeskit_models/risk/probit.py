"""A binary outcome and a test with normal errors: the bivariate probit model with a selected outcome.

    Y = 1[mu + e > 0],   T = 1[nu + eps > 0],   corr(e, eps) = rho

Only the reduced form is identified: mu and nu have coefficients of their own, and what would tell departures of testing from
following the risk, the scale of the unobservable, is not. So there is no expertise here. The law is in `bivariate_probit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr

from bayeskit.errors import SpecificationError
from bayeskit_models.risk.assumptions import sign_places, stated_numbers

if TYPE_CHECKING:
    from bayeskit import Graph
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["ProbitCoefficients", "probit_coefficients", "write_probit"]

FloatArray = NDArray[np.float64]

_BLOCK = 2_000_000  # numbers that are worked on at a time


@dataclass(frozen=True)
class ProbitCoefficients:
    """Draws of the parameters, with the draws first.

    Attributes
    ----------
    risk, testing : ndarray, shape (S, p + 1), (S, q + 1)
        Intercept first.
    correlation : ndarray, shape (S,)
    """

    risk: FloatArray
    testing: FloatArray
    correlation: FloatArray

    def __getitem__(self, which: Any) -> ProbitCoefficients:
        return ProbitCoefficients(self.risk[which], self.testing[which], self.correlation[which])

    def __len__(self) -> int:
        return len(self.correlation)

    def predictors(self, risk_columns: FloatArray, testing_columns: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Probit scores of outcome and test of every draw and row, shape (S, n)."""
        first = self.risk[:, :1] + self.risk[:, 1:] @ risk_columns
        return first, self.testing[:, :1] + self.testing[:, 1:] @ testing_columns

    def rows(self, risk_columns: FloatArray, testing_columns: FloatArray) -> FloatArray:
        """For every draw and row P(Y = 1), P(T = 1, Y = 1) and P(T = 0), shape (S, n, 3)."""
        from bayeskit_models.risk.bivariate_normal import log_bivariate_normal_cdf

        mu, nu = self.predictors(risk_columns, testing_columns)
        both = np.exp(log_bivariate_normal_cdf(mu, nu, np.arctanh(self.correlation)[:, None]))
        return np.stack([ndtr(mu), both, ndtr(-nu)], axis=-1)

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
        """Prevalence of every group with a stated one, shape (S, groups)."""
        code, weight = statistics["stated_code"].values, statistics["weight"].values
        share = np.stack([weight * (code == g) for g in range(statistics.sizes["stated"])], axis=1)
        share /= np.maximum(share.sum(0), 1e-300)
        columns, step = statistics["risk_columns"].values, max(1, _BLOCK // len(weight))
        parts = [
            ndtr(self.risk[s : s + step, :1] + self.risk[s : s + step, 1:] @ columns) @ share for s in range(0, len(self), step)
        ]
        return np.concatenate(parts)

    def log_rows(self, statistics: xr.Dataset, testing_columns: FloatArray) -> FloatArray:
        """Log likelihood of one row of each cell, shape (S, rows)."""
        from bayeskit_models.risk.bivariate_probit import log_cells

        mu, nu = self.predictors(statistics["risk_columns"].values, testing_columns)
        ill, well, untested = log_cells(mu, nu, np.arctanh(self.correlation)[:, None])
        kind = np.repeat([0, 1, 2], np.diff(statistics["kind_ptr"].values))
        return np.where(kind == 0, untested, np.where(kind == 1, ill, well))

    def unobserved(self, statistics: xr.Dataset, testing_columns: FloatArray) -> FloatArray:
        """Refused: the scale of the unobservable is not identified here."""
        raise SpecificationError("unobserved: with link='probit' the scale of the unobservable is not identified.")


def probit_coefficients(values: Mapping[str, Any]) -> ProbitCoefficients:
    """Draws of the variables, each with the draws first."""
    correlation = np.asarray(values["correlation"], dtype=float)

    def joined(*names: str) -> FloatArray:
        parts = [np.asarray(values[n], dtype=float).reshape(len(correlation), -1) for n in names if n in values]
        return np.concatenate(parts, axis=1)

    parts = joined("risk_intercept", "risk_effect"), joined("testing_intercept", "testing_effect")
    return ProbitCoefficients(*parts, correlation)


def write_probit(spec: SelectiveRisk, graph: Graph) -> None:
    """Priors, constraints and the fused likelihood of the bivariate probit model."""
    import pytensor.tensor as pt

    from bayeskit_models.risk.bivariate_probit import log_likelihood

    correlation = graph.prior("correlation")
    mu, nu = graph.prior("risk_intercept"), graph.prior("testing_intercept")
    weight, ptr = graph.data("weight"), graph.data("kind_ptr")
    n = weight.shape[0]
    mu_rows, nu_rows = mu + pt.zeros(n), nu + pt.zeros(n)
    if "risk_effect" in graph.assumptions:
        mu_rows = mu_rows + pt.dot(graph.prior("risk_effect"), graph.data("risk_columns"))
    if "testing_effect" in graph.assumptions:
        nu_rows = nu_rows + pt.dot(graph.prior("testing_effect"), graph.data("testing_columns"))
    place = pt.arange(n)
    untested, ill = place < ptr[1], (place >= ptr[1]) & (place < ptr[2])
    weights = [weight * chosen for chosen in (ill, place >= ptr[2], untested)]
    graph.likelihood(log_likelihood(mu_rows, nu_rows, pt.arctanh(correlation)[None], *weights))
    if spec.stated:
        risks, code = 0.5 * pt.erfc(-mu_rows / np.sqrt(2.0)), graph.data("stated_code")
        numbers = [[graph.dial(name) for name in names] for names in stated_numbers(spec)]
        total: Any = 0.0
        for g, (low, high, sd) in enumerate(numbers):
            share = weight * pt.eq(code, g)
            implied = (share * risks).sum() / pt.maximum(share.sum(), 1e-300)
            off = pt.minimum(implied - low, 0.0) + pt.maximum(implied - high, 0.0)
            total = total - 0.5 * (off / sd) ** 2
        graph.constraint("prevalence", total)
    if spec.signs:
        places, signs = sign_places(spec, graph.statistics)
        wrong = -graph.dial("signs.sharpness") * signs * graph.variables["risk_effect"][np.array(places)]
        graph.constraint("signs", -pt.softplus(wrong).sum())
