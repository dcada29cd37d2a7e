"""Does a stated prevalence contradict the data? What the model implies without it, and what no model can change."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError
from bayeskit_models.risk.assumptions import stated_numbers
from bayeskit_models.risk.population import coefficients_of, pooled

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit_models.risk.risk_fit import RiskFit

__all__ = ["LIMIT", "Conflict", "Untested", "prevalence_conflict", "untested_identity"]

FloatArray = NDArray[np.float64]

LIMIT = 2.0
"""Standard normal deviate from which a stated prevalence counts as contradicting the data."""
_OFF = 1e3  # an sd at which a prevalence says nothing


@dataclass(frozen=True)
class Conflict:
    """Stated prevalences against what is implied without them.

    Attributes
    ----------
    groups : tuple of str
        "all", or the groups with a stated prevalence.
    stated : ndarray, shape (G, 3)
        Low end, high end and sd.
    implied : ndarray, shape (S, G)
        Draws of the prevalence that the model implies where nothing is stated.
    verdict : str
        Status of the fit without the constraint.
    """

    groups: tuple[str, ...]
    stated: FloatArray
    implied: FloatArray
    verdict: str

    @property
    def z(self) -> FloatArray:
        """Deviate of each stated prevalence within what is implied, its own uncertainty included; positive: stated too high.

        From the tail probability of the draws, so that a skewed posterior is no false alarm. Within a stated interval 0.
        """
        from scipy.stats import norm

        low, high, sd = self.stated.T
        above = norm.cdf((low - self.implied) / sd).mean(0)  # probability that the implied one is below the low end
        below = norm.cdf((self.implied - high) / sd).mean(0)
        floor = 0.5 / len(self.implied)
        up, down = (norm.ppf(np.clip(p, floor, 1.0 - floor)) for p in (above, below))
        return np.asarray(np.where(up > 0.0, up, np.where(down > 0.0, -down, 0.0)))

    @property
    def conflict(self) -> bool:
        """Whether any stated prevalence deviates by more than `LIMIT`."""
        return bool((np.abs(self.z) > LIMIT).any())

    @property
    def table(self) -> pd.DataFrame:
        """One row a group: stated (low, high, sd), implied without it (median and 95 % equal-tailed interval), z."""
        import pandas as pd

        low, mid, high = np.quantile(self.implied, (0.025, 0.5, 0.975), axis=0)
        columns = {
            "stated_low": self.stated[:, 0], "stated_high": self.stated[:, 1], "stated_sd": self.stated[:, 2],
            "implied": mid, "lower": low, "upper": high, "z": self.z,
        }  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index(self.groups, name="group"))

    def sentence(self) -> str:
        """The worst group in words."""
        g = int(np.abs(self.z).argmax())
        low, mid, high = np.quantile(self.implied[:, g], (0.025, 0.5, 0.975))
        whom = "" if self.groups[g] == "all" else f" of {self.groups[g]}"
        a, b, sd = self.stated[g]
        told = f"{a:.3g}" if a == b else f"{a:.3g} to {b:.3g}"
        return (
            f"Without being told, the model puts the prevalence{whom} at {mid:.3g} (95% equal-tailed interval {low:.3g} to "
            f"{high:.3g}); {told} (sd {sd:.2g}) is stated, {abs(self.z[g]):.1f} standard deviations from it (limit {LIMIT:g})."
        )

    def __repr__(self) -> str:
        head = "CONFLICT" if self.conflict else "No conflict"
        extra = "" if self.verdict in ("PASS", "WARN") else f"\nThe fit without the constraint is {self.verdict}."
        return f"{head}: {self.sentence()}{extra}\n{self.table.round(4).to_string()}"

    def _repr_html_(self) -> str:
        head = "CONFLICT" if self.conflict else "No conflict"
        return f"<p><b>{head}</b>: {html.escape(self.sentence())}</p>{self.table.round(4).to_html()}"


def prevalence_conflict(fit: RiskFit, draws: int, tune: int, chains: int) -> Conflict:
    """See `RiskFit.conflict`."""
    from bayeskit.checks import run_checks

    if not fit.spec.stated:
        raise SpecificationError("conflict: no prevalence is stated, so there is nothing that the data could contradict.")
    statistics = fit._need_statistics("fit without the constraint")
    names = stated_numbers(fit.spec)
    free = fit.refit(dials={sd: _OFF for _, _, sd in names}, draws=draws, tune=tune, chains=chains)
    implied = coefficients_of(fit.spec, pooled(free.posterior), statistics, free.dials).implied(statistics)
    stated = np.array([[fit.dials[n] for n in row] for row in names])
    groups = tuple(str(g) for g in statistics["stated"].values)
    return Conflict(groups, stated, implied, run_checks(free.draws).status.value)


@dataclass(frozen=True)
class Untested:
    """The prevalence among the untested that follows from a prevalence of all, whatever the model.

    Attributes
    ----------
    implied, sd : float
        ``(prevalence - share rate) / (1 - share)`` and its standard error, the sampling error of share and rate included.
    share, rate : float
        Observed share tested, and observed prevalence among those.
    fitted, fitted_sd : float
        What the fit says of the untested.
    stated : bool
        Whether the prevalence of all is a stated one; otherwise it is that of the fit.
    binary : bool
        Whether it must be a probability.
    """

    implied: float
    sd: float
    share: float
    rate: float
    fitted: float
    fitted_sd: float
    stated: bool
    binary: bool

    @property
    def possible(self) -> bool:
        """Whether it is a probability, where it must be one."""
        return not self.binary or -2.0 * self.sd <= self.implied <= 1.0 + 2.0 * self.sd

    @property
    def holds(self) -> bool:
        """Whether it is a probability at all, and the fit agrees with it."""
        apart = abs(self.implied - self.fitted) > 0.01 * self.binary + 3.0 * math.hypot(self.sd, self.fitted_sd)
        return self.possible and not apart


def untested_identity(fit: RiskFit) -> Untested:
    """Total probability: what the stated (or fitted) prevalence leaves for the untested."""
    design = fit._need_design("count")
    counts = design["counts"].values
    n, tested = counts.sum(), counts[1:].sum()
    share, rate = tested / n, float(design["tested_mean"])
    draws = fit.means.transpose("chain", "draw", "population").values.reshape(-1, 3)
    whole = [k for k, (label, _) in enumerate(fit.spec.stated) if label is None]
    if whole:
        low, high, sd = (fit.dials[name] for name in stated_numbers(fit.spec)[whole[0]])
        prevalence, spread = float(np.clip(draws[:, 0].mean(), low, high)), sd
    else:
        prevalence, spread = float(draws[:, 0].mean()), float(draws[:, 0].std())
    found = (prevalence - share * rate) / (1.0 - share)
    # of the mean over all rows of the outcome of the tested, and of the share of the untested
    inside = share * (float(design["tested_sd"]) ** 2 + rate**2) - (share * rate) ** 2
    sampling = math.sqrt(inside / n + (found**2) * share * (1.0 - share) / n)
    error = math.hypot(spread, sampling) / (1.0 - share)
    binary = fit.spec.family == "bernoulli"
    return Untested(found, error, share, rate, float(draws[:, 2].mean()), float(draws[:, 2].std()), bool(whole), binary)
