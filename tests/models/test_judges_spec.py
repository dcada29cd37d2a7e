"""Settings of JudgeSimplex: what is refused, with which words, and how a specification is written down."""

import json

import numpy as np
import pytest

import bayeskit
from bayeskit.errors import SpecificationError
from bayeskit_models.judges import JudgeSimplex
from bayeskit_models.judges.assumptions import is_binary
from bayeskit_models.judges.presets import QUALITY_BETA, QUALITY_BOOST

REFUSED = {
    "unknown setting": ({"levls": 2}, "no setting 'levls'"),
    "one level": ({"levels": 1}, "from 2 to 20"),
    "half a level": ({"levels": 2.5}, "from 2 to 20"),
    "true levels": ({"levels": True}, "from 2 to 20"),
    "likelihood": ({"likelihood": "margnal"}, "Did you mean 'marginal'"),
    "constancy": ({"constancy": "relax"}, "Did you mean 'relaxed'"),
    "constancy below zero": ({"constancy": -0.5}, "from 0.01 to 10"),
    "constancy not a number": ({"constancy": float("nan")}, "from 0.01 to 10"),
    "constancy so small that it is none": ({"constancy": 0.001}, "from 0.01 to 10"),
    "constancy true": ({"constancy": True}, "from 0.01 to 10"),
    "constancy none": ({"constancy": None}, "from 0.01 to 10"),
    "constancy list": ({"constancy": [0.5]}, "from 0.01 to 10"),
    "self cells": ({"self_cells": "dropp"}, "Did you mean 'drop'"),
    "monotone": ({"monotone": "yes"}, "True or False"),
    "quality preset": ({"quality": "modrate"}, "Did you mean 'moderate'"),
    "one number for two levels": ({"quality": 2.0}, "two parameters"),
    "two numbers for three levels": ({"levels": 3, "quality": (5, 5)}, "pseudo-counts"),
    "negative Beta": ({"quality": (-1.0, 2.0)}, "two parameters"),
    "negative pseudo-counts": ({"levels": 3, "quality": -1.0}, "pseudo-counts"),
    "endless pseudo-counts": ({"levels": 3, "quality": float("inf")}, "pseudo-counts"),
    "lowest": ({"lowest": 0.5}, "lowest"),
    "paired without items": ({"likelihood": "paired"}, "item="),
    "joint long without items": ({"likelihood": "joint"}, "item="),
    "count and item": ({"count": "n", "item": "i"}, "exclude"),
    "reversible judges": ({"monotone": False, "quality": 0}, "rank nothing"),
    "reversible judges of three levels": ({"levels": 3, "monotone": False, "quality": 0.0}, "rank nothing"),
    "own is no mapping": ({"own": "A"}, "mapping of judge"),
    "own is a number": ({"own": 3}, "mapping of judge"),
}


@pytest.mark.parametrize(("settings", "match"), REFUSED.values(), ids=REFUSED)
def test_impossible_settings_are_refused(settings, match):
    with pytest.raises(SpecificationError, match=match):
        JudgeSimplex(**{"levels": 2, **settings})


VALID = {
    "plain": {"levels": 2},
    "all": {
        "levels": 4, "candidate": "model", "judge": "by", "score": "mark", "item": "question", "gold": "truth",
        "stratum": "subject", "own": {"J": ["a", "b"], "I": "c"}, "likelihood": "joint", "constancy": 0.25, "quality": 7.5,
        "self_cells": "drop", "monotone": False, "lowest": 0,
    },
    "wide": {"levels": 2, "judge": ["A", "B"], "quality": [6, 3], "count": "n"},
    "presets": {"levels": 3, "quality": "near-perfect", "constancy": "strict"},
}  # fmt: skip


@pytest.mark.parametrize("settings", VALID.values(), ids=VALID)
def test_json_gives_back_an_equal_specification(settings):
    spec = JudgeSimplex(**settings)
    text = spec.to_json()
    assert json.loads(text)["model"] == "JudgeSimplex"
    for again in (JudgeSimplex.from_json(text), bayeskit.from_json(text)):
        assert again == spec and hash(again) == hash(spec) and again.to_json() == text


def test_specifications_are_values():
    assert JudgeSimplex(2, own={"A": ["y", "x"]}) == JudgeSimplex(2, own={"A": ("x", "y")})
    assert JudgeSimplex(2, own={}) == JudgeSimplex(2, own={"A": []}) == JudgeSimplex(2)
    assert JudgeSimplex(2, constancy=0) == JudgeSimplex(2, constancy=0.0) == JudgeSimplex(2, constancy="strict")
    assert JudgeSimplex(2, judge=["A"]).judge == ("A",)
    with pytest.raises(AttributeError):
        JudgeSimplex(2).levels = 3


def test_defaults():
    assert JudgeSimplex(2).base == 0 and JudgeSimplex(5).base == 1 and JudgeSimplex(5, lowest=0).base == 0
    assert JudgeSimplex(2).chosen_likelihood == "marginal"
    assert JudgeSimplex(2, item="i").chosen_likelihood == "paired"
    assert JudgeSimplex(2, judge=("A", "B")).chosen_likelihood == "joint"
    assert JudgeSimplex(2, judge=("A", "B"), item="i").chosen_likelihood == "paired"
    assert is_binary(JudgeSimplex(2)) and not is_binary(JudgeSimplex(2, monotone=False)) and not is_binary(JudgeSimplex(3))


def dials(spec, **sizes):
    statistics = spec.statistics(spec.simulate(0, candidates=3, judges=2, items=4, **sizes).table)
    return spec.dials(statistics), {a.name: a for a in spec.assumptions(statistics)}, statistics


@pytest.mark.parametrize("preset", QUALITY_BETA)
def test_presets_are_what_the_dials_say(preset):
    found, _, _ = dials(JudgeSimplex(2, quality=preset))
    assert (found["judge_quality.alpha"], found["judge_quality.beta"]) == QUALITY_BETA[preset]
    found, _, _ = dials(JudgeSimplex(3, quality=preset))
    assert found["judge_vertices.boost"] == QUALITY_BOOST[preset]


def test_presets_are_ordered():
    means = [a / (a + b) for a, b in (QUALITY_BETA[p] for p in ("weak", "moderate", "strong", "near-perfect"))]
    assert means == sorted(means)
    boosts = [QUALITY_BOOST[p] for p in ("vague", "weak", "moderate", "strong", "near-perfect")]
    assert boosts == sorted(boosts)


@pytest.mark.parametrize(
    ("settings", "present", "absent"),
    [
        ({"constancy": "strict"}, {"constancy"}, {"constancy_deviation", "constancy_scale"}),
        ({"constancy": 0.3}, {"constancy", "constancy_deviation"}, {"constancy_scale"}),
        ({"constancy": "learned"}, {"constancy_scale", "constancy_deviation"}, {"constancy"}),
        ({"item": "i"}, {"ability", "difficulty_scale"}, {"prevalence", "cut_gap"}),
        ({"levels": 3, "item": "i"}, {"cut_gap", "monotone", "judge_vertices"}, {"judge_quality"}),
        ({"stratum": "g"}, {"stratum_scale", "stratum_deviation"}, {"stratum_ability"}),
        ({"stratum": "g", "item": "i"}, {"stratum_ability", "stratum_difficulty"}, {"prevalence"}),
    ],
)
def test_settings_choose_the_assumptions(settings, present, absent):
    _, assumptions, _ = dials(JudgeSimplex(**{"levels": 2, **settings}))
    assert present <= set(assumptions) and not absent & set(assumptions)


def test_a_fixed_scale_is_a_dial():
    found, _, statistics = dials(JudgeSimplex(2, constancy="relaxed"))
    assert found["constancy.scale"] == 0.5
    spec = JudgeSimplex(2, constancy="relaxed")
    assert spec.set_dials(statistics, {"constancy.scale": 1.0})["constancy.scale"] == 1.0
    with pytest.raises(SpecificationError, match=r"Did you mean 'constancy\.scale'"):
        spec.set_dials(statistics, {"constancy.scle": 1.0})
    with pytest.raises(SpecificationError, match=r"from 0\.01"):
        spec.set_dials(statistics, {"constancy.scale": -1.0})


@pytest.mark.parametrize("levels", [3, 4, 5, 7])
def test_monotone_judges_can_be_drawn_for_any_number_of_levels(levels):
    """Rejection of whole panels would need 1e6 tries at four levels and three judges, and 1e30 at seven."""
    spec = JudgeSimplex(levels)
    simulation = spec.simulate(1, candidates=3, judges=4, items=5)
    vertices = simulation.parameters["judge_vertices"]
    upper = np.cumsum(vertices[..., ::-1], -1)[..., ::-1][..., 1:]
    drops = np.diff(upper, axis=-2)
    assert drops.mean() > 0.05 and drops.min() > -0.2  # the constraint is soft: sharpness 50


def test_the_two_samplers_of_monotone_judges_agree(monkeypatch):
    """Rejection (exact) against the chain of rows, four levels: means within 5 standard errors, 300 draws each."""
    from bayeskit_models.judges import monotone

    rng = np.random.default_rng(0)
    exact = monotone.draw_monotone(rng, 300, 4, base=1.0, boost=2.0, sharpness=50.0)
    monkeypatch.setattr(monotone, "_REJECTION_UP_TO", 3)
    chain = monotone.draw_monotone(rng, 300, 4, base=1.0, boost=2.0, sharpness=50.0)
    z = (exact.mean(0) - chain.mean(0)) / np.sqrt((exact.var(0) + chain.var(0)) / 300)
    assert np.abs(z).max() < 5.0
    np.testing.assert_allclose(exact.std(0), chain.std(0), rtol=0.25)


def test_simulating_names_the_judges_and_candidates_of_own():
    spec = JudgeSimplex(2, own={"x": ["u"], "y": ["v", "candidate 04"]})
    table = spec.simulate(0, candidates=4, judges=3, items=4).table
    assert {"x", "y"} < set(table["judge"]) and {"u", "v", "candidate 04"} < set(table["candidate"])
    assert table["judge"].nunique() == 3 and table["candidate"].nunique() == 4
    with pytest.raises(SpecificationError, match="more judges"):
        spec.simulate(0, candidates=4, judges=1, items=4)
