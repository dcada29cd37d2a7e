"""Is it really in the report? Each kind of evidence is looked for in the content, and answers with the place where it stands.

Nothing here knows what a report ought to contain: a section that was left out, a table without rows or a blank that nobody
filled is not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bayeskit.report.content import Code, Figure, Note, Paragraph, Report, Section, Table, format_cell
from bayeskit.report.limits import TO_FILL

__all__ = ["EVIDENCE", "blank_of", "find"]

type Finder = Callable[[Report], str]

_SOUND = ("PASS", "WARN")


def _sections(report: Report, name: str) -> Iterable[Section]:
    return (s for s in report.sections if s.id == name)


def _tables(report: Report, name: str) -> Iterable[tuple[Section, Table]]:
    return ((s, b) for s in _sections(report, name) for b in s.blocks if isinstance(b, Table) and b.rows)


def _row(section: str, start: str, holding: str = "") -> Finder:
    """A row of a table of a section whose first cell begins with `start`, whose rest is not empty and holds some text."""

    def find_row(report: Report) -> str:
        for where, table in _tables(report, section):
            for row in table.rows:
                rest = " ".join(format_cell(c) for c in row[1:])
                if format_cell(row[0]).startswith(start) and rest.strip(" –") and holding in rest:
                    return f"{where.title}: {format_cell(row[0])}"
        return ""

    return find_row


def _table(section: str, *columns: str, caption: str = "") -> Finder:
    """A table with rows, with these columns, whose caption begins with some text."""

    def find_table(report: Report) -> str:
        for where, table in _tables(report, section):
            if set(columns) <= set(table.columns) and table.caption.startswith(caption):
                return f"{where.title}: {table.caption.partition('.')[0] or 'table'}"
        return ""

    return find_table


def _code(section: str, *words: str) -> Finder:
    def find_code(report: Report) -> str:
        for where in _sections(report, section):
            for block in where.blocks:
                if isinstance(block, Code) and all(w in block.text for w in words):
                    return f"{where.title}: {block.caption.partition('.')[0] or 'code'}"
        return ""

    return find_code


def _figure(section: str, start: str) -> Finder:
    def find_figure(report: Report) -> str:
        for where in _sections(report, section):
            for block in where.blocks:
                if isinstance(block, Figure) and (block.caption.startswith(start) or block.alt.startswith(start)):
                    return f"{where.title}: {block.caption.partition(',')[0]}"
        return ""

    return find_figure


def _note(section: str) -> Finder:
    def find_note(report: Report) -> str:
        for where in _sections(report, section):
            if any(isinstance(b, Note) and b.details for b in where.blocks):
                return where.title
        return ""

    return find_note


def _said(*words: str) -> Finder:
    """A text of the report that holds all the words."""

    def find_text(report: Report) -> str:
        for where in report.sections:
            for block in where.blocks:
                if isinstance(block, Paragraph) and all(w in block.text for w in words):
                    return where.title
        return ""

    return find_text


def _all(*finders: Finder) -> Finder:
    def find_all(report: Report) -> str:
        found = [f(report) for f in finders]
        return "; ".join(dict.fromkeys(found)) if all(found) else ""

    return find_all


def _equations(report: Report) -> str:
    """Formulas beyond the list of priors: lines of the model's own."""
    for where, table in _tables(report, "assumptions"):
        if table.columns[:3] != ("Name", "In words", "In numbers"):
            continue
        priors = {format_cell(row[2]) for row in table.rows}
        for block in where.blocks:
            if isinstance(block, Code) and any(line and line not in priors for line in block.text.splitlines()):
                return f"{where.title}: {block.caption.partition(':')[0]}"
    return ""


def _in_words(report: Report) -> str:
    """Every assumption with a sentence and with its numbers."""
    for where, table in _tables(report, "assumptions"):
        if table.columns[:3] == ("Name", "In words", "In numbers") and all(str(row[1]).strip() for row in table.rows):
            return f"{where.title}: {table.caption.rstrip('.')}"
    return ""


def _priors(report: Report) -> str:
    for where, table in _tables(report, "assumptions"):
        if table.columns[:3] == ("Name", "In words", "In numbers") and any(" ~ " in format_cell(row[2]) for row in table.rows):
            return f"{where.title}: {table.caption.rstrip('.')}"
    return ""


def _estimates(report: Report) -> str:
    """Median, both ends of an interval, and the sentence that says which kind of interval it is."""
    kind = _said("credible intervals (ETI)")(report) or _said("highest-density intervals (HDI)")(report)
    numbers = _table("results", "Median", "Mean", "sd")(report)
    return numbers if kind and numbers else ""


def _swept(report: Report) -> str:
    """Numbers under other priors or specifications than the fit's, from refits that passed their checks."""
    for where, table in _tables(report, "sensitivity"):
        if {"quantity", "status"} <= set(table.columns):
            place = table.columns.index("status")
            if any(format_cell(row[place]) in _SOUND for row in table.rows):
                return where.title
    return ""


def _tipping(report: Report) -> str:
    for where in _sections(report, "sensitivity"):
        if any(isinstance(b, Paragraph) and ("flip" in b.text or "tipping" in b.text.lower()) for b in where.blocks):
            return where.title
    return ""


_R_HAT = _all(_row("checks", "R-hat"), _table("checks", "Parameter", "R-hat"), _table("results", "R-hat"))
_ESS = _all(
    _row("checks", "Effective sample size"),
    _table("checks", "Parameter", "ESS, bulk"),
    _table("results", "ESS, bulk", "ESS, tail"),
)

EVIDENCE: dict[str, Finder] = {
    "data": _row("data", "Rows of the table used"),
    "missing": _row("data", "Missing"),
    "left out": _row("data", "Rows left out"),
    "events": _row("data", "Events"),
    "outcomes": _row("data", "Tested with"),
    "follow-up": _row("data", "Longest follow-up"),
    "equations": _equations,
    "assumptions": _in_words,
    "priors": _priors,
    "specification": _code("provenance", '"settings"'),
    "prior predictive": _table("model-checks", "Observed", caption="Prior predictive check"),
    "posterior predictive": _table("model-checks", "Observed", caption="Posterior predictive check"),
    "loo": _table("model-checks", "Pareto k-hat"),
    "versions": _row("provenance", "Versions", "pymc"),
    "installation": _code("provenance", "pymc=="),
    "code": _code("provenance", "spec.fit("),
    "digest": _row("provenance", "Data: digest"),
    "seed": _row("provenance", "Sampling: seed"),
    "sampler": _row("provenance", "Sampling: chains"),
    "r-hat": _R_HAT,
    "ess": _ESS,
    "laplace": _row("checks", "Laplace approximation"),
    "estimates": _estimates,
    "traces": _figure("checks", "Trace of"),
    "densities": _figure("checks", "Density of"),
    "doubling": _table("checks", "Change in sd"),
    "autocorrelation": _table("checks", "Autocorrelation, lag 1"),
    "parameters": _table("checks", "Parameter", "Mean", "sd"),
    "sensitivity": _table("sensitivity"),
    "sweep": _swept,
    "tipping": _tipping,
    "conditional": _said("conditional on the model"),
    "limits": _note("limits"),
}
"""What can be looked for, by name: each answers where it stands, or with an empty text."""


def find(name: str, report: Report) -> str:
    """Return where a piece of evidence stands in a report, or an empty text."""
    return EVIDENCE[name](report)


def blank_of(key: str, report: Report) -> str | None:
    """Return what the author wrote into a blank, an empty text where nothing is, or None where the report has no such blank."""
    for _, table in _tables(report, "limits"):
        if table.columns == ("Point", "Answer", "Key"):
            for row in table.rows:
                if row[2] == key:
                    return "" if row[1] == TO_FILL else format_cell(row[1])
    return None
