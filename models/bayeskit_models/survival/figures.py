"""Figures of a survival fit: survival over Kaplan-Meier, hazards, hazard ratios, and which law it is.

What lies beyond the end of follow-up is dashed and pale, under a line that says so: there the law speaks, not the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.errors import SpecificationError
from bayeskit.estimands import interval
from bayeskit.prior_check import prior_draws
from bayeskit.report.content import Figure, interval_phrase
from bayeskit.report.counts import counted
from bayeskit.report.drawing import Canvas, canvas, label_text
from bayeskit.report.figures import smooth_density
from bayeskit.report.palette import GRID, INK, MUTED, SERIES, style
from bayeskit_models.answers import chance
from bayeskit_models.survival import population
from bayeskit_models.survival.censored import predictors_in_parts
from bayeskit_models.survival.informative import arms_of
from bayeskit_models.survival.kaplan_meier import KaplanMeier, kaplan_meier, numbers_at_risk

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayeskit_models.answers import Answer
    from bayeskit_models.survival.survival_fit import SurvivalFit

__all__ = ["average_survival", "hazard_figure", "kappa_figure", "ratio_figure", "rows_of", "survival_figure"]

FloatArray = NDArray[np.float64]

_POINTS = 120
_BEYOND = 1.2  # how far a figure goes, in follow-ups, unless it is told
_NUMBERS = 40_000_000  # evaluations of one figure; where more are asked, draws are thinned evenly
_LEAST = 100  # draws that are always used


@dataclass(frozen=True)
class Curve:
    """One line with its band: `times` ascending, draws of shape (S, T), and the time after which it is extrapolation."""

    label: str
    times: FloatArray
    draws: FloatArray
    until: float
    observed: KaplanMeier | None = None
    at_risk: FloatArray | None = None

    def bounds(self, prob: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Median and ends of the equal-tailed band."""
        ends = interval(self.draws, prob)
        return np.median(self.draws, axis=0), ends[:, 0], ends[:, 1]


def rows_of(fit: SurvivalFit, rows: NDArray[np.bool_] | None = None) -> dict[str, FloatArray]:
    """Times, events, entries and weights of the rows, in the user's unit and in the order of the statistics."""
    statistics = fit._need_statistics("show its rows")
    scale, pointer = float(statistics["time_scale"]), statistics["kind_ptr"].values
    entry = np.zeros(statistics.sizes["row"])
    entry[statistics["entry_row"].values] = np.exp(statistics["log_entry"].values) * scale
    found = {
        "time": np.exp(statistics["log_lower"].values) * scale,
        "event": np.repeat([1.0, 0.0, 0.0, 0.0], np.diff(pointer)),
        "entry": entry,
        "weights": statistics["weight"].values,
    }
    return found if rows is None else {k: v[rows] for k, v in found.items()}


def _ends(fit: SurvivalFit, times: ArrayLike | None, first: float) -> FloatArray:
    """The grid of a figure: the times that were given, or an even one that goes somewhat beyond follow-up."""
    if times is None:
        return np.linspace(first * fit.follow_up, _BEYOND * fit.follow_up, _POINTS)
    given = np.unique(np.asarray(times, dtype=float))
    if given.size < 2 or not (np.isfinite(given) & (given > 0)).all():
        raise SpecificationError(f"times={np.ravel(times)[:5].tolist()}: give two or more finite times above 0 for a figure.")
    return given


def survival_figure(fit: SurvivalFit, new: Any, by: str | None, times: ArrayLike | None, prob: float) -> Figure:
    """Survival bands, over Kaplan-Meier curves where they are of the same subjects; see `SurvivalFit.plot_survival`."""
    at = _ends(fit, times, 1.0 / _POINTS)
    if new is not None and by is not None:
        raise SpecificationError("new and by: new asks for rows of covariates, by for arms of the study. Give one of them.")
    if new is not None:
        return _survival_page(fit, _answered(fit.survival(new, at), fit), prob, "")
    if fit.statistics is None:
        if by is not None:
            arms_of(fit, by)  # says what is missing
        reason = "The rows are not at hand, so there is no Kaplan-Meier curve to compare with."
        return _survival_page(fit, _answered(fit.survival(None, at), fit), prob, reason)
    arms = arms_of(fit, by)
    _few(len(arms), "by", repr(by))
    pointer = fit.statistics["kind_ptr"].values
    between = bool(pointer[-1] > pointer[2])
    curves = []
    for label, rows in arms.items():
        data = rows_of(fit, rows)
        observed = None if between else kaplan_meier(**data)  # type: ignore[arg-type]
        ticks = _ticks(float(at[-1]))
        risk = None if between else numbers_at_risk(data["time"], data["entry"], data["weights"], ticks)
        until = observed.last if observed is not None else fit.follow_up
        name = "all subjects" if label == "all" else label
        curves.append(Curve(name, at, average_survival(fit, at, rows), until, observed, risk))
    reason = "Rows are censored in intervals, so there is no Kaplan-Meier curve to compare with." if between else ""
    return _survival_page(fit, curves, prob, reason, average=True)


def average_survival(fit: SurvivalFit, times: FloatArray, rows: NDArray[np.bool_]) -> FloatArray:
    """Survival averaged over the covariates of some of the study's rows, shape (S, T): what Kaplan-Meier estimates there.

    Draws are thinned evenly where there are many patterns of covariates.
    """
    statistics = fit._need_statistics("average over its rows")
    size = statistics.sizes.get("unique", 1)
    weight = np.bincount(
        statistics["pattern"].values[rows], weights=statistics["weight"].values[rows], minlength=size
    ) / float(statistics["weight"].values[rows].sum())  # fmt: skip
    used = np.flatnonzero(weight > 0)
    draws = thinned(fit, len(used) * len(times))
    log_time = np.log(times / fit.time_unit)
    step = max(2_000_000 // (max(len(used), 1) * len(times)), 1)
    out = []
    count = len(next(iter(draws.values())))
    for _, logs in predictors_in_parts(fit.spec, draws, statistics, fit.dials, step, count):
        some = tuple((p[:, used] if p.shape[1] > 1 else p)[..., None] for p in logs)
        with np.errstate(over="ignore", under="ignore"):
            survival = np.exp(-population.cumulative_hazard(log_time, *some))
        out.append(survival[:, 0] if survival.shape[1] == 1 else np.einsum("spt,p->st", survival, weight[used]))
    return np.concatenate(out)


def thinned(fit: SurvivalFit, each: int) -> dict[str, FloatArray]:
    """Draws, flat; evenly fewer of them where `each` draw asks for many numbers."""
    values = fit._values
    size = len(next(iter(values.values())))
    keep = min(size, max(_LEAST, _NUMBERS // max(each, 1)))
    chosen = np.unique(np.linspace(0, size - 1, keep).astype(int))
    return {n: v[chosen] for n, v in values.items()}


def _answered(answer: Answer, fit: SurvivalFit) -> list[Curve]:
    draws = answer.draws.transpose("chain", "draw", "row", "time")
    _few(draws.sizes["row"], "new", f"{draws.sizes['row']} rows")
    flat = draws.values.reshape(-1, draws.sizes["row"], draws.sizes["time"])
    rows, at = draws["row"].values, draws["time"].values
    return [Curve(str(name), at, flat[:, k], fit.follow_up) for k, name in enumerate(rows)]


def _few(count: int, name: str, value: str) -> None:
    if count > len(SERIES):
        raise SpecificationError(f"{name}={value}: {len(SERIES)} curves or fewer can be told apart; this asks for {count}.")


def _survival_page(fit: SurvivalFit, curves: list[Curve], prob: float, reason: str, *, average: bool = False) -> Figure:
    page = canvas(7.4, 3.9)
    ax = page.axes
    told = []
    for i, curve in enumerate(curves):
        start = np.concatenate([[0.0], curve.times])
        mid, low, high = (np.concatenate([[1.0], part]) for part in curve.bounds(prob))
        _band(ax, i, start, (mid, low, high), curve.until, curve.label)
        told.append(f"{curve.label}: {_numbers_told(curve, prob)}")
        if curve.observed is not None:
            _steps(ax, curve.observed, float(curve.times[-1]), "Kaplan-Meier" if i == 0 else "_")
    ax.set_ylim(0.0, 1.02)
    beyond = _finish(page, curves, "time", "probability of no event")
    risk = [c for c in curves if c.at_risk is not None]
    if risk:
        _risk_table(ax, risk)
    phrase = f"pointwise {interval_phrase(prob, 'eti')} bands"
    what = "averaged over the subjects' covariates" if average else "for the stated covariates"
    over = " Steps are Kaplan-Meier curves; numbers at risk stand below." if risk else ""
    note = f" {reason}" if reason else ""
    failed = _refused(fit)
    return page.figure(
        f"{failed}Survival {what}, with {phrase}. {'; '.join(told)}.{_risk_told(risk)}{beyond}{note}",
        f"{failed}Probability of no event, {what}. Lines are medians, areas {phrase}.{over}{beyond}{note}",
    )


def _refused(fit: SurvivalFit) -> str:
    """The verdict, where it is one that no picture may hide."""
    return f"{str(fit.verdict).splitlines()[0]}. " if fit.verdict.status.value in ("FAIL", "NOT COMPUTED") else ""


def _band(
    ax: Axes, series: int, at: FloatArray, parts: tuple[FloatArray, FloatArray, FloatArray], until: float, label: str
) -> None:
    """A line with its band: solid while somebody was followed, dashed and pale after."""
    look = style(series)
    mid, low, high = parts
    seen = at <= until
    if not seen.all() and seen.any():  # both parts meet at the end of follow-up
        place = int(np.argmax(~seen))
        ends = [float(np.interp(until, at, p)) for p in parts]
        at = np.insert(at, place, until)
        mid, low, high = (np.insert(p, place, e) for p, e in zip((mid, low, high), ends, strict=True))
        seen = at <= until
    after = at >= until
    ax.fill_between(at[seen], low[seen], high[seen], color=look.colour, alpha=0.22, lw=0)
    ax.fill_between(at[after], low[after], high[after], color=look.colour, alpha=0.09, lw=0)
    shown = dict(color=look.colour, marker=look.marker, ms=4.5, mec="white", mew=0.5)
    every = max(int(seen.sum()) // 7, 1)
    where = np.arange(every // 2, max(int(seen.sum()), 1), every).tolist()
    ax.plot(at[seen], mid[seen], lw=1.9, markevery=where, label=_named(label), **shown)  # type: ignore[arg-type]
    ax.plot(at[after], mid[after], color=look.colour, lw=1.3, alpha=0.75, dashes=(3, 2))


def _named(label: str) -> str:
    text = label_text(label, 34) or "(empty)"
    return f" {text}" if text.startswith("_") else text


def _steps(ax: Axes, observed: KaplanMeier, end: float, label: str) -> None:
    at = np.concatenate([[0.0], observed.times, [observed.last]])
    survival = np.concatenate([[1.0], observed.survival, observed.survival[-1:] if len(observed.times) else [1.0]])
    keep = at <= end
    ax.step(at[keep], survival[keep], where="post", color=INK, lw=0.9, label=label)


def _finish(page: Canvas, curves: list[Curve], xlabel: str, ylabel: str) -> str:
    """Axes, legend and the line at the end of follow-up; returns the sentence about extrapolation."""
    ax = page.axes
    end, until = float(curves[0].times[-1]), max(c.until for c in curves)
    ax.set_xlim(0.0, end)
    ax.set_xticks(_ticks(end))
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.grid()
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        columns = 4 if sum(map(len, labels)) < 60 else 2
        legend = ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False, borderaxespad=0.3)
        for text in legend.get_texts():
            text.set_parse_math(False)
    if until >= end:
        return ""
    ax.axvline(until, color=MUTED, lw=0.8, dashes=(1, 2))
    ax.annotate(
        "end of follow-up", (until, 1.0), xycoords=("data", "axes fraction"), xytext=(-3, -3), textcoords="offset points",
        ha="right", va="top", rotation=90, fontsize=7.5, color=MUTED,
    )  # fmt: skip
    return f" Nobody was followed beyond {until:g}: what is dashed and pale is extrapolation."


def _ticks(end: float) -> FloatArray:
    from matplotlib.ticker import MaxNLocator

    found = np.asarray(MaxNLocator(nbins=7).tick_values(0.0, end))
    return found[(found >= 0.0) & (found <= end)]


def _risk_table(ax: Axes, curves: list[Curve]) -> None:
    """Numbers at risk under the axis, one line a curve, in its colour and by its name."""
    ticks = _ticks(float(curves[0].times[-1]))
    ax.annotate("at risk", (0.0, 0.0), xycoords="axes fraction", xytext=(-28, -40), textcoords="offset points", ha="right",
                fontsize=8, color=MUTED)  # fmt: skip
    for line, curve in enumerate(curves):
        shift = -40 - 12 * line - (12 if len(curves) > 1 else 0)
        colour = style(line).colour
        if len(curves) > 1:
            ax.annotate(
                label_text(curve.label, 16), (0.0, 0.0), xycoords="axes fraction", xytext=(-28, shift),
                textcoords="offset points", ha="right", fontsize=8, color=colour, parse_math=False,
            )  # fmt: skip
        assert curve.at_risk is not None
        for tick, number in zip(ticks, curve.at_risk, strict=True):
            ax.annotate(
                counted(float(number)), (float(tick), 0.0), xycoords=("data", "axes fraction"), xytext=(0, shift),
                textcoords="offset points", ha="center", fontsize=8, color=INK,
            )  # fmt: skip


def _risk_told(curves: list[Curve]) -> str:
    if not curves:
        return ""
    ticks = _ticks(float(curves[0].times[-1]))
    told = [
        f"{c.label} " + ", ".join(f"{counted(float(n))} at {t:g}" for t, n in zip(ticks, c.at_risk, strict=True) if n > 0)  # type: ignore[arg-type]
        for c in curves
    ]
    return f" At risk: {'; '.join(told)}."


def _numbers_told(curve: Curve, prob: float) -> str:
    """A curve at a third, two thirds and the end of the figure, with Kaplan-Meier's number where there is one."""
    mid, low, high = curve.bounds(prob)
    size = len(curve.times)
    told = []
    for k in sorted({size // 3, 2 * size // 3, size - 1}):
        text = f"at {curve.times[k]:.4g} {mid[k]:.3g} ({low[k]:.3g} to {high[k]:.3g}"
        text += ", extrapolated)" if curve.times[k] > curve.until else ")"
        seen = np.nan if curve.observed is None else float(curve.observed.at(curve.times[k]))
        told.append(text + (f", Kaplan-Meier {seen:.3g}" if np.isfinite(seen) else ""))
    return ", ".join(told)


def hazard_figure(fit: SurvivalFit, new: Any, times: ArrayLike | None, prob: float) -> Figure:
    """Hazard bands for rows of covariates; see `SurvivalFit.plot_hazard`."""
    at = _ends(fit, times, 0.01)
    curves = _answered(fit.hazard(new, at), fit)
    page = canvas(7.4, 3.5)
    told, tops = [], []
    for i, curve in enumerate(curves):
        parts = curve.bounds(prob)
        _band(page.axes, i, at, parts, curve.until, curve.label)
        told.append(f"{curve.label}: {_numbers_told(curve, prob)}")
        tops.append(float(parts[2][at >= 0.05 * at[-1]].max()))
    # a hazard that starts at infinity must not press everything else to the floor
    page.axes.set_ylim(0.0, 1.08 * max(tops))
    beyond = _finish(page, curves, "time", "events per unit of time at risk")
    phrase = f"pointwise {interval_phrase(prob, 'eti')} bands"
    failed = _refused(fit)
    return page.figure(
        f"{failed}Hazard with {phrase}. {'; '.join(told)}.{beyond}",
        f"{failed}Hazard: events per unit of time among those still at risk. Lines are medians, areas {phrase}.{beyond}",
    )


def ratio_figure(fit: SurvivalFit, a: Any, b: Any, times: ArrayLike | None, prob: float) -> Figure:
    """Hazard ratio over time with its band; see `SurvivalFit.plot_hazard_ratio`."""
    at = _ends(fit, times, 0.02)
    answer = fit.hazard_ratio(a, b, at).draws.transpose("chain", "draw", "row", "time").values
    curve = Curve("hazard ratio, a / b", at, answer.reshape(-1, len(at)), fit.follow_up)
    names = [fit.row_labels(x)[0] for x in (a, b)]
    page = canvas(7.4, 3.3)
    ax = page.axes
    ax.set_yscale("log")
    ax.axhline(1.0, color=INK, lw=0.9)
    _band(ax, 0, at, curve.bounds(prob), curve.until, f"{names[0]} over {names[1]}")
    beyond = _finish(page, [curve], "time", "hazard ratio")
    _plain_log_ticks(ax)
    seen = curve.draws[:, at <= fit.follow_up]
    above, below = (seen > 1.0).all(1), (seen < 1.0).all(1)
    sides = (
        f"In the times drawn up to the end of follow-up, P(always above 1) {chance(above)}, P(always below 1) {chance(below)}, "
        f"P(on both sides) {chance(~above & ~below)}."
    )
    phrase = f"pointwise {interval_phrase(prob, 'eti')} band"
    failed = _refused(fit)
    return page.figure(
        f"{failed}Hazard ratio of {names[0]} over {names[1]} with a {phrase}: {_numbers_told(curve, prob)}. {sides}{beyond}",
        f"{failed}Hazard ratio of {names[0]} over {names[1]}, with a {phrase}. {sides}{beyond}",
    )


def _plain_log_ticks(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = ax.get_ylim()
    steps = (1.0, 2.0, 5.0) if high / low < 200 else (1.0,)
    if high / low < 4:
        steps = tuple(float(v) for v in range(1, 10))
    ax.yaxis.set_major_locator(LogLocator(subs=steps))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


_CLEAR = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
_LAWS = ((0.0, "log-logistic,\nBurr XII"), (1.0, "Weibull"), (50.0, "near\nGompertz"))
_KAPPA_TICKS = (-0.99, -0.95, -0.8, -0.5, 0.0, 1.0, 3.0, 9.0, 50.0, 500.0)


def kappa_figure(fit: SurvivalFit, prob: float) -> Figure:
    """Posterior of kappa with the named laws; see `SurvivalFit.plot_kappa`."""
    if fit.spec.law != "apgw":
        raise SpecificationError(
            f"law={fit.spec.law!r} fixes kappa: there is nothing to draw. Fit law='apgw' to learn which law it is."
        )
    tail = fit._values["tail_intercept"]
    prior = prior_draws(fit.spec, fit._need_design("show kappa"), fit.dials, 4000, np.random.default_rng(0))
    before = prior["tail_intercept"].values.reshape(-1)
    low, high = np.quantile(before, (0.006, 0.994))
    low, high = min(float(tail.min()), low), max(float(tail.max()), high)
    grid = np.linspace(low - 0.1, high + 0.1, 300)
    page = canvas(7.4, 3.1)
    ax = page.axes
    density = smooth_density(tail, grid)
    ax.fill_between(grid, smooth_density(before, grid), color="#c9ced4", lw=0, label="prior")
    ax.plot(grid, density, color=style(0).colour, lw=1.9, label="posterior")
    ax.set_ylim(0.0, 1.28 * density.max())
    ax.axvspan(grid[0], 0.0, facecolor="none", edgecolor=GRID, hatch="///", lw=0, zorder=0)
    ax.annotate("some never have the event", (0.0, 1.0), xycoords=("data", "axes fraction"), xytext=(-4, -4), fontsize=7.5,
                textcoords="offset points", ha="right", va="top", color=MUTED, bbox=_CLEAR)  # fmt: skip
    for kappa, name in _LAWS:
        if grid[0] < np.log1p(kappa) < grid[-1]:
            ax.axvline(np.log1p(kappa), color=INK, lw=0.9, dashes=(4, 3))
            ax.annotate(name, (np.log1p(kappa), 1.0), xycoords=("data", "axes fraction"), xytext=(3, -4), va="top",
                        textcoords="offset points", fontsize=7.5, color=INK)  # fmt: skip
    ticks = [k for k in _KAPPA_TICKS if grid[0] <= np.log1p(k) <= grid[-1]]
    ax.set_xticks(np.log1p(ticks), labels=[f"{k:g}".replace("-", "−") for k in ticks])
    ax.set_xlim(grid[0], grid[-1])
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    where = " at average covariates" if fit.spec.terms("tail").variables else ""
    ax.set_xlabel(f"kappa{where} (on the scale of log(kappa + 1))")
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.3)
    text = _kappa_told(np.expm1(tail), prob)
    failed = _refused(fit)
    return page.figure(
        f"{failed}Posterior density of kappa{where}: {text} The prior is drawn behind.",
        f"{failed}Posterior of kappa{where}; dashed lines are named laws. {text[:1].upper()}{text[1:]}",
    )


def _kappa_told(kappa: FloatArray, prob: float) -> str:
    low, high = interval(kappa[:, None], prob)[0]
    return (
        f"median {np.median(kappa):.2g}, {interval_phrase(prob, 'eti')} interval {low:.2g} to {high:.2g}; "
        f"P(kappa < 0) {chance(kappa < 0)}, P(kappa > 1) {chance(kappa > 1)}."
    )
