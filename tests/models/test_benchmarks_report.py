"""Figures and report of a benchmark fit: every number is the fit's own, with its population, and none is made up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit.errors import SpecificationError
from bayeskit.report.content import Figure, Note, Number, Paragraph, Table, format_cell, format_number
from bayeskit.verdict import Status
from bayeskit_models.benchmarks import BenchmarkVariance
from bayeskit_models.benchmarks.figures import rank_words
from bayeskit_models.benchmarks.moments import moments_of_counts
from bayeskit_models.benchmarks.populations import both_populations
from bayeskit_models.benchmarks.table_checks import moments_of_statistics, table_checks

_DONE = {}


def sections(fit):
    """The sections of a fit, made once: those about these items draw the effects of all items."""
    if id(fit) not in _DONE:
        _DONE[id(fit)] = fit.sections()
    return _DONE[id(fit)]


def section(fit, name):
    (found,) = (s for s in sections(fit) if s.id == name)
    return found


def tables(found):
    return [b for b in found.blocks if isinstance(b, Table)]


def text(found):
    return " ".join(b.text for b in found.blocks if isinstance(b, Paragraph | Note))


def test_sections_stand_in_the_order_of_the_questions(aiw_fit, pair_fit):
    assert [s.id for s in sections(aiw_fit)] == ["leaderboard", "neighbours", "components", "design", "table"]
    assert [s.id for s in sections(pair_fit)] == ["leaderboard", "neighbours", "components", "design", "populations", "table"]


def test_the_leaderboard_says_ranks_ties_and_its_population(aiw_fit):
    found, board = section(aiw_fit, "leaderboard"), aiw_fit.leaderboard().table
    (table,) = tables(found)
    assert "new templates" in text(found) and "new templates" in table.caption and "95 % equal-tailed" in table.caption
    assert [row[0] for row in table.rows] == list(board.index)
    for row, (_, own) in zip(table.rows, board.iterrows(), strict=True):
        assert row[1].value == pytest.approx(own["score"], rel=1e-12)
        assert (row[2].value, row[3].value) == pytest.approx((own["lower"], own["upper"]), rel=1e-12)
        assert row[4] == rank_words(own["rank_lower"], own["rank_upper"]) and row[6] == own["tied"]
    assert rank_words(2, 2) == "2" and rank_words(2, 5) == "2 to 5"
    for group in aiw_fit.tied_groups():
        assert ", ".join(group) in text(found)


def test_neighbours_are_the_comparisons_of_the_fit(aiw_fit):
    (table,) = tables(section(aiw_fit, "neighbours"))
    order = list(aiw_fit.leaderboard().table.index)
    assert [row[0] for row in table.rows] == [f"{a} minus {b}" for a, b in pairwise(order)]
    third = aiw_fit.compare(order[2], order[3])
    assert table.rows[2][1].value == pytest.approx(third.difference[0], rel=1e-12)
    assert float(format_cell(table.rows[2][4])) == pytest.approx(third.p_better, abs=6e-3)
    assert table.rows[2][5].value == pytest.approx(third.expected_loss(order[2]), rel=1e-12)


def test_components_stand_beside_mean_squares_where_the_table_is_complete(aiw_fit, pair_fit, pair_table):
    (table,) = tables(section(pair_fit, "components"))
    assert "mean squares" in table.columns and "without a prior" in table.caption
    wide = pair_table.pivot_table(index="model", columns="item", values="successes")
    classical = moments_of_counts(wide.to_numpy(), 10)
    by_name = {row[0]: row for row in table.rows}
    for words, value in (("items", classical.item), ("models x items", classical.model_item), ("one sample", classical.within)):
        assert by_name[words][4].value == pytest.approx(value, rel=1e-12)
    # The posterior agrees with mean squares to a tenth; it need not be the same.
    assert by_name["items"][1].value == pytest.approx(classical.item, rel=0.1)
    (table,) = tables(section(aiw_fit, "components"))
    assert "mean squares" not in table.columns


def test_mean_squares_need_a_complete_table(pair_fit):
    statistics = pair_fit.statistics
    assert moments_of_statistics(statistics, 0) is not None
    less = statistics.assign(n=(("cell",), np.r_[statistics["n"].values[:-1], 9.0]))
    assert moments_of_statistics(less, 0) is None
    assert moments_of_statistics(statistics.isel(model=[0]), 0) is None


def test_designs_name_only_what_the_table_has(aiw_fit, pair_fit):
    (table,) = tables(section(aiw_fit, "design"))
    assert "answers in a cell" in table.caption and "runs" not in table.caption and " items" not in table.caption
    rows = {row[0]: row for row in table.rows}
    assert {"as it is", "12 templates", "30 templates"} <= set(rows)
    expected = aiw_fit.design(templates=[30]).table()["mde"].item()
    assert rows["30 templates"][2].value == pytest.approx(expected, rel=1e-12)
    (table,) = tables(section(pair_fit, "design"))
    assert {"400 items", "1 sample of each", "100 samples of each"} <= {row[0] for row in table.rows}


def test_both_populations_of_items_stand_side_by_side(pair_fit, pair_table):
    """The draws about new items are those of `score_draws`; scores on these items are near the share of right answers."""
    found = section(pair_fit, "populations")
    scores, pairs = tables(found)
    assert "new items" in scores.caption and "these items" in scores.caption and len(pairs.rows) == 1
    new, these = both_populations(pair_fit)
    np.testing.assert_array_equal(new, pair_fit.score_draws(items="random"))
    assert len(these) == 500
    right = pair_table.groupby("model")["successes"].mean() / 10
    # Two posterior standard deviations: the prior draws scores together by less than one.
    np.testing.assert_allclose(these.mean(0), right[list(pair_fit.models)], atol=0.006)
    # What is left of the draw of the answers alone: within / (800 x 10) is .0023 squared.
    assert (these.std(0) < 0.0035).all()
    # New items add the draw of the items: scores get wider by far more than differences, in which items cancel.
    wider = new.std(0) / these.std(0)
    assert (wider > 2.0).all()
    assert np.ptp(new, axis=1).std() / np.ptp(these, axis=1).std() < wider.min()


def test_what_the_table_cannot_tell_is_said(pair_fit):
    checks = {c.name: c for c in table_checks(pair_fit.statistics, pair_fit.predictor)}
    assert set(checks) == {"samples", "items", "all_or_nothing", "repeats"}  # no seeds and no chance level: nothing to ask
    assert all(c.status is Status.PASS for c in checks.values())
    assert "1600 of 1600 cells" in checks["samples"].text and "800 of 800 items" in checks["items"].text
    (note,) = section(pair_fit, "table").blocks
    assert note.kind == "pass" and checks["items"].text in note.details


def statistics_of(**changes):
    spec = BenchmarkVariance(benchmark="benchmark", seed="seed", chance={"b2": 0.4}, **changes)
    return spec, spec.simulate(5, models=3, benchmarks=2, items=30, seeds=2, samples=1).table


def test_guard_rails_name_the_benchmark():
    """Single answers, two seeds, a second benchmark at chance: each found on the statistics alone."""
    spec, table = statistics_of()
    table.loc[(table["model"] == "m1") & (table["benchmark"] == "b2"), "score"] = 0
    table = table[~((table["benchmark"] == "b1") & (table["model"] == "m2") & (table["item"] == "i01"))]
    statistics = spec.statistics(table)

    class Chances:
        chance = np.array([0.0, 0.4])

    checks = {c.name: c for c in table_checks(statistics, Chances())}
    assert checks["samples"].status is Status.WARN
    assert checks["seeds"].status is Status.WARN and "3 degrees of freedom" in checks["seeds"].text
    assert checks["items"].status is Status.WARN and checks["items"].text.startswith("1 of 2 benchmarks (b1). b1: ")
    assert checks["chance"].status is Status.WARN and "(b2)" in checks["chance"].text and "m1" in checks["chance"].text
    assert checks["all_or_nothing"].status is Status.WARN and "(b2)" in checks["all_or_nothing"].text


@pytest.mark.parametrize("name", ["leaderboard", "ranks", "components"])
def test_figures_tell_their_numbers_and_population(aiw_fit, name):
    figure = getattr(aiw_fit, f"plot_{name}")()
    assert isinstance(figure, Figure) and b"<svg" in figure.data
    assert "templates" in figure.caption and "95 % equal-tailed" in figure.caption
    board = aiw_fit.leaderboard().table
    first = board.index[0]
    if name == "leaderboard":
        assert f"{first} {np.median(aiw_fit.score_draws()[:, aiw_fit.models.index(first)]):.2f}" in figure.alt
        assert "rank 3 to" in figure.alt
    if name == "ranks":
        assert f"{first} most probably rank 1" in figure.alt
    if name == "components":
        share = aiw_fit.components().shares().table().loc["model", "median"]
        assert f"models {share:.2f}" in figure.alt


def test_the_figure_of_items_compares_them_with_the_fitted_law(pair_fit, aiw_fit):
    """The share of hard items is that of the items' draws; under the fitted law it would be 15.9 %."""
    figure = pair_fit.plot_items()
    sd = np.median(pair_fit.posterior["item_sd"].values)
    assert "800 items" in figure.alt and f"standard deviation {format_number(sd)[:3]}" in figure.alt
    assert "15.9 % each" in figure.alt and "normal law" in figure.caption
    with pytest.raises(SpecificationError, match="no items"):
        aiw_fit.plot_items()


def test_the_figure_of_designs_is_that_of_the_design(pair_fit):
    figure = pair_fit.plot_design([200, 800, 3200], samples=[1, 10])
    assert figure.alt == pair_fit.design([200, 800, 3200], samples=[1, 10]).plot().alt


def test_numbers_carry_their_monte_carlo_error(pair_fit):
    (table,) = tables(section(pair_fit, "leaderboard"))
    errors = [cell.mcse for row in table.rows for cell in row if isinstance(cell, Number) and cell.mcse is not None]
    assert len(errors) >= 6 and all(0 < e < 0.01 for e in errors)


def test_a_whole_report_is_written(aiw_fit, pair_fit, tmp_path):
    for name, fit in (("a", aiw_fit), ("b", pair_fit)):
        page = fit.report(tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert page.index("Leaderboard") < page.index("Results in numbers") and "<script" not in page
        assert page.count("<svg") >= 3 or page.count("<img") >= 3
