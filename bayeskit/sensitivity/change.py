"""Changes of a model that a sensitivity analysis asks about: other priors, or exponents on its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bayeskit.assumptions import Assumption, Prior
from bayeskit.errors import SpecificationError, suggest
from bayeskit.prior_check import log_prior
from bayeskit.sensitivity.respecify import EXPONENTS, LIKELIHOOD, with_exponents, with_priors

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.fit import Fit

__all__ = ["Change", "OtherPriors", "Powers"]

FloatArray = NDArray[np.float64]


class Change(Protocol):
    """A change whose log density ratio is known at any draws."""

    @property
    def told(self) -> str:
        """The change in words."""

    @property
    def beyond(self) -> str:
        """Why no draws of the fit can stand for the change, or nothing."""

    def log_ratio(self, draws: xr.Dataset, log_likelihood: FloatArray) -> FloatArray:
        """Log density after the change minus before it, at draws; shape (chains, draws)."""

    def refit(self, **sampling: Any) -> Fit:
        """The fit after the change."""


@dataclass(frozen=True)
class OtherPriors:
    """Other priors in the place of the fit's, by assumption."""

    fit: Fit
    priors: Mapping[str, Prior]

    def __post_init__(self) -> None:
        if not self.priors:
            raise SpecificationError("priors is empty: name an assumption and its other prior.")
        known = {a.name: a for a in self.fit.assumptions}
        for name, prior in self.priors.items():
            if name not in known:
                raise SpecificationError(f"No assumption named {name!r}.{suggest(name, known)}")
            own = known[name].prior
            if own is None:
                raise SpecificationError(f"Assumption '{name}' has no prior: it is a {known[name].level}. Fit again instead.")
            if prior.dims != own.dims:
                raise SpecificationError(f"The prior of '{name}' has dimensions {own.dims}, the other one {prior.dims}.")
            for key, reference in prior.references.items():
                if reference not in self.fit.posterior:
                    raise SpecificationError(
                        f"The other prior of '{name}' takes its {key} from '{reference}', which is no variable of this fit."
                    )

    @property
    def told(self) -> str:
        """The change in words."""
        return ", ".join(f"{name} ~ {prior!r}" for name, prior in self.priors.items())

    @property
    def beyond(self) -> str:
        """Draws of a scale say nothing about a prior that allows negative values, nor any draws about a mode without one."""
        for name, prior in self.priors.items():
            own = _assumption(self.fit, name)
            assert own.prior is not None
            if prior.references or own.prior.references:
                continue
            apart = _far_and_heavy(prior, np.asarray(self.fit.posterior[name].values, dtype=float))
            if apart:
                return (
                    f"{prior!r} has its central half from {apart[0]:g} to {apart[1]:g}, where '{name}' has no draw, and tails "
                    "so heavy that there may be a second mode, which no weight would show"
                )
            low, high = own.prior.family.support(**own.parameters(self.fit.dials))
            bottom, top = prior.family.support(**prior.numbers)
            if bottom < low or top > high:
                return f"{prior!r} reaches from {bottom:g} to {top:g}, the draws of '{name}' only from {low:g} to {high:g}"
        return ""

    def log_ratio(self, draws: xr.Dataset, log_likelihood: FloatArray) -> FloatArray:
        """Log density after the change minus before it; -inf at draws that the change excludes."""
        fit, statistics = self.fit, self.fit._at_hand("be reweighted")
        shape = draws.sizes["chain"], draws.sizes["draw"]
        pooled = {str(n): v.transpose("chain", "draw", ...).values for n, v in draws.data_vars.items()}
        pooled = {n: v.reshape(v.shape[0] * v.shape[1], *v.shape[2:]) for n, v in pooled.items()}
        total = np.zeros(shape)
        for name, prior in self.priors.items():
            now = log_prior(fit.spec, statistics, fit.dials, draws, only=name)[name]
            with np.errstate(divide="ignore", invalid="ignore"):
                other = prior.log_density(pooled[name], dict(prior.numbers), pooled).reshape(shape)
                total = total + np.where(np.isnan(other), -np.inf, other) - now
        return np.asarray(total)

    def refit(self, **sampling: Any) -> Fit:
        """With dials where the family is the same, compiled once more where it is another."""
        dials = {f"{name}.{key}": value for name, prior in self.priors.items() for key, value in prior.numbers.items()}
        other = {}
        for name, prior in self.priors.items():
            own = _assumption(self.fit, name).prior
            assert own is not None
            if (own.dist, own.references) != (prior.dist, prior.references):
                other[name] = prior
        base = with_priors(self.fit, other) if other else self.fit
        return base.refit(dials=dials, **sampling)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Powers:
    """Exponents on priors, constraints and the likelihood, by name."""

    fit: Fit
    exponents: Mapping[str, float]

    def __post_init__(self) -> None:
        known = [*map(str, self.fit.draws["log_prior"].to_dataset()), LIKELIHOOD]
        if not self.exponents:
            raise SpecificationError(f"exponents is empty: give {{name: exponent}}; names: {', '.join(dict.fromkeys(known))}.")
        for name, value in self.exponents.items():
            if name not in known:
                raise SpecificationError(
                    f"Nothing named {name!r} can be raised to a power.{suggest(name, known)} Priors, constraints and "
                    f"'{LIKELIHOOD}' can: {', '.join(dict.fromkeys(known))}."
                )
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0.0 <= value < math.inf:
                raise SpecificationError(f"exponents[{name!r}]={value!r}: must be a finite number of at least 0.")

    @property
    def told(self) -> str:
        """The change in words."""
        return ", ".join(f"{name} to the power {value:g}" for name, value in self.exponents.items())

    @property
    def beyond(self) -> str:
        """Nothing: a power leaves the range as it is."""
        return ""

    def log_ratio(self, draws: xr.Dataset, log_likelihood: FloatArray) -> FloatArray:
        """Log density after the change minus before it; -inf at draws that the change excludes."""
        fit, statistics = self.fit, self.fit._at_hand("be reweighted")
        total = np.zeros(log_likelihood.shape)
        for name, exponent in self.exponents.items():
            if exponent == 1.0:
                continue
            if name == LIKELIHOOD and name not in fit.draws["log_prior"]:
                part = log_likelihood
            else:
                part = log_prior(fit.spec, statistics, fit.dials, draws, only=name)[name]
            with np.errstate(invalid="ignore"):
                total = total + (exponent - 1.0) * part
        return np.asarray(total)

    def refit(self, **sampling: Any) -> Fit:
        """With dials where the power of a prior is one of its family, with exponents as data where it is not."""
        dials, rest = dict[str, float](), dict[str, float]()
        for name, exponent in self.exponents.items():
            other = self._in_family(name, exponent)
            if other is None:
                rest[f"{EXPONENTS}.{name}"] = float(exponent)
            else:
                dials |= {f"{name}.{key}": value for key, value in other.numbers.items()}
        base = with_exponents(self.fit) if rest else self.fit
        return base.refit(dials={**dials, **rest}, **sampling)  # type: ignore[no-any-return]

    def _in_family(self, name: str, exponent: float) -> Prior | None:
        found = next((a for a in self.fit.assumptions if a.name == name and a.prior is not None), None)
        if found is None or found.prior is None or exponent == 0.0:
            return None
        return found.prior.replace(**found.parameters(self.fit.dials)).power(float(exponent))


_HEAVY = ("StudentT", "Cauchy", "LogNormal", "InverseGamma")
"""Families with a mode away from zero whose log density is not concave: times a likelihood they can make two modes. Measured on
eight schools: StudentT(3, 30, 1) for a mean near 4 has k-hat 0.6 and a reweighted mean 10 where refits give 20 to 21."""


def _far_and_heavy(prior: Prior, draws: FloatArray) -> tuple[float, float] | None:
    """The quartiles of a heavy-tailed prior between which some element of the variable has no draw at all."""
    if prior.dist not in _HEAVY:
        return None
    sample = prior.random(np.random.default_rng(0), (4000,))
    low, high = (float(q) for q in np.quantile(sample, (0.25, 0.75)))
    if ((draws.min((0, 1)) > high) | (draws.max((0, 1)) < low)).any():
        return low, high
    return None


def _assumption(fit: Fit, name: str) -> Assumption:
    return next(a for a in fit.assumptions if a.name == name)
