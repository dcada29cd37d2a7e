"""Two dials at once: the line along which a claim flips."""

from __future__ import annotations

import html
import itertools
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.sensitivity.claims import Claim, ClaimValue
from bayeskit.sensitivity.crossing import Scale
from bayeskit.sensitivity.sweep import sweep
from bayeskit.sensitivity.tipping_search import dial_weights

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit
    from bayeskit.report.content import Figure

__all__ = ["GridPoint", "TippingContour", "contour"]

_PLACES = 9  # values of each dial where draws reach
_GOOD = ("PASS", "WARN")

Axis = tuple[str, float, float, Scale]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class GridPoint:
    """The claim at one pair of values; see `bayeskit.sensitivity.tipping_search.PathPoint`."""

    first: float
    second: float
    how: str
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


@dataclass(frozen=True)
class TippingContour:
    """Where a claim holds over two dials.

    Attributes
    ----------
    claim : str
        Its canonical text.
    dials : tuple of str
        The two dials.
    base : tuple of float
        Their values in the fit.
    points : tuple of GridPoint
        Every pair of the grid, those without a number too.
    log : tuple of bool
        Which dial is turned by ratios.
    line : tuple of tuple of float
        Pairs of values between two neighbours of the grid with opposite answers, by linear interpolation of the margin.
    """

    claim: str
    dials: tuple[str, str]
    base: tuple[float, float]
    points: tuple[GridPoint, ...]
    log: tuple[bool, bool]
    line: tuple[tuple[float, float], ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row for each pair, the dials by their names."""
        import pandas as pd

        frame = pd.DataFrame([asdict(p) for p in self.points])
        return frame.rename(columns={"first": self.dials[0], "second": self.dials[1]})

    @property
    def headline(self) -> str:
        """The answer in one line; what is missing comes first."""
        good = [p for p in self.points if p.usable]
        failed = sum(p.how == "refitted" and not p.usable for p in self.points)
        missing = len(self.points) - len(good) - failed
        first = f"{failed} of {len(self.points)} pairs failed. " if failed else ""
        first += f"{missing} of {len(self.points)} pairs could not be computed. " if missing else ""
        count = {s: sum(p.state == s for p in good) for s in ("holds", "does not hold", "too close to call")}
        told = ", ".join(f"{v} {k}" for k, v in count.items())
        tail = "" if self.line else " No flip was seen."
        return f"{first}{self.claim} over {self.dials[0]} and {self.dials[1]}: {told}.{tail}"

    def __repr__(self) -> str:
        grid = self.table.pivot_table(index=self.dials[1], columns=self.dials[0], values="quantity", dropna=False)
        return f"{self.headline}\n{grid.sort_index(ascending=False).to_string(float_format=lambda v: f'{v:.4g}')}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.headline)}</p>{self.table.round(4).to_html(index=False)}"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        rows = [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(p).items()}
                for p in self.points]  # fmt: skip
        facts = {"claim": self.claim, "dials": self.dials, "base": self.base, "line": self.line, "headline": self.headline}
        return json.dumps(
            {"schema": "bayeskit.tipping_contour/1", **facts, "points": rows}, allow_nan=False, ensure_ascii=False
        )

    def plot(self) -> Figure:
        """The map of the claim over both dials, with the line along which it flips."""
        from bayeskit.report.paths import map_plot

        return map_plot(
            [p.first for p in self.points], [p.second for p in self.points],
            [p.margin if p.usable else math.nan for p in self.points], line=self.line, base=self.base, log=self.log,
            xlabel=self.dials[0], ylabel=self.dials[1], what=self.claim,
        )  # fmt: skip


def contour(fit: Fit, claim: Claim, first: Axis, second: Axis, allowed: int, options: dict[str, Any]) -> TippingContour:
    """Evaluate a claim over two dials; see `Fit.tipping_point`."""
    reach = fit.verdict.status.value in _GOOD
    size = _PLACES
    middle = {first[0]: _middle(first), second[0]: _middle(second)}
    if not reach or any(dial_weights(fit, {k: v}) is None for k, v in middle.items() if v != fit.dials[k]):
        reach, size = False, max(2, math.isqrt(allowed))  # refits only: as fine a grid as is allowed
    axes = [_values(axis, size) for axis in (first, second)]
    points = [
        _reweighted(fit, claim, (first[0], second[0]), (x, y)) if reach else _nothing(x, y) for y in axes[1] for x in axes[0]
    ]
    points = _refitted(fit, claim, (first[0], second[0]), points, allowed, options)
    line = _line(points, axes, (first[3], second[3]))
    return TippingContour(
        repr(claim), (first[0], second[0]), (fit.dials[first[0]], fit.dials[second[0]]), tuple(points),
        (first[3].log, second[3].log), line,
    )  # fmt: skip


def _middle(axis: Axis) -> float:
    _, low, high, scale = axis
    return scale.outer((scale.inner(low) + 2.0 * scale.inner(high)) / 3.0)


def _values(axis: Axis, size: int) -> list[float]:
    _, low, high, scale = axis
    places = np.linspace(scale.inner(low), scale.inner(high), size)
    return [min(max(float(f"{scale.outer(float(p)):.6g}"), low), high) for p in places]


def _nothing(x: float, y: float) -> GridPoint:
    nan = math.nan
    return GridPoint(x, y, "", nan, nan, nan, "not computed", "UNRELIABLE")


def _filled(x: float, y: float, how: str, found: ClaimValue, status: str) -> GridPoint:
    return GridPoint(x, y, how, found.value, found.mcse, found.margin, found.state, status)


def _reweighted(fit: Fit, claim: Claim, dials: tuple[str, str], at: tuple[float, float]) -> GridPoint:
    weights = dial_weights(fit, dict(zip(dials, at, strict=True)))
    if weights is None:
        return _nothing(*at)
    if not weights.reliable:
        return replace(_nothing(*at), how="reweighted", k_hat=weights.k_hat, ess=weights.ess)
    found = claim.value(fit.estimands, weights.values)
    return replace(_filled(*at, "reweighted", found, fit.verdict.status.value), k_hat=weights.k_hat, ess=weights.ess)


def _refitted(
    fit: Fit, claim: Claim, dials: tuple[str, str], points: list[GridPoint], allowed: int, options: dict[str, Any]
) -> list[GridPoint]:
    """Refits where there is no number, spread evenly if there are more of them than allowed."""
    blank = [i for i, p in enumerate(points) if not p.usable]
    if len(blank) > allowed:
        blank = [blank[int(i)] for i in np.linspace(0, len(blank) - 1, allowed)] if allowed > 0 else []
    out = list(points)
    for y in dict.fromkeys(points[i].second for i in blank):
        row = {points[i].first: i for i in blank if points[i].second == y}
        swept = sweep(fit, {dials[1]: [y], dials[0]: list(row)}, grid=True, **options)
        for cell in swept.cells:
            i = row[cell.dials[dials[0]]]
            if cell.fit is None:
                out[i] = replace(_nothing(points[i].first, y), how="refitted", status=cell.status, message=cell.message)
            else:
                out[i] = _filled(points[i].first, y, "refitted", claim.value(cell.fit.estimands), cell.status)
    return out


def _line(points: list[GridPoint], axes: list[list[float]], scales: tuple[Scale, Scale]) -> tuple[tuple[float, float], ...]:
    """Where the margin changes sign between neighbours, along either dial."""
    margin = {(p.first, p.second): p.margin for p in points if p.usable}
    found: list[tuple[float, float]] = []
    for which, (along, across) in enumerate(((axes[0], axes[1]), (axes[1], axes[0]))):
        scale = scales[which]
        for other in across:
            for a, b in itertools.pairwise(along):
                ends = [margin.get((v, other) if which == 0 else (other, v), math.nan) for v in (a, b)]
                if not all(map(math.isfinite, ends)) or (ends[0] > 0) == (ends[1] > 0):
                    continue
                share = ends[0] / (ends[0] - ends[1])
                place = scale.outer(scale.inner(a) + share * (scale.inner(b) - scale.inner(a)))
                found.append((place, other) if which == 0 else (other, place))
    return tuple(sorted(found))
