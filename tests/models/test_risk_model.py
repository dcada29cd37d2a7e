"""SelectiveRisk as a specification: coordinates against plain parameters, folding, designs, priors with constraints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

pytest.importorskip("pymc")

import bayeskit
from bayeskit.engine import compiled_for
from bayeskit_models.risk import Prevalence, SelectiveRisk, synthetic_screening
from bayeskit_models.risk.population import coefficients_of

RISK = "x1 + x2"
SPECS = {
    "plain": {},
    "prevalence": {"prevalence": (0.4, 0.02)},
    "expertise": {"expertise": ["x1"], "prevalence": Prevalence(low=0.3, high=0.4, sd=0.01)},
    "soft": {"expertise": ["x2"], "tau": 0.2},
    "normal": {"unobserved": "normal", "alpha": 0.7},
    "student, free slope": {"unobserved": "student", "alpha": "free", "testing": "x2"},
    "uniform, positive slope": {"alpha": "positive", "signs": {"x1": 1}},
}


@pytest.fixture(scope="module")
def table():
    return synthetic_screening(3, n=150, covariates=2).table


def natural_density(spec, statistics, values, dials):
    """Log prior, constraints and likelihood at plain parameters: what the posterior is proportional to."""
    total = spec_likelihood(spec, statistics, values, dials)
    for a in spec.assumptions(statistics):
        if a.prior is not None:
            total += a.prior.log_density(np.asarray(values[a.name])[None], a.parameters(dials))[0]
    one = {k: np.asarray(v)[None] for k, v in values.items()}
    return total + sum(float(v[0]) for v in spec.log_constraint(one, statistics, dials).values())


def spec_likelihood(spec, statistics, values, dials):
    """Row by row, from probabilities of rows that another test compares with exact ones."""
    from bayeskit_models.risk.population import testing_columns

    c = coefficients_of(spec, {k: np.asarray(v)[None] for k, v in values.items()}, statistics, dials)
    rows = c.log_rows(statistics, testing_columns(statistics))
    return float(rows[0] @ statistics["weight"].values)


@pytest.mark.parametrize("name", SPECS)
def test_the_coordinates_leave_the_posterior_as_it_is(table, name):
    """The sampler's log density is the plain one plus the log determinant of the Jacobian, found by differences (1e-6).

    Up to one constant: that of the scale of u, and the half that |u| gives to each of two signs.
    """
    spec = SelectiveRisk(risk=RISK, **SPECS[name])
    statistics = spec.statistics(table)
    dials = spec.dials(statistics)
    built = compiled_for(spec, statistics).built
    compiled_for(spec, statistics).set_data(statistics, dials)
    model = built.model
    density = model.compile_logp(mode="FAST_COMPILE")
    free = [v.name for v in model.value_vars]
    variables = model.replace_rvs_by_values(list(built.variables.values()))
    natural = model.compile_fn(variables, mode="FAST_COMPILE")
    start = model.initial_point(random_seed=0)
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(4):
        point = {k: np.asarray(start[k] + rng.normal(0.0, 0.7, np.shape(start[k]))) for k in free}
        values = dict(zip(built.variables, map(np.asarray, natural(point)), strict=True))
        jacobian = []
        for k in free:
            for place in np.ndindex(np.shape(point[k])):
                ends = []
                for s in (1e-6, -1e-6):
                    moved = {**point, k: point[k].copy()}
                    moved[k][place] += s
                    ends.append(np.concatenate([np.ravel(v) for v in natural(moved)]))
                jacobian.append((ends[0] - ends[1]) / 2e-6)
        log_det = np.linalg.slogdet(np.array(jacobian))[1]
        gaps.append(float(density(point)) - natural_density(spec, statistics, values, dials) - log_det)
    assert np.ptp(gaps) < 1e-6


def test_likelihood_from_the_specification(table):
    """spec.log_likelihood is the sum over rows, for every kind of specification."""
    for settings in SPECS.values():
        spec = SelectiveRisk(risk=RISK, **settings)
        statistics = spec.statistics(table)
        dials = spec.dials(statistics)
        free = dataclasses.replace(spec, prevalence=None, signs=())
        values = free.draw_prior(statistics, np.random.default_rng(1))
        assert spec.log_likelihood(table, values) == pytest.approx(spec_likelihood(spec, statistics, values, dials), rel=1e-10)


def test_weights_and_repeated_rows_are_the_same_and_fold():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"age": rng.integers(0, 4, 400).astype(float), "sex": rng.choice(["f", "m"], 400)})
    rows["t"] = rng.integers(0, 2, 400)
    rows["y"] = np.where(rows["t"] == 1, rng.integers(0, 2, 400), np.nan)
    spec = SelectiveRisk(risk="age + sex", prevalence=(0.5, 0.1))
    whole = spec.statistics(rows)
    assert whole.sizes["row"] <= 4 * 2 * 3 and float(whole["weight"].sum()) == 400 and whole.sizes["observation"] == 400
    counted = rows.groupby(["age", "sex", "t", "y"], dropna=False).size().reset_index(name="n").sample(frac=1.0, random_state=1)
    weighted = dataclasses.replace(spec, weights="n")
    values = spec.draw_prior(whole, rng)
    assert weighted.log_likelihood(counted, values) == pytest.approx(spec.log_likelihood(rows, values), rel=1e-12)
    a = spec.log_constraint({k: v[None] for k, v in values.items()}, whole, spec.dials(whole))["prevalence"]
    b = weighted.log_constraint({k: v[None] for k, v in values.items()}, weighted.statistics(counted), spec.dials(whole))
    assert b["prevalence"] == pytest.approx(a, rel=1e-10)


def test_rows_find_their_cells(table):
    spec = SelectiveRisk(risk=RISK)
    statistics = spec.statistics(table)
    columns = statistics["risk_columns"].values[:, statistics["cell"].values]
    x = table[["x1", "x2"]].to_numpy()
    np.testing.assert_allclose(columns.T, (x - x.mean(0)) / x.std(0), atol=1e-12)
    kind = np.repeat([0, 1, 2], np.diff(statistics["kind_ptr"].values))[statistics["cell"].values]
    np.testing.assert_array_equal(kind, np.where(table["t"] == 0, 0, np.where(table["y"] == 1, 1, 2)))


def test_expertise_chooses_the_terms():
    spec = SelectiveRisk(risk="age + sex + age:sex + I(bmi**2)", expertise=["age", "sex"])
    assert spec.terms("testing").text == "age + sex + age:sex" and spec.terms("held").text == ""
    soft = dataclasses.replace(spec, tau=0.1)
    assert soft.terms("held").text == "I(bmi ** 2)"
    assert SelectiveRisk(risk="age", expertise=[]).terms("testing").text == ""
    hard, written = SelectiveRisk(risk="a + b", expertise=["a"]), SelectiveRisk(risk="a + b", testing="a")
    assert hard.canonical() == written.canonical() and hard != written


def test_hard_expertise_is_the_formula_of_testing(table):
    hard, written = SelectiveRisk(risk=RISK, expertise=["x1"]), SelectiveRisk(risk=RISK, testing="x1")
    values = hard.draw_prior(hard.statistics(table), np.random.default_rng(0))
    assert hard.log_likelihood(table, values) == pytest.approx(written.log_likelihood(table, values), rel=1e-12)
    full = SelectiveRisk(risk=RISK)
    wide = {**values, "testing_effect": np.array([values["testing_effect"][0], 0.0])}
    assert full.log_likelihood(table, wide) == pytest.approx(hard.log_likelihood(table, values), rel=1e-12)


def test_draws_from_the_prior_with_a_prevalence(table):
    """Kept with the constraint's weight as probability: implied prevalences are the unconstrained ones reweighted.

    Mean of 400 kept draws against 40,000 weighted ones; 4 standard errors.
    """
    from bayeskit_models.risk.simulate import draw_prior_batch

    spec = SelectiveRisk(risk=RISK, prevalence=(0.3, 0.05))
    statistics = spec.statistics(table)
    dials = spec.dials(statistics)
    rng = np.random.default_rng(5)
    kept = [spec.draw_prior(statistics, rng) for _ in range(400)]
    stacked = {k: np.stack([d[k] for d in kept]) for k in kept[0]}
    found = coefficients_of(spec, stacked, statistics, dials).implied(statistics)[:, 0]
    batch = draw_prior_batch(spec, statistics, rng, dials, 40_000)
    implied = coefficients_of(spec, batch, statistics, dials).implied(statistics)[:, 0]
    weight = np.exp(spec.log_constraint(batch, statistics, dials)["prevalence"])
    np.testing.assert_allclose(np.exp(-0.5 * ((implied - 0.3) / 0.05) ** 2), weight, rtol=1e-9)
    assert found.mean() == pytest.approx(np.average(implied, weights=weight), abs=4.0 * found.std() / 20.0)


def test_simulated_shares_are_the_implied_ones():
    """20,000 rows: share tested, share with outcome 1 among all tested, by hand-made averages; 4 standard errors."""
    spec = SelectiveRisk(risk=RISK, unobserved="normal", alpha=0.8)
    truth = {
        "unobserved_scale": np.array(1.4), "risk_intercept": np.array(-0.7), "risk_effect": np.array([0.8, -0.5]),
        "testing_intercept": np.array(0.4), "testing_effect": np.array([-0.6, 0.2]),
    }  # fmt: skip
    made = spec.simulate(2, parameters=truth, n=20_000)
    statistics = spec.statistics(made.table)
    x = statistics["risk_columns"].values
    grid = np.linspace(-8.0, 8.0, 801)
    w = stats.norm.pdf(grid) / stats.norm.pdf(grid).sum()
    r = (-0.7 + np.array([0.8, -0.5]) @ x)[:, None] + 1.4 * grid
    t = 1.0 / (1.0 + np.exp(-(0.8 * r + (0.4 + np.array([-0.6, 0.2]) @ x)[:, None])))
    p = 1.0 / (1.0 + np.exp(-r))
    for seen, exact in ((made.table["t"].mean(), (t @ w).mean()), ((made.table["y"] == 1).mean(), ((t * p) @ w).mean())):
        assert seen == pytest.approx(exact, abs=4.0 * np.sqrt(exact * (1 - exact) / 20_000))


def test_json_keeps_constraints():
    for settings in ({"prevalence": (0.1, 0.02)}, {"prevalence": Prevalence(low=0.1, high=0.2)}, {"expertise": [], "tau": 0.3}):
        spec = SelectiveRisk(risk="x", **settings)
        assert bayeskit.from_json(spec.to_json()) == spec
    grouped = SelectiveRisk(risk="x", group="g", prevalence={"a": (0.1, 0.02), "b": Prevalence(0.3, n=100)})
    assert bayeskit.from_json(grouped.to_json()) == grouped and hash(grouped) == hash(bayeskit.from_json(grouped.to_json()))


def test_dials_of_a_prevalence_by_group():
    spec = SelectiveRisk(risk="x", group="g", prevalence={"a": (0.1, 0.02), "b": Prevalence(low=0.3, high=0.5)})
    x = np.arange(40.0)
    table = pd.DataFrame({"x": x, "g": np.where(x < 20, "a", "b"), "t": (x % 10 < 2).astype(int)})
    table["y"] = np.where(table["t"] == 1, x % 2, np.nan)
    dials = spec.dials(spec.statistics(table))
    assert dials["prevalence.value_1"] == 0.1 and dials["prevalence.low_2"] == 0.3 and dials["prevalence.sd_2"] == 0.1 * 0.2
