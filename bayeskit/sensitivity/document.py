"""Results of the sensitivity analysis as one document: the verdict, then each question with its table and its picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bayeskit.errors import SpecificationError, suggest
from bayeskit.report import render
from bayeskit.report.answers import Answered, answer_blocks
from bayeskit.report.content import Report, Section
from bayeskit.report.escape import csv_text
from bayeskit.report.gate import verdict_note

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit

__all__ = ["SUFFIXES", "sensitivity_report", "write_sensitivity"]

SUFFIXES = (".html", ".md", ".tex", ".json", ".csv")


def sensitivity_report(fit: Fit, results: Mapping[str, Answered]) -> Report:
    """Build the content of a document.

    Parameters
    ----------
    fit : Fit
        The fit that was asked; its verdict comes first.
    results : mapping of str to result
        By heading: what `Fit.sensitivity`, `sweep`, `tipping_point`, `influence` and `bounds` return.
    """
    sections = [
        Section(title, f"part-{place}", tuple(answer_blocks(found))) for place, (title, found) in enumerate(results.items())
    ]
    return Report(
        title=f"{type(fit.spec).__name__}: what the answer rests on",
        banner=verdict_note(fit.verdict),
        sections=tuple(sections),
        subtitle="A sensitive answer is not a wrong one: it is known what it rests on.",
    )


def write_sensitivity(fit: Fit, results: Mapping[str, Answered], path: str | Path) -> Path:
    """Write results to a file: a document (.html, .md, .tex), everything for machines (.json), or the first table (.csv).

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
            out[column] = [csv_text(v) if isinstance(v, str) else v for v in out[column]]
    return out
