"""The surface on which a model writes its PyMC graph.

A model never calls `pm.Data` or a distribution itself: it asks this object for its statistics, dials and priors by name.
That is what makes every number changeable without compiling, and every prior known to the sensitivity analysis.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.assumptions import Assumption
from bayeskit.errors import SpecificationError, suggest

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder

__all__ = ["LOG_LIKELIHOOD", "BuiltModel", "Graph", "build", "dial_key", "parameter_sizes"]

LOG_LIKELIHOOD = "log_likelihood__total"


def dial_key(dial: str) -> str:
    """Name of the graph's data node behind a dial (identifiers only: compiled code is generated from it)."""
    return "dial__" + re.sub(r"\W", "__", dial)


def parameter_sizes(statistics: xr.Dataset, assumptions: Sequence[Assumption]) -> dict[str, int]:
    """Sizes of the dimensions that parameters have: a compiled model serves any data that agree in these."""
    dims = [d for a in assumptions if a.prior is not None for d in a.prior.dims]
    for dim in dims:
        if dim not in statistics.sizes:
            raise SpecificationError(f"A prior has dimension '{dim}', which the statistics lack: {dict(statistics.sizes)}.")
    return {d: int(statistics.sizes[d]) for d in dict.fromkeys(dims)}


@dataclass
class BuiltModel:
    """A PyMC model with the names of everything in it that may change."""

    model: Any
    data_names: tuple[str, ...]
    dial_names: tuple[str, ...]
    likelihoods: dict[str, Any]
    sizes: dict[str, int]

    def updates(self, statistics: xr.Dataset, dials: Mapping[str, float]) -> dict[str, np.ndarray]:
        """New values for the data nodes of a compiled model."""
        out: dict[str, np.ndarray] = {name: _as_data(statistics[name].values) for name in self.data_names}
        out |= {dial_key(name): np.asarray(float(dials[name])) for name in self.dial_names}
        return out


@dataclass
class Graph:
    """What a model sees of the kit while it writes its graph.

    Attributes
    ----------
    sizes : dict of str to int
        Sizes of every dimension of the statistics.
    structure : mapping
        The structural facts that `reduce` stored in the attributes of the statistics.
    """

    statistics: xr.Dataset
    assumptions: Mapping[str, Assumption]
    variables: dict[str, Any] = field(default_factory=dict)
    likelihoods: dict[str, Any] = field(default_factory=dict)
    _data: dict[str, Any] = field(default_factory=dict)
    _dials: dict[str, Any] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of every dimension of the statistics."""
        return {str(k): int(v) for k, v in self.statistics.sizes.items()}

    @property
    def structure(self) -> Mapping[str, Any]:
        """Structural facts stored by `reduce`; they are part of the key of a compiled model."""
        return {str(k): v for k, v in self.statistics.attrs.items()}

    def data(self, name: str) -> Any:
        """A statistic as a symbolic value that can be replaced without compiling."""
        import pymc as pm

        if name not in self.statistics:
            raise SpecificationError(f"No statistic named {name!r}.{suggest(name, map(str, self.statistics))}")
        if name not in self._data:
            self._data[name] = pm.Data(name, _as_data(self.statistics[name].values))
        return self._data[name]

    def dial(self, name: str) -> Any:
        """A dial as a symbolic scalar, by its full name ``"assumption.parameter"``."""
        import pymc as pm

        dials = {k: d for a in self.assumptions.values() for k, d in a.dials.items()}
        if name not in dials:
            raise SpecificationError(f"No dial named {name!r}.{suggest(name, dials)}")
        if name not in self._dials:
            self._dials[name] = pm.Data(dial_key(name), np.asarray(dials[name].value))
        return self._dials[name]

    def _prior_parameters(self, assumption: Assumption) -> dict[str, Any]:
        prior = assumption.prior
        assert prior is not None
        out = {key: self.dial(f"{assumption.name}.{key}") for key in prior.numbers}
        return out | {key: self.variables[ref] for key, ref in prior.references.items()}

    def prior(self, name: str) -> Any:
        """Create the variable of an assumption that has a prior, and return it."""
        assumption = self.assumptions[name]
        if assumption.prior is None:
            raise SpecificationError(f"Assumption '{name}' has no prior: it is a {assumption.level}.")
        variable = assumption.prior.graph(
            name, self._prior_parameters(assumption), assumption.prior.dims, self.sizes
        )
        self.variables[name] = variable
        return variable

    def transformed(self, name: str, value: Any, log_jacobian: Any) -> Any:
        """Give an assumption's variable as a function of other coordinates, with the log Jacobian of that map.

        For geometries that sample better than the variable itself. The prior density is added here, so the posterior
        is the same whatever the coordinates.
        """
        import pymc as pm

        prior = self.assumptions[name].prior
        assert prior is not None
        dist = getattr(pm, prior.dist).dist(**self._prior_parameters(self.assumptions[name]))
        variable = pm.Deterministic(name, value, dims=prior.dims or None)
        pm.Potential(f"{name}__prior", pm.logp(dist, variable).sum() + log_jacobian)
        self.variables[name] = variable
        return variable

    def coordinate(self, name: str, shape: tuple[int, ...]) -> Any:
        """A free coordinate on the real line with no density of its own, for `transformed`."""
        import pymc as pm

        return pm.Flat(name, shape=shape)

    def constraint(self, name: str, log_weight: Any) -> None:
        """Add the log weight of a constraint (an assumption without a prior)."""
        import pymc as pm

        pm.Potential(f"{name}__constraint", log_weight)

    def likelihood(self, log_density: Any, name: str = "data") -> None:
        """Add the total log likelihood of one block of data (a scalar)."""
        import pymc as pm

        pm.Potential(f"{name}__likelihood", log_density)
        self.likelihoods[name] = log_density


def _as_data(values: np.ndarray) -> np.ndarray:
    """One integer and one float type, so that new data never meet a compiled model with another type."""
    values = np.asarray(values)
    return values.astype(np.int64 if values.dtype.kind in "iub" else np.float64)


def build(spec: ModelBuilder, statistics: xr.Dataset) -> BuiltModel:
    """Build the PyMC model of a specification for the given statistics."""
    import pymc as pm

    assumptions = {a.name: a for a in spec.assumptions(statistics)}
    sizes = parameter_sizes(statistics, list(assumptions.values()))
    with pm.Model(coords={dim: np.arange(size) for dim, size in sizes.items()}) as model:
        graph = Graph(statistics, assumptions)
        spec.graph(graph)
        if not graph.likelihoods:
            raise SpecificationError(f"{type(spec).__name__}.graph added no likelihood.")
        unused = [n for n, a in assumptions.items() if a.prior is not None and n not in graph.variables]
        if unused:
            raise SpecificationError(f"Assumptions with a prior that the graph never uses: {', '.join(unused)}.")
        total = sum(graph.likelihoods.values())
        pm.Deterministic(LOG_LIKELIHOOD, total)
    return BuiltModel(model, tuple(graph._data), tuple(graph._dials), dict(graph.likelihoods), sizes)
