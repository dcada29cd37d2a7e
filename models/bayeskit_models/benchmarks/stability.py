"""Would the ranking come out the same again? Kendall's tau of two repetitions of a benchmark, and of one with the truth.

Given a draw, models have true scores and a repetition (new items, seeds, templates, samples) adds an error to each. What all
errors have in common moves no rank. What is left is taken to be normal and independent between models, with the variances of
`error_variance`: means over many items are close to normal, and the assumption is of the same kind as that behind a standard
error. Two models whose true difference is d and whose errors differ with sd s are in the same order twice with probability
``Phi(d / s)^2 + Phi(-d / s)^2``; no repetition is simulated. Scores of a finite benchmark can tie, which counts for neither
order: with few items tau comes out a little lower than here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bayeskit.errors import SpecificationError
from bayeskit_models.benchmarks.quantities import Quantities

__all__ = ["Stability", "stability", "winning_probabilities"]

FloatArray = NDArray[np.float64]

_NODES = 61  # of the error of the winner, from -7 to 7 standard deviations
_DRAWS = 400  # for probabilities of winning; the others use all draws
_NUMBERS = 2_000_000  # of one block of draws


@dataclass(frozen=True, repr=False)
class Stability(Quantities):
    """Draws of four numbers; see `stability`."""


def stability(scores: ArrayLike, error: ArrayLike, *, population: str = "new items, seeds and samples") -> Stability:
    """How far repetitions of a benchmark agree on the order of its models.

    Parameters
    ----------
    scores : array_like, shape (S, M)
        Draws of the models' true scores, M of 2 or more.
    error : array_like, shape (S,), (S, M) or ()
        Variance of the error of a model's score in one repetition, without what all models share
        (`bayeskit_models.benchmarks.design.error_variance`, or model by model `bayeskit_models.benchmarks.model_errors`, which
        matters where some models are near the ceiling).
    population : str
        What a repetition draws anew.

    Returns
    -------
    Stability
        tau_repeat: expected Kendall's tau of two repetitions; tau_truth: of one repetition with the true order; same_winner:
        probability that two repetitions have the same winner; true_winner: that one has the model with the highest true score.

    Raises
    ------
    SpecificationError
        For fewer than two models, other shapes, values that are not finite or negative variances.
    """
    x, v = _checked(scores, error)
    above = np.concatenate([special.ndtr(d / s) for d, s in _pairs(x, v)])
    sign = 2.0 * above - 1.0  # of a pair whose first model is truly the better one: expected agreement with the truth
    keep = np.linspace(0, len(x) - 1, min(len(x), _DRAWS)).astype(int)
    wins = winning_probabilities(x[keep], v[keep])
    draws = {
        "tau_repeat": (sign**2).mean(1),
        "tau_truth": np.abs(sign).mean(1),
        "same_winner": _stretched((wins**2).sum(1), len(x)),
        "true_winner": _stretched(wins[np.arange(len(keep)), x[keep].argmax(1)], len(x)),
    }
    note = "Errors are taken to be normal and independent between models."
    return Stability(draws, "agreement of repetitions", "Kendall's tau, probabilities", population, note)


def winning_probabilities(scores: ArrayLike, error: ArrayLike) -> FloatArray:
    """Probability, in every draw, that a model has the highest score of a repetition.

    Parameters
    ----------
    scores, error
        As in `stability`.

    Returns
    -------
    ndarray, shape (S, M)
        Rows sum to 1. Without any error the highest score wins, and models that tie share it.
    """
    x, v = _checked(scores, error)
    sd = np.sqrt(v)
    z = np.linspace(-7.0, 7.0, _NODES)
    weight = np.exp(-0.5 * z * z) / np.exp(-0.5 * z * z).sum()
    out = np.empty(x.shape)
    for s in range(len(x)):
        # The model with the highest score and those it could lose to; nobody else has a chance of 1e-12.
        best = np.max(x[s] - 7.2 * sd[s])
        near = np.flatnonzero(x[s] + 7.2 * sd[s] >= best)
        out[s] = 0.0
        out[s, near] = _wins(x[s, near], sd[s, near], z, weight)
    return out / out.sum(1, keepdims=True)


def _wins(x: FloatArray, sd: FloatArray, z: FloatArray, weight: FloatArray) -> FloatArray:
    at = x[:, None] + sd[:, None] * z  # (M, nodes): a model's score in a repetition
    gap = at[:, :, None] - x
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.where(
            sd > 0.0, special.log_ndtr(gap / sd), np.where(gap > 0.0, 0.0, np.where(gap == 0.0, -np.log(2), -np.inf))
        )
    own = np.arange(len(x))
    below[own, :, own] = 0.0
    return np.asarray(np.exp(below.sum(2)) @ weight)


def _pairs(x: FloatArray, v: FloatArray):  # type: ignore[no-untyped-def]
    """Differences and their standard deviations over all pairs, by blocks of draws, each (draws, pairs)."""
    a, b = np.triu_indices(x.shape[1], 1)
    block = max(_NUMBERS // len(a), 1)
    tiny = np.finfo(float).tiny
    for start in range(0, len(x), block):
        part, own = x[start : start + block], v[start : start + block]
        yield part[:, a] - part[:, b], np.sqrt(np.maximum(own[:, a] + own[:, b], tiny))


def _stretched(values: FloatArray, size: int) -> FloatArray:
    """Thinned draws repeated to the number of all, each as often as its neighbours up to one."""
    return np.asarray(values[np.minimum(np.arange(size) * len(values) // size, len(values) - 1)])


def _checked(scores: ArrayLike, error: ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, v = np.asarray(scores, dtype=float), np.asarray(error, dtype=float)
    if x.ndim != 2 or x.shape[1] < 2 or not np.isfinite(x).all():
        raise SpecificationError(f"scores has shape {x.shape}: finite draws of two models or more, (S, M), are needed.")
    if v.shape not in ((), (len(x),), x.shape) or not (np.isfinite(v) & (v >= 0.0)).all():
        raise SpecificationError(f"error has shape {v.shape}: finite variances of 0 or more, (S,) or (S, M), are needed.")
    return x, np.broadcast_to(v if v.ndim != 1 else v[:, None], x.shape)
