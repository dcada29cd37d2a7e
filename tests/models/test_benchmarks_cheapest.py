"""Two ways to take the same sums: unit by unit, and of folded units."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import special

pytest.importorskip("pymc")

from bayeskit_models.benchmarks import BenchmarkVariance
from bayeskit_models.benchmarks.cheapest import cheapest_kernel, crossed_kernel
from bayeskit_models.benchmarks.each_unit import draw_effects, unit_values
from bayeskit_models.benchmarks.rasch import alike, pool_kinds
from bayeskit_models.benchmarks.shares import DESIGN, with_shares, without_shares

COLUMNS, UNITS, CLUSTERS = 6, 150, 3
GROUP = np.array([0, 0, 1, 2, 2, 3])  # columns 0 and 1, and 3 and 4, are two runs of one model


def design(seed=0, interaction=0, missing=0.15, trials=4.0, units=UNITS):
    """Units of two benchmarks with three columns each, in three clusters; some have no weight or stand for several."""
    rng = np.random.default_rng(seed)
    benchmark = np.sort(rng.integers(0, 2, units))
    met = rng.uniform(size=(units, 3)) >= missing
    met[np.arange(units), rng.integers(0, 3, units)] = True
    unit, third = np.nonzero(met)
    column = third + 3 * benchmark[unit]
    x = rng.normal(size=COLUMNS)[column] + 1.5 * rng.normal(size=units)[unit]
    return xr.Dataset(
        {
            "unit_ptr": ("unit_edge", np.concatenate([[0], np.cumsum(met.sum(1))])),
            "unit_benchmark": ("unit", benchmark),
            "unit_cluster": ("unit", rng.integers(0, CLUSTERS, units)),
            "unit_weight": ("unit", rng.choice([0.0, 1.0, 1.0, 3.0], units)),
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
    agree(data, parameters(data, chance=(chance, chance), inner=(inner, inner)))


@pytest.mark.parametrize(("inner", "chance"), [(0.8, 0.0), (0.0, 0.0), (0.8, 0.25)])
@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_groups_of_equal_total_are_one_kind(inner, chance, missing):
    """Two runs of one model share an interaction: what counts of their 30 answers to an item is how many were right."""
    data = with_shares(design(interaction=1, missing=missing, trials=15.0, units=600))
    kinds, pooled = (len(np.unique(data[name].values)) for name in ("cell_kind", "fold_kind"))
    assert 0 < pooled <= 158 and (kinds == 0 or pooled <= kinds / 2)
    assert data["fold_weight"].values.sum() == data["unit_weight"].values.sum()
    agree(data, parameters(data, chance=(chance, chance), inner=(inner, inner)))


def test_a_group_with_a_column_missing_is_of_another_kind():
    """Groups of one run and of two with equal totals are not pooled, units without weight do not count, and averages do."""
    column, k = np.array([0, 1, 0, 0, 1, 0, 1]), np.array([3.0, 1.0, 4.0, 0.0, 4.0, 2.0, 2.0])  # totals 4, 4, 4, 4
    many, ends = 8, np.array([2, 1, 2, 2])
    edges, none = np.concatenate([[0], np.cumsum(np.tile(ends, many))]), np.zeros(ends.size * many, dtype=np.int64)
    weight, cells = np.tile([1.0, 1.0, 3.0, 0.0], many), np.tile(k, many)
    alone = np.zeros(cells.size, dtype=np.int64)
    kind, mean = pool_kinds(edges, none, weight, np.tile(column, many), alone, cells, np.full(cells.size, 4.0))
    assert len(set(kind)) == 2 and len(set(kind[column.size * np.arange(many) + 2])) == 1 and kind[0] == kind[3] == kind[5]
    np.testing.assert_allclose(mean[:7], [0.75, 3.25, 4.0, 0.75, 3.25, 0.75, 3.25])


def agree(data, given):
    """The cheapest sum and that unit by unit: value and gradients."""
    found = cheapest_kernel(*given, *(data[name].values for name in DESIGN), np.array([2.0]))
    wanted = by_unit(data, given)
    assert found[0] == pytest.approx(wanted[0], abs=1e-8)
    cluster = data["unit_cluster"].values
    for place, (part, whole) in enumerate(zip(found[1:], wanted[1:], strict=True)):
        if place == 1:  # what counts of the shift is its sum over the units of a cluster
            part, whole = (np.bincount(cluster, v, CLUSTERS) for v in (part, whole))
        np.testing.assert_allclose(part, whole, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("interaction", "inner"), [(0, 0.0), (1, 0.8)])
def test_each_unit_is_read_off_its_folded_one(interaction, inner):
    """Log likelihoods of single units to 1e-9, and draws of their members to the width of a node, beside those unit by unit."""
    law = BenchmarkVariance().law
    data = with_shares(design(interaction=interaction, missing=0.0, trials=15.0 if interaction else 1.0, units=600))
    assert 0 < data.sizes["fold"] < 600
    keep = np.repeat(np.arange(600), data["unit_weight"].values.astype(int))
    member = np.random.default_rng(0).permutation(keep)
    data = data.assign(member_unit=("member", np.sort(member)), cell_unit=("cell", np.repeat(np.arange(600), 3)))
    alone, given = without_shares(data), parameters(data, inner=(inner, inner))
    whole = np.unique(member)
    each = unit_values(law, given, data, 2.0)
    np.testing.assert_allclose(each[whole], unit_values(law, given, alone, 2.0)[whole], rtol=1e-9)
    assert (each[data["unit_weight"].values == 0.0] == 0.0).all()
    uniform = np.random.default_rng(1).uniform(size=len(member))
    drawn = draw_effects(law, given, data, uniform) - draw_effects(law, given, alone, uniform)
    assert np.abs(drawn).max() < 0.1 and abs(drawn.mean()) < 0.005


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
