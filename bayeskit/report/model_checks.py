"""Does the model fit the data, as part of a report: tables replicated before and after, and leave-one-out prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.errors import BayeskitError
from bayeskit.report.content import Block, Cell, Note, Number, Paragraph, Section, Table
from bayeskit.report.counts import counted

if TYPE_CHECKING:
    from bayeskit.fit import Fit
    from bayeskit.report.request import Request

__all__ = ["model_checks_section"]

_MOST = {"prior": 12, "posterior": 30}  # quantities of a table
_THIN = 1000  # draws of leave-one-out
_SOURCES = (
    ("prior", "Prior predictive check: what the model expected before it saw the table."),
    ("posterior", "Posterior predictive check: what the fitted model expects of another such table."),
)


def model_checks_section(fit: Fit, request: Request) -> tuple[Section, ...]:
    """Predictive checks and leave-one-out; nothing where none was asked for."""
    if not request.replicate:
        return ()
    if fit.statistics is None:
        text = "The run was loaded without its statistics: replicated tables and leave-one-out prediction are not computed."
        note = Note("not computed", text, ("Give the table again: fit.refit(table=...).",))
        return (Section("Fit to the data", "model-checks", (note,)),)
    blocks: list[Block] = []
    for source, title in _SOURCES:
        blocks += _predictive(fit, source, title, request)
    return (Section("Fit to the data", "model-checks", (*blocks, *_leave_one_out(fit))),)


def _predictive(fit: Fit, source: Any, title: str, request: Request) -> list[Block]:
    try:
        found = fit.predictive_check(source, draws=request.replicate)
    except (BayeskitError, NotImplementedError, ValueError) as error:
        return [Note("not computed", f"No {source} predictive check.", (str(error),))]
    order = np.argsort(-np.abs(found.tail - 0.5), kind="stable")[: _MOST[source]]
    frame = found.table
    errors = found.replicated.std(0) / np.sqrt(len(found.replicated))
    rows: list[tuple[Cell, ...]] = []
    for i in order:
        row, e = frame.iloc[int(i)], float(errors[i])
        numbers = (Number(float(row["observed"])), Number(float(row["median"]), e))
        ends = (Number(float(row["lower"]), 2 * e), Number(float(row["upper"]), 2 * e))
        rows.append((found.names[int(i)], *numbers, *ends, Number(float(row["share_below"]), 0.01)))
    heads = ("Quantity", "Observed", "Replicated, median", "2.5 %", "97.5 %", "Share below the observed")
    caption = (
        f"{title} Central 95 % of {len(found.replicated)} replicated tables; a share near 0 or 1 is what was not expected."
    )
    if len(found.names) > len(order):
        caption += f" The {len(order)} of {len(found.names)} quantities that are farthest from the middle."
    text = f"{found.headline[:1].upper()}{found.headline[1:]}"
    lead = Note("warn", text) if found.outside and source == "posterior" else Paragraph(text)
    return [lead, Table(heads, tuple(rows), caption)]


def _leave_one_out(fit: Fit) -> list[Block]:
    """Predictive accuracy and the table of k-hat, by the finest unit that the model knows."""
    assert fit.statistics is not None
    units = fit.spec.units(fit.statistics)
    if not units:
        return []
    try:
        found = fit.loo(units[0], thin_to=_THIN)
    except (BayeskitError, NotImplementedError, ValueError) as error:
        return [Note("not computed", "No leave-one-out cross-validation.", (str(error),))]
    rows = tuple((name, counted(number)) for name, number in found.k_hat_counts.items())
    caption = f"Leave-one-out prediction by {found.by}: how many have weights that can be trusted."
    text = f"Leave-one-out cross-validation: {found.headline}"
    lead = Note("warn", text) if found.unreliable else Paragraph(text)
    return [lead, Table(("Pareto k-hat", found.by.replace("_", " ") + "s"), rows, caption)]
