"""The model card of a report: equations, assumptions in words and numbers, and every number that can be turned."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bayeskit.errors import BayeskitError
from bayeskit.report.content import Block, Cell, Code, Note, Paragraph, Section, Table
from bayeskit.report.diagram import dependency_diagram

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.assumptions import Assumption
    from bayeskit.fit import Fit

__all__ = ["card_section"]

_LEVELS = {
    "structural": "structure of the model",
    "hyper": "top-level prior",
    "latent": "prior of a latent quantity",
    "constraint": "constraint",
    "imputed": "model of what was not observed",
}


def card_section(fit: Fit) -> Section:
    """Equations, assumptions and dials."""
    lead = Paragraph("The data alone do not decide these answers. They rest on what follows, and change with it.")
    try:
        assumptions = fit.assumptions
    except BayeskitError as error:
        return Section("Assumptions", "assumptions", (lead, Note("warn", "The list is not available.", (str(error),))))
    if not assumptions:
        return Section("Assumptions", "assumptions", (Note("warn", "The model declares no assumption."),))
    blocks: list[Block] = [lead]
    equations = (*fit.spec.equations(), *(_formula(a, fit.dials) for a in assumptions if a.prior is not None))
    if equations:
        blocks.append(Code("\n".join(equations), "The model in formulas: likelihood first, then priors as used in this fit."))
    entering = _entering(fit)
    if any(entering.values()):
        dims = {a.name: a.prior.dims for a in assumptions if a.prior is not None}
        constants = [a.name for a in assumptions if a.prior is None and a.constants and a.name not in entering]
        blocks.append(dependency_diagram(entering, dims, constants))
    blocks.append(_assumption_table(assumptions, fit.dials, entering))
    dials = tuple(_dial_row(d, fit.dials) for a in assumptions for d in a.dials.values())
    if dials:
        caption = "Every number that the assumptions hold. Turn one with fit.refit(dials={name: value})."
        columns = ("Dial", "Used", "Default", "Range", "What it is")
        blocks.append(Table(columns, dials, caption))
    return Section("Assumptions", "assumptions", tuple(blocks))


def _entering(fit: Fit) -> dict[str, tuple[str, ...]]:
    """What enters what; nothing where a run was saved without its rows and no simulated table has the same structure."""
    statistics = _stand_in(fit) if fit.statistics is None else fit.statistics
    return {} if statistics is None else fit.spec.dependencies(statistics)


def _stand_in(fit: Fit) -> xr.Dataset | None:
    """Simulated statistics in the place of rows that were not saved.

    What of the statistics decides over the form of a graph stands in their attributes, which are saved: where those agree,
    so do the graphs, whatever the rows.
    """
    kept = fit.aggregate
    if kept is None:
        return None
    try:
        found = fit.spec.statistics(fit.spec.simulate(0).table)
        same = _names(fit, found) == _names(fit, kept) and _structure(found) == _structure(kept)
    except (BayeskitError, ValueError, KeyError):
        return None
    return found if same else None


def _names(fit: Fit, statistics: xr.Dataset) -> list[str]:
    return [a.name for a in fit.spec.assumptions(statistics)]


def _structure(statistics: xr.Dataset) -> str:
    """The attributes as text; those of a loaded run were JSON before."""
    attributes = {str(k): v.tolist() if hasattr(v, "tolist") else v for k, v in statistics.attrs.items()}
    return json.dumps(attributes, sort_keys=True, default=str)


def _assumption_table(
    assumptions: Sequence[Assumption], dials: Mapping[str, float], entering: Mapping[str, Sequence[str]]
) -> Table:
    """Every assumption in words and numbers, and what it enters where that is known."""
    rows = [(a.name, a.sentence, _formula(a, dials), _LEVELS.get(a.level, a.level)) for a in assumptions]
    columns: tuple[str, ...] = ("Name", "In words", "In numbers", "What it is")
    caption = "Every assumption of this fit."
    if not entering:
        return Table(columns, tuple(rows), caption)
    users = {a.name: ", ".join(t for t, sources in entering.items() if a.name in sources) for a in assumptions}
    told = tuple((*row, users[row[0]] or None) for row in rows)
    return Table((*columns, "Enters"), told, f"{caption} A choice that is no number enters the form of the model, not a part.")


def _formula(assumption: Assumption, dials: Mapping[str, float]) -> str:
    text = assumption.describe(dials)
    prior = assumption.prior
    if prior is None:
        return text or "–"
    each = f", for each {' and '.join(prior.dims)}" if prior.dims else ""
    return f"{assumption.name} ~ {text}{each}"


def _dial_row(dial: Any, dials: Mapping[str, float]) -> tuple[Cell, ...]:
    used = float(dials.get(dial.name, dial.value))
    return (dial.name, used, float(dial.value), f"{_bound(dial.low)} to {_bound(dial.high)}", dial.sentence)


def _bound(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return "0" if abs(value) < 1e-100 else f"{value:g}"  # an open bound at 0 is written as a tiny number
