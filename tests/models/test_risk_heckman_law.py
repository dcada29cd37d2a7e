"""Heckman's law: the joint density, quadrature, gradients in every tail, the two parameterisations, the fused kernel."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy import integrate, special, stats

pytest.importorskip("pymc")

from bayeskit_models.risk import heckman_law as law
from bayeskit_models.risk.heckman_kernel import heckman_kernel

POINTS = [
    (1.3, 0.4, -0.6, 0.2, 0.7), (-2.0, 1.0, 1.5, -0.5, -1.4), (0.0, 0.0, 0.0, 0.0, 0.0),
    (9.0, -3.0, -4.0, 0.1, -2.0), (-8.0, 3.0, 5.0, -0.3, 2.5), (0.5, 0.2, -30.0, 0.0, 0.1), (2.0, -1.0, 1.0, 0.4, -7.0),
]  # fmt: skip
"""outcome, mu, nu, log sigma, atanh rho; the last four lie in the tails."""


def exact(y, mu, nu, log_sigma, a):
    """Log density of a tested row with 40 digits, written with rho, not with cosh and sinh."""
    y, mu, nu, log_sigma, a = (mpmath.mpf(v) for v in (y, mu, nu, log_sigma, a))
    sigma, rho = mpmath.exp(log_sigma), mpmath.tanh(a)
    e = (y - mu) / sigma
    return mpmath.log(mpmath.npdf(e) / sigma * mpmath.ncdf((nu + rho * e) / mpmath.sqrt(1 - rho**2)))


@pytest.mark.parametrize("point", POINTS)
def test_against_forty_digits(point):
    with mpmath.workdps(40):
        assert law.log_tested(*point) == pytest.approx(float(exact(*point)), rel=1e-12)
        assert law.log_untested(point[2]) == pytest.approx(float(mpmath.log(mpmath.ncdf(-point[2]))), rel=1e-14)


def test_no_selection_factorises():
    rng = np.random.default_rng(0)
    y, mu, nu = rng.normal(size=(3, 50))
    found = law.log_tested(y, mu, nu, 0.3, 0.0)
    np.testing.assert_allclose(found, stats.norm(mu, np.exp(0.3)).logpdf(y) + special.log_ndtr(nu), rtol=1e-13)


@pytest.mark.parametrize(("mu", "nu", "log_sigma", "a"), [p[1:] for p in POINTS[:4]])
def test_density_of_tested_integrates_to_the_probability(mu, nu, log_sigma, a):
    sigma = np.exp(log_sigma)

    def by(power):
        return integrate.quad(
            lambda y: y**power * np.exp(law.log_tested(y, mu, nu, log_sigma, a)), mu - 12 * sigma, mu + 12 * sigma,
            epsabs=1e-13, epsrel=1e-11, limit=300, points=[mu],
        )[0]  # fmt: skip

    chance, first, second = by(0), by(1), by(2)
    assert chance == pytest.approx(special.ndtr(nu), rel=1e-9)
    mean, variance = law.moments(mu, nu, log_sigma, a, True)
    assert mean == pytest.approx(first / chance, rel=1e-8, abs=1e-9)
    assert variance == pytest.approx(second / chance - (first / chance) ** 2, rel=1e-7)
    # the law of total expectation and variance gives the untested
    rest = special.ndtr(-nu)
    other, other_variance = law.moments(mu, nu, log_sigma, a, False)
    assert chance * mean + rest * other == pytest.approx(mu, abs=1e-9)
    within, between = chance * variance + rest * other_variance, chance * (mean - mu) ** 2 + rest * (other - mu) ** 2
    assert within + between == pytest.approx(sigma**2, rel=1e-9)


@pytest.mark.parametrize("a", [-1.4, 0.0, 0.8])
def test_exceedance(a):
    mu, nu, log_sigma, limit = 0.4, -0.3, 0.2, 1.1
    sigma = np.exp(log_sigma)
    above = integrate.quad(
        lambda y: np.exp(law.log_tested(y, mu, nu, log_sigma, a)), limit, limit + 15 * sigma, epsabs=0, epsrel=1e-12
    )[0]
    tested, untested = (law.exceedance(limit, mu, nu, log_sigma, a, t) for t in (True, False))
    assert tested == pytest.approx(above / special.ndtr(nu), rel=1e-10)
    everybody = law.exceedance(limit, mu, nu, log_sigma, a)
    assert everybody == pytest.approx(stats.norm(mu, sigma).sf(limit), rel=1e-13)
    assert special.ndtr(nu) * tested + special.ndtr(-nu) * untested == pytest.approx(everybody, rel=1e-12)


def test_the_two_parameterisations():
    """There and back to 1e-10 for either sign of alpha, the covariance that others call rho, and equal likelihoods to 1e-8."""
    rng = np.random.default_rng(2)
    n = 400
    y, mu, delta = rng.normal(size=(3, n)) * 2
    alpha, log_sigma = rng.normal(size=n) * 1.5, rng.normal(size=n) * 0.7
    sigma = np.exp(log_sigma)
    nu, a = law.from_unobservable(mu, delta, alpha, log_sigma)
    back_delta, back_alpha = law.to_unobservable(mu, nu, log_sigma, a)
    np.testing.assert_allclose(back_delta, delta, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(back_alpha, alpha, rtol=1e-10, atol=1e-10)
    q = np.sqrt(1 + alpha**2 * sigma**2)
    np.testing.assert_allclose(np.tanh(a) * sigma, alpha * sigma**2 / q, rtol=1e-12)
    np.testing.assert_allclose(nu, (alpha * mu + delta) / q, rtol=1e-12)
    tested = stats.norm(mu, sigma).logpdf(y) + special.log_ndtr(alpha * y + delta)
    np.testing.assert_allclose(law.log_tested(y, mu, nu, log_sigma, a), tested, rtol=1e-8)

    def miss(i):
        def at(z):
            return stats.norm.pdf(z) * special.ndtr(-alpha[i] * (mu[i] + sigma[i] * z) - delta[i])

        return integrate.quad(at, -10, 10)[0]

    untested = [miss(i) for i in range(20)]
    np.testing.assert_allclose(np.exp(law.log_untested(nu[:20])), untested, rtol=1e-8, atol=1e-10)


def test_expertise_is_a_masked_coefficient():
    """A feature along which testing follows risk alone has ``beta_Y = beta_T sigma / rho`` (sigma^2 over the covariance)."""
    beta, alpha, log_sigma = np.array([0.7, -0.4]), 0.9, 0.3
    testing, a = law.from_unobservable(beta, np.zeros(2), alpha, log_sigma)
    np.testing.assert_allclose(beta, testing * np.exp(log_sigma) / np.tanh(a), rtol=1e-12)


def test_rows():
    y, tested = np.array([0.3, np.nan, -1.0]), np.array([True, False, True])
    found = law.log_likelihood(y, tested, 0.1, 0.4, 0.2, -0.6)
    told = [law.log_tested(0.3, 0.1, 0.4, 0.2, -0.6), law.log_untested(0.4), law.log_tested(-1.0, 0.1, 0.4, 0.2, -0.6)]
    np.testing.assert_array_equal(found, told)


@pytest.fixture(scope="module")
def graph():
    """Value and gradient of single rows as a plain graph."""
    import pytensor
    import pytensor.tensor as pt

    inputs = pt.dvectors("y", "mu", "nu", "log_sigma", "a")
    algebra = law.pytensor_algebra()
    tested = algebra.log_tested(*inputs)
    untested = algebra.log_untested(inputs[2])
    outputs = [tested, *pytensor.grad(tested.sum(), inputs), untested, pytensor.grad(untested.sum(), inputs[2])]
    return pytensor.function(inputs, outputs, mode="FAST_COMPILE")


def test_graph_and_its_gradient(graph):
    """The gradient against differences with 40 digits, in the tails too."""
    value, *gradient, untested, slope = graph(*np.array(POINTS).T)
    np.testing.assert_allclose(value, law.log_tested(*np.array(POINTS).T), rtol=1e-13)
    np.testing.assert_allclose(untested, law.log_untested(np.array(POINTS)[:, 2]), rtol=1e-13)
    with mpmath.workdps(40):
        for row, point in enumerate(POINTS):
            for i in range(5):

                def along(x, i=i, point=point):
                    return exact(*point[:i], x, *point[i + 1 :])

                assert gradient[i][row] == pytest.approx(float(mpmath.diff(along, point[i])), rel=1e-9, abs=1e-11)
            told = mpmath.diff(lambda x: mpmath.log(mpmath.ncdf(-x)), point[2])
            assert slope[row] == pytest.approx(float(told), rel=1e-10, abs=1e-14)


def kernel_data(seed=3, rows=1300, patterns=170):
    rng = np.random.default_rng(seed)
    mu, nu = rng.normal(size=(2, patterns)) * 2
    pattern = rng.integers(0, patterns, rows)
    tested = rng.uniform(size=rows) < 0.55
    outcome = (mu[pattern] + 2 * rng.normal(size=rows))[tested]
    weight = rng.uniform(0.2, 3.0, rows)
    return (mu, nu), (outcome, pattern[tested], weight[tested], pattern[~tested], weight[~tested])


@pytest.mark.parametrize(("log_sigma", "a"), [(0.0, 0.0), (0.7, 0.9), (-0.4, -2.0), (1.0, 6.0)])
def test_fused_kernel_is_the_plain_graph(graph, log_sigma, a):
    """Several blocks of rows, shared patterns, weights: value and gradients to 1e-10."""
    (mu, nu), data = kernel_data()
    value, d_mu, d_nu, d_sigma, d_a = heckman_kernel(mu, nu, np.array([log_sigma]), np.array([a]), *data)
    y, p, w, q, v = data
    tested = graph(y, mu[p], nu[p], np.full(len(y), log_sigma), np.full(len(y), a))
    untested = graph(np.zeros(len(q)), mu[q], nu[q], np.zeros(len(q)), np.zeros(len(q)))
    assert value == pytest.approx((w * tested[0]).sum() + (v * untested[6]).sum(), rel=1e-12)
    told_mu, told_nu = np.bincount(p, w * tested[2], len(mu)), np.bincount(p, w * tested[3], len(mu))
    told_nu += np.bincount(q, v * untested[7], len(mu))
    np.testing.assert_allclose(d_mu, told_mu, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(d_nu, told_nu, rtol=1e-10, atol=1e-10)
    assert d_sigma == pytest.approx((w * tested[4]).sum(), rel=1e-10)
    assert d_a == pytest.approx((w * tested[5]).sum(), rel=1e-9)


def test_kernel_in_the_tails():
    """One row each at scores of plus and minus a thousand: finite and those of the formulas."""
    for nu in (-1e3, 1e3):
        for y in (-40.0, 40.0):
            value, d_mu, *_ = heckman_kernel(
                np.array([0.0]), np.array([nu]), np.zeros(1), np.array([0.5]),
                np.array([y]), np.zeros(1, np.int64), np.ones(1), np.zeros(1, np.int64), np.ones(1),
            )  # fmt: skip
            told = law.log_tested(y, 0.0, nu, 0.0, 0.5) + law.log_untested(nu)
            assert value == pytest.approx(told, rel=1e-13)
            assert np.isfinite(d_mu).all()


def test_kernel_refuses_what_is_no_number():
    (mu, nu), data = kernel_data()
    for a in (np.nan, 400.0, -400.0):
        assert np.isnan(heckman_kernel(mu, nu, np.zeros(1), np.array([a]), *data)[0])
    assert np.isnan(heckman_kernel(np.where(mu > 1, np.nan, mu), nu, np.zeros(1), np.zeros(1), *data)[0])


def test_kernel_in_a_graph():
    import pytensor
    import pytensor.tensor as pt

    from bayeskit_models.risk.heckman_kernel import log_likelihood

    (mu, nu), data = kernel_data(rows=300)
    scale, z = pt.dscalars("scale", "z")
    value = log_likelihood(mu, nu, pt.log(scale)[None], pt.arctanh(z)[None], *data)
    found = pytensor.function([scale, z], [value, *pytensor.grad(value, [scale, z])])(1.5, 0.4)
    told = heckman_kernel(mu, nu, np.log([1.5]), np.arctanh([0.4]), *data)
    np.testing.assert_allclose(found, [told[0], told[3][0] / 1.5, told[4][0] / (1 - 0.4**2)], rtol=1e-12)
