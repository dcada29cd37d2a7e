"""Three ways to take the same sums: unit by unit, on a lattice, and of folded units."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import special

pytest.importorskip("pymc")

from bayeskit_models.benchmarks import BenchmarkVariance
from bayeskit_models.benchmarks.cheapest import cheapest_kernel
from bayeskit_models.benchmarks.crossed import crossed_kernel
from bayeskit_models.benchmarks.kinds import alike, kinds_of
from bayeskit_models.benchmarks.lattice import lattice_kernel
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
    return crossed_kernel(*given, *(statistics[name].values for name in DESIGN[:7]), np.array([fine]))


def on_lattice(statistics, given, fine=2.0):
    ptr, benchmark, weight, column, group, k, n = (statistics[name].values for name in DESIGN[:7])
    kinds = kinds_of(ptr, benchmark, column, group, k, n, bool(statistics.attrs["interaction"]))
    return lattice_kernel(
        *given, kinds.unit_ptr, benchmark, weight, kinds.group_kind, kinds.kind_ptr, kinds.kind_benchmark, kinds.column,
        kinds.k, kinds.n, np.array([fine]),
    )  # fmt: skip


CASES = [
    ({"chance": (0.0, 0.0)}, 0),
    ({"chance": (0.25, 0.0)}, 0),
    ({"sd": (4.0, 0.02)}, 0),
    ({"sd": (6.0, 1.0), "chance": (0.0, 0.1)}, 0),
    ({"inner": (0.8, 0.3)}, 1),
    ({"inner": (0.8, 1.6), "chance": (0.2, 0.0)}, 1),
]


@pytest.mark.parametrize(("values", "interaction"), CASES)
def test_lattice_gives_the_sums_of_every_unit(values, interaction):
    """At half the spacing both have converged: value to 1e-8, gradients to 1e-7."""
    statistics = design(interaction=interaction)
    given = parameters(statistics, **values)
    found, wanted = on_lattice(statistics, given), by_unit(statistics, given)
    assert found[0] == pytest.approx(wanted[0], abs=1e-8)
    for part, whole in zip(found[1:], wanted[1:], strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-7, atol=1e-7)


def test_wide_effects_are_summed_to_their_end():
    """Standard deviations of 25 logits, where items that all solve reach 200 logits: against a plain grid of 80,001 nodes."""
    statistics = design()
    eta, shift, sd, _, _ = given = parameters(statistics, sd=(25.0, 25.0))
    ptr, _, weight, column, _, k, n = (statistics[name].values for name in DESIGN[:7])
    z = np.linspace(-12.0, 12.0, 80_001)
    total = 0.0
    for i in np.flatnonzero(weight):
        cells = slice(ptr[i], ptr[i + 1])
        x = eta[column[cells], None] + shift[i] + sd[0] * z
        psi = (k[cells, None] * x - n[cells, None] * np.logaddexp(0.0, x)).sum(0) - 0.5 * z**2 - 0.5 * np.log(2.0 * np.pi)
        total += weight[i] * (special.logsumexp(psi) + np.log(z[1] - z[0]))
    assert on_lattice(statistics, given)[0] == pytest.approx(total, abs=1e-8)


@pytest.mark.parametrize(("values", "interaction"), CASES)
def test_doubling_the_lattice_moves_nothing(values, interaction):
    """Ordinary spacing against half of it: 1e-6 of the log likelihood of 150 units."""
    statistics = design(interaction=interaction)
    given = parameters(statistics, **values)
    assert on_lattice(statistics, given, 1.0)[0] == pytest.approx(on_lattice(statistics, given)[0], abs=1e-6)


def test_lattice_gradients_are_differences():
    """Central differences of the value, of every parameter of a case with everything; limited by their own rounding."""
    statistics = design(interaction=1)
    given = list(parameters(statistics, inner=(0.8, 1.6), chance=(0.2, 0.0)))
    slopes = on_lattice(statistics, given)
    for place in range(4):
        for at in range(given[place].size if place != 1 else 5):
            h, ends = 1e-5, []
            for sign in (1.0, -1.0):
                moved = [np.array(g) for g in given]
                moved[place][at] += sign * h
                ends.append(on_lattice(statistics, moved)[0])
            assert slopes[1 + place][at] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=2e-6, rel=1e-6)


def test_no_number_in_gives_no_number_out():
    statistics = design()
    for sd in ((np.nan, 1.0), (1e7, 1.0)):
        found = on_lattice(statistics, parameters(statistics, sd=sd))
        assert np.isnan(found[0]) and all(np.isnan(part).all() for part in found[1:])


def test_each_sum_is_taken_where_it_is_exact():
    """Folded, on the lattice and unit by unit give the same; turning the chance dial changes the way, not the statistics."""
    statistics = with_shares(design(missing=0.0, trials=1.0))
    assert 0 < statistics.sizes["fold"] < 60 and statistics.sizes["kind"] == 12
    several = with_shares(
        statistics.assign(k=("cell", statistics["k"].values * np.linspace(0.5, 1.0, statistics.sizes["cell"])))
    )
    assert several.sizes["kind"] == 0  # every cell a kind of its own
    for data, chance in ((statistics, 0.0), (statistics, 0.25), (several, 0.25)):
        given = parameters(data, chance=(chance, chance))
        found = cheapest_kernel(*given, *(data[name].values for name in DESIGN), np.array([2.0]))
        wanted = by_unit(data, given)
        assert found[0] == pytest.approx(wanted[0], abs=1e-8)
        cluster = data["unit_cluster"].values
        for place, (part, whole) in enumerate(zip(found[1:], wanted[1:], strict=True)):
            if place == 1:  # what counts of the shift is its sum over the units of a cluster
                part, whole = (np.bincount(cluster, v, CLUSTERS) for v in (part, whole))
            np.testing.assert_allclose(part, whole, rtol=1e-7, atol=1e-7)


def test_kinds_are_the_cells_themselves():
    statistics = design(interaction=1)
    ptr, benchmark, _, column, group, k, n = (statistics[name].values for name in DESIGN[:7])
    for grouped in (False, True):
        kinds = kinds_of(ptr, benchmark, column, group, k, n, grouped)
        cells = np.concatenate([np.arange(kinds.kind_ptr[j], kinds.kind_ptr[j + 1]) for j in kinds.group_kind])
        for kept, own in ((kinds.column, column), (kinds.k, k), (kinds.n, n)):
            np.testing.assert_array_equal(kept[cells], own)
        assert (np.diff(kinds.kind_benchmark) >= 0).all()
        unit = np.repeat(np.arange(UNITS), np.diff(kinds.unit_ptr))
        np.testing.assert_array_equal(kinds.kind_benchmark[kinds.group_kind], benchmark[unit])


def test_alike():
    first, inverse = alike(np.array([2, 1, 2, 2]), np.array([0.5, 0.5, 0.5, 0.0]))
    assert first.tolist() == [0, 1, 3] and inverse.tolist() == [0, 1, 0, 2]


def test_leaving_data_out_keeps_the_shares_true():
    """After `without` the folded likelihood is that of the units that are left."""
    spec = BenchmarkVariance()
    statistics = spec.statistics(spec.simulate(3, models=7, items=400).table)
    assert statistics.sizes["fold"] > 0 and statistics.sizes["kind"] > 0
    for by in ("item", "model"):
        less = spec.without(statistics, by, 1)
        again = with_shares(less.drop_vars(DESIGN[7:]))
        assert less.equals(again)
