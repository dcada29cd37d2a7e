"""The graph of a benchmark fit: effects, linear predictors of the columns, and the likelihood with units summed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit_models.benchmarks.assumptions import chance_dials, effect_of, spreads

if TYPE_CHECKING:
    from bayeskit import Graph
    from bayeskit_models.benchmarks.model import BenchmarkVariance

__all__ = ["write_graph"]


def write_graph(spec: BenchmarkVariance, graph: Graph) -> None:
    """Everything of a benchmark fit."""
    import pytensor.tensor as pt

    from bayeskit_models.benchmarks.crossed import log_likelihood

    benchmarks = graph.sizes["benchmark"]
    home = graph.data("column_benchmark")
    eta = graph.prior("benchmark_mean")[home]
    if "ability" in graph.assumptions:
        graph.prior("ability_sd")
        eta = eta + graph.prior("ability")[graph.data("column_model")]
    if "model_benchmark" in graph.assumptions:
        scale = graph.prior("model_benchmark_sd")
        eta = eta + scale * graph.prior("model_benchmark")[home, graph.data("column_model")]
    sd: dict[str, Any] = {}
    shift = pt.zeros(graph.data("unit_benchmark").shape)
    for name in spreads(graph.statistics):
        scale = graph.prior(name) * (
            graph.prior(f"{name}_ratio") if f"{name}_ratio" in graph.assumptions else pt.ones(benchmarks)
        )
        effect = effect_of(graph.statistics, name)
        if effect is None:
            sd[name] = scale
        elif effect[1] == "cluster_place":
            shift = (graph.variables[name] * graph.prior(effect[0]))[graph.data("unit_cluster")]
        else:
            own = scale[graph.data(f"{effect[1]}_benchmark")] * graph.prior(effect[0])
            eta = eta + own[graph.data(f"column_{effect[1]}")]
    chance = pt.stack([graph.dial(name) for name in chance_dials(spec, graph.statistics)])
    k, n, column = graph.data("k"), graph.data("n"), graph.data("cell_column")
    integrated = graph.structure["integrated"]
    if integrated == "none":
        graph.likelihood(_independent(eta, chance, k, n, column, home))
        return
    outer = sd["item_sd"] if integrated == "item" else sd["run_sd"]
    inner = sd.get("item_model_sd", pt.zeros(benchmarks))
    design = [graph.data(x) for x in ("unit_ptr", "unit_benchmark", "unit_weight", "cell_column", "cell_group", "k", "n")]
    graph.likelihood(log_likelihood(eta, shift, outer, inner, chance, *design, np.ones(1)))


def _independent(eta: Any, chance: Any, k: Any, n: Any, column: Any, home: Any) -> Any:
    """Log likelihood of counts with nothing integrated out: sequences of independent trials."""
    import pytensor.tensor as pt

    x, guess = eta[column], chance[home[column]]
    hit = pt.log(guess + (1.0 - guess) * pt.sigmoid(x))
    hit = pt.switch(pt.eq(guess, 0.0), -pt.softplus(-x), hit)
    miss = pt.log1p(-guess) - pt.softplus(x)
    return (k * hit + (n - k) * miss).sum()
