"""Counts with a unit's effect summed out: plain quadrature on a fine grid, differences, doubling, and the grid that fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import special

pytest.importorskip("pymc")

from bayeskit_models.benchmarks.cheapest import crossed_kernel, draw_units, unit_log_likelihood

ROOT = np.sqrt(2.0 * np.pi)
NONE = np.empty(0, np.int64)


def trials(x, k, n, chance):
    p = special.expit(x)
    hit = -np.logaddexp(0.0, -x) if chance == 0.0 else np.log(chance + (1.0 - chance) * p)
    return k * hit + (n - k) * (np.log1p(-chance) - np.logaddexp(0.0, x))


def reference(case):
    """Log likelihood of one unit by trapezoidal sums from -16 to 16 (outer) and -12 to 12 (inner), spacing 0.004 and 0.06."""
    eta, shift, sd, inner, chance, group, k, n = case
    z = np.linspace(-16.0, 16.0, 8001)
    psi = -0.5 * z**2 - np.log(ROOT)
    u = np.linspace(-12.0, 12.0, 401)
    for g in np.unique(group):
        cells = np.flatnonzero(group == g)
        if inner == 0.0:
            psi = psi + sum(trials(eta[c] + shift + sd * z, k[c], n[c], chance) for c in cells)
        else:
            x = shift + sd * z[:, None] + inner * u
            inside = -0.5 * u**2 - np.log(ROOT) + sum(trials(eta[c] + x, k[c], n[c], chance) for c in cells)
            psi = psi + special.logsumexp(inside, axis=1) + np.log(u[1] - u[0])
    return special.logsumexp(psi) + np.log(z[1] - z[0])


def arguments(case, fine=1.0):
    eta, shift, sd, inner, chance, group, k, n = case
    cells = len(eta)
    return (
        eta, np.array([shift]), np.array([sd]), np.array([inner]), np.array([chance]), np.array([0, cells]),
        np.zeros(1, np.int64), np.ones(1), np.arange(cells), group, k, n, np.array([fine]), NONE,
    )  # fmt: skip


def make(seed, chance=0.0, inner=0.0, kind="mixed"):
    """One unit of several models; its counts come from the model, so that it is as narrow or as skewed as data are."""
    rng = np.random.default_rng(seed)
    cells = int(rng.integers(1, 8))
    n = rng.choice([1.0, 2.0, 10.0, 100.0], cells)
    eta, sd, group = rng.normal(0.0, 1.2, cells), 0.4 + abs(rng.normal(0.0, 2.0)), np.sort(rng.integers(0, 4, cells))
    u = rng.normal(size=4)[group]
    p = chance + (1.0 - chance) * special.expit(eta + 0.2 + sd * rng.normal() + inner * u)
    k = {"mixed": rng.binomial(n.astype(int), p).astype(float), "all": n.copy(), "none": np.zeros(cells)}[kind]
    return eta, 0.2, sd, inner, chance, group, k, n


CASES = [
    make(seed, chance, inner, kind)
    for seed in range(2)
    for chance in (0.0, 0.25)
    for inner in (0.0, 0.4, 1.5)
    for kind in ("mixed", "all", "none")
]


def test_values_are_those_of_a_fine_grid():
    """36 units with and without a chance level and an interaction, mixed, all right and all wrong: error below 1e-7."""
    for case in CASES:
        assert crossed_kernel(*arguments(case))[0] == pytest.approx(reference(case), abs=1e-7)


def test_gradients_are_differences_of_the_value():
    """Central differences of the value at half the spacing; agreement is limited by the rounding of the differences."""
    weighted = several(units=6, columns=3)
    weighted[7] = np.arange(6.0) % 3
    for given in (*(arguments(case, 2.0) for case in CASES[::4]), weighted):
        found = crossed_kernel(*given)
        for place in range(4 if given[3][0] > 0.0 else 3):
            for at in range(given[place].size):
                h, ends = 1e-5, []
                for sign in (1.0, -1.0):
                    moved = list(given)
                    moved[place] = given[place].copy()
                    moved[place][at] += sign * h
                    ends.append(crossed_kernel(*moved)[0])
                assert found[1 + place][at] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=2e-6, rel=1e-6)


def several(seed=5, units=60, columns=12, n=10.0, sd=2.4):
    """Arguments of the kernel for crossed items of one benchmark."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(-0.5, 1.0, columns)
    x = eta + sd * rng.normal(size=(units, 1))
    k = rng.binomial(int(n), special.expit(x)).astype(float).ravel()
    column = np.tile(np.arange(columns), units)
    return [
        eta, np.zeros(units), np.array([sd]), np.zeros(1), np.zeros(1), np.arange(units + 1) * columns,
        np.zeros(units, np.int64), np.ones(units), column, column.copy(), k, np.full(k.size, n), np.ones(1), NONE,
    ]  # fmt: skip


def test_units_add_up_and_weights_repeat_them():
    given = several()
    rest = [a for i, a in enumerate(given) if i != 7]
    each = unit_log_likelihood(*rest)
    assert crossed_kernel(*given)[0] == pytest.approx(each.sum(), rel=1e-12)
    weight = np.arange(60.0) % 3
    given[7] = weight
    assert crossed_kernel(*given)[0] == pytest.approx(weight @ each, rel=1e-12)


def fixed_grid(given, nodes):
    """The planted bug: one grid from -5 to 5 for all items."""
    eta, _, sd, _, _, ptr, _, weight, _, _, k, n, _, _ = given
    z = np.linspace(-5.0, 5.0, nodes)
    log_weight = -0.5 * z**2 - special.logsumexp(-0.5 * z**2)
    x = eta[:, None] + sd[0] * z
    shape = (ptr.size - 1, eta.size)
    per_node = k.reshape(shape) @ x - n.reshape(shape) @ np.logaddexp(0.0, x) + log_weight
    return float(weight @ special.logsumexp(per_node, axis=1))


def test_doubling_tells_the_fixed_grid_from_the_laid_out_one():
    """330 trials an item: 61 fixed nodes move by nats when doubled, the kernel by less than 1e-6."""
    given = several(units=200, columns=33)
    finer = [*given[:-2], np.array([2.0]), NONE]
    assert abs(crossed_kernel(*finer)[0] - crossed_kernel(*given)[0]) < 1e-6
    assert abs(fixed_grid(given, 121) - fixed_grid(given, 61)) > 1.0
    assert fixed_grid(given, 2561) == pytest.approx(crossed_kernel(*given)[0], abs=0.01)


def test_no_number_in_gives_no_number_out():
    given = several(units=3)
    given[0] = np.where(np.arange(12) == 4, np.nan, given[0])
    assert all(np.isnan(part).all() for part in map(np.asarray, crossed_kernel(*given)))


def test_drawn_effects_follow_their_posterior():
    """20,000 draws of one unit's effect: mean and sd against quadrature, 5 standard errors (of the mean sd / 141)."""
    given = several(units=1)
    skip = [a for i, a in enumerate(given) if i not in (7, 12, 13)]
    draws = draw_units(*skip, np.zeros(20_000, np.int64), np.random.default_rng(1).uniform(size=20_000))
    z = np.linspace(-8.0, 8.0, 16001)
    x = given[0][:, None] + 2.4 * z
    psi = given[10] @ x - given[11] @ np.logaddexp(0.0, x) - 0.5 * z**2
    p = np.exp(psi - special.logsumexp(psi))
    mean = p @ z
    sd = np.sqrt(p @ (z - mean) ** 2)
    assert draws.mean() == pytest.approx(mean, abs=5 * sd / 141)
    assert draws.std() == pytest.approx(sd, rel=5 / 200 + 0.03)  # the step function widens the sd by up to 3 %


CRUXEVAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "benchmarks" / "cruxeval_input_counts.parquet"


@pytest.mark.skipif(not CRUXEVAL.exists(), reason="needs ../shared/data/benchmarks beside the checkout")
def test_cruxeval_mode():
    """33 models x 800 items x 10 samples, maximum likelihood: sd of items 2.377, mean and sd of abilities -.537 and 1.021.

    Reference figures from 161 and 321 fixed nodes, which agree; 61 gave a mean of -.313. Halving the spacing moves nothing.
    """
    import pandas as pd
    from scipy.optimize import minimize

    table = pd.read_parquet(CRUXEVAL)
    wide = table.pivot_table(index="item", columns="model", values=["successes", "trials"])
    full = (wide["trials"] == 10).all(axis=0).to_numpy()
    k = wide["successes"].to_numpy()[:, full].ravel()
    given = several(units=800, columns=33)
    given[10] = k

    def negative(x, fine):
        given[0], given[2], given[12] = x[:33].copy(), np.exp(x[33:34]), np.array([fine])
        value, d_eta, _, d_sd, _ = crossed_kernel(*given)
        return -value, -np.append(d_eta, d_sd * given[2])

    start = np.append(np.zeros(33), 0.5)
    found = [minimize(negative, start, (fine,), "L-BFGS-B", jac=True, options={"maxiter": 500}).x for fine in (1.0, 2.0)]
    sd, ability = np.exp(found[0][33]), found[0][:33]
    assert np.abs(found[0] - found[1]).max() < 1e-3
    assert (sd, ability.mean(), ability.std()) == pytest.approx((2.377, -0.537, 1.021), rel=0.01)
