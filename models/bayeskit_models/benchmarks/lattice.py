"""The likelihood of `crossed` on one lattice of nodes for all units of a benchmark: the same sums, most of the work shared.

What a unit's cells add to its log integrand depends on the item's place t = shift + sd z on the logit scale and on what kind
of cell each is: its column, successes and trials. A million cells are of a few hundred kinds. So the log likelihood of every
kind, its slopes and (with an interaction) the inner integral are computed once at the nodes of a lattice in t, and a unit adds
up rows of that table:

    unit = log integral phi((t - shift) / sd) / sd  prod_kinds exp(T[kind](t)) dt.

The gradient goes back the same way: posterior weights of nodes are added up by kind, and meet the slopes once. Derivatives
with respect to the shift and the standard deviation come from the first factor alone.

The lattice is as fine as the narrowest unit can ask for: its spacing is `_SPACING` of ``1 / sqrt(1 / sd^2 + most / 4)``, with
the most trials of a unit (a trial knows no more than a quarter), and no coarser than `_REACH` logits. A unit uses the part of
it where its integrand is within `crossed.DROP` nats of its top. Blocks of the table are filled when the first unit gets there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayeskit.fused import all_numbers, fast_exp, fast_log, fused, kernel
from bayeskit_models.benchmarks.crossed import DROP, DROP_CHANCE, _counts
from bayeskit_models.benchmarks.nodes import inner_nodes

__all__ = ["lattice_kernel", "log_likelihood"]

_LANES = 8  # nodes of a block
_MOST_BLOCKS = 8192
_SPACING = 0.8  # of the least posterior standard deviation that a unit can have
_REACH = 0.4  # largest spacing: the integrand has poles at a distance of pi from the real line
_ROOT = 2.5066282746310002  # of 2 pi


@kernel
def _fill_plain(first, spacing, start, stop, eta, chance, kind_ptr, column, hits, trials, x, value, table, slopes):  # type: ignore[no-untyped-def]
    """Fill one block of the table: log likelihood of every kind, and slopes of its cells. Nodes and cells lie in one row."""
    low = kind_ptr[start]
    for c in range(kind_ptr[stop] - low):
        at = eta[column[low + c]] + first
        for lane in range(_LANES):
            x[c * _LANES + lane] = at + spacing * lane
    if chance == 0.0:
        for i in range(x.size):
            value[i], slopes[i] = _counts(x[i], hits[i], trials[i], 0.0)
    else:
        for i in range(x.size):
            value[i], slopes[i] = _counts(x[i], hits[i], trials[i], chance)
    for kind in range(start, stop):
        row = table[kind - start]
        row.fill(0.0)
        for c in range(kind_ptr[kind] - low, kind_ptr[kind + 1] - low):
            for lane in range(_LANES):
                row[lane] += value[c * _LANES + lane]


@kernel
def _fill_nested(  # type: ignore[no-untyped-def]
    first, spacing, start, stop, eta, inner, chance, half, inner_step, kind_ptr, column, k, n, x, value, term, parts, table,
    slopes, pulls,
):  # fmt: skip
    """The same with an interaction summed out of every kind, and the derivative with respect to its standard deviation."""
    nodes, low = 2 * half + 1, kind_ptr[start]
    flat = nodes * _LANES
    top, total = np.empty(_LANES), np.empty(_LANES)
    for kind in range(start, stop):
        row, pull, cells = table[kind - start], pulls[kind - start], kind_ptr[kind + 1] - kind_ptr[kind]
        for r in range(nodes):
            u = inner_step * (r - half)
            for lane in range(_LANES):
                term[r * _LANES + lane] = -0.5 * u * u
                x[r * _LANES + lane] = first + spacing * lane + inner * u
        for c in range(cells):
            at, part = kind_ptr[kind] + c, parts[c]
            place, hits, trials = eta[column[at]], k[at], n[at]
            if chance == 0.0:
                for i in range(flat):
                    value[i], part[i] = _counts(place + x[i], hits, trials, 0.0)
            else:
                for i in range(flat):
                    value[i], part[i] = _counts(place + x[i], hits, trials, chance)
            for i in range(flat):
                term[i] += value[i]
        for lane in range(_LANES):
            top[lane], total[lane], pull[lane] = term[lane], 0.0, 0.0
        for r in range(nodes):
            for lane in range(_LANES):
                top[lane] = max(top[lane], term[r * _LANES + lane])
        for r in range(nodes):
            for lane in range(_LANES):
                value[r * _LANES + lane] = term[r * _LANES + lane] - top[lane]
        for i in range(flat):
            term[i] = fast_exp(value[i])
        for r in range(nodes):
            for lane in range(_LANES):
                total[lane] += term[r * _LANES + lane]
        for lane in range(_LANES):
            row[lane] = top[lane] + fast_log(total[lane] * inner_step / _ROOT)
            total[lane] = 1.0 / total[lane]
        for c in range(cells):
            at, part = (kind_ptr[kind] + c - low) * _LANES, parts[c]
            slope = slopes[at : at + _LANES]
            slope.fill(0.0)
            for r in range(nodes):
                u = inner_step * (r - half)
                for lane in range(_LANES):
                    moved = term[r * _LANES + lane] * total[lane] * part[r * _LANES + lane]
                    slope[lane] += moved
                    pull[lane] += u * moved


@kernel
def _bounds(low, high, sd, trials, least, most, chance):  # type: ignore[no-untyped-def]
    """Places beyond which no unit's integrand matters: the mode of the most extreme one, and the prior's tail from there.

    `low`, `high` are the least and the largest shift, `least`, `most` the range of eta. All right, a unit's mode solves
    (t - shift) / sd^2 = sum of slopes, at most trials / (1 + exp(least + t)).
    """
    tail = sd * np.sqrt(2.0 * (DROP if chance == 0.0 else DROP_CHANCE)) + 1.0
    up, down = sd * sd * trials, sd * sd * trials
    for _ in range(200):  # bisection of both sides at once would save nothing
        if up < 1e-3:
            break
        t = 0.5 * up
        if t > sd * sd * trials / (1.0 + np.exp(min(least + high + t, 500.0))):
            up = t
        else:
            break
    for _ in range(200):
        if down < 1e-3:
            break
        t = 0.5 * down
        if t > sd * sd * trials / (1.0 + np.exp(min(-most - low + t, 500.0))):
            down = t
        else:
            break
    return low - down - tail, high + up + tail


@kernel
def _unit(  # type: ignore[no-untyped-def]
    kinds, shift, sd, blocks, origin, spacing, guess, drop, chance, half, inner_step, eta, inner, kind_start, kind_stop,
    kind_ptr, column, k, n, hits, trials, space, filled, table, sums, slopes, pulls, used, psi,
):  # fmt: skip
    """Add up the log integrand of one unit, block by block from a guess of its mode to both sides; blocks used, and its top."""
    place = int((guess - origin) / (spacing * _LANES))
    right = min(max(place, 0), blocks - 1)
    left = right - 1
    top, count = -1e300, 0
    go_right, go_left = True, True
    precision = 0.5 / (sd * sd)
    while go_right or go_left:
        go_right, go_left = go_right and right < blocks, go_left and left >= 0
        if not (go_right or go_left):
            break
        to_right = go_right and (not go_left or right - place <= place - left)
        block = right if to_right else left
        first = origin + spacing * (block * _LANES + 0.5)
        if not filled[block]:
            filled[block] = True
            sums[block].fill(0.0)
            if inner == 0.0:
                _fill_plain(
                    first, spacing, kind_start, kind_stop, eta, chance, kind_ptr, column, hits, trials, space[0], space[1],
                    table[block], slopes[block],
                )  # fmt: skip
            else:
                _fill_nested(
                    first, spacing, kind_start, kind_stop, eta, inner, chance, half, inner_step, kind_ptr, column, k, n,
                    space[0], space[1], space[2], space[3:], table[block], slopes[block], pulls[block],
                )  # fmt: skip
        rows = table[block]
        s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for c in range(kinds.size):
            row = rows[kinds[c] - kind_start]
            s0 += row[0]
            s1 += row[1]
            s2 += row[2]
            s3 += row[3]
            s4 += row[4]
            s5 += row[5]
            s6 += row[6]
            s7 += row[7]
        out = psi[count]
        out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7] = s0, s1, s2, s3, s4, s5, s6, s7
        for lane in range(_LANES):
            away = first + spacing * lane - shift
            out[lane] -= precision * away * away
            top = max(top, out[lane])
        used[count] = block
        count += 1
        if to_right:
            go_right = out[_LANES - 1] > top - drop
            right += 1
        else:
            go_left = out[0] > top - drop
            left -= 1
    return count, top


@kernel
def _guess(kinds, totals, shift, sd, chance):  # type: ignore[no-untyped-def]
    """Where a unit's integrand is about highest: the log odds of its share of successes, shrunk to the prior."""
    trials, hits, middle = 0.0, 0.0, 0.0
    for c in range(kinds.size):
        trials += totals[0, kinds[c]]
        hits += totals[1, kinds[c]]
        middle += totals[2, kinds[c]]
    if trials == 0.0:
        return shift
    share = max(hits / trials - chance, 0.0) / (1.0 - chance)
    share = (share * trials + 0.5) / (trials + 1.0)
    weight = sd * sd * trials * share * (1.0 - share)
    return shift + (fast_log(share / (1.0 - share)) - middle / trials - shift) * weight / (1.0 + weight)


@kernel
def _spread(psi, used, count, top, kinds, kind_start, weight, origin, spacing, shift, sums):  # type: ignore[no-untyped-def]
    """Add the posterior weights of one unit's nodes to its kinds; sum of the integrand over its top, and moments."""
    total, first, second = 0.0, 0.0, 0.0
    for j in range(count):
        out = psi[j]
        place = origin + spacing * (used[j] * _LANES + 0.5) - shift
        for lane in range(_LANES):
            w = fast_exp(out[lane] - top)
            away = place + spacing * lane
            out[lane] = w
            total += w
            first += w * away
            second += w * away * away
    share = weight / total
    for j in range(count):
        out, rows = psi[j], sums[used[j]]
        w0, w1, w2, w3 = out[0] * share, out[1] * share, out[2] * share, out[3] * share
        w4, w5, w6, w7 = out[4] * share, out[5] * share, out[6] * share, out[7] * share
        for c in range(kinds.size):
            row = rows[kinds[c] - kind_start]
            row[0] += w0
            row[1] += w1
            row[2] += w2
            row[3] += w3
            row[4] += w4
            row[5] += w5
            row[6] += w6
            row[7] += w7
    return total, first / total, second / total


@kernel
def _extent(b, shift, unit_ptr, unit_benchmark, unit_weight, group_kind, totals):  # type: ignore[no-untyped-def]
    """Most trials of a unit of a benchmark (-1 without units), and the range of the shifts."""
    most, low, high = -1.0, 1e300, -1e300
    for i in range(unit_benchmark.size):
        if unit_benchmark[i] != b or unit_weight[i] == 0.0:
            continue
        trials = 0.0
        for c in range(unit_ptr[i], unit_ptr[i + 1]):
            trials += totals[0, group_kind[c]]
        most, low, high = max(most, trials), min(low, shift[i]), max(high, shift[i])
    return most, low, high


@kernel
def _tiled(k, n, low, high):  # type: ignore[no-untyped-def]
    """Successes and trials of cells, each as often as a block has nodes."""
    hits, trials = np.empty((high - low) * _LANES), np.empty((high - low) * _LANES)
    for i in range(hits.size):
        hits[i], trials[i] = k[low + i // _LANES], n[low + i // _LANES]
    return hits, trials


@kernel
def _collect(start, stop, blocks, filled, sums, slopes, pulls, kind_ptr, column, inner, d_eta):  # type: ignore[no-untyped-def]
    """Meet the weights of nodes with the slopes there; returns the derivative with respect to the interaction's sd."""
    across = 0.0
    for block in range(blocks):
        if not filled[block]:
            continue
        for kind in range(start, stop):
            row = sums[block, kind - start]
            for c in range(kind_ptr[kind], kind_ptr[kind + 1]):
                at, inside = (c - kind_ptr[start]) * _LANES, 0.0
                for lane in range(_LANES):
                    inside += row[lane] * slopes[block, at + lane]
                d_eta[column[c]] += inside
            if inner > 0.0:
                for lane in range(_LANES):
                    across += row[lane] * pulls[block, kind - start, lane]
    return across


@kernel
def lattice_kernel(
    eta: np.ndarray,
    shift: np.ndarray,
    sd: np.ndarray,
    inner_sd: np.ndarray,
    chance: np.ndarray,
    unit_ptr: np.ndarray,
    unit_benchmark: np.ndarray,
    unit_weight: np.ndarray,
    group_kind: np.ndarray,
    kind_ptr: np.ndarray,
    kind_benchmark: np.ndarray,
    column: np.ndarray,
    k: np.ndarray,
    n: np.ndarray,
    fine: np.ndarray,
) -> Any:
    """Log likelihood of all units and its gradients with respect to the first four arguments.

    Parameters
    ----------
    eta : (C,) float64
        Linear predictor of every column, on the logit scale.
    shift : (U,) float64
        What is added to all cells of a unit.
    sd, inner_sd : (B,) float64
        Standard deviations of the units' effects (positive) and of the interaction, by benchmark.
    chance : (B,) float64
        Probability of a success by guessing.
    unit_ptr, group_kind, kind_ptr, kind_benchmark, column, k, n
        As in `kinds.Kinds`.
    unit_benchmark : (U,) int64
        Benchmark of each unit.
    unit_weight : (U,) float64
        How many units look like this one.
    fine : (1,) float64
        1, or 2 for half the spacing in both sums.

    Returns
    -------
    value : float
        Natural log, NaN (as the gradients) where an input is NaN or +inf, or a standard deviation so large that the lattice
        would not end.
    d_eta, d_shift, d_sd, d_inner_sd : ndarray
        Gradients, shaped as the inputs.
    """
    d_eta, d_shift = np.zeros(eta.size), np.zeros(shift.size)
    d_sd, d_inner = np.zeros(sd.size), np.zeros(inner_sd.size)
    fault = not (all_numbers(eta) and all_numbers(shift) and all_numbers(sd) and all_numbers(inner_sd))
    totals = np.zeros((3, kind_benchmark.size))
    largest, widest = 1, 1.0  # cells and trials of a kind
    for kind in range(kind_benchmark.size):
        largest = max(largest, kind_ptr[kind + 1] - kind_ptr[kind])
        for c in range(kind_ptr[kind], kind_ptr[kind + 1]):
            totals[0, kind] += n[c]
            totals[1, kind] += k[c]
            totals[2, kind] += n[c] * eta[column[c]]
        widest = max(widest, totals[0, kind])
    value, stop = 0.0, 0
    for b in range(sd.size):
        start = stop
        while stop < kind_benchmark.size and kind_benchmark[stop] == b:
            stop += 1
        most, low, high = _extent(b, shift, unit_ptr, unit_benchmark, unit_weight, group_kind, totals)
        if fault or most < 0.0:
            continue
        least, top_eta = 0.0, 0.0
        for c in range(kind_ptr[start], kind_ptr[stop]):
            least = eta[column[c]] if c == kind_ptr[start] else min(least, eta[column[c]])
            top_eta = eta[column[c]] if c == kind_ptr[start] else max(top_eta, eta[column[c]])
        spacing = min(_SPACING / np.sqrt(1.0 / (sd[b] * sd[b]) + 0.25 * most), _REACH) / fine[0]
        origin, end = _bounds(low, high, sd[b], most, least, top_eta, chance[b])
        if not (end - origin) / (spacing * _LANES) < _MOST_BLOCKS:
            fault = True
            continue
        blocks = int((end - origin) / (spacing * _LANES)) + 1
        half, inner_step = inner_nodes(inner_sd[b], widest, fine[0])
        nodes, count_kinds, count_cells = 2 * half + 1, stop - start, kind_ptr[stop] - kind_ptr[start]
        filled, used, psi = np.zeros(blocks, np.bool_), np.empty(blocks, np.int64), np.empty((blocks, _LANES))
        table, sums = np.empty((blocks, count_kinds, _LANES)), np.empty((blocks, count_kinds, _LANES))
        slopes = np.empty((blocks, count_cells * _LANES))
        pulls = np.empty((blocks, count_kinds if inner_sd[b] > 0.0 else 1, _LANES))
        hits, trials = _tiled(k, n, kind_ptr[start], kind_ptr[stop])
        space = np.empty((3 + largest, (nodes if inner_sd[b] > 0.0 else count_cells) * _LANES))
        drop = DROP if chance[b] == 0.0 else DROP_CHANCE
        for i in range(unit_benchmark.size):
            if unit_benchmark[i] != b or unit_weight[i] == 0.0:
                continue
            kinds = group_kind[unit_ptr[i] : unit_ptr[i + 1]]
            guess = _guess(kinds, totals, shift[i], sd[b], chance[b])
            count, top = _unit(
                kinds, shift[i], sd[b], blocks, origin, spacing, guess, drop, chance[b], half, inner_step, eta, inner_sd[b],
                start, stop, kind_ptr, column, k, n, hits, trials, space, filled, table, sums, slopes, pulls, used, psi,
            )  # fmt: skip
            total, mean, square = _spread(psi, used, count, top, kinds, start, unit_weight[i], origin, spacing, shift[i], sums)
            value += unit_weight[i] * (top + fast_log(total * spacing / (sd[b] * _ROOT)))
            d_shift[i] = unit_weight[i] * mean / (sd[b] * sd[b])
            d_sd[b] += unit_weight[i] * (square / (sd[b] * sd[b]) - 1.0) / sd[b]
        d_inner[b] = _collect(start, stop, blocks, filled, sums, slopes, pulls, kind_ptr, column, inner_sd[b], d_eta)
    if fault:
        d_eta.fill(np.nan)
        d_shift.fill(np.nan)
        d_sd.fill(np.nan)
        d_inner.fill(np.nan)
        return np.nan, d_eta, d_shift, d_sd, d_inner
    return value, d_eta, d_shift, d_sd, d_inner


log_likelihood = fused(
    lattice_kernel,
    wrt=(1, 1, 1, 1),
    data=(
        "float64:1", "int64:1", "int64:1", "float64:1", "int64:1", "int64:1", "int64:1", "int64:1", "float64:1", "float64:1",
        "float64:1",
    ),
)  # fmt: skip
"""`lattice_kernel` on symbolic arrays."""
