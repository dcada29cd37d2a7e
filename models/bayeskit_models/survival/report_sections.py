"""What a report says of a survival fit: the law, effects in words, survival, cure, and the fit to the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeskit.convergence import mean_errors
from bayeskit.report.content import Note, Number, Paragraph, Section, Table, interval_phrase, probability, quantile_mcse
from bayeskit.report.counts import counted
from bayeskit_models.answers import chance
from bayeskit_models.survival.distribution import SHAPES
from bayeskit_models.survival.figures import rows_of
from bayeskit_models.survival.kaplan_meier import numbers_at_risk

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayeskit.report.content import Block, Cell
    from bayeskit_models.survival.survival_fit import SurvivalFit

__all__ = ["effect_words", "survival_sections"]

_CURE = 0.02  # posterior probability of kappa < 0 from which the report speaks of a cured share
_FEW = 10  # at risk at the end of follow-up: with fewer, what the curve does there is hardly observed
_ARMS = 7
_EXTREMES = 5

_SHAPE_WORDS = {
    "constant": "constant",
    "decreasing": "falls all the time",
    "increasing": "rises all the time",
    "unimodal": "rises, then falls",
    "bathtub": "falls, then rises",
}


def survival_sections(fit: SurvivalFit, prob: float) -> tuple[Section, ...]:
    """The law, effects, survival, frailty, cure where kappa < 0 has weight, and residuals."""
    parts = (_law, _effects, _survival, _frailty, _cure, _rows)
    found = [part(fit, prob) for part in parts]
    return tuple(section for section in found if section is not None)


def _flat(values: xr.DataArray) -> NDArray[np.float64]:
    ordered = values.transpose("chain", "draw", ...)
    return np.asarray(ordered.values.reshape(ordered.sizes["chain"] * ordered.sizes["draw"], *ordered.shape[2:]))


def _numbers(draws: NDArray[np.float64], prob: float) -> tuple[Number, Number, Number]:
    """Median and ends of the equal-tailed interval of draws of shape (chain, draw), with their Monte Carlo errors."""
    tail = (1.0 - prob) / 2.0
    if not np.isfinite(draws).all():
        low, mid, high = np.quantile(np.where(np.isinf(draws), 1e300, draws), (tail, 0.5, 1.0 - tail))
        return tuple(Number(float(np.inf if v > 1e299 else v)) for v in (mid, low, high))  # type: ignore[return-value]
    error = float(mean_errors(draws[..., None])[0])
    low, mid, high = np.quantile(draws, (tail, 0.5, 1.0 - tail))
    edge = quantile_mcse(error, tail)
    return Number(float(mid), quantile_mcse(error, 0.5)), Number(float(low), edge), Number(float(high), edge)


def _ratio_numbers(draws: NDArray[np.float64], prob: float) -> tuple[Number, Number, Number]:
    """The same for a ratio, with errors from its logarithm: of a wide interval the lower end is known better."""

    def natural(number: Number) -> Number:
        value = float(np.exp(number.value))
        return Number(value, None if number.mcse is None else value * number.mcse)

    mid, low, high = map(natural, _numbers(np.log(draws), prob))
    return mid, low, high


# -- the law
# --------------------------------------------------------------------------------------------------


def _law(fit: SurvivalFit, prob: float) -> Section:
    draws = fit.estimands["kappa"].transpose("chain", "draw").values
    blocks: list[Block]
    where = " at average covariates" if fit.spec.terms("tail").variables else ""
    if fit.spec.law != "apgw":
        kappa = float(draws.reshape(-1)[0])
        blocks = [Paragraph(f"The law is fixed: {fit.spec.law}, kappa = {kappa:g}. The data had no say in it.")]
    else:
        flat = draws.reshape(-1)
        mid, low, high = np.quantile(flat, (0.5, (1 - prob) / 2, (1 + prob) / 2))
        text = (
            f"Which law the times follow is estimated: kappa{where} is {mid:.2g}, {interval_phrase(prob, 'eti')} interval "
            f"{low:.2g} to {high:.2g}. At kappa = 0 the law is Burr XII (log-logistic where the factor of the hazard is 1), "
            "at 1 Weibull, far above of Gompertz's kind. That some never have the event has the probability P(kappa < 0) "
            f"{chance(flat < 0)}; that the hazard ends steeper than Weibull's, P(kappa > 1) {chance(flat > 1)}."
        )
        blocks = [Paragraph(text), fit.plot_kappa(prob)]
    shapes = fit.hazard_shapes().iloc[0]
    total = float(draws.size)
    rows: list[tuple[Cell, ...]] = [(_SHAPE_WORDS[s], probability(float(shapes[s]), total)) for s in SHAPES if shapes[s] > 0]
    blocks.append(
        Table(
            ("hazard at average covariates", "posterior probability"), tuple(rows),
            "Shape of the hazard over all times, those beyond follow-up included. The family has five shapes; one with two "
            "turning points is not among them.",
        )
    )  # fmt: skip
    blocks.append(fit.plot_hazard(_typical(fit), prob=prob))
    return Section("The law", "law", tuple(blocks))


def _typical(fit: SurvivalFit) -> object:
    """Rows to draw: the categories of the only covariate, where it has few; else average covariates."""
    spec = fit.spec
    if len(spec.covariates) != 1:
        return None
    levels = fit.levels.get(f"x_{spec.covariates[0]}", ())
    return {spec.covariates[0]: list(levels)} if 0 < len(levels) <= _ARMS else None


# -- effects
# --------------------------------------------------------------------------------------------------


def effect_words(component: str, draws: NDArray[np.float64], prob: float, alone: bool) -> tuple[NDArray[np.float64], str]:
    """Draws of the ratio that an effect is, and what it says.

    log phi multiplies the speed of time, so an effect tau makes times exp(-tau) times as long: a positive one brings the event
    sooner. log lambda, log gamma and log(kappa + 1) are ratios of what they are the logarithms of; log T = -log phi + log(u) /
    gamma with a u that knows neither, so a larger gamma makes times less spread out (on the log scale), and the cumulative
    hazard rises with kappa at every time.

    Parameters
    ----------
    component : {"scale", "hazard", "shape", "tail"}
        Where the covariate acts.
    draws : ndarray
        Of the effect per unit of the covariate, on its log scale.
    prob : float
        Probability of the interval that "clearly" refers to.
    alone : bool
        Whether no other component has the covariate, so that the ratio is the whole effect.
    """
    ratio = np.exp(-draws if component == "scale" else draws)
    low, high = np.quantile(ratio, ((1 - prob) / 2, (1 + prob) / 2))
    above, below = {
        "scale": ("times are longer", "times are shorter"),
        "hazard": ("the hazard is higher", "the hazard is lower"),
        "shape": ("times are less spread out", "times are more spread out"),
        "tail": ("fewer are spared for long", "more are spared for long"),
    }[component]
    text = above if low > 1 else below if high < 1 else "direction not settled"
    return ratio, text if alone or text == "direction not settled" else f"{text}, the other effects of the covariate aside"


_RATIOS = {
    "scale": "time ratio, exp(-effect)",
    "hazard": "hazard ratio, exp(effect)",
    "shape": "ratio of powers of time, exp(effect)",
    "tail": "ratio of kappa + 1, exp(effect)",
}


def _effects(fit: SurvivalFit, prob: float) -> Section | None:
    places: dict[str, list[str]] = {}
    for component in _RATIOS:
        if f"{component}_effect" in fit.estimands:
            for term in fit.estimands[f"{component}_term"].values:
                places.setdefault(str(term), []).append(component)
    if not places:
        return None
    rows: list[tuple[Cell, ...]] = []
    for term, components in places.items():
        for component in components:
            draws = fit.estimands[f"{component}_effect"].sel({f"{component}_term": term}).transpose("chain", "draw").values
            ratio, words = effect_words(component, draws, prob, len(components) == 1)
            mid, low, high = _ratio_numbers(ratio, prob)
            rows.append((_term_words(term), _RATIOS[component], mid, low, high, words))
    table = Table(
        ("covariate", "what", "median", "lower", "upper", "in words"), tuple(rows),
        f"Effects as ratios, per unit of the covariate or against its first category, with {interval_phrase(prob, 'eti')} "
        "intervals.",
    )  # fmt: skip
    blocks: list[Block] = [table]
    several = [t for t, c in places.items() if len(c) > 1]
    if several:
        names = ", ".join(map(_term_words, several))
        blocks.append(
            Paragraph(
                f"{names}: in more than one part of the law, so that no single ratio is the effect. Look at the hazard ratio "
                "over time, and at the survival curves."
            )
        )
    blocks += _ratio_blocks(fit, prob)
    return Section("Effects", "effects", tuple(blocks))


def _term_words(term: str) -> str:
    """A term of a formula as people say it: "horTh[T.yes]" is "horTh = yes"."""
    return term.replace("[T.", " = ").replace("]", "") if "[T." in term else term


def _ratio_blocks(fit: SurvivalFit, prob: float) -> list[Block]:
    """Hazard ratio over time and crossing of the curves, where the only covariate has two categories."""
    spec = fit.spec
    rows = _typical(fit)
    if not isinstance(rows, dict) or len(next(iter(rows.values()))) != 2:
        return []
    name = spec.covariates[0]
    first, second = ({name: [v]} for v in rows[name])
    blocks: list[Block] = [fit.plot_hazard_ratio(second, first, prob=prob)]
    crossing = _flat(fit.crossing_time(first, second).draws)[:, 0]
    crossed = np.isfinite(crossing)
    text = (
        f"That the survival curves of {name} = {rows[name][0]} and {rows[name][1]} cross while anybody is followed, up to "
        f"{fit.follow_up:g}, has the probability {chance(crossed).removeprefix('= ')}."
    )
    if crossed.mean() > 0.05:
        mid = float(np.median(crossing[crossed]))
        early = _gap_before(fit, first, second, crossing)
        text += (
            f" Where they do, they cross first at {mid:.4g} (median), and before that they differ by {early:.2g} at most "
            "(median): the smaller this is, the less the crossing matters."
        )
    blocks.append(Paragraph(text))
    return blocks


def _gap_before(fit: SurvivalFit, a: object, b: object, crossing: NDArray[np.float64]) -> float:
    """How far apart the curves are at most before they first cross: median over the draws in which they do."""
    at = np.geomspace(1e-3 * fit.follow_up, fit.follow_up, 80)
    one, two = (_flat(fit.survival(x, at).draws)[:, 0] for x in (a, b))
    gap = np.where(at <= crossing[:, None], np.abs(one - two), 0.0).max(1)
    return float(np.median(gap[np.isfinite(crossing)]))


# -- survival
# --------------------------------------------------------------------------------------------------


def _survival(fit: SurvivalFit, prob: float) -> Section:
    estimands = fit.estimands
    rows: list[tuple[Cell, ...]] = []
    own = "sample_survival" in estimands
    for k, time in enumerate(map(str, estimands["time"].values)):
        line: tuple[Cell, ...] = (time, *_numbers(_at(estimands["survival"], k), prob))
        if own:
            line += (Number(float(_at(estimands["sample_survival"], k).mean())),)
        rows.append(line)
    heads = ("time", "no event by then", "lower", "upper", *(("expected share of the subjects",) if own else ()))
    caption = (
        f"Probability of no event at average covariates, medians with {interval_phrase(prob, 'eti')} intervals, at the "
        "quartiles of the times of events."
    )
    multiplier = fit.dials["independent_censoring.multiplier"]
    if own:
        caption += " The last column is of the study's own subjects: those censored before the time go on with " + (
            "the hazard of those followed." if multiplier == 1.0 else f"{multiplier:g} times the hazard of those followed."
        )
    blocks: list[Block] = [Table(heads, tuple(rows), caption), _curves(fit, prob)]
    mid, low, high = _numbers(estimands["restricted_mean"].transpose("chain", "draw").values, prob)
    spread = Table(
        ("what", "median", "lower", "upper"),
        ((f"mean time without the event up to {fit.follow_up:g}", mid, low, high),
         ("median time to the event", *_numbers(_median(fit), prob))),
        f"At average covariates, with {interval_phrase(prob, 'eti')} intervals, in the unit of the table. ∞: the event is not "
        "reached.",
    )  # fmt: skip
    blocks.append(spread)
    late = float((_median(fit) > fit.follow_up).mean())
    if late > 0.01:
        blocks.append(
            Note("warn", f"{late:.0%} of the posterior of the median time lies beyond the end of follow-up: extrapolation.")
        )
    return Section("Survival", "survival", tuple(blocks))


def _at(values: xr.DataArray, place: int) -> NDArray[np.float64]:
    return np.asarray(values.isel(time=place).transpose("chain", "draw").values)


def _median(fit: SurvivalFit) -> NDArray[np.float64]:
    return np.asarray(fit.quantile(0.5).draws.transpose("chain", "draw", "row", "share").values[..., 0, 0])


def _curves(fit: SurvivalFit, prob: float) -> Block:
    """Curves by the first categorical covariate with few categories; of the whole study where there is none."""
    if fit.statistics is None:
        return fit.plot_survival(prob=prob)
    named = [c for c in fit.spec.covariates if 0 < len(fit.levels.get(f"x_{c}", ())) <= _ARMS]
    return fit.plot_survival(by=named[0] if named else None, prob=prob)


# -- frailty
# --------------------------------------------------------------------------------------------------


def _frailty(fit: SurvivalFit, prob: float) -> Section | None:
    """Variance, dependence within groups, and the groups that are farthest from the mean."""
    if fit.spec.frailty is None:
        return None
    rows: list[tuple[Cell, ...]] = [
        (label, *_numbers(fit.estimands[name].transpose("chain", "draw").values, prob))
        for name, label in (
            ("frailty_variance", "variance of the factor"), ("kendall_tau", "Kendall's tau of two times in one group"),
        )
    ]  # fmt: skip
    span = interval_phrase(prob, "eti")
    blocks: list[Block] = [
        Paragraph(
            f"Rows with the same {fit.spec.frailty} share a factor of their hazards, gamma distributed with mean 1. Effects "
            "are those within a group; survival, hazards and times are those of the population, averaged over the groups there "
            "could be, so that its hazard ratios are nearer to 1 than the effects. fit.given_frailty(1.0) answers for a group "
            "of mean frailty."
        ),
        Table(("what", "median", "lower", "upper"), tuple(rows), f"How much groups differ, with {span} intervals."),
    ]
    if fit.statistics is not None:
        found = fit.frailties().draws.transpose("chain", "draw", "row")
        order = np.argsort(found.median(("chain", "draw")).values)
        ends = [*order[-_EXTREMES:][::-1], *order[:_EXTREMES]] if len(order) > 2 * _EXTREMES else list(order[::-1])
        told = tuple((str(found["row"].values[k]), *_numbers(found.values[..., k], prob)) for k in ends)
        some = f"The {_EXTREMES} highest and lowest of {len(order)} groups" if len(order) > len(ends) else "All groups"
        caption = f"{some} by their median factor, with {span} intervals. Few rows make a group: it is no ranking."
        blocks.append(Table(("group", "factor, median", "lower", "upper"), told, caption))
    return Section("Groups", "frailty", tuple(blocks))


# -- cure
# --------------------------------------------------------------------------------------------------


def _cure(fit: SurvivalFit, prob: float) -> Section | None:
    kappa = fit.estimands["kappa"].transpose("chain", "draw").values
    if float((kappa < 0).mean()) < _CURE:
        return None
    mid, low, high = _numbers(fit.estimands["cured"].transpose("chain", "draw").values, prob)
    blocks: list[Block] = [
        Note(
            "warn",
            f"P(kappa < 0) {chance(kappa < 0)}. A cured share is what the law says of times after {fit.follow_up:g}, the end "
            "of follow-up: extrapolation, whatever the interval.",
            tuple(_cure_details(fit)),
        ),
        Table(
            ("what", "median", "lower", "upper"), (("share that never has the event, at average covariates", mid, low, high),),
            f"{interval_phrase(prob, 'eti')[:1].upper()}{interval_phrase(prob, 'eti')[1:]} interval over all draws; those with "
            "kappa of 0 or more count as 0.",
        ),
    ]  # fmt: skip
    moved = any(fit.spec.terms(c).variables for c in ("hazard", "tail"))
    if not moved and fit.spec.covariates:
        blocks.append(
            Paragraph(
                "The covariates act on the speed or the power of time only, so by construction everybody has the same cured "
                "share: this model cannot say who is cured."
            )
        )
    return Section("A cured share", "cure", tuple(blocks))


def _cure_details(fit: SurvivalFit) -> list[str]:
    details = []
    if fit.statistics is not None:
        rows = rows_of(fit)
        marks = np.array([0.75, 0.9, 1.0]) * fit.follow_up
        numbers = numbers_at_risk(rows["time"], rows["entry"], rows["weights"], marks)
        told = ", ".join(f"{counted(float(n))} at {t:.4g}" for t, n in zip(marks, numbers, strict=True))
        few = f" Fewer than {_FEW} there: the end of the curve is hardly observed." if numbers[1] < _FEW else ""
        details.append(f"At risk: {told}.{few}")
    if not fit.spec.terms("hazard").intercept and fit.spec.law == "apgw":
        details.append(
            "The factor lambda of the hazard is set to 1 at average covariates. That ties the cured share to kappa alone; fit "
            "with hazard='1' too before it is believed."
        )
    return details


# -- the rows
# --------------------------------------------------------------------------------------------------


def _rows(fit: SurvivalFit, prob: float) -> Section | None:
    """Residuals and calibration, where they can be made."""
    statistics = fit.statistics
    if statistics is None:
        text = "The run was loaded without its rows: residuals and calibration are not computed."
        return Section("Fit to the rows", "rows", (Note("not computed", text),))
    if statistics.attrs.get("relative"):
        text = "With a background hazard, residuals and calibration of the rows are not computed."
        return Section("Fit to the rows", "rows", (Note("not computed", text),))
    weighted = bool((statistics["weight"].values != 1.0).any())
    pointer = statistics["kind_ptr"].values
    between = bool(pointer[-1] > pointer[2])
    blocks: list[Block] = []
    if not between:
        blocks.append(fit.plot_residuals("cox-snell", prob=prob))
    if not weighted:
        blocks.append(fit.plot_residuals("pit", prob=prob))
    if not between:
        blocks.append(fit.plot_calibration(float(statistics["horizons"].values[-1]), prob=prob))
    if not blocks:
        text = "Rows in intervals that stand for several: residuals and calibration are not computed."
        blocks.append(Note("not computed", text))
    return Section("Fit to the rows", "rows", tuple(blocks))
