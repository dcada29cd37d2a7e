"""The law of a member of a group nobody knows: the hazards of the law averaged over a gamma frailty, in closed form.

With a frailty of mean 1 and variance theta the survival of the population is ``(1 + theta H)^(-1/theta)``, where H is the
cumulative hazard of a group with frailty 1 (Vaupel, Manton, Stallard 1979, Demography 16:439-454). Without frailty it is the
law itself. All functions take the predictors as `predictors.predictors` gives them: four, or five where there is a frailty,
whose variance is last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeskit_models.survival.algebra import numpy_algebra

__all__ = ["cumulative_hazard", "log_cure", "log_hazard", "log_quantile"]

FloatArray = NDArray[np.float64]

_ALGEBRA = numpy_algebra()


def cumulative_hazard(log_time: FloatArray | float, *logs: FloatArray) -> FloatArray:
    """Minus the log of the survival, at internal log times; broadcasts."""
    return _averaged(np.asarray(_ALGEBRA.cumulative_hazard(log_time, *logs[:4])), logs[4:])


def _averaged(exposure: FloatArray, variance: tuple[FloatArray, ...]) -> FloatArray:
    if not variance:
        return exposure
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        found = exposure * _ALGEBRA.log1prel(variance[0] * exposure)
    return np.where(np.isposinf(exposure), np.inf, found)


def log_hazard(log_time: FloatArray | float, *logs: FloatArray) -> FloatArray:
    """Log of the hazard among those still free of the event, per internal unit of time."""
    own = np.asarray(_ALGEBRA.log_hazard(log_time, *logs[:4]))
    if len(logs) == 4:
        return own
    with np.errstate(over="ignore"):
        return np.asarray(own - np.log1p(logs[4] * _ALGEBRA.cumulative_hazard(log_time, *logs[:4])))


def log_quantile(exposure: FloatArray, *logs: FloatArray) -> FloatArray:
    """Internal log time at which the population's cumulative hazard is `exposure`; inf where it never is."""
    if len(logs) == 5:  # invert log(1 + theta H) / theta
        exposure = exposure * _ALGEBRA.exprel(logs[4] * exposure)
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(_ALGEBRA.log_quantile(exposure, *logs[:4]))


def log_cure(*logs: FloatArray) -> FloatArray:
    """Log of the share of the population that never has the event; -inf where everybody has it."""
    return -_averaged(-np.asarray(_ALGEBRA.log_cure(logs[1], logs[3])), logs[4:])
