"""Tipping points: how far a dial must be turned until a claim flips, how sure that place is, and what it would mean."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayeskit.assumptions import Assumption, Dial
from bayeskit.errors import SpecificationError, suggest
from bayeskit.sensitivity.claim_terms import Number
from bayeskit.sensitivity.claims import CLOSE, Claim
from bayeskit.sensitivity.contour import TippingContour, contour
from bayeskit.sensitivity.crossing import Scale, brackets, is_monotone
from bayeskit.sensitivity.derivative import natural_step
from bayeskit.sensitivity.plausibility import Plausibility, plausibility
from bayeskit.sensitivity.tipping_search import PathPoint, Search

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pandas as pd

    from bayeskit.fit import Fit
    from bayeskit.report.content import Figure

__all__ = ["TippingPoint", "default_range", "find_dial", "tipping_point"]

_DECADE, _STEPS = 10.0, 4.0


@dataclass(frozen=True)
class TippingPoint:
    """Where a claim flips when one dial is turned.

    Attributes
    ----------
    claim : str
        Its canonical text.
    dial : str
        Full name.
    base : float
        The dial in the fit.
    value : float
        The dial where the claim flips, the flip nearest to `base`; NaN where no flip was seen.
    lower, upper : float
        Interval of `value`: normal, probability `prob`, Monte Carlo error only (by the delta method, on the scale on which the
        dial is turned). It says how well these draws locate the flip, not how plausible any value is.
    prob : float
        Probability of that interval.
    state : str
        Of the claim in the fit: "holds", "does not hold", "too close to call" or "not computed".
    threshold : float
        What the claim compares with; NaN where that is not a plain number.
    direction : str
        "holds above", "holds below" the value; "" where there is none.
    monotone : bool or None
        Whether the path goes one way within Monte Carlo error; None where too little of it was computed.
    others : tuple of float
        Further flips seen in the range, roughly.
    confirmed : bool
        Whether refits next to the value passed their checks and bear it out.
    search : tuple of float
        The range that was searched.
    log : bool
        Whether the dial was turned by ratios.
    plausibility : Plausibility or None
        What prior the value means, beside the prior of the fit.
    points : tuple of PathPoint
        Everything evaluated, failed and unreliable ones too, in the order of the dial.
    notes : tuple of str
        What went wrong on the way.
    """

    claim: str
    dial: str
    base: float
    value: float
    lower: float
    upper: float
    prob: float
    state: str
    threshold: float
    direction: str
    monotone: bool | None
    others: tuple[float, ...]
    confirmed: bool
    search: tuple[float, float]
    log: bool
    plausibility: Plausibility | None
    points: tuple[PathPoint, ...]
    notes: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row for each `PathPoint`: the dial, where the number comes from, the number, its error, state and status."""
        import pandas as pd

        return pd.DataFrame([asdict(p) for p in self.points])

    @property
    def failed(self) -> tuple[PathPoint, ...]:
        """Fits on the way without a result that counts: errors, failed checks."""
        return tuple(p for p in self.points if p.how != "reweighted" and not p.usable)

    @property
    def headline(self) -> str:
        """The answer in one line; what failed comes first."""
        first = f"{len(self.failed)} of {len([p for p in self.points if p.how != 'reweighted'])} fits on the way failed. "
        return f"{first if self.failed else ''}{self._answer()}"

    def _answer(self) -> str:
        low, high = self.search
        if not math.isfinite(self.value):
            inside = [p for p in self.points if p.usable and low <= p.value <= high]
            states = {p.state for p in inside}
            told = f"over the whole range of {self.dial} from {low:.4g} to {high:.4g}"
            usable = [p.value for p in inside]
            if not usable:
                return f"{self.claim}: not computed; no fit in the range passed its checks and has a number for it."
            if min(usable) > low + 1e-9 * abs(low) or max(usable) < high - 1e-9 * abs(high):
                told = (
                    f"from {min(usable):.4g} to {max(usable):.4g}, the part of {low:.4g} to {high:.4g} that could be computed"
                )
                told = f"{told} ({self.dial})"
            word = {"holds": "holds", "does not hold": "fails"}.get(next(iter(states - {"too close to call"}), ""), "")
            open_ = [p.value for p in inside if p.state == "too close to call"]
            if not word:
                return f"{self.claim} is too close to call {told}: take more draws."
            if open_:
                near = f"{len(open_)} values from {min(open_):.4g} to {max(open_):.4g}"
                near = near if len(set(open_)) > 1 else f"{open_[0]:.4g}"
                return (
                    f"{self.claim} {word} wherever it can be told {told}. At {near} it is too close to call: take more draws "
                    "to see whether it flips there."
                )
            return f"{self.claim} {word} {told}."
        now = self.state if self.state in ("holds", "does not hold") else f"is {self.state}"
        text = (
            f"{self.claim} {now} in this fit ({self.dial} = {self.base:.4g}) and flips at {self.value:.4g} "
            f"({self.prob:.0%} Monte Carlo interval {self.lower:.4g} to {self.upper:.4g}): it {self.direction} that."
        )
        if not self.confirmed:
            text += " Not confirmed by a refit."
        if self.others:
            more = ", ".join(f"{v:.3g}" for v in self.others)
            text += f" It flips again near {more}: the path is not monotone, and this is the flip nearest to the fit."
        elif self.monotone is False:
            text += " The path is not monotone."
        return text

    def __repr__(self) -> str:
        lines = [self.headline, *self.notes]
        if self.plausibility is not None:
            lines.append(self.plausibility.sentence)
        shown = ["value", "how", "quantity", "mcse", "state", "status", "k_hat"]
        return "\n".join([*lines, self.table[shown].to_string(index=False, float_format=lambda v: f"{v:.4g}")])

    def _repr_html_(self) -> str:
        lines = [self.headline, *self.notes, *([self.plausibility.sentence] if self.plausibility else [])]
        return f"{''.join(f'<p>{html.escape(v)}</p>' for v in lines)}{self.table.round(4).to_html(index=False)}"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        payload = {"schema": "bayeskit.tipping_point/1", "headline": self.headline, **asdict(self)}
        return json.dumps(_plain(payload), allow_nan=False, ensure_ascii=False)

    def plot(self) -> Figure:
        """The path of the claim over the dial, with the flip and its interval."""
        from bayeskit.report.paths import path_plot

        good = [p for p in self.points if p.usable]
        told = {p.value for p in good}
        return path_plot(
            [p.value for p in good], [p.quantity for p in good], [p.mcse for p in good], [p.how for p in good],
            threshold=self.threshold, base=self.base, flip=(self.value, self.lower, self.upper), prob=self.prob, log=self.log,
            xlabel=self.dial, ylabel=self.claim, unusable=sorted({p.value for p in self.points} - told),
        )  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def find_dial(fit: Fit, name: str) -> tuple[Assumption, Dial]:
    """The dial of that full name, or the only dial of the assumption of that name."""
    fit._need_statistics("be turned")
    known = {d: (a, dial) for a in fit.assumptions for d, dial in a.dials.items()}
    if name in known:
        return known[name]
    assumptions = {a.name: a for a in fit.assumptions}
    if name in assumptions:
        own = list(assumptions[name].dials)
        if len(own) == 1:
            return known[own[0]]
        told = f"has several dials: name one of {', '.join(own)}" if own else "has no dial: it is a choice, not a number"
        raise SpecificationError(f"dial={name!r}: the assumption {told}.")
    raise SpecificationError(
        f"dial={name!r}: no dial and no assumption of this fit.{suggest(str(name), [*known, *assumptions])} "
        f"Dials: {', '.join(known)}."
    )


def default_range(fit: Fit, assumption: Assumption, dial: Dial) -> tuple[float, float]:
    """The range of a dial that is searched unless another one is given.

    A positive number: a tenth to ten times its value in the fit. A number from 0 that is 0 in the fit: 0 to 10. A share (legal
    from 0 to 1), or any range with two finite ends of either sign: all of it. Another number: four steps to either side, where
    a step of a location is the standard deviation of its prior, and otherwise 1. Always within what is legal.
    """
    value = float(fit.dials[dial.name])
    if dial.low == 0.0 and dial.high == 1.0:
        return 0.0, 1.0
    if dial.low >= 0.0:
        found = (value / _DECADE, value * _DECADE) if value > 0.0 else (0.0, _DECADE)
    elif math.isfinite(dial.low) and math.isfinite(dial.high):
        found = dial.low, dial.high
    else:
        step = natural_step(assumption, dial, fit.dials)
        found = value - _STEPS * step, value + _STEPS * step
    return max(found[0], dial.low), min(found[1], dial.high)


def _range(fit: Fit, assumption: Assumption, dial: Dial, low: float | None, high: float | None) -> tuple[float, float, Scale]:
    """The range to search, checked, and its scale."""
    usual = default_range(fit, assumption, dial)
    ends = usual[0] if low is None else float(low), usual[1] if high is None else float(high)
    for end in ends:
        try:
            fit.spec.set_dials(fit._need_statistics("be turned"), {**fit.dials, dial.name: end})
        except SpecificationError as error:
            raise SpecificationError(f"{dial.name} cannot be searched from {ends[0]:g} to {ends[1]:g}. {error} "
                                     "Give low= and high= inside that.") from None  # fmt: skip
    if not ends[0] < ends[1]:
        raise SpecificationError(f"low={ends[0]:g}, high={ends[1]:g}: low must be less than high ({dial.name}).")
    positive = dial.low >= 0.0 and not (dial.low == 0.0 and dial.high == 1.0)
    return (*ends, Scale(positive and ends[0] > 0.0))


def tipping_point(
    fit: Fit,
    claim: str | Claim,
    dial: str,
    low: float | None = None,
    high: float | None = None,
    *,
    second: str | None = None,
    second_low: float | None = None,
    second_high: float | None = None,
    prob: float = 0.95,
    most_refits: int | None = None,
    executor: Executor | None = None,
    cache: str | Path | None = None,
    **sampling: Any,
) -> TippingPoint | TippingContour:
    """Where a claim flips when a dial is turned; see `Fit.tipping_point`."""
    parsed = Claim.parse(claim, fit.estimands, prob)
    options = {"executor": executor, "cache": cache, **sampling}
    assumption, found = find_dial(fit, dial)
    ends = _range(fit, assumption, found, low, high)
    if second is not None:
        other, dial2 = find_dial(fit, second)
        if dial2.name == found.name:
            raise SpecificationError(f"second={second!r}: the same dial as the first one.")
        ends2 = _range(fit, other, dial2, second_low, second_high)
        allowed = 25 if most_refits is None else most_refits
        return contour(fit, parsed, (found.name, *ends), (dial2.name, *ends2), allowed, options)
    if second_low is not None or second_high is not None:
        raise SpecificationError("second_low and second_high are the range of second=, which is not given.")
    search = Search(fit, parsed, found.name, *ends, 14 if most_refits is None else most_refits, options)
    return _result(search, assumption, prob)


def _result(search: Search, assumption: Assumption, prob: float) -> TippingPoint:
    """Put together what a search found."""
    from scipy.stats import norm

    crossing, scale, nan = search.run(), search.scale, math.nan
    fit, dial = search.fit, search.dial
    points = tuple(sorted(search.points, key=lambda p: (p.value, p.how)))
    good = sorted(search.told(), key=lambda p: (p.value, p.how))
    at = [scale.inner(p.value) for p in good]
    flips = brackets(at, [p.margin for p in good], [p.mcse for p in good])
    monotone = is_monotone(at, [p.margin for p in good], [p.mcse for p in good])
    here = next(p for p in points if p.how == "as fitted")
    value = lower = upper = nan
    others: tuple[float, ...] = ()
    direction, confirmed, meaning = "", False, None
    if crossing is not None and math.isfinite(crossing.at):
        half = float(norm.ppf((1.0 + prob) / 2.0)) * crossing.se
        value, lower, upper = (scale.outer(crossing.at + d) for d in (0.0, -half, half))
        nearest = min(flips, key=lambda b: abs((b[0] + b[1]) / 2.0 - crossing.at))
        above = next(p for p, t in zip(good, at, strict=True) if t == nearest[1] and abs(p.margin) >= CLOSE * p.mcse)
        direction = "holds above" if above.margin > 0.0 else "holds below"
        others = tuple(scale.outer((a + b) / 2.0) for a, b in flips if (a, b) != nearest)
        confirmed = _confirmed(search, crossing.at, crossing.se)
        meaning = plausibility(assumption, dial, fit.dials, value, dict(fit._need_statistics("").sizes))
    threshold = search.claim.right.value if isinstance(search.claim.right, Number) else nan
    return TippingPoint(
        repr(search.claim), dial, float(fit.dials[dial]), value, lower, upper, prob, here.state, threshold, direction,
        False if others else monotone, others, confirmed, (search.low, search.high), scale.log, meaning, points, _notes(search),
    )  # fmt: skip


def _confirmed(search: Search, at: float, se: float) -> bool:
    """Whether refits near the place passed: one at least within a twentieth of the range, or within three errors."""
    reach = max(0.06 * search.width, 3.0 * se)
    fits = [p for p in search.points if p.how == "refitted" and p.usable]
    return any(abs(search.scale.inner(p.value) - at) <= reach for p in fits)


def _notes(search: Search) -> tuple[str, ...]:
    out = []
    base = next(p for p in search.points if p.how == "as fitted")
    if not base.usable:
        out.append(f"The fit itself does not count ({search.fit.verdict.headline}): its draws were not used.")
    if search.contradicted:
        out.append("Refits contradict the reweighted draws: the dial works through more than its own prior. Only refits count.")
    if search.refits >= search.most > 0:
        out.append(f"All {search.most} refits that were allowed are used up (most_refits).")
    out += [f"At {search.dial} = {p.value:.4g}: {p.status}. {p.message}".strip() for p in search.points
            if p.how == "refitted" and not p.usable]  # fmt: skip
    return tuple(out)
