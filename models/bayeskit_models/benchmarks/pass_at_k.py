"""pass@k: the probability that at least one of k samples solves an item, averaged over items.

Two answers. The unbiased estimator of Chen et al. (2021), arXiv 2107.03374, from n samples of each item; it does not exist for
k above n. And the posterior: given a draw of the model, an item is solved with a probability p that varies over items, and
E[1 - (1 - p)^k] exists for every k. With normal effects on the logit it is a one-dimensional average, with a beta distribution
of p it is ``1 - B(alpha, beta + k) / B(alpha, beta)``. Beyond n the answer rests on the shape of that distribution near p = 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bayeskit.errors import DataError, SpecificationError
from bayeskit.fused import fast_exp, fast_log, kernel
from bayeskit_models.benchmarks.arguments import guess, predictors, standard_deviations
from bayeskit_models.benchmarks.normal_nodes import POWERS, normal_nodes

__all__ = ["beta_pass_at_k", "pass_at_k", "pass_at_k_new_items", "pass_at_k_these_items"]

FloatArray = NDArray[np.float64]


def pass_at_k(samples: ArrayLike, correct: ArrayLike, k: int) -> FloatArray:
    """Unbiased estimate for every item: ``1 - C(n - c, k) / C(n, k)``.

    Parameters
    ----------
    samples, correct : array_like of int
        n samples of an item, c of them correct; shapes that broadcast.
    k : int
        From 1 to the smallest n.

    Returns
    -------
    ndarray
        One estimate an item. Average them.

    Raises
    ------
    DataError
        For counts out of range, or an item with fewer than k samples.
    SpecificationError
        For k below 1.
    """
    _whole(k)
    n, c = np.broadcast_arrays(np.asarray(samples, dtype=float), np.asarray(correct, dtype=float))
    if not ((c >= 0) & (c <= n) & (c == np.floor(c)) & (n == np.floor(n))).all():
        raise DataError(
            "samples and correct are out of range.", rule="0 <= correct <= samples, whole numbers.", fix="correct them."
        )
    if (n < k).any():
        at = int(np.flatnonzero(n.ravel() < k)[0])
        raise DataError(
            f"samples: item {at} has {n.flat[at]:g} samples and k is {k}.", rule="the unbiased estimate needs n >= k.",
            fix="ask for a smaller k, or for the posterior, which has an answer for every k.",
        )  # fmt: skip
    # Probability that none of the first k samples of a random order is correct, one sample after the other.
    place = np.arange(k)
    none = (np.maximum(n[..., None] - c[..., None] - place, 0.0) / (n[..., None] - place)).prod(-1)
    return np.asarray(1.0 - none)


def pass_at_k_new_items(eta: ArrayLike, sd: ArrayLike, ks: Sequence[int], *, chance: float = 0.0) -> FloatArray:
    """Expected pass@k of a new item, draw by draw.

    Parameters
    ----------
    eta : array_like, shape (S, M)
        Draws of the linear predictor of every model, in logits.
    sd : array_like, shape (S,) or ()
        Standard deviation of everything that k samples of an item have in common: the root of the sum of the squares of those
        of items, clusters, model-by-item, and, for a new run or template, of these.
    ks : sequence of int
        Values of k, 1 or more, above the number of samples too.
    chance : float
        Probability that a guess is right.

    Returns
    -------
    ndarray, shape (S, M, len(ks))

    Raises
    ------
    SpecificationError
        For shapes or values out of range.
    """
    x = predictors(eta)
    spread = standard_deviations("sd", sd, len(x))
    orders = np.array([_whole(k) for k in ks], dtype=float)
    return np.asarray(_averaged(x, spread, orders, guess(chance)))


@kernel
def _averaged(eta, sd, ks, chance):  # type: ignore[no-untyped-def]
    draws, models = eta.shape
    out = np.zeros((draws, models, ks.size))
    for s in range(draws):
        z, w = normal_nodes(sd[s], POWERS)
        for m in range(models):
            for q in range(z.size):
                x = eta[s, m] + z[q]
                miss = fast_log(1.0 + fast_exp(-abs(x))) + max(x, 0.0)  # -log of the probability to fail without guessing
                log_fail = fast_log(1.0 - chance) - miss
                for i in range(ks.size):
                    out[s, m, i] -= w[q] * np.expm1(ks[i] * log_fail)
    return out


def pass_at_k_these_items(p: ArrayLike, ks: Sequence[int]) -> FloatArray:
    """Pass@k of the items at hand: mean over items of ``1 - (1 - p)^k``.

    Parameters
    ----------
    p : array_like, shape (..., I)
        Draws of the probability that one sample solves the item.
    ks : sequence of int
        Values of k, 1 or more.

    Returns
    -------
    ndarray, shape (..., len(ks))

    Raises
    ------
    SpecificationError
        For probabilities or k out of range.
    """
    x = np.asarray(p, dtype=float)
    if x.ndim == 0 or not ((x >= 0.0) & (x <= 1.0)).all():
        raise SpecificationError("p: probabilities from 0 to 1 are needed, items along the last axis.")
    with np.errstate(divide="ignore"):
        log_fail = np.log1p(-x)
    return np.stack([-np.expm1(_whole(k) * log_fail).mean(-1) for k in ks], axis=-1)


def beta_pass_at_k(alpha: ArrayLike, beta: ArrayLike, k: int) -> FloatArray:
    """Pass@k where p varies over items as a beta distribution: ``1 - B(alpha, beta + k) / B(alpha, beta)``.

    Parameters
    ----------
    alpha, beta : array_like
        Parameters, above 0 (the posterior of one item with c of n correct: prior plus c and n - c).
    k : int
        1 or more.

    Returns
    -------
    ndarray

    Raises
    ------
    SpecificationError
        For parameters or k out of range.
    """
    a, b = np.asarray(alpha, dtype=float), np.asarray(beta, dtype=float)
    if not ((a > 0.0) & (b > 0.0)).all():
        raise SpecificationError("alpha and beta must be above 0.")
    return np.asarray(-np.expm1(special.betaln(a, b + _whole(k)) - special.betaln(a, b)))


def _whole(k: int) -> int:
    if k != int(k) or k < 1:
        raise SpecificationError(f"k={k!r}: must be a whole number of 1 or more.")
    return int(k)
