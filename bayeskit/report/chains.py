"""Chains in a report: traces of what mixed worst, what twice the draws changed, and every parameter's R-hat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayeskit.report.content import Block, Cell, Figure, Note, Number, Table, format_number
from bayeskit.report.drawing import canvas, label_text
from bayeskit.report.figures import density_plot
from bayeskit.report.palette import SERIES, style
from bayeskit.report.results import count, element_label, r_hat

if TYPE_CHECKING:
    import pandas as pd

    from bayeskit.fit import Fit

__all__ = ["autocorrelation", "chain_blocks", "doubling", "trace_plot"]

FloatArray = NDArray[np.float64]

_POINTS = 250  # of a chain in a trace: more would hide what they show
_TOLD = 12  # quantities of the table about doubling
_PARAMETERS = 100


def chain_blocks(fit: Fit) -> tuple[Block, ...]:
    """Trace and densities of the headline quantity that mixed worst, doubling, and the parameters."""
    try:
        frame, parameters = fit.summary(), fit.summary(group="posterior")
    except ValueError as error:
        return (Note("not computed", "Chains could not be summarised.", (str(error),)),)
    names, values = _headline(fit, [str(n) for n in frame.index])
    finite = [i for i in range(len(names)) if np.isfinite(values[..., i]).all() and np.ptp(values[..., i]) > 0]
    blocks: list[Block] = []
    if finite:
        worst = sorted(finite, key=lambda i: -_badness(frame, names[i]))[:_TOLD]
        label = element_label(fit, names[worst[0]])
        draws = values[..., worst[0]]
        blocks.append(trace_plot(draws, label))
        chains = {f"chain {c + 1}": d for c, d in enumerate(draws[: len(SERIES)])}
        told = f"Density of {label} by chain: chains that agree lie on one another."
        blocks.append(density_plot(chains, xlabel=label, caption=told))
        blocks.append(_doubled(fit, names, values, worst))
    return (*blocks, _all_parameters(parameters))


def _headline(fit: Fit, index: list[str]) -> tuple[list[str], FloatArray]:
    """Every element of the headline estimands (all where none is one), shape (chains, draws, elements), with their names."""
    data = fit.estimands
    arrays = [v.transpose("chain", "draw", ...).values.astype(float) for v in data.data_vars.values()]
    values = np.concatenate([a.reshape(*a.shape[:2], -1) for a in arrays], axis=2)
    chosen = {str(n) for n, v in data.data_vars.items() if v.attrs.get("headline")}
    places = [i for i, name in enumerate(index) if name.partition("[")[0] in chosen] or list(range(len(index)))
    return [index[i] for i in places], values[..., places]


def _badness(frame: pd.DataFrame, name: str) -> float:
    row = frame[frame.index == name].iloc[0]
    value = float(row["r_hat"])
    return value if math.isfinite(value) else math.inf


def trace_plot(draws: FloatArray, label: str, caption: str = "") -> Figure:
    """Draw chains over their draws.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws)
        Of one quantity.
    label : str
        The quantity and its units.
    caption : str
        Defaults to a sentence.

    Returns
    -------
    Figure
        SVG; the alt text has mean and standard deviation of every chain.
    """
    step = max(1, draws.shape[1] // _POINTS)
    page = canvas(7.4, 2.5)
    at = np.arange(0, draws.shape[1], step)
    for c, chain in enumerate(draws):
        look = style(c)
        page.axes.plot(at, chain[::step], color=look.colour, lw=0.8, alpha=0.8, label=f"chain {c + 1}")
    page.axes.set_xlim(0, max(draws.shape[1] - 1, 1))
    page.axes.set_xlabel("draw after warm-up")
    page.axes.set_ylabel(label_text(label, 26), parse_math=False)
    page.axes.grid(axis="y")
    told = "; ".join(
        f"chain {c + 1} mean {format_number(float(d.mean()))}, sd {format_number(float(d.std()))}" for c, d in enumerate(draws)
    )
    each = f", one in {step} draws" if step > 1 else ""
    text = f"Trace of {label}, the headline quantity with the largest R-hat{each}: chains that mix lie on one another."
    return page.figure(f"Trace of {label}: {told}.", caption or text)


def autocorrelation(draws: FloatArray, lag: int) -> float:
    """Autocorrelation at a lag, averaged over chains of shape (chains, draws); NaN for chains that do not move."""
    centred = draws - draws.mean(1, keepdims=True)
    total = float((centred**2).sum())
    if draws.shape[1] <= lag or total == 0:
        return math.nan
    return float((centred[:, lag:] * centred[:, :-lag]).sum()) / total


def doubling(draws: FloatArray) -> tuple[float, float, float]:
    """Median of the first half of every chain, of all draws, and the change in posterior standard deviations.

    The first half is the run with half the draws, so that all of them is that run doubled.
    """
    half = draws[:, : draws.shape[1] // 2]
    first, whole = float(np.median(half)), float(np.median(draws))
    return first, whole, (whole - first) / float(draws.std())


def _doubled(fit: Fit, names: list[str], values: FloatArray, worst: list[int]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for i in worst:
        draws = values[..., i]
        first, whole, change = doubling(draws)
        error = 1.25 * float(draws.std()) / math.sqrt(draws.size)
        lags = (Number(autocorrelation(draws, 1), 0.01), Number(autocorrelation(draws, 10), 0.01))
        rows.append((element_label(fit, names[i]), Number(first, error), Number(whole, error), Number(change, 0.01), *lags))
    heads = ("Quantity", "Median, half the draws", "Median, all draws", "Change in sd", "Autocorrelation, lag 1", "lag 10")
    caption = "What doubling the draws changed, and autocorrelation, for the headline quantities with the largest R-hat."
    return Table(heads, tuple(rows), caption)


def _all_parameters(frame: pd.DataFrame) -> Table:
    """R-hat and effective sizes of every parameter, the worst ones first where there are many."""
    rank = frame["r_hat"].fillna(math.inf)
    shown = frame if len(frame) <= _PARAMETERS else frame.loc[rank.sort_values(ascending=False, kind="stable").index]
    caption = "Every parameter of the model: posterior mean, standard deviation and convergence."
    if len(frame) > _PARAMETERS:
        shown = shown.iloc[:_PARAMETERS]
        caption = (
            f"The {_PARAMETERS} of {len(frame):,d} parameters with the largest R-hat; the others have at most "
            f"{float(shown['r_hat'].min()):.3f}."
        )
    rows = tuple(
        (str(name), Number(float(r["mean"]), float(r["mcse_mean"])), Number(float(r["sd"]), float(r["mcse_mean"])),
         count(float(r["ess_bulk"])), count(float(r["ess_tail"])), r_hat(float(r["r_hat"])))
        for name, r in shown.iterrows()
    )  # fmt: skip
    return Table(("Parameter", "Mean", "sd", "ESS, bulk", "ESS, tail", "R-hat"), rows, caption)
