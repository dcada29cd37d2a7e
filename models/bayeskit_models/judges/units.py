"""Units of the verdicts whose influence can be asked: one answer or verdict, an item, a judge, a candidate, a stratum.

A row is the finest thing that the statistics know: one verdict in the marginal likelihood, one answer with all its verdicts in
the joint and paired ones. Identical rows are folded; a unit is then one of them. Deleting leaves the weights of the strata as
they are: the mix of items that is asked about does not change because somebody's answer is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayeskit_models.judges.difficulty import difficulty_nodes
from bayeskit_models.judges.estimands import log_graded, row_location
from bayeskit_models.judges.simulate import judge_probabilities

if TYPE_CHECKING:
    from bayeskit_models.judges.model import JudgeSimplex

__all__ = ["drop_units", "row_effects", "unit_counts", "unit_names"]

_TINY = 1e-300
_MARGINAL = ("counts", "gold_counts", "gold_only")


def unit_names(statistics: xr.Dataset) -> tuple[str, ...]:
    """Kinds of units: rows first."""
    names = ["row"] + (["item"] if statistics.attrs["likelihood"] == "paired" else []) + ["judge", "candidate"]
    return tuple(names + (["stratum"] if statistics.sizes["stratum"] > 1 else []))


def unit_counts(statistics: xr.Dataset, by: str) -> xr.DataArray:
    """Labels of the units, and how many identical rows each stands for."""
    if by in ("judge", "candidate", "stratum"):
        labels = [str(x) for x in statistics[by].values]
        counts = np.ones(len(labels), dtype=np.int64)
    elif by == "item":
        labels = [f"item pattern {p + 1}" for p in range(statistics.sizes["pattern"])]
        counts = statistics["item_count"].values
    elif statistics.attrs["likelihood"] == "marginal":
        labels, counts = _verdict_labels(statistics)
    else:
        cell, pattern = _answers(statistics)
        told = _cell_labels(statistics)
        paired = statistics.attrs["likelihood"] == "paired"
        labels = [f"{told[c]} (item pattern {p + 1})" if paired else told[c] for c, p in zip(cell, pattern, strict=True)]
        counts = statistics["item_count"].values[pattern]
    return xr.DataArray(np.asarray(counts).astype(np.int64), {"unit": _distinct(labels)}, ("unit",), name=by)


def _distinct(labels: list[str]) -> list[str]:
    """Labels may hold anything, separators included: where two come out equal, all are numbered."""
    return labels if len(set(labels)) == len(labels) else [f"{label} #{place + 1}" for place, label in enumerate(labels)]


def _answers(statistics: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Cell and pattern of every distinct answer."""
    pattern = np.repeat(np.arange(statistics.sizes["pattern"]), np.diff(statistics["item_ptr"].values))
    return statistics["item_cell"].values, pattern


def _verdict_places(statistics: xr.Dataset) -> list[tuple[str, tuple[np.ndarray, ...]]]:
    """Non-empty places of the counts of the marginal likelihood."""
    return [(name, np.nonzero(statistics[name].values)) for name in _MARGINAL if name in statistics]


def _verdict_labels(statistics: xr.Dataset) -> tuple[list[str], np.ndarray]:
    labels: list[str] = []
    counts = [np.empty(0)]
    for name, place in _verdict_places(statistics):
        dims = [str(d) for d in statistics[name].dims]
        names = {d: [str(x) for x in statistics[d].values] for d in dims}
        shown = [d for d in dims if d != "stratum" or statistics.sizes["stratum"] > 1]
        form = {"score": "score ", "level": "true "}
        for at in zip(*place, strict=True):
            where = dict(zip(dims, at, strict=True))
            labels.append(", ".join(f"{form.get(d, '')}{names[d][where[d]]}" for d in shown))
        counts.append(statistics[name].values[place])
    return labels, np.concatenate(counts)


def _cell_labels(statistics: xr.Dataset) -> list[str]:
    """A distinct answer in words: candidate, stratum, its verdicts and its true level where it is known."""
    strata = statistics.sizes["stratum"]
    names = {d: [str(x) for x in statistics[d].values] for d in ("candidate", "stratum", "judge", "level", "score")}
    out = []
    rows, scores, gold = (statistics[n].values for n in ("cell_row", "cell_scores", "cell_gold"))
    for row, said, true in zip(rows, scores, gold, strict=True):
        parts = [names["candidate"][row // strata]] + ([names["stratum"][row % strata]] if strata > 1 else [])
        verdicts = [f"{names['judge'][j]}={names['score'][s]}" for j, s in enumerate(said) if s >= 0]
        told = " ".join(verdicts) or "no verdict"
        out.append(f"{', '.join(parts)}: {told}" + (f", true {names['level'][true]}" if true >= 0 else ""))
    return out


# -- taking units away ----------------------------------------------------------------------------------------------


def drop_units(statistics: xr.Dataset, by: str, places: np.ndarray) -> xr.Dataset:
    """The statistics less some units; dimensions of parameters stay."""
    if statistics.attrs["likelihood"] == "marginal":
        changed = _drop_verdicts(statistics, by, places)
    else:
        changed = _drop_answers(statistics, by, places)
    out = changed.assign(verdicts=(statistics["verdicts"].dims, _verdicts(changed)))
    return out.assign_attrs(statistics.attrs)


def _drop_verdicts(statistics: xr.Dataset, by: str, places: np.ndarray) -> xr.Dataset:
    new = {name: statistics[name].copy(deep=True) for name in _MARGINAL if name in statistics}
    if by == "row":
        start = 0
        for name, place in _verdict_places(statistics):
            here = places[(places >= start) & (places < start + len(place[0]))] - start
            np.subtract.at(new[name].values, tuple(axis[here] for axis in place), 1)
            start += len(place[0])
    else:
        for values in new.values():
            if by in values.dims:
                values[{by: places}] = 0
    return statistics.assign({name: (v.dims, v.values) for name, v in new.items()})


def _drop_answers(statistics: xr.Dataset, by: str, places: np.ndarray) -> xr.Dataset:
    if by == "judge":
        scores = statistics["cell_scores"].values.copy()
        scores[:, places] = -1
        return statistics.assign(cell_scores=(statistics["cell_scores"].dims, scores))
    count = statistics["item_count"].values.copy()
    if by == "item" or (by == "row" and statistics.attrs["likelihood"] == "joint"):
        np.subtract.at(count, places, 1)  # in the joint likelihood every distinct answer is a pattern of its own
        return statistics.assign(item_count=("pattern", count))
    if by == "row":
        return _split_patterns(statistics, places)
    cell, pattern = _answers(statistics)
    row, strata = statistics["cell_row"].values[cell], statistics.sizes["stratum"]
    keep = ~np.isin(row // strata if by == "candidate" else row % strata, places)
    if statistics.attrs["likelihood"] == "joint":  # there the counts are of cells, in the order of the cells
        return statistics.assign(item_count=("pattern", np.where(keep, count, 0)))
    return _with_answers(statistics, cell[keep], np.bincount(pattern[keep], minlength=len(count)), count)


def _split_patterns(statistics: xr.Dataset, places: np.ndarray) -> xr.Dataset:
    """Take answers from items one by one: an item that lost some is a new pattern behind the others.

    Of several answers taken from alike items, the first of each come from one item, the second from another.
    """
    cell, pattern = _answers(statistics)
    count, pointer = statistics["item_count"].values.copy(), statistics["item_ptr"].values
    taken = np.bincount(places, minlength=len(cell))
    cells, widths, counts = [cell], [np.diff(pointer)], [count]
    for p in np.unique(pattern[places]):
        here = np.arange(pointer[p], pointer[p + 1])
        for nth in range(taken[here].max()):
            left = here[taken[here] <= nth]
            count[p] -= 1
            cells.append(cell[left])
            widths.append(np.array([len(left)]))
            counts.append(np.ones(1))
    return _with_answers(statistics, *(np.concatenate(part) for part in (cells, widths, counts)))


def _with_answers(statistics: xr.Dataset, cell: np.ndarray, width: np.ndarray, count: np.ndarray) -> xr.Dataset:
    """The statistics with other items: their cells one after the other, how many cells each has, and how many are like it."""
    rest = statistics.drop_vars(["item_ptr", "item_cell", "item_count"])
    pointer = np.concatenate([[0], np.cumsum(width)]).astype(np.int64)
    return rest.assign(item_ptr=("edge", pointer), item_cell=("answer", cell), item_count=("pattern", count))


def _verdicts(statistics: xr.Dataset) -> np.ndarray:
    """Number of verdicts by candidate, judge and score, shape (K, J, V), from the data of the likelihood."""
    if statistics.attrs["likelihood"] == "marginal":
        total = statistics["counts"].values.sum(1)
        return total + statistics["gold_counts"].values.sum((1, 3)) if "gold_counts" in statistics else total
    cell, pattern = _answers(statistics)
    scores, strata = statistics["cell_scores"].values, statistics.sizes["stratum"]
    weight = np.bincount(cell, weights=statistics["item_count"].values[pattern], minlength=len(scores))
    out = np.zeros(statistics["verdicts"].shape)
    for j in range(scores.shape[1]):
        seen = scores[:, j] >= 0
        np.add.at(out[:, j], (statistics["cell_row"].values[seen] // strata, scores[seen, j]), weight[seen])
    return out


# -- what one row or item adds to the log likelihood ------------------------------------------------------------------


def row_effects(
    spec: JudgeSimplex, draws: xr.Dataset, statistics: xr.Dataset, by: str, dials: Mapping[str, float]
) -> np.ndarray:
    """What ONE answer, verdict or item of each kind adds to the log likelihood, shape (chains, draws, units).

    In plain NumPy, draw by draw: some tenths of a millisecond for all units together.
    """
    flat = {str(n): v.transpose("chain", "draw", ...).values for n, v in draws.data_vars.items()}
    chains, length = draws.sizes["chain"], draws.sizes["draw"]
    kind = statistics.attrs["likelihood"]
    part = {"marginal": _of_verdicts, "joint": _of_answers, "paired": _of_items if by == "item" else _of_item_answers}[kind]
    at = [(c, d) for c in range(chains) for d in range(length)]
    found = [part(spec, {n: v[place] for n, v in flat.items()}, statistics, dials) for place in at]
    return np.array(found).reshape(chains, length, -1)


def _log_share(values: Mapping[str, Any], statistics: xr.Dataset) -> np.ndarray:
    """Log prevalence by candidate, stratum and level."""
    shape = (statistics.sizes["candidate"], statistics.sizes["stratum"], statistics.sizes["level"])
    return np.log(np.maximum(np.asarray(values["prevalence"]).reshape(shape), _TINY))


def _log_theta(spec: Any, values: Mapping[str, Any], statistics: xr.Dataset, dials: Mapping[str, float]) -> np.ndarray:
    return np.log(np.maximum(judge_probabilities(spec, values, statistics, dials), _TINY))


def _of_verdicts(spec: Any, values: Mapping[str, Any], statistics: xr.Dataset, dials: Mapping[str, float]) -> np.ndarray:
    log_share, log_theta = _log_share(values, statistics), _log_theta(spec, values, statistics, dials)
    known = log_share[:, :, None, :, None] + log_theta
    by_kind = {"counts": np.logaddexp.reduce(known, axis=3), "gold_counts": known, "gold_only": log_share}
    return np.concatenate([by_kind[name][place] for name, place in _verdict_places(statistics)])


def _cell_tables(log_level: np.ndarray, log_theta: np.ndarray, statistics: xr.Dataset) -> np.ndarray:
    """Log probability of every distinct answer at every difficulty, shape (C, Q), from levels (R, Q, M)."""
    row, scores, gold = (statistics[n].values for n in ("cell_row", "cell_scores", "cell_gold"))
    theta = log_theta.reshape(-1, *log_theta.shape[2:])
    by_level = np.moveaxis(log_level[row], 1, 2).astype(float)
    for j in range(scores.shape[1]):
        seen = np.flatnonzero(scores[:, j] >= 0)
        by_level[seen] += theta[row[seen], j, :, scores[seen, j]][:, :, None]
    table = np.logaddexp.reduce(by_level, axis=1)
    known = np.flatnonzero(gold >= 0)
    table[known] = by_level[known, gold[known]]
    return table


def _of_answers(spec: Any, values: Mapping[str, Any], statistics: xr.Dataset, dials: Mapping[str, float]) -> np.ndarray:
    log_share = _log_share(values, statistics).reshape(-1, 1, statistics.sizes["level"])
    return _cell_tables(log_share, _log_theta(spec, values, statistics, dials), statistics)[:, 0]


def _item_tables(
    spec: Any, values: Mapping[str, Any], statistics: xr.Dataset, dials: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Log probability of every answer and of every item's answers together at every difficulty, (A, Q) and (P, Q)."""
    nodes, log_weight = difficulty_nodes(statistics.sizes["candidate"], values["difficulty_scale"])
    location = row_location(values, statistics.sizes["stratum"]).reshape(-1)
    gaps = values["cut_gap"][None, None] if "cut_gap" in values else None
    log_level = log_graded(location[:, None] - values["difficulty_scale"] * nodes, gaps)
    cell, pattern = _answers(statistics)
    answers = _cell_tables(log_level, _log_theta(spec, values, statistics, dials), statistics)[cell]
    items = np.tile(log_weight, (statistics.sizes["pattern"], 1))
    np.add.at(items, pattern, answers)
    return answers, items


def _of_items(spec: Any, values: Mapping[str, Any], statistics: xr.Dataset, dials: Mapping[str, float]) -> np.ndarray:
    return np.asarray(np.logaddexp.reduce(_item_tables(spec, values, statistics, dials)[1], axis=1))


def _of_item_answers(spec: Any, values: Mapping[str, Any], statistics: xr.Dataset, dials: Mapping[str, float]) -> np.ndarray:
    answers, items = _item_tables(spec, values, statistics, dials)
    pattern = _answers(statistics)[1]
    whole = np.logaddexp.reduce(items, axis=1)
    return np.asarray(whole[pattern] - np.logaddexp.reduce(items[pattern] - answers, axis=1))
