"""What people ask of judged candidates, as draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayeskit_models.judges.assumptions import is_binary
from bayeskit_models.judges.difficulty import difficulty_nodes
from bayeskit_models.judges.geometry import judge_quality

if TYPE_CHECKING:
    from bayeskit_models.judges.model import JudgeSimplex

__all__ = ["estimands_of", "level_shares", "row_shares", "vertices_of"]


def vertices_of(spec: JudgeSimplex, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Matrices of the judges (rows: true levels), shape (..., J, M, M), constancy deviations at zero."""
    if not is_binary(spec):
        return np.asarray(values["judge_vertices"])
    quality, lean = np.asarray(values["judge_quality"]), np.asarray(values["judge_lean"])
    low = (1.0 - quality) * lean
    high = low + quality
    return np.stack([np.stack([1 - low, low], -1), np.stack([1 - high, high], -1)], -2)


def log_graded(eta: np.ndarray, gaps: np.ndarray | None) -> np.ndarray:
    """Log probabilities of the levels for ``eta`` (...,), thresholds from ``gaps`` (..., M - 2); shape (..., M)."""
    softplus = lambda x: np.logaddexp(0.0, x)  # noqa: E731
    if gaps is None:
        return np.stack([-softplus(eta), -softplus(-eta)], -1)
    cuts = np.concatenate([np.zeros((*gaps.shape[:-1], 1)), np.cumsum(gaps, -1)], -1)
    reach = eta[..., None] - cuts
    inner = -softplus(-reach[..., :-1]) - softplus(reach[..., 1:]) + np.log1p(-np.exp(-gaps))
    return np.concatenate([-softplus(reach[..., :1]), inner, -softplus(-reach[..., -1:])], -1)


def row_location(values: Mapping[str, np.ndarray], strata: int) -> np.ndarray:
    """Ability less the stratum's difficulty, shape (..., K, G)."""
    ability = values["ability_mean"][..., None] + values["ability_scale"][..., None] * values["ability"]
    location = np.repeat(ability[..., None], strata, axis=-1)
    if "stratum_ability" in values:
        location = location - values["stratum_difficulty"][..., None, :]
        location = location + values["stratum_ability_scale"][..., None, None] * values["stratum_ability"]
    return np.asarray(location)


def row_shares(spec: JudgeSimplex, values: Mapping[str, np.ndarray], statistics: xr.Dataset) -> np.ndarray:
    """Share of each candidate's answers at each true level by stratum, shape (..., K, G, M).

    In the paired likelihood: over the population of items, the difficulty integrated out by quadrature.
    """
    strata = statistics.sizes["stratum"]
    if statistics.attrs["likelihood"] != "paired":
        prevalence = np.asarray(values["prevalence"])
        return prevalence[..., None, :] if strata == 1 else prevalence
    location = row_location(values, strata)
    spread = values["difficulty_scale"]
    nodes, log_weight = difficulty_nodes(statistics.sizes["candidate"], float(np.max(spread)))
    gaps = np.asarray(values["cut_gap"])[..., None, None, :] if spec.levels > 2 else None
    shares = np.zeros((*location.shape, spec.levels))
    for node, mass in zip(nodes, np.exp(log_weight), strict=True):
        eta = location - (spread * node)[..., None, None]
        if gaps is None:  # the same in a fifth of the time
            shares[..., 1] += 0.5 * mass * (1.0 + np.tanh(0.5 * eta))
        else:
            shares += mass * np.exp(log_graded(eta, gaps))
    if gaps is None:
        shares[..., 0] = 1.0 - shares[..., 1]
    return shares


def level_shares(spec: JudgeSimplex, values: Mapping[str, np.ndarray], statistics: xr.Dataset) -> np.ndarray:
    """Share of each candidate's answers at each true level over all strata, shape (..., K, M)."""
    shares, weight = row_shares(spec, values, statistics), statistics["stratum_weight"].values
    return shares[..., 0, :] if len(weight) == 1 else np.einsum("...kgm,g->...km", shares, weight)


def estimands_of(spec: JudgeSimplex, draws: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
    """Expected true score (headline), shares at each level, and quality of the judges.

    The expected score is ``sum_m m pi_km`` in the user's own numbers for the levels.
    """
    values: dict[str, Any] = {str(n): draws[n].values for n in draws.data_vars}
    shares = level_shares(spec, values, statistics)
    score = shares @ (spec.base + np.arange(spec.levels))
    quality = judge_quality(vertices_of(spec, values))
    unit = f"score, {spec.base} to {spec.base + spec.levels - 1}"
    lead = ("chain", "draw")
    return xr.Dataset(
        {
            "expected_score": (
                (*lead, "candidate"), score, {"label": "expected true score", "units": unit, "headline": 1},
            ),
            "level_share": (
                (*lead, "candidate", "level"), shares,
                {"label": "share of answers at each true level", "units": "probability", "headline": 0},
            ),
            "quality": (
                (*lead, "judge"), quality,
                {"label": "quality of the judge, |det Theta|", "units": "0 useless, 1 perfect", "headline": 0},
            ),
        },
        coords={d: statistics.coords[d].values for d in ("candidate", "level", "judge")}
        | {d: draws[d].values for d in lead},
    )  # fmt: skip
