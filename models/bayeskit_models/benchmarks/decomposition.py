"""Where the variance of a score comes from: models, items, runs, templates, their interactions, one sample.

The model is additive in logits, but people read scores. Given parameters, the score that is expected of model m is ::

    p = chance + (1 - chance) / (1 + exp(-(eta_m + cluster + item + model_item + run + template + model_template)))

(for scores with ends: as `ordered_scores` says) with independent normal effects, and the analysis of variance of p over
them has a component for every facet and for what facets do together (Sobol 1993; Brennan 2001, Generalizability Theory). Where
a facet's effect is kept and the others are averaged over, both parts are normal, so every component needs two nested
one-dimensional averages and no simulation.

Models are a sample of models: variances between them divide by M - 1, and what items do to all models is the mean covariance of
two different ones. Hence components mean what mean squares estimate (`moments_of_counts`). Runs are nested in models: `run` is
all that two runs of one model differ by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.errors import SpecificationError
from bayeskit.fused import fast_exp, kernel
from bayeskit_models.benchmarks.arguments import guess, predictors, standard_deviations
from bayeskit_models.benchmarks.normal_nodes import SIGMOID, normal_nodes
from bayeskit_models.benchmarks.ordered_scores import ordered_moments, ordered_within
from bayeskit_models.benchmarks.quantities import Quantities

__all__ = ["Components", "link_components", "score_components"]

FloatArray = NDArray[np.float64]

_POPULATION = "new models, items, runs and templates like these"
_Law = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
"""Second moments of expected scores at linear predictors, given effects kept and averaged over; see `kept_moments`."""

_ROUNDING = 1e-11  # a component of at most this size is the error of the sums


@dataclass(frozen=True, repr=False)
class Components(Quantities):
    """Draws of variance components of one benchmark.

    Attributes
    ----------
    draws : mapping of str to ndarray, shape (S,)
        Variances, by facet: model, cluster, item, model_cluster, model_item, run, template, model_template, within (one
        sample), and, on the scale of the score, what facets do together because a sigmoid is no line: item_run, item_template,
        model_item_template, run_template, item_run_template. Those without a facet in the model are left out.
    mean : ndarray, shape (S,)
        Expected score of a new item, run and template, averaged over models (on the link scale the mean linear predictor).
    """

    mean: FloatArray | None = None

    @property
    def total(self) -> FloatArray:
        """Sum of the components, shape (S,)."""
        return np.asarray(sum(self.draws.values()))

    def get(self, name: str) -> FloatArray | float:
        """Draws of a component, 0 where there is none of this name."""
        return self.draws.get(name, 0.0)

    def shares(self) -> Quantities:
        """Every component as a share of their sum."""
        total = self.total
        shares = {name: values / total for name, values in self.draws.items()}
        return Quantities(shares, f"shares of the {self.label}", "of 1", self.population, self.note)


@kernel
def kept_moments(eta, kept, rest, chance):  # type: ignore[no-untyped-def]
    """Second moments of h_m(z), the score of model m given an effect z of sd `kept`, others of sd `rest` averaged out.

    Parameters
    ----------
    eta : (S, M) float64
        Linear predictors.
    kept, rest : (S,) float64
        Standard deviations.
    chance : float
        Score of a guess.

    Returns
    -------
    ndarray, shape (S, 2)
        Means over z of ``mean_m(h_m)^2`` and of ``mean_m(h_m^2)``.
    """
    draws, models = eta.shape
    out = np.zeros((draws, 2))
    h = np.empty(models)
    for s in range(draws):
        z, w = normal_nodes(kept[s], SIGMOID)
        e, v = normal_nodes(rest[s], SIGMOID)
        for q in range(z.size):
            h.fill(0.0)
            for r in range(e.size):
                shift, weight = z[q] + e[r], v[r]
                for m in range(models):
                    h[m] += weight / (1.0 + fast_exp(-(eta[s, m] + shift)))
            total, square = 0.0, 0.0
            for m in range(models):
                score = chance + (1.0 - chance) * h[m]
                total += score
                square += score * score
            out[s, 0] += w[q] * (total / models) ** 2
            out[s, 1] += w[q] * square / models
    return out


class _Analysis:
    """Squared standard deviations of all effects, and the moments that any subset of them has when the others are averaged."""

    def __init__(self, eta: FloatArray, squares: Mapping[str, FloatArray], law: _Law) -> None:
        self.eta, self.squares, self.law = eta, squares, law
        self.models = eta.shape[1]
        self.found: dict[frozenset[str], FloatArray] = {}

    def moments(self, *facets: str) -> FloatArray:
        """Of the score given the effects of these facets: columns (mean over models)^2, mean over models of squares."""
        key = frozenset(f for f in facets if f in self.squares)
        if key not in self.found:
            none = np.zeros(len(self.eta))
            kept = sum((self.squares[f] for f in key), none)
            rest = sum((v for f, v in self.squares.items() if f not in key), none)
            self.found[key] = self.law(self.eta, np.sqrt(kept), np.sqrt(rest))
        return self.found[key]

    def pair(self, *facets: str) -> FloatArray:
        """Mean product of the scores of two different models that share these effects."""
        both, own = self.moments(*facets).T
        return np.asarray(both if self.models == 1 else (self.models * both - own) / (self.models - 1))

    def shared(self, *facets: str) -> FloatArray:
        """Mean covariance of two models by these effects."""
        return self.pair(*facets) - self.pair()

    def own(self, *facets: str) -> FloatArray:
        """Mean variance of a model's score by these effects."""
        return np.asarray((self.moments(*facets) - self.moments())[:, 1])


def score_components(
    eta: ArrayLike,
    *,
    item_sd: ArrayLike | None = None,
    model_item_sd: ArrayLike | None = None,
    run_sd: ArrayLike | None = None,
    template_sd: ArrayLike | None = None,
    model_template_sd: ArrayLike | None = None,
    cluster_sd: ArrayLike | None = None,
    chance: float = 0.0,
    ends: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
) -> Components:
    """Variance components of a 0/1 score, or one from 0 to 1, of one benchmark, on the scale of the score.

    Parameters
    ----------
    eta : array_like, shape (S, M)
        Draws of the linear predictor of every model (logits), all other effects 0.
    item_sd, model_item_sd, run_sd, template_sd, model_template_sd, cluster_sd : array_like, shape (S,) or (), optional
        Draws of the standard deviations of the effects, in logits; those of facets that are not in the model are left out.
    chance : float
        Score of a guess, 0 or more and below 1.
    ends : (cut_low, cut_high, precision), each array_like of shape (S,) or (), optional
        Of scores from 0 to 1 under the ordered beta law: its parameters. Without them scores are 0 or 1.

    Returns
    -------
    Components
        With M = 1 there is no component `model`.

    Raises
    ------
    SpecificationError
        For arrays of other shapes, values that are not finite, negative standard deviations, a chance out of range, or both a
        chance and ends.
    """
    if ends is not None and chance != 0.0:
        raise SpecificationError(f"chance={chance!r}: scores with ends are no answers that can be guessed.")
    given = {
        "cluster": cluster_sd, "item": item_sd, "model_item": model_item_sd, "run": run_sd, "template": template_sd,
        "model_template": model_template_sd,
    }  # fmt: skip
    x, squares = _checked(eta, given)
    lucky = guess(chance)
    cuts = None if ends is None else [np.broadcast_to(np.asarray(e, dtype=float), (len(x),)).copy() for e in ends]

    def law(eta: FloatArray, kept: FloatArray, rest: FloatArray) -> FloatArray:
        return np.asarray(kept_moments(eta, kept, rest, lucky) if cuts is None else ordered_moments(eta, kept, rest, *cuts[:2]))

    a = _Analysis(x, squares, law)
    mean = np.sqrt(a.moments()[:, 0])
    out = {"model": a.moments()[:, 1] - a.pair()} if a.models > 1 else {}
    out |= _of_items(a) | _of_runs_and_templates(a) | _together(a)
    if cuts is None:
        out["within"] = mean - a.moments(*squares)[:, 1]  # the square of a score of 0 or 1 is the score
    else:
        out["within"] = ordered_within(x, np.sqrt(sum(squares.values(), np.zeros(len(x)))), *cuts)
    clean = {k: np.where(np.abs(v) < _ROUNDING, 0.0, v) for k, v in out.items()}
    label = "variance components of one sample's score"
    return Components(clean, label, "squared score", _POPULATION, mean=mean)


_ITEM = ("cluster", "item", "model_item")
_TEMPLATE = ("template", "model_template")


def _of_items(a: _Analysis) -> dict[str, FloatArray]:
    out = {}
    common = a.shared("cluster")
    if "cluster" in a.squares:
        out = {"cluster": common, "model_cluster": a.own("cluster") - common}
    if "item" in a.squares:
        out["item"] = a.pair("cluster", "item") - a.pair("cluster")
    if not out.keys().isdisjoint(("item", "cluster")) or "model_item" in a.squares:
        out["model_item"] = a.own(*_ITEM) - sum(out.values())
    return out


def _of_runs_and_templates(a: _Analysis) -> dict[str, FloatArray]:
    out = {"run": a.own("run")} if "run" in a.squares else {}
    if not a.squares.keys().isdisjoint(_TEMPLATE):
        out["template"] = a.shared("template")
        out["model_template"] = a.own(*_TEMPLATE) - out["template"]
    return out


def _together(a: _Analysis) -> dict[str, FloatArray]:
    """What facets do together beyond the sum of what each does."""
    out: dict[str, FloatArray] = {}
    items, templates = (not a.squares.keys().isdisjoint(f) for f in (_ITEM, _TEMPLATE))
    runs = "run" in a.squares
    if items and runs:
        out["item_run"] = a.own(*_ITEM, "run") - a.own(*_ITEM) - a.own("run")
    if items and templates:
        common = a.shared("cluster", "item", "template") - a.shared("cluster", "item") - a.shared("template")
        out["item_template"] = common
        out["model_item_template"] = a.own(*_ITEM, *_TEMPLATE) - a.own(*_ITEM) - a.own(*_TEMPLATE) - common
    if runs and templates:
        out["run_template"] = a.own("run", *_TEMPLATE) - a.own("run") - a.own(*_TEMPLATE)
    if items and runs and templates:
        out["item_run_template"] = (
            a.own(*_ITEM, "run", *_TEMPLATE) - a.own(*_ITEM) - a.own("run") - a.own(*_TEMPLATE) - sum(out.values())
        )
    return out


def link_components(
    eta: ArrayLike, *, within: ArrayLike | None = None, label: str = "variance components of the linear predictor",
    units: str = "squared logits", **sds: ArrayLike | None,
) -> Components:  # fmt: skip
    """Variance components on the scale of the linear predictor: squares of standard deviations.

    Parameters
    ----------
    eta : array_like, shape (S, M)
        Draws of the linear predictor of every model; its variance between models divides by M - 1.
    within : array_like, shape (S,), optional
        Variance of one sample, for scores with a normal error (their link scale is the scale of the score). A 0/1 score has
        none in logits.
    label, units : str
        What the components are.
    **sds : array_like, shape (S,) or ()
        Standard deviations, by the names that `score_components` takes.

    Raises
    ------
    SpecificationError
        As `score_components`.
    """
    known = ("cluster_sd", "item_sd", "model_item_sd", "run_sd", "template_sd", "model_template_sd")
    if unknown := sorted(set(sds) - set(known)):
        raise SpecificationError(f"{unknown[0]}: no standard deviation has this name; known are {', '.join(known)}.")
    x, squares = _checked(eta, {name.removesuffix("_sd"): sds.get(name) for name in known})
    out = {"model": x.var(1, ddof=1)} if x.shape[1] > 1 else {}
    out |= squares
    if within is not None:
        out |= _checked(eta, {"within": np.sqrt(np.asarray(within, dtype=float))})[1]
    return Components(out, label, units, _POPULATION, mean=x.mean(1))


def _checked(eta: ArrayLike, given: Mapping[str, ArrayLike | None]) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Linear predictors, and squares of the standard deviations that are given."""
    x = predictors(eta)
    return x, {name: standard_deviations(name, sd, len(x)) ** 2 for name, sd in given.items() if sd is not None}
