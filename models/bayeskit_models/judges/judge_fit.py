"""The questions people ask of a JudgeSimplex fit: who is best, who is tied, what rests on the prior, which judges are good."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bayeskit import Fit
from bayeskit.errors import SpecificationError
from bayeskit.estimands import interval, p_above, p_best, rank_interval, ranks, tied_groups
from bayeskit.prior_check import prior_draws
from bayeskit_models.judges.dominance import dominance_from_counts
from bayeskit_models.judges.estimands import estimands_of, vertices_of
from bayeskit_models.judges.identification import (
    Comparability,
    ConstancyDiagnostic,
    comparability,
    constancy_diagnostic,
)
from bayeskit_models.judges.statistics import observed_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayeskit import CheckResult
    from bayeskit.report.content import Figure, Section
    from bayeskit.sensitivity import Sweep
    from bayeskit_models.judges.robustness import Robustness

__all__ = ["JudgeFit", "Ranking"]


# What "the data order" takes for granted, for constancy that is strict, and for all others (relaxed, a number, learned).
_CONSTANCY = {
    "strict": " This rests on constancy: every judge treats all candidates alike.",
    "relaxed": " This rests on constancy: where judges treat candidates differently, they do so at random.",
}


@dataclass(frozen=True)
class Ranking:
    """A ranking that carries its intervals and what it rests on.

    Attributes
    ----------
    table : DataFrame
        Index candidate, best first; columns expected_score, lower, upper, rank_median, rank_lower, rank_upper, p_best.
    pairs : DataFrame
        See `JudgeFit.pairs`.
    prob : float
        Probability of all intervals.
    note : str
        What of the order the data decide and what rests on the prior, in one or two sentences.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame
    prob: float
    note: str

    def __repr__(self) -> str:
        head = f"Ranking with {self.prob:.0%} equal-tailed intervals of score and rank"
        return f"{head}\n{self.table.round(3).to_string()}\n{self.note}"

    def _repr_html_(self) -> str:
        from html import escape

        return (
            f"<p>Ranking with {self.prob:.0%} equal-tailed intervals of score and rank</p>"
            f"{self.table.round(3).to_html()}<p>{escape(self.note)}</p>"
        )


class JudgeFit(Fit):
    """A fitted `JudgeSimplex`."""

    def _identification(self) -> tuple[CheckResult, ...]:
        extra = super()._identification()
        if self.statistics is None or self.statistics.attrs["likelihood"] != "paired":
            return extra
        from bayeskit_models.judges.quadrature import quadrature_check

        return (*extra, quadrature_check(self))

    @property
    def candidates(self) -> tuple[str, ...]:
        """Labels of the candidates."""
        return tuple(map(str, self.estimands["candidate"].values))

    @cached_property
    def _scores(self) -> np.ndarray:
        """Draws of the expected scores, shape (S, K)."""
        score = self.estimands["expected_score"].transpose("chain", "draw", "candidate").values
        return np.asarray(score.reshape(-1, score.shape[-1]))

    def score_draws(self) -> np.ndarray:
        """Draws of the expected true scores, shape (S, K)."""
        return self._scores

    def posterior_mean_scores(self) -> np.ndarray:
        """Posterior means of the expected true scores, shape (K,)."""
        return np.asarray(self._scores.mean(0))

    def vertex_draws(self) -> np.ndarray:
        """Draws of the judges' matrices (rows: true levels), shape (S, J, M, M)."""
        return self._vertices

    def rank_draws(self) -> np.ndarray:
        """Draws of the ranks (1 is best), shape (S, K)."""
        return np.asarray(ranks(self._scores))

    def item_bank(self, items: int | None = None, *, seed: int = 0) -> JudgeFit:
        """The same fit about a finite bank of items, of which the items of the table are a random sample.

        Without this every answer is about the population of items, and its interval includes the sampling of the items. In a
        bank, the truth of the answers at hand is uncertain only as far as the verdicts leave it so.

        Parameters
        ----------
        items : int, optional
            Size of the bank. Not given: the items of the table and no others.
        seed : int
            Seed of the completion of the true levels.

        Returns
        -------
        JudgeFit
            A new fit, whose `expected_score` (hence ranking, pairs, report and sensitivity) is about the bank. `refit` starts
            from the data again: ask it for the bank anew.

        Raises
        ------
        SpecificationError
            Unless the likelihood is the paired one, or if the bank is smaller than the table.
        """
        from bayeskit_models.judges.bank import bank_scores, items_of

        total = items_of(self._need_statistics("be asked for a bank of items")) if items is None else items
        estimands = self.estimands
        old = estimands["expected_score"].transpose("chain", "draw", "candidate")
        label = {**old.attrs, "label": f"mean true score in a bank of {total} items", "bank": total}
        estimands["expected_score"] = old.copy(data=bank_scores(self, total, seed)).assign_attrs(label)
        draws = self.draws.copy()
        draws["estimands"] = estimands
        note = f"Scores and ranks are about a bank of {total} items, of which those of the table are a random sample."
        return replace(self, draws=draws, notes=(*self.notes, note))

    def ranking(self, prob: float = 0.95, kind: Literal["eti", "hdi"] = "eti") -> Ranking:
        """Candidates in the order of their expected true score, with intervals of score and rank.

        Parameters
        ----------
        prob : float
            Probability of every interval.
        kind : {"eti", "hdi"}
            Equal-tailed, or the narrowest.
        """
        drawn = self.rank_draws()
        score, rank = interval(self._scores, prob, kind), rank_interval(drawn, prob, kind)
        table = pd.DataFrame(
            {
                "expected_score": self._scores.mean(0),
                "lower": score[:, 0],
                "upper": score[:, 1],
                "rank_median": np.median(drawn, axis=0),
                "rank_lower": rank[:, 0],
                "rank_upper": rank[:, 1],
                "p_best": p_best(drawn),
            },
            index=pd.Index(self.candidates, name="candidate"),
        ).sort_values("expected_score", ascending=False, kind="stable")
        table.attrs = {"prob": prob, "kind": kind}
        pairs = self.pairs(prob)
        return Ranking(table, pairs, prob, self._note(pairs, prob))

    def _note(self, pairs: pd.DataFrame, prob: float) -> str:
        count = pairs["verdict"].value_counts()
        data, prior, open_ = (int(count.get(v, 0)) for v in ("data", "prior", "undetermined"))
        text = f"Of {len(pairs)} pairs the data order {data} with probability {prob:.0%} or more"
        text += f", {prior} are ordered by the prior rather than the data" if prior else ""
        text += f", and {open_} remain undetermined."
        if data:
            text += _CONSTANCY["strict" if self.spec.constancy == "strict" else "relaxed"]
        if self.spec.levels > 2:
            text += (
                " With three or more levels no amount of data fixes the order of candidates whose score distributions cross: "
                "those pairs rest on the prior on the judges."
            )
        if "bank" in self.estimands["expected_score"].attrs:
            text += f" {self.notes[-1]}"
        if not self._monotone:
            text += " Without monotone judges every order rests on the prior that judges lean to the truth."
            if self.dials.get("judge_vertices.boost") == 0.0:
                text += " Here the prior does not lean either, so nothing can be ranked."
        return text

    @property
    def _monotone(self) -> bool:
        """Whether the judges are held to be monotone: by the specification, and not switched off by the dial."""
        return bool(self.spec.monotone) and self.dials.get("monotone.sharpness", 1.0) > 0.0

    def pairs(self, prob: float = 0.95) -> pd.DataFrame:
        """Every pair of candidates: the probability that a is above b, and what decides it.

        Returns
        -------
        DataFrame
            Columns a, b (a has the higher expected score), p_a_above_b, relation ("dominance" or "crossing"),
            comparability ("direct", "transitive" or "prior") and verdict: "data" if the pair is ordered with probability
            `prob` and the data alone decide the order, "prior" if it is ordered but only through the prior, else
            "undetermined".
        """
        above, order = p_above(self._scores), np.argsort(-self._scores.mean(0), kind="stable")
        status, relation = self.comparability().status, self._relations(prob)
        rows = []
        for place, a in enumerate(order):
            for b in order[place + 1 :]:
                resolved = above[a, b] >= prob or above[a, b] <= 1.0 - prob
                firm = self._monotone and status[a, b] in ("direct", "transitive") and relation[a, b] == "dominance"
                rows.append(
                    {
                        "a": self.candidates[a], "b": self.candidates[b], "p_a_above_b": float(above[a, b]),
                        "relation": relation[a, b], "comparability": str(status[a, b]),
                        "verdict": ("data" if firm else "prior") if resolved else "undetermined",
                    }
                )  # fmt: skip
        return pd.DataFrame(rows)

    def _relations(self, prob: float) -> np.ndarray:
        """For each pair "dominance" if some disinterested judge's score distributions do not cross, else "crossing"."""
        size = len(self.candidates)
        if self.spec.levels == 2:
            return np.full((size, size), "dominance", dtype=object)
        counts, clean = self._need_statistics("compare pairs")["verdicts"].values, self._clean()
        out = np.full((size, size), "crossing", dtype=object)
        for j in range(counts.shape[1]):
            found = dominance_from_counts(counts[:, None, j], counts[None, :, j], draws=1000, seed=0)
            both = clean[:, None, j] & clean[None, :, j]
            out[both & (np.maximum(found.a_above, found.b_above) >= prob)] = "dominance"
        return out

    def _clean(self) -> np.ndarray:
        """Cells with verdicts in which the judge has no interest, shape (K, J)."""
        statistics = self._need_statistics("compare candidates")
        clean = observed_matrix(statistics)
        if "own_candidate" in statistics and self.spec.self_cells != "keep":
            clean[statistics["own_candidate"].values, statistics["own_judge"].values] = False
        return clean

    def tied_groups(self, prob: float = 0.95) -> list[list[str]]:
        """Groups of candidates that the posterior does not separate, best group first."""
        return [[self.candidates[k] for k in group] for group in tied_groups(p_above(self._scores), prob)]

    def comparability(self) -> Comparability:
        """Which pairs a disinterested judge orders, directly or through others, and which rest on the prior alone."""
        return comparability(self._clean(), scores=self._scores.mean(0))

    def constancy_test(self, *, replicates: int = 500, seed: int = 0) -> ConstancyDiagnostic:
        """Test of constancy: under it the judges' score vectors are affine functions of one another."""
        counts = self._need_statistics("test constancy")["verdicts"].values
        return constancy_diagnostic(counts, clean=self._clean(), replicates=replicates, seed=seed)

    def robustness(self, fits: Mapping[str, JudgeFit | None] | Sweep, prob: float = 0.95) -> Robustness:
        """Which pairs keep their order over other fits of the same candidates; this fit is the reference, "this fit".

        Parameters
        ----------
        fits : mapping of str to JudgeFit, or Sweep
            By the name of the setting; None for a fit that could not be made. A sweep of this fit as it is.
        prob : float
            What it takes to call a pair ordered, and the probability of rank intervals.
        """
        from bayeskit.sensitivity import Sweep
        from bayeskit_models.judges.robustness import robustness

        if isinstance(fits, Sweep):
            if fits.base is self:
                return robustness(fits, prob)
            raise SpecificationError("This sweep is one of another fit: ask that fit, or give a mapping of names to fits.")
        return robustness({"this fit": self, **fits}, prob)

    @cached_property
    def _vertices(self) -> np.ndarray:
        """Draws of the judges' matrices, shape (S, J, M, M)."""
        draws = vertices_of(self.spec, {str(n): self.posterior[n].values for n in self.posterior.data_vars})
        return np.asarray(draws.reshape(-1, *draws.shape[2:]))

    def judges(self, prob: float = 0.95) -> pd.DataFrame:
        """Quality and vertices of each judge.

        Returns
        -------
        DataFrame
            Index judge; quality (mean of ``|det Theta|``), lower, upper, prior_quality (its mean under the prior), and for each
            true level the mean probability of each score, ``p(score|level)``. A posterior mean far from the prior mean in
            the same direction for every judge may be the pull of many candidates towards small judges (model card, "volume").
        """
        quality = self.estimands["quality"].transpose("chain", "draw", "judge").values
        pooled = quality.reshape(-1, quality.shape[-1])
        bounds = interval(pooled, prob)
        table = {
            "quality": pooled.mean(0),
            "lower": bounds[:, 0],
            "upper": bounds[:, 1],
            "prior_quality": self._prior_quality(),
        }
        base, mean = self.spec.base, self._vertices.mean(0)
        for m in range(self.spec.levels):
            for score in range(self.spec.levels):
                table[f"p({base + score}|{base + m})"] = mean[:, m, score]
        out = pd.DataFrame(table, index=pd.Index(self.estimands["judge"].values, name="judge"))
        out.attrs = {"prob": prob, "kind": "eti"}
        return out

    def _prior_quality(self) -> np.ndarray:
        statistics = self._need_statistics("compare with the prior")
        prior = prior_draws(self.spec, statistics, self.dials, 400, np.random.default_rng(0))
        return np.asarray(estimands_of(self.spec, prior, statistics)["quality"].values.mean((0, 1)))

    # -- figures and report ---------------------------------------------------------------------------------------

    def plot_ranks(self, prob: float = 0.95) -> Figure:
        """Rank intervals, best candidate on top."""
        from bayeskit_models.judges.figures import rank_figure

        return rank_figure(self, prob)

    def plot_judges(self, prob: float = 0.95) -> Figure:
        """Quality of the judges with intervals."""
        from bayeskit_models.judges.figures import quality_figure

        return quality_figure(self, prob)

    def plot_simplex(self) -> Figure:
        """Three levels: the triangle with the judges' vertices and the candidates."""
        from bayeskit_models.judges.figures import simplex_figure

        return simplex_figure(self)

    def sections(self, prob: float = 0.95) -> tuple[Section, ...]:
        """Ranking, pairs, judges and constancy for a report."""
        from bayeskit_models.judges.report_sections import judge_sections

        return judge_sections(self, prob)

    @property
    def level_labels(self) -> tuple[Any, ...]:
        """The user's numbers for the levels, lowest first."""
        return tuple(self.spec.base + m for m in range(self.spec.levels))
