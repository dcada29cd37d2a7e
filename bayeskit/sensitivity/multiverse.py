"""The same question under several specifications, side by side: what every defensible choice would have answered."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bayeskit.engine import fresh_seed
from bayeskit.errors import BayeskitError, SpecificationError, suggest
from bayeskit.sensitivity.boundary import bind
from bayeskit.sensitivity.loo import Loo, loo_difference
from bayeskit.sensitivity.removal import gather
from bayeskit.sensitivity.sweep import cell_seed
from bayeskit.summary import summarise

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.builder import ModelBuilder
    from bayeskit.fit import Fit
    from bayeskit.report.content import Figure

__all__ = ["Multiverse", "Universe", "multiverse"]

_FAILED = ("ERROR", "FAIL", "NOT COMPUTED")
_COLUMNS = ("universe", "status", "quantity", "mean", "median", "lower", "upper", "claim_value", "message")


@dataclass(frozen=True)
class Universe:
    """One specification and what came of it.

    Attributes
    ----------
    name : str
        What it is called.
    spec : ModelBuilder
        The specification.
    status : str
        Verdict of the fit (PASS, WARN, FAIL, NOT COMPUTED), or "ERROR".
    fit : Fit or None
        The fit; None where there is none.
    seed : int
        Its seed, derived from the root seed and the specification.
    message : str
        The error, where there is no fit.
    """

    name: str
    spec: ModelBuilder
    status: str
    fit: Fit | None
    seed: int
    message: str = ""

    @property
    def usable(self) -> bool:
        """Whether its numbers may be believed: its checks did not fail."""
        return self.fit is not None and self.status not in _FAILED


@dataclass(frozen=True)
class Multiverse:
    """Specifications side by side. Nothing is averaged over them; failed ones stay in sight and out of ranges.

    Attributes
    ----------
    universes : tuple of Universe
        In the order in which they were given.
    quantities : tuple of str or None
        Estimands that are compared; None for the headline ones of each.
    claim : object
        A `Boundary`, or None.
    prob : float
        Probability of the equal-tailed intervals.
    by : str
        Kind of unit for the comparison of predictions.
    seed : int
        Root seed.
    """

    universes: tuple[Universe, ...]
    quantities: tuple[str, ...] | None
    claim: Any
    prob: float
    by: str
    seed: int

    @property
    def failed(self) -> tuple[Universe, ...]:
        """Universes without a fit, or whose checks failed."""
        return tuple(u for u in self.universes if not u.usable)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each universe and quantity, matched by name; a universe without numbers has one row with its message."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for universe in self.universes:
            facts = {"universe": universe.name, "status": universe.status}
            if universe.fit is None:
                rows.append({**facts, "quantity": "", "message": universe.message})
                continue
            value, fault = self._claim_value(universe.fit)
            names = self._named(universe.fit)
            if not names:
                rows.append({**facts, "quantity": "", "message": "it has none of the quantities"})
                continue
            found = summarise(universe.fit.estimands[names], self.prob)
            for quantity in found.index:
                numbers = {k: float(found.loc[quantity, k]) for k in ("mean", "median", "lower", "upper")}
                rows.append({**facts, "quantity": str(quantity), **numbers, "claim_value": value, "message": fault})
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    def _named(self, fit: Fit) -> list[str]:
        wanted = fit._headline() if self.quantities is None else self.quantities
        return [name for name in wanted if name in fit.estimands]

    def _claim_value(self, fit: Fit) -> tuple[float, str]:
        if self.claim is None:
            return math.nan, ""
        try:
            return bind(self.claim, fit.estimands).value(), ""
        except SpecificationError as error:
            return math.nan, str(error).splitlines()[0]

    @cached_property
    def ranges(self) -> pd.DataFrame:
        """Index quantity; smallest and largest mean, the widest ends of the intervals, and in how many universes it is.

        Of universes whose checks did not fail.
        """
        good = self.table[~self.table["status"].isin(_FAILED) & (self.table["quantity"] != "")]
        grouped = good.groupby("quantity", sort=False)
        return grouped.agg(
            lowest_mean=("mean", "min"),
            highest_mean=("mean", "max"),
            lowest_end=("lower", "min"),
            highest_end=("upper", "max"),
            universes=("universe", "count"),
        )

    @cached_property
    def loo(self) -> pd.DataFrame:
        """Predictive accuracy by universe, and the difference to the first one that has any, where the two can be compared.

        Columns elpd, elpd_se, p_loo, unreliable, difference, difference_se, reason. A difference needs the same data, the same
        units and the same kind of likelihood; otherwise `reason` says what stands against it.
        """
        import pandas as pd

        found: dict[str, Loo] = {}
        rows: list[dict[str, Any]] = []
        for universe in self.universes:
            row: dict[str, Any] = {"universe": universe.name, "reason": ""}
            if not universe.usable or universe.fit is None:
                row["reason"] = f"its fit failed ({universe.status})"
            else:
                try:
                    here = universe.fit.loo(self.by, thin_to=1000)
                    found[universe.name] = here
                    row |= {"elpd": here.elpd, "elpd_se": here.se, "p_loo": here.p_loo, "unreliable": here.unreliable}
                    difference = loo_difference(here, next(iter(found.values())))
                    row |= {"difference": difference.elpd, "difference_se": difference.se, "reason": difference.reason}
                except BayeskitError as error:
                    row["reason"] = str(error).splitlines()[0]
            rows.append(row)
        columns = ["universe", "elpd", "elpd_se", "p_loo", "unreliable", "difference", "difference_se", "reason"]
        return pd.DataFrame(rows, columns=columns).set_index("universe")

    @property
    def headline(self) -> str:
        """How many specifications there are, how many failed, and what they say of the claim, in one line."""
        first = ""
        if self.failed:
            first = f"{len(self.failed)} of {len(self.universes)} universes FAILED: {', '.join(u.name for u in self.failed)}. "
        good = [u for u in self.universes if u.usable]
        told = f"{first}{len(good)} specifications with {self.prob:.0%} equal-tailed intervals, none averaged."
        if self.claim is None or not good:
            return told
        bound = []
        for universe in good:
            try:
                assert universe.fit is not None
                bound.append(bind(self.claim, universe.fit.estimands))
            except SpecificationError:
                continue
        if not bound:
            return f"{told} The claim could not be computed in any of them."
        missing = len(good) - len(bound)
        rest = f"; not computed in {missing}" if missing else ""
        sides: dict[str, int] = {}
        for b in bound:
            sides[b.text] = sides.get(b.text, 0) + 1
        told_sides = ", ".join(f"{text} in {count}" for text, count in sides.items())
        return f"{told} {told_sides} of {len(good)}{rest}."

    def __repr__(self) -> str:
        return f"{self.headline}\n{self.table.round(3).to_string(index=False)}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.headline)}</p>{self.table.round(3).to_html(index=False)}"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        universes = [
            {"name": u.name, "spec": json.loads(u.spec.to_json()), "status": u.status, "seed": u.seed, "message": u.message}
            for u in self.universes
        ]
        rows = [{k: _plain(v) for k, v in row.items()} for row in self.table.to_dict("records")]
        facts = {"schema": "bayeskit.multiverse/1", "prob": self.prob, "seed": self.seed, "headline": self.headline}
        return json.dumps({**facts, "universes": universes, "rows": rows}, allow_nan=False, ensure_ascii=False)

    def plot(self, quantity: str | None = None) -> Figure:
        """Specification curve of one quantity (by default the first): universes by median, told apart by verdict."""
        from bayeskit.report.figures import interval_plot

        rows = self.table[self.table["quantity"] != ""]
        known = list(dict.fromkeys(rows["quantity"]))
        if not known:
            raise SpecificationError("No universe has a number, so there is nothing to draw.")
        chosen = known[0] if quantity is None else quantity
        if chosen not in known:
            raise SpecificationError(f"No quantity {chosen!r}.{suggest(str(chosen), known)} There are: {', '.join(known[:8])}.")
        here = rows[rows["quantity"] == chosen].sort_values("median", kind="stable")
        without = [u.name for u in self.universes if u.name not in set(here["universe"])]
        absent = f" Without a number: {', '.join(without)}." if without else ""
        return interval_plot(
            list(here["universe"]), here["median"], here["lower"], here["upper"],
            prob=self.prob, groups=list(here["status"]), xlabel=str(chosen),
            caption=f"{chosen} under {len(here)} specifications: median and {self.prob:.0%} equal-tailed interval.{absent}",
        )  # fmt: skip


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def multiverse(
    specs: Sequence[ModelBuilder] | Mapping[str, ModelBuilder],
    table: Any,
    *,
    quantities: Sequence[str] | None = None,
    claim: Any = None,
    executor: Executor | None = None,
    prob: float = 0.95,
    by: str = "row",
    seed: int | None = None,
    **sampling: Any,
) -> Multiverse:
    """Fit several specifications to one table and put their answers side by side.

    Parameters
    ----------
    specs : sequence or mapping of str to ModelBuilder
        The specifications, by name; those of a sequence are named by the settings in which they differ.
    table : DataFrame, mapping of arrays, or path
        Rows, as each specification reads them.
    quantities : sequence of str, optional
        Names of estimands; the headline ones of each specification by default. They are matched by name.
    claim : str, Claim or Boundary, optional
        A number and where it matters: its value in every universe, and on which side it lies.
    executor : concurrent.futures.Executor, optional
        Where fits run; processes run side by side.
    prob : float
        Probability of the equal-tailed intervals.
    by : str
        Kind of unit of the comparison of predictions (`Multiverse.loo`).
    seed : int, optional
        Root seed; that of a universe follows from it and the specification, so that another universe moves none.
    **sampling
        What `ModelBuilder.fit` takes: draws, tune, chains, cores, target_accept, dials.

    Returns
    -------
    Multiverse
        Failed fits are shown as failed and left out of ranges. Nothing is averaged over specifications.

    Raises
    ------
    SpecificationError
        For no specification, two of one name, or something that is none.

    Notes
    -----
    Steegen, Tuerlinckx, Gelman, Vanpaemel (2016), Perspectives on Psychological Science 11:702.
    """
    named = _named_specs(specs)
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: must lie strictly between 0 and 1.")
    root = fresh_seed() if seed is None else int(seed)
    settings = {"progress": False, **sampling}
    jobs = [(name, spec, table, settings, _seed(root, spec)) for name, spec in named.items()]
    if executor is None:
        found = [_fit(*job) for job in jobs]
    else:
        found = gather(executor, _fit, jobs, lambda p, told: Universe(jobs[p][0], jobs[p][1], "ERROR", None, jobs[p][4], told))
    wanted = None if quantities is None else tuple(quantities)
    fits = [u.fit for u in found if u.fit is not None]
    for name in wanted or ():
        if fits and not any(name in f.estimands for f in fits):
            raise SpecificationError(f"No universe has an estimand {name!r}.{suggest(name, map(str, fits[0].estimands))}")
    return Multiverse(tuple(found), wanted, claim, prob, by, root)


def _seed(root: int, spec: ModelBuilder) -> int:
    return cell_seed(root, {"spec": spec.to_json()})  # type: ignore[dict-item]


def _fit(name: str, spec: ModelBuilder, table: Any, sampling: dict[str, Any], seed: int) -> Universe:
    """Fit one universe. What goes wrong is written down and does not end the others."""
    try:
        found = spec.fit(table, seed=seed, **sampling)
    except BayeskitError as error:
        return Universe(name, spec, "ERROR", None, seed, str(error).splitlines()[0])
    return Universe(name, spec, found.verdict.status.value, found, seed)


def _named_specs(specs: Sequence[ModelBuilder] | Mapping[str, ModelBuilder]) -> dict[str, ModelBuilder]:
    from bayeskit.builder import ModelBuilder as Base

    pairs = list(specs.items()) if isinstance(specs, Mapping) else [(_name(spec, specs), spec) for spec in specs]
    if not pairs:
        raise SpecificationError("specs is empty: give at least one specification.")
    for name, spec in pairs:
        if not isinstance(spec, Base):
            raise SpecificationError(f"specs: {name!r} is a {type(spec).__name__}, not a specification of a model.")
    named = dict(pairs)
    if len(named) < len(pairs):
        double = next(n for n, _ in pairs if [p[0] for p in pairs].count(n) > 1)
        raise SpecificationError(f"Two specifications are called {double!r}: they are equal, or give names, {{'name': spec}}.")
    return named


def _name(spec: Any, specs: Sequence[Any]) -> str:
    """The class and the settings in which a specification differs from others of its class."""
    try:
        own, others = spec.settings(), [s.settings() for s in specs if type(s) is type(spec)]
    except AttributeError:
        return repr(spec)
    told = [f"{k}={v!r}" for k, v in own.items() if any(o[k] != v for o in others)]
    return f"{type(spec).__name__}({', '.join(told)})"
