"""One content tree, five formats: the same numbers in all of them, and labels that none of them runs."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from fake_fit import make_fit
from hostile import NASTY
from report_parsers import READERS, markdown_tables, plain, unlatex

from bayeskit.report import Code, Note, Number, Paragraph, Report, Section, Table, build_report, render
from bayeskit.report.content import is_numeric
from bayeskit.report.escape import (
    SIGNS_OF_LATEX,
    clean,
    csv_text,
    file_name,
    json_text,
    latex_code,
    latex_text,
    one_line,
    shortened,
)
from bayeskit.report.latex import to_latex
from bayeskit.report.machine import SCHEMA, to_json
from bayeskit.report.markdown import LIMIT, to_markdown
from bayeskit.report.render import RENDERERS
from bayeskit.report.spreadsheet import COLUMNS, to_csv


def tables_of(report, suffix):
    return READERS[suffix](RENDERERS[suffix](report))


def numbers_report():
    """Numbers of every size and error, and what can stand in their place."""
    rng = np.random.default_rng(3)
    rows = [
        (f"q{i}", Number(float(v), float(e)), Number(float(-v)), float(v), int(abs(v) * 100) + 1, "> 0.999", "2 to 5", None)
        for i, (v, e) in enumerate(zip(rng.normal(size=40) * 10.0 ** rng.integers(-6, 8, 40), 10.0 ** -rng.uniform(-2, 6, 40),
                                       strict=True))
    ]  # fmt: skip
    rows.append(("odd", Number(np.nan), Number(np.inf), Number(-np.inf), -3, "not computed", "", None))
    heads = ("quantity", "with error", "without", "float", "count", "probability", "range", "nothing")
    return Report("T", Note("pass", "PASS: all"), (Section("Numbers", "numbers", (Table(heads, tuple(rows), "Numbers."),)),))


@pytest.mark.parametrize("report", [numbers_report(), build_report(make_fit()), build_report(make_fit(bad=True))], ids=str)
def test_all_five_formats_print_the_same_cells(report):
    """Every cell of every table, read back from each file; JSON is what the others are compared with."""
    expected = tables_of(report, ".json")
    assert sum(len(row) for table in expected for row in table) > 50
    for suffix in READERS:
        found = tables_of(report, suffix)
        assert len(found) == len(expected), suffix
        for got, wanted in zip(found, expected, strict=True):
            for row, (one, other) in enumerate(zip(got, wanted, strict=True)):
                assert [_same(c) for c in one] == [_same(c) for c in other], (suffix, row)


def _same(cell):
    """Empty cells are dashes in some formats; a quote keeps a spreadsheet from running text; signs are words in LaTeX."""
    cell = cell.removeprefix("'") if cell[:2] in ("'-", "'=", "'+", "'@", "'%") else cell
    return re.sub(r"^[✓✗⚠?×!] ?", "", cell) or "–"


def test_printed_numbers_are_the_full_ones_rounded_where_the_error_begins():
    rows = list(csv.DictReader(io.StringIO(to_csv(numbers_report()))))
    checked = 0
    for line in rows:
        if line["column"] == "with error" and line["value"]:
            value, error = float(line["value"]), float(line["mcse"])
            printed = line["formatted"].replace(",", "")
            places = len(printed.partition(".")[2])
            assert abs(float(printed) - value) <= 0.5 * 10.0**-places * (1 + 1e-9)
            assert places == 0 or 10.0**-places >= error * (1 - 1e-6)
            checked += 1
    assert checked == 40


def test_json_is_strict_with_schema_status_and_full_precision():
    document = json.loads(to_json(numbers_report()), parse_constant=lambda word: pytest.fail(word))
    assert document["schema"] == SCHEMA == "bayeskit.report/1"
    assert document["status"] == "pass"
    table = document["sections"][0]["blocks"][0]
    nan, inf = table["rows"][-1][1:3]
    assert nan == {"text": "not computed", "value": None, "mcse": None}
    assert inf == {"text": "∞", "value": None, "mcse": None}
    expected = numbers_report().sections[0].blocks[0].rows[0][1]
    assert table["rows"][0][1]["value"] == expected.value and table["rows"][0][1]["mcse"] == expected.mcse
    assert table["rows"][0][4]["value"] == numbers_report().sections[0].blocks[0].rows[0][4]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({}, "pass", 0),
        ({"bad": True}, "fail", 2),
        ({"partial": True}, "partial", 2),
        ({"partial": True, "bad": True}, "fail", 2),
    ],
)
def test_every_format_says_the_status_first(changes, status, code):
    report = build_report(make_fit(**changes))
    word = "PARTIAL" if changes.get("partial") else status.upper()
    document = json.loads(to_json(report))
    assert document["status"] == status
    assert document["headline"].startswith(word)
    assert document["facts"]["exit_code"] == code
    assert document["facts"]["verdict"]["status"] == make_fit(**changes).verdict.status.value
    assert to_latex(report).startswith(f"% {word}")
    assert to_markdown(report).startswith(f"**{word}")
    lines = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert {line["status"] for line in lines} == {status}
    assert lines[0]["section"] == "verdict" and lines[0]["formatted"].startswith(word)


def test_failed_numbers_are_marked_in_every_format():
    report = build_report(make_fit(bad=True))
    assert r"\sout{" in to_latex(report) and "not for use" in to_latex(report)
    marks = {line["mark"] for line in csv.DictReader(io.StringIO(to_csv(report))) if line["section"] == "Results in numbers"}
    assert marks == {"Failed checks: not for use"}
    blocks = [b for s in json.loads(to_json(report))["sections"] if s["id"] == "results" for b in s["blocks"]]
    assert all(b["mark"] for b in blocks if b["type"] in ("table", "figure"))
    assert r"\sout{" not in to_latex(build_report(make_fit()))


# -- hostile labels -----------------------------------------------------------------------------------------


def nasty_report():
    blocks = [Table((NASTY[0], "x"), tuple((v, 1.5) for v in NASTY), NASTY[1], mark=NASTY[0])]
    blocks += [Paragraph(v) for v in NASTY] + [Note("info", v, (v,)) for v in NASTY] + [Code(v, v) for v in NASTY]
    return Report(NASTY[1], Note("fail", f"FAIL: {NASTY[1]}", NASTY), (Section(NASTY[2], NASTY[2], tuple(blocks)),), NASTY[2])


def test_the_corpus_is_large():
    assert len(set(NASTY)) >= 80


@pytest.mark.parametrize("suffix", READERS)
def test_hostile_labels_come_back_as_text(suffix):
    """What each format prints is the label itself, in its cell and nowhere else."""
    table = Table(("Label", "x"), tuple((v, 1.5) for v in NASTY))
    report = Report("T", Note("pass", "PASS"), (Section("S", "s", (table,)),))
    found = tables_of(report, suffix)
    assert len(found) == 1 and len(found[0]) == len(NASTY) + 1
    for (cell, number), label in zip(found[0][1:], NASTY, strict=True):
        assert number == "1.50"
        wanted = plain(label if suffix == ".json" else clean(label))
        if suffix == ".json":
            wanted = wanted.encode("utf-8", "replace").decode()
        if suffix == ".tex":
            wanted = plain(one_line(label))
        if suffix == ".md":
            wanted = wanted.replace("\u200b", "")
            if len(label) > 1000:
                wanted = cell
        if suffix == ".csv":
            cell = cell.removeprefix("'") if wanted[:1] not in ("'",) else cell.removeprefix("''") or cell
            wanted = wanted.removeprefix("'")
            cell = cell.removeprefix("'")
        assert cell in (wanted, wanted or "–"), (suffix, label)


COMMANDS = set(
    r"""\fbox \parbox \linewidth \textbf \section \subsection \begin \end \item \small \caption \toprule \midrule \bottomrule
    \endhead \endfoot \sout \raggedright \arraybackslash \noindent \texttt \par
    \\ \{ \} \# \$ \% \& \_""".split()  # noqa: SIM905
)
SIGNS = {command for sign in SIGNS_OF_LATEX.values() for command in re.findall(r"\\[a-zA-Z]+", sign)}
ENVIRONMENTS = {"document", "itemize", "quote", "longtable"}


def check_latex(text):
    """Only commands of the renderer, balanced braces, no live special character."""
    first, _, rest = text.partition("\n")
    assert first.startswith("% ")
    preamble, _, body = rest.partition("\\begin{document}\n")
    body = body.removesuffix("\\end{document}\n")
    used = set(re.findall(r"\\(?:[a-zA-Z]+|.)", body))
    assert used <= COMMANDS | SIGNS, used - COMMANDS - SIGNS
    assert set(re.findall(r"\\(?:begin|end)\{(\w+)\}", body)) <= ENVIRONMENTS
    told = re.sub(r"\\begin\{longtable\}\{(?:[lrc]|>\{[\\a-z]+\}p\{[\d.]+\\linewidth\})+\}", "", body)
    bare = re.sub(r"\\(?:[a-zA-Z]+|.)", "", told)
    assert bare.count("{") == bare.count("}")
    assert not set("$#%^~_\"`'<>|") & set(bare.replace("~", "")), set("$#%^_\"`'<>|") & set(bare)
    depth = 0
    for c in bare:
        depth += (c == "{") - (c == "}")
        assert depth >= 0
    assert depth == 0
    for line in body.splitlines():
        if "&" in re.sub(r"\\&", "", line):
            assert line.endswith(r" \\")
    for code in re.findall(r"\\DeclareUnicodeCharacter\{(\w+)\}", preamble):
        assert chr(int(code, 16)) in body
    return body


def test_latex_is_inert():
    body = check_latex(to_latex(nasty_report()))
    assert unlatex(body).count("\\input{/etc/passwd}") >= 4  # there, as text
    check_latex(to_latex(build_report(make_fit(NASTY[:60]))))
    assert latex_text("a\nb") == "a b"
    assert latex_code("  x\n\\end{verbatim}").startswith(
        "\\noindent\\texttt{~~x}\\par\n\\noindent\\texttt{\\textbackslash{}end\\{"
    )


@pytest.mark.skipif(shutil.which("lualatex") is None and shutil.which("pdflatex") is None, reason="no LaTeX is installed")
def test_latex_compiles(tmp_path):
    engine = shutil.which("pdflatex") or shutil.which("lualatex")
    render(nasty_report(), tmp_path / "r.tex")
    done = subprocess.run(
        [engine, "-interaction=nonstopmode", "-no-shell-escape", "r.tex"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_csv_cells_never_begin_a_formula():
    report = nasty_report()
    lines = list(csv.reader(io.StringIO(to_csv(report))))
    assert tuple(lines[0]) == COLUMNS
    assert all(len(line) == len(COLUMNS) for line in lines)
    for line in lines[1:]:
        for name, cell in zip(COLUMNS, line, strict=True):
            if name not in ("formatted", "value", "mcse"):
                assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝", "\t", "\0", "%", "|")), cell
    assert csv_text("=1+1") == "'=1+1" and csv_text(" =1") == "'=1" and csv_text("\t=1") == "'=1"
    negative = Report("T", Note("pass", "PASS"), (Section("S", "s", (Table(("a", "x"), (("b", -1.5),)),)),))
    assert ",-1.50,-1.5," in to_csv(negative)


def test_json_is_inert_in_html_and_terminals_and_loses_nothing():
    text = to_json(nasty_report())
    assert not set("<>&\x7f\u202e\u2028") & set(text)
    assert "\x1b" not in text and "\x00" not in text
    back = json.loads(text)["sections"][0]["blocks"][0]["rows"]
    assert [row[0] for row in back] == [v.encode("utf-8", "replace").decode() for v in NASTY]
    assert json.loads(json_text(json.dumps({"<": "</script>"}))) == {"<": "</script>"}


def test_file_names_stay_inside_their_folder(tmp_path):
    names = [file_name(v, ".html") for v in NASTY]
    assert len(set(names)) == len(set(NASTY))
    for name in names:
        assert re.fullmatch(r"[a-z0-9-]+\.html", name) and len(name) < 90
        assert name.split("-")[0].split(".")[0] not in ("con", "nul", "aux", "com1")
        assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert file_name("gpt-4", ".md") == "gpt-4.md"


# -- the length of Markdown -----------------------------------------------------------------------------------


def test_markdown_fits_a_comment_and_says_what_was_cut():
    rows = tuple((f"item {i}", float(i), "text " * 10) for i in range(2000))
    sections = tuple(Section(f"Part {k}", f"p{k}", (Paragraph("word " * 40), Table(("a", "b", "c"), rows))) for k in range(3))
    text = to_markdown(Report("T", Note("warn", "WARN: one"), sections))
    assert len(text) <= LIMIT < 65_536
    assert text.splitlines()[0] == "**WARN: one**"
    cut = next(line for line in text.splitlines() if "✂" in line)
    left = int(re.search(r"([\d,]+) rows of tables", cut).group(1).replace(",", ""))
    assert sum(len(t) - 1 for t in markdown_tables(text)) + left == 6000
    assert text.count("more rows are left out here") == 3
    short = to_markdown(Report("T", Note("warn", "WARN: one"), (Section("S", "s", (Paragraph("few"),)),)))
    assert "✂" not in short


def test_markdown_drops_sections_only_when_nothing_else_helps():
    sections = tuple(Section(f"Part {k}", f"p{k}", tuple(Paragraph(f"{i} word " * 9) for i in range(60))) for k in range(40))
    text = to_markdown(Report("T", Note("pass", "PASS"), sections))
    assert len(text) <= LIMIT
    assert "## Part 0" in text and "## Part 39" not in text
    assert "Part 39" in next(line for line in text.splitlines() if "✂" in line)


def test_hostile_reports_fit_too():
    assert len(to_markdown(nasty_report())) <= LIMIT


def test_shortened_texts_keep_both_ends():
    text = "abc" * 1000
    found = shortened(text, 100)
    assert len(found) <= 100 and found.startswith("abc") and found.endswith("abc") and "more)" in found
    assert shortened("short", 100) == "short"


def test_what_counts_as_a_number():
    assert all(is_numeric(c) for c in ("0.5", "> 0.999", "2 to 5", 1, 1.5, Number(1.0)))
    assert not any(is_numeric(c) for c in ("GPT-4", "to", "", None))
