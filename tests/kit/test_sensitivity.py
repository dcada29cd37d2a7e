"""Sensitivity analysis: against ArviZ where it is right, against closed forms, and honest where it cannot tell."""

from __future__ import annotations

import json
from dataclasses import replace

import examples
import numpy as np
import pytest
import xarray as xr

from bayeskit import SpecificationError
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
