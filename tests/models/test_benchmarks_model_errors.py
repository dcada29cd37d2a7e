"""Errors of single models against components, a dense grid, least squares, and repetitions of a benchmark near its ceiling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

pytest.importorskip("pymc")

from bayeskit import SpecificationError
from bayeskit_models.benchmarks.decomposition import score_components
from bayeskit_models.benchmarks.model_errors import model_errors
from bayeskit_models.benchmarks.pass_at_k import pass_at_k_new_items
from bayeskit_models.benchmarks.stability import winning_probabilities

ETA = np.array([-2.0, 0.1, 0.6, 4.0])


def test_the_mean_over_models_is_the_component():
    rng = np.random.default_rng(1)
    eta, sd = rng.normal(0.0, 1.5, (5, 6)), np.abs(rng.normal(1.0, 1.0, 5))
    between, within = model_errors(eta, item_sd=sd, model_item_sd=0.7, chance=0.2)
    parts = score_components(eta, item_sd=sd, model_item_sd=0.7, chance=0.2)
    assert between.mean(1) == pytest.approx(parts["model_item"], abs=1e-10)
    assert within.mean(1) == pytest.approx(parts["within"], abs=1e-10)


def test_the_split_is_least_squares_of_all_pairs():
    """Variances of differences over a grid of effects, then numpy's least squares; error below 1e-8."""
    x, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    p = special.expit(ETA[:, None, None] + 1.2 * x[:, None] + 0.8 * x)
    mean, own = np.einsum("mzu,z,u->m", p, w, w), np.einsum("mzu,z,u->m", p**2, w, w)
    cross = np.einsum("mz,nz,z->mn", p @ w, p @ w, w)
    a, b = np.triu_indices(4, 1)
    d = own[a] + own[b] - 2 * cross[a, b] - (mean[a] - mean[b]) ** 2
    rows = np.zeros((6, 4))
    rows[np.arange(6), a] = rows[np.arange(6), b] = 1.0
    found, within = model_errors(ETA[None], item_sd=1.2, model_item_sd=0.8)
    assert found[0] == pytest.approx(np.linalg.lstsq(rows, d)[0], abs=1e-8)
    assert within[0] == pytest.approx(mean - own, abs=1e-8)
    two, _ = model_errors(ETA[None, :2], item_sd=1.2, model_item_sd=0.8)
    assert two[0] == pytest.approx([d[0] / 2, d[0] / 2], abs=1e-8)


def test_winners_of_a_benchmark_near_its_ceiling():
    """6,000 repetitions, 200 items, five models from .80 to .97: probabilities of winning within .03.

    That is 4 standard errors and .006 for ties and errors that are not quite normal. One error for all models gives .54 to the
    best, which wins in .63 of repetitions.
    """
    rng, eta = np.random.default_rng(4), np.array([1.6, 1.8, 3.6, 4.3, 4.6])
    between, within = model_errors(eta[None], item_sd=1.0, model_item_sd=0.5)
    scores = pass_at_k_new_items(eta[None], np.hypot(1.0, 0.5), [1])[..., 0]
    wins = np.zeros(5)
    for _ in range(6_000):
        x = eta[:, None] + rng.normal(size=200) + 0.5 * rng.normal(size=(5, 200))
        best = (rng.uniform(size=x.shape) < special.expit(x)).sum(1)
        top = best == best.max()
        wins += top / top.sum()
    wins /= 6_000
    found = winning_probabilities(scores, (between + within) / 200)[0]
    assert found == pytest.approx(wins, abs=0.03)
    same = winning_probabilities(scores, (between + within).mean(1) / 200)[0]
    assert np.abs(same - wins).max() > 2 * np.abs(found - wins).max()


@pytest.mark.parametrize(
    ("given", "named"),
    [({"eta": [[0.1]]}, "M of 2 or more"), ({"eta": [ETA], "item_sd": -1.0}, "item_sd"),
     ({"eta": [ETA], "model_item_sd": [1.0, 2.0]}, "model_item_sd"),
     ({"eta": [ETA], "chance": 1.0}, "chance")],
)  # fmt: skip
def test_faults_are_named(given, named):
    with pytest.raises(SpecificationError, match=named):
        model_errors(**given)
