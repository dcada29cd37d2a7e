"""From rows to what the likelihood reads: covariates in contiguous columns, equal rows folded into weighted cells.

Rows with the same covariates, group, test and outcome are one cell with a weight. Cells lie in the order of
`kernel.KINDS`; `cell` says which one each row of the table went to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit.errors import DataError
from bayeskit_models.designs import standardise
from bayeskit_models.risk.constraints import Prevalence

if TYPE_CHECKING:
    from bayeskit import Rows
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["COMPONENTS", "reduce_rows"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

COMPONENTS = ("risk", "testing", "held")
"""Designs: of the risk, of the free departures of testing from it, and of those that expertise holds near 0."""

_IMPOSSIBLE = 4.0  # standard errors beyond the range that the tested rows leave open


def reduce_rows(spec: SelectiveRisk, rows: Rows) -> xr.Dataset:
    """Statistics of the likelihood; see the module."""
    weight = np.asarray(rows.columns.get("weights", np.ones(rows.n)), dtype=float)
    tested = np.asarray(rows.columns["tested"]) == 1
    outcome = np.where(rows.missing["outcome"], 0.0, np.asarray(rows.columns["outcome"], dtype=float))
    _check_selection(spec, rows, tested, weight)
    binary = spec.family == "bernoulli"
    counted = weight * tested
    mean = float(np.average(outcome, weights=counted))
    sd = float(np.sqrt(np.average((outcome - mean) ** 2, weights=counted)))
    keep = weight > 0.0
    designs = {c: standardise(rows, spec.terms(c), keep, "mean", weight) for c in COMPONENTS}
    group = np.asarray(rows.columns.get("group", np.zeros(rows.n, dtype=np.int64)))
    kind = np.where(~tested, 0, np.where((outcome == 1) | (not binary), 1, 2))
    unit = (0.0, 1.0) if binary else (mean, sd) if spec.unit is None else spec.unit
    inside = np.where(tested, (outcome - unit[0]) / unit[1], 0.0)
    cell, first, total = _fold([d["matrix"] for d in designs.values()], group, kind, inside, weight, keep)
    kinds = kind[first]
    data: dict[str, Any] = {
        "kind_ptr": (("kind_edge",), np.concatenate([[0], np.cumsum(np.bincount(kinds, minlength=3))])),
        "weight": (("row",), total),
        "table_row": (("row",), first),
        "cell": (("observation",), cell),
        "counts": (("kind",), np.array([total[kinds == k].sum() for k in range(3)])),
    }
    data |= {"tested_mean": ((), mean), "tested_sd": ((), sd)}
    data["share_untested"] = ((), float(1.0 - counted.sum() / weight.sum()))  # for the sampler's coordinates
    if not binary:
        tested_weight = float(counted.sum())
        data |= {
            "outcome": (("row",), inside[first]), "unit": (("end",), np.array(unit, dtype=float)),
            "log_unit": ((), -np.log(unit[1]) * tested_weight),  # densities are of the user's outcome
        }  # fmt: skip
    coords: dict[str, Any] = {"kind": ["untested", *(("outcome 1", "outcome 0") if binary else ("tested", "none"))]}
    for component, found in designs.items():
        term = f"{component}_term"
        data[f"{component}_columns"] = ((term, "row"), np.ascontiguousarray(found["matrix"][first].T))
        coords[term] = list(found["names"])
        if found["names"]:
            data[f"{component}_centre"] = ((term,), found["centre"])
            data[f"{component}_spread"] = ((term,), found["spread"])
    for name in spec.covariates:
        column = rows.columns[f"x_{name}"][first]
        labels = rows.levels.get(f"x_{name}")
        data[f"x_{name}"] = (("row",), column if labels is None else np.array(labels, dtype=object)[column].astype(str))
    known, labels = _stated_groups(spec, rows)
    if spec.group is not None:
        data["group_code"] = (("row",), group[first])
        coords["group"] = list(rows.levels["group"])
    if known:
        code = _codes(labels, rows, group[first])
        data |= {"stated_code": (("row",), code)} if binary else _stated_means(designs["risk"]["matrix"][first], code, total)
        coords["stated"] = [label if label is not None else "all" for label in labels]
    out = xr.Dataset(data, coords=coords)
    for place, (label, stated) in enumerate(known if binary else ()):
        _check_possible(spec, label, stated, out, place)
    return out


def _stated_means(x: FloatArray, code: IntArray, weight: FloatArray) -> dict[str, Any]:
    """Mean covariates of each group with a stated mean outcome, which is linear in them."""
    means = [np.average(x[code == g], axis=0, weights=weight[code == g]) for g in range(code.max() + 1)]
    return {"stated_means": (("stated", "risk_term"), np.array(means).reshape(len(means), -1))}


def _fold(
    matrices: list[FloatArray],
    group: IntArray,
    kind: IntArray,
    outcome: FloatArray,
    weight: FloatArray,
    keep: NDArray[np.bool_],
) -> tuple[IntArray, IntArray, FloatArray]:
    """Cell of every row (-1 where its weight is 0), one row of the table for each cell, and the weights of the cells."""
    joined = np.concatenate([np.stack([kind, group, outcome], axis=1).astype(float), *matrices], axis=1)
    _, first, place = np.unique(joined[keep], axis=0, return_index=True, return_inverse=True)
    place = np.asarray(place).reshape(-1)
    cell = np.full(len(kind), -1, dtype=np.int64)
    cell[keep] = place
    return cell, np.flatnonzero(keep)[first], np.bincount(place, weights=weight[keep], minlength=len(first))


def _check_selection(spec: SelectiveRisk, rows: Rows, tested: NDArray[np.bool_], weight: FloatArray) -> None:
    """Both tested and untested rows, outcomes of the tested ones and of nobody else."""
    counts = weight > 0.0
    if not (tested & counts).any():
        raise DataError(
            "no row is tested.", column=spec.tested, rule="some rows are tested: only they have an outcome.",
            fix="check that 1 means tested and 0 not.",
        )  # fmt: skip
    if not (~tested & counts).any():
        raise DataError(
            "every row is tested.", column=spec.tested, rule="some rows are untested: this model is about what is not seen.",
            fix="add the people whom nobody tested, with an empty outcome; without any, a logistic regression is all you need.",
        )  # fmt: skip
    missing = rows.missing["outcome"]
    lost = np.flatnonzero(tested & missing)
    if len(lost):
        raise DataError(
            f"{len(lost)} tested rows have no outcome.", column=spec.outcome, rows=lost[:1000].tolist(), found=len(lost),
            rule="a tested row has an outcome, an untested one has none.", fix="drop these rows, or set them to untested.",
        )  # fmt: skip
    seen = np.flatnonzero(~tested & ~missing)
    if len(seen):
        raise DataError(
            f"{len(seen)} untested rows have an outcome.", column=spec.outcome, rows=seen[:1000].tolist(), found=len(seen),
            values=np.asarray(rows.columns["outcome"])[seen[:5]].tolist(),
            rule="the outcome is empty where nobody tested; 0 would say that the person was found healthy.",
            fix="empty the cells. Outcomes that came later are no part of the fit: keep them for fit.validate(followup).",
        )  # fmt: skip
    values = np.asarray(rows.columns["outcome"])[tested & counts]
    if values.min() == values.max():
        raise DataError(
            f"every tested row has the outcome {values[0]:g}.", column=spec.outcome,
            rule="outcomes of the tested differ.", fix="check the column, or collect more data: nothing can be learned.",
        )  # fmt: skip


def _stated_groups(spec: SelectiveRisk, rows: Rows) -> tuple[list[tuple[str | None, Prevalence]], list[str | None]]:
    known = list(spec.stated)
    labels = [label for label, _ in known]
    there = rows.levels.get("group", ())
    for label in labels:
        if label is not None and label not in there:
            raise DataError(
                f"has no group {label!r}, for which a prevalence is stated.", column=spec.group, values=list(there)[:5],
                rule="prevalence names groups of the table.", fix="correct the label, or leave it out of prevalence.",
            )  # fmt: skip
    return known, labels


def _codes(labels: list[str | None], rows: Rows, group: IntArray) -> IntArray:
    """Place of each cell's group among those with a stated prevalence; -1 for the others."""
    if labels == [None]:
        return np.zeros(len(group), dtype=np.int64)
    place = {label: k for k, label in enumerate(labels)}
    return np.array([place.get(label, -1) for label in rows.levels["group"]], dtype=np.int64)[group]


def _check_possible(spec: SelectiveRisk, label: str | None, stated: Prevalence, statistics: xr.Dataset, place: int) -> None:
    """The tested rows alone leave a range open: from all untested healthy to all untested ill."""
    mine = statistics["stated_code"].values == place
    weight = statistics["weight"].values * mine
    ptr = statistics["kind_ptr"].values
    n = weight.sum()
    least, open_part = weight[ptr[1] : ptr[2]].sum() / n, weight[: ptr[1]].sum() / n
    slack = _IMPOSSIBLE * np.hypot(stated.sd, 0.5 / np.sqrt(n))
    if stated.high < least - slack or stated.low > least + open_part + slack:
        raise DataError(
            f"a prevalence of {_range(stated)} (sd {stated.sd:g})"
            f"{'' if label is None else f' of group {label!r}'} cannot be.",
            column=spec.outcome, rule=f"of all rows {least:.4g} are tested with outcome 1 and {open_part:.4g} are untested, so "
            f"the prevalence lies between {least:.4g} and {least + open_part:.4g}.",
            fix="check whom the prevalence is of and what it counts; it must be of the people in the table.",
        )  # fmt: skip


def _range(stated: Prevalence) -> str:
    return f"{stated.low:g}" if stated.exact else f"{stated.low:g} to {stated.high:g}"
