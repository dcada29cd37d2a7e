"""Fused kernels: the same numbers from a compiled graph, from Python and by hand; what is refused."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pymc")

import pytensor
import pytensor.tensor as pt

from bayeskit.fused import fused, kernel


@kernel
def weighted_squares(x, weight, place):  # type: ignore[no-untyped-def]
    """Sum of weighted squares, its gradient, each square, and the squares at some places."""
    value, slope, each, chosen = 0.0, np.empty(x.size), np.empty(x.size), np.empty(place.size)
    for i in range(x.size):
        each[i] = x[i] * x[i]
        slope[i] = 2.0 * weight[i] * x[i]
        value += weight[i] * each[i]
    for j in range(place.size):
        chosen[j] = each[place[j]]
    return value, slope, each, chosen


squares = fused(weighted_squares, wrt=(1,), data=("float64:1", "int64:1"), also=(1, 2))
X, WEIGHT, PLACE = np.array([1.0, -2.0, 3.0]), np.array([1.0, 0.5, 2.0]), np.array([2, 0])


def test_compute_gives_everything():
    value, slope, each, chosen = squares.compute(X, WEIGHT, PLACE)
    assert value == 21.0
    np.testing.assert_array_equal(slope, [2.0, -2.0, 12.0])
    np.testing.assert_array_equal(each, [1.0, 4.0, 9.0])
    np.testing.assert_array_equal(chosen, [9.0, 1.0])


def test_compute_takes_what_a_user_has():
    """Whole numbers as numbers, strided and read-only arrays, and none at all."""
    strided = np.repeat(X, 2)[::2]
    strided.flags.writeable = False
    value, _, each, chosen = squares.compute(strided, np.array([1, 0, 1]), np.empty(0, np.int64))
    assert value == 10.0 and chosen.size == 0
    np.testing.assert_array_equal(each, [1.0, 4.0, 9.0])


def test_a_graph_has_the_value_and_its_gradient():
    x = pt.dvector("x")
    value = squares(x, WEIGHT, PLACE)
    for mode in ("NUMBA", "FAST_COMPILE"):
        both = pytensor.function([x], [value, pt.grad(value, x)], mode=mode)(X)
        assert both[0] == 21.0
        np.testing.assert_array_equal(both[1], [2.0, -2.0, 12.0])


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="takes 3 arrays, not 2"):
        squares.compute(X, WEIGHT)
    with pytest.raises(TypeError, match=r"type float64 with 1 dimensions where int64 with 1 is needed"):
        squares.compute(X, WEIGHT, PLACE + 0.5)
    with pytest.raises(TypeError, match="with 2 dimensions where float64 with 1"):
        squares.compute(X[None], WEIGHT, PLACE)
    with pytest.raises(TypeError, match="has type float64 where whole numbers are needed"):
        squares(X, WEIGHT, PLACE + 0.5)
