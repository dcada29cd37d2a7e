"""Scores from 0 to 1: SciPy's laws of a cell, fine grids, differences, shared tables, draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

pytest.importorskip("pymc")

from bayeskit_models.benchmarks.ordered_beta import draw_units, log_likelihood, ordered_beta_kernel, unit_log_likelihood
from bayeskit_models.benchmarks.tables import fold

FREE = 7
NONE = np.empty(0, np.int64)


def statistics(scores):
    """Sufficient statistics of each cell."""
    rows = []
    for y in map(np.asarray, scores):
        own = y[(y > 0.0) & (y < 1.0)]
        rows.append([(y == 0.0).sum(), (y == 1.0).sum(), own.size, np.log(own).sum(), np.log1p(-own).sum()])
    return list(np.ascontiguousarray(np.array(rows, float).T))


def simulate(x, low, high, precision, rng):
    """One score at each predictor."""
    p, mean = rng.uniform(size=x.shape), special.expit(x)
    inside = rng.beta(mean * precision, (1.0 - mean) * precision)
    inside = np.clip(inside, 1e-12, 1.0 - 1e-12)
    return np.where(p < special.expit(low - x), 0.0, np.where(p > special.expit(high - x), 1.0, inside))


def make(seed=0, units=3, models=3, size=4, sd=1.2, inner=0.0, cuts=(-1.0, 2.0), precision=6.0):
    rng = np.random.default_rng(seed)
    eta, shift = rng.normal(size=models), 0.3 * rng.normal(size=units)
    x = eta + shift[:, None] + sd * rng.normal(size=(units, 1)) + inner * rng.normal(size=(units, models))
    scores = simulate(np.repeat(x.ravel()[:, None], size, axis=1), *cuts, precision, rng)
    column = np.tile(np.arange(models), units)
    return [
        eta, shift, np.array([sd]), np.array([inner]), np.array([cuts[0]]), np.array([cuts[1]]), np.array([precision]),
        np.arange(units + 1) * models, np.zeros(units, int), 1.0 + np.arange(units) % 2, column, column.copy(),
        *statistics(scores), np.ones(1), NONE,
    ]  # fmt: skip


def law(x, low, high, precision, cell):
    """Log likelihood of a cell at predictors x, from SciPy's functions."""
    zeros, ones, inside, log_score, log_rest = cell
    a, b = special.expit(x) * precision, special.expit(-x) * precision
    middle = np.log(special.expit(x - low) - special.expit(x - high))
    value = zeros * special.log_expit(low - x) + ones * special.log_expit(x - high) + inside * middle
    return value + (a - 1.0) * log_score + (b - 1.0) * log_rest - inside * special.betaln(a, b) if inside else value


def reference(given, i):
    """Trapezoidal sums from -14 to 14 (spacing 0.007) and, inside, from -10 to 10 (spacing 0.05)."""
    eta, shift, sd, inner, low, high, precision, ptr = given[:8]
    z, u = np.linspace(-14.0, 14.0, 4001), np.linspace(-10.0, 10.0, 401)
    psi = stats.norm.logpdf(z)
    for c in range(ptr[i], ptr[i + 1]):
        cell = [row[c] for row in given[12:17]]
        x = eta[given[10][c]] + shift[i] + sd[0] * z
        if inner[0] == 0.0:
            psi = psi + law(x, low[0], high[0], precision[0], cell)
            continue
        within = law(x[:, None] + inner[0] * u, low[0], high[0], precision[0], cell) + stats.norm.logpdf(u)
        psi = psi + special.logsumexp(within, axis=1) + np.log(u[1] - u[0])
    return special.logsumexp(psi) + np.log(z[1] - z[0])


@pytest.mark.parametrize("precision", [0.4, 5.0, 300.0])
def test_a_cell_has_the_law_of_its_parts(precision):
    """Zeros, ones and beta scores one by one, without an effect of the unit."""
    scores = np.array([0.0, 0.0, 1.0, 0.2, 0.93, 1e-4, 0.5])
    for x in (-5.0, -0.4, 0.0, 1.3, 6.0):
        p = special.expit(x)
        beta = stats.beta(p * precision, (1.0 - p) * precision).logpdf(scores[3:])
        inside = np.log(special.expit(x + 1.0) - special.expit(x - 2.0))
        exact = 2 * special.log_expit(-1.0 - x) + special.log_expit(x - 2.0) + (inside + beta).sum()
        given = make(units=1, models=1, sd=0.0, precision=precision)
        given[0], given[1], given[9], given[12:17] = np.array([x]), np.zeros(1), np.ones(1), statistics([scores])
        assert ordered_beta_kernel(*given)[0] == pytest.approx(exact, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("precision", [0.5, 6.0, 80.0])
@pytest.mark.parametrize("size", [1, 6])
def test_units_are_fine_grids(size, precision):
    """Error below 1e-9 without and 1e-7 with an interaction, whose sum ends at 8 standard deviations; weights repeat units."""
    for inner, bound in ((0.0, 1e-9), (0.6, 1e-7)):
        given = make(3, size=size, precision=precision, inner=inner)
        exact = np.array([reference(given, i) for i in range(3)])
        each = unit_log_likelihood(*given[:9], *given[10:18])
        assert np.abs(each - exact).max() < bound
        assert ordered_beta_kernel(*given)[0] == pytest.approx(given[9] @ each, rel=1e-12)


@pytest.mark.parametrize("inner", [0.0, 0.6])
def test_gradients_are_differences_of_the_value(inner):
    """Central differences at half the spacing; agreement is limited by the rounding of the differences."""
    for precision in (0.7, 20.0):
        given = make(5, inner=inner, precision=precision)
        given[17] = np.full(1, 2.0)
        found = ordered_beta_kernel(*given)
        for place in range(FREE):
            if place == 3 and inner == 0.0:
                continue
            for at in range(given[place].size):
                ends = []
                for sign in (1.0, -1.0):
                    moved = [a.copy() for a in given]
                    moved[place][at] += sign * 1e-5
                    ends.append(ordered_beta_kernel(*moved)[0])
                assert found[1 + place][at] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=2e-6, rel=1e-6)


def plain_graph(given, symbols):
    """The same log likelihood as a graph of plain operations: every cell on a fixed grid of its unit's effect (and inside)."""
    import pytensor.tensor as pt

    eta, shift, sd, inner, low, high, precision = symbols
    z, u = np.linspace(-12.0, 12.0, 601), np.linspace(-8.5, 8.5, 171)
    total = 0.0
    for i, weight in enumerate(given[9]):
        psi = stats.norm.logpdf(z) + np.log(z[1] - z[0])
        for c in range(*given[7][i : i + 2]):
            zeros, ones, inside, log_score, log_rest = (row[c] for row in given[12:17])
            x = eta[given[10][c]] + shift[i] + sd[0] * z
            x = x[:, None] + inner[0] * u if given[3][0] else x
            a, b = pt.sigmoid(x) * precision[0], pt.sigmoid(-x) * precision[0]
            cell = -zeros * pt.softplus(x - low[0]) - ones * pt.softplus(high[0] - x)
            cell += inside * pt.log(pt.sigmoid(x - low[0]) - pt.sigmoid(x - high[0]))
            cell += inside * (pt.gammaln(precision[0]) - pt.gammaln(a) - pt.gammaln(b))
            cell += (a - 1.0) * log_score + (b - 1.0) * log_rest if inside else 0.0
            psi = psi + (pt.logsumexp(cell + stats.norm.logpdf(u) + np.log(u[1] - u[0]), axis=1) if given[3][0] else cell)
        total += weight * pt.logsumexp(psi)
    return total


@pytest.mark.parametrize(("inner", "bound"), [(0.0, 1e-8), (0.6, 1e-7)])
def test_gradients_are_those_of_a_plain_graph(inner, bound):
    """Value and all gradients; the sum over an interaction ends at 8 standard deviations, hence its bound."""
    import pytensor
    import pytensor.tensor as pt

    given = make(5, inner=inner, precision=6.0)
    given[17] = np.full(1, 2.0)
    symbols = [pt.dvector(f"x{i}") for i in range(FREE)]
    total = plain_graph(given, symbols)
    wanted = [i for i in range(FREE) if i != 3 or inner]
    outputs = [total, *pytensor.grad(total, [symbols[i] for i in wanted])]
    mode = pytensor.compile.mode.Mode(linker="py", optimizer=None)
    exact = pytensor.function(symbols, outputs, mode=mode, on_unused_input="ignore")(*given[:FREE])
    found = ordered_beta_kernel(*given)
    for place, numbers in zip([-1, *wanted], exact, strict=True):
        np.testing.assert_allclose(found[1 + place], numbers, rtol=bound, atol=bound)


@pytest.mark.parametrize("inner", [0.0, 0.8])
def test_shared_tables_give_what_own_nodes_give(inner):
    """One score a cell, most of them 0 or 1, so that cells repeat: value and gradients at 1e-8 of the largest entry."""
    given = make(6, units=400, size=1, inner=inner, cuts=(0.3, 0.31))
    kind = fold(*given[7:9], *given[10:17])
    assert kind.size
    own = ordered_beta_kernel(*given[:17], np.full(1, 2.0), NONE)
    for a, b in zip(ordered_beta_kernel(*given[:18], kind), own, strict=True):
        assert np.abs(np.subtract(a, b)).max() < 1e-8 * max(np.abs(b).max(), 1.0)


def test_operation_in_a_graph_is_the_kernel():
    import pytensor
    import pytensor.tensor as pt

    given = make(7, inner=0.4)
    symbols = [pt.dvector(f"x{i}") for i in range(FREE)]
    operation = log_likelihood(*symbols, *given[FREE:18])
    numbers = pytensor.function(symbols, [operation, *pytensor.grad(operation, symbols)])(*given[:FREE])
    for a, b in zip(ordered_beta_kernel(*given), numbers, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)


def test_parameters_without_a_law_give_no_number():
    for place, bad in ((0, np.nan), (4, 2.5), (6, 0.0)):
        given = make()
        given[place] = given[place].copy()
        given[place][0] = bad
        assert all(np.isnan(part).all() for part in map(np.asarray, ordered_beta_kernel(*given)))


def test_drawn_effects_follow_their_posterior():
    """20,000 draws of one unit's effect: mean and sd against quadrature, 5 standard errors (of the mean sd / 141)."""
    given = make(8, units=1)
    draws = draw_units(*given[:9], *given[10:17], np.zeros(20_000, np.int64), np.random.default_rng(1).uniform(size=20_000))
    z = np.linspace(-10.0, 10.0, 8001)
    psi = -0.5 * z**2
    for c in range(3):
        psi = psi + law(given[0][c] + given[1][0] + 1.2 * z, -1.0, 2.0, 6.0, [row[c] for row in given[12:17]])
    p = np.exp(psi - special.logsumexp(psi))
    mean = p @ z
    sd = np.sqrt(p @ (z - mean) ** 2)
    assert draws.mean() == pytest.approx(mean, abs=5 * sd / 141)
    assert draws.std() == pytest.approx(sd, rel=5 / 200 + 0.03)  # the step function widens the sd by up to 3 %
