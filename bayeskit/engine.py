"""Compile once, sample many times.

One compiled model serves every fit of the same specification with the same parameter dimensions, whatever the
data and the dials. Sampling is nutpie's; what this room adds is the cache, seeds, progress, interruption and
storing while it runs.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayeskit.errors import SamplingError, SpecificationError, suggest
from bayeskit.graph import BuiltModel, build, parameter_sizes
from bayeskit.progress import SamplingProgress

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder

__all__ = [
    "METHODS",
    "RUNNING",
    "Compiled",
    "RawDraws",
    "Sampling",
    "clear_cache",
    "compile_count",
    "compiled_for",
    "deletion_effects",
    "fresh_seed",
    "sample",
]

_CACHE: OrderedDict[tuple[Any, ...], list[Compiled]] = OrderedDict()
_CACHE_SIZE = 32
# One run at a time in a process: starting points are computed from the data nodes of the shared model. Processes do not share.
RUNNING = threading.RLock()
_COMPILES = 0
METHODS = ("nuts", "mode")
"""How a posterior can be drawn: sampled, or by the Laplace approximation at its mode."""
STORE_DRAWS = "draws"
"""The zarr store inside the folder of a streamed run; the record of the run lies beside it."""


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    Parameters
    ----------
    draws, tune, chains : int
        Draws kept and draws of warm-up per chain, and the number of chains.
    seed : int or None
        Non-negative; None takes one from the operating system and records it.
    cores : int or None
        Chains that run at the same time; draws do not depend on it.
    target_accept : float or None
        Target acceptance of the step size adaptation; None takes 0.9.
    backend : {"numba", "jax"}
        Compiler of the log density. "jax" needs the extra ``bayeskit[jax]``.
    progress : bool
        Show a progress bar where sampling takes over two seconds.
    store : str or Path, optional
        Folder into which draws are streamed while sampling, so that a killed run can be loaded as PARTIAL.
    method : {"nuts", "mode"}
        Sample, or draw from the Laplace approximation at the posterior mode, which uses neither `tune` nor `target_accept`.
    """

    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    seed: int | None = None
    cores: int | None = None
    target_accept: float | None = None
    backend: Literal["numba", "jax"] = "numba"
    progress: bool = True
    store: str | Path | None = None
    method: str = "nuts"

    def __post_init__(self) -> None:
        for name, low in (("draws", 1), ("tune", 1), ("chains", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
                raise SpecificationError(f"{name}={value!r}: must be a whole number of at least {low}.")
        if self.cores is not None and (
            isinstance(self.cores, bool) or not isinstance(self.cores, int | np.integer) or self.cores < 1
        ):
            raise SpecificationError(f"cores={self.cores!r}: must be a whole number of at least 1, or None.")
        if self.target_accept is not None and not 0.5 <= self.target_accept < 1.0:
            raise SpecificationError(f"target_accept={self.target_accept!r}: must lie in [0.5, 1).")
        if self.backend not in ("numba", "jax"):
            raise SpecificationError(f"backend={self.backend!r}: must be 'numba' or 'jax'.")
        if self.seed is not None and (
            isinstance(self.seed, bool) or not isinstance(self.seed, int | np.integer) or not 0 <= self.seed < 2**63
        ):
            raise SpecificationError(f"seed={self.seed!r}: must be a whole number from 0 to 2**63 - 1.")
        if self.method not in METHODS:
            known = " or ".join(map(repr, METHODS))
            raise SpecificationError(f"method={self.method!r}: must be {known}.{suggest(str(self.method), METHODS)}")
        if self.method == "mode" and self.store is not None:
            raise SpecificationError("store= streams the draws of a sampler; method='mode' has none: leave one of the two out.")


@dataclass(frozen=True)
class RawDraws:
    """What came out of the sampler: draws, whether the run was cut short, and the constraints of its graph."""

    draws: Any
    partial: bool
    seed: int
    constraints: tuple[str, ...] = ()


@dataclass
class Compiled:
    """A graph and the functions that were compiled from it, each on first use and once."""

    built: BuiltModel
    backend: str
    functions: dict[str, Any] = field(default_factory=dict)

    def function(self, name: str, make: Callable[[BuiltModel], Any]) -> Any:
        """Return the function of that name, made by `make` the first time."""
        if name not in self.functions:
            self.functions[name] = make(self.built)
        return self.functions[name]

    @property
    def program(self) -> Any:
        """The sampler's program."""
        return self.function("sampler", self._compile)

    def _compile(self, built: BuiltModel) -> Any:
        global _COMPILES
        if self.backend == "numba":
            from bayeskit.program import compile_program

            program = compile_program(built.model, built.jittered)
        else:
            program = _compile_with_jax(built)
        _COMPILES += 1
        return program

    def for_data(self, statistics: xr.Dataset, dials: Mapping[str, float]) -> Any:
        """Return the sampler's program for these data and dials."""
        program = self.program
        # Starting points are computed from the nodes of the model, not from the program's data: without this, draws
        # would depend on what the compiled model was used for before.
        self.set_data(statistics, dials)
        # without those that the compiler found to be unused; nutpie's two backends keep the names in different places
        keys = getattr(program, "shared_var_keys", None)
        known = {node.name for node in keys} if keys is not None else set(program._shared_data)
        updates = self.built.updates(statistics, dials)
        return program.with_data(**{k: v for k, v in updates.items() if k in known})

    def set_data(self, statistics: xr.Dataset, dials: Mapping[str, float]) -> None:
        """Give the data nodes of the model new values."""
        for name, value in self.built.updates(statistics, dials).items():
            self.built.model[name].set_value(value)

    def log_likelihood(self, statistics: xr.Dataset, dials: Mapping[str, float], parameters: Mapping[str, np.ndarray]) -> float:
        """Total log likelihood at one value of every variable that has a prior, on the natural scale."""
        function = self.function("likelihood", _likelihood_function)
        self.set_data(statistics, dials)
        return float(function(*[np.asarray(parameters[n], dtype=float) for n in self.built.variables]))

    def log_density(self, statistics: xr.Dataset, dials: Mapping[str, float], points: np.ndarray) -> np.ndarray:
        """The sampler's log density at points on its own coordinates, shape (S, D); -inf where it is not a number.

        By the sampler's own machine code (numba only), one point after the other: a point costs what a leapfrog step costs.
        """
        density = self.program.logp_func
        with RUNNING:
            self.set_data(statistics, dials)
            data = [node.get_value(borrow=True) for node in density.get_shared()]
            evaluate = density.vm.jit_fn
            out = np.array([float(evaluate(point, *data)[0]) for point in np.ascontiguousarray(points, dtype=float)])
        return np.where(np.isnan(out), -np.inf, out)

    def log_likelihoods(self, statistics: xr.Dataset, dials: Mapping[str, float], draws: xr.Dataset) -> np.ndarray:
        """Total log likelihood at every draw, shape (chains, draws)."""
        function = self.function("likelihood", _likelihood_function)
        self.set_data(statistics, dials)
        values = [draws[n].transpose("chain", "draw", ...).values.astype(float) for n in self.built.variables]
        chains, length = draws.sizes["chain"], draws.sizes["draw"]
        found = [float(function(*[v[c, d] for v in values])) for c in range(chains) for d in range(length)]
        return np.array(found).reshape(chains, length)


def _compile_with_jax(built: BuiltModel) -> Any:
    import nutpie

    try:
        from bayeskit.fused import register_jax

        register_jax()
        return nutpie.compile_pymc_model(built.model, backend="jax", freeze_model=False, jitter_rvs=built.jittered)
    except ImportError as error:
        raise SpecificationError("backend='jax' needs the extra: install bayeskit[jax], or leave backend='numba'.") from error


def quick_mode() -> Any:
    """Compile in a fraction of a second for functions that are called some hundred times, not millions.

    Nodes run one by one in NumPy (fused kernels as they are). The rewrites for numerical stability are kept,
    without which log(sigmoid(-800)) is -inf: values agree with the sampler's to rounding.
    """
    from pytensor.compile import mode

    base: Any = mode.FAST_COMPILE
    # as in the sampler's own function: dials are checked when they are given (see `graph.build`)
    return base.including("stabilize", "specialize", "local_remove_check_parameter")


def _likelihood_function(built: BuiltModel) -> Any:
    from pytensor.compile.maker import function

    return function(list(built.variables.values()), built.log_likelihood, on_unused_input="ignore", mode=quick_mode())


def _key(spec: ModelBuilder, statistics: xr.Dataset, backend: str) -> tuple[Any, ...]:
    """What decides the graph, but for the sizes in `BuiltModel.sizes`. The class itself: a notebook may redefine it."""
    assumptions = spec.assumptions(statistics)
    parameter_sizes(statistics, assumptions)
    declared = tuple(
        (a.name, tuple(a.dials), a.prior and (a.prior.dist, a.prior.dims, tuple(a.prior.references.items())))
        for a in assumptions
    )
    structure = json.dumps({str(k): v for k, v in statistics.attrs.items()}, sort_keys=True, default=str)
    layout = tuple((str(n), v.dims, v.dtype.kind in "iub") for n, v in sorted(statistics.data_vars.items(), key=str))
    return type(spec), spec.to_json(), declared, structure, layout, backend


def deletion_effects(
    spec: ModelBuilder, draws: xr.Dataset, statistics: xr.Dataset, by: str, dials: Mapping[str, float]
) -> xr.DataArray:
    """What each unit adds to the log likelihood at every draw, by taking it away; see `ModelBuilder.log_likelihood_of`."""
    import xarray as xr

    counts = spec.check_unit(statistics, by)
    with RUNNING:  # the data nodes of the compiled model are shared
        total = compiled_for(spec, statistics).log_likelihoods(statistics, dials, draws)
        found = np.empty((*total.shape, counts.sizes["unit"]))
        for place in range(found.shape[-1]):
            less = spec.drop_units(statistics, by, np.array([place]))
            found[..., place] = total - compiled_for(spec, less).log_likelihoods(less, dials, draws)
    coords = {d: draws[d].values for d in ("chain", "draw") if d in draws.coords} | {"unit": counts["unit"].values}
    return xr.DataArray(found, coords, ("chain", "draw", "unit"), name="log_likelihood")


def compile_count() -> int:
    """How many models this process has compiled: a sweep over dials or data should not raise it."""
    return _COMPILES


def clear_cache() -> None:
    """Forget the compiled models of this process."""
    _CACHE.clear()


def compiled_for(spec: ModelBuilder, statistics: xr.Dataset, backend: str = "numba") -> Compiled:
    """The compiled model for a specification and the shape of its parameters: from the cache, or built now."""
    key = _key(spec, statistics, backend)
    for compiled in _CACHE.get(key, ()):
        if compiled.built.serves(statistics):
            _CACHE.move_to_end(key)
            return compiled
    made = Compiled(build(spec, statistics), backend)
    _CACHE.setdefault(key, []).append(made)
    _CACHE.move_to_end(key)
    while sum(map(len, _CACHE.values())) > _CACHE_SIZE:
        oldest = next(iter(_CACHE))
        _CACHE[oldest].pop(0)
        if not _CACHE[oldest]:
            del _CACHE[oldest]
    return made


def fresh_seed() -> int:
    """A seed from the operating system, small enough to be written down."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def sample(spec: ModelBuilder, statistics: xr.Dataset, dials: Mapping[str, float], settings: Sampling) -> RawDraws:
    """Sample the posterior of `spec` given `statistics` and `dials`.

    Raises
    ------
    SamplingError
        If no chain could be started, naming what to look at.

    Notes
    -----
    An interruption (Ctrl-C) ends the run and returns what there is, with ``partial=True``.
    """
    import nutpie
    from threadpoolctl import threadpool_limits

    seed = fresh_seed() if settings.seed is None else int(settings.seed)
    with RUNNING, SamplingProgress(settings.progress) as progress:
        progress.stage("Compiling (once for this specification)")
        compiled = compiled_for(spec, statistics, settings.backend)
        program = compiled.for_data(statistics, dials)
        progress.stage("Sampling", total=settings.chains * (settings.draws + settings.tune))
        with threadpool_limits(1):
            try:
                handle = nutpie.sample(
                    program,
                    draws=settings.draws,
                    tune=settings.tune,
                    chains=settings.chains,
                    cores=min(settings.chains, settings.cores or os.cpu_count() or 1),
                    seed=seed,
                    save_warmup=False,
                    progress_bar=False,
                    progress_callback=progress.update if settings.progress else None,
                    blocking=False,
                    zarr_store=_zarr_store(settings.store),
                    target_accept=settings.target_accept or 0.9,
                )
                draws, partial = _wait(handle)
            except RuntimeError as error:
                raise SamplingError(_explain(error)) from error
    return RawDraws(draws, partial, seed, compiled.built.constraints)


def _zarr_store(path: str | Path | None) -> Any:
    if path is None:
        return None
    from nutpie import zarr_store

    return zarr_store.LocalStore(str(Path(path) / STORE_DRAWS), mkdir=True)


def _wait(handle: Any) -> tuple[Any, bool]:
    """Wait for the sampler in short steps, so that Ctrl-C is seen and answered with the draws there are."""
    try:
        while True:
            try:
                return handle.wait(timeout=0.25), False
            except TimeoutError:
                continue
    except KeyboardInterrupt:
        return handle.abort(), True


def _explain(error: RuntimeError) -> str:
    text = str(error)
    if "initialization points failed" in text:
        return (
            "No chain could be started: the log density is not finite at any starting point. The data passed intake, so "
            "look at the priors and dials: spec.prior_predictive(table) shows whether they can produce such data."
        )
    return f"The sampler stopped: {text.splitlines()[0] if text else 'no reason given'}"
