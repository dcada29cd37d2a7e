"""What a report says of benchmark scores before any draw: formulas, what the table holds, numbers to replicate, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayeskit_models.benchmarks.statistics import ALL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayeskit_models.benchmarks.model import BenchmarkVariance

__all__ = ["data_facts_of", "equations_of", "limits_of", "test_quantities_of"]

_MOST = 40  # pairs of model and benchmark that are replicated one by one
_LAWS = {
    "binomial": "P(success) = c + (1 − c) logistic(x), c the level of guessing",
    "beta_binomial": "successes ~ Beta-binomial with mean c + (1 − c) logistic(x): answers to one item are alike beyond chance",
    "gaussian": "score ~ Normal(x, error)",
    "ordered_beta": "P(0) = logistic(cut_low − x), P(1) = logistic(x − cut_low − cut_width), otherwise "
    "score ~ Beta with mean logistic(x) and this precision",
}


def equations_of(spec: BenchmarkVariance) -> tuple[str, ...]:
    """The likelihood in formulas; facets that the table lacks fall out of the sum."""
    return (
        _LAWS[spec.family],
        "x = benchmark_mean[benchmark] + ability[model] + model_benchmark[benchmark, model] + difficulty of the item",
        "    + cluster effect + effect of the training run + template effect (of all models, and of each)",
        "difficulty ~ Normal(0, item_sd), summed out for every item; other effects normal with their own standard deviations",
        f"the expected score of a model averages over {'new items like these' if spec.items == 'random' else 'these items'}",
    )


def data_facts_of(statistics: xr.Dataset) -> dict[str, int | float | str]:
    """Answers, items, training runs and templates, and scores that were empty."""
    weight = statistics["unit_weight"].values[statistics["cell_unit"].values]
    out: dict[str, int | float | str] = {"trials": float((weight * statistics["n"].values).sum())}
    out["distinct items"] = statistics.sizes["member"] if statistics.attrs["integrated"] == "item" else "none named"
    for name, dim in (("training runs", "run"), ("templates by benchmark", "template_place"), ("clusters", "cluster_place")):
        if dim in statistics.sizes:
            out[name] = statistics.sizes[dim]
    out["rows without a score, left out"] = int(statistics["missing"])
    return out


def test_quantities_of(spec: BenchmarkVariance, statistics: xr.Dataset) -> dict[str, float]:
    """Mean scores by model and benchmark, shares of scores at their ends, and how much items differ."""
    weight = statistics["unit_weight"].values[statistics["cell_unit"].values]
    trials, total = statistics["n"].values, statistics[spec.law.total].values
    middle, unit = statistics["unit_of_score"].values if spec.law.linear else (0.0, 1.0)
    column = statistics["cell_column"].values
    model, benchmark = (statistics[f"column_{k}"].values[column] for k in ("model", "benchmark"))
    models, benchmarks = ([str(v) for v in statistics[k].values] for k in ("model", "benchmark"))
    place, names = model * len(benchmarks) + benchmark, [_pair(m, b) for m in models for b in benchmarks]
    if len(names) > _MOST:
        place, names = model, models
    many = np.bincount(place, weight * trials, len(names))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = middle + unit * np.bincount(place, weight * total, len(names)) / many
    out = {f"mean score{name}": float(v) for name, v, n in zip(names, means, many, strict=True) if n > 0}
    if spec.law.ends:
        out |= _ends(statistics, weight, benchmark, benchmarks)
    if statistics.attrs["integrated"] == "item":
        home = statistics["unit_benchmark"].values
        for b, name in enumerate(benchmarks):
            out[f"standard deviation of items{_pair(ALL, name)}"] = float(unit) * _spread(statistics, trials, total, home == b)
    return out


def _ends(
    statistics: xr.Dataset, weight: NDArray[np.float64], benchmark: NDArray[np.int64], labels: list[str]
) -> dict[str, float]:
    """Shares of scores that are 0, and 1, by benchmark."""
    out = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for end, name in ((0, "zeros"), (1, "ones")):
            many, found = (np.bincount(benchmark, weight * statistics[k].values, len(labels)) for k in ("n", name))
            out |= {f"share of scores of {end}{_pair(ALL, b)}": float(v) for b, v in zip(labels, found / many, strict=True)}
    return out


def _pair(model: str, benchmark: str) -> str:
    return (f" of {model}" if model != ALL else "") + (f" on {benchmark}" if benchmark != ALL else "")


def _spread(statistics: xr.Dataset, trials: NDArray[np.float64], total: NDArray[np.float64], here: NDArray[np.bool_]) -> float:
    """Standard deviation of the mean scores of items."""
    unit, size = statistics["cell_unit"].values, statistics.sizes["unit"]
    many = np.bincount(unit, trials, size)
    mean = np.bincount(unit, total, size)[here] / many[here]
    weight = statistics["unit_weight"].values[here]
    return float(np.sqrt(np.average((mean - np.average(mean, weights=weight)) ** 2, weights=weight)))


def limits_of(spec: BenchmarkVariance) -> tuple[str, ...]:
    """What such scores cannot say."""
    of = "new items like these" if spec.items == "random" else "these items and no others"
    out = [f"Scores are expected ones on {of}; whether the items stand for what people care about is no question of this fit."]
    out.append("Sources of variance that the table does not name (other prompts, other training runs) are in no interval.")
    if spec.chance == 0.0 and spec.law.counted:
        out.append("No level of guessing is assumed: for multiple choice state one by chance=.")
    return tuple(out)
