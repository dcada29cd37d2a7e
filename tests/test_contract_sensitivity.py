"""What every registered model owes the sensitivity analysis, on its own simulated data.

A full table, a sweep, a tipping point, an influence run: a new model is here as soon as it is registered.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

pytest.importorskip("pymc")

from test_contract import EXAMPLES, MODELS

import bayeskit
from bayeskit.engine import compile_count
from bayeskit.sensitivity.claim_terms import Element, written
from bayeskit.sensitivity.result import STATES

# Long enough for the checks of a sound model: with 400 draws R-hat passes 1.01 by chance alone, and a failed fit is no start
# for a tipping point.
SETTINGS = {"draws": 1000, "tune": 1000, "chains": 4, "progress": False}
REFITS = {"draws": 150, "tune": 150}


@pytest.fixture(scope="module", params=[m for m in MODELS if m in EXAMPLES])
def fit(request):
    settings, sizes = EXAMPLES[request.param]
    spec = bayeskit.load_model(request.param)(**settings)
    return spec.fit(spec.simulate(1, **sizes).table, seed=7, **SETTINGS)


def headline(fit):
    """The first element of the first headline estimand, as a claim writes it, and its draws."""
    name = fit._headline()[0]
    variable = fit.estimands[name]
    own = [d for d in variable.dims if d not in ("chain", "draw")]
    labels = tuple(str(variable[d].values[0]) for d in own)
    first = variable.isel({d: 0 for d in own}).transpose("chain", "draw").values
    return written(Element(name, labels)), first


def dials_of_priors(fit):
    return [d for a in fit.assumptions if a.prior is not None and a.level == "hyper" for d in a.dials]


def test_a_full_table(fit):
    """Every top-level assumption against every headline element, each with a state and, unless "not computed", a k-hat."""
    found = fit.sensitivity()
    top = [a.name for a in fit.assumptions if a.level in ("structural", "hyper", "constraint")]
    names = fit.summary().index
    wanted = {str(q) for q in names if str(q).split("[")[0] in fit._headline()}
    assert {(r.assumption, r.quantity) for r in found.rows} == {(a, q) for a in top for q in wanted}
    for row in found.rows:
        assert row.state in STATES and row.sentence()
        assert (row.state == "not computed") == (not math.isfinite(row.index))
        assert row.state == "not computed" or not math.isnan(row.k_hat)
        assert row.how
    computed = {r.assumption for r in found.rows if r.state != "not computed"}
    assert computed == {a.name for a in fit.assumptions if a.prior is not None and a.name in top} | {
        a.name for a in fit.assumptions if a.level == "constraint" and a.name in fit.draws["log_prior"]
    }
    assert found.plot().alt and json.loads(found.to_json())["rows"]


def test_every_dial_of_a_top_level_prior_moves_something(fit):
    """A dial that enters nothing is no dial: turning it by a tenth of its step changes the log prior of some draw."""
    from bayeskit.prior_check import log_prior
    from bayeskit.sensitivity.derivative import natural_step

    for a in fit.assumptions:
        for name, dial in a.dials.items() if a.prior is not None else ():
            turned = {**fit.dials, name: fit.dials[name] + 0.1 * natural_step(a, dial, fit.dials)}
            before, after = (log_prior(fit.spec, fit.statistics, d, fit.posterior, only=a.name) for d in (fit.dials, turned))
            assert not np.allclose(before[a.name], after[a.name], rtol=0.0, atol=1e-12), name


def test_a_sweep(fit):
    name = dials_of_priors(fit)[0]
    now, before = fit.dials[name], compile_count()
    values = [now + 0.25, now + 0.5]
    found = fit.sweep({name: values}, **REFITS)
    assert compile_count() == before
    assert [c.dials[name] for c in found.cells] == values and all(c.fit is not None for c in found.cells)
    assert set(found.table["quantity"].str.split("[").str[0]) == set(fit._headline())
    assert json.loads(found.to_json())["rows"]


def test_a_tipping_point(fit):
    """A claim that holds of these draws; whatever comes of it, it says what was evaluated and how."""
    element, draws = headline(fit)
    claim = f"mean({element}) > {np.mean(draws) - 10.0 * np.std(draws):.6g}"
    assert fit.claim(claim).state in ("holds", "not computed")
    found = fit.tipping_point(claim, dials_of_priors(fit)[0], most_refits=0)
    assert found.headline and len(found.points) >= 2
    assert {p.how for p in found.points} <= {"as fitted", "reweighted", "refitted"}
    assert math.isnan(found.value) or found.lower <= found.value <= found.upper
    assert found.plot().alt and json.loads(found.to_json())


def test_influence(fit):
    units = fit.spec.units(fit.statistics)
    assert units and units[0] == "row", "a model says by which units its data can be left out; 'row' is the finest"
    found = fit.influence("row", thin_to=200)
    counts = fit.spec.unit_counts(fit.statistics, "row")
    assert {r.unit for r in found.rows} == {str(u) for u in counts["unit"].values}
    assert all(r.state in ("ok", "influential", "unreliable", "not computed") for r in found.rows)
    assert found.headline and found.plot().alt and json.loads(found.to_json())


def test_alternatives_are_other_specifications(fit):
    found = fit.alternatives()
    for name in found:
        assert type(found[name]) is type(fit.spec) and found[name] != fit.spec
