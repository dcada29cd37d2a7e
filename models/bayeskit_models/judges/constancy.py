"""Is constancy compatible with the scores? The affine-rank test (proposition T5 of the model card).

Pure functions over counts; re-exported by `bayeskit_models.judges.identification`. Candidates are rows ``k``,
judges columns ``j``, score levels ``1..M``. The proposition and the test are bayeskit's own derivation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ConstancyDiagnostic", "constancy_diagnostic", "constancy_freedom", "score_matrix"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ConstancyDiagnostic:
    """Result of the rank test of constancy (proposition T5 of the model card).

    Attributes
    ----------
    testable : bool
        False when no arrangement of scores could contradict constancy, or too few cells are there.
    reason : str
        Why it is not testable; otherwise what was found, in one sentence.
    freedom : int
        Number of independent constraints that constancy puts on the observed cells; 0 if not testable.
    rank : int
        Affine rank that constancy allows, M - 1.
    singular_values : ndarray, shape (min(K, J (M - 1)),)
        Of the column-centred score matrix, decreasing; missing cells are filled in with the fitted values.
    statistic : float
        Root of the weighted residual sum of squares beyond that rank, in units of answers^(1/2).
    replicated : ndarray, shape (replicates,)
        The statistic in data simulated under the fitted constant judges.
    tail_probability : float
        ``(1 + #{replicated >= statistic}) / (1 + replicates)``: small values speak against constancy.
    judge_share : ndarray, shape (J,)
        Each judge's share of the weighted residual sum of squares.
    judge_expected : ndarray, shape (J,)
        Mean share of the judge in the replicates: a judge with noisy scores has a large one without any
        fault.
    judge_tail : ndarray, shape (J,)
        Tail probability of the judge's own residual sum of squares.
    cell_contribution : ndarray, shape (K, J)
        Weighted squared residual of each cell; NaN where there is none. Shows where to look (the fit moves
        towards an odd cell, so its neighbours share the blame); it is no test of that cell.
    """

    testable: bool
    reason: str
    freedom: int
    rank: int
    singular_values: Floats
    statistic: float
    replicated: Floats
    tail_probability: float
    judge_share: Floats
    judge_expected: Floats
    judge_tail: Floats
    cell_contribution: Floats

    def flags(self, level: float = 0.05) -> bool:
        """Whether the tail probability is at most `level`; False when constancy cannot be tested."""
        return bool(self.testable and self.tail_probability <= level)


def score_matrix(counts: ArrayLike) -> tuple[Floats, Floats]:
    """Observed score frequencies as a matrix with one row per candidate, and its weights.

    Parameters
    ----------
    counts : array_like, shape (K, J, M)
        Number of answers of candidate k to which judge j gave each score; a cell without answers is all zero.

    Returns
    -------
    frequencies : ndarray, shape (K, J (M - 1))
        Share of the scores 2..M, judge by judge; level 1 is left out because shares sum to one. NaN where
        the cell is empty.
    weights : ndarray, shape (K, J (M - 1))
        Number of answers in the cell; 0 where it is empty.

    Raises
    ------
    ValueError
        If `counts` is not of that shape, or holds a negative or non-finite value.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 3 or table.shape[-1] < 2:
        raise ValueError(f"counts has shape {table.shape}: expected (candidates, judges, M) with M >= 2.")
    if not (np.isfinite(table) & (table >= 0)).all():
        k, j, m = np.argwhere(~(np.isfinite(table) & (table >= 0)))[0]
        raise ValueError(f"counts[{k}, {j}, {m}] = {table[k, j, m]}: counts are finite and at least 0.")
    totals = table.sum(axis=-1, keepdims=True)
    shares = np.divide(table, totals, out=np.full_like(table, np.nan), where=totals > 0)[..., 1:]
    weights = np.broadcast_to(totals, shares.shape)
    return shares.reshape(len(table), -1), weights.reshape(len(table), -1).copy()


def constancy_freedom(observed: ArrayLike, levels: int) -> int:
    """Count the independent constraints that constancy puts on the observed cells.

    Cells minus the rank of the Jacobian of the affine rank M - 1 model at a generic point, which is exact
    for every pattern of missing cells. With all cells it is ``(K - M)(J - 1)(M - 1)`` when positive:
    nothing can be tested with K <= M candidates, or with one judge.

    Parameters
    ----------
    observed : array_like of bool, shape (K, J)
        Cells with answers.
    levels : int
        Number of score levels M.

    Returns
    -------
    int
        0: every set of scores is compatible with constant judges.
    """
    cells = np.asarray(observed, dtype=bool)
    mask = np.repeat(cells, levels - 1, axis=1)
    rows, columns = mask.shape
    rank = levels - 1
    rng = np.random.default_rng(0)  # any generic point serves: the rank is the same almost everywhere
    left, right = rng.normal(size=(rows, rank)), rng.normal(size=(columns, rank))
    k, c = np.nonzero(mask)
    n = len(k)
    jacobian = np.zeros((n, columns + rank * (rows + columns)))
    jacobian[np.arange(n), c] = 1.0
    for r in range(rank):
        start = columns + r * (rows + columns)
        jacobian[np.arange(n), start + k] = right[c, r]
        jacobian[np.arange(n), start + rows + c] = left[k, r]
    return int(n - np.linalg.matrix_rank(jacobian)) if n else 0


def _solve_weighted(design: Floats, values: Floats, weights: Floats) -> Floats:
    """Weighted least squares, batched: for every q minimise ``sum_n w[n, q] (v[n, q] - design[n] . x[q])^2``.

    Shapes: design (B, n, r), values (B, n, q), weights (n, q); returns (B, q, r).
    """
    gram = np.einsum("nq,bnr,bns->bqrs", weights, design, design, optimize=True)
    right = np.einsum("nq,bnq,bnr->bqr", weights, values, design, optimize=True)
    # The ridge only decides what is undetermined (a candidate or column with too few cells), towards zero.
    size = np.trace(gram, axis1=-2, axis2=-1)[..., None, None]
    ridge = (1e-12 * size + 1e-300) * np.eye(design.shape[-1])
    return np.asarray(np.linalg.solve(gram + ridge, right[..., None])[..., 0])


def _fit_affine_rank(matrix: Floats, weights: Floats, rank: int, sweeps: int = 300) -> Floats:
    """Weighted least-squares fit of affine rank `rank` to each matrix of a batch.

    Alternating least squares from the singular value decomposition; with equal weights the start is the
    solution. Cells of weight 0 may hold any finite value. Shapes: matrix (B, K, P), weights (K, P); returns
    (B, K, P).
    """
    scaled = weights / weights.max()
    total = np.maximum(scaled.sum(axis=0), 1e-300)
    means = (scaled * matrix).sum(axis=1) / total
    filled = np.where(scaled > 0, matrix, means[:, None, :])
    centre = filled.mean(axis=1, keepdims=True)
    left, values, right = np.linalg.svd(filled - centre, full_matrices=False)
    fitted = centre + (left[..., :rank] * values[:, None, :rank]) @ right[:, :rank]
    if (scaled == 1.0).all():
        return fitted
    scores = left[..., :rank]
    loss = np.full(len(matrix), np.inf)
    for _ in range(sweeps):
        design = np.concatenate([np.ones((*scores.shape[:2], 1)), scores], axis=-1)
        columns = _solve_weighted(design, matrix, scaled)
        mean, loadings = columns[..., 0], columns[..., 1:]
        rest = np.swapaxes(matrix - mean[:, None, :], 1, 2)
        scores = _solve_weighted(loadings, rest, scaled.T)
        fitted = mean[:, None, :] + scores @ np.swapaxes(loadings, 1, 2)
        scores = np.linalg.qr(scores)[0]  # only the span matters for the next sweep; this keeps it conditioned
        previous, loss = loss, (scaled * (matrix - fitted) ** 2).sum(axis=(1, 2))
        if (previous - loss <= 1e-9 * loss + 1e-18).all():
            break
    return np.asarray(fitted)


def _level_shares(fitted: Floats, totals: Floats, levels: int) -> Floats:
    """Fitted frequencies (K, J (M - 1)) as probabilities (K, J, M) to simulate from.

    A least-squares fit may leave the simplex. Each probability gets a floor of half an answer, because a cell
    simulated with probability 0 would have no sampling noise at all.
    """
    upper = fitted.reshape(*totals.shape, levels - 1)
    shares = np.concatenate([1.0 - upper.sum(axis=-1, keepdims=True), upper], axis=-1)
    shares = np.maximum(shares, 0.5 / (totals[..., None] + 1.0))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _residuals(frequencies: Floats, weights: Floats, rank: int, judges: int) -> tuple[Floats, Floats]:
    """Weighted squared residuals per cell (B, K, J) and the fits (B, K, P) of a batch of score matrices."""
    fitted = _fit_affine_rank(frequencies, weights, rank)
    squares = weights * (frequencies - fitted) ** 2
    batch, rows, columns = squares.shape
    return squares.reshape(batch, rows, judges, columns // judges).sum(axis=-1), fitted


def _not_testable(counts: Floats, frequencies: Floats, reason: str) -> ConstancyDiagnostic:
    """Report on a panel in which nothing could contradict constancy."""
    rows, judges, levels = counts.shape
    complete = np.isfinite(frequencies).all()
    values = (
        np.linalg.svd(frequencies - frequencies.mean(axis=0), compute_uv=False)
        if complete
        else np.full(min(frequencies.shape), np.nan)
    )
    nothing = np.full(judges, np.nan)
    cells = np.full((rows, judges), np.nan)
    return ConstancyDiagnostic(
        False, reason, 0, levels - 1, values, np.nan, np.empty(0), np.nan, nothing, nothing, nothing, cells
    )


def constancy_diagnostic(
    counts: ArrayLike,
    *,
    clean: ArrayLike | None = None,
    replicates: int = 500,
    seed: int | np.random.Generator | None = None,
) -> ConstancyDiagnostic:
    """Test whether constant judges can explain the scores: affine rank at most M - 1 (proposition T5).

    Under strong constancy every candidate's score vectors over the panel are one affine function of its M -
    1 free true-level shares. The score matrix is fitted by weighted least squares under that rank (weights:
    answers per cell; empty cells have weight 0 and are never filled by guesses), and the residual is
    compared with the same residual in data simulated from the fit, cell by cell multinomial.

    Parameters
    ----------
    counts : array_like of whole numbers, shape (K, J, M)
        Answers of candidate k to which judge j gave each score.
    clean : array_like of bool, shape (K, J), optional
        Cells to use, for instance without self-judging (`clean_cells`); all by default.
    replicates : int
        Simulated data sets; the tail probability p has Monte Carlo standard error ``sqrt(p (1 - p) /
        replicates)``.
    seed : int, Generator or None
        Source of randomness.

    Returns
    -------
    ConstancyDiagnostic
        With ``testable=False`` where constancy has no consequence to test (K <= M, one judge, too few cells).

    Raises
    ------
    ValueError
        On counts that are not whole numbers >= 0, shapes that do not fit, or ``replicates < 1``.

    Notes ----- Passing is not proof: a departure that keeps the rank (all judges favour the same candidates
    alike) is invisible to every test on scores. Verdicts of several judges are simulated as independent.
    Where they score the same answers, the luck of the items is shared, stays inside the allowed rank, and
    makes the test conservative.
    """
    table, frequencies, weights = _diagnostic_input(counts, clean, replicates)
    rows, judges, levels = table.shape
    totals = table.sum(axis=-1)
    freedom = constancy_freedom(totals > 0, levels)
    if freedom == 0:
        return _not_testable(table, frequencies, _why_not(totals > 0, levels))
    rank, rng = levels - 1, np.random.default_rng(seed)
    observed = np.nan_to_num(frequencies)[None]
    cells, fitted = _residuals(observed, weights, rank, judges)
    shares = _level_shares(fitted[0], totals, levels)
    simulated = rng.multinomial(totals.astype(np.int64), shares, size=(replicates, rows, judges))
    replica = simulated[..., 1:] / np.maximum(totals, 1.0)[..., None]
    noise, _ = _residuals(replica.reshape(replicates, rows, -1), weights, rank, judges)
    return _conclude(cells[0], noise, np.where(weights > 0, observed[0], fitted[0]), freedom, totals > 0, rank)


def _diagnostic_input(counts: ArrayLike, clean: ArrayLike | None, replicates: int) -> tuple[Floats, Floats, Floats]:
    """Check the arguments of `constancy_diagnostic`; return counts used, frequencies, weights."""
    if replicates < 1:
        raise ValueError(f"replicates={replicates}: at least one simulated data set is needed.")
    score_matrix(counts)
    table = np.array(counts, dtype=np.float64)
    if (table != np.floor(table)).any():
        value = table[table != np.floor(table)][0]
        raise ValueError(f"counts: {value} is not a whole number; pass numbers of answers, not shares.")
    if clean is not None:
        mask = np.asarray(clean)
        if mask.shape != table.shape[:2] or mask.dtype != bool:
            raise ValueError(f"clean has shape {mask.shape}: it must be boolean of shape {table.shape[:2]}.")
        table[~mask] = 0.0
    return table, *score_matrix(table)


def _why_not(observed: Bools, levels: int) -> str:
    """Say in a sentence why constancy has no testable consequence."""
    rows, judges = observed.shape
    if rows <= levels:
        return f"not testable: {rows} candidates; {levels} score levels need at least {levels + 1}."
    if judges < 2:
        return "not testable: with one judge every set of scores is compatible with constancy."
    return f"not testable: {int(observed.sum())} cells with answers leave no constraint; more are needed."


def _conclude(cells: Floats, noise: Floats, filled: Floats, freedom: int, observed: Bools, rank: int) -> ConstancyDiagnostic:
    """Compare residuals (K, J) of the data with those of the replicates (B, K, J)."""
    judge, judge_noise = cells.sum(axis=0), noise.sum(axis=1)
    total, total_noise = judge.sum(), judge_noise.sum(axis=-1)
    size = 1.0 + len(noise)
    # Exact fits leave rounding noise: a residual must exceed that before it can count as larger than another.
    tail = float((1.0 + (total_noise >= total * (1 - 1e-9)).sum()) / size)
    values = np.linalg.svd(filled - filled.mean(axis=0), compute_uv=False)
    found = f"residual {np.sqrt(total):.3g} beyond rank {rank}, {np.sqrt(total_noise.mean()):.3g} expected"
    return ConstancyDiagnostic(
        testable=True,
        reason=f"{found} under constancy; tail probability {tail:.3g}.",
        freedom=freedom,
        rank=rank,
        singular_values=values,
        statistic=float(np.sqrt(total)),
        replicated=np.sqrt(total_noise),
        tail_probability=tail,
        judge_share=judge / max(total, 1e-300),
        judge_expected=(judge_noise / np.maximum(total_noise, 1e-300)[:, None]).mean(axis=0),
        judge_tail=np.asarray((1.0 + (judge_noise >= judge * (1 - 1e-9)).sum(axis=0)) / size),
        cell_contribution=np.where(observed, cells, np.nan),
    )
