"""The comparator: average the judges' scores, bootstrap the answers, rank. No model of the judges.

This is what people do without a model of judge error, and what studies and reports compare against. Its
intervals hold only sampling error: a judge's bias is not in them, however many answers there are. A
candidate's score is the mean over its judges of the mean score in 1..M, judges counting equally.

Three forms, from the most to the least informative data; use the first one that the data allow:
`averaging_from_items` (paired by item: candidates answered the same questions), `averaging_from_patterns`
(no item ids, but the judges' verdicts on one answer are together), `averaging_from_cells` (counts per
candidate and judge).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.estimands import ranks

__all__ = [
    "AveragingBaseline",
    "averaging_from_cells",
    "averaging_from_items",
    "averaging_from_patterns",
]

Floats = NDArray[np.float64]
Seed = int | np.random.Generator | None


@dataclass(frozen=True)
class AveragingBaseline:
    """Averaged scores and their bootstrap.

    Attributes
    ----------
    scores : ndarray, shape (K,)
        Mean score of each candidate in the data, on the scale of the scores.
    score_draws : ndarray, shape (S, K)
        The same in each bootstrap sample.
    rank_draws : ndarray of int, shape (S, K)
        Competition ranks of the draws, 1 = best.
    method : str
        What was resampled: "items", "answers" or "cells".
    """

    scores: Floats
    score_draws: Floats
    rank_draws: NDArray[np.int64]
    method: str


def _cell_mask(cells: ArrayLike | None, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Check the mask of cells to use."""
    if cells is None:
        return np.ones(shape, dtype=bool)
    mask = np.asarray(cells)
    if mask.shape != shape or mask.dtype != bool:
        raise ValueError(f"cells has shape {mask.shape} and type {mask.dtype}: expected boolean of shape {shape}.")
    return mask


def _mean_over_judges(sums: Floats, totals: Floats) -> Floats:
    """Mean over judges (last axis) of sums / totals, over the judges that have any answer."""
    sums, totals = np.broadcast_arrays(sums, totals)
    seen = totals > 0
    total = np.divide(sums, totals, out=np.zeros(sums.shape), where=seen).sum(axis=-1)
    count = seen.sum(axis=-1)
    return np.asarray(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))


def _result(scores: Floats, draws: Floats, method: str) -> AveragingBaseline:
    """Refuse candidates without scores and rank the draws."""
    if np.isnan(scores).any():
        missing = np.flatnonzero(np.isnan(scores)).tolist()
        raise ValueError(f"candidates {missing} have no verdict in the cells used: leave them out.")
    # A resample may miss every verdict of a small candidate; it then carries no news about that candidate.
    draws = np.where(np.isnan(draws), scores, draws)
    # Rounding noise must not break ties between equal averages that were summed in a different order.
    return AveragingBaseline(scores, draws, ranks(np.round(draws, 12)), method)


def _check_draws(draws: int) -> None:
    if draws < 1:
        raise ValueError(f"draws={draws}: at least one bootstrap sample is needed.")


def averaging_from_items(
    scores: ArrayLike, *, cells: ArrayLike | None = None, draws: int = 2000, seed: Seed = None
) -> AveragingBaseline:
    """Average the scores and resample items, jointly for all candidates and judges (paired bootstrap).

    Parameters
    ----------
    scores : array_like, shape (K, I, J)
        Score of judge j for candidate k's answer to item i; NaN where there is none.
    cells : array_like of bool, shape (K, J), optional
        Cells to use, for instance without self-judging; all by default.
    draws : int
        Number of bootstrap samples S.
    seed : int, Generator or None
        Source of randomness.

    Returns
    -------
    AveragingBaseline
        ``method="items"``.

    Raises
    ------
    ValueError
        On shapes that do not fit, infinite scores, or a candidate without any verdict.
    """
    _check_draws(draws)
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 3 or table.shape[1] == 0:
        raise ValueError(f"scores has shape {table.shape}: expected (candidates, items, judges).")
    if np.isinf(table).any():
        raise ValueError("scores: infinite values; a missing verdict is NaN.")
    size, items, judges = table.shape
    seen = ~np.isnan(table) & _cell_mask(cells, (size, judges))[:, None, :]
    values = np.where(seen, table, 0.0)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(items, np.full(items, 1 / items), size=draws).astype(np.float64)
    sums = np.einsum("si,kij->skj", times, values, optimize=True)
    totals = np.einsum("si,kij->skj", times, seen.astype(np.float64), optimize=True)
    point = _mean_over_judges(values.sum(axis=1), seen.sum(axis=1).astype(np.float64))
    return _result(point, _mean_over_judges(sums, totals), "items")


def averaging_from_patterns(
    candidate: ArrayLike,
    scores: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    cells: ArrayLike | None = None,
    draws: int = 2000,
    seed: Seed = None,
) -> AveragingBaseline:
    """Average the scores and resample each candidate's answers.

    The verdicts of all judges on one answer stay together.

    Parameters
    ----------
    candidate : array_like of int, shape (R,)
        Candidate code 0..K-1 of each row.
    scores : array_like, shape (R, J)
        Verdicts on the answer(s) of the row; NaN where there is none.
    counts : array_like of whole numbers, shape (R,), optional
        Number of identical answers; 1 by default.
    cells, draws, seed
        As in `averaging_from_items`.

    Returns
    -------
    AveragingBaseline
        ``method="answers"``. Candidates are resampled independently: when they answered the same items this
        overstates the sampling error of their differences.

    Raises
    ------
    ValueError
        On shapes that do not fit, codes or counts out of range, or a candidate without any verdict.
    """
    _check_draws(draws)
    codes, table = np.asarray(candidate), np.asarray(scores, dtype=np.float64)
    number = np.ones(len(codes), dtype=np.int64) if counts is None else np.asarray(counts)
    if table.ndim != 2 or codes.shape != (len(table),) or number.shape != (len(table),) or not len(table):
        shapes = f"candidate {codes.shape}, scores {table.shape}, counts {number.shape}"
        raise ValueError(f"{shapes}: expected (R,), (R, J) and (R,) with R >= 1.")
    if not np.issubdtype(codes.dtype, np.integer) or codes.min() < 0:
        raise ValueError(f"candidate: codes are whole numbers from 0, not {codes.dtype} from {codes.min()}.")
    if (number < 0).any() or (number != np.floor(number)).any():
        raise ValueError("counts: whole numbers of at least 0 are needed.")
    size, judges = int(codes.max()) + 1, table.shape[1]
    seen = ~np.isnan(table) & _cell_mask(cells, (size, judges))[codes]
    values = np.where(seen, table, 0.0)
    rng = np.random.default_rng(seed)
    point, resampled = np.full(size, np.nan), np.full((draws, size), np.nan)
    for k in range(size):
        rows = codes == k
        here = number[rows].astype(np.int64)
        if here.sum() == 0:
            continue
        times = rng.multinomial(here.sum(), here / here.sum(), size=draws).astype(np.float64)
        point[k] = _mean_over_judges(here @ values[rows], here @ seen[rows].astype(np.float64))
        resampled[:, k] = _mean_over_judges(times @ values[rows], times @ seen[rows].astype(np.float64))
    return _result(point, resampled, "answers")


def averaging_from_cells(
    counts: ArrayLike, *, cells: ArrayLike | None = None, draws: int = 2000, seed: Seed = None
) -> AveragingBaseline:
    """Average the scores and resample each cell's counts (binomial for M = 2, multinomial otherwise).

    Parameters
    ----------
    counts : array_like of whole numbers, shape (K, J, M)
        Answers of candidate k to which judge j gave each score 1..M; a cell without answers is all zero.
    cells, draws, seed
        As in `averaging_from_items`.

    Returns
    -------
    AveragingBaseline
        ``method="cells"``. Cells are resampled independently: when several judges scored the same answers
        this understates the sampling error of a candidate, by up to the root of the number of judges.

    Raises
    ------
    ValueError
        On counts of another shape, not whole numbers >= 0, or a candidate without any verdict.
    """
    _check_draws(draws)
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 3 or table.shape[-1] < 2:
        raise ValueError(f"counts has shape {table.shape}: expected (candidates, judges, M) with M >= 2.")
    wrong = ~(np.isfinite(table) & (table >= 0) & (table == np.floor(table)))
    if wrong.any():
        raise ValueError(f"counts: {table[wrong][0]} is not a whole number of at least 0.")
    size, judges, levels = table.shape
    table = table * _cell_mask(cells, (size, judges))[..., None]
    totals = table.sum(axis=-1)
    shares = np.where(totals[..., None] > 0, table / np.maximum(totals, 1.0)[..., None], 1.0 / levels)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(totals.astype(np.int64), shares, size=(draws, size, judges)).astype(np.float64)
    values = np.arange(1.0, levels + 1.0)
    return _result(_mean_over_judges(table @ values, totals), _mean_over_judges(drawn @ values, totals), "cells")
