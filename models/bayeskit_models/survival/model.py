"""FlexibleSurvival: the specification, readable from top to bottom as the model's definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr

from bayeskit import Assumption, Column, ModelBuilder, Simulation
from bayeskit.errors import SpecificationError, suggest
from bayeskit_models.formulas import Terms, read_formula
from bayeskit_models.survival.assumptions import TAILS, assumptions_of
from bayeskit_models.survival.report_facts import data_facts_of, equations_of, limits_of, test_quantities_of
from bayeskit_models.survival.statistics import COMPONENTS, reduce_rows
from bayeskit_models.survival.survival_fit import SurvivalFit

if TYPE_CHECKING:
    from bayeskit import Graph, Mode, Rows

__all__ = ["FlexibleSurvival"]


@dataclass(frozen=True)
class FlexibleSurvival(ModelBuilder):
    """Time to an event by the adapted power generalised Weibull law, whose every parameter may have covariates.

    Parameters
    ----------
    duration : str
        Column of times: of the event, or of the last time the subject was seen without it.
    event : str or None
        Column that is 1 where the event was seen, 0 where the row is censored; None where all rows are events.
    lower, upper : str, optional
        In place of `duration` and `event`: columns of the ends of the interval in which the event lies. Equal: the event was
        seen then; empty `upper`: not by `lower`; `lower` empty or 0: some time before `upper`.
    entry : str, optional
        Column of the time from which a subject was followed (delayed entry); 0 is from the start.
    weights : str, optional
        Column of how many equal rows a row stands for.
    group : str, optional
        Column of groups (centres, sites) that deviate from one another at random.
    frailty : str, optional
        Column of groups (families, patients with several times) whose rows share a gamma distributed factor of their hazards
        (shared frailty), integrated out in closed form: exact and right-censored rows, with late entry where there is any.
    background : str, optional
        Column of the hazard of the general population at the time of the event (relative survival); 0 for none.
    scale, hazard, shape, tail : str
        Formulas of log phi (how fast time runs), log lambda (factor of the hazard), log gamma (power of time) and
        log(kappa + 1) (which law). `hazard` has no intercept unless it says "1 + ...".
    law : {"apgw", "weibull", "loglogistic", "burr", "gompertz"}
        Which law: the whole family, or one member, for which kappa is fixed.
    reference : {"mean", "zero"}
        The row for which the intercepts stand, and at which lambda is 1 where `hazard` has no intercept: average covariates, or
        all covariates 0 (first categories).
    unit : float, optional
        The time that counts as one in the priors. Not given: the median observed time, so that the unit of the table does not
        matter; a prior that follows the data cannot be calibrated, so `calibrate` needs it.
    group_on : str or tuple of str
        Which of scale, hazard and shape the groups deviate in.

    Notes
    -----
    `aft`, `ph`, `mpr_aft`, `mpr_ph` and `four_parameter` make the usual specifications from one formula. Source: Burke, Jones,
    Noufaily (2020), JRSS C 69:429-457.
    """

    duration: str = "time"
    event: str | None = "event"
    lower: str | None = field(default=None, kw_only=True)
    upper: str | None = field(default=None, kw_only=True)
    entry: str | None = field(default=None, kw_only=True)
    weights: str | None = field(default=None, kw_only=True)
    group: str | None = field(default=None, kw_only=True)
    frailty: str | None = field(default=None, kw_only=True)
    background: str | None = field(default=None, kw_only=True)
    scale: str = field(default="1", kw_only=True)
    hazard: str = field(default="0", kw_only=True)
    shape: str = field(default="1", kw_only=True)
    tail: str = field(default="1", kw_only=True)
    law: Literal["apgw", "weibull", "loglogistic", "burr", "gompertz"] = field(default="apgw", kw_only=True)
    reference: Literal["mean", "zero"] = field(default="mean", kw_only=True)
    unit: float | None = field(default=None, kw_only=True)
    group_on: Any = field(default=("scale",), kw_only=True)

    fit_class: ClassVar[Any] = SurvivalFit
    row_level_statistics: ClassVar[bool] = True
    row_dims: ClassVar[tuple[str, ...]] = ("row", "unique", "late", "frailty")

    def __post_init__(self) -> None:
        given = (self.group_on,) if isinstance(self.group_on, str) else tuple(self.group_on)
        object.__setattr__(self, "group_on", given)
        _check(self)

    # -- the usual specifications -----------------------------------------------------------------------------------

    @classmethod
    def aft(cls, formula: str, **settings: Any) -> Self:
        """Accelerated failure time: covariates stretch time."""
        return cls(scale=formula, **settings)

    @classmethod
    def ph(cls, formula: str, **settings: Any) -> Self:
        """Proportional hazards: covariates multiply the hazard."""
        return cls(hazard=formula, **settings)

    @classmethod
    def mpr_aft(cls, formula: str, **settings: Any) -> Self:
        """Multi-parameter regression on time and power: survival curves may cross."""
        return cls(scale=formula, shape=formula, **settings)

    @classmethod
    def mpr_ph(cls, formula: str, **settings: Any) -> Self:
        """Multi-parameter regression on hazard and power: survival curves may cross."""
        return cls(hazard=formula, shape=formula, **settings)

    @classmethod
    def four_parameter(cls, formula: str = "1", **settings: Any) -> Self:
        """Both scales free: `aft` with an intercept of the hazard. Weakly identified; wants some 500 events."""
        return cls(scale=formula, hazard="1", **settings)

    @classmethod
    def weibull(cls, formula: str = "1", **settings: Any) -> Self:
        """Weibull law (kappa 1), accelerated failure time."""
        return cls(scale=formula, law="weibull", **settings)

    @classmethod
    def loglogistic(cls, formula: str = "1", **settings: Any) -> Self:
        """Log-logistic law (kappa 0), accelerated failure time."""
        return cls(scale=formula, law="loglogistic", **settings)

    @classmethod
    def burr(cls, formula: str = "1", **settings: Any) -> Self:
        """Burr XII law (kappa 0 and a factor of the hazard), accelerated failure time."""
        return cls(scale=formula, hazard="1", law="burr", **settings)

    @classmethod
    def gompertz(cls, formula: str = "1", **settings: Any) -> Self:
        """Gompertz law (large kappa, power one), accelerated failure time."""
        return cls(scale=formula, hazard="1", shape="0", law="gompertz", **settings)

    # -- what the kit asks ------------------------------------------------------------------------------------------

    def terms(self, component: str) -> Terms:
        """The parsed formula of scale, hazard, shape or tail."""
        return read_formula(component, getattr(self, component), component != "hazard")

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns that the formulas name, sorted."""
        return tuple(sorted({v for c in COMPONENTS for v in self.terms(c).variables}))

    def columns(self) -> tuple[Column, ...]:
        """Times, censoring and whatever else is named, and the covariates of the formulas."""
        out: list[Column] = []
        if self.lower is not None and self.upper is not None:
            out.append(
                Column(
                    "lower",
                    self.lower,
                    "number",
                    "last time without the event; empty or 0 from the start",
                    low=0.0,
                    allow_missing=True,
                )
            )
            out.append(
                Column(
                    "upper",
                    self.upper,
                    "number",
                    "first time with the event; empty where it was not seen",
                    low=0.0,
                    allow_missing=True,
                )
            )
        else:
            out.append(Column("duration", self.duration, "number", "time of the event or of censoring", low=0.0))
            if self.event is not None:
                out.append(Column("event", self.event, "binary", "whether the event was seen"))
        if self.entry is not None:
            out.append(Column("entry", self.entry, "number", "time from which the row was followed", low=0.0))
        if self.weights is not None:
            out.append(Column("weights", self.weights, "number", "how many equal rows this row stands for", low=0.0))
        if self.group is not None:
            out.append(Column("group", self.group, "label", "the group that deviates at random"))
        if self.frailty is not None:
            out.append(Column("frailty", self.frailty, "label", "the group whose rows share a factor of their hazards"))
        if self.background is not None:
            out.append(Column("background", self.background, "number", "the general population's hazard", low=0.0))
        out += [Column(f"x_{v}", v, "covariate", "a covariate") for v in self.covariates]
        return tuple(out)

    def reduce(self, rows: Rows) -> xr.Dataset:
        """Times on an internal scale, kinds of censoring and patterns of covariates; see `statistics`."""
        return reduce_rows(self, rows)

    def assumptions(self, statistics: xr.Dataset) -> tuple[Assumption, ...]:
        """Censoring, intercepts, the law, effects and groups."""
        return assumptions_of(self, statistics)

    def graph(self, graph: Graph) -> None:
        """Predictors by pattern, and the fused likelihood."""
        from bayeskit_models.survival.kernel import log_likelihood
        from bayeskit_models.survival.predictors import graph_predictors

        if self.frailty is not None:
            return self._graph_with_frailty(graph)
        names = ("term_ptr", "design", "kind_ptr", "pattern", "log_lower", "log_upper", "weight")
        rows = [graph.data(n) for n in names]
        # without a background hazard the likelihood takes a faster road
        background = graph.data("background") if graph.structure["relative"] else np.zeros(0)
        late = [graph.data(n) for n in ("entry_row", "log_entry")]
        found = log_likelihood(*graph_predictors(graph), *rows, background, *late)
        graph.likelihood(found + graph.data("log_unit"))

    def _graph_with_frailty(self, graph: Graph) -> None:
        from bayeskit_models.survival.frailty_kernel import log_likelihood_with_frailty
        from bayeskit_models.survival.predictors import graph_predictors

        names = ("term_ptr", "design", "kind_ptr", "pattern", "log_lower", "weight", "entry_row", "log_entry")
        names += ("frailty_row", "frailty_events", "frailty_step")
        variance = graph.prior("frailty_variance").reshape((1,))
        found = log_likelihood_with_frailty(*graph_predictors(graph), variance, *(graph.data(n) for n in names))
        graph.likelihood(found + graph.data("log_unit"))

    def estimands(self, draws: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        """Effects, kappa, cured share, survival and restricted mean at average covariates."""
        return self.estimands_under(draws, statistics, self.dials(statistics))

    def estimands_under(self, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float]) -> xr.Dataset:
        """The same under given dials: kappa is one where the law fixes it."""
        from bayeskit_models.survival.estimands import estimands_of

        return estimands_of(self, draws, statistics, dials)

    def units(self, statistics: xr.Dataset) -> tuple[str, ...]:
        """Rows, groups, and covariates that are labels."""
        from bayeskit_models.survival.units import unit_names

        return unit_names(self, statistics)

    def unit_counts(self, statistics: xr.Dataset, by: str) -> xr.DataArray:
        """Labels of rows (their place in the table and their time), groups or categories; a whole weight is a count."""
        from bayeskit_models.survival.units import unit_counts

        return unit_counts(statistics, by)

    def drop_units(self, statistics: xr.Dataset, by: str, places: np.ndarray) -> xr.Dataset:
        """Less rows; time, centring and parameters stay as they are."""
        from bayeskit_models.survival.units import drop_units

        return drop_units(statistics, by, np.asarray(places))

    def log_likelihood_of(
        self, draws: xr.Dataset, statistics: xr.Dataset, by: str, dials: Mapping[str, float] | None = None
    ) -> xr.DataArray:
        """What each row, group or category adds to the log likelihood, on the user's scale of time, in plain NumPy."""
        from bayeskit_models.survival.units import unit_effects

        labels = self.check_unit(statistics, by)["unit"].values
        found = unit_effects(self, draws, statistics, by, self.set_dials(statistics, dials))
        coords = {d: draws[d].values for d in ("chain", "draw") if d in draws.coords} | {"unit": labels}
        return xr.DataArray(found, coords, ("chain", "draw", "unit"), name="log_likelihood")

    def mode(
        self,
        table: Any,
        *,
        prior: bool = True,
        dials: Mapping[str, float] | None = None,
        starts: int = 6,
        seed: int = 0,
    ) -> Mode:
        """Posterior mode, or with ``prior=False`` maximum likelihood: the status names the ridges of this law."""
        from bayeskit_models.survival.ridges import name_the_ridge

        return name_the_ridge(super().mode(table, prior=prior, dials=dials, starts=starts, seed=seed))

    @property
    def no_calibration(self) -> str:
        """Without `unit` the priors follow the data, and there is nothing to calibrate."""
        return "" if self.unit is not None else "give unit=1.0 or so; without it the priors follow each table's median time."

    @property
    def checklists(self) -> tuple[str, ...]:
        """Those of every Bayesian report, and STROBE and REMARK for studies of time to an event."""
        return (*super().checklists, "STROBE", "REMARK")

    def equations(self) -> tuple[str, ...]:
        """The likelihood in formulas; see `report_facts` of this folder."""
        return equations_of(self)

    def data_facts(self, statistics: xr.Dataset) -> dict[str, int | float | str]:
        """Rows by kind, events by category, and follow-up."""
        return data_facts_of(statistics)

    def test_quantities(self, statistics: xr.Dataset, observed: xr.Dataset) -> dict[str, float]:
        """Kaplan and Meier's survival at fixed times, of all and by category."""
        return test_quantities_of(self, statistics, observed)

    def limits(self) -> tuple[str, ...]:
        """What a fit to censored times cannot say."""
        return limits_of(self)

    def simulate(
        self,
        rng: np.random.Generator | int | None = None,
        *,
        like: xr.Dataset | None = None,
        parameters: Mapping[str, np.ndarray] | None = None,
        dials: Mapping[str, float] | None = None,
        n: int = 200,
        groups: int = 5,
        family: int = 4,
    ) -> Simulation:
        """Simulate rows: times from the law, censored at random.

        `n` rows; `groups` groups, and frailties shared by `family` rows each, where the specification has them.
        """
        from bayeskit_models.survival.simulate import simulate_survival

        sizes = {"n": n, "groups": groups, "family": family}
        return simulate_survival(self, np.random.default_rng(rng), like, parameters, dials, sizes)


def _check(spec: FlexibleSurvival) -> None:
    if spec.reference not in ("mean", "zero"):
        raise SpecificationError(f"reference={spec.reference!r}: must be 'mean' or 'zero'.")
    if spec.unit is not None and not (isinstance(spec.unit, int | float) and 0 < spec.unit < np.inf):
        raise SpecificationError(f"unit={spec.unit!r}: a time above 0, in the unit of the table.")
    if (spec.lower is None) != (spec.upper is None):
        raise SpecificationError("lower and upper go together: name both columns, or duration and event.")
    laws = ("apgw", *TAILS)
    if spec.law not in laws:
        raise SpecificationError(f"law={spec.law!r}: must be one of {', '.join(laws)}.{suggest(str(spec.law), laws)}")
    for component in COMPONENTS:
        spec.terms(component)
    if spec.law != "apgw" and spec.tail != "1":
        raise SpecificationError(f"law={spec.law!r} fixes kappa, so tail={spec.tail!r} cannot be: leave it out.")
    if spec.law == "apgw" and not spec.terms("tail").intercept:
        raise SpecificationError(
            f"tail={spec.tail!r}: the law needs an intercept; to fix kappa give law='weibull' and the like."
        )
    if spec.law == "loglogistic" and spec.terms("hazard").intercept:
        raise SpecificationError("law='loglogistic' has no intercept of the hazard; with one it is law='burr'.")
    if spec.law == "burr" and not spec.terms("hazard").intercept:
        raise SpecificationError(
            "law='burr' needs an intercept of the hazard: hazard='1'. Without one it is law='loglogistic'."
        )
    if spec.law == "weibull" and spec.terms("scale").intercept and spec.terms("hazard").intercept:
        raise SpecificationError(
            "law='weibull' with intercepts in both scale and hazard: only lambda phi^gamma enters, so one of them is nothing "
            "but its prior. Leave the intercept out of hazard."
        )
    for component in spec.group_on:
        if component not in ("scale", "hazard", "shape"):
            raise SpecificationError(
                f"group_on={component!r}: groups may deviate in scale, hazard and shape.{suggest(str(component), COMPONENTS)}"
            )
    if spec.frailty is not None and spec.background is not None:
        raise SpecificationError(
            "frailty with background: events of the general population do not share the frailty, and the sum of both hazards "
            "has no closed form. Leave one of them out."
        )
    if spec.frailty is not None and spec.frailty == spec.group:
        raise SpecificationError(
            f"frailty={spec.frailty!r} is the column of group too: one factor for each group, gamma distributed (frailty) or "
            "normal on the log scale (group)."
        )
    roles = ("duration", "event", "lower", "upper", "entry", "weights", "group", "frailty", "background")
    named = [getattr(spec, role) for role in roles if getattr(spec, role) is not None]
    if spec.lower is not None:
        named = [n for n in named if n not in (spec.duration, spec.event)]
    for name in spec.covariates:
        if name in named:
            raise SpecificationError(f"{name!r} is both a covariate and a column with a role: a formula may not use it.")
