"""Several fits side by side: what they assume, what they say, and which predicts better where that can be said."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayeskit.errors import BayeskitError, SpecificationError
from bayeskit.report import Figure, Note, Number, Paragraph, Report, Section, Table, render
from bayeskit.report.build import FAILED, PARTIAL, UNCHECKED
from bayeskit.report.content import Block, Cell, NoteKind, interval_phrase, interval_sentence, marked, quantile_mcse
from bayeskit.report.figures import interval_plot
from bayeskit.report.gate import verdict_note
from bayeskit.report.palette import SERIES
from bayeskit.report.render import check_suffix
from bayeskit.sensitivity.loo import loo_difference
from bayeskit.verdict import Status

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit

__all__ = ["Comparison", "compare"]

_MOST = 60  # quantities of the table
_DRAWN = 36  # rows of a figure
_PICTURES = 4
_SEVERITY: tuple[NoteKind, ...] = ("pass", "not computed", "warn", "partial", "fail")
_ABSENT = "–"


@dataclass(frozen=True)
class Comparison:
    """Fits side by side.

    Attributes
    ----------
    fits : dict of str to Fit
        By label, in the order given.
    prob : float
        Probability of the equal-tailed intervals.
    loo : bool
        Whether predictive accuracy is compared.
    """

    fits: dict[str, Fit]
    prob: float = 0.95
    loo: bool = True

    @property
    def table(self) -> pd.DataFrame:
        """Median, lower and upper of every headline quantity, one row a quantity; columns are (label, number)."""
        import pandas as pd

        parts = {label: frame[["median", "lower", "upper"]] for label, frame in self._summaries().items()}
        order = list(dict.fromkeys(str(q) for part in parts.values() for q in part.index))
        return pd.concat(parts, axis=1).reindex(order)

    def _summaries(self) -> dict[str, pd.DataFrame]:
        out = {}
        for label, fit in self.fits.items():
            frame = fit.summary(self.prob)
            names = {str(n) for n, v in fit.estimands.data_vars.items() if v.attrs.get("headline")}
            chosen = [str(row).partition("[")[0] in names for row in frame.index]
            out[label] = frame[chosen] if any(chosen) else frame
        return out

    @property
    def headline(self) -> str:
        """Whether the fits are to be relied on, in one line."""
        bad = [label for label, fit in self.fits.items() if fit.verdict.exit_code]
        warned = [label for label, fit in self.fits.items() if fit.verdict.status is Status.WARN and label not in bad]
        size = len(self.fits)
        if bad:
            worst = self._worst()
            return f"{worst.upper()}: the draws of {len(bad)} of {size} fits are not to be relied on: {', '.join(bad)}"
        if warned:
            return f"WARN: checks of {len(warned)} of {size} fits gave warnings: {', '.join(warned)}"
        return f"PASS: all checks of {size} fits passed"

    def _worst(self) -> NoteKind:
        kinds = [verdict_note(fit.verdict).kind for fit in self.fits.values()]
        return max(kinds, key=_SEVERITY.index)

    def content(self) -> Report:
        """The comparison as a report, for `bayeskit.report.render`."""
        details = tuple(f"{label}: {fit.verdict.headline}" for label, fit in self.fits.items())
        sections = [self._results(), self._differences()]
        if self.loo:
            sections.append(Section("Prediction", "prediction", tuple(self._prediction())))
        facts = {
            "exit_code": max(fit.verdict.exit_code for fit in self.fits.values()),
            "fits": {label: {"verdict": f.verdict.to_dict(), "dials": f.dials} for label, f in self.fits.items()},
        }
        models = ", ".join(dict.fromkeys(type(fit.spec).__name__ for fit in self.fits.values()))
        banner = Note(self._worst(), self.headline, details)
        return Report(f"{len(self.fits)} fits side by side", banner, tuple(sections), models, facts)

    def report(self, path: str | Path) -> Path:
        """Write the comparison; the suffix chooses HTML, Markdown, LaTeX, CSV or JSON."""
        check_suffix(path)
        return render(self.content(), path)

    # -- sections
    # ---------------------------------------------------------------------------------------

    def _results(self) -> Section:
        """One table of the fits that can be relied on, and a marked one of each kind of the others."""
        blocks: list[Block] = [Paragraph(interval_sentence(self.prob, "eti"))]
        groups: dict[str, list[str]] = {}
        for label, fit in self.fits.items():
            groups.setdefault(_mark(fit), []).append(label)
        summaries = self._summaries()
        for mark in ("", UNCHECKED, PARTIAL, FAILED):
            if mark in groups:
                here = {label: summaries[label] for label in groups[mark]}
                part: tuple[Block, ...] = (self._side_by_side(here), *self._figures(here))
                section = Section("", "", part)
                blocks += section.blocks if not mark else marked([section], mark, mark != FAILED)[0].blocks
        return Section("Results side by side", "results", tuple(blocks))

    def _side_by_side(self, frames: Mapping[str, pd.DataFrame]) -> Table:
        order = list(dict.fromkeys(str(q) for frame in frames.values() for q in frame.index))
        heads = ["Quantity", *(f"{label}: {what}" for label in frames for what in ("median", "lower", "upper"))]
        rows = tuple((q, *(c for frame in frames.values() for c in _cells(frame, q, self.prob))) for q in order[:_MOST])
        caption = f"Posterior medians with {interval_phrase(self.prob, 'eti')} intervals, fit by fit."
        more = f" {len(order) - _MOST} more quantities are left out." if len(order) > _MOST else ""
        return Table(tuple(heads), rows, caption + more)

    def _figures(self, frames: Mapping[str, pd.DataFrame]) -> list[Figure]:
        """One picture for each estimand: numbers of several do not belong on one axis."""
        names = dict.fromkeys(str(q).partition("[")[0] for frame in frames.values() for q in frame.index)
        drawn = [self._figure(name, frames) for name in names] if len(frames) <= len(SERIES) else []
        return [figure for figure in drawn if figure is not None][:_PICTURES]

    def _figure(self, name: str, frames: Mapping[str, pd.DataFrame]) -> Figure | None:
        labels: list[str] = []
        numbers: list[list[float]] = []
        groups: list[str] = []
        wanted = dict.fromkeys(str(q) for frame in frames.values() for q in frame.index if str(q).partition("[")[0] == name)
        for quantity in wanted:
            for label, frame in frames.items():
                if quantity in frame.index and len(labels) < _DRAWN:
                    row = frame[frame.index == quantity].iloc[0]
                    triple = [float(row[c]) for c in ("median", "lower", "upper")]
                    if all(map(math.isfinite, triple)):
                        element = quantity.removeprefix(name).removeprefix("[").removesuffix("]")
                        own = f" ({label})" if element and len(frames) > 1 else ""
                        labels.append(f"{element}{own}" if element else label)
                        numbers.append(triple)
                        groups.append(label)
        if len(labels) < 2:
            return None
        mid, low, high = zip(*numbers, strict=True)
        told = f"{name.replace('_', ' ')} fit by fit, {interval_phrase(self.prob, 'eti')} intervals."
        caption = told[:1].upper() + told[1:]
        return interval_plot(labels, mid, low, high, prob=self.prob, groups=groups, xlabel=name, caption=caption)

    def _differences(self) -> Section:
        """What was fitted: settings and dials that are not the same, and whether the data are."""
        settings = {label: {"model": type(f.spec).__name__, **f.spec.settings()} for label, f in self.fits.items()}
        dials = {label: {f"dial {k}": v for k, v in f.dials.items()} for label, f in self.fits.items()}
        facts = {
            label: {
                "digest of the data": str(f.provenance["data"].get("digest"))[:16],
                "seed": f.provenance["sampling"].get("seed"),
                "draws": f"{f.draws['posterior'].sizes['chain']} x {f.draws['posterior'].sizes['draw']}",
            }
            for label, f in self.fits.items()
        }
        rows: list[tuple[Cell, ...]] = []
        for part in (settings, dials, facts):
            for key in dict.fromkeys(k for values in part.values() for k in values):
                told = [_told(values.get(key, _ABSENT)) for values in part.values()]
                if len(set(told)) > 1:
                    rows.append((key, *told))
        digests = {v["digest of the data"] for v in facts.values()}
        other = "The fits did not read the same data: numbers may differ for that alone."
        same = "All fits read the same data." if len(digests) == 1 else other
        blocks: list[Block] = [Paragraph(same)]
        if rows:
            blocks.append(Table(("What", *self.fits), tuple(rows), "What differs between the fits; all else is the same."))
        else:
            blocks.append(Paragraph("No setting, dial or seed differs."))
        return Section("What differs", "differences", tuple(blocks))

    def _prediction(self) -> Iterable[Block]:
        """Leave-one-out accuracy of each, and differences where the same rows are predicted by the same kind of likelihood."""
        found: dict[str, Any] = {}
        rows: list[tuple[Cell, ...]] = []
        for label, fit in self.fits.items():
            try:
                if fit.statistics is None:
                    raise SpecificationError("the run was loaded without its statistics")
                found[label] = fit.loo(next(iter(fit.spec.units(fit.statistics)), "row"))
            except (BayeskitError, NotImplementedError) as error:
                rows.append((label, None, None, None, str(error).splitlines()[0]))
                continue
            one = found[label]
            note = f"{one.unreliable} unreliable" if one.unreliable else "all k-hat good"
            rows.append((label, Number(one.elpd, 0.1), Number(one.se, 0.1), Number(one.p_loo, 0.1), note))
        heads = ("Fit", "elpd", "Standard error", "p_loo", "Remark")
        yield Table(heads, tuple(rows), "Leave-one-out prediction: log predictive density, more is better.")
        pairs: list[tuple[Cell, ...]] = []
        for first, second in combinations(found, 2):
            gap = loo_difference(found[first], found[second])
            numbers = (None, None) if gap.reason else (Number(gap.elpd, 0.1), Number(gap.se, 0.1))
            pairs.append((f"{first} less {second}", *numbers, gap.reason or "comparable"))
        if pairs:
            yield Table(("Difference", "elpd", "Standard error", "Remark"), tuple(pairs), "Differences, row by row.")

    def to_json(self) -> str:
        """Numbers and verdicts as strict JSON."""
        quantities = {
            label: {str(q): {k: _finite(float(row[k])) for k in ("median", "lower", "upper")} for q, row in frame.iterrows()}
            for label, frame in self._summaries().items()
        }
        told = {"schema": "bayeskit.comparison/1", "headline": self.headline, "prob": self.prob, "quantities": quantities}
        return json.dumps(told, ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        return f"{self.headline}\n{self.table.to_string(float_format='{:.4g}'.format)}"


def compare(
    fits: Sequence[Fit] | Mapping[str, Fit], labels: Sequence[str] | None = None, *, prob: float = 0.95, loo: bool = True
) -> Comparison:
    """Put several fits side by side.

    Parameters
    ----------
    fits : sequence of Fit or mapping of str to Fit
        Two or more; of one model or of several.
    labels : sequence of str, optional
        Names for a sequence; "fit 1", "fit 2" and so on where none are given.
    prob : float
        Probability of the equal-tailed intervals.
    loo : bool
        Compare predictive accuracy too, where the fits have their statistics and name units.

    Returns
    -------
    Comparison
        With ``table``, ``report(path)`` and the worst verdict in its first line. Averages over fits are not taken.

    Raises
    ------
    SpecificationError
        For fewer than two fits, or labels that are missing or repeated.
    """
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob is {prob!r}; it must lie strictly between 0 and 1 (0.95, not 95).")
    if isinstance(fits, Mapping):
        if labels is not None:
            raise SpecificationError("labels are for a sequence of fits; a mapping has its own.")
        named = {str(k): v for k, v in fits.items()}
    else:
        given = [f"fit {i}" for i in range(1, len(fits) + 1)] if labels is None else [str(v) for v in labels]
        if len(given) != len(fits) or len(set(given)) != len(given):
            raise SpecificationError(f"labels={given!r}: {len(fits)} different ones are needed, one for each fit.")
        named = dict(zip(given, fits, strict=True))
    if len(named) < 2:
        raise SpecificationError(f"{len(named)} fit{'s' * (len(named) != 1)}: two or more are compared.")
    return Comparison(named, prob, loo)


def _mark(fit: Fit) -> str:
    if fit.verdict.status is Status.FAIL:
        return FAILED
    return PARTIAL if fit.partial else UNCHECKED if fit.verdict.exit_code else ""


def _cells(frame: pd.DataFrame, quantity: str, prob: float) -> tuple[Cell, Cell, Cell]:
    if quantity not in frame.index:
        return None, None, None
    row: Any = frame[frame.index == quantity].iloc[0]
    error = float(row["mcse_mean"])
    end = quantile_mcse(error, (1.0 - prob) / 2.0)
    return (
        Number(float(row["median"]), quantile_mcse(error, 0.5)),
        Number(float(row["lower"]), end),
        Number(float(row["upper"]), end),
    )


def _told(value: Any) -> str:
    return (
        value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
