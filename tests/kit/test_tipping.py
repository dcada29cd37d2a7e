"""Tipping points: against exact posteriors, through weights and through refits, and honest where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import optimize, stats

from bayeskit import Assumption, Dial, Fit, Prior, SamplingError, SpecificationError
from bayeskit.engine import compile_count
from bayeskit.sensitivity import Claim, pareto_smoothed
from bayeskit.sensitivity.claims import ClaimValue
from bayeskit.sensitivity.crossing import Crossing, brackets, is_monotone, line_crossing, on_scale, pooled
from bayeskit.sensitivity.plausibility import plausibility
from bayeskit.sensitivity.tipping import default_range, find_dial
from bayeskit.sensitivity.tipping_search import dial_weights

GROUPS = {"a": 0, "b": 1, "c": 2}


def tail(fit, group, threshold, dial):
    """P(mean of a group > threshold) as a function of one dial, exactly."""

    def exact(value):
        mean, sd = fit.spec.closed_form(fit.statistics, {**fit.dials, dial: value})
        return float(stats.norm.sf(threshold, mean[GROUPS[group]], sd[GROUPS[group]]))

    return exact


def order(fit, one, other, dial):
    """P(one group's mean > another's) as a function of one dial, exactly."""

    def exact(value):
        mean, sd = fit.spec.closed_form(fit.statistics, {**fit.dials, dial: value})
        i, j = GROUPS[one], GROUPS[other]
        return float(stats.norm.cdf((mean[i] - mean[j]) / np.hypot(sd[i], sd[j])))

    return exact


def solve(exact, level, low, high):
    return optimize.brentq(lambda v: exact(v) - level, low, high, xtol=1e-12)


def standard_error(found):
    """Of the place, on the scale of the search."""
    move = np.log if found.log else float
    return (move(found.upper) - move(found.lower)) / 2 / stats.norm.ppf((1 + found.prob) / 2)


def z_score(found, truth):
    move = np.log if found.log else float
    return (move(found.value) - move(truth)) / standard_error(found)


# -- the arithmetic of a path -------------------------------------------------------------------------------------


def test_a_line_through_exact_points_crosses_where_it_does():
    t = np.array([1.0, 2.0, 4.0])
    found = line_crossing(t, 0.3 * (t - 2.5), [0.1, 0.2, 0.1])
    assert found.at == pytest.approx(2.5, abs=1e-12)
    # delta method by hand for two points: the crossing of the line through (0, -1 +- s) and (1, 1 +- s)
    two = line_crossing([0.0, 1.0], [-1.0, 1.0], [0.01, 0.01])
    assert two.at == pytest.approx(0.5) and two.se == pytest.approx(0.01 / np.sqrt(2) / 2, rel=1e-9)
    assert np.isnan(line_crossing([0.0, 1.0], [-0.1, 0.1], [1.0, 1.0]).at)  # no slope to be told
    assert np.isnan(line_crossing([1.0], [0.0], [1.0]).at) and np.isnan(line_crossing([1.0, 1.0], [0.0, 1.0], [1.0, 1.0]).at)


def test_the_error_of_a_crossing_is_its_error():
    """Noise on a known line: (place - truth) / se has sd 1; 500 runs, error 0.03, the delta method's own some 0.05."""
    rng = np.random.default_rng(1)
    t, se = np.linspace(0, 1, 6), 0.05
    scores = []
    for _ in range(500):
        found = line_crossing(t, 2 * (t - 0.4) + rng.normal(0, se, 6), np.full(6, se))
        scores.append((found.at - 0.4) / found.se)
    assert 0.85 < np.std(scores) < 1.1 and abs(np.mean(scores)) < 0.15


def test_pooling():
    found = pooled([Crossing(1.0, 0.1), Crossing(1.1, 0.2), Crossing(np.nan, 0.1)])
    assert found.at == pytest.approx((100 * 1.0 + 25 * 1.1) / 125) and found.se == pytest.approx(125**-0.5)
    apart = pooled([Crossing(0.0, 0.1), Crossing(1.0, 0.1)])
    assert apart.at == 0.5 and apart.se == pytest.approx(0.5)  # as wide as they disagree
    assert np.isnan(pooled([]).at)


def test_brackets_pass_over_close_calls():
    assert brackets([3, 1, 2, 4], [1.0, -1.0, 0.1, 2.0], [0.1] * 4) == [(1, 3)]
    assert brackets([1, 2, 3, 4], [-1.0, 1.0, -1.0, 1.0], [0.1] * 4) == [(1, 2), (2, 3), (3, 4)]
    assert brackets([1, 2], [1.0, 2.0], [0.1, 0.1]) == [] and brackets([1, 2], [-0.1, 0.1], [0.1, 0.1]) == []


def test_monotone_within_error():
    t = np.arange(10.0)
    noise = np.random.default_rng(2).normal(0, 0.1, 10)
    assert is_monotone(t, 0.05 * t + noise, np.full(10, 0.1)) is True
    assert is_monotone(t, -t, np.full(10, 0.1)) is True and is_monotone(t, 0 * t, np.full(10, 0.0)) is True
    assert is_monotone(t, (t - 5) ** 2, np.full(10, 0.1)) is False
    assert is_monotone([1, 2], [1, 2], [1, 1]) is None


def test_a_probability_is_straightened(normal_fit):
    """On normal quantiles the exact probability of the closed form is a line in the prior mean."""
    exact = tail(normal_fit, "c", 1.0, "mu.mu")
    claim = Claim.parse("P(mean[c] > 1) > 0.95", normal_fit.estimands)
    y = [on_scale(claim, ClaimValue("", exact(v), 0.95, exact(v) - 0.95, 0.01, True, "holds"))[0] for v in (0.0, 1.0, 2.0)]
    assert y[2] - y[1] == pytest.approx(y[1] - y[0], rel=1e-9)
    up, error = on_scale(claim, ClaimValue("", 0.9, 0.95, -0.05, 0.001, False, "does not hold"))
    assert error == pytest.approx(0.001 / stats.norm.pdf(stats.norm.ppf(0.9))) and up < 0
    less = Claim.parse("P(mean[c] > 1) < 0.95", normal_fit.estimands)
    assert on_scale(less, ClaimValue("", 0.9, 0.95, 0.05, 0.001, True, "holds"))[0] == pytest.approx(-up)
    assert np.isfinite(on_scale(claim, ClaimValue("", 1.0, 0.95, 0.05, 1e-4, True, "holds"))).all()


# -- weights ------------------------------------------------------------------------------------------------------


def test_weights_of_a_dial_against_the_density_by_hand(beta_fit):
    p = beta_fit.posterior["p"].transpose("chain", "draw").values
    by_hand = stats.beta(4, 2).logpdf(p) - stats.beta(2, 3).logpdf(p)
    expected = pareto_smoothed(by_hand)
    found = dial_weights(beta_fit, {"p.alpha": 4.0, "p.beta": 2.0})
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-10)
    assert found.k_hat == pytest.approx(expected.k_hat)


def test_a_dial_of_the_likelihood_has_no_weights(normal_fit):
    assert dial_weights(normal_fit, {"noise.sd": 2.0}) is None
    assert dial_weights(normal_fit, {"noise.sd": 2.0, "mu.mu": 1.0}) is None
    assert np.ptp(dial_weights(normal_fit, {"noise.sd": normal_fit.dials["noise.sd"]}).values) == 0.0


# -- known answers ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def precise(normal_fit):
    """A prior that counts (sd 0.5) and many draws: 4 x 3,000."""
    return normal_fit.refit(dials={"mu.sigma": 0.5}, draws=3000)


@pytest.mark.parametrize(
    ("claim", "level", "group", "threshold"),
    [("b > 1.5", 0.95, "b", 1.5), ("P(mean[b] > 1.8) < 0.25", 0.25, "b", 1.8)],
)
def test_the_prior_mean_at_which_a_claim_flips_to_one_percent(precise, claim, level, group, threshold, compiled_with):
    """Exact root of the normal posterior. Three fits of 12,000 draws give an error of some 0.25 % of the value."""
    truth = solve(tail(precise, group, threshold, "mu.mu"), level, -5.0, 8.0)
    before = compiled_with(precise)
    found = precise.tipping_point(claim, "mu.mu", -2.0, 6.0)
    assert compile_count() == before
    assert abs(found.value / truth - 1) < 0.01
    assert abs(z_score(found, truth)) < 4 and standard_error(found) < 0.005 * abs(truth)
    assert found.confirmed and found.monotone is True and not found.others and not found.failed
    assert found.direction == ("holds below" if "<" in claim else "holds above")
    assert found.lower < found.value < found.upper and found.prob == 0.95
    assert {p.how for p in found.points} == {"as fitted", "reweighted", "refitted"}


@pytest.mark.slow
def test_the_alpha_of_a_beta_prior_to_one_percent():
    """One success of two; exact root in alpha. 4 x 40,000 draws and two refits: error below 0.3 %."""
    import examples
    import pandas as pd

    fit = examples.BetaBinomial().fit(pd.DataFrame({"outcome": [1, 0]}), seed=3, draws=40_000, progress=False)
    truth = solve(lambda a: stats.beta.sf(0.3, a + 1, 4), 0.9, 0.3, 20.0)
    found = fit.tipping_point("P(share > 0.3) > 0.9", "p.alpha")
    assert standard_error(found) < 0.003 and abs(found.value / truth - 1) < 0.01


def test_the_alpha_of_a_beta_prior(beta_fit):
    """Seven of ten, 4,000 draws: within 4 of the errors that are told, and these are below 5 %."""
    truth = solve(lambda a: stats.beta.sf(0.4, a + 7, 6), 0.95, 0.2, 20.0)
    found = beta_fit.tipping_point("P(share > 0.4) > 0.95", "p.alpha")
    assert abs(z_score(found, truth)) < 4 and standard_error(found) < 0.05 and found.log
    assert found.search == (0.2, 20.0) and found.confirmed


def test_a_dial_of_the_likelihood_is_turned_by_refits(normal_fit, compiled_with):
    truth = solve(tail(normal_fit, "a", 0.0, "noise.sd"), 0.3, 0.15, 15.0)
    before = compiled_with(normal_fit)
    found = normal_fit.tipping_point("P(mean[a] > 0) > 0.3", "noise", draws=500, tune=300)
    assert compile_count() == before
    assert not any(p.how == "reweighted" and p.usable for p in found.points)
    assert sum(p.how == "refitted" for p in found.points) <= 14
    assert found.dial == "noise.sd" and found.confirmed and found.direction == "holds above"
    assert abs(z_score(found, truth)) < 4 and standard_error(found) < 0.05
    assert "fixed number without a prior" in found.plausibility.sentence and np.isnan(found.plausibility.overlap)


@pytest.mark.slow
def test_the_interval_covers(normal_fit):
    """60 seeds by weights, 60 by refits: z scores have sd 1 (its error 0.09) and the 95 % intervals cover 87 % and more."""
    for claim, dial, exact, level, ends in (
        ("P(mean[c] > 1) > 0.95", "mu.mu", tail(normal_fit, "c", 1.0, "mu.mu"), 0.95, (-7.5, 8.5)),
        ("P(mean[a] > 0) > 0.3", "noise.sd", tail(normal_fit, "a", 0.0, "noise.sd"), 0.3, (0.15, 15.0)),
    ):
        truth = solve(exact, level, *ends)
        z = []
        for seed in range(60):
            base = normal_fit.refit(seed=seed, draws=500, tune=300)
            z.append(z_score(base.tipping_point(claim, dial), truth))
        assert 0.7 < np.std(z) < 1.3 and abs(np.mean(z)) < 0.5
        assert np.mean(np.abs(z) < 1.96) >= 0.87


def test_draws_that_do_not_reach_are_helped_by_refits(normal_fit):
    """The flip lies where the weights of the base fit are over their limit."""
    exact = tail(normal_fit, "a", 0.5, "mu.mu")
    truth = solve(exact, 0.4, -7.5, 8.5)
    found = normal_fit.tipping_point("P(mean[a] > 0.5) > 0.4", "mu.mu", draws=2000)
    at = [p for p in found.points if p.how == "reweighted" and abs(p.value - truth) < 1.0]
    assert at and all(p.status == "UNRELIABLE" and p.k_hat > 0.6 and np.isnan(p.quantity) for p in at)
    assert found.confirmed and abs(z_score(found, truth)) < 4 and standard_error(found) < 0.2


def test_a_path_that_turns_back(normal_fit):
    """P(b > a) rises and falls with the prior sd: two flips, the one nearest to the fit is told, the other one named."""
    exact = order(normal_fit, "b", "a", "mu.sigma")
    top = optimize.minimize_scalar(lambda v: -exact(v), bounds=(0.2, 2.0), method="bounded").x
    near, far = solve(exact, 0.58, top, 20.0), solve(exact, 0.58, 0.1, top)
    found = normal_fit.tipping_point("P(mean[b] > mean[a]) > 0.58", "mu.sigma", draws=4000)
    assert abs(z_score(found, near)) < 4 and standard_error(found) < 0.08
    assert found.monotone is False and found.direction == "holds below"
    assert len(found.others) == 1 and found.others[0] == pytest.approx(far, rel=0.5)
    assert "not monotone" in found.headline and "flips again near" in found.headline


def test_a_range_beside_the_fit(normal_fit):
    """The fit may lie outside the range: its draws count, its own place does not."""
    exact = tail(normal_fit, "c", 1.0, "mu.mu")
    found = normal_fit.tipping_point("P(mean[c] > 1) > 0.95", "mu.mu", 1.0, 4.0, draws=1000)
    assert abs(z_score(found, solve(exact, 0.95, 1.0, 4.0))) < 4
    none = normal_fit.tipping_point("P(mean[c] > 1) > 0.95", "mu.mu", 4.0, 6.0, draws=1000)
    assert np.isnan(none.value) and "holds over the whole range of mu.mu from 4 to 6" in none.headline


def test_no_flip_is_a_sentence(normal_fit):
    found = normal_fit.tipping_point("mean(c) > 100", "mu.mu", -3, 3, draws=300, tune=300)
    assert np.isnan([found.value, found.lower, found.upper]).all() and found.direction == "" and found.plausibility is None
    assert found.headline == "mean(mean[c]) > 100 fails over the whole range of mu.mu from -3 to 3."
    assert "holds over the whole range" in normal_fit.tipping_point("mean(c) < 100", "mu.mu", -3, 3, draws=300).headline
    payload = json.loads(found.to_json())
    assert payload["value"] is None and payload["schema"] == "bayeskit.tipping_point/1"
    # a range that the refits may not reach is not called searched
    part = normal_fit.tipping_point("mean(a) > 100", "mu.mu", most_refits=0)
    assert "the part of -7.5 to 8.5 that could be computed" in part.headline
    assert not [p for p in part.points if p.how == "refitted"]


def test_too_close_to_call_is_not_called(normal_fit):
    """Where a flip would need more draws than there are, the sentence asks for them."""
    weak = normal_fit.refit(draws=400)
    exact = order(weak, "b", "a", "mu.sigma")
    top = optimize.minimize_scalar(lambda v: -exact(v), bounds=(0.2, 2.0), method="bounded")
    found = weak.tipping_point(f"P(mean[b] > mean[a]) > {-top.fun:.4f}", "mu.sigma", most_refits=0)
    assert np.isnan(found.value) and "too close to call: take more draws" in found.headline


# -- what may go wrong --------------------------------------------------------------------------------------------


def test_failed_refits_stay_in_sight(normal_fit, monkeypatch):
    refit = Fit.refit

    def sometimes(self, *, dials, **options):
        if dials["noise.sd"] > 10.0:
            raise SamplingError("no chain could be started.")
        return refit(self, dials=dials, **options)

    monkeypatch.setattr(Fit, "refit", sometimes)
    found = normal_fit.tipping_point("P(mean[a] > 0) > 0.3", "noise", draws=500, tune=300)
    assert [p.status for p in found.failed] == ["ERROR"] and found.failed[0].value == 15.0
    assert found.headline.startswith("1 of ") and "no chain could be started" in repr(found)
    assert np.isfinite(found.value)  # the rest of the range was searched all the same
    monkeypatch.setattr(Fit, "refit", lambda self, **_: (_ for _ in ()).throw(SamplingError("nothing works.")))
    none = normal_fit.tipping_point("P(mean[a] > 0) > 0.3", "noise")
    assert np.isnan(none.value) and none.headline.startswith("2 of 3 fits on the way failed.")
    alone = normal_fit.tipping_point("P(mean[c] > 1) > 0.95", "mu.mu")
    assert np.isfinite(alone.value) and not alone.confirmed and "Not confirmed by a refit" in alone.headline


def test_a_fit_that_failed_its_checks_is_not_a_source(normal_fit):
    weak = normal_fit.refit(draws=30, tune=30, chains=2)
    assert weak.verdict.status.value == "FAIL"
    found = weak.tipping_point("P(mean[c] > 1) > 0.95", "mu.mu")
    assert (
        np.isnan(found.value)
        and "not computed; no fit in the range passed its checks" in found.headline
        and "failed" in found.headline
    )
    helped = weak.tipping_point("P(mean[c] > 1) > 0.95", "mu.mu", draws=1000, tune=500, chains=4)
    truth = solve(tail(weak, "c", 1.0, "mu.mu"), 0.95, -7.5, 8.5)
    assert abs(z_score(helped, truth)) < 4 and "does not count" in repr(helped)


def test_a_dial_with_a_second_way_into_the_model_is_found_out(normal_fit, monkeypatch):
    """If a dial also enters the likelihood, its prior's weights are wrong: refits say so, and only refits count."""
    refit = Fit.refit

    def two_ways(self, *, dials, **options):  # turning the prior mean also sharpens the measurements
        more = {"noise.sd": 1.5 * np.exp(-0.5 * (dials["mu.mu"] - 0.5))} if "mu.mu" in dials else {}
        return refit(self, dials={**dials, **more}, **options)

    monkeypatch.setattr(Fit, "refit", two_ways)

    def exact(value):
        now = {**normal_fit.dials, "mu.mu": value, "noise.sd": 1.5 * np.exp(-0.5 * (value - 0.5))}
        mean, sd = normal_fit.spec.closed_form(normal_fit.statistics, now)
        return float(stats.norm.sf(1.0, mean[2], sd[2]))

    found = normal_fit.tipping_point("P(mean[c] > 1) > 0.99", "mu.mu", -3.0, 6.0, most_refits=20)
    truth = solve(exact, 0.99, -3.0, 6.0)
    assert "contradict" in repr(found) and "CONTRADICTED" in {p.status for p in found.points}
    assert not any(p.how == "reweighted" and p.usable for p in found.points)
    assert abs(z_score(found, truth)) < 4 and standard_error(found) < 0.15


def test_refits_are_kept_and_found_again(normal_fit, tmp_path, monkeypatch):
    first = normal_fit.tipping_point("P(mean[c] > 1) > 0.95", "mu.mu", cache=tmp_path, draws=300, tune=300)
    assert len(list(tmp_path.glob("*.nc"))) == sum(p.how == "refitted" for p in first.points) >= 2
    monkeypatch.setattr(Fit, "refit", lambda *_, **__: pytest.fail("everything is in the cache"))
    again = normal_fit.tipping_point("P(mean[c] > 1) > 0.95", "mu.mu", cache=tmp_path, draws=300, tune=300)
    assert again.to_json() == first.to_json()


def test_faults_are_said_before_anything_runs(normal_fit, monkeypatch):
    monkeypatch.setattr(Fit, "refit", lambda *_, **__: pytest.fail("nothing should run"))
    claim = "mean(c) > 1"
    for arguments, match in (
        (("mean(d) > 1", "mu.mu"), "no label of a headline one"),
        ((claim, "mu.sgma"), "no dial and no assumption.*Did you mean 'mu.sigma'"),
        ((claim, "mu"), "several dials: name one of mu.mu, mu.sigma"),
        ((claim, "mu.mu", 3, 1), "low must be less than high"),
        ((claim, "mu.sigma", -1, 1), "cannot be searched from -1 to 1.*mu.sigma"),
    ):
        with pytest.raises(SpecificationError, match=match):
            normal_fit.tipping_point(*arguments)
    for options, match in (
        ({"second": "mu.mu"}, "the same dial"), ({"second": "nothing"}, "second|no dial"), ({"second_low": 1.0}, "not given"),
        ({"prob": 95}, "prob=95"),
    ):  # fmt: skip
        with pytest.raises(SpecificationError, match=match):
            normal_fit.tipping_point(claim, "mu.mu", **options)
    with pytest.raises(OSError, match="without its statistics"):
        replace(normal_fit, statistics=None).tipping_point(claim, "mu.mu")


def test_ranges(normal_fit, beta_fit):
    def usual(fit, name):
        return default_range(fit, *find_dial(fit, name))

    assert usual(normal_fit, "mu.mu") == (0.5 - 8.0, 0.5 + 8.0)  # four prior sds
    assert usual(normal_fit, "noise") == pytest.approx((0.15, 15.0))
    assert usual(beta_fit, "p.alpha") == pytest.approx((0.2, 20.0))

    now = {"x.share": 0.3, "x.zero": 0.0, "x.any": 2.0, "x.both": 0.5, "x.top": 50.0}
    for key, low, high, expected in (
        ("share", 0.0, 1.0, (0.0, 1.0)), ("zero", 0.0, np.inf, (0.0, 10.0)), ("any", -np.inf, np.inf, (-2.0, 6.0)),
        ("both", -1.0, 3.0, (-1.0, 3.0)), ("top", 0.0, 100.0, (5.0, 100.0)),
    ):  # fmt: skip
        dial = Dial(f"x.{key}", now[f"x.{key}"], low, high)
        assert (
            default_range(SimpleNamespace(dials=now), Assumption("x", "So.", "constraint", constants={key: dial}), dial)
            == expected
        )


# -- what a value means -------------------------------------------------------------------------------------------


def test_plausibility_against_closed_forms():
    """Medians, quantile and shared mass of normal priors: 200,000 draws, error of a share 0.0012."""
    a = Assumption("x", "It is so.", "hyper", Prior("Normal", mu=1.0, sigma=2.0))
    found = plausibility(a, "x.mu", {"x.mu": 1.0, "x.sigma": 2.0}, 4.0, {})
    assert found.quantile == pytest.approx(stats.norm.cdf(1.5), abs=0.005)
    assert found.overlap == pytest.approx(2 * stats.norm.cdf(-0.75), abs=0.005)  # two normals 1.5 sds apart
    assert found.base_median == pytest.approx(1.0, abs=0.03) and found.other_median == pytest.approx(4.0, abs=0.03)
    assert found.other == "Normal(mu=4, sigma=2)" and "share 45% of their mass" in found.sentence
    same = plausibility(a, "x.mu", {"x.mu": 1.0, "x.sigma": 2.0}, 1.0, {})
    assert same.overlap == pytest.approx(1.0) and same.quantile == pytest.approx(0.5, abs=1e-5)
    u = Assumption("u", "It is so.", "hyper", Prior("Uniform", lower=0.0, upper=1.0))
    assert plausibility(u, "u.upper", {"u.lower": 0.0, "u.upper": 1.0}, 2.0, {}).overlap == pytest.approx(0.5, abs=0.005)
    v = Assumption("v", "It is so.", "hyper", Prior("Dirichlet", dims=("g", "k"), a=1.0))
    assert plausibility(v, "v.a", {"v.a": 1.0}, 3.0, {"g": 7, "k": 2}).overlap == pytest.approx(
        1 - 0.5 * abs(stats.beta(3, 3).pdf(np.linspace(0, 1, 100_001)) - 1).mean(), abs=0.006
    )
    m = Assumption("m", "It is so.", "hyper", Prior("DiagonalDirichlet", dims=("j", "r", "c"), base=1.0, boost=2.0))
    leaning = plausibility(m, "m.boost", {"m.base": 1.0, "m.boost": 2.0}, 7.0, {"j": 4, "r": 3, "c": 3})
    assert leaning.middle_of == "the mean diagonal"
    assert leaning.base_median == pytest.approx(3 / 5, abs=0.01) and leaning.other_median == pytest.approx(8 / 10, abs=0.01)
    h = Assumption("h", "It is so.", "latent", Prior("Normal", mu="m", sigma=2.0))
    assert "depends on other variables" in plausibility(h, "h.sigma", {"h.sigma": 2.0}, 3.0, {}).sentence


# -- what is shown ------------------------------------------------------------------------------------------------


def test_what_it_shows(normal_fit):
    found = normal_fit.tipping_point("P(mean[c] > 1) > 0.95", "mu.mu", draws=500, tune=300)
    assert repr(found).startswith("P(mean[c] > 1) > 0.95 does not hold in this fit (mu.mu = 0.5) and flips at ")
    assert "95% Monte Carlo interval" in found.headline and "share" in repr(found)
    assert len(found.table) == len(found.points) and found.table["value"].is_monotonic_increasing
    assert found._repr_html_().startswith("<p>") and "<table" in found._repr_html_()
    payload = json.loads(found.to_json())
    assert payload["value"] == found.value and len(payload["points"]) == len(found.points)
    figure = found.plot()
    assert figure.data.startswith(b"<?xml") and f"{found.value:.2f}" in figure.alt and "mu.mu" in figure.alt
    assert b"<script" not in figure.data


def test_two_dials_against_the_closed_form(normal_fit):
    """Every reweighted or refitted pair within 4.5 of its Monte Carlo errors, and the line where the exact one is."""
    found = normal_fit.tipping_point("P(mean[c] > 1) > 0.95", "mu.mu", second="mu.sigma", draws=500, tune=300, most_refits=30)
    assert len(found.points) == 81 and found.base == (0.5, 2.0)
    good = [p for p in found.points if p.usable]
    assert {p.how for p in good} == {"reweighted", "refitted"} and len(good) > 70
    for p in good:
        now = {**normal_fit.dials, "mu.mu": p.first, "mu.sigma": p.second}
        mean, sd = normal_fit.spec.closed_form(normal_fit.statistics, now)
        exact = stats.norm.sf(1.0, mean[2], sd[2])
        assert abs(p.quantity - exact) < 4.5 * max(p.mcse, np.sqrt(exact * (1 - exact) / 1500), 1e-3), p
    assert found.line
    for first, second in found.line:
        now = {**normal_fit.dials, "mu.mu": first, "mu.sigma": second}
        mean, sd = normal_fit.spec.closed_form(normal_fit.statistics, now)
        assert abs(stats.norm.sf(1.0, mean[2], sd[2]) - 0.95) < 0.08
    assert "flip" in found.plot().alt.lower() and json.loads(found.to_json())["schema"] == "bayeskit.tipping_contour/1"
    assert "81" in found.plot().alt and "<table" in found._repr_html_() and "mu.sigma" in found.table


def test_two_dials_one_of_the_likelihood(normal_fit):
    found = normal_fit.tipping_point(
        "P(mean[c] > 1) > 0.95", "mu.mu", second="noise", most_refits=9, draws=300, tune=300, second_low=0.5, second_high=4.5
    )
    assert len(found.points) == 9 and {p.how for p in found.points} == {"refitted"}
    for p in found.points:
        now = {**normal_fit.dials, "mu.mu": p.first, "noise.sd": p.second}
        mean, sd = normal_fit.spec.closed_form(normal_fit.statistics, now)
        exact = stats.norm.sf(1.0, mean[2], sd[2])
        assert abs(p.quantity - exact) < 4.5 * max(p.mcse, np.sqrt(exact * (1 - exact) / 600), 2e-3)
    few = normal_fit.tipping_point("P(mean[c] > 1) > 0.95", "mu.mu", second="mu.sigma", most_refits=0)
    assert "could not be computed" in few.headline.split(".")[0]
