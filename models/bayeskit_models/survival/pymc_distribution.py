"""The adapted power generalised Weibull as a distribution of PyMC, for models of one's own.

::

    with pm.Model():
        APGW("t", phi=0.2, lam=1.0, gamma=1.5, kappa=kappa, observed=times)
        pm.Censored("c", APGW.dist(...), lower=None, upper=followed_up, observed=times)

`logccdf` is minus the cumulative hazard, so right-censored rows lose no digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.continuous import PositiveContinuous
from pymc.distributions.dist_math import check_parameters
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.distributions.shape_utils import implicit_size_from_params, rv_size_is_none
from pymc.pytensorf import normalize_rng_param
from pytensor.tensor.random.utils import normalize_size_param

from bayeskit_models.survival.algebra import pytensor_algebra

__all__ = ["APGW"]

_ALGEBRA = pytensor_algebra()


class APGWRandomVariable(SymbolicRandomVariable):
    """Times by inversion of a standard exponential; inf for the cured."""

    name = "apgw"
    extended_signature = "[rng],[size],(),(),(),()->[rng],()"
    _print_name = ("APGW", "\\operatorname{APGW}")

    @classmethod
    def rv_op(cls, phi: Any, lam: Any, gamma: Any, kappa: Any, *, size: Any = None, rng: Any = None) -> Any:
        """Build the random graph."""
        parameters = [_real(p) for p in (phi, lam, gamma, kappa)]
        rng, size = normalize_rng_param(rng), normalize_size_param(size)
        if rv_size_is_none(size):
            size = implicit_size_from_params(*parameters, ndims_params=cls.ndims_params)
        next_rng, exposure = pt.random.exponential(1.0, size=size, rng=rng, return_next_rng=True)
        draws = pt.exp(_ALGEBRA.log_quantile(exposure, *_logs(*parameters)))
        return cls(inputs=[rng, size, *parameters], outputs=[next_rng, draws])(rng, size, *parameters)


def _real(parameter: Any) -> Any:
    """A parameter in double precision: PyTensor stores a whole number in 8 bits and takes its logarithm in single precision."""
    return pt.as_tensor(parameter).astype("float64")


def _logs(phi: Any, lam: Any, gamma: Any, kappa: Any) -> tuple[Any, Any, Any, Any]:
    return pt.log(phi), pt.log(lam), pt.log(gamma), pt.log1p(kappa)


def _checked(value: Any, phi: Any, lam: Any, gamma: Any, kappa: Any) -> Any:
    return check_parameters(
        value, phi > 0, lam > 0, gamma > 0, kappa > -1, msg="phi > 0, lam > 0, gamma > 0, kappa > -1"
    )  # fmt: skip


class APGW(PositiveContinuous):  # type: ignore[misc, unused-ignore]
    """Adapted power generalised Weibull.

    Parameters
    ----------
    phi : tensor_like of float
        Scale of time, above 0: larger is sooner.
    lam : tensor_like of float
        Factor of the hazard, above 0.
    gamma : tensor_like of float
        Power, above 0.
    kappa : tensor_like of float
        Which distribution, above -1: below 0 with a cured share, 0 Burr XII, 1 Weibull, large Gompertz.

    Notes
    -----
    ``logp``, ``logcdf``, ``logccdf``, ``icdf`` and random draws; see `bayeskit_models.survival.distribution` for the formulas.
    """

    rv_type = APGWRandomVariable
    rv_op = APGWRandomVariable.rv_op

    @classmethod
    def dist(cls, phi: Any = 1.0, lam: Any = 1.0, gamma: Any = 1.0, kappa: Any = 1.0, **extra: Any) -> Any:
        """Create the distribution outside of a model."""
        return super().dist([_real(p) for p in (phi, lam, gamma, kappa)], **extra)

    def support_point(rv: Any, size: Any, phi: Any, lam: Any, gamma: Any, kappa: Any) -> Any:
        """Median of those who have the event."""
        cured = pt.exp(_ALGEBRA.log_cure(pt.log(lam), pt.log1p(kappa)))
        middle = pt.exp(_ALGEBRA.log_quantile(-pt.log1p(-(1.0 - cured) / 2.0), *_logs(phi, lam, gamma, kappa)))
        return middle if rv_size_is_none(size) else pt.full(size, middle)

    def logp(value: Any, phi: Any, lam: Any, gamma: Any, kappa: Any) -> Any:
        """Log density."""
        inside = value > 0
        log_time, logs = pt.log(pt.switch(inside, _real(value), 1.0)), _logs(phi, lam, gamma, kappa)
        found = _ALGEBRA.log_hazard(log_time, *logs) - _ALGEBRA.cumulative_hazard(log_time, *logs)
        return _checked(pt.switch(inside, found, -np.inf), phi, lam, gamma, kappa)

    def logccdf(value: Any, phi: Any, lam: Any, gamma: Any, kappa: Any) -> Any:
        """Log survival function: minus the cumulative hazard."""
        inside = value > 0
        log_time = pt.log(pt.switch(inside, _real(value), 1.0))
        found = -_ALGEBRA.cumulative_hazard(log_time, *_logs(phi, lam, gamma, kappa))
        return _checked(pt.switch(inside, found, 0.0), phi, lam, gamma, kappa)

    def logcdf(value: Any, phi: Any, lam: Any, gamma: Any, kappa: Any) -> Any:
        """Log distribution function."""
        inside = value > 0
        log_time = pt.log(pt.switch(inside, _real(value), 1.0))
        exposure = _ALGEBRA.cumulative_hazard(log_time, *_logs(phi, lam, gamma, kappa))
        return _checked(pt.switch(inside, pt.log(-pt.expm1(-exposure)), -np.inf), phi, lam, gamma, kappa)

    def icdf(value: Any, phi: Any, lam: Any, gamma: Any, kappa: Any) -> Any:
        """Quantile function; inf for the cured."""
        found = pt.exp(_ALGEBRA.log_quantile(-pt.log1p(-_real(value)), *_logs(phi, lam, gamma, kappa)))
        inside = (value >= 0) & (value <= 1)
        return _checked(pt.switch(inside, found, np.nan), phi, lam, gamma, kappa)
