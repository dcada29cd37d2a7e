"""A report as CSV: one line for every cell of every table, as it is printed and in full precision."""

from __future__ import annotations

import csv
import io
import math

from bayeskit.report.content import Cell, Number, Report, Table, format_cell
from bayeskit.report.escape import csv_text

__all__ = ["COLUMNS", "to_csv"]

COLUMNS = ("status", "section", "table", "row", "label", "column", "formatted", "value", "mcse", "mark")
"""What a line holds: the verdict's status, where the cell stands, the cell as printed, its number, Monte Carlo error, mark."""


def to_csv(report: Report) -> str:
    """Return the tables of a report as CSV, UTF-8 with a header; the first line below it is the verdict.

    A number that cannot be computed has no `value`. Text that a spreadsheet would run as a formula has a quote before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    status = report.status
    writer.writerow([status, "verdict", "", "", "", "", csv_text(report.banner.text), "", "", ""])
    for section in report.sections:
        tables = [b for b in section.blocks if isinstance(b, Table)]
        for place, table in enumerate(tables, 1):
            where = [status, csv_text(section.title), place]
            for number, row in enumerate(table.rows, 1):
                label = csv_text(format_cell(row[0]))
                for column, cell in zip(table.columns, row, strict=True):
                    line = [*where, number, label, csv_text(column), *_cell(cell), csv_text(table.mark)]
                    writer.writerow(line)
    return out.getvalue()


def _cell(cell: Cell) -> tuple[str, str, str]:
    """Return a cell as printed, its value and its Monte Carlo error; text has neither."""
    if cell is None or isinstance(cell, str | bool):
        return csv_text(format_cell(cell)), "", ""
    value = float(cell.value if isinstance(cell, Number) else cell)
    error = cell.mcse if isinstance(cell, Number) else None
    told = "" if math.isnan(value) else repr(int(value)) if isinstance(cell, int) else repr(value)
    return format_cell(cell), told, "" if error is None or not math.isfinite(error) else repr(float(error))
