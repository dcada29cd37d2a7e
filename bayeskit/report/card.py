"""The model card of a report: equations, assumptions in words and numbers, and every number that can be turned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bayeskit.errors import BayeskitError
from bayeskit.report.content import Block, Cell, Code, Note, Paragraph, Section, Table

if TYPE_CHECKING:
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
    rows = tuple((a.name, a.sentence, _formula(a, fit.dials), _LEVELS.get(a.level, a.level)) for a in assumptions)
    blocks: list[Block] = [lead]
    equations = (*fit.spec.equations(), *(_formula(a, fit.dials) for a in assumptions if a.prior is not None))
    if equations:
        blocks.append(Code("\n".join(equations), "The model in formulas: likelihood first, then priors as used in this fit."))
    blocks.append(Table(("Name", "In words", "In numbers", "What it is"), rows, "Every assumption of this fit."))
    dials = tuple(_dial_row(d, fit.dials) for a in assumptions for d in a.dials.values())
    if dials:
        caption = "Every number that the assumptions hold. Turn one with fit.refit(dials={name: value})."
        columns = ("Dial", "Used", "Default", "Range", "What it is")
        blocks.append(Table(columns, dials, caption))
    return Section("Assumptions", "assumptions", tuple(blocks))


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
