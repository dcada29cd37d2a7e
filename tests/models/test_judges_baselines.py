"""The comparator: exact averages, and bootstrap spreads against their closed forms."""

import numpy as np
import pytest

from bayeskit_models.judges import baselines as base


def test_averages_are_exact_with_missing_verdicts():
    scores = np.array([[[1, 0], [1, np.nan], [0, 1]], [[0, 0], [0, 1], [1, np.nan]]])
    found = base.averaging_from_items(scores, draws=10, seed=0)
    np.testing.assert_allclose(found.scores, [(2 / 3 + 1 / 2) / 2, (1 / 3 + 1 / 2) / 2])
    assert found.score_draws.shape == found.rank_draws.shape == (10, 2)
    assert found.method == "items"
    only_first = base.averaging_from_items(scores, cells=np.array([[True, False]] * 2), draws=5, seed=0)
    np.testing.assert_allclose(only_first.scores, [2 / 3, 1 / 3])


def test_the_three_forms_agree_on_the_averages():
    rng = np.random.default_rng(0)
    scores = (rng.random((4, 50, 3)) < 0.6).astype(float)
    scores[rng.random(scores.shape) < 0.1] = np.nan
    items = base.averaging_from_items(scores, draws=5, seed=0)
    codes = np.repeat(np.arange(4), 50)
    rows = base.averaging_from_patterns(codes, scores.reshape(200, 3), draws=5, seed=0)
    ones, seen = np.nansum(scores, axis=1), (~np.isnan(scores)).sum(axis=1)
    cells = base.averaging_from_cells(np.stack([seen - ones, ones], axis=-1), draws=5, seed=0)
    np.testing.assert_allclose(rows.scores, items.scores, atol=1e-12)
    np.testing.assert_allclose(cells.scores - 1, items.scores, atol=1e-12)  # cells are on the scale 1..M


def test_bootstrap_spread_matches_the_plug_in_variance():
    # Judges agree perfectly on each answer: the variance is p (1 - p) / n for answers, and J times less for
    # cells, wrongly taken as independent. 4,000 draws: relative standard error of a standard deviation .011.
    n, judges, p = 200, 4, 0.3
    row = np.zeros((n, judges))
    row[: int(n * p)] = 1
    truth = np.sqrt(p * (1 - p) / n)
    items = base.averaging_from_items(row[None], draws=4000, seed=1)
    assert items.score_draws.std() == pytest.approx(truth, rel=0.05)
    folded = base.averaging_from_patterns(
        [0, 0], [[0] * judges, [1] * judges], [int(n * (1 - p)), int(n * p)], draws=4000, seed=1
    )
    assert folded.score_draws.std() == pytest.approx(truth, rel=0.05)
    counts = np.tile([n * (1 - p), n * p], (1, judges, 1)).round()
    cells = base.averaging_from_cells(counts, draws=4000, seed=1)
    assert cells.score_draws.std() == pytest.approx(truth / np.sqrt(judges), rel=0.05)


def test_pairing_by_item_keeps_a_constant_difference():
    # B is right wherever A is, and on ten more items: no resample can put A above B.
    hard = np.arange(60) / 60
    scores = np.stack([hard < 0.5, hard < 0.67])[..., None].astype(float)
    paired = base.averaging_from_items(scores, draws=500, seed=0)
    assert (paired.rank_draws[:, 1] == 1).all()
    loose = base.averaging_from_patterns(np.repeat([0, 1], 60), scores.reshape(120, 1), draws=500, seed=0)
    assert (loose.rank_draws[:, 1] == 2).any()


def test_equal_candidates_share_rank_one():
    scores = np.tile((np.arange(10) < 6).astype(float)[:, None], (3, 1, 2))
    found = base.averaging_from_items(scores, draws=20, seed=0)
    assert (found.rank_draws == 1).all()


def test_multinomial_cells_use_the_levels():
    counts = np.array([[[10, 0, 0], [0, 0, 5]], [[0, 0, 0], [0, 8, 0]]])
    found = base.averaging_from_cells(counts, draws=7, seed=0)
    np.testing.assert_allclose(found.scores, [2.0, 2.0])
    np.testing.assert_allclose(found.score_draws, 2.0)
    assert (found.rank_draws == 1).all()


def test_same_seed_same_draws():
    counts = np.full((3, 2, 2), 20)
    first, second = (base.averaging_from_cells(counts, draws=50, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.score_draws, second.score_draws)


def test_faults():
    with pytest.raises(ValueError, match="scores has shape"):
        base.averaging_from_items(np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"candidates \[1\] have no verdict"):
        base.averaging_from_items(np.array([[[1.0]], [[np.nan]]]))
    with pytest.raises(ValueError, match=r"candidates \[1\] have no verdict"):
        base.averaging_from_patterns([0, 2], [[1.0], [0.0]])
    with pytest.raises(ValueError, match="cells has shape"):
        base.averaging_from_cells(np.ones((2, 2, 2)), cells=np.ones((2, 3), dtype=bool))
    with pytest.raises(ValueError, match=r"1\.5 is not a whole number"):
        base.averaging_from_cells(np.full((2, 2, 2), 1.5))
    with pytest.raises(ValueError, match="draws=0"):
        base.averaging_from_cells(np.ones((2, 2, 2)), draws=0)
    with pytest.raises(ValueError, match="codes are whole numbers"):
        base.averaging_from_patterns([0.0, 1.0], [[1.0], [0.0]])
    with pytest.raises(ValueError, match="expected"):
        base.averaging_from_patterns([0, 1, 2], [[1.0], [0.0]])
    with pytest.raises(ValueError, match="infinite"):
        base.averaging_from_items(np.array([[[np.inf]]]))
