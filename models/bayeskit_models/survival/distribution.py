"""The adapted power generalised Weibull distribution (APGW): arrays in, arrays out.

Four parameters, each with one job: `phi` stretches time (accelerated failure time), `lam` multiplies the hazard (proportional
hazards), `gamma` is the power that decides what happens near time 0, `kappa` > -1 says which distribution it is:

====================  ==========================================================================
kappa                 law
====================  ==========================================================================
-1 < kappa < 0        improper: a share of `cure_fraction` never has the event
0                     Burr XII, log-logistic where ``lam = 1``
0 < kappa < 1         between log-logistic and Weibull
1                     Weibull
2                     linear hazard where ``gamma = 1``
large                 Gompertz where ``gamma = 1``
====================  ==========================================================================

All functions broadcast. Source: Burke, Jones, Noufaily (2020), "A flexible parametric modelling framework for survival
analysis", Journal of the Royal Statistical Society C 69:429-457. Formulas, limits and shapes are derived again here and tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from bayeskit.errors import SpecificationError
from bayeskit_models.survival.algebra import numpy_algebra

__all__ = [
    "SHAPES", "cumulative_hazard", "cure_fraction", "density", "hazard", "hazard_shape", "log_density", "log_hazard",
    "quantile", "random", "survival", "turning_point",
]  # fmt: skip

FloatArray = NDArray[np.float64]

SHAPES = ("constant", "decreasing", "increasing", "unimodal", "bathtub")
"""The five shapes that a hazard of this family can have; none has two turning points."""

_ALGEBRA = numpy_algebra()
_RULES = {"phi": 0.0, "lam": 0.0, "gamma": 0.0, "kappa": -1.0}


def _log_parameters(phi: ArrayLike, lam: ArrayLike, gamma: ArrayLike, kappa: ArrayLike) -> tuple[FloatArray, ...]:
    """Logs of phi, lambda, gamma and kappa + 1, broadcast; a value out of range is refused."""
    given = {k: np.asarray(v, dtype=float) for k, v in zip(_RULES, (phi, lam, gamma, kappa), strict=True)}
    for name, value in given.items():
        bad = ~(value > _RULES[name]) | np.isinf(value)
        if bad.any():
            raise SpecificationError(
                f"{name}={np.ravel(value)[np.flatnonzero(np.ravel(bad))[0]]!r}: must be a finite number above {_RULES[name]:g}."
            )
    return np.log(given["phi"]), np.log(given["lam"]), np.log(given["gamma"]), np.log1p(given["kappa"])


def _times(t: ArrayLike) -> FloatArray:
    time = np.asarray(t, dtype=float)
    if not (time >= 0.0).all():
        bad = np.ravel(time)[np.flatnonzero(~(np.ravel(time) >= 0.0))[0]]
        raise SpecificationError(f"t={bad!r}: a time is at least 0.")
    return time


def _log(time: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.log(time)


def cumulative_hazard(
    t: ArrayLike, phi: ArrayLike = 1.0, lam: ArrayLike = 1.0, gamma: ArrayLike = 1.0, kappa: ArrayLike = 1.0
) -> FloatArray:
    """Cumulative hazard ``H(t)``.

    Parameters
    ----------
    t : array_like
        Times, at least 0; inf gives the limit.
    phi, lam, gamma : array_like
        Scale of time (per unit of `t`), factor of the hazard, power; each above 0.
    kappa : array_like
        Which distribution; above -1.

    Returns
    -------
    ndarray
        Shape of the broadcast arguments.

    Raises
    ------
    SpecificationError
        For a negative time or a parameter out of range.
    """
    time, logs = _times(t), _log_parameters(phi, lam, gamma, kappa)
    never = np.isinf(time)
    with np.errstate(over="ignore"):
        found = _ALGEBRA.cumulative_hazard(_log(np.where(never, 1.0, time)), *logs)
    return np.asarray(np.where(never, -_ALGEBRA.log_cure(logs[1], logs[3]), found))


def log_hazard(
    t: ArrayLike, phi: ArrayLike = 1.0, lam: ArrayLike = 1.0, gamma: ArrayLike = 1.0, kappa: ArrayLike = 1.0
) -> FloatArray:
    """Log of the hazard; at time 0 it is inf, finite or -inf as gamma is below, at or above 1. See `cumulative_hazard`."""
    time = _times(t)
    log_phi, log_lam, log_gamma, log_k1 = _log_parameters(phi, lam, gamma, kappa)
    power = np.exp(log_gamma)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = _ALGEBRA.log_step(power * (_log(time) + log_phi), log_k1)
        rest = (np.expm1(log_k1) - 1.0) * step
        rest = np.where(np.expm1(log_k1) == 1.0, 0.0, rest)
        return np.asarray(log_lam + log_gamma + power * log_phi + xlogy(power - 1.0, time) + rest)


def hazard(
    t: ArrayLike, phi: ArrayLike = 1.0, lam: ArrayLike = 1.0, gamma: ArrayLike = 1.0, kappa: ArrayLike = 1.0
) -> FloatArray:
    """Hazard ``h(t)``, events per unit of time among those still at risk. See `cumulative_hazard`."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(log_hazard(t, phi, lam, gamma, kappa)))


def survival(
    t: ArrayLike, phi: ArrayLike = 1.0, lam: ArrayLike = 1.0, gamma: ArrayLike = 1.0, kappa: ArrayLike = 1.0
) -> FloatArray:
    """Probability ``S(t)`` that the event comes after `t`. See `cumulative_hazard`."""
    return np.asarray(np.exp(-cumulative_hazard(t, phi, lam, gamma, kappa)))


def log_density(
    t: ArrayLike, phi: ArrayLike = 1.0, lam: ArrayLike = 1.0, gamma: ArrayLike = 1.0, kappa: ArrayLike = 1.0
) -> FloatArray:
    """Log density ``log h(t) - H(t)``. See `cumulative_hazard`."""
    return np.asarray(log_hazard(t, phi, lam, gamma, kappa) - cumulative_hazard(t, phi, lam, gamma, kappa))


def density(
    t: ArrayLike, phi: ArrayLike = 1.0, lam: ArrayLike = 1.0, gamma: ArrayLike = 1.0, kappa: ArrayLike = 1.0
) -> FloatArray:
    """Density ``f(t) = h(t) S(t)``; it integrates to ``1 - cure_fraction``. See `cumulative_hazard`."""
    return np.asarray(np.exp(log_density(t, phi, lam, gamma, kappa)))


def quantile(
    p: ArrayLike, phi: ArrayLike = 1.0, lam: ArrayLike = 1.0, gamma: ArrayLike = 1.0, kappa: ArrayLike = 1.0
) -> FloatArray:
    """Time by which a share `p` has had the event; inf where it never does (``p >= 1 - cure_fraction``).

    Raises
    ------
    SpecificationError
        For a share outside 0 to 1 or a parameter out of range.
    """
    share = np.asarray(p, dtype=float)
    if not ((share >= 0.0) & (share <= 1.0)).all():
        raise SpecificationError(f"p={p!r}: a share lies between 0 and 1.")
    with np.errstate(divide="ignore"):
        return _at(-np.log1p(-share), *_log_parameters(phi, lam, gamma, kappa))


def _at(exposure: FloatArray, *logs: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = np.exp(_ALGEBRA.log_quantile(np.where(np.isinf(exposure), 1.0, exposure), *logs))
    return np.asarray(np.where(np.isinf(exposure), np.inf, found))


def random(
    rng: np.random.Generator,
    phi: ArrayLike = 1.0,
    lam: ArrayLike = 1.0,
    gamma: ArrayLike = 1.0,
    kappa: ArrayLike = 1.0,
    size: int | tuple[int, ...] | None = None,
) -> FloatArray:
    """Draw times by inversion; the cured have time inf. `size` is the shape, that of the parameters unless given."""
    logs = _log_parameters(phi, lam, gamma, kappa)
    shape = np.broadcast_shapes(*(v.shape for v in logs)) if size is None else size
    return _at(np.asarray(rng.exponential(size=shape)), *logs)


def cure_fraction(lam: ArrayLike = 1.0, kappa: ArrayLike = 1.0) -> FloatArray:
    """Share that never has the event, ``S(inf)``: ``exp(lam (kappa + 1) / kappa)`` for kappa < 0, else 0.

    It depends on neither `phi` nor `gamma`: covariates there speed the event up or slow it down but cure nobody.
    """
    _, log_lam, _, log_k1 = _log_parameters(1.0, lam, 1.0, kappa)
    return np.asarray(np.exp(_ALGEBRA.log_cure(log_lam, log_k1)))


def hazard_shape(gamma: ArrayLike, kappa: ArrayLike) -> Any:
    """Shape of the hazard, one of `SHAPES`, by the behaviour ``t^(gamma - 1)`` at 0 and ``t^(kappa gamma - 1)`` far out.

    Returns
    -------
    ndarray of str
        "unimodal" rises, then falls; "bathtub" falls, then rises (and needs kappa > 1).
    """
    _log_parameters(1.0, 1.0, gamma, kappa)
    start = np.sign(np.asarray(gamma, dtype=float) - 1.0)
    end = np.sign(np.asarray(kappa, dtype=float) * np.asarray(gamma, dtype=float) - 1.0)
    start, end = np.broadcast_arrays(start, end)
    cases = [
        (start == 0) & (end == 0), (start > 0) & (end < 0), (start < 0) & (end > 0), (start >= 0) & (end >= 0),
    ]  # fmt: skip
    return np.select(cases, ["constant", "unimodal", "bathtub", "increasing"], "decreasing")


def turning_point(phi: ArrayLike, gamma: ArrayLike, kappa: ArrayLike) -> FloatArray:
    """Time at which a unimodal hazard is highest or a bathtub lowest; NaN for the other shapes. `lam` does not matter."""
    _log_parameters(phi, 1.0, gamma, kappa)
    phi, gamma, kappa = (np.asarray(v, dtype=float) for v in (phi, gamma, kappa))
    turns = (gamma - 1.0) * (1.0 - kappa * gamma) > 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (kappa + 1.0) * (gamma - 1.0) / np.where(turns, 1.0 - kappa * gamma, np.nan)
        return np.asarray(u ** (1.0 / gamma) / phi)
