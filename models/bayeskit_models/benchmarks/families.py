"""Laws of one score given its linear predictor: what each keeps of a cell, its own parameter, its mean score."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.assumptions import Prior
from bayeskit_models.benchmarks.ordered_scores import expected_ordered_score
from bayeskit_models.benchmarks.scores import expected_score

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit_models.benchmarks.predictor import Predictor

__all__ = ["CUTS", "FAMILIES", "RATIO", "SUMS", "Family"]

FloatArray = NDArray[np.float64]

RATIO = 0.5
"""Standard deviation of the logarithm of a parameter between benchmarks, unless a law says otherwise."""

CUTS = ("cut_low", "cut_width")
"""Variables of a law with ends, one of each for each benchmark: the lower cut, and how far above it the upper one is."""

_LEAST = 1e-12  # parameter of a beta distribution


@dataclass(frozen=True)
class Family:
    """A law of scores.

    Attributes
    ----------
    name : str
        As in the setting.
    kernel : str
        Module of its likelihood.
    statistics : tuple of str
        What the likelihood needs of a cell.
    parameter : str or None
        Variable of the law's own parameter, one for each benchmark.
    prior : Prior or None
        Its prior; the typical value of several benchmarks.
    ratio : float
        Standard deviation of its logarithm between benchmarks.
    sentence, ratio_sentence : str
        The assumptions about it in words.
    linear : bool
        Whether the mean score is the linear predictor itself, and no probability.
    ends : bool
        Whether scores lie between two ends that they can reach, which the linear predictor does beyond two cuts.
    """

    name: str
    kernel: str
    statistics: tuple[str, ...]
    parameter: str | None = None
    prior: Prior | None = None
    ratio: float = RATIO
    sentence: str = ""
    ratio_sentence: str = ""
    linear: bool = False
    ends: bool = False

    @property
    def counted(self) -> bool:
        """Whether scores are right or wrong answers, which can be counted, and guessed."""
        return not (self.linear or self.ends)

    @property
    def total(self) -> str:
        """The statistic that holds the sum of the scores of a cell."""
        return "k" if self.counted else "total"

    @property
    def module(self) -> ModuleType:
        """The room of the likelihood, loaded on use: it compiles."""
        from importlib import import_module

        return import_module(f"bayeskit_models.benchmarks.{self.kernel}")

    def cells(self, statistics: xr.Dataset) -> list[Any]:
        """Sufficient statistics of the cells, in the order that the likelihood takes them."""
        return [statistics[name].values for name in self.statistics]

    def given(self, found: Predictor, s: int, inner: FloatArray) -> tuple[FloatArray, ...]:
        """Arguments of the kernels up to the design, at one draw."""
        outer = found.outer[s]
        own = (found.own[s],) if self.parameter is not None else ()
        chance = (found.chance,) if self.counted else ()
        cuts = tuple(np.ascontiguousarray(found.cuts[s].T)) if self.ends else ()
        return (found.columns[s], found.shift[s], outer, inner[s], *cuts, *own, *chance)

    def mean(self, eta: FloatArray, sd: FloatArray, chance: FloatArray, cuts: FloatArray) -> FloatArray:
        """Expected score at a linear predictor, over normal effects of this total standard deviation.

        Parameters
        ----------
        eta, sd, chance : ndarray
            Linear predictor, standard deviation, and probability of guessing; they are broadcast.
        cuts : ndarray, shape (..., 2)
            Of a law with ends: lower and upper cut, broadcast with the others but for the last axis.
        """
        if self.ends:
            return expected_ordered_score(eta, sd, cuts[..., 0], cuts[..., 1])
        if self.linear:
            return np.broadcast_to(eta, np.broadcast_shapes(eta.shape, sd.shape)).copy()
        return expected_score(eta, sd, chance)

    def counts(
        self, rng: np.random.Generator, x: FloatArray, n: NDArray[np.int64], chance: FloatArray, own: FloatArray | None
    ) -> NDArray[np.int64]:
        """Simulated successes of cells with n trials; of laws of counts only."""
        p = chance + (1.0 - chance) * _sigmoid(x)
        if own is not None:
            p = rng.beta(np.maximum(p * own, _LEAST), np.maximum((1.0 - p) * own, _LEAST))
        return np.asarray(rng.binomial(n, p), dtype=np.int64)


def _sigmoid(x: FloatArray) -> FloatArray:
    from scipy.special import expit

    return np.asarray(expit(x))


FAMILIES = {
    "binomial": Family("binomial", "cheapest", ("k", "n")),
    "beta_binomial": Family(
        "beta_binomial", "beta_binomial", ("k", "n"), "precision", Prior("LogNormal", mu=0.0, sigma=1.5),
        sentence="Repeated answers of a model to an item agree beyond the difficulty of the item: their intraclass "
        "correlation, 1 / (1 + precision), may be anything from a twentieth to almost one.",
        ratio_sentence="The precision differs between benchmarks by a factor of 1.6 or so.",
    ),
    "gaussian": Family(
        "gaussian", "gaussian", ("n", "total", "square"), "noise_sd", Prior("HalfNormal", sigma=1.0), ratio=1.0,
        sentence="Scores of one cell are normal about its mean, with a standard deviation of up to two units.",
        ratio_sentence="This noise differs between benchmarks by a factor of 2.7 or so.", linear=True,
    ),
    "ordered_beta": Family(
        "ordered_beta", "ordered_beta", ("zeros", "ones", "inside", "log_score", "log_rest"), "precision",
        Prior("LogNormal", mu=1.6, sigma=1.0),
        sentence="Scores of one cell that are neither 0 nor 1 follow a beta law, whose two parameters sum to 0.7 to 35: about "
        "a half they have a standard deviation of 0.08 to 0.38.",
        ratio_sentence="The precision differs between benchmarks by a factor of 1.6 or so.", ends=True,
    ),
}  # fmt: skip
"""Laws by the value of the setting `family`."""

SUMS = tuple(dict.fromkeys(("n", "total", *(name for law in FAMILIES.values() for name in law.statistics))))
"""All statistics of a cell that are sums over its scores; a table has those of its law."""
