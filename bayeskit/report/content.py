"""The content tree of a report: what is said, apart from how it is printed.

Text is plain text everywhere; a renderer escapes it. Numbers stay numbers down to the renderer, with their
Monte Carlo error beside them, so that a table prints as many digits as the draws support and a machine still
gets all of them.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Literal

__all__ = [
    "NOTE_WORDS",
    "Block",
    "Cell",
    "Code",
    "Figure",
    "Note",
    "NoteKind",
    "Number",
    "Paragraph",
    "Report",
    "Section",
    "Table",
    "decimals",
    "format_cell",
    "format_number",
    "interval_phrase",
    "interval_sentence",
    "is_numeric",
    "marked",
    "probability",
    "quantile_mcse",
    "short_list",
]

NoteKind = Literal["pass", "info", "warn", "fail", "partial", "not computed"]
Alignment = Literal["left", "right", "center"]

NOTE_WORDS: dict[NoteKind, str] = {
    "pass": "Pass", "info": "Note", "warn": "Warning", "fail": "Failure", "partial": "Partial",
    "not computed": "Not computed",
}  # fmt: skip
"""The word for each kind of note, so that it never rests on a colour or a sign alone."""

_FIGURES = 3  # significant digits of a number without a Monte Carlo error
_MOST_DECIMALS = 6
# text that stands among numbers, such as "> 0.999" and "2 to 5"
_NUMERIC = re.compile(r"^[<>]? ?[-−]?[\d.,]+ ?%?$")
_RANGE = re.compile(r"^[-−]?[\d.,]+ to [-−]?[\d.,]+$")


@dataclass(frozen=True, slots=True)
class Number:
    """A number with its Monte Carlo error, which decides how many digits are printed.

    Parameters
    ----------
    value : float
        The number; NaN prints as "not computed".
    mcse : float, optional
        Its Monte Carlo standard error, in the same units.
    """

    value: float
    mcse: float | None = None


type Cell = str | int | float | Number | None


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text.

    Parameters
    ----------
    text : str
        What is said.
    mark : str
        Label of a text whose numbers are not to be relied on.
    """

    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that must not be missed.

    Parameters
    ----------
    kind : {"pass", "info", "warn", "fail", "partial", "not computed"}
        Printed as a word and a sign, never as a colour alone.
    text : str
        First sentence.
    details : tuple of str
        Further lines, one item each.
    """

    kind: NoteKind
    text: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """Text of a program or a specification, printed as it is."""

    text: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names the rows.

    Parameters
    ----------
    columns : tuple of str
        Headings.
    rows : tuple of tuple of cells
        Text, whole numbers, floats, `Number` or None (printed as a dash: nothing to say).
    caption : str
        What the table shows, intervals with their kind and probability.
    alignment : tuple of {"left", "right", "center"}
        One a column; by default numbers are on the right.
    mark : str
        Label of a table that is not to be relied on, such as ``"Failed checks: do not use"``. Its numbers are
        struck out.
    provisional : bool
        True where `mark` is a caution only and numbers are not struck out.

    Raises
    ------
    ValueError
        If a row or `alignment` has another length than `columns`.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    alignment: tuple[Alignment, ...] = ()
    mark: str = ""
    provisional: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "rows", tuple(tuple(row) for row in self.rows))
        for i, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"Row {i} of the table has {len(row)} cells; it has {len(self.columns)} columns.")
        if not self.alignment:
            object.__setattr__(self, "alignment", tuple(self._side(j) for j in range(len(self.columns))))
        if len(self.alignment) != len(self.columns):
            raise ValueError(f"alignment has {len(self.alignment)} entries; the table has {len(self.columns)} columns.")

    def _side(self, column: int) -> Alignment:
        cells = [row[column] for row in self.rows if row[column] is not None]
        return "right" if cells and all(not isinstance(c, str) or _NUMERIC.match(c) for c in cells) else "left"


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture, with its content in words.

    Parameters
    ----------
    data : bytes
        An SVG document or a PNG file.
    alt : str
        The content in words and numbers, for people who cannot see the picture; required.
    caption : str
        What the figure shows, intervals with their kind and probability.
    mark : str
        Label of a figure that is not to be relied on.
    mermaid : str
        The same as Mermaid text, which forges draw where Markdown cannot hold the picture; empty where there is none.

    Raises
    ------
    ValueError
        For an empty `alt`, or data that are neither SVG nor PNG.
    """

    data: bytes
    alt: str
    caption: str = ""
    mark: str = ""
    mermaid: str = ""

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError("alt is empty: a figure needs its content in words and numbers.")
        if not (self.data.startswith(b"\x89PNG\r\n\x1a\n") or b"<svg" in self.data[:1000]):
            raise ValueError("data is neither a PNG file nor an SVG document.")

    @property
    def media_type(self) -> str:
        """``"image/png"`` or ``"image/svg+xml"``."""
        return "image/png" if self.data.startswith(b"\x89PNG") else "image/svg+xml"

    def _repr_png_(self) -> bytes | None:
        return self.data if self.media_type == "image/png" else None

    def _repr_svg_(self) -> str | None:
        return self.data.decode() if self.media_type != "image/png" else None


type Block = Paragraph | Note | Code | Table | Figure


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    id: str
    blocks: tuple[Block, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report.

    Parameters
    ----------
    title : str
        Heading of the document.
    banner : Note
        The verdict. A renderer prints it before anything else.
    sections : tuple of Section
        In reading order.
    subtitle : str
        One line under the title.
    facts : mapping
        What a machine wants beside the text, as JSON-able values: verdict, exit code, provenance.
    """

    title: str
    banner: Note
    sections: tuple[Section, ...]
    subtitle: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> NoteKind:
        """What the first line says, for machines: "pass", "warn", "fail", "partial" or "not computed"."""
        return self.banner.kind

    def figures(self) -> tuple[Figure, ...]:
        """Every figure, in order."""
        return tuple(b for s in self.sections for b in s.blocks if isinstance(b, Figure))

    def tables(self) -> tuple[Table, ...]:
        """Every table, in order."""
        return tuple(b for s in self.sections for b in s.blocks if isinstance(b, Table))


def marked(
    sections: Iterable[Section], mark: str, provisional: bool = False, texts: Callable[[Section], bool] = lambda section: True
) -> tuple[Section, ...]:
    """Return the sections with tables, figures and texts with numbers labelled as not to be relied on.

    `texts` says of which sections texts are labelled: those that explain how to read numbers need not be.
    """
    return tuple(
        dataclasses.replace(s, blocks=tuple(_marked(block, mark, provisional, texts(s)) for block in s.blocks))
        for s in sections
    )


def _marked(block: Block, mark: str, provisional: bool, texts: bool) -> Block:
    if isinstance(block, Table):
        return dataclasses.replace(block, mark=mark, provisional=provisional)
    if isinstance(block, Figure):
        return dataclasses.replace(block, alt=f"{mark}. {block.alt}", mark=mark)
    if texts and isinstance(block, Paragraph) and any(c.isdigit() for c in block.text):
        return dataclasses.replace(block, mark=mark)
    return block


def is_numeric(cell: Cell) -> bool:
    """Whether a cell holds a number, or text that is one, such as "> 0.999" and the range "2 to 5"."""
    if isinstance(cell, str):
        return bool(_NUMERIC.match(cell) or _RANGE.match(cell))
    return cell is not None


def decimals(mcse: float) -> int:
    """Return how many decimals a Monte Carlo error allows: the unit of the last one is not below the error.

    So ``mcse=0.004`` gives 2: the second decimal hardly changes in another run, the third is noise.
    """
    return min(_MOST_DECIMALS, max(0, math.floor(-math.log10(mcse) + 1e-9)))


def format_number(value: float, mcse: float | None = None) -> str:
    """Print a number with the digits that its Monte Carlo error allows, else with three significant ones."""
    if math.isnan(value):
        return "not computed"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if mcse is not None and math.isfinite(mcse) and mcse > 0:
        text = f"{value:,.{decimals(mcse)}f}"
    elif value == 0:
        return "0"
    elif abs(value) < 1e-4 or abs(value) >= 1e7:
        return f"{value:.{_FIGURES - 1}e}"
    else:
        places = max(0, _FIGURES - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{places}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def format_cell(cell: Cell) -> str:
    """Print a cell as plain text; nothing is escaped."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Number):
        return format_number(cell.value, cell.mcse)
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int) or (hasattr(cell, "dtype") and cell.dtype.kind in "iu"):
        return f"{int(cell):,d}"
    return format_number(float(cell))


def probability(share: float, draws: float) -> Cell:
    """Return a probability that was counted over draws, as a cell.

    Parameters
    ----------
    share : float
        Share of draws, from 0 to 1.
    draws : float
        Effective number of draws.

    Returns
    -------
    Number or str
        A share of 0 or 1 is printed as a bound (``"> 0.999"``), for no number of draws shows certainty (rule
        of three), and a share near to them with a digit more than its error allows.
    """
    if not 0.0 <= share <= 1.0 or math.isnan(share):
        return Number(math.nan)
    # Cut, not rounded to nearest: rounding up would turn the bound 0.9997 into certainty.
    bound = min(3.0 / max(draws, 3.0), 1.0)
    places = max(1, math.floor(-math.log10(bound))) if bound < 1 else 1
    step = 10.0**-places
    if share >= 1.0 - step:
        return f"> {1.0 - step:.{places}f}"
    if share <= step:
        return f"< {step:.{places}f}"
    error = math.sqrt(share * (1.0 - share) / max(draws, 1.0))
    # A share of 0.996 with two decimals would read as certainty.
    return f"{share:.{places}f}" if round(share, decimals(error)) in (0.0, 1.0) else Number(share, error)


def quantile_mcse(mcse_mean: float, level: float) -> float:
    """Return the Monte Carlo error of a quantile from that of the mean, for draws that are near to normal.

    The factor ``sqrt(p (1 - p)) / phi(z_p)`` is 1.25 for the median and 2.7 for the 2.5 % quantile.
    """
    normal = NormalDist()
    return mcse_mean * math.sqrt(level * (1.0 - level)) / normal.pdf(normal.inv_cdf(level))


def interval_sentence(prob: float, kind: str) -> str:
    """Return how intervals are to be read: kind, probability and condition, in one sentence."""
    tail = f"{100 * (1 - prob) / 2:.3g} %"
    if kind == "hdi":
        what = f"highest-density intervals (HDI), the narrowest that hold {100 * prob:g} % of the posterior"
    else:
        what = f"equal-tailed credible intervals (ETI), with {tail} of the posterior below and {tail} above"
    end = "They are conditional on the model and on the assumptions listed here."
    return f"Intervals are {100 * prob:g} % {what}. {end}"


def interval_phrase(prob: float, kind: str) -> str:
    """Return kind and probability of an interval in few words, ``"95 % equal-tailed"``."""
    return f"{100 * prob:g} % {'highest-density' if kind == 'hdi' else 'equal-tailed'}"


def short_list(labels: Sequence[str], most: int = 12) -> str:
    """Return labels as one line, the first `most` of them and the number of the rest."""
    shown = ", ".join(labels[:most])
    return f"{shown} and {len(labels) - most:,d} more" if len(labels) > most else shown
