"""Comparability is exact combinatorics; the constancy diagnostic is tested exactly and by simulation."""

import numpy as np
import pytest

from bayeskit_models.judges import identification as idn

# Five candidates, of which the first three are the judges, each adding .22 to its own answers.
PI = np.array([0.30, 0.38, 0.46, 0.54, 0.62])
FPR = np.array([0.35, 0.30, 0.20])
GAP = np.array([0.25, 0.35, 0.45])
CONSTANT = FPR + GAP * PI[:, None]
SELFISH = CONSTANT + 0.22 * np.eye(5, 3)


def binary_counts(rng, gamma, answers):
    ones = rng.binomial(answers, gamma)
    return np.stack([answers - ones, ones], axis=-1)


# --- comparability (T2) ---


def own_cells(candidates, judges):
    """Judge j is candidate j."""
    names = [f"c{k}" for k in range(candidates)]
    panel = [f"j{j}" for j in range(judges)]
    return idn.clean_cells(names, panel, {f"j{j}": [f"c{j}"] for j in range(judges)})


@pytest.mark.parametrize("judges", [3, 4, 6])
def test_three_judges_with_distinct_owners_order_every_pair(judges):
    found = idn.comparability(own_cells(6, judges))
    assert found.identified
    assert found.prior_pairs == ()
    # A pair of judges loses two judges, a pair with one judge loses one.
    assert found.judges_per_pair[0, 1] == judges - 2
    assert found.direct[0, 1]


def test_two_judges_leave_their_own_pair_open():
    found = idn.comparability(own_cells(5, 2))
    assert not found.identified
    assert found.pairs("linked") == ((0, 1),)
    assert found.pairs("prior") == ()


def test_an_ordering_closes_the_pair_only_with_somebody_between():
    clean = own_cells(3, 2)
    between = idn.comparability(clean, scores=[1.0, 3.0, 2.0])
    assert between.pairs("transitive") == ((0, 1),)
    assert between.identified
    for scores in (
        [1.0, 2.0, 3.0],
        [2.0, 3.0, 1.0],
        [1.0, 2.0, 2.0],
    ):  # above both, below both, tied with one
        outside = idn.comparability(clean, scores=scores)
        assert outside.prior_pairs == ((0, 1),)
        assert not outside.identified


def test_one_judge_cannot_place_itself():
    found = idn.comparability(own_cells(4, 1))
    assert found.prior_pairs == ((0, 1), (0, 2), (0, 3))
    assert found.component.tolist() == [0, 1, 1, 1]


def test_chains_may_pass_through_several_candidates():
    # Judge j saw candidates j and j + 1 only: a path, ordered end to end only where scores descend.
    clean = np.zeros((5, 4), dtype=bool)
    clean[np.arange(4), np.arange(4)] = clean[np.arange(1, 5), np.arange(4)] = True
    assert idn.comparability(clean, scores=[5, 4, 3, 2, 1]).identified
    assert (idn.comparability(clean).component == 0).all()
    bent = idn.comparability(clean, scores=[1, 4, 3, 2, 5])
    assert bent.prior_pairs == ((0, 2), (0, 3), (0, 4), (1, 4), (2, 4))
    assert bent.pairs("transitive") == ((1, 3),)


def test_missing_cells_count_as_missing():
    present = np.ones((3, 1), dtype=bool)
    present[2] = False
    clean = idn.clean_cells(["a", "b", "c"], ["x"], present=present)
    assert idn.comparability(clean).prior_pairs == ((0, 2), (1, 2))


def test_status_is_symmetric_and_complete():
    rng = np.random.default_rng(0)
    for _ in range(50):
        clean = rng.random((7, 3)) < 0.4
        scores = rng.integers(0, 4, size=7)
        found = idn.comparability(clean, scores=scores)
        np.testing.assert_array_equal(found.status, found.status.T)
        assert (np.diag(found.status) == "self").all()
        np.testing.assert_array_equal(found.transitive & found.direct, False)
        # No chain leaves a component.
        apart = found.component[:, None] != found.component[None, :]
        assert (found.status[apart] == "prior").all()


def test_clean_cells_faults():
    with pytest.raises(ValueError, match="'z' is not a judge"):
        idn.clean_cells(["a"], ["x"], {"z": ["a"]})
    with pytest.raises(ValueError, match="'b' is not a candidate"):
        idn.clean_cells(["a"], ["x"], {"x": ["b"]})
    with pytest.raises(ValueError, match="pass a list"):
        idn.clean_cells(["a"], ["x"], {"x": "a"})
    with pytest.raises(ValueError, match=r"boolean of shape \(1, 1\)"):
        idn.clean_cells(["a"], ["x"], present=[[1]])
    with pytest.raises(ValueError, match="scores"):
        idn.comparability(np.ones((2, 1), dtype=bool), scores=[1.0])
    with pytest.raises(ValueError, match="clean has shape"):
        idn.comparability([[1, 0]])
    with pytest.raises(ValueError, match="status='open'"):
        idn.comparability(np.ones((2, 1), dtype=bool)).pairs("open")


# --- the constancy diagnostic (T5) ---


def test_score_matrix_of_complete_and_empty_cells():
    counts = np.array([[[2, 1, 1], [0, 0, 0]]])
    frequencies, weights = idn.score_matrix(counts)
    np.testing.assert_array_equal(frequencies, [[0.25, 0.25, np.nan, np.nan]])
    np.testing.assert_array_equal(weights, [[4, 4, 0, 0]])


@pytest.mark.parametrize("levels", [2, 3, 5])
@pytest.mark.parametrize(("candidates", "judges"), [(4, 3), (6, 2), (8, 5), (3, 3), (9, 1)])
def test_freedom_of_complete_panels(levels, candidates, judges):
    expected = max(0, (candidates - levels) * (judges - 1) * (levels - 1))
    assert idn.constancy_freedom(np.ones((candidates, judges), dtype=bool), levels) == expected


def test_freedom_with_missing_cells():
    observed = np.ones((5, 3), dtype=bool)
    observed[[0, 1, 2], [0, 1, 2]] = False
    assert idn.constancy_freedom(observed, 2) == 3
    observed[3:] = False  # two judges per candidate on three candidates: a rank-1 fit goes through everything
    assert idn.constancy_freedom(observed, 2) == 0


def test_constancy_gives_the_affine_rank_for_any_number_of_levels():
    rng = np.random.default_rng(0)
    for m in (2, 3, 4):
        pi = rng.dirichlet(np.ones(m), size=9)
        theta = rng.dirichlet(np.ones(m), size=(5, m))
        gamma = np.einsum("km,jml->kjl", pi, theta)
        matrix = gamma[..., 1:].reshape(9, -1)
        values = np.linalg.svd(matrix - matrix.mean(0), compute_uv=False)
        assert values[m - 2] > 1e-3
        assert values[m - 1 :].max() < 1e-14


def test_exact_constant_scores_leave_no_residual_with_cells_missing():
    # Whole-number counts that are exactly constant; a weighted fit must go through them in spite of holes.
    answers = 10_000
    gamma = np.array([0.2, 0.3]) + np.array([0.5, 0.4]) * np.array([0.1, 0.3, 0.5, 0.7, 0.9, 0.2])[:, None]
    ones = np.round(answers * gamma)
    counts = np.stack([answers - ones, ones], axis=-1)
    counts[[0, 3], [0, 1]] = 0
    counts[4] *= 7  # unequal weights
    found = idn.constancy_diagnostic(counts, replicates=50, seed=0)
    assert found.freedom == 2
    assert found.statistic < 1e-3
    assert found.tail_probability > 0.9
    assert np.isnan(found.cell_contribution[[0, 3], [0, 1]]).all()


def test_equal_weights_give_the_singular_value_statistic():
    rng = np.random.default_rng(1)
    counts = rng.multinomial(400, [0.2, 0.3, 0.5], size=(7, 4))
    found = idn.constancy_diagnostic(counts, replicates=10, seed=0)
    matrix, _ = idn.score_matrix(counts)
    values = np.linalg.svd(matrix - matrix.mean(0), compute_uv=False)
    np.testing.assert_allclose(found.singular_values, values, atol=1e-12)
    assert found.statistic == pytest.approx(np.sqrt(400 * (values[2:] ** 2).sum()), rel=1e-10)
    assert found.judge_share.sum() == pytest.approx(1.0)


def test_unequal_weights_reach_the_stationary_point():
    # At a weighted least-squares solution the residual is orthogonal to every direction of the fitted family.
    from bayeskit_models.judges.constancy import _fit_affine_rank

    rng = np.random.default_rng(2)
    matrix, weights = rng.random((1, 8, 5)), rng.integers(1, 50, size=(8, 5)).astype(float)
    weights[rng.random((8, 5)) < 0.15] = 0
    fitted = _fit_affine_rank(matrix, weights, 1, sweeps=3000)
    pull = weights * (matrix - fitted)[0]
    centred = fitted[0] - fitted[0].mean(0)
    left, _, right = np.linalg.svd(centred)
    assert np.linalg.matrix_rank(centred, tol=1e-8) == 1
    np.testing.assert_allclose(pull.sum(0), 0, atol=2e-3)
    np.testing.assert_allclose(left[:, 0] @ pull, 0, atol=2e-3)
    np.testing.assert_allclose(pull @ right[0], 0, atol=2e-3)


def test_self_preference_is_flagged_and_constancy_is_not():
    rng = np.random.default_rng(0)
    fair = idn.constancy_diagnostic(binary_counts(rng, CONSTANT, 3000), replicates=300, seed=1)
    selfish_counts = binary_counts(rng, SELFISH, 3000)
    selfish = idn.constancy_diagnostic(selfish_counts, replicates=300, seed=1)
    # Sampling noise puts a singular value of order sqrt(.25 (K - 1) / 3000) = .018 into each empty direction.
    np.testing.assert_allclose(fair.singular_values, [0.154, 0.014, 0.007], atol=0.02)
    np.testing.assert_allclose(selfish.singular_values, [0.234, 0.218, 0.034], atol=0.02)
    assert not fair.flags()
    assert fair.tail_probability > 0.05
    assert selfish.flags()
    assert selfish.tail_probability == pytest.approx(1 / 301)
    assert selfish.statistic > 2 * selfish.replicated.max()
    # Without the self-judging cells nothing is left to flag.
    clean = idn.clean_cells("abcde", "xyz", {"x": ["a"], "y": ["b"], "z": ["c"]})
    dropped = idn.constancy_diagnostic(selfish_counts, clean=clean, replicates=300, seed=1)
    assert dropped.freedom == 3
    assert not dropped.flags()


def test_one_odd_judge_gets_the_blame():
    rng = np.random.default_rng(5)
    gamma = np.linspace(0.1, 0.3, 6) + np.linspace(0.4, 0.6, 6) * np.linspace(0.1, 0.9, 10)[:, None]
    gamma[:, 3] += 0.12 * (-1.0) ** np.arange(10)
    found = idn.constancy_diagnostic(binary_counts(rng, gamma, 1000), replicates=200, seed=0)
    assert found.flags()
    assert found.judge_share.argmax() == 3
    assert found.judge_share[3] > 3 * found.judge_expected[3]
    assert found.judge_tail[3] == pytest.approx(1 / 201)


@pytest.mark.parametrize("levels", [2, 3])
def test_tail_probabilities_are_near_uniform_under_constancy(levels):
    # 300 data sets of 99 replicates. Standard errors: .013 at .05, .025 at .25, .029 at .5; bounds: about 3.
    rng = np.random.default_rng(levels)
    pi = rng.dirichlet(np.ones(levels), size=8)
    theta = 0.5 * rng.dirichlet(np.ones(levels), size=(4, levels)) + 0.5 * np.eye(levels)
    gamma = np.einsum("km,jml->kjl", pi, theta)
    tails = np.array(
        [idn.constancy_diagnostic(rng.multinomial(300, gamma), replicates=99, seed=rng).tail_probability for _ in range(300)]
    )
    assert (tails <= 0.05).mean() <= 0.09
    assert abs((tails <= 0.25).mean() - 0.25) < 0.09
    assert abs((tails <= 0.5).mean() - 0.5) < 0.1


def test_tail_probabilities_with_missing_cells_and_unequal_numbers():
    # 100 data sets: standard errors .022 at .05 and .05 at .5.
    rng = np.random.default_rng(9)
    gamma = 0.2 + np.array([0.3, 0.4, 0.5, 0.6]) * rng.random((8, 1))
    answers = rng.integers(50, 600, size=(8, 4)) * (rng.random((8, 4)) < 0.85)
    tails = np.array(
        [
            idn.constancy_diagnostic(binary_counts(rng, gamma, answers), replicates=99, seed=rng).tail_probability
            for _ in range(100)
        ]
    )
    assert (tails <= 0.05).mean() <= 0.12
    assert abs((tails <= 0.5).mean() - 0.5) < 0.16


@pytest.mark.parametrize(
    ("shape", "why"),
    [((2, 5, 2), "need at least 3"), ((3, 4, 3), "need at least 4"), ((9, 1, 3), "one judge")],
)
def test_untestable_panels_say_so(shape, why):
    rng = np.random.default_rng(0)
    counts = rng.multinomial(100, np.full(shape[-1], 1 / shape[-1]), size=shape[:2])
    found = idn.constancy_diagnostic(counts, seed=0)
    assert not found.testable
    assert found.reason.startswith("not testable")
    assert why in found.reason
    assert np.isnan(found.tail_probability)
    assert not found.flags(1.0)
    assert np.isfinite(found.singular_values).all()


def test_too_many_missing_cells_are_untestable():
    counts = np.full((4, 4, 2), 10)
    clean = np.eye(4, dtype=bool)
    found = idn.constancy_diagnostic(counts, clean=clean)
    assert not found.testable
    assert "4 cells" in found.reason


def test_same_seed_same_answer_and_all_scores_at_one_level():
    counts = np.zeros((5, 3, 2))
    counts[..., 1] = 40
    found = idn.constancy_diagnostic(counts, replicates=50, seed=3)
    assert found.testable
    assert found.statistic == pytest.approx(0, abs=1e-9)
    assert found.tail_probability == 1.0
    again = idn.constancy_diagnostic(counts, replicates=50, seed=3)
    np.testing.assert_array_equal(found.replicated, again.replicated)


def test_diagnostic_faults():
    with pytest.raises(ValueError, match="counts has shape"):
        idn.constancy_diagnostic(np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"counts\[0, 1, 0\] = -1"):
        idn.constancy_diagnostic(np.array([[[1, 1], [-1, 2]]]))
    with pytest.raises(ValueError, match=r"0\.5 is not a whole number"):
        idn.constancy_diagnostic(np.full((5, 3, 2), 0.5))
    with pytest.raises(ValueError, match="clean has shape"):
        idn.constancy_diagnostic(np.ones((5, 3, 2)), clean=np.ones(3, dtype=bool))
    with pytest.raises(ValueError, match="replicates=0"):
        idn.constancy_diagnostic(np.ones((5, 3, 2)), replicates=0)
