"""Figures of a survival fit, and what they compare it with: averages of rows, residuals, calibration."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

pytest.importorskip("pymc")

from survival_cases import GAMMA, PARAMETERS, PHI, TWO, assert_picture

import bayeskit
from bayeskit.errors import SpecificationError, StorageError
from bayeskit_models import datasets
from bayeskit_models.answers import chance
from bayeskit_models.survival import FlexibleSurvival, distribution
from bayeskit_models.survival.figures import average_survival, rows_of
from bayeskit_models.survival.figures_check import _groups, predicted, randomised_pit, residuals
from bayeskit_models.survival.informative import arms_of
from bayeskit_models.survival.kaplan_meier import kaplan_meier


def test_averaged_curves_are_averages_of_the_rows(gbsg2_fit, gbsg2_wide):
    at = np.array([300.0, 1000.0, 2000.0])
    own = gbsg2_fit.survival(TWO, at).draws.values.reshape(-1, 2, 3)
    for k, rows in enumerate(arms_of(gbsg2_fit, "horTh").values()):
        np.testing.assert_allclose(average_survival(gbsg2_fit, at, rows), own[:, k], rtol=1e-12)
    table = datasets.load("gbsg2").iloc[:200]
    some = table[table["horTh"] == "yes"]
    direct = gbsg2_wide.survival(some[["horTh", "pnodes"]], at).draws.values.reshape(-1, len(some), 3).mean(1)
    np.testing.assert_allclose(average_survival(gbsg2_wide, at, arms_of(gbsg2_wide, "horTh")["horTh=yes"]), direct, rtol=1e-10)


def test_survival_over_kaplan_meier(gbsg2_fit):
    figure = gbsg2_fit.plot_survival(by="horTh", times=[500.0, 1000.0, 2000.0, 3000.0])
    table = datasets.load("gbsg2")
    arm = table[table["horTh"] == "yes"]
    seen = float(kaplan_meier(arm["time"], arm["cens"]).at(2000.0))
    assert_picture(figure, f"Kaplan-Meier {seen:.3g}", "At risk: horTh=no 440 at 0", "extrapolated", "beyond 2659")
    risk = int((arm["time"] >= 1000.0).sum())
    assert f"{risk} at 1000" in figure.alt
    assert "extrapol" not in gbsg2_fit.plot_survival(times=[500.0, 1000.0]).alt
    assert_picture(gbsg2_fit.plot_survival(TWO), "for the stated covariates")


def test_what_is_extrapolated_is_dashed(gbsg2_fit):
    pale = b"stroke-dasharray: 3.9,2.6"  # 3 and 2 widths of a line of 1.3 points
    assert pale in gbsg2_fit.plot_survival(TWO).data and pale in gbsg2_fit.plot_hazard(TWO).data
    within = [500.0, 1000.0, 2000.0]
    assert (
        pale not in gbsg2_fit.plot_survival(TWO, times=within).data
        and pale not in gbsg2_fit.plot_hazard(TWO, times=within).data
    )


def test_beyond_each_arm_s_own_follow_up_it_is_extrapolation(gbsg2_fit):
    table = datasets.load("gbsg2")
    last = table.groupby("horTh")["time"].max()
    assert last["no"] < 2570 < last["yes"]
    text = gbsg2_fit.plot_survival(by="horTh", times=[500.0, 2570.0]).alt.split("At risk")[0].split("horTh=yes")
    assert "extrapolated" in text[0] and "extrapolated" not in text[1]


def test_without_rows_there_are_bands_alone(gbsg2_fit, tmp_path):
    bare = bayeskit.load(gbsg2_fit.save(tmp_path / "run.nc"))
    figure = bare.plot_survival()
    assert_picture(figure, "no Kaplan-Meier curve")
    assert "Steps are" not in figure.caption
    with pytest.raises(StorageError, match="saved without its rows"):
        bare.plot_survival(by="horTh")
    with pytest.raises(StorageError, match=r"refit\(table"):
        bare.informative_censoring()
    titles = [s.title for s in bare.sections()]
    assert "Fit to the rows" in titles and "not computed" in repr(bare.sections()[-1])


def test_hazard_ratio_and_hazard_pictures_tell_their_numbers(gbsg2_fit):
    at = [500.0, 1500.0]
    middle = float(np.median(gbsg2_fit.hazard_ratio(TWO.iloc[1:], TWO.iloc[:1], at).draws.values[..., 0, 1]))
    assert_picture(
        gbsg2_fit.plot_hazard_ratio(TWO.iloc[1:], TWO.iloc[:1], times=at), "horTh=yes over horTh=no", f"at 1500 {middle:.3g}"
    )
    middle = float(np.median(gbsg2_fit.hazard(TWO, at).draws.values[..., 0, 1]))
    assert_picture(gbsg2_fit.plot_hazard(TWO, times=at), "horTh=no: at 500", f"at 1500 {middle:.3g}")


def test_kappa_picture(gbsg2_fit, gbsg2_weibull):
    kappa = gbsg2_fit.estimands["kappa"].values
    assert_picture(gbsg2_fit.plot_kappa(), f"median {np.median(kappa):.2g}", f"P(kappa < 0) {chance(kappa < 0)}")
    with pytest.raises(SpecificationError, match="law='weibull' fixes kappa"):
        gbsg2_weibull.plot_kappa()
    assert chance(np.ones(9, bool)) == "> 0.99" and chance(np.zeros(9, bool)) == "< 0.01"


def test_wrong_figures_are_refused(gbsg2_fit):
    with pytest.raises(SpecificationError, match="new and by"):
        gbsg2_fit.plot_survival(TWO, by="horTh")
    with pytest.raises(SpecificationError, match="two or more"):
        gbsg2_fit.plot_hazard(times=[5.0])
    with pytest.raises(SpecificationError, match=r"time=9999.*end of follow-up"):
        gbsg2_fit.plot_calibration(9999)
    with pytest.raises(SpecificationError, match=r"groups=1"):
        gbsg2_fit.plot_calibration(500, groups=1)
    with pytest.raises(SpecificationError, match=r"kind='coxsnell'.*Did you mean 'cox-snell'"):
        gbsg2_fit.plot_residuals("coxsnell")


# -- the fit against its rows -------------------------------------------------------------------------------------------


def at_values(fit, values, statistics=None):
    """The same fit with one known value of the parameters in place of its draws (and, if given, other rows)."""
    one = {n: xr.DataArray(np.asarray(v, dtype=float)[None, None], dims=fit.posterior[n].dims) for n, v in values.items()}
    posterior = xr.Dataset(one).assign_coords(chain=[0], draw=[0])
    tree = fit.draws.copy()
    tree["posterior"] = xr.DataTree(posterior)
    return dataclasses.replace(fit, draws=tree, statistics=fit.statistics if statistics is None else statistics)


def test_predictions_and_residuals_are_predictive_means(gbsg2_weibull):
    rows = rows_of(gbsg2_weibull)
    table = datasets.load("gbsg2").iloc[:200]
    np.testing.assert_allclose(np.sort(rows["time"]), np.sort(table["time"].astype(float)), rtol=1e-12)
    assert rows["event"].sum() == table["cens"].sum()
    found = residuals(gbsg2_weibull)
    k = 17
    level = gbsg2_weibull.statistics["x_horTh"].values[gbsg2_weibull.statistics["pattern"].values[k]]
    exact = gbsg2_weibull.survival({"horTh": [str(level)]}, rows["time"][k]).draws.values.mean()
    assert found["lower"][k] == pytest.approx(-np.log(exact), rel=1e-12)
    every = np.arange(3)
    times = np.full(3, np.log(800 / gbsg2_weibull.time_unit))
    assert predicted(gbsg2_weibull, times, every).shape == (3,)


def hard_rows(rng, size):
    """Times of a known law, a third entered late, with rows of every kind of censoring."""
    entry = np.where(rng.uniform(size=size) < 0.33, rng.uniform(0.2, 1.5, size), 0.0)
    time = np.empty(size)
    left = np.arange(size)
    while left.size:  # who has the event before entering is never seen
        time[left] = distribution.random(rng, PHI, 1.0, GAMMA, -0.3, size=left.size)
        left = left[time[left] <= entry[left]]
    end = entry + rng.uniform(0.8, 5.0, size)
    visits = rng.uniform(size=size) < 0.3
    visit, last = np.floor((time - entry) / 0.7), np.floor((end - entry) / 0.7)
    end = np.where(visits, entry + last * 0.7, end)  # an event after the last visit is not seen
    seen = np.where(visits, visit < last, time <= end)
    lower = np.where(~seen, end, np.where(visits, entry + visit * 0.7, time))
    upper = np.where(~seen, np.nan, np.where(visits, entry + (visit + 1) * 0.7, time))
    return pd.DataFrame({"lower": lower, "upper": upper, "entry": entry})


def test_residuals_of_the_true_law_are_what_they_should_be():
    """4,000 rows with late entry and all kinds of censoring. The largest of 100 standardised ECDF differences of uniform values
    is above 4 with a probability under 100 * 2 * Phi(-4) = .6 %; entry left out of account gives 9."""
    rng = np.random.default_rng(8)
    spec = FlexibleSurvival(lower="lower", upper="upper", entry="entry", unit=1.0)
    table = hard_rows(rng, 4000)
    quick = spec.fit(table.iloc[:60], draws=20, tune=50, chains=1, seed=1, progress=False)
    truth = at_values(quick, {**PARAMETERS, "tail_intercept": np.log(0.7)}, spec.statistics(table))
    found = residuals(truth)
    values = np.sort(randomised_pit(found, rng))
    grid = np.linspace(0.01, 0.99, 99)
    gap = np.searchsorted(values, grid) / values.size - grid
    assert np.abs(gap / np.sqrt(grid * (1 - grid) / values.size)).max() < 4.0
    assert_picture(truth.plot_residuals("pit"), "stays inside the band")
    with pytest.raises(SpecificationError, match="in intervals"):
        truth.plot_residuals()
    wrong = randomised_pit({**found, "entry": np.zeros(4000)}, rng)
    gap = np.searchsorted(np.sort(wrong), grid) / values.size - grid
    assert np.abs(gap / np.sqrt(grid * (1 - grid) / values.size)).max() > 6.0


def test_cox_snell_picture_tells_the_nelson_aalen_estimate(gbsg2_fit):
    found = residuals(gbsg2_fit)
    observed = kaplan_meier(found["lower"], found["event"], weights=found["weights"])
    k = int(0.5 * len(observed.times))
    assert_picture(gbsg2_fit.plot_residuals(), f"at {observed.times[k]:.3g} it is {observed.cumulative_hazard[k]:.3g}")


def test_calibration_groups_and_numbers(gbsg2_fit, gbsg2_wide):
    figure = gbsg2_fit.plot_calibration(1000.0)  # two patterns make two groups, whatever was asked
    table = datasets.load("gbsg2")
    for arm in ("no", "yes"):
        rows = table[table["horTh"] == arm]
        seen = kaplan_meier(rows["time"], rows["cens"]).at(1000.0)
        mid = np.median(gbsg2_fit.survival({"horTh": [arm]}, 1000.0).draws.values)
        assert f"predicted {mid:.3g}" in figure.alt and f"observed {seen:.3g}" in figure.alt
        assert f"{len(rows)} rows" in figure.alt
    place = _groups(np.repeat(np.linspace(0.1, 0.9, 50), 2), np.ones(100), 5)
    assert np.bincount(place).tolist() == [20] * 5
    assert_picture(gbsg2_wide.plot_calibration(1000.0, groups=4), "Calibration at 1000")
