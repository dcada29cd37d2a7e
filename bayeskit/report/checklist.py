"""A report against reporting checklists: which items it answers, where, and which only its author can."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from bayeskit.errors import SpecificationError, suggest
from bayeskit.report.checklist_items import CHECKLISTS, Item
from bayeskit.report.content import Note, Paragraph, Report, Table
from bayeskit.report.evidence import blank_of, find

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answer", "Score", "score"]

State = Literal["answered", "to fill", "not applicable", "missing"]
STATES: tuple[State, ...] = ("answered", "to fill", "not applicable", "missing")
_NONE = ("none", "no decision", "no")


@dataclass(frozen=True)
class Answer:
    """One item of one checklist.

    Attributes
    ----------
    checklist, id, label : str
        The item.
    state : {"answered", "to fill", "not applicable", "missing"}
        Answered by what is in the report; to be filled by the author; not applicable; or neither there nor asked for.
    where : str
        Where in the report, which blank, or why it does not apply.
    """

    checklist: str
    id: str
    label: str
    state: State
    where: str


@dataclass(frozen=True)
class Score:
    """A report against checklists.

    Attributes
    ----------
    answers : tuple of Answer
        Item by item.
    """

    answers: tuple[Answer, ...]

    def count(self, checklist: str, *states: State) -> int:
        """Items of a checklist in some states; all of them where none is given."""
        return sum(a.checklist == checklist and (not states or a.state in states) for a in self.answers)

    @property
    def checklists(self) -> tuple[str, ...]:
        """Names of the checklists, in order."""
        return tuple(dict.fromkeys(a.checklist for a in self.answers))

    @property
    def headlines(self) -> tuple[str, ...]:
        """One line for each checklist."""
        return tuple(
            f"{name}: " + ", ".join(f"{self.count(name, s)} {s}" for s in STATES) + f", of {self.count(name)}"
            for name in self.checklists
        )

    @property
    def table(self) -> pd.DataFrame:
        """One row an item."""
        import pandas as pd

        return pd.DataFrame([asdict(a) for a in self.answers])

    def to_json(self) -> str:
        """All of it for machines."""
        counts = {name: {s: self.count(name, s) for s in STATES} for name in self.checklists}
        told = {"schema": "bayeskit.checklist/1", "counts": counts, "items": [asdict(a) for a in self.answers]}
        return json.dumps(told, indent=1, ensure_ascii=False)

    def __repr__(self) -> str:
        lines: list[str] = []
        for name, headline in zip(self.checklists, self.headlines, strict=True):
            lines += ["", headline] if lines else [headline]
            lines += [f"  {a.id:<4} {a.state:<14} {a.label}: {a.where}" for a in self.answers if a.checklist == name]
        return "\n".join(lines)


def score(report: Report, checklists: Sequence[str] | None = None) -> Score:
    """Score a report, item by item, by what is in it.

    Parameters
    ----------
    report : Report
        From `build_report`.
    checklists : sequence of str, optional
        Names out of `CHECKLISTS`; those that the model names where none are given.

    Raises
    ------
    SpecificationError
        For an unknown checklist.
    """
    names = tuple(report.facts.get("checklists", ("BARG", "WAMBS", "ROBUST"))) if checklists is None else tuple(checklists)
    for name in names:
        if name not in CHECKLISTS:
            raise SpecificationError(
                f"There is no checklist {name!r}.{suggest(str(name), CHECKLISTS)} There are {', '.join(CHECKLISTS)}."
            )
    return Score(tuple(_answer(report, name, item) for name in names for item in CHECKLISTS[name]))


def _answer(report: Report, checklist: str, item: Item) -> Answer:
    def told(state: State, where: str) -> Answer:
        return Answer(checklist, item.id, item.label, state, where)

    reason = _not_applicable(report, item.unless)
    if reason:
        return told("not applicable", reason)
    places = [next(filter(None, (find(n, report) for n in need.split("|"))), "") for need in item.needs]
    found = "; ".join(dict.fromkeys(filter(None, places)))
    written = blank_of(item.blank, report) if item.blank else None
    if item.blank:
        if written:
            return told("answered", "; ".join(filter(None, (found, f"author, '{item.blank}'"))))
        if item.needs and all(places) and item.blank == "alternatives":
            return told("answered", found)
        if written is None:
            return told("missing", f"no blank '{item.blank}' in this report")
        return told("to fill", f"author, '{item.blank}'" + (f" (there: {found})" if found else ""))
    if item.needs and all(places):
        return told("answered", found)
    lost = [need for need, place in zip(item.needs, places, strict=True) if not place]
    return told("missing", f"not in this report: {', '.join(lost)}" if lost else "not in this report")


def _not_applicable(report: Report, condition: str) -> str:
    if condition == "sampled":
        return "drawn by Monte Carlo chains" if find("sampler", report) and not find("laplace", report) else ""
    if condition == "no Bayes factors":
        return "" if _mentions(report, "bayes factor") else "the report has no Bayes factor"
    if condition == "no decision":
        text = blank_of("decision", report)
        return "no decision hangs on it, the author says" if text and text.strip(" .").lower() in _NONE else ""
    return ""


def _mentions(report: Report, word: str) -> bool:
    for section in report.sections:
        for block in section.blocks:
            texts: list[str] = []
            if isinstance(block, Paragraph):
                texts = [block.text]
            elif isinstance(block, Note):
                texts = [block.text, *block.details]
            elif isinstance(block, Table):
                texts = [block.caption, *block.columns, *(str(row[0]) for row in block.rows)]
            if any(word in text.lower() for text in texts):
                return True
    return False
