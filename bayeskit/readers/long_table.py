"""The long table of scores: one row per score, with the facets that the logs state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import DataError

FACETS = ("model", "benchmark", "item", "cluster", "seed", "sample", "template", "checkpoint")
NUMBERS = ("score", "trials", "stderr", "mean", "sd", "n")  # the last three: of a table of summaries
_EXACT = 2**53
_NOTES = b"bayeskit.notes"


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of rows: ``categories[codes]``, with code -1 where there is none."""

    codes: NDArray[np.int64]
    categories: Sequence[str]


@dataclass(eq=False)
class Block:
    """Rows that one file gave.

    Attributes
    ----------
    shown
        The file's name in messages.
    facets
        By name, one label for all rows or one a row. A missing name is a facet that the file does not state.
    numbers
        By name, shape ``(n,)``; NaN is missing.
    places
        Where each row stands in the file, from 1, shape ``(n,)``; None: in order.
    unit
        What `places` counts: ``"line"``, ``"sample"``, ``"entry"`` or ``"row"``.
    """

    shown: str
    facets: dict[str, str | Labels]
    numbers: dict[str, NDArray[np.float64]]
    places: NDArray[np.int64] | None = None
    unit: str = "line"
    notes: list[str] = field(default_factory=list)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(next(iter(self.numbers.values())))

    def place(self, row: int) -> str:
        """Say where a row of the block stands; rows of a table count from 0, as everywhere in the kit."""
        number = row + 1 if self.places is None else int(self.places[row])
        return f"{self.shown}, {self.unit} {number - 1 if self.unit == 'row' else number}"

    def keep(self, rows: NDArray[Any]) -> Block:
        """Return the block with some of its rows (a mask or positions)."""
        facets = {
            name: part if isinstance(part, str) else Labels(part.codes[rows], part.categories)
            for name, part in self.facets.items()
        }
        places = np.arange(1, self.n + 1) if self.places is None else self.places
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return Block(self.shown, facets, numbers, places[rows], self.unit, self.notes)


def labelled(values: Sequence[str | None]) -> Labels:
    """Code labels in the order of their first occurrence."""
    places: dict[str, int] = {}
    codes = [-1 if value is None else places.setdefault(value, len(places)) for value in values]
    return Labels(np.array(codes, np.int64), list(places))


def long_table(blocks: Sequence[Block], notes: Sequence[str], *, repeated: str = "refuse") -> Any:
    """Join blocks to one Arrow table, after checking its numbers and its cells.

    Parameters
    ----------
    blocks
        What the files gave, in order.
    notes
        What the reader has to say beside the table; kept in the schema's metadata.
    repeated
        ``"refuse"`` rows of one cell, or number them as samples with ``"sample"``.

    Raises
    ------
    DataError
        If there is no row, a number is infinite or too large, or a cell occurs more than once.
    """
    blocks = [block for block in blocks if block.n]
    if not blocks:
        raise DataError(
            "The logs hold no scores.",
            rule="a log holds one score or more.",
            fix="check that the runs have finished.",
        )
    for block in blocks:
        _check_numbers(block)
    n = sum(block.n for block in blocks)
    facets = {name: _join(blocks, name) for name in FACETS if any(name in block.facets for block in blocks)}
    groups, times = _cells(list(facets.values()), n)
    if times.max() > 1 and not {"mean", "sd"} & set(blocks[0].numbers):
        if repeated != "sample":
            raise _repeated(blocks, groups, times)
        facets["sample"] = numbered(groups)
    return _arrow(blocks, facets, [*dict.fromkeys([*notes, *(note for block in blocks for note in block.notes)])])


def notes_of(table: Any) -> tuple[str, ...]:
    """Return what the reader said about an Arrow table, nothing for other tables."""
    metadata = getattr(getattr(table, "schema", None), "metadata", None)
    if not isinstance(metadata, Mapping) or _NOTES not in metadata:
        return ()
    try:
        return tuple(str(note) for note in json.loads(metadata[_NOTES]))
    except ValueError:
        return ()


def _check_numbers(block: Block) -> None:
    for name, values in block.numbers.items():
        bad = np.flatnonzero(np.isinf(values) | (np.abs(values) >= _EXACT))
        if len(bad):
            raise DataError(
                f"{_plural(len(bad), 'value is', 'values are')} infinite or beyond 2**53, first at {block.place(int(bad[0]))}.",
                column=name,
                values=values[bad[:5]].tolist(),
                rule="scores and counts are below 2**53, where every whole number is exact.",
                fix="correct the file, or choose another metric.",
            )


def _join(blocks: Sequence[Block], name: str) -> Labels:
    """One column of codes into one list of labels."""
    places: dict[str, int] = {}
    parts = []
    for block in blocks:
        part = block.facets.get(name)
        if part is None:
            parts.append(np.full(block.n, -1, np.int32))
        elif isinstance(part, str):
            parts.append(np.full(block.n, places.setdefault(part, len(places)), np.int32))
        else:
            lookup = np.array([*(places.setdefault(label, len(places)) for label in part.categories), -1], np.int32)
            parts.append(lookup[part.codes])
    return Labels(np.concatenate(parts), list(places))


def _cells(columns: Sequence[Labels], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the distinct cells; return each row's number and how often each occurs."""
    key, size = np.zeros(n, np.int64), 1
    for column in columns:
        width = len(column.categories) + 1
        if size * width >= 2**62:
            distinct, key = np.unique(key, return_inverse=True)
            size = len(distinct)
        key = key * width + (column.codes + 1)
        size *= width
    _, groups, times = np.unique(key, return_inverse=True, return_counts=True)
    return groups, times


def _repeated(blocks: Sequence[Block], groups: NDArray[np.int64], times: NDArray[np.int64]) -> DataError:
    again = np.flatnonzero(times[groups] > 1)
    starts = np.cumsum([0, *(block.n for block in blocks)])
    cell = np.flatnonzero(groups == groups[again[0]])[:3]
    owner = np.searchsorted(starts, cell, side="right") - 1
    where = "; ".join(blocks[b].place(int(row - starts[b])) for b, row in zip(owner, cell, strict=True))
    some = int((times > 1).sum())
    return DataError(
        f"{_plural(some, 'cell occurs', 'cells occur')} more than once; the first at {where}.",
        rows=again[:1000].tolist(),
        found=len(again),
        rule="a table has one score for each model, benchmark, item, sample and template.",
        fix="leave all but one out; if they are independent repeats, number them: bk.read(..., repeated='sample').",
    )


def numbered(groups: NDArray[np.int64]) -> Labels:
    """Number the rows of each cell from 1, in their order."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    rank = np.arange(len(groups)) - np.repeat(starts, np.diff([*starts, len(groups)]))
    codes = np.empty(len(groups), np.int64)
    codes[order] = rank
    return Labels(codes, [str(number + 1) for number in range(int(rank.max()) + 1)])


def _arrow(blocks: Sequence[Block], facets: Mapping[str, Labels], notes: Sequence[str]) -> Any:
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name in FACETS:
        if name in facets:
            codes = facets[name].codes.astype(np.int32)
            indices = pa.array(codes, mask=codes < 0)
            columns[name] = pa.DictionaryArray.from_arrays(indices, pa.array(list(facets[name].categories), pa.string()))
    for name in NUMBERS:
        if any(name in block.numbers for block in blocks):
            parts = [block.numbers.get(name, np.full(block.n, np.nan)) for block in blocks]
            values = np.concatenate(parts)
            whole = name in ("trials", "n") and not np.isnan(values).any() and (values == np.floor(values)).all()
            columns[name] = pa.array(values.astype(np.int64)) if whole else pa.array(values, mask=np.isnan(values))
    table = pa.table(columns)
    return table.replace_schema_metadata({_NOTES: json.dumps(list(notes), ensure_ascii=False).encode()})


def _plural(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
