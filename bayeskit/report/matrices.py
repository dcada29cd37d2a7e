"""Figures of matrices of probabilities: ranks, and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bayeskit.report.content import Figure, interval_phrase
from bayeskit.report.drawing import Canvas, canvas, label_text, row_labels
from bayeskit.report.palette import INK, SHADES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["matrix_plot", "rank_plot"]

_TOLD = 12  # items told one by one in an alt text
_CELLS = 12  # largest matrix that prints a number in each cell


def rank_plot(
    labels: Sequence[str],
    probabilities: ArrayLike,
    *,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    prob: float = 0.95,
    kind: str = "eti",
    caption: str = "",
) -> Figure:
    """Draw the posterior probability of every rank: candidates down, ranks across, darker is more probable.

    Parameters
    ----------
    labels : sequence of str
        Candidates, in the order to be drawn (best first).
    probabilities : array_like, shape (K, K)
        Row k, column r: probability that candidate k has rank r + 1.
    lower, upper : array_like of int, shape (K,), optional
        Rank intervals, drawn as frames around the ranks inside.
    prob, kind : float, {"eti", "hdi"}
        What the intervals are.
    caption : str
        Defaults to a sentence.

    Returns
    -------
    Figure
        SVG.
    """
    table = np.asarray(probabilities, dtype=float)
    size = len(labels)
    if table.shape != (size, size):
        raise ValueError(f"probabilities has shape {table.shape}; {size} labels need ({size}, {size}).")
    page = canvas(min(7.4, 2.6 + 0.52 * size), 0.75 + 0.34 * size)
    _shaded(page, table, labels, [str(i + 1) for i in range(size)], 0.005)
    page.axes.set_xlabel("rank (1 is best)")
    frames = ""
    if lower is not None and upper is not None:
        low, high = np.asarray(lower, dtype=int), np.asarray(upper, dtype=int)
        for k in range(size):
            _frame(page.axes, low[k] - 1.5, k - 0.5, high[k] - low[k] + 1.0)
        frames = f" Frames are {interval_phrase(prob, kind)} rank intervals."
    told = []
    for k in range(min(size, _TOLD)):
        top = int(np.argmax(table[k]))
        inside = f", interval {low[k]} to {high[k]}" if frames else ""
        told.append(f"{labels[k]} most probably rank {top + 1} ({100 * table[k, top]:.0f} %{inside})")
    more = f"; and {size - _TOLD} more candidates" if size > _TOLD else ""
    alt = f"Posterior probability of each rank: {'; '.join(told)}{more}.{frames}"
    default = f"Posterior probability of every rank, in percent; darker is more probable.{frames}"
    return page.figure(alt, caption or default)


def matrix_plot(
    labels: Sequence[str],
    probabilities: ArrayLike,
    *,
    columns: Sequence[str] | None = None,
    what: str = "P(row above column)",
    caption: str = "",
) -> Figure:
    """Draw a matrix of probabilities, such as P(row above column), with numbers where there is room.

    Parameters
    ----------
    labels : sequence of str
        Rows.
    probabilities : array_like, shape (n, m)
        Values from 0 to 1; NaN is left blank.
    columns : sequence of str, optional
        Columns; by default the same as the rows, and then the diagonal is left blank.
    what : str
        What a cell is.
    caption : str
        Defaults to a sentence.

    Returns
    -------
    Figure
        SVG.
    """
    table = np.array(probabilities, dtype=float)
    across = list(labels if columns is None else columns)
    if table.shape != (len(labels), len(across)):
        raise ValueError(f"probabilities has shape {table.shape}; ({len(labels)}, {len(across)}) is needed.")
    if columns is None:
        np.fill_diagonal(table, np.nan)
    page = canvas(min(7.4, 2.8 + 0.52 * len(across)), 1.25 + 0.34 * len(labels))
    _shaded(page, table, labels, across, -1.0, tilt=True)
    found = zip(*np.nonzero(np.isfinite(table)), strict=True)
    # P(b above a) is the rest of P(a above b): a square matrix is told once.
    pairs = [(table[i, j], i, j) for i, j in found if columns is not None or i < j]
    pairs.sort(key=lambda t: -abs(t[0] - 0.5))
    told = "; ".join(f"{labels[i]} and {across[j]} {100 * p:.0f} %" for p, i, j in pairs[:_TOLD])
    more = f"; and {len(pairs) - _TOLD} more, nearer to 50 %" if len(pairs) > _TOLD else ""
    alt = f"{what}, row and column: {told}{more}."
    return page.figure(alt, caption or f"{what}, in percent; darker is more probable.")


def _shaded(
    page: Canvas,
    table: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    blank: float,
    tilt: bool = False,
) -> None:
    """Draw a matrix of probabilities in white to deep blue, with its percentages where there is room."""
    from matplotlib.colors import LinearSegmentedColormap

    ax = page.axes
    shades = LinearSegmentedColormap.from_list("shades", SHADES).with_extremes(bad="#f3f4f6")
    ax.pcolormesh(
        np.arange(table.shape[1] + 1) - 0.5, np.arange(table.shape[0] + 1) - 0.5, np.ma.masked_invalid(table),
        cmap=shades, vmin=0, vmax=1, edgecolors="white", linewidth=1.2,
    )  # fmt: skip
    ax.set_ylim(table.shape[0] - 0.5, -0.5)
    row_labels(page, np.arange(table.shape[0]), rows)
    names = [label_text(v, 20) for v in columns]
    turn: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if tilt else {}
    if len(names) > 30 and not tilt:
        names = [v if i % 5 == 4 or i == 0 else "" for i, v in enumerate(names)]
    ax.set_xticks(np.arange(len(names)), labels=names, parse_math=False, **turn)
    ax.tick_params(axis="x", length=0)
    for side in ("bottom", "left"):
        ax.spines[side].set_visible(False)
    if max(table.shape) > _CELLS:
        return
    for i, j in zip(*np.nonzero(np.isfinite(table) & (table > blank)), strict=True):
        colour = "white" if table[i, j] > 0.55 else INK
        ax.text(j, i, f"{100 * table[i, j]:.0f}", ha="center", va="center", fontsize=8, color=colour)


def _frame(ax: Axes, x: float, y: float, width: float) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x + 0.04, y + 0.06), width - 0.08, 0.88, fill=False, ec=INK, lw=1.3, zorder=3))
