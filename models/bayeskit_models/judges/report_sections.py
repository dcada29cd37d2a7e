"""What a report says of a ranking by judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeskit.report.content import Number, Paragraph, Section, Table, interval_phrase, probability
from bayeskit_models.judges.figures import quality_figure, rank_figure, score_figure, simplex_figure

if TYPE_CHECKING:
    from bayeskit.report.content import Block
    from bayeskit_models.judges.judge_fit import JudgeFit

__all__ = ["judge_sections"]

_SHOWN = 40


def judge_sections(fit: JudgeFit, prob: float) -> tuple[Section, ...]:
    """Ranking, pairs, judges and constancy."""
    sections = [_ranking(fit, prob)]
    if fit.statistics is not None:
        sections += [_pairs(fit, prob), _judges(fit, prob), _constancy(fit)]
    return tuple(sections)


def _ranking(fit: JudgeFit, prob: float) -> Section:
    ranking = fit.ranking(prob)
    error = fit.summary(prob).filter(like="expected_score", axis=0)["mcse_mean"].to_numpy()
    place = {name: i for i, name in enumerate(fit.candidates)}
    draws = len(fit.score_draws())
    rows = []
    for name, row in ranking.table.iterrows():
        mcse = float(error[place[str(name)]])
        rows.append(
            (
                str(name), Number(float(row["expected_score"]), mcse), Number(float(row["lower"]), 2 * mcse),
                Number(float(row["upper"]), 2 * mcse), f"{int(row['rank_lower'])} to {int(row['rank_upper'])}",
                probability(float(row["p_best"]), draws),
            )
        )  # fmt: skip
    table = Table(
        ("candidate", "expected true score", "lower", "upper", "rank interval", "P(best)"), tuple(rows),
        caption=f"Candidates by expected true score, with {interval_phrase(prob, 'eti')} intervals of score and rank.",
    )  # fmt: skip
    groups = "; ".join(", ".join(group) for group in fit.tied_groups(prob))
    blocks: list[Block] = [
        Paragraph(ranking.note), table, score_figure(fit, prob), rank_figure(fit, prob),
        Paragraph(f"Groups that the posterior does not separate at {prob:.0%} (a candidate can be in two): {groups}."),
    ]  # fmt: skip
    if fit.spec.levels == 3:
        blocks.append(simplex_figure(fit))
    return Section("Ranking", "ranking", tuple(blocks))


def _pairs(fit: JudgeFit, prob: float) -> Section:
    pairs = fit.pairs(prob)
    draws = len(fit.score_draws())
    close = pairs[pairs["verdict"] != "data"]
    rows = tuple(
        (
            f"{p.a} above {p.b}",
            probability(float(p.p_a_above_b), draws),
            str(p.relation),
            str(p.comparability),
            str(p.verdict),
        )
        for p in close.head(_SHOWN).itertuples()
    )
    text = (
        f"The data order {len(pairs) - len(close)} of {len(pairs)} pairs. "
        + ("The others are these." if rows else "No pair is left open.")
        + (f" The first {_SHOWN} of {len(close)} are shown." if len(close) > _SHOWN else "")
    )
    blocks: list[Block] = [Paragraph(text)]
    if rows:
        blocks.append(
            Table(
                ("pair", "probability", "score distributions", "comparable", "decided by"), rows,
                caption="Pairs that the data alone do not order: undetermined, or ordered through the prior.",
            )
        )  # fmt: skip
    return Section("Pairs that remain open", "pairs", tuple(blocks))


def _judges(fit: JudgeFit, prob: float) -> Section:
    judges = fit.judges(prob).sort_values("quality", ascending=False)
    levels = fit.level_labels
    own = [f"p({m}|{m})" for m in levels]
    heads = [f"P(score {m} | true {m})" for m in levels]
    if len(levels) == 2:
        own, heads = (
            [f"p({levels[1]}|{levels[1]})", f"p({levels[1]}|{levels[0]})"],
            ["true positive rate", "false positive rate"],
        )
    rows = tuple(
        (
            str(name), *(f"{float(row[c]):.2f}" for c in ("quality", "lower", "upper", "prior_quality", *own)),
        )
        for name, row in judges.iterrows()
    )  # fmt: skip
    table = Table(
        ("judge", "quality", "lower", "upper", "quality under the prior", *heads), rows,
        caption=f"Judges by quality |det Theta| (two levels: true minus false positive rate), posterior means with "
        f"{interval_phrase(prob, 'eti')} intervals.",
    )  # fmt: skip
    return Section("Judges", "judges", (table, quality_figure(fit, prob)))


def _constancy(fit: JudgeFit) -> Section:
    """Whether judges treat candidates alike: a test that needs no model of the truth."""
    found = fit.constancy_test()
    if not found.testable:
        return Section(
            "Constancy",
            "constancy",
            (Paragraph(f"Whether judges treat candidates alike cannot be tested here: {found.reason}"),),
        )
    worst = str(fit.estimands["judge"].values[int(np.nanargmax(found.judge_share))])
    word = "do not" if found.flags() else "may"
    text = (
        f"If every judge made the same errors on every candidate, the judges' mean scores would be affine functions of one "
        f"another. The distance from that is {found.statistic:.3g}; a larger one arises with probability "
        f"{found.tail_probability:.3g} under constancy, so the judges {word} treat all candidates alike. "
        f"Most of the distance comes from {worst}."
    )
    return Section("Constancy", "constancy", (Paragraph(text),))
