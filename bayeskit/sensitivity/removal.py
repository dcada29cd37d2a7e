"""What units of data add to the log likelihood, draw by draw, and refits without some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import BayeskitError, SpecificationError
from bayeskit.sensitivity.sweep import cell_seed

if TYPE_CHECKING:
    from bayeskit.fit import Fit

__all__ = [
    "Contributions",
    "Removal",
    "batch_error",
    "contributions",
    "doubt",
    "first_order",
    "gather",
    "removal_seed",
    "remove",
    "remove_all",
]

_BATCHES = 10  # per chain, for Monte Carlo errors
_FAILED = ("ERROR", "FAIL", "NOT COMPUTED")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Contributions:
    """What each unit adds to the log likelihood.

    Attributes
    ----------
    by : str
        Kind of unit.
    labels : tuple of str
        The units.
    counts : ndarray of int, shape (U,)
        How many identical rows a unit stands for; `values` are of one of them.
    values : ndarray, shape (chains, draws, U)
        ``log p(all data) - log p(all data but the unit)``.
    step, available : int
        Every `step`-th draw of each chain is used, of so many draws in all.
    """

    by: str
    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    values: FloatArray
    step: int
    available: int

    @property
    def used(self) -> int:
        """Number of draws that are used."""
        return int(self.values.shape[0] * self.values.shape[1])

    @property
    def flat(self) -> FloatArray:
        """Values with chains one after the other, shape (S, U)."""
        return self.values.reshape(-1, self.values.shape[-1])

    @property
    def told(self) -> str:
        """Which draws were used, in words."""
        return f"{self.used} of {self.available} draws" if self.step > 1 else f"all {self.available} draws"


@dataclass(frozen=True)
class Removal:
    """A refit without some units, or why there is none.

    Attributes
    ----------
    units : tuple of str
        What was left out; a label comes as often as identical rows of it.
    status : str
        Verdict of the refit (PASS, WARN, FAIL, NOT COMPUTED), or "ERROR".
    fit : Fit or None
        The refit; None where there is none.
    seed : int
        Its seed, derived from the fit's own and the units.
    message : str
        The error where there is no fit, what failed where its checks did.
    """

    units: tuple[str, ...]
    status: str
    fit: Fit | None
    seed: int
    message: str = ""

    @property
    def usable(self) -> bool:
        """Whether the refit may be believed: its checks did not fail."""
        return self.fit is not None and self.status not in _FAILED


def contributions(fit: Fit, by: str, thin_to: int | None = 1000) -> Contributions:
    """What each unit adds to the log likelihood, at no more than about `thin_to` draws (None: all of them)."""
    if thin_to is not None and (isinstance(thin_to, bool) or not isinstance(thin_to, int | np.integer) or thin_to < 100):
        raise SpecificationError(f"thin_to={thin_to!r}: a whole number of at least 100 draws to use, or None for all.")
    statistics = fit._need_statistics("say which data it rests on")
    counts = fit.spec.check_unit(statistics, by)
    posterior = fit.posterior
    available = posterior.sizes["chain"] * posterior.sizes["draw"]
    step = 1 if thin_to is None else max(1, -(-available // thin_to))
    thin = posterior.isel(draw=slice(None, None, step))
    found = fit.spec.log_likelihood_of(thin, statistics, by, fit.dials)
    values = found.transpose("chain", "draw", "unit").values.astype(float)
    labels = tuple(str(x) for x in counts["unit"].values)
    return Contributions(by, labels, counts.values.astype(np.int64), values, step, available)


def doubt(fit: Fit) -> str:
    """What to say first where the checks of the fit itself did not pass; empty where they did."""
    verdict = fit.verdict
    return f"The checks of this fit did not pass ({verdict.headline}). " if verdict.status.value in _FAILED else ""


def first_order(values: FloatArray, quantities: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Change of the mean of quantities when a unit is left out, to first order: ``-Cov(g, loglik_u)``, shape (U, Q).

    Parameters
    ----------
    values : ndarray, shape (S, U)
        Contributions.
    quantities : ndarray, shape (S, Q)
    weights : ndarray, shape (S,), optional
        Weights with sum 1 of the draws.

    Notes
    -----
    The posterior without the unit has density ratio exp(-loglik_u); tilting by exp(-e loglik_u) and differentiating at e = 0
    gives the covariance (Broderick, Giordano, Meager 2020, arXiv 2011.14999; Giordano, Broderick 2023, arXiv 2305.06466).
    """
    share = np.full(len(values), 1.0 / len(values)) if weights is None else weights
    centred = values - share @ values
    return np.asarray(-(centred * share[:, None]).T @ (quantities - share @ quantities))


def batch_error(values: FloatArray, quantity: FloatArray) -> FloatArray:
    """Monte Carlo standard error of the covariance of one quantity (chains, draws) with each unit, by batch means, (U,)."""
    chains, draws, units = values.shape
    batches = max(2, min(_BATCHES, draws // 5))
    width = draws // batches
    if width < 1 or chains * batches < 4:
        return np.full(units, np.nan)
    product = (values - values.mean((0, 1))) * (quantity - quantity.mean())[..., None]
    means = product[:, : width * batches].reshape(chains * batches, width, units).mean(1)
    return np.asarray(means.std(0, ddof=1) / np.sqrt(len(means)))


def removal_seed(fit: Fit, by: str, units: Sequence[str]) -> int:
    """Seed of a refit without units: it depends on the fit's seed and the units alone, so that more refits move none."""
    return cell_seed(int(fit.provenance["sampling"]["seed"]), {"without": by, "units": sorted(units)})  # type: ignore[dict-item]


def remove(fit: Fit, by: str, units: Sequence[str], sampling: dict[str, Any]) -> Removal:
    """Refit without some units. What goes wrong is written down and does not end the analysis."""
    seed = int(sampling.get("seed") or removal_seed(fit, by, units))
    try:
        found = fit.refit(without={by: list(units)}, **{**sampling, "seed": seed})
    except BayeskitError as error:
        return Removal(tuple(units), "ERROR", None, seed, str(error).splitlines()[0])
    status = found.verdict.status.value
    return Removal(tuple(units), status, found, seed, found.verdict.headline if status in _FAILED else "")


def remove_all(
    fit: Fit, by: str, sets: Sequence[Sequence[str]], sampling: dict[str, Any], executor: Executor | None
) -> list[Removal]:
    """Refit without each of several sets of units, one after the other or in an executor of processes."""
    if executor is None:
        return [remove(fit, by, units, sampling) for units in sets]
    # the draws of the fit are not needed for a refit and would be sent with every one
    lean = replace(fit, draws=fit.draws.filter(lambda node: node.path == "/"))
    jobs = [(lean, by, list(units), sampling) for units in sets]
    return gather(executor, remove, jobs, lambda place, told: _lost(fit, by, sets[place], told))


def gather[T](
    executor: Executor, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], lost: Callable[[int, str], T]
) -> list[T]:
    """Run jobs in an executor, results in their order. A lost worker is one failed job (`lost`), not the end of the rest."""
    found: dict[int, T] = {}
    waiting = {}
    for place, job in enumerate(jobs):
        try:
            waiting[executor.submit(function, *job)] = place
        except Exception as error:
            found[place] = lost(place, _told(error))
    for done in as_completed(waiting):
        place = waiting[done]
        try:
            found[place] = done.result()
        except Exception as error:
            found[place] = lost(place, _told(error))
    return [found[place] for place in range(len(jobs))]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip()


def _lost(fit: Fit, by: str, units: Sequence[str], told: str) -> Removal:
    return Removal(tuple(units), "ERROR", None, removal_seed(fit, by, units), told)
