"""Simulated survival rows from exactly the law and priors that are fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayeskit import Simulation
from bayeskit.errors import SpecificationError
from bayeskit_models.survival.algebra import numpy_algebra
from bayeskit_models.survival.predictors import designs_of, predictors

if TYPE_CHECKING:
    from bayeskit_models.survival.model import FlexibleSurvival

__all__ = ["simulate_survival"]

FloatArray = NDArray[np.float64]

_ALGEBRA = numpy_algebra()
_VISITS = 0.25  # distance of the visits of interval-censored subjects, in internal units
_LATE = 0.25  # share of subjects who enter late, where there is a column for it
_FOLLOWED = 4.0  # follow-up of the longest followed, in internal units


def simulate_survival(
    spec: FlexibleSurvival,
    rng: np.random.Generator,
    like: xr.Dataset | None,
    parameters: Mapping[str, np.ndarray] | None,
    dials: Mapping[str, float] | None,
    sizes: Mapping[str, int],
) -> Simulation:
    """Draw parameters (unless given) and rows of a design; see `FlexibleSurvival.simulate`.

    A fresh design has standard normal covariates and follow-up that ends uniformly between a fifth and the whole of four
    internal units of time. With `like` covariates, groups and entry are those of the fit, and a row is followed as long as it
    was, or if it had its event to the end of the follow-up.
    """
    frame = _fresh(spec, rng, sizes) if like is None else _design_like(spec, like)
    blank = _blank(spec, frame)
    statistics = spec.statistics(blank)
    scale = float(like["time_scale"]) if like is not None else (spec.unit or 1.0)
    values = dict(parameters) if parameters is not None else spec.draw_prior(statistics, rng, dials)
    used = spec.set_dials(statistics, dials)
    group = statistics["pattern_group"].values if "pattern_group" in statistics else None
    logs = predictors(spec, {k: np.asarray(v)[None] for k, v in values.items()}, designs_of(statistics), used, group)
    order = _pattern_of(statistics, frame)
    by_row = [np.broadcast_to(p[0], (max(len(p[0]), 1),))[order] for p in logs[:4]]
    with np.errstate(divide="ignore", over="ignore"):
        start = _ALGEBRA.cumulative_hazard(np.log(frame["entry"].to_numpy()), *by_row)
        exposure = rng.exponential(size=len(frame))
        if spec.frailty is not None:
            exposure = exposure / _frailties(rng, frame["frailty"], start, float(logs[4].item()))
        time = np.exp(_ALGEBRA.log_quantile(start + exposure, *by_row))
    background = frame["background"].to_numpy()
    other = frame["entry"].to_numpy() + rng.exponential(size=len(frame)) / np.where(background > 0, background, np.nan)
    time = np.fmin(time, other)
    return Simulation(_table(spec, frame, time, scale), values)


def _frailties(rng: np.random.Generator, groups: pd.Series, start: FloatArray, variance: float) -> FloatArray:
    """Each row's factor of the hazard: gamma with mean 1, given that all rows of the group were free of the event at entry."""
    home = pd.factorize(groups)[0]
    before = np.bincount(home, weights=start)
    found = rng.gamma(1.0 / variance, size=len(before)) / (1.0 / variance + before)
    return np.asarray(np.maximum(found, 1e-300)[home])


def _fresh(spec: FlexibleSurvival, rng: np.random.Generator, sizes: Mapping[str, int]) -> pd.DataFrame:
    n = sizes["n"]
    frame = pd.DataFrame({"followed": rng.uniform(0.2, 1.0, n) * _FOLLOWED})
    for name in spec.covariates:
        frame[f"x_{name}"] = rng.normal(size=n)
    late = (rng.uniform(size=n) < _LATE) & (spec.entry is not None)
    frame["entry"] = np.where(late, frame["followed"] * rng.uniform(0.05, 0.5, n), 0.0)
    frame["background"] = np.where(spec.background is not None, 0.05, 0.0)
    if spec.group is not None:
        frame["group"] = [f"group {i % sizes['groups'] + 1}" for i in range(n)]
    if spec.frailty is not None:
        frame["frailty"] = [f"family {i // sizes['family'] + 1}" for i in range(n)]
    return frame


def _design_like(spec: FlexibleSurvival, like: xr.Dataset) -> pd.DataFrame:
    """The design of given statistics, one line a row, in internal units."""
    weight = like["weight"].values
    if (weight != 1.0).any():
        raise SpecificationError(
            "simulate(like=...): rows that stand for several cannot be simulated again; give each its own row."
        )
    place, pointer = like["pattern"].values, like["kind_ptr"].values
    followed = np.exp(np.maximum(like["log_lower"].values, like["log_upper"].values))
    censored = np.zeros(len(place), dtype=bool)
    censored[pointer[1] : pointer[2]] = True
    frame = pd.DataFrame({"followed": np.where(censored, followed, followed.max())})
    for name in spec.covariates:
        frame[f"x_{name}"] = like[f"x_{name}"].values[place]
    frame["entry"] = 0.0
    frame.loc[like["entry_row"].values, "entry"] = np.exp(like["log_entry"].values)
    background = like["background"].values
    frame["background"] = np.where(background > 0, background, background.max(initial=0.0))
    if "pattern_group" in like:
        frame["group"] = like["group"].values[like["pattern_group"].values[place]]
    if "frailty_row" in like:
        frame["frailty"] = like["frailty"].values[like["frailty_row"].values]
    return frame


def _blank(spec: FlexibleSurvival, frame: pd.DataFrame) -> pd.DataFrame:
    """A table of the design in which every subject has its event at the end of its follow-up."""
    return _table(spec, frame, frame["followed"].to_numpy() * 0.999, 1.0)


def _pattern_of(statistics: xr.Dataset, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Pattern of each row of the table: the statistics have the rows in another order, that of their kinds."""
    kinds = np.diff(statistics["kind_ptr"].values)
    if kinds.max() != len(frame):  # cannot be: all rows of a blank table are of one kind, and keep their order
        raise SpecificationError("simulate: the design has rows that say nothing.")
    return np.asarray(statistics["pattern"].values)


def _table(spec: FlexibleSurvival, frame: pd.DataFrame, time: FloatArray, scale: float) -> pd.DataFrame:
    """The user's table of event times (inf for none), in the user's unit."""
    followed = frame["followed"].to_numpy()
    event = time <= followed
    out: dict[str, Any] = {}
    if spec.lower is not None and spec.upper is not None:
        visit = np.maximum(np.floor(np.minimum(time, followed) / _VISITS), 0.0) * _VISITS
        low = np.maximum(visit, frame["entry"].to_numpy())
        out[spec.lower] = np.where(event, low, followed) * scale
        # the last visit is at the end of follow-up: an interval beyond it would hold events that are not seen
        out[spec.upper] = np.where(event, np.minimum(visit + _VISITS, followed) * scale, np.nan)
    else:
        out[spec.duration] = np.where(event, time, followed) * scale
        if spec.event is not None:
            out[spec.event] = event.astype(int)
    if spec.entry is not None:
        out[spec.entry] = frame["entry"].to_numpy() * scale
    if spec.weights is not None:
        out[spec.weights] = 1.0
    if spec.group is not None:
        out[spec.group] = frame["group"].to_numpy()
    if spec.frailty is not None:
        out[spec.frailty] = frame["frailty"].to_numpy()
    if spec.background is not None:
        out[spec.background] = frame["background"].to_numpy() / scale
    return pd.DataFrame(out | {name: frame[f"x_{name}"].to_numpy() for name in spec.covariates})
