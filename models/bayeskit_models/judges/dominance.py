"""Stochastic dominance between score distributions (proposition T4 of the model card).

What the scores of one judge say about a pair without any statement about that judge beyond positive score
steps. Re-exported by `bayeskit_models.judges.geometry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit_models.judges._simplex import Floats, exceedance, points_of, same_levels

__all__ = ["DominanceProbability", "dominance", "dominance_from_counts", "dominance_from_draws"]

Mask = NDArray[np.bool_]


def _above(delta: Floats, tolerance: float) -> tuple[Mask, Mask, Mask]:
    """Masks (a above, b above, equal) from CDF differences (..., M - 1); none of the three: they cross."""
    up, down = (delta > tolerance).any(axis=-1), (delta < -tolerance).any(axis=-1)
    known = np.isfinite(delta).all(axis=-1)
    return down & ~up & known, up & ~down & known, ~up & ~down & known


def dominance(gamma_a: ArrayLike, gamma_b: ArrayLike, *, tolerance: float = 1e-12) -> Any:
    """Stochastic-dominance relation of two score distributions (proposition T4).

    "b above": every exceedance probability of b is at least that of a, so b is truly better for *every*
    judge whose `score_steps` are positive. "crossing": the sign of the difference changes with the
    threshold, and judges with positive steps exist for both orders, so scores alone do not decide. The
    label is cautious: such a judge must also have both candidates inside its simplex, and with A3 on top
    that decides some crossing pairs.

    Parameters
    ----------
    gamma_a, gamma_b : array_like, shape (..., M)
        Score distributions by the same judge, without sampling error; for data use `dominance_from_counts` or
        `dominance_from_draws`.
    tolerance : float
        Differences of exceedance probabilities up to this size count as none.

    Returns
    -------
    str, or ndarray of str of shape (...)
        "a above", "b above", "crossing" or "equal".

    Raises
    ------
    ValueError
        If a value is not finite, or the numbers of levels differ.
    """
    a, b = points_of("gamma_a", gamma_a), points_of("gamma_b", gamma_b)
    same_levels(gamma_a=a, gamma_b=b)
    for name, array in (("gamma_a", a), ("gamma_b", b)):
        if not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            raise ValueError(f"{name}: {bad} values are not finite; leave such cells out.")
    a_above, b_above, equal = _above(exceedance(b) - exceedance(a), tolerance)
    relation = np.select([a_above, b_above, equal], ["a above", "b above", "equal"], default="crossing")
    return str(relation) if relation.ndim == 0 else relation


@dataclass(frozen=True)
class DominanceProbability:
    """Posterior probabilities of the four relations of two score distributions; they sum to one.

    Attributes
    ----------
    a_above, b_above, crossing, equal : ndarray, shape (...)
        Probability of each relation. All are NaN where draws were not finite.
    draws : int
        Number of draws S; the Monte Carlo standard error of a probability p is ``sqrt(p (1 - p) / S)``.
    """

    a_above: Floats
    b_above: Floats
    crossing: Floats
    equal: Floats
    draws: int


def dominance_from_draws(gamma_a: ArrayLike, gamma_b: ArrayLike, *, tolerance: float = 0.0) -> DominanceProbability:
    """Posterior probability that all CDF differences of a pair have one sign, from draws (proposition T4).

    Parameters
    ----------
    gamma_a, gamma_b : array_like, shape (S, ..., M)
        Draws of the score distributions, sample axis first. Joint draws must be in the same order. For all
        pairs of K candidates at once pass ``gamma[:, :, None, :]`` and ``gamma[:, None, :, :]``.
    tolerance : float
        Differences up to this size count as none.

    Returns
    -------
    DominanceProbability
        Arrays of shape (...).

    Raises
    ------
    ValueError
        If there is no sample axis, or sample sizes or numbers of levels differ.
    """
    a, b = points_of("gamma_a", gamma_a), points_of("gamma_b", gamma_b)
    same_levels(gamma_a=a, gamma_b=b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[0] != b.shape[0] or a.shape[0] == 0:
        raise ValueError(f"gamma_a has shape {a.shape}, gamma_b {b.shape}: both need the same S >= 1 draws on axis 0.")
    delta = exceedance(b) - exceedance(a)
    bad = ~np.isfinite(delta).all(axis=(0, -1))
    shares = [np.where(bad, np.nan, mask.mean(axis=0)) for mask in _above(delta, tolerance)]
    crossing = np.clip(1.0 - shares[0] - shares[1] - shares[2], 0.0, 1.0)
    return DominanceProbability(shares[0], shares[1], crossing, shares[2], int(a.shape[0]))


def dominance_from_counts(
    counts_a: ArrayLike,
    counts_b: ArrayLike,
    *,
    concentration: float = 1.0,
    draws: int = 4000,
    seed: int | np.random.Generator | None = None,
) -> DominanceProbability:
    """Posterior probability of dominance from score counts, independent of any assumption about the judge.

    The two score distributions get independent Dirichlet(`concentration`) priors, so the posterior is
    Dirichlet and is sampled exactly. Answers of the two candidates to the same items are treated as
    independent, which is conservative when the answers are positively correlated.

    Parameters
    ----------
    counts_a, counts_b : array_like, shape (..., M)
        Number of answers with each score, by the same judge.
    concentration : float
        Prior count per level, > 0.
    draws : int
        Number of posterior draws.
    seed : int, Generator or None
        Source of randomness.

    Returns
    -------
    DominanceProbability
        Arrays of shape (...). A cell without answers returns the prior.

    Raises
    ------
    ValueError
        If a count is negative or not finite, or `concentration` or `draws` is not positive.
    """
    a, b = points_of("counts_a", counts_a), points_of("counts_b", counts_b)
    for name, array in (("counts_a", a), ("counts_b", b)):
        wrong = ~(np.isfinite(array) & (array >= 0))
        if wrong.any():
            raise ValueError(f"{name}: {array[wrong][0]} is not a count; counts are finite and at least 0.")
    if not concentration > 0:
        raise ValueError(f"concentration={concentration}: the prior needs a positive count per level.")
    if draws < 1:
        raise ValueError(f"draws={draws}: at least one draw is needed.")
    rng = np.random.default_rng(seed)
    samples = []
    for array in (a, b):
        weights = rng.standard_gamma(array + concentration, size=(draws, *array.shape))
        samples.append(weights / weights.sum(axis=-1, keepdims=True))
    # Leading axes broadcast behind the sample axis: pad the shorter shape on the left of its own axes.
    width = max(a.ndim, b.ndim)
    padded = [s.reshape(draws, *(1,) * (width + 1 - s.ndim), *s.shape[1:]) for s in samples]
    return dominance_from_draws(padded[0], padded[1])
