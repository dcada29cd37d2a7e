"""What answers rest on, as part of a report: results of the sensitivity analysis with their sentences, pictures and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from bayeskit.errors import BayeskitError, SpecificationError
from bayeskit.report.content import Block, Cell, Figure, Note, Paragraph, Section, Table

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit
    from bayeskit.report.request import Request

__all__ = ["Answered", "answer_blocks", "frame_table", "sensitivity_section", "titled"]

_MOST = 30  # rows of a table in a document; the results themselves have all
_FINE = 8  # rows that a table of states has at least, "ok" ones among them
_QUICK = (
    "Every top-level prior and constraint against every headline quantity, from the draws of this fit: it takes no refit, and "
    "does not reach assumptions without a density. Where an answer is said to rest on an assumption, that is no error: it is "
    "known what it rests on."
)


class Answered(Protocol):
    """What every result of the sensitivity analysis has."""

    @property
    def headline(self) -> str:
        """What was found, in one line."""

    @property
    def table(self) -> pd.DataFrame:
        """Every number behind it."""

    def to_json(self) -> str:
        """All of it for machines."""


def titled(results: Mapping[str, Answered] | Sequence[Answered]) -> dict[str, Answered]:
    """Return results by heading; those of a sequence are named after what they are, repeated ones are numbered."""
    for found in results.values() if isinstance(results, Mapping) else results:
        if not hasattr(found, "headline") or not hasattr(found, "table"):
            raise SpecificationError(
                f"sensitivity holds a {type(found).__name__}, which is no result of the sensitivity analysis: give what "
                "fit.sensitivity(), sweep, tipping_point, influence, bounds and the like return."
            )
    if isinstance(results, Mapping):
        return {str(k): v for k, v in results.items()}
    out: dict[str, Answered] = {}
    for found in results:
        name = "".join(f" {c.lower()}" if c.isupper() else c for c in type(found).__name__).strip().capitalize()
        same = sum(title == name or title.startswith(f"{name} (") for title in out)
        out[f"{name} ({same + 1})" if same else name] = found
    return out


def sensitivity_section(fit: Fit, request: Request) -> tuple[Section, ...]:
    """What was given, or the answer that the draws at hand give; nothing where an empty collection was given."""
    if request.sensitivity is None:
        blocks = _quick(fit, request.prob)
    else:
        blocks = []
        for title, found in titled(request.sensitivity).items():
            blocks += [Paragraph(f"{title}."), *answer_blocks(found)]
    return (Section("What the answer rests on", "sensitivity", tuple(blocks)),) if blocks else ()


def _quick(fit: Fit, prob: float) -> list[Block]:
    if fit.aggregate is None and fit.statistics is None:
        return [Note("not computed", "The run was loaded without its statistics: what the answer rests on is not computed.")]
    try:
        found = fit.sensitivity(prob=prob)
    except (BayeskitError, ValueError) as error:
        return [Note("not computed", "What the answer rests on could not be computed.", (str(error),))]
    return [Paragraph(_QUICK), *answer_blocks(found)]


def answer_blocks(found: Any) -> list[Block]:
    """Headline, sentences, picture and table of one result."""
    blocks: list[Block] = [Paragraph(found.headline)]
    sentences = getattr(found, "sentences", None)
    blocks += [Paragraph(text) for text in (sentences() if callable(sentences) else ())]
    frame = getattr(found, "shown", found.table)
    if hasattr(found, "plot") and len(frame):
        picture = _picture(found)
        blocks += [] if picture is None else [picture]
    blocks.append(frame_table(*_telling(frame)))
    return blocks


def _telling(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Rows that say something, and a caption: of "ok" ones the first few, of those not computed one for each assumption."""
    if not {"state", "assumption"} <= set(frame.columns):
        return frame, ""
    fine, silent = frame["state"] == "ok", frame["state"] == "not computed"
    again = silent & frame[silent].duplicated("assumption").reindex(frame.index, fill_value=False)
    kept = ~fine & ~again
    kept |= fine & (fine.cumsum() <= max(0, _FINE - int(kept.sum())))
    ok, lost = int((fine & ~kept).sum()), int(again.sum())
    told = [f"{ok} more rows are ok: the quantity hardly moves."] if ok else []
    told += [f"{lost} more rows of the same assumptions are not computed."] if lost else []
    return frame[kept], " ".join(told)


def _picture(found: Any) -> Figure | None:
    try:
        picture: Figure = found.plot()
    except SpecificationError:  # nothing in it that could be drawn: the table says why
        return None
    return picture


def frame_table(frame: pd.DataFrame, caption: str = "") -> Table:
    """Return a DataFrame as a table of at most 30 rows; column names lose their underscores."""
    named = frame.reset_index() if frame.index.name else frame
    shown = named.head(_MOST)
    parts = [caption] if caption else []
    parts += [f"{_MOST} of {len(named)} rows; the result itself has all."] if len(named) > _MOST else []
    rows = tuple(tuple(_cell(v) for v in row) for row in shown.itertuples(index=False))
    return Table(tuple(str(c).replace("_", " ") for c in named.columns), rows, " ".join(parts))


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return None if math.isnan(number) else int(number) if number.is_integer() and abs(number) < 1e9 else number
