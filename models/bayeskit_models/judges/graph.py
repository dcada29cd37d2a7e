"""The PyMC graph of JudgeSimplex, one function a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor.tensor as pt

from bayeskit import Graph
from bayeskit_models.judges import likelihood as lik
from bayeskit_models.judges.assumptions import is_binary
from bayeskit_models.judges.difficulty import difficulty_nodes

if TYPE_CHECKING:
    from bayeskit_models.judges.model import JudgeSimplex

__all__ = ["write_graph"]


def write_graph(spec: JudgeSimplex, graph: Graph) -> None:
    """Write priors, judges and likelihood of a specification."""
    kind = graph.structure["likelihood"]
    if kind == "marginal" and graph.structure["large"] and _plain_binary(spec, graph):
        _write_large(spec, graph)
    elif kind == "marginal":
        prevalence = graph.prior("prevalence")
        _add_counts(graph, prevalence, _log_theta(spec, graph))
    else:
        log_level, log_weight = _levels_of_answers(spec, graph)
        _add_answers(graph, log_level, log_weight, _log_theta(spec, graph))


def _plain_binary(spec: JudgeSimplex, graph: Graph) -> bool:
    """Whether the geometry for much data applies: two levels, one stratum, no cells of a judge's own, no gold."""
    extra = {"self_deviation", "stratum_scale"} & set(graph.assumptions)
    return is_binary(spec) and not extra and "gold_counts" not in graph.statistics


def _write_large(spec: JudgeSimplex, graph: Graph) -> None:
    """Two levels and much data: coordinates that the data determine one by one."""
    candidates, judges = graph.sizes["candidate"], graph.sizes["judge"]
    if spec.constancy == "strict":
        place = 0
        others = (judges - 1,)
        pi, quality, lean, jacobian = lik.ridge(
            graph.coordinate("reference_share", (candidates,)),
            graph.coordinate("best_share", others),
            graph.coordinate("worst_ratio", others),
            graph.coordinate("lower_end", ()),
            graph.coordinate("upper_end", ()),
            place,
            judges,
        )
        prevalence = graph.transformed("prevalence", pt.stack([1.0 - pi, pi], axis=-1), jacobian)
        quality = graph.transformed("judge_quality", quality, 0.0)
        lean = graph.transformed("judge_lean", lean, 0.0)
        log_theta = lik.shifted(lik.binary_vertices(quality, lean), None)
    else:
        prevalence = graph.prior("prevalence")
        quality, lean = graph.prior("judge_quality"), graph.prior("judge_lean")
        deviation, jacobian = lik.centred_deviation(
            quality,
            lean,
            prevalence[:, 1],
            _constancy_scale(graph),
            graph.coordinate("logit_share", (candidates, judges)),
            graph.coordinate("across", (candidates, judges)),
        )
        deviation = graph.transformed("constancy_deviation", deviation, jacobian)
        log_theta = lik.shifted(lik.binary_vertices(quality, lean), _constancy_scale(graph) * deviation)
    _add_counts(graph, prevalence, log_theta)


def _vertices(spec: JudgeSimplex, graph: Graph) -> Any:
    if is_binary(spec):
        return lik.binary_vertices(graph.prior("judge_quality"), graph.prior("judge_lean"))
    vertices = graph.prior("judge_vertices")
    if spec.monotone:
        graph.constraint("monotone", lik.log_monotone(vertices, graph.dial("monotone.sharpness")))
    return vertices


def _constancy_scale(graph: Graph) -> Any:
    """Scale of the deviations at each true level, shape (M,), learned or given."""
    if "constancy_scale" in graph.assumptions:
        return graph.variables.get("constancy_scale") or graph.prior("constancy_scale")
    return graph.dial("constancy.scale") * np.ones(graph.sizes["level"])


def _log_theta(spec: JudgeSimplex, graph: Graph) -> Any:
    """Log probabilities of scores for every row (candidate x stratum), shape (R or 1, J, M, V)."""
    vertices = _vertices(spec, graph)
    sizes = graph.sizes
    shift: Any = None  # (K, G, J, M), broadcastable
    if "constancy_deviation" in graph.assumptions:
        scale = _constancy_scale(graph)
        shift = (scale * graph.prior("constancy_deviation"))[:, None]
    if "stratum_deviation" in graph.assumptions:
        stratum = graph.prior("stratum_scale") * graph.prior("stratum_deviation")
        shift = stratum[None] if shift is None else shift + stratum[None]
    if "self_deviation" in graph.assumptions:
        own = pt.zeros((sizes["candidate"], sizes["judge"], sizes["level"]))
        place = (graph.data("own_candidate"), graph.data("own_judge"))
        own = own[place].set(graph.prior("self_deviation"))[:, None]
        shift = own if shift is None else shift + own
    if shift is None:
        return lik.shifted(vertices, None)
    full = (sizes["candidate"], sizes["stratum"], sizes["judge"], sizes["level"])
    return lik.shifted(vertices, pt.broadcast_to(shift, full).reshape((full[0] * full[1], *full[2:])))


def _add_counts(graph: Graph, prevalence: Any, log_theta: Any) -> None:
    """Marginal likelihood of counts of verdicts."""
    sizes = graph.sizes
    rows = sizes["candidate"] * sizes["stratum"]
    shape = (rows, sizes["judge"], sizes["score"])
    gold = None
    if "gold_counts" in graph.statistics:
        gold = graph.data("gold_counts").reshape((rows, sizes["judge"], sizes["level"], sizes["score"]))
    counts = graph.data("counts").reshape(shape)
    graph.likelihood(lik.gamma_log_likelihood(prevalence.reshape((rows, sizes["level"])), log_theta, counts, gold))


def _levels_of_answers(spec: JudgeSimplex, graph: Graph) -> tuple[Any, Any]:
    """Log probability of each true level by row and difficulty node (R, Q, M), and log weights of the nodes (Q,)."""
    sizes = graph.sizes
    rows = sizes["candidate"] * sizes["stratum"]
    if graph.structure["likelihood"] == "joint":
        prevalence = graph.prior("prevalence").reshape((rows, sizes["level"]))
        return pt.log(prevalence)[:, None, :], pt.zeros(1)
    ability = graph.prior("ability_mean") + graph.prior("ability_scale") * graph.prior("ability")
    scale = graph.prior("difficulty_scale")
    nodes, log_weight = difficulty_nodes()
    location = ability[:, None]
    if "stratum_ability" in graph.assumptions:
        location = location - graph.prior("stratum_difficulty")[None]
        location = location + graph.prior("stratum_ability_scale") * graph.prior("stratum_ability")
    eta = pt.broadcast_to(location, (sizes["candidate"], sizes["stratum"])).reshape((rows,))[:, None] - scale * nodes
    gaps = graph.prior("cut_gap") if spec.levels > 2 else None
    return lik.graded_levels(eta, gaps), pt.as_tensor(log_weight)


def _add_answers(graph: Graph, log_level: Any, log_weight: Any, log_theta: Any) -> None:
    """Likelihood of answers, true levels and item difficulties summed out in one fused pass."""
    from bayeskit_models.judges.kernel import answers

    rows = graph.sizes["candidate"] * graph.sizes["stratum"]
    shape = (rows, graph.sizes["judge"], graph.sizes["level"], graph.sizes["score"])
    names = ("cell_row", "cell_scores", "cell_gold", "item_ptr", "item_cell", "item_count")
    value = answers(pt.broadcast_to(log_theta, shape), log_level, *(graph.data(n) for n in names), log_weight)
    graph.likelihood(value)
