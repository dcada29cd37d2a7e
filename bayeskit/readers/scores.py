"""One value of a log as a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import DataError, show

WORDS = {"c": 1.0, "p": 0.5, "i": 0.0, "n": 0.0, "true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
"""What Inspect's scorers write for correct, partly correct, incorrect and no answer, and its words for true and false."""


def to_score(value: Any) -> float | None:
    """Return a number for true, false, a number, a word of `WORDS` or the text of a number; else None."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in WORDS:
            return WORDS[word]
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return float(value) if isinstance(value, bool) else None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None if isinstance(value, str) else float("inf")


def scores_of(
    values: Sequence[Any], errored: Sequence[bool], metric: str, place: Callable[[int], str], *, unscored: str
) -> NDArray[np.float64]:
    """Turn values into scores, shape ``(n,)``; NaN where `errored`.

    Parameters
    ----------
    values
        One a row; None where the log has none.
    errored
        Rows that the harness itself calls failed or unscored: missing, whatever stands there.
    metric
        Its name, for messages.
    place
        Says where a row stands.
    unscored
        ``"refuse"`` other rows without a score or with NaN, or leave them ``"missing"``.

    Raises
    ------
    DataError
        For a value that is no number, or for a missing one.
    """
    out = np.full(len(values), np.nan)
    for row, (value, failed) in enumerate(zip(values, errored, strict=True)):
        if failed:
            continue
        number = np.nan if value is None else to_score(value)
        if number is None:
            raise no_number(metric, value, place(row))
        out[row] = number
        if number != number and unscored == "refuse":
            raise no_score(metric, place(row), "no value" if value is None else "NaN")
    return out


def no_number(metric: str, value: Any, place: str) -> DataError:
    """Return the fault of a value that is no score."""
    return DataError(
        f"The value at {place} is no number.",
        column=metric,
        values=[value if isinstance(value, str) else f"{type(value).__name__} {show(value)}"],
        rule="a score is a number, true or false, or one of Inspect's C, P, I and N.",
        fix="choose a metric that has one number per sample.",
    )


def no_score(metric: str, place: str, what: str) -> DataError:
    """Return the fault of a sample without score that the harness does not call failed."""
    return DataError(
        f"holds {what} at {place}.",
        column=metric,
        rule="a sample has a score, unless the harness says that it failed; nothing becomes 0 silently.",
        fix="find out why; to go on with such scores missing: bk.read(..., unscored='missing').",
    )


def missing_note(shown: str, failed: int, what: str = "failed or unscored") -> str:
    """Return the remark about samples that the harness calls failed."""
    return f"{shown}: {failed:,} {what} {'sample is' if failed == 1 else 'samples are'} missing, not 0."
