"""Importance weights with a conscience: Pareto-smoothed, and never without k-hat and effective size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FEWEST", "Weights", "k_hat_limit", "pareto_smoothed"]

FEWEST = 100.0
"""Effective draws below which a reweighted number is not shown as one."""

FloatArray = NDArray[np.float64]


def k_hat_limit(draws: int) -> float:
    """Largest k-hat at which weights of so many draws are trusted: ``min(1 - 1 / log10(S), 0.7)``.

    Vehtari, Simpson, Gelman, Yao, Gabry (2024), JMLR 25:72.
    """
    return min(1.0 - 1.0 / math.log10(max(draws, 2)), 0.7)


@dataclass(frozen=True)
class Weights:
    """Weights of draws that turn them into draws of another distribution.

    Attributes
    ----------
    values : ndarray, shape (S,)
        Smoothed weights with sum 1; NaN throughout where they cannot be computed.
    k_hat : float
        Pareto shape of the largest weights: -inf for equal weights, NaN where it cannot be computed.
    ess : float
        Effective number of draws, ``1 / sum(w^2)``.
    """

    values: FloatArray
    k_hat: float
    ess: float

    @property
    def computed(self) -> bool:
        """Whether there are weights at all."""
        return bool(np.isfinite(self.values).all())

    @property
    def reliable(self) -> bool:
        """Whether numbers made with these weights can be trusted."""
        return self.computed and self.k_hat <= k_hat_limit(len(self.values)) and self.ess >= FEWEST


def pareto_smoothed(log_ratio: ArrayLike, r_eff: float | None = None) -> Weights:
    """Pareto-smoothed importance weights.

    Parameters
    ----------
    log_ratio : array_like, shape (chains, draws)
        Log density of the target minus log density of the distribution that was sampled (both up to a constant). A draw that
        the target excludes has -inf.
    r_eff : float, optional
        Relative effective sample size, which sets the length of the tail that is fitted; by default that of the ratio's tails.

    Returns
    -------
    Weights

    Notes
    -----
    The smoothing is ArviZ's, whose array function takes the *negative* of a log ratio.
    """
    import arviz_stats.base

    smooth: Any = arviz_stats.base.array_stats.psislw  # type: ignore[attr-defined, unused-ignore]
    ratio = np.asarray(log_ratio, dtype=float)
    flat = ratio.reshape(-1)
    if np.isnan(flat).any() or (flat == np.inf).any() or not np.isfinite(flat).any():
        return Weights(np.full(flat.shape, np.nan), math.nan, math.nan)
    flat = flat - flat.max()
    if flat.min() > -1e-12:  # the same weight for all: there is no tail to fit
        return Weights(np.full(flat.shape, 1.0 / flat.size), -math.inf, float(flat.size))
    try:
        with np.errstate(all="ignore"):
            logs, k_hat = smooth(-np.maximum(flat, -1e300), r_eff=_relative_size(ratio) if r_eff is None else r_eff)
    except ValueError:  # the largest weights are all equal: nothing to smooth, and no tail that could be heavy
        logs, k_hat = flat, -math.inf
    values = np.exp(np.asarray(logs) - np.max(logs))
    values[np.isneginf(flat)] = 0.0
    values /= values.sum()
    return Weights(values, float(k_hat), float(1.0 / np.square(values).sum()))


def _relative_size(ratio: FloatArray) -> float:
    """Effective over actual number of draws of the ratio itself: autocorrelated draws have a shorter tail to fit."""
    from bayeskit.convergence import tail_size

    if ratio.ndim != 2 or not np.isfinite(ratio).all():
        return 1.0
    size = tail_size(ratio)
    return float(size / ratio.size) if np.isfinite(size) and size > 0 else 1.0
