"""The classical study of generalisability: variance components of models x items x samples from mean squares.

Brennan (2001), Generalizability Theory, chapter 3: p x i with r replications in each cell, all effects random. No prior and no
likelihood, hence an independent check of a posterior. Estimates are unbiased and can be negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bayeskit.errors import DataError, SpecificationError
from bayeskit_models.benchmarks.planning import minimum_detectable_difference, standard_error

__all__ = ["Moments", "moments_of_counts"]


@dataclass(frozen=True)
class Moments:
    """Variance components on the scale of the score.

    Attributes
    ----------
    model, item : float
        Variance of models' expected scores, and of items' difficulty, each over their population.
    model_item : float
        Variance of the interaction: what is left of a paired comparison when samples are many.
    within : float
        Mean variance of one sample's score given model and item.
    mean : float
        Mean score.
    models, items : int
        Sizes of the table.
    samples : float
        Samples in every cell.
    """

    model: float
    item: float
    model_item: float
    within: float
    mean: float
    models: int
    items: int
    samples: float

    def paired_error(self, items: int | None = None, samples: float | None = None) -> float:
        """Standard error of the difference of two models on the same new items; sizes of the table unless given."""
        return standard_error(items or self.items, between=2.0 * self._error(samples))

    def detectable(self, items: int | None = None, samples: float | None = None, power: float = 0.8) -> float:
        """Least difference of two models that such a comparison finds with this power at level 5 %."""
        return minimum_detectable_difference(items or self.items, between=2.0 * self._error(samples), power=power)

    def reliability(self, items: int | None = None, samples: float | None = None) -> tuple[float, float]:
        """Generalisability G (relative) and dependability Phi (absolute) of the models' mean scores."""
        size, relative = items or self.items, self._error(samples)
        return (
            self.model / (self.model + relative / size),
            self.model / (self.model + (relative + self.item) / size),
        )

    def _error(self, samples: float | None) -> float:
        k = self.samples if samples is None else samples
        if not k >= 1:
            raise SpecificationError(f"samples={samples!r}: must be at least 1.")
        return max(self.model_item + self.within / k, 0.0)


def moments_of_counts(successes: ArrayLike, trials: ArrayLike) -> Moments:
    """Variance components of a complete table of models by items.

    Parameters
    ----------
    successes : array_like, shape (models, items)
        Successes in each cell.
    trials : array_like, shape (models, items) or ()
        Trials in each cell, the same in all and at least 2.

    Raises
    ------
    DataError
        For fewer than two models or items, cells of different size or of one trial (in which the interaction cannot be told
        from the noise), or counts out of range.
    """
    k = np.asarray(successes, dtype=float)
    if k.ndim != 2 or min(k.shape) < 2:
        raise DataError(f"successes has shape {k.shape}.", rule="two models and two items or more.", fix="give a larger table.")
    n = np.broadcast_to(np.asarray(trials, dtype=float), k.shape)
    size = float(n[0, 0])
    if not ((n == size).all() and size >= 2):
        raise DataError(
            f"cells hold {n.min():g} to {n.max():g} trials.", rule="every cell has the same number of trials, 2 or more.",
            fix="leave out models or items whose cells differ; with one trial a cell the interaction is part of the noise.",
        )  # fmt: skip
    if not ((k >= 0) & (k <= n)).all():
        raise DataError("successes are outside 0 to trials.", rule="0 <= successes <= trials.", fix="correct the counts.")
    score, (models, items) = k / n, k.shape
    by_model, by_item, mean = score.mean(1), score.mean(0), float(score.mean())
    left = score - by_model[:, None] - by_item + mean
    square_model = size * items * float(((by_model - mean) ** 2).sum()) / (models - 1)
    square_item = size * models * float(((by_item - mean) ** 2).sum()) / (items - 1)
    square_both = size * float((left**2).sum()) / ((models - 1) * (items - 1))
    within = float((score * (1.0 - score)).mean()) * size / (size - 1.0)
    return Moments(
        model=(square_model - square_both) / (size * items),
        item=(square_item - square_both) / (size * models),
        model_item=(square_both - within) / size,
        within=within, mean=mean, models=models, items=items, samples=size,
    )  # fmt: skip
