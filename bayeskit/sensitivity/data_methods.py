"""The questions about the data that an answer rests on, as methods of every fit: influence, smallest sets, prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from bayeskit.fit import Fit
    from bayeskit.sensitivity import Influence, Loo, SmallestSet

__all__ = ["DataMethods"]


class DataMethods:
    """What a `Fit` can be asked about its data. Methods only; the state is the fit's."""

    def influence(
        self,
        by: str = "row",
        quantities: Sequence[str] | Mapping[str, Callable[..., Any]] | None = None,
        exact: bool | int | Sequence[str] = False,
        prob: float = 0.95,
        *,
        thin_to: int | None = 1000,
        executor: Executor | None = None,
        **sampling: Any,
    ) -> Influence:
        """Which data the answer rests on: how far it moves when each unit is left out.

        Parameters
        ----------
        by : str
            Kind of unit: "row", or one of ``fit.spec.units(fit.statistics)`` such as "judge". Identical rows are folded; one
            of them is left out.
        quantities : sequence of str or mapping of str to callable, optional
            As in `sensitivity`; the headline ones by default.
        exact : bool, int or sequence of str
            Units to refit without: True for those that the draws cannot judge and those that move a quantity by 0.5 posterior
            standard deviations (30 at most), a number for so many of them, or labels. For units as large as a judge refits are
            the honest answer: draws with it cannot stand for draws without it.
        prob : float
            Probability of the equal-tailed intervals of refits.
        thin_to : int or None
            Use about so many of the draws, evenly thinned; None takes all. The result says how many were used.
        executor : concurrent.futures.Executor, optional
            Where refits run; processes run side by side.
        **sampling
            What `refit` takes: draws, tune, chains, cores, target_accept.

        Returns
        -------
        Influence
            A row for every unit and quantity with first-order shift, reweighted shift where k-hat allows one, and refit. States
            ok, influential, unreliable, not computed; an unreliable unit is never "ok".

        Raises
        ------
        SpecificationError
            For an unknown kind of unit or label, or a model that declares no units.
        StorageError
            If the run was saved without its statistics.

        Notes
        -----
        To first order the mean of g moves by -Cov(g, loglik_u) (Broderick, Giordano, Meager 2020, arXiv 2011.14999); weights
        without the unit are 1 / L_u, Pareto-smoothed (Vehtari, Gelman, Gabry 2017, Statistics and Computing 27:1413).
        """
        from bayeskit.sensitivity import influence

        return influence(cast("Fit", self), by, quantities, exact, prob, thin_to=thin_to, executor=executor, **sampling)

    def smallest_set(
        self,
        claim: Any,
        by: str = "row",
        *,
        methods: Sequence[str] = ("first order", "greedy"),
        refits: int = 10,
        thin_to: int | None = 2000,
        **sampling: Any,
    ) -> SmallestSet:
        """The smallest set of units whose removal overturns a claim, confirmed by a refit without them.

        Parameters
        ----------
        claim : str, Claim or Boundary
            In the grammar of `claim`, such as ``"mean(A - B) > 0"``; or which number matters and where,
            ``Boundary("slope", 0.0, "lower")``: on which side the answer lies now is the claim.
        by : str
            Kind of unit, as in `influence`.
        methods : some of "first order", "greedy"
            First order adds up effects of single units (AMIP) and is fast and blind to units that mask each other; greedy
            takes the unit that goes farthest, looks again, and refits when weights give out.
        refits : int
            At most so many refits for each method; the first-order set takes one, or up to four where it has to grow.
        thin_to : int or None
            Use about so many of the draws, evenly thinned; None takes all.
        **sampling
            What `refit` takes: draws, tune, chains, cores, target_accept.

        Returns
        -------
        SmallestSet
            A set for each method with its share of the data, prediction and refit. Sets are upper bounds: a smaller one may
            exist, and none found is not proof that there is none.

        Raises
        ------
        SpecificationError
            For a claim that cannot be computed, or an unknown kind of unit.
        StorageError
            If the run was saved without its statistics.

        Notes
        -----
        Broderick, Giordano, Meager (2020), arXiv 2011.14999, section 2; on masking Huang et al. (2024), arXiv 2408.09008.
        """
        from bayeskit.sensitivity import smallest_set

        return smallest_set(cast("Fit", self), claim, by, methods=methods, refits=refits, thin_to=thin_to, **sampling)

    def loo(self, by: str = "row", *, thin_to: int | None = None) -> Loo:
        """How well each unit is predicted from the others: leave-one-out cross-validation by Pareto-smoothed weights.

        Parameters
        ----------
        by : str
            Kind of unit, as in `influence`.
        thin_to : int or None
            Use about so many of the draws, evenly thinned; None takes all.

        Returns
        -------
        Loo
            elpd (sum of the log predictive densities, natural logarithms), its standard error, effective number of parameters
            and the k-hat of every unit. Units over the limit are counted in the first line.

        Raises
        ------
        SpecificationError
            For an unknown kind of unit.
        StorageError
            If the run was saved without its statistics.

        Notes
        -----
        Vehtari, Gelman, Gabry (2017), Statistics and Computing 27:1413, equations 3, 4 and 10.
        """
        from bayeskit.sensitivity import loo

        return loo(cast("Fit", self), by, thin_to=thin_to)
