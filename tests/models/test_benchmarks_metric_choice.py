"""Two metrics on the same runs: Table 2 with intervals, exact F quantiles, coverage, pairing, monotonicity."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("pymc")

from bayeskit import DataError
from bayeskit_models.benchmarks.metric_choice import metric_choice, metric_choice_of_summaries

# Madaan et al., Table 2: signal to noise of the discrete and of the continuous metric, 10 seeds.
TABLE_2 = {
    "ARC-C": (45.89, 381.64), "GSM8k": (7.88, 15.24), "HellaSwag": (608.23, 1921.15), "HumanEval": (6.79, 124.08),
    "MMLU": (52.45, 347.57),
}  # fmt: skip


def test_table_2_with_its_intervals():
    """The ratio of two sds from 10 runs each is F(9, 9): x0.50 to x2.01. So four of five are above 1, GSM8k's 1.9 is not."""
    low, high = np.sqrt(stats.f.ppf([0.025, 0.975], 9, 9))
    assert (low, high) == pytest.approx((0.498, 2.007), abs=1e-3)
    for name, (one, two) in TABLE_2.items():
        row = metric_choice_of_summaries((one, 1.0), (two, 1.0), 10, draws=40_000).table().loc["snr_ratio"]
        # The mean's own error adds 1 / sqrt(10) to a signal of one in 6.79 at least: below 1 % of the width.
        assert [row["lower"], row["upper"]] == pytest.approx(two / one * np.array([low, high]), rel=0.04), name
        assert (row["lower"] > 1.0) == (name != "GSM8k")


def simulated(rng, runs, correlation, snr=(20.0, 60.0), size=1):
    """Final scores of two metrics with sd 1 and these means, (size, runs, 2)."""
    z = rng.normal(size=(size, runs, 2))
    z[..., 1] = correlation * z[..., 0] + np.sqrt(1 - correlation**2) * z[..., 1]
    return z + np.array(snr)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_coverage(correlation):
    """1,000 sets of 10 runs: 90 % intervals of both ratios to noise and of their quotient cover with 86 to 94 %.

    That is 90 % and 4 standard errors. Under the prior that is exact for single sds the quotient's covered with 84 %.
    """
    rng = np.random.default_rng(12)
    truth, names = (20.0, 60.0, 3.0), ("snr_discrete", "snr_continuous", "snr_ratio")
    hits = []
    for seed, x in enumerate(simulated(rng, 10, correlation, size=1000)):
        found = metric_choice(x[:, 0], x[:, 1], draws=500, seed=seed)
        ends = [np.quantile(found[n], [0.05, 0.95]) for n in names]
        hits.append([a <= t <= b for (a, b), t in zip(ends, truth, strict=True)])
    share = np.mean(hits, axis=0)
    assert ((share > 0.86) & (share < 0.94)).all(), share


def test_the_quotient_of_sds_is_pitmans():
    """Quantiles of the quotient of two sds, 12 runs: sqrt(K + sqrt(K^2 - 1)), K = 1 + 2 (1 - r^2) t^2 / 10, within 3 %."""
    x = simulated(np.random.default_rng(9), 12, 0.6, snr=(1e6, 1e6))[0]  # means that are known exactly, next to the sds
    found = metric_choice(x[:, 0], x[:, 1], draws=40_000)["snr_ratio"]
    sds, r = x.std(0, ddof=1), np.corrcoef(x.T)[0, 1]
    k = 1.0 + 2.0 * (1.0 - r**2) * stats.t(10).ppf(0.975) ** 2 / 10
    factor = np.sqrt(k + np.sqrt(k**2 - 1.0))
    assert np.quantile(found, [0.025, 0.975]) == pytest.approx(sds[0] / sds[1] * np.array([1 / factor, factor]), rel=0.03)


def test_pairing_narrows_the_ratio():
    """Correlation .99: the interval of the ratio is a fraction of that from summaries; that of each metric is the same."""
    x = simulated(np.random.default_rng(5), 10, 0.99)[0]
    paired = metric_choice(x[:, 0], x[:, 1]).table()
    means, sds = x.mean(0), x.std(0, ddof=1)
    alone = metric_choice_of_summaries((means[0], sds[0]), (means[1], sds[1]), 10).table()

    def width(table, row):
        return np.log(table.loc[row, "upper"] / table.loc[row, "lower"])

    assert width(paired, "snr_ratio") < 0.4 * width(alone, "snr_ratio")
    for row in ("snr_discrete", "snr_continuous"):
        assert width(paired, row) == pytest.approx(width(alone, row), rel=0.1)


def test_monotonicity_is_paired_by_run():
    """Six runs with their own taus: means, and the t interval of the difference."""
    rng = np.random.default_rng(8)
    a = np.cumsum(rng.normal(0.4, 1.0, (6, 9)), axis=1)
    b = -np.cumsum(rng.normal(1.5, 1.0, (6, 9)), axis=1)  # a loss
    found = metric_choice(a, b, names=("acc", "loss"), rising=(True, False), draws=40_000)
    order = np.arange(9)
    taus = np.array([[stats.kendalltau(order, r).statistic for r in v] for v in (a, -b)])
    d = taus[1] - taus[0]
    table = found.table()
    assert table.loc["tau_acc", "median"] == pytest.approx(taus[0].mean(), abs=0.01)
    exact = stats.t(5, d.mean(), d.std(ddof=1) / np.sqrt(6)).ppf([0.025, 0.975])
    assert [table.loc["tau_difference", e] for e in ("lower", "upper")] == pytest.approx(exact, abs=0.03)
    assert "new seeds on the same items" in repr(found) and "6 runs" in repr(found)


def test_chance_is_taken_off():
    x = simulated(np.random.default_rng(5), 8, 0.0)[0]
    plain, less = (metric_choice(x[:, 0], x[:, 1], chance=c)["snr_discrete"] for c in ((0.0, 0.0), (10.0, 0.0)))
    assert np.median(less) / np.median(plain) == pytest.approx((x[:, 0].mean() - 10.0) / x[:, 0].mean(), rel=0.02)


def test_metrics_that_are_multiples_have_a_ratio_without_error():
    x = np.array([1.0, 2.0, 4.0, 4.5])
    found = metric_choice(x, 3.0 * x)
    assert found["snr_ratio"] == pytest.approx(1.0, abs=1e-6) and "correlate with 1.00" in repr(found)


@pytest.mark.parametrize(
    ("a", "b", "named"),
    [
        ([1.0, 2.0], [1.0, 2.0], "3 runs or more"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], r"second \(2,\)"),
        ([1.0, np.nan, 3.0], [1.0, 2.0, 3.0], "finite scores"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "discrete: all 3 runs"),
    ],
)
def test_faults_are_named(a, b, named):
    with pytest.raises(DataError, match=named):
        metric_choice(a, b)


def test_a_summary_without_noise_is_named():
    with pytest.raises(DataError, match="continuous: the standard deviation"):
        metric_choice_of_summaries((1.0, 0.1), (1.0, 0.0), 10)
