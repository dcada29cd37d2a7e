"""The likelihood of counts with one effect summed out of every unit: value and gradients in one pass.

A *unit* is an item of a benchmark (or, where there are no items, a training run). All its cells share one standard normal
effect z, and given z they are independent:

    unit = log integral phi(z) prod_g [ integral phi(u) prod_{c in g} p(x)^k (1 - p(x))^(n - k) du ] dz,
    x = eta[c] + shift[unit] + sd z + inner_sd u,      p(x) = chance + (1 - chance) / (1 + exp(-x)).

g runs over the models that met the item; u is the interaction of model and item and left out where inner_sd is 0. There are no
binomial coefficients: the data are sequences of trials.

Both integrals are trapezoidal sums, which for analytic integrands converge faster than any power of the spacing. The
outer one is laid out anew for every unit and every value of the parameters: it starts at the unit's own mode, its spacing is
`_SPACING` times the unit's own posterior standard deviation (and no coarser than `_REACH` logits), and it goes on to both sides
until the integrand has fallen by `_DROP` nats. A fixed grid cannot know how narrow the posterior of an item is: with 330
trials an item it was locked to 61 nodes, gave a wrong scale and a perfect R-hat.

The gradient is that of the integral: how the nodes move with the parameters changes nothing but the error of the sum.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bayeskit.fused import all_numbers, fast_exp, fast_log, fused, kernel

__all__ = ["crossed_kernel", "draw_units", "log_likelihood", "unit_log_likelihood"]

_LANES = 8  # nodes that are worked on at a time
_BLOCKS = 60  # most blocks of nodes of a unit
_SPACING = 0.7  # of the posterior standard deviation of the unit's effect
_REACH = 0.4  # largest spacing on the logit scale: the integrand has poles at a distance of pi from the real line
_DROP = 24.0  # nats by which the integrand has fallen where the sum ends
_DROP_CHANCE = 45.0  # the same where a chance level can make a second, lower mode
_EDGE = 8.0  # inner sum: from -8 to 8 standard deviations
_ROOT = 2.5066282746310002  # of 2 pi

_inline: Any = numba.njit(fastmath={"contract", "nsz", "arcp"}, forceinline=True, error_model="numpy")


@_inline
def _sigmoid(x):  # type: ignore[no-untyped-def]
    z = fast_exp(-abs(x))
    w = 1.0 / (1.0 + z)
    return w if x > 0.0 else z * w


@_inline
def _counts(x, k, n, chance):  # type: ignore[no-untyped-def]
    """Log likelihood of k successes in n trials, and its derivative."""
    z = fast_exp(-abs(x))
    w = 1.0 / (1.0 + z)
    p = w if x > 0.0 else z * w
    miss = fast_log(w) - max(x, 0.0)  # log(1 - sigmoid)
    if chance == 0.0:
        return k * x + n * miss, k - n * p
    hit = chance + (1.0 - chance) * p
    value = k * fast_log(hit) + (n - k) * (miss + fast_log(1.0 - chance))
    return value, k * (1.0 - chance) * p * (1.0 - p) / hit - (n - k) * p


@kernel
def _slope_information(z, base, sd, inner, chance, group, k, n, work):  # type: ignore[no-untyped-def]
    """Slope and information of the log integrand at one z; an interaction damps them as for a normal marginal."""
    cells = base.size
    slope, weight = work[0, :cells], work[1, :cells]
    for c in range(cells):
        p = _sigmoid(base[c] + sd * z)
        hit = chance + (1.0 - chance) * p
        ratio = (1.0 - chance) * (1.0 - p) / hit * p if chance > 0.0 else 1.0 - p
        slope[c] = k[c] * ratio - (n[c] - k[c]) * p
        weight[c] = n[c] * p * (1.0 - p)
    total, information = 0.0, 0.0
    if inner == 0.0:
        for c in range(cells):
            total += slope[c]
            information += weight[c]
        return sd * total - z, 1.0 + sd * sd * information
    c = 0
    while c < cells:
        g, d, w = group[c], 0.0, 0.0
        while c < cells and group[c] == g:
            d += slope[c]
            w += weight[c]
            c += 1
        damp = 1.0 / (1.0 + inner * inner * w)
        total += damp * d
        information += damp * w
    return sd * total - z, 1.0 + sd * sd * information


@kernel
def _centre(base, sd, inner, chance, group, k, n, work):  # type: ignore[no-untyped-def]
    """Mode of a unit's effect and standard deviation there, by Newton steps inside a bracket."""
    total, hits, middle = 0.0, 0.0, 0.0
    for c in range(base.size):
        total += n[c]
        hits += k[c]
        middle += n[c] * base[c]
    if total == 0.0 or sd == 0.0:
        return 0.0, 1.0
    share = max(hits / total - chance, 0.0) / (1.0 - chance)
    share = (share * total + 0.5) / (total + 1.0)
    weight = sd * sd * total * share * (1.0 - share)
    z = (fast_log(share / (1.0 - share)) - middle / total) / sd * weight / (1.0 + weight)
    z = min(max(z, -8.0), 8.0)
    low, high = -1e3, 1e3
    information = 1.0
    for _ in range(60):
        slope, information = _slope_information(z, base, sd, inner, chance, group, k, n, work)
        if slope > 0.0:
            low = z
        else:
            high = z
        step = slope / information
        if step * step * information < 0.02:
            break
        new = z + min(max(step, -2.0), 2.0)
        z = new if low < new < high else 0.5 * (low + high)
    return z, 1.0 / np.sqrt(information)


@kernel
def _plain_block(base, sd, chance, k, n, first, step, slopes, psi, z, x, value):  # type: ignore[no-untyped-def]
    """Integrand (log) and slopes of the cells at eight nodes from `first` on, without an interaction.

    Nodes and cells are laid out in one row, so that the loop fills vector registers however few cells there are.
    """
    cells = base.size // _LANES
    size = base.size
    for lane in range(_LANES):
        z[lane] = first + step * lane
        for c in range(cells):
            x[lane * cells + c] = base[c] + sd * z[lane]
    if chance == 0.0:
        for i in range(size):
            value[i], slopes[i] = _counts(x[i], k[i], n[i], 0.0)
    else:
        for i in range(size):
            value[i], slopes[i] = _counts(x[i], k[i], n[i], chance)
    for lane in range(_LANES):
        total = -0.5 * z[lane] * z[lane]
        for c in range(cells):
            total += value[lane * cells + c]
        psi[lane] = total


@kernel
def _nested_block(  # type: ignore[no-untyped-def]
    base, sd, inner, chance, group, k, n, first, step, half, inner_step, slopes, psi, z, pull, x, values, parts, terms
):
    """The same with an interaction of every group with the unit, summed out over ``2 half + 1`` nodes.

    `pull` is the derivative with respect to the standard deviation of the interaction; `values` and `parts` hold value and
    slope at every inner node, `terms` the groups' log integrands, then their weights.
    """
    cells, nodes = base.size // _LANES, 2 * half + 1
    groups = group[cells - 1] + 1
    flat = groups * _LANES
    for lane in range(_LANES):
        z[lane] = first + step * lane
        for c in range(cells):
            x[lane * cells + c] = base[c] + sd * z[lane]
    for r in range(nodes):
        u = inner_step * (r - half)
        value, part, term = values[r], parts[r], terms[r]
        for i in range(base.size):
            value[i], part[i] = _counts(x[i] + inner * u, k[i], n[i], chance)
        for i in range(flat):
            term[i] = -0.5 * u * u
        for lane in range(_LANES):
            for c in range(cells):
                term[lane * groups + group[c]] += value[lane * cells + c]
    top, total, moved = terms[nodes], terms[nodes + 1], terms[nodes + 2]
    for i in range(flat):
        top[i], total[i], moved[i] = terms[0, i], 0.0, 0.0
    for r in range(nodes):
        term = terms[r]
        for i in range(flat):
            top[i] = max(top[i], term[i])
    for r in range(nodes):
        term = terms[r]
        for i in range(flat):
            term[i] = fast_exp(term[i] - top[i])
            total[i] += term[i]
    constant = fast_log(inner_step / _ROOT)
    for lane in range(_LANES):
        psi[lane], pull[lane] = -0.5 * z[lane] * z[lane], 0.0
        for g in range(groups):
            i = lane * groups + g
            psi[lane] += top[i] + fast_log(total[i]) + constant
            total[i] = 1.0 / total[i]
    for i in range(base.size):
        slopes[i] = 0.0
    for r in range(nodes):
        u = inner_step * (r - half)
        term, part = terms[r], parts[r]
        for lane in range(_LANES):
            gained = 0.0
            for c in range(cells):
                i, j = lane * cells + c, lane * groups + group[c]
                d = term[j] * total[j] * part[i]
                slopes[i] += d
                gained += d
            pull[lane] += u * gained


@kernel
def _inner_nodes(inner, most, fine):  # type: ignore[no-untyped-def]
    """Half the number of inner nodes and their spacing, for groups of at most `most` trials."""
    if inner == 0.0:
        return 0, 1.0
    step = min(_SPACING / np.sqrt(1.0 + 0.25 * inner * inner * most), _REACH / inner) / fine
    half = min(int(np.ceil(_EDGE / step)), 2000)
    return half, _EDGE / half


@kernel
def _sizes(unit_ptr, cell_group, n):  # type: ignore[no-untyped-def]
    """Most cells of a unit, and most trials of a group."""
    cells, most = 1, 1.0
    for i in range(unit_ptr.size - 1):
        cells = max(cells, unit_ptr[i + 1] - unit_ptr[i])
        trials = 0.0
        for c in range(unit_ptr[i], unit_ptr[i + 1]):
            trials = n[c] if c == unit_ptr[i] or cell_group[c] != cell_group[c - 1] else trials + n[c]
            most = max(most, trials)
    return cells, most


@kernel
def _space(cells, most, inner_sd, fine):  # type: ignore[no-untyped-def]
    """Work space of a unit: rows for tiled data, the nodes, the slopes of the cells, and the inner sum."""
    widest = 0.0
    for b in range(inner_sd.size):
        widest = max(widest, inner_sd[b])
    half, _ = _inner_nodes(widest, most, fine)
    nodes, wide = 2 * half + 1, cells * _LANES
    size = _LANES * _BLOCKS
    tiled, node = np.empty((5, wide)), np.zeros((3, size))
    slopes, search = np.empty((_BLOCKS, wide)), np.empty((2, cells))
    values, parts, terms = np.empty((nodes, wide)), np.empty((nodes, wide)), np.empty((nodes + 3, wide))
    group = np.zeros(cells, np.int64)
    return tiled, node, slopes, search, values, parts, terms, group


@kernel
def _layout(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner, chance, fine, most, start, stop, cell_column, cell_group, k, n, space
):
    """Lay out the nodes of one unit and evaluate the integrand there.

    Returns how many nodes there are, their spacing and the highest log integrand. Nodes, log integrands and pulls are then the
    rows of ``space[1]``, slopes of the cells the rows of ``space[2]``, eight nodes in each.
    """
    tiled, node, slopes, search, values, parts, terms, group = space
    cells = stop - start
    size = cells * _LANES
    base, hits, trials, x, value = tiled[0, :size], tiled[1, :size], tiled[2, :size], tiled[3, :size], tiled[4, :size]
    place = 0
    for c in range(cells):
        if c > 0 and cell_group[start + c] != cell_group[start + c - 1]:
            place += 1
        group[c] = place
        for lane in range(_LANES):
            i = lane * cells + c
            base[i], hits[i], trials[i] = shift + eta[cell_column[start + c]], k[start + c], n[start + c]
    own = group[:cells]
    centre, spread = _centre(base[:cells], sd, inner, chance, own, hits, trials, search)
    half, inner_step = _inner_nodes(inner, most, fine)
    step = min(_SPACING * spread, _REACH / max(sd, 1e-12)) / fine
    drop = _DROP if chance == 0.0 else _DROP_CHANCE
    top, blocks, right, left = -1e300, 0, 0, -1
    go_right, go_left = True, True
    while (go_right or go_left) and blocks < _BLOCKS:
        to_right = go_right and (not go_left or right <= -left - 1)
        block = right if to_right else left
        first = centre + step * (block * _LANES + 0.5)
        here, there = blocks * _LANES, (blocks + 1) * _LANES
        z, psi, pull, slope = node[0, here:there], node[1, here:there], node[2, here:there], slopes[blocks, :size]
        if inner > 0.0:
            _nested_block(
                base, sd, inner, chance, own, hits, trials, first, step, half, inner_step, slope, psi, z, pull, x, values,
                parts, terms,
            )  # fmt: skip
        else:
            _plain_block(base, sd, chance, hits, trials, first, step, slope, psi, z, x, value)
        for lane in range(_LANES):
            top = max(top, psi[lane])
        if to_right:
            go_right = psi[_LANES - 1] > top - drop
            right += 1
        else:
            go_left = psi[0] > top - drop
            left -= 1
        blocks += 1
    return blocks * _LANES, step, top


@kernel
def _average(node, slopes, count, top, mean):  # type: ignore[no-untyped-def]
    """Sum of the integrand over its top, and posterior means of slopes: of the cells (into `mean`), of all, of both sds."""
    z, psi, pull = node[0], node[1], node[2]
    total = 0.0
    for q in range(count):
        psi[q] = fast_exp(psi[q] - top)
        total += psi[q]
    inside, along, across = 0.0, 0.0, 0.0
    mean.fill(0.0)
    for q in range(count):
        w = psi[q] / total
        lane = (q % _LANES) * mean.size
        row = slopes[q // _LANES, lane : lane + mean.size]
        here = 0.0
        for c in range(mean.size):
            mean[c] += w * row[c]
            here += row[c]
        inside += w * here
        along += w * here * z[q]
        across += w * pull[q]
    return total, inside, along, across


@kernel
def crossed_kernel(
    eta: np.ndarray,
    shift: np.ndarray,
    sd: np.ndarray,
    inner_sd: np.ndarray,
    chance: np.ndarray,
    unit_ptr: np.ndarray,
    unit_benchmark: np.ndarray,
    unit_weight: np.ndarray,
    cell_column: np.ndarray,
    cell_group: np.ndarray,
    k: np.ndarray,
    n: np.ndarray,
    fine: np.ndarray,
) -> Any:
    """Log likelihood of all units and its gradients with respect to the first four arguments.

    Parameters
    ----------
    eta : (C,) float64
        Linear predictor of every column (model x run x template of a benchmark), on the logit scale.
    shift : (U,) float64
        What is added to all cells of a unit (the effect of its cluster).
    sd, inner_sd : (B,) float64
        Standard deviations of the units' effects and of the interaction, by benchmark; all inner ones 0 for none.
    chance : (B,) float64
        Probability of a success by guessing.
    unit_ptr : (U + 1,) int64
        Cells of unit i are those from ``unit_ptr[i]`` to ``unit_ptr[i + 1]``.
    unit_benchmark : (U,) int64
        Benchmark of each unit.
    unit_weight : (U,) float64
        How many units look like this one.
    cell_column, cell_group : (N,) int64
        Column of each cell; cells of one unit with equal group lie together and share the interaction.
    k, n : (N,) float64
        Successes and trials.
    fine : (1,) float64
        1, or 2 for half the spacing in both sums.

    Returns
    -------
    value : float
        Natural log, NaN (as the gradients) where an input is NaN or +inf.
    d_eta, d_shift, d_sd, d_inner_sd : ndarray
        Gradients, shaped as the inputs.
    """
    d_eta, d_shift = np.zeros(eta.size), np.zeros(shift.size)
    d_sd, d_inner = np.zeros(sd.size), np.zeros(inner_sd.size)
    if not (all_numbers(eta) and all_numbers(shift) and all_numbers(sd) and all_numbers(inner_sd)):
        d_eta.fill(np.nan)
        d_shift.fill(np.nan)
        d_sd.fill(np.nan)
        d_inner.fill(np.nan)
        return np.nan, d_eta, d_shift, d_sd, d_inner
    cells, most = _sizes(unit_ptr, cell_group, n)
    space = _space(cells, most, inner_sd, fine[0])
    node, slopes = space[1], space[2]
    gathered = np.empty(cells)
    value = 0.0
    for i in range(unit_benchmark.size):
        if unit_weight[i] == 0.0:
            continue
        b, start, stop = unit_benchmark[i], unit_ptr[i], unit_ptr[i + 1]
        count, step, top = _layout(
            eta, shift[i], sd[b], inner_sd[b], chance[b], fine[0], most, start, stop, cell_column, cell_group, k, n, space
        )
        mean = gathered[: stop - start]
        total, inside, along, across = _average(node, slopes, count, top, mean)
        value += unit_weight[i] * (top + fast_log(total * step / _ROOT))
        for c in range(mean.size):
            d_eta[cell_column[start + c]] += unit_weight[i] * mean[c]
        d_shift[i] = unit_weight[i] * inside
        d_sd[b] += unit_weight[i] * along
        if inner_sd[b] > 0.0:
            d_inner[b] += unit_weight[i] * across
    return value, d_eta, d_shift, d_sd, d_inner


log_likelihood = fused(
    crossed_kernel,
    wrt=(1, 1, 1, 1),
    data=(
        "float64:1", "int64:1", "int64:1", "float64:1", "int64:1", "int64:1", "float64:1", "float64:1", "float64:1",
    ),
)  # fmt: skip
"""`crossed_kernel` on symbolic arrays."""


@kernel
def unit_log_likelihood(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, cell_column, cell_group, k, n, fine
):
    """Log likelihood of ONE of each unit (U,), without gradients; arguments as in `crossed_kernel`."""
    cells, most = _sizes(unit_ptr, cell_group, n)
    space = _space(cells, most, inner_sd, fine[0])
    psi = space[1][1]
    out = np.empty(unit_benchmark.size)
    for i in range(unit_benchmark.size):
        b = unit_benchmark[i]
        count, step, top = _layout(
            eta, shift[i], sd[b], inner_sd[b], chance[b], fine[0], most, unit_ptr[i], unit_ptr[i + 1], cell_column, cell_group,
            k, n, space,
        )  # fmt: skip
        total = 0.0
        for q in range(count):
            total += fast_exp(psi[q] - top)
        out[i] = top + fast_log(total * step / _ROOT)
    return out


@kernel
def draw_units(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, cell_column, cell_group, k, n, member_unit, uniform
):
    """Draw the effect z of every member of every unit from its posterior given the other parameters.

    `member_unit` says of each member (an item) which unit it is like, in order of the units; `uniform` holds one random number
    from 0 to 1 for each. Between nodes the distribution function is linear. Other arguments as in `crossed_kernel`.
    """
    fine = 2.0
    cells, most = _sizes(unit_ptr, cell_group, n)
    space = _space(cells, most, inner_sd, fine)
    z, psi = space[1][0], space[1][1]
    out = np.empty(member_unit.size)
    at = 0
    for i in range(unit_benchmark.size):
        if at >= member_unit.size or member_unit[at] != i:
            continue
        b = unit_benchmark[i]
        count, step, top = _layout(
            eta, shift[i], sd[b], inner_sd[b], chance[b], fine, most, unit_ptr[i], unit_ptr[i + 1], cell_column, cell_group, k,
            n, space,
        )  # fmt: skip
        order = np.argsort(z[:count])
        total = 0.0
        for q in range(count):
            psi[q] = fast_exp(psi[q] - top)
            total += psi[q]
        while at < member_unit.size and member_unit[at] == i:
            goal, reached = uniform[at] * total, 0.0
            for a in range(count):
                mass = psi[order[a]]
                if reached + mass >= goal or a == count - 1:
                    out[at] = z[order[a]] + step * ((goal - reached) / mass - 0.5)
                    break
                reached += mass
            at += 1
    return out
