"""The functions that fused kernels are made of, against 40-digit arithmetic: the errors that their docstrings state."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit.fused import fast_exp, fast_exp_expm1, fast_log, softplus_sigmoid

RNG = np.random.default_rng(3)
ANYWHERE = np.concatenate([RNG.uniform(-708, 709, 1500), RNG.uniform(-3, 3, 1500), [-708.0, 0.0, 709.0]])
EDGES = np.log(2.0) * (np.arange(-60, 60)[:, None] + 0.5 + np.array([-1e-9, 0.0, 1e-9])).ravel()  # where 2^k changes
TINY = np.concatenate([s * 10.0 ** RNG.uniform(-300, -1, 500) for s in (-1, 1)])


def worst(found, exact, x):
    """Largest relative error over the points; where the exact value is 0 the found one is."""
    with mpmath.workdps(40):
        exact = [exact(mpmath.mpf(float(v))) for v in x]
        assert all(f == 0 for f, e in zip(found, exact, strict=True) if e == 0)
        return max(float(abs(mpmath.mpf(float(f)) / e - 1)) for f, e in zip(found, exact, strict=True) if e != 0)


def test_exp_and_expm1():
    x = np.concatenate([ANYWHERE, EDGES, TINY])
    both = np.array([fast_exp_expm1(v) for v in x])
    assert worst(both[:, 0], mpmath.exp, x) < 3e-16
    assert worst(both[:, 1], mpmath.expm1, x) < 6e-16
    assert [fast_exp(v) for v in x] == both[:, 0].tolist()
    assert fast_exp(-1e9) == fast_exp(-708.0) > 0 and fast_exp(1e9) == fast_exp(709.0) < np.inf


def test_log():
    x = np.concatenate([10.0 ** RNG.uniform(-307, 308, 1500), RNG.uniform(0.01, 4.0, 1500), [2.3e-308, 1.7e308, 1.0]])
    assert worst([fast_log(v) for v in x], mpmath.log, x) < 5e-16
    near = 1.0 + np.concatenate([s * 10.0 ** RNG.uniform(-15, -1, 300) for s in (-1, 1)])
    error = [abs(fast_log(v) - float(mpmath.log(mpmath.mpf(float(v))))) for v in near]
    assert max(error) < 4e-16


def test_softplus_and_sigmoid():
    x = np.concatenate([ANYWHERE[np.abs(ANYWHERE) < 708], EDGES, TINY])
    both = np.array([softplus_sigmoid(v) for v in x])
    assert worst(both[:, 0], lambda v: mpmath.log1p(mpmath.exp(v)), x) < 2e-15
    assert worst(both[:, 1], lambda v: 1 / (1 + mpmath.exp(-v)), x) < 2e-15
