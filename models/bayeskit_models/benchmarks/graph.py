"""The graph of a benchmark fit: effects, linear predictors of the columns, and the likelihood with units summed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit_models.benchmarks.assumptions import chance_dials, effect_of, spreads
from bayeskit_models.benchmarks.centring import partly_centred, partly_centred_ratio
from bayeskit_models.benchmarks.families import CUTS
from bayeskit_models.benchmarks.shares import DESIGN

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
    likely = graph.data("centring_scales")
    if "ability" in graph.assumptions:
        scale, none = graph.prior("ability_sd"), pt.zeros(graph.sizes["model"])
        ability = partly_centred(graph, "ability", none, scale, graph.data("centring_ability"), likely[0], zero_sum=True)
        lead = lead + (scale * ability)[None, :]
    if "model_benchmark" in graph.assumptions:
        scale, w = graph.prior("model_benchmark_sd"), graph.data("centring_model_benchmark")[:, None]
        lead = lead + scale * partly_centred(graph, "model_benchmark", lead, scale, w, likely[1], zero_sum=True)
    eta = (level[:, None] + lead)[home, graph.data("column_model")]
    # where items are integrated out, all runs share the doubt about the level, and only their differences are determined
    centre = lead if graph.structure["integrated"] == "item" else level[:, None] + lead
    sd: dict[str, Any] = {}
    shift = pt.zeros(graph.data("unit_benchmark").shape)
    for name in spreads(graph.statistics):
        scale = _by_benchmark(graph, name)
        effect = effect_of(graph.statistics, name)
        if effect is None:
            sd[name] = scale
        elif effect[1] == "cluster_place":
            shift = (graph.variables[name] * graph.prior(effect[0]))[graph.data("unit_cluster")]
        else:
            eta = eta + _effects(graph, effect, scale, centre)[graph.data(f"column_{effect[1]}")]
    law, integrated = spec.law, graph.structure["integrated"]
    own = []
    if law.ends:
        low, width = (graph.prior(name) for name in CUTS)
        own = [low, low + width]
    if law.parameter is not None:
        own.append(_by_benchmark(graph, law.parameter))
    if law.counted:
        own.append(pt.stack([graph.dial(name) for name in chance_dials(spec, graph.statistics)]))
    none = pt.zeros(benchmarks)
    outer = none if integrated == "none" else sd["item_sd" if integrated == "item" else "run_sd"]
    inner = sd.get("item_model_sd", none)
    if law.name == "binomial":
        if integrated == "none":
            graph.likelihood(_independent(eta, own[0], graph.data("k"), graph.data("n"), graph.data("cell_column"), home))
            return
        from bayeskit_models.benchmarks.cheapest import log_likelihood

        design = (graph.data(x) for x in DESIGN)
        graph.likelihood(log_likelihood(eta, shift, outer, inner, *own, *design, np.ones(1)))
        return
    names = ("unit_ptr", "unit_benchmark", "unit_weight", "cell_column", "cell_group", *law.statistics)
    nodes = [] if law.linear else [np.ones(1)] + ([graph.data("cell_kind")] if "cell_kind" in graph.statistics else [])
    total = law.module.log_likelihood(eta, shift, outer, inner, *own, *(graph.data(x) for x in names), *nodes)
    if law.linear:  # densities are of the user's scores
        seen = (graph.data("unit_weight")[graph.data("cell_unit")] * graph.data("n")).sum()
        total = total - seen * pt.log(graph.data("unit_of_score")[1])
    graph.likelihood(total)


def _by_benchmark(graph: Graph, name: str) -> Any:
    """A positive parameter of every benchmark: the typical value times a ratio where there are several."""
    import pytensor.tensor as pt

    typical = graph.prior(name)
    if f"{name}_ratio" not in graph.assumptions:
        return typical * pt.ones(graph.sizes["benchmark"])
    return typical * partly_centred_ratio(graph, f"{name}_ratio", typical, graph.data(f"centring_{name}"))


def _effects(graph: Graph, effect: tuple[str, str], scale: Any, centre: Any) -> Any:
    """Effects of training runs, or of templates, on the scale of the linear predictor."""
    name, dim = effect
    home = graph.data(f"{dim}_benchmark")
    if dim != "run":
        return scale[home] * graph.prior(name)
    own = centre[home, graph.data("run_model")]
    return scale[home] * partly_centred(
        graph, name, own, scale[home], graph.data("centring_run"), graph.data("centring_scales")[2]
    )


def _independent(eta: Any, chance: Any, k: Any, n: Any, column: Any, home: Any) -> Any:
    """Log likelihood of counts with nothing integrated out: sequences of independent trials."""
    import pytensor.tensor as pt

    x, guess = eta[column], chance[home[column]]
    hit = pt.log(guess + (1.0 - guess) * pt.sigmoid(x))
    hit = pt.switch(pt.eq(guess, 0.0), -pt.softplus(-x), hit)
    miss = pt.log1p(-guess) - pt.softplus(x)
    return (k * hit + (n - k) * miss).sum()
