"""How many items and samples a comparison of two models needs: the normal formulas of Miller (2024), arXiv 2411.00640.

They are about new items: the two models answer the same items, and the standard error of the difference of their mean scores
is ``sqrt((between + within_a / samples_a + within_b / samples_b) / items)``.
"""

from __future__ import annotations

import math
from typing import NotRequired, Required, TypedDict, Unpack

from bayeskit.errors import SpecificationError

__all__ = ["Spread", "items_needed", "minimum_detectable_difference", "reach", "standard_error"]


class Spread(TypedDict):
    """What the difference of two models varies by, one item at a time.

    Attributes
    ----------
    between : float
        Variance over items of the difference of the two models' expected scores (omega^2 in the source).
    within : (float, float)
        Mean variance of one sample's score given the item, of either model (sigma^2 in the source); none by default.
    samples : (int, int)
        Samples per item of either model; one each by default.
    """

    between: Required[float]
    within: NotRequired[tuple[float, float]]
    samples: NotRequired[tuple[int, int]]


def standard_error(items: float, **spread: Unpack[Spread]) -> float:
    """Standard error of the difference of two models' mean scores on the same items.

    Parameters
    ----------
    items : float
        Number of items.
    **spread
        between, within and samples; see `Spread`.

    Raises
    ------
    SpecificationError
        For no items or samples, or a negative variance.
    """
    if not items > 0:
        raise SpecificationError(f"items={items!r}: must be above 0.")
    return math.sqrt(_per_item(**spread) / items)


def items_needed(difference: float, *, power: float = 0.8, level: float = 0.05, **spread: Unpack[Spread]) -> float:
    """Items at which a two-sided test at `level` finds a true `difference` with probability `power` (source, section 5).

    Returns a number that is not rounded: round it up. Other parameters as in `standard_error`; raises as it does, and for a
    difference of 0 or a probability outside (0, 1).
    """
    if not (math.isfinite(difference) and difference != 0.0):
        raise SpecificationError(f"difference={difference!r}: must be a finite number other than 0.")
    return reach(power, level) ** 2 * _per_item(**spread) / difference**2


def minimum_detectable_difference(items: float, *, power: float = 0.8, level: float = 0.05, **spread: Unpack[Spread]) -> float:
    """Least true difference that a two-sided test at `level` finds with probability `power`; see `items_needed`."""
    return reach(power, level) * standard_error(items, **spread)


def reach(power: float = 0.8, level: float = 0.05) -> float:
    """Standard errors between no difference and one that is found with this power: 2.80 at 80 % and level 5 %.

    Raises
    ------
    SpecificationError
        For a probability outside (0, 1).
    """
    from scipy.stats import norm

    for name, value in (("power", power), ("level", level)):
        if not 0.0 < value < 1.0:
            raise SpecificationError(f"{name}={value!r}: must lie strictly between 0 and 1.")
    return float(norm.isf(level / 2.0) + norm.ppf(power))


def _per_item(between: float, within: tuple[float, float] = (0.0, 0.0), samples: tuple[int, int] = (1, 1)) -> float:
    for name, values, least in (("between", (between,), 0.0), ("within", within, 0.0), ("samples", samples, 1.0)):
        if not all(math.isfinite(v) and v >= least for v in values):
            raise SpecificationError(f"{name}={values!r}: must be finite and at least {least:g}.")
    return between + sum(v / k for v, k in zip(within, samples, strict=True))
