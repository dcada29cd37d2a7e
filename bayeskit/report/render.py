"""Printing: the suffix of the path chooses the renderer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bayeskit.errors import SpecificationError, suggest
from bayeskit.report.content import Report
from bayeskit.report.html import to_html
from bayeskit.report.latex import to_latex
from bayeskit.report.machine import to_json
from bayeskit.report.markdown import to_markdown
from bayeskit.report.spreadsheet import to_csv

__all__ = ["RENDERERS", "check_suffix", "render"]

RENDERERS: dict[str, Callable[[Report], str]] = {
    ".html": to_html, ".md": to_markdown, ".tex": to_latex, ".csv": to_csv, ".json": to_json,
}  # fmt: skip
"""Renderer by suffix; another format is one more entry."""


def check_suffix(path: str | Path) -> str:
    """Return the suffix of a path in lower case, or raise `SpecificationError` where it has no renderer."""
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in RENDERERS:
        known = " ".join(RENDERERS)
        raise SpecificationError(
            f"A report cannot be written to '{target.name}': the suffix {suffix!r} has no renderer."
            f"{suggest(suffix, RENDERERS)} Known suffixes: {known}."
        )
    return suffix


def render(report: Report, path: str | Path) -> Path:
    """Write a report to a file.

    Parameters
    ----------
    report : Report
        From `build_report`.
    path : str or Path
        Where to write; the suffix chooses the format. An existing file is replaced.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    SpecificationError
        For a suffix without a renderer, before anything is written.
    """
    suffix = check_suffix(path)
    target = Path(path)
    text = RENDERERS[suffix](report)
    target.write_text(text, encoding="utf-8", newline="\n")
    return target
