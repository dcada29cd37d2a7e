"""The graph of a benchmark fit: effects, linear predictors of the columns, and the likelihood with units summed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit_models.benchmarks.assumptions import chance_dials, effect_of, spreads
from bayeskit_models.benchmarks.centring import partly_centred

if TYPE_CHECKING:
    from bayeskit import Graph
    from bayeskit_models.benchmarks.model import BenchmarkVariance

__all__ = ["write_graph"]


def write_graph(spec: BenchmarkVariance, graph: Graph) -> None:
    """Everything of a benchmark fit."""
    import pytensor.tensor as pt

    benchmarks = graph.sizes["benchmark"]
    home = graph.data("column_benchmark")
    level = graph.prior("benchmark_mean")
    lead = pt.zeros((benchmarks, graph.sizes["model"]))  # of a model over the level of the benchmark
    if "ability" in graph.assumptions:
        graph.prior("ability_sd")
        lead = lead + graph.prior("ability")[None, :]
    if "model_benchmark" in graph.assumptions:
        scale = graph.prior("model_benchmark_sd") * pt.ones_like(lead)
        weight = graph.data("centring_model_benchmark")
        lead = lead + scale * partly_centred(graph, "model_benchmark", lead, scale, weight, zero_sum=True)
    eta = (level[:, None] + lead)[home, graph.data("column_model")]
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
            eta = eta + _effects(graph, effect, scale, lead)[graph.data(f"column_{effect[1]}")]
    law, integrated = spec.law, graph.structure["integrated"]
    own = []
    if law.parameter is not None:
        ratio = f"{law.parameter}_ratio"
        spread = graph.prior(law.parameter)
        own = [spread * (graph.prior(ratio) if ratio in graph.assumptions else pt.ones(benchmarks))]
    if not law.linear:
        own.append(pt.stack([graph.dial(name) for name in chance_dials(spec, graph.statistics)]))
    none = pt.zeros(benchmarks)
    outer = none if integrated == "none" else sd["item_sd" if integrated == "item" else "run_sd"]
    inner = sd.get("item_model_sd", none)
    names = ("unit_ptr", "unit_benchmark", "unit_weight", "cell_column", "cell_group", *law.statistics)
    if law.name == "binomial" and integrated == "none":
        graph.likelihood(_independent(eta, own[0], graph.data("k"), graph.data("n"), graph.data("cell_column"), home))
        return
    nodes = [] if law.linear else [np.ones(1)]
    total = law.module.log_likelihood(eta, shift, outer, inner, *own, *(graph.data(x) for x in names), *nodes)
    if law.linear:  # densities are of the user's scores
        seen = (graph.data("unit_weight")[graph.data("cell_unit")] * graph.data("n")).sum()
        total = total - seen * pt.log(graph.data("unit_of_score")[1])
    graph.likelihood(total)


def _effects(graph: Graph, effect: tuple[str, str], scale: Any, lead: Any) -> Any:
    """Effects of training runs, or of templates, on the scale of the linear predictor."""
    name, dim = effect
    home = graph.data(f"{dim}_benchmark")
    if dim != "run":
        return scale[home] * graph.prior(name)
    centre = lead[home, graph.data("run_model")]
    return scale[home] * partly_centred(graph, name, centre, scale[home], graph.data("centring_run"))


def _independent(eta: Any, chance: Any, k: Any, n: Any, column: Any, home: Any) -> Any:
    """Log likelihood of counts with nothing integrated out: sequences of independent trials."""
    import pytensor.tensor as pt

    x, guess = eta[column], chance[home[column]]
    hit = pt.log(guess + (1.0 - guess) * pt.sigmoid(x))
    hit = pt.switch(pt.eq(guess, 0.0), -pt.softplus(-x), hit)
    miss = pt.log1p(-guess) - pt.softplus(x)
    return (k * hit + (n - k) * miss).sum()
