"""Two ways to take the same sums: unit by unit, and of folded units."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import special

pytest.importorskip("pymc")

from bayeskit_models.benchmarks import BenchmarkVariance
from bayeskit_models.benchmarks.cheapest import cheapest_kernel, crossed_kernel
from bayeskit_models.benchmarks.rasch import alike
from bayeskit_models.benchmarks.shares import DESIGN, with_shares

COLUMNS, UNITS, CLUSTERS = 6, 150, 3
GROUP = np.array([0, 0, 1, 2, 2, 3])  # columns 0 and 1, and 3 and 4, are two runs of one model


def design(seed=0, interaction=0, missing=0.15, trials=4.0):
    """Units of two benchmarks with three columns each, in three clusters; some have no weight or stand for several."""
    rng = np.random.default_rng(seed)
    benchmark = np.sort(rng.integers(0, 2, UNITS))
    met = rng.uniform(size=(UNITS, 3)) >= missing
    met[np.arange(UNITS), rng.integers(0, 3, UNITS)] = True
    unit, third = np.nonzero(met)
    column = third + 3 * benchmark[unit]
    x = rng.normal(size=COLUMNS)[column] + 1.5 * rng.normal(size=UNITS)[unit]
    return xr.Dataset(
        {
            "unit_ptr": ("unit_edge", np.concatenate([[0], np.cumsum(met.sum(1))])),
            "unit_benchmark": ("unit", benchmark),
            "unit_cluster": ("unit", rng.integers(0, CLUSTERS, UNITS)),
            "unit_weight": ("unit", rng.choice([0.0, 1.0, 1.0, 3.0], UNITS)),
            "cell_column": ("cell", column),
            "cell_group": ("cell", GROUP[column]),
            "k": ("cell", rng.binomial(int(trials), special.expit(x)).astype(float)),
            "n": ("cell", np.full(unit.size, trials)),
        },
        attrs={"interaction": interaction},
    )


def parameters(statistics, sd=(1.4, 0.7), inner=(0.0, 0.0), chance=(0.0, 0.0)):
    eta, by_cluster = np.linspace(-1.0, 1.5, COLUMNS), np.array([0.4, -0.3, 0.1])
    return eta, by_cluster[statistics["unit_cluster"].values], np.array(sd), np.array(inner), np.array(chance)


def by_unit(statistics, given, fine=2.0):
    return crossed_kernel(*given, *(statistics[name].values for name in DESIGN[:7]), np.array([fine]), np.empty(0, np.int64))


@pytest.mark.parametrize(("inner", "chance"), [(0.0, 0.0), (0.0, 0.25), (0.8, 0.0), (0.8, 0.25)])
def test_each_sum_is_taken_where_it_is_exact(inner, chance):
    """Folded, shared and unit by unit give the same; turning the chance dial changes the way, not the statistics."""
    data = with_shares(design(interaction=int(inner > 0.0), missing=0.0, trials=1.0))
    assert (0 < data.sizes["fold"] < 60) == (inner == 0.0) and (data.sizes["kind_of_cell"] > 0) == (inner > 0.0)
    given = parameters(data, chance=(chance, chance), inner=(inner, inner))
    found = cheapest_kernel(*given, *(data[name].values for name in DESIGN), np.array([2.0]))
    wanted = by_unit(data, given)
    assert found[0] == pytest.approx(wanted[0], abs=1e-8)
    cluster = data["unit_cluster"].values
    for place, (part, whole) in enumerate(zip(found[1:], wanted[1:], strict=True)):
        if place == 1:  # what counts of the shift is its sum over the units of a cluster
            part, whole = (np.bincount(cluster, v, CLUSTERS) for v in (part, whole))
        np.testing.assert_allclose(part, whole, rtol=1e-7, atol=1e-7)


def test_alike():
    first, inverse = alike(np.array([2, 1, 2, 2]), np.array([0.5, 0.5, 0.5, 0.0]))
    assert first.tolist() == [0, 1, 3] and inverse.tolist() == [0, 1, 0, 2]


def test_leaving_data_out_keeps_the_shares_true():
    """After `without` the folded likelihood is that of the units that are left."""
    spec = BenchmarkVariance()
    statistics = spec.statistics(spec.simulate(3, models=7, items=400).table)
    assert statistics.sizes["fold"] > 0
    for by in ("item", "model"):
        less = spec.without(statistics, by, 1)
        again = with_shares(less.drop_vars(DESIGN[7:]))
        assert less.equals(again)
