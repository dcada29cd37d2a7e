"""CSV, TSV and Parquet files through DuckDB: only the needed columns, and grouped there if asked.

A CSV file is read by rules that do not depend on its contents: labels are the text as it stands (``007``
stays ``007``), an empty cell is missing while a quoted ``""`` is the empty label, and a cell of a numeric
column that is no number is reported with its row. DuckDB's own guessing of types, which looks at the first
rows only, is not used.
"""

from __future__ import annotations

import csv
import glob
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bayeskit.errors import DataError
from bayeskit.readers.duck import BATCH, connect, explained, literal, quoted
from bayeskit.readers.source import Mode, Source, Sources, from_arrow

# Cells of a numeric CSV column that say "no value". In a label column they are labels like any other.
MISSING_WORDS = ("", "na", "n/a", "nan", "null", "none")
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class _File:
    path: Path
    names: tuple[str, ...]
    delimiter: str  # "" for Parquet


class FileTable:
    """CSV, TSV or Parquet files, read in the order of their names as one table.

    Parameters
    ----------
    paths
        A path, a glob pattern, or a sequence of them.

    Raises
    ------
    DataError
        If no file matches, the form of a file is not known, or a header cannot be read.
    """

    def __init__(self, paths: str | Path | Sequence[str | Path]) -> None:
        parts = [paths] if isinstance(paths, str | Path) else list(paths)
        found = [path for part in parts for path in _expand(part)]
        forms = {_form(path) for path in found}
        if len(forms) > 1:
            raise DataError(
                f"{found[0].name!r} and others are CSV and Parquet files in one table.",
                rule="all files of a table have one form.",
                fix="name the CSV files or the Parquet files.",
            )
        self._form: Literal["csv", "parquet"] = forms.pop()
        self._files = [_header(path, self._form) for path in found]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names of the first file."""
        return self._files[0].names

    @property
    def hint(self) -> str:
        """A remark for the message about a missing column."""
        return ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing: every cell is in the table."""
        return ()

    def read(self, wanted: Sequence[tuple[str, Mode]], *, fold: bool = False) -> Sources:
        """Read columns; with `fold`, group equal rows in DuckDB, so that only distinct rows reach memory."""
        for file in self._files:
            for name, _ in wanted:
                if file.names.count(name) != 1:
                    raise DataError(
                        f"occurs {file.names.count(name)} times in file {file.path.name!r}.",
                        column=name,
                        rule="every file of the table has the column once.",
                        fix="leave that file out, or rename its columns as in the first file.",
                    )
        if not wanted:
            return Sources(0, {})
        selects, parameters = [], []
        for names, group in groupby(self._files, key=lambda file: (file.names, file.delimiter)):
            files = list(group)
            selects.append(self._select(wanted, *names))
            parameters.append([literal(file.path) for file in files])
        if self._form == "parquet":  # by name, whatever the order of columns
            selects, parameters = selects[:1], [[literal(file.path) for file in self._files]]
        query = " UNION ALL ".join(selects)
        if fold:
            query = f"SELECT *, count(*)::BIGINT AS n FROM ({query}) GROUP BY ALL ORDER BY ALL"
        # Parallel CSV scans of DuckDB 2.0.0 return blocks of rows in the wrong order now and then, whatever
        # preserve_insertion_order says (measured at 10**6 rows on two threads). Groups have no order to lose.
        with connect(threads=None if fold else 1) as connection, explained(self._files[0].path.name):
            return _fetch(connection.sql(query, params=parameters), wanted, self._form, fold)

    def _select(self, wanted: Sequence[tuple[str, Mode]], names: tuple[str, ...], delimiter: str) -> str:
        parts = []
        for place, (name, mode) in enumerate(wanted):
            if self._form == "parquet":
                parts.append(f"{quoted(name)} AS v{place}")
            elif mode == "label":
                parts.append(f"c{names.index(name)} AS v{place}")
            else:
                parts += _number_from_text(f"c{names.index(name)}", place, mode)
        chosen = ", ".join(parts)
        if self._form == "parquet":
            # union_by_name finds a type that holds all files' values; without it DuckDB 2.0 rounds 1.7 to
            # the integer type of the first file.
            return f"SELECT {chosen} FROM read_parquet(?, union_by_name=true, hive_partitioning=false)"
        columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(names)))
        mark = "\\t" if delimiter == "\t" else delimiter
        return (
            f"SELECT {chosen} FROM read_csv(?, auto_detect=false, header=true, delim='{mark}', quote='\"', "
            f"escape='\"', columns={{{columns}}}, nullstr='', allow_quoted_nulls=false, "
            "hive_partitioning=false)"
        )


def _number_from_text(cell: str, place: int, mode: Mode) -> list[str]:
    """Return SQL for the value of a text cell, and for its text where it has no value but should."""
    number = f"TRY_CAST(trim({cell}) AS DOUBLE)"
    if mode == "binary":
        number = f"CASE lower(trim({cell})) WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 ELSE {number} END"
    words = ", ".join(f"'{word}'" for word in MISSING_WORDS)
    missing = f"({cell} IS NULL OR lower(trim({cell})) IN ({words}))"
    return [
        f"CASE WHEN NOT {missing} THEN {number} END AS v{place}",
        f"CASE WHEN NOT {missing} AND {number} IS NULL THEN {cell} END AS b{place}",
    ]


def _fetch(result: Any, wanted: Sequence[tuple[str, Mode]], form: str, fold: bool) -> Sources:
    import pyarrow as pa

    chunks: dict[str, list[Any]] = {}
    reader = result.to_arrow_reader(BATCH)
    for batch in reader:
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
            chunks.setdefault(name, []).append(array.dictionary_encode() if text else array)
    columns: dict[tuple[str, Mode], Source] = {}
    n = 0
    for place, (name, mode) in enumerate(wanted):
        if f"v{place}" not in chunks:
            return Sources(0, {})
        values = pa.chunked_array(chunks[f"v{place}"])
        n = len(values)
        source = from_arrow(values, name, mode, "text" if form == "csv" else "")
        if f"b{place}" in chunks:
            source = _with_faults(source, pa.chunked_array(chunks[f"b{place}"]))
        columns[name, mode] = source
    counts = pa.chunked_array(chunks["n"]).to_numpy().astype(np.int64) if fold else None
    return Sources(n, columns, counts)


def _with_faults(source: Source, texts: Any) -> Source:
    rows = np.flatnonzero(~np.asarray(texts.is_null().to_numpy(), bool))
    if not len(rows):
        return source
    null = source.null.copy()
    null[rows] = False  # not missing, but wrong
    shown = tuple(texts.take(rows[:1000]).to_pylist())
    return Source(source.kind, source.values, null, bad_rows=rows, bad_values=shown, dtype=source.dtype)


def _expand(part: str | Path) -> list[Path]:
    path = Path(part)
    if path.is_file():
        return [path]
    if path.is_dir():
        raise DataError(
            f"{str(part)!r} is a folder.",
            rule="a table is a file, or several by a glob pattern.",
            fix=f"name its files: {str(path / '*.parquet')!r} or {str(path / '**' / '*.csv')!r}.",
        )
    found = sorted(Path(name) for name in glob.glob(str(part), recursive=True))
    found = [path for path in found if path.is_file()]
    if not found:
        raise DataError(
            f"No file matches {str(part)!r}.",
            rule="a text given as a table is the path or glob pattern of local files.",
            fix="check the path; files elsewhere must be fetched first.",
        )
    return found


def _form(path: Path) -> Literal["csv", "parquet"]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    elif suffixes and suffixes[-1] in (".parquet", ".pq"):
        return "parquet"
    if suffixes and suffixes[-1] in (".csv", ".tsv"):
        return "csv"
    raise DataError(
        f"The form of file {path.name!r} is not known.",
        rule="a file ends in .csv, .tsv (also with .gz) or .parquet.",
        fix="read it into a dataframe and give that.",
    )


def _header(path: Path, form: Literal["csv", "parquet"]) -> _File:
    if form == "parquet":
        with connect() as connection, explained(path.name):
            query = "SELECT * FROM read_parquet(?, hive_partitioning=false) LIMIT 0"
            names = tuple(str(part[0]) for part in connection.execute(query, [[literal(path)]]).description)
        return _File(path, names, "")
    opened: Any = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            first = stream.readline(1 << 20)
            if ".tsv" in (suffix.lower() for suffix in path.suffixes):  # noqa: SIM108 -- the comment needs its line
                mark = "\t"
            else:
                mark = max(_DELIMITERS, key=first.count)  # the first of them wins a draw, so a lone column is fine
            stream.seek(0)
            header: list[str] = next(csv.reader(stream, delimiter=mark), [])
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(
            f"The header of file {path.name!r} cannot be read: {error}",
            rule="a CSV file is UTF-8 text whose first line names the columns.",
            fix="write the file again as UTF-8.",
        ) from None
    if not header:
        raise DataError(
            f"File {path.name!r} is empty.",
            rule="the first line of a CSV file names its columns.",
            fix="add the header line, or leave the file out.",
        )
    return _File(path, tuple(header), mark)
