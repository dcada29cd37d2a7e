"""Figures of intervals within intervals: what the posterior says inside what the data allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bayeskit.report.content import Figure, format_number
from bayeskit.report.drawing import canvas, label_text, row_labels
from bayeskit.report.palette import INK, MUTED, SERIES

__all__ = ["nested_plot"]

_TOLD = 12  # rows told one by one in an alt text


def nested_plot(
    labels: Sequence[str],
    inner: ArrayLike,
    outer: ArrayLike,
    *,
    prob: float = 0.95,
    xlabel: str = "",
    names: tuple[str, str] = ("posterior", "bounds"),
    caption: str = "",
) -> Figure:
    """Draw for each label a thick interval inside a thin one with end marks, first label on top.

    Parameters
    ----------
    labels : sequence of str
        One a row.
    inner, outer : array_like, shape (n, 2)
        Posterior intervals, and intervals that cover the identified set; a row of NaN is named and left empty.
    prob : float
        Probability of both.
    xlabel : str
        Quantity and units.
    names : pair of str
        What the two are, for the legend.
    caption : str
        Defaults to a sentence.

    Returns
    -------
    Figure
        SVG; told apart by thickness and end marks as well as by colour.

    Raises
    ------
    ValueError
        If lengths differ or there is nothing to draw.
    """
    inside, outside = np.asarray(inner, dtype=float), np.asarray(outer, dtype=float)
    size = len(labels)
    if size == 0 or inside.shape != (size, 2) or outside.shape != (size, 2):
        raise ValueError(f"{size} labels need intervals of shape ({size}, 2); got {inside.shape} and {outside.shape}.")
    page = canvas(7.4, 0.9 + 0.27 * size)
    ax, rows = page.axes, np.arange(size)[::-1]
    ax.hlines(rows, outside[:, 0], outside[:, 1], color=MUTED, lw=1.4)
    ax.plot(outside[:, 0], rows, "|", color=MUTED, ms=10, mew=1.6, label=label_text(names[1]))
    ax.plot(outside[:, 1], rows, "|", color=MUTED, ms=10, mew=1.6)
    ax.hlines(rows, inside[:, 0], inside[:, 1], color=SERIES[0], lw=5.0, label=label_text(names[0]))
    row_labels(page, rows, labels)
    ax.set_ylim(-0.7, size - 0.3)
    ax.margins(x=0.04)
    ax.grid(axis="x")
    ax.set_xlabel(label_text(xlabel, 90), parse_math=False)
    legend = ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.3)
    for text in legend.get_texts():
        text.set_parse_math(False)
    for row, (a, b), (c, d) in zip(rows, inside, outside, strict=True):
        told = f"[{_tell(a)}, {_tell(b)}] in [{_tell(c)}, {_tell(d)}]" if np.isfinite((c, d)).all() else "not computed"
        ax.annotate(
            told.replace("-", "−"), (1.0, row), xycoords=("axes fraction", "data"), xytext=(8, 0),
            textcoords="offset points", ha="left", va="center", fontsize=8, color=INK, parse_math=False,
        )  # fmt: skip
    phrase = f"{names[0]} intervals ({100 * prob:g} % equal-tailed) inside {names[1]} that cover the identified set"
    alt = f"{phrase[:1].upper()}{phrase[1:]}{f', of {xlabel}' if xlabel else ''}: {_words(labels, inside, outside)}."
    return page.figure(alt, caption or f"Thick: {names[0]} ({100 * prob:g} % equal-tailed). Thin: {names[1]}, {_COVER}")


_COVER = "which cover the set of values that the data allow with at least the same probability."


def _words(labels: Sequence[str], inside: np.ndarray, outside: np.ndarray) -> str:
    told = []
    for label, (a, b), (c, d) in zip(labels[:_TOLD], inside, outside, strict=False):
        found = f"{_tell(c)} to {_tell(d)}" if np.isfinite((c, d)).all() else "not computed"
        told.append(f"{label} {_tell(a)} to {_tell(b)} inside {found}")
    more = f"; and {len(labels) - _TOLD} more rows" if len(labels) > _TOLD else ""
    return "; ".join(told) + more


def _tell(value: float) -> str:
    return format_number(float(value))
