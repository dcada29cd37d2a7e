"""Power-scaling: how far quantities move when one part of the model is made a little stronger or weaker.

Kallioinen, Paananen, Buerkner, Vehtari (2024), Statistics and Computing 34:57.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeskit.sensitivity.weights import Weights, pareto_smoothed

__all__ = ["ALPHAS", "PowerScaling", "jensen_shannon", "power_scaling"]

ALPHAS = (0.99, 1.01)
"""Exponents on a component: close to 1, so that the index is a derivative."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class PowerScaling:
    """Effect of one component on many quantities.

    Attributes
    ----------
    index : ndarray, shape (Q,)
        Derivative of the distance between base and scaled distribution with respect to log2 of the exponent.
    direction : ndarray, shape (Q,)
        Shift of the mean in posterior standard deviations when the component is doubled, to first order.
    k_hat, ess : float
        The worse of the two sets of weights.
    computed, reliable : bool
        Of both sets of weights.
    """

    index: FloatArray
    direction: FloatArray
    k_hat: float
    ess: float
    computed: bool
    reliable: bool


def power_scaling(log_component: FloatArray, quantities: FloatArray) -> PowerScaling:
    """Power-scale one component.

    Parameters
    ----------
    log_component : ndarray, shape (chains, draws)
        Log density of the component (a prior, a constraint, the likelihood) in every draw.
    quantities : ndarray, shape (chains, draws, Q)
        Draws of the quantities; without NaN.

    Returns
    -------
    PowerScaling
    """
    flat = quantities.reshape(-1, quantities.shape[-1])
    weights = [pareto_smoothed((alpha - 1.0) * log_component) for alpha in ALPHAS]
    nothing = np.full(flat.shape[1], np.nan)
    if not all(w.computed for w in weights) or not np.isfinite(log_component).all():
        return PowerScaling(nothing, nothing, np.nan, np.nan, computed=False, reliable=False)
    slope = [_distances(flat, w) / abs(np.log2(alpha)) for w, alpha in zip(weights, ALPHAS, strict=True)]
    component = log_component.reshape(-1)
    spread = flat.std(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = ((flat - flat.mean(0)) * (component - component.mean())[:, None]).mean(0) / spread
    return PowerScaling(
        index=np.where(spread > 0, (slope[0] + slope[1]) / 2.0, np.nan),
        direction=np.where(spread > 0, moved, np.nan),
        k_hat=max(w.k_hat for w in weights),
        ess=min(w.ess for w in weights),
        computed=True,
        reliable=all(w.reliable for w in weights),
    )


def _distances(flat: FloatArray, weights: Weights) -> FloatArray:
    """The larger of the distances of a quantity and of its mirror image, for every quantity."""
    out = np.empty(flat.shape[1])
    for q in range(flat.shape[1]):
        out[q] = max(jensen_shannon(flat[:, q], weights.values), jensen_shannon(-flat[:, q], weights.values))
    return out


def jensen_shannon(x: FloatArray, weights: FloatArray) -> float:
    """Cumulative Jensen-Shannon distance between draws and the same draws weighted, scaled to [0, 1].

    Parameters
    ----------
    x, weights : ndarray, shape (S,)
        Draws, and weights with sum 1.

    Notes
    -----
    Nguyen and Vreeken (2015), ECML PKDD, as used by Kallioinen et al. (2024), section 3.2.
    """
    order = np.argsort(x, kind="stable")
    width = np.diff(x[order])
    size = len(x)
    # as in priorsense and ArviZ: the base distribution function stops one step short of 1
    p = np.linspace(1.0 / size, 1.0 - 1.0 / size, size - 1)
    q = np.cumsum(weights[order])[:-1]
    area_p, area_q = float(p @ width), float(q @ width)
    if area_p + area_q <= 0.0:
        return 0.0
    middle = np.log2((p + q) / 2.0)
    log_q = np.log2(np.maximum(q, 1e-300))
    gap = 0.5 / np.log(2.0) * (area_q - area_p)
    forward = float(width @ (p * (np.log2(p) - middle))) + gap
    back = float(width @ (q * (log_q - middle))) - gap
    return float(np.sqrt((max(forward, 0.0) + max(back, 0.0)) / (area_p + area_q)))
