"""Likelihoods without a maximum, on real data: each of the three ridges is named, and its limit is the law that it names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

pytest.importorskip("pymc")

from bayeskit.verdict import Status
from bayeskit_models import datasets
from bayeskit_models.survival import FlexibleSurvival

ABOVE = Path(__file__).resolve().parents[3:]


def shared(name):
    path = next((p for above in ABOVE if (p := above / "shared" / "data" / "survival" / name).exists()), None)
    if path is None:
        pytest.skip("the shared data are not beside this checkout")
    return pd.read_csv(path)


def best_of(log_hazard, cumulative_hazard, time, event, starts):
    """The highest log likelihood of a law with some parameters, by the simplex method from several starts."""

    def loss(p):
        with np.errstate(over="ignore", invalid="ignore"):
            value = (event * log_hazard(p, np.log(time)) - cumulative_hazard(p, np.log(time))).sum()
        return -value if np.isfinite(value) else 1e10

    settings = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-10, "fatol": 1e-12}
    return max(-optimize.minimize(loss, s, method="Nelder-Mead", options=settings).fun for s in starts)


def test_leukaemia_runs_to_a_promotion_time_cure():
    """Ridge (i): kappa to -1, lambda to infinity. The limit is H = c v / (1 + v), v = theta t^g, which a simplex maximises."""
    table = shared("leukemia.csv")
    found = FlexibleSurvival(duration="t", event="status", hazard="1").mode(table, prior=False)
    assert found.status == "ridge" and "promotion-time cure" in found.message and "NOT A FIT" in repr(found)
    assert all(np.isnan(v).all() for v in found.standard_errors.values())
    limit = best_of(
        lambda p, s: p[0] + p[1] + p[2] + np.exp(p[2]) * s - s - 2 * np.logaddexp(0.0, p[1] + np.exp(p[2]) * s),
        lambda p, s: np.exp(p[0] + p[1] + np.exp(p[2]) * s - np.logaddexp(0.0, p[1] + np.exp(p[2]) * s)),
        table["t"].to_numpy(float), table["status"].to_numpy(), [(0.0, -3.0, 0.3), (1.0, -4.0, 0.5)],
    )  # fmt: skip
    assert found.log_likelihood == pytest.approx(limit, abs=1e-5)
    one = FlexibleSurvival(duration="t", event="status").mode(table, prior=False)
    assert one.status == "ok" and one.log_likelihood < found.log_likelihood  # one scale: a fit


def test_larynx_runs_to_a_weibull_law_with_a_threshold():
    """Ridge (ii): gamma to infinity, kappa to 0. The limit is H = c ((t / t0)^s - 1) from the first time on, t0, on."""
    table = shared("larynx.csv")
    found = FlexibleSurvival(duration="time", event="death", hazard="1").mode(table, prior=False)
    assert found.status == "ridge" and "threshold just below the first event" in found.message and "NOT A FIT" in repr(found)
    time = table["time"].to_numpy(float)
    first = np.log(time.min())
    limit = best_of(
        lambda p, s: p[0] + p[1] + np.exp(p[1]) * (s - first) - s,
        lambda p, s: np.exp(p[0]) * np.expm1(np.exp(p[1]) * (s - first)),
        time, table["death"].to_numpy(), [(-2.0, 0.1), (-3.0, 0.3)],
    )  # fmt: skip
    # the ridge rises towards the limit and never reaches it
    assert limit - 0.01 < found.log_likelihood < limit
    assert FlexibleSurvival(duration="time", event="death").mode(table, prior=False).status == "ok"


def test_waltons_runs_to_gompertz_and_the_law_gompertz_has_a_maximum():
    """Ridge (iii): kappa to infinity, harmless. `law="gompertz"` with its power at one is a fit of its own."""
    spec = FlexibleSurvival(duration="T", event="E")
    found = spec.mode(datasets.load("waltons"), prior=False)
    assert found.status == "ridge" and "kappa > 50" in found.message
    assert FlexibleSurvival.gompertz(duration="T", event="E").mode(datasets.load("waltons"), prior=False).status == "ok"


def test_both_scales_of_gbsg2_are_a_ridge_that_the_fit_tells():
    """Maximum likelihood: log phi and log lambda correlate by -0.963. The posterior is checked, and its verdict warns."""
    table, spec = datasets.load("gbsg2"), FlexibleSurvival(duration="time", event="cens", hazard="1")
    best = spec.mode(table, prior=False)
    assert best.status == "ok" and best.log_likelihood == pytest.approx(-2613.1267, abs=1e-3)
    names = list(best.values)
    centre = np.array([float(best.values[n]) for n in names])

    def value(shift):
        return spec.log_likelihood(table, dict(zip(names, centre + shift, strict=True)))

    step = 1e-3 * np.eye(4)
    cross = [[value(a + b) - value(a - b) - value(b - a) + value(-a - b) for b in step] for a in step]
    covariance = np.linalg.inv(-np.array(cross) / 4e-6)
    i, j = names.index("scale_intercept"), names.index("hazard_intercept")
    assert covariance[i, j] / np.sqrt(covariance[i, i] * covariance[j, j]) == pytest.approx(-0.963, abs=5e-3)
    fit = spec.fit(table, draws=500, tune=500, seed=1, progress=False)
    (ridge,) = (c for c in fit.checks if c.name == "ridge")
    assert ridge.status is Status.WARN and fit.verdict.status is Status.WARN
    draws = np.stack([fit.posterior[n].values.ravel() for n in ("scale_intercept", "hazard_intercept")])
    assert f"{np.corrcoef(draws)[0, 1]:.3f}" in ridge.text and "hazard_intercept" in ridge.advice
