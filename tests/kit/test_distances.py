"""Distances between reweighted draws and errors of means: the arithmetic behind a sensitivity table."""

from __future__ import annotations

import numpy as np
import pytest

from bayeskit.convergence import diagnostics, mean_errors, tail_size
from bayeskit.sensitivity.power import Order, between, jensen_shannon


def one_by_one(x, weights):
    """The distance as the paper writes it, both halves apart."""
    order = np.argsort(x, kind="stable")
    width, size = np.diff(x[order]), len(x)
    p, q = np.linspace(1.0 / size, 1.0 - 1.0 / size, size - 1), np.cumsum(weights[order])[:-1]
    gap = 0.5 / np.log(2.0) * (q @ width - p @ width)
    forward = width @ (p * (np.log2(p) - np.log2((p + q) / 2))) + gap
    back = width @ (q * (np.log2(np.maximum(q, 1e-300)) - np.log2((p + q) / 2))) - gap
    return np.sqrt((forward + back) / (p @ width + q @ width))


def test_distances_of_many_quantities_at_once():
    rng = np.random.default_rng(7)
    x, weights = rng.normal(size=(800, 5)) ** 3, rng.dirichlet(np.ones(800))
    x[:, 4] = np.round(x[:, 4])  # ties
    found = Order.of(x).distances(weights)
    wanted = [max(one_by_one(x[:, q], weights), one_by_one(-x[:, q], weights)) for q in range(4)]
    np.testing.assert_allclose(found[:4], wanted, rtol=1e-9)
    assert jensen_shannon(x[:, 0], weights) == pytest.approx(one_by_one(x[:, 0], weights), rel=1e-9)


def test_distance_between_samples():
    """Of Normal(0, 1) and Normal(0.5, 1) by quadrature; of two samples of one distribution nothing but noise (4 x 1,000)."""
    from scipy.stats import norm

    rng = np.random.default_rng(8)
    one, other = rng.normal(size=(4, 1000, 1)), 0.5 + rng.normal(size=(4, 1000, 1))
    grid = np.linspace(-12, 12, 200_001)

    def exact(p, q):
        inside = p * np.log2(p) + q * np.log2(q) - (p + q) * np.log2((p + q) / 2)
        return np.sqrt(inside.sum() / (p + q).sum())

    low, high = -4.0, 4.5  # samples of this size end about there, and so does the area under the functions
    at = grid[(grid > low) & (grid < high)]
    wanted = max(exact(norm.cdf(at), norm.cdf(at - 0.5)), exact(norm.sf(at), norm.sf(at - 0.5)))
    assert between(one, other)[0] == pytest.approx(wanted, rel=0.15)
    assert between(one, rng.normal(size=(4, 1000, 1)))[0] < 0.02


def test_errors_of_means_alone():
    x = np.cumsum(np.random.default_rng(9).normal(size=(4, 300, 3)), axis=1) * 0.1
    full = diagnostics(x)
    np.testing.assert_allclose(mean_errors(x), full["mcse_mean"], rtol=1e-12)
    assert tail_size(x[..., 0]) == pytest.approx(full["ess_tail"][0], rel=1e-12)
    x[0, 0, 1] = np.nan
    x[..., 2] = 1.0
    assert np.isnan(mean_errors(x)).tolist() == [False, True, True] and np.isnan(tail_size(x[..., 2]))
