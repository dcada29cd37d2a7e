"""What a risk fit rests on, as named assumptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayeskit.assumptions import Assumption, Dial, Prior
from bayeskit.errors import DataError, suggest
from bayeskit_models.risk.unobserved import LAWS, WORDS

if TYPE_CHECKING:
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["assumptions_of", "sign_weight"]

FloatArray = "NDArray[np.float64]"

_NAMES = {"uniform": "Uniform unobservables", "normal": "Normal unobservables", "student": "Student's unobservables"}
_SHARP = 20.0  # per unit of a coefficient: a wrong sign of 0.2 costs four units of log weight


def assumptions_of(spec: SelectiveRisk, statistics: xr.Dataset) -> tuple[Assumption, ...]:
    """Every assumption of a specification, in the order in which variables depend on one another."""
    out = _normal_errors(spec) if spec.link == "probit" else [_law(spec), *_alpha(spec), _scale()]
    out += _coefficients(spec, statistics)
    out += _expertise(spec, statistics)
    out += _prevalence(spec)
    if spec.signs:
        out.append(_signs(spec))
        sign_places(spec, statistics)
    return tuple(out)


def _normal_errors(spec: SelectiveRisk) -> list[Assumption]:
    from bayeskit_models.risk.gaussian import correlation_assumption

    scale = [
        Assumption(
            "unobserved_scale", "The outcome varies beyond its covariates by a unit or so, hardly by more than six.", "hyper",
            Prior("HalfNormal", sigma=3.0),
        )
    ]  # fmt: skip
    law = Assumption(
        "unobserved", "What moves outcome and testing beyond the covariates is normal, for both together.", "structural",
        setting="unobserved", alternatives=("normal", "uniform"),
    )  # fmt: skip
    return [law, *(scale if spec.family == "gaussian" else []), correlation_assumption(spec)]


def _scale() -> Assumption:
    return Assumption(
        "unobserved_scale",
        "What the decision maker saw beyond the table moves the log odds of the outcome by some units, hardly more than six.",
        "hyper",
        Prior("HalfNormal", sigma=3.0),
    )


def _signs(spec: SelectiveRisk) -> Assumption:
    terms = ", ".join(f"{'+' if sign > 0 else '-'} {term}" for term, sign in spec.signs)
    sharp = Dial("signs.sharpness", _SHARP, 0.0, 1e6, "how strictly: log weight per unit of a wrong coefficient")
    return Assumption(
        "signs", f"The sign of some effects on the risk is known: {terms}.", "constraint", constants={"sharpness": sharp},
        setting="signs", alternatives=(tuple(spec.signs), ()),
    )  # fmt: skip


def _law(spec: SelectiveRisk) -> Assumption:
    sentence = (
        "What the decision maker saw and the table lacks is one number per person, unrelated to the covariates and "
        f"{WORDS[spec.unobserved]}; it moves the risk, and testing only through the risk."
    )
    constants = {}
    if spec.unobserved == "student":
        constants["nu"] = Dial("unobserved.nu", 4.0, 1.0, 1e3, "degrees of freedom: the smaller, the more people are far out")
    return Assumption("unobserved", sentence, "structural", constants=constants, setting="unobserved", alternatives=LAWS)


def _alpha(spec: SelectiveRisk) -> list[Assumption]:
    choices = (1.0, "positive", "free") if spec.alpha in (1.0, "positive", "free") else (spec.alpha, 1.0, "positive", "free")
    if isinstance(spec.alpha, float):
        dial = Dial("alpha.value", spec.alpha, -100.0, 100.0, "log odds of a test per unit of log odds of the outcome")
        sentence = (
            f"Testing follows risk with the known slope alpha = {spec.alpha:g}: of two people alike in what moves testing by "
            "itself, the one with the higher risk is tested sooner."
        )
        return [
            Assumption("alpha", sentence, "structural", constants={"value": dial}, setting="alpha", alternatives=choices)
        ]  # fmt: skip
    if spec.alpha == "positive":
        prior, sentence = Prior("HalfNormal", sigma=3.0), "People at higher risk are tested sooner, how much is learned."
    else:
        prior, sentence = Prior("Normal", mu=0.0, sigma=3.0), "People at higher risk may be tested sooner or later."
    return [Assumption("alpha", sentence, "hyper", prior, setting="alpha", alternatives=choices)]


def _coefficients(spec: SelectiveRisk, statistics: xr.Dataset) -> list[Assumption]:
    per = "by standard deviation of the covariate or between two categories"
    normal = {"mu": 0.0, "sigma": 3.0}
    if spec.link == "probit":
        binary = spec.family == "bernoulli"
        words = {
            "risk_intercept": "The probit score of the outcome at average covariates is within six of even odds."
            if binary
            else "The mean outcome at average covariates is within six units of that of the tested.",
            "risk_effect": f"A covariate moves the {'score of the ' * binary}outcome by some units, hardly by six, {per}.",
            "testing_intercept": "The probit score of a test at average covariates is within six of even odds.",
            "testing_effect": f"A covariate moves the probit score of a test by some units, hardly by more than six, {per}.",
        }
        dims = {"risk_effect": ("risk_term",), "testing_effect": ("testing_term",)}
        return [
            Assumption(name, sentence, "hyper", Prior("Normal", dims=dims.get(name, ()), **normal))
            for name, sentence in words.items()
            if name not in dims or statistics.sizes[dims[name][0]]
        ]
    out = [
        Assumption(
            "risk_intercept", "The log odds of the outcome at average covariates are within six of even odds, before what only "
            "the decision maker saw.", "hyper", Prior("Normal", **normal),
        )
    ]  # fmt: skip
    if statistics.sizes["risk_term"]:
        sentence = f"A covariate moves the log odds of the outcome by some units, hardly by more than six, {per}."
        out.append(Assumption("risk_effect", sentence, "hyper", Prior("Normal", dims=("risk_term",), **normal)))
    out.append(
        Assumption(
            "testing_intercept", "At even odds of the outcome and average covariates, the log odds of a test are within six of "
            "even.", "hyper", Prior("Normal", **normal),
        )
    )  # fmt: skip
    if statistics.sizes["testing_term"]:
        sentence = f"At equal risk a covariate moves the log odds of a test by some units, hardly by more than six, {per}."
        out.append(Assumption("testing_effect", sentence, "hyper", Prior("Normal", dims=("testing_term",), **normal)))
    return out


def _expertise(spec: SelectiveRisk, statistics: xr.Dataset) -> list[Assumption]:
    if spec.expertise is None:
        return []
    free = f"along {', '.join(spec.expertise)}" if spec.expertise else "along no feature"
    choices = (tuple(spec.expertise), None)
    if spec.tau is None or not statistics.sizes["held_term"]:
        sentence = f"At equal risk testing differs {free}, and along no other feature: the decision maker knows the risk."
        return [Assumption("expertise", sentence, "constraint", setting="expertise", alternatives=choices)]
    sentence = f"At equal risk testing differs {free}, and along other features hardly: the decision maker knows the risk."
    prior = Prior("Normal", dims=("held_term",), mu=0.0, sigma=float(spec.tau))
    return [Assumption("expertise", sentence, "constraint", prior, setting="expertise", alternatives=choices)]


def _prevalence(spec: SelectiveRisk) -> list[Assumption]:
    if not spec.stated:
        return []
    constants: dict[str, Dial] = {}
    words = []
    ends = (0.0, 1.0) if spec.family == "bernoulli" else (-1e300, 1e300)
    for place, (label, stated) in enumerate(spec.stated):
        mark = "" if label is None else f"_{place + 1}"
        whom = "everybody in the table" if label is None else f"group {label}"
        parts = {"value": stated.low} if stated.exact else {"low": stated.low, "high": stated.high}
        for key, number in parts.items():
            sentence = f"known prevalence of {whom}" if stated.exact else f"{key} end of the known prevalence of {whom}"
            constants[f"{key}{mark}"] = Dial(f"prevalence.{key}{mark}", number, *ends, sentence)
        constants[f"sd{mark}"] = Dial(f"prevalence.sd{mark}", stated.sd, 1e-6, 1e6, f"how far that of {whom} may be off")
        told = f"{stated.low:g}" if stated.exact else f"{stated.low:g} to {stated.high:g}"
        words.append(f"{told} (sd {stated.sd:g}) of {whom}")
    what = "prevalence" if spec.family == "bernoulli" else "mean outcome"
    sentence = f"The {what} is known from outside the table: {'; '.join(words)}."
    return [Assumption("prevalence", sentence, "constraint", constants=constants)]


def stated_numbers(spec: SelectiveRisk) -> list[tuple[str, str, str]]:
    """Names of the dials that hold the low end, the high end and the sd of each stated prevalence."""
    out = []
    for place, (label, stated) in enumerate(spec.stated):
        mark = "" if label is None else f"_{place + 1}"
        low, high = ("value", "value") if stated.exact else ("low", "high")
        out.append((f"prevalence.{low}{mark}", f"prevalence.{high}{mark}", f"prevalence.sd{mark}"))
    return out


def sign_places(spec: SelectiveRisk, statistics: xr.Dataset) -> tuple[list[int], np.ndarray]:
    names = [str(t) for t in statistics["risk_term"].values]
    for term, _ in spec.signs:
        if term not in names:
            raise DataError(
                f"signs names the term {term!r}, which the risk does not have.{suggest(term, names)}",
                rule=f"its terms: {', '.join(names)}.", fix="name a term as fit.coefficients() does.",
            )  # fmt: skip
    return [names.index(term) for term, _ in spec.signs], np.array([float(sign) for _, sign in spec.signs])


def sign_weight(spec: SelectiveRisk, effects: np.ndarray, statistics: xr.Dataset, dials: object) -> np.ndarray:
    """Log weight of the known signs, per draw: ``-log(1 + exp(-sharpness sign effect))``, summed."""
    places, signs = sign_places(spec, statistics)
    sharp = float(dials["signs.sharpness"])  # type: ignore[index]
    return np.asarray(-np.logaddexp(0.0, -sharp * signs * np.asarray(effects)[:, places]).sum(-1))
