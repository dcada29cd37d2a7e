"""What SelectiveRisk refuses, and that the message names the column, the rows, the rule and the remedy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

from bayeskit import DataError, SpecificationError
from bayeskit_models.risk import Prevalence, SelectiveRisk


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    out = pd.DataFrame({"age": rng.normal(50, 9, 60), "sex": rng.choice(["f", "m"], 60), "t": np.arange(60) % 2})
    out["y"] = np.where(out["t"] == 1, np.arange(60) % 4 == 1, np.nan)
    return out


SPEC = SelectiveRisk(risk="age + sex")


def assert_refused(spec, table, *parts):
    with pytest.raises(DataError) as error:
        spec.statistics(table)
    for part in parts:
        assert part in str(error.value), str(error.value)


def test_nobody_tested_and_nobody_untested(table):
    assert_refused(SPEC, table.assign(t=0, y=np.nan), "'y'", "every cell is empty")
    assert_refused(SPEC, table.assign(t=0, y=1.0), "'t'", "no row is tested")
    assert_refused(SPEC, table.assign(t=1, y=np.arange(60) % 2), "'t'", "every row is tested", "logistic regression")


def test_outcomes_where_nobody_tested(table):
    table.loc[[0, 4], "y"] = 0.0
    assert_refused(SPEC, table, "'y'", "2 untested rows have an outcome", "0, 4", "fit.validate(followup)")


def test_tests_without_an_outcome(table):
    table.loc[3, "y"] = np.nan
    assert_refused(SPEC, table, "'y'", "1 tested rows have no outcome", "rows: 3")


def test_one_outcome_only(table):
    assert_refused(SPEC, table.assign(y=np.where(table["t"] == 1, 0.0, np.nan)), "'y'", "every tested row has the outcome 0")


def test_features_that_say_nothing(table):
    assert_refused(SPEC, table.assign(age=50.0), "'age'", "the same in every row")
    wide = table.assign(twice=2 * table["age"])
    assert_refused(SelectiveRisk(risk="age + twice"), wide, "'twice'", "follows from 'age'")


def test_an_impossible_prevalence(table):
    """30 of 60 tested, 15 with outcome 1: the prevalence lies between 0.25 and 0.75, however the untested are."""
    for value in (0.01, 0.99):
        spec = SelectiveRisk(risk="age", prevalence=Prevalence(value, 0.005))
        rows = pd.concat([table] * 40, ignore_index=True)
        assert_refused(spec, rows, "'y'", f"a prevalence of {value:g}", "cannot be", "between 0.25 and 0.75")
    assert SelectiveRisk(risk="age", prevalence=(0.3, 0.05)).statistics(table).sizes["row"] == 60


def test_prevalence_of_groups(table):
    spec = SelectiveRisk(risk="age", group="sex", prevalence={"f": (0.5, 0.1), "x": (0.5, 0.1)})
    assert_refused(spec, table, "'sex'", "no group 'x'")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"prevalence": 0.1}, "lacks how well it is known"),
        ({"prevalence": (0.1,)}, "give Prevalence"),
        ({"prevalence": {"f": (0.1, 0.1)}}, "group is not given"),
        ({"expertise": ["agge"]}, "Did you mean 'age'"),
        ({"expertise": 3}, "names of the features"),
        ({"tau": 0.1}, "outside expertise"),
        ({"tau": -1.0, "expertise": ["age"]}, "above 0"),
        ({"signs": {"age": 2}}, "\\+1 or -1"),
        ({"alpha": "negative"}, "'positive' or 'free'"),
        ({"alpha": float("nan")}, "finite"),
        ({"unobserved": "gauss"}, "uniform, normal, student"),
        ({"link": "probit"}, "SelectiveRisk.probit"),
        ({"risk": "0 + age"}, "needs its intercept"),
        ({"risk": "y + age"}, "both a covariate and a column"),
        ({"tested": "y"}, "different columns"),
        ({"unit": (0.0, 1.0)}, "continuous outcome"),
    ],
)
def test_settings_that_are_refused(settings, text):
    with pytest.raises(SpecificationError, match=text):
        SelectiveRisk(**{"risk": "age", **settings})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"value": 0.1}, "lacks how well"), ({}, "give either"), ({"value": 0.1, "low": 0.2, "high": 0.3}, "give either"),
        ({"value": 0.1, "sd": -1.0}, "above 0"), ({"value": 0.1, "sd": 0.1, "n": 5}, "not both"),
        ({"low": 0.3, "high": 0.1}, "order"),
        ({"value": 1.0, "n": 10}, "strictly between"), ({"low": 0.3}, "order"),
    ],
)  # fmt: skip
def test_prevalences_that_are_refused(given, text):
    with pytest.raises(SpecificationError, match=text):
        Prevalence(**given)


def test_prevalences():
    assert Prevalence(0.1, n=900) == Prevalence(0.1, 0.01) and Prevalence(low=0.1, high=0.3).sd == pytest.approx(0.02)
    assert repr(Prevalence(0.1, n=900)) == "Prevalence(value=0.1, sd=0.01)"


def test_signs_name_terms(table):
    spec = SelectiveRisk(risk="age", signs={"agee": 1})
    with pytest.raises(DataError, match="Did you mean 'age'"):
        spec.assumptions(spec.statistics(table))


def test_separation_is_told(table):
    """The check, on statistics alone: all with outcome 1 are older than all with 0."""
    from bayeskit_models.risk.checks import _separated

    apart = table.assign(age=np.where(table["y"] == 1, 80.0, 40.0) + np.arange(60) % 7)
    found = _separated(SelectiveRisk(risk="age").statistics(apart))
    assert "outcomes by age" in found[0].text and not _separated(SPEC.statistics(table))
