"""What a report says of the data: rows, groups, what is missing, what was left out and why. Never a row itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bayeskit.report.content import Block, Cell, Note, Paragraph, Section, Table, short_list
from bayeskit.report.counts import count_cell, counted

if TYPE_CHECKING:
    from bayeskit.fit import Fit

__all__ = ["data_section", "rows_of", "without_paths"]

_PATH = re.compile(r"""(?<![\w.:/\\<])(?:[A-Za-z]:)?[\\/](?:[^\s'",;:<>|\\/]+[\\/])+(?=[^\s'",;:<>|\\/])""")


def without_paths(text: str) -> str:
    """Return text in which absolute paths are cut to the last name: a report tells nobody how a machine is laid out."""
    return _PATH.sub("", text)


def rows_of(fit: Fit) -> int | None:
    """Rows of the table; None where they are not known."""
    data = fit.provenance.get("data", {})
    rows = data.get("rows") if isinstance(data, Mapping) else None
    return int(rows) if rows is not None else None


def data_section(fit: Fit) -> Section:
    """The data as the model read them."""
    rows = rows_of(fit)
    facts: list[tuple[Cell, ...]] = [("Rows of the table used", None if rows is None else count_cell(rows))]
    known = fit.statistics if fit.statistics is not None else fit.aggregate
    if known is not None:
        for name, value in fit.spec.data_facts(known).items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            facts.append((_capital(name), count_cell(float(value)) if number else str(value)))
    facts += [(f"Labels of {role}", f"{len(v):,d}: {short_list(v)}") for role, v in fit.levels.items()]
    data = fit.provenance.get("data", {})
    missing = data.get("missing", {}) if isinstance(data, Mapping) else {}
    facts += [(f"Missing in {role}", count_cell(int(count))) for role, count in missing.items()]
    if not any(int(count) for count in missing.values()):
        facts.append(("Missing values", "none recorded"))
    facts.append(("Rows left out", _left_out(data)))
    caption = "The data as the model read them."
    blocks: list[Block] = [Table(("What", "Found"), tuple(facts), caption, ("left", "left"))]
    blocks.append(Paragraph("Rows are not printed. Labels of groups are: look at them before the report leaves the house."))
    notes = tuple(without_paths(str(n)) for n in getattr(fit, "notes", ()))
    if notes:
        blocks.append(Note("info", "Noticed while reading the table.", notes))
    return Section("Data", "data", tuple(blocks))


def _left_out(data: Mapping[str, object]) -> str:
    """Which units were left out on request; a table with a fault is refused, and models count what they allow to be empty."""
    without = data.get("without") if isinstance(data, Mapping) else None
    if not isinstance(without, Mapping) or not without:
        return "none on request; empty cells that the model allows are counted above, any other fault refuses the whole table"
    told = [f"{by}: {counted(len(units))} ({short_list([str(u) for u in units])})" for by, units in without.items()]
    return f"on request, {'; '.join(told)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
