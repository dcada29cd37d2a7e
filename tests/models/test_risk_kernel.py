"""The fused likelihood of selective labels: exact mathematics with 160 digits, differences, blocks, far tails and NaN."""

from __future__ import annotations

from functools import partial

import mpmath as mp
import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit.fused import softplus_sigmoid
from bayeskit_models.risk.kernel import prevalence_kernel, selection_kernel
from bayeskit_models.risk.population import Coefficients
from bayeskit_models.risk.unobserved import law_nodes

NONE = np.zeros(0)
A = (-6.0, -2.0, 0.3, 3.0)
D = (-3.0, -0.5, -0.021, -0.019, -1e-3, -1e-5, 0.0, 1e-5, 1e-4, 1.1e-3, 0.019, 0.021, 1.0, 4.0)
SIGMA = (0.1, 0.499, 0.501, 1.0, 2.0, 6.0)


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(160):
        yield


def row(kind, a, d, sigma, alpha=1.0, nodes=NONE, weights=NONE):
    """Log mean of one row, and its derivatives by a, d, sigma and alpha."""
    pointer = np.zeros(4, np.int64)
    pointer[kind + 1 :] = 1
    empty = np.zeros((0, 1))
    value, by_a, by_d, by_scale = selection_kernel(
        np.array([a]), np.array([d]), np.array([sigma, alpha]), empty, empty, pointer, np.ones(1), nodes, weights
    )
    return value, by_a[0], by_d[0], by_scale[0], by_scale[1]


def logistic(x):
    return 1 / (1 + mp.exp(-x))


def closed(kind, a, d, sigma):
    """The closed forms, with so many digits that what cancels does not matter; d is not 0."""
    softplus = lambda x: mp.log(1 + mp.exp(x))  # noqa: E731
    big = lambda x: softplus(x + sigma) - softplus(x)  # noqa: E731
    small = lambda x: softplus(-x) - softplus(-x - sigma)  # noqa: E731
    e = a + d
    if kind == 0:
        return mp.log(small(e) / sigma)
    if kind == 1:
        return mp.log((big(a) - mp.exp(-d) * big(e)) / (1 - mp.exp(-d)) / sigma)
    return mp.log((small(a) - small(e)) / (1 - mp.exp(-d)) / sigma)


def integrand(kind, a, d, alpha):
    t = lambda z: alpha * (a + z) + d  # noqa: E731
    return {
        0: lambda z: logistic(-t(z)),
        1: lambda z: logistic(a + z) * logistic(t(z)),
        2: lambda z: logistic(-a - z) * logistic(t(z)),
    }[kind]


def exact(kind, a, d, sigma):
    """Log mean and derivatives by a, d and sigma; d = 0 by its neighbour, which is nearer than the digits that are compared."""
    x = [mp.mpf(a), mp.mpf(d) if d != 0.0 else mp.mpf(10) ** -40, mp.mpf(sigma)]
    h = mp.mpf(10) ** -20
    out = [closed(kind, *x)]
    for k in range(3):
        up, down = list(x), list(x)
        up[k] += h
        down[k] -= h
        out.append((closed(kind, *up) - closed(kind, *down)) / (2 * h))
    return [float(v) for v in out]


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("sigma", SIGMA)
def test_closed_form_and_gradients(kind, sigma):
    """Relative error of every probability and absolute error of every derivative of its log: below 1e-8."""
    for a in A:
        for d in D:
            found, truth = row(kind, a, d, sigma), exact(kind, a, d, sigma)
            np.testing.assert_allclose(found[:4], truth, atol=1e-8, rtol=1e-8, err_msg=f"a={a}, d={d}")


@pytest.mark.parametrize("kind", range(3))
def test_closed_form_in_the_tails(kind):
    """Where both predictors are far out: the branch that is computed again, and the edge of it."""
    for sigma in (0.6, 2.0, 6.0):
        for a in (-40.0, -14.5, -9.1, -8.9, 12.0, 35.0):
            for d in (-25.0, -1.0, -1e-4, 0.3, 20.0):
                found, truth = row(kind, a, d, sigma), exact(kind, a, d, sigma)
                np.testing.assert_allclose(found[:4], truth, atol=2e-8, rtol=2e-8, err_msg=f"a={a}, d={d}, sigma={sigma}")


def test_against_quadrature():
    """The closed form is the integral: adaptive quadrature with 30 digits on part of the grid."""
    with mp.workdps(30):
        for kind in range(3):
            for a, d, sigma in ((-2.0, 0.0, 2.0), (0.3, -3.0, 1.0), (3.0, 1.1e-3, 6.0), (-6.0, 4.0, 0.3)):
                truth = mp.log(mp.quad(integrand(kind, mp.mpf(a), mp.mpf(d), 1), [0, sigma / 2, sigma]) / sigma)
                assert row(kind, a, d, sigma)[0] == pytest.approx(float(truth), abs=1e-10)


@pytest.mark.parametrize("sigma", [0.3, *SIGMA])
def test_the_three_outcomes_of_a_row_sum_to_one(sigma):
    for a in (*A, -20.0, 25.0):
        for d in (*D, -20.0, 20.0):
            assert sum(np.exp(row(k, a, d, sigma)[0]) for k in range(3)) == pytest.approx(1.0, abs=1e-12)


def test_far_out_everything_is_finite():
    for kind in range(3):
        for a in (-800.0, 0.0, 800.0):
            for d in (-800.0, -1e-300, 0.0, 1e-300, 800.0):
                for sigma in (0.0, 1e-12, 0.5, 2.0, 30.0):
                    assert np.isfinite(row(kind, a, d, sigma)).all(), (kind, a, d, sigma)
    assert row(1, -800.0, 0.0, 0.0)[0] == pytest.approx(-1600.0, rel=1e-12)


def test_twenty_nodes_are_the_closed_form():
    """20 Gauss-Legendre nodes, sigma up to 6 (5e-10 in the worst case)."""
    x, w = np.polynomial.legendre.leggauss(20)
    for kind in range(3):
        for sigma in (0.6, 2.0, 6.0):
            for a in A:
                for d in D:
                    by_nodes = row(kind, a, d, sigma, 1.0, (x + 1) / 2, w / 2)
                    np.testing.assert_allclose(by_nodes[:4], row(kind, a, d, sigma)[:4], rtol=1e-8, atol=1e-8)


def log_mean(density, ends, kind, a, d, sigma, alpha):
    inside = integrand(kind, a, d, alpha)
    return mp.log(mp.quad(lambda v: inside(sigma * v) * density(v), ends))


@pytest.mark.parametrize(("law", "nu"), [("uniform", None), ("normal", None), ("student", 4.0)])
def test_quadrature_of_every_law(law, nu):
    """Any alpha, any law, against adaptive quadrature: 1e-8 for scales up to 2; derivatives against differences of it."""
    nodes, weights = law_nodes(law, nu)
    density = {
        "uniform": lambda v: mp.mpf(1),
        "normal": mp.npdf,
        "student": lambda v: (
            mp.gamma((nu + 1) / 2) / mp.gamma(nu / 2) / mp.sqrt(nu * mp.pi) * (1 + v * v / nu) ** (-(nu + 1) / 2)
        ),
    }[law]
    ends = [0, 0.5, 1] if law == "uniform" else [-mp.inf, -3, 0, 3, mp.inf]
    with mp.workdps(20):
        for kind, a, d, sigma, alpha in ((0, 0.3, 1.0, 1.5, 0.7), (1, -2.0, 1.0, 2.0, -0.8), (2, 0.5, -0.3, 1.0, 1.6)):
            f = partial(log_mean, density, ends, kind)
            x = [mp.mpf(v) for v in (a, d, sigma, alpha)]
            found = row(kind, a, d, sigma, alpha, nodes, weights)
            assert found[0] == pytest.approx(float(f(*x)), abs=1e-8)
            for k in range(4):
                h = mp.mpf("1e-5")
                up, down = list(x), list(x)
                up[k] += h
                down[k] -= h
                assert found[1 + k] == pytest.approx(float((f(*up) - f(*down)) / (2 * h)), abs=1e-7)


def test_doubling_the_nodes_changes_nothing_for_ordinary_scales():
    for law, nu in (("normal", None), ("student", 3.0)):
        one, two = law_nodes(law, nu), law_nodes(law, nu, refine=2)
        for kind in range(3):
            for sigma in (0.0, 0.5, 2.0, 3.0):
                assert row(kind, -1.0, 0.8, sigma, 1.0, *one)[0] == pytest.approx(
                    row(kind, -1.0, 0.8, sigma, 1.0, *two)[0], abs=1e-8
                )


@pytest.fixture(scope="module")
def many():
    """900 rows of three kinds, weights, three covariates of which two are in testing: more than one block of each kind."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3, 900))
    return {
        "risk": np.array([-0.8, 0.7, -0.4, 0.2]), "testing": np.array([0.5, 0.3, -0.6]), "scale": np.array([1.7, 1.0]),
        "risk_columns": x, "testing_columns": np.ascontiguousarray(x[1:]), "kind_ptr": np.array([0, 300, 580, 900]),
        "weight": rng.integers(1, 4, 900).astype(float), "nodes": NONE, "node_weight": NONE,
    }  # fmt: skip


def test_rows_add_up(many):
    """The kernel's sum is that of its rows one by one, and cutting the rows into weights changes nothing."""
    value = selection_kernel(*many.values())[0]
    a = many["risk"][0] + many["risk"][1:] @ many["risk_columns"]
    d = many["testing"][0] + many["testing"][1:] @ many["testing_columns"]
    kind = np.repeat([0, 1, 2], np.diff(many["kind_ptr"]))
    by_row = [row(k, *v, 1.7)[0] for k, v in zip(kind, zip(a, d, strict=True), strict=True)]
    assert value == pytest.approx(many["weight"] @ by_row, rel=1e-12)


@pytest.mark.parametrize("scale", [(1.7, 1.0), (0.3, 1.0), (1.7, 1.3), (1.7, -0.5)])
def test_gradients_against_differences(many, scale):
    """Closed form, few nodes, other slopes: directional derivatives by central differences, relative 1e-6."""
    base = {**many, "scale": np.array(scale)}
    if scale[1] != 1.0:
        base["nodes"], base["node_weight"] = law_nodes("uniform")
    found = selection_kernel(*base.values())
    rng = np.random.default_rng(0)
    for place, name in enumerate(("risk", "testing", "scale")):
        step = rng.normal(size=base[name].shape)
        if name == "scale" and scale[1] == 1.0:
            step[1] = 0.0  # alpha is a constant where the closed form holds
        up, down = ({**base, name: base[name] + s * 1e-6 * step} for s in (1, -1))
        numeric = (selection_kernel(*up.values())[0] - selection_kernel(*down.values())[0]) / 2e-6
        assert found[1 + place] @ step == pytest.approx(numeric, rel=1e-6)


@pytest.mark.parametrize("sigma", [0.2, 1.7])
def test_prevalence(many, sigma):
    """Group means of G(a) / sigma with 160 digits; log weight of a value and of an interval; gradients against differences."""
    group = np.arange(900) % 3 - 1  # a third of the rows has no stated prevalence
    a = many["risk"][0] + many["risk"][1:] @ many["risk_columns"]
    p = np.array([float(mp.log((1 + mp.exp(x + sigma)) / (1 + mp.exp(x))) / sigma) for x in map(mp.mpf, a)])
    mean = [np.average(p[group == g], weights=many["weight"][group == g]) for g in (0, 1)]
    low, high, sd = np.array([mean[0] + 0.03, 0.1]), np.array([mean[0] + 0.03, mean[1] - 0.02]), np.array([0.01, 0.02])
    fixed = (many["risk_columns"], group, many["weight"], NONE, NONE, low, high, sd)
    found = prevalence_kernel(many["risk"], np.array([sigma, 1.0]), *fixed)
    assert found[0] == pytest.approx(-0.5 * 9.0 - 0.5 * 1.0, abs=1e-8)
    rng = np.random.default_rng(1)
    step, by_sigma = rng.normal(size=4), 0.7

    def at(s):
        return prevalence_kernel(many["risk"] + s * step, np.array([sigma + s * by_sigma, 1.0]), *fixed)[0]

    assert found[1] @ step + found[2][0] * by_sigma == pytest.approx((at(1e-6) - at(-1e-6)) / 2e-6, rel=1e-6)
    inside = prevalence_kernel(many["risk"], np.array([sigma, 1.0]), *fixed[:5], np.zeros(2), np.ones(2), sd)
    assert inside[0] == 0.0 and not inside[1].any() and not inside[2].any()


def test_probabilities_of_rows(many):
    """For answers: P(Y = 1), P(T = 1, Y = 1) and P(T = 0) of every draw and row, from the same means."""
    draws = Coefficients(
        np.stack([many["risk"], many["risk"] * 0.5]),
        np.stack([many["testing"]] * 2),
        np.array([1.7, 0.2]),
        np.ones(2),
        NONE,
        NONE,
    )
    found = draws.rows(many["risk_columns"], many["testing_columns"])
    assert found.shape == (2, 900, 3)
    for s in range(2):
        for i in (0, 255, 256, 899):
            a = draws.risk[s, 0] + draws.risk[s, 1:] @ many["risk_columns"][:, i]
            d = draws.testing[s, 0] + draws.testing[s, 1:] @ many["testing_columns"][:, i]
            parts = [float(mp.exp(closed(k, mp.mpf(a), mp.mpf(d), mp.mpf(draws.sigma[s])))) for k in range(3)]
            tested_ill = parts[1]
            p = float(mp.log((1 + mp.exp(a + draws.sigma[s])) / (1 + mp.exp(a))) / draws.sigma[s])
            np.testing.assert_allclose(found[s, i], [p, tested_ill, parts[0]], rtol=1e-9)


@pytest.mark.parametrize("name", ["risk", "testing", "scale"])
def test_nan_gives_nan(many, name):
    broken = {**many, name: many[name].copy()}
    broken[name][0] = np.nan
    assert np.isnan(selection_kernel(*broken.values())[0])


def test_softplus_and_sigmoid():
    """Both to a relative error below 1e-14, far below 0 too, where a logarithm of 1 + z would have lost its digits."""
    for x in (-700.0, -40.0, -20.3, -9.2, -1e-3, 0.0, 1e-9, 2.0, 35.0, 700.0):
        plus, share = softplus_sigmoid(x)
        assert plus == pytest.approx(float(mp.log(1 + mp.exp(mp.mpf(x)))), rel=2e-14)
        assert share == pytest.approx(float(logistic(mp.mpf(x))), rel=2e-14)
