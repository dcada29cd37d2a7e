"""Sampling the 1,200-cell design (20 models, 12 benchmarks, 5 seeds): effective draws by CPU-second beside NumPyro.

Run by hand on a quiet machine: ``uv run --group peers pytest tests/benchmarks/test_benchmark_peers.py -m benchmark -n 0 -s``.
Figures are printed, never asserted; asserted is that both sample the same posterior.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit.convergence import diagnostics
from bayeskit_models.benchmarks import BenchmarkVariance

pytestmark = pytest.mark.benchmark

SPEC = BenchmarkVariance(item=None, benchmark="benchmark", seed="seed", trials="n")
SEEDS = (1, 2, 3)
WATCHED = ("score", "ability_sd", "model_benchmark_sd", "run_sd")


def _worst(draws: dict[str, np.ndarray]) -> float:
    """The smallest bulk ESS of the watched quantities, each of shape (chain, draw, ...)."""
    return min(float(np.min(diagnostics(v.reshape(*v.shape[:2], -1))["ess_bulk"])) for v in draws.values())


def _ours(table, seed):
    start = time.process_time()
    fit = SPEC.fit(table, seed=seed, progress=False)
    seconds = time.process_time() - start
    score = fit.score_draws().reshape(4, -1, len(fit.models))
    return {"score": score} | {n: fit.posterior[n].values for n in WATCHED[1:]}, seconds


def _theirs(statistics, seed):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    jax = pytest.importorskip("jax")
    numpyro = pytest.importorskip("numpyro")
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS

    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    s = {name: statistics[name].values for name in statistics.data_vars}
    home, model, run = s["column_benchmark"], s["column_model"], s["column_run"]
    k, n, column = s["k"], s["n"], s["cell_column"]

    def plain() -> None:
        """The same priors in their usual forms: zero-sum effects about 0, everything in units of its own sd."""
        level = numpyro.sample("benchmark_mean", dist.Normal(0, 2).expand([12]).to_event(1))
        sds = {x: numpyro.sample(x, dist.HalfNormal(v)) for x, v in
               (("ability_sd", 1.0), ("model_benchmark_sd", 0.5), ("run_sd", 0.5))}  # fmt: skip
        ratio = numpyro.sample("run_sd_ratio", dist.LogNormal(0, 0.5).expand([12]).to_event(1))
        ability = numpyro.sample("ability", dist.ZeroSumNormal(1.0, (20,)))
        both = numpyro.sample("model_benchmark", dist.ZeroSumNormal(1.0, (20,)).expand([12]).to_event(1))
        effect = numpyro.sample("run_effect", dist.Normal(0, 1).expand([len(s["run_model"])]).to_event(1))
        mean = level[:, None] + sds["ability_sd"] * ability + sds["model_benchmark_sd"] * both
        eta = mean[home, model] + (sds["run_sd"] * ratio[home]) * effect[run]
        z = jnp.linspace(-6.0, 6.0, 61)
        spread = (sds["run_sd"] * ratio)[:, None, None] * z
        weight = jnp.exp(-0.5 * z**2) / jnp.exp(-0.5 * z**2).sum()
        numpyro.deterministic("score", (jax.nn.sigmoid(mean[..., None] + spread) @ weight).mean(0))
        numpyro.sample("k", dist.Binomial(n, logits=eta[column]), obs=k)

    mcmc = MCMC(NUTS(plain), num_warmup=1000, num_samples=1000, num_chains=4, chain_method="sequential", progress_bar=False)
    start = time.process_time()
    mcmc.run(jax.random.PRNGKey(seed))
    found = mcmc.get_samples(group_by_chain=True)
    return {name: np.asarray(found[name]) for name in WATCHED}, time.process_time() - start


def test_effective_draws_per_second_against_numpyro() -> None:
    """4 chains of 1000 + 1000: the worst bulk ESS by CPU-second; NumPyro's includes its compilation."""
    table = SPEC.simulate(1, models=20, benchmarks=12, seeds=5, samples=200).table
    SPEC.fit(table, draws=10, tune=10, seed=0, progress=False)  # compile
    statistics = SPEC.statistics(table)
    found: dict[str, list[float]] = {"ours": [], "NumPyro": []}
    for seed in SEEDS:
        runs = {"ours": _ours(table, seed), "NumPyro": _theirs(statistics, seed)}
        for name, (draws, seconds) in runs.items():
            found[name].append(_worst(draws) / seconds)
            print(f"\n{name}: worst ESS {_worst(draws):.0f} in {seconds:.1f} CPU-seconds", end="")
        if _worst(runs["NumPyro"][0]) > 200:
            gap = abs(runs["ours"][0]["score"].mean((0, 1)) - runs["NumPyro"][0]["score"].mean((0, 1)))
            assert (gap < 5 * runs["ours"][0]["score"].std((0, 1)) * np.sqrt(2 / 200)).all()
    told = ", ".join(f"{k} {np.median(v):.2f}" for k, v in found.items())
    ratio = np.array(found["ours"]) / np.array(found["NumPyro"])
    print(f"\nworst bulk ESS by CPU-second: {told}; ratio {np.median(ratio):.1f} ({np.round(ratio, 1)})")
