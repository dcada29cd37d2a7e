"""The arithmetic of a path of noisy numbers over a dial: whether it crosses zero, where, how surely, and whether it turns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeskit.sensitivity.claims import CLOSE, Claim, ClaimValue

__all__ = ["Crossing", "Scale", "brackets", "is_monotone", "line_crossing", "on_scale", "pooled"]

FloatArray = NDArray[np.float64]

_TURN = 3.5  # standard errors by which a path must turn back before it counts as not monotone: many pairs are compared


@dataclass(frozen=True)
class Scale:
    """The scale on which a dial is turned: positive numbers by ratios, others by differences."""

    log: bool

    def inner(self, value: float) -> float:
        """From a dial's value to the scale."""
        if self.log:
            return math.log(value) if value > 0.0 else -math.inf  # a fit at 0 lies outside every range of ratios
        return value

    def outer(self, place: float) -> float:
        """Back to the dial's value."""
        return math.exp(place) if self.log else place


@dataclass(frozen=True)
class Crossing:
    """Where a path crosses zero, and the Monte Carlo standard error of that place."""

    at: float
    se: float


def on_scale(claim: Claim, found: ClaimValue) -> tuple[float, float]:
    """The margin of a claim and its error, straightened: normal quantiles for probabilities, otherwise as they are.

    A posterior probability runs along an S as a dial is turned, its normal quantile nearly along a line.
    """
    if not claim.is_probability:
        return found.margin, found.mcse
    from scipy.stats import norm

    edge = min(max(found.mcse, 1e-12), 0.5)
    p = min(max(found.value, edge), 1.0 - edge) if found.value in (0.0, 1.0) else found.value
    place = float(norm.ppf(p))
    way = 1.0 if claim.relation in (">", ">=") else -1.0
    return way * (place - float(norm.ppf(found.threshold))), found.mcse / float(norm.pdf(place))


def brackets(at: Sequence[float], margin: Sequence[float], mcse: Sequence[float]) -> list[tuple[float, float]]:
    """Neighbouring places between which the sign changes; places too close to call are passed over."""
    decided = [(t, m) for t, m, s in sorted(zip(at, margin, mcse, strict=True)) if m != 0.0 and abs(m) >= CLOSE * s]
    return [(a[0], b[0]) for a, b in itertools.pairwise(decided) if (a[1] > 0) != (b[1] > 0)]


def is_monotone(at: Sequence[float], margin: Sequence[float], mcse: Sequence[float]) -> bool | None:
    """Whether a path goes one way within Monte Carlo error; None for fewer than three places."""
    if len(at) < 3:
        return None
    order = np.argsort(np.asarray(at), kind="stable")
    y, s = np.asarray(margin, dtype=float)[order], np.asarray(mcse, dtype=float)[order]
    first, second = np.triu_indices(len(y), k=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        step = (y[second] - y[first]) / np.sqrt(s[second] ** 2 + s[first] ** 2)
    step = step[np.isfinite(step)]
    return not (bool((step > _TURN).any()) and bool((step < -_TURN).any()))


def line_crossing(at: Sequence[float], y: Sequence[float], se: Sequence[float]) -> Crossing:
    """Where a weighted line through points crosses zero, its error by the delta method.

    Errors are widened where points scatter more than they say. NaN where the slope cannot be told from zero.
    """
    t, values, errors = (np.asarray(v, dtype=float) for v in (at, y, se))
    if len(t) < 2 or np.ptp(t) == 0.0:
        return Crossing(math.nan, math.nan)
    errors = np.maximum(errors, 1e-12)
    weight = errors**-2
    centre = float(weight @ t / weight.sum())
    design = np.stack([np.ones_like(t), t - centre], axis=1)
    covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
    level, slope = covariance @ design.T @ (weight * values)
    rest = (values - design @ np.array([level, slope])) / errors
    covariance *= max(1.0, float(rest @ rest) / (len(t) - 2)) if len(t) > 2 else 1.0
    if abs(slope) < 2.0 * math.sqrt(covariance[1, 1]):
        return Crossing(math.nan, math.nan)
    move = -level / slope
    gradient = np.array([1.0, move])
    return Crossing(centre + move, math.sqrt(float(gradient @ covariance @ gradient)) / abs(slope))


def pooled(found: Sequence[Crossing]) -> Crossing:
    """One place from independent ones, by inverse variance; wider where they disagree more than they say."""
    usable = [c for c in found if math.isfinite(c.at) and math.isfinite(c.se)]
    if not usable:
        return Crossing(math.nan, math.nan)
    at, se = np.array([c.at for c in usable]), np.maximum([c.se for c in usable], 1e-12)
    weight = se**-2
    middle = float(weight @ at / weight.sum())
    scatter = float((((at - middle) / se) ** 2).sum()) / (len(at) - 1) if len(at) > 1 else 1.0
    return Crossing(middle, math.sqrt(max(1.0, scatter) / float(weight.sum())))
