"""What a sensitivity analysis found, in words and numbers."""

from __future__ import annotations

import html
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.report.content import Figure

__all__ = ["STATES", "Row", "Sensitivity", "Verification"]

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
        The rung that the numbers come from ("reweighted", or "refitted ..." with the verdicts of the refits), or what to do
        where draws cannot be reweighted. The k-hat stays that of the draws.
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
            told = self.how if self.how != "reweighted" else "ladder='auto' refits"
            return f"{subject}: the draws do not reach far enough to tell (k-hat {self.k_hat:.2f}); {told}."
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
class Verification:
    """The most important row of a table, by refits.

    Attributes
    ----------
    quantity, assumption, dial : str
        The row; no dial where the whole prior was raised to a power.
    shift, shift_mcse : float
        What the draws of the fit say: change of the mean per step of the dial (or per unit of the exponent) in posterior
        standard deviations, to first order, and its Monte Carlo standard error.
    refit_shift, refit_mcse : float
        The same from refits a quarter of a step down and up.
    verdicts : tuple of str
        Status of the verdict of each refit.
    message : str
        The error, where a refit failed.
    """

    quantity: str
    assumption: str
    dial: str
    shift: float
    shift_mcse: float
    refit_shift: float
    refit_mcse: float
    verdicts: tuple[str, ...]
    message: str = ""

    @property
    def agrees(self) -> bool | None:
        """Whether both agree within 10 % or three standard errors; None where a refit cannot be trusted."""
        if not self.verdicts or not set(self.verdicts) <= {"PASS", "WARN"} or not math.isfinite(self.refit_shift):
            return None
        error = 3.0 * math.hypot(self.shift_mcse, self.refit_mcse)
        return abs(self.shift - self.refit_shift) <= max(0.1 * abs(self.refit_shift), error)

    def sentence(self) -> str:
        """The comparison in words."""
        if self.agrees is None:
            why = self.message or f"verdicts {', '.join(self.verdicts)}"
            return f"NOT VERIFIED: the refits of '{self.assumption}' cannot be trusted ({why})."
        what = f"a step of {self.dial}" if self.dial else f"counting '{self.assumption}' double"
        head = "Verified by refits" if self.agrees else "NOT CONFIRMED by refits"
        text = (
            f"{head}: {what} moves {self.quantity} by {self.refit_shift:.2f} sd (Monte Carlo error {self.refit_mcse:.2f}); the "
            f"draws said {self.shift:.2f} ({self.shift_mcse:.2f})"
        )
        return f"{text}: they agree." if self.agrees else f"{text}: they do not agree, so take the refits' numbers."


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
    verified : Verification or None
        The most important row by refits, where that was asked for.
    """

    rows: tuple[Row, ...]
    prob: float
    k_hat_limit: float
    threshold: float
    verified: Verification | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row for each `Row`, in the order of the rows."""
        import pandas as pd

        return pd.DataFrame([asdict(r) for r in self.rows])

    @property
    def shown(self) -> pd.DataFrame:
        """The columns that people read, with what moves most on top and what could not be computed at the end."""
        table = self.table
        place = table["state"].map({s: 2 if s == "not computed" else 1 if s == "ok" else 0 for s in STATES})
        order = table.assign(place=place, size=-table["index"].fillna(0.0)).sort_values(["place", "size"], kind="stable").index
        return table.loc[order, _SHOWN]

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
        if self.verified is not None and not self.verified.agrees:
            tail += f" {self.verified.sentence()}"
        if not moved:
            return f"No quantity was seen to rest on an assumption.{tail}"
        names = list(dict.fromkeys(r.assumption for r in sorted(moved, key=lambda r: -r.index)))
        quantities = len({r.quantity for r in moved})
        total = len({r.quantity for r in self.rows})
        return f"{quantities} of {total} quantities rest on {', '.join(names)}.{tail}"

    def _sentences(self) -> list[str]:
        told = [r.sentence() for r in (*self.of("conflict"), *self.of("sensitive"))[:10]]
        return [*told, self.verified.sentence()] if self.verified is not None else told

    def __repr__(self) -> str:
        return "\n".join([self.headline, *self._sentences(), self.shown.round(3).to_string(index=False), CAVEAT])

    def _repr_html_(self) -> str:
        words = "".join(f"<li>{html.escape(s)}</li>" for s in self._sentences())
        table = self.shown.round(3).to_html(index=False)
        return f"<p>{html.escape(self.headline)}</p><ul>{words}</ul>{table}<p>{html.escape(CAVEAT)}</p>"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        rows = [{k: _plain(v) for k, v in asdict(r).items()} for r in self.rows]
        facts: dict[str, Any] = {
            "prob": self.prob,
            "k_hat_limit": self.k_hat_limit,
            "threshold": self.threshold,
            "headline": self.headline,
        }
        if self.verified is not None:
            told = {"agrees": self.verified.agrees, "sentence": self.verified.sentence()}
            facts["verified"] = {k: _plain(v) for k, v in asdict(self.verified).items()} | told
        return json.dumps({"schema": "bayeskit.sensitivity/1", **facts, "rows": rows}, allow_nan=False, ensure_ascii=False)

    def plot(
        self,
        quantity: str | None = None,
        *,
        by: Literal["shift", "direction", "index"] = "shift",
        most: int = 12,
    ) -> Figure:
        """Draw the largest effects as bars, longest on top (a tornado).

        Parameters
        ----------
        quantity : str, optional
            One quantity; otherwise the largest effects on any.
        by : {"shift", "direction", "index"}
            Length of the bars: change of the mean per step of the dial that moves it most, change of the mean when the
            assumption counts double (both in posterior standard deviations), or the power-scaling index.
        most : int
            Number of bars, 1 to 40.

        Returns
        -------
        Figure
            SVG. The state of each row is told by hatch, by mark and in words; rows without a number are counted in the caption.

        Raises
        ------
        SpecificationError
            For an unknown quantity or kind of bar, a number of bars out of range, or if no row has a number.
        """
        from bayeskit.sensitivity.tornado import tornado

        return tornado(self, quantity, by, most)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
