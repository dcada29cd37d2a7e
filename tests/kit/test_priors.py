"""Every distribution in its four forms: density, generator, PyMC variable, log Jacobian."""

from __future__ import annotations

import itertools
import json

import examples
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from bayeskit import Assumption, Dial, Prior, SpecificationError
from bayeskit.assumptions import LEVELS
from bayeskit.distributions import FAMILIES
from bayeskit.graph import build

PRIORS = examples.every_family()
SCALAR = [n for n, f in FAMILIES.items() if f.event_dims == 0]
SUPPORT = {"_log": (0.0, np.inf), "_log_odds": (0.0, 1.0), "_real_line": (-np.inf, np.inf)}
KS_ALPHA = 1e-4  # of each of 16 comparisons: a true generator fails about once in 600 changes of the seed


def support(name):
    if name == "Uniform":
        return PRIORS[name].numbers["lower"], PRIORS[name].numbers["upper"]
    return SUPPORT[FAMILIES[name].log_jacobian.__name__]


def sample(name, size, seed=0):
    prior, rng = PRIORS[name], np.random.default_rng(seed)
    shape = {0: (), 1: (4,), 2: (4, 4)}[prior.family.event_dims]
    return np.stack([prior.random(rng, shape) for _ in range(size)])


def test_every_family_is_among_the_examples():
    assert set(PRIORS) == set(FAMILIES)


@pytest.mark.parametrize("name", SCALAR)
def test_density_integrates_to_one(name):
    """Heavy tails are integrated on an arctangent scale, on which Cauchy's density is constant."""
    prior = Prior(name, **PRIORS[name].numbers)
    low, high = support(name)
    a, b = np.arctan(low), np.arctan(high)
    marks = np.arctan(np.clip(np.quantile(sample(name, 400), [0.01, 0.25, 0.5, 0.75, 0.99]), low, high))

    def integrand(t):
        x = np.tan(t)
        return float(np.exp(prior.log_density(np.array([x]))[0]) * (1 + x * x))

    edges = [a, *np.unique(marks), b]
    total = sum(integrate.quad(integrand, u, v, epsabs=1e-11, epsrel=1e-11, limit=400)[0] for u, v in itertools.pairwise(edges))
    assert total == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize(("name", "params"), [("Dirichlet", {"a": 1.6}), ("Dirichlet", {"a": 1.0})])
def test_dirichlet_of_three_integrates_to_one(name, params):
    prior = Prior(name, **params)

    def integrand(y, x):
        return float(np.exp(prior.log_density(np.array([[x, y, 1 - x - y]]))[0])) if x + y < 1 else 0.0

    nodes, weights = np.polynomial.legendre.leggauss(80)
    # x = u^4-type substitutions take away the kinks of x^0.6 at the edges
    u, w = (nodes + 1) / 2, weights / 2

    def grade(t):
        return t**5 * (126 - 420 * t + 540 * t**2 - 315 * t**3 + 70 * t**4)

    def slope(t):
        return 630 * t**4 * (1 - t) ** 4

    x, dx = grade(u), slope(u) * w
    total = sum(integrand(x[j] * (1 - x[i]), x[i]) * dx[j] * dx[i] * (1 - x[i]) for i in range(80) for j in range(80))
    assert total == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_density_equals_pymc(name):
    import pymc as pm

    prior = PRIORS[name]
    x = sample(name, 40, seed=3)
    params = {k: np.float64(v) for k, v in prior.numbers.items()}
    theirs = pm.logp(prior.family.dist(x.shape, params), x).eval(mode="FAST_COMPILE").reshape(40, -1).sum(1)
    # PyMC writes log(2) of a whole number in single precision: its half distributions are off by 1.9e-9.
    constant = float(np.float32(np.log(2)) - np.log(2)) if name in ("HalfCauchy", "HalfStudentT") else 0.0
    np.testing.assert_allclose(prior.log_density(x) + constant, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", SCALAR)
def test_density_outside_the_support_is_zero(name):
    low, high = support(name)
    outside = [v for v in (low - 0.1, high + 0.1) if np.isfinite(v)]
    if outside:
        prior = Prior(name, **PRIORS[name].numbers)
        assert (prior.log_density(np.array(outside)) == -np.inf).all()


@pytest.mark.parametrize("name", SCALAR)
def test_generator_has_the_density(name):
    """Kolmogorov-Smirnov against the integral of our own density, on 4000 draws."""
    prior = Prior(name, **PRIORS[name].numbers)
    x = np.sort(np.asarray(prior.random(np.random.default_rng(5), (4000,))))
    low, high = support(name)
    grid = np.unique(np.concatenate([x, np.tan(np.linspace(np.arctan(x[0]), np.arctan(x[-1]), 20001))]))
    grid = grid[(grid > low) & (grid < high)]
    density = np.exp(prior.family.log_density(grid, **prior.numbers))
    cdf = integrate.cumulative_trapezoid(density, grid, initial=0.0)
    head = integrate.quad(lambda t: float(np.exp(prior.log_density(np.array([t]))[0])), low, grid[0])[0]
    assert stats.kstest(x, lambda q: head + np.interp(q, grid, cdf)).pvalue > KS_ALPHA


@pytest.mark.parametrize("name", ["Dirichlet", "DiagonalDirichlet"])
def test_dirichlet_components_are_beta(name):
    x = sample(name, 4000, seed=6)
    params = PRIORS[name].numbers
    a = np.full(4, params["a"]) if name == "Dirichlet" else params["base"] + params["boost"] * np.eye(4)
    np.testing.assert_allclose(x.sum(-1), 1.0, rtol=1e-12)
    for index in np.ndindex(a.shape):
        total = a[index[:-1]].sum()
        value = stats.kstest(x[(slice(None), *index)], stats.beta(a[index], total - a[index]).cdf).pvalue
        assert value > KS_ALPHA, index


def test_dirichlet_with_a_tiny_concentration_is_no_nan():
    x = Prior("Dirichlet", a=1e-4).random(np.random.default_rng(0), (500, 3))
    assert np.isfinite(x).all()
    np.testing.assert_allclose(x.max(-1), 1.0, atol=1e-3)


def test_zero_sum_effects():
    """Sums are zero; an element has variance sigma^2 (1 - 1/K); a scale that is a variable is taken draw by draw."""
    x = sample("ZeroSumNormal", 4000, seed=6)
    np.testing.assert_allclose(x.sum(-1), 0.0, atol=1e-12)
    sigma = PRIORS["ZeroSumNormal"].numbers["sigma"]
    for k in range(4):
        assert stats.kstest(x[:, k], stats.norm(0, sigma * np.sqrt(0.75)).cdf).pvalue > KS_ALPHA
    prior, s = Prior("ZeroSumNormal", dims=("g", "k"), sigma="s"), np.array([0.5, 2.0])
    y = np.stack([prior.random(np.random.default_rng(i), (3, 4), values={"s": v}) for i, v in enumerate(s)])
    basis = np.linalg.svd(np.ones((1, 4)))[2][1:]  # three orthonormal directions of the plane
    expected = [stats.norm(0, v).logpdf(e @ basis.T).sum() for e, v in zip(y, s, strict=True)]
    np.testing.assert_allclose(prior.log_density(y, values={"s": s}), expected, rtol=1e-12)


def test_log_jacobians_equal_pymc():
    """All families in one model: PyMC's log density with its Jacobian, less that without, is ours."""
    spec = examples.Jacobians()
    statistics = spec.statistics(pd.DataFrame({"y": [1.0]}))
    model = build(spec, statistics).model
    import pytensor

    variables = model.replace_rvs_by_values([model[a.name] for a in spec.assumptions(statistics)])
    values = list(model.value_vars)
    terms = dict(zip((rv.name for rv in model.free_RVs), model.logp(vars=model.free_RVs, sum=False), strict=True))
    bare = dict(
        zip(
            (rv.name for rv in model.free_RVs),
            model.logp(vars=model.free_RVs, sum=False, jacobian=False),
            strict=True,
        )
    )
    names = [a.name for a in spec.assumptions(statistics)]
    outputs = [*variables, *(terms[n].sum() for n in names), *(bare[n].sum() for n in names)]
    function = pytensor.function(values, outputs, mode="FAST_COMPILE")
    start, rng = model.initial_point(), np.random.default_rng(1)
    for _ in range(20):
        out = function(*[start[v.name] + rng.normal(0, 1.5, np.shape(start[v.name])) for v in values])
        k = len(names)
        for i, assumption in enumerate(spec.assumptions(statistics)):
            own = assumption.prior.log_jacobian(np.asarray(out[i])[None])[0]
            assert own == pytest.approx(out[k + i] - out[2 * k + i], abs=1e-8), assumption.name
            density = assumption.prior.log_density(np.asarray(out[i])[None])[0]
            assert density == pytest.approx(out[2 * k + i], abs=1e-8), assumption.name


def test_log_jacobian_takes_bounds_that_are_draws():
    prior = Prior("Uniform", lower=0.0, upper="top")
    x, top = np.array([0.5, 1.0]), np.array([2.0, 4.0])
    expected = np.log(x) + np.log(top - x) - np.log(top)
    np.testing.assert_allclose(prior.log_jacobian(x, values={"top": top}), expected)


def test_parameters_that_are_variables_broadcast_from_the_right():
    prior = Prior("Normal", dims=("g", "k"), mu=0.0, sigma="s")
    x, s = np.random.default_rng(0).normal(size=(7, 2, 3)), np.full((7, 3), 2.0)
    expected = stats.norm(0, 2).logpdf(x).sum((1, 2))
    np.testing.assert_allclose(prior.log_density(x, values={"s": s}), expected)
    assert prior.random(np.random.default_rng(0), (2, 3), values={"s": np.ones(3)}).shape == (2, 3)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_json_round_trip(name):
    prior = PRIORS[name]
    again = Prior.from_dict(json.loads(json.dumps(prior.to_dict())))
    assert again == prior
    assert hash(again) == hash(prior)
    assert again != prior.replace(**{next(iter(prior.numbers)): 1.234})


def test_references_survive_json():
    prior = Prior("Normal", dims="g", mu=0, sigma="tau")
    assert prior.references == {"sigma": "tau"}
    assert Prior.from_dict(prior.to_dict()) == prior


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Prior("Norma", mu=0, sigma=1), "Did you mean 'Normal'"),
        (lambda: Prior("Normal", mu=0, sd=1), "no parameter 'sd'"),
        (lambda: Prior("Normal", mu=0, sigam=1), "Did you mean 'sigma'"),
        (lambda: Prior("Normal", mu=0), "needs sigma"),
        (lambda: Prior("Normal", mu=0, sigma=-1), "sigma=-1"),
        (lambda: Prior("Normal", mu=0, sigma=0), "must be a finite number"),
        (lambda: Prior("Normal", mu=np.nan, sigma=1), "must be a finite number"),
        (lambda: Prior("Normal", mu=np.inf, sigma=1), "must be a finite number"),
        (lambda: Prior("Normal", mu=[1], sigma=1), "a parameter is a number"),
        (lambda: Prior("Uniform", lower=2, upper=1), "lower must be less than upper"),
        (lambda: Prior("DiagonalDirichlet", base=1, boost=-0.5), "boost=-0.5"),
        (lambda: Dial("a.b", 2.0, 0.0, 1.0), "from 0 to 1"),
        (lambda: Assumption("a b", "Text.", "hyper"), "must be a Python identifier"),
        (lambda: Assumption("a", "Text.", "hypr"), ", ".join(LEVELS)),
        (lambda: Assumption("a", "Text", "hyper"), "whole sentence"),
    ],
)
def test_faults_are_refused_by_name(make, message):
    with pytest.raises(SpecificationError) as error:
        make()
    assert message in str(error.value)


def test_dials_of_an_assumption():
    a = Assumption("tau", "Groups differ.", "hyper", Prior("Gamma", alpha=2, beta=0.5))
    assert {k: d.value for k, d in a.dials.items()} == {"tau.alpha": 2.0, "tau.beta": 0.5}
    assert a.parameters({"tau.beta": 3.0, "other.beta": 9.0}) == {"alpha": 2.0, "beta": 3.0}
    assert a.describe({"tau.beta": 3.0}) == "Gamma(alpha=2, beta=3)"
    with pytest.raises(SpecificationError, match=r"tau\.beta"):
        a.dials["tau.beta"].check(-1)
