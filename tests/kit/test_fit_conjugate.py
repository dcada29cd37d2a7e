"""Fits of models with a closed form: numbers, log densities, seeds, refits."""

from __future__ import annotations

import examples
import numpy as np
import pytest
from scipy import stats

from bayeskit import SpecificationError
from bayeskit.checks import Status, diagnostics
from bayeskit.engine import compile_count, compiled_for
from bayeskit.prior_check import log_jacobian

SIGMAS = 4.0  # Monte Carlo standard errors; some 40 comparisons of fixed seeds


def mcse_of(indicator):
    """Monte Carlo standard error of a mean of draws, shape (chains, draws)."""
    return diagnostics(indicator[:, :, None])["mcse_mean"][0]


def compare(draws, exact):
    """Mean, variance and 5 / 95 % quantiles of draws (chains, draws) against a scipy distribution."""
    assert abs(draws.mean() - exact.mean()) < SIGMAS * mcse_of(draws)
    square = (draws - exact.mean()) ** 2
    assert abs(square.mean() - exact.var()) < SIGMAS * mcse_of(square)
    for p in (0.05, 0.95):
        below = (draws <= exact.ppf(p)).astype(float)
        assert abs(below.mean() - p) < SIGMAS * mcse_of(below)


def test_normal_normal(normal_fit):
    mean, sd = normal_fit.spec.closed_form(normal_fit.statistics)
    assert normal_fit.verdict.status is Status.PASS
    for i in range(3):
        compare(normal_fit.posterior["mu"].values[:, :, i], stats.norm(mean[i], sd[i]))


def test_beta_binomial(beta_fit):
    assert beta_fit.verdict.status is Status.PASS
    compare(beta_fit.posterior["p"].values, stats.beta(2 + 7, 3 + 3))


def test_refit_with_other_dials_compiles_nothing(normal_fit, compiled_with):
    before = compiled_with(normal_fit)
    dials = {"mu.sigma": 0.3, "mu.mu": 3.0, "noise.sd": 0.7}
    again = normal_fit.refit(dials=dials, seed=5)
    assert compile_count() == before
    mean, sd = again.spec.closed_form(again.statistics, dials)
    for i in range(3):
        compare(again.posterior["mu"].values[:, :, i], stats.norm(mean[i], sd[i]))
    assert again.dials == {"mu.mu": 3.0, "mu.sigma": 0.3, "noise.sd": 0.7}
    assert normal_fit.dials["mu.sigma"] == 2.0
    assert again.provenance["data"] == normal_fit.provenance["data"]
    kept = again.refit(dials={"mu.mu": 0.0}, draws=20, tune=20, chains=1)
    assert kept.dials == {"mu.mu": 0.0, "mu.sigma": 0.3, "noise.sd": 0.7}
    assert compile_count() == before


def test_refit_with_another_table(normal_fit, normal_table, compiled_with):
    before = compiled_with(normal_fit)
    table = normal_table.assign(y=normal_table["y"] + 5).iloc[2:]
    again = normal_fit.refit(table=table, seed=6)
    assert compile_count() == before
    mean, sd = again.spec.closed_form(again.statistics)
    compare(again.posterior["mu"].values[:, :, 2], stats.norm(mean[2], sd[2]))
    assert again.provenance["data"]["rows"] == len(table)
    assert again.provenance["data"]["digest"] != normal_fit.provenance["data"]["digest"]


@pytest.mark.parametrize("bad", [{"draws": 0}, {"chains": 0}, {"tune": 0}, {"target_accept": 0.0}])
def test_refit_refuses_what_fit_refuses(normal_fit, bad):
    with pytest.raises(SpecificationError, match=next(iter(bad))):
        normal_fit.refit(**bad)


@pytest.mark.parametrize("which", ["normal_fit", "beta_fit"])
def test_parts_of_the_log_density_add_up(which, request):
    """Log priors + log likelihood + log Jacobian against PyMC's own log density, and the likelihood by itself."""
    fit = request.getfixturevalue(which)
    model = compiled_for(fit.spec, fit.statistics).built.model
    compiled_for(fit.spec, fit.statistics).set_data(fit.statistics, fit.dials)
    logp = model.compile_logp(mode="FAST_COMPILE")
    prior = fit.draws["log_prior"].to_dataset()
    total = fit.draws["log_likelihood"].to_dataset()["total"]
    jacobian = log_jacobian(fit.spec, fit.statistics, fit.dials, fit.posterior)
    sum_ = (sum(prior[n] for n in prior) + total).values + jacobian
    for chain, draw in [(0, 0), (1, 17), (3, 999)]:
        here = {n: fit.posterior[n].values[chain, draw] for n in fit.posterior}
        point = {"mu": here["mu"]} if "mu" in here else {"p_logodds__": np.log(here["p"] / (1 - here["p"]))}
        assert sum_[chain, draw] == pytest.approx(float(logp(point)), abs=1e-8)
        exact = compiled_for(fit.spec, fit.statistics).log_likelihood(fit.statistics, fit.dials, here)
        assert total.values[chain, draw] == pytest.approx(exact, abs=1e-8)
    np.testing.assert_allclose(sum_, fit.draws["sample_stats"]["logp"].values, atol=1e-8)


def test_log_likelihood_is_the_closed_form(normal_fit, normal_table, beta_table):
    spec = normal_fit.spec
    mu = np.array([0.3, -1.0, 2.0])
    code = normal_table["group"].map({"a": 0, "b": 1, "c": 2}).to_numpy()
    exact = stats.norm(mu[code], 1.5).logpdf(normal_table["y"]).sum()
    assert spec.log_likelihood(normal_table, {"mu": mu}) == pytest.approx(exact, abs=1e-10)
    with_dial = spec.log_likelihood(normal_table, {"mu": mu}, dials={"noise.sd": 0.4})
    assert with_dial == pytest.approx(stats.norm(mu[code], 0.4).logpdf(normal_table["y"]).sum(), abs=1e-9)
    exact = 7 * np.log(0.2) + 3 * np.log(0.8)
    assert examples.BetaBinomial().log_likelihood(beta_table, {"p": 0.2}) == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "parameters lacks 'mu'"),
        ({"mu": [0.0, 1.0]}, r"has shape \(2,\); it must be \(3,\)"),
        ({"mu": np.zeros(3), "muu": 1}, "Did you mean 'mu'"),
    ],
)
def test_log_likelihood_checks_its_parameters(normal_table, parameters, message):
    with pytest.raises(SpecificationError, match=message):
        examples.NormalNormal().log_likelihood(normal_table, parameters)


def test_draws_on_the_edge_get_their_likelihood_from_the_graph(beta_fit):
    """A share that rounding has made exactly 1 has no finite Jacobian."""
    from bayeskit.fit import total_log_likelihood

    edge = beta_fit.posterior.copy(deep=True)
    edge["p"].values[0, 3] = 1.0
    statistics = beta_fit.statistics.copy(deep=True)
    statistics["k"] = statistics["n"]
    prior = {"p": np.zeros(edge["p"].shape)}
    out = total_log_likelihood(beta_fit.spec, statistics, beta_fit.dials, edge, np.zeros((4, 1000)), prior)
    assert np.isfinite(out).all()
    assert out[0, 3] == pytest.approx(0.0, abs=1e-12)


def test_summary(normal_fit):
    table = normal_fit.summary()
    assert list(table.columns) == [
        "mean", "sd", "median", "lower", "upper", "mcse_mean", "ess_bulk", "ess_tail", "r_hat",
    ]  # fmt: skip
    assert list(table.index) == ["mean[a]", "mean[b]", "mean[c]", "spread"]
    assert table.attrs == {"prob": 0.95, "kind": "eti"}
    assert table.notna().all().all()
    draws = normal_fit.posterior["mu"].values[:, :, 1].ravel()
    np.testing.assert_allclose(table.loc["mean[b]", ["lower", "upper"]], np.quantile(draws, [0.025, 0.975]))
    narrow = normal_fit.summary(0.5, "hdi", group="posterior")
    assert (narrow["upper"] - narrow["lower"] < table["upper"].iloc[:3].values - table["lower"].iloc[:3].values).all()


def test_groups_and_labels(normal_fit):
    assert set(normal_fit.draws.children) == {
        "posterior", "sample_stats", "estimands", "log_prior", "log_likelihood",
    }  # fmt: skip
    assert list(normal_fit.posterior["group"].values) == ["a", "b", "c"]
    assert normal_fit.estimands["mean"].attrs == {"label": "mu", "units": "points", "headline": True}
    assert list(normal_fit.draws["log_prior"].to_dataset()) == ["mu"]
    assert "PASS" in repr(normal_fit)
    assert "<table>" in normal_fit._repr_html_()


def test_same_seed_same_draws_whatever_the_cores(normal_fit):
    runs = [normal_fit.refit(seed=3, cores=c, draws=100, tune=100).posterior["mu"].values for c in (1, 2)]
    np.testing.assert_array_equal(*runs)
    other = normal_fit.refit(seed=4, draws=100, tune=100).posterior["mu"].values
    assert not np.array_equal(runs[0], other)


def test_draws_do_not_depend_on_what_was_done_before(normal_fit, normal_table):
    """Starting points come from the nodes of the model, which modes and likelihood values set to other data."""
    runs = []
    for sd in (0.1, 5.0):
        normal_fit.spec.mode(normal_table.assign(y=normal_table["y"] * sd), dials={"mu.mu": 10 * sd, "mu.sigma": sd})
        runs.append(normal_fit.refit(seed=3, draws=50, tune=50).posterior["mu"].values)
    np.testing.assert_array_equal(*runs)


def test_two_chains_are_a_prefix_of_four(normal_fit):
    two, four = (normal_fit.refit(seed=3, chains=c, draws=100, tune=100).posterior["mu"].values for c in (2, 4))
    np.testing.assert_array_equal(two, four[:2])


def test_a_seed_is_recorded_and_repeats_the_run(normal_fit, normal_table):
    first = normal_fit.spec.fit(normal_table, draws=50, tune=50, chains=2, progress=False)
    seed = first.provenance["sampling"]["seed"]
    again = normal_fit.spec.fit(normal_table, draws=50, tune=50, chains=2, seed=seed, progress=False)
    np.testing.assert_array_equal(first.posterior["mu"].values, again.posterior["mu"].values)


def test_own_coordinates_give_the_same_posterior(normal_table):
    """The slow path: variables that a graph samples in coordinates of its own, whose Jacobian only the graph knows."""
    spec = examples.OwnCoordinates()
    fit = spec.fit(normal_table, seed=4, progress=False)
    mean, sd = spec.closed_form(fit.statistics)
    for i in range(3):
        compare(fit.posterior["mu"].values[:, :, i], stats.norm(mean[i], sd[i]))
    here = {"mu": fit.posterior["mu"].values[2, 5]}
    exact = examples.NormalNormal().log_likelihood(normal_table, here)
    assert spec.log_likelihood(normal_table, here) == pytest.approx(exact, abs=1e-9)
    assert fit.draws["log_likelihood"]["total"].values[2, 5] == pytest.approx(exact, abs=1e-9)
    assert list(fit.posterior) == ["mu"]
    mode = spec.mode(normal_table)
    np.testing.assert_allclose(mode.values["mu"], mean, atol=1e-8)
    plain = examples.NormalNormal().mode(normal_table)
    assert mode.log_density == pytest.approx(plain.log_density, abs=1e-9)


def test_a_fit_is_immutable(normal_fit):
    with pytest.raises(AttributeError):
        normal_fit.partial = True
