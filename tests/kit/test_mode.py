"""Modes: exact where there is a closed form, refused where there is no fit."""

from __future__ import annotations

from dataclasses import dataclass

import examples
import numpy as np
import pandas as pd
import pytest

from bayeskit import Assumption, Prior


@dataclass(frozen=True)
class Sum(examples.NormalNormal):
    """Two effects of which the data see the sum: a ridge of the likelihood."""

    def assumptions(self, statistics):
        prior = Prior("Normal", mu=0.0, sigma=1.0)
        first, *rest = super().assumptions(statistics)
        return (first, Assumption("common", "All groups move together.", "hyper", prior), *rest)

    def graph(self, graph):
        mu, n, total = graph.prior("mu") + graph.prior("common"), graph.data("n"), graph.data("total")
        graph.likelihood(-0.5 * (n * mu**2 - 2 * mu * total).sum() / graph.dial("noise.sd") ** 2)


@dataclass(frozen=True)
class LargeScale(examples.BetaBinomial):
    """A scale of a hundred million, whose logarithm is 18: large is no boundary."""

    def columns(self):
        return (examples.Column("outcome", self.outcome, "number", "a duration"),)

    def reduce(self, rows):
        y = rows.columns["outcome"]
        return examples.xr.Dataset({"n": ((), len(y)), "k": ((), y.sum())})

    def assumptions(self, statistics):
        return (Assumption("scale", "Durations.", "hyper", Prior("HalfNormal", sigma=1e9)),)

    def graph(self, graph):
        import pytensor.tensor as pt

        scale = graph.prior("scale")
        graph.likelihood(-graph.data("n") * pt.log(scale) - graph.data("k") / scale)


def test_posterior_mode_of_the_normal_is_its_mean(normal_table):
    spec = examples.NormalNormal()
    statistics = spec.statistics(normal_table)
    for dials in ({}, {"mu.sigma": 0.2, "noise.sd": 3.0}):
        mean, sd = spec.closed_form(statistics, dials)
        mode = spec.mode(normal_table, dials=dials)
        assert mode.status == "ok"
        np.testing.assert_allclose(mode.values["mu"], mean, rtol=0, atol=1e-8)
        np.testing.assert_allclose(mode.standard_errors["mu"], sd, rtol=1e-6)  # exact: the density is normal
        assert mode.log_likelihood == pytest.approx(spec.log_likelihood(normal_table, mode.values, dials=dials), abs=1e-9)


def test_maximum_likelihood_of_the_normal(normal_table):
    mode = examples.NormalNormal().mode(normal_table, prior=False)
    means = normal_table.groupby("group")["y"].mean().to_numpy()
    np.testing.assert_allclose(mode.values["mu"], means, rtol=0, atol=1e-8)
    np.testing.assert_allclose(mode.standard_errors["mu"], 1.5 / np.sqrt([4, 2, 9]), rtol=1e-6)
    assert mode.log_density == mode.log_likelihood


def test_mode_far_from_zero_is_no_boundary(normal_table):
    """A variable on the whole real line has no edge to run to."""
    table = normal_table.assign(y=normal_table["y"] + 1000)
    mode = examples.NormalNormal().mode(table, prior=False)
    assert mode.status == "ok"
    np.testing.assert_allclose(mode.values["mu"], table.groupby("group")["y"].mean(), rtol=1e-10)
    flat = examples.NormalNormal().mode(table, prior=False, dials={"noise.sd": 300.0})
    assert flat.status == "ok"


def test_large_scale_is_no_boundary():
    y = np.array([1.0, 2.0, 3.0]) * 1e8
    mode = LargeScale().mode(pd.DataFrame({"outcome": y}), prior=False)
    assert mode.status == "ok"
    assert float(mode.values["scale"]) == pytest.approx(2e8, rel=1e-9)


def test_beta_mode_is_on_the_natural_scale(beta_table):
    """(a + k - 1) / (a + b + n - 2), not the mode of the log odds; the standard error by the delta method."""
    mode = examples.BetaBinomial().mode(beta_table)
    assert float(mode.values["p"]) == pytest.approx(8 / 13, abs=1e-8)
    ml = examples.BetaBinomial().mode(beta_table, prior=False)
    assert float(ml.values["p"]) == pytest.approx(0.7, abs=1e-8)
    assert float(ml.standard_errors["p"]) == pytest.approx(np.sqrt(0.7 * 0.3 / 10), rel=1e-6)


@pytest.mark.parametrize("successes", [0, 12])
def test_boundary_is_refused(successes):
    table = pd.DataFrame({"outcome": [1] * successes + [0] * (12 - successes)})
    mode = examples.BetaBinomial().mode(table, prior=False)
    assert mode.status == "boundary"
    assert "p has run to the edge" in mode.message
    assert np.isnan(mode.standard_errors["p"])
    assert repr(mode).startswith("NOT A FIT (boundary)")
    assert examples.BetaBinomial().mode(table).status == "ok"


def test_ridge_is_refused(normal_table):
    mode = Sum().mode(normal_table, prior=False)
    assert mode.status == "ridge"
    assert "common" in mode.message
    assert "mu" in mode.message
    assert np.isnan(mode.standard_errors["mu"]).all()
    assert Sum().mode(normal_table).status == "ok"


def test_modes_compile_once(normal_table):
    from bayeskit.engine import compiled_for

    spec = examples.NormalNormal()
    spec.mode(normal_table)
    functions = compiled_for(spec, spec.statistics(normal_table)).functions
    before = dict(functions)
    spec.mode(normal_table.iloc[1:], dials={"mu.mu": 3.0})
    assert functions == before


def test_stable_form_is_kept():
    """The quick compiler keeps the rewrites without which log(sigmoid(-800)) is -inf."""
    import pytensor
    import pytensor.tensor as pt

    from bayeskit.engine import quick_mode

    x = pt.dscalar("x")
    assert float(pytensor.function([x], pt.log(pt.sigmoid(x)), mode=quick_mode())(-800.0)) == -800.0


def test_no_derivative_is_no_crash(normal_table, monkeypatch):
    """Where the search ends at a point without derivatives, that is said; linear algebra does not raise."""
    from bayeskit.mode import Objective

    monkeypatch.setattr(Objective, "hessian", lambda self, x, cores=1: np.full((x.size, x.size), np.nan))
    mode = examples.NormalNormal().mode(normal_table)
    assert mode.status == "not converged"
    assert "no finite derivative in mu" in mode.message
    assert np.isnan(mode.standard_errors["mu"]).all()
