"""Everything needed to run a report's fit again: record, specification, and the lines that do it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bayeskit.errors import BayeskitError
from bayeskit.report.content import Cell, Code, Section, Table, interval_phrase
from bayeskit.report.counts import count_cell
from bayeskit.report.data import without_paths

if TYPE_CHECKING:
    from bayeskit.fit import Fit
    from bayeskit.report.request import Request
    from bayeskit.verdict import Verdict

__all__ = ["appendix_section", "machine_facts", "rerun_code"]

_COUNTS = ("rows", "missing")  # facts of the data that are numbers of rows


def appendix_section(fit: Fit, request: Request) -> Section:
    """Record of the run, specification and code."""
    record = _record(fit)
    versions = record.pop("versions", {})
    rows = _flat(record)
    if versions:
        rows.append(("Versions", ", ".join(f"{k} {v}" for k, v in versions.items())))
    rows.append(("Intervals", interval_phrase(request.prob, request.kind)))
    promise = "Same seed, versions and machine: same draws. Elsewhere they agree within Monte Carlo error."
    blocks = (
        Table(("What", "Value"), tuple(rows), promise, ("left", "left")),
        Code(_specification(fit), "The specification of the model, as JSON."),
        Code(rerun_code(fit), "The same fit again. TABLE is the table with the digest above; the draws are then the same."),
        Code(_installation(versions), "The versions that draws depend on, for a file of requirements."),
    )
    return Section("Provenance", "provenance", blocks)


def machine_facts(fit: Fit, verdict: Verdict, request: Request) -> dict[str, Any]:
    """What a machine wants beside the text."""
    specification: Any = fit.spec.to_json()
    try:
        specification = json.loads(specification)
    except (TypeError, ValueError):
        specification = str(specification)
    return {
        "exit_code": verdict.exit_code,
        "verdict": verdict.to_dict(),
        "model": type(fit.spec).__name__,
        "specification": specification,
        "checklists": list(fit.spec.checklists),
        "dials": dict(fit.dials),
        "interval": {"prob": request.prob, "kind": request.kind},
        "suppress_below": request.suppress_below,
        "on_fail": request.on_fail,
        "provenance": _record(fit),
    }


def rerun_code(fit: Fit) -> str:
    """Lines of Python that make the same fit from the same table."""
    used = fit.provenance.get("sampling", {})
    given = {
        k: used[k] for k in ("draws", "tune", "chains", "seed", "target_accept", "backend", "method") if used.get(k) is not None
    }
    turned = _turned(fit)
    if turned:
        given["dials"] = turned
    arguments = ", ".join(f"{k}={v!r}" for k, v in given.items())
    lines = ["import bayeskit as bk", "", 'TABLE = "table.csv"', f"spec = bk.from_json({str(fit.spec.to_json())!r})"]
    lines.append(f"fit = spec.fit(TABLE, {arguments})")
    data = fit.provenance.get("data", {})
    removed = data.get("without") if isinstance(data, Mapping) else None
    if removed:
        lines.append(f"fit = fit.refit(without={dict(removed)!r})")
    digest = data.get("digest") if isinstance(data, Mapping) else None
    if digest:
        lines.append(f'assert fit.provenance["data"]["digest"] == {digest!r}')
    return "\n".join(lines)


def _turned(fit: Fit) -> dict[str, float]:
    """Dials that differ from their defaults; all of them where the defaults are not known."""
    try:
        default = {k: d.value for a in fit.assumptions for k, d in a.dials.items()}
    except BayeskitError:
        return {k: float(v) for k, v in fit.dials.items()}
    return {k: float(v) for k, v in fit.dials.items() if default.get(k) != v}


def _installation(versions: Mapping[str, str]) -> str:
    named = {k: v for k, v in versions.items() if k != "python" and v != "not installed"}
    head = [f"# Python {versions['python']}"] if "python" in versions else []
    return "\n".join([*head, *(f"{k}=={v}" for k, v in named.items())])


def _record(fit: Fit) -> dict[str, Any]:
    """The provenance of a fit with paths cut and small counts suppressed."""
    record = _cut(fit.provenance)
    data = record.get("data")
    if isinstance(data, dict):
        for key in _COUNTS:
            if isinstance(data.get(key), dict):
                data[key] = {k: count_cell(v) for k, v in data[key].items()}
            elif isinstance(data.get(key), int):
                data[key] = count_cell(data[key])
    return record  # type: ignore[no-any-return]


def _cut(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _cut(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(v) for v in value]
    return without_paths(value) if isinstance(value, str) else value


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
