"""The drawing surface of the figures: Matplotlib's object API, one quiet style, no display."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.report.content import Figure
from bayeskit.report.escape import one_line
from bayeskit.report.palette import GRID, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Canvas", "canvas", "label_text", "row_labels"]

_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "hatch.color": "#b9c0c8",
    "hatch.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "svg.fonttype": "path",  # outlines: the same everywhere, and a label cannot become markup
    "svg.hashsalt": "bayeskit",  # the same draws give the same bytes
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.5,
}


@dataclass(frozen=True)
class Canvas:
    """One pair of axes on a page of its own; nothing of Matplotlib's global state is touched for good."""

    page: Any
    axes: Axes

    def figure(self, alt: str, caption: str, *, raster: bool = False) -> Figure:
        """Render to SVG, or to PNG for figures with many points."""
        import matplotlib as mpl

        buffer = io.BytesIO()
        form: dict[str, Any] = {"format": "png", "dpi": 160} if raster else {"format": "svg", "metadata": _NO_METADATA}
        with mpl.rc_context(_STYLE), _Quiet():
            self.page.savefig(buffer, bbox_inches="tight", pad_inches=0.06, facecolor="white", **form)
        data = buffer.getvalue()
        # The document type names an address on the network; nobody needs it.
        data = data if raster else re.sub(rb"<!DOCTYPE[^>]*>\s*", b"", data, count=1)
        return Figure(data, one_line(alt), one_line(caption))


_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


def canvas(width: float, height: float) -> Canvas:
    """Return an empty page of the given size in inches."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Page

    with mpl.rc_context(_STYLE):
        page = Page(figsize=(width, height))
        FigureCanvasAgg(page)
        return Canvas(page, page.subplots())


def label_text(label: object, width: int = 40) -> str:
    """Return a label that fits a figure: one line, shortened in the middle; tables have it in full."""
    text = one_line(label)
    if len(text) <= width:
        return text
    head = (width - 1) * 2 // 3
    return f"{text[:head].rstrip()}…{text[len(text) - (width - 1 - head) :].lstrip()}"


def row_labels(page: Canvas, rows: np.ndarray, labels: Sequence[str]) -> None:
    """Name the rows of a figure at the left, without ticks."""
    page.axes.set_yticks(rows, labels=[label_text(v, 34) for v in labels], parse_math=False)
    page.axes.tick_params(axis="y", length=0)
    page.axes.spines["left"].set_visible(False)


class _Quiet(warnings.catch_warnings):
    """Silence complaints about signs that the font lacks; the table beside the figure has the label."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        logging.getLogger("matplotlib.mathtext").setLevel(logging.ERROR)
        return entered
