"""Figures of what a claim does when dials are turned: the path over one dial, the map over two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.report.content import Figure, format_number
from bayeskit.report.drawing import Canvas, canvas, label_text
from bayeskit.report.palette import INK, MUTED, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["map_plot", "path_plot"]

_TOLD = 12  # points told one by one in an alt text
_KINDS = ("as fitted", "refitted", "reweighted")


def path_plot(
    values: Sequence[float],
    quantity: Sequence[float],
    error: Sequence[float],
    how: Sequence[str],
    *,
    threshold: float,
    base: float,
    flip: tuple[float, float, float],
    prob: float,
    log: bool,
    xlabel: str,
    ylabel: str,
    unusable: Sequence[float] = (),
) -> Figure:
    """Draw a number over a dial, the threshold it is compared with, and where it passes it.

    Parameters
    ----------
    values, quantity, error : sequence of float, length n
        The dial, the number, and its Monte Carlo standard error (bars are 1.96 of them).
    how : sequence of str, length n
        "as fitted", "refitted" or "reweighted": told apart by marker and colour.
    threshold, base : float
        What the number is compared with (NaN: no line), and the dial in the fit.
    flip : tuple of float
        Where it flips and the interval of that; NaN: not drawn.
    prob : float
        Probability of that interval.
    log : bool
        Logarithmic axis.
    xlabel, ylabel : str
        Dial, and claim.
    unusable : sequence of float
        Values of the dial without a number that counts, marked below.

    Returns
    -------
    Figure
        SVG.
    """
    x, y, s = (np.asarray(v, dtype=float) for v in (values, quantity, error))
    page = canvas(7.4, 3.6)
    ax = page.axes
    order = np.argsort(x, kind="stable")
    ax.plot(x[order], y[order], color=MUTED, lw=0.8, zorder=1)
    for i, kind in enumerate(_KINDS):
        which = np.array([h == kind for h in how], dtype=bool)
        if which.any():
            look = style(i)
            ax.errorbar(x[which], y[which], 1.96 * s[which], fmt=look.marker, color=look.colour, ms=5.5, lw=1.2, label=kind)
    if math.isfinite(threshold):
        ax.axhline(threshold, color=INK, lw=1.0, dashes=(4, 3), zorder=1, label="threshold")
    if math.isfinite(flip[0]):
        ax.axvspan(flip[1], flip[2], color="#dfe3e8", lw=0, zorder=0)
        ax.axvline(flip[0], color=INK, lw=1.0, zorder=1, label="flip")
    for value in unusable:
        ax.plot([value], [0.02], "x", color=MUTED, ms=5, transform=ax.get_xaxis_transform(), clip_on=False)
    _finish(page, xlabel, ylabel, (log, False))
    known = [f"{_tell(a)}: {_tell(b)} ({h})" for a, b, h in zip(x[order], y[order], np.asarray(how)[order], strict=True)]
    picked = known if len(known) <= _TOLD else [known[int(i)] for i in np.linspace(0, len(known) - 1, _TOLD)]
    where = (
        f"The claim flips at {_tell(flip[0])} ({prob:.0%} Monte Carlo interval {_tell(flip[1])} to {_tell(flip[2])})."
        if math.isfinite(flip[0])
        else "No flip was seen."
    )
    lost = f" {len(unusable)} values have no number that counts." if len(unusable) else ""
    alt = f"{ylabel} over {xlabel}, {_tell(base)} in the fit: {'; '.join(picked)}. {where}{lost}"
    caption = f"{ylabel} over {xlabel}. Bars are 1.96 Monte Carlo standard errors. {where}"
    return page.figure(alt, f"{caption}{' Crosses: no number that counts.' if len(unusable) else ''}")


def map_plot(
    x: Sequence[float],
    y: Sequence[float],
    margin: Sequence[float],
    *,
    line: Sequence[tuple[float, float]],
    base: tuple[float, float],
    log: tuple[bool, bool],
    xlabel: str,
    ylabel: str,
    what: str,
) -> Figure:
    """Draw where a claim holds over two dials: filled where it holds, hollow where not, a cross where nothing is known.

    Parameters
    ----------
    x, y, margin : sequence of float, length n
        The dials, and how far the claim is from flipping (NaN: no number).
    line : sequence of pairs
        Where it flips.
    base : pair of float
        The dials in the fit.
    log : pair of bool
        Logarithmic axes.
    xlabel, ylabel, what : str
        The dials, and the claim.

    Returns
    -------
    Figure
        SVG.
    """
    a, b, m = (np.asarray(v, dtype=float) for v in (x, y, margin))
    page = canvas(6.2, 4.6)
    ax = page.axes
    for i, (label, which) in enumerate((("holds", m > 0), ("does not hold", m <= 0))):
        look = style(i)
        face = look.colour if i == 0 else "white"
        ax.plot(a[which], b[which], look.marker, color=look.colour, mfc=face, ms=7, ls="", label=label)
    blank = ~np.isfinite(m)
    if blank.any():
        ax.plot(a[blank], b[blank], "x", color=MUTED, ms=6, ls="", label="not computed")
    if line:
        ax.plot(*_chain(line, log), color=INK, lw=1.4, label="flip")
    ax.plot([base[0]], [base[1]], "*", color=INK, ms=12, mec="white", label="this fit")
    _finish(page, xlabel, ylabel, log)
    told = "; ".join(f"{_tell(u)}, {_tell(v)}" for u, v in list(line)[:_TOLD])
    more = f"; and {len(line) - _TOLD} more" if len(line) > _TOLD else ""
    flips = f"It flips at ({xlabel}, {ylabel}): {told}{more}." if line else "No flip was seen."
    lost = f" {int(blank.sum())} pairs are not computed." if blank.any() else ""
    alt = f"{what} over {xlabel} and {ylabel}: holds at {int((m > 0).sum())} of {len(m)} pairs. {flips}{lost}"
    return page.figure(alt, f"Where {what} holds over {xlabel} and {ylabel}, and the line along which it flips.")


def _chain(line: Sequence[tuple[float, float]], log: tuple[bool, bool]) -> Any:
    """Points in the order of a walk from one end to the nearest next one, on the scales of the axes."""
    rest = [np.array(p, dtype=float) for p in line]
    scaled = np.array([[math.log(v) if on else v for v, on in zip(p, log, strict=True)] for p in line])
    scaled = (scaled - scaled.mean(0)) / np.where(np.ptp(scaled, axis=0) > 0, np.ptp(scaled, axis=0), 1.0)
    spread = np.linalg.svd(scaled - scaled.mean(0), full_matrices=False)[2][0]
    order, left = [int(np.argmin(scaled @ spread))], set(range(len(rest)))
    left.discard(order[0])
    while left:
        nearest = min(left, key=lambda i: float(((scaled[i] - scaled[order[-1]]) ** 2).sum()))
        order.append(nearest)
        left.discard(nearest)
    return np.array([rest[i] for i in order]).T


def _finish(page: Canvas, xlabel: str, ylabel: str, log: tuple[bool, bool]) -> None:
    ax: Axes = page.axes
    if log[0]:
        ax.set_xscale("log")
        _plain_ticks(ax.xaxis)
    if log[1]:
        ax.set_yscale("log")
        _plain_ticks(ax.yaxis)
    ax.set_xlabel(label_text(xlabel, 80), parse_math=False)
    ax.set_ylabel(label_text(ylabel, 44), parse_math=False)
    ax.grid()
    legend = ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=5, frameon=False, handlelength=2.2)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _plain_ticks(axis: Any) -> None:
    """Ticks of a logarithmic axis at 1, 2, 5, written as plain numbers: powers would be read as mathematics."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10.0, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _tell(value: float) -> str:
    return format_number(float(value), None)
