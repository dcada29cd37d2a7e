"""Chains start where the hazard is finite, whatever the covariates."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit.engine import compiled_for
from bayeskit_models.survival import FlexibleSurvival


def test_starting_points_have_a_density_that_a_sampler_can_leave():
    """500 starts with skewed covariates and times over four decades: before effects started at 0 some were at -1e26.

    A normal log density of this size is some thousands below 0; a step cannot leave a point where it is 1e15 below.
    """
    rng = np.random.default_rng(0)
    n = 150
    table = {"time": np.exp(rng.normal(0.0, 2.0, n)), "event": np.ones(n), "x": rng.lognormal(0.0, 1.0, n)}
    table |= {"site": np.array(list("abcde"))[np.arange(n) % 5]}
    spec = FlexibleSurvival(scale="x", shape="x", tail="x", group="site", group_on=("scale", "shape"))
    statistics = spec.statistics(table)
    compiled = compiled_for(spec, statistics)
    start = compiled.for_data(statistics, spec.dials(statistics)).initial_point_func
    points = np.stack([np.asarray(start(seed)) for seed in range(500)])
    assert (points.std(0) > 0).sum() >= 4  # intercepts and scales of groups still start apart
    assert compiled.log_density(statistics, spec.dials(statistics), points).min() > -1e15
