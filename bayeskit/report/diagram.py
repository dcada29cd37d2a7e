"""Figure of the model: which assumption enters which, from left to right, down to the data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayeskit.report.content import Figure
from bayeskit.report.drawing import canvas, label_text
from bayeskit.report.palette import INK, MUTED, SERIES, SHADES

__all__ = ["dependency_diagram"]

_LINE = 0.3  # inches of a box
_GAP = 0.9  # inches between columns
_LETTER = 0.078  # inches of a letter


@dataclass(frozen=True)
class _Box:
    """Where a part of the model is drawn: left edge, middle, width and height in inches."""

    x: float
    y: float
    width: float
    height: float


def dependency_diagram(
    entering: Mapping[str, Sequence[str]], dims: Mapping[str, Sequence[str]], constants: Sequence[str] = ()
) -> Figure:
    """Draw an arrow from every assumption to whatever it enters.

    Parameters
    ----------
    entering : mapping of str to sequence of str
        For each part of the model, the parts that enter it.
    dims : mapping of str to sequence of str
        Dimensions of variables: there is one for each element.
    constants : sequence of str
        Parts that are numbers and no variables: drawn with a dashed edge.

    Returns
    -------
    Figure
        SVG; the same as words in `alt` and as Mermaid text.

    Raises
    ------
    ValueError
        If no part enters another.
    """
    parts = list(dict.fromkeys([*(s for sources in entering.values() for s in sources), *entering]))
    edges = [(source, target) for target, sources in entering.items() for source in sources]
    if not edges:
        raise ValueError("No part of the model enters another: there is nothing to draw.")
    labels = {p: label_text(p, 34) + (f" [{', '.join(dims[p])}]" if dims.get(p) else "") for p in parts}
    boxes = _placed(parts, edges, labels)
    width, height = (max(b.x + b.width for b in boxes.values()), max(b.y + b.height / 2 for b in boxes.values()))
    width += 0.05
    page = canvas(width, height + 0.1)
    page.axes.set(xlim=(0.0, width), ylim=(0.0, height + 0.1))
    page.axes.set_axis_off()
    page.page.subplots_adjust(0.0, 0.0, 1.0, 1.0)
    _draw(page.axes, boxes, edges, labels, frozenset(constants), frozenset(t for t in entering if t.startswith("likelihood")))
    told = "; ".join(f"{target} takes {', '.join(sources)}" for target, sources in entering.items() if sources)
    alt = f"Diagram of {len(parts)} parts of the model and {len(edges)} arrows. {told}."
    caption = (
        "What enters what: an arrow leads from an assumption to what uses it. In brackets: one for each of these. "
        "Dashed: numbers that the data do not inform."
    )
    figure = page.figure(alt, caption)
    return Figure(figure.data, figure.alt, figure.caption, mermaid=_mermaid(labels, edges))


def _placed(parts: Sequence[str], edges: Sequence[tuple[str, str]], labels: Mapping[str, str]) -> dict[str, _Box]:
    """Columns by the longest way to the end, so that every arrow leads to the right; in the order of `parts` from the top."""
    depth = dict.fromkeys(parts, 0)
    for _ in parts:  # the longest way has fewer steps than there are parts; one that turns in a circle ends here too
        for source, target in edges:
            depth[source] = min(max(depth[source], depth[target] + 1), len(parts))
    columns = [[p for p in parts if depth[p] == d] for d in sorted(set(depth.values()), reverse=True)]
    arriving = {p: sum(target == p for _, target in edges) for p in parts}
    tall = {p: max(_LINE, 0.1 * arriving[p]) for p in parts}
    height = max(sum(tall[p] + 0.1 for p in column) for column in columns)
    out, x = {}, 0.05
    for column in columns:
        width = 0.3 + _LETTER * max(len(labels[p]) for p in column)
        top = height / 2 + sum(tall[p] + 0.1 for p in column) / 2
        for p in column:
            out[p] = _Box(x, top - tall[p] / 2 - 0.05, width, tall[p])
            top -= tall[p] + 0.1
        x += width + _GAP
    return out


def _draw(
    axes: Any,
    boxes: Mapping[str, _Box],
    edges: Sequence[tuple[str, str]],
    labels: Mapping[str, str],
    constants: frozenset[str],
    ends: frozenset[str],
) -> None:
    from matplotlib.patches import FancyArrowPatch, Rectangle

    arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 8, "lw": 0.9, "color": MUTED, "shrinkA": 0, "shrinkB": 0}
    for target in dict.fromkeys(t for _, t in edges):
        sources = sorted((s for s, t in edges if t == target), key=lambda s: -boxes[s].y)
        box = boxes[target]
        heights = box.y + box.height * (0.5 - (np.arange(len(sources)) + 0.5) / len(sources))
        for source, y in zip(sources, heights, strict=True):
            start = (boxes[source].x + boxes[source].width, boxes[source].y)
            axes.add_patch(FancyArrowPatch(start, (box.x, y), **arrow))
    for part, box in boxes.items():
        edge: dict[str, Any] = {"ec": SERIES[0], "lw": 1.3, "ls": "--" if part in constants else "-", "zorder": 3}
        corner = (box.x, box.y - box.height / 2)
        axes.add_patch(Rectangle(corner, box.width, box.height, fc=SHADES[1] if part in ends else "white", **edge))
        axes.text(
            box.x + box.width / 2, box.y, labels[part], ha="center", va="center", fontsize=8.5, color=INK, zorder=4,
            parse_math=False,
        )  # fmt: skip


def _mermaid(labels: Mapping[str, str], edges: Sequence[tuple[str, str]]) -> str:
    """The same for whatever draws Mermaid: numbered nodes, and labels of letters, digits and few signs only."""
    number = {part: f"p{k}" for k, part in enumerate(labels)}
    nodes = [f'  {number[p]}["{_STRANGE.sub(" ", label.translate(_ROUND))}"]' for p, label in labels.items()]
    return "\n".join(["flowchart LR", *nodes, *(f"  {number[s]} --> {number[t]}" for s, t in edges)])


_ROUND = str.maketrans("[]", "()")
_STRANGE = re.compile(r"[^\w ,.()-]")
