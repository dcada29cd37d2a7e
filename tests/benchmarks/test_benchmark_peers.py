"""Sampling the 1,200-cell design (20 models, 12 benchmarks, 5 seeds): effective draws by CPU-second beside NumPyro and Stan.

Run by hand on a quiet machine: ``uv run --group peers pytest tests/benchmarks/test_benchmark_peers.py -m benchmark -n 0 -s``.
For Stan put ``--python 3.12 --with pystan`` after ``run`` (models do not load in 3.13); it compiles each form of the model for
a minute, and gives up after five.
Figures are printed, never asserted; asserted is that all sample the same posterior.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from pathlib import Path

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


def _gap(ours, theirs) -> float:
    """Largest difference of mean scores in units of its bound: five standard errors of 200 effective draws, or of fewer."""
    error = ours["score"].std((0, 1)) * np.sqrt(2 / min(200.0, _worst(theirs)))
    return float((abs(ours["score"].mean((0, 1)) - theirs["score"].mean((0, 1))) / (5 * error)).max())


def _compare(peers) -> list[float]:
    """4 chains of 1000 + 1000, three seeds: the worst bulk ESS by CPU-second, ours and that of each peer in the same run.

    Returns how far each run of a peer is from ours, see `_gap`.
    """
    table = SPEC.simulate(1, models=20, benchmarks=12, seeds=5, samples=200).table
    SPEC.fit(table, draws=10, tune=10, seed=0, progress=False)  # compile
    statistics = SPEC.statistics(table)
    found: dict[str, list[float]] = {name: [] for name in ("ours", *peers)}
    gaps = []
    for seed in SEEDS:
        mine = None
        for name in found:
            draws, seconds = _ours(table, seed) if name == "ours" else peers[name](statistics, seed)
            mine = draws if name == "ours" else mine
            found[name].append(_worst(draws) / seconds)
            print(f"\n{name}: worst ESS {_worst(draws):.0f} in {seconds:.1f} CPU-seconds", end="", flush=True)
            if name != "ours":
                gaps.append(_gap(mine, draws))
    print("\nworst bulk ESS by CPU-second:", ", ".join(f"{k} {np.median(v):.2f}" for k, v in found.items()))
    for name in peers:
        ratio = np.array(found["ours"]) / np.array(found[name])
        print(f"ours over {name}: {np.median(ratio):.1f} ({np.round(ratio, 1)})")
    return gaps


def test_effective_draws_per_second_against_numpyro() -> None:
    """NumPyro's seconds include its compilation."""
    pytest.importorskip("numpyro")
    assert max(_compare({"NumPyro": _theirs})) < 1.0


_PROGRAM = """
data {
  int B; int M; int R; int N;
  array[R] int home; array[R] int who; array[N] int run; array[N] int k; array[N] int n;
}
parameters {
  vector[B] benchmark_mean;
  real<lower=0> ability_sd;
  real<lower=0> model_benchmark_sd;
  real<lower=0> run_sd;
  vector<lower=0>[B] run_sd_ratio;
  sum_to_zero_vector[M] ability;
  array[B] sum_to_zero_vector[M] model_benchmark;
  vector[R] run_effect;
}
transformed parameters {
  array[B] vector[M] level;
  vector[R] mean_of_run;
  vector[R] sd_of_run = run_sd * run_sd_ratio[home];
  for (b in 1:B) level[b] = benchmark_mean[b] + ABILITY ability + BOTH model_benchmark[b];
  for (r in 1:R) mean_of_run[r] = level[home[r], who[r]];
}
model {
  benchmark_mean ~ normal(0, 2);
  ability_sd ~ normal(0, 1);
  model_benchmark_sd ~ normal(0, 0.5);
  run_sd ~ normal(0, 0.5);
  run_sd_ratio ~ lognormal(0, 0.5);
  PRIORS
  k ~ binomial_logit(n, ETA[run]);
}
generated quantities {
  vector[M] score = zeros_vector(M);
  {
    vector[61] z = linspaced_vector(61, -6, 6);
    vector[61] weight = softmax(-0.5 * square(z));
    for (b in 1:B) for (m in 1:M) score[m] += dot_product(weight, inv_logit(level[b, m] + run_sd * run_sd_ratio[b] * z)) / B;
  }
}
"""
"""In Stan's language; words in capitals differ between the two usual forms. A zero-sum vector is normal on the plane of sum 0,
which has M - 1 dimensions."""

_FORMS = {
    "Stan, non-centred": {
        "ABILITY": "ability_sd *", "BOTH": "model_benchmark_sd *", "ETA": "(mean_of_run + sd_of_run .* run_effect)",
        "PRIORS": "ability ~ std_normal(); for (b in 1:B) model_benchmark[b] ~ std_normal(); run_effect ~ std_normal();",
    },
    "Stan, centred": {
        "ABILITY": "", "BOTH": "", "ETA": "run_effect",
        "PRIORS": "target += -0.5 * dot_self(ability) / square(ability_sd) - (M - 1) * log(ability_sd); for (b in 1:B) "
        "target += -0.5 * dot_self(model_benchmark[b]) / square(model_benchmark_sd) - (M - 1) * log(model_benchmark_sd); "
        "run_effect ~ normal(mean_of_run, sd_of_run);",
    },
}  # fmt: skip


def _seconds_of_workers() -> float:
    """CPU seconds of the processes that Stan's chains run in."""
    ticks = [
        Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split() for child in multiprocessing.active_children()
    ]
    return sum(int(t[11]) + int(t[12]) for t in ticks) / os.sysconf("SC_CLK_TCK")


def _stan(form: str):
    """Sampling by Stan; the seconds are those of its chains alone, without compilation and without reading of the draws."""
    program = _PROGRAM
    for word, text in _FORMS[form].items():
        program = program.replace(word, text)

    def sample(statistics, seed):
        stan = pytest.importorskip("stan")
        s = {name: statistics[name].values for name in statistics.data_vars}
        of_run = {x: np.zeros(statistics.sizes["run"], dtype=int) for x in ("home", "who")}
        for name, values in of_run.items():
            values[s["column_run"]] = s["column_benchmark" if name == "home" else "column_model"] + 1
        data = {"B": 12, "M": 20, "R": len(of_run["home"]), "N": len(s["k"]), "run": s["column_run"][s["cell_column"]] + 1}
        data |= of_run | {x: s[x].astype(int) for x in ("k", "n")}
        data = {name: x if isinstance(x, int) else [int(v) for v in x] for name, x in data.items()}
        built = stan.build(program, data=data, random_seed=seed)
        start = _seconds_of_workers()
        fit = built.sample(num_chains=4, num_warmup=1000, num_samples=1000)
        seconds = _seconds_of_workers() - start
        draws = {x: fit[x] for x in WATCHED}  # (..., draws x chains), the chain running fastest
        return {x: np.moveaxis(v.reshape(-1, 1000, 4), (2, 1, 0), (0, 1, 2)) for x, v in draws.items()}, seconds

    return sample


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="models that pystan compiles do not load in Python 3.13: use 3.12")
def test_effective_draws_per_second_against_stan() -> None:
    """Stan in the two forms in which its users write such a model."""
    pytest.importorskip("stan", reason="pystan is not installed")
    assert max(_compare({form: _stan(form) for form in _FORMS})) < 1.0
