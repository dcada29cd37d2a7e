"""Loops over draws and rows: probabilities and their sums over the people of the table."""

from __future__ import annotations

import numpy as np

from bayeskit.fused import fast_exp, kernel
from bayeskit_models.risk.kernel import (
    BLOCK,
    COLUMNS,
    FEW_NODES,
    FEW_UP_TO,
    FEW_WEIGHTS,
    MANY_NODES,
    MANY_WEIGHTS,
    SMALL_SIGMA,
    block_means,
    block_risks,
    combine,
)

__all__ = ["log_rows", "prevalences", "probabilities", "sums", "unobserved_means"]


@kernel
def _rule(sigma, alpha, nodes, node_weight):  # type: ignore[no-untyped-def]
    """Whether the closed form holds, and the nodes for what it leaves."""
    if nodes.size > 0:
        return False, nodes, node_weight
    closed = alpha == 1.0 and sigma >= SMALL_SIGMA
    if max(1.0, abs(alpha)) * sigma < FEW_UP_TO:
        return closed, FEW_NODES, FEW_WEIGHTS
    return closed, MANY_NODES, MANY_WEIGHTS


@kernel
def _three(start, n, risk, testing, sigma, alpha, risk_columns, testing_columns, nodes, node_weight, work, out):  # type: ignore[no-untyped-def]
    """P(Y = 1), P(T = 1, Y = 1) and P(T = 0) of a block of rows."""
    closed, v, w = _rule(sigma, alpha, nodes, node_weight)
    combine(start, n, risk, risk_columns, work, 0)
    combine(start, n, testing, testing_columns, work, 1)
    block_risks(n, sigma, nodes.size == 0 and sigma >= SMALL_SIGMA, v, w, work)
    for i in range(n):
        out[i, 0] = work[2 * BLOCK + i]
    block_means(n, 1, sigma, alpha, closed, v, w, work)
    for i in range(n):
        out[i, 1] = fast_exp(work[2 * BLOCK + i])
    block_means(n, 0, sigma, alpha, closed, v, w, work)
    for i in range(n):
        out[i, 2] = fast_exp(work[2 * BLOCK + i])


@kernel
def probabilities(risk, testing, sigma, alpha, risk_columns, testing_columns, nodes, node_weight):  # type: ignore[no-untyped-def]
    """See `population.row_probabilities`."""
    draws, rows = sigma.size, risk_columns.shape[1]
    out = np.empty((draws, rows, 3))
    work = np.zeros(COLUMNS * BLOCK)
    for s in range(draws):
        for start in range(0, rows, BLOCK):
            n = min(BLOCK, rows - start)
            _three(
                start, n, risk[s], testing[s], sigma[s], alpha[s], risk_columns, testing_columns, nodes, node_weight, work,
                out[s, start : start + n],
            )  # fmt: skip
    return out


@kernel
def sums(risk, testing, sigma, alpha, risk_columns, testing_columns, weight, nodes, node_weight):  # type: ignore[no-untyped-def]
    """See `population.population_sums`; not divided by the sum of the weights."""
    draws, rows = sigma.size, weight.size
    out = np.zeros((draws, 3))
    block = np.empty((BLOCK, 3))
    work = np.zeros(COLUMNS * BLOCK)
    for s in range(draws):
        for start in range(0, rows, BLOCK):
            n = min(BLOCK, rows - start)
            _three(
                start, n, risk[s], testing[s], sigma[s], alpha[s], risk_columns, testing_columns, nodes, node_weight, work,
                block,
            )  # fmt: skip
            for i in range(n):
                for k in range(3):
                    out[s, k] += weight[start + i] * block[i, k]
    return out


@kernel
def prevalences(risk, sigma, risk_columns, code, weight, groups, nodes, node_weight):  # type: ignore[no-untyped-def]
    """Weighted mean of P(Y = 1) over the rows of each group, shape (S, groups)."""
    draws, rows = sigma.size, weight.size
    out = np.zeros((draws, groups))
    total = np.zeros(groups)
    for i in range(rows):
        if code[i] >= 0:
            total[code[i]] += weight[i]
    work = np.zeros(COLUMNS * BLOCK)
    for s in range(draws):
        _closed, v, w = _rule(sigma[s], 1.0, nodes, node_weight)
        closed = nodes.size == 0 and sigma[s] >= SMALL_SIGMA
        for start in range(0, rows, BLOCK):
            n = min(BLOCK, rows - start)
            combine(start, n, risk[s], risk_columns, work, 0)
            block_risks(n, sigma[s], closed, v, w, work)
            for i in range(n):
                if code[start + i] >= 0:
                    out[s, code[start + i]] += weight[start + i] * work[2 * BLOCK + i]
        for g in range(groups):
            out[s, g] /= max(total[g], 1e-300)
    return out


@kernel
def log_rows(risk, testing, sigma, alpha, risk_columns, testing_columns, kind_ptr, nodes, node_weight):  # type: ignore[no-untyped-def]
    """Log likelihood of one row of each cell, shape (S, rows)."""
    draws, rows = sigma.size, risk_columns.shape[1]
    out = np.empty((draws, rows))
    work = np.zeros(COLUMNS * BLOCK)
    for s in range(draws):
        closed, v, w = _rule(sigma[s], alpha[s], nodes, node_weight)
        for kind in range(3):
            for start in range(kind_ptr[kind], kind_ptr[kind + 1], BLOCK):
                n = min(BLOCK, kind_ptr[kind + 1] - start)
                combine(start, n, risk[s], risk_columns, work, 0)
                combine(start, n, testing[s], testing_columns, work, 1)
                block_means(n, kind, sigma[s], alpha[s], closed, v, w, work)
                for i in range(n):
                    out[s, start + i] = work[2 * BLOCK + i]
    return out


@kernel
def unobserved_means(risk, testing, sigma, alpha, risk_columns, testing_columns, kind_ptr, nodes, node_weight):  # type: ignore[no-untyped-def]
    """Mean of Z given what was seen of the row, shape (S, rows): nodes weighted by the integrand of its likelihood."""
    draws, rows = sigma.size, risk_columns.shape[1]
    out = np.empty((draws, rows))
    work = np.zeros(COLUMNS * BLOCK)
    for s in range(draws):
        for kind in range(3):
            sign = 1.0 if kind == 1 else (-1.0 if kind == 2 else 0.0)
            turn = -1.0 if kind == 0 else 1.0
            for start in range(kind_ptr[kind], kind_ptr[kind + 1], BLOCK):
                n = min(BLOCK, kind_ptr[kind + 1] - start)
                combine(start, n, risk[s], risk_columns, work, 0)
                combine(start, n, testing[s], testing_columns, work, 1)
                for i in range(n):
                    top, first = 0.0, 0.0
                    middle = 0.0
                    for k in range(nodes.size + 1):
                        z = sigma[s] * nodes[nodes.size // 2 if k == 0 else k - 1]
                        x = work[i] + z
                        r, t = sign * x, turn * (alpha[s] * x + work[BLOCK + i])
                        e, f = fast_exp(-abs(r)), fast_exp(-abs(t))
                        low = min(r, 0.0) + min(t, 0.0)
                        if k == 0:
                            middle = low
                            continue
                        g = node_weight[k - 1] * fast_exp(low - middle) / ((1.0 + e) * (1.0 + f))
                        top += g * z
                        first += g
                    out[s, start + i] = top / first
    return out
