"""Designs against Miller's formulas, the classical study, simulated tables, and an exhaustive search for the cheapest."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import special, stats

pytest.importorskip("pymc")

from bayeskit import SpecificationError
from bayeskit_models.benchmarks.decomposition import Components, score_components
from bayeskit_models.benchmarks.design import design, error_variance, optimal_samples, price_of
from bayeskit_models.benchmarks.moments import Moments
from bayeskit_models.benchmarks.planning import minimum_detectable_difference, reach

CRUXEVAL = {"model": 0.0182, "item": 0.0869, "model_item": 0.0987, "within": 0.0417}
ALL = {
    "model": 0.02, "item": 0.08, "model_item": 0.06, "run": 0.0004, "template": 0.0010, "model_template": 0.0006,
    "item_run": 0.004, "item_template": 0.003, "model_item_template": 0.008, "run_template": 0.0002,
    "item_run_template": 0.001, "within": 0.05,
}  # fmt: skip


def components(values, draws=1, spread=0.0, seed=0):
    """Components that vary by a factor of log sd `spread` from draw to draw."""
    rng = np.random.default_rng(seed)
    parts = {n: v * np.exp(spread * rng.normal(size=draws)) for n, v in values.items()}
    return Components(parts, "components", "squared score", "new items")


def test_figures_of_cruxeval():
    """800 items x 10 samples: paired error .0160, detectable .0449, .0525 with one sample, .149 with 100 items and one."""
    found = design(components(CRUXEVAL), items=[800, 100], samples=[10, 1]).table()
    assert found.loc[(800, 10, 1, 1), "se"] == pytest.approx(0.0160, abs=5e-5)
    detected = [found.loc[key, "mde"] for key in ((800, 10, 1, 1), (800, 1, 1, 1), (100, 1, 1, 1))]
    assert detected == pytest.approx([0.0449, 0.0525, 0.149], abs=6e-4)


def test_items_and_samples_are_those_of_miller_and_of_the_classical_study():
    m = Moments(**CRUXEVAL, mean=0.4, models=33, items=800, samples=10)
    found = design(components(CRUXEVAL), items=[250], samples=[3], power=0.9, level=0.01).draws({"items": 250, "samples": 3})
    between, within = 2 * CRUXEVAL["model_item"], (CRUXEVAL["within"],) * 2
    miller = minimum_detectable_difference(250, between=between, within=within, samples=(3, 3), power=0.9, level=0.01)
    assert found["mde"][0] == pytest.approx(miller, rel=1e-12)
    assert found["se"][0] == pytest.approx(m.paired_error(250, 3), rel=1e-12)
    assert (found["g"][0], found["phi"][0]) == pytest.approx(m.reliability(250, 3), rel=1e-12)


def test_errors_are_those_of_simulated_repetitions():
    """20,000 repetitions of 3 models x 6 items x 2 runs x 2 templates x 2 samples: variances to 4 standard errors.

    Every term of the error variance is at work: the effects are wide (sd 0.5 to 1.2 logits). Expected squares of the error of
    one model and of a difference, averaged over models.
    """
    rng, size = np.random.default_rng(2), 20_000
    eta = np.array([-0.7, 0.2, 1.0])
    sds = {"item_sd": 1.2, "model_item_sd": 0.6, "run_sd": 0.5, "template_sd": 0.8, "model_template_sd": 0.5}
    parts = score_components(eta[None], **sds)
    x = eta.reshape(3, 1, 1, 1)
    shapes = ((1, 6, 1, 1), (3, 6, 1, 1), (3, 1, 2, 1), (1, 1, 1, 2), (3, 1, 1, 2))
    score = np.empty((size, 3))
    for r in range(size):
        logit = x + sum(sd * rng.normal(size=shape) for sd, shape in zip(sds.values(), shapes, strict=True))
        score[r] = rng.binomial(2, special.expit(logit)).mean((1, 2, 3)) / 2
    error = score - score.mean(0)
    pairs = np.stack([error[:, 0] - error[:, 1], error[:, 0] - error[:, 2], error[:, 1] - error[:, 2]])
    sizes = {"items": 6, "seeds": 2, "templates": 2, "samples": 2}
    for values, expected in (
        ((error**2).mean(1), error_variance(parts, sizes, absolute=True)[0]),
        ((pairs**2).mean(0), 2 * error_variance(parts, sizes)[0]),
    ):
        assert values.mean() == pytest.approx(expected, abs=4 * values.std() / np.sqrt(size))


def test_what_is_fixed_leaves_only_what_is_drawn_anew():
    parts, sizes = components(ALL), {"items": 10, "seeds": 2, "templates": 4, "samples": 5}
    found = error_variance(parts, sizes, fixed=("items", "templates"), absolute=True)[0]
    drawn = ALL["run"] / 2 + ALL["item_run"] / 20 + ALL["run_template"] / 8 + ALL["item_run_template"] / 80
    assert found == pytest.approx(drawn + ALL["within"] / 400, rel=1e-12)
    clustered = components({**ALL, "cluster": 0.03, "model_cluster": 0.01})
    more = error_variance(clustered, sizes, absolute=True, items_per_cluster=5.0) - error_variance(parts, sizes, absolute=True)
    assert more[0] == pytest.approx(0.04 / 2, rel=1e-12)
    assert error_variance(clustered, sizes, fixed=("items",)) == pytest.approx(error_variance(parts, sizes, fixed=("items",)))


def test_intervals_are_quantiles_of_the_draws():
    parts = components(ALL, 4001, 0.3)
    found = design(parts, items=[100, 400], samples=[1, 4])
    table = found.table(0.9)
    mde = reach() * np.sqrt(2 * error_variance(parts, {"items": 400, "samples": 4}))
    row = table.loc[(400, 4, 1, 1)]
    assert [row["mde_lower"], row["mde"], row["mde_upper"]] == pytest.approx(np.quantile(mde, [0.05, 0.5, 0.95]), rel=1e-12)
    assert (table.attrs["prob"], table.attrs["population"]) == (0.9, "new items, samples, seeds, templates")
    assert "95% equal-tailed" in repr(found) and "<table" in found._repr_html_()


def test_assurance_is_the_mean_power():
    """At the detectable difference of a certain design the power is what was asked for; else the mean over draws."""
    sure = design(components(CRUXEVAL), items=[100])
    mde = sure.draws({"items": 100})["mde"][0]
    assert sure.assurance(mde, {"items": 100}) == pytest.approx(0.8, abs=1e-4)  # the far tail adds 1e-6
    unsure = design(components(CRUXEVAL, 2000, 0.5), items=[100])
    z = 0.1 / unsure.draws({"items": 100})["se"]
    power = stats.norm.sf(1.959964 - z) + stats.norm.cdf(-1.959964 - z)
    assert unsure.assurance(0.1, {"items": 100}) == pytest.approx(power.mean(), rel=1e-6)


def test_optimal_samples_minimise_the_error_at_a_fixed_price():
    """The closed form against a fine search along designs of equal price."""
    parts, cost = components({**CRUXEVAL, "model_item": 0.002}), {"item": 3.0, "sample": 0.1}
    best = optimal_samples(parts, cost)[0]
    assert best == pytest.approx(np.sqrt(3.0 * 0.0417 / (0.1 * 0.002)), rel=1e-12)
    k = np.geomspace(1.0, 1000.0, 200_001)
    items = 500.0 / (3.0 + 0.1 * k)
    assert k[np.argmin((0.002 + 0.0417 / k) / items)] == pytest.approx(best, rel=1e-3)
    assert optimal_samples(components(CRUXEVAL), {"item": 0.0, "sample": 1.0})[0] == 1.0


def test_the_cheapest_design_is_that_of_an_exhaustive_search():
    """Every design up to 12 seeds, 12 templates and 12 samples, with its least number of items, on 300 draws."""
    cost = {"item": 2.0, "sample": 0.05, "seed": 60.0, "template": 5.0}
    found = design(components(ALL, 300, 0.2), items=[100], cost=cost)
    chosen = found.cheapest(0.08, sure=0.9)
    limit, best = (0.08 / reach()) ** 2 / 2, np.inf
    for s, t, k in product(range(1, 13), range(1, 13), range(1, 13)):
        others = {"seeds": s, "templates": t, "samples": k}
        flat = found.error({**others, "items": np.inf})
        slope = found.error({**others, "items": 1}) - flat
        need = np.sort(np.where(limit > flat, slope / np.maximum(limit - flat, 1e-300), np.inf))[269]  # 270 of 300 draws
        best = min(best, price_of({**others, "items": np.ceil(need)}, cost))
    assert max(chosen.seeds, chosen.templates, chosen.samples) < 12
    assert chosen.cost == pytest.approx(best, rel=1e-12)
    assert chosen.sure >= 0.9 and chosen.mde[0] < 0.08
    fewer = found.draws({**chosen.sizes, "items": chosen.items - 1})["mde"]
    assert (fewer <= 0.08).mean() < 0.9


def test_what_cannot_be_reached_is_said():
    bound = design(components(ALL), items=[10], cost={"item": 1.0, "seed": 1.0})
    with pytest.raises(SpecificationError, match="No number of items"):
        bound.cheapest(1e-4)


def test_the_figure_tells_its_numbers():
    found = design(components(CRUXEVAL, 200, 0.1), items=[100, 200, 400], samples=[1, 10])
    figure = found.plot()
    assert "10 samples" in figure.alt and "95 % equal-tailed" in figure.alt and "new items" in figure.alt
    with pytest.raises(SpecificationError, match="two numbers of items"):
        design(components(CRUXEVAL), items=[5]).plot()


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda c: design(c, items=[]), r"items=\[\]"),
        (lambda c: design(c, items=[2.5]), r"items=\[2.5\]"),
        (lambda c: design(c, items=[10], seeds=[0]), r"seeds=\[0\]"),
        (lambda c: design(c, items=[10], fixed=("seeds",)), "fixed"),
        (lambda c: design(c, items=[10], cost={"gpu": 1.0}), "cost="),
        (lambda c: design(c, items=[10], power=1.0), "power=1.0"),
        (lambda c: design(c, items=[10], items_per_cluster=0.5), "items_per_cluster"),
        (lambda c: design(c, items=[10]).cheapest(0.1), "no prices"),
        (lambda c: design(c, items=[10], cost={"item": 1.0}).cheapest(0.0), "difference=0.0"),
        (lambda c: design(c, items=[10], cost={"item": 1.0}).cheapest(0.1, sure=1.0), "sure=1.0"),
        (lambda c: optimal_samples(c, {"item": 1.0}), "'sample' above 0"),
    ],
)
def test_faults_are_named(call, named):
    with pytest.raises(SpecificationError, match=named):
        call(components(CRUXEVAL))
