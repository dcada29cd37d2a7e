"""Calibration passes what is right, catches what is wrong, and its band has the level it states."""

from __future__ import annotations

import examples
import numpy as np
import pytest

from bayeskit import SamplingError, SpecificationError
from bayeskit.calibration import Calibration, _distinct, _given_data, _matched_by_place, _Run, _statistic, calibrate, ecdf_band
from bayeskit.engine import compile_count

SHORT = {"draws": 150, "tune": 150, "chains": 2, "progress": False, "n": 4, "groups": 3}


@pytest.fixture(scope="module")
def sound():
    return calibrate(examples.NormalNormal(), simulations=200, seed=1, **SHORT)


def test_a_sound_model_passes(sound):
    assert sound.passed, sound
    assert sound.failed == 0
    assert repr(sound).startswith("PASS: simulation-based calibration, 200 simulations")
    assert {"mu[g0]", "estimand mean[g1]", "log likelihood", "mu[g0], given data"} <= set(sound.ranks)
    assert all(r.shape == (200,) and r.min() >= 0 and r.max() < sound.count for r in sound.ranks.values())


def test_one_compiled_model_serves_all(sound):
    before = compile_count()
    calibrate(examples.NormalNormal(), simulations=20, seed=2, **SHORT)
    assert compile_count() == before


def test_a_simulation_depends_on_its_own_number_alone(sound):
    first = calibrate(examples.NormalNormal(), simulations=20, seed=1, **SHORT)
    for name in ("mu[g0]", "log likelihood"):
        np.testing.assert_array_equal(first.ranks[name], sound.ranks[name][:20])


def test_a_wrong_prior_scale_is_caught(sound):
    out = calibrate(examples.NormalNormal(), simulations=100, seed=1, fit_dials={"mu.sigma": 0.7}, **SHORT)
    assert not out.passed
    assert any(name.startswith("mu[") for name in out.offenders)
    assert "outside the band twice" in repr(out)
    assert out.again.simulations == 100 and set(out.again.statistics) == set(out.outside)


def test_what_is_outside_is_simulated_again():
    """The first simulations are what they are without `confirm`; the fresh ones are others."""
    wrong = {"simulations": 40, "seed": 1, "fit_dials": {"mu.sigma": 0.5}, **SHORT}
    out = calibrate(examples.NormalNormal(), **wrong)
    once = calibrate(examples.NormalNormal(), confirm=False, **wrong)
    assert out.outside == once.outside == once.offenders and once.again is None
    assert set(out.offenders) <= set(out.outside) == set(out.again.ranks)
    name = out.outside[0]
    np.testing.assert_array_equal(out.ranks[name], once.ranks[name])
    assert (out.again.ranks[name] != out.ranks[name]).any()


def judged(first, again=None):
    second = None if again is None else Calibration({}, 101, again, 4.0, 0, 100, 1.0, 0)
    return Calibration({}, 101, first, 5.0, 0, 100, 1.0, 0, again=second)


def test_only_what_is_outside_twice_is_an_offender():
    cleared = judged({"a": 5.1, "b": 1.0}, {"a": 3.9})
    assert cleared.passed and cleared.outside == ("a",) and cleared.offenders == ()
    assert repr(cleared).startswith("PASS")
    assert "outside the band once, not again: a (5.10 > 5.00; 3.90 against 4.00 in as many fresh simulations)" in repr(cleared)
    accused = judged({"a": 5.1, "b": 6.0}, {"a": 4.1, "b": 0.5})
    assert not accused.passed and accused.outside == ("b", "a") and accused.offenders == ("a",)
    assert repr(accused).startswith("FAIL") and "outside the band twice: a" in repr(accused)
    assert judged({"a": 5.1}).offenders == ("a",) and "outside the band: a (5.10 > 5.00)" in repr(judged({"a": 5.1}))
    lost = judged({"a": 5.1}, {})  # the fresh simulations do not have it, so they did not clear it
    assert lost.offenders == ("a",)


def test_a_lost_likelihood_is_caught():
    """Ranks of parameters are uniform then, and so is the graph's own log likelihood: only the data tell."""
    out = calibrate(examples.NormalNormal(broken="ignored"), simulations=100, seed=1, **SHORT)
    assert not out.passed
    assert out.offenders
    assert all(name.endswith(", given data") for name in out.offenders)


def test_a_shifted_index_is_caught():
    out = calibrate(examples.NormalNormal(broken="shifted"), simulations=100, seed=1, **SHORT)
    assert not out.passed


def test_the_band_has_its_level():
    """5 % of 4000 uniform samples outside: binomial error 0.0035, the band's own quantile error about as much."""
    bound = ecdf_band(200, 101)
    rng = np.random.default_rng(99)
    outside = np.mean([_statistic(rng.integers(0, 101, 200), 101)[0] > bound for _ in range(4000)])
    assert abs(outside - 0.05) < 4 * np.hypot(0.0035, 0.0035)
    assert ecdf_band(200, 101, 0.99) > bound


def test_ranks_given_data_keep_their_level():
    """Uniform ranks stay uniform when turned by data that know the truth perfectly: 5 % of 600 samples outside."""
    rng, bound, outside = np.random.default_rng(3), ecdf_band(100, 51), 0
    for _ in range(600):
        truth = rng.normal(size=100)
        runs = [_Run({"q": int(rng.integers(0, 51))}, {"q": t}, {"x": np.array([t, -t * 2])}) for t in truth]
        outside += _statistic(_given_data(runs, 50)["q, given data"], 51)[0] > bound
    assert abs(outside / 600 - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 600)


def test_data_that_never_vary_give_no_test():
    runs = [_Run({"q": 1}, {"q": float(i)}, {"x": np.ones(3)}) for i in range(60)]
    assert _given_data(runs, 50) == {}
    assert _given_data(runs[:10], 50) == {}


def test_quantities_labelled_by_the_data_are_matched_by_place():
    """Survival at each table's own times is one quantity, tested on the ranks of all simulations and not on one rank each."""
    runs = [
        _Run({"mu": 1, f"s[{t}]": 2 + t, f"s[{t + 9}]": 5, "w[1]": 0}, {"mu": 0.1, f"s[{t}]": 0.2 + t, "w[1]": 0.3}, {})
        for t in range(3)
    ]
    found = _matched_by_place(runs)
    assert all(list(r.ranks) == ["mu", "s[place 1]", "s[place 2]", "w[1]"] for r in found)
    assert [r.ranks["s[place 1]"] for r in found] == [2, 3, 4] and [r.ranks["s[place 2]"] for r in found] == [5, 5, 5]
    assert [r.truths["s[place 1]"] for r in found] == [0.2, 1.2, 2.2] and found[0].truths["w[1]"] == 0.3
    uneven = [_Run({"s[1]": 1}, {}, {}), _Run({"s[1]": 1, "s[2]": 2}, {}, {})]
    assert [r.ranks for r in _matched_by_place(uneven)] == [r.ranks for r in uneven]


def test_labels_that_come_twice_are_numbered():
    assert _distinct(["s[1]", "t", "s[1]", "s[1]"]) == ["s[1]", "t", "s[1] #2", "s[1] #3"]


def test_too_few_simulations_are_refused():
    with pytest.raises(SpecificationError, match="at least 20"):
        calibrate(examples.NormalNormal(), simulations=5)


def test_an_unknown_dial_is_the_callers_fault():
    with pytest.raises(SpecificationError, match="no dial"):
        calibrate(examples.NormalNormal(), simulations=20, dials={"mu.sgima": 1.0}, **SHORT)


def test_fits_that_all_fail_say_why(monkeypatch):
    from bayeskit import calibration

    def broken(*_):
        raise SamplingError("No chain could be started: of purpose.")

    monkeypatch.setattr(calibration, "draw", broken)
    with pytest.raises(SamplingError, match=r"Every one of 20 simulated fits failed\. No chain"):
        calibrate(examples.NormalNormal(), simulations=20, **SHORT)


def test_an_interruption_ends_the_calibration(monkeypatch):
    from bayeskit import calibration
    from bayeskit.engine import RawDraws

    monkeypatch.setattr(calibration, "draw", lambda *_: RawDraws(None, True, 0))
    with pytest.raises(KeyboardInterrupt):
        calibrate(examples.NormalNormal(), simulations=20, **SHORT)


@pytest.mark.slow
def test_a_hierarchy_passes():
    """Eight schools with tau's heavy tail: the log likelihood and the effects are ranked too."""
    out = calibrate(
        examples.EightSchools(), simulations=200, seed=5, draws=400, tune=500, chains=2, target_accept=0.95,
        progress=False,
    )  # fmt: skip
    assert out.passed, out
