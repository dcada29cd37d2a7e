"""Figure of shifts: how far an answer moves when something is left out, in posterior standard deviations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bayeskit.report.content import Figure
from bayeskit.report.drawing import canvas, label_text, row_labels
from bayeskit.report.palette import GRID, INK, style

__all__ = ["shift_plot"]

_TOLD = 12  # units told one by one in the alt text


def shift_plot(
    labels: Sequence[str],
    shift: ArrayLike,
    error: ArrayLike,
    how: Sequence[str],
    *,
    quantity: str,
    threshold: float,
    caption: str = "",
) -> Figure:
    """Draw a shift and its Monte Carlo error for each unit, the first unit on top.

    Parameters
    ----------
    labels : sequence of str
        One a unit.
    shift, error : array_like, shape (n,)
        Shift in posterior standard deviations and its Monte Carlo standard error (NaN: not drawn).
    how : sequence of str
        How each shift was found; told apart by colour and marker and named in a legend.
    quantity : str
        What is shifted.
    threshold : float
        Shifts within plus and minus this lie on a grey band.
    caption : str
        Defaults to a sentence.

    Returns
    -------
    Figure
        SVG.

    Raises
    ------
    ValueError
        If lengths differ or there is nothing to draw.
    """
    middle, spread = np.asarray(shift, dtype=float), np.asarray(error, dtype=float)
    if not len(labels) or len({len(labels), len(middle), len(spread), len(how)}) != 1:
        raise ValueError(f"labels, shift, error and how have {len(labels)}, {len(middle)}, {len(spread)}, {len(how)} entries.")
    page = canvas(7.4, 1.05 + 0.27 * len(labels))
    ax = page.axes
    rows = np.arange(len(labels))[::-1]
    ax.axvspan(-threshold, threshold, color=GRID, alpha=0.6, lw=0)
    ax.axvline(0.0, color=INK, lw=0.8)
    reach = np.where(np.isfinite(spread), 2.0 * spread, 0.0)
    for place, kind in enumerate(dict.fromkeys(how)):
        here = np.array([h == kind for h in how])
        look = style(place)
        ax.hlines(rows[here], (middle - reach)[here], (middle + reach)[here], color=look.colour, lw=1.6)
        ax.plot(middle[here], rows[here], look.marker, color=look.colour, ms=6.5, mec="white", mew=0.8, ls="", label=kind)
    row_labels(page, rows, labels)
    ax.set_ylim(-0.7, len(labels) - 0.3)
    ax.margins(x=0.06)
    ax.set_xlabel(label_text(f"shift of {quantity} without the unit, posterior sd", 90), parse_math=False)
    ax.grid(axis="x")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    rows_told = [f"{n} {m:+.2f} ({h})" for n, m, h in zip(labels, middle, how, strict=True)][:_TOLD]
    more = f"; and {len(labels) - _TOLD} more units" if len(labels) > _TOLD else ""
    alt = f"Shift of {quantity} in posterior standard deviations when one unit is left out: {'; '.join(rows_told)}{more}."
    told = f"Lines are two Monte Carlo standard errors; the grey band is {threshold:g} posterior sd to either side."
    return page.figure(alt, caption or f"How far {quantity} moves when one unit is left out. {told}")
