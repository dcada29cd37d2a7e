"""The draws of a fit on the sampler's coordinates, where every point of the real space is a legal one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.engine import compiled_for
from bayeskit.prior_check import log_jacobian, log_prior

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.assumptions import Prior
    from bayeskit.fit import Fit

__all__ = ["CannotMove", "Space"]

_RETURN = 1e-6  # largest relative gap of the log density at the draws: the coordinates here are the sampler's, or they are not

FloatArray = NDArray[np.float64]


class CannotMove(Exception):
    """Draws of this fit have no coordinates that can be moved; the message says why. Never shown as an error."""


class Space:
    """Coordinates of the draws of a fit, and the log density at any others.

    Attributes
    ----------
    draws : ndarray, shape (S, D)
        Coordinates of the draws, chains one after the other.
    log_density : ndarray, shape (S,)
        The sampler's log density there.

    Raises
    ------
    CannotMove
        For a graph with coordinates of its own, draws on the edge of their range, or another compiler than numba's.
    """

    def __init__(self, fit: Fit) -> None:
        statistics = fit._need_statistics("move its draws")
        if fit.provenance["sampling"]["backend"] != "numba":
            raise CannotMove("its log density was compiled for another backend than numba")
        self._fit, self._statistics = fit, statistics
        self._compiled = compiled_for(fit.spec, statistics)
        built = self._compiled.built
        if built.coordinates:
            raise CannotMove("the model samples on coordinates of its own, which the draws do not keep")
        # the order of the sampler's coordinates is that in which the graph made the variables
        self._names = tuple(built.variables)
        priors = {a.name: a for a in fit.assumptions if a.prior is not None}
        self._priors: dict[str, Prior] = {n: priors[n].prior for n in self._names}  # type: ignore[misc]
        self._params = {n: priors[n].parameters(fit.dials) for n in self._names}
        self._shapes: list[tuple[int, ...]] = []
        self.draws = self._coordinates(fit.posterior)
        if not np.isfinite(self.draws).all():
            raise CannotMove("some draws lie on the edge of their range, where coordinates are infinite")
        self.log_density = self._check()

    def _parameters(self, name: str, values: Mapping[str, FloatArray], ndim: int) -> dict[str, Any]:
        """Parameters of a prior, those that are other variables with the axes to broadcast."""
        prior, out = self._priors[name], dict[str, Any](self._params[name])
        for key, reference in prior.references.items():
            value = values[reference]
            out[key] = value.reshape(len(value), *(1,) * max(ndim - value.ndim, 0), *value.shape[1:])
        return out

    def _coordinates(self, posterior: xr.Dataset) -> FloatArray:
        pooled = {n: posterior[n].transpose("chain", "draw", ...).values for n in self._names}
        pooled = {n: v.reshape(v.shape[0] * v.shape[1], *v.shape[2:]) for n, v in pooled.items()}
        blocks = []
        for name, x in pooled.items():
            z = self._priors[name].family.coordinates(x, **self._parameters(name, pooled, x.ndim))
            self._shapes.append(z.shape[1:])
            blocks.append(z.reshape(len(z), -1))
        return np.concatenate(blocks, axis=1)

    def _check(self) -> FloatArray:
        """The sampler's density at the draws: where it does not come back, these are not the sampler's coordinates."""
        logp = np.asarray(self._fit.draws["sample_stats"]["logp"].transpose("chain", "draw").values, dtype=float).reshape(-1)
        some = np.linspace(0, len(logp) - 1, 20).astype(int)
        gap = np.abs(self.evaluate(self.draws[some]) - logp[some])
        if not (gap <= _RETURN * (1.0 + np.abs(logp[some]))).all():
            raise CannotMove("the log density does not come back at the draws")
        return logp

    def evaluate(self, points: FloatArray) -> FloatArray:
        """The sampler's log density at points, shape (S, D); -inf where there is none."""
        return self._compiled.log_density(self._statistics, self._fit.dials, points)

    def natural(self, points: FloatArray) -> xr.Dataset:
        """Variables at points, in the form of the posterior of the fit."""
        import xarray as xr

        posterior = self._fit.posterior
        values: dict[str, FloatArray] = {}
        ends = np.cumsum([int(np.prod(s)) for s in self._shapes])[:-1]
        for name, block, shape in zip(self._names, np.split(points, ends, axis=1), self._shapes, strict=True):
            z = block.reshape(len(points), *shape)
            values[name] = self._priors[name].family.natural(z, **self._parameters(name, values, z.ndim))
        arrays = {}
        for variable, value in posterior.data_vars.items():
            like = value.transpose("chain", "draw", ...)
            arrays[variable] = (like.dims, values[str(variable)].reshape(like.shape))
        return xr.Dataset(arrays, coords=posterior.coords)

    def log_likelihood(self, moved: xr.Dataset, log_density: FloatArray) -> FloatArray:
        """Total log likelihood of moved draws: what is left of the log density; shape (chains, draws)."""
        fit, shape = self._fit, (moved.sizes["chain"], moved.sizes["draw"])
        prior = log_prior(fit.spec, self._statistics, fit.dials, moved)
        known = sum(prior.values()) + log_jacobian(fit.spec, self._statistics, fit.dials, moved)
        with np.errstate(invalid="ignore"):
            return np.asarray(log_density.reshape(shape) - known)

    def affordable(self) -> int:
        """How many times all draws can be moved for the price of a refit: its leapfrog steps, in evaluations."""
        used = self._fit.provenance["sampling"]
        steps = float(self._fit.draws["sample_stats"]["n_steps"].sum()) * (1.0 + used["tune"] / used["draws"])
        return int(steps // len(self.draws))
