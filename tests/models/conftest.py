"""Fits that many tests look at: one compiled model each, made on first use and kept for the session."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def paired_spec():
    from bayeskit_models.judges import JudgeSimplex

    return JudgeSimplex(2, item="item")


@pytest.fixture(scope="session")
def paired_simulation(paired_spec):
    """Four candidates, three judges, 60 items, two levels: what people bring most often."""
    return paired_spec.simulate(8, candidates=4, judges=3, items=60)


@pytest.fixture(scope="session")
def paired_fit(paired_spec, paired_simulation):
    return paired_spec.fit(paired_simulation.table, seed=3, draws=500, tune=500, progress=False)


@pytest.fixture(scope="session")
def three_level_fit():
    """Three candidates, two judges, three levels, counts: the case in which no bare ranking may be shown."""
    from bayeskit_models.judges import JudgeSimplex

    spec = JudgeSimplex(3, constancy="strict", quality="strong")
    table = spec.simulate(5, candidates=3, judges=2, items=300).table
    return spec.fit(table, seed=4, draws=500, tune=500, progress=False)


_SURVIVAL = {"draws": 300, "tune": 400, "chains": 2, "seed": 1, "progress": False}


@pytest.fixture(scope="session")
def gbsg2_fit():
    """Two arms, the family's law free, the covariate on time and power."""
    from bayeskit_models import datasets
    from bayeskit_models.survival import FlexibleSurvival

    return FlexibleSurvival.mpr_aft("horTh", duration="time", event="cens").fit(datasets.load("gbsg2"), **_SURVIVAL)


@pytest.fixture(scope="session")
def gbsg2_wide():
    """A continuous covariate beside the arms: nearly as many patterns as rows."""
    from bayeskit_models import datasets
    from bayeskit_models.survival import FlexibleSurvival

    spec = FlexibleSurvival.aft("horTh + pnodes", duration="time", event="cens")
    return spec.fit(datasets.load("gbsg2").iloc[:200], **_SURVIVAL)


@pytest.fixture(scope="session")
def gbsg2_weibull():
    """A law that is fixed, hazards that are proportional."""
    from bayeskit_models import datasets
    from bayeskit_models.survival import FlexibleSurvival

    spec = FlexibleSurvival(duration="time", event="cens", hazard="horTh", law="weibull")
    return spec.fit(datasets.load("gbsg2").iloc[:200], **_SURVIVAL)


@pytest.fixture(scope="session")
def aiw_fit():
    """Six models on six variations of one problem: counts with templates, nothing integrated out."""
    from bayeskit_models import datasets
    from bayeskit_models.benchmarks.demo import demo_model

    return demo_model().fit(datasets.load("aiw"), seed=1, draws=1000, tune=1000, progress=False)


@pytest.fixture(scope="session")
def pair_table():
    """Two models on the same 800 items with ten samples each, one row per model and item."""
    from bayeskit_models import datasets

    pair = datasets.load("cruxeval_pair")
    each = pair.loc[pair.index.repeat(pair["items"])].drop(columns="items").reset_index(drop=True)
    table = each.rename_axis("item").reset_index().melt("item", var_name="model", value_name="successes")
    return table.assign(trials=10)


@pytest.fixture(scope="session")
def pair_fit(pair_table):
    from bayeskit_models.benchmarks import BenchmarkVariance

    spec = BenchmarkVariance(score="successes", trials="trials")
    fit = spec.fit(pair_table, seed=1, draws=500, tune=500, progress=False)
    assert fit.verdict.status.value in ("PASS", "WARN"), fit.verdict
    return fit
