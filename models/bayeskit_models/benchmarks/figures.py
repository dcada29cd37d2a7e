"""Figures of a benchmark fit: leaderboard, ranks, shares of variance, difficulty of items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError
from bayeskit.estimands import interval, rank_interval, rank_probabilities
from bayeskit.report.content import Figure, interval_phrase
from bayeskit.report.drawing import canvas, label_text
from bayeskit.report.figures import interval_plot
from bayeskit.report.matrices import rank_plot
from bayeskit.report.palette import INK, style
from bayeskit_models.benchmarks.each_unit import draw_effects

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.benchmark_fit import BenchmarkFit, Population

__all__ = ["FACET_WORDS", "components_figure", "items_figure", "leaderboard_figure", "rank_figure", "rank_words"]

FloatArray = NDArray[np.float64]

FACET_WORDS = {
    "model": "models", "cluster": "clusters of items", "item": "items", "model_cluster": "models x clusters",
    "model_item": "models x items", "run": "training runs", "template": "templates", "model_template": "models x templates",
    "item_run": "items x runs", "item_template": "items x templates", "model_item_template": "models x items x templates",
    "run_template": "runs x templates", "item_run_template": "items x runs x templates", "within": "one sample",
}  # fmt: skip
"""Variance components as people say them."""

_SHOWN = 60  # rows of a leaderboard that can be read
_RANKED = 40  # models in a matrix of ranks
_DRAWS = 200
_BINS = 25


def rank_words(lower: float, upper: float) -> str:
    """An interval of ranks in words."""
    return f"{lower:.0f}" if lower == upper else f"{lower:.0f} to {upper:.0f}"


def leaderboard_figure(fit: BenchmarkFit, benchmark: str | None, items: Population | None, prob: float) -> Figure:
    """See `BenchmarkFit.plot_leaderboard`."""
    board = fit.leaderboard(benchmark, items=items, prob=prob)
    draws = fit.score_draws(benchmark, items)
    place = {name: k for k, name in enumerate(fit.models)}
    shown = board.table.head(_SHOWN)
    median = [float(np.median(draws[:, place[str(name)]])) for name in shown.index]
    ranks = [f"rank {rank_words(a, b)}" for a, b in zip(shown["rank_lower"], shown["rank_upper"], strict=True)]
    where = "mean over benchmarks" if benchmark is None and len(fit.benchmarks) > 1 else benchmark or ""
    rest = f" The best {_SHOWN} of {len(board.table)} models." if len(board.table) > _SHOWN else ""
    caption = (
        f"Expected score{f' ({where})' if where else ''}, about {board.population}: medians with "
        f"{interval_phrase(prob, 'eti')} intervals of score and, at the right, of rank.{rest}"
    )
    xlabel = f"expected score{f', {where}' if where else ''}; about {board.population}"
    return interval_plot(
        [str(name) for name in shown.index], median, shown["lower"], shown["upper"], prob=prob, xlabel=xlabel, notes=ranks,
        caption=caption,
    )  # fmt: skip


def rank_figure(fit: BenchmarkFit, benchmark: str | None, items: Population | None, prob: float) -> Figure:
    """See `BenchmarkFit.plot_ranks`."""
    scores, drawn = fit.score_draws(benchmark, items), fit.rank_draws(benchmark, items)
    order = np.argsort(-scores.mean(0), kind="stable")
    if len(order) > _RANKED:
        raise SpecificationError(f"plot_ranks: a matrix of {len(order)} models cannot be read; {_RANKED} can. Use ranks().")
    bounds = rank_interval(drawn, prob)[order]
    where = "" if benchmark is None else f" on {benchmark}"
    caption = (
        f"Posterior probability of every rank{where}, in percent, about {fit._words(items)}; darker is more probable. Frames "
        f"are {interval_phrase(prob, 'eti')} rank intervals."
    )
    return rank_plot(
        [fit.models[k] for k in order], rank_probabilities(drawn)[order], lower=bounds[:, 0], upper=bounds[:, 1], prob=prob,
        caption=caption,
    )  # fmt: skip


def components_figure(fit: BenchmarkFit, benchmark: str | None, prob: float) -> Figure:
    """See `BenchmarkFit.plot_components`."""
    shares = fit.components(benchmark).shares()
    table = shares.table(prob)
    caption = (
        f"{shares.label[:1].upper()}{shares.label[1:]}: medians with {interval_phrase(prob, 'eti')} intervals, about "
        f"{shares.population}. A x B is what two facets do together."
    )
    return interval_plot(
        [FACET_WORDS[str(name)] for name in table.index], table["median"], table["lower"], table["upper"], prob=prob,
        xlabel="share of the variance of one sample's score", caption=caption,
    )  # fmt: skip


def items_figure(fit: BenchmarkFit, benchmark: str | None, prob: float) -> Figure:
    """See `BenchmarkFit.plot_items`."""
    effects, sd, units = _item_effects(fit, benchmark)
    reach = float(np.quantile(np.abs(effects), 0.999)) * 1.05
    edges = np.linspace(-reach, reach, _BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    found = np.stack([np.histogram(row, edges)[0] for row in effects]).astype(float)
    ends = interval(found, prob)
    expected = _normal_counts(edges, sd, effects.shape[1]).mean(0)
    page = canvas(7.4, 3.2)
    ax, look = page.axes, style(0)
    ax.bar(
        middle, np.median(found, axis=0), width=np.diff(edges), color=look.colour, alpha=0.3, lw=0, label="items of the table"
    )
    ax.vlines(middle, ends[:, 0], ends[:, 1], color=look.colour, lw=1.3)
    ax.plot(middle, expected, color=INK, dashes=style(1).dashes, lw=1.6, label="the normal law that is fitted")
    ax.set_xlim(-reach, reach)
    ax.set_ylim(0.0, None)
    ax.set_xlabel(label_text(f"effect of an item ({units}): hard at the left, easy at the right", 90), parse_math=False)
    ax.set_ylabel("number of items")
    ax.grid(axis="y")
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.3)
    low, high = interval(sd, prob)
    shares = [float((part / effects.shape[1]).mean()) for part in _parts(effects, sd)]
    told = (
        f"{effects.shape[1]} items, standard deviation {np.median(sd):.3g} {units} ({low:.3g} to {high:.3g}); "
        f"{shares[0]:.1%} are harder than one standard deviation below the mean, {shares[1]:.1%} easier than one above "
        "(a normal law: 15.9 % each)"
    )
    phrase = f"Bars are medians, lines {interval_phrase(prob, 'eti')} intervals"
    rest = "Items that everybody solves, or nobody, lie where the normal law puts them."
    return page.figure(
        f"How the difficulty of items is distributed: {told}. {phrase}.",
        f"Effects of the table's own items, drawn given their answers, and the law of new ones: {told}. {phrase}. {rest}",
    )


def _item_effects(fit: BenchmarkFit, benchmark: str | None) -> tuple[FloatArray, FloatArray, str]:
    """Draws (S, items) of the effects of a benchmark's items, (S,) of their standard deviation, and their units."""
    statistics = fit._need_statistics("draw the items' effects")
    if statistics.attrs["integrated"] != "item":
        raise SpecificationError("plot_items: the table has no items (item=None), so there is no difficulty to show.")
    if benchmark is None and len(fit.benchmarks) > 1:
        raise SpecificationError(f"benchmark: name one of {', '.join(fit.benchmarks[:10])}.")
    place = 0 if benchmark is None else fit._place(benchmark, fit.benchmarks, "benchmark")
    law, found, rng = fit.spec.law, fit.predictor, np.random.default_rng(0)
    member = statistics["member_unit"].values
    home = statistics["unit_benchmark"].values[member]
    inner = found.sd.get("item_model_sd", np.zeros_like(found.outer))
    take = np.linspace(0, len(found) - 1, min(len(found), _DRAWS)).astype(int)
    out = np.empty((len(take), int((home == place).sum())))
    for row, s in zip(out, take, strict=True):
        z = draw_effects(law, law.given(found, s, inner), statistics, rng.uniform(size=member.size))
        row[:] = (found.shift[s, member] + found.outer[s, home] * z)[home == place]
    parts = [found.sd[name][take, place] ** 2 for name in ("item_sd", "cluster_sd") if name in found.sd]
    return found.unit[1] * out, found.unit[1] * np.sqrt(sum(parts)), "units of the score" if law.linear else "log odds"


def _normal_counts(edges: FloatArray, sd: FloatArray, size: int) -> FloatArray:
    """Expected numbers of items in bins, (S, bins)."""
    from scipy.stats import norm

    return np.asarray(size * np.diff(norm.cdf(edges / sd[:, None]), axis=1))


def _parts(effects: FloatArray, sd: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Numbers of items beyond one standard deviation to each side, draw by draw."""
    return (effects < -sd[:, None]).sum(1), (effects > sd[:, None]).sum(1)
