"""What the checks need to know of the rows and is about no single row: events by category, and who is left at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

__all__ = ["with_overview"]


def with_overview(statistics: xr.Dataset) -> xr.Dataset:
    """The statistics with, or with new values of, the figures behind the checks.

    Returns
    -------
    Dataset
        Also ``last_event`` (the latest time by which an event is known to have happened, in the user's unit), ``beyond`` (rows,
        weights counted, that were followed longer), ``category_rows`` and ``category_events`` by category of a covariate (a
        label, or a number that takes two values), and ``separated`` by other covariates: 1 where all rows with an event lie on
        one side of all rows without.
    """
    kind = np.repeat(np.arange(4), np.diff(statistics["kind_ptr"].values))
    weight, pattern = statistics["weight"].values, statistics["pattern"].values
    seen, scale = kind != 1, float(statistics["time_scale"])
    known = np.where(kind == 0, statistics["log_lower"].values, statistics["log_upper"].values)[seen]
    last = np.exp(known.max()) * scale if len(known) else 0.0
    followed = np.exp(statistics["log_lower"].values) * scale
    data: dict[str, Any] = {
        "last_event": ((), float(last)),
        "beyond": ((), float(weight[~seen & (followed > last * (1.0 + 1e-12))].sum())),
    }
    names, rows, events = [], [], []
    numeric, separated = [], []
    for name in sorted(str(n) for n in statistics.data_vars if str(n).startswith("x_")):
        values = statistics[name].values
        text = values.dtype.kind in "UOT"
        found, place = np.unique(values.astype(str) if text else values, return_inverse=True)
        if text or len(found) == 2:
            home = np.asarray(place).reshape(-1)[pattern]
            names += [f"{name[2:]}={v if text else f'{v:g}'}" for v in found]
            rows += np.bincount(home, weights=weight, minlength=len(found)).tolist()
            events += np.bincount(home, weights=weight * seen, minlength=len(found)).tolist()
        else:
            numeric.append(name[2:])
            separated.append(_apart(values[pattern[seen]], values[pattern[~seen]]))
    coords = {}
    if names:
        data |= {"category_rows": (("category",), np.array(rows)), "category_events": (("category",), np.array(events))}
        coords["category"] = names
    if numeric:
        data["separated"] = (("numeric",), np.array(separated, dtype=np.int64))
        coords["numeric"] = numeric
    return statistics.assign(data).assign_coords(coords).assign_attrs(statistics.attrs)


def _apart(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether all of one lie above, or below, all of the other."""
    return bool(len(one) and len(other) and (one.min() > other.max() or one.max() < other.min()))
