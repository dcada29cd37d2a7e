"""Twelve stored runs: exit codes, status and first lines agree; damaged runs give one clear error; the command line."""

from __future__ import annotations

import dataclasses
import json
import re

import h5py
import numpy as np
import pytest
import xarray as xr
from report_parsers import READERS
from typer.testing import CliRunner

import bayeskit
from bayeskit import cli
from bayeskit.report.render import RENDERERS

QUICK = ("--no-sensitivity", "--replicate", "0")


def invoke(*arguments):
    """Run the command line in this process, without colours and wide enough that nothing is wrapped."""
    return CliRunner().invoke(cli.app, list(map(str, arguments)), env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def changed(fit, change, seed=0):
    """The fit with other draws: every group of draws is copied before it is changed."""
    groups = {name: node.to_dataset().copy(deep=True) for name, node in fit.draws.children.items()}
    change(groups, np.random.default_rng(seed))
    return dataclasses.replace(fit, draws=xr.DataTree.from_dict(groups))


def passing(groups, rng):
    """Independent draws: what every check is content with."""
    for name, variable in (("posterior", "mu"), ("estimands", "mean")):
        groups[name][variable][:] = rng.normal(1.0, 0.5, groups[name][variable].shape)
    groups["estimands"]["spread"][:] = rng.gamma(3.0, 0.2, groups["estimands"]["spread"].shape)


def sticking(groups, rng):
    """Chains that walk so slowly that few draws are worth anything."""
    passing(groups, rng)
    walk = rng.normal(size=groups["posterior"]["mu"].shape)
    for t in range(1, walk.shape[1]):
        walk[:, t] += 0.93 * walk[:, t - 1]
    groups["posterior"]["mu"][:] = groups["estimands"]["mean"][:] = walk


def apart(groups, rng):
    passing(groups, rng)
    groups["posterior"]["mu"][0] += 3.0
    groups["estimands"]["mean"][0] += 3.0


def diverging(groups, rng):
    passing(groups, rng)
    groups["sample_stats"]["diverging"][:, :300] = True


def broken(groups, rng):
    passing(groups, rng)
    groups["estimands"]["mean"][0, 5] = np.nan


def saturated(groups, rng):
    """Trees cut at their largest depth in a part of the draws: slow, not wrong."""
    passing(groups, rng)
    groups["sample_stats"]["maxdepth_reached"][:, ::9] = True


def without_energy(groups, rng):
    passing(groups, rng)
    groups["sample_stats"] = groups["sample_stats"].drop_vars("energy")


def cut(part):
    def change(groups, rng):
        passing(groups, rng)
        for name in groups:
            groups[name] = groups[name].isel(draw=slice(0, part)) if "draw" in groups[name].dims else groups[name]

    return change


RUNS = {
    "good": (passing, False), "good again": (passing, False), "slow trees": (saturated, False), "walks": (sticking, False),
    "apart": (apart, False), "diverges": (diverging, False), "not a number": (broken, False),
    "no energy": (without_energy, False), "stopped": (passing, True), "stopped early": (cut(120), True),
    "stopped and apart": (apart, True), "stopped and diverging": (diverging, True),
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory, normal_fit):
    folder = tmp_path_factory.mktemp("runs")
    out = {}
    for place, (name, (change, partial)) in enumerate(RUNS.items()):
        fit = dataclasses.replace(changed(normal_fit, change, place), partial=partial)
        out[name] = fit.save(folder / f"run{place}.nc")
    return out


def test_the_runs_are_of_every_kind(runs):
    verdicts = [bayeskit.load(path).verdict for path in runs.values()]
    assert len(verdicts) == 12
    assert {v.status.value for v in verdicts} == {"PASS", "WARN", "FAIL", "NOT COMPUTED"}
    assert sum(v.partial for v in verdicts) == 4


@pytest.mark.parametrize("name", RUNS)
def test_exit_code_status_and_first_lines_agree(runs, name, tmp_path):
    files = [tmp_path / f"r{suffix}" for suffix in RENDERERS]
    done = invoke("report", runs[name], *QUICK, *(x for f in files for x in ("--out", f)))
    text = {f.suffix: f.read_text(encoding="utf-8") for f in files}
    document = json.loads(text[".json"])
    verdict = bayeskit.load(runs[name]).verdict
    assert done.exit_code == document["facts"]["exit_code"] == verdict.exit_code, done.output
    assert done.exit_code == (0 if verdict.status.value in ("PASS", "WARN") and not verdict.partial else 2)
    assert invoke("check", runs[name]).exit_code == done.exit_code
    headline = verdict.headline
    assert done.stdout.splitlines()[0] == headline == document["headline"]
    banner = re.search(r'<header class="verdict ([a-z-]+)">.*?<p class="lead">(.*?)</p>', text[".html"], re.S)
    assert banner.group(1).replace("-", " ") == document["status"]
    assert banner.group(2) == headline
    assert text[".tex"].splitlines()[0] == f"% {headline}"
    assert text[".md"].splitlines()[0].startswith(f"**{headline[:20]}")
    word = headline.partition(":")[0]
    assert (document["status"].upper() == word) or (document["status"], word) == ("fail", "PARTIAL")
    marked = bool(done.exit_code)
    results = next(s for s in document["sections"] if s["id"] == "results")
    assert all(bool(b["mark"]) == marked for b in results["blocks"] if b["type"] in ("table", "figure"))


@pytest.mark.parametrize("name", ["good", "apart", "stopped"])
def test_numbers_of_a_stored_run_agree_in_all_formats(runs, name, tmp_path):
    files = {suffix: tmp_path / f"r{suffix}" for suffix in RENDERERS}
    invoke("report", runs[name], "--replicate", "20", *(x for f in files.values() for x in ("--out", f)))
    found = {suffix: READERS[suffix](f.read_text(encoding="utf-8")) for suffix, f in files.items()}
    number = re.compile(r"^-?[\d,]+(?:\.\d+)?(?:e[-+]\d+)?$")
    wanted = [[c for c in row if number.match(c)] for table in found[".json"] for row in table]
    assert sum(map(len, wanted)) > 60
    for suffix, tables in found.items():
        assert [[c for c in row if number.match(c)] for table in tables for row in table] == wanted, suffix


# -- damaged runs -------------------------------------------------------------------------------------------


def fault(*arguments):
    done = invoke(*arguments)
    assert done.exit_code == 1, done.output
    assert "Traceback" not in done.output
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_truncated_runs_give_one_clear_error(runs, tmp_path):
    whole = runs["good"].read_bytes()
    for share in (0.02, 0.5, 0.97):
        path = tmp_path / f"cut{share}.nc"
        path.write_bytes(whole[: int(share * len(whole))])
        assert "damaged" in fault("report", path, "--out", tmp_path / "r.html")
    (tmp_path / "text.nc").write_text("no run")
    assert "damaged or of another kind" in fault("report", tmp_path / "text.nc", "--out", tmp_path / "r.html")
    assert "no run at" in fault("report", tmp_path / "nothing.nc", "--out", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_runs_from_the_future_and_tampered_ones_are_refused(runs, tmp_path):
    future, tampered, record = (tmp_path / n for n in ("future.nc", "tampered.nc", "record.nc"))
    for path in (future, tampered, record):
        path.write_bytes(runs["good"].read_bytes())
    with h5py.File(future, "r+") as file:
        told = json.loads(file.attrs["bayeskit"])
        file.attrs["bayeskit"] = json.dumps({**told, "format_version": 99})
    assert "Upgrade bayeskit" in fault("report", future, "--out", tmp_path / "r.json")
    with h5py.File(tampered, "r+") as file:
        file["estimands/mean"][0, 0, 0] += 1.0
    assert "does not match its own digest" in fault("report", tampered, "--out", tmp_path / "r.json")
    with h5py.File(record, "r+") as file:
        told = json.loads(file.attrs["bayeskit"])
        file.attrs["bayeskit"] = json.dumps({**told, "dials": {k: 2 * v for k, v in told["dials"].items()}})
    assert "does not match its own digest" in fault("report", record, "--out", tmp_path / "r.json")


# -- the command line ---------------------------------------------------------------------------------------


def test_checklists_are_printed_item_by_item(runs):
    done = invoke("report", runs["good"], "--replicate", "20", "--checklist", "--author", "goal=Which group is best.")
    assert done.exit_code == 0, done.output
    assert "BARG: " in done.stdout and "of 31" in done.stdout
    assert re.search(r"^  B0b  answered .*author, 'goal'", done.stdout, re.M)
    assert re.search(r"^  B0a  to fill ", done.stdout, re.M)
    assert len(re.findall(r"^  (?:B\d[a-g]|W\d+|R\d) ", done.stdout, re.M)) == 48


def test_checklists_as_json_and_with_files(runs, tmp_path):
    texts = tmp_path / "author.json"
    texts.write_text(json.dumps({"goal": "From a file.", "files": "In the archive."}))
    out = tmp_path / "r.md"
    done = invoke("report", runs["good"], *QUICK, "--checklist", "--json", "--author-file", texts, "--out", out)
    items = {i["id"]: i for i in json.loads(done.stdout)["items"] if i["checklist"] == "BARG"}
    assert items["B0b"]["state"] == items["B6d"]["state"] == "answered"
    assert items["B5a"]["state"] == "missing"
    assert "From a file." in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--out FILE, --checklist or both"),
        (("--out", "r.docx"), "Known suffixes: .html .md .tex .csv .json"),
        (("--checklist", "--kind", "hpd"), "Did you mean 'hdi'"),
        (("--checklist", "--on-fail", "rise"), "Did you mean 'raise'"),
        (("--checklist", "--author", "gaol=x"), "Did you mean 'goal'"),
        (("--checklist", "--author", "goal"), "write it as KEY=VALUE"),
        (("--checklist", "--suppress-below", "-2"), "suppress_below is -2"),
    ],
)
def test_faults_of_usage_name_the_option_and_the_fix(runs, arguments, told):
    assert told in fault("report", runs["good"], *arguments)


def test_on_fail_raise_writes_nothing_and_says_why(runs, tmp_path):
    done = invoke("report", runs["apart"], *QUICK, "--on-fail", "raise", "--out", tmp_path / "r.html")
    assert done.exit_code == 1 and "on_fail='raise'" in done.stderr and "R-hat" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_small_counts_can_be_suppressed_from_the_command_line(runs, tmp_path):
    done = invoke("report", runs["good"], *QUICK, "--suppress-below", "16", "--out", tmp_path / "r.json")
    assert done.exit_code == 0
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["facts"]["provenance"]["data"]["rows"] == "< 16" and document["facts"]["suppress_below"] == 16


def test_help_has_examples():
    text = invoke("report", "--help").stdout
    for word in ("--checklist", "bayeskit report run.nc --out", "--suppress-below", ".tex"):
        assert word in text
