r"""The bivariate normal CDF, its logarithm and its derivatives, accurate relative to the result in every tail.

``Phi2(h, k, rho) = P(X < h, Y < k)`` for standard normal X, Y of correlation rho. With ``tau = sqrt(1 - rho^2)``,
``u = (k - rho h) / tau`` and ``v = (h - rho k) / tau``, the distribution of Y given ``X = h - tau x`` yields ::

    Phi2 = tau / (2 pi) exp(-(h^2 + u^2) / 2) K(v, -u, -rho),
    K(v, c, kappa) = integral over x > 0 of exp(v x - x^2 / 2) M(c + kappa x)

with the Mills ratio M. Where the argument of M stays away from its steep side the integrand is smooth on the scale of one, even
for ``|rho| -> 1``, and Gauss-Legendre nodes on the part that matters give K to rounding. Three identities lead there, and no
one of them loses digits, because terms are positive or the difference keeps at least a fiftieth::

    rho <= 0, h + k <= 0:  K as it stands, with h the larger one (then u <= 0)
    rho <= 0, h + k > 0:   Phi2(h, k) = [Phi(h) - Phi(-k)] + Phi2(-h, -k)
    rho > 0, h <= k:       Phi2(h, k, rho) = Phi(h) - Phi2(h, -k, -rho) where u >= -2, else K as it stands

(Plackett 1954, Biometrika 41:351 for the derivative in rho; Genz 2004, Statistics and Computing 14:251 for a method with
absolute accuracy. A log likelihood needs relative accuracy: the one here holds to 1e-13 at probabilities of 1e-300.)

Everything takes ``a = atanh(rho)``: ``tau = sech a`` and ``u = (k - h) cosh a + h exp(-a)`` lose no digits as rho nears 1.

Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.errors import SpecificationError
from bayeskit.fused import fast_exp
from bayeskit_models.risk.normal_tail import HALF_LOG_2PI, ROOT_2PI, inline, log_cdf_and_ratio, mills

__all__ = ["bivariate_normal_cdf", "log_bivariate_normal_cdf", "log_cdf_and_gradient"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(36)
_NODES, _WEIGHTS = (_NODES + 1.0) / 2.0, _WEIGHTS / 2.0  # on [0, 1]
_CUT = 37.0  # exp(-37) is below rounding: how far below its highest point the integrand is followed
_SHARE = -2.0  # of u: above it the difference with Phi(h) keeps at least Phi(-2), a fiftieth
_FURTHEST = 1e100  # arguments beyond it would overflow when squared; their probabilities are 0 or 1 far sooner
_FLATTEST = 40.0  # of |a|: rho differs from 1 by 1e-35 there, and cosh(a) times the furthest argument can still be squared

_function: Any = numba.njit(fastmath={"contract", "nsz", "arcp"}, error_model="numpy")
_sum: Any = numba.njit(fastmath={"contract", "nsz", "arcp", "reassoc"}, error_model="numpy")  # else no sum is vectorised


@inline
def _scores(h, k, a):  # type: ignore[no-untyped-def]
    """``(k - rho h) / tau`` and ``(h - rho k) / tau`` without cancellation at either end of rho."""
    c, e = np.cosh(a), np.exp(-abs(a))
    if a >= 0.0:
        return (k - h) * c + h * e, (h - k) * c + k * e
    return (k + h) * c - h * e, (h + k) * c - k * e


@inline
def _cdf(z):  # type: ignore[no-untyped-def]
    return np.exp(log_cdf_and_ratio(z)[0])


@inline
def _log_difference(more, less):  # type: ignore[no-untyped-def]
    """``log(exp(more) - exp(less))``."""
    return more + np.log1p(-np.exp(min(less - more, 0.0)))


@inline
def _steep_end(v, c, rho, h, tau):  # type: ignore[no-untyped-def]
    """Where the integrand has fallen by `_CUT` when M grows along x: three upper bounds, the least counts.

    The log of the integrand is concave: it lies below its tangents at 0 and at the zero of M's argument. And a conditional
    probability is at most 1.
    """
    m = mills(c)
    fall = -(v + rho * (1.0 / m - c))
    end = _CUT / fall
    rest = _CUT - (np.log(m) - 0.5 * c * c - HALF_LOG_2PI)
    slope = -h * tau  # h is negative here
    end = min(end, 2.0 * rest / (slope + np.sqrt(slope * slope + 2.0 * rest * tau * tau)))
    turn = c / rho
    height = v * turn - 0.5 * turn * turn + 0.22579135264472743 - np.log(m)  # log sqrt(pi / 2)
    tangent = turn + (_CUT + height) / (turn - v - 0.79788456080286536 * rho)  # sqrt(2 / pi)
    return min(end, tangent) if tangent > 0.0 else end


@_sum
def _corner(v, c, kappa, low, length):  # type: ignore[no-untyped-def]
    """K by Gauss-Legendre nodes on ``[low, low + length]``, and the log of the factor that was taken out."""
    top = v * low - 0.5 * low * low if v < low else (0.5 * v * v if v < low + length else 0.0)
    total = 0.0
    for i in range(36):
        x = low + length * _NODES[i]
        t = c + kappa * x
        exponent = v * x - 0.5 * x * x - top
        below = fast_exp(exponent) * mills(abs(t))
        # M(t) = sqrt(2 pi) exp(t^2 / 2) - M(-t) for negative t; its exponential joins the other before either overflows
        above = ROOT_2PI * fast_exp(exponent + 0.5 * t * t) - below
        total += _WEIGHTS[i] * (below if t >= 0.0 else above)
    return total * length, top


@_function
def _log_corner(h, k, a, u, v, grows):  # type: ignore[no-untyped-def]
    """``log Phi2(h, k, tanh a)`` by the integral; `grows` where M grows along x (rho > 0)."""
    tau, rho = 1.0 / np.cosh(a), np.tanh(a)
    if grows:
        low, length = 0.0, _steep_end(v, -u, rho, h, tau)
    elif v >= 0.0:
        low = max(0.0, v - 8.6)
        length = v + 8.6 - low
    else:
        low, length = 0.0, 2.0 * _CUT / (np.sqrt(v * v + 2.0 * _CUT) - v)
    value, top = _corner(v, -u, -rho, low, length)
    return np.log(value * tau) + top - 2.0 * HALF_LOG_2PI - 0.5 * (h * h + u * u)


@_function
def _log_cdf(h, k, a):  # type: ignore[no-untyped-def]
    if h + k <= 0.0 and a <= 0.0:
        if h < k:
            h, k = k, h
        u, v = _scores(h, k, a)
        return _log_corner(h, k, a, u, v, False)
    if h > k:
        h, k = k, h
    if a <= 0.0:  # k is positive, and -h the larger one of -h and -k
        u, v = _scores(-h, -k, a)
        rest = _log_corner(-h, -k, a, u, v, False)
        if h > 0.0:
            return np.log1p(np.exp(rest) - _cdf(-h) - _cdf(-k))
        base = _log_difference(log_cdf_and_ratio(h)[0], log_cdf_and_ratio(-k)[0])
        return max(base, rest) + np.log1p(np.exp(-abs(base - rest)))
    u, v = _scores(h, k, a)
    if u < _SHARE:
        return _log_corner(h, k, a, u, v, True)
    # Phi2(h, -k, -rho) has the same v and the opposite u
    lost = _log_corner(h, -k, -a, -u, v, False)
    if h > 0.0:
        return np.log1p(-(_cdf(-h) + np.exp(lost)))
    return _log_difference(log_cdf_and_ratio(h)[0], lost)


@_function
def log_cdf_and_gradient(h, k, a):  # type: ignore[no-untyped-def]
    """``log Phi2(h, k, tanh a)`` and its derivatives with respect to h, k and a, for finite arguments.

    ``d Phi2 / dh = phi(h) Phi(u)``, ``d Phi2 / dk = phi(k) Phi(v)`` and ``d Phi2 / da = tau / (2 pi) exp(-(h^2 + u^2) / 2)``.
    """
    h, k = min(max(h, -_FURTHEST), _FURTHEST), min(max(k, -_FURTHEST), _FURTHEST)
    a = min(max(a, -_FLATTEST), _FLATTEST)
    value = _log_cdf(h, k, a)
    u, v = _scores(h, k, a)
    d_h = np.exp(log_cdf_and_ratio(u)[0] - 0.5 * h * h - HALF_LOG_2PI - value)
    d_k = np.exp(log_cdf_and_ratio(v)[0] - 0.5 * k * k - HALF_LOG_2PI - value)
    d_a = np.exp(-0.5 * (h * h + u * u) - 2.0 * HALF_LOG_2PI - value) / np.cosh(a)
    return value, d_h, d_k, d_a


@_function
def _fill(h, k, a, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = _log_cdf(h[i], k[i], a[i])


def log_bivariate_normal_cdf(h: ArrayLike, k: ArrayLike, atanh_rho: ArrayLike) -> NDArray[np.float64]:
    """``log P(X < h, Y < k)`` for standard normal X and Y whose correlation is ``tanh(atanh_rho)``.

    Parameters
    ----------
    h, k : array_like
        Limits; inf and -inf give the limits of the function, NaN gives NaN.
    atanh_rho : array_like
        Fisher's z of the correlation; inf and -inf are correlations of 1 and -1.

    Returns
    -------
    ndarray of float64
        Shape of the broadcast arguments. Relative error of the probability below ``1e-13 (10 + |log P|)``; ten times as
        much on the edge of the strip ``h = -k`` when the correlation is within 1e-3 of -1.
    """
    h, k, a = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (h, k, atanh_rho)))
    inner = np.isfinite(h) & np.isfinite(k) & ~np.isnan(a)
    out = np.full(h.shape, np.nan)
    values = np.empty(int(inner.sum()))
    x, y, z = (np.ascontiguousarray(q[inner]) for q in (h, k, a))
    limit = np.abs(z) > _FLATTEST
    _fill(np.clip(x, -_FURTHEST, _FURTHEST), np.clip(y, -_FURTHEST, _FURTHEST), np.clip(z, -_FLATTEST, _FLATTEST), values)
    out[inner] = np.where(limit, _log_limit(x, y, z), values)
    return _at_infinity(h, k, a, out)


def _log_limit(h: NDArray[np.float64], k: NDArray[np.float64], a: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm at a correlation of 1 or -1."""
    from scipy.special import log_ndtr, ndtr

    with np.errstate(divide="ignore"):
        opposite = np.where(h > 0.0, ndtr(k) - ndtr(-h), ndtr(h) - ndtr(-k))
        return np.asarray(np.where(a > 0.0, log_ndtr(np.minimum(h, k)), np.log(np.maximum(opposite, 0.0))))


def _at_infinity(h: Any, k: Any, a: Any, out: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import log_ndtr

    known = ~(np.isnan(h) | np.isnan(k) | np.isnan(a))
    out[known & np.isposinf(h)] = log_ndtr(k[known & np.isposinf(h)])
    out[known & np.isposinf(k)] = log_ndtr(h[known & np.isposinf(k)])
    out[known & (np.isneginf(h) | np.isneginf(k))] = -np.inf
    return out


def bivariate_normal_cdf(h: ArrayLike, k: ArrayLike, rho: ArrayLike) -> NDArray[np.float64]:
    """``P(X < h, Y < k)`` for standard normal X and Y of correlation `rho`, from -1 to 1.

    Parameters
    ----------
    h, k : array_like
        Limits, possibly infinite.
    rho : array_like
        Correlation. Near 1 and -1 its distance from them has few digits left: `log_bivariate_normal_cdf` takes ``atanh(rho)``.

    Returns
    -------
    ndarray of float64
        Shape of the broadcast arguments.

    Raises
    ------
    SpecificationError
        For a correlation outside -1 to 1.
    """
    correlation = np.asarray(rho, dtype=np.float64)
    if not (np.abs(correlation) <= 1.0).all():
        bad = np.ravel(correlation)[np.flatnonzero(~(np.ravel(np.abs(correlation)) <= 1.0))[0]]
        raise SpecificationError(f"rho={float(bad)!r}: a correlation lies between -1 and 1.")
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(log_bivariate_normal_cdf(h, k, np.arctanh(correlation))))
