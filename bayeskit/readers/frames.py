"""Dataframes of any library, and mappings of names to arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bayeskit.errors import DataError
from bayeskit.readers.long_table import notes_of
from bayeskit.readers.source import Mode, Source, Sources, Table, from_arrow, from_numpy, from_objects


class FrameTable:
    """A table in memory: column names, and a function that fetches the native column at a position."""

    def __init__(self, names: Sequence[Any], fetch: Callable[[int], Any], hint: str = "", notes: Sequence[str] = ()) -> None:
        self._keys = list(names)
        self._fetch = fetch
        self._hint = hint
        self.notes = tuple(notes)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names; only text can be a name, so any other key is left out."""
        return tuple(key for key in self._keys if isinstance(key, str))

    @property
    def hint(self) -> str:
        """A remark for the message about a missing column."""
        odd = [key for key in self._keys if not isinstance(key, str)]
        if odd:
            return f" Columns named by something other than text are ignored ({odd[:5]!r}): rename them."
        return self._hint

    def read(self, wanted: Sequence[tuple[str, Mode]], *, fold: bool = False) -> Sources:
        """Read columns; `fold` changes nothing, since the table is in memory already."""
        columns = {(name, mode): _source(self._fetch(self._keys.index(name)), name, mode) for name, mode in wanted}
        lengths = {name: len(source.null) for (name, _), source in columns.items()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name!r}: {length}" for name, length in lengths.items())
            raise DataError(
                f"The columns have different lengths ({shown}).",
                rule="every column has one value per row.",
                fix="give columns of one length, from one table.",
            )
        return Sources(next(iter(lengths.values()), 0), columns)


def open_frame(table: Any) -> Table:
    """Open a dataframe or a mapping; see `bayeskit.readers.open_table`."""
    import narwhals.stable.v2 as nw
    from narwhals.stable.v2 import dependencies

    if dependencies.is_pandas_dataframe(table):
        # Not through narwhals, which refuses duplicate names in any column, also one that nobody asked for.
        lost = [name for name in table.index.names if name is not None]
        hint = f" The index holds {lost}: make it columns with table.reset_index()." if lost else ""
        return FrameTable(list(table.columns), lambda place: table.iloc[:, place], hint)
    if isinstance(table, Mapping):
        columns = list(table.values())
        return FrameTable(list(table), lambda place: columns[place])
    if isinstance(table, np.ndarray) and table.dtype.names:
        return FrameTable(table.dtype.names, lambda place: table[table.dtype.names[place]])
    try:
        frame = nw.from_native(_as_native(table))
    except TypeError:
        raise DataError(
            f"An object of type {type(table).__name__!r} is not a table.",
            rule="a table is a dataframe (pandas, Polars, PyArrow, ...), a dict of arrays, or the path of a "
            "CSV, TSV or Parquet file.",
            fix="wrap it: pandas.DataFrame(table).",
        ) from None
    if isinstance(frame, nw.LazyFrame):
        return _LazyTable(frame)
    return FrameTable(frame.columns, lambda place: frame[frame.columns[place]].to_native(), notes=notes_of(table))


class _LazyTable:
    """A lazy frame, of which only the wanted columns are ever computed."""

    hint = ""
    notes: tuple[str, ...] = ()

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names: tuple[str, ...] = tuple(frame.collect_schema().names())

    def read(self, wanted: Sequence[tuple[str, Mode]], *, fold: bool = False) -> Sources:
        frame = self._frame.select(*dict.fromkeys(name for name, _ in wanted)).collect()
        return FrameTable(frame.columns, lambda place: frame[frame.columns[place]].to_native()).read(wanted)


def _as_native(table: Any) -> Any:
    """Turn what narwhals does not take, but Arrow does, into an Arrow table."""
    import narwhals.stable.v2 as nw

    try:
        nw.from_native(table)
    except TypeError:
        if hasattr(table, "__arrow_c_stream__"):
            import pyarrow as pa

            return pa.table(table)
        if type(table).__module__.startswith("pyarrow") and hasattr(table, "to_batches"):
            return table.to_table()
    return table


def _source(column: Any, name: str, mode: Mode) -> Source:
    import pyarrow as pa
    from narwhals.stable.v2 import dependencies

    if isinstance(column, pa.Array | pa.ChunkedArray):
        return from_arrow(column, name, mode)
    if dependencies.is_pandas_series(column):
        if isinstance(column.dtype, np.dtype):
            return from_numpy(column.to_numpy(), name, mode)
        return from_arrow(pa.array(column, from_pandas=True), name, mode, str(column.dtype))
    if isinstance(column, str | bytes) or not hasattr(column, "__len__"):
        raise DataError(
            f"is a single value of type {type(column).__name__!r}.",
            column=name,
            rule="a column holds one value per row.",
            fix="give an array or a list.",
        )
    if isinstance(column, list | tuple):
        return from_objects(list(column), name, mode, type(column).__name__)
    if hasattr(column, "to_arrow") and str(getattr(column, "dtype", "")) != "Object":
        return from_arrow(column.to_arrow(), name, mode, str(column.dtype))
    if hasattr(column, "to_list"):
        return from_objects(column.to_list(), name, mode)
    return from_numpy(column if isinstance(column, np.ma.MaskedArray) else np.asarray(column), name, mode)
