"""What a panel of judges can tell, before any model is fitted: comparable pairs, and a test of constancy.

Pure functions over arrays. Candidates are rows ``k``, judges columns ``j``. Comparability (proposition T2
of the model card, bayeskit's own derivation) is here; the test of constancy (T5) is re-exported from
`constancy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit_models.judges.constancy import (
    ConstancyDiagnostic,
    constancy_diagnostic,
    constancy_freedom,
    score_matrix,
)

__all__ = [
    "Comparability",
    "ConstancyDiagnostic",
    "clean_cells",
    "comparability",
    "constancy_diagnostic",
    "constancy_freedom",
    "score_matrix",
]

Bools = NDArray[np.bool_]


def clean_cells(
    candidates: Sequence[str],
    judges: Sequence[str],
    own: Mapping[str, Iterable[str]] | None = None,
    present: ArrayLike | None = None,
) -> Bools:
    """Cells (candidate, judge) that exist and in which the judge has no interest of its own.

    Parameters
    ----------
    candidates, judges : sequence of str
        Labels in the order of the rows and columns.
    own : mapping, optional
        Judge -> the candidates that are the judge itself or its family.
    present : array_like of bool, shape (K, J), optional
        Cells with at least one verdict; all of them by default.

    Returns
    -------
    ndarray of bool, shape (K, J)
        True where the judge's verdicts on the candidate are there and free of self-interest.

    Raises
    ------
    ValueError
        If `own` names an unknown judge or candidate, or is a bare string, or `present` has another shape.
    """
    rows = {label: k for k, label in enumerate(candidates)}
    columns = {label: j for j, label in enumerate(judges)}
    clean = np.ones((len(rows), len(columns)), dtype=bool)
    if present is not None:
        mask = np.asarray(present)
        if mask.shape != clean.shape or mask.dtype != bool:
            raise ValueError(
                f"present has shape {mask.shape} and type {mask.dtype}: it must be boolean "
                f"of shape {clean.shape} (candidates, judges)."
            )
        clean &= mask
    for judge, owned in (own or {}).items():
        if judge not in columns:
            raise ValueError(f"own: {judge!r} is not a judge; the judges are {', '.join(map(repr, judges))}.")
        if isinstance(owned, str):
            raise ValueError(f"own[{judge!r}] is the string {owned!r}: pass a list of candidates, [{owned!r}].")
        for candidate in owned:
            if candidate not in rows:
                listing = ", ".join(map(repr, candidates))
                raise ValueError(f"own[{judge!r}]: {candidate!r} is not a candidate; they are {listing}.")
            clean[rows[candidate], columns[judge]] = False
    return clean


@dataclass(frozen=True)
class Comparability:
    """Which pairs of candidates the panel can order (proposition T2 of the model card).

    Attributes
    ----------
    judges_per_pair : ndarray of int, shape (K, K)
        Number of clean judges that saw both candidates.
    direct : ndarray of bool, shape (K, K)
        At least one such judge: the pair is ordered by data, for M = 2 and constant judges better than
        chance.
    component : ndarray of int, shape (K,)
        Connected component of the graph of direct pairs. Candidates of different components share no chain
        at all.
    transitive : ndarray of bool, shape (K, K)
        Not direct, but the given ordering has a chain of direct pairs that descends from the better to the
        worse candidate. All False when no ordering was given.
    status : ndarray of str, shape (K, K)
        "direct"; "transitive"; "linked" (no ordering was given, and a chain exists: the data may or may not
        order the pair); "prior" (only the prior orders the pair); "self" on the diagonal.
    """

    judges_per_pair: NDArray[np.int64]
    direct: Bools
    component: NDArray[np.int64]
    transitive: Bools
    status: NDArray[np.str_]

    def pairs(self, status: str) -> tuple[tuple[int, int], ...]:
        """Pairs ``(k, k')``, ``k < k'``, of the given status."""
        known = ("direct", "transitive", "linked", "prior")
        if status not in known:
            raise ValueError(f"status={status!r}: use one of {', '.join(known)}.")
        return tuple((int(a), int(b)) for a, b in np.argwhere(np.triu(self.status == status, 1)))

    @property
    def prior_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs that rest on the prior alone."""
        return self.pairs("prior")

    @property
    def identified(self) -> bool:
        """Whether every pair is ordered by data, directly or by a chain of the given ordering."""
        return not self.pairs("prior") and not self.pairs("linked")


def _reach(edges: Bools) -> Bools:
    """Transitive closure of a directed graph, by squaring (K is small; log2 K products)."""
    reach = edges.copy()
    for _ in range(max(1, int(np.ceil(np.log2(max(2, len(edges))))))):
        # int counts: a boolean product would be right too, but NumPy has no fast path for it.
        reach |= (reach.astype(np.int64) @ reach.astype(np.int64)) > 0
    return reach


def comparability(clean: ArrayLike, *, scores: ArrayLike | None = None) -> Comparability:
    """Find out which pairs of candidates the panel can order (proposition T2).

    Two candidates are directly comparable when one judge saw both and has an interest in neither: the
    unknown error rates of that judge are then the same on both sides. A pair without such a judge can still
    be ordered through others: if a is above c and c above b, by whichever judges, then a is above b. That
    chain depends on the ordering; a c that lies above both, or below both, says nothing about the pair.

    Parameters
    ----------
    clean : array_like of bool, shape (K, J)
        Cells that exist and are free of self-interest, from `clean_cells`.
    scores : array_like, shape (K,), optional
        An ordering of the candidates, higher is better (a posterior mean, or one draw). Equal scores make
        no step of a chain. Only the parts of the ordering that direct pairs support are used.

    Returns
    -------
    Comparability
        For M >= 3 direct comparability is necessary and not sufficient: see proposition T4.

    Raises
    ------
    ValueError
        If `clean` is not a boolean matrix, or `scores` has another length or is not finite.
    """
    cells = np.asarray(clean)
    if cells.ndim != 2 or cells.dtype != bool:
        raise ValueError(f"clean has shape {cells.shape} and type {cells.dtype}: pass a boolean (K, J) array.")
    size = len(cells)
    diagonal = np.eye(size, dtype=bool)
    shared = cells.astype(np.int64) @ cells.astype(np.int64).T
    direct = (shared > 0) & ~diagonal
    linked = _reach(direct | diagonal)
    # The first candidate of a component names it; renumber the components in order of appearance.
    component = np.unique(linked.argmax(axis=1), return_inverse=True)[1].astype(np.int64)
    transitive = np.zeros_like(direct)
    if scores is not None:
        order = np.asarray(scores, dtype=np.float64)
        if order.shape != (size,) or not np.isfinite(order).all():
            raise ValueError(f"scores: expected {size} finite values, one per candidate; got shape {order.shape}.")
        down = _reach(direct & (order[:, None] > order[None, :]))
        transitive = (down | down.T) & ~direct & ~diagonal
    unresolved = linked if scores is None else transitive
    status = np.select(
        [diagonal, direct, transitive, unresolved],
        ["self", "direct", "transitive", "linked"],
        default="prior",
    )
    return Comparability(shared, direct, component, transitive, status)
