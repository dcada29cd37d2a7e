"""Integrals over one effect of every unit, for any law of a cell's scores: nodes, values, gradients and draws.

A *unit* is an item of a benchmark (or, where there are no items, a training run). All its cells share one standard normal
effect z, and given z they are independent:

    unit = log integral phi(z) prod_g [ integral phi(u) prod_{c in g} f_c(x) du ] dz,
    x = eta[c] + shift[unit] + sd z + inner_sd u.

g runs over the models that met the item; u is the interaction of model and item and left out where inner_sd is 0.

Both integrals are trapezoidal sums, which for analytic integrands converge faster than any power of the spacing. The
outer one is laid out anew for every unit and every value of the parameters: it starts at the unit's own mode, its spacing is
`SPACING` times the unit's own posterior standard deviation (and no coarser than `REACH` on the scale of x), and it goes on to
both sides until the integrand has fallen by the family's `drop`. A fixed grid cannot know how narrow the posterior of an item
is: with 330 trials an item it was locked to 61 nodes, gave a wrong scale and a perfect R-hat.

The gradient is that of the integral: how the nodes move with the parameters changes nothing but the error of the sum.

A family is four functions, made with `cell_function`, of the cells' predictor x and of their statistics (one row after another
in one array, so that loops over cells become vector instructions):

    evaluate(base, offset, stats, theta, value, slope, extra)    log f, d log f / dx and d log f / d parameters at base + offset
    curvature(base, offset, stats, theta, slope, weight)         d log f / dx and an information that is not negative
    start(base, stats, theta, sd)                                a guess of the mode z
    trials(stats, c, theta)                                      four times the largest information of cell c about x

`theta` holds the family's numbers for one benchmark; gradients are taken with respect to the first `extras` of them. `extra`
has a row for each of these, and as many more to work in as the family asks for.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bayeskit.fused import FAST, all_numbers, fast_exp, fast_log, kernel

__all__ = ["LANES", "ROOT", "cell_function", "inner_nodes", "layout", "nested_block", "plain_block", "totals"]

LANES = 8
"""Nodes that are worked on at a time."""
BLOCKS = 60
"""Most blocks of nodes of a unit."""
SPACING = 0.7
"""Of the posterior standard deviation of the unit's effect."""
REACH = 0.4
"""Largest spacing on the scale of x: logistic integrands have poles at a distance of pi from the real line."""
EDGE = 8.0
"""Inner sum: from -8 to 8 standard deviations."""
ROOT = 2.5066282746310002
"""Of 2 pi."""

cell_function: Any = numba.njit(fastmath=set(FAST), forceinline=True, error_model="numpy")
"""Prepares the functions of a family: they are copied into the loops over nodes."""


def _centre(curvature: Any, start: Any) -> Any:
    """Make the search for the mode of a unit's effect."""

    @kernel
    def slope_information(z, base, sd, inner, theta, group, stats, slope, weight):  # type: ignore[no-untyped-def]
        """Slope and information of the log integrand at one z; an interaction damps them as for a normal marginal."""
        cells = base.size
        curvature(base, sd * z, stats, theta, slope, weight)
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
    def centre(base, sd, inner, theta, group, stats, search):  # type: ignore[no-untyped-def]
        """Mode of a unit's effect and standard deviation there, by Newton steps inside a bracket."""
        if sd == 0.0:
            return 0.0, 1.0
        slopes, weights = search[0, : base.size], search[1, : base.size]
        z = min(max(start(base, stats, theta, sd), -8.0), 8.0)
        low, high = -1e3, 1e3
        information = 1.0
        for _ in range(60):
            slope, information = slope_information(z, base, sd, inner, theta, group, stats, slopes, weights)
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

    return centre


def plain_block(evaluate: Any) -> Any:
    """Make the integrand at eight nodes, without an interaction."""

    @kernel
    def block(base, sd, theta, stats, first, step, slopes, node, at, x, value, extra):  # type: ignore[no-untyped-def]
        """Integrand (log) and slopes of the cells at the nodes from `first` on, written from column `at` of `node`.

        Nodes and cells are laid out in one row, so that the loop fills vector registers however few cells there are.
        """
        cells, size = base.size // LANES, base.size
        for lane in range(LANES):
            z = first + step * lane
            node[0, at + lane] = z
            for c in range(cells):
                x[lane * cells + c] = base[lane * cells + c] + sd * z
        evaluate(x, 0.0, stats, theta, value, slopes, extra)
        for lane in range(LANES):
            z = node[0, at + lane]
            total = -0.5 * z * z
            for c in range(cells):
                total += value[lane * cells + c]
            node[1, at + lane] = total
        for e in range(node.shape[0] - 3):
            for lane in range(LANES):
                total = 0.0
                for c in range(cells):
                    total += extra[e * size + lane * cells + c]
                node[3 + e, at + lane] = total

    return block


def nested_block(evaluate: Any) -> Any:
    """Make the integrand at eight nodes, with an interaction of every group with the unit summed out."""

    @kernel
    def block(  # type: ignore[no-untyped-def]
        base, sd, inner, theta, group, stats, first, step, half, inner_step, slopes, node, at, x, inside
    ):
        """Integrand, slopes, and derivatives by the interaction's standard deviation (row 2 of `node`) and the parameters.

        The inner sum has ``2 half + 1`` nodes; `inside` is work space for values, slopes and derivatives of the cells at each
        of them, and for the groups' log integrands, then their weights.
        """
        values, parts, terms, others = inside
        size, nodes = base.size, 2 * half + 1
        cells = size // LANES
        groups = group[cells - 1] + 1
        flat = groups * LANES
        for lane in range(LANES):
            node[0, at + lane] = first + step * lane
            for c in range(cells):
                x[lane * cells + c] = base[lane * cells + c] + sd * node[0, at + lane]
        for r in range(nodes):
            u = inner_step * (r - half)
            value, term = values[r, :size], terms[r]
            evaluate(x, inner * u, stats, theta, value, parts[r, :size], others[r])
            for i in range(flat):
                term[i] = -0.5 * u * u
            for lane in range(LANES):
                for c in range(cells):
                    term[lane * groups + group[c]] += value[lane * cells + c]
        normalise(node, at, terms, nodes, groups, inner_step)
        scale = terms[nodes + 1]
        for i in range(size):
            slopes[i] = 0.0
        for r in range(nodes):
            u = inner_step * (r - half)
            term, part, other = terms[r], parts[r], others[r]
            for lane in range(LANES):
                gained = 0.0
                for c in range(cells):
                    i, j = lane * cells + c, lane * groups + group[c]
                    w = term[j] * scale[j]
                    d = w * part[i]
                    slopes[i] += d
                    gained += d
                    for e in range(node.shape[0] - 3):
                        node[3 + e, at + lane] += w * other[e * size + i]
                node[2, at + lane] += u * gained

    return block


@kernel
def normalise(node, at, terms, nodes, groups, inner_step):  # type: ignore[no-untyped-def]
    """Turn the groups' log integrands at the inner nodes into weights, whose inverse sums are the last row."""
    flat = groups * LANES
    top, total = terms[nodes], terms[nodes + 1]
    for i in range(flat):
        top[i], total[i] = terms[0, i], 0.0
    for r in range(nodes):
        term = terms[r]
        for i in range(flat):
            top[i] = max(top[i], term[i])
    for r in range(nodes):
        term = terms[r]
        for i in range(flat):
            term[i] = fast_exp(term[i] - top[i])
            total[i] += term[i]
    constant = fast_log(inner_step / ROOT)
    for lane in range(LANES):
        z = node[0, at + lane]
        log_integrand = -0.5 * z * z
        for g in range(groups):
            i = lane * groups + g
            log_integrand += top[i] + fast_log(total[i]) + constant
            total[i] = 1.0 / total[i]
        node[1, at + lane] = log_integrand
        for e in range(2, node.shape[0]):
            node[e, at + lane] = 0.0


@kernel
def inner_nodes(inner, most, fine):  # type: ignore[no-untyped-def]
    """Half the number of inner nodes and their spacing, for groups of at most `most` trials."""
    if inner == 0.0:
        return 0, 1.0
    step = min(SPACING / np.sqrt(1.0 + 0.25 * inner * inner * most), REACH / inner) / fine
    half = min(int(np.ceil(EDGE / step)), 2000)
    return half, EDGE / half


def _space(trials: Any, extras: int, rows: int) -> Any:
    """Make the allocation of the work space of a unit."""

    @kernel
    def space(unit_ptr, unit_benchmark, cell_group, stats, inner_sd, theta, fine):  # type: ignore[no-untyped-def]
        """Rows for tiled data, nodes, slopes of the cells, the search, and the inner sum; and most trials of a group."""
        cells, most, widest = 1, 1.0, 0.0
        for b in range(inner_sd.size):
            widest = max(widest, inner_sd[b])
        for i in range(unit_ptr.size - 1):
            cells = max(cells, unit_ptr[i + 1] - unit_ptr[i])
            if widest > 0.0:
                sum_trials, own = 0.0, theta[unit_benchmark[i]]
                for c in range(unit_ptr[i], unit_ptr[i + 1]):
                    if c > unit_ptr[i] and cell_group[c] != cell_group[c - 1]:
                        sum_trials = 0.0
                    sum_trials += trials(stats, c, own)
                    most = max(most, sum_trials)
        half, _ = inner_nodes(widest, most, fine)
        nodes, wide, size = 2 * half + 1, cells * LANES, LANES * BLOCKS
        tiled, node = np.empty((3, wide)), np.zeros((3 + extras, size))
        packed, extra = np.empty(len(stats) * wide), np.empty(rows * wide)
        slopes, search = np.empty((BLOCKS, wide)), np.empty((2, cells))
        inside = np.empty((nodes, wide)), np.empty((nodes, wide)), np.empty((nodes + 2, wide)), np.empty((nodes, rows * wide))
        return (tiled, packed, node, slopes, search, extra, inside, np.zeros(cells, np.int64)), most

    return space


def layout(evaluate: Any, curvature: Any, start: Any, drop: Any) -> Any:
    """Make the function that lays out the nodes of one unit and evaluates the integrand there."""
    centre, plain, nested = _centre(curvature, start), plain_block(evaluate), nested_block(evaluate)

    @kernel
    def lay_out(  # type: ignore[no-untyped-def]
        eta, shift, sd, inner, theta, fine, most, begin, stop, cell_column, cell_group, stats, space
    ):
        """Return how many nodes there are, their spacing and the highest log integrand.

        Nodes, log integrands and derivatives are then the rows of ``space[2]``, slopes of the cells the rows of ``space[3]``,
        eight nodes in each.
        """
        tiled, packed, node, slopes, search, extra, inside, group = space
        cells = stop - begin
        size = cells * LANES
        base, x, value = tiled[0, :size], tiled[1, :size], tiled[2, :size]
        place = 0
        for c in range(cells):
            if c > 0 and cell_group[begin + c] != cell_group[begin + c - 1]:
                place += 1
            group[c] = place
            base[c] = shift + eta[cell_column[begin + c]]
            for s in range(len(stats)):
                packed[s * cells + c] = stats[s][begin + c]
        own = group[:cells]
        spot, spread = centre(base[:cells], sd, inner, theta, own, packed[: len(stats) * cells], search)
        for s in range(len(stats)):
            for lane in range(LANES):
                for c in range(cells):
                    packed[s * size + lane * cells + c] = stats[s][begin + c]
        for lane in range(1, LANES):
            for c in range(cells):
                base[lane * cells + c] = base[c]
        tiles = packed[: len(stats) * size]
        half, inner_step = inner_nodes(inner, most, fine)
        step = min(SPACING * spread, REACH / max(sd, 1e-12)) / fine
        top, blocks, right, left, fall = -1e300, 0, 0, -1, drop(theta)
        go_right, go_left = True, True
        while (go_right or go_left) and blocks < BLOCKS:
            to_right = go_right and (not go_left or right <= -left - 1)
            first = spot + step * ((right if to_right else left) * LANES + 0.5)
            at, slope = blocks * LANES, slopes[blocks, :size]
            if inner > 0.0:
                nested(base, sd, inner, theta, own, tiles, first, step, half, inner_step, slope, node, at, x, inside)
            else:
                plain(base, sd, theta, tiles, first, step, slope, node, at, x, value, extra)
            for lane in range(LANES):
                top = max(top, node[1, at + lane])
            if to_right:
                go_right = node[1, at + LANES - 1] > top - fall
                right += 1
            else:
                go_left = node[1, at] > top - fall
                left -= 1
            blocks += 1
        return blocks * LANES, step, top

    return lay_out


@kernel
def average(node, slopes, count, top, mean, others):  # type: ignore[no-untyped-def]
    """Sum of the integrand over its top, and posterior means of derivatives.

    By the predictor of each cell (into `mean`), of all, by both standard deviations, and by the parameters (into `others`).
    """
    total = 0.0
    for q in range(count):
        node[1, q] = fast_exp(node[1, q] - top)
        total += node[1, q]
    inside, along, across = 0.0, 0.0, 0.0
    mean.fill(0.0)
    others.fill(0.0)
    for q in range(count):
        w = node[1, q] / total
        lane = (q % LANES) * mean.size
        row = slopes[q // LANES, lane : lane + mean.size]
        here = 0.0
        for c in range(mean.size):
            mean[c] += w * row[c]
            here += row[c]
        inside += w * here
        along += w * here * node[0, q]
        across += w * node[2, q]
        for e in range(others.size):
            others[e] += w * node[3 + e, q]
    return total, inside, along, across


@kernel
def draw(node, count, step, total, member_unit, uniform, unit, member, out):  # type: ignore[no-untyped-def]
    """Draw z of all members of a unit from its weighted nodes; between nodes the distribution function is linear.

    Members are in order of their units. `member` is the first that is not before this unit; returns the first behind it.
    """
    while member < member_unit.size and member_unit[member] < unit:
        member += 1
    if member == member_unit.size or member_unit[member] != unit:
        return member
    order = np.argsort(node[0, :count])
    while member < member_unit.size and member_unit[member] == unit:
        goal, reached = uniform[member] * total, 0.0
        for a in range(count):
            mass = node[1, order[a]]
            if reached + mass >= goal or a == count - 1:
                out[member] = node[0, order[a]] + step * ((goal - reached) / mass - 0.5)
                break
            reached += mass
        member += 1
    return member


def totals(lay_out: Any, trials: Any, extras: int, rows: int) -> Any:
    """Make the log likelihood of all units, with its gradients, that of each unit, and draws of their members' effects."""
    space = _space(trials, extras, rows)

    @kernel
    def total(  # type: ignore[no-untyped-def]
        eta, shift, sd, inner_sd, theta, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, stats, fine,
        member_unit, uniform,
    ):  # fmt: skip
        """Value, gradients by the first five arguments (of `theta`, the first parameters), value of one of each unit, draws."""
        d_eta, d_shift = np.zeros(eta.size), np.zeros(shift.size)
        d_sd, d_inner, d_theta = np.zeros(sd.size), np.zeros(inner_sd.size), np.zeros((sd.size, extras))
        each, drawn = np.zeros(unit_benchmark.size), np.full(member_unit.size, np.nan)
        known = all_numbers(eta) and all_numbers(shift) and all_numbers(sd) and all_numbers(inner_sd) and all_numbers(theta)
        if not known:
            for gradient in (d_eta, d_shift, d_sd, d_inner, each):
                gradient.fill(np.nan)
            d_theta.fill(np.nan)
            return np.nan, d_eta, d_shift, d_sd, d_inner, d_theta, each, drawn
        room, most = space(unit_ptr, unit_benchmark, cell_group, stats, inner_sd, theta, fine)
        node, slopes = room[2], room[3]
        gathered, others = np.empty(room[7].size), np.empty(extras)
        value, member = 0.0, 0
        for i in range(unit_benchmark.size):
            weight = unit_weight[i]
            if weight == 0.0:
                continue
            b, begin, stop = unit_benchmark[i], unit_ptr[i], unit_ptr[i + 1]
            count, step, top = lay_out(
                eta, shift[i], sd[b], inner_sd[b], theta[b], fine, most, begin, stop, cell_column, cell_group, stats, room
            )
            mean = gathered[: stop - begin]
            mass, inside, along, across = average(node, slopes, count, top, mean, others)
            each[i] = top + fast_log(mass * step / ROOT)
            value += weight * each[i]
            for c in range(mean.size):
                d_eta[cell_column[begin + c]] += weight * mean[c]
            d_shift[i] = weight * inside
            d_sd[b] += weight * along
            if inner_sd[b] > 0.0:
                d_inner[b] += weight * across
            for e in range(extras):
                d_theta[b, e] += weight * others[e]
            member = draw(node, count, step, mass, member_unit, uniform, i, member, drawn)
        return value, d_eta, d_shift, d_sd, d_inner, d_theta, each, drawn

    return total
