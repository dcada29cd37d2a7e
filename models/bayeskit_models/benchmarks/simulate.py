"""Simulated answers from exactly the model and priors that are fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayeskit import Simulation
from bayeskit_models.benchmarks.ordered_scores import draw_scores
from bayeskit_models.benchmarks.predictor import predictor_of
from bayeskit_models.benchmarks.statistics import ALL, AUTO

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.model import BenchmarkVariance

__all__ = ["answers_of", "simulate_rows"]

FloatArray = NDArray[np.float64]

_ROLES = ("benchmark", "model", "seed", "template", "item", "cluster")


def simulate_rows(
    spec: BenchmarkVariance,
    rng: np.random.Generator,
    like: xr.Dataset | None,
    parameters: Mapping[str, np.ndarray] | None,
    dials: Mapping[str, float] | None,
    sizes: Mapping[str, int],
) -> Simulation:
    """Draw parameters (unless given) and answers of a design; see `BenchmarkVariance.simulate`."""
    if like is None:
        plain = replace(spec, unit=(0.0, 1.0)) if spec.law.linear and spec.unit is None else spec
        like = plain.statistics(_crossed_table(spec, sizes))
    statistics = like
    values = spec.draw_prior(statistics, rng, dials) if parameters is None else dict(parameters)
    values = {name: np.asarray(v, dtype=np.float64) for name, v in values.items()}
    found = predictor_of(spec, {n: v[None] for n, v in values.items()}, statistics, spec.set_dials(statistics, dials))
    cell, member = answers_of(statistics)
    unit = statistics["member_unit"].values[member]
    benchmark = statistics["unit_benchmark"].values[unit]
    column, models = statistics["cell_column"].values[cell], statistics.sizes["model"]
    x = found.columns[0, column] + found.shift[0, unit]
    outer = {"item": "item_sd", "run": "run_sd"}.get(statistics.attrs["integrated"])
    if outer is not None:
        x = x + found.sd[outer][0, benchmark] * rng.normal(size=statistics.sizes["member"])[member]
    if "item_model_sd" in found.sd:
        both = rng.normal(size=(statistics.sizes["member"], models))[member, statistics["cell_group"].values[cell]]
        x = x + found.sd["item_model_sd"][0, benchmark] * both
    n = statistics["n"].values[cell].astype(np.int64)
    own = found.own[0, benchmark]
    frame = _labels(spec, statistics, cell, member)
    if spec.law.linear:
        return Simulation(_continuous(spec, frame, found.unit, x, own, n, rng), values)
    if spec.law.ends:
        low, high = found.cuts[0, benchmark].T
        return Simulation(_with_ends(spec, frame, (x, low, high, own), n, rng), values)
    k = spec.law.counts(rng, x, n, found.chance[benchmark], own if spec.law.parameter else None)
    return Simulation(_counted(spec, frame, k, n), values)


def answers_of(statistics: xr.Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cell and member of every answer: each member has the cells of its unit."""
    ptr, unit = statistics["unit_ptr"].values, statistics["member_unit"].values
    size = (ptr[unit + 1] - ptr[unit]).astype(np.int64)
    member = np.repeat(np.arange(len(unit)), size)
    inside = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    return ptr[unit[member]] + inside, member


def _labels(
    spec: BenchmarkVariance, statistics: xr.Dataset, cell: NDArray[np.int64], member: NDArray[np.int64]
) -> pd.DataFrame:
    """Labels of the facets of every answer, in columns of the user's names."""
    column = statistics["cell_column"].values[cell]
    code = {
        "benchmark": statistics["column_benchmark"].values[column],
        "model": statistics["column_model"].values[column],
    }
    if "member_item" in statistics:
        code["item"] = statistics["member_item"].values[member]
    if "unit_cluster" in statistics:
        place = statistics["unit_cluster"].values[statistics["member_unit"].values[member]]
        code["cluster"] = statistics["cluster_code"].values[place]
    if "run" in statistics.sizes:
        runs = statistics["column_run"].values[column] if "column_run" in statistics else None
        code["seed"] = statistics["member_seed"].values[member] if runs is None else statistics["run_seed"].values[runs]
    if "template_place" in statistics.sizes:
        code["template"] = statistics["template_place_template"].values[statistics["column_template_place"].values[column]]
    names = {"benchmark": "benchmark", "model": "model"}
    frame = pd.DataFrame(
        {
            spec.column_of(role): statistics[names.get(role, f"{role}_label")].values.astype(str)[code[role]]
            for role in _ROLES
            if role in code and (role not in ("benchmark", "model") or list(statistics[role].values) != [ALL])
        }
    )
    return frame


def _counted(spec: BenchmarkVariance, frame: pd.DataFrame, k: NDArray[np.int64], n: NDArray[np.int64]) -> pd.DataFrame:
    """One row for each cell with its trials, or one for each trial."""
    if spec.trials is not None:
        return frame.assign(**{spec.score: k, spec.trials: n})
    out, trial = _repeated(spec, frame, n)
    return out.assign(**{spec.score: (trial < np.repeat(k, n)).astype(np.int64)})


def _continuous(
    spec: BenchmarkVariance,
    frame: pd.DataFrame,
    unit: tuple[float, float],
    x: FloatArray,
    noise: FloatArray,
    n: NDArray[np.int64],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row for each score, or the summaries of cells."""
    each = np.repeat(np.arange(len(frame)), n)
    score = unit[0] + unit[1] * (x[each] + noise[each] * rng.normal(size=len(each)))
    if spec.sd is None:
        return _repeated(spec, frame, n)[0].assign(**{spec.score: score})
    mean = np.bincount(each, score, len(frame)) / n
    square = np.bincount(each, (score - mean[each]) ** 2, len(frame))
    sd = np.sqrt(square / np.maximum(n - 1, 1))
    return frame.assign(**{spec.score: mean, spec.sd: sd, spec.column_of("trials"): n})


def _with_ends(
    spec: BenchmarkVariance, frame: pd.DataFrame, law: tuple[FloatArray, ...], n: NDArray[np.int64], rng: np.random.Generator
) -> pd.DataFrame:
    """One row for each score from 0 to 1, at the cells' predictors, cuts and precisions."""
    score = draw_scores(rng, *(np.repeat(part, n) for part in law))
    return _repeated(spec, frame, n)[0].assign(**{spec.score: score})


def _repeated(spec: BenchmarkVariance, frame: pd.DataFrame, n: NDArray[np.int64]) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Every row as often as it has trials, and which of its trials each is."""
    out = frame.iloc[np.repeat(np.arange(len(frame)), n)].reset_index(drop=True)
    trial = np.arange(len(out)) - np.repeat(np.cumsum(n) - n, n)
    return (out if spec.sample in (None, AUTO) else out.assign(**{spec.sample: trial.astype(str)})), trial


def _crossed_table(spec: BenchmarkVariance, sizes: Mapping[str, int]) -> pd.DataFrame:
    """A complete design in which nobody has succeeded yet."""
    short = {"benchmark": "b", "model": "m", "seed": "s", "template": "t", "item": "i"}
    used = [r for r in short if getattr(spec, r) not in (None, AUTO)]
    labels = [[f"{short[r]}{j + 1:0{len(str(sizes[r]))}d}" for j in range(sizes[r])] for r in used]
    frame = pd.DataFrame(list(product(*labels)), columns=[getattr(spec, r) for r in used])
    if spec.cluster not in (None, AUTO):
        place = np.unique(frame[spec.item], return_inverse=True)[1] % sizes["cluster"]
        frame[spec.cluster] = [f"c{p + 1:0{len(str(sizes['cluster']))}d}" for p in place]
    if spec.trials is not None:
        extra = {} if spec.sd is None else {spec.sd: 0.0}
        return frame.assign(**{spec.score: 0, spec.trials: sizes["sample"], **extra})
    return _repeated(spec, frame, np.full(len(frame), sizes["sample"]))[0].assign(**{spec.score: 0})
