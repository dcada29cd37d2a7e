"""From rows to what the likelihoods need: counts, or distinct answers and distinct items.

Axes: K candidates, G strata (1 where there are none), J judges, M levels. Levels and scores are coded 0..M-1 here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayeskit.errors import DataError, SpecificationError
from bayeskit.intake import Rows, melt, require_levels, require_unique

__all__ = ["answer_statistics", "marginal_statistics", "observed_matrix"]

_DENSE = 400_000_000


def _labels(rows: Rows, levels: int, lowest: int) -> dict[str, Any]:
    names = [str(lowest + m) for m in range(levels)]
    coords: dict[str, Any] = {"candidate": list(rows.levels["candidate"]), "level": names, "score": names}
    if "stratum" in rows.levels:
        coords["stratum"] = list(rows.levels["stratum"])
    return coords


def _weights(rows: Rows) -> np.ndarray:
    return rows.columns["count"] if "count" in rows.columns else np.ones(rows.n, dtype=np.int64)


def _long(rows: Rows) -> Rows:
    """One row a verdict, missing verdicts left out."""
    if "judges" in rows.columns:
        return melt(rows, "judges", column_role="judge", value_role="score")
    return rows


def _codes(rows: Rows, lowest: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and gold levels from 0, with -1 where missing."""
    score = rows.columns["score"].astype(np.int64) - lowest
    if "score" in rows.missing:
        score = np.where(rows.missing["score"], -1, score)
    gold = np.full(rows.n, -1, dtype=np.int64)
    if "gold" in rows.columns:
        gold = np.where(rows.missing["gold"], -1, rows.columns["gold"].astype(np.int64) - lowest)
    return score, gold


def marginal_statistics(rows: Rows, *, levels: int, lowest: int, drop: np.ndarray | None) -> xr.Dataset:
    """Counts of verdicts by candidate, stratum, judge and score, with and without a known true level.

    Parameters
    ----------
    rows : Rows
        Coded rows, long or wide.
    levels, lowest : int
        Number of levels and the number that stands for the lowest.
    drop : ndarray of bool, shape (K, J), optional
        Cells whose verdicts are left out.
    """
    require_levels(rows, "candidate")
    if "item" in rows.columns:
        require_unique(rows, ["candidate", "item"] if "judges" in rows.columns else ["candidate", "item", "judge"])
    long = _long(rows)
    score, gold = _codes(long, lowest)
    sizes = [len(long.levels["candidate"]), len(long.levels.get("stratum", ("all",))), len(long.levels["judge"])]
    stratum = long.columns.get("stratum", np.zeros(long.n, dtype=np.int64))
    used = score >= 0
    if drop is not None:
        used &= ~drop[long.columns["candidate"], long.columns["judge"]]
    shape = (*sizes, levels + 1, levels)
    index = np.ravel_multi_index(
        (long.columns["candidate"][used], stratum[used], long.columns["judge"][used], gold[used] + 1, score[used]), shape
    )
    weights = _weights(long)[used]
    dense = np.bincount(index, weights=weights, minlength=int(np.prod(shape))).reshape(shape)
    counts, known = dense[:, :, :, 0, :], dense[:, :, :, 1:, :]
    coords = _labels(long, levels, lowest) | {"judge": list(long.levels["judge"])}
    share = dense.sum((0, 2, 3, 4))
    out = xr.Dataset(
        {
            "counts": (("candidate", "stratum", "judge", "score"), counts),
            "verdicts": (("candidate", "judge", "score"), dense.sum((1, 3))),
            "stratum_weight": (("stratum",), share / max(share.sum(), 1.0)),
        },
        coords=coords if "stratum" in coords else coords | {"stratum": ["all"]},
    )
    if known.sum() > 0:
        out["gold_counts"] = (("candidate", "stratum", "judge", "level", "score"), known)
    alone = _only_gold(rows, lowest, drop, (*sizes[:2], levels))
    if alone.sum() > 0:
        out["gold_only"] = (("candidate", "stratum", "level"), alone)
    out.attrs = {"likelihood": "marginal", "geometry": "ridge"}
    return out


def _only_gold(rows: Rows, lowest: int, drop: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Answers with a known true level and no verdict, by candidate, stratum and level; without items each row is an answer."""
    if "gold" not in rows.columns:
        return np.zeros(shape)
    candidate, wide = rows.columns["candidate"], "judges" in rows.columns
    role = "judges" if wide else "score"
    verdict = ~rows.missing.get(role, np.zeros(rows.columns[role].shape, dtype=bool))
    if drop is not None:
        verdict = verdict & ~(drop[candidate] if wide else drop[candidate, rows.columns["judge"]])
    judged = verdict.any(1) if wide else verdict
    answer = np.arange(rows.n)
    if "item" in rows.columns and not wide:
        answer = candidate * len(rows.levels["item"]) + rows.columns["item"]
    told = np.flatnonzero(~np.isin(answer, answer[judged]) & ~rows.missing["gold"])
    told = told[np.unique(answer[told], return_index=True)[1]]
    stratum = rows.columns.get("stratum", np.zeros(rows.n, dtype=np.int64))
    level = rows.columns["gold"][told].astype(np.int64) - lowest
    index = np.ravel_multi_index((candidate[told], stratum[told], level), shape)
    return np.bincount(index, weights=_weights(rows)[told], minlength=int(np.prod(shape))).reshape(shape)


def _answers(rows: Rows, lowest: int) -> tuple[np.ndarray, ...]:
    """One entry an answer: candidate, stratum, item (-1 for none), scores (n, J), gold, count."""
    stratum_of = rows.columns.get("stratum", np.zeros(rows.n, dtype=np.int64))
    if "judges" in rows.columns:
        scores = np.where(rows.missing["judges"], -1, rows.columns["judges"].astype(np.int64) - lowest)
        gold = np.full(rows.n, -1, dtype=np.int64)
        if "gold" in rows.columns:
            gold = np.where(rows.missing["gold"], -1, rows.columns["gold"].astype(np.int64) - lowest)
        if "item" in rows.columns:
            require_unique(rows, ["candidate", "item"])
        item = rows.columns.get("item", np.full(rows.n, -1, dtype=np.int64))
        return rows.columns["candidate"], stratum_of, item, scores, gold, _weights(rows)
    require_unique(rows, ["candidate", "item", "judge"])
    score, gold = _codes(rows, lowest)
    items, judges = len(rows.levels["item"]), len(rows.levels["judge"])
    key = rows.columns["candidate"] * items + rows.columns["item"]
    distinct, place = np.unique(key, return_inverse=True)
    scores = np.full((len(distinct), judges), -1, dtype=np.int64)
    scores[place, rows.columns["judge"]] = score
    known, stratum = np.full(len(distinct), -1), np.zeros(len(distinct), dtype=np.int64)
    known[place[gold >= 0]] = gold[gold >= 0]
    stratum[place] = stratum_of
    _consistent(rows, "gold", (gold >= 0) & (known[place] != gold))
    _consistent(rows, "stratum", stratum[place] != stratum_of)
    return distinct // items, stratum, distinct % items, scores, known, np.ones(len(distinct), dtype=np.int64)


def _consistent(rows: Rows, role: str, bad: np.ndarray, of: str = "answer (candidate and item)") -> None:
    if bad.any():
        where, thing = np.flatnonzero(bad), of.split()[0]
        raise DataError(
            f"{len(where)} rows give one {thing} two different values of '{role}'.",
            rows=where.tolist(), values=rows.columns[role][where].tolist(),
            rule=f"an {of} has one '{role}', the same in all its rows.",
            fix=f"correct the rows, or use different item labels for different {thing}s.",
        )  # fmt: skip


def _one_stratum_an_item(rows: Rows) -> None:
    """An item's difficulty is compared with that of its stratum, so it cannot have two."""
    if {"item", "stratum"} <= set(rows.columns):
        item, stratum = rows.columns["item"], rows.columns["stratum"]
        first = np.unique(item, return_index=True)[1]
        home = np.empty(len(rows.levels["item"]), dtype=np.int64)
        home[item[first]] = stratum[first]
        _consistent(rows, "stratum", home[item] != stratum, "item")


def _fold_cells(row: np.ndarray, scores: np.ndarray, gold: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct answers of one row: place of the first of each, and the cell of every answer."""
    judges = scores.shape[1]
    if (levels + 1.0) ** (judges + 1) * (row.max(initial=0) + 1.0) < 2**62:
        code = row * (levels + 1) + gold + 1
        for j in range(judges):
            code = code * (levels + 1) + scores[:, j] + 1
        _, first, cell = np.unique(code, return_index=True, return_inverse=True)
    else:
        table = np.column_stack([row, gold, scores])
        _, first, cell = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return first, np.asarray(cell).reshape(-1)


def _fold_items(item: np.ndarray, cell: np.ndarray, candidate: np.ndarray, candidates: int) -> tuple[np.ndarray, ...]:
    """Distinct items as compressed rows of cells: pointer, cells, how many items look like each."""
    items, place = np.unique(item, return_inverse=True)
    if len(items) * candidates > _DENSE:
        raise SpecificationError(
            f"{len(items)} items x {candidates} candidates are too many for the paired likelihood; use likelihood='joint'."
        )
    table = np.full((len(items), candidates), -1, dtype=np.int64)
    table[place, candidate] = cell
    distinct, count = np.unique(table, axis=0, return_counts=True)
    filled = distinct >= 0
    return np.concatenate([[0], np.cumsum(filled.sum(1))]), distinct[filled], count.astype(float)


def answer_statistics(
    rows: Rows, *, likelihood: str, levels: int, lowest: int, drop: np.ndarray | None, judge_levels: tuple[str, ...]
) -> xr.Dataset:
    """Distinct answers (cells) and, for the paired likelihood, distinct items, with their counts.

    An answer without any verdict or gold label says nothing and is left out.
    """
    require_levels(rows, "candidate")
    candidate, stratum, item, scores, gold, count = _answers(rows, lowest)
    if likelihood == "paired":
        _one_stratum_an_item(rows)
    if drop is not None:
        scores = np.where(drop[candidate], -1, scores)
    strata = len(rows.levels.get("stratum", ("all",)))
    verdicts = np.zeros((len(rows.levels["candidate"]), scores.shape[1], levels))
    for j in range(scores.shape[1]):
        seen = scores[:, j] >= 0
        np.add.at(verdicts[:, j], (candidate[seen], scores[seen, j]), count[seen])
    told = (scores >= 0).any(1) | (gold >= 0)
    candidate, stratum, item, scores, gold, count = (a[told] for a in (candidate, stratum, item, scores, gold, count))
    row = candidate * strata + stratum
    first, cell = _fold_cells(row, scores, gold, levels)
    if likelihood == "paired":
        pointer, item_cell, item_count = _fold_items(item, cell, candidate, len(verdicts))
    else:
        pointer, item_cell = np.arange(len(first) + 1), np.arange(len(first))
        item_count = np.bincount(cell, weights=count, minlength=len(first))
    share = np.bincount(stratum, weights=count, minlength=strata)
    coords = _labels(rows, levels, lowest) | {"judge": list(judge_levels)}
    out = xr.Dataset(
        {
            "cell_row": (("cell",), row[first]),
            "cell_scores": (("cell", "judge"), scores[first]),
            "cell_gold": (("cell",), gold[first]),
            "item_ptr": (("edge",), pointer),
            "item_cell": (("answer",), item_cell),
            "item_count": (("pattern",), item_count),
            "verdicts": (("candidate", "judge", "score"), verdicts),
            "stratum_weight": (("stratum",), share / max(share.sum(), 1.0)),
        },
        coords=coords if "stratum" in coords else coords | {"stratum": ["all"]},
    )
    out.attrs = {"likelihood": likelihood, "geometry": "plain"}
    return out


def observed_matrix(statistics: xr.Dataset) -> np.ndarray:
    """Which (candidate, judge) cells hold a verdict, shape (K, J)."""
    return np.asarray(statistics["verdicts"].values.sum(-1) > 0)
