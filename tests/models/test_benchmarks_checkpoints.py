"""Curves over checkpoints: closed forms against brute force, exact calibration, Pythia's figures, invariance, faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("pymc")

from bayeskit import DataError, SpecificationError
from bayeskit_models.benchmarks import checkpoints
from bayeskit_models.benchmarks.checkpoints import curve_of_counts, curve_of_values, kendall_tau, table_of_curves

# Pythia-6.9B, zero-shot: metric, items, right answers at the steps below (EleutherAI/pythia, commit a19eecb8, evals/pythia-v1;
# Apache-2.0), and tau, sd of the last 5 scores and mean standard error of their items as computed from the scores themselves.
STEPS = [1000, 3000, *range(13_000, 144_000, 10_000)]
PYTHIA = {
    "lambada_openai": ("acc", 5153, [133, 1578, 2680, 2965, 3119, 3171, 3203, 3248, 3320, 3327, 3384, 3388, 3464, 3430, 3492,
                                     3467],
                       (0.967, 0.0078, 0.0066)),
    "arc_easy": ("acc", 2376, [717, 1038, 1275, 1332, 1380, 1471, 1499, 1552, 1542, 1562, 1560, 1576, 1594, 1591, 1607, 1600],
                 (0.933, 0.0049, 0.0096)),
    "arc_challenge": ("acc_norm", 1172, [248, 269, 294, 330, 324, 354, 361, 382, 362, 390, 396, 403, 409, 410, 409, 411],
                      (0.946, 0.0027, 0.0139)),
    "piqa": ("acc", 1838, [994, 1140, 1261, 1298, 1325, 1318, 1359, 1350, 1351, 1346, 1362, 1379, 1388, 1370, 1395, 1383],
             (0.833, 0.0051, 0.0101)),
    "winogrande": ("acc", 1267, [661, 634, 674, 695, 708, 744, 727, 742, 783, 757, 751, 779, 793, 784, 767, 772],
                   (0.733, 0.0080, 0.0137)),
    "logiqa": ("acc_norm", 651, [129, 174, 175, 175, 174, 180, 189, 178, 188, 182, 184, 187, 193, 188, 188, 197],
               (0.724, 0.0066, 0.0178)),
    "sciq": ("acc", 1000, [403, 720, 844, 840, 865, 877, 883, 887, 886, 891, 901, 905, 909, 907, 899, 897],
             (0.800, 0.0052, 0.0093)),
}  # fmt: skip
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "benchmarks" / "pythia_v1_checkpoint_evals.parquet"


@pytest.fixture(scope="module")
def pythia():
    return {name: curve_of_counts(STEPS, k, n, label=name) for name, (_, n, k, _) in PYTHIA.items()}


def test_pythia_as_printed(pythia):
    """Check 18: seven benchmarks, 16 checkpoints; and noise below the items' standard error except on LAMBADA."""
    for name, curve in pythia.items():
        tau, noise, items = PYTHIA[name][3]
        assert curve.observed_tau == pytest.approx(tau, abs=6e-4), name
        assert curve.observed_noise(5) == pytest.approx(noise, abs=6e-5), name
        assert curve.item_error[-5:].mean() == pytest.approx(items, abs=6e-5), name
        assert (curve.observed_noise(5) > curve.item_error[-5:].mean()) == (name == "lambada_openai")


def test_what_pythia_showed_is_in_the_posterior_of_a_repetition(pythia):
    """Observed tau and last-5 sd lie inside the central 99 % of what repetitions would show, on all seven benchmarks."""
    for name, curve in pythia.items():
        for found, value in ((curve.monotonicity()["tau_repeat"], curve.observed_tau),
                             (curve.last_noise()["sd_repeat"], curve.observed_noise())):  # fmt: skip
            assert np.quantile(found, 0.005) <= value + 1e-9, name
            assert value <= np.quantile(found, 0.995) + 1e-9, name
        assert curve.monotonicity()["tau_curve"].mean() > curve.observed_tau - 0.01, name
    assert pythia["arc_challenge"].p_monotone > 0.9 > 0.5 > pythia["logiqa"].p_monotone


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/benchmarks beside the checkout")
def test_the_counts_are_those_of_the_source():
    import pandas as pd

    table = pd.read_parquet(SHARED).query("model == 'pythia-6.9b' and setting == 'zero-shot' and step >= 1000")
    for task, (metric, n, k, _) in PYTHIA.items():
        rows = table[(table["task"] == task) & (table["metric"] == metric)].sort_values("step")
        assert rows["step"].tolist() == STEPS and rows["k_correct"].tolist() == k and (rows["n_items"] == n).all()


def test_marginal_likelihood_by_brute_force():
    """Five scores: the integral over level, slope and noise on a grid of 61 x 61 x 141 points, for two flexibilities.

    What the grid stores must differ from it by the log prior of the flexibility and one constant; error below 1e-6.
    """
    x, y = np.array([0.0, 0.2, 0.5, 0.8, 1.0]), np.array([0.1, 0.5, 0.4, 0.9, 1.3])
    ratios, log_weight, _, _ = checkpoints._grid(x, y, 10.0)
    less, more = np.minimum.outer(x, x), np.maximum.outer(x, x)
    k = less**2 * (3 * more - less) / 6
    h = np.stack([np.ones(5), x], axis=1)
    found = []
    for j in (50, 85):
        v = np.eye(5) + ratios[j] ** 2 * k
        inverse = np.linalg.inv(v)
        beta = np.linalg.solve(h.T @ inverse @ h, h.T @ inverse @ y)
        root = np.linalg.cholesky(np.linalg.inv(h.T @ inverse @ h))
        log_sd, step = np.linspace(-6.0, 6.0, 141), 0.2  # nodes of level and slope, in units of their own sd
        t = step * np.arange(-30, 31)
        a, b = np.meshgrid(t, t, indexing="ij")
        total = 0.0
        for s in np.exp(log_sd):
            off = s * np.stack([a.ravel(), b.ravel()]).T @ root.T
            left = y - (beta + off) @ h.T
            density = np.exp(-0.5 * np.einsum("ni,ij,nj->n", left, inverse, left) / s**2) / s**5 / np.sqrt(np.linalg.det(v))
            total += density.sum() * step**2 * s**2 * np.linalg.det(root)
        log_prior = np.log(ratios[j] / 10) - np.log1p((ratios[j] / 10) ** 2)
        found.append(np.log(total) + log_prior - log_weight[j])
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_curve_given_flexibility_by_conditioning():
    """y - P y and I - P against conditioning on the data with level and slope of variance 1e7: error below 1e-5."""
    x, y = np.linspace(0.0, 1.0, 8), np.sin(np.arange(8.0))
    ratios, _, projections, squares = checkpoints._grid(x, y, 10.0)
    less, more = np.minimum.outer(x, x), np.maximum.outer(x, x)
    prior = 1e7 * (1.0 + np.outer(x, x)) + ratios[80] ** 2 * less**2 * (3 * more - less) / 6
    gain = prior @ np.linalg.inv(prior + np.eye(8))
    assert y - projections[80] @ y == pytest.approx(gain @ y, abs=1e-5)
    assert np.eye(8) - projections[80] == pytest.approx(gain, abs=1e-5)  # the covariance, for noise of sd 1
    assert squares[80] == pytest.approx(y @ np.linalg.solve(prior + np.eye(8), y), abs=1e-5)


def test_without_flexibility_it_is_the_regression_on_a_line():
    """A prior that allows no bend: the variance is RSS / chi-square(n - 2), the line's end a t with n - 2 degrees of freedom.

    20,000 draws each, Kolmogorov-Smirnov at 1e-4; one degree of freedom more or less is rejected.
    """
    y = np.array([0.1, 0.7, 0.6, 1.3, 1.2, 1.9, 2.4, 2.2])
    found = curve_of_values(STEPS[:8], y, draws=20_000, scale=1e-6)
    line = stats.linregress(np.log(STEPS[:8]), y)
    left = y - line.intercept - line.slope * np.log(STEPS[:8])
    square = (left**2).sum() / found.noise[:, 0] ** 2
    assert stats.kstest(square, stats.chi2(6).cdf).pvalue > 1e-4
    assert min(stats.kstest(square, stats.chi2(df).cdf).pvalue for df in (5, 7)) < 1e-4
    x = np.log(STEPS[:8]) - np.mean(np.log(STEPS[:8]))
    error = np.sqrt((left**2).sum() / 6 * (1 / 8 + x[-1] ** 2 / (x**2).sum()))
    assert stats.kstest((found.curve[:, -1] - (y - left)[-1]) / error, stats.t(6).cdf).pvalue > 1e-4


def simulate(rng, steps, scale=10.0):
    """A curve from its prior, with a level, slope and noise of any size: the posterior is calibrated for all of them."""
    x = np.log(steps / steps[0]) / np.log(steps[-1] / steps[0])
    less, more = np.minimum.outer(x, x), np.maximum.outer(x, x)
    kernel = less**2 * (3 * more - less) / 6
    ratio = np.inf
    while not 1e-3 < ratio / scale < 1e4:
        ratio = scale * abs(rng.standard_cauchy())
    root = np.linalg.cholesky(kernel[1:, 1:])
    bend = 0.3 * ratio * np.concatenate([[0.0], root @ rng.normal(size=len(x) - 1)])
    curve = -1.0 + 4.0 * x + bend
    return curve, curve + 0.3 * rng.normal(size=len(x)), 0.3, ratio


def test_calibration():
    """400 simulated curves: ranks of truths among 199 draws are uniform, for six quantities.

    Under the prior 1 / sd and a flat one for level and slope this is exact for every noise, level and slope (invariance), so
    the ranks are a uniform sample: chi-square over ten bins, rejected at 1e-4. A noise sd that is 25 % too large is rejected.
    """
    rng, steps = np.random.default_rng(11), np.geomspace(1000, 143_000, 14)
    ranks, planted = [], []
    for seed in range(400):
        curve, y, sd, ratio = simulate(rng, steps)
        c = curve_of_values(steps, y, draws=199, seed=seed)
        tie = 1e-9 * rng.normal(size=200)
        pairs = [
            (c.noise[:, 0], sd), (c.ratio, ratio), (c.curve[:, -1], curve[-1]),
            (c.curve[:, 3] - c.curve[:, 0], curve[3] - curve[0]),
            (c.curve[:, -5:].mean(1) / c.noise[:, 0], curve[-5:].mean() / sd),
            (kendall_tau(c.curve) + tie[1:], kendall_tau(curve[None])[0] + tie[0]),
        ]  # fmt: skip
        planted.append(int((1.25 * c.noise[:, 0] < sd).sum()))
        ranks.append([int((draws < truth).sum()) for draws, truth in pairs])
    p = [uniform(r) for r in np.array(ranks).T]
    assert min(p) > 1e-4, p
    assert uniform(np.array(planted)) < 1e-4


def uniform(ranks):
    """P value of a chi-square test that ranks from 0 to 199 are uniform."""
    counts = np.bincount(ranks // 20, minlength=10)
    expected = len(ranks) / 10
    return stats.chi2.sf(((counts - expected) ** 2 / expected).sum(), 9)


def test_the_grid_is_fine_and_wide_enough(monkeypatch):
    """Twice as many nodes over a wider range move means of noise and curve by less than 5 of their Monte Carlo errors."""
    _, n, k, _ = PYTHIA["lambada_openai"]
    one = curve_of_counts(STEPS, k, n, draws=20_000)
    monkeypatch.setattr(checkpoints, "_GRID", (1e-4, 1e6, 401))
    two = curve_of_counts(STEPS, k, n, draws=20_000, seed=1)
    for a, b in (
        (one.noise[:, -1], two.noise[:, -1]),
        (one.curve[:, 4], two.curve[:, 4]),
        (np.log(one.ratio), np.log(two.ratio)),
    ):
        assert a.mean() == pytest.approx(b.mean(), abs=5 * a.std() * np.sqrt(2 / 20_000))


def test_units_and_level_of_a_metric_change_nothing():
    y = np.array([0.2, 0.9, 1.4, 1.3, 1.9, 2.2])
    one, two = curve_of_values(STEPS[:6], y), curve_of_values(STEPS[:6], 3.0 + 100.0 * y)
    for a, b in (
        (3.0 + 100.0 * one.curve, two.curve),
        (100.0 * one.noise, two.noise),
        (3.0 + 100.0 * one.repeated, two.repeated),
    ):
        assert np.abs(a - b).max() < 1e-6 * np.abs(b).max()
    assert kendall_tau(np.array([[1.0, 2.0, 2.0, 0.0]]))[0] == pytest.approx((1 + 1 - 1 + 0 - 1 - 1) / 6)


def test_autocorrelated_noise_shows():
    """60 checkpoints with noise of autocorrelation .9 on a line: repetitions with independent noise are rarely so smooth.

    With independent noise the probability is near one half; the limits leave room for one data set's luck.
    """
    rng, steps = np.random.default_rng(3), np.geomspace(1000, 143_000, 60)
    free = np.linspace(0, 40, 60) + rng.normal(size=60)
    alternating = np.linspace(0, 40, 60) + np.where(np.arange(60) % 2, 1.0, -1.0) + 0.2 * rng.normal(size=60)
    a, b = (curve_of_values(steps, y).autocorrelation() for y in (free, alternating))
    assert 0.02 < (a["independent"] > a["noise"]).mean() < 0.98
    assert (b["independent"] > b["noise"]).mean() > 0.99


def test_what_is_shown(pythia):
    curve = pythia["piqa"]
    assert "piqa: 16 checkpoints" in repr(curve) and "95% equal-tailed" in repr(curve) and "these items" in repr(curve)
    assert "Observed tau 0.833" in repr(curve.monotonicity())
    assert "Observed sd of the last 5: 0.0051" in repr(curve.last_noise())
    snr = curve.snr(5, chance=0.5).table()
    mean = np.mean(PYTHIA["piqa"][2][-5:]) / 1838
    assert snr.loc["above_chance_over_noise", "median"] / snr.loc["mean_over_noise", "median"] == pytest.approx(
        (mean - 0.5) / mean, rel=0.02
    )
    table = table_of_curves([pythia["piqa"], pythia["sciq"]], prob=0.9)
    assert list(table.index) == ["piqa", "sciq"] and table.attrs["prob"] == 0.9
    assert table.loc["piqa", "item_error"] == pytest.approx(0.0101, abs=6e-5)
    assert table.loc["sciq", "noise_lower"] == pytest.approx(np.quantile(pythia["sciq"].last_noise()["noise"], 0.05))
    figure = curve.plot()
    assert "a repetition" in figure.alt and "log10 of the training step" in figure.alt


@pytest.mark.parametrize(
    ("steps", "k", "named"),
    [
        ([0, 1, 2, 3, 4], [1] * 5, "above 0 and ascending"),
        ([1, 2, 2, 3, 4], [1] * 5, "ascending"),
        ([1, 2, 3, 4], [1, 2, 3, 4], "5 steps or more"),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 11], "out of range"),
        ([1, 2, 3, 4, 5], [1] * 5, "all scores are the same"),
    ],
)
def test_faults_are_named(steps, k, named):
    with pytest.raises(DataError, match=named):
        curve_of_counts(steps, k, 10)


def test_faults_of_settings_are_named(pythia):
    with pytest.raises(SpecificationError, match="last=17"):
        pythia["piqa"].last_noise(17)
    with pytest.raises(SpecificationError, match="draws=0"):
        curve_of_values(STEPS[:5], [1.0, 2.0, 3.0, 4.0, 6.0], draws=0)
