"""Power-scaling: how far quantities move when one part of the model is made a little stronger or weaker.

Kallioinen, Paananen, Buerkner, Vehtari (2024), Statistics and Computing 34:57.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeskit.sensitivity.weights import pareto_smoothed

__all__ = ["ALPHAS", "Order", "PowerScaling", "between", "jensen_shannon", "power_scaling"]

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


@dataclass(frozen=True)
class Order:
    """Quantities in their order: what distances from the same draws have in common, sorted once.

    Attributes
    ----------
    order : ndarray of int, shape (Q, S)
        Positions of the draws in rising order.
    width : ndarray, shape (Q, S - 1)
        Gaps between neighbours.
    """

    order: NDArray[np.intp]
    width: FloatArray

    @classmethod
    def of(cls, flat: FloatArray) -> Order:
        """Sort draws, shape (S, Q)."""
        rows = np.ascontiguousarray(flat.T)
        order = np.argsort(rows, axis=1, kind="stable")
        return cls(order, np.diff(np.take_along_axis(rows, order, axis=1), axis=1))

    def distances(self, weights: FloatArray, mirror: bool = True) -> FloatArray:
        """Distance of every quantity, shape (Q,); with `mirror` the larger of its own and of its mirror image's."""
        size = self.order.shape[1]
        # as in priorsense and ArviZ: the base distribution function stops one step short of 1
        p = np.linspace(1.0 / size, 1.0 - 1.0 / size, size - 1)
        q = np.cumsum(weights[self.order], axis=1)[:, :-1]
        found = _distance(self.width, p, q)
        # the functions of the mirror image are 1 - p and 1 - q over the same gaps
        return np.maximum(found, _distance(self.width, 1.0 - p, 1.0 - q)) if mirror else found


def between(one: FloatArray, other: FloatArray) -> FloatArray:
    """Distance between two samples for every quantity, the larger of its own and of its mirror image's, less what noise makes.

    Parameters
    ----------
    one, other : ndarray, shape (chains, draws, Q)
        Draws. Halves of the chains of each sample tell how far apart samples of the same distribution are: squares of
        distances add up, and a half is twice as noisy as the whole.

    Returns
    -------
    ndarray, shape (Q,)
    """
    noise = [np.square(_two_samples(*(h.reshape(-1, x.shape[-1]) for h in np.array_split(x, 2, axis=1)))) for x in (one, other)]
    found = np.square(_two_samples(*(x.reshape(-1, x.shape[-1]) for x in (one, other))))
    return np.asarray(np.sqrt(np.maximum(found - (noise[0] + noise[1]) / 4.0, 0.0)))


def _two_samples(one: FloatArray, other: FloatArray) -> FloatArray:
    order = Order.of(np.concatenate([one, other]))
    p, q = (
        np.cumsum(np.r_[np.full(len(one), a / len(one)), np.full(len(other), b / len(other))][order.order], axis=1)[:, :-1]
        for a, b in ((1.0, 0.0), (0.0, 1.0))
    )
    p, q = np.minimum(p, 1.0), np.minimum(q, 1.0)
    return np.maximum(_distance(order.width, p, q), _distance(order.width, 1.0 - p, 1.0 - q))


def _distance(width: FloatArray, p: FloatArray, q: FloatArray) -> FloatArray:
    """Both halves of the distance together: their terms ``(q - p) / (2 log 2)`` cancel."""
    total = p + q
    logs = [np.log2(np.maximum(part, 1e-300)) for part in (p, q, 0.5 * total)]
    inside = p * logs[0] + q * logs[1] - total * logs[2]
    area = np.einsum("qs,qs->q", width, total)
    divergence = np.maximum(np.einsum("qs,qs->q", width, inside), 0.0)
    return np.asarray(np.sqrt(np.divide(divergence, area, out=np.zeros_like(area), where=area > 0.0)))


def power_scaling(log_component: FloatArray, quantities: FloatArray, order: Order | None = None) -> PowerScaling:
    """Power-scale one component.

    Parameters
    ----------
    log_component : ndarray, shape (chains, draws)
        Log density of the component (a prior, a constraint, the likelihood) in every draw.
    quantities : ndarray, shape (chains, draws, Q)
        Draws of the quantities; without NaN.
    order : Order, optional
        Of the quantities, where it is known already.

    Returns
    -------
    PowerScaling
    """
    flat = quantities.reshape(-1, quantities.shape[-1])
    nothing = np.full(flat.shape[1], np.nan)
    if not np.isfinite(log_component).all():
        return PowerScaling(nothing, nothing, np.nan, np.nan, computed=False, reliable=False)
    weights = [pareto_smoothed((alpha - 1.0) * log_component) for alpha in ALPHAS]
    if not all(w.computed for w in weights):
        return PowerScaling(nothing, nothing, np.nan, np.nan, computed=False, reliable=False)
    order = Order.of(flat) if order is None else order
    slope = [order.distances(w.values) / abs(np.log2(alpha)) for w, alpha in zip(weights, ALPHAS, strict=True)]
    component = log_component.reshape(-1)
    spread = flat.std(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = (component - component.mean()) @ (flat - flat.mean(0)) / len(flat) / spread
    return PowerScaling(
        index=np.where(spread > 0, (slope[0] + slope[1]) / 2.0, np.nan),
        direction=np.where(spread > 0, moved, np.nan),
        k_hat=max(w.k_hat for w in weights),
        ess=min(w.ess for w in weights),
        computed=True,
        reliable=all(w.reliable for w in weights),
    )


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
    return float(Order.of(np.asarray(x, dtype=float)[:, None]).distances(np.asarray(weights, dtype=float), mirror=False)[0])
