"""What a model asks of a table (`Column`) and what intake makes of it (`Rows`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError, suggest

Kind = Literal["label", "number", "integer", "binary", "count", "level", "covariate"]
EXACT = 2**53  # integers below this are exact in float64; nothing above it is accepted


@dataclass(frozen=True)
class Column:
    """What one column of the user's table means to a model.

    Parameters
    ----------
    role
        The model's name for it, such as ``"candidate"``.
    name
        The user's name for it; a tuple of names for several columns of one kind (a wide table).
    kind
        ``"label"`` names a group; ``"number"`` is a finite number; ``"integer"`` a whole number;
        ``"binary"`` 0 or 1 (or false or true); ``"count"`` a whole number from 0; ``"level"`` a whole
        number from `low` to `high`; ``"covariate"`` a label where the table holds text or categories, else a number:
        what it is stands in the rows, which have levels for a label.
    sentence
        What a row of it means; ends in no full stop. Printed in errors and documents.
    required
        If false, a table without the column is accepted, and the role is left out of the rows.
    low, high
        Closed bounds.
    allow_missing
        Whether cells may be empty.
    levels
        For labels: the only labels allowed, in the order of their codes.

    Raises
    ------
    SpecificationError
        If the parts contradict each other.
    """

    role: str
    name: str | tuple[str, ...]
    kind: Kind
    sentence: str
    required: bool = True
    low: float | None = None
    high: float | None = None
    allow_missing: bool = False
    levels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        where = f"Column(role={self.role!r})"
        if self.kind not in get_args(Kind):
            hint = suggest(str(self.kind), get_args(Kind))
            raise SpecificationError(f"{where}: kind {self.kind!r} is not one of {get_args(Kind)}.{hint}")
        if isinstance(self.name, tuple):
            repeated = sorted({name for name in self.name if self.name.count(name) > 1})
            if not self.name or repeated:
                raise SpecificationError(f"{where}: name must hold different column names; got {self.name!r}.")
            if self.kind in ("label", "covariate"):
                raise SpecificationError(f"{where}: a {self.kind} is one column; got the columns {self.name!r}.")
        if self.levels is not None and (self.kind != "label" or len(set(self.levels)) != len(self.levels)):
            raise SpecificationError(f"{where}: levels are different labels of a label column; got {self.levels!r}.")
        if self.kind in ("label", "covariate") and (self.low is not None or self.high is not None):
            raise SpecificationError(f"{where}: a {self.kind} has no bounds; got low={self.low!r}, high={self.high!r}.")
        if self.kind == "level" and (self.low is None or self.high is None or not self.low <= self.high):
            raise SpecificationError(f"{where}: a level needs low <= high; got low={self.low!r}, high={self.high!r}.")

    @property
    def names(self) -> tuple[str, ...]:
        """The user's column names, one or several."""
        return self.name if isinstance(self.name, tuple) else (self.name,)

    @property
    def wide(self) -> bool:
        """Whether the role spans several columns of the table."""
        return isinstance(self.name, tuple)

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Closed bounds that follow from `kind`, `low` and `high`."""
        if self.kind == "binary":
            return 0, 1
        if self.kind == "count":
            return max(0.0, self.low or 0.0), self.high
        return self.low, self.high

    @property
    def rule(self) -> str:
        """One sentence: what a cell may hold."""
        if self.kind == "label":
            text = f"one label from {list(self.levels)}" if self.levels else "a label: any text, or a whole number"
        elif self.kind == "binary":
            text = "0 or 1, or false or true"
        elif self.kind == "covariate":
            text = "a finite number, or a label"
        else:
            noun = "finite number" if self.kind == "number" else "whole number"
            low, high = self.bounds
            if low is not None and high is not None:
                text = f"a {noun} from {low:g} to {high:g}"
            elif low is not None:
                text = f"a {noun} of at least {low:g}"
            else:
                text = f"a {noun}" + (f" of at most {high:g}" if high is not None else "")
        missing = ", or empty" if self.allow_missing else ""
        return f"{self.role!r} ({self.sentence}) is {text}{missing}."


@dataclass(frozen=True, eq=False, repr=False)
class Rows:
    """Coded columns of a table: what every model starts from.

    Attributes
    ----------
    n
        Number of rows.
    columns
        Role to array. Labels are int64 codes into `levels`; numbers are float64; the other kinds are int64
        values as they stand in the table. A wide role is ``(n, width)``, any other ``(n,)``. A missing cell
        is -1 (NaN for numbers) and stands only in roles that allow it. Arrays are read-only.
    missing
        Role to bool mask of the same shape, for roles that allow missing cells.
    levels
        Role to labels: of a label role its levels, of a wide role its column names.
    digest
        SHA-256 of the used columns in canonical form: the same for every dataframe library, and whatever
        levels were asked for; different when a cell or the order of rows differs. Of folded rows: without
        their order.
    notes
        What intake did that the user may want to know.
    ranges
        Role to (low, high) of every whole-number role bounded on both sides.
    """

    n: int
    columns: Mapping[str, NDArray[Any]]
    missing: Mapping[str, NDArray[np.bool_]]
    levels: Mapping[str, tuple[str, ...]]
    digest: str
    notes: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (*self.columns.values(), *self.missing.values()):
            array.setflags(write=False)

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        # Never the data: rows may be patients.
        return f"Rows(n={self.n}, roles={list(self.columns)}, digest={self.digest[:12]!r})"

    def decode(self, role: str) -> NDArray[np.object_]:
        """Return the labels of a label role, shape ``(n,)``; None where missing or unseen."""
        if role not in self.columns or role not in self.levels or self.columns[role].ndim > 1:
            labels = [name for name in self.levels if self.columns[name].ndim == 1]
            raise SpecificationError(f"decode: {role!r} is no label role; the label roles are {labels}.")
        # One extra None: population codes (the last place) and -1 both land on it.
        table = np.array([*self.levels[role], None], dtype=object)
        return np.asarray(table[self.columns[role]], dtype=object)


def digest(parts: Mapping[str, tuple[NDArray[Any], tuple[str, ...]]], *, ordered: bool = True) -> str:
    """Return the SHA-256 of columns in canonical form.

    Parameters
    ----------
    parts
        Role to (array, labels). For labels: int codes, -1 if missing, into the sorted labels in use.
        Otherwise an array of numbers, NaN if missing, and ``()`` or the names of a wide role's columns.
    ordered
        If false, rows are sorted first.
    """
    canonical = {role: _canonical(array) for role, (array, _) in sorted(parts.items())}
    if not ordered:
        keys = [key for array in canonical.values() for key in (array.T if array.ndim > 1 else (array,))]
        order = np.lexsort(keys[::-1])
        canonical = {role: np.ascontiguousarray(array[order]) for role, array in canonical.items()}
    state = hashlib.sha256(b"bayeskit rows 1\n")
    for role, array in canonical.items():
        head = json.dumps([role, array.shape, array.dtype.str, parts[role][1]])
        state.update(f"{len(head)}:{head}".encode())
        state.update(array.tobytes() if not array.flags.c_contiguous else array)
    return state.hexdigest()


def _canonical(array: NDArray[Any]) -> NDArray[np.float64]:
    # Every accepted integer is below 2**53, so float64 holds it exactly and the table's own dtype leaves no
    # trace.
    values = np.ascontiguousarray(array, dtype="<f8") + 0.0  # + 0.0 turns -0.0 into 0.0
    values[np.isnan(values)] = np.nan  # one bit pattern for NaN
    return values
