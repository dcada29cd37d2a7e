"""What people see of a survival fit: Kaplan-Meier, figures, report and informative censoring, against exact mathematics."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import xarray as xr

pytest.importorskip("pymc")

import bayeskit
from bayeskit.errors import SpecificationError, StorageError
from bayeskit_models import datasets
from bayeskit_models.answers import chance
from bayeskit_models.survival import FlexibleSurvival, distribution
from bayeskit_models.survival.figures import average_survival, rows_of
from bayeskit_models.survival.figures_check import _groups, predicted, randomised_pit, residuals
from bayeskit_models.survival.informative import _nearest_root, arms_of
from bayeskit_models.survival.kaplan_meier import kaplan_meier, numbers_at_risk
from bayeskit_models.survival.report_sections import effect_words

DRAWS = {"draws": 300, "tune": 400, "chains": 2, "seed": 1, "progress": False}
TWO = pd.DataFrame({"horTh": ["no", "yes"]})
MULTIPLIER = "independent_censoring.multiplier"


@pytest.fixture(scope="module")
def fit():
    """Two arms, the family's law free, covariate on time and power."""
    return FlexibleSurvival.mpr_aft("horTh", duration="time", event="cens").fit(datasets.load("gbsg2"), **DRAWS)


@pytest.fixture(scope="module")
def wide():
    """Continuous covariates beside the arms: as many patterns as rows, nearly."""
    spec = FlexibleSurvival.aft("horTh + pnodes", duration="time", event="cens")
    return spec.fit(datasets.load("gbsg2").iloc[:200], **DRAWS)


@pytest.fixture(scope="module")
def weibull():
    """A law that is fixed, hazards that are proportional."""
    spec = FlexibleSurvival(duration="time", event="cens", hazard="horTh", law="weibull")
    return spec.fit(datasets.load("gbsg2").iloc[:200], **DRAWS)


def at_values(fit, values, statistics=None):
    """The same fit with one known value of the parameters in place of its draws (and, if given, other rows)."""
    one = {n: xr.DataArray(np.asarray(v, dtype=float)[None, None], dims=fit.posterior[n].dims) for n, v in values.items()}
    posterior = xr.Dataset(one).assign_coords(chain=[0], draw=[0])
    tree = fit.draws.copy()
    tree["posterior"] = xr.DataTree(posterior)
    return dataclasses.replace(fit, draws=tree, statistics=fit.statistics if statistics is None else statistics)


# -- Kaplan and Meier ---------------------------------------------------------------------------------------------------

SIX_MP = ([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35],
          [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0])  # fmt: skip


def test_kaplan_meier_gives_the_published_curve():
    """Weeks of remission under 6-mercaptopurine (Freireich et al. 1963, as in Kalbfleisch and Prentice)."""
    found = kaplan_meier(*SIX_MP)
    assert found.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert found.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    np.testing.assert_allclose(found.survival, [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482], atol=5e-5)
    error = found.survival * np.sqrt(found.variance)
    np.testing.assert_allclose(error, [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346], atol=5e-5)


def brute_force(time, event, entry, weight, at):
    survival, hazard = 1.0, 0.0
    for t in sorted(set(time[event == 1])):
        if t <= at:
            risk = sum(w for a, b, w in zip(entry, time, weight, strict=True) if a < t <= b)
            died = sum(w for b, e, w in zip(time, event, weight, strict=True) if b == t and e == 1)
            survival *= 1.0 - died / risk
            hazard += died / risk
    return survival, hazard


def test_kaplan_meier_with_entry_weights_and_ties_against_a_loop():
    rng = np.random.default_rng(3)
    time = rng.integers(2, 30, 80) / 2.0
    entry = np.where(rng.uniform(size=80) < 0.5, 0.0, time * rng.uniform(0, 0.9, 80))
    event, weight = rng.integers(0, 2, 80), rng.integers(1, 4, 80).astype(float)
    found = kaplan_meier(time, event, entry=entry, weights=weight)
    for at in (0.5, 1.0, 4.25, 7.0, 14.5):
        survival, hazard = brute_force(time, event, entry, weight, at)
        assert found.at(at) == pytest.approx(survival, rel=1e-12)
        k = np.searchsorted(found.times, at, side="right")
        assert (found.cumulative_hazard[k - 1] if k else 0.0) == pytest.approx(hazard, rel=1e-12)
        alive = sum(w for a, b, w in zip(entry, time, weight, strict=True) if a <= at <= b)
        assert numbers_at_risk(time, entry, weight, [at])[0] == alive


def test_weights_are_repeated_rows():
    weight = np.arange(21) % 3 + 1
    one = kaplan_meier(*SIX_MP, weights=weight)
    many = kaplan_meier(*(np.repeat(v, weight) for v in SIX_MP))
    np.testing.assert_allclose(one.survival, many.survival, rtol=1e-12)
    np.testing.assert_allclose(one.interval([8, 20, 30]), many.interval([8, 20, 30]), rtol=1e-12)


def test_intervals_and_ends_of_a_kaplan_meier_curve():
    found = kaplan_meier([1, 2, 3, 4], [1, 0, 1, 0])
    assert found.at(0.5) == 1.0 and found.interval(0.5).tolist() == [1.0, 1.0]
    # S(1) = 3/4, var log S = 1 / (4 * 3): limits S^exp(+-z sqrt(var) / |log S|)
    step = np.exp(1.959963984540054 * np.sqrt(1 / 12) / abs(np.log(0.75)))
    np.testing.assert_allclose(found.interval(1.0), [0.75**step, 0.75 ** (1 / step)], rtol=1e-12)
    assert np.isnan(found.at(4.5))
    dead = kaplan_meier([1, 2], [1, 1])
    assert dead.at(9.0) == 0.0 and np.isnan(dead.interval(9.0)).all()
    with pytest.raises(SpecificationError, match=r"entry=2 in row 1.*before its time, 2"):
        kaplan_meier([1, 2], [1, 0], entry=[0, 2])
    with pytest.raises(SpecificationError, match=r"event \(1,\).*one length"):
        kaplan_meier([1, 2], [1])


# -- sample survival ----------------------------------------------------------------------------------------------------

TABLE = pd.DataFrame({"time": [1.0, 2.0, 3.0, 4.0, 0.5, 1.5, 2.5], "event": [1, 1, 1, 1, 0, 0, 0]})
PHI, GAMMA = 0.4, 1.3
PARAMETERS = {"scale_intercept": np.log(PHI), "shape_intercept": np.log(GAMMA)}
WEIBULL = FlexibleSurvival(law="weibull", unit=1.0)


def sample_survival(spec, table, values, multiplier=1.0):
    """The estimand, its times, from one value of the parameters."""
    statistics = spec.statistics(table)
    draws = xr.Dataset({n: (("chain", "draw"), [[float(v)]]) for n, v in values.items()})
    found = spec.estimands_under(draws, statistics, spec.set_dials(statistics, {MULTIPLIER: multiplier}))
    return found["sample_survival"].values[0, 0], statistics["horizons"].values


@pytest.mark.parametrize("multiplier", [0.0, 0.5, 1.0, 3.0])
def test_sample_survival_of_a_weibull_law_in_closed_form(multiplier):
    found, times = sample_survival(WEIBULL, TABLE, PARAMETERS, multiplier)
    exact = []
    for t in times:
        exposure = (PHI * t) ** GAMMA - (PHI * TABLE["time"]) ** GAMMA
        censored = np.where(TABLE["time"] < t, np.exp(-multiplier * exposure), 1.0)
        exact.append(np.where(TABLE["event"] == 1, TABLE["time"] > t, censored).mean())
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_without_censoring_it_is_the_share_that_is_seen():
    table = TABLE.assign(event=1)
    for multiplier in (0.0, 1.0, 50.0):
        found, times = sample_survival(WEIBULL, table, PARAMETERS, multiplier)
        assert found.tolist() == [(table["time"] > t).mean() for t in times]


def test_extreme_multipliers_give_the_bounds_that_need_no_law():
    best, times = sample_survival(WEIBULL, TABLE, PARAMETERS, 0.0)
    worst, _ = sample_survival(WEIBULL, TABLE, PARAMETERS, 1000.0)
    for k, t in enumerate(times):
        assert best[k] == pytest.approx(1 - ((TABLE["time"] <= t) & (TABLE["event"] == 1)).mean(), abs=1e-15)
        free = np.where(TABLE["event"] == 1, TABLE["time"] > t, TABLE["time"] >= t)  # censored at t is free at t
        assert worst[k] == pytest.approx(free.mean(), abs=1e-15)


def test_weights_and_intervals_in_sample_survival():
    spec = FlexibleSurvival(lower="lower", upper="upper", weights="w", unit=1.0)
    table = pd.DataFrame({"lower": [0.0, 1.0, 2.0, 1.0, 0.5], "upper": [2.0, 3.0, 2.0, np.nan, 4.0], "w": [2, 1, 3, 1, 2]})
    values = {**PARAMETERS, "tail_intercept": np.log(0.7)}
    found, times = sample_survival(spec, table, values, 2.0)

    def survival(t):
        return distribution.survival(t, PHI, 1.0, GAMMA, -0.3)

    for k, t in enumerate(times):
        each = []
        for low, high in zip(table["lower"], table["upper"], strict=True):
            if np.isnan(high):
                each.append(1.0 if t <= low else (survival(t) / survival(low)) ** 2)
            elif low == high:
                each.append(float(low > t))
            elif t <= low or t >= high:
                each.append(float(t <= low))
            else:
                each.append((survival(t) - survival(high)) / (survival(low) - survival(high)))
        assert found[k] == pytest.approx(np.average(each, weights=table["w"]), rel=1e-11)
    single = table.loc[table.index.repeat(table["w"])].assign(w=1)
    # the horizons are of rows, whatever they stand for: those of the folded table, asked of the single rows
    again, other = sample_survival(spec, single, values, 2.0)
    if np.allclose(times, other):
        np.testing.assert_allclose(again, found, rtol=1e-12)


@pytest.mark.parametrize("between", [False, True])
def test_under_the_true_law_its_mean_is_the_survival(between):
    """E of an indicator is E of its conditional probability. 20,000 rows: the standard error is below sqrt(.25 / 20000) =
    .0035, the bound 4 of them; without the condition on what was seen it would be off by .1 and more."""
    rng = np.random.default_rng(5)
    time = distribution.random(rng, PHI, 1.0, GAMMA, 1.0, size=20_000)
    end = rng.uniform(0.5, 5.0, time.size)
    if between:
        spec = FlexibleSurvival(lower="lower", upper="upper", law="weibull", unit=1.0)
        last, visit = np.floor(end / 0.7), np.floor(time / 0.7)  # an event after the last visit is not seen
        upper = np.where(visit < last, (visit + 1) * 0.7, np.nan)
        table = pd.DataFrame({"lower": np.minimum(visit, last) * 0.7, "upper": upper})
    else:
        spec, table = WEIBULL, pd.DataFrame({"time": np.minimum(time, end), "event": (time <= end).astype(int)})
    found, times = sample_survival(spec, table, PARAMETERS)
    np.testing.assert_allclose(found, distribution.survival(times, PHI, 1.0, GAMMA, 1.0), atol=0.014)


def test_a_background_hazard_leaves_it_out_and_says_why():
    spec = FlexibleSurvival(law="weibull", unit=1.0, background="b")
    statistics = spec.statistics(TABLE.assign(b=0.1))
    draws = xr.Dataset({n: (("chain", "draw"), [[float(v)]]) for n, v in PARAMETERS.items()})
    assert "sample_survival" not in spec.estimands(draws, statistics)


def test_the_dial_moves_sample_survival_and_nothing_else(fit):
    other = fit.refit(dials={MULTIPLIER: 5.0})
    for name in fit.estimands.data_vars:
        same = np.array_equal(fit.estimands[name].values, other.estimands[name].values)
        assert same == (name != "sample_survival"), name
    assert (other.estimands["sample_survival"] < fit.estimands["sample_survival"]).all()
    assert "sample_survival" not in [str(n) for n, v in fit.estimands.data_vars.items() if v.attrs.get("headline")]


def test_simulated_visits_end_with_the_follow_up():
    """The last visit is at the end of follow-up, not at the next quarter: an interval beyond it would hold unseen events."""
    spec = FlexibleSurvival(lower="lower", upper="upper", law="weibull", unit=1.0)
    table = spec.simulate(2, n=4000, parameters=PARAMETERS).table
    seen = table[table["upper"].notna()]
    cut = seen["upper"] % 0.25 > 1e-9
    assert 0.01 < cut.mean() < 0.1 and (seen["upper"] > seen["lower"]).all()
    assert (seen["upper"] - seen["lower"])[cut].max() < 0.25


# -- how informative ----------------------------------------------------------------------------------------------------


def test_the_table_is_the_estimand_under_each_multiplier(fit):
    found = fit.informative_censoring()
    for m in (0.0, 0.5, 2.0):
        dials = {**fit.dials, MULTIPLIER: m}
        draws = fit.spec.estimands_under(fit.posterior, fit.statistics, dials)["sample_survival"]
        for k, t in enumerate(fit.statistics["horizons"].values):
            flat = draws.values[..., k].reshape(-1)
            row = found.table.loc[("all", t, m)]
            assert row["mean"] == pytest.approx(flat.mean(), rel=1e-12)
            np.testing.assert_allclose(row[["lower", "upper"]].astype(float), np.quantile(flat, (0.025, 0.975)), rtol=1e-12)
    data = datasets.load("gbsg2")
    t = float(fit.statistics["horizons"].values[1])
    assert found.table.loc[("all", t, 1.0), "censored"] == pytest.approx(((data["time"] < t) & (data["cens"] == 0)).mean())
    assert found.flips.empty and "censored before" in found.headline


def test_arms_make_up_the_whole_and_their_order_turns_where_it_says(fit):
    found = fit.informative_censoring("horTh", times=[1500.0], multipliers=[0.0, 1.0, 5.0])
    share = (datasets.load("gbsg2")["horTh"] == "yes").mean()
    for m in (0.0, 1.0, 5.0):
        no, yes, every = (found.table.loc[(a, 1500.0, m), "mean"] for a in ("horTh=no", "horTh=yes", "all"))
        assert (1 - share) * no + share * yes == pytest.approx(every, rel=1e-12)
    turned = found.flips.set_index("changed")["multiplier"]
    assert np.isnan(turned["both"])  # the same factor in both arms never turns it
    # nor does it where nobody censored without therapy ever has the event: even that bound lies below the other arm
    assert np.isnan(turned["horTh=no"])
    assert found.table.loc[("horTh=no", 1500.0, 0.0), "mean"] < found.table.loc[("horTh=yes", 1500.0, 1.0), "mean"]
    root = turned["horTh=yes"]
    at = fit.informative_censoring("horTh", times=[1500.0], multipliers=[1.0, root]).table["mean"]
    assert root > 1 and at["horTh=yes", 1500.0, root] == pytest.approx(at["horTh=no", 1500.0, 1.0], abs=1e-9)
    assert f"{root:.3g} times what it is" in found.headline and "in horTh=yes alone" in found.headline


def test_the_root_nearest_to_one_is_found():
    assert _nearest_root(lambda m: (m - 0.6) * (m - 4.0)) == pytest.approx(0.6, abs=1e-9)
    assert _nearest_root(lambda m: (m - 0.1) * (m - 4.0)) == pytest.approx(4.0, abs=1e-9)
    assert np.isnan(_nearest_root(lambda m: 1.0 + m))


def test_what_was_found_is_shown_whole(fit):
    found = fit.informative_censoring("horTh", times=[426.0, 1500.0])
    told = json.loads(found.to_json())
    assert told["schema"] == "bayeskit.informative_censoring/1" and len(told["rows"]) == 30
    assert any(f["multiplier"] is None for f in told["flips"])
    assert "none from 0 to 1000" in repr(found) and "95% equal-tailed" in repr(found) and "no data tell it" in repr(found)
    nasty = dataclasses.replace(found, headline="<b>")
    assert "&lt;b&gt;" in nasty._repr_html_()
    assert_picture(found.plot(1500.0), "horTh=yes", "at 5.00")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"by": "hortH"}, r"by='hortH'.*Did you mean 'horTh'"),
        ({"times": [0.0]}, r"times=\[0.0\].*above 0"),
        ({"multipliers": [-1.0]}, r"multipliers=\[-1.0\].*0 or more"),
        ({"prob": 95}, r"prob=95"),
    ],
)
def test_wrong_questions_about_censoring_are_refused(fit, settings, message):
    with pytest.raises(SpecificationError, match=message):
        fit.informative_censoring(**settings)


def test_many_values_make_no_arms(wide):
    with pytest.raises(SpecificationError, match=r"by='pnodes' has \d+ values.*8 or fewer"):
        wide.informative_censoring("pnodes")


# -- figures ------------------------------------------------------------------------------------------------------------


def assert_picture(figure, *told):
    """An SVG that parses, whose content stands in words."""
    ElementTree.fromstring(figure.data)
    for text in told:
        assert text in figure.alt, figure.alt


def test_averaged_curves_are_averages_of_the_rows(fit, wide):
    at = np.array([300.0, 1000.0, 2000.0])
    own = fit.survival(TWO, at).draws.values.reshape(-1, 2, 3)
    for k, rows in enumerate(arms_of(fit, "horTh").values()):
        np.testing.assert_allclose(average_survival(fit, at, rows), own[:, k], rtol=1e-12)
    table = datasets.load("gbsg2").iloc[:200]
    some = table[table["horTh"] == "yes"]
    direct = wide.survival(some[["horTh", "pnodes"]], at).draws.values.reshape(-1, len(some), 3).mean(1)
    np.testing.assert_allclose(average_survival(wide, at, arms_of(wide, "horTh")["horTh=yes"]), direct, rtol=1e-10)


def test_survival_over_kaplan_meier(fit):
    figure = fit.plot_survival(by="horTh", times=[500.0, 1000.0, 2000.0, 3000.0])
    table = datasets.load("gbsg2")
    arm = table[table["horTh"] == "yes"]
    seen = float(kaplan_meier(arm["time"], arm["cens"]).at(2000.0))
    assert_picture(figure, f"Kaplan-Meier {seen:.3g}", "At risk: horTh=no 440 at 0", "extrapolated", "beyond 2659")
    risk = int((arm["time"] >= 1000.0).sum())
    assert f"{risk} at 1000" in figure.alt
    assert "extrapol" not in fit.plot_survival(times=[500.0, 1000.0]).alt
    assert_picture(fit.plot_survival(TWO), "for the stated covariates")


def test_what_is_extrapolated_is_dashed(fit):
    pale = b"stroke-dasharray: 3.9,2.6"  # 3 and 2 widths of a line of 1.3 points
    assert pale in fit.plot_survival(TWO).data and pale in fit.plot_hazard(TWO).data
    within = [500.0, 1000.0, 2000.0]
    assert pale not in fit.plot_survival(TWO, times=within).data and pale not in fit.plot_hazard(TWO, times=within).data


def test_beyond_each_arm_s_own_follow_up_it_is_extrapolation(fit):
    table = datasets.load("gbsg2")
    last = table.groupby("horTh")["time"].max()
    assert last["no"] < 2570 < last["yes"]
    text = fit.plot_survival(by="horTh", times=[500.0, 2570.0]).alt.split("At risk")[0].split("horTh=yes")
    assert "extrapolated" in text[0] and "extrapolated" not in text[1]


def test_without_rows_there_are_bands_alone(fit, tmp_path):
    bare = bayeskit.load(fit.save(tmp_path / "run.nc"))
    figure = bare.plot_survival()
    assert_picture(figure, "no Kaplan-Meier curve")
    assert "Steps are" not in figure.caption
    with pytest.raises(StorageError, match="saved without its rows"):
        bare.plot_survival(by="horTh")
    with pytest.raises(StorageError, match=r"refit\(table"):
        bare.informative_censoring()
    titles = [s.title for s in bare.sections()]
    assert "Fit to the rows" in titles and "not computed" in repr(bare.sections()[-1])


def test_hazard_ratio_and_hazard_pictures_tell_their_numbers(fit):
    at = [500.0, 1500.0]
    middle = float(np.median(fit.hazard_ratio(TWO.iloc[1:], TWO.iloc[:1], at).draws.values[..., 0, 1]))
    assert_picture(
        fit.plot_hazard_ratio(TWO.iloc[1:], TWO.iloc[:1], times=at), "horTh=yes over horTh=no", f"at 1500 {middle:.3g}"
    )
    middle = float(np.median(fit.hazard(TWO, at).draws.values[..., 0, 1]))
    assert_picture(fit.plot_hazard(TWO, times=at), "horTh=no: at 500", f"at 1500 {middle:.3g}")


def test_kappa_picture(fit, weibull):
    kappa = fit.estimands["kappa"].values
    assert_picture(fit.plot_kappa(), f"median {np.median(kappa):.2g}", f"P(kappa < 0) {chance(kappa < 0)}")
    with pytest.raises(SpecificationError, match="law='weibull' fixes kappa"):
        weibull.plot_kappa()
    assert chance(np.ones(9, bool)) == "> 0.99" and chance(np.zeros(9, bool)) == "< 0.01"


def test_wrong_figures_are_refused(fit):
    with pytest.raises(SpecificationError, match="new and by"):
        fit.plot_survival(TWO, by="horTh")
    with pytest.raises(SpecificationError, match="two or more"):
        fit.plot_hazard(times=[5.0])
    with pytest.raises(SpecificationError, match=r"time=9999.*end of follow-up"):
        fit.plot_calibration(9999)
    with pytest.raises(SpecificationError, match=r"groups=1"):
        fit.plot_calibration(500, groups=1)
    with pytest.raises(SpecificationError, match=r"kind='coxsnell'.*Did you mean 'cox-snell'"):
        fit.plot_residuals("coxsnell")


# -- the fit against its rows -------------------------------------------------------------------------------------------


def test_predictions_and_residuals_are_predictive_means(weibull):
    rows = rows_of(weibull)
    table = datasets.load("gbsg2").iloc[:200]
    np.testing.assert_allclose(np.sort(rows["time"]), np.sort(table["time"].astype(float)), rtol=1e-12)
    assert rows["event"].sum() == table["cens"].sum()
    found = residuals(weibull)
    k = 17
    level = weibull.statistics["x_horTh"].values[weibull.statistics["pattern"].values[k]]
    exact = weibull.survival({"horTh": [str(level)]}, rows["time"][k]).draws.values.mean()
    assert found["lower"][k] == pytest.approx(-np.log(exact), rel=1e-12)
    every = np.arange(3)
    times = np.full(3, np.log(800 / weibull.time_unit))
    assert predicted(weibull, times, every).shape == (3,)


def hard_rows(rng, size):
    """Times of a known law, a third entered late, with rows of every kind of censoring."""
    entry = np.where(rng.uniform(size=size) < 0.33, rng.uniform(0.2, 1.5, size), 0.0)
    time = np.empty(size)
    left = np.arange(size)
    while left.size:  # who has the event before entering is never seen
        time[left] = distribution.random(rng, PHI, 1.0, GAMMA, -0.3, size=left.size)
        left = left[time[left] <= entry[left]]
    end = entry + rng.uniform(0.8, 5.0, size)
    visits = rng.uniform(size=size) < 0.3
    visit, last = np.floor((time - entry) / 0.7), np.floor((end - entry) / 0.7)
    end = np.where(visits, entry + last * 0.7, end)  # an event after the last visit is not seen
    seen = np.where(visits, visit < last, time <= end)
    lower = np.where(~seen, end, np.where(visits, entry + visit * 0.7, time))
    upper = np.where(~seen, np.nan, np.where(visits, entry + (visit + 1) * 0.7, time))
    return pd.DataFrame({"lower": lower, "upper": upper, "entry": entry})


def test_residuals_of_the_true_law_are_what_they_should_be():
    """4,000 rows with late entry and all kinds of censoring. The largest of 100 standardised ECDF differences of uniform values
    is above 4 with a probability under 100 * 2 * Phi(-4) = .6 %; entry left out of account gives 9."""
    rng = np.random.default_rng(8)
    spec = FlexibleSurvival(lower="lower", upper="upper", entry="entry", unit=1.0)
    table = hard_rows(rng, 4000)
    quick = spec.fit(table.iloc[:60], draws=20, tune=50, chains=1, seed=1, progress=False)
    truth = at_values(quick, {**PARAMETERS, "tail_intercept": np.log(0.7)}, spec.statistics(table))
    found = residuals(truth)
    values = np.sort(randomised_pit(found, rng))
    grid = np.linspace(0.01, 0.99, 99)
    gap = np.searchsorted(values, grid) / values.size - grid
    assert np.abs(gap / np.sqrt(grid * (1 - grid) / values.size)).max() < 4.0
    assert_picture(truth.plot_residuals("pit"), "stays inside the band")
    with pytest.raises(SpecificationError, match="in intervals"):
        truth.plot_residuals()
    wrong = randomised_pit({**found, "entry": np.zeros(4000)}, rng)
    gap = np.searchsorted(np.sort(wrong), grid) / values.size - grid
    assert np.abs(gap / np.sqrt(grid * (1 - grid) / values.size)).max() > 6.0


def test_cox_snell_picture_tells_the_nelson_aalen_estimate(fit):
    found = residuals(fit)
    observed = kaplan_meier(found["lower"], found["event"], weights=found["weights"])
    k = int(0.5 * len(observed.times))
    assert_picture(fit.plot_residuals(), f"at {observed.times[k]:.3g} it is {observed.cumulative_hazard[k]:.3g}")


def test_calibration_groups_and_numbers(fit, wide):
    figure = fit.plot_calibration(1000.0)  # two patterns make two groups, whatever was asked
    table = datasets.load("gbsg2")
    for arm in ("no", "yes"):
        rows = table[table["horTh"] == arm]
        seen = kaplan_meier(rows["time"], rows["cens"]).at(1000.0)
        mid = np.median(fit.survival({"horTh": [arm]}, 1000.0).draws.values)
        assert f"predicted {mid:.3g}" in figure.alt and f"observed {seen:.3g}" in figure.alt
        assert f"{len(rows)} rows" in figure.alt
    place = _groups(np.repeat(np.linspace(0.1, 0.9, 50), 2), np.ones(100), 5)
    assert np.bincount(place).tolist() == [20] * 5
    assert_picture(wide.plot_calibration(1000.0, groups=4), "Calibration at 1000")


# -- report -------------------------------------------------------------------------------------------------------------


def test_the_sign_of_every_effect(fit, wide, weibull):
    """A positive scale effect makes time run faster: the ratio told is that of times, against what the curves say."""
    effect = wide.estimands["scale_effect"].sel(scale_term="horTh[T.yes]").values.reshape(-1)
    ratio, _ = effect_words("scale", effect, 0.95, True)
    a, b = ({"horTh": [v], "pnodes": [3]} for v in ("yes", "no"))
    exact = wide.time_ratio(a, b, 0.3).draws.values.reshape(-1)
    reached = np.isfinite(exact)
    np.testing.assert_allclose(ratio[reached], exact[reached], rtol=1e-10)
    assert effect_words("scale", np.full(9, 0.5), 0.95, True)[1] == "times are shorter"
    effect = weibull.estimands["hazard_effect"].values.reshape(-1)
    exact = weibull.hazard_ratio(TWO.iloc[1:], TWO.iloc[:1], [700.0]).draws.values.reshape(-1)
    np.testing.assert_allclose(effect_words("hazard", effect, 0.95, True)[0], exact, rtol=1e-10)
    assert effect_words("hazard", np.full(9, 0.5), 0.95, True)[1] == "the hazard is higher"
    # what is said of power and tail, from the law itself: spread of log times, and cumulative hazard
    assert effect_words("shape", np.full(9, 0.5), 0.95, True)[1] == "times are less spread out"
    spread = [np.log(distribution.quantile(0.6, 0.4, 1, g, -0.2) / distribution.quantile(0.2, 0.4, 1, g, -0.2)) for g in (1, 2)]
    assert spread[1] == pytest.approx(spread[0] / 2, rel=1e-12)
    assert effect_words("tail", np.full(9, 0.5), 0.95, True)[1] == "fewer are spared for long"
    grid = np.geomspace(0.01, 100, 40)
    assert (distribution.survival(grid, 1, 1, 1.5, 1.0) < distribution.survival(grid, 1, 1, 1.5, -0.5)).all()
    assert effect_words("scale", np.linspace(-1, 1, 99), 0.95, True)[1] == "direction not settled"


def test_the_report_says_what_a_cure_rests_on(fit, weibull, tmp_path):
    text = fit.report(tmp_path / "r.md").read_text()
    for words in (
        "A cured share",
        "P(kappa &lt; 0)",
        "extrapolation",
        "At risk: 75 at 1994",
        "everybody has the same cured share",
    ):
        assert words in text, words
    assert "time ratio, exp(-effect)" in text and "horTh = yes" in text and "no single ratio is the effect" in text
    assert fit.report(tmp_path / "r.html").read_text().startswith("<!doctype html>")
    titles = [s.title for s in weibull.sections()]
    # kappa = 1: nobody is cured, and nothing is said of it
    assert titles == ["The law", "Effects", "Survival", "Fit to the rows"]
    assert "The law is fixed: weibull" in repr(weibull.sections()[0])


def test_a_report_shows_the_censoring_that_was_assumed(fit):
    other = dataclasses.replace(fit, dials={**fit.dials, MULTIPLIER: 2.0})
    (section,) = (s for s in other.sections() if s.id == "survival")
    assert "2 times the hazard of those followed" in repr(section)


# -- the example --------------------------------------------------------------------------------------------------------


def test_the_example_says_what_a_cure_claim_rests_on(capsys):
    """Small; P(kappa < 0) is 1.00 with lambda tied and near a half with it free, far from the bounds here."""
    path = Path(__file__).resolve().parents[2] / "examples" / "cure_or_follow_up.py"
    spec = importlib.util.spec_from_file_location("cure_or_follow_up", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    table = datasets.load("gbsg2")
    short = example.cut_short(table, 1500.0)
    assert short["time"].max() == 1500.0 and short["cens"].sum() == ((table["time"] <= 1500) & (table["cens"] == 1)).sum()
    assert example.main(["--draws", "400", "--chains", "2"]) in (0, 2)
    told = capsys.readouterr().out
    assert "the claim of a cure rests on tying lambda" in told and "lambda free fits better" in told
    found = pd.DataFrame(
        {"P(kappa < 0)": [1.0, 1.0], "cured": 0.3, "lower": 0.2, "upper": 0.4, "S": 0.6, "mean log likelihood": 0.0}
    )
    assert "stands without tying lambda" in example.sentence(found) and "fit the data alike" in example.sentence(found)
