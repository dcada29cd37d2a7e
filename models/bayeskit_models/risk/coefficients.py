"""Coefficients of a risk fit as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeskit.estimands import interval

if TYPE_CHECKING:
    from bayeskit_models.risk.risk_fit import RiskFit

__all__ = ["baselines_of", "coefficient_table"]

_PARTS = {
    "risk": "risk_coefficient",
    "testing": "testing_coefficient",
    "testing, held": "held_coefficient",
    "departure": "departure",
}


def coefficient_table(fit: RiskFit, prob: float) -> pd.DataFrame:
    """See `RiskFit.coefficients`."""
    rows, index = [], []
    for part, name in _PARTS.items():
        if name not in fit.estimands:
            continue
        variable = fit.estimands[name].transpose("chain", "draw", ...)
        draws = variable.values.reshape(-1, variable.shape[-1])
        ends = interval(draws, prob)
        for k, term in enumerate(variable[variable.dims[-1]].values):
            rows.append([float(np.median(draws[:, k])), *map(float, ends[k]), float((draws[:, k] > 0).mean())])
            index.append((part, str(term)))
    names = pd.MultiIndex.from_tuples(index, names=["part", "term"])
    out = pd.DataFrame(rows, columns=["median", "lower", "upper", "p_positive"], index=names)
    out.attrs = {"prob": prob, "kind": "eti"}
    return out


def baselines_of(fit: RiskFit, prob: float) -> pd.DataFrame:
    """See `RiskFit.baselines`: the same formulas and rows, coefficients per unit of the covariate."""
    from bayeskit_models.risk.baselines import Selected, baseline_table

    statistics = fit._need_statistics("fit the comparators")
    kind = np.repeat([0, 1, 2], np.diff(statistics["kind_ptr"].values))
    if fit.spec.family == "bernoulli":
        outcome = np.where(kind == 1, 1.0, 0.0)
    else:
        outcome = statistics["outcome"].values * float(statistics["unit"].values[1]) + float(statistics["unit"].values[0])
    designs, names = {}, {}
    for component, parts in (("risk", ("risk",)), ("testing", ("testing", "held"))):
        columns, terms = [np.ones(len(kind))], ["intercept"]
        for part in parts:
            for k, term in enumerate(map(str, statistics[f"{part}_term"].values)):
                spread, centre = (float(statistics[f"{part}_{what}"].values[k]) for what in ("spread", "centre"))
                columns.append(statistics[f"{part}_columns"].values[k] * spread + centre)
                terms.append(term)
        if component == "testing":  # a probability of testing given covariates needs those of the risk too
            extra = [k for k, name in enumerate(names["risk"]) if name not in terms]
            columns += [designs["risk"][:, k] for k in extra]
            terms += [names["risk"][k] for k in extra]
        designs[component], names[component] = np.stack(columns, axis=1), terms
    rows = Selected(
        outcome, kind > 0, designs["risk"], designs["testing"], names["risk"], names["testing"],
        "logit" if fit.spec.family == "bernoulli" else None, statistics["weight"].values,
    )  # fmt: skip
    return baseline_table(rows, probability=prob)
