"""Scores from 0 to 1 under the ordered beta law, outside its likelihood: sums to keep, expected scores, simulated scores.

The law (Kubinec 2023, Political Analysis 31, 519) is that of `ordered_beta`: with s the logistic function a score is 0 with
probability s(cut_low - x), 1 with probability s(x - cut_high), and otherwise beta with mean s(x). So the expected score at x is

    s(x - cut_high) + s(x - cut_low) s(cut_high - x) (1 - exp(cut_low - cut_high)) s(x),

a rising function of x that does not depend on the precision of the beta law.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from bayeskit.fused import fast_exp, kernel
from bayeskit_models.benchmarks.normal_nodes import normal_nodes
from bayeskit_models.benchmarks.score_moments import MOMENTS
from bayeskit_models.benchmarks.scores import standard_nodes

__all__ = ["draw_scores", "expected_ordered_score", "ordered_moments", "ordered_sums", "ordered_within"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_REACH = 0.5  # logits between nodes: products of up to six logistic functions, error exp(-39) times some thousands
_BLOCK = 4_000_000  # numbers that are worked on at a time
_NEXT_TO_0 = 1e-300  # scores inside are kept off the ends by what a number can hold
_NEXT_TO_1 = 1.0 - 2.0**-53


def ordered_sums(score: FloatArray, place: IntArray) -> dict[str, FloatArray]:
    """What the likelihood keeps of the scores of every cell, and their sum.

    Parameters
    ----------
    score : (R,)
        Scores from 0 to 1.
    place : (R,)
        Cell of each.

    Returns
    -------
    dict of str to (N,)
        ``total``, the sum of all scores; ``zeros``, ``ones`` and ``inside``, their numbers; ``log_score`` and ``log_rest``, the
        sums of log y and log(1 - y) over the scores y inside.
    """
    size = int(place.max(initial=-1)) + 1
    inside = (score > 0.0) & (score < 1.0)
    own, at = score[inside], place[inside]
    return {
        "total": np.bincount(place, score, size),
        "zeros": np.bincount(place, score == 0.0, size),
        "ones": np.bincount(place, score == 1.0, size),
        "inside": np.bincount(at, minlength=size).astype(np.float64),
        "log_score": np.bincount(at, np.log(own), size),
        "log_rest": np.bincount(at, np.log1p(-own), size),
    }


def _mean(x: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Expected score at a predictor; arrays broadcast."""
    inside = expit(x - low) * expit(high - x) * -np.expm1(low - high)
    return np.asarray(expit(x - high) + inside * expit(x))


def expected_ordered_score(eta: ArrayLike, sd: ArrayLike, cut_low: ArrayLike, cut_high: ArrayLike) -> FloatArray:
    """Mean of the score over predictors ``eta + sd z``, z standard normal.

    Parameters
    ----------
    eta, sd, cut_low, cut_high : array_like
        Predictor, standard deviation of all effects together, and cuts, in logits; they are broadcast.

    Returns
    -------
    ndarray
        Error below 1e-10.
    """
    arrays = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (eta, sd, cut_low, cut_high)))
    flat, spread, low, high = (a.ravel() for a in arrays)
    if not spread.any():
        return _mean(*(arrays[k] for k in (0, 2, 3)))
    out = np.empty(flat.size)
    z, weight = standard_nodes(float(spread.max(initial=0.0)))
    step = max(1, _BLOCK // len(z))
    for start in range(0, flat.size, step):
        here = slice(start, start + step)
        out[here] = _mean(flat[here, None] + spread[here, None] * z, low[here, None], high[here, None]) @ weight
    return out.reshape(arrays[0].shape)


def draw_scores(
    rng: np.random.Generator, x: FloatArray, cut_low: FloatArray, cut_high: FloatArray, precision: FloatArray
) -> FloatArray:
    """One score at each predictor; arrays of one shape.

    Scores inside that no number between 0 and 1 is near enough to are the least, or the largest, number there is: they never
    count as an end.
    """
    uniform, mean = rng.uniform(size=x.shape), expit(x)
    inside = rng.beta(np.maximum(mean * precision, 1e-12), np.maximum(expit(-x) * precision, 1e-12))
    inside = np.clip(inside, _NEXT_TO_0, _NEXT_TO_1)
    return np.where(uniform < expit(cut_low - x), 0.0, np.where(uniform > expit(cut_high - x), 1.0, inside))


@kernel
def ordered_moments(eta, kept, rest, cut_low, cut_high):  # type: ignore[no-untyped-def]
    """Second moments of h_m(z), the score of model m given an effect z of sd `kept`, others of sd `rest` averaged out.

    Parameters
    ----------
    eta : (S, M) float64
        Linear predictors.
    kept, rest, cut_low, cut_high : (S,) float64
        Standard deviations, and cuts.

    Returns
    -------
    ndarray, shape (S, 2)
        Means over z of ``mean_m(h_m)^2`` and of ``mean_m(h_m^2)``, as `decomposition.kept_moments` gives them for counts.
    """
    draws, models = eta.shape
    out = np.zeros((draws, 2))
    h = np.empty(models)
    for s in range(draws):
        z, w = normal_nodes(kept[s], _REACH)
        e, v = normal_nodes(rest[s], _REACH)
        low, high = cut_low[s], cut_high[s]
        gap = 1.0 - fast_exp(low - high)
        for q in range(z.size):
            h.fill(0.0)
            for r in range(e.size):
                shift, weight = z[q] + e[r], v[r]
                for m in range(models):
                    x = eta[s, m] + shift
                    below = 1.0 / (1.0 + fast_exp(x - high))
                    middle = gap * below / ((1.0 + fast_exp(low - x)) * (1.0 + fast_exp(-x)))
                    h[m] += weight * (1.0 - below + middle)
            total, square = 0.0, 0.0
            for m in range(models):
                total += h[m]
                square += h[m] * h[m]
            out[s, 0] += w[q] * (total / models) ** 2
            out[s, 1] += w[q] * square / models
    return out


def ordered_within(
    eta: FloatArray, sd: FloatArray, cut_low: FloatArray, cut_high: FloatArray, precision: FloatArray
) -> FloatArray:
    """Variance of one sample's score given everything that is known of its cell, averaged over cells and models, (S,).

    Parameters
    ----------
    eta : (S, M)
        Linear predictors.
    sd, cut_low, cut_high, precision : (S,)
        Standard deviation of all effects together, and the law's parameters.
    """
    z, weight = standard_nodes(float(sd.max(initial=0.0)))
    out = np.empty(len(eta))
    for s in range(len(eta)):
        x = eta[s][:, None] + sd[s] * z
        found = MOMENTS["ordered_beta"](x, cut_low=cut_low[s], cut_high=cut_high[s], precision=precision[s])
        out[s] = (found.variance @ weight).mean()
    return out
