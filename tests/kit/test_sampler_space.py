"""The sampler's coordinates, powers of priors, and draws moved in that space: exactly."""

from __future__ import annotations

from dataclasses import replace

import examples
import numpy as np
import pytest
import xarray as xr

from bayeskit import Prior, SpecificationError
from bayeskit.sensitivity.space import CannotMove, Space

SIZES = {"two": 2, "k": 4, "row": 4}

# -- coordinates and powers, exactly ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", examples.every_family())
def test_coordinates_are_those_of_the_log_jacobian(name):
    """There and back to rounding; the log Jacobian is that of the way back, by differences of the fourth order.

    A density on simplexes is per volume of all parts but the last; one of effects that sum to zero per area of their plane.
    """
    prior, rng = examples.every_family()[name], np.random.default_rng(1)
    x = np.stack([prior.random(rng, tuple(SIZES[d] for d in prior.dims)) for _ in range(30)])
    z = prior.family.coordinates(x, **prior.params)
    np.testing.assert_allclose(prior.family.natural(z, **prior.params), x, rtol=1e-10, atol=1e-14)
    event, h = prior.family.event_dims, 1e-3

    def free(at):
        values = prior.family.natural(at, **prior.params)
        return values[..., :-1] if event and name != "ZeroSumNormal" else values

    flat = z.reshape(30, -1)
    jacobian = np.empty((30, free(z).reshape(30, -1).shape[1], flat.shape[1]))
    for i in range(flat.shape[1]):
        step = np.eye(flat.shape[1])[i] * h
        f = [free((flat + k * step).reshape(z.shape)).reshape(30, -1) for k in (-2, -1, 1, 2)]
        jacobian[:, :, i] = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)
    found = 0.5 * np.linalg.slogdet(jacobian.transpose(0, 2, 1) @ jacobian)[1]
    np.testing.assert_allclose(found, prior.log_jacobian(x, {}, {}), atol=1e-8)


@pytest.mark.parametrize("name", examples.every_family())
def test_powers_of_priors(name):
    """The log density of a power is the power times the log density, but for a constant."""
    prior, rng = examples.every_family()[name], np.random.default_rng(2)
    x = np.stack([prior.random(rng, tuple(SIZES[d] for d in prior.dims)) for _ in range(50)])
    for exponent in (0.6, 1.0, 2.5):
        other = prior.power(exponent)
        if name in ("Cauchy", "HalfCauchy", "Logistic"):
            assert (other is None) == (exponent != 1.0)
            continue
        assert other is not None and other.dist == prior.dist and other.dims == prior.dims
        gap = other.log_density(x) - exponent * prior.log_density(x)
        assert np.ptp(gap) < 1e-10 * (1.0 + np.abs(gap).max())


def test_powers_that_are_no_prior():
    assert Prior("Gamma", alpha=0.5, beta=1.0).power(3.0) is None  # x^-1.5 at zero has no integral
    assert Prior("InverseGamma", alpha=1.0, beta=1.0).power(0.4) is None
    assert Prior("StudentT", nu=3.0, mu=0.0, sigma=1.0).power(0.2) is None
    assert Prior("Normal", mu=0.0, sigma="tau").power(2.0) is None  # the constant depends on tau
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(SpecificationError, match="exponent"):
            Prior("Normal", mu=0.0, sigma=1.0).power(bad)


# -- the sampler's space ------------------------------------------------------------------------------------------


def test_the_density_at_moved_draws(normal_fit, normal_table, beta_fit):
    """Log density away from the draws against the closed form; what is left of it is the log likelihood."""
    space = Space(normal_fit)
    points = space.draws[:200] + np.random.default_rng(0).normal(size=(200, space.draws.shape[1]))
    stats, d = normal_fit.statistics, normal_fit.dials
    n, total, square = (stats[k].values for k in ("n", "total", "square"))
    exact = -0.5 * (square - 2 * points * total + n * points**2).sum(1) / d["noise.sd"] ** 2
    exact -= n.sum() * np.log(d["noise.sd"] * np.sqrt(2 * np.pi))
    prior = -0.5 * ((points - d["mu.mu"]) / d["mu.sigma"]) ** 2 - np.log(d["mu.sigma"] * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(space.evaluate(points), exact + prior.sum(1), rtol=1e-10)
    assert normal_fit.spec.log_likelihood(normal_table, {"mu": points[0]}) == pytest.approx(exact[0], rel=1e-10)
    space = Space(beta_fit)  # with a Jacobian
    moved = 0.7 * space.draws - 0.4
    natural = space.natural(moved)
    p = natural["p"].values
    np.testing.assert_allclose(p.reshape(-1), 1 / (1 + np.exp(-moved[:, 0])), rtol=1e-12)
    found = space.log_likelihood(natural, space.evaluate(moved))
    np.testing.assert_allclose(found, 7 * np.log(p) + 3 * np.log1p(-p), rtol=1e-8)


def test_draws_that_cannot_be_moved_say_why(normal_table, beta_fit):
    own = examples.OwnCoordinates().fit(normal_table, seed=3, draws=500, progress=False)
    with pytest.raises(CannotMove, match="coordinates of its own"):
        Space(own)
    found = own.reweight({"mu": Prior("Normal", dims=("group",), mu=6.0, sigma=0.5)}, group="posterior", ladder="auto")
    assert [r.outcome for r in found.tried] == ["unreliable", "skipped", "PASS"] and "of its own" in found.tried[1].note
    mean, sd = own.spec.closed_form(own.statistics, {"mu.mu": 6.0, "mu.sigma": 0.5})
    assert (np.abs(found.table["mean"] - mean) < 5 * sd / np.sqrt(1000)).all()
    edge = beta_fit.posterior.copy(deep=True)
    edge["p"].values[0, 0] = 1.0
    draws = xr.DataTree.from_dict({**{n: g.to_dataset() for n, g in beta_fit.draws.children.items()}, "posterior": edge})
    with pytest.raises(CannotMove, match="edge"):
        Space(replace(beta_fit, draws=draws))
    shifted = beta_fit.draws["sample_stats"].to_dataset()
    shifted = shifted.assign(logp=shifted["logp"] + 1.0)
    draws = xr.DataTree.from_dict({**{n: g.to_dataset() for n, g in beta_fit.draws.children.items()}, "sample_stats": shifted})
    with pytest.raises(CannotMove, match="does not come back"):
        Space(replace(beta_fit, draws=draws))
