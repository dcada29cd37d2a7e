"""The likelihood of counts by the cheapest of the sums that are all exact.

Without a chance level units of equal design and total are one, or with an interaction groups of equal design and total
(`rasch`). Otherwise every unit is summed for itself (`crossed`), with the work of groups that repeat shared where there is an
interaction. Which it is depends on the chance level, a dial, so it is decided at every evaluation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayeskit.fused import fused, kernel
from bayeskit_models.benchmarks.crossed import crossed
from bayeskit_models.benchmarks.shares import DESIGN
from bayeskit_models.benchmarks.totals import NOBODY

__all__ = ["cheapest_kernel", "crossed_kernel", "draw_units", "log_likelihood", "unit_log_likelihood"]


@kernel
def _cheapest(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, k, n, cell_kind, fold_ptr,
    fold_unit, fold_weight, fold_column, fold_group, fold_k, fold_n, fold_kind, fine, member_unit, uniform,
):  # fmt: skip
    """`cheapest_kernel`; where nothing is folded also the value of one of each unit, and draws of the members' effects."""
    folded = fold_weight.size > 0
    for b in range(sd.size):
        folded = folded and chance[b] == 0.0 and (fold_kind.size > 0 or inner_sd[b] == 0.0)
    place, home, kind = shift, unit_benchmark, cell_kind
    if folded:
        place, home, kind = np.empty(fold_unit.size), np.empty(fold_unit.size, np.int64), fold_kind
        for v in range(fold_unit.size):
            place[v], home[v] = shift[fold_unit[v]], unit_benchmark[fold_unit[v]]
    # one call of the kernel, for the compiler copies it to every place that calls it
    value, d_eta, d_place, d_sd, d_inner, each, drawn = crossed(
        eta, place, sd, inner_sd, chance, fold_ptr if folded else unit_ptr, home, fold_weight if folded else unit_weight,
        fold_column if folded else cell_column, fold_group if folded else cell_group, fold_k if folded else k,
        fold_n if folded else n, fine, kind, member_unit, uniform,
    )  # fmt: skip
    d_shift = d_place
    if folded:
        d_shift, each = np.zeros(shift.size), np.full(shift.size, np.nan)
        for v in range(fold_unit.size):
            d_shift[fold_unit[v]] = d_place[v]
    return value, d_eta, d_shift, d_sd, d_inner, each, drawn


_WHOLE = ("ptr", "benchmark", "column", "group", "unit", "kind")
_operation = fused(
    _cheapest,
    wrt=(1, 1, 1, 1),
    data=(
        "float64:1", *("int64:1" if name.split("_")[-1] in _WHOLE else "float64:1" for name in DESIGN), "float64:1", "int64:1",
        "float64:1",
    ),
    also=(7, 23),
)  # fmt: skip
_NO_FOLD = tuple(np.zeros(int(name == "fold_ptr"), np.int64 if name.split("_")[-1] in _WHOLE else float) for name in DESIGN[8:])


def log_likelihood(*arguments: Any) -> Any:
    """`cheapest_kernel` on symbolic arrays."""
    return _operation(*arguments, *NOBODY)


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
) -> tuple[Any, ...]:
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
    return _operation.compute(
        eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, k, n, cell_kind,
        fold_ptr, fold_unit, fold_weight, fold_column, fold_group, fold_k, fold_n, fold_kind, fine, *NOBODY,
    )[:5]  # fmt: skip


def crossed_kernel(
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
    fine: np.ndarray,
    cell_kind: np.ndarray,
) -> tuple[Any, ...]:
    """Log likelihood of all units and its gradients with respect to the first four arguments.

    Parameters
    ----------
    eta : (C,) float64
        Linear predictor of every column (model x run x template of a benchmark), on the logit scale.
    shift : (U,) float64
        What is added to all cells of a unit (the effect of its cluster).
    sd, inner_sd : (B,) float64
        Standard deviations of the units' effects and of the interaction, by benchmark; all inner ones 0 for none.
    chance : (B,) float64
        Probability of a success by guessing.
    unit_ptr : (U + 1,) int64
        Cells of unit i are those from ``unit_ptr[i]`` to ``unit_ptr[i + 1]``.
    unit_benchmark : (U,) int64
        Benchmark of each unit.
    unit_weight : (U,) float64
        How many units look like this one.
    cell_column, cell_group : (N,) int64
        Column of each cell; cells of one unit with equal group lie together and share the interaction.
    k, n : (N,) float64
        Successes and trials.
    fine : (1,) float64
        1, or 2 for half the spacing in both sums.
    cell_kind : (N,) or (0,) int64
        Kinds of the cells' groups, by `tables.fold`; none if groups do not repeat.

    Returns
    -------
    value : float
        Natural log, NaN (as the gradients) where an input is NaN or +inf.
    d_eta, d_shift, d_sd, d_inner_sd : ndarray
        Gradients, shaped as the inputs.
    """
    return _operation.compute(
        eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, unit_weight, cell_column, cell_group, k, n, cell_kind,
        *_NO_FOLD, fine, *NOBODY,
    )[:5]  # fmt: skip


def unit_log_likelihood(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, cell_column, cell_group, k, n, fine, cell_kind=NOBODY[0]
) -> np.ndarray:
    """Log likelihood of ONE of each unit (U,), without gradients; arguments as in `crossed_kernel`."""
    each: np.ndarray = _operation.compute(
        eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, np.ones(unit_benchmark.size), cell_column, cell_group, k, n,
        cell_kind, *_NO_FOLD, fine, *NOBODY,
    )[5]  # fmt: skip
    return each


def draw_units(  # type: ignore[no-untyped-def]
    eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, cell_column, cell_group, k, n, member_unit, uniform,
    cell_kind=NOBODY[0],
) -> np.ndarray:  # fmt: skip
    """Draw the effect z of every member of every unit from its posterior given the other parameters.

    `member_unit` says of each member (an item) which unit it is like, in order of the units; `uniform` holds one random number
    from 0 to 1 for each. Between nodes the distribution function is linear. Other arguments as in `crossed_kernel`.
    """
    drawn: np.ndarray = _operation.compute(
        eta, shift, sd, inner_sd, chance, unit_ptr, unit_benchmark, np.ones(unit_benchmark.size), cell_column, cell_group, k, n,
        cell_kind, *_NO_FOLD, np.full(1, 2.0), member_unit, uniform,
    )[6]  # fmt: skip
    return drawn
