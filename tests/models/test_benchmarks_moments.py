"""Mean squares against the definition by sums over a table of single samples, unbiasedness, and CRUXEval's figures."""

from pathlib import Path

import numpy as np
import pytest

from bayeskit import DataError
from bayeskit_models.benchmarks.moments import Moments, moments_of_counts

CRUXEVAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "benchmarks" / "cruxeval_input_counts.parquet"


def test_mean_squares_are_those_of_single_samples():
    """Every sample as a number of its own: sums of squares from the definition add up to the total."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 2, (4, 6, 3)).astype(float)
    found = moments_of_counts(x.sum(2), 3)
    mean, cell, row, column = x.mean(), x.mean(2), x.mean((1, 2)), x.mean((0, 2))
    within = ((x - cell[..., None]) ** 2).sum()
    both = 3 * ((cell - row[:, None] - column + mean) ** 2).sum()
    assert found.within == pytest.approx(within / (4 * 6 * 2), rel=1e-12)
    assert found.model_item == pytest.approx((both / 15 - found.within) / 3, rel=1e-12)
    by_model, by_item = 18 * ((row - mean) ** 2).sum(), 12 * ((column - mean) ** 2).sum()
    assert by_model + by_item + both + within == pytest.approx(((x - mean) ** 2).sum(), rel=1e-12)
    assert found.model == pytest.approx((by_model / 3 - both / 15) / 18, rel=1e-12)
    assert found.item == pytest.approx((by_item / 5 - both / 15) / 12, rel=1e-12)


def test_components_are_unbiased():
    """3,000 tables of 6 x 20 x 3, effects uniform with variances .008, .015, .004: 4 standard errors of each mean."""
    rng = np.random.default_rng(3)

    def effect(variance, *shape):
        return rng.uniform(-1.0, 1.0, shape) * np.sqrt(3.0 * variance)

    found = []
    for _ in range(3000):
        p = 0.5 + effect(0.008, 6, 1) + effect(0.015, 1, 20) + effect(0.004, 6, 20)
        m = moments_of_counts(rng.binomial(3, p), 3)
        found.append([m.model, m.item, m.model_item, m.within])
    truth = np.array([0.008, 0.015, 0.004, 0.25 - 0.027])
    error = np.std(found, axis=0) / np.sqrt(3000)
    assert (np.abs(np.mean(found, axis=0) - truth) < 4 * error).all()


def test_designs():
    m = Moments(model=0.02, item=0.08, model_item=0.1, within=0.04, mean=0.4, models=10, items=100, samples=4)
    assert m.paired_error() == pytest.approx(np.sqrt(2 * 0.11 / 100), rel=1e-12)
    assert m.detectable(400, 1) == pytest.approx(2.8015852 * np.sqrt(2 * 0.14 / 400), rel=1e-6)
    assert m.reliability() == pytest.approx((0.02 / 0.0211, 0.02 / 0.0219), rel=1e-12)


@pytest.mark.parametrize(
    ("successes", "trials", "named"),
    [
        ([[1, 2]], 3, "shape"),
        ([[1, 2], [0, 1]], [[3, 3], [3, 2]], "2 to 3 trials"),
        ([[1, 0], [0, 1]], 1, "1 to 1 trials"),
        ([[1, 4], [0, 1]], 3, "outside 0 to trials"),
    ],
)
def test_faults_are_named(successes, trials, named):
    with pytest.raises(DataError, match=named):
        moments_of_counts(successes, trials)


@pytest.mark.skipif(not CRUXEVAL.exists(), reason="needs ../shared/data/benchmarks beside the checkout")
def test_cruxeval():
    """33 models x 800 items x 10 samples: .0182, .0869, .0987, .0417; paired error .0160 against .0162 over all 666 pairs."""
    import pandas as pd

    table = pd.read_parquet(CRUXEVAL)
    wide = table.pivot_table(index="model", columns="item", values=["successes", "trials"])
    counts = wide["successes"][(wide["trials"] == 10).all(axis=1)].to_numpy()
    found = moments_of_counts(counts, 10)
    assert (found.models, found.items) == (33, 800)
    parts = (found.model, found.item, found.model_item, found.within, found.mean)
    assert parts == pytest.approx((0.0182, 0.0869, 0.0987, 0.0417, 0.429), abs=6e-4)
    assert found.paired_error() == pytest.approx(0.0160, abs=5e-5)
    detected = (found.detectable(), found.detectable(samples=1), found.detectable(100, 1))
    assert detected == pytest.approx((0.0449, 0.0525, 0.149), abs=6e-4)
    score = (wide["successes"] / wide["trials"]).to_numpy()
    pairs = [np.std(score[a] - score[b], ddof=1) / np.sqrt(800) for a in range(37) for b in range(a)]
    assert len(pairs) == 666 and np.median(pairs) == pytest.approx(0.0162, abs=5e-5)
