"""Draws of named quantities that say, wherever they are shown, which population they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayeskit.report.content import Figure
from bayeskit.report.figures import interval_plot
from bayeskit_models.answers import Answer

__all__ = ["Quantities"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Quantities:
    """Draws of several numbers of one kind.

    Attributes
    ----------
    draws : mapping of str to ndarray, shape (S,)
        Draws by name. Infinite values are allowed (a ratio to a noise of zero), NaN is not.
    label, units : str
        What they are, in words.
    population : str
        What the intervals are about: these items, new items, new seeds, or several of them.
    note : str
        What to know before they are used; may be empty.
    """

    draws: Mapping[str, FloatArray]
    label: str
    units: str
    population: str
    note: str = ""

    def __getitem__(self, name: str) -> FloatArray:
        return self.draws[name]

    @property
    def answer(self) -> Answer:
        """The same as an `Answer`."""
        values = np.stack(list(self.draws.values()), axis=-1)[None]
        array = xr.DataArray(values, dims=("chain", "draw", "quantity"), coords={"quantity": list(self.draws)})
        return Answer(array, self.label, self.units, f"About {self.population}. {self.note}".rstrip())

    def table(self, prob: float = 0.95, kind: Literal["eti", "hdi"] = "eti") -> pd.DataFrame:
        """Mean, median and interval, one row a quantity; ``attrs`` say prob, kind and population.

        The mean is NaN where a draw is infinite.
        """
        out = self.answer.summary(prob, kind)
        out.attrs["population"] = self.population
        return out

    def plot(self, prob: float = 0.95) -> Figure:
        """Medians with equal-tailed intervals, one row a quantity."""
        table = self.table(prob)
        xlabel = f"{self.label} ({self.units}); about {self.population}"
        return interval_plot(list(table.index), table["median"], table["lower"], table["upper"], prob=prob, xlabel=xlabel)

    def __repr__(self) -> str:
        return repr(self.answer)

    def _repr_html_(self) -> str:
        return self.answer._repr_html_()
