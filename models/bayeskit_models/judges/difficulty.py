"""Nodes over which the difficulty of an item is summed out."""

from __future__ import annotations

import numpy as np

__all__ = ["NODES", "difficulty_nodes"]

NODES = 21


def difficulty_nodes(nodes: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and log weights for a standard normal difficulty, shape (nodes,) each."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    return x, np.log(w / w.sum())
