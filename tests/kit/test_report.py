"""Reports: the verdict leads, digits are earned, labels are inert, nothing reaches the network."""

from __future__ import annotations

import html.parser
import re

import numpy as np
import pytest
import xarray as xr
from fake_fit import FakeFit, make_fit
from hostile import NASTY

from bayeskit.errors import SpecificationError, StorageError
from bayeskit.report import (
    Code,
    Figure,
    Note,
    Number,
    Paragraph,
    Report,
    Section,
    Table,
    build_report,
    render,
)
from bayeskit.report import figures as fg
from bayeskit.report.content import decimals, format_cell, format_number, probability, quantile_mcse
from bayeskit.report.escape import clean, markdown_code, markdown_text, one_line, slug
from bayeskit.report.html import POLICY, to_html
from bayeskit.report.markdown import to_markdown


class Page(html.parser.HTMLParser):
    """Tags, attributes and text of a page, with a check that every tag is closed in order."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style" and data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def text(self):
        return " ".join(t for _, t in self.texts)


ALLOWED_TAGS = set(
    """html head meta title style body a header div span p ul li nav ol main h1 h2 section table caption thead
    tr th tbody td s strong figure img figcaption pre code""".split()  # noqa: SIM905
)


def check_page(text):
    page = Page(text)
    assert page.open == []
    assert {t for t, _ in page.tags} <= ALLOWED_TAGS
    assert all(not k.startswith("on") for _, attrs in page.tags for k in attrs)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for attrs in page.all("a"):
        assert attrs["href"].startswith("#")
        assert attrs["href"][1:] in ids
    for attrs in page.all("img"):
        assert attrs["alt"].strip()
        assert re.match(r"data:image/(png|svg\+xml);base64,[A-Za-z0-9+/=]+$", attrs["src"])
    for attrs in page.all("th"):
        assert attrs["scope"] in ("col", "row")
    assert len(page.all("main")) == len(page.all("h1")) == 1
    return page


# --- numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mcse", "expected"), [(0.004, 2), (0.01, 2), (0.011, 1), (0.1, 1), (0.11, 0), (3.0, 0), (1e-12, 6)])
def test_digits_stop_where_the_error_begins(mcse, expected):
    assert decimals(mcse) == expected


@pytest.mark.parametrize(
    ("value", "mcse", "text"),
    [
        (0.31234, 0.004, "0.31"),
        (-0.001, 0.01, "0.00"),
        (1234567.8, 10, "1,234,568"),
        (0.31234, None, "0.312"),
        (123.456, None, "123"),
        (0.00001234, None, "1.23e-05"),
        (5e8, None, "5.00e+08"),
        (0.0, 0.0, "0"),
        (2.0, 0.0, "2.00"),
        (float("nan"), 0.1, "not computed"),
        (float("inf"), None, "∞"),
        (1.5, float("nan"), "1.50"),
    ],
)
def test_numbers(value, mcse, text):
    assert format_number(value, mcse) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        ("a", "a"),
        (12345, "12,345"),
        (np.int64(7), "7"),
        (True, "yes"),
        (0.5, "0.500"),
        (Number(0.5, 0.01), "0.50"),
    ],
)
def test_cells(cell, text):
    assert format_cell(cell) == text


def test_a_probability_is_never_certain():
    assert probability(1.0, 4000) == "> 0.999"
    assert probability(0.0, 4000) == "< 0.001"
    assert probability(1.0, 400) == "> 0.99"
    assert isinstance(probability(0.5, 4000), Number)
    assert format_cell(probability(0.5, 4000)) == "0.50"
    assert format_cell(probability(0.9957, 4000)) == "0.996"  # two decimals, all that the error allows, would read 1.00
    assert format_cell(probability(0.0043, 4000)) == "0.004"
    assert format_cell(probability(float("nan"), 4000)) == "not computed"


def test_error_of_a_quantile_is_that_of_normal_draws():
    assert quantile_mcse(1.0, 0.5) == pytest.approx(np.sqrt(np.pi / 2))
    assert quantile_mcse(1.0, 0.025) == pytest.approx(2.671, abs=1e-3)


# --- content ---------------------------------------------------------------------------------------------


def test_tables_and_figures_refuse_what_cannot_be_printed():
    with pytest.raises(ValueError, match="Row 1"):
        Table(("a", "b"), ((1, 2), (1,)))
    with pytest.raises(ValueError, match="alignment"):
        Table(("a", "b"), (), alignment=("left",))
    with pytest.raises(ValueError, match="alt"):
        Figure(b"<svg></svg>", " ")
    with pytest.raises(ValueError, match="PNG"):
        Figure(b"GIF89a", "x")
    assert Table(("a", "b", "c"), (("x", 1, None), ("y", Number(2.0), None))).alignment == (
        "left",
        "right",
        "left",
    )


# --- the report of a fit ---------------------------------------------------------------------------------


def test_a_good_fit_passes_in_the_first_line():
    report = build_report(make_fit())
    assert report.banner.kind == "pass"
    markdown, page = to_markdown(report), check_page(to_html(report))
    assert markdown.splitlines()[0] == "**PASS: all 9 checks passed**"
    assert next(t for tag, t in page.texts if tag == "title").startswith("PASS: ")
    first = [t for tag, t in page.texts if tag not in ("title", "a")]
    assert first[:2] == ["✓", "PASS: all 9 checks passed"]
    assert "~~" not in markdown
    assert not page.all("s")


def test_a_failed_fit_says_so_first_and_strikes_its_numbers():
    report = build_report(make_fit(bad=True))
    assert report.banner.kind == "fail"
    markdown, text = to_markdown(report), to_html(report)
    page = check_page(text)
    assert markdown.splitlines()[0].startswith("**FAIL: 3 of 9 checks failed")
    assert next(t for tag, t in page.texts if tag == "title").startswith("FAIL: ")
    assert [t for tag, t in page.texts if tag not in ("title", "a")][1].startswith("FAIL: ")
    assert "Failed checks: not for use" in page.text()
    assert "Failed checks: not for use" in markdown
    assert "<s>" in text
    assert "~~" in markdown
    for figure in report.figures():
        assert figure.alt.startswith("Failed checks")
        assert figure.mark
    assert any(line.startswith("R-hat misses") and " Next: " in line for line in report.banner.details)


def test_a_partial_fit_never_passes_and_is_provisional():
    report = build_report(make_fit(partial=True))
    assert report.banner.kind == "partial"
    markdown = to_markdown(report)
    assert markdown.splitlines()[0].startswith("**PARTIAL: ")
    assert "PASS" not in markdown.splitlines()[0]
    assert "Partial run: provisional" in markdown
    assert "~~" not in markdown
    assert to_markdown(build_report(make_fit(partial=True, bad=True))).splitlines()[0].startswith("**PARTIAL: ")
    assert build_report(make_fit(partial=True, bad=True)).banner.kind == "fail"


def test_the_models_own_sections_come_first_and_are_marked_too():
    own = (
        Section(
            "Ranking",
            "ranking",
            (Table(("Candidate", "Rank"), (("A", 1),)), Note("info", "Ranks are joint.")),
        ),
    )
    report = build_report(make_fit(own=own, bad=True))
    assert report.sections[0].title == "Ranking"
    assert report.sections[0].blocks[0].mark
    results = next(s for s in build_report(make_fit(own=own)).sections if s.id == "results")
    assert not [b for b in results.blocks if isinstance(b, Figure)]


@pytest.mark.parametrize(("prob", "kind", "words"), [(0.95, "eti", "95 % equal-tailed"), (0.9, "hdi", "90 % highest-density")])
def test_interval_kind_and_probability_are_stated(prob, kind, words):
    report = build_report(make_fit(), prob, kind)
    for text in (to_markdown(report), Page(to_html(report)).text()):
        assert text.count(words) >= 3
        assert "conditional on the model" in text
        assert "significant" not in text
    table = next(t for t in report.tables() if "Median" in t.columns)
    assert table.columns[2:4] == (("lower", "upper") if kind == "hdi" else ("2.5 %", "97.5 %"))
    assert words in table.caption
    figures = [b for s in report.sections if s.id == "results" for b in s.blocks if isinstance(b, Figure)]
    assert figures and all(words in f.caption and words in f.alt for f in figures)


@pytest.mark.parametrize(("prob", "kind"), [(95, "eti"), (0.95, "wald"), (float("nan"), "eti")])
def test_other_intervals_are_refused(prob, kind):
    with pytest.raises(SpecificationError):
        build_report(make_fit(), prob, kind)


def test_results_show_headline_estimands_with_labels_and_units():
    report = build_report(make_fit())
    table = next(t for t in report.tables() if "Median" in t.columns)
    assert table.columns[:2] == ("Item", "Median")
    assert table.caption.startswith("Score (points): posterior medians with 95 % equal-tailed intervals")
    assert [row[0] for row in table.rows] == ["A", "B", "C"]
    assert "1 other estimand is not printed" in to_markdown(report)
    assert table.rows[0][1].value == pytest.approx(-1, abs=0.05)
    assert table.rows[0][1].mcse > 0


def test_assumptions_are_told_in_words_and_in_the_numbers_used():
    text = to_markdown(build_report(make_fit()))
    assert r"mu \~ Normal(mu=0, sigma=5)" in text
    assert r"theta \~ Normal(mu=mu, sigma=1), for each item" in text
    assert "A judge treats all candidates alike." in text
    assert "top-level prior" in text
    assert re.search(r"\| mu\.sigma \| 5\.00 \| 2\.50 \| 0 to ∞ \|", text)
    assert re.search(r"\| constancy\.scale \| 0\.500 \| 0\.500 \| 0 to 5 \|", text)


def test_data_and_provenance_are_told():
    text = to_markdown(build_report(make_fit()))
    for part in (
        "1,234",
        "3: A, B, C",
        "Missing in score | 3",
        "white space",
        "ab" * 32,
        "python 3.13.0",
        "Sampling: seed | 1",
    ):
        assert part in text, part
    assert '"levels": 2' in text


def test_a_report_is_written_even_where_nothing_can_be_summarised():
    fit = make_fit()
    values = fit.draws["estimands"]["score"].values.copy()
    values[0, 0, 0] = np.nan
    estimands = fit.estimands
    estimands["score"] = (("chain", "draw", "item"), values)
    fit.draws["estimands"] = xr.DataTree(estimands)
    report = build_report(fit)
    assert report.banner.text.startswith("FAIL")
    assert "NaN" in to_markdown(report)


def test_a_loaded_run_without_statistics_still_reports():
    class Loaded(FakeFit):
        @property
        def assumptions(self):
            raise StorageError("saved without its statistics")

    fit = make_fit()
    loaded = Loaded(fit.draws, fit.levels)
    assert "saved without its statistics" in to_markdown(build_report(loaded))


def test_many_labels_are_counted_not_listed_and_long_tables_cut():
    labels = tuple(f"item {i:03d}" for i in range(250))
    report = build_report(make_fit(labels, draws=100))
    text = to_markdown(report)
    assert "and 238 more" in text
    assert "50 more rows are left out" in text
    assert len(to_html(report).encode()) < 2_000_000


# --- safety ----------------------------------------------------------------------------------------------


def nasty_report():
    values = np.linspace(0, 1, len(NASTY))
    blocks = [Table(("Label", "x"), tuple((v, i) for i, v in enumerate(NASTY)), "Corpus.")]
    blocks += [fg.interval_plot(NASTY, values, values - 0.1, values + 0.1, xlabel=NASTY[0])]
    blocks += [Paragraph(v) for v in NASTY] + [Note("info", v, (v,)) for v in NASTY] + [Code(v, v) for v in NASTY]
    sections = tuple(Section(v, v, tuple(blocks) if i == 0 else ()) for i, v in enumerate(NASTY))
    return Report(NASTY[1], Note("fail", f"FAIL: {NASTY[1]}", NASTY), sections, NASTY[2])


def test_html_labels_are_inert_and_the_structure_is_strict():
    text = to_html(nasty_report())
    page = check_page(text)
    shown = page.text()
    for label in NASTY:
        words = clean(label).split()
        if words and words[0].isascii():
            assert words[0] in shown
    assert "49" not in [t for _, t in page.texts if t == "{{ 7*7 }}"]
    assert "\u202e" not in text
    assert "\x00" not in text
    text.encode("utf-8")


def test_html_has_no_network_reference_and_a_policy():
    text = to_html(build_report(make_fit()))
    page = check_page(text)
    assert POLICY == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    policies = [m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert [m["content"] for m in policies] == [POLICY]
    assert page.all("html") == [{"lang": "en"}]
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert "url(" not in text
    assert "@import" not in text
    for figure in build_report(make_fit()).figures():
        assert b"<!DOCTYPE" not in figure.data
        assert not re.search(rb"(href|src)=\"(?!#)", figure.data)


def test_every_table_has_a_caption_row_headers_and_column_headers():
    text = to_html(build_report(make_fit()))
    assert text.count("<table") == text.count("<caption") == text.count("<thead>")
    for row in re.findall(r"<tr>(.*?)</tr>", text, flags=re.S):
        assert row.lstrip().startswith("<th scope=")


def live_markdown(text):
    """What a Markdown reader would still act on, outside code fences."""
    body = re.sub(r"(?ms)^(`{3,})\n.*?^\1$", "", text)
    body = re.sub(r"\\[\\`*_{}\[\]|~$:.#+=-]", "", body)
    return body


def test_markdown_labels_are_inert():
    text = to_markdown(nasty_report())
    live = live_markdown(text)
    assert "<" not in live
    assert "`" not in live
    assert "](" not in live
    assert "http:" not in live
    assert "www." not in live
    assert not re.search(r"@\w", live)
    assert "$" not in live
    headings = re.findall(r"(?m)^#+ ", live)
    assert len(headings) == 1 + len(NASTY)
    text.encode("utf-8")


def test_markdown_tables_keep_their_shape():
    text = to_markdown(
        Report(
            "T",
            Note("pass", "PASS"),
            (Section("S", "s", (Table(("Label", "x"), tuple((v, 1) for v in NASTY)),)),),
        )
    )
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == len(NASTY) + 2
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == 3, line


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\u2028b", "a\x0bb", "a\x85b"])
def test_line_breaks_become_blanks(text):
    assert one_line(text) == "a b"
    assert markdown_text(text) == "a b"


def test_code_fence_outlasts_its_content():
    assert markdown_code("````\nx").startswith("`````\n")


def test_slugs():
    assert slug("Rank & Größe!") == "rank-grosse" or slug("Rank & Größe!") == "rank-groe"
    assert slug("日本") == "section"
    assert slug("../../etc") == "etc"


# --- writing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["r.html", "r.HTML", "r.md"])
def test_render_writes_by_suffix(tmp_path, name):
    path = render(build_report(make_fit()), tmp_path / name)
    assert path == tmp_path / name
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>" if "md" not in name else "**PASS")


@pytest.mark.parametrize("name", ["r.pdf", "r", "r.htm"])
def test_unknown_suffix_is_refused_and_nothing_is_written(tmp_path, name):
    with pytest.raises(SpecificationError, match=r"\.html \.md"):
        render(build_report(make_fit()), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_same_fit_same_bytes():
    assert to_html(build_report(make_fit())) == to_html(build_report(make_fit()))
