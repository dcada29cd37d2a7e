"""Tests by risk against the tests that were made: who would be tested, and what would be found."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError
from bayeskit.estimands import interval

if TYPE_CHECKING:
    from bayeskit_models.risk.risk_fit import RiskFit

__all__ = ["Misallocation", "misallocation"]

FloatArray = NDArray[np.float64]

_DRAWS = 400


@dataclass(frozen=True)
class Misallocation:
    """What tests by risk would find, against the present policy, for people with the covariates of the table.

    Attributes
    ----------
    budget : float
        Tests by risk.
    tests : ndarray, shape (S,)
        Draws of the expected number of tests under the present policy.
    by_risk, by_policy : ndarray, shape (S,)
        Draws of the expected number of outcomes found. Tests by risk go to those with the highest posterior mean risk given
        their covariates; the present policy also uses what the decision maker sees and the table lacks.
    people : DataFrame
        One line for each kind of row: its weight, share tested now, posterior mean risk with a 95 % equal-tailed interval, and
        the probability that it is among the `budget` of highest risk (a place near the limit is uncertain).
    """

    budget: float
    tests: FloatArray
    by_risk: FloatArray
    by_policy: FloatArray
    people: pd.DataFrame

    @property
    def present(self) -> float:
        """Expected tests under the present policy, posterior mean."""
        return float(self.tests.mean())

    @property
    def gain(self) -> FloatArray:
        """Draws of the difference, tests by risk less the present policy; negative where the decision maker knows better."""
        return np.asarray(self.by_risk - self.by_policy)

    def summary(self, prob: float = 0.95) -> pd.DataFrame:
        """Expected outcomes found, median and equal-tailed interval."""
        parts = {
            "tests by risk": self.by_risk,
            "present policy": self.by_policy,
            "gain": self.gain,
            "found per test, by risk": self.by_risk / self.budget,
            "found per test, present": self.by_policy / self.tests,
        }
        rows = [[float(np.median(v)), *map(float, interval(v, prob))] for v in parts.values()]
        out = pd.DataFrame(rows, columns=["median", "lower", "upper"], index=pd.Index(list(parts), name="quantity"))
        out.attrs = {"prob": prob, "kind": "eti"}
        return out

    @property
    def head(self) -> str:
        """What is compared, in words."""
        sure = float((self.gain > 0).mean())
        word = "> 0.99" if sure > 0.99 else "< 0.01" if sure < 0.01 else f"= {sure:.2f}"
        return (
            f"{self.budget:g} tests by risk against {self.present:.0f} expected under the present policy: P(more are found) "
            f"{word}; 95% equal-tailed intervals"
        )

    def __repr__(self) -> str:
        return f"{self.head}\n{self.summary().round(3).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.head)}</p>{self.summary().round(3).to_html()}"


def misallocation(fit: RiskFit, budget: float | None) -> Misallocation:
    """See `RiskFit.misallocation`."""
    from bayeskit_models.risk.population import testing_columns

    fit.need_binary("misallocation")
    statistics = fit._need_statistics("say who would be tested")
    weight = statistics["weight"].values
    tests = float(statistics["counts"].values[1:].sum()) if budget is None else float(budget)
    if not 0.0 < tests <= weight.sum():
        raise SpecificationError(f"budget={budget!r}: a number of tests above 0 and at most {weight.sum():g}, the people.")
    c, _ = fit.thinned(len(weight), _DRAWS)
    found = c.rows(statistics["risk_columns"].values, testing_columns(statistics))
    risk = found[..., 0]
    mean = risk.mean(0)
    chosen = _top(mean, weight, tests)
    placed = np.stack([_top(r, weight, tests) for r in risk]) / weight
    low, high = np.quantile(risk, (0.025, 0.975), axis=0)
    kind = np.repeat([0.0, 1.0, 1.0], np.diff(statistics["kind_ptr"].values))
    people = pd.DataFrame(
        {
            "row": statistics["table_row"].values, "weight": weight, "tested": kind, "risk": mean, "lower": low, "upper": high,
            "tested_by_risk": chosen / weight, "p_chosen": placed.mean(0),
        }
    ).sort_values("risk", ascending=False, ignore_index=True)  # fmt: skip
    now = (weight * (1.0 - found[..., 2])).sum(1)
    return Misallocation(tests, now, risk @ chosen, found[..., 1] @ weight, people)


def _top(risk: FloatArray, weight: FloatArray, tests: float) -> FloatArray:
    """How many people of each cell are among the `tests` of highest risk."""
    order = np.argsort(-risk, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(weight[order])[:-1]])
    out = np.empty(len(risk))
    out[order] = np.clip(tests - before, 0.0, weight[order])
    return out
