"""Estimands against brute force, closed forms and the laws that they obey."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bayeskit import estimands as es

SMALL = settings(max_examples=60, deadline=None)
scores_few = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 6)), elements=st.integers(-3, 3).map(float))
probs = st.floats(0.01, 0.99)


def brute_ranks(scores, descending=True):
    out = np.empty(scores.shape, dtype=int)
    for s, row in enumerate(scores):
        for k, value in enumerate(row):
            out[s, k] = 1 + sum((other > value) if descending else (other < value) for other in row)
    return out


# --- interval -----------------------------------------------------------------------------------------------


def test_equal_tailed_interval_of_a_grid_is_exact():
    grid = np.linspace(0, 1, 1001)
    assert es.interval(grid, 0.9) == pytest.approx([0.05, 0.95], abs=1e-12)
    assert es.interval(np.stack([grid, 10 * grid], 1), 0.5) == pytest.approx(np.array([[0.25, 0.75], [2.5, 7.5]]))


def test_narrowest_interval_of_exponential_quantiles_starts_at_zero():
    p = (np.arange(20_000) + 0.5) / 20_000
    lower, upper = es.interval(-np.log1p(-p), 0.8, "hdi")
    assert lower == pytest.approx(0.0, abs=1e-4)
    assert upper == pytest.approx(-np.log(0.2), rel=1e-3)


def test_narrowest_interval_equals_arviz():
    from arviz_stats.base import array_stats

    draws = np.random.default_rng(3).gamma(2.0, size=(997, 4))
    ours = es.interval(draws, 0.9, "hdi")
    for k in range(4):
        assert ours[k] == pytest.approx(array_stats.hdi(draws[:, k], prob=0.9), abs=1e-12)


@SMALL
@given(arrays(np.float64, st.integers(1, 30), elements=st.integers(-50, 50).map(float)), probs)
def test_narrowest_interval_equals_brute_force(x, prob):
    ordered = np.sort(x)
    step = min(int(np.floor(prob * len(x) + 1e-9)), len(x) - 1)
    widths = [(ordered[i + step] - ordered[i], i) for i in range(len(x) - step)]
    start = min(widths)[1]
    assert es.interval(x, prob, "hdi").tolist() == [ordered[start], ordered[start + step]]


@SMALL
@given(arrays(np.float64, array_shapes(min_dims=1, max_dims=3), elements=st.floats(-1e6, 1e6)), probs)
@pytest.mark.parametrize("kind", ["eti", "hdi"])
def test_interval_laws(kind, x, prob):
    out = es.interval(x, prob, kind)
    assert out.shape == (*x.shape[1:], 2)
    assert (out[..., 0] <= out[..., 1]).all()
    assert (out >= x.min(axis=0)[..., None] - 1e-6).all()
    assert (out <= x.max(axis=0)[..., None] + 1e-6).all()
    moved = es.interval(2.0 * x + 1.0, prob, kind)
    if kind == "eti":
        assert moved == pytest.approx(2.0 * out + 1.0, rel=1e-9, abs=1e-6)


def test_infinite_draws_are_order_statistics_not_nan():
    x = np.concatenate([np.arange(50.0), np.full(50, np.inf)])
    assert es.interval(x, 0.9).tolist() == [4.0, np.inf]
    assert es.interval(np.full(10, np.inf)).tolist() == [np.inf, np.inf]
    with pytest.raises(ValueError, match="infinite"):
        es.interval(x, 0.9, "hdi")


@pytest.mark.parametrize("prob", [0.0, 1.0, 95, -0.1, float("nan")])
def test_a_probability_is_between_zero_and_one(prob):
    with pytest.raises(ValueError, match="prob"):
        es.interval(np.arange(5.0), prob)
    with pytest.raises(ValueError, match="prob"):
        es.rank_interval(np.ones((5, 1)), prob)


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'eti'"):
        es.interval(np.arange(5.0), 0.9, "wald")


NAN = np.array([[1.0, np.nan], [2.0, 3.0]])


@pytest.mark.parametrize(
    "call",
    [
        lambda: es.interval(NAN),
        lambda: es.ranks(NAN),
        lambda: es.p_above(NAN),
        lambda: es.rank_interval(NAN),
        lambda: es.p_best(NAN),
        lambda: es.rank_probabilities(NAN),
    ],
)
def test_nan_draws_are_refused(call):
    with pytest.raises(ValueError, match="NaN"):
        call()


@pytest.mark.parametrize("bad", [np.float64(3.0), np.empty((0, 3)), np.empty(0)])
def test_no_draws_are_refused(bad):
    with pytest.raises(ValueError, match="at least one draw"):
        es.interval(bad)


# --- ranks --------------------------------------------------------------------------------------------------


@SMALL
@given(scores_few, st.booleans())
def test_ranks_equal_brute_force(scores, descending):
    assert es.ranks(scores, descending).tolist() == brute_ranks(scores, descending).tolist()


def test_ties_share_the_best_place():
    assert es.ranks([[5.0, 7.0, 5.0, 1.0]]).tolist() == [[2, 1, 2, 4]]
    assert es.ranks([[5.0, 7.0, 5.0, 1.0]], descending=False).tolist() == [[2, 4, 2, 1]]
    assert es.ranks([[np.inf, -np.inf, np.inf]]).tolist() == [[1, 3, 1]]


@SMALL
@given(scores_few)
def test_rank_laws(scores):
    r = es.ranks(scores)
    assert r.min() >= 1
    assert r.max() <= scores.shape[1]
    assert (r.min(axis=1) == 1).all()
    assert (es.ranks(np.exp(scores)) == r).all()
    permutation = np.random.default_rng(0).permutation(scores.shape[1])
    assert (es.ranks(scores[:, permutation]) == r[:, permutation]).all()
    table = es.rank_probabilities(r)
    assert table.sum(axis=1) == pytest.approx(np.ones(scores.shape[1]))
    assert es.p_best(r).sum() == pytest.approx(1.0)


@SMALL
@given(scores_few, probs)
def test_rank_intervals_equal_brute_force_and_hold_their_mass(scores, prob):
    r = es.ranks(scores)
    s, k = r.shape
    eti = es.rank_interval(r, prob)
    hdi = es.rank_interval(r, prob, "hdi")
    for j in range(k):
        ordered = np.sort(r[:, j])
        tail = (1 - prob) / 2
        assert eti[j].tolist() == [ordered[max(int(np.ceil(q * s - 1e-9 * s)), 1) - 1] for q in (tail, 1 - tail)]
        runs = [
            (hi - lo, -np.sum((ordered >= lo) & (ordered <= hi)), lo, hi)
            for lo in range(1, k + 1)
            for hi in range(lo, k + 1)
            if np.sum((ordered >= lo) & (ordered <= hi)) >= prob * s - 1e-9 * s
        ]
        assert hdi[j].tolist() == list(min(runs)[2:])
        for lo, hi in (eti[j], hdi[j]):
            assert np.mean((ordered >= lo) & (ordered <= hi)) >= prob - 1e-9
        assert hdi[j, 1] - hdi[j, 0] <= eti[j, 1] - eti[j, 0]


def test_rank_quantiles_do_not_slip_by_a_rounding_error():
    # 100 of 4000 draws at rank 1: exactly the lower 2.5 %, so rank 1 is inside, though in floats
    # (1 - 0.95) / 2 * 4000 > 100.
    column = np.repeat([1, 2, 3], [100, 3800, 100])
    r = np.stack([column, np.ones(4000, int), np.full(4000, 3)], axis=1)
    assert (1 - 0.95) / 2 * 4000 > 100
    assert es.rank_interval(r).tolist() == [[1, 2], [1, 1], [3, 3]]


@pytest.mark.parametrize("bad", [[[0, 1]], [[1.5, 2]], [[3, 1]]])
def test_ranks_are_whole_numbers_from_one_to_k(bad):
    with pytest.raises(ValueError, match="whole numbers from 1 to 2"):
        es.rank_interval(bad)


def test_p_best_shares_a_tie_and_needs_a_winner():
    assert es.p_best([[1, 1, 3], [1, 2, 3]]).tolist() == [0.75, 0.25, 0.0]
    with pytest.raises(ValueError, match="draw 1"):
        es.p_best([[1, 2], [2, 2]])


# --- pairs --------------------------------------------------------------------------------------------------


@SMALL
@given(scores_few)
def test_p_above_equals_brute_force_and_is_complementary(scores):
    p = es.p_above(scores)
    s, k = scores.shape
    for a in range(k):
        for b in range(k):
            wins = sum(1.0 if row[a] > row[b] else 0.5 if row[a] == row[b] else 0.0 for row in scores)
            assert p[a, b] == pytest.approx(wins / s)
    assert p + p.T == pytest.approx(np.ones((k, k)))
    # The probability to be above the others is what the mean rank says, ties counted half.
    mid_rank = (es.ranks(scores) + scores.shape[1] + 1 - es.ranks(scores, descending=False)) / 2
    assert k + 0.5 - p.sum(axis=1) == pytest.approx(mid_rank.mean(axis=0))


def test_p_above_of_two_normals_is_the_closed_form():
    from scipy.stats import norm

    rng = np.random.default_rng(1)
    x = rng.normal([0.5, 0.0], 1.0, size=(40_000, 2))
    expected = norm.cdf(0.5 / np.sqrt(2))
    assert abs(es.p_above(x)[0, 1] - expected) < 4 * np.sqrt(expected * (1 - expected) / 40_000)


# --- coverage -----------------------------------------------------------------------------------------------


def test_rank_coverage_counts_ranges_that_meet():
    assert es.rank_coverage([1, 2, 4], [1, 3, 5], [1, 4, 2], [1, 5, 3]) == pytest.approx(1 / 3)
    assert es.rank_coverage([1, 2, 4], [1, 4, 5], [1, 4, 2], [1, 5, 4]) == 1.0
    assert es.rank_coverage(1, 3, [1, 2, 3, 4], [1, 2, 3, 4]) == 0.75


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([2], [1], [1], [1]), "lower, upper: position 0"),
        (([1], [1], [2], [1]), "truth_low, truth_high"),
        (([np.nan], [1], [1], [1]), "position 0"),
        (([], [], [], []), "empty"),
    ],
)
def test_rank_coverage_refuses_nonsense(args, message):
    with pytest.raises(ValueError, match=message):
        es.rank_coverage(*args)


# --- groups -------------------------------------------------------------------------------------------------


def test_groups_of_separated_candidates_are_single():
    scores = np.array([[3.0, 1.0, 2.0]] * 10)
    assert es.tied_groups(es.p_above(scores)) == [[0], [2], [1]]
    assert es.group_letters([[0], [2], [1]], 3) == ("a", "c", "b")


def test_overlapping_groups_are_both_told():
    # 0 and 1 unclear, 1 and 2 unclear, but 0 clearly above 2.
    p = np.array([[0.5, 0.8, 0.99], [0.2, 0.5, 0.8], [0.01, 0.2, 0.5]])
    assert es.tied_groups(p) == [[0, 1], [1, 2]]
    assert es.group_letters(es.tied_groups(p), 3) == ("a", "ab", "b")
    assert es.tied_groups(p, 0.995) == [[0, 1, 2]]
    assert es.tied_groups(p, 0.75) == [[0], [1], [2]]


@SMALL
@given(scores_few, st.floats(0.51, 1.0))
def test_group_laws(scores, threshold):
    p = es.p_above(scores)
    groups = es.tied_groups(p, threshold)
    assert sorted({i for g in groups for i in g}) == list(range(len(p)))
    for group in groups:
        for a, b in combinations(group, 2):
            assert max(p[a, b], p[b, a]) < threshold
    assert not any(set(a) <= set(b) for a in groups for b in groups if a is not b)
    letters = es.group_letters(groups, len(p))
    assert all(letters)


@pytest.mark.parametrize(
    ("p", "threshold", "message"),
    [
        (np.ones((2, 3)), 0.95, "square"),
        (np.full((2, 2), 0.9), 0.95, "complementary"),
        (np.array([[0.5, np.nan], [np.nan, 0.5]]), 0.95, "complementary"),
        (np.full((2, 2), 0.5), 0.5, "threshold"),
        (np.full((2, 2), 0.5), 95, "threshold"),
    ],
)
def test_groups_refuse_nonsense(p, threshold, message):
    with pytest.raises(ValueError, match=message):
        es.tied_groups(p, threshold)


def test_letters_go_on_after_z():
    letters = es.group_letters([[i] for i in range(30)], 30)
    assert letters[25:28] == ("z", "a1", "b1")
    assert len(set(letters)) == 30
