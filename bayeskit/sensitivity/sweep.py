"""The same question under other dials: refits on one compiled model, side by side, cached and resumable."""

from __future__ import annotations

import hashlib
import html
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from bayeskit.errors import BayeskitError, SpecificationError
from bayeskit.progress import SamplingProgress

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit
    from bayeskit.report.content import Figure

__all__ = ["Cell", "Sweep", "cell_seed", "sweep"]

_WORST = 200  # cells: a grid beyond that is a slip of the pen more often than a plan
_DRAWN = 48  # rows of a figure that can still be read
_FITTED = "as fitted"


type Job = tuple[dict[str, float], dict[str, Any], Path | None]
"""What the dials are, the settings of the sampler, and the file that keeps the refit."""


@dataclass(frozen=True)
class Cell:
    """One setting of the dials and what came of it.

    Attributes
    ----------
    dials : dict of str to float
        The dials that the sweep turned.
    status : str
        Verdict of the refit (PASS, WARN, FAIL, NOT COMPUTED), or "ERROR".
    fit : Fit or None
        The refit; None where there is none.
    message : str
        The error, where there is no fit.
    """

    dials: dict[str, float]
    status: str
    fit: Fit | None
    message: str = ""


@dataclass(frozen=True)
class Sweep:
    """Estimands over settings of dials; cells that failed stay in their place.

    Attributes
    ----------
    cells : tuple of Cell
        In the order of the settings.
    base : Fit
        The fit that was swept.
    prob : float
        Probability of the equal-tailed intervals.
    """

    cells: tuple[Cell, ...]
    base: Fit
    prob: float

    @property
    def failed(self) -> tuple[Cell, ...]:
        """Cells without a fit, or whose checks failed."""
        return tuple(c for c in self.cells if c.status in ("ERROR", "FAIL", "NOT COMPUTED"))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each cell and headline quantity: the dials, status, quantity, mean, lower, upper, message."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for cell in self.cells:
            if cell.fit is None:
                rows.append({**cell.dials, "status": cell.status, "quantity": "", "message": cell.message})
                continue
            found = self._headline(cell.fit)
            for quantity in map(str, found.index):
                numbers = {k: float(found.loc[quantity, k]) for k in ("mean", "lower", "upper")}
                rows.append({**cell.dials, "status": cell.status, "quantity": quantity, **numbers, "message": ""})
        return pd.DataFrame(rows)

    def _headline(self, fit: Fit) -> pd.DataFrame:
        """Summary of the headline quantities of a fit."""
        found = fit.summary(self.prob)
        names = set(self.base._headline())
        return found[[str(i).split("[")[0] in names for i in found.index]]

    @cached_property
    def _sound(self) -> tuple[tuple[str, pd.DataFrame], ...]:
        """What the dials were and the headline quantities: the fit that was swept, then every cell whose checks let it pass."""
        refits = [
            (_dials_told(c.dials, self.base.dials), self._headline(c.fit)) for c in self.cells if c.fit and c not in self.failed
        ]
        return ((_FITTED, self._headline(self.base)), *refits)

    @property
    def headline(self) -> str:
        """How many settings, and how many failed, in one line."""
        told = f"{len(self.cells)} settings of {', '.join(self.cells[0].dials)}; {self.prob:.0%} equal-tailed intervals"
        return f"{len(self.failed)} of {told} failed" if self.failed else told

    def sentences(self) -> tuple[str, ...]:
        """How far the answer moves, where the checks let a refit pass."""
        (_, base), *refits = self._sound
        moves = [
            (abs(float(found.loc[i, "mean"] - base.loc[i, "mean"]) / float(base.loc[i, "sd"])), str(i), told, found)
            for told, found in refits
            for i in base.index.intersection(found.index)
            if float(base.loc[i, "sd"]) > 0.0
        ]
        known = [move for move in moves if math.isfinite(move[0])]
        if not known:
            return ()
        far, quantity, told, found = max(known, key=lambda move: move[0])
        return (
            f"The mean that moves farthest from this fit's is that of {quantity}: with {told} it is "
            f"{_interval(found.loc[quantity])}, in the fit {_interval(base.loc[quantity])}. "
            f"That is {far:.2g} posterior standard deviations of the fit.",
        )

    def plot(self) -> Figure:
        """Intervals of the headline quantities: in the fit, and in every refit whose checks let it pass.

        Raises
        ------
        SpecificationError
            If no refit passed its checks: there is nothing to lay beside the fit.
        """
        from bayeskit.report.figures import interval_plot

        if len(self._sound) < 2:
            raise SpecificationError("No refit of this sweep passed its checks, so there is nothing to draw beside the fit.")
        rows = [
            (told, i, found.loc[i])
            for i in self._sound[0][1].index
            for told, found in self._sound
            if i in found.index and np.isfinite(found.loc[i, ["median", "lower", "upper"]].to_numpy(float)).all()
        ]
        shown = rows[:_DRAWN]
        left = f" {len(shown)} of {len(rows)} intervals; the table has more." if len(shown) < len(rows) else ""
        lost = f" {len(self.failed)} settings without a sound fit are not drawn." if self.failed else ""
        return interval_plot(
            [str(i) if told == _FITTED else told for told, i, _ in shown],
            *([float(row[column]) for *_, row in shown] for column in ("median", "lower", "upper")),
            prob=self.prob, groups=[_FITTED if told == _FITTED else "under other dials" for told, *_ in shown],
            caption=f"Medians with {self.prob:.0%} equal-tailed intervals: the fit, and below it other dials.{left}{lost}",
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"{self.headline}\n{self.table.round(3).to_string(index=False)}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.headline)}</p>{self.table.round(3).to_html(index=False)}"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        rows = [{k: _plain(v) for k, v in row.items()} for row in self.table.to_dict("records")]
        facts = {"prob": self.prob, "headline": self.headline, "failed": [c.dials for c in self.failed]}
        return json.dumps({"schema": "bayeskit.sweep/1", **facts, "rows": rows}, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _dials_told(dials: Mapping[str, float], base: Mapping[str, float]) -> str:
    """The dials that differ from the fit's, or all of them where none does."""
    turned = {name: value for name, value in dials.items() if value != base.get(name)}
    return ", ".join(f"{name}={value:g}" for name, value in (turned or dials).items())


def _interval(row: pd.Series) -> str:
    return f"{row['mean']:.3g} ({row['lower']:.3g} to {row['upper']:.3g})"


def cell_seed(root: int, dials: Mapping[str, float]) -> int:
    """Seed of a cell: it depends on the root seed and the cell's own dials, so that more cells move none."""
    words = np.frombuffer(hashlib.sha256(_text(dials).encode()).digest(), dtype=np.uint32)
    return int(np.random.SeedSequence([root, *map(int, words)]).generate_state(1)[0])


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def sweep(
    fit: Fit,
    dials: Mapping[str, Sequence[float]],
    *,
    grid: bool = False,
    executor: Executor | None = None,
    cache: str | Path | None = None,
    prob: float = 0.95,
    progress: bool = False,
    **sampling: Any,
) -> Sweep:
    """Refit under other dials; see `Fit.sweep`."""
    statistics = fit._need_statistics("be swept")
    settings = _settings(fit, dials, grid)
    for setting in settings:  # a dial out of range is the caller's slip: said before anything runs
        fit.spec.set_dials(statistics, {**fit.dials, **setting})
    folder = None if cache is None else Path(cache)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    root = int(fit.provenance["sampling"]["seed"])
    cells: dict[int, Cell] = {}
    todo: list[tuple[int, Job]] = []
    for place, setting in enumerate(settings):
        job = (setting, {**sampling, "seed": cell_seed(root, {**fit.dials, **setting})}, _file(fit, folder, setting, sampling))
        kept = _kept(job[2])
        if kept is not None:
            cells[place] = Cell(setting, kept.verdict.status.value, kept)
        else:
            todo.append((place, job))
    with SamplingProgress(progress) as bar:
        bar.stage("Refits under other dials", len(settings))
        bar.step(len(cells))
        for place, cell in _one_by_one(fit, todo) if executor is None else _side_by_side(fit, executor, todo):
            cells[place] = cell
            bar.step(len(cells))
    return Sweep(tuple(cells[place] for place in sorted(cells)), fit, prob)


def _one_by_one(fit: Fit, todo: Sequence[tuple[int, Job]]) -> Iterator[tuple[int, Cell]]:
    for place, job in todo:
        yield place, _cell(fit, *job)


def _side_by_side(fit: Fit, executor: Executor, todo: Sequence[tuple[int, Job]]) -> Iterator[tuple[int, Cell]]:
    """Run cells in an executor. A lost worker is a failed cell, not the end of the sweep."""
    # the draws of the base fit are not needed for a refit and would be sent with every cell
    lean = replace(fit, draws=fit.draws.filter(lambda node: node.path == "/"))
    waiting = {}
    for place, job in todo:
        try:
            waiting[executor.submit(_cell, lean, *job)] = place, job[0]
        except Exception as error:
            yield place, _lost(job[0], error)
    for done in as_completed(waiting):
        place, setting = waiting[done]
        try:
            yield place, done.result()
        except Exception as error:
            yield place, _lost(setting, error)


def _lost(setting: dict[str, float], error: Exception) -> Cell:
    return Cell(setting, "ERROR", None, f"{type(error).__name__}: {error}".strip())


def _settings(fit: Fit, dials: Mapping[str, Sequence[float]], grid: bool) -> list[dict[str, float]]:
    """The settings of a sweep: every combination, or one dial at a time with the others as they are."""
    if not dials or any(len(np.ravel(v)) == 0 for v in dials.values()):
        raise SpecificationError("dials is empty: give at least one value for at least one dial, {'name.parameter': [..]}.")
    values = {name: [float(x) for x in np.ravel(np.asarray(v, dtype=float))] for name, v in dials.items()}
    if grid:
        found = [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    else:
        now = {name: fit.dials.get(name, np.nan) for name in values}
        found = [{**now, name: x} for name, several in values.items() for x in several]
    unique = list({_text(s): s for s in found}.values())
    if len(unique) > _WORST:
        raise SpecificationError(f"{len(unique)} settings are more than {_WORST}: take fewer values, or one dial at a time.")
    return unique


def _cell(fit: Fit, setting: dict[str, float], sampling: dict[str, Any], file: Path | None) -> Cell:
    """Refit one setting, in whichever thread or process, and keep it."""
    try:
        found = fit.refit(dials=setting, **sampling)
    except BayeskitError as error:
        return Cell(setting, "ERROR", None, str(error).splitlines()[0])
    if file is not None:
        # a name of its own: a cluster may run a cell a second time while the first run still writes
        part = file.with_name(f".{file.stem}-{uuid4().hex[:12]}.part.nc")
        found.save(part)
        part.replace(file)  # a run that is killed while it writes leaves no half file behind
    return Cell(setting, found.verdict.status.value, found)


def _file(fit: Fit, folder: Path | None, setting: Mapping[str, float], sampling: Mapping[str, Any]) -> Path | None:
    if folder is None:
        return None
    facts = [fit.spec.to_json(), fit.provenance["data"]["digest"], {**fit.dials, **setting}, sampling]
    return folder / f"{hashlib.sha256(_text([*facts, fit.provenance['sampling']]).encode()).hexdigest()[:24]}.nc"


def _kept(file: Path | None) -> Fit | None:
    """The run of an earlier sweep, unless there is none or it cannot be read."""
    from bayeskit.errors import StorageError
    from bayeskit.storage import load

    if file is None or not file.exists():
        return None
    try:
        found: Fit = load(file)
        return found
    except StorageError:
        return None
