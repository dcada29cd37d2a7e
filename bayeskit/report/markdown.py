"""A report as GitHub Markdown for a pull request: no HTML, pictures in words, and short enough for a comment.

The diagram of a model stands there as Mermaid text too, which forges draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bayeskit.report.content import (
    NOTE_WORDS,
    Block,
    Cell,
    Code,
    Figure,
    Note,
    NoteKind,
    Paragraph,
    Report,
    Section,
    Table,
    format_cell,
    is_numeric,
)
from bayeskit.report.escape import clean, markdown_cell, markdown_code, markdown_text, shortened

__all__ = ["LIMIT", "to_markdown"]

LIMIT = 65_535
"""Characters that a forge takes as a comment."""

_SIGNS: dict[NoteKind, str] = {
    "pass": "✓", "info": "ℹ", "warn": "⚠", "fail": "✗", "partial": "◐", "not computed": "?",
}  # fmt: skip
_RULES = {"left": ":---", "right": "---:", "center": ":---:"}
_WHOLE = "The other formats have the whole report."


@dataclass
class _Cuts:
    """How much of a table and of a text may be printed, and what was left out for it."""

    rows: int = 10**9
    characters: int = 10**9
    rows_cut: int = 0
    texts_cut: int = 0

    def text(self, text: str) -> str:
        if len(text) > self.characters:
            self.texts_cut += 1
        return shortened(text, self.characters)

    def told(self, sections: Sequence[str]) -> str:
        """Say what was left out; empty where nothing was."""
        parts = [f"{self.rows_cut:,d} rows of tables"] if self.rows_cut else []
        parts += [f"the middle of {self.texts_cut:,d} texts"] if self.texts_cut else []
        parts += [f"the sections {', '.join(sections)}"] if sections else []
        return f"Cut to {LIMIT:,d} characters: {'; '.join(parts)} left out. {_WHOLE}" if parts else ""


_STEPS = ((10**9, 10**9), (10**9, 1000), (60, 400), (30, 200), (15, 120), (8, 80))


def to_markdown(report: Report) -> str:
    """Return the report as Markdown of at most `LIMIT` characters; the verdict is the first line.

    A longer one loses rows of tables and the middle of long texts, then sections from the end; the third paragraph says which.
    """
    for rows, characters in _STEPS:
        cuts = _Cuts(rows, characters)
        parts = [_section(section, cuts) for section in report.sections]
        text = _document(report, parts, cuts, ())
        if len(text) <= LIMIT:
            return text
    titles = [section.title for section in report.sections]
    for kept in range(len(parts) - 1, -1, -1):
        text = _document(report, parts[:kept], cuts, [shortened(t, 60) for t in titles[kept:]][:40])
        if len(text) <= LIMIT:
            return text
    return text[: text.rindex("\n", 0, LIMIT)] + "\n"


def _document(report: Report, sections: Sequence[str], cuts: _Cuts, lost: Sequence[str]) -> str:
    head = _Cuts(cuts.rows, max(cuts.characters, 300))
    parts = [f"**{markdown_text(head.text(report.banner.text))}**", f"# {markdown_text(head.text(report.title))}"]
    told = cuts.told(lost)
    parts += [f"> ✂ {markdown_text(told)}"] if told else []
    if report.subtitle:
        parts.append(markdown_text(head.text(report.subtitle)))
    if report.banner.details:
        parts.append("\n".join(f"* {markdown_text(head.text(line))}" for line in report.banner.details[: cuts.rows]))
    return "\n\n".join(part for part in (*parts, *sections) if part) + "\n"


def _section(section: Section, cuts: _Cuts) -> str:
    parts = [f"## {markdown_text(cuts.text(section.title))}", *(_block(block, cuts) for block in section.blocks)]
    return "\n\n".join(part for part in parts if part)


def _mark(mark: str) -> str:
    return f"**{markdown_text(mark)}.** " if mark else ""


def _block(block: Block, cuts: _Cuts) -> str:
    match block:
        case Paragraph(text, mark):
            return f"{_mark(mark)}{markdown_text(cuts.text(text))}"
        case Note(kind, text, details):
            lines = [f"> {_SIGNS[kind]} **{NOTE_WORDS[kind]}:** {markdown_text(cuts.text(text))}"]
            return "\n".join([*lines, *(f"> * {markdown_text(cuts.text(line))}" for line in details)])
        case Code(text, caption):
            head = f"{markdown_text(cuts.text(caption))}\n\n" if caption else ""
            return head + markdown_code(cuts.text(text))
        case Figure():
            caption = markdown_text(cuts.text(block.caption)) or "Without a caption."
            told = f"{_mark(block.mark)}**Figure.** {caption}\n\n> {markdown_text(cuts.text(block.alt))}"
            drawn = 0 < len(block.mermaid) <= cuts.characters  # a part of a drawing is none
            return f"{told}\n\n```mermaid\n{clean(block.mermaid)}\n```" if drawn else told
        case Table():
            return _table(block, cuts)


def _table(table: Table, cuts: _Cuts) -> str:
    caption = f"**Table.** {markdown_text(cuts.text(table.caption))}" if table.caption else ""
    head = f"| {' | '.join(markdown_cell(cuts.text(c)) for c in table.columns)} |"
    rule = f"| {' | '.join(_RULES[a] for a in table.alignment)} |"
    struck = bool(table.mark) and not table.provisional
    shown = table.rows[: cuts.rows]
    rows = [f"| {' | '.join(_cell(c, struck and j > 0, cuts) for j, c in enumerate(row))} |" for row in shown]
    left = len(table.rows) - len(shown)
    cuts.rows_cut += left
    more = ["", f"{left:,d} more rows are left out here."] if left else []
    title = f"{_mark(table.mark)}{caption}".strip()
    return "\n".join([*([title, ""] if title else []), head, rule, *rows, *more])


def _cell(cell: Cell, struck: bool, cuts: _Cuts) -> str:
    text = markdown_cell(cuts.text(format_cell(cell)))
    return f"~~{text}~~" if struck and is_numeric(cell) else text
