"""The algebra of the adapted power generalised Weibull, once for NumPy arrays and for PyTensor graphs.

With ``u = (phi t)^gamma``, ``k1 = kappa + 1`` and ``a = log(1 + u / k1)``

    H(t) = lambda (k1 / kappa) [(1 + u / k1)^kappa - 1]
    h(t) = lambda gamma phi (phi t)^(gamma - 1) (1 + u / k1)^(kappa - 1)

(Burke, Jones, Noufaily 2020, JRSS C 69:429-457). Written through ``a`` and ``exprel(x) = expm1(x) / x`` it has no special case
at ``kappa = 0``, and neither ``u`` nor a power of it is formed from large numbers. Everything is a function of the logarithms
of time and parameters, which is how a regression gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["Algebra", "numpy_algebra", "pytensor_algebra"]

_SERIES = 1e-5  # below it three terms of a series are exact to rounding
_LARGEST = 709.0  # exp of more overflows, and its gradient with it
_SMALL = 1.0  # of |kappa a|: below it no digits are lost in a product with exprel, above it none in a difference with 1


@dataclass(frozen=True)
class Algebra:
    """The formulas over one array library.

    Attributes
    ----------
    xp : module
        NumPy or ``pytensor.tensor``: `exp`, `expm1`, `log`, `log1p`, `abs`, `minimum`.
    where : callable
        ``where(condition, a, b)``.
    softplus : callable
        ``log(1 + exp(x))``.
    """

    xp: ModuleType
    where: Any
    softplus: Any

    def exprel(self, x: Any) -> Any:
        """``expm1(x) / x``, 1 at 0. The unused branch is fed a harmless number: its gradient must not be NaN."""
        small = self.xp.abs(x) < _SERIES
        safe = self.where(small, 1.0, x)
        return self.where(small, 1.0 + x / 2.0 + x**2 / 6.0, self.xp.expm1(safe) / safe)

    def log1prel(self, x: Any) -> Any:
        """``log1p(x) / x``, 1 at 0; needs x > -1."""
        small = self.xp.abs(x) < _SERIES
        safe = self.where(small, 1.0, x)
        return self.where(small, 1.0 - x / 2.0 + x**2 / 3.0, self.xp.log1p(safe) / safe)

    def log_step(self, log_u: Any, log_k1: Any) -> Any:
        """``a = log(1 + u / k1)``."""
        return self.softplus(log_u - log_k1)

    def baseline(self, log_u: Any, log_k1: Any) -> Any:
        """Baseline cumulative hazard ``H0(u; kappa)``; inf where it overflows."""
        a, kappa = self.log_step(log_u, log_k1), self.xp.expm1(log_k1)
        k1 = self.xp.exp(log_k1)
        x = self.xp.minimum(kappa * a, _LARGEST)
        small = self.xp.abs(x) < _SMALL
        near = k1 * a * self.exprel(self.where(small, x, 0.0))
        far = k1 * self.xp.expm1(self.where(small, _SMALL, x)) / self.where(small, 1.0, kappa)
        return self.where(small, near, far)

    def cumulative_hazard(self, log_time: Any, log_phi: Any, log_lambda: Any, log_gamma: Any, log_k1: Any) -> Any:
        """``H(t)``."""
        log_u = self.xp.exp(log_gamma) * (log_time + log_phi)
        return self.xp.exp(log_lambda) * self.baseline(log_u, log_k1)

    def log_hazard(self, log_time: Any, log_phi: Any, log_lambda: Any, log_gamma: Any, log_k1: Any) -> Any:
        """``log h(t)`` for finite `log_time`."""
        log_u = self.xp.exp(log_gamma) * (log_time + log_phi)
        step = self.log_step(log_u, log_k1)
        return log_lambda + log_gamma + log_u - log_time + (self.xp.expm1(log_k1) - 1.0) * step

    def log_quantile(self, exposure: Any, log_phi: Any, log_lambda: Any, log_gamma: Any, log_k1: Any) -> Any:
        """Log of the time at which the cumulative hazard is `exposure`; inf where it never is (the cured).

        At ``exposure = -log(1 - p)`` this is the quantile of p, at a standard exponential draw it is a random time.
        """
        kappa, k1 = self.xp.expm1(log_k1), self.xp.exp(log_k1)
        z = exposure * self.xp.exp(-log_lambda) / k1
        reached = kappa * z > -1.0
        safe = self.where(reached, z, 0.0)
        log_u = log_k1 + self.xp.log(self.xp.expm1(safe * self.log1prel(kappa * safe)))
        return self.where(reached, self.xp.exp(-log_gamma) * log_u - log_phi, np.inf)

    def log_cure(self, log_lambda: Any, log_k1: Any) -> Any:
        """Log of the share that never has the event: ``lambda (kappa + 1) / kappa`` for kappa < 0, else -inf."""
        kappa = self.xp.expm1(log_k1)
        improper = kappa < 0.0
        safe = self.where(improper, kappa, -1.0)
        return self.where(improper, self.xp.exp(log_lambda + log_k1) / safe, -np.inf)


def numpy_algebra() -> Algebra:
    """The formulas on NumPy arrays."""
    return Algebra(np, np.where, lambda x: np.logaddexp(0.0, x))


def pytensor_algebra() -> Algebra:
    """The formulas as PyTensor graphs."""
    import pytensor.tensor as pt

    return Algebra(pt, pt.switch, pt.softplus)
