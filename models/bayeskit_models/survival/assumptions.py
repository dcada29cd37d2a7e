"""What a survival fit rests on, as named assumptions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import xarray as xr

from bayeskit.assumptions import Assumption, Dial, Prior

if TYPE_CHECKING:
    from bayeskit_models.survival.model import FlexibleSurvival

__all__ = ["TAILS", "assumptions_of"]

TAILS = {"weibull": 1.0, "loglogistic": 0.0, "burr": 0.0, "gompertz": 1e6}
"""kappa of the laws that fix it; a Gompertz law is the limit, from which this is 1e-6 away."""

_ALTERNATIVES = ("apgw", *TAILS)
_EFFECTS = {
    "scale": "A covariate stretches or shortens time by a factor of e or so, by standard deviation or between two categories.",
    "hazard": "A covariate multiplies or divides the hazard by e or so, by standard deviation or between two categories.",
    "shape": "A covariate changes the power of time by a factor of 1.6 or so, by standard deviation or between two categories.",
    "tail": "A covariate changes kappa + 1 by a factor of 1.6 or so, by standard deviation or between two categories.",
}
_EFFECT_SD = {"scale": 1.0, "hazard": 1.0, "shape": 0.5, "tail": 0.5}


def assumptions_of(spec: FlexibleSurvival, statistics: xr.Dataset) -> tuple[Assumption, ...]:
    """Every assumption of a specification, in the order in which variables depend on one another."""
    out = [
        Assumption(
            "independent_censoring",
            "Who is censored at a time is, given the covariates, no more and no less likely to have the event soon than who is "
            "followed on.",
            "structural",
            constants={
                "multiplier": Dial(
                    "independent_censoring.multiplier", 1.0, 0.0, 1e3,
                    "factor of the hazard after censoring, which no data show; 1 is independent censoring",
                )
            },
        ),
        *_intercepts(spec),
        *_tail(spec),
    ]  # fmt: skip
    for component, sentence in _EFFECTS.items():
        if f"{component}_term" in statistics.sizes:
            prior = Prior("Normal", dims=(f"{component}_term",), mu=0.0, sigma=_EFFECT_SD[component])
            out.append(Assumption(f"{component}_effect", sentence, "hyper", prior))
    out += _groups(spec)
    out += _frailty(spec)
    return tuple(out)


def _intercepts(spec: FlexibleSurvival) -> list[Assumption]:
    out = []
    if spec.terms("scale").intercept:
        out.append(
            Assumption(
                "scale_intercept", "The typical time is the median observed one, within a factor of 50 or so.", "hyper",
                Prior("Normal", mu=0.0, sigma=2.0)
            )
        )  # fmt: skip
    if spec.terms("hazard").intercept:
        out.append(
            Assumption(
                "hazard_intercept", "The factor of the hazard at average covariates is one, within a factor of seven or so.",
                "hyper", Prior("Normal", mu=0.0, sigma=1.0), setting="hazard", alternatives=_with_and_without(spec),
            )
        )  # fmt: skip
    elif spec.law != "loglogistic":
        out.append(
            Assumption(
                "hazard_reference",
                f"At {'average covariates' if spec.reference == 'mean' else 'covariates 0'} the factor lambda of the hazard is "
                "1: the law has one free scale, that of time.",
                "structural", setting="hazard", alternatives=_with_and_without(spec),
            )
        )  # fmt: skip
    if spec.terms("shape").intercept:
        out.append(
            Assumption(
                "shape_intercept", "The hazard starts like a power of time between t^-0.6 and t^1.7.", "hyper",
                Prior("Normal", mu=0.0, sigma=0.5),
            )
        )  # fmt: skip
    return out


def _with_and_without(spec: FlexibleSurvival) -> tuple[str, str]:
    """The formula of the hazard with an intercept and without."""
    if spec.hazard in ("0", "1"):
        return "1", "0"
    return (spec.hazard, f"{spec.hazard} - 1") if spec.terms("hazard").intercept else (f"1 + {spec.hazard}", spec.hazard)


def _tail(spec: FlexibleSurvival) -> list[Assumption]:
    if spec.law == "apgw":
        return [
            Assumption(
                "tail_intercept",
                "kappa lies between -0.7 and 5, from laws with a cured share to laws steeper than Weibull's; with prior "
                "probability about a third it is below 0, and some never have the event.",
                "hyper", Prior("Normal", mu=math.log(2.0) - 0.35, sigma=0.75), setting="law", alternatives=_ALTERNATIVES,
            )
        ]  # fmt: skip
    kappa = Dial("tail.kappa", TAILS[spec.law], -0.999, 1e8, "which law: 0 Burr XII or log-logistic, 1 Weibull, large Gompertz")
    return [
        Assumption(
            "tail", f"The law is the {spec.law} one: kappa is a known number.", "constraint", constants={"kappa": kappa},
            setting="law", alternatives=_ALTERNATIVES,
        )
    ]  # fmt: skip


def _groups(spec: FlexibleSurvival) -> list[Assumption]:
    out: list[Assumption] = []
    if spec.group is None:
        return out
    for component in spec.group_on:
        out += [
            Assumption(
                f"group_{component}_sd", f"Groups differ in their {component} by about half a unit on the log scale, or less.",
                "hyper", Prior("HalfNormal", sigma=0.5),
            ),
            Assumption(
                f"group_{component}", f"The groups' deviations in {component} are normal and unrelated.", "latent",
                Prior("Normal", dims=("group",), mu=0.0, sigma=1.0),
            ),
        ]  # fmt: skip
    return out


def _frailty(spec: FlexibleSurvival) -> list[Assumption]:
    if spec.frailty is None:
        return []
    return [
        Assumption(
            "frailty",
            f"Rows with the same {spec.frailty} share a factor of their hazards, gamma distributed with mean 1 and unrelated "
            "to covariates; who is not in the table because of an event before entry is not counted in its group.",
            "structural",
        ),
        Assumption(
            "frailty_variance", "The variance of that factor is below 2 or so, and nothing keeps it from 0 (no frailty).",
            "hyper", Prior("HalfNormal", sigma=1.0), setting="frailty", alternatives=(spec.frailty, None),
        ),
    ]  # fmt: skip
