"""Laws of the unobservable: nodes and weights over which it is summed out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LAWS", "law_nodes", "mean_factor", "sd_factor"]

FloatArray = NDArray[np.float64]

LAWS = ("uniform", "normal", "student")
WORDS = {
    "uniform": "uniform between 0 and sigma",
    "normal": "normal with mean 0 and standard deviation sigma",
    "student": "of Student's law with centre 0 and scale sigma",
}
_STEP = 0.25
_NORMAL_REACH, _STUDENT_REACH = 7.5, 10.0  # in standard deviations; in the inverse hyperbolic sine of the scaled value
_LEGENDRE = 32


def law_nodes(law: str, nu: Any = None, refine: int = 1, library: Any = np) -> tuple[FloatArray, Any]:
    """Nodes of Z / sigma and weights that sum to 1.

    Uniform: Gauss-Legendre on (0, 1). Normal and Student's: the trapezoidal rule, on the line and on its inverse hyperbolic
    sine, which converges exponentially for smooth integrands that fall off on both sides (Trefethen, Weideman 2014).

    Parameters
    ----------
    law : {"uniform", "normal", "student"}
    nu : float or symbolic scalar
        Degrees of freedom of Student's law.
    refine : int
        Factor on the number of nodes: what they leave out is seen by doubling.
    library : module
        NumPy, or PyTensor's tensor module for a symbolic `nu`.
    """
    if law == "uniform":
        x, w = np.polynomial.legendre.leggauss(_LEGENDRE * refine)
        return (x + 1.0) / 2.0, w / 2.0
    reach = _NORMAL_REACH if law == "normal" else _STUDENT_REACH
    count = round(reach / _STEP) * refine
    x = np.arange(-count, count + 1) * (reach / count)
    if law == "normal":
        w = np.exp(-0.5 * x**2)
        return x, w / w.sum()
    z = np.sinh(x)
    density = library.exp(-0.5 * (nu + 1.0) * library.log1p(z**2 / nu)) * np.cosh(x)
    return z, density / density.sum()


def mean_factor(law: str) -> float:
    """Mean of the unobservable in units of sigma."""
    return 0.5 if law == "uniform" else 0.0


def sd_factor(law: str, nu: float = np.inf) -> float:
    """Standard deviation of the unobservable in units of sigma; inf for Student's law with nu of 2 or less."""
    if law == "uniform":
        return float(1.0 / np.sqrt(12.0))
    if law == "normal":
        return 1.0
    return float(np.sqrt(nu / (nu - 2.0))) if nu > 2.0 else float("inf")
