"""SelectiveRisk: the specification, readable from top to bottom as the model's definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr

from bayeskit import Assumption, Column, ModelBuilder, Simulation
from bayeskit.errors import SpecificationError, suggest
from bayeskit_models.formulas import Terms, read_formula
from bayeskit_models.risk.assumptions import assumptions_of, sign_weight
from bayeskit_models.risk.constraints import Prevalence, Stated, read_expertise, read_prevalence, read_signs
from bayeskit_models.risk.report_facts import data_facts_of, equations_of, limits_of, test_quantities_of
from bayeskit_models.risk.risk_fit import RiskFit
from bayeskit_models.risk.statistics import reduce_rows
from bayeskit_models.risk.unobserved import LAWS

if TYPE_CHECKING:
    from bayeskit import Graph, Rows

__all__ = ["SelectiveRisk"]

ALPHAS = ("positive", "free")


@dataclass(frozen=True)
class SelectiveRisk(ModelBuilder):
    """Risk of an outcome that is seen only for those whom somebody chose to test.

    Everybody has a risk score ``r = x' beta_Y + Z`` with an unobservable Z that the decision maker saw and the table lacks.
    The outcome is 1 with probability ``logistic(r)``; a test has probability ``logistic(alpha r + x' beta_Delta)``.

    Parameters
    ----------
    outcome : str
        Column that is 0 or 1 for tested rows and empty for the others.
    tested : str
        Column that is 1 where the row was tested, else 0.
    risk : str
        Formula of the risk score.
    testing : str, optional
        Formula of how testing departs from risk; not given: that of `risk`.
    unobserved : {"uniform", "normal", "student"}
        Law of the unobservable: uniform on (0, sigma), normal or Student's with centre 0 and scale sigma.
    family : {"bernoulli", "gaussian"}
        Binary outcome, or a continuous one with normal errors, for which `heckman` makes the specification.
    link : {"logit", "probit"}
        How probabilities follow from scores. Probit is normal errors of outcome and test with an unknown correlation; a binary
        outcome then has a reduced form only, without expertise (`probit` makes the specification).
    alpha : float, "positive" or "free"
        How steeply testing follows risk: a known number, or unknown and positive, or unknown with either sign.
    prevalence : Prevalence or mapping of labels to Prevalence, optional
        What is known of the prevalence among all people of the table, or of groups of them.
    expertise : list of str, optional
        Features along which testing may depart from risk; along the others it does not (or hardly, see `tau`).
    tau : float, optional
        Standard deviation of departures along the other features, where they are not exactly 0.
    signs : mapping of str to {1, -1}, optional
        Terms of `risk` whose coefficient is known to be positive or negative.
    weights : str, optional
        Column of how many equal rows a row stands for.
    group : str, optional
        Column of groups for which a prevalence may be stated.
    unit : (float, float), optional
        Of a continuous outcome: what counts as 0 and as one unit in the priors. Not given: mean and standard deviation of the
        tested rows, so that the unit of the table does not matter; priors that follow the data cannot be calibrated.

    Notes
    -----
    Source: Balachandar, Garg, Pierson (2024), Domain constraints improve risk prediction when outcome data is missing, ICLR.
    """

    outcome: str = "y"
    tested: str = "t"
    risk: str = field(default="1", kw_only=True)
    testing: str | None = field(default=None, kw_only=True)
    unobserved: Literal["uniform", "normal", "student"] = field(default="uniform", kw_only=True)
    family: Literal["bernoulli", "gaussian"] = field(default="bernoulli", kw_only=True)
    link: Literal["logit", "probit"] = field(default="logit", kw_only=True)
    alpha: float | Literal["positive", "free"] = field(default=1.0, kw_only=True)
    prevalence: Any = field(default=None, kw_only=True)
    expertise: Any = field(default=None, kw_only=True)
    tau: float | None = field(default=None, kw_only=True)
    signs: Any = field(default=(), kw_only=True)
    weights: str | None = field(default=None, kw_only=True)
    group: str | None = field(default=None, kw_only=True)
    unit: Any = field(default=None, kw_only=True)

    fit_class: ClassVar[Any] = RiskFit
    row_level_statistics: ClassVar[bool] = True
    row_dims: ClassVar[tuple[str, ...]] = ("row", "observation")

    def __post_init__(self) -> None:
        object.__setattr__(self, "prevalence", read_prevalence(self.prevalence, self.group))
        object.__setattr__(self, "expertise", read_expertise(self.expertise))
        object.__setattr__(self, "signs", read_signs(self.signs))
        if isinstance(self.unit, list):
            object.__setattr__(self, "unit", tuple(self.unit))
        if isinstance(self.alpha, int):
            object.__setattr__(self, "alpha", float(self.alpha))
        _check(self)

    @classmethod
    def heckman(cls, outcome: str = "y", tested: str = "t", **settings: Any) -> Self:
        """Heckman's model: a continuous outcome, probit tests and normal errors with an unknown correlation.

        Along terms of `testing` the test has a coefficient of its own; along the other terms of `risk` it follows the outcome.
        """
        return cls(
            outcome, tested, **{"family": "gaussian", "link": "probit", "unobserved": "normal", "alpha": "free", **settings}
        )

    @classmethod
    def probit(cls, outcome: str = "y", tested: str = "t", **settings: Any) -> Self:
        """The bivariate probit model with a selected outcome: normal errors with an unknown correlation, in reduced form."""
        return cls(outcome, tested, **{"link": "probit", "unobserved": "normal", "alpha": "free", **settings})

    def settings(self) -> dict[str, Any]:
        """The settings as JSON-able values: a `Prevalence` as its three numbers."""
        plain = replace(self, prevalence=None)
        out = super(SelectiveRisk, plain).settings()
        if isinstance(self.prevalence, Prevalence):
            out["prevalence"] = self.prevalence.to_dict()
        elif self.prevalence is not None:
            out["prevalence"] = [[label, stated.to_dict()] for label, stated in self.prevalence]
        return out

    # -- formulas and constraints -----------------------------------------------------------------------------------

    def terms(self, component: str) -> Terms:
        """The formula of the risk, of the free departures of testing from it, or of those that are held near 0."""
        if component == "risk":
            return read_formula("risk", self.risk, True)
        whole = read_formula("testing", self.risk if self.testing is None else self.testing, True)
        free = [str(p) for p in whole.parts if self.expertise is None or _variables(p) <= set(self.expertise)]
        held = [str(p) for p in whole.parts if str(p) not in free] if self.tau is not None else []
        chosen = free if component == "testing" else held
        return read_formula("testing", " + ".join(["1", *chosen]), True)

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns that the formulas name, sorted."""
        return tuple(sorted({v for c in ("risk", "testing", "held") for v in self.terms(c).variables}))

    @property
    def stated(self) -> Stated:
        """Stated prevalences by group; the label None is everybody."""
        if self.prevalence is None:
            return ()
        return ((None, self.prevalence),) if isinstance(self.prevalence, Prevalence) else tuple(self.prevalence)

    @property
    def mean_name(self) -> str:
        """The estimand that holds the mean outcome by population."""
        return "prevalence" if self.family == "bernoulli" else "mean_outcome"

    @property
    def no_calibration(self) -> str:
        """Without `unit` the priors of a continuous outcome follow the data, and there is nothing to calibrate."""
        if self.family == "bernoulli" or self.unit is not None:
            return ""
        return "give unit=(0.0, 1.0) or so; without it the priors follow each table's outcomes."

    # -- what the kit asks ------------------------------------------------------------------------------------------

    def columns(self) -> tuple[Column, ...]:
        """Outcome, test, whatever else is named, and the covariates of the formulas."""
        kind: Literal["binary", "number"] = "binary" if self.family == "bernoulli" else "number"
        out = [
            Column("outcome", self.outcome, kind, "the outcome; empty where nobody tested", allow_missing=True),
            Column("tested", self.tested, "binary", "whether the row was tested"),
        ]
        if self.weights is not None:
            out.append(Column("weights", self.weights, "number", "how many equal rows this row stands for", low=0.0))
        if self.group is not None:
            out.append(Column("group", self.group, "label", "the group of which a prevalence may be known"))
        out += [Column(f"x_{v}", v, "covariate", "a covariate") for v in self.covariates]
        return tuple(out)

    def reduce(self, rows: Rows) -> xr.Dataset:
        """Covariates in columns, and equal rows folded into weighted cells; see `statistics`."""
        return reduce_rows(self, rows)

    def assumptions(self, statistics: xr.Dataset) -> tuple[Assumption, ...]:
        """The unobservable, alpha, coefficients, and the constraints."""
        return assumptions_of(self, statistics)

    def graph(self, graph: Graph) -> None:
        """Coordinates that the data determine one by one, constraints, and the fused likelihood."""
        if self.family == "gaussian":
            from bayeskit_models.risk.gaussian import write_gaussian

            write_gaussian(self, graph)
        elif self.link == "probit":
            from bayeskit_models.risk.probit import write_probit

            write_probit(self, graph)
        else:
            from bayeskit_models.risk.graph import write_graph

            write_graph(self, graph)

    def log_constraint(
        self, values: Mapping[str, np.ndarray], statistics: xr.Dataset, dials: Mapping[str, float]
    ) -> dict[str, np.ndarray]:
        """Log weights of prevalence and signs, per draw."""
        from bayeskit_models.risk.population import prevalence_log_weight

        out: dict[str, np.ndarray] = {}
        if self.stated:
            out["prevalence"] = prevalence_log_weight(self, values, statistics, dials)
        if self.signs:
            out["signs"] = sign_weight(self, values["risk_effect"], statistics, dials)
        return out

    def draw_prior(
        self, statistics: xr.Dataset, rng: np.random.Generator, dials: Mapping[str, float] | None = None
    ) -> dict[str, np.ndarray]:
        """One draw of every variable from the prior; constraints by rejection of whole batches."""
        from bayeskit_models.risk.simulate import draw_constrained

        return draw_constrained(self, statistics, rng, self.set_dials(statistics, dials))

    def estimands(self, draws: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        """Prevalence of all, tested and untested; coefficients per unit of the covariate."""
        return self.estimands_under(draws, statistics, self.dials(statistics))

    def estimands_under(self, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float]) -> xr.Dataset:
        """The same under given dials: alpha and the unobservable's law enter the prevalence."""
        from bayeskit_models.risk.estimands import estimands_of

        return estimands_of(self, draws, statistics, dials)

    def units(self, statistics: xr.Dataset) -> tuple[str, ...]:
        """Rows, groups, and covariates that are labels."""
        from bayeskit_models.risk.units import unit_names

        return unit_names(self, statistics)

    def unit_counts(self, statistics: xr.Dataset, by: str) -> xr.DataArray:
        """Labels of cells (their place in the table and what was seen), groups or categories; a whole weight is a count."""
        from bayeskit_models.risk.units import unit_counts

        return unit_counts(statistics, by)

    def drop_units(self, statistics: xr.Dataset, by: str, places: np.ndarray) -> xr.Dataset:
        """Less rows; centring and parameters stay as they are."""
        from bayeskit_models.risk.units import drop_units

        return drop_units(statistics, by, np.asarray(places))

    def log_likelihood_of(
        self, draws: xr.Dataset, statistics: xr.Dataset, by: str, dials: Mapping[str, float] | None = None
    ) -> xr.DataArray:
        """What each row, group or category adds to the log likelihood."""
        from bayeskit_models.risk.units import unit_effects

        labels = self.check_unit(statistics, by)["unit"].values
        found = unit_effects(self, draws, statistics, by, self.set_dials(statistics, dials))
        coords = {d: draws[d].values for d in ("chain", "draw") if d in draws.coords} | {"unit": labels}
        return xr.DataArray(found, coords, ("chain", "draw", "unit"), name="log_likelihood")

    def identified_set(
        self, draws: xr.Dataset, statistics: xr.Dataset, dials: Mapping[str, float], name: str, weights: np.ndarray
    ) -> Any:
        """What the tested rows alone allow of the prevalence: the untested may be all healthy or all ill."""
        from bayeskit_models.risk.bounds import untested_bounds

        return untested_bounds(self, draws, statistics, dials, name, weights)

    @property
    def checklists(self) -> tuple[str, ...]:
        """Those of every Bayesian report, and TRIPOD+AI for models that predict."""
        return (*super().checklists, "TRIPOD+AI")

    def equations(self) -> tuple[str, ...]:
        """The likelihood in formulas; see `report_facts` of this folder."""
        return equations_of(self)

    def data_facts(self, statistics: xr.Dataset) -> dict[str, int | float | str]:
        """Tested and untested people, and outcomes of the tested."""
        return data_facts_of(self, statistics)

    def test_quantities(self, statistics: xr.Dataset, observed: xr.Dataset) -> dict[str, float]:
        """Share tested and outcomes of the tested, of all and by category."""
        return test_quantities_of(self, statistics)

    def limits(self) -> tuple[str, ...]:
        """What a fit to selected labels cannot say."""
        return limits_of(self)

    def simulate(
        self,
        rng: np.random.Generator | int | None = None,
        *,
        like: xr.Dataset | None = None,
        parameters: Mapping[str, np.ndarray] | None = None,
        dials: Mapping[str, float] | None = None,
        n: int = 500,
        groups: int = 3,
    ) -> Simulation:
        """Simulate rows: who is tested, and the outcome of those. `n` rows, `groups` groups where there are any."""
        from bayeskit_models.risk.simulate import simulate_rows

        return simulate_rows(self, np.random.default_rng(rng), like, parameters, dials, {"n": n, "groups": groups})

    def canonical(self) -> Self:
        """The same with its formulas written out, and with hard expertise as the formula of testing that it is."""
        whole = replace(self, risk=_written(self.terms("risk")))
        if self.expertise is None:
            text = self.risk if self.testing is None else self.testing
            return replace(whole, testing=_written(read_formula("testing", text, True)), tau=None)
        if self.tau is None:
            return replace(whole, testing=_written(self.terms("testing")), expertise=None)
        return whole


def _written(terms: Terms) -> str:
    """A formula with its intercept and its terms in canonical form."""
    return " + ".join(["1", *map(str, terms.parts)])


def _variables(part: Any) -> set[str]:
    """Columns that one term of a formula needs."""
    return set(read_formula("testing", str(part), False).variables)


def _check_family(spec: SelectiveRisk) -> None:
    """What goes together: logits with any law, normal errors with a probit and no known slope."""
    if spec.family == "bernoulli" and spec.unit is not None:
        raise SpecificationError(f"unit={spec.unit!r} is of a continuous outcome; a binary one has none.")
    if spec.family == "bernoulli" and spec.link == "logit":
        return
    allowed = [("link", ("probit",)), ("unobserved", ("normal",)), ("alpha", ALPHAS), ("tau", (None,))]
    allowed += [("expertise", (None,))] if spec.family == "bernoulli" else []
    wrong = [f"{name}={getattr(spec, name)!r}" for name, good in allowed if getattr(spec, name) not in good]
    if wrong:
        what = "family='gaussian'" if spec.family == "gaussian" else "link='probit'"
        maker, rest = ("heckman", "") if spec.family == "gaussian" else ("probit", " and no expertise")
        raise SpecificationError(
            f"{what} does not go with {', '.join(wrong)}: it has link='probit', unobserved='normal', alpha='free' or "
            f"'positive', no tau{rest}. SelectiveRisk.{maker}(...) makes such a specification."
        )
    if spec.family == "bernoulli":
        outside = [str(p) for p in spec.terms("risk").parts if str(p) not in map(str, spec.terms("testing").parts)]
        if outside:
            raise SpecificationError(
                f"link='probit': testing={spec.testing!r} lacks {', '.join(outside)}, which the risk has. How testing follows "
                "risk along it is not identified; give testing every term of risk."
            )
    elif spec.unit is not None and not (
        isinstance(spec.unit, tuple)
        and len(spec.unit) == 2
        and all(isinstance(x, int | float) and np.isfinite(x) for x in spec.unit)
        and spec.unit[1] > 0
    ):
        raise SpecificationError(f"unit={spec.unit!r}: two numbers, what counts as 0 and how much is one unit (above 0).")


def _check(spec: SelectiveRisk) -> None:
    for name, allowed in (("unobserved", LAWS), ("family", ("bernoulli", "gaussian")), ("link", ("logit", "probit"))):
        value = getattr(spec, name)
        if value not in allowed:
            raise SpecificationError(f"{name}={value!r}: must be one of {', '.join(allowed)}.{suggest(str(value), allowed)}")
    if isinstance(spec.alpha, str):
        if spec.alpha not in ALPHAS:
            raise SpecificationError(f"alpha={spec.alpha!r}: a number, 'positive' or 'free'.{suggest(spec.alpha, ALPHAS)}")
    elif isinstance(spec.alpha, bool) or not isinstance(spec.alpha, float) or not np.isfinite(spec.alpha):
        raise SpecificationError(f"alpha={spec.alpha!r}: a finite number, 'positive' or 'free'.")
    _check_family(spec)
    for name in ("risk", "testing"):
        text = getattr(spec, name)
        if text is not None and not read_formula(name, text, True).intercept:
            raise SpecificationError(f"{name}={text!r}: the formula needs its intercept; leave out '0' or '- 1'.")
    whole = read_formula("testing", spec.risk if spec.testing is None else spec.testing, True)
    for feature in spec.expertise or ():
        if feature not in whole.variables:
            raise SpecificationError(
                f"expertise names {feature!r}, which the formula of testing does not use.{suggest(feature, whole.variables)} "
                f"It uses: {', '.join(whole.variables) or 'no feature'}."
            )
    if spec.tau is not None:
        if spec.expertise is None:
            raise SpecificationError(f"tau={spec.tau!r} is about features outside expertise: name those inside it.")
        if isinstance(spec.tau, bool) or not isinstance(spec.tau, int | float) or not 0.0 < spec.tau < np.inf:
            raise SpecificationError(f"tau={spec.tau!r}: a number above 0; leave it out for departures of exactly 0.")
    roles = [r for r in (spec.outcome, spec.tested, spec.weights, spec.group) if r is not None]
    if len(set(roles)) < len(roles):
        raise SpecificationError(
            f"outcome, tested, weights and group are different columns; got {', '.join(map(repr, roles))}."
        )
    for name in spec.covariates:
        if name in (spec.outcome, spec.tested, spec.weights):
            raise SpecificationError(f"{name!r} is both a covariate and a column with a role: a formula may not use it.")
