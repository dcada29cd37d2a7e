"""Simulated verdicts from exactly the prior and likelihood that are fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from bayeskit import Simulation
from bayeskit.errors import SpecificationError
from bayeskit_models.judges.assumptions import relaxed_scale
from bayeskit_models.judges.estimands import log_graded, row_location, vertices_of

if TYPE_CHECKING:
    from bayeskit_models.judges.model import JudgeSimplex

__all__ = ["judge_probabilities", "simulate_judges"]


@dataclass(frozen=True)
class _Design:
    """Who answers what and who judges it: one entry an answer (or, in the marginal likelihood, a verdict)."""

    candidate: np.ndarray
    stratum: np.ndarray
    item: np.ndarray
    asked: np.ndarray  # (n, J): which judges give a verdict
    gold: np.ndarray  # (n,): whether the true level is told
    names: dict[str, list[str]]


def judge_probabilities(
    spec: JudgeSimplex, values: Mapping[str, np.ndarray], statistics: xr.Dataset, dials: Mapping[str, float]
) -> np.ndarray:
    """P(score | true level) for every candidate, stratum and judge, shape (K, G, J, M, M)."""
    sizes = statistics.sizes
    shift = np.zeros((sizes["candidate"], sizes["stratum"], sizes["judge"], spec.levels))
    if "constancy_deviation" in values:
        shift += _constancy_shift(spec, values, dials)[:, None]
    if "stratum_deviation" in values:
        shift += (values["stratum_scale"] * values["stratum_deviation"])[None]
    if "self_deviation" in values:
        place = (statistics["own_candidate"].values, slice(None), statistics["own_judge"].values)
        shift[place] += values["self_deviation"][:, None]
    vertices = vertices_of(spec, values)
    upper = np.clip(np.cumsum(vertices[..., ::-1], -1)[..., ::-1][..., 1:], 1e-300, 1.0)
    lower = np.clip(np.cumsum(vertices, -1)[..., :-1], 1e-300, 1.0)
    reach = 1.0 / (1.0 + (lower / upper)[None, None] * np.exp(-shift[..., None]))
    ends = np.concatenate([np.ones_like(reach[..., :1]), reach, np.zeros_like(reach[..., :1])], -1)
    return np.asarray(np.clip(ends[..., :-1] - ends[..., 1:], 0.0, 1.0))


def _constancy_shift(spec: JudgeSimplex, values: Mapping[str, np.ndarray], dials: Mapping[str, float]) -> np.ndarray:
    """Shifts of a judge's logits by candidate, shape (K, J, M) or broadcastable to it."""
    own, fixed = np.asarray(values["constancy_deviation"]), relaxed_scale(spec)
    if fixed is not None:
        return np.asarray(dials.get("constancy.scale", fixed) * own)
    if "shared_share" not in values:
        return np.asarray(values["constancy_scale"] * own)
    share, scale = values["shared_share"], values["constancy_scale"] * values["constancy_factor"]
    common = np.sqrt(share) * np.asarray(values["shared_deviation"])[:, None]
    return np.asarray(scale[:, None] * (np.sqrt(1.0 - share) * own + common))


def simulate_judges(
    spec: JudgeSimplex,
    rng: np.random.Generator,
    like: xr.Dataset | None,
    parameters: Mapping[str, np.ndarray] | None,
    dials: Mapping[str, float] | None,
    sizes: Mapping[str, int],
) -> Simulation:
    """Draw parameters (unless given), true levels, and verdicts for a design."""
    design = _fresh(spec, sizes) if like is None else _like(spec, like)
    blank = np.where(design.asked, 0, -1)
    blank[:: max(1, len(blank) - 1)] = np.where(design.asked[:: max(1, len(blank) - 1)], spec.levels - 1, -1)
    statistics = like if like is not None else spec.statistics(_table(spec, design, blank, np.zeros(len(blank), int)))
    values = dict(parameters) if parameters is not None else spec.draw_prior(statistics, rng, dials)
    used = spec.set_dials(statistics, dials)
    truth = _true_levels(spec, values, statistics, design, rng)
    theta = judge_probabilities(spec, values, statistics, used)[design.candidate, design.stratum]
    chances = np.take_along_axis(theta, truth[:, None, None, None], axis=2)[:, :, 0]
    scores = _categorical(chances, rng)
    return Simulation(_table(spec, design, np.where(design.asked, scores, -1), truth), values)


def _categorical(chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    edges = np.cumsum(chances, -1)
    uniform = rng.uniform(size=(*chances.shape[:-1], 1)) * edges[..., -1:]
    return np.minimum((uniform > edges).sum(-1), chances.shape[-1] - 1)


def _true_levels(
    spec: JudgeSimplex, values: Mapping[str, np.ndarray], statistics: xr.Dataset, design: _Design, rng: np.random.Generator
) -> np.ndarray:
    if statistics.attrs["likelihood"] != "paired":
        prevalence = np.asarray(values["prevalence"])
        shares = prevalence[design.candidate] if prevalence.ndim == 2 else prevalence[design.candidate, design.stratum]
        return _categorical(shares, rng)
    difficulty = rng.standard_normal(int(design.item.max()) + 1) * float(values["difficulty_scale"])
    location = row_location(values, statistics.sizes["stratum"])[design.candidate, design.stratum]
    gaps = np.asarray(values["cut_gap"]) if spec.levels > 2 else None
    eta = location - difficulty[design.item]
    return _categorical(np.exp(log_graded(eta, None if gaps is None else gaps[None])), rng)


def _fresh(spec: JudgeSimplex, sizes: Mapping[str, int]) -> _Design:
    candidates, judges, items = sizes["candidates"], sizes["judges"], sizes["items"]
    strata = sizes["strata"] if spec.stratum is not None else 1
    names = {
        "candidate": [f"candidate {k + 1:02d}" for k in range(candidates)],
        "judge": [f"judge {j + 1:02d}" for j in range(judges)] if isinstance(spec.judge, str) else list(spec.judge),
        "stratum": [f"stratum {g + 1}" for g in range(strata)],
    }
    own = spec.own or ()
    _give_names(names["judge"], [judge for judge, _ in own], "judges")
    _give_names(names["candidate"], [name for _, owned in own for name in owned], "candidates")
    k, i = np.repeat(np.arange(candidates), items), np.tile(np.arange(items), candidates)
    asked = np.ones((candidates * items, len(names["judge"])), dtype=bool)
    return _Design(k, i % strata, i, asked, i % 4 == 0, names)


def _give_names(names: list[str], wanted: Sequence[str], kind: str) -> None:
    """Rename the first of `names` that nobody asked for, until all `wanted` are among them."""
    missing = [name for name in dict.fromkeys(wanted) if name not in names]
    free = [place for place, name in enumerate(names) if name not in wanted]
    if len(missing) > len(free):
        raise SpecificationError(f"own names more {kind} than the {len(names)} to be simulated: simulate(..., {kind}=...).")
    for place, name in zip(free, missing, strict=False):
        names[place] = name


def _like(spec: JudgeSimplex, like: xr.Dataset) -> _Design:
    """The design of given statistics: the same answers, judges asked and answers with a known level."""
    strata = like.sizes["stratum"]
    names = {d: [str(x) for x in like[d].values] for d in ("candidate", "judge", "stratum")}
    if like.attrs["likelihood"] == "marginal":
        unknown = like["counts"].values.sum(-1)
        known = like["gold_counts"].values.sum((-1, -2)) if "gold_counts" in like else np.zeros_like(unknown)
        totals = np.stack([unknown, known], -1).astype(np.int64)
        k, g, j, told = (np.repeat(a.ravel(), totals.ravel()) for a in np.indices(totals.shape))
        asked = np.zeros((len(k), len(names["judge"])), dtype=bool)
        asked[np.arange(len(k)), j] = True
        return _Design(k, g, np.arange(len(k)), asked, told.astype(bool), names)
    row, seen = like["cell_row"].values, like["cell_scores"].values >= 0
    pointer, cells = like["item_ptr"].values, like["item_cell"].values
    repeats = like["item_count"].values.astype(np.int64)
    answers = [np.tile(cells[pointer[i] : pointer[i + 1]], repeats[i]) for i in range(len(repeats))]
    width = np.diff(pointer)
    item = np.repeat(np.arange(repeats.sum()), np.repeat(width, repeats))
    cell = np.concatenate(answers)
    gold = like["cell_gold"].values[cell] >= 0
    return _Design(row[cell] // strata, row[cell] % strata, item, seen[cell], gold, names)


def _table(spec: JudgeSimplex, design: _Design, scores: np.ndarray, truth: np.ndarray) -> pd.DataFrame:
    """The user's table of a design and its scores (-1 where nobody was asked)."""
    candidate = np.array(design.names["candidate"], dtype=object)
    optional: dict[str, Any] = {}
    if spec.item is not None:
        optional[spec.item] = [f"item {i}" for i in design.item]
    if spec.stratum is not None:
        optional[spec.stratum] = np.array(design.names["stratum"], dtype=object)[design.stratum]
    if spec.gold is not None:
        optional[spec.gold] = np.where(design.gold, truth + spec.base, np.nan)
    if not isinstance(spec.judge, str):
        told = np.where(scores >= 0, scores + spec.base, np.nan)
        frame = pd.DataFrame(told, columns=list(spec.judge))
        frame.insert(0, spec.candidate, candidate[design.candidate])
        frame = frame.assign(**optional)
    else:
        n, j = np.nonzero(scores >= 0)
        frame = pd.DataFrame(
            {
                spec.candidate: candidate[design.candidate[n]],
                spec.judge: np.array(design.names["judge"], dtype=object)[j],
                spec.score: scores[n, j] + spec.base,
            }
        ).assign(**{key: np.asarray(value)[n] for key, value in optional.items()})
    if spec.count is None:
        return frame
    folded: pd.DataFrame = frame.groupby(list(frame.columns), dropna=False, as_index=False).size()
    return folded.rename(columns={"size": spec.count})
