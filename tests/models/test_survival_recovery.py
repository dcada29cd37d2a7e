"""Does a fit find what was put in: coverage at known parameters, calibration over the prior, and maximum likelihood."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

from bayeskit.builder import Simulation
from bayeskit.engine import compile_count
from bayeskit_models import datasets
from bayeskit_models.survival import FlexibleSurvival

TRUTH = {"scale_intercept": 0.5, "scale_effect": -0.6, "shape_intercept": 0.3, "shape_effect": 0.2, "tail_intercept": 0.0}
SPEC = FlexibleSurvival(scale="z", shape="z", unit=1.0, reference="zero")
CALIBRATED = {"simulations": 60, "seed": 3, "progress": False, "n": 100}


def log_logistic_table(rng, n=1000):
    """Log-logistic times (kappa 0, lambda 1) by inversion, censored at exponential times of mean 2.5; z is balanced."""
    z = np.arange(n) % 2
    phi, gamma = np.exp(0.5 - 0.6 * z), np.exp(0.3 + 0.2 * z)
    time = np.expm1(rng.exponential(size=n)) ** (1.0 / gamma) / phi
    censored = rng.exponential(2.5, n)
    return {"time": np.minimum(time, censored), "event": (time <= censored).astype(int), "z": z}


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """200 data sets of 1000 rows, two chains of 400 draws, one compilation: each 95 % interval covers between 90 and 99 %.

    The standard error of a coverage of .95 over 200 is .015: right intervals fall below .90 once in 500 and above .99 once in
    2500 times for a parameter. The mean error must be below 0.3 posterior sd (standard error .07).
    """
    rng = np.random.default_rng(42)
    hits, errors, before = [], [], None
    for seed in range(200):
        fit = SPEC.fit(log_logistic_table(rng), draws=400, tune=400, chains=2, seed=seed, progress=False)
        before = compile_count() if before is None else before
        draws = {n: fit.posterior[n].values.reshape(-1) for n in TRUTH}
        bounds = {n: np.quantile(v, [0.025, 0.975]) for n, v in draws.items()}
        hits.append([bounds[n][0] <= TRUTH[n] <= bounds[n][1] for n in TRUTH])
        errors.append([(draws[n].mean() - TRUTH[n]) / draws[n].std() for n in TRUTH])
    assert compile_count() == before
    coverage = dict(zip(TRUTH, np.mean(hits, axis=0), strict=True))
    bias = dict(zip(TRUTH, np.mean(errors, axis=0), strict=True))
    print(coverage, bias)
    assert all(0.90 <= c <= 0.99 for c in coverage.values()), coverage
    assert all(abs(b) < 0.3 for b in bias.values()), bias


def calibrated(cls=FlexibleSurvival, **more):
    spec = cls(scale="x", shape="x", unit=1.0, reference="zero")
    return spec.calibrate(**{**CALIBRATED, **more})


@pytest.mark.slow
def test_calibration():
    found = calibrated()
    print(found)
    assert found.passed and found.failed <= 3, repr(found)


class _IgnoresCensoring(FlexibleSurvival):
    """Planted bug: whoever was censored is taken to have had the event then."""

    def simulate(self, rng=None, **settings):
        found = super().simulate(rng, **settings)
        return Simulation(found.table.assign(event=1), found.parameters)


class _ShiftsTheCovariate(FlexibleSurvival):
    """Planted bug: every subject has the covariate of the next."""

    def simulate(self, rng=None, **settings):
        found = super().simulate(rng, **settings)
        return Simulation(found.table.assign(x=np.roll(found.table["x"].to_numpy(), 1)), found.parameters)


@pytest.mark.slow
@pytest.mark.parametrize("bug", ["censoring", "covariate", "prior"])
def test_calibration_finds_planted_bugs(bug):
    """The same 60 simulations, of which the right model passes."""
    if bug == "prior":
        found = calibrated(fit_dials={"tail_intercept.sigma": 0.15})
    else:
        found = calibrated({"censoring": _IgnoresCensoring, "covariate": _ShiftsTheCovariate}[bug])
    print(found)
    assert found.offenders, repr(found)


SETS = {
    "lung": ({"duration": "time", "event": "status"}, "I(sex - 1)"),
    "gbsg2": ({"duration": "time", "event": "cens"}, "horTh"),
    "rossi": ({"duration": "week", "event": "arrest"}, "fin"),
}
MENUS = ("aft", "ph", "mpr_aft", "mpr_ph")


def spec_of(name, menu):
    settings, covariate = SETS[name]
    return getattr(FlexibleSurvival, menu)(covariate, reference="zero", **settings)


def widened(spec, table, factor):
    """Dials with every prior's standard deviation `factor` times what it is."""
    return {k: factor * v for k, v in spec.dials(spec.statistics(table)).items() if k.endswith(".sigma")}


def in_sd(fit, values):
    """Distance of the posterior means from given values in posterior standard deviations, by element."""
    out = {}
    for name, value in values.items():
        draws = fit.posterior[name].values.reshape(-1, np.size(value))
        out[name] = float(np.abs((draws.mean(0) - np.ravel(value)) / draws.std(0)).max())
    return pd.Series(out)


@pytest.mark.slow
@pytest.mark.parametrize("menu", MENUS)
@pytest.mark.parametrize("name", SETS)
def test_posterior_means_against_maximum_likelihood(name, menu):
    """Under weak priors, within half a posterior sd; no divergences, R-hat below 1.01.

    Which priors are weak depends on what the data say of kappa. lung and rossi say little, and there the default ones agree
    with them; in gbsg2 kappa (-0.42) lies 1.2 prior sd below the prior's centre, which moves the power and kappa by 0.4 to 0.6
    posterior sd: there all parameters are compared under priors four times as wide. Effects agree within 0.3 sd everywhere.
    """
    spec, table = spec_of(name, menu), datasets.load(name)
    best = spec.mode(table, prior=False, starts=6)
    assert best.status == "ok"
    fit = spec.fit(table, seed=1, draws=2000, tune=1000, progress=False)
    effects = {k: v for k, v in best.values.items() if k.endswith("_effect")}
    assert effects and (in_sd(fit, effects) < 0.3).all(), in_sd(fit, effects)
    wide = fit.refit(dials=widened(spec, table, 4.0)) if name == "gbsg2" else fit
    print(name, menu, in_sd(wide, best.values).round(2).to_dict())
    assert (in_sd(wide, best.values) < 0.5).all(), in_sd(wide, best.values)
    for one in (fit, wide):
        assert int(one.draws["sample_stats"]["diverging"].sum()) == 0
        assert one.summary(group="posterior")["r_hat"].max() < 1.01


@pytest.mark.parametrize("menu", MENUS)
def test_the_mode_under_flat_priors_is_maximum_likelihood(menu):
    """Exact where the prior goes: with standard deviations a thousand times as wide the mode moves by under 1e-3 of a sd."""
    spec, table = spec_of("gbsg2", menu), datasets.load("gbsg2")
    best = spec.mode(table, prior=False)
    flat = spec.mode(table, dials=widened(spec, table, 1000.0))
    assert best.status == flat.status == "ok"
    for name, value in best.values.items():
        gap = np.abs(np.asarray(flat.values[name]) - value) / best.standard_errors[name]
        assert np.max(gap) < 1e-3, name
