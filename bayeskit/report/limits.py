"""What a report cannot say: limits that follow from model and fit, and the blanks that only its author can fill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bayeskit.errors import BayeskitError
from bayeskit.report.checklist_items import CHECKLISTS
from bayeskit.report.content import Block, Cell, Note, Paragraph, Section, Table, short_list
from bayeskit.report.request import BLANKS, STUDY_BLANKS, Request
from bayeskit.verdict import Verdict

if TYPE_CHECKING:
    from bayeskit.fit import Fit

__all__ = ["TO_FILL", "limits_section"]

TO_FILL = "To be filled by the author"
"""What a blank holds until somebody fills it."""


def limits_section(fit: Fit, verdict: Verdict, request: Request, answers: Sequence[Section]) -> Section:
    """Limits in sentences, then the blanks.

    Parameters
    ----------
    fit : Fit
        The fit.
    verdict : Verdict
        Its verdict.
    request : Request
        What was asked; its `author` texts fill blanks.
    answers : sequence of Section
        The sections before: which analyses are there is looked up in them.
    """
    lines = [*_assumed(fit), *fit.spec.limits(), *_unlearned(verdict), *_missing(answers, request)]
    lines.append("Intervals say how sure one can be if the assumptions hold; they do not cover the assumptions themselves.")
    blocks: list[Block] = [Note("info", "What the numbers above do not cover.", tuple(lines))]
    rows: list[tuple[Cell, ...]] = [
        (text, request.author.get(key, "").strip() or TO_FILL, key)
        for key, text in _blanks(fit.spec.checklists, request).items()
    ]
    filled = sum(1 for row in rows if row[1] != TO_FILL)
    blocks.append(Paragraph(f"{filled} of {len(rows)} points that only the author of a report can answer are answered."))
    caption = 'What the author has to say: fit.report(path, author={"goal": "..."}) fills a blank by its key.'
    blocks.append(Table(("Point", "Answer", "Key"), tuple(rows), caption))
    return Section("Limits, and what the author has to say", "limits", tuple(blocks))


def _blanks(checklists: Sequence[str], request: Request) -> dict[str, str]:
    """The general blanks, and those that the model's checklists ask for or that the author filled."""
    asked = {item.blank for name in checklists for item in CHECKLISTS.get(name, ())} | set(request.author)
    return BLANKS | {key: text for key, text in STUDY_BLANKS.items() if key in asked}


def _assumed(fit: Fit) -> list[str]:
    """Assumptions that no data of this kind can test."""
    try:
        found = [a.name for a in fit.assumptions if a.level in ("structural", "imputed")]
    except BayeskitError:
        return []
    if not found:
        return []
    return [f"Assumed and not estimated: {short_list(found)}. See the assumptions in words."]


def _unlearned(verdict: Verdict) -> list[str]:
    """What the check of overlap found: parameters whose posterior is their prior."""
    return [r.text for r in verdict.results if r.name == "overlap" and r.table]


def _missing(answers: Sequence[Section], request: Request) -> list[str]:
    there = {section.id for section in answers}
    out = []
    if "sensitivity" not in there:
        out.append("No sensitivity analysis is in this report.")
    elif request.sensitivity is None:
        out.append(
            "Sensitivity was asked of the draws at hand only: other structures, sweeps, tipping points and influence were not "
            "looked at unless a section above says so."
        )
    if "model-checks" not in there:
        out.append("No predictive check is in this report.")
    return out
