"""Coordinates in which effects sample well: from effects about 0 (little data) to the totals that much data determine.

An effect ``scale x``, x standard normal, added to a centre m is known by x or by the total ``t = m + scale x``. Data that
determine the total make x depend strongly on the hyperparameters, scarce data do so to t. In between lie the coordinates c with
``x = (c - w m) / (scale^w s^(1 - w))``: at w = 1 the total, at w = 0 the effect; at ``scale = s``, its likely value, c is
``t - (1 - w) m``. With w the share of the effect in its own variance and that of its error, c and m are independent where all
is normal (Papaspiliopoulos, Roberts and Skold 2003, Bayesian Statistics 7). The posterior is the same for every w.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bayeskit import Graph

__all__ = ["centring_weights", "partly_centred", "partly_centred_ratio", "ratio_weight", "zero_sum_basis"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_LEVELS = 30.0  # square of the degrees of freedom at which a standard deviation is known well enough for half the weight


def centring_weights(y: FloatArray, error: FloatArray, model: IntArray, benchmark: IntArray) -> dict[str, FloatArray]:
    """Weights w and likely scales of models, models x benchmarks and runs, from the variances that they seem to have.

    Parameters
    ----------
    y, error : ndarray, shape (R,)
        Mean of each run (or of each model on a benchmark) on the scale of the linear predictor, and the variance of its error.
    model, benchmark : ndarray of int, shape (R,)
        What each is a run of.

    Returns
    -------
    dict
        ``ability`` (1,), ``model_benchmark`` (B,) and ``run`` (R,): weights, by mean squares; ``scales`` (3,) of these effects.
        Weights are 0 where an effect does not show, and less where few levels say how large it is, because scale and total then
        meet in a funnel.
    """
    models, benchmarks = int(model.max()) + 1, int(benchmark.max()) + 1
    place = benchmark * models + model
    runs = np.bincount(place, minlength=models * benchmarks).astype(float)
    full = np.maximum(runs, 1.0)
    cell = np.bincount(place, y, models * benchmarks) / full
    free = max(float((runs - 1.0).clip(0.0).sum()), 0.0)
    run = max(float(((y - cell[place]) ** 2).sum()) / free - float(error.mean()), 0.0) if free else 0.0
    left = np.bincount(place, error + run, models * benchmarks) / full**2  # variance of the mean of the runs
    left = np.where(runs > 0, left, np.nan).reshape(benchmarks, models)
    table = np.where(runs > 0, cell, np.nan).reshape(benchmarks, models)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a model or benchmark without any row
        table = table - np.nanmean(table, axis=1, keepdims=True)
        by_model, by_benchmark = np.nanmean(table, axis=0), np.nan_to_num(np.nanmean(left, axis=1), nan=1.0)
        rest = table - by_model
    wide = max((models - 1) * (benchmarks - 1), 0)
    beside = float(by_benchmark.mean())
    departure = max(float(np.nansum(rest**2)) / wide - beside, 0.0) if wide else 0.0
    below = (departure + beside) / benchmarks
    ability = max(float(np.nansum(by_model**2)) / max(models - 1, 1) - below, 0.0)

    def weight(effect: float, other: Any, levels: float) -> FloatArray:
        share = effect / np.maximum(effect + np.atleast_1d(other), 1e-12)
        return np.asarray(share * levels**2 / (levels**2 + _LEVELS))

    scales = np.sqrt([ability or 1.0, departure or 1.0, run or 1.0])
    return {
        "ability": weight(ability, below, models - 1),
        "model_benchmark": weight(departure, by_benchmark, wide),
        "run": weight(run, error, free),
        "scales": scales,
    }


def partly_centred(graph: Graph, name: str, centre: Any, scale: Any, w: Any, likely: Any, *, zero_sum: bool = False) -> Any:
    """Create the variable of an assumption with a standard normal prior in such coordinates, and return it.

    Parameters
    ----------
    graph : Graph
    name : str
        Of the assumption.
    centre : tensor, shape of the variable
        What the effects are added to; of zero-sum effects itself zero-sum along the last dimension.
    scale : tensor, shape () or that of the variable
        Their standard deviations; of zero-sum effects one for all.
    w : tensor
        Weights, from 0 to 1, that broadcast to the variable; of zero-sum effects the same along the last dimension.
    likely : tensor, shape ()
        The likely value of the standard deviation.
    zero_sum : bool
        Whether the effects sum to zero along the last dimension.
    """
    import pytensor.tensor as pt

    prior = graph.assumptions[name].prior
    assert prior is not None
    shape = tuple(graph.sizes[d] for d in prior.dims)
    if zero_sum:
        free = graph.coordinate(f"{name}_coordinate", (*shape[:-1], shape[-1] - 1))
        at = pt.dot(free, zero_sum_basis(shape[-1]))
    else:
        at = graph.coordinate(f"{name}_coordinate", shape)
    log_scale, log_likely = pt.log(scale), pt.log(likely)
    value = (at - w * centre) * pt.exp(-w * log_scale - (1.0 - w) * log_likely)
    # Nothing that was spread out is summed: PyTensor turns that into a product of sizes in 8 bits.
    rows = w[..., 0] if zero_sum and w.ndim else w
    copies = shape[-1] - 1.0 if zero_sum else 1.0
    volume = (rows * log_scale + (1.0 - rows) * log_likely).sum()
    return graph.transformed(name, value, -copies * volume)


def ratio_weight(levels: float, spread: float) -> float:
    """Weight for the logarithms of standard deviations that differ by `spread`, each seen in so many levels."""
    return float(spread**2 / (spread**2 + 0.5 / max(levels, 1e-9)))


def partly_centred_ratio(graph: Graph, name: str, typical: Any, weight: Any) -> Any:
    """Create the variable of an assumption with a log-normal prior of median 1 that multiplies a typical value.

    What the data determine is the product; the coordinate is the logarithm of the ratio plus `weight` times that of the typical
    value.
    """
    import pytensor.tensor as pt

    prior = graph.assumptions[name].prior
    assert prior is not None
    at = graph.coordinate(f"{name}_coordinate", tuple(graph.sizes[d] for d in prior.dims))
    log_ratio = at - weight * pt.log(typical)
    return graph.transformed(name, pt.exp(log_ratio), log_ratio.sum())


def zero_sum_basis(size: int) -> np.ndarray:
    """Orthonormal rows (size - 1, size) that span the vectors with sum zero (Helmert 1876)."""
    out = np.zeros((size - 1, size))
    for i in range(1, size):
        out[i - 1, :i] = 1.0
        out[i - 1, i] = -i
        out[i - 1] /= np.sqrt(i * (i + 1.0))
    return out
