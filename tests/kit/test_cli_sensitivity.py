"""``bayeskit sensitivity``: exit codes, what it prints, the four formats of what it writes, and refusals."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from typer.testing import CliRunner

from bayeskit import cli
from bayeskit.registry import register


@pytest.fixture(scope="module")
def run_file(beta_fit, normal_fit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for fit in (beta_fit, normal_fit):
        register(type(fit.spec))
    return {"beta": beta_fit.save(folder / "beta.nc"), "normal": normal_fit.save(folder / "normal.nc")}


def run(*arguments):
    settings = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner().invoke(cli.app, ["sensitivity", *map(str, arguments)], env=settings)


def test_it_prints_what_the_answer_rests_on(run_file):
    found = run(run_file["beta"])
    assert found.exit_code == 0
    assert found.stdout.splitlines()[0].startswith("PASS")
    assert "not an error" in found.stdout and "k_hat" in found.stdout


def test_exit_code_two_where_a_headline_quantity_is_sensitive(run_file, beta_fit, tmp_path):
    """Ten observations under Beta(200, 200): the prior decides. Without --fail-on that is no failure."""
    ruled = beta_fit.refit(dials={"p.alpha": 200.0, "p.beta": 200.0}, draws=1000, tune=500)
    assert ruled.verdict.status.value == "PASS"
    path = ruled.save(tmp_path / "ruled.nc")
    assert run(path).exit_code == 0
    assert run(path, "--fail-on", "sensitive").exit_code == 2
    free = beta_fit.refit(dials={"p.alpha": 1.0, "p.beta": 1.0}).save(tmp_path / "free.nc")
    assert run(free, "--fail-on", "sensitive").exit_code == 0
    assert run(run_file["normal"], "--assumptions", "all", "--fail-on", "unreliable").exit_code == 2  # noise: not computed


def test_formats_agree(run_file, tmp_path):
    for suffix in ("html", "md", "json", "csv"):
        found = run(run_file["beta"], "--out", tmp_path / f"found.{suffix}")
        assert found.exit_code == 0 and f"found.{suffix}" in found.stdout
    stored = json.loads((tmp_path / "found.json").read_text())
    (row,) = stored["results"]["Assumptions"]["rows"]
    assert stored["schema"] == "bayeskit.sensitivity-document/1" and stored["verdict"]["status"] == "PASS"
    (line,) = csv.DictReader(io.StringIO((tmp_path / "found.csv").read_text()))
    assert float(line["index"]) == pytest.approx(row["index"], rel=1e-12) and line["assumption"] == "p"
    shown = f"{row['index']:.3g}"
    page, text = ((tmp_path / f"found.{s}").read_text() for s in ("html", "md"))
    assert shown in page and shown in text
    assert "<script" not in page and page.count("<h1") == 1 and "alt=" in page
    assert re.search(r"PASS: all \d+ checks passed", page.split("<h1")[0])  # the verdict stands first


def test_sweeps_claims_and_json(run_file):
    found = run(
        run_file["normal"], "--sweep", "mu.mu=-2:2:3", "--draws", 500, "--tipping", "mean(mean[a]) > 0", "--dial", "mu.mu",
        "--json",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    stored = json.loads(found.stdout)["results"]
    assert {r["mu.mu"] for r in stored["Sweep"]["rows"]} == {-2.0, 0.0, 2.0}
    assert stored["Tipping point"]["dial"] == "mu.mu"


def test_a_failed_cell_of_a_sweep_ends_with_two(run_file):
    found = run(run_file["normal"], "--sweep", "mu.mu=1", "--draws", 20)
    assert found.exit_code == 2 and "1 of 1 settings" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sweep", "mu.mu"], "DIAL=FIRST:LAST:NUMBER"),
        (["--sweep", "mu.mu=1:2:1000"], "at most 100"),
        (["--sweep", "mu.nu=1,2"], "no dial 'mu.nu'"),
        (["--sweep", "mu.mu=1", "--sweep", "mu.mu=2"], "given twice"),
        (["--tipping", "mean(x) > 0"], "go together"),
        (["--tipping", "mean(nothing) > 0", "--dial", "mu.mu"], "cannot be read"),
        (["--fail-on", "sensitiv"], "Did you mean 'sensitive'"),
        (["--assumptions", "mmu"], "No assumption named 'mmu'"),
        (["--quantity", "meen"], "No estimand named 'meen'"),
        (["--out", "x.pdf"], ".html, .md, .tex, .json, .csv"),
        (["--bounds", "mean"], "bounds"),
    ],
)
def test_faults_end_with_one_and_one_message(run_file, arguments, words):
    found = run(run_file["normal"], *arguments)
    assert found.exit_code == 1
    assert words in found.stderr and "Traceback" not in found.output


def test_help_has_examples():
    found = run("--help")
    assert found.exit_code == 0 and "bayeskit sensitivity run.nc --tipping" in found.stdout
