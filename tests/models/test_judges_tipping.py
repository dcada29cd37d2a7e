"""Claims and tipping points of ranked candidates: the tables' own numbers, and a place known from an exact posterior."""

from __future__ import annotations

import numpy as np
import pytest
from test_judges_checks import CROSSING, FREE3, SHORT, THETA, limit_b_above_a, table

from bayeskit import SpecificationError


def test_claims_are_about_the_numbers_of_the_tables(three_level_fit):
    """P(a > b), P(best) and the ends of intervals, as `pairs` and `ranking` print them."""
    fit = three_level_fit
    for row in fit.pairs().itertuples():
        found = fit.claim(f'P(expected_score["{row.a}"] > expected_score[`{row.b}`]) > 0.5')
        assert found.value == pytest.approx(row.p_a_above_b, abs=1e-12)
        assert fit.claim(f'P("{row.a}" > "{row.b}") > 0.5').value == found.value
    ranking = fit.ranking().table
    for name in fit.candidates:
        assert fit.claim(f'P(best("{name}")) > 0.5').value == pytest.approx(ranking.loc[name, "p_best"], abs=1e-12)
        assert fit.claim(f'lower("{name}") > 1').value == pytest.approx(ranking.loc[name, "lower"], abs=1e-12)
        assert fit.claim(f'mean(level_share["{name}", 1]) > 0').value > 0
    with pytest.raises(SpecificationError, match="no estimand, and no label"):
        fit.claim("P(nobody > everybody) > 0.5")


def test_a_path_by_weights_alone(three_level_fit):
    """Where draws reach there are numbers, elsewhere a k-hat and none; the one dial of an assumption goes by its name."""
    a, b = three_level_fit.ranking().table.index[[0, -1]]
    found = three_level_fit.tipping_point(f'"{a}" > "{b}"', "prevalence", most_refits=0)
    assert found.dial == "prevalence.a" and found.search == (0.1, 10.0)
    assert all(p.status == "UNRELIABLE" or np.isfinite(p.margin) for p in found.points)
    assert not [p for p in found.points if p.how == "refitted"] and not found.confirmed
    with pytest.raises(SpecificationError, match=r"judge_vertices.base, judge_vertices.boost"):
        three_level_fit.tipping_point(f'"{a}" > "{b}"', "judge_vertices")


@pytest.mark.slow
def test_the_quality_at_which_a_crossing_pair_is_called():
    """Check 4 of the model card: with three levels the order of a crossing pair never leaves the prior on the judges.

    3,000 answers a candidate. The quality (extra pseudo-counts) at which P(c1 > c0) passes 0.75, against the exact posterior
    given these counts, not the infinite-data limit (5.8 here, 5.1 there): importance sampling at 5, 6 and 7, over 100,000
    effective draws each, so an error of the root of 0.05. Ours has an error of some 0.2: P is known to 0.005 and rises by 0.025
    for a step of 1.
    """
    counts = np.rint(3000 * (CROSSING @ THETA))
    boosts = (5.0, 6.0, 7.0)
    exact = [limit_b_above_a(CROSSING, b, counts=counts, draws=1_000_000) for b in boosts]
    assert min(size for _, size in exact) > 50_000
    truth = float(np.interp(0.75, [p for p, _ in exact], boosts))
    fit = FREE3.fit(table(counts[:, None]), dials={"judge_vertices.boost": 2.0}, target_accept=0.95, **SHORT)
    found = fit.tipping_point("P(c1 > c0) > 0.75", "judge_vertices.boost", 1.0, 12.0, draws=2000)
    error = (np.log(found.upper) - np.log(found.lower)) / 2 / 1.96
    assert error < 0.06
    assert abs(np.log(found.value / truth)) < 4 * np.hypot(error, 0.05 / truth)
    assert found.confirmed and found.direction == "holds above" and found.monotone is True
    assert "the mean diagonal" in found.plausibility.sentence
