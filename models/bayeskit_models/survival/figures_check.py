"""Figures that set a survival fit against its own rows: residuals, and calibration at a landmark time.

Both look at the rows that were fitted, so they find a law that cannot bend to the data and not one that bends too much.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError, suggest
from bayeskit.estimands import interval
from bayeskit.report.content import Figure, interval_phrase
from bayeskit.report.counts import counted
from bayeskit.report.drawing import canvas
from bayeskit.report.palette import GRID, INK, MUTED, style
from bayeskit_models.survival import population
from bayeskit_models.survival.censored import predictors_in_parts
from bayeskit_models.survival.figures import _refused, rows_of, thinned
from bayeskit_models.survival.kaplan_meier import kaplan_meier

if TYPE_CHECKING:
    from bayeskit_models.survival.survival_fit import SurvivalFit

__all__ = ["calibration_figure", "predicted", "residual_figure", "residuals"]

FloatArray = NDArray[np.float64]

_KINDS = ("cox-snell", "pit")


def predicted(fit: SurvivalFit, log_time: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
    """Posterior predictive survival of some rows, each at its own internal log time, shape (rows,)."""
    statistics = fit._need_statistics("predict its rows")
    place = statistics["pattern"].values[rows]
    total, count = np.zeros(len(rows)), 0
    for logs in _parts(fit, len(rows)):
        by_row = tuple(p[:, place] if p.shape[1] > 1 else p for p in logs)
        with np.errstate(over="ignore", under="ignore"):
            total += np.exp(-population.cumulative_hazard(log_time, *by_row)).sum(0)
        count += len(logs[0])
    return total / count


def _parts(fit: SurvivalFit, each: int):  # type: ignore[no-untyped-def]
    statistics = fit._need_statistics("predict its rows")
    wide = max(each, statistics.sizes.get("unique", 1), 1)
    values = thinned(fit, wide)
    size = len(next(iter(values.values())))
    for _, logs in predictors_in_parts(fit.spec, values, statistics, fit.dials, max(2_000_000 // wide, 1), size):
        yield logs


def residuals(fit: SurvivalFit) -> dict[str, FloatArray]:
    """Cox and Snell's residuals of the rows: the cumulative hazard that each has lived through, by the predictive law.

    Returns
    -------
    dict of str to ndarray, shape (rows,)
        ``entry``, ``lower`` and ``upper`` (equal unless the row is censored in an interval or on the left), ``event`` (1 where
        the event was seen at `lower`) and ``weights``. Of a law that fits they are a sample of unit exponential times,
        censored and entered as the rows were (Cox, Snell 1968, JRSS B 30:248-275).
    """
    statistics = fit._need_statistics("make residuals of its rows")
    size, pointer = statistics.sizes["row"], statistics["kind_ptr"].values
    every = np.arange(size)
    with np.errstate(divide="ignore"):
        lower = -np.log(predicted(fit, statistics["log_lower"].values, every))
        upper = -np.log(predicted(fit, statistics["log_upper"].values, every))
        late = statistics["entry_row"].values
        entry = np.zeros(size)
        entry[late] = -np.log(predicted(fit, statistics["log_entry"].values, late))
    kind = np.repeat(np.arange(4), np.diff(pointer))
    upper = np.where(kind >= 2, upper, lower)
    event = (kind == 0).astype(float)
    return {
        "entry": entry,
        "lower": lower,
        "upper": upper,
        "event": event,
        "weights": statistics["weight"].values,
        "kind": kind,
    }


def residual_figure(fit: SurvivalFit, kind: Literal["cox-snell", "pit"], seed: int, prob: float) -> Figure:
    """Residuals of the rows against what they should be; see `SurvivalFit.plot_residuals`."""
    if kind not in _KINDS:
        raise SpecificationError(f"kind={kind!r}: must be 'cox-snell' or 'pit'.{suggest(str(kind), _KINDS)}")
    if fit._need_statistics("make residuals of its rows").attrs.get("relative"):
        raise SpecificationError(
            "kind: with a background hazard the law is of the excess hazard alone, and times of death are not its times: "
            "residuals of the rows would not be exponential even for the true law."
        )
    found = residuals(fit)
    if kind == "pit":
        return _pit_page(fit, found, seed, prob)
    if (found["kind"] >= 2).any():
        raise SpecificationError("kind='cox-snell': rows are censored in intervals; kind='pit' can show those.")
    return _cox_snell_page(fit, found, prob)


def _cox_snell_page(fit: SurvivalFit, found: dict[str, FloatArray], prob: float) -> Figure:
    keep = found["entry"] < found["lower"]
    observed = kaplan_meier(*(found[k][keep] for k in ("lower", "event")), entry=found["entry"][keep],
                            weights=found["weights"][keep])  # fmt: skip
    at, total = observed.times, observed.cumulative_hazard
    half = NormalDist().inv_cdf(0.5 + prob / 2) * np.sqrt(observed.hazard_variance) / total
    low, high = total * np.exp(-half), total * np.exp(half)
    page = canvas(5.6, 4.2)
    ax = page.axes
    ax.fill_between(at, low, high, step="post", color=style(0).colour, alpha=0.2, lw=0)
    ax.step(at, total, where="post", color=style(0).colour, lw=1.6, label="Nelson-Aalen of the residuals")
    end = float(at[-1])
    ax.plot([0.0, end], [0.0, end], color=INK, lw=1.0, dashes=(4, 3), label="a law that fits")
    ax.set_xlim(0.0, end)
    ax.set_ylim(0.0, 1.05 * float(max(end, total[-1], high[min(len(at) - 1, int(0.98 * len(at)))])))
    ax.set_xlabel("residual: cumulative hazard lived through, by the fit")
    ax.set_ylabel("cumulative hazard of the residuals")
    ax.grid()
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.3)
    outside = float(np.mean((at < low) | (at > high)))
    told = []
    for share in (0.25, 0.5, 0.9):
        k = min(int(share * len(at)), len(at) - 1)
        told.append(f"at {at[k]:.3g} it is {total[k]:.3g} ({low[k]:.3g} to {high[k]:.3g})")
    phrase = f"pointwise {100 * prob:g} % confidence intervals (Aalen's variance, log scale)"
    text = f"The line of a law that fits lies outside the band at {outside:.0%} of the event times."
    failed = _refused(fit)
    return page.figure(
        f"{failed}Cumulative hazard of Cox-Snell residuals, {phrase}: {', '.join(told)}; of a law that fits it equals the "
        f"residual. {text}",
        f"{failed}Cox-Snell residuals: their Nelson-Aalen estimate with {phrase}, and the diagonal of a law that fits. {text} "
        "The rows are those that were fitted.",
    )


def _pit_page(fit: SurvivalFit, found: dict[str, FloatArray], seed: int, prob: float) -> Figure:
    from bayeskit.calibration import ecdf_band

    if (found["weights"] != 1.0).any():
        raise SpecificationError(
            "kind='pit': rows stand for several (weights), and no band is known for those; see 'cox-snell'."
        )
    values = randomised_pit(found, np.random.default_rng(seed))
    size, count = len(values), 101
    grid = np.arange(1, count) / count
    curve = np.searchsorted(np.sort(values), grid, side="right") / size - grid
    # the distribution of the standardised maximum hardly depends on the size, and simulating it for many rows takes long
    band = ecdf_band(min(size, 2000), count, prob, replicates=2000) * np.sqrt(grid * (1 - grid) / size)
    page = canvas(6.4, 3.2)
    ax = page.axes
    ax.fill_between(grid, -band, band, color=GRID, lw=0, label="where uniform values stay")
    ax.axhline(0.0, color=MUTED, lw=0.8)
    ax.step(grid, curve, where="mid", color=style(0).colour, lw=1.6, label="the rows")
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel("probability, by the fit, of a time as early or earlier")
    ax.set_ylabel("ECDF less uniform")
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.3)
    worst = int(np.argmax(np.abs(curve) / band))
    verdict = "leaves the band" if abs(curve[worst]) > band[worst] else "stays inside the band"
    censored = float(np.mean(found["event"] == 0.0))
    text = (
        f"it {verdict} in which {100 * prob:g} % of uniform samples stay whole, largest difference {curve[worst]:.3f} at "
        f"{grid[worst]:.2f} (band {band[worst]:.3f}). The {censored:.0%} censored rows are drawn at random from what the fit "
        "leaves open for them, which pulls towards uniform, as does that these rows were fitted."
    )
    failed = _refused(fit)
    return page.figure(
        f"{failed}Empirical distribution of the probability integral transform of {size:,d} rows, less uniform: {text}",
        f"{failed}Probability integral transform of the {size:,d} rows less uniform: {text}",
    )


def randomised_pit(found: dict[str, FloatArray], rng: np.random.Generator) -> FloatArray:
    """Probability integral transform of every row, given that it had entered; uniform between its ends where censored."""
    lower = -np.expm1(found["entry"] - found["lower"])
    upper = np.where(found["kind"] == 1, 1.0, -np.expm1(found["entry"] - found["upper"]))
    lower = np.where(found["kind"] == 2, 0.0, lower)
    return np.asarray(np.where(found["event"] == 1.0, lower, rng.uniform(lower, upper)))


def calibration_figure(fit: SurvivalFit, time: float, groups: int, prob: float) -> Figure:
    """Predicted against observed survival at one time; see `SurvivalFit.plot_calibration`."""
    at = np.asarray(time, dtype=float)
    if at.ndim != 0 or not (np.isfinite(at) and 0 < at <= fit.follow_up):
        raise SpecificationError(f"time={time!r}: one time above 0 and at most {fit.follow_up:g}, the end of follow-up.")
    if not (isinstance(groups, int | np.integer) and groups >= 2):
        raise SpecificationError(f"groups={groups!r}: a whole number of groups, 2 or more.")
    statistics = fit._need_statistics("compare predictions with its rows")
    pointer = statistics["kind_ptr"].values
    if pointer[-1] > pointer[2]:
        raise SpecificationError(
            "plot_calibration: rows are censored in intervals, and observed survival has no simple estimate."
        )
    if statistics.attrs.get("relative"):
        raise SpecificationError("plot_calibration: with a background hazard the law is not of survival from all causes.")
    size = statistics.sizes["row"]
    log_time = np.full(size, np.log(float(at) / fit.time_unit))
    mean = predicted(fit, log_time, np.arange(size))
    place = _groups(mean, statistics["weight"].values, groups)
    draws = _group_means(fit, float(log_time[0]), place)
    data = rows_of(fit)
    seen, ends = np.full(len(draws.T), np.nan), np.full((len(draws.T), 2), np.nan)
    for g in range(len(seen)):
        observed = kaplan_meier(**{k: v[place == g] for k, v in data.items()})  # type: ignore[arg-type]
        seen[g], ends[g] = observed.at(float(at)), observed.interval(float(at), prob)
    return _calibration_page(fit, float(at), draws, seen, ends, np.bincount(place), prob)


def _groups(mean: FloatArray, weight: FloatArray, groups: int) -> NDArray[np.int64]:
    """Groups of rows by predicted survival, of about equal weight; equal predictions stay together."""
    distinct, place = np.unique(np.round(mean, 12), return_inverse=True)
    each = np.bincount(place, weights=weight)
    middle = (np.cumsum(each) - each / 2) / each.sum()
    cut = np.minimum((middle * groups).astype(int), groups - 1)
    found = np.unique(cut, return_inverse=True)[1] if len(distinct) > groups else np.arange(len(distinct))
    return np.asarray(found)[place]


def _group_means(fit: SurvivalFit, log_time: float, place: NDArray[np.int64]) -> FloatArray:
    """Mean predicted survival of each group by draw, shape (S, groups)."""
    statistics = fit._need_statistics("compare predictions with its rows")
    weight, size = statistics["weight"].values, statistics.sizes.get("unique", 1)
    share = np.zeros((size, place.max() + 1))
    np.add.at(share, (statistics["pattern"].values, place), weight)
    share /= share.sum(0)
    out = []
    for logs in _parts(fit, size):
        with np.errstate(over="ignore", under="ignore"):
            survival = np.exp(-population.cumulative_hazard(log_time, *logs))
        out.append(np.broadcast_to(survival, (len(survival), size)) @ share)
    return np.concatenate(out)


def _calibration_page(
    fit: SurvivalFit, time: float, draws: FloatArray, seen: FloatArray, ends: FloatArray, counts: NDArray[np.int64], prob: float
) -> Figure:
    mid, bounds = np.median(draws, axis=0), interval(draws, prob)
    page = canvas(4.8, 4.4)
    ax = page.axes
    look = style(0)
    there = np.isfinite(seen)
    ax.plot([0, 1], [0, 1], color=INK, lw=1.0, dashes=(4, 3), label="predicted = observed")
    ax.hlines(seen[there], *bounds[there].T, color=look.colour, lw=1.3)
    limits = there & np.isfinite(ends).all(1)
    ax.vlines(mid[limits], *ends[limits].T, color=look.colour, lw=1.3)
    ax.plot(mid[there], seen[there], look.marker, color=look.colour, ms=6.5, mec="white", mew=0.8, ls="", label="group of rows")
    low = min(bounds.min(), np.nanmin(ends) if limits.any() else 1.0)
    high = max(bounds.max(), np.nanmax(ends) if limits.any() else 0.0)
    pad = 0.06 * (high - low) or 0.05
    ax.set_xlim(max(0.0, low - pad), min(1.0, high + pad))
    ax.set_ylim(max(0.0, low - pad), min(1.0, high + pad))
    ax.set_aspect("equal")
    ax.set_xlabel(f"predicted probability of no event by {time:g}")
    ax.set_ylabel("observed (Kaplan-Meier)")
    ax.grid()
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.3)
    for x, y, n in zip(mid[there], seen[there], counts[there], strict=True):
        ax.annotate(f"n={counted(float(n))}", (x, y), xytext=(7, -9), textcoords="offset points", fontsize=7.5, color=MUTED)
    told = "; ".join(
        f"predicted {m:.3g} ({b[0]:.3g} to {b[1]:.3g}), observed "
        + (
            f"{s:.3g} ({e[0]:.3g} to {e[1]:.3g})"
            if np.isfinite(s)
            else "not known, for nobody of the group was followed so long"
        )
        + f", {counted(float(n))} rows"
        for m, b, s, e, n in zip(mid, bounds, seen, ends, counts, strict=True)
    )
    lost = int((~there).sum())
    missing = f" {lost} of {len(seen)} groups are not drawn: nobody there was followed to {time:g}." if lost else ""
    kinds = f"{interval_phrase(prob, 'eti')} intervals of the fit across, {100 * prob:g} % confidence intervals up and down"
    failed = _refused(fit)
    return page.figure(
        f"{failed}Calibration at {time:g}, {kinds}: {told}.",
        f"{failed}Calibration at {time:g}: rows in groups of equal prediction, {kinds}.{missing} The rows are those that were "
        "fitted.",
    )
