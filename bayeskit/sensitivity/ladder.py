"""The ladder: weigh the draws there are, move them, fit again; every rung that was tried is told.

Reweighting costs nothing, moving draws costs evaluations of the log density, a refit costs a refit. Each rung is left only
where its numbers could not be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.errors import BayeskitError, SpecificationError, suggest
from bayeskit.sensitivity.change import Change
from bayeskit.sensitivity.moment import match_moments
from bayeskit.sensitivity.space import CannotMove, Space
from bayeskit.sensitivity.weights import Weights, pareto_smoothed

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.fit import Fit

__all__ = ["RUNGS", "Climb", "Rung", "climb", "rungs"]

RUNGS = {"reweight": "reweighted", "moment match": "moment matched", "refit": "refitted"}
"""The rungs by the name under which one asks for them, and as they are told."""


@dataclass(frozen=True)
class Rung:
    """One rung that was tried.

    Attributes
    ----------
    name : str
        "reweighted", "moment matched" or "refitted".
    k_hat, ess : float
        Of the weights; NaN for a refit.
    outcome : str
        "used", "unreliable", "not computed", "skipped" or, for a refit, the status of its verdict.
    note : str
        Why it was skipped, or how it was done.
    """

    name: str
    k_hat: float
    ess: float
    outcome: str
    note: str = ""

    def __str__(self) -> str:
        told = f"{self.name}: {self.outcome}" + (f", k-hat {self.k_hat:.2f}" if math.isfinite(self.k_hat) else "")
        return f"{told} ({self.note})" if self.note else told


@dataclass(frozen=True)
class Climb:
    """Where the ladder ended.

    Attributes
    ----------
    state : str
        "ok", "unreliable" or "not computed".
    rung : str
        Name of the last rung that was tried.
    tried : tuple of Rung
        All of them, from the bottom.
    weights : Weights
        Of the draws; NaN where they came from a refit.
    draws : mapping of str to Dataset
        Groups posterior and estimands: the draws that the weights belong to, or those of the refit.
    refit : Fit or None
        The refit.
    """

    state: str
    rung: str
    tried: tuple[Rung, ...]
    weights: Weights
    draws: Mapping[str, xr.Dataset]
    refit: Fit | None = None


def rungs(ladder: Any) -> tuple[str, ...]:
    """The rungs of a ladder as an argument names it: "auto" is all of them.

    Raises
    ------
    SpecificationError
        For a rung that does not exist, or none.
    """
    if ladder == "auto":
        return tuple(RUNGS)
    wanted = (ladder,) if isinstance(ladder, str) else tuple(ladder)
    for name in wanted:
        if name not in RUNGS:
            hint = suggest(str(name), [*RUNGS, "auto"])
            raise SpecificationError(f"ladder={ladder!r}: no rung {name!r}.{hint} 'auto', or any of {', '.join(RUNGS)}.")
    if not wanted:
        raise SpecificationError(f"ladder is empty: 'auto', or any of {', '.join(RUNGS)}.")
    return tuple(name for name in RUNGS if name in wanted)


def climb(fit: Fit, change: Change, ladder: Any, **sampling: Any) -> Climb:
    """Answer under a change, on the first rung that can be trusted.

    Parameters
    ----------
    fit : Fit
        The fit before the change.
    change : Change
        What is changed.
    ladder : "auto" or sequence of str
        Rungs that may be tried.
    **sampling
        What a refit takes.
    """
    wanted, tried = rungs(ladder), list[Rung]()
    own = {"posterior": fit.posterior, "estimands": fit.estimands}
    weights = _weigh(fit, change)
    if "reweight" in wanted:
        outcome = _state(weights, change)
        tried.append(Rung("reweighted", weights.k_hat, weights.ess, "used" if outcome == "ok" else outcome, change.beyond))
    here = Climb(_state(weights, change), "reweighted", tuple(tried), weights, own)
    if here.state == "ok" and "reweight" in wanted:
        return here
    if "moment match" in wanted:
        here = _moved(fit, change, weights, here)
        if here.state == "ok":
            return here
    return _refitted(change, here, sampling) if "refit" in wanted else here


def _weigh(fit: Fit, change: Change) -> Weights:
    total = np.asarray(fit.draws["log_likelihood"]["total"].transpose("chain", "draw").values, dtype=float)
    return pareto_smoothed(change.log_ratio(fit.posterior, total))


def _state(weights: Weights, change: Change) -> str:
    if not weights.computed:
        return "not computed"
    return "ok" if weights.reliable and not change.beyond else "unreliable"


def _moved(fit: Fit, change: Change, weights: Weights, here: Climb) -> Climb:
    """Try to move the draws; where they cannot be moved, say why and leave the rest as it was."""

    def skipped(why: str) -> Climb:
        rung = Rung("moment matched", math.nan, math.nan, "skipped", why)
        return Climb(here.state, rung.name, (*here.tried, rung), here.weights, here.draws)

    if change.beyond or not weights.computed:
        return skipped(change.beyond or "no draw has a weight to start from")
    try:
        space = Space(fit)
    except CannotMove as reason:
        return skipped(str(reason))
    most = space.affordable()
    if most < 1:
        return skipped("moving the draws once would cost more than a refit")

    def log_target(points: np.ndarray) -> np.ndarray:
        density = space.evaluate(points)
        moved = space.natural(points)
        return density + change.log_ratio(moved, space.log_likelihood(moved, density)).reshape(-1)

    found = match_moments(space.draws, space.log_density, log_target, weights, fit.posterior.sizes["chain"], most)
    spent = f"{found.evaluations} of at most {most} evaluations"
    note = f"{', '.join(found.maps) or 'no map lowered k-hat'}; {spent}"
    state = "ok" if found.trusted else "unreliable"
    rung = Rung("moment matched", found.weights.k_hat, found.weights.ess, "used" if found.trusted else state, note)
    posterior = space.natural(found.draws) if found.maps else fit.posterior
    # with the rows where they are at hand: an estimand may be about them
    statistics = fit._at_hand("be reweighted")
    estimands = fit.spec.estimands_under(posterior, statistics, fit.dials) if found.maps else fit.estimands
    draws = {"posterior": posterior, "estimands": estimands.assign_coords(fit.estimands.coords)}
    return Climb(state, rung.name, (*here.tried, rung), found.weights, draws)


def _refitted(change: Change, here: Climb, sampling: Mapping[str, Any]) -> Climb:
    try:
        refit = change.refit(**sampling)
    except BayeskitError as error:  # what came before stays as it was: marked, not replaced by nothing
        rung = Rung("refitted", math.nan, math.nan, "ERROR", str(error).splitlines()[0])
        return Climb(here.state, rung.name, (*here.tried, rung), here.weights, here.draws)
    status = refit.verdict.status.value
    rung = Rung("refitted", math.nan, math.nan, status)
    state = {"PASS": "ok", "WARN": "ok", "FAIL": "unreliable"}.get(status, "not computed")
    total = refit.posterior.sizes["chain"] * refit.posterior.sizes["draw"]
    nothing = Weights(np.full(total, math.nan), math.nan, math.nan)
    draws = {"posterior": refit.posterior, "estimands": refit.estimands}
    return Climb(state, rung.name, (*here.tried, rung), nothing, draws, refit)
