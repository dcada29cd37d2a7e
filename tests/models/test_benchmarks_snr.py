"""Signal to noise: exact distributions, printed tables, simulated seeds; and intervals of one proportion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

pytest.importorskip("pymc")

from bayeskit import DataError, SpecificationError
from bayeskit_models.benchmarks.decomposition import score_components
from bayeskit_models.benchmarks.proportions import beta_interval, clt_interval, clustered_interval
from bayeskit_models.benchmarks.snr import heineman, sd_draws, sd_factors, seed_noise, signal_to_noise

# Madaan et al., Table 1: seed sd over the standard error of the items, 10 seeds.
TABLE_1 = {"MMLU": 1.55, "BBH": 1.59, "MATH": 1.61, "HellaSwag": 0.44, "PIQA": 0.40, "SIQA": 0.49}


def test_factors_of_a_standard_deviation():
    """10 seeds: x0.69 to x1.83; 4 seeds: x0.57 to x3.73, a factor of 6.6."""
    assert sd_factors(10) == pytest.approx((0.688, 1.826), abs=5e-4)
    assert sd_factors(4) == pytest.approx((0.566, 3.729), abs=5e-4)
    low, high = sd_factors(4)
    assert high / low == pytest.approx(6.6, abs=0.02)


def test_drawn_standard_deviations_follow_chi_square():
    """20,000 draws: quantiles of the sd within 2 %, which is 4 standard errors; the mean is a t with the right spread."""
    mean, sd = sd_draws(0.87, 10, 20_000, mean=39.71)
    assert np.quantile(sd, [0.025, 0.975]) == pytest.approx(0.87 * np.array(sd_factors(10)), rel=0.02)
    t = (mean - 39.71) / (0.87 / np.sqrt(10))
    assert stats.kstest(t, stats.t(9).cdf).pvalue > 1e-4


def test_which_benchmarks_have_a_main_effect_of_seeds():
    """Ratios above 1 with probability above .9 for MMLU, BBH and MATH, below 1 for HellaSwag, PIQA and SIQA."""
    for ratio in TABLE_1.values():
        exact = stats.chi2.cdf(9 * ratio**2, 9)
        found = (sd_draws(ratio, 10, 20_000)[1] > 1.0).mean()
        assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
        assert found > 0.9 if ratio > 1.0 else found < 0.1


def test_table_2_as_printed_and_with_its_interval():
    """ARC-C: 39.71 / 0.87 = 45.6 (45.89 printed from unrounded numbers); the interval runs from 25 to 66."""
    mean, sd = sd_draws(0.87, 10, 20_000, mean=39.71)
    table = signal_to_noise(mean, sd, chance=25.0).table()
    row = table.loc["mean_over_noise"]
    assert float(np.divide(39.71, 0.87)) == pytest.approx(45.89, rel=0.01)
    assert [row["lower"], row["upper"]] == pytest.approx(45.64 / np.array(sd_factors(10))[::-1], rel=0.02)
    above = table.loc["above_chance_over_noise"]
    assert above["median"] / row["median"] == pytest.approx(14.71 / 39.71, rel=0.01)


def test_seed_noise_is_that_of_simulated_seeds():
    """30,000 seeds of one model on the same 40 items: its variance to 4 standard errors, averaged over 60 sets of items."""
    rng = np.random.default_rng(5)
    parts = score_components(np.array([[0.4]]), item_sd=1.3, run_sd=0.4)
    found = []
    for _ in range(60):
        x = 0.4 + 1.3 * rng.normal(size=40) + 0.4 * rng.normal(size=(500, 1))
        found.append((rng.binomial(3, special.expit(x)).mean(1) / 3).var(ddof=1))
    error = np.std(found) / np.sqrt(60)
    assert seed_noise(parts, 40, 3)[0] ** 2 == pytest.approx(np.mean(found), abs=4 * error)


def test_between_models_and_no_noise():
    found = signal_to_noise([0.5, 0.6], [0.01, 0.0], chance=0.5, between=[0.1, 0.2])
    assert found["mean_over_noise"].tolist() == [50.0, np.inf]
    assert found["above_chance_over_noise"][0] == 0.0
    assert found["models_over_noise"].tolist() == [10.0, np.inf]
    assert "p_not_reached" in found.table() and "same items" in repr(found)


def test_heineman():
    """Scores .4, .5, .6 of mean .5: signal .4; noise .01 around .5: .02; ratio 20."""
    found = heineman([[0.4, 0.5, 0.6]], [0.01], [0.5])
    assert [found[n][0] for n in ("signal", "noise", "snr")] == pytest.approx([0.4, 0.02, 20.0])
    with pytest.raises(SpecificationError, match="two models"):
        heineman([[0.4]], [0.01], [0.5])


def test_small_tables():
    """20 of 20: [.839, .999]; 0 of 20: [.001, .161]; 10 of 20: [.298, .702] under a uniform prior."""
    found = beta_interval([20, 0, 10], 20)
    assert found == pytest.approx(np.array([[0.839, 0.999], [0.001, 0.161], [0.298, 0.702]]), abs=5e-4)


def coverage(interval, n, a=1.0, b=1.0):
    """Exact coverage, averaged over p ~ Beta(a, b): the mass of the posterior of every count inside its interval."""
    k = np.arange(n + 1)
    marginal = stats.betabinom.pmf(k, n, a, b)
    inside = stats.beta.cdf(interval[:, 1], a + k, b + n - k) - stats.beta.cdf(interval[:, 0], a + k, b + n - k)
    return float(marginal @ inside)


def test_coverage_at_thirty_answers():
    """n = 30, p uniform: the credible interval covers with 95 %, the normal one with less than 92 %; no simulation."""
    k = np.arange(31)
    assert coverage(beta_interval(k, 30), 30) == pytest.approx(0.95, abs=1e-9)
    assert coverage(clt_interval(k, 30), 30) < 0.92
    assert coverage(clt_interval(np.arange(1001), 1000), 1000) > 0.94


def test_clustered_interval_by_brute_force():
    """Three clusters: quantiles of theta from two million weighted points of an even grid, to the third digit."""
    k, n = np.array([0, 4, 6]), np.array([5, 6, 6])
    theta, d = (np.arange(1000) + 0.5) / 1000, (np.arange(2000) + 0.5) / 100
    total = -d + np.zeros((1000, 1))
    for hits, size in zip(k, n, strict=True):
        a, b = theta[:, None] * d, (1.0 - theta[:, None]) * d
        total += special.betaln(a + hits, b + size - hits) - special.betaln(a, b)
    below = np.cumsum(np.exp(total - total.max()).sum(1))
    exact = np.interp([0.05, 0.95], below / below[-1], theta + 0.5 / 1000)
    assert clustered_interval(k, n, 0.9) == pytest.approx(exact, abs=2e-3)


def test_coverage_with_clusters():
    """30 answers in 5 clusters, 1,500 tables from the prior: the credible interval covers with 93 to 97 %.

    The standard error is .6 %. The normal interval, which takes the answers for independent, covers with less than 75 %.
    """
    rng = np.random.default_rng(6)
    theta, d = rng.uniform(size=1500), rng.exponential(size=1500)
    p = rng.beta((theta * d)[:, None], ((1 - theta) * d)[:, None], (1500, 5))
    p = np.where(np.isnan(p), rng.uniform(size=p.shape) < theta[:, None], p)  # d near 0: a cluster is all right or all wrong
    k = rng.binomial(6, p)
    distinct, place = np.unique(np.sort(k, axis=1), axis=0, return_inverse=True)
    ends = np.array([clustered_interval(row, np.full(5, 6)) for row in distinct])[place.ravel()]
    normal = clt_interval(k.sum(1), 30)
    share = [((e[:, 0] <= theta) & (theta <= e[:, 1])).mean() for e in (ends, normal)]
    assert 0.93 < share[0] < 0.97 and share[1] < 0.75


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda: sd_factors(1), SpecificationError, "runs=1"),
        (lambda: sd_factors(5, 1.0), SpecificationError, "prob=1.0"),
        (lambda: sd_draws(-1.0, 5), DataError, "sd is -1.0"),
        (lambda: sd_draws(1.0, 1), SpecificationError, "runs=1"),
        (lambda: beta_interval(3, 2), DataError, "out of range"),
        (lambda: beta_interval(1, 2, 0.0), SpecificationError, "prob=0.0"),
        (lambda: beta_interval(1, 2, prior=(0.0, 1.0)), SpecificationError, "prior="),
    ],
)
def test_faults_are_named(call, error, named):
    with pytest.raises(error, match=named):
        call()
