"""The log likelihood of all units, its gradients, and draws of the units' effects, for any law of a cell.

Three ways to the same numbers. Units whose groups of cells repeat are looked up in tables that they share (`tables`); of the
others, those without an interaction have nodes of their own at which their cells are evaluated (`nodes`), those with one have
tables of their own. A unit that does not fit the shared grid goes its own way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayeskit.fused import all_numbers, fast_exp, fast_log, kernel
from bayeskit_models.benchmarks import tables
from bayeskit_models.benchmarks.nodes import (
    REACH,
    ROOT,
    SPACING,
    average,
    centre,
    draw,
    layout,
    load,
    space,
)

__all__ = ["NOBODY", "totals"]

NOBODY = np.empty(0, np.int64), np.empty(0)
"""No members to draw; the first also stands for no kinds of groups."""

_OWN_BLOCKS = 40  # of the grid of one unit
_MOST_BLOCKS = 256  # of a grid that units share
_SHARED = 0.8  # spacing of a shared grid, of the least standard deviation that any unit's posterior can have
_DEVIATIONS = 9.0  # to which a shared grid reaches beyond the units' means, and for a fall of 45 nats, where modes can be far
_DEVIATIONS_FAR = 11.5

_grid, _rooms, _push, _scatter, _BLOCK = tables.grid, tables.rooms, tables.push, tables.scatter, tables.BLOCK


@kernel
def _reach(inner):  # type: ignore[no-untyped-def]
    """Largest spacing of the outer nodes: what an interaction blurs has its singularities further from the real line.

    Those of a logistic curve are pi away, the zeros of a normal distribution function of standard deviation s 2.8 s.
    """
    return REACH * np.sqrt(1.0 + 0.5 * inner * inner)


@kernel
def _finish(  # type: ignore[no-untyped-def]
    i, weight, left, right, top, step, z, psi, member_unit, uniform, each, drawn
):
    """Note a unit's value and draw its members. Returns nodes and probabilities times the unit's weight (in place of `psi`)."""
    z, psi, mass = z[left:right].reshape(-1), psi[left:right].reshape(-1), 0.0
    for q in range(psi.size):
        psi[q] = fast_exp(psi[q] - top)
        mass += psi[q]
    each[i] = top + fast_log(mass * step / ROOT)
    draw(z, psi, step, mass, member_unit, uniform, i, drawn)
    for q in range(psi.size):
        psi[q] *= weight / mass
    return z, psi


@kernel
def _kinds(b, unit_ptr, unit_benchmark, unit_weight, cell_group, cell_kind):  # type: ignore[no-untyped-def]
    """Kinds of the groups of a benchmark: their number, first cells and sizes (rows 0 and 1), and the place of each kind."""
    place = np.full(cell_kind.max() + 1, -1)
    index = np.zeros((4, place.size), np.int64)
    count = 0
    for i in range(unit_benchmark.size):
        if unit_benchmark[i] != b or unit_weight[i] == 0.0:
            continue
        c = unit_ptr[i]
        while c < unit_ptr[i + 1]:
            begin = c
            while c < unit_ptr[i + 1] and cell_group[c] == cell_group[begin]:
                c += 1
            if place[cell_kind[begin]] < 0:
                place[cell_kind[begin]] = count
                index[0, count], index[1, count] = begin, c - begin
                count += 1
    return count, index, place


@kernel
def _groups(begin, stop, cell_kind, index, place, extras, own):  # type: ignore[no-untyped-def]
    """Kinds of the groups of one unit, where their tables begin and rows to a block, into `own`; returns how many groups."""
    groups, c = 0, begin
    while c < stop:
        g = place[cell_kind[c]]
        own[0, groups], own[1, groups], own[2, groups] = g, index[3, g], 3 + index[1, g] + extras
        c += index[1, g]
        groups += 1
    return groups


def _spread(drop: Any, trials: Any, extras: int) -> Any:
    """Make the choice of a grid for all units of a benchmark."""

    @kernel
    def spread(b, shift, sd, inner, theta, fine, units, cell_kind, stats, kinds, own):  # type: ignore[no-untyped-def]
        """Start, spacing and blocks of the grid, for the narrowest posterior a unit can have; and most trials of a group."""
        unit_ptr, unit_benchmark, unit_weight = units
        count, index, place = kinds
        size, most, sharpest, low, high = np.zeros(count), 1.0, 0.0, 1e300, -1e300
        for g in range(count):
            for c in range(index[0, g], index[0, g] + index[1, g]):
                size[g] += trials(stats, c, theta)
            most = max(most, size[g])
            size[g] = 0.25 * size[g] / (1.0 + 0.25 * inner * inner * size[g])
        for i in range(unit_benchmark.size):
            if unit_benchmark[i] == b and unit_weight[i] > 0.0:
                low, high, information = min(low, shift[i]), max(high, shift[i]), 0.0
                for a in range(_groups(unit_ptr[i], unit_ptr[i + 1], cell_kind, index, place, extras, own)):
                    information += size[own[0, a]]
                sharpest = max(sharpest, information)
        step = min(_SHARED / np.sqrt(1.0 / (sd * sd) + sharpest), SPACING * sd, _reach(inner)) / fine
        reach = sd * (_DEVIATIONS if drop(theta) < 30.0 else _DEVIATIONS_FAR)
        blocks = (high - low + 2.0 * reach) / (step * _BLOCK) + 1.0
        return low - reach, step, blocks, most

    return spread


def _shared(window: Any, start: Any, drop: Any, trials: Any, extras: int, rows: int) -> Any:
    """Make the way through tables that all units of a benchmark share."""
    spread = _spread(drop, trials, extras)

    @kernel
    def shared(b, eta, shift, sd, inner, theta, fine, units, cells, stats, members, room, out, pending):  # type: ignore[no-untyped-def]
        """Work through the units of one benchmark; those that fit in are taken off `pending`. Returns their value."""
        unit_ptr, unit_benchmark, unit_weight = units
        cell_column, cell_group, cell_kind = cells
        d_eta, d_shift, d_sd, d_inner, d_theta, each, drawn = out
        kinds = _kinds(b, unit_ptr, unit_benchmark, unit_weight, cell_group, cell_kind)
        count, index, place = kinds
        if count == 0 or sd < 1e-6:
            return 0.0
        low, step, blocks, most = spread(b, shift, sd, inner, theta, fine, units, cell_kind, stats, kinds, room[7])
        if not blocks < _MOST_BLOCKS:
            return 0.0
        lay = _grid(low, step, inner, most, fine, int(blocks))
        own_tables = _rooms(index, count, lay[1], extras, rows, len(stats))
        own, z, psi = room[7], np.empty((int(blocks), _BLOCK)), np.empty((int(blocks), _BLOCK))
        tiled, packed, fall, value = room[0], room[1], drop(theta), 0.0
        for i in range(unit_benchmark.size):
            if unit_benchmark[i] != b or unit_weight[i] == 0.0:
                continue
            begin, stop, first, weight = unit_ptr[i], unit_ptr[i + 1], (low - shift[i]) / sd, unit_weight[i]
            load(eta, shift[i], begin, stop, cell_column, cell_group, stats, room)
            guess = start(tiled[0, : stop - begin], packed[: len(stats) * (stop - begin)], theta, sd)
            block = int((min(max(guess, -8.0), 8.0) - first) * sd / step) // _BLOCK
            groups = _groups(begin, stop, cell_kind, index, place, extras, own)
            left, right, top, whole = window(
                own, groups, block, first, step / sd, fall, eta, cell_column, stats, theta, lay, index, own_tables, z, psi
            )
            if not whole or top < -1e250:
                continue
            pending[i] = False
            flat, share = _finish(i, weight, left, right, top, step / sd, z, psi, members[0], members[1], each, drawn)
            value += weight * each[i]
            _scatter(own, groups, left, right, psi, own_tables[1])
            for q in range(flat.size):
                d_shift[i] += share[q] * flat[q] / sd
                d_sd[b] += share[q] * (flat[q] * flat[q] - 1.0) / sd
        _, _, across = _push(count, 0.0, 0.0, cell_column, lay, index, own_tables, d_eta, d_theta[b])
        d_inner[b] += across
        return value

    return shared


def _alone(window: Any, curvature: Any, start: Any, drop: Any, extras: int, rows: int) -> Any:
    """Make the way of one unit with an interaction through tables of its own."""
    find = centre(curvature, start)

    @kernel
    def alone(i, b, eta, shift, sd, inner, theta, fine, most, units, cells, stats, members, room, out):  # type: ignore[no-untyped-def]
        """Return the weighted value; gradients are added up."""
        begin, stop, weight = units[0][i], units[0][i + 1], units[2][i]
        cell_column, cell_group, _ = cells
        d_eta, d_shift, d_sd, d_inner, d_theta, each, drawn = out
        load(eta, shift, begin, stop, cell_column, cell_group, stats, room)
        size = stop - begin
        group = room[6][:size]
        spot, spread = find(room[0][0, :size], sd, inner, theta, group, room[1][: len(stats) * size], room[4])
        step = min(SPACING * spread, _reach(inner) / max(sd, 1e-12)) / fine
        first = spot + step * (0.5 - (_OWN_BLOCKS // 2) * _BLOCK)
        lay = _grid(shift + sd * first, sd * step, inner, most, fine, _OWN_BLOCKS)
        groups = group[size - 1] + 1 if size > 0 else 0
        index, own = np.zeros((4, groups), np.int64), room[7]
        for c in range(size):
            if c == 0 or group[c] != group[c - 1]:
                index[0, group[c]] = begin + c
            index[1, group[c]] += 1
        own_tables = _rooms(index, groups, lay[1], extras, rows, len(stats))
        for g in range(groups):
            own[0, g], own[1, g], own[2, g] = g, index[3, g], 3 + index[1, g] + extras
        z, psi = np.empty((_OWN_BLOCKS, _BLOCK)), np.empty((_OWN_BLOCKS, _BLOCK))
        left, right, top, _ = window(
            own, groups, _OWN_BLOCKS // 2, first, step, drop(theta), eta, cell_column, stats, theta, lay, index, own_tables, z,
            psi,
        )  # fmt: skip
        _finish(i, weight, left, right, top, step, z, psi, members[0], members[1], each, drawn)
        _scatter(own, groups, left, right, psi, own_tables[1])
        inside, along, across = _push(groups, first, step, cell_column, lay, index, own_tables, d_eta, d_theta[b])
        d_shift[i] += inside
        d_sd[b] += along
        d_inner[b] += across
        return weight * each[i]

    return alone


def _plain(lay_out: Any, extras: int) -> Any:
    """Make the way of one unit without an interaction through nodes of its own."""

    @kernel
    def plain(i, b, eta, shift, sd, theta, fine, units, cells, stats, members, room, others, out):  # type: ignore[no-untyped-def]
        """Return the weighted value; gradients are added up."""
        begin, stop, weight = units[0][i], units[0][i + 1], units[2][i]
        d_eta, d_shift, d_sd, _, d_theta, each, drawn = out
        count, step, top = lay_out(eta, shift, sd, theta, fine, begin, stop, cells[0], cells[1], stats, room)
        mean = room[0][1, : stop - begin]
        mass, inside, along = average(room[2], room[3], count, top, mean, others)
        each[i] = top + fast_log(mass * step / ROOT)
        for c in range(mean.size):
            d_eta[cells[0][begin + c]] += weight * mean[c]
        d_shift[i] = weight * inside
        d_sd[b] += weight * along
        for e in range(extras):
            d_theta[b, e] += weight * others[e]
        draw(room[2][0, :count], room[2][1, :count], step, mass, members[0], members[1], i, drawn)
        return weight * each[i]

    return plain


def _most(trials: Any) -> Any:
    """Make the search for the most trials of a group."""

    @kernel
    def most_trials(theta, units, cell_group, stats):  # type: ignore[no-untyped-def]
        most = 1.0
        for i in range(units[1].size):
            total = 0.0
            for c in range(units[0][i], units[0][i + 1]):
                fresh = c == units[0][i] or cell_group[c] != cell_group[c - 1]
                total = trials(stats, c, theta[units[1][i]]) + (0.0 if fresh else total)
                most = max(most, total)
        return most

    return most_trials


def totals(
    evaluate: Any, curvature: Any, start: Any, trials: Any, drop: Any, extras: int = 0, rows: int = 0, costly: bool = True
) -> Any:
    """Make the log likelihood of a family: of all units, with its gradients, of each unit, and draws of their members' effects.

    Parameters
    ----------
    evaluate, curvature, start, trials, drop : function
        The family, as `nodes` says.
    extras, rows : int
        Number of parameters with respect to which gradients are taken, and of rows to work in (these included).
    costly : bool
        Whether to evaluate a cell takes longer than to look it up, also where there is no interaction to sum out.
    """
    window = tables.gather(tables.filler(evaluate, extras))
    shared = _shared(window, start, drop, trials, extras, rows)
    alone = _alone(window, curvature, start, drop, extras, rows)
    most_trials, plain = _most(trials), _plain(layout(evaluate, curvature, start, drop), extras)

    @kernel
    def total(eta, shift, sd, inner_sd, theta, units, cells, stats, fine, members):  # type: ignore[no-untyped-def]
        """Value, gradients by the first five arguments (of `theta`, the first parameters), value of one of each unit, draws."""
        out = (
            np.zeros(eta.size), np.zeros(shift.size), np.zeros(sd.size), np.zeros(sd.size), np.zeros((sd.size, extras)),
            np.zeros(shift.size), np.full(members[0].size, np.nan),
        )  # fmt: skip
        d_eta, d_shift, d_sd, d_inner, d_theta, each, drawn = out
        known = all_numbers(eta) and all_numbers(shift) and all_numbers(sd) and all_numbers(inner_sd) and all_numbers(theta)
        if not known:
            for gradient in (d_eta, d_shift, d_sd, d_inner, each):
                gradient.fill(np.nan)
            d_theta.fill(np.nan)
            return np.nan, d_eta, d_shift, d_sd, d_inner, d_theta, each, drawn
        room, others, value, most = space(units[0], stats, extras, rows), np.empty(extras), 0.0, -1.0
        pending = units[2] != 0.0
        if cells[2].size > 0:
            for b in range(sd.size):
                if costly or inner_sd[b] > 0.0:
                    value += shared(
                        b, eta, shift, sd[b], inner_sd[b], theta[b], fine, units, cells, stats, members, room, out, pending
                    )
        for i in range(shift.size):
            b = units[1][i]
            if not pending[i]:
                continue
            if inner_sd[b] == 0.0:
                value += plain(i, b, eta, shift[i], sd[b], theta[b], fine, units, cells, stats, members, room, others, out)
                continue
            if most < 0.0:
                most = most_trials(theta, units, cells[1], stats)
            value += alone(
                i, b, eta, shift[i], sd[b], inner_sd[b], theta[b], fine, most, units, cells, stats, members, room, out
            )
        return value, d_eta, d_shift, d_sd, d_inner, d_theta, each, drawn

    return total
