"""Maximum likelihood that is no fit: the three directions in which the likelihood of this law can run away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayeskit.mode import Mode

__all__ = ["name_the_ridge"]

_LARGE_KAPPA = 50.0
_LARGE_POWER = 20.0  # gamma: with kappa near 0 and their product fixed, a Weibull law with a threshold
_SMALL_TAIL = -5.0  # log(kappa + 1)


def name_the_ridge(found: Mode) -> Mode:
    """Say which of the known ridges a maximum of the likelihood lies on, and refuse to call it a fit.

    Notes
    -----
    (i) kappa to -1 with lambda to infinity: the limit is a promotion-time cure model. (ii) gamma to infinity with kappa to 0
    and kappa gamma fixed: the limit is a Weibull law that starts at a threshold, just below the first event. (iii) kappa to
    infinity: the limit is of Gompertz's kind, and the likelihood flat; the other numbers are good.
    """
    tail, power = found.values.get("tail_intercept"), found.values.get("shape_intercept")
    if found.prior or tail is None:
        return found
    kappa, gamma = float(np.expm1(tail)), float(np.exp(power)) if power is not None else 1.0
    nothing = {k: np.full(np.shape(v), np.nan) for k, v in found.standard_errors.items()}
    if kappa > _LARGE_KAPPA:
        message = (
            f"kappa > {_LARGE_KAPPA:g}: the law is of Gompertz's kind as far as the data tell, and its likelihood is flat "
            "in kappa. The log likelihood is that of the limit; take law='gompertz' or a prior"
        )
        return replace(found, status="ridge", message=message, standard_errors=nothing)
    if gamma > _LARGE_POWER:
        message = (
            f"the power gamma runs to infinity (here {gamma:.3g}) while kappa goes to 0 (here {kappa:.2g}): the limit is a "
            "Weibull law with a threshold just below the first event, and its likelihood still rises. Leave the intercept out "
            "of hazard, or take a prior"
        )
        return replace(found, status="ridge", message=message, standard_errors=nothing)
    if float(tail) < _SMALL_TAIL:
        message = (
            f"kappa runs to -1 (here {kappa:.4f}) and lambda to infinity: the limit is a promotion-time cure model. Leave the "
            "intercept out of hazard, or take a prior"
        )
        return replace(found, status="ridge", message=message, standard_errors=nothing)
    return found
