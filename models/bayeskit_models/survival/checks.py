"""What the draws of a survival fit cannot tell by themselves: warnings about identification, never failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayeskit.report.counts import count_cell, counted
from bayeskit.verdict import CheckResult, Status

if TYPE_CHECKING:
    from bayeskit_models.survival.survival_fit import SurvivalFit

__all__ = ["survival_checks"]

_CURED = 0.5  # P(kappa < 0) from which a cured share counts as claimed
_SHARE = 0.01  # cured share below which nothing is claimed
_BEYOND = 20.0  # rows followed beyond the last event that a cured share should rest on
_RIDGE = 0.95  # |correlation| of the intercepts of the two scales
_LARGE, _SMALL = 50.0, -0.95  # kappa: beyond these the law is at one of its limits
_PILED = 0.05  # probability there
_SHARED = 10  # frailty groups of two rows or more that a variance should rest on


def survival_checks(fit: SurvivalFit) -> tuple[CheckResult, ...]:
    """Cured shares, ridges, limits of kappa, arms without events, a fixed scale, few groups behind a frailty.

    A check that does not concern the specification (no covariates, one scale) is left out.
    """
    design = fit.aggregate
    found = [_follow_up(fit, design), *_kappa(fit), *_ridge(fit), *_unit(fit)]
    if design is not None:
        found += [*_arms(design), *_separated(design), *_frailty(design)]
    return tuple(found)


def _follow_up(fit: SurvivalFit, design: xr.Dataset | None) -> CheckResult:
    """A cured share is extrapolation unless many were followed beyond the last event."""
    name = "follow_up"
    kappa, cured = (fit.estimands[n].values.reshape(-1) for n in ("kappa", "cured"))
    chance, share = float((kappa < 0).mean()), float(np.median(cured))
    if chance < _CURED or share < _SHARE:
        text = f"No cured share is claimed: P(kappa < 0) = {chance:.2f}, median share {share:.3f}."
        return CheckResult(name, Status.PASS, text)
    low, high = np.quantile(cured, [0.025, 0.975])
    claim = (
        f"P(kappa < 0) = {chance:.2f} claims a cured share of {share:.2f} (95% equal-tailed interval {low:.2f} to {high:.2f}, "
        "average covariates)"
    )
    if design is None or "beyond" not in design:
        text = f"{claim}; how many were followed beyond the last event is not stored with this run."
        return CheckResult(name, Status.NOT_COMPUTED, text, "Fit again, or give the table: fit.refit(table=...).")
    beyond, last, end = (float(design[n]) for n in ("beyond", "last_event", "follow_up"))
    text = (
        f"{claim}; follow-up ends at {end:g}, the last event is at {last:g}, and {counted(beyond)} rows were followed "
        f"beyond it (at least {_BEYOND:g} for a cured share to rest on data)."
    )
    if beyond >= _BEYOND:
        return CheckResult(name, Status.PASS, text)
    advice = (
        "Do not report the cured share by itself: it is what the law says of the time after follow-up. Compare "
        "hazard='1 + ...' and the fixed laws (fit.alternatives(), bayeskit.multiverse), and report survival up to the end "
        "of follow-up."
    )
    return CheckResult(name, Status.WARN, text, advice)


def _kappa(fit: SurvivalFit) -> list[CheckResult]:
    if fit.spec.law != "apgw":
        return []
    kappa = fit.estimands["kappa"].values
    large, small = float((kappa > _LARGE).mean()), float((kappa < _SMALL).mean())
    text = f"P(kappa > {_LARGE:g}) = {large:.2f} and P(kappa < {_SMALL:g}) = {small:.2f} (limit {_PILED:g} each)."
    if max(large, small) <= _PILED:
        return [CheckResult("kappa", Status.PASS, text)]
    advice = (
        "The data ask for a law of Gompertz's kind, in which kappa has no finite value: fit law='gompertz', or report that "
        "kappa is large and no number."
        if large > small
        else "The law runs to its limit, a promotion-time cure model: leave the intercept out of hazard, or give kappa a "
        "tighter prior (dials tail_intercept.mu, tail_intercept.sigma)."
    )
    return [CheckResult("kappa", Status.WARN, text, advice)]


def _ridge(fit: SurvivalFit) -> list[CheckResult]:
    """With both scales free they are weakly separated, and at kappa = 1 not at all."""
    posterior = fit.posterior
    if not {"scale_intercept", "hazard_intercept"} <= set(map(str, posterior.data_vars)):
        return []
    phi, lam = (posterior[n].values.reshape(-1) for n in ("scale_intercept", "hazard_intercept"))
    if phi.std() == 0.0 or lam.std() == 0.0:
        text = "The correlation of the intercepts of scale and hazard cannot be computed: one never moves."
        return [CheckResult("ridge", Status.NOT_COMPUTED, text, "See the check 'moving'.")]
    found = float(np.corrcoef(phi, lam)[0, 1])
    text = f"The intercepts of scale and hazard have posterior correlation {found:.3f} (limit {_RIDGE} in size)."
    if abs(found) <= _RIDGE:
        return [CheckResult("ridge", Status.PASS, text)]
    advice = (
        "Only a combination of the two scales is identified, the rest is the prior of hazard_intercept: leave the intercept "
        "out of hazard, or show with fit.sensitivity() that the answer does not move with that prior."
    )
    return [CheckResult("ridge", Status.WARN, text, advice)]


def _unit(fit: SurvivalFit) -> list[CheckResult]:
    """Section 2.2: with phi fixed at one the model depends on what is called one unit of time."""
    if fit.spec.terms("scale").intercept or fit.spec.unit is None:
        return []
    text = f"scale={fit.spec.scale!r} has no intercept, so phi is 1 per unit={fit.spec.unit:g}: another unit is another model."
    advice = "Give scale an intercept ('1 + ...') and hazard none, which is the same model in every unit."
    return [CheckResult("unit", Status.WARN, text, advice)]


def _arms(design: xr.Dataset) -> list[CheckResult]:
    if "category_events" not in design:
        return []
    names = [str(c) for c in design["category"].values]
    rows, events = design["category_rows"].values, design["category_events"].values
    empty = [i for i in range(len(names)) if events[i] == 0]
    table = tuple(
        {"category": names[i], "rows": count_cell(rows[i]), "events": count_cell(events[i])} for i in range(len(names))
    )
    if not empty:
        least = int(events.argmin())
        text = (
            f"Every category of a covariate has events; fewest: {names[least]} with {counted(events[least])} in "
            f"{counted(rows[least])} rows."
        )
        return [CheckResult("arms", Status.PASS, text, "", table)]
    told = ", ".join(f"{names[i]} ({counted(rows[i])} rows)" for i in empty[:5]) + (", ..." if len(empty) > 5 else "")
    text = f"{len(empty)} of {len(names)} categories have no event (at least 1 needed): {told}."
    advice = (
        "The likelihood says only that their hazard is small: how small is the prior's. Read fit.sensitivity() for their "
        "effects, or join the category with another."
    )
    return [CheckResult("arms", Status.WARN, text, advice, table)]


def _separated(design: xr.Dataset) -> list[CheckResult]:
    if "separated" not in design or not design["separated"].values.any():
        return []
    names = ", ".join(str(n) for n in design["numeric"].values[design["separated"].values == 1])
    text = f"Rows with an event and rows without do not overlap in {names} (0 such covariates is the limit)."
    advice = (
        "Such a covariate is often the outcome in disguise, such as a time; if it is not, its effect is bounded by the prior "
        "alone: read fit.sensitivity()."
    )
    return [CheckResult("separated", Status.WARN, text, advice)]


def _frailty(design: xr.Dataset) -> list[CheckResult]:
    """Only groups of two rows or more tell a frailty apart from the shape of the law."""
    if "frailty_shared" not in design:
        return []
    shared = int(design["frailty_shared"])
    text = f"{shared} frailty groups have two rows or more (at least {_SHARED} for a variance to rest on data)."
    if shared >= _SHARED:
        return [CheckResult("frailty", Status.PASS, text)]
    advice = (
        "The variance of the frailty is that of its prior, or of the shape of the law: leave frailty out, or turn the dial "
        "frailty_variance.sigma (fit.sweep) and say how the answer moves."
    )
    return [CheckResult("frailty", Status.WARN, text, advice)]
