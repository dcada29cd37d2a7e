"""The run that compiles a model gives the very draws of the runs that find it compiled."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import hashlib
from bayeskit_models.judges import JudgeSimplex
spec = JudgeSimplex(2, judge=("A", "B", "C"), likelihood="joint")
table = spec.simulate(3, candidates=3, judges=3, items=40).table
fit = spec.fit(table, draws=20, tune=50, chains=2, seed=1, progress=False)
print(hashlib.sha256(b"".join(v.values.tobytes() for v in fit.posterior.data_vars.values())).hexdigest())
"""


@pytest.mark.slow
def test_the_first_run_on_a_machine_gives_the_draws_of_the_second(tmp_path):
    """To the bit: a last digit that differs is another chain after fifty steps. It differed before callbacks stood alone."""
    environment = {**os.environ, "PYTENSOR_FLAGS": f"base_compiledir={tmp_path}"}
    found = [
        subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert len(found[0]) == 65 and found[0] == found[1]
