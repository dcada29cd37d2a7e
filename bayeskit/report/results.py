"""The numbers of a report: every headline estimand with its interval, and a figure where the model has none of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bayeskit.report.content import (
    Block,
    Cell,
    Note,
    Number,
    Paragraph,
    Section,
    Table,
    interval_phrase,
    interval_sentence,
    quantile_mcse,
)

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit
    from bayeskit.report.request import Request

__all__ = ["count", "element_label", "r_hat", "results_sections"]

_MOST_ROWS = 200  # of the results table: keeps a page readable and a file under 2 MB
_MOST_DRAWN = 40  # rows of an interval figure


def results_sections(fit: Fit, request: Request) -> tuple[Section, ...]:
    """The model's own sections, then the results in numbers."""
    prob, kind = request.prob, request.kind
    own = tuple(fit.sections(prob))
    blocks: list[Block] = [Paragraph(interval_sentence(prob, kind))]
    try:
        frame = fit.summary(prob, kind)
    except ValueError as error:
        blocks.append(Note("fail", "The summary could not be computed.", (str(error),)))
    else:
        rows = _headline_rows(fit, frame)
        if not own:
            blocks += _figures(fit, frame, rows, prob, kind)
        blocks += _summary(fit, frame, rows, prob, kind)
    return (*own, Section("Results in numbers", "results", tuple(blocks)))


def _headline_rows(fit: Fit, frame: pd.DataFrame) -> list[int]:
    """Positions of the rows to show (names may repeat): headline estimands, or all where none is one."""
    names = {str(n) for n, v in fit.estimands.data_vars.items() if v.attrs.get("headline")}
    chosen = [i for i, row in enumerate(frame.index) if str(row).partition("[")[0] in names]
    return chosen or list(range(len(frame)))


def element_label(fit: Fit, row: str) -> str:
    """Name an element of an estimand as people say it: label, units and the element's own labels."""
    name, bracket, rest = row.partition("[")
    if name not in fit.estimands:
        return row
    attrs = fit.estimands[name].attrs
    words = str(attrs.get("label") or name)
    units = f" ({attrs['units']})" if attrs.get("units") else ""
    return f"{words}{units}{': ' + rest.removesuffix(']') if bracket else ''}"


def _summary(fit: Fit, frame: pd.DataFrame, rows: Sequence[int], prob: float, kind: str) -> list[Block]:
    """Tabulate the rows: one table for each estimand with elements, one for all scalars together."""
    shown = list(rows[:_MOST_ROWS])
    groups: dict[str, list[int]] = {}
    for row in shown:
        name, bracket, _ = str(frame.index[row]).partition("[")
        groups.setdefault(name if bracket and name in fit.estimands else "", []).append(row)
    tail = (1.0 - prob) / 2.0
    ends = ("lower", "upper") if kind == "hdi" else (f"{100 * tail:.3g} %", f"{100 * (1 - tail):.4g} %")
    heads = ("Median", *ends, "Mean", "sd", "ESS, bulk", "ESS, tail", "R-hat")
    named = f"medians with {interval_phrase(prob, kind)} intervals"
    out: list[Block] = []
    for name, members in groups.items():
        first = _capital(", ".join(_dims(fit, name))) if name else "Quantity"
        labels = [str(frame.index[m]) for m in members]
        labels = [_element(v) if name else element_label(fit, v) for v in labels]
        cells = tuple((v, *_numbers(frame, m, tail)) for v, m in zip(labels, members, strict=True))
        what = f"{_capital(element_label(fit, name))}: posterior {named}." if name else f"Posterior {named}."
        out.append(Table((first, *heads), cells, what))
    left_out, others = len(rows) - len(shown), len(frame) - len(rows)
    told = "Numbers have the digits that their Monte Carlo error allows."
    if left_out:
        told += f" {_counted(left_out, 'more row')} left out."
    if others:
        told += f" {_counted(others, 'other estimand')} not printed: see fit.summary()."
    return [*out, Paragraph(told)]


def _numbers(frame: pd.DataFrame, row: int, tail: float) -> tuple[Cell, ...]:
    v: dict[str, float] = {str(k): float(x) for k, x in frame.iloc[row].items()}
    error = v["mcse_mean"]
    end = quantile_mcse(error, tail)
    return (
        Number(v["median"], quantile_mcse(error, 0.5)), Number(v["lower"], end), Number(v["upper"], end),
        Number(v["mean"], error), Number(v["sd"], error),
        count(v["ess_bulk"]), count(v["ess_tail"]), r_hat(v["r_hat"]),
    )  # fmt: skip


def _dims(fit: Fit, name: str) -> list[str]:
    return [str(d).replace("_", " ") for d in fit.estimands[name].dims if d not in ("chain", "draw")]


def _element(row: str) -> str:
    return row.partition("[")[2].removesuffix("]")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _counted(count: int, noun: str) -> str:
    return f"{count:,d} {noun}{' is' if count == 1 else 's are'}"


def count(value: float) -> Cell:
    """Return an effective sample size as a cell: a whole number."""
    return f"{round(value):,d}" if math.isfinite(value) else Number(math.nan)


def r_hat(value: float) -> Cell:
    """Return an R-hat as a cell: three decimals, for its limit is 1.01."""
    return f"{value:.3f}" if math.isfinite(value) else Number(math.nan)


def _figures(fit: Fit, frame: pd.DataFrame, rows: Sequence[int], prob: float, kind: str) -> list[Block]:
    """Draw an interval figure for each headline estimand with several elements."""
    from bayeskit.report.figures import interval_plot

    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(str(frame.index[row]).partition("[")[0], []).append(row)
    out: list[Block] = []
    for name, members in groups.items():
        if not 2 <= len(members) <= _MOST_DRAWN or name not in fit.estimands:
            continue
        part = frame.iloc[members]
        numbers = part[["median", "lower", "upper"]].to_numpy(dtype=float)
        if not all(math.isfinite(v) for v in numbers.ravel()):
            continue
        labels = [_element(str(frame.index[m])) for m in members]
        out.append(interval_plot(labels, *numbers.T, prob=prob, kind=kind, xlabel=element_label(fit, name)))
    return out
