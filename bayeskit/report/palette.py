"""Colours that people with any colour vision tell apart, never used without a second mark.

Okabe and Ito (2008), Color Universal Design. Yellow is left out: it has no contrast with a white page. Series
are told apart by marker and dash as well, so every figure can be read in grey.
"""

from __future__ import annotations

__all__ = ["DASHES", "GRID", "INK", "MARKERS", "MUTED", "SERIES", "SHADES", "Style", "style"]

from typing import NamedTuple

INK = "#1c2126"
MUTED = "#5b6570"  # 6:1 on white
GRID = "#dfe3e8"

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2", "#D55E00", "#008060", "#A8578A", "#B37400", "#3A87AD", "#1c2126",
)  # fmt: skip
"""Okabe and Ito's hues; four of them darkened to 3:1 contrast with white (WCAG 1.4.11)."""

SERIES: tuple[str, ...] = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS: tuple[str, ...] = ("o", "s", "D", "^", "v", "P", "X")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2), (3, 1), (8, 2), (2, 3))

SHADES: tuple[str, ...] = ("#ffffff", "#d9e8f3", "#a6cbe3", "#5ba3cf", "#0072B2", "#00426b")
"""White to deep blue, monotone in lightness: more is darker."""


class Style(NamedTuple):
    """How one series is drawn."""

    colour: str
    marker: str
    dashes: tuple[float, ...]


def style(index: int) -> Style:
    """Return the look of series `index`; after seven, colours repeat with other markers and dashes."""
    size = len(SERIES)
    shift = index // size
    return Style(SERIES[index % size], MARKERS[(index + shift) % size], DASHES[(index + shift) % size])
