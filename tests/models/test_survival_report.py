"""The report of a survival fit, and the example: what a cure claim rests on, the sign of every effect, censoring."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

from survival_cases import MULTIPLIER, TWO

from bayeskit.report.content import format_cell
from bayeskit_models import datasets
from bayeskit_models.survival import distribution
from bayeskit_models.survival.report_sections import _ratio_numbers, effect_words


def test_the_sign_of_every_effect(gbsg2_fit, gbsg2_wide, gbsg2_weibull):
    """A positive scale effect makes time run faster: the ratio told is that of times, against what the curves say."""
    effect = gbsg2_wide.estimands["scale_effect"].sel(scale_term="horTh[T.yes]").values.reshape(-1)
    ratio, _ = effect_words("scale", effect, 0.95, True)
    a, b = ({"horTh": [v], "pnodes": [3]} for v in ("yes", "no"))
    exact = gbsg2_wide.time_ratio(a, b, 0.3).draws.values.reshape(-1)
    reached = np.isfinite(exact)
    np.testing.assert_allclose(ratio[reached], exact[reached], rtol=1e-10)
    assert effect_words("scale", np.full(9, 0.5), 0.95, True)[1] == "times are shorter"
    effect = gbsg2_weibull.estimands["hazard_effect"].values.reshape(-1)
    exact = gbsg2_weibull.hazard_ratio(TWO.iloc[1:], TWO.iloc[:1], [700.0]).draws.values.reshape(-1)
    np.testing.assert_allclose(effect_words("hazard", effect, 0.95, True)[0], exact, rtol=1e-10)
    assert effect_words("hazard", np.full(9, 0.5), 0.95, True)[1] == "the hazard is higher"
    # what is said of power and tail, from the law itself: spread of log times, and cumulative hazard
    assert effect_words("shape", np.full(9, 0.5), 0.95, True)[1] == "times are less spread out"
    spread = [np.log(distribution.quantile(0.6, 0.4, 1, g, -0.2) / distribution.quantile(0.2, 0.4, 1, g, -0.2)) for g in (1, 2)]
    assert spread[1] == pytest.approx(spread[0] / 2, rel=1e-12)
    assert effect_words("tail", np.full(9, 0.5), 0.95, True)[1] == "fewer are spared for long"
    grid = np.geomspace(0.01, 100, 40)
    assert (distribution.survival(grid, 1, 1, 1.5, 1.0) < distribution.survival(grid, 1, 1, 1.5, -0.5)).all()
    assert effect_words("scale", np.linspace(-1, 1, 99), 0.95, True)[1] == "direction not settled"


def test_both_ends_of_a_ratio_keep_the_digits_they_deserve():
    """Ratios 0.56 to 4.4: by one error for both ends the lower one was printed as 1."""
    draws = np.exp(np.random.default_rng(0).normal(0.45, 0.52, (4, 250)))
    mid, low, high = _ratio_numbers(draws, 0.95)
    np.testing.assert_allclose([low.value, mid.value, high.value], np.quantile(draws, (0.025, 0.5, 0.975)), rtol=5e-3)
    assert low.mcse / low.value == pytest.approx(high.mcse / high.value) and mid.mcse / mid.value < low.mcse / low.value
    # of a normal logarithm with 1000 independent draws: 0.52 / sqrt(1000) * sqrt(p (1 - p)) / density
    assert low.mcse / low.value == pytest.approx(0.52 / np.sqrt(1000) * 2.67, rel=0.25)
    assert [format_cell(n) for n in (mid, low, high)] == ["1.6", f"{low.value:.1f}", f"{high.value:.0f}"]


def test_the_report_says_what_a_cure_rests_on(gbsg2_fit, gbsg2_weibull, tmp_path):
    text = gbsg2_fit.report(tmp_path / "r.md").read_text()
    for words in (
        "A cured share",
        "P(kappa &lt; 0)",
        "extrapolation",
        "At risk: 75 at 1994",
        "everybody has the same cured share",
    ):
        assert words in text, words
    assert "time ratio, exp(-effect)" in text and "horTh = yes" in text and "no single ratio is the effect" in text
    assert gbsg2_fit.report(tmp_path / "r.html").read_text().startswith("<!doctype html>")
    titles = [s.title for s in gbsg2_weibull.sections()]
    # kappa = 1: nobody is cured, and nothing is said of it
    assert titles == ["The law", "Effects", "Survival", "Fit to the rows"]
    assert "The law is fixed: weibull" in repr(gbsg2_weibull.sections()[0])


def test_a_report_shows_the_censoring_that_was_assumed(gbsg2_fit):
    other = dataclasses.replace(gbsg2_fit, dials={**gbsg2_fit.dials, MULTIPLIER: 2.0})
    (section,) = (s for s in other.sections() if s.id == "survival")
    assert "2 times the hazard of those followed" in repr(section)


def test_the_example_says_what_a_cure_claim_rests_on(capsys):
    """Small; P(kappa < 0) is 1.00 with lambda tied and near a half with it free, far from the bounds here."""
    path = Path(__file__).resolve().parents[2] / "examples" / "cure_or_follow_up.py"
    spec = importlib.util.spec_from_file_location("cure_or_follow_up", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    table = datasets.load("gbsg2")
    short = example.cut_short(table, 1500.0)
    assert short["time"].max() == 1500.0 and short["cens"].sum() == ((table["time"] <= 1500) & (table["cens"] == 1)).sum()
    assert example.main(["--draws", "400", "--chains", "2"]) in (0, 2)
    told = capsys.readouterr().out
    assert "the claim of a cure rests on tying lambda" in told and "lambda free fits better" in told
    found = pd.DataFrame(
        {"P(kappa < 0)": [1.0, 1.0], "cured": 0.3, "lower": 0.2, "upper": 0.4, "S": 0.6, "mean log likelihood": 0.0}
    )
    assert "stands without tying lambda" in example.sentence(found) and "fit the data alike" in example.sentence(found)
