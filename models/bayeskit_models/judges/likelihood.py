"""The PyTensor mathematics of the judges: vertices, relaxed constancy, and two geometries for much data.

Conventions: rows of a judge's matrix are true levels; everything is in logs; axes are (R, J, M, V) with R = candidate x
stratum, J judges, M true levels, V = M scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt

__all__ = [
    "binary_vertices", "centred_deviation", "gamma_log_likelihood", "graded_levels", "log_monotone", "observed_logit",
    "ridge", "shifted",
    "whitened_logit",
]  # fmt: skip


def binary_vertices(quality: Any, lean: Any) -> Any:
    """Vertices of two-level judges from quality q = TPR - FPR and lean u: FPR = (1 - q) u; shape (J, 2, 2).

    Written as one sum of constants times rates, which compiles to a single loop.
    """
    low = (1.0 - quality) * lean
    high = low + quality
    at_low = np.array([[-1.0, 1.0], [0.0, 0.0]])
    at_high = np.array([[0.0, 0.0], [-1.0, 1.0]])
    start = np.array([[1.0, 0.0], [1.0, 0.0]])
    return start + at_low * low[:, None, None] + at_high * high[:, None, None]


def shifted(vertices: Any, shift: Any) -> Any:
    """Log probabilities of scores after a shift of every cumulative logit.

    Parameters
    ----------
    vertices : (J, M, V)
        The judges' own matrices, rows on the simplex.
    shift : (R, J, M) or None
        Added to ``logit P(score > l | true level m)`` for every l: leniency towards row r at true level m.

    Returns
    -------
    (R, J, M, V) or, without a shift, (1, J, M, V).

    Notes
    -----
    With S_l = P(score > l) and a shift d, log p'_v = log p_v + [log sigmoid(c_{v-1} + d) - log S_{v-1}]
    + [log sigmoid(-c_v - d) - log(1 - S_v)], because ``1 - exp(c_v - c_{v-1})`` does not depend on d. Exact at d = 0, and no
    difference of nearly equal numbers is taken.
    """
    log_p = pt.log(vertices)
    if shift is None:
        return log_p[None]
    upper = pt.cumsum(vertices[..., ::-1], axis=-1)[..., ::-1][..., 1:]  # S_1 .. S_{M-1}
    lower = pt.cumsum(vertices, axis=-1)[..., :-1]
    log_upper, log_lower = pt.log(upper), pt.log(lower)
    c = (log_upper - log_lower)[None] + shift[..., None]
    # log sigmoid(c) - log S and log sigmoid(-c) - log(1 - S), each (R, J, M, V-1)
    gain_upper = -pt.softplus(-c) - log_upper[None]
    gain_lower = -pt.softplus(c) - log_lower[None]
    zero = pt.zeros_like(gain_upper[..., :1])
    return log_p[None] + pt.concatenate([zero, gain_upper], axis=-1) + pt.concatenate([gain_lower, zero], axis=-1)


def gamma_log_likelihood(prevalence: Any, log_theta: Any, counts: Any, gold_counts: Any = None) -> Any:
    """Log likelihood of counts of verdicts: each verdict is a draw from gamma = pi Theta.

    Parameters
    ----------
    prevalence : (R, M)
    log_theta : (R or 1, J, M, V)
    counts : (R, J, V)
        Verdicts on answers of unknown true level.
    gold_counts : (R, J, M, V), optional
        Verdicts on answers of known true level.
    """
    gamma = (prevalence[:, None, :, None] * pt.exp(log_theta)).sum(axis=2)
    # x log y with 0 log 0 = 0: an empty score of a near-perfect judge must not spoil the gradient
    total = (counts * pt.log(pt.maximum(gamma, 1e-300))).sum()
    if gold_counts is not None:
        total = total + (gold_counts * (pt.log(prevalence)[:, None, :, None] + log_theta)).sum()
    return total


def log_monotone(vertices: Any, sharpness: Any) -> Any:
    """Log weight of the monotone constraint: sum over log sigmoid(sharpness D), D the drops of the cumulative scores."""
    upper = pt.cumsum(vertices[..., ::-1], axis=-1)[..., ::-1][..., 1:]
    drops = upper[:, 1:, :] - upper[:, :-1, :]
    return -pt.softplus(-sharpness * drops).sum()


def centred_deviation(
    quality: Any, lean: Any, prevalence: Any, scale: Any, shared: Any, logit_gamma: Any, across: Any
) -> tuple[Any, Any]:
    """Deviations of a two-level judge from the shares of positive verdicts that the data determine.

    With many verdicts gamma is known far more closely than any single parameter, and the posterior is a thin sheet. Sampling
    logit(gamma) itself, and the deviation across it, flattens the sheet.

    Parameters
    ----------
    quality, lean : (J,)
    prevalence : (K,)
        Probability of the upper level.
    scale : (J,)
        Scale of the judges' own deviations.
    shared : (K, J, 2)
        Shifts of the logits that come from elsewhere.
    logit_gamma, across : (K, J)
        Coordinates: logit of the share of positive verdicts, and the difference of the deviations at the two levels.

    Returns
    -------
    deviation : (K, J, 2)
    log_jacobian : scalar

    Notes
    -----
    A common shift x of both logits moves gamma from 0 to 1, so there is one x for each gamma: the positive root of a
    quadratic in exp(x). The deviations are (along - across, along + across) / sqrt(2) with along = sqrt(2) x / scale.
    """
    root_two = np.sqrt(2.0)
    low = (1.0 - quality) * lean
    high = low + quality
    tilt = scale * across / root_two
    base_low = pt.log(low) - pt.log1p(-low) + shared[..., 0] - tilt
    base_high = pt.log(high) - pt.log1p(-high) + shared[..., 1] + tilt
    gamma, pi = pt.sigmoid(logit_gamma), prevalence[:, None]
    a_low, a_high = pt.exp(base_low), pt.exp(base_high)
    quadratic = a_low * a_high * (1.0 - gamma)
    linear = (1.0 - pi) * a_low + pi * a_high - gamma * (a_low + a_high)
    root = pt.sqrt(linear**2 + 4.0 * quadratic * gamma)
    # the form without cancellation, whichever sign the linear term has
    odds = pt.switch(linear > 0, 2.0 * gamma / (linear + root), (root - linear) / (2.0 * quadratic))
    x = pt.log(odds)
    p_low, p_high = pt.sigmoid(base_low + x), pt.sigmoid(base_high + x)
    slope = (1.0 - pi) * p_low * (1.0 - p_low) + pi * p_high * (1.0 - p_high)
    log_jacobian = (pt.log(gamma) + pt.log1p(-gamma) - pt.log(slope) + np.log(root_two) - pt.log(scale)).sum()
    along = root_two * x / scale
    return pt.stack([along - across, along + across], axis=-1) / root_two, log_jacobian


def observed_logit(counts: Any) -> tuple[Any, Any]:
    """Logit of an observed share and its variance, from counts (.., 2) of negative and positive verdicts."""
    negative, positive = counts[..., 0] + 0.5, counts[..., 1] + 0.5
    return pt.log(positive) - pt.log(negative), 1.0 / negative + 1.0 / positive


def whitened_logit(
    quality: Any, lean: Any, prevalence: Any, scale: Any, shared: Any, across: Any, counts: Any, white: Any
) -> tuple[Any, Any]:
    """Logit of the shares of positive verdicts from a coordinate that is nearly standard normal, whatever the data.

    Parameters
    ----------
    quality, lean, prevalence, scale, shared, across
        As `centred_deviation` takes them.
    counts : (K, J, 2)
        Counts of negative and positive verdicts.
    white : (K, J)
        The coordinate.

    Returns
    -------
    logit_gamma : (K, J)
    log_jacobian : scalar

    Notes
    -----
    To first order the logit of gamma is normal about what constant judges would give, with a variance A^2 that grows with the
    scale of the deviations, and is observed with variance s^2. Given everything else it is then normal with weight
    W = A^2 / (A^2 + s^2) on the observed logit and variance W s^2: neither a small scale nor many verdicts make it stiff.
    """
    low = (1.0 - quality) * lean
    high = low + quality
    tilt = scale * across / np.sqrt(2.0)
    p_low = pt.sigmoid(pt.log(low) - pt.log1p(-low) + shared[..., 0] - tilt)
    p_high = pt.sigmoid(pt.log(high) - pt.log1p(-high) + shared[..., 1] + tilt)
    pi = prevalence[:, None]
    gamma = (1.0 - pi) * p_low + pi * p_high
    slope = (1.0 - pi) * p_low * (1.0 - p_low) + pi * p_high * (1.0 - p_high)
    expected = pt.log(gamma) - pt.log1p(-gamma)
    prior = (scale * slope / (gamma * (1.0 - gamma))) ** 2 / 2.0
    observed, known = observed_logit(counts)
    weight = prior / (prior + known)
    spread = pt.sqrt(weight * known)
    return expected + weight * (observed - expected) + spread * white, pt.log(spread).sum()


def ridge(reference: Any, top: Any, bottom: Any, low: Any, high: Any, place: int, judges: int) -> tuple[Any, Any, Any, Any]:
    """Two-level judges with strict constancy, in coordinates that the data determine one by one.

    Shares of positive verdicts are affine functions of one another, so they fix the candidates on a line up to its two ends:
    where a useless and a perfect candidate would stand. The coordinates are the shares themselves and the two ends.

    Parameters
    ----------
    reference : (K,)
        Logits of the reference judge's shares.
    top, bottom : (J - 1,)
        Other judges: logit of the share for the reference's best candidate, and of the ratio of the share for its worst.
    low, high : scalars
        Logits of the places of the two ends within what all judges allow.
    place : int
        Index of the reference judge.
    judges : int
        Number of judges.

    Returns
    -------
    prevalence (K,), quality (J,), lean (J,), log_jacobian
        The Jacobian is that of (prevalence, quality, lean) with respect to the five coordinates.
    """
    share = pt.sigmoid(reference)
    worst, best = share.min(), share.max()
    other_high = pt.sigmoid(top)
    other_ratio = pt.sigmoid(bottom)
    other_low = other_high * other_ratio
    upper = pt.concatenate([other_high[:place], best[None], other_high[place:]]) if judges > 1 else best[None]
    lower = pt.concatenate([other_low[:place], worst[None], other_low[place:]]) if judges > 1 else worst[None]
    rise = upper - lower
    below, above = (lower / rise).min(), ((1.0 - upper) / rise).min()
    v, w = pt.sigmoid(low), pt.sigmoid(high)
    start, end = -v * below, 1.0 + w * above
    length = end - start
    prevalence = ((share - worst) / (best - worst) - start) / length
    false_rate, true_rate = lower + rise * start, lower + rise * end
    quality = true_rate - false_rate
    lean = false_rate / (1.0 - quality)
    inner = reference.shape[0] - 2
    log_jacobian = (
        -inner * pt.log(best - worst) - (inner + 3 - judges) * pt.log(length) + pt.log(below) + pt.log(above)
        - pt.log1p(-quality).sum()
        + (pt.log(share) + pt.log1p(-share)).sum()
        + (2.0 * pt.log(other_high) + pt.log1p(-other_high) + pt.log(other_ratio) + pt.log1p(-other_ratio)).sum()
        + pt.log(v) + pt.log1p(-v) + pt.log(w) + pt.log1p(-w)
    )  # fmt: skip
    return prevalence, quality, lean, log_jacobian


def graded_levels(eta: Any, gaps: Any) -> Any:
    """Log probabilities of the true levels in a graded response model.

    Parameters
    ----------
    eta : (R, Q)
        Ability minus difficulty: the logit of reaching more than the lowest level.
    gaps : (M - 2,) or None
        Distances of the further thresholds from one another; None for two levels.

    Returns
    -------
    (R, Q, M)

    Notes
    -----
    P(S > l) = sigmoid(eta - c_l) with c_1 = 0 and increasing thresholds. The log of the difference of two neighbouring
    probabilities is taken as log sigmoid(a) + log sigmoid(-b) + log(1 - exp(b - a)), which cancels nothing.
    """
    if gaps is None:
        return pt.stack([-pt.softplus(eta), -pt.softplus(-eta)], axis=-1)
    cuts = pt.concatenate([pt.zeros(1), pt.cumsum(gaps)])
    reach = eta[..., None] - cuts
    above, below = -pt.softplus(-reach), -pt.softplus(reach)  # log P(S > l), log P(S <= l)
    inner = above[..., :-1] + below[..., 1:] + pt.log1p(-pt.exp(-gaps))
    return pt.concatenate([below[..., :1], inner, above[..., -1:]], axis=-1)
