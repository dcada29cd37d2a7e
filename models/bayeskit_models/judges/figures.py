"""Figures of a ranking by judges: rank probabilities, judge quality, and the simplex of three levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeskit.errors import SpecificationError
from bayeskit.estimands import interval, rank_interval, rank_probabilities
from bayeskit.report.content import Figure
from bayeskit.report.drawing import canvas, label_text
from bayeskit.report.figures import interval_plot
from bayeskit.report.matrices import rank_plot
from bayeskit.report.palette import GRID, INK, style

if TYPE_CHECKING:
    from bayeskit_models.judges.judge_fit import JudgeFit

__all__ = ["quality_figure", "rank_figure", "score_figure", "simplex_figure"]


def rank_figure(fit: JudgeFit, prob: float) -> Figure:
    """Posterior probability of every rank, with the rank intervals as frames."""
    drawn = fit.rank_draws()
    order = np.argsort(-fit.posterior_mean_scores(), kind="stable")
    bounds = rank_interval(drawn, prob)[order]
    return rank_plot(
        [fit.candidates[k] for k in order],
        rank_probabilities(drawn)[order],
        lower=bounds[:, 0],
        upper=bounds[:, 1],
        prob=prob,
    )


def score_figure(fit: JudgeFit, prob: float) -> Figure:
    """Expected true scores with intervals, best candidate on top."""
    scores = fit.score_draws()
    order = np.argsort(-fit.posterior_mean_scores(), kind="stable")
    bounds = interval(scores, prob)[order]
    units = fit.estimands["expected_score"].attrs["units"]
    return interval_plot(
        [fit.candidates[k] for k in order], np.median(scores, axis=0)[order], bounds[:, 0], bounds[:, 1], prob=prob,
        xlabel=f"expected true score ({units})", values=True,
    )  # fmt: skip


def quality_figure(fit: JudgeFit, prob: float) -> Figure:
    """Quality of the judges with intervals, 0 useless and 1 perfect."""
    quality = fit.estimands["quality"].transpose("chain", "draw", "judge")
    draws = quality.values.reshape(-1, quality.sizes["judge"])
    order = np.argsort(-draws.mean(0), kind="stable")
    bounds = interval(draws, prob)[order]
    return interval_plot(
        [str(quality["judge"].values[j]) for j in order], np.median(draws, axis=0)[order], bounds[:, 0], bounds[:, 1],
        prob=prob, xlabel="quality of the judge (0 useless, 1 perfect)", values=True,
    )  # fmt: skip


_CORNERS = np.array([[0.0, 0.0], [0.5, np.sqrt(0.75)], [1.0, 0.0]])


def simplex_figure(fit: JudgeFit) -> Figure:
    """The triangle of three levels: every judge's vertices, and the candidates' true shares.

    Raises
    ------
    SpecificationError
        If the score has not three levels: there is no triangle to draw.
    """
    if fit.spec.levels != 3:
        raise SpecificationError(f"A triangle shows three levels; this score has {fit.spec.levels}.")
    page = canvas(6.4, 5.4)
    ax = page.axes
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.fill(*_CORNERS.T, facecolor="none", edgecolor=INK, lw=1.0)
    vertices = fit.vertex_draws().mean(0) @ _CORNERS  # (J, 3, 2)
    for j, name in enumerate(map(str, fit.estimands["judge"].values)):
        look = style(j)
        dashes = (0, look.dashes) if look.dashes else "-"
        ax.fill(
            *vertices[j].T,
            facecolor="none",
            edgecolor=look.colour,
            lw=1.4,
            ls=dashes,
            label=f"judge {label_text(name, 24)}",
        )
    shares = fit.estimands["level_share"].mean(("chain", "draw")).values
    points = shares @ _CORNERS
    ax.plot(*points.T, "o", color=INK, ms=5, ls="", label="candidates (true shares)")
    for name, point in zip(fit.candidates, points, strict=True):
        ax.annotate(
            label_text(name, 22),
            point,
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=8,
            parse_math=False,
        )
    for corner, label, shift in zip(_CORNERS, fit.level_labels, ((-8, -12), (0, 8), (8, -12)), strict=True):
        ax.annotate(f"level {label}", corner, xytext=shift, textcoords="offset points", ha="center", fontsize=9)
    ax.plot(*_CORNERS.mean(0), "+", color=GRID, ms=8)
    ax.legend(loc="upper right", frameon=False, fontsize=8)
    told = "; ".join(f"{name} ({', '.join(f'{v:.2f}' for v in row)})" for name, row in zip(fit.candidates, shares, strict=True))
    return page.figure(
        f"Triangle of the three levels with the judges' vertices. Posterior mean shares of candidates at levels "
        f"{', '.join(map(str, fit.level_labels))}: {told}.",
        "Candidates at their posterior mean shares of true levels; each judge's triangle joins the distributions of its scores "
        "at the three true levels (a perfect judge's is the whole triangle).",
    )
