"""What people ask of a survival fit whatever the covariates: effects, the law, survival and restricted mean at the average.

And, where the rows are at hand, the expected share of the study's own subjects free of the event: the one quantity here that
informative censoring moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit_models.survival import population
from bayeskit_models.survival.censored import needed, sample_survival
from bayeskit_models.survival.predictors import predictors
from bayeskit_models.survival.statistics import COMPONENTS

if TYPE_CHECKING:
    from bayeskit_models.survival.model import FlexibleSurvival

__all__ = ["estimands_of", "restricted_mean", "survival_at"]

FloatArray = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_EFFECTS = {
    "scale": ("log time ratio: how many times sooner, per unit of the covariate", "log ratio"),
    "hazard": ("log hazard ratio, per unit of the covariate", "log ratio"),
    "shape": ("log ratio of the powers of time, per unit of the covariate", "log ratio"),
    "tail": ("log ratio of kappa + 1, per unit of the covariate", "log ratio"),
}


def survival_at(log_time: FloatArray, logs: tuple[FloatArray, ...]) -> FloatArray:
    """Survival at internal log times; broadcasts."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp(-population.cumulative_hazard(log_time, *logs)))


def restricted_mean(tau: float, logs: tuple[FloatArray, ...]) -> FloatArray:
    """Mean time lived up to `tau` (internal scale): Gauss-Legendre in the square root of time, 64 nodes.

    The root makes the integrand smooth at 0 for powers gamma of one half and more.
    """
    root = (np.sqrt(tau) * (_NODES + 1.0) / 2.0)[:, None]
    lead = tuple(np.expand_dims(p, -2) for p in logs)
    integrand = survival_at(2.0 * np.log(root), lead) * 2.0 * root
    return np.asarray((integrand * _WEIGHTS[:, None]).sum(-2) * np.sqrt(tau) / 2.0)


def estimands_of(spec: FlexibleSurvival, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float]) -> xr.Dataset:
    """Effects per unit of the covariate, kappa, cured share, survival and restricted mean at average covariates."""
    lead = ("chain", "draw")
    shape = tuple(draws.sizes[d] for d in lead)
    values = {str(n): v.transpose(*lead, ...).values for n, v in draws.data_vars.items()}
    flat = {n: v.reshape(shape[0] * shape[1], *v.shape[2:]) for n, v in values.items()}
    average = {c: np.zeros((1, statistics.sizes.get(f"{c}_term", 0))) for c in COMPONENTS}
    logs = predictors(spec, flat, average, dials)
    if not flat:
        logs = tuple(np.broadcast_to(p, (shape[0] * shape[1], 1)) for p in logs)
    scale, last = float(statistics["time_scale"]), float(statistics["follow_up"])
    data: dict[str, Any] = {}
    for component, (label, units) in _EFFECTS.items():
        if f"{component}_effect" in values:
            each = values[f"{component}_effect"] / statistics[f"{component}_spread"].values
            facts = {"label": label, "units": units, "headline": True}
            data[f"{component}_effect"] = ((*lead, f"{component}_term"), each, facts)
    kappa = np.expm1(logs[3][:, 0]).reshape(shape)
    facts = {"label": "kappa: which law (0 log-logistic or Burr, 1 Weibull)", "units": "number", "headline": True}
    data["kappa"] = (lead, kappa, facts | {"point_mass": True})
    cured = np.exp(population.log_cure(*logs))[:, 0].reshape(shape)
    facts = {"label": "share that never has the event, at average covariates", "units": "probability", "headline": False}
    data["cured"] = (lead, cured, facts | {"point_mass": True})
    if len(logs) == 5:
        facts = {"label": "variance of the groups' factors of the hazard (frailty)", "units": "variance", "headline": True}
        data["frailty_variance"] = (lead, logs[4][:, 0].reshape(shape), facts)
        tau = logs[4] / (logs[4] + 2.0)  # of a gamma frailty (Clayton 1978)
        facts = {"label": "Kendall's tau of two times in one group", "units": "correlation", "headline": False}
        data["kendall_tau"] = (lead, tau[:, 0].reshape(shape), facts)
    times = statistics["horizons"].values
    found = survival_at(np.log(times / scale), logs).reshape(*shape, len(times))
    facts = {"label": "probability of no event by this time, at average covariates", "units": "probability", "headline": True}
    data["survival"] = ((*lead, "time"), found, facts)
    if not needed(statistics):
        share = sample_survival(spec, flat, statistics, dials, times)
        share = np.broadcast_to(share, (shape[0] * shape[1], len(times))).reshape(*shape, len(times))
        facts = {"label": "expected share of the study's own subjects free of the event at this time", "units": "probability"}
        data["sample_survival"] = ((*lead, "time"), share, facts | {"headline": False, "point_mass": True})
    mean = restricted_mean(last / scale, logs)[:, 0].reshape(shape) * scale
    label = f"mean time without the event up to {last:g}, at average covariates"
    data["restricted_mean"] = (lead, mean, {"label": label, "units": "time", "headline": True})
    coords = {d: draws[d].values for d in lead if d in draws.coords} | {"time": [f"{t:.4g}" for t in times]}
    coords |= {f"{c}_term": statistics[f"{c}_term"].values for c in COMPONENTS if f"{c}_term" in statistics.sizes}
    return xr.Dataset(data, coords=coords)
