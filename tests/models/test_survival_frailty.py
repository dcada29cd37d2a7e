"""Shared gamma frailty: quadrature, what rows add, predictions, simulation, refusals, calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace

import mpmath
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate, stats

pytest.importorskip("pymc")

import bayeskit
from bayeskit.engine import compiled_for
from bayeskit.errors import DataError, SpecificationError, StorageError
from bayeskit.verdict import Status
from bayeskit_models.survival import FlexibleSurvival, distribution, population
from bayeskit_models.survival.checks import survival_checks
from bayeskit_models.survival.frailty import frailty_posterior

SPEC = FlexibleSurvival(scale="x", shape="x", frailty="family", entry="entry", weights="n", unit=1.0, reference="zero")
VALUES = {
    "scale_intercept": 0.2,
    "scale_effect": np.array([0.4]),
    "shape_intercept": 0.3,
    "shape_effect": np.array([-0.2]),
    "tail_intercept": np.log(0.7),
}


@pytest.fixture(scope="module")
def table():
    """26 rows of 7 families of one to seven rows, with late entry, weights, and families without events."""
    rng = np.random.default_rng(2)
    time = rng.exponential(1.2, 26) + 0.05
    late = rng.uniform(size=26) < 0.4
    family = np.repeat([f"f{k}" for k in range(7)], [1, 2, 7, 4, 5, 3, 4])
    event = np.where(np.isin(family, ["f1", "f5"]), 0, rng.uniform(size=26) < 0.7).astype(int)
    return pd.DataFrame({
        "time": time, "event": event, "entry": np.where(late, time * rng.uniform(0.1, 0.9, 26), 0.0), "family": family,
        "x": rng.integers(0, 2, 26), "n": rng.integers(1, 3, 26),
    })  # fmt: skip


def pieces(table, values):
    """Log hazard, cumulative hazard at the time and at entry of each row, by the public functions of the law."""
    x = table["x"].to_numpy()
    phi = np.exp(values["scale_intercept"] + values["scale_effect"][0] * x)
    gamma = np.exp(values["shape_intercept"] + values["shape_effect"][0] * x)
    p = (phi, 1.0, gamma, np.expm1(values["tail_intercept"]))
    exposures = (distribution.cumulative_hazard(table[c], *p) for c in ("time", "entry"))
    return distribution.log_hazard(table["time"], *p), *exposures


def mean_over_frailty(variance, events, exposure):
    """E[Z^events exp(-Z exposure)] by quadrature, to 30 digits, over z^(1/variance): its density is smooth at 0."""
    with mpmath.workdps(30):
        v = mpmath.mpf(variance)

        def integrand(w):  # w = z^(1/v), z^(1/v - 1) dz = v dw
            z = w**v
            return v * z**events * mpmath.exp(-z * (1 / v + exposure))

        top = [mpmath.mpf(q) ** (1 / v) for q in (0.2, 0.5, 0.8, 1.0, 1.3, 1.7, 2.5, 4, 8, 20, 60)]
        found = mpmath.quad(integrand, [0, *top]) + mpmath.quad(integrand, [top[-1], mpmath.inf])
        return mpmath.log(found / (mpmath.gamma(1 / v) * v ** (1 / v)))


@pytest.mark.parametrize("variance", [0.2, 0.4, 1.0, 2.5, 8.0])
def test_against_quadrature(table, variance):
    """Every group's integral over the frailty, over that of being free of the event at entry: to 1e-8."""
    rate, lived, before = pieces(table, VALUES)
    n, event = table["n"].to_numpy(), table["event"].to_numpy()
    exact = float((n * event * rate).sum())
    for family in table["family"].unique():
        own = (table["family"] == family).to_numpy()
        events, a, e = int((n * event)[own].sum()), float((n * lived)[own].sum()), float((n * before)[own].sum())
        exact += float(mean_over_frailty(variance, events, a) - mean_over_frailty(variance, 0, e))
    assert SPEC.log_likelihood(table, {**VALUES, "frailty_variance": variance}) == pytest.approx(exact, rel=1e-9, abs=1e-8)


def test_what_every_unit_adds(table):
    """The log likelihood less that of the data without the unit: rows that share weights, families, and categories of rows."""
    spec = replace(SPEC, scale="sex", shape="1")
    data = table.assign(sex=np.where(table["x"] == 1, "w", "m"))
    statistics = spec.statistics(data)
    values = {**spec.draw_prior(statistics, np.random.default_rng(1)), "frailty_variance": np.array(0.8)}
    names = {"scale_effect": ("scale_term",)}
    draws = xr.Dataset({
        k: (("chain", "draw", *names.get(k, ())), np.asarray(v)[None, None]) for k, v in values.items()
    })  # fmt: skip
    whole = spec.log_likelihood(data, values)
    assert spec.units(statistics) == ("row", "frailty", "sex")
    for by in spec.units(statistics):
        found = spec.log_likelihood_of(draws, statistics, by).values.ravel()
        for place, value in enumerate(found):
            less = spec.without(statistics, by, place)
            rest = compiled_for(spec, less).log_likelihood(less, spec.dials(less), values)
            assert value == pytest.approx(whole - rest, abs=1e-9)
    exact = slice(0, int(less["kind_ptr"].values[1]))
    assert less["frailty_events"].values.sum() == less["weight"].values[exact].sum()


# -- the population, and a group ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", [-0.4, 0.0, 1.0, 4.0])
@pytest.mark.parametrize("variance", [1e-9, 0.3, 3.0])
def test_the_population_is_the_average_over_frailties(kappa, variance):
    """Survival by quadrature, the hazard as its derivative, quantiles by inversion, the cured share far out."""
    logs = [np.full((1, 1), v) for v in (np.log(0.7), np.log(1.3), np.log(1.4), np.log1p(kappa), variance)]
    time = np.array([0.05, 0.4, 1.0, 2.5])
    found = np.exp(-population.cumulative_hazard(np.log(time), *logs))[0]
    law = stats.gamma(1 / variance, scale=variance)
    for t, s in zip(time, found, strict=True):
        h = float(distribution.cumulative_hazard(t, 0.7, 1.3, 1.4, kappa))
        exact = np.exp(-h) if variance < 1e-6 else integrate.quad(lambda q, h=h: np.exp(-h * law.ppf(q)), 0, 1, epsabs=1e-11)[0]
        assert s == pytest.approx(exact, abs=2e-9)
    up, down = (population.cumulative_hazard(np.log(time) + s, *logs) for s in (1e-5, -1e-5))
    np.testing.assert_allclose((up - down) / 2e-5 / time, np.exp(population.log_hazard(np.log(time), *logs)), rtol=1e-8)
    cured = np.exp(population.log_cure(*logs)).item()
    exposure = -np.log1p(-np.linspace(0.05, 0.85, 9) * (1 - cured))
    back = population.cumulative_hazard(population.log_quantile(exposure, *logs), *logs)
    np.testing.assert_allclose(back, exposure[None], rtol=1e-9)
    assert np.isinf(population.log_quantile(np.array([-np.log(cured) + 1e-6]), *logs)).all() if cured > 0 else kappa >= 0


def test_simulated_families_depend_as_they_should():
    """Weibull law, variance 1.5: the survival of the population and of pairs, and late entry selects.

    20,000 pairs. The standard error of a share is below sqrt(.25 / 20000) = .0035 (.005 where the rows of a pair go together);
    the bounds are four of them.
    """
    spec = FlexibleSurvival(law="weibull", frailty="family", unit=1.0, event=None)
    values = {"scale_intercept": np.log(3.0), "shape_intercept": np.log(1.3), "frailty_variance": 1.5}
    table = spec.simulate(1, n=40_000, family=2, parameters=values).table
    at = np.array([0.1, 0.3, 0.7])  # before anybody's follow-up ends
    exact = (1 + 1.5 * (3.0 * at) ** 1.3) ** (-1 / 1.5)
    np.testing.assert_allclose([(table["time"] > t).mean() for t in at], exact, atol=0.02)
    pairs = table["time"].to_numpy().reshape(-1, 2)
    joint = [((pairs > t).all(1)).mean() for t in at]
    np.testing.assert_allclose(joint, (1 + 1.5 * 2 * (3.0 * at) ** 1.3) ** (-1 / 1.5), atol=0.014)
    late = FlexibleSurvival(law="weibull", frailty="family", entry="entry", unit=1.0, event=None)
    table = late.simulate(2, n=60_000, family=1, parameters=values).table
    table = table[table["entry"] > 0]
    step = 0.2  # free for so long after entry: the ratio of the population's survival
    h0, h1 = ((3.0 * t) ** 1.3 for t in (table["entry"], table["entry"] + step))
    expected = (((1 + 1.5 * h1) / (1 + 1.5 * h0)) ** (-1 / 1.5)).mean()
    assert (table["time"] > table["entry"] + step).mean() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / len(table)))


@pytest.fixture(scope="module")
def fit():
    spec = FlexibleSurvival.ph("x", frailty="family", unit=1.0, law="weibull")
    values = {"scale_intercept": 0.3, "shape_intercept": 0.2, "hazard_effect": np.array([0.7]), "frailty_variance": 0.8}
    table = spec.simulate(7, n=240, family=4, parameters=values).table
    return spec.fit(table, seed=1, draws=500, tune=500, progress=False)


def test_marginal_conditional_and_known_groups(fit):
    new, at = {"x": [0.0, 1.0]}, [0.3, 1.0]
    theta = fit.posterior["frailty_variance"].values.reshape(-1, 1, 1)

    def flat(answer):
        return answer.draws.values.reshape(-1, *answer.draws.shape[2:])

    one = fit.given_frailty(1.0)
    h = flat(one.cumulative_hazard(new, at))
    np.testing.assert_allclose(flat(fit.survival(new, at)), (1 + theta * h) ** (-1 / theta), rtol=1e-9)
    np.testing.assert_allclose(flat(fit.given_frailty(2.5).cumulative_hazard(new, at)), 2.5 * h, rtol=1e-9)
    np.testing.assert_allclose(flat(fit.hazard(new, at)), flat(one.hazard(new, at)) / (1 + theta * h), rtol=1e-9)
    pair = ({"x": [1.0]}, {"x": [0.0]}, at)
    effect = fit.estimands["hazard_effect"].values.reshape(-1, 1, 1)
    np.testing.assert_allclose(flat(one.hazard_ratio(*pair)), np.broadcast_to(np.exp(effect), (2000, 1, 2)), rtol=1e-9)
    assert (np.abs(np.log(flat(fit.hazard_ratio(*pair)))) < np.abs(effect)).all()  # nearer to 1 in the population
    families = list(fit.levels["family" if "family" in fit.levels else "frailty"])[:2]
    known = flat(fit.survival({"x": [0.0, 1.0], "family": families}, at))
    z = flat(fit.frailties())[:, :2, None]
    np.testing.assert_allclose(known, np.exp(-z * h), rtol=1e-9)
    np.testing.assert_array_equal(known, flat(fit.survival({"x": [0.0, 1.0], "family": families}, at)))
    with pytest.raises(DataError, match="family"):
        fit.survival({"x": [0.0], "family": ["nobody"]}, at)
    mean = one.rmst(1.0, {"x": [0.0]}).draws.values.mean()
    assert 0.0 < mean < 1.0 and not np.allclose(mean, fit.rmst(1.0, {"x": [0.0]}).draws.values.mean())


def test_frailties_of_the_groups(fit):
    """Mean and variance of the gamma posterior by its own integral; drawn frailties agree within five standard errors."""
    statistics = fit.statistics
    logs = [np.full((1, 1), v) for v in (0.3, 0.0, 0.2, np.log(2.0), 0.8)]
    shape, rate = frailty_posterior(tuple(logs), statistics)
    home, k = statistics["frailty_row"].values, 3
    a = distribution.cumulative_hazard(np.exp(statistics["log_lower"].values[home == k]), np.exp(0.3), 1, np.exp(0.2), 1).sum()
    d = int(statistics["frailty_events"].values[k])
    with mpmath.workdps(25):
        exact = mpmath.exp(mean_over_frailty(0.8, d + 1, a) - mean_over_frailty(0.8, d, a))
    assert shape[0, k] / rate[0, k] == pytest.approx(float(exact), rel=1e-9)
    drawn = fit.frailties().draws.values.reshape(2000, -1)
    values = {n: v.values.reshape(2000, *v.shape[2:]) for n, v in fit.posterior.data_vars.items()}
    assert drawn.shape[1] == 60 and (drawn > 0).all()
    # the groups' frailties average to about their population's mean: sd of a mean of 60 is below sqrt(2 / 60)
    assert drawn.mean() == pytest.approx(1.0, abs=5 * np.sqrt(values["frailty_variance"].mean() / 60))
    corr = np.corrcoef(drawn.mean(0), statistics["frailty_events"].values)[0, 1]
    assert corr > 0.5


def test_what_is_told(fit, tmp_path):
    text = fit.report(tmp_path / "r.md").read_text()
    for words in ("variance of the factor", "averaged over the groups there could be", "it is no ranking", "Kendall"):
        assert words in text, words
    assert {"frailty_variance", "kendall_tau"} <= set(fit.estimands.data_vars)
    theta = fit.estimands["frailty_variance"].values
    np.testing.assert_allclose(fit.estimands["kendall_tau"].values, theta / (theta + 2), rtol=1e-12)
    assert "sample_survival" not in fit.estimands
    with pytest.raises(SpecificationError, match="gamma frailty"):
        fit.informative_censoring()
    (found,) = (c for c in survival_checks(fit) if c.name == "frailty")
    assert found.status is Status.PASS and "60 frailty groups" in found.text
    few = replace(fit, statistics=fit.statistics.assign(frailty_shared=((), 9)))
    (found,) = (c for c in survival_checks(few) if c.name == "frailty")
    assert found.status is Status.WARN and "9 frailty groups" in found.text and "at least 10" in found.text
    assert any(getattr(a, "frailty", "family") is None for a in fit.alternatives().specs.values())
    bare = bayeskit.load(fit.save(tmp_path / "run.nc"))
    np.testing.assert_allclose(
        bare.survival({"x": [0.0]}, 1.0).draws.values, fit.survival({"x": [0.0]}, 1.0).draws.values, rtol=1e-12
    )
    with pytest.raises(StorageError, match="saved without"):
        bare.frailties()


def test_refusals(table):
    spec = FlexibleSurvival(lower="a", upper="b", frailty="family")
    with pytest.raises(DataError, match=r"1 row in intervals.*(?s:.)*no closed form") as error:
        spec.statistics({"a": [1.0, 0.5, 1.0], "b": [1.0, 2.0, np.nan], "family": ["p", "p", "q"]})
    assert list(error.value.rows) == [1]
    with pytest.raises(DataError, match="not whole"):
        SPEC.statistics(table.assign(n=0.5))
    with pytest.raises(SpecificationError, match="frailty with background"):
        FlexibleSurvival(frailty="family", background="b")
    with pytest.raises(SpecificationError, match="column of group too"):
        FlexibleSurvival(frailty="family", group="family")
    with pytest.raises(SpecificationError, match="both a covariate"):
        FlexibleSurvival(scale="family", frailty="family")


def test_faults_of_questions(fit):
    with pytest.raises(SpecificationError, match=r"factor=0"):
        fit.given_frailty(0)
    plain = replace(fit, spec=replace(fit.spec, frailty=None))
    for ask in (lambda: plain.given_frailty(), lambda: plain.frailties()):
        with pytest.raises(SpecificationError, match="has no frailty"):
            ask()


# -- calibration --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Strangers(FlexibleSurvival):
    """Simulates as the honest model does, and takes every row for a family of its own."""

    def encode(self, table):
        return super().encode(table.assign(family=[f"f{i}" for i in range(len(table))]))


SETTINGS = {"scale": "x", "reference": "zero", "unit": 1.0, "frailty": "family", "entry": "entry", "law": "weibull"}
SBC = {"simulations": 50, "seed": 6, "draws": 250, "tune": 400, "chains": 2, "progress": False, "n": 120, "family": 4}


@pytest.mark.slow
def test_calibrated_with_late_entry():
    """50 simulations of 30 families of four; also the likelihood's ratio for late entry is that of the simulator."""
    found = FlexibleSurvival(**SETTINGS).calibrate(**SBC)
    print(found)
    assert found.passed, found


@pytest.mark.slow
def test_calibration_sees_families_that_are_torn_apart():
    found = _Strangers(**SETTINGS).calibrate(**SBC, confirm=False)
    print(found)
    assert any(name.startswith(("scale_intercept", "frailty_variance")) for name in found.offenders), found
