"""What a SelectiveRisk fit answers, by hand: risks, unobservables, policies, tests by risk, validation, conflict, bounds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

pytest.importorskip("pymc")

import bayeskit
from bayeskit_models.risk import Prevalence, SelectiveRisk, synthetic_screening
from bayeskit_models.risk.allocation import _top
from bayeskit_models.risk.conflict import Conflict, untested_identity
from bayeskit_models.risk.validation import auc, calibration_slope, quintile_ratio

N = 600


@pytest.fixture(scope="module")
def study():
    return synthetic_screening(11, n=N, covariates=2)


@pytest.fixture(scope="module")
def fit(study):
    p = float(study.truth["outcome"].mean())
    spec = SelectiveRisk(risk="x1 + x2", prevalence=Prevalence(p, n=N), expertise=["x1"])
    return spec.fit(study.table, seed=1, draws=400, tune=500, progress=False)


@pytest.fixture(scope="module")
def normal_fit(study):
    spec = SelectiveRisk(risk="x1 + x2", unobserved="normal", alpha="positive")
    return spec.fit(study.table, seed=1, draws=150, tune=300, chains=2, progress=False)


def first(fit):
    """Parameters of the first draw, and covariates as the fit sees them."""
    p = {str(n): v.values[0, 0] for n, v in fit.posterior.data_vars.items()}
    s = fit.statistics
    return p, s["risk_centre"].values, s["risk_spread"].values


def logistic(x):
    return 1.0 / (1.0 + np.exp(-x))


def by_hand(fit, x, what):
    """One quantity of a row by adaptive quadrature over the unobservable, at the first draw."""
    p, centre, spread = first(fit)
    z = (np.asarray(x) - centre) / spread
    names = [str(t) for t in fit.statistics["testing_term"].values]
    picked = z[[["x1", "x2"].index(n) for n in names]]
    a = p["risk_intercept"] + p["risk_effect"] @ z
    d = p["testing_intercept"] + p["testing_effect"] @ picked
    alpha = float(p["alpha"]) if "alpha" in p else 1.0
    sigma = float(p["unobserved_scale"])
    uniform = fit.spec.unobserved == "uniform"
    low, high = (0.0, sigma) if uniform else (-9.0 * sigma, 9.0 * sigma)

    def density(u):
        return 1.0 / sigma if uniform else stats.norm.pdf(u, 0.0, sigma)

    return integrate.quad(lambda u: what(a + u, alpha * (a + u) + d, u) * density(u), low, high, epsabs=1e-13, epsrel=1e-12)[0]


@pytest.mark.parametrize("which", ["fit", "normal_fit"])
def test_risks_by_quadrature(which, request):
    """Of all, tested and untested, at the first draw: 1e-8; and they average to the whole."""
    fit = request.getfixturevalue(which)
    x = [0.7, -1.2]
    new = pd.DataFrame([x], columns=["x1", "x2"])
    p = by_hand(fit, x, lambda r, t, u: logistic(r))
    tested = by_hand(fit, x, lambda r, t, u: logistic(t))
    both = by_hand(fit, x, lambda r, t, u: logistic(r) * logistic(t))
    found = {g: fit.risk(new, given=g).draws.values[0, 0, 0] for g in ("all", "tested", "untested")}
    assert found["all"] == pytest.approx(p, abs=1e-8)
    assert found["tested"] == pytest.approx(both / tested, abs=1e-8)
    assert found["untested"] == pytest.approx((p - both) / (1.0 - tested), abs=1e-8)
    every = {g: fit.risk(new, given=g).draws.values for g in found}
    share = fit.row_draws(new)[0][..., 2].reshape(every["all"].shape)
    np.testing.assert_allclose(every["tested"] * (1 - share) + every["untested"] * share, every["all"], atol=1e-9)


def test_rows_of_the_table_come_in_its_order(fit, study):
    whole = fit.risk().summary()
    some = fit.risk(study.table[["x1", "x2"]].iloc[[3, 77]]).summary()
    assert list(whole.index[:2]) == ["row 0", "row 1"] and len(whole) == N
    np.testing.assert_allclose(whole["mean"].to_numpy()[[3, 77]], some["mean"].to_numpy(), rtol=1e-12)
    assert set(whole.columns) == {"mean", "median", "lower", "upper"}


@pytest.mark.parametrize("which", ["fit", "normal_fit"])
def test_unobserved_by_quadrature(which, request, study):
    """E[Z | x, T, Y] of three rows at the first draw, one of each kind."""
    fit = request.getfixturevalue(which)
    found = fit.unobserved(draws=2).draws.values[0, 0]
    table = study.table
    for kind, row in (("t", (table["t"] == 0).argmax()), (1.0, (table["y"] == 1).argmax()), (0.0, (table["y"] == 0).argmax())):
        x = table.loc[row, ["x1", "x2"]].to_numpy(dtype=float)
        weight = {
            "t": lambda r, t, u: logistic(-t),
            1.0: lambda r, t, u: logistic(r) * logistic(t),
            0.0: lambda r, t, u: logistic(-r) * logistic(t),
        }[kind]
        exact = by_hand(fit, x, lambda r, t, u, w=weight: u * w(r, t, u)) / by_hand(fit, x, weight)
        assert found[row] == pytest.approx(exact, abs=1e-7)


def test_prevalence_adds_up(fit):
    """all = tested share + untested (1 - share) in every draw; the note tells what was observed."""
    p = fit.estimands["prevalence"].transpose("chain", "draw", "population").values
    share = fit.estimands["share_tested"].values
    np.testing.assert_allclose(p[..., 1] * share + p[..., 2] * (1 - share), p[..., 0], atol=1e-12)
    assert "Observed:" in fit.prevalence().note and "of whom" in fit.prevalence().note


def test_a_policy_is_a_test_at_fixed_risk(fit):
    curve = fit.policy("x1", [-1.0, 0.5], risk=0.2)
    p, centre, spread = first(fit)
    mean = fit.statistics["x_x2"].values @ fit.statistics["weight"].values / N
    assert mean == pytest.approx(0.0, abs=1e-9)
    for k, x in enumerate((-1.0, 0.5)):
        score = np.log(0.2 / 0.8) + p["testing_intercept"] + p["testing_effect"][0] * (x - centre[0]) / spread[0]
        assert curve.draws[0, k] == pytest.approx(logistic(score), rel=1e-9)
    flat = fit.policy("x2", [-1.0, 1.0])
    assert not flat.free and np.ptp(flat.draws, axis=1).max() < 1e-12 and "flat by assumption" in repr(flat)
    figure = fit.policy("x1").plot([0.5])
    assert "threshold" in figure.alt and "equal-tailed" in figure.alt


def test_tests_by_risk_by_hand(fit):
    """At the posterior mean ranking: expected outcomes are sums of risks, and the present policy's of those tested."""
    found = fit.misallocation(100)
    c, _ = fit.thinned(N, 400)
    from bayeskit_models.risk.population import testing_columns

    rows = c.rows(fit.statistics["risk_columns"].values, testing_columns(fit.statistics))
    order = np.argsort(-rows[..., 0].mean(0))[:100]
    np.testing.assert_allclose(found.by_risk, rows[:, order, 0].sum(1), rtol=1e-12)
    np.testing.assert_allclose(found.by_policy, rows[..., 1].sum(1), rtol=1e-12)
    np.testing.assert_allclose(found.tests, (1.0 - rows[..., 2]).sum(1), rtol=1e-12)
    assert (found.by_policy <= found.tests).all() and found.summary().loc["found per test, present", "upper"] <= 1.0
    assert found.people["tested_by_risk"].sum() == 100 and (found.people["risk"].diff().dropna() <= 0).all()
    assert found.people["p_chosen"].sum() == pytest.approx(100, abs=1e-6)
    np.testing.assert_array_equal(_top(np.array([0.3, 0.9, 0.5]), np.array([2.0, 3.0, 4.0]), 5.0), [0.0, 3.0, 2.0])
    with pytest.raises(TypeError, match="budget"):
        fit.misallocation(N + 1)


def test_metrics_by_hand():
    rng = np.random.default_rng(0)
    risk, y, w = rng.uniform(0.05, 0.95, (3, 80)).round(2), rng.integers(0, 2, 80).astype(float), rng.exponential(size=(3, 80))
    for s in range(3):
        pairs = [
            (w[s, i] * w[s, j], (risk[s, i] > risk[s, j]) + 0.5 * (risk[s, i] == risk[s, j]))
            for i in range(80) for j in range(80) if y[i] == 1 and y[j] == 0
        ]  # fmt: skip
        exact = sum(a * b for a, b in pairs) / sum(a for a, _ in pairs)
        assert auc(risk, y, w)[s] == pytest.approx(exact, rel=1e-12)
    flat = np.ones((1, 100))
    ramp = np.arange(100.0)[None]
    outcome = np.r_[np.ones(2), np.zeros(78), np.ones(10), np.zeros(10)]
    assert quintile_ratio(ramp, outcome, flat)[0] == pytest.approx(5.0)
    assert np.isinf(quintile_ratio(ramp, np.r_[np.zeros(99), 1.0], flat)[0])
    from scipy.optimize import minimize

    x = np.log(risk[0] / (1 - risk[0]))
    best = minimize(
        lambda b: (w[0] * np.logaddexp(0, np.where(y == 1, -1, 1) * (b[0] + b[1] * x))).sum(), [0.0, 1.0], tol=1e-12
    )
    assert calibration_slope(risk, y, w)[0] == pytest.approx(best.x[1], abs=1e-5)


def test_validation_by_subgroups(fit, study):
    later = study.table[study.table["t"] == 0].assign(y=study.truth["outcome"])
    later["half"] = np.where(np.arange(len(later)) % 2, "odd", "even")
    later.loc[later.index[:3], "half"] = "few"
    found = fit.validate(later, by="half")
    table = found.summary()
    assert found.left_out == ("half = few",) and set(table.index.get_level_values(0)) == {"all", "half = even", "half = odd"}
    assert (table["lower"] <= table["median"]).all() and table.loc[("all", "auc"), "median"] > 0.6
    assert "Jeffreys" in found.plot().alt
    with pytest.raises(bayeskit.DataError, match="every row of the follow-up"):
        fit.validate(later.assign(y=0))


def test_identity_by_hand(fit, study):
    found = untested_identity(fit)
    t, y = study.table["t"], study.table["y"]
    stated = fit.dials["prevalence.value"]
    assert found.implied == pytest.approx((stated - (y == 1).mean()) / (1 - t.mean()), rel=1e-12)
    assert found.stated and found.holds and abs(found.implied - found.fitted) < 3 * found.sd


def test_conflict_of_normal_draws():
    """z is the gap over both standard deviations where draws are normal (0.06 with 40,000 of them); 0 inside an interval."""
    rng = np.random.default_rng(0)
    implied = rng.normal(0.3, 0.02, (40_000, 3))
    stated = np.array([[0.36, 0.36, 0.02], [0.25, 0.25, 0.01], [0.28, 0.34, 0.01]])
    found = Conflict(("a", "b", "c"), stated, implied, "PASS")
    np.testing.assert_allclose(found.z[:2], [0.06 / 0.02 / np.sqrt(2), -0.05 / np.hypot(0.02, 0.01)], atol=0.06)
    assert found.z[2] == 0.0 and found.conflict and "CONFLICT" in repr(found)


def test_conflict_of_a_fit(fit):
    """A right prevalence passes; one that is far off is told by the verdict too."""
    assert not fit.usual_conflict.conflict and fit.usual_conflict.implied.shape == (2000, 1)
    value = min(0.97, fit.dials["prevalence.value"] + 0.25)
    wrong = fit.refit(dials={"prevalence.value": value})
    names = [c.name for c in wrong.verdict.concerns]
    assert "conflict" in names
    assert wrong.usual_conflict.z[0] > 2.0


def test_bounds_by_hand(fit):
    found = fit.bounds("prevalence", draws=200).table
    t, y = fit.statistics["counts"].values[1:].sum() / N, fit.statistics["counts"].values[1] / N
    assert found.loc["prevalence[untested]", "lower"] == 0.0 and found.loc["prevalence[untested]", "upper"] == 1.0
    assert found.loc["prevalence[all]", "set_lower"] == pytest.approx(y, abs=0.02)
    assert found.loc["prevalence[all]", "set_upper"] == pytest.approx(y + 1 - t, abs=0.03)
    with pytest.raises(TypeError, match="any value"):
        fit.bounds("risk_coefficient")


def test_figures_and_report(fit, tmp_path):
    figure = fit.plot_risk(groups=5)
    assert "Observed among the tested" in figure.alt
    path = fit.plot_prevalence_path([0.3, 0.4], draws=100, tune=150)
    assert "stated prevalence" in path.alt
    page = fit.report(tmp_path / "r.md").read_text()
    for text in ("Nothing was seen", "How testing departs from risk", "Total probability alone", "Without being told"):
        assert text in page
    with pytest.raises(TypeError, match="ascending"):
        fit.plot_prevalence_path([0.4, 0.3])


def test_a_run_without_rows(fit, tmp_path):
    """What is about people needs the rows; the rest is there, and the verdict says what could not be computed."""
    again = bayeskit.load(fit.save(tmp_path / "run.nc"))
    assert again.statistics is None
    new = pd.DataFrame({"x1": [0.0], "x2": [0.0]})
    np.testing.assert_array_equal(again.risk(new).draws.values, fit.risk(new).draws.values)
    assert {c.name for c in again.verdict.results if c.status.value == "NOT COMPUTED"} == {"predictive", "conflict"}
    assert "needs the rows" in again.report(tmp_path / "r.md").read_text()
    found = again.sensitivity()
    assert any(r.assumption == "prevalence" and r.state != "not computed" for r in found.rows)
    with pytest.raises(bayeskit.StorageError, match="without its statistics"):
        again.misallocation()


def test_quadrature_is_checked(normal_fit):
    found = next(c for c in normal_fit.checks if c.name == "quadrature")
    assert found.status.value == "PASS" and "Doubling the nodes" in found.text


def test_a_wrong_expertise_does_not_pass():
    """Testing departs along x2 by -1.5, which expertise denies: residuals along x2 tell; along what is right they do not."""
    truth = {
        "unobserved_scale": np.array(2.0), "risk_intercept": np.array(-2.0), "risk_effect": np.array([0.5, 1.0]),
        "testing_intercept": np.array(1.5), "testing_effect": np.array([1.0, -1.5]),
    }  # fmt: skip
    table = SelectiveRisk(risk="x1 + x2").simulate(3, parameters=truth, n=1500).table
    found = {}
    for name, expertise in (("wrong", ["x1"]), ("right", None)):
        fit = SelectiveRisk(risk="x1 + x2", expertise=expertise).fit(
            table, seed=1, draws=200, tune=300, chains=2, progress=False
        )
        found[name] = next(c for c in fit.checks if c.name == "residuals")
    assert found["wrong"].status.value == "WARN" and "along x2" in found["wrong"].text
    assert found["right"].status.value == "PASS"


def test_other_dials_on_the_same_compiled_model(fit, study, compiled_with):
    """alpha = 1.3 and a wide prevalence: nothing is compiled again, and the likelihood is that of the other specification."""
    from bayeskit.engine import compile_count

    before = compiled_with(fit)
    again = fit.refit(dials={"alpha.value": 1.3, "prevalence.sd": 0.2}, draws=100, tune=150)
    assert compile_count() == before and again.dials["alpha.value"] == 1.3
    values = {str(n): v.values[0, 0] for n, v in again.posterior.data_vars.items()}
    other = SelectiveRisk(risk="x1 + x2", expertise=["x1"], alpha=1.3)
    assert float(again.draws["log_likelihood"]["total"].values[0, 0]) == pytest.approx(
        other.log_likelihood(study.table, values), abs=1e-6
    )


def test_a_sweep_over_the_prevalence(fit):
    """The untested follow the stated prevalence, by about one over their share; the share tested stays."""
    value, share = fit.dials["prevalence.value"], 1.0 - float(fit.statistics["share_untested"])
    found = fit.sweep({"prevalence.value": [value - 0.02, value + 0.02]}, draws=200, tune=200)
    untested = [float(c.fit.estimands["prevalence"].sel(population="untested").mean()) for c in found.cells]
    assert 0.1 < (untested[1] - untested[0]) * (1.0 - share) / 0.04 < 1.1


def test_comparators_beside_the_fit(fit, study):
    """One table: the fit's own means, and regressions on the same rows by hand."""
    found = fit.baselines().set_index(["method", "term"])
    own = fit.summary().loc["prevalence[untested]"]
    assert found.loc[("SelectiveRisk", "mean outcome, untested"), "estimate"] == own["mean"]
    y, t = (study.table["y"] == 1).mean(), study.table["t"].mean()
    negative = found.loc[("untested negative", "mean outcome, everybody"), "estimate"]
    assert negative == pytest.approx(y, abs=1e-6) and 0.0 < t < 1.0
    tested = study.table[study.table["t"] == 1]
    from scipy.optimize import minimize

    x = np.c_[np.ones(len(tested)), tested[["x1", "x2"]]]
    sign = np.where(tested["y"] == 1, -1.0, 1.0)
    best = minimize(lambda b: np.logaddexp(0.0, sign * (x @ b)).sum(), np.zeros(3), tol=1e-12).x
    for term, value in zip(("intercept", "x1", "x2"), best, strict=True):
        assert found.loc[("tested only", term), "estimate"] == pytest.approx(value, abs=1e-4)
