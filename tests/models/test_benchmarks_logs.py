"""From the logs of real harnesses to a fit, on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("pymc")

import bayeskit as bk
from bayeskit import cli
from bayeskit_models.benchmarks import BenchmarkVariance
from bayeskit_models.benchmarks.benchmark_fit import BenchmarkFit

LOGS = Path(__file__).parents[1] / "kit" / "data" / "harness"


def invoke(*arguments):
    """Run the command line in this process, without colours and wide enough that nothing is wrapped."""
    return CliRunner().invoke(cli.app, list(map(str, arguments)), env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def test_a_folder_of_logs_becomes_a_run(tmp_path):
    """Written by Inspect itself; models, benchmarks, items and samples are found without being named."""
    out, folder = tmp_path / "run.nc", LOGS / "inspect_eval"
    short = ("--draws", 100, "--tune", 200, "--seed", 1, "--no-progress")
    result = invoke("fit", "benchmark-variance", folder, "--read", "metric=strict", "--out", out, *short)
    assert result.exit_code in (0, 2), result.output  # a hundred draws may be too few for a PASS
    fit = bk.load(out)
    assert isinstance(fit, BenchmarkFit)
    read = bk.read(folder, metric="strict")
    assert set(fit.models) == set(read["model"].to_pylist()) and len(fit.models) == 3
    assert int(fit.statistics["missing"]) == read["score"].null_count
    board = fit.leaderboard().table
    assert (board["rank_lower"] <= board["rank_upper"]).all() and board["p_best"].sum() == pytest.approx(1.0)


def test_logs_of_another_harness_have_the_same_facets():
    """lm-evaluation-harness: two tasks with a metric each."""
    metric = {"capitals": "exact_match", "capitals_mc": "acc"}
    table = bk.read(LOGS / "lm_eval", metric=metric, filter="verbatim")
    found = BenchmarkVariance().statistics(table)
    assert found.sizes["model"] == 3 and list(found["benchmark"].values) == ["capitals", "capitals_mc"]


def test_several_metrics_ask_for_a_choice(tmp_path):
    result = invoke("fit", "benchmark-variance", LOGS / "lm_eval", "--out", tmp_path / "run.nc")
    assert result.exit_code == 1 and "--read metric=acc" in result.stderr
