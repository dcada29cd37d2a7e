"""SelectiveRisk with probit links: the bivariate probit model against its own law, simulated truth, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("pymc")

from bayeskit_models.risk import SelectiveRisk, bivariate_probit
from bayeskit_models.risk.population import coefficients_of

TRUTH = {
    "correlation": np.array(0.5), "risk_intercept": np.array(-0.6), "risk_effect": np.array([0.5, -0.3]),
    "testing_intercept": np.array(0.2), "testing_effect": np.array([0.3, 0.2, 0.8]),
}  # fmt: skip
SETTINGS = {"risk": "x1 + x2", "testing": "x1 + x2 + z"}


def scores(table):
    x = {n: (table[n] - table[n].mean()).to_numpy() / table[n].to_numpy().std() for n in ("x1", "x2", "z")}
    mu = -0.6 + 0.5 * x["x1"] - 0.3 * x["x2"]
    return mu, 0.2 + 0.3 * x["x1"] + 0.2 * x["x2"] + 0.8 * x["z"]


def test_likelihood_is_that_of_its_cells():
    """By hand from the logs of the three cells; and the prevalence is the mean of Phi(mu)."""
    free, known = SelectiveRisk.probit(**SETTINGS), SelectiveRisk.probit(**SETTINGS, prevalence=(0.3, 0.05))
    table = free.simulate(1, parameters=TRUTH, n=300).table
    mu, nu = scores(table)
    ill, well, untested = bivariate_probit.log_cells(mu, nu, np.arctanh(0.5))
    exact = np.where(table["t"] == 0, untested, np.where(table["y"] == 1, ill, well)).sum()
    assert free.log_likelihood(table, TRUTH) == pytest.approx(exact, rel=1e-11)
    statistics = known.statistics(table)
    values = {k: v[None] for k, v in TRUTH.items()}
    implied = coefficients_of(known, values, statistics, known.dials(statistics)).implied(statistics)
    assert implied[0, 0] == pytest.approx(stats.norm.cdf(mu).mean(), rel=1e-10)
    weight = known.log_constraint(values, statistics, known.dials(statistics))["prevalence"][0]
    assert weight == pytest.approx(-0.5 * ((implied[0, 0] - 0.3) / 0.05) ** 2, rel=1e-9)


def test_maximum_likelihood_finds_the_truth():
    """20,000 simulated rows: every parameter within 4 standard errors, the correlation among them."""
    spec = SelectiveRisk.probit(**SETTINGS)
    best = spec.mode(spec.simulate(2, parameters=TRUTH, n=20_000).table, prior=False, starts=1)
    assert best.status == "ok"
    for name, value in TRUTH.items():
        assert (np.abs(best.values[name] - value) < 4.0 * best.standard_errors[name]).all(), name


def test_what_is_not_identified_is_refused():
    with pytest.raises(TypeError, match="no expertise"):
        SelectiveRisk.probit(risk="x", expertise=["x"])
    with pytest.raises(TypeError, match="lacks x2"):
        SelectiveRisk.probit(risk="x1 + x2", testing="x1")


@pytest.fixture(scope="module")
def fit():
    spec = SelectiveRisk.probit(**SETTINGS, prevalence=(0.33, 0.02))
    free = SelectiveRisk.probit(**SETTINGS)
    return spec.fit(free.simulate(1, parameters=TRUTH, n=500).table, seed=1, draws=200, tune=300, progress=False)


def test_answers(fit, tmp_path):
    """Risks average to the whole in every draw; a report is made; a policy at equal risk is refused."""
    new = fit.statistics[["x_x1", "x_x2", "x_z"]].isel(row=[0, 5])
    rows = {n: new[f"x_{n}"].values for n in ("x1", "x2", "z")}
    found = {g: fit.risk(rows, given=g).draws.values for g in ("all", "tested", "untested")}
    share = fit.row_draws(rows)[0][..., 2].reshape(found["all"].shape)
    np.testing.assert_allclose(found["tested"] * (1 - share) + found["untested"] * share, found["all"], atol=1e-9)
    assert (found["untested"] <= found["tested"])[fit.posterior["correlation"].values > 0].all()
    assert "correlation of what moves outcome and testing" in fit.report(tmp_path / "r.md").read_text()
    for question in (lambda: fit.policy("x1"), lambda: fit.unobserved()):
        with pytest.raises(TypeError, match="not identified"):
            question()
