"""The surface on which a model writes its PyMC graph.

A model never calls `pm.Data` or a distribution itself: it asks this object for its statistics, dials and
priors by name. That is what makes every number changeable without compiling, and every prior known to the
sensitivity analysis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.assumptions import Assumption
from bayeskit.errors import SpecificationError, suggest

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder

__all__ = ["LOG_LIKELIHOOD", "BuiltModel", "Graph", "build", "parameter_sizes"]

LOG_LIKELIHOOD = "log_likelihood__total"


DIALS = "dials"
"""Name of the one data node that holds every dial: each further node would cost a third of a second of compilation."""


def parameter_sizes(statistics: xr.Dataset, assumptions: Sequence[Assumption]) -> dict[str, int]:
    """Sizes of the dimensions that parameters have: a compiled model serves any data that agree in these."""
    dims = [d for a in assumptions if a.prior is not None for d in a.prior.dims]
    for dim in dims:
        if dim not in statistics.sizes:
            raise SpecificationError(f"A prior has dimension '{dim}', which the statistics lack: {dict(statistics.sizes)}.")
    return {d: int(statistics.sizes[d]) for d in dict.fromkeys(dims)}


@dataclass
class BuiltModel:
    """A PyMC model with the names of everything in it that may change.

    Attributes
    ----------
    model : pymc.Model
    data_names, dial_names : tuple of str
        Statistics and dials that the graph reads.
    variables : dict of str to PyTensor variable
        The variables that have a prior, also where they are functions of other coordinates.
    likelihoods : dict of str to PyTensor variable
        Total log likelihood by block of data.
    coordinates : tuple of str
        Free coordinates of variables that the graph transforms itself. Where there are any, the Jacobian is
        not known outside the graph, and the draws carry the log likelihood as the variable `LOG_LIKELIHOOD`.
    log_jacobians : tuple
        Log Jacobians of those maps.
    constraints : tuple of str
        Names of the constraints.
    anchored : tuple of str
        Variables whose chains all start at the centre of the prior.
    sizes : dict of str to int
        Sizes of the dimensions of parameters and of every other dimension whose size the graph asked for. The
        compiled model serves any statistics that agree in these.
    """

    model: Any
    data_names: tuple[str, ...]
    dial_names: tuple[str, ...]
    variables: dict[str, Any]
    likelihoods: dict[str, Any]
    coordinates: tuple[str, ...]
    log_jacobians: tuple[Any, ...]
    constraints: tuple[str, ...]
    anchored: tuple[str, ...]
    sizes: dict[str, int]

    @property
    def jittered(self) -> set[Any]:
        """The random variables whose starting points are moved at random."""
        return {v for v in self.model.free_RVs if v.name not in self.anchored}

    @property
    def log_likelihood(self) -> Any:
        """Total log likelihood, a scalar of `variables`."""
        return sum(self.likelihoods.values())

    def serves(self, statistics: xr.Dataset) -> bool:
        """Whether statistics have the sizes that are built into the graph."""
        return all(statistics.sizes.get(dim) == size for dim, size in self.sizes.items())

    def updates(self, statistics: xr.Dataset, dials: Mapping[str, float]) -> dict[str, np.ndarray]:
        """New values for the data nodes of a compiled model."""
        out: dict[str, np.ndarray] = {name: _as_data(statistics[name].values) for name in self.data_names}
        if self.dial_names:
            out[DIALS] = np.array([float(dials[name]) for name in self.dial_names])
        return out


class _Sizes(Mapping[str, int]):
    """Sizes of dimensions that remember which were asked for: those are constants of the compiled graph."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = dict(sizes)
        self.asked: dict[str, int] = {}

    def __getitem__(self, dim: str) -> int:
        self.asked[dim] = self._sizes[dim]
        return self._sizes[dim]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)


@dataclass
class Graph:
    """What a model sees of the kit while it writes its graph.

    Attributes
    ----------
    variables : dict
        The variables created so far, by the name of their assumption.
    sizes : mapping of str to int
        Sizes of every dimension of the statistics.
    structure : mapping
        The structural facts that `reduce` stored in the attributes of the statistics.
    """

    statistics: xr.Dataset
    assumptions: Mapping[str, Assumption]
    variables: dict[str, Any] = field(default_factory=dict)
    likelihoods: dict[str, Any] = field(default_factory=dict)
    _data: dict[str, Any] = field(default_factory=dict)
    _dial_node: Any = None
    _coordinates: list[str] = field(default_factory=list)
    _log_jacobians: list[Any] = field(default_factory=list)
    _constraints: list[str] = field(default_factory=list)
    _potentials: list[str] = field(default_factory=list)
    _anchored: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sizes = _Sizes({str(k): int(v) for k, v in self.statistics.sizes.items()})

    @property
    def sizes(self) -> Mapping[str, int]:
        """Sizes of every dimension of the statistics."""
        return self._sizes

    @property
    def structure(self) -> Mapping[str, Any]:
        """Structural facts stored by `reduce`; they are part of the key of a compiled model."""
        return {str(k): v for k, v in self.statistics.attrs.items()}

    def data(self, name: str) -> Any:
        """A statistic as a symbolic value that can be replaced without compiling."""
        if name == DIALS:
            raise SpecificationError(f"A statistic may not be called {DIALS!r}: that is the node of the dials.")
        if name not in self.statistics:
            raise SpecificationError(f"No statistic named {name!r}.{suggest(name, map(str, self.statistics))}")
        if name not in self._data:
            self._data[name] = _node(name, _as_data(self.statistics[name].values))
        return self._data[name]

    def dial(self, name: str) -> Any:
        """A dial as a symbolic scalar, by its full name ``"assumption.parameter"``."""
        dials = {k: d for a in self.assumptions.values() for k, d in a.dials.items()}
        if name not in dials:
            raise SpecificationError(f"No dial named {name!r}.{suggest(name, dials)}")
        if self._dial_node is None:
            self._dial_node = _node(DIALS, np.array([d.value for d in dials.values()]))
        return self._dial_node[list(dials).index(name)]

    def _prior_parameters(self, assumption: Assumption) -> dict[str, Any]:
        prior = assumption.prior
        assert prior is not None
        out = {key: self.dial(f"{assumption.name}.{key}") for key in prior.numbers}
        return out | {key: self.variables[ref] for key, ref in prior.references.items()}

    def _assumption(self, name: str) -> Assumption:
        if name not in self.assumptions:
            raise SpecificationError(f"No assumption named {name!r}.{suggest(name, self.assumptions)}")
        assumption = self.assumptions[name]
        if assumption.prior is None:
            raise SpecificationError(f"Assumption '{name}' has no prior: it is a {assumption.level}.")
        if name in self.variables:
            raise SpecificationError(f"The graph creates the variable '{name}' twice: take it from graph.variables.")
        for key, ref in assumption.prior.references.items():
            if ref not in self.variables:
                raise SpecificationError(
                    f"The prior of '{name}' takes its {key} from '{ref}', which the graph has not created before it."
                )
        return assumption

    def prior(self, name: str, *, anchored: bool = False) -> Any:
        """Create the variable of an assumption that has a prior, and return it.

        Chains start within one unit of the centre of every prior on the unconstrained scale. An `anchored` variable starts at
        the centre itself: for parts whose labels could be exchanged, where chains that start apart stay in modes of
        negligible mass.
        """
        assumption = self._assumption(name)
        if anchored:
            self._anchored.append(name)
        assert assumption.prior is not None
        variable = assumption.prior.graph(name, self._prior_parameters(assumption), assumption.prior.dims, self.sizes)
        self.variables[name] = variable
        return variable

    def transformed(self, name: str, value: Any, log_jacobian: Any) -> Any:
        """Give an assumption's variable as a function of other coordinates, with the log Jacobian of that map.

        For geometries that sample better than the variable itself. The prior density is added here, so the
        posterior is the same whatever the coordinates. Use what this returns, not `value`: the likelihood at
        given values of the variables is evaluated by cutting the graph there.
        """
        import pymc as pm

        assumption = self._assumption(name)
        prior = assumption.prior
        assert prior is not None
        shape = tuple(self.sizes[d] for d in prior.dims)
        dist = prior.family.dist(shape, self._prior_parameters(assumption))
        variable = pm.Deterministic(name, value, dims=prior.dims or None)
        self._potential(f"{name}__prior", pm.logp(dist, variable).sum() + log_jacobian)
        self._log_jacobians.append(log_jacobian)
        self.variables[name] = variable
        return variable

    def coordinate(self, name: str, shape: tuple[int, ...]) -> Any:
        """Create a free coordinate on the real line with no density of its own, for `transformed`."""
        import pymc as pm

        self._coordinates.append(name)
        return pm.Flat(name, shape=shape)

    def constraint(self, name: str, log_weight: Any) -> None:
        """Add the log weight of a constraint (an assumption without a prior); `log_constraint` is its twin."""
        self._potential(f"{name}__constraint", log_weight)
        self._constraints.append(name)

    def likelihood(self, log_density: Any, name: str = "data") -> None:
        """Add the total log likelihood of one block of data (a scalar)."""
        if getattr(log_density, "ndim", 0) != 0:
            raise SpecificationError(f"The log likelihood of '{name}' has {log_density.ndim} dimensions: sum it to a scalar.")
        self._potential(f"{name}__likelihood", log_density)
        self.likelihoods[name] = log_density

    def _potential(self, name: str, value: Any) -> None:
        import pymc as pm

        pm.Potential(name, value)
        self._potentials.append(name)


def _node(name: str, value: np.ndarray) -> Any:
    """A data node of the current model. Not `pm.Data`, which makes whole numbers 32 bits wide and refuses NaN."""
    import pymc as pm
    from pytensor.compile import sharedvalue

    make: Any = sharedvalue.shared
    node = make(value, name)
    pm.modelcontext(None).register_data_var(node)
    return node


def _as_data(values: np.ndarray) -> np.ndarray:
    """One integer and one float type, so that new data never meet a compiled model with another type."""
    values = np.asarray(values)
    return values.astype(np.int64 if values.dtype.kind in "iub" else np.float64)


def build(spec: ModelBuilder, statistics: xr.Dataset) -> BuiltModel:
    """Build the PyMC model of a specification for the given statistics."""
    import pymc as pm

    assumptions = {a.name: a for a in spec.assumptions(statistics)}
    sizes = parameter_sizes(statistics, list(assumptions.values()))
    # Dials are checked against the range of their prior when they are given, so the compiled density need not do it again.
    with pm.Model(coords={dim: np.arange(size) for dim, size in sizes.items()}, check_bounds=False) as model:
        graph = Graph(statistics, assumptions)
        spec.graph(graph)
        _check(spec, graph, model)
        if graph._coordinates:
            pm.Deterministic(LOG_LIKELIHOOD, sum(graph.likelihoods.values()))
    return BuiltModel(
        model=model,
        data_names=tuple(graph._data),
        dial_names=tuple(k for a in assumptions.values() for k in a.dials) if graph._dial_node is not None else (),
        variables=dict(graph.variables),
        likelihoods=dict(graph.likelihoods),
        coordinates=tuple(graph._coordinates),
        log_jacobians=tuple(graph._log_jacobians),
        constraints=tuple(graph._constraints),
        anchored=tuple(graph._anchored),
        sizes={**sizes, **graph._sizes.asked},
    )


def _check(spec: ModelBuilder, graph: Graph, model: Any) -> None:
    """Refuse a graph whose density is not the sum of declared priors, constraints and likelihood."""
    name = type(spec).__name__
    if not graph.likelihoods:
        raise SpecificationError(f"{name}.graph added no likelihood.")
    unused = [n for n, a in graph.assumptions.items() if a.prior is not None and n not in graph.variables]
    if unused:
        raise SpecificationError(f"Assumptions with a prior that the graph never uses: {', '.join(unused)}.")
    known = {*graph.variables, *graph._coordinates}
    foreign = [v.name for v in model.basic_RVs if v.name not in known]
    foreign += [p.name for p in model.potentials if p.name not in graph._potentials]
    if foreign:
        raise SpecificationError(
            f"{name}.graph made {', '.join(foreign)} with PyMC directly. Every prior is declared in `assumptions` and made "
            "by graph.prior, every other term is added by graph.likelihood or graph.constraint: otherwise neither the "
            "sensitivity analysis nor the log likelihood knows of it."
        )
