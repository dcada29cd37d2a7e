"""From a fit to the content tree: verdict, data, results, assumptions, checks, provenance, in that order."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bayeskit.errors import BayeskitError, SpecificationError
from bayeskit.report.content import (
    Block,
    Cell,
    Code,
    Note,
    NoteKind,
    Number,
    Paragraph,
    Report,
    Section,
    Table,
    interval_phrase,
    interval_sentence,
    marked,
    quantile_mcse,
    short_list,
)
from bayeskit.verdict import CheckResult, Status, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.assumptions import Assumption
    from bayeskit.fit import Fit

__all__ = ["build_report"]

FAILED = "Failed checks: not for use"
PARTIAL = "Partial run: provisional"
UNCHECKED = "Checks incomplete: provisional"

_MOST_ROWS = 200  # of the results table: keeps a page readable and a file under 2 MB
_MOST_DRAWN = 40  # rows of an interval figure
_KINDS: dict[Status, NoteKind] = {
    Status.PASS: "pass", Status.WARN: "warn", Status.FAIL: "fail", Status.NOT_COMPUTED: "not computed",
}  # fmt: skip
_SIGNS = {Status.PASS: "✓", Status.WARN: "⚠", Status.FAIL: "✗", Status.NOT_COMPUTED: "?"}
_TITLES = {
    "chains": "Chains",
    "finite": "Finite draws",
    "moving": "Movement",
    "r_hat": "R-hat",
    "ess": "Effective sample size",
    "mcse": "Monte Carlo error",
    "divergences": "Divergences",
    "tree_depth": "Tree depth",
    "energy": "Energy (E-BFMI)",
    "laplace": "Laplace approximation",
    "overlap": "Prior-posterior overlap",
}
_LEVELS = {
    "structural": "structure of the model",
    "hyper": "top-level prior",
    "latent": "prior of a latent quantity",
    "constraint": "constraint",
    "imputed": "model of what was not observed",
}
_HEADINGS = {
    "quantity": "Quantity",
    "kind": "Kind",
    "r_hat": "R-hat",
    "ess_bulk": "ESS, bulk",
    "ess_tail": "ESS, tail",
    "mcse_mean": "Error of the mean",
    "sd": "Posterior sd",
    "mean": "Mean",
    "mean_divergent": "Mean at divergences",
    "shift_in_sd": "Shift in sd",
    "e_bfmi": "E-BFMI",
}


def build_report(fit: Fit, prob: float = 0.95, kind: Literal["eti", "hdi"] = "eti") -> Report:
    """Build the content of a report.

    Parameters
    ----------
    fit : Fit
        A finished or partial fit, whatever its verdict.
    prob : float
        Probability of the intervals, strictly between 0 and 1.
    kind : {"eti", "hdi"}
        Equal-tailed or highest-density intervals.

    Returns
    -------
    Report
        For :func:`bayeskit.report.render`. A failed or partial run says so first, and its numbers are marked.

    Raises
    ------
    SpecificationError
        For a `prob` or `kind` that is not one.
    """
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob is {prob!r}; it must lie strictly between 0 and 1 (0.95, not 95).")
    if kind not in ("eti", "hdi"):
        raise SpecificationError(f"kind is {kind!r}; it must be 'eti' (equal-tailed) or 'hdi' (highest density).")
    verdict = fit.verdict
    model = type(fit.spec).__name__
    return Report(
        title=f"{model} report",
        banner=verdict_note(verdict),
        sections=(
            *_results(fit, verdict, prob, kind),
            _data(fit),
            _assumptions(fit),
            _checks(verdict),
            _provenance(fit, prob, kind),
        ),
        subtitle=_subtitle(fit),
    )


def verdict_note(verdict: Verdict) -> Note:
    """The verdict as the note that stands before everything else."""
    kind: NoteKind = _KINDS[verdict.status]
    if verdict.partial and verdict.status is not Status.FAIL:
        kind = "partial"
    details = tuple(f"{r.text}{' Next: ' + r.advice if r.advice else ''}" for r in verdict.concerns)
    return Note(kind, str(verdict).splitlines()[0], details)


def _subtitle(fit: Fit) -> str:
    rows = _rows_of(fit)
    parts = [f"{rows:,d} rows"] if rows is not None else []
    parts += [f"{len(labels):,d} {_plural(role)}" for role, labels in fit.levels.items()]
    started = str(fit.provenance.get("started", ""))[:10]
    return " · ".join([*parts, *([f"fitted {started}"] if started else [])])


def _plural(role: str) -> str:
    word = role.replace("_", " ")
    return word if word.endswith("s") else f"{word}s"


def _rows_of(fit: Fit) -> int | None:
    data = fit.provenance.get("data", {})
    rows = data.get("rows") if isinstance(data, Mapping) else None
    return int(rows) if rows is not None else None


# -- results
# --------------------------------------------------------------------------------------------------


def _results(fit: Fit, verdict: Verdict, prob: float, kind: str) -> tuple[Section, ...]:
    own = tuple(fit.sections(prob))
    blocks: list[Block] = [Paragraph(interval_sentence(prob, kind))]
    try:
        frame = fit.summary(prob, kind)  # type: ignore[arg-type]
    except ValueError as error:
        blocks.append(Note("fail", "The summary could not be computed.", (str(error),)))
    else:
        rows = _headline_rows(fit, frame)
        if not own:
            blocks += _figures(fit, frame, rows, prob, kind)
        blocks += _summary(fit, frame, rows, prob, kind)
    sections = (*own, Section("Results in numbers", "results", tuple(blocks)))
    if verdict.status is Status.FAIL:
        return marked(sections, FAILED)
    if verdict.partial:
        return marked(sections, PARTIAL, provisional=True)
    if verdict.status is Status.NOT_COMPUTED:
        return marked(sections, UNCHECKED, provisional=True)
    return sections


def _headline_rows(fit: Fit, frame: pd.DataFrame) -> list[int]:
    """Positions of the rows to show (names may repeat): headline estimands, or all where none is one."""
    names = {str(n) for n, v in fit.estimands.data_vars.items() if v.attrs.get("headline")}
    chosen = [i for i, row in enumerate(frame.index) if str(row).partition("[")[0] in names]
    return chosen or list(range(len(frame)))


def _label(fit: Fit, row: str) -> str:
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
        labels = [_element(v) if name else _label(fit, v) for v in labels]
        cells = tuple((v, *_numbers(frame, m, tail)) for v, m in zip(labels, members, strict=True))
        what = f"{_capital(_label(fit, name))}: posterior {named}." if name else f"Posterior {named}."
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
        _count(v["ess_bulk"]), _count(v["ess_tail"]), _r_hat(v["r_hat"]),
    )  # fmt: skip


def _dims(fit: Fit, name: str) -> list[str]:
    return [str(d).replace("_", " ") for d in fit.estimands[name].dims if d not in ("chain", "draw")]


def _element(row: str) -> str:
    return row.partition("[")[2].removesuffix("]")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _counted(count: int, noun: str) -> str:
    return f"{count:,d} {noun}{' is' if count == 1 else 's are'}"


def _count(value: float) -> Cell:
    return f"{round(value):,d}" if math.isfinite(value) else Number(math.nan)


def _r_hat(value: float) -> Cell:
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
        out.append(interval_plot(labels, *numbers.T, prob=prob, kind=kind, xlabel=_label(fit, name)))
    return out


# -- data
# -----------------------------------------------------------------------------------------------------


def _data(fit: Fit) -> Section:
    blocks: list[Block] = []
    rows = _rows_of(fit)
    facts: list[tuple[Cell, ...]] = [("Rows used", rows)]
    facts += [(f"Labels of {role}", f"{len(v):,d}: {short_list(v)}") for role, v in fit.levels.items()]
    data = fit.provenance.get("data", {})
    missing = data.get("missing", {}) if isinstance(data, Mapping) else {}
    facts += [(f"Missing in {role}", int(count)) for role, count in missing.items()]
    if not any(int(count) for count in missing.values()):
        facts.append(("Missing values", "none recorded"))
    blocks.append(Table(("What", "Found"), tuple(facts), "The data as the model read them.", ("left", "left")))
    notes = tuple(getattr(fit, "notes", ()))
    if notes:
        blocks.append(Note("info", "Noticed while reading the table.", tuple(map(str, notes))))
    return Section("Data", "data", tuple(blocks))


# -- assumptions
# ----------------------------------------------------------------------------------------------


def _assumptions(fit: Fit) -> Section:
    lead = Paragraph("The data alone do not decide these answers. They rest on what follows, and change with it.")
    try:
        assumptions = fit.assumptions
    except BayeskitError as error:
        return Section("Assumptions", "assumptions", (lead, Note("warn", "The list is not available.", (str(error),))))
    if not assumptions:
        return Section("Assumptions", "assumptions", (Note("warn", "The model declares no assumption."),))
    rows = tuple((a.name, a.sentence, _formula(a, fit.dials), _LEVELS.get(a.level, a.level)) for a in assumptions)
    blocks: list[Block] = [
        lead,
        Table(("Name", "In words", "In numbers", "What it is"), rows, "Every assumption of this fit."),
    ]
    dials = tuple(_dial_row(d, fit.dials) for a in assumptions for d in a.dials.values())
    if dials:
        caption = "Every number that the assumptions hold. Turn one with fit.refit(dials={name: value})."
        columns = ("Dial", "Used", "Default", "Range", "What it is")
        blocks.append(Table(columns, dials, caption))
    return Section("Assumptions", "assumptions", tuple(blocks))


def _formula(assumption: Assumption, dials: Mapping[str, float]) -> str:
    text = assumption.describe(dials)
    prior = assumption.prior
    if prior is None:
        return text or "–"
    each = f", for each {' and '.join(prior.dims)}" if prior.dims else ""
    return f"{assumption.name} ~ {text}{each}"


def _dial_row(dial: Any, dials: Mapping[str, float]) -> tuple[Cell, ...]:
    used = float(dials.get(dial.name, dial.value))
    return (dial.name, used, float(dial.value), f"{_bound(dial.low)} to {_bound(dial.high)}", dial.sentence)


def _bound(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return "0" if abs(value) < 1e-100 else f"{value:g}"  # an open bound at 0 is written as a tiny number


# -- checks
# ---------------------------------------------------------------------------------------------------


def _checks(verdict: Verdict) -> Section:
    rows = tuple((_title(r), f"{_SIGNS[r.status]} {r.status.value}", r.text, r.advice or None) for r in verdict.results)
    blocks: list[Block] = [
        Table(
            ("Check", "Outcome", "Finding", "What to do next"),
            rows,
            "The gate. The worst outcome is the verdict.",
        )
    ]
    for result in verdict.concerns:
        if result.table:
            blocks.append(_worst_table(result))
    return Section("Checks", "checks", tuple(blocks))


def _title(result: CheckResult) -> str:
    return _TITLES.get(result.name, result.name.replace("_", " "))


def _worst_table(result: CheckResult) -> Table:
    keys = list(dict.fromkeys(k for row in result.table for k in row))
    columns = tuple(_HEADINGS.get(k, k.replace("_", " ").capitalize()) for k in keys)
    rows = tuple(tuple(_plain_cell(k, row.get(k)) for k in keys) for row in result.table)
    return Table(columns, rows, f"{_title(result)}: the worst cases.")


def _plain_cell(key: str, value: Any) -> Cell:
    if value is None:
        return Number(math.nan)
    if not isinstance(value, int | float):
        return str(value)
    if key == "r_hat":
        return _r_hat(float(value))
    return _count(float(value)) if key.startswith("ess") else value


# -- provenance
# -----------------------------------------------------------------------------------------------


def _provenance(fit: Fit, prob: float, kind: str) -> Section:
    record = fit.provenance
    versions = record.get("versions", {})
    rows = [*_flat({k: v for k, v in record.items() if k != "versions"})]
    if versions:
        rows.append(("Versions", ", ".join(f"{k} {v}" for k, v in versions.items())))
    rows.append(("Intervals", interval_phrase(prob, kind)))
    promise = "Same seed, versions and machine: same draws. Elsewhere they agree within Monte Carlo error."
    table = Table(("What", "Value"), tuple(rows), promise, ("left", "left"))
    return Section(
        "Provenance",
        "provenance",
        (table, Code(_specification(fit), "The specification of the model, as JSON.")),
    )


def _flat(record: Mapping[str, Any], prefix: str = "") -> list[tuple[Cell, ...]]:
    out: list[tuple[Cell, ...]] = []
    for key, value in record.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            out += _flat(value, f"{name}: ")
        elif value is not None:
            plain: Cell = value if isinstance(value, str | float) else str(value)
            out.append((name[:1].upper() + name[1:], plain))
    return out


def _specification(fit: Fit) -> str:
    text = fit.spec.to_json()
    try:
        return json.dumps(json.loads(text) if isinstance(text, str) else text, indent=2, ensure_ascii=False)
    except ValueError:
        return str(text)
