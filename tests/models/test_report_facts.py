"""What models tell a report: numbers of a table, and the test quantities, against plain sums over its rows. No fit is made."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from bayeskit.predictive import predictive_check
from bayeskit_models.benchmarks import BenchmarkVariance
from bayeskit_models.judges import JudgeSimplex
from bayeskit_models.risk import SelectiveRisk
from bayeskit_models.survival import FlexibleSurvival
from bayeskit_models.survival.kaplan_meier import kaplan_meier


def told(spec, table):
    statistics = spec.statistics(table)
    return spec.data_facts(statistics), spec.test_quantities(statistics, statistics)


@pytest.mark.parametrize("levels", [2, 3])
def test_judges(levels):
    spec = JudgeSimplex(levels=levels, item="item")
    table = spec.simulate(3, candidates=4, judges=3, items=25).table
    facts, found = told(spec, table)
    assert facts["verdicts"] == table["score"].notna().sum()
    answers = table.groupby(["candidate", "item"])["score"]
    assert facts["answers with a verdict or a known truth"] == answers.ngroups
    for name, mean in table.groupby("candidate")["score"].mean().items():
        assert found[f"mean verdict on {name}"] == pytest.approx(mean)
    for name, group in table.groupby("judge")["score"]:
        assert found[f"mean verdict of {name}"] == pytest.approx(group.mean())
        assert facts[f"verdicts of {name}"] == len(group)
    agreed = answers.agg(lambda s: s.nunique() == 1).mean()
    assert found["share of answers on which all judges agree"] == pytest.approx(agreed)


def test_judges_with_counts_and_the_marginal_likelihood():
    """Rows that stand for several count as often; the marginal statistics know no answers."""
    spec = JudgeSimplex(levels=2, item="item")
    table = spec.simulate(4, candidates=3, judges=2, items=30).table
    marginal = JudgeSimplex(levels=2, likelihood="marginal")
    facts, found = told(marginal, table)
    assert facts["verdicts"] == len(table)
    assert "share of answers on which all judges agree" not in found
    name, mean = next(iter(table.groupby("candidate")["score"].mean().items()))
    assert found[f"mean verdict on {name}"] == pytest.approx(mean)


@pytest.mark.parametrize("family", ["bernoulli", "gaussian"])
def test_risk(family):
    make = SelectiveRisk.heckman if family == "gaussian" else SelectiveRisk
    spec = make(risk="x1 + g", **({"unit": (0.0, 1.0)} if family == "gaussian" else {}))
    rng = np.random.default_rng(1)
    table = make(risk="x1", **({"unit": (0.0, 1.0)} if family == "gaussian" else {})).simulate(2, n=300).table
    table["g"] = rng.choice(["a", "b"], len(table))
    facts, found = told(spec, table)
    tested = table["t"] == 1
    assert facts["people tested"] == tested.sum() and facts["people nobody tested"] == (~tested).sum()
    assert found["share tested"] == pytest.approx(tested.mean())
    what = "mean outcome of the tested" if family == "gaussian" else "share with the outcome among the tested"
    assert found[what] == pytest.approx(table.loc[tested, "y"].mean())
    for g, part in table.groupby("g"):
        assert found[f"share tested where g is {g}"] == pytest.approx((part["t"] == 1).mean())
        assert found[f"{what} where g is {g}"] == pytest.approx(part.loc[part["t"] == 1, "y"].mean())
    if family == "bernoulli":
        assert facts["tested with the outcome"] == table.loc[tested, "y"].sum()


def test_survival():
    spec = FlexibleSurvival.aft("arm", unit=1.0)
    table = FlexibleSurvival.aft("1", unit=1.0).simulate(5, n=200).table
    table["arm"] = np.random.default_rng(0).choice(["control", "treated"], len(table))
    statistics = spec.statistics(table)
    facts, found = told(spec, table)
    assert facts["events at a known time"] == table["event"].sum()
    assert facts.get("right-censored", 0) == (table["event"] == 0).sum()
    assert facts["events with arm=treated"] == table.loc[table["arm"] == "treated", "event"].sum()
    assert float(facts["longest follow-up, in the table's unit of time"]) == pytest.approx(table["time"].max(), rel=1e-3)
    parts = {"": table}
    parts |= {f" where arm is {arm}": rows for arm, rows in table.groupby("arm")}
    for at in statistics["horizons"].values:
        for where, rows in parts.items():
            curve = kaplan_meier(rows["time"].to_numpy(), rows["event"].to_numpy())
            assert found[f"share free of the event at {float(at):.4g}{where}"] == pytest.approx(float(curve.at(at)))


def test_survival_of_other_tables_is_told_at_the_observed_times():
    """Quartiles of another table would compare nothing with nothing."""
    spec = FlexibleSurvival.aft("1")
    one, other = (spec.statistics(spec.simulate(seed, n=100).table) for seed in (1, 2))
    assert set(spec.test_quantities(other, one)) == set(spec.test_quantities(one, one))
    assert set(spec.test_quantities(other, other)) != set(spec.test_quantities(one, one))


def test_intervals_give_no_kaplan_meier_curve():
    spec = FlexibleSurvival(lower="a", upper="b", unit=1.0)
    table = spec.simulate(1, n=60).table
    statistics = spec.statistics(table)
    assert spec.test_quantities(statistics, statistics) == {}
    assert sum(v for k, v in spec.data_facts(statistics).items() if "censored" in k or "interval" in k) <= len(table)


@pytest.mark.parametrize("family", ["binomial", "gaussian", "ordered_beta"])
def test_benchmarks(family):
    spec = BenchmarkVariance(family=family, benchmark="benchmark", **({"unit": (2.0, 3.0)} if family == "gaussian" else {}))
    table = spec.simulate(3, models=3, benchmarks=2, items=20).table
    facts, found = told(spec, table)
    assert facts["trials"] == len(table) and facts["distinct items"] == 40
    for (model, benchmark), mean in table.groupby(["model", "benchmark"])["score"].mean().items():
        assert found[f"mean score of {model} on {benchmark}"] == pytest.approx(mean)
    if family == "ordered_beta":
        for (benchmark, part), end in product(table.groupby("benchmark"), (0, 1)):
            assert found[f"share of scores of {end} on {benchmark}"] == pytest.approx((part["score"] == end).mean())
    for benchmark, part in table.groupby("benchmark"):
        spread = part.groupby("item")["score"].mean().std(ddof=0)
        assert found[f"standard deviation of items on {benchmark}"] == pytest.approx(spread)


SPECS = {
    "judges": (JudgeSimplex(levels=2, item="item"), {"candidates": 3, "judges": 3, "items": 15}),
    "risk": (SelectiveRisk(risk="x1"), {"n": 150}),
    "survival": (FlexibleSurvival.aft("x", unit=1.0), {"n": 100}),
    "benchmarks": (BenchmarkVariance(), {"models": 2, "items": 12}),
}


@pytest.mark.parametrize("name", SPECS)
def test_tables_from_the_true_parameters_are_not_surprising(name):
    """40 tables replicated at the parameters that made the table: a share below of 0 or 1 has probability 2 / 41 for each
    quantity, so that most of them are inside; parameters of another table would put many outside."""
    spec, sizes = SPECS[name]
    simulation = spec.simulate(11, **sizes)
    statistics = spec.statistics(simulation.table)
    draws = {k: np.asarray(v)[None, None] for k, v in simulation.parameters.items()}
    import xarray as xr

    posterior = xr.Dataset({k: (("chain", "draw", *(f"{k}_{i}" for i in range(v.ndim - 2))), v) for k, v in draws.items()})
    found = predictive_check(spec, statistics, spec.dials(statistics), posterior, draws=40, seed=3)
    assert len(found.outside) <= max(1, len(found.names) // 4), found
    assert spec.equations() and all(isinstance(line, str) and line for line in spec.equations())
    assert all(text.endswith(".") for text in spec.limits())
