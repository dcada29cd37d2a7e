"""Sensitivity analysis: what an answer rests on, from the draws of one fit."""

from bayeskit.sensitivity.analysis import sensitivity
from bayeskit.sensitivity.boundary import Boundary
from bayeskit.sensitivity.influence import Influence, influence
from bayeskit.sensitivity.loo import Loo, loo
from bayeskit.sensitivity.multiverse import Multiverse, Universe, multiverse
from bayeskit.sensitivity.result import Sensitivity
from bayeskit.sensitivity.reweight import Reweighted, reweight
from bayeskit.sensitivity.smallest_set import RemovedSet, SmallestSet, smallest_set
from bayeskit.sensitivity.sweep import Cell, Sweep, sweep
from bayeskit.sensitivity.weights import Weights, k_hat_limit, pareto_smoothed

__all__ = [
    "Boundary",
    "Cell",
    "Influence",
    "Loo",
    "Multiverse",
    "RemovedSet",
    "Reweighted",
    "Sensitivity",
    "SmallestSet",
    "Sweep",
    "Universe",
    "Weights",
    "influence",
    "k_hat_limit",
    "loo",
    "multiverse",
    "pareto_smoothed",
    "reweight",
    "sensitivity",
    "smallest_set",
    "sweep",
]
