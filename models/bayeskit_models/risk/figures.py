"""Figures of a risk fit: risk by tenths, policy curves, the path over the prevalence, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError, suggest
from bayeskit.estimands import interval
from bayeskit.report.content import Figure, interval_phrase
from bayeskit.report.drawing import canvas, label_text
from bayeskit.report.figures import curve_plot, interval_plot
from bayeskit.report.palette import INK, MUTED, style

if TYPE_CHECKING:
    from bayeskit_models.risk.policy import PolicyCurve
    from bayeskit_models.risk.risk_fit import RiskFit

__all__ = ["calibration_figure", "policy_figure", "prevalence_path", "risk_figure"]

FloatArray = NDArray[np.float64]

_DRAWS = 400


def risk_figure(fit: RiskFit, groups: int, prob: float) -> Figure:
    """See `RiskFit.plot_risk`."""
    from bayeskit_models.risk.population import testing_columns
    from bayeskit_models.risk.risk_fit import conditional

    fit.need_binary("plot_risk")
    statistics = fit._need_statistics("draw risks of its rows")
    weight = statistics["weight"].values
    c, _ = fit.thinned(len(weight), _DRAWS)
    found = c.rows(statistics["risk_columns"].values, testing_columns(statistics))
    place = equal_groups(found[..., 0].mean(0), weight, groups)
    kind = np.repeat([0, 1, 2], np.diff(statistics["kind_ptr"].values))
    curves, seen = {}, []
    for name, given, mine in (("tested", "tested", kind > 0), ("untested", "untested", kind == 0)):
        share = np.zeros((len(weight), place.max() + 1))
        share[np.arange(len(weight)), place] = weight * mine
        total = share.sum(0)
        mean = conditional(found, given) @ share / np.where(total > 0, total, np.nan)
        ends = interval(np.nan_to_num(mean), prob)
        curves[name] = (np.median(mean, axis=0), ends[:, 0], ends[:, 1])
    for g in range(place.max() + 1):
        ill, all_tested = (weight[(place == g) & m].sum() for m in (kind == 1, kind > 0))
        seen.append(ill / all_tested if all_tested else np.nan)
    return _risk_page(curves, np.array(seen), prob)


def _risk_page(curves: dict[str, tuple[FloatArray, FloatArray, FloatArray]], seen: FloatArray, prob: float) -> Figure:
    page = canvas(7.4, 3.6)
    ax = page.axes
    at = np.arange(1, len(seen) + 1)
    told = []
    for k, (name, (mid, low, high)) in enumerate(curves.items()):
        look, x = style(k), at + 0.14 * (2 * k - 1)
        ax.vlines(x, low, high, color=look.colour, lw=1.5)
        ax.plot(x, mid, look.marker, color=look.colour, ls="", ms=5.5, mec="white", mew=0.7, label=f"{name}, by the fit")
        told.append(f"{name}: lowest group {mid[0]:.3g} ({low[0]:.3g} to {high[0]:.3g}), highest {mid[-1]:.3g} "
                    f"({low[-1]:.3g} to {high[-1]:.3g})")  # fmt: skip
    ax.plot(at, seen, "x", color=INK, ms=6, ls="", label="observed among the tested")
    ax.set_xticks(at)
    ax.set_xlabel("people in groups of equal size, from lowest to highest predicted risk")
    ax.set_ylabel("probability of the outcome")
    ax.set_ylim(0.0, None)
    ax.grid()
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False, borderaxespad=0.3)
    phrase = f"medians with {interval_phrase(prob, 'eti')} intervals"
    text = (
        "Given the covariates, an untested person has another risk than a tested one, by what the decision maker saw. The rows "
        "are those that were fitted."
    )
    observed = "; ".join(f"{v:.3g}" for v in seen)
    return page.figure(
        f"Mean risk by groups of predicted risk, {phrase}: {'; '.join(told)}. Observed among the tested: {observed}.",
        f"Mean risk of tested and untested people by groups of predicted risk, {phrase}. {text}",
    )


def equal_groups(mean: FloatArray, weight: FloatArray, groups: int) -> NDArray[np.int64]:
    """Groups of rows by predicted risk, of about equal weight; equal predictions stay together."""
    distinct, place = np.unique(np.round(mean, 12), return_inverse=True)
    place = np.asarray(place).reshape(-1)
    each = np.bincount(place, weights=weight)
    middle = (np.cumsum(each) - each / 2) / each.sum()
    cut = np.minimum((middle * groups).astype(int), groups - 1)
    return np.asarray(np.unique(cut, return_inverse=True)[1]).reshape(-1)[place] if len(distinct) > 1 else place


def policy_figure(curve: PolicyCurve, thresholds: Sequence[float], prob: float) -> Figure:
    """See `PolicyCurve.plot`."""
    table = curve.summary(prob)
    parts = tuple(table[k].to_numpy() for k in ("median", "lower", "upper"))
    caption = (
        f"{curve.head[:1].upper()}{curve.head[1:]}. Pointwise {interval_phrase(prob, 'eti')} intervals. A policy that follows "
        "risk alone is flat."
    )
    if any(isinstance(v, str) for v in curve.values):
        return interval_plot([str(v) for v in curve.values], *parts, prob=prob, xlabel="probability of a test", caption=caption)
    at = np.array(curve.values, dtype=float)
    page = canvas(7.4, 3.6)
    ax, look = page.axes, style(0)
    ax.fill_between(at, parts[1], parts[2], color=look.colour, alpha=0.16, lw=0)
    ax.plot(at, parts[0], color=look.colour, lw=1.9)
    for x in thresholds:
        ax.axvline(float(x), color=MUTED, lw=1.1, dashes=(4, 3))
        ax.annotate(f"{x:g}", (float(x), 1.0), xytext=(3, -9), textcoords="offset points", fontsize=8, color=MUTED)
    ax.set_xlim(at[0], at[-1])
    ax.set_ylim(0.0, 1.0)
    ax.set_xlabel(label_text(curve.feature, 60), parse_math=False)
    ax.set_ylabel("probability of a test")
    ax.grid()
    told = "; ".join(
        f"at {at[k]:.3g} {parts[0][k]:.3g} ({parts[1][k]:.3g} to {parts[2][k]:.3g})" for k in (0, len(at) // 2, len(at) - 1)
    )
    rules = f" Written thresholds at {', '.join(f'{x:g}' for x in thresholds)}." if len(thresholds) else ""
    return page.figure(f"{curve.head}, pointwise {interval_phrase(prob, 'eti')} intervals: {told}.{rules}", caption + rules)


def prevalence_path(fit: RiskFit, values: FloatArray, quantity: str, prob: float, draws: int, tune: int) -> Figure:
    """See `RiskFit.plot_prevalence_path`."""
    if "prevalence.value" not in fit.dials:
        raise SpecificationError("plot_prevalence_path: the fit states no single prevalence of everybody.")
    known = list(map(str, fit.summary().index))
    if quantity not in known:
        raise SpecificationError(f"quantity={quantity!r} is no row of fit.summary().{suggest(quantity, known)}")
    if len(values) < 2 or not (np.diff(values) > 0).all():
        raise SpecificationError(f"values={values.tolist()}: two or more prevalences, ascending.")
    rows, bad = [], []
    for value in values:
        again = fit.refit(dials={"prevalence.value": float(value)}, draws=draws, tune=tune)
        rows.append(again.summary(prob).loc[quantity, ["median", "lower", "upper"]].to_numpy(dtype=float))
        r_hat = float(again.summary().loc[quantity, "r_hat"])
        bad += [f"{value:g}"] if not r_hat <= 1.05 else []
    mid, low, high = np.array(rows).T
    doubt = f" Not converged (R-hat over 1.05): {', '.join(bad)}." if bad else ""
    caption = (
        f"{quantity} over the stated prevalence (sd {fit.dials['prevalence.sd']:.2g}), one fit each; line: median, band: "
        f"pointwise {interval_phrase(prob, 'eti')} intervals. The fit itself states {fit.dials['prevalence.value']:g}.{doubt}"
    )
    label = fit.estimands[quantity.partition("[")[0]].attrs.get("label", quantity)
    return curve_plot(
        values, {quantity: (mid, low, high)}, xlabel="stated prevalence", ylabel=f"{label} {quantity.partition('[')[2][:-1]}",
        prob=prob, caption=caption,
    )  # fmt: skip


def calibration_figure(risk: FloatArray, outcome: FloatArray, groups: int, prob: float) -> Figure:
    """Mean predicted risk against the share with the outcome, in groups of like risks."""
    from scipy.stats import beta

    place = equal_groups(risk.mean(0), np.ones(len(outcome)), groups)
    size = place.max() + 1
    count = np.bincount(place, minlength=size)
    ill = np.bincount(place, weights=outcome, minlength=size)
    mean = np.stack([risk[:, place == g].mean(1) for g in range(size)], axis=1)
    mid, ends = np.median(mean, axis=0), interval(mean, prob)
    tail = (1.0 - prob) / 2.0
    low, high = beta.ppf(tail, ill + 0.5, count - ill + 0.5), beta.ppf(1.0 - tail, ill + 0.5, count - ill + 0.5)
    page = canvas(4.8, 4.4)
    ax, look = page.axes, style(0)
    top = float(max(ends.max(), high.max())) * 1.06
    ax.plot([0, top], [0, top], color=INK, lw=1.0, dashes=(4, 3), label="predicted = observed")
    ax.hlines(ill / count, *ends.T, color=look.colour, lw=1.3)
    ax.vlines(mid, low, high, color=look.colour, lw=1.3)
    ax.plot(mid, ill / count, look.marker, color=look.colour, ms=6.0, mec="white", mew=0.8, ls="", label="group of people")
    ax.set_xlim(0.0, top)
    ax.set_ylim(0.0, top)
    ax.set_aspect("equal")
    ax.set_xlabel("predicted risk")
    ax.set_ylabel("share with the outcome")
    ax.grid()
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.3)
    told = "; ".join(
        f"predicted {m:.3g} ({e[0]:.3g} to {e[1]:.3g}), observed {i / n:.3g} of {n}"
        for m, e, i, n in zip(mid, ends, ill, count, strict=True)
    )
    kinds = f"{interval_phrase(prob, 'eti')} intervals of the fit across, Jeffreys intervals of the follow-up up and down"
    return page.figure(f"Calibration, {kinds}: {told}.", f"Calibration on the follow-up in groups of like risks, {kinds}.")
