"""The laws of every registered model: each installed one is walked through the same questions."""

import dataclasses
import inspect
import json
import os
import re

import numpy as np
import pytest

pytest.importorskip("pymc")

import bayeskit
from bayeskit.prior_check import log_prior, prior_draws

EXAMPLES = {
    "BenchmarkVariance": ({"benchmark": "benchmark", "seed": "seed"}, {"models": 3, "items": 12, "seeds": 2}),
    "FlexibleSurvival": ({"scale": "x", "shape": "x", "unit": 1.0}, {"n": 150}),
    "SelectiveRisk": ({"risk": "x1 + x2", "prevalence": (0.4, 0.1), "expertise": ("x1",)}, {"n": 300}),
    "JudgeSimplex": ({"levels": 2, "item": "item"}, {"candidates": 4, "judges": 3, "items": 20}),
}
"""For each model: the settings of a small specification, and the sizes of a small simulated table."""

# Models of other packages bring theirs: BAYESKIT_CONTRACT='{"MyModel": [{"setting": 1}, {"size": 4}]}'
EXAMPLES |= {name: tuple(example) for name, example in json.loads(os.environ.get("BAYESKIT_CONTRACT", "{}")).items()}

MODELS = bayeskit.model_names()  # at import: the installed models, not those that other tests register
DRAWS = {"draws": 60, "tune": 60, "chains": 2, "progress": False}
SUMMARY = ["mean", "sd", "median", "lower", "upper", "mcse_mean", "ess_bulk", "ess_tail", "r_hat"]


def test_every_model_has_an_example():
    assert set(MODELS) == set(EXAMPLES), "add the new model to EXAMPLES: that is all a model's author writes here"


@pytest.fixture(scope="module", params=[m for m in MODELS if m in EXAMPLES])
def model(request):
    return bayeskit.load_model(request.param)


@pytest.fixture(scope="module")
def spec(model):
    return model(**EXAMPLES[model.__name__][0])


@pytest.fixture(scope="module")
def sizes(model):
    return EXAMPLES[model.__name__][1]


@pytest.fixture(scope="module")
def simulation(spec, sizes):
    return spec.simulate(1, **sizes)


@pytest.fixture(scope="module")
def statistics(spec, simulation):
    return spec.statistics(simulation.table)


@pytest.fixture(scope="module")
def fit(spec, simulation):
    return spec.fit(simulation.table, seed=7, **DRAWS)


def documented(docstring):
    """Names under "Parameters" of a numpydoc docstring."""
    text = inspect.cleandoc(docstring)
    match = re.search(r"^Parameters\n-+\n(.*?)(?:\n\n\S[^\n]*\n-+\n|\Z)", text, flags=re.S | re.M)
    heads = re.findall(r"^([\w, *]+?)(?: : .*)?$", match.group(1), flags=re.M) if match else []
    return {name.strip() for head in heads for name in head.split(",")}


# -- the class ----------------------------------------------------------------------------------------------------


def test_every_setting_is_documented(model):
    settings = {f.name for f in dataclasses.fields(model) if f.init}
    missing = settings - documented(model.__doc__)
    assert not missing, f"{model.__name__}: settings without a word in the docstring: {sorted(missing)}"


def test_no_catch_all_arguments(model):
    for name, method in vars(model).items():
        if not name.startswith("_") and inspect.isfunction(method):
            kinds = {p.kind for p in inspect.signature(method).parameters.values()}
            bad = kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
            assert not bad, f"{model.__name__}.{name} takes *args or **kwargs: a misspelt argument would be silent"


def test_unknown_settings_are_refused(model):
    settings, _ = EXAMPLES[model.__name__]
    with pytest.raises(bayeskit.SpecificationError, match="no setting 'nonsense'"):
        model(**settings, nonsense=1)


def test_specifications_are_frozen_values(model, spec):
    again = model(**EXAMPLES[model.__name__][0])
    assert again == spec and hash(again) == hash(spec)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(spec, dataclasses.fields(spec)[0].name, None)


def test_json_round_trip(model, spec):
    assert model.from_json(spec.to_json()) == spec
    assert bayeskit.from_json(spec.to_json()) == spec


def test_columns_say_what_they_are(spec):
    columns = spec.columns()
    assert len({c.role for c in columns}) == len(columns)
    for column in columns:
        assert column.sentence and not column.sentence.endswith(".")


# -- units --------------------------------------------------------------------------------------------------------


def test_units_can_be_left_out_without_another_model(spec, statistics):
    """Every kind of unit: distinct labels, counts, and statistics that keep parameters and structure."""
    for by in spec.units(statistics):
        counts = spec.unit_counts(statistics, by)
        labels = [str(x) for x in counts["unit"].values]
        assert len(set(labels)) == len(labels) and counts.dtype.kind == "i" and int(counts.sum()) > 0
        place = int(counts.values.argmax())
        less = spec.without(statistics, by, labels[place])
        assert less.attrs == statistics.attrs
        assert [a.name for a in spec.assumptions(less)] == [a.name for a in spec.assumptions(statistics)]
        for a in spec.assumptions(statistics):
            for dim in a.prior.dims if a.prior is not None else ():
                assert less.sizes[dim] == statistics.sizes[dim]
        with pytest.raises(bayeskit.SpecificationError, match="No "):
            spec.without(statistics, by, "no such unit")


def test_contributions_of_units_are_those_of_the_default(spec, statistics, fit):
    """A model's own contributions against the difference of two compiled likelihoods."""
    thin = fit.posterior.isel(chain=slice(0, 1), draw=slice(0, 3))
    for by in spec.units(statistics):
        default = bayeskit.ModelBuilder.log_likelihood_of(spec, thin, statistics, by)
        own = spec.log_likelihood_of(thin, statistics, by)
        assert own.dims == ("chain", "draw", "unit")
        assert np.abs(own.values - default.values).max() < 1e-8


# -- assumptions --------------------------------------------------------------------------------------------------


def test_every_assumption_has_a_sentence_and_something_to_turn(spec, statistics):
    assumptions = spec.assumptions(statistics)
    assert len({a.name for a in assumptions}) == len(assumptions)
    settings = {f.name for f in dataclasses.fields(spec)}
    for a in assumptions:
        assert a.sentence.endswith(".") and len(a.sentence.split()) >= 5, a.name
        assert a.dials or a.setting, f"{a.name}: neither a dial nor a setting"
        assert a.setting is None or a.setting in settings, f"{a.name}: no setting {a.setting!r}"
        assert a.setting is None or len(a.alternatives) >= 2, f"{a.name}: {a.setting} has no alternatives"
        for dial in a.dials.values():
            assert dial.sentence and dial.low <= dial.value <= dial.high


def test_alternatives_are_settings_that_exist(spec, statistics):
    """Each alternative can be specified, or is refused with a reason (it may not suit the other settings)."""
    for a in spec.assumptions(statistics):
        for value in a.alternatives:
            try:
                changed = dataclasses.replace(spec, **{a.setting: value})
            except bayeskit.SpecificationError as error:
                assert len(str(error)) > 20
            else:
                assert type(changed) is type(spec)


# -- statistics, simulation ---------------------------------------------------------------------------------------


def test_the_order_of_rows_does_not_matter(spec, simulation):
    shuffled = simulation.table.sample(frac=1.0, random_state=1)
    a, b = (spec.log_likelihood(t, simulation.parameters) for t in (simulation.table, shuffled))
    assert a == pytest.approx(b, rel=1e-12)


def test_simulations_repeat_and_keep_the_design(spec, sizes, simulation, statistics):
    again = spec.simulate(1, **sizes)
    assert again.table.equals(simulation.table)
    assert set(simulation.parameters) == {a.name for a in spec.assumptions(statistics) if a.prior is not None}
    like = spec.simulate(2, like=statistics, parameters=simulation.parameters)
    assert set(like.table.columns) == set(simulation.table.columns) and len(like.table) == len(simulation.table)
    redone = spec.statistics(like.table)
    assert redone.attrs == statistics.attrs and set(redone.data_vars) == set(statistics.data_vars)
    for a in spec.assumptions(statistics):
        for dim in a.prior.dims if a.prior else ():
            assert redone.sizes[dim] == statistics.sizes[dim]


def test_parameters_can_be_evaluated(spec, simulation, statistics):
    assert np.isfinite(spec.log_likelihood(simulation.table, simulation.parameters))
    dials = spec.dials(statistics)
    draws = prior_draws(spec, statistics, dials, 5, np.random.default_rng(0))
    parts = log_prior(spec, statistics, dials, draws)
    assert all(np.isfinite(v).all() for v in parts.values())
    for weight in spec.log_constraint({str(n): v.values[0] for n, v in draws.items()}, statistics, dials).values():
        assert (np.asarray(weight) <= 1e-9).all()
    estimands = spec.estimands(draws, statistics)
    assert all(v.sizes["draw"] == 5 for v in estimands.data_vars.values())


def test_prior_prediction(spec, simulation):
    found = spec.prior_predictive(simulation.table, draws=20, seed=0)
    assert "simulated tables" in repr(found)


# -- fits ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_draws(spec, simulation, fit):
    again = spec.fit(simulation.table, seed=7, cores=1, **DRAWS)
    for name in fit.posterior.data_vars:
        np.testing.assert_array_equal(fit.posterior[name].values, again.posterior[name].values)
    other = spec.fit(simulation.table, seed=8, **DRAWS)
    name = next(iter(fit.posterior.data_vars))
    assert not np.array_equal(fit.posterior[name].values, other.posterior[name].values)


def test_estimands_have_labels_units_and_a_headline(fit):
    estimands = fit.estimands
    assert any(v.attrs["headline"] for v in estimands.data_vars.values())
    for name, variable in estimands.data_vars.items():
        assert variable.attrs["label"] and isinstance(variable.attrs["label"], str), name
        assert variable.attrs["units"] and isinstance(variable.attrs["units"], str), name
        assert variable.dims[:2] == ("chain", "draw"), name
        assert np.isfinite(variable.values).all(), name
        for dim in variable.dims[2:]:
            assert dim in variable.coords, f"{name}: '{dim}' has no labels"


def test_summary(fit):
    for group in ("estimands", "posterior"):
        table = fit.summary(group=group)
        assert list(table.columns) == SUMMARY
        assert table.attrs["prob"] == 0.95 and table.attrs["kind"] == "eti"
        assert (table["lower"] <= table["median"]).all() and (table["median"] <= table["upper"]).all()


def test_the_verdict_of_two_short_chains_is_no_pass(fit):
    assert fit.verdict.status.value in ("WARN", "FAIL")
    assert repr(fit).startswith(fit.verdict.status.value)


def test_file_round_trip(fit, tmp_path):
    again = bayeskit.load(fit.save(tmp_path / "fit.nc", statistics=True))
    assert type(again) is type(fit) and again.spec == fit.spec and again.dials == fit.dials
    assert again.levels == fit.levels
    for group in ("posterior", "estimands"):
        assert again.summary(group=group).equals(fit.summary(group=group))
    for name, variable in fit.statistics.data_vars.items():
        np.testing.assert_array_equal(again.statistics[name].values, variable.values)
    assert again.statistics.attrs == fit.statistics.attrs


def test_provenance(fit):
    assert fit.provenance["model"] == type(fit.spec).__name__
    assert fit.provenance["sampling"]["seed"] == 7 and fit.provenance["data"]["rows"] > 0


def test_report_sections_can_be_made(fit):
    assert isinstance(fit.sections(), tuple)
