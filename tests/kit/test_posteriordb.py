"""Parity with posteriordb's reference draws (licence and source: data/README.md).

A mean may differ by four combined Monte Carlo standard errors, a standard deviation by 7 %: at some 4000
effective draws that lets true fits through and stops a bias of a tenth of a posterior sd.
"""

from __future__ import annotations

from pathlib import Path

import examples
import numpy as np
import pandas as pd
import pytest

from bayeskit.checks import Status, diagnostics

DATA = Path(__file__).parent / "data"


def assert_agrees(draws, reference):
    """Compare draws by posteriordb's name, shape (chains, draws), with its summary."""
    table = pd.read_csv(DATA / reference).set_index("param")
    assert set(draws) == set(table.index)
    for name, values in draws.items():
        row, found = table.loc[name], {k: v[0] for k, v in diagnostics(values[:, :, None]).items()}
        z = (found["mean"] - row["mean"]) / np.hypot(found["mcse_mean"], row["mcse_mean"])
        assert abs(z) <= 4, (name, z)
        assert 0.93 <= found["sd"] / row["sd"] <= 1.07, (name, found["sd"] / row["sd"])


def schools_draws(fit):
    theta = fit.estimands["theta"].values
    out = {f"theta[{j + 1}]": theta[:, :, j] for j in range(8)}
    return out | {"mu": fit.posterior["mu"].values, "tau": fit.posterior["tau"].values}


def mixture_draws(fit):
    p = fit.posterior
    return {
        "mu[1]": p["low"].values, "mu[2]": p["high"].values, "theta": p["theta"].values,
        "sigma[1]": p["sigma"].values[:, :, 0], "sigma[2]": p["sigma"].values[:, :, 1],
    }  # fmt: skip


@pytest.fixture(scope="module")
def schools_fit(schools_table):
    # Long, because the tail of tau is heavy: its sd is the statistic with the largest error here.
    return examples.EightSchools().fit(schools_table, seed=1, draws=4000, target_accept=0.95, progress=False)


@pytest.fixture(scope="module")
def mixture_fit(mixture_table):
    return examples.GaussianMixture().fit(mixture_table, seed=1, draws=1000, tune=500, progress=False)


def test_eight_schools(schools_fit):
    assert_agrees(schools_draws(schools_fit), "eight_schools_reference.csv")
    assert schools_fit.verdict.status is not Status.FAIL


def test_gaussian_mixture(mixture_fit):
    assert_agrees(mixture_draws(mixture_fit), "gauss_mix_reference.csv")
    assert mixture_fit.verdict.status is Status.PASS


def test_the_log_likelihood_of_a_model_with_a_constraint(mixture_fit, mixture_table):
    """Priors, constraint and Jacobians taken off the sampler's density leave the likelihood."""
    assert set(mixture_fit.draws["log_prior"].to_dataset()) == {"low", "high", "sigma", "theta", "order"}
    for chain, draw in [(0, 0), (3, 777)]:
        here = {str(n): v.values[chain, draw] for n, v in mixture_fit.posterior.items()}
        exact = mixture_fit.spec.log_likelihood(mixture_table, here)
        assert mixture_fit.draws["log_likelihood"]["total"].values[chain, draw] == pytest.approx(exact, abs=1e-7)


def test_constraints_without_a_twin_are_refused(mixture_fit, mixture_table):
    from bayeskit import SpecificationError

    class Silent(examples.GaussianMixture):
        def log_constraint(self, values, statistics, dials):
            return {}

    from bayeskit.engine import RawDraws
    from bayeskit.fit import assemble

    stats = mixture_fit.draws["sample_stats"]
    import xarray as xr

    tree = xr.DataTree.from_dict({"posterior": mixture_fit.posterior, "sample_stats": stats.to_dataset()})
    raw = RawDraws(tree, False, 1, ("order",))
    with pytest.raises(SpecificationError, match="constraint 'order'"):
        assemble(Silent(), mixture_fit.statistics, raw, mixture_fit.dials, {}, {})


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_eight_schools_other_seeds(schools_fit, seed):
    assert_agrees(schools_draws(schools_fit.refit(seed=seed)), "eight_schools_reference.csv")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_gaussian_mixture_other_seeds(mixture_fit, seed):
    assert_agrees(mixture_draws(mixture_fit.refit(seed=seed)), "gauss_mix_reference.csv")
