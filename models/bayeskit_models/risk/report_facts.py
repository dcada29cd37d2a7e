"""What a report says of a risk model before any draw: formulas, what the table holds, numbers to replicate, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["data_facts_of", "equations_of", "limits_of", "test_quantities_of"]

_FEW = 12  # categories of a covariate that are replicated one by one
_LAWS = {
    "uniform": "Z ~ Uniform(0, unobserved_scale)",
    "normal": "Z ~ Normal(0, unobserved_scale)",
    "student": "Z ~ Student's t(0, unobserved_scale)",
}


def equations_of(spec: SelectiveRisk) -> tuple[str, ...]:
    """The model in formulas: x covariates, Z what the decision maker saw and the table lacks."""
    risk = " + ".join(["risk_intercept", *(f"β[{p}] {p}" for p in spec.terms("risk").parts)])
    testing = " + ".join(["testing_intercept", *(f"δ[{p}] {p}" for p in spec.terms("testing").parts)])
    if spec.family == "gaussian":
        lines = [f"outcome = {risk} + ε, seen only where tested", "tested where the score of testing + ν > 0"]
        lines.append(
            "(ε, ν) normal with correlation ρ; along terms of testing the score has effects of its own, else it follows ε"
        )
    elif spec.link == "probit":
        lines = [f"outcome = 1 where {risk} + ε > 0, seen only where tested", f"tested where {testing} + ν > 0"]
        lines.append("(ε, ν) standard normal with correlation ρ")
    else:
        slope = f"{spec.alpha:g}" if isinstance(spec.alpha, float) else "alpha"
        lines = [
            f"r = {risk} + Z",
            "P(outcome = 1) = logistic(r), seen only where tested",
            f"P(tested) = logistic({slope} × r + {testing})",
            _LAWS[spec.unobserved],
        ]
    for label, stated in spec.stated:
        where = "" if label is None else f" in {label}"
        lines.append(f"known from outside{where}: {stated!r}")
    if spec.expertise is not None:
        lines.append(f"testing departs from risk along {', '.join(spec.expertise) or 'nothing'} only")
    return tuple(lines)


def data_facts_of(spec: SelectiveRisk, statistics: xr.Dataset) -> dict[str, int | float | str]:
    """Tested and untested people, and outcomes of the tested."""
    counts = {str(k): float(v) for k, v in zip(statistics["kind"].values, statistics["counts"].values, strict=True)}
    tested = sum(v for k, v in counts.items() if k != "untested")
    out: dict[str, int | float | str] = {"people tested": _whole(tested), "people nobody tested": _whole(counts["untested"])}
    if spec.family == "bernoulli":
        out["tested with the outcome"] = _whole(counts["outcome 1"])
        out["tested without the outcome"] = _whole(counts["outcome 0"])
    else:
        out["mean outcome of the tested"] = f"{float(statistics['tested_mean']):.4g} (sd {float(statistics['tested_sd']):.4g})"
    out["outcomes of people nobody tested"] = "none is known; they are summed out by the model, never imputed"
    return out


def _whole(value: float) -> int | float:
    return round(value) if abs(value - round(value)) < 1e-9 else value


def test_quantities_of(spec: SelectiveRisk, statistics: xr.Dataset) -> dict[str, float]:
    """Share tested and outcomes of the tested, of all and by category."""
    weight = statistics["weight"].values
    kind = np.repeat([0, 1, 2], np.diff(statistics["kind_ptr"].values))
    tested = kind > 0
    if spec.family == "bernoulli":
        outcome, what = (kind == 1).astype(float), "share with the outcome among the tested"
    else:
        centre, unit = statistics["unit"].values
        outcome, what = centre + unit * statistics["outcome"].values, "mean outcome of the tested"
    out = {"share tested": _mean(tested, weight), what: _mean(outcome[tested], weight[tested])}
    for name in spec.covariates:
        values = statistics[f"x_{name}"].values
        labels = np.unique(values)
        if 2 <= len(labels) <= _FEW:
            for label in labels:
                here = values == label
                told = label if isinstance(label, str) else f"{label:g}"
                out[f"share tested where {name} is {told}"] = _mean(tested[here], weight[here])
                if weight[here & tested].sum() > 0:
                    out[f"{what} where {name} is {told}"] = _mean(outcome[here & tested], weight[here & tested])
    return out


def _mean(values: np.ndarray, weight: np.ndarray) -> float:
    return float(np.average(values, weights=weight)) if weight.sum() > 0 else float("nan")


def limits_of(spec: SelectiveRisk) -> tuple[str, ...]:
    """What such a fit cannot say."""
    out = ["Nothing was seen of those whom nobody tested: every number about them follows from the model and what is assumed."]
    if spec.stated:
        out.append(
            "A stated prevalence that is wrong gives narrow intervals around a wrong answer: see the section on constraints."
        )
    if spec.family == "bernoulli" and spec.link == "logit" and spec.alpha == 1.0:
        out.append("How steeply testing follows risk is assumed to be 1, not estimated.")
    out.append("Risks are of people like those of the table; another place or another policy of testing needs another fit.")
    return tuple(out)
