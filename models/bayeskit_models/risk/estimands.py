"""What people ask of a risk fit whatever the covariates: prevalence of all, tested and untested, and coefficients per unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayeskit_models.risk.gaussian import GaussianCoefficients
from bayeskit_models.risk.population import Coefficients, coefficients_of, pooled, testing_columns
from bayeskit_models.risk.unobserved import sd_factor

if TYPE_CHECKING:
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["POPULATIONS", "estimands_of"]

POPULATIONS = ("all", "tested", "untested")

_EFFECTS = {
    "risk": ("log odds ratio of the outcome, per unit of the covariate", "log odds ratio", True),
    "testing": (
        "departure of testing: log odds ratio of a test at equal risk, per unit of the covariate", "log odds ratio", True,
    ),
}  # fmt: skip
_LINEAR = {
    "risk": ("difference of the mean outcome, per unit of the covariate", "outcome", True),
    "testing": ("difference of the probit score of a test, per unit of the covariate", "probit score", False),
}
_PROBIT = {
    "risk": ("difference of the probit score of the outcome, per unit of the covariate", "probit score", True),
    "testing": ("difference of the probit score of a test, per unit of the covariate", "probit score", True),
}
_WORDS = {("bernoulli", "logit"): _EFFECTS, ("bernoulli", "probit"): _PROBIT, ("gaussian", "probit"): _LINEAR}


def estimands_of(spec: SelectiveRisk, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float]) -> xr.Dataset:
    """Prevalence among all people of the table, those tested and those not; share tested; coefficients per unit.

    The three prevalences are of people with these covariates: mean over rows of P(Y = 1), and the parts of it that are tested
    and not. So ``all = tested share + untested (1 - share)`` holds in every draw.
    """
    lead = ("chain", "draw")
    shape = tuple(draws.sizes[d] for d in lead)
    values = pooled(draws)
    c = coefficients_of(spec, values, statistics, dials)
    p, both, untested = c.sums(statistics, testing_columns(statistics)).T
    share = 1.0 - untested
    found = np.stack([p, both / share, (p - both) / untested], axis=-1).reshape(*shape, 3)
    facts = {"label": "prevalence among", "units": "probability", "headline": True}
    if spec.family == "gaussian":
        facts = {"label": "mean outcome among", "units": "outcome", "headline": True}
    else:
        found = np.clip(found, 0.0, 1.0)
    data: dict[str, Any] = {spec.mean_name: ((*lead, "population"), found, facts)}
    for component, (label, units, headline) in _WORDS[spec.family, spec.link].items():
        if f"{component}_effect" in draws:
            each = draws[f"{component}_effect"].transpose(*lead, ...).values / statistics[f"{component}_spread"].values
            if spec.family == "gaussian" and component == "risk":
                each = each * float(statistics["unit"].values[1])
            facts = {"label": label, "units": units, "headline": headline}
            data[f"{component}_coefficient"] = ((*lead, f"{component}_term"), each, facts)
    if "expertise" in draws:
        each = draws["expertise"].transpose(*lead, ...).values / statistics["held_spread"].values
        facts = {"label": "departure of testing along features outside expertise", "units": "log odds ratio"}
        data["held_coefficient"] = ((*lead, "held_term"), each, facts | {"headline": False})
    if not isinstance(c, Coefficients):
        facts = {"label": "correlation of what moves outcome and testing", "units": "correlation", "headline": True}
        data["error_correlation"] = (lead, c.correlation.reshape(shape), facts)
    if isinstance(c, GaussianCoefficients):
        data |= _heckman(c, statistics, lead, shape)
    factor = sd_factor(spec.unobserved, dials.get("unobserved.nu", np.inf))
    if np.isfinite(factor) and "unobserved_scale" in values:
        if isinstance(c, GaussianCoefficients):
            factor *= c.unit[1]
        units = "log odds" if spec.family == "bernoulli" else "outcome"
        facts = {"label": "standard deviation of the unobservable", "units": units, "headline": False}
        data["unobserved_sd"] = (lead, factor * values["unobserved_scale"].reshape(shape), facts)
    facts = {"label": "share tested, as the model implies it", "units": "probability", "headline": False}
    data["share_tested"] = (lead, share.reshape(shape), facts)
    coords = {d: draws[d].values for d in lead if d in draws.coords} | {"population": list(POPULATIONS)}
    coords |= {f"{c}_term": statistics[f"{c}_term"].values for c in ("risk", "testing", "held")}
    used = {str(d) for v in data.values() for d in v[0]}
    return xr.Dataset(data, coords={k: v for k, v in coords.items() if k in used})


def _heckman(c: GaussianCoefficients, statistics: xr.Dataset, lead: tuple[str, str], shape: tuple[int, ...]) -> dict[str, Any]:
    """Slope of testing per unit of the outcome, and departures of testing from it along the free terms."""
    out: dict[str, Any] = {}
    facts = {"label": "probit score of a test per unit of the outcome", "units": "probit score", "headline": False}
    out["slope"] = (lead, (c.alpha / c.unit[1]).reshape(shape), facts)
    names = [str(t) for t in statistics["testing_term"].values]
    if names:
        risk = {str(t): k for k, t in enumerate(statistics["risk_term"].values)}
        stretch = np.cosh(np.arctanh(c.correlation))
        follows = [c.alpha * c.risk[:, 1 + risk[t]] if t in risk else 0.0 for t in names]
        departure = np.stack([stretch * c.testing[:, 1 + k] - follows[k] for k in range(len(names))], axis=-1)
        each = (departure / statistics["testing_spread"].values).reshape(*shape, len(names))
        facts = {"label": "departure of testing at an equal outcome, per unit of the covariate", "units": "probit score"}
        out["departure"] = ((*lead, "testing_term"), each, facts | {"headline": False})
    return out
