"""The questions of the sensitivity analysis, as methods of every fit: each hands over to the room that does the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from bayeskit.assumptions import Prior
    from bayeskit.fit import Fit
    from bayeskit.sensitivity import Reweighted, Sensitivity, Sweep

__all__ = ["SensitivityMethods"]


class SensitivityMethods:
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
