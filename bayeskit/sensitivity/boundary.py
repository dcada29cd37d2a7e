"""Where a claim is overturned, as a number that draws and weighted draws give: the one place that knows what a claim is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError, suggest
from bayeskit.sensitivity.claims import Claim
from bayeskit.sensitivity.removal import first_order
from bayeskit.sensitivity.reweight import weighted_quantiles
from bayeskit.summary import flatten

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Boundary", "Margin", "bind"]

_FEW = 20  # draws on the other side of a cut below which their share is taken from a normal distribution instead
_TILT = 0.2  # standard deviation of the log weights of a numerical tilt: the error of a central difference is its square

_NORMAL = NormalDist()

FloatArray = NDArray[np.float64]
FUNCTIONALS = ("mean", "lower", "upper", "p_above")


@dataclass(frozen=True)
class Boundary:
    """A number of the posterior and where it matters: on which side the answer lies is the claim.

    Parameters
    ----------
    quantity : str or callable
        An element of an estimand, ``"score[gpt-4t]"``, or a function of the Dataset of estimands that returns one number for
        every draw, shape (chain, draw).
    threshold : float
        What the number is compared with.
    functional : {"mean", "lower", "upper", "p_above"}
        Posterior mean, an end of the equal-tailed interval, or the probability that the quantity is above `cut`.
    cut : float
        For "p_above".
    prob : float
        Probability of the interval for "lower" and "upper".

    Raises
    ------
    SpecificationError
        For an unknown functional, a probability outside (0, 1), or a threshold that is no number.
    """

    quantity: str | Callable[..., Any]
    threshold: float
    functional: Literal["mean", "lower", "upper", "p_above"] = "mean"
    cut: float = 0.0
    prob: float = 0.95

    def __post_init__(self) -> None:
        if self.functional not in FUNCTIONALS:
            hint = suggest(str(self.functional), FUNCTIONALS)
            raise SpecificationError(f"functional={self.functional!r}: one of {', '.join(FUNCTIONALS)}.{hint}")
        if not 0.0 < self.prob < 1.0:
            raise SpecificationError(f"prob={self.prob!r}: must lie strictly between 0 and 1.")
        if not math.isfinite(self.threshold) or not math.isfinite(self.cut):
            raise SpecificationError(f"threshold={self.threshold!r}, cut={self.cut!r}: both must be numbers.")
        if self.functional == "p_above" and not 0.0 < self.threshold < 1.0:
            raise SpecificationError(f"threshold={self.threshold!r}: a probability strictly between 0 and 1 for 'p_above'.")

    @property
    def name(self) -> str:
        """The number in words, such as ``lower(x[a])``."""
        inner = self.quantity if isinstance(self.quantity, str) else getattr(self.quantity, "__name__", "quantity")
        return f"P({inner} > {self.cut:g})" if self.functional == "p_above" else f"{self.functional}({inner})"

    def draws(self, estimands: xr.Dataset) -> FloatArray:
        """Draws of the quantity, chains one after the other, shape (S,)."""
        if isinstance(self.quantity, str):
            base = self.quantity.split("[")[0]
            if base not in estimands:
                raise SpecificationError(f"No estimand named {base!r}.{suggest(base, map(str, estimands))}")
            names, values = flatten(estimands[[base]])
            if self.quantity not in names:
                hint = suggest(self.quantity, names)
                raise SpecificationError(f"No quantity {self.quantity!r}.{hint} There are: {', '.join(names[:8])}.")
            return np.asarray(values[..., names.index(self.quantity)].reshape(-1))
        found = np.asarray(self.quantity(estimands), dtype=float)
        shape = estimands.sizes["chain"], estimands.sizes["draw"]
        if found.shape != shape:
            raise SpecificationError(f"{self.name}: the function gave shape {found.shape}; one number a draw is {shape}.")
        return found.reshape(-1)


class Margin(Protocol):
    """How far the answer is from the boundary: positive where it is now, negative on the other side."""

    text: str
    threshold: float
    side: float

    def value(self, weights: FloatArray | None = None) -> float:
        """The number that is compared, in its own units."""

    def margin(self, weights: FloatArray | None = None) -> float:
        """Distance to the boundary on the scale on which it is extrapolated."""

    def effects(self, contributions: FloatArray) -> FloatArray:
        """Change of the margin to first order when one of each unit is left out, (U,), from contributions (S, U)."""

    def extrapolated(self, change: float) -> float:
        """The number in its own units where the margin changes by so much."""


def bind(claim: Any, estimands: xr.Dataset, side: float | None = None) -> Margin:
    """Tie a claim to draws; `side` is +1 or -1, that of the fit where the draws are those of a refit.

    A claim is text in the grammar of `bayeskit.sensitivity.claims`, a `Claim`, or a `Boundary`.
    """
    if isinstance(claim, str):
        claim = Claim.parse(claim, estimands)
    if isinstance(claim, Boundary):
        return _Bound(claim, estimands, side)
    if hasattr(claim, "value") and callable(claim.value):
        return _BoundClaim(claim, estimands, side)
    raise SpecificationError(
        f"claim={claim!r}: give text such as 'P(A > B) > 0.95', or a Boundary(quantity, threshold, functional)."
    )


def _share(weights: FloatArray | None, size: int) -> FloatArray:
    return np.full(size, 1.0 / size) if weights is None else weights


class _Bound:
    """A `Boundary` at the draws of one fit."""

    def __init__(self, boundary: Boundary, estimands: xr.Dataset, side: float | None) -> None:
        self.boundary, self.threshold = boundary, boundary.threshold
        self.draws = boundary.draws(estimands)
        if not np.isfinite(self.draws).all():
            raise SpecificationError(f"{boundary.name} cannot be computed: draws of it are missing or infinite.")
        self.side = side or (1.0 if self._scaled(None) >= self._goal else -1.0)
        self.text = f"{boundary.name} {'>' if self.side > 0 else '<'} {self.threshold:g}"

    @property
    def _goal(self) -> float:
        return _NORMAL.inv_cdf(self.threshold) if self.boundary.functional == "p_above" else self.threshold

    def value(self, weights: FloatArray | None = None) -> float:
        share, b = _share(weights, len(self.draws)), self.boundary
        if b.functional == "mean":
            return float(share @ self.draws)
        if b.functional == "p_above":
            return float(share @ (self.draws > b.cut))
        at = (1 - b.prob) / 2 if b.functional == "lower" else (1 + b.prob) / 2
        return float(weighted_quantiles(self.draws[:, None], share, (at,))[0, 0])

    def _moments(self, share: FloatArray) -> tuple[float, float]:
        mean = float(share @ self.draws)
        variance = float(share @ (self.draws - mean) ** 2)
        return mean, math.sqrt(max(variance, 1e-300))

    def _saturated(self, share: FloatArray) -> bool:
        """Whether too few draws lie on one side of the cut for their share to say how far away the boundary is."""
        above = float(share @ (self.draws > self.boundary.cut))
        return bool(min(above, 1.0 - above) * len(self.draws) < _FEW)

    def _scaled(self, weights: FloatArray | None) -> float:
        if self.boundary.functional != "p_above":
            return self.value(weights)
        share = _share(weights, len(self.draws))
        if self._saturated(share):
            mean, sd = self._moments(share)
            return (mean - self.boundary.cut) / sd
        return _NORMAL.inv_cdf(self.value(weights))

    def margin(self, weights: FloatArray | None = None) -> float:
        return self.side * (self._scaled(weights) - self._goal)

    def effects(self, contributions: FloatArray) -> FloatArray:
        b, share = self.boundary, _share(None, len(self.draws))
        if b.functional == "mean":
            return np.asarray(self.side * first_order(contributions, self.draws[:, None])[:, 0])
        if b.functional == "p_above":
            if self._saturated(share):
                mean, sd = self._moments(share)
                moved = first_order(contributions, np.column_stack([self.draws, (self.draws - mean) ** 2]))
                slope = moved[:, 0] / sd - (mean - b.cut) / (2.0 * sd**3) * moved[:, 1]
                return np.asarray(self.side * slope)
            density = _NORMAL.pdf(self._scaled(None))
            return np.asarray(
                self.side * first_order(contributions, (self.draws > b.cut)[:, None].astype(np.float64))[:, 0] / density
            )
        return _by_tilting(self.margin, contributions)

    def extrapolated(self, change: float) -> float:
        at = self._scaled(None) + self.side * change
        return _NORMAL.cdf(at) if self.boundary.functional == "p_above" else at


class _BoundClaim:
    """A parsed claim at the draws of one fit: an object whose ``value(dataset, weights)`` has value, threshold and margin."""

    def __init__(self, claim: Any, estimands: xr.Dataset, side: float | None) -> None:
        self.claim, self.estimands = claim, estimands
        now = claim.value(estimands, None)
        if not math.isfinite(now.margin):
            raise SpecificationError(f"{claim!r} cannot be computed from these draws.")
        self.text, self.threshold = repr(claim), float(now.threshold)
        self.side = side or (1.0 if now.margin >= 0 else -1.0)

    def value(self, weights: FloatArray | None = None) -> float:
        return float(self.claim.value(self.estimands, weights).value)

    def margin(self, weights: FloatArray | None = None) -> float:
        return self.side * float(self.claim.value(self.estimands, weights).margin)

    def effects(self, contributions: FloatArray) -> FloatArray:
        return _by_tilting(self.margin, contributions)

    def extrapolated(self, change: float) -> float:
        now = self.claim.value(self.estimands, None)
        upward = 1.0 if (now.value >= now.threshold) == (now.margin >= 0) else -1.0
        return float(now.value + upward * self.side * change)


def _by_tilting(margin: Callable[[FloatArray], float], contributions: FloatArray) -> FloatArray:
    """Derivative of any number of weighted draws along the deletion of each unit, by a central difference."""
    out = np.zeros(contributions.shape[1])
    for u, column in enumerate(contributions.T):
        spread = float(column.std())
        if spread > 0.0 and math.isfinite(spread):
            step = min(_TILT / spread, 1.0)
            tilted = [np.exp(-s * step * (column - column.mean())) for s in (1.0, -1.0)]
            high, low = (margin(cast("FloatArray", t / t.sum())) for t in tilted)
            out[u] = (high - low) / (2.0 * step)
    return out
