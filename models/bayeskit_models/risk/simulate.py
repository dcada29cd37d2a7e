"""Simulated rows from exactly the model and priors that are fitted, and the generators of the published synthetic study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayeskit import Simulation
from bayeskit.errors import SpecificationError
from bayeskit_models.risk.gaussian import GaussianCoefficients
from bayeskit_models.risk.population import Coefficients, coefficients_of, testing_columns

if TYPE_CHECKING:
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["Screening", "draw_constrained", "draw_prior_batch", "simulate_rows", "synthetic_screening"]

FloatArray = NDArray[np.float64]

_BATCH = 64  # draws that are weighed at a time
_BATCHES = 5000


def draw_prior_batch(
    spec: SelectiveRisk, statistics: xr.Dataset, rng: np.random.Generator, dials: Mapping[str, float], size: int
) -> dict[str, FloatArray]:
    """`size` draws of every variable from its prior, without the constraints."""
    out: dict[str, FloatArray] = {}
    for assumption in spec.assumptions(statistics):
        if assumption.prior is not None:
            shape = tuple(int(statistics.sizes[d]) for d in assumption.prior.dims)
            out[assumption.name] = assumption.prior.random(rng, (size, *shape), assumption.parameters(dials))
    return out


def draw_constrained(
    spec: SelectiveRisk, statistics: xr.Dataset, rng: np.random.Generator, dials: Mapping[str, float]
) -> dict[str, FloatArray]:
    """One draw with the constraints: the first of the draws that is kept with the constraints' weight as its probability.

    Raises
    ------
    SpecificationError
        If hundreds of thousands of draws in a row were rejected.
    """
    constrained = bool(spec.stated or spec.signs)
    for _ in range(_BATCHES):
        batch = draw_prior_batch(spec, statistics, rng, dials, _BATCH if constrained else 1)
        if not constrained:
            return {n: v[0] for n, v in batch.items()}
        log_weight = np.asarray(sum(spec.log_constraint(batch, statistics, dials).values()))
        kept = np.flatnonzero(np.log(rng.uniform(size=_BATCH)) < log_weight)
        if len(kept):
            return {n: v[kept[0]] for n, v in batch.items()}
    raise SpecificationError(
        f"The constraints rejected {_BATCH * _BATCHES} draws from the prior in a row: they contradict the priors, or state the "
        "prevalence of too many groups at once for draws from the prior."
    )


def simulate_rows(
    spec: SelectiveRisk,
    rng: np.random.Generator,
    like: xr.Dataset | None,
    parameters: Mapping[str, np.ndarray] | None,
    dials: Mapping[str, float] | None,
    sizes: Mapping[str, int],
) -> Simulation:
    """Draw parameters (unless given) and rows of a design; see `SelectiveRisk.simulate`.

    A fresh design has standard normal covariates; with `like` the covariates and groups are those of the fit.
    """
    frame = _fresh(spec, rng, sizes) if like is None else _design_like(spec, like)
    first = np.arange(len(frame))
    blank = _table(spec, frame, first < 2, first < 1)  # for the design: two tested rows leave any prevalence open
    statistics = spec.statistics(blank)
    used = spec.set_dials(statistics, dials)
    values = dict(parameters) if parameters is not None else draw_constrained(spec, statistics, rng, used)
    c = coefficients_of(spec, {k: np.asarray(v)[None] for k, v in values.items()}, statistics, used)
    cell = statistics["cell"].values
    if not isinstance(c, Coefficients):
        mean, score = (v[0, cell] for v in c.predictors(statistics["risk_columns"].values, testing_columns(statistics)))
        first, second = rng.normal(size=(2, len(frame)))
        rho = c.correlation[0]
        outcome = mean + first > 0.0
        if isinstance(c, GaussianCoefficients):
            unit = tuple(map(float, like["unit"].values)) if like is not None else spec.unit or (0.0, 1.0)
            outcome = unit[0] + unit[1] * (mean + c.sigma[0] * first)
        return Simulation(_table(spec, frame, score + rho * first + np.sqrt(1.0 - rho**2) * second > 0.0, outcome), values)
    a = (c.risk[0, 0] + c.risk[0, 1:] @ statistics["risk_columns"].values)[cell]
    d = (c.testing[0, 0] + c.testing[0, 1:] @ testing_columns(statistics))[cell]
    r = a + c.sigma[0] * _unit_draws(spec, rng, len(frame), used)
    outcome = rng.logistic(size=len(frame)) < r
    tested = rng.logistic(size=len(frame)) < c.alpha[0] * r + d
    return Simulation(_table(spec, frame, tested, outcome), values)


def _unit_draws(spec: SelectiveRisk, rng: np.random.Generator, n: int, dials: Mapping[str, float]) -> FloatArray:
    """Draws of Z / sigma."""
    if spec.unobserved == "uniform":
        return rng.uniform(size=n)
    return rng.normal(size=n) if spec.unobserved == "normal" else rng.standard_t(dials["unobserved.nu"], n)


def _fresh(spec: SelectiveRisk, rng: np.random.Generator, sizes: Mapping[str, int]) -> pd.DataFrame:
    n = sizes["n"]
    frame = pd.DataFrame({f"x_{name}": rng.normal(size=n) for name in spec.covariates}, index=range(n))
    if spec.group is not None:
        named = [label for label, _ in spec.stated if label is not None]
        labels = named or [f"group {g + 1}" for g in range(sizes["groups"])]
        frame["group"] = [labels[i % len(labels)] for i in range(n)]
    return frame


def _design_like(spec: SelectiveRisk, like: xr.Dataset) -> pd.DataFrame:
    """The design of given statistics, one line a row."""
    weight = like["weight"].values
    if (weight != np.round(weight)).any():
        raise SpecificationError("simulate(like=...): weights that are no whole numbers cannot be simulated row by row.")
    place = np.repeat(np.arange(len(weight)), weight.astype(int))
    frame = pd.DataFrame({f"x_{name}": like[f"x_{name}"].values[place] for name in spec.covariates}, index=range(len(place)))
    if "group_code" in like:
        frame["group"] = like["group"].values[like["group_code"].values[place]]
    return frame


def _table(spec: SelectiveRisk, frame: pd.DataFrame, tested: NDArray[np.bool_], outcome: NDArray[Any]) -> pd.DataFrame:
    out: dict[str, Any] = {spec.outcome: np.where(tested, outcome.astype(float), np.nan), spec.tested: tested.astype(int)}
    if spec.weights is not None:
        out[spec.weights] = 1.0
    if spec.group is not None:
        out[spec.group] = frame["group"].to_numpy()
    return pd.DataFrame(out | {name: frame[f"x_{name}"].to_numpy() for name in spec.covariates})


@dataclass(frozen=True)
class Screening:
    """A synthetic study whose truth is known.

    Attributes
    ----------
    table : DataFrame
        Columns y (empty where not tested), t and the covariates x1, x2, ...
    truth : DataFrame
        For every row what nobody sees: outcome (also of the untested), z, risk (the probability given covariates and z).
    parameters : dict
        ``risk`` and ``testing`` (intercept first), ``sigma`` and ``alpha``, as they were drawn.
    """

    table: pd.DataFrame
    truth: pd.DataFrame
    parameters: dict[str, Any]


def synthetic_screening(
    seed: int,
    *,
    n: int = 5000,
    covariates: int = 4,
    free: int = 1,
    unobserved: Literal["uniform", "normal"] = "uniform",
    alpha: float = 1.0,
) -> Screening:
    """A data set of the synthetic study of Balachandar, Garg, Pierson (2024), from the description of its generator.

    Covariates are standard normal, scaled to mean 0 and standard deviation 1 exactly. Intercepts are N(-2, 0.1) for the risk
    and N(2, 0.1) for testing, sigma is N(2, 0.1), other coefficients are N(0, 1); testing departs from risk along the first
    `free` covariates only.

    Parameters
    ----------
    seed : int
    n, covariates, free : int
        Rows, covariates, and how many of them testing departs along.
    unobserved : {"uniform", "normal"}
    alpha : float
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, covariates))
    x = (x - x.mean(0)) / x.std(0)
    risk = np.concatenate([[rng.normal(-2.0, 0.1)], rng.normal(size=covariates)])
    testing = np.concatenate([[rng.normal(2.0, 0.1)], np.where(np.arange(covariates) < free, rng.normal(size=covariates), 0.0)])
    sigma = rng.normal(2.0, 0.1)
    z = rng.uniform(0.0, sigma, n) if unobserved == "uniform" else rng.normal(0.0, sigma, n)
    score = risk[0] + x @ risk[1:] + z
    outcome = rng.logistic(size=n) < score
    tested = rng.logistic(size=n) < alpha * score + testing[0] + x @ testing[1:]
    names = [f"x{k + 1}" for k in range(covariates)]
    table = pd.DataFrame({"y": np.where(tested, outcome.astype(float), np.nan), "t": tested.astype(int)})
    table[names] = x
    truth = pd.DataFrame({"outcome": outcome.astype(int), "z": z, "risk": 1.0 / (1.0 + np.exp(-score))})
    return Screening(table, truth, {"risk": risk, "testing": testing, "sigma": float(sigma), "alpha": alpha})
