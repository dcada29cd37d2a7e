"""What if a prior had been another one, or had counted for less: the answer from the lowest rung that can be trusted."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.assumptions import Prior
from bayeskit.errors import SpecificationError, UnreliableWeightsError
from bayeskit.sensitivity.change import Change, OtherPriors, Powers
from bayeskit.sensitivity.ladder import Climb, Rung, climb
from bayeskit.sensitivity.weights import FEWEST, Weights, k_hat_limit
from bayeskit.summary import flatten

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit

__all__ = ["Reweighted", "power_scale", "reweight", "weighted_quantiles"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Reweighted:
    """Estimands under a change of the priors or of how much they count.

    Attributes
    ----------
    table : DataFrame
        Index quantity; mean, sd, lower and upper after the change, ``base_mean`` and ``base_sd`` before it, and ``shift``,
        the difference of the means in base standard deviations. NaN after the change where `state` is not "ok" and there is
        no refit.
    priors : dict of str to Prior
        The priors put in the place of the fit's.
    weights : Weights
        With k-hat and effective size; NaN where the numbers come from a refit.
    prob : float
        Probability of the equal-tailed intervals.
    exponents : dict of str to float
        The exponents on priors, constraints or the likelihood.
    state : str
        "ok", "unreliable" or "not computed".
    rung : str
        Where the numbers come from: "reweighted", "moment matched" or "refitted".
    tried : tuple of Rung
        Every rung that was tried, with its k-hat or the status of its verdict.
    refit : Fit or None
        The refit, with its own verdict.
    """

    table: pd.DataFrame
    priors: dict[str, Prior]
    weights: Weights
    prob: float
    exponents: dict[str, float] = field(default_factory=dict)
    state: str = "ok"
    rung: str = "reweighted"
    tried: tuple[Rung, ...] = ()
    refit: Fit | None = None

    @property
    def _head(self) -> str:
        told = [f"{name} ~ {prior!r}" for name, prior in self.priors.items()]
        told += [f"{name} to the power {value:g}" for name, value in self.exponents.items()]
        bad = "" if self.state == "ok" else f"{self.state.upper()}: "
        text = f"{bad}With {', '.join(told)}; {self.prob:.0%} equal-tailed intervals; "
        if self.refit is not None:
            return f"{text}refitted, verdict {self.refit.verdict.status.value}; tried {'; '.join(map(str, self.tried))}"
        text += f"{self.rung} draws: k-hat {self.weights.k_hat:.2f}, {self.weights.ess:.0f} effective"
        return text if len(self.tried) < 2 else f"{text}; tried {'; '.join(map(str, self.tried))}"

    def __repr__(self) -> str:
        return f"{self._head}\n{self.table.round(3).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._head)}</p>{self.table.round(3).to_html()}"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        rows = [
            {"quantity": str(name), **row} for name, row in zip(self.table.index, self.table.to_dict("records"), strict=True)
        ]
        facts: dict[str, Any] = {
            "schema": "bayeskit.reweighted/1",
            "state": self.state,
            "rung": self.rung,
            "prob": self.prob,
            "kind": "eti",
            "priors": {name: prior.to_dict() for name, prior in self.priors.items()},
            "exponents": {name: float(value) for name, value in self.exponents.items()},
            "k_hat": self.weights.k_hat,
            "ess": self.weights.ess,
            "tried": [asdict(r) for r in self.tried],
            "verdict": None if self.refit is None else self.refit.verdict.status.value,
            "rows": rows,
        }
        return json.dumps(_plain(facts), allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def reweight(
    fit: Fit,
    priors: Mapping[str, Prior],
    prob: float = 0.95,
    group: str = "estimands",
    ladder: Any = ("reweight",),
    **sampling: Any,
) -> Reweighted:
    """Answer under other priors; see `Fit.reweight`."""
    _check(prob, group)
    change = OtherPriors(fit, priors)
    found = climb(fit, change, ladder, **sampling)
    if found.state != "ok" and found.refit is None:
        raise UnreliableWeightsError(_refusal(change, found))
    return _answer(fit, found, prob, group, priors=dict(priors))


def power_scale(
    fit: Fit,
    exponents: Mapping[str, float],
    prob: float = 0.95,
    group: str = "estimands",
    ladder: Any = ("reweight",),
    **sampling: Any,
) -> Reweighted:
    """Answer with parts of the model to a power; see `Fit.power_scale`."""
    _check(prob, group)
    found = climb(fit, Powers(fit, exponents), ladder, **sampling)
    return _answer(fit, found, prob, group, exponents={k: float(v) for k, v in exponents.items()})


def _check(prob: float, group: str) -> None:
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: must lie strictly between 0 and 1.")
    if group not in ("estimands", "posterior"):
        raise SpecificationError(f"group={group!r}: 'estimands' or 'posterior'.")


def _answer(
    fit: Fit,
    found: Climb,
    prob: float,
    group: str,
    priors: dict[str, Prior] | None = None,
    exponents: dict[str, float] | None = None,
) -> Reweighted:
    import pandas as pd

    names, values = flatten(fit.draws[group].to_dataset())
    flat = values.reshape(-1, len(names))
    base, sd = flat.mean(0), flat.std(0)
    mean, spread, ends = _moments(found, group, prob, len(names))
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.where(sd > 0, (mean - base) / sd, np.where(np.isnan(mean), np.nan, 0.0))
    columns = {
        "mean": mean,
        "sd": spread,
        "lower": ends[0],
        "upper": ends[1],
        "base_mean": base,
        "base_sd": sd,
        "shift": shift,
    }
    table = pd.DataFrame(columns, index=pd.Index(names, name="quantity"))
    return Reweighted(
        table, priors or {}, found.weights, prob, exponents or {}, found.state, found.rung, found.tried, found.refit
    )


def _moments(found: Climb, group: str, prob: float, size: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, sd and ends of intervals; NaN where the weights cannot be trusted."""
    if found.refit is None and found.state != "ok":
        nothing = np.full(size, np.nan)
        return nothing, nothing, np.full((2, size), np.nan)
    _, values = flatten(found.draws[group])
    flat = values.reshape(-1, values.shape[-1])
    weights = np.full(len(flat), 1.0 / len(flat)) if found.refit is not None else found.weights.values
    mean = weights @ flat
    spread = np.sqrt(np.maximum(weights @ (flat - mean) ** 2, 0.0))
    return mean, spread, weighted_quantiles(flat, weights, ((1 - prob) / 2, (1 + prob) / 2))


def _refusal(change: Change, found: Climb) -> str:
    weights = found.weights
    total = len(weights.values)
    why = change.beyond or (
        f"k-hat {weights.k_hat:.2f} (limit {k_hat_limit(total):.2f}), {weights.ess:.0f} effective of {total} draws (at least "
        f"{FEWEST:.0f})"
    )
    if len(found.tried) > 1:
        why = "; ".join(map(str, found.tried))
    return (
        f"The draws cannot stand for {change.told}: {why}. Fit again with that prior: ladder='auto' does, or refit(dials=...) "
        "where only numbers differ. Or start from a fit with the wider of the two priors."
    )


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
