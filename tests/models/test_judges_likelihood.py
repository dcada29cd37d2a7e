"""The fused panel likelihoods against the plain graph and plain NumPy, the density of the model, and the two geometries."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

import pytensor.tensor as pt
from pytensor.compile.maker import function

from bayeskit.engine import Sampling, compiled_for, quick_mode
from bayeskit.fit import run as run_fit
from bayeskit.graph import build
from bayeskit.prior_check import log_jacobian, log_prior
from bayeskit_models.judges import JudgeSimplex, panel
from bayeskit_models.judges import likelihood as lik
from bayeskit_models.judges.difficulty import difficulty_nodes, spacing
from bayeskit_models.judges.estimands import log_graded, row_location
from bayeskit_models.judges.kernel import answers_pointwise
from bayeskit_models.judges.simulate import judge_probabilities


def plain_shifted(vertices, shift):
    """The plain graph for judges with and without a shift (of no rows)."""
    return lik.shifted(vertices, shift if shift.type.shape[0] != 0 else None)


# -- kernels against the plain graph ------------------------------------------------------------------------------


def parameters(rng, levels, rows, judges, shift_rows):
    """Vertices, shift, prevalence, location, spread, gaps."""
    return (
        rng.dirichlet(np.ones(levels), size=(judges, levels)),
        rng.normal(0, 0.7, (shift_rows, judges, levels)),
        rng.dirichlet(np.ones(levels), size=rows),
        rng.normal(0, 1, rows),
        np.array([1.7]),
        rng.lognormal(0.3, 0.4, levels - 2),
    )


def answers_data(rng, levels, rows, judges, items=15, missing=0.25, gold=0.3):
    cells = 3 * rows
    scores = rng.integers(0, levels, (cells, judges))
    scores[rng.random(scores.shape) < missing] = -1
    known = np.where(rng.random(cells) < gold, rng.integers(0, levels, cells), -1)
    ptr = np.concatenate([[0], np.cumsum(rng.integers(0, rows + 1, items))])
    cell = rng.integers(0, cells, ptr[-1])
    return rng.integers(0, rows, cells), scores, known, ptr, cell, rng.integers(1, 5, items).astype(float)


def plain_answers(log_theta, log_level, cell_row, scores, known, ptr, cell, count, log_weight):
    """`kernel.answers` as a plain graph: log_theta (R, J, M, V), log_level (R, Q, M)."""
    judges, levels = scores.shape[1], log_level.shape[2]
    table = log_level[cell_row]  # (C, Q, M)
    for j in range(judges):
        said = log_theta[cell_row, j, :, np.maximum(scores[:, j], 0)]
        table = table + (said * (scores[:, j] >= 0)[:, None])[:, None, :]
    levels = int(scores.max()) + 1
    allowed = (known[:, None] < 0) | (known[:, None] == np.arange(levels))
    table = pt.logsumexp(pt.switch(allowed[:, None, :], table, -1e30), axis=2)  # (C, Q)
    holds = np.zeros((len(count), len(cell_row)))
    np.add.at(holds, (np.repeat(np.arange(len(count)), np.diff(ptr)), cell), 1.0)
    return (count * pt.logsumexp(holds @ table + log_weight, axis=1)).sum()


def spread_rows(log_theta, rows):
    return pt.repeat(log_theta, rows, axis=0) if log_theta.type.shape[0] == 1 else log_theta


def value_and_gradient(make, values):
    inputs = [pt.tensor(dtype="float64", shape=v.shape) for v in values]
    total = make(*inputs)
    outputs = [total, *pt.grad(total, inputs, disconnected_inputs="ignore")]
    return function(inputs, outputs, mode=quick_mode())(*values)


def assert_same(kernel, plain):
    assert float(kernel[0]) == pytest.approx(float(plain[0]), rel=1e-10)
    for ours, theirs in zip(kernel[1:], plain[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-7 * max(1.0, np.abs(theirs).max(initial=0)))


CASES = [(2, 1), (2, 6), (4, 0), (4, 1), (4, 6)]


@pytest.mark.parametrize(("levels", "shift_rows"), CASES)
def test_paired_kernel_equals_the_plain_graph(levels, shift_rows):
    rng = np.random.default_rng(levels + shift_rows)
    vertices, shift, _, location, spread, gaps = parameters(rng, levels, 6, 3, shift_rows)
    data = answers_data(rng, levels, 6, 3)
    nodes, log_weight = difficulty_nodes(6, spread[0])
    values = [vertices, shift, location, spread, gaps][: 4 if levels == 2 else 5]

    def plain(vertices, shift, location, spread, gaps=None):
        level = lik.graded_levels(location[:, None] - spread * nodes, gaps)
        return plain_answers(spread_rows(plain_shifted(vertices, shift), 6), level, *data, log_weight)

    kernel = panel.paired_kernel(vertices, shift, location, spread, gaps, *data, np.array([spacing(6)]))
    assert_same(kernel[: 1 + len(values)], value_and_gradient(plain, values))
    # and the NumPy form of both halves
    log_theta = np.asarray(function([], plain_shifted(pt.constant(vertices), pt.constant(shift)), mode=quick_mode())())
    log_theta = np.broadcast_to(log_theta, (6, *log_theta.shape[1:]))
    level = log_graded(location[:, None] - spread * nodes, gaps[None, None] if levels > 2 else None)
    reference = data[5] @ answers_pointwise(log_theta, level, *data, log_weight)
    assert float(kernel[0]) == pytest.approx(float(reference), rel=1e-10)


@pytest.mark.parametrize("spread", [0.05, 0.7, 2.0, 4.2, 9.0])
@pytest.mark.parametrize("candidates", [3, 20])
def test_the_grid_of_difficulties_is_as_fine_as_its_spread_needs(candidates, spread):
    """Answers of known true level, for which the integrand is sharpest: against 4,001 nodes on +-9 standard deviations."""
    rng = np.random.default_rng(candidates)
    items, location = 100, rng.normal(0, 1.5, candidates)
    true = rng.random((items, candidates)) < 1 / (1 + np.exp(spread * rng.normal(size=(items, 1)) - location))
    row, level = np.repeat(np.arange(candidates), 2), np.tile([0, 1], candidates)
    cells = (2 * np.arange(candidates) + true).reshape(-1)
    data = row, np.full((len(row), 1), -1), level, np.arange(items + 1) * candidates, cells, np.ones(items)

    def total(nodes, log_weight):
        log_level = log_graded(location[:, None] - spread * nodes, None)
        return answers_pointwise(np.zeros((candidates, 1, 2, 2)), log_level, *data, log_weight).sum()

    fine = np.linspace(-9, 9, 4001)
    exact = total(fine, -0.5 * fine**2 - np.log(np.exp(-0.5 * fine**2).sum()))
    assert abs(total(*difficulty_nodes(candidates, spread)) - exact) < 2e-3


def test_the_kernel_and_numpy_lay_out_the_same_nodes():
    for spread in (1e-9, 0.3, 1.99, 3.0, 8.0, 1e4, 1e300):
        ours = panel._difficulty_grid(spread, spacing(12))
        for a, b in zip(ours, difficulty_nodes(12, spread), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("levels", "shift_rows"), CASES)
def test_joint_kernel_equals_the_plain_graph(levels, shift_rows):
    rng = np.random.default_rng(10 * levels + shift_rows)
    vertices, shift, prevalence, *_ = parameters(rng, levels, 6, 3, shift_rows)
    row, scores, known, *_ = answers_data(rng, levels, 6, 3)
    count = rng.integers(0, 40, len(row)).astype(float)
    data = row, scores, known, np.arange(len(row) + 1), np.arange(len(row)), count

    def plain(vertices, shift, prevalence):
        log_theta = spread_rows(plain_shifted(vertices, shift), 6)
        return plain_answers(log_theta, pt.log(prevalence)[:, None, :], *data, np.zeros(1))

    values = [vertices, shift, prevalence]
    assert_same(panel.joint_kernel(*values, row, scores, known, count), value_and_gradient(plain, values))


@pytest.mark.parametrize(("levels", "shift_rows"), CASES)
@pytest.mark.parametrize("gold", [False, True])
def test_marginal_kernel_equals_the_plain_graph(levels, shift_rows, gold):
    rng = np.random.default_rng(100 * levels + shift_rows)
    vertices, shift, prevalence, *_ = parameters(rng, levels, 6, 3, shift_rows)
    counts = rng.integers(0, 50, (6, 3, levels)).astype(float)
    counts[0, 0] = 0.0  # a missing cell
    known = rng.integers(0, 9, (6 if gold else 0, 3, levels, levels)).astype(float)

    def plain(vertices, shift, prevalence):
        theta = plain_shifted(vertices, shift)
        return lik.gamma_log_likelihood(prevalence, theta, counts, known if gold else None)

    values = [vertices, shift, prevalence]
    assert_same(panel.marginal_kernel(*values, counts, known), value_and_gradient(plain, values))


def test_a_shift_of_zero_changes_nothing_and_shifts_move_odds():
    rng = np.random.default_rng(5)
    vertices = rng.dirichlet(np.ones(4), size=(2, 4))
    shift = np.zeros((2, 2, 4))
    shift[1] = 0.8
    out = np.exp(np.asarray(function([], plain_shifted(pt.constant(vertices), pt.constant(shift)), mode=quick_mode())()))
    np.testing.assert_allclose(out[0], vertices, rtol=1e-13)
    np.testing.assert_allclose(out.sum(-1), 1.0, rtol=1e-13)
    upper = lambda p: np.cumsum(p[..., ::-1], -1)[..., ::-1][..., 1:]  # noqa: E731
    odds = lambda p: upper(p) / (1 - upper(p))  # noqa: E731
    np.testing.assert_allclose(odds(out[1]) / odds(vertices), np.exp(0.8), rtol=1e-10)


# -- the model's graph against the simulator's NumPy ----------------------------------------------------------------


@pytest.mark.parametrize("levels", [3, 5])
@pytest.mark.parametrize("sharpness", [0.0, 5.0, 50.0])
def test_monotone_kernel_equals_the_plain_graph(levels, sharpness):
    vertices = np.random.default_rng(levels).dirichlet(np.ones(levels), size=(3, levels))
    kernel = panel.monotone_kernel(vertices, np.array([sharpness]))
    assert_same(kernel, value_and_gradient(lambda v: lik.log_monotone(v, sharpness), [vertices]))


SPECS = {
    "marginal, two levels": {"levels": 2, "likelihood": "marginal"},
    "marginal, strict": {"levels": 2, "likelihood": "marginal", "constancy": "strict"},
    "marginal, strata, own, gold": {
        "levels": 4, "likelihood": "marginal", "stratum": "g", "gold": "true", "own": {"judge 02": ["candidate 01"]},
    },
    "marginal, not monotone": {"levels": 2, "likelihood": "marginal", "monotone": False, "constancy": 0.3},
    "joint": {"levels": 4, "item": "item", "likelihood": "joint", "constancy": "strict", "stratum": "g"},
    "joint, own, gold": {
        "levels": 2, "item": "item", "likelihood": "joint", "gold": "true",
        "own": {"judge 01": ["candidate 01"], "judge 02": ["candidate 02", "candidate 03"]},
    },
    "paired": {"levels": 2, "item": "item"},
    "paired, strata, own, gold": {
        "levels": 4, "item": "item", "stratum": "g", "gold": "true", "own": {"judge 01": ["candidate 02"]},
    },
    "paired, wide": {"levels": 2, "item": "item", "judge": ("A", "B")},
}  # fmt: skip


def numpy_log_likelihood(spec, statistics, values, dials):
    """Log likelihood in NumPy, from what the simulator draws with."""
    theta = judge_probabilities(spec, values, statistics, dials)
    kind = statistics.attrs["likelihood"]
    strata = statistics.sizes["stratum"]
    if kind == "marginal":
        shares = values["prevalence"].reshape(theta.shape[0], strata, -1)
        gamma = np.einsum("kgm,kgjmv->kgjv", shares, theta)
        total = (statistics["counts"].values * np.log(gamma)).sum()
        if "gold_counts" in statistics:
            both = np.log(shares)[:, :, None, :, None] + np.log(theta)
            total += (statistics["gold_counts"].values * both).sum()
        if "gold_only" in statistics:
            total += (statistics["gold_only"].values * np.log(shares)).sum()
        return total
    log_theta = np.log(theta).reshape(-1, *theta.shape[2:])
    data = [statistics[n].values for n in ("cell_row", "cell_scores", "cell_gold", "item_ptr", "item_cell", "item_count")]
    if kind == "joint":
        level, weight = np.log(values["prevalence"]).reshape(len(log_theta), 1, -1), np.zeros(1)
    else:
        nodes, weight = difficulty_nodes(statistics.sizes["candidate"], values["difficulty_scale"])
        location = row_location(values, strata).reshape(-1)
        eta = location[:, None] - values["difficulty_scale"] * nodes
        level = log_graded(eta, values["cut_gap"][None, None] if spec.levels > 2 else None)
    return data[5] @ answers_pointwise(log_theta, level, *data, weight)


@pytest.mark.parametrize("settings", SPECS.values(), ids=SPECS)
def test_the_graph_is_what_is_simulated(settings):
    spec = JudgeSimplex(**settings)
    simulation = spec.simulate(3, candidates=4, judges=3, items=25)
    statistics = spec.statistics(simulation.table)
    dials = spec.dials(statistics)
    for seed in (1, 2):
        values = spec.draw_prior(statistics, np.random.default_rng(seed))
        ours = spec.log_likelihood(simulation.table, values)
        assert ours == pytest.approx(numpy_log_likelihood(spec, statistics, values, dials), rel=1e-10)


@pytest.mark.parametrize("form", ["long", "wide", "items", "own"])
def test_a_known_level_without_a_verdict_counts_once(form):
    """The marginal likelihood of a table with such an answer is that without it plus the log share of its level."""
    table = pd.DataFrame(
        {"candidate": ["a", "a", "b", "b", "b"], "A": [1, 0, 1, np.nan, np.nan], "B": [1, 1, 0, np.nan, np.nan],
         "true": [1, np.nan, 0, 1, np.nan]}
    )  # fmt: skip
    settings = {"levels": 2, "likelihood": "marginal", "gold": "true", "constancy": "strict"}
    if form == "wide":
        settings["judge"] = ("A", "B")
    else:
        table["item"] = [f"i{n}" for n in range(len(table))]
        keep = ["candidate", "item", "true"]
        table = table.melt(id_vars=keep, value_vars=["A", "B"], var_name="judge", value_name="score")
        if form == "long":  # without items each row is an answer: leave one of the two rows of the answer
            table = table.drop(index=table.index[(table["item"] == "i3") & (table["judge"] == "B")]).drop(columns="item")
        else:
            settings["item"] = "item"
    if form == "own":  # verdicts that are left out do not make an answer judged
        table.loc[(table["item"] == "i3") & (table["judge"] == "A"), "score"] = 1
        settings |= {"own": {"A": ["b"]}, "self_cells": "drop"}
    spec = JudgeSimplex(**settings)
    statistics = spec.statistics(table)
    assert statistics["gold_only"].values.sum() == 1 and statistics["gold_only"].values[1, 0, 1] == 1
    values = spec.draw_prior(statistics, np.random.default_rng(1))
    found = spec.log_likelihood(table, values)
    without = table[~((table["candidate"] == "b") & (table["true"] == 1))]
    expected = spec.log_likelihood(without, values) + np.log(values["prevalence"][1].reshape(-1)[1])
    assert found == pytest.approx(expected, rel=1e-12)
    assert found == pytest.approx(numpy_log_likelihood(spec, statistics, values, spec.dials(statistics)), rel=1e-10)


def point(built, seed):
    """A random point in the sampler's coordinates."""
    rng = np.random.default_rng(seed)
    start = built.model.initial_point(random_seed=0)
    return {k: np.asarray(v) + 0.4 * rng.normal(size=np.shape(v)) for k, v in start.items()}


def densities(built, statistics, dials, seed):
    """Sampler's log density, and the variables, at a random point."""
    model = built.model
    for name, value in built.updates(statistics, dials).items():
        model[name].set_value(value)
    outputs = model.replace_rvs_by_values(list(built.variables.values()))
    run = function(model.value_vars, [model.logp(), *outputs], mode=quick_mode(), on_unused_input="ignore")
    at = point(built, seed)
    logp, *values = run(*[at[v.name] for v in model.value_vars])
    return float(logp), dict(zip(built.variables, map(np.asarray, values), strict=True)), at


def as_draws(spec, statistics, values):
    import xarray as xr

    dims = {a.name: a.prior.dims for a in spec.assumptions(statistics) if a.prior is not None}
    return xr.Dataset({n: (("chain", "draw", *d), values[n][None, None]) for n, d in dims.items()})


@pytest.mark.parametrize("settings", SPECS.values(), ids=SPECS)
def test_density_is_prior_by_assumption_plus_likelihood_plus_jacobian(settings):
    spec = JudgeSimplex(**settings)
    statistics = spec.statistics(spec.simulate(4, candidates=4, judges=3, items=25).table)
    statistics = statistics.assign_attrs(geometry="plain")  # the others have Jacobians of their own: below
    dials = {k: v * 1.25 if v else v for k, v in spec.dials(statistics).items()}  # none at its default
    logp, values, _ = densities(compiled_for(spec, statistics).built, statistics, dials, 8)
    draws = as_draws(spec, statistics, values)
    parts = log_prior(spec, statistics, dials, draws)
    total = sum(float(v[0, 0]) for v in parts.values()) + float(log_jacobian(spec, statistics, dials, draws)[0, 0])
    assert logp == pytest.approx(total + numpy_log_likelihood(spec, statistics, values, dials), rel=1e-10)


# -- coordinates of the two-level marginal likelihood --------------------------------------------------------


def numerical_log_jacobian(run, at, width=1e-4):
    """log |det| of the derivative of run(flat) -> flat by Richardson differences."""
    columns = []
    for i in range(len(at)):
        step = np.zeros(len(at))
        step[i] = width
        central = (run(at + step) - run(at - step)) / (2 * width)
        half = (run(at + step / 2) - run(at - step / 2)) / width
        columns.append((4 * half - central) / 3)
    jacobian = np.column_stack(columns)
    assert jacobian.shape[0] == jacobian.shape[1]
    return np.linalg.slogdet(jacobian)[1]


@pytest.mark.parametrize("judges", [1, 3])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ridge_jacobian_and_range(judges, seed):
    candidates, place = 5, seed % judges
    rng = np.random.default_rng(seed)
    sizes = [candidates, judges - 1, judges - 1, 1, 1]
    x = pt.dvector()
    ends = np.cumsum(sizes)
    parts = [x[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    pi, quality, lean, log_jac = lik.ridge(*parts[:3], parts[3][0], parts[4][0], place, judges)
    run = function([x], [pi, quality, lean, log_jac], mode=quick_mode())
    at = rng.normal(0, 1.2, sum(sizes))
    pi, quality, lean, log_jacobian_ = run(at)
    assert all(((v > 0) & (v < 1)).all() for v in (pi, quality, lean))
    assert log_jacobian_ == pytest.approx(numerical_log_jacobian(lambda z: np.concatenate(run(z)[:3]), at), abs=1e-6)
    # the inverse map: shares of the reference judge, and of the others for its best and worst candidates
    low = (1 - quality) * lean
    gamma = low + quality * pi[:, None]
    share = 1 / (1 + np.exp(-at[:candidates]))
    np.testing.assert_allclose(gamma[:, place], share, rtol=1e-11)
    others = [j for j in range(judges) if j != place]
    high = 1 / (1 + np.exp(-at[candidates : candidates + judges - 1]))
    ratio = 1 / (1 + np.exp(-at[candidates + judges - 1 : candidates + 2 * judges - 2]))
    np.testing.assert_allclose(gamma[share.argmax(), others], high, rtol=1e-11)
    np.testing.assert_allclose(gamma[share.argmin(), others], high * ratio, rtol=1e-10)


@pytest.mark.parametrize("scale", [(0.5, 0.5), (0.02, 1.3), (3.0, 0.4)])
@pytest.mark.parametrize("common", [0.0, 0.8])
def test_centred_deviation_jacobian_and_inverse(scale, common):
    rng = np.random.default_rng(7)
    candidates, judges = 3, 2
    quality, lean, pi = rng.uniform(0.2, 0.8, judges), rng.uniform(0.2, 0.8, judges), rng.uniform(0.1, 0.9, candidates)
    shared = common * rng.normal(size=(candidates, judges, 2))
    x = pt.dvector()
    logit, across = x[:6].reshape((candidates, judges)), x[6:].reshape((candidates, judges))
    deviation, log_jac = lik.centred_deviation(
        pt.constant(quality), pt.constant(lean), pt.constant(pi), pt.constant(np.array(scale)),
        pt.constant(shared), logit, across,
    )  # fmt: skip
    run = function([x], [deviation, log_jac], mode=quick_mode())
    at = np.concatenate([rng.normal(0, 1.5, 6), rng.normal(size=6)])
    deviation, log_jacobian_ = run(at)
    assert log_jacobian_ == pytest.approx(numerical_log_jacobian(lambda z: run(z)[0].ravel(), at), abs=1e-6)
    low, high = (1 - quality) * lean, (1 - quality) * lean + quality
    shift = deviation * np.array(scale)[:, None] + shared
    rate = lambda p, d: 1 / (1 + (1 - p) / p * np.exp(-d))  # noqa: E731
    gamma = (1 - pi[:, None]) * rate(low, shift[..., 0]) + pi[:, None] * rate(high, shift[..., 1])
    np.testing.assert_allclose(gamma, 1 / (1 + np.exp(-at[:6].reshape(3, 2))), rtol=1e-10)


@pytest.mark.parametrize("judges", [1, 3])
@pytest.mark.parametrize("constancy", ["strict", "learned", 0.4])
def test_density_in_ridge_coordinates(constancy, judges):
    """Prior by assumption + likelihood + the numerical Jacobian of (coordinates -> variables) = the sampler's density."""
    spec = JudgeSimplex(2, likelihood="marginal", constancy=constancy)
    statistics = spec.statistics(spec.simulate(5, candidates=4, judges=judges, items=60).table)
    assert statistics.attrs["geometry"] == "ridge"
    dials = spec.dials(statistics)
    built = build(spec, statistics)
    assert built.coordinates
    logp, values, at = densities(built, statistics, dials, 3)
    parts = log_prior(spec, statistics, dials, as_draws(spec, statistics, values))
    known = sum(float(v[0, 0]) for v in parts.values()) + numpy_log_likelihood(spec, statistics, values, dials)
    model = built.model
    outputs = model.replace_rvs_by_values(list(built.variables.values()))
    run = function(model.value_vars, outputs, mode=quick_mode(), on_unused_input="ignore")
    names = [v.name for v in model.value_vars]
    sizes = np.cumsum([at[n].size for n in names])[:-1]
    order = list(built.variables)

    def free(flat):
        found = dict(
            zip(order, run(*[p.reshape(at[n].shape) for n, p in zip(names, np.split(flat, sizes), strict=True)]), strict=True)
        )
        return np.concatenate([(found[n][..., 1] if n == "prevalence" else found[n]).ravel() for n in order])

    # Shares are two numbers with one degree of freedom. PyMC's simplex has z -> the first of log x - mean(log x), whose
    # density is taken with respect to x[0], and log Jacobian log 2 + sum log x: the same as that of x[1] up to nothing.
    jacobian = numerical_log_jacobian(free, np.concatenate([at[n].ravel() for n in names]))
    assert logp == pytest.approx(known + jacobian, abs=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("constancy", ["strict", "learned"])
def test_geometries_have_the_same_posterior(constancy):
    spec = JudgeSimplex(2, likelihood="marginal", constancy=constancy)
    statistics = spec.statistics(spec.simulate(11, candidates=4, judges=3, items=200).table)
    settings = Sampling(draws=2000, tune=700, seed=1, progress=False, target_accept=0.97)
    fits = []
    for name in ("plain", "ridge"):
        statistics = statistics.assign_attrs(geometry=name)
        fits.append(run_fit(spec, statistics, settings))
    plain, other = fits
    for group in ("estimands", "posterior"):
        a, b = plain.summary(group=group), other.summary(group=group)
        error = np.hypot(a["mcse_mean"], b["mcse_mean"])
        z = (a["mean"] - b["mean"]) / error
        assert np.abs(z).max() < 5.0, z[np.abs(z) > 4]  # some 40 quantities: 5 standard errors
        np.testing.assert_allclose(a["sd"], b["sd"], rtol=0.15)
    gap = np.abs(plain.rank_draws().mean(0) - other.rank_draws().mean(0)).max()
    assert gap < 0.1
