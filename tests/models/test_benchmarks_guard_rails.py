"""Warnings about tables: each at its limit and just inside, with the numbers that it names."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit.verdict import Status
from bayeskit_models.benchmarks.guard_rails import (
    all_or_nothing,
    few_runs,
    near_chance,
    repeated_samples,
    single_samples,
    unequal_items,
)

MODELS = ("a", "b", "c")


def table(*scores, items=50, trials=1, seed=0):
    """Cells of a complete table: models, items, successes and trials, with these probabilities."""
    rng = np.random.default_rng(seed)
    model, item = np.repeat(np.arange(len(scores)), items), np.tile(np.arange(items), len(scores))
    return model, item, rng.binomial(trials, np.repeat(scores, items)), np.full(len(model), trials)


def test_few_runs():
    """One model of 4 seeds: x0.57 to x3.73; of 5: enough; two seeds of four models: as many degrees of freedom."""
    found = few_runs([4], ["a"])
    assert found.status is Status.WARN and "x0.57 to x3.73" in found.text and "add seeds" in found.advice
    assert few_runs([5], ["a"]).status is Status.PASS
    assert few_runs([2, 2, 2, 2], list("abcd")).status is Status.PASS
    assert few_runs([2, 2, 2, 1], list("abcd")).status is Status.WARN
    alone = few_runs([1, 1], ["a", "b"])
    assert alone.status is Status.WARN and "No model has two" in alone.text
    assert "x0.69 to x1.83" in few_runs([10], ["a"]).text


def test_single_samples():
    assert single_samples(np.ones(100)).status is Status.WARN
    assert "19 of 100" in single_samples(np.r_[np.full(19, 2), np.ones(81), np.zeros(5)]).text
    assert single_samples(np.r_[np.full(20, 2), np.ones(80)]).status is Status.PASS


def test_near_chance():
    """.25 +- .043 of 100 items: .34 is beyond two standard errors, .33 is not; a score below chance is named too."""
    model, n = np.repeat([0, 1, 2], 100), np.ones(300)
    k = np.concatenate([np.arange(100) < c for c in (33, 36, 10)]).astype(float)
    found = near_chance(model, k, n, MODELS, chance=0.25)
    assert found.status is Status.WARN and [row["model"] for row in found.table] == ["c", "a"]
    assert found.table[1]["score"] == pytest.approx(0.33) and "2 of 3 models" in found.text
    assert found.table[1]["standard_error"] == pytest.approx(np.sqrt(0.33 * 0.67 / 99))
    assert near_chance(model, np.ones(300), n, MODELS, chance=0.25).status is Status.PASS
    assert near_chance(model, k, n, MODELS, chance=0.0).status is Status.PASS


def test_near_chance_counts_items_not_samples():
    """One of 4 choices always taken, 40 samples each: a score of .35 over 20 items is at chance, over 800 samples it is not."""
    model, item = np.zeros(20, int), np.arange(20)
    k, n = np.where(np.arange(20) < 7, 40, 0), np.full(20, 40)
    assert near_chance(model, k, n, ["a"], chance=0.25, item=item).status is Status.WARN
    assert near_chance(model[:1], [280], [800], ["a"], chance=0.25).status is Status.PASS


def test_all_or_nothing():
    """20 of 20: [.839, .999] from a uniform prior."""
    model, _, _, n = table(0.5, 0.5, 0.5, items=20)
    k = np.where(model == 0, 1, np.where(model == 1, 0, np.arange(60) % 2))
    found = all_or_nothing(model, k, n, MODELS)
    assert found.status is Status.WARN and "0.839 to 0.999" in found.text and "2 of 3" in found.text
    assert [row["model"] for row in found.table] == ["a", "b"] and found.table[1]["lower"] == pytest.approx(0.0012, abs=1e-4)
    assert all_or_nothing(model, np.arange(60) % 2, n, MODELS).status is Status.PASS


def test_unequal_items():
    model, item, _, n = table(0.5, 0.5, 0.5)
    assert unequal_items(model, item, n, MODELS).status is Status.PASS
    n = np.where((model == 2) & (item >= 30), 0, n)
    found = unequal_items(model, item, n, MODELS)
    assert found.status is Status.WARN and "met 30 of 50 items" in found.text
    assert found.table[0] == {"model": "c", "items": 30, "missing": 20}
    apart = np.where((model == 1) & (item < 30), 0, n)
    assert "1 pairs of models have no item in common" in unequal_items(model, item, apart, MODELS).text


def test_repeated_samples():
    """Model a repeats itself on 50 items; b differs; c has one sample a cell and is not asked."""
    model, item, k, n = table(0.5, 0.5, 0.5, trials=5)
    k = np.where(model == 0, 5 * (item % 2), k)
    n = np.where(model == 2, 1, n)
    found = repeated_samples(model, np.minimum(k, n), n, MODELS)
    assert found.status is Status.WARN and "1 of 2 models" in found.text and "temperature 0" in found.advice
    assert found.table[0]["cells"] == 50 and found.table[0]["differ_at_most"] == pytest.approx(1 - 0.05 ** (1 / 51))
    assert repeated_samples(model[50:], k[50:], np.full(100, 5), MODELS).status is Status.PASS
    assert repeated_samples(*(v[100:] for v in (model, np.minimum(k, 1), n)), MODELS).status is Status.NOT_COMPUTED


def test_results_are_plain():
    """They are written to JSON in reports and read back."""
    model, item, k, n = table(0.0, 1.0, 0.3)
    for found in (
        few_runs(np.array([2]), ["a"]), single_samples(n), near_chance(model, k, n, MODELS, chance=0.3, item=item),
        all_or_nothing(model, k, n, MODELS), unequal_items(model[:-1], item[:-1], n[:-1], MODELS),
    ):  # fmt: skip
        assert type(found).from_dict(found.to_dict()) == found and found.status is Status.WARN and found.advice
