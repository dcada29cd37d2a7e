"""What a claim is made of: a small frozen tree, and the one text that stands for it.

Terms come in two kinds. *Draws* differ from draw to draw: an element of an estimand, a rank, sums of them. *Figures* are one
number for a posterior: a probability, a mean, the end of an interval. A claim compares two figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "FUNCTIONS", "RELATIONS", "SUMMARIES", "Arithmetic", "Best", "Element", "Event", "Negative", "Number", "Operator",
    "Probability", "Rank", "Relation", "Summary", "Term", "elements", "number_text", "quoted", "written",
]  # fmt: skip

Relation = Literal[">", ">=", "<", "<="]
Operator = Literal["+", "-", "*", "/"]

RELATIONS: tuple[Relation, ...] = (">=", "<=", ">", "<")
SUMMARIES = ("mean", "median", "sd", "lower", "upper")
FUNCTIONS = ("P", *SUMMARIES, "rank", "best")

# A word may hold dots, colons and at signs, and hyphens between other signs: gpt-4t and org:model@v1.5 need no quotes.
WORD = re.compile(r"[^\W\d]\w*(?:[-.:@]+\w+)*|\d\w*(?:[-.:@]+\w+)*")
NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Number:
    """A number as it is written."""

    value: float


@dataclass(frozen=True)
class Element:
    """One element of an estimand: its name, and a label for each of its dimensions."""

    estimand: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rank:
    """The place of an element among all of its estimand in a draw: 1 is the largest, equal ones share the best place."""

    of: Element


@dataclass(frozen=True)
class Negative:
    """The term with its sign changed."""

    of: Term


@dataclass(frozen=True)
class Arithmetic:
    """Two terms added, subtracted, multiplied or divided."""

    left: Term
    operator: Operator
    right: Term


@dataclass(frozen=True)
class Event:
    """A comparison of draws: true or false in each of them. A tie is no ``>``."""

    left: Term
    relation: Relation
    right: Term


@dataclass(frozen=True)
class Best:
    """Whether an element is the largest of its estimand; ties for the first place share it."""

    of: Element


@dataclass(frozen=True)
class Probability:
    """Posterior probability of an event."""

    of: Event | Best


@dataclass(frozen=True)
class Summary:
    """Posterior mean, median, sd, or the end of the equal-tailed interval of probability `prob`."""

    kind: str
    of: Term
    prob: float | None = None


Term = Number | Element | Rank | Negative | Arithmetic | Probability | Summary


def elements(term: Term | Event | Best) -> Iterator[Element]:
    """Every element that a term mentions, in the order of the text."""
    match term:
        case Element():
            yield term
        case Rank(of) | Best(of) | Negative(of) | Probability(of) | Summary(_, of, _):
            yield from elements(of)
        case Arithmetic(left, _, right) | Event(left, _, right):
            yield from elements(left)
            yield from elements(right)
        case Number():
            return


def number_text(value: float) -> str:
    """The shortest text that reads back as exactly this number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def quoted(label: str, *, name: bool = False) -> str:
    """A label as it stands in a claim: bare where that is one word, else in double quotes with escapes.

    A whole number is a usual label and stays bare inside brackets; as a name of an estimand (`name`) it needs quotes.
    """
    if WORD.fullmatch(label) and label.isprintable() and not NUMBER.fullmatch(label):
        return label
    if not name and re.fullmatch(r"\d+", label, re.ASCII):
        return label
    out = []
    for c in label:
        if c in '\\"':
            out.append(f"\\{c}")
        elif c == " " or c.isprintable():
            out.append(c)
        else:
            out.append(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}")
    return f'"{"".join(out)}"'


_TIGHTNESS = {"+": 1, "-": 1, "*": 2, "/": 2}


def _tightness(term: Term | Event | Best) -> int:
    match term:
        case Arithmetic():
            return _TIGHTNESS[term.operator]
        case Negative():
            return 3
    return 4


def written(term: Term | Event | Best) -> str:
    """The canonical text of a term; parsing it gives an equal term."""
    match term:
        case Number(value):
            return number_text(value)
        case Element(estimand, labels):
            inside = f"[{', '.join(map(quoted, labels))}]" if labels else ""
            return f"{quoted(estimand, name=True)}{inside}"
        case Rank(of):
            return f"rank({written(of)})"
        case Best(of):
            return f"best({written(of)})"
        case Probability(of):
            return f"P({written(of)})"
        case Summary(kind, of, prob):
            return f"{kind}({written(of)})" if prob is None else f"{kind}({written(of)}, {number_text(prob)})"
        case Event(left, relation, right):
            return f"{written(left)} {relation} {written(right)}"
        case Negative(of):
            return f"-{_wrapped(of, 3)}"
        case Arithmetic(left, operator, right):
            tightness = _TIGHTNESS[operator]
            return f"{_wrapped(left, tightness)} {operator} {_wrapped(right, tightness + 1)}"


def _wrapped(term: Term, least: int) -> str:
    return written(term) if _tightness(term) >= least else f"({written(term)})"
