"""Units folded by their total: the same likelihood and the same gradients, and only where the mathematics says so."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import special

pytest.importorskip("pymc")

from bayeskit_models.benchmarks.cheapest import crossed_kernel
from bayeskit_models.benchmarks.rasch import fold_by_total

COLUMNS, UNITS, CLUSTERS = 6, 400, 3


def design(seed=3, missing=0.1, trials=(1.0, 2.0)):
    """Units of two benchmarks and three clusters; some cells are missing, some units have no weight or stand for several."""
    rng = np.random.default_rng(seed)
    met = rng.uniform(size=(UNITS, COLUMNS)) >= missing
    met[np.arange(UNITS), rng.integers(0, COLUMNS, UNITS)] = True
    unit, column = np.nonzero(met)
    benchmark = np.sort(rng.integers(0, 2, UNITS))
    cluster = rng.integers(0, CLUSTERS, UNITS)
    n = rng.choice(trials, unit.size)
    x = rng.normal(size=COLUMNS)[column] + 1.5 * rng.normal(size=UNITS)[unit]
    k = rng.binomial(n.astype(int), special.expit(x)).astype(float)
    ptr = np.concatenate([[0], np.cumsum(met.sum(1))])
    weight = rng.choice([0.0, 1.0, 1.0, 3.0], UNITS)
    order = np.concatenate([rng.permutation(np.arange(a, b)) for a, b in pairwise(ptr)])
    return ptr, benchmark, cluster, weight, column[order], k[order], n[order]


def evaluate(given, chance=0.0, shift=(0.3, -0.2, 0.9)):
    ptr, benchmark, cluster, weight, column, k, n = given
    found = crossed_kernel(
        np.linspace(-1.0, 1.5, COLUMNS), np.array(shift)[cluster], np.array([1.3, 0.7]), np.zeros(2), np.full(2, chance), ptr,
        benchmark, weight, column, column.copy(), k, n, np.full(1, 2.0),
            np.empty(0, np.int64),
    )  # fmt: skip
    value, d_eta, d_shift, d_sd, _ = found
    return value, d_eta, np.bincount(cluster, d_shift, CLUSTERS), d_sd


def folded(given):
    found = fold_by_total(*given)
    return found, (
        found.unit_ptr, found.unit_benchmark, found.unit_cluster, found.unit_weight, found.cell_column, found.k, found.n
    )  # fmt: skip


def test_likelihood_and_gradients_stay():
    """Value and gradients by column, cluster and benchmark to 1e-11 relative: both are sums over the same nodes."""
    for missing, trials in ((0.0, (1.0,)), (0.1, (1.0, 2.0)), (0.4, (3.0,))):
        given = design(missing=missing, trials=trials)
        found, less = folded(given)
        for whole, part in zip(evaluate(given), evaluate(less), strict=True):
            np.testing.assert_allclose(part, whole, rtol=1e-11, atol=1e-9)
        assert found.unit_weight.sum() == given[3].sum()
        assert len(found.unit_weight) < UNITS


def test_complete_binary_tables_become_one_unit_for_each_total():
    """Two benchmarks by three clusters by totals from 0 to 6, of which some are empty."""
    given = design(missing=0.0, trials=(1.0,))
    found, _ = folded(given)
    ptr, benchmark, cluster, weight, _, k, _ = given
    total = np.add.reduceat(k, ptr[:-1])
    kept = weight > 0.0
    assert len(found.unit_weight) == len(set(zip(benchmark[kept], cluster[kept], total[kept], strict=True)))
    assert (found.place[~kept] == -1).all()
    np.testing.assert_allclose(np.add.reduceat(found.k, found.unit_ptr[:-1])[found.place[kept]], total[kept], rtol=1e-12)
    np.testing.assert_array_equal(found.unit_cluster[found.place[kept]], cluster[kept])


def test_a_chance_level_makes_the_total_too_little():
    given = design(missing=0.0, trials=(1.0,))
    _, less = folded(given)
    assert abs(evaluate(less, chance=0.25)[0] - evaluate(given, chance=0.25)[0]) > 1.0


def test_nothing_to_fold():
    none = np.zeros(0)
    whole = np.zeros(0, dtype=np.int64)
    found = fold_by_total(np.zeros(1, dtype=np.int64), whole, whole, none, whole, none, none)
    assert found.unit_weight.size == 0 and found.unit_ptr.tolist() == [0]
