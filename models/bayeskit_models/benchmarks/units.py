"""Units whose influence can be asked of a benchmark fit: items, and the labels of every other facet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit_models.benchmarks.each_unit import unit_values
from bayeskit_models.benchmarks.families import SUMS
from bayeskit_models.benchmarks.predictor import pooled, predictor_of
from bayeskit_models.benchmarks.shares import without_shares

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.model import BenchmarkVariance
    from bayeskit_models.benchmarks.predictor import Predictor

__all__ = ["drop_units", "log_units", "unit_counts", "unit_effects", "unit_names"]

FloatArray = NDArray[np.float64]


def unit_names(statistics: xr.Dataset) -> tuple[str, ...]:
    """Names by which influence can be asked."""
    there = {
        "row": True,  # the finest: items, or training runs, or totals, whichever are independent given the parameters
        "item": statistics.attrs["integrated"] == "item",
        "model": statistics.sizes["model"] > 1,
        "benchmark": statistics.sizes["benchmark"] > 1,
        "seed": "run" in statistics.sizes,
        "template": "template_place" in statistics.sizes,
        "cluster": "cluster_place" in statistics.sizes,
    }
    return tuple(name for name, yes in there.items() if yes)


def member_labels(statistics: xr.Dataset) -> list[str]:
    """Label of every item, or of every run or total where these are independent; with the benchmark if there are several."""
    benchmark = statistics["member_benchmark"].values
    if "member_item" not in statistics:
        labels = statistics["model"].values.astype(str)[statistics["member_model"].values]
        for role in ("seed", "template"):
            if f"member_{role}" in statistics:
                own = statistics[f"{role}_label"].values.astype(str)[statistics[f"member_{role}"].values]
                labels = np.array([f"{m}, {role} {x}" for m, x in zip(labels, own, strict=True)])
        return _within(statistics, labels, benchmark)
    items = statistics["item_label"].values.astype(str)[statistics["member_item"].values]
    return _within(statistics, items, benchmark)


def _within(statistics: xr.Dataset, labels: NDArray[np.str_], benchmark: NDArray[np.int64]) -> list[str]:
    if statistics.sizes["benchmark"] == 1:
        return [str(x) for x in labels]
    homes = statistics["benchmark"].values.astype(str)[benchmark]
    return [f"{b}: {x}" for b, x in zip(homes, labels, strict=True)]


def _home(statistics: xr.Dataset, by: str) -> tuple[list[str], NDArray[np.int64]]:
    """Labels of a facet other than items, and the place of each cell's own among them."""
    column = statistics["cell_column"].values
    if by in ("model", "benchmark"):
        return [str(x) for x in statistics[by].values], statistics[f"column_{by}"].values[column]
    if by == "cluster":
        unit = np.repeat(np.arange(statistics.sizes["unit"]), np.diff(statistics["unit_ptr"].values))
        labels = statistics["cluster_label"].values.astype(str)[statistics["cluster_code"].values]
        return _within(statistics, labels, statistics["cluster_benchmark"].values), statistics["unit_cluster"].values[unit]
    if by == "template":
        labels = statistics["template_label"].values.astype(str)[statistics["template_place_template"].values]
        home = statistics["column_template_place"].values[column]
        return _within(statistics, labels, statistics["template_place_benchmark"].values), home
    seeds = statistics["seed_label"].values.astype(str)[statistics["run_seed"].values]
    models = statistics["model"].values.astype(str)[statistics["run_model"].values]
    labels = np.array([f"{m}, seed {s}" for m, s in zip(models, seeds, strict=True)])
    return _within(statistics, labels, statistics["run_benchmark"].values), statistics["column_run"].values[column]


def _integrated(statistics: xr.Dataset, by: str) -> bool:
    """Whether these units are those that the likelihood integrates out."""
    return by in ("row", "item") or (by == "seed" and statistics.attrs["integrated"] == "run")


def unit_counts(statistics: xr.Dataset, by: str) -> xr.DataArray:
    """Labels of the units; each stands for itself."""
    labels = member_labels(statistics) if _integrated(statistics, by) else _home(statistics, by)[0]
    return xr.DataArray(np.ones(len(labels), dtype=np.int64), {"unit": labels}, ("unit",), name=by)


def drop_units(statistics: xr.Dataset, by: str, places: NDArray[np.int64]) -> xr.Dataset:
    """The statistics less some units; parameters stay."""
    statistics = without_shares(statistics)
    if _integrated(statistics, by):
        weight = statistics["unit_weight"].values.copy()
        np.subtract.at(weight, statistics["member_unit"].values[places], 1.0)
        keep = np.setdiff1d(np.arange(statistics.sizes["member"]), places)
        return statistics.assign(unit_weight=(("unit",), weight)).isel(member=keep).assign_attrs(statistics.attrs)
    gone = np.isin(_home(statistics, by)[1], places)
    sums = [name for name in SUMS if name in statistics]
    return statistics.assign({name: (("cell",), np.where(gone, 0.0, statistics[name].values)) for name in sums})


def unit_effects(
    spec: BenchmarkVariance, draws: xr.Dataset, statistics: xr.Dataset, by: str, dials: Mapping[str, float]
) -> FloatArray:
    """What each unit adds to the log likelihood, shape (chains, draws, units)."""
    found = predictor_of(spec, pooled(draws), statistics, dials)
    whole = log_units(spec, found, statistics)
    if _integrated(statistics, by):
        out = whole[:, statistics["member_unit"].values]
    else:
        weight = statistics["unit_weight"].values
        size = len(_home(statistics, by)[0])
        out = np.empty((len(found), size))
        for place in range(size):
            less = spec._shared(drop_units(statistics, by, np.array([place])))
            out[:, place] = (whole - log_units(spec, found, less)) @ weight
    return out.reshape(draws.sizes["chain"], draws.sizes["draw"], -1)


def log_units(spec: BenchmarkVariance, found: Predictor, statistics: xr.Dataset, fine: float = 1.0) -> FloatArray:
    """Log likelihood of ONE of each unit, shape (S, U); `fine` is 2 for half the spacing of the nodes."""
    law, home = spec.law, statistics["unit_benchmark"].values
    if law.name == "binomial" and statistics.attrs["integrated"] == "none":
        k, n, column = (statistics[x].values for x in ("k", "n", "cell_column"))
        x, guess = found.columns[:, column], found.chance[home]
        hit = np.where(guess == 0.0, -np.logaddexp(0.0, -x), np.log(guess + (1.0 - guess) / (1.0 + np.exp(-x))))
        return np.asarray(k * hit + (n - k) * (np.log1p(-guess) - np.logaddexp(0.0, x)))
    inner = found.sd.get("item_model_sd", np.zeros_like(found.outer))
    out = np.empty((len(found), len(home)))
    for s in range(len(found)):
        out[s] = unit_values(law, law.given(found, s, inner), statistics, fine)
    if not law.linear:
        return out
    seen = np.bincount(statistics["cell_unit"].values, statistics["n"].values, len(home))
    return out - seen * np.log(found.unit[1])  # densities are of the user's scores
