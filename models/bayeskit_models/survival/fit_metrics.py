"""How well a fit predicts rows with known outcomes: every metric for every draw, and for the mean prediction of all draws."""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayeskit.errors import DataError, SpecificationError, suggest
from bayeskit.intake import encode
from bayeskit_models.survival import metric_calibration as calibrated
from bayeskit_models.survival import metrics as scored
from bayeskit_models.survival import population
from bayeskit_models.survival.kernel import KINDS
from bayeskit_models.survival.metrics import Followed, StepCurve
from bayeskit_models.survival.predictors import predictors
from bayeskit_models.survival.statistics import row_times, standardised

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit import Rows
    from bayeskit_models.survival.model import FlexibleSurvival
    from bayeskit_models.survival.survival_fit import SurvivalFit

__all__ = ["LABELS", "SurvivalMetrics", "fit_metrics"]

FloatArray = NDArray[np.float64]

LABELS = {
    "harrell_c": ("Harrell's C", "1"),
    "uno_c": ("Uno's C", "1"),
    "auc": ("cumulative/dynamic AUC", "1"),
    "brier": ("IPCW Brier score", "0"),
    "integrated_brier": ("integrated Brier score", "0"),
    "calibration_slope": ("calibration slope", "exactly 1"),
    "observed_over_expected": ("observed / expected events", "exactly 1"),
    "ici": ("integrated calibration index", "0"),
    "d_calibration": ("D-calibration statistic", "small"),
}
"""Metrics in the order of the table: their names in words, and their value at its best."""

_BINS = 10
_CELLS = 1_000_000  # draws times rows that are looked at together
_FEW = 10  # rows at risk below which a number at that time is called unreliable
_RARE = 0.1  # probability of not being censored below which one row may decide


@dataclass(frozen=True)
class SurvivalMetrics:
    """Agreement of the predictions of a fit with known outcomes.

    Attributes
    ----------
    draws : Dataset
        Metrics by draw, dimension "sample"; "auc" and "brier" also by "time", "d_share" by "bin".
    predictive : Dataset
        The same of the posterior mean of S(t|x), the prediction one would make.
    null : Dataset
        "brier" and "integrated_brier" of the Kaplan-Meier curve of the test rows, which knows no covariates but has seen the
        outcomes.
    times : tuple of float
        Of AUC(t) and Brier(t), and the range of the integrated score; the user's unit.
    tau : float
        Horizon of the risk by which rows are ordered, of Uno's C, the slope and the ICI.
    prob, kind : float, str
        Of the intervals. They hold the posterior uncertainty of the predictions for these rows, not the sampling error of the
        test set.
    censoring : str
        Whose Kaplan-Meier curve of the time to censoring weighs the rows: "test" or "training".
    rows, events : float
        Of the test table (sums of weights).
    few : tuple of float
        Times at which fewer than 10 rows were at risk, or under 10 % uncensored: their numbers are unreliable.
    warnings, notes : tuple of str
        What must be known first, and what else.
    """

    draws: xr.Dataset
    predictive: xr.Dataset
    null: xr.Dataset
    times: tuple[float, ...]
    tau: float
    prob: float
    kind: str
    censoring: str
    rows: float
    events: float
    few: tuple[float, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row for each metric and, for some, time.

        Returns
        -------
        DataFrame
            Columns metric, time (NaN where it is none's; tau where it is of one horizon), mean, median, lower, upper (over
            draws), predictive (of the mean prediction), null (of Kaplan-Meier), best, state, message. ``attrs`` say prob and
            kind.
        """
        import pandas as pd

        out = pd.DataFrame([self._row(name, i) for name in LABELS for i in range(self.draws[name].sizes.get("time", 1))])
        out.attrs = {"prob": self.prob, "kind": self.kind}
        return out

    def _row(self, name: str, place: int) -> dict[str, Any]:
        from bayeskit.estimands import interval

        timed = "time" in self.draws[name].dims
        values = self.draws[name].values.reshape(self.draws.sizes["sample"], -1)[:, place]
        good = values[np.isfinite(values)]
        ends = interval(good, self.prob, "hdi" if self.kind == "hdi" else "eti") if len(good) else (np.nan, np.nan)
        horizon = self.times[place] if timed else self.tau if name in _AT_TAU else np.nan
        state, message = self._state(name, horizon, len(good), len(values))
        return {
            "metric": name,
            "time": horizon,
            "mean": good.mean() if len(good) else np.nan,
            "median": np.median(good) if len(good) else np.nan,
            "lower": ends[0],
            "upper": ends[1],
            "predictive": float(np.ravel(self.predictive[name].values)[place]),
            "null": float(np.ravel(self.null[name].values)[place]) if name in self.null else np.nan,
            "best": LABELS[name][1],
            "state": state,
            "message": message,
        }

    def _state(self, name: str, horizon: float, good: int, size: int) -> tuple[str, str]:
        if good == 0:
            return "not computed", _WHY.get(name, "no pair of rows can be compared")
        if good < size:
            return "partly computed", f"{size - good} of {size} draws have none and are left out"
        timed = name in ("auc", "brier", "uno_c", "ici")
        if (timed and horizon in self.few) or (name == "integrated_brier" and set(self.few) & set(self.times)):
            return "unreliable", f"under {_FEW} rows at risk, or under {_RARE:.0%} uncensored by then"
        return "ok", ""

    @property
    def p_d_calibration(self) -> float:
        """P-value of the D-calibration of the mean prediction: chi-squared, 9 degrees; on the safe side under censoring."""
        from scipy.stats import chi2

        return float(chi2.sf(float(self.predictive["d_calibration"]), _BINS - 1))

    @property
    def headline(self) -> str:
        """What is wrong first, then what the numbers are."""
        states = [s for s in self.table["state"] if s != "ok"]
        wrong = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        first = " ".join([*self.warnings, *([f"Of {len(self.table)} numbers: {wrong}."] if wrong else [])])
        kind = {"eti": "equal-tailed", "hdi": "narrowest"}[self.kind]
        told = (
            f"Predictions of {self.rows:g} rows with {self.events:g} events; {self.prob:.0%} {kind} credible intervals over "
            f"{self.draws.sizes['sample']} draws (of the predictions; the sampling error of the rows is not in them)"
        )
        return f"{first} {told}" if first else told

    def _notes(self) -> list[str]:
        return [
            f"Rows are ordered by the predicted risk by {self.tau:g} (AUC: by its own time), which is also the horizon of "
            "Uno's C, the slope and the ICI.",
            f"Weights: Kaplan-Meier of the time to censoring in the {self.censoring} rows. null: Kaplan-Meier of the test "
            "rows. predictive: score of the posterior mean prediction.",
            f"D-calibration of the mean prediction: p = {self.p_d_calibration:.3g}.",
            *self.notes,
        ]

    def _shown(self) -> pd.DataFrame:
        shown = self.table.drop(columns=["median", "message"])
        shown["metric"] = [LABELS[m][0] for m in shown["metric"]]
        return shown.round(4)

    def __repr__(self) -> str:
        table = self._shown().to_string(index=False, na_rep="")
        return "\n".join([self.headline, table, *self._messages(), *self._notes()])

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(text)}</li>" for text in [*self._messages(), *self._notes()])
        return f"<p>{html.escape(self.headline)}</p>{self._shown().to_html(index=False, na_rep='')}<ul>{items}</ul>"

    def _messages(self) -> list[str]:
        rows = self.table.loc[self.table["message"] != ""]
        return list(dict.fromkeys(f"{LABELS[m][0]}: {s}; {t}." for m, s, t in rows[["metric", "state", "message"]].values))

    def to_json(self) -> str:
        """Strict JSON, schema ``bayeskit.survival_metrics/1``: NaN and infinite values are null."""
        rows = [{k: _plain(v) for k, v in row.items()} for row in self.table.to_dict("records")]
        facts = {
            "times": list(self.times), "tau": self.tau, "prob": self.prob, "kind": self.kind, "censoring": self.censoring,
            "rows": self.rows, "events": self.events, "draws": int(self.draws.sizes["sample"]),
            "d_shares": [_plain(float(v)) for v in self.predictive["d_share"].values],
            "p_d_calibration": _plain(self.p_d_calibration), "few_at_risk": list(self.few),
            "warnings": list(self.warnings), "notes": self._notes(),
        }  # fmt: skip
        out = {"schema": "bayeskit.survival_metrics/1", "headline": self.headline, **facts, "metrics": rows}
        return json.dumps(out, allow_nan=False, ensure_ascii=False)


_AT_TAU = ("harrell_c", "uno_c", "calibration_slope", "ici")
_WHY = {
    "integrated_brier": "one time has no range to integrate over",
    "calibration_slope": "all predictions are one, or no finite slope is the best",
    "ici": "the smooth regression has no finite solution",
}


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value


def fit_metrics(
    fit: SurvivalFit,
    test: Any,
    times: ArrayLike | None,
    tau: float | None,
    prob: float,
    kind: Literal["eti", "hdi"],
    censoring: Literal["test", "training"],
    left: bool,
    draws: int,
) -> SurvivalMetrics:
    """See `SurvivalFit.metrics`."""
    _check(fit, prob, kind, censoring, draws)
    coded = _coded(fit, test)
    rows, keep = _outcomes(fit.spec, coded)
    curve = scored.censoring_curve(rows if censoring == "test" else _training(fit))
    at, horizon = _horizons(rows, times, tau, curve, censoring)
    used, logs = _predicted(fit, coded, keep, draws)
    sizes = max(1, _CELLS // len(rows.time))
    parts, mean = [], _Mean(rows.time, np.append(at, horizon))
    for start in range(0, len(used), sizes):
        hazards = _hazards(fit, rows.time, np.append(at, horizon), [p[start : start + sizes] for p in logs])
        mean.add(*hazards)
        parts.append(_scores(*hazards, rows, curve, at, horizon, left))
    dims = {"auc": ("time",), "brier": ("time",), "d_share": ("bin",)}
    coords = {"time": at, "bin": (np.arange(_BINS) + 0.5) / _BINS}
    joined = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    by_draw = xr.Dataset({k: (("sample", *dims.get(k, ())), v) for k, v in joined.items()}, {**coords, "sample": used})
    one = _scores(*mean.hazards(), rows, curve, at, horizon, left)
    predictive = xr.Dataset({k: (dims.get(k, ()), v[0]) for k, v in one.items()}, coords)
    marginal = scored.survival_curve(rows)
    same = np.stack([np.full(len(rows.time), float(marginal.at(t))) for t in at])
    null = np.array([scored.brier(s, rows, curve, t, left=left)[0] for s, t in zip(same, at, strict=True)])
    nothing = xr.Dataset({"brier": (("time",), null), "integrated_brier": ((), scored.integrated(null, at)[0])}, coords)
    every = sorted({*map(float, at), horizon})
    few = tuple(t for t in every if (rows.time > t).sum() < _FEW or float(curve.at(t)) < _RARE)
    warnings, notes = _told(fit, coded, at, horizon, len(used), left)
    total, events = float(rows.weight.sum()), float((rows.weight * rows.event).sum())
    return SurvivalMetrics(
        by_draw, predictive, nothing, tuple(map(float, at)), horizon, prob, kind, censoring, total, events, few, warnings, notes
    )


def _check(fit: SurvivalFit, prob: float, kind: str, censoring: str, draws: int) -> None:
    if not 0.0 < prob < 1.0:
        raise SpecificationError(f"prob={prob!r}: a probability strictly between 0 and 1, such as 0.95.")
    for name, value, allowed in (("kind", kind, ("eti", "hdi")), ("censoring", censoring, ("test", "training"))):
        if value not in allowed:
            told = " or ".join(map(repr, allowed))
            raise SpecificationError(f"{name}={value!r}: must be {told}.{suggest(str(value), allowed)}")
    if not isinstance(draws, int) or draws < 1:
        raise SpecificationError(f"draws={draws!r}: a whole number of at least 1.")
    if fit.spec.background is not None:
        raise SpecificationError(
            f"metrics: this model is of survival net of the background hazard ({fit.spec.background!r}), but outcomes are "
            "events of any cause, so they cannot score it. Fit without background, or judge the fit by its sensitivity."
        )


def _coded(fit: SurvivalFit, test: Any) -> Rows:
    """The test table with the labels of the fit; one without the column of groups is predicted for the mean group."""
    group = fit.spec.group
    given = test.keys() if isinstance(test, dict) else getattr(test, "columns", (group,))
    wanted = [c for c in fit.spec.columns() if c.role != "group" or group in list(given)]
    roles = {c.role for c in wanted}
    return encode(test, wanted, levels={k: v for k, v in fit.levels.items() if k in roles})


def _outcomes(spec: FlexibleSurvival, coded: Rows) -> tuple[Followed, NDArray[np.bool_]]:
    """Times and events of the rows that say something, and which those are."""
    lower, upper, kind, entry = row_times(spec, coded)
    weight = np.asarray(coded.columns.get("weights", np.ones(coded.n)), dtype=float)
    between = (kind == KINDS.index("left")) | (kind == KINDS.index("interval"))
    for bad, column, problem, fix in (
        (between, "upper", "{} events are known to an interval only.", "leave them out, or score the fit by loo."),
        (entry > 0.0, "entry", "{} rows entered late.", "leave them out: the others were followed from time 0."),
    ):
        if bad.any():
            where = np.flatnonzero(bad)
            raise DataError(
                problem.format(len(where)), column=column, rows=where[:1000].tolist(), found=len(where),
                values=np.where(between, upper, entry)[where[:5]].tolist(),
                rule="metrics weigh rows that were followed from time 0 to an event or to censoring.", fix=fix,
            )  # fmt: skip
    keep = ((kind == KINDS.index("exact")) | (lower > 0.0)) & (weight > 0.0)
    return Followed(lower[keep], kind[keep] == KINDS.index("exact"), weight[keep]), keep


def _training(fit: SurvivalFit) -> Followed:
    """What happened to the rows of the fit."""
    found = fit._need_statistics("weigh by the censoring of the training rows")
    pointer = found["kind_ptr"].values
    if pointer[4] > pointer[2] or found.sizes.get("late", 0):
        raise SpecificationError(
            "censoring='training': the fit has rows in intervals or with late entry, whose censoring has no Kaplan-Meier "
            "curve. Use censoring='test'."
        )
    time = np.exp(found["log_lower"].values) * float(found["time_scale"])
    return Followed(time, np.arange(len(time)) < pointer[1], found["weight"].values)


def _horizons(
    rows: Followed, times: ArrayLike | None, tau: float | None, curve: StepCurve, censoring: str
) -> tuple[FloatArray, float]:
    """Times at which rows are scored, checked against what was observed."""
    if times is None:
        inner = np.quantile(rows.time[rows.event], (0.1, 0.25, 0.5, 0.75, 0.9), method="inverted_cdf")
        within = inner[(inner < rows.time.max()) & (curve.at(inner) > 0.0)]
        at = np.unique(within)
    else:
        at = np.atleast_1d(np.asarray(times, dtype=float))
    if at.ndim != 1 or not at.size or not np.isfinite(at).all() or (at <= 0).any() or (np.diff(at) <= 0).any():
        raise SpecificationError(
            f"times={np.ravel(at)[:5].tolist()}: give ascending finite times above 0, in the table's unit."
        )
    horizon = float(at[-1]) if tau is None else float(tau)
    for name, value in [*(("times", float(t)) for t in at), ("tau", horizon)]:
        if not 0.0 < value < rows.time.max():
            raise SpecificationError(
                f"{name}: {value:g} does not lie within the follow-up of the test rows, 0 to {rows.time.max():g}: nobody "
                "is left there to score. Choose earlier times."
            )
        if not curve.at(value) > 0.0 or not (curve.at(rows.time[rows.event & (rows.time <= value)]) > 0.0).all():
            raise SpecificationError(
                f"{name}: nobody of the {censoring} set was followed past {value:g}, so no weight makes up for who was "
                "censored. Choose earlier times" + (", or censoring='test'." if censoring == "training" else ".")
            )
    return at, horizon


def _predicted(
    fit: SurvivalFit, coded: Rows, keep: NDArray[np.bool_], draws: int
) -> tuple[NDArray[np.int64], list[FloatArray]]:
    """Evenly spaced draws, and their predictors of the kept rows."""
    designs = standardised(fit.spec, fit._need_design("predict"), coded)
    size = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    used = np.unique(np.linspace(0, size - 1, min(draws, size)).round().astype(np.int64))
    values = {k: v[used] for k, v in fit._values.items()}
    group = coded.columns.get("group")
    group = group[keep] if group is not None else None
    found = predictors(fit.spec, values, {k: v[keep] for k, v in designs.items()}, fit.dials, group)
    return used, [np.broadcast_to(p, (len(used), int(keep.sum()))) for p in found]


def _hazards(fit: SurvivalFit, own: FloatArray, at: FloatArray, logs: list[FloatArray]) -> tuple[FloatArray, list[FloatArray]]:
    """Cumulative hazards at the rows' own times, and at each of `at`; each of shape (S, n)."""
    with np.errstate(over="ignore", divide="ignore"):
        found = [np.asarray(population.cumulative_hazard(np.log(t / fit.time_unit), *logs)) for t in (own, *at)]
    return found[0], found[1:]


class _Mean:
    """Running mean of survival over draws, kept as logarithms so that small probabilities are not lost."""

    def __init__(self, own: FloatArray, at: FloatArray) -> None:
        self.logs = [np.full(len(own), -np.inf) for _ in range(1 + len(at))]
        self.size = 0

    def add(self, own: FloatArray, at: list[FloatArray]) -> None:
        self.size += len(own)
        for place, hazard in enumerate((own, *at)):
            self.logs[place] = np.logaddexp(self.logs[place], np.logaddexp.reduce(-hazard, axis=0))

    def hazards(self) -> tuple[FloatArray, list[FloatArray]]:
        found = [(np.log(self.size) - total)[None] for total in self.logs]
        return found[0], found[1:]


def _scores(
    own: FloatArray, at: list[FloatArray], rows: Followed, curve: StepCurve, times: FloatArray, tau: float, left: bool
) -> dict[str, FloatArray]:
    """All metrics by draw; `at` has the cumulative hazards at `times`, then at `tau`."""
    risk = at[-1]
    with np.errstate(divide="ignore"):
        z = np.log(risk)
    pairs = list(zip(at[:-1], times, strict=True))
    errors = np.stack([scored.brier(np.exp(-h), rows, curve, t, left=left) for h, t in pairs], axis=1)
    observed = calibrated.smooth_observed(z, rows, tau)
    shares = calibrated.d_shares(np.exp(-own), rows, _BINS)
    return {
        "harrell_c": scored.concordance(risk, rows),
        "uno_c": scored.uno_concordance(risk, rows, curve, tau, left=left),
        "auc": np.stack([scored.auc(h, rows, curve, t, left=left) for h, t in pairs], axis=1),
        "brier": errors,
        "integrated_brier": scored.integrated(errors, times),
        "calibration_slope": calibrated.calibration_slope(z, own, rows),
        "observed_over_expected": calibrated.observed_over_expected(own, rows),
        "ici": np.abs(-np.expm1(-risk) - observed) @ rows.weight / rows.weight.sum(),
        "d_calibration": calibrated.d_calibration(shares, float(rows.weight.sum())),
        "d_share": shares,
    }


def _told(
    fit: SurvivalFit, coded: Rows, at: FloatArray, tau: float, used: int, left: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What must be known before the numbers are used, and what else."""
    warnings, notes = [], []
    if fit.verdict.status.value != "PASS":
        warnings.append(f"The fit: {str(fit.verdict).splitlines()[0]}.")
    if coded.digest == fit.provenance["data"]["digest"]:
        warnings.append("These are the rows that were fitted: the scores are apparent ones, better than new rows would have.")
    late = sorted({float(t) for t in (*at, tau) if t > fit.follow_up})
    if late:
        told = ", ".join(f"{t:g}" for t in late)
        notes.append(f"Times after {fit.follow_up:g}, the end of the follow-up of the fit, are extrapolation: {told}.")
    size = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    if used < size:
        notes.append(f"{used} of {size} draws, evenly spaced.")
    if left:
        notes.append("The censoring curve is read just before each event.")
    return tuple(warnings), (*notes, *coded.notes)
