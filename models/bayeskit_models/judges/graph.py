"""The PyMC graph of JudgeSimplex, one function a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor.tensor as pt

from bayeskit import Graph
from bayeskit_models.judges import likelihood as lik
from bayeskit_models.judges import panel
from bayeskit_models.judges.assumptions import is_binary
from bayeskit_models.judges.difficulty import spacing

if TYPE_CHECKING:
    from bayeskit_models.judges.model import JudgeSimplex

__all__ = ["write_graph"]

_REACH = 0.5  # how much of a deviation of both logits reaches the logit of a share, roughly
_CELLS = ("cell_row", "cell_scores", "cell_gold", "item_count")
_ANSWERS = ("cell_row", "cell_scores", "cell_gold", "item_ptr", "item_cell", "item_count")


def write_graph(spec: JudgeSimplex, graph: Graph) -> None:
    """Write priors, judges and likelihood of a specification."""
    kind = graph.structure["likelihood"]
    if kind == "marginal" and graph.structure["geometry"] != "plain" and _plain_binary(spec, graph):
        _write_plain_marginal(spec, graph)
        return
    vertices = _vertices(spec, graph)
    shift = _shift(graph)
    if kind == "paired":
        location, spread, gaps = _ability(graph)
        step = np.array([spacing(graph.sizes["candidate"])])
        graph.likelihood(panel.paired(vertices, shift, location, spread, gaps, *(graph.data(n) for n in _ANSWERS), step))
        return
    prevalence = graph.prior("prevalence", anchored=not is_binary(spec))
    if prevalence.ndim == 3:
        prevalence = prevalence.reshape((-1, graph.sizes["level"]))
    if kind == "joint":
        graph.likelihood(panel.joint(vertices, shift, prevalence, *(graph.data(n) for n in _CELLS)))
    else:
        graph.likelihood(panel.marginal(vertices, shift, prevalence, *_counts(graph)))
        if "gold_only" in graph.statistics:
            alone = graph.data("gold_only").reshape((-1, graph.sizes["level"]))
            graph.likelihood((alone * pt.log(prevalence)).sum(), "gold_only")


def _plain_binary(spec: JudgeSimplex, graph: Graph) -> bool:
    """Whether the geometries of the marginal likelihood apply: two levels, one stratum, no cells of a judge's own, no gold."""
    extra = {"self_deviation", "stratum_scale"} & set(graph.assumptions)
    return is_binary(spec) and not extra and not {"gold_counts", "gold_only"} & set(graph.statistics)


def _ridge_coordinates(graph: Graph, scale: Any) -> tuple[Any, Any]:
    """Prevalence and judges' matrices, in coordinates that the data determine one by one; see `likelihood.ridge`."""
    judges = graph.sizes["judge"]
    observed, variance = lik.observed_logit(graph.data("counts")[:, 0, 0])
    # The first judge's shares, were it constant: known as closely as verdicts and its deviations (some half of whose scale
    # reaches the logit of the share) let them be.
    spread = pt.sqrt(variance + (_REACH * scale[0]) ** 2)
    pi, quality, lean, jacobian = lik.ridge(
        observed + spread * graph.coordinate("reference_share", (graph.sizes["candidate"],)),
        graph.coordinate("best_share", (judges - 1,)),
        graph.coordinate("worst_ratio", (judges - 1,)),
        graph.coordinate("lower_end", ()),
        graph.coordinate("upper_end", ()),
        0,
        judges,
    )
    jacobian = jacobian + pt.log(spread).sum()
    prevalence = graph.transformed("prevalence", pt.stack([1.0 - pi, pi], axis=-1), jacobian)
    quality = graph.transformed("judge_quality", quality, 0.0)
    lean = graph.transformed("judge_lean", lean, 0.0)
    return prevalence, lik.binary_vertices(quality, lean)


def _write_plain_marginal(spec: JudgeSimplex, graph: Graph) -> None:
    """Two levels without items: the shares are known only up to the two ends of a line, so that line is sampled."""
    if spec.constancy == "strict":
        prevalence, vertices = _ridge_coordinates(graph, pt.zeros(1))
        shift = _no_shift(graph)
    else:
        scale, shared = _constancy_parts(graph)
        prevalence, vertices = _ridge_coordinates(graph, scale)
        shift = _whitened_shift(graph, prevalence, scale, shared)
    graph.likelihood(panel.marginal(vertices, shift, prevalence, *_counts(graph)))


def _whitened_shift(graph: Graph, prevalence: Any, scale: Any, shared: Any) -> Any:
    """Deviations from constancy through the shares that the data determine; see `likelihood.whitened_logit`."""
    cells = (graph.sizes["candidate"], graph.sizes["judge"])
    shared = np.zeros((*cells, 2)) if shared is None else shared
    judges = graph.variables["judge_quality"], graph.variables["judge_lean"], prevalence[:, 1], scale, shared
    across = graph.coordinate("across", cells)
    counts = graph.data("counts")[:, 0]
    logit, stretch = lik.whitened_logit(*judges, across, counts, graph.coordinate("white", cells))
    deviation, jacobian = lik.centred_deviation(*judges, logit, across)
    return scale[:, None] * graph.transformed("constancy_deviation", deviation, jacobian + stretch) + shared


def _vertices(spec: JudgeSimplex, graph: Graph) -> Any:
    """Matrices of the judges, shape (J, M, V)."""
    if is_binary(spec):
        return lik.binary_vertices(graph.prior("judge_quality"), graph.prior("judge_lean"))
    # Exchanged levels are modes of negligible mass in which a chain that starts there stays.
    vertices = graph.prior("judge_vertices", anchored=True)
    if spec.monotone:
        graph.constraint("monotone", panel.monotone(vertices, graph.dial("monotone.sharpness").reshape((1,))))
    return vertices


def _constancy_parts(graph: Graph) -> tuple[Any, Any]:
    """Scale of what is a judge's own in its deviations (J,), and what all judges share of them (K, J, M) or None."""
    judges = graph.sizes["judge"]
    if "constancy_scale" not in graph.assumptions:
        return graph.dial("constancy.scale") * np.ones(judges), None
    scale = graph.prior("constancy_scale")
    if "shared_share" not in graph.assumptions:
        return scale * np.ones(judges), None
    scale = scale * graph.prior("constancy_factor")
    share = graph.prior("shared_share")
    common = pt.sqrt(share) * graph.prior("shared_deviation")
    return pt.sqrt(1.0 - share) * scale, scale[:, None] * common[:, None]


def _no_shift(graph: Graph) -> Any:
    return pt.zeros((0, graph.sizes["judge"], graph.sizes["level"]))


def _shift(graph: Graph) -> Any:
    """Shift of judges' cumulative logits by row (candidate x stratum) and true level, shape (R, 1 or, for none, 0; J, M)."""
    sizes = graph.sizes
    full = (sizes["candidate"], sizes["stratum"], sizes["judge"], sizes["level"])
    parts = []
    if "constancy_deviation" in graph.assumptions:
        scale, shared = _constancy_parts(graph)
        own = scale[:, None] * graph.prior("constancy_deviation")
        parts.append((own if shared is None else own + shared)[:, None])
    if "stratum_deviation" in graph.assumptions:
        parts.append((graph.prior("stratum_scale") * graph.prior("stratum_deviation"))[None])
    if "self_deviation" in graph.assumptions:
        place = (graph.data("own_candidate"), graph.data("own_judge"))
        zero = pt.zeros((sizes["candidate"], sizes["judge"], sizes["level"]))
        parts.append(zero[place].set(graph.prior("self_deviation"))[:, None])
    if not parts:
        return _no_shift(graph)
    total = sum(parts[1:], parts[0])
    if sizes["stratum"] == 1:
        return total[:, 0]
    return pt.broadcast_to(total, full).reshape((full[0] * full[1], *full[2:]))


def _counts(graph: Graph) -> tuple[Any, Any]:
    """Counts of verdicts by row, and those with a known true level (no rows where there are none)."""
    sizes = graph.sizes
    rows = sizes["candidate"] * sizes["stratum"]
    gold: Any = np.zeros((0, sizes["judge"], sizes["level"], sizes["score"]))
    if "gold_counts" in graph.statistics:
        gold = graph.data("gold_counts").reshape((rows, *gold.shape[1:]))
    return graph.data("counts").reshape((rows, sizes["judge"], sizes["score"])), gold


def _ability(graph: Graph) -> tuple[Any, Any, Any]:
    """Location of every row on the logit scale (R,), spread of the difficulty (1,), gaps of the thresholds (M - 2,)."""
    ability = graph.prior("ability_mean") + graph.prior("ability_scale") * graph.prior("ability")
    spread = graph.prior("difficulty_scale").reshape((1,))
    gaps = graph.prior("cut_gap") if "cut_gap" in graph.assumptions else np.zeros(0)
    if "stratum_ability" not in graph.assumptions:
        return ability, spread, gaps
    location = ability[:, None] - graph.prior("stratum_difficulty")[None]
    location = location + graph.prior("stratum_ability_scale") * graph.prior("stratum_ability")
    return location.reshape((-1,)), spread, gaps
