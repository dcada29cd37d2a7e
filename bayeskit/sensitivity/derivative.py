"""Derivatives of posterior means with respect to dials, from the draws of one fit.

For a dial h of a prior, ``dE[g]/dh = Cov(g, d log p(theta | h) / dh)`` (Gustafson 1996; Giordano, Broderick, Jordan 2018, JMLR
19:51). A normalising constant that depends on h alone drops out, so the formula holds for soft constraints too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeskit.assumptions import Assumption, Dial
from bayeskit.convergence import mean_errors

__all__ = ["DialDerivative", "dial_derivative", "natural_step"]

_RELATIVE = 1e-4  # of the step: the error of a central difference is of the order of its square
_SPREADS = ("sigma", "sd", "scale")
_PLACES = ("mu", "loc", "location")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class DialDerivative:
    """First-order effect of one dial on many quantities.

    Attributes
    ----------
    dial : str
        Full name.
    step : float
        Change of the dial that counts as one step: see `natural_step`.
    shift, mcse : ndarray, shape (Q,)
        Change of the posterior mean per step in posterior standard deviations, and its Monte Carlo standard error. NaN where
        the dial does not enter a prior or a constraint.
    """

    dial: str
    step: float
    shift: FloatArray
    mcse: FloatArray


def natural_step(assumption: Assumption, dial: Dial, dials: Mapping[str, float]) -> float:
    """One step of a dial: the prior's own spread for a location, the dial's value for a number that is positive, else 1.

    A step of a location moves the prior by one of its standard deviations; a step of a positive number doubles it.
    """
    key = dial.name.rpartition(".")[2]
    if key in _PLACES:
        spread = [dials[f"{assumption.name}.{k}"] for k in _SPREADS if f"{assumption.name}.{k}" in dials]
        return float(spread[0]) if spread else 1.0
    value = float(dials[dial.name])
    return value if dial.low >= 0.0 and value > 0.0 else 1.0


def dial_derivative(
    log_density: Callable[[Mapping[str, float]], FloatArray],
    dial: Dial,
    step: float,
    dials: Mapping[str, float],
    quantities: FloatArray,
) -> DialDerivative:
    """Differentiate posterior means with respect to one dial.

    Parameters
    ----------
    log_density : callable
        Maps dials to the log density of everything in the prior that the dial enters, shape (chains, draws).
    dial : Dial
        What to turn.
    step : float
        What counts as one step.
    dials : mapping
        The dials of the fit.
    quantities : ndarray, shape (chains, draws, Q)
        Draws of the quantities; without NaN.
    """
    value, width = float(dials[dial.name]), _RELATIVE * step
    up, down = min(value + width, dial.high), max(value - width, dial.low)
    high, low = (log_density({**dials, dial.name: v}) for v in (up, down))
    nothing = np.full(quantities.shape[-1], np.nan)
    with np.errstate(invalid="ignore"):
        score = (high - low) / (up - down)
    if not np.isfinite(score).all() or np.ptp(high - low) == 0.0:
        return DialDerivative(dial.name, step, nothing, nothing)
    centred = quantities - quantities.mean((0, 1))
    product = centred * (score - score.mean())[..., None]
    spread = quantities.std((0, 1))
    error = mean_errors(product)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(spread > 0, step / spread, np.nan)
    return DialDerivative(dial.name, step, product.mean((0, 1)) * scale, error * scale)
