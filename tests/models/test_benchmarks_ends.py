"""Scores from 0 to 1 as a family of BenchmarkVariance: sums, expected scores, components, simulated scores, faults, a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

pytest.importorskip("pymc")

from bayeskit.errors import DataError, SpecificationError
from bayeskit.verdict import Status
from bayeskit_models.benchmarks import BenchmarkVariance
from bayeskit_models.benchmarks.decomposition import score_components
from bayeskit_models.benchmarks.guard_rails import kinds_of_scores
from bayeskit_models.benchmarks.ordered_scores import draw_scores, expected_ordered_score, ordered_sums

LOW, HIGH, PRECISION = -0.8, 1.1, 5.0
ETA = np.array([-0.5, 0.3, 1.4])


def mean_at(x, low=LOW, high=HIGH):
    return special.expit(x - high) + (special.expit(x - low) - special.expit(x - high)) * special.expit(x)


def square_at(x):
    """Expected square of a score, from the moments of the beta law of the scores inside."""
    p = special.expit(x)
    beta = stats.beta(p * PRECISION, (1.0 - p) * PRECISION)
    return special.expit(x - HIGH) + (special.expit(x - LOW) - special.expit(x - HIGH)) * (beta.var() + p**2)


def over(function, sd):
    """Mean of a function of z over N(0, sd^2)."""
    given = {"epsabs": 1e-12, "epsrel": 1e-11, "limit": 400}
    return integrate.quad(lambda z: function(sd * z) * stats.norm.pdf(z), -10.0, 10.0, **given)[0]


@pytest.mark.parametrize("sd", [0.0, 0.4, 2.0, 6.0])
def test_expected_scores_are_integrals(sd):
    for eta, low, high in ((-3.0, -1.0, 0.5), (0.2, -4.0, 5.0), (2.0, 0.3, 0.4)):
        exact = over(lambda z, e=eta, a=low, b=high: mean_at(e + z, a, b), sd)
        assert expected_ordered_score(eta, sd, low, high) == pytest.approx(exact, abs=1e-9)


def test_sums_of_cells():
    found = ordered_sums(np.array([0.0, 1.0, 0.25, 0.5, 1.0]), np.array([0, 0, 2, 2, 2]))
    assert {k: v.tolist() for k, v in found.items() if not k.startswith("log")} == {
        "total": [1.0, 0.0, 1.75], "zeros": [1, 0, 0], "ones": [1, 0, 1], "inside": [0, 0, 2],
    }  # fmt: skip
    np.testing.assert_allclose(found["log_score"], [0.0, 0.0, np.log(0.125)])
    np.testing.assert_allclose(found["log_rest"], [0.0, 0.0, np.log(0.375)])


def test_simulated_scores_have_the_law():
    """40,000 scores at each of three predictors: shares of the ends, mean and mean square within 5 standard errors."""
    rng, size = np.random.default_rng(2), 40_000
    for x in (-2.0, 0.1, 1.5):
        y = draw_scores(rng, *(np.full(size, v) for v in (x, LOW, HIGH, PRECISION)))
        exact = {"zero": special.expit(LOW - x), "one": special.expit(x - HIGH), "mean": mean_at(x), "square": square_at(x)}
        found = {"zero": y == 0.0, "one": y == 1.0, "mean": y, "square": y**2}
        for name, value in exact.items():
            assert abs(found[name].mean() - value) < 5.0 * found[name].std() / np.sqrt(size), (x, name)


def test_components_are_those_of_integrals():
    """Items, models by items and one sample by nested quadrature; all together are the variance of a score."""
    item, both = 0.9, 0.6
    found = score_components(ETA[None], item_sd=item, model_item_sd=both, ends=(LOW, HIGH, PRECISION))
    spread = np.hypot(item, both)
    level = np.array([over(lambda z, e=e: mean_at(e + z), spread) for e in ETA])
    square = np.mean([over(lambda z, e=e: mean_at(e + z) ** 2, spread) for e in ETA])
    raw = np.mean([over(lambda z, e=e: square_at(e + z), spread) for e in ETA])
    z, w = np.polynomial.hermite_e.hermegauss(40)
    given = np.stack([expected_ordered_score(e + item * z, both, LOW, HIGH) for e in ETA]) - level[:, None]
    shared = (given @ (given * w / w.sum()).T)[np.triu_indices(3, 1)].mean()
    exact = {"model": level.var(ddof=1), "item": shared, "within": raw - square}
    exact["model_item"] = square - np.mean(level**2) - shared
    for name, value in exact.items():
        assert found[name][0] == pytest.approx(value, abs=1e-8), name
    assert found.mean[0] == pytest.approx(level.mean(), abs=1e-9)
    assert found.total[0] == pytest.approx(raw - level.mean() ** 2 + level.var(ddof=1) / 3, abs=1e-8)


def test_wide_cuts_are_a_logistic_curve():
    """With cuts far out only the noise of one sample differs from that of right and wrong answers."""
    plain = score_components(ETA[None], item_sd=1.0, run_sd=0.3)
    wide = score_components(ETA[None], item_sd=1.0, run_sd=0.3, ends=(-45.0, 45.0, 3.0))
    for name in set(plain.draws) - {"within"}:
        assert wide[name] == pytest.approx(plain[name], abs=2e-11), name
    assert wide["within"] == pytest.approx(plain["within"] / 4.0, rel=1e-6)  # a beta law's variance is p (1 - p) / (1 + 3)
    with pytest.raises(SpecificationError, match="no answers that can be guessed"):
        score_components(ETA[None], chance=0.2, ends=(-1.0, 1.0, 3.0))


# -- what it reads and refuses --------------------------------------------------------------------------------------------


def rows(scores):
    return pd.DataFrame({"model": ["a", "b"] * 3, "item": ["i1", "i1", "i2", "i2", "i3", "i3"], "score": scores})


def test_another_law_reads_the_same_column():
    """The gaussian family is named as the alternative, and takes the table."""
    table = rows([0.0, 1.0, 0.3, 0.2, 0.9, 0.0])
    spec = BenchmarkVariance(family="ordered_beta")
    family = next(a for a in spec.assumptions(spec.statistics(table)) if a.name == "family")
    assert family.alternatives == ("gaussian", "ordered_beta")
    assert BenchmarkVariance(family="gaussian").statistics(table)["n"].values.sum() == 6.0


def test_what_is_kept_and_refused():
    spec = BenchmarkVariance(family="ordered_beta")
    found = spec.statistics(rows([0.0, 1.0, 0.3, None, 0.9, 0.0]))
    assert int(found["missing"]) == 1
    assert [float(found[k].sum()) for k in ("n", "zeros", "ones", "inside")] == [5.0, 2.0, 1.0, 2.0]
    with pytest.raises(DataError) as caught:
        spec.statistics(rows([0.0, 1.2, 0.3, 0.1, -0.1, 0.0]))
    assert all(word in str(caught.value) for word in ("score", "1.2", "rows: 1, 4"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trials": "n"}, "trials='n'.*reads one score a row.*'binomial'"),
        ({"chance": 0.25}, "chance=0.25.*ordered_beta"),
        ({"unit": (0.0, 1.0)}, "unit=.*single scores from 0 to 1"),
        ({"sd": "sd"}, "sd='sd'.*single scores from 0 to 1"),
    ],
)
def test_settings_that_do_not_go_with_it(settings, words):
    with pytest.raises(SpecificationError, match=words):
        BenchmarkVariance(family="ordered_beta", **settings)


def test_tables_without_scores_inside_are_told():
    assert kinds_of_scores(10, 12, 30).status is Status.PASS
    assert "family='binomial'" in kinds_of_scores(10, 12, 0).advice
    assert "family='gaussian'" in kinds_of_scores(0, 12, 30).advice


# -- a fit ----------------------------------------------------------------------------------------------------------------

TRUTH = {
    "benchmark_mean": np.array([0.4]), "ability_sd": 1.0, "ability": np.array([-1.2, 0.0, 1.2]), "item_sd": 0.8,
    "item_model_sd": 0.5, "cut_low": np.array([-1.5]), "cut_width": np.array([3.0]), "precision": 8.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def made():
    """Three models on 40 items, two answers each, at known parameters."""
    spec = BenchmarkVariance(family="ordered_beta")
    like = spec.statistics(spec.simulate(0, models=3, items=40, samples=2).table)
    return spec, spec.simulate(5, like=like, parameters=TRUTH).table


@pytest.fixture(scope="module")
def fit(made):
    spec, table = made
    return spec.fit(table, draws=300, tune=300, chains=2, seed=1, progress=False)


@pytest.mark.slow
def test_parameters_are_recovered(fit):
    """Intervals of 99.9 % hold the truth that made the table."""
    for name, true in TRUTH.items():
        draws = fit.posterior[name].values.reshape(600, -1)
        if name != "ability":  # in units of its standard deviation
            low, high = np.quantile(draws, (0.0005, 0.9995), axis=0)
            assert (low <= true).all() and (true <= high).all(), (name, true, low, high)


@pytest.mark.slow
def test_every_question_has_an_answer(fit, made):
    _, table = made
    means = table.groupby("model")["score"].mean()
    these = fit.leaderboard(items="fixed").table["score"]
    assert (these - means).abs().max() < 0.06  # two answers to each of 40 items: standard error 0.04
    assert fit.compare("m3", "m1").p_better > 0.99
    widths = [np.ptp(np.quantile(fit.score_draws(items=i)[:, 0], (0.025, 0.975))) for i in ("random", "fixed")]
    assert widths[1] < widths[0]
    found = fit.components()
    assert set(found.draws) == {"model", "item", "model_item", "within"} and (found["within"] > 0.0).all()
    assert "squared logits" in fit.components(scale="link").units
    assert fit.design(items=[40, 80]).table()["mde"].is_monotonic_decreasing and fit.stability().draws
    names = {check.name: check.status for check in fit.verdict.results}
    with pytest.raises(SpecificationError, match="right and wrong answers"):
        fit.pass_at_k(3)
    assert names["kinds_of_scores"] is Status.PASS and names["quadrature"] is Status.PASS


def test_mean_squares_are_about_counts(made):
    spec, table = made
    with pytest.raises(SpecificationError, match="mean squares are taken of counts"):
        spec.moments(table)


@pytest.mark.slow
def test_its_report_has_its_law(fit, tmp_path):
    text = fit.report(tmp_path / "run.md", replicate=40).read_text(encoding="utf-8")
    for words in ("Beta with mean logistic(x)", "cut_width", "Leaderboard", "share of scores of 1", "lie between (at least 5"):
        assert words in text, words
