"""Acceptance check 10 at its full size: twenty models, 500 items, four training runs, five answers, with an interaction.

Run by hand, an hour or more on one core: ``uv run pytest tests/benchmarks/test_benchmark_recovery.py -m benchmark -n 0 -s``.
Fits are Laplace approximations (a NUTS fit of one table takes minutes, and a hundred are needed), so the coverage is theirs.
The ordinary suite has the same check for NUTS on smaller tables (tests/models/test_benchmarks_calibration.py).
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit_models.benchmarks import BenchmarkVariance

pytestmark = pytest.mark.benchmark

SPEC = BenchmarkVariance(benchmark=None, seed="seed", trials="n", interaction=True)
TRUTH = {"ability_sd": 1.0, "item_sd": 1.5, "item_model_sd": 0.3, "run_sd": 0.1}
SIZES = {"models": 20, "items": 500, "seeds": 4, "samples": 5}
TABLES = 100


def test_intervals_of_standard_deviations_cover() -> None:
    """90 % intervals cover in 80 to 97 of 100 tables; the standard error of a coverage of 0.9 is 0.03."""
    rng = np.random.default_rng(10)
    like = SPEC.statistics(SPEC.simulate(0, **SIZES).table)
    inside, fit = dict.fromkeys(TRUTH, 0), None
    short = {"draws": 100, "method": "mode", "progress": False}
    for repeat in range(TABLES):
        values = SPEC.draw_prior(like, rng) | {k: np.asarray(v) for k, v in TRUTH.items()} | {"benchmark_mean": np.zeros(1)}
        table = SPEC.simulate(rng, like=like, parameters=values).table
        fit = SPEC.fit(table, seed=repeat, **short) if fit is None else fit.refit(table=table, seed=repeat, **short)
        for name, truth in TRUTH.items():
            low, high = np.quantile(fit.posterior[name].values, (0.05, 0.95))
            inside[name] += int(low <= truth <= high)
        print(f"{repeat + 1} tables, covered: {inside}", flush=True)
    assert all(0.80 * TABLES <= n <= 0.97 * TABLES for n in inside.values()), inside
