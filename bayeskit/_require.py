"""Faults of coded rows that only a model can call faults: constants, lone groups, repeated rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeskit._counts import group
from bayeskit._rows import Rows
from bayeskit.errors import DataError, SpecificationError, suggest


def require_varying(rows: Rows, role: str) -> None:
    """Raise a DataError if a role holds one value only, so that nothing can be learnt from it."""
    values, kept = _filled(rows, role)
    if len(kept) == 0 or bool((values == values[0]).all()):
        shown = _shown(rows, role, values[:1])
        raise DataError(
            "every row holds the same value." if len(kept) else "holds no value.",
            column=role,
            values=shown,
            rule=f"{role!r} takes two values or more.",
            fix="check that the right column was named; a constant says nothing about the model.",
        )


def require_levels(rows: Rows, role: str, *, at_least: int = 2) -> None:
    """Raise a DataError if fewer than `at_least` different labels or values occur in a role."""
    values, _ = _filled(rows, role)
    distinct = np.unique(values)
    if len(distinct) < at_least:
        raise DataError(
            f"holds {len(distinct)} different {'value' if len(distinct) == 1 else 'values'}.",
            column=role,
            values=_shown(rows, role, distinct),
            rule=f"{role!r} has at least {at_least} different values.",
            fix="give a table with more of them, or a model that does not compare them.",
        )


def require_unique(rows: Rows, roles: Sequence[str]) -> None:
    """Raise a DataError if two rows agree in all of `roles`."""
    first, _ = group(rows, roles, count="")
    if len(first) == rows.n:
        return
    again = np.setdiff1d(np.arange(rows.n), first)
    names = ", ".join(repr(role) for role in roles)
    example = [_shown(rows, role, rows.columns[role][again[:1]])[0] for role in roles]
    raise DataError(
        f"{len(again)} {'row repeats' if len(again) == 1 else 'rows repeat'} an earlier row in {names}.",
        rows=again[:1000].tolist(),
        found=len(again),
        values=example,
        rule=f"a combination of {names} occurs once.",
        fix="drop the repeated rows, or add the column that tells them apart.",
    )


def _filled(rows: Rows, role: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the values of a role that are not missing, and their places in the flattened column."""
    if role not in rows.columns:
        hint = suggest(role, rows.columns)
        raise SpecificationError(f"{role!r} is no role of these rows; they have {list(rows.columns)}.{hint}")
    values = rows.columns[role].ravel()
    kept = np.flatnonzero(~rows.missing[role].ravel()) if role in rows.missing else np.arange(len(values))
    return values[kept], kept


def _shown(rows: Rows, role: str, values: NDArray[Any]) -> list[Any]:
    if role in rows.levels and rows.columns[role].ndim == 1:
        names = (*rows.levels[role], "(new)")
        return ["(missing)" if code < 0 else names[code] for code in values]
    return list(values.tolist())
