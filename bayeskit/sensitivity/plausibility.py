"""What a dial's value means as a prior, beside the prior of the fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.assumptions import Assumption, Prior

__all__ = ["Plausibility", "plausibility"]

_DRAWS = 200_000  # Monte Carlo error of a share: 0.001

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Plausibility:
    """A dial's value beside its value in the fit.

    How plausible a *prior* is cannot be read off the data or the prior itself. What can be said: which prior it is, where its
    middle lies under the prior of the fit, and how much of their mass the two priors share. A fixed number has no prior, and
    then nothing but the number is said.

    Attributes
    ----------
    base, other : str
        The prior, or the number, in this fit and at the other value.
    middle_of : str
        What the medians are of: "the value", or the part of a vector or matrix that stands for it.
    base_median, other_median : float
        Prior medians; NaN where there is no prior of its own.
    quantile : float
        Probability that the fit's prior puts below the other prior's median: 0.5 if they agree, near 0 or 1 if the other prior
        expects what the fit's prior holds to be all but impossible. NaN where there is no prior of its own.
    overlap : float
        Mass that the two priors share, 0 to 1 (1 less their total variation distance), for one element of a variable.
    sentence : str
        All this in words.
    """

    base: str
    other: str
    middle_of: str
    base_median: float
    other_median: float
    quantile: float
    overlap: float
    sentence: str


def plausibility(
    assumption: Assumption, dial: str, dials: Mapping[str, float], value: float, sizes: Mapping[Any, int]
) -> Plausibility:
    """Describe the value of a dial as a prior.

    Parameters
    ----------
    assumption : Assumption
        Whose dial it is.
    dial : str
        Full name.
    dials : mapping
        The dials of the fit.
    value : float
        The other value.
    sizes : mapping
        Sizes of the dimensions, for distributions over vectors.
    """
    turned = {**dials, dial: value}
    base, other = assumption.describe(dials), assumption.describe(turned)
    prior = assumption.prior
    nan = math.nan
    if prior is None or dial.rpartition(".")[2] not in prior.numbers:
        then = float(dials[dial])
        times = (
            f", {value / then:.3g} times its value in this fit ({then:.4g})" if then > 0.0 < value else f" ({then:.4g} here)"
        )
        meaning = assumption.dials[dial].sentence
        text = f"{dial} = {value:.4g}{times}. It is a fixed number without a prior of its own, so nothing but its meaning can "
        return Plausibility(base, other, "", nan, nan, nan, nan, f"{text}say how plausible that is: {meaning or dial}.")
    if prior.references:
        text = f"There the prior of '{assumption.name}' is {other}, in this fit {base}."
        return Plausibility(base, other, "", nan, nan, nan, nan, f"{text} Its middle depends on other variables.")
    before = prior.replace(**assumption.parameters(dials))
    after = prior.replace(**assumption.parameters(turned))
    own = prior.dims[len(prior.dims) - prior.family.event_dims :] if prior.family.event_dims else ()
    shape = tuple(int(sizes[d]) for d in own)
    middle, x = _middle(before, shape)
    _, y = _middle(after, shape)
    quantile = float(np.mean(x < np.median(y)))
    overlap = _overlap(before, after, shape)
    text = (
        f"There the prior of '{assumption.name}' is {other}: the median of {middle} is {np.median(y):.3g}, which lies at the "
        f"{_percent(quantile)} quantile of the prior of this fit, {base} (median {np.median(x):.3g}). The two priors share "
        f"{overlap:.0%} of their mass."
    )
    return Plausibility(base, other, middle, float(np.median(x)), float(np.median(y)), quantile, overlap, text)


def _percent(share: float) -> str:
    if 0.001 <= share <= 0.999:
        return f"{share:.1%}"
    return "under 0.1%" if share < 0.5 else "over 99.9%"


def _draw(prior: Prior, shape: tuple[int, ...], seed: int) -> FloatArray:
    return prior.random(np.random.default_rng(seed), (_DRAWS // max(1, math.prod(shape)), *shape))


def _middle(prior: Prior, shape: tuple[int, ...]) -> tuple[str, FloatArray]:
    """One number a draw that stands for a variable, and what it is; from the same random numbers for every prior."""
    x = _draw(prior, shape, 1)
    if prior.family.event_dims == 0:
        return "the value", x
    if prior.family.event_dims == 1:
        return "the largest effect" if prior.dist == "ZeroSumNormal" else "the largest share", x.max(axis=-1)
    return "the mean diagonal", np.asarray(np.trace(x, axis1=-2, axis2=-1) / x.shape[-1])


def _overlap(before: Prior, after: Prior, shape: tuple[int, ...]) -> float:
    """Mass that two distributions share: the mean of min(1, ratio of densities) under either, halved and summed."""
    shares = []
    for one, other, seed in ((before, after, 3), (after, before, 4)):
        x = _draw(one, shape, seed)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = other.log_density(x) - one.log_density(x)
        shares.append(float(np.mean(np.exp(np.minimum(np.nan_to_num(ratio, nan=-np.inf), 0.0)))))
    return sum(shares) / 2.0
