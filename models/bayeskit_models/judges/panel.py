"""The likelihoods of JudgeSimplex and its monotone constraint as fused operations, from parameters to value in one pass.

Between the parameters and the likelihood lie many small steps (cumulative logits, shifts, graded levels). As PyTensor nodes
each of them costs a second of compilation, twice with its gradient; here they are loops in one kernel. `likelihood` holds the
same mathematics as a plain graph, against which these are tested.

Axes: R rows (candidate x stratum), J judges, M true levels, V = M scores, Q difficulty nodes. `shift` may have one row in
place of R where judges treat all rows alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayeskit.fused import all_numbers, fused, kernel, softplus_sigmoid
from bayeskit_models.judges import difficulty
from bayeskit_models.judges.kernel import sum_answers

__all__ = ["joint", "marginal", "monotone", "paired"]

_TINY = 1e-300
_FLOOR = -1e5  # the least log probability of a level
_REACH = difficulty.REACH
_node_count: Any = kernel(difficulty.node_count)


@kernel
def _softplus(x: float) -> Any:
    return x + np.log1p(np.exp(-x)) if x > 0.0 else np.log1p(np.exp(x))


@kernel
def _sigmoid(x: float) -> Any:
    return 1.0 / (1.0 + np.exp(-x)) if x > 0.0 else np.exp(x) / (1.0 + np.exp(x))


@kernel
def _tails(row):  # type: ignore[no-untyped-def]
    """P(score > l) and P(score <= l) for l = 1..V-1 of one row of a judge's matrix."""
    scores = row.size
    upper, lower = np.empty(scores - 1), np.empty(scores - 1)
    total = 0.0
    for v in range(scores - 1):
        total += row[v]
        lower[v] = max(total, _TINY)
    total = 0.0
    for v in range(scores - 1, 0, -1):
        total += row[v]
        upper[v - 1] = max(total, _TINY)
    return upper, lower


@kernel
def _shifted(vertices, shift):  # type: ignore[no-untyped-def]
    """Log probabilities of scores after a shift of the cumulative logits: `likelihood.shifted` as a loop.

    A shift without rows is none: judges treat all rows alike. The second result, for `_shifted_back`, holds the shifted
    P(score > l), l = 1..V-1.
    """
    rows = shift.shape[0]
    judges, levels, scores = vertices.shape
    out = np.empty((max(rows, 1), judges, levels, scores))
    chance = np.empty((rows, judges, levels, scores - 1))
    for j in range(judges):
        for m in range(levels):
            for v in range(scores):
                out[0, j, m, v] = np.log(max(vertices[j, m, v], _TINY))
            for r in range(1, rows):
                for v in range(scores):
                    out[r, j, m, v] = out[0, j, m, v]
            if rows > 0:
                upper, lower = _tails(vertices[j, m])
                for l in range(scores - 1):  # noqa: E741
                    above, below = np.log(upper[l]), np.log(lower[l])
                    for r in range(rows):
                        c = above - below + shift[r, j, m]
                        soft, chance[r, j, m, l] = softplus_sigmoid(c)
                        out[r, j, m, l + 1] += c - soft - above
                        out[r, j, m, l] += -soft - below
    return out, chance


@kernel
def _shifted_back(d_out, chance, vertices, shift):  # type: ignore[no-untyped-def]
    """Gradient of `_shifted` with respect to vertices and shift."""
    rows = shift.shape[0]
    judges, levels, scores = vertices.shape
    d_vertices, d_shift = np.zeros(vertices.shape), np.zeros(shift.shape)
    for j in range(judges):
        for m in range(levels):
            for v in range(scores):
                total = 0.0
                for r in range(d_out.shape[0]):
                    total += d_out[r, j, m, v]
                d_vertices[j, m, v] = total / max(vertices[j, m, v], _TINY)
            if rows > 0:
                upper, lower = _tails(vertices[j, m])
                for l in range(scores - 1):  # noqa: E741
                    d_upper, d_lower = 0.0, 0.0
                    for r in range(rows):
                        u, above, below = chance[r, j, m, l], d_out[r, j, m, l + 1], d_out[r, j, m, l]
                        d_c = above * (1.0 - u) - below * u
                        d_shift[r, j, m] += d_c
                        d_upper += d_c - above
                        d_lower += -d_c - below
                    for v in range(scores):
                        d_vertices[j, m, v] += d_upper / upper[l] if v > l else d_lower / lower[l]
    return d_vertices, d_shift


@kernel
def _difficulty_grid(spread, step):  # type: ignore[no-untyped-def]
    """Nodes and log weights of a standardised difficulty: `difficulty.difficulty_nodes` as a loop."""
    count = _node_count(spread, step)
    nodes, log_weight, total = np.empty(count), np.empty(count), 0.0
    for q in range(count):
        nodes[q] = 2.0 * _REACH * q / (count - 1) - _REACH
        log_weight[q] = -0.5 * nodes[q] * nodes[q]
        total += np.exp(log_weight[q])
    log_weight -= np.log(total)
    return nodes, log_weight


@kernel
def _graded(location, spread, gaps, nodes):  # type: ignore[no-untyped-def]
    """Log probabilities of true levels by row and difficulty node: `likelihood.graded_levels` as a loop.

    Shape (R, M, Q). The second result, for `_graded_back`, holds P(level > l), l = 1..M-1, shape (R, M - 1, Q).
    """
    levels = gaps.size + 2
    out = np.zeros((location.size, levels, nodes.size))
    chance = np.empty((location.size, levels - 1, nodes.size))
    for r in range(location.size):
        cut = location[r]
        for l in range(levels - 1):  # noqa: E741
            between = 0.0
            if l > 0:
                cut -= gaps[l - 1]
                between = np.log1p(-np.exp(-gaps[l - 1]))
            below, above, upper = out[r, l], out[r, l + 1], chance[r, l]
            for q in range(nodes.size):
                reach = cut - spread * nodes[q]
                soft, upper[q] = softplus_sigmoid(reach)
                above[q] += reach - soft
                below[q] = max(below[q] - soft + between, _FLOOR)
        last = out[r, levels - 1]
        for q in range(nodes.size):
            last[q] = max(last[q], _FLOOR)
    return out, chance


@kernel
def _graded_back(d_out, chance, spread, gaps, nodes):  # type: ignore[no-untyped-def]
    """Gradient of `_graded` with respect to location, spread and gaps."""
    rows, levels = d_out.shape[:2]
    d_location, d_gaps = np.zeros(rows), np.zeros(gaps.size)
    d_spread = np.zeros(1)
    for r in range(rows):
        total = 0.0
        for l in range(levels - 2, -1, -1):  # noqa: E741
            inner, slope, pull = 0.0, 0.0, 0.0
            below, above, upper = d_out[r, l], d_out[r, l + 1], chance[r, l]
            for q in range(nodes.size):
                d = above[q] * (1.0 - upper[q]) - below[q] * upper[q]
                slope += d
                pull += nodes[q] * d
                inner += below[q]
            total += slope
            d_spread[0] -= pull
            if l > 0:
                e = np.exp(-gaps[l - 1])
                d_gaps[l - 1] += inner * e / (1.0 - e) - total
        d_location[r] = total
    return d_location, d_spread, d_gaps


@kernel
def paired_kernel(
    vertices, shift, location, spread, gaps,
    cell_row, cell_scores, cell_gold, item_ptr, item_cell, item_count, step,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Log likelihood of answers to shared items; see `kernel.answers_kernel` for the data.

    Differentiable: vertices (J, M, V), shift (R, 1 or 0, J, M), location (R,) of the rows on the logit scale, spread (1,) of
    the difficulty, gaps (M - 2,) of the thresholds. A NaN anywhere gives the value NaN. `step` (1,) is
    the largest distance of two nodes of the difficulty, see `difficulty.spacing`.
    """
    if not (
        all_numbers(vertices) and all_numbers(shift) and all_numbers(location) and all_numbers(spread) and all_numbers(gaps)
    ):
        zeros = np.zeros(vertices.shape), np.zeros(shift.shape), np.zeros(location.shape)
        return np.nan, zeros[0], zeros[1], zeros[2], np.zeros(1), np.zeros(gaps.shape)
    log_theta, scored = _shifted(vertices, shift)
    nodes, log_weight = _difficulty_grid(spread[0], step[0])
    level, reached = _graded(location, spread[0], gaps, nodes)
    value, d_theta, d_level = sum_answers(
        log_theta, level, cell_row, cell_scores, cell_gold, item_ptr, item_cell, item_count, log_weight
    )
    d_vertices, d_shift = _shifted_back(d_theta, scored, vertices, shift)
    d_location, d_spread, d_gaps = _graded_back(d_level, reached, spread[0], gaps, nodes)
    return value, d_vertices, d_shift, d_location, d_spread, d_gaps


@kernel
def joint_kernel(vertices, shift, prevalence, cell_row, cell_scores, cell_gold, cell_count):  # type: ignore[no-untyped-def]
    """Log likelihood of independent answers, each scored by several judges.

    Differentiable: vertices (J, M, V), shift (R, 1 or 0, J, M), prevalence (R, M). Data: the row (C,), scores (C, J) (-1 where
    there is none) and true level (C,) (-1 where unknown) of every distinct answer, and how many answers are like it (C,).
    """
    if not (all_numbers(vertices) and all_numbers(shift) and all_numbers(prevalence)):
        return np.nan, np.zeros(vertices.shape), np.zeros(shift.shape), np.zeros(prevalence.shape)
    log_theta, scored = _shifted(vertices, shift)
    rows, levels = prevalence.shape
    judges = cell_scores.shape[1]
    log_share = np.empty((rows, levels))
    for r in range(rows):
        for m in range(levels):
            log_share[r, m] = np.log(max(prevalence[r, m], _TINY))
    # levels last: the levels of one judge's score lie side by side, and are read and written together
    table, d_table = _levels_last(log_theta), np.zeros((log_theta.shape[0], judges, log_theta.shape[3], levels))
    d_share, part = np.zeros((rows, levels)), np.empty(levels)
    value = 0.0
    for c in range(cell_row.size):
        r = cell_row[c]
        s = r if table.shape[0] > 1 else 0
        for m in range(levels):
            part[m] = log_share[r, m]
        for j in range(judges):
            v = cell_scores[c, j]
            if v >= 0:
                for m in range(levels):
                    part[m] += table[s, j, v, m]
        value += cell_count[c] * _log_sum_to_shares(part, cell_gold[c])
        for m in range(levels):
            part[m] *= cell_count[c]
            d_share[r, m] += part[m]
        for j in range(judges):
            v = cell_scores[c, j]
            if v >= 0:
                for m in range(levels):
                    d_table[s, j, v, m] += part[m]
    d_prevalence = np.empty((rows, levels))
    for r in range(rows):
        for m in range(levels):
            d_prevalence[r, m] = d_share[r, m] / max(prevalence[r, m], _TINY)
    d_vertices, d_shift = _shifted_back(_levels_last(d_table), scored, vertices, shift)
    return value, d_vertices, d_shift, d_prevalence


@kernel
def _levels_last(x):  # type: ignore[no-untyped-def]
    """Swap the last two axes into a new array."""
    out = np.empty((x.shape[0], x.shape[1], x.shape[3], x.shape[2]))
    for a in range(x.shape[0]):
        for b in range(x.shape[1]):
            for c in range(x.shape[2]):
                for d in range(x.shape[3]):
                    out[a, b, d, c] = x[a, b, c, d]
    return out


@kernel
def _log_sum_to_shares(part, gold):  # type: ignore[no-untyped-def]
    """Log of the sum of exponentials, or the one entry that is known to be true; `part` becomes the shares."""
    if gold >= 0:
        known = part[gold]
        for m in range(part.size):
            part[m] = 1.0 if m == gold else 0.0
        return known
    top = part[0]
    for m in range(1, part.size):
        top = max(top, part[m])
    total = 0.0
    for m in range(part.size):
        part[m] = np.exp(part[m] - top)
        total += part[m]
    for m in range(part.size):
        part[m] /= total
    return top + np.log(total)


@kernel
def marginal_kernel(vertices, shift, prevalence, counts, gold_counts):  # type: ignore[no-untyped-def]
    """Log likelihood of counts of verdicts: `likelihood.gamma_log_likelihood` as a loop.

    Differentiable: vertices (J, M, V), shift (R, 1 or 0, J, M), prevalence (R, M). Data: counts (R, J, V) and, of answers whose
    true level is known, gold_counts (R or 0, J, M, V).
    """
    if not (all_numbers(vertices) and all_numbers(shift) and all_numbers(prevalence)):
        return np.nan, np.zeros(vertices.shape), np.zeros(shift.shape), np.zeros(prevalence.shape)
    log_theta, scored = _shifted(vertices, shift)
    theta = np.empty(log_theta.shape)
    for r in range(theta.shape[0]):
        for j in range(theta.shape[1]):
            for m in range(theta.shape[2]):
                for v in range(theta.shape[3]):
                    theta[r, j, m, v] = np.exp(log_theta[r, j, m, v])
    rows, judges, scores = counts.shape
    levels = prevalence.shape[1]
    d_theta, d_prevalence = np.zeros(log_theta.shape), np.zeros(prevalence.shape)
    value = 0.0
    for r in range(rows):
        s = r if theta.shape[0] > 1 else 0
        for j in range(judges):
            for v in range(scores):
                if counts[r, j, v] > 0.0:
                    gamma = 0.0
                    for m in range(levels):
                        gamma += prevalence[r, m] * theta[s, j, m, v]
                    gamma = max(gamma, _TINY)
                    value += counts[r, j, v] * np.log(gamma)
                    weight = counts[r, j, v] / gamma
                    for m in range(levels):
                        d_prevalence[r, m] += weight * theta[s, j, m, v]
                        d_theta[s, j, m, v] += weight * prevalence[r, m] * theta[s, j, m, v]
    for r in range(gold_counts.shape[0]):
        s = r if theta.shape[0] > 1 else 0
        for j in range(judges):
            for m in range(levels):
                for v in range(scores):
                    n = gold_counts[r, j, m, v]
                    if n > 0.0:
                        share = max(prevalence[r, m], _TINY)
                        value += n * (np.log(share) + log_theta[s, j, m, v])
                        d_prevalence[r, m] += n / share
                        d_theta[s, j, m, v] += n
    d_vertices, d_shift = _shifted_back(d_theta, scored, vertices, shift)
    return value, d_vertices, d_shift, d_prevalence


@kernel
def monotone_kernel(vertices, sharpness):  # type: ignore[no-untyped-def]
    """Log weight of the monotone constraint: `likelihood.log_monotone` as a loop.

    Differentiable: vertices (J, M, V). Data: sharpness (1,).
    """
    out = np.zeros(vertices.shape)
    if not (all_numbers(vertices) and all_numbers(sharpness)):
        return np.nan, out
    judges, levels, scores = vertices.shape
    k, value = sharpness[0], 0.0
    for j in range(judges):
        for m in range(1, levels):
            rise, slope = 0.0, 0.0
            for v in range(scores - 1, 0, -1):
                rise += vertices[j, m, v] - vertices[j, m - 1, v]
                value -= _softplus(-k * rise)
            for v in range(1, scores):
                # P(score >= v) contains the entries from v on, so entry v feels the pull of all thresholds up to it
                drop = 0.0
                for u in range(v, scores):
                    drop += vertices[j, m, u] - vertices[j, m - 1, u]
                slope += k * _sigmoid(-k * drop)
                out[j, m, v] += slope
                out[j, m - 1, v] -= slope
    return value, out


_ANSWERS = ("int64:1", "int64:2", "int64:1", "int64:1", "int64:1", "float64:1")

paired = fused(paired_kernel, wrt=(3, 3, 1, 1, 1), data=(*_ANSWERS, "float64:1"))
joint = fused(joint_kernel, wrt=(3, 3, 2), data=("int64:1", "int64:2", "int64:1", "float64:1"))
monotone = fused(monotone_kernel, wrt=(3,), data=("float64:1",))
marginal = fused(marginal_kernel, wrt=(3, 3, 2), data=("float64:3", "float64:4"))
