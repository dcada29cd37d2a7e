"""Influence of units: against closed forms with each unit left out, planted outliers, and honest where draws cannot tell."""

from __future__ import annotations

import html
import json

import examples
import numpy as np
import pytest

from bayeskit import SpecificationError, StorageError
from bayeskit.engine import compile_count
from bayeskit.sensitivity.removal import Contributions, batch_error, contributions, first_order, remove_all
from bayeskit.sensitivity.weights import k_hat_limit

OUTLIER = 7


@pytest.fixture(scope="module")
def table():
    made = examples.Regression().simulate(3, n=40, parameters={"a": 0.5, "b": 0.3}).table
    made.loc[OUTLIER, ["x", "y"]] = [2.5, -6.0]
    return made


@pytest.fixture(scope="module")
def fit(table):
    return examples.VectorRegression().fit(table, seed=1, progress=False)


@pytest.fixture(scope="module")
def found(fit):
    return fit.influence(thin_to=None)


@pytest.fixture(scope="module")
def exact(table):
    """Exact shift of intercept and slope without each row, in posterior sds, shape (40, 2)."""
    spec = examples.Regression()
    mean, covariance = spec.closed_form(table)
    return np.array([spec.closed_form(table.drop(i))[0] - mean for i in table.index]) / np.sqrt(np.diag(covariance))


def column(found, name, size=40):
    """A column by unit and quantity, shape (units, 2): intercept, slope."""
    wide = found.table.pivot(index="unit", columns="quantity", values=name)
    return wide.loc[[f"row {i}" for i in range(size)], ["intercept", "slope"]].to_numpy()


# -- the hook -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["row", "site"])
def test_contributions_are_differences_of_the_log_likelihood_of_tables(fit, table, by):
    """The definition, through the table: log p(all rows) - log p(the rows that are left)."""
    spec = examples.Regression()
    thin = fit.posterior.isel(chain=slice(0, 2), draw=slice(0, 3))
    effects = spec.log_likelihood_of(thin, fit.statistics, by)
    for u, label in enumerate(effects["unit"].values):
        left = table.drop(int(label.split()[1])) if by == "row" else table[table["site"] != label]
        for c in range(2):
            for d in range(3):
                values = {n: thin[n].values[c, d] for n in ("a", "b")}
                whole, less = (spec.log_likelihood(t, values) for t in (table, left))
                assert effects.values[c, d, u] == pytest.approx(whole - less, abs=1e-8)


def test_vectorised_contributions_equal_the_default(fit):
    thin = fit.posterior.isel(draw=slice(0, 5))
    default = examples.Regression().log_likelihood_of(thin, fit.statistics, "row")
    assert np.abs(default.values - fit.spec.log_likelihood_of(thin, fit.statistics, "row").values).max() < 1e-10


def test_contributions_of_independent_rows_sum_to_the_log_likelihood(fit):
    total = fit.draws["log_likelihood"]["total"].values
    assert contributions(fit, "row", None).values.sum(-1) == pytest.approx(total, abs=1e-8)


def test_a_model_with_groups_gets_contributions_from_the_kit(normal_fit, normal_table):
    effects = normal_fit.spec.log_likelihood_of(normal_fit.posterior.isel(draw=slice(0, 2)), normal_fit.statistics, "group")
    y = normal_table.loc[normal_table["group"] == "b", "y"].to_numpy()
    mu = normal_fit.posterior["mu"].sel(group="b").values[:, :2]
    expected = (-0.5 * ((y - mu[..., None]) / 1.5) ** 2 - np.log(1.5 * np.sqrt(2 * np.pi))).sum(-1)
    assert effects.sel(unit="b").values == pytest.approx(expected, abs=1e-8)


def test_without_a_group_its_mean_follows_the_prior(normal_fit, compiled_with):
    """The parameter stays. Monte Carlo error of a mean of prior sd 2 from some 2000 effective draws: .045; bound 4 of them."""
    before = compiled_with(normal_fit)
    refit = normal_fit.refit(without={"group": "b"}, seed=5)
    assert compile_count() == before
    gone = refit.posterior["mu"].sel(group="b").values
    assert gone.mean() == pytest.approx(0.5, abs=0.18) and gone.std() == pytest.approx(2.0, rel=0.1)
    mean, sd = normal_fit.spec.closed_form(normal_fit.statistics)
    kept = refit.posterior["mu"].sel(group="a").values
    assert kept.mean() == pytest.approx(mean[0], abs=0.1 * sd[0]) and kept.std() == pytest.approx(sd[0], rel=0.1)
    assert refit.notes == ("Fitted without group b.",) and refit.provenance["data"]["without"] == {"group": ["b"]}
    assert refit.provenance["data"]["digest"] != normal_fit.provenance["data"]["digest"]


@pytest.mark.parametrize(
    ("by", "units", "words"),
    [
        ("rows", "row 1", "has no units by='rows'. Did you mean 'row'"),
        ("row", "row 99", "No row 'row 99'. Did you mean"),
        ("row", 40, "No row 40. There are 40"),
        ("row", ["row 3", "row 3"], "removed 2 times; there are 1"),
    ],
)
def test_unknown_units_are_refused(fit, by, units, words):
    with pytest.raises(SpecificationError, match=words.replace(".", r"\.").replace("(", r"\(")):
        fit.spec.without(fit.statistics, by, units)


def test_a_model_that_names_no_units_says_so(beta_fit):
    with pytest.raises(SpecificationError, match="declares none: override units"):
        beta_fit.influence()


# -- shifts against closed forms --------------------------------------------------------------------------------------


def test_the_first_order_formula(table):
    """-Cov(g, loglik_u) against its closed form for a normal posterior: Cov(b, r_u^2 / 2), at 2 million draws.

    With m, V the posterior, loglik_u = -(y - x'b)^2 / 2, so -Cov(b, loglik_u) = -V x (y - x'm). Monte Carlo error of a
    covariance of about .02: 2e-4; bound 1e-3 where the largest is over .05.
    """
    mean, covariance = examples.Regression().closed_form(table)
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(mean, covariance, size=200_000)
    design = np.column_stack([np.ones(40), table["x"]])
    residual = table["y"].to_numpy() - design @ mean
    closed = -(design @ covariance) * residual[:, None]
    values = -0.5 * (table["y"].to_numpy() - draws @ design.T) ** 2
    assert np.abs(first_order(values, draws) - closed).max() < 2e-3 and np.abs(closed).max() > 0.1


def test_first_order_shifts_follow_exact_deletion(found, exact):
    """Correlation over .95 (issue), sign included; all but the outlier and its like within .15 sd."""
    first = column(found, "first_order")
    for q in range(2):
        assert np.corrcoef(first[:, q], exact[:, q])[0, 1] > 0.95
    ordinary = np.abs(exact).max(1) < 0.5
    assert ordinary.sum() > 30 and np.abs(first - exact)[ordinary].max() < 0.15


def test_reweighted_shifts_are_nearer_to_the_truth(found, exact):
    """Monte Carlo error of a reweighted mean here: about .02 sd of the posterior; bound .08 = 4 of them."""
    reweighted = column(found, "reweighted")
    good = np.isfinite(reweighted) & (np.abs(exact) < 0.5)
    assert good.sum() > 60 and np.abs(reweighted - exact)[good].max() < 0.08
    error = column(found, "shift_mcse")
    assert np.abs((reweighted - exact) / error)[good].max() < 4.5 and np.median(error[good]) < 0.02  # stated errors cover


def test_the_planted_outlier_ranks_first_and_is_not_called_ok(found):
    assert found.table["unit"].iloc[0] == f"row {OUTLIER}"
    states = {r.state for r in found.rows if r.unit == f"row {OUTLIER}"}
    assert states == {"unreliable"} and found.headline.startswith("1 of 40 units by row cannot be judged")
    assert max(r.k_hat for r in found.rows) > found.k_hat_limit == k_hat_limit(4000)


def test_the_flagged_outlier_is_refitted(fit, exact, compiled_with):
    """exact=True: the refit gives the exact shift within Monte Carlo error (.03 sd; bound 4 of them), on one compiled model."""
    before = compiled_with(fit)
    found = fit.influence(exact=True)
    assert compile_count() == before
    rows = {r.quantity: r for r in found.rows if r.unit == f"row {OUTLIER}"}
    for q, name in enumerate(("intercept", "slope")):
        assert rows[name].how == "refit" and rows[name].state == "influential" and rows[name].refit_status == "PASS"
        assert rows[name].shift == pytest.approx(exact[OUTLIER, q], abs=4 * rows[name].shift_mcse)
        assert rows[name].shift_mcse < 0.04 and rows[name].refit_lower < rows[name].refit_mean < rows[name].refit_upper
    assert "cannot be judged" not in found.headline and "all 4000" not in found.draws


def test_groups_are_refitted_and_the_result_says_why(fit, table):
    found = fit.influence("site", exact=["s3"])
    spec = examples.Regression()
    mean, covariance = spec.closed_form(table)
    shift = (spec.closed_form(table[table["site"] != "s3"])[0] - mean) / np.sqrt(np.diag(covariance))
    row = next(r for r in found.rows if r.unit == "s3" and r.quantity == "slope")
    assert row.shift == pytest.approx(shift[1], abs=4 * row.shift_mcse) and len(found.refits) == 1
    assert {r.refit_status for r in found.rows if r.unit != "s3"} == {""}


def test_monte_carlo_errors_of_first_order_shifts_cover(table):
    """Over 200 sets of 400 draws the error divided by its estimate has sd 1 within 15 % (chi-square of 40 batches)."""
    mean, covariance = examples.Regression().closed_form(table)
    design = np.column_stack([np.ones(40), table["x"]])[:5]
    y = table["y"].to_numpy()[:5]
    closed = (-(design @ covariance) * (y - design @ mean)[:, None])[:, 1]
    rng = np.random.default_rng(4)
    scores = []
    for _ in range(200):
        draws = rng.multivariate_normal(mean, covariance, size=(4, 100))
        values = -0.5 * (y - draws @ design.T) ** 2
        shift = first_order(values.reshape(400, -1), draws.reshape(400, -1))[:, 1]
        scores.append((shift - closed) / batch_error(values, draws[..., 1]))
    assert np.std(scores) == pytest.approx(1.0, rel=0.15)


# -- honesty ----------------------------------------------------------------------------------------------------------


def test_a_failed_refit_stays_visible(fit, monkeypatch):
    from bayeskit.errors import SamplingError

    def broken(self, **_):
        raise SamplingError("no chain could be started")

    monkeypatch.setattr(type(fit), "refit", broken)
    found = fit.influence(exact=1)
    row = next(r for r in found.rows if r.unit == f"row {OUTLIER}")
    assert row.state == "unreliable" and row.refit_status == "ERROR" and "no chain" in row.message
    assert found.headline.startswith("1 of 1 refits failed.")


def test_a_refit_whose_checks_fail_is_no_answer(fit):
    """Too few draws for the checks, or for a Monte Carlo error: the state stays unreliable."""
    for sampling in ({"draws": 5, "tune": 5, "chains": 2}, {"draws": 20, "tune": 3, "chains": 4}):
        found = fit.influence(exact=1, **sampling)
        row = next(r for r in found.rows if r.unit == f"row {OUTLIER}")
        assert row.state == "unreliable" and row.how == "first order" and row.refit_status != "PASS"


def test_a_fit_that_failed_its_checks_says_so_first(table):
    """Twenty draws after three of warm-up: every answer about the data begins with that."""
    from bayeskit import Boundary

    bad = examples.VectorRegression().fit(table, seed=1, draws=30, tune=3, progress=False)
    assert bad.verdict.status.value == "FAIL"
    for found in (bad.influence(), bad.loo(), bad.smallest_set(Boundary("slope", 5.0))):
        assert found.headline.startswith("The checks of this fit did not pass (FAIL")


def test_what_is_not_a_number_is_not_computed(fit):
    found = fit.influence(quantities={"constant": lambda e: 0.0 * e["slope"] + 1.0, "nan": lambda e: e["slope"] * np.nan})
    assert {r.state for r in found.rows} == {"not computed"} and "cannot be judged" in found.headline
    json.loads(found.to_json(), parse_constant=lambda _: pytest.fail("NaN in JSON"))


def test_an_infinite_contribution_is_not_computed(fit, monkeypatch):
    spec = type(fit.spec)
    real = spec.log_likelihood_of

    def infinite(self, draws, statistics, by, dials=None):
        out = real(self, draws, statistics, by, dials).copy()
        out[0, 0, 3] = -np.inf
        return out

    monkeypatch.setattr(spec, "log_likelihood_of", infinite)
    found = fit.influence()
    assert {r.state for r in found.rows if r.unit == "row 3"} == {"not computed"}
    assert "not computed" not in {r.state for r in found.rows if r.unit == "row 4"}


def test_seeds_of_refits_depend_on_the_units_alone(fit):
    one = remove_all(fit, "row", [["row 1"]], {"draws": 20, "tune": 20, "chains": 1}, None)
    two = remove_all(fit, "row", [["row 2"], ["row 1"]], {"draws": 20, "tune": 20, "chains": 1}, None)
    assert one[0].seed == two[1].seed != two[0].seed
    assert np.array_equal(one[0].fit.posterior["b"], two[1].fit.posterior["b"])


def test_a_run_without_statistics_says_what_to_do(fit, tmp_path):
    import bayeskit

    loaded = bayeskit.load(fit.save(tmp_path / "run.nc"))
    with pytest.raises(StorageError, match="say which data it rests on"):
        loaded.influence()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prob": 1.0}, "prob=1.0"),
        ({"thin_to": 10}, "thin_to=10"),
        ({"exact": -1}, "exact=-1"),
        ({"exact": ["row x"]}, "No row"),
    ],
)
def test_impossible_settings_are_refused(fit, settings, words):
    with pytest.raises(SpecificationError, match=words):
        fit.influence(**settings)


def test_rendering(fit):
    found = fit.influence(quantities=["slope"])
    told = json.loads(found.to_json())
    assert told["schema"] == "bayeskit.influence/1" and len(told["rows"]) == 40 and "row 7" in repr(found)
    figure = found.plot(top=5)
    first = found.table.iloc[0]
    assert f"row 7 {first['shift']:+.2f} (first order, unreliable)" in figure.alt and b"<svg" in figure.data
    with pytest.raises(SpecificationError, match="Did you mean 'slope'"):
        found.plot("slop")


def test_labels_are_escaped(fit):
    from dataclasses import replace

    found = fit.influence(quantities=["slope"])
    nasty = "<script>alert(1)</script>"
    shown = replace(found, rows=(replace(found.rows[0], unit=nasty, state="influential", shift=9.0), *found.rows[1:]))
    assert nasty not in shown._repr_html_() and html.escape(nasty) in shown._repr_html_()


def test_folded_rows_and_used_draws_are_told():
    values = np.zeros((2, 50, 1))
    found = Contributions("row", ("a",), np.array([3]), values, 10, 1000)
    assert found.told == "100 of 1000 draws" and found.used == 100
