"""Nodes over which the difficulty of an item is summed out.

A uniform grid, weighted by the normal density: unlike Gauss-Hermite nodes, which lie ever farther apart in the middle as the
difficulty spreads, its error falls faster than any power of the spacing once the spacing is below the width of the integrand.
That width is a fixed number of logits, so a wider spread takes more nodes. `JudgeFit.verdict` checks the error by doubling
them.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["LANES", "REACH", "difficulty_nodes", "node_count", "spacing"]

REACH = 4.5
"""The grid ends at this many standard deviations of the difficulty."""
LANES = 8
"""Numbers of nodes are multiples of this: the loops over nodes are then whole vector registers."""
_MOST = 256


def spacing(candidates: int) -> float:
    """Largest distance of two nodes on the logit scale: the more candidates answer an item, the sharper its integrand."""
    return min(1.2, 3.4 / math.sqrt(candidates))


def node_count(spread: float, step: float) -> int:
    """How many nodes a difficulty with this standard deviation takes, with nodes at most `step` logits apart.

    Plain arithmetic, because the kernel compiles it too. Nodes are never more than one standard deviation apart.
    """
    finer = min(max(spread / step, 1.0), float(_MOST))  # also where a step of the sampler goes far out
    return min(LANES * math.ceil((2.0 * REACH * finer + 1.0) / LANES), _MOST)


def difficulty_nodes(candidates: int, spread: float, refine: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and log weights for a standard normal difficulty.

    Parameters
    ----------
    candidates : int
        How many candidates answer an item.
    spread : float
        Standard deviation of the difficulty on the logit scale, by which the nodes will be multiplied.
    refine : int
        Multiple of the number of nodes, for checking.

    Returns
    -------
    nodes, log_weight : ndarray, shape (Q,)

    Notes
    -----
    For 100 to 300 items, 3 to 60 candidates and spreads from 0.05 to 12 the error of the total log likelihood is below 0.003.
    The grid changes where a spread needs more nodes, and the log likelihood by less than that.
    """
    nodes = np.linspace(-REACH, REACH, node_count(float(spread), spacing(candidates)) * refine)
    log_weight = -0.5 * nodes**2
    return nodes, log_weight - np.log(np.exp(log_weight).sum())
