"""The second demonstration: registered, and what it prints are the numbers of its fit."""

from __future__ import annotations

import io
from importlib.metadata import entry_points
from types import SimpleNamespace

import pandas as pd
import pytest

pytest.importorskip("pymc")

import bayeskit
from bayeskit.errors import StorageError
from bayeskit_models import datasets
from bayeskit_models.survival import demo


@pytest.fixture(scope="module")
def fit():
    return demo.demo_model().fit(datasets.load("gbsg2"), draws=300, tune=400, chains=2, seed=1, progress=False)


def test_the_demonstration_is_registered():
    (point,) = (p for p in entry_points(group="bayeskit.demos") if p.name == "survival")
    assert point.load() is demo.run_demo


def test_it_prints_the_fit_s_own_numbers_and_writes_its_files(fit, tmp_path, monkeypatch):
    from rich.console import Console

    spec = SimpleNamespace(fit=lambda *table, **settings: fit)
    monkeypatch.setattr(demo, "demo_model", lambda: spec)
    page = io.StringIO()
    code = demo.run_demo(tmp_path, Console(file=page, width=400), progress=False)
    assert code == (2 if fit.verdict.status.value in ("FAIL", "NOT COMPUTED") else 0)
    assert {path.name for path in tmp_path.iterdir()} == set(demo.FILES)
    told = page.getvalue()
    gain = fit.rmst_difference(1825.0, {"horTh": ["yes"]}, {"horTh": ["no"]}).summary().iloc[0]
    assert f"gains {gain['median']:.0f} days" in told and f"{gain['lower']:.0f} to {gain['upper']:.0f}" in told
    assert told.index("checks") < told.index("gains") < told.index("extrapolation")
    again = bayeskit.load(tmp_path / "run.nc")
    assert again.spec == fit.spec
    table = pd.read_csv(tmp_path / "survival.csv")
    assert len(table) == 10 and set(table["row"]) == {"horTh=no", "horTh=yes"}


def test_a_folder_that_cannot_be_written_is_a_fault(fit, tmp_path):
    with pytest.raises(StorageError, match="Cannot"):
        demo._write(fit, tmp_path / "none")
