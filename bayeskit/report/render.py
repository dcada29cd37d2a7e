"""Printing: the suffix of the path chooses the renderer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bayeskit.errors import SpecificationError, suggest
from bayeskit.report.content import Report
from bayeskit.report.html import to_html
from bayeskit.report.markdown import to_markdown

__all__ = ["RENDERERS", "render"]

RENDERERS: dict[str, Callable[[Report], str]] = {".html": to_html, ".md": to_markdown}
"""Renderer by suffix; another format is one more entry."""


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
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in RENDERERS:
        known = " ".join(RENDERERS)
        raise SpecificationError(
            f"A report cannot be written to '{target.name}': the suffix {suffix!r} has no renderer."
            f"{suggest(suffix, RENDERERS)} Known suffixes: {known}."
        )
    text = RENDERERS[suffix](report)
    target.write_text(text, encoding="utf-8", newline="\n")
    return target
