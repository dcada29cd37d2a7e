"""Reports: one content tree, printed as HTML or Markdown."""

from bayeskit.report.build import build_report
from bayeskit.report.content import Code, Figure, Note, Number, Paragraph, Report, Section, Table
from bayeskit.report.render import RENDERERS, render

__all__ = [
    "RENDERERS",
    "Code",
    "Figure",
    "Note",
    "Number",
    "Paragraph",
    "Report",
    "Section",
    "Table",
    "build_report",
    "render",
]
