"""Figure of effects as bars, longest on top: what moves an answer most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bayeskit.report.content import Figure, format_number
from bayeskit.report.drawing import canvas, label_text, row_labels
from bayeskit.report.palette import INK, SERIES

__all__ = ["tornado_plot"]

_HATCHES = ("", "///", "xxx", "...", "\\\\\\", "|||", "ooo")


def tornado_plot(
    labels: Sequence[str],
    values: ArrayLike,
    groups: Sequence[str],
    *,
    order: Sequence[str] = (),
    errors: ArrayLike | None = None,
    xlabel: str = "",
    caption: str = "",
) -> Figure:
    """Draw signed bars from zero, first label on top.

    Parameters
    ----------
    labels : sequence of str
        One a bar.
    values : array_like, shape (n,)
        Lengths; finite.
    groups : sequence of str
        Group of each bar, told apart by colour and hatch and written beside it.
    order : sequence of str
        All groups that may occur, so that each looks the same in every figure; at most seven.
    errors : array_like, shape (n,), optional
        Standard errors, drawn as lines of twice that length to both sides; NaN for none.
    xlabel : str
        Quantity and units.
    caption : str
        What the figure shows.

    Returns
    -------
    Figure
        SVG.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, there is nothing to draw, or there are too many groups.
    """
    x = np.asarray(values, dtype=float)
    if not len(labels) == len(x) == len(groups) or not len(x) or not np.isfinite(x).all():
        raise ValueError(
            f"{len(labels)} labels, {len(x)} values and {len(groups)} groups: as many of each, above 0, all finite."
        )
    known = list(dict.fromkeys([*order, *groups]))
    if len(known) > len(_HATCHES):
        raise ValueError(f"{len(known)} groups; at most {len(_HATCHES)} can be told apart.")
    spread = np.full(len(x), np.nan) if errors is None else np.asarray(errors, dtype=float)
    page = canvas(7.4, 0.8 + 0.28 * len(x))
    ax, rows = page.axes, np.arange(len(x))[::-1]
    for row, value, group, error in zip(rows, x, groups, spread, strict=True):
        look = known.index(group)
        ax.barh(row, value, height=0.62, facecolor="white", edgecolor=SERIES[look], hatch=_HATCHES[look], lw=1.6)
        if np.isfinite(error):
            ax.hlines(row, value - 2.0 * error, value + 2.0 * error, color=INK, lw=1.1)
        ax.annotate(
            f"{format_number(float(value)).replace('-', '−')}  {label_text(group, 24)}", (1.0, row),
            xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points", ha="left", va="center", fontsize=8,
            color=INK, parse_math=False,
        )  # fmt: skip
    ax.axvline(0.0, color=INK, lw=1.0)
    row_labels(page, rows, labels)
    ax.set_ylim(-0.7, len(x) - 0.3)
    ax.margins(x=0.06)
    ax.set_xlabel(label_text(xlabel, 90), parse_math=False)
    ax.grid(axis="x")
    told = "; ".join(f"{label} {format_number(float(v))} ({group})" for label, v, group in zip(labels, x, groups, strict=True))
    return page.figure(f"Bars of {xlabel or 'effects'}, longest first: {told}.", caption or "Longest effects on top.")
