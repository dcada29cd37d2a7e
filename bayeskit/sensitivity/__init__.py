"""Sensitivity analysis: what an answer rests on, from the draws of one fit."""

from bayeskit.sensitivity.analysis import sensitivity
from bayeskit.sensitivity.ladder import Rung
from bayeskit.sensitivity.result import Row, Sensitivity, Verification
from bayeskit.sensitivity.reweight import Reweighted, power_scale, reweight
from bayeskit.sensitivity.sweep import Cell, Sweep, sweep
from bayeskit.sensitivity.weights import Weights, k_hat_limit, pareto_smoothed

__all__ = [
    "Cell",
    "Reweighted",
    "Row",
    "Rung",
    "Sensitivity",
    "Sweep",
    "Verification",
    "Weights",
    "k_hat_limit",
    "pareto_smoothed",
    "power_scale",
    "reweight",
    "sensitivity",
    "sweep",
]
