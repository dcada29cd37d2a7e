"""Results of the sensitivity analysis as one document: the verdict, then each question with its table and its picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bayeskit.errors import SpecificationError, suggest
from bayeskit.report import render
from bayeskit.report.build import verdict_note
from bayeskit.report.content import Block, Cell, Figure, Paragraph, Report, Section, Table

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit

__all__ = ["SUFFIXES", "Answered", "sensitivity_report", "write_sensitivity"]

SUFFIXES = (".html", ".md", ".json", ".csv")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")
"""How a cell begins that a spreadsheet would run."""
_MOST = 30  # rows of a table in a document; JSON and CSV have all


class Answered(Protocol):
    """What every result of the sensitivity analysis has."""

    @property
    def headline(self) -> str:
        """What was found, in one line."""

    @property
    def table(self) -> pd.DataFrame:
        """Every number behind it."""

    def to_json(self) -> str:
        """All of it for machines."""


def sensitivity_report(fit: Fit, results: Mapping[str, Answered]) -> Report:
    """Build the content of a document.

    Parameters
    ----------
    fit : Fit
        The fit that was asked; its verdict comes first.
    results : mapping of str to result
        By heading: what `Fit.sensitivity`, `sweep`, `tipping_point`, `influence` and `bounds` return.
    """
    sections = [Section(title, f"part-{place}", tuple(_blocks(found))) for place, (title, found) in enumerate(results.items())]
    return Report(
        title=f"{type(fit.spec).__name__}: what the answer rests on",
        banner=verdict_note(fit.verdict),
        sections=tuple(sections),
        subtitle="A sensitive answer is not a wrong one: it is known what it rests on.",
    )


def _blocks(found: Any) -> list[Block]:
    blocks: list[Block] = [Paragraph(found.headline)]
    sentences = getattr(found, "sentences", None)
    blocks += [Paragraph(text) for text in (sentences() if callable(sentences) else ())]
    frame = getattr(found, "shown", found.table)
    if hasattr(found, "plot") and len(frame):
        picture = _picture(found)
        blocks += [] if picture is None else [picture]
    blocks.append(_table(frame))
    return blocks


def _picture(found: Any) -> Figure | None:
    try:
        picture: Figure = found.plot()
    except SpecificationError:  # nothing in it that could be drawn: the table says why
        return None
    return picture


def _table(frame: pd.DataFrame) -> Table:
    named = frame.reset_index() if frame.index.name else frame
    shown = named.head(_MOST)
    caption = f"{_MOST} of {len(named)} rows; JSON and CSV have all." if len(named) > _MOST else ""
    rows = tuple(tuple(_cell(v) for v in row) for row in shown.itertuples(index=False))
    return Table(tuple(str(c) for c in named.columns), rows, caption)


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return None if math.isnan(number) else int(number) if number.is_integer() and abs(number) < 1e9 else number


def write_sensitivity(fit: Fit, results: Mapping[str, Answered], path: str | Path) -> Path:
    """Write results to a file: a document (.html, .md), everything for machines (.json), or the first table (.csv).

    Raises
    ------
    SpecificationError
        For another suffix, before anything is written.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise SpecificationError(f"'{target.name}': results are written to {', '.join(SUFFIXES)}.{suggest(suffix, SUFFIXES)}")
    if suffix == ".json":
        parts = {title: json.loads(found.to_json()) for title, found in results.items()}
        facts = {"schema": "bayeskit.sensitivity-document/1", "verdict": fit.verdict.to_dict(), "results": parts}
        target.write_text(json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False), encoding="utf-8", newline="\n")
    elif suffix == ".csv":
        first = next(iter(results.values()))
        _inert(first.table).to_csv(target, index=bool(first.table.index.name))
    else:
        render(sensitivity_report(fit, results), target)
    return target


def _inert(frame: pd.DataFrame) -> pd.DataFrame:
    """Text that a spreadsheet would take for a formula, with a quote before it; numbers as they are."""
    out = frame.copy()
    for column in out.columns:
        if not all(isinstance(v, int | float) for v in out[column]):
            out[column] = [
                f"'{v}" if isinstance(v, str) and v[:1] in ("=", "+", "-", "@", "\t", "\r", "\0") else v for v in out[column]
            ]
    return out
