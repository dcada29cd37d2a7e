"""Draws of judges' matrices from their prior under the monotone constraint, judge by judge.

The constraint weighs each judge by itself, so rejecting all judges together would waste almost every draw: with four levels
and three judges one in two million is kept. And it ties only neighbouring rows of a matrix, which makes the rows a chain.
"""

from __future__ import annotations

import numpy as np

__all__ = ["draw_monotone", "log_monotone_weight"]

_BATCHES = (32, 512, 8192)  # proposals at a time: few are enough for three levels
_REJECTION_UP_TO = 4  # levels; with five one matrix in 15,000 is kept
_ROWS = 100  # proposals per row of the chain


def log_monotone_weight(vertices: np.ndarray, sharpness: float) -> np.ndarray:
    """Log weight of matrices (..., M, M), summed over drops: log sigmoid(sharpness D); shape (...)."""
    upper = np.cumsum(vertices[..., ::-1], axis=-1)[..., ::-1][..., 1:]
    weight = -np.logaddexp(0.0, -sharpness * np.diff(upper, axis=-2))
    return np.asarray(weight.sum((-1, -2)))


def draw_monotone(
    rng: np.random.Generator, judges: int, levels: int, *, base: float, boost: float, sharpness: float
) -> np.ndarray:
    """Draw matrices whose rows are Dirichlet(base + boost e_m), weighed by the monotone constraint.

    Parameters
    ----------
    judges, levels : int
        Number of matrices and of their rows.
    base, boost : float
        Pseudo-counts of every score, and extra ones on the true level.
    sharpness : float
        Of the constraint; 0 leaves it out.

    Returns
    -------
    ndarray, shape (judges, levels, levels)

    Notes
    -----
    Up to four levels by rejection, which is exact. Beyond, rows are proposed independently, `_ROWS` for each level, and a
    path through them is drawn with the weight of the constraint (forward filtering, backward sampling): exact in the limit
    of many proposals, with an error of the order of one in `_ROWS`.
    """
    from bayeskit.distributions import FAMILIES

    propose = FAMILIES["DiagonalDirichlet"].random
    out = np.empty((judges, levels, levels))
    for j in range(judges):
        if levels > _REJECTION_UP_TO:
            out[j] = _path(rng, propose(rng, (_ROWS, levels, levels), base=base, boost=boost), sharpness)
            continue
        tries = 0
        while True:
            batch = _BATCHES[min(tries, len(_BATCHES) - 1)]
            tried = propose(rng, (batch, levels, levels), base=base, boost=boost)
            kept = np.flatnonzero(np.log(rng.uniform(size=batch)) < log_monotone_weight(tried, sharpness))
            if len(kept):
                out[j] = tried[kept[0]]
                break
            tries += 1
    return out


def _path(rng: np.random.Generator, proposed: np.ndarray, sharpness: float) -> np.ndarray:
    """One row for each level out of `proposed` (N, M, M), with the weight of the constraint."""
    levels = proposed.shape[1]
    upper = np.cumsum(proposed[..., ::-1], axis=-1)[..., ::-1][..., 1:]  # (N, M, M - 1)
    steps, forward = [], [np.zeros(len(proposed))]
    for m in range(1, levels):
        drops = upper[:, None, m] - upper[None, :, m - 1]  # (N at m, N at m - 1, M - 1)
        steps.append(-np.logaddexp(0.0, -sharpness * drops).sum(-1))
        forward.append(np.logaddexp.reduce(steps[-1] + forward[-1], axis=1))
    row = _pick(rng, forward[-1])
    path = [row]
    for m in range(levels - 1, 0, -1):
        row = _pick(rng, steps[m - 1][row] + forward[m - 1])
        path.append(row)
    return proposed[path[::-1], np.arange(levels)]


def _pick(rng: np.random.Generator, log_weight: np.ndarray) -> int:
    share = np.exp(log_weight - log_weight.max())
    return int(rng.choice(len(share), p=share / share.sum()))
