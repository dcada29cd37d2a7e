"""Cost of a gradient of benchmark likelihoods where cells repeat, looked up in shared tables and unit by unit.

Run by hand: ``uv run pytest tests/benchmarks/test_benchmark_kernels.py -m benchmark -n 0 -s``. CPU milliseconds are printed,
never asserted; what is asserted is that both ways give the same numbers.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import special

from bayeskit_models.benchmarks.beta_binomial import beta_binomial_kernel
from bayeskit_models.benchmarks.cheapest import crossed_kernel
from bayeskit_models.benchmarks.tables import fold

pytestmark = pytest.mark.benchmark

NONE = np.empty(0, np.int64)


def _design(models: int, items: int, per: int, trials: int, sd: float, inner: float) -> list[np.ndarray]:
    """Arguments of the kernel up to the cells; `per` columns (seeds x templates) of every model."""
    rng = np.random.default_rng(0)
    columns = models * per
    eta = rng.normal(-0.5, 1.0, columns)
    x = eta + sd * rng.normal(size=(items, 1)) + inner * np.repeat(rng.normal(size=(items, models)), per, axis=1)
    k, column = rng.binomial(trials, special.expit(x)).astype(float).ravel(), np.tile(np.arange(columns), items)
    return [
        eta, np.zeros(items), np.array([sd]), np.array([inner]), np.zeros(1), np.arange(items + 1) * columns,
        np.zeros(items, np.int64), np.ones(items), column, column // per, k, np.full(k.size, float(trials)),
    ]  # fmt: skip


def _time(kernel, given: list[np.ndarray], repeats: int) -> float:
    kernel(*given)
    start = time.process_time()
    for _ in range(repeats):
        kernel(*given)
    return (time.process_time() - start) / repeats * 1e3


@pytest.mark.parametrize("inner", [0.0, 0.3, 2.0])
def test_items_met_by_37_models_ten_times(inner):
    """The size of CRUXEval-input: 29,600 cells."""
    given = _design(37, 800, 1, 10, 3.0, inner)
    kind = fold(*given[5:7], *given[8:])
    dispersed = [*given[:4], np.array([3.0]), *given[4:]]
    for name, kernel, case in (("binomial", crossed_kernel, given), ("beta-binomial", beta_binomial_kernel, dispersed)):
        shared, own = (_time(kernel, [*case, np.ones(1), k], r) for k, r in ((kind, 20), (NONE, 2)))
        print(f"\n{name}, interaction {inner}: {shared:.2f} ms with shared tables, {own:.2f} ms without")
        both = [kernel(*case, np.ones(1), k)[0] for k in (kind, NONE)]
        assert both[0] == pytest.approx(both[1], rel=1e-9)


def test_seeds_and_templates():
    """60 items x 4 models x 3 seeds x 3 templates, one trial each: nine cells share an interaction."""
    given = _design(4, 60, 9, 1, 1.5, 0.8)
    print(f"\n2,160 cells in groups of nine: {_time(crossed_kernel, [*given, np.ones(1), NONE], 50):.2f} ms")
    assert crossed_kernel(*given, np.ones(1), NONE)[0] == pytest.approx(
        crossed_kernel(*given, np.full(1, 2.0), NONE)[0], rel=1e-9
    )
