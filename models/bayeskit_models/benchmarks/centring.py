"""Coordinates in which effects sample well: from effects about 0 (little data) to the totals that much data determine.

An effect ``scale x``, x standard normal, added to a centre m is known either by x or by the total ``t = m + scale x``. Data that
determine the total make x depend strongly on the hyperparameters, scarce data do so to t. In between lie the coordinates c with
``x = (c - w m) / scale^w``, which is x at w = 0 and t at w = 1 (Papaspiliopoulos, Roberts and Skold 2003, Bayesian Statistics
7). The posterior is the same for every w; it is set from the size of the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bayeskit import Graph

__all__ = ["centring_weight", "partly_centred", "zero_sum_basis"]

_TRIAL = 6.0  # variance of log odds that one answer leaves, in the middle range of scores


def centring_weight(scale: float, answers: float, noise: float = 0.0, *, linear: bool = False) -> float:
    """Weight w for effects of about this scale of which each is seen in so many answers, beside other noise of a variance."""
    error = noise + (1.0 if linear else _TRIAL) / max(answers, 1e-9)
    return float(scale**2 / (scale**2 + error))


def partly_centred(graph: Graph, name: str, centre: Any, scale: Any, weight: Any, *, zero_sum: bool = False) -> Any:
    """Create the variable of an assumption with a standard normal prior in such coordinates, and return it.

    Parameters
    ----------
    graph : Graph
    name : str
        Of the assumption.
    centre : tensor, shape of the variable
        What the effects are added to; of zero-sum effects itself zero-sum along the last dimension.
    scale : tensor, shape of the variable
        Their standard deviations.
    weight : tensor, shape ()
        From 0 to 1.
    zero_sum : bool
        Whether the effects sum to zero along the last dimension.
    """
    import pytensor.tensor as pt

    prior = graph.assumptions[name].prior
    assert prior is not None
    shape = tuple(graph.sizes[d] for d in prior.dims)
    if zero_sum:
        free = graph.coordinate(f"{name}_coordinate", (*shape[:-1], shape[-1] - 1))
        at, share = pt.dot(free, zero_sum_basis(shape[-1])), (shape[-1] - 1) / shape[-1]
    else:
        at, share = graph.coordinate(f"{name}_coordinate", shape), 1.0
    log_scale = pt.log(scale)
    value = (at - weight * centre) * pt.exp(-weight * log_scale)
    return graph.transformed(name, value, -weight * share * log_scale.sum())


def zero_sum_basis(size: int) -> np.ndarray:
    """Orthonormal rows (size - 1, size) that span the vectors with sum zero (Helmert 1876)."""
    out = np.zeros((size - 1, size))
    for i in range(1, size):
        out[i - 1, :i] = 1.0
        out[i - 1, i] = -i
        out[i - 1] /= np.sqrt(i * (i + 1.0))
    return out
