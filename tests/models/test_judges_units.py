"""Units of the verdicts: what each adds to the log likelihood against tables without it, and refits without a judge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

import xarray as xr

from bayeskit import SpecificationError
from bayeskit.engine import compile_count
from bayeskit_models.judges import JudgeSimplex

SPECS = {
    "paired": ({"levels": 2, "item": "item"}, ["item"]),
    "paired, 3 levels, strata, gold": ({"levels": 3, "item": "item", "stratum": "stratum", "gold": "gold"}, ["item"]),
    "joint": ({"levels": 2, "item": "item", "likelihood": "joint"}, []),
    "joint, 3 levels, strata, gold": (
        {"levels": 3, "item": "item", "likelihood": "joint", "stratum": "stratum", "gold": "gold"}, [],
    ),
    "marginal": ({"levels": 2}, []),
    "marginal, 3 levels, strata, gold": ({"levels": 3, "stratum": "stratum", "gold": "gold"}, []),
}  # fmt: skip


@pytest.fixture(scope="module", params=list(SPECS))
def case(request):
    """A specification, a table of 7 items, 3 candidates, 3 judges, its statistics, and one draw from the prior."""
    settings, _ = SPECS[request.param]
    spec = JudgeSimplex(**settings)
    table = spec.simulate(1, candidates=3, judges=3, items=7).table
    statistics = spec.statistics(table)
    drawn = spec.draw_prior(statistics, np.random.default_rng(2))
    dims = {a.name: a.prior.dims for a in spec.assumptions(statistics) if a.prior is not None}
    draws = xr.Dataset({n: (("chain", "draw", *dims[n]), np.asarray(v)[None, None]) for n, v in drawn.items()})
    draws = draws.assign_coords({d: statistics[d].values for d in draws.dims if d in statistics.coords})
    return spec, table, statistics, draws


def at(draws, **kept):
    """The parameters of a draw, for the labels that are left."""
    chosen = draws.isel(chain=0, draw=0).sel({d: v for d, v in kept.items() if d in draws.dims})
    return {str(n): v.values for n, v in chosen.data_vars.items()}


def multiset(effects, counts):
    return np.sort(np.repeat(effects.values[0, 0], counts.values))


def test_rows_and_items_against_tables_without_them(case):
    """Every row of the table is left out once; values sorted, identical rows as often as they are: equal to 1e-8."""
    spec, table, statistics, draws = case
    keys = {"marginal": None, "joint": ["candidate", "item"], "paired": ["candidate", "item"]}[spec.chosen_likelihood]
    whole, values = spec.log_likelihood(table, at(draws)), at(draws)
    for by, key in [("row", keys)] + ([("item", ["item"])] if spec.chosen_likelihood == "paired" else []):
        effects, counts = spec.log_likelihood_of(draws, statistics, by), spec.unit_counts(statistics, by)
        groups = [g.index for _, g in table.groupby(key)] if key else [[i] for i in table.index]
        exact = np.sort([whole - spec.log_likelihood(table.drop(g), values) for g in groups])
        assert counts.sum() == len(groups)
        assert multiset(effects, counts) == pytest.approx(exact, abs=1e-8)


def test_numpy_equals_the_compiled_likelihood(case):
    spec, _, statistics, draws = case
    for by in {"row", "item"} & set(spec.units(statistics)):
        default = super(JudgeSimplex, spec).log_likelihood_of(draws, statistics, by)
        assert np.abs(default.values - spec.log_likelihood_of(draws, statistics, by).values).max() < 1e-10


@pytest.mark.parametrize("by", ["judge", "candidate"])
def test_judges_and_candidates_against_tables_without_them(case, by):
    """The table without it has fewer parameters; the others are the same. The grid of difficulties of the paired likelihood
    is finer for more candidates, so candidates are compared there to 1e-4."""
    spec, table, statistics, draws = case
    whole = spec.log_likelihood(table, at(draws))
    effects = spec.log_likelihood_of(draws, statistics, by)
    for u, label in enumerate(effects["unit"].values):
        left = [x for x in statistics[by].values if x != label]
        less = spec.log_likelihood(table[table[by] != label], at(draws, **{by: left}))
        bound = 1e-4 if by == "candidate" and spec.chosen_likelihood == "paired" else 1e-8
        assert effects.values[0, 0, u] == pytest.approx(whole - less, abs=bound)


def test_strata_are_the_sum_of_what_is_in_them(case):
    spec, _, statistics, draws = case
    if spec.stratum is None:
        assert "stratum" not in spec.units(statistics)
        return
    by = "item" if spec.chosen_likelihood == "paired" else "row"
    effects, counts = spec.log_likelihood_of(draws, statistics, by), spec.unit_counts(statistics, by)
    if by == "item":
        first = statistics["item_cell"].values[statistics["item_ptr"].values[:-1]]
        home = statistics["cell_row"].values[first] % 2
    else:
        home = np.array([int("stratum 2" in str(u)) for u in counts["unit"].values])
    total = [float((effects.values[0, 0] * counts.values)[home == g].sum()) for g in range(2)]
    assert spec.log_likelihood_of(draws, statistics, "stratum").values[0, 0] == pytest.approx(total, abs=1e-8)


def test_what_is_left_is_counted(case):
    """Verdicts by candidate, judge and score equal those of the table without the unit; weights of the strata stay."""
    spec, table, statistics, _ = case
    for j, judge in enumerate(statistics["judge"].values):
        less = spec.without(statistics, "judge", str(judge))
        again = spec.statistics(table[table["judge"] != judge])
        others = [i for i in range(3) if i != j]
        assert np.array_equal(less["verdicts"].values[:, others], again["verdicts"].values)
        assert less["verdicts"].values[:, j].sum() == 0 and less.sizes["judge"] == 3
        assert np.array_equal(less["stratum_weight"], statistics["stratum_weight"]) and less.attrs == statistics.attrs
    counts = spec.unit_counts(statistics, "row")
    u = int(counts.values.argmax())
    taken = spec.without(statistics, "row", [u] * int(counts[u]))
    lost = int(statistics["verdicts"].sum() - taken["verdicts"].sum())
    assert lost == int(counts[u]) * (1 if spec.chosen_likelihood == "marginal" else 3)
    assert statistics["verdicts"].sum() == spec.statistics(table)["verdicts"].sum()  # the original is untouched
    with pytest.raises(SpecificationError, match="there are"):
        spec.without(statistics, "row", [u] * (int(counts[u]) + 1))


def test_answers_with_a_true_level_and_no_verdict_are_rows_too():
    """Their contribution is the log share of the true level, and without them the table has the same likelihood."""
    spec = JudgeSimplex(2, gold="gold")
    table = spec.simulate(1, candidates=3, judges=3, items=7).table
    alone = table.iloc[:2].assign(candidate="candidate 02", gold=[1, 0], score=np.nan)
    both = pd.concat([table, alone], ignore_index=True)
    statistics = spec.statistics(both)
    values = spec.draw_prior(statistics, np.random.default_rng(2))
    counts = spec.unit_counts(statistics, "row")
    last = [len(counts) - 2, len(counts) - 1]
    assert [str(counts["unit"].values[u]) for u in last] == ["candidate 02, true 0", "candidate 02, true 1"]
    less = spec.without(statistics, "row", last)
    from bayeskit.engine import compiled_for

    through = compiled_for(spec, less).log_likelihood(less, spec.dials(less), values)
    assert through == pytest.approx(spec.log_likelihood(table, values), abs=1e-8)
    dims = {a.name: a.prior.dims for a in spec.assumptions(statistics) if a.prior is not None}
    draws = xr.Dataset({n: (("chain", "draw", *dims[n]), np.asarray(v)[None, None]) for n, v in values.items()})
    effects = spec.log_likelihood_of(draws, statistics, "row").values[0, 0, last]
    assert effects == pytest.approx(np.log(values["prevalence"][1]), abs=1e-12)


def test_several_answers_of_one_item_are_left_out_together():
    """Two of three answers of the same item, through the statistics and through the table."""
    spec = JudgeSimplex(2, item="item")
    table = spec.simulate(1, candidates=3, judges=3, items=7).table
    statistics = spec.statistics(table)
    values = spec.draw_prior(statistics, np.random.default_rng(2))
    pattern = int(np.flatnonzero(statistics["item_count"].values == 1)[0])
    start = int(statistics["item_ptr"].values[pattern])
    less = spec.without(statistics, "row", [start, start + 2])
    wide = table.pivot(index="item", columns=["candidate", "judge"], values="score")
    cells = statistics["item_cell"].values[start : start + 3]
    said = statistics["cell_scores"].values[cells].reshape(-1)
    item = wide.index[
        (wide[[(c, j) for c in sorted(set(table.candidate)) for j in sorted(set(table.judge))]] == said).all(axis=1)
    ]
    assert len(item) == 1
    gone = (table["item"] == item[0]) & table["candidate"].isin(["candidate 01", "candidate 03"])
    from bayeskit.engine import compiled_for

    through = compiled_for(spec, less).log_likelihood(less, spec.dials(less), values)
    assert through == pytest.approx(spec.log_likelihood(table[~gone], values), abs=1e-8)


def test_influence_of_rows_and_items(paired_fit):
    for by in ("row", "item"):
        found = paired_fit.influence(by)
        assert {r.state for r in found.rows} <= {"ok", "influential", "unreliable"}
        assert found.contributions.counts.sum() == {"row": 240, "item": 60}[by]
    assert paired_fit.loo("item").size == 60


def test_leaving_a_judge_out_says_that_only_a_refit_answers(paired_fit):
    found = paired_fit.influence("judge")
    assert len(found.contributions.labels) == 3
    assert "only a refit answers" in repr(found) and "exact=True refits without them" in found.headline


@pytest.mark.slow
def test_leave_one_judge_out(paired_fit, paired_spec, paired_simulation):
    """Each refit against a fit of the table without that judge: the same posterior, for a judge of whom nothing is known
    follows its prior. |z| <= 4 for 4 candidates x 3 judges, Monte Carlo errors of both fits."""
    before = compile_count()
    found = paired_fit.influence("judge", exact=True, draws=1000, tune=1000)
    assert compile_count() == before and [r.status for r in found.refits].count("ERROR") == 0
    table = paired_simulation.table
    for removal in found.refits:
        (judge,) = removal.units
        alone = paired_spec.fit(table[table["judge"] != judge], seed=8, progress=False).summary()
        here = removal.fit.summary()
        names = [n for n in alone.index if n.startswith("expected_score")]
        z = (here.loc[names, "mean"] - alone.loc[names, "mean"]) / np.hypot(
            here.loc[names, "mcse_mean"], alone.loc[names, "mcse_mean"]
        )
        assert np.abs(z).max() <= 4.0, judge
        assert (here.loc[names, "sd"] / alone.loc[names, "sd"]).between(0.85, 1.15).all()
    exact = {(r.unit, r.quantity): r.refit for r in found.rows if r.quantity.startswith("expected_score")}
    first = {(r.unit, r.quantity): r.first_order for r in found.rows if r.quantity.startswith("expected_score")}
    assert len(exact) == 12 and np.isfinite(list(exact.values())).all() and np.isfinite(list(first.values())).all()
