"""What another design would be worth: errors, detectable differences and reliability over a grid (a D-study), and its price.

From draws of variance components (`score_components`). A mean score over I items, S runs, T templates and K samples in each
cell has, from every component, its variance divided by the sizes of the facets it belongs to (Brennan 2001, chapter 4). What is
common to two models (items, templates, and both together) cancels where they are compared. With items and samples only this is
the formula of Miller (2024), arXiv 2411.00640, in `planning`. Every number is computed draw by draw, so it carries an interval.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError
from bayeskit.estimands import interval
from bayeskit.report.content import Figure
from bayeskit.report.figures import curve_plot
from bayeskit_models.benchmarks.decomposition import Components
from bayeskit_models.benchmarks.planning import reach

__all__ = ["FACETS", "Cheapest", "Design", "design", "error_variance", "optimal_samples"]

FloatArray = NDArray[np.float64]

FACETS = ("items", "samples", "seeds", "templates")
"""Sizes of a design, in the order of its tables."""

_OWN: Mapping[str, tuple[str, ...]] = {
    "model_cluster": ("clusters",), "model_item": ("items",), "run": ("seeds",), "model_template": ("templates",),
    "item_run": ("items", "seeds"), "model_item_template": ("items", "templates"), "run_template": ("seeds", "templates"),
    "item_run_template": ("items", "seeds", "templates"), "within": ("items", "seeds", "templates", "samples"),
}  # fmt: skip
"""Components in which two models differ, and over what they are averaged."""
_COMMON: Mapping[str, tuple[str, ...]] = {
    "cluster": ("clusters",), "item": ("items",), "template": ("templates",), "item_template": ("items", "templates"),
}  # fmt: skip
"""Components that all models share: they cancel in a comparison and move the score itself."""
_PRICES = {"items": "item", "samples": "sample", "seeds": "seed", "templates": "template"}


def error_variance(
    components: Components, sizes: Mapping[str, float], *, fixed: Collection[str] = (), absolute: bool = False,
    items_per_cluster: float = 1.0,
) -> FloatArray:  # fmt: skip
    """Variance of the error of one model's mean score, draw by draw.

    Parameters
    ----------
    components : Components
        On the scale of the score.
    sizes : mapping of str to float
        Sizes of the facets of `FACETS`; 1 where not given.
    fixed : collection of str
        Facets that would be the same in every repetition (``"items"``, ``"templates"``): their own effects are then part of the
        true score. What they do together with a facet that is drawn anew stays.
    absolute : bool
        Of the score itself. Otherwise what all models share is left out, and the variance of a difference is twice the value.
    items_per_cluster : float
        Mean number of items in a cluster, where there are clusters.

    Returns
    -------
    ndarray, shape (S,)
    """
    full = {name: float(sizes.get(name, 1.0)) for name in FACETS}
    full["clusters"] = full["items"] / items_per_cluster
    still = {*fixed, "clusters"} if "items" in fixed else set(fixed)
    total = np.zeros(len(next(iter(components.draws.values()))))
    for name, facets in ({**_OWN, **_COMMON} if absolute else _OWN).items():
        if not still.issuperset(facets):
            total = total + components.get(name) / np.prod([full[f] for f in facets])
    return np.maximum(total, 0.0)


def optimal_samples(components: Components, cost: Mapping[str, float]) -> FloatArray:
    """Samples per item at which a comparison of given cost is most exact.

    The root of ``cost_item within / (cost_sample model_item)``.

    Parameters
    ----------
    components : Components
        On the scale of the score.
    cost : mapping of str to float
        With ``"item"`` and ``"sample"``, the price of another item (without samples) and of one sample.

    Returns
    -------
    ndarray, shape (S,)
        Not rounded; at least 1. Infinite where models do not differ in what items are hard for them.

    Raises
    ------
    SpecificationError
        For a price that is missing or negative, or samples for nothing.
    """
    price = _prices(cost)
    if price["samples"] <= 0.0 or "item" not in cost:
        raise SpecificationError(f"cost={dict(cost)!r}: prices of 'item' and 'sample' are needed, that of 'sample' above 0.")
    within, between = np.asarray(components["within"]), np.asarray(components.get("model_item"))
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.sqrt(price["items"] * within / (price["samples"] * between))
    return np.maximum(np.where(np.isnan(best), 1.0, best), 1.0)


@dataclass(frozen=True)
class Cheapest:
    """The cheapest design that detects a wanted difference.

    Attributes
    ----------
    items, samples, seeds, templates : int
        Its sizes.
    cost : float
        Its price.
    wanted : float
        Difference that it was to detect.
    mde : tuple of float
        Median of the minimum detectable difference with its 95 % equal-tailed interval.
    sure : float
        Probability (over the draws) with which the design detects the wanted difference: at least what was asked for.
    """

    items: int
    samples: int
    seeds: int
    templates: int
    cost: float
    wanted: float
    mde: tuple[float, float, float]
    sure: float

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes by facet."""
        return {name: int(getattr(self, name)) for name in FACETS}


@dataclass(frozen=True)
class Design:
    """Errors and reliability of designs, with intervals from the draws of the components.

    Attributes
    ----------
    components : Components
        On the scale of the score.
    grid : tuple of dict
        Sizes of each design.
    power, level : float
        A difference counts as detectable if a two-sided test at this level finds it with this power.
    cost : mapping of str to float
        Prices of an item, a sample, a seed (training run) and a template, for one model; may be empty.
    fixed : frozenset of str
        Facets that are not drawn anew; see `error_variance`.
    items_per_cluster : float
        Mean number of items in a cluster.
    """

    components: Components
    grid: tuple[Mapping[str, int], ...]
    power: float = 0.8
    level: float = 0.05
    cost: Mapping[str, float] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    items_per_cluster: float = 1.0

    @property
    def population(self) -> str:
        """What a repetition would draw anew, in words."""
        drawn = [f for f in FACETS if f not in self.fixed]
        kept = f"; the same {' and '.join(sorted(self.fixed))}" if self.fixed else ""
        return f"new {', '.join(drawn)}{kept}"

    def error(self, sizes: Mapping[str, float], *, absolute: bool = False) -> FloatArray:
        """See `error_variance`."""
        return error_variance(
            self.components, sizes, fixed=self.fixed, absolute=absolute, items_per_cluster=self.items_per_cluster
        )

    def draws(self, sizes: Mapping[str, float]) -> dict[str, FloatArray]:
        """Draws (S,) for one design.

        Returns
        -------
        dict
            se: standard error of the difference of two models; se_score: of one model's score; mde: minimum detectable
            difference; g, phi: share of the variance of observed scores that is between models, relative and absolute (left out
            for one model).
        """
        relative, absolute = self.error(sizes), self.error(sizes, absolute=True)
        se = np.sqrt(2.0 * relative)
        out = {"se": se, "se_score": np.sqrt(absolute), "mde": reach(self.power, self.level) * se}
        if "model" in self.components.draws:
            between = self.components["model"]
            out |= {"g": between / (between + relative), "phi": between / (between + absolute)}
        return out

    def assurance(self, difference: float, sizes: Mapping[str, float]) -> float:
        """Posterior mean of the power to find this true difference (O'Hagan, Stevens, Campbell 2005)."""
        from scipy.stats import norm

        far = norm.isf(self.level / 2.0)
        with np.errstate(divide="ignore"):
            z = abs(difference) / self.draws(sizes)["se"]
        return float((norm.sf(far - z) + norm.cdf(-far - z)).mean())

    @cached_property
    def _draws(self) -> list[dict[str, FloatArray]]:
        return [self.draws(sizes) for sizes in self.grid]

    def table(self, prob: float = 0.95) -> pd.DataFrame:
        """One row a design: medians with equal-tailed intervals, and its cost where prices are known.

        Returns
        -------
        DataFrame
            Indexed by items, samples, seeds, templates. Columns se, se_score, mde, g, phi, each with _lower and _upper; cost.
        """
        rows = []
        for sizes, draws in zip(self.grid, self._draws, strict=True):
            row: dict[str, float] = dict(sizes)
            for name, values in draws.items():
                low, high = interval(values, prob)
                row |= {name: float(np.median(values)), f"{name}_lower": float(low), f"{name}_upper": float(high)}
            if self.cost:
                row["cost"] = price_of(sizes, self.cost)
            rows.append(row)
        out = pd.DataFrame(rows).set_index(list(FACETS))
        out.attrs = {
            "prob": prob, "kind": "eti", "population": self.population, "power": self.power, "level": self.level,
        }  # fmt: skip
        return out

    def cheapest(self, difference: float, *, sure: float = 0.5) -> Cheapest:
        """Find the design of least cost that detects `difference`, whatever the grid.

        Parameters
        ----------
        difference : float
            Difference of two models' scores that is to be found.
        sure : float
            Probability, over the draws of the components, with which the design must detect it: .5 takes the median, .9 is
            careful.

        Raises
        ------
        SpecificationError
            Without prices, or where no number of items and samples reaches the difference with the seeds and templates that
            can be had.
        """
        from bayeskit_models.benchmarks.design_search import cheapest_design

        return cheapest_design(self, difference, sure)

    @property
    def head(self) -> str:
        """What the numbers are, in words."""
        return (
            f"Designs for comparing two models; mde: difference found with power {self.power:g} at level {self.level:g}; "
            f"95% equal-tailed intervals; about {self.population}"
        )

    def __repr__(self) -> str:
        return f"{self.head}\n{self.table().round(4).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.head)}</p>{self.table().round(4).to_html()}"

    def plot(self, prob: float = 0.95) -> Figure:
        """Minimum detectable difference over the number of items, one curve for each of the other sizes (seven at most)."""
        table = self.table(prob).reset_index()
        others = [f for f in FACETS[1:] if len(table[f].unique()) > 1]
        items = np.sort(table["items"].unique())
        if len(items) < 2:
            raise SpecificationError("A curve over items needs designs of two numbers of items or more.")
        curves = {}
        for key, part in table.groupby(list(FACETS[1:])):
            sizes = dict(zip(FACETS[1:], key, strict=True))
            name = ", ".join(f"{sizes[f]} {f}" for f in others) or "mde"
            part = part.sort_values("items")
            curves[name] = (part["mde"], part["mde_lower"], part["mde_upper"])
        if len(curves) > 7:
            raise SpecificationError(f"{len(curves)} curves: seven can be told apart; ask for fewer samples, seeds, templates.")
        ylabel = f"minimum detectable difference (power {self.power:g}, level {self.level:g})"
        return curve_plot(items, curves, xlabel=f"items; about {self.population}", ylabel=ylabel, prob=prob)


def design(
    components: Components,
    *,
    items: Sequence[int],
    samples: Sequence[int] = (1,),
    seeds: Sequence[int] = (1,),
    templates: Sequence[int] = (1,),
    power: float = 0.8,
    level: float = 0.05,
    cost: Mapping[str, float] | None = None,
    fixed: Collection[str] = (),
    items_per_cluster: float = 1.0,
) -> Design:
    """Lay out a D-study over all combinations of sizes.

    Parameters
    ----------
    components : Components
        Draws on the scale of the score.
    items, samples, seeds, templates : sequence of int
        Sizes: items of the benchmark, samples in every cell, training runs of a model, prompt templates.
    power, level : float
        Of the test that detects a difference.
    cost : mapping of str to float, optional
        Prices under ``"item"``, ``"sample"``, ``"seed"``, ``"template"`` (0 where not given). A design costs
        ``items item + seeds seed + templates template + items seeds templates samples sample`` for one model.
    fixed : collection of str
        Facets, of ``"items"`` and ``"templates"``, that a repetition would not draw anew.
    items_per_cluster : float
        Mean number of items in a cluster.

    Returns
    -------
    Design

    Raises
    ------
    SpecificationError
        For sizes below 1, unknown names in `cost` or `fixed`, or a probability out of range.
    """
    reach(power, level)
    lists = {"items": items, "samples": samples, "seeds": seeds, "templates": templates}
    for name, values in lists.items():
        if not len(values) or any(v != int(v) or v < 1 for v in values):
            raise SpecificationError(f"{name}={list(values)!r}: one or more whole numbers from 1 on are needed.")
    if unknown := sorted(set(fixed) - {"items", "templates"}):
        raise SpecificationError(f"fixed={unknown!r}: only 'items' and 'templates' can be the same in a repetition.")
    if not items_per_cluster >= 1.0:
        raise SpecificationError(f"items_per_cluster={items_per_cluster!r}: must be at least 1.")
    if cost:
        _prices(cost)
    grid = tuple(dict(zip(FACETS, map(int, sizes), strict=True)) for sizes in product(*lists.values()))
    return Design(components, grid, power, level, dict(cost or {}), frozenset(fixed), float(items_per_cluster))


def price_of(sizes: Mapping[str, float], cost: Mapping[str, float]) -> float:
    """Price of a design for one model; see `design`."""
    price = _prices(cost)
    n = {name: float(sizes.get(name, 1)) for name in FACETS}
    cells = n["items"] * n["samples"] * n["seeds"] * n["templates"]
    return sum(price[f] * n[f] for f in ("items", "seeds", "templates")) + price["samples"] * cells


def _prices(cost: Mapping[str, float]) -> dict[str, float]:
    known = set(_PRICES.values())
    if not cost or not set(cost) <= known or not all(np.isfinite(v) and v >= 0.0 for v in cost.values()):
        raise SpecificationError(f"cost={dict(cost)!r}: prices of 0 or more for some of {', '.join(sorted(known))} are needed.")
    return {facet: float(cost.get(name, 0.0)) for facet, name in _PRICES.items()}
