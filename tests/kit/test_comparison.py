"""Several fits side by side: the same numbers as each alone, what differs by name, failed ones marked apart."""

from __future__ import annotations

import dataclasses
import json

import pytest
from report_parsers import READERS

import bayeskit as bk
from bayeskit.report.build import FAILED
from bayeskit.report.render import RENDERERS


@pytest.fixture(scope="module")
def wide(normal_fit):
    return normal_fit.refit(dials={"mu.sigma": 20.0})


@pytest.fixture(scope="module")
def found(normal_fit, wide):
    return bk.compare([normal_fit, wide], ["narrow", "wide"])


def test_numbers_are_those_of_each_fit(found, normal_fit, wide):
    for label, fit in (("narrow", normal_fit), ("wide", wide)):
        alone = fit.summary().filter(like="mean[", axis=0)[["median", "lower", "upper"]]
        assert found.table[label].equals(alone)
    told = json.loads(found.to_json())
    assert told["quantities"]["wide"]["mean[a]"]["median"] == found.table.loc["mean[a]", ("wide", "median")]
    assert found.headline in repr(found)


def test_pictures_hold_one_estimand_each(found):
    figures = found.content().figures()
    assert [f.caption.split(" fit by fit")[0] for f in figures] == ["Mean"]
    assert "a (narrow)" in figures[0].alt and "a (wide)" in figures[0].alt


def test_what_differs_is_named_and_nothing_else(found):
    section = next(s for s in found.content().sections if s.id == "differences")
    table = next(b for b in section.blocks if hasattr(b, "columns"))
    assert table.columns == ("What", "narrow", "wide")
    assert table.rows == (("dial mu.sigma", "2", "20"),)
    assert section.blocks[0].text == "All fits read the same data."


def test_prediction_is_compared_row_by_row(found, normal_fit, wide):
    section = next(s for s in found.content().sections if s.id == "prediction")
    each, pairs = section.blocks
    assert each.rows[0][1].value == normal_fit.loo("group").elpd
    gap = pairs.rows[0]
    assert gap[0] == "narrow less wide"
    if gap[3] == "comparable":
        assert gap[1].value == pytest.approx(normal_fit.loo("group").elpd - wide.loo("group").elpd)


@pytest.mark.parametrize("suffix", RENDERERS)
def test_a_comparison_is_written_in_every_format(found, suffix, tmp_path):
    path = found.report(tmp_path / f"c{suffix}")
    tables = READERS[suffix](path.read_text(encoding="utf-8"))
    heads = tables[0][0]
    assert heads == ["Quantity", *(f"{v}: {w}" for v in ("narrow", "wide") for w in ("median", "lower", "upper"))]
    assert [row[0] for row in tables[0][1:]] == ["mean[a]", "mean[b]", "mean[c]"]


def test_the_worst_verdict_leads_and_failed_fits_stand_apart(normal_fit, wide):
    groups = {name: node.to_dataset().copy(deep=True) for name, node in wide.draws.children.items()}
    groups["posterior"]["mu"][0] += 50.0
    groups["estimands"]["mean"][0] += 50.0
    import xarray as xr

    bad = dataclasses.replace(wide, draws=xr.DataTree.from_dict(groups))
    report = bk.compare({"good": normal_fit, "bad": bad}, loo=False).content()
    assert report.status == "fail" and report.banner.text.startswith("FAIL: the draws of 1 of 2 fits")
    assert report.facts["exit_code"] == 2
    first, second = (b for b in report.sections[0].blocks if hasattr(b, "columns"))
    assert not first.mark and first.columns[1] == "good: median"
    assert second.mark == FAILED and second.columns[1] == "bad: median"
    partial = bk.compare({"good": normal_fit, "part": dataclasses.replace(wide, partial=True)}, loo=False)
    assert partial.headline.startswith("PARTIAL: ")


def test_other_data_are_said_to_be_other(normal_fit, normal_table):
    other = normal_fit.refit(table=normal_table.assign(y=normal_table["y"] + 1.0))
    section = next(s for s in bk.compare([normal_fit, other]).content().sections if s.id == "differences")
    assert "did not read the same data" in section.blocks[0].text
    predicted = next(s for s in bk.compare([normal_fit, other]).content().sections if s.id == "prediction")
    assert "they read other data" in predicted.blocks[1].rows[0][3]


def test_a_fit_without_statistics_is_compared_as_far_as_it_goes(normal_fit, wide):
    lean = dataclasses.replace(wide, statistics=None)
    blocks = list(next(s for s in bk.compare([normal_fit, lean]).content().sections if s.id == "prediction").blocks)
    assert "without its statistics" in blocks[0].rows[0][4] + blocks[0].rows[1][4]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda f: bk.compare([f]), "two or more"),
        (lambda f: bk.compare([f, f], ["a"]), "2 different ones"),
        (lambda f: bk.compare([f, f], ["a", "a"]), "2 different ones"),
        (lambda f: bk.compare({"a": f, "b": f}, ["a", "b"]), "a mapping has its own"),
        (lambda f: bk.compare([f, f], prob=95), "prob is 95"),
    ],
)
def test_faults(normal_fit, make, match):
    with pytest.raises(bk.SpecificationError, match=match):
        make(normal_fit)
