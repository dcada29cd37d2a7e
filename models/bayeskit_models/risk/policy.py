"""How testing departs from risk along one feature: the probability of a test at fixed risk."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from bayeskit.errors import SpecificationError, suggest
from bayeskit.estimands import interval
from bayeskit_models.risk.population import Coefficients
from bayeskit_models.risk.probit import ProbitCoefficients

if TYPE_CHECKING:
    from bayeskit.report.content import Figure
    from bayeskit_models.risk.risk_fit import RiskFit

__all__ = ["PolicyCurve", "policy_curve"]

FloatArray = NDArray[np.float64]

_POINTS = 60


@dataclass(frozen=True)
class PolicyCurve:
    """Draws of the probability of a test along a feature, for people of one and the same risk.

    Attributes
    ----------
    feature : str
    values : tuple
        Numbers or categories.
    draws : ndarray, shape (S, values)
    risk : float
        The fixed probability of the outcome, or the fixed outcome where it is continuous.
    free : bool
        False where the specification says that testing does not depart from risk along the feature: the curve is then flat by
        assumption.
    fixed : str
        What `risk` is: "risk" or "outcome".
    """

    feature: str
    values: tuple[Any, ...]
    draws: FloatArray
    risk: float
    free: bool
    fixed: str = "risk"

    def summary(self, prob: float = 0.95) -> pd.DataFrame:
        """Median and equal-tailed interval at every value."""
        ends = interval(self.draws, prob)
        columns = {"median": np.median(self.draws, axis=0), "lower": ends[:, 0], "upper": ends[:, 1]}
        out = pd.DataFrame(columns, index=pd.Index(self.values, name=self.feature))
        out.attrs = {"prob": prob, "kind": "eti"}
        return out

    @property
    def head(self) -> str:
        """What it is, in words."""
        tail = "" if self.free else "; flat by assumption: the feature is outside expertise"
        at = f"at a fixed {self.fixed} of {self.risk:.3g} and average other covariates"
        return f"probability of a test along {self.feature}, {at}{tail}"

    def __repr__(self) -> str:
        table = self.summary()
        few = table.iloc[np.unique(np.linspace(0, len(table) - 1, 8).round().astype(int))]
        return f"{self.head}; 95% equal-tailed intervals\n{few.round(4).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.head)}; 95% equal-tailed intervals</p>{self.summary().round(4).to_html()}"

    def plot(self, thresholds: Sequence[float] = (), *, prob: float = 0.95) -> Figure:
        """The curve with its band; `thresholds` are values of the feature at which a written rule changes."""
        from bayeskit_models.risk.figures import policy_figure

        return policy_figure(self, thresholds, prob)


def policy_curve(fit: RiskFit, feature: str, values: Any, risk: float | None) -> PolicyCurve:
    """See `RiskFit.policy`."""
    design = fit._need_design("predict")
    spec = fit.spec
    known = sorted(set(spec.covariates))
    if feature not in known:
        raise SpecificationError(f"feature={feature!r} is no covariate of the formulas.{suggest(feature, known)}")
    if risk is None:
        risk = float(np.median(fit.means.sel(population="all")))
    if fit.spec.family == "bernoulli" and not 0.0 < risk < 1.0:
        raise SpecificationError(f"risk={risk!r}: a probability strictly between 0 and 1.")
    statistics = fit._need_statistics("hold the other covariates at their averages")
    role = f"x_{feature}"
    if values is None:
        if role in fit.levels:
            values = list(fit.levels[role])
        else:
            column = statistics[role].values.astype(float)
            distinct = np.unique(column)
            values = distinct if len(distinct) <= 8 else np.linspace(distinct[0], distinct[-1], _POINTS)
    rows = {name: [_typical(fit, name)] * len(values) for name in known}
    rows[feature] = list(values)
    risk_columns, testing, _ = fit.columns_of(pd.DataFrame(rows))
    c, _ = fit.thinned(len(values))
    free = any(feature in spec.terms(part).variables for part in ("testing", "held"))
    assert design is not None
    if isinstance(c, ProbitCoefficients):
        raise SpecificationError("policy: with link='probit' testing at equal risk is not identified.")
    if isinstance(c, Coefficients):
        score = c.alpha[:, None] * np.log(risk / (1.0 - risk)) + c.testing[:, :1] + c.testing[:, 1:] @ testing
        return PolicyCurve(feature, tuple(values), expit(score), risk, free)
    mean, score = c.predictors(risk_columns, testing)
    alpha, stretch = c.alpha[:, None], np.cosh(np.arctanh(c.correlation))[:, None]
    at = (risk - c.unit[0]) / c.unit[1]
    return PolicyCurve(feature, tuple(values), ndtr(stretch * score + alpha * (at - mean)), risk, free, "outcome")


def _typical(fit: RiskFit, name: str) -> Any:
    """Mean of a number, commonest category of a label."""
    statistics = fit._need_statistics("hold the other covariates at their averages")
    column, weight = statistics[f"x_{name}"].values, statistics["weight"].values
    if f"x_{name}" not in fit.levels:
        return float(np.average(column.astype(float), weights=weight))
    labels, place = np.unique(column.astype(str), return_inverse=True)
    return str(labels[np.bincount(np.asarray(place).reshape(-1), weights=weight).argmax()])
