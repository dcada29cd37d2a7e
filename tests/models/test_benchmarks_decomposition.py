"""Components against sums over a tensor grid (the definition), mean squares of simulated tables, exact cases, CRUXEval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

pytest.importorskip("pymc")

from bayeskit import SpecificationError
from bayeskit_models.benchmarks.decomposition import link_components, score_components
from bayeskit_models.benchmarks.design import error_variance
from bayeskit_models.benchmarks.moments import moments_of_counts
from bayeskit_models.benchmarks.normal_nodes import POWERS, SIGMOID, normal_nodes

# CRUXEval-input, 33 models x 800 items x 10 samples (crux-eval/eval-arena, commit 7f92b6e0; mostly MIT): abilities at the
# maximum of the likelihood of `crossed` with an interaction, whose sds there are 7.028 (items) and 5.599 (model by item).
CRUXEVAL = np.array([
    3.5889, 6.0218, -1.7909, -0.5972, -0.5964, -0.0559, -3.2071, -2.1778, -2.402, -1.3957, -2.8461, -0.1231, -5.3258, -0.7292,
    -1.6835, -5.4359, -0.6482, -2.9515, -0.0698, -0.1059, 5.0333, 5.5289, -1.7892, -3.3943, -2.3555, -10.1478, -6.0622, -4.195,
    -0.5699, -4.2728, -4.7854, -3.1493, -1.6477,
])  # fmt: skip
ETA = np.array([-0.8, 0.3, 1.4])
SDS = {"item_sd": 0.7, "model_item_sd": 0.4, "run_sd": 0.3, "template_sd": 0.5, "model_template_sd": 0.2}
CHANCE = 0.2


def test_averages_over_nodes_are_exact():
    """E[x^2] and E[cos x] of N(0, 1.7^2), and one node where the sd is 0; error below 1e-10 at both spacings."""
    for reach in (SIGMOID, POWERS):
        x, w = normal_nodes(1.7, reach)
        assert w.sum() == pytest.approx(1.0, abs=1e-14)
        assert w @ x**2 == pytest.approx(1.7**2, abs=2e-10)
        assert w @ np.cos(x) == pytest.approx(np.exp(-(1.7**2) / 2), abs=1e-10)
    x, w = normal_nodes(0.0, SIGMOID)
    assert (x, w) == (0.0, 1.0)


class Tensor:
    """The analysis of variance by its definition: scores on a product of Gauss-Hermite grids, axes averaged out.

    Axes: model, then item, model_item, run, template, model_template.
    """

    order = ("item", "model_item", "run", "template", "model_template")

    def __init__(self, eta, sds, chance, size=14):
        z, w = np.polynomial.hermite_e.hermegauss(size)
        self.weight = w / w.sum()
        x = eta.reshape(-1, *[1] * 5)
        for axis, name in enumerate(self.order):
            x = x + (sds[f"{name}_sd"] * z).reshape(-1, *[1] * (4 - axis))
        self.score = chance + (1.0 - chance) * special.expit(x)

    def given(self, *kept):
        """Score averaged over all axes but the model and those kept; kept axes come last, in order, with their weights."""
        out = self.score
        for axis in range(4, -1, -1):
            if self.order[axis] not in kept:
                out = np.tensordot(out, self.weight, (1 + axis, 0))
        weight = np.ones(())
        for _ in kept:
            weight = np.multiply.outer(weight, self.weight)
        return out.reshape(len(out), -1), weight.ravel()

    def own(self, *kept):
        h, w = self.given(*kept)
        return float((h**2 @ w - (h @ w) ** 2).mean())

    def pair(self, *kept):
        h, w = self.given(*kept)
        centred = h - (h @ w)[:, None]
        cov = (centred * w) @ centred.T
        return float(cov[~np.eye(len(h), dtype=bool)].mean())


def test_components_are_those_of_the_definition():
    """Five facets with an interaction each and a chance level; the reference is exact to about 1e-9 at these sds."""
    found = score_components(ETA[None], **SDS, chance=CHANCE)
    t = Tensor(ETA, SDS, CHANCE)
    i, r, f = ("item", "model_item"), ("run",), ("template", "model_template")
    level = t.given()[0][:, 0]
    expected = {
        "model": level.var(ddof=1), "item": t.pair("item"), "model_item": t.own(*i) - t.pair("item"), "run": t.own(*r),
        "template": t.pair("template"), "model_template": t.own(*f) - t.pair("template"),
        "item_run": t.own(*i, *r) - t.own(*i) - t.own(*r),
        "item_template": t.pair("item", "template") - t.pair("item") - t.pair("template"),
        "run_template": t.own(*r, *f) - t.own(*r) - t.own(*f),
    }  # fmt: skip
    expected["model_item_template"] = t.own(*i, *f) - t.own(*i) - t.own(*f) - expected["item_template"]
    rest = ("item_run", "item_template", "run_template", "model_item_template")
    expected["item_run_template"] = t.own(*i, *r, *f) - t.own(*i) - t.own(*r) - t.own(*f) - sum(expected[n] for n in rest)
    h, w = t.given(*t.order)
    expected["within"] = float((h * (1.0 - h) @ w).mean())
    assert set(found.draws) == set(expected)
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, abs=2e-9), name
    assert found.mean[0] == pytest.approx(level.mean(), abs=1e-9)


def test_all_components_add_up_to_the_variance_of_a_binary_score():
    """mean (1 - mean), with the variance between models divided by M; wide effects, and draws that differ."""
    rng = np.random.default_rng(1)
    eta, sds = rng.normal(0.0, 1.5, (5, 7)), {n: np.abs(rng.normal(0.0, 1.5, 5)) for n in SDS}
    found = score_components(eta, **sds, cluster_sd=0.8, chance=0.1)
    total = found.total - found["model"] / 7
    assert total == pytest.approx(found.mean * (1.0 - found.mean), abs=1e-10)
    assert all((v >= 0.0).all() for n, v in found.draws.items() if n != "item_template")
    shares = found.shares()
    assert np.sum(list(shares.draws.values()), axis=0) == pytest.approx(1.0, abs=1e-12)


def test_clusters_split_the_items():
    """Items whose effects come half from their cluster: cluster and item together are the items of a model without."""
    joint = score_components(ETA[None], item_sd=1.0, model_item_sd=0.3)
    split = score_components(ETA[None], item_sd=0.8, cluster_sd=0.6, model_item_sd=0.3)
    assert split["cluster"] + split["item"] == pytest.approx(joint["item"], abs=1e-12)
    assert split["model_cluster"] + split["model_item"] == pytest.approx(joint["model_item"], abs=1e-12)


def test_small_effects_are_those_of_the_tangent():
    """sd .02: variance of items is sd^2 times the mean product of slopes, interactions the rest; error of order sd^4."""
    found = score_components(ETA[None], item_sd=0.02, model_item_sd=0.01)
    slope = special.expit(ETA) * special.expit(-ETA)
    pair = (slope.sum() ** 2 - (slope**2).sum()) / 6
    assert found["item"][0] == pytest.approx(4e-4 * pair, rel=1e-3)
    assert found["model_item"][0] == pytest.approx(4e-4 * ((slope**2).mean() - pair) + 1e-4 * (slope**2).mean(), rel=1e-3)


def test_mean_squares_estimate_these_components():
    """400 simulated tables of 4 models x 120 items x 3 samples: means of unbiased estimates, 4 standard errors each."""
    rng, eta = np.random.default_rng(4), np.array([-1.2, -0.2, 0.4, 1.5])
    truth = score_components(eta[None], item_sd=1.6, model_item_sd=0.8, chance=0.25)
    found = []
    for _ in range(400):
        x = eta[:, None] + 1.6 * rng.normal(size=120) + 0.8 * rng.normal(size=(4, 120))
        m = moments_of_counts(rng.binomial(3, 0.25 + 0.75 * special.expit(x)), 3)
        found.append([m.model, m.item, m.model_item, m.within, m.mean])
    expected = [truth[n][0] for n in ("model", "item", "model_item", "within")] + [truth.mean[0]]
    error = np.std(found, axis=0) / np.sqrt(400)
    assert (np.abs(np.mean(found, axis=0) - expected) < 4 * error).all()


def test_cruxeval_against_its_mean_squares():
    """Likelihood and mean squares (.0182, .0869, .0987, .0417; mean .429) agree within 4 %: only one assumes normal effects."""
    found = score_components(CRUXEVAL[None], item_sd=7.0276, model_item_sd=5.5995)
    parts = [found[name][0] for name in ("model", "item", "model_item", "within")]
    assert parts == pytest.approx([0.0182, 0.0869, 0.0987, 0.0417], rel=0.04)
    assert found.mean[0] == pytest.approx(0.429, abs=0.004)
    error = np.sqrt(2.0 * error_variance(found, {"items": 800, "samples": 10})[0])
    assert error == pytest.approx(0.0160, rel=0.02)


def test_one_model_and_no_facets():
    alone = score_components(np.array([[0.3]]), item_sd=1.0)
    assert set(alone.draws) == {"item", "model_item", "within"} and alone["model_item"][0] == 0.0
    bare = score_components(ETA[None])
    p = special.expit(ETA)
    assert set(bare.draws) == {"model", "within"}
    assert bare["model"][0] == pytest.approx(p.var(ddof=1), abs=1e-14)
    assert bare["within"][0] == pytest.approx((p * (1 - p)).mean(), abs=1e-14)


def test_link_scale():
    found = link_components(np.array([ETA, 2 * ETA]), item_sd=np.array([1.0, 2.0]), run_sd=0.1, within=[0.5, 0.7])
    assert found["model"] == pytest.approx([ETA.var(ddof=1), 4 * ETA.var(ddof=1)], rel=1e-14)
    assert found["item"] == pytest.approx([1.0, 4.0])
    assert found["run"] == pytest.approx([0.01, 0.01]) and found["within"] == pytest.approx([0.5, 0.7])
    table = found.table()
    assert list(table.index) == ["model", "item", "run", "within"] and "new models" in table.attrs["population"]
    assert "95% equal-tailed" in repr(found) and "<table" in found._repr_html_()
    assert "item" in found.plot().alt


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: score_components(np.zeros(3)), r"eta has shape \(3,\)"),
        (lambda: score_components(np.array([[np.nan]])), "finite draws"),
        (lambda: score_components(ETA[None], item_sd=-1.0), "item: 1 finite"),
        (lambda: score_components(ETA[None], run_sd=np.ones(2)), "run: 1 finite"),
        (lambda: score_components(ETA[None], chance=1.0), "chance=1.0"),
        (lambda: link_components(ETA[None], seed_sd=1.0), "seed_sd"),
    ],
)
def test_faults_are_named(call, named):
    with pytest.raises(SpecificationError, match=named):
        call()
