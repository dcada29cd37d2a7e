"""Matrices of covariates: centred and scaled for the fit, and in the same way for new rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit.errors import DataError
from bayeskit_models.formulas import Terms, design

if TYPE_CHECKING:
    from bayeskit import Rows

__all__ = ["standardise", "standardised"]

FloatArray = NDArray[np.float64]


def standardise(
    rows: Rows, terms: Terms, keep: NDArray[np.bool_], reference: str, weight: FloatArray | None = None
) -> dict[str, Any]:
    """Design of a formula, centred and scaled; constant and collinear columns are refused.

    Parameters
    ----------
    rows : Rows
        Covariates under the roles ``x_<name>``.
    terms : Terms
        The formula.
    keep : ndarray of bool, shape (n,)
        Rows that count for centre and scale.
    reference : {"mean", "zero"}
        Whether columns are centred at their means.
    weight : ndarray, shape (n,), optional
        How many rows each stands for in those means and standard deviations.

    Returns
    -------
    dict
        ``matrix`` (n, terms) and ``names``; unless there are none, ``centre`` and ``spread`` too. A column of two values is
        not scaled.

    Raises
    ------
    DataError
        Naming the column that is constant or follows from others.
    """
    matrix, names = matrix_of(rows, terms)
    if not names and terms.variables:  # one category has no columns: nothing would be left of the covariate
        raise DataError(
            f"{terms.setting}: {terms.text!r} is the same in every row.", column=terms.variables[0], rule="a covariate varies.",
            fix=f"leave it out of {terms.setting}.",
        )  # fmt: skip
    if not names:
        return {"matrix": np.zeros((rows.n, 0)), "names": ()}
    used = matrix[keep]
    if weight is None:
        mean, sd = used.mean(0), used.std(0)
    else:
        share = weight[keep] / weight[keep].sum()
        mean = share @ used
        sd = np.sqrt(share @ (used - mean) ** 2)
    centre = mean if reference == "mean" else np.zeros(len(names))
    spread = np.where([len(np.unique(c)) <= 2 for c in used.T], 1.0, sd)
    constant = np.ptp(used, axis=0) == 0.0
    if constant.any():
        name = names[int(np.argmax(constant))]
        raise DataError(
            f"{terms.setting}: {name!r} is the same in every row.", column=name, rule="a covariate varies.",
            fix=f"leave it out of {terms.setting}.",
        )  # fmt: skip
    _independent(terms, names, (used - used.mean(0)) / spread)
    return {"matrix": (matrix - centre) / spread, "names": names, "centre": centre, "spread": spread}


def _independent(terms: Terms, names: tuple[str, ...], scaled: FloatArray) -> None:
    """Refuse a column that the columns before it give exactly."""
    kept: list[int] = []
    for place in range(len(names)):
        if np.linalg.matrix_rank(scaled[:, [*kept, place]], tol=1e-9 * np.sqrt(len(scaled))) <= len(kept):
            raise DataError(
                f"{terms.setting}: {names[place]!r} follows from {', '.join(repr(names[k]) for k in kept)}.",
                column=names[place], rule="no covariate is a linear function of the others.",
                fix=f"leave one of them out of {terms.setting}.",
            )  # fmt: skip
        kept.append(place)


def matrix_of(rows: Rows, terms: Terms) -> tuple[FloatArray, tuple[str, ...]]:
    """The columns of a formula for coded rows, as they stand."""
    columns = {v: rows.columns[f"x_{v}"] for v in terms.variables}
    levels = {v: rows.levels[f"x_{v}"] for v in terms.variables if f"x_{v}" in rows.levels}
    return design(terms, columns, levels)


def standardised(rows: Rows, terms: Terms, statistics: xr.Dataset, component: str) -> FloatArray:
    """Design of new rows on the scale of a fit, shape (n, terms).

    `statistics` hold ``<component>_centre`` and ``<component>_spread`` where the formula has columns.
    """
    matrix, names = matrix_of(rows, terms)
    if not names:
        return np.zeros((rows.n, 0))
    return np.asarray((matrix - statistics[f"{component}_centre"].values) / statistics[f"{component}_spread"].values)
