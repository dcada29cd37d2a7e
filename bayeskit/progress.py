"""Progress on anything that takes over two seconds, on standard error and only for a person."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

__all__ = ["SamplingProgress"]


class SamplingProgress:
    """A rich progress bar that appears after two seconds and vanishes when the work is done.

    Parameters
    ----------
    enabled : bool
        False shows nothing at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._started = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        self._label = ""
        self._total: int | None = None

    def __enter__(self) -> SamplingProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage(self, label: str, total: int | None = None) -> None:
        """Name what is being done now; `total` is the number of steps where it is known."""
        self._label, self._total = label, total
        if not self.enabled:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            console = Console(stderr=True)
            if not console.is_terminal and not console.is_jupyter:
                self.enabled = False
                return
            self._bar = Progress(
                SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
                console=console, transient=True,
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task(label, total=total)
        else:
            self._bar.update(self._task, description=label, total=total, completed=0)

    def update(self, chains: list[Any]) -> None:
        """Take the sampler's report: one object a chain with its finished draws and divergences."""
        if self._bar is None:
            return
        done = sum(int(c.finished_draws) for c in chains)
        divergences = sum(int(c.divergences) for c in chains)
        note = f", {divergences} divergences" if divergences else ""
        self._bar.update(self._task, completed=done, description=f"{self._label}{note}")

    def step(self, done: int, note: str = "") -> None:
        """Say how many of the stage's steps are finished."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=f"{self._label}{note}")
