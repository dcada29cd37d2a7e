"""FlexibleSurvival gets back what its data were made from: coverage, calibration that sees planted bugs, maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

from bayeskit.engine import Sampling, compile_count
from bayeskit.fit import run
from bayeskit.summary import flatten
from bayeskit_models import datasets
from bayeskit_models.survival import FlexibleSurvival, distribution

TRUTH = {
    "scale_intercept": 0.5,
    "scale_effect": -0.6,
    "shape_intercept": 0.3,
    "shape_effect": 0.2,
    "tail_intercept": 0.0,
}
"""log phi = 0.5 - 0.6 z, log gamma = 0.3 + 0.2 z, lambda = 1, kappa = 0: log(kappa + 1) = 0."""


def recovery_spec() -> FlexibleSurvival:
    """Priors centred at time 1 and intercepts at z = 0, so that the parameters are those of `TRUTH`."""
    return FlexibleSurvival.mpr_aft("z", reference="zero", unit=1.0)


def simulated(rng: np.random.Generator, n: int = 1000) -> pd.DataFrame:
    """Rows from the law's own quantiles (not from the model's simulator), z balanced, exponential censoring of mean 2.5."""
    z = np.arange(n) % 2
    phi = np.exp(TRUTH["scale_intercept"] + TRUTH["scale_effect"] * z)
    gamma = np.exp(TRUTH["shape_intercept"] + TRUTH["shape_effect"] * z)
    event = distribution.quantile(rng.uniform(size=n), phi, 1.0, gamma, np.expm1(TRUTH["tail_intercept"]))
    censored = rng.exponential(2.5, n)
    return pd.DataFrame({"time": np.minimum(event, censored), "event": (event <= censored).astype(int), "z": z})


def test_the_simulated_rows_are_of_the_stated_law():
    """Log-logistic with exponential censoring, by z: the share censored is the integral of S(t) exp(-t / 2.5) / 2.5, here by
    Gauss-Laguerre of 100 nodes; 4 standard errors of 200 000 rows."""
    table = simulated(np.random.default_rng(3), 200_000)
    nodes, weights = np.polynomial.laguerre.laggauss(100)
    for z in (0, 1):
        phi, gamma = np.exp(0.5 - 0.6 * z), np.exp(0.3 + 0.2 * z)
        exact = float(weights @ (1.0 / (1.0 + (phi * 2.5 * nodes) ** gamma)))
        found = 1.0 - table.loc[table["z"] == z, "event"].mean()
        assert found == pytest.approx(exact, abs=4.0 * np.sqrt(exact * (1 - exact) / 100_000)), z


REPLICATES = 200


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """95 % intervals of 200 replicates of 1000 rows, one compiled model: coverage from 0.90 to 0.99 for each of the five.

    The standard error of a coverage of 0.95 is 0.015, so a right model stays inside with probability over 0.99 for each.
    Replicates whose chains did not mix (R-hat over 1.05 with 2 x 400 draws) are counted and may not be dropped.
    """
    spec = recovery_spec()
    covered: dict[str, list[bool]] = {name: [] for name in TRUTH}
    errors: dict[str, list[float]] = {name: [] for name in TRUTH}
    worst, divergences, before = [], 0, None
    for child in np.random.SeedSequence(20201).spawn(REPLICATES):
        table = simulated(np.random.default_rng(child))
        settings = Sampling(400, 400, 2, int(child.generate_state(1)[0]), progress=False)
        fit = run(spec, spec.statistics(table), settings)
        before = compile_count() if before is None else before
        summary = fit.summary(group="posterior")
        summary.index = [name.split("[")[0] for name in summary.index]
        worst.append(float(summary["r_hat"].max()))
        divergences += int(fit.draws["sample_stats"]["diverging"].sum())
        for name, value in TRUTH.items():
            row = summary.loc[name]
            covered[name].append(bool(row["lower"] <= value <= row["upper"]))
            errors[name].append(float((row["mean"] - value) / row["sd"]))
    coverage = {name: float(np.mean(hits)) for name, hits in covered.items()}
    spread = {name: round(float(np.std(e)), 2) for name, e in errors.items()}
    print(f"coverage {coverage}, sd of z {spread}, worst R-hat {max(worst):.3f}, divergences {divergences}")
    assert compile_count() == before
    assert max(worst) < 1.05 and divergences == 0
    assert all(0.90 <= share <= 0.99 for share in coverage.values()), coverage
    # the intervals are neither too wide nor too narrow: the sd of 200 standardised errors has a standard error of 0.05
    assert all(0.8 <= s <= 1.2 for s in spread.values()), spread


def honest(**changed) -> FlexibleSurvival:
    """One covariate on scale and shape; `unit` given, so that the priors do not follow the data."""
    return replace(FlexibleSurvival.mpr_aft("x", reference="zero", unit=1.0), **changed)


@dataclass(frozen=True)
class _Planted(FlexibleSurvival):
    """Simulates as the honest model does and reads its tables wrongly."""

    def simulate(self, rng=None, **settings):
        return honest().simulate(rng, **settings)


class _IgnoresCensoring(_Planted):
    def encode(self, table):
        return super().encode(table.assign(event=1))


class _ShiftedCovariate(_Planted):
    """Every row gets the covariate of the row before it."""

    def encode(self, table):
        return super().encode(table.assign(x=np.roll(table["x"].to_numpy(), 1)))


SBC = {"simulations": 60, "seed": 4, "draws": 250, "tune": 400, "chains": 2, "progress": False, "n": 100}


@pytest.mark.slow
def test_calibrated():
    """200 simulations of 100 rows, the kit's simultaneous 95 % band over all test quantities; no failed fit is dropped."""
    found = honest().calibrate(**{**SBC, "simulations": 200})
    print(found)
    assert found.passed, found


@pytest.mark.slow
@pytest.mark.parametrize("bug", ["prior", "censoring", "covariate"])
def test_calibration_sees_a_planted_bug(bug):
    """A prior scale a tenth of the simulating one, censored rows read as events, and a covariate shifted by one row."""
    if bug == "prior":
        found = honest().calibrate(**SBC, confirm=False, fit_dials={"scale_effect.sigma": 0.1})
        expected = "scale_effect"
    else:
        wrong = {"censoring": _IgnoresCensoring, "covariate": _ShiftedCovariate}[bug]
        found = wrong(scale="x", shape="x", reference="zero", unit=1.0).calibrate(**SBC, confirm=False)
        expected = {"censoring": "estimand survival", "covariate": "scale_effect"}[bug]
    print(found)
    assert not found.passed
    assert any(name.startswith(expected) for name in found.offenders), found


SETS = {
    "lung": ({"duration": "time", "event": "status"}, "I(sex - 1)"),
    "gbsg2": ({"duration": "time", "event": "cens"}, "horTh"),
    "rossi": ({"duration": "week", "event": "arrest"}, "fin"),
    "waltons": ({"duration": "T", "event": "E", "law": "weibull"}, "group"),
}
WEAK = {
    "shape_intercept.sigma": 1.5, "tail_intercept.sigma": 1.0, "hazard_effect.sigma": 2.0, "shape_effect.sigma": 1.0,
}  # fmt: skip
"""The weak priors, one and the same for every set; the others are the defaults.

gbsg2 puts log gamma at 0.73, 1.5 default standard deviations out, so the defaults move its intercepts by 0.4 to 0.6 posterior
standard deviations. A much wider prior of kappa would not do either: on lung the likelihood is flat towards the Gompertz limit,
and the mean would follow the ridge away from the maximum.

waltons has the Weibull law: with the law free only `aft` has a maximum that the data determine (`ph` and `mpr_ph` run to the
Gompertz limit, in `mpr_aft` log(kappa + 1) has a standard error of 6.6). Its arms differ by a factor of 40 in the hazard and of
three in the power, hence the wider priors of those effects.
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("menu", ["aft", "ph", "mpr_aft", "mpr_ph"])
def test_posterior_means_agree_with_maximum_likelihood(name, menu):
    """All maxima are interior. Half a posterior sd for every parameter, no divergences, R-hat below 1.01.

    4 x 2000 draws. The Monte Carlo error of a mean is below 0.04 posterior sd here.
    """
    columns, formula = SETS[name]
    table = datasets.load(name)
    spec = getattr(FlexibleSurvival, menu)(formula, **columns)
    best = spec.mode(table, prior=False)
    assert best.status == "ok"
    dials = {k: v for k, v in WEAK.items() if k in spec.dials(spec.statistics(table))}
    fit = spec.fit(table, draws=2000, tune=1000, seed=1, dials=dials, progress=False)
    found = fit.summary(group="posterior")
    assert int(fit.draws["sample_stats"]["diverging"].sum()) == 0
    assert found["r_hat"].max() < 1.01
    labels, _ = flatten(fit.posterior)
    maximum = np.concatenate([np.ravel(best.values[str(n)]) for n in fit.posterior.data_vars])
    gap = pd.Series(np.abs(found.loc[labels, "mean"] - maximum) / found.loc[labels, "sd"], index=labels)
    assert (found.loc[labels, "mcse_mean"] < 0.04 * found.loc[labels, "sd"]).all()
    print(name, menu, gap.round(2).to_dict())
    assert (gap <= 0.5).all(), gap
