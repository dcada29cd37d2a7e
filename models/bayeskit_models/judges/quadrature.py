"""Is the difficulty of the items summed out finely enough? Checked on every paired fit by doubling the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit import CheckResult, Status
from bayeskit_models.judges.difficulty import difficulty_nodes
from bayeskit_models.judges.estimands import log_graded, row_location
from bayeskit_models.judges.kernel import answers_pointwise
from bayeskit_models.judges.simulate import judge_probabilities

if TYPE_CHECKING:
    from bayeskit_models.judges.judge_fit import JudgeFit

__all__ = ["paired_log_likelihood", "quadrature_check"]

LIMIT = 0.1
"""Largest error of the log likelihood, in units of its natural log, that leaves a posterior as it is."""


def paired_log_likelihood(fit: JudgeFit, values: dict[str, np.ndarray], refine: int = 1) -> float:
    """Total log likelihood of a paired fit at one value of its variables, in plain NumPy, with `refine` times the nodes."""
    statistics = fit.statistics
    assert statistics is not None
    nodes, log_weight = difficulty_nodes(statistics.sizes["candidate"], values["difficulty_scale"], refine)
    location = row_location(values, statistics.sizes["stratum"]).reshape(-1)
    gaps = values["cut_gap"][None, None] if "cut_gap" in values else None
    log_level = log_graded(location[:, None] - values["difficulty_scale"] * nodes, gaps)
    theta = judge_probabilities(fit.spec, values, statistics, fit.dials)
    log_theta = np.log(np.maximum(theta.reshape(-1, *theta.shape[2:]), 1e-300))
    names = ("cell_row", "cell_scores", "cell_gold", "item_ptr", "item_cell", "item_count")
    data: dict[str, Any] = {n: statistics[n].values for n in names}
    per_item = answers_pointwise(log_theta, log_level, *(data[n] for n in names), log_weight)
    return float(data["item_count"] @ per_item)


def quadrature_check(fit: JudgeFit, draws: int = 8) -> CheckResult:
    """Compare the log likelihood with twice the nodes at a few posterior draws, the widest difficulties among them."""
    flat = {str(n): v.values.reshape(-1, *v.shape[2:]) for n, v in fit.posterior.data_vars.items()}
    order = np.argsort(flat["difficulty_scale"])
    chosen = order[np.linspace(0, len(order) - 1, draws).astype(int)]
    error = 0.0
    for s in chosen:
        values = {n: v[s] for n, v in flat.items()}
        error = max(error, abs(paired_log_likelihood(fit, values, 2) - paired_log_likelihood(fit, values)))
    text = f"Doubling the quadrature nodes moves the log likelihood by at most {error:.2g} at {draws} posterior draws"
    if error <= LIMIT:
        return CheckResult("quadrature", Status.PASS, f"{text} (limit {LIMIT}).")
    return CheckResult(
        "quadrature", Status.WARN, f"{text}, over the limit {LIMIT}.",
        "Items differ so much in difficulty that the grid is coarse: compare with likelihood='joint'.",
    )  # fmt: skip
