"""A report as GitHub Markdown for a pull request: no HTML, and pictures in words instead."""

from __future__ import annotations

from bayeskit.report.content import (
    NOTE_WORDS,
    Block,
    Code,
    Figure,
    Note,
    NoteKind,
    Paragraph,
    Report,
    Table,
    format_cell,
)
from bayeskit.report.escape import markdown_cell, markdown_code, markdown_text

__all__ = ["to_markdown"]

_SIGNS: dict[NoteKind, str] = {
    "pass": "✓", "info": "ℹ", "warn": "⚠", "fail": "✗", "partial": "◐", "not computed": "?",
}  # fmt: skip
_RULES = {"left": ":---", "right": "---:", "center": ":---:"}


def to_markdown(report: Report) -> str:
    """Return the report as Markdown; the verdict is the first line."""
    parts = [f"**{markdown_text(report.banner.text)}**", f"# {markdown_text(report.title)}"]
    if report.subtitle:
        parts.append(markdown_text(report.subtitle))
    if report.banner.details:
        parts.append("\n".join(f"* {markdown_text(line)}" for line in report.banner.details))
    for section in report.sections:
        parts.append(f"## {markdown_text(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return markdown_text(text)
        case Note(kind, text, details):
            lines = [f"> {_SIGNS[kind]} **{NOTE_WORDS[kind]}:** {markdown_text(text)}"]
            return "\n".join([*lines, *(f"> * {markdown_text(line)}" for line in details)])
        case Code(text, caption):
            head = f"{markdown_text(caption)}\n\n" if caption else ""
            return head + markdown_code(text)
        case Figure():
            caption = markdown_text(block.caption) or "Without a caption."
            mark = f"**{markdown_text(block.mark)}.** " if block.mark else ""
            return f"{mark}**Figure.** {caption}\n\n> {markdown_text(block.alt)}"
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    caption = f"**Table.** {markdown_text(table.caption)}" if table.caption else ""
    mark = f"**{markdown_text(table.mark)}.** " if table.mark else ""
    head = f"| {' | '.join(markdown_cell(c) for c in table.columns)} |"
    rule = f"| {' | '.join(_RULES[a] for a in table.alignment)} |"
    struck = bool(table.mark) and not table.provisional
    rows = [f"| {' | '.join(_cell(c, struck) for c in row)} |" for row in table.rows]
    title = f"{mark}{caption}".strip()
    return "\n".join([*([title, ""] if title else []), head, rule, *rows])


def _cell(cell: object, struck: bool) -> str:
    text = markdown_cell(format_cell(cell))  # type: ignore[arg-type]
    return f"~~{text}~~" if struck and not isinstance(cell, str) and cell is not None else text
