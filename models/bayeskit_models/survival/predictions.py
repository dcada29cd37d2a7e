"""Predictions from the draws of a survival fit: survival, hazards, times, cure and shapes, as labelled draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayeskit.errors import SpecificationError
from bayeskit.intake import encode
from bayeskit_models.answers import Answer, chance
from bayeskit_models.survival import population
from bayeskit_models.survival.distribution import SHAPES, hazard_shape
from bayeskit_models.survival.estimands import restricted_mean
from bayeskit_models.survival.predictors import predictors
from bayeskit_models.survival.statistics import COMPONENTS, standardised

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit import Rows

__all__ = ["Predictions"]

FloatArray = NDArray[np.float64]
Logs = tuple[FloatArray, ...]

_MOST = 200_000_000  # numbers in one answer


class Predictions:
    """What can be asked of the draws. Methods only; the state is the fit's.

    Where the model has a gamma frailty an answer is about the population: averaged over the frailties of groups nobody knows.
    With the column of the groups in `new` it is about those groups; with `given_frailty` about a group of a stated frailty.
    """

    if TYPE_CHECKING:  # what a fit has
        spec: Any
        dials: Mapping[str, float]
        levels: Mapping[str, tuple[str, ...]]
        provenance: Mapping[str, Any]
        posterior: xr.Dataset
        _need_design: Any
        _need_statistics: Any

    # -- predictions ------------------------------------------------------------------------------------------------

    @property
    def time_unit(self) -> float:
        """The user's time that is one inside the model."""
        return float(self._need_design("predict")["time_scale"])

    @property
    def follow_up(self) -> float:
        """The longest time anybody was followed: beyond it everything is extrapolation."""
        return float(self._need_design("predict")["follow_up"])

    @cached_property
    def _values(self) -> dict[str, FloatArray]:
        posterior = self.posterior
        shape = posterior.sizes["chain"] * posterior.sizes["draw"]
        found = {str(n): v.transpose("chain", "draw", ...).values for n, v in posterior.data_vars.items()}
        return {n: v.reshape(shape, *v.shape[2:]) for n, v in found.items()}

    def _logs(self, new: Any) -> tuple[Logs, list[str]]:
        """Predictors of every draw and new row, shape (S, n), and labels of the rows."""
        statistics = self._need_design("predict")
        if new is None:
            average = {c: np.zeros((1, statistics.sizes.get(f"{c}_term", 0))) for c in COMPONENTS}
            found = predictors(self.spec, self._values, average, self.dials)
            return self._spread(self._of_frailty(found, None)), ["average covariates" if self.spec.covariates else "all"]
        rows = self._rows(new)
        group = rows.columns.get("group")
        found = predictors(self.spec, self._values, standardised(self.spec, statistics, rows), self.dials, group)
        return self._spread(self._of_frailty(found, rows.columns.get("frailty"))), _labels(rows)

    def _of_frailty(self, logs: Logs, place: NDArray[np.int64] | None) -> Logs:
        """Multiply the hazards by a known frailty, or by the draws of those of some groups; else leave the population's law."""
        if len(logs) == 4 or (self._factor is None and place is None):
            return logs
        factor = self._frailties[:, place] if self._factor is None else self._factor
        return logs[0], logs[1] + np.log(factor), logs[2], logs[3]

    _factor: float | None = None

    @cached_property
    def _frailties(self) -> FloatArray:
        """A draw of every group's frailty for each draw of the parameters, shape (S, groups); the same ones every time."""
        from bayeskit_models.survival.censored import predictors_in_parts
        from bayeskit_models.survival.frailty import frailty_posterior

        statistics = self._need_statistics("tell the frailties of its groups")
        rng = np.random.default_rng(self.provenance["sampling"]["seed"])
        size = len(next(iter(self._values.values())))
        step = max(2_000_000 // statistics.sizes["row"], 1)
        found = [
            frailty_posterior(logs, statistics)
            for _, logs in predictors_in_parts(self.spec, self._values, statistics, self.dials, step, size)
        ]
        shape, rate = (np.concatenate(part) for part in zip(*found, strict=True))
        return np.asarray(np.maximum(rng.gamma(shape) / rate, 1e-300))

    def given_frailty(self, factor: float = 1.0) -> GivenFrailty:
        """The same questions, answered for a group whose frailty is known: conditional in place of population answers.

        Parameters
        ----------
        factor : float
            The factor of the group's hazards; 1 is the mean of the population.

        Raises
        ------
        SpecificationError
            For a model without frailty, and a factor that is not above 0.
        """
        if self.spec.frailty is None:
            raise SpecificationError("given_frailty: this model has no frailty (frailty='column of groups').")
        if not (np.isfinite(factor) and factor > 0):
            raise SpecificationError(f"factor={factor!r}: a frailty is a finite number above 0; 1 is the mean.")
        return GivenFrailty(self, float(factor))

    def frailties(self) -> Answer:
        """The factor of the hazards of each group in the table.

        Raises
        ------
        SpecificationError
            For a model without frailty.
        StorageError
            If the run was saved without its rows.
        """
        if self.spec.frailty is None:
            raise SpecificationError("frailties: this model has no frailty (frailty='column of groups').")
        label = "factor of the group's hazards (frailty)"
        return self._answer(self._frailties, list(self.levels["frailty"]), None, label, "ratio")

    def _spread(self, logs: Logs) -> Logs:
        size = len(next(iter(self._values.values())))
        most = max(p.shape[-1] for p in logs)
        return tuple(np.broadcast_to(p, (size, most)) for p in logs)  # type: ignore[return-value]

    def _rows(self, new: Any) -> Rows:
        wanted = [c for c in self.spec.columns() if c.role.startswith("x_")]
        spec = self.spec
        if not wanted and spec.group is None and (spec.frailty is None or self._factor is not None):
            raise SpecificationError("new: this model has no covariates; leave it out.")
        names = _names(new)
        for role, column in (("group", spec.group), ("frailty", spec.frailty if self._factor is None else None)):
            if column is not None and (names is None or column in names):
                wanted += [c for c in spec.columns() if c.role == role]
        known = {k: v for k, v in self.levels.items() if k in {c.role for c in wanted}}
        return encode(new, wanted, levels=known)

    def _answer(
        self, values: FloatArray, rows: list[str], times: FloatArray | None, label: str, units: str, note: str = ""
    ) -> Answer:
        sizes = self.posterior.sizes
        dims = ["chain", "draw", "row", *(["time"] if times is not None else [])]
        shaped = values.reshape(sizes["chain"], sizes["draw"], *values.shape[1:])
        coords: dict[str, Any] = {"row": rows, "chain": self.posterior["chain"].values, "draw": self.posterior["draw"].values}
        if times is not None:
            coords["time"] = times
        return Answer(xr.DataArray(shaped, dims=dims, coords=coords, name=label), label, units, note)

    def _over_time(self, new: Any, times: ArrayLike, function: Any, label: str, units: str) -> Answer:
        logs, rows = self._logs(new)
        at = _times(times)
        if logs[0].size * len(at) > _MOST:
            raise SpecificationError(
                f"{logs[0].shape[1]} rows x {len(at)} times x {len(logs[0])} draws are too many: ask for fewer."
            )
        with np.errstate(divide="ignore", over="ignore"):
            values = function(np.log(at / self.time_unit), tuple(p[..., None] for p in logs))
        return self._answer(np.asarray(values), rows, at, label, units, self._beyond(at))

    def _beyond(self, at: FloatArray) -> str:
        beyond = at[at > self.follow_up]
        return (
            f"Times after {self.follow_up:g}, the end of follow-up, are extrapolation: {_list(beyond)}." if len(beyond) else ""
        )

    def survival(self, new: Any = None, times: ArrayLike = ()) -> Answer:
        """Probability of no event by each time.

        Parameters
        ----------
        new : table, optional
            Covariates; see the class.
        times : array_like
            In the user's unit.
        """
        return self._over_time(
            new, times, lambda t, p: np.exp(-population.cumulative_hazard(t, *p)), "probability of no event by this time",
            "probability",
        )  # fmt: skip

    def cumulative_hazard(self, new: Any = None, times: ArrayLike = ()) -> Answer:
        """Cumulative hazard at each time; see `survival`."""
        return self._over_time(
            new, times, lambda t, p: population.cumulative_hazard(t, *p), "cumulative hazard", "expected events"
        )

    def hazard(self, new: Any = None, times: ArrayLike = ()) -> Answer:
        """Hazard at each time, events per unit of time among those still at risk; see `survival`."""
        unit = self.time_unit
        return self._over_time(
            new, times, lambda t, p: np.exp(population.log_hazard(t, *p)) / unit, "hazard", "events per unit of time"
        )

    def quantile(self, p: float | ArrayLike = 0.5, new: Any = None) -> Answer:
        """Time by which a share `p` has had the event; inf ("not reached") where the cured are too many."""
        logs, rows = self._logs(new)
        share = np.atleast_1d(np.asarray(p, dtype=float))
        if not ((share > 0) & (share < 1)).all():
            raise SpecificationError(f"p={p!r}: shares lie strictly between 0 and 1.")
        with np.errstate(divide="ignore", over="ignore"):
            found = np.exp(population.log_quantile(-np.log1p(-share), *(q[..., None] for q in logs))) * self.time_unit
        answer = self._answer(found, rows, share, "time by which this share has had the event", "time")
        late = float((found > self.follow_up).mean())
        note = f"{late:.0%} of these times lie beyond the end of follow-up ({self.follow_up:g})." if late > 0.01 else ""
        return Answer(answer.draws.rename(time="share"), answer.label, answer.units, note)

    def rmst(self, tau: float, new: Any = None) -> Answer:
        """Restricted mean: the mean time without the event up to `tau`."""
        logs, rows = self._logs(new)
        at = _times(tau)
        found = restricted_mean(float(at[0]) / self.time_unit, logs) * self.time_unit
        return self._answer(found, rows, None, f"mean time without the event up to {float(at[0]):g}", "time", self._beyond(at))

    def rmst_difference(self, tau: float, a: Any, b: Any) -> Answer:
        """Restricted mean of `a` less that of `b`, each one row of covariates."""
        first, second = self._pair(a, b)
        at = _times(tau)
        first_mean, second_mean = (restricted_mean(float(at[0]) / self.time_unit, p) * self.time_unit for p in (first, second))
        label = f"difference of mean times without the event up to {float(at[0]):g}, a - b"
        return self._answer(first_mean - second_mean, ["a - b"], None, label, "time", self._beyond(at))

    def rmst_ratio(self, tau: float, a: Any, b: Any) -> Answer:
        """Restricted mean of `a` over that of `b`, each one row of covariates."""
        first, second = self._pair(a, b)
        at = _times(tau)
        ratio = restricted_mean(float(at[0]) / self.time_unit, first) / restricted_mean(float(at[0]) / self.time_unit, second)
        label = f"ratio of mean times without the event up to {float(at[0]):g}, a / b"
        return self._answer(ratio, ["a / b"], None, label, "ratio", self._beyond(at))

    def hazard_ratio(self, a: Any, b: Any, times: ArrayLike) -> Answer:
        """Hazard of `a` over that of `b` at each time, each one row of covariates."""
        first, second = self._pair(a, b)
        at = _times(times)
        log_time = np.log(at / self.time_unit)
        logs = [population.log_hazard(log_time, *(q[..., None] for q in p)) for p in (first, second)]
        return self._answer(np.exp(logs[0] - logs[1]), ["a / b"], at, "hazard ratio, a / b", "ratio", self._beyond(at))

    def time_ratio(self, a: Any, b: Any, p: float | ArrayLike = 0.5) -> Answer:
        """Time by which a share `p` of `a` has had the event over that of `b`; inf or NaN where one never does."""
        share = np.atleast_1d(np.asarray(p, dtype=float))
        logs = self._pair(a, b)
        with np.errstate(divide="ignore", invalid="ignore"):
            one, two = (population.log_quantile(-np.log1p(-share), *(q[..., None] for q in part)) for part in logs)
            ratio = np.exp(one - two)
        answer = self._answer(
            ratio, ["a / b"], share, "ratio of the times by which this share has had the event, a / b", "ratio"
        )
        return Answer(answer.draws.rename(time="share"), answer.label, answer.units)

    def _pair(self, a: Any, b: Any) -> tuple[Logs, Logs]:
        (first, rows_a), (second, rows_b) = self._logs(a), self._logs(b)
        for name, rows in (("a", rows_a), ("b", rows_b)):
            if len(rows) != 1:
                raise SpecificationError(f"{name} has {len(rows)} rows: a comparison is of one row with one row.")
        return first, second

    def crossing_time(self, a: Any, b: Any, *, points: int = 400) -> Answer:
        """First time at which the survival curves of `a` and `b` cross; inf where they do not while anybody is followed.

        Looked for on a grid of `points` times, even in the log, from a thousandth of the follow-up on, and refined by
        interpolation of the log ratio of the cumulative hazards.
        """
        first, second = self._pair(a, b)
        at = np.geomspace(1e-3 * self.follow_up, self.follow_up, points)
        log_time = np.log(at / self.time_unit)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            logs = [np.log(population.cumulative_hazard(log_time, *(q[..., 0, None] for q in p))) for p in (first, second)]
        gap = logs[0] - logs[1]
        crosses = np.sign(gap[:, 1:]) * np.sign(gap[:, :-1]) < 0
        place = crosses.argmax(1)
        lines = np.arange(len(gap))
        low, high = gap[lines, place], gap[lines, place + 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(crosses.any(1), low / (low - high), 0.0)  # where nothing crosses any number does: it is not used
        found = at[0] * (at[1] / at[0]) ** (place + part)
        found = np.where(crosses.any(1), found, np.inf)[:, None]
        label = f"first time at which the survival curves of a and b cross, up to {self.follow_up:g}"
        return self._answer(found, ["a and b"], None, label, "time")

    def cure(self, new: Any = None) -> Answer:
        """Share that never has the event: 0 where kappa is 0 or more."""
        logs, rows = self._logs(new)
        found = np.exp(population.log_cure(*logs))
        note = (
            f"P(kappa < 0) {chance(np.expm1(logs[3]) < 0)}: that anybody is cured at all. Nobody was followed "
            f"beyond {self.follow_up:g}; a cured share is what the law says of the time after."
        )
        return self._answer(found, rows, None, "share that never has the event", "probability", note)

    def cured_given_survival(self, time: float, new: Any = None) -> Answer:
        """Probability that who has had no event by `time` never has it."""
        logs, rows = self._logs(new)
        at = _times(time)
        log_cure = population.log_cure(*logs)
        with np.errstate(over="ignore"):
            total = population.cumulative_hazard(np.log(at[0] / self.time_unit), *logs)
        found = np.where(np.isneginf(log_cure), 0.0, np.exp(log_cure + total))
        return self._answer(found, rows, None, f"probability to be cured, given no event by {at[0]:g}", "probability")

    def conditional_survival(self, given: float, times: ArrayLike, new: Any = None) -> Answer:
        """Probability of no event by each time, given none by `given`."""
        at, start = _times(times), _times(given)
        if (at < start[0]).any():
            raise SpecificationError(f"times={at.tolist()}: none may lie before given={start[0]:g}.")
        logs, rows = self._logs(new)
        lead = tuple(p[..., None] for p in logs)
        with np.errstate(divide="ignore", over="ignore"):
            before, after = (population.cumulative_hazard(np.log(t / self.time_unit), *lead) for t in (start, at))
        label = f"probability of no event by this time, given none by {start[0]:g}"
        return self._answer(np.exp(before - after), rows, at, label, "probability", self._beyond(at))

    def row_labels(self, new: Any = None) -> list[str]:
        """How answers name the rows of `new`, such as "trt=1, age=60"."""
        return ["average covariates" if self.spec.covariates else "all"] if new is None else _labels(self._rows(new))

    def hazard_shapes(self, new: Any = None) -> pd.DataFrame:
        """Posterior probability of each of the five shapes of the hazard, one line for each row of covariates."""
        import pandas as pd

        logs, rows = self._logs(new)
        # the law with kappa = 1 and gamma = 1 has a constant hazard: to rounding, where both are fixed
        found = hazard_shape(np.exp(logs[2]), np.round(np.expm1(logs[3]), 12))
        return pd.DataFrame({s: (found == s).mean(0) for s in SHAPES}, index=pd.Index(rows, name="row"))


@dataclass(frozen=True)
class GivenFrailty(Predictions):
    """The predictions of a fit for a group of a known frailty; made by `Predictions.given_frailty`.

    Attributes
    ----------
    fit : SurvivalFit
    factor : float
        The factor of the group's hazards.
    """

    fit: Any
    factor: float

    @property
    def _factor(self) -> float:  # type: ignore[override]
        return self.factor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "fit":
            raise AttributeError(name)
        return getattr(self.fit, name)


def _times(times: ArrayLike) -> FloatArray:
    at = np.atleast_1d(np.asarray(times, dtype=float))
    if at.size == 0 or at.ndim != 1 or not (np.isfinite(at) & (at > 0)).all():
        raise SpecificationError(
            f"times={np.ravel(at)[:5].tolist()}: give one or more finite times above 0, in the unit of the table."
        )
    return at


def _list(values: FloatArray) -> str:
    return ", ".join(f"{v:g}" for v in values[:5]) + (", ..." if len(values) > 5 else "")


def _names(new: Any) -> list[str] | None:
    """Column names of a table, where it tells them."""
    if isinstance(new, dict):
        return list(map(str, new))
    return [str(c) for c in new.columns] if hasattr(new, "columns") else None


def _labels(rows: Rows) -> list[str]:
    """Rows by their covariates, such as "trt=1, age=60"; equal ones are numbered."""
    parts = []
    for role, values in rows.columns.items():
        name = role.removeprefix("x_")
        shown = rows.decode(role) if role in rows.levels else [f"{v:g}" for v in values]
        parts.append([f"{name}={s}" for s in shown])
    found = [", ".join(p) for p in zip(*parts, strict=True)]
    seen: dict[str, int] = {}
    out = []
    for text in found:
        seen[text] = seen.get(text, 0) + 1
        out.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return out
