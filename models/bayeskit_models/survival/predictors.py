"""The four linear predictors, from draws or values of the variables: NumPy for answers, PyTensor for the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit_models.survival.statistics import COMPONENTS

if TYPE_CHECKING:
    from bayeskit import Graph
    from bayeskit_models.survival.model import FlexibleSurvival

__all__ = ["graph_predictors", "predictors"]

FloatArray = NDArray[np.float64]


def predictors(
    spec: FlexibleSurvival,
    values: Mapping[str, NDArray[Any]],
    designs: Mapping[str, FloatArray],
    dials: Mapping[str, float],
    group: NDArray[np.int64] | None = None,
) -> tuple[FloatArray, ...]:
    """Log phi, log lambda, log gamma and log(kappa + 1), on the internal scale of time; then the frailty's variance, if any.

    Parameters
    ----------
    values : mapping of str to ndarray, shape (..., *own)
        Draws of the variables, with common leading dimensions.
    designs : mapping of str to ndarray, shape (n, terms)
        Standardised covariates by component.
    dials : mapping
        For kappa where the law fixes it.
    group : ndarray of int, shape (n,), optional
        Group of each row; -1 is a group of which only the population is known, at its mean. Not given: the mean group.

    Returns
    -------
    four ndarrays, shape (..., n), and where there is a frailty a fifth, shape (..., 1)
    """
    size = max((len(m) for m in designs.values()), default=1)
    lead = np.shape(next(iter(values.values())))[:1] if values else ()
    out = []
    for component in COMPONENTS:
        total = np.zeros((*lead, size))
        if component == "tail" and "tail.kappa" in dials:
            total = total + np.log1p(dials["tail.kappa"])
        elif f"{component}_intercept" in values:
            total = total + np.asarray(values[f"{component}_intercept"])[..., None]
        if f"{component}_effect" in values:
            total = total + np.asarray(values[f"{component}_effect"]) @ designs[component].T
        if group is not None and f"group_{component}" in values:
            each = np.asarray(values[f"group_{component}_sd"])[..., None] * np.asarray(values[f"group_{component}"])
            padded = np.concatenate([each, np.zeros((*each.shape[:-1], 1))], axis=-1)  # place -1: the mean group
            total = total + padded[..., group]
        out.append(total)
    if "frailty_variance" in values:
        out.append(np.asarray(values["frailty_variance"])[..., None])
    return tuple(out)


def graph_predictors(graph: Graph) -> list[Any]:
    """The same as the kernels read them: the bases of the predictors, by pattern or one for all, and the effects in one vector.

    Chains start with no effects and power 1: a power of e and an effect of 1 raise a late time to an absurd cumulative hazard,
    from which a chain does not come back.
    """
    import pytensor.tensor as pt

    bases, effects = [], []
    for component in COMPONENTS:
        base: Any = pt.zeros(1)
        if component == "tail" and "tail" in graph.assumptions:
            base = base + pt.log1p(graph.dial("tail.kappa"))
        elif f"{component}_intercept" in graph.assumptions:
            base = base + graph.prior(f"{component}_intercept", anchored=component == "shape")
        if f"{component}_effect" in graph.assumptions:
            effects.append(graph.prior(f"{component}_effect", anchored=True))
        if f"group_{component}" in graph.assumptions:
            each = graph.prior(f"group_{component}_sd") * graph.prior(f"group_{component}", anchored=True)
            base = base + each[graph.data("pattern_group")]
        bases.append(base)
    return [*bases, pt.concatenate(effects) if effects else pt.zeros(0)]


def designs_of(statistics: xr.Dataset) -> dict[str, FloatArray]:
    """The standardised covariates of the patterns of a fit, by component, each of shape (patterns, terms)."""
    design, pointer = statistics["design"].values, statistics["term_ptr"].values
    return {c: design[pointer[k] : pointer[k + 1]].T for k, c in enumerate(COMPONENTS)}
