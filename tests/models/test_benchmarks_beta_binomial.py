"""Over-dispersed counts: SciPy's law of a cell, mpmath at the ends, fine grids, differences, and the binomial limit."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy import special, stats

pytest.importorskip("pymc")

from bayeskit_models.benchmarks.beta_binomial import (
    beta_binomial_kernel,
    draw_units,
    log_likelihood,
    unit_log_likelihood,
)
from bayeskit_models.benchmarks.cheapest import crossed_kernel

FREE = 5


def arguments(eta, k, n, precision, sd=1.3, inner=0.0, chance=0.0, group=None, fine=1.0, shift=0.2):
    """One unit."""
    cells = len(eta)
    return [
        np.asarray(eta, float), np.array([shift]), np.array([sd]), np.array([inner]), np.array([precision]), np.array([chance]),
        np.array([0, cells]), np.zeros(1, int), np.ones(1), np.arange(cells), np.arange(cells) if group is None else group,
        np.asarray(k, float), np.asarray(n, float), np.array([fine]), np.empty(0, np.int64),
    ]  # fmt: skip


def cell(x, k, n, precision, chance):
    """Log likelihood of a cell's trials at predictors x, factor by factor."""
    p = chance + (1.0 - chance) * special.expit(x)
    q = (1.0 - chance) * special.expit(-x)
    return (
        sum(np.log(p + j / precision) for j in range(int(k)))
        + sum(np.log(q + j / precision) for j in range(int(n - k)))
        - sum(np.log1p(j / precision) for j in range(int(n)))
    )


def reference(given):
    """Trapezoidal sums from -16 to 16 (outer, spacing 0.004) and -12 to 12 (inner, spacing 0.06)."""
    eta, shift, sd, inner, precision, chance, _, _, _, _, group, k, n, _, _ = given
    z = np.linspace(-16.0, 16.0, 8001)
    psi = stats.norm.logpdf(z)
    u = np.linspace(-12.0, 12.0, 401)
    for g in np.unique(group):
        cells = np.flatnonzero(group == g)
        if inner[0] == 0.0:
            psi = psi + sum(cell(eta[c] + shift[0] + sd[0] * z, k[c], n[c], precision[0], chance[0]) for c in cells)
        else:
            x = shift[0] + sd[0] * z[::8, None] + inner[0] * u
            inside = stats.norm.logpdf(u) + sum(cell(eta[c] + x, k[c], n[c], precision[0], chance[0]) for c in cells)
            psi = psi[::8] if psi.size == z.size else psi
            psi = psi + special.logsumexp(inside, axis=1) + np.log(u[1] - u[0])
    return special.logsumexp(psi) + np.log(32.0 / (psi.size - 1))


def make(seed, precision, chance=0.0, inner=0.0, sizes=(1, 2, 10, 30)):
    rng = np.random.default_rng(seed)
    cells = int(rng.integers(2, 7))
    n = rng.choice(sizes, cells)
    k = np.array([rng.integers(0, m + 1) for m in n]) if seed % 3 else n * (seed % 2)
    group = np.sort(rng.integers(0, 3, cells))
    return arguments(rng.normal(0.0, 1.2, cells), k, n, precision, 0.4 + abs(rng.normal(0.0, 2.0)), inner, chance, group)


@pytest.mark.parametrize("chance", [0.0, 0.25])
@pytest.mark.parametrize("precision", [0.3, 2.0, 40.0])
def test_a_cell_has_scipys_law(precision, chance):
    """Without an effect of the unit; SciPy's probability is that of the number, ours that of one sequence."""
    for k, n in ((0, 1), (1, 1), (0, 12), (12, 12), (5, 12), (90, 200)):
        for x in (-6.0, -0.3, 0.0, 2.0, 7.0):
            p = chance + (1.0 - chance) * special.expit(x)
            q = (1.0 - chance) * special.expit(-x)
            exact = stats.betabinom(n, p * precision, q * precision).logpmf(k) - np.log(special.comb(n, k))
            found = beta_binomial_kernel(*arguments([x], [k], [n], precision, 0.0, chance=chance, shift=0.0))[0]
            assert found == pytest.approx(exact, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("precision", [1e-9, 1e-3, 1e6, 1e12])
def test_extreme_precisions_keep_their_digits(precision):
    """Against gamma functions of 60 digits, where differences of double precision ones have none left."""
    for k, n, x in ((3, 10, -1.0), (10, 10, 0.4), (0, 9, 30.0), (40, 1000, -3.0)):
        with mpmath.workdps(60):
            p = 1 / (1 + mpmath.exp(-mpmath.mpf(x)))
            a, b = p * precision, (1 - p) * precision
            exact = mpmath.log(mpmath.beta(a + k, b + n - k) / mpmath.beta(a, b))
        found = beta_binomial_kernel(*arguments([x], [k], [n], precision, 0.0, shift=0.0))[0]
        assert found == pytest.approx(float(exact), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("chance", [0.0, 0.25])
@pytest.mark.parametrize("inner", [0.0, 0.7])
def test_infinite_precision_is_the_binomial(chance, inner):
    """Precision 1e15 differs from none by n^2 / 1e15."""
    for seed in range(4):
        given = make(seed, 1e15, chance, inner)
        plain = crossed_kernel(*given[:4], *given[5:])
        found = beta_binomial_kernel(*given)
        for a, b in zip(plain, found, strict=False):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("precision", [0.05, 1.0, 8.0, 300.0])
def test_units_are_fine_grids(precision):
    """Error below 1e-9 over units mixed, all right and all wrong, with and without a chance level."""
    for seed in range(6):
        for chance in (0.0, 0.25):
            given = make(seed, precision, chance)
            assert beta_binomial_kernel(*given)[0] == pytest.approx(reference(given), abs=1e-9)


def test_units_with_an_interaction_are_fine_grids():
    """The inner sum ends at 8 standard deviations: error below 1e-7."""
    for seed in range(4):
        given = make(seed, 3.0, 0.25 * (seed % 2), 0.8, sizes=(1, 2, 10))
        assert beta_binomial_kernel(*given)[0] == pytest.approx(reference(given), abs=1e-7)


@pytest.mark.parametrize("inner", [0.0, 0.6])
@pytest.mark.parametrize("precision", [0.2, 5.0, 1e4])
def test_gradients_are_differences_of_the_value(precision, inner):
    """Central differences at half the spacing; agreement is limited by the rounding of the differences."""
    for seed in range(4):
        given = make(seed, precision, 0.25 * (seed % 2), inner)
        given[13] = np.array([2.0])
        found = beta_binomial_kernel(*given)
        for place in range(FREE):
            if place == 3 and inner == 0.0:
                continue
            for at in range(given[place].size):
                h = 1e-5 * max(1.0, given[place][at])
                ends = []
                for sign in (1.0, -1.0):
                    moved = [a.copy() for a in given]
                    moved[place][at] += sign * h
                    ends.append(beta_binomial_kernel(*moved)[0])
                assert found[1 + place][at] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=2e-6, rel=1e-6)


def several(units=40, columns=5, benchmarks=2):
    """Arguments of the kernel for items of two benchmarks."""
    rng = np.random.default_rng(7)
    column = np.tile(np.arange(columns), units)
    return [
        rng.normal(size=columns), np.zeros(units), np.array([1.5, 0.8]), np.zeros(benchmarks), np.array([4.0, 0.7]),
        np.array([0.0, 0.25]), np.arange(units + 1) * columns, np.arange(units) % benchmarks, np.arange(units) % 3.0, column,
        column.copy(), rng.integers(0, 11, column.size).astype(float), np.full(column.size, 10.0), np.ones(1),
        np.empty(0, np.int64),
    ]  # fmt: skip


def test_units_add_up_with_weights():
    """Benchmarks have parameters of their own, and the operation in a graph is the kernel."""
    import pytensor
    import pytensor.tensor as pt

    given = several()
    each = unit_log_likelihood(*given[:8], *given[9:])
    value, *gradients = beta_binomial_kernel(*given)
    assert value == pytest.approx(given[8] @ each, rel=1e-12)
    symbols = [pt.dvector(f"x{i}") for i in range(FREE)]
    operation = log_likelihood(*symbols, *given[FREE:])
    numbers = pytensor.function(symbols, [operation, *pytensor.grad(operation, symbols)])(*given[:FREE])
    for a, b in zip([value, *gradients], numbers, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)
    given[4] = np.array([np.nan, 1.0])
    assert all(np.isnan(part).all() for part in map(np.asarray, beta_binomial_kernel(*given)))


def test_drawn_effects_follow_their_posterior():
    """20,000 draws of one unit's effect: mean and sd against quadrature, 5 standard errors (of the mean sd / 141)."""
    given = arguments([0.5, -1.0, 0.2], [8, 1, 9], [10, 10, 10], 4.0, 2.0)
    skip = [a for i, a in enumerate(given) if i not in (8, 13, 14)]
    draws = draw_units(*skip, np.zeros(20_000, np.int64), np.random.default_rng(1).uniform(size=20_000))
    z = np.linspace(-10.0, 10.0, 8001)
    psi = sum(cell(e + 0.2 + 2.0 * z, k, 10, 4.0, 0.0) for e, k in zip(given[0], given[11], strict=True)) - 0.5 * z**2
    p = np.exp(psi - special.logsumexp(psi))
    mean = p @ z
    sd = np.sqrt(p @ (z - mean) ** 2)
    assert draws.mean() == pytest.approx(mean, abs=5 * sd / 141)
    assert draws.std() == pytest.approx(sd, rel=5 / 200 + 0.03)  # the step function widens the sd by up to 3 %
