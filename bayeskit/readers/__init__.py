"""Tables in every form that people hold them: dataframes, dicts of arrays, CSV and Parquet files, logs of harnesses.

`open_table` is the only door. What comes out is the same for every library: NumPy arrays, with text already
coded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bayeskit.readers.source import Mode, Source, Sources, Table

__all__ = ["Mode", "Source", "Sources", "Table", "open_table"]


def open_table(table: Any) -> Table:
    """Open a table of any supported form, reading its column names only.

    Parameters
    ----------
    table
        A pandas, Polars or PyArrow table or anything else that narwhals takes, a mapping of names to
        arrays, a NumPy record array, or files: a path, a glob such as ``"logs/*.parquet"``, or a list of
        paths. A folder, ``.json``, ``.jsonl`` and ``.eval`` files are logs of evaluation harnesses, for which see
        `bayeskit.readers.reading.read`.

    Raises
    ------
    DataError
        If the form is not supported, or no such file exists.
    """
    if isinstance(table, str | Path) or (_is_list(table) and all(isinstance(part, str | Path) for part in table)):
        from bayeskit.readers.discover import holds_logs
        from bayeskit.readers.files import FileTable

        if not holds_logs(table):
            return FileTable(table)
        from bayeskit.readers.reading import read

        table = read(table)
    from bayeskit.readers.frames import open_frame

    return open_frame(table)


def _is_list(table: Any) -> bool:
    return isinstance(table, Sequence) and len(table) > 0
