"""Which data the answer rests on: every unit left out once, to first order, by reweighting or by a refit."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.convergence import diagnostics
from bayeskit.errors import SpecificationError, suggest
from bayeskit.sensitivity.analysis import _quantities
from bayeskit.sensitivity.removal import Contributions, Removal, batch_error, contributions, doubt, first_order, remove_all
from bayeskit.sensitivity.weights import Weights, k_hat_limit, pareto_smoothed

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit
    from bayeskit.report.content import Figure
    from bayeskit.sensitivity.smallest_set import SmallestSet

__all__ = ["INFLUENTIAL", "STATES", "Influence", "UnitRow", "influence"]

INFLUENTIAL = 0.5
"""Shift in posterior standard deviations from which one unit counts as influential: half of what the answer leaves open."""

STATES = ("ok", "influential", "unreliable", "not computed")
_MOST = 30  # refits that exact=True starts at most
_SHOWN = ["unit", "count", "quantity", "state", "shift", "shift_mcse", "how", "first_order", "k_hat", "refit_status"]
_TOLD = 10

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class UnitRow:
    """One unit against one quantity.

    Attributes
    ----------
    unit, count : str, int
        What is left out (once), and how many identical rows there are.
    quantity : str
        What moves.
    shift, shift_mcse : float
        Best knowledge of the change of the mean in posterior standard deviations, and its Monte Carlo standard error.
    how : str
        Where `shift` comes from: "refit", "reweighted" or "first order".
    first_order, reweighted, refit : float
        The shift by each way; NaN where it was not taken or cannot be trusted.
    k_hat, ess : float
        Pareto shape and effective size of the weights that leave the unit out.
    refit_mean, refit_lower, refit_upper : float
        The quantity without the unit, by a refit.
    refit_status : str
        Verdict of the refit, "ERROR", or "" where there is none.
    message : str
        What went wrong in a refit.
    state : str
        One of `STATES`.
    """

    unit: str
    count: int
    quantity: str
    shift: float
    shift_mcse: float
    how: str
    first_order: float
    reweighted: float
    k_hat: float
    ess: float
    refit: float
    refit_mean: float
    refit_lower: float
    refit_upper: float
    refit_status: str
    message: str
    state: str


@dataclass(frozen=True)
class Influence:
    """What leaving out each unit does to each quantity.

    Attributes
    ----------
    rows : tuple of UnitRow
        By unit, then quantity.
    by : str
        Kind of unit.
    prob : float
        Probability of the equal-tailed intervals of refits.
    k_hat_limit, threshold : float
        Largest k-hat trusted, and the shift that counts as influential.
    draws : str
        Which draws were used, in words.
    refits : tuple of Removal
        The refits, failed ones too.
    fit : Fit
        The fit that was asked.
    contributions : Contributions
        What each unit adds to the log likelihood.
    """

    rows: tuple[UnitRow, ...]
    by: str
    prob: float
    k_hat_limit: float
    threshold: float
    draws: str
    refits: tuple[Removal, ...]
    fit: Fit
    contributions: Contributions

    @property
    def table(self) -> pd.DataFrame:
        """One row for each `UnitRow`, the largest shifts first; what could not be judged stays in."""
        import pandas as pd

        columns = [f.name for f in fields(UnitRow)]
        return pd.DataFrame([asdict(r) for r in self._ordered], columns=columns)

    @property
    def _ordered(self) -> list[UnitRow]:
        return sorted(self.rows, key=lambda r: -abs(r.shift) if math.isfinite(r.shift) else 0.0)

    def of(self, state: str) -> tuple[UnitRow, ...]:
        """Rows in one of the states, the largest shifts first."""
        if state not in STATES:
            raise ValueError(f"state={state!r}: one of {', '.join(STATES)}.{suggest(state, STATES)}")
        return tuple(r for r in self._ordered if r.state == state)

    @property
    def headline(self) -> str:
        """Which units move the answer, and what could not be judged, in one line."""
        blind = list(dict.fromkeys(r.unit for r in (*self.of("unreliable"), *self.of("not computed"))))
        failed = sum(not r.usable for r in self.refits)
        moved = list(dict.fromkeys(r.unit for r in self.of("influential")))
        total, parts = len(self.contributions.labels), []
        if failed:
            parts.append(f"{failed} of {len(self.refits)} refits failed.")
        if blind:
            tried = {u for r in self.refits for u in r.units}
            todo = "their refits failed" if set(blind) <= tried else "exact=True refits without them, 30 at a time"
            todo = f"exact=[...] refits without the {len(set(blind) - tried)} left" if tried and set(blind) - tried else todo
            parts.append(
                f"{len(blind)} of {total} units by {self.by} cannot be judged from these draws "
                f"(k-hat over {self.k_hat_limit:.2f}, or no number): {todo}."
            )
        if moved:
            told = ", ".join(moved[:3]) + (f" and {len(moved) - 3} more" if len(moved) > 3 else "")
            parts.append(f"{len(moved)} of {total} move a quantity by {self.threshold:g} posterior sd or more: {told}.")
        elif len(blind) < total:
            rest = "of those that can be judged " if blind else ""
            parts.append(f"No unit {rest}moves a quantity by {self.threshold:g} posterior sd.")
        return doubt(self.fit) + " ".join(parts)

    @property
    def _caveat(self) -> str:
        text = f"Units by {self.by}, each left out once, the others in; {self.draws}; {len(self.refits)} refits."
        hard = sum(not k <= self.k_hat_limit for k in {r.unit: r.k_hat for r in self.rows}.values())
        if 2 * hard > len(self.contributions.labels):
            text += (
                f" Leaving out a {self.by} takes so much away that draws with it cannot stand for draws without it: "
                "only a refit answers, and the first-order shift is a rough guide."
            )
        return text

    def __repr__(self) -> str:
        return f"{self.headline}\n{self.table[_SHOWN].head(_TOLD).round(3).to_string(index=False)}\n{self._caveat}"

    def _repr_html_(self) -> str:
        table = self.table[_SHOWN].head(_TOLD).round(3).to_html(index=False)
        return f"<p>{html.escape(self.headline)}</p>{table}<p>{html.escape(self._caveat)}</p>"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        rows = [{k: _plain(v) for k, v in asdict(r).items()} for r in self.rows]
        facts = {
            "schema": "bayeskit.influence/1",
            "by": self.by,
            "prob": self.prob,
            "k_hat_limit": self.k_hat_limit,
            "threshold": self.threshold,
            "draws": self.draws,
            "headline": self.headline,
            "refits": [{"units": list(r.units), "status": r.status, "seed": r.seed, "message": r.message} for r in self.refits],
        }
        return json.dumps({**facts, "rows": rows}, allow_nan=False, ensure_ascii=False)

    def plot(self, quantity: str | None = None, top: int = 15) -> Figure:
        """Shifts of one quantity (the one that moves most) without each of the `top` most influential units."""
        from bayeskit.report.shifts import shift_plot

        known = list(dict.fromkeys(r.quantity for r in self.rows))
        chosen = self._ordered[0].quantity if quantity is None else quantity
        if chosen not in known:
            raise SpecificationError(f"No quantity {chosen!r}.{suggest(str(chosen), known)} There are: {', '.join(known)}.")
        rows = [r for r in self._ordered if r.quantity == chosen and math.isfinite(r.shift)][:top]
        if not rows:
            raise SpecificationError(f"No shift of {chosen!r} could be computed, so there is nothing to draw.")
        how = [r.how + (", unreliable" if r.state == "unreliable" else "") for r in rows]
        return shift_plot(
            [r.unit for r in rows], [r.shift for r in rows], [r.shift_mcse for r in rows], how,
            quantity=chosen, threshold=self.threshold,
        )  # fmt: skip

    def smallest_set(self, claim: Any, **settings: Any) -> SmallestSet:
        """The smallest set of these units whose removal overturns a claim; see `Fit.smallest_set`."""
        from bayeskit.sensitivity.smallest_set import smallest_set

        return smallest_set(self.fit, claim, self.by, known=self.contributions, **settings)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def influence(
    fit: Fit,
    by: str = "row",
    quantities: Sequence[str] | Mapping[str, Callable[..., Any]] | None = None,
    exact: bool | int | Sequence[str] = False,
    prob: float = 0.95,
    *,
    thin_to: int | None = 1000,
    executor: Executor | None = None,
    **sampling: Any,
) -> Influence:
    """Ask of every unit how far the answer moves without it; see `Fit.influence`."""
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: must lie strictly between 0 and 1.")
    found = contributions(fit, by, thin_to)
    names, everything = _quantities(fit, quantities)
    table = _Shifts(found, names, everything)
    chosen = _to_refit(fit, table, exact)
    removals = remove_all(fit, by, [[found.labels[u]] for u in chosen], dict(sampling), executor)
    refits = {u: _measure(r, quantities, everything, prob) for u, r in zip(chosen, removals, strict=True)}
    rows = [
        table.row(u, q, removals[chosen.index(u)] if u in refits else None, refits.get(u))
        for u in range(len(found.labels))
        for q in range(len(names))
    ]
    return Influence(tuple(rows), by, prob, table.limit, INFLUENTIAL, found.told, tuple(removals), fit, found)


class _Shifts:
    """Shifts of every quantity by every unit from the draws, before any refit."""

    def __init__(self, found: Contributions, names: list[str], everything: FloatArray) -> None:
        self.found, self.names = found, names
        self.limit = k_hat_limit(found.used)
        quantities = everything[:, :: found.step]
        flat = quantities.reshape(-1, len(names))
        self.sd = everything.std((0, 1))
        self.usable = np.isfinite(everything).all((0, 1)) & (self.sd > 0)
        self.finite = np.isfinite(found.flat).all(0)
        values = np.where(self.finite, found.values, 0.0)
        safe = np.where(self.usable, quantities, 0.0)
        scale = np.where(self.usable, self.sd, np.nan)
        self.first = first_order(values.reshape(-1, values.shape[-1]), safe.reshape(flat.shape)) / scale
        self.error = np.stack([batch_error(values, safe[..., q]) for q in range(len(names))], axis=1) / scale
        self.first[~self.finite] = self.error[~self.finite] = np.nan
        self.weights = [_deletion(found.values[..., u]) for u in range(len(found.labels))]
        base = safe.reshape(flat.shape).mean(0)
        self.reweighted = np.full(self.first.shape, np.nan)
        for u, weights in enumerate(self.weights):
            if weights.reliable:
                here = safe.reshape(flat.shape)
                mean = weights.values @ here
                self.reweighted[u] = (mean - base) / scale
                # the delta method for weighted draws minus the same draws, and never less than the first-order error
                moved = np.sqrt(np.square((weights.values - 1.0 / len(here))[:, None] * (here - mean)).sum(0)) / scale
                self.error[u] = np.maximum(self.error[u], moved)

    def row(self, u: int, q: int, removal: Removal | None, refit: FloatArray | None) -> UnitRow:
        """One row of the result: the best knowledge there is, and how it came about."""
        weights = self.weights[u]
        shift, error, how = float(self.first[u, q]), float(self.error[u, q]), "first order"
        if weights.reliable:
            shift, how = float(self.reweighted[u, q]), "reweighted"
        mean, lower, upper, moved, mcse = (float(v[q]) for v in refit) if refit is not None else (math.nan,) * 5
        trusted = weights.reliable
        # a refit without a Monte Carlo error (too short to have one) is no answer either
        if removal is not None and removal.usable and math.isfinite(moved) and math.isfinite(mcse):
            shift, error, how, trusted = moved, mcse, "refit", True
        return UnitRow(
            unit=self.found.labels[u],
            count=int(self.found.counts[u]),
            quantity=self.names[q],
            shift=shift,
            shift_mcse=error,
            how=how,
            first_order=float(self.first[u, q]),
            reweighted=float(self.reweighted[u, q]),
            k_hat=weights.k_hat,
            ess=weights.ess,
            refit=moved,
            refit_mean=mean,
            refit_lower=lower,
            refit_upper=upper,
            refit_status="" if removal is None else removal.status,
            message="" if removal is None else removal.message,
            state=self._state(q, shift, trusted),
        )

    def _state(self, q: int, shift: float, trusted: bool) -> str:
        if not self.usable[q] or not math.isfinite(shift):
            return "not computed"
        if not trusted:
            return "unreliable"
        return "influential" if abs(shift) >= INFLUENTIAL else "ok"

    def urgency(self) -> list[tuple[bool, float, int]]:
        """Units with those that the draws cannot judge first, then by their largest shift."""
        out = []
        for u, weights in enumerate(self.weights):
            best = self.reweighted[u] if weights.reliable else self.first[u]
            largest = float(np.nanmax(np.abs(best[self.usable]), initial=0.0)) if self.usable.any() else 0.0
            out.append((not weights.reliable, 0.0 if math.isnan(largest) else largest, u))
        return sorted(out, key=lambda t: (-t[0], -t[1], t[2]))


def _deletion(contribution: FloatArray) -> Weights:
    """Weights of the posterior without a unit: one over its likelihood."""
    if not np.isfinite(contribution).all():
        return Weights(np.full(contribution.size, np.nan), math.nan, math.nan)
    return pareto_smoothed(-contribution)


def _to_refit(fit: Fit, table: _Shifts, exact: bool | int | Sequence[str]) -> list[int]:
    """Positions of the units to refit without."""
    if exact is False:
        return []
    order = table.urgency()
    if exact is True:
        return [u for bad, largest, u in order if bad or largest >= INFLUENTIAL][:_MOST]
    if isinstance(exact, int | np.integer):
        if exact < 0:
            raise SpecificationError(f"exact={exact!r}: a number of refits, True for the flagged units, or labels of units.")
        return [u for _, _, u in order[: int(exact)]]
    assert fit.statistics is not None
    asked = fit.spec.find_units(fit.statistics, table.found.by, exact)
    return list(dict.fromkeys(int(u) for u in asked))


def _measure(removal: Removal, quantities: Any, everything: FloatArray, prob: float) -> FloatArray | None:
    """Mean, lower and upper end, shift and its Monte Carlo error of every quantity in a refit, shape (5, Q)."""
    if removal.fit is None:
        return None
    values = _quantities(removal.fit, quantities)[1]
    flat = values.reshape(-1, values.shape[-1])
    sd = everything.std((0, 1))
    lower, upper = np.quantile(flat, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    error = np.hypot(diagnostics(values)["mcse_mean"], diagnostics(everything)["mcse_mean"])
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = (flat.mean(0) - everything.mean((0, 1))) / sd
        return np.stack([flat.mean(0), lower, upper, shift, error / sd])
