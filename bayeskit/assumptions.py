"""Priors, dials and assumptions: everything an answer rests on, as named objects that can be turned.

A :class:`Prior` is a distribution with numeric parameters, usable three ways from one definition: as a
variable of a PyMC graph, as a log density over stored draws (so that another prior can be tried without
compiling anything), and as a random generator (so that simulated data come from exactly the prior that is
fitted). An :class:`Assumption` gives it a name, a sentence and a level. Every number in it is a
:class:`Dial`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from bayeskit.distributions import FAMILIES, Family
from bayeskit.errors import SpecificationError, suggest

__all__ = ["Assumption", "Dial", "Level", "Prior"]

Level = Literal["structural", "hyper", "latent", "constraint", "imputed"]
"""Where an assumption sits: sensitivity scales `hyper` by default and never `latent` or `imputed` unless asked."""

LEVELS: tuple[str, ...] = get_args(Level)


@dataclass(frozen=True)
class Dial:
    """One number that an answer rests on.

    Parameters
    ----------
    name : str
        Full name, ``"assumption.parameter"``.
    value : float
        The value used unless a fit is asked for another one.
    low, high : float
        Closed range of legal values (``-inf`` and ``inf`` where there is no bound).
    sentence : str
        What turning it up means.
    """

    name: str
    value: float
    low: float = -math.inf
    high: float = math.inf
    sentence: str = ""

    def __post_init__(self) -> None:
        self.check(self.value)

    def check(self, value: float) -> float:
        """Return `value` as a float, or raise `SpecificationError` if it lies outside the dial's range."""
        number = float(value)
        if not math.isfinite(number) or not self.low <= number <= self.high:
            raise SpecificationError(
                f"Dial '{self.name}' is set to {value!r}. It must be a finite number from {self.low:g} to {self.high:g}."
            )
        return number


@dataclass(frozen=True, init=False, eq=True)
class Prior:
    """A distribution with its numbers: serialisable, range-checked, comparable by value.

    Parameters
    ----------
    dist : str
        Name of the distribution, one of ``Prior.distributions()``.
    dims : tuple of str
        Names of the dimensions of the variable, independent over all of them except the distribution's own
        trailing ones (a Dirichlet owns the last, a DiagonalDirichlet the last two).
    **params : float or str
        Parameters by their usual names. A number becomes a dial; a string is the name of another variable of
        the model (a hierarchy).

    Raises
    ------
    SpecificationError
        For an unknown distribution or parameter (with a suggestion), a missing one, or a value out of range.

    Examples
    --------
    >>> Prior("Normal", mu=0, sigma=2.5).to_dict()
    {'dist': 'Normal', 'dims': [], 'params': {'mu': 0.0, 'sigma': 2.5}}
    """

    dist: str
    dims: tuple[str, ...]
    params: Mapping[str, float | str] = field(hash=False)

    def __init__(self, dist: str, /, dims: tuple[str, ...] | str = (), **params: float | str) -> None:
        if dist not in FAMILIES:
            raise SpecificationError(
                f"Unknown distribution {dist!r}.{suggest(dist, FAMILIES)} Known: {', '.join(sorted(FAMILIES))}."
            )
        family = FAMILIES[dist]
        for name in params:
            if name not in family.parameters:
                raise SpecificationError(
                    f"{dist} has no parameter {name!r}.{suggest(name, family.parameters)} "
                    f"Its parameters: {', '.join(family.parameters)}."
                )
        missing = [name for name in family.parameters if name not in params]
        if missing:
            raise SpecificationError(f"{dist} needs {', '.join(missing)}.")
        object.__setattr__(self, "dist", dist)
        object.__setattr__(self, "dims", (dims,) if isinstance(dims, str) else tuple(dims))
        checked = {name: self._check(family, name, params[name]) for name in family.parameters}
        object.__setattr__(self, "params", checked)
        lower, upper = checked.get("lower"), checked.get("upper")
        if isinstance(lower, float) and isinstance(upper, float) and not lower < upper:
            raise SpecificationError(f"{dist}(lower={lower:g}, upper={upper:g}): lower must be less than upper.")

    def _check(self, family: Family, name: str, value: float | str) -> float | str:
        if isinstance(value, str):
            return value
        low, high = family.parameters[name]
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise SpecificationError(
                f"{self.dist}({name}={value!r}): a parameter is a number, or the name of another variable."
            ) from None
        if not math.isfinite(number) or not low <= number <= high:
            raise SpecificationError(f"{self.dist}({name}={value!r}): must be a finite number from {low:g} to {high:g}.")
        return number

    def __hash__(self) -> int:
        return hash((self.dist, self.dims, tuple(self.params.items())))

    def __repr__(self) -> str:
        inner = ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.params.items())
        return f"{self.dist}({inner})"

    @staticmethod
    def distributions() -> tuple[str, ...]:
        """Names of the distributions that a prior can have."""
        return tuple(sorted(FAMILIES))

    @property
    def family(self) -> Family:
        """The distribution behind the name."""
        return FAMILIES[self.dist]

    @property
    def numbers(self) -> dict[str, float]:
        """The numeric parameters, which become dials."""
        return {k: v for k, v in self.params.items() if isinstance(v, float)}

    @property
    def references(self) -> dict[str, str]:
        """The parameters that are other variables of the model."""
        return {k: v for k, v in self.params.items() if isinstance(v, str)}

    def replace(self, **params: float | str) -> Prior:
        """Return the same prior with some parameters changed."""
        return Prior(self.dist, dims=self.dims, **{**self.params, **params})

    def power(self, exponent: float) -> Prior | None:
        """Return the prior of the same family whose density is proportional to this density to a power.

        Parameters
        ----------
        exponent : float
            Above 0: below 1 the prior counts for less, above 1 for more.

        Returns
        -------
        Prior or None
            None where the family holds no such distribution (HalfCauchy, Logistic), where the power has no finite integral,
            and where a parameter is another variable: the power of the normalising constant would then matter.

        Raises
        ------
        SpecificationError
            If the exponent is not a finite number above 0.
        """
        if not (math.isfinite(exponent) and exponent > 0.0):
            raise SpecificationError(f"exponent={exponent!r}: must be a finite number above 0.")
        if self.references or self.family.powered is None:
            return self if exponent == 1.0 else None
        params = self.family.powered(exponent, **self.numbers)
        inside = all(low <= params[k] <= high for k, (low, high) in self.family.parameters.items())
        return self.replace(**params) if inside else None

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `from_dict` gives back an equal prior."""
        return {"dist": self.dist, "dims": list(self.dims), "params": dict(self.params)}

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> Prior:
        """Rebuild a prior from `to_dict`."""
        return cls(payload["dist"], dims=tuple(payload.get("dims", ())), **payload["params"])

    def _own(self, params: Mapping[str, Any] | None, values: Mapping[str, Any] | None) -> dict[str, Any]:
        numbers = {**self.params, **(params or {})}
        return {k: (values or {})[v] if isinstance(v, str) else v for k, v in numbers.items()}

    def log_density(
        self,
        x: np.ndarray,
        params: Mapping[str, float] | None = None,
        values: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Log density of draws, one value per draw, summed over the variable's own dimensions.

        Parameters
        ----------
        x : ndarray, shape (samples, ...) with the shape of the variable
            Draws on the natural scale.
        params : mapping, optional
            Numeric parameters to use in place of the prior's own (an alternative prior).
        values : mapping, optional
            Draws of the variables that parameters refer to; trailing dimensions broadcast against `x`.

        Returns
        -------
        ndarray, shape (samples,)
        """
        x = np.asarray(x, dtype=float)
        own = {k: _align(v, x.ndim) for k, v in self._own(params, values).items()}
        out = np.asarray(self.family.log_density(x, **own), dtype=float)
        return out.reshape(len(x), -1).sum(axis=1)

    def log_jacobian(
        self,
        x: np.ndarray,
        params: Mapping[str, float] | None = None,
        values: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Log Jacobian from the coordinates in which the variable is sampled, one value per draw; see `log_density`."""
        x = np.asarray(x, dtype=float)
        own = {k: _align(v, x.ndim) for k, v in self._own(params, values).items()}
        out = np.asarray(self.family.log_jacobian(x, **own), dtype=float)
        return out.reshape(len(x), -1).sum(axis=1)

    def random(
        self,
        rng: np.random.Generator,
        shape: tuple[int, ...] = (),
        params: Mapping[str, float] | None = None,
        values: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Draw one value of the variable with the given shape, dependent dimensions included."""
        return np.asarray(self.family.random(rng, shape, **self._own(params, values)), dtype=float)

    def graph(self, name: str, params: Mapping[str, Any], dims: tuple[str, ...], sizes: Mapping[str, int]) -> Any:
        """Create the PyMC variable inside the current model context; `params` holds its symbolic parameters."""
        shape = tuple(sizes[d] for d in dims)
        return self.family.graph(name, dims or None, shape, params)


def _align(value: Any, ndim: int) -> Any:
    """Give draws of a parameter (samples first) the trailing axes that broadcast against draws of the variable."""
    array = np.asarray(value, dtype=float)
    if array.ndim == 0 or array.ndim >= ndim:
        return array
    return array.reshape(array.shape[0], *(1,) * (ndim - array.ndim), *array.shape[1:])


@dataclass(frozen=True)
class Assumption:
    """One thing that an answer rests on and that the data do not decide.

    Parameters
    ----------
    name : str
        Identifier; also the name of the variable in the posterior where there is a prior.
    sentence : str
        The assumption in words, complete enough to print in a report.
    level : {"structural", "hyper", "latent", "constraint", "imputed"}
        What kind of thing it is; see `Level`.
    prior : Prior, optional
        The prior of the variable of the same name.
    constants : mapping of str to Dial, optional
        Dials of an assumption that is not a prior (a fixed scale, the sharpness of a constraint).
    setting : str, optional
        The setting of the specification that chooses this assumption, where another choice means another
        graph.
    alternatives : tuple, optional
        The other values that `setting` may take: what a sensitivity analysis tries.
    also : mapping of str to tuple, optional
        Further settings that this assumption stands for, each with the values it may take: a prior that a judge's quality is
        positive is a statement about quality and one about order.
    """

    name: str
    sentence: str
    level: Level
    prior: Prior | None = None
    constants: Mapping[str, Dial] = field(default_factory=dict)
    setting: str | None = None
    alternatives: tuple[Any, ...] = ()
    also: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise SpecificationError(f"Assumption name {self.name!r} must be a Python identifier.")
        if self.level not in LEVELS:
            raise SpecificationError(f"Assumption '{self.name}': level {self.level!r} is not one of {', '.join(LEVELS)}.")
        if not self.sentence.strip().endswith("."):
            raise SpecificationError(f"Assumption '{self.name}' needs a whole sentence, with its full stop.")

    @property
    def dials(self) -> dict[str, Dial]:
        """Every number of the assumption by its full name ``"assumption.parameter"``."""
        out = {f"{self.name}.{k}": d for k, d in self.constants.items()}
        if self.prior is not None:
            for key, value in self.prior.numbers.items():
                low, high = self.prior.family.parameters[key]
                name = f"{self.name}.{key}"
                out[name] = Dial(name, value, low, high, f"{key} of the {self.prior.dist} prior on {self.name}")
        return out

    def parameters(self, dials: Mapping[str, float]) -> dict[str, float]:
        """The numeric parameters of its prior under the given dial settings."""
        if self.prior is None:
            return {}
        return {k: dials.get(f"{self.name}.{k}", v) for k, v in self.prior.numbers.items()}

    @property
    def choices(self) -> dict[str, tuple[Any, ...]]:
        """Every setting that the assumption stands for, with the values it may take."""
        own = {} if self.setting is None else {self.setting: self.alternatives}
        return {**own, **self.also}

    def describe(self, dials: Mapping[str, float] | None = None) -> str:
        """The prior or the constants in numbers, for a report."""
        dials = dials or {}
        if self.prior is not None:
            return repr(self.prior.replace(**self.parameters(dials)))
        if self.constants:
            return ", ".join(f"{k} = {dials.get(f'{self.name}.{k}', d.value):g}" for k, d in self.constants.items())
        return f"setting {self.setting}" if self.setting else ""
