"""The sampler's program of the kit against nutpie's own: the same numbers, and the compiled code is kept on disk."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import examples
import numpy as np
import pytest

from bayeskit.engine import compiled_for

DOUBLES = ctypes.POINTER(ctypes.c_double)
ADDRESS, WORD, STATUS = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int64


def evaluate(program, x):
    """Status codes, log density, gradient and trace at x, through the C interface that the sampler uses."""
    gradient, value, trace = np.zeros_like(x), np.zeros(1), np.zeros(program.n_expanded)
    data = program.user_data.ctypes.data
    density = ctypes.CFUNCTYPE(STATUS, WORD, DOUBLES, DOUBLES, DOUBLES, ADDRESS)(program.compiled_logp_func.address)
    expand = ctypes.CFUNCTYPE(STATUS, WORD, WORD, DOUBLES, DOUBLES, ADDRESS)(program.compiled_expand_func.address)
    at = [a.ctypes.data_as(DOUBLES) for a in (x, gradient, value, trace)]
    codes = density(len(x), at[0], at[1], at[2], data), expand(len(x), len(trace), at[0], at[3], data)
    return codes, value[0], gradient, trace


@pytest.mark.parametrize("name", ["NormalNormal", "GaussianMixture"])
def test_the_same_numbers_as_nutpie(name):
    import nutpie

    spec = getattr(examples, name)()
    tables = [spec.simulate(seed).table for seed in (1, 2)]
    statistics = [spec.statistics(t) for t in tables]
    compiled = compiled_for(spec, statistics[0])
    theirs = nutpie.compile_pymc_model(compiled.built.model, backend="numba", freeze_model=False)
    rng = np.random.default_rng(0)
    for data in statistics:
        ours = compiled.for_data(data, spec.dials(data))
        known = {node.name for node in theirs.shared_var_keys}
        updates = {k: v for k, v in compiled.built.updates(data, spec.dials(data)).items() if k in known}
        reference = theirs.with_data(**updates)
        x = rng.normal(size=ours.n_dim)
        found, expected = evaluate(ours, x), evaluate(reference, x)
        assert found[0] == expected[0] == (0, 0)
        for a, b in zip(found[1:], expected[1:], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert ours.shapes == reference.shapes and ours.dims == reference.dims
    assert not compiled.built.anchored
    np.testing.assert_array_equal(ours.initial_point_func(3), reference.initial_point_func(3))


def test_what_is_not_finite_is_said_by_a_status(schools_table):
    spec = examples.EightSchools()
    statistics = spec.statistics(schools_table)
    program = compiled_for(spec, statistics).for_data(statistics, spec.dials(statistics))
    codes, *_ = evaluate(program, np.full(program.n_dim, np.nan))
    assert codes[0] in (3, 4)
    codes, *_ = evaluate(program, np.full(program.n_dim, 1e200))
    assert codes[0] in (3, 4)


@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path):
    text = """
import numba.core.event as event, sys
sys.path.insert(0, {here!r})
import examples
from bayeskit.engine import compiled_for
count = []
class Listener(event.Listener):
    def on_start(self, e): count.append(e)
    def on_end(self, e): pass
spec = examples.BetaBinomial()
compiled = compiled_for(spec, spec.statistics(spec.simulate(1).table))
with event.install_listener("numba:compile", Listener()):
    compiled.program
print(len(count))
"""
    code = text.format(here=os.path.dirname(__file__))
    environment = {**os.environ, "PYTENSOR_FLAGS": f"base_compiledir={tmp_path}"}
    counts = [
        int(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout)
        for _ in range(2)
    ]
    assert counts[0] > 20 and counts[1] == 0


@pytest.mark.slow
def test_the_other_backend_or_a_word_on_how_to_get_it():
    from importlib.util import find_spec

    from bayeskit import SpecificationError
    from bayeskit.engine import Sampling
    from bayeskit.fit import run

    spec = examples.BetaBinomial()
    statistics = spec.statistics(spec.simulate(1).table)
    settings = Sampling(draws=500, tune=500, chains=2, seed=1, backend="jax", progress=False)
    if find_spec("jax") is None:
        with pytest.raises(SpecificationError, match=r"bayeskit\[jax\]"):
            run(spec, statistics, settings)
        return
    found, numba = run(spec, statistics, settings), run(spec, statistics, Sampling(draws=500, tune=500, seed=1, progress=False))
    assert found.posterior["p"].mean() == pytest.approx(float(numba.posterior["p"].mean()), abs=0.03)
