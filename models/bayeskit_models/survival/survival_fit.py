"""The questions people ask of a FlexibleSurvival fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike

from bayeskit import Fit
from bayeskit_models.survival.figure_methods import FigureMethods
from bayeskit_models.survival.predictions import Predictions

if TYPE_CHECKING:
    from bayeskit import CheckResult
    from bayeskit.report.content import Section
    from bayeskit_models.survival.fit_metrics import SurvivalMetrics
    from bayeskit_models.survival.informative import InformativeCensoring

__all__ = ["SurvivalFit"]


class SurvivalFit(Predictions, FigureMethods, Fit):
    """A fitted `FlexibleSurvival`.

    `new` is a table with the covariates of the formulas, one row for each case; without it the answer is for average
    covariates. Where the model has groups and `new` has their column the group's own deviation counts, else that of the mean
    group. Where it has a gamma frailty and `new` has the column of its groups the answer is for those groups, else it is
    averaged over the frailties of all groups there could be; `given_frailty` gives it for a stated one.
    """

    def _identification(self) -> tuple[CheckResult, ...]:
        from bayeskit_models.survival.checks import survival_checks

        return (*super()._identification(), *survival_checks(self))

    def informative_censoring(
        self,
        by: str | None = None,
        times: ArrayLike | None = None,
        multipliers: ArrayLike = (0.0, 0.5, 1.0, 2.0, 5.0),
        prob: float = 0.95,
    ) -> InformativeCensoring:
        """How informative censoring must be to turn a conclusion about the study's own subjects.

        The share of them that is free of the event at a time, where the hazard of who is censored is multiplied from then on. 1
        is the model's assumption; 0 (nobody censored ever has the event) and large numbers give the bounds that hold whatever
        the censoring. Between two arms, the multiplier nearest to 1 that turns their order is found, in both arms and in one.

        Parameters
        ----------
        by : str, optional
            A covariate of the formulas (or the column of groups) with eight values or fewer: shares for each arm too.
        times : array_like, shape (T,), optional
            In the unit of the table; the quartiles of the times of events by default.
        multipliers : array_like, shape (M,)
            Factors of the hazard after censoring, 0 or more.
        prob : float
            Probability of equal-tailed intervals.

        Returns
        -------
        InformativeCensoring
            Its intervals hold what is not known of the law; they do not hold the sampling of the subjects.

        Raises
        ------
        StorageError
            If the run was saved without its rows.
        SpecificationError
            For a wrong argument, or a model with a background hazard.

        Notes
        -----
        No refit: the data have no say in the multiplier. See `censored` for the formulas.
        """
        from bayeskit_models.survival.informative import informative_censoring

        return informative_censoring(self, by, times, multipliers, prob)

    def sections(self, prob: float = 0.95) -> tuple[Section, ...]:
        """What a report says of the law, effects, survival, cure and the fit to the rows."""
        from bayeskit_models.survival.report_sections import survival_sections

        return survival_sections(self, prob)

    # -- agreement with outcomes ------------------------------------------------------------------------------------

    def metrics(
        self,
        test: Any,
        times: ArrayLike | None = None,
        tau: float | None = None,
        prob: float = 0.95,
        *,
        kind: Literal["eti", "hdi"] = "eti",
        censoring: Literal["test", "training"] = "test",
        left: bool = False,
        draws: int = 1000,
    ) -> SurvivalMetrics:
        """How well the predictions agree with rows whose outcomes are known: discrimination, error and calibration.

        Harrell's C, Uno's C, cumulative/dynamic AUC(t), Brier(t) weighed by the inverse probability of censoring and its
        integral, calibration slope, observed over expected events, integrated calibration index and D-calibration, each for
        every draw and for the posterior mean prediction.

        Parameters
        ----------
        test : table
            Rows with times, events and covariates in the columns of the fit, followed from time 0; better not those that were
            fitted. Where the model has groups and the table has not, predictions are those of the mean group.
        times : array_like, optional
            Ascending times by which events are predicted, in the user's unit, for AUC(t) and Brier(t); the integrated score is
            the mean of Brier(t) over the time from the first to the last of them. Not given: the times by which 10, 25, 50, 75
            and 90 % of the test events had been seen.
        tau : float, optional
            Horizon: rows are ordered by the predicted probability of the event by `tau`, Uno's C counts events before it, and
            the slope and the calibration index are of the risk by it. The last of `times` if not given.
        prob, kind : float, {"eti", "hdi"}
            Of the credible intervals over draws. They hold the uncertainty of the predictions; the test rows are taken as
            they are.
        censoring : {"test", "training"}
            Whose Kaplan-Meier curve of the time to censoring makes the weights.
        left : bool
            Read that curve just before each event, which matters only where events and censorings share times: without bias,
            but not what other software does.
        draws : int
            At most so many draws are used, evenly spaced.

        Returns
        -------
        SurvivalMetrics
            ``.table``, ``.draws``, ``.predictive``, ``.to_json()``.

        Raises
        ------
        DataError
            For unseen labels, rows with late entry and events known to an interval only.
        SpecificationError
            For times beyond the follow-up of the test rows, or at which everybody is censored; for relative survival.
        StorageError
            With ``censoring="training"``, if the run was saved without its rows.

        Notes
        -----
        Formulas and sources are in `bayeskit_models.survival.metrics` and `bayeskit_models.survival.metric_calibration`.
        """
        from bayeskit_models.survival.fit_metrics import fit_metrics

        return fit_metrics(self, test, times, tau, prob, kind, censoring, left, draws)
