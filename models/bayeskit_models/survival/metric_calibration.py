"""Whether predicted probabilities mean what they say, for rows that may be censored. Arrays in, arrays out, by draw.

With H_i = H(T_i | x_i) the predicted cumulative hazard at the row's own time, d_i its event and z_i = log H(tau | x_i)::

    slope     b in  d_i ~ Poisson(H_i exp(a + (b - 1) z_i)).  If the predictions are right, d_i - H_i is a martingale at T_i, so
              b = 1 and a = 0 whatever the law and the censoring; b < 1: the predictions are too far apart
    ratio     sum d_i / sum H_i, observed over expected events
    ICI       mean |p_i - q_i|: p_i the predicted probability of the event by tau, q_i that of a Cox regression of the outcomes
              on a restricted cubic spline of z_i (knots at the shares .1, .5, .9), Breslow's baseline
    D         sum_b (N_b - n/B)^2 / (n/B): N_b rows whose S(T_i | x_i) lies in the b-th of B equal bins; a censored row, of
              which only S(T | x) < S(T_i | x_i) is known, is spread evenly over the probability below

Sources: Crowson, Atkinson, Therneau (2016), Stat. Methods Med. Res. 25:1692-1706; Austin, Harrell, van Klaveren (2020), Stat.
Med. 39:2714-2742; Haider et al. (2020), JMLR 21(85):1-63.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit_models.survival.metrics import Followed

__all__ = ["calibration_slope", "d_calibration", "d_shares", "observed_over_expected", "smooth_observed", "spline_basis"]

FloatArray = NDArray[np.float64]

_KNOTS = (0.1, 0.5, 0.9)
_STEPS = 60
_LONGEST = 3.0  # step of Newton's method in standard deviations of the predictor
_FLAT = 1e-9  # standard deviation of log cumulative hazards below which all predictions are one
_SETTLED = 1e-9  # of the gradient, a share of the events


def observed_over_expected(exposure: ArrayLike, rows: Followed) -> FloatArray:
    """Events over the sum of `exposure`, shape (S, n): cumulative hazards at the rows' own times. Shape (S,)."""
    expected = np.atleast_2d(np.asarray(exposure, dtype=float)) @ rows.weight
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((rows.weight * rows.event).sum() / expected)


def calibration_slope(log_risk: ArrayLike, exposure: ArrayLike, rows: Followed) -> FloatArray:
    """Slope b of the module, by Newton's method.

    Parameters
    ----------
    log_risk : array_like, shape (S, n)
        z, log cumulative hazards at one time.
    exposure : array_like, shape (S, n)
        H at the rows' own times.
    rows : Followed

    Returns
    -------
    ndarray, shape (S,)
        NaN where all predictions are one, or where no finite slope is the best.
    """
    z, total = (np.atleast_2d(np.asarray(v, dtype=float)) for v in (log_risk, exposure))
    event = rows.weight * rows.event
    with np.errstate(all="ignore"):
        centred, spread = _standardised(z, rows.weight)
        a = np.log(event.sum() / (total @ rows.weight))
        c = np.zeros(len(z))
        for _ in range(_STEPS):
            mean = rows.weight * total * np.exp(a[:, None] + c[:, None] * centred)
            g0, g1 = event.sum() - mean.sum(1), ((event - mean) * centred).sum(1)
            h0, h1, h2 = mean.sum(1), (mean * centred).sum(1), (mean * centred**2).sum(1)
            determinant = h0 * h2 - h1**2
            step = np.stack([h2 * g0 - h1 * g1, h0 * g1 - h1 * g0]) / determinant
            step *= np.minimum(1.0, _LONGEST / np.abs(step).max(0))
            a, c = a + step[0], c + step[1]
        found = 1.0 + c / spread
        settled = np.maximum(np.abs(g0), np.abs(g1)) <= _SETTLED * event.sum()
    return np.where(settled & (spread > _FLAT) & (event.sum() > 0.0), found, np.nan)


def _standardised(z: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each draw's predictor with mean 0 and spread 1, and its spread; one that does not vary is 0 throughout."""
    centred = z - (z @ weight / weight.sum())[:, None]
    spread = np.sqrt(centred**2 @ weight / weight.sum())
    return centred / np.where(spread > _FLAT, spread, np.inf)[:, None], spread


def spline_basis(z: ArrayLike, weight: FloatArray) -> FloatArray:
    """Restricted cubic spline with three knots: shape (S, n, 2), the line and the bend.

    Where knots coincide (few distinct predictions) there is no bend.
    """
    x = np.atleast_2d(np.asarray(z, dtype=float))
    low, middle, high = _weighted_quantiles(x, weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        bend = (
            np.maximum(x - low, 0.0) ** 3
            - np.maximum(x - middle, 0.0) ** 3 * (high - low) / (high - middle)
            + np.maximum(x - high, 0.0) ** 3 * (middle - low) / (high - middle)
        ) / (high - low) ** 2
    apart = (middle - low > _FLAT) & (high - middle > _FLAT)
    return np.stack([x, np.where(apart, bend, 0.0)], axis=-1)


def _weighted_quantiles(x: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Smallest values that the shares of `_KNOTS` do not exceed, each of shape (S, 1)."""
    order = np.argsort(x, axis=1)
    reached = np.cumsum(weight[order], axis=1)
    ordered = np.take_along_axis(x, order, axis=1)
    found = []
    for share in _KNOTS:
        place = (reached >= share * weight.sum() * (1.0 - 1e-12)).argmax(1)[:, None]
        found.append(np.take_along_axis(ordered, place, axis=1))
    return found[0], found[1], found[2]


def smooth_observed(log_risk: ArrayLike, rows: Followed, tau: float) -> FloatArray:
    """Smoothed observed probability q of the event by `tau`, given the prediction.

    Parameters
    ----------
    log_risk : array_like, shape (S, n)
        z, log cumulative hazards at `tau`.
    rows : Followed
    tau : float

    Returns
    -------
    ndarray, shape (S, n)
        NaN in draws where no finite regression is the best.
    """
    order = np.argsort(-rows.time, kind="stable")
    time, weight = rows.time[order], rows.weight[order]
    event = weight * rows.event[order]
    last = np.searchsorted(-time, -time, side="right") - 1  # of the rows followed as long: ties share a risk set
    with np.errstate(all="ignore"):
        basis = spline_basis(log_risk, rows.weight)[:, order]
        z = np.stack([_standardised(basis[..., k], weight)[0] for k in range(2)], axis=-1)
        beta = np.zeros((len(z), 2))
        for _ in range(_STEPS):
            share, mean, curvature = _risk_sets(z, beta, weight, last)
            gradient = np.einsum("n,snk->sk", event, z - mean)
            hessian = np.einsum("n,snkl->skl", event, curvature)
            step = np.einsum("skl,sl->sk", _inverse(hessian), gradient)
            largest = np.abs(step).max(1, keepdims=True)
            if not (largest > 1e-13).any():
                break
            beta = beta + step * np.minimum(1.0, _LONGEST / np.maximum(largest, 1e-300))
        jump = np.where(time <= tau, event, 0.0) / share
        baseline = jump.sum(1, keepdims=True)
        q = -np.expm1(-baseline * np.exp(np.einsum("snk,sk->sn", z, beta)))
        settled = np.abs(gradient).max(1) <= 1e-7 * event.sum()
    out = np.full(q.shape, np.nan)
    out[:, order] = np.where(settled[:, None], q, np.nan)
    return out


def _risk_sets(
    z: FloatArray, beta: FloatArray, weight: FloatArray, last: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sum of the hazards at risk at each row's time, and mean and covariance of the predictors under them."""
    relative = weight * np.exp(np.einsum("snk,sk->sn", z, beta))
    share = np.cumsum(relative, axis=1)[:, last]
    mean = np.cumsum(relative[..., None] * z, axis=1)[:, last] / share[..., None]
    outer = z[..., :, None] * z[..., None, :]
    second = np.cumsum(relative[..., None, None] * outer, axis=1)[:, last] / share[..., None, None]
    return share, mean, second - mean[..., :, None] * mean[..., None, :]


def _inverse(hessian: FloatArray) -> FloatArray:
    """Of (S, 2, 2) matrices that may have a direction about which nothing is known; NaN stays NaN."""
    finite = np.isfinite(hessian).all((1, 2))
    safe = np.where(finite[:, None, None], hessian, np.eye(2))
    return np.where(finite[:, None, None], np.linalg.pinv(safe, rcond=1e-10, hermitian=True), np.nan)


def d_shares(survival: ArrayLike, rows: Followed, bins: int = 10) -> FloatArray:
    """Share of the rows in each bin of the predicted survival probability at their own times.

    Parameters
    ----------
    survival : array_like, shape (S, n)
        S(T_i | x_i).
    rows : Followed
    bins : int

    Returns
    -------
    ndarray, shape (S, bins)
        From the lowest probabilities up; 1 / bins each where predictions are calibrated.
    """
    s = np.atleast_2d(np.asarray(survival, dtype=float))
    out = np.empty((len(s), bins))
    with np.errstate(divide="ignore", invalid="ignore"):
        for b in range(bins):
            low, high = b / bins, (b + 1) / bins
            inside = (s >= low) & ((s < high) | (b == bins - 1))
            spread = np.where(s > 0.0, np.clip(s - low, 0.0, high - low) / s, float(b == 0))
            out[:, b] = np.where(rows.event, inside, spread) @ rows.weight
    return out / rows.weight.sum()


def d_calibration(shares: ArrayLike, n: float) -> FloatArray:
    """Statistic D of `d_shares`, shape (S, B), for `n` rows: about chi-squared with B - 1 degrees where nobody is censored.

    The even spread of censored rows makes it smaller than that, so that its p-value is on the safe side.
    """
    found = np.atleast_2d(np.asarray(shares, dtype=float))
    return np.asarray((n * found.shape[1] * (found - 1.0 / found.shape[1]) ** 2).sum(1))
