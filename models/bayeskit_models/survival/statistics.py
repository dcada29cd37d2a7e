"""From rows to what the likelihood reads: times on an internal scale, kinds of censoring, patterns of covariates.

Time is divided by the median observed time, so that priors and results do not depend on the unit. Covariates are centred at
their means and, unless they have two values only, divided by their standard deviations; both are stored. Rows of equal
covariates (and group) share a pattern.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit.errors import DataError
from bayeskit_models import designs
from bayeskit_models.survival.frailty import check_frailty, with_events
from bayeskit_models.survival.kernel import KINDS
from bayeskit_models.survival.overview import with_overview

if TYPE_CHECKING:
    from bayeskit import Rows
    from bayeskit_models.survival.model import FlexibleSurvival

__all__ = ["COMPONENTS", "reduce_rows", "row_times", "standardised"]

FloatArray = NDArray[np.float64]

COMPONENTS = ("scale", "hazard", "shape", "tail")
"""The four predictors: log phi, log lambda, log gamma, log(kappa + 1)."""


def reduce_rows(spec: FlexibleSurvival, rows: Rows) -> xr.Dataset:
    """Statistics of the likelihood; see the module."""
    lower, upper, kind, entry = row_times(spec, rows)
    weight = np.asarray(rows.columns.get("weights", np.ones(rows.n)), dtype=float)
    keep = ~((kind == 1) & (lower <= 0.0)) & (weight > 0.0)  # a row that was never followed says nothing
    _check_events(spec, kind[keep])
    if spec.frailty is not None:
        check_frailty(spec, rows, kind, weight)
    scale = _time_scale(lower, upper, kind, keep) if spec.unit is None else float(spec.unit)
    background = np.asarray(rows.columns.get("background", np.zeros(rows.n)), dtype=float)
    found_designs = {c: designs.standardise(rows, spec.terms(c), keep, spec.reference) for c in COMPONENTS}
    group = rows.columns.get("group")
    order = np.flatnonzero(keep)[np.argsort(kind[keep], kind="stable")]
    pattern, patterns = _patterns([d["matrix"] for d in found_designs.values()], group, order)
    late = np.flatnonzero(entry[order] > 0.0)
    with np.errstate(divide="ignore"):
        logs = {"log_lower": np.log(lower[order] / scale), "log_upper": np.log(upper[order] / scale)}
    exposed = np.where(kind == 0, background, 0.0)[order] * scale
    data: dict[str, Any] = {
        "kind_ptr": (("kind_edge",), np.concatenate([[0], np.cumsum(np.bincount(kind[order], minlength=4))])),
        "pattern": (("row",), pattern),
        "log_lower": (("row",), logs["log_lower"]),
        "log_upper": (("row",), logs["log_upper"]),
        "weight": (("row",), weight[order]),
        "table_row": (("row",), order),  # so that a row can be found again; the likelihood does not read it
        "background": (("row",), exposed),
        "entry_row": (("late",), late),
        "log_entry": (("late",), np.log(entry[order][late] / scale)),
        "time_scale": ((), scale),
        # densities are of the user's time: each event's is divided by the internal unit
        "log_unit": ((), -np.log(scale) * float(weight[order][kind[order] == 0].sum())),
        "follow_up": ((), float(np.where(kind == 2, upper, lower)[order].max())),
        "horizons": (("time",), _horizons(spec, _middles(lower, upper, kind, keep))),
    }
    blocks = [d["matrix"][patterns].T for d in found_designs.values()]
    data["design"] = (("term", "unique"), np.ascontiguousarray(np.concatenate(blocks)))
    data["term_ptr"] = (("component_edge",), np.concatenate([[0], np.cumsum([len(b) for b in blocks])]))
    coords: dict[str, Any] = {}
    for component, found in found_designs.items():
        if found["names"]:
            term = f"{component}_term"
            data[f"{component}_centre"] = ((term,), found["centre"])
            data[f"{component}_spread"] = ((term,), found["spread"])
            coords[term] = list(found["names"])
    for name in spec.covariates:  # as the user knows them, so that tables of this design can be made
        column = rows.columns[f"x_{name}"][patterns]
        labels = rows.levels.get(f"x_{name}")
        data[f"x_{name}"] = (("unique",), column if labels is None else np.array(labels, dtype=object)[column].astype(str))
    if group is not None:
        data["pattern_group"] = (("unique",), group[patterns])
        coords["group"] = list(rows.levels["group"])
    if spec.frailty is not None:
        data["frailty_row"] = (("row",), rows.columns["frailty"][order])
        coords["frailty"] = list(rows.levels["frailty"])
    out = xr.Dataset(data, coords=coords)
    out.attrs = {"late": bool(len(late)), "relative": bool(exposed.any())}
    return with_events(with_overview(out))


def row_times(spec: FlexibleSurvival, rows: Rows) -> tuple[FloatArray, FloatArray, NDArray[np.int64], FloatArray]:
    """Checked times of every row: lower and upper end, kind (see `KINDS`), entry."""
    lower, upper, kind = _times(spec, rows)
    entry = np.asarray(rows.columns.get("entry", np.zeros(rows.n)), dtype=float)
    _check_times(spec, rows, lower, upper, kind, entry)
    _check_spells(spec, rows, lower, kind, entry)
    return lower, upper, kind, entry


def _times(spec: FlexibleSurvival, rows: Rows) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Lower and upper end of every row's time, and its kind (see `KINDS`)."""
    if "duration" in rows.columns:
        time = np.asarray(rows.columns["duration"], dtype=float)
        event = rows.columns.get("event", np.ones(rows.n, dtype=np.int64))
        return time, time.copy(), np.where(event == 1, KINDS.index("exact"), KINDS.index("right"))
    lower, upper = (np.asarray(rows.columns[n], dtype=float) for n in ("lower", "upper"))
    empty = np.isnan(lower) & np.isnan(upper)
    _refuse(
        empty, str(spec.upper), upper,
        "a row has one end of its interval at least.",
        "drop the rows; for who was not seen to have the event give lower, the last time seen.", "row has", "rows have",
        "neither end.",
    )  # fmt: skip
    lower = np.where(np.isnan(lower), 0.0, lower)
    kind = np.full(rows.n, KINDS.index("interval"))
    kind[lower <= 0.0] = KINDS.index("left")
    kind[lower == upper] = KINDS.index("exact")
    kind[np.isnan(upper)] = KINDS.index("right")
    return lower, np.where(np.isnan(upper), lower, upper), kind


def _check_times(
    spec: FlexibleSurvival, rows: Rows, lower: FloatArray, upper: FloatArray, kind: NDArray[np.int64], entry: FloatArray
) -> None:
    column = spec.duration if "duration" in rows.columns else str(spec.lower)
    _refuse(
        (kind == 0) & (lower <= 0.0), column, lower, "an event happens after time 0.",
        "say when it was observed by an interval (lower 0, upper the unit of measurement), or add half a unit yourself.",
        "event is", "events are", "at time 0.",
    )  # fmt: skip
    _refuse(
        upper < lower, str(spec.upper), upper, "an interval ends after it begins: lower <= upper.", "swap or correct the ends.",
        "interval ends", "intervals end", "before it begins.",
    )  # fmt: skip
    last = np.where(kind >= 2, upper, lower)
    _refuse(
        (entry > 0.0) & (entry >= last), str(spec.entry), entry, "a row enters before its event or its censoring.",
        "correct the entry times, or drop rows that were never at risk.", "row enters", "rows enter", "at or after its time.",
    )  # fmt: skip
    _refuse(
        (entry > lower) & (kind >= 2), str(spec.entry), entry,
        "a row in an interval enters before the interval begins: it was seen to be free of the event then.",
        "set lower to the entry time.", "row enters", "rows enter", "within its interval.",
    )  # fmt: skip


def _check_spells(spec: FlexibleSurvival, rows: Rows, time: FloatArray, kind: NDArray[np.int64], entry: FloatArray) -> None:
    """Refuse spells of subjects whose covariates change: every late row enters when another row (of its group) is censored.

    Each entry needs a censored row of its own: subjects who enter on a day on which some others leave are not taken for them.
    """
    late = entry > 0.0
    if late.sum() < 2 or spec.entry is None:
        return
    own = rows.columns.get("frailty", rows.columns.get("group", np.zeros(rows.n, dtype=np.int64)))
    ends = Counter(zip(own[kind == 1].tolist(), time[kind == 1].tolist(), strict=True))
    starts = Counter(zip(own[late].tolist(), entry[late].tolist(), strict=True))
    _refuse(
        late & all(ends[at] >= count for at, count in starts.items()), spec.entry, entry,
        "each row is one subject, whose covariates stay what they are. Spells of a subject whose covariates change do not add "
        "up to one law: the clock that scale and shape drive would start anew with every spell.",
        "give one row for each subject, with its covariates at entry; if these are different subjects, move their entry times "
        "by less than the unit of measurement.", "row enters", "rows enter",
        "exactly when another row is censored, like spells of one subject with time-dependent covariates.",
    )  # fmt: skip


def _check_events(spec: FlexibleSurvival, kind: NDArray[np.int64]) -> None:
    """At least one event among the rows that say anything."""
    if not np.isin(kind, (0, 2, 3)).any():
        raise DataError(
            "no row that counts has an event.", column=spec.upper or spec.event or spec.duration,
            rule="at least one event is observed: without any, every answer is the prior's.",
            fix="check that 1 is an event and 0 censored (of intervals: an empty upper end is censored), or collect more data.",
        )  # fmt: skip


def _refuse(
    bad: NDArray[np.bool_], column: str, values: FloatArray, rule: str, fix: str, one: str, several: str, rest: str
) -> None:
    if bad.any():
        where = np.flatnonzero(bad)
        raise DataError(
            f"{len(where)} {one if len(where) == 1 else several} {rest}", column=column, rows=where[:1000].tolist(),
            found=len(where), values=values[where[:5]].tolist(), rule=rule, fix=fix,
        )  # fmt: skip


def _time_scale(lower: FloatArray, upper: FloatArray, kind: NDArray[np.int64], keep: NDArray[np.bool_]) -> float:
    """The median observed time: of events, with the middle of an interval."""
    return float(np.median(_middles(lower, upper, kind, keep)))


def _horizons(spec: FlexibleSurvival, seen: FloatArray) -> FloatArray:
    """Times at which survival is given: the quartiles of the observed ones, or around the unit where that is given."""
    return np.quantile(seen, (0.25, 0.5, 0.75)) if spec.unit is None else np.array([0.5, 1.0, 2.0]) * spec.unit


def _middles(lower: FloatArray, upper: FloatArray, kind: NDArray[np.int64], keep: NDArray[np.bool_]) -> FloatArray:
    seen = keep & (kind != KINDS.index("right"))
    return np.asarray((lower[seen] + upper[seen]) / 2.0)


def _patterns(
    matrices: list[FloatArray], group: NDArray[np.int64] | None, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pattern of each kept row, and one row of the table for each pattern; numbered as the rows first show them."""
    parts = [m[order] for m in matrices]
    if group is not None:
        parts.append(group[order, None].astype(float))
    joined = np.concatenate(parts, axis=1)
    if joined.shape[1] == 0:
        return np.zeros(len(order), dtype=np.int64), order[:1]
    _, first, place = np.unique(joined, axis=0, return_index=True, return_inverse=True)
    by_row = np.argsort(first)
    return np.argsort(by_row)[np.asarray(place).reshape(-1)], order[first[by_row]]


def standardised(spec: FlexibleSurvival, statistics: xr.Dataset, rows: Rows) -> dict[str, FloatArray]:
    """Design matrices of new rows, on the scale of the fit: by component, shape (n, terms)."""
    return {c: designs.standardised(rows, spec.terms(c), statistics, c) for c in COMPONENTS}
