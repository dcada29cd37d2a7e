"""What verdicts alone allow: the identified set of scores, shares and (two levels) judge quality, for every draw.

Kept are constancy and monotone judges; dropped is every prior that says how good judges or candidates are. See "Bounds" in the
model card for the derivation. Rows ``r`` are candidates (by stratum, where there are strata).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayeskit.errors import SpecificationError
from bayeskit.sensitivity import IdentifiedSet
from bayeskit_models.judges.assumptions import is_binary
from bayeskit_models.judges.estimands import row_shares, vertices_of
from bayeskit_models.judges.orbit import Family, orbit_ends
from bayeskit_models.judges.simulate import judge_probabilities

if TYPE_CHECKING:
    from bayeskit_models.judges.model import JudgeSimplex

__all__ = ["identified_set_of", "linked", "segment_ends"]

Pair = tuple[np.ndarray, np.ndarray]


def identified_set_of(
    spec: JudgeSimplex, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float], name: str, weights: np.ndarray
) -> IdentifiedSet:
    """The identified set of sums of elements of an estimand, for every draw; see `ModelBuilder.identified_set`."""
    if name == "quality" and spec.levels > 2:
        raise SpecificationError(
            "JudgeSimplex gives bounds of 'quality' for two levels only. Bounds exist for expected_score and level_share."
        )
    panel = linked(_clean_cells(spec, statistics), spec.levels)
    monotone = spec.monotone and dials.get("monotone.sharpness", 1.0) > 0.0
    family, base = _family(spec, draws, statistics, dials, panel, monotone)
    shape = (draws.sizes["chain"], draws.sizes["draw"], len(weights))
    method, caveats = "closed form", []
    if name == "quality":
        lower, upper = _quality_ends(family, base, _judge_weights(weights, statistics, panel))
    else:
        objective = _objective(spec, statistics, name, weights, panel)
        if spec.levels == 2:
            lower, upper = segment_ends(family, objective, mirrored=not monotone)
        else:
            starts = 24 if spec.levels == 3 else 8
            ends = orbit_ends(family, objective, starts=starts, mirrored=not monotone)
            lower, upper = ends.lower, ends.upper
            method = f"interior-point search over equivalent worlds, {starts} starts; an end is always attained"
            if ends.agreement < 0.9:
                caveats.append(
                    f"The two best of {starts} searches met at {ends.agreement:.0%} of the ends: the set may reach further."
                )
    kept, dropped = _assumptions(spec, statistics, monotone)
    caveats += _caveats(spec, statistics, panel)
    return IdentifiedSet(lower.reshape(shape), upper.reshape(shape), kept, dropped, method, " ".join(caveats))


# -- the panel ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Panel:
    """The part of a panel that one transformation moves as a whole.

    Attributes
    ----------
    clean : ndarray of bool, shape (R, J)
        Cells with verdicts in which the judge has no free deviation of its own.
    rows : ndarray of bool, shape (R,)
    judges : ndarray of bool, shape (J,)
    """

    clean: np.ndarray
    rows: np.ndarray
    judges: np.ndarray


def linked(clean: np.ndarray, levels: int) -> _Panel:
    """The largest part of a panel whose equivalent worlds are those of one common transformation.

    A judge's matrix ties it to the others only through the rows that they share: M rows (or all, where there are fewer) fix
    the transformation. A judge with fewer shared rows is left out, which can only widen the set.

    Parameters
    ----------
    clean : ndarray of bool, shape (R, J)
        Cells with verdicts that count.
    levels : int
        M.
    """
    need = min(levels, int(clean.any(1).sum()))
    first = int(clean.sum(0).argmax())
    rows, judges = clean[:, first].copy(), np.zeros(clean.shape[1], dtype=bool)
    if rows.sum() < need:
        raise SpecificationError(
            f"No judge saw {need} candidates without an interest of its own: nothing links the candidates, so verdicts alone "
            "allow every value of their scores."
        )
    judges[first] = True
    while True:
        joins = ~judges & ((clean & rows[:, None]).sum(0) >= need)
        if not joins.any():
            return _Panel(clean, rows, judges)
        judges |= joins
        rows |= clean[:, joins].any(1)


def _clean_cells(spec: JudgeSimplex, statistics: xr.Dataset) -> np.ndarray:
    """Cells (candidate x stratum, judge) with verdicts, less those in which a judge's own deviation is free."""
    sizes = statistics.sizes
    rows = sizes["candidate"] * sizes["stratum"]
    if statistics.attrs["likelihood"] == "marginal":
        seen = statistics["counts"].values.sum(-1)
        if "gold_counts" in statistics:
            seen = seen + statistics["gold_counts"].values.sum((-1, -2))
        clean = seen.reshape(rows, -1) > 0
    else:
        clean = np.zeros((rows, sizes["judge"]), dtype=bool)
        np.logical_or.at(clean, statistics["cell_row"].values, statistics["cell_scores"].values >= 0)
    if "own_candidate" in statistics and spec.self_cells == "free":
        grid = clean.reshape(sizes["candidate"], sizes["stratum"], -1)
        grid[statistics["own_candidate"].values, :, statistics["own_judge"].values] = False
    return clean


def _objective(spec: JudgeSimplex, statistics: xr.Dataset, name: str, weights: np.ndarray, panel: _Panel) -> np.ndarray:
    """Weights of the quantities on the shares of the linked rows, shape (Q, R, M)."""
    if name == "expected_score":
        by_level = weights[:, :, None] * (spec.base + np.arange(spec.levels))
    elif name == "level_share":
        by_level = weights
    else:
        raise SpecificationError(f"JudgeSimplex gives no bounds of {name!r}: ask for expected_score or level_share.")
    strata = statistics["stratum_weight"].values
    full = by_level[:, :, None, :] * strata[:, None]
    full = full.reshape(len(weights), -1, spec.levels)
    asked = (full != 0).any((0, 2)) & ~panel.rows
    if asked.any():
        labels = [str(statistics["candidate"].values[r // len(strata)]) for r in np.flatnonzero(asked)]
        raise SpecificationError(
            f"No chain of judges links {', '.join(dict.fromkeys(labels))} to the rest of the panel, so verdicts alone allow "
            f"every value. Judges are linked by {spec.levels} candidates that both saw; ask for the other candidates, or add "
            "verdicts."
        )
    return np.asarray(full[:, panel.rows])


def _judge_weights(weights: np.ndarray, statistics: xr.Dataset, panel: _Panel) -> np.ndarray:
    out = (weights != 0).any(0) & ~panel.judges
    if out.any():
        names = ", ".join(str(v) for v in statistics["judge"].values[out])
        raise SpecificationError(f"Too few shared candidates link the judges {names} to the rest of the panel: no bounds.")
    return weights[:, panel.judges]


# -- the draws ----------------------------------------------------------------------------------------------------


def _family(
    spec: JudgeSimplex,
    draws: xr.Dataset,
    statistics: xr.Dataset,
    dials: Mapping[str, float],
    panel: _Panel,
    monotone: bool,
) -> tuple[Family, np.ndarray]:
    """The worlds of every draw, and the judges' own matrices (S, J, M, M), J the linked judges."""
    pooled = {str(n): v.transpose("chain", "draw", ...).values for n, v in draws.data_vars.items()}
    values = {n: v.reshape(v.shape[0] * v.shape[1], *v.shape[2:]) for n, v in pooled.items()}
    shares = row_shares(spec, values, statistics)
    shares = shares.reshape(len(shares), -1, spec.levels)[:, panel.rows]
    base = vertices_of(spec, values)[:, panel.judges]
    places = np.arange(base.shape[1])
    if not {"constancy_deviation", "stratum_deviation"} & set(values):
        return Family(shares, base, places, np.full(len(places), monotone)), base
    row, judge = np.nonzero(panel.clean & panel.rows[:, None] & panel.judges)
    cells = []
    for s in range(len(shares)):
        every = judge_probabilities(spec, {n: v[s] for n, v in values.items()}, statistics, dials)
        cells.append(every.reshape(-1, *every.shape[2:])[row, judge])
    judges = np.concatenate([base, np.stack(cells)], axis=1)
    number = np.cumsum(panel.judges) - 1
    ordered = np.concatenate([np.full(len(places), monotone), np.zeros(len(row), dtype=bool)])
    return Family(shares, judges, np.concatenate([places, number[judge]]), ordered), base


# -- two levels: closed form --------------------------------------------------------------------------------------


def _corners(family: Family) -> list[Pair]:
    """The four extreme places (a, b) of a useless and a perfect candidate, on the axis of the drawn shares; each (S,).

    In the world of (a, b) a share is (pi - a) / (b - a) and a rate low + (high - low) a or b. Shares stay in [0, 1] for a up
    to the worst candidate and b from the best on; rates stay in [0, 1] down to A and up to B.
    """
    share = family.shares[..., 1]
    low, high = family.judges[..., 0, 1], family.judges[..., 1, 1]
    rise = high - low
    with np.errstate(divide="ignore", invalid="ignore"):
        down = np.where(rise > 0, -low / rise, np.where(rise < 0, (1.0 - low) / rise, -np.inf))
        up = np.where(rise > 0, (1.0 - low) / rise, np.where(rise < 0, -low / rise, np.inf))
    # a draw is a point of its own set, whatever rounding did to it
    least, most = np.minimum(down.max(1), share.min(1)), np.maximum(up.min(1), share.max(1))
    return [(a, b) for a in (least, share.min(1)) for b in (share.max(1), most)]


def segment_ends(family: Family, objective: np.ndarray, *, mirrored: bool = False) -> Pair:
    """Ends of linear functions of the shares for two levels, shape (S, Q): they are attained at a corner.

    A quantity is ``(D - C a) / (b - a)`` with constants D and C: monotone in a for every b and in b for every a.

    Parameters
    ----------
    family : Family
        S draws with M = 2.
    objective : ndarray, shape (Q, R, 2)
        Weights on the shares.
    mirrored : bool
        Count worlds with exchanged levels too (judges that need not be monotone).
    """
    found = []
    for a, b in _corners(family):
        with np.errstate(divide="ignore", invalid="ignore"):
            upper = (family.shares[..., 1] - a[:, None]) / (b - a)[:, None]
        for share in (upper, 1.0 - upper) if mirrored else (upper,):
            found.append(np.einsum("srm,qrm->sq", np.stack([1.0 - share, share], -1), objective))
    return np.min(found, axis=0), np.max(found, axis=0)


def _quality_ends(family: Family, base: np.ndarray, weights: np.ndarray) -> Pair:
    """Ends of sums of two-level judge qualities: |high - low| (b - a)."""
    total = np.abs(base[..., 1, 1] - base[..., 0, 1]) @ weights.T
    found = [total * (b - a)[:, None] for a, b in _corners(family)]
    return np.min(found, axis=0), np.max(found, axis=0)


# -- in words -----------------------------------------------------------------------------------------------------

_DEVIATIONS = ("constancy_scale", "constancy_factor", "shared_share", "shared_deviation", "constancy_deviation",
               "stratum_scale", "stratum_deviation")  # fmt: skip
_DROPPED = {
    "judge_quality": "how good judges are, beyond better than a coin",
    "judge_lean": "whether judges are strict or lenient",
    "judge_vertices": "how often judges give the true level",
    "prevalence": "how candidates' shares of levels are spread",
    "ability_mean": "where abilities lie",
    "ability_scale": "how far candidates differ",
    "ability": "abilities come from one normal population",
    "difficulty_scale": "how far items differ",
    "cut_gap": "how far levels are apart",
    "stratum_difficulty": "how strata differ",
    "stratum_ability_scale": "how candidates differ between strata",
    "stratum_ability": "strengths in strata are unrelated",
    "self_deviation": "verdicts on a judge's own candidates say nothing here",
}


def _assumptions(spec: JudgeSimplex, statistics: xr.Dataset, monotone: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Assumptions that are kept and dropped, each with what it says."""
    kept: dict[str, str] = {}
    dropped: dict[str, str] = {}
    names = [a.name for a in spec.assumptions(statistics)]
    if "constancy" in names:
        kept["constancy"] = (
            "judges treat candidates alike" if spec.constancy == "strict" else "deviations between candidates are as drawn"
        )
    kept |= {n: "deviations are as drawn" for n in names if n in _DEVIATIONS}
    if "self_cells" in names and spec.self_cells == "keep":
        kept["self_cells"] = "judges treat their own candidates like the others"
    if monotone:
        kept["monotone"] = "better answers get higher scores" if spec.levels > 2 else "judges are better than a coin"
    elif not is_binary(spec):
        dropped["monotone"] = "judges may as well be reversed"
    if statistics.attrs["likelihood"] == "marginal":
        kept["likelihood"] = "verdicts count as independent: it sets the sampling uncertainty"
    else:
        dropped["likelihood"] = "errors of judges are independent given the truth, which would tell levels from agreement"
    dropped |= {n: _DROPPED[n] for n in names if n in _DROPPED}
    if {"gold_counts", "gold_only"} & set(statistics) or (statistics.get("cell_gold", np.zeros(1) - 1) >= 0).any():
        dropped["gold"] = "labels of the true level; with them levels are identified, and the posterior uses them"
    return kept, dropped


def _caveats(spec: JudgeSimplex, statistics: xr.Dataset, panel: _Panel) -> list[str]:
    out = []
    if spec.constancy != "strict" or statistics.sizes["stratum"] > 1:
        out.append(
            "The set is conditional on the deviations of each draw, which were drawn under the priors that are dropped here; "
            "judges that may deviate without bound would leave every value open."
        )
    if statistics.attrs["likelihood"] != "marginal":
        out.append(
            "These are the bounds of each judge's own counts: what agreement between judges adds rests on independent errors."
        )
    gone = [str(v) for v in statistics["judge"].values[~panel.judges]]
    if gone:
        out.append(f"Left out, for lack of candidates shared with the others: {', '.join(gone)}. That can only widen the set.")
    return out
