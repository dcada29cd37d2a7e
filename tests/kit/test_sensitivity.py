"""Sensitivity analysis: against ArviZ where it is right, against closed forms, and honest where it cannot tell."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import examples
import numpy as np
import pytest
import xarray as xr

from bayeskit import Prior, SpecificationError
from bayeskit.assumptions import Assumption
from bayeskit.errors import UnreliableWeightsError
from bayeskit.sensitivity import k_hat_limit, pareto_smoothed
from bayeskit.sensitivity.power import jensen_shannon, power_scaling


def rows(found, **wanted):
    return [r for r in found.rows if all(getattr(r, k) == v for k, v in wanted.items())]


# -- weights ------------------------------------------------------------------------------------------------------


def test_weights_have_the_right_sign():
    """Draws of Normal(0, 1) weighted to Normal(0.5, 1): mean 0.5, not -0.5. Error: sd / sqrt(ess) < .012."""
    x = np.random.default_rng(0).normal(size=(4, 2500))
    weights = pareto_smoothed(-0.5 * (x - 0.5) ** 2 + 0.5 * x**2)
    assert weights.reliable and weights.k_hat < 0.5
    assert weights.values @ x.reshape(-1) == pytest.approx(0.5, abs=5 * 0.012)
    assert weights.ess == pytest.approx(10_000 * np.exp(-0.25), rel=0.1)  # 1 / E[w^2] of this shift


def test_a_target_that_draws_do_not_reach_is_not_reliable():
    x = np.random.default_rng(0).normal(size=(4, 1000))
    assert not pareto_smoothed(0.5 * x**2 - 0.5 * (x / 4.0) ** 2).reliable  # four times as wide
    assert not pareto_smoothed(-0.5 * (x - 6.0) ** 2 + 0.5 * x**2).reliable


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_numbers_are_not_computed(bad):
    ratio = np.zeros((4, 100))
    ratio[1, 3] = bad
    found = pareto_smoothed(ratio)
    assert not found.computed and not found.reliable and np.isnan(found.k_hat)
    assert not pareto_smoothed(np.full((4, 100), -np.inf)).computed


def test_excluded_draws_weigh_nothing_and_equal_ones_the_same():
    ratio = np.zeros((4, 250))
    assert pareto_smoothed(ratio + 3.0).values == pytest.approx(np.full(1000, 1e-3))
    ratio[0] = -np.inf
    found = pareto_smoothed(ratio)
    assert found.values[:250].sum() == 0.0 and found.values.sum() == pytest.approx(1.0)


def test_limit_of_k_hat():
    assert k_hat_limit(100_000) == 0.7 and k_hat_limit(1000) == pytest.approx(1 - 1 / 3)


# -- power-scaling ------------------------------------------------------------------------------------------------


def test_distance_of_equal_weights_is_nothing():
    x = np.random.default_rng(0).normal(size=4000)
    assert jensen_shannon(x, np.full(4000, 1 / 4000)) < 2e-3
    assert jensen_shannon(np.ones(10), np.full(10, 0.1)) == 0.0


@pytest.mark.parametrize("centre", [0.0, 2.0, 6.0])
def test_index_equals_arviz_where_arviz_is_right(centre):
    """A conjugate normal mean: prior Normal(centre, 1), 30 observations; indices of prior and likelihood."""
    import arviz as az

    rng = np.random.default_rng(3)
    y = rng.normal(0.0, 1.0, 30)
    mu = rng.normal((centre + y.sum()) / 31.0, np.sqrt(1 / 31.0), size=(4, 1000))
    log_prior = -0.5 * (mu - centre) ** 2
    rowwise = -0.5 * (y - mu[..., None]) ** 2
    data = az.from_dict({"posterior": {"mu": mu}, "log_prior": {"mu": log_prior}, "log_likelihood": {"y": rowwise}})
    theirs = az.psense(data, group="prior")["mu"].item(), az.psense(data, group="likelihood")["mu"].item()
    ours = [power_scaling(part, mu[..., None]).index[0] for part in (log_prior, rowwise.sum(-1))]
    np.testing.assert_allclose(ours, theirs, atol=3e-3)


def test_index_grows_with_conflict():
    rng = np.random.default_rng(1)
    for seed in range(5):
        y = np.random.default_rng(seed).normal(size=30)
        z = rng.normal(size=(4, 1000))
        found = []
        for centre in (0.0, 3.0, 6.0, 9.0):
            mu = (centre + y.sum()) / 31.0 + z / np.sqrt(31.0)
            found.append(power_scaling(-0.5 * (mu - centre) ** 2, mu[..., None]).index[0])
        assert found[0] < 0.05 < found[2]
        assert (np.diff(found) > 0).all()


# -- the table of a fit -------------------------------------------------------------------------------------------


def test_derivatives_against_the_closed_form(normal_fit):
    """dE[mu]/d(prior mean) of the conjugate normal, in posterior sds per prior sd; the row says its own error."""
    found = normal_fit.sensitivity(assumptions="all")
    dials = normal_fit.dials
    mean, sd = normal_fit.spec.closed_form(normal_fit.statistics, dials)
    moved, _ = normal_fit.spec.closed_form(normal_fit.statistics, {**dials, "mu.mu": dials["mu.mu"] + 1e-3})
    from bayeskit.assumptions import Dial
    from bayeskit.sensitivity.derivative import dial_derivative, natural_step

    assumption = next(a for a in normal_fit.assumptions if a.name == "mu")
    step = natural_step(assumption, assumption.dials["mu.mu"], dials)
    assert step == dials["mu.sigma"]
    exact = (moved - mean) / 1e-3 * step / sd
    draws = normal_fit.posterior["mu"].transpose("chain", "draw", ...).values
    from bayeskit.prior_check import log_prior

    def density(values):
        return log_prior(normal_fit.spec, normal_fit.statistics, values, normal_fit.posterior, only="mu")["mu"]

    ours = dial_derivative(density, assumption.dials["mu.mu"], step, dials, draws)
    assert (np.abs(ours.shift - exact) < 4 * ours.mcse).all()
    assert ours.mcse.max() < 0.2 * np.abs(exact).max()
    assert isinstance(assumption.dials["mu.mu"], Dial)
    assert {r.assumption for r in found.rows} == {a.name for a in normal_fit.assumptions}


def test_a_dial_of_the_likelihood_is_not_called_harmless(normal_fit):
    """The noise is fixed by a dial that enters the likelihood alone: draws cannot be reweighted to another prior of it."""
    found = rows(normal_fit.sensitivity(assumptions="all"), assumption="noise")
    assert found
    for row in found:
        assert row.state == "not computed" and "refit" in row.how and np.isnan(row.shift)


@pytest.fixture(scope="module")
def schools_fit():
    frame = examples.EightSchools().simulate(3, parameters=None).table
    return examples.EightSchools().fit(frame, seed=1, draws=1000, target_accept=0.95, progress=False)


def test_latent_parts_are_left_out_unless_asked_for(schools_fit):
    top = {r.assumption for r in schools_fit.sensitivity().rows}
    everything = {r.assumption for r in schools_fit.sensitivity(assumptions="all").rows}
    latent = {a.name for a in schools_fit.assumptions if a.level in ("latent", "imputed")}
    assert latent and not latent & top and latent < everything


def test_a_prior_that_rules_is_called_by_name(beta_fit):
    """Ten observations under Beta(200, 200): the prior decides, and the text says so."""
    ruled = beta_fit.refit(dials={"p.alpha": 200.0, "p.beta": 200.0}, draws=500, tune=300)
    row = ruled.sensitivity().rows[0]
    assert row.state in ("sensitive", "conflict") and row.index >= 0.05
    text = repr(ruled.sensitivity())
    assert "rest on p" in text and "not an error" in text
    free = beta_fit.refit(dials={"p.alpha": 1.0, "p.beta": 1.0}, draws=500, tune=300).sensitivity().rows[0]
    assert free.state == "ok" and free.index < 0.01


def test_numbers_that_are_missing_are_never_ok(beta_fit):
    estimands = beta_fit.estimands
    broken = estimands.map(lambda v: v.where(v["draw"] > 0))
    still = estimands.map(lambda v: v * 0.0 + 1.0)
    for dataset in (broken, still):
        draws = xr.DataTree.from_dict(
            {**{n: g.to_dataset() for n, g in beta_fit.draws.children.items()}, "estimands": dataset.assign_attrs()}
        )
        for name, variable in estimands.data_vars.items():
            draws["estimands"][name].attrs = variable.attrs
        found = replace(beta_fit, draws=draws).sensitivity()
        assert {r.state for r in found.rows} == {"not computed"}
        assert "could not be made" in found.headline


def test_what_it_prints(beta_fit):
    found = beta_fit.sensitivity()
    assert found._repr_html_().startswith("<p>")
    assert list(found.table["assumption"]) == [r.assumption for r in found.rows]
    text = json.loads(found.to_json())
    assert text["schema"] == "bayeskit.sensitivity/1" and len(text["rows"]) == len(found.rows)
    with pytest.raises(ValueError, match="state"):
        found.of("fine")


def test_quantities_of_ones_own(beta_fit):
    name = next(iter(beta_fit.estimands))
    found = beta_fit.sensitivity({"square": lambda e: e[name] ** 2})
    assert {r.quantity for r in found.rows} == {"square"}
    with pytest.raises(SpecificationError, match="one number for every draw"):
        beta_fit.sensitivity({"mean": lambda e: float(e[name].mean())})
    with pytest.raises(SpecificationError, match="No estimand named"):
        beta_fit.sensitivity(["nothing"])
    with pytest.raises(SpecificationError, match="No assumption named"):
        beta_fit.sensitivity(assumptions=["nothing"])


# -- other priors -------------------------------------------------------------------------------------------------


def test_another_prior_against_the_closed_form(beta_fit):
    """Beta(2, 3) prior and 7 of 10; reweighted to Beta(1, 1) and Beta(4, 2), mean and sd of the exact posteriors."""
    for alpha, beta in ((1.0, 1.0), (4.0, 2.0)):
        found = beta_fit.reweight({"p": Prior("Beta", alpha=alpha, beta=beta)}, group="posterior")
        a, b = alpha + 7.0, beta + 3.0
        row = found.table.loc["p"]
        measured = beta_fit.summary(group="posterior").loc["p", ["ess_bulk", "ess_tail"]].min()
        size = measured * found.weights.ess / beta_fit.posterior["p"].size  # autocorrelation and unequal weights
        error = row["sd"] / np.sqrt(size)
        assert abs(row["mean"] - a / (a + b)) < 4 * error
        assert row["sd"] == pytest.approx(np.sqrt(a * b / (a + b) ** 2 / (a + b + 1)), rel=0.06)
        from scipy import stats

        tail = 4 * np.sqrt(0.025 * 0.975 / size)
        assert stats.beta(a, b).cdf(row["lower"]) == pytest.approx(0.025, abs=tail)
        assert stats.beta(a, b).cdf(row["upper"]) == pytest.approx(0.975, abs=tail)
        assert "k-hat" in repr(found) and "Beta" in found._repr_html_()


def test_a_prior_out_of_reach_is_refused(beta_fit):
    with pytest.raises(UnreliableWeightsError, match="k-hat"):
        beta_fit.reweight({"p": Prior("Beta", alpha=1.0, beta=500.0)})


def test_faults_of_other_priors(beta_fit, normal_fit):
    prior = Prior("Beta", alpha=1.0, beta=1.0)
    for bad, match in (
        ({}, "empty"),
        ({"q": prior}, "No assumption named"),
        ({"p": Prior("Beta", dims=("x",), alpha=1.0, beta=1.0)}, "dimensions"),
        ({"p": Prior("Beta", alpha="nothing", beta=1.0)}, "no variable of this fit"),
    ):
        with pytest.raises(SpecificationError, match=match):
            beta_fit.reweight(bad)
    with pytest.raises(SpecificationError, match="has no prior"):
        normal_fit.reweight({"noise": Prior("HalfNormal", sigma=1.0)})
    with pytest.raises(SpecificationError, match="prob"):
        beta_fit.reweight({"p": prior}, prob=95)


@dataclass(frozen=True)
class OtherSchools(examples.EightSchools):
    """Eight schools with another prior on tau or mu."""

    tau: str = "HalfCauchy"
    scale: float = 5.0
    centre_sd: float = 5.0

    def assumptions(self, statistics):
        given = {"beta": self.scale} if self.tau == "HalfCauchy" else {"sigma": self.scale}
        mu, _, z = super().assumptions(statistics)
        return (
            Assumption("mu", mu.sentence, "hyper", Prior("Normal", mu=0.0, sigma=self.centre_sd)),
            Assumption("tau", "Schools differ by an unknown amount.", "hyper", Prior(self.tau, **given)),
            z,
        )


SWAPS = {
    "tau HalfNormal(5)": {"tau": "HalfNormal", "scale": 5.0},
    "tau HalfNormal(1)": {"tau": "HalfNormal", "scale": 1.0},
    "tau HalfCauchy(25)": {"tau": "HalfCauchy", "scale": 25.0},
    "tau HalfNormal(25)": {"tau": "HalfNormal", "scale": 25.0},
    "mu sd 1": {"centre_sd": 1.0},
    "mu sd 20, tau HalfNormal(20)": {"tau": "HalfNormal", "scale": 20.0, "centre_sd": 20.0},
}


@pytest.fixture(scope="module")
def real_schools():
    import pandas as pd

    y, sigma = [28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18]
    frame = pd.DataFrame({"school": list("ABCDEFGH"), "y": np.array(y, float), "sigma": np.array(sigma, float)})
    return frame, examples.EightSchools().fit(frame, seed=1, draws=2000, target_accept=0.95, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", SWAPS)
def test_six_prior_swaps_against_refits(real_schools, name):
    """Reweighted means of mu, tau and the first effect within 0.15 refit sds of a refit."""
    frame, base = real_schools
    other = OtherSchools(**SWAPS[name])
    refit = other.fit(frame, seed=2, draws=2000, target_accept=0.95, progress=False)
    swapped = {a.name: a.prior for a in refit.assumptions if a.name in ("mu", "tau")}
    for group, wanted in (("posterior", ["mu", "tau"]), ("estimands", ["theta[A]"])):
        found, truth = base.reweight(swapped, group=group), refit.summary(group=group)
        assert found.weights.k_hat < 0.7
        gap = (found.table.loc[wanted, "mean"] - truth.loc[wanted, "mean"]) / truth.loc[wanted, "sd"]
        assert np.abs(gap).max() < 0.15


@pytest.mark.slow
def test_the_prior_of_tau_is_not_hidden_by_its_effects(real_schools):
    """Scaling every free variable, as ArviZ does by default, gives tau 0.044 "ok"; its own prior and that of mu 0.194."""
    found = real_schools[1].sensitivity({"tau": lambda _: real_schools[1].posterior["tau"].values})
    top = {r.assumption: r for r in found.rows}
    assert set(top) == {"mu", "tau"}
    assert top["tau"].index > 0.1 and top["tau"].state in ("sensitive", "conflict")
