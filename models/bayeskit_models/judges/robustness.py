"""Which pairs keep their order whatever is assumed: a verdict over several fits of the same candidates."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeskit.errors import SpecificationError, suggest
from bayeskit.estimands import p_above, rank_interval
from bayeskit.sensitivity import Sweep

if TYPE_CHECKING:
    from bayeskit_models.judges.judge_fit import JudgeFit

__all__ = ["VERDICTS", "Robustness", "robustness"]

VERDICTS = ("robust", "prior-driven", "undetermined")
_UNUSABLE = ("ERROR", "FAIL", "NOT COMPUTED")


@dataclass(frozen=True, eq=False)
class Robustness:
    """What of a ranking holds over several settings.

    Attributes
    ----------
    pairs : DataFrame
        One row a pair, a above b in the reference: p_lowest and p_highest, the range of P(a above b) over settings;
        settings_ordered, how many of them order the pair (either way) with more than `prob`; crosses_half, whether the more
        probable order changes; verdict. "robust": the same order with more than `prob` in every setting. "prior-driven":
        ordered in some settings, but not in all, or not the same way. "undetermined": ordered in none.
    candidates : DataFrame
        Index candidate; rank_lower and rank_upper in the reference, and union_lower and union_upper, which cover the
        equal-tailed rank intervals of all settings.
    settings : DataFrame
        Index setting; status of its fit, and tau, Kendall's tau of its order of posterior mean scores with the reference's.
    reference : str
        The setting that others are compared with.
    prob : float
        Probability of rank intervals, and what it takes to call a pair ordered.
    """

    pairs: pd.DataFrame
    candidates: pd.DataFrame
    settings: pd.DataFrame
    reference: str
    prob: float

    @property
    def table(self) -> pd.DataFrame:
        """The pairs."""
        return self.pairs

    @property
    def left_out(self) -> tuple[str, ...]:
        """Settings whose fit failed: nothing is concluded from them."""
        return tuple(str(s) for s in self.settings.index[self.settings["status"].isin(_UNUSABLE)])

    def of(self, verdict: str) -> tuple[tuple[str, str], ...]:
        """Pairs (a, b) of one verdict."""
        if verdict not in VERDICTS:
            raise SpecificationError(f"verdict={verdict!r}: one of {', '.join(VERDICTS)}.{suggest(str(verdict), VERDICTS)}")
        found = self.pairs[self.pairs["verdict"] == verdict]
        return tuple(zip(found["a"], found["b"], strict=True))

    @property
    def headline(self) -> str:
        """What failed, if anything, and how many pairs are robust."""
        counts = [len(self.of(v)) for v in VERDICTS]
        total, gone = len(self.settings), len(self.left_out)
        lost = f"{gone} of {total} settings failed and are left out. " if gone else ""
        return (
            f"{lost}Over {total - gone} settings {counts[0]} of {len(self.pairs)} pairs are robust (the same order with more "
            f"than {self.prob:.0%} in each), {counts[1]} prior-driven and {counts[2]} undetermined"
        )

    def __repr__(self) -> str:
        tables = (self.pairs.round(3).to_string(index=False), self.candidates.to_string(), self.settings.round(3).to_string())
        ranks = f"Ranks: {self.prob:.0%} equal-tailed intervals in {self.reference!r}, and their union over settings"
        return "\n".join([self.headline, tables[0], ranks, tables[1], f"Kendall's tau with {self.reference!r}", tables[2]])

    def _repr_html_(self) -> str:
        tables = self.pairs.round(3).to_html(index=False), self.candidates.to_html(), self.settings.round(3).to_html()
        return f"<p>{html.escape(self.headline)}</p>{''.join(tables)}"

    def to_json(self) -> str:
        """Strict JSON, schema ``bayeskit.judge_robustness/1``: NaN is null."""
        parts = {
            "pairs": _records(self.pairs),
            "candidates": _records(self.candidates.reset_index()),
            "settings": _records(self.settings.reset_index()),
        }
        facts = {"prob": self.prob, "reference": self.reference, "headline": self.headline}
        return json.dumps({"schema": "bayeskit.judge_robustness/1", **facts, **parts}, allow_nan=False, ensure_ascii=False)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = json.loads(frame.to_json(orient="records", double_precision=15))
    return [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()} for row in rows]


def robustness(fits: Mapping[str, JudgeFit | None] | Sweep, prob: float = 0.95, *, reference: str | None = None) -> Robustness:
    """Judge every pair over several fits of the same candidates: other dials, other specifications, fewer judges.

    Parameters
    ----------
    fits : mapping of str to JudgeFit, or Sweep
        Fits by the name of their setting; None for one that could not be made. Of a sweep the swept fit is the reference,
        called "base".
    prob : float
        What it takes to call a pair ordered, and the probability of rank intervals.
    reference : str, optional
        Name of the setting that others are compared with; the first one by default.

    Returns
    -------
    Robustness
        Fits whose checks failed are shown and not counted.

    Raises
    ------
    SpecificationError
        If there is no usable fit, the reference failed, or the fits rank different candidates.
    """
    named = _from_sweep(fits) if isinstance(fits, Sweep) else dict(fits)
    if not 0.5 <= prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: a pair is ordered with a probability from 0.5 to below 1.")
    if not named:
        raise SpecificationError("fits is empty: give at least one fit, {'setting': fit, ...}.")
    first = next(iter(named)) if reference is None else reference
    if first not in named:
        raise SpecificationError(f"No setting {first!r} among the fits.{suggest(first, named)}")
    status = {name: "ERROR" if fit is None else fit.verdict.status.value for name, fit in named.items()}
    if status[first] in _UNUSABLE:
        raise SpecificationError(f"The reference setting {first!r} has status {status[first]}: name another one, reference=...")
    base = named[first]
    assert base is not None
    labels = base.candidates
    usable = {name: _scores(name, fit, labels) for name, fit in named.items() if fit and status[name] not in _UNUSABLE}
    bounds = {name: _rank_bounds(fit, labels, prob) for name, fit in named.items() if fit and name in usable}
    order = np.argsort(-usable[first].mean(0), kind="stable")
    return Robustness(
        _pairs(usable, labels, order, prob), _candidates(bounds, labels, order, first), _settings(usable, status, first),
        first, prob,
    )  # fmt: skip


def _from_sweep(swept: Sweep) -> dict[str, Any]:
    cells = {", ".join(f"{k}={v:g}" for k, v in c.dials.items()): c.fit for c in swept.cells}
    return {"base": swept.base, **cells}


def _place(name: str, fit: JudgeFit, labels: tuple[str, ...]) -> list[int]:
    """Where the reference's candidates stand in a fit."""
    if set(fit.candidates) != set(labels):
        odd = sorted(set(fit.candidates) ^ set(labels))
        raise SpecificationError(
            f"Setting {name!r} ranks other candidates than the reference: {', '.join(odd[:5])}. Compare fits of the same ones."
        )
    return [fit.candidates.index(v) for v in labels]


def _scores(name: str, fit: JudgeFit, labels: tuple[str, ...]) -> np.ndarray:
    return np.asarray(fit.score_draws()[:, _place(name, fit, labels)])


def _rank_bounds(fit: JudgeFit, labels: tuple[str, ...], prob: float) -> np.ndarray:
    return np.asarray(rank_interval(fit.rank_draws(), prob, "eti")[_place("", fit, labels)])


def _pairs(usable: Mapping[str, np.ndarray], labels: tuple[str, ...], order: np.ndarray, prob: float) -> pd.DataFrame:
    above = np.stack([p_above(scores) for scores in usable.values()])
    rows = []
    for place, a in enumerate(order):
        for b in order[place + 1 :]:
            p = above[:, a, b]
            up, down = p > prob, above[:, b, a] > prob
            same = bool(up.all() or down.all())
            ordered = int((up | down).sum())
            rows.append(
                {
                    "a": labels[a], "b": labels[b], "p_lowest": float(p.min()), "p_highest": float(p.max()),
                    "settings_ordered": ordered, "crosses_half": bool(p.min() < 0.5 < p.max()),
                    "verdict": VERDICTS[0] if same else VERDICTS[1] if ordered else VERDICTS[2],
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _candidates(bounds: Mapping[str, np.ndarray], labels: tuple[str, ...], order: np.ndarray, first: str) -> pd.DataFrame:
    every = np.stack(list(bounds.values()))
    columns = {
        "rank_lower": bounds[first][:, 0], "rank_upper": bounds[first][:, 1],
        "union_lower": every[..., 0].min(0), "union_upper": every[..., 1].max(0),
    }  # fmt: skip
    return pd.DataFrame(columns, index=pd.Index(labels, name="candidate")).iloc[order]


def _settings(usable: Mapping[str, np.ndarray], status: Mapping[str, str], first: str) -> pd.DataFrame:
    from scipy.stats import kendalltau

    reference = usable[first].mean(0)
    tau = [float(kendalltau(usable[n].mean(0), reference).statistic) if n in usable else np.nan for n in status]
    return pd.DataFrame({"status": list(status.values()), "tau": tau}, index=pd.Index(list(status), name="setting"))
