"""Sensitivity analysis: what an answer rests on, from the draws of one fit."""

from bayeskit.sensitivity.alternatives import Alternatives, alternatives
from bayeskit.sensitivity.analysis import sensitivity
from bayeskit.sensitivity.bounds import Bounds, IdentifiedSet, bounds
from bayeskit.sensitivity.result import Sensitivity
from bayeskit.sensitivity.reweight import Reweighted, reweight
from bayeskit.sensitivity.sweep import Cell, Sweep, sweep
from bayeskit.sensitivity.weights import Weights, k_hat_limit, pareto_smoothed

__all__ = [
    "Alternatives",
    "Bounds",
    "Cell",
    "IdentifiedSet",
    "Reweighted",
    "Sensitivity",
    "Sweep",
    "Weights",
    "alternatives",
    "bounds",
    "k_hat_limit",
    "pareto_smoothed",
    "reweight",
    "sensitivity",
    "sweep",
]
