"""The bivariate normal CDF against mpmath in every tail and for correlations up to 1 - 1e-12; identities, gradients, limits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy import special, stats

pytest.importorskip("pymc")

from bayeskit.errors import SpecificationError
from bayeskit_models.risk.bivariate_normal import bivariate_normal_cdf, log_bivariate_normal_cdf, log_cdf_and_gradient
from bayeskit_models.risk.normal_tail import log_cdf_and_ratio, mills


def exact(h, k, a):
    """log Phi2 with 30 digits from Plackett's derivative, integrated in Fisher's z from minus infinity (our code does not).

    There the integrand is ``sech(x) / (2 pi) exp(-(h^2 + k^2) / 4 - [(h + k)^2 exp(-2 x) + (h - k)^2 exp(2 x)] / 8)``: concave
    in its logarithm, so that it is followed from its highest point until nothing is left.
    """
    with mpmath.workdps(30):
        h, k, a = (mpmath.mpf(float(v)) for v in (h, k, a))
        cdf, plus, minus = mpmath.ncdf, (h + k) ** 2, (h - k) ** 2
        base = mpmath.mpf(0)
        if h + k > 0:
            base = cdf(k) - cdf(-h) if k <= 0 else cdf(h) - cdf(-k) if h <= 0 else 1 - cdf(-h) - cdf(-k)

        def height(x):
            return mpmath.log(mpmath.sech(x)) - (h**2 + k**2) / 4 - (plus * mpmath.exp(-2 * x) + minus * mpmath.exp(2 * x)) / 8

        def slope(x):
            return -mpmath.tanh(x) + (plus * mpmath.exp(-2 * x) - minus * mpmath.exp(2 * x)) / 4

        peak = a
        if slope(a) < 0:
            low, high = a - 120, a
            for _ in range(100):
                peak = (low + high) / 2
                low, high = (peak, high) if slope(peak) > 0 else (low, peak)
        top = height(peak)
        bend = mpmath.sech(peak) ** 2 + (plus * mpmath.exp(-2 * peak) + minus * mpmath.exp(2 * peak)) / 2
        points = [peak]
        for direction in (-1, 1):
            x, step = peak, 1 / (abs(slope(peak)) + mpmath.sqrt(bend)) / 2
            while height(x) > top - 60 and (direction < 0 or x < a):
                x = min(a, x + direction * step)
                points.append(x)
                step *= mpmath.mpf("1.3") if step < 0.4 else 1
        area = mpmath.quad(lambda x: mpmath.exp(height(x) - top), sorted(points), method="gauss-legendre", maxdegree=4)
        return float(mpmath.log(base + area * mpmath.exp(top) / (2 * mpmath.pi)))


@pytest.mark.parametrize("t", [0.0, 1e-8, 0.3, 1.0, 2.5, 4.999, 5.001, 12.0, 80.0, 1e3, 1e6, 1e100])
def test_mills_ratio(t):
    with mpmath.workdps(40):
        z = mpmath.mpf(t)
        far = 1 / z - 1 / z**3 + 3 / z**5 - 15 / z**7 if t >= 1e3 else None
        told = far if far is not None else mpmath.sqrt(mpmath.pi / 2) * mpmath.erfc(z / mpmath.sqrt(2)) * mpmath.exp(z * z / 2)
        assert mills(t) == pytest.approx(float(told), rel=1e-15)


@pytest.mark.parametrize("z", [-1e8, -300.0, -38.0, -5.0, -1.0, -1e-9, 0.0, 1e-9, 0.7, 4.0, 6.0, 9.0, 20.0, 36.0])
def test_log_cdf_and_ratio(z):
    log_cdf, ratio = log_cdf_and_ratio(z)
    assert log_cdf == pytest.approx(special.log_ndtr(z), rel=4e-15)
    with mpmath.workdps(40):
        told = mpmath.npdf(z) / mpmath.ncdf(z) if z > -1e4 else -mpmath.mpf(z) - 1 / mpmath.mpf(z)
    assert ratio == pytest.approx(float(told), rel=2e-13 if z > 20 else 4e-15)  # above 20 it is the density, a plain exp


GRID = [-12.0, -3.0, -0.5, 0.4, 4.0]
CORRELATIONS = [0.0, 0.5, 0.95, 1 - 1e-6, 1 - 1e-12]


@pytest.mark.parametrize("rho", [*CORRELATIONS, *(-r for r in CORRELATIONS[1:])])
def test_grid_against_thirty_digits(rho):
    """Relative error of the probability below 1e-13 (10 + |log P|): 1e-12 for ordinary ones, and no absolute floor."""
    a = np.arctanh(rho)
    for i, h in enumerate(GRID):
        for k in GRID[: i + 1]:
            told = exact(h, k, a)
            assert abs(log_bivariate_normal_cdf(h, k, a) - told) < 1e-13 * (10 + abs(told)), (h, k)


def hard_points():
    """Points near the diagonals, where the identities that lose digits would lose them, in the bulk and in the tails."""
    rng = np.random.default_rng(8)
    for _ in range(40):
        h, k = rng.normal(size=2) * rng.choice([0.5, 2.0, 6.0, 15.0])
        side = rng.choice([0, 1, -1])
        k = k if side == 0 else side * h + rng.normal() * 10 ** rng.uniform(-6, 0)
        yield h, k, rng.choice([-1, 1]) * rng.uniform(0, rng.choice([0.01, 1.0, 7.3]))


def test_hard_points_against_thirty_digits():
    """Near rho = -1 and h = -k a strip is cut out of the bulk, and its edges carry rounding: 1e-12 where the grid has 1e-13."""
    for h, k, a in hard_points():
        told = exact(h, k, a)
        assert abs(log_bivariate_normal_cdf(h, k, a) - told) < 1e-12 * (10 + abs(told)), (h, k, a)


def test_against_an_independent_program():
    """SciPy's multivariate normal, whose own error is 1e-8."""
    for h, k, rho in [(0.3, -0.7, 0.4), (1.2, 0.9, -0.8), (-1.5, -1.1, 0.95)]:
        told = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]], abseps=1e-11, releps=1e-11).cdf([h, k])
        assert bivariate_normal_cdf(h, k, rho) == pytest.approx(told, abs=1e-7)


@pytest.mark.parametrize("rho", [-0.999999, -0.7, -1e-9, 0.0, 0.3, 0.95, 0.999999])
def test_identities(rho):
    rng = np.random.default_rng(1)
    h, k = rng.normal(size=(2, 300)) * 2
    assert bivariate_normal_cdf(0.0, 0.0, rho) == pytest.approx(0.25 + np.arcsin(rho) / (2 * np.pi), rel=1e-10)
    whole = sum(bivariate_normal_cdf(s * h, t * k, s * t * rho) for s in (-1, 1) for t in (-1, 1))
    np.testing.assert_allclose(whole, 1.0, atol=1e-14)
    np.testing.assert_allclose(bivariate_normal_cdf(h, k, rho), bivariate_normal_cdf(k, h, rho), rtol=1e-13)
    if rho == 0.0:
        np.testing.assert_allclose(bivariate_normal_cdf(h, k, 0.0), special.ndtr(h) * special.ndtr(k), rtol=1e-13)


def test_limits():
    h, k = np.array([-1.2, 0.3, 2.0, -3.0]), np.array([0.4, -0.1, -1.0, -2.0])
    np.testing.assert_allclose(bivariate_normal_cdf(h, k, 1.0), special.ndtr(np.minimum(h, k)), rtol=1e-14)
    np.testing.assert_allclose(
        bivariate_normal_cdf(h, k, -1.0), np.maximum(special.ndtr(h) - special.ndtr(-k), 0.0), rtol=1e-14, atol=1e-300
    )
    for rho in (-0.8, 0.0, 0.8):
        np.testing.assert_array_equal(bivariate_normal_cdf(np.inf, k, rho), np.exp(special.log_ndtr(k)))
        np.testing.assert_array_equal(bivariate_normal_cdf(h, -np.inf, rho), np.zeros(4))
    assert np.isnan(bivariate_normal_cdf(np.nan, 0.0, 0.5)) and np.isnan(log_bivariate_normal_cdf(0.0, np.inf, np.nan))
    assert np.isfinite(log_bivariate_normal_cdf(-1e5, 3e4, 0.4)) and np.isfinite(log_bivariate_normal_cdf(-2e3, -2e3, -7.0))
    with pytest.raises(SpecificationError, match=r"rho=1\.5"):
        bivariate_normal_cdf(0.0, 0.0, 1.5)


@pytest.mark.parametrize("a", [-7.2543, -1.3, -0.2, 0.0, 0.4, 2.0, 7.2543])
def test_gradients_are_differences(a):
    """Against differences of the value, whose error a step of 1e-3 (less where the function is steep) makes 1e-9."""
    for h, k in [(0.3, -0.2), (-1.0, -1.4), (2.0, 1.5), (-6.0, 0.5), (-9.0, -8.0), (1.0, -1.0), (-60.0, 50.0)]:
        value, *found = log_cdf_and_gradient(h, k, a)
        assert value == log_bivariate_normal_cdf(h, k, a)
        steps = 1e-3 / np.clip(np.abs(found), 1.0, 1e3)
        told = []
        for i, step in enumerate(steps):
            points = np.array([h, k, a]) + step * np.outer([-2, -1, 1, 2], np.arange(3) == i)
            told.append(log_bivariate_normal_cdf(*points.T) @ [1, -8, 8, -1] / (12 * step))
        np.testing.assert_allclose(found, told, rtol=1e-8, atol=1e-9)
