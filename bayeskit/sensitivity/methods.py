"""The questions of the sensitivity analysis, as methods of every fit: each hands over to the room that does the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from bayeskit.sensitivity.data_methods import DataMethods

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from bayeskit.assumptions import Prior
    from bayeskit.fit import Fit
    from bayeskit.sensitivity import (
        Alternatives,
        Bounds,
        Claim,
        ClaimValue,
        Reweighted,
        Sensitivity,
        Sweep,
        TippingContour,
        TippingPoint,
    )

__all__ = ["SensitivityMethods"]


class SensitivityMethods(DataMethods):
    """What a `Fit` can be asked about its assumptions. Methods only; the state is the fit's."""

    def sensitivity(
        self,
        quantities: Sequence[str] | Mapping[str, Callable[..., Any]] | None = None,
        assumptions: str | Sequence[str] = "top",
        prob: float = 0.95,
        *,
        ladder: Literal["auto"] | str | Sequence[str] = ("reweight",),
        verify: bool = False,
        **sampling: Any,
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
        ladder : "auto" or sequence of str
            With "auto" or "refit", an assumption whose rows are unreliable is fitted again to the powers 0.5 and 2; ``how``
            says so.
        verify : bool
            Fit the most important row (the largest index) again, a quarter step of its dial down and up, and put both answers
            side by side.
        **sampling
            What `refit` takes: draws, tune, chains, seed, cores, target_accept.

        Returns
        -------
        Sensitivity
            States ok, sensitive, conflict, unreliable or not computed, each with its k-hat. Never "ok" without a number.

        Raises
        ------
        SpecificationError
            For an unknown estimand, assumption or rung, or sampling settings where there is nothing to sample.
        StorageError
            If the run was saved without its statistics.
        """
        from bayeskit.sensitivity import sensitivity

        return sensitivity(cast("Fit", self), quantities, assumptions, prob, ladder, verify, **sampling)

    def reweight(
        self,
        priors: Mapping[str, Prior],
        *,
        prob: float = 0.95,
        group: Literal["estimands", "posterior"] = "estimands",
        ladder: Literal["auto"] | str | Sequence[str] = ("reweight",),
        **sampling: Any,
    ) -> Reweighted:
        """Estimands under other priors, from these draws, or by as much more work as `ladder` allows.

        Parameters
        ----------
        priors : mapping of str to Prior
            By assumption: the prior to put in the place of the fit's. Any distribution over the same dimensions.
        prob : float
            Probability of the equal-tailed intervals.
        group : {"estimands", "posterior"}
            What people asked for, or the parameters.
        ladder : "auto" or sequence of str
            Rungs that may be tried, the next one only where the numbers of the one before cannot be trusted: "reweight",
            "moment match" (moves the draws) and "refit". "auto" is all three.
        **sampling
            What `refit` takes: draws, tune, chains, seed, cores, target_accept.

        Returns
        -------
        Reweighted
            With the rung it came from and every rung that was tried. A refit carries its own verdict.

        Raises
        ------
        UnreliableWeightsError
            If the draws do not reach where the other priors put their mass, and no refit was allowed or possible. Narrower
            priors than the fit's are the easy direction, wider ones the hard one.
        SpecificationError
            For an unknown assumption, one without a prior, a prior over other dimensions, or an unknown rung.
        StorageError
            If the run was saved without its statistics.

        Notes
        -----
        Moment matching: Paananen, Piironen, Buerkner, Vehtari (2021), Statistics and Computing 31:16. A refit under a prior
        of another family compiles once for that family. Weights cannot show a mode without a draw: heavy-tailed priors whose
        central half holds no draw are refitted or refused, whatever their k-hat.
        """
        from bayeskit.sensitivity import reweight

        return reweight(cast("Fit", self), priors, prob, group, ladder, **sampling)

    def power_scale(
        self,
        exponents: Mapping[str, float],
        *,
        prob: float = 0.95,
        group: Literal["estimands", "posterior"] = "estimands",
        ladder: Literal["auto"] | str | Sequence[str] = ("reweight",),
        **sampling: Any,
    ) -> Reweighted:
        """Estimands where priors, constraints or the likelihood count for less or for more: ``p(theta)^exponent``.

        Parameters
        ----------
        exponents : mapping of str to float
            By name of an assumption with a prior, of a constraint, or ``"likelihood"``; at least 0. Below 1 is the hard
            direction: the draws lack the wide tails.
        prob : float
            Probability of the equal-tailed intervals.
        group : {"estimands", "posterior"}
            What people asked for, or the parameters.
        ladder : "auto" or sequence of str
            As in `reweight`.
        **sampling
            What `refit` takes.

        Returns
        -------
        Reweighted
            ``state`` says "unreliable" or "not computed" where the draws do not tell; the numbers after the change are then
            NaN, unless there is a refit, whose verdict the first line names.

        Raises
        ------
        SpecificationError
            For an unknown name, a negative exponent, or an unknown rung.
        StorageError
            If the run was saved without its statistics.

        Notes
        -----
        Kallioinen, Paananen, Buerkner, Vehtari (2024), Statistics and Computing 34:57. A refit turns dials where the power of
        a prior is a prior of the same family. Elsewhere the model is compiled once more with its exponents as data, and
        every later refit uses that program. The log likelihood of a refit with a power of the likelihood is that power's.
        """
        from bayeskit.sensitivity import power_scale

        return power_scale(cast("Fit", self), exponents, prob, group, ladder, **sampling)

    def sweep(
        self,
        dials: Mapping[str, Sequence[float]],
        *,
        grid: bool = False,
        executor: Executor | None = None,
        cache: str | Path | None = None,
        prob: float = 0.95,
        progress: bool = False,
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
        progress : bool
            Show a progress bar over the refits.
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

        return sweep(
            cast("Fit", self), dials, grid=grid, executor=executor, cache=cache, prob=prob, progress=progress, **sampling
        )

    def claim(self, text: str | Claim, prob: float = 0.95) -> ClaimValue:
        """Whether a claim about the estimands holds, fails, or is too close to call within Monte Carlo error.

        Parameters
        ----------
        text : str
            Such as ``"P(A > B) > 0.95"``, ``"lower(risk[untested]) > 0.02"`` or ``"rank(A) <= 3"``. The grammar is at the top
            of `bayeskit.sensitivity.claims`: elements as in `summary`, a label alone where a headline estimand has it, other
            labels in quotes, and P, mean, median, sd, lower, upper, rank and best.
        prob : float
            Probability where the text names none: of the equal-tailed interval of ``lower`` and ``upper``, and of an event that
            stands alone (``rank(A) <= 3`` is ``P(rank(A) <= 3) >= 0.95``).

        Returns
        -------
        ClaimValue
            The number compared, the margin, its Monte Carlo standard error, and the state. Says so first where the checks of
            this fit failed.

        Raises
        ------
        SpecificationError
            For a claim that cannot be read, with a caret under the fault and a suggestion for a misspelt name.
        """
        from bayeskit.sensitivity.claims import claim

        return claim(cast("Fit", self), text, prob)

    def tipping_point(
        self,
        claim: str | Claim,
        dial: str,
        low: float | None = None,
        high: float | None = None,
        *,
        second: str | None = None,
        second_low: float | None = None,
        second_high: float | None = None,
        prob: float = 0.95,
        most_refits: int | None = None,
        executor: Executor | None = None,
        cache: str | Path | None = None,
        **sampling: Any,
    ) -> TippingPoint | TippingContour:
        """How far a dial must be turned until a claim flips.

        These draws are reweighted as far as they reach (Pareto k-hat); refits take over beyond, and confirm the place at the
        end. A dial that enters the likelihood is turned by refits alone. Every independent fit near the flip gives its own
        estimate of the place; they are pooled by inverse variance.

        Parameters
        ----------
        claim : str
            See `claim`.
        dial : str
            Full name, ``"assumption.parameter"``, or the name of an assumption with exactly one dial.
        low, high : float, optional
            The range to search. By default, for a positive number a tenth to ten times its value (0 to 10 where it is 0), for a
            share or a number with two finite limits all that is legal, and otherwise four steps to either side, a step being
            the prior's standard deviation for a location and else 1.
        second : str, optional
            Another dial: the claim is evaluated on a grid over both, 9 by 9 where draws reach, and the line along which it
            flips is returned.
        second_low, second_high : float, optional
            Its range.
        prob : float
            Probability of the Monte Carlo interval of the place, and where the claim names none.
        most_refits : int, optional
            Refits allowed: 14, with two dials 25 (then a 5 by 5 grid where draws do not reach at all).
        executor : concurrent.futures.Executor, optional
            Where refits run; see `sweep`.
        cache : path, optional
            Folder in which every refit is kept; see `sweep`.
        **sampling
            What `refit` takes: draws, tune, chains, cores, target_accept.

        Returns
        -------
        TippingPoint or TippingContour
            The value (NaN with a sentence where no flip was seen), its interval, the direction, whether the path is monotone
            within Monte Carlo error, what prior the value means beside this fit's own, and every evaluation. The contour where
            `second` is given.

        Raises
        ------
        SpecificationError
            For a claim that cannot be read, an unknown dial, or a range that is not legal.
        StorageError
            If the run was saved without its statistics.

        Notes
        -----
        The interval is Monte Carlo error by the delta method: how well the draws locate the place. How plausible the value is
        is another question, which a prior cannot answer of itself; see `bayeskit.sensitivity.plausibility`.
        """
        from bayeskit.sensitivity.tipping import tipping_point

        return tipping_point(
            cast("Fit", self), claim, dial, low, high, second=second, second_low=second_low, second_high=second_high, prob=prob,
            most_refits=most_refits, executor=executor, cache=cache, **sampling,
        )  # fmt: skip

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
