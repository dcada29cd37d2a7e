"""Nodes and weights for averages of smooth functions of a logit over a normal effect.

They are those of the trapezoidal sum. Its error falls with exp(-2 pi d / h), h the spacing and d the distance of the nearest
singularity from the real line, so the spacing that a given accuracy needs is known beforehand: no function here is rougher than
the sigmoid (d = pi) or its powers (bounded for d < pi / 2). Off the real line the normal weight grows, by exp(d^2 / (2 sd^2)):
that matters where sd is about one logit, and little on either side, for a small sd needs nodes closer than that anyway.
"""

from __future__ import annotations

import numpy as np

from bayeskit.fused import kernel

__all__ = ["POWERS", "SIGMOID", "normal_nodes"]

SIGMOID = 0.5  # logits between nodes for products of two sigmoids: error 6e-12 at most (at 0.7 it is 2e-9, at an sd of 0.9)
POWERS = 0.35  # for powers of a sigmoid, of whatever order: error exp(-28)
_STANDARD = 0.8  # standard deviations between nodes at most: the weight itself then leaves exp(-31)
_END = 7.0  # standard deviations: what lies beyond has probability 3e-12


@kernel
def normal_nodes(sd, reach):  # type: ignore[no-untyped-def]
    """Nodes of N(0, sd^2), at most `reach` apart, and weights that sum to 1; one node where sd is 0."""
    if sd == 0.0:
        return np.zeros(1), np.ones(1)
    half = int(np.ceil(_END / min(_STANDARD, reach / sd)))
    z = np.linspace(-_END, _END, 2 * half + 1)
    weight = np.exp(-0.5 * z * z)
    return sd * z, weight / weight.sum()
