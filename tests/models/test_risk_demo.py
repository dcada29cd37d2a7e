"""The third demonstration: registered, and what it prints are the numbers of its fit."""

from __future__ import annotations

import io
from importlib.metadata import entry_points
from types import SimpleNamespace

import pandas as pd
import pytest

pytest.importorskip("pymc")

import bayeskit
from bayeskit.errors import StorageError
from bayeskit_models.risk import demo


@pytest.fixture(scope="module")
def fit():
    study = demo.demo_study()
    return demo.demo_model(study).fit(study.table, draws=200, tune=300, chains=2, seed=1, progress=False)


def test_the_demonstration_is_registered():
    (point,) = (p for p in entry_points(group="bayeskit.demos") if p.name == "risk")
    assert point.load() is demo.run_demo


def test_it_prints_the_fit_s_own_numbers_and_writes_its_files(fit, tmp_path, monkeypatch):
    from rich.console import Console

    monkeypatch.setattr(demo, "demo_model", lambda study: SimpleNamespace(fit=lambda *table, **settings: fit))
    page = io.StringIO()
    code = demo.run_demo(tmp_path, Console(file=page, width=400), progress=False)
    assert code == (2 if fit.verdict.status.value in ("FAIL", "NOT COMPUTED") else 0)
    assert {path.name for path in tmp_path.iterdir()} == set(demo.FILES)
    told, row = page.getvalue(), fit.prevalence().summary().loc["untested"]
    assert f"{row['median']:.1%} have the disease" in told and f"{row['lower']:.1%} to {row['upper']:.1%}" in told
    assert "Without being told" in told and "AUC" in told
    assert bayeskit.load(tmp_path / "run.nc").spec == fit.spec
    assert len(pd.read_csv(tmp_path / "risk.csv")) == demo.ROWS


def test_a_folder_that_cannot_be_written_is_a_fault(fit, tmp_path):
    with pytest.raises(StorageError, match="Cannot"):
        demo._write(fit, tmp_path / "none")
