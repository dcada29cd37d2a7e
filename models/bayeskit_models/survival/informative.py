"""How informative censoring must be to turn a conclusion: sample survival under multipliers of the hazard after censoring."""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayeskit.errors import SpecificationError, StorageError, suggest
from bayeskit_models.survival.censored import Censored, needed, predictors_in_parts

if TYPE_CHECKING:
    from bayeskit.report.content import Figure
    from bayeskit_models.survival.survival_fit import SurvivalFit

__all__ = ["InformativeCensoring", "arms_of", "informative_censoring"]

FloatArray = NDArray[np.float64]

_NUMBERS = 4_000_000  # exposures kept at once; where draws times censored rows are more, draws are thinned evenly
_LEAST = 200  # draws that are always used
_ARMS = 8
_SCAN = np.concatenate([[0.0], np.geomspace(1e-2, 1e3, 51)])
_MOST = float(_SCAN[-1])


@dataclass(frozen=True)
class InformativeCensoring:
    """Sample survival under multipliers of the hazard after censoring, and where the order of arms turns.

    Attributes
    ----------
    table : DataFrame
        Index arm, time, multiplier; columns mean, median, lower, upper (expected share of the study's own subjects free of the
        event) and censored, the share of the arm censored before the time, whose fate is the model's.
    flips : DataFrame
        One row a time, pair of arms and way of changing it: columns time, a, b, difference (mean of a less that of b under
        independent censoring), changed ("both", or the one arm whose multiplier is changed) and multiplier, the nearest to 1 at
        which the means are equal; NaN where none from 0 to 1000 makes them so.
    by : str
        What makes the arms; empty for the whole study.
    prob : float
        Probability of the equal-tailed intervals.
    draws : int
        Draws that were used.
    headline : str
        What was found, in a sentence; where the fit failed its checks it says so first.
    """

    table: pd.DataFrame
    flips: pd.DataFrame
    by: str
    prob: float
    draws: int
    headline: str

    @property
    def note(self) -> str:
        """How it is to be read."""
        return (
            f"Expected share of the study's own subjects free of the event; {self.prob:.0%} equal-tailed intervals from "
            f"{self.draws:,d} draws. They hold what is not known of the law, not the sampling of subjects. multiplier "
            "is the factor of the hazard after censoring (1: independent censoring; 0: nobody censored ever has the event); no "
            "data tell it."
        )

    def plot(self, time: float | None = None) -> Figure:
        """Sample survival over the multiplier, a line for each arm.

        Parameters
        ----------
        time : float, optional
            One of the times of the table; the last by default.

        Returns
        -------
        Figure

        Raises
        ------
        SpecificationError
            For a time that is not in the table, or fewer than two multipliers.
        """
        from bayeskit.report.figures import curve_plot

        times = self.table.index.get_level_values("time").unique()
        at = float(times[-1]) if time is None else float(time)
        if at not in times:
            raise SpecificationError(f"time={time!r}: the table has {', '.join(f'{t:g}' for t in times)}.")
        here = self.table.xs(at, level="time")
        arms = [a for a in here.index.get_level_values("arm").unique() if a != "all" or not self.by]
        if here.index.get_level_values("multiplier").nunique() < 2:
            raise SpecificationError("plot: one multiplier makes no line; give multipliers=(0, 1, 2) or so.")
        curves = {a: tuple(here.loc[a].sort_index()[c] for c in ("median", "lower", "upper")) for a in arms}
        grid = np.sort(here.index.get_level_values("multiplier").unique().to_numpy())
        return curve_plot(
            grid, curves, xlabel="factor of the hazard after censoring (1: independent)", prob=self.prob,  # type: ignore[arg-type]
            ylabel=f"expected share free of the event at {at:g}", ylim=(0.0, 1.0),
        )  # fmt: skip

    def to_json(self) -> str:
        """Strict JSON: numbers that do not exist are null."""
        facts = {"by": self.by, "prob": self.prob, "kind": "eti", "draws": self.draws, "headline": self.headline}
        rows = {"rows": _records(self.table.reset_index()), "flips": _records(self.flips)}
        return json.dumps({"schema": "bayeskit.informative_censoring/1", **facts, **rows}, allow_nan=False, ensure_ascii=False)

    def __repr__(self) -> str:
        parts = [self.headline, self.table.round(4).to_string()]
        if len(self.flips):
            parts += ["Where the order of arms turns:", _shown(self.flips).to_string(index=False)]
        return "\n".join([*parts, self.note])

    def _repr_html_(self) -> str:
        flips = _shown(self.flips).to_html(index=False) if len(self.flips) else ""
        lead, note = html.escape(self.headline), html.escape(self.note)
        return f"<p>{lead}</p>{self.table.round(4).to_html()}{flips}<p>{note}</p>"


def _shown(flips: pd.DataFrame) -> pd.DataFrame:
    told = ["none from 0 to 1000" if math.isnan(m) else f"{m:.3g}" for m in flips["multiplier"]]
    return flips.round({"difference": 4}).assign(multiplier=told)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(k): None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def arms_of(fit: SurvivalFit, by: str | None) -> dict[str, NDArray[np.bool_]]:
    """Rows of the statistics by the levels of a covariate or of the groups; "all" for None.

    Raises
    ------
    StorageError
        If the rows were not saved.
    SpecificationError
        For a column that the model does not have, or one with more than eight values.
    """
    statistics = fit.statistics
    if statistics is None:
        raise StorageError(
            "This run was saved without its rows, so it cannot say anything of the study's own subjects. Give the table again: "
            "fit.refit(table=...), or save with statistics=True."
        )
    size = statistics.sizes["row"]
    if by is None:
        return {"all": np.ones(size, dtype=bool)}
    place, spec = statistics["pattern"].values, fit.spec
    known = [*spec.covariates, *([spec.group] if spec.group is not None else [])]
    if by not in known:
        told = f"The model has {', '.join(map(repr, known))}." if known else "The model has no covariates."
        raise SpecificationError(f"by={by!r}: no covariate of this model.{suggest(str(by), known)} {told}")
    if by == spec.group:
        values = statistics["group"].values[statistics["pattern_group"].values]
    else:
        values = statistics[f"x_{by}"].values
    levels = np.unique(values)
    if len(levels) > _ARMS:
        raise SpecificationError(
            f"by={by!r} has {len(levels)} values: arms are made by a covariate with {_ARMS} or fewer. Cut it into categories, "
            "and fit with those."
        )
    return {_level(by, v): (values == v)[place] for v in levels}


def _level(by: str, value: Any) -> str:
    return f"{by}={value:g}" if isinstance(value, float | np.floating) else f"{by}={value}"


def informative_censoring(
    fit: SurvivalFit, by: str | None, times: ArrayLike | None, multipliers: ArrayLike, prob: float
) -> InformativeCensoring:
    """Sample survival, overall and by arm, under each multiplier; see `SurvivalFit.informative_censoring`."""
    grid = _multipliers(multipliers)
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: must lie strictly between 0 and 1 (0.95, not 95).")
    arms = arms_of(fit, None)
    if by is not None:
        arms |= arms_of(fit, by)
    statistics = fit.statistics
    assert statistics is not None
    reason = needed(statistics)
    if reason:
        raise SpecificationError(f"informative_censoring: {reason}.")
    at = statistics["horizons"].values if times is None else np.atleast_1d(np.asarray(times, dtype=float))
    if at.size == 0 or at.ndim != 1 or not (np.isfinite(at) & (at > 0)).all():
        raise SpecificationError(f"times={times!r}: give one or more finite times above 0, in the unit of the table.")
    parts = _shares(fit, arms, at)
    rows = [
        {"arm": arm, "time": t, "multiplier": m, **_described(share(m), prob), "censored": share.censored}
        for (arm, t), share in parts.items()
        for m in grid
    ]
    table = pd.DataFrame(rows).set_index(["arm", "time", "multiplier"])
    names = [a for a in arms if a != "all"]
    turns = [
        _flip(parts, t, a, b, changed) for t in map(float, at) for a, b in combinations(names, 2) for changed in _ways(a, b)
    ]
    columns = ["time", "a", "b", "difference", "changed", "multiplier"]
    flips = pd.DataFrame(turns, columns=columns)
    used = next(iter(parts.values())).draws
    return InformativeCensoring(table, flips, by or "", float(prob), used, _headline(fit, table, flips))


def _multipliers(multipliers: ArrayLike) -> list[float]:
    grid = np.atleast_1d(np.asarray(multipliers, dtype=float))
    if grid.size == 0 or grid.ndim != 1 or not (np.isfinite(grid) & (grid >= 0.0)).all():
        raise SpecificationError(
            f"multipliers={multipliers!r}: give finite factors of the hazard, 0 or more; 1 is independent."
        )
    return [float(m) for m in dict.fromkeys(grid.tolist())]


@dataclass(frozen=True)
class _Share:
    """Sample survival of one arm at one time as a function of the multiplier."""

    folded: Censored
    settled: FloatArray
    exposure: FloatArray

    @property
    def draws(self) -> int:
        return len(self.settled)

    @property
    def censored(self) -> float:
        """Share of the arm that is censored before the time."""
        return float(np.sum(self.folded.right["weight"]) / self.folded.total)

    def __call__(self, multiplier: float) -> FloatArray:
        return self.folded.share(self.settled, self.exposure, multiplier)

    def mean(self, multiplier: float) -> float:
        return float(self(multiplier).mean())


def _shares(fit: SurvivalFit, arms: dict[str, NDArray[np.bool_]], times: FloatArray) -> dict[tuple[str, float], _Share]:
    statistics = fit.statistics
    assert statistics is not None
    folded = {(a, float(t)): Censored.at(statistics, float(t), rows) for a, rows in arms.items() for t in times}
    everything = sum(f.open_rows for f in folded.values())
    values = fit._values
    size = len(next(iter(values.values())))
    keep = min(size, max(_LEAST, _NUMBERS // max(everything, 1)))
    chosen = np.unique(np.linspace(0, size - 1, keep).astype(int))
    values = {n: v[chosen] for n, v in values.items()}
    widest = max(statistics.sizes.get("unique", 1), *(f.open_rows for f in folded.values()), 1)
    step = max(_NUMBERS // widest, 1)
    settled: dict[tuple[str, float], list[FloatArray]] = {k: [] for k in folded}
    exposure: dict[tuple[str, float], list[FloatArray]] = {k: [] for k in folded}
    for _, logs in predictors_in_parts(fit.spec, values, statistics, fit.dials, step, len(chosen)):
        for key, each in folded.items():
            settled[key].append(each.settled(logs))
            exposure[key].append(each.exposure(logs))
    return {k: _Share(f, np.concatenate(settled[k]), np.concatenate(exposure[k])) for k, f in folded.items()}


def _described(draws: FloatArray, prob: float) -> dict[str, float]:
    low, mid, high = np.quantile(draws, ((1 - prob) / 2, 0.5, (1 + prob) / 2))
    return {"mean": float(draws.mean()), "median": float(mid), "lower": float(low), "upper": float(high)}


def _ways(a: str, b: str) -> tuple[str, str, str]:
    return "both", a, b


def _flip(parts: dict[tuple[str, float], _Share], time: float, a: str, b: str, changed: str) -> dict[str, Any]:
    first, second = parts[a, time], parts[b, time]
    here = (first.mean(1.0), second.mean(1.0))

    def gap(m: float) -> float:
        one = first.mean(m) if changed in ("both", a) else here[0]
        return one - (second.mean(m) if changed in ("both", b) else here[1])

    found = _nearest_root(gap)
    facts = {"time": time, "a": a, "b": b, "difference": here[0] - here[1], "changed": changed}
    return {**facts, "multiplier": found}


def _nearest_root(gap: Any) -> float:
    """The root nearest to 1, by its logarithm, between 0 and 1000; NaN where there is none."""
    from scipy.optimize import brentq

    start = gap(1.0)
    if start == 0.0:
        return math.nan
    found = []
    for side in (_SCAN[_SCAN > 1.0], _SCAN[_SCAN < 1.0][::-1]):
        before = 1.0
        for m in map(float, side):
            if gap(m) * start <= 0.0:
                found.append(float(brentq(gap, min(before, m), max(before, m), xtol=1e-10)))
                break
            before = m
    return min(found, key=lambda m: abs(math.log(max(m, 1e-300)))) if found else math.nan


def _headline(fit: SurvivalFit, table: pd.DataFrame, flips: pd.DataFrame) -> str:
    status = str(fit.verdict).splitlines()[0]
    lead = f"{status}. " if fit.verdict.status.value in ("FAIL", "NOT COMPUTED") else ""
    if not len(flips):
        last = table.xs("all", level="arm")["censored"].max()
        return f"{lead}Up to {last:.0%} of the subjects are censored before a time of the table: their fate is the model's."
    turned = flips[flips["multiplier"].notna()]
    if not len(turned):
        return (
            f"{lead}No multiplier from 0 to {_MOST:g} of the hazard after censoring turns the order of two arms at these times."
        )
    row = turned.iloc[int(np.argmin(np.abs(np.log(np.maximum(turned["multiplier"], 1e-300)))))]
    where = "in both arms" if row["changed"] == "both" else f"in {row['changed']} alone"
    return (
        f"{lead}The order of {row['a']} and {row['b']} at {row['time']:g} turns where the hazard after censoring is "
        f"{row['multiplier']:.3g} times what it is for those followed on, {where}; no smaller change turns an order here."
    )
