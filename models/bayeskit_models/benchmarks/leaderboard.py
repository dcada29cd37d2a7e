"""Leaderboards that carry rank intervals, and comparisons of two models."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError
from bayeskit.estimands import group_letters, interval, p_above, p_best, rank_interval, ranks, tied_groups

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.benchmark_fit import BenchmarkFit, Population

__all__ = ["Comparison", "Leaderboard", "leaderboard_of"]


@dataclass(frozen=True)
class Leaderboard:
    """Models in the order of their expected score.

    Attributes
    ----------
    table : DataFrame
        Index model, best first; columns score (posterior mean), lower, upper, rank_median, rank_lower, rank_upper, p_best and
        tied: models that share a letter are not told apart.
    prob : float
        Probability of all intervals (equal-tailed).
    population : str
        Which items, seeds and templates the scores are about.
    benchmark : str or None
        None for the mean over benchmarks.
    """

    table: pd.DataFrame
    prob: float
    population: str
    benchmark: str | None

    @property
    def title(self) -> str:
        """What the table holds, in words."""
        where = "" if self.benchmark is None else f" on {self.benchmark}"
        return f"Expected scores{where} ({self.population}), with {self.prob:.0%} equal-tailed intervals of score and rank"

    def __repr__(self) -> str:
        return f"{self.title}\n{self.table.round(3).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.title)}</p>{self.table.round(3).to_html()}"


def leaderboard_of(fit: BenchmarkFit, benchmark: str | None, items: Population | None, prob: float) -> Leaderboard:
    """The leaderboard of a fit; see `BenchmarkFit.leaderboard`."""
    draws = fit.score_draws(benchmark, items)
    drawn = ranks(draws)
    score, rank = interval(draws, prob), rank_interval(drawn, prob)
    letters = group_letters(tied_groups(p_above(draws), prob), draws.shape[1])
    columns = {
        "score": draws.mean(0), "lower": score[:, 0], "upper": score[:, 1], "rank_median": np.median(drawn, axis=0),
        "rank_lower": rank[:, 0], "rank_upper": rank[:, 1], "p_best": p_best(drawn), "tied": letters,
    }  # fmt: skip
    table = pd.DataFrame(columns, index=pd.Index(fit.models, name="model"))
    table = table.sort_values("score", ascending=False, kind="stable")
    table.attrs = {"prob": prob, "kind": "eti"}
    return Leaderboard(table, prob, fit._words(items), benchmark)


@dataclass(frozen=True)
class Comparison:
    """The difference of two models on the same items.

    Attributes
    ----------
    a, b : str
        The models.
    draws : ndarray, shape (S,)
        Score of a minus score of b.
    margin : float
        Difference that matters.
    prob : float
        Probability of the interval (equal-tailed).
    population : str
        Which items, seeds and templates it is about.
    """

    a: str
    b: str
    draws: NDArray[np.float64]
    margin: float
    prob: float
    population: str

    @property
    def difference(self) -> tuple[float, float, float]:
        """Posterior mean of the difference and the ends of its interval."""
        low, high = interval(self.draws, self.prob)
        return float(self.draws.mean()), float(low), float(high)

    @property
    def p_better(self) -> float:
        """Probability that a is above b."""
        return float((self.draws > 0.0).mean())

    @property
    def p_beyond(self) -> float:
        """Probability that a is above b by more than the margin."""
        return float((self.draws > self.margin).mean())

    @property
    def p_equivalent(self) -> float:
        """Probability that they differ by no more than the margin, whoever is better."""
        return float((np.abs(self.draws) <= self.margin).mean())

    def expected_loss(self, choice: str) -> float:
        """Score that is lost on average by choosing this model where the other one is better.

        Raises
        ------
        SpecificationError
            For a model that is neither of the two.
        """
        if choice not in (self.a, self.b):
            raise SpecificationError(f"choice={choice!r}: {self.a!r} or {self.b!r} is to be chosen.")
        sign = 1.0 if choice == self.a else -1.0
        return float(np.maximum(-sign * self.draws, 0.0).mean())

    def __repr__(self) -> str:
        mean, low, high = self.difference
        text = (
            f"{self.a} minus {self.b}: {mean:+.4f}, {self.prob:.0%} equal-tailed interval {low:+.4f} to {high:+.4f} "
            f"({self.population}).\nP({self.a} > {self.b}) = {self.p_better:.3f}"
        )
        if self.margin:
            text += f", by more than {self.margin:g}: {self.p_beyond:.3f}, within {self.margin:g}: {self.p_equivalent:.3f}"
        losses = ", ".join(f"{self.expected_loss(x):.2g} by choosing {x}" for x in (self.a, self.b))
        return f"{text}. Expected loss: {losses}."

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"
