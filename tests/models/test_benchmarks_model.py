"""BenchmarkVariance itself: what it reads and refuses, scores of either population, the sampler's coordinates, summaries."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

pytest.importorskip("pymc")

from bayeskit.errors import DataError, SpecificationError
from bayeskit_models import datasets
from bayeskit_models.benchmarks import BenchmarkVariance
from bayeskit_models.benchmarks.centring import centring_weights, zero_sum_basis
from bayeskit_models.benchmarks.items import these_items_score
from bayeskit_models.benchmarks.predictor import predictor_of
from bayeskit_models.benchmarks.scores import expected_score


def rows(**columns):
    """Two models on three items, one answer each."""
    table = {"model": ["a", "b"] * 3, "item": ["i1", "i1", "i2", "i2", "i3", "i3"], "score": [1, 0, 1, 1, 0, 0]}
    return pd.DataFrame({**table, **columns})


def assert_refused(spec, table, *words):
    with pytest.raises(DataError) as caught:
        spec.statistics(table)
    for word in words:
        assert word in str(caught.value)


# -- what it reads --------------------------------------------------------------------------------------------------------


def test_facets_are_found_by_their_usual_names():
    table = rows(seed=["1", "2"] * 3, template=["t"] * 6, cluster=["c", "c", "c", "c", "d", "d"])
    found = BenchmarkVariance().statistics(table)
    assert (found.sizes["run"], found.sizes["template_place"], found.sizes["cluster_place"]) == (2, 1, 2)
    bare = BenchmarkVariance(seed=None, template=None, cluster=None).statistics(table)
    assert not {"run", "template_place", "cluster_place"} & set(bare.sizes)


def test_missing_scores_are_left_out_and_counted():
    found = BenchmarkVariance().statistics(rows(score=[1, 0, None, 1, 0, 0]))
    assert int(found["missing"]) == 1 and found["n"].values @ np.ones(found.sizes["cell"]) == 5


def test_equal_items_are_one_unit_with_a_weight():
    table = BenchmarkVariance().simulate(2, models=2, items=300).table
    found = BenchmarkVariance().statistics(table)
    assert found.sizes["unit"] <= 4 and found["unit_weight"].sum() == 300 and found.sizes["member"] == 300


def test_faulty_tables_are_refused():
    spec = BenchmarkVariance()
    assert_refused(spec, rows(score=[None] * 6), "every cell is empty", "score")
    assert_refused(spec, rows(cluster=["c", "d", "c", "c", "d", "d"]), "more than one cluster", "'i1'")
    assert_refused(spec, rows(score=[0.5, 0, 1, 1, 0, 0]), "score")
    assert_refused(BenchmarkVariance(trials="n"), rows(n=[1, 1, 0, 1, 1, 1]), "more successes than trials", "rows: 2")
    assert_refused(BenchmarkVariance(trials="n"), rows(n=0, score=0), "no trial", "Column 'n'")
    assert_refused(spec, pd.concat([rows(sample="1"), rows(sample="1").iloc[:1]]), "repeat a sample", "rows: 0, 6")
    assert_refused(BenchmarkVariance(chance={"b": 0.25}, benchmark="bench"), rows(bench="x"), "no benchmark 'b'")
    assert_refused(BenchmarkVariance(item=None), rows(checkpoint="final"), "names no training step")
    assert_refused(BenchmarkVariance(family="gaussian"), rows(score=2.0), "every score is 2")
    assert_refused(BenchmarkVariance(seed="run"), rows(), "run")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"chance": 1.0}, "chance=1.0"),
        ({"chance": {"x": 0.2}, "benchmark": None}, "chance names benchmarks"),
        ({"family": "binomal"}, "Did you mean 'binomial'"),
        ({"item": None, "items": "fixed"}, "items='fixed' is about items"),
        ({"seed": "model"}, "named for two things"),
        ({"family": "gaussian", "chance": 0.2}, "family='gaussian' has none"),
        ({"family": "gaussian", "sd": "sd"}, "needs both"),
        ({"unit": (0.0, 1.0)}, "continuous scores"),
        ({"interaction": 1}, "interaction=1"),
    ],
)
def test_specifications_that_contradict_themselves(settings, words):
    with pytest.raises(SpecificationError, match=words):
        BenchmarkVariance(**settings)


# -- scores ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sd", [0.0, 0.3, 1.0, 2.4, 7.0])
def test_expected_scores_are_integrals(sd):
    for eta, chance in ((-3.0, 0.0), (0.2, 0.25), (2.0, 0.0)):
        plain = integrate.quad(
            lambda z, eta=eta: special.expit(eta + sd * z) * stats.norm.pdf(z), -12.0, 12.0, epsabs=1e-13, limit=400
        )[0]
        assert expected_score(eta, sd, chance) == pytest.approx(chance + (1.0 - chance) * plain, abs=1e-10)


def repeated(spec, statistics, values, size):
    """The same parameters `size` times."""
    many = {name: np.repeat(np.asarray(v, dtype=float)[None], size, axis=0) for name, v in values.items()}
    return predictor_of(spec, many, statistics, spec.dials(statistics))


FAMILIES = {
    "binomial": {},
    "interaction": {"interaction": True},
    "beta_binomial": {"family": "beta_binomial"},
    "gaussian": {"family": "gaussian", "unit": (0.0, 1.0), "interaction": True},
    "ordered_beta": {"family": "ordered_beta", "interaction": True},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_scores_on_these_items_are_posterior_means_of_items(name):
    """Given parameters, 2,000 draws of the mean score over three items against a grid; 4.5 standard errors (of 16 means).

    The grid has the item's effect, and what a model and an item have beyond it, on 601 x 601 points.
    """
    spec = BenchmarkVariance(**FAMILIES[name])
    made = spec.simulate(5, models=2, items=3, samples=3)
    statistics = spec.statistics(made.table)
    draws = these_items_score(spec, repeated(spec, statistics, made.parameters, 2000), statistics)[:, 0]
    one = repeated(spec, statistics, made.parameters, 1)
    z = np.linspace(-7.0, 7.0, 601)
    u = stats.norm.pdf(z) / stats.norm.pdf(z).sum()
    inner = one.sd.get("item_model_sd", np.zeros((1, 1)))[0, 0]
    total = np.zeros(2)
    for unit, times in enumerate(statistics["unit_weight"].values):
        cells = np.arange(*statistics["unit_ptr"].values[unit : unit + 2])
        x = one.columns[0][:, None, None] + one.outer[0, 0] * z[:, None] + inner * z
        given = [cell_likelihood(name, statistics, one, c, x[statistics["cell_column"].values[c]]) for c in cells]
        inside = [(like * u).sum(1) for like, _ in given]  # the interaction averaged out
        weight = u * np.prod(inside, axis=0)
        for c, (like, score) in zip(cells, given, strict=True):
            below = (like * u).sum(1)
            own = np.divide((like * u * score).sum(1), below, out=np.zeros_like(below), where=below > 0.0)
            total[statistics["cell_column"].values[c]] += times * (weight * own).sum() / weight.sum()
    error = draws.std(0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - total / 3.0) < 4.5 * error + 1e-12).all()


def cell_likelihood(name, statistics, one, c, x):
    """Likelihood of one cell on a grid, and its expected score there given its answers."""
    n = statistics["n"].values[c]
    if name == "gaussian":
        mean = statistics["total"].values[c] / n
        noise = one.own[0, 0]
        far = (mean - x) ** 2
        return np.exp(-0.5 * n * (far - far.min()) / noise**2), x  # up to a constant
    if name == "ordered_beta":
        cell = {k: statistics[k].values[c] for k in ("zeros", "ones", "inside", "log_score", "log_rest")}
        return ordered_beta_likelihood(cell, *one.cuts[0, 0], one.own[0, 0], x)
    k, p = statistics["k"].values[c], special.expit(x)
    if name == "beta_binomial":
        a, b = p * one.own[0, 0], (1.0 - p) * one.own[0, 0]
        return np.exp(special.betaln(a + k, b + n - k) - special.betaln(a, b)), (a + k) / (a + b + n)
    return p**k * (1.0 - p) ** (n - k), p


def ordered_beta_likelihood(cell, low, high, precision, x):
    p, between = special.expit(x), special.expit(x - low) - special.expit(x - high)
    a, b = p * precision, special.expit(-x) * precision
    log = cell["zeros"] * special.log_expit(low - x) + cell["ones"] * special.log_expit(x - high)
    log = log + cell["inside"] * (np.log(between) - special.betaln(a, b))
    log = log + (a - 1.0) * cell["log_score"] + (b - 1.0) * cell["log_rest"] if cell["inside"] else log
    return np.exp(log - log.max()), special.expit(x - high) + between * p  # up to a constant


@pytest.fixture(scope="module")
def two_facets():
    """Four models on 25 items of two benchmarks, two training runs each."""
    spec = BenchmarkVariance(benchmark="benchmark", seed="seed", interaction=False)
    made = spec.simulate(11, models=4, items=25, seeds=2)
    return spec.fit(made.table, draws=400, tune=500, seed=2, progress=False)


def test_a_leaderboard_has_ranks_and_says_whom_it_is_about(two_facets):
    for board in (two_facets.leaderboard(), two_facets.leaderboard("b1", items="fixed")):
        assert list(board.table.columns[:7]) == [
            "score", "lower", "upper", "rank_median", "rank_lower", "rank_upper", "p_best",
        ]  # fmt: skip
        assert board.table["score"].is_monotonic_decreasing and board.table["p_best"].sum() == pytest.approx(1.0)
    assert "new items and training seeds" in repr(two_facets.leaderboard()) and "these items" in repr(board)
    assert (two_facets.ranks().sum(axis=1) - 1.0).abs().max() < 1e-12


def test_a_comparison_is_the_difference_of_the_draws(two_facets):
    scores = two_facets.score_draws()
    found = two_facets.compare("m2", "m1", 0.05)
    np.testing.assert_array_equal(found.draws, scores[:, 1] - scores[:, 0])
    assert found.p_beyond <= found.p_better and found.p_equivalent == pytest.approx((abs(found.draws) <= 0.05).mean())
    gain = found.expected_loss("m1") - found.expected_loss("m2")
    assert gain == pytest.approx(found.draws.mean(), abs=1e-12)  # E max(d, 0) - E max(-d, 0) = E d
    with pytest.raises(SpecificationError, match="'m2' or 'm1'"):
        found.expected_loss("m3")


def test_one_size_of_a_design_needs_no_list(two_facets):
    pd.testing.assert_frame_equal(two_facets.design(40, seeds=2).table(), two_facets.design([40], seeds=[2]).table())


def test_assumptions_that_are_choices_can_be_made_otherwise():
    """Whether items suit models is a choice; without items, that trials are alike is one of the family."""
    spec = BenchmarkVariance()
    repeated = pd.concat([rows(), rows()])
    for table, there in ((rows(), False), (repeated, True)):
        found = {a.name: a for a in spec.assumptions(spec.statistics(table))}["interaction"]
        assert found.alternatives == ("auto", not there) and ("repeated answers tell" in found.sentence) == there
    totals = BenchmarkVariance(item=None, trials="n")
    found = {a.name: a for a in totals.assumptions(totals.statistics(rows(n=5)))}
    assert found["items"].setting == "family" and "interaction" not in found


def test_answers_about_these_items_are_narrower(two_facets):
    wide, narrow = (np.ptp(np.quantile(two_facets.score_draws(items=i), (0.025, 0.975), axis=0), axis=0) for i in
                    ("random", "fixed"))  # fmt: skip
    assert (narrow < wide).all()


def test_components_add_up_to_the_variance_of_a_score(two_facets):
    found = two_facets.components("b1")
    mean = found.mean
    assert {"model", "item", "run", "within"} <= set(found.draws)
    np.testing.assert_allclose(found.total, mean * (1.0 - mean) + found["model"] / found_models(two_facets), rtol=1e-6)


def found_models(fit):
    """Components between models divide by M - 1, the variance of a score by M: the difference is one M-th of the first."""
    return len(fit.models)


# -- coordinates ----------------------------------------------------------------------------------------------------------


def test_the_posterior_does_not_depend_on_the_coordinates():
    """Log posterior as a function of the variables: weights of 0 and 0.7 differ by the log Jacobian alone.

    150 effects: PyTensor takes the size of a sum that was spread out for a number of 8 bits, and 150 for -106.
    """
    spec = BenchmarkVariance(item=None, benchmark="benchmark", seed="seed", trials="n")
    made = spec.simulate(3, models=15, benchmarks=10, seeds=2, samples=20)
    statistics = spec.statistics(made.table)
    found = {}
    for weight in (0.0, 0.7):
        changed = {k: v.dims for k, v in statistics.data_vars.items() if k.startswith("centring") and k != "centring_scales"}
        data = statistics.assign({k: (d, np.full(statistics[k].shape, weight)) for k, d in changed.items()})
        found[weight] = _density(spec, data, made.parameters)
    assert found[0.7] - found[0.0] == pytest.approx(0.0, abs=1e-6)


def _density(spec, data, parameters):
    """Log density of the sampler at given variables less the log Jacobians of all its coordinates, and its gradient checked."""
    from bayeskit.engine import compiled_for
    from bayeskit.graph import build

    built = build(spec, data)
    model = built.model
    s = {k: v.values for k, v in data.data_vars.items()}
    p = {k: np.asarray(v, dtype=float) for k, v in parameters.items()}
    likely = s["centring_scales"]
    basis = {n: zero_sum_basis(n) for n in (15,)}[15]
    lead = np.zeros((10, 15)) + p["ability_sd"] * p["ability"]
    w = s["centring_ability"]
    point = {"ability_coordinate": basis @ (p["ability"] * p["ability_sd"] ** w * likely[0] ** (1 - w))}
    jacobian = -14 * (w * np.log(p["ability_sd"]) + (1 - w) * np.log(likely[0]))
    w = s["centring_model_benchmark"][:, None]
    at = p["model_benchmark"] * p["model_benchmark_sd"] ** w * likely[1] ** (1 - w) + w * lead
    point["model_benchmark_coordinate"] = at @ basis.T
    jacobian += -14 * float((w * np.log(p["model_benchmark_sd"]) + (1 - w) * np.log(likely[1])).sum())
    lead = lead + p["model_benchmark_sd"] * p["model_benchmark"]
    home, sd = s["run_benchmark"], p["run_sd"] * p["run_sd_ratio"]
    w, centre = s["centring_run"], (p["benchmark_mean"][:, None] + lead)[home, s["run_model"]]
    point["run_effect_coordinate"] = p["run_effect"] * sd[home] ** w * likely[2] ** (1 - w) + w * centre
    jacobian += -float((w * np.log(sd[home]) + (1 - w) * np.log(likely[2])).sum())
    point["run_sd_ratio_coordinate"] = np.log(p["run_sd_ratio"]) + s["centring_run_sd"] * np.log(p["run_sd"])
    jacobian += np.log(p["run_sd_ratio"]).sum()
    for name in ("ability_sd", "model_benchmark_sd", "run_sd"):
        point[f"{name}_log__"] = np.log(p[name])
        jacobian += np.log(p[name])
    point["benchmark_mean"] = p["benchmark_mean"]
    compiled = compiled_for(spec, data)
    density = compiled.for_data(data, spec.dials(data)).logp_func
    nodes = [node.get_value(borrow=True) for node in density.get_shared()]
    x = np.concatenate([np.ravel(point[v.name]) for v in model.value_vars])
    value, gradient = density.vm.jit_fn(x.copy(), *nodes)
    for i in np.random.default_rng(0).choice(len(x), 25, replace=False):
        step = np.zeros(len(x))
        step[i] = 1e-5
        ends = [density.vm.jit_fn(x + sign * step, *nodes)[0] for sign in (1.0, -1.0)]
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-4)
    return float(value) - float(jacobian)


def test_weights_of_coordinates_follow_what_the_table_says():
    """Runs far apart beside their errors are known by their totals, runs that differ by their errors alone by their effects."""
    rng = np.random.default_rng(0)
    model, benchmark = np.repeat(np.arange(20), 5), np.zeros(100, dtype=np.int64)
    apart = centring_weights(rng.normal(size=100), np.full(100, 0.01), model, benchmark)
    alike = centring_weights(0.1 * rng.normal(size=100), np.full(100, 0.02), model, benchmark)
    assert apart["run"].min() > 0.8 and alike["run"].max() < 0.1
    assert apart["scales"][2] == pytest.approx(1.0, rel=0.2)
    np.testing.assert_allclose(zero_sum_basis(7) @ zero_sum_basis(7).T, np.eye(6), atol=1e-14)
    np.testing.assert_allclose(zero_sum_basis(7).sum(1), 0.0, atol=1e-14)


# -- summaries, mean squares, training ------------------------------------------------------------------------------------


def test_madaan_seed_noise_against_the_error_of_the_items():
    """Acceptance check 13: posterior of the seed sd over the standard error that the items leave."""
    table = datasets.load("madaan")
    spec = BenchmarkVariance.from_summary(mean="mean", sd="sd", runs="seeds", model=None, benchmark="benchmark")
    fit = spec.fit(table, draws=500, tune=500, seed=1, progress=False)
    assert fit.posterior.sizes["benchmark"] == 14
    p, n = table["mean"].to_numpy(), table["items"].to_numpy()
    error = dict(zip(table["benchmark"], np.sqrt(p * (1.0 - p) / n), strict=True))
    error |= {row.benchmark: row.half_width / 1.96 for row in table.itertuples()}  # as printed, over all checkpoints
    above = {b: float((np.sqrt(fit.components(b)["within"]) > error[b]).mean()) for b in error}
    for name in ("MMLU", "BIG-Bench Hard", "MATH"):
        assert above[name] > 0.9, (name, above[name])
    for name in ("HellaSwag", "PIQA", "SIQA"):
        assert above[name] < 0.1, (name, above[name])


def test_mean_squares_of_a_table():
    spec = BenchmarkVariance(trials="n")
    made = spec.simulate(4, models=5, items=80, samples=6)
    found = spec.moments(made.table)
    counts = made.table.pivot(index="model", columns="item", values="score").to_numpy()
    assert found.mean == pytest.approx(counts.mean() / 6.0) and found.items == 80 and found.samples == 6
    with pytest.raises(DataError, match="complete table"):
        spec.moments(made.table.iloc[1:])


def test_the_last_checkpoint_is_the_answer_and_all_are_the_curve():
    rng = np.random.default_rng(3)
    step = np.array([1, 2, 4, 8, 16, 32]) * 1000
    table = pd.DataFrame(
        {"model": "m", "checkpoint": [f"step{s}" for s in step], "score": rng.binomial(900, 0.2 + 0.1 * np.arange(6)), "n": 900}
    )
    fit = BenchmarkVariance(item=None, trials="n").fit(table, draws=300, tune=300, seed=1, progress=False)
    assert fit.score_draws().mean() == pytest.approx(table["score"].iloc[-1] / 900, abs=0.01)
    curve = fit.curves()[0]
    np.testing.assert_allclose(curve.observed, table["score"] / 900)
    assert fit.monotonicity().loc["m", "observed_tau"] == pytest.approx(1.0)
    stiff = fit.refit(dials={"curve_flexibility.scale": 0.01}, draws=20, tune=50, chains=1).curves()[0]
    assert np.median(stiff.ratio) < 0.1 * np.median(curve.ratio)
    with pytest.raises(SpecificationError, match="no column of checkpoints"):
        dataclasses.replace(fit, statistics=fit.statistics.drop_vars("checkpoint_step")).curves()


def test_two_metrics_of_the_same_runs():
    rng = np.random.default_rng(1)
    seeds = np.repeat([f"s{i}" for i in range(6)], 30)
    level = np.repeat(rng.normal(0.0, 0.3, 6), 30)
    table = pd.DataFrame({"model": "m", "item": list(range(30)) * 6, "seed": seeds, "acc": (level + rng.normal(size=180) > 0)})
    table["margin"] = level + rng.normal(scale=0.2, size=180)
    short = {"draws": 100, "tune": 200, "seed": 1, "chains": 2, "progress": False}
    acc = BenchmarkVariance(score="acc", interaction=False).fit(table, **short)
    margin = BenchmarkVariance(score="margin", family="gaussian", interaction=False).fit(table, **short)
    found = acc.metric_choice(margin)
    assert set(found.draws) == {"snr_acc", "snr_margin", "snr_ratio"}
    by_run = table.groupby("seed")[["acc", "margin"]].mean()
    ratio = abs(by_run.mean() / by_run.std())
    assert np.median(found["snr_acc"]) == pytest.approx(ratio["acc"], rel=0.25)


def test_the_mode_of_many_models_is_found():
    """Twenty models with four runs on 100 items: a search that starts with all effects at 0 ends where their scales are 0."""
    spec = BenchmarkVariance(benchmark=None, seed="seed", trials="n", interaction=False)
    like = spec.statistics(spec.simulate(0, models=20, items=100, seeds=4, samples=5).table)
    truth = {
        "ability_sd": np.asarray(1.0),
        "item_sd": np.asarray(1.5),
        "run_sd": np.asarray(0.1),
        "benchmark_mean": np.zeros(1),
    }
    values = spec.draw_prior(like, np.random.default_rng(1)) | truth
    table = spec.simulate(1, like=like, parameters=values).table
    found = spec.fit(table, draws=100, seed=1, method="mode", progress=False).posterior
    for name in ("ability_sd", "item_sd", "run_sd"):
        draws = np.log(found[name].values)
        assert abs(draws.mean() - np.log(float(truth[name]))) < 4.0 * draws.std() < 2.0
