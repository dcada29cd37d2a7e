"""What a report holds: data, model, checks, limits, blanks, code; small counts suppressed, paths cut, failures marked."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import examples
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fake_fit import make_fit
from report_parsers import READERS

from bayeskit.errors import SpecificationError, StorageError, UnreliableDrawsError
from bayeskit.hooks import ModelHooks
from bayeskit.predictive import predictive_check
from bayeskit.report import BLANKS, CHECKLISTS, Paragraph, build_report, score
from bayeskit.report.answers import answer_blocks
from bayeskit.report.appendix import rerun_code
from bayeskit.report.chains import autocorrelation, doubling, trace_plot
from bayeskit.report.checklist import STATES
from bayeskit.report.counts import count_cell, counted, suppressing
from bayeskit.report.data import without_paths
from bayeskit.report.evidence import EVIDENCE, find
from bayeskit.report.limits import TO_FILL
from bayeskit.report.machine import to_json
from bayeskit.report.render import RENDERERS


@pytest.fixture(scope="module")
def report(normal_fit):
    return build_report(normal_fit, replicate=40)


def section(report, name):
    return next(s for s in report.sections if s.id == name)


def rows_of(report, name, *columns):
    table = next(b for b in section(report, name).blocks if hasattr(b, "columns") and set(columns) <= set(b.columns))
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


# -- predictive checks --------------------------------------------------------------------------------------


def moments(statistics, spec, mean, variance):
    """Mean and variance of the mean of `total` over groups, from those of the groups' means; errors have sd 1.5."""
    n = statistics["n"].values
    return (n * mean).mean(), (n**2 * variance + n * 1.5**2).sum() / len(n) ** 2


@pytest.mark.parametrize("source", ["prior", "posterior"])
def test_replicated_tables_have_the_moments_of_the_closed_form(source, normal_table):
    """600 tables: the mean is exact to sd/sqrt(600), the sd to 2.9 %; bounds are 4 standard errors."""
    spec = examples.NormalNormal()
    statistics = spec.statistics(normal_table)
    mean, sd = (0.5, 2.0) if source == "prior" else spec.closed_form(statistics)
    draws = None
    if source == "posterior":
        rng = np.random.default_rng(5)
        draws = xr.Dataset({"mu": (("chain", "draw", "group"), rng.normal(mean, sd, (2, 1000, 3)))})
    found = predictive_check(spec, statistics, spec.dials(statistics), draws, draws=600, seed=2)
    wanted, variance = moments(statistics, spec, mean, np.square(sd))
    place = found.names.index("mean of total")
    got = found.replicated[:, place]
    assert abs(got.mean() - wanted) < 4 * np.sqrt(variance / 600)
    assert abs(got.std() / np.sqrt(variance) - 1) < 4 / np.sqrt(2 * 600)
    assert "mean of n" not in found.names  # the design is the same in every table
    seen = float(statistics["total"].mean())
    assert found.observed[place] == seen
    assert found.tail[place] == pytest.approx((got < seen).mean())


def test_an_impossible_table_lies_outside(normal_table):
    spec = examples.NormalNormal()
    statistics = spec.statistics(normal_table.assign(y=normal_table["y"] + 100))
    found = predictive_check(spec, statistics, spec.dials(statistics), None, draws=50)
    assert set(found.outside) == {"mean of total", "mean of square"}
    assert "2 of 2 observed numbers lie outside" in found.headline
    assert json.loads(found.to_json())["schema"] == "bayeskit.predictive/1"
    same = predictive_check(spec, statistics, spec.dials(statistics), None, draws=50)
    assert np.array_equal(found.replicated, same.replicated)


def test_predictive_checks_refuse_what_they_cannot_do(normal_fit):
    with pytest.raises(SpecificationError, match="at least 2"):
        normal_fit.predictive_check(draws=1)
    with pytest.raises(SpecificationError, match="'prior' or 'posterior'"):
        normal_fit.predictive_check("likelihood")
    with pytest.raises(StorageError):
        dataclasses.replace(normal_fit, statistics=None).predictive_check()

    silent = type("Silent", (examples.NormalNormal,), {"test_quantities": lambda spec, statistics, observed: {}})
    with pytest.raises(SpecificationError, match="names no test quantity"):
        predictive_check(silent(), normal_fit.statistics, normal_fit.dials, None, draws=3)


# -- the sections -------------------------------------------------------------------------------------------


def test_sections_stand_in_the_order_of_reading(report):
    names = [s.id for s in report.sections]
    wanted = ["results", "sensitivity", "model-checks", "data", "assumptions", "checks", "limits", "provenance"]
    assert names == wanted


def test_data_block_says_what_was_read_and_left_out(report, normal_fit):
    rows = {r["What"]: r["Found"] for r in rows_of(report, "data", "What", "Found")}
    assert rows["Rows of the table used"] == 15
    assert rows["Rows left out"].startswith("none")
    less = normal_fit.refit(without={"group": "b"})
    told = {r["What"]: r["Found"] for r in rows_of(build_report(less, replicate=0, sensitivity=()), "data", "What", "Found")}
    assert told["Rows left out"] == "on request, group: 1 (b)"


def test_predictive_checks_and_leave_one_out_are_there(report):
    captions = [b.caption for b in section(report, "model-checks").blocks if hasattr(b, "columns")]
    assert captions[0].startswith("Prior predictive check") and captions[1].startswith("Posterior predictive check")
    assert captions[2].startswith("Leave-one-out prediction by group")
    counts = rows_of(report, "model-checks", "Pareto k-hat", "groups")
    assert sum(int(r["groups"]) for r in counts) == 3


def test_a_run_without_statistics_says_what_is_not_computed(normal_fit):
    loaded = dataclasses.replace(normal_fit, statistics=None)
    report = build_report(loaded)
    notes = [b.kind for name in ("model-checks", "sensitivity") for b in section(report, name).blocks if hasattr(b, "kind")]
    assert "not computed" in notes


def test_results_of_the_sensitivity_analysis_come_under_their_names(normal_fit):
    found = normal_fit.sensitivity()
    report = build_report(normal_fit, sensitivity=[found, found], replicate=0)
    leads = [b.text for b in section(report, "sensitivity").blocks if isinstance(b, Paragraph)]
    assert "Sensitivity." in leads and "Sensitivity (2)." in leads
    named = build_report(normal_fit, sensitivity={"My question": found}, replicate=0)
    assert section(named, "sensitivity").blocks[0].text == "My question."
    for wrong in ([3], {"My question": 3}):
        with pytest.raises(SpecificationError, match="no result of the sensitivity analysis"):
            build_report(normal_fit, sensitivity=wrong)
    assert "sensitivity" not in [s.id for s in build_report(normal_fit, sensitivity=(), replicate=0).sections]


def test_tables_of_states_keep_the_rows_that_say_something():
    states = ["conflict", "ok", "ok", "not computed", "not computed", "unreliable", *["ok"] * 20]
    frame = pd.DataFrame({"quantity": list("abcabc") + ["d"] * 20, "assumption": list("pppqqr") + ["s"] * 20, "state": states})
    table = answer_blocks(SimpleNamespace(headline="x", table=frame))[1]
    kept = [row[2] for row in table.rows]
    assert kept == ["conflict", "ok", "ok", "not computed", "unreliable", "ok", "ok", "ok"]
    assert table.caption.startswith("17 more rows are ok") and "1 more rows of the same assumptions" in table.caption
    plain = answer_blocks(SimpleNamespace(headline="x", table=frame[["quantity"]]))[1]
    assert len(plain.rows) == 26 and plain.caption == ""


def test_twice_the_draws_and_autocorrelation():
    """Autoregressive chains with coefficient 0.6: the error of the estimate over 40,000 draws is 0.005."""
    rng = np.random.default_rng(0)
    x = np.zeros((4, 10_000))
    noise = rng.normal(size=x.shape)
    for t in range(1, x.shape[1]):
        x[:, t] = 0.6 * x[:, t - 1] + noise[:, t]
    assert autocorrelation(x, 1) == pytest.approx(0.6, abs=0.02)
    assert autocorrelation(x, 3) == pytest.approx(0.6**3, abs=0.03)
    assert np.isnan(autocorrelation(np.ones((2, 50)), 1))
    steps = np.concatenate([np.zeros((2, 50)), np.ones((2, 50))], axis=1)
    first, whole, change = doubling(steps)
    assert (first, whole) == (0.0, 0.5)
    assert change == pytest.approx(0.5 / steps.std())
    assert "chain 2 mean" in trace_plot(x[:, :100], "x").alt


def test_every_parameter_has_its_convergence(report, normal_fit):
    rows = rows_of(report, "checks", "Parameter", "R-hat")
    assert [r["Parameter"] for r in rows] == list(normal_fit.summary(group="posterior").index)


def test_the_code_of_the_appendix_makes_the_same_draws(normal_fit, normal_table, tmp_path):
    path = tmp_path / "table.csv"
    normal_table.to_csv(path, index=False)
    code = rerun_code(normal_fit).replace('"table.csv"', repr(str(path))).replace("backend=", "progress=False, backend=")
    namespace = {}
    exec(code, namespace)
    assert np.array_equal(namespace["fit"].posterior["mu"].values, normal_fit.posterior["mu"].values)


def test_turned_dials_stand_in_the_code(normal_fit):
    turned = dataclasses.replace(normal_fit, dials={**normal_fit.dials, "noise.sd": 2.0})
    assert "dials={'noise.sd': 2.0}" in rerun_code(turned)
    assert "dials" not in rerun_code(normal_fit)


# -- blanks and checklists ----------------------------------------------------------------------------------


def test_blanks_are_filled_by_their_keys(normal_fit, report):
    blanks = {r["Key"]: r["Answer"] for r in rows_of(report, "limits", "Point", "Answer", "Key")}
    assert set(blanks) == set(BLANKS)
    assert set(blanks.values()) == {TO_FILL}
    filled = build_report(normal_fit, author={"goal": "Which group."}, replicate=0)
    assert {r["Key"]: r["Answer"] for r in rows_of(filled, "limits", "Key")}["goal"] == "Which group."
    with pytest.raises(SpecificationError, match="Did you mean 'goal'"):
        build_report(normal_fit, author={"gaol": "x"})


def test_checklists_are_whole():
    sizes = {name: len(items) for name, items in CHECKLISTS.items()}
    assert (sizes["BARG"], sizes["WAMBS"], sizes["ROBUST"], sizes["REMARK"]) == (31, 10, 7, 20)
    main = {"".join(c for c in i.id if c.isdigit()) for i in CHECKLISTS["TRIPOD+AI"]}
    assert main == {str(k) for k in range(1, 28)}
    assert {"".join(c for c in i.id if c.isdigit()) for i in CHECKLISTS["STROBE"]} == {str(k) for k in range(1, 23)}
    assert (sizes["TRIPOD+AI"], sizes["STROBE"]) == (52, 34)
    for items in CHECKLISTS.values():
        assert len({i.id for i in items}) == len(items)
        for item in items:
            assert item.needs or item.blank or item.unless
            assert {n for need in item.needs for n in need.split("|")} <= set(EVIDENCE)


def test_items_are_answered_by_what_is_there(report):
    found = {(a.checklist, a.id): a for a in score(report).answers}
    assert found["BARG", "B3a"].state == "answered" and "Posterior predictive" in found["BARG", "B3a"].where
    assert found["BARG", "B0b"].state == "to fill"
    assert found["BARG", "B3c"].state == "not applicable"
    assert found["BARG", "B1b"].state == "missing"  # this small model writes no formula of its likelihood
    assert found["WAMBS", "W3"].state == "answered"


@pytest.mark.parametrize(
    ("asked", "state"),
    [
        (lambda fit: fit.sensitivity(), "to fill"),
        (lambda fit: fit.sweep({"mu.mu": [1.0]}, draws=500, tune=400), "answered"),
        (lambda fit: fit.sweep({"mu.mu": [1.0]}, draws=20, tune=20, chains=1), "to fill"),  # its checks fail
    ],
    ids=["local", "sweep", "failed sweep"],
)
def test_other_priors_are_found_where_they_were_tried(normal_fit, asked, state):
    report = build_report(normal_fit, sensitivity=[asked(normal_fit)], replicate=0)
    found = {a.id: a.state for a in score(report, ["BARG"]).answers}
    assert (found["B5b"], found["B5c"]) == (state, state)


SECTION_OF = {
    "results": {"B3b", "B2b", "B2c", "B4e"}, "sensitivity": {"B5a"}, "model-checks": {"B1e", "B3a"}, "data": {"B1a"},
    "checks": {"B2b", "B2c"}, "provenance": {"B2a", "B6a", "B6b", "B6c", "B6e", "B6f", "B1d"},
    "assumptions": {"B6c"},
}  # fmt: skip


@pytest.mark.parametrize("name", SECTION_OF)
def test_what_is_taken_out_of_a_report_is_not_answered(report, name):
    """The score looks at the content: without a section, its items are missing and no other ones."""
    whole = {a.id: a.state for a in score(report, ["BARG"]).answers}
    less = dataclasses.replace(report, sections=tuple(s for s in report.sections if s.id != name))
    now = {a.id: a.state for a in score(less, ["BARG"]).answers}
    lost = {i for i in now if now[i] == "missing" and whole[i] != "missing"}
    assert SECTION_OF[name] - {i for i in whole if whole[i] == "missing"} <= lost | {"B2d"}, (name, lost)
    assert lost


def test_empty_content_is_no_evidence(report):
    empty = dataclasses.replace(report, sections=tuple(dataclasses.replace(s, blocks=()) for s in report.sections))
    assert [n for n in EVIDENCE if find(n, empty)] == []
    states = {a.state for a in score(empty).answers}
    assert "answered" not in states and "to fill" not in states


def test_author_and_decision_change_the_score(normal_fit):
    author = {k: "Something." for k in BLANKS} | {"decision": "None."}
    found = {a.id: a for a in score(build_report(normal_fit, author=author, replicate=20), ["BARG"]).answers}
    assert found["B0a"].state == "answered" and "author" in found["B0a"].where
    assert {found[i].state for i in ("B4a", "B4b", "B4c", "B4d", "B5e")} == {"not applicable"}
    with pytest.raises(SpecificationError, match="no checklist 'BARK'"):
        score(build_report(normal_fit, replicate=0, sensitivity=()), ["BARK"])


def test_scores_are_told_as_table_and_json(report):
    found = score(report)
    told = json.loads(found.to_json())
    assert told["schema"] == "bayeskit.checklist/1"
    assert sum(told["counts"]["BARG"].values()) == 31
    assert list(found.table.columns) == ["checklist", "id", "label", "state", "where"]
    assert set(found.table["state"]) <= set(STATES)
    assert found.headlines[0].startswith("BARG: ")
    assert "B0a" in repr(found)


# -- suppression and paths ----------------------------------------------------------------------------------


def test_counts_below_the_limit_are_not_printed():
    with suppressing(5):
        assert [counted(n) for n in (0, 1, 4, 5, 1200)] == ["0", "< 5", "< 5", "5", "1,200"]
        assert [count_cell(n) for n in (0, 4, 5)] == [0, "< 5", 5]
    assert counted(4) == "4" and count_cell(4) == 4


@pytest.mark.parametrize("suffix", RENDERERS)
def test_small_cells_are_suppressed_in_every_format(suffix):
    class Small(ModelHooks):
        def to_json(self):
            return "{}"

        def data_facts(self, statistics):
            return {"people with the rare label": 3, "people in all": 4321}

    class Fit(type(make_fit())):
        spec = Small()

    fit = make_fit()
    provenance = {**fit.provenance, "data": {"rows": 4321, "digest": "ab", "missing": {"score": 3}}}
    small = Fit(fit.draws, fit.levels, aggregate=xr.Dataset(), provenance=provenance)
    shown, hidden = (build_report(small, sensitivity=(), suppress_below=n) for n in (0, 5))
    assert found_in(shown, suffix)["Missing in score"] == found_in(shown, suffix)["People with the rare label"] == "3"
    cells = found_in(hidden, suffix)
    assert cells["Missing in score"] == cells["People with the rare label"] == cells["Data: missing: score"] == "< 5"
    assert cells["People in all"] == cells["Rows of the table used"] == "4,321"
    if suffix == ".json":
        assert json.loads(to_json(hidden))["facts"]["provenance"]["data"]["missing"] == {"score": "< 5"}


def found_in(report, suffix):
    """First and second cell of every row of a format."""
    return {row[0]: row[1] for table in READERS[suffix](RENDERERS[suffix](report)) for row in table if len(row) > 1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("read /home/ann/study/table.csv.", "read table.csv."),
        ("'C:\\Users\\ann\\table.csv' is", "'table.csv' is"),
        ("2 files in /tmp/x/logs/ were left out", "2 files in logs/ were left out"),
        ("rate 3/4 and a/b", "rate 3/4 and a/b"),
        ("nothing", "nothing"),
    ],
)
def test_absolute_paths_are_cut(text, told):
    assert without_paths(text) == told


def test_no_path_of_the_machine_is_in_a_report(normal_fit, tmp_path):
    noted = dataclasses.replace(normal_fit, notes=(f"Read from {tmp_path}/deep/table.csv.",))
    text = to_json(build_report(noted, replicate=0))
    assert str(tmp_path) not in text and "table.csv" in text


# -- failures -----------------------------------------------------------------------------------------------


def test_on_fail_marks_refuses_or_allows(tmp_path, normal_fit):
    bad = make_fit(bad=True)
    assert all(t.mark for t in section(build_report(bad), "results").blocks if hasattr(t, "mark") and hasattr(t, "rows"))
    allowed = build_report(bad, on_fail="allow")
    assert allowed.status == "fail" and not any(t.mark for t in allowed.tables())
    assert json.loads(to_json(allowed))["facts"]["exit_code"] == 2
    for changes in ({"bad": True}, {"partial": True}):
        with pytest.raises(UnreliableDrawsError, match=r"on_fail='raise'"):
            build_report(make_fit(**changes), on_fail="raise")
    assert build_report(make_fit(), on_fail="raise").status == "pass"
    partial = dataclasses.replace(normal_fit, partial=True)
    with pytest.raises(UnreliableDrawsError):
        partial.report(tmp_path / "r.html", on_fail="raise")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_fail": "markk"},
        {"suppress_below": -1},
        {"suppress_below": 2.5},
        {"replicate": 1},
        {"replicate": True},
        {"prob": 95},
    ],
)
def test_requests_are_checked_before_anything_is_computed(wrong):
    with pytest.raises(SpecificationError):
        build_report(make_fit(), **wrong)


def test_the_suffix_is_checked_before_anything_is_computed(normal_fit, tmp_path, monkeypatch):
    monkeypatch.setattr("bayeskit.report.build_report", lambda *a, **k: pytest.fail("it was computed"))
    with pytest.raises(SpecificationError, match="Known suffixes"):
        normal_fit.report(tmp_path / "r.docx")
