"""Likelihood of judged answers: true levels and item difficulties summed out, with gradients, in one pass.

Candidates answer items; judges score answers. Given the difficulty of the item (one of Q nodes) the true
levels of different answers are independent, and given its true level the scores of an answer are. Equal
answers of one candidate (same scores, same gold label) are one *cell*; a cell's probability at a node is
needed once, however many items contain it:

    table[c, q] = logsumexp_m( log_level[r, q, m] + sum_j log_theta[r, j, m, score[c, j]] ),   r = row of c
    value       = sum_i count[i] * logsumexp_q( log_weight[q] + sum_{c in item i} table[c, q] )

One node (Q = 1) and one cell per item give the likelihood of independent answers.

Notation: R rows (candidate x stratum), J judges, M true levels, V = M scores, Q nodes, C cells, I items.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayeskit.fused import all_numbers, fast_exp, fast_log, fused, kernel, softplus_sigmoid
from bayeskit_models.judges.difficulty import LANES

_FLOOR = -1e5
"""Log probabilities below this count as this, so that differences stay numbers (a perfect judge has -inf)."""
_ITEMS = 64
"""Items that are summed over their difficulty together."""


@kernel
def answers_kernel(
    log_theta: np.ndarray,
    log_level: np.ndarray,
    cell_row: np.ndarray,
    cell_scores: np.ndarray,
    cell_gold: np.ndarray,
    item_ptr: np.ndarray,
    item_cell: np.ndarray,
    item_count: np.ndarray,
    log_weight: np.ndarray,
) -> Any:
    """Log likelihood of the answers and its gradients with respect to `log_theta` and `log_level`.

    Parameters
    ----------
    log_theta : (R, J, M, V) float64
        Log probability that judge j gives score v to an answer of row r whose true level is m.
    log_level : (R, Q, M) float64
        Log probability that an answer of row r to an item at difficulty node q has true level m.
    cell_row : (C,) int64
        Row of each cell.
    cell_scores : (C, J) int64
        Score (0-based) each judge gave; -1 where there is no verdict.
    cell_gold : (C,) int64
        True level (0-based) where known, else -1.
    item_ptr : (I + 1,) int64
        Cells of item i are ``item_cell[item_ptr[i]:item_ptr[i + 1]]``.
    item_cell : (n,) int64
        Cells of the answers to the items, item after item.
    item_count : (I,) float64
        How many items look like this one.
    log_weight : (Q,) float64
        Log weights of the difficulty nodes.

    Returns
    -------
    value : float
        Natural log of the likelihood; NaN (as the gradients) when an input is NaN or +inf.
    d_log_theta, d_log_level : ndarray
        Gradients, shaped as the inputs. Entries of the inputs are treated as free numbers.

    Notes
    -----
    Indices are not checked here: whoever prepares the arrays must. Cost: O(C Q M + n Q).
    """
    rows, _, levels, _ = log_theta.shape
    nodes = log_weight.size
    if not (all_numbers(log_theta) and all_numbers(log_level)):
        return np.nan, np.full(log_theta.shape, np.nan), np.full(log_level.shape, np.nan)
    width = (nodes + LANES - 1) // LANES * LANES  # whole vector registers
    level = np.empty((rows, levels, width))
    level.fill(_FLOOR)
    for r in range(rows):
        for q in range(nodes):
            for m in range(levels):
                level[r, m, q] = max(log_level[r, q, m], _FLOOR)
    weight = np.empty(width)
    for q in range(width):
        weight[q] = log_weight[q] if q < nodes else 10.0 * _FLOOR  # padding never carries weight
    value, d_theta, d_level = sum_answers(
        log_theta, level, cell_row, cell_scores, cell_gold, item_ptr, item_cell, item_count, weight
    )
    d_log_level = np.empty((rows, nodes, levels))
    for r in range(rows):
        for q in range(nodes):
            for m in range(levels):
                d_log_level[r, q, m] = d_level[r, m, q]
    return value, d_theta, d_log_level


@kernel
def sum_answers(
    log_theta, level, cell_row, cell_scores, cell_gold, item_ptr, item_cell, item_count, weight
):  # type: ignore[no-untyped-def]  # fmt: skip
    """`answers_kernel` with nodes last and checked: `level` and its gradient (R, M, Q), `weight` (Q,), Q a multiple of `LANES`.

    `log_theta` and its gradient may have one row in place of R, for judges that treat all rows alike. No entry of `level` may
    be below -1e5.
    """
    table, share = _cell_tables(log_theta, level, cell_row, cell_scores, cell_gold)
    value, d_table = _sum_items(table, weight, item_ptr, item_cell, item_count)
    d_theta, d_level = _spread(d_table, share, log_theta.shape, level.shape[0], cell_row, cell_scores, cell_gold)
    return value, d_theta, d_level


@kernel
def _cell_tables(log_theta, level, cell_row, cell_scores, cell_gold):  # type: ignore[no-untyped-def]
    """Log probability of each cell at each node (C, Q), and the share of each true level in it (C, M, Q)."""
    cells, judges = cell_scores.shape
    levels, width = level.shape[1:]
    table = np.empty((cells, width))
    share = np.zeros((cells, levels, width))
    judged = np.empty(levels)
    total = np.empty(width)
    for c in range(cells):
        r = cell_row[c]
        s = r if log_theta.shape[0] > 1 else 0
        gold = cell_gold[c]
        top, part, of_row = table[c], share[c], level[r]
        judged.fill(0.0)
        for j in range(judges):
            if cell_scores[c, j] >= 0:
                for m in range(levels):
                    judged[m] += max(log_theta[s, j, m, cell_scores[c, j]], _FLOOR)
        if gold >= 0:
            for q in range(width):
                top[q] = of_row[gold, q] + judged[gold]
                part[gold, q] = 1.0
        elif levels == 2:
            _two_levels(of_row[0], of_row[1], judged[0], judged[1], top, part[0], part[1])
        else:
            _many_levels(of_row, judged, top, part, total)
    return table, share


@kernel
def _two_levels(low, high, judged_low, judged_high, top, share_low, share_high):  # type: ignore[no-untyped-def]
    """Log sum over two levels and their shares, with one exponential and one logarithm a node."""
    gain = judged_high - judged_low
    for q in range(top.size):
        more, share = softplus_sigmoid(high[q] - low[q] + gain)
        top[q] = low[q] + judged_low + more
        share_high[q] = share
        share_low[q] = 1.0 - share


@kernel
def _many_levels(level, judged, top, share, total):  # type: ignore[no-untyped-def]
    """Log sum over the levels and their shares; `total` is scratch."""
    levels, width = level.shape
    top.fill(100.0 * _FLOOR)
    for m in range(levels):
        for q in range(width):
            share[m, q] = level[m, q] + judged[m]
            top[q] = max(top[q], share[m, q])
    total.fill(0.0)
    for m in range(levels):
        for q in range(width):
            share[m, q] = fast_exp(share[m, q] - top[q])
            total[q] += share[m, q]
    for q in range(width):
        top[q] += fast_log(total[q])
        total[q] = 1.0 / total[q]
    for m in range(levels):
        for q in range(width):
            share[m, q] *= total[q]


@kernel
def _sum_items(table, weight, item_ptr, item_cell, item_count):  # type: ignore[no-untyped-def]
    """Sum the difficulty out of every item; give the value and its gradient with respect to the table.

    Some items at a time: the exponential of one item alone would have to wait for its sums, and the next item for it.
    """
    cells, width = table.shape
    d_table = np.zeros((cells, width))
    mass, top, total = np.empty((_ITEMS, width)), np.empty(_ITEMS), np.empty(_ITEMS)
    flat = mass.reshape(_ITEMS * width)
    value = 0.0
    for first in range(0, item_count.size, _ITEMS):
        count = item_count[first : first + _ITEMS]
        for k in range(count.size):
            u = mass[k]
            for q in range(width):
                u[q] = weight[q]
            for a in range(item_ptr[first + k], item_ptr[first + k + 1]):
                c = item_cell[a]
                for q in range(width):
                    u[q] += table[c, q]
            largest = u[0]
            for q in range(width):
                largest = max(largest, u[q])
            for q in range(width):
                u[q] -= largest
            top[k] = largest
        for x in range(count.size * width):
            flat[x] = fast_exp(flat[x])
        for k in range(count.size):
            together = 0.0
            for q in range(width):
                together += mass[k, q]
            total[k] = together
        for k in range(count.size):
            value += count[k] * (top[k] + fast_log(total[k]))
            total[k] = count[k] / total[k]
        for k in range(count.size):
            u = mass[k]
            for q in range(width):
                u[q] *= total[k]
            for a in range(item_ptr[first + k], item_ptr[first + k + 1]):
                c = item_cell[a]
                for q in range(width):
                    d_table[c, q] += u[q]
    return value, d_table


@kernel
def _spread(d_table, share, shape, rows, cell_row, cell_scores, cell_gold):  # type: ignore[no-untyped-def]
    """Carry the gradient of the table back to the log probabilities of judges and levels.

    A cell's gradient is divided among the true levels by their share.
    """
    judge_rows, judges, levels, scores = shape
    cells, width = d_table.shape
    d_theta = np.zeros((judge_rows, judges, levels, scores))
    d_level = np.zeros((rows, levels, width))
    for c in range(cells):
        r = cell_row[c]
        s = r if judge_rows > 1 else 0
        gold = cell_gold[c]
        first, last = (gold, gold + 1) if gold >= 0 else (0, levels)
        for m in range(first, last):
            total = 0.0
            for q in range(width):
                d = d_table[c, q] * share[c, m, q]
                d_level[r, m, q] += d
                total += d
            for j in range(judges):
                if cell_scores[c, j] >= 0:
                    d_theta[s, j, m, cell_scores[c, j]] += total
    return d_theta, d_level


answers = fused(
    answers_kernel,
    wrt=(4, 3),
    data=("int64:1", "int64:2", "int64:1", "int64:1", "int64:1", "float64:1", "float64:1"),
)
"""`answers_kernel` on symbolic arrays, for use in a PyMC model: ``pm.Potential("answers", answers(...))``."""


def answers_pointwise(
    log_theta: np.ndarray,
    log_level: np.ndarray,
    cell_row: np.ndarray,
    cell_scores: np.ndarray,
    cell_gold: np.ndarray,
    item_ptr: np.ndarray,
    item_cell: np.ndarray,
    item_count: np.ndarray,
    log_weight: np.ndarray,
) -> np.ndarray:
    """Log likelihood of each item in plain NumPy: for model comparison, and as the kernel's reference.

    Parameters
    ----------
    log_theta, log_level, cell_row, cell_scores, cell_gold, item_ptr, item_cell, item_count, log_weight
        As in `answers_kernel`; extra sample axes are not allowed.

    Returns
    -------
    (I,) ndarray
        Log likelihood of ONE item of each kind: the kernel's value is ``(item_count * result).sum()``.
    """
    by_level = np.moveaxis(log_level[cell_row], 1, 2).astype(float)  # (C, M, Q)
    for j in range(cell_scores.shape[1]):
        seen = np.flatnonzero(cell_scores[:, j] >= 0)
        by_level[seen] += log_theta[cell_row[seen], j, :, cell_scores[seen, j]][:, :, None]
    known = np.flatnonzero(cell_gold >= 0)
    table = _logsumexp(by_level, axis=1)
    table[known] = by_level[known, cell_gold[known]]
    item = np.repeat(np.arange(item_count.size), np.diff(item_ptr))
    per_item = np.tile(log_weight, (item_count.size, 1))
    np.add.at(per_item, item, table[item_cell])
    return _logsumexp(per_item, axis=1)


def _logsumexp(x: np.ndarray, axis: int) -> np.ndarray:
    top = np.max(x, axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.sum(np.exp(x - top), axis=axis))
