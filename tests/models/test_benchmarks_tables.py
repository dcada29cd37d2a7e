"""Groups that repeat: their numbering, and that looking them up in shared tables gives what each unit's own nodes give."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy import special

pytest.importorskip("pymc")

from bayeskit_models.benchmarks.beta_binomial import beta_binomial_kernel
from bayeskit_models.benchmarks.cheapest import crossed_kernel, draw_units, unit_log_likelihood
from bayeskit_models.benchmarks.tables import BLOCK, fold, gather

NONE = np.empty(0, np.int64)


def make(seed=0, units=90, models=4, per=1, n=3, sd=(2.0, 1.1), inner=(1.2, 0.5), chance=(0.0, 0.0), cluster=0.0):
    """Arguments of the kernel up to the cells: two benchmarks, a tenth of the cells missing, weights 0 to 2."""
    rng = np.random.default_rng(seed)
    columns = models * per
    benchmark = np.arange(units) % 2
    eta, shift = rng.normal(0.0, 1.0, 2 * columns), cluster * rng.normal(size=units)
    column, group, ptr, k, size = [], [], [0], [], []
    for i, b in enumerate(benchmark):
        own = np.flatnonzero(rng.uniform(size=columns) < 0.9)
        u = rng.normal(size=models)[own // per]
        p = chance[b] + (1.0 - chance[b]) * special.expit(
            eta[own + b * columns] + shift[i] + sd[b] * rng.normal() + inner[b] * u
        )
        column, group, ptr = [*column, *(own + b * columns)], [*group, *(own // per)], [*ptr, ptr[-1] + own.size]
        k, size = [*k, *rng.binomial(n, p)], [*size, *np.full(own.size, n)]
    return [
        eta, shift, np.array(sd), np.array(inner), np.array(chance), np.array(ptr), benchmark, rng.integers(0, 3, units) * 1.0,
        np.array(column), np.array(group), np.array(k, float), np.array(size, float),
    ]  # fmt: skip


def kinds(given):
    return fold(*given[5:7], *given[8:])


def largest_difference(found, expected):
    """Of the value and of each gradient, over the largest entry."""
    pairs = [(np.atleast_1d(a), np.atleast_1d(b)) for a, b in zip(found, expected, strict=True)]
    return max(np.abs(a - b).max() / max(np.abs(b).max(), 1e-6) for a, b in pairs)


def test_kinds_are_equal_groups():
    """Against a dictionary of what the groups hold; groups of one unit that stand apart stay apart."""
    given = make(per=3, units=300, n=1)
    found = kinds(given)
    names = {}
    for i in range(300):
        cells = np.arange(given[5][i], given[5][i + 1])
        for g in np.unique(given[9][cells]):
            own = cells[given[9][cells] == g]
            name = (i % 2, *map(tuple, (given[8][own], given[10][own], given[11][own])))
            assert names.setdefault(name, found[own[0]]) == found[own[0]]
            assert (found[own] == found[own[0]]).all()
    assert len(set(names.values())) == len(names) == found.max() + 1


def test_nothing_is_folded_where_little_repeats():
    rng = np.random.default_rng(1)
    given = make()
    given[10] = rng.uniform(size=given[10].size)
    assert kinds(given).size == 0
    assert fold(np.zeros(1, int), NONE, NONE, NONE, np.empty(0)).size == 0


CASES = {
    "one cell a group": {},
    "chance and clusters": {"chance": (0.25, 0.0), "cluster": 0.7},
    "several cells a group": {"per": 3, "models": 2, "n": 1, "units": 300},
    "weak interaction": {"inner": (0.02, 0.2)},
    "strong interaction": {"inner": (4.0, 0.0)},
    "narrow units": {"sd": (0.05, 0.3), "cluster": 0.1},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_tables_give_what_own_nodes_give(case):
    """Value and gradients at 1e-9, the other way at half the spacing; halving that of the tables changes less than 1e-8."""
    given = make(**case)
    kind = kinds(given)
    assert kind.size
    found = crossed_kernel(*given, np.ones(1), kind)
    own = crossed_kernel(*given, np.full(1, 2.0), NONE)
    assert largest_difference(found, own) < 1e-9
    assert largest_difference(found, crossed_kernel(*given, np.full(1, 2.0), kind)) < 1e-8


@pytest.mark.parametrize("inner", [(0.0, 0.0), (0.7, 0.0)])
def test_tables_of_over_dispersed_counts(inner):
    given = make(n=5, inner=inner, units=200, chance=(0.2, 0.0))
    kind = kinds(given)
    given.insert(4, np.array([3.0, 0.6]))
    found = beta_binomial_kernel(*given, np.ones(1), kind)
    assert largest_difference(found, beta_binomial_kernel(*given, np.full(1, 2.0), NONE)) < 1e-9


def test_units_beyond_the_shared_grid_go_their_own_way():
    """Clusters 40 standard deviations apart, and no spread of the units at all."""
    for case in ({"sd": (0.01, 1.0), "cluster": 3.0}, {"sd": (0.0, 1.0)}):
        given = make(**case)
        found = crossed_kernel(*given, np.full(1, 2.0), kinds(given))
        assert largest_difference(found, crossed_kernel(*given, np.full(1, 2.0), NONE)) < 1e-9


def test_units_and_draws_are_those_of_own_nodes():
    """Draws differ by less than the spacing of the nodes, between which their distribution is linear."""
    given = make()
    kind = kinds(given)
    rest = [a for i, a in enumerate(given) if i != 7]
    each = unit_log_likelihood(*rest, np.full(1, 2.0), kind)
    np.testing.assert_allclose(each, unit_log_likelihood(*rest, np.full(1, 2.0)), rtol=1e-9)
    member = np.repeat(np.arange(90), 3)
    uniform = np.random.default_rng(3).uniform(size=member.size)
    drawn = draw_units(*rest, member, uniform, kind)
    assert np.abs(drawn - draw_units(*rest, member, uniform)).max() < 0.25


def test_the_window_of_a_unit_grows_from_any_guess():
    """A normal likelihood on a grid of four blocks: found from every guess, and held unless the grid ends too early."""

    @numba.njit
    def fill(g, block, eta, cell_column, stats, theta, lay, index, tables):
        for lane in range(BLOCK):
            tables[1][3 * block + 2, lane] = -0.5 * (block * BLOCK + lane - eta[0]) ** 2

    window, blocks, none = gather(fill), 4, np.zeros(1)
    for middle, held in (
        (1.5 * BLOCK, True),
        (8.0, True),
        (blocks * BLOCK - 9.0, True),
        (3.0, False),
        (blocks * BLOCK - 2.0, False),
    ):
        for guess in (-1, 0, 1, 3, 9):
            z, psi, done = np.empty((blocks, BLOCK)), np.empty((blocks, BLOCK)), np.zeros((1, blocks), np.uint8)
            tables = none, np.zeros((3 * blocks, BLOCK)), none, done
            left, right, top, found = window(
                np.array([[0], [0], [3]]), 1, guess, 0.0, 1e-3, 24.0, np.array([middle]), none, none, none,
                (none, np.array([blocks])), none, tables, z, psi,
            )  # fmt: skip
            assert found == held and left <= middle // BLOCK < right
            assert top == pytest.approx(0.0, abs=0.2) and psi[left:right].max() == top
