"""Metrics of survival predictions: against all pairs, closed forms, simulation with stated error, and scikit-survival."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy import optimize, stats

pytest.importorskip("pymc")

from bayeskit.errors import DataError, SpecificationError, StorageError
from bayeskit_models import datasets
from bayeskit_models.survival import FlexibleSurvival
from bayeskit_models.survival.metric_calibration import (
    calibration_slope,
    d_calibration,
    d_shares,
    observed_over_expected,
    smooth_observed,
    spline_basis,
)
from bayeskit_models.survival.metrics import (
    Followed,
    auc,
    brier,
    censoring_curve,
    concordance,
    integrated,
    survival_curve,
    uno_concordance,
)

GRID = np.array([90.0, 180.0, 270.0, 365.0, 540.0, 730.0])


@pytest.fixture(scope="module")
def tied():
    """60 rows with ties of times (events with events, events with censorings) and of risks, and whole weights."""
    rng = np.random.default_rng(3)
    time, event = rng.integers(1, 15, 60).astype(float), rng.uniform(size=60) < 0.6
    risk = rng.integers(0, 8, (3, 60)).astype(float)
    return Followed.of(time, event, rng.integers(1, 4, 60)), risk


@pytest.fixture(scope="module")
def lung():
    """The rows of lung and one fixed prediction of them: H(t | x), a function of t."""
    table = datasets.load("lung")
    scale = 420 * np.exp(-0.01 * (table["age"] - 62) + 0.4 * (table["sex"] - 1)).to_numpy()
    return Followed.of(table["time"], table["status"]), lambda t: ((t / scale) ** 1.3)[None]


# -- discrimination and error ---------------------------------------------------------------------------------------


def test_concordance_is_that_of_all_pairs(tied):
    rows, risk = tied
    case_weight = 0.5 + rows.time / 10
    for s in range(3):
        right = total = 0.0
        for i in np.flatnonzero(rows.event):
            for j in range(60):
                if rows.time[j] > rows.time[i] or (rows.time[j] == rows.time[i] and not rows.event[j]):
                    w = case_weight[i] * rows.weight[i] * rows.weight[j]
                    total += w
                    right += w * (0.5 * (risk[s, i] == risk[s, j]) + (risk[s, i] > risk[s, j]))
        assert concordance(risk, rows, case_weight)[s] == pytest.approx(right / total, abs=1e-12)


def test_auc_is_that_of_all_pairs(tied):
    rows, risk = tied
    curve = censoring_curve(rows)
    for left in (False, True):
        early = rows.event & (rows.time <= 6)
        case = np.where(early, rows.weight / curve.at(np.where(early, rows.time, 1.0), left=left), 0.0)
        control = rows.weight * (rows.time > 6)
        wins = (risk[:, :, None] > risk[:, None, :]) + 0.5 * (risk[:, :, None] == risk[:, None, :])
        exact = np.einsum("i,j,sij->s", case, control, wins) / (case.sum() * control.sum())
        assert auc(risk, rows, curve, 6.0, left=left) == pytest.approx(exact, abs=1e-12)


def test_unequal_rounding_of_equal_risks_is_a_tie():
    rows = Followed.of([1.0, 2.0], [1, 1])
    assert concordance([[1.0, 1.0 + 1e-14]], rows)[0] == 0.5
    assert concordance([[1.0, 1.0 + 1e-6]], rows)[0] == 0.0
    assert concordance([[np.inf, np.inf]], rows)[0] == 0.5  # beyond what a float holds


def test_without_censoring_all_is_elementary():
    rng = np.random.default_rng(0)
    rows = Followed.of(rng.exponential(size=80), np.ones(80))
    risk, curve = rng.normal(size=(1, 80)), censoring_curve(rows)
    survival = 1 / (1 + np.exp(risk))
    late = rows.time > 0.7
    assert brier(survival, rows, curve, 0.7)[0] == pytest.approx(np.mean((late - survival[0]) ** 2), abs=1e-14)
    u = stats.mannwhitneyu(risk[0, ~late], risk[0, late]).statistic / (late.sum() * (~late).sum())
    assert auc(risk, rows, curve, 0.7)[0] == pytest.approx(u, abs=1e-13)
    tau = stats.kendalltau(risk[0], -rows.time).statistic
    assert concordance(risk, rows)[0] == pytest.approx((tau + 1) / 2, abs=1e-13)
    assert uno_concordance(risk, rows, curve, np.inf)[0] == pytest.approx((tau + 1) / 2, abs=1e-13)


def test_curves_by_hand():
    """Times 1 (event), 2 (event and censored), 3 (censored), 4 (event): at 2 the event leaves before the censored."""
    rows = Followed.of([1, 2, 2, 3, 4], [1, 1, 0, 0, 1])
    assert survival_curve(rows).at([0.5, 1, 2, 3, 4]) == pytest.approx([1, 4 / 5, 3 / 5, 3 / 5, 0], abs=1e-15)
    curve = censoring_curve(rows)
    assert curve.at([1, 2, 3, 4]) == pytest.approx([1, 2 / 3, 1 / 3, 1 / 3], abs=1e-15)
    assert curve.at([1, 2, 3, 4], left=True) == pytest.approx([1, 1, 2 / 3, 1 / 3], abs=1e-15)
    assert np.isnan(curve.at(4.5))


def test_a_weight_is_so_many_rows(tied):
    rows, risk = tied
    whole = rows.weight.astype(int)
    long = Followed.of(np.repeat(rows.time, whole), np.repeat(rows.event, whole))
    wide = np.repeat(risk, whole, axis=1)
    found = []
    for r, x in ((rows, risk), (long, wide)):
        z = 0.3 * x - 1 + 0.01 * x**2
        own, curve = np.exp(z) * r.time / 6, censoring_curve(r)
        parts = [
            concordance(x, r),
            uno_concordance(x, r, curve, 9.0),
            auc(x, r, curve, 6.0),
            brier(np.exp(-own), r, curve, 6.0),
        ]
        parts += [calibration_slope(z, own, r), observed_over_expected(own, r), d_shares(np.exp(-own), r)[:, 2]]
        parts += [smooth_observed(z, r, 6.0) @ r.weight / r.weight.sum(), survival_curve(r).at([3, 6, 9])]
        found.append(np.array(parts))
    assert np.isfinite(found[0]).all()
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_integrated_is_a_mean_over_time():
    assert integrated([[2.0, 2.0, 2.0], [0.0, 1.0, 3.0]], [1.0, 2.0, 4.0]) == pytest.approx([2.0, (0.5 + 4.0) / 3], abs=1e-15)
    assert np.isnan(integrated([[2.0]], [1.0])[0])


def test_a_fixed_prediction_of_lung_scores_as_in_scikit_survival(lung):
    """Figures of scikit-survival 0.28.0, computed once; the test below computes them where it is installed."""
    rows, hazard = lung
    curve, risk = censoring_curve(rows), hazard(365.0)
    assert concordance(risk, rows)[0] == pytest.approx(0.6029529329469372, abs=1e-12)
    assert uno_concordance(risk, rows, curve, 730.0)[0] == pytest.approx(0.5981181831371728, abs=1e-12)
    found = [auc(risk, rows, curve, t)[0] for t in GRID]
    exact = [0.679380873411, 0.641713385864, 0.605309745435, 0.599850722488, 0.607358421816, 0.617534764656]
    assert found == pytest.approx(exact, abs=1e-11)
    found = np.array([brier(np.exp(-hazard(t)), rows, curve, t)[0] for t in GRID])
    exact = [0.101744841404, 0.19342659014, 0.238074506767, 0.242595673393, 0.18960853376, 0.107581188383]
    assert found == pytest.approx(exact, abs=1e-11)
    assert integrated(found, GRID)[0] == pytest.approx(0.1899734204177169, abs=1e-12)
    # weights from other rows: the even ones train, the odd ones are scored
    odd = np.arange(228) % 2 == 1
    test, curve = Followed.of(rows.time[odd], rows.event[odd]), censoring_curve(Followed.of(rows.time[~odd], rows.event[~odd]))
    assert uno_concordance(risk[:, odd], test, curve, 540.0)[0] == pytest.approx(0.6111686751311509, abs=1e-12)
    found = [brier(np.exp(-hazard(t))[:, odd], test, curve, t)[0] for t in GRID[:-1]]
    assert found == pytest.approx([0.117765353317, 0.219021559366, 0.249212061497, 0.23244755629, 0.12661389196], abs=1e-11)


def test_simulated_rows_score_as_in_scikit_survival():
    metrics = pytest.importorskip("sksurv.metrics")
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    rng = np.random.default_rng(5)
    x = rng.normal(size=300)
    time, followed = np.ceil(20 * rng.weibull(1.3, 300) * np.exp(-0.5 * x)), np.ceil(rng.uniform(1, 40, 300))
    rows = Followed.of(np.minimum(time, followed), time <= followed)
    y, curve = Surv.from_arrays(rows.event, rows.time), censoring_curve(rows)
    risk = np.round(x + rng.normal(size=300), 1)
    grid = np.quantile(rows.time[rows.event], [0.1, 0.25, 0.5, 0.75, 0.9])  # on tied times
    survival = np.exp(-np.exp(0.4 * risk) * grid[:, None] / 25)
    exact = metrics.concordance_index_censored(rows.event, rows.time, risk)[0]
    assert concordance([risk], rows)[0] == pytest.approx(exact, abs=1e-12)
    exact = metrics.concordance_index_ipcw(y, y, risk, tau=grid[-1])[0]
    assert uno_concordance([risk], rows, curve, grid[-1])[0] == pytest.approx(exact, abs=1e-12)
    exact = metrics.cumulative_dynamic_auc(y, y, risk, grid)[0]
    assert [auc([risk], rows, curve, t)[0] for t in grid] == pytest.approx(exact, abs=1e-12)
    found = np.array([brier(s, rows, curve, t)[0] for s, t in zip(survival, grid, strict=True)])
    assert found == pytest.approx(metrics.brier_score(y, y, survival.T, grid)[1], abs=1e-12)
    assert integrated(found, grid)[0] == pytest.approx(metrics.integrated_brier_score(y, y, survival.T, grid), abs=1e-12)
    z = -1 + 0.5 * risk
    basis = spline_basis(z, rows.weight)[0]
    fitted = CoxPHSurvivalAnalysis(ties="breslow", tol=1e-14).fit(basis, y).predict_survival_function(basis)
    assert smooth_observed(z, rows, 12.0)[0] == pytest.approx([1 - f(12.0) for f in fitted], abs=1e-8)


@pytest.mark.parametrize("left", [True, False])
def test_weights_make_up_for_censoring(left):
    """Discrete times, censored with shape: 40 000 rows. Read just before the event the Brier score is that of the uncensored

    rows within 4 standard errors (of the paired difference, by ten batches); read after it, it is off by more than 10.
    """
    rng = np.random.default_rng(8)
    x = rng.normal(size=40_000)
    time, followed = np.ceil(3 * rng.exponential(size=40_000) * np.exp(-x)), rng.geometric(0.25, 40_000)
    survival = np.exp(-np.exp(0.5 * x) * 4 / 3)[None]
    gaps = []
    for batch in np.array_split(np.arange(40_000), 10):
        rows = Followed.of(np.minimum(time, followed)[batch], (time <= followed)[batch])
        truth = np.mean(((time[batch] > 4) - survival[0, batch]) ** 2)
        gaps.append(brier(survival[:, batch], rows, censoring_curve(rows), 4.0, left=left)[0] - truth)
    z = np.mean(gaps) / (np.std(gaps, ddof=1) / np.sqrt(10))
    assert abs(z) < 4 if left else abs(z) > 10


# -- calibration ----------------------------------------------------------------------------------------------------


def test_calibration_slope_of_two_groups_is_a_ratio_of_logs(tied):
    """With two predictions: a + (b - 1) z_g = log(O_g / E_g) in both groups, exactly."""
    rows, _ = tied
    place = np.arange(60) % 2
    z = np.array([[-0.7, 0.4], [-0.1, 2.0]])[:, place]
    own = np.exp(z) * rows.time / 8
    ratio = np.array(
        [
            [(rows.weight * rows.event)[place == g].sum() / (own @ (rows.weight * (place == g)))[s] for g in (0, 1)]
            for s in (0, 1)
        ]
    )
    slope = 1 + np.diff(np.log(ratio), axis=1)[:, 0] / (z[:, 1] - z[:, 0])
    assert calibration_slope(z, own, rows) == pytest.approx(slope, abs=1e-8)


def test_no_slope_is_no_number(tied):
    rows, _ = tied
    flat = np.full((1, 60), -0.3)
    assert np.isnan(calibration_slope(flat, np.exp(flat) * rows.time, rows)[0])
    alone = Followed.of([1.0, 2.0, 3.0, 4.0], [1, 1, 0, 0])  # no event in one group: its log ratio is -inf
    z = np.array([[1.0, 1.0, 0.0, 0.0]])
    assert np.isnan(calibration_slope(z, np.exp(z) * alone.time, alone)[0])


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_slope_of_true_and_of_overstated_predictions(factor):
    """Log-logistic times (hazards that are not proportional), a third censored, 20 000 rows. True predictions: slope 1.

    One spread `factor` times as far about its mean: below 1. The standard error of the slope is about 1 / sqrt(events) over the
    spread of z, 0.015; four of them are allowed.
    """
    rng = np.random.default_rng(2)
    x = rng.normal(size=20_000)
    u = rng.logistic(size=20_000)
    time, followed = np.exp(0.5 * u - 0.5 * x), rng.uniform(0, 5, 20_000)
    rows = Followed.of(np.minimum(time, followed), time <= followed)
    hazard = np.log1p(np.exp((np.log(rows.time) + 0.5 * factor * x) * 2))[None]
    z = np.log(np.log1p(np.exp(0.5 * factor * x * 2)))[None]  # by time 1
    slope = calibration_slope(z, hazard, rows)[0]
    error = 1 / np.sqrt(rows.event.sum()) / z.std()
    if factor == 1.0:
        assert abs(slope - 1) < 4 * error
        assert abs(observed_over_expected(hazard, rows)[0] - 1) < 4 / np.sqrt(rows.event.sum())
        shares = d_shares(np.exp(-hazard), rows)
        assert d_calibration(shares, 20_000)[0] < stats.chi2.ppf(0.9999, 9)
    else:
        assert slope < 1 - 20 * error
        assert d_calibration(d_shares(np.exp(-hazard), rows), 20_000)[0] > 200


def test_smooth_observed_maximises_the_partial_likelihood(tied):
    """Breslow's partial likelihood and baseline written as loops, its maximum by another optimiser: 1e-6."""
    rows, risk = tied
    z = 0.2 * risk[:1] + 0.05 * risk[:1] ** 1.5
    basis = spline_basis(z, rows.weight)[0]
    cases = np.flatnonzero(rows.event)

    def loss(beta):
        eta = basis @ beta
        at_risk = [np.log(rows.weight[rows.time >= rows.time[i]] @ np.exp(eta[rows.time >= rows.time[i]])) for i in cases]
        return -(rows.weight[cases] * (eta[cases] - at_risk)).sum()

    beta = optimize.minimize(
        loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13, "maxiter": 4000}
    ).x
    relative = np.exp(basis @ beta)
    jumps = [rows.weight[i] / (rows.weight * relative)[rows.time >= rows.time[i]].sum() for i in cases if rows.time[i] <= 7]
    assert smooth_observed(z, rows, 7.0)[0] == pytest.approx(1 - np.exp(-sum(jumps) * relative), abs=1e-6)


def test_spline_is_straight_beyond_its_knots():
    x = np.linspace(-3, 4, 201)[None]
    line, bend = np.moveaxis(spline_basis(x, np.ones(201))[0], -1, 0)
    low, middle, high = np.sort(x[0])[[20, 100, 180]]
    assert np.array_equal(line, x[0])
    assert np.abs(bend[x[0] <= low]).max() == 0
    above = x[0] >= high
    assert np.abs(np.diff(bend[above], 2)).max() < 1e-12
    inside = (x[0] > low) & (x[0] < middle)
    assert bend[inside] == pytest.approx(((x[0][inside] - low) / (high - low)) ** 2 * (x[0][inside] - low), abs=1e-12)
    assert np.abs(spline_basis(np.array([[0.0, 1.0] * 20]), np.ones(40))[..., 1]).max() == 0  # knots coincide


def test_d_calibration_by_hand():
    """An event at S = .35; one censored at S = .25: .1 / .25 of it below .1, as much in the next, the rest in the third."""
    rows = Followed.of([1.0, 2.0], [1, 0])
    shares = d_shares([[0.35, 0.25]], rows)[0]
    assert shares == pytest.approx([0.2, 0.2, 0.1, 0.5, 0, 0, 0, 0, 0, 0], abs=1e-14)
    assert d_calibration(shares, 2.0)[0] == pytest.approx(((2 * shares - 0.2) ** 2 / 0.2).sum(), abs=1e-13)
    assert d_shares([[1.0, 0.0]], rows)[0] == pytest.approx([0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0.5], abs=1e-15)


# -- of a fit -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    found = datasets.load("lung")[["time", "status", "age", "sex"]]
    return found.assign(sex=np.where(found["sex"] == 2, "<b>woman", "man"))


@pytest.fixture(scope="module")
def fit(table):
    spec = FlexibleSurvival.weibull("sex + age", event="status")
    return spec.fit(table.iloc[::2], seed=1, draws=250, tune=400, chains=4, progress=False)


@pytest.fixture(scope="module")
def found(fit, table):
    return fit.metrics(table.iloc[1::2], times=[120, 180, 365], tau=350)


def test_every_draw_is_scored_as_by_hand(fit, table, found):
    test = table.iloc[1::2]
    rows = Followed.of(test["time"], test["status"])
    curve = censoring_curve(rows)
    survival = (
        fit.survival(test, [120.0, 180.0, 365.0]).draws.stack(sample=("chain", "draw")).transpose("sample", "row", "time")
    )
    risk = (
        fit.cumulative_hazard(test, [350.0])
        .draws.stack(sample=("chain", "draw"))
        .transpose("sample", "row", "time")
        .values[..., 0]
    )
    assert found.draws["harrell_c"].values == pytest.approx(concordance(risk, rows), abs=1e-12)
    assert found.draws["uno_c"].values == pytest.approx(uno_concordance(risk, rows, curve, 350.0), abs=1e-12)
    each = np.stack([brier(survival.values[..., k], rows, curve, t) for k, t in enumerate((120, 180, 365))], 1)
    assert found.draws["brier"].values == pytest.approx(each, abs=1e-12)
    mean = survival.values.mean(0)
    one = [brier(mean[None, :, k], rows, curve, t)[0] for k, t in enumerate((120, 180, 365))]
    assert found.predictive["brier"].values == pytest.approx(one, abs=1e-12)
    assert (found.predictive["brier"].values < found.draws["brier"].values.mean(0)).all()  # Jensen: the score is convex
    own = fit.cumulative_hazard(test, np.sort(test["time"].unique())).draws.stack(sample=("chain", "draw"))
    place = np.searchsorted(own["time"].values, test["time"])
    own = own.transpose("sample", "row", "time").values[:, np.arange(114), place]
    z = np.log(risk)
    assert found.draws["calibration_slope"].values == pytest.approx(calibration_slope(z, own, rows), abs=1e-9)
    assert found.draws["observed_over_expected"].values == pytest.approx(rows.event.sum() / own.sum(1), abs=1e-12)
    assert found.draws["d_share"].values == pytest.approx(d_shares(np.exp(-own), rows), abs=1e-12)
    gap = np.abs(1 - np.exp(-risk) - smooth_observed(z, rows, 350.0)).mean(1)
    assert found.draws["ici"].values == pytest.approx(gap, abs=1e-9)
    line = found.table.set_index(["metric", "time"]).loc[("brier", 180.0)]
    assert (line["lower"], line["upper"]) == pytest.approx(np.quantile(each[:, 1], [0.025, 0.975]), abs=1e-12)


def test_apparent_scores_and_training_weights(fit, table, found):
    assert not found.warnings
    again = fit.metrics(table.iloc[::2], times=[120, 180, 365], tau=350)
    assert again.headline.startswith("These are the rows that were fitted")
    trained = fit.metrics(table.iloc[::2], times=[120, 180, 365], tau=350, censoring="training")
    assert trained.draws.equals(again.draws)
    other = fit.metrics(table.iloc[1::2], times=[120, 180, 365], tau=350, censoring="training")
    assert "in the training rows" in repr(other)
    assert np.abs(other.draws["brier"] - found.draws["brier"]).max() > 1e-4
    assert np.array_equal(other.draws["harrell_c"], found.draws["harrell_c"])
    rowless = dataclasses.replace(fit, statistics=None, kept=fit.aggregate)
    with pytest.raises(StorageError):
        rowless.metrics(table.iloc[1::2], censoring="training")
    assert rowless.metrics(table.iloc[1::2], times=[120, 180, 365], tau=350).draws.equals(found.draws)


def test_what_is_shown(fit, table, found):
    text = repr(found)
    assert text.startswith("Predictions of 114 rows with ")
    assert "95% equal-tailed credible intervals over 1000 draws" in text and "sampling error of the rows is not" in text
    assert "by 350" in text and "in the test rows" in text
    data = json.loads(found.to_json(), parse_constant=lambda c: pytest.fail(c))
    assert data["schema"] == "bayeskit.survival_metrics/1"
    lines = {(r["metric"], r["time"]) for r in data["metrics"]}
    assert ("auc", 180.0) in lines and ("harrell_c", 350.0) in lines and ("integrated_brier", None) in lines
    assert "<p>" in found._repr_html_() and "<b>woman" not in found._repr_html_()
    narrow = fit.metrics(table.iloc[1::2], times=[120, 180, 365], tau=350, prob=0.5, kind="hdi", draws=100)
    assert "50% narrowest credible intervals over 100 draws" in repr(narrow) and "100 of 1000 draws" in repr(narrow)
    assert (narrow.table["upper"] - narrow.table["lower"] < found.table["upper"] - found.table["lower"]).all()


def test_what_is_doubtful_comes_first(fit, table):
    late = fit.metrics(table.iloc[1::2], times=[800.0])
    assert late.headline.startswith("Of 9 numbers: ")
    states = late.table.set_index("metric")["state"]
    assert states["brier"] == states["uno_c"] == states["ici"] == "unreliable"
    assert states["integrated_brier"] == "not computed" and states["harrell_c"] == "ok"
    assert "one time has no range" in repr(late)
    cut = dataclasses.replace(fit, partial=True)
    assert cut.metrics(table.iloc[1::2]).headline.startswith("The fit: PARTIAL")


def test_what_is_refused(fit, table):
    test = table.iloc[1::2]
    with pytest.raises(DataError, match="not in the fitted data"):
        fit.metrics(test.assign(sex="other"))
    with pytest.raises(SpecificationError, match=r"times: 5000 .*follow-up"):
        fit.metrics(test, times=[100, 5000])
    with pytest.raises(SpecificationError, match=r"tau: -1"):
        fit.metrics(test, tau=-1)
    with pytest.raises(SpecificationError, match="ascending"):
        fit.metrics(test, times=[200, 100])
    with pytest.raises(SpecificationError, match=r"prob=95"):
        fit.metrics(test, prob=95)
    with pytest.raises(SpecificationError, match=r"Did you mean .*training"):
        fit.metrics(test, censoring="trainin")
    with pytest.raises(SpecificationError, match="draws=0"):
        fit.metrics(test, draws=0)
    with pytest.raises(SpecificationError, match=r"nobody of the training set was followed past 1200"):
        fit.metrics(test.assign(time=test["time"] * 2.0), times=[1200], censoring="training")


def test_groups(table):
    """With the column of groups each has its deviation; without it all are the mean group; unseen ones are refused."""
    table = table.assign(centre=[f"c{i % 4}" for i in range(len(table))])
    spec = FlexibleSurvival.weibull("age", event="status", group="centre")
    fit = spec.fit(table, seed=2, draws=50, tune=200, chains=2, progress=False)
    rows = Followed.of(table["time"], table["status"])
    for test in (table, table.drop(columns="centre")):
        found = fit.metrics(test, times=[200, 400])
        survival = fit.survival(test, [400.0]).draws.stack(sample=("chain", "draw")).transpose("sample", "row", "time")
        exact = brier(survival.values[..., 0], rows, censoring_curve(rows), 400.0)
        assert found.draws["brier"].values[:, 1] == pytest.approx(exact, abs=1e-12)
    with pytest.raises(DataError, match="not in the fitted data"):
        fit.metrics(table.assign(centre="c9"))


def test_rows_that_metrics_cannot_weigh(fit, table):
    from bayeskit_models.survival.fit_metrics import fit_metrics

    settings = (None, None, 0.95, "eti", "test", False, 10)
    late = dataclasses.replace(fit, spec=dataclasses.replace(fit.spec, entry="since"))
    with pytest.raises(DataError, match="entered late"):
        fit_metrics(late, table.assign(since=table["time"] / 2), *settings)
    ends = dataclasses.replace(fit, spec=dataclasses.replace(fit.spec, lower="low", upper="high"))
    with pytest.raises(DataError, match="interval only"):
        fit_metrics(ends, table.assign(low=table["time"], high=table["time"] + 1), *settings)
    net = dataclasses.replace(fit, spec=dataclasses.replace(fit.spec, background="rate"))
    with pytest.raises(SpecificationError, match="net of the background"):
        fit_metrics(net, table.assign(rate=0.1), *settings)
