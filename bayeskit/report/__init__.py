"""Reports: one content tree, printed as HTML, Markdown, LaTeX, CSV or JSON."""

from bayeskit.report.build import build_report
from bayeskit.report.checklist import score
from bayeskit.report.checklist_items import CHECKLISTS
from bayeskit.report.content import Code, Figure, Note, Number, Paragraph, Report, Section, Table
from bayeskit.report.render import RENDERERS, render
from bayeskit.report.request import BLANKS

__all__ = [
    "BLANKS",
    "CHECKLISTS",
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
    "score",
]
