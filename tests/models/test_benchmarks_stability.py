"""Agreement of repetitions: closed forms of two models, direct simulation of benchmarks, and limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

pytest.importorskip("pymc")

from bayeskit import SpecificationError
from bayeskit_models.benchmarks.decomposition import kept_moments, score_components
from bayeskit_models.benchmarks.design import error_variance
from bayeskit_models.benchmarks.stability import stability, winning_probabilities


def test_two_models_in_closed_form():
    """Phi(d / (s sqrt 2)): wins, the same winner, and the two expected taus."""
    x, v = np.array([[0.5, 0.42], [0.3, 0.6]]), np.array([0.0025, 0.01])
    first = special.ndtr(np.array([0.08, -0.3]) / np.sqrt(2 * v))
    assert winning_probabilities(x, v)[:, 0] == pytest.approx(first, abs=1e-9)
    found = stability(x, v)
    assert found["tau_repeat"] == pytest.approx((2 * first - 1) ** 2, abs=1e-12)
    assert found["tau_truth"] == pytest.approx(np.abs(2 * first - 1), abs=1e-12)
    assert found["same_winner"] == pytest.approx(first**2 + (1 - first) ** 2, abs=1e-9)
    assert found["true_winner"] == pytest.approx([first[0], 1 - first[1]], abs=1e-9)


def test_many_models_against_normal_errors():
    """20,000 repetitions of 12 models with errors of their own sds: winners and agreement to 4 standard errors."""
    rng = np.random.default_rng(3)
    x, sd = rng.normal(0.5, 0.05, (1, 12)), rng.uniform(0.01, 0.04, (1, 12))
    found = stability(x, sd**2)
    draws = x + sd * rng.normal(size=(20_000, 12))
    wins = np.bincount(draws.argmax(1), minlength=12) / 20_000
    p = winning_probabilities(x, sd**2)[0]
    assert (np.abs(wins - p) <= 4 * np.sqrt(p * (1 - p) / 20_000) + 1e-6).all()
    a, b = np.triu_indices(12, 1)
    order, truth = np.sign(draws[:, a] - draws[:, b]), np.sign(x[:, a] - x[:, b])
    for name, values in (
        ("tau_repeat", (order[::2] * order[1::2]).mean(1)),
        ("tau_truth", (order * truth).mean(1)),
        ("same_winner", draws[::2].argmax(1) == draws[1::2].argmax(1)),
        ("true_winner", draws.argmax(1) == x.argmax()),
    ):
        assert found[name][0] == pytest.approx(np.mean(values), abs=4 * np.std(values) / np.sqrt(len(values)))


def test_whole_benchmarks_that_are_drawn_anew():
    """1,500 pairs of benchmarks with 150 new items, 2 samples: tau within .02 of the normal approximation.

    The standard error of the simulated mean is .004; what is left are ties and errors that are not quite normal.
    """
    rng, models, items = np.random.default_rng(7), 8, 150
    eta = np.linspace(-0.9, 0.7, models) + 0.1 * rng.normal(size=models)
    parts = score_components(eta[None], item_sd=1.5, model_item_sd=0.8)
    true = eta_scores(eta, np.hypot(1.5, 0.8))
    found = stability(true[None], error_variance(parts, {"items": items, "samples": 2}))

    def repetition():
        x = eta[:, None] + 1.5 * rng.normal(size=items) + 0.8 * rng.normal(size=(models, items))
        return rng.binomial(2, special.expit(x)).mean(1)

    taus, truths, same = [], [], []
    for _ in range(1500):
        one, two = repetition(), repetition()
        taus.append(stats.kendalltau(one, two, variant="b").statistic)
        truths.append(stats.kendalltau(one, true).statistic)
        same.append(one.argmax() == two.argmax())
    assert np.std(taus) / np.sqrt(1500) < 0.005
    assert found["tau_repeat"][0] == pytest.approx(np.mean(taus), abs=0.02)
    assert found["tau_truth"][0] == pytest.approx(np.mean(truths), abs=0.02)
    assert found["same_winner"][0] == pytest.approx(np.mean(same), abs=0.03 + 4 * 0.5 / np.sqrt(1500))


def eta_scores(eta, sd):
    return np.array([np.sqrt(kept_moments(np.array([[e]]), np.zeros(1), np.array([sd]), 0.0)[0, 0]) for e in eta])


def test_limits():
    """No error: everything agrees, and models that tie share the win. Much error: tau goes to 0."""
    x = np.array([[0.1, 0.2, 0.3]])
    sure = stability(x, 0.0)
    assert all(sure[name][0] == pytest.approx(1.0, abs=1e-12) for name in sure.draws)
    assert winning_probabilities(np.array([[0.3, 0.3, 0.1]]), 0.0)[0] == pytest.approx([0.5, 0.5, 0.0])
    lost = stability(x, 1e6)
    assert abs(lost["tau_repeat"][0]) < 1e-6 and lost["same_winner"][0] == pytest.approx(1 / 3, abs=1e-3)


def test_draws_keep_their_number_and_say_what_they_are_about():
    rng = np.random.default_rng(1)
    found = stability(rng.normal(size=(1001, 3)), rng.uniform(0.1, 0.2, 1001), population="new items")
    assert {v.shape for v in found.draws.values()} == {(1001,)}
    table = found.table(0.9)
    assert table.attrs["population"] == "new items" and "About new items." in repr(found)
    assert (table["lower"] <= table["median"]).all()


@pytest.mark.parametrize(
    ("scores", "error", "named"),
    [([0.1, 0.2], 0.1, "scores has shape"), ([[0.1]], 0.1, "two models"), ([[0.1, 0.2]], [-1.0], "error has shape"),
     ([[0.1, np.nan]], 0.1, "finite draws"), ([[0.1, 0.2]], [1.0, 1.0], "error has shape")],
)  # fmt: skip
def test_faults_are_named(scores, error, named):
    with pytest.raises(SpecificationError, match=named):
        stability(scores, error)
