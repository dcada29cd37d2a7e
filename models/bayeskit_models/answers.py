"""What a fit answers: labelled draws that carry their interval, kind and probability wherever they are shown."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import xarray as xr

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Answer", "chance"]


@dataclass(frozen=True)
class Answer:
    """Draws of one quantity for rows of covariates and, for some, times.

    Attributes
    ----------
    draws : DataArray
        Dimensions chain, draw, then "row" and "time" where there are any. A time that is never reached is inf.
    label, units : str
        What it is, in words.
    note : str
        What to know before it is used, such as what is extrapolated; may be empty.
    """

    draws: xr.DataArray
    label: str
    units: str
    note: str = ""

    def summary(self, prob: float = 0.95, kind: Literal["eti", "hdi"] = "eti") -> pd.DataFrame:
        """One row for each row of covariates and time.

        Returns
        -------
        DataFrame
            Columns mean (NaN where some draws are infinite), median, lower, upper and, where some draws are infinite,
            p_not_reached: the probability that the time is never reached. ``attrs`` say prob and kind.
        """
        from bayeskit.estimands import interval

        own = [d for d in self.draws.dims if d not in ("chain", "draw")]
        stacked = self.draws.transpose("chain", "draw", *own)
        flat = stacked.values.reshape(stacked.sizes["chain"] * stacked.sizes["draw"], -1)
        never = np.isinf(flat)
        finite = np.where(never, np.finfo(float).max, flat)  # so that order statistics are what they are with inf
        bounds = interval(finite, prob, kind)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.where(never.any(0), np.nan, np.where(never, 0.0, flat).mean(0))
        table = {
            "mean": mean,
            "median": _back(np.median(finite, axis=0)),
            "lower": _back(bounds[:, 0]),
            "upper": _back(bounds[:, 1]),
        }
        if never.any():
            table["p_not_reached"] = never.mean(0)
        labels = [self.draws[d].values if d in self.draws.coords else np.arange(self.draws.sizes[d]) for d in own]
        index = (
            pd.MultiIndex.from_product(labels, names=own) if len(own) > 1 else pd.Index(labels[0], name=own[0]) if own else None
        )
        out = pd.DataFrame(table, index=index)
        out.attrs = {"prob": prob, "kind": kind}
        return out

    @property
    def _head(self) -> str:
        return f"{self.label} ({self.units}); 95% equal-tailed intervals"

    def __repr__(self) -> str:
        text = self.summary().round(4).replace({np.inf: "not reached"}).to_string()
        return "\n".join(part for part in (self._head, text, self.note) if part)

    def _repr_html_(self) -> str:
        table = self.summary().round(4).replace({np.inf: "not reached"}).to_html()
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return f"<p>{html.escape(self._head)}</p>{table}{note}"


def _back(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(x > 1e300, np.inf, x)


def chance(holds: NDArray[np.bool_]) -> str:
    """A probability counted over draws, with its sign of relation: no number of draws shows certainty."""
    share = float(holds.mean())
    return "< 0.01" if share < 0.01 else "> 0.99" if share > 0.99 else f"= {share:.2f}"
