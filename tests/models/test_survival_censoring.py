"""Censoring that tells something: sample survival in closed form, its bounds, and what turns a comparison."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

pytest.importorskip("pymc")

from survival_cases import GAMMA, MULTIPLIER, PARAMETERS, PHI, assert_picture

from bayeskit.errors import SpecificationError
from bayeskit_models import datasets
from bayeskit_models.survival import FlexibleSurvival, distribution
from bayeskit_models.survival.informative import _nearest_root

TABLE = pd.DataFrame({"time": [1.0, 2.0, 3.0, 4.0, 0.5, 1.5, 2.5], "event": [1, 1, 1, 1, 0, 0, 0]})
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


def test_the_dial_moves_sample_survival_and_nothing_else(gbsg2_fit):
    other = gbsg2_fit.refit(dials={MULTIPLIER: 5.0})
    for name in gbsg2_fit.estimands.data_vars:
        same = np.array_equal(gbsg2_fit.estimands[name].values, other.estimands[name].values)
        assert same == (name != "sample_survival"), name
    assert (other.estimands["sample_survival"] < gbsg2_fit.estimands["sample_survival"]).all()
    assert "sample_survival" not in [str(n) for n, v in gbsg2_fit.estimands.data_vars.items() if v.attrs.get("headline")]


def test_simulated_visits_end_with_the_follow_up():
    """The last visit is at the end of follow-up, not at the next quarter: an interval beyond it would hold unseen events."""
    spec = FlexibleSurvival(lower="lower", upper="upper", law="weibull", unit=1.0)
    table = spec.simulate(2, n=4000, parameters=PARAMETERS).table
    seen = table[table["upper"].notna()]
    cut = seen["upper"] % 0.25 > 1e-9
    assert 0.01 < cut.mean() < 0.1 and (seen["upper"] > seen["lower"]).all()
    assert (seen["upper"] - seen["lower"])[cut].max() < 0.25


def test_the_table_is_the_estimand_under_each_multiplier(gbsg2_fit):
    found = gbsg2_fit.informative_censoring()
    for m in (0.0, 0.5, 2.0):
        dials = {**gbsg2_fit.dials, MULTIPLIER: m}
        draws = gbsg2_fit.spec.estimands_under(gbsg2_fit.posterior, gbsg2_fit.statistics, dials)["sample_survival"]
        for k, t in enumerate(gbsg2_fit.statistics["horizons"].values):
            flat = draws.values[..., k].reshape(-1)
            row = found.table.loc[("all", t, m)]
            assert row["mean"] == pytest.approx(flat.mean(), rel=1e-12)
            np.testing.assert_allclose(row[["lower", "upper"]].astype(float), np.quantile(flat, (0.025, 0.975)), rtol=1e-12)
    data = datasets.load("gbsg2")
    t = float(gbsg2_fit.statistics["horizons"].values[1])
    assert found.table.loc[("all", t, 1.0), "censored"] == pytest.approx(((data["time"] < t) & (data["cens"] == 0)).mean())
    assert found.flips.empty and "censored before" in found.headline


def test_arms_make_up_the_whole_and_their_order_turns_where_it_says(gbsg2_fit):
    found = gbsg2_fit.informative_censoring("horTh", times=[1500.0], multipliers=[0.0, 1.0, 5.0])
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
    at = gbsg2_fit.informative_censoring("horTh", times=[1500.0], multipliers=[1.0, root]).table["mean"]
    assert root > 1 and at["horTh=yes", 1500.0, root] == pytest.approx(at["horTh=no", 1500.0, 1.0], abs=1e-9)
    assert f"{root:.3g} times what it is" in found.headline and "in horTh=yes alone" in found.headline


def test_the_root_nearest_to_one_is_found():
    assert _nearest_root(lambda m: (m - 0.6) * (m - 4.0)) == pytest.approx(0.6, abs=1e-9)
    assert _nearest_root(lambda m: (m - 0.1) * (m - 4.0)) == pytest.approx(4.0, abs=1e-9)
    assert np.isnan(_nearest_root(lambda m: 1.0 + m))


def test_what_was_found_is_shown_whole(gbsg2_fit):
    found = gbsg2_fit.informative_censoring("horTh", times=[426.0, 1500.0])
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
def test_wrong_questions_about_censoring_are_refused(gbsg2_fit, settings, message):
    with pytest.raises(SpecificationError, match=message):
        gbsg2_fit.informative_censoring(**settings)


def test_many_values_make_no_arms(gbsg2_wide):
    with pytest.raises(SpecificationError, match=r"by='pnodes' has \d+ values.*8 or fewer"):
        gbsg2_wide.informative_censoring("pnodes")
