"""Sensitivity analysis: what an answer rests on, from the draws of one fit."""

from bayeskit.sensitivity.alternatives import Alternatives, alternatives
from bayeskit.sensitivity.analysis import sensitivity
from bayeskit.sensitivity.boundary import Boundary
from bayeskit.sensitivity.bounds import Bounds, IdentifiedSet, bounds
from bayeskit.sensitivity.claims import Claim, ClaimValue
from bayeskit.sensitivity.contour import TippingContour
from bayeskit.sensitivity.influence import Influence, influence
from bayeskit.sensitivity.ladder import Rung
from bayeskit.sensitivity.loo import Loo, loo
from bayeskit.sensitivity.multiverse import Multiverse, Universe, multiverse
from bayeskit.sensitivity.result import Row, Sensitivity, Verification
from bayeskit.sensitivity.reweight import Reweighted, power_scale, reweight
from bayeskit.sensitivity.smallest_set import RemovedSet, SmallestSet, smallest_set
from bayeskit.sensitivity.sweep import Cell, Sweep, sweep
from bayeskit.sensitivity.tipping import TippingPoint, tipping_point
from bayeskit.sensitivity.weights import Weights, k_hat_limit, pareto_smoothed

__all__ = [
    "Alternatives",
    "Boundary",
    "Bounds",
    "Cell",
    "Claim",
    "ClaimValue",
    "IdentifiedSet",
    "Influence",
    "Loo",
    "Multiverse",
    "RemovedSet",
    "Reweighted",
    "Row",
    "Rung",
    "Sensitivity",
    "SmallestSet",
    "Sweep",
    "TippingContour",
    "TippingPoint",
    "Universe",
    "Verification",
    "Weights",
    "alternatives",
    "bounds",
    "influence",
    "k_hat_limit",
    "loo",
    "multiverse",
    "pareto_smoothed",
    "power_scale",
    "reweight",
    "sensitivity",
    "smallest_set",
    "sweep",
    "tipping_point",
]
