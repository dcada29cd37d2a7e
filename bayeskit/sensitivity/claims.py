r"""Claims: sentences about a posterior that hold, fail, or are too close to call.

The grammar::

    claim      := figure relation figure | event | best(element)
    relation   := ">" | ">=" | "<" | "<="
    figure     := number | P(event) | P(best(element)) | summary, and + - * / and parentheses of these
    summary    := mean(draws) | median(draws) | sd(draws) | lower(draws [, prob]) | upper(draws [, prob])
    event      := draws relation draws
    draws      := number | element | rank(element), and + - * / and parentheses of these
    element    := estimand | estimand[label] | estimand[label, label] | label
    label      := word | whole number | "text" | `text`

An element is written as in the tables of a fit. A label may stand alone where one headline estimand with one dimension has it.
Words may hold ``. : @`` and hyphens inside (``gpt-4t``): to subtract, write blanks around the minus sign. Every other label
is written in double quotes, where a backslash escapes (``\\"``, ``\\\\``, ``\\n``, ``\\u00e9``), or between backticks, where
nothing does.

An event that stands alone is read as "with probability `prob`": ``rank(A) <= 3`` is ``P(rank(A) <= 3) >= 0.95``, that is, the
upper end of the one-sided 95 % interval of the rank is at most 3. ``lower`` and ``upper`` are ends of the equal-tailed
interval. A tie is no ``>``.
Rank 1 is the largest; equal elements share the better place, and in ``best`` the first place itself.
"""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bayeskit.sensitivity.claim_figures import Draws, figure
from bayeskit.sensitivity.claim_parser import Vocabulary, parse_claim
from bayeskit.sensitivity.claim_terms import Element, Number, Probability, Relation, Term, elements, written

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayeskit.fit import Fit

__all__ = ["CLOSE", "Claim", "ClaimValue", "claim"]

CLOSE = 1.96
"""Margins of fewer Monte Carlo standard errors than this are too close to call."""

State = Literal["holds", "does not hold", "too close to call", "not computed"]


@dataclass(frozen=True)
class ClaimValue:
    """What draws say of a claim.

    Attributes
    ----------
    claim : str
        Its canonical text.
    value, threshold : float
        The left side, and what it is compared with.
    margin : float
        How far the value lies on the side where the claim holds; negative where it does not hold.
    mcse : float
        Monte Carlo standard error of the margin.
    holds : bool
        Whether the comparison is true of these draws, close or not.
    state : {"holds", "does not hold", "too close to call", "not computed"}
        Close means a margin within 1.96 Monte Carlo standard errors.
    verdict : str
        Headline of the checks of the fit, where they did not pass.
    """

    claim: str
    value: float
    threshold: float
    margin: float
    mcse: float
    holds: bool
    state: State
    verdict: str = ""

    @property
    def table(self) -> pd.DataFrame:
        """One row with every number."""
        import pandas as pd

        row = {k: getattr(self, k) for k in ("claim", "state", "value", "mcse", "threshold", "margin")}
        return pd.DataFrame([row])

    @property
    def headline(self) -> str:
        """The answer in one line; a failed check comes first."""
        first = f"The checks of this fit did not pass ({self.verdict}). " if self.verdict else ""
        if self.state == "not computed":
            why = "a draw is missing, or there are too few to tell the Monte Carlo error"
            return f"{first}{self.claim}: not computed ({why})."
        words = {"holds": "holds", "does not hold": "does not hold", "too close to call": "is too close to call"}[self.state]
        return f"{first}{self.claim} {words}: {self.value:.4g}, Monte Carlo standard error {self.mcse:.2g}."

    def __repr__(self) -> str:
        return self.headline

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.headline)}</p>"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        row = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in self.__dict__.items()}
        return json.dumps({"schema": "bayeskit.claim/1", **row}, allow_nan=False, ensure_ascii=False)


@dataclass(frozen=True, repr=False)
class Claim:
    """A comparison of two figures of a posterior.

    ``repr`` gives the canonical text, which parses to an equal claim.

    Attributes
    ----------
    left, right : Term
        Figures: a probability, a summary, a number, or arithmetic of these.
    relation : {">", ">=", "<", "<="}
    """

    left: Term
    relation: Relation
    right: Term

    @classmethod
    def parse(cls, text: str | Claim, estimands: xr.Dataset | Vocabulary, prob: float = 0.95) -> Claim:
        """Read a claim; the grammar is at the top of this module.

        Parameters
        ----------
        text : str
            Such as ``"P(A > B) > 0.95"``. A claim is returned as it is.
        estimands : Dataset or Vocabulary
            The estimands that it may speak of.
        prob : float
            Probability where the text names none: of the interval of ``lower`` and ``upper``, and of an event that stands
            alone. It becomes part of the claim.

        Raises
        ------
        SpecificationError
            With the claim, a caret under the fault, and a suggestion for a misspelt name.
        """
        if isinstance(text, Claim):
            return text
        vocabulary = estimands if isinstance(estimands, Vocabulary) else Vocabulary.of(estimands)
        return cls(*parse_claim(text, vocabulary, prob))

    def __repr__(self) -> str:
        return f"{written(self.left)} {self.relation} {written(self.right)}"

    @property
    def elements(self) -> tuple[Element, ...]:
        """Every element that it mentions, once."""
        return tuple(dict.fromkeys([*elements(self.left), *elements(self.right)]))

    @property
    def is_probability(self) -> bool:
        """Whether it compares the probability of one event with a number strictly between 0 and 1."""
        return isinstance(self.left, Probability) and isinstance(self.right, Number) and 0.0 < self.right.value < 1.0

    def value(self, dataset: xr.Dataset, weights: Any = None) -> ClaimValue:
        """What draws say of it.

        Parameters
        ----------
        dataset : Dataset
            Draws of the estimands, dimensions chain, draw and their own.
        weights : array_like, shape (chains * draws,), optional
            Weights with sum 1, chains one after the other.

        Returns
        -------
        ClaimValue
            The number compared, its Monte Carlo standard error, the margin and whether it holds.

        Raises
        ------
        SpecificationError
            For weights of another length, or estimands and labels that the draws do not have.
        """
        draws = Draws.of(dataset, weights)
        left, right = figure(self.left, draws), figure(self.right, draws)
        difference = left.plus(right.scaled(-1.0))
        margin = difference.value if self.relation in (">", ">=") else -difference.value
        mcse = draws.error(difference)
        holds = bool(margin >= 0.0 if self.relation in (">=", "<=") else margin > 0.0)
        return ClaimValue(repr(self), left.value, right.value, margin, mcse, holds, _state(margin, mcse, holds))


def _state(margin: float, mcse: float, holds: bool) -> State:
    if not math.isfinite(margin) or not math.isfinite(mcse):
        return "not computed"
    if mcse > 0.0 and abs(margin) < CLOSE * mcse:
        return "too close to call"
    return "holds" if holds else "does not hold"


def claim(fit: Fit, text: str | Claim, prob: float = 0.95) -> ClaimValue:
    """What a fit says of a claim; see `Fit.claim`."""
    from dataclasses import replace

    found = Claim.parse(text, fit.estimands, prob).value(fit.estimands)
    status = fit.verdict.status.value
    return found if status in ("PASS", "WARN") else replace(found, verdict=fit.verdict.headline)
