"""The probit-probit law: its cells, the quadrature over an unobservable, the fused likelihood and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

pytest.importorskip("pymc")

from bayeskit_models.risk import bivariate_probit as probit


@pytest.mark.parametrize("a", [-7.2, -1.0, 0.0, 0.6, 7.2])
def test_cells_sum_to_one(a):
    mu, nu = np.random.default_rng(0).normal(size=(2, 500)) * 3
    cells = probit.log_cells(mu, nu, a)
    np.testing.assert_allclose(sum(np.exp(c) for c in cells), 1.0, atol=1e-14)
    tested, untested = (np.exp(probit.log_risk(mu, nu, a, t)) for t in (True, False))
    chance = special.ndtr(nu)
    np.testing.assert_allclose(chance * tested + (1 - chance) * untested, special.ndtr(mu), atol=1e-13)
    np.testing.assert_allclose(np.exp(probit.log_risk(mu, nu, a)), special.ndtr(mu), rtol=1e-12)


def test_no_selection_factorises():
    mu, nu = np.random.default_rng(1).normal(size=(2, 50))
    one_one, one_zero, _ = probit.log_cells(mu, nu, 0.0)
    np.testing.assert_allclose(one_one, special.log_ndtr(mu) + special.log_ndtr(nu), rtol=1e-13)
    np.testing.assert_allclose(one_zero, special.log_ndtr(-mu) + special.log_ndtr(nu), rtol=1e-13)
    np.testing.assert_allclose(probit.log_risk(mu, nu, 0.0, False), special.log_ndtr(mu), rtol=1e-12)


@pytest.mark.parametrize("alpha", [-1.4, 0.0, 0.8, 2.0])
@pytest.mark.parametrize("sigma", [0.0, 0.3, 1.5])
def test_a_normal_unobservable_gives_this_law(alpha, sigma):
    """Cells by Gauss-Hermite quadrature over Z (200 nodes; converged to 1e-12 for these)."""
    risk, departure = np.random.default_rng(2).normal(size=(2, 20, 1))
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    score = risk + sigma * nodes
    treated = special.ndtr(alpha * score + departure)
    told = [special.ndtr(score) * treated, special.ndtr(-score) * treated, 1 - treated]
    mu, nu, a = probit.from_unobservable(risk[:, 0], departure[:, 0], alpha, sigma)
    for found, cell in zip(probit.log_cells(mu, nu, a), told, strict=True):
        np.testing.assert_allclose(np.exp(found), cell @ weights, rtol=1e-10, atol=1e-13)
    rho = alpha * sigma**2 / np.sqrt((1 + sigma**2) * (1 + alpha**2 * sigma**2))
    np.testing.assert_allclose(np.tanh(a), rho, atol=1e-15)


def kernel_data():
    rng = np.random.default_rng(3)
    mu, nu = rng.normal(size=(2, 200)) * 1.5
    counts = rng.integers(0, 4, (3, 200)).astype(float)
    counts[:, :5] = 0.0  # patterns without rows
    return mu, nu, counts


@pytest.mark.parametrize("a", [-7.2, -0.9, 0.0, 0.5, 7.2])
def test_kernel_against_cells_and_differences(a):
    """Value to rounding; gradients against five-point differences of the value: 1e-7 of the largest."""
    mu, nu, counts = kernel_data()

    def total(m, n, z):
        return sum((c * w).sum() for c, w in zip(probit.log_cells(m, n, z), counts, strict=True))

    value, d_mu, d_nu, d_a = probit.probit_kernel(mu, nu, np.array([a]), *counts)
    assert value == pytest.approx(total(mu, nu, a), rel=1e-13)
    step = 2e-4 / np.cosh(a)
    weights = np.array([1, -8, 8, -1]) / (12 * step)
    moves = step * np.array([-2, -1, 1, 2])
    d_told = weights @ [total(mu, nu, a + m) for m in step * np.cosh(a) * np.array([-2, -1, 1, 2])] / np.cosh(a)
    assert d_a[0] == pytest.approx(d_told, rel=1e-7, abs=1e-6)
    largest = np.abs(d_mu).max()
    for i in (0, 7, 30, 111, 199):
        at = np.arange(200) == i
        # only the cells of this pattern change: a difference of totals would lose the digits
        pick = [c[i] for c in counts]

        def own(m, n, pick=pick):
            return sum(float(c) * w for c, w in zip(probit.log_cells(m, n, a), pick, strict=True) if w)

        told_mu = weights @ [own(mu[i] + m, nu[i]) for m in moves]
        told_nu = weights @ [own(mu[i], nu[i] + m) for m in moves]
        assert d_mu[at][0] == pytest.approx(told_mu, rel=1e-7, abs=1e-8 * largest)
        assert d_nu[at][0] == pytest.approx(told_nu, rel=1e-7, abs=1e-8 * largest)


def test_kernel_in_a_graph():
    import pytensor
    import pytensor.tensor as pt

    mu, nu, counts = kernel_data()
    rho = pt.dscalar("rho")
    value = probit.log_likelihood(mu, nu, pt.arctanh(rho)[None], *counts)
    found = pytensor.function([rho], [value, pytensor.grad(value, rho)])(0.4)
    told = probit.probit_kernel(mu, nu, np.arctanh([0.4]), *counts)
    np.testing.assert_allclose(found, [told[0], told[3][0] / (1 - 0.4**2)], rtol=1e-12)


def test_tails_stay_finite_and_nan_is_nan():
    one = np.ones(1)
    for mu in (-300.0, 300.0):
        for nu in (-300.0, 300.0):
            value, *gradient = probit.probit_kernel(np.array([mu]), np.array([nu]), np.array([-3.0]), one, one, one)
            assert np.isfinite(value) and np.isfinite(np.concatenate(gradient)).all()
    assert np.isnan(probit.probit_kernel(np.array([np.nan]), one, one, one, one, one)[0])
