"""Bounds and alternatives on a model whose identified set is known in closed form: Manski's worst case of missing outcomes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import examples
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import beta

from bayeskit import Assumption, Column, ModelBuilder, Prior, Simulation, SpecificationError
from bayeskit.errors import StorageError
from bayeskit.fit import Fit
from bayeskit.sensitivity import IdentifiedSet
from bayeskit.sensitivity.alternatives import alternatives

PROB = 0.9


@dataclass(frozen=True)
class MissingOutcomes(ModelBuilder):
    """Share of cases in each group, of which only some people were tested: the untested may be anything (Manski 2003, ch. 1).

    `planted` breaks the identified set: "sign" exchanges its ends, "narrow" takes the untested for no cases.
    """

    strength: float = 20.0
    guess: str = "equal"
    planted: str = ""

    def __post_init__(self):
        if self.guess == "wild":
            raise SpecificationError("guess='wild' is refused here: there is no such guess.")

    def columns(self):
        return (Column("group", "group", "label", "the group"), Column("outcome", "outcome", "binary", "case or not"))

    def reduce(self, rows):
        raise NotImplementedError

    def assumptions(self, statistics):
        return (
            Assumption("tested", "Cases among the tested are as likely as any share.", "hyper",
                       Prior("Beta", dims=("group",), alpha=1.0, beta=1.0)),
            Assumption("untested", "The untested are as often cases as one person in eleven.", "hyper",
                       Prior("Beta", dims=("group",), alpha=self.strength / 10, beta=self.strength), setting="guess",
                       alternatives=("equal", "wild", "other"), also={"strength": (20.0, 2.0)}),
        )  # fmt: skip

    def graph(self, graph):
        raise NotImplementedError

    def estimands(self, draws, statistics):
        missing = statistics["missing"] / (statistics["n"] + statistics["missing"])
        share = (1 - missing) * draws["tested"] + missing * draws["untested"]
        share = share.transpose("chain", "draw", "group")
        return xr.Dataset({
            "prevalence": share.assign_attrs(label="share of cases", units="probability", headline=True),
            "tested_share": draws["tested"].assign_attrs(label="share among the tested", units="probability", headline=False),
        })  # fmt: skip

    def simulate(self, rng=None, **_):
        return Simulation(pd.DataFrame(), {})

    def identified_set(self, draws, statistics, dials, name, weights):
        if name != "prevalence":
            return super().identified_set(draws, statistics, dials, name, weights)
        missing = (statistics["missing"] / (statistics["n"] + statistics["missing"])).values
        none = (1 - missing) * draws["tested"].transpose("chain", "draw", "group").values
        every = none + missing
        up, down = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
        lower, upper = none @ up.T + every @ down.T, every @ up.T + none @ down.T
        if self.planted == "sign":
            lower, upper = upper, lower
        if self.planted == "narrow":
            upper = lower
        if self.planted == "lost":
            lower[0, :3] = np.nan
        return IdentifiedSet(
            lower, upper, {"tested": "the tested are a random sample of themselves"},
            {"untested": "how often the untested are cases"}, "closed form",
        )  # fmt: skip


STATISTICS = xr.Dataset(
    {"n": ("group", [200, 50]), "k": ("group", [40, 5]), "missing": ("group", [100, 150])},
    coords={"group": ["a", "b - c"]},
)


def exact_fit(spec=None, statistics=STATISTICS, draws=5000, seed=0):
    """A fit whose draws are independent draws of the exact posterior: two Beta distributions a group."""
    spec = MissingOutcomes() if spec is None else spec
    rng = np.random.default_rng(seed)
    n, k = statistics["n"].values, statistics["k"].values
    shape = (4, draws // 4, len(n))
    posterior = xr.Dataset(
        {
            "tested": (("chain", "draw", "group"), rng.beta(1.0 + k, 1.0 + n - k, shape)),
            "untested": (("chain", "draw", "group"), rng.beta(spec.strength / 10, spec.strength, shape)),
        },
        coords={"chain": range(4), "draw": range(draws // 4), "group": statistics["group"].values},
    )
    tree = xr.DataTree.from_dict({"posterior": posterior, "estimands": spec.estimands(posterior, statistics)})
    return Fit(spec, tree, statistics, spec.dials(statistics), {}, {"data": {"rows": 1}})


@pytest.fixture(scope="module")
def fit():
    return exact_fit(draws=40_000)


# -- against the closed form --------------------------------------------------------------------------------------


def test_bounds_are_manskis(fit):
    """Quantiles of 40,000 exact draws against those of the Beta: standard error below .0007 (group a), .0004 (group b)."""
    found = fit.bounds("prevalence", PROB, draws=40_000)
    n, k, missing = (STATISTICS[v].values for v in ("n", "k", "missing"))
    rate = missing / (n + missing)
    low, middle, high = (beta.ppf(p, 1 + k, 1 + n - k) * (1 - rate) for p in (0.05, 0.5, 0.95))
    np.testing.assert_allclose(found.interval, np.stack([low, high + rate], -1), atol=4 * 0.0007)
    np.testing.assert_allclose(found.ends, np.stack([middle, middle + rate], -1), atol=4 * 0.0007)
    assert found.draws == 40_000 and found.failed == 0
    table = found.table
    assert list(table.index) == ["prevalence[a]", "prevalence[b - c]"]
    summary = fit.estimands["prevalence"].values.reshape(-1, 2)
    np.testing.assert_allclose(table[["posterior_lower", "posterior_upper"]], np.quantile(summary, (0.05, 0.95), 0).T)
    width = (found.posterior[:, 1] - found.posterior[:, 0]) / (found.interval[:, 1] - found.interval[:, 0])
    np.testing.assert_allclose(table["width_ratio"], width)


def test_a_difference_takes_opposite_ends(fit):
    """Largest where everybody untested in a is a case and nobody in b; and " - " inside a label is no minus sign."""
    found = fit.bounds("prevalence[a] - prevalence[b - c]", draws=40_000)
    both = fit.bounds("prevalence", draws=40_000)
    assert found.quantities == ("prevalence[a] - prevalence[b - c]",)
    np.testing.assert_allclose(found.ends[0, 0], both.ends[0, 0] - both.ends[1, 1], atol=2e-3)
    np.testing.assert_allclose(found.ends[0, 1], both.ends[0, 1] - both.ends[1, 0], atol=2e-3)
    assert "sign is open" in found.sentence(found.quantities[0])


def test_the_interval_covers_the_whole_set_as_often_as_it_says():
    """Parameters from the prior, 400 data sets, one group: both ends inside in 90 % or more; standard error .015.

    Calibrated because the posterior is exact. Each end is left out with 5 % by construction, and not both at once.
    """
    rng = np.random.default_rng(5)
    both = []
    for seed in range(400):
        p = rng.uniform()
        statistics = xr.Dataset(
            {"n": ("group", [80]), "k": ("group", [rng.binomial(80, p)]), "missing": ("group", [40])}, {"group": ["a"]}
        )
        low, high = exact_fit(statistics=statistics, draws=2000, seed=seed).bounds("prevalence", PROB).interval[0]
        both.append(low <= 2 / 3 * p and 2 / 3 * p + 1 / 3 <= high)
    assert 0.90 - 3 * 0.015 < np.mean(both) < 0.90 + 3 * 0.015


def test_bounds_hold_the_truth_where_the_assumption_is_wrong():
    """300 data sets in which the untested are cases far more often than the prior says.

    Posterior and bounds are exact. The truth lies well inside the set, so the bounds miss it with probability near 0; a
    coverage of .9 has a standard error of .017.
    """
    rng = np.random.default_rng(6)
    inside = {"bounds": [], "posterior": []}
    for seed in range(300):
        p, r = rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.9)
        statistics = xr.Dataset(
            {"n": ("group", [80]), "k": ("group", [rng.binomial(80, p)]), "missing": ("group", [40])}, {"group": ["a"]}
        )
        truth = 2 / 3 * p + 1 / 3 * r
        found = exact_fit(statistics=statistics, draws=2000, seed=seed).bounds("prevalence")
        for name, (low, high) in (("bounds", found.interval[0]), ("posterior", found.posterior[0])):
            inside[name].append(low <= truth <= high)
    assert np.mean(inside["bounds"]) >= 0.99
    assert np.mean(inside["posterior"]) < 0.5


# -- honest output ------------------------------------------------------------------------------------------------


def test_what_it_says(fit):
    found = fit.bounds("prevalence[b - c]", PROB)
    text = found.sentence("prevalence[b - c]")
    assert "as wide as what the data allow: the rest is untested." in text
    printed = repr(found)
    assert printed.startswith("Bounds from 1000 draws: intervals that cover the identified set with posterior probability 90%")
    assert "Kept: tested (the tested are a random sample of themselves)" in printed and "Dropped: untested" in printed
    page = found._repr_html_()
    assert page.startswith("<p>Bounds from") and "Dropped: untested" in page
    told = json.loads(found.to_json())
    assert told["schema"] == "bayeskit.bounds/1" and told["rows"][0]["quantity"] == "prevalence[b - c]"
    assert told["rows"][0]["lower"] == pytest.approx(found.interval[0, 0]) and told["dropped"].keys() == {"untested"}
    picture = found.plot()
    assert "prevalence[b - c]" in picture.alt and "inside" in picture.alt and picture.data.startswith(b"<?xml")


def test_labels_are_escaped():
    hostile = STATISTICS.assign_coords(group=["<script>x</script>", "$b$"])
    found = exact_fit(statistics=hostile).bounds("prevalence")
    assert "<script>" not in found._repr_html_() and "<script>" not in found.plot().data.decode()


def test_what_could_not_be_computed_stays_visible():
    spec = MissingOutcomes(planted="lost")
    found = exact_fit(spec).bounds("prevalence")
    assert found.failed == 3 and found.headline.startswith("3 of 1000 draws have no bounds (not computed).")
    assert np.isfinite(found.interval).all()  # the others have some
    nothing = replace(found, interval=np.full((2, 2), np.nan), ends=np.full((2, 2), np.nan))
    assert nothing.sentence("prevalence[a]") == "prevalence[a]: bounds not computed."
    assert json.loads(nothing.to_json())["rows"][0]["lower"] is None
    assert "not computed" in nothing.plot().alt


@pytest.mark.parametrize("planted", ["sign", "narrow"])
def test_a_set_that_leaves_out_its_own_draw_is_refused(planted):
    with pytest.raises(SpecificationError, match="leaves out the draw itself for 1000 of 1000 draws"):
        exact_fit(MissingOutcomes(planted=planted)).bounds("prevalence")


def test_errors_name_the_fix(fit, normal_fit):
    with pytest.raises(SpecificationError, match="NormalNormal declares no bounds"):
        normal_fit.bounds("mean")
    with pytest.raises(SpecificationError, match=r"MissingOutcomes declares no bounds.*'tested_share'"):
        fit.bounds("tested_share")
    with pytest.raises(SpecificationError, match=r"Did you mean 'prevalence'\?"):
        fit.bounds("prevalense")
    with pytest.raises(SpecificationError, match="difference of an element and itself"):
        fit.bounds("prevalence[a] - prevalence[a]")
    with pytest.raises(SpecificationError, match="different estimands"):
        fit.bounds(["prevalence[a]", "tested_share[a]"])
    with pytest.raises(SpecificationError, match="quantity is empty"):
        fit.bounds([])
    for bad in (0.0, 1.0, 95):
        with pytest.raises(SpecificationError, match="prob="):
            fit.bounds("prevalence", bad)
    for bad in (0, True, 2.5):
        with pytest.raises(SpecificationError, match="draws="):
            fit.bounds("prevalence", draws=bad)
    with pytest.raises(StorageError, match="without its statistics"):
        replace(fit, statistics=None).bounds("prevalence")
    with pytest.raises(SpecificationError, match="No quantity"):
        fit.bounds("prevalence").sentence("prevalence[z]")


# -- alternatives -------------------------------------------------------------------------------------------------


def test_alternatives_are_what_the_assumptions_declare():
    spec = MissingOutcomes()
    found = exact_fit(spec).alternatives()
    assert dict(found) == {"guess=other": replace(spec, guess="other"), "strength=2.0": replace(spec, strength=2.0)}
    assert found.skipped == {"guess=wild": "guess='wild' is refused here: there is no such guess."}
    assert found.assumptions == dict.fromkeys(("guess=other", "guess=wild", "strength=2.0"), "untested")
    assert repr(found).startswith("1 refused, 2 specifications") and "guess=wild refused: guess='wild'" in repr(found)
    assert found.table.loc["guess=wild", "skipped"] and not found.table.loc["guess=other", "skipped"]
    told = json.loads(found.to_json())
    assert told["schema"] == "bayeskit.alternatives/1" and told["specs"]["guess=other"]["settings"]["guess"] == "other"
    assert "<td>" in found._repr_html_() and len(found) == 2


def test_settings_that_mean_the_same_model_are_listed_once():
    @dataclass(frozen=True)
    class Synonyms(MissingOutcomes):
        def canonical(self):
            return replace(self, guess="equal")

    found = alternatives(Synonyms(), STATISTICS)
    assert dict(found) == {"strength=2.0": Synonyms(strength=2.0)} and list(found.skipped) == ["guess=wild"]


def test_a_model_without_settings_has_no_alternatives(normal_fit):
    found = normal_fit.alternatives()
    assert len(found) == 0 and not found.skipped and found.base == normal_fit.spec
    assert isinstance(normal_fit.spec, examples.NormalNormal)
