"""What the rooms of draws take: linear predictors, standard deviations and the score of a guess, checked once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.errors import SpecificationError

__all__ = ["guess", "predictors", "standard_deviations"]

FloatArray = NDArray[np.float64]


def predictors(eta: ArrayLike, least: int = 1) -> FloatArray:
    """Draws of linear predictors, (S, M), contiguous, finite, of `least` models or more."""
    x = np.ascontiguousarray(eta, dtype=float)
    if x.ndim != 2 or len(x) == 0 or x.shape[1] < least or not np.isfinite(x).all():
        raise SpecificationError(f"eta has shape {x.shape}: finite draws by models, (S, M), M of {least} or more, are needed.")
    return x


def standard_deviations(name: str, values: ArrayLike, draws: int) -> FloatArray:
    """Draws of a standard deviation, (S,), from (S,) or one number; finite and 0 or more."""
    sd = np.asarray(values, dtype=float)
    if sd.shape not in ((), (draws,)) or not (np.isfinite(sd) & (sd >= 0.0)).all():
        raise SpecificationError(f"{name}: {draws} finite standard deviations of 0 or more are needed, not shape {sd.shape}.")
    return np.broadcast_to(sd, (draws,)).copy()


def guess(chance: float) -> float:
    """The score of a guess, 0 or more and below 1."""
    if not 0.0 <= chance < 1.0:
        raise SpecificationError(f"chance={chance!r}: must be 0 or more and below 1.")
    return float(chance)
