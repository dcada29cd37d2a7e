"""Compile once, sample many times.

One compiled model serves every fit of the same specification with the same parameter dimensions, whatever the data and
the dials. Sampling is nutpie's; what this room adds is the cache, seeds, progress, interruption and storing while it runs.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayeskit.errors import SamplingError, SpecificationError
from bayeskit.graph import BuiltModel, build, parameter_sizes
from bayeskit.progress import SamplingProgress

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder

__all__ = ["Compiled", "RawDraws", "Sampling", "clear_cache", "compile_count", "compiled_for", "sample"]

_CACHE: OrderedDict[str, Compiled] = OrderedDict()
_CACHE_SIZE = 32
_COMPILES = 0


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

    def __post_init__(self) -> None:
        for name, low in (("draws", 1), ("tune", 1), ("chains", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
                raise SpecificationError(f"{name}={value!r}: must be a whole number of at least {low}.")
        if self.target_accept is not None and not 0.5 <= self.target_accept < 1.0:
            raise SpecificationError(f"target_accept={self.target_accept!r}: must lie in [0.5, 1).")
        if self.backend not in ("numba", "jax"):
            raise SpecificationError(f"backend={self.backend!r}: must be 'numba' or 'jax'.")
        if self.seed is not None and (not isinstance(self.seed, int | np.integer) or not 0 <= self.seed < 2**63):
            raise SpecificationError(f"seed={self.seed!r}: must be a whole number from 0 to 2**63 - 1.")


@dataclass(frozen=True)
class RawDraws:
    """What came out of the sampler: draws, and whether the run was cut short."""

    draws: Any
    partial: bool
    seed: int


@dataclass
class Compiled:
    """A compiled model and, made on first use, the function that evaluates its likelihood at given parameters."""

    built: BuiltModel
    program: Any
    _likelihood: Any = None

    def log_likelihood(
        self, statistics: xr.Dataset, dials: Mapping[str, float], parameters: Mapping[str, np.ndarray]
    ) -> float:
        """Total log likelihood at one value of every free variable, on the natural scale."""
        import pytensor

        model = self.built.model
        names = [rv.name for rv in model.free_RVs]
        if self._likelihood is None:
            self._likelihood = pytensor.function(
                list(model.free_RVs), sum(self.built.likelihoods.values()), on_unused_input="ignore"
            )
        for name, value in self.built.updates(statistics, dials).items():
            model[name].set_value(value)
        return float(self._likelihood(*[np.asarray(parameters[n], dtype=float) for n in names]))


def _key(spec: ModelBuilder, statistics: xr.Dataset, backend: str) -> str:
    sizes = parameter_sizes(statistics, spec.assumptions(statistics))
    structure = json.dumps({str(k): v for k, v in statistics.attrs.items()}, sort_keys=True, default=str)
    return "\n".join([type(spec).__qualname__, type(spec).__module__, spec.to_json(), json.dumps(sizes), structure, backend])


def compile_count() -> int:
    """How many models this process has compiled: a sweep over dials or data should not raise it."""
    return _COMPILES


def clear_cache() -> None:
    """Forget the compiled models of this process."""
    _CACHE.clear()


def compiled_for(spec: ModelBuilder, statistics: xr.Dataset, backend: str = "numba") -> Compiled:
    """The compiled model for a specification and the shape of its parameters: from the cache, or compiled now."""
    global _COMPILES
    key = _key(spec, statistics, backend)
    if key in _CACHE:
        _CACHE.move_to_end(key)
        return _CACHE[key]
    import nutpie

    built = build(spec, statistics)
    try:
        program = nutpie.compile_pymc_model(built.model, backend=backend)
    except ImportError as error:
        raise SpecificationError(
            "backend='jax' needs the extra: install bayeskit[jax], or leave backend='numba'."
        ) from error
    _COMPILES += 1
    _CACHE[key] = Compiled(built, program)
    while len(_CACHE) > _CACHE_SIZE:
        _CACHE.popitem(last=False)
    return _CACHE[key]


def fresh_seed() -> int:
    """A seed from the operating system, small enough to be written down."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def sample(
    spec: ModelBuilder, statistics: xr.Dataset, dials: Mapping[str, float], settings: Sampling
) -> RawDraws:
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
    with SamplingProgress(settings.progress) as progress:
        progress.stage("Compiling (once for this specification)")
        compiled = compiled_for(spec, statistics, settings.backend)
        program = compiled.program.with_data(**compiled.built.updates(statistics, dials))
        progress.stage("Sampling", total=settings.chains * (settings.draws + settings.tune))
        with threadpool_limits(1):
            try:
                handle = nutpie.sample(
                    program,
                    draws=settings.draws,
                    tune=settings.tune,
                    chains=settings.chains,
                    cores=min(settings.chains, settings.cores or os.cpu_count() or 1),
                    seed=seed % 2**64,
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
    return RawDraws(draws, partial, seed)


def _zarr_store(path: str | Path | None) -> Any:
    if path is None:
        return None
    from nutpie import zarr_store

    return zarr_store.LocalStore(str(Path(path)), mkdir=True)


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
