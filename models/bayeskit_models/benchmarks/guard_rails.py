"""What a table of scores cannot tell, found on the counts alone: warnings with numbers and advice, never failures.

Every function takes the cells of one table: one-dimensional arrays of equal length with codes (0, 1, ...) and counts, and names
for the codes. None needs a fit, so they can be read before one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.verdict import CheckResult, Status
from bayeskit_models.benchmarks.proportions import beta_interval
from bayeskit_models.benchmarks.snr import sd_factors

__all__ = [
    "all_or_nothing",
    "few_runs",
    "kinds_of_scores",
    "near_chance",
    "repeated_samples",
    "single_samples",
    "unequal_items",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FREEDOM = 4  # degrees of freedom that a seed sd should rest on: five runs of one model, or two of four models
_ERRORS = 2.0  # standard errors from chance
_CELLS = 20  # cells with two samples or more from which their agreement says something
_KINDS = 5  # zeros, ones and scores inside from which the law of scores with ends can be told
_LISTED = 20  # rows of a table


def few_runs(runs: ArrayLike, models: Sequence[str]) -> CheckResult:
    """Warn where the standard deviation over seeds rests on less than five runs of one model do.

    Parameters
    ----------
    runs : array_like of int, shape (M,)
        Training runs (seeds) of every model.
    models : sequence of str
        Their names.

    Returns
    -------
    CheckResult
        Models share the standard deviation, so their degrees of freedom (runs less 1) add up.
    """
    n = np.asarray(runs, dtype=np.int64)
    name, most, freedom = "seeds", int(n.max(initial=0)), int((n - 1).clip(0).sum())
    table = _listed([{"model": str(models[i]), "runs": int(n[i])} for i in np.argsort(n, kind="stable")])
    if freedom == 0:
        text = f"No model has two training runs ({len(n)} models): runs cannot be told from models."
        advice = "Say that intervals hold for these trained models only: what another seed would give is not in the data."
        return CheckResult(name, Status.WARN, text, advice, table)
    low, high = sd_factors(freedom + 1)
    text = (
        f"At most {most} training runs of a model, {freedom} degrees of freedom in all (limit {_FREEDOM}): the sd over seeds "
        f"is known to within x{low:.2f} to x{high:.2f} (95 % interval)."
    )
    if freedom >= _FREEDOM:
        return CheckResult(name, Status.PASS, text, "", table)
    advice = (
        "Do not read a ratio to the seed sd without its interval; add seeds, or turn the dial of its prior and see what moves."
    )
    return CheckResult(name, Status.WARN, text, advice, table)


def single_samples(trials: ArrayLike) -> CheckResult:
    """Warn where every cell holds one sample, so that model by item cannot be told from the noise of a sample.

    Parameters
    ----------
    trials : array_like, shape (N,)
        Samples of every cell (model, item, run, template); cells without any do not count.
    """
    n = np.asarray(trials, dtype=float)
    n = n[n > 0]
    several = int((n >= 2).sum())
    text = f"{several} of {n.size} cells of model and item hold two samples or more (at least {_CELLS} needed)."
    if several >= _CELLS:
        return CheckResult("samples", Status.PASS, text)
    advice = (
        "The interaction of model and item is part of the noise of one sample: report their sum, leave the interaction out of "
        "the model, and do not ask what more samples would bring. Two samples of each item separate them."
    )
    return CheckResult("samples", Status.WARN, text, advice)


def near_chance(
    model: ArrayLike,
    successes: ArrayLike,
    trials: ArrayLike,
    models: Sequence[str],
    *,
    chance: float,
    item: ArrayLike | None = None,
) -> CheckResult:
    """Warn where a model's score is within two standard errors of guessing.

    Parameters
    ----------
    model : array_like of int, shape (N,)
        Model of every cell.
    successes, trials : array_like, shape (N,)
        Counts of every cell.
    models : sequence of str
        Names of the models.
    chance : float
        Score of a guess; 0 makes the question empty.
    item : array_like of int, shape (N,), optional
        Item of every cell. The standard error then is that of independent items; otherwise of independent samples.
    """
    if chance <= 0.0:
        return CheckResult("chance", Status.PASS, "The score of a guess is 0: no score can be at chance.")
    rows: list[dict[str, Any]] = []
    for i, name in enumerate(models):
        score, error = _score(*_of_model(i, model, successes, trials, item))
        if abs(score - chance) <= _ERRORS * error or score < chance:
            rows.append({"model": str(name), "score": score, "standard_error": error, "chance": float(chance)})
    rows.sort(key=lambda row: row["score"])
    text = f"{len(rows)} of {len(models)} models score within {_ERRORS:g} standard errors of a guess ({chance:g}), or below it."
    if not rows:
        return CheckResult("chance", Status.PASS, text)
    advice = (
        "Their differences and seed sds say how guesses fall, not what models can do: put the chance level into the likelihood "
        "(chance=...), read signal to noise above chance, or ask in a format that the models can answer (cloze)."
    )
    return CheckResult("chance", Status.WARN, f"{text} {_named(rows)}", advice, _listed(rows))


def all_or_nothing(model: ArrayLike, successes: ArrayLike, trials: ArrayLike, models: Sequence[str]) -> CheckResult:
    """Warn where a model has everything right or everything wrong; parameters as in `near_chance`."""
    rows = []
    for i, name in enumerate(models):
        k, n = (v.sum() for v in _of_model(i, model, successes, trials, None))
        if n > 0 and k in (0.0, n):
            low, high = beta_interval(k, n)
            rows.append(
                {"model": str(name), "successes": float(k), "trials": float(n), "lower": float(low), "upper": float(high)}
            )
    text = f"{len(rows)} of {len(models)} models have every answer right or every answer wrong."
    if not rows:
        return CheckResult("all_or_nothing", Status.PASS, text)
    first = rows[0]
    text += (
        f" {_named(rows)} A uniform prior leaves {first['lower']:.3f} to {first['upper']:.3f} (95 % equal-tailed) for "
        f"{first['model']} with {first['successes']:g} of {first['trials']:g}."
    )
    advice = (
        "The data bound their ability on one side only, the prior on the other: report intervals, no standard errors (they are "
        "0), and read how the answer moves with the prior of the abilities."
    )
    return CheckResult("all_or_nothing", Status.WARN, text, advice, _listed(rows))


def unequal_items(model: ArrayLike, item: ArrayLike, trials: ArrayLike, models: Sequence[str]) -> CheckResult:
    """Warn where models met different items.

    Parameters
    ----------
    model, item : array_like of int, shape (N,)
        Model and item of every cell.
    trials : array_like, shape (N,)
        Samples of every cell; cells without any do not count.
    models : sequence of str
        Names of the models.
    """
    met = _met(np.asarray(model), np.asarray(item), np.asarray(trials, dtype=float), len(models))
    count = met.sum(1)
    common, union = int(met.all(0).sum()), met.shape[1]
    text = f"All {len(models)} models met {common} of {union} items; each met {int(count.min())} to {int(count.max())}."
    if common == union:
        return CheckResult("items", Status.PASS, text)
    order = np.argsort(count, kind="stable")
    table = _listed([{"model": str(models[i]), "items": int(count[i]), "missing": int(union - count[i])} for i in order])
    shared = met.astype(float) @ met.T.astype(float)
    apart = int((shared[np.triu_indices(len(models), 1)] == 0).sum())
    if apart:
        text += f" {apart} pairs of models have no item in common."
    advice = (
        "Plain means compare different exams: read the model's scores, which allow for the difficulty of items, and ask why "
        "items are missing; if hard ones are (errors, refusals, timeouts), count them as wrong or say so."
    )
    return CheckResult("items", Status.WARN, text, advice, table)


def repeated_samples(model: ArrayLike, successes: ArrayLike, trials: ArrayLike, models: Sequence[str]) -> CheckResult:
    """Warn where repeated samples of a model never differ, as they do at temperature 0.

    Parameters
    ----------
    model : array_like of int, shape (N,)
        Model of every cell.
    successes, trials : array_like, shape (N,)
        Counts of every cell of model, item, run and template.
    models : sequence of str
        Names of the models.

    Returns
    -------
    CheckResult
        A model counts with 20 or more cells of two samples or more, right and wrong ones among them.
    """
    rows: list[dict[str, Any]] = []
    asked = 0
    for i, name in enumerate(models):
        k, n = _of_model(i, model, successes, trials, None)
        k, n = k[n >= 2], n[n >= 2]
        if k.size < _CELLS or k.sum() in (0.0, n.sum()):
            continue
        asked += 1
        if not ((k > 0) & (k < n)).any():
            # No cell of m differs: each differs with a probability of at most this (95 %, uniform prior).
            bound = float(1.0 - 0.05 ** (1.0 / (k.size + 1.0)))
            rows.append({"model": str(name), "cells": int(k.size), "samples": float(n.sum()), "differ_at_most": bound})
    if not asked:
        text = f"No model has {_CELLS} cells with two samples or more, right and wrong ones among them."
        return CheckResult("repeats", Status.NOT_COMPUTED, text, "With one sample a cell there is nothing to compare.")
    text = f"{len(rows)} of {asked} models never gave two different answers to the same item."
    if not rows:
        return CheckResult("repeats", Status.PASS, text)
    first = rows[0]
    text += (
        f" {_named(rows)} {first['model']}: none of {first['cells']} cells differ, so at most "
        f"{100 * first['differ_at_most']:.2g} % of cells would (95 %)."
    )
    advice = (
        "Samples that were drawn at temperature 0 repeat one answer: keep one of them (trials=1), or the model believes "
        "that it saw several independent ones. Draw at the temperature that is used to learn how answers vary."
    )
    return CheckResult("repeats", Status.WARN, text, advice, _listed(rows))


def kinds_of_scores(zeros: float, ones: float, inside: float) -> CheckResult:
    """Warn where scores from 0 to 1 hardly ever are at an end, or between the ends, so that the prior says where the cuts are.

    Parameters
    ----------
    zeros, ones, inside : float
        Numbers of scores that are 0, 1 and between.
    """
    text = f"{zeros:g} scores are 0, {ones:g} are 1 and {inside:g} lie between (at least {_KINDS} of each needed)."
    if min(zeros, ones, inside) >= _KINDS:
        return CheckResult("kinds_of_scores", Status.PASS, text)
    if inside < _KINDS:
        advice = (
            "How scores between 0 and 1 fall is known from the prior: take family='binomial' if scores are right or wrong, "
            "which asks for fewer parameters; else read how the answer moves with the priors of the cuts and of the precision."
        )
    else:
        advice = (
            "Where the cut to an end lies that is hardly ever reached is known from the prior alone. Scores hardly depend on "
            "it; if neither end is reached, family='gaussian' asks for fewer parameters."
        )
    return CheckResult("kinds_of_scores", Status.WARN, text, advice)


def _of_model(
    code: int, model: ArrayLike, successes: ArrayLike, trials: ArrayLike, item: ArrayLike | None
) -> tuple[FloatArray, FloatArray]:
    """Successes and trials of one model's cells; of its items, where items are given."""
    own = np.asarray(model) == code
    k, n = (np.asarray(v, dtype=float)[own] for v in (successes, trials))
    if item is None:
        return k, n
    _, place = np.unique(np.asarray(item)[own], return_inverse=True)
    return np.bincount(place, k), np.bincount(place, n)


def _score(k: FloatArray, n: FloatArray) -> tuple[float, float]:
    """Mean over cells of the share of successes, and its standard error; a lone cell is taken for independent samples."""
    k, n = k[n > 0], n[n > 0]
    if k.size == 0:
        return float("nan"), float("nan")
    if k.size == 1:
        p = (k[0] + 0.5) / (n[0] + 1.0)
        return float(k[0] / n[0]), float(np.sqrt(p * (1.0 - p) / n[0]))
    share = k / n
    return float(share.mean()), float(share.std(ddof=1) / np.sqrt(share.size))


def _met(model: IntArray, item: IntArray, trials: FloatArray, models: int) -> NDArray[np.bool_]:
    """Which model met which item, (M, items)."""
    there = trials > 0
    labels, place = np.unique(item[there], return_inverse=True)
    met = np.zeros((models, labels.size), dtype=bool)
    met[model[there], place] = True
    return met


def _named(rows: Sequence[dict[str, Any]]) -> str:
    names = ", ".join(row["model"] for row in rows[:5])
    return f"They are {names}{', ...' if len(rows) > 5 else ''}." if len(rows) > 1 else f"It is {names}."


def _listed(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(rows[:_LISTED])
