"""Counting coded rows: dense cells, distinct rows with counts, and wide rows made long.

Counts are exact: they are summed in float64 by ``numpy.bincount``, which holds whole numbers below 2**53,
and a total beyond that is refused first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bayeskit._rows import EXACT, Rows
from bayeskit.errors import DataError, SpecificationError, suggest

_CELLS = 2**31  # most cells of a dense count: 16 GiB of int64


def count_cells(
    rows: Rows,
    roles: Sequence[str],
    *,
    count: str = "count",
    missing: Literal["error", "drop", "level"] = "error",
) -> NDArray[np.int64]:
    """Count rows in every combination of levels.

    Parameters
    ----------
    rows
        Coded rows. Rows that carry the role `count` weigh as much as it says.
    roles
        Label roles, or whole-number roles bounded on both sides (levels, binaries). One axis each, in this
        order.
    count
        The role that holds the weight of a row; without it every row weighs 1.
    missing
        What to do with rows in which a role is empty: refuse, leave out, or count at one more, last place
        of that axis (only axes whose role has missing cells get one).

    Returns
    -------
    ndarray of int64, shape (size of role 1, size of role 2, ...)
        The place along the axis of a label is its code; of a whole number, ``value - low``.

    Raises
    ------
    SpecificationError
        If a role has no known levels or `missing` is no known rule.
    DataError
        If there are 2**31 cells or more, a total of 2**53 or more, or a missing or unseen label.
    """
    if missing not in ("error", "drop", "level"):
        raise SpecificationError(f"count_cells: missing is 'error', 'drop' or 'level'; got {missing!r}.")
    if isinstance(roles, str):
        raise SpecificationError(f"count_cells: roles is a list of roles; got the text {roles!r}.")
    axes, keep = _axes(rows, roles, missing)
    shape = [size for _, size in axes]
    cells = math.prod(shape)
    if cells >= _CELLS:
        sizes = ", ".join(f"{role}: {size}" for role, size in zip(roles, shape, strict=True))
        raise DataError(
            f"Counting every combination of {', '.join(map(repr, roles))} takes {cells} cells ({sizes}).",
            rule=f"a dense count has fewer than 2**31 = {_CELLS} cells.",
            fix="use fold(rows, roles), which keeps only the combinations that occur.",
        )
    code = np.zeros(rows.n, np.int64)
    for codes, size in axes:
        code *= size
        code += codes
    weights = _weights(rows, count)
    if keep is not None:
        code = code[keep]
        weights = None if weights is None else weights[keep]
    total = np.bincount(code, weights=weights, minlength=cells)
    return total.astype(np.int64).reshape(shape)


def fold(rows: Rows, roles: Sequence[str] | None = None, *, count: str = "count") -> Rows:
    """Return the distinct rows, sorted by code in the order of `roles`, with how often each occurs.

    Parameters
    ----------
    rows
        Coded rows; those that carry the role `count` weigh as much as it says.
    roles
        Roles to keep, wide ones included; all except `count` unless given.
    count
        The role that receives the counts: int64, and exact.

    Returns
    -------
    Rows
        As many rows as there are distinct ones; digest, notes and levels are those of `rows`.

    Raises
    ------
    SpecificationError
        If a role is unknown.
    DataError
        If the counts add up to 2**53 or more.
    """
    kept = [role for role in rows.columns if role != count] if roles is None else list(roles)
    if isinstance(roles, str):
        raise SpecificationError(f"fold: roles is a list of roles; got the text {roles!r}.")
    for role in kept:
        _known(rows, role)
    first, totals = group(rows, kept, count=count)
    columns: dict[str, NDArray[Any]] = {role: rows.columns[role][first] for role in kept}
    columns[count] = totals
    return replace(
        rows,
        n=len(first),
        columns=columns,
        missing={role: mask[first] for role, mask in rows.missing.items() if role in kept},
        levels={role: names for role, names in rows.levels.items() if role in kept},
        ranges={role: ends for role, ends in rows.ranges.items() if role in kept},
    )


def melt(rows: Rows, role: str, *, column_role: str, value_role: str) -> Rows:
    """Make a wide role long: one row per filled cell.

    Parameters
    ----------
    rows
        Coded rows.
    role
        A wide role, such as the verdicts of several judges that stand side by side.
    column_role
        Label role to make: which column the cell stood in. Its levels are the column names.
    value_role
        Role to make: what the cell held.

    Returns
    -------
    Rows
        Other roles are repeated; missing cells give no row. Order: row by row, within a row column by column.
    """
    values = rows.columns[_known(rows, role)]
    if values.ndim != 2:
        raise SpecificationError(f"melt: {role!r} is one column; only a wide role can be made long.")
    kept = [other for other in rows.columns if other != role]
    clash = {column_role, value_role} & set(kept)
    if clash or column_role == value_role:
        raise SpecificationError(
            f"melt: {column_role!r} and {value_role!r} must be two new roles; {sorted(clash)} exist already."
        )
    filled = ~rows.missing[role] if role in rows.missing else np.ones(values.shape, bool)
    row, place = np.nonzero(filled)
    columns: dict[str, NDArray[Any]] = {other: rows.columns[other][row] for other in kept}
    columns[column_role] = place.astype(np.int64)
    columns[value_role] = values[row, place]
    levels = {other: names for other, names in rows.levels.items() if other != role}
    ranges = {other: ends for other, ends in rows.ranges.items() if other != role}
    if role in rows.ranges:
        ranges[value_role] = rows.ranges[role]
    missing = {other: mask[row] for other, mask in rows.missing.items() if other != role}
    levels[column_role] = rows.levels[role]
    return replace(rows, n=len(row), columns=columns, missing=missing, levels=levels, ranges=ranges)


def group(rows: Rows, roles: Sequence[str], *, count: str = "count") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for every distinct row in sorted order, the first row that shows it and its count."""
    code, size = np.zeros(rows.n, np.int64), 1
    for role in roles:
        array, empty = rows.columns[role], rows.missing.get(role)
        for place in range(array.shape[1]) if array.ndim > 1 else (None,):
            column = array if place is None else array[:, place]
            gap = empty if empty is None or place is None else empty[:, place]
            part, width = _small_codes(column, gap)
            if size * width >= 2**62:  # int64 would overflow: renumber what occurs
                distinct, code = np.unique(code, return_inverse=True)
                size = len(distinct)
            code, size = code * width + part, size * width
    weights = _weights(rows, count)
    if size <= max(4 * rows.n, 2**16):
        # Few possible codes: counting beats sorting.
        occurs = np.bincount(code, minlength=size) > 0
        renumber = np.cumsum(occurs) - 1
        code = renumber[code]
        first = np.empty(int(occurs.sum()), np.int64)
        first[code[::-1]] = np.arange(rows.n)[::-1]  # assigned backwards, so the first row stays
    else:
        _, first, code = np.unique(code, return_index=True, return_inverse=True)
    totals = np.bincount(code, weights=weights, minlength=len(first)).astype(np.int64)
    return first, totals


def _small_codes(column: NDArray[Any], empty: NDArray[np.bool_] | None) -> tuple[NDArray[np.int64], int]:
    """Return order-preserving codes from 0 and their number; missing cells sort first."""
    if column.dtype.kind == "f":
        values, codes = np.unique(column, return_inverse=True)
        codes, size = codes.astype(np.int64), len(values)
    else:
        low = int(column.min()) if len(column) else 0
        size = (int(column.max()) if len(column) else 0) - low + 1
        codes = column - low
        if size > max(4 * len(column), 2**16):
            values, codes = np.unique(column, return_inverse=True)
            codes, size = codes.astype(np.int64), len(values)
    if empty is None or not empty.any():
        return codes, size
    return np.where(empty, 0, codes + 1), size + 1


def _weights(rows: Rows, count: str) -> NDArray[np.int64] | None:
    """Return the role `count`, after making sure that no sum of it can be inexact."""
    if count not in rows.columns:
        return None
    weights = np.asarray(rows.columns[count])
    if weights.ndim != 1 or weights.dtype.kind not in "iu" or (len(weights) and int(weights.min()) < 0):
        raise SpecificationError(f"role {count!r} must hold whole numbers from 0; got dtype {weights.dtype}.")
    # In two halves: the sum of many counts just below 2**53 would wrap around in int64.
    total = (int((weights >> 26).sum()) << 26) + int((weights & (2**26 - 1)).sum())
    if total >= EXACT:
        raise DataError(
            f"The counts add up to {total}.",
            rule=f"counts add up to less than 2**53 = {EXACT}, beyond which sums are no longer exact.",
            fix="check the column for corrupt cells.",
        )
    return weights


def _axes(
    rows: Rows, roles: Sequence[str], missing: str
) -> tuple[list[tuple[NDArray[np.int64], int]], NDArray[np.bool_] | None]:
    """Return the axes of a count, and which rows stay (None for all)."""
    axes = []
    keep: NDArray[np.bool_] | None = None
    for role in roles:
        codes, size = _axis(rows, role)
        empty = rows.missing.get(role)
        if empty is not None and empty.any():
            if missing == "error":
                raise _empty_cells(role, empty)
            if missing == "level":
                codes, size = np.where(empty, size, codes), size + 1
            else:
                keep = ~empty if keep is None else keep & ~empty
        axes.append((codes, size))
    return axes, keep


def _axis(rows: Rows, role: str) -> tuple[NDArray[np.int64], int]:
    """Return place along the axis and length of the axis; missing cells may lie outside."""
    values = rows.columns[_known(rows, role)]
    if values.ndim > 1:
        raise SpecificationError(f"count_cells: {role!r} spans several columns; make it long first, with melt().")
    if role in rows.levels:
        size = len(rows.levels[role])
        unseen = np.flatnonzero(values >= size)
        if len(unseen):
            raise DataError(
                f"{len(unseen)} rows have a label that the fit has not seen.",
                column=role,
                rows=unseen[:1000].tolist(),
                found=len(unseen),
                rule="only labels of known levels can be counted.",
                fix="leave these rows out.",
            )
        return values, size
    if role in rows.ranges:
        low, high = rows.ranges[role]
        return values - low, high - low + 1
    raise SpecificationError(f"count_cells: {role!r} has no levels: it is no label and no whole number bounded on both sides.")


def _known(rows: Rows, role: str) -> str:
    if role not in rows.columns:
        hint = suggest(role, rows.columns)
        raise SpecificationError(f"{role!r} is no role of these rows; they have {list(rows.columns)}.{hint}")
    return role


def _empty_cells(role: str, empty: NDArray[np.bool_]) -> DataError:
    rows = np.flatnonzero(empty)
    return DataError(
        f"{len(rows)} rows have no value.",
        column=role,
        rows=rows[:1000].tolist(),
        found=len(rows),
        rule="a row that is counted has a value in every role.",
        fix="count_cells(..., missing='drop') leaves them out; missing='level' counts them separately.",
    )
