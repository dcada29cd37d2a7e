"""The same scores about two populations: new items, and the items of the table."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit_models.benchmarks.estimands import new_items_score
from bayeskit_models.benchmarks.items import these_items_score

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.benchmark_fit import BenchmarkFit
    from bayeskit_models.benchmarks.predictor import Predictor

__all__ = ["both_populations"]

FloatArray = NDArray[np.float64]

_DRAWS = 500  # every one draws the effects of all items, and of all pairs of model and item


def both_populations(fit: BenchmarkFit) -> tuple[FloatArray, FloatArray]:
    """Mean scores over benchmarks about new items and about these, (S, M) each: all draws of the fit's own, else some."""
    found = fit.predictor
    few = _some(found, np.linspace(0, len(found) - 1, min(len(found), _DRAWS)).astype(int))
    if fit.spec.items == "random":
        these = these_items_score(fit.spec, few, fit._need_statistics("speak of these items"))
        return fit.score_draws(items="random"), these.mean(1)
    return new_items_score(fit.spec, few).mean(1), fit.score_draws(items="fixed")


def _some(predictor: Predictor, take: NDArray[np.int64]) -> Predictor:
    """The predictor at some draws."""
    size = len(predictor)
    chosen = {
        f.name: value[take]
        for f in fields(predictor)
        if isinstance(value := getattr(predictor, f.name), np.ndarray) and f.name != "chance" and len(value) == size
    }
    return replace(predictor, **chosen, sd={name: v[take] for name, v in predictor.sd.items()})
