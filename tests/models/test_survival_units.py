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
    assert (part.unit_counts(whole, "row").values == 1).all() and "weight 0." in str(
        part.unit_counts(whole, "row")["unit"].values[0]
    )
    assert part.without(whole, "row", 3).sizes["row"] == 23


@pytest.fixture(scope="module")
def outlier_fit():
    """150 times of a Weibull law with power 3, and one that is 1e-3 of the typical: far below anything that it gives."""
    rng = np.random.default_rng(4)
    time = rng.weibull(3.0, 150)
    time[37] = 1e-3
    return FlexibleSurvival(scale="x", unit=1.0).fit(
        {"time": time, "event": np.ones(150), "x": rng.normal(size=150)}, seed=1, draws=500, tune=500, progress=False
    )


def test_a_planted_outlier_ranks_first(outlier_fit):
    found = outlier_fit.influence("row")
    shape = found.table[found.table["quantity"] == "kappa"]
    assert found.table["unit"].iloc[0] == "row 37: event at 0.001"
    assert "row 37" in found.headline
    assert np.abs(shape["shift"]).iloc[0] > 4 * np.abs(shape["shift"]).iloc[1]
    loo = outlier_fit.loo()
    assert loo.labels[int(np.nanargmin(loo.elpd_unit))] == "row 37: event at 0.001"
    assert loo.size == 150 and loo.elpd < float(outlier_fit.draws["log_likelihood"]["total"].mean())


def test_exact_influence_of_the_outlier_is_a_refit(outlier_fit):
    found = outlier_fit.influence("row", exact=["row 37: event at 0.001"], draws=300, tune=300)
    (refit,) = found.refits
    assert refit.status != "ERROR"
    row = next(r for r in found.rows if r.unit.startswith("row 37") and r.quantity == "kappa")
    assert np.isfinite(row.refit) and abs(row.refit) > 1.0


MENUS = ("aft", "ph", "mpr_aft", "mpr_ph")


@pytest.mark.slow
def test_menus_and_laws_on_gbsg2_are_comparable():
    """Seven specifications of one table: LOO of each is reliable, differences are defined, and say what likelihood says.

    Maximum likelihood puts APGW about 18 above Weibull; LOO of Weibull must be lower by over 2 standard errors of the difference.
    """
    table, base = datasets.load("gbsg2"), {"event": "cens"}
    specs = {m: getattr(FlexibleSurvival, m)("horTh", **base) for m in MENUS}
    specs |= {law: FlexibleSurvival.aft("horTh", law=law, **base) for law in ("weibull", "loglogistic")}
    found = bk.multiverse(specs, table, draws=500, tune=500, progress=False)
    shown = repr(found)
    for name in specs:
        assert name in shown
    loos = {name: spec.fit(table, seed=2, draws=500, tune=500, progress=False).loo() for name, spec in specs.items()}
    assert all(x.unreliable == 0 and x.size == 686 for x in loos.values())
    from bayeskit.sensitivity.loo import loo_difference

    for name in specs:
        assert loo_difference(loos["aft"], loos[name]).reason == ""
    worse = loo_difference(loos["aft"], loos["weibull"])
    assert worse.elpd > 2 * worse.se and worse.elpd > 5
    for name in MENUS:
        assert abs(loo_difference(loos["aft"], loos[name]).elpd) < 4
