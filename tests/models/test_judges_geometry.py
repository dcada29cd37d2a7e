"""The geometry of judges is algebra, so it is tested as algebra: to 1e-10, on an example and at random."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeskit_models.judges import geometry as geo

EXAMPLE = np.array([[0.70, 0.20, 0.10], [0.20, 0.60, 0.20], [0.10, 0.25, 0.65]])
CROSSING = np.array([[0.35, 0.10, 0.55], [0.15, 0.45, 0.40]])  # true shares of A (E 2.20) and B (E 2.25)
DOMINATED = np.array([[0.45, 0.35, 0.20], [0.25, 0.35, 0.40]])


def random_judges(rng, levels, size, quality=0.0):
    """Judges with Dirichlet rows mixed with the identity, conditioned well enough for 1e-10."""
    theta = rng.dirichlet(np.ones(levels), size=(size, levels))
    theta = (theta + quality * np.eye(levels)) / (1.0 + quality)
    return theta[np.linalg.cond(theta) < 1e4]


seeds = st.integers(0, 2**32 - 1)
levels = st.integers(2, 6)
fast = settings(max_examples=60, deadline=None)


def test_example_numbers():
    assert geo.judge_quality(EXAMPLE) == pytest.approx(0.215, abs=1e-12)
    np.testing.assert_allclose(geo.score_weights(EXAMPLE), [0.3256, 1.9535, 3.8140], atol=5e-5)
    np.testing.assert_allclose(geo.expected_score(CROSSING), [2.20, 2.25], atol=1e-12)
    assert geo.is_monotone(EXAMPLE)


@given(seeds, levels)
@fast
def test_recovery_weights_and_volumes_agree(seed, m):
    rng = np.random.default_rng(seed)
    theta = random_judges(rng, m, 20, quality=0.3)
    pi = rng.dirichlet(np.ones(m), size=len(theta))
    gamma = geo.observable(pi, theta)
    np.testing.assert_allclose(gamma.sum(-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(geo.barycentric(gamma, theta), pi, atol=1e-10)
    np.testing.assert_allclose(geo.barycentric_by_volumes(gamma, theta), pi, atol=1e-10)
    height = (gamma * geo.score_weights(theta)).sum(-1)
    np.testing.assert_allclose(height, geo.expected_score(pi), atol=1e-10)


@given(seeds, levels)
@fast
def test_quality_is_the_volume_ratio_and_det_of_the_drops(seed, m):
    theta = random_judges(np.random.default_rng(seed), m, 10)
    whole = geo.simplex_volume(np.eye(m))
    np.testing.assert_allclose(geo.simplex_volume(theta) / whole, geo.judge_quality(theta), atol=1e-12)
    np.testing.assert_allclose(np.abs(np.linalg.det(geo.cdf_drops(theta))), geo.judge_quality(theta), atol=1e-12)


@given(seeds, levels)
@fast
def test_steps_solve_the_drop_equation_and_give_the_pair_difference(seed, m):
    rng = np.random.default_rng(seed)
    theta = random_judges(rng, m, 10, quality=0.3)
    steps = geo.score_steps(theta)
    np.testing.assert_allclose(np.einsum("jml,jl->jm", geo.cdf_drops(theta), steps), 1.0, atol=1e-9)
    np.testing.assert_allclose(steps, np.diff(geo.score_weights(theta), axis=-1), atol=1e-9)
    a, b = rng.dirichlet(np.ones(m), size=(2, len(theta)))
    difference = geo.pair_difference(geo.observable(a, theta), geo.observable(b, theta), theta)
    np.testing.assert_allclose(difference, geo.expected_score(b) - geo.expected_score(a), atol=1e-10)


def test_two_level_formulas():
    fpr, tpr, pi = 0.35, 0.60, np.array([0.30, 0.62])
    theta = np.array([[1 - fpr, fpr], [1 - tpr, tpr]])
    gamma = geo.observable(np.stack([1 - pi, pi], -1), theta)
    np.testing.assert_allclose((gamma[:, 1] - fpr) / (tpr - fpr), pi, atol=1e-12)
    assert geo.judge_quality(theta) == pytest.approx(tpr - fpr, abs=1e-12)
    np.testing.assert_allclose(geo.score_steps(theta), [1 / (tpr - fpr)], atol=1e-12)


@given(seeds)
@fast
def test_t1_two_levels_any_judge_better_than_chance_shows_the_order(seed):
    rng = np.random.default_rng(seed)
    good = rng.uniform(size=12)
    fpr = rng.uniform(0, 0.9)
    tpr = rng.uniform(fpr + 1e-3, 1)
    theta = np.array([[1 - fpr, fpr], [1 - tpr, tpr]])
    assert geo.is_monotone(theta)
    shown = geo.observable(np.stack([1 - good, good], -1), theta)[:, 1]
    np.testing.assert_array_equal(np.argsort(shown), np.argsort(good))


def test_t1_values_are_not_identified_for_two_levels():
    gamma = np.array([[0.6, 0.4], [0.45, 0.55]])
    for fpr, tpr in ((0.0, 1.0), (0.4, 0.55), (0.1, 0.9)):
        pi = geo.barycentric(gamma, [[1 - fpr, fpr], [1 - tpr, tpr]])
        assert (pi > -1e-12).all()
        assert pi[1, 1] > pi[0, 1]


def near_identity(rng, m, scale):
    move = np.eye(m) + scale * rng.normal(size=(m, m))
    return move / move.sum(-1, keepdims=True)


@given(seeds, st.integers(2, 5), st.integers(1, 4))
@fast
def test_t3_moves_leave_every_observable_point_in_place(seed, m, judges):
    rng = np.random.default_rng(seed)
    theta = random_judges(rng, m, judges + 5, quality=1.0)[:judges]
    pi = rng.dirichlet(np.ones(m), size=(7, 1))
    other_pi, other_theta = geo.equivalent_world(pi, theta, near_identity(rng, m, 0.05))
    np.testing.assert_allclose(geo.observable(other_pi, other_theta), geo.observable(pi, theta), atol=1e-10)
    np.testing.assert_allclose(other_theta.sum(-1), 1.0, atol=1e-10)
    np.testing.assert_allclose(other_pi.sum(-1), 1.0, atol=1e-10)
    if m == 2:  # only the scale of the levels can change: the order stays
        order = np.argsort(geo.expected_score(pi)[:, 0])
        np.testing.assert_array_equal(np.argsort(geo.expected_score(other_pi)[:, 0]), order)


def test_t3_three_levels_a_legal_world_flips_a_crossing_pair():
    # Among moves near the identity some keep all entries probabilities, keep A3, and reverse A and B.
    rng = np.random.default_rng(3)
    judges = np.stack([EXAMPLE, 0.5 * (EXAMPLE + np.eye(3))])
    flipped = 0
    for _ in range(2000):
        pi, theta = geo.equivalent_world(CROSSING, judges, near_identity(rng, 3, 0.05))
        legal = (pi >= 0).all() and (theta >= 0).all() and geo.is_monotone(theta).all()
        flipped += bool(legal and np.diff(geo.expected_score(pi))[0] < 0)
    assert flipped > 20


def test_t3_refuses_moves_that_break_distributions():
    with pytest.raises(ValueError, match="rows sum to"):
        geo.equivalent_world(CROSSING, EXAMPLE, 1.1 * np.eye(3))
    with pytest.raises(ValueError, match="singular"):
        geo.equivalent_world(CROSSING, EXAMPLE, np.full((3, 3), 1 / 3))


@pytest.mark.parametrize("m", [2, 3, 5])
def test_t4_dominance_decides_for_every_judge_with_positive_steps(m):
    rng = np.random.default_rng(m)
    theta = random_judges(rng, m, 20_000, quality=1.0)
    pairs = rng.dirichlet(np.ones(m), size=(2, len(theta)))
    positive = (geo.score_steps(theta) > 0).all(-1)
    a, b = (geo.observable(p, theta) for p in pairs)
    relation = geo.dominance(a, b)
    difference = geo.expected_score(pairs[1]) - geo.expected_score(pairs[0])
    assert (positive & (relation == "b above")).sum() > 500
    assert (difference[positive & (relation == "b above")] > 0).all()
    assert (difference[positive & (relation == "a above")] < 0).all()
    crossing = difference[positive & (relation == "crossing")]
    assert (len(crossing) == 0) if m == 2 else ((crossing > 0).any() and (crossing < 0).any())


@given(seeds, levels)
@fast
def test_t4_a_monotone_judge_has_a_positive_step(seed, m):
    rng = np.random.default_rng(seed)
    # Mixing with the identity makes monotone judges common; the draw is then kept only if it is one.
    theta = random_judges(rng, m, 200, quality=float(rng.uniform(0.2, 3)))
    theta = theta[geo.is_monotone(theta)]
    assert (geo.score_steps(theta) > 0).any(-1).all()


def test_t4_monotone_judges_exist_with_a_negative_step():
    # So A3 alone does not make dominance decisive: of Dirichlet(1 + 2 e_m) judges that satisfy A3 about 69 %
    # have only positive steps (Monte Carlo standard error of the share below .008).
    rng = np.random.default_rng(0)
    theta = np.stack([rng.dirichlet(1 + 2 * np.eye(3)[m], size=20_000) for m in range(3)], axis=1)
    theta = theta[geo.is_monotone(theta)]
    share = (geo.score_steps(theta) > 0).all(-1).mean()
    assert len(theta) > 3500
    assert share == pytest.approx(0.693, abs=0.03)


@given(seeds)
@fast
def test_t4_crossing_pairs_can_be_ordered_either_way_by_positive_steps(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet(np.ones(3), size=2)
    delta = geo.exceedance(b) - geo.exceedance(a)
    t = 1e-6  # judges whose step at one threshold is 1 / t and 1 at the other
    low = np.array([[t, 1 - t, 0], [0, 1, 0], [0, 0, 1.0]])
    high = np.array([[1.0, 0, 0], [0, 1, 0], [0, 1 - t, t]])
    np.testing.assert_allclose(geo.score_steps(np.stack([low, high])), [[1 / t, 1], [1, 1 / t]], rtol=1e-9)
    signs = np.sign(geo.pair_difference(a, b, np.stack([low, high])))
    if np.abs(delta).min() > 1e-4:
        assert (geo.dominance(a, b) == "crossing") == (signs[0] != signs[1])


def test_dominance_relations_of_the_two_example_pairs():
    assert geo.dominance(*geo.observable(CROSSING, EXAMPLE)) == "crossing"
    assert geo.dominance(*geo.observable(DOMINATED, EXAMPLE)) == "b above"
    gamma = geo.observable(DOMINATED, EXAMPLE)
    table = geo.dominance(gamma[:, None], gamma[None, :])
    assert table.tolist() == [["equal", "b above"], ["a above", "equal"]]


def test_dominance_from_draws_counts_signs():
    a = np.array([[0.5, 0.3, 0.2]] * 4)
    b = np.array([[0.4, 0.3, 0.3], [0.5, 0.3, 0.2], [0.6, 0.1, 0.3], [0.6, 0.3, 0.1]])
    result = geo.dominance_from_draws(a, b)
    shares = [result.a_above, result.b_above, result.crossing, result.equal]
    assert [float(s) for s in shares] == [0.25, 0.25, 0.25, 0.25]
    assert result.draws == 4
    b[2] = np.nan
    assert np.isnan(geo.dominance_from_draws(a, b).b_above)


def test_dominance_from_counts_matches_the_exact_two_level_probability():
    from scipy import stats

    # P(Beta(1 + 40, 1 + 60) > Beta(1 + 30, 1 + 70)) by quadrature; 20,000 draws: standard error below .0025.
    grid = np.linspace(0, 1, 20_001)
    density = stats.beta(41, 61).pdf(grid) * stats.beta(31, 71).cdf(grid)
    exact = np.trapezoid(density, grid)
    found = geo.dominance_from_counts([70, 30], [60, 40], draws=20_000, seed=1)
    assert float(found.b_above) == pytest.approx(exact, abs=0.01)
    assert float(found.crossing) == 0.0


def test_dominance_from_counts_concentrates_and_is_reproducible():
    gamma = geo.observable(np.stack([CROSSING, DOMINATED], axis=1), EXAMPLE)  # (2 candidates, 2 pairs, M)
    counts = np.round(gamma * 200_000)
    found = geo.dominance_from_counts(counts[0], counts[1], draws=500, seed=2)
    assert found.crossing[0] > 0.99
    assert found.b_above[1] > 0.99
    again = geo.dominance_from_counts(counts[0], counts[1], draws=500, seed=2)
    np.testing.assert_array_equal(found.crossing, again.crossing)
    total = found.a_above + found.b_above + found.crossing + found.equal
    np.testing.assert_allclose(total, 1.0, atol=1e-12)


def test_dominance_from_counts_broadcasts_over_pairs():
    counts = np.array([[80, 10, 10], [10, 80, 10], [10, 10, 80]])
    found = geo.dominance_from_counts(counts[:, None], counts[None], draws=300, seed=0)
    assert found.b_above.shape == (3, 3)
    assert found.b_above[0, 2] > 0.99
    wide = geo.dominance_from_counts(counts[0], counts, draws=300, seed=0)
    assert wide.b_above.shape == (3,)


def test_an_empty_cell_returns_the_prior():
    found = geo.dominance_from_counts([0, 0], [0, 0], draws=20_000, seed=0)
    assert float(found.a_above) == pytest.approx(0.5, abs=0.02)  # standard error .0035


@pytest.mark.parametrize("solver", [geo.barycentric, geo.barycentric_by_volumes])
def test_singular_judges_raise_or_give_nan(solver):
    flat = np.full((2, 2), 0.5)
    batch = np.stack([flat, np.eye(2), np.full((2, 2), np.nan)])
    gamma = np.array([0.3, 0.7])
    with pytest.raises(ValueError, match=r"2 of 3 .*index \(0,\)"):
        solver(gamma, batch)
    found = solver(gamma, batch, singular="nan")
    np.testing.assert_array_equal(np.isnan(found[:, 0]), [True, False, True])
    np.testing.assert_allclose(found[1], gamma)
    with pytest.raises(ValueError, match="use 'raise' or 'nan'"):
        solver(gamma, batch, singular="ignore")


def test_points_outside_the_judge_get_negative_coordinates():
    theta = [[0.8, 0.2], [0.3, 0.7]]
    np.testing.assert_allclose(geo.barycentric([0.9, 0.1], theta), [1.2, -0.2], atol=1e-12)
    np.testing.assert_allclose(geo.barycentric_by_volumes([0.9, 0.1], theta), [1.2, -0.2], atol=1e-12)


def test_batches_broadcast():
    rng = np.random.default_rng(0)
    theta = random_judges(rng, 3, 30, quality=1.0)[:4]  # 4 judges
    pi = rng.dirichlet(np.ones(3), size=(6, 1))  # 6 candidates
    gamma = geo.observable(pi, theta)
    assert gamma.shape == (6, 4, 3)
    for found in (geo.barycentric(gamma, theta), geo.barycentric_by_volumes(gamma, theta)):
        np.testing.assert_allclose(found, np.broadcast_to(pi, (6, 4, 3)), atol=1e-10)
    assert geo.is_monotone(theta).shape == geo.judge_quality(theta).shape == (4,)
    assert geo.pair_difference(gamma[0], gamma[1], theta).shape == (4,)


def test_faults_name_the_argument():
    with pytest.raises(ValueError, match="theta has shape"):
        geo.judge_quality(np.ones((2, 3)))
    with pytest.raises(ValueError, match="pi: 2, theta: 3"):
        geo.observable([0.5, 0.5], EXAMPLE)
    with pytest.raises(ValueError, match="gamma_b: 1 values are not finite"):
        geo.dominance([0.5, 0.5], [np.nan, 0.5])
    with pytest.raises(ValueError, match=r"counts_a: -1\.0 is not a count"):
        geo.dominance_from_counts([-1, 2], [1, 2])
    with pytest.raises(ValueError, match="axis 0"):
        geo.dominance_from_draws([0.5, 0.5], [0.5, 0.5])
