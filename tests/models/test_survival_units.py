"""Units of survival rows: what each adds to the log likelihood against tables without it, influence, and comparable LOO."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pymc")

import xarray as xr

import bayeskit as bk
from bayeskit import SpecificationError
from bayeskit.engine import compiled_for
from bayeskit_models import datasets
from bayeskit_models.survival import FlexibleSurvival

SPECS = {
    "covariates in all four": {"scale": "x + arm", "hazard": "1 + x", "shape": "arm", "tail": "x", "unit": 2.0},
    "entry, weights, groups": {"scale": "x", "shape": "arm", "entry": "entry", "weights": "n", "group": "site", "unit": 2.0},
    "part weights, background": {
        "hazard": "x + arm",
        "weights": "part",
        "background": "rate",
        "unit": 2.0,
        "reference": "zero",
    },
    "intervals": {"scale": "x + arm", "lower": "low", "upper": "high", "unit": 2.0, "reference": "zero"},
    "law": {"scale": "arm", "law": "weibull", "unit": 2.0},
}
"""`unit` and what centring depends on are fixed, so that a table without a row has the same parameters."""


def table_of(settings, n=24):
    """Rows of every kind of censoring that the settings know, with x balanced enough to have no constant column."""
    rng = np.random.default_rng(3)
    time = rng.exponential(3.0, n) + 0.2
    out = {"x": rng.normal(size=n), "arm": np.array(["a", "b", "c"])[np.arange(n) % 3]}
    if "lower" in settings:
        out["low"] = np.where(np.arange(n) % 4 == 0, np.nan, time)
        out["high"] = np.where(np.arange(n) % 4 == 1, np.nan, np.where(np.arange(n) % 4 == 2, time, time + 0.7))
    else:
        out |= {"time": time, "event": (rng.uniform(size=n) < 0.7).astype(int)}
    out["entry"] = np.where(np.arange(n) % 3 == 0, time / 2, 0.0)
    out |= {"n": 1.0 + np.arange(n) % 3, "part": 0.25 + rng.uniform(size=n), "site": np.array(["s", "t"])[np.arange(n) // 12]}
    return out | {"rate": np.where(np.arange(n) % 2 == 0, 0.04, 0.0)}


def as_draws(spec, statistics, values):
    dims = {a.name: a.prior.dims for a in spec.assumptions(statistics) if a.prior is not None}
    return xr.Dataset({n: (("chain", "draw", *dims[n]), np.stack([v])[None]) for n, v in values.items()})


@pytest.fixture(scope="module", params=list(SPECS))
def case(request):
    """A specification with its table, statistics, one draw from the prior, and the value of the compiled likelihood."""
    settings = SPECS[request.param]
    spec = FlexibleSurvival(**settings)
    table = table_of(settings)
    statistics = spec.statistics(table)
    values = spec.draw_prior(statistics, np.random.default_rng(5))
    dials = spec.dials(statistics)

    def total(less):
        return compiled_for(spec, less).log_likelihood(less, dials, values)

    return spec, table, statistics, values, total


def test_every_unit_against_the_compiled_likelihood_without_it(case):
    """Rows, groups and categories: NumPy, row by row, against the fused kernel's difference, to 1e-8."""
    spec, _, statistics, values, total = case
    whole = total(statistics)
    for by in spec.units(statistics):
        effects = spec.log_likelihood_of(as_draws(spec, statistics, values), statistics, by)
        exact = [whole - total(spec.without(statistics, by, u)) for u in range(effects.sizes["unit"])]
        assert effects.values[0, 0] == pytest.approx(exact, abs=1e-8)


def test_units_add_up_to_the_whole(case):
    """Counts times effects are the log likelihood, on the user's scale of time, whatever the kind of unit."""
    spec, table, statistics, values, total = case
    for by in spec.units(statistics):
        effects = spec.log_likelihood_of(as_draws(spec, statistics, values), statistics, by).values[0, 0]
        counts = spec.unit_counts(statistics, by).values
        assert counts @ effects == pytest.approx(total(statistics), abs=1e-8)
    assert total(statistics) == pytest.approx(spec.log_likelihood(table, values), abs=1e-10)


def test_statistics_without_rows_against_the_table_without_them():
    """Where centring, unit and levels do not depend on the rows, the two ways of leaving out are the same to 1e-10."""
    settings = SPECS["entry, weights, groups"] | {"reference": "zero", "scale": "b", "shape": "b"}
    spec, table = FlexibleSurvival(**settings), table_of(settings)
    table["b"] = (np.arange(24) // 3) % 2  # two values: neither centred nor scaled, in both sites
    statistics = spec.statistics(table)
    values = spec.draw_prior(statistics, np.random.default_rng(6))
    numbers = [str(u).split(":")[0] for u in spec.unit_counts(statistics, "row")["unit"].values]
    for row in (0, 7, 11):
        keep = np.arange(24) != row
        less = spec.without(statistics, "row", [numbers.index(f"row {row}")] * int(table["n"][row]))
        again = spec.statistics({k: np.asarray(v)[keep] for k, v in table.items()})
        one, two = (compiled_for(spec, s).log_likelihood(s, spec.dials(s), values) for s in (less, again))
        assert one == pytest.approx(two, abs=1e-10)
        assert less.sizes["row"] == 23 and less.sizes["late"] == again.sizes["late"]
        assert float(less["log_unit"]) == pytest.approx(float(again["log_unit"]), abs=1e-12)


def test_counts_labels_and_refusals():
    settings = SPECS["entry, weights, groups"]
    spec, table = FlexibleSurvival(**settings), table_of(settings)
    statistics = spec.statistics(table)
    assert spec.units(statistics) == ("row", "group", "arm")
    counts = spec.unit_counts(statistics, "row")
    assert counts.values.sum() == table["n"].sum()
    for label, count in zip(counts["unit"].values, counts.values, strict=True):
        row = int(label.split(":")[0].removeprefix("row "))
        assert count == table["n"][row] and label.endswith(f" at {table['time'][row]:g}")
        assert ("event" in label) == bool(table["event"][row])
    place = int(counts.values.argmax())
    with pytest.raises(SpecificationError, match="there are 3 like it"):
        spec.without(statistics, "row", [place] * 4)
    assert spec.without(statistics, "row", [place] * 2)["weight"].values.sum() == table["n"].sum() - 2
    part = FlexibleSurvival(**SPECS["part weights, background"])
    whole = part.statistics(table_of(SPECS["part weights, background"]))
    counts = part.unit_counts(whole, "row")
    assert (counts.values == 1).all() and all(", weight " in str(u) for u in counts["unit"].values)
    assert part.without(whole, "row", 3).sizes["row"] == 23


OUTLIER = "row 37: event at 0.02"


@pytest.fixture(scope="module")
def outlier_fit():
    """150 times of a Weibull law with power 3, and one of 0.02, of which that law gives one in 125,000."""
    rng = np.random.default_rng(4)
    time = rng.weibull(3.0, 150)
    time[37] = 0.02
    return FlexibleSurvival(scale="x", unit=1.0).fit(
        {"time": time, "event": np.ones(150), "x": rng.normal(size=150)}, seed=1, draws=1000, tune=1000, progress=False
    )


def test_a_planted_outlier_ranks_first(outlier_fit):
    """It is the only row that is flagged, moves its quantity over twice as far as the next, and is predicted worst."""
    found = outlier_fit.influence("row")
    assert {r.unit for r in found.of("influential")} == {OUTLIER} and not found.of("unreliable")
    top = found.table.iloc[0]
    others = found.table[(found.table["quantity"] == top["quantity"]) & (found.table["unit"] != OUTLIER)]
    assert top["unit"] == OUTLIER and abs(top["shift"]) > 2 * others["shift"].abs().max()
    loo = outlier_fit.loo()
    assert loo.size == 150 and loo.unreliable == 0 and 3.0 < loo.p_loo < 7.0  # four parameters and one odd row
    assert loo.labels[int(loo.elpd_unit.argmin())] == OUTLIER


def test_reweighting_agrees_with_a_refit_without_the_outlier(outlier_fit):
    """Within four Monte Carlo standard errors of both, on every quantity."""
    found = outlier_fit.influence("row", exact=[OUTLIER], thin_to=None, draws=1000, tune=1000)
    assert [r.status for r in found.refits] != ["ERROR"]
    before = {r.quantity: r for r in outlier_fit.influence("row", thin_to=None).rows if r.unit == OUTLIER}
    rows = [r for r in found.rows if r.unit == OUTLIER]
    assert len(rows) >= 5
    for row in rows:
        error = np.hypot(row.shift_mcse, before[row.quantity].shift_mcse)
        assert abs(row.refit - before[row.quantity].reweighted) < 4 * error, row.quantity


@pytest.mark.slow
def test_menus_and_laws_on_gbsg2_are_comparable():
    """Six specifications of one table: LOO of each is reliable, differences are defined, and say what the likelihood says.

    Maximum likelihood puts the menus within 0.8 of one another, and APGW 18 above the Weibull
    law without covariates. LOO: the menus within 4, Weibull worse by over two standard errors of the difference.
    """
    table, base = datasets.load("gbsg2"), {"event": "cens"}
    specs = {m: getattr(FlexibleSurvival, m)("horTh", **base) for m in ("aft", "ph", "mpr_aft", "mpr_ph")}
    specs |= {law: FlexibleSurvival.aft("horTh", law=law, **base) for law in ("weibull", "loglogistic")}
    found = bk.multiverse(specs, table, seed=2, draws=1000, tune=1000, progress=False).loo
    assert list(found.index) == list(specs) and (found["reason"] == "").all() and (found["unreliable"] == 0).all()
    assert (found.loc[["ph", "mpr_aft", "mpr_ph"], "difference"].abs() < 4).all()
    assert found.loc["weibull", "difference"] < -5
    assert found.loc["weibull", "difference"] < -2 * found.loc["weibull", "difference_se"]
