"""BenchmarkVariance: the specification, readable from top to bottom as the model's definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr

from bayeskit import Assumption, Column, ModelBuilder, Simulation
from bayeskit.errors import DataError, SpecificationError, suggest
from bayeskit_models.benchmarks.assumptions import assumptions_of
from bayeskit_models.benchmarks.benchmark_fit import BenchmarkFit
from bayeskit_models.benchmarks.families import FAMILIES, Family
from bayeskit_models.benchmarks.report_facts import data_facts_of, equations_of, limits_of, test_quantities_of
from bayeskit_models.benchmarks.shares import with_shares
from bayeskit_models.benchmarks.statistics import AUTO, reduce_rows

if TYPE_CHECKING:
    from bayeskit import Graph, Rows
    from bayeskit_models.benchmarks.moments import Moments

__all__ = ["BenchmarkVariance"]


@dataclass(frozen=True)
class BenchmarkVariance(ModelBuilder):
    """What a benchmark score is worth: scores of models on items, with every source of their variance.

    A trial of model m on item i of benchmark b succeeds with probability ``c + (1 - c) logistic(x)``, where x is the sum of the
    benchmark's level, the model's ability and its departure on this benchmark, the item's difficulty, and the effects of
    training run and prompt template. Items are integrated out; where continuous scores come
    without items, training runs are.

    Parameters
    ----------
    model : str or None
        Column of who answered; None where everything is about one model.
    benchmark, cluster, seed, sample, template, checkpoint : str or None
        Columns of the benchmark; of groups of items, such as the passage that several questions are about; of the training run
        (another seed is another trained model); of repeated answers to the same item, of which each may occur once; of the
        prompt template; and of the training step, of which the answer is about the last one of each model while all enter
        `BenchmarkFit.curves`. "auto" is the column of that very name where the table has one; None is none, whatever the table
        has.
    item : str or None
        Column of the item (question); None where the table holds totals.
    score : str
        Column of the score: 0 or 1, or with `trials` the number of successes; a number for continuous scores, one from 0 to 1
        for those of family "ordered_beta". Empty cells are left out, never counted as 0.
    trials : str, optional
        Column of how many trials a row stands for.
    sd : str, optional
        For rows that are summaries of continuous scores: the column of their standard deviation; `score` is then the mean of
        `trials` scores. `from_summary` makes such a specification.
    family : {"binomial", "beta_binomial", "gaussian", "ordered_beta"}
        Law of one score given the effects: right or wrong; the same where repeated answers of a model to an item are more alike
        than chance allows; any number with a normal error, for which effects are in units of the score; or a number from 0 to
        1, both ends included, such as a judge's score or partial credit (ordered beta regression, Kubinec 2023).
    chance : float or mapping of benchmark to float
        Probability of a success by guessing.
    items : {"random", "fixed"}
        Which items the answer is about: new ones like these, or these and no others.
    interaction : {"auto"} or bool
        Whether some items suit some models. It can be told from noise only where models answer items repeatedly, and "auto"
        includes it where at least half of the pairs of model and item have repeats. (With family "beta_binomial" the law of the
        answers says it.)
    unit : (float, float), optional
        Of continuous scores: what counts as 0 and as one unit in the priors. Not given: mean and standard deviation of all
        scores; priors that follow the data cannot be calibrated.
    method : {"nuts", "mode"}
        How it is fitted where `fit` is not told: sampled, or by the Laplace approximation at the posterior mode, corrected and
        judged by importance weights (for a million rows and more).

    Notes
    -----
    Sources: Madaan et al. (2024), Quantifying variance in evaluation benchmarks, arXiv 2406.10229; Miller (2024), Adding error
    bars to evals, arXiv 2411.00640; Kubinec (2023), Ordered beta regression, Political Analysis 31, 519.
    """

    model: str | None = field(default="model", kw_only=True)
    benchmark: str | None = field(default=AUTO, kw_only=True)
    item: str | None = field(default="item", kw_only=True)
    cluster: str | None = field(default=AUTO, kw_only=True)
    seed: str | None = field(default=AUTO, kw_only=True)
    sample: str | None = field(default=AUTO, kw_only=True)
    template: str | None = field(default=AUTO, kw_only=True)
    checkpoint: str | None = field(default=AUTO, kw_only=True)
    score: str = field(default="score", kw_only=True)
    trials: str | None = field(default=None, kw_only=True)
    sd: str | None = field(default=None, kw_only=True)
    family: Literal["binomial", "beta_binomial", "gaussian", "ordered_beta"] = field(default="binomial", kw_only=True)
    chance: Any = field(default=0.0, kw_only=True)
    items: Literal["random", "fixed"] = field(default="random", kw_only=True)
    interaction: Literal["auto"] | bool = field(default="auto", kw_only=True)
    unit: Any = field(default=None, kw_only=True)
    method: Literal["nuts", "mode"] = field(default="nuts", kw_only=True)

    fit_class: ClassVar[Any] = BenchmarkFit

    def __post_init__(self) -> None:
        object.__setattr__(self, "chance", _read_chance(self.chance))
        if isinstance(self.unit, list):
            object.__setattr__(self, "unit", tuple(self.unit))
        _check(self)

    @classmethod
    def from_summary(cls, mean: str = "mean", sd: str = "sd", runs: str = "n", **settings: Any) -> Self:
        """For a table of which each row is the summary of the scores of several training runs on a benchmark.

        Parameters
        ----------
        mean, sd, runs : str
            Columns of the mean score, of the standard deviation of the runs (divisor n - 1), and of their number.
        **settings
            Other settings, such as ``model=None`` for runs of one model.
        """
        fixed = {"item": None, "seed": None, "family": "gaussian", "score": mean, "sd": sd, "trials": runs}
        return cls(**{**fixed, **settings})

    @property
    def law(self) -> Family:
        """The law of one score."""
        return FAMILIES[self.family]

    @property
    def no_calibration(self) -> str:
        """Without `unit` the priors of continuous scores follow the data, and there is nothing to calibrate."""
        if not self.law.linear or self.unit is not None:
            return ""
        return "give unit=(0.0, 1.0) or so; without it the priors follow each table's scores."

    @property
    def default_target_accept(self) -> float:
        """Few models or benchmarks leave standard deviations near 0 possible, where steps must be short."""
        return 0.95

    def column_of(self, role: str) -> str:
        """Name of a facet's column, given or usual."""
        name = getattr(self, role)
        return role if name is None or name == AUTO else str(name)

    def settings(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        out = super(BenchmarkVariance, replace(self, chance=0.0)).settings()
        return out | {"chance": self.chance if isinstance(self.chance, float) else [list(pair) for pair in self.chance]}

    # -- what the kit asks ------------------------------------------------------------------------------------------

    def columns(self) -> tuple[Column, ...]:
        """Labels of the facets, and the score."""
        words = {
            "model": "who answered", "benchmark": "the benchmark", "item": "the item that was answered",
            "cluster": "the group of items that this one belongs to", "seed": "the training run",
            "sample": "which of the repeated answers", "template": "the prompt template",
            "checkpoint": "the training step",
        }  # fmt: skip
        out = [
            Column(r, self.column_of(r), "label", told, required=getattr(self, r) != AUTO)
            for r, told in words.items()
            if getattr(self, r) is not None and not (r == "cluster" and self.item is None)
        ]
        if self.law.linear:
            out.append(Column("score", self.score, "number", "the score", allow_missing=True))
            if self.trials is not None:
                out.append(Column("trials", self.trials, "count", "how many scores the row is the mean of", low=1))
            if self.sd is not None:
                out.append(Column("sd", self.sd, "number", "the standard deviation of these scores", low=0.0))
        elif self.law.ends:
            out.append(Column("score", self.score, "number", "the score", low=0.0, high=1.0, allow_missing=True))
        elif self.trials is None:
            out.append(Column("score", self.score, "binary", "whether the answer was right", allow_missing=True))
        else:
            out.append(Column("score", self.score, "count", "how many trials succeeded", allow_missing=True))
            out.append(Column("trials", self.trials, "count", "how many trials there were"))
        return tuple(out)

    def reduce(self, rows: Rows) -> xr.Dataset:
        """Counts by item and column, identical items folded; see `statistics`."""
        return self._shared(reduce_rows(self, rows))

    def assumptions(self, statistics: xr.Dataset) -> tuple[Assumption, ...]:
        """Items, chance, levels and abilities, and the standard deviation of every effect."""
        return assumptions_of(self, statistics)

    def graph(self, graph: Graph) -> None:
        """Effects, linear predictors, and the fused likelihood."""
        from bayeskit_models.benchmarks.graph import write_graph

        write_graph(self, graph)

    def estimands(self, draws: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        """Expected scores by model and benchmark."""
        return self.estimands_under(draws, statistics, self.dials(statistics))

    def estimands_under(self, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float]) -> xr.Dataset:
        """The same under given dials: the chance level enters the scores."""
        from bayeskit_models.benchmarks.estimands import estimands_of

        return estimands_of(self, draws, statistics, dials)

    def units(self, statistics: xr.Dataset) -> tuple[str, ...]:
        """Items, and the labels of every other facet."""
        from bayeskit_models.benchmarks.units import unit_names

        return unit_names(statistics)

    def unit_counts(self, statistics: xr.Dataset, by: str) -> xr.DataArray:
        """Labels of the units, each for itself."""
        from bayeskit_models.benchmarks.units import unit_counts

        return unit_counts(statistics, by)

    def drop_units(self, statistics: xr.Dataset, by: str, places: np.ndarray) -> xr.Dataset:
        """Less the answers of some units; parameters stay."""
        from bayeskit_models.benchmarks.units import drop_units

        return self._shared(drop_units(statistics, by, np.asarray(places)))

    def moments(self, table: Any, benchmark: str | None = None) -> Moments:
        """The classical study of generalisability by mean squares, without prior or likelihood: a check beside a posterior.

        Parameters
        ----------
        table : table
            Every model answered every item of the benchmark equally often, twice or more; no runs or templates.
        benchmark : str, optional
            Needed where there are several.

        Raises
        ------
        DataError
            Where the table is not of this kind.
        SpecificationError
            For an unknown benchmark, or none named of several, or for scores that are no counts.
        """
        from bayeskit_models.benchmarks.table_checks import moments_of_statistics

        if not self.law.counted:
            raise SpecificationError(
                f"moments: mean squares are taken of counts (family 'binomial' or 'beta_binomial'), not of {self.family!r}."
            )

        statistics = self.statistics(table)
        known = [str(b) for b in statistics["benchmark"].values]
        if benchmark is None and len(known) == 1:
            benchmark = known[0]
        if benchmark not in known:
            raise SpecificationError(f"benchmark={benchmark!r}: name one of {', '.join(known[:10])}.")
        found = moments_of_statistics(statistics, known.index(benchmark))
        if found is None:
            raise DataError(
                "mean squares need a complete table.", rule="every model has the same number of answers to every item, two or "
                "more, and there are no runs or templates.", fix="leave out models or items whose cells differ.",
            )  # fmt: skip
        return found

    def _shared(self, statistics: xr.Dataset) -> xr.Dataset:
        """With what units and cells have in common, where the likelihood can use it."""
        used = not self.law.linear and statistics.attrs["integrated"] != "none"
        return with_shares(statistics, self.law.statistics, single=self.law.parameter is not None) if used else statistics

    def log_likelihood_of(
        self, draws: xr.Dataset, statistics: xr.Dataset, by: str, dials: Mapping[str, float] | None = None
    ) -> xr.DataArray:
        """What each item, model, run or template adds to the log likelihood."""
        from bayeskit_models.benchmarks.units import unit_effects

        labels = self.check_unit(statistics, by)["unit"].values
        found = unit_effects(self, draws, statistics, by, self.set_dials(statistics, dials))
        coords = {d: draws[d].values for d in ("chain", "draw") if d in draws.coords} | {"unit": labels}
        return xr.DataArray(found, coords, ("chain", "draw", "unit"), name="log_likelihood")

    def equations(self) -> tuple[str, ...]:
        """The likelihood in formulas; see `report_facts` of this folder."""
        return equations_of(self)

    def data_facts(self, statistics: xr.Dataset) -> dict[str, int | float | str]:
        """Trials, items, runs and templates, and empty scores."""
        return data_facts_of(statistics)

    def test_quantities(self, statistics: xr.Dataset, observed: xr.Dataset) -> dict[str, float]:
        """Mean scores by model and benchmark, shares of scores at their ends, and how much items differ."""
        return test_quantities_of(self, statistics)

    def limits(self) -> tuple[str, ...]:
        """What benchmark scores cannot say."""
        return limits_of(self)

    def simulate(
        self,
        rng: np.random.Generator | int | None = None,
        *,
        like: xr.Dataset | None = None,
        parameters: Mapping[str, np.ndarray] | None = None,
        dials: Mapping[str, float] | None = None,
        models: int = 5,
        benchmarks: int = 2,
        items: int = 40,
        clusters: int = 10,
        seeds: int = 3,
        samples: int = 1,
        templates: int = 3,
    ) -> Simulation:
        """Simulate rows of a crossed design, or of the design of a fit.

        `items` and `clusters` are per benchmark; sizes of facets that the specification lacks are not used. `samples` are
        trials of every cell.
        """
        from bayeskit_models.benchmarks.simulate import simulate_rows

        sizes = {
            "model": models, "benchmark": benchmarks, "item": items, "cluster": clusters, "seed": seeds, "sample": samples,
            "template": templates,
        }  # fmt: skip
        return simulate_rows(self, np.random.default_rng(rng), like, parameters, dials, sizes)

    def canonical(self) -> Self:
        """The same: every setting is in its plainest form."""
        return self


def _read_chance(value: Any) -> float | tuple[tuple[str, float], ...]:
    """One number, or benchmarks with theirs."""

    def number(x: Any, of: str) -> float:
        if isinstance(x, bool) or not isinstance(x, int | float) or not 0.0 <= x < 1.0:
            raise SpecificationError(f"chance={x!r}{of}: a probability from 0 to below 1, such as 0.25 for four choices.")
        return float(x)

    if isinstance(value, Mapping):
        value = tuple(value.items())
    if not isinstance(value, tuple | list):
        return number(value, "")
    try:
        pairs = [(str(label), x) for label, x in value]
    except (TypeError, ValueError):
        raise SpecificationError(f"chance={value!r}: one number, or a mapping of benchmarks to numbers.") from None
    return tuple(sorted((label, number(x, f" of {label!r}")) for label, x in pairs))


def _check(spec: BenchmarkVariance) -> None:
    for name, allowed in (
        ("family", tuple(FAMILIES)),
        ("items", ("random", "fixed")),
        ("method", ("nuts", "mode")),
        ("interaction", ("auto", True, False)),
    ):
        value = getattr(spec, name)
        if value not in allowed or (name == "interaction" and not isinstance(value, str | bool)):
            listed = ", ".join(map(repr, allowed))
            raise SpecificationError(
                f"{name}={value!r}: one of {listed}.{suggest(str(value), [a for a in allowed if isinstance(a, str)])}"
            )
    if spec.item is None:
        for name, wrong in (
            ("cluster", spec.cluster not in (None, AUTO)),
            ("items", spec.items == "fixed"),
            ("interaction", spec.interaction is True),
        ):
            if wrong:
                raise SpecificationError(f"{name}={getattr(spec, name)!r} is about items; with item=None there are none.")
    _check_scores(spec)
    if not isinstance(spec.chance, float) and spec.benchmark is None:
        raise SpecificationError("chance names benchmarks, but benchmark=None: give the column, or one number.")
    named = [
        getattr(spec, r)
        for r in ("model", "benchmark", "item", "cluster", "seed", "sample", "template", "checkpoint", "score", "trials", "sd")
    ]
    named = [n for n in named if n not in (None, AUTO)]
    twice = sorted({n for n in named if named.count(n) > 1})
    if twice:
        raise SpecificationError(f"The column {twice[0]!r} is named for two things: each needs a column of its own.")


def _check_scores(spec: BenchmarkVariance) -> None:
    """What goes with continuous scores and what with counts."""
    counts = "('binomial' or 'beta_binomial')"
    if spec.law.linear:
        if spec.chance != 0.0:
            raise SpecificationError(f"chance={spec.chance!r} is about right and wrong answers; family='gaussian' has none.")
        if (spec.sd is None) != (spec.trials is None):
            raise SpecificationError(
                f"sd={spec.sd!r}, trials={spec.trials!r}: a summary of continuous scores needs both, their standard deviation "
                "and how many there were; rows of single scores need neither."
            )
        if spec.unit is not None and not (
            isinstance(spec.unit, tuple)
            and len(spec.unit) == 2
            and all(isinstance(x, int | float) and np.isfinite(x) for x in spec.unit)
            and spec.unit[1] > 0
        ):
            raise SpecificationError(f"unit={spec.unit!r}: two numbers, what counts as 0 and how much is one unit (above 0).")
        return
    if spec.law.ends and spec.chance != 0.0:
        raise SpecificationError(
            f"chance={spec.chance!r} is about right and wrong answers; scores from 0 to 1 (family='ordered_beta') have none."
        )
    if spec.law.ends and spec.trials is not None:
        raise SpecificationError(
            f"trials={spec.trials!r}: family='ordered_beta' reads one score a row, for a total does not say how often it is "
            f"0, 1 or between. Give the single scores, or, for counts of right answers, a family of counts {counts}."
        )
    of = "reads single scores from 0 to 1" if spec.law.ends else f"is one of counts {counts}"
    for name in ("sd", "unit"):
        if getattr(spec, name) is not None:
            raise SpecificationError(f"{name}={getattr(spec, name)!r} is about continuous scores; the family {of}.")
