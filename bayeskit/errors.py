"""Errors that say what is wrong, where, which rule was broken, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "BayeskitError",
    "DataError",
    "SamplingError",
    "SpecificationError",
    "StorageError",
    "UnreliableDrawsError",
    "UnreliableWeightsError",
    "show",
    "suggest",
]

_SHOWN = 5  # example rows and values printed by a DataError
_WIDTH = 60  # longest printed form of one value


class BayeskitError(Exception):
    """Base of every error that this package raises on purpose."""


class SpecificationError(BayeskitError, TypeError):
    """A setting, name or argument that the package does not know or cannot accept."""


class SamplingError(BayeskitError, RuntimeError):
    """The sampler could not start or could not finish."""


class UnreliableDrawsError(BayeskitError, ArithmeticError):
    """Draws that the checks do not let pass, where a result was asked for on that condition."""


class UnreliableWeightsError(BayeskitError, ArithmeticError):
    """Draws that cannot be reweighted to what was asked for: the number would not be worth printing."""


class StorageError(BayeskitError, OSError):
    """A saved file that cannot be read, or that does not hold what it should."""


class DataError(BayeskitError, ValueError):
    """A fault of the user's table, found before anything compiles.

    Parameters
    ----------
    problem
        One sentence: what is wrong.
    column
        Column of the user's table, by the user's name for it.
    rows
        0-based positions of offending rows in the table as given (all of them, or the first ones).
    values
        The offending values, in the order of `rows`.
    rule
        What the column must hold.
    fix
        What the user can do.
    found
        How many rows are at fault; ``len(rows)`` unless given.
    """

    def __init__(
        self,
        problem: str,
        *,
        column: str | None = None,
        rows: Sequence[int] = (),
        values: Sequence[Any] = (),
        rule: str = "",
        fix: str = "",
        found: int | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.column = column
        self.rows = tuple(int(row) for row in rows)
        self.values = tuple(values)
        self.rule = rule
        self.fix = fix
        self.found = len(self.rows) if found is None else found

    def __str__(self) -> str:
        lines = [self.problem if self.column is None else f"Column {self.column!r}: {self.problem}"]
        if self.rows:
            rows = ", ".join(str(row) for row in self.rows[:_SHOWN])
            lines.append(f"  rows: {rows} (of {self.found} found)")
        if self.values:
            lines.append(f"  values: {', '.join(show(value) for value in self.values[:_SHOWN])}")
        if self.rule:
            lines.append(f"  rule: {self.rule}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def without_rows(self, remark: str) -> DataError:
        """Return the same fault without row positions, for tables whose row numbers mean nothing."""
        fix = f"{self.fix} {remark}".strip()
        return DataError(self.problem, column=self.column, values=self.values, rule=self.rule, fix=fix)


def suggest(name: str, options: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the option nearest to `name`, or ``""`` when none is near.

    Differences of case count for nothing, so ``"Judge"`` finds ``"judge"``.
    """
    # Reversed, so that of options equal but for case the first one wins.
    by_folded = {option.casefold().strip(): option for option in reversed(list(options))}
    near = difflib.get_close_matches(name.casefold().strip(), by_folded, n=1, cutoff=0.6)
    return f" Did you mean {by_folded[near[0]]!r}?" if near else ""


def show(value: object) -> str:
    """Return a short form of a value for messages, on one line."""
    # repr escapes line breaks and control characters, so a label cannot forge lines of a message.
    text = repr(value) if isinstance(value, str | bytes) else str(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
