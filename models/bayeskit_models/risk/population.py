"""Probabilities of rows and sums over the people of the table, for many draws at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit.errors import StorageError
from bayeskit_models.risk.assumptions import stated_numbers
from bayeskit_models.risk.gaussian import GaussianCoefficients, gaussian_coefficients
from bayeskit_models.risk.probit import ProbitCoefficients, probit_coefficients
from bayeskit_models.risk.unobserved import law_nodes

if TYPE_CHECKING:
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["AnyCoefficients", "Coefficients", "coefficients_of", "pooled", "prevalence_log_weight", "testing_columns"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Coefficients:
    """Draws in the form that the kernels read.

    Attributes
    ----------
    risk, testing : ndarray, shape (S, p + 1), (S, q + 1)
        Intercept first; testing with the terms that expertise holds last.
    sigma, alpha : ndarray, shape (S,)
    nodes, node_weight : ndarray, shape (K,)
        Of Z / sigma.
    """

    risk: FloatArray
    testing: FloatArray
    sigma: FloatArray
    alpha: FloatArray
    nodes: FloatArray
    node_weight: FloatArray

    def __len__(self) -> int:
        return len(self.sigma)

    def rows(self, risk_columns: FloatArray, testing_columns: FloatArray) -> FloatArray:
        """For every draw and row P(Y = 1), P(T = 1, Y = 1) and P(T = 0), shape (S, n, 3)."""
        from bayeskit_models.risk.population_kernel import probabilities

        columns = np.ascontiguousarray(risk_columns), np.ascontiguousarray(testing_columns)
        return np.asarray(probabilities(*self._parameters, *columns, self.nodes, self.node_weight))

    def sums(self, statistics: xr.Dataset, testing_columns: FloatArray) -> FloatArray:
        """Weighted means over the rows of the same, shape (S, 3)."""
        from bayeskit_models.risk.population_kernel import sums

        weight, columns = statistics["weight"].values, np.ascontiguousarray(statistics["risk_columns"].values)
        found = sums(*self._parameters, columns, testing_columns, weight, self.nodes, self.node_weight)
        return np.asarray(found / weight.sum())

    def implied(self, statistics: xr.Dataset) -> FloatArray:
        """Prevalence of every group with a stated one, shape (S, groups)."""
        from bayeskit_models.risk.population_kernel import prevalences

        code, weight = statistics["stated_code"].values, statistics["weight"].values
        columns, groups = np.ascontiguousarray(statistics["risk_columns"].values), statistics.sizes["stated"]
        return np.asarray(prevalences(self.risk, self.sigma, columns, code, weight, groups, self.nodes, self.node_weight))

    def log_rows(self, statistics: xr.Dataset, testing_columns: FloatArray) -> FloatArray:
        """Log likelihood of one row of each cell, shape (S, rows)."""
        from bayeskit_models.risk.population_kernel import log_rows

        columns = np.ascontiguousarray(statistics["risk_columns"].values), testing_columns
        return np.asarray(log_rows(*self._parameters, *columns, statistics["kind_ptr"].values, self.nodes, self.node_weight))

    def unobserved(self, statistics: xr.Dataset, testing_columns: FloatArray) -> FloatArray:
        """Mean of the unobservable given what was seen, shape (S, rows)."""
        from bayeskit_models.risk.population_kernel import unobserved_means

        nodes = (self.nodes, self.node_weight) if len(self.nodes) else law_nodes("uniform")
        columns = np.ascontiguousarray(statistics["risk_columns"].values), testing_columns
        return np.asarray(unobserved_means(*self._parameters, *columns, statistics["kind_ptr"].values, *nodes))

    @property
    def _parameters(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        return self.risk, self.testing, self.sigma, self.alpha

    def __getitem__(self, which: Any) -> Coefficients:
        return Coefficients(
            self.risk[which], self.testing[which], self.sigma[which], self.alpha[which], self.nodes, self.node_weight
        )


AnyCoefficients = Coefficients | GaussianCoefficients | ProbitCoefficients


def coefficients_of(
    spec: SelectiveRisk, values: Mapping[str, Any], statistics: xr.Dataset, dials: Mapping[str, float], refine: int = 1
) -> AnyCoefficients:
    """Draws of the variables, each with the draws first, in the form of the family; `refine` multiplies the nodes."""
    if spec.family == "gaussian":
        return gaussian_coefficients(values, statistics)
    if spec.link == "probit":
        return probit_coefficients(values)
    sigma = np.asarray(values["unobserved_scale"], dtype=float)
    size = len(sigma)

    def joined(*names: str) -> FloatArray:
        parts = [np.asarray(values[n], dtype=float).reshape(size, -1) for n in names if n in values]
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    alpha = np.full(size, dials["alpha.value"]) if isinstance(spec.alpha, float) else np.asarray(values["alpha"], dtype=float)
    known = spec.unobserved == "uniform" and isinstance(spec.alpha, float) and refine == 1
    nodes = (np.zeros(0), np.zeros(0)) if known else law_nodes(spec.unobserved, dials.get("unobserved.nu"), refine)
    return Coefficients(
        joined("risk_intercept", "risk_effect"),
        joined("testing_intercept", "testing_effect", "expertise"),
        sigma,
        alpha,
        *nodes,
    )


def pooled(draws: xr.Dataset) -> dict[str, FloatArray]:
    """Draws of every variable with chains one after the other."""
    arrays = {str(n): v.transpose("chain", "draw", ...).values for n, v in draws.data_vars.items()}
    return {n: v.reshape(v.shape[0] * v.shape[1], *v.shape[2:]) for n, v in arrays.items()}


def testing_columns(statistics: xr.Dataset) -> FloatArray:
    """Columns of the free and the held terms of testing, in the order of their coefficients."""
    return np.ascontiguousarray(np.concatenate([statistics["testing_columns"].values, statistics["held_columns"].values]))


def prevalence_log_weight(
    spec: SelectiveRisk, values: Mapping[str, Any], statistics: xr.Dataset, dials: Mapping[str, float]
) -> FloatArray:
    """The NumPy twin of `kernel.prevalence_kernel`, per draw.

    Raises
    ------
    StorageError
        If the statistics have no rows: the prevalence is a mean over people.
    """
    if "stated_code" not in statistics and "stated_means" not in statistics:
        raise StorageError(
            "This run was saved without its rows, over which a stated prevalence is taken. Give the table again: "
            "fit.refit(table=...), or save with statistics=True."
        )
    implied = coefficients_of(spec, values, statistics, dials).implied(statistics)
    numbers = np.array([[dials[name] for name in names] for names in stated_numbers(spec)])
    off = np.minimum(implied - numbers[:, 0], 0.0) + np.maximum(implied - numbers[:, 1], 0.0)
    return np.asarray(-0.5 * ((off / numbers[:, 2]) ** 2).sum(1))
