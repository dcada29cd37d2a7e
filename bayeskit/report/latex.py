"""A report as one LaTeX file: booktabs tables, pictures in words, nothing that the text of a label could run.

It compiles with pdfLaTeX, LuaLaTeX and XeLaTeX, with packages that every distribution has. Pictures are told in words, as in
Markdown: an SVG cannot be included without other programs.
"""

from __future__ import annotations

import unicodedata

from bayeskit.report.content import (
    NOTE_WORDS,
    Block,
    Cell,
    Code,
    Figure,
    Note,
    Paragraph,
    Report,
    Table,
    format_cell,
    is_numeric,
)
from bayeskit.report.escape import latex_code, latex_text, one_line

__all__ = ["to_latex"]

_WIDE = 84  # characters in a line of a table in small type; a wider one gets columns that break lines
_LONG = 16  # characters of a text column that may break
_PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[T1]{fontenc}
  \usepackage[utf8]{inputenc}
  \usepackage{textcomp}
  \usepackage{lmodern}
%s\else
  \usepackage{fontspec}
\fi
\usepackage[margin=22mm]{geometry}
\usepackage{array}
\usepackage{booktabs}
\usepackage{longtable}
\usepackage[normalem]{ulem}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.5em}
\setlength{\emergencystretch}{3em}
\begin{document}
"""


def to_latex(report: Report) -> str:
    """Return the report as a LaTeX document; the verdict is its first line, as a comment and in print."""
    parts = [
        rf"\fbox{{\parbox{{0.96\linewidth}}{{\textbf{{{latex_text(report.banner.text)}}}}}}}",
        rf"\section*{{{latex_text(report.title)}}}",
    ]
    if report.subtitle:
        parts.append(latex_text(report.subtitle))
    if report.banner.details:
        parts.append(_items(report.banner.details))
    for section in report.sections:
        parts.append(rf"\subsection*{{{latex_text(section.title)}}}")
        parts += [_block(block) for block in section.blocks]
    body = "\n\n".join(part for part in parts if part)
    head = f"% {one_line(report.banner.text)}\n"
    return f"{head}{_PREAMBLE % _declared(body)}{body}\n\\end{{document}}\n"


def _declared(body: str) -> str:
    """Declare for pdfLaTeX the characters that it does not know: by their names, so that none stops the run."""
    strange = sorted({c for c in body if ord(c) >= 0x180 and c not in "–—‘’“”„…€"})
    return "".join(f"  \\DeclareUnicodeCharacter{{{ord(c):04X}}}{{{_named(c)}}}\n" for c in strange)


def _named(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character)
    if plain.isascii() and plain.isalnum():
        return plain
    return "" if unicodedata.category(character) in ("Cf", "Mn") else f"(U+{ord(character):04X})"


def _items(lines: tuple[str, ...]) -> str:
    inner = "\n".join(rf"\item {{}}{latex_text(line)}" for line in lines)
    return f"\\begin{{itemize}}\n{inner}\n\\end{{itemize}}"


def _mark(mark: str) -> str:
    return rf"\textbf{{{latex_text(mark)}.}} " if mark else ""


def _block(block: Block) -> str:
    match block:
        case Paragraph(text, mark):
            return f"{_mark(mark)}{latex_text(text)}"
        case Note(kind, text, details):
            lead = rf"\textbf{{{latex_text(NOTE_WORDS[kind])}:}} {latex_text(text)}"
            return f"{lead}\n\n{_items(details)}" if details else lead
        case Code(text, caption):
            head = f"{latex_text(caption)}\n\n" if caption else ""
            return f"{head}{{\\small\n{latex_code(text)}\n}}"
        case Figure():
            caption = latex_text(block.caption or "Without a caption.")
            told = rf"\begin{{quote}}\small {latex_text(block.alt)}\end{{quote}}"
            return f"{_mark(block.mark)}\\textbf{{Figure.}} {caption}\n\n{told}"
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    struck = bool(table.mark) and not table.provisional
    rows = [" & ".join(_cell(c, struck and j > 0) for j, c in enumerate(row)) + r" \\" for row in table.rows]
    head = " & ".join(rf"\textbf{{{latex_text(c)}}}" for c in table.columns) + r" \\"
    title = f"{_mark(table.mark)}{latex_text(table.caption)}".strip()
    caption = f"\\caption{{{title}}}\\\\\n" if title else ""
    return (
        f"{{\\small\n\\begin{{longtable}}{{{_columns(table)}}}\n{caption}\\toprule\n{head}\n\\midrule\n\\endhead\n"
        f"\\bottomrule\n\\endfoot\n" + "\n".join(rows) + "\n\\end{longtable}}"
    )


def _columns(table: Table) -> str:
    """One letter a column; where the table is too wide, text columns share what the numbers leave of the line."""
    letters = {"left": "l", "right": "r", "center": "c"}
    size = [max([len(c), *(len(format_cell(row[j])) for row in table.rows)]) for j, c in enumerate(table.columns)]
    if sum(size) <= _WIDE:
        return "".join(letters[a] for a in table.alignment)
    breaks = [a == "left" and s > _LONG for a, s in zip(table.alignment, size, strict=True)]
    weight = [min(s, 60) for s in size]
    left = max(0.3, 0.9 - sum(s for s, b in zip(size, breaks, strict=True) if not b) / (_WIDE * 1.1))
    total = sum(w for w, b in zip(weight, breaks, strict=True) if b) or 1
    return "".join(
        rf">{{\raggedright\arraybackslash}}p{{{left * w / total:.3f}\linewidth}}" if b else letters[a]
        for a, w, b in zip(table.alignment, weight, breaks, strict=True)
    )


def _cell(cell: Cell, struck: bool) -> str:
    text = latex_text(format_cell(cell)) or "–"
    return rf"\sout{{{text}}}" if struck and is_numeric(cell) else text
