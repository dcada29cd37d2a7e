"""The ladder on judges: what the draws say of priors is what refits say."""

from __future__ import annotations

import numpy as np
import pytest

from bayeskit import Prior
from bayeskit.engine import compile_count
from bayeskit.sensitivity import analysis
from bayeskit.sensitivity.space import Space


def test_the_space_of_judges(paired_fit):
    """The sampler's density and the total log likelihood come back from the draws of shares, qualities and deviations."""
    space = Space(paired_fit)
    np.testing.assert_allclose(space.evaluate(space.draws), space.log_density, rtol=1e-10)
    natural = space.natural(space.draws)
    for name, variable in natural.data_vars.items():
        np.testing.assert_allclose(variable, paired_fit.posterior[name].transpose(*variable.dims), rtol=1e-9, atol=1e-12)
    total = space.log_likelihood(natural, space.log_density)
    np.testing.assert_allclose(total, paired_fit.draws["log_likelihood"]["total"], rtol=1e-8)


def test_another_prior_of_judges_climbs(paired_fit, compiled_with):
    """Beta(60, 2) on quality cannot be reached by weights; the refit turns dials and compiles nothing."""
    other = {"judge_quality": Prior("Beta", dims=("judge",), alpha=60.0, beta=2.0)}
    before = compiled_with(paired_fit)
    found = paired_fit.reweight(other, ladder=("reweight", "refit"))
    assert compile_count() == before and found.rung == "refitted" and found.tried[0].k_hat > 0.7
    assert found.refit.dials["judge_quality.alpha"] == 60.0 and type(found.refit) is type(paired_fit)
    assert np.isfinite(found.table["shift"]).all()


def test_the_picture_of_judges(paired_fit):
    found = paired_fit.sensitivity()
    picture = found.plot(most=6)
    largest = max((r for r in found.rows if np.isfinite(r.shift)), key=lambda r: abs(r.shift))
    assert f"{largest.dial} on {largest.quantity} " in picture.alt and picture.alt.count("(") >= 6


@pytest.mark.slow
def test_derivatives_of_judges_against_refits(paired_fit):
    """Specification, check 10, on a model that people use: refits half a step apart, 16,000 draws each.

    For every dial the quantity that it moves most: within 10 % or 3 Monte Carlo errors of the central difference. All the
    other comparisons (some fifty) within 4.5, which chance alone exceeds once in 3,000 runs of this test.
    """
    base = paired_fit.refit(draws=4000, tune=1000, seed=11)
    names, values = analysis._quantities(base, None)
    spread = values.std((0, 1))
    looked = 0
    for assumption in base.assumptions:
        for dial in assumption.dials if assumption.level in analysis.TOP else ():
            turned = analysis._turn(base, assumption, dial, values)
            if not np.isfinite(turned.shift).any():
                continue
            ends = []
            for way, seed in ((-0.25, 12), (0.25, 13)):
                ends.append(base.refit(dials={dial: base.dials[dial] + way * turned.step}, seed=seed).summary().loc[names])
            change = (ends[1]["mean"] - ends[0]["mean"]).to_numpy() / 0.5 / spread
            error = np.hypot(ends[0]["mcse_mean"], ends[1]["mcse_mean"]).to_numpy() / 0.5 / spread
            error = np.hypot(error, turned.mcse)
            top, gap = int(np.argmax(np.abs(turned.shift))), np.abs(turned.shift - change)
            assert gap[top] < max(0.1 * abs(change[top]), 3 * error[top]), (dial, turned.shift[top], change[top], error[top])
            assert (gap < np.maximum(0.1 * np.abs(change), 4.5 * error)).all()
            looked += 1
    assert looked >= 6
