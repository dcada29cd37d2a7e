"""``bayeskit sensitivity``: exit codes, what it prints, the four formats of what it writes, and refusals."""

from __future__ import annotations

import csv
import io
import json
import re

import examples
import pytest
from typer.testing import CliRunner

import bayeskit
from bayeskit import cli
from bayeskit.registry import register


@pytest.fixture(scope="module")
def run_file(beta_fit, normal_fit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for fit in (beta_fit, normal_fit):
        register(type(fit.spec))
    return {"beta": beta_fit.save(folder / "beta.nc"), "normal": normal_fit.save(folder / "normal.nc")}


def run(*arguments, command="sensitivity"):
    settings = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner().invoke(cli.app, [command, *map(str, arguments)], env=settings)


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


# -- the same questions in a report -----------------------------------------------------------------


def test_a_report_shows_refits(run_file, normal_fit, tmp_path):
    """A prior mean far away under a small prior sd: the means follow, and sentence, figure and table say so."""
    arguments = ["--sweep", "mu.mu=-3,3", "--draws", "500", "--tipping", "mean(mean[a]) > -9", "--dial", "mu.mu"]
    outs = [part for suffix in ("html", "json") for part in ("--out", tmp_path / f"report.{suffix}")]
    found = run(run_file["normal"], *arguments, *outs, "--replicate", 0, "--cache", tmp_path / "refits", command="report")
    assert found.exit_code == 0, found.output
    stored = json.loads((tmp_path / "report.json").read_text())
    (section,) = [s for s in stored["sections"] if s["title"] == "What the answer rests on"]
    text = json.dumps(section)
    for words in ("Assumptions.", "Sweep.", "Tipping point.", "2 settings of mu.mu", "The mean that moves farthest"):
        assert words in text, words
    (table,) = [b for b in section["blocks"] if b["type"] == "table" and "mu.mu" in b["columns"]]
    kept = {
        c.dials["mu.mu"]: c.fit for c in normal_fit.sweep({"mu.mu": [-3.0, 3.0]}, cache=tmp_path / "refits", draws=500).cells
    }
    for row in table["rows"]:
        at, _, quantity, mean, *_ = (cell["value"] if isinstance(cell, dict) else cell for cell in row)
        assert float(mean) == pytest.approx(float(kept[float(at)].summary().loc[quantity, "mean"]), rel=1e-9)
    page = (tmp_path / "report.html").read_text()
    assert "the fit, and below it other dials" in page and "mu.mu=-3" in page


def test_a_report_with_a_failed_refit_ends_with_two(run_file, tmp_path):
    path = tmp_path / "report.md"
    found = run(
        run_file["normal"],
        "--sweep",
        "mu.mu=1",
        "--draws",
        20,
        "--no-sensitivity",
        "--replicate",
        0,
        "--out",
        path,
        command="report",
    )
    assert found.exit_code == 2 and found.stdout.startswith("PASS")
    told = path.read_text()
    assert "1 of 1 settings of mu.mu" in told and "Assumptions." not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sweep", "mu.mu"], "DIAL=FIRST:LAST:NUMBER"),
        (["--sweep", "mu.sigmaa=1,2"], "Did you mean 'mu.sigma'?"),
        (["--sweep", "mu.sigma=-1"], "mu.sigma"),
        (["--tipping", "mean(mean[a]) > 0"], "go together"),
        (["--influence", "gruop"], "no units by='gruop'"),
        (["--sweep", "mu.mu=1", "--author", "gaol=x"], "Did you mean 'goal'?"),
    ],
)
def test_faults_of_questions_in_a_report(run_file, tmp_path, arguments, words):
    found = run(run_file["normal"], *arguments, "--out", tmp_path / "report.md", command="report")
    assert found.exit_code == 1
    assert words in found.stderr and "Traceback" not in found.output
    assert not (tmp_path / "report.md").exists()


def test_a_run_without_its_statistics_is_refused_with_the_way_out(normal_fit, tmp_path):
    bare = normal_fit.save(tmp_path / "bare.nc", statistics=False)
    for command in ("report", "sensitivity"):
        found = run(bare, "--sweep", "mu.mu=1", "--out", tmp_path / "report.md", command=command)
        assert found.exit_code == 1 and "bayeskit fit --statistics" in found.stderr


def test_the_command_line_keeps_row_level_statistics_where_asked(normal_table, tmp_path):
    """Rows may be people, so by default they are not in the run; a sweep needs them."""
    register(examples.RowLevel)
    normal_table.to_csv(tmp_path / "rows.csv", index=False)
    small = ("--draws", 500, "--tune", 400, "--seed", 1, "--no-progress")
    for flags, kept in (((), False), (("--statistics",), True)):
        path = tmp_path / f"{kept}.nc"
        found = run("RowLevel", tmp_path / "rows.csv", "--out", path, *small, *flags, command="fit")
        assert found.exit_code == 0, found.output
        assert (bayeskit.load(path).statistics is not None) is kept
        assert run(path, "--sweep", "mu.mu=1", "--draws", 500).exit_code == (0 if kept else 1)
