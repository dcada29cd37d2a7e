"""Figures for reports: pictures with their content in words, drawn the same everywhere.

Every function returns a `Figure` whose alt text holds the numbers. Series differ by marker and dash as well
as by colour. Text is drawn as outlines, so a figure looks the same on every machine and no label can become
markup; labels are never read as mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bayeskit.report.content import Figure, format_number, interval_phrase
from bayeskit.report.drawing import canvas, label_text, row_labels
from bayeskit.report.matrices import matrix_plot, rank_plot
from bayeskit.report.palette import INK, MUTED, SERIES, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "curve_plot",
    "density_plot",
    "ecdf_difference_plot",
    "interval_plot",
    "matrix_plot",
    "rank_plot",
    "smooth_density",
]

_TOLD = 12  # items told one by one in an alt text


def interval_plot(
    labels: Sequence[str],
    median: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    prob: float = 0.95,
    kind: str = "eti",
    inner: tuple[ArrayLike, ArrayLike] | None = None,
    groups: Sequence[str] | None = None,
    reference: float | None = None,
    reference_label: str = "",
    xlabel: str = "",
    values: bool = True,
    notes: Sequence[str] | None = None,
    integer: bool = False,
    caption: str = "",
) -> Figure:
    """Draw a point and an interval for each label, first label on top.

    Parameters
    ----------
    labels : sequence of str
        One a row.
    median, lower, upper : array_like, shape (n,)
        Point and ends of the intervals.
    prob, kind : float, {"eti", "hdi"}
        What the intervals are; stated in the caption and the alt text.
    inner : pair of array_like, optional
        Ends of a second, narrower interval, drawn thick.
    groups : sequence of str, optional
        Group of each row, told apart by colour and marker and named in a legend.
    reference : float, optional
        Where to draw a dashed line.
    reference_label : str
        What the line is.
    xlabel : str
        Quantity and units.
    values : bool
        Print the numbers at the right.
    notes : sequence of str, optional
        What stands behind the numbers of each row, such as ranks.
    integer : bool
        Ticks at whole numbers (ranks).
    caption : str
        Defaults to a sentence that names the quantity and the interval.

    Returns
    -------
    Figure
        SVG.

    Raises
    ------
    ValueError
        If lengths differ or there is nothing to draw.
    """
    mid, low, high = (np.asarray(v, dtype=float) for v in (median, lower, upper))
    _same_length(labels=labels, median=mid, lower=low, upper=high, notes=labels if notes is None else notes)
    size = len(labels)
    places = 0 if integer else _places(low, high)
    page = canvas(7.4, 0.62 + 0.27 * size + (0.25 if groups or reference_label else 0.0))
    ax = page.axes
    rows = np.arange(size)[::-1]
    pairs = None if inner is None else np.array([np.asarray(v, dtype=float) for v in inner])
    for g, name in enumerate(dict.fromkeys(groups or [""])):
        which = np.array([groups is None or groups[i] == name for i in range(size)])
        _intervals(ax, g, rows[which], mid[which], low[which], high[which], None if pairs is None else pairs[:, which])
        ax.lines[-1].set_label("" if groups is None else _series_label(name))
    row_labels(page, rows, labels)
    _reference(ax, reference, reference_label)
    ax.set_ylim(-0.7, size - 0.3)
    ax.margins(x=0.04)
    if integer:
        ax.xaxis.set_major_locator(_whole_numbers())
    ax.set_xlabel(label_text(xlabel, 90), parse_math=False)
    ax.grid(axis="x")
    behind = [f"   {note}" for note in notes] if notes is not None else [""] * size
    if values:
        for row, m, a, b, note in zip(rows, mid, low, high, behind, strict=True):
            _value_text(ax, float(row), f"{_tell(m, places)}  [{_tell(a, places)}, {_tell(b, places)}]{note}")
    _legend(ax)
    phrase = f"{interval_phrase(prob, kind)} intervals"
    told = _rows_told(labels, mid, low, high, places, notes)
    alt = f"Medians with {phrase}{f' of {xlabel}' if xlabel else ''}: {told}."
    return page.figure(alt, caption or f"{_sentence(xlabel)}Points are medians, lines {phrase}.")


def _intervals(
    ax: Axes, series: int, rows: np.ndarray, mid: np.ndarray, low: np.ndarray, high: np.ndarray, inner: np.ndarray | None
) -> None:
    """Draw points and lines of one group."""
    look = style(series)
    ax.hlines(rows, low, high, color=look.colour, lw=1.6)
    if inner is not None:
        ax.hlines(rows, *inner, color=look.colour, lw=4.2)
    ax.plot(mid, rows, look.marker, color=look.colour, ms=6.5, mec="white", mew=0.8, ls="")


def _rows_told(
    labels: Sequence[str], mid: np.ndarray, low: np.ndarray, high: np.ndarray, places: int, notes: Sequence[str] | None
) -> str:
    """Return the rows of an interval figure in words, the first ones only where there are many."""
    behind = [f", {note}" for note in notes] if notes is not None else [""] * len(labels)
    rows = list(zip(labels, mid, low, high, behind, strict=True))
    told = "; ".join(
        f"{label} {_tell(m, places)} ({_tell(a, places)} to {_tell(b, places)}){note}" for label, m, a, b, note in rows[:_TOLD]
    )
    return f"{told}; and {len(rows) - _TOLD} more rows" if len(rows) > _TOLD else told


def density_plot(
    draws: Mapping[str, ArrayLike],
    *,
    xlabel: str = "",
    prior: ArrayLike | None = None,
    reference: float | None = None,
    reference_label: str = "",
    prob: float = 0.95,
    caption: str = "",
) -> Figure:
    """Draw smoothed densities of draws, up to seven, and of the prior where it is given.

    Parameters
    ----------
    draws : mapping of str to array_like
        Draws by label, any shape.
    xlabel : str
        Quantity and units.
    prior : array_like, optional
        Draws of the prior, drawn as a grey area. The axis follows the posterior.
    reference, reference_label : float, str, optional
        Where to draw a dashed line, and what it is.
    prob : float
        Probability of the equal-tailed intervals told in the alt text.
    caption : str
        Defaults to a sentence.

    Returns
    -------
    Figure
        SVG.
    """
    series = {k: _finite(v, k) for k, v in draws.items()}
    if not 0 < len(series) <= len(SERIES):
        raise ValueError(f"draws holds {len(series)} series; 1 to {len(SERIES)} can be told apart in one figure.")
    pooled = np.concatenate(list(series.values()))
    low, high = np.quantile(pooled, (0.001, 0.999))
    pad = 0.08 * (high - low) or 1.0
    grid = np.linspace(low - pad, high + pad, 256)
    page = canvas(7.4, 2.9)
    ax = page.axes
    if prior is not None:
        ax.fill_between(grid, smooth_density(_finite(prior, "prior"), grid), color="#c9ced4", lw=0, label="prior")
    for i, (name, x) in enumerate(series.items()):
        look = style(i)
        ax.plot(
            grid,
            smooth_density(x, grid),
            color=look.colour,
            dashes=look.dashes or (1, 0),
            lw=1.9,
            label=_series_label(name),
        )
    _reference(ax, reference, reference_label)
    ax.set_ylim(bottom=0)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(label_text(xlabel, 90), parse_math=False)
    _legend(ax)
    told = _series_told(series, prob)
    against = " The prior is drawn behind." if prior is not None else ""
    alt = f"Posterior density{f' of {xlabel}' if xlabel else ''}: {told}.{against}"
    return page.figure(alt, caption or f"Posterior density{f' of {xlabel}' if xlabel else ''}.{against}")


def _series_told(series: Mapping[str, np.ndarray], prob: float) -> str:
    """Median and equal-tailed interval of every series in words."""
    tail = (1 - prob) / 2
    told = []
    for name, x in series.items():
        a, m, b = np.quantile(x, (tail, 0.5, 1 - tail))
        places = _places(np.array([a]), np.array([b]))
        told.append(
            f"{name} median {_tell(m, places)}, {100 * prob:g} % equal-tailed interval {_tell(a, places)} to {_tell(b, places)}"
        )
    return "; ".join(told)


def curve_plot(
    x: ArrayLike,
    curves: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]],
    *,
    xlabel: str = "",
    ylabel: str = "",
    prob: float = 0.95,
    kind: str = "eti",
    observed_until: float | None = None,
    ylim: tuple[float, float] | None = None,
    caption: str = "",
) -> Figure:
    """Draw curves with bands: survival over time, a quantity over a dial.

    Parameters
    ----------
    x : array_like, shape (n,)
        Where the curves are evaluated, ascending.
    curves : mapping of str to (median, lower, upper)
        Up to seven, each array of shape (n,). Bands are pointwise.
    xlabel, ylabel : str
        Quantities and units.
    prob, kind : float, {"eti", "hdi"}
        What the bands are.
    observed_until : float, optional
        Largest observed x; what lies beyond is shaded and called extrapolation.
    ylim : pair of float, optional
        Limits of the y axis.
    caption : str
        Defaults to a sentence.

    Returns
    -------
    Figure
        SVG.
    """
    at = np.asarray(x, dtype=float)
    if not 0 < len(curves) <= len(SERIES):
        raise ValueError(f"curves holds {len(curves)} series; 1 to {len(SERIES)} can be told apart in one figure.")
    page = canvas(7.4, 3.6)
    ax = page.axes
    told = []
    for i, (name, parts) in enumerate(curves.items()):
        mid, low, high = (np.asarray(v, dtype=float) for v in parts)
        _same_length(x=at, median=mid, lower=low, upper=high)
        look = style(i)
        ax.fill_between(at, low, high, color=look.colour, alpha=0.16, lw=0)
        ax.plot(at, mid, color=look.colour, dashes=look.dashes or (1, 0), lw=1.9, label=_series_label(name))
        ends = [f"at {_tell(at[j])} {_tell(mid[j])} ({_tell(low[j])} to {_tell(high[j])})" for j in _marks(len(at))]
        told.append(f"{name}: {', '.join(ends)}")
    beyond = _beyond_data(ax, observed_until, float(at[-1]))
    ax.set_xlim(at[0], at[-1])
    if ylim is not None:
        ax.set_ylim(*ylim)
    ax.set_xlabel(label_text(xlabel, 90), parse_math=False)
    ax.set_ylabel(label_text(ylabel, 60), parse_math=False)
    ax.grid()
    _legend(ax)
    phrase = f"pointwise {interval_phrase(prob, kind)} bands"
    alt = f"{ylabel or 'Curves'} over {xlabel or 'x'} with {phrase}. {'; '.join(told)}.{beyond}"
    default = f"{_sentence(ylabel)}Lines are medians, areas {phrase}.{beyond}"
    return page.figure(alt, caption or default)


def _beyond_data(ax: Axes, observed_until: float | None, end: float) -> str:
    """Hatch what lies beyond the data and return the sentence that says so."""
    if observed_until is None or observed_until >= end:
        return ""
    ax.axvspan(observed_until, end, facecolor="none", edgecolor="#b9c0c8", hatch="///", lw=0, zorder=0)
    return f" Beyond {_tell(observed_until)} (hatched) there are no data: extrapolation."


def ecdf_difference_plot(curves: Mapping[str, ArrayLike], count: int, size: int, bound: float, *, caption: str = "") -> Figure:
    """Draw what simulation-based calibration found: how far ranks are from uniform, with a simultaneous band.

    Parameters
    ----------
    curves : mapping of str to array_like, shape (count - 1,)
        ECDF of the ranks minus the uniform one, at ``1 / count, 2 / count, ...``.
    count : int
        Number of values that a rank can take.
    size : int
        Number of ranks.
    bound : float
        Limit of the standardised difference; the band is ``bound * sqrt(t (1 - t) / size)``.
    caption : str
        Defaults to a sentence.

    Returns
    -------
    Figure
        SVG (Saeilynoja, Buerkner, Vehtari 2022, Statistics and Computing 32:32).
    """
    grid = np.arange(1, count) / count
    band = bound * np.sqrt(grid * (1 - grid) / size)
    page = canvas(7.4, 3.2)
    ax = page.axes
    ax.fill_between(grid, -band, band, color="#dfe3e8", lw=0, label="expected")
    ax.axhline(0, color=MUTED, lw=0.8)
    told = []
    for i, (name, values) in enumerate(curves.items()):
        y = np.asarray(values, dtype=float)
        _same_length(grid=grid, **{"curve": y})
        look = style(i)
        ax.step(
            grid,
            y,
            where="mid",
            color=look.colour,
            dashes=look.dashes or (1, 0),
            lw=1.5,
            label=_series_label(name),
        )
        worst = int(np.argmax(np.abs(y) / band))
        verdict = "leaves the band" if abs(y[worst]) > band[worst] else "stays inside"
        told.append(f"{name} {verdict}, largest difference {_tell(y[worst])} at {grid[worst]:.2f}")
    ax.set_xlabel("rank as a fraction")
    ax.set_ylabel("ECDF difference")
    _legend(ax)
    alt = f"Difference of rank ECDFs from uniform, {size} simulations: {'; '.join(told)}."
    return page.figure(
        alt,
        caption or f"Calibration: ECDF differences of {size} ranks and the band in which all should stay.",
    )


def _same_length(**parts: Any) -> None:
    lengths = {k: len(v) for k, v in parts.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        told = ", ".join(f"{k} {v}" for k, v in lengths.items())
        raise ValueError(f"All parts need the same length, above 0; got {told}.")


def _finite(values: ArrayLike, name: str) -> np.ndarray:
    x = np.asarray(values, dtype=float).ravel()
    x = x[np.isfinite(x)]
    if x.size < 2:
        raise ValueError(f"Series {name!r} has fewer than two finite draws: there is no density to draw.")
    return x


def smooth_density(x: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Gaussian kernel density on a fine histogram (Silverman's rule), without SciPy's slow import."""
    spread = min(float(x.std()), float(np.subtract(*np.quantile(x, (0.75, 0.25)))) / 1.349 or math.inf)
    step = grid[1] - grid[0]
    width = max(0.9 * spread * x.size**-0.2, step)
    reach = math.ceil(4 * width / step)
    # Draws beyond the grid count at its edges, so the histogram goes as far as the kernel reaches.
    edges = grid[0] - step / 2 + step * np.arange(-reach, grid.size + reach + 1)
    counts = np.histogram(x, edges)[0] / (x.size * step)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / width) ** 2)
    return np.convolve(counts, kernel / kernel.sum(), mode="valid")


def _marks(size: int) -> list[int]:
    return sorted({0, size // 2, size - 1})


def _tell(value: float, places: int | None = None) -> str:
    return format_number(float(value), None if places is None else 10.0**-places)


def _places(low: np.ndarray, high: np.ndarray) -> int:
    """Decimals that show half an interval with one to two digits: about what some thousand draws support."""
    half = (high - low) / 2
    half = half[np.isfinite(half) & (half > 0)]
    return min(6, max(0, -math.floor(math.log10(float(np.median(half)) / 2)))) if half.size else 2


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}. " if text else ""


def _whole_numbers() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)


def _reference(ax: Axes, value: float | None, label: str) -> None:
    if value is not None:
        ax.axvline(value, color=INK, lw=1.0, dashes=(4, 3), zorder=1, label=_series_label(label) if label else "_")


def _value_text(ax: Axes, row: float, text: str) -> None:
    ax.annotate(
        text.replace("-", "−"), (1.0, row), xycoords=("axes fraction", "data"), xytext=(8, 0),
        textcoords="offset points", ha="left", va="center", fontsize=8, color=INK, parse_math=False,
    )  # fmt: skip


def _series_label(name: object) -> str:
    text = label_text(name) or "(empty)"
    return f" {text}" if text.startswith("_") else text  # Matplotlib hides a label that begins with "_"


def _legend(ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if not handles or (len(handles) == 1 and labels[0] == "(empty)"):
        return
    legend = ax.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=min(len(handles), 4),
        frameon=False,
        handlelength=2.6,
        borderaxespad=0.3,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
