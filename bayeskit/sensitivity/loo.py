"""Leave-one-out cross-validation: how well each unit is predicted from the others, with k-hat in sight."""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.sensitivity.removal import contributions, doubt
from bayeskit.sensitivity.weights import k_hat_limit, pareto_smoothed

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit

__all__ = ["Loo", "LooDifference", "loo", "loo_difference", "psis_loo"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Loo:
    """Leave-one-out predictive accuracy.

    Attributes
    ----------
    by : str
        Kind of unit.
    labels : tuple of str
        The units.
    counts : ndarray of int, shape (U,)
        How many identical rows each unit stands for.
    elpd_unit, lppd_unit, k_hat : ndarray, shape (U,)
        Log predictive density of one of each unit given all else, the same within the sample, and the Pareto shape of the
        weights. NaN where they cannot be computed.
    draws : str
        Which draws were used.
    used : int
        How many.
    facts : tuple of (str, str)
        What must agree with another one for a comparison: digest of the data, kind of likelihood.
    doubt : str
        What the checks of the fit itself say, where they did not pass.
    """

    by: str
    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    elpd_unit: FloatArray
    lppd_unit: FloatArray
    k_hat: FloatArray
    draws: str
    used: int
    facts: tuple[tuple[str, str], ...] = ()
    doubt: str = ""

    @property
    def size(self) -> int:
        """Number of rows, identical ones counted."""
        return int(self.counts.sum())

    @property
    def elpd(self) -> float:
        """Expected log predictive density: the sum over all rows."""
        return float(self.counts @ self.elpd_unit)

    @property
    def se(self) -> float:
        """Its standard error, over rows as a sample of those there could be."""
        return _standard_error(self.elpd_unit, self.counts)

    @property
    def p_loo(self) -> float:
        """Effective number of parameters."""
        return float(self.counts @ (self.lppd_unit - self.elpd_unit))

    @property
    def limit(self) -> float:
        """Largest k-hat that is trusted."""
        return k_hat_limit(self.used)

    @property
    def unreliable(self) -> int:
        """Rows whose weights cannot be trusted, or that have no number."""
        return int(self.counts[~(self.k_hat <= self.limit)].sum())

    @property
    def k_hat_counts(self) -> dict[str, int]:
        """Rows by k-hat: good, bad (up to 1), very bad, and not computed."""
        k, limit = self.k_hat, self.limit
        bins = {
            f"good (k-hat up to {limit:.2f})": k <= limit,
            f"bad ({limit:.2f} to 1)": (k > limit) & (k <= 1.0),
            "very bad (over 1)": k > 1.0,
            "not computed": np.isnan(k),
        }
        return {name: int(self.counts[here].sum()) for name, here in bins.items()}

    @property
    def table(self) -> pd.DataFrame:
        """One row for each unit: count, elpd, p_loo and k_hat of one of it."""
        import pandas as pd

        columns = {"count": self.counts, "elpd": self.elpd_unit, "p_loo": self.lppd_unit - self.elpd_unit, "k_hat": self.k_hat}
        return pd.DataFrame(columns, index=pd.Index(self.labels, name="unit"))

    @property
    def headline(self) -> str:
        """The result in one line; what cannot be trusted comes first."""
        bad = self.unreliable
        first = f"UNRELIABLE for {bad} of {self.size} rows (k-hat over {self.limit:.2f}, or no number): " if bad else ""
        told = f"elpd {self.elpd:.1f}, standard error {self.se:.1f}, p_loo {self.p_loo:.1f}, by {self.by}, {self.draws}."
        return f"{self.doubt}{first}{told}"

    def __repr__(self) -> str:
        return "\n".join([self.headline, *(f"{count:>6}  {name}" for name, count in self.k_hat_counts.items())])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{count}</td></tr>" for name, count in self.k_hat_counts.items())
        return f"<p>{html.escape(self.headline)}</p><table>{rows}</table>"

    def to_json(self) -> str:
        """Strict JSON: NaN and infinite values are null."""
        table = self.table.reset_index().to_dict("records")
        units = [{k: _plain(v) for k, v in row.items()} for row in table]
        facts = {"by": self.by, "size": self.size, "k_hat_limit": self.limit, "unreliable": self.unreliable}
        numbers = {k: _plain(getattr(self, k)) for k in ("elpd", "se", "p_loo")}
        told = {"schema": "bayeskit.loo/1", **facts, **numbers, "draws": self.draws, "headline": self.headline}
        return json.dumps({**told, "units": units}, allow_nan=False, ensure_ascii=False)


@dataclass(frozen=True)
class LooDifference:
    """Difference of two predictive accuracies on the same rows, or why there is none.

    Attributes
    ----------
    elpd, se : float
        First less second, and the standard error of the difference, row by row; NaN where they cannot be compared.
    reason : str
        Why they cannot be compared, or "" where they can.
    """

    elpd: float
    se: float
    reason: str = ""


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _standard_error(each: FloatArray, counts: NDArray[np.int64]) -> float:
    size = counts.sum()
    mean = counts @ each / size
    return float(np.sqrt(size * (counts @ (each - mean) ** 2) / (size - 1))) if size > 1 else math.nan


def psis_loo(log_likelihood: FloatArray, r_eff: float | None = None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log predictive densities without and with each unit, and k-hat.

    Parameters
    ----------
    log_likelihood : ndarray, shape (chains, draws, U)
        What one of each unit adds to the log likelihood.
    r_eff : float, optional
        Relative effective sample size for the smoothing; by default that of the weights.

    Returns
    -------
    elpd, lppd, k_hat : ndarray, shape (U,)
    """
    units = log_likelihood.shape[-1]
    elpd, lppd, k_hat = (np.full(units, np.nan) for _ in range(3))
    for u in range(units):
        here = log_likelihood[..., u]
        if not np.isfinite(here).all():
            continue
        weights = pareto_smoothed(-here, r_eff)
        flat, top = here.reshape(-1), here.max()
        elpd[u] = top + np.log(weights.values @ np.exp(flat - top))
        lppd[u] = top + np.log(np.mean(np.exp(flat - top)))
        k_hat[u] = weights.k_hat
    return elpd, lppd, k_hat


def loo(fit: Fit, by: str = "row", *, thin_to: int | None = None) -> Loo:
    """Predict each unit from the others; see `Fit.loo`."""
    found = contributions(fit, by, thin_to)
    elpd, lppd, k_hat = psis_loo(found.values)
    statistics = fit._need_statistics("be cross-validated")
    facts = (
        ("data", str(fit.provenance["data"].get("digest"))),
        ("likelihood", str(statistics.attrs.get("likelihood", ""))),
    )
    return Loo(by, found.labels, found.counts, elpd, lppd, k_hat, found.told, found.used, facts, doubt(fit))


def loo_difference(first: Loo, second: Loo) -> LooDifference:
    """First less second, where both predict the same rows of the same data by the same kind of likelihood."""
    reason = _not_comparable(first, second)
    if reason:
        return LooDifference(math.nan, math.nan, reason)
    each = first.elpd_unit - second.elpd_unit
    bad = max(first.unreliable, second.unreliable)
    if bad:
        return LooDifference(math.nan, math.nan, f"k-hat over the limit for {bad} of {first.size} rows")
    return LooDifference(float(first.counts @ each), _standard_error(each, first.counts))


def _not_comparable(first: Loo, second: Loo) -> str:
    if first.by != second.by:
        return f"one is by {first.by}, the other by {second.by}"
    words = {"data": "they read other data (the digests differ)", "likelihood": "they have different kinds of likelihood"}
    for (name, one), (_, other) in zip(first.facts, second.facts, strict=True):
        if one != other:
            return words[name]
        if name == "data" and one == "None":
            return "the digest of the data is not known"
    if first.labels != second.labels or not np.array_equal(first.counts, second.counts):
        return "they do not have the same units"
    return ""
