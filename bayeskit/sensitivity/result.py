"""What a sensitivity analysis found, in words and numbers."""

from __future__ import annotations

import html
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STATES", "Row", "Sensitivity"]

STATES = ("ok", "sensitive", "conflict", "unreliable", "not computed")
CAVEAT = (
    "A sensitive quantity is not an error: an informative assumption that is meant to inform shows up here. "
    "It says what the answer rests on."
)
_SHOWN = ["quantity", "assumption", "state", "index", "direction", "dial", "shift", "shift_mcse", "k_hat", "ess"]


@dataclass(frozen=True)
class Row:
    """One assumption against one quantity.

    Attributes
    ----------
    quantity, assumption, level : str
        What was looked at, and the level of the assumption.
    index : float
        Power-scaling index of the assumption; 0.05 and more counts as sensitive.
    likelihood_index : float
        The same for the likelihood: small where the data say little about the quantity.
    direction : float
        Shift of the mean in posterior standard deviations when the assumption counts double, to first order.
    k_hat, ess : float
        Pareto shape and effective size of the worse set of weights.
    dial, step : str, float
        The dial that moves the quantity most, and what counts as one step of it.
    shift, shift_mcse : float
        Change of the mean per step in posterior standard deviations, and its Monte Carlo standard error.
    state : str
        One of `STATES`.
    how : str
        "reweighted", or what to do where draws cannot be reweighted.
    """

    quantity: str
    assumption: str
    level: str
    index: float
    likelihood_index: float
    direction: float
    k_hat: float
    ess: float
    dial: str
    step: float
    shift: float
    shift_mcse: float
    state: str
    how: str

    def sentence(self) -> str:
        """The row in words."""
        subject = f"{self.quantity} and the assumption '{self.assumption}'"
        if self.state == "not computed":
            return f"{subject}: not computed; {self.how}."
        if self.state == "unreliable":
            return f"{subject}: the draws do not reach far enough to tell (k-hat {self.k_hat:.2f}); refit with other dials."
        if self.state == "ok":
            return f"{self.quantity} hardly moves with '{self.assumption}'."
        way = "up" if self.direction > 0 else "down"
        text = (
            f"{self.quantity} rests on '{self.assumption}': counting it double moves it {way} by {abs(self.direction):.2f} sd"
        )
        if self.state == "conflict":
            return f"{text}, against the data, which move it too."
        return f"{text}; the data say little about it."


@dataclass(frozen=True)
class Sensitivity:
    """Every assumption against every quantity, from the draws of one fit.

    Attributes
    ----------
    rows : tuple of Row
        By assumption, then quantity.
    prob : float
        Probability of intervals that come with it.
    k_hat_limit, threshold : float
        Largest k-hat trusted, and the index that counts as sensitive.
    """

    rows: tuple[Row, ...]
    prob: float
    k_hat_limit: float
    threshold: float

    @property
    def table(self) -> pd.DataFrame:
        """One row for each `Row`, in the order of the rows."""
        import pandas as pd

        return pd.DataFrame([asdict(r) for r in self.rows])

    def of(self, state: str) -> tuple[Row, ...]:
        """Rows in one of the states, those with the largest index first."""
        if state not in STATES:
            raise ValueError(f"state={state!r}: one of {', '.join(STATES)}.")
        found = [r for r in self.rows if r.state == state]
        return tuple(sorted(found, key=lambda r: -r.index if math.isfinite(r.index) else 0.0))

    @property
    def headline(self) -> str:
        """What the answer rests on, in one line."""
        moved = [*self.of("conflict"), *self.of("sensitive")]
        blind = len(self.of("unreliable")) + len(self.of("not computed"))
        tail = f" {blind} of {len(self.rows)} comparisons could not be made from these draws." if blind else ""
        if not moved:
            return f"No quantity was seen to rest on an assumption.{tail}"
        names = list(dict.fromkeys(r.assumption for r in sorted(moved, key=lambda r: -r.index)))
        quantities = len({r.quantity for r in moved})
        total = len({r.quantity for r in self.rows})
        return f"{quantities} of {total} quantities rest on {', '.join(names)}.{tail}"

    def __repr__(self) -> str:
        lines = [self.headline, *(r.sentence() for r in (*self.of("conflict"), *self.of("sensitive"))[:10])]
        return "\n".join([*lines, self.table[_SHOWN].round(3).to_string(index=False), CAVEAT])

    def _repr_html_(self) -> str:
        words = "".join(f"<li>{html.escape(r.sentence())}</li>" for r in (*self.of("conflict"), *self.of("sensitive"))[:10])
        table = self.table[_SHOWN].round(3).to_html(index=False)
        return f"<p>{html.escape(self.headline)}</p><ul>{words}</ul>{table}<p>{html.escape(CAVEAT)}</p>"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        rows = [{k: _plain(v) for k, v in asdict(r).items()} for r in self.rows]
        facts = {"prob": self.prob, "k_hat_limit": self.k_hat_limit, "threshold": self.threshold, "headline": self.headline}
        return json.dumps({"schema": "bayeskit.sensitivity/1", **facts, "rows": rows}, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
