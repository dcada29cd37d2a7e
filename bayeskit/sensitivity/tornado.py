"""Which rows of a sensitivity table make its picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bayeskit.errors import SpecificationError, suggest

if TYPE_CHECKING:
    from bayeskit.report.content import Figure
    from bayeskit.sensitivity.result import Row, Sensitivity

__all__ = ["tornado"]

_LABELS = {
    "shift": "shift of the mean per step of the dial, in posterior sd",
    "direction": "shift of the mean when the assumption counts double, in posterior sd",
    "index": "power-scaling index",
}
_LARGEST = 40  # bars that fit a page


def tornado(found: Sensitivity, quantity: str | None, by: str, most: int) -> Figure:
    """Draw the largest effects; see `Sensitivity.plot`."""
    from bayeskit.report.tornado import tornado_plot
    from bayeskit.sensitivity.result import STATES

    if by not in _LABELS:
        raise SpecificationError(f"by={by!r}.{suggest(str(by), _LABELS)} One of {', '.join(_LABELS)}.")
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= _LARGEST:
        raise SpecificationError(f"most={most!r}: a whole number from 1 to {_LARGEST}.")
    names = list(dict.fromkeys(r.quantity for r in found.rows))
    if quantity is not None and quantity not in names:
        raise SpecificationError(f"No quantity named {quantity!r}.{suggest(quantity, names)} Quantities: {', '.join(names)}.")
    rows = [r for r in found.rows if quantity in (None, r.quantity)]
    known = [r for r in rows if math.isfinite(getattr(r, by))]
    if not known:
        raise SpecificationError(f"No row has a {by}: there is nothing to draw. {found.headline}")
    shown = sorted(known, key=lambda r: -abs(getattr(r, by)))[:most]
    blind = len(rows) - len(known)
    caption = f"The {len(shown)} largest of {len(known)} effects{f' on {quantity}' if quantity else ''}: {_LABELS[by]}."
    caption += f" {blind} of {len(rows)} comparisons have no such number and are not shown." if blind else ""
    return tornado_plot(
        [_label(r, by, quantity is None and len(names) > 1) for r in shown],
        [getattr(r, by) for r in shown],
        [r.state for r in shown],
        order=STATES,
        errors=[r.shift_mcse for r in shown] if by == "shift" else None,
        xlabel=_LABELS[by],
        caption=caption + (" Lines are two Monte Carlo standard errors to both sides." if by == "shift" else ""),
    )


def _label(row: Row, by: str, several: bool) -> str:
    what = row.dial if by == "shift" else row.assumption
    return f"{what} on {row.quantity}" if several else what
