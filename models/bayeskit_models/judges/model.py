"""JudgeSimplex: rank candidates by the verdicts of imperfect judges, without knowing the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import xarray as xr

from bayeskit import Assumption, Column, Graph, ModelBuilder, Rows, Simulation
from bayeskit.errors import DataError, SpecificationError, suggest
from bayeskit_models.judges.assumptions import assumptions_of, is_binary
from bayeskit_models.judges.estimands import estimands_of
from bayeskit_models.judges.judge_fit import JudgeFit
from bayeskit_models.judges.monotone import draw_monotone, log_monotone_weight
from bayeskit_models.judges.presets import beta_of, boost_of
from bayeskit_models.judges.report_facts import data_facts_of, equations_of, limits_of, test_quantities_of
from bayeskit_models.judges.statistics import answer_statistics, marginal_statistics
from bayeskit_models.judges.units import drop_units, row_effects, unit_counts, unit_names

if TYPE_CHECKING:
    from bayeskit.sensitivity import IdentifiedSet

__all__ = ["JudgeSimplex"]

_CONSTANCY = ("strict", "relaxed", "learned")


@dataclass(frozen=True)
class JudgeSimplex(ModelBuilder):
    """Rank candidates (LLMs, essays, teams) by the verdicts of judges whose errors are modelled.

    Each candidate is a point on a simplex, the shares of its answers at each true level; each judge is a matrix whose rows are
    the distribution of its scores at each true level. What a judge shows of a candidate is the mix of its rows in the
    candidate's shares. Ranks are those of the expected true score.

    Parameters
    ----------
    levels : int
        Number of levels of the score, at least 2.
    candidate, judge, score : str
        Columns of a long table, one row a verdict. For a wide table give `judge` as the tuple of the judges' columns, one row
        an answer; `score` is then not used.
    item : str, optional
        Column with the item that was answered. With it the likelihood is paired.
    gold : str, optional
        Column with the true level where it is known (empty elsewhere).
    count : str, optional
        Column with the number of identical rows that a row stands for.
    stratum : str, optional
        Column with the stratum of the item (subject, difficulty band).
    own : mapping of judge to list of candidates, optional
        Candidates in whose verdict the judge has an interest of its own (itself, its family).
    likelihood : {"auto", "marginal", "joint", "paired"}
        What the verdicts have in common: nothing (marginal), the answer (joint), the answer and the item (paired). "auto"
        takes the richest that the columns allow.
    constancy : {"learned", "strict", "relaxed"} or float
        Whether a judge makes the same errors on every candidate: by how much not is learned, is zero, is 0.5, or is the
        number given (logit scale).
    quality : str, number or pair
        Prior on the quality of judges: "vague", "weak", "moderate", "strong", "near-perfect"; with two levels also the two
        parameters of a Beta prior on TPR - FPR; otherwise pseudo-counts on the true level. The presets are bayeskit's own.
    self_cells : {"free", "keep", "drop"}
        What to do with verdicts on a judge's own candidates: model their difference, trust them, leave them out.
    monotone : bool
        Whether a better true level gives a higher score, in stochastic order. Without it two levels cannot be told apart.
    lowest : int, optional
        The number that stands for the lowest level: 0 for two levels, 1 for more, unless given.

    Raises
    ------
    SpecificationError
        For an unknown setting or an impossible combination.
    """

    levels: int
    candidate: str = field(default="candidate", kw_only=True)
    judge: str | tuple[str, ...] = field(default="judge", kw_only=True)
    score: str = field(default="score", kw_only=True)
    item: str | None = field(default=None, kw_only=True)
    gold: str | None = field(default=None, kw_only=True)
    count: str | None = field(default=None, kw_only=True)
    stratum: str | None = field(default=None, kw_only=True)
    own: Any = field(default=None, kw_only=True)
    likelihood: Literal["auto", "marginal", "joint", "paired"] = field(default="auto", kw_only=True)
    constancy: str | float = field(default="learned", kw_only=True)
    quality: str | float | tuple[float, float] = field(default="moderate", kw_only=True)
    self_cells: Literal["free", "keep", "drop"] = field(default="free", kw_only=True)
    monotone: bool = field(default=True, kw_only=True)
    lowest: int | None = field(default=None, kw_only=True)

    fit_class: ClassVar[Any] = JudgeFit

    def __post_init__(self) -> None:
        _check(self)
        if not isinstance(self.judge, str):
            object.__setattr__(self, "judge", tuple(self.judge))
        if isinstance(self.quality, Sequence) and not isinstance(self.quality, str):
            object.__setattr__(self, "quality", tuple(float(v) for v in self.quality))
        object.__setattr__(self, "own", _frozen(self.own))
        if self.constancy == 0:  # the same assumption, and one name for it
            object.__setattr__(self, "constancy", "strict")
        beta_of(self.quality) if is_binary(self) else boost_of(self.quality)

    # -- what the kit asks ----------------------------------------------------------------------------------------

    @property
    def base(self) -> int:
        """The number that stands for the lowest level."""
        return self.lowest if self.lowest is not None else (0 if self.levels == 2 else 1)

    @property
    def chosen_likelihood(self) -> str:
        """The likelihood after "auto" is resolved by the columns there are."""
        if self.likelihood != "auto":
            return str(self.likelihood)
        if self.item is not None:
            return "paired"
        return "marginal" if isinstance(self.judge, str) else "joint"

    @property
    def default_target_accept(self) -> float:
        """Shorter steps for the marginal likelihood, whose posterior is bounded by what judges can be."""
        return 0.95 if self.chosen_likelihood == "marginal" else 0.9

    def columns(self) -> tuple[Column, ...]:
        """Candidate and verdicts, and whichever of item, gold, count and stratum are named."""
        low, high = self.base, self.base + self.levels - 1
        out = [Column("candidate", self.candidate, "label", "what is ranked")]
        if isinstance(self.judge, str):
            out.append(Column("judge", self.judge, "label", "who gave the verdict"))
            out.append(Column("score", self.score, "level", "the verdict", low=low, high=high, allow_missing=True))
        else:
            out.append(Column("judges", self.judge, "level", "the judges' verdicts", low=low, high=high, allow_missing=True))
        if self.item is not None:
            out.append(Column("item", self.item, "label", "the item that was answered"))
        if self.gold is not None:
            out.append(Column("gold", self.gold, "level", "the true level", low=low, high=high, allow_missing=True))
        if self.count is not None:
            out.append(Column("count", self.count, "count", "how many identical rows this row stands for"))
        if self.stratum is not None:
            out.append(Column("stratum", self.stratum, "label", "the stratum of the item"))
        return tuple(out)

    def reduce(self, rows: Rows) -> xr.Dataset:
        """Counts of verdicts, or distinct answers and items; see `statistics`."""
        judges = tuple(rows.levels["judges" if "judges" in rows.levels else "judge"])
        owned = _own_matrix(self.own, rows.levels["candidate"], judges)
        drop = owned if self.self_cells == "drop" else None
        likelihood = self.chosen_likelihood
        if likelihood == "marginal":
            out = marginal_statistics(rows, levels=self.levels, lowest=self.base, drop=drop)
        else:
            out = answer_statistics(
                rows, likelihood=likelihood, levels=self.levels, lowest=self.base, drop=drop, judge_levels=judges
            )
        if out["verdicts"].sum() == 0:
            raise DataError(
                "no verdict is left.", rule="a ranking needs verdicts.",
                fix="give rows with verdicts, or self_cells='free' in place of 'drop'.",
            )  # fmt: skip
        if owned.any():
            k, j = np.nonzero(owned)
            out["own_candidate"], out["own_judge"] = ("own_cell", k), ("own_cell", j)
            labels = [f"{judges[b]} on {rows.levels['candidate'][a]}" for a, b in zip(k, j, strict=True)]
            out = out.assign_coords(own_cell=labels)
        if self.levels > 2 and likelihood == "paired":
            out = out.assign_coords(cut=[f"{self.base + m}|{self.base + m + 1}" for m in range(1, self.levels - 1)])
        return out

    def assumptions(self, statistics: xr.Dataset) -> tuple[Assumption, ...]:
        """Likelihood, prior shares or abilities, judge quality, constancy, strata and self-interest."""
        return assumptions_of(self, statistics)

    def graph(self, graph: Graph) -> None:
        """The PyMC graph; see `graph` of this folder."""
        from bayeskit_models.judges.graph import write_graph

        write_graph(self, graph)

    def estimands(self, draws: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        """Expected true score of each candidate (headline), shares at each level, quality of each judge."""
        return estimands_of(self, draws, statistics)

    def log_constraint(
        self, values: Mapping[str, np.ndarray], statistics: xr.Dataset, dials: Mapping[str, float]
    ) -> dict[str, np.ndarray]:
        """Log weight of the monotone constraint, where it is not built into the parameters."""
        if "monotone.sharpness" not in dials:
            return {}
        weight = log_monotone_weight(np.asarray(values["judge_vertices"]), dials["monotone.sharpness"])
        return {"monotone": weight.reshape(len(weight), -1).sum(1)}

    @property
    def bounds_draws(self) -> int:
        """Bounds of two levels have a closed form; beyond that each draw is a search."""
        return {2: 1000, 3: 100}.get(self.levels, 60)

    def identified_set(
        self, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float], name: str, weights: np.ndarray
    ) -> IdentifiedSet:
        """What verdicts alone allow of scores, shares and (two levels) quality; see `bounds` of this folder."""
        from bayeskit_models.judges.bounds import identified_set_of

        return identified_set_of(self, draws, statistics, dials, name, weights)

    def canonical(self) -> JudgeSimplex:
        """The specification with "auto", "relaxed" and the presets of quality resolved."""
        scale = 0.5 if self.constancy == "relaxed" else self.constancy
        quality = beta_of(self.quality) if is_binary(self) else boost_of(self.quality)
        return replace(self, likelihood=self.chosen_likelihood, constancy=scale, quality=quality)

    def draw_prior(
        self, statistics: xr.Dataset, rng: np.random.Generator, dials: Mapping[str, float] | None = None
    ) -> dict[str, np.ndarray]:
        """One draw of every variable from the prior; monotone judges are drawn one by one (see `monotone`)."""
        used = self.set_dials(statistics, dials)
        if "monotone.sharpness" not in used:
            return super().draw_prior(statistics, rng, dials)
        values: dict[str, np.ndarray] = {}
        for assumption in self.assumptions(statistics):
            if assumption.name == "judge_vertices":
                values["judge_vertices"] = draw_monotone(
                    rng, statistics.sizes["judge"], self.levels, sharpness=used["monotone.sharpness"],
                    **assumption.parameters(used),
                )  # fmt: skip
            elif assumption.prior is not None:
                shape = tuple(int(statistics.sizes[d]) for d in assumption.prior.dims)
                values[assumption.name] = assumption.prior.random(rng, shape, assumption.parameters(used), values)
        return values

    def units(self, statistics: xr.Dataset) -> tuple[str, ...]:
        """Rows (verdicts or answers), items where they are paired, judges, candidates, strata; see `units` of this folder."""
        return unit_names(statistics)

    def unit_counts(self, statistics: xr.Dataset, by: str) -> xr.DataArray:
        """Labels of the units of one kind, and how many identical rows each stands for."""
        return unit_counts(statistics, by)

    def drop_units(self, statistics: xr.Dataset, by: str, places: np.ndarray) -> xr.Dataset:
        """Verdicts without some rows, items, judges, candidates or strata; weights of the strata stay."""
        return drop_units(statistics, by, places)

    def log_likelihood_of(
        self, draws: xr.Dataset, statistics: xr.Dataset, by: str, dials: Mapping[str, float] | None = None
    ) -> xr.DataArray:
        """What each unit adds to the log likelihood; rows and items in NumPy, larger units by the compiled likelihood."""
        if by not in ("row", "item"):
            return super().log_likelihood_of(draws, statistics, by, dials)
        units = self.check_unit(statistics, by)["unit"].values
        found = row_effects(self, draws, statistics, by, self.set_dials(statistics, dials))
        coords = {d: draws[d].values for d in ("chain", "draw") if d in draws.coords} | {"unit": units}
        return xr.DataArray(found, coords, ("chain", "draw", "unit"), name="log_likelihood")

    def equations(self) -> tuple[str, ...]:
        """The likelihood in formulas; see `report_facts` of this folder."""
        return equations_of(self)

    def data_facts(self, statistics: xr.Dataset) -> dict[str, int | float | str]:
        """Verdicts, answers, and verdicts of each judge."""
        return data_facts_of(statistics)

    def test_quantities(self, statistics: xr.Dataset, observed: xr.Dataset) -> dict[str, float]:
        """Mean verdicts of candidates and judges, and how often judges agree."""
        return test_quantities_of(self, statistics)

    def limits(self) -> tuple[str, ...]:
        """What a ranking by verdicts cannot say."""
        return limits_of(self)

    def simulate(
        self,
        rng: np.random.Generator | int | None = None,
        *,
        like: xr.Dataset | None = None,
        parameters: Mapping[str, np.ndarray] | None = None,
        dials: Mapping[str, float] | None = None,
        candidates: int = 4,
        judges: int = 3,
        items: int = 100,
        strata: int = 2,
    ) -> Simulation:
        """Simulate verdicts of every judge on every candidate's answer to every item.

        `items` is the number of items (answers per candidate); `strata` is used where the specification has a stratum.
        """
        from bayeskit_models.judges.simulate import simulate_judges

        sizes = {"candidates": candidates, "judges": judges, "items": items, "strata": strata}
        return simulate_judges(self, np.random.default_rng(rng), like, parameters, dials, sizes)


def _check(spec: JudgeSimplex) -> None:
    if isinstance(spec.levels, bool) or not isinstance(spec.levels, int) or not 2 <= spec.levels <= 20:
        raise SpecificationError(f"levels={spec.levels!r}: must be a whole number from 2 to 20.")
    for name, allowed in (
        ("likelihood", ("auto", "marginal", "joint", "paired")), ("self_cells", ("free", "keep", "drop")),
    ):  # fmt: skip
        value = getattr(spec, name)
        if value not in allowed:
            raise SpecificationError(f"{name}={value!r}: must be one of {', '.join(allowed)}.{suggest(str(value), allowed)}")
    if isinstance(spec.constancy, str):
        if spec.constancy not in _CONSTANCY:
            raise SpecificationError(
                f"constancy={spec.constancy!r}: must be one of {', '.join(_CONSTANCY)} or a scale."
                f"{suggest(spec.constancy, _CONSTANCY)}"
            )
    elif not _number(spec.constancy) or not (spec.constancy == 0 or 0.01 <= spec.constancy <= 10.0):
        raise SpecificationError(
            f"constancy={spec.constancy!r}: a scale is a number from 0.01 to 10 on the logit scale, or 0 for 'strict'."
        )
    if spec.lowest is not None and (isinstance(spec.lowest, bool) or not isinstance(spec.lowest, int)):
        raise SpecificationError(f"lowest={spec.lowest!r}: must be the whole number that stands for the lowest level.")
    if not isinstance(spec.monotone, bool):
        raise SpecificationError(f"monotone={spec.monotone!r}: must be True or False.")
    wide = not isinstance(spec.judge, str)
    if spec.likelihood == "paired" and spec.item is None:
        raise SpecificationError("likelihood='paired' needs the column of the items: item='...'.")
    if spec.likelihood == "joint" and not wide and spec.item is None:
        raise SpecificationError(
            "likelihood='joint' on a long table needs item='...', to know which verdicts are on one answer."
        )
    if spec.count is not None and spec.item is not None:
        raise SpecificationError("count and item exclude each other: an item is answered once by each candidate.")
    if not spec.monotone and _number(spec.quality) and spec.quality == 0:
        raise SpecificationError(
            "quality=0 with monotone=False: judges that may as well be reversed rank nothing, every order stays equally "
            "probable whatever the data. Use monotone=True, or a quality above 0."
        )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _frozen(own: Any) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
    """The map judge -> candidates as a hashable tuple, sorted."""
    if not own:
        return None
    pairs = own.items() if isinstance(own, Mapping) else own
    try:
        named = ((str(j), tuple(sorted({cs} if isinstance(cs, str) else set(cs)))) for j, cs in pairs)
        return tuple(sorted(pair for pair in named if pair[1])) or None
    except (TypeError, ValueError):
        raise SpecificationError(f"own={own!r}: give a mapping of judge to list of candidates.") from None


def _own_matrix(own: Any, candidates: Sequence[str], judges: Sequence[str]) -> np.ndarray:
    """Which cells are a judge's own, shape (K, J); names that the table lacks are refused."""
    out = np.zeros((len(candidates), len(judges)), dtype=bool)
    for judge, cands in own or ():
        if judge not in judges:
            raise SpecificationError(f"own: no judge {judge!r} in the table.{suggest(judge, judges)}")
        for cand in cands:
            if cand not in candidates:
                raise SpecificationError(f"own: no candidate {cand!r} in the table.{suggest(cand, candidates)}")
            out[candidates.index(cand), judges.index(judge)] = True
    return out
