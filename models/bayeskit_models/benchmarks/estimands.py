"""What people ask of a benchmark fit whatever the question: expected scores of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayeskit_models.benchmarks.predictor import pooled, predictor_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayeskit_models.benchmarks.model import BenchmarkVariance
    from bayeskit_models.benchmarks.predictor import Predictor

__all__ = ["estimands_of", "new_items_score", "population_words"]


def population_words(statistics: xr.Dataset, items: str) -> str:
    """Which population a score is about, in words."""
    facets = [("run", "training seeds"), ("template_place", "templates")]
    there = [told for name, told in facets if name in statistics.sizes]
    if statistics.attrs["integrated"] != "item":
        return "new " + " and ".join(there) if there else "these totals"
    if items == "fixed":
        return "these " + " and ".join(["items", *there])
    return "new " + " and ".join(["items", *there])


def new_items_score(spec: BenchmarkVariance, predictor: Predictor) -> NDArray[np.float64]:
    """Expected score (S, B, M) with every random effect averaged out: new items, seeds and templates."""
    centre, spread = predictor.unit
    sd, cuts = predictor.total_sd()[:, :, None], predictor.cuts[:, :, None, :]
    score = spec.law.mean(predictor.mean, sd, predictor.chance[:, None], cuts)
    return centre + spread * score


def estimands_of(spec: BenchmarkVariance, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float]) -> xr.Dataset:
    """Expected scores by model, as a mean over benchmarks and, where there are several, on each of them."""
    lead = ("chain", "draw")
    shape = tuple(draws.sizes[d] for d in lead)
    found = predictor_of(spec, pooled(draws), statistics, dials)
    if spec.items == "fixed":
        from bayeskit_models.benchmarks.items import these_items_score

        score = these_items_score(spec, found, statistics)
    else:
        score = new_items_score(spec, found)
    words = population_words(statistics, spec.items)
    facts = {"units": "score", "headline": True}
    several = score.shape[1] > 1
    name = f"expected score, mean over benchmarks, {words}" if several else f"expected score, {words}"
    data: dict[str, Any] = {
        "score": ((*lead, "model"), score.mean(1).reshape(*shape, -1), {"label": name, **facts}),
    }
    if several:
        each = score.reshape(*shape, *score.shape[1:])
        label = {"label": f"expected score, {words}", **facts, "headline": False}
        data["benchmark_score"] = ((*lead, "benchmark", "model"), each, label)
    coords = {d: draws[d].values for d in lead if d in draws.coords} | {"model": statistics["model"].values}
    if several:
        coords["benchmark"] = statistics["benchmark"].values
    return xr.Dataset(data, coords=coords)
