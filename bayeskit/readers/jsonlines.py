"""JSON Lines, or a JSON array of objects, through DuckDB: only the wanted fields reach memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import DataError
from bayeskit.readers.duck import BATCH, connect, explained, literal, quoted
from bayeskit.readers.jsontext import JsonStream, first_broken_line, open_binary
from bayeskit.readers.long_table import Labels
from bayeskit.readers.scores import no_number, no_score
from bayeskit.readers.source import from_arrow

_LONGEST = 1 << 28  # bytes of one object, where DuckDB's own limit of 16 MB does not do


class Lines:
    """A file of JSON objects.

    Parameters
    ----------
    path
        The file, compressed by gzip if its name ends in ``.gz``.
    shown
        Its name in messages.

    Raises
    ------
    DataError
        If the file holds nothing, or its first value is no object.
    """

    def __init__(self, path: Path, shown: str) -> None:
        self._path, self._shown = path, shown
        with open_binary(path) as raw:
            stream = JsonStream(raw, shown)
            self.array = stream.peek() == "["
            if not stream.peek():
                raise DataError(
                    f"File {shown!r} is empty.", rule="a log holds one sample or more.", fix="leave it out, or run it again."
                )
            first = next(stream.elements(), None) if self.array else stream.value()
        if not isinstance(first, dict):
            raise DataError(
                f"File {shown!r}, line 1: the first value is no object.",
                rule="every line of a log is a JSON object.",
                fix="check that the file is a log of samples.",
            )
        self.first: dict[str, Any] = first

    @property
    def unit(self) -> str:
        """What places in the file are counted in."""
        return "entry" if self.array else "line"

    def read(self, fields: Mapping[str, str], metric: str, unscored: str) -> tuple[dict[str, Labels], NDArray[np.float64]]:
        """Read labels and one metric.

        Parameters
        ----------
        fields
            Field by name of what is returned; ``doc.x`` is the field ``x`` of the object ``doc``.
        metric
            Field of the score.
        unscored
            ``"refuse"`` rows without a score or with NaN, or leave them ``"missing"``.

        Returns
        -------
        labels, scores
            By name, and shape ``(n,)``; NaN is missing.

        Raises
        ------
        DataError
            Naming the line, if the text is broken, a label is missing, or a score is no number.
        """
        chunks = self._fetch(fields, metric)
        import pyarrow as pa

        labels = {}
        for place, (name, field) in enumerate(fields.items()):
            source = from_arrow(pa.chunked_array(chunks[f"l{place}"]), name, "label")
            if source.null.any():
                raise self._fault(f"field {field!r} is missing", int(np.flatnonzero(source.null)[0]))
            labels[name] = Labels(source.values, source.categories)
        scores: NDArray[np.float64] = pa.chunked_array(chunks["score"]).to_numpy().astype(float)
        wrong = pa.chunked_array(chunks["wrong"])
        if wrong.null_count < len(wrong):
            row = int(np.flatnonzero(np.asarray(wrong.is_valid().to_numpy(), bool))[0])
            raise no_number(metric, wrong[row].as_py(), f"{self._shown}, {self.unit} {row + 1}")
        gaps = np.flatnonzero(np.isnan(scores))
        if len(gaps) and unscored == "refuse":
            row = int(gaps[0])
            absent = not pa.chunked_array(chunks["there"])[row].as_py()
            raise no_score(metric, f"{self._shown}, {self.unit} {row + 1}", "no value" if absent else "NaN")
        return labels, scores

    @cached_property
    def _type(self) -> str:
        return "array" if self.array else "newline_delimited"

    def _fetch(self, fields: Mapping[str, str], metric: str) -> dict[str, list[Any]]:
        import duckdb

        try:
            return self._query(fields, metric, 1 << 24)
        except duckdb.Error as error:
            if "maximum_object_size" in str(error):
                with explained(self._shown):
                    return self._query(fields, metric, _LONGEST)
            fault = self._broken()
            if fault is not None:
                raise fault from None
            with explained(self._shown):
                raise

    def _query(self, fields: Mapping[str, str], metric: str, longest: int) -> dict[str, list[Any]]:
        columns = {metric: "VARCHAR"}
        parts = []
        for place, field in enumerate(fields.values()):
            outer, _, inner = field.partition(".")
            columns[outer] = "JSON" if inner else "VARCHAR"
            pointer = "/" + inner.replace("~", "~0").replace("/", "~1")
            parts.append(f"{quoted(outer)} ->> {_text(pointer)} AS l{place}" if inner else f"{quoted(outer)} AS l{place}")
        cell = quoted(metric)
        number = f"CASE {cell} WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 ELSE TRY_CAST({cell} AS DOUBLE) END"
        parts.append(f"{number} AS score")
        parts.append(f"CASE WHEN {number} IS NULL THEN {cell} END AS wrong")
        parts.append(f"{cell} IS NOT NULL AS there")
        declared = ", ".join(f"{_text(name)}: '{kind}'" for name, kind in columns.items())
        query = (
            f"SELECT {', '.join(parts)} FROM read_json(?, format='{self._type}', columns={{{declared}}}, "
            f"maximum_object_size={longest}, hive_partitioning=false)"
        )
        chunks: dict[str, list[Any]] = {}
        # One thread: rows then come in the order of the lines, which messages count.
        with connect() as connection:
            for batch in connection.sql(query, params=[literal(self._path)]).to_arrow_reader(BATCH):
                for name, array in zip(batch.schema.names, batch.columns, strict=True):
                    chunks.setdefault(name, []).append(array.dictionary_encode() if name[0] == "l" else array)
        return chunks

    def _broken(self) -> DataError | None:
        if not self.array:
            return first_broken_line(self._path, self._shown)
        try:
            with open_binary(self._path) as raw:
                for _ in JsonStream(raw, self._shown).elements():
                    pass
        except DataError as fault:
            return fault
        return None

    def _fault(self, problem: str, row: int) -> DataError:
        return DataError(
            f"File {self._shown!r}, {self.unit} {row + 1}: {problem}.",
            rule="every sample of a log has the fields of the first one.",
            fix="write the log again with one version of the harness.",
        )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
