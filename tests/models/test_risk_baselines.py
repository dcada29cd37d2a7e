"""Comparators in one table: closed forms, statsmodels, sandwiches of estimated weights, delta-method means, simulated rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from bayeskit.errors import DataError, SpecificationError
from bayeskit_models.risk import baselines as bl
from bayeskit_models.risk import heckman_simulate as sim
from bayeskit_models.risk.regression import binary_regression
from bayeskit_models.risk.two_step import MILLS, heckman_two_step

RISK, TESTING = ("1", "x"), ("1", "x", "z")


def rows(link, n=600, seed=0, rho=0.4, weights=None):
    rng = np.random.default_rng(seed)
    design = sim.draw_design(rng, n, 2)
    truth = sim.simulate_selection(
        rng, design[:, :2], design, [-0.3, 0.8], [0.4, 0.5, -0.9], rho=rho, sigma=1.0 if link else 1.7, binary=link is not None
    )
    return bl.Selected(truth.outcome, truth.tested, truth.risk, truth.testing, RISK, TESTING, link, weights), truth


def moments(data, theta):
    """Estimating functions of the weighted regression and of its propensities, row by row, written anew."""
    y, seen, x, z, _ = data.arrays
    beta, gamma = theta[: x.shape[1]], theta[x.shape[1] :]
    score, eta = z @ gamma, x @ beta
    if data.link == "logit":
        chance, step = special.expit(score), seen - special.expit(score)
        residual = y - special.expit(eta)
    else:
        density = np.exp(-(score**2) / 2) / np.sqrt(2 * np.pi)
        chance = special.ndtr(score)
        step = (seen - chance) * density / (chance * (1 - chance))
        residual = y - eta
    used = np.where(seen, residual, 0.0) / chance
    return np.column_stack([x * used[:, None], z * step[:, None]])


@pytest.mark.parametrize("link", ["logit", None])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_that_are_estimates(link, weighted):
    """The sandwich of the stacked estimating functions, its derivatives by differences."""
    weights = np.random.default_rng(4).integers(1, 4, 600) if weighted else None
    data, _ = rows(link, weights=weights)
    found = bl.inverse_probability(data)
    f = data.arrays[4]
    testing = binary_regression(data.testing, data.tested, TESTING, link=link or "probit", weights=f)
    theta = np.concatenate([found.coefficients, testing.coefficients])
    np.testing.assert_allclose(f @ moments(data, theta), 0.0, atol=1e-7)
    step = 1e-5
    slope = np.array([f @ (moments(data, theta + m) - moments(data, theta - m)) / (2 * step) for m in step * np.eye(5)]).T
    inverse, here = np.linalg.inv(slope), moments(data, theta)
    told = inverse @ (here * f[:, None]).T @ here @ inverse.T
    np.testing.assert_allclose(found.covariance, told[:2, :2], rtol=1e-5, atol=1e-9)
    known = bl.inverse_probability(data, known=True)
    np.testing.assert_array_equal(known.coefficients, found.coefficients)
    inner = inverse[:2, :2] @ (here[:, :2] * f[:, None]).T @ here[:, :2] @ inverse[:2, :2].T
    np.testing.assert_allclose(known.covariance, inner, rtol=1e-5)


def test_tested_only_and_negative_are_those_of_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    data, _ = rows("logit")
    y, seen, x, _, _ = data.arrays
    for found, told in [
        (bl.tested_only(data), api.Logit(y[seen], x[seen]).fit(disp=0, tol=1e-12, cov_type="HC0")),
        (bl.untested_negative(data), api.Logit(np.where(seen, y, 0), x).fit(disp=0, tol=1e-12, cov_type="HC0")),
    ]:
        np.testing.assert_allclose(found.coefficients, told.params, rtol=1e-7)
        np.testing.assert_allclose(found.standard_errors, told.bse, rtol=1e-6)
        # a logit with an intercept reproduces the mean of its rows
    share = np.where(seen, y, 0).mean()
    assert bl.untested_negative(data).everybody[0] == pytest.approx(share, rel=1e-9)
    linear, _ = rows(None)
    y, seen, x, _, _ = linear.arrays
    told = api.OLS(y[seen], x[seen]).fit(cov_type="HC0")
    np.testing.assert_allclose(bl.tested_only(linear).standard_errors, told.bse, rtol=1e-9)


@pytest.mark.parametrize("link", ["logit", "probit", None])
def test_means_by_the_delta_method(link):
    """Value, and the standard error from a gradient by differences."""
    data, _ = rows(link)
    _, seen, x, _, _ = data.arrays
    inverse = {"logit": special.expit, "probit": special.ndtr, None: lambda v: v}[link]
    found = bl.tested_only(data)
    for (value, error), part in [(found.everybody, slice(None)), (found.untested, ~seen)]:

        def mean(b, part=part):
            return inverse(x[part] @ b).mean()

        gradient = np.array([(mean(found.coefficients + m) - mean(found.coefficients - m)) / 2e-5 for m in 1e-5 * np.eye(2)])
        assert value == pytest.approx(mean(found.coefficients), rel=1e-12)
        assert error == pytest.approx(np.sqrt(gradient @ found.covariance @ gradient), rel=1e-7)


def test_untested_mean_of_two_steps():
    """Its variance has the covariance of both steps: gradients by differences."""
    data, _ = rows(None)
    y, seen, x, z, _ = data.arrays
    found = bl.two_step(data)
    fit = heckman_two_step(y, seen, x, z, outcome_names=RISK, testing_names=TESTING)
    theta = np.concatenate([fit.coefficients, fit.testing.coefficients])
    joint = np.block([[fit.covariance, fit.cross], [fit.cross.T, fit.testing.covariance]])
    assert np.linalg.eigvalsh(joint).min() > 0

    def mean(t):
        score = z[~seen] @ t[3:]
        ratio = np.exp(-(score**2) / 2) / np.sqrt(2 * np.pi) / special.ndtr(-score)
        return (x[~seen] @ t[:2] - t[2] * ratio).mean()

    gradient = np.array([(mean(theta + m) - mean(theta - m)) / 2e-5 for m in 1e-5 * np.eye(6)])
    assert found.untested[0] == pytest.approx(mean(theta), rel=1e-12)
    assert found.untested[1] == pytest.approx(np.sqrt(gradient @ joint @ gradient), rel=1e-7)


def test_cross_covariance_of_the_steps():
    """Step two moves with the coefficients of step one as a refit with a moved Mills ratio does."""
    data, _ = rows(None)
    y, seen, x, z, _ = data.arrays
    fit = heckman_two_step(y, seen, x, z, outcome_names=RISK, testing_names=TESTING)

    def ratio(g):
        score = z[seen] @ g
        return np.exp(-(score**2) / 2) / np.sqrt(2 * np.pi) / special.ndtr(score)

    # fitted values that hold exactly: then only the regressor moves, as in the derivation (the residuals' part vanishes)
    exact = np.column_stack([x[seen], ratio(fit.testing.coefficients)]) @ fit.coefficients

    def second(g):
        return np.linalg.lstsq(np.column_stack([x[seen], ratio(g)]), exact)[0]

    g = fit.testing.coefficients
    path = np.array([(second(g + m) - second(g - m)) / 2e-5 for m in 1e-5 * np.eye(3)]).T
    np.testing.assert_allclose(fit.cross, path @ fit.testing.covariance, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_who_recovers_the_truth(rho):
    """50,000 rows: bounds of 4 standard errors of each estimate. With selection on the unseen only two steps hold them."""
    data, truth = rows(None, n=50_000, seed=11, rho=rho)
    x = truth.risk
    held = {}
    for method in (bl.tested_only, bl.inverse_probability, bl.two_step):
        found = method(data)
        off = np.abs(found.coefficients[:2] - truth.beta_risk) / found.standard_errors[:2]
        mean = (x[~truth.tested] @ truth.beta_risk + truth.unobservable[~truth.tested]).mean()
        noise = truth.sigma / np.sqrt((~truth.tested).sum())
        held[found.method] = off.max() < 4 and abs(found.untested[0] - mean) < 4 * np.hypot(found.untested[1], noise)
    assert held["Heckman two-step"]
    assert held["tested only"] == held["inverse probability"] == (rho == 0.0)


def test_table():
    for link, last in [(None, "Heckman two-step"), ("probit", "untested negative"), ("logit", "untested negative")]:
        data, _ = rows(link)
        table = bl.baseline_table(data, probability=0.9)
        assert list(table["method"].unique()) == ["tested only", "inverse probability", last]
        part = table[table["method"] == "tested only"].set_index("term")
        found = bl.tested_only(data)
        assert list(part.index) == ["1", "x", "mean outcome, everybody", "mean outcome, untested"]
        np.testing.assert_allclose(part["estimate"], [*found.coefficients, found.everybody[0], found.untested[0]])
        np.testing.assert_allclose(part["upper"] - part["lower"], 2 * special.ndtri(0.95) * part["standard_error"])
        assert (MILLS in set(table["term"])) == (link is None)
    with pytest.raises(SpecificationError, match="probability=1"):
        bl.baseline_table(data, probability=1.0)


def test_a_method_that_the_data_do_not_allow_says_why():
    """Separated outcomes among the tested: the regressions on them are refused by name, the third method has its numbers."""
    _, truth = rows("logit")
    clear = np.where(truth.tested, (truth.risk[:, 1] > 0.2).astype(float), np.nan)
    table = bl.baseline_table(bl.Selected(clear, truth.tested, truth.risk, truth.testing, RISK, TESTING, "logit"))
    for method in ("tested only", "inverse probability"):
        line = table[table["method"] == method]
        assert (
            len(line) == 1
            and np.isnan(line["estimate"].iloc[0])
            and "separated completely by '1', 'x'" in line["remark"].iloc[0]
        )
    assert table[table["method"] == "untested negative"]["estimate"].notna().all()


def test_bad_input():
    data, truth = rows(None)
    y, x, z = truth.outcome, truth.risk, truth.testing
    for tested, what in [(np.ones(600, bool), "everybody was tested"), (np.zeros(600, bool), "nobody was tested")]:
        with pytest.raises(DataError, match=what):
            bl.Selected(np.zeros(600), tested, x, z, RISK, TESTING)
    broken = y.copy()
    broken[np.flatnonzero(truth.tested)[3]] = np.nan
    with pytest.raises(DataError, match="no number for rows that were tested"):
        bl.Selected(broken, truth.tested, x, z, RISK, TESTING)
    with pytest.raises(SpecificationError, match="link='cloglog'"):
        bl.Selected(y, truth.tested, x, z, RISK, TESTING, "cloglog")
    with pytest.raises(SpecificationError, match=r"\[599, 600\] rows"):
        bl.Selected(y, truth.tested, x[1:], z, RISK, TESTING)
    with pytest.raises(SpecificationError, match="no value that stands for negative"):
        bl.untested_negative(data)
    with pytest.raises(SpecificationError, match="bivariate probit"):
        bl.two_step(rows("probit")[0])


def test_inadmissible_correlation_is_told():
    """Outcomes that lie on the Mills ratio itself: the quotient exceeds 1."""
    _, truth = rows(None, n=200)
    fit = binary_regression(truth.testing, truth.tested, TESTING, link="probit")
    score = truth.testing @ fit.coefficients
    ratio = np.exp(-(score**2) / 2) / np.sqrt(2 * np.pi) / special.ndtr(score)
    noise = np.random.default_rng(0).normal(size=200) * 1e-3
    found = bl.two_step(bl.Selected(3.0 * ratio + noise, truth.tested, truth.risk, truth.testing, RISK, TESTING))
    assert "no correlation" in found.remark


def test_simulated_errors_have_their_law():
    """400,000 draws: a mean has standard error 0.0016 sigma, a correlation 0.0016, a share 0.0008; bounds of 5 of them."""
    rng = np.random.default_rng(3)
    n, sigma, rho = 400_000, 2.0, -0.6
    one = np.ones((n, 1))
    truth = sim.simulate_selection(rng, one, one, [1.5], [0.3], sigma=sigma, rho=rho)
    assert truth.complete.mean() == pytest.approx(1.5, abs=5 * sigma / np.sqrt(n))
    assert truth.complete.std() == pytest.approx(sigma, rel=5 / np.sqrt(2 * n))
    assert truth.tested.mean() == pytest.approx(special.ndtr(0.3), abs=5 * 0.5 / np.sqrt(n))
    from bayeskit_models.risk import heckman_law as law

    for decision in (True, False):
        mean, variance = law.moments(1.5, 0.3, np.log(sigma), np.arctanh(rho), decision)
        part = truth.complete[truth.tested == decision]
        assert part.mean() == pytest.approx(float(mean), abs=5 * np.sqrt(variance / len(part)))
        assert part.var() == pytest.approx(float(variance), rel=5 * np.sqrt(2.5 / len(part)))
    assert np.isnan(truth.outcome[~truth.tested]).all() and not np.isnan(truth.outcome[truth.tested]).any()
    binary = sim.simulate_selection(rng, one, one, [0.4], [0.3], rho=0.7, binary=True)
    from bayeskit_models.risk.bivariate_probit import log_cells

    told = [float(np.exp(c)) for c in log_cells(0.4, 0.3, np.arctanh(0.7))]
    cells = [(binary.tested & (binary.complete == v)).mean() for v in (1, 0)] + [(~binary.tested).mean()]
    np.testing.assert_allclose(cells, told, atol=5 * 0.5 / np.sqrt(n))


def test_study_has_expertise_and_its_margins():
    """About 94 % tested and a mean near -1.95 (over 30 data sets of 2,000 rows; bounds of 4 standard errors of such means)."""
    rng = np.random.default_rng(7)
    studies = [sim.simulate_study(rng, n=2000) for _ in range(30)]
    for s in studies:
        np.testing.assert_allclose(s.beta_testing[2:], s.beta_risk[2:] * s.rho / s.sigma, rtol=1e-12)
        np.testing.assert_allclose(s.risk.mean(axis=0), [1, 0, 0, 0, 0], atol=1e-12)
        np.testing.assert_allclose(s.risk[:, 1:].std(axis=0), 1.0, atol=1e-12)
    shares = np.array([s.tested.mean() for s in studies])
    assert shares.mean() == pytest.approx(0.94, abs=4 * shares.std(ddof=1) / np.sqrt(30) + 0.01)
    means = np.array([s.complete.mean() for s in studies])
    assert means.mean() == pytest.approx(-2.0, abs=4 * means.std(ddof=1) / np.sqrt(30))


def test_simulator_refuses():
    one = np.ones((5, 1))
    rng = np.random.default_rng(0)
    for setting, what in [({"sigma": 0.0}, "sigma=0"), ({"rho": 1.2}, "rho=1.2"), ({"binary": True, "sigma": 2.0}, "binary")]:
        with pytest.raises(SpecificationError, match=what):
            sim.simulate_selection(rng, one, one, [0.0], [0.0], **setting)
    with pytest.raises(SpecificationError, match="free=7"):
        sim.simulate_study(rng, n=10, free=7)
