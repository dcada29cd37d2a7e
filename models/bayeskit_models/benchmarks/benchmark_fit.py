"""The questions people ask of a benchmark fit: who is best, by how much, and what the score would be elsewhere."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayeskit import Fit, Status
from bayeskit.errors import SpecificationError, suggest
from bayeskit.estimands import p_above, ranks, tied_groups
from bayeskit_models.benchmarks.estimands import new_items_score, population_words
from bayeskit_models.benchmarks.predictor import pooled, predictor_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from bayeskit import CheckResult
    from bayeskit.report.content import Figure, Section
    from bayeskit_models.benchmarks.checkpoints import CheckpointCurve
    from bayeskit_models.benchmarks.decomposition import Components
    from bayeskit_models.benchmarks.design import Design
    from bayeskit_models.benchmarks.leaderboard import Comparison, Leaderboard
    from bayeskit_models.benchmarks.predictor import Predictor
    from bayeskit_models.benchmarks.quantities import Quantities
    from bayeskit_models.benchmarks.stability import Stability

__all__ = ["BenchmarkFit"]

Population = Literal["random", "fixed"]


class BenchmarkFit(Fit):
    """A fitted `BenchmarkVariance`."""

    def _identification(self) -> tuple[CheckResult, ...]:
        extra = super()._identification()
        if self.statistics is None:
            return extra
        from bayeskit_models.benchmarks.quadrature import quadrature_check
        from bayeskit_models.benchmarks.table_checks import table_checks

        rails = table_checks(self.statistics, self.predictor)
        told = [check for check in rails if check.status is not Status.NOT_COMPUTED]  # there was nothing to compare
        return (*extra, *quadrature_check(self), *told)

    @property
    def models(self) -> tuple[str, ...]:
        """Labels of the models."""
        return tuple(map(str, self.estimands["model"].values))

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Labels of the benchmarks."""
        return tuple(map(str, self._need_statistics("name the benchmarks")["benchmark"].values))

    @cached_property
    def predictor(self) -> Predictor:
        """Linear predictors and standard deviations of every draw."""
        return predictor_of(self.spec, pooled(self.posterior), self._need_statistics("take scores apart"), self.dials)

    @cached_property
    def _other_scores(self) -> dict[str, NDArray[np.float64]]:
        return {}

    def score_draws(self, benchmark: str | None = None, items: Population | None = None) -> NDArray[np.float64]:
        """Draws of the expected scores, shape (S, models).

        Parameters
        ----------
        benchmark : str, optional
            One benchmark; not given: the mean over all.
        items : {"random", "fixed"}, optional
            New items like those of the table, or these and no others; not given: what the specification says.
        """
        items = self.spec.items if items is None else items
        if items not in ("random", "fixed") or (items == "fixed" and self.spec.item is None):
            raise SpecificationError(f"items={items!r}: 'random' or (of a table with items) 'fixed'.")
        if items not in self._other_scores:
            self._other_scores[items] = self._scores(items)
        found = self._other_scores[items]
        return found.mean(1) if benchmark is None else found[:, self._place(benchmark, self.benchmarks, "benchmark")]

    def _scores(self, items: str) -> NDArray[np.float64]:
        if items == self.spec.items:
            name = "benchmark_score" if "benchmark_score" in self.estimands else "score"
            values = self.estimands[name].transpose("chain", "draw", ...).values
            return values.reshape(-1, *values.shape[2:]) if values.ndim == 4 else values.reshape(-1, 1, values.shape[-1])
        if items == "random":
            return new_items_score(self.spec, self.predictor)
        from bayeskit_models.benchmarks.items import these_items_score

        return these_items_score(self.spec, self.predictor, self._need_statistics("speak of these items"))

    def _place(self, label: str, known: tuple[str, ...], what: str) -> int:
        if label not in known:
            raise SpecificationError(f"No {what} {label!r}.{suggest(str(label), known)} There are: {', '.join(known[:10])}.")
        return known.index(label)

    def _words(self, items: Population | None) -> str:
        return population_words(self._need_statistics("say what it is about"), self.spec.items if items is None else items)

    # -- who is best -------------------------------------------------------------------------------------------------

    def leaderboard(self, benchmark: str | None = None, *, items: Population | None = None, prob: float = 0.95) -> Leaderboard:
        """Models in the order of their expected score, with intervals of score and rank.

        Parameters
        ----------
        benchmark : str, optional
            One benchmark; not given: the mean over all.
        items : {"random", "fixed"}, optional
            New items like these, or these items and no others; not given: what the specification says.
        prob : float
            Probability of every interval.
        """
        from bayeskit_models.benchmarks.leaderboard import leaderboard_of

        return leaderboard_of(self, benchmark, items, prob)

    def compare(
        self,
        a: str,
        b: str,
        margin: float = 0.0,
        *,
        benchmark: str | None = None,
        items: Population | None = None,
        prob: float = 0.95,
    ) -> Comparison:
        """Difference of two models on the same items.

        Parameters
        ----------
        a, b : str
            Models.
        margin : float
            Difference of scores that matters.
        benchmark, items, prob
            See `leaderboard`.
        """  # fmt: skip
        from bayeskit_models.benchmarks.leaderboard import Comparison

        draws = self.score_draws(benchmark, items)
        first, second = (draws[:, self._place(x, self.models, "model")] for x in (a, b))
        return Comparison(a, b, first - second, float(margin), prob, self._words(items))

    def rank_draws(self, benchmark: str | None = None, items: Population | None = None) -> NDArray[np.int64]:
        """Draws of the ranks (1 is best), shape (S, models)."""
        return ranks(self.score_draws(benchmark, items))

    def ranks(self, benchmark: str | None = None, *, items: Population | None = None) -> pd.DataFrame:
        """Probability of every rank: index model, one column a rank; rows and columns sum to 1."""
        import pandas as pd

        from bayeskit.estimands import rank_probabilities

        found = rank_probabilities(self.rank_draws(benchmark, items))
        names = pd.Index(self.models, name="model")
        return pd.DataFrame(found, index=names, columns=pd.RangeIndex(1, len(names) + 1, name="rank"))

    def tied_groups(
        self, benchmark: str | None = None, *, items: Population | None = None, prob: float = 0.95
    ) -> list[list[str]]:
        """Groups of models that the posterior does not separate, best group first."""
        groups = tied_groups(p_above(self.score_draws(benchmark, items)), prob)
        return [[self.models[k] for k in group] for group in groups]

    # -- where the variance comes from -------------------------------------------------------------------------------

    def components(self, benchmark: str | None = None, *, scale: Literal["score", "link"] = "score") -> Components:
        """Variance components: models, items, runs, templates, what they do together, and one sample.

        Parameters
        ----------
        benchmark : str, optional
            One benchmark; not given: the mean over all.
        scale : {"score", "link"}
            Of one sample's score (squared), or of log odds.

        Returns
        -------
        Components
            Draws by facet (1,000 evenly spaced ones of the fit); ``shares()`` gives shares of the total, ``table(prob)``
            intervals.
        """
        from bayeskit_models.benchmarks.variance import components_of

        return components_of(self, benchmark, scale)

    def design(
        self,
        items: int | Sequence[int] | None = None,
        seeds: int | Sequence[int] | None = None,
        samples: int | Sequence[int] | None = None,
        templates: int | Sequence[int] | None = None,
        *,
        cost: Mapping[str, float] | None = None,
        benchmark: str | None = None,
        power: float = 0.8,
        level: float = 0.05,
    ) -> Design:
        """What other designs would be worth: standard errors, detectable differences and reliability, with intervals.

        Parameters
        ----------
        items, seeds, samples, templates : int or sequence of int, optional
            Sizes to try; not given: the size at hand.
        cost : mapping, optional
            Prices of an "item", a "sample", a "seed" and a "template", for one model.
        benchmark : str, optional
            One benchmark; not given: variance components are averaged over all.
        power, level : float
            Of the test that a detectable difference is about.

        Returns
        -------
        Design
            ``table(prob)``, ``plot()`` and, with prices, ``cheapest(difference)``.
        """  # fmt: skip
        from bayeskit_models.benchmarks.variance import design_of

        sizes = {"items": items, "samples": samples, "seeds": seeds, "templates": templates}
        return design_of(self, benchmark, sizes, cost, power, level)

    def stability(
        self,
        items: int | None = None,
        seeds: int | None = None,
        samples: int | None = None,
        templates: int | None = None,
        *,
        benchmark: str | None = None,
    ) -> Stability:
        """How far two repetitions of the benchmark would agree on the order of these models.

        Parameters
        ----------
        items, seeds, samples, templates : int, optional
            Sizes of the repetition; not given: those at hand.
        benchmark : str, optional
            One benchmark; not given: the mean over all, each repeated.

        Returns
        -------
        Stability
            Draws of the expected Kendall's tau of two repetitions and of one with the truth, and of the probabilities that the
            winner is the same and that it is the best model.
        """  # fmt: skip
        from bayeskit_models.benchmarks.variance import stability_of

        return stability_of(self, benchmark, {"items": items, "samples": samples, "seeds": seeds, "templates": templates})

    def snr(self, benchmark: str | None = None) -> Quantities:
        """Signal to noise of a benchmark in three definitions; the noise is that of another training seed on the same items.

        Parameters
        ----------
        benchmark : str, optional
            Needed where there are several.
        """
        from bayeskit_models.benchmarks.variance import snr_of

        return snr_of(self, benchmark)

    def pass_at_k(self, k: int | Sequence[int], benchmark: str | None = None, *, prob: float = 0.95) -> pd.DataFrame:
        """Probability that one of k samples solves a new item, for any k, also above the number of samples at hand.

        Parameters
        ----------
        k : int or sequence of int
            Numbers of samples.
        benchmark : str, optional
            Needed where there are several.
        prob : float
            Probability of the equal-tailed intervals.

        Returns
        -------
        DataFrame
            Index model and k; columns pass_at_k (posterior mean), lower, upper. Beyond the number of samples the answer rests
            on items' difficulties being normal.
        """
        from bayeskit_models.benchmarks.variance import pass_at_k_of

        return pass_at_k_of(self, [k] if isinstance(k, int | np.integer) else list(k), benchmark, prob)

    # -- training ---------------------------------------------------------------------------------------------------

    def curves(self, benchmark: str | None = None) -> list[CheckpointCurve]:
        """Smooth curves over the checkpoints of every model, with the noise about them, by an exact posterior.

        Parameters
        ----------
        benchmark : str, optional
            One benchmark; not given: all. Models with fewer than five checkpoints are left out.

        Returns
        -------
        list of CheckpointCurve
            Each has ``monotonicity()``, ``last_noise()``, ``snr()`` and ``plot()``. About these items.
        """
        from bayeskit_models.benchmarks.training import curves_of

        return curves_of(self, benchmark)

    def monotonicity(self, benchmark: str | None = None, *, last: int = 5, prob: float = 0.95) -> pd.DataFrame:
        """Kendall's tau with the order of training, P(monotone), and the noise of the last checkpoints, for every curve.

        Parameters
        ----------
        benchmark : str, optional
            One benchmark; not given: all.
        last : int
            Checkpoints whose noise is told.
        prob : float
            Probability of the equal-tailed intervals.
        """
        from bayeskit_models.benchmarks.checkpoints import table_of_curves

        return table_of_curves(self.curves(benchmark), last, prob)

    def metric_choice(self, other: BenchmarkFit, *, model: str | None = None, benchmark: str | None = None) -> Quantities:
        """Signal to noise of this fit's metric against another one on the same training runs, paired by seed.

        Parameters
        ----------
        other : BenchmarkFit
            Of the same runs with another score, such as a likelihood beside accuracy.
        model, benchmark : str, optional
            Needed where there are several.
        """
        from bayeskit_models.benchmarks.training import metric_choice_of

        return metric_choice_of(self, other, model, benchmark)

    # -- figures and report -----------------------------------------------------------------------------------------

    def plot_leaderboard(self, benchmark: str | None = None, *, items: Population | None = None, prob: float = 0.95) -> Figure:
        """Expected scores with intervals, best model on top, and the intervals of their ranks; see `leaderboard`."""
        from bayeskit_models.benchmarks.figures import leaderboard_figure

        return leaderboard_figure(self, benchmark, items, prob)

    def plot_ranks(self, benchmark: str | None = None, *, items: Population | None = None, prob: float = 0.95) -> Figure:
        """Probability of every rank, with rank intervals as frames; see `leaderboard`."""
        from bayeskit_models.benchmarks.figures import rank_figure

        return rank_figure(self, benchmark, items, prob)

    def plot_components(self, benchmark: str | None = None, *, prob: float = 0.95) -> Figure:
        """Shares of the variance of one sample's score, by facet; see `components`."""
        from bayeskit_models.benchmarks.figures import components_figure

        return components_figure(self, benchmark, prob)

    def plot_items(self, benchmark: str | None = None, *, prob: float = 0.95) -> Figure:
        """How the difficulty of items is distributed, beside the normal law that is fitted.

        Parameters
        ----------
        benchmark : str, optional
            Needed where there are several.
        prob : float
            Of the equal-tailed intervals of the number of items in each bar.
        """
        from bayeskit_models.benchmarks.figures import items_figure

        return items_figure(self, benchmark, prob)

    def plot_design(
        self,
        items: int | Sequence[int],
        seeds: int | Sequence[int] | None = None,
        samples: int | Sequence[int] | None = None,
        templates: int | Sequence[int] | None = None,
        *,
        benchmark: str | None = None,
        power: float = 0.8,
        level: float = 0.05,
        prob: float = 0.95,
    ) -> Figure:
        """Minimum detectable difference over the number of items, one curve for each of the other sizes; see `design`."""
        found = self.design(items, seeds, samples, templates, benchmark=benchmark, power=power, level=level)
        return found.plot(prob)

    def sections(self, prob: float = 0.95) -> tuple[Section, ...]:
        """Leaderboard, neighbours, sources of variance, other designs, these and new items, and what the table cannot tell."""
        from bayeskit_models.benchmarks.report_sections import sections_of

        return sections_of(self, prob)
