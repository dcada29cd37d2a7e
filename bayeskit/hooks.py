"""What a model may say beside its six declarations: hooks, each with a default that is right for most models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self, cast

import numpy as np

from bayeskit.errors import SpecificationError

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder
    from bayeskit.sensitivity.bounds import IdentifiedSet

__all__ = ["ModelHooks"]


class ModelHooks:
    """The hooks of a `ModelBuilder`; override what the model can say better."""

    @property
    def default_target_accept(self) -> float:
        """Target acceptance of the step size adaptation where none is asked for."""
        return 0.9

    # -- what a report prints
    # ---------------------------------------------------------------------------------------

    @property
    def checklists(self) -> tuple[str, ...]:
        """Names of the reporting checklists that apply; see `bayeskit.report.CHECKLISTS`."""
        return ("BARG", "WAMBS", "ROBUST")

    def equations(self) -> tuple[str, ...]:
        """The likelihood and how parameters enter it, one plain line of mathematics each; priors are added by the kit."""
        return ()

    def data_facts(self, statistics: xr.Dataset) -> dict[str, int | float | str]:
        """What a table holds, by name: rows by kind, events, follow-up.

        A number is one of rows or people, so that a report may suppress a small one; anything else is text. `statistics` may be
        a `Fit.aggregate`, which has no rows.
        """
        return {}

    def test_quantities(self, statistics: xr.Dataset, observed: xr.Dataset) -> dict[str, float]:
        """Numbers by which replicated tables are compared with the observed one, by name.

        `statistics` are those of any table, `observed` those of the observed one, for what has to be the same in all: times,
        categories. Nothing else of `observed` may enter.

        By default the mean of every statistic that is no single row's. The check leaves out what is the same in every table.
        """
        known = cast("ModelBuilder", self).aggregated(statistics)
        found = (
            {} if known is None else {str(n): v.values for n, v in known.data_vars.items() if v.dtype.kind in "iuf" and v.size}
        )
        return {f"mean of {n}": float(np.mean(v)) for n, v in found.items() if np.isfinite(v).all()}

    def limits(self) -> tuple[str, ...]:
        """What answers of this specification cannot say, one sentence each."""
        return ()

    @property
    def method(self) -> str:
        """How it is fitted where nothing is asked for: "nuts", or "mode" for the Laplace approximation."""
        return "nuts"

    @property
    def no_calibration(self) -> str:
        """Why simulation-based calibration makes no sense for this specification and what to do; empty where it does."""
        return ""

    def log_constraint(
        self, values: Mapping[str, np.ndarray], statistics: xr.Dataset, dials: Mapping[str, float]
    ) -> dict[str, np.ndarray]:
        """Log weight (at most 0) of every constraint, per draw: the NumPy twin of ``graph.constraint``.

        `values` maps variables to arrays with the draws first. Needed only by models that have constraints.
        """
        return {}

    def units(self, statistics: xr.Dataset) -> tuple[str, ...]:
        """Names by which influence can be asked: "row" (the finest unit the statistics know), then columns such as "judge".

        A model that names any also writes `drop_units`, and `unit_counts` where a unit is not a dimension of the statistics.
        """
        return ()

    def unit_counts(self, statistics: xr.Dataset, by: str) -> xr.DataArray:
        """The units of one kind: dimension ``unit`` with their labels; values are how many identical ones each stands for.

        Where identical rows are folded into counts, a unit is one of them and is deleted once. By default the labels of the
        dimension `by`, each for itself.
        """
        import xarray as xr

        labels = [str(x) for x in statistics[by].values]
        return xr.DataArray(np.ones(len(labels), dtype=np.int64), {"unit": labels}, ("unit",), name=by)

    def drop_units(self, statistics: xr.Dataset, by: str, places: np.ndarray) -> xr.Dataset:
        """The same statistics less the data of some units: the hook behind `without`.

        `places` are positions in `unit_counts`; one that comes twice takes two of its identical rows. Dimensions of parameters
        stay, so that what nobody speaks of any more follows its prior, and the compiled model is the same.
        """
        raise NotImplementedError(f"{type(self).__name__} names units but has no drop_units.")

    def log_likelihood_of(
        self, draws: xr.Dataset, statistics: xr.Dataset, by: str, dials: Mapping[str, float] | None = None
    ) -> xr.DataArray:
        """What each unit adds to the log likelihood: log p(all data) - log p(all data but the unit).

        Parameters
        ----------
        draws : Dataset
            Every variable that has a prior; dimensions chain and draw first.
        statistics : Dataset
            Sufficient statistics.
        by : str
            Kind of unit, one of `units`.
        dials : mapping, optional
            The dials of the fit.

        Returns
        -------
        DataArray, dimensions chain, draw, unit
            Natural logarithms; of ONE of the identical rows that a unit stands for. This default calls the compiled
            likelihood for every unit and draw (0.1 to 1 ms each); a model that can do better overrides it.
        """
        from bayeskit.engine import deletion_effects

        model = cast("ModelBuilder", self)
        return deletion_effects(model, draws, statistics, by, model.set_dials(statistics, dials))

    def estimands_under(self, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float]) -> xr.Dataset:
        """What people ask for where a dial enters it beside the draws: `estimands` unless a model says otherwise."""
        return cast("ModelBuilder", self).estimands(draws, statistics)

    @property
    def bounds_draws(self) -> int:
        """For how many draws `Fit.bounds` asks for the identified set where no number is given."""
        return 1000

    def identified_set(
        self,
        draws: xr.Dataset,
        statistics: xr.Dataset,
        dials: Mapping[str, float],
        name: str,
        weights: np.ndarray,
    ) -> IdentifiedSet:
        """For each draw, the set of values of some quantities that fit the data exactly as well as the draw does.

        Written by models that are identified only in part. The law: a draw is a point of its own set.

        Parameters
        ----------
        draws : Dataset
            Parameters; dimensions chain and draw first.
        statistics : Dataset
            The sufficient statistics.
        dials : mapping of str to float
            The value of every dial.
        name : str
            The estimand that the quantities belong to.
        weights : ndarray, shape (Q, ...) with the shape of the estimand
            Each quantity is the sum of the estimand's elements with these weights: one element, or a difference of two.

        Returns
        -------
        IdentifiedSet
            Ends of shape (chains, draws, Q), with the assumptions that are kept and dropped by name.

        Raises
        ------
        SpecificationError
            If the model declares no bounds, or none for this estimand.
        """
        raise SpecificationError(
            f"{type(self).__name__} declares no bounds: it does not say which values of '{name}' the data alone allow. "
            "Ask fit.sensitivity() or fit.sweep(...) what the answer rests on; a model's author writes identified_set."
        )

    def canonical(self) -> Self:
        """The specification with every setting in its plainest form ("auto" resolved, presets as numbers).

        Two specifications with equal canonical forms are one model; `Fit.alternatives` lists it once.
        """
        return self
