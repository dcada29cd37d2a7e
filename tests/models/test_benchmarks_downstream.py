"""Errors from losses: the source's figures, held-out models, brute force, exact calibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayeskit import DataError, SpecificationError
from bayeskit_models.benchmarks.downstream import errors_from_losses

# RedPajama models of Gadre et al.: loss on C4 and error averaged over 17 tasks, of 32 models up to 0.4 billion parameters and
# of the smaller of two of 1.4 billion (mlfoundations/scaling, commit a003c491; MIT).
LOSS = [
    6.1239, 5.7232, 5.387, 5.1078, 4.8231, 4.6705, 4.5723, 4.4921, 5.0388, 4.1643, 3.8999, 3.7441, 3.6345, 3.5525,
    3.4895, 3.4254,     4.079, 3.7329, 3.5311, 3.401, 3.3139, 3.2389, 3.1681, 3.1051, 3.6452, 3.2738, 3.1498, 3.0483,
    2.9739, 2.9088, 2.8035, 2.7682,     2.7688,
]  # fmt: skip
ERROR = [
    0.8187, 0.8146, 0.8135, 0.8177, 0.8112, 0.7859, 0.7671, 0.7712, 0.8124, 0.7313, 0.725, 0.7025, 0.699, 0.6818,
    0.6681, 0.6634,     0.7467, 0.6942, 0.671, 0.664, 0.6513, 0.6386, 0.6296, 0.6153, 0.6806, 0.6597, 0.6366, 0.6133,
    0.6081, 0.5903, 0.5491, 0.5401,     0.5473,
]  # fmt: skip
# Held out: parameters, tokens a parameter, loss, error; 6.9 billion at 20 and 1.4 billion at 640 tokens a parameter.
HELD_OUT = ((6_889_410_560, 20, 2.424993, 0.471637), (1_439_795_200, 640, 2.502054, 0.475215))


def test_the_source_s_own_predictions():
    """Relative errors .7320 and .7103 % (loss), .0464 and 3.6365 % (error) with its printed parameters, to their digits.

    Four or five printed digits of the parameters leave .002 percentage points.
    """
    found = []
    for n, m, loss, error in HELD_OUT:
        predicted = 166.21 * n**-0.27285 + 366.69 * 6 ** (-0.27285 / 2) * (m * n) ** -0.27285 + 1.8366
        found += [100 * (predicted / loss - 1), 100 * ((0.8570 - 2.2065 * np.exp(-0.7146 * predicted)) / error - 1)]
    assert found == pytest.approx([0.7320, 0.0464, 0.7103, 3.6365], abs=2e-3)


def test_held_out_models_are_inside_the_predictive_interval():
    """Fitted to the 33 smaller models: both held-out errors lie in the 95 % interval; the source's parameters in theirs."""
    curve = errors_from_losses(LOSS, ERROR)
    for draws in (curve.predict([h[2] for h in HELD_OUT]), curve.predict([2.4427, 2.5198], loss_sd=0.02)):
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        assert (low < [0.4716, 0.4752]).all() and (high > [0.4716, 0.4752]).all()
        assert (high - low < 0.08).all()
    table = curve.parameters().table()
    for name, value in (("epsilon", 0.8570), ("k", 2.2065), ("gamma", 0.7146)):
        assert table.loc[name, "lower"] < value < table.loc[name, "upper"]
    assert "same items" in repr(curve.parameters())


def test_posterior_by_brute_force():
    """Six models: mean and sd of gamma and of the error at one loss from a grid over gamma and both ends, sd summed out.

    20,000 draws: within 4 standard errors and the error of the grid (.5 %).
    """
    x, y = np.array([2.5, 3.0, 3.4, 4.0, 5.0, 6.0]), np.array([0.50, 0.58, 0.66, 0.71, 0.79, 0.80])
    curve = errors_from_losses(x, y, draws=20_000)
    log_gamma = np.linspace(-5.0, 5.0, 251)
    gamma = np.exp(log_gamma)[:, None]
    share = (np.exp(-2.5 * gamma) - np.exp(-gamma * x)) / (np.exp(-2.5 * gamma) - np.exp(-6.0 * gamma))
    a, b = np.linspace(0.2, 0.8, 151), np.linspace(0.5, 1.1, 151)
    total = np.zeros(251)
    moments = np.zeros((251, 2))
    at = (np.expm1(-0.3 * gamma) / np.expm1(-3.5 * gamma))[:, 0]
    for j in range(251):
        left = y - (a[:, None, None] * (1 - share[j]) + b[:, None] * share[j])
        weight = (left**2).sum(-1) ** -3.0  # the noise summed out: 1 / sd times sd^-6 exp(-RSS / 2 sd^2)
        value = a[:, None] * (1 - at[j]) + b * at[j]
        total[j] = weight.sum()
        moments[j] = [(weight * value).sum(), (weight * value**2).sum()]
    prior = np.exp(-0.5 * log_gamma**2)
    p = total * prior / (total * prior).sum()
    mean = p @ log_gamma
    sd = np.sqrt(p @ (log_gamma - mean) ** 2)
    found = np.log(curve.gamma)
    assert found.mean() == pytest.approx(mean, abs=4 * sd / 141 + 0.005 * sd)
    assert found.std() == pytest.approx(sd, rel=0.03)
    first, second = prior @ moments / (total * prior).sum()
    spread = np.sqrt(second - first**2)
    assert curve.expected(2.8).mean() == pytest.approx(first, abs=0.04 * spread)
    assert curve.expected(2.8).std() == pytest.approx(spread, rel=0.05)


def test_calibration():
    """500 simulated tables of 9 models: ranks of gamma, noise and a model beyond the data are uniform (chi-square at 1e-4).

    Flat ends and the prior 1 / sd make this exact for any ends and noise; gamma is drawn from its prior.
    """
    rng, x = np.random.default_rng(21), np.linspace(2.6, 6.0, 9)
    ranks = []
    for seed in range(500):
        gamma = np.exp(np.clip(rng.normal(), -5, 5))
        share = np.expm1(-gamma * (np.append(x, 2.4) - 2.6)) / np.expm1(-gamma * 3.4)
        y = 0.5 + 0.3 * share + 0.02 * rng.normal(size=10)
        curve = errors_from_losses(x, y[:9], draws=199, seed=seed)
        pairs = ((curve.gamma, gamma), (curve.noise, 0.02), (curve.predict(2.4)[:, 0], y[9]))
        ranks.append([int((draws < truth).sum()) for draws, truth in pairs])
    counts = np.stack([np.bincount(r // 20, minlength=10) for r in np.array(ranks).T])
    p = stats.chi2.sf(((counts - 50.0) ** 2 / 50.0).sum(1), 9)
    assert (p > 1e-4).all(), p


@pytest.mark.parametrize(
    ("x", "y", "named"),
    [
        ([1, 2, 3, 4], [1] * 4, "5 models"),
        ([1, 2, 3, 4, 5], [1] * 4, r"errors \(4,\)"),
        ([1, 1, 2, 2, 2], [1] * 5, "three different"),
        ([1, 2, 3, 4, np.inf], [1] * 5, "finite"),
    ],
)
def test_faults_are_named(x, y, named):
    with pytest.raises(DataError, match=named):
        errors_from_losses(x, y)


def test_faults_of_settings_are_named():
    with pytest.raises(SpecificationError, match="prior="):
        errors_from_losses(LOSS, ERROR, prior=(0.0, 0.0))
