"""Replicated tables: whether the model, before and after it saw the data, expects data like these.

Everything is NumPy and the model's own `simulate`, so that a check costs no compilation.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import DataError, SpecificationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr

    from bayeskit.builder import ModelBuilder

__all__ = ["PredictiveCheck", "predictive_check"]

_OUTSIDE = 0.99  # central probability outside of which an observed number is pointed out
Source = Literal["prior", "posterior"]


@dataclass(frozen=True)
class PredictiveCheck:
    """Numbers of the observed table beside those of replicated ones.

    Attributes
    ----------
    source : {"prior", "posterior"}
        Where parameters of the replicated tables were drawn from.
    names : tuple of str
        The quantities compared.
    observed : ndarray, shape (Q,)
        Of the table.
    replicated : ndarray, shape (S, Q)
        Of the replicated ones.
    refused : int
        Replicated tables that the model would not take as data, such as ones without any event.
    """

    source: Source
    names: tuple[str, ...]
    observed: NDArray[np.float64]
    replicated: NDArray[np.float64]
    refused: int = 0

    @property
    def tail(self) -> NDArray[np.float64]:
        """Share of replicated values below the observed one, ties by half, shape (Q,)."""
        return np.asarray((self.replicated < self.observed).mean(0) + 0.5 * (self.replicated == self.observed).mean(0))

    @property
    def outside(self) -> tuple[str, ...]:
        """Quantities whose observed value lies outside the central 99 % of the replicated ones."""
        edge = (1.0 - _OUTSIDE) / 2.0
        return tuple(n for n, t in zip(self.names, self.tail, strict=True) if t < edge or t > 1.0 - edge)

    @property
    def headline(self) -> str:
        """What was found, in one line."""
        size, found = len(self.names), self.outside
        told = f"{len(self.replicated)} tables replicated from the {self.source}"
        if self.refused:
            told += f" ({self.refused} more that the model takes as no data are left out)"
        if not found:
            return f"{told}: none of {size} observed numbers lies outside their central 99 %."
        shown = ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")
        return f"{told}: {len(found)} of {size} observed numbers lie outside their central 99 % ({shown})."

    @property
    def table(self) -> pd.DataFrame:
        """One row a quantity: observed, median and central 95 % of the replicated ones, share below the observed one."""
        import pandas as pd

        low, mid, high = np.quantile(self.replicated, (0.025, 0.5, 0.975), axis=0)
        columns = {"observed": self.observed, "median": mid, "lower": low, "upper": high, "share_below": self.tail}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="quantity"))

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        rows = [{k: _plain(v) for k, v in row.items()} for row in self.table.reset_index().to_dict("records")]
        facts = {"schema": "bayeskit.predictive/1", "source": self.source, "tables": len(self.replicated)}
        return json.dumps({**facts, "refused": self.refused, "headline": self.headline, "rows": rows}, allow_nan=False)

    def __repr__(self) -> str:
        return f"{self.headline}\n{self.table.to_string(float_format='{:.4g}'.format)}"


def _plain(value: object) -> object:
    return value if not isinstance(value, float) or math.isfinite(value) else None


def predictive_check(
    spec: ModelBuilder,
    statistics: xr.Dataset,
    dials: Mapping[str, float],
    posterior: xr.Dataset | None,
    *,
    draws: int = 100,
    seed: int = 0,
) -> PredictiveCheck:
    """Replicate tables of the same design and compare the model's test quantities.

    Parameters
    ----------
    spec : ModelBuilder
        The specification; its `simulate` and `test_quantities` are used.
    statistics : Dataset
        Of the observed table.
    dials : mapping of str to float
        The value of every dial.
    posterior : Dataset or None
        Draws to take parameters from, chain and draw first; None for the prior.
    draws : int
        Replicated tables, at least 2.
    seed : int
        The same seed gives the same tables.

    Raises
    ------
    SpecificationError
        If the model names no test quantity that differs between tables, or takes none of the tables as data.

    Notes
    -----
    Gelman, Meng, Stern (1996), Statistica Sinica 6:733. A share below of 0.5 is the middle; under a true model posterior shares
    lie nearer to it than uniform ones would.
    """
    if draws < 2:
        raise SpecificationError(f"draws={draws!r}: at least 2 tables are replicated.")
    rng = np.random.default_rng(seed)
    observed = spec.test_quantities(statistics, statistics)
    found: list[dict[str, float]] = []
    refused: list[str] = []
    for parameters in _parameters(posterior, draws, rng):
        simulation = spec.simulate(rng, like=statistics, parameters=parameters, dials=dials)
        try:
            found.append(spec.test_quantities(spec.statistics(simulation.table), statistics))
        except DataError as fault:
            refused.append(str(fault).splitlines()[0])
    if not found:
        raise SpecificationError(f"None of {draws} replicated tables can be taken as data; the first because {refused[0]}")
    names = [n for n in observed if all(n in row for row in found)]
    replicated = np.array([[row[n] for n in names] for row in found], dtype=float).reshape(len(found), len(names))
    seen = np.array([observed[n] for n in names], dtype=float)
    # what the design fixes is the same in every table, and no check
    moving = np.array([bool(np.isfinite(c).all() and (c != s).any()) for c, s in zip(replicated.T, seen, strict=True)])
    if not moving.any():
        raise SpecificationError(f"{type(spec).__name__} names no test quantity that differs between tables.")
    kept = tuple(n for n, m in zip(names, moving, strict=True) if m)
    return PredictiveCheck(
        "prior" if posterior is None else "posterior", kept, seen[moving], replicated[:, moving], len(refused)
    )


def _parameters(
    posterior: xr.Dataset | None, draws: int, rng: np.random.Generator
) -> list[dict[str, NDArray[np.float64]] | None]:
    """One set of parameters for every table: evenly spaced draws of the posterior; None lets `simulate` draw from the prior."""
    if posterior is None:
        return [None] * draws
    arrays = {str(n): v.transpose("chain", "draw", ...).values for n, v in posterior.data_vars.items()}
    flat = {n: v.reshape(v.shape[0] * v.shape[1], *v.shape[2:]) for n, v in arrays.items()}
    size = len(next(iter(flat.values())))
    places = np.linspace(0, size - 1, draws).round().astype(int) if draws <= size else rng.integers(0, size, draws)
    return [{n: v[i] for n, v in flat.items()} for i in places]
