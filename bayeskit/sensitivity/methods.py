"""The questions of the sensitivity analysis, as methods of every fit: each hands over to the room that does the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from bayeskit.assumptions import Prior
    from bayeskit.fit import Fit
    from bayeskit.sensitivity import Alternatives, Bounds, Reweighted, Sensitivity, Sweep

__all__ = ["SensitivityMethods"]


class SensitivityMethods:
    """What a `Fit` can be asked about its assumptions. Methods only; the state is the fit's."""

    def sensitivity(
        self,
        quantities: Sequence[str] | Mapping[str, Callable[..., Any]] | None = None,
        assumptions: str | Sequence[str] = "top",
        prob: float = 0.95,
    ) -> Sensitivity:
        """What the answer rests on: every assumption against every quantity, from these draws, without a refit.

        Parameters
        ----------
        quantities : sequence of str or mapping of str to callable, optional
            Names of estimands (the headline ones by default), or functions of the Dataset of estimands that return one number
            for every draw, shape (chain, draw).
        assumptions : {"top", "all"} or names
            "top" leaves latent and imputed ones out: they are the model's own predictions, not what was assumed.
        prob : float
            Probability of intervals.

        Returns
        -------
        Sensitivity
            States ok, sensitive, conflict, unreliable or not computed, each with its k-hat. Never "ok" without a number.

        Raises
        ------
        SpecificationError
            For an unknown estimand or assumption.
        StorageError
            If the run was saved without its statistics.
        """
        from bayeskit.sensitivity import sensitivity

        return sensitivity(cast("Fit", self), quantities, assumptions, prob)

    def reweight(
        self, priors: Mapping[str, Prior], *, prob: float = 0.95, group: Literal["estimands", "posterior"] = "estimands"
    ) -> Reweighted:
        """Estimands under other priors, from these draws, without a refit.

        Parameters
        ----------
        priors : mapping of str to Prior
            By assumption: the prior to put in the place of the fit's. Any distribution over the same dimensions.
        prob : float
            Probability of the equal-tailed intervals.
        group : {"estimands", "posterior"}
            What people asked for, or the parameters.

        Returns
        -------
        Reweighted

        Raises
        ------
        UnreliableWeightsError
            If the draws do not reach where the other priors put their mass. Narrower priors than the fit's are the easy
            direction, wider ones the hard one.
        SpecificationError
            For an unknown assumption, one without a prior, or a prior over other dimensions.
        """
        from bayeskit.sensitivity import reweight

        return reweight(cast("Fit", self), priors, prob, group)

    def sweep(
        self,
        dials: Mapping[str, Sequence[float]],
        *,
        grid: bool = False,
        executor: Executor | None = None,
        cache: str | Path | None = None,
        prob: float = 0.95,
        **sampling: Any,
    ) -> Sweep:
        """Fit again under other dials, one setting after the other or side by side.

        Parameters
        ----------
        dials : mapping of str to sequence of float
            Values by the full name of the dial, ``"assumption.parameter"``.
        grid : bool
            Every combination; otherwise one dial at a time, the others as in this fit.
        executor : concurrent.futures.Executor, optional
            Where to run. Processes run side by side; threads of one process wait for each other.
        cache : path, optional
            Folder in which every refit is kept. The same sweep with the same folder resumes where it was stopped.
        prob : float
            Probability of the equal-tailed intervals in the table.
        **sampling
            What `refit` takes: draws, tune, chains, cores, target_accept.

        Returns
        -------
        Sweep
            Each cell with its own verdict; failed cells stay visible. The seed of a cell follows from this fit's seed and the
            cell's dials.

        Raises
        ------
        SpecificationError
            For an unknown dial, a value out of its range, or more than 200 settings.
        """
        from bayeskit.sensitivity import sweep

        return sweep(cast("Fit", self), dials, grid=grid, executor=executor, cache=cache, prob=prob, **sampling)

    def bounds(self, quantity: str | Sequence[str], prob: float = 0.95, *, draws: int | None = None) -> Bounds:
        """What the data allow under few named assumptions, beside the posterior, for models identified only in part.

        For every draw the model knows the set of values that fit the data exactly as well as the draw does. Within that set the
        posterior is the prior.

        Parameters
        ----------
        quantity : str or sequence of str
            An estimand (``"expected_score"``, all its elements), an element (``"expected_score[a]"``), or a difference of two
            elements (``"expected_score[a] - expected_score[b]"``). Several must belong to one estimand.
        prob : float
            Probability of the posterior's equal-tailed intervals, and the least posterior probability with which the bounds
            cover the whole identified set.
        draws : int, optional
            For how many draws, evenly spaced, the set is found; the model's `bounds_draws` if not given. Quantiles of few draws
            are coarse: with 100 draws the end of a 95 % interval is the third smallest.

        Returns
        -------
        Bounds
            ``.table``, ``.sentence(quantity)``, ``.plot()``; with the assumptions that are kept and dropped, by name.

        Raises
        ------
        SpecificationError
            If the model declares no bounds for this estimand, or the quantity is unknown.
        StorageError
            If the run was saved without its statistics.

        Notes
        -----
        The interval runs from the ``(1 - prob) / 2`` quantile of the lower ends to the ``(1 + prob) / 2`` quantile of the upper
        ends. By Bonferroni's inequality it holds the whole set with posterior probability `prob` at least; any one value in the
        set it holds with more. Intervals for sets: Manski, "Partial Identification of Probability Distributions" (2003);
        Kline and Tamer, Quantitative Economics 7 (2016) 329-366, for the Bayesian reading.
        """
        from bayeskit.sensitivity import bounds

        return bounds(cast("Fit", self), quantity, prob, draws)

    def alternatives(self) -> Alternatives:
        """Specifications that differ from this fit's in one setting, from the alternatives that its assumptions declare.

        Returns
        -------
        Alternatives
            ``.specs``, a dict of name to specification ready to fit, and ``.skipped``, name to the reason why it cannot be
            specified. Settings that mean the same model as this fit's are not listed.

        Raises
        ------
        StorageError
            If the run was saved without its statistics.
        """
        from bayeskit.sensitivity import alternatives

        fit = cast("Fit", self)
        return alternatives(fit.spec, fit._need_statistics("list the alternatives"))
