"""The questions people ask of a SelectiveRisk fit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayeskit import Fit
from bayeskit.errors import SpecificationError
from bayeskit.intake import encode
from bayeskit_models.answers import Answer
from bayeskit_models.designs import standardised
from bayeskit_models.risk.population import AnyCoefficients, coefficients_of, pooled, testing_columns

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit import CheckResult
    from bayeskit.report.content import Figure, Section
    from bayeskit_models.risk.allocation import Misallocation
    from bayeskit_models.risk.conflict import Conflict
    from bayeskit_models.risk.policy import PolicyCurve
    from bayeskit_models.risk.validation import Validation

__all__ = ["GIVEN", "RiskFit"]

FloatArray = NDArray[np.float64]

GIVEN = ("all", "tested", "untested")
_MOST = 20_000_000  # numbers in one answer; where there would be more, draws are thinned evenly
_LEAST = 100  # draws that are kept whatever the rows


class RiskFit(Fit):
    """A fitted `SelectiveRisk`.

    `new` is a table with the covariates of the formulas, one row for each person; without it the answer is for the rows of the
    fitted table, in their order.
    """

    def _identification(self) -> tuple[CheckResult, ...]:
        from bayeskit_models.risk.checks import risk_checks

        return risk_checks(self)

    # -- rows and draws ---------------------------------------------------------------------------------------------

    def thinned(self, rows: int, most: int | None = None) -> tuple[AnyCoefficients, tuple[int, int]]:
        """Coefficients of evenly spaced draws, few enough for so many rows, and their numbers of chains and draws."""
        chains, length = self.posterior.sizes["chain"], self.posterior.sizes["draw"]
        wanted = max(_LEAST, _MOST // max(3 * rows, 1)) if most is None else most
        keep = np.unique(np.linspace(0, length - 1, min(length, -(-wanted // chains))).round().astype(int))
        part = self.posterior.isel(draw=keep)
        design = self._need_design("predict")
        return coefficients_of(self.spec, pooled(part), design, self.dials), (chains, len(keep))

    def columns_of(self, new: Any) -> tuple[FloatArray, FloatArray, list[str]]:
        """Columns of the risk and of testing for rows of a table, and labels of the rows."""
        if new is None:
            statistics = self._need_statistics("answer for its rows")
            cell = statistics["cell"].values
            kept = np.flatnonzero(cell >= 0)
            labels = [f"row {i}" for i in kept]
            places = cell[kept]
            return statistics["risk_columns"].values[:, places], testing_columns(statistics)[:, places], labels
        design = self._need_design("predict")
        wanted = [c for c in self.spec.columns() if c.role.startswith("x_")]
        if not wanted:
            raise SpecificationError("new: this model has no covariates; leave it out.")
        known = {k: v for k, v in self.levels.items() if k in {c.role for c in wanted}}
        rows = encode(new, wanted, levels=known)
        parts = [standardised(rows, self.spec.terms(c), design, c).T for c in ("risk", "testing", "held")]
        return parts[0], np.concatenate(parts[1:]), [str(i) for i in range(rows.n)]

    def row_draws(self, new: Any = None, most: int | None = None) -> tuple[FloatArray, tuple[int, int], list[str]]:
        """P(Y = 1), P(T = 1, Y = 1) and P(T = 0) of every row, shape (S, n, 3), with the numbers of chains and draws."""
        risk, testing, labels = self.columns_of(new)
        c, shape = self.thinned(len(labels), most)
        return c.rows(risk, testing), shape, labels

    def _answer(self, values: FloatArray, shape: tuple[int, int], rows: list[str], label: str, units: str, note: str) -> Answer:
        total = self.posterior.sizes["chain"] * self.posterior.sizes["draw"]
        told = f"From {shape[0] * shape[1]} of {total} draws, evenly spaced." if shape[0] * shape[1] < total else ""
        draws = xr.DataArray(values.reshape(*shape, -1), dims=("chain", "draw", "row"), coords={"row": rows}, name=label)
        return Answer(draws, label, units, " ".join(t for t in (note, told) if t))

    # -- answers ----------------------------------------------------------------------------------------------------

    def risk(self, new: Any = None, given: Literal["all", "tested", "untested"] = "all") -> Answer:
        """Probability of the outcome.

        Parameters
        ----------
        new : table, optional
            Covariates; see the class.
        given : {"all", "tested", "untested"}
            Of a person with these covariates, or of one of whom it is also known that somebody did or did not test: the choice
            tells something of what the decision maker saw.
        """
        if given not in GIVEN:
            raise SpecificationError(f"given={given!r}: must be one of {', '.join(GIVEN)}.")
        found, shape, rows = self.row_draws(new)
        label = {"all": "", "tested": " of a tested person", "untested": " of an untested person"}[given]
        if self.spec.family == "gaussian":
            return self._answer(conditional(found, given, False), shape, rows, f"expected outcome{label}", "outcome", "")
        note = "" if given == "all" else "Rests on the law of the unobservable and on alpha, beside the covariates."
        return self._answer(conditional(found, given), shape, rows, f"probability of the outcome{label}", "probability", note)

    def prevalence(self) -> Answer:
        """Prevalence among all people of the table, those tested and those not."""
        note, facts = "", self.means.attrs
        if self.aggregate is not None:
            counts, rate = self.aggregate["counts"].values, float(self.aggregate["tested_mean"])
            share = counts[1:].sum() / counts.sum()
            told = f"of whom {rate:.4g} had the outcome" if self.spec.family == "bernoulli" else f"with mean outcome {rate:.4g}"
            note = f"Observed: {share:.4g} tested, {told}."
        return Answer(self.means.rename(population="row"), facts["label"], facts["units"], note)

    @property
    def means(self) -> xr.DataArray:
        """Draws of the prevalence, or of the mean outcome where it is continuous, by population."""
        return self.estimands[self.spec.mean_name]

    def need_binary(self, what: str) -> None:
        """Refuse what is about probabilities of an outcome where the outcome is continuous."""
        if self.spec.family == "gaussian":
            raise SpecificationError(f"{what} is about a binary outcome; this one is continuous.")

    def baselines(self, prob: float = 0.95) -> pd.DataFrame:
        """The fit beside what people do without a model of selection, on the same rows.

        Regression on the tested alone, the untested counted as negative, inverse probability weights (binary outcomes), and
        Heckman's two-step method with corrected standard errors (continuous ones).

        Returns
        -------
        DataFrame
            One row for each method and term, this fit first; see `bayeskit_models.risk.baselines.baseline_table`. Intervals of
            the others are confidence intervals.
        """
        from bayeskit_models.risk.coefficients import baselines_of

        return baselines_of(self, prob)

    def unobserved(self, draws: int = 200) -> Answer:
        """Mean of the unobservable of every row of the table given all that was seen of it, on the scale of log odds.

        Parameters
        ----------
        draws : int
            Evenly spaced posterior draws to use.
        """
        statistics = self._need_statistics("answer for its rows")
        c, shape = self.thinned(statistics.sizes["row"], draws)
        found = c.unobserved(statistics, testing_columns(statistics))
        cell = statistics["cell"].values
        rows = np.flatnonzero(cell >= 0)
        note = "Compare it with something that the decision maker saw and the model did not, such as family history."
        label = "mean of the unobservable, given test and outcome"
        units = "log odds" if self.spec.family == "bernoulli" else "outcome"
        return self._answer(found[:, cell[rows]], shape, [f"row {i}" for i in rows], label, units, note)

    def policy(
        self, feature: str, values: Sequence[Any] | ArrayLike | None = None, *, risk: float | None = None
    ) -> PolicyCurve:
        """Probability of a test along a feature at fixed risk: what the decision maker does beyond following risk.

        Parameters
        ----------
        feature : str
            A covariate of the formula of testing.
        values : sequence, optional
            Its values; not given: an even grid over those of the table, or all categories.
        risk : float, optional
            The fixed probability of the outcome; not given: the posterior median of the prevalence.
        """
        from bayeskit_models.risk.policy import policy_curve

        return policy_curve(self, feature, values, risk)

    def conflict(self, *, draws: int = 500, tune: int = 500, chains: int = 4) -> Conflict:
        """What data and model say of the prevalence without being told it, against what is stated.

        Fits again (on the same compiled model) with the constraint taken off. A wrong prevalence makes intervals narrower, not
        wider, and nothing else shows it.

        Parameters
        ----------
        draws, tune, chains : int
            Sampling of that fit.

        Raises
        ------
        SpecificationError
            If no prevalence is stated.
        """
        from bayeskit_models.risk.conflict import prevalence_conflict

        return prevalence_conflict(self, draws, tune, chains)

    @cached_property
    def usual_conflict(self) -> Conflict:
        """`conflict` with its usual settings, computed once; the verdict holds it."""
        return self.conflict()

    def misallocation(self, budget: float | None = None) -> Misallocation:
        """Who would be tested if tests went by risk, and what would be found, against the tests that were made.

        Parameters
        ----------
        budget : float, optional
            Number of tests; not given: as many as were made.
        """
        from bayeskit_models.risk.allocation import misallocation

        return misallocation(self, budget)

    def validate(
        self,
        followup: Any,
        *,
        outcome: str | None = None,
        by: str | None = None,
        given: Literal["all", "tested", "untested"] = "untested",
        seed: int = 0,
    ) -> Validation:
        """Risks against outcomes that the fit did not see: AUC, quintile ratio and calibration, each with intervals.

        Parameters
        ----------
        followup : table
            Covariates of the formulas, and the outcome (0 or 1) of people who were not tested at the time.
        outcome : str, optional
            Its column; not given: that of the specification.
        by : str, optional
            Column of subgroups, each of which is judged too.
        given : {"all", "tested", "untested"}
            Which risk is judged.
        seed : int
            Of the Bayesian bootstrap of the follow-up.
        """
        from bayeskit_models.risk.validation import validate

        return validate(self, followup, outcome or self.spec.outcome, by, given, seed)

    def coefficients(self, prob: float = 0.95) -> pd.DataFrame:
        """Coefficients of the risk and departures of testing, per unit of the covariate.

        Returns
        -------
        DataFrame
            One row for each part and term: median, lower, upper (equal-tailed) and the probability that it is positive.
            ``attrs`` say prob and kind.
        """
        from bayeskit_models.risk.coefficients import coefficient_table

        return coefficient_table(self, prob)

    # -- figures and report -----------------------------------------------------------------------------------------

    def plot_risk(self, *, groups: int = 10, prob: float = 0.95) -> Figure:
        """Mean risk of tested and untested people in groups of equal predicted risk, with what was observed of the tested."""
        from bayeskit_models.risk.figures import risk_figure

        return risk_figure(self, groups, prob)

    def plot_prevalence_path(
        self,
        values: ArrayLike,
        quantity: str = "prevalence[untested]",
        *,
        prob: float = 0.95,
        draws: int = 500,
        tune: int = 500,
    ) -> Figure:
        """A quantity over the stated prevalence: one refit for each value, on the same compiled model.

        Parameters
        ----------
        values : array_like
            Prevalences, ascending.
        quantity : str
            A row of ``fit.summary()``.
        prob : float
            Of the equal-tailed band.
        draws, tune : int
            Sampling of the refits.
        """
        from bayeskit_models.risk.figures import prevalence_path

        return prevalence_path(self, np.asarray(values, dtype=float), quantity, prob, draws, tune)

    def sections(self, prob: float = 0.95) -> tuple[Section, ...]:
        """Who was tested, prevalence, risk, testing and what the constraints did."""
        from bayeskit_models.risk.report_sections import sections_of

        return sections_of(self, prob)


def conditional(found: FloatArray, given: str, binary: bool = True) -> FloatArray:
    """Mean outcome of everybody, of the tested or of the untested, from `population.Coefficients.rows`."""
    p, both, untested = (found[..., k] for k in range(3))
    if given == "all":
        return p
    mean = both / (1.0 - untested) if given == "tested" else (p - both) / untested
    return np.clip(mean, 0.0, 1.0) if binary else mean
