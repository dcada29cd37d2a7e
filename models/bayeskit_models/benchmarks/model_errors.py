"""Errors of single models: those that are nearly always right or wrong have smaller ones than those between.

The component `model_item` is a mean over models; a comparison of two models has a variance of its own. For ranks and winners
it is split into a part of either model, by least squares over all pairs: ``v_m + v_m'`` is as close as it can be to the
variance of ``h_m - h_m'`` over items, h the expected score of an item. The mean over models of v is the component itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.fused import fast_exp, kernel
from bayeskit_models.benchmarks.arguments import guess, predictors, standard_deviations
from bayeskit_models.benchmarks.normal_nodes import SIGMOID, normal_nodes

__all__ = ["model_errors"]

FloatArray = NDArray[np.float64]


def model_errors(
    eta: ArrayLike, *, item_sd: ArrayLike = 0.0, model_item_sd: ArrayLike = 0.0, chance: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Variance, model by model, of what items and samples do to a comparison.

    Parameters
    ----------
    eta : array_like, shape (S, M)
        Draws of the linear predictor of every model (logits), M of 2 or more.
    item_sd, model_item_sd : array_like, shape (S,) or ()
        Draws of the standard deviations of the effects, in logits.
    chance : float
        Score of a guess.

    Returns
    -------
    model_item, within : ndarray, shape (S, M)
        Of one item and one sample: the error of a model's mean over I items with K samples each has variance
        ``model_item / I + within / (I K)`` (`bayeskit_models.benchmarks.stability.stability` takes it).

    Raises
    ------
    SpecificationError
        For other shapes, values that are not finite, negative standard deviations, fewer than two models or a chance out of
        range.
    """
    x = predictors(eta, least=2)
    sds = [standard_deviations(n, v, len(x)) for n, v in (("item_sd", item_sd), ("model_item_sd", model_item_sd))]
    between, within = _split(x, *sds, guess(chance))
    return np.maximum(between, 0.0), np.maximum(within, 0.0)


@kernel
def _split(eta, item_sd, both_sd, chance):  # type: ignore[no-untyped-def]
    draws, models = eta.shape
    between, within = np.empty((draws, models)), np.empty((draws, models))
    h, mean, own = np.empty(models), np.empty(models), np.empty(models)
    cross = np.empty((models, models))
    for s in range(draws):
        z, w = normal_nodes(item_sd[s], SIGMOID)
        e, v = normal_nodes(both_sd[s], SIGMOID)
        cross.fill(0.0)
        mean.fill(0.0)
        own.fill(0.0)
        for q in range(z.size):
            h.fill(0.0)
            for r in range(e.size):
                shift = z[q] + e[r]
                for m in range(models):
                    p = chance + (1.0 - chance) / (1.0 + fast_exp(-(eta[s, m] + shift)))
                    h[m] += v[r] * p
                    own[m] += w[q] * v[r] * p * p
            for m in range(models):
                mean[m] += w[q] * h[m]
                for other in range(m):
                    cross[m, other] += w[q] * h[m] * h[other]
        total = 0.0
        for m in range(models):
            within[s, m] = mean[m] - own[m]
            between[s, m] = 0.0
        for m in range(models):
            for other in range(m):
                d = own[m] - mean[m] ** 2 + own[other] - mean[other] ** 2 - 2.0 * (cross[m, other] - mean[m] * mean[other])
                between[s, m] += d
                between[s, other] += d
                total += d
        # Normal equations of v_m + v_other = d: (M - 2) v_m + sum v = sum over others of d.
        for m in range(models):
            if models == 2:
                between[s, m] = 0.5 * total
            else:
                between[s, m] = (between[s, m] - total / (models - 1)) / (models - 2)
    return between, within
