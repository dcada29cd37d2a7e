"""What checks found and what follows from it: results, and the worst-of rule that makes a verdict of them."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

__all__ = ["CheckResult", "Status", "Verdict"]


class Status(Enum):
    """Outcome of a check. The order is that of the worst-of rule: a later one hides an earlier one."""

    PASS = "PASS"
    NOT_COMPUTED = "NOT COMPUTED"
    WARN = "WARN"
    FAIL = "FAIL"

    @property
    def severity(self) -> int:
        """Position in the worst-of rule, 0 for PASS to 3 for FAIL."""
        return list(Status).index(self)


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Parameters
    ----------
    name : str
        Identifier, such as ``"r_hat"``.
    status : Status
        Outcome.
    text : str
        One sentence with the quantity, its value and the limit.
    advice : str
        What to do next; empty where there is nothing to do.
    table : tuple of dict
        The worst cases, one dict of plain values per row.
    """

    name: str
    status: Status
    text: str
    advice: str = ""
    table: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        out = f"{self.status.value} {self.name}: {self.text}"
        return f"{out}\n      next: {self.advice}" if self.advice else out

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON form (NaN and infinite values become null); `from_dict` reads it back."""
        rows = [{k: _plain(v) for k, v in row.items()} for row in self.table]
        return {
            "name": self.name,
            "status": self.status.value,
            "text": self.text,
            "advice": self.advice,
            "table": rows,
        }

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> CheckResult:
        """Rebuild a result from `to_dict`."""
        table = tuple(dict(row) for row in payload.get("table", ()))
        return cls(payload["name"], Status(payload["status"]), payload["text"], payload.get("advice", ""), table)


@dataclass(frozen=True)
class Verdict:
    """All results of the gate, and the worst of them.

    Parameters
    ----------
    results : tuple of CheckResult
        In the order in which they are shown.
    partial : bool
        True for a run that was interrupted: its draws are real, but it is never PASS.
    approximation : str
        What was approximated instead of sampled: the headline begins with it. Empty for draws of a sampler.
    """

    results: tuple[CheckResult, ...]
    partial: bool = False
    approximation: str = ""

    @property
    def status(self) -> Status:
        """The worst status of any check; no checks at all is NOT COMPUTED, a partial run at best WARN."""
        statuses = [r.status for r in self.results] or [Status.NOT_COMPUTED]
        if self.partial:
            statuses.append(Status.WARN)
        return max(statuses, key=lambda s: s.severity)

    @property
    def headline(self) -> str:
        """The verdict in one line: ``"FAIL: 3 of 9 checks failed: r_hat, ess, divergences"``."""
        line = f"{self.approximation}: {self._line()}" if self.approximation else self._line()
        return f"PARTIAL: sampling stopped before it was finished. {line}" if self.partial else line

    def _line(self) -> str:
        total = len(self.results)
        worst = max((r.status for r in self.results), key=lambda s: s.severity, default=Status.NOT_COMPUTED)
        names = ", ".join(r.name for r in self.results if r.status is worst)
        count = sum(r.status is worst for r in self.results)
        if worst is Status.PASS:
            return f"{'All' if self.partial else 'PASS: all'} {total} checks passed"
        verb = {
            Status.WARN: "gave a warning" if count == 1 else "gave warnings",
            Status.FAIL: "failed",
            Status.NOT_COMPUTED: "could not be computed",
        }[worst]
        if not total:
            return f"{worst.value}: no check was run"
        return f"{worst.value}: {count} of {total} checks {verb}: {names}"

    @property
    def concerns(self) -> tuple[CheckResult, ...]:
        """The results that are not PASS, worst first."""
        rest = [r for r in self.results if r.status is not Status.PASS]
        return tuple(sorted(rest, key=lambda r: -r.status.severity))

    @property
    def exit_code(self) -> int:
        """What a command ends with: 0, or 2 where a check failed or could not be computed, or the run is partial.

        A check that could not be computed is never good news, even where a warning outranks it in the verdict.
        """
        bad = {Status.FAIL, Status.NOT_COMPUTED}
        return 2 if self.partial or bad & {r.status for r in self.results} or self.status in bad else 0

    def adding(self, results: Iterable[CheckResult]) -> Verdict:
        """Return a verdict with more results at the end, such as a model's own checks."""
        return Verdict((*self.results, *results), self.partial, self.approximation)

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"  {r}" for r in self.concerns)])

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li><b>{r.status.value} {html.escape(r.name)}</b>: {html.escape(r.text)}"
            f"{' <i>' + html.escape(r.advice) + '</i>' if r.advice else ''}</li>"
            for r in self.concerns
        )
        return f"<div><p><b>{html.escape(self.headline)}</b></p>{f'<ul>{items}</ul>' if items else ''}</div>"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON form; `from_dict` reads it back."""
        results = [r.to_dict() for r in self.results]
        told = {"approximation": self.approximation} if self.approximation else {}
        return {"status": self.status.value, "partial": self.partial, **told, "results": results}

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> Verdict:
        """Rebuild a verdict from `to_dict`; the status is worked out again, never read."""
        results = tuple(CheckResult.from_dict(r) for r in payload["results"])
        return cls(results, bool(payload.get("partial", False)), str(payload.get("approximation", "")))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
