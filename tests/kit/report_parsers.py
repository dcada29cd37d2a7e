"""Readers of the five formats of a report, so that tests compare what is printed and not what was meant."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re

MINUS = "\N{MINUS SIGN}"


def plain(text):
    """Printed text of a cell without the signs in which formats may differ: minus signs and runs of blanks."""
    return " ".join(text.replace(MINUS, "-").split())


class _Tables(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tables, self.cell = [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1][-1].append(plain(self.cell))
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data


def html_tables(text):
    return _Tables(text).tables


def markdown_tables(text):
    out, rows = [], None
    for line in text.splitlines():
        if line.startswith("| "):
            rows = [] if rows is None else rows
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            rows.append([plain(_unmarkdown(c)) for c in cells])
        elif rows is not None:
            out.append([rows[0], *rows[2:]])
            rows = None
    return out if rows is None else [*out, [rows[0], *rows[2:]]]


def _unmarkdown(cell):
    cell = re.sub(r"^\s*~~(.*)~~\s*$", r"\1", cell)
    cell = re.sub(r"\\([\\`*_{}\[\]|~$:.#+=-])", r"\1", cell).replace("\u200b", "")
    return cell.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


_SIGNS = {
    r"\textbackslash{}": "\\", r"\textasciicircum{}": "^", r"\textasciitilde{}": "~", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textbar{}": "|", r"\textasciigrave{}": "`", r"\textquotesingle{}": "'", r"\textquotedbl{}": '"',
    r"\ensuremath{-}": "-", r"\ensuremath{\infty}": "∞", r"\ensuremath{\surd}": "✓", r"\ensuremath{\times}": "×",
    "{[}": "[", "{]}": "]", "{*}": "*", "-{}": "-", "!{}": "!", "?{}": "?", ",{}": ",", r"\{": "{", r"\}": "}", r"\#": "#",
    r"\$": "$", r"\%": "%", r"\&": "&", r"\_": "_",
}  # fmt: skip
_LATEX = re.compile("|".join(re.escape(k) for k in sorted(_SIGNS, key=len, reverse=True)))


def unlatex(text):
    return _LATEX.sub(lambda m: _SIGNS[m.group()], text)


def latex_tables(text):
    out = []
    for body in re.findall(r"\\toprule\n(.*?)\\end\{longtable\}", text, flags=re.S):
        rows = []
        for line in body.splitlines():
            if not line.endswith(r" \\"):
                continue
            cells = re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))
            cells = [re.sub(r"^\\(?:textbf|sout)\{(.*)\}$", r"\1", c) for c in cells]
            rows.append([plain(unlatex(c)) for c in cells])
        out.append(rows)
    return out


def csv_tables(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    out, key = [], None
    for line in rows[1:]:
        if (line["section"], line["table"]) != key:
            key = line["section"], line["table"]
            out.append([[]])
        if line["row"] == "1":
            out[-1][0].append(plain(line["column"]))
        while len(out[-1]) <= int(line["row"]):
            out[-1].append([])
        out[-1][int(line["row"])].append(plain(line["formatted"]))
    return out


def json_tables(text):
    document = json.loads(text, parse_constant=_refuse)
    blocks = [b for section in document["sections"] for b in section["blocks"] if b["type"] == "table"]
    return [[[plain(c) for c in b["columns"]], *([plain(_told(c)) for c in row] for row in b["rows"])] for b in blocks]


def _refuse(word):
    raise ValueError(f"{word} is no JSON")


def _told(cell):
    return "–" if cell is None else cell if isinstance(cell, str) else cell["text"]


READERS = {".html": html_tables, ".md": markdown_tables, ".tex": latex_tables, ".csv": csv_tables, ".json": json_tables}
"""By suffix: the text of a file to its tables, each a list of rows of printed cells, headings first."""
