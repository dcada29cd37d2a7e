"""Geometry of judges on the probability simplex: exact, batched NumPy.

Notation, the same everywhere in this package. A candidate answers at true level ``m`` with probability
``pi_m``; a judge who sees true level ``m`` gives score ``l`` with probability ``theta[m, l]``. **Rows of
Theta are true levels, columns are scores**, so rows sum to one. The candidate's observable score
distribution is ``gamma = pi Theta``: a point of the simplex whose vertices are the rows of Theta, with
barycentric coordinates ``pi``. Levels are ``1..M``; array index ``m`` holds level ``m + 1``.

Every function broadcasts over leading axes: points have shape (..., M), judges (..., M, M). Nothing here
checks that an argument is a probability: an equivalent world (proposition T3 of the model card) may leave
the simplex, and the algebra holds there as well.

References
----------
Vossler, Xia, Mai, Feng, "Judging LLMs on a Simplex", arXiv 2505.21972, for the geometric picture;
propositions T1 to T5 are bayeskit's own derivations and are stated in the model card.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit_models.judges._simplex import (
    Floats,
    Singular,
    exceedance,
    judges_of,
    points_of,
    same_levels,
    solve,
)
from bayeskit_models.judges.dominance import (
    DominanceProbability,
    dominance,
    dominance_from_counts,
    dominance_from_draws,
)

__all__ = [
    "DominanceProbability",
    "barycentric",
    "barycentric_by_volumes",
    "cdf_drops",
    "dominance",
    "dominance_from_counts",
    "dominance_from_draws",
    "equivalent_world",
    "exceedance",
    "expected_score",
    "is_monotone",
    "judge_quality",
    "observable",
    "pair_difference",
    "score_steps",
    "score_weights",
    "simplex_volume",
]


def observable(pi: ArrayLike, theta: ArrayLike) -> Floats:
    """Score distribution that a judge shows for a candidate: ``gamma = pi Theta``.

    Parameters
    ----------
    pi : array_like, shape (..., M)
        Share of the candidate's answers at each true level.
    theta : array_like, shape (..., M, M)
        Judge matrix; row ``m`` is the distribution of scores given true level ``m``.

    Returns
    -------
    ndarray, shape (..., M)
        Probability of each score; leading axes are broadcast.

    Raises
    ------
    ValueError
        If the shapes are not (..., M) and (..., M, M).
    """
    points, judges = points_of("pi", pi), judges_of("theta", theta)
    same_levels(pi=points, theta=judges)
    return np.asarray(np.einsum("...m,...ml->...l", points, judges))


def expected_score(pi: ArrayLike) -> Floats:
    """Return the expected level ``sum_m m pi_m`` over levels 1..M, whose order is the true ranking.

    Parameters
    ----------
    pi : array_like, shape (..., M)
        Distribution over levels.

    Returns
    -------
    ndarray, shape (...)
        Values in [1, M] when `pi` is a probability vector.
    """
    points = points_of("pi", pi)
    return points @ np.arange(1.0, points.shape[-1] + 1.0)


def barycentric(gamma: ArrayLike, theta: ArrayLike, *, singular: Singular = "raise") -> Floats:
    """Barycentric coordinates of a score distribution among a judge's vertices: solves ``pi Theta = gamma``.

    Parameters
    ----------
    gamma : array_like, shape (..., M)
        Score distribution.
    theta : array_like, shape (..., M, M)
        Judge matrix, rows = true levels.
    singular : {"raise", "nan"}
        What to do with a judge whose vertices span no volume.

    Returns
    -------
    ndarray, shape (..., M)
        True-level shares. They sum to one; a negative entry says that `gamma` lies outside the judge's
        simplex, that is, no candidate can show these scores to this judge.

    Raises
    ------
    ValueError
        On shapes that do not fit, or a singular judge with ``singular="raise"``.
    """
    points, judges = points_of("gamma", gamma), judges_of("theta", theta)
    same_levels(gamma=points, theta=judges)
    return solve(np.swapaxes(judges, -1, -2), points, singular)


def _signed_volume(vertices: Floats) -> Floats:
    """Signed volume of simplices (..., M, M) in the coordinates of their first M - 1 scores."""
    edges = vertices[..., :-1, :-1] - vertices[..., -1:, :-1]
    with np.errstate(invalid="ignore"):  # a NaN judge has a NaN volume: the callers say so in their own words
        return np.asarray(np.linalg.det(edges) / math.factorial(vertices.shape[-1] - 1))


def simplex_volume(vertices: ArrayLike) -> Floats:
    """Volume of the simplex spanned by M points whose coordinates sum to one.

    Length for M = 2, area for M = 3. Measured in the first M - 1 coordinates: the last one is determined by
    the others, and ratios of volumes, the only thing that is ever used, do not depend on the choice.

    Parameters
    ----------
    vertices : array_like, shape (..., M, M)
        One vertex per row, for instance a judge matrix.

    Returns
    -------
    ndarray, shape (...)
        Non-negative volumes; the whole probability simplex has volume 1 / (M - 1)!.
    """
    return np.abs(_signed_volume(judges_of("vertices", vertices)))


def barycentric_by_volumes(gamma: ArrayLike, theta: ArrayLike, *, singular: Singular = "raise") -> Floats:
    """Barycentric coordinates as ratios of simplex volumes (of lengths for M = 2, of areas for M = 3).

    ``pi_m`` is the volume of the simplex in which `gamma` replaces vertex ``m``, over that of the judge's
    simplex. Volumes carry their sign, so that points outside the simplex get their negative coordinates.
    Same value as `barycentric`; kept because it is the geometric statement and an independent route to it.

    Parameters
    ----------
    gamma : array_like, shape (..., M)
        Score distribution; must sum to one.
    theta : array_like, shape (..., M, M)
        Judge matrix, rows = true levels; rows must sum to one.
    singular : {"raise", "nan"}
        What to do with a judge of volume zero.

    Returns
    -------
    ndarray, shape (..., M)
        True-level shares.

    Raises
    ------
    ValueError
        On shapes that do not fit, or a judge of volume zero with ``singular="raise"``.
    """
    if singular not in ("raise", "nan"):
        raise ValueError(f"singular={singular!r}: use 'raise' or 'nan'.")
    points, judges = points_of("gamma", gamma), judges_of("theta", theta)
    same_levels(gamma=points, theta=judges)
    levels = judges.shape[-1]
    whole = _signed_volume(judges)
    # A volume that is rounding noise beside the box of its edges (Hadamard's bound) is none.
    box = np.linalg.norm(judges[..., :-1, :-1] - judges[..., -1:, :-1], axis=-1).prod(axis=-1)
    flat = ~(np.abs(whole) * math.factorial(levels - 1) > levels * np.finfo(np.float64).eps * box)
    if singular == "raise" and flat.any():
        first = tuple(int(i) for i in np.argwhere(flat)[0])
        raise ValueError(
            f"theta: {int(flat.sum())} of {flat.size} judges span no volume (first at index {first}). "
            "Drop the judge, or pass singular='nan' to get NaN there."
        )
    # Axis -3 runs over the vertex that gamma replaces.
    chosen = np.eye(levels, dtype=bool)[:, :, None]
    replaced = np.where(chosen, points[..., None, None, :], judges[..., None, :, :])
    parts = _signed_volume(replaced)
    return parts / np.where(flat, np.nan, whole)[..., None]


def judge_quality(theta: ArrayLike) -> Floats:
    """Quality of a judge: the share ``|det Theta|`` of the probability simplex that its own simplex fills.

    1 is a judge who never errs, 0 one whose vertices are affinely dependent, who cannot tell all M levels
    apart. For M = 2 it is ``|TPR - FPR|``, Youden's index.

    Parameters
    ----------
    theta : array_like, shape (..., M, M)
        Judge matrix, rows = true levels.

    Returns
    -------
    ndarray, shape (...)
        Values in [0, 1] for probability matrices.
    """
    return np.asarray(np.abs(np.linalg.det(judges_of("theta", theta))))


def score_weights(theta: ArrayLike, *, singular: Singular = "raise") -> Floats:
    """Effective score weights ``a = Theta^-1 (1, .., M)``: the worth of each score this judge gives.

    ``gamma . a`` is the candidate's expected true level (the height of the augmented simplex above
    `gamma`). Plain averaging of scores uses ``a = (1, .., M)``, which is right for a judge who never errs.

    Parameters
    ----------
    theta : array_like, shape (..., M, M)
        Judge matrix, rows = true levels.
    singular : {"raise", "nan"}
        What to do with a singular judge.

    Returns
    -------
    ndarray, shape (..., M)
        Weights on the scale of the true levels; they may lie outside [1, M].
    """
    judges = judges_of("theta", theta)
    levels = np.arange(1.0, judges.shape[-1] + 1.0)
    return solve(judges, np.broadcast_to(levels, judges.shape[:-1]), singular)


def cdf_drops(theta: ArrayLike) -> Floats:
    """Matrix D of a judge: ``D[m, l] = P(score > l | m + 1) - P(score > l | m)``, shape (..., M - 1, M - 1).

    How much one step up in the true level lowers the distribution function at ``l``. ``det D = det Theta``.

    Parameters
    ----------
    theta : array_like, shape (..., M, M)
        Judge matrix, rows = true levels.

    Returns
    -------
    ndarray, shape (..., M - 1, M - 1)
        Row: the step from true level m to m + 1. Column: the threshold l.
    """
    return np.diff(exceedance(judges_of("theta", theta)), axis=-2)


def score_steps(theta: ArrayLike, *, singular: Singular = "raise") -> Floats:
    """Return the steps ``u_l = a_{l+1} - a_l`` of the score weights, from ``D u = 1`` (proposition T4).

    Parameters
    ----------
    theta : array_like, shape (..., M, M)
        Judge matrix, rows = true levels.
    singular : {"raise", "nan"}
        What to do with a singular judge.

    Returns
    -------
    ndarray, shape (..., M - 1)
        All positive: this judge's scores are worth more the higher they are, so dominance decides a pair.
        A3 (`is_monotone`) makes at least one step positive, not all: how often a random monotone judge has
        only positive steps depends on how good judges are assumed to be.
    """
    drops = cdf_drops(theta)
    return solve(drops, np.ones(drops.shape[:-1]), singular)


def pair_difference(gamma_a: ArrayLike, gamma_b: ArrayLike, theta: ArrayLike, *, singular: Singular = "raise") -> Floats:
    """Difference ``E_b - E_a`` of expected true levels: ``sum_l Delta_l u_l`` (propositions T1 and T4).

    ``Delta_l = P(score of b > l) - P(score of a > l)`` is data; ``u`` (`score_steps`) is the judge. For M =
    2 the sign is that of ``Delta`` for every judge better than chance.

    Parameters
    ----------
    gamma_a, gamma_b : array_like, shape (..., M)
        Score distributions of the two candidates, by the same judge.
    theta : array_like, shape (..., M, M)
        Judge matrix, rows = true levels.
    singular : {"raise", "nan"}
        What to do with a singular judge.

    Returns
    -------
    ndarray, shape (...)
        Positive: b is better. In levels.
    """
    a, b, judges = points_of("gamma_a", gamma_a), points_of("gamma_b", gamma_b), judges_of("theta", theta)
    same_levels(gamma_a=a, gamma_b=b, theta=judges)
    return np.asarray(((exceedance(b) - exceedance(a)) * score_steps(judges, singular=singular)).sum(axis=-1))


def is_monotone(theta: ArrayLike, *, strict: bool = True) -> NDArray[np.bool_]:
    """Whether a judge satisfies A3: better answers get stochastically higher scores.

    ``P(score > l | m)`` increases in ``m`` for every threshold ``l``. For M = 2 this is TPR > FPR. For M >=
    3 the stochastic order over all thresholds is bayeskit's reading of monotonicity.

    Parameters
    ----------
    theta : array_like, shape (..., M, M)
        Judge matrix, rows = true levels.
    strict : bool
        Require a strict increase at every step and threshold; False allows equality.

    Returns
    -------
    ndarray of bool, shape (...)
        One answer per judge.
    """
    drops = cdf_drops(theta)
    return np.asarray((drops > 0 if strict else drops >= 0).all(axis=(-2, -1)))


def equivalent_world(pi: ArrayLike, theta: ArrayLike, move: ArrayLike) -> tuple[Floats, Floats]:
    """Another pair of candidates and judges with the same observable scores (proposition T3).

    For an invertible `move` whose rows sum to one, ``(pi T, T^-1 Theta)`` gives the same ``gamma`` for
    every candidate and every judge: no amount of marginal data, and no further judge, tells the two worlds
    apart. The family has M (M - 1) dimensions. For M = 2 the order of candidates survives every move near
    the identity; for M >= 3 it may not.

    Parameters
    ----------
    pi : array_like, shape (..., M)
        True-level shares.
    theta : array_like, shape (..., M, M)
        Judge matrices, rows = true levels.
    move : array_like, shape (M, M)
        The transformation T; rows sum to one, invertible.

    Returns
    -------
    pi : ndarray, shape (..., M)
        Shares in the other world.
    theta : ndarray, shape (..., M, M)
        Judges in the other world. Entries are probabilities only for moves that keep them so: check.

    Raises
    ------
    ValueError
        If the rows of `move` do not sum to one, or it is singular.
    """
    points, judges, transform = points_of("pi", pi), judges_of("theta", theta), judges_of("move", move)
    same_levels(pi=points, theta=judges, move=transform)
    sums = transform.sum(axis=-1)
    if not np.allclose(sums, 1.0, rtol=0.0, atol=1e-9):
        raise ValueError(f"move: rows sum to {sums.tolist()}; each must sum to 1 to keep distributions.")
    if not np.linalg.cond(transform) < 1 / np.finfo(np.float64).eps:
        raise ValueError("move is singular: choose an invertible one, for instance nearer the identity.")
    return points @ transform, np.linalg.solve(transform, judges)
