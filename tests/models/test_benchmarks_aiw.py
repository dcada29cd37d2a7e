"""Prompt variations of the AIW+ problem: which models they move (spec G 15), against the exact posterior.

A model alone has two parameters, its level and the standard deviation of its templates, so the posterior is a sum over a grid
in which each template's effect is integrated out.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, log_expit

pytest.importorskip("pymc")

from bayeskit.convergence import mean_errors
from bayeskit_models import datasets
from bayeskit_models.benchmarks import BenchmarkVariance

SPEC = BenchmarkVariance(item=None, template="variation", score="successes", trials="trials")
MODELS = {"gpt-4o-2024-05-13": 0.178, "o1-preview": 0.989, "claude-3-5-sonnet-20240620": 0.400}


@pytest.fixture(scope="module")
def table():
    return datasets.load("aiw")


@pytest.fixture(scope="module")
def fits(table):
    return {m: SPEC.fit(table[table["model"] == m], seed=1, draws=1000, tune=1000, progress=False) for m in MODELS}


def exact_above(counts, limit=0.5):
    """P(sd > limit | counts) under Normal(0, 2) and HalfNormal(.5); levels, sds and effects on grids (error below 1e-4)."""
    mu, sd = np.linspace(-6.0, 8.0, 141), (np.arange(150) + 0.5) * 0.02
    z, w = np.polynomial.hermite_e.hermegauss(60)
    x = mu[:, None, None] + sd[:, None] * z  # (mu, sd, z)
    hit, miss = log_expit(x), log_expit(-x)
    log = np.zeros((len(mu), len(sd)))
    for k in counts:
        log += np.log(np.exp(k * hit + (60 - k) * miss) @ w)
    log += stats.norm.logpdf(mu, 0, 2)[:, None] + stats.halfnorm.logpdf(sd, 0, 0.5)
    mass = np.exp(log - log.max()).sum(0)
    return float(mass[sd > limit].sum() / mass.sum())


@pytest.mark.parametrize("model", MODELS)
def test_the_posterior_of_the_template_sd_is_exact(fits, table, model):
    """Within 4 Monte Carlo standard errors, which are about .005 (4,000 draws)."""
    above = (fits[model].posterior["model_template_sd"].transpose("chain", "draw").values > 0.5).astype(float)
    error = float(mean_errors(above[..., None])[0])
    counts = table.loc[table["model"] == model, "successes"].to_numpy()
    assert error < 0.02
    assert abs(above.mean() - exact_above(counts)) < 4 * error


def test_variations_move_one_model_and_not_the_others(fits, table):
    """gpt-4o: P(sd > .5 logit) > .95. The others: not, and o1-preview, at its ceiling, is left with nearly the prior's .32."""
    counts = {m: table.loc[table["model"] == m, "successes"].to_numpy() for m in MODELS}
    above = {m: exact_above(counts[m]) for m in MODELS}
    drawn = {m: float((fits[m].posterior["model_template_sd"] > 0.5).mean()) for m in MODELS}
    for found in (above, drawn):
        assert found["gpt-4o-2024-05-13"] > 0.95
        assert found["claude-3-5-sonnet-20240620"] < 0.5 and found["o1-preview"] < 0.5
    assert abs(above["o1-preview"] - 2 * stats.norm.sf(1.0)) < 0.1


@pytest.mark.parametrize("model", MODELS)
def test_scores_are_about_the_pooled_rates(fits, table, model):
    """The interval of the score over new variations holds the pooled rate, and is wider than that of 360 like trials."""
    rate = table.loc[table["model"] == model, "successes"].sum() / 360
    assert rate == pytest.approx(MODELS[model], abs=5e-4)
    row = fits[model].leaderboard().table.loc[model]
    assert row["lower"] < rate < row["upper"]
    plain = 2 * 1.96 * np.sqrt(rate * (1 - rate) / 360)
    assert row["upper"] - row["lower"] > (1.5 * plain if model.startswith("gpt") else 0.9 * plain)


def test_a_level_without_templates_is_the_beta_posterior_on_the_logit(table):
    """Without the facet all 360 trials are alike: the posterior is that of one proportion, on a grid (4 standard errors)."""
    rows = table[table["model"] == "gpt-4o-2024-05-13"]
    spec = BenchmarkVariance(item=None, template=None, score="successes", trials="trials")
    fit = spec.fit(rows, seed=2, draws=1000, tune=1000, progress=False)
    mu = np.linspace(-4.0, 2.0, 6001)
    k = rows["successes"].sum()
    log = k * log_expit(mu) + (360 - k) * log_expit(-mu) + stats.norm.logpdf(mu, 0, 2)
    mass = np.exp(log - log.max())
    draws = fit.estimands["score"].transpose("chain", "draw", "model").values
    error = float(mean_errors(draws)[0])
    assert abs(draws.mean() - float(expit(mu) @ mass / mass.sum())) < 4 * error
