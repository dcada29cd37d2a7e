"""What a report says of a survival model before any draw: formulas, what the table holds, numbers to replicate, limits."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayeskit_models.survival.kaplan_meier import kaplan_meier

if TYPE_CHECKING:
    from bayeskit_models.survival.model import FlexibleSurvival

__all__ = ["data_facts_of", "equations_of", "limits_of", "test_quantities_of"]

_KINDS = ("events at a known time", "right-censored", "left-censored", "in an interval")
_FEW = 8  # categories of a covariate that are replicated one by one
_LAWS = {
    "weibull": "κ = 1 (Weibull)", "loglogistic": "κ = 0, λ = 1 (log-logistic)", "burr": "κ = 0 (Burr XII)",
    "gompertz": "κ large, γ = 1 (Gompertz)",
}  # fmt: skip


def equations_of(spec: FlexibleSurvival) -> tuple[str, ...]:
    """The law and its predictors in formulas; t in units of the internal time."""
    lines = [
        "H(t) = λ (κ + 1)/κ [(1 + (φ t)^γ/(κ + 1))^κ − 1]; S(t) = exp(−H(t)); h = dH/dt",
        "a row adds h(t) S(t) for an event, S(t) if censored on the right, 1 − S(t) on the left, S(a) − S(b) between a and b",
    ]
    for component, name in (("scale", "log φ"), ("hazard", "log λ"), ("shape", "log γ"), ("tail", "log(κ + 1)")):
        if component == "tail" and spec.law != "apgw":
            lines.append(_LAWS[spec.law])
            continue
        terms = spec.terms(component)
        parts = [f"{component}_intercept"] if terms.intercept else []
        parts += [f"{component}_effect[{p}] {p}" for p in terms.parts]
        if spec.group is not None and component in spec.group_on:
            parts.append(f"deviation of {spec.group}")
        lines.append(f"{name} = {' + '.join(parts) or '0'}")
    if spec.entry is not None:
        lines.append("rows that enter late: divided by S(entry)")
    if spec.background is not None:
        lines.append("hazard of a row = h + background hazard of the table")
    if spec.frailty is not None:
        lines.append(f"hazards of equal {spec.frailty} share a factor ~ Gamma(mean 1, variance frailty_variance), summed out")
    return tuple(lines)


def data_facts_of(statistics: xr.Dataset) -> dict[str, int | float | str]:
    """Rows by kind, events by category, follow-up."""
    out: dict[str, int | float | str] = {}
    if "weight" in statistics:
        pointer, weight = statistics["kind_ptr"].values, statistics["weight"].values
        totals = [float(weight[a:b].sum()) for a, b in pairwise(pointer)]
        out |= {name: _whole(total) for name, total in zip(_KINDS, totals, strict=True) if total > 0}
        if len(statistics["entry_row"]):
            out["rows that enter late"] = len(statistics["entry_row"])
    out["longest follow-up, in the table's unit of time"] = f"{float(statistics['follow_up']):.4g}"
    out["latest event"] = f"{float(statistics['last_event']):.4g}"
    out["rows followed beyond it"] = _whole(float(statistics["beyond"]))
    if "category" in statistics.coords:
        for k, label in enumerate(map(str, statistics["category"].values)):
            out[f"rows with {label}"] = _whole(float(statistics["category_rows"].values[k]))
            out[f"events with {label}"] = _whole(float(statistics["category_events"].values[k]))
    return out


def _whole(value: float) -> int | float:
    return round(value) if abs(value - round(value)) < 1e-9 else value


def test_quantities_of(spec: FlexibleSurvival, statistics: xr.Dataset, observed: xr.Dataset) -> dict[str, float]:
    """Kaplan and Meier's survival at the observed table's quartiles of events, of all and by category of a covariate.

    The curve is comparable between tables that are censored at other times, which numbers of events are not. Empty where times
    are known to intervals only.
    """
    pointer = statistics["kind_ptr"].values
    if pointer[-1] > pointer[2]:
        return {}
    scale = float(statistics["time_scale"])
    entry = np.zeros(statistics.sizes["row"])
    entry[statistics["entry_row"].values] = np.exp(statistics["log_entry"].values) * scale
    time = np.exp(statistics["log_lower"].values) * scale
    event = np.arange(len(time)) < pointer[1]
    weight, pattern = statistics["weight"].values, statistics["pattern"].values
    arms: dict[str, np.ndarray] = {"": np.ones(len(time), dtype=bool)}
    for name in spec.covariates:
        values = statistics[f"x_{name}"].values
        labels = np.unique(observed[f"x_{name}"].values)
        if 2 <= len(labels) <= _FEW:
            told = {label: label if isinstance(label, str) else f"{label:g}" for label in labels}
            arms |= {f" where {name} is {told[v]}": (values == v)[pattern] for v in labels}
    out: dict[str, float] = {}
    for where, rows in arms.items():
        if not event[rows].any():
            continue
        curve = kaplan_meier(time[rows], event[rows], entry=entry[rows], weights=weight[rows])
        for at, share in zip(observed["horizons"].values, curve.at(observed["horizons"].values), strict=True):
            out[f"share free of the event at {float(at):.4g}{where}"] = float(share)
    return out


def limits_of(spec: FlexibleSurvival) -> tuple[str, ...]:
    """What such a fit cannot say."""
    out = [
        "Censoring is taken to be independent of the event: the table cannot show otherwise. fit.informative_censoring() says "
        "how far it would have to be off to turn a conclusion.",
        "What lies beyond the last event is extrapolation by the law, however narrow its interval.",
        "A hazard that turns twice is not among the shapes of this law.",
    ]
    if spec.covariates:
        out.append("Effects are associations, unless the covariates were assigned at random.")
    if spec.unit is None:
        out.append("The priors are on the scale of the table's median time: they follow the data that far.")
    return tuple(out)
