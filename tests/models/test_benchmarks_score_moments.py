"""Moments of scores against SciPy's laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from bayeskit_models.benchmarks.score_moments import MOMENTS

X = np.array([-9.0, -1.2, 0.0, 0.7, 5.0])


def test_counts():
    """Mean and variance of a share of successes of n samples: variance of one over n, and what n does not average out."""
    n = 7
    for chance in (0.0, 0.25):
        p = chance + (1.0 - chance) * special.expit(X)
        plain = MOMENTS["binomial"](X, chance=chance)
        np.testing.assert_allclose(plain.mean, p, rtol=1e-12)
        np.testing.assert_allclose(plain.variance / n, stats.binom(n, p).var() / n**2, rtol=1e-11)
        spread = MOMENTS["beta_binomial"](X, precision=3.0, chance=chance)
        exact = stats.betabinom(n, 3.0 * p, 3.0 * (1.0 - p)).var() / n**2
        np.testing.assert_allclose(spread.shared + (spread.variance - spread.shared) / n, exact, rtol=1e-9)


def test_continuous_scores():
    found = MOMENTS["gaussian"](X[:, None], noise_sd=[0.5, 2.0])
    np.testing.assert_array_equal(found.mean, np.repeat(X[:, None], 2, axis=1))
    np.testing.assert_array_equal(found.variance, np.tile([0.25, 4.0], (5, 1)))


@pytest.mark.parametrize("precision", [1.5, 30.0])
def test_scores_with_ends(precision):
    """Against the moments of the beta law of the scores inside."""
    found = MOMENTS["ordered_beta"](X, cut_low=-1.0, cut_high=1.5, precision=precision)
    for i, x in enumerate(X):
        p = special.expit(x)
        beta = stats.beta(p * precision, (1.0 - p) * precision)
        inside = special.expit(x + 1.0) - special.expit(x - 1.5)
        moments = [special.expit(x - 1.5) + inside * beta.moment(d) for d in (1, 2)]
        assert found.mean[i] == pytest.approx(moments[0], rel=1e-9)
        assert found.variance[i] == pytest.approx(moments[1] - moments[0] ** 2, rel=1e-9)
