"""Numbers that claims speak of, from draws with or without weights, each with its Monte Carlo error.

Every figure carries its influence: by how much each draw moves it. Probabilities, means, spreads and quantiles are then
handled alike, also in sums and ratios: the error of a figure is that of the mean of its influences, autocorrelation of the
chains and unequal weights included (the delta method; for quantiles as in Doss, Flegal, Jones, Neath 2014, Electronic Journal
of Statistics 8:2448).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.convergence import diagnostics
from bayeskit.errors import SpecificationError
from bayeskit.estimands import interval, ranks
from bayeskit.sensitivity.claim_terms import (
    Arithmetic,
    Best,
    Element,
    Event,
    Negative,
    Number,
    Probability,
    Rank,
    Summary,
    Term,
    elements,
    written,
)  # fmt: skip
from bayeskit.sensitivity.reweight import weighted_quantiles

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Draws", "Figure", "figure"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One number with the influence of every draw on it.

    Attributes
    ----------
    value : float
    influence : ndarray, shape (S,), or float
        First-order change of the number per unit of a draw's weight, with weighted mean 0; 0.0 for a constant.
    extra : float
        Variance that the draws do not show: a share of 0 or 1 has an error too.
    """

    value: float
    influence: Any = 0.0
    extra: float = 0.0

    def scaled(self, factor: float) -> Figure:
        """The number times a constant."""
        return Figure(self.value * factor, np.asarray(self.influence) * factor, self.extra * factor**2)

    def plus(self, other: Figure) -> Figure:
        """The sum of two numbers from the same draws."""
        return Figure(self.value + other.value, np.asarray(self.influence) + other.influence, self.extra + other.extra)


@dataclass(frozen=True)
class Draws:
    """Draws of estimands with the weights that make them draws of another posterior.

    Attributes
    ----------
    dataset : Dataset
        Estimands, dimensions chain, draw and their own.
    weights : ndarray, shape (S,), or None
        With sum 1, chains one after the other; None where all draws count alike.
    shape : tuple of int
        Chains and draws.
    """

    dataset: xr.Dataset
    weights: FloatArray | None
    shape: tuple[int, int]

    @classmethod
    def of(cls, dataset: xr.Dataset, weights: Any = None) -> Draws:
        """Check the weights and put them beside the draws."""
        shape = int(dataset.sizes["chain"]), int(dataset.sizes["draw"])
        if weights is None:
            return cls(dataset, None, shape)
        values = np.asarray(weights, dtype=float).reshape(-1)
        if len(values) != shape[0] * shape[1] or not (values >= 0).all() or not math.isclose(values.sum(), 1.0, rel_tol=1e-6):
            raise SpecificationError(
                f"weights has {len(values)} values with sum {values.sum():g}: one weight for each of the "
                f"{shape[0] * shape[1]} draws is needed, none negative, with sum 1."
            )
        return cls(dataset, values, shape)

    @property
    def share(self) -> FloatArray:
        """Weight of every draw."""
        size = self.shape[0] * self.shape[1]
        return np.full(size, 1.0 / size) if self.weights is None else self.weights

    def mean(self, x: FloatArray) -> float:
        """Weighted mean."""
        return float(x.mean() if self.weights is None else self.weights @ x)

    def matrix(self, estimand: str) -> tuple[FloatArray, list[tuple[str, ...]]]:
        """All elements of an estimand, shape (S, n), and the labels of each dimension."""
        if estimand not in self.dataset:
            raise SpecificationError(f"The claim speaks of the estimand {estimand!r}, which these draws do not have.")
        variable = self.dataset[estimand].transpose("chain", "draw", ...)
        labels = [
            tuple(str(v) for v in (variable.coords[d].values if d in variable.coords else range(variable.sizes[d])))
            for d in variable.dims[2:]
        ]
        return np.asarray(variable.values, dtype=float).reshape(self.shape[0] * self.shape[1], -1), labels

    def place(self, element: Element) -> int:
        """Position of an element among those of its estimand."""
        _, labels = self.matrix(element.estimand)
        missing = [v for v, known in zip(element.labels, labels, strict=True) if v not in known]
        if missing:
            raise SpecificationError(f"The claim speaks of {written(element)}; these draws have no label {missing[0]!r}.")
        at = tuple(known.index(v) for v, known in zip(element.labels, labels, strict=True))
        return int(np.ravel_multi_index(at, tuple(map(len, labels)))) if labels else 0

    def error(self, x: Figure) -> float:
        """Monte Carlo standard error of a figure; NaN where it cannot be told (a chain of a few draws)."""
        influence = np.asarray(x.influence)
        if influence.ndim == 0 or np.ptp(influence) == 0.0:
            return math.sqrt(x.extra)
        moved = influence if self.weights is None else influence * self.weights * len(self.weights)
        return math.sqrt(_mcse_mean(moved.reshape(self.shape)) ** 2 + x.extra)

    def size(self, x: FloatArray) -> float:
        """Effective number of draws of a quantity, for what the draws themselves do not show."""
        found = float(diagnostics(x.reshape(*self.shape, 1))["ess_bulk"][0])
        found = min(found, len(x)) if math.isfinite(found) else float(self.shape[0])  # a constant: its chains at least
        return found / (len(x) * float(np.square(self.share).sum()))


def _mcse_mean(x: FloatArray) -> float:
    """Monte Carlo standard error of a mean, shape (chains, draws): as `diagnostics` has it, without all the rest."""
    import arviz_stats.base as arviz

    half = x.shape[1] // 2
    if half < 4 or not np.isfinite(x).all():
        return math.nan
    if np.ptp(x) == 0.0:
        return 0.0
    stats: Any = arviz.array_stats  # type: ignore[attr-defined]
    split = np.concatenate((x[:, :half], x[:, -half:]))
    return float(x.std(ddof=1) / math.sqrt(float(stats.ess(split, chain_axis=0, draw_axis=1, method="identity"))))


def figure(term: Term, draws: Draws) -> Figure:
    """A figure of a claim, from draws.

    Parameters
    ----------
    term : Term
        A probability, a summary, a number, or arithmetic of these.
    draws : Draws

    Returns
    -------
    Figure
        NaN where a draw of what it speaks of is NaN: nothing is computed from part of the draws.
    """
    match term:
        case Number(value):
            return Figure(value)
        case Negative(of):
            return figure(of, draws).scaled(-1.0)
        case Probability(of):
            return _probability(of, draws)
        case Summary():
            return _summary(term, draws)
        case Arithmetic(left, operator, right):
            return _arithmetic(figure(left, draws), operator, figure(right, draws))
    raise TypeError(f"{term!r} differs from draw to draw.")  # the parser lets none through


def _arithmetic(a: Figure, operator: str, b: Figure) -> Figure:
    if operator == "+":
        return a.plus(b)
    if operator == "-":
        return a.plus(b.scaled(-1.0))
    if operator == "*":
        moved = a.scaled(b.value).plus(b.scaled(a.value))
        return Figure(a.value * b.value, moved.influence, moved.extra)
    if b.value == 0.0:
        return Figure(math.nan)
    moved = a.scaled(1.0 / b.value).plus(b.scaled(-a.value / b.value**2))
    return Figure(a.value / b.value, moved.influence, moved.extra)


def _values(term: Any, draws: Draws) -> FloatArray:
    """A term that differs from draw to draw, shape (S,)."""
    match term:
        case Number(value):
            return np.asarray(value)
        case Element(estimand):
            return np.asarray(draws.matrix(estimand)[0][:, draws.place(term)])
        case Rank(of):
            return np.asarray(ranks(draws.matrix(of.estimand)[0])[:, draws.place(of)], dtype=float)
        case Negative(of):
            return -_values(of, draws)
        case Arithmetic(left, operator, right):
            a, b = _values(left, draws), _values(right, draws)
            with np.errstate(all="ignore"):
                return np.asarray({"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[operator](a, b))
    raise TypeError(f"{term!r} does not differ from draw to draw.")


def _whole(term: Any, draws: Draws) -> bool:
    """Whether no draw of anything that a term mentions is NaN; a rank looks at all elements of its estimand."""
    return not any(np.isnan(draws.matrix(e.estimand)[0]).any() for e in elements(term) if _compared(term, e)) and not any(
        np.isnan(draws.matrix(e.estimand)[0][:, draws.place(e)]).any() for e in elements(term)
    )


def _compared(term: Any, element: Element) -> bool:
    match term:
        case Rank(of) | Best(of):
            return bool(of == element)
        case Negative(of):
            return _compared(of, element)
        case Arithmetic(left, _, right) | Event(left, _, right):
            return _compared(left, element) or _compared(right, element)
    return False


def _probability(of: Event | Best, draws: Draws) -> Figure:
    if not _whole(of, draws):
        return Figure(math.nan)
    if isinstance(of, Best):
        scores = draws.matrix(of.of.estimand)[0]
        at, top = draws.place(of.of), scores.max(axis=1, keepdims=True)
        first = scores == top
        happened = first[:, at] / first.sum(axis=1)
        rest = np.delete(scores, at, axis=1)
        apart = scores[:, at] - rest.max(axis=1) if rest.shape[1] else scores[:, at]
    else:
        a, b = _values(of.left, draws), _values(of.right, draws)
        compare = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}[of.relation]
        with np.errstate(invalid="ignore"):
            apart = np.asarray(a - b)
            if np.isnan(a).any() or np.isnan(b).any():  # 0 / 0 in an element's arithmetic
                return Figure(math.nan)
            happened = np.asarray(compare(a, b), dtype=float)
    p = min(max(draws.mean(happened), 0.0), 1.0)
    extra = 0.0
    if np.ptp(happened[draws.share > 0.0]) == 0.0:  # never or always: n draws without an exception leave about 1 / n open
        extra = 1.0 / (draws.size(np.where(np.isfinite(apart), apart, 0.0)) + 2.0) ** 2
    return Figure(p, happened - p, extra)


def _summary(term: Summary, draws: Draws) -> Figure:
    if not _whole(term.of, draws):
        return Figure(math.nan)
    x = _values(term.of, draws)
    if np.isnan(x).any():
        return Figure(math.nan)
    if term.kind in ("mean", "sd"):
        if not np.isfinite(x).all():
            return Figure(math.nan)
        mean = draws.mean(x)
        if term.kind == "mean":
            return Figure(mean, x - mean)
        variance = draws.mean((x - mean) ** 2)
        spread = math.sqrt(variance)
        moved = ((x - mean) ** 2 - variance) / (2.0 * spread) if spread > 0.0 else 0.0
        count = len(x) if draws.weights is None else math.inf
        return Figure(spread * math.sqrt(count / (count - 1.0)) if count < math.inf else spread, moved)
    prob = 0.0 if term.prob is None else term.prob
    level = {"median": 0.5, "lower": (1.0 - prob) / 2.0, "upper": (1.0 + prob) / 2.0}[term.kind]
    return _quantile(x, level, term, draws)


def _quantile(x: FloatArray, level: float, term: Summary, draws: Draws) -> Figure:
    """A quantile; its influence is that of the share of draws below it over the density there."""

    def at(*levels: float) -> FloatArray:
        if draws.weights is None:
            method = "inverted_cdf" if np.isinf(x).any() else "linear"
            return np.asarray(np.quantile(x, levels, method=method))  # type: ignore[call-overload, unused-ignore]
        return weighted_quantiles(x[:, None], draws.weights, levels)[:, 0]

    if draws.weights is None and term.kind in ("lower", "upper"):  # the very numbers of the tables
        value = float(interval(x, 0.0 if term.prob is None else term.prob)[int(term.kind == "upper")])
    else:
        value = float(at(level)[0])
    below = (x <= value).astype(float)
    share = draws.mean(below)
    width = 2.0 * draws.error(Figure(share, below - share))  # a step that Monte Carlo error cannot hide
    if not width > 0.0 or not math.isfinite(value):
        return Figure(value)
    low, high = max(level - width, 0.5 / len(x)), min(level + width, 1.0 - 0.5 / len(x))
    ends = at(low, high)
    with np.errstate(invalid="ignore"):
        slope = float(ends[1] - ends[0]) / (high - low)
    return Figure(value, -(below - share) * slope if math.isfinite(slope) else 0.0, 0.0 if math.isfinite(slope) else math.inf)
