"""Scores in a stated bank of items, of which the items of the table are a random sample.

The posterior of a fit is about the population of items. Often the question is about a finite set: these 200 items, or the 400
of which these are half. There the truth of the answers at hand is no sample of anything: it is uncertain only as far as the
judges leave it so. Each draw of the parameters is completed by a draw of the true level of every answer in the bank: of answers
with verdicts given these, of the others given the difficulty of their item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError
from bayeskit_models.judges.difficulty import difficulty_nodes
from bayeskit_models.judges.estimands import log_graded, row_location
from bayeskit_models.judges.simulate import judge_probabilities

if TYPE_CHECKING:
    from bayeskit_models.judges.judge_fit import JudgeFit

__all__ = ["Completion", "bank_scores", "completion", "items_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Completion:
    """What the verdicts say of the truth at one value of the parameters.

    Attributes
    ----------
    node : ndarray, shape (I, Q)
        Probability of each difficulty node for each kind of item.
    level : ndarray, shape (C, Q, M)
        Probability of each true level for each kind of answer at each node.
    prior : ndarray, shape (R, Q, M)
        The same for an answer without a verdict.
    mass : ndarray, shape (Q,)
        The same for an item without answers: the prior probability of each node.
    """

    node: FloatArray
    level: FloatArray
    prior: FloatArray
    mass: FloatArray


@dataclass(frozen=True)
class _Layout:
    """Every single item and answer of the table, and the answers that its items lack."""

    pattern: IntArray  # (n,) kind of each item
    answer_item: IntArray
    answer_cell: IntArray
    answer_candidate: IntArray
    absent_item: IntArray
    absent_row: IntArray


def items_of(statistics: xr.Dataset) -> int:
    """Number of items in the statistics of a paired fit."""
    return int(statistics["item_count"].values.sum())


def completion(fit: JudgeFit, values: dict[str, NDArray]) -> Completion:
    """Probabilities of difficulties and true levels given the verdicts, at one value of the variables."""
    statistics = fit._need_statistics("be asked for a bank of items")
    nodes, log_weight = difficulty_nodes(statistics.sizes["candidate"], values["difficulty_scale"])
    location = row_location(values, statistics.sizes["stratum"]).reshape(-1)
    gaps = values["cut_gap"][None, None] if "cut_gap" in values else None
    log_prior = log_graded(location[:, None] - values["difficulty_scale"] * nodes, gaps)  # (R, Q, M)
    theta = judge_probabilities(fit.spec, values, statistics, fit.dials)
    log_theta = np.log(np.maximum(theta.reshape(-1, *theta.shape[2:]), 1e-300))
    row, scores, gold = (statistics[n].values for n in ("cell_row", "cell_scores", "cell_gold"))
    log_level = log_prior[row].copy()
    for j in range(scores.shape[1]):
        seen = np.flatnonzero(scores[:, j] >= 0)
        log_level[seen] += log_theta[row[seen], j, :, scores[seen, j]][:, None, :]
    known = np.flatnonzero(gold >= 0)
    others = np.arange(log_level.shape[-1]) != gold[known, None]
    log_level[known] = np.where(others[:, None, :], -np.inf, log_level[known])
    level, table = _normalised(log_level)
    pointer, cells = statistics["item_ptr"].values, statistics["item_cell"].values
    item = np.repeat(np.arange(len(pointer) - 1), np.diff(pointer))
    log_node = np.tile(log_weight, (len(pointer) - 1, 1))
    np.add.at(log_node, item, table[cells])
    return Completion(_normalised(log_node)[0], level, np.exp(log_prior), np.exp(log_weight))


def _normalised(logs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Exponentials over the last axis with sum 1, and the log of their sum before."""
    top = logs.max(-1, keepdims=True)
    mass = np.exp(logs - top)
    total = mass.sum(-1, keepdims=True)
    return mass / total, (top + np.log(total))[..., 0]


def _layout(statistics: xr.Dataset) -> _Layout:
    pointer, cells = statistics["item_ptr"].values, statistics["item_cell"].values
    pattern = np.repeat(np.arange(len(pointer) - 1), statistics["item_count"].values.astype(np.int64))
    width = np.diff(pointer)[pattern]
    item = np.repeat(np.arange(len(pattern)), width)
    within = np.arange(len(item)) - np.repeat(np.cumsum(width) - width, width)
    cell = cells[pointer[pattern][item] + within]
    strata, candidates = statistics.sizes["stratum"], statistics.sizes["candidate"]
    row = statistics["cell_row"].values[cell]
    present = np.zeros((len(pattern), candidates), dtype=bool)
    present[item, row // strata] = True
    stratum = np.zeros(len(pattern), dtype=np.int64)
    stratum[item] = row % strata
    absent_item, absent_candidate = np.nonzero(~present)
    return _Layout(pattern, item, cell, row // strata, absent_item, absent_candidate * strata + stratum[absent_item])


def bank_scores(fit: JudgeFit, items: int, seed: int) -> FloatArray:
    """Draws of the mean true score of every candidate over a bank of items.

    Parameters
    ----------
    fit : JudgeFit
        A fit of the paired likelihood.
    items : int
        Size of the bank; at least the number of items of the table.
    seed : int
        The same seed gives the same draws.

    Returns
    -------
    ndarray, shape (chains, draws, candidates)
        In the user's own numbers for the levels.

    Raises
    ------
    SpecificationError
        For another likelihood (it does not know the items) or a bank smaller than the table.
    """
    statistics = fit._need_statistics("be asked for a bank of items")
    if statistics.attrs["likelihood"] != "paired":
        raise SpecificationError(
            f"A bank of items needs the paired likelihood; this fit has the {statistics.attrs['likelihood']} one, which does "
            "not know the items. Fit with item='...'."
        )
    here = items_of(statistics)
    if isinstance(items, bool) or int(items) != items or items < here:
        raise SpecificationError(f"items={items!r}: a whole number of at least {here}, the items of the table.")
    layout, posterior = _layout(statistics), fit.posterior
    shape = posterior.sizes["chain"], posterior.sizes["draw"]
    flat = {str(n): v.transpose("chain", "draw", ...).values for n, v in posterior.data_vars.items()}
    flat = {n: v.reshape(shape[0] * shape[1], *v.shape[2:]) for n, v in flat.items()}
    rng = np.random.default_rng([seed, int(items)])
    sizes = statistics.sizes["candidate"], statistics.sizes["stratum"]
    weight = statistics["stratum_weight"].values
    out = np.empty((shape[0] * shape[1], sizes[0]))
    for s in range(len(out)):
        found = completion(fit, {n: v[s] for n, v in flat.items()})
        out[s] = _total(found, layout, sizes, rng) + _rest(found, int(items) - here, sizes, weight, rng)
    return fit.spec.base + (out / items).reshape(*shape, sizes[0])


def _total(found: Completion, layout: _Layout, sizes: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Sum of the true levels (from 0) of every candidate's answers to the items of the table."""
    node = _categorical(found.node[layout.pattern], rng)
    level = _categorical(found.level[layout.answer_cell, node[layout.answer_item]], rng)
    total = np.bincount(layout.answer_candidate, level, sizes[0])
    if len(layout.absent_item):
        lacking = _categorical(found.prior[layout.absent_row, node[layout.absent_item]], rng)
        total += np.bincount(layout.absent_row // sizes[1], lacking, sizes[0])
    return total


def _rest(found: Completion, items: int, sizes: tuple[int, int], weight: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Sum of the true levels over further items of the population: difficulty and stratum drawn anew."""
    if items == 0:
        return np.zeros(sizes[0])
    node = rng.choice(len(found.mass), items, p=found.mass / found.mass.sum())
    stratum = rng.choice(sizes[1], items, p=weight)
    row = np.arange(sizes[0])[:, None] * sizes[1] + stratum
    return np.asarray(_categorical(found.prior[row, node], rng).sum(1), dtype=float)


def _categorical(chances: FloatArray, rng: np.random.Generator) -> IntArray:
    """One category for each row of probabilities (..., M)."""
    edges = np.cumsum(chances[..., :-1], -1)
    return np.asarray((rng.uniform(size=(*chances.shape[:-1], 1)) > edges).sum(-1))
