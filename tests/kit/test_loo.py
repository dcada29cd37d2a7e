"""Leave-one-out cross-validation against ArviZ and closed forms, and differences only where they mean something."""

from __future__ import annotations

import json
from dataclasses import replace

import arviz as az
import examples
import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from bayeskit.sensitivity.loo import loo_difference, psis_loo
from bayeskit.sensitivity.removal import contributions


@pytest.fixture(scope="module")
def table():
    return examples.Regression().simulate(11, n=30, parameters={"a": 0.5, "b": 0.3}).table


@pytest.fixture(scope="module")
def fit(table):
    return examples.VectorRegression().fit(table, seed=4, progress=False)


def test_equal_to_arviz(fit):
    """The same draws and tail length: elpd, standard error, p_loo and k-hat to 1e-6."""
    pointwise = contributions(fit, "row", None).values
    tree = xr.DataTree.from_dict({
        "posterior": fit.posterior,
        "log_likelihood": xr.Dataset({"y": (("chain", "draw", "row"), pointwise)}),
    })  # fmt: skip
    theirs = az.loo(tree, reff=1.0, pointwise=True)
    elpd, lppd, k_hat = psis_loo(pointwise, r_eff=1.0)
    ours = replace(fit.loo(), elpd_unit=elpd, lppd_unit=lppd, k_hat=k_hat)
    assert ours.elpd == pytest.approx(float(theirs.elpd), abs=1e-6)
    assert ours.se == pytest.approx(float(theirs.se), abs=1e-6)
    assert ours.p_loo == pytest.approx(float(theirs.p), abs=1e-6)
    assert k_hat == pytest.approx(np.asarray(theirs.pareto_k), abs=1e-6)


def test_equal_to_the_closed_form(fit, table):
    """Exact leave-one-out densities of a normal regression. Monte Carlo error of the sum: about .02; bound .1."""
    spec, exact = examples.Regression(), []
    for i, row in table.iterrows():
        mean, covariance = spec.closed_form(table.drop(i))
        x = np.array([1.0, row["x"]])
        exact.append(norm.logpdf(row["y"], x @ mean, np.sqrt(1.0 + x @ covariance @ x)))
    found = fit.loo()
    assert found.elpd == pytest.approx(np.sum(exact), abs=0.1)
    assert found.elpd_unit == pytest.approx(exact, abs=0.03)
    assert found.se == pytest.approx(np.sqrt(30) * np.std(exact, ddof=1), abs=0.05)
    assert found.unreliable == 0 and found.k_hat_counts["very bad (over 1)"] == 0 and found.size == 30


def test_folded_rows_count_as_often_as_they_are(beta_table):
    """Beta-binomial, exact: each of 7 successes has predictive probability (2 + 6) / (5 + 9). Error .003; bound .01."""
    fit = examples.FoldedBinomial().fit(beta_table, seed=6, progress=False)
    found = fit.loo()
    success, failure = np.log((2 + 6) / (5 + 9)), np.log((3 + 2) / (5 + 9))
    assert found.elpd_unit == pytest.approx([success, failure], abs=0.01)
    assert found.elpd == pytest.approx(7 * success + 3 * failure, abs=0.05) and found.size == 10
    each = np.repeat([success, failure], [7, 3])
    assert found.se == pytest.approx(np.sqrt(10) * each.std(ddof=1), abs=0.02)


def test_what_cannot_be_trusted_comes_first(fit):
    bad = replace(fit.loo(), k_hat=np.r_[0.9, np.nan, np.zeros(28)])
    assert bad.headline.startswith("UNRELIABLE for 2 of 30 rows") and bad.unreliable == 2
    assert bad.k_hat_counts == {
        "good (k-hat up to 0.70)": 28, "bad (0.70 to 1)": 1, "very bad (over 1)": 0, "not computed": 1,
    }  # fmt: skip
    assert "k-hat over the limit for 2" in loo_difference(bad, fit.loo()).reason
    told = json.loads(bad.to_json(), parse_constant=lambda _: pytest.fail("NaN in JSON"))
    assert told["schema"] == "bayeskit.loo/1" and told["units"][1]["k_hat"] is None and len(told["units"]) == 30


def test_an_infinite_value_is_not_computed():
    values = np.random.default_rng(0).normal(size=(4, 200, 2))
    values[0, 0, 1] = -np.inf
    elpd, _, k_hat = psis_loo(values)
    assert np.isfinite(elpd[0]) and np.isnan(elpd[1]) and np.isnan(k_hat[1])


def test_differences_only_where_they_mean_something(fit, table):
    base = fit.loo()
    assert loo_difference(base, base).elpd == 0.0 and loo_difference(base, base).se == 0.0
    short = fit.spec.fit(table.iloc[:29], seed=4, progress=False, draws=100, tune=100).loo()
    assert "other data" in loo_difference(base, short).reason
    assert "by row, the other by site" in loo_difference(base, replace(base, by="site")).reason
    assert "same units" in loo_difference(base, replace(base, labels=base.labels[::-1])).reason
    other = (base.facts[0], ("likelihood", "paired"))
    assert "kinds of likelihood" in loo_difference(base, replace(base, facts=other)).reason
    unknown = replace(base, facts=(("data", "None"), base.facts[1]))
    assert "not known" in loo_difference(unknown, unknown).reason
    assert np.isnan(loo_difference(base, short).elpd)


def test_a_fit_without_rows_is_not_compared_with_the_whole(fit):
    less = fit.refit(without={"row": 3}, draws=100, tune=100)
    assert "other data" in loo_difference(fit.loo(), less.loo()).reason
