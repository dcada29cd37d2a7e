"""From tables to statistics: every layout, every fault, and back again through the simulator."""

import numpy as np
import pandas as pd
import pytest

from bayeskit.errors import DataError, SpecificationError
from bayeskit_models.judges import JudgeSimplex

JUDGES = ("A", "B", "C")


def wide_table(seed=0, *, candidates=4, items=12, levels=2, base=0, missing=0.2, gold=False):
    """One row an answer, one column a judge, some verdicts missing."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "candidate": np.repeat([f"c{k}" for k in range(candidates)], items),
            "item": np.tile([f"i{i}" for i in range(items)], candidates),
        }
    )
    for judge in JUDGES:
        score = rng.integers(0, levels, len(frame)).astype(float) + base
        score[rng.random(len(frame)) < missing] = np.nan
        frame[judge] = score
    if gold:
        truth = rng.integers(0, levels, len(frame)).astype(float) + base
        frame["gold"] = np.where(rng.random(len(frame)) < 0.3, truth, np.nan)
    return frame


def long_table(wide):
    keep = [c for c in wide.columns if c not in JUDGES]
    long = wide.melt(id_vars=keep, value_vars=list(JUDGES), var_name="judge", value_name="score")
    return long.dropna(subset="score").reset_index(drop=True)


def items_as_sets(statistics):
    """Items of paired statistics as a sorted list of (answers, count): the order of cells does not matter."""
    cells = [
        (int(row), tuple(map(int, scores)), int(gold))
        for row, scores, gold in zip(
            statistics["cell_row"].values, statistics["cell_scores"].values, statistics["cell_gold"].values, strict=True
        )
    ]
    ptr, cell = statistics["item_ptr"].values, statistics["item_cell"].values
    folded = {}
    for i, count in enumerate(statistics["item_count"].values):
        key = tuple(sorted(cells[c] for c in cell[ptr[i] : ptr[i + 1]]))
        folded[key] = folded.get(key, 0.0) + float(count)
    return sorted((k, v) for k, v in folded.items() if v)


def assert_same(a, b):
    """Equal statistics, up to the order of cells and items."""
    assert a.attrs == b.attrs
    assert [str(x) for x in a["candidate"].values] == [str(x) for x in b["candidate"].values]
    if a.attrs["likelihood"] == "marginal":
        assert set(a.data_vars) == set(b.data_vars)
        for name in a.data_vars:
            np.testing.assert_array_equal(a[name].values, b[name].values)
    else:
        np.testing.assert_array_equal(a["verdicts"].values, b["verdicts"].values)
        np.testing.assert_allclose(a["stratum_weight"].values, b["stratum_weight"].values)
        assert items_as_sets(a) == items_as_sets(b)


LIKELIHOODS = ("marginal", "joint", "paired")


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize(("levels", "base"), [(2, 0), (4, 1)])
def test_wide_equals_long(likelihood, levels, base):
    wide = wide_table(levels=levels, base=base, gold=True)
    settings = {"item": "item", "gold": "gold", "likelihood": likelihood}
    a = JudgeSimplex(levels, judge=JUDGES, **settings).statistics(wide)
    told = wide[wide[list(JUDGES)].notna().any(axis=1)]
    if likelihood != "marginal" and len(told) < len(wide):  # an answer with gold alone has no row in the long table
        a = JudgeSimplex(levels, judge=JUDGES, **settings).statistics(told)
    b = JudgeSimplex(levels, **settings).statistics(long_table(wide))
    assert_same(a, b)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_order_of_rows_does_not_matter(likelihood):
    long = long_table(wide_table(1, levels=3, base=1, gold=True))
    long["g"] = np.where(long["item"].str[1:].astype(int) % 2, "odd", "even")
    spec = JudgeSimplex(3, item="item", gold="gold", stratum="g", likelihood=likelihood)
    assert_same(spec.statistics(long), spec.statistics(long.sample(frac=1.0, random_state=3)))


@pytest.mark.parametrize("likelihood", ["marginal", "joint"])
def test_folded_wide_equals_the_rows_it_stands_for(likelihood):
    wide = wide_table(2, items=40).drop(columns="item")
    folded = wide.groupby(["candidate", *JUDGES], dropna=False, as_index=False).size().rename(columns={"size": "n"})
    assert len(folded) < len(wide)
    spec = JudgeSimplex(2, judge=JUDGES, likelihood=likelihood)
    assert_same(spec.statistics(wide), JudgeSimplex(2, judge=JUDGES, likelihood=likelihood, count="n").statistics(folded))


def test_folded_long_equals_rows():
    long = long_table(wide_table(3, items=40)).drop(columns="item")
    folded = long.groupby(["candidate", "judge", "score"], as_index=False).size().rename(columns={"size": "n"})
    assert_same(JudgeSimplex(2).statistics(long), JudgeSimplex(2, count="n").statistics(folded))


def test_counts_are_what_is_in_the_table():
    wide = wide_table(4)
    counts = JudgeSimplex(2, judge=JUDGES, likelihood="marginal").statistics(wide)["counts"]
    for k, candidate in enumerate(counts["candidate"].values):
        for j, judge in enumerate(JUDGES):
            scores = wide.loc[wide["candidate"] == candidate, judge]
            assert counts.values[k, 0, j].tolist() == [(scores == 0).sum(), (scores == 1).sum()]


def test_gold_goes_to_its_own_counts():
    long = pd.DataFrame(
        {
            "candidate": ["a", "a", "b", "b"], "judge": ["J"] * 4, "score": [1, 0, 1, 1], "gold": [1.0, np.nan, 0.0, 1.0],
        }
    )  # fmt: skip
    statistics = JudgeSimplex(2, gold="gold").statistics(long)
    assert statistics["counts"].values[:, 0, 0].tolist() == [[1, 0], [0, 0]]
    assert statistics["gold_counts"].values[:, 0, 0].tolist() == [[[0, 0], [0, 1]], [[0, 1], [0, 1]]]
    assert statistics["verdicts"].values[:, 0].tolist() == [[1, 1], [0, 2]]


def test_lowest_level():
    long = long_table(wide_table(5))
    with pytest.raises(DataError, match="outside 0 to 1"):
        JudgeSimplex(2).statistics(long.assign(score=long["score"] + 1))
    shifted = JudgeSimplex(2, lowest=1).statistics(long.assign(score=long["score"] + 1))
    plain = JudgeSimplex(2).statistics(long)
    np.testing.assert_array_equal(shifted["counts"].values, plain["counts"].values)
    assert list(shifted["score"].values) == ["1", "2"] and list(plain["score"].values) == ["0", "1"]
    with pytest.raises(DataError, match="outside 1 to 3"):
        JudgeSimplex(3).statistics(long)


FAULTS = {
    "a level that is not there": (lambda t: t.assign(score=t["score"] + 5), "outside 0 to 1"),
    "half a level": (lambda t: t.assign(score=t["score"] + 0.5), "not whole numbers"),
    "text": (lambda t: t.assign(score=t["score"].map({0: "bad", 1: "good"})), "text"),
    "no such column": (lambda t: t.rename(columns={"judge": "jugde"}), "judge"),
    "an unnamed candidate": (lambda t: t.assign(candidate=t["candidate"].where(t.index > 0)), "candidate"),
    "no rows": (lambda t: t.iloc[:0], "rows"),
    "one candidate": (lambda t: t[t["candidate"] == "c0"], "candidate"),
}


@pytest.mark.parametrize(("change", "match"), FAULTS.values(), ids=FAULTS)
def test_faults_are_refused_before_anything_compiles(change, match):
    with pytest.raises(DataError, match=match):
        JudgeSimplex(2).statistics(change(long_table(wide_table(6))))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_an_answer_judged_twice_is_refused(likelihood):
    long = long_table(wide_table(7))
    with pytest.raises(DataError, match="repeat"):
        JudgeSimplex(2, item="item", likelihood=likelihood).statistics(pd.concat([long, long.iloc[:2]]))
    wide = wide_table(7)
    with pytest.raises(DataError, match="repeat"):
        JudgeSimplex(2, judge=JUDGES, item="item", likelihood=likelihood).statistics(pd.concat([wide, wide.iloc[:1]]))


@pytest.mark.parametrize("column", ["gold", "g"])
def test_one_answer_has_one_truth_and_one_stratum(column):
    long = long_table(wide_table(8, missing=0.0)).assign(gold=1.0, g="easy")
    long.loc[long.index[-1], column] = 0.0 if column == "gold" else "hard"
    with pytest.raises(DataError, match="different values") as error:
        JudgeSimplex(2, item="item", gold="gold", stratum="g").statistics(long)
    assert "rows:" in str(error.value)


def test_gold_told_by_one_judges_row_counts_for_the_answer():
    long = long_table(wide_table(8, missing=0.0)).assign(gold=np.nan)
    first = (long["candidate"] == "c0") & (long["item"] == "i0") & (long["judge"] == "B")
    long.loc[first, "gold"] = 1.0
    statistics = JudgeSimplex(2, item="item", gold="gold").statistics(long)
    assert (statistics["cell_gold"].values >= 0).sum() == 1


def test_own_names_must_exist():
    long = long_table(wide_table(9))
    with pytest.raises(SpecificationError, match="no judge 'D'"):
        JudgeSimplex(2, own={"D": ["c0"]}).statistics(long)
    with pytest.raises(SpecificationError, match=r"no candidate 'c00'.*Did you mean 'c0'"):
        JudgeSimplex(2, own={"A": ["c00"]}).statistics(long)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_dropped_cells_hold_nothing(likelihood):
    long = long_table(wide_table(10))
    settings = {"item": "item", "likelihood": likelihood, "own": {"A": ["c1"], "B": "c2"}}
    dropped = JudgeSimplex(2, self_cells="drop", **settings).statistics(long)
    kept = JudgeSimplex(2, self_cells="keep", **settings).statistics(long)
    free = JudgeSimplex(2, **settings).statistics(long)
    own = np.zeros((4, 3), dtype=bool)
    own[1, 0] = own[2, 1] = True
    assert (dropped["verdicts"].values.sum(-1)[own] == 0).all()
    np.testing.assert_array_equal(dropped["verdicts"].values[~own], kept["verdicts"].values[~own])
    np.testing.assert_array_equal(free["verdicts"].values, kept["verdicts"].values)
    assert list(free["own_cell"].values) == ["A on c1", "B on c2"]
    assert "self_deviation" in {a.name for a in JudgeSimplex(2, **settings).assumptions(free)}
    with pytest.raises(DataError, match="no verdict is left"):
        everyone = [f"c{k}" for k in range(4)]
        spec = JudgeSimplex(2, self_cells="drop", own={j: everyone for j in JUDGES}, item="item", likelihood=likelihood)
        spec.statistics(long)


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("level", ["lowest", "highest"])
def test_all_verdicts_at_one_level_are_data(levels, level):
    """Check 16, intake half: such a table is legal; the posterior half is in test_judges_checks."""
    spec = JudgeSimplex(levels)
    score = spec.base if level == "lowest" else spec.base + levels - 1
    long = long_table(wide_table(11)).assign(score=score)
    counts = spec.statistics(long)["counts"].values
    assert counts.shape == (4, 1, 3, levels) and (counts > 0).sum() == 12


def test_empty_verdicts_are_left_out_whatever_the_layout():
    long = long_table(wide_table(12))
    blank = long.assign(score=long["score"].where(np.arange(len(long)) % 3 > 0))
    assert_same(JudgeSimplex(2).statistics(blank), JudgeSimplex(2).statistics(blank.dropna()))


ROUND_TRIPS = {
    "marginal": {"levels": 3},
    "marginal, strata, gold, own": {
        "levels": 2, "stratum": "g", "gold": "true", "own": {"judge 01": ["candidate 01"], "judge 02": ["candidate 02"]},
    },
    "marginal, counts": {"levels": 2, "count": "n"},
    "marginal, wide": {"levels": 2, "judge": JUDGES, "likelihood": "marginal"},
    "joint, wide": {"levels": 3, "judge": JUDGES},
    "joint, wide, counts": {"levels": 2, "judge": JUDGES, "count": "n"},
    "joint": {"levels": 2, "item": "item", "likelihood": "joint", "gold": "true"},
    "paired": {"levels": 2, "item": "item"},
    "paired, dropped": {"levels": 2, "item": "item", "own": {"x": ["u"], "y": ["v"]}, "self_cells": "drop"},
    "paired, wide, strata": {"levels": 4, "item": "item", "judge": JUDGES, "stratum": "g", "gold": "true"},
}  # fmt: skip


def design(statistics, spec):
    """What does not depend on the verdicts: who was asked about what, and whose truth is known."""
    out = {"verdicts": statistics["verdicts"].values.sum(-1), "weight": statistics["stratum_weight"].values}
    if statistics.attrs["likelihood"] == "marginal":
        out["unknown"] = statistics["counts"].values.sum(-1)
        if "gold_counts" in statistics:
            out["known"] = statistics["gold_counts"].values.sum((-1, -2))
        return out
    item = np.repeat(np.arange(statistics.sizes["pattern"]), np.diff(statistics["item_ptr"].values))
    cell, count = statistics["item_cell"].values, statistics["item_count"].values
    row, asked = statistics["cell_row"].values[cell], statistics["cell_scores"].values[cell] >= 0
    gold = statistics["cell_gold"].values[cell] >= 0
    answers = {}
    for i, r, a, g in zip(item, row, asked, gold, strict=True):
        key = (int(r), tuple(map(bool, a)), bool(g))
        answers[key] = answers.get(key, 0.0) + count[i]
    out["answers"] = sorted((k, v) for k, v in answers.items() if v)
    out["items"] = statistics["item_count"].values.sum()
    return out


@pytest.mark.parametrize("settings", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_simulated_tables_have_the_same_design(settings):
    spec = JudgeSimplex(**settings)
    first = spec.statistics(spec.simulate(1, candidates=4, judges=3, items=20).table)
    again = spec.statistics(spec.simulate(2, like=first).table)
    a, b = design(first, spec), design(again, spec)
    assert set(a) == set(b)
    for key in a:
        if key == "answers":
            assert a[key] == b[key]
        else:
            np.testing.assert_allclose(a[key], b[key])
    assert first.attrs == again.attrs


def test_simulation_repeats_with_its_seed_and_takes_parameters():
    spec = JudgeSimplex(2, item="item")
    a, b = (spec.simulate(5, candidates=3, judges=2, items=10) for _ in range(2))
    pd.testing.assert_frame_equal(a.table, b.table)
    again = spec.simulate(6, candidates=3, judges=2, items=10, parameters=a.parameters)
    for name, value in a.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], value)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_simulated_shares_are_those_of_the_parameters(likelihood):
    """Shares of verdicts in 40,000 simulated answers against gamma = pi Theta, within 5 standard errors."""
    spec = JudgeSimplex(3, item="item", likelihood=likelihood, constancy="strict")
    simulation = spec.simulate(4, candidates=2, judges=2, items=40_000)
    statistics = spec.statistics(simulation.table)
    import xarray as xr

    values = simulation.parameters
    dims = {a.name: a.prior.dims for a in spec.assumptions(statistics) if a.prior is not None}
    draws = xr.Dataset({n: (("chain", "draw", *d), np.asarray(values[n])[None, None]) for n, d in dims.items()})
    shares = spec.estimands(draws.assign_coords(chain=[0], draw=[0]), statistics)["level_share"].values[0, 0]
    gamma = np.einsum("km,jmv->kjv", shares, values["judge_vertices"])
    seen = statistics["verdicts"].values / 40_000
    assert np.abs(seen - gamma).max() < 5 * 0.5 / np.sqrt(40_000)
