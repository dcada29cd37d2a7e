"""Verdicts over settings by small exact cases, and every dial of every likelihood turned once."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("pymc")

from bayeskit.errors import SpecificationError
from bayeskit.prior_check import log_prior, prior_draws
from bayeskit.sensitivity import Cell, Sweep
from bayeskit.sensitivity.derivative import natural_step
from bayeskit.verdict import Status
from bayeskit_models.judges import JudgeFit, JudgeSimplex
from bayeskit_models.judges.robustness import robustness

SPEC = JudgeSimplex(2, constancy="strict")


class Told:
    """A verdict with a status and nothing else."""

    def __init__(self, status):
        self.status = status


class PlainFit(JudgeFit):
    """A fit whose verdict is told, so that cases can be exact."""

    verdict = Told(Status.PASS)


class FailedFit(JudgeFit):
    """A fit whose checks failed."""

    verdict = Told(Status.FAIL)


def fit_of(columns, names="ABC", cls=PlainFit):
    """A fit with given draws of the expected scores (S, K)."""
    draws = np.asarray(columns, dtype=float)
    score = xr.DataArray(draws[None], dims=("chain", "draw", "candidate"), coords={"candidate": list(names)})
    tree = xr.DataTree.from_dict({"estimands": xr.Dataset({"expected_score": score.assign_attrs(headline=1)})})
    return cls(SPEC, tree, None, {}, {}, {"data": {"rows": 1}})


def mixed(share, size=100):
    """A over C always; A over B in `share` of the draws; B over C in all of them too."""
    up, down = [3.0, 2.0, 1.0], [2.0, 3.0, 1.0]
    return [up] * round(share * size) + [down] * (size - round(share * size))


def test_verdicts_of_pairs():
    """A-C and B-C hold everywhere. A-B: .97 in one setting and .60 in the other is prior-driven."""
    found = robustness({"first": fit_of(mixed(0.97)), "second": fit_of(mixed(0.60))})
    assert found.of("robust") == (("A", "C"), ("B", "C")) and found.of("prior-driven") == (("A", "B"),)
    row = found.pairs.set_index(["a", "b"]).loc[("A", "B")]
    assert (row.p_lowest, row.p_highest, row.settings_ordered, bool(row.crosses_half)) == (0.60, 0.97, 1, False)
    assert found.headline.startswith("Over 2 settings 2 of 3 pairs are robust")


@pytest.mark.parametrize(
    ("shares", "verdict", "crosses"),
    [
        ((0.99, 0.96), "robust", False),
        ((0.99, 0.95), "prior-driven", False),  # more than .95 is asked for, not .95
        ((0.99, 0.01), "prior-driven", True),  # ordered everywhere, but not the same way
        ((0.60, 0.40), "undetermined", True),
        ((0.94, 0.90), "undetermined", False),
    ],
)
def test_limits_of_the_verdicts(shares, verdict, crosses):
    found = robustness({str(i): fit_of(mixed(p)) for i, p in enumerate(shares)})
    row = found.pairs.set_index(["a", "b"]).loc[("A", "B")]
    assert (row.verdict, bool(row.crosses_half)) == (verdict, crosses)


def test_ranks_and_kendalls_tau():
    """Orders ABC, BAC (one of three pairs exchanged: tau 1/3) and CBA (all of them: -1); ranks are unions of intervals."""
    order = {"ABC": [3, 2, 1], "BAC": [2, 3, 1], "CBA": [1, 2, 3]}
    found = robustness({name: fit_of([row] * 50) for name, row in order.items()})
    assert found.settings["tau"].to_numpy() == pytest.approx([1.0, 1 / 3, -1.0])
    assert found.candidates[["union_lower", "union_upper"]].to_numpy().tolist() == [[1, 3], [1, 2], [1, 3]]
    assert found.candidates[["rank_lower", "rank_upper"]].to_numpy().tolist() == [[1, 1], [2, 2], [3, 3]]
    other = robustness({name: fit_of([row] * 50) for name, row in order.items()}, reference="CBA")
    assert other.settings["tau"].to_numpy() == pytest.approx([-1.0, -1 / 3, 1.0]) and list(other.candidates.index) == list(
        "CBA"
    )


def test_candidates_are_matched_by_label():
    """The same scores under names in another order are the same ranking."""
    found = robustness({"one": fit_of([[3, 2, 1]] * 20), "two": fit_of([[1, 2, 3]] * 20, names="CBA")})
    assert len(found.of("robust")) == 3 and found.settings["tau"].tolist() == pytest.approx([1.0, 1.0])
    with pytest.raises(SpecificationError, match="'two' ranks other candidates than the reference: C, D"):
        robustness({"one": fit_of([[3, 2, 1]]), "two": fit_of([[3, 2, 1]], names="ABD")})


def test_failed_fits_are_shown_and_not_counted():
    fits = {"good": fit_of([[3, 2, 1]] * 20), "bad": fit_of([[1, 2, 3]] * 20, cls=FailedFit), "none": None}
    found = robustness(fits)
    assert found.left_out == ("bad", "none") and found.headline.startswith("2 of 3 settings failed and are left out. Over 1 ")
    assert len(found.of("robust")) == 3 and np.isnan(found.settings.loc["bad", "tau"])
    assert repr(found).startswith("2 of 3 settings failed")
    told = json.loads(found.to_json())
    assert told["schema"] == "bayeskit.judge_robustness/1" and told["settings"][1] == {
        "setting": "bad", "status": "FAIL", "tau": None,
    }  # fmt: skip
    with pytest.raises(SpecificationError, match="reference setting 'bad' has status FAIL"):
        robustness(fits, reference="bad")


def test_sweeps_and_methods():
    base, other = fit_of([[3, 2, 1]] * 20), fit_of([[2, 3, 1]] * 20)
    swept = Sweep(
        (Cell({"judge_quality.alpha": 2.0}, "PASS", other), Cell({"judge_quality.alpha": 9.0}, "ERROR", None)), base, 0.95
    )
    found = base.robustness(swept)
    assert list(found.settings.index) == ["base", "judge_quality.alpha=2", "judge_quality.alpha=9"]
    assert found.of("prior-driven") == (("A", "B"),) and found.left_out == ("judge_quality.alpha=9",)
    assert list(base.robustness({"other": other}).settings.index) == ["this fit", "other"]
    with pytest.raises(SpecificationError, match="of another fit"):
        other.robustness(swept)


def test_errors_and_html():
    with pytest.raises(SpecificationError, match="fits is empty"):
        robustness({})
    with pytest.raises(SpecificationError, match=r"Did you mean 'first'\?"):
        robustness({"first": fit_of([[3, 2, 1]])}, reference="frist")
    with pytest.raises(SpecificationError, match="prob="):
        robustness({"first": fit_of([[3, 2, 1]])}, prob=0.3)
    found = robustness({"<b>x</b>": fit_of([[3, 2, 1]] * 5, names=["<i>", "B", "C"])})
    assert "<b>x" not in found._repr_html_() and "<i>" not in found._repr_html_()
    with pytest.raises(SpecificationError, match="verdict="):
        found.of("certain")


# -- dials --------------------------------------------------------------------------------------------------------

WIDE = ("A", "B", "C")
PANELS = {
    "marginal, strict": (JudgeSimplex(2, constancy="strict"), {"prevalence.a", "judge_quality.alpha", "judge_lean.beta"}),
    "marginal, learned": (JudgeSimplex(2), {"prevalence.a", "constancy_scale.sigma", "shared_share.alpha"}),
    "marginal, relaxed, own": (
        JudgeSimplex(2, constancy="relaxed", own={"judge 01": ["candidate 01"]}),
        {"prevalence.a", "constancy.scale", "self_deviation.sigma", "self_deviation.mu"},
    ),
    "marginal, three": (
        JudgeSimplex(3, constancy="strict"),
        {"prevalence.a", "judge_vertices.boost", "judge_vertices.base", "monotone.sharpness"},
    ),
    "joint": (JudgeSimplex(2, judge=WIDE), {"prevalence.a", "judge_quality.beta", "constancy_factor.sigma"}),
    "joint, three, relaxed": (JudgeSimplex(3, judge=WIDE, constancy=0.25), {"prevalence.a", "constancy.scale"}),
    "paired, strata": (
        JudgeSimplex(2, item="item", stratum="stratum"),
        {"ability_scale.sigma", "difficulty_scale.sigma", "stratum_scale.sigma", "judge_quality.alpha"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PANELS)
def test_every_dial_does_something(name):
    """Turned by its natural step, each dial changes the log prior of draws or, inside the likelihood, their log likelihood."""
    spec, wanted = PANELS[name]
    simulation = spec.simulate(2, candidates=3, judges=3, items=20)
    statistics = spec.statistics(simulation.table)
    dials = spec.dials(statistics)
    assert wanted <= set(dials)
    draws = prior_draws(spec, statistics, dials, 6, np.random.default_rng(1))
    before = sum(log_prior(spec, statistics, dials, draws).values())
    for assumption in spec.assumptions(statistics):
        for full, dial in assumption.dials.items():
            step = natural_step(assumption, dial, dials)
            turned = {**dials, full: min(dial.high, dials[full] + step)}
            assert turned[full] != dials[full] and np.isfinite(step)
            after = sum(log_prior(spec, statistics, turned, draws).values())
            if full == "constancy.scale":
                told = [spec.log_likelihood(simulation.table, simulation.parameters, dials=d) for d in (dials, turned)]
                assert abs(told[1] - told[0]) > 1e-3, full
            else:
                assert np.abs(after - before).min() > 1e-9, full


def test_settings_that_are_no_dials_are_alternatives():
    """Likelihood, self cells and constancy are turned by fitting another specification: each is declared."""
    spec = JudgeSimplex(2, item="item", own={"judge 01": ["candidate 01"]})
    declared = {k for a in spec.assumptions(spec.statistics(spec.simulate(1, items=20).table)) for k in a.choices}
    assert declared == {"likelihood", "quality", "monotone", "constancy", "self_cells"}
    assert replace(spec, likelihood="joint").canonical() != spec.canonical() == replace(spec, likelihood="paired").canonical()
