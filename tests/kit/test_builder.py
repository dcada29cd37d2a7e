"""Specifications: refused when unknown, equal by value, JSON there and back; graphs that hide something are refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import examples
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayeskit import (
    Assumption,
    ModelBuilder,
    Prior,
    SpecificationError,
    from_json,
    load_model,
    model_names,
    registry,
)
from bayeskit.engine import Sampling, _key, clear_cache, compile_count, compiled_for
from bayeskit.graph import build


@dataclass(frozen=True)
class Settings(examples.BetaBinomial):
    prior: Prior = field(default_factory=lambda: Prior("Beta", alpha=1, beta=1))
    names: tuple[str, ...] = ("a", "b")
    scale: float | None = None
    own: Any = None


def test_unknown_settings_are_refused_with_a_suggestion():
    with pytest.raises(SpecificationError, match=r"NormalNormal has no setting 'gruop'\. Did you mean 'group'\?"):
        examples.NormalNormal(gruop="g")


def test_a_dial_among_the_settings_is_sent_to_the_fit_and_a_setting_among_the_dials_back(normal_table):
    with pytest.raises(SpecificationError) as raised:
        examples.NormalNormal(**{"mu.sigma": 2})
    assert str(raised.value) == (
        "NormalNormal has no setting 'mu.sigma'. It is written like a dial, a number of an assumption, and dials are given to "
        "the fit: spec.fit(table, dials={'mu.sigma': 2}), or --dial mu.sigma=2 on the command line. "
        "Its settings: group, y, prior_sd, broken."
    )
    with pytest.raises(SpecificationError) as raised:
        examples.NormalNormal().fit(normal_table, dials={"prior_sd": 2.0}, progress=False)
    assert str(raised.value) == (
        "NormalNormal has no dial 'prior_sd'. It is a setting of the specification: NormalNormal(prior_sd=...), or "
        "-s prior_sd=.... Its dials: mu.mu, mu.sigma, noise.sd."
    )


@pytest.mark.parametrize(
    "spec",
    [
        examples.NormalNormal(group="g", prior_sd=0.1 + 0.2),
        Settings(prior=Prior("Beta", alpha=2, beta=5), names=("x", "é", ""), scale=1e-300),
        Settings(own={"a": (1, 2)}),
    ],
)
def test_json_round_trip(spec):
    text = spec.to_json()
    again = type(spec).from_json(text)
    assert again == spec
    assert again.to_json() == text
    assert set(json.loads(text)) == {"model", "settings"}


def test_equality_and_hash_are_by_value():
    a, b = examples.NormalNormal(prior_sd=1.0), examples.NormalNormal(prior_sd=1.0)
    assert a == b
    assert hash(a) == hash(b)
    assert a != examples.NormalNormal(prior_sd=2.0)
    assert examples.NormalNormal() != examples.RowLevel()
    assert hash(Settings()) == hash(Settings())


def test_a_specification_is_frozen():
    with pytest.raises(AttributeError):
        examples.NormalNormal().prior_sd = 3.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"model": "NormalNormal"}', "JSON object"),
        ('{"model": "NormalNorml", "settings": {}}', "Did you mean 'NormalNormal'"),
        ('{"model": "NormalNormal", "settings": {"prior_sdd": 1}}', "Did you mean 'prior_sd'"),
        ('{"model": "os.system", "settings": {}}', "No model named 'os.system'"),
    ],
)
def test_bad_json_is_refused(text, message):
    with pytest.raises(SpecificationError) as error:
        from_json(text)
    assert message in str(error.value)


def test_json_of_another_model_is_refused():
    with pytest.raises(SpecificationError, match=r"use bayeskit\.from_json"):
        examples.BetaBinomial.from_json(examples.NormalNormal().to_json())
    assert from_json(examples.NormalNormal().to_json()) == examples.NormalNormal()


def test_settings_that_json_cannot_hold_are_refused():
    with pytest.raises(SpecificationError, match="must be JSON-able"):
        Settings(own=object()).to_json()


def test_session_models_join_the_catalogue():
    assert "NormalNormal" in model_names()
    assert load_model("NormalNormal") is examples.NormalNormal
    with pytest.raises(SpecificationError, match="takes a subclass of ModelBuilder"):
        registry.register(int)
    installed = [n for n in model_names() if n not in registry._SESSION]
    if installed:
        clash = type(installed[0], (examples.NormalNormal,), {})
        with pytest.raises(SpecificationError, match="give yours another name"):
            registry.register(clash)


def test_set_dials(normal_table):
    spec = examples.NormalNormal()
    statistics = spec.statistics(normal_table)
    assert spec.dials(statistics) == {"mu.mu": 0.5, "mu.sigma": 2.0, "noise.sd": 1.5}
    assert spec.set_dials(statistics, {"mu.sigma": 3})["mu.sigma"] == 3.0
    with pytest.raises(SpecificationError, match=r"no dial 'mu.sgma'\. Did you mean 'mu.sigma'\?"):
        spec.set_dials(statistics, {"mu.sgma": 1})
    for value in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(SpecificationError, match=r"'mu\.sigma'"):
            spec.set_dials(statistics, {"mu.sigma": value})


def test_set_dials_checks_bounds_that_hold_jointly():
    spec = examples.Jacobians()
    statistics = spec.statistics(pd.DataFrame({"y": [1.0]}))

    class Renamed(examples.Jacobians):
        def assumptions(self, statistics):
            return (Assumption("u", "Between two ends.", "hyper", Prior("Uniform", lower=0, upper=1)),)

    with pytest.raises(SpecificationError, match="lower must be less than upper"):
        Renamed().set_dials(statistics, {"u.lower": 2.0})


@pytest.mark.parametrize(
    "bad",
    [
        {"draws": 0}, {"draws": 2.5}, {"chains": True}, {"tune": -1}, {"seed": -1}, {"seed": 1.5}, {"seed": 2**63},
        {"target_accept": 1.0}, {"backend": "cuda"}, {"cores": 0},
    ],
)  # fmt: skip
def test_sampling_settings_are_checked(bad):
    with pytest.raises(SpecificationError, match=next(iter(bad))):
        Sampling(**bad)


# -- graphs
# ---------------------------------------------------------------------------------------------------------


def variant(**methods):
    return type("Variant", (examples.NormalNormal,), methods)()


def twice(self, graph):
    graph.prior("mu")
    graph.prior("mu")


def own_prior(self, graph):
    import pymc as pm

    examples.NormalNormal.graph(self, graph)
    pm.Normal("sneaked")


def own_potential(self, graph):
    import pymc as pm

    examples.NormalNormal.graph(self, graph)
    pm.Potential("sneaked", graph.variables["mu"].sum())


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda self, graph: None, "added no likelihood"),
        (lambda self, graph: graph.likelihood(graph.dial("noise.sd")), "never uses: mu"),
        (lambda self, graph: graph.likelihood(graph.prior("mu")), "sum it to a scalar"),
        (lambda self, graph: graph.data("totl"), "Did you mean 'total'"),
        (lambda self, graph: graph.dial("noise.s"), "Did you mean 'noise.sd'"),
        (lambda self, graph: graph.prior("m"), "No assumption named 'm'"),
        (lambda self, graph: graph.prior("noise"), "has no prior"),
        (twice, "creates the variable 'mu' twice"),
        (own_prior, "made sneaked with PyMC directly"),
        (own_potential, "made sneaked with PyMC directly"),
    ],
)
def test_graphs_that_break_the_rules_are_refused(graph, message, normal_table):
    spec = variant(graph=graph)
    with pytest.raises(SpecificationError) as error:
        build(spec, spec.statistics(normal_table))
    assert message in str(error.value)


def test_priors_of_unknown_dimensions_are_refused(normal_table):
    prior = Prior("Normal", dims=("grp",), mu=0, sigma=1)
    spec = variant(assumptions=lambda self, s: (Assumption("mu", "Means.", "hyper", prior),))
    with pytest.raises(SpecificationError, match="dimension 'grp'"):
        build(spec, spec.statistics(normal_table))


def test_whole_numbers_keep_64_bits(normal_table):
    """`pm.Data` would make them 32 bits wide, and a count of 3e9 a negative number."""
    spec = examples.NormalNormal()
    statistics = spec.statistics(normal_table)
    statistics["n"] = statistics["n"] * 0 + 3_000_000_000
    model = build(spec, statistics).model
    np.testing.assert_array_equal(model["n"].get_value(), statistics["n"].values)
    assert model["n"].type.dtype == "int64"


def test_data_may_be_nan(normal_table):
    spec = examples.NormalNormal()
    statistics = spec.statistics(normal_table)
    statistics["total"] = statistics["total"] * np.nan
    assert np.isnan(build(spec, statistics).model["total"].get_value()).all()


# -- the cache
# ------------------------------------------------------------------------------------------------------


def test_a_graph_serves_what_agrees_with_its_constants(normal_table):
    clear_cache()
    before = compile_count()
    spec = examples.NormalNormal()
    first = compiled_for(spec, spec.statistics(normal_table))
    assert compiled_for(spec, spec.statistics(normal_table.iloc[::-1].iloc[3:])) is first
    assert compiled_for(examples.NormalNormal(), spec.statistics(normal_table)) is first
    assert compiled_for(spec, spec.statistics(normal_table.query("group != 'a'"))) is not first
    assert compiled_for(examples.NormalNormal(prior_sd=1.0), spec.statistics(normal_table)) is not first
    assert compile_count() == before  # nothing is compiled before it is used


def test_sizes_that_a_graph_asks_for_are_constants_of_it(normal_table):
    def graph(self, graph):
        mu = graph.prior("mu")
        graph.likelihood(-((mu - graph.data("rows").sum() / graph.sizes["row"]) ** 2).sum())

    def reduce(self, rows):
        y = rows.columns["y"]
        return xr.Dataset({"rows": ("row", y)}, coords={"group": list(rows.levels["group"])})

    spec = variant(graph=graph, reduce=reduce)
    first = compiled_for(spec, spec.statistics(normal_table))
    other = compiled_for(spec, spec.statistics(normal_table.iloc[1:]))
    assert other is not first
    assert compiled_for(spec, spec.statistics(normal_table)) is first


def test_a_class_defined_again_is_another_model(normal_table):
    statistics = examples.NormalNormal().statistics(normal_table)
    a, b = (_key(type("Same", (examples.NormalNormal,), {})(), statistics, "numba") for _ in range(2))
    assert a != b


def test_abstract_methods_are_six():
    assert ModelBuilder.__abstractmethods__ == {
        "columns", "reduce", "assumptions", "graph", "estimands", "simulate",
    }  # fmt: skip
