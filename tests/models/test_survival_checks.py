"""Warnings of a survival fit: each fires where its number is beyond the limit, and names number, limit and next step."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pymc")

import xarray as xr

from bayeskit.errors import SpecificationError
from bayeskit.verdict import Status
from bayeskit_models import datasets
from bayeskit_models.survival import FlexibleSurvival
from bayeskit_models.survival.checks import survival_checks

SHORT = {"draws": 500, "tune": 500, "progress": False}


@pytest.fixture(scope="module")
def cured_fit():
    """120 subjects, log-logistic times up to 2 for half of them and none for the others, followed to times 2 to 6."""
    rng = np.random.default_rng(1)
    u = rng.uniform(0.05, 0.8, 120)
    event = (np.arange(120) % 2).astype(int)
    times = np.where(event == 1, 0.5 * (u / (1 - u)) ** 0.5, rng.uniform(2.0, 6.0, 120))
    arm = np.where(np.arange(120) % 3 == 0, "a", "b").astype(object)
    arm[event == 0] = np.where(np.arange(60) % 10 == 0, "never", arm[event == 0])
    return FlexibleSurvival(scale="arm", hazard="1").fit({"time": times, "event": event, "arm": arm}, seed=1, **SHORT)


def check(fit, name):
    found = [c for c in survival_checks(fit) if c.name == name]
    assert len(found) <= 1
    return found[0] if found else None


def with_estimands(fit, **values):
    """The same fit with other draws of some scalar estimands."""
    shape = tuple(fit.estimands.sizes[d] for d in ("chain", "draw"))
    new = {n: (("chain", "draw"), np.broadcast_to(np.asarray(v, dtype=float), shape)) for n, v in values.items()}
    tree = xr.DataTree.from_dict({str(k): g.to_dataset() for k, g in fit.draws.children.items()})
    tree["estimands"] = xr.DataTree(tree["estimands"].to_dataset().assign(new))
    return replace(fit, draws=tree)


def test_figures_behind_the_checks(cured_fit):
    """Recounted from the statistics' own definition: weights, events and followed rows of the table."""
    design = cured_fit.aggregate
    time = np.exp(cured_fit.statistics["log_lower"].values) * float(design["time_scale"])
    assert float(design["last_event"]) == pytest.approx(time[:60].max(), rel=1e-12) and float(design["beyond"]) == 60.0
    rows = dict(zip(design["category"].values, design["category_rows"].values, strict=True))
    events = dict(zip(design["category"].values, design["category_events"].values, strict=True))
    assert rows["arm=never"] == 6 and events["arm=never"] == 0 and events["arm=a"] == 20 and events["arm=b"] == 40
    assert sum(rows.values()) == 120 and not set(design.dims) & {"row", "unique", "late"}


def test_an_arm_without_events(cured_fit):
    """The fit runs, and its verdict says that the arm rests on the prior."""
    found = check(cured_fit, "arms")
    assert found.status is Status.WARN and "arm=never (6 rows)" in found.text and "at least 1" in found.text
    assert "fit.sensitivity()" in found.advice
    assert "arms" in {c.name for c in cured_fit.checks} and cured_fit.verdict.status is not Status.PASS
    less = cured_fit.spec.without(cured_fit.statistics, "arm", "never")
    assert float(less["category_rows"].sel(category="arm=never")) == 0.0
    less = cured_fit.spec.without(cured_fit.statistics, "arm", "a")
    assert float(less["category_events"].sel(category="arm=a")) == 0.0


@pytest.mark.parametrize(("kappa", "cured", "beyond", "status"), [
    (-0.5, 0.4, 60.0, Status.PASS), (-0.5, 0.4, 19.0, Status.WARN), (-0.5, 0.4, 20.0, Status.PASS),
    (0.5, 0.0, 0.0, Status.PASS), (-0.01, 0.001, 0.0, Status.PASS),
])  # fmt: skip
def test_follow_up_behind_a_cured_share(cured_fit, kappa, cured, beyond, status):
    changed = with_estimands(cured_fit, kappa=kappa, cured=cured)
    changed = replace(changed, statistics=changed.statistics.assign(beyond=((), beyond)))
    found = check(changed, "follow_up")
    assert found.status is status
    if cured > 0.01:
        assert f"{beyond:g} rows were followed beyond" in found.text and "at least 20" in found.text
        assert "P(kappa < 0) = 1.00" in found.text and "95% equal-tailed" in found.text
    assert (status is Status.WARN) == bool(found.advice)


def test_follow_up_that_is_not_stored_is_not_computed(cured_fit):
    changed = with_estimands(cured_fit, kappa=-0.5, cured=0.3)
    bare = replace(changed, statistics=changed.statistics.drop_vars(["beyond"]))
    assert check(bare, "follow_up").status is Status.NOT_COMPUTED


@pytest.mark.parametrize(("share", "value", "status", "word"), [
    (0.04, 80.0, Status.PASS, ""), (0.06, 80.0, Status.WARN, "gompertz"), (0.06, -0.97, Status.WARN, "promotion-time"),
    (0.06, 49.0, Status.PASS, ""), (0.06, -0.94, Status.PASS, ""),
])  # fmt: skip
def test_kappa_at_a_limit(cured_fit, share, value, status, word):
    shape = tuple(cured_fit.estimands.sizes[d] for d in ("chain", "draw"))
    draws = np.zeros(shape).reshape(-1)
    draws[: round(share * draws.size)] = value
    found = check(with_estimands(cured_fit, kappa=draws.reshape(shape)), "kappa")
    assert found.status is status and word in found.advice and "limit 0.05" in found.text


def test_the_ridge_of_two_scales(cured_fit):
    """At exact correlations of 0.949 and 0.951, by making the draws so."""

    def at(correlation):
        one = np.random.default_rng(0).normal(size=2000)
        two = np.random.default_rng(1).normal(size=2000)
        one = (one - one.mean()) / one.std()
        two -= two.mean() + one * (one @ two) / 2000
        two /= two.std()
        mixed = -correlation * one + np.sqrt(1 - correlation**2) * two
        tree = xr.DataTree.from_dict({str(k): g.to_dataset() for k, g in cured_fit.draws.children.items()})
        new = {
            n: (("chain", "draw"), v.reshape(4, 500)) for n, v in {"scale_intercept": one, "hazard_intercept": mixed}.items()
        }
        tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().assign(new))
        return check(replace(cured_fit, draws=tree), "ridge")

    assert at(0.949).status is Status.PASS and "-0.949" in at(0.949).text
    assert at(0.951).status is Status.WARN and "-0.951" in at(0.951).text and "hazard" in at(0.951).advice


def test_every_provoked_warning_stands_in_the_verdict_and_in_the_report(cured_fit, tmp_path):
    """A cured share from few, kappa at its limit, two scales on a ridge, an arm without events: each with its advice."""
    shape = tuple(cured_fit.estimands.sizes[d] for d in ("chain", "draw"))
    lam = cured_fit.posterior["hazard_intercept"]
    ridge = cured_fit.posterior.assign(scale_intercept=-lam + 1e-3 * np.random.default_rng(0).normal(size=shape))
    tree = with_estimands(cured_fit, kappa=-0.97, cured=0.4).draws
    tree["posterior"] = xr.DataTree(ridge)
    provoked = replace(cured_fit, draws=tree, statistics=cured_fit.statistics.assign(beyond=((), 3.0)))
    warned = {c.name: c for c in provoked.checks if c.status is Status.WARN}
    told = html.unescape(re.sub("<[^>]+>", "", provoked.report(tmp_path / "r.html").read_text()))
    for name in ("follow_up", "kappa", "ridge", "arms"):
        assert warned[name].text in told and warned[name].advice in told, name


def test_real_data_and_what_does_not_concern_them():
    """gbsg2 with one scale claims a cured share from few. Without covariates or a second scale there are no such checks."""
    fit = FlexibleSurvival(duration="time", event="cens").fit(datasets.load("gbsg2"), seed=1, **SHORT)
    found = {c.name: c for c in survival_checks(fit)}
    assert set(found) == {"follow_up", "kappa"}
    assert found["follow_up"].status is Status.WARN and "follow-up ends at 2659" in found["follow_up"].text
    assert found["kappa"].status is Status.PASS


def test_a_separated_covariate_and_a_fixed_scale_are_told():
    """A time in disguise: all events below all censored rows. And phi fixed at one per given unit."""
    n = 40
    time, event = np.linspace(0.2, 4.0, n), (np.arange(n) < 20).astype(int)
    spec = FlexibleSurvival(scale="0", hazard="1 + x", unit=1.0, law="weibull")
    fit = spec.fit({"time": time, "event": event, "x": time**2}, seed=1, **SHORT)
    assert check(fit, "separated").status is Status.WARN and "overlap in x" in check(fit, "separated").text
    assert check(fit, "unit").status is Status.WARN and "unit=1" in check(fit, "unit").text
    mixed = spec.statistics({"time": time, "event": event, "x": np.cos(7 * time)})
    assert int(mixed["separated"].sum()) == 0


def test_prior_prediction_counts_tables_without_events():
    """A prior under which next to nobody has the event: such tables are no data, and are told, not lost."""
    spec = FlexibleSurvival(unit=1.0)
    table = {"time": [0.2, 0.4, 0.3], "event": [1, 0, 1]}
    found = spec.prior_predictive(table, draws=60, seed=0)
    assert found.refused > 0 and found.refused + found.statistics.sizes["draw"] == 60
    assert f"{found.refused} of 60 are left out" in repr(found)
    with pytest.raises(SpecificationError, match=r"all 20 were refused, the first because .*no row that counts has an event"):
        spec.prior_predictive(table, draws=20, seed=0, dials={"scale_intercept.mu": -40.0, "scale_intercept.sigma": 0.1})
