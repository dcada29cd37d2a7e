"""A report as strict JSON for machines: status, every number in full precision and as printed, and all text."""

from __future__ import annotations

import json
import math
from typing import Any

from bayeskit.report.content import Block, Cell, Code, Figure, Note, Number, Paragraph, Report, Table, format_cell
from bayeskit.report.escape import json_text

__all__ = ["SCHEMA", "to_json"]

SCHEMA = "bayeskit.report/1"
"""Name and version of the form. A new key does not change it; a key that goes or means something else does."""


def to_json(report: Report) -> str:
    """Return a report as one JSON document.

    Keys: ``schema``, ``status`` (pass, warn, fail, partial, not computed), ``headline``, ``title``, ``subtitle``, ``details``,
    ``facts`` (verdict, exit code, provenance) and ``sections``, each with ``id``, ``title`` and ``blocks``. A block has a
    ``type`` (paragraph, note, code, figure, table). A cell of a table is null, text, or an object with ``text`` as printed,
    ``value`` and ``mcse``. NaN and infinite numbers are null: what they are stands in ``text``. Pictures are told in words.
    """
    document = {
        "schema": SCHEMA,
        "status": report.status,
        "headline": report.banner.text,
        "title": report.title,
        "subtitle": report.subtitle,
        "details": list(report.banner.details),
        "facts": _plain(report.facts),
        "sections": [
            {"id": section.id, "title": section.title, "blocks": [_block(block) for block in section.blocks]}
            for section in report.sections
        ],
    }
    return json_text(json.dumps(_encodable(document), indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Paragraph(text, mark):
            return {"type": "paragraph", "text": text, "mark": mark}
        case Note(kind, text, details):
            return {"type": "note", "kind": kind, "text": text, "details": list(details)}
        case Code(text, caption):
            return {"type": "code", "text": text, "caption": caption}
        case Figure():
            told = {"alt": block.alt, "caption": block.caption, "mark": block.mark}
            return {"type": "figure", "media_type": block.media_type, **told}
        case Table():
            facts = {"caption": block.caption, "mark": block.mark, "provisional": block.provisional}
            rows = [[_cell(cell) for cell in row] for row in block.rows]
            return {"type": "table", **facts, "columns": list(block.columns), "rows": rows}


def _cell(cell: Cell) -> Any:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, Number):
        return {"text": format_cell(cell), "value": _number(cell.value), "mcse": _number(cell.mcse)}
    value = bool(cell) if isinstance(cell, bool) else int(cell) if _whole(cell) else _number(cell)
    return {"text": format_cell(cell), "value": value, "mcse": None}


def _whole(cell: Any) -> bool:
    return isinstance(cell, int) or (hasattr(cell, "dtype") and cell.dtype.kind in "iu")


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _plain(value: Any) -> Any:
    """Facts as JSON takes them."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return _number(value)
    return value if value is None or isinstance(value, str | bool | int) else str(value)


def _encodable(value: Any) -> Any:
    """Halves of characters, which no encoder takes, as the sign for what cannot be read; all other text is as it came."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8") if not value.isascii() else value
    if isinstance(value, dict):
        return {_encodable(k): _encodable(v) for k, v in value.items()}
    return [_encodable(v) for v in value] if isinstance(value, list) else value
