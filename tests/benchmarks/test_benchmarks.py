"""A million item-level rows to a mode with intervals, and the full posterior of 29,600 cells.

Run by hand on a quiet machine: ``pytest tests/benchmarks/test_benchmarks.py -m benchmark -n 0 -s``. Times and memory are
printed, never asserted; what is asserted is that the approximation passes its own check and finds the scores it
was simulated from.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special

from bayeskit.convergence import diagnostics
from bayeskit_models.benchmarks import BenchmarkVariance

pytestmark = pytest.mark.benchmark

ITEMS, MODELS = 14_042, 70
CRUXEVAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "benchmarks" / "cruxeval_input_counts.parquet"


def _table(chance: float) -> tuple[pd.DataFrame, np.ndarray]:
    """One answer of each of 70 models to each of 14,042 items, and the share of right answers that each model expects."""
    rng = np.random.default_rng(1)
    ability, z = rng.normal(0.5, 0.8, MODELS), rng.normal(size=(ITEMS, 1))
    p = chance + (1.0 - chance) * special.expit(ability + 1.6 * z)
    score = (rng.uniform(size=p.shape) < p).astype(int).ravel()
    labels = {"model": [f"m{i:02d}" for i in range(MODELS)], "item": [f"q{i}" for i in range(ITEMS)]}
    table = pd.DataFrame({"model": np.tile(labels["model"], ITEMS), "item": np.repeat(labels["item"], MODELS), "score": score})
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    expected = special.expit(ability[:, None] + 1.6 * nodes) @ (weights / weights.sum())
    return table, chance + (1.0 - chance) * expected


class Clock:
    """Prints wall and CPU seconds since the last lap, and the peak memory of the process so far."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def lap(self, what: str) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"  {what:<46} wall {wall - self.wall:6.2f} s, CPU {cpu - self.cpu:6.2f} s, peak {peak:.2f} GiB")
        self.wall, self.cpu = time.perf_counter(), time.process_time()


@pytest.mark.parametrize(("chance", "draws"), [(0.0, 1000), (0.25, 250)])
def test_a_million_rows_to_a_mode(chance, draws):
    table, truth = _table(chance)
    spec = BenchmarkVariance(chance=chance)
    spec.fit(spec.simulate(0, models=3, items=30).table, draws=10, seed=0, method="mode", progress=False)  # kernels to hand
    print(f"\n{len(table):,d} rows, chance {chance}, 4 x {draws} draws")
    clock = Clock()
    fit = spec.fit(table, draws=draws, seed=1, method="mode", progress=False)
    clock.lap("table to a fit with draws")
    summary = fit.summary()
    clock.lap("intervals")
    verdict = fit.verdict
    clock.lap("verdict")
    print(verdict)
    assert {c.name: c.status.value for c in verdict.results}["laplace"] == "PASS"
    score = fit.estimands["score"]
    off = (score.mean(("chain", "draw")) - truth) / score.std(("chain", "draw"))
    assert float(np.abs(off).max()) < 5.0 and len(summary) == MODELS


@pytest.mark.skipif(not CRUXEVAL.exists(), reason="the table of CRUXEval's counts is not here")
@pytest.mark.parametrize(
    ("settings", "sampling"),
    [({"interaction": False}, {}), ({"family": "beta_binomial"}, {}), ({}, {}), ({}, {"target_accept": 0.8, "tune": 500})],
    ids=["no-interaction", "beta-binomial", "default", "longer-steps"],
)
def test_the_full_posterior_of_cruxeval(settings, sampling):
    """37 models, 800 items, mostly ten samples; 4 x 1000 draws. Goal: R-hat below 1.01, ESS above 400, 3 minutes on 2 cores.

    The default acceptance is for small tables, where a standard deviation may be next to 0; here half the steps do.
    """
    table = pd.read_parquet(CRUXEVAL)
    spec = BenchmarkVariance(score="successes", trials="trials", **settings)
    spec.fit(table, draws=5, tune=5, chains=1, seed=0, progress=False)  # compile
    print(f"\n{len(table):,d} cells, {settings or 'default'}, {sampling or 'default'}")
    clock = Clock()
    fit = spec.fit(table, seed=1, cores=2, progress=False, **sampling)
    clock.lap("4 x 1000 draws")
    print(fit.verdict)
    clock.lap("verdict")
    worst = {n: (float(np.nanmin(v["ess_bulk"])), float(np.nanmax(v["r_hat"]))) for n, v in _figures(fit).items()}
    print("  worst bulk ESS and R-hat:", {n: (round(e), round(r, 4)) for n, (e, r) in worst.items()})
    assert {c.name: c.status.value for c in fit.checks}["quadrature"] == "PASS"
    assert all(ess > 400 and r_hat < 1.01 for ess, r_hat in worst.values()), worst


def _figures(fit):
    """Diagnostics of every variable and of the scores."""
    draws = {str(n): v.values for n, v in fit.posterior.data_vars.items()}
    draws["score"] = fit.score_draws().reshape(*fit.posterior["ability_sd"].shape, -1)
    return {n: diagnostics(v.reshape(*v.shape[:2], -1)) for n, v in draws.items()}
