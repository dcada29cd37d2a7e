"""The gate in a report: every check, its outcome, and what to do next."""

from __future__ import annotations

import math
from typing import Any

from bayeskit.report.content import Block, Cell, Note, NoteKind, Number, Section, Table
from bayeskit.report.results import count, r_hat
from bayeskit.verdict import CheckResult, Status, Verdict

__all__ = ["checks_section", "verdict_note"]

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


def verdict_note(verdict: Verdict) -> Note:
    """The verdict as the note that stands before everything else."""
    kind: NoteKind = _KINDS[verdict.status]
    if verdict.partial and verdict.status is not Status.FAIL:
        kind = "partial"
    details = tuple(f"{r.text}{' Next: ' + r.advice if r.advice else ''}" for r in verdict.concerns)
    return Note(kind, str(verdict).splitlines()[0], details)


def checks_section(verdict: Verdict, more: tuple[Block, ...] = ()) -> Section:
    """Every check; `more` stands below."""
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
    return Section("Checks", "checks", (*blocks, *more))


def _title(result: CheckResult) -> str:
    told = result.name.replace("_", " ")
    return _TITLES.get(result.name, told[:1].upper() + told[1:])


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
        return r_hat(float(value))
    return count(float(value)) if key.startswith("ess") else value
