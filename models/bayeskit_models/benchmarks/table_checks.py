"""The guard rails asked of a fit's own statistics: which of them apply, and on which benchmark."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit.verdict import CheckResult, Status
from bayeskit_models.benchmarks.guard_rails import (
    all_or_nothing,
    few_runs,
    kinds_of_scores,
    near_chance,
    repeated_samples,
    single_samples,
    unequal_items,
)
from bayeskit_models.benchmarks.moments import Moments, moments_of_counts
from bayeskit_models.benchmarks.simulate import answers_of

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.predictor import Predictor

__all__ = ["moments_of_statistics", "table_checks"]

FloatArray = NDArray[np.float64]


def table_checks(statistics: xr.Dataset, predictor: Predictor) -> tuple[CheckResult, ...]:
    """What this table cannot tell: every guard rail that its facets give rise to, the worst benchmark of each.

    Parameters
    ----------
    statistics : Dataset
        Of the fit.
    predictor : Predictor
        Of the fit; its chance levels are used.

    Returns
    -------
    tuple of CheckResult
        One of each kind. Where there are several benchmarks, the text names those with a warning.
    """
    models = [str(m) for m in statistics["model"].values]
    cell, member = answers_of(statistics)
    column = statistics["cell_column"].values[cell]
    model, benchmark = (statistics[f"column_{name}"].values[column] for name in ("model", "benchmark"))
    trials = statistics["n"].values[cell]
    out: list[CheckResult] = []
    if "run" in statistics.sizes:
        pairs = np.unique(np.stack([statistics["run_model"].values, statistics["run_seed"].values]), axis=1)
        out.append(few_runs(np.bincount(pairs[0], minlength=len(models)), models))
    items = statistics.attrs["integrated"] == "item"
    if items:
        out.append(single_samples(trials))
        out.append(_each(statistics, benchmark, lambda b, at: unequal_items(model[at], member[at], trials[at], models)))
    if "inside" in statistics:
        kinds = [statistics[name].values[cell] for name in ("zeros", "ones", "inside")]
        total = statistics["total"].values[cell]
        out.append(_each(statistics, benchmark, lambda b, at: kinds_of_scores(*(float(kind[at].sum()) for kind in kinds))))
        out.append(_each(statistics, benchmark, lambda b, at: all_or_nothing(model[at], total[at], trials[at], models)))
    if "k" not in statistics:
        return tuple(out)
    successes = statistics["k"].values[cell]

    def at_chance(b: int, at: NDArray[np.bool_]) -> CheckResult:
        own = member[at] if items else None
        return near_chance(model[at], successes[at], trials[at], models, chance=float(predictor.chance[b]), item=own)

    if predictor.chance.any():
        out.append(_each(statistics, benchmark, at_chance))
    out.append(_each(statistics, benchmark, lambda b, at: all_or_nothing(model[at], successes[at], trials[at], models)))
    if items:
        out.append(repeated_samples(model, successes, trials, models))
    return tuple(out)


def _each(statistics: xr.Dataset, benchmark: NDArray[np.int64], check) -> CheckResult:  # type: ignore[no-untyped-def]
    """The worst of a check's results by benchmark; the text names the benchmarks."""
    labels = [str(b) for b in statistics["benchmark"].values]
    found = [check(b, benchmark == b) for b in range(len(labels))]
    if len(found) == 1:
        return found[0]
    wrong = [b for b, result in enumerate(found) if result.status is Status.WARN]
    if not wrong:
        return replace(found[0], text=f"On each of {len(labels)} benchmarks. {labels[0]}: {found[0].text}")
    named = ", ".join(labels[b] for b in wrong[:5]) + (", ..." if len(wrong) > 5 else "")
    first = found[wrong[0]]
    return replace(first, text=f"{len(wrong)} of {len(labels)} benchmarks ({named}). {labels[wrong[0]]}: {first.text}")


def moments_of_statistics(statistics: xr.Dataset, place: int) -> Moments | None:
    """Mean squares of one benchmark; None where the table is not complete, or has runs or templates.

    Parameters
    ----------
    statistics : Dataset
        Of the fit.
    place : int
        Of the benchmark.
    """
    if statistics.attrs["integrated"] != "item" or "k" not in statistics:
        return None
    if "run" in statistics.sizes or "template_place" in statistics.sizes:
        return None
    cell, member = answers_of(statistics)
    column = statistics["cell_column"].values[cell]
    here = statistics["column_benchmark"].values[column] == place
    cell, member, model = cell[here], member[here], statistics["column_model"].values[column[here]]
    labels, row = np.unique(member, return_inverse=True)
    models = statistics.sizes["model"]
    trials = statistics["n"].values[cell]
    if min(models, len(labels)) < 2 or len(cell) != models * len(labels) or np.ptp(trials) != 0.0 or trials[0] < 2:
        return None
    successes = np.empty((models, len(labels)))
    successes[model, row] = statistics["k"].values[cell]
    return moments_of_counts(successes, trials[0])
