"""What sensitivity costs beside the fits it saves. Times are printed with the load of the machine, never asserted.

Run by hand on a quiet machine: ``uv run pytest tests/benchmarks/test_sensitivity_cost.py -m benchmark -n 0 -s``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeskit import Prior
from bayeskit.engine import compile_count
from bayeskit_models import JudgeSimplex, datasets

sys.path.insert(0, str(Path(__file__).parents[1] / "kit"))
import examples

KIT = Path(__file__).parents[1] / "kit"
pytestmark = pytest.mark.benchmark

SCALES = np.geomspace(1.0, 25.0, 20)  # of the prior of tau


def schools() -> pd.DataFrame:
    data = json.loads((KIT / "data" / "eight_schools.json").read_text())
    return pd.DataFrame({"school": [f"s{i}" for i in range(data["J"])], "y": data["y"], "sigma": data["sigma"]})


def judges():
    names = ("GPT-4", "Llama3-70B", "JudgeLM")
    table = datasets.load("judges")[["candidate", *names, "count"]]
    return JudgeSimplex(levels=2, judge=names, count="count", own={"GPT-4": ["gpt-4t"]}), table


def cost(action):
    """CPU seconds of this process, and the result."""
    start = time.process_time()
    out = action()
    return time.process_time() - start, out


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


@pytest.mark.parametrize("name", ["judges", "schools", "normal"])
def test_the_default_table(name) -> None:
    """CPU time of fit.sensitivity() over that of the fit it belongs to, with and without compilation."""
    if name == "judges":
        model, table = judges()
    elif name == "schools":
        model, table = examples.EightSchools(), schools()
    else:
        rng = np.random.default_rng(1)
        model = examples.NormalNormal()
        table = pd.DataFrame({"group": np.repeat(["a", "b", "c"], 5), "y": rng.normal(size=15)})
    first, _ = cost(lambda: model.fit(table, seed=1, progress=False))
    again, fit = cost(lambda: model.fit(table, seed=1, progress=False))
    fit.sensitivity()  # imports
    seconds = min(cost(fit.sensitivity)[0] for _ in range(5))
    rows = len(fit.sensitivity().rows)
    assert all(row.state != "unreliable" for row in fit.sensitivity().rows)  # what is timed is a table that can be used
    print(
        f"\n{name}: table of {rows} rows {1e3 * seconds:.0f} ms; {seconds / first:.1%} of a first fit ({first:.2f} s with what "
        f"it compiles or loads), {seconds / again:.1%} of one on a compiled model ({again:.2f} s); {load()}"
    )


def _independent(table: pd.DataFrame, scale: float) -> float:
    """The same model written with PyMC, built and compiled for one prior, as one would without the kit: mean of tau."""
    import pymc as pm

    y, sigma = table["y"].to_numpy(float), table["sigma"].to_numpy(float)
    with pm.Model():
        mu = pm.Normal("mu", 0.0, 5.0)
        tau = pm.HalfCauchy("tau", scale)
        z = pm.Normal("z", 0.0, 1.0, shape=len(y))
        pm.Normal("y", mu + tau * z, sigma, observed=y)
        found = pm.sample(
            1000, tune=1000, chains=4, cores=1, random_seed=1, target_accept=0.95, progressbar=False,
            compute_convergence_checks=False,
        )  # fmt: skip
    return float(found.posterior["tau"].mean())


def test_a_sweep_of_twenty_settings() -> None:
    """Twenty scales of tau: a sweep by refits and by reweighting, over as many independent PyMC fits in the same process."""
    table = schools()
    theirs_s, theirs = cost(lambda: [_independent(table, float(s)) for s in SCALES])
    base_s, fit = cost(lambda: examples.EightSchools().fit(table, seed=1, target_accept=0.95, cores=1, progress=False))
    before = compile_count()
    sweep_s, swept = cost(lambda: fit.sweep({"tau.beta": list(SCALES)}, cores=1))
    assert compile_count() == before
    ours = [float(c.fit.posterior["tau"].mean()) for c in swept.cells]

    def weigh(scale):
        return fit.reweight({"tau": Prior("HalfCauchy", beta=float(scale))}, group="posterior", ladder="auto", cores=1)

    weigh_s, weighed = cost(lambda: [weigh(s) for s in SCALES])
    rungs = [w.rung for w in weighed]
    light = [float(w.table.loc["tau", "mean"]) for w in weighed]
    sd = np.array([float(c.fit.posterior["tau"].std()) for c in swept.cells])
    # two runs of at least 400 effective draws each: five errors of the difference
    assert np.all(np.abs(np.array(ours) - theirs) < 5 * sd * np.sqrt(2 / 400))
    assert np.all(np.abs(np.array(light) - theirs) < 5 * sd * np.sqrt(2 / 400))
    print(
        f"\n20 independent PyMC fits {theirs_s:.1f} CPU s; base fit {base_s:.2f}; sweep by refits {sweep_s:.2f} "
        f"({(base_s + sweep_s) / theirs_s:.1%} with the base fit); 20 settings by reweighting {weigh_s:.3f} "
        f"({weigh_s / theirs_s:.2%}; rungs {', '.join(f'{r} {rungs.count(r)}' for r in dict.fromkeys(rungs))}); {load()}"
    )
