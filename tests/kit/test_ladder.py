"""The ladder from reweighting through moment matching to refits, against closed forms and quadrature."""

from __future__ import annotations

import json
from dataclasses import replace

import examples
import numpy as np
import pytest
import xarray as xr
from hostile import NASTY

from bayeskit import Prior, SpecificationError, StorageError
from bayeskit.engine import compile_count
from bayeskit.errors import UnreliableWeightsError
from bayeskit.sensitivity import moment, pareto_smoothed
from bayeskit.sensitivity.moment import match_moments


def error_of(found, name, group="posterior"):
    """Monte Carlo standard error of a mean: autocorrelation of the draws, times what unequal weights cost."""
    row = found.table.loc[name]
    if found.refit is not None:
        return found.refit.summary(group=group).loc[name, "mcse_mean"]
    return row["sd"] / np.sqrt(0.5 * found.weights.ess)


# -- moment matching ----------------------------------------------------------------------------------------------


def test_moment_matching_of_normals():
    """From a standard normal to one six sds away, narrower and correlated: mean and covariance within 4 errors."""
    rng = np.random.default_rng(4)
    z = rng.normal(size=(4000, 3))
    mean, root = np.array([3.0, -2.0, 1.0]), np.array([[0.8, 0, 0], [0.6, 0.5, 0], [-0.4, 0.3, 1.4]])
    inverse = np.linalg.inv(root)

    def log_target(x):
        return -0.5 * np.square((x - mean) @ inverse.T).sum(1)

    density = -0.5 * np.square(z).sum(1)
    start = pareto_smoothed((log_target(z) - density).reshape(4, -1))
    assert not start.reliable
    found = match_moments(z, density, log_target, start, 4, 30)
    assert found.trusted and "covariance" in found.maps and found.weights.k_hat < start.k_hat
    w, size = found.weights.values, found.weights.ess
    covariance = root @ root.T
    assert (np.abs(w @ found.draws - mean) < 4 * np.sqrt(np.diag(covariance) / size)).all()
    centred = found.draws - mean
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert (np.abs((centred * w[:, None]).T @ centred - covariance) / scale < 4 * np.sqrt(2 / size)).all()
    none = match_moments(z, density, log_target, start, 4, 0)
    assert none.maps == () and none.evaluations == 0 and none.weights is start and not none.trusted


def test_maps_match_the_moments_they_name():
    """Exactly: the moved draws have the weighted mean, variances and covariance of the draws before."""
    rng = np.random.default_rng(5)
    z, w = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)), rng.dirichlet(np.ones(500))
    mean = w @ z
    covariance = ((z - mean) * w[:, None]).T @ (z - mean)
    for name, step in moment._MAPS.items():
        moved = step(z, w)
        np.testing.assert_allclose(moved.mean(0), mean, atol=1e-10)
        if name == "spread":
            np.testing.assert_allclose(moved.var(0), np.diag(covariance), rtol=1e-10)
        if name == "covariance":
            np.testing.assert_allclose(np.cov(moved.T, bias=True), covariance, atol=1e-10)
    assert moment._covariance(z, np.eye(500)[0]) is None  # one draw that counts has no covariance


def test_moment_matched_answer_against_the_closed_form(normal_fit, compiled_with):
    """Prior Normal(6, 0.8) on group means that the fit put near 1: no refit, no compilation, exact within 4 errors."""
    other = {"mu": Prior("Normal", dims=("group",), mu=6.0, sigma=0.8)}
    with pytest.raises(UnreliableWeightsError, match="ladder='auto'"):
        normal_fit.reweight(other)
    before = compiled_with(normal_fit)
    found = normal_fit.reweight(other, ladder="auto", group="posterior")
    assert compile_count() == before
    assert found.rung == "moment matched" and found.state == "ok" and found.refit is None
    assert [r.name for r in found.tried] == ["reweighted", "moment matched"]
    assert found.tried[0].k_hat > 0.7 >= 0.5 >= found.tried[1].k_hat == found.weights.k_hat
    mean, sd = normal_fit.spec.closed_form(normal_fit.statistics, {"mu.mu": 6.0, "mu.sigma": 0.8})
    error = sd / np.sqrt(0.5 * found.weights.ess)
    assert (np.abs(found.table["mean"] - mean) < 4 * error).all()
    np.testing.assert_allclose(found.table["sd"], sd, rtol=4 / np.sqrt(found.weights.ess))
    told = json.loads(found.to_json())
    assert told["schema"] == "bayeskit.reweighted/1" and told["rung"] == "moment matched" and told["verdict"] is None
    assert "moment matched draws" in repr(found) and "tried" in found._repr_html_()
    spread = normal_fit.reweight(other, ladder="auto").table.loc["spread"]  # estimands are those of the moved draws
    rng = np.random.default_rng(0)
    exact = np.ptp(rng.normal(mean, sd, size=(100_000, 3)), axis=1)
    assert abs(spread["mean"] - exact.mean()) < 4 * exact.std() / np.sqrt(0.5 * found.weights.ess)


def test_moment_matching_that_does_not_arrive_is_no_answer(schools):
    """Eightfold likelihood: twice as many coordinates as data, and correlations that no affine map of these draws makes."""
    found = schools.power_scale({"likelihood": 8.0}, ladder=("reweight", "moment match"))
    assert found.state == "unreliable" and found.tried[1].outcome == "unreliable" and found.table["mean"].isna().all()


@pytest.mark.parametrize("place", [30.0, 60.0])
def test_a_second_mode_that_no_weight_shows(schools, schools_table, place):
    """A heavy-tailed prior far from the draws makes a second mode; k-hat is low where all draws miss it. Only a refit tells."""
    other = {"mu": Prior("StudentT", nu=3.0, mu=place, sigma=1.0)}
    with pytest.raises(UnreliableWeightsError, match="second mode"):
        schools.reweight(other)
    found = schools.reweight(other, ladder="auto", draws=2000)
    assert found.rung == "refitted" and [r.outcome for r in found.tried[:2]] == ["unreliable", "skipped"]
    near = schools.reweight({"mu": Prior("StudentT", nu=3.0, mu=8.0, sigma=1.0)})
    assert near.rung == "reweighted" and near.state == "ok"


# -- refits -------------------------------------------------------------------------------------------------------


def test_another_family_is_compiled_once(beta_fit, compiled_with):
    """Uniform for Beta(2, 3): the posterior is Beta(8, 4). Another Uniform needs no compilation."""
    before = compiled_with(beta_fit)
    found = beta_fit.reweight({"p": Prior("Uniform", lower=0.0, upper=1.0)}, ladder="refit", group="posterior")
    assert found.rung == "refitted" and found.refit.verdict.status.value == "PASS"
    assert abs(found.table.loc["p", "mean"] - 8 / 12) < 4 * error_of(found, "p")
    assert found.table.loc["p", "sd"] == pytest.approx(np.sqrt(32 / 144 / 13), rel=0.06)
    assert "verdict PASS" in repr(found) and json.loads(found.to_json())["verdict"] == "PASS"
    again = beta_fit.reweight({"p": Prior("Uniform", lower=0.5, upper=1.0)}, ladder="refit", group="posterior")
    assert compile_count() == before + 1
    grid = np.linspace(0.5, 1.0, 20_001)
    density = grid**7 * (1 - grid) ** 3
    exact = (grid * density).sum() / density.sum()
    assert abs(again.table.loc["p", "mean"] - exact) < 4 * error_of(again, "p")
    assert found.refit.dials["p.upper"] == 1.0 and found.refit.assumptions[0].prior.dist == "Uniform"
    with pytest.raises(StorageError, match="are not its specification"):
        found.refit.save("never.nc")


def test_the_same_family_is_a_matter_of_dials(beta_fit, compiled_with):
    before = compiled_with(beta_fit)
    found = beta_fit.reweight({"p": Prior("Beta", alpha=1.0, beta=400.0)}, ladder=("reweight", "refit"), group="posterior")
    assert compile_count() == before and found.rung == "refitted"
    assert abs(found.table.loc["p", "mean"] - 8 / 411) < 4 * error_of(found, "p")
    assert type(found.refit) is type(beta_fit) and found.refit.spec == beta_fit.spec


def test_a_prior_that_reaches_beyond_the_draws(beta_fit):
    """Draws between 0 and 1 say nothing of a prior that allows 2, however well the weights look."""
    other = {"p": Prior("Uniform", lower=-1.0, upper=2.0)}
    with pytest.raises(UnreliableWeightsError, match="reaches from -1 to 2"):
        beta_fit.reweight(other)
    with pytest.raises(UnreliableWeightsError, match="skipped"):
        beta_fit.reweight(other, ladder=("reweight", "moment match"))


def test_faults_of_ladders_and_exponents(beta_fit, normal_fit):
    for bad, match in (("refitt", "Did you mean 'refit'"), ((), "empty"), (("reweight", "climb"), "no rung 'climb'")):
        with pytest.raises(SpecificationError, match=match):
            beta_fit.power_scale({"p": 0.5}, ladder=bad)
    for bad, match in (
        ({}, "empty"),
        ({"q": 0.5}, "Nothing named 'q'"),
        ({"p": -0.1}, "at least 0"),
        ({"p": np.nan}, "at least 0"),
        ({"p": "half"}, "at least 0"),
    ):
        with pytest.raises(SpecificationError, match=match):
            beta_fit.power_scale(bad)
    with pytest.raises(SpecificationError, match="Nothing named 'noise'"):
        normal_fit.power_scale({"noise": 0.5})
    with pytest.raises(SpecificationError, match="group"):
        beta_fit.power_scale({"p": 0.5}, group="draws")


# -- eight schools with any exponents, by quadrature --------------------------------------------------------------


@pytest.fixture(scope="module")
def schools(schools_table):
    return examples.EightSchools().fit(schools_table, seed=1, target_accept=0.95, progress=False)


def exact_schools(table, mu=1.0, tau=1.0, z=1.0, likelihood=1.0, centre=0.0, spread=5.0, scale=5.0):
    """Posterior means of mu and tau: mu is integrated in closed form, tau on a grid (relative error below 1e-8)."""
    y, s = table["y"].to_numpy(float), table["sigma"].to_numpy(float)
    grid = np.exp(np.linspace(np.log(1e-5), np.log(1e5), 40_001))
    variance = s**2 / likelihood + grid[:, None] ** 2 / z
    precision = mu / spread**2 + (1 / variance).sum(1)
    mean = (mu * centre / spread**2 + (y / variance).sum(1)) / precision
    log_density = -tau * np.log1p((grid / scale) ** 2) - 0.5 * (np.log(variance) + y**2 / variance).sum(1)
    log_density += 0.5 * (mean**2 * precision - np.log(precision)) + np.log(grid)
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    return {"mu": weight @ mean, "tau": weight @ grid}


CASES = [
    ({"tau": 0.5}, "reweight", "reweighted"),
    ({"likelihood": 0.6}, "reweight", "reweighted"),
    ({"mu": 2.0, "tau": 2.0, "z": 1.5}, "reweight", "reweighted"),
    ({"mu": 0.2}, "refit", "refitted"),  # dials alone
    ({"tau": 0.5}, "refit", "refitted"),  # HalfCauchy has no power: exponents as data
    ({"likelihood": 0.5, "tau": 3.0, "mu": 0.3}, "refit", "refitted"),  # both ways at once
    ({"z": 0.3, "tau": 0.0}, "refit", "refitted"),  # a flat prior on tau
    ({"mu": 0.1, "tau": 0.1, "z": 0.1}, "auto", "moment matched"),
    ({"mu": 0.1, "tau": 0.1, "z": 0.1}, ("reweight", "refit"), "refitted"),
]


@pytest.mark.parametrize(("exponents", "ladder", "rung"), CASES, ids=str)
def test_powers_against_quadrature(schools, schools_table, exponents, ladder, rung):
    """Means of mu and tau within 4.5 Monte Carlo errors of the exact ones, on every rung."""
    found = schools.power_scale(exponents, ladder=ladder, group="posterior")
    assert found.rung == rung and found.state == "ok"
    exact = exact_schools(schools_table, **exponents)
    for name in ("mu", "tau"):
        assert abs(found.table.loc[name, "mean"] - exact[name]) < 4.5 * error_of(found, name)


def test_exponents_are_data_of_one_program(schools):
    tiny = {"draws": 30, "tune": 30, "chains": 1}
    schools.power_scale({"tau": 0.5}, ladder="refit", **tiny)
    before = compile_count()
    for exponents in ({"tau": 0.7}, {"likelihood": 0.9}, {"tau": 1.5, "z": 0.0}):
        found = schools.power_scale(exponents, ladder="refit", **tiny)
        assert all(found.refit.dials[f"power_exponents.{k}"] == v for k, v in exponents.items() if k != "mu")
    assert compile_count() == before
    in_family = schools.power_scale({"mu": 0.25}, ladder="refit", **tiny).refit
    assert in_family.dials == {**schools.dials, "mu.sigma": 10.0} and compile_count() == before


def test_unreliable_is_marked_and_never_a_number(schools):
    """Specification, check 9: all priors to the power 0.1 have k-hat about 1.1."""
    found = schools.power_scale({"mu": 0.1, "tau": 0.1, "z": 0.1})
    assert found.state == "unreliable" and found.weights.k_hat > 0.8
    assert found.table[["mean", "sd", "lower", "upper", "shift"]].isna().all(axis=None)
    assert found.table[["base_mean", "base_sd"]].notna().all(axis=None)
    assert repr(found).startswith("UNRELIABLE: With mu to the power 0.1")
    told = json.loads(found.to_json())
    assert told["state"] == "unreliable" and told["rows"][0]["mean"] is None


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_what_is_not_a_number_is_not_computed(schools, bad):
    total = schools.draws["log_likelihood"].to_dataset().copy(deep=True)
    total["total"].values[1, 2] = bad
    draws = xr.DataTree.from_dict({**{n: g.to_dataset() for n, g in schools.draws.children.items()}, "log_likelihood": total})
    found = replace(schools, draws=draws).power_scale({"likelihood": 0.9})
    assert found.state == "not computed" and repr(found).startswith("NOT COMPUTED") and found.table["mean"].isna().all()
    posterior = schools.posterior.copy(deep=True)
    posterior["tau"].values[0, 0] = np.nan
    draws = xr.DataTree.from_dict({**{n: g.to_dataset() for n, g in schools.draws.children.items()}, "posterior": posterior})
    assert replace(schools, draws=draws).power_scale({"tau": 0.9}).state == "not computed"


def test_a_refit_that_fails_says_so(schools):
    found = schools.power_scale({"tau": 0.5}, ladder="refit", draws=10, tune=10, chains=2)
    assert found.refit.verdict.status.value not in ("PASS", "WARN") and found.state != "ok"
    assert repr(found).startswith(("UNRELIABLE", "NOT COMPUTED"))


@pytest.mark.parametrize(("computed", "reliable", "index"), [(True, False, 0.0), (True, False, 0.3), (False, False, np.nan)])
def test_no_state_is_ok_without_reliable_weights(computed, reliable, index):
    from bayeskit.sensitivity.analysis import _state
    from bayeskit.sensitivity.power import PowerScaling

    scaled = PowerScaling(np.array([index]), np.array([0.1]), 0.9, 50.0, computed, reliable)
    assert _state(index, 0.2, scaled) == ("unreliable" if computed else "not computed")
    assert _state(index, 0.2, None) == "not computed"
    assert _state(np.nan, 0.2, replace(scaled, computed=True, reliable=True)) == "not computed"


# -- the table ----------------------------------------------------------------------------------------------------


def test_rows_climb_the_ladder(schools):
    """Eighty draws tell nothing; refits put the same numbers there as 4,000 draws, within twice the noise of the index."""
    few = schools.refit(draws=20, tune=300)
    assert {r.state for r in few.sensitivity().rows} <= {"unreliable", "not computed"}
    climbed, wanted = few.sensitivity(ladder="auto", seed=5), schools.sensitivity()
    assert not climbed.of("unreliable") and all(r.how.startswith("refitted to the powers") for r in climbed.rows)
    for ours, theirs in zip(climbed.rows, wanted.rows, strict=True):
        assert ours.index == pytest.approx(theirs.index, abs=0.03)
        # between the powers 0.5 and 2 the slope changes, so that the tangent is met by a third of itself and some noise
        assert ours.direction == pytest.approx(theirs.direction, abs=0.06 + 0.35 * abs(theirs.direction))
    failed = few.sensitivity(ladder="auto", draws=10, tune=10, chains=2)
    assert {r.state for r in failed.rows} == {"unreliable"} and all("refitted" in r.how for r in failed.rows)
    assert "could not be made" in failed.headline and "FAIL" in failed.rows[0].sentence()
    with pytest.raises(SpecificationError, match="draws is for refits"):
        schools.sensitivity(draws=10)


def test_the_most_important_row_is_verified(normal_fit, monkeypatch):
    """A quarter step of mu.mu or mu.sigma down and up against the exact difference; a wrong sign is found out."""
    found = normal_fit.sensitivity(verify=True)
    top = max((r for r in found.rows if np.isfinite(r.index)), key=lambda r: r.index)
    check = found.verified
    assert (check.quantity, check.assumption, check.dial) == (top.quantity, top.assumption, top.dial)
    ends = []
    for way in (-0.25, 0.25):
        dials = {**normal_fit.dials, top.dial: normal_fit.dials[top.dial] + way * top.step}
        ends.append(normal_fit.spec.closed_form(normal_fit.statistics, dials)[0])
    group = [f"mean[{g}]" for g in normal_fit.statistics["group"].values].index(top.quantity)
    sd = normal_fit.spec.closed_form(normal_fit.statistics, normal_fit.dials)[1][group]
    assert abs(check.refit_shift - (ends[1] - ends[0])[group] / 0.5 / sd) < 4 * check.refit_mcse
    assert check.refit_mcse < 0.06 and check.agrees and check.verdicts == ("PASS", "PASS")
    assert "they agree" in repr(found) and json.loads(found.to_json())["verified"]["agrees"] is True
    from bayeskit.sensitivity import analysis

    right = analysis.dial_derivative

    def wrong(*args):
        out = right(*args)
        return replace(out, shift=-out.shift)

    monkeypatch.setattr(analysis, "dial_derivative", wrong)
    bad = normal_fit.sensitivity(verify=True)
    assert bad.verified.agrees is False and "NOT CONFIRMED" in bad.headline and "do not agree" in bad._repr_html_()
    monkeypatch.undo()
    short = normal_fit.sensitivity(verify=True, draws=10, tune=10, chains=2)
    assert short.verified.agrees is None and "NOT VERIFIED" in repr(short).splitlines()[0]


def test_a_prior_without_a_dial_is_verified_by_powers(schools, monkeypatch):
    from bayeskit.sensitivity import analysis

    monkeypatch.setattr(analysis, "_turn", lambda fit, assumption, name, safe: analysis.DialDerivative(
        name, 1.0, np.full(safe.shape[-1], np.nan), np.full(safe.shape[-1], np.nan)))  # fmt: skip
    check = schools.sensitivity(verify=True).verified
    assert check.dial == "" and check.agrees is not None and check.shift_mcse < 0.1 and "counting" in check.sentence()


def test_tornado(schools):
    found = schools.sensitivity()
    rows = sorted(found.rows, key=lambda r: -abs(r.shift))
    picture = found.plot(most=5)
    assert picture.data.startswith(b"<?xml") and "5 largest of 16" in picture.caption
    order = [picture.alt.index(f"{r.dial} on {r.quantity} ") for r in rows[:5]]
    assert order == sorted(order) and f"({rows[0].state})" in picture.alt
    assert f"{rows[5].dial} on {rows[5].quantity} " not in picture.alt
    one = found.plot("theta[s1]", by="index")
    assert "on theta[s1]" in one.caption and "tau 0." in one.alt
    assert "counts double" in found.plot(by="direction").caption
    for bad, match in (({"by": "width"}, "by="), ({"most": 0}, "most"), ({"quantity": "theta[Z]"}, "No quantity")):
        with pytest.raises(SpecificationError, match=match):
            found.plot(**bad)
    blind = replace(found, rows=tuple(replace(r, shift=np.nan) for r in found.rows))
    with pytest.raises(SpecificationError, match="nothing to draw"):
        blind.plot()
    some = replace(found, rows=(*blind.rows[:3], *found.rows[3:]))
    assert "3 of 16 comparisons have no such number" in some.plot().caption


def test_bars_tell_states_by_more_than_colour_and_escape_labels():
    from bayeskit.report.tornado import tornado_plot
    from bayeskit.sensitivity.result import STATES

    labels = NASTY[:5]
    picture = tornado_plot(labels, [0.5, -0.4, 0.3, -0.2, 0.1], STATES, order=STATES, errors=[0.1, 0.1, np.nan, 0.1, 0.1])
    import xml.etree.ElementTree as ET

    root = ET.fromstring(picture.data)
    assert not [e for e in root.iter() if e.tag.rpartition("}")[2] in ("script", "image", "foreignObject")]
    patterns = {e.get("id") for e in root.iter() if e.tag.endswith("}pattern")}
    assert len(patterns) == len(STATES) - 1  # a hatch for each state but ok, which is plain
    assert all(f"({state})" in picture.alt for state in STATES) and "-0.400" in picture.alt
    for bad in (([], [], []), (["a"], [np.nan], ["ok"]), (["a"], [1.0, 2.0], ["ok"])):
        with pytest.raises(ValueError, match="as many of each"):
            tornado_plot(*bad)


# -- derivatives against refits -----------------------------------------------------------------------------------


def test_derivatives_against_quadrature(schools, schools_table):
    """Every dial of mu and tau: covariances of 4,000 draws within 10 % or 3 Monte Carlo errors of exact derivatives."""
    wanted = {"mu": lambda _: schools.posterior["mu"].values, "tau": lambda _: schools.posterior["tau"].values}
    found = {(r.quantity, r.dial): r for r in _by_dial(schools, wanted)}
    assert {d for _, d in found} == {"mu.mu", "mu.sigma", "tau.beta"}
    for (quantity, dial), row in found.items():
        name, here = {"mu.mu": ("centre", 0.0), "mu.sigma": ("spread", 5.0), "tau.beta": ("scale", 5.0)}[dial]
        ends = [exact_schools(schools_table, **{name: here + h})[quantity] for h in (-1e-3, 1e-3)]
        exact = (ends[1] - ends[0]) / 2e-3 * row.step / float(schools.posterior[quantity].std())
        assert row.step == 5.0
        assert abs(row.shift - exact) < max(0.1 * abs(exact), 3 * row.shift_mcse)


def _by_dial(fit, quantities=None):
    """Rows of the table, one for every dial and not for the dial that moves most alone."""
    from bayeskit.sensitivity import analysis

    names, values = analysis._quantities(fit, quantities)
    rows = {(r.quantity, r.assumption): r for r in fit.sensitivity(quantities, assumptions="all").rows}
    out = []
    for assumption in fit.assumptions:
        for dial in assumption.dials:
            turned = analysis._turn(fit, assumption, dial, values)
            for q, name in enumerate(names):
                if np.isfinite(turned.shift[q]) and assumption.level != "latent":
                    numbers = {"dial": dial, "step": turned.step, "shift": turned.shift[q], "shift_mcse": turned.mcse[q]}
                    out.append(replace(rows[name, assumption.name], **numbers))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("model", ["schools", "beta"])
def test_derivatives_against_refits(model, request):
    """Specification, check 10: every dial, central differences of refits 0.4 steps apart with 40,000 draws each.

    The error of the difference is that of two means over 0.4 steps, about 0.02; within 10 % or 3 Monte Carlo errors.
    """
    fit = request.getfixturevalue("schools" if model == "schools" else "beta_fit")
    base = fit.refit(draws=10_000, seed=7)
    rows, now = _by_dial(base), base.summary()
    for dial in dict.fromkeys(r.dial for r in rows):
        mine = [r for r in rows if r.dial == dial]
        ends = [
            base.refit(dials={dial: base.dials[dial] + way * mine[0].step}, seed=seed).summary()
            for way, seed in ((-0.2, 8), (0.2, 9))
        ]
        for r in mine:
            sd = now.loc[r.quantity, "sd"]
            change = (ends[1].loc[r.quantity, "mean"] - ends[0].loc[r.quantity, "mean"]) / 0.4 / sd
            error = np.hypot(r.shift_mcse, np.hypot(*[e.loc[r.quantity, "mcse_mean"] for e in ends]) / 0.4 / sd)
            assert abs(r.shift - change) < max(0.1 * abs(change), 3 * error), (r.quantity, dial, r.shift, change, error)
