"""Specifications side by side: against closed forms, failures in sight, nothing averaged."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import examples
import numpy as np
import pytest

import bayeskit as bk
from bayeskit import Boundary, SpecificationError

SMALL = {"draws": 400, "tune": 400}


@pytest.fixture(scope="module")
def table():
    made = examples.Regression().simulate(11, n=30, parameters={"a": 0.5, "b": 0.3}).table
    made["group"] = made["site"]
    return made


@pytest.fixture(scope="module")
def found(table):
    specs = {
        "wide": examples.VectorRegression(),
        "narrow": examples.VectorRegression(prior_sd=0.1),
        "heavy tails": examples.VectorRegression(robust=True),
        "groups": examples.NormalNormal(),
        "broken": examples.NormalNormal(group="nothing"),
    }
    return bk.multiverse(specs, table, claim=Boundary("slope", 0.1), seed=9, **SMALL)


def test_means_are_those_of_closed_forms(found, table):
    """Monte Carlo error of a mean of sd .17 from some 1000 effective draws: .006; bound .03."""
    rows = found.table[found.table["quantity"] == "slope"].set_index("universe")
    for name, sd in (("wide", 10.0), ("narrow", 0.1)):
        mean, covariance = examples.Regression(prior_sd=sd).closed_form(table)
        assert rows.loc[name, "mean"] == pytest.approx(mean[1], abs=0.03)
        assert rows.loc[name, "upper"] - rows.loc[name, "lower"] == pytest.approx(3.92 * np.sqrt(covariance[1, 1]), rel=0.15)
        assert rows.loc[name, "claim_value"] == pytest.approx(rows.loc[name, "mean"], abs=1e-9)


def test_failures_stay_in_sight_and_out_of_ranges(found):
    assert [u.name for u in found.failed] == ["broken"] and found.headline.startswith("1 of 5 universes FAILED: broken.")
    row = found.table[found.table["universe"] == "broken"].iloc[0]
    assert row["status"] == "ERROR" and "nothing" in row["message"] and np.isnan(row["mean"])
    assert found.ranges.loc["slope", "universes"] == 3 and found.ranges.loc["mean[s0]", "universes"] == 1
    slopes = found.table[found.table["quantity"] == "slope"]["mean"]
    assert found.ranges.loc["slope", ["lowest_mean", "highest_mean"]].tolist() == [slopes.min(), slopes.max()]


def test_a_fit_that_failed_its_checks_is_out_of_ranges(table):
    """Neal's funnel cannot pass; its numbers are in the table, marked, and in no range."""
    schools = table.assign(school=[f"r{i}" for i in range(30)], sigma=1.0)
    funnel, fine = examples.CentredFunnel(), examples.EightSchools()
    found = bk.multiverse({"funnel": funnel, "fine": fine}, schools, seed=1, **SMALL)
    assert found.universes[0].status == "FAIL" and not found.universes[0].usable
    assert "first" in set(found.table["quantity"]) and "first" not in found.ranges.index and "theta[r0]" in found.ranges.index


def test_predictions_are_compared_only_where_they_can_be(found):
    loo = found.loo
    assert loo.loc["wide", "difference"] == 0.0 and loo.loc["narrow", "reason"] == "" == loo.loc["heavy tails", "reason"]
    whole = found.universes[1].fit.loo(thin_to=1000), found.universes[0].fit.loo(thin_to=1000)
    each = whole[0].elpd_unit - whole[1].elpd_unit
    assert loo.loc["narrow", "difference"] == pytest.approx(each.sum(), abs=1e-9)
    assert loo.loc["narrow", "difference_se"] == pytest.approx(np.sqrt(30) * each.std(ddof=1), abs=1e-9)
    assert "no units by='row'" in loo.loc["groups", "reason"] and "fit failed (ERROR)" in loo.loc["broken", "reason"]
    assert np.isnan(loo.loc["groups", "elpd"])


def test_the_claim_is_told_by_side(found):
    assert "mean(slope) > 0.1 in 2, mean(slope) < 0.1 in 1 of 4; not computed in 1." in found.headline


def test_seeds_depend_on_the_specification_alone(found, table):
    again = bk.multiverse([examples.VectorRegression(prior_sd=0.1)], table, seed=9, **SMALL)
    assert again.universes[0].seed == found.universes[1].seed != found.universes[0].seed
    assert np.array_equal(again.universes[0].fit.posterior["b"], found.universes[1].fit.posterior["b"])


def test_an_executor_gives_the_same(found, table):
    with ThreadPoolExecutor(2) as executor:
        specs = [examples.VectorRegression(), examples.VectorRegression(prior_sd=0.1)]
        again = bk.multiverse(specs, table, seed=9, executor=executor, quantities=["slope"], **SMALL)
    assert [u.name for u in again.universes] == ["VectorRegression(prior_sd=10.0)", "VectorRegression(prior_sd=0.1)"]
    assert np.array_equal(again.universes[1].fit.posterior["b"], found.universes[1].fit.posterior["b"])
    assert set(again.table["quantity"]) == {"slope"}


def test_a_lost_worker_is_a_failed_universe(table):
    class Lost(ThreadPoolExecutor):
        def submit(self, *args, **kwargs):
            raise OSError("worker died")

    found = bk.multiverse([examples.VectorRegression()], table, seed=9, executor=Lost(1))
    assert found.universes[0].status == "ERROR" and "worker died" in found.headline + found.universes[0].message
    assert len(found.ranges) == 0
    with pytest.raises(SpecificationError, match="nothing to draw"):
        found.plot()


@pytest.mark.parametrize(
    ("specs", "settings", "words"),
    [
        ([], {}, "specs is empty"),
        ([examples.Regression(), examples.Regression()], {}, "Two specifications are called"),
        ({"a": "text"}, {}, "'a' is a str"),
        ([3], {}, "is a int"),
        ([examples.Regression()], {"prob": 0.0}, "prob=0.0"),
    ],
)
def test_impossible_multiverses_are_refused(table, specs, settings, words):
    with pytest.raises(SpecificationError, match=words):
        bk.multiverse(specs, table, **settings)


def test_a_quantity_that_nobody_has_is_refused(table):
    with pytest.raises(SpecificationError, match="Did you mean 'slope'"):
        bk.multiverse([examples.VectorRegression()], table, quantities=["slop"], seed=1, draws=50, tune=50)


def test_rendering(found):
    told = json.loads(found.to_json(), parse_constant=lambda _: pytest.fail("NaN in JSON"))
    assert told["schema"] == "bayeskit.multiverse/1" and len(told["universes"]) == 5
    assert "FAILED: broken" in repr(found) and "FAILED: broken" in found._repr_html_()
    figure = found.plot("slope")
    assert "Without a number: groups, broken" in figure.caption and "heavy tails" in figure.alt
    with pytest.raises(SpecificationError, match="Did you mean 'slope'"):
        found.plot("slop")
