"""Regressions of the baselines against statsmodels; repeated rows; dependent and separating features by name."""

from __future__ import annotations

import numpy as np
import pytest

from bayeskit.errors import DataError, SpecificationError
from bayeskit_models.risk.regression import binary_regression, check_design, least_squares, separating_features

NAMES = ("1", "x", "z", "w")


def data(seed=0, n=400):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2)), rng.normal(size=n) * 1e4])  # a column of another scale
    eta = x @ [-0.4, 0.8, -1.1, 3e-5]
    return x, (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))).astype(float), eta + rng.normal(size=n) * np.exp(0.3 * x[:, 1])


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_binary_regression_is_that_of_statsmodels(link):
    api = pytest.importorskip("statsmodels.api")
    x, y, _ = data()
    ours = binary_regression(x, y, NAMES, link=link)
    kind = {"logit": api.Logit, "probit": api.Probit}[link]
    theirs = kind(y, x).fit(disp=0, method="newton", tol=1e-12)
    np.testing.assert_allclose(ours.coefficients, theirs.params, rtol=1e-8)
    np.testing.assert_allclose(ours.standard_errors, theirs.bse, rtol=1e-8)
    assert ours.log_likelihood == pytest.approx(theirs.llf, rel=1e-12)
    robust = kind(y, x).fit(disp=0, method="newton", tol=1e-12, cov_type="HC0")
    np.testing.assert_allclose(ours.robust_standard_errors, robust.bse, rtol=1e-7)


def test_least_squares_is_that_of_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    x, _, y = data()
    ours, theirs = least_squares(x, y, NAMES), api.OLS(y, x).fit()
    np.testing.assert_allclose(ours.coefficients, theirs.params, rtol=1e-9)
    np.testing.assert_allclose(ours.standard_errors, theirs.bse, rtol=1e-9)
    np.testing.assert_allclose(ours.robust_standard_errors, theirs.get_robustcov_results("HC0").bse, rtol=1e-9)
    assert ours.log_likelihood == pytest.approx(theirs.llf, rel=1e-12)
    assert ours.residual_variance == pytest.approx(theirs.scale, rel=1e-12)


def test_sampling_weights_are_those_of_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    x, y, value = data()
    weights = np.random.default_rng(1).uniform(0.5, 4.0, len(y))
    ours = binary_regression(x, y, NAMES, sampling=weights)
    theirs = api.GLM(y, x, family=api.families.Binomial(), freq_weights=weights).fit(tol=1e-14)
    np.testing.assert_allclose(ours.coefficients, theirs.params, rtol=1e-7)
    score = x * (weights * (y - theirs.fittedvalues))[:, None]  # the sandwich by hand: theirs repeats rows
    bread = np.linalg.inv((x * (weights * theirs.fittedvalues * (1 - theirs.fittedvalues))[:, None]).T @ x)
    np.testing.assert_allclose(ours.robust, bread @ score.T @ score @ bread, rtol=1e-6)
    linear, told = least_squares(x, value, NAMES, sampling=weights), api.WLS(value, x, weights=weights).fit(cov_type="HC0")
    np.testing.assert_allclose(linear.coefficients, told.params, rtol=1e-9)
    np.testing.assert_allclose(linear.robust_standard_errors, told.bse, rtol=1e-9)


def test_frequencies_repeat_rows():
    x, y, value = data(n=120)
    times = np.random.default_rng(2).integers(0, 4, 120)
    for one, two in [
        (binary_regression(x, y, NAMES, weights=times), binary_regression(x.repeat(times, 0), y.repeat(times), NAMES)),
        (least_squares(x, value, NAMES, weights=times), least_squares(x.repeat(times, 0), value.repeat(times), NAMES)),
    ]:
        np.testing.assert_allclose(one.coefficients, two.coefficients, rtol=1e-9)
        np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-8)
        np.testing.assert_allclose(one.robust, two.robust, rtol=1e-8)
        assert one.log_likelihood == pytest.approx(two.log_likelihood, rel=1e-11)


def test_log_odds_of_a_table():
    """A two-by-two table has a closed form: the log odds ratio and Woolf's standard error."""
    x, y = np.array([[1, 0], [1, 0], [1, 1], [1, 1]]), np.array([1, 0, 1, 0])
    found = binary_regression(x, y, ("1", "x"), weights=[12, 30, 25, 9])
    np.testing.assert_allclose(found.coefficients, [np.log(12 / 30), np.log(25 / 9 * 30 / 12)], rtol=1e-12)
    assert found.standard_errors[1] == pytest.approx(np.sqrt(1 / 12 + 1 / 30 + 1 / 25 + 1 / 9), rel=1e-12)


def test_dependent_columns_are_named():
    x, _, y = data()
    for column, others in [(2 * x[:, 1] - x[:, 2], "'x', 'z'"), (x[:, 3] + 5, "'1', 'w'")]:
        with pytest.raises(DataError, match="is a linear combination of") as caught:
            least_squares(np.column_stack([x, column]), y, (*NAMES, "extra"))
        told = {caught.value.column, *caught.value.problem.split("of ", 1)[1].split(" in ")[0].replace("'", "").split(", ")}
        assert told == {"extra", *others.replace("'", "").split(", ")}
    with pytest.raises(DataError, match="zero in all rows") as caught:
        check_design(np.column_stack([x, np.zeros(400)]), (*NAMES, "empty"))
    assert caught.value.column == "empty"
    x[7, 2] = np.nan
    with pytest.raises(DataError, match="no numbers") as caught:
        check_design(x, NAMES)
    assert caught.value.column == "z" and caught.value.rows == (7,)


def test_separation_is_named():
    x, y, _ = data()
    above = (x[:, 1] > 0.3).astype(float)
    assert separating_features(x, y) == ([], False)
    assert separating_features(x, above) == ([0, 1], True)
    both = (x[:, 1] + 2 * x[:, 2] > 0).astype(float)
    columns, complete = separating_features(np.delete(x, 0, axis=1), both)
    assert columns == [0, 1] and complete
    rare = np.zeros(400)
    rare[:9] = 1.0  # a category in which everybody has the outcome
    y[:9] = 1.0
    for link in ("logit", "probit"):
        with pytest.raises(DataError, match=r"separated up to ties by 'rare'") as caught:
            binary_regression(np.column_stack([x, rare]), y, (*NAMES, "rare"), link=link, what="y")
        assert caught.value.column == "y"
        with pytest.raises(DataError, match="separated completely by '1', 'x'"):
            binary_regression(x, above, NAMES, link=link)


def test_steep_but_not_separated_is_fitted():
    """One row on the wrong side keeps the maximum finite, however steep; linear predictors reach beyond the alarm."""
    rng = np.random.default_rng(5)
    x = np.column_stack([np.ones(300), rng.normal(size=300) * 30])
    y = (x[:, 1] > 0).astype(float)
    y[np.argsort(np.where(x[:, 1] > 0, x[:, 1], np.inf))[4]] = 0.0  # among the smallest positive ones, not the very smallest
    found = binary_regression(x, y, ("1", "x"))
    assert np.abs(x @ found.coefficients).max() > 15 and np.isfinite(found.standard_errors).all()
    np.testing.assert_allclose(x.T @ (y - 1 / (1 + np.exp(-x @ found.coefficients))), 0.0, atol=1e-7)


def test_bad_input():
    x, y, _ = data()
    with pytest.raises(SpecificationError, match="link='cauchit'"):
        binary_regression(x, y, NAMES, link="cauchit")
    with pytest.raises(DataError, match="other than 0 and 1"):
        binary_regression(x, y + 1, NAMES)
    with pytest.raises(DataError, match="one value in all rows"):
        binary_regression(x, np.ones(400), NAMES)
    with pytest.raises(SpecificationError, match="expected one column for each of the 2 names"):
        least_squares(x, y, ("a", "b"))
    with pytest.raises(SpecificationError, match="weights"):
        least_squares(x, y, NAMES, weights=-np.ones(400))
    with pytest.raises(DataError, match="more rows than coefficients"):
        least_squares(x[:4], y[:4], NAMES)
