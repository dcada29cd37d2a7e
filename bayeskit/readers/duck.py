"""DuckDB as the readers use it: in memory, without network, spilling to a folder that goes away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bayeskit.errors import DataError

BATCH = 1 << 18  # rows held as text at a time; what is kept of them is one code per cell


@contextmanager
def connect(threads: int | None = 1) -> Iterator[Any]:
    """Open DuckDB without network extensions, spilling to a folder that is removed afterwards."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="bayeskit-") as spill:
        config: dict[str, Any] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": spill,
        }
        if threads is not None:
            config["threads"] = threads
        connection = duckdb.connect(":memory:", config=config)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn errors of DuckDB into faults of the file."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        # The first two lines say what and where; the rest lists reader settings that are ours, not the
        # user's.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()][:3]
        raise DataError(
            f"File {name!r} cannot be read: {' / '.join(lines)}",
            rule="a file is UTF-8 text with the same number of cells on every line, or whole Parquet.",
            fix="repair that line, or write the file again.",
        ) from error


def quoted(name: str) -> str:
    """Return a name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(path: Path) -> str:
    """Return a path that DuckDB's own globbing leaves alone."""
    return "".join(f"[{mark}]" if mark in "*?[" else mark for mark in str(path))
