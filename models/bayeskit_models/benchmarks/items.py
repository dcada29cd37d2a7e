"""Scores on the items of the table and no others: effects of items drawn given the data, then averaged over items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.fused import kernel
from bayeskit_models.benchmarks.crossed import _counts, _sigmoid
from bayeskit_models.benchmarks.each_unit import draw_effects

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit_models.benchmarks.model import BenchmarkVariance
    from bayeskit_models.benchmarks.predictor import Predictor

__all__ = ["these_items_score"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NODES = 61  # of the interaction of one model and item, from -7.5 to 7.5 standard deviations


def these_items_score(spec: BenchmarkVariance, predictor: Predictor, statistics: xr.Dataset, seed: int = 0) -> FloatArray:
    """Mean score (S, B, M) over the items of the table, for its training runs and templates.

    Each draw of the parameters draws every item's effect, and what items and models have in common beyond, from their
    distribution given the answers. An item counts for every model, also for one that did not answer it. NaN where a model has
    no answer on a benchmark.
    """
    law = spec.law
    design = [statistics[x].values for x in ("unit_ptr", "unit_benchmark", "cell_column", "cell_group")]
    cells, member = law.cells(statistics), statistics["member_unit"].values
    home, model = statistics["column_benchmark"].values, statistics["column_model"].values
    shape = predictor.mean.shape
    inner = predictor.sd.get("item_model_sd", np.zeros(shape[:2]))
    met = _meetings(statistics) if law.ends and inner.any() else None
    rng = np.random.default_rng(seed)
    out = np.empty(shape)
    for s in range(len(predictor)):
        given = law.given(predictor, s, inner)
        z = draw_effects(law, given, statistics, rng.uniform(size=member.size))
        if law.name == "binomial":
            width = shape[2] if inner[s].any() else 0
            uniform = rng.uniform(size=(member.size, width))
            out[s] = _mean_scores(*given, *design, *cells, member, z, uniform, home, model, shape[2])
        elif law.ends:
            out[s] = _mean_with_ends(spec, predictor, s, statistics, z, inner[s], met, rng)
        else:
            out[s] = _mean_of_cells(spec, predictor, s, statistics, z, inner[s], rng)
    return out


def _mean_of_cells(
    spec: BenchmarkVariance,
    predictor: Predictor,
    s: int,
    statistics: xr.Dataset,
    z: FloatArray,
    inner: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """The same where what a cell has beyond its linear predictor has a conjugate law: beta, or normal."""
    member, benchmark = statistics["member_unit"].values, statistics["unit_benchmark"].values
    home, model = statistics["column_benchmark"].values, statistics["column_model"].values
    base = predictor.shift[s, member] + predictor.outer[s, benchmark[member]] * z
    ptr, column = statistics["unit_ptr"].values, statistics["cell_column"].values
    size = np.diff(ptr)[member]
    who = np.repeat(np.arange(len(member)), size)
    cell = np.repeat(ptr[member], size) + np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    place = np.full(len(home), -1)
    out = np.full(predictor.mean.shape[1:], np.nan)
    for b in range(out.shape[0]):
        mine, there = np.flatnonzero(home == b), np.flatnonzero(benchmark[member] == b)
        place[mine] = np.arange(len(mine))
        row = np.full(len(member), -1)
        row[there] = np.arange(len(there))
        x = base[there, None] + predictor.columns[s, mine]
        inside = cell[row[who] >= 0], row[who[row[who] >= 0]]
        at = (inside[1], place[column[inside[0]]])
        seen = [np.zeros(x.shape) for _ in range(2)]
        for grid, name in zip(seen, (spec.law.total, "n"), strict=True):
            grid[at] = statistics[name].values[inside[0]]
        if spec.family == "beta_binomial":
            p, precision = predictor.chance[b] + (1.0 - predictor.chance[b]) * _logistic(x), predictor.own[s, b]
            hits, misses = p * precision + seen[0], (1.0 - p) * precision + seen[1] - seen[0]
            score = rng.beta(np.maximum(hits, 1e-12), np.maximum(misses, 1e-12))
        else:
            score = predictor.unit[0] + predictor.unit[1] * (
                x + _interaction_draws(x, seen, inner[b], predictor.own[s, b], model[mine], rng)
            )
        by_column = score.mean(0)
        for m in np.unique(model[mine]):
            out[b, m] = by_column[model[mine] == m].mean()
    return out


@dataclass(frozen=True)
class _Meetings:
    """Every item with every model that answered it, as a unit of its own: its cells, its member and its model."""

    ptr: IntArray
    cell: IntArray
    member: IntArray
    model: IntArray


def _meetings(statistics: xr.Dataset) -> _Meetings:
    ptr, unit = statistics["unit_ptr"].values, statistics["member_unit"].values
    size = np.diff(ptr)[unit]
    member = np.repeat(np.arange(len(unit)), size)
    cell = np.repeat(ptr[unit], size) + np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    group = statistics["cell_group"].values[cell]
    first = np.flatnonzero(np.r_[True, (member[1:] != member[:-1]) | (group[1:] != group[:-1])])
    return _Meetings(np.r_[first, len(cell)].astype(np.int64), cell, member[first], group[first])


def _mean_with_ends(
    spec: BenchmarkVariance,
    predictor: Predictor,
    s: int,
    statistics: xr.Dataset,
    z: FloatArray,
    inner: FloatArray,
    met: _Meetings | None,
    rng: np.random.Generator,
) -> FloatArray:
    """The same for scores with ends: what an item and a model have in common is drawn as the effect of a unit of its own."""
    member, benchmark = statistics["member_unit"].values, statistics["unit_benchmark"].values
    home, model = statistics["column_benchmark"].values, statistics["column_model"].values
    mine = benchmark[member]
    base = predictor.shift[s, member] + predictor.outer[s, mine] * z
    both = np.zeros((len(member), predictor.mean.shape[2]))
    if met is not None:
        both = rng.normal(size=both.shape)
        columns, _, _, _, *own = spec.law.given(predictor, s, np.zeros_like(predictor.outer))
        cells = [statistics[name].values[met.cell] for name in ("cell_column", *spec.law.statistics)]
        units = np.arange(len(met.member))
        both[met.member, met.model] = spec.law.module.draw_units(
            columns, base[met.member], inner, np.zeros_like(inner), *own, met.ptr, mine[met.member], cells[0],
            np.zeros(len(met.cell), dtype=np.int64), *cells[1:], units, rng.uniform(size=len(units)),
        )  # fmt: skip
    out = np.full(predictor.mean.shape[1:], np.nan)
    none = np.zeros(1)
    for b in range(out.shape[0]):
        there = mine == b
        for m in np.unique(model[home == b]):
            x = base[there, None] + predictor.columns[s, (home == b) & (model == m)] + inner[b] * both[there, m, None]
            out[b, m] = spec.law.mean(x, none, none, predictor.cuts[s, b]).mean()
    return out


def _interaction_draws(
    x: FloatArray, seen: list[FloatArray], inner: float, noise: float, model: NDArray[np.int64], rng: np.random.Generator
) -> FloatArray:
    """Draws of the normal interaction of items (rows) and models given the cells' sums; columns of one model share it."""
    out = np.zeros(x.shape)
    if inner == 0.0:
        return out
    for m in np.unique(model):
        mine = np.flatnonzero(model == m)
        n = seen[1][:, mine].sum(1)
        left = (seen[0][:, mine] - seen[1][:, mine] * x[:, mine]).sum(1)
        precision = n / noise**2 + 1.0 / inner**2
        out[:, mine] = (left / noise**2 / precision + rng.normal(size=len(x)) / np.sqrt(precision))[:, None]
    return out


def _logistic(x: FloatArray) -> FloatArray:
    from scipy.special import expit

    return np.asarray(expit(x))


@kernel
def _mean_scores(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, cell_column, cell_group, k, n, member, z, uniform, home, model,
    models,
):  # fmt: skip
    benchmarks = sd.size
    total, count, members = np.zeros((benchmarks, models)), np.zeros((benchmarks, models)), np.zeros(benchmarks)
    for c in range(eta.size):
        count[home[c], model[c]] += 1.0
    u, mass = np.zeros(models), np.empty(_NODES)
    for i in range(member.size):
        unit = member[i]
        b = unit_benchmark[unit]
        members[b] += 1.0
        base = shift[unit] + sd[b] * z[i]
        if inner_sd[b] > 0.0:
            _interactions(
                base, eta, inner_sd[b], chance[b], unit_ptr[unit], unit_ptr[unit + 1], cell_column, cell_group, k, n,
                uniform[i], u, mass,
            )  # fmt: skip
        for c in range(eta.size):
            if home[c] == b:
                p = _sigmoid(eta[c] + base + inner_sd[b] * u[model[c]])
                total[b, model[c]] += chance[b] + (1.0 - chance[b]) * p
    for b in range(benchmarks):
        for m in range(models):
            total[b, m] = total[b, m] / (count[b, m] * members[b]) if count[b, m] > 0.0 else np.nan
    return total


@kernel
def _interactions(  # type: ignore[no-untyped-def]
    base, eta, inner, chance, start, stop, cell_column, cell_group, k, n, uniform, u, mass
):
    """Draw the interaction of every model with one item: from its posterior where the model answered, else from its law."""
    step = 15.0 / (_NODES - 1)
    c = start
    for m in range(u.size):
        while c < stop and cell_group[c] < m:
            c += 1
        top = -1e300
        for r in range(_NODES):
            x = -7.5 + step * r
            mass[r] = -0.5 * x * x
            d = c
            while d < stop and cell_group[d] == m:
                value, _ = _counts(base + eta[cell_column[d]] + inner * x, k[d], n[d], chance)
                mass[r] += value
                d += 1
            top = max(top, mass[r])
        total = 0.0
        for r in range(_NODES):
            mass[r] = np.exp(mass[r] - top)
            total += mass[r]
        goal, reached = uniform[m] * total, 0.0
        for r in range(_NODES):
            if reached + mass[r] >= goal or r == _NODES - 1:
                u[m] = -7.5 + step * (r + (goal - reached) / mass[r] - 0.5)
                break
            reached += mass[r]
