"""The report of every registered model: whole, scored, small, the same numbers in five formats, and hostile labels inert."""

import csv
import io
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

from test_contract import DRAWS, EXAMPLES, MODELS

import bayeskit
from bayeskit.report import BLANKS, build_report, render, score
from bayeskit.report.render import RENDERERS
from bayeskit.report.request import STUDY_BLANKS

sys.path.insert(0, str(Path(__file__).parent / "kit"))

from hostile import NASTY
from report_parsers import READERS
from test_report import check_page
from test_report_formats import check_latex

REPLICATE = 20
KEPT = os.environ.get("BAYESKIT_REPORTS")  # a folder for the reports in HTML, where something else looks at them afterwards


@pytest.fixture(scope="module", params=MODELS)
def fit(request):
    settings, sizes = EXAMPLES[request.param]
    spec = bayeskit.load_model(request.param)(**settings)
    return spec.fit(spec.simulate(1, **sizes).table, seed=7, **DRAWS)


@pytest.fixture(scope="module")
def report(fit):
    found = build_report(fit, replicate=REPLICATE)
    if KEPT:
        render(found, Path(KEPT) / f"{type(fit.spec).__name__}.html")
    return found


def test_every_section_is_there_and_nothing_is_lost_on_the_way(report):
    names = [s.id for s in report.sections]
    assert len(set(names)) == len(names)
    assert names[-6:] == ["model-checks", "data", "assumptions", "checks", "limits", "provenance"]
    assert {"results", "sensitivity"} <= set(names)
    notes = [b for s in report.sections for b in s.blocks if getattr(b, "kind", "") == "not computed"]
    assert not [b for b in notes if "could not be computed" in b.text], notes


def test_checklists_are_answered_or_ask_their_author(report):
    """The goal: 28 of 31 of BARG, 10 of 10 of WAMBS and 7 of 7 of ROBUST; three of BARG do not apply."""
    found = score(report)
    print("\n".join(found.headlines))
    assert found.count("BARG", "answered", "to fill") >= 28, repr(found)
    assert found.count("BARG", "not applicable") <= 3
    assert found.count("WAMBS", "answered", "to fill") == 10
    assert found.count("ROBUST", "answered", "to fill") == 7
    assert not [a for a in found.answers if a.state == "missing"], repr(found)


def test_an_author_who_fills_every_blank_leaves_none(fit):
    author = {key: f"What the author says of {key}." for key in {**BLANKS, **STUDY_BLANKS}}
    found = score(build_report(fit, replicate=REPLICATE, author=author))
    open_items = [a for a in found.answers if a.state in ("to fill", "missing")]
    # sensitivity of a decision needs a tipping point, which only the author can ask for
    assert {a.id for a in open_items} <= {"B5e"}, open_items


def test_reports_are_small_and_agree_in_all_formats(report):
    texts = {suffix: write(report) for suffix, write in RENDERERS.items()}
    assert len(texts[".html"].encode()) < 2_000_000
    assert len(texts[".md"]) < 65_536
    tables = {suffix: READERS[suffix](text) for suffix, text in texts.items()}
    number = re.compile(r"^-?[\d,]+(?:\.\d+)?(?:e[-+]\d+)?$")
    wanted = [[c for c in row if number.match(c)] for table in tables[".json"] for row in table]
    assert sum(map(len, wanted)) > 100
    for suffix, found in tables.items():
        if suffix != ".md":  # which may leave rows out, and says so
            assert [[c for c in row if number.match(c)] for table in found for row in table] == wanted, suffix


def test_no_digit_stands_below_the_monte_carlo_error(report):
    lines = [v for v in csv.DictReader(io.StringIO(RENDERERS[".csv"](report))) if v["mcse"] and v["value"]]
    assert len(lines) > 30
    for line in lines:
        printed, error = line["formatted"].replace(",", ""), float(line["mcse"])
        places = len(printed.partition(".")[2]) if "e" not in printed else 0
        if places and error > 0:
            assert 10.0**-places >= error * (1 - 1e-6) or places == 6, line


def test_counts_are_suppressed_wherever_a_model_tells_them(fit):
    """With a limit above every count no number of rows is left, in the data block, in the record and in tables of checks."""
    hidden = build_report(fit, replicate=0, sensitivity=(), suppress_below=10_000)
    document = json.loads(RENDERERS[".json"](hidden))
    shown = {k for k, v in fit.spec.data_facts(fit.statistics).items() if isinstance(v, int | float) and v}
    rows = {row[0]: row[1] for s in hidden.sections if s.id == "data" for row in s.blocks[0].rows}
    assert not [k for k, v in rows.items() if isinstance(v, int | float) and v]
    assert shown and all(rows[k[:1].upper() + k[1:]] == "< 10000" for k in shown)
    assert document["facts"]["provenance"]["data"]["rows"] == "< 10000"
    for result in document["facts"]["verdict"]["results"]:
        assert not [row for row in result["table"] if isinstance(row.get("rows"), float | int) and row["rows"]]


def test_pictures_have_words(report):
    assert len(report.figures()) >= 3
    assert all(len(f.alt) > 40 and re.search(r"\d", f.alt) for f in report.figures())


# -- hostile labels -----------------------------------------------------------------------------------------------

LABELS = [v for v in NASTY if v.strip("\x00\u200b\ufeff \t\r\n") and v.isprintable() and "\ud800" not in v and v != "NaN"]


def hostile(spec, table):
    """The table with every label and category of a covariate a hostile one."""
    out, used = pd.DataFrame(table).copy(), 0
    for column in spec.columns():
        for name in [n for n in column.names if n in out]:  # a table may do without some
            if column.kind == "label":
                known = sorted(set(out[name].astype(str)))
                labels = dict(zip(known, LABELS[used:] + LABELS[:used], strict=False))
                out[name], used = out[name].astype(str).map(labels), used + len(known)
            elif column.kind == "covariate":
                codes = pd.qcut(out[name].rank(method="first"), 3, labels=False).to_numpy()
                out[name], used = np.array(LABELS[used : used + 3], dtype=object)[codes], used + 3
    return out, used


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_hostile_labels_of_a_fit_are_inert_in_all_formats(name, tmp_path):
    settings, sizes = EXAMPLES[name]
    spec = bayeskit.load_model(name)(**settings)
    table, used = hostile(spec, spec.simulate(1, **sizes).table)
    assert used >= 3
    fit = spec.fit(table, seed=7, **DRAWS)
    report = build_report(fit, replicate=4)
    texts = {suffix: write(report) for suffix, write in RENDERERS.items()}
    check_page(texts[".html"])
    check_latex(texts[".tex"])
    assert "<" not in re.sub(r"(?ms)^(`{3,})\n.*?^\1$", "", texts[".md"])
    for line in csv.DictReader(io.StringIO(texts[".csv"])):
        for key in ("label", "section", "column"):
            assert not line[key].startswith(("=", "+", "-", "@", "%", "|")), line
    document = json.loads(texts[".json"])
    assert not set("<>&") & set(texts[".json"]) and document["schema"] == "bayeskit.report/1"
    again = bayeskit.load(fit.save(tmp_path / "run.nc", statistics=True))
    assert again.levels == fit.levels
