"""What people ask of a risk fit whatever the covariates: prevalence of all, tested and untested, and coefficients per unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayeskit_models.risk.population import coefficients_of, pooled, population_sums
from bayeskit_models.risk.unobserved import sd_factor

if TYPE_CHECKING:
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["POPULATIONS", "estimands_of"]

POPULATIONS = ("all", "tested", "untested")

_EFFECTS = {
    "risk": ("log odds ratio of the outcome, per unit of the covariate", True),
    "testing": ("departure of testing: log odds ratio of a test at equal risk, per unit of the covariate", True),
}


def estimands_of(spec: SelectiveRisk, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float]) -> xr.Dataset:
    """Prevalence among all people of the table, those tested and those not; share tested; coefficients per unit.

    The three prevalences are of people with these covariates: mean over rows of P(Y = 1), and the parts of it that are tested
    and not. So ``all = tested share + untested (1 - share)`` holds in every draw.
    """
    lead = ("chain", "draw")
    shape = tuple(draws.sizes[d] for d in lead)
    values = pooled(draws)
    p, both, untested = population_sums(coefficients_of(spec, values, dials), statistics).T
    share = 1.0 - untested
    found = np.stack([p, both / share, (p - both) / untested], axis=-1).reshape(*shape, 3)
    data: dict[str, Any] = {
        "prevalence": (
            (*lead, "population"), np.clip(found, 0.0, 1.0),
            {"label": "prevalence among", "units": "probability", "headline": True},
        )
    }  # fmt: skip
    for component, (label, headline) in _EFFECTS.items():
        if f"{component}_effect" in draws:
            each = draws[f"{component}_effect"].transpose(*lead, ...).values / statistics[f"{component}_spread"].values
            facts = {"label": label, "units": "log odds ratio", "headline": headline}
            data[f"{component}_coefficient"] = ((*lead, f"{component}_term"), each, facts)
    if "expertise" in draws:
        each = draws["expertise"].transpose(*lead, ...).values / statistics["held_spread"].values
        facts = {"label": "departure of testing along features outside expertise", "units": "log odds ratio"}
        data["held_coefficient"] = ((*lead, "held_term"), each, facts | {"headline": False})
    factor = sd_factor(spec.unobserved, dials.get("unobserved.nu", np.inf))
    if np.isfinite(factor):
        facts = {"label": "standard deviation of the unobservable", "units": "log odds", "headline": False}
        data["unobserved_sd"] = (lead, factor * values["unobserved_scale"].reshape(shape), facts)
    facts = {"label": "share tested, as the model implies it", "units": "probability", "headline": False}
    data["share_tested"] = (lead, share.reshape(shape), facts)
    coords = {d: draws[d].values for d in lead if d in draws.coords} | {"population": list(POPULATIONS)}
    coords |= {f"{c}_term": statistics[f"{c}_term"].values for c in ("risk", "testing", "held")}
    used = {str(d) for v in data.values() for d in v[0]}
    return xr.Dataset(data, coords={k: v for k, v in coords.items() if k in used})
