"""The APGW distribution: anchors, named laws, limits, 40-digit arithmetic, shapes, gradients and sampling."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

from bayeskit.errors import SpecificationError
from bayeskit_models.survival import distribution as apgw

TIMES = np.array([0.5, 1.0, 3.0])
ANCHORS = {
    (2, 0.5, 1.5, 0): (
        [0.34657359, 0.67122702, 1.37673285], [0.75, 0.55409709, 0.23407333], [0.42287015, 1.04004191], 0.0,
    ),
    (2, 0.5, 1.5, 2): (
        [0.58333333, 2.08088023, 25.34846923], [2.0, 4.12132034, 21.67423461], [0.32694798, 0.55246743], 0.0,
    ),
    (2, 0.5, 1.5, -0.5): (
        [0.21132487, 0.30620816, 0.40930633], [0.28867513, 0.12351016, 0.02192743], [0.86435517, np.inf], 0.6065306597,
    ),
    (0.3, 1.2, 0.8, 0.3): (
        [0.24886726, 0.41750131, 0.90488211], [0.37739908, 0.30599097, 0.20228863], [0.60577332, 2.03123911], 0.0,
    ),
    (1, 1, 2, -0.25): (
        [0.20818542, 0.57267987, 1.42007884], [0.69795364, 0.69352004, 0.24306479], [0.6103226, 1.18118364], 0.0497870684,
    ),
    (1, 1, 1, 50): (
        [0.64131818, 1.67313763, 16.7537619], [1.61293028, 2.58955542, 16.45718695], [0.25405328, 0.53165211], 0.0,
    ),
}  # fmt: skip
"""phi, lambda, gamma, kappa: H and h at 0.5, 1 and 3, the quartile and the median, the cured share; to eight digits."""


@pytest.mark.parametrize("parameters", ANCHORS)
def test_anchors(parameters):
    cumulative, rate, quantiles, cured = ANCHORS[parameters]
    np.testing.assert_allclose(apgw.cumulative_hazard(TIMES, *parameters), cumulative, atol=6e-9)
    np.testing.assert_allclose(apgw.hazard(TIMES, *parameters), rate, atol=6e-9)
    np.testing.assert_allclose(apgw.quantile([0.25, 0.5], *parameters), quantiles, atol=6e-9)
    assert apgw.cure_fraction(parameters[1], parameters[3]) == pytest.approx(cured, abs=6e-11)


GRID = np.array([0.05, 0.3, 1.0, 2.5, 6.0])


@pytest.mark.parametrize("lam", [1.0, 0.4, 2.2])
def test_named_laws(lam):
    """Burr XII (log-logistic at lambda = 1), Weibull and Gompertz of scipy, in S, to 1e-12 where the limit is attained."""
    phi, gamma = 0.7, 1.6
    ours = apgw.survival(GRID, phi, lam, gamma, 0.0)
    np.testing.assert_allclose(ours, stats.burr12(gamma, lam, scale=1 / phi).sf(GRID), atol=1e-12)
    if lam == 1.0:
        np.testing.assert_allclose(ours, stats.fisk(gamma, scale=1 / phi).sf(GRID), atol=1e-12)
    weibull = stats.weibull_min(gamma, scale=lam ** (-1 / gamma) / phi).sf(GRID)
    np.testing.assert_allclose(apgw.survival(GRID, phi, lam, gamma, 1.0), weibull, atol=1e-12)
    # gompertz(c, scale): H = c (exp(t / scale) - 1); the distance to the limit is of order 1 / kappa
    gompertz = stats.gompertz(lam, scale=1 / phi).sf(GRID)
    np.testing.assert_allclose(apgw.survival(GRID, phi, lam, 1.0, 1e8), gompertz, atol=1e-8)


def test_no_branch_at_zero():
    at = apgw.survival(GRID, 0.7, 1.3, 1.6, 0.0)
    for kappa in (1e-9, -1e-9, 1e-12):
        np.testing.assert_allclose(apgw.survival(GRID, 0.7, 1.3, 1.6, kappa), at, atol=1e-8)
    kappas = np.linspace(-1e-4, 1e-4, 2001)
    steps = np.diff(apgw.cumulative_hazard(1.7, 0.7, 1.3, 1.6, kappas), 2)
    assert np.abs(steps).max() < 1e-13  # no kink where the series takes over


@pytest.mark.parametrize("kappa", [-0.999, -0.9, -0.5, -1e-7, 0.0, 1e-7, 0.3, 1.0, 1.7, 50.0, 200.0, 1e6])
def test_against_forty_digits(kappa):
    with mpmath.workdps(40):
        phi, lam, gamma, k = (mpmath.mpf(repr(v)) for v in (0.7, 1.3, 1.6, kappa))
        for t in (1e-6, 1e-2, 0.5, 1.0, 3.0):
            u = (phi * mpmath.mpf(repr(t))) ** gamma
            power = (1 + u / (k + 1)) ** k
            exact = lam * (k + 1) / k * (power - 1) if kappa else lam * mpmath.log(1 + u)
            rate = lam * gamma * u / mpmath.mpf(repr(t)) * (1 + u / (k + 1)) ** (k - 1)
            if exact > 700:
                continue
            assert apgw.cumulative_hazard(t, 0.7, 1.3, 1.6, kappa) == pytest.approx(float(exact), rel=1e-13)
            assert apgw.log_hazard(t, 0.7, 1.3, 1.6, kappa) == pytest.approx(float(mpmath.log(rate)), rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("kappa", [-0.9, -0.5, -0.25, 0.0, 0.5, 1.0, 3.0])
def test_density_integrates_to_the_uncured(kappa):
    """Over log t: the density has a power tail for kappa <= 0."""
    found, _ = integrate.quad(lambda s: np.exp(s) * apgw.density(np.exp(s), 0.7, 1.3, 1.6, kappa), -40, 60, limit=400)
    assert found == pytest.approx(1.0 - apgw.cure_fraction(1.3, kappa), abs=1e-8)


def test_hazard_is_the_derivative():
    step = 1e-5
    for kappa in (-0.5, 0.0, 0.4, 2.0):
        up, down = (apgw.cumulative_hazard(GRID * np.exp(s), 0.7, 1.3, 1.6, kappa) for s in (step, -step))
        np.testing.assert_allclose((up - down) / (2 * step) / GRID, apgw.hazard(GRID, 0.7, 1.3, 1.6, kappa), rtol=1e-9)


def test_quantiles_invert():
    p = np.linspace(0.0, 0.9, 19)
    for kappa in (-0.3, 0.0, 1e-9, 0.7, 5.0):
        t = apgw.quantile(p, 0.7, 1.3, 1.6, kappa)
        reached = np.isfinite(t)
        assert (reached == (p < 1.0 - apgw.cure_fraction(1.3, kappa))).all()
        np.testing.assert_allclose(1.0 - apgw.survival(t[reached], 0.7, 1.3, 1.6, kappa), p[reached], atol=2e-15)


def test_ends():
    assert apgw.cumulative_hazard(0.0, 1, 1, 1.3, -0.5) == 0.0
    np.testing.assert_array_equal(apgw.log_hazard(0.0, 1, 1, [0.5, 1.0, 2.0], 1), [np.inf, 0.0, -np.inf])
    np.testing.assert_allclose(apgw.survival(np.inf, 1, 1.3, 2, [-0.4, 0.0, 1.0]), [np.exp(-1.3 * 0.6 / 0.4), 0, 0])
    assert apgw.quantile(1.0, 1, 1, 1, 1) == np.inf and apgw.quantile(0.0, 1, 1, 1, 1) == 0.0


def test_turning_points():
    assert apgw.turning_point(1, 0.5, 3) == pytest.approx(16.0, rel=1e-12)
    assert apgw.turning_point(1, 2, 0.25) == pytest.approx(1.5811388300841898, rel=1e-12)
    assert apgw.turning_point(1, 2, -0.5) == pytest.approx(0.5, rel=1e-12)
    assert np.isnan(apgw.turning_point(1, [1, 2, 0.5], [1, 2, 0.5])).all()


PAIRS = [
    (1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 2.0), (2.0, 1.0), (1.0, 2.0), (2.0, 0.5), (2.0, 0.25), (2.0, -0.5), (1.5, 0.0),
    (0.5, 3.0), (0.8, -0.9),
]  # fmt: skip


def test_shapes_are_those_of_the_hazard():
    """Twelve pairs that reach all five shapes: the label agrees with the signs of the slope on a fine grid of log times."""
    found = apgw.hazard_shape(*np.array(PAIRS).T)
    assert set(found) == set(apgw.SHAPES)
    log_time = np.linspace(-12.0, 12.0, 4001)
    for (gamma, kappa), shape in zip(PAIRS, found, strict=True):
        slope = np.diff(apgw.log_hazard(np.exp(log_time), 1.0, 1.0, gamma, kappa))
        signs = np.sign(np.where(np.abs(slope) < 1e-9, 0.0, slope))
        signs = signs[signs != 0]
        order = [int(s) for i, s in enumerate(signs) if i == 0 or s != signs[i - 1]]
        expected = {"constant": [], "decreasing": [-1], "increasing": [1], "unimodal": [1, -1], "bathtub": [-1, 1]}
        assert order == expected[shape], (gamma, kappa)


def test_quantities_of_check_six():
    """phi .6, lambda 1.1, gamma 1.4, kappa -.3: cured share, survival, restricted mean, conditional ones, the uncured."""
    p = (0.6, 1.1, 1.4, -0.3)
    cured = apgw.cure_fraction(1.1, -0.3)
    assert cured == pytest.approx(0.07679109, abs=6e-9)
    assert apgw.survival(3, *p) == pytest.approx(0.40487812, abs=6e-9)
    assert integrate.quad(lambda t: apgw.survival(t, *p), 0, 3)[0] == pytest.approx(1.87401683, abs=6e-9)
    assert apgw.survival(3, *p) / apgw.survival(1, *p) == pytest.approx(0.59041158, abs=6e-9)
    assert cured / apgw.survival(3, *p) == pytest.approx(0.18966471, abs=6e-9)
    assert apgw.quantile((1 - cured) / 2, *p) == pytest.approx(1.73380731, abs=6e-9)


def test_inverse_sampling():
    """1e5 draws at (1, 1, 2, -.25): the cured share within 3 standard errors (.0021), the others by Kolmogorov-Smirnov."""
    drawn = apgw.random(np.random.default_rng(5), 1, 1, 2, -0.25, size=100_000)
    assert np.isinf(drawn).mean() == pytest.approx(0.0497870684, abs=3 * 0.00069)
    finite = drawn[np.isfinite(drawn)]
    uncured = 1 - 0.0497870684
    assert stats.kstest(finite, lambda t: (1 - apgw.survival(t, 1, 1, 2, -0.25)) / uncured).pvalue > 1e-3
    wrong = stats.kstest(finite, lambda t: (1 - apgw.survival(t, 1, 1.05, 2, -0.25)) / uncured)
    assert wrong.pvalue < 1e-6  # five per cent of hazard would be seen


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: apgw.survival(-1.0), "t=.*at least 0"),
        (lambda: apgw.survival(np.nan), "t="),
        (lambda: apgw.hazard(1.0, phi=0.0), "phi=.*above 0"),
        (lambda: apgw.hazard(1.0, kappa=[0.0, -1.0]), "kappa=.*-1.*above -1"),
        (lambda: apgw.quantile(1.5), "p=1.5"),
        (lambda: apgw.cure_fraction(np.inf, -0.5), "lam=.*finite"),
    ],
)
def test_faults(call, match):
    with pytest.raises(SpecificationError, match=match):
        call()


# -- PyTensor and PyMC --------------------------------------------------------------------------------------------

KAPPAS = (-0.999, -0.5, -1e-9, 0.0, 1e-9, 1.0, 50.0)


def test_gradients_are_finite_and_right():
    """Log density with respect to the four logs, at kappa from -.999 to 50 and t from 1e-6 to 1e3, against differences."""
    pytensor = pytest.importorskip("pytensor")
    import pytensor.tensor as pt

    from bayeskit_models.survival.algebra import numpy_algebra, pytensor_algebra

    theta, log_time = pt.dvector("theta"), pt.dscalar("log_time")
    algebra, plain = pytensor_algebra(), numpy_algebra()
    value = algebra.log_hazard(log_time, *[theta[i] for i in range(4)]) - algebra.cumulative_hazard(
        log_time, *[theta[i] for i in range(4)]
    )
    function = pytensor.function([theta, log_time], [value, pytensor.grad(value, theta)], mode="FAST_COMPILE")

    def density(x, s):
        return plain.log_hazard(s, *x) - plain.cumulative_hazard(s, *x)

    for kappa in KAPPAS:
        for t in (1e-6, 1.0, 1e3):
            x = np.array([np.log(0.7), np.log(1.3), np.log(1.6), np.log1p(kappa)])
            found, gradient = function(x, np.log(t))
            assert np.isfinite(gradient).all(), (kappa, t)
            if not np.isfinite(found):
                continue
            assert found == pytest.approx(density(x, np.log(t)), rel=1e-12)
            step = 1e-5 * np.eye(4)
            numeric = np.array([(density(x + s, np.log(t)) - density(x - s, np.log(t))) / 2e-5 for s in step])
            np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kappa", [-0.999, 0.0, 1e6])
def test_gradients_stay_finite_far_out(kappa):
    pytensor = pytest.importorskip("pytensor")
    import pytensor.tensor as pt

    from bayeskit_models.survival.algebra import pytensor_algebra

    theta, log_time = pt.dvector("theta"), pt.dscalar("log_time")
    value = pytensor_algebra().cumulative_hazard(log_time, *[theta[i] for i in range(4)])
    function = pytensor.function([theta, log_time], pytensor.grad(value, theta), mode="FAST_COMPILE")
    for t in (1e-300, 1e-12, 1.0, 5.0):
        assert np.isfinite(function(np.array([0.0, 0.0, 0.3, np.log1p(kappa)]), np.log(t))).all()


def test_the_pymc_distribution():
    pm = pytest.importorskip("pymc")
    from bayeskit_models.survival.pymc_distribution import APGW

    for parameters in ANCHORS:
        law = APGW.dist(*parameters)
        np.testing.assert_allclose(pm.logp(law, TIMES).eval(), apgw.log_density(TIMES, *parameters), rtol=1e-12)
        np.testing.assert_allclose(pm.logccdf(law, TIMES).eval(), -apgw.cumulative_hazard(TIMES, *parameters), rtol=1e-12)
        below = np.log(-np.expm1(-apgw.cumulative_hazard(TIMES, *parameters)))
        np.testing.assert_allclose(pm.logcdf(law, TIMES).eval(), below, rtol=1e-12)
        np.testing.assert_allclose(pm.icdf(law, [0.25, 0.5]).eval(), apgw.quantile([0.25, 0.5], *parameters), rtol=1e-12)
    law = APGW.dist(1, 1, 2, -0.25)
    np.testing.assert_array_equal(pm.logp(law, [-1.0, 0.0]).eval(), [-np.inf, -np.inf])
    drawn = pm.draw(APGW.dist(1, 1, 2, -0.25, size=40_000), random_seed=3)
    assert np.isinf(drawn).mean() == pytest.approx(0.0497870684, abs=4 * 0.0011)
    assert (drawn < 1.0).mean() == pytest.approx(1 - np.exp(-0.57267987), abs=4 * 0.0025)
    with pytest.raises(Exception, match="kappa > -1"):
        pm.logp(APGW.dist(1, 1, 1, -1.5), 1.0).eval()


def test_the_pymc_distribution_in_a_model():
    pm = pytest.importorskip("pymc")
    from bayeskit_models.survival.pymc_distribution import APGW

    with pm.Model() as model:
        k1 = pm.Flat("k1")  # whose density is 1: what is left is ours
        pm.Censored("seen", APGW.dist(1, 1, 2, k1 - 1), lower=None, upper=2.0, observed=np.array([0.5, 2.0, 1.0]))
    found = model.compile_logp()({"k1": 0.75})
    seen = apgw.log_density([0.5, 1.0], 1, 1, 2, -0.25).sum() - apgw.cumulative_hazard(2.0, 1, 1, 2, -0.25)
    assert found == pytest.approx(seen, rel=1e-12)
