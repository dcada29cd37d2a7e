"""The demonstration of benchmark variance: registered, and what it prints are the numbers of its fit."""

from __future__ import annotations

import io
from importlib.metadata import entry_points
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

import bayeskit
from bayeskit.errors import StorageError
from bayeskit_models import datasets
from bayeskit_models.benchmarks import demo


def test_the_demonstration_is_registered():
    (point,) = (p for p in entry_points(group="bayeskit.demos") if p.name == "benchmarks")
    assert point.load() is demo.run_demo


def test_naive_probability_is_that_of_two_proportions():
    """64 and 37 of 360: z = .075 / .0257 = 2.91."""
    found = demo.naive_probability(datasets.load("aiw"), *demo.PAIR)
    error = np.sqrt(64 / 360 * 296 / 360 / 360 + 37 / 360 * 323 / 360 / 360)
    z = (64 - 37) / 360 / error
    from scipy.stats import norm

    assert z == pytest.approx(2.914, abs=2e-3) and found == pytest.approx(norm.cdf(z), rel=1e-12)


def test_it_prints_the_fit_s_own_numbers_and_writes_its_files(aiw_fit, tmp_path, monkeypatch):
    from rich.console import Console

    monkeypatch.setattr(demo, "demo_model", lambda: SimpleNamespace(fit=lambda *table, **settings: aiw_fit))
    page = io.StringIO()
    code = demo.run_demo(tmp_path, Console(file=page, width=400), progress=False)
    assert code == (2 if aiw_fit.verdict.status.value in ("FAIL", "NOT COMPUTED") else 0)
    assert {path.name for path in tmp_path.iterdir()} == set(demo.FILES)
    told, found = page.getvalue(), aiw_fit.compare(*demo.PAIR)
    assert f"P({demo.PAIR[0]} > {demo.PAIR[1]}) = {found.p_better:.3f}" in told
    share = aiw_fit.components().shares().table().loc["model_template"]
    assert f"models x templates {share['median']:.0%} ({share['lower']:.0%} to {share['upper']:.0%})" in told
    mde = aiw_fit.design(templates=[30]).table()["mde"].item()
    assert f"30 variations {mde:.2f}" in told
    # Over new variations the lead is not what independent answers make of it.
    assert found.p_better < 0.95 < 0.99 < demo.naive_probability(datasets.load("aiw"), *demo.PAIR)
    assert bayeskit.load(tmp_path / "run.nc").spec == aiw_fit.spec
    written = pd.read_csv(tmp_path / "leaderboard.csv", index_col="model")
    np.testing.assert_allclose(written["score"], aiw_fit.leaderboard().table["score"], rtol=1e-12)


def test_a_folder_that_cannot_be_written_is_a_fault(aiw_fit, tmp_path):
    with pytest.raises(StorageError, match="Cannot"):
        demo._write(aiw_fit, tmp_path / "none")
