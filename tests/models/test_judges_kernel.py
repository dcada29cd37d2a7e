"""The fused likelihood of judged answers against plain NumPy, finite differences and a PyTensor graph."""

import numpy as np
import pytest

pytest.importorskip("pytensor")

from bayeskit_models.judges.kernel import answers, answers_kernel, answers_pointwise


def problem(seed, *, levels=2, nodes=7, rows=4, judges=3, items=12, gold=0.0, missing=0.2):
    """Random inputs: log_theta, log_level, then the seven data arrays, in the kernel's order."""
    rng = np.random.default_rng(seed)
    log_theta = np.log(rng.dirichlet(np.ones(levels), size=(rows, judges, levels)))
    log_level = np.log(rng.dirichlet(np.ones(levels), size=(rows, nodes)))
    cells = 3 * rows
    scores = rng.integers(0, levels, (cells, judges))
    scores[rng.random(scores.shape) < missing] = -1
    known = np.where(rng.random(cells) < gold, rng.integers(0, levels, cells), -1)
    sizes = rng.integers(0, rows + 1, items)  # items without any answer are legal
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    weight = np.log(rng.dirichlet(np.ones(nodes)))
    data = (rng.integers(0, rows, cells), scores, known, ptr, rng.integers(0, cells, ptr[-1]))
    return log_theta, log_level, *data, rng.integers(1, 4, items).astype(float), weight


def reference(args):
    return float(args[7] @ answers_pointwise(*args))


CASES = {
    "binary": {"missing": 0.0},
    "missing verdicts": {},
    "four levels": {"levels": 4},
    "gold": {"levels": 4, "gold": 0.4},
    "all gold": {"gold": 1.0},
    "one node": {"nodes": 1},
    "whole registers": {"nodes": 24},
    "one judge": {"judges": 1},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_value_equals_the_numpy_reference(case):
    args = problem(1, **case)
    assert answers_kernel(*args)[0] == pytest.approx(reference(args), rel=1e-12)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradients_equal_richardson_differences(case):
    args = problem(2, **case)
    _, *gradients = answers_kernel(*args)
    rng = np.random.default_rng(3)
    for which, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape)

        def along(step, which=which, direction=direction):
            moved = list(args)
            moved[which] = args[which] + step * direction
            return reference(moved)

        # Two central differences combined: the error is of order step**4.
        coarse, fine = ((along(h) - along(-h)) / (2 * h) for h in (2e-3, 1e-3))
        assert np.sum(gradient * direction) == pytest.approx((4 * fine - coarse) / 3, rel=1e-8, abs=1e-8)


def test_pointwise_against_enumeration_of_the_true_levels():
    log_theta, log_level, row, scores, known, ptr, cell, _, weight = problem(4, items=3, missing=0.0)
    args = log_theta, log_level, row, scores, known, ptr, cell, np.ones(3), weight
    for i, found in enumerate(answers_pointwise(*args)):
        total = 0.0
        for q, w in enumerate(np.exp(weight)):
            product = w
            for c in cell[ptr[i] : ptr[i + 1]]:
                r = row[c]
                product *= sum(
                    np.exp(log_level[r, q, m] + sum(log_theta[r, j, m, scores[c, j]] for j in range(3))) for m in range(2)
                )
            total += product
        assert found == pytest.approx(np.log(total), rel=1e-12)


def test_one_node_is_the_likelihood_of_independent_patterns():
    rng = np.random.default_rng(5)
    log_theta = np.log(rng.dirichlet(np.ones(2), size=(1, 2, 2)))
    share = np.array([0.3, 0.7])
    patterns = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    counts = np.array([5.0, 2.0, 3.0, 9.0])
    theta = np.exp(log_theta[0])
    p = [sum(share[m] * theta[0, m, a] * theta[1, m, b] for m in range(2)) for a, b in patterns]
    no_gold = np.full(4, -1)
    args = (
        log_theta,
        np.log(share)[None, None],
        np.zeros(4, int),
        patterns,
        no_gold,
        np.arange(5),
        np.arange(4),
    )
    assert answers_kernel(*args, counts, np.zeros(1))[0] == pytest.approx(counts @ np.log(p), rel=1e-12)


def test_impossible_scores_stay_finite_and_nan_is_returned_as_nan():
    args = problem(6, missing=0.0)
    log_theta = args[0].copy()
    log_theta[:, 0, 1, 0] = -np.inf
    value, *gradients = answers_kernel(log_theta, *args[1:])
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients)
    log_theta[0, 0, 0, 0] = np.nan
    value, *gradients = answers_kernel(log_theta, *args[1:])
    assert np.isnan(value) and all(np.isnan(g).all() for g in gradients)


@pytest.fixture(scope="module")
def compiled():
    """Value and gradients of the symbolic operation, on the numba backend and through `perform`."""
    import pytensor
    import pytensor.tensor as pt

    wrt = [pt.dtensor4(), pt.dtensor3()]
    data = [pt.lvector(), pt.lmatrix(), pt.lvector(), pt.lvector(), pt.lvector(), pt.dvector(), pt.dvector()]
    value = 2.0 * answers(*wrt, *data)
    outputs = [value, *pt.grad(value, wrt)]
    return {mode: pytensor.function([*wrt, *data], outputs, mode=mode) for mode in ("NUMBA", "FAST_COMPILE")}


@pytest.mark.parametrize("mode", ["NUMBA", "FAST_COMPILE"])
def test_the_symbolic_operation_runs_the_kernel_once(compiled, mode):
    from bayeskit.fused import FusedOp

    args = problem(7, levels=3)
    found = compiled[mode](*args)
    for a, b in zip(found, answers_kernel(*args), strict=True):
        np.testing.assert_allclose(a, 2.0 * np.asarray(b), rtol=1e-13)
    nodes = compiled[mode].maker.fgraph.toposort()
    assert sum(isinstance(node.op, FusedOp) for node in nodes) == 1


def test_second_derivatives_raise_and_wrong_arrays_are_named():
    import pytensor.tensor as pt

    args = problem(8)
    x = pt.dtensor4()
    slope = pt.grad(answers(x, *args[1:]), x).sum()
    with pytest.raises(Exception, match="first derivatives only"):
        pt.grad(slope, x)
    with pytest.raises(TypeError, match="4 are needed"):
        answers(args[0][0], *args[1:])
    with pytest.raises(TypeError, match="whole numbers"):
        answers(*args[:2], args[2].astype(float), *args[3:])
