"""SelectiveRisk with a continuous outcome: Heckman's model against published numbers and against its own law."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

pytest.importorskip("pymc")

import pytensor

from bayeskit.engine import compiled_for
from bayeskit_models import datasets
from bayeskit_models.risk import SelectiveRisk, heckman_law
from bayeskit_models.risk.population import coefficients_of
from bayeskit_models.risk.population import testing_columns as columns_of_testing

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "risk"

MROZ = {
    "risk": "educ + exper + I(exper**2)",
    "testing": "nwifeinc + educ + exper + I(exper**2) + age + kidslt6 + kidsge6",
}
PUBLISHED = {
    "wage": [-0.552696, 0.108350, 0.042837, -0.000837],
    "errors": [0.260379, 0.014861, 0.014879, 0.000417],
    "sigma": 0.6634, "rho": 0.0266, "log_likelihood": -832.8851,
}  # fmt: skip
"""Maximum likelihood of sampleSelection (R), tests/Mroz87SelectionTest.Rout.save, as Wooldridge (2003), example 17.5."""


@pytest.fixture(scope="module")
def mroz():
    spec = SelectiveRisk.heckman("lwage", "inlf", **MROZ)
    return spec, datasets.load("mroz87")[["lwage", "inlf", "educ", "exper", "nwifeinc", "age", "kidslt6", "kidsge6"]]


@pytest.fixture(scope="module")
def best(mroz):
    spec, table = mroz
    return spec.mode(table, prior=False)


def outside(spec, table, values):
    """Coefficients per unit of the covariates, intercept first, from values of the variables."""
    statistics = spec.statistics(table)
    centre, spread = statistics["unit"].values
    slopes = spread * values["risk_effect"] / statistics["risk_spread"].values
    intercept = centre + spread * values["risk_intercept"] - slopes @ statistics["risk_centre"].values
    return np.concatenate([[intercept], slopes]), spread * float(values["unobserved_scale"])


def test_maximum_likelihood_of_mroz(mroz, best):
    """Every printed digit of the maximum, and its log likelihood through `log_likelihood`."""
    spec, table = mroz
    assert best.status == "ok"
    assert best.log_likelihood == pytest.approx(PUBLISHED["log_likelihood"], abs=1e-3)
    assert spec.log_likelihood(table, best.values) == pytest.approx(best.log_likelihood, abs=1e-9)
    wage, sigma = outside(spec, table, best.values)
    np.testing.assert_allclose(wage, PUBLISHED["wage"], atol=6e-6)
    assert sigma == pytest.approx(PUBLISHED["sigma"], abs=6e-5)
    assert float(best.values["correlation"]) == pytest.approx(PUBLISHED["rho"], abs=6e-5)
    statistics = spec.statistics(table)
    errors = statistics["unit"].values[1] * best.standard_errors["risk_effect"] / statistics["risk_spread"].values
    np.testing.assert_allclose(errors, PUBLISHED["errors"][1:], atol=6e-6)
    assert float(best.standard_errors["correlation"]) == pytest.approx(0.1471, abs=2e-3)


def test_maximum_likelihood_of_womenwk():
    """Stata's fictional data: strong selection, log likelihood -5178.3045."""
    path = SHARED / "womenwk.csv"
    if not path.exists():
        pytest.skip("the file womenwk.csv is not beside the checkout")
    table = pd.read_csv(path)
    table["works"] = table["wage"].notna().astype(int)
    spec = SelectiveRisk.heckman("wage", "works", risk="education + age", testing="married + children + education + age")
    best = spec.mode(table, prior=False)
    assert best.status == "ok" and best.log_likelihood == pytest.approx(-5178.3045, abs=1e-3)
    wage, sigma = outside(spec, table, best.values)
    np.testing.assert_allclose(wage, [0.485797, 0.989953, 0.213129], atol=2e-5)
    assert sigma == pytest.approx(6.004794, abs=1e-4)
    assert float(best.values["correlation"]) == pytest.approx(0.703504, abs=1e-5)


def made(n=400, **settings):
    spec = SelectiveRisk.heckman(risk="x1 + x2 + x3", unit=(1.0, 2.0), **settings)
    return spec, spec.simulate(4, n=n)


@pytest.mark.parametrize("settings", [{}, {"expertise": ["x1"]}, {"testing": "x1 + z", "alpha": "positive"}])
def test_likelihood_is_heckmans(settings):
    """Row by row by `heckman_law`, from coefficients by hand; on the user's scale of the outcome."""
    spec, simulation = made(**settings)
    table, values = simulation.table, simulation.parameters
    sigma, rho = float(values["unobserved_scale"]), float(values["correlation"])
    statistics = spec.statistics(table)

    def column(name):
        return (table[name] - table[name].mean()).to_numpy() / table[name].to_numpy().std()

    x = np.stack([column(n) for n in ("x1", "x2", "x3")])
    mean = 1.0 + 2.0 * (values["risk_intercept"] + values["risk_effect"] @ x)
    score = values["testing_intercept"] * np.ones(len(table))
    free = [str(t) for t in statistics["testing_term"].values]
    for k, name in enumerate(free):
        score = score + values["testing_effect"][k] * column(name)
    for k, name in enumerate(("x1", "x2", "x3")):
        if name not in free:  # testing follows the outcome
            score = score + rho / sigma * values["risk_effect"][k] * x[k]
    tested = table["t"].to_numpy() == 1
    rows = heckman_law.log_likelihood(table["y"].to_numpy(), tested, mean, score, np.log(2.0 * sigma), np.arctanh(rho))
    assert spec.log_likelihood(table, values) == pytest.approx(rows.sum(), rel=1e-11)


def test_expertise_is_a_departure_of_zero():
    """Along features outside expertise the departure of the equivalent model is 0, and `departure` gives it along others."""
    spec, simulation = made(expertise=["x1"])
    statistics = spec.statistics(simulation.table)
    draws = pd.Series(simulation.parameters)
    c = coefficients_of(spec, {k: np.asarray(v)[None] for k, v in draws.items()}, statistics, spec.dials(statistics))
    mean, score = c.predictors(statistics["risk_columns"].values, columns_of_testing(statistics))
    delta, alpha = heckman_law.to_unobservable(mean[0], score[0], np.log(c.sigma[0]), np.arctanh(c.correlation[0]))
    x = np.concatenate([np.ones((1, mean.shape[1])), statistics["risk_columns"].values])
    fitted, *_ = np.linalg.lstsq(x.T, delta, rcond=None)
    np.testing.assert_allclose(x.T @ fitted, delta, atol=1e-9)
    np.testing.assert_allclose(fitted[2:], 0.0, atol=1e-10)
    found = spec.estimands(_as_draws(simulation.parameters), statistics)
    assert fitted[1] / statistics["testing_spread"].values[0] == pytest.approx(
        float(found["departure"].values[0, 0, 0]), abs=1e-9
    )
    assert alpha == pytest.approx(float(c.alpha[0]), rel=1e-12)


def _as_draws(parameters):
    import xarray as xr

    dims = {"risk_effect": ("risk_term",), "testing_effect": ("testing_term",)}
    return xr.Dataset({k: (("chain", "draw", *dims.get(k, ())), np.asarray(v)[None, None]) for k, v in parameters.items()})


def test_mean_outcomes_by_quadrature():
    """Of all, tested and untested, against integrals over the error; the parts make the whole."""
    spec, simulation = made(n=30, testing="x1")
    statistics = spec.statistics(simulation.table)
    found = spec.estimands(_as_draws(simulation.parameters), statistics)
    c = coefficients_of(
        spec, {k: np.asarray(v)[None] for k, v in simulation.parameters.items()}, statistics, spec.dials(statistics)
    )
    mean, score = (v[0] for v in c.predictors(statistics["risk_columns"].values, columns_of_testing(statistics)))
    e = np.linspace(-9.0, 9.0, 20_001)
    w = stats.norm.pdf(e) / stats.norm.pdf(e).sum()
    rho, sigma = c.correlation[0], c.sigma[0]
    y = 1.0 + 2.0 * (mean[:, None] + sigma * e)
    tested = stats.norm.cdf((score[:, None] + rho * e) / np.sqrt(1 - rho**2))
    parts = [
        (y @ w).mean(),
        ((y * tested) @ w).sum() / (tested @ w).sum(),
        ((y * (1 - tested)) @ w).sum() / ((1 - tested) @ w).sum(),
    ]
    np.testing.assert_allclose(found["mean_outcome"].values[0, 0], parts, rtol=1e-8)


def test_a_stated_mean_outcome():
    """By group: its log weight in the graph is that of NumPy, and 0 within the stated interval."""
    from bayeskit_models.risk import Prevalence

    spec = SelectiveRisk.heckman(
        risk="x1", group="g", unit=(0.0, 1.0), prevalence={"a": (0.5, 0.2), "b": Prevalence(low=-5.0, high=5.0)}
    )
    free = SelectiveRisk.heckman(risk="x1", group="g", unit=(0.0, 1.0))
    simulation = free.simulate(2, n=90)
    table = simulation.table.assign(g=np.where(np.arange(90) % 3 == 0, "a", "b"))
    statistics = spec.statistics(table)
    values = {k: np.asarray(v)[None] for k, v in simulation.parameters.items()}
    x = (table["x1"] - table["x1"].mean()) / table["x1"].to_numpy().std()
    mean = float(values["risk_intercept"][0] + values["risk_effect"][0, 0] * x[table["g"] == "a"].mean())
    weight = spec.log_constraint(values, statistics, spec.dials(statistics))["prevalence"]
    assert weight[0] == pytest.approx(-0.5 * ((mean - 0.5) / 0.2) ** 2, rel=1e-9)
    compiled = compiled_for(spec, statistics)
    compiled.set_data(statistics, spec.dials(statistics))
    potential = next(p for p in compiled.built.model.potentials if p.name == "prevalence__constraint")
    model = compiled.built.model
    at = pytensor.function(
        model.value_vars, model.replace_rvs_by_values([potential]), on_unused_input="ignore", mode="FAST_COMPILE"
    )
    start = model.initial_point()
    zero = at(*[np.zeros(start[v.name].shape) for v in model.value_vars])[0]
    assert float(zero) == pytest.approx(-0.5 * (0.5 / 0.2) ** 2, abs=1e-12)


def test_what_does_not_go_together():
    for settings in ({"link": "logit"}, {"unobserved": "uniform"}, {"alpha": 1.0}, {"tau": 0.1, "expertise": ["x"]}):
        with pytest.raises(TypeError, match="family='gaussian' does not go with"):
            SelectiveRisk.heckman(risk="x", **settings)
    with pytest.raises(TypeError, match="unit"):
        SelectiveRisk.heckman(risk="x", unit=(0.0, -1.0))


@pytest.mark.slow
def test_posterior_of_mroz(mroz):
    """Posterior mean of the wage return within a quarter of a standard error of maximum likelihood; a correlation around 0."""
    spec, table = mroz
    fit = spec.fit(table, seed=1, progress=False)
    assert fit.verdict.status.value == "PASS", fit.verdict
    found = fit.summary()
    assert found.loc["risk_coefficient[educ]", "mean"] == pytest.approx(0.10835, abs=0.25 * 0.0149)
    rho = found.loc["error_correlation"]
    assert rho["lower"] < 0.0 < 0.027 < rho["upper"]
    baselines = fit.baselines()
    two_step = baselines[baselines["method"] == "Heckman two-step"].set_index("term")
    assert two_step.loc["educ", "estimate"] == pytest.approx(0.109066, abs=1e-6)
    assert two_step.loc["intercept", "standard_error"] == pytest.approx(0.305006, abs=1e-6)


@pytest.mark.slow
def test_posterior_where_selection_is_strong():
    """Stata's data: the correlation is far from 0, and the effects are not those of the tested alone."""
    path = SHARED / "womenwk.csv"
    if not path.exists():
        pytest.skip("the file womenwk.csv is not beside the checkout")
    table = pd.read_csv(path)
    table["works"] = table["wage"].notna().astype(int)
    spec = SelectiveRisk.heckman("wage", "works", risk="education + age", testing="married + children + education + age")
    found = spec.fit(table, seed=1, progress=False).summary()
    rho = found.loc["error_correlation"]
    assert 0.62 <= rho["mean"] <= 0.76 and rho["lower"] > 0.3
    assert found.loc["risk_coefficient[education]", "mean"] == pytest.approx(0.990, abs=0.03)
    assert found.loc["risk_coefficient[age]", "mean"] == pytest.approx(0.213, abs=0.015)
