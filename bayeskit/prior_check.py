"""Draws from the prior, and what data the prior expects.

Everything is NumPy: a prior predictive check should not cost a compilation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.errors import SpecificationError

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder

__all__ = ["PriorPredictive", "draw_prior", "log_jacobian", "log_prior", "prior_draws", "prior_predictive"]

_TRIES = 100_000


def draw_prior(
    spec: ModelBuilder, statistics: xr.Dataset, rng: np.random.Generator, dials: Mapping[str, float] | None = None
) -> dict[str, np.ndarray]:
    """One draw of every variable with a prior, in the order of the assumptions; constraints by rejection.

    Rejection is exact: a draw is kept with probability equal to the weight of the constraints (each at most
    1).

    Raises
    ------
    SpecificationError
        If the constraints reject 100,000 draws in a row: they contradict the priors.
    """
    values_of = spec.set_dials(statistics, dials)
    assumptions = spec.assumptions(statistics)
    for _ in range(_TRIES):
        values: dict[str, np.ndarray] = {}
        for assumption in assumptions:
            if assumption.prior is not None:
                shape = tuple(int(statistics.sizes[d]) for d in assumption.prior.dims)
                params = assumption.parameters(values_of)
                values[assumption.name] = assumption.prior.random(rng, shape, params, values)
        weights = spec.log_constraint({k: v[None] for k, v in values.items()}, statistics, values_of)
        over = [name for name, w in weights.items() if np.ravel(w)[0] > 1e-9]
        if over:
            raise SpecificationError(
                f"The log weight of constraint '{over[0]}' is {np.ravel(weights[over[0]])[0]:g}. It must be at most 0: "
                "draws from the prior are kept with the weight as their probability."
            )
        log_weight = sum(float(np.ravel(w)[0]) for w in weights.values())
        if log_weight >= 0.0 or np.log(rng.uniform()) < log_weight:
            return values
    raise SpecificationError(f"The constraints of {type(spec).__name__} rejected {_TRIES} draws from the prior in a row.")


def prior_draws(
    spec: ModelBuilder, statistics: xr.Dataset, dials: Mapping[str, float], draws: int, rng: np.random.Generator
) -> xr.Dataset:
    """Draws from the prior in the form of a posterior group (one chain)."""
    import xarray as xr

    samples = [spec.draw_prior(statistics, rng, dials) for _ in range(draws)]  # a model may know a faster way
    dims = {a.name: a.prior.dims for a in spec.assumptions(statistics) if a.prior is not None}
    coords = {d: statistics[d] for d in {x for v in dims.values() for x in v} if d in statistics.coords}
    return xr.Dataset(
        {n: (("chain", "draw", *d), np.stack([s[n] for s in samples])[None]) for n, d in dims.items()},
        coords={**coords, "chain": [0], "draw": np.arange(draws)},
    )


def log_prior(
    spec: ModelBuilder,
    statistics: xr.Dataset,
    dials: Mapping[str, float],
    draws: xr.Dataset,
    only: str | None = None,
) -> dict[str, np.ndarray]:
    """Log prior density of each assumption, per draw, on the natural scale.

    Parameters
    ----------
    draws : Dataset
        Dimensions chain and draw first.
    only : str, optional
        Name of the one assumption that is wanted; an empty result where it has no density.

    Returns
    -------
    dict of str to ndarray, shape (chains, draws)
        One entry for every assumption with a prior and for every constraint.
    """
    shape = (draws.sizes["chain"], draws.sizes["draw"])
    assumptions = spec.assumptions(statistics)
    priors = {a.name: a.prior for a in assumptions if a.prior is not None}
    # of one prior only the draws that it reads: pooling all of them is most of the work
    needed = [only, *priors[only].references.values()] if only is not None and only in priors else list(priors)
    values = _pooled(needed, draws)
    out = {}
    for assumption in assumptions:
        if assumption.prior is not None and only in (None, assumption.name):
            density = assumption.prior.log_density(values[assumption.name], assumption.parameters(dials), values)
            out[assumption.name] = density.reshape(shape)
    if only in priors:
        return out
    for name, weight in spec.log_constraint(values, statistics, dials).items():
        if only in (None, name):
            out[name] = np.asarray(weight).reshape(shape)
    return out


def log_jacobian(spec: ModelBuilder, statistics: xr.Dataset, dials: Mapping[str, float], draws: xr.Dataset) -> np.ndarray:
    """Log Jacobian from the coordinates in which variables are sampled to the natural scale, per draw.

    The sampler's log density is log prior + log likelihood + this; for graphs without coordinates of their
    own.

    Returns
    -------
    ndarray, shape (chains, draws)
    """
    shape = (draws.sizes["chain"], draws.sizes["draw"])
    assumptions = spec.assumptions(statistics)
    values = _pooled([a.name for a in assumptions if a.prior is not None], draws)
    out = np.zeros(shape)
    for assumption in assumptions:
        if assumption.prior is not None:
            params = assumption.parameters(dials)
            out += assumption.prior.log_jacobian(values[assumption.name], params, values).reshape(shape)
    return out


def _pooled(names: Sequence[str], draws: xr.Dataset) -> dict[str, np.ndarray]:
    """Draws of variables, chains one after the other."""
    arrays = {n: draws[n].transpose("chain", "draw", ...).values for n in names}
    return {n: v.reshape(v.shape[0] * v.shape[1], *v.shape[2:]) for n, v in arrays.items()}


@dataclass(frozen=True)
class PriorPredictive:
    """What the prior expects of data of a given design.

    Attributes
    ----------
    estimands : Dataset
        Estimands under the prior, dimensions chain (1), draw and their own.
    statistics : Dataset
        Statistics of the simulated tables, with a leading dimension ``draw``.
    observed : Dataset
        The statistics of the table itself.
    refused : int
        Simulated tables that the model would not take as data, such as ones without any event; the others are compared.
    """

    estimands: Any
    statistics: Any
    observed: Any
    refused: int = 0

    def tail(self, name: str) -> np.ndarray:
        """Share of simulated values at or below the observed one, per element of a statistic."""
        simulated, observed = self.statistics[name].values, self.observed[name].values
        return np.asarray((simulated < observed).mean(0) + 0.5 * (simulated == observed).mean(0))

    def __repr__(self) -> str:
        size = self.statistics.sizes["draw"]
        lines = [f"PriorPredictive: {size} simulated tables of the same design"]
        if self.refused:
            lines[0] += f"; {self.refused} of {size + self.refused} are left out, for the model takes no such data"
        for name in self.statistics:
            tail = self.tail(str(name))
            out = float(np.mean((tail < 0.005) | (tail > 0.995)))
            lines.append(f"  {name}: {out:.0%} of its observed values lie outside the central 99 % of the prior prediction")
        return "\n".join(lines)


def prior_predictive(
    spec: ModelBuilder, statistics: xr.Dataset, dials: Mapping[str, float], *, draws: int = 200, seed: int | None = None
) -> PriorPredictive:
    """Simulate tables of the same design from the prior and reduce them as the observed one was.

    Statistics whose shape depends on the data (observed patterns) are left out: they have nothing to compare
    with. Tables that the model refuses as data are counted.

    Raises
    ------
    SpecificationError
        If it refuses all of them.
    """
    import xarray as xr

    from bayeskit.errors import DataError, SpecificationError

    rng = np.random.default_rng(seed)
    simulated: list[xr.Dataset] = []
    refused: list[DataError] = []
    for _ in range(draws):
        simulation = spec.simulate(rng, like=statistics, dials=dials)
        try:
            simulated.append(spec.statistics(simulation.table))
        except DataError as fault:
            refused.append(fault)
    if not simulated:
        raise SpecificationError(
            f"The prior gives no table that the model takes as data: all {draws} were refused, the first because "
            f"{str(refused[0]).splitlines()[0]} Look at the priors of the parameters that the tables depend on."
        )
    filled = [n for n, v in statistics.data_vars.items() if v.size]
    names = [n for n in filled if all(n in s and s[n].shape == statistics[n].shape for s in simulated)]
    stacked = xr.Dataset({n: (("draw", *statistics[n].dims), np.stack([s[n].values for s in simulated])) for n in names})
    prior = prior_draws(spec, statistics, dials, draws, rng)
    return PriorPredictive(spec.estimands_under(prior, statistics, dials), stacked, statistics[names], len(refused))
