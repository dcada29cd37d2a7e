"""The likelihood of counts by the cheapest of the sums that are all exact.

Without a chance level units of equal design and total are one, or with an interaction groups of equal design and total
(`rasch`). Otherwise every unit is summed for itself (`crossed`), with the work of groups that repeat shared where there is an
interaction. Which it is depends on the chance level, a dial, so it is decided at every evaluation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayeskit.fused import fused, kernel
from bayeskit_models.benchmarks.crossed import crossed_kernel
from bayeskit_models.benchmarks.shares import DESIGN

__all__ = ["cheapest_kernel", "log_likelihood"]


@kernel
def cheapest_kernel(
    eta: np.ndarray,
    shift: np.ndarray,
    sd: np.ndarray,
    inner_sd: np.ndarray,
    chance: np.ndarray,
    unit_ptr: np.ndarray,
    unit_benchmark: np.ndarray,
    unit_weight: np.ndarray,
    cell_column: np.ndarray,
    cell_group: np.ndarray,
    k: np.ndarray,
    n: np.ndarray,
    cell_kind: np.ndarray,
    fold_ptr: np.ndarray,
    fold_unit: np.ndarray,
    fold_weight: np.ndarray,
    fold_column: np.ndarray,
    fold_group: np.ndarray,
    fold_k: np.ndarray,
    fold_n: np.ndarray,
    fold_kind: np.ndarray,
    fine: np.ndarray,
) -> Any:
    """Log likelihood of all units and its gradients with respect to the first four arguments, as `crossed_kernel` gives them.

    Parameters
    ----------
    eta, shift, sd, inner_sd, chance, fine
        As in `crossed_kernel`.
    unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, k, n, cell_kind
        As in `crossed_kernel`.
    fold_ptr, fold_weight, fold_column, fold_group, fold_k, fold_n, fold_kind
        Units of equal design and total, as in `rasch.Folded`; without kinds they are used where there is no interaction.
    fold_unit : (V,) int64
        One of the units that each stands for.

    Returns
    -------
    value : float
        Natural log, NaN (as the gradients) where an input is NaN or +inf.
    d_eta, d_shift, d_sd, d_inner_sd : ndarray
        Gradients, shaped as the inputs. That of a shift is only right as a sum over the units of a cluster.
    """
    folded = fold_weight.size > 0
    for b in range(sd.size):
        folded = folded and chance[b] == 0.0 and (fold_kind.size > 0 or inner_sd[b] == 0.0)
    place, home, kind = shift, unit_benchmark, cell_kind
    if folded:
        place, home, kind = np.empty(fold_unit.size), np.empty(fold_unit.size, np.int64), fold_kind
        for v in range(fold_unit.size):
            place[v], home[v] = shift[fold_unit[v]], unit_benchmark[fold_unit[v]]
    # one call of the kernel, for the compiler copies it to every place that calls it
    value, d_eta, d_place, d_sd, d_inner = crossed_kernel(
        eta, place, sd, inner_sd, chance, fold_ptr if folded else unit_ptr, home, fold_weight if folded else unit_weight,
        fold_column if folded else cell_column, fold_group if folded else cell_group, fold_k if folded else k,
        fold_n if folded else n, fine, kind,
    )  # fmt: skip
    d_shift = d_place
    if folded:
        d_shift = np.zeros(shift.size)
        for v in range(fold_unit.size):
            d_shift[fold_unit[v]] = d_place[v]
    return value, d_eta, d_shift, d_sd, d_inner


_WHOLE = ("ptr", "benchmark", "column", "group", "unit", "kind")

log_likelihood = fused(
    cheapest_kernel,
    wrt=(1, 1, 1, 1),
    data=("float64:1", *("int64:1" if name.split("_")[-1] in _WHOLE else "float64:1" for name in DESIGN), "float64:1"),
)
"""`cheapest_kernel` on symbolic arrays."""
