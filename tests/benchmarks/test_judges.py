"""JudgeSimplex against a peer on the same posterior, and the cost of what surrounds sampling.

Run by hand on a quiet machine: ``uv run --group peers pytest tests/benchmarks -m benchmark -n 0 -s``. Times are
printed, never asserted; what is asserted is that both engines sample the same posterior.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pandas as pd
import pytest

from bayeskit.checks import diagnostics
from bayeskit.engine import compiled_for
from bayeskit_models.judges import JudgeSimplex

pytestmark = pytest.mark.benchmark

K, J, M, N = 10, 3, 5, 333  # 10,000 verdicts
SEEDS = (1, 2, 3)


def _panel(levels: int = M) -> np.ndarray:
    """Counts of verdicts (K, J, levels) of a panel of judges that are right in about 60 % of cases."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(levels), K)
    theta = np.stack([[rng.dirichlet(1 + 8 * np.eye(levels)[m]) for m in range(levels)] for _ in range(J)])
    gamma = np.einsum("km,jmv->kjv", shares, theta)
    return np.stack([[rng.multinomial(N, gamma[k, j]) for j in range(J)] for k in range(K)])


def _table(counts: np.ndarray) -> pd.DataFrame:
    k, j, v = np.nonzero(counts)
    return pd.DataFrame({"candidate": k.astype(str), "judge": j.astype(str), "score": v + 1, "n": counts[k, j, v]})


def _worst_ess(scores: np.ndarray) -> float:
    return float(diagnostics(scores)["ess_bulk"].min())


# Without the monotone constraint the posterior at five levels has several modes, in which no two engines agree.
SPEC = JudgeSimplex(levels=M, count="n", constancy="strict", monotone=True, quality="moderate")


def _ours(counts: np.ndarray, seed: int) -> tuple[np.ndarray, float, dict[str, float]]:
    table = _table(counts)
    SPEC.fit(table, draws=10, tune=10, seed=0, progress=False)  # compile
    start = time.process_time()
    fit = SPEC.fit(table, seed=seed, progress=False, cores=2)
    return fit.estimands["expected_score"].values, time.process_time() - start, fit.dials


def _numpyro(counts: np.ndarray, seed: int, dials: dict[str, float]) -> tuple[np.ndarray, float]:
    jax = pytest.importorskip("jax")
    numpyro = pytest.importorskip("numpyro")
    import jax.numpy as jnp
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS, init_to_median

    jax.config.update("jax_enable_x64", True)
    data = jnp.asarray(counts)

    def model() -> None:
        pi = numpyro.sample("pi", dist.Dirichlet(jnp.ones((K, M))).to_event(1))
        theta = numpyro.sample(
            "theta",
            dist.Dirichlet(jnp.full((J, M, M), 1.0) + dials["judge_vertices.boost"] * jnp.eye(M)).to_event(2),
        )
        upper = jnp.cumsum(theta[..., ::-1], axis=-1)[..., ::-1][..., 1:]
        numpyro.factor("monotone", -jax.nn.softplus(-dials["monotone.sharpness"] * jnp.diff(upper, axis=-2)).sum())
        gamma = jnp.einsum("km,jmv->kjv", pi, theta)
        numpyro.factor("verdicts", (data * jnp.log(gamma)).sum())

    def run(draws: int, key: int):
        mcmc = MCMC(
            NUTS(model, init_strategy=init_to_median, target_accept_prob=0.9), num_warmup=draws, num_samples=draws,
            num_chains=4, chain_method="sequential", progress_bar=False,
        )  # fmt: skip
        mcmc.run(jax.random.PRNGKey(key))
        return mcmc

    # compilation is not counted: a run of the same shape first, and the second start from the compiled program
    mcmc = run(1000, seed)
    start = time.process_time()
    mcmc.run(jax.random.PRNGKey(seed + 1))
    pi = np.asarray(mcmc.get_samples(group_by_chain=True)["pi"])
    seconds = time.process_time() - start
    return pi @ np.arange(1, M + 1), seconds


def test_effective_draws_per_second_against_numpyro() -> None:
    """Worst expected score: bulk ESS per CPU-second, compilation left out on both sides, three seeds."""
    counts = _panel()
    ratios, ours_all, theirs_all = [], [], []
    for seed in range(3):
        ours, ours_s, dials = _ours(counts, seed)
        theirs, theirs_s = _numpyro(counts, seed, dials)
        ours_all.append(_worst_ess(ours) / ours_s)
        theirs_all.append(_worst_ess(theirs) / theirs_s)
        ratios.append(ours_all[-1] / theirs_all[-1])
        error = np.sqrt(ours.var((0, 1)) / 300 + theirs.var((0, 1)) / 300)
        assert np.all(np.abs(ours.mean((0, 1)) - theirs.mean((0, 1))) < 5 * error)
    print(f"\nESS per CPU-second: ours {np.round(ours_all, 1)}, NumPyro {np.round(theirs_all, 1)}, ratio {np.round(ratios, 2)}")


def test_reducing_a_million_rows(benchmark) -> None:
    """Encode and count 1e6 long rows."""
    rng = np.random.default_rng(0)
    n = 1_000_000
    table = pd.DataFrame(
        {
            "candidate": rng.choice([f"model {k}" for k in range(10)], n),
            "judge": rng.choice(["a", "b", "c"], n),
            "score": rng.integers(0, 2, n),
        }
    )
    spec = JudgeSimplex(levels=2)
    statistics = benchmark(spec.statistics, table)
    assert int(statistics["verdicts"].sum()) == n


def _gradient_microseconds(spec: JudgeSimplex, table: pd.DataFrame) -> float:
    """CPU time of one log density with its gradient in the sampler's own machine code: the best of 20 rounds."""
    statistics = spec.statistics(table)
    compiled = compiled_for(spec, statistics)
    compiled.set_data(statistics, spec.set_dials(statistics, None))
    density = compiled.program.logp_func
    data = [node.get_value(borrow=True) for node in density.get_shared()]
    points = np.random.default_rng(0).normal(0.0, 0.3, (200, compiled.program.n_dim))
    rounds = []
    for _ in range(20):
        start = time.process_time()
        for point in points:
            density.vm.jit_fn(point, *data)
        rounds.append((time.process_time() - start) / len(points))
    return 1e6 * min(rounds)


@pytest.mark.parametrize("constancy", ["strict", "learned"])
@pytest.mark.parametrize("levels", [2, M])
def test_sampling_time_and_rows(levels: int, constancy: str) -> None:
    """The marginal likelihood on 1e4, 1e5 and 1e6 rows with the same proportions, medians of three seeds.

    The time of a gradient does not depend on the rows. How many of them a draw takes does: the posterior gets thinner.
    """
    spec = JudgeSimplex(levels=levels, count="n", constancy=constancy, likelihood="marginal")
    panel = _panel(levels)
    print(f"\n{levels} levels, {constancy}")
    print("     rows  gradients/draw  us/gradient  CPU-s of a fit  worst ESS/1000 gradients  R-hat")
    gradients = []
    for rows in (10_000, 100_000, 1_000_000):
        table = _table(np.maximum(panel * rows // (N * K * J), 1))
        table["score"] -= levels == 2
        spec.fit(table, draws=10, tune=10, seed=0, progress=False)
        found = []
        for seed in SEEDS:
            start = time.process_time()
            fit = spec.fit(table, seed=seed, progress=False, cores=2)
            seconds = time.process_time() - start
            steps = fit.draws["sample_stats"]["n_steps"].values
            checks = diagnostics(fit.estimands["expected_score"].values)
            found.append((steps.mean(), seconds, 1e3 * checks["ess_bulk"].min() / steps.sum(), checks["r_hat"].max()))
        per_draw, seconds, ess, r_hat = np.median(found, axis=0)
        gradients.append(per_draw)
        us = _gradient_microseconds(spec, table)
        print(f"{rows:9d} {per_draw:15.1f} {us:12.1f} {seconds:15.2f} {ess:25.2f} {r_hat:6.3f}")
        assert fit.provenance["data"]["rows"] == len(table)
    print(f"gradients at 1e6 rows over those at 1e4: {gradients[2] / gradients[0]:.2f}")


def test_paired_likelihood() -> None:
    """200 items x 9 candidates x 3 judges, and 1,000 x 20 x 5: CPU-seconds of a fit after compilation, three seeds.

    On two quiet cores the wall time is about half of the CPU time; on busy ones it is anything.
    """
    for candidates, judges, items in ((9, 3, 200), (20, 5, 1000)):
        spec = JudgeSimplex(levels=2, item="item")
        table = spec.simulate(11, candidates=candidates, judges=judges, items=items).table
        spec.fit(table, draws=10, tune=10, seed=0, progress=False)
        print(f"\n{items} x {candidates} x {judges}: {_gradient_microseconds(spec, table):.1f} us a gradient")
        seconds = []
        for seed in SEEDS:
            cpu, wall = time.process_time(), time.perf_counter()
            fit = spec.fit(table, seed=seed, progress=False, target_accept=0.8, cores=2)
            seconds.append(time.process_time() - cpu)
            found = diagnostics(fit.estimands["expected_score"].values)
            print(
                f"{seconds[-1]:.1f} CPU-s, {time.perf_counter() - wall:.1f} s by the clock (load {os.getloadavg()[0]:.1f}), "
                f"{fit.draws['sample_stats']['n_steps'].values.mean():.1f} gradients a draw, "
                f"worst R-hat {found['r_hat'].max():.4f}, worst ESS {found['ess_bulk'].min():.0f}, "
                f"divergences {int(fit.draws['sample_stats']['diverging'].sum())}"
            )
            assert np.isfinite(fit.estimands["expected_score"].values).all()
        print(f"median {np.median(seconds):.1f} CPU-s, {np.median(seconds) / 2:.1f} on each of two cores")


def test_second_fit_costs_little_beside_sampling() -> None:
    """A second fit on new data: wall time less the sampler's own."""
    spec = JudgeSimplex(levels=2, item="item")
    first, second = (spec.simulate(seed, candidates=5, judges=3, items=100).table for seed in (1, 2))
    spec.fit(first, draws=10, tune=10, seed=0, progress=False)
    start = time.perf_counter()
    fit = spec.fit(second, draws=10, tune=10, seed=0, progress=False)
    print(f"\n10 + 10 draws on new data: {time.perf_counter() - start:.2f} s in all ({os.cpu_count()} cores)")
    assert fit.provenance["sampling"]["seed"] == 0
