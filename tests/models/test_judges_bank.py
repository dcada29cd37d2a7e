"""Scores in a stated bank of items: exact enumeration on a small table, the limits, and what is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

from bayeskit.errors import SpecificationError
from bayeskit.storage import load
from bayeskit_models.judges import JudgeSimplex
from bayeskit_models.judges.bank import _layout, _rest, _total, bank_scores, completion, items_of
from bayeskit_models.judges.difficulty import difficulty_nodes
from bayeskit_models.judges.estimands import log_graded, row_location
from bayeskit_models.judges.simulate import judge_probabilities


def first_draw(fit):
    return {str(n): v.values[0, 0] for n, v in fit.posterior.data_vars.items()}


def on_table(fit, table):
    """The draws of a fit beside another table of the same candidates and judges."""
    return replace(fit, statistics=fit.spec.statistics(table))


@pytest.fixture(scope="module")
def gappy(paired_fit, paired_simulation):
    """Two items; candidate 4 did not answer the second, and one verdict is missing."""
    table = paired_simulation.table
    few = table[table["item"].isin(sorted(table["item"].unique())[:2])].reset_index(drop=True)
    last = few["item"] == few["item"].max()
    drop = last & (few["candidate"] == few["candidate"].max())
    few = few[~drop].reset_index(drop=True).drop(index=0)
    return on_table(paired_fit, few), few


def exact_expectations(fit, table, values):
    """E[true level] of every answer given the verdicts, and of the absent one: by summing over all truths and nodes."""
    statistics, candidates, judges = fit.statistics, list(fit.candidates), [str(j) for j in fit.statistics["judge"].values]
    nodes, log_weight = difficulty_nodes(len(candidates), values["difficulty_scale"])
    location = row_location(values, 1).reshape(-1)
    share = np.exp(log_graded(location[:, None] - values["difficulty_scale"] * nodes, None))  # (K, Q, M)
    theta = judge_probabilities(fit.spec, values, statistics, fit.dials)[:, 0]  # (K, J, M, V)
    total = np.zeros(len(candidates))
    for _, group in table.groupby("item"):
        mass, level = 0.0, np.zeros(len(candidates))
        for truth in itertools.product((0, 1), repeat=len(candidates)):
            judged = np.prod([
                theta[candidates.index(r.candidate), judges.index(r.judge), truth[candidates.index(r.candidate)], r.score]
                for r in group.itertuples()
            ])  # fmt: skip
            prior = np.exp(log_weight) @ np.prod([share[k, :, m] for k, m in enumerate(truth)], axis=0)
            mass, level = mass + judged * prior, level + judged * prior * np.array(truth)
        total += level / mass
    return total


def test_true_levels_against_enumeration(gappy):
    """Sixteen combinations of true levels and 32 nodes, summed: agrees to 1e-10."""
    fit, table = gappy
    values = first_draw(fit)
    found, layout = completion(fit, values), _layout(fit.statistics)
    rises = np.einsum("cqm,m->cq", found.level, np.arange(2.0))
    expected = np.zeros(4)
    for item, cell, candidate in zip(layout.answer_item, layout.answer_cell, layout.answer_candidate, strict=True):
        expected[candidate] += found.node[layout.pattern[item]] @ rises[cell]
    for item, row in zip(layout.absent_item, layout.absent_row, strict=True):
        expected[row] += found.node[layout.pattern[item]] @ found.prior[row, :, 1]
    np.testing.assert_allclose(expected, exact_expectations(fit, table, values), atol=1e-10)
    assert len(layout.absent_item) == 1 and len(layout.pattern) == 2


def test_drawn_levels_have_these_expectations(gappy):
    """20,000 completions of one draw: each mean within 4 standard errors (0.0036 at most for two items)."""
    fit, table = gappy
    values, layout, rng = first_draw(fit), _layout(fit.statistics), np.random.default_rng(1)
    found = completion(fit, values)
    drawn = np.array([_total(found, layout, (4, 1), rng) for _ in range(20_000)])
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(0) - exact_expectations(fit, table, values)) < 4 * error + 1e-12).all()
    further = np.array([_rest(found, 3, (4, 1), np.ones(1), rng) for _ in range(20_000)])
    population = np.exp(difficulty_nodes(4, values["difficulty_scale"])[1]) @ found.prior[:, :, 1].T
    assert (np.abs(further.mean(0) - 3 * population) < 4 * further.std(0) / np.sqrt(len(further))).all()


def test_known_truth_leaves_nothing_open(paired_fit, paired_simulation):
    """Gold labels for all answers: the scores in the bank of these items are the gold means, exactly, in every draw."""
    table = paired_simulation.table.copy()
    keys = list(itertools.product(table["candidate"].unique(), table["item"].unique()))
    truth = dict(zip(keys, np.random.default_rng(0).integers(0, 2, len(keys)), strict=True))
    table["gold"] = [truth[key] for key in zip(table["candidate"], table["item"], strict=True)]
    fit = replace(paired_fit, spec=replace(paired_fit.spec, gold="gold"))
    fit = replace(fit, statistics=fit.spec.statistics(table))
    mean = table.groupby("candidate")["gold"].mean().reindex(list(fit.candidates)).to_numpy()
    drawn = fit.item_bank().score_draws()
    np.testing.assert_allclose(drawn, np.broadcast_to(mean, drawn.shape), atol=1e-12)


def test_a_large_bank_is_the_population(paired_fit):
    """The bank's scores tend to the population's, draw by draw: 60 of 200,000 items and 8 standard errors of .0011."""
    few = replace(paired_fit, draws=paired_fit.draws.isel(draw=slice(None, None, 10)))
    whole = few.score_draws()
    large = bank_scores(few, 200_000, 1).reshape(whole.shape)
    assert np.abs(large - whole).max() < 0.01
    assert np.abs(bank_scores(few, 60, 1).reshape(whole.shape) - whole).max() > 0.05


def test_the_fit_says_what_it_is_about(paired_fit, tmp_path):
    bank = paired_fit.item_bank(120)
    assert "bank of 120 items" in bank.estimands["expected_score"].attrs["label"]
    assert "bank of 120 items" in repr(bank.ranking()) and "bank" not in repr(paired_fit.ranking())
    assert "bank of 120 items" in bank.report(tmp_path / "bank.md").read_text()
    np.testing.assert_array_equal(bank.score_draws(), paired_fit.item_bank(120).score_draws())
    again = load(bank.save(tmp_path / "bank.nc"))
    assert "bank of 120 items" in repr(again.ranking())
    assert bank.verdict.status == paired_fit.verdict.status


def test_what_is_refused(paired_fit, three_level_fit):
    here = items_of(paired_fit.statistics)
    for bad in (here - 1, 100.5, True):
        with pytest.raises(SpecificationError, match=f"at least {here}"):
            paired_fit.item_bank(bad)
    with pytest.raises(SpecificationError, match="paired likelihood"):
        three_level_fit.item_bank(1000)


@pytest.mark.slow
def test_coverage_of_the_truth_in_the_bank():
    """40 simulated tables of 40 items from a bank of 80: 95 % intervals hold the bank's own mean.

    Truth drawn from the prior, so coverage is 95 % on average; 160 candidates in 40 tables: standard error about .022.
    """
    spec = JudgeSimplex(2, item="item", gold="truth")
    blind = JudgeSimplex(2, item="item")
    held = []
    for seed in range(40):
        table = spec.simulate(seed, candidates=4, judges=3, items=80).table
        parameters = spec.simulate(seed, candidates=4, judges=3, items=80).parameters
        truth = _all_levels(spec, seed, parameters)
        here = table[table["item"].isin([f"item {i}" for i in range(40)])].drop(columns="truth")
        fit = blind.fit(here, seed=seed, draws=500, tune=500, progress=False)
        ranked = fit.item_bank(80).ranking().table
        mean = truth.groupby("candidate")["level"].mean()
        held += [ranked.loc[c, "lower"] <= mean[c] <= ranked.loc[c, "upper"] for c in mean.index]
    assert np.mean(held) >= 0.95 - 3 * 0.022


def _all_levels(spec, seed, parameters):
    """The true level of every simulated answer: `simulate` tells those of every fourth item only."""
    import bayeskit_models.judges.simulate as simulate

    kept = {}
    table = simulate._table

    def keep(spec, design, scores, truth):
        kept["frame"] = pd.DataFrame({"candidate": np.array(design.names["candidate"])[design.candidate], "level": truth})
        return table(spec, design, scores, truth)

    simulate._table = keep
    try:
        spec.simulate(seed, candidates=4, judges=3, items=80)
    finally:
        simulate._table = table
    return kept["frame"]
