"""Expected scores: success probabilities averaged over normal effects."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["expected_score", "standard_nodes"]

FloatArray = NDArray[np.float64]

_EDGE = 8.5  # standard deviations: the rest of the normal law holds 2e-17
_BLOCK = 4_000_000  # numbers that are worked on at a time


def standard_nodes(largest_sd: float) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the standard normal for logistic functions of ``sd z``, sd up to `largest_sd`.

    The trapezoidal rule: its error is ``exp(-2 pi d / h)`` for a spacing h and a distance d to the nearest pole, which the
    logistic function has at ``pi / sd`` from the real line.
    """
    step = min(0.75, 0.6 / max(largest_sd, 1e-9))
    half = int(np.ceil(_EDGE / step))
    z = np.arange(-half, half + 1) * (_EDGE / half)
    weight = np.exp(-0.5 * z**2)
    return z, weight / weight.sum()


def expected_score(eta: ArrayLike, sd: ArrayLike, chance: ArrayLike = 0.0) -> FloatArray:
    """Mean over z ~ N(0, 1) of ``chance + (1 - chance) / (1 + exp(-(eta + sd z)))``.

    Parameters
    ----------
    eta, sd, chance : array_like
        Log odds, standard deviation of all effects together, and probability of guessing; they are broadcast.

    Returns
    -------
    ndarray
        Error below 1e-12.
    """
    from scipy.special import expit

    eta, sd, chance = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (eta, sd, chance)))
    flat, spread = eta.ravel(), sd.ravel()
    out = np.empty(flat.size)
    z, weight = standard_nodes(float(spread.max(initial=0.0)))
    step = max(1, _BLOCK // len(z))
    for start in range(0, flat.size, step):
        here = slice(start, start + step)
        out[here] = expit(flat[here, None] + spread[here, None] * z) @ weight
    return np.asarray(chance + (1.0 - chance) * out.reshape(eta.shape))
