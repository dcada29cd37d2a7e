"""Scores over the training of a model, and two metrics of the same runs: from the rows of a table to their questions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import DataError, SpecificationError
from bayeskit_models.benchmarks.checkpoints import CheckpointCurve, curve_of_counts, curve_of_values
from bayeskit_models.benchmarks.metric_choice import metric_choice

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit import Rows
    from bayeskit_models.benchmarks.benchmark_fit import BenchmarkFit
    from bayeskit_models.benchmarks.model import BenchmarkVariance
    from bayeskit_models.benchmarks.quantities import Quantities

__all__ = ["curves_of", "last_checkpoints", "metric_choice_of", "steps_of", "totals_by_checkpoint"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def steps_of(spec: BenchmarkVariance, rows: Rows) -> FloatArray:
    """Training step of every label of checkpoints: the number in it (``"step1000"`` is 1000)."""
    out = []
    for label in rows.levels["checkpoint"]:
        found = re.findall(r"\d+(?:\.\d+)?", label)
        if len(found) != 1:
            raise DataError(
                f"checkpoint {label!r} names no training step.", column=spec.column_of("checkpoint"),
                rule='a checkpoint is a number, or text with one number in it, such as "step1000".',
                fix="give the step; checkpoint=None if this column is about something else.",
            )  # fmt: skip
        out.append(float(found[0]))
    return np.array(out)


def last_checkpoints(model: IntArray, step: FloatArray) -> NDArray[np.bool_]:
    """Which rows are of the last checkpoint of their model."""
    last = np.full(int(model.max()) + 1, -np.inf)
    np.maximum.at(last, model, step)
    return np.asarray(step == last[model])


def totals_by_checkpoint(
    code: dict[str, Any], step: FloatArray, sizes: tuple[int, int], linear: bool
) -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
    """Sums of scores and of trials by model, benchmark and checkpoint, with the steps in order."""
    steps, place = np.unique(step, return_inverse=True)
    shape = (*sizes, len(steps))
    cell = np.ravel_multi_index((code["model"], code["benchmark"], place.reshape(-1)), shape)
    trials = code["trials"].astype(float) if "trials" in code else np.ones(len(cell))
    score = code["score"].astype(float) * (trials if linear else 1.0)
    dims = ("model", "benchmark", "checkpoint")
    size = int(np.prod(shape))
    return {
        "checkpoint_step": (("checkpoint",), steps),
        "checkpoint_total": (dims, np.bincount(cell, score, size).reshape(shape)),
        "checkpoint_trials": (dims, np.bincount(cell, trials, size).reshape(shape)),
    }


def curves_of(fit: BenchmarkFit, benchmark: str | None) -> list[CheckpointCurve]:
    """Curves of every model on a benchmark, or on all; see `BenchmarkFit.curves`."""
    statistics = fit._need_statistics("draw curves over checkpoints")
    if "checkpoint_step" not in statistics:
        raise SpecificationError("curves: the table has no column of checkpoints.")
    places = range(len(fit.benchmarks)) if benchmark is None else [fit._place(benchmark, fit.benchmarks, "benchmark")]
    out = []
    for m, model in enumerate(fit.models):
        for b in places:
            label = model if len(fit.benchmarks) == 1 else f"{model} on {fit.benchmarks[b]}"
            curve = _curve(fit, statistics, m, b, label)
            out += [] if curve is None else [curve]
    if not out:
        raise SpecificationError("curves: no model has scores at five checkpoints or more with a step above 0.")
    return out


def _curve(fit: BenchmarkFit, statistics: xr.Dataset, model: int, benchmark: int, label: str) -> CheckpointCurve | None:
    total, trials = (statistics[f"checkpoint_{name}"].values[model, benchmark] for name in ("total", "trials"))
    steps = statistics["checkpoint_step"].values
    seen = (trials > 0.0) & (steps > 0.0)
    if seen.sum() < 5:
        return None
    scale = fit.dials["curve_flexibility.scale"]
    if not fit.spec.law.counted:
        return curve_of_values(steps[seen], total[seen] / trials[seen], scale=scale, label=label)
    return curve_of_counts(steps[seen], total[seen], trials[seen], scale=scale, label=label)


def metric_choice_of(fit: BenchmarkFit, other: BenchmarkFit, model: str | None, benchmark: str | None) -> Quantities:
    """Two metrics on the same training runs of a model; see `BenchmarkFit.metric_choice`."""
    if model is None and len(fit.models) > 1:
        raise SpecificationError(f"model: name one of {', '.join(fit.models[:10])}; runs of one model are compared.")
    who = fit.models[0] if model is None else model
    where = benchmark
    if where is None:
        if len(fit.benchmarks) > 1:
            raise SpecificationError(f"benchmark: name one of {', '.join(fit.benchmarks[:10])}.")
        where = fit.benchmarks[0]
    first, second = (_runs(each, who, where) for each in (fit, other))
    seeds = sorted(set(first) & set(second))
    if not seeds:
        raise SpecificationError("other: the two fits have no training run in common.")
    names = tuple(each.spec.column_of("score") for each in (fit, other))
    a, b = (np.array([runs[s] for s in seeds]) for runs in (first, second))
    return metric_choice(a, b, names=names if names[0] != names[1] else ("first", "second"))


def _runs(fit: BenchmarkFit, model: str, benchmark: str) -> dict[str, float]:
    """Mean score of each training run, by the label of its seed."""
    statistics = fit._need_statistics("compare metrics")
    if "run" not in statistics.sizes:
        raise SpecificationError("metric_choice: the table has no column of training seeds.")
    m, b = fit._place(model, fit.models, "model"), fit._place(benchmark, fit.benchmarks, "benchmark")
    weight = statistics["unit_weight"].values[statistics["cell_unit"].values]
    if "column_run" in statistics:
        run = statistics["column_run"].values[statistics["cell_column"].values]
    else:
        parts = ("benchmark", "model", "seed")
        sizes = tuple(int(statistics[f"run_{p}"].values.max()) + 1 for p in parts)
        known, mine = (
            np.ravel_multi_index(tuple(statistics[f"{kind}_{p}"].values for p in parts), sizes) for kind in ("run", "member")
        )
        of_unit = np.empty(statistics.sizes["unit"], dtype=np.int64)
        of_unit[statistics["member_unit"].values] = np.searchsorted(known, mine)
        run = of_unit[statistics["cell_unit"].values]
    size = statistics.sizes["run"]
    total = np.bincount(run, weight * statistics[fit.spec.law.total].values, size)
    trials = np.bincount(run, weight * statistics["n"].values, size)
    labels = statistics["seed_label"].values.astype(str)[statistics["run_seed"].values]
    mine = (statistics["run_model"].values == m) & (statistics["run_benchmark"].values == b) & (trials > 0.0)
    centre, spread = fit.predictor.unit
    return {str(labels[r]): float(centre + spread * total[r] / trials[r]) for r in np.flatnonzero(mine)}
