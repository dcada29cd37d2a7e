"""Integrals over one effect of every unit, for any law of a cell's scores: nodes, integrands and draws.

A *unit* is an item of a benchmark (or, where there are no items, a training run). All its cells share one standard normal
effect z, and given z they are independent:

    unit = log integral phi(z) prod_g [ integral phi(u) prod_{c in g} f_c(x) du ] dz,
    x = eta[c] + shift[unit] + sd z + inner_sd u.

g runs over the models that met the item; u is the interaction of model and item and left out where inner_sd is 0.

Both integrals are trapezoidal sums, which for analytic integrands converge faster than any power of the spacing. The
outer one is laid out anew for every unit and every value of the parameters: it starts at the unit's own mode, its spacing is
`SPACING` times the unit's own posterior standard deviation (and no coarser than `REACH` on the scale of x), and it goes on to
both sides until the integrand has fallen by the family's `drop`. A fixed grid cannot know how narrow the posterior of an item
is: with 330 trials an item it was locked to 61 nodes, gave a wrong scale and a perfect R-hat. This module holds that sum for
units without an interaction; `tables` sums interactions out and shares nodes between units, `totals` puts both together.

The gradient is that of the integral: how the nodes move with the parameters changes nothing but the error of the sum.

A family is five functions, made with `cell_function`, of the cells' predictor x and of their statistics (one row after another
in one array, so that loops over cells become vector instructions):

    evaluate(base, offset, stats, theta, value, slope, extra)    log f, d log f / dx and d log f / d parameters at base + offset
    curvature(base, offset, stats, theta, slope, weight)         d log f / dx and an information that is not negative
    start(base, stats, theta, sd)                                a guess of the mode z
    trials(stats, c, theta)                                      four times the largest information of cell c about x
    drop(theta)                                                  by how many nats the integrand has fallen where the sum ends

`theta` holds the family's numbers for one benchmark; gradients are taken with respect to the first `extras` of them. `extra`
has a row for each of these, and as many more to work in as the family asks for.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bayeskit.fused import FAST, fast_exp, kernel

__all__ = [
    "BLOCKS",
    "EDGE",
    "LANES",
    "REACH",
    "ROOT",
    "SPACING",
    "average",
    "cell_function",
    "centre",
    "draw",
    "layout",
    "load",
    "space",
]

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


def centre(curvature: Any, start: Any) -> Any:
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
    def find(base, sd, inner, theta, group, stats, search):  # type: ignore[no-untyped-def]
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

    return find


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
        for e in range(node.shape[0] - 2):
            for lane in range(LANES):
                total = 0.0
                for c in range(cells):
                    total += extra[e * size + lane * cells + c]
                node[2 + e, at + lane] = total

    return block


@kernel
def space(unit_ptr, stats, extras, rows):  # type: ignore[no-untyped-def]
    """Work space of a unit: rows for tiled data, nodes, slopes of the cells, the search, and groups."""
    cells = 1
    for i in range(unit_ptr.size - 1):
        cells = max(cells, unit_ptr[i + 1] - unit_ptr[i])
    wide, size = cells * LANES, LANES * BLOCKS
    tiled, node = np.empty((3, wide)), np.zeros((2 + extras, size))
    packed, extra = np.empty(len(stats) * wide), np.empty(rows * wide)
    slopes, search = np.empty((BLOCKS, wide)), np.empty((2, cells))
    return tiled, packed, node, slopes, search, extra, np.zeros(cells, np.int64), np.empty((3, cells), np.int64)


@kernel
def load(eta, shift, begin, stop, cell_column, cell_group, stats, room):  # type: ignore[no-untyped-def]
    """Predictors, groups (numbered from 0) and statistics of the cells of one unit into the work space, once."""
    tiled, packed, group = room[0], room[1], room[6]
    cells, place = stop - begin, 0
    for c in range(cells):
        if c > 0 and cell_group[begin + c] != cell_group[begin + c - 1]:
            place += 1
        group[c] = place
        tiled[0, c] = shift + eta[cell_column[begin + c]]
        for s in range(len(stats)):
            packed[s * cells + c] = stats[s][begin + c]


def layout(evaluate: Any, curvature: Any, start: Any, drop: Any) -> Any:
    """Make the function that lays out the nodes of one unit without an interaction and evaluates the integrand there."""
    find, plain = centre(curvature, start), plain_block(evaluate)

    @kernel
    def lay_out(  # type: ignore[no-untyped-def]
        eta, shift, sd, theta, fine, begin, stop, cell_column, cell_group, stats, room
    ):
        """Return how many nodes there are, their spacing and the highest log integrand.

        Nodes, log integrands and derivatives by parameters are then the rows of ``room[2]``, slopes of the cells the rows of
        ``room[3]``, eight nodes in each.
        """
        tiled, packed, node, slopes, search, extra, group, _ = room
        load(eta, shift, begin, stop, cell_column, cell_group, stats, room)
        cells = stop - begin
        size = cells * LANES
        base, x, value = tiled[0, :size], tiled[1, :size], tiled[2, :size]
        spot, spread = find(base[:cells], sd, 0.0, theta, group[:cells], packed[: len(stats) * cells], search)
        for s in range(len(stats)):
            for lane in range(LANES):
                for c in range(cells):
                    packed[s * size + lane * cells + c] = stats[s][begin + c]
        for lane in range(1, LANES):
            for c in range(cells):
                base[lane * cells + c] = base[c]
        tiles = packed[: len(stats) * size]
        step = min(SPACING * spread, REACH / max(sd, 1e-12)) / fine
        top, blocks, right, left, fall = -1e300, 0, 0, -1, drop(theta)
        go_right, go_left = True, True
        while (go_right or go_left) and blocks < BLOCKS:
            to_right = go_right and (not go_left or right <= -left - 1)
            first = spot + step * ((right if to_right else left) * LANES + 0.5)
            at = blocks * LANES
            plain(base, sd, theta, tiles, first, step, slopes[blocks, :size], node, at, x, value, extra)
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

    By the predictor of each cell (into `mean`), of all, by the standard deviation, and by the parameters (into `others`).
    """
    total = 0.0
    for q in range(count):
        node[1, q] = fast_exp(node[1, q] - top)
        total += node[1, q]
    inside, along = 0.0, 0.0
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
        for e in range(others.size):
            others[e] += w * node[2 + e, q]
    return total, inside, along


@kernel
def draw(z, mass, step, total, member_unit, uniform, unit, out):  # type: ignore[no-untyped-def]
    """Draw z of all members of a unit from its weighted nodes; between nodes the distribution function is linear.

    Members are in order of their units.
    """
    if member_unit.size == 0:
        return
    member = np.searchsorted(member_unit, unit)
    if member == member_unit.size or member_unit[member] != unit:
        return
    order = np.argsort(z)
    while member < member_unit.size and member_unit[member] == unit:
        goal, reached = uniform[member] * total, 0.0
        for a in range(z.size):
            own = mass[order[a]]
            if reached + own >= goal or a == z.size - 1:
                out[member] = z[order[a]] + step * ((goal - reached) / own - 0.5)
                break
            reached += own
        member += 1
