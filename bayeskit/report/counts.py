"""Numbers of people in a report: one place where small ones can be suppressed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["count_cell", "counted", "suppressing"]

_BELOW: ContextVar[int] = ContextVar("bayeskit_report_below", default=0)


@contextmanager
def suppressing(below: int) -> Iterator[None]:
    """While a report is built: counts from 1 to ``below - 1`` are printed as "< below".

    It keeps a single small number out of print. It does not protect against somebody who subtracts other numbers from a total.
    """
    token = _BELOW.set(below)
    try:
        yield
    finally:
        _BELOW.reset(token)


def counted(number: float) -> str:
    """Return a number of rows or people as text for a sentence, or "< 5" where it is suppressed."""
    below = _BELOW.get()
    if 0 < number < below:
        return f"< {below}"
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"


def count_cell(number: float) -> int | float | str:
    """Return a number of rows or people for a cell of a table: the number, or "< 5" where it is suppressed."""
    if 0 < number < _BELOW.get():
        return counted(number)
    return int(number) if float(number).is_integer() else float(number)
