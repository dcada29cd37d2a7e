"""The smallest set of data whose removal overturns a claim: to first order, greedily, and confirmed by refits."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError
from bayeskit.sensitivity.boundary import Margin, bind
from bayeskit.sensitivity.removal import Contributions, Removal, contributions, doubt, remove
from bayeskit.sensitivity.weights import pareto_smoothed

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit

__all__ = ["RemovedSet", "SmallestSet", "smallest_set"]

METHODS = ("first order", "greedy")
_LARGEST = 0.5  # of the rows: what overturns a claim by taking more than half of the data away is no finding
_ATTEMPTS = 4  # refits of growing first-order sets
_CLEAR = 2.0  # Monte Carlo standard errors from the boundary at which a refit has decided
_STEP = 0.1  # of the remaining distance that a greedy step may cover with copies of one row

FloatArray = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class RemovedSet:
    """A set of units, what its removal was predicted to do and what a refit without it shows.

    Attributes
    ----------
    method : {"first order", "greedy"}
        How it was found.
    units : tuple of str
        What is left out, in the order in which it was chosen; a label comes as often as identical rows of it.
    share : float
        Of all rows (or units) that there are.
    predicted : float
        The number of the claim without the set, as predicted from the draws.
    refit : float
        The same by a refit; NaN where there is none.
    margin, margin_mcse : float
        Distance of the refit from the boundary (negative: overturned), and its Monte Carlo standard error from the differences
        between chains.
    status : str
        Verdict of the refit, "ERROR", or "no set" where none was found.
    state : {"confirmed", "too close to call", "not confirmed", "not computed", "no set"}
        Whether the refit confirms that the claim is overturned.
    refits : int
        Refits that it took.
    message : str
        What went wrong.
    """

    method: str
    units: tuple[str, ...]
    share: float
    predicted: float
    refit: float
    margin: float
    margin_mcse: float
    status: str
    state: str
    refits: int
    message: str = ""


@dataclass(frozen=True)
class SmallestSet:
    """The smallest sets found whose removal overturns a claim.

    Attributes
    ----------
    claim : str
        In words, as the fit has it.
    value, threshold : float
        The number and what it is compared with.
    by, total : str, int
        Kind of unit, and how many rows (units, identical ones counted) there are.
    sets : tuple of RemovedSet
        One for each method.
    draws : str
        Which draws were used.
    doubt : str
        What the checks of the fit itself say, where they did not pass.
    """

    claim: str
    value: float
    threshold: float
    by: str
    total: int
    sets: tuple[RemovedSet, ...]
    draws: str
    doubt: str = ""

    @property
    def best(self) -> RemovedSet | None:
        """The smallest set that a refit confirms; None where there is none."""
        good = [s for s in self.sets if s.state == "confirmed"]
        return min(good, key=lambda s: len(s.units), default=None)

    @property
    def table(self) -> pd.DataFrame:
        """One row for each method: size and share of the set, prediction, refit, and whether the refit confirms it."""
        import pandas as pd

        rows = [{**asdict(s), "size": len(s.units)} for s in self.sets]
        columns = ["method", "state", "size", "share", "predicted", "refit", "margin", "margin_mcse", "status", "refits"]
        return pd.DataFrame(rows, columns=[*columns, "units", "message"])

    @property
    def headline(self) -> str:
        """How little data carries the claim, in one line."""
        best = self.best
        if best is None:
            tried = "; ".join(f"{s.method}: {s.state}" for s in self.sets)
            told = f"No set of data was confirmed to overturn {self.claim} ({tried}). That does not show that there is none."
            return f"{self.doubt}{told}"
        units = "1 unit" if len(best.units) == 1 else f"{len(best.units)} units"
        return (
            f"{self.doubt}{self.claim} rests on {units} by {self.by}, {best.share:.2%} of {self.total}: without them it is "
            f"{best.refit:.3g} in place of {self.value:.3g} (refit, {best.status}). A smaller set may exist."
        )

    def __repr__(self) -> str:
        shown = self.table.drop(columns=["units", "message"]).round(4).to_string(index=False)
        best = self.best
        told = [] if best is None else [f"Left out: {_listed(best.units)}"]
        return "\n".join([self.headline, shown, *told, f"Searched with {self.draws}."])

    def _repr_html_(self) -> str:
        table = self.table.drop(columns=["message"])
        table["units"] = [_listed(s.units) for s in self.sets]
        return f"<p>{html.escape(self.headline)}</p>{table.round(4).to_html(index=False)}"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        sets = [{k: _plain(v) for k, v in asdict(s).items()} for s in self.sets]
        facts = {k: _plain(getattr(self, k)) for k in ("claim", "value", "threshold", "by", "total", "draws", "headline")}
        return json.dumps({"schema": "bayeskit.smallest_set/1", **facts, "sets": sets}, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _listed(units: Sequence[str]) -> str:
    counted = {u: units.count(u) for u in dict.fromkeys(units)}
    told = [u if n == 1 else f"{n} x {u}" for u, n in counted.items()]
    return "; ".join(told[:8]) + (f"; and {len(told) - 8} more" if len(told) > 8 else "")


def smallest_set(
    fit: Fit,
    claim: Any,
    by: str = "row",
    *,
    methods: Sequence[str] = METHODS,
    refits: int = 10,
    thin_to: int | None = 2000,
    known: Contributions | None = None,
    **sampling: Any,
) -> SmallestSet:
    """Search for the smallest set of units whose removal overturns a claim; see `Fit.smallest_set`."""
    wrong = [m for m in methods if m not in METHODS]
    if wrong or not methods:
        raise SpecificationError(f"methods={list(methods)!r}: some of {', '.join(METHODS)}.")
    if isinstance(refits, bool) or not isinstance(refits, int | np.integer) or refits < 1:
        raise SpecificationError(f"refits={refits!r}: at least 1, for a set that no refit confirms is a guess.")
    now = bind(claim, fit.estimands)  # a fault in the claim is the caller's: said before anything is computed
    found = known if known is not None else contributions(fit, by, thin_to)
    if not np.isfinite(found.flat).all():
        raise SpecificationError(f"What units by {by!r} add to the log likelihood is not finite in some draw: nothing to rank.")
    search = _Search(fit, claim, found, dict(sampling), int(refits))
    sets = tuple(search.first_order() if method == "first order" else search.greedy() for method in methods)
    total = int(found.counts.sum())
    return SmallestSet(now.text, now.value(), now.threshold, by, total, sets, found.told, doubt(fit))


class _Search:
    """One search: the fit, the claim at its draws, and what each unit adds."""

    def __init__(self, fit: Fit, claim: Any, found: Contributions, sampling: dict[str, Any], budget: int) -> None:
        self.fit, self.claim, self.found, self.sampling, self.budget = fit, claim, found, sampling, budget
        self.total = int(found.counts.sum())
        self.most = max(1, math.floor(_LARGEST * self.total))
        self.whole = bind(claim, fit.estimands)
        self.here = bind(claim, _thin(fit.estimands, found.step), self.whole.side)

    # -- to first order ---------------------------------------------------------------------------------------------

    def first_order(self) -> RemovedSet:
        """Units by their first-order effect until the sum crosses the boundary; more of them where a refit says otherwise."""
        effects, margin = self.here.effects(self.found.flat), self.here.margin()
        order = np.argsort(effects, kind="stable")
        best, goal = self._nothing("first order", 0), margin
        for attempt in range(1, 1 + min(self.budget, _ATTEMPTS)):
            taken, left = self._prefix(effects, order, goal)
            units = self._labels(order, taken)
            if left > 0.0 or len(units) <= len(best.units):
                break
            removal = remove(self.fit, self.found.by, units, self.sampling)
            predicted = self.here.extrapolated(left - goal)
            best = self._judged("first order", removal, predicted, attempt)
            if best.state not in ("not confirmed", "too close to call"):
                break
            # the prediction went as far as goal - left: the refit says how much farther there is to go
            short = best.margin + _CLEAR * (best.margin_mcse if math.isfinite(best.margin_mcse) else 0.0)
            goal = goal - left + max(short, 1e-9)
        return best

    def _prefix(self, effects: FloatArray, order: NDArray[np.int64], goal: float) -> tuple[Counts, float]:
        """Copies of each unit that together bring the margin down by `goal`, and what is left of it."""
        taken: Counts = np.zeros(len(effects), dtype=np.int64)
        left = goal
        for u in order:
            room = self.most - int(taken.sum())
            if effects[u] >= 0.0 or left <= 0.0 or room <= 0:
                break
            taken[u] = min(int(self.found.counts[u]), math.ceil(left / -effects[u]), room)
            left += int(taken[u]) * float(effects[u])
        return taken, left

    def _labels(self, order: Sequence[int] | NDArray[np.int64], taken: Counts) -> list[str]:
        return [self.found.labels[u] for u in order for _ in range(int(taken[u]))]

    # -- greedily -----------------------------------------------------------------------------------------------------

    def greedy(self) -> RemovedSet:
        """Always the unit whose removal goes farthest now; refit where weights give out and where the boundary is crossed."""
        base, values, bound = self.fit, self.found.flat, self.here
        left: Counts = self.found.counts.copy()
        order: list[int] = []
        since: Counts = np.zeros(len(left), dtype=np.int64)  # taken since the last refit
        spent, judged = 0, self._nothing("greedy", 0)
        while True:
            weights = pareto_smoothed((-(values @ since)).reshape(base.estimands.sizes["chain"], -1)) if since.any() else None
            usable = weights is None or weights.reliable
            shares = None if weights is None else weights.values
            margin = bound.margin(shares) if usable else math.nan
            if since.any() and (not usable or margin <= 0.0):
                if spent >= self.budget:
                    break
                predicted = bound.value(shares) if usable else bound.extrapolated(float(bound.effects(values) @ since))
                removal = remove(self.fit, self.found.by, [self.found.labels[u] for u in order], self.sampling)
                spent += 1
                if removal.fit is None or not removal.usable:
                    return self._judged("greedy", removal, predicted, spent)
                base, since, shares = removal.fit, np.zeros_like(since), None
                bound, values, left = self._again(base, order)
                judged = self._judged("greedy", removal, predicted, spent)
                margin = judged.margin
                if judged.state == "confirmed":
                    return judged
            if len(order) >= self.most:
                break
            u, copies = self._next(bound, values, shares, left, margin)
            if u < 0:
                break
            copies = min(copies, self.most - len(order))
            order += [u] * copies
            left[u] -= copies
            since[u] += copies
        # rows or refits were spent before the boundary was crossed; what came too close to it to call is still told
        return judged if judged.state == "too close to call" else self._nothing("greedy", spent)

    def _next(
        self, bound: Margin, values: FloatArray, shares: FloatArray | None, left: Counts, margin: float
    ) -> tuple[int, int]:
        """The unit whose removal brings the boundary nearest, by weighted draws, and how many of it to take; -1 for none."""
        base = np.full(len(values), 1.0 / len(values)) if shares is None else shares
        after = np.full(len(left), np.inf)
        for u in np.flatnonzero(left > 0):
            tilted = base * np.exp(-(values[:, u] - values[:, u].min()))
            after[u] = bound.margin(tilted / tilted.sum())
        first = int(np.argmin(after))
        gain = float(margin - after[first])
        if not gain > 0.0:
            return -1, 0
        return first, int(min(left[first], max(1, math.floor(_STEP * margin / gain))))

    def _again(self, base: Fit, order: Sequence[int]) -> tuple[Margin, FloatArray, Counts]:
        """The claim, contributions and remaining counts at the draws of a refit, in the order of this search's units."""
        found = contributions(base, self.found.by, self.found.used)
        place = {label: u for u, label in enumerate(found.labels)}
        there = self.found.counts - np.bincount(order, minlength=len(self.found.labels))
        values = np.zeros((found.used, len(self.found.labels)))
        left: Counts = np.zeros(len(self.found.labels), dtype=np.int64)
        for u, label in enumerate(self.found.labels):
            if label in place:
                values[:, u], left[u] = found.flat[:, place[label]], min(there[u], found.counts[place[label]])
        side = self.whole.side
        return bind(self.claim, _thin(base.estimands, found.step), side), values, left

    # -- the outcome --------------------------------------------------------------------------------------------------

    def _nothing(self, method: str, spent: int) -> RemovedSet:
        told = f"No set of up to {self.most} of {self.total} and {self.budget} refits was found."
        return RemovedSet(method, (), 0.0, *(math.nan,) * 4, "no set", "no set", spent, told)

    def _judged(self, method: str, removal: Removal, predicted: float, spent: int) -> RemovedSet:
        share = len(removal.units) / self.total
        if removal.fit is None:
            return RemovedSet(
                method,
                removal.units,
                share,
                predicted,
                *(math.nan,) * 3,
                removal.status,
                "not computed",
                spent,
                removal.message,
            )
        side = self.whole.side
        bound = bind(self.claim, removal.fit.estimands, side)
        margin, error = bound.margin(), _between_chains(self.claim, removal.fit, side)
        state = "confirmed" if margin <= 0.0 else "not confirmed"
        if abs(margin) < _CLEAR * error:
            state = "too close to call"
        if not removal.usable:
            state = "not computed"
        return RemovedSet(
            method, removal.units, share, predicted, bound.value(), margin, error, removal.status, state, spent, removal.message
        )


def _thin(estimands: Any, step: int) -> Any:
    return estimands.isel(draw=slice(None, None, step))


def _between_chains(claim: Any, fit: Fit, side: float) -> float:
    """Monte Carlo standard error of a margin, from the chains as independent repetitions."""
    chains = fit.estimands.sizes["chain"]
    if chains < 2:
        return math.nan
    each = [bind(claim, fit.estimands.isel(chain=[c]), side).margin() for c in range(chains)]
    return float(np.std(each, ddof=1) / math.sqrt(chains))
