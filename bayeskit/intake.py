"""Tables to coded columns: every fault of the data is found here, before anything compiles.

PyTensor's default backend checks no bounds: a code out of range fits silently or kills the process, and a
pandas code of -1 is the last group. So no other module makes codes, and `encode` is the only way to make
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bayeskit._counts import count_cells, fold, group, melt
from bayeskit._require import require_levels, require_unique, require_varying
from bayeskit._rows import EXACT, Column, Kind, Rows, digest
from bayeskit.errors import DataError, SpecificationError, show, suggest
from bayeskit.readers import Mode, Source, Sources, Table, open_table

__all__ = [
    "Column",
    "Kind",
    "Rows",
    "count_cells",
    "encode",
    "fold",
    "melt",
    "require_levels",
    "require_unique",
    "require_varying",
]

_EXAMPLES = 1000  # offending rows kept in an error; it says how many there are
_COUNT = Column("count", "count", "count", "how many equal rows this row stands for")
_LOST = "(Rows were grouped while the file was read: these are distinct ones, and have no row numbers.)"


def encode(
    table: Any,
    columns: Sequence[Column],
    *,
    levels: Mapping[str, Sequence[str]] | None = None,
    new_levels: Literal["error", "population"] = "error",
    fold: bool = False,
) -> Rows:
    """Check a table and code its columns.

    Parameters
    ----------
    table
        Any form that `bayeskit.readers.open_table` takes, or rows that were coded before.
    columns
        What the model asks for.
    levels
        Labels by role, in the order of their codes, as a fit knows them. Roles not named here get their own.
    new_levels
        What to do with a label that is not in `levels`: refuse it, or give it the code ``len(levels)``,
        which stands for a group drawn from the population.
    fold
        Return distinct rows, with their number as role ``"count"`` (summed, if declared). A file is grouped
        while it is read, so one with 10**8 rows of few kinds never stands in memory.

    Returns
    -------
    Rows
        Codes of labels are in ``[0, len(levels))``, or -1 in missing cells of roles that allow them.

    Raises
    ------
    DataError
        Naming column, rows, rule and fix, if the table breaks what `columns` asks for.
    SpecificationError
        If the request itself makes no sense.
    """
    columns = list(columns)
    if isinstance(table, Rows):
        table, columns, levels = _reopen(table, columns, levels)
    _check_request(columns, levels, new_levels, fold)
    opened: Table = table if isinstance(table, _CodedTable) else open_table(table)
    coder = _Coder(dict(levels or {}), new_levels, list(opened.notes))
    present = [_settled(column, opened, coder.known) for column in columns if _present(column, opened, coder.notes)]
    wanted = [(name, _mode(column)) for column in present for name in column.names]
    data = opened.read(list(dict.fromkeys(wanted)), fold=fold)
    if data.n == 0:
        raise DataError(
            "The table has no rows.",
            rule="a table has one row or more.",
            fix="check the filter or the file that the table comes from.",
        )
    try:
        for column in present:
            coder.add(column, data)
    except DataError as fault:
        if data.counts is None:
            raise
        raise fault.without_rows(_LOST) from None
    return coder.rows(data, fold)


# --- the request ------------------------------------------------------------------------------------------


def _check_request(columns: Sequence[Column], levels: Mapping[str, Sequence[str]] | None, new_levels: str, fold: bool) -> None:
    if not columns:
        raise SpecificationError("encode: columns is empty; declare at least one Column.")
    roles = [column.role for column in columns]
    repeated = sorted({role for role in roles if roles.count(role) > 1})
    if repeated:
        raise SpecificationError(f"encode: the roles {repeated} are declared more than once.")
    if new_levels not in ("error", "population"):
        raise SpecificationError(f"encode: new_levels is 'error' or 'population'; got {new_levels!r}.")
    labels = [column.role for column in columns if column.kind in ("label", "covariate")]
    for role, names in (levels or {}).items():
        if role not in labels:
            hint = suggest(role, labels)
            raise SpecificationError(f"encode: levels names {role!r}; the label roles are {labels}.{hint}")
        if len(set(names)) != len(names) or isinstance(names, str) or not all(isinstance(n, str) for n in names):
            raise SpecificationError(f"encode: levels[{role!r}] must be different texts; got {tuple(names)!r:.200}.")
    for column in columns:
        if fold and column.role == "count" and (column.kind != "count" or column.wide or column.allow_missing):
            raise SpecificationError("encode: with fold=True the role 'count' is one column of kind 'count'.")


def _present(column: Column, table: Table, notes: list[str]) -> bool:
    """Return whether the table has the column; raise if it must, or has it twice."""
    for name in column.names:
        found = table.names.count(name)
        if found == 1:
            continue
        if found > 1:
            raise DataError(
                f"{found} columns of the table have this name.",
                column=name,
                rule="every column that is used has a name of its own.",
                fix="rename or drop all but one.",
            )
        if not column.required:
            notes.append(f"Column {name!r} ({column.sentence}) is not in the table; the fit goes on without it.")
            return False
        names = ", ".join(repr(other) for other in table.names[:12])
        more = f" and {len(table.names) - 12} more" if len(table.names) > 12 else ""
        raise DataError(
            f"is not in the table.{suggest(name, table.names)}{table.hint}",
            column=name,
            rule=column.rule,
            fix=f"name one of its columns: {names}{more}." if names else "the table has no columns with names.",
        )
    return True


def _settled(column: Column, table: Table, known: Mapping[str, Sequence[str]]) -> Column:
    """A covariate as what the table holds: labels where it is text or categories, 0 and 1 for false and true, else numbers.

    Where the fit knows labels of it, it is a label whatever the new table holds.
    """
    if column.kind != "covariate":
        return column
    if column.role in known:
        return replace(column, kind="label")
    source = table.read([(column.names[0], "number")]).columns[column.names[0], "number"]
    words = len(source.bad_rows) > 0 and len(source.bad_rows) == int((~source.null).sum())  # of a CSV file: not one number
    if source.kind == "text" or source.dtype == "category" or words:
        truth = table.read([(column.names[0], "binary")]).columns[column.names[0], "binary"]
        if truth.kind == "bool" or (words and not len(truth.bad_rows)):
            return replace(column, kind="binary")
        return replace(column, kind="label")
    return replace(column, kind="binary" if source.kind == "bool" else "number")


def _mode(column: Column) -> Mode:
    return "label" if column.kind == "label" else "binary" if column.kind == "binary" else "number"


# --- coding -----------------------------------------------------------------------------------------------


@dataclass
class _Coder:
    """Collects the coded columns of one table."""

    known: dict[str, Sequence[str]]
    new_levels: str
    notes: list[str] = field(default_factory=list)
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    missing: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    parts: dict[str, tuple[NDArray[Any], tuple[str, ...]]] = field(default_factory=dict)

    def add(self, column: Column, data: Sources) -> None:
        role = column.role
        if column.kind == "label":
            self._add_label(column, data.columns[column.names[0], "label"])
            return
        done = [_code_number(column, name, data.columns[name, _mode(column)], self.notes) for name in column.names]
        values = np.stack([array for array, _ in done], axis=1) if column.wide else done[0][0]
        mask = np.stack([empty for _, empty in done], axis=1) if column.wide else done[0][1]
        self.columns[role] = values
        if column.allow_missing:
            self.missing[role] = mask
        if column.wide:
            self.levels[role] = column.names
        low, high = column.bounds
        if column.kind != "number" and low is not None and high is not None:
            self.ranges[role] = (int(np.ceil(low)), int(np.floor(high)))
        self.parts[role] = (
            np.where(mask, np.nan, values) if mask.any() else values,
            column.names * column.wide,
        )

    def _add_label(self, column: Column, source: Source) -> None:
        role, name = column.role, column.names[0]
        null = source.null
        if null.any() and not column.allow_missing:
            raise _fault(
                f"{_many(int(null.sum()), 'row has', 'rows have')} no label.",
                column,
                name,
                np.flatnonzero(null),
                fix="drop the rows, or write a label of your own for them, such as 'unknown'.",
            )
        occurs = np.bincount(source.values[~null] if null.any() else source.values, minlength=len(source.categories))
        used = sorted({label for label, times in zip(source.categories, occurs, strict=True) if times})
        if not used:
            raise _nothing(column, name)
        _note_labels(name, source, used, self.notes)
        canonical = {label: code for code, label in enumerate(used)}
        codes = self._codes(column, source, used)
        # Codes among the sorted labels in use: what the digest sees, whatever levels were asked for.
        self.parts[role] = (_recode(source.values, source.categories, canonical, -1), tuple(used))
        self.columns[role] = codes
        if column.allow_missing:
            self.missing[role] = null.copy()

    def _codes(self, column: Column, source: Source, used: list[str]) -> NDArray[np.int64]:
        role, name = column.role, column.names[0]
        known: Sequence[str] | None = self.known.get(role, column.levels)
        if known is None:
            in_use = set(used)
            known = [label for label in dict.fromkeys(source.categories) if label in in_use]
            known = known if source.ordered else used
        self.levels[role] = tuple(known)
        places = {label: code for code, label in enumerate(known)}
        new = [label for label in used if label not in places]
        codes = _recode(source.values, source.categories, places, len(places) if new else -1)
        if not new:
            return codes
        if role in self.known and self.new_levels == "population":
            self.notes.append(f"Column {name!r}: {len(new)} unseen labels stand for new groups of the population.")
            return codes
        labels = ", ".join(show(label) for label in new[:5]) + (", ..." if len(new) > 5 else "")
        hint = next((found for label in new[:5] if (found := suggest(label, places))), "")
        rows = np.flatnonzero(codes == len(places))
        shown = _shown_labels(source, rows)
        if role not in self.known:
            problem = f"{_many(len(new), 'label is', 'labels are')} not allowed: {labels}.{hint}"
            raise _fault(problem, column, name, rows, shown, "correct or drop these rows.")
        problem = f"{_many(len(new), 'label was', 'labels were')} not in the fitted data: {labels}.{hint}"
        fix = "drop these rows, fit again with them, or ask for new groups: new_levels='population'."
        fault = _fault(problem, column, name, rows, shown, fix)
        fault.rule = f"{role!r} ({column.sentence}) is one of the {len(places)} labels of the fit."
        raise fault

    def rows(self, data: Sources, folded: bool) -> Rows:
        if folded:
            self._multiply(data)
        whole = Rows(data.n, self.columns, self.missing, self.levels, "", tuple(self.notes), self.ranges)
        if not folded:
            return replace(whole, digest=digest(self.parts))
        roles = [role for role in self.columns if role != "count"]
        small = fold(whole, roles)
        first, totals = group(whole, roles)
        parts = {role: (array[first], names) for role, (array, names) in self.parts.items() if role != "count"}
        return replace(small, digest=digest({**parts, "count": (totals, ())}, ordered=False))

    def _multiply(self, data: Sources) -> None:
        """Turn the numbers of equal rows that the reader found into the role "count"."""
        if data.counts is None:
            return
        if "count" not in self.columns:
            self.columns["count"] = data.counts
            return
        # Python integers on the few largest would do; float64 is enough to see a product near 2**53.
        if (self.columns["count"].astype(float) * data.counts >= EXACT).any():
            raise DataError(
                "The counts of equal rows add up to 2**53 or more.",
                column="count",
                rule="counts add up to less than 2**53, beyond which sums are no longer exact.",
                fix="check the column for corrupt cells.",
            )
        self.columns["count"] = self.columns["count"] * data.counts


def _recode(
    codes: NDArray[np.int64], categories: Sequence[str], places: Mapping[str, int], otherwise: int
) -> NDArray[np.int64]:
    # The extra last entry is where -1, a missing cell, lands.
    table = np.array([*(places.get(label, otherwise) for label in categories), -1], np.int64)
    return np.asarray(table[codes], np.int64)


def _code_number(column: Column, name: str, source: Source, notes: list[str]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Check one numeric column; return its values (-1 or NaN where missing) and the mask of missing cells."""
    _check_type(column, name, source, notes)
    values, null = source.values, source.null
    if null.any() and not column.allow_missing:
        raise _fault(
            f"{_many(int(null.sum()), 'value is', 'values are')} missing (NaN or empty).",
            column,
            name,
            np.flatnonzero(null),
            fix="drop the rows, or fill the cells; nothing is imputed silently.",
        )
    if null.all():
        raise _nothing(column, name)
    _check_values(column, name, values, null)
    # Always a copy: the array may be the user's own, and rows are read-only.
    if column.kind == "number":
        return np.where(null, np.nan, values).astype(np.float64), null.copy()
    return np.where(null, -1, values).astype(np.int64), null.copy()


def _check_values(column: Column, name: str, values: NDArray[Any], null: NDArray[np.bool_]) -> None:
    """Raise a DataError for the first rule that a value breaks: finite, whole, below 2**53, within bounds."""

    def refuse(bad: NDArray[np.bool_], one: str, several: str, fix: str) -> None:
        bad = bad & ~null
        if bad.any():
            rows = np.flatnonzero(bad)
            shown = values[rows[:5]].tolist()
            raise _fault(f"{_many(len(rows), one, several)}", column, name, rows, shown, fix)

    if values.dtype.kind == "f":
        refuse(
            np.isinf(values),
            "value is not finite.",
            "values are not finite.",
            "drop the rows, or correct them.",
        )
    if column.kind != "number":
        with np.errstate(invalid="ignore"):
            if values.dtype.kind == "f":
                refuse(
                    values != np.trunc(values),
                    "value is not a whole number.",
                    "values are not whole numbers.",
                    "round them yourself if that is what they mean, or name another column.",
                )
            # Not abs(): of the smallest int64 that is negative.
            large = (values >= EXACT) | ((values <= -EXACT) if values.dtype.kind != "u" else False)
            refuse(
                large,
                "value is 2**53 or larger in size.",
                "values are 2**53 or larger in size.",
                "use smaller units; whole numbers of 2**53 and more are not exact.",
            )
    low, high = column.bounds
    fix = "correct or drop these rows, or name another column."
    with np.errstate(invalid="ignore"):
        if low is not None and high is not None:
            out, ends = (values < low) | (values > high), f"outside {low:g} to {high:g}."
            refuse(out, f"value is {ends}", f"values are {ends}", fix)
        elif low is not None:
            refuse(values < low, f"value is below {low:g}.", f"values are below {low:g}.", fix)
        elif high is not None:
            refuse(values > high, f"value is above {high:g}.", f"values are above {high:g}.", fix)


def _check_type(column: Column, name: str, source: Source, notes: list[str]) -> None:
    rows = source.bad_rows
    if source.kind in ("text", "time", "other"):
        held, fix = {
            "text": ("text, not numbers", "convert it, for example with pandas.to_numeric(table[name])."),
            "time": (
                "dates or times, not numbers",
                "subtract a start and divide by a unit, such as one day.",
            ),
            "other": ("neither numbers nor text", "turn the column into numbers first."),
        }[source.kind]
        kind = f" (type {source.dtype})" if source.dtype else ""
        raise _fault(f"holds {held}{kind}.", column, name, rows, source.bad_values, fix)
    if len(rows):
        fix = "correct these cells; decimals take a point, and an empty cell says that a value is missing."
        problem = _many(len(rows), "cell is no number.", "cells are no numbers.")
        raise _fault(problem, column, name, rows, source.bad_values, fix)
    if source.kind == "bool" and column.kind in ("number", "count"):
        rows = np.flatnonzero(~source.null)
        shown = [bool(value) for value in source.values[rows[:5]]]
        raise _fault("holds true and false, not numbers.", column, name, rows, shown, "name a column of numbers.")
    if source.kind == "bool" and column.kind != "binary":
        notes.append(f"Column {name!r}: false and true are taken as 0 and 1.")


def _note_labels(name: str, source: Source, used: list[str], notes: list[str]) -> None:
    unused = set(source.categories) - set(used)
    if source.declared and unused:
        shown = ", ".join(repr(label) for label in sorted(unused)[:5])
        notes.append(f"Column {name!r}: {len(unused)} categories that no row has are left out ({shown}).")
    by_form: dict[str, list[str]] = {}
    for label in used:
        by_form.setdefault(label.strip(), []).append(label)
    alike = next((labels for labels in by_form.values() if len(labels) > 1), None)
    if alike:
        count = sum(len(labels) > 1 for labels in by_form.values())
        shown = ", ".join(map(repr, alike))
        notes.append(
            f"Column {name!r}: {_many(count, 'group of labels differs', 'groups of labels differ')} only by "
            f"white space around them ({shown}); they are kept apart."
        )
    words = [label for label in used if label.strip().lower() in ("", "nan", "na", "n/a", "none", "null")]
    if words:
        shown = ", ".join(map(repr, words))
        notes.append(f"Column {name!r}: {shown} is a label like any other, not a missing value.")


# --- faults -----------------------------------------------------------------------------------------------


def _fault(problem: str, column: Column, name: str, rows: NDArray[Any], values: Sequence[Any] = (), fix: str = "") -> DataError:
    examples = rows[:_EXAMPLES].tolist()
    return DataError(problem, column=name, rows=examples, found=len(rows), values=values, rule=column.rule, fix=fix)


def _nothing(column: Column, name: str) -> DataError:
    fix = "check that the right column was named, or leave the column out."
    return DataError("every cell is empty.", column=name, rule=column.rule, fix=fix)


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _shown_labels(source: Source, rows: NDArray[Any]) -> list[str]:
    return [source.categories[code] for code in source.values[rows[:5]]]


# --- rows as a table --------------------------------------------------------------------------------------


class _CodedTable:
    """Rows in the form of a table, so that they pass the same checks."""

    hint = ""
    notes: tuple[str, ...] = ()

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._places: dict[str, tuple[str, int | None]] = {}
        names: list[str] = []
        for role, array in rows.columns.items():
            wide = array.ndim > 1
            names += rows.levels[role] if wide else (role,)
            for place in range(array.shape[1]) if wide else (None,):
                name = role if place is None else rows.levels[role][place]
                self._places[name] = (role, place)
        self.names: tuple[str, ...] = tuple(names)

    def read(self, wanted: Sequence[tuple[str, Mode]], *, fold: bool = False) -> Sources:
        return Sources(self._rows.n, {(name, mode): self._source(name, mode) for name, mode in wanted})

    def _source(self, name: str, mode: Mode) -> Source:
        role, place = self._places[name]
        values = self._rows.columns[role]
        null = self._rows.missing.get(role, np.zeros(values.shape, bool))
        if place is not None:
            values, null = values[:, place], null[:, place]
        if mode != "label":
            return Source("number", values, null)
        unseen = "(a label that the fit had not seen)"
        return Source("label", values, null, (*self._rows.levels[role], unseen), ordered=True)


def _reopen(
    rows: Rows, columns: list[Column], levels: Mapping[str, Sequence[str]] | None
) -> tuple[Any, list[Column], Mapping[str, Sequence[str]]]:
    """Prepare coded rows to be coded again: roles are column names; their levels hold unless others do."""
    renamed = []
    for column in columns:
        wide = column.wide and column.role in rows.columns and rows.columns[column.role].ndim > 1
        renamed.append(replace(column, name=rows.levels[column.role] if wide else column.role))
    if "count" in rows.columns and all(column.role != "count" for column in columns):
        renamed.append(_COUNT)  # folded rows keep their weights
    labels = {column.role for column in columns if column.kind in ("label", "covariate")} & set(rows.levels)
    return _CodedTable(rows), renamed, {**{role: rows.levels[role] for role in labels}, **(levels or {})}
