"""The base class of every model: six declarations in, everything else out.

A model is a frozen specification. It holds no data and no state; it can be written as JSON, compared by value
and shared between processes. It declares what a row means, which statistics the likelihood needs, what it
assumes, its graph, what people ask of it and how to simulate it. From these the kit gives fitting, prior
prediction, modes, likelihood values, calibration, storage, sensitivity and reports.
"""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from bayeskit.assumptions import Assumption, Prior
from bayeskit.errors import SpecificationError, show, suggest
from bayeskit.hooks import ModelHooks

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayeskit.calibration import Calibration
    from bayeskit.fit import Fit
    from bayeskit.graph import Graph
    from bayeskit.intake import Column, Rows
    from bayeskit.mode import Mode
    from bayeskit.prior_check import PriorPredictive

__all__ = ["ModelBuilder", "Simulation", "plain"]


@dataclass(frozen=True)
class Simulation:
    """Parameters and the data that they gave.

    Attributes
    ----------
    table : pandas.DataFrame
        Rows as a user would bring them, with the column names of the specification.
    parameters : dict of str to ndarray
        The value of every variable that has a prior, on its natural scale.
    """

    table: pd.DataFrame
    parameters: dict[str, np.ndarray]


class ModelBuilder(ModelHooks, ABC):
    """A frozen specification of a model: subclass it as a frozen dataclass and write the six declarations.

    The laws a subclass obeys, checked by the contract tests over every registered model:

    * ``reduce`` depends on the rows as a set: their order does not matter.
    * ``graph`` takes every number that may change from ``graph.data`` and ``graph.dial``.
    * ``estimands`` needs only the variables that have a prior, so it can be evaluated at true parameters too.
    * ``simulate`` draws from exactly the prior and likelihood of ``graph``.
    """

    fit_class: ClassVar[type[Fit] | None] = None
    """The `Fit` subclass with the questions people ask of this model; None for the plain one."""

    row_level_statistics: ClassVar[bool] = False
    """True where `reduce` keeps rows (which may be patients): then they are saved only when asked."""

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """Refuse unknown settings with a suggestion before the dataclass sees them."""
        known = [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
        for name, value in settings.items():
            if name not in known:
                told = _dial_told(name, value) or suggest(name, known)
                raise SpecificationError(f"{cls.__name__} has no setting {name!r}.{told} Its settings: {', '.join(known)}.")
        return super().__new__(cls)

    row_dims: ClassVar[tuple[str, ...]] = ()
    """Dimensions of such statistics whose entries are single rows. What has none of them is saved in any case, so that a loaded
    run can list its assumptions, be reweighted and predict."""

    # -- the six declarations
    # -------------------------------------------------------------------------------------

    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """What a row of the user's table means: one `Column` for each thing that the model reads."""

    @abstractmethod
    def reduce(self, rows: Rows) -> xr.Dataset:
        """The statistics that the likelihood needs, as a Dataset with named dimensions.

        Attributes of the Dataset are structural: a different value means a different compiled model.
        """

    @abstractmethod
    def assumptions(self, statistics: xr.Dataset) -> tuple[Assumption, ...]:
        """Everything the answer rests on, in the order in which variables depend on one another."""

    @abstractmethod
    def graph(self, graph: Graph) -> None:
        """Write the PyMC graph: priors, constraints and likelihood, through the given `Graph`."""

    @abstractmethod
    def estimands(self, draws: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        """What people ask for, as draws.

        Each DataArray has dimensions chain, draw and its own, and attributes ``label``, ``units`` and
        ``headline``.
        """

    @abstractmethod
    def simulate(
        self,
        rng: np.random.Generator | int | None = None,
        *,
        like: xr.Dataset | None = None,
        parameters: Mapping[str, np.ndarray] | None = None,
        dials: Mapping[str, float] | None = None,
        **sizes: int,
    ) -> Simulation:
        """Draw parameters from the prior (or take those given) and a table from the likelihood.

        With `like` the table has the design of those statistics; otherwise the design that `sizes` describe.
        """

    # -- what the kit gives
    # ---------------------------------------------------------------------------------------

    def without(self, statistics: xr.Dataset, by: str, units: str | int | Sequence[str | int]) -> xr.Dataset:
        """The same statistics with the data of some units removed; parameters stay, and follow their prior.

        Parameters
        ----------
        statistics : Dataset
            Sufficient statistics.
        by : str
            Kind of unit, one of ``spec.units(statistics)``.
        units : str, int or sequence of them
            Labels, or positions in ``spec.unit_counts(statistics, by)``. A unit that stands for several identical rows loses
            one of them for every time it is named.

        Raises
        ------
        SpecificationError
            For an unknown kind of unit, an unknown unit, or one named more often than there are rows like it.
        """
        places = self.find_units(statistics, by, units)
        return self.drop_units(statistics, by, places)

    def find_units(self, statistics: xr.Dataset, by: str, units: str | int | Sequence[str | int]) -> np.ndarray:
        """Positions of units in ``unit_counts(statistics, by)``; raises as `without` does."""
        counts = self.check_unit(statistics, by)
        labels = [str(x) for x in counts["unit"].values]
        where = {label: place for place, label in enumerate(labels)}
        places = []
        for unit in [units] if isinstance(units, str | int | np.integer) else list(units):
            place = where.get(unit, -1) if isinstance(unit, str) else int(unit)
            if not 0 <= place < len(labels):
                hint = suggest(unit, labels) if isinstance(unit, str) else ""
                known = ", ".join(labels[:6]) + (", ..." if len(labels) > 6 else "")
                raise SpecificationError(f"No {by} {unit!r}.{hint} There are {len(labels)}: {known}.")
            places.append(place)
        found = np.array(places, dtype=np.int64)
        asked = np.bincount(found, minlength=len(labels))
        over = np.flatnonzero(asked > counts.values)
        if len(over):
            u = over[0]
            raise SpecificationError(
                f"{by} {labels[u]!r} is to be removed {asked[u]} times; there are {int(counts[u])} like it."
            )
        return found

    def check_unit(self, statistics: xr.Dataset, by: str) -> xr.DataArray:
        """The units of one kind, or an error that says which kinds there are."""
        known = self.units(statistics)
        if by not in known:
            told = f"It knows: {', '.join(known)}." if known else "It declares none: override units() and drop_units()."
            raise SpecificationError(f"{type(self).__name__} has no units by={by!r}.{suggest(str(by), known)} {told}")
        return self.unit_counts(statistics, by)

    def dependencies(self, statistics: xr.Dataset) -> dict[str, tuple[str, ...]]:
        """Which assumptions enter each prior, each constraint and each likelihood; see `bayeskit.dependencies.dependencies`."""
        from bayeskit.dependencies import dependencies

        return dependencies(self, statistics)

    def encode(self, table: Any) -> Rows:
        """Validate a table and code its columns; raises `DataError` on the first fault found."""
        from bayeskit.intake import encode

        return encode(table, self.columns())

    def statistics(self, table: Any) -> xr.Dataset:
        """The sufficient statistics of a table."""
        return self.reduce(self.encode(table))

    def aggregated(self, statistics: xr.Dataset) -> xr.Dataset | None:
        """What of the statistics is about no single row; None where nothing is."""
        if not self.row_level_statistics:
            return statistics
        if not self.row_dims:
            return None
        return statistics.drop_vars([n for n, v in statistics.variables.items() if set(v.dims) & set(self.row_dims)])

    def dials(self, statistics: xr.Dataset) -> dict[str, float]:
        """The default value of every dial."""
        return {k: d.value for a in self.assumptions(statistics) for k, d in a.dials.items()}

    def set_dials(self, statistics: xr.Dataset, changes: Mapping[str, float] | None) -> dict[str, float]:
        """All dials with some changed; an unknown name or a value out of range is a `SpecificationError`."""
        known = {k: d for a in self.assumptions(statistics) for k, d in a.dials.items()}
        values = {k: d.value for k, d in known.items()}
        for name, value in (changes or {}).items():
            if name not in known:
                told = suggest(name, known)
                if name in {f.name for f in dataclasses.fields(self)}:  # type: ignore[arg-type]
                    told = f" It is a setting of the specification: {type(self).__name__}({name}=...), or -s {name}=...."
                raise SpecificationError(f"{type(self).__name__} has no dial {name!r}.{told} Its dials: {', '.join(known)}.")
            values[name] = known[name].check(value)
        for assumption in self.assumptions(statistics):
            if assumption.prior is not None:
                assumption.prior.replace(**assumption.parameters(values))  # bounds that hold jointly: lower < upper
        return values

    def fit(
        self,
        table: Any,
        *,
        draws: int = 1000,
        tune: int = 1000,
        chains: int = 4,
        seed: int | None = None,
        cores: int | None = None,
        target_accept: float | None = None,
        progress: bool = True,
        dials: Mapping[str, float] | None = None,
        backend: Literal["numba", "jax"] = "numba",
        store: str | Path | None = None,
        method: str | None = None,
    ) -> Any:
        """Fit the model to a table.

        Parameters
        ----------
        table : DataFrame (pandas, polars, arrow), mapping of arrays, or path (CSV, Parquet, glob)
            Rows in the sense of `columns`.
        draws, tune, chains : int
            Draws and warm-up draws per chain, and the number of chains (fewer than four cannot PASS).
        seed : int, optional
            The same seed gives the same draws on the same machine, whatever `cores`. Recorded if not given.
        cores : int, optional
            Chains that run at the same time.
        target_accept : float, optional
            Target acceptance of the step size adaptation (`default_target_accept` of the model).
        progress : bool
            Show a progress bar.
        dials : mapping, optional
            Other values for some dials.
        backend : {"numba", "jax"}
            Compiler of the log density.
        store : path, optional
            Folder into which draws are streamed, so that a killed run can be loaded (as PARTIAL).
        method : {"nuts", "mode"}, optional
            Sample by NUTS, or draw from the Laplace approximation at the posterior mode, corrected by importance weights and
            refused by the verdict where these are bad (`bayeskit.laplace`). By default what the model names.

        Returns
        -------
        Fit
            Immutable result; ``fit.verdict`` says whether to trust it.

        Raises
        ------
        DataError
            A fault in the table, before anything compiles.
        SpecificationError
            An illegal sampling setting or dial.
        SamplingError
            If no chain could be started, or the posterior has no mode for the approximation.
        """
        from bayeskit.engine import Sampling
        from bayeskit.fit import run

        target = self.default_target_accept if target_accept is None else target_accept
        settings = Sampling(draws, tune, chains, seed, cores, target, backend, progress, store, method or self.method)
        rows = self.encode(table)
        return run(self, self.reduce(rows), settings, dials=dials, rows=rows)

    def log_likelihood(self, table: Any, parameters: Mapping[str, Any], *, dials: Mapping[str, float] | None = None) -> float:
        """Total log likelihood of a table at one value of every variable that has a prior (natural scale)."""
        from bayeskit.mode import likelihood_at

        statistics = self.statistics(table)
        return likelihood_at(self, statistics, self.set_dials(statistics, dials), parameters)

    def mode(
        self,
        table: Any,
        *,
        prior: bool = True,
        dials: Mapping[str, float] | None = None,
        starts: int = 4,
        seed: int = 0,
    ) -> Mode:
        """Posterior mode on the natural scale, or with ``prior=False`` the maximum of the likelihood.

        The result's ``status`` refuses to call a ridge or a boundary a fit.
        """
        from bayeskit.mode import find_mode

        statistics = self.statistics(table)
        return find_mode(self, statistics, self.set_dials(statistics, dials), prior=prior, starts=starts, seed=seed)

    def prior_predictive(
        self, table: Any, *, draws: int = 200, seed: int | None = None, dials: Mapping[str, float] | None = None
    ) -> PriorPredictive:
        """Statistics and estimands that the prior expects for a table of this design, beside those observed."""
        from bayeskit.prior_check import prior_predictive

        statistics = self.statistics(table)
        return prior_predictive(self, statistics, self.set_dials(statistics, dials), draws=draws, seed=seed)

    def calibrate(self, *, simulations: int = 200, seed: int = 0, progress: bool = True, **sizes: Any) -> Calibration:
        """Simulation-based calibration on one compiled model; see `bayeskit.calibration.calibrate`."""
        from bayeskit.calibration import calibrate

        if self.no_calibration:
            raise SpecificationError(f"{type(self).__name__} cannot be calibrated as it is: {self.no_calibration}")
        return calibrate(self, simulations=simulations, seed=seed, progress=progress, **sizes)

    def draw_prior(
        self, statistics: xr.Dataset, rng: np.random.Generator, dials: Mapping[str, float] | None = None
    ) -> dict[str, np.ndarray]:
        """One draw of every variable from the prior, constraints included (by rejection)."""
        from bayeskit.prior_check import draw_prior

        return draw_prior(self, statistics, rng, dials)

    # -- storage and identity
    # -------------------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """The settings by name, as JSON-able values."""
        return {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    def to_json(self) -> str:
        """The specification as one line of JSON; `from_json` gives back an equal one."""
        return json.dumps({"model": type(self).__name__, "settings": self.settings()}, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Rebuild a specification; unknown settings and another model's JSON are refused."""
        payload = _parse(text)
        if payload["model"] != cls.__name__:
            raise SpecificationError(
                f"This is a specification of {payload['model']!r}, not of {cls.__name__!r}: use bayeskit.from_json(text)."
            )
        return cls(**{str(k): _revive(v) for k, v in payload["settings"].items()})


def _dial_told(name: str, value: Any) -> str:
    """What to do with a key that is written like a dial. Which dials there are depends on the table, which is not here yet."""
    if "." not in name:
        return ""
    shown = show(value)
    return (
        f" It is written like a dial, a number of an assumption, and dials are given to the fit: "
        f"spec.fit(table, dials={{{name!r}: {shown}}}), or --dial {name}={shown} on the command line."
    )


def _parse(text: str) -> dict[str, Any]:
    try:
        payload = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecificationError(f"A specification is one JSON object; this text is not JSON: {error}.") from None
    if not isinstance(payload, dict) or set(payload) != {"model", "settings"} or not isinstance(payload["settings"], dict):
        raise SpecificationError('A specification is a JSON object {"model": NAME, "settings": {...}}.')
    return payload


def plain(value: Any) -> Any:
    """Return the JSON form of a setting or a structural fact; a `Prior` is tagged, so that it comes back as one."""
    if isinstance(value, Prior):
        return {"__prior__": value.to_dict()}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise SpecificationError(f"A setting must be JSON-able; got {value!r} of type {type(value).__name__}.")


def _revive(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__prior__"}:
            return Prior.from_dict(value["__prior__"])
        return {k: _revive(v) for k, v in value.items()}
    if isinstance(value, list):
        return tuple(_revive(v) for v in value)
    return value
