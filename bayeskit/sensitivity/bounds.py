"""What the data allow, beside the posterior: bounds of a quantity that is identified only in part.

Where data and a few named assumptions leave a whole set of values equally likely, the posterior within that set is the prior.
The model computes the set for every draw (`ModelBuilder.identified_set`); this room puts the sampling uncertainty around it.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError, suggest
from bayeskit.estimands import interval
from bayeskit.summary import element_names

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayeskit.fit import Fit
    from bayeskit.report.content import Figure

__all__ = ["Bounds", "IdentifiedSet", "bounds"]

FloatArray = NDArray[np.float64]

_SLACK = 1e-6  # how far a draw may lie outside its own set by rounding, in units of 1 + its size


@dataclass(frozen=True)
class IdentifiedSet:
    """For every draw, the ends of the set of values that fit the data exactly as well as the draw does.

    What `ModelBuilder.identified_set` returns.

    Attributes
    ----------
    lower, upper : ndarray, shape (chains, draws, Q)
        The ends for each of Q quantities; NaN where they could not be computed.
    kept, dropped : mapping of str to str
        Assumptions that hold all over the set, and those that are given up, by name, each with its reason in words.
    method : str
        How the ends were found.
    caveat : str
        What else a reader must know.
    """

    lower: FloatArray
    upper: FloatArray
    kept: Mapping[str, str]
    dropped: Mapping[str, str]
    method: str
    caveat: str = ""


@dataclass(frozen=True)
class Bounds:
    """The set of values that the data allow under the kept assumptions, beside the posterior.

    Attributes
    ----------
    quantities : tuple of str
        Elements of an estimand, or differences of two.
    posterior : ndarray, shape (Q, 2)
        Equal-tailed posterior intervals, from all draws.
    ends : ndarray, shape (Q, 2)
        Posterior medians of the two ends of the identified set.
    interval : ndarray, shape (Q, 2)
        The ``(1 - prob) / 2`` quantile of the lower ends and the ``(1 + prob) / 2`` quantile of the upper ends: it covers the
        whole identified set with posterior probability of at least `prob`, because each end is left out with half of the rest
        at most.
    prob : float
        Probability of all intervals.
    kept, dropped : mapping of str to str
        Assumptions that hold all over the set, and those that are given up, with reasons.
    method, caveat : str
        How the ends were found, and what else a reader must know.
    draws, failed : int
        Draws for which the set was asked, and those of them for which it could not be computed for some quantity.
    """

    quantities: tuple[str, ...]
    posterior: FloatArray
    ends: FloatArray
    interval: FloatArray
    prob: float
    kept: Mapping[str, str]
    dropped: Mapping[str, str]
    method: str
    caveat: str
    draws: int
    failed: int
    label: str = field(default="")

    @property
    def width_ratio(self) -> FloatArray:
        """Width of the posterior interval over that of the bounds, shape (Q,); NaN where the bounds are a point."""
        outer = np.diff(self.interval, axis=1)[:, 0]
        inner = np.diff(self.posterior, axis=1)[:, 0]
        return np.asarray(np.divide(inner, outer, out=np.full(len(outer), np.nan), where=outer > 0))

    @property
    def table(self) -> pd.DataFrame:
        """One row a quantity: posterior_lower, posterior_upper, set_lower, set_upper, lower, upper, width_ratio.

        ``set_*`` are medians of the ends of the identified set, ``lower`` and ``upper`` the interval that covers it.
        """
        import pandas as pd

        columns = {
            "posterior_lower": self.posterior[:, 0], "posterior_upper": self.posterior[:, 1],
            "set_lower": self.ends[:, 0], "set_upper": self.ends[:, 1],
            "lower": self.interval[:, 0], "upper": self.interval[:, 1], "width_ratio": self.width_ratio,
        }  # fmt: skip
        out = pd.DataFrame(columns, index=pd.Index(self.quantities, name="quantity"))
        out.attrs = {"prob": self.prob}
        return out

    def sentence(self, quantity: str) -> str:
        """One quantity in words."""
        if quantity not in self.quantities:
            raise SpecificationError(f"No quantity {quantity!r} among these bounds.{suggest(quantity, self.quantities)}")
        q = self.quantities.index(quantity)
        low, high = self.interval[q]
        if not (math.isfinite(low) and math.isfinite(high)):
            return f"{quantity}: bounds not computed."
        ratio = float(self.width_ratio[q])
        inner = f"posterior {_ends(self.posterior[q])}"
        text = f"{quantity}: {inner}, bounds {_ends(self.interval[q])}."
        if not math.isfinite(ratio):
            return f"{text} The data settle it."
        rest = ", ".join(self.dropped)
        if ratio >= 0.9:
            text += f" The posterior is about as wide as what the data allow ({ratio:.2f} of it)."
        else:
            text += f" The posterior is {ratio:.2f} as wide as what the data allow: the rest is {rest}."
        if " - " in quantity and quantity.count("[") > 1:
            settled = low > 0 or high < 0
            text += " Its sign is settled without them." if settled else " Without them its sign is open."
        return text

    @property
    def headline(self) -> str:
        """What failed, if anything, and what the intervals are."""
        lost = f"{self.failed} of {self.draws} draws have no bounds (not computed). " if self.failed else ""
        return (
            f"{lost}Bounds from {self.draws} draws: intervals that cover the identified set with posterior probability "
            f"{self.prob:.0%} or more, beside {self.prob:.0%} equal-tailed posterior intervals"
        )

    def _notes(self) -> list[str]:
        kept = [f"Kept: {name} ({why})" for name, why in self.kept.items()]
        dropped = [f"Dropped: {name} ({why})" for name, why in self.dropped.items()]
        return [*kept, *dropped, f"Method: {self.method}", *([self.caveat] if self.caveat else [])]

    def __repr__(self) -> str:
        words = [self.sentence(q) for q in self.quantities[:10]]
        return "\n".join([self.headline, self.table.round(3).to_string(), *words, *self._notes()])

    def _repr_html_(self) -> str:
        told = [*(self.sentence(q) for q in self.quantities[:10]), *self._notes()]
        words = "".join(f"<li>{html.escape(text)}</li>" for text in told)
        return f"<p>{html.escape(self.headline)}</p>{self.table.round(3).to_html()}<ul>{words}</ul>"

    def to_json(self) -> str:
        """Strict JSON, schema ``bayeskit.bounds/1``: NaN and infinite values are null."""
        columns = {str(k): v.to_numpy(dtype=float) for k, v in self.table.items()}
        rows = [
            {"quantity": name, **{k: _plain(v[i]) for k, v in columns.items()}, "sentence": self.sentence(name)}
            for i, name in enumerate(self.quantities)
        ]
        facts = {
            "prob": self.prob, "interval": "covers the identified set", "draws": self.draws, "failed": self.failed,
            "kept": dict(self.kept), "dropped": dict(self.dropped), "method": self.method, "caveat": self.caveat,
        }  # fmt: skip
        return json.dumps({"schema": "bayeskit.bounds/1", **facts, "rows": rows}, allow_nan=False, ensure_ascii=False)

    def plot(self) -> Figure:
        """The posterior intervals inside the bounds."""
        from bayeskit.report.nested import nested_plot

        return nested_plot(self.quantities, self.posterior, self.interval, prob=self.prob, xlabel=self.label)


def _ends(pair: FloatArray) -> str:
    return f"{pair[0]:.3g} to {pair[1]:.3g}"


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def bounds(fit: Fit, quantity: str | Sequence[str], prob: float = 0.95, draws: int | None = None) -> Bounds:
    """Bounds of quantities of a fit; see `Fit.bounds`."""
    statistics = fit._need_statistics("give bounds")
    wanted = [quantity] if isinstance(quantity, str) else list(quantity)
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: the probability of an interval lies strictly between 0 and 1.")
    if draws is not None and (isinstance(draws, bool) or not isinstance(draws, int) or draws < 1):
        raise SpecificationError(f"draws={draws!r}: give a whole number of draws, at least 1.")
    name, names, weights = _combinations(fit.estimands, wanted)
    posterior = _thinned(fit.posterior, fit.spec.bounds_draws if draws is None else draws)
    shape = fit.estimands[name].transpose("chain", "draw", ...).shape[2:]
    found = fit.spec.identified_set(posterior, statistics, fit.dials, name, weights.reshape(len(names), *shape))
    lower, upper = (np.asarray(v, dtype=float).reshape(-1, len(names)) for v in (found.lower, found.upper))
    _contains(fit, posterior, statistics, name, weights, lower, upper)
    values = fit.estimands[name].transpose("chain", "draw", ...).values
    values = values.reshape(values.shape[0] * values.shape[1], -1) @ weights.T
    good = np.isfinite(lower) & np.isfinite(upper)
    ends, covering = np.full((len(names), 2), np.nan), np.full((len(names), 2), np.nan)
    for q in range(len(names)):
        if good[:, q].any():
            low, high = lower[good[:, q], q], upper[good[:, q], q]
            ends[q] = np.median(low), np.median(high)
            covering[q] = interval(low, prob)[0], interval(high, prob)[1]
    told = fit.estimands[name].attrs
    label = f"{told.get('label', name)} ({told['units']})" if told.get("units") else str(told.get("label", name))
    return Bounds(
        tuple(names), interval(values, prob), ends, covering, prob, dict(found.kept), dict(found.dropped), found.method,
        found.caveat, len(lower), int((~good.all(1)).sum()), label,
    )  # fmt: skip


def _contains(
    fit: Fit,
    posterior: xr.Dataset,
    statistics: xr.Dataset,
    name: str,
    weights: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> None:
    """The law of every identified set: the draw itself is one of its points."""
    values = fit.spec.estimands(posterior, statistics)[name].transpose("chain", "draw", ...).values
    values = values.reshape(values.shape[0] * values.shape[1], -1) @ weights.T
    slack = _SLACK * (1.0 + np.abs(values))
    with np.errstate(invalid="ignore"):
        outside = (lower > values + slack) | (upper < values - slack) | (lower > upper + slack)
    if outside.any():
        raise SpecificationError(
            f"{type(fit.spec).__name__}.identified_set gave a set of '{name}' that leaves out the draw itself for "
            f"{int(outside.any(1).sum())} of {len(values)} draws. A draw fits the data as well as itself: the set must hold it."
        )


def _thinned(posterior: xr.Dataset, most: int) -> xr.Dataset:
    """At most about so many draws, evenly spaced in every chain."""
    chains, size = posterior.sizes["chain"], posterior.sizes["draw"]
    keep = min(size, max(1, -(-most // chains)))
    return posterior.isel(draw=np.unique(np.linspace(0, size - 1, keep).round().astype(int)))


def _combinations(estimands: xr.Dataset, wanted: Sequence[str]) -> tuple[str, list[str], FloatArray]:
    """The estimand that is asked for, names of the quantities, and their weights on its elements (Q, n).

    A quantity is the name of an estimand (all its elements), one element ``name[label]``, or ``element - element``. Labels
    may hold anything, " - " included, so a text is taken for a difference only if both sides are elements.
    """
    if not wanted:
        raise SpecificationError("quantity is empty: name an estimand, an element of one, or a difference of two elements.")
    elements = {str(n): element_names(v) for n, v in estimands.data_vars.items()}
    place = {e: (n, i) for n, several in elements.items() for i, e in enumerate(several)}
    rows: list[tuple[str, str, dict[int, float]]] = []
    for text in wanted:
        if text in place:
            rows.append((text, place[text][0], {place[text][1]: 1.0}))
        elif text in elements:
            rows += [(e, text, {i: 1.0}) for i, e in enumerate(elements[text])]
        else:
            rows.append(_difference(text, place, elements))
    names = {name for _, name, _ in rows}
    if len(names) > 1:
        raise SpecificationError(f"The quantities belong to different estimands ({', '.join(sorted(names))}): ask one by one.")
    name = names.pop()
    weights = np.zeros((len(rows), len(elements[name])))
    for q, (_, _, parts) in enumerate(rows):
        for i, weight in parts.items():
            weights[q, i] += weight
    return name, [text for text, _, _ in rows], weights


def _difference(
    text: str, place: Mapping[str, tuple[str, int]], elements: Mapping[str, Sequence[str]]
) -> tuple[str, str, dict[int, float]]:
    parts = text.split(" - ")
    for cut in range(1, len(parts)):
        a, b = " - ".join(parts[:cut]).strip(), " - ".join(parts[cut:]).strip()
        if a in place and b in place and place[a][0] == place[b][0]:
            if a == b:
                raise SpecificationError(f"quantity {text!r} is the difference of an element and itself, which is 0.")
            return text, place[a][0], {place[a][1]: 1.0, place[b][1]: -1.0}
    raise SpecificationError(
        f"quantity {text!r} is no estimand, no element of one and no difference of two elements of one."
        f"{suggest(text, [*place, *elements])} Estimands: {', '.join(elements)}; write an element as 'name[label]'."
    )
