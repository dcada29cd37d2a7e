"""Continuous scores: dense multivariate normals, differences, a plain graph, limits, and summaries of seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("pymc")

from bayeskit_models.benchmarks.gaussian import (
    draw_units,
    gaussian_kernel,
    log_likelihood,
    summary_statistics,
    unit_log_likelihood,
    unit_posterior,
)

COLUMNS, BENCHMARKS, FREE = 6, 2, 5


def make(seed=0, units=7, inner=0.5, sd=1.2, sizes=(0, 1, 1, 4)):
    """Arguments of the kernel, and of each unit its single scores with their columns and groups."""
    rng = np.random.default_rng(seed)
    eta, shift = rng.normal(size=COLUMNS), rng.normal(size=units)
    spread = [np.array([sd, 0.6 * sd]), np.array([inner, 1.7 * inner]), np.array([0.8, 0.3])]
    benchmark = np.arange(units) % BENCHMARKS
    ptr, column, group, n, scores = [0], [], [], [], []
    for b in benchmark:
        cells = int(rng.integers(1, COLUMNS + 1))
        own = np.sort(rng.choice(COLUMNS, cells, replace=False))
        size = rng.choice(sizes, cells)
        z, u = rng.normal(), rng.normal(size=3)
        scores += [
            eta[c] + spread[0][b] * z + spread[1][b] * u[c // 2] + rng.normal(0.0, 0.5, s)
            for c, s in zip(own, size, strict=True)
        ]
        column, group, n = [*column, *own], [*group, *(own // 2)], [*n, *size]
        ptr.append(ptr[-1] + cells)
    total = np.array([s.sum() for s in scores])
    square = np.array([((s - s.mean()) ** 2).sum() if s.size else 0.0 for s in scores])
    given = [
        eta, shift, *spread, np.array(ptr), benchmark, 1.0 + np.arange(units) % 3, np.array(column), np.array(group),
        np.array(n, float), total, square,
    ]  # fmt: skip
    return given, scores


def without_weight(given):
    return [a for i, a in enumerate(given) if i != 7]


def dense(given, scores, i):
    """Scores, their mean and their covariance matrix for unit i, and the covariance of z with them."""
    eta, shift, sd, inner, noise, ptr, benchmark, _, column, group = given[:10]
    b, cells = benchmark[i], np.arange(ptr[i], ptr[i + 1])
    size = np.array([scores[c].size for c in cells])
    y = np.concatenate([scores[c] for c in cells])
    mean, g = np.repeat(eta[column[cells]] + shift[i], size), np.repeat(group[cells], size)
    cov = sd[b] ** 2 + inner[b] ** 2 * (g[:, None] == g) + noise[b] ** 2 * np.eye(y.size)
    return y, mean, cov, np.full(y.size, sd[b])


CASES = [
    {"seed": 0}, {"seed": 1, "inner": 0.0}, {"seed": 2, "sd": 0.0}, {"seed": 3, "sd": 0.0, "inner": 0.0},
    {"seed": 4, "sizes": (1,)}, {"seed": 5, "sizes": (0, 30)}, {"seed": 6, "sizes": (0,)},
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_units_are_dense_multivariate_normals(case):
    """Value, and posterior of the unit's effect, against matrices of the single scores; empty units have likelihood one."""
    given, scores = make(**case)
    value, mean, sd = unit_posterior(*without_weight(given))
    for i in range(value.size):
        y, m, cov, cross = dense(given, scores, i)
        if not y.size:
            assert (value[i], mean[i], sd[i]) == (0.0, 0.0, 1.0)
            continue
        gain = np.linalg.solve(cov, cross)
        assert value[i] == pytest.approx(stats.multivariate_normal(m, cov).logpdf(y), rel=1e-10, abs=1e-10)
        assert mean[i] == pytest.approx(gain @ (y - m), rel=1e-10, abs=1e-12)
        assert sd[i] == pytest.approx(np.sqrt(1.0 - gain @ cross), rel=1e-10)
    assert gaussian_kernel(*given)[0] == pytest.approx(given[7] @ value, rel=1e-12)
    assert (unit_log_likelihood(*without_weight(given)) == value).all()


@pytest.mark.parametrize("case", CASES[:6], ids=str)
def test_gradients_are_differences_of_the_value(case):
    """Five-point differences of step 1e-3, error of order 1e-12 of the fifth derivative and 1e-12 of rounding."""
    given, _ = make(**case)
    found = gaussian_kernel(*given)
    for place in range(FREE):
        for at in range(given[place].size):
            ends = []
            for steps in (-2.0, -1.0, 1.0, 2.0):
                moved = [a.copy() for a in given]
                moved[place][at] += 1e-3 * steps
                ends.append(gaussian_kernel(*moved)[0])
            slope = (ends[0] - 8.0 * ends[1] + 8.0 * ends[2] - ends[3]) / 12e-3
            assert found[1 + place][at] == pytest.approx(slope, rel=1e-7, abs=1e-7)


def graph(given, scores):
    """The same as a PyTensor graph of dense matrices."""
    import pytensor.tensor as pt

    symbols = [pt.dvector(f"x{i}") for i in range(FREE)]
    eta, shift, sd, inner, noise = symbols
    ptr, benchmark, weight, column, group = given[5:10]
    terms = []
    for i, b in enumerate(benchmark):
        cells = np.arange(ptr[i], ptr[i + 1])
        size = np.array([scores[c].size for c in cells])
        if not size.sum():
            continue
        y = np.concatenate([scores[c] for c in cells])
        g = np.repeat(group[cells], size)
        left = y - eta[np.repeat(column[cells], size)] - shift[i]
        cov = sd[b] ** 2 + inner[b] ** 2 * (g[:, None] == g).astype(float) + noise[b] ** 2 * pt.eye(y.size)
        quadratic = left @ pt.linalg.solve(cov, left)
        terms.append(-0.5 * weight[i] * (y.size * np.log(2.0 * np.pi) + pt.log(pt.linalg.det(cov)) + quadratic))
    return symbols, pt.sum(pt.stack(terms))


def test_fused_operation_is_the_graph():
    """Value and derivatives through PyTensor, of the operation and of dense matrices, at 1e-10."""
    import pytensor

    given, scores = make()
    symbols, plain = graph(given, scores)
    fused = log_likelihood(*symbols, *given[FREE:])
    outputs = [x for value in (plain, fused) for x in (value, *pytensor.grad(value, symbols))]
    numbers = pytensor.function(symbols, outputs)(*given[:FREE])
    for a, b in zip(numbers[: FREE + 1], numbers[FREE + 1 :], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-10)


def test_small_noise_cancels_nothing():
    """Scores of 1e4 with a noise of 1e-3 against the matrix with the large common part taken out by hand."""
    y = 1e4 + np.array([[0.0, 2e-3, -1e-3], [1e-3, 4e-3, 1e-3]])
    given = [
        np.array([1e4, 1e4]), np.zeros(1), np.array([2.0]), np.array([0.0]), np.array([1e-3]), np.array([0, 2]),
        np.zeros(1, int), np.ones(1), np.arange(2), np.arange(2), np.full(2, 3.0), y.sum(1), y.var(1) * 3.0,
    ]  # fmt: skip
    left, v, t = (y - 1e4).ravel(), 1e-6, 4.0
    within = ((left - left.mean()) ** 2).sum() / v + 6 * left.mean() ** 2 / (v + 6 * t)
    expected = -0.5 * (6 * np.log(2 * np.pi) + 5 * np.log(v) + np.log(v + 6 * t) + within)
    assert gaussian_kernel(*given)[0] == pytest.approx(expected, rel=1e-8)


def test_no_number_in_and_no_noise_give_no_number_out():
    for place, bad in ((0, np.nan), (2, np.inf), (4, 0.0)):
        given, _ = make()
        given[place][0] = bad
        assert all(np.isnan(part).all() for part in map(np.asarray, gaussian_kernel(*given)))


def test_drawn_effects_are_the_posterior_quantiles():
    """Draws at even probabilities are quantiles of the normal posterior; members take those of their own unit."""
    given, scores = make()
    y, m, cov, cross = dense(given, scores, 3)
    gain = np.linalg.solve(cov, cross)
    uniform = (np.arange(100) + 0.5) / 100
    member = np.concatenate([np.zeros(2, int), np.full(100, 3)])
    drawn = draw_units(*without_weight(given), member, np.concatenate([[0.5, 0.5], uniform]))
    exact = stats.norm(gain @ (y - m), np.sqrt(1.0 - gain @ cross)).ppf(uniform)
    np.testing.assert_allclose(drawn[2:], exact, rtol=1e-9, atol=1e-9)


def test_summaries_of_seeds_are_sufficient():
    """Number, mean and sd of seeds, as in Table 2 of Madaan et al. (2024): the likelihood is that of the S scores, and that of
    mean ~ normal and sd ~ scaled chi-square, but for a constant that no parameter enters.
    """
    rng = np.random.default_rng(4)
    y = rng.normal(0.4, 0.01, 10)
    size, mean, sd = np.array([10.0, 10.0]), np.array([y.mean(), 0.3971]), np.array([y.std(ddof=1), 0.0087])
    n, total, square = summary_statistics(size, mean, sd)

    def collapsed(eta, noise):
        return gaussian_kernel(
            np.array(eta), np.zeros(1), np.zeros(1), np.zeros(1), np.array([noise]), np.array([0, 2]), np.zeros(1, int),
            np.ones(1), np.arange(2), np.arange(2), n, total, square,
        )[0]  # fmt: skip

    def sampling(eta, noise):
        """Densities of the means and of the variances of samples of size S."""
        scale = noise**2 / (size - 1.0)
        return (stats.norm(eta, noise / np.sqrt(size)).logpdf(mean) + stats.chi2(size - 1.0, scale=scale).logpdf(sd**2)).sum()

    places = [([0.4, 0.39], 0.01), ([0.38, 0.41], 0.02), ([0.405, 0.398], 0.006)]
    values = np.array([[f(eta, noise) for f in (collapsed, sampling)] for eta, noise in places])
    assert np.ptp(values[:, 0] - values[:, 1]) < 1e-9
    scores = [stats.norm(eta[0], noise).logpdf(y).sum() + collapsed([0.4, eta[1]], noise) for eta, noise in places]
    first = [stats.norm(0.4, noise).logpdf(y).sum() for _, noise in places]
    assert values[:, 0] == pytest.approx(np.subtract(scores, first), abs=1e-9)
    alone = summary_statistics(1.0, 0.4, np.nan)
    assert [float(x) for x in alone] == [1.0, 0.4, 0.0]
