"""Shared ground of the judges' geometry: argument checks, the guarded solver, exceedance probabilities.

Private; the public face is `bayeskit_models.judges.geometry`. Convention: rows of Theta are true levels.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Singular = Literal["raise", "nan"]


def points_of(name: str, value: ArrayLike) -> Floats:
    """Return `value` as float points (..., M) with M >= 2."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim < 1 or array.shape[-1] < 2:
        raise ValueError(f"{name} has shape {array.shape}: the last axis must hold the M >= 2 probabilities of one point.")
    return array


def judges_of(name: str, value: ArrayLike) -> Floats:
    """Return `value` as float judge matrices (..., M, M) with M >= 2."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.shape[-1] < 2:
        raise ValueError(
            f"{name} has shape {array.shape}: the last two axes must be M x M with M >= 2 (rows: true levels, columns: scores)."
        )
    return array


def same_levels(**arrays: Floats) -> None:
    """Refuse arguments whose number of levels (last axis) differs."""
    sizes = {name: array.shape[-1] for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        listing = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise ValueError(f"the number of levels differs ({listing}): pass arrays over the same 1..M levels.")


def solve(matrix: Floats, right: Floats, singular: Singular) -> Floats:
    """Solve ``matrix x = right`` for right sides (..., n); singular systems raise or give NaN.

    A matrix counts as singular when its smallest singular value is at most ``n`` machine epsilons of its
    largest one: beyond that a solution is rounding noise. A matrix that is not finite is singular too.
    """
    if singular not in ("raise", "nan"):
        raise ValueError(f"singular={singular!r}: use 'raise' or 'nan'.")
    size = matrix.shape[-1]
    usable = np.isfinite(matrix).all(axis=(-2, -1))
    # The SVD of a matrix with a NaN raises for the whole batch, so such matrices are masked out first.
    safe = np.where(usable[..., None, None], matrix, np.eye(size))
    spectrum = np.linalg.svd(safe, compute_uv=False)
    usable = usable & (spectrum[..., -1] > size * np.finfo(np.float64).eps * spectrum[..., 0])
    if singular == "raise" and not usable.all():
        first = tuple(int(i) for i in np.argwhere(~usable)[0])
        raise ValueError(
            f"theta: {int((~usable).sum())} of {usable.size} judge matrices are singular or not finite "
            f"(first at index {first}). The vertices of such a judge span no volume, so true levels "
            "cannot be read off its scores. Drop the judge, or pass singular='nan' to get NaN there."
        )
    safe = np.where(usable[..., None, None], safe, np.eye(size))
    solution = np.linalg.solve(safe, right[..., None])[..., 0]
    return np.where(usable[..., None], solution, np.nan)


def exceedance(gamma: ArrayLike) -> Floats:
    """Exceedance probabilities ``P(score > l)`` for ``l = 1 .. M - 1``, shape (..., M - 1).

    Parameters
    ----------
    gamma : array_like, shape (..., M)
        Distribution over levels 1..M.

    Returns
    -------
    ndarray, shape (..., M - 1)
        Upper tail sums.
    """
    points = points_of("gamma", gamma)
    return np.cumsum(points[..., :0:-1], axis=-1)[..., ::-1]
