"""Compiled models are shared by all tests: one fit each, made on first use."""

from __future__ import annotations

import json
from pathlib import Path

import examples
import numpy as np
import pandas as pd
import pytest

from bayeskit import registry

DATA = Path(__file__).parent / "data"
MODELS = (
    examples.NormalNormal, examples.BetaBinomial, examples.EightSchools, examples.GaussianMixture,
    examples.CentredFunnel, examples.RowLevel, examples.OwnCoordinates, examples.Regression, examples.VectorRegression,
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def registered_models():
    for model in MODELS:
        registry.register(model)


@pytest.fixture(scope="session")
def normal_table():
    rng = np.random.default_rng(8)
    groups = np.repeat(["a", "b", "c"], [4, 2, 9])
    return pd.DataFrame({"group": groups, "y": rng.normal(1.0, 1.5, len(groups))})


@pytest.fixture(scope="session")
def normal_fit(normal_table):
    return examples.NormalNormal().fit(normal_table, seed=11, progress=False)


@pytest.fixture(scope="session")
def beta_table():
    return pd.DataFrame({"outcome": [1] * 7 + [0] * 3})


@pytest.fixture(scope="session")
def beta_fit(beta_table):
    return examples.BetaBinomial().fit(beta_table, seed=12, progress=False)


@pytest.fixture(scope="session")
def schools_table():
    data = json.loads((DATA / "eight_schools.json").read_text())
    return pd.DataFrame({"school": [f"s{i + 1}" for i in range(data["J"])], "y": data["y"], "sigma": data["sigma"]})


@pytest.fixture(scope="session")
def mixture_table():
    return pd.DataFrame({"y": json.loads((DATA / "gauss_mix.json").read_text())["y"]})
