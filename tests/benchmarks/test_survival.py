"""Speed of FlexibleSurvival: its fused likelihood against a plain graph, C and NumPyro, and sampling against NumPyro.

Run by hand on a quiet machine: ``uv run --group peers pytest tests/benchmarks/test_survival.py -m benchmark -n 0 -s``. CPU
seconds are printed, never asserted; asserted is that all of them compute the same numbers and sample the same posterior. All
run on one thread a chain (``OMP_NUM_THREADS=1``); C needs a compiler named ``cc`` and is left out where there is none.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeskit.checks import diagnostics
from bayeskit_models.survival import FlexibleSurvival
from bayeskit_models.survival.likelihood import plain_log_likelihood

pytestmark = pytest.mark.benchmark

COVARIATES = ("a", "b", "c", "d")
TRUTH = {
    "scale_intercept": np.array(0.2),
    "scale_effect": np.array([0.4, -0.3, 0.2, 0.0]),
    "shape_intercept": np.array(0.3),
    "tail_intercept": np.array(np.log(1.6)),
}
SPEC = FlexibleSurvival(scale=" + ".join(COVARIATES), unit=1.0)
SEEDS = range(5)


def _table(n: int, seed: int = 0) -> pd.DataFrame:
    """Rows with four continuous covariates, so that every row is a pattern of its own; some 40 % censored."""
    return SPEC.simulate(seed, n=n, parameters=TRUTH).table


def _cpu(call, rounds: int) -> float:
    """CPU microseconds a call: the least of five runs of `rounds` calls."""
    call()
    found = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(rounds):
            call()
        found.append((time.process_time() - start) / rounds)
    return 1e6 * min(found)


def _data(n: int):
    statistics = SPEC.statistics(_table(n))
    x = np.ascontiguousarray(np.r_[np.ones((1, n)), statistics["design"].values[:, statistics["pattern"].values]])
    event = np.zeros(n)
    event[: int(statistics["kind_ptr"].values[1])] = 1.0
    return statistics, x, statistics["log_lower"].values.copy(), event


# -- the competitors: value and gradient of the log likelihood by (intercept, effects, log gamma, log(kappa + 1)) --------


def _graph(statistics, kernel: str):
    """A compiled PyTensor function of the parameters, with the fused kernel or with the plain graph."""
    import pytensor
    import pytensor.tensor as pt

    from bayeskit_models.survival.kernel import log_likelihood

    b, log_gamma, log_k1 = pt.dvector("b"), pt.dvector("log_gamma"), pt.dvector("log_k1")
    names = ("term_ptr", "design", "kind_ptr", "pattern", "log_lower", "log_upper", "weight", "entry_row", "log_entry")
    data = {k: pytensor.shared(statistics[k].values.copy()) for k in names}
    one = [pt.specify_shape(v, (1,)) for v in (log_gamma, log_k1)]
    if kernel == "fused":
        rows = [data[k] for k in names[:7]]
        value = log_likelihood(b[:1], pt.zeros(1), *one, b[1:], *rows, np.zeros(0), data["entry_row"], data["log_entry"])
    else:
        design = pytensor.shared(np.ascontiguousarray(statistics["design"].values.T))
        background = pytensor.shared(np.zeros(statistics.sizes["row"]))
        ps = [b[0] + pt.dot(design, b[1:]), pt.zeros(1), *one]
        value = plain_log_likelihood(ps, {**data, "background": background})
    f = pytensor.function([b, log_gamma, log_k1], [value, *pytensor.grad(value, [b, log_gamma, log_k1])], mode="NUMBA")
    f.trust_input = True
    return lambda b, g, k: f(b, np.array([g]), np.array([k]))


C_SOURCE = r"""
#include <math.h>
double run(long n, long p, const double *x, const double *t, const double *d, const double *b, double lg, double lk,
           double *out) {
  const double gamma = exp(lg), k1 = exp(lk), kappa = k1 - 1.0, inverse = 1.0 / kappa;
  double value = 0.0, s_g = 0.0, s_k = 0.0, eta[256], slope[256];
  for (long j = 0; j < p; j++) out[j] = 0.0;
  for (long s = 0; s < n; s += 256) {
    const long m = n - s < 256 ? n - s : 256;
    for (long i = 0; i < m; i++) eta[i] = t[s + i] + b[0];
    for (long j = 1; j < p; j++) for (long i = 0; i < m; i++) eta[i] += b[j] * x[j * n + s + i];
    for (long i = 0; i < m; i++) {
      const double u = gamma * eta[i], v = u - lk, e = exp(-fabs(v)), w = 1.0 / (1.0 + e);
      const double a = (v > 0 ? v : 0.0) + log(1.0 + e), sig = v > 0 ? w : e * w, q = exp(kappa * a);
      const double h0 = (q - 1.0) * inverse, total = k1 * h0, event = d[s + i];
      const double dv = event * (kappa - 1.0) * sig - k1 * q * sig;
      value += event * (lg + u - t[s + i] + (kappa - 1.0) * a) - total;
      slope[i] = gamma * (event + dv);
      s_g += event + u * (event + dv);
      s_k += event * k1 * a - dv - total - k1 * k1 * inverse * (a * q - h0);
    }
    for (long j = 0; j < p; j++) {
      double sum = 0.0;
      if (j == 0) for (long i = 0; i < m; i++) sum += slope[i];
      else for (long i = 0; i < m; i++) sum += slope[i] * x[j * n + s + i];
      out[j] += sum;
    }
  }
  out[p] = s_g; out[p + 1] = s_k;
  return value;
}
"""
"""Right-censored rows, no weights, kappa away from 0, no patterns: less than the kernel does, as one would write it in C."""


def _c(folder: Path, x, log_time, event):
    """The same in C, for this machine's instruction set and with fast mathematics; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    source, library = folder / "loop.c", folder / "loop.so"
    source.write_text(C_SOURCE)
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, str(source), "-o", str(library), "-lmvec", "-lm"], check=True)
    run = ctypes.CDLL(str(library)).run
    run.restype = ctypes.c_double
    pointer = ctypes.c_void_p
    run.argtypes = [ctypes.c_long, ctypes.c_long, *[pointer] * 4, ctypes.c_double, ctypes.c_double, pointer]
    out, b = np.zeros(len(x) + 2), np.zeros(len(x))
    fixed = [a.ctypes.data for a in (x, log_time, event)]

    def call(given, g, k):
        b[:] = given
        value = run(x.shape[1], len(x), *fixed, b.ctypes.data, g, k, out.ctypes.data)
        return value, out[:-2], out[-2], out[-1]

    return call


def _numpyro_density(x, log_time, event):
    """The same as NumPyro's users write it: jax, compiled, value and gradient at once, 64 bits."""
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    xt, t, d = jnp.asarray(x.T), jnp.asarray(log_time), jnp.asarray(event)

    def density(b, g, k):
        u = jnp.exp(g) * (t + xt @ b)
        kappa = jnp.expm1(k)
        a = jax.nn.softplus(u - k)
        total = jnp.exp(k) * jnp.expm1(kappa * a) / kappa
        return (d * (g + u - t + (kappa - 1.0) * a) - total).sum()

    return density, jax.jit(jax.value_and_grad(density, (0, 1, 2)))


@pytest.mark.parametrize("n", [10_000, 100_000])
def test_value_and_gradient(n: int, tmp_path: Path) -> None:
    """One thread. jax may use more: its CPU seconds count them all."""
    statistics, x, log_time, event = _data(n)
    rounds = 2_000_000 // n
    point = (np.array([0.1, 0.3, -0.2, 0.1, 0.05]), 0.25, 0.4)
    calls = {k: _graph(statistics, k) for k in ("fused", "plain")}
    native = _c(tmp_path, x, log_time, event)
    if native is not None:
        calls["C"] = native
    flat = {name: np.concatenate([np.ravel(v) for v in call(*point)]) for name, call in calls.items()}
    seconds = {name: _cpu(lambda call=call: call(*point), rounds) for name, call in calls.items()}
    try:
        _, jitted = _numpyro_density(x, log_time, event)
    except pytest.skip.Exception:
        jitted = None
    if jitted is not None:
        value, gradients = jitted(*point)
        flat["jax"] = np.concatenate([np.ravel(v) for v in (value, *gradients)])
        seconds["jax"] = _cpu(lambda: jitted(*point)[0].block_until_ready(), rounds)
    told = ", ".join(f"{name} {s:.1f}" for name, s in seconds.items())
    ratios = ", ".join(f"{name}/fused {s / seconds['fused']:.2f}" for name, s in seconds.items() if name != "fused")
    print(f"\n{n} rows, CPU microseconds a value and gradient: {told}; {ratios}")
    for name, found in flat.items():
        np.testing.assert_allclose(found, flat["fused"], rtol=1e-9, atol=1e-9 * np.abs(flat["fused"]).max(), err_msg=name)


# -- sampling -----------------------------------------------------------------------------------------------------------


def _worst(draws: dict[str, np.ndarray]) -> float:
    """The smallest bulk ESS of all parameters, each of shape (chain, draw, ...)."""
    return min(float(np.min(diagnostics(v.reshape(*v.shape[:2], -1))["ess_bulk"])) for v in draws.values())


def _ours(table: pd.DataFrame, seed: int) -> tuple[dict[str, np.ndarray], float]:
    start = time.process_time()
    fit = SPEC.fit(table, seed=seed, progress=False, target_accept=0.8)
    return {str(n): v.values for n, v in fit.posterior.data_vars.items()}, time.process_time() - start


def _theirs(x, log_time, event, dials, seed: int) -> tuple[dict[str, np.ndarray], float]:
    jax = pytest.importorskip("jax")
    numpyro = pytest.importorskip("numpyro")
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS

    density, _ = _numpyro_density(x, log_time, event)

    def model() -> None:
        def normal(name, size=None):
            law = dist.Normal(dials[f"{name}.mu"], dials[f"{name}.sigma"])
            return numpyro.sample(name, law if size is None else law.expand([size]).to_event(1))

        b = jax.numpy.concatenate([normal("scale_intercept")[None], normal("scale_effect", len(COVARIATES))])
        numpyro.factor("rows", density(b, normal("shape_intercept"), normal("tail_intercept")))

    mcmc = MCMC(NUTS(model), num_warmup=1000, num_samples=1000, num_chains=4, chain_method="sequential", progress_bar=False)
    mcmc.run(jax.random.PRNGKey(seed))  # compilation is not counted: the second run of the same shape uses the program
    start = time.process_time()
    mcmc.run(jax.random.PRNGKey(seed + 1000))
    found = {k: np.asarray(v) for k, v in mcmc.get_samples(group_by_chain=True).items()}
    return found, time.process_time() - start


def test_effective_draws_per_second_against_numpyro() -> None:
    """10,000 rows, 4 chains of 1000 + 1000: the worst bulk ESS by CPU-second; medians of five seeds."""
    n = 10_000
    table = _table(n)
    statistics, x, log_time, event = _data(n)
    dials = SPEC.dials(statistics)
    SPEC.fit(table, draws=10, tune=10, seed=0, progress=False)  # compile
    found: dict[str, list[float]] = {"ours": [], "NumPyro": []}
    for seed in SEEDS:
        runs = {"ours": _ours(table, seed), "NumPyro": _theirs(x, log_time, event, dials, seed)}
        for name, (draws, seconds) in runs.items():
            found[name].append(_worst(draws) / seconds)
        for name, one in runs["ours"][0].items():
            other = runs["NumPyro"][0][name]
            gap = np.abs(one.mean((0, 1)) - other.mean((0, 1))) / one.std((0, 1))
            assert (gap < 5 * np.sqrt(2 / 800)).all(), (name, gap)
    told = ", ".join(f"{k} {np.median(v):.0f} ({', '.join(f'{x:.0f}' for x in v)})" for k, v in found.items())
    ratio = np.array(found["ours"]) / np.array(found["NumPyro"])
    print(f"\nworst bulk ESS by CPU-second, {n} rows: {told}; ratio {np.median(ratio):.2f} ({np.round(ratio, 2)})")
