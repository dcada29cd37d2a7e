"""Sensitivity analysis: what an answer rests on, from the draws of one fit."""

from bayeskit.sensitivity.analysis import sensitivity
from bayeskit.sensitivity.claims import Claim, ClaimValue
from bayeskit.sensitivity.contour import TippingContour
from bayeskit.sensitivity.result import Sensitivity
from bayeskit.sensitivity.reweight import Reweighted, reweight
from bayeskit.sensitivity.sweep import Cell, Sweep, sweep
from bayeskit.sensitivity.tipping import TippingPoint, tipping_point
from bayeskit.sensitivity.weights import Weights, k_hat_limit, pareto_smoothed

__all__ = [
    "Cell",
    "Claim",
    "ClaimValue",
    "Reweighted",
    "Sensitivity",
    "Sweep",
    "TippingContour",
    "TippingPoint",
    "Weights",
    "k_hat_limit",
    "pareto_smoothed",
    "reweight",
    "sensitivity",
    "sweep",
    "tipping_point",
]
