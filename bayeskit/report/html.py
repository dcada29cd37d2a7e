"""A report as one HTML file: no network, no script, readable on paper, on a phone and in the dark."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING, Any

from bayeskit.report.content import NOTE_WORDS, Cell, Figure, Report, format_cell, is_numeric
from bayeskit.report.escape import clean, slug

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["POLICY", "to_html"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load for a report: styles and pictures that are inside the file."""

SIGNS = {"pass": "✓", "info": "i", "warn": "!", "fail": "✕", "partial": "◐", "not computed": "?"}


def to_html(report: Report) -> str:
    """Return the report as a self-contained HTML document; the verdict leads its title and its text."""
    ids = _unique([section.id or section.title for section in report.sections])
    template = _environment().get_template("report.html.j2")
    return str(template.render(report=report, ids=ids, policy=POLICY, signs=SIGNS, words=NOTE_WORDS))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bayeskit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters.update(
        cell=_cell, source=_source, typename=lambda block: type(block).__name__.lower(), numeric=is_numeric
    )
    return environment


def _finalize(value: Any) -> Any:
    """Clean every text that is printed: surrogates stop the encoder, control characters the parser."""
    return clean(value) if type(value) is str else value


def _cell(cell: Cell) -> str:
    text = format_cell(cell)
    if isinstance(cell, str):
        return text if text.strip() else "–"  # an empty heading of a row is nothing to a screen reader
    return text.replace("-", "−")


def _source(figure: Figure) -> str:
    return f"data:{figure.media_type};base64,{base64.b64encode(figure.data).decode('ascii')}"


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    out = []
    for name in names:
        base = slug(name)
        seen[base] = seen.get(base, 0) + 1
        out.append(base if seen[base] == 1 else f"{base}-{seen[base]}")
    return out
