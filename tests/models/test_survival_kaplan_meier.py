"""Kaplan-Meier curves: published numbers, loops, weights, intervals."""

from __future__ import annotations

import numpy as np
import pytest

from bayeskit.errors import SpecificationError
from bayeskit_models.survival.kaplan_meier import kaplan_meier, numbers_at_risk

SIX_MP = ([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35],
          [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0])  # fmt: skip


def test_kaplan_meier_gives_the_published_curve():
    """Weeks of remission under 6-mercaptopurine (Freireich et al. 1963, as in Kalbfleisch and Prentice)."""
    found = kaplan_meier(*SIX_MP)
    assert found.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert found.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    np.testing.assert_allclose(found.survival, [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482], atol=5e-5)
    error = found.survival * np.sqrt(found.variance)
    np.testing.assert_allclose(error, [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346], atol=5e-5)


def brute_force(time, event, entry, weight, at):
    survival, hazard = 1.0, 0.0
    for t in sorted(set(time[event == 1])):
        if t <= at:
            risk = sum(w for a, b, w in zip(entry, time, weight, strict=True) if a < t <= b)
            died = sum(w for b, e, w in zip(time, event, weight, strict=True) if b == t and e == 1)
            survival *= 1.0 - died / risk
            hazard += died / risk
    return survival, hazard


def test_kaplan_meier_with_entry_weights_and_ties_against_a_loop():
    rng = np.random.default_rng(3)
    time = rng.integers(2, 30, 80) / 2.0
    entry = np.where(rng.uniform(size=80) < 0.5, 0.0, time * rng.uniform(0, 0.9, 80))
    event, weight = rng.integers(0, 2, 80), rng.integers(1, 4, 80).astype(float)
    found = kaplan_meier(time, event, entry=entry, weights=weight)
    for at in (0.5, 1.0, 4.25, 7.0, 14.5):
        survival, hazard = brute_force(time, event, entry, weight, at)
        assert found.at(at) == pytest.approx(survival, rel=1e-12)
        k = np.searchsorted(found.times, at, side="right")
        assert (found.cumulative_hazard[k - 1] if k else 0.0) == pytest.approx(hazard, rel=1e-12)
        alive = sum(w for a, b, w in zip(entry, time, weight, strict=True) if a <= at <= b)
        assert numbers_at_risk(time, entry, weight, [at])[0] == alive


def test_weights_are_repeated_rows():
    weight = np.arange(21) % 3 + 1
    one = kaplan_meier(*SIX_MP, weights=weight)
    many = kaplan_meier(*(np.repeat(v, weight) for v in SIX_MP))
    np.testing.assert_allclose(one.survival, many.survival, rtol=1e-12)
    np.testing.assert_allclose(one.interval([8, 20, 30]), many.interval([8, 20, 30]), rtol=1e-12)


def test_intervals_and_ends_of_a_kaplan_meier_curve():
    found = kaplan_meier([1, 2, 3, 4], [1, 0, 1, 0])
    assert found.at(0.5) == 1.0 and found.interval(0.5).tolist() == [1.0, 1.0]
    # S(1) = 3/4, var log S = 1 / (4 * 3): limits S^exp(+-z sqrt(var) / |log S|)
    step = np.exp(1.959963984540054 * np.sqrt(1 / 12) / abs(np.log(0.75)))
    np.testing.assert_allclose(found.interval(1.0), [0.75**step, 0.75 ** (1 / step)], rtol=1e-12)
    assert np.isnan(found.at(4.5))
    dead = kaplan_meier([1, 2], [1, 1])
    assert dead.at(9.0) == 0.0 and np.isnan(dead.interval(9.0)).all()
    with pytest.raises(SpecificationError, match=r"entry=2 in row 1.*before its time, 2"):
        kaplan_meier([1, 2], [1, 0], entry=[0, 2])
    with pytest.raises(SpecificationError, match=r"event \(1,\).*one length"):
        kaplan_meier([1, 2], [1])
