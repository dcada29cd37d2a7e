"""The search for the value of a dial at which a claim flips: draws reweighted where they reach, refits elsewhere.

Every fit on the way is a source of draws. Where a dial enters a prior or a constraint only, the draws of a source stand for
other values of the dial too (Pareto-smoothed weights, refused over the k-hat limit), so each source near the flip gives its
own, independent, estimate of the place, and two refits beside the place confirm it. A dial that enters the likelihood moves no
such weight; then the place is read off a line through refits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.prior_check import log_prior
from bayeskit.sensitivity.claims import Claim, ClaimValue
from bayeskit.sensitivity.crossing import Crossing, Scale, brackets, line_crossing, on_scale, pooled
from bayeskit.sensitivity.sweep import sweep
from bayeskit.sensitivity.weights import Weights, pareto_smoothed

if TYPE_CHECKING:
    from bayeskit.fit import Fit

__all__ = ["PathPoint", "Search", "dial_weights"]

_APART = 4.0  # standard errors between a refit and the draws reweighted to it, from which the weights are not believed
_FAR_APART = 6.0  # the same over that k-hat, where weights are biased a little at their best
_SURE = 0.5  # k-hat over which draws may show the way but not say the place: bias of 0.1 posterior sds was seen at 0.6
_GOOD = ("PASS", "WARN")


@dataclass(frozen=True)
class PathPoint:
    """The claim at one value of the dial.

    Attributes
    ----------
    value : float
        Of the dial.
    how : {"as fitted", "reweighted", "refitted"}
        Where the number comes from.
    source : float
        Value of the dial in the fit whose draws these are.
    quantity, mcse, margin : float
        The left side of the claim, the Monte Carlo standard error of the margin, and the margin; NaN where not computed.
    state : str
        "holds", "does not hold", "too close to call" or "not computed".
    status : str
        Verdict of the fit the draws are from; "UNRELIABLE" for weights over the limit, "ERROR" for a refit that failed,
        "CONTRADICTED" for weights that refits do not bear out.
    k_hat, ess : float
        Of the weights; NaN where there are none.
    message : str
        The error, where there is one.
    """

    value: float
    how: str
    source: float
    quantity: float
    mcse: float
    margin: float
    state: str
    status: str
    k_hat: float = math.nan
    ess: float = math.nan
    message: str = ""

    @property
    def usable(self) -> bool:
        """Whether the number counts."""
        return self.status in _GOOD and self.state != "not computed"


def dial_weights(fit: Fit, dials: Mapping[str, float]) -> Weights | None:
    """Weights that make the draws of a fit those of a fit under other dials; None where a dial enters the likelihood.

    Parameters
    ----------
    fit : Fit
    dials : mapping
        The dials that change, by full name.
    """
    statistics = fit._need_statistics("be reweighted")
    posterior, total = fit.posterior, np.zeros((fit.posterior.sizes["chain"], fit.posterior.sizes["draw"]))
    merged = {**fit.dials, **dials}
    for name in dict.fromkeys(d.rpartition(".")[0] for d in dials if merged[d] != fit.dials[d]):
        now = log_prior(fit.spec, statistics, fit.dials, posterior, only=name).get(name)
        then = log_prior(fit.spec, statistics, merged, posterior, only=name).get(name)
        if now is None or then is None:
            return None
        moved = np.where(np.isnan(then), -np.inf, then) - now
        if np.ptp(moved) == 0.0:  # nothing of the prior depends on it: it can only work through the likelihood
            return None
        total = total + moved
    return pareto_smoothed(total)


@dataclass
class Search:
    """The state of one search.

    Attributes
    ----------
    fit, claim, dial : Fit, Claim, str
    low, high, scale : float, float, Scale
        The range searched and the scale on which it is divided.
    most : int
        Refits allowed.
    options : dict
        What `sweep` takes: executor, cache and sampling settings.
    """

    fit: Fit
    claim: Claim
    dial: str
    low: float
    high: float
    scale: Scale
    most: int
    options: dict[str, Any]
    places: int = 17
    points: list[PathPoint] = field(default_factory=list)
    sources: list[tuple[float, Fit, str]] = field(default_factory=list)
    refits: int = 0
    reweightable: bool = True
    contradicted: bool = False

    # -- evaluating ------------------------------------------------------------------------------------------------

    @property
    def width(self) -> float:
        """Length of the range on its scale."""
        return self.scale.inner(self.high) - self.scale.inner(self.low)

    def reweighted(self, source: tuple[float, Fit, str], value: float) -> tuple[PathPoint, ClaimValue | None]:
        """The claim at a value from the draws of a source; unreliable weights give no number."""
        at, fit, status = source
        weights = dial_weights(fit, {self.dial: value})
        nan = math.nan
        if weights is None:
            self.reweightable = False
            return PathPoint(value, "reweighted", at, nan, nan, nan, "not computed", "UNRELIABLE"), None
        if not weights.reliable:
            point = PathPoint(value, "reweighted", at, nan, nan, nan, "not computed", "UNRELIABLE", weights.k_hat, weights.ess)
            return point, None
        found = self.claim.value(fit.estimands, weights.values)
        return _point(value, "reweighted", at, found, status, weights), found

    def margin_at(self, source: tuple[float, Fit, str], place: float) -> tuple[float, float]:
        """Straightened margin and error at a place on the scale; NaN where the weights are not reliable."""
        _, found = self.reweighted(source, self.scale.outer(place))
        return (math.nan, math.nan) if found is None else on_scale(self.claim, found)

    def refit(self, places: Sequence[float]) -> None:
        """Fit again at places on the scale, as far as the allowance goes; failures are kept in sight."""
        values = [float(f"{self.scale.outer(p):.6g}") for p in places]  # short numbers: a cache finds them again
        near = [next((e for e in (self.low, self.high) if math.isclose(v, e, rel_tol=1e-5)), v) for v in values]
        values = [min(max(v, self.low), self.high) for v in near]
        done = {p.value for p in self.points if p.how != "reweighted"}
        values = [v for v in dict.fromkeys(values) if v not in done][: max(self.most - self.refits, 0)]
        if not values:
            return
        self.refits += len(values)
        for cell in sweep(self.fit, {self.dial: values}, **self.options).cells:
            value, nan = cell.dials[self.dial], math.nan
            if cell.fit is None:
                self.points.append(
                    PathPoint(value, "refitted", value, nan, nan, nan, "not computed", cell.status, message=cell.message)
                )
                continue
            self.points.append(_point(value, "refitted", value, self.claim.value(cell.fit.estimands), cell.status))
            if cell.status in _GOOD:
                self.sources.append((value, cell.fit, cell.status))

    # -- the way ---------------------------------------------------------------------------------------------------

    def run(self) -> Crossing | None:
        """Search; None where no flip was seen."""
        self.start()
        bracket = self.bracket() or self.look_further()
        if bracket is None and self.reweightable and self.disagrees():
            return self.without_weights()
        if bracket is None:
            return None
        found = self.close_in(bracket)
        if self.reweightable and self.disagrees():
            return self.without_weights()
        return found

    def without_weights(self) -> Crossing | None:
        """Search on by refits alone: they contradict the reweighted draws."""
        self.contradicted, self.reweightable = True, False
        self.points = [_disbelieved(p) if p.how == "reweighted" else p for p in self.points]
        bracket = self.bracket() or self.look_further()
        return None if bracket is None else self.close_in(bracket)

    def start(self) -> None:
        """The claim in this fit, and along the range as far as its draws reach."""
        base, status = self.fit.dials[self.dial], self.fit.verdict.status.value
        self.points.append(_point(base, "as fitted", base, self.claim.value(self.fit.estimands), status))
        if status not in _GOOD:
            return
        source = (base, self.fit, status)
        self.sources.append(source)
        for place in np.linspace(self.scale.inner(self.low), self.scale.inner(self.high), self.places):
            value = min(max(float(f"{self.scale.outer(float(place)):.6g}"), self.low), self.high)
            if not math.isclose(value, base, rel_tol=1e-4, abs_tol=1e-6 * self.width) and self.reweightable:
                self.points.append(self.reweighted(source, value)[0])

    def told(self) -> list[PathPoint]:
        """Points that count and lie in the range; the fit itself may lie outside."""
        return [p for p in self.points if p.usable and self.low <= p.value <= self.high]

    def bracket(self) -> tuple[float, float] | None:
        """The places around the flip that is nearest to the fit."""
        good = self.told()
        found = brackets([self.scale.inner(p.value) for p in good], [p.margin for p in good], [p.mcse for p in good])
        here = self.scale.inner(min(max(self.fit.dials[self.dial], self.low), self.high))
        return min(found, key=lambda b: abs((b[0] + b[1]) / 2.0 - here), default=None)

    def look_further(self) -> tuple[float, float] | None:
        """Refit where no draws reach: the ends of the range first, then between the places known.

        The ends are refitted even if draws reach them: that there is no flip is an answer, and is confirmed like any other.
        """
        first, last = self.scale.inner(self.low), self.scale.inner(self.high)
        for _ in range(3):
            known = sorted(self.scale.inner(p.value) for p in self.told())
            tried = {p.value for p in self.points if p.how != "reweighted"}
            ends = [e for e, v in ((first, self.low), (last, self.high)) if v not in tried]
            marks = sorted({first, last, *known})
            gaps = sorted(((b - a, (a + b) / 2.0) for a, b in itertools.pairwise(marks)), reverse=True)
            wide = [middle for gap, middle in gaps[:2] if gap > 0.2 * self.width]
            before = len(self.sources)
            self.refit([*ends, *self.promising(), *([] if ends else wide)])
            bracket = self.bracket()
            if bracket is not None or len(self.sources) == before:
                return bracket
        return self.bracket()

    def promising(self) -> list[float]:
        """Places where reweighted draws cannot tell, but point the other way than everything that is told."""
        good = self.told()
        told = {p.margin > 0.0 for p in good if p.state in ("holds", "does not hold")}
        open_ = [p for p in good if p.state == "too close to call" and p.how == "reweighted" and {p.margin > 0.0} != told]
        return [self.scale.inner(p.value) for p in sorted(open_, key=lambda p: -abs(p.margin))[:2]]

    def close_in(self, bracket: tuple[float, float]) -> Crossing | None:
        """From a bracket to the place, confirmed by refits beside it."""
        while True:
            roots = self.roots(bracket) if self.reweightable else []
            if roots:
                return self.confirm(pooled(roots), bracket)
            a, b = bracket
            if b - a < 0.02 * self.width or self.refits >= self.most - 3:
                break
            before = len(self.sources)
            self.refit([self.inside(bracket)])
            nearer = self.bracket()
            if len(self.sources) == before or nearer is None or nearer == bracket:
                break  # a failed refit, or one too close to call: nearer than that it cannot come
            bracket = nearer
        return self.by_line(bracket)

    def inside(self, bracket: tuple[float, float]) -> float:
        """Where to look next: where a line between the ends crosses, held away from both ends (regula falsi)."""
        a, b = bracket
        ends = {self.scale.inner(p.value): p for p in self.told()}
        y = [ends[x].margin for x in (a, b)]
        return a + (b - a) * min(max(y[0] / (y[0] - y[1]), 0.2), 0.8)

    def roots(self, bracket: tuple[float, float], near: Crossing | None = None) -> list[Crossing]:
        """The place according to every source whose draws reach it."""
        if near is None:
            a, b = bracket
        else:
            reach = max(6.0 * near.se, 0.03 * self.width)
            a, b = near.at - reach, near.at + reach
        pad = 0.1 * (b - a)
        first, last = self.scale.inner(self.low), self.scale.inner(self.high)
        a, b = max(a - pad, first), min(b + pad, last)
        middle = (a + b) / 2.0
        nearest = sorted(self.sources, key=lambda s: abs(self.scale.inner(s[0]) - middle))[:4]
        found = [self.own_root(source, a, b, _SURE if near is not None else math.inf) for source in nearest]
        return [c for c in found if c is not None]

    def own_root(self, source: tuple[float, Fit, str], a: float, b: float, k_hat: float) -> Crossing | None:
        """The place according to the draws of one source; None where they do not reach it with such a k-hat."""
        from scipy.optimize import brentq

        closest = min(max(self.scale.inner(source[0]), a), b)
        if not math.isfinite(self.margin_at(source, closest)[0]):
            return None
        grid = np.linspace(a, b, 9)
        y = [self.margin_at(source, float(t))[0] for t in grid]
        turns = [i for i in range(8) if math.isfinite(y[i]) and math.isfinite(y[i + 1]) and (y[i] > 0) != (y[i + 1] > 0)]
        if not turns:
            return None
        i = min(turns, key=lambda k: abs(k - 3.5))
        try:
            root = float(brentq(lambda t: self.margin_at(source, t)[0], grid[i], grid[i + 1], xtol=1e-6 * self.width))
        except (ValueError, RuntimeError):  # a hole of unreliable weights inside
            return None
        step = (b - a) / 16.0
        up, down = self.margin_at(source, min(root + step, b))[0], self.margin_at(source, max(root - step, a))[0]
        slope = (up - down) / (min(root + step, b) - max(root - step, a))
        error = self.margin_at(source, root)[1]
        if self.reweighted(source, self.scale.outer(root))[0].k_hat > k_hat:
            return None
        if not math.isfinite(slope) or slope == 0.0 or not math.isfinite(error):
            return None
        return Crossing(root, error / abs(slope))

    def confirm(self, found: Crossing, bracket: tuple[float, float]) -> Crossing:
        """Refit on both sides of the place, and let every source that reaches it speak."""
        step = min(max(2.0 * found.se, 0.002 * self.width), 0.05 * self.width)
        first, last = self.scale.inner(self.low), self.scale.inner(self.high)
        self.refit([min(max(found.at + way * step, first), last) for way in (-1.0, 1.0)])
        again = self.roots(bracket, found)
        return pooled(again) if again else found

    def by_line(self, bracket: tuple[float, float]) -> Crossing | None:
        """The place on a line through refits, some of them made for it: far enough apart to tell the slope."""
        a, b = bracket
        good = [p for p in self.told() if p.how != "reweighted"]
        near = [p for p in good if a <= self.scale.inner(p.value) <= b]
        rough = line_crossing(*self.straight(near))
        middle = rough.at if math.isfinite(rough.at) and a <= rough.at <= b else (a + b) / 2.0
        y = self.straight(near)
        slope = abs(y[1][-1] - y[1][0]) / (b - a) if len(near) > 1 else 0.0
        error = float(np.median(y[2])) if near else math.nan
        apart = 4.0 * error / slope if slope > 0.0 and math.isfinite(error) else 0.05 * self.width
        step = min(max(apart, 0.01 * self.width), 0.1 * self.width)
        first, last = self.scale.inner(self.low), self.scale.inner(self.high)
        self.refit([min(max(middle + way * step, first), last) for way in (-1.0, 0.0, 1.0)])
        good = [p for p in self.told() if p.how != "reweighted"]
        chosen = [p for p in good if abs(self.scale.inner(p.value) - middle) <= 1.5 * step + 1e-12]
        found = line_crossing(*self.straight(chosen))
        if math.isfinite(found.at) and first <= found.at <= last:
            return found
        return Crossing((a + b) / 2.0, (b - a) / math.sqrt(12.0))  # no slope to be told: anywhere inside the bracket

    def straight(self, points: Sequence[PathPoint]) -> tuple[list[float], list[float], list[float]]:
        """Places, straightened margins and errors of points, in order."""
        ordered = sorted(points, key=lambda p: p.value)
        found = [on_scale(self.claim, self.again(p)) for p in ordered]
        return [self.scale.inner(p.value) for p in ordered], [y for y, _ in found], [s for _, s in found]

    def again(self, point: PathPoint) -> ClaimValue:
        """The value of the claim that a point was made of."""
        threshold = point.quantity - point.margin if self.claim.relation in (">", ">=") else point.quantity + point.margin
        holds = point.margin > 0.0
        return ClaimValue(repr(self.claim), point.quantity, threshold, point.margin, point.mcse, holds, "not computed")

    def disagrees(self) -> bool:
        """Whether refits contradict the draws reweighted to them: then the dial works through more than its own prior."""
        if not self.sources:
            return False
        for value, _, _ in self.sources[1:]:
            here = next(p for p in self.points if p.how == "refitted" and p.value == value)
            point, _ = self.reweighted(self.sources[0], value)
            error = math.hypot(point.mcse, here.mcse)
            far = _APART if point.k_hat <= _SURE else _FAR_APART
            if point.usable and here.usable and error > 0.0 and abs(point.margin - here.margin) > far * error:
                return True
        return False


def _point(value: float, how: str, source: float, found: ClaimValue, status: str, weights: Weights | None = None) -> PathPoint:
    k_hat, ess = (math.nan, math.nan) if weights is None else (weights.k_hat, weights.ess)
    return PathPoint(value, how, source, found.value, found.mcse, found.margin, found.state, status, k_hat, ess)


def _disbelieved(point: PathPoint) -> PathPoint:
    from dataclasses import replace

    return replace(point, status="CONTRADICTED" if point.status in _GOOD else point.status)
