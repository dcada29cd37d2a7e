"""Risks against outcomes that came later: discrimination and calibration, with intervals.

Two uncertainties are in the intervals: of the risks (posterior draws) and of the follow-up, which is a sample (Bayesian
bootstrap: Dirichlet weights on its rows, Rubin 1981).
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeskit import Column
from bayeskit.errors import DataError, SpecificationError
from bayeskit.intake import encode

if TYPE_CHECKING:
    from bayeskit.report.content import Figure
    from bayeskit_models.risk.risk_fit import RiskFit

__all__ = ["METRICS", "Validation", "auc", "calibration_slope", "quintile_ratio", "validate"]

FloatArray = NDArray[np.float64]

METRICS = {
    "auc": "probability that who had the outcome was given the higher risk",
    "quintile_ratio": "outcomes in the fifth of highest risk over those in the lowest fifth",
    "calibration_difference": "observed share less mean risk",
    "calibration_slope": "slope of the outcome's log odds on those of the risk; 1 is right, below 1 risks are too spread out",
}
_DRAWS = 400
_FEWEST = 20  # rows, and both outcomes, below which a subgroup is left out


@dataclass(frozen=True)
class Validation:
    """Metrics of risks on a follow-up.

    Attributes
    ----------
    draws : dict of str to dict of str to ndarray, shape (S,)
        By subgroup ("all" first), then by metric, see `METRICS`.
    counts : dict of str to (int, int)
        Rows and outcomes of each subgroup.
    left_out : tuple of str
        Subgroups too small to judge.
    risk, outcome : ndarray, shape (S, n), (n,)
        Risks and outcomes that were compared.
    given : str
        Which risk was judged.
    """

    draws: dict[str, dict[str, FloatArray]]
    counts: dict[str, tuple[int, int]]
    left_out: tuple[str, ...]
    risk: FloatArray
    outcome: FloatArray
    given: str

    def summary(self, prob: float = 0.95) -> pd.DataFrame:
        """Median and equal-tailed interval of every metric, by subgroup; inf where the lowest fifth has no outcome."""
        rows, index = [], []
        for group, metrics in self.draws.items():
            for name, values in metrics.items():
                # without interpolation: some draws of a ratio are infinite
                ends = np.quantile(values, (0.5, (1.0 - prob) / 2.0, (1.0 + prob) / 2.0), method="inverted_cdf")
                rows.append([*map(float, ends), *self.counts[group]])
                index.append((group, name))
        columns = ["median", "lower", "upper", "rows", "outcomes"]
        out = pd.DataFrame(rows, columns=columns, index=pd.MultiIndex.from_tuples(index, names=["group", "metric"]))
        out.attrs = {"prob": prob, "kind": "eti"}
        return out

    @property
    def head(self) -> str:
        """What was compared, in words."""
        rest = f" Too small to judge: {', '.join(self.left_out)}." if self.left_out else ""
        return f"Risk (given: {self.given}) against {len(self.outcome)} outcomes, 95% equal-tailed intervals.{rest}"

    def __repr__(self) -> str:
        return f"{self.head}\n{self.summary().round(3).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.head)}</p>{self.summary().round(3).to_html()}"

    def plot(self, *, groups: int = 10, prob: float = 0.95) -> Figure:
        """Predicted against observed in groups of rows with like risks."""
        from bayeskit_models.risk.figures import calibration_figure

        return calibration_figure(self.risk, self.outcome, groups, prob)


def validate(fit: RiskFit, followup: Any, outcome: str, by: str | None, given: str, seed: int) -> Validation:
    """See `RiskFit.validate`."""
    from bayeskit_models.risk.risk_fit import GIVEN, conditional

    fit.need_binary("validate")
    if given not in GIVEN:
        raise SpecificationError(f"given={given!r}: must be one of {', '.join(GIVEN)}.")
    wanted = [Column("outcome", outcome, "binary", "what was found later")]
    if by is not None:
        wanted.append(Column("by", by, "label", "the subgroup"))
    rows = encode(followup, wanted)
    y = np.asarray(rows.columns["outcome"], dtype=float)
    if y.min() == y.max():
        raise DataError(
            f"every row of the follow-up has the outcome {y[0]:g}.", column=outcome, rule="both outcomes occur.",
            fix="validate with a follow-up in which some had the outcome and some had not.",
        )  # fmt: skip
    found, _, _ = fit.row_draws(followup, _DRAWS)
    risk = conditional(found, given)
    weights = np.random.default_rng(seed).exponential(size=risk.shape)
    groups = {"all": np.ones(rows.n, dtype=bool)}
    if by is not None:
        groups |= {f"{by} = {label}": rows.columns["by"] == k for k, label in enumerate(rows.levels["by"])}
    draws: dict[str, dict[str, FloatArray]] = {}
    left_out, counts = [], {}
    for name, mine in groups.items():
        if name != "all" and (mine.sum() < _FEWEST or y[mine].min() == y[mine].max()):
            left_out.append(name)
            continue
        draws[name] = _metrics(risk[:, mine], y[mine], weights[:, mine])
        counts[name] = (int(mine.sum()), int(y[mine].sum()))
    return Validation(draws, counts, tuple(left_out), risk, y, given)


def _metrics(risk: FloatArray, y: FloatArray, weights: FloatArray) -> dict[str, FloatArray]:
    share = weights / weights.sum(1, keepdims=True)
    return {
        "auc": auc(risk, y, weights),
        "quintile_ratio": quintile_ratio(risk, y, weights),
        "calibration_difference": (share * (y - risk)).sum(1),
        "calibration_slope": calibration_slope(risk, y, weights),
    }


def auc(risk: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted area under the ROC curve of every line, shape (S,); ties count one half."""
    out = np.empty(len(risk))
    for s, (r, w) in enumerate(zip(risk, weights, strict=True)):
        _, place = np.unique(r, return_inverse=True)
        ill, well = (np.bincount(place, weights=w * k) for k in (y, 1.0 - y))
        below = np.cumsum(well) - well
        out[s] = float(ill @ (below + 0.5 * well) / (ill.sum() * well.sum()))
    return out


def quintile_ratio(risk: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Share of outcomes in the fifth of highest risk over that in the lowest fifth; inf where the lowest has none."""
    out = np.empty(len(risk))
    for s, (r, w) in enumerate(zip(risk, weights, strict=True)):
        order = np.argsort(r, kind="stable")
        done = np.cumsum(w[order]) / w.sum()
        low, high = order[done <= 0.2], order[done > 0.8]
        bottom = np.average(y[low], weights=w[low]) if len(low) else 0.0
        out[s] = np.average(y[high], weights=w[high]) / bottom if bottom > 0.0 else np.inf
    return out


def calibration_slope(risk: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Slope of the weighted logistic regression of the outcome on the log odds of the risk (Cox 1958)."""
    x = np.clip(np.log(risk) - np.log1p(-risk), -30.0, 30.0)
    a, b = np.zeros(len(risk)), np.ones(len(risk))
    for _ in range(12):
        p = 1.0 / (1.0 + np.exp(-np.clip(a[:, None] + b[:, None] * x, -30.0, 30.0)))
        v, e = weights * p * (1.0 - p), weights * (y - p)
        g0, g1 = e.sum(1), (e * x).sum(1)
        h00, h01, h11 = v.sum(1), (v * x).sum(1), (v * x * x).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            det = h00 * h11 - h01**2
            a, b = a + (h11 * g0 - h01 * g1) / det, b + (h00 * g1 - h01 * g0) / det
    return np.asarray(b)
