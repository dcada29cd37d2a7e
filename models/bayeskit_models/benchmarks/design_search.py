"""The search for the cheapest design that detects a wanted difference.

Given samples, seeds and templates, the error variance is ``a + b / items`` with a and b known for every draw, so the number of
items that is needed has a closed form; only the other three sizes are searched, and a search ends where what they cost alone is
more than the best design so far.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError
from bayeskit.estimands import interval
from bayeskit_models.benchmarks.decomposition import Components
from bayeskit_models.benchmarks.planning import reach

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.design import Cheapest, Design

__all__ = ["cheapest_design"]

FloatArray = NDArray[np.float64]

_DRAWS = 1000  # of the search; the sizes that it ends with are computed from all draws
_ONE_BY_ONE, _FACTOR, _MOST = 24, 1.15, 512  # samples, seeds and templates: every number first, then steps of 15 %
_BY_FACET = {"samples": "within", "seeds": "run", "templates": "template"}


def cheapest_design(design: Design, difference: float, sure: float) -> Cheapest:
    """See `Design.cheapest`."""
    from bayeskit_models.benchmarks.design import Cheapest, price_of

    if not (math.isfinite(difference) and difference != 0.0):
        raise SpecificationError(f"difference={difference!r}: must be a finite number other than 0.")
    if not 0.0 < sure < 1.0:
        raise SpecificationError(f"sure={sure!r}: must lie strictly between 0 and 1.")
    if not design.cost:
        raise SpecificationError("There are no prices: give cost={'item': ..., 'sample': ..., ...} to design().")
    limit = (difference / reach(design.power, design.level)) ** 2 / 2.0
    best = _search(_thinned(design), limit, sure)
    if best is None:
        raise SpecificationError(
            f"No number of items finds a difference of {difference:g} with probability {sure:g}: with up to {_MOST} seeds and "
            "templates what they vary by is still too large. Ask for a larger difference or a smaller probability."
        )
    sizes = {**best, "items": int(_items(design, best, limit, sure))}
    mde = design.draws(sizes)["mde"]
    low, high = interval(mde, 0.95)
    held = float((mde <= abs(difference) * (1.0 + 1e-9)).mean())
    return Cheapest(
        **sizes, cost=price_of(sizes, design.cost), wanted=abs(difference),
        mde=(float(np.median(mde)), float(low), float(high)), sure=held,
    )  # fmt: skip


def _search(design: Design, limit: float, sure: float) -> dict[str, int] | None:
    from bayeskit_models.benchmarks.design import price_of

    best, least = None, math.inf
    for seeds in _candidates(design, "seeds"):
        if price_of({"items": 0, "seeds": seeds, "templates": 1}, design.cost) >= least:
            break
        for templates in _candidates(design, "templates"):
            fixed = {"seeds": seeds, "templates": templates}
            if price_of({"items": 0, **fixed}, design.cost) >= least:
                break
            fewest = _items(design, {**fixed, "samples": math.inf}, limit, sure)
            for samples in _candidates(design, "samples"):
                others = {**fixed, "samples": samples}
                if not price_of({"items": fewest, **others}, design.cost) < least:
                    break
                items = _items(design, others, limit, sure)
                price = price_of({"items": items, **others}, design.cost)
                if price < least:
                    best, least = others, price
    return best


def _items(design: Design, others: dict[str, int] | dict[str, float], limit: float, sure: float) -> float:
    """Items with which, with probability `sure`, the error variance is at most `limit`; infinite where no number is enough."""
    flat = design.error({**others, "items": math.inf})
    per_item = design.error({**others, "items": 1}) - flat
    left = limit - flat
    with np.errstate(divide="ignore", invalid="ignore"):
        need = np.where(left > 0.0, per_item / left, math.inf)
    need = np.where((left == 0.0) & (per_item <= 0.0), 0.0, need)
    at = min(math.ceil(sure * need.size), need.size) - 1
    found = float(np.partition(need, at)[at])
    return max(math.ceil(found * (1.0 - 1e-12)), 1) if math.isfinite(found) else math.inf


def _candidates(design: Design, facet: str) -> Iterator[int]:
    """Numbers that are tried; only 1 where the components know no such facet."""
    value = 1
    yield value
    if _BY_FACET[facet] not in design.components.draws:
        return
    while value < _MOST:
        value = value + 1 if value < _ONE_BY_ONE else min(int(value * _FACTOR), _MOST)
        yield value


def _thinned(design: Design) -> Design:
    from dataclasses import replace

    size = len(design.components.total)
    if size <= _DRAWS:
        return design
    keep = np.linspace(0, size - 1, _DRAWS).astype(int)
    given = design.components
    parts = {name: values[keep] for name, values in given.draws.items()}
    return replace(design, components=Components(parts, given.label, given.units, given.population, given.note))
