"""What if a prior had been another one: the answer from the same draws, or a refusal."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.assumptions import Prior
from bayeskit.errors import SpecificationError, UnreliableWeightsError, suggest
from bayeskit.prior_check import log_prior
from bayeskit.sensitivity.weights import FEWEST, Weights, k_hat_limit, pareto_smoothed
from bayeskit.summary import flatten

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit

__all__ = ["Reweighted", "reweight", "weighted_quantiles"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Reweighted:
    """Estimands under other priors, from the draws of a fit with its own.

    Attributes
    ----------
    table : DataFrame
        Index quantity; mean, sd, lower and upper under the other priors, ``base_mean`` and ``base_sd`` under the fit's own, and
        ``shift``, the difference of the means in base standard deviations.
    priors : dict of str to Prior
        The priors put in the place of the fit's.
    weights : Weights
        With k-hat and effective size.
    prob : float
        Probability of the equal-tailed intervals.
    """

    table: pd.DataFrame
    priors: dict[str, Prior]
    weights: Weights
    prob: float

    @property
    def _head(self) -> str:
        told = ", ".join(f"{name} ~ {prior!r}" for name, prior in self.priors.items())
        return (
            f"With {told}; {self.prob:.0%} equal-tailed intervals; reweighted draws: k-hat {self.weights.k_hat:.2f}, "
            f"{self.weights.ess:.0f} effective"
        )

    def __repr__(self) -> str:
        return f"{self._head}\n{self.table.round(3).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._head)}</p>{self.table.round(3).to_html()}"


def reweight(fit: Fit, priors: Mapping[str, Prior], prob: float = 0.95, group: str = "estimands") -> Reweighted:
    """Answer under other priors without a refit; see `Fit.reweight`."""
    import pandas as pd

    if not priors:
        raise SpecificationError("priors is empty: name an assumption and its other prior.")
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: must lie strictly between 0 and 1.")
    weights = pareto_smoothed(_log_ratio(fit, priors))
    if not weights.reliable:
        raise UnreliableWeightsError(_refusal(priors, weights))
    names, values = flatten(fit.draws[group].to_dataset())
    flat = values.reshape(-1, len(names))
    base, sd = flat.mean(0), flat.std(0)
    mean = weights.values @ flat
    ends = weighted_quantiles(flat, weights.values, ((1 - prob) / 2, (1 + prob) / 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.where(sd > 0, (mean - base) / sd, 0.0)
    columns = {
        "mean": mean,
        "sd": np.sqrt(np.maximum(weights.values @ (flat - mean) ** 2, 0.0)),
        "lower": ends[0],
        "upper": ends[1],
        "base_mean": base,
        "base_sd": sd,
        "shift": shift,
    }
    table = pd.DataFrame(columns, index=pd.Index(names, name="quantity"))
    return Reweighted(table, dict(priors), weights, prob)


def _refusal(priors: Mapping[str, Prior], weights: Weights) -> str:
    told, total = ", ".join(f"{k} ~ {v!r}" for k, v in priors.items()), len(weights.values)
    return (
        f"The draws cannot stand for {told}: k-hat {weights.k_hat:.2f} (limit {k_hat_limit(total):.2f}), {weights.ess:.0f} "
        f"effective of {total} draws (at least {FEWEST:.0f}). Fit again with that prior: refit(dials=...) where only numbers "
        "differ. Or start from a fit with the wider of the two priors."
    )


def _log_ratio(fit: Fit, priors: Mapping[str, Prior]) -> FloatArray:
    statistics = fit._need_statistics("be reweighted")
    known = {a.name: a for a in fit.assumptions}
    posterior = fit.posterior
    pooled = {str(n): v.transpose("chain", "draw", ...).values for n, v in posterior.data_vars.items()}
    pooled = {n: v.reshape(v.shape[0] * v.shape[1], *v.shape[2:]) for n, v in pooled.items()}
    shape = posterior.sizes["chain"], posterior.sizes["draw"]
    total = np.zeros(shape)
    for name, prior in priors.items():
        if name not in known:
            raise SpecificationError(f"No assumption named {name!r}.{suggest(name, known)}")
        own = known[name].prior
        if own is None:
            raise SpecificationError(f"Assumption '{name}' has no prior: it is a {known[name].level}. Fit again instead.")
        if prior.dims != own.dims:
            raise SpecificationError(f"The prior of '{name}' has dimensions {own.dims}, the other one {prior.dims}.")
        for key, reference in prior.references.items():
            if reference not in pooled:
                raise SpecificationError(
                    f"The other prior of '{name}' takes its {key} from '{reference}', which is no variable of this fit."
                )
        now = log_prior(fit.spec, statistics, fit.dials, posterior, only=name)[name]
        with np.errstate(divide="ignore", invalid="ignore"):
            other = prior.log_density(pooled[name], dict(prior.numbers), pooled).reshape(shape)
        total = total + np.where(np.isnan(other), -np.inf, other) - now
    return np.asarray(total)


def weighted_quantiles(draws: FloatArray, weights: FloatArray, probs: tuple[float, ...]) -> FloatArray:
    """Quantiles of weighted draws, column by column.

    Parameters
    ----------
    draws : ndarray, shape (S, Q)
    weights : ndarray, shape (S,)
        With sum 1.
    probs : tuple of float
        Probabilities.

    Returns
    -------
    ndarray, shape (len(probs), Q)
        Interpolated between the middles of the steps of the weighted distribution function.
    """
    out = np.empty((len(probs), draws.shape[1]))
    for q in range(draws.shape[1]):
        order = np.argsort(draws[:, q], kind="stable")
        share = weights[order]
        out[:, q] = np.interp(probs, np.cumsum(share) - share / 2.0, draws[order, q])
    return out
