"""What a report says of a benchmark fit: who leads, by how much, why scores vary, and what another design would show."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.convergence import mean_errors
from bayeskit.estimands import interval
from bayeskit.report.content import (
    Block,
    Cell,
    Note,
    Number,
    Paragraph,
    Section,
    Table,
    interval_phrase,
    probability,
    quantile_mcse,
    short_list,
)
from bayeskit.verdict import Status
from bayeskit_models.benchmarks.figures import FACET_WORDS, rank_words
from bayeskit_models.benchmarks.populations import both_populations
from bayeskit_models.benchmarks.table_checks import moments_of_statistics, table_checks
from bayeskit_models.benchmarks.variance import sizes_of

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.benchmark_fit import BenchmarkFit

__all__ = ["sections_of"]

FloatArray = NDArray[np.float64]

_NEIGHBOURS = 40  # rows of a table that can be read
_RANKED = 20  # models whose ranks a report draws


def sections_of(fit: BenchmarkFit, prob: float) -> tuple[Section, ...]:
    """Sections in the order of the questions."""
    if fit.statistics is None:
        note = Note("not computed", "The run was loaded without its table: leaderboard and components need it.")
        return (Section("Leaderboard", "leaderboard", (note,)),)
    found = [
        _leaderboard(fit, prob), _neighbours(fit, prob), _components(fit, prob), _designs(fit, prob), _populations(fit, prob),
        _cannot_tell(fit),
    ]  # fmt: skip
    return tuple(section for section in found if section is not None)


def _numbers(fit: BenchmarkFit, draws: FloatArray, prob: float) -> tuple[Cell, Cell, Cell]:
    """Mean and ends of the equal-tailed interval of pooled draws, with their Monte Carlo errors."""
    chains = fit.posterior.sizes["chain"]
    whole = len(draws) == chains * fit.posterior.sizes["draw"]
    shaped = draws.reshape(chains if whole else 1, -1)
    error = float(mean_errors(shaped[..., None])[0])
    tail = (1.0 - prob) / 2.0
    low, high = interval(draws, prob)
    edge = quantile_mcse(error, tail)
    return Number(float(draws.mean()), error), Number(float(low), edge), Number(float(high), edge)


def _leaderboard(fit: BenchmarkFit, prob: float) -> Section:
    board = fit.leaderboard(prob=prob)
    scores = fit.score_draws()
    place = {name: k for k, name in enumerate(fit.models)}
    rows = []
    for name, row in board.table.iterrows():
        ranked = rank_words(row["rank_lower"], row["rank_upper"])
        best = probability(float(row["p_best"]), len(scores))
        rows.append((str(name), *_numbers(fit, scores[:, place[str(name)]], prob), ranked, best, str(row["tied"])))
    several = len(fit.benchmarks) > 1
    over = f", mean over {len(fit.benchmarks)} benchmarks" if several else ""
    alone = len(fit.models) == 1
    caption = f"Expected score{over}, about {board.population}: posterior means with {interval_phrase(prob, 'eti')} intervals"
    heads = ("model", "expected score", "lower", "upper", "rank interval", "P(best)", "tied")
    table = Table(heads, tuple(rows), f"{caption} of score and rank. Models that share a letter are not told apart.")
    if alone:
        table = Table(heads[:4], tuple(r[:4] for r in rows), f"{caption}.")
    blocks: list[Block] = [Paragraph(_population_sentence(fit, board.population)), table]
    if alone:
        return Section("Leaderboard", "leaderboard", tuple(blocks))
    blocks.append(fit.plot_leaderboard(prob=prob))
    if len(fit.models) <= _RANKED:
        blocks.append(fit.plot_ranks(prob=prob))
    groups = fit.tied_groups(prob=prob)
    told = "; ".join(short_list(group) for group in groups)
    blocks.append(
        Paragraph(f"Groups that the posterior does not separate with probability {prob:.0%} (a model can be in two): {told}.")
    )
    if several:
        blocks.append(_by_benchmark(fit, prob))
    return Section("Leaderboard", "leaderboard", tuple(blocks))


def _population_sentence(fit: BenchmarkFit, population: str) -> str:
    out = f"Scores and ranks are about {population}."
    if fit.statistics is not None and fit.statistics.attrs["integrated"] == "item":
        out += (
            " Models answered the same items, so differences are compared on equal terms; what the other choice of items "
            "would give stands below."
        )
    return out


def _by_benchmark(fit: BenchmarkFit, prob: float) -> Table:
    rows = []
    for label in fit.benchmarks[:_NEIGHBOURS]:
        scores = fit.score_draws(label)
        best = int(scores.mean(0).argmax())
        share = probability(float((scores.argmax(1) == best).mean()), len(scores))
        group = next(g for g in fit.tied_groups(label, prob=prob) if fit.models[best] in g)
        tied = short_list([name for name in group if name != fit.models[best]], 4) or None
        rows.append((label, fit.models[best], *_numbers(fit, scores[:, best], prob), share, tied))
    more = f" The first {_NEIGHBOURS} of {len(fit.benchmarks)}." if len(fit.benchmarks) > _NEIGHBOURS else ""
    caption = (
        f"Who leads on each benchmark, with {interval_phrase(prob, 'eti')} intervals of the leader's expected score.{more}"
    )
    return Table(("benchmark", "leader", "score", "lower", "upper", "P(best)", "not told apart from"), tuple(rows), caption)


def _neighbours(fit: BenchmarkFit, prob: float) -> Section | None:
    order = list(fit.leaderboard(prob=prob).table.index)
    if len(order) < 2:
        return None
    rows = []
    for a, b in pairwise(order[: _NEIGHBOURS + 1]):
        found = fit.compare(str(a), str(b), prob=prob)
        above = probability(found.p_better, len(found.draws))
        loss = _numbers(fit, np.maximum(-found.draws, 0.0), prob)[0]
        rows.append((f"{a} minus {b}", *_numbers(fit, found.draws, prob), above, loss))
    more = f" The first {_NEIGHBOURS} of {len(order) - 1} pairs." if len(order) - 1 > _NEIGHBOURS else ""
    caption = (
        f"Differences of neighbours on the leaderboard, about {fit._words(None)}: posterior means with "
        f"{interval_phrase(prob, 'eti')} intervals. Expected loss: score that is lost on average by taking the upper one.{more}"
    )
    heads = ("pair", "difference", "lower", "upper", "P(above)", "expected loss")
    return Section("Is the next one worse?", "neighbours", (Table(heads, tuple(rows), caption),))


def _components(fit: BenchmarkFit, prob: float) -> Section:
    alone = len(fit.benchmarks) == 1
    found = fit.components()
    shares = found.shares()
    moments = moments_of_statistics(fit._need_statistics("take mean squares"), 0) if alone else None
    rows: list[tuple[Cell, ...]] = []
    for name, draws in found.draws.items():
        variance, share = _numbers(fit, draws, prob), _numbers(fit, shares[name], prob)
        classical = () if moments is None else (_moment(getattr(moments, name, None)),)
        rows.append((FACET_WORDS[name], *variance, *classical, *share))
    middle = () if moments is None else ("mean squares",)
    heads = ("source", "variance", "lower", "upper", *middle, "share", "lower", "upper")
    beside = (
        "" if moments is None else " Mean squares: the classical estimate, without a prior or a likelihood; it may be negative."
    )
    caption = (
        f"{found.label[:1].upper()}{found.label[1:]}: posterior means with {interval_phrase(prob, 'eti')} intervals, about "
        f"{found.population}.{beside}"
    )
    blocks: list[Block] = [
        Paragraph(
            "Where the variance of a single score comes from. What models do together with items is what is left of a paired "
            "comparison when samples are many; one sample's noise falls with more samples."
        ),
        Table(heads, tuple(rows), caption),
        fit.plot_components(prob=prob),
    ]
    if alone and fit._need_statistics("look at its items").attrs["integrated"] == "item":
        blocks.append(fit.plot_items(prob=prob))
    return Section("Where the variance comes from", "components", tuple(blocks))


def _moment(value: float | None) -> Cell:
    return None if value is None else Number(float(value))


def _designs(fit: BenchmarkFit, prob: float) -> Section | None:
    if len(fit.models) < 2:
        return None
    here, words = sizes_of(fit), _size_words(fit)
    tried = [here, *({**here, name: size} for name, size in _alternatives(fit, here))]
    rows: list[tuple[Cell, ...]] = []
    for sizes in tried:
        row = fit.design(**{name: [size] for name, size in sizes.items()}).table(prob).iloc[0]
        told = "as it is" if sizes == here else ", ".join(_counted(v, words[k]) for k, v in sizes.items() if v != here[k])
        values = (row["se"], row["mde"], row["mde_lower"], row["mde_upper"], row["g"])
        rows.append((told, *(Number(float(v)) for v in values)))
    design = fit.design()
    size = ", ".join(_counted(here[name], word) for name, word in words.items())
    same = fit._words("fixed") if design.fixed else f"new {' and '.join(words.values())}"
    caption = (
        f"Comparisons of two models under other designs; all else as it is ({size}). Detectable: difference found with power "
        f"{design.power:.0%} at level {design.level:.0%}; medians with {interval_phrase(prob, 'eti')} intervals, about "
        f"{same}. G: share of the variance of observed scores that is between models."
    )
    heads = ("design", "standard error", "detectable", "lower", "upper", "G")
    return Section("What another design would show", "design", (Table(heads, tuple(rows), caption),))


def _counted(size: int, word: str) -> str:
    """Such as "1 sample of each" and "1,600 items"."""
    plural = word.split(" ")[1 if word == "training runs" else 0]
    return f"{size:,d} {word}" if size != 1 else f"1 {word.replace(plural, plural.removesuffix('s'), 1)}"


def _size_words(fit: BenchmarkFit) -> dict[str, str]:
    """Sizes of a design that this table has, as its readers call them."""
    statistics = fit._need_statistics("name its facets")
    items = statistics.attrs["integrated"] == "item"
    out = {"items": "items", "samples": "samples of each"} if items else {"items": "answers in a cell"}
    out |= {"seeds": "training runs"} if "run" in statistics.sizes else {}
    return out | ({"templates": "templates"} if "template_place" in statistics.sizes else {})


def _alternatives(fit: BenchmarkFit, here: dict[str, int]) -> list[tuple[str, int]]:
    """Designs worth a row: fewer and more items, one and many samples, more runs and templates where there are some."""
    there = _size_words(fit)
    out = [("items", max(here["items"] // 2, 1)), ("items", 2 * here["items"]), ("items", 10 * here["items"])]
    if "item_model_sd" in fit.predictor.sd:  # else one sample's noise holds what items and models have in common
        out += [("samples", n) for n in (1, 10, 100)]
    out += [("seeds", n) for n in (5, 10)] + [("templates", n) for n in (2 * here["templates"], 30)]
    return [(name, size) for name, size in out if name in there and size != here[name]]


def _populations(fit: BenchmarkFit, prob: float) -> Section | None:
    if fit._need_statistics("tell items apart").attrs["integrated"] != "item":
        return None
    new, these = both_populations(fit)
    order = np.argsort(-new.mean(0), kind="stable")[:_NEIGHBOURS]
    rows = [(fit.models[m], *_numbers(fit, new[:, m], prob), *_numbers(fit, these[:, m], prob)) for m in order]
    pairs = []
    for a, b in pairwise(order):
        cells: list[Cell] = [f"{fit.models[a]} minus {fit.models[b]}"]
        for draws in (new, these):
            difference = draws[:, a] - draws[:, b]
            low, high = _numbers(fit, difference, prob)[1:]
            cells += [low, high, probability(float((difference > 0).mean()), len(difference))]
        pairs.append(tuple(cells))
    about = [fit._words("random"), fit._words("fixed")]
    phrase = interval_phrase(prob, "eti")
    heads = ("model", "new items", "lower", "upper", "these items", "lower", "upper")
    caption = f"Expected scores about {about[0]} and about {about[1]}: posterior means with {phrase} intervals."
    blocks: list[Block] = [
        Paragraph(
            f"Most disagreement about error bars is about this choice. About {about[0]} the draw of the items counts, as in "
            f"Miller (2024); about {about[1]} it does not, as in the seed variance of Madaan et al. (2024). A claim about "
            "ability needs the first, a claim about this benchmark the second."
        ),
        Table(heads, tuple(rows), caption),
    ]
    if pairs:
        heads = ("pair", "new: lower", "upper", "P(above)", "these: lower", "upper", "P(above)")
        blocks.append(
            Table(heads, tuple(pairs), f"Differences of neighbours, {phrase} intervals: about {about[0]}, then {about[1]}.")
        )
    return Section("These items or new ones?", "populations", tuple(blocks))


def _cannot_tell(fit: BenchmarkFit) -> Section:
    found = table_checks(fit._need_statistics("check its table"), fit.predictor)
    warned = [result for result in found if result.status is Status.WARN]
    blocks: list[Block] = [Note("warn", result.text, (result.advice,)) for result in warned]
    quiet = [result.text for result in found if result.status is not Status.WARN]
    if quiet:
        blocks.append(Note("info" if warned else "pass", "Looked at, and no warning:", tuple(quiet)))
    return Section("What this table cannot tell", "table", tuple(blocks))
