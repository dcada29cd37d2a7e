"""What refits cost once a model is compiled. Times are reported, never asserted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeskit.engine import compile_count

sys.path.insert(0, str(Path(__file__).parents[1] / "kit"))
import examples


@pytest.mark.benchmark
def test_twenty_refits_compile_once(benchmark):
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"group": np.repeat(["a", "b", "c"], 5), "y": rng.normal(size=15)})
    fit = examples.NormalNormal().fit(table, seed=1, progress=False)
    before = compile_count()

    def refits():
        return [fit.refit(dials={"mu.sigma": float(s)}) for s in np.geomspace(0.1, 10, 20)]

    assert len(benchmark.pedantic(refits, rounds=1)) == 20
    assert compile_count() == before
