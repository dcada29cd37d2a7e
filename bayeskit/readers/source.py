"""One column as intake sees it, whatever library it came from."""

from __future__ import annotations

import datetime
import decimal
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import DataError

Mode = Literal["label", "number", "binary"]  # how a column is to be read


@dataclass(frozen=True, eq=False)
class Source:
    """One column of a table in a form that no longer depends on the table's library.

    Attributes
    ----------
    kind
        ``"label"``: `values` are int64 codes into `categories`, -1 where null. ``"number"`` and ``"bool"``:
        `values` are numbers. ``"text"``, ``"time"``, ``"other"``: a number was asked for and the column
        holds something else.
    values, null
        Shape ``(n,)``.
    ordered, declared
        Whether the order of `categories` is the user's, and whether the user's column type listed them.
    bad_rows, bad_values
        Cells that are not what was asked for: positions (all) and values (the first ones).
    dtype
        The type by its library's name.
    """

    kind: Literal["label", "number", "bool", "text", "time", "other"]
    values: NDArray[Any]
    null: NDArray[np.bool_]
    categories: tuple[str, ...] = ()
    ordered: bool = False
    declared: bool = False
    bad_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    bad_values: tuple[Any, ...] = ()
    dtype: str = ""


@dataclass(frozen=True, eq=False)
class Sources:
    """Columns of a table, ``columns[name, mode]``; `counts`: how often each row occurred, if folded."""

    n: int
    columns: Mapping[tuple[str, Mode], Source]
    counts: NDArray[np.int64] | None = None


class Table(Protocol):
    """An open table: its column names, and a way to read some of its columns."""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order; a name stands twice if two columns carry it."""

    @property
    def hint(self) -> str:
        """A remark for the message about a missing column, or ``""``."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader has to say about the table beside its cells."""

    def read(self, wanted: Sequence[tuple[str, Mode]], *, fold: bool = False) -> Sources:
        """Read columns; with `fold`, a reader that can group does so and returns `Sources.counts`."""


def from_arrow(array: Any, name: str, mode: Mode, dtype: str = "") -> Source:
    """Make a source from a PyArrow array or chunked array."""
    import pyarrow as pa

    chunked = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    dtype = dtype or str(chunked.type)
    if pa.types.is_null(chunked.type):
        kind: Literal["label", "number"] = "label" if mode == "label" else "number"
        values = np.full(len(chunked), -1 if kind == "label" else 0)
        return Source(kind, values, np.ones(len(chunked), bool), dtype=dtype)
    if mode == "label":
        return _labels_from_arrow(chunked, name, dtype)
    return _numbers_from_arrow(chunked, dtype)


def _labels_from_arrow(chunked: Any, name: str, dtype: str) -> Source:
    import pyarrow as pa

    types = pa.types
    declared = types.is_dictionary(chunked.type)
    ordered = declared and bool(chunked.type.ordered)
    content = chunked.type.value_type if declared else chunked.type
    if types.is_string_view(content) and not declared:
        chunked = chunked.cast(pa.large_string())
    elif not _is_labelling(content):
        raise DataError(
            f"cells of type {content} cannot be labels.",
            column=name,
            values=chunked.slice(0, 5).to_pylist(),
            rule="a label is text, a whole number, true or false, or a date.",
            fix="turn the column into text first.",
        )
    if not declared:
        chunked = chunked.dictionary_encode()
    array = chunked.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # what some versions return for a single chunk
        array = array.chunk(0)
    raw = array.dictionary.to_pylist()
    codes = np.asarray(array.indices.fill_null(0)).astype(np.int64)
    null = np.asarray(array.indices.is_null().to_numpy(zero_copy_only=False))
    empty = np.array([value is None or value != value for value in raw], bool)
    if empty.any():
        null = null | (empty[codes] if len(raw) else True)
    codes[null] = -1
    categories = tuple("" if gone else _text(value) for value, gone in zip(raw, empty, strict=True))
    # A dictionary without an order is how Arrow and Polars store text; only a declared one lists what may
    # occur.
    declared = declared and (ordered or dtype == "category")
    return Source("label", codes, null, categories, ordered, declared, dtype=dtype)


def _is_labelling(kind: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    tests = (
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_integer,
        types.is_floating,
    )
    more = (types.is_boolean, types.is_decimal, types.is_date, types.is_timestamp)
    return any(test(kind) for test in (*tests, *more))


def _numbers_from_arrow(chunked: Any, dtype: str) -> Source:
    import pyarrow as pa

    types: Any = pa.types
    if types.is_dictionary(chunked.type):
        chunked = chunked.cast(chunked.type.value_type)
    if types.is_decimal(chunked.type):
        chunked = chunked.cast(pa.float64())
    kind = chunked.type
    null = np.asarray(chunked.is_null().to_numpy(), bool)
    if types.is_boolean(kind):
        return Source("bool", chunked.fill_null(False).to_numpy().astype(np.int64), null, dtype=dtype)
    if types.is_integer(kind):
        return Source("number", chunked.fill_null(0).to_numpy(), null, dtype=dtype)
    if types.is_floating(kind):
        values = chunked.cast(pa.float64()).fill_null(float("nan")).to_numpy()
        return Source("number", values, null | np.isnan(values), dtype=dtype)
    rows = np.flatnonzero(~null)
    shown = tuple(chunked.take(rows[:1000]).to_pylist())
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    time = types.is_temporal(kind)
    what: Literal["text", "time", "other"] = "text" if text else "time" if time else "other"
    return Source(what, np.zeros(len(null)), null, bad_rows=rows, bad_values=shown, dtype=dtype)


def _text(value: Any) -> str:
    """Return the label of a cell: the same text whether a whole number came as an int or as a float."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float | decimal.Decimal) and abs(float(value)) < 2**63 and float(value).is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat()
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def from_numpy(array: NDArray[Any], name: str, mode: Mode) -> Source:
    """Make a source from a one-dimensional NumPy array of any dtype.

    Raises
    ------
    DataError
        If the array is not one-dimensional, or mixes types.
    """
    import pyarrow as pa

    dtype = str(array.dtype)
    if array.ndim != 1:
        raise DataError(
            f"has {array.ndim} dimensions (shape {array.shape}).",
            column=name,
            rule="a column is one-dimensional.",
            fix="give one column per entry, each with one value per row.",
        )
    if isinstance(array, np.ma.MaskedArray) or array.dtype.kind in "OTV":
        return from_objects(array.tolist(), name, mode, dtype)
    if mode != "label" and array.dtype.kind in "iu":
        return Source("number", array, np.zeros(len(array), bool), dtype=dtype)
    if mode != "label" and array.dtype.kind == "f":
        return Source("number", array.astype(np.float64), np.isnan(array), dtype=dtype)
    if mode != "label" and array.dtype.kind == "b":
        return Source("bool", array.astype(np.int64), np.zeros(len(array), bool), dtype=dtype)
    if array.dtype.kind == "c":
        rows = np.arange(len(array))
        return Source("other", np.zeros(len(array)), rows < 0, bad_rows=rows, bad_values=tuple(array[:5]), dtype=dtype)
    if array.dtype.kind == "U":
        return from_objects(array.tolist(), name, mode, dtype)
    return from_arrow(pa.array(array, from_pandas=True), name, mode, dtype)


def from_objects(values: list[Any], name: str, mode: Mode, dtype: str = "object") -> Source:
    """Make a source from Python objects, refusing a column that mixes text with numbers and the like."""
    import pyarrow as pa

    families = {kind: _family(kind) for kind in set(map(type, values))}
    present = set(families.values()) - {"missing"}
    floats = {kind for kind, family in families.items() if family == "float"}
    # Libraries write NaN for an empty cell of any type: only a float that is a number makes the column mixed.
    odd = bool(floats) and not present <= {"float", "integer"}
    if odd and all(value != value for value in values if type(value) in floats):
        present.discard("float")
        values = [None if type(value) in floats else value for value in values]
    if present <= {"float", "integer"} and len(present) == 2:
        empty = {kind for kind, family in families.items() if family == "missing"}
        values = [None if type(value) in empty else float(value) for value in values]
        present = {"float"}
    if len(present) > 1:
        raise _mixed(values, families, name)
    if present == {"integer"}:
        # Beyond int64 Arrow gives up; as text (labels) or float64 (which is then too large) nothing is lost.
        values = [_int(value, mode) for value in values] if _exceeds(values, families) else values
    try:
        array = pa.array(values, from_pandas=True)
    except UnicodeEncodeError as error:
        raise DataError(
            f"holds text that is not valid Unicode ({error.reason}).",
            column=name,
            rule="text is valid Unicode.",
            fix="decode the file with its own encoding.",
        ) from None
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        rows = np.array([row for row, value in enumerate(values) if families.get(type(value)) != "missing"], np.int64)
        kinds = sorted({type(values[row]).__name__ for row in rows[:1000]})
        raise DataError(
            f"holds objects that are neither text nor numbers ({', '.join(kinds)}).",
            column=name,
            rows=rows[:1000].tolist(),
            found=len(rows),
            rule="a cell is text, a number, true or false, or a date.",
            fix="turn the column into text or numbers first.",
        ) from None
    return from_arrow(array, name, mode, dtype)


def _family(kind: type) -> str:
    if kind is type(None) or kind.__name__ in ("NAType", "NaTType"):
        return "missing"
    if issubclass(kind, bool | np.bool_):
        return "bool"
    for family, base in (("integer", numbers.Integral), ("float", numbers.Real), ("text", str)):
        if issubclass(kind, base):
            return family
    return kind.__name__


def _exceeds(values: list[Any], families: Mapping[type, str]) -> bool:
    whole = [int(value) for value in values if families[type(value)] == "integer"]
    return not -(2**63) <= min(whole) <= max(whole) < 2**63


def _int(value: Any, mode: Mode) -> Any:
    if not isinstance(value, numbers.Integral):
        return None
    if mode == "label":
        return str(value)
    try:
        return float(value)
    except OverflowError:
        return float("inf") if int(value) > 0 else float("-inf")


def _mixed(values: list[Any], families: Mapping[type, str], name: str) -> DataError:
    found: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        family = families[type(value)]
        if family != "missing" and value == value:
            found.setdefault(family, []).append(row)
    rare = min(found, key=lambda family: len(found[family]))
    counts = ", ".join(f"{len(rows)} {family}" for family, rows in sorted(found.items()))
    rows = found[rare]
    return DataError(
        f"mixes types ({counts}).",
        column=name,
        rows=rows[:1000],
        found=len(rows),
        values=[values[row] for row in rows[:1000]],
        rule="a column holds one type of value.",
        fix="make the whole column text, or the whole column numbers; the rows shown are of the rarer type.",
    )
