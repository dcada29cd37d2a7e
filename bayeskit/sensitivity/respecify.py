"""Specifications with other priors, or with exponents on their parts, that are compiled once and refitted many times."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayeskit.assumptions import Assumption, Dial, Prior
from bayeskit.builder import ModelBuilder
from bayeskit.errors import StorageError
from bayeskit.graph import Graph

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.fit import Fit

__all__ = ["EXPONENTS", "LIKELIHOOD", "with_exponents", "with_priors"]

EXPONENTS = "power_exponents"
"""Name of the assumption whose dials are the exponents."""

LIKELIHOOD = "likelihood"
"""Name of the exponent on the likelihood."""


def with_priors(fit: Fit, priors: Mapping[str, Prior]) -> Fit:
    """Return the fit with other priors in its specification: what `refit` then samples.

    Which program is compiled follows from the families of the priors; their numbers are dials, as ever.
    """
    made = _derived(fit, _other_priors(type(fit.spec), cast(Any, type(fit))))
    object.__setattr__(made, "_priors", dict(priors))
    return replace(fit, spec=made)


def with_exponents(fit: Fit) -> Fit:
    """Return the fit with a dial ``power_exponents.name`` for every prior, every constraint and the likelihood.

    All exponents are 1 until turned, and all are data of one program: it is compiled once.
    """
    return replace(fit, spec=_derived(fit, _powered(type(fit.spec), cast(Any, type(fit)))))


def _derived(fit: Fit, cls: type[ModelBuilder]) -> ModelBuilder:
    """The same settings under another class."""
    made = object.__new__(cls)
    for name, value in vars(fit.spec).items():
        object.__setattr__(made, name, value)
    return made


def _fit_class(base: type[Fit]) -> type[Fit]:
    """A fit of a specification that no file can name, and whose prior has no generator."""

    def save(self: Any, path: str | Path, *, statistics: bool | None = None) -> Path:
        raise StorageError(
            f"Cannot write {Path(path).name!r}: this refit has priors that are not its specification's, so that a file could "
            "not say what was fitted. Save the fit it came from, and its table with to_json()."
        )

    def identification(self: Any) -> tuple[Any, ...]:
        return ()

    return cast("type[Fit]", type(base.__name__, (base,), {"save": save, "_identification": identification}))


@lru_cache(maxsize=64)
def _other_priors(base: type[ModelBuilder], fit_class: type[Fit]) -> type[ModelBuilder]:
    def assumptions(self: Any, statistics: xr.Dataset) -> tuple[Assumption, ...]:
        found = base.assumptions(self, statistics)
        return tuple(replace(a, prior=self._priors[a.name]) if a.name in self._priors else a for a in found)

    made = {"assumptions": assumptions, "fit_class": _fit_class(fit_class), "__module__": base.__module__}
    return cast("type[ModelBuilder]", type(f"{base.__name__}WithOtherPriors", (base,), made))


@lru_cache(maxsize=64)
def _powered(base: type[ModelBuilder], fit_class: type[Fit]) -> type[ModelBuilder]:
    def assumptions(self: Any, statistics: xr.Dataset) -> tuple[Assumption, ...]:
        own = base.assumptions(self, statistics)
        names = dict.fromkeys([*(a.name for a in own), LIKELIHOOD])
        dials = {n: Dial(f"{EXPONENTS}.{n}", 1.0, 0.0, math.inf, f"how often {n} counts") for n in names}
        sentence = "Every prior, every constraint and the likelihood counts as often as its exponent says."
        return (*own, Assumption(EXPONENTS, sentence, "constraint", constants=dials))

    def graph(self: Any, graph: Graph) -> None:
        powered = object.__new__(_PoweredGraph)
        powered.__dict__ = graph.__dict__  # the same graph, with other methods
        terms: list[Any] = []
        powered.__dict__["_terms"] = terms
        base.graph(self, powered)
        Graph.constraint(powered, EXPONENTS, sum(terms))

    def log_constraint(
        self: Any, values: Mapping[str, np.ndarray], statistics: xr.Dataset, dials: Mapping[str, float]
    ) -> dict[str, np.ndarray]:
        weights = base.log_constraint(self, values, statistics, dials)
        parts: dict[str, Callable[[], np.ndarray]] = {n: (lambda w=w: np.asarray(w)) for n, w in weights.items()}  # type: ignore[misc]
        for a in base.assumptions(self, statistics):
            if a.prior is not None and a.name in values:
                parts[a.name] = lambda a=a: a.prior.log_density(values[a.name], a.parameters(dials), values)  # type: ignore[misc]
        total = np.zeros(len(next(iter(values.values()))))
        for name, part in parts.items():
            exponent = dials[f"{EXPONENTS}.{name}"]
            total = total + ((exponent - 1.0) * part() if exponent != 1.0 else 0.0)
        return {**weights, EXPONENTS: total}

    made = {
        "assumptions": assumptions, "graph": graph, "log_constraint": log_constraint,
        "fit_class": _fit_class(fit_class), "__module__": base.__module__,
    }  # fmt: skip
    return cast("type[ModelBuilder]", type(f"{base.__name__}WithExponents", (base,), made))


class _PoweredGraph(Graph):
    """A graph that adds ``(exponent - 1) log p`` for every part that a model writes on it."""

    def _scaled(self, name: str, log_density: Any) -> None:
        self.__dict__["_terms"].append((self.dial(f"{EXPONENTS}.{name}") - 1.0) * log_density)

    def _scale_prior(self, name: str, variable: Any) -> Any:
        import pymc as pm

        assumption = self.assumptions[name]
        assert assumption.prior is not None
        shape = tuple(self.sizes[d] for d in assumption.prior.dims)
        dist = assumption.prior.family.dist(shape, self._prior_parameters(assumption))
        self._scaled(name, pm.logp(dist, variable).sum())
        return variable

    def prior(self, name: str, *, anchored: bool = False) -> Any:
        return self._scale_prior(name, super().prior(name, anchored=anchored))

    def transformed(self, name: str, value: Any, log_jacobian: Any) -> Any:
        return self._scale_prior(name, super().transformed(name, value, log_jacobian))

    def constraint(self, name: str, log_weight: Any) -> None:
        super().constraint(name, log_weight)
        self._scaled(name, log_weight)

    def likelihood(self, log_density: Any, name: str = "data") -> None:
        super().likelihood(self.dial(f"{EXPONENTS}.{LIKELIHOOD}") * log_density, name)
