"""What a report says of a ranking by judges before any draw: formulas, what the table holds, numbers to replicate, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayeskit_models.judges.assumptions import is_binary, relaxed_scale

if TYPE_CHECKING:
    from bayeskit_models.judges.model import JudgeSimplex

__all__ = ["data_facts_of", "equations_of", "limits_of", "test_quantities_of"]

_LIKELIHOOD = {
    "marginal": ("counts[k, j, ·] ~ Multinomial(Σ_m π[k, m] Θ[k, j, m, ·])",),
    "joint": ("P(scores s of an answer of k) = Σ_m π[k, m] Π_j Θ[k, j, m, s_j]",),
    "paired": (
        "P(scores of an item) = ∫ Π_k Σ_m P(m | ability[k] − d) Π_j Θ[k, j, m, s_kj] Normal(d; 0, difficulty_scale) dd",
        "P(level > m | ability[k] − d) = logistic(ability[k] − d − cut_m)",
    ),
}


def equations_of(spec: JudgeSimplex) -> tuple[str, ...]:
    """The likelihood in formulas: k candidates, j judges, m true levels, s scores."""
    lines = [*_LIKELIHOOD[spec.chosen_likelihood]]
    if is_binary(spec):
        lines.append(
            "Θ[j]: false positive rate (1 − judge_quality[j]) judge_lean[j]; true positive rate that plus judge_quality[j]"
        )
    else:
        lines.append("Θ[j] = judge_vertices[j]: rows are true levels, columns scores")
    if spec.constancy == "strict":
        lines.append("Θ[k, j] = Θ[j]: a judge errs alike on all candidates")
    else:
        scale = relaxed_scale(spec)
        told = "s[j] = constancy_scale × constancy_factor[j]" if scale is None else f"s[j] = {scale:g}"
        lines.append(
            f"logit P(score > l | m) = logit Θ[j](> l | m) + s[j] × (deviation of candidate k, judge j, level m); {told}"
        )
    lines.append("expected score[k] = Σ_m m π[k, m]")
    return tuple(lines)


def data_facts_of(statistics: xr.Dataset) -> dict[str, int | float | str]:
    """Verdicts, answers, distinct answers, verdicts of each judge."""
    verdicts = statistics["verdicts"].values
    out: dict[str, int | float | str] = {"verdicts": int(verdicts.sum())}
    if "item_cell" in statistics:
        counts = _answers(statistics)
        out["answers with a verdict or a known truth"] = int(counts.sum())
        out["answers whose truth is known"] = int(counts[statistics["cell_gold"].values >= 0].sum())
    elif "gold_counts" in statistics:
        out["verdicts on answers whose truth is known"] = int(statistics["gold_counts"].sum())
    for judge, number in zip(statistics["judge"].values, verdicts.sum((0, 2)), strict=True):
        out[f"verdicts of {judge}"] = int(number)
    return out


def _answers(statistics: xr.Dataset) -> np.ndarray:
    """How many answers each distinct one stands for."""
    each = np.repeat(statistics["item_count"].values, np.diff(statistics["item_ptr"].values))
    return np.bincount(statistics["item_cell"].values, weights=each, minlength=statistics.sizes["cell"])


def test_quantities_of(spec: JudgeSimplex, statistics: xr.Dataset) -> dict[str, float]:
    """Mean score of every candidate and judge, and how often all judges of an answer agree."""
    verdicts = statistics["verdicts"].values
    level = spec.base + np.arange(spec.levels)
    out: dict[str, float] = {}
    for name, axes in (("candidate", (1,)), ("judge", (0,))):
        counts = verdicts.sum(axes)
        for label, row in zip(statistics[name].values, counts, strict=True):
            if row.sum() > 0:
                out[f"mean verdict on {label}" if name == "candidate" else f"mean verdict of {label}"] = float(
                    row @ level / row.sum()
                )
    if "cell_scores" in statistics:
        scores, counts = statistics["cell_scores"].values, _answers(statistics)
        several = (scores >= 0).sum(1) > 1
        low = np.where(scores >= 0, scores, spec.levels).min(1)
        agreed = several & (scores.max(1) == low)
        if counts[several].sum() > 0:
            out["share of answers on which all judges agree"] = float(counts[agreed].sum() / counts[several].sum())
    return out


def limits_of(spec: JudgeSimplex) -> tuple[str, ...]:
    """What a ranking by verdicts cannot say."""
    out = ["The ranking is of these candidates on items like these, as these judges see them; other items may rank otherwise."]
    if spec.gold is None:
        out.append(
            "No true label was used: how high scores are rests on the prior of the judges' quality; their order less so."
        )
    if spec.levels > 2:
        out.append("With three or more levels verdicts alone do not settle even the order of all pairs: see which remain open.")
    if spec.chosen_likelihood == "marginal":
        out.append(
            "Verdicts on the same answer count as independent ones: intervals are too narrow where judges saw the same answers."
        )
    return tuple(out)
