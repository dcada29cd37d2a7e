"""Smallest sets that overturn a claim: confirmed by refits and closed forms, with a case in which units mask each other."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from types import SimpleNamespace

import examples
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import bayeskit as bk
from bayeskit import Boundary, SpecificationError
from bayeskit.sensitivity.boundary import bind
from bayeskit.sensitivity.removal import contributions

SPEC = examples.VectorRegression()


@pytest.fixture(scope="module")
def table():
    """60 rows with a slope of about .6, and three far away that share one place and pull it below 0, hiding one another."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=60)
    y = 0.5 * x + rng.normal(size=60)
    x, y = np.r_[x, 6.0 + 0.05 * rng.normal(size=3)], np.r_[y, -2.0 + 0.3 * rng.normal(size=3)]
    return pd.DataFrame({"site": [f"s{i % 4}" for i in range(63)], "x": x, "y": y})


@pytest.fixture(scope="module")
def fit(table):
    return SPEC.fit(table, seed=2, progress=False)


def lower_slope(table):
    mean, covariance = SPEC.closed_form(table)
    return mean[1] - norm.ppf(0.975) * np.sqrt(covariance[1, 1])


def upper_slope(table):
    mean, covariance = SPEC.closed_form(table)
    return mean[1] + norm.ppf(0.975) * np.sqrt(covariance[1, 1])


def without(table, units):
    return table.drop([int(u.split()[1]) for u in units])


# -- the boundary -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "boundary",
    [
        Boundary("slope", 0.5), Boundary("slope", 0.0, "lower"), Boundary("slope", 0.9, "upper"),
        Boundary("slope", 0.9, "p_above", cut=-0.05), Boundary("slope", 0.9, "p_above", cut=-0.6),
    ],
    ids=["mean", "lower", "upper", "probability", "saturated"],
)  # fmt: skip
def test_effects_are_derivatives_of_the_margin(fit, table, boundary):
    """First-order effects against derivatives of closed forms with respect to the weight of a row.

    A row with weight 1 - e in a normal regression: d mean = -V x r, d V = V x x' V. Monte Carlo error: 5 % of the largest
    effect for means and probabilities, 15 % for interval ends and far cuts; bounds 12 % and 35 %, correlation over .97 and .9.
    """
    mean, v = SPEC.closed_form(table)
    design = np.column_stack([np.ones(len(table)), table["x"]])
    residual = table["y"].to_numpy() - design @ mean
    d_mean = -((design @ v) * residual[:, None])[:, 1]
    d_sd = ((design @ v)[:, 1] ** 2) / (2 * np.sqrt(v[1, 1]))
    sd = np.sqrt(v[1, 1])
    z = norm.ppf(0.975)
    closed = {
        "mean": d_mean,
        "lower": d_mean - z * d_sd,
        "upper": d_mean + z * d_sd,
        "p_above": d_mean / sd - (mean[1] - boundary.cut) / sd**2 * d_sd,
    }[boundary.functional]
    bound = bind(boundary, fit.estimands)
    found = bound.side * bound.effects(contributions(fit, "row", None).flat)
    hard = boundary.functional in ("lower", "upper") or boundary.cut < -0.5
    assert np.abs(found - closed).max() < (0.35 if hard else 0.12) * np.abs(closed).max()
    assert np.corrcoef(found, closed)[0, 1] > (0.9 if hard else 0.97)


@dataclass(frozen=True)
class Positive:
    """A claim of another room: mean(slope) < 0, as an object with value, threshold and margin."""

    def value(self, dataset, weights=None):
        draws = dataset["slope"].values.reshape(-1)
        mean = float(np.average(draws, weights=weights))
        return SimpleNamespace(value=mean, threshold=0.0, margin=-mean, holds=mean < 0)


def test_claims_of_other_kinds_are_differentiated_by_tilting(fit):
    """Central differences against the exact covariance: the error is of the order of the tilt squared, 4 %; bound 10 %."""
    values = contributions(fit, "row", None).flat
    claim, plain = bind(Positive(), fit.estimands), bind(Boundary("slope", 0.0), fit.estimands)
    assert claim.margin() == pytest.approx(plain.margin(), abs=1e-12) and claim.threshold == 0.0
    exact = plain.effects(values)
    assert np.abs(claim.effects(values) - exact).max() < 0.1 * np.abs(exact).max()
    assert claim.extrapolated(-0.5) == pytest.approx(plain.extrapolated(-0.5), abs=1e-12)
    assert fit.smallest_set(Positive(), methods=["first order"]).best.units == ("row 62",)


def test_a_boundary_reads_values_of_weighted_draws(fit):
    draws = fit.estimands["slope"].values.reshape(-1)
    weights = np.where(draws > 0, 2.0, 1.0) / np.where(draws > 0, 2.0, 1.0).sum()
    assert bind(Boundary("slope", 0.0), fit.estimands).value(weights) == pytest.approx(weights @ draws, abs=1e-12)
    above = bind(Boundary("slope", 0.5, "p_above", cut=0.1), fit.estimands)
    assert above.value(weights) == pytest.approx(weights[draws > 0.1].sum(), abs=1e-12)
    assert above.extrapolated(0.0) == pytest.approx(above.value(), abs=1e-9)
    far = bind(Boundary(lambda e: e["slope"] - 0.1, 0.0), fit.estimands)
    assert far.value() == pytest.approx(draws.mean() - 0.1, abs=1e-12) and far.side == -1.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Boundary("slope", 0.0, "median"), "functional='median'"),
        (lambda: Boundary("slope", 95.0, "p_above"), "strictly between 0 and 1"),
        (lambda: Boundary("slope", np.nan), "must be numbers"),
        (lambda: Boundary("slope", 0.0, prob=0.0), "prob=0.0"),
    ],
)
def test_impossible_boundaries_are_refused(make, words):
    with pytest.raises(SpecificationError, match=words):
        make()


@pytest.mark.parametrize(
    ("claim", "settings", "words"),
    [
        (Boundary("slop", 0.0), {}, "Did you mean 'slope'"),
        (Boundary(lambda e: 1.0, 0.0), {}, "one number a draw"),
        ("nonsense", {}, "cannot be read"),
        (3.0, {}, "give text such as"),
        (Boundary("slope", 0.0), {"methods": ["amip"]}, "some of first order, greedy"),
        (Boundary("slope", 0.0), {"refits": 0}, "at least 1"),
        (Boundary("slope", 0.0), {"by": "rows"}, "Did you mean 'row'"),
    ],
)
def test_impossible_questions_are_refused(fit, claim, settings, words):
    with pytest.raises(SpecificationError, match=words):
        fit.smallest_set(claim, **settings)


# -- sets -------------------------------------------------------------------------------------------------------------


def test_a_set_to_first_order_is_confirmed_by_a_refit(fit, table):
    """upper(slope) > .1 falls by two rows; the refit's end is the closed form's within Monte Carlo error (.005; bound .02)."""
    found = fit.smallest_set(Boundary("slope", 0.1, "upper"), methods=["first order"])
    (only,) = found.sets
    left = without(table, only.units)
    assert only.state == "confirmed" and only.status == "PASS" and found.best is only
    assert upper_slope(table) > 0.1 > upper_slope(left)
    assert only.refit == pytest.approx(upper_slope(left), abs=0.02)
    assert only.share == len(only.units) / 63 and only.margin == pytest.approx(only.refit - 0.1, abs=1e-12)
    assert only.predicted == pytest.approx(only.refit, abs=0.06)


def test_a_claim_in_words_is_the_boundary_in_words(fit):
    """The same set for text and for the Boundary that says the same; and no set where P(..) leaves none to take."""
    said = fit.smallest_set("upper(slope) > 0.1", methods=["first order"])
    meant = fit.smallest_set(Boundary("slope", 0.1, "upper"), methods=["first order"])
    assert said.sets[0].units == meant.sets[0].units and said.sets[0].state == meant.sets[0].state == "confirmed"
    assert "upper(slope" in said.claim


def test_units_that_mask_each_other_are_found_greedily(fit, table):
    """lower(slope) > .1 without the three that hide one another; to first order no set of half the rows would do.

    By closed forms no one or two rows overturn the claim (all 2016 sets are tried), so three is the smallest.
    """
    found = fit.smallest_set(Boundary("slope", 0.1, "lower"))
    first, greedy = found.sets
    assert lower_slope(table) < 0.1
    assert first.state == "no set" and np.isnan(first.refit)
    assert set(greedy.units) == {"row 60", "row 61", "row 62"} and greedy.state == "confirmed" and greedy.refits <= 3
    assert greedy.refit == pytest.approx(lower_slope(without(table, greedy.units)), abs=0.02)
    assert found.best is greedy and "3 units by row, 4.76% of 63" in found.headline
    smaller = [s for n in (1, 2) for s in itertools.combinations(range(63), n)]
    assert max(lower_slope(table.drop(list(s))) for s in smaller) < 0.1


def test_the_greedy_set_is_the_smallest_where_all_can_be_tried(fit, table):
    """mean(slope) < .15: two rows, and by closed forms no single one."""
    found = fit.smallest_set(Boundary("slope", 0.15), methods=["greedy"])
    mean = lambda rows: SPEC.closed_form(table.drop(list(rows)))[0][1]  # noqa: E731
    assert mean([int(u.split()[1]) for u in found.best.units]) > 0.15
    assert len(found.best.units) == 2 and max(mean([i]) for i in range(63)) < 0.15


def test_influence_hands_over_its_own_contributions(fit):
    found = fit.influence(quantities=["slope"]).smallest_set(Boundary("slope", 0.0), methods=["first order"])
    assert found.best.units == ("row 62",) and found.by == "row" and found.draws == "1000 of 4000 draws"


def test_groups_are_removed_by_refits(fit, table):
    """Two of four sites: reweighting cannot reach, so greedy refits on the way; the outcome is the closed form's."""
    found = fit.smallest_set(Boundary("slope", 0.08), by="site", methods=["greedy"])
    (only,) = found.sets
    mean = SPEC.closed_form(table[~table["site"].isin(only.units)])[0][1]
    assert len(only.units) == 2 and only.state == "confirmed" and only.refits >= 1
    assert mean > 0.08 and only.refit == pytest.approx(mean, abs=0.01)


def test_no_set_is_not_proof(fit):
    found = fit.smallest_set(Boundary("slope", 50.0))
    assert found.best is None and {s.state for s in found.sets} == {"no set"}
    assert "does not show that there is none" in found.headline
    told = json.loads(found.to_json(), parse_constant=lambda _: pytest.fail("NaN in JSON"))
    assert told["schema"] == "bayeskit.smallest_set/1" and told["sets"][0]["refit"] is None


def test_a_failed_refit_confirms_nothing(fit, monkeypatch):
    from bayeskit.errors import SamplingError

    def broken(self, **_):
        raise SamplingError("no chain could be started")

    monkeypatch.setattr(type(fit), "refit", broken)
    found = fit.smallest_set(Boundary("slope", 0.0))
    assert {s.state for s in found.sets} == {"not computed"} and found.best is None
    assert "no chain could be started" in found.table["message"].iloc[0]


def test_folded_rows_are_taken_one_by_one():
    """12 successes of 20: how many have to go until the posterior mean of Beta(2, 3) falls under .5 is arithmetic: 4."""
    table = pd.DataFrame({"outcome": [1] * 12 + [0] * 8})
    fit = examples.FoldedBinomial().fit(table, seed=3, progress=False)
    found = fit.smallest_set(Boundary("share", 0.5))
    # (2 + 12 - k) / (25 - k) < 1/2 from k = 4 on: k = 3 is exactly 1/2, too close to call, and the set grows
    assert (2 + 12 - 4) / (25 - 4) < 0.5 == (2 + 12 - 3) / (25 - 3)
    first, greedy = found.sets
    assert set(greedy.units) == {"success"} == set(first.units) and found.total == 20
    assert len(greedy.units) == 4 and len(first.units) in (4, 5)
    for one in found.sets:
        assert one.state == "confirmed"
        assert one.refit == pytest.approx((14 - len(one.units)) / (25 - len(one.units)), abs=0.01)


def test_rendering(fit):
    found = fit.smallest_set(Boundary("slope", 0.0), methods=["first order"])
    assert "Left out: row 62" in repr(found) and "row 62" in found._repr_html_()
    assert "&lt;" in found._repr_html_()  # "mean(slope) < 0" is text, not markup


def test_public_name():
    assert bk.Boundary is Boundary
