"""Scores on the items of the table and no others: effects of items drawn given the data, then averaged over items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.fused import kernel
from bayeskit_models.benchmarks.crossed import _counts, _sigmoid, draw_units

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit_models.benchmarks.predictor import Predictor

__all__ = ["these_items_score"]

FloatArray = NDArray[np.float64]

_NODES = 61  # of the interaction of one model and item, from -7.5 to 7.5 standard deviations


def these_items_score(predictor: Predictor, statistics: xr.Dataset, seed: int = 0) -> FloatArray:
    """Mean success probability (S, B, M) over the items of the table, for its training runs and templates.

    Each draw of the parameters draws every item's effect from its posterior given the answers. An item counts for every model,
    also for one that did not answer it. NaN where a model has no answer on a benchmark.
    """
    design = [statistics[x].values for x in ("unit_ptr", "unit_benchmark", "cell_column", "cell_group", "k", "n")]
    member = statistics["member_unit"].values
    home, model = statistics["column_benchmark"].values, statistics["column_model"].values
    shape = predictor.mean.shape
    outer = predictor.sd["item_sd"]
    inner = predictor.sd.get("item_model_sd", np.zeros(shape[:2]))
    rng = np.random.default_rng(seed)
    out = np.empty(shape)
    for s in range(len(predictor)):
        given = (predictor.columns[s], predictor.shift[s], outer[s], inner[s], predictor.chance)
        z = draw_units(*given, *design, member, rng.uniform(size=member.size))
        width = shape[2] if inner[s].any() else 0
        out[s] = _mean_scores(*given, *design, member, z, rng.uniform(size=(member.size, width)), home, model, shape[2])
    return out


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
