"""Coefficients of a risk fit as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeskit.estimands import interval

if TYPE_CHECKING:
    from bayeskit_models.risk.risk_fit import RiskFit

__all__ = ["coefficient_table"]

_PARTS = {"risk": "risk_coefficient", "testing": "testing_coefficient", "testing, held": "held_coefficient"}


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
