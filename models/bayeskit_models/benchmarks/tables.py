"""Tables of what groups of cells say about the effect of a unit: each distinct group is evaluated once at each node.

All cells of a group (a model that met an item) share the unit's effect and their interaction with it, so that the likelihood of
the group is a function of one number y = shift + sd z + inner_sd u,

    L(y) = prod_c f_c(eta[c] + y),        I(t) = integral N(y; t, inner_sd^2) L(y) dy,      t = shift + sd z.

On an even grid in y the integral is a convolution: L is evaluated once at each point, and I at every node is a sum with
Gaussian weights that all groups share. The spacing in y is what L asks for, that of the nodes what I asks for, which may be
several times wider. Neither L nor I depends on the unit. Groups of the same columns and statistics (of one *kind*) therefore
share a table over t, and an item is what its kinds say at its nodes: `fold` finds the kinds. Groups that are not folded have
tables over the nodes of their own unit, for the convolution's sake.

Blocks of nodes are filled when a unit first needs them. Rows of the table of a kind are, for each node, the weight that all
units put on it (their posterior probabilities), the derivative of log I by the standard deviation of the interaction, log I,
its derivatives by the predictor of each cell, and those by the parameters. The gradient is then one sum over the tables.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayeskit.fused import fast_exp, fast_log, kernel
from bayeskit_models.benchmarks.nodes import EDGE, REACH, ROOT, SPACING

__all__ = ["BLOCK", "filler", "fold", "gather", "grid", "push", "rooms", "scatter"]

BLOCK = 16
"""Nodes that are filled at a time, and points of the grid in y that are evaluated at a time."""
_STRIDE = 16.0  # most points in y to a node, for tables of L to pay
_LONGEST = 512.0  # blocks of points in y that such a table may have
_LEAST = 1e-300
_FAINT = -500.0  # log likelihood below the highest; smaller numbers would make products so small that processors trip over them


def fold(
    unit_ptr: np.ndarray, unit_benchmark: np.ndarray, cell_column: np.ndarray, cell_group: np.ndarray, *statistics: np.ndarray
) -> np.ndarray:
    """Number the distinct groups of cells.

    Parameters
    ----------
    unit_ptr, unit_benchmark, cell_column, cell_group
        As in `cheapest.crossed_kernel`. Where there is no interaction, let every cell be a group: smaller groups repeat more.
    *statistics : (N,) float64
        The cells' statistics, such as successes and trials.

    Returns
    -------
    (N,) int64
        Kind of each cell's group, or no number at all where so few groups repeat that tables do not pay.
    """
    none, size = np.empty(0, np.int64), cell_column.size
    if size == 0:
        return none
    unit = np.repeat(np.arange(unit_ptr.size - 1), np.diff(unit_ptr))
    cell = np.zeros(size, np.int64)
    for row in (unit_benchmark[unit], cell_column, *statistics):
        code = np.unique(row, return_inverse=True)[1].astype(np.int64)
        cell = np.unique(cell * (code.max() + 1) + code, return_inverse=True)[1].astype(np.int64)
    first = np.flatnonzero(np.r_[True, (cell_group[1:] != cell_group[:-1]) | (unit[1:] != unit[:-1])])
    length = np.diff(np.r_[first, size])
    kind, base = np.zeros(first.size, np.int64), int(cell.max()) + 2
    for place in range(int(length.max())):
        has = length > place
        code = np.zeros(first.size, np.int64)
        code[has] = cell[first[has] + place] + 1
        kind = np.unique(kind * base + code, return_inverse=True)[1].astype(np.int64)
    _, example = np.unique(kind, return_index=True)
    return np.repeat(kind, length) if 4 * length[example].sum() <= size else none


@kernel
def grid(start, step, inner, most, fine, blocks):  # type: ignore[no-untyped-def]
    """Lay out nodes in t and points in y: (start, step, spacing in y, inner), (blocks, span, width, shared, chunks), weights.

    Node q lies at ``start + q step``; its sum takes `width` points about it, and a block of nodes spans `span` points. All
    nodes share one even grid of points, unless an interaction far smaller than the step would leave most of its points to no
    node: then every node has points of its own. Nodes lie on points, and have the same weights, unless they are the denser.
    """
    real, whole = np.array([start, step, 1.0, inner]), np.array([blocks, BLOCK, 1, 1, blocks + 1])
    if inner == 0.0:
        return real, whole, np.ones((1, 3, 1, 1))
    reach = inner * min(SPACING / np.sqrt(1.0 + 0.25 * inner * inner * most), REACH / inner) / fine
    half = min(int(np.ceil(EDGE * inner / reach)), 2000)
    real[2] = EDGE * inner / half
    stride = step / real[2]
    if stride <= _STRIDE and stride * blocks <= _LONGEST:
        whole[3] = 1
        if stride > 1.0:
            stride = np.ceil(stride)
            real[2] = step / stride
            half = int(np.ceil(EDGE * inner / real[2]))
        else:
            half += 1  # for the middle one may be half a spacing beside the node
        whole[2] = 2 * half + 1
        whole[1] = int((BLOCK - 1) * stride) + 2 + whole[2]
        whole[4] = (_point(blocks * BLOCK, stride) + whole[1]) // BLOCK + 1
    else:
        whole[1], whole[2], whole[3], whole[4] = BLOCK * (2 * half + 1), 2 * half + 1, 0, 0
    if whole[3] == 1 and stride <= 1.0:
        return real, whole, np.empty((blocks, 3, BLOCK, whole[2]))
    weights = np.empty((1, 3, 1, whole[2]))
    _weigh(weights[0], 0, 0.0, real, half)
    return real, whole, weights


@kernel
def _point(node, stride):  # type: ignore[no-untyped-def]
    """Of the grid in y, counted from the one on the first node: the point next to a node."""
    return int(node * stride + 0.5)


@kernel
def _weigh(weights, row, off, real, half):  # type: ignore[no-untyped-def]
    """Gaussian weights of the points about a node, the middle one `off` beside it; derivatives by node and by sd."""
    for d in range(weights.shape[2]):
        u = (off + (d - half) * real[2]) / real[3]
        weights[0, row, d] = fast_exp(-0.5 * u * u) * (real[2] / (real[3] * ROOT))
        weights[1, row, d] = weights[0, row, d] * u / real[3]
        weights[2, row, d] = weights[0, row, d] * (u * u - 1.0) / real[3]


@kernel
def rooms(index, kinds, whole, extras, rows, statistics):  # type: ignore[no-untyped-def]
    """Room for the tables of so many kinds, whose first cells and numbers of cells are rows 0 and 1 of `index`.

    Rows 2 and 3 take in which row their tables of L and of I begin.
    """
    points, nodes, most = 0, 0, 1
    for g in range(kinds):
        cells = index[1, g]
        index[2, g], index[3, g] = points, nodes
        points += 1 + cells + extras
        nodes += (3 + cells + extras) * whole[0]
        most = max(most, cells)
    lanes, wide, shared = 1 + most + extras, whole[1], whole[3] == 1
    return (
        np.empty((points if shared else 0, whole[4] * BLOCK)), np.empty((nodes, BLOCK)),
        np.zeros((kinds, whole[4]), np.uint8), np.zeros((kinds, whole[0]), np.uint8),
        np.empty((0 if shared else lanes, wide)), np.empty((lanes, wide)), np.full((whole[0], BLOCK), -1),
        (np.empty(BLOCK), np.empty(BLOCK), np.empty(rows * BLOCK), np.empty(statistics * BLOCK)),
    )  # fmt: skip


@kernel
def _product(weights, values):  # type: ignore[no-untyped-def]
    total = 0.0
    for d in range(weights.size):
        total += weights[d] * values[d]
    return total


@kernel
def _three_products(first, second, third, values):  # type: ignore[no-untyped-def]
    a, b, c = 0.0, 0.0, 0.0
    for d in range(values.size):
        a += first[d] * values[d]
        b += second[d] * values[d]
        c += third[d] * values[d]
    return a, b, c


@kernel
def _smooth(source, row, begin, local, cells, extras, middle, weights, nodes, at):  # type: ignore[no-untyped-def]
    """Log I and its derivatives at the nodes of a block from log L and its derivatives at the points.

    These are the rows of `source` from `row` on, and the points of the block begin at `begin`, those of a node as far from
    there as `middle` says. Nodes share a row of `weights`, or have one each. What the predictor of a single cell does is what
    the node does; predictors of several are looked at one by one.
    """
    width = weights.shape[2]
    length = middle[BLOCK - 1] - middle[0] + width
    top, likelihood, given = -1e300, local[0, :length], source[row, begin : begin + length]
    for j in range(length):
        top = max(top, given[j])
    for j in range(length):
        likelihood[j] = fast_exp(max(given[j] - top, _FAINT))
    least = 2 if cells == 1 else 1
    for r in range(least, 1 + cells + extras):
        given, times = source[row + r, begin : begin + length], local[r, :length]
        for j in range(length):
            times[j] = given[j] * likelihood[j]
    # Every view of an array is counted, in and out, which takes as long as ten numbers of a product: hence so few.
    first, second, third = weights[0, 0], weights[1, 0], weights[2, 0]
    for lane in range(BLOCK):
        if weights.shape[1] > 1:
            first, second, third = weights[0, lane], weights[1, lane], weights[2, lane]
        low = middle[lane] - middle[0]
        high = low + width
        mass, along, across = _three_products(first, second, third, likelihood[low:high])
        mass = max(mass, _LEAST)
        inverse = 1.0 / mass
        nodes[at, lane], nodes[at + 1, lane], nodes[at + 2, lane] = 0.0, inverse * across, fast_log(mass) + top
        if cells == 1:
            nodes[at + 3, lane] = inverse * along
        for r in range(least, 1 + cells + extras):
            nodes[at + 2 + r, lane] = inverse * _product(first, local[r, low:high])


def _chunk(evaluate: Any, extras: int) -> Any:
    """Make the function that evaluates the cells of a group at sixteen points."""

    @kernel
    def chunk(y, first, cells, eta, cell_column, stats, theta, out, at, begin, value, extra, tile):  # type: ignore[no-untyped-def]
        """Log L, its derivatives by the cells' predictors and by the parameters, at sixteen points.

        Into rows of `out` from `at` on, and its columns from `begin` on.
        """
        stop = begin + BLOCK
        together = out[at, begin:stop]
        together.fill(0.0)
        for e in range(extras):
            out[at + 1 + cells + e, begin:stop].fill(0.0)
        for c in range(cells):
            for s in range(len(stats)):
                tile[s * BLOCK : (s + 1) * BLOCK].fill(stats[s][first + c])
            evaluate(y, eta[cell_column[first + c]], tile, theta, value, out[at + 1 + c, begin:stop], extra)
            for i in range(BLOCK):
                together[i] += value[i]
            for e in range(extras):
                total = out[at + 1 + cells + e, begin:stop]
                for i in range(BLOCK):
                    total[i] += extra[e * BLOCK + i]

    return chunk


def filler(evaluate: Any, extras: int) -> Any:
    """Make the function that fills a block of nodes of the table of a kind."""
    chunk = _chunk(evaluate, extras)

    @kernel
    def fill(g, block, eta, cell_column, stats, theta, lay, index, tables):  # type: ignore[no-untyped-def]
        real, whole, weights = lay
        points, nodes, seen, _, apart, local, middle, work = tables
        y, value, extra, tile = work
        first, cells = index[0, g], index[1, g]
        width, shared, node = whole[2], whole[3] == 1, block * BLOCK
        into = index[3, g] + block * (3 + cells + extras)
        if width == 1:
            nodes[into].fill(0.0)
            nodes[into + 1].fill(0.0)
            for i in range(BLOCK):
                y[i] = real[0] + (node + i) * real[1]
            chunk(y, first, cells, eta, cell_column, stats, theta, nodes, into + 2, 0, value, extra, tile)
            return
        half, own = width // 2, middle[block]
        if own[0] < 0:
            for lane in range(BLOCK):
                # Noted, not computed twice: half-way between two points, the second time may choose the other one.
                own[lane] = _point(node + lane, real[1] / real[2]) if shared else lane * width
                if weights.shape[2] > 1:
                    _weigh(weights[block], lane, own[lane] * real[2] - (node + lane) * real[1], real, half)
        begin, source, row = own[0], points if shared else apart, index[2, g] if shared else 0
        for p in range(begin // BLOCK, (own[BLOCK - 1] + width - 1) // BLOCK + 1):
            if shared and seen[g, p] == 1:
                continue
            for i in range(BLOCK):
                j = p * BLOCK + i
                if shared:
                    y[i] = real[0] + (j - half) * real[2]
                else:
                    y[i] = real[0] + (node + j // width) * real[1] + (j % width - half) * real[2]
            chunk(y, first, cells, eta, cell_column, stats, theta, source, row, p * BLOCK, value, extra, tile)
            if shared:
                seen[g, p] = 1
        _smooth(source, row, begin, local, cells, extras, own, weights[min(block, len(weights) - 1)], nodes, into)

    return fill


def gather(fill: Any) -> Any:
    """Make the function that adds up what the groups of a unit say, from a guess of its mode outwards."""

    @kernel
    def window(  # type: ignore[no-untyped-def]
        own, groups, guess, first, step, fall, eta, cell_column, stats, theta, lay, index, tables, z, psi
    ):
        """Return first and last block of the unit's nodes, the highest log integrand, and whether the grid holds them all.

        `own` holds kinds of the groups, rows where their tables begin, and rows to a block. `z` and `psi` take nodes,
        ``first + q step``, and log integrands, a row for each block.
        """
        blocks, nodes, done = lay[1][0], tables[1], tables[3]
        guess = min(max(guess, 0), blocks - 1)
        top, left, right = -1e300, guess, guess
        go_left, go_right = True, True
        while (go_left and left > 0) or (go_right and right < blocks):
            to_right = go_right and right < blocks and (not go_left or left == 0 or right - guess <= guess - left)
            block = right if to_right else left - 1
            places, total = z[block], psi[block]
            for lane in range(BLOCK):
                places[lane] = first + step * (block * BLOCK + lane)
                total[lane] = -0.5 * places[lane] * places[lane]
            for a in range(groups):
                g = own[0, a]
                if done[g, block] == 0:
                    fill(g, block, eta, cell_column, stats, theta, lay, index, tables)
                    done[g, block] = 1
            add(own, groups, block, nodes, total)
            for lane in range(BLOCK):
                top = max(top, total[lane])
            if to_right:
                go_right = total[BLOCK - 1] > top - fall
                right += 1
            else:
                go_left = total[0] > top - fall
                left -= 1
        held = psi[left, 0] <= top - fall and psi[right - 1, BLOCK - 1] <= top - fall
        return left, right, top, held

    return window


@kernel
def add(own, groups, block, nodes, total):  # type: ignore[no-untyped-def]
    """Add log I of all groups of a unit at the nodes of a block."""
    for a in range(groups):
        row = own[1, a] + block * own[2, a] + 2
        for lane in range(BLOCK):
            total[lane] += nodes[row, lane]


@kernel
def scatter(own, groups, left, right, psi, nodes):  # type: ignore[no-untyped-def]
    """Add the unit's weights of its nodes to the tables of its kinds."""
    for a in range(groups):
        for block in range(left, right):
            row = own[1, a] + block * own[2, a]
            for lane in range(BLOCK):
                nodes[row, lane] += psi[block, lane]


@kernel
def push(kinds, first, step, cell_column, lay, index, tables, d_eta, d_theta):  # type: ignore[no-untyped-def]
    """Add up the gradient. Returns the derivatives by a shift of all, by sd (right for the tables of one unit), by inner_sd."""
    blocks, nodes, done = lay[1][0], tables[1], tables[3]
    inside, along, across, extras = 0.0, 0.0, 0.0, d_theta.size
    for g in range(kinds):
        cells = index[1, g]
        for block in range(blocks):
            if done[g, block] == 0:
                continue
            at = index[3, g] + block * (3 + cells + extras)
            weight = nodes[at]
            across += _product(weight, nodes[at + 1])
            for c in range(cells):
                row, total = nodes[at + 3 + c], 0.0
                for lane in range(BLOCK):
                    part = weight[lane] * row[lane]
                    total += part
                    along += part * (first + step * (block * BLOCK + lane))
                d_eta[cell_column[index[0, g] + c]] += total
                inside += total
            for e in range(extras):
                d_theta[e] += _product(weight, nodes[at + 3 + cells + e])
    return inside, along, across
