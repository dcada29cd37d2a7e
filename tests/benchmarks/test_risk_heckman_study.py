"""What constraints do in Heckman's model, on the published synthetic study: coverage and widths on 20 data sets of 5000 rows.

Run by hand: ``uv run pytest tests/benchmarks/test_risk_heckman_study.py -m benchmark -n 0 -s``. It takes minutes; what is
asserted are the changes of widths and the coverage, not times.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeskit.engine import Sampling
from bayeskit.fit import run
from bayeskit_models.risk import Prevalence, SelectiveRisk
from bayeskit_models.risk.heckman_simulate import simulate_study
from bayeskit_models.risk.population import pooled

pytestmark = pytest.mark.benchmark

SETS, N = 20, 5000
KINDS = ("none", "prevalence", "expertise", "both")


def study(seed: int) -> tuple[pd.DataFrame, dict[str, np.ndarray], float]:
    """A data set of the published generator: testing follows the outcome along all features but the first."""
    made = simulate_study(np.random.default_rng(seed), N)
    table = pd.DataFrame(made.risk[:, 1:], columns=["x1", "x2", "x3", "x4"]).assign(t=made.tested.astype(int), y=made.outcome)
    truth = {"risk": made.beta_risk, "testing": made.beta_testing, "sigma": np.array([made.sigma]), "rho": np.array([made.rho])}
    return table, truth, float(made.complete.mean())


def blocks(fit) -> dict[str, np.ndarray]:
    draws, unit = pooled(fit.posterior), fit.statistics["unit"].values
    risk = np.c_[unit[0] + unit[1] * draws["risk_intercept"], unit[1] * draws["risk_effect"]]
    follows = (draws["correlation"] / draws["unobserved_scale"])[:, None] * draws["risk_effect"]
    own = draws["testing_effect"]
    testing = np.c_[draws["testing_intercept"], own, follows[:, own.shape[1] :]]
    sigma, rho = unit[1] * draws["unobserved_scale"][:, None], draws["correlation"][:, None]
    return {"risk": risk, "testing": testing, "sigma": sigma, "rho": rho}


def test_shrinkage_and_coverage() -> None:
    """Expertise narrows rho most, a mean known as well as the table shows it narrows the risk a little; coverage stays."""
    widths, covered = {k: [] for k in KINDS}, {k: [] for k in KINDS}
    for seed in range(1, SETS + 1):
        table, truth, mean = study(seed)
        for kind in KINDS:
            expertise = ["x1"] if kind in ("expertise", "both") else None
            spec = SelectiveRisk.heckman(risk="x1 + x2 + x3 + x4", expertise=expertise, prevalence=Prevalence(mean, 1.0))
            sd = float(truth["sigma"][0]) / np.sqrt(N) if kind in ("prevalence", "both") else 1e3
            dials = {"prevalence.value": mean, "prevalence.sd": sd}
            fit = run(spec, spec.statistics(table), Sampling(400, 400, 2, seed, progress=False), dials=dials)
            ends = {b: np.quantile(x, (0.025, 0.975), axis=0) for b, x in blocks(fit).items()}
            widths[kind].append({b: float((e[1] - e[0]).mean()) for b, e in ends.items()})
            covered[kind].append({b: float(((e[0] <= truth[b]) & (truth[b] <= e[1])).mean()) for b, e in ends.items()})
    base = pd.DataFrame(widths["none"])
    change = pd.DataFrame({k: 100 * (pd.DataFrame(widths[k]) / base - 1).median() for k in KINDS[1:]}).T
    coverage = pd.DataFrame({k: pd.DataFrame(covered[k]).mean() for k in KINDS}).T
    print("\nmedian change of widths (%)\n", change.round(0).to_string(), "\ncoverage\n", coverage.round(3).to_string())
    assert -75 <= change.loc["expertise", "rho"] <= -40 and -35 <= change.loc["expertise", "testing"] <= -15
    assert -20 <= change.loc["prevalence", "risk"] <= -5 and abs(change.loc["prevalence", "testing"]) <= 5
    assert (coverage["risk"] >= 0.88).all()
