"""Tables that are no survival data: each is refused before anything compiles, with rows, rule and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeskit.engine import compile_count
from bayeskit.errors import BayeskitError, DataError, SpecificationError
from bayeskit_models.survival import FlexibleSurvival

SNAPSHOT = Path(__file__).parent / "snapshots" / "survival_intake_errors.txt"


def table(**changed):
    base = {"time": [2.0, 3.0, 5.0, 7.0, 8.0, 9.0], "event": [1, 0, 1, 1, 0, 1], "x": [0.1, 1.2, -0.3, 0.4, 2.0, 0.7]}
    return {**base, "arm": list("aabbcc"), **changed}


def ends(lower, upper):
    return {"low": lower, "high": upper}


INTERVAL = {"lower": "low", "upper": "high"}
ENTRY = {"entry": "from"}
FAULTS = {
    "event at time 0": ({}, table(time=[0.0, 3.0, 5.0, 7.0, 8.0, 9.0])),
    "negative time": ({}, table(time=[2.0, -3.0, 5.0, 7.0, 8.0, 9.0])),
    "NaN time": ({}, table(time=[2.0, np.nan, 5.0, 7.0, 8.0, 9.0])),
    "infinite time": ({}, table(time=[2.0, np.inf, 5.0, 7.0, 8.0, 9.0])),
    "times as text": ({}, table(time=["2 days", "3 days", "5 days", "7 days", "8 days", "9 days"])),
    "dates": ({}, table(time=pd.date_range("2024-01-01", periods=6))),
    "event coded 1 and 2": ({}, table(event=[1, 2, 1, 1, 2, 1])),
    "event as a word": ({}, table(event=["dead", "alive"] * 3)),
    "NaN event": ({}, table(event=[1, np.nan, 1, 1, 0, 1])),
    "no event": ({}, table(event=[0] * 6)),
    "no event in intervals": (INTERVAL, ends([1.0, 2.0], [np.nan, np.nan])),
    "entry at the time": (ENTRY, table(**{"from": [0.0, 3.0, 0.0, 0.0, 0.0, 0.0]})),
    "entry after the time": (ENTRY, table(**{"from": [0.0, 0.0, 5.5, 0.0, 0.0, 0.0]})),
    "negative entry": (ENTRY, table(**{"from": [0.0, 0.0, -1.0, 0.0, 0.0, 0.0]})),
    "entry inside the interval": (INTERVAL | ENTRY, {**ends([1.0, 2.0], [4.0, 3.0]), "from": [1.5, 0.0]}),
    "spells of subjects": (ENTRY, table(event=[0, 0, 1, 1, 0, 1], **{"from": [0.0, 0.0, 2.0, 3.0, 0.0, 0.0]})),
    "lower above upper": (INTERVAL, ends([1.0, 5.0, 2.0], [2.0, 4.0, np.nan])),
    "infinite upper end": (INTERVAL, ends([1.0, 5.0], [2.0, np.inf])),
    "interval that ends at 0": (INTERVAL, ends([0.0, 1.0], [0.0, 2.0])),
    "both ends missing": (INTERVAL, ends([np.nan, 1.0], [np.nan, 2.0])),
    "negative weight": ({"weights": "n"}, table(n=[1, 1, -1, 1, 1, 1])),
    "all weights 0": ({"weights": "n"}, table(n=[0] * 6)),
    "no group label": ({"group": "site"}, table(site=["s", None, "t", "t", "s", "s"])),
    "negative background": ({"background": "rate"}, table(rate=[0.1, -0.1, 0.1, 0.1, 0.1, 0.1])),
    "missing column": ({"scale": "age"}, table()),
    "constant covariate": ({"scale": "x"}, table(x=[1.0] * 6)),
    "one category": ({"scale": "arm"}, table(arm=["a"] * 6)),
    "collinear covariates": ({"scale": "x + y"}, table(y=[0.2, 2.4, -0.6, 0.8, 4.0, 1.4])),
    "NaN covariate": ({"scale": "x"}, table(x=[0.1, np.nan, -0.3, 0.4, 2.0, np.nan])),
    "infinite covariate": ({"scale": "x"}, table(x=[0.1, np.inf, -0.3, 0.4, 2.0, 0.7])),
    "missing category": ({"scale": "arm"}, table(arm=["a", None, "b", "b", "c", "c"])),
    "log of a negative covariate": ({"scale": "log(x)"}, table()),
    "no rows": ({}, table(time=[], event=[], x=[], arm=[])),
    "events in rows of weight 0 alone": ({"weights": "n"}, table(n=[0, 1, 0, 0, 1, 0])),
    "the same covariate twice": ({"scale": "x + I(2 * x + 1)"}, table()),
}
USES = {
    "two-sided formula": lambda: FlexibleSurvival(scale="time ~ x"),
    "time in a formula": lambda: FlexibleSurvival(scale="x + time"),
    "event in a formula": lambda: FlexibleSurvival(scale="event"),
    "function that learns from the rows": lambda: FlexibleSurvival(scale="scale(x)"),
    "code in a formula": lambda: FlexibleSurvival(scale="open(x)"),
    "random effect in a formula": lambda: FlexibleSurvival(scale="x + (1 | site)"),
    "only one end": lambda: FlexibleSurvival(lower="low"),
    "unit of 0": lambda: FlexibleSurvival(unit=0.0),
    "unknown law": lambda: FlexibleSurvival(law="weibul"),
    "unseen category": lambda: predicted({"arm": ["a", "q"]}),
    "prediction without the covariate": lambda: predicted({"x": [1.0]}),
}


def predicted(new):
    """What a prediction does with a new table, without the draws, which are not reached."""
    from bayeskit.intake import encode

    spec = FlexibleSurvival(scale="arm")
    rows = spec.encode(table())
    wanted = [c for c in spec.columns() if c.role.startswith("x_")]
    return encode(new, wanted, levels={k: v for k, v in rows.levels.items() if k.startswith("x_")})


def message(name):
    with pytest.raises(BayeskitError) as caught:
        if name in USES:
            USES[name]()
        else:
            settings, data = FAULTS[name]
            FlexibleSurvival(**settings).fit(data, draws=10, tune=10, chains=1, progress=False)
    assert isinstance(caught.value, DataError | SpecificationError)
    if isinstance(caught.value, DataError):
        assert caught.value.rule and caught.value.fix, name
    return str(caught.value)


def test_messages_of_all_faults_are_as_recorded():
    FlexibleSurvival(scale="x").statistics(table())  # imports are paid here, not by the first fault
    before = compile_count()
    text = "".join(f"## {name}\n{message(name)}\n\n" for name in (*FAULTS, *USES))
    assert compile_count() == before
    if os.environ.get("BAYESKIT_UPDATE_SNAPSHOTS") == "1":
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


def test_rows_are_counted_in_the_table_as_given():
    for change, rows in (({"time": [0.0, 3.0, 0.0, 7.0, 8.0, 9.0]}, [0, 2]), ({"x": [np.nan] * 2 + [1.0] * 4}, [0, 1])):
        with pytest.raises(DataError) as caught:
            FlexibleSurvival(scale="x").statistics(pd.DataFrame(table(**change), index=list("uvwxyz")))
        assert list(caught.value.rows) == rows


def test_late_entry_is_no_spell_unless_every_entry_is_somebody_s_end():
    """One entry that is nobody's end, two entries for one end, or ends in other groups: different subjects."""
    base = {"time": [2.0, 3.0, 5.0, 7.0], "event": [0, 0, 1, 1], "g": list("aabb")}
    spec = FlexibleSurvival(entry="from")
    for entry in ([0.0, 0.0, 2.0, 3.5], [0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 0.0]):
        assert spec.statistics(base | {"from": entry}).sizes["late"] == sum(e > 0 for e in entry)
    spells = base | {"from": [0.0, 0.0, 2.0, 3.0]}
    with pytest.raises(DataError, match="time-dependent covariates") as caught:
        spec.statistics(spells)
    assert list(caught.value.rows) == [2, 3]
    assert FlexibleSurvival(entry="from", frailty="g").statistics(spells).sizes["late"] == 2
    with pytest.raises(DataError, match="time-dependent covariates"):
        FlexibleSurvival(entry="from", frailty="g").statistics(spells | {"g": list("abab")})


def test_a_row_that_was_never_followed_is_left_out():
    """A censoring at time 0, or weight 0, says nothing: the statistics are those of the table without it."""
    spec = FlexibleSurvival(scale="x", weights="n", unit=1.0, reference="zero")
    full = table(n=[1, 1, 1, 0, 1, 1], time=[2.0, 0.0, 5.0, 7.0, 8.0, 9.0])
    keep = [0, 2, 4, 5]
    one, two = spec.statistics(full), spec.statistics({k: [v[i] for i in keep] for k, v in full.items()})
    for name in ("log_lower", "weight", "kind_ptr", "design"):
        np.testing.assert_allclose(one[name].values, two[name].values, rtol=0, atol=1e-12)
    assert one["table_row"].values.tolist() == [0, 2, 5, 4]
