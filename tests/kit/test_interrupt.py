"""Runs that are cut short: what there is comes back, marked PARTIAL, without a NaN."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayeskit import SamplingError, StorageError, load
from bayeskit.checks import Status
from bayeskit.fit import _trim, finished_draws

HERE = Path(__file__).parent

CHILD = """
import json, sys
sys.path.insert(0, {here!r})
import examples, numpy as np, pandas as pd
from bayeskit import registry
registry.register(examples.NormalNormal)
rng = np.random.default_rng(8)
groups = np.repeat(["a", "b", "c"], [4, 2, 9])
table = pd.DataFrame({{"group": groups, "y": rng.normal(1.0, 1.5, len(groups))}})
spec = examples.NormalNormal()
from bayeskit.engine import compiled_for
compiled_for(spec, spec.statistics(table)).program
print("ready", flush=True)
fit = spec.fit(table, seed=3, draws=2_000_000, tune=100, chains=2, progress=False)
print(fit.partial, fit.verdict.headline, flush=True)
fit.save({cut!r})
print("saved", flush=True)
spec.fit(table, seed=3, draws=2_000_000, tune=100, chains=2, progress=False, store={store!r})
"""


@pytest.fixture(scope="module")
def cut_short(tmp_path_factory):
    """One process: a run stopped by SIGINT and saved, then a streamed run killed by SIGKILL."""
    if os.name == "nt":
        pytest.skip("signals of POSIX")
    folder = tmp_path_factory.mktemp("cut")
    cut, store = folder / "cut.nc", folder / "store"
    code = CHILD.format(here=str(HERE), cut=str(cut), store=str(store))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline().strip() == "ready"
        time.sleep(1.0)
        child.send_signal(signal.SIGINT)
        said = child.stdout.readline()
        assert child.stdout.readline().strip() == "saved"
        while child.poll() is None and not (store / "draws").exists():
            time.sleep(0.1)
        time.sleep(2.0)
        child.kill()
    return said, cut, store


def test_ctrl_c_returns_what_there_is(cut_short):
    said, cut, _ = cut_short
    assert said.startswith("True PARTIAL")
    fit = load(cut)
    assert fit.partial
    assert fit.verdict.status is not Status.PASS
    assert fit.verdict.headline.startswith("PARTIAL")
    assert 10 < fit.posterior.sizes["draw"] < 2_000_000
    summary = fit.summary()
    assert summary[["mean", "sd", "lower", "upper", "mcse_mean", "ess_bulk"]].notna().all().all()
    assert np.isfinite(fit.draws["log_likelihood"]["total"].values).all()


def test_a_killed_run_loads_from_its_store(cut_short, tmp_path):
    fit = load(cut_short[2])
    assert fit.partial
    assert fit.verdict.headline.startswith("PARTIAL")
    assert fit.verdict.status is not Status.PASS
    assert fit.posterior.sizes["draw"] > 10
    assert fit.provenance["sampling"]["seed"] == 3
    assert list(fit.posterior["group"].values) == ["a", "b", "c"]
    assert np.isfinite(fit.posterior["mu"].values).all()
    assert fit.summary().drop(columns="r_hat").notna().all().all()
    saved = load(fit.save(tmp_path / "saved.nc"))
    assert saved.partial


def test_a_finished_store_loads_as_a_whole(normal_fit, normal_table, tmp_path):
    store = tmp_path / "store"
    fit = normal_fit.spec.fit(normal_table, seed=9, draws=70, tune=100, store=store, progress=False)
    again = load(store)
    assert not again.partial
    for group in ("posterior", "estimands", "log_prior", "log_likelihood"):
        xr.testing.assert_equal(fit.draws[group].to_dataset(), again.draws[group].to_dataset())
    assert again.levels == fit.levels
    assert again.dials == fit.dials
    assert again.verdict.headline == fit.verdict.headline


def test_a_store_records_a_seed_that_was_not_given(normal_fit, normal_table, tmp_path):
    fit = normal_fit.spec.fit(normal_table, draws=20, tune=50, chains=1, store=tmp_path / "store", progress=False)
    again = load(tmp_path / "store")
    assert again.provenance["sampling"]["seed"] == fit.provenance["sampling"]["seed"]
    assert isinstance(again.provenance["sampling"]["seed"], int)


def test_a_store_is_never_overwritten(normal_fit, normal_table, tmp_path):
    (tmp_path / "something").write_text("mine")
    with pytest.raises(StorageError, match="is not empty"):
        normal_fit.spec.fit(normal_table, store=tmp_path, progress=False)
    assert (tmp_path / "something").read_text() == "mine"


def padded(lengths, draws=10):
    x = np.random.default_rng(0).normal(size=(len(lengths), draws, 2))
    for chain, length in enumerate(lengths):
        x[chain, length:] = np.nan
    return xr.Dataset({"x": (("chain", "draw", "i"), x)}), xr.Dataset({"logp": (("chain", "draw"), x[..., 0])})


def test_partial_draws_are_cut_to_the_shortest_chain():
    posterior, stats = padded([7, 10, 4])
    np.testing.assert_array_equal(finished_draws(posterior), [7, 10, 4])
    kept, kept_stats = _trim(posterior, stats, True)
    assert kept["x"].shape == (3, 4, 2)
    assert kept_stats["logp"].shape == (3, 4)
    assert np.isfinite(kept["x"]).all()
    assert _trim(posterior, stats, False)[0] is posterior


def test_chains_that_never_started_are_left_out():
    kept, _ = _trim(*padded([0, 6, 5]), True)
    assert kept["x"].shape == (2, 5, 2)
    with pytest.raises(SamplingError, match="nothing to keep"):
        _trim(*padded([0, 0]), True)


def test_a_nan_of_the_models_own_making_is_kept():
    """A hole in one variable is no padding: the checks must see it."""
    posterior, _ = padded([7, 10])
    posterior["x"][0, 3, 1] = np.nan
    np.testing.assert_array_equal(finished_draws(posterior), [7, 10])
