"""What one of each unit says: its log likelihood, and draws of its effect given its answers.

Counts without a chance level are taken from folded units (`rasch`). The effect of a unit knows the successes by their totals
alone, so it is drawn as that of the folded unit; the log likelihood differs by what the unit's own successes add to the average
ones, sum_c (k_c - average_c) eta_c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit_models.benchmarks.families import Family

__all__ = ["draw_effects", "unit_values"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_DESIGN = ("unit_ptr", "unit_benchmark", "cell_column", "cell_group")
_CELLS = ("fold_column", "fold_group", "fold_k", "fold_n")


def unit_values(law: Family, given: tuple[FloatArray, ...], statistics: xr.Dataset, fine: float = 1.0) -> FloatArray:
    """Log likelihood of ONE of each unit, shape (U,).

    Parameters
    ----------
    law : Family
        The law of one score.
    given : tuple of ndarray
        Arguments of its kernels up to the design, as `Family.given` makes them.
    statistics : Dataset
        Sufficient statistics.
    fine : float
        1, or 2 for half the spacing of the nodes.

    Returns
    -------
    ndarray, shape (U,)
        Natural log; from folded units 0 where no unit is left (weight 0).
    """
    nodes = () if law.linear else (np.array([fine]),)
    if not _folds(law, given, statistics):
        kinds = [statistics["cell_kind"].values] if nodes and "cell_kind" in statistics else []
        return np.asarray(law.module.unit_log_likelihood(*given, *_design(law, statistics), *nodes, *kinds))
    eta, ptr, place = given[0], statistics["fold_ptr"].values, statistics["fold_place"].values
    found = law.module.unit_log_likelihood(*_folded(given, statistics), *nodes, statistics["fold_kind"].values)
    own = np.bincount(
        statistics["cell_unit"].values, statistics["k"].values * eta[statistics["cell_column"].values], len(place)
    )
    owner = np.repeat(np.arange(len(found)), np.diff(ptr))
    found -= np.bincount(owner, statistics["fold_k"].values * eta[statistics["fold_column"].values], len(found))
    return np.where(place >= 0, found[place] + own, 0.0)


def draw_effects(law: Family, given: tuple[FloatArray, ...], statistics: xr.Dataset, uniform: FloatArray) -> FloatArray:
    """Draw the effect z of every member (item) of the units from its posterior given the other parameters.

    Parameters
    ----------
    law, given, statistics
        As in `unit_values`.
    uniform : ndarray, shape (members,)
        Random numbers from 0 to 1.

    Returns
    -------
    ndarray, shape (members,)
        In standard deviations of the effect.
    """
    member = statistics["member_unit"].values
    if not _folds(law, given, statistics):
        return np.asarray(law.module.draw_units(*given, *_design(law, statistics), member, uniform))
    place = statistics["fold_place"].values[member]
    order = np.argsort(place, kind="stable")  # the kernel takes members in the order of their units
    z = np.empty(len(place))
    kinds = statistics["fold_kind"].values
    z[order] = law.module.draw_units(*_folded(given, statistics), place[order], uniform[order], kinds)
    return z


def _design(law: Family, statistics: xr.Dataset) -> list[NDArray]:
    return [*(statistics[name].values for name in _DESIGN), *law.cells(statistics)]


def _folds(law: Family, given: tuple[FloatArray, ...], statistics: xr.Dataset) -> bool:
    """Whether folded units say all; `cheapest` decides in the same way."""
    if law.name != "binomial" or not statistics.sizes.get("fold", 0):
        return False
    _, _, _, inner, chance = given
    return bool((chance == 0.0).all() and (statistics.sizes["kind_of_fold_cell"] > 0 or (inner == 0.0).all()))


def _folded(given: tuple[FloatArray, ...], statistics: xr.Dataset) -> list[NDArray]:
    """Arguments of the kernels for folded units."""
    eta, shift, sd, inner, chance = given
    like = statistics["fold_unit"].values
    benchmark = statistics["unit_benchmark"].values[like]
    cells = (statistics[name].values for name in _CELLS)
    return [eta, shift[like], sd, inner, chance, statistics["fold_ptr"].values, benchmark, *cells]
