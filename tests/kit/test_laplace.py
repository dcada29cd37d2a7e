"""The Laplace approximation: exact where the posterior is normal, corrected where it is not, refused where it cannot be."""

from __future__ import annotations

from dataclasses import dataclass

import examples
import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayeskit
from bayeskit import Assumption, Prior, SamplingError, SpecificationError, laplace
from bayeskit.checks import diagnostics
from bayeskit.engine import Sampling
from bayeskit.mode import Objective


@dataclass(frozen=True)
class ByMode(examples.NormalNormal):
    """A model that is fitted by its mode where nothing is asked for."""

    method: str = "mode"


@dataclass(frozen=True)
class Logistic(examples.Regression):
    """y = 1 with the log odds a + b x: few rows, so that the posterior is skewed."""

    prior_sd: float = 2.5

    def graph(self, graph):
        import pytensor.tensor as pt

        x = graph.prior("a") + graph.prior("b") * graph.data("x") + 0.0 * graph.dial("noise.sd")
        graph.likelihood((graph.data("y") * x - pt.softplus(x)).sum())


@dataclass(frozen=True)
class NoMode(examples.CentredFunnel):
    """Effects and their scale without any data: the density grows without end as the scale goes to 0."""

    def assumptions(self, statistics):
        return (
            Assumption("neck", "Scales are moderate.", "hyper", Prior("HalfNormal", sigma=1.0)),
            Assumption("x", "Effects are normal.", "latent", Prior("Normal", dims=("school",), mu=0.0, sigma="neck")),
        )


@dataclass(frozen=True)
class Determined(NoMode):
    """The same with effects that are known to 0.1: a good maximum, beside the edge where effects and scale meet at 0."""

    def graph(self, graph):
        graph.prior("neck")
        graph.likelihood((-0.5 * ((graph.prior("x") - 0.1 * graph.data("y")) / 0.1) ** 2).sum())


@pytest.fixture(scope="module")
def fit(normal_table):
    return examples.NormalNormal().fit(normal_table, seed=5, method="mode", progress=False)


def errors(draws):
    """Mean and its Monte Carlo error, of draws shaped (chains, draws)."""
    found = diagnostics(draws[..., None])
    return float(found["mean"][0]), float(found["mcse_mean"][0])


@pytest.mark.parametrize("model", [examples.NormalNormal, examples.OwnCoordinates])
@pytest.mark.parametrize("dials", [{}, {"mu.sigma": 0.2, "noise.sd": 3.0}])
def test_normal_at_the_mode_is_the_conjugate_posterior(model, dials, normal_table):
    """Mean and covariance to 1e-6, also in coordinates of the graph's own (mu = 0.5 + 2 z)."""
    spec = model()
    statistics = spec.statistics(normal_table)
    mean, sd = spec.closed_form(statistics, dials)
    found = laplace.normal_at_mode(Objective(spec, statistics, spec.set_dials(statistics, dials), jacobian=True))
    scale, centre = (2.0, 0.5) if model is examples.OwnCoordinates else (1.0, 0.0)
    np.testing.assert_allclose(centre + scale * found.mean, mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(scale**2 * found.covariance, np.diag(sd**2), rtol=0, atol=1e-6)


def test_conjugate_fit_needs_no_correction(fit, normal_table):
    """All weights are equal, so the draws are independent: 4 standard errors of mean (sd / 63) and sd (1.2 %)."""
    mean, sd = fit.spec.closed_form(fit.statistics)
    assert (fit.draws["sample_stats"]["log_weight"] == 0.0).all()
    draws = fit.posterior["mu"].values
    np.testing.assert_array_less(np.abs(draws.mean((0, 1)) - mean), 4 * sd / np.sqrt(4000))
    np.testing.assert_allclose(draws.std((0, 1)), sd, rtol=4 / np.sqrt(8000))
    total = fit.draws["log_likelihood"]["total"].values[0, 0]
    assert total == pytest.approx(fit.spec.log_likelihood(normal_table, {"mu": draws[0, 0]}), abs=1e-9)


def test_first_lines_say_what_it_is(fit, tmp_path):
    head = "LAPLACE APPROXIMATION: PASS: all 8 checks passed"
    assert fit.verdict.headline == head and repr(fit).startswith(head)
    assert [r.name for r in fit.checks] == ["chains", "finite", "moving", "r_hat", "ess", "mcse", "laplace", "overlap"]
    assert next(iter(fit.provenance.values())).startswith("LAPLACE APPROXIMATION")
    text = fit.report(tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.index("LAPLACE APPROXIMATION: PASS") < text.index("## ")
    again = bayeskit.Verdict.from_dict(fit.verdict.to_dict())
    assert again.headline == head and again.adding([]).headline == head


def test_skewed_posterior_is_corrected():
    """Beta(2 + 1, 3 + 5) against its own mean and sd, 4 Monte Carlo errors (0.003 of the mean); the bare normal misses it."""
    table = pd.DataFrame({"outcome": [1] + [0] * 5})
    found = examples.BetaBinomial().fit(table, seed=3, draws=2500, method="mode", progress=False)
    exact = stats.beta(3, 8)
    assert found.verdict.status.value == "PASS"
    for power in (1, 2):
        mean, error = errors(found.posterior["p"].values ** power)
        assert abs(mean - exact.moment(power)) < 4 * error
    spec, statistics = found.spec, found.statistics
    normal = laplace.normal_at_mode(Objective(spec, statistics, found.dials, jacobian=True))
    bare = special.expit(normal.at(np.random.default_rng(0).standard_normal((10_000, 1))))
    assert abs(bare.mean() - exact.mean()) > 4 * errors(found.posterior["p"].values)[1]


def test_logistic_regression_as_sampled():
    """Means and mean squares of both coefficients within 4 combined Monte Carlo errors of NUTS."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=25)
    y = (rng.uniform(size=25) < special.expit(1.0 + 1.5 * x)).astype(float)
    table = pd.DataFrame({"site": "s", "x": x, "y": y})
    by_mode = Logistic().fit(table, seed=1, draws=2000, method="mode", progress=False)
    sampled = by_mode.refit(seed=2, tune=1000, method="nuts")
    assert (by_mode.method, sampled.method) == ("mode", "nuts")
    assert by_mode.verdict.status.value == "PASS" and by_mode.verdict.approximation and not sampled.verdict.approximation
    for name in ("a", "b"):
        for power in (1, 2):
            pairs = [errors(f.posterior[name].values ** power) for f in (by_mode, sampled)]
            assert abs(pairs[0][0] - pairs[1][0]) < 4 * np.hypot(pairs[0][1], pairs[1][1]), (name, power)


def test_funnel_is_a_warning(schools_table):
    found = examples.CentredFunnel().fit(schools_table, seed=1, draws=500, method="mode", progress=False)
    check = next(r for r in found.checks if r.name == "laplace")
    assert check.status.value == "WARN" and "refit(method='nuts')" in check.advice
    assert "neck" in [row["quantity"] for row in check.table]
    assert found.verdict.headline.startswith("LAPLACE APPROXIMATION: ") and found.verdict.status.value == "WARN"


def test_a_mode_beside_the_edge_where_effects_and_scale_meet(schools_table):
    """Mean of the scale against quadrature of its closed marginal, 4 Monte Carlo errors."""
    found = Determined().fit(schools_table, seed=1, draws=2000, method="mode", progress=False)
    grid = np.linspace(1e-3, 8.0, 20_001)
    y = 0.1 * schools_table["y"].to_numpy()
    density = stats.halfnorm.pdf(grid) * stats.norm.pdf(y[:, None], 0.0, np.hypot(grid, 0.1)).prod(0)
    mean, error = errors(found.posterior["neck"].values)
    assert found.verdict.status.value == "PASS" and abs(mean - (grid * density).sum() / density.sum()) < 4 * error
    names = Objective(found.spec, found.statistics, found.dials, jacobian=True).places(["x"])
    np.testing.assert_array_equal(names, np.arange(1, 9))


def test_posterior_without_a_mode_is_refused(schools_table):
    with pytest.raises(SamplingError, match=r"no Laplace approximation of this posterior.*neck.*method='nuts'"):
        NoMode().fit(schools_table, seed=1, method="mode", progress=False)


def test_weights_that_cannot_be_computed_never_pass(fit):
    lost = fit.draws.copy()
    lost["sample_stats"]["log_weight"] = fit.draws["sample_stats"]["log_weight"] * np.nan
    assert laplace.check_of(lost).status.value == "NOT COMPUTED"


def test_round_trip(fit, tmp_path):
    again = bayeskit.load(fit.save(tmp_path / "fit.nc"))
    assert again.method == "mode" and again.verdict == fit.verdict and again.provenance == fit.provenance
    assert list(again.provenance) == list(fit.provenance)
    np.testing.assert_array_equal(again.posterior["mu"].values, fit.posterior["mu"].values)
    refit = again.refit(dials={"mu.sigma": 0.5}, cores=1)
    mean, sd = fit.spec.closed_form(fit.statistics, {"mu.sigma": 0.5})
    assert refit.method == "mode"
    np.testing.assert_array_less(np.abs(refit.posterior["mu"].values.mean((0, 1)) - mean), 4 * sd / np.sqrt(4000))


def test_draws_follow_the_seed_and_not_the_cores(fit, normal_table):
    draws = [
        fit.spec.fit(normal_table, seed=seed, cores=cores, method="mode", progress=False).posterior["mu"].values
        for seed, cores in ((5, 1), (5, 3), (6, 1))
    ]
    np.testing.assert_array_equal(draws[0], fit.posterior["mu"].values)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_other_priors_from_the_same_draws(fit):
    """Reweighted, and moved, draws against the closed form of the other prior; 5 Monte Carlo errors of some 1000 draws."""
    for sd, ladder in ((1.2, ("reweight",)), (0.35, ("moment match",))):
        mean, spread = fit.spec.closed_form(fit.statistics, {"mu.sigma": sd})
        found = fit.reweight({"mu": Prior("Normal", dims=("group",), mu=0.5, sigma=sd)}, group="posterior", ladder=ladder)
        assert found.state == "ok", found
        np.testing.assert_array_less(np.abs(found.table["mean"].to_numpy() - mean), 5 * spread / np.sqrt(1000))


def test_models_may_name_the_method(normal_table):
    spec = ByMode()
    assert spec.fit(normal_table, seed=1, draws=50, progress=False).method == "mode"
    assert spec.fit(normal_table, seed=1, draws=50, tune=50, progress=False, method="nuts").method == "nuts"
    assert examples.NormalNormal().method == "nuts"
    assert spec.calibrate(simulations=60, draws=50, ranks=50, seed=4, progress=False).passed


def test_calibration_finds_a_lost_likelihood():
    lost = ByMode(broken="shifted").calibrate(simulations=40, draws=50, ranks=50, seed=4, confirm=False, progress=False)
    assert lost.offenders


def test_settings_are_checked(normal_table, monkeypatch):
    with pytest.raises(SpecificationError, match=r"must be 'nuts' or 'mode'\. Did you mean 'mode'"):
        Sampling(method="modes")
    with pytest.raises(SpecificationError, match="leave one of the two out"):
        Sampling(method="mode", store="folder")
    monkeypatch.setattr(laplace, "_MOST", 2)
    with pytest.raises(SpecificationError, match=r"has 3 coordinates.*at most 2"):
        examples.NormalNormal().fit(normal_table, method="mode", progress=False)
