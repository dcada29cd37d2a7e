"""Bad fits through the whole road: they FAIL, and the verdict names what is bad."""

from __future__ import annotations

from dataclasses import replace

import examples
import numpy as np
import pytest
import xarray as xr

from bayeskit import SamplingError
from bayeskit.checks import Status
from bayeskit.engine import Sampling, sample


@pytest.fixture(scope="module")
def funnel(schools_table):
    return examples.CentredFunnel().fit(schools_table, seed=1, draws=1000, tune=500, progress=False)


def test_a_centred_funnel_fails_and_is_named(funnel):
    assert funnel.verdict.status is Status.FAIL
    text = str(funnel.verdict)
    assert text.startswith("FAIL")
    assert "diverged" in text
    assert "neck" in text or "x[" in text
    failed = {r.name for r in funnel.checks if r.status is Status.FAIL}
    assert "divergences" in failed or "r_hat" in failed
    assert int(funnel.draws["sample_stats"]["diverging"].sum()) > 0
    assert repr(funnel).startswith("FAIL")


def test_a_clean_model_passes(normal_fit):
    assert normal_fit.verdict.status is Status.PASS
    assert {r.name for r in normal_fit.checks} >= {
        "chains",
        "r_hat",
        "ess",
        "divergences",
        "tree_depth",
        "overlap",
    }


@pytest.mark.parametrize(("chains", "status"), [(1, Status.FAIL), (2, Status.WARN), (3, Status.WARN)])
def test_fewer_than_four_chains_never_pass(normal_fit, chains, status):
    fit = normal_fit.refit(chains=chains, draws=2000)
    assert fit.verdict.status is status
    assert "chains" in str(fit.verdict)


def test_a_short_run_does_not_pass(normal_fit):
    fit = normal_fit.refit(draws=50, tune=100)
    assert fit.verdict.status is Status.FAIL
    assert "ess" in fit.verdict.headline


def test_tree_depth_is_read_from_the_sampler(normal_fit, normal_table, monkeypatch):
    """Forced by a maximal depth of 1, under which every trajectory is cut short."""
    import nutpie

    original = nutpie.sample
    monkeypatch.setattr(nutpie, "sample", lambda *a, **k: original(*a, **k, maxdepth=1))
    fit = normal_fit.refit(draws=400, tune=400)
    assert fit.draws["sample_stats"]["maxdepth_reached"].values.mean() > 0.5
    result = next(r for r in fit.checks if r.name == "tree_depth")
    assert result.status is Status.WARN
    assert fit.verdict.status is not Status.PASS


def test_nan_estimands_fail(normal_fit):
    groups = {n: g.to_dataset() for n, g in normal_fit.draws.children.items()}
    for name, bad in (("undefined", np.nan), ("stuck", 0.3)):
        groups["estimands"] = normal_fit.estimands.assign({name: normal_fit.estimands["spread"] * 0 + bad})
        fit = replace(normal_fit, draws=xr.DataTree.from_dict(groups))
        assert fit.verdict.status is Status.FAIL
        assert name in str(fit.verdict)


def test_a_graph_without_a_start_is_explained(normal_fit, normal_table):
    statistics = normal_fit.statistics.copy(deep=True)
    statistics["total"] = statistics["total"] * np.nan
    with pytest.raises(SamplingError, match="No chain could be started"):
        sample(normal_fit.spec, statistics, normal_fit.dials, Sampling(seed=1, progress=False))
