"""What the tested rows alone allow: worst-case bounds of the prevalence (Manski 1989)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayeskit.errors import SpecificationError
from bayeskit.sensitivity.bounds import IdentifiedSet

if TYPE_CHECKING:
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["untested_bounds"]


def untested_bounds(
    spec: SelectiveRisk, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float], name: str, weights: np.ndarray
) -> IdentifiedSet:
    """For every draw, the prevalences that fit the rows as well: the untested may be all healthy or all ill.

    Raises
    ------
    SpecificationError
        For another estimand than prevalence: of coefficients the rows alone allow anything.
    """
    if name != "prevalence":  # of a continuous outcome there are no worst cases either
        raise SpecificationError(
            f"Bounds without assumptions are there for 'prevalence'; of {name!r} the tested rows alone allow any value."
        )
    found = spec.estimands_under(draws, statistics, dials)
    tested = found["prevalence"].transpose("chain", "draw", "population").values[..., 1]
    share = found["share_tested"].transpose("chain", "draw").values
    # all = share tested + (1 - share) u and untested = u, with the same u between 0 and 1
    at = [np.stack([share * tested + (1.0 - share) * u, tested, np.full_like(share, u)], axis=-1) for u in (0.0, 1.0)]
    ends = np.stack([np.einsum("cdp,qp->cdq", x, weights) for x in at])
    dropped = {a.name: "gives the untested a risk that the tested rows do not show" for a in _dropped(spec, statistics)}
    return IdentifiedSet(
        ends.min(0),
        ends.max(0),
        {"random sample": "rows are people of the population, and their covariates its covariates"},
        dropped,
        "the share tested and the prevalence among the tested of each draw, with any prevalence among the untested.",
        "The bounds use no assumption about the untested, so data never narrow them: what is between them and the posterior is "
        "assumed.",
    )


def _dropped(spec: SelectiveRisk, statistics: xr.Dataset) -> list:
    return [a for a in spec.assumptions(statistics) if a.level in ("structural", "constraint") or a.name == "unobserved_scale"]
