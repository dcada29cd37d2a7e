"""The figures of a survival fit, as its methods: each hands over to the room that draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from bayeskit.report.content import Figure
    from bayeskit_models.survival.survival_fit import SurvivalFit

__all__ = ["FigureMethods"]


class FigureMethods:
    """What a `SurvivalFit` can draw. Methods only; the state is the fit's."""

    def plot_survival(
        self, new: Any = None, *, by: str | None = None, times: ArrayLike | None = None, prob: float = 0.95
    ) -> Figure:
        """Survival bands over Kaplan-Meier curves, with numbers at risk.

        Kaplan-Meier estimates the survival of the subjects there are, so the bands beside it are averages over the covariates
        of those same subjects, not the curve of a subject with average covariates. What lies beyond follow-up is dashed and
        pale.

        Parameters
        ----------
        new : table, optional
            Rows of covariates: their own curves, without Kaplan-Meier.
        by : str, optional
            A covariate of the formulas (or the column of groups) with eight values or fewer: one curve for each. Not given: one
            for the whole study.
        times : array_like, shape (T,), optional
            Where the curves are drawn, in the unit of the table; to 1.2 times the follow-up by default.
        prob : float
            Probability of the pointwise equal-tailed bands.

        Returns
        -------
        Figure
            Where rows are censored in intervals, or were not saved, the bands alone, and a sentence that says so.

        Raises
        ------
        SpecificationError
            For both `new` and `by`, more than seven curves, an unknown covariate or wrong times.
        StorageError
            For `by` in a run that was saved without its rows.
        """
        from bayeskit_models.survival.figures import survival_figure

        return survival_figure(cast("SurvivalFit", self), new, by, times, prob)

    def plot_hazard(self, new: Any = None, *, times: ArrayLike | None = None, prob: float = 0.95) -> Figure:
        """Hazard over time with bands, events per unit of time among those still at risk.

        Parameters
        ----------
        new : table, optional
            Rows of covariates, up to seven; average covariates by default.
        times : array_like, shape (T,), optional
            Where the curves are drawn; from 1 % of the follow-up to 1.2 times it by default.
        prob : float
            Probability of the pointwise equal-tailed bands.

        Returns
        -------
        Figure

        Raises
        ------
        SpecificationError
            For more than seven rows or wrong times.
        """
        from bayeskit_models.survival.figures import hazard_figure

        return hazard_figure(cast("SurvivalFit", self), new, times, prob)

    def plot_hazard_ratio(self, a: Any, b: Any, *, times: ArrayLike | None = None, prob: float = 0.95) -> Figure:
        """Hazard of `a` over that of `b` over time, with a band; the axis is logarithmic.

        Parameters
        ----------
        a, b : table
            One row of covariates each.
        times : array_like, shape (T,), optional
            Where the curve is drawn; from 2 % of the follow-up to 1.2 times it by default.
        prob : float
            Probability of the pointwise equal-tailed band.

        Returns
        -------
        Figure
            Its text holds the posterior probabilities that the ratio stays above 1, below 1, or crosses it within follow-up.

        Raises
        ------
        SpecificationError
            If `a` or `b` is not one row, or for wrong times.
        """
        from bayeskit_models.survival.figures import ratio_figure

        return ratio_figure(cast("SurvivalFit", self), a, b, times, prob)

    def plot_kappa(self, prob: float = 0.95) -> Figure:
        """Posterior of kappa with its prior behind, and the named laws marked.

        Parameters
        ----------
        prob : float
            Probability of the equal-tailed interval in the text.

        Returns
        -------
        Figure
            On the scale of log(kappa + 1), where the prior is normal; where kappa has covariates, at their averages.

        Raises
        ------
        SpecificationError
            If the law fixes kappa.
        """
        from bayeskit_models.survival.figures import kappa_figure

        return kappa_figure(cast("SurvivalFit", self), prob)

    def plot_residuals(self, kind: Literal["cox-snell", "pit"] = "cox-snell", *, seed: int = 0, prob: float = 0.95) -> Figure:
        """Residuals of the fitted rows against what they would be if the law fitted.

        Parameters
        ----------
        kind : {"cox-snell", "pit"}
            Cox and Snell's: the cumulative hazard that each row lived through, whose Nelson-Aalen estimate should be the
            diagonal (Cox, Snell 1968). Or the probability integral transform, which should be uniform; a censored row is drawn
            uniformly from what the fit leaves open for it.
        seed : int
            Of those draws.
        prob : float
            Of the pointwise confidence intervals ("cox-snell"), or of the band that uniform samples do not leave ("pit").

        Returns
        -------
        Figure

        Raises
        ------
        SpecificationError
            For an unknown kind, a background hazard, "cox-snell" with rows in intervals, or "pit" with weights.
        StorageError
            If the run was saved without its rows.
        """
        from bayeskit_models.survival.figures_check import residual_figure

        return residual_figure(cast("SurvivalFit", self), kind, seed, prob)

    def plot_calibration(self, time: float, *, groups: int = 5, prob: float = 0.95) -> Figure:
        """Predicted against observed survival at a landmark time, in groups of rows with like predictions.

        Parameters
        ----------
        time : float
            In the unit of the table, within follow-up.
        groups : int
            Of about equal size; fewer where there are fewer distinct predictions.
        prob : float
            Of the intervals: equal-tailed for the prediction, Kaplan-Meier's confidence intervals for what was observed.

        Returns
        -------
        Figure
            The rows are those that were fitted. A group of which nobody was followed to `time` is not drawn, and told.

        Raises
        ------
        SpecificationError
            For a time beyond follow-up, fewer than two groups, rows in intervals or a background hazard.
        StorageError
            If the run was saved without its rows.
        """
        from bayeskit_models.survival.figures_check import calibration_figure

        return calibration_figure(cast("SurvivalFit", self), time, groups, prob)
