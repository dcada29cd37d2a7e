"""The command line: exit codes, faults without a traceback, and a start that imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import examples
import numpy as np
import pytest
from typer.testing import CliRunner

import bayeskit
from bayeskit import cli
from bayeskit.cli import arguments, catalogue, commands
from bayeskit.verdict import CheckResult, Status, Verdict

HEAVY = (
    "pymc", "pytensor", "arviz", "nutpie", "numba", "matplotlib", "pandas", "scipy", "xarray", "duckdb", "pyarrow",
)  # fmt: skip
RUNNER = "import bayeskit.cli; from typer.testing import CliRunner; CliRunner()"


def invoke(*arguments):
    """Run the command line in this process, without colours and wide enough that nothing is wrapped."""
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def fault(*arguments):
    """What is printed on standard error by a call that must end with code 1 and without a traceback."""
    result = invoke(*arguments)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.stderr


@pytest.fixture(scope="module")
def table(tmp_path_factory, normal_table):
    path = tmp_path_factory.mktemp("cli") / "table.csv"
    normal_table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, normal_fit):
    return normal_fit.save(tmp_path_factory.mktemp("cli") / "run.nc")


# -- start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "import bayeskit",
        "import bayeskit.cli",
        f"{RUNNER}.invoke(bayeskit.cli.app, ['--help'])",
        f"{RUNNER}.invoke(bayeskit.cli.app, ['--version'])",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    """Counted, not timed: a clock would measure the machine."""
    told = f"import sys\n{code}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_says_what_the_exit_codes_mean():
    result = invoke("--help")
    assert result.exit_code == 0
    told = " ".join(result.stdout.split())
    assert (
        "Exit codes: 0 the checks passed (warnings are printed), 1 a fault of the usage, the specification or the "
        "data, 2 a check failed or could not be computed, or the run is partial." in told
    )
    for command in ("demo", "models", "fit", "check", "report", "calibrate"):
        assert command in told


def test_version():
    assert invoke("--version").stdout == f"bayeskit {bayeskit.__version__}\n"


def test_the_console_script_ends_with_the_exit_code(monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["check", "no-such-run.nc"])
    assert stop.value.code == 1
    assert "no-such-run.nc" in capsys.readouterr().err


# -- faults are 1, never 2 -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["fit"], ["fit", "NormalNormal", "t.csv"], ["check"], ["check", "x", "--no-such-option"]],
)
def test_a_fault_of_usage_is_1(arguments):
    """Typer's own code for these is 2, which here means a failed check."""
    assert invoke(*arguments).exit_code == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["-s", "gruop=g"], "Did you mean 'group'?"),
        (["-s", "group"], "write it as KEY=VALUE"),
        (["-s", "group=a", "-s", "group=b"], "given twice"),
        (["--dial", "noise.sd=high"], "the value of a dial is a number"),
        (["--dial", "noise.ds=2"], "Did you mean 'noise.sd'?"),
        (["--spec", "no-such-spec.json"], "no-such-spec.json"),
        (["--draws", "0"], "draws=0"),
    ],
)
def test_settings_are_checked_before_anything_runs(table, tmp_path, settings, told):
    assert told in fault("fit", "NormalNormal", str(table), "--out", str(tmp_path / "run.nc"), *settings)


def test_unknown_models_are_suggested(table, tmp_path):
    told = fault("fit", "NormalNorm", str(table), "--out", str(tmp_path / "run.nc"))
    assert "Did you mean 'NormalNormal'?" in told


def test_a_data_fault_is_told_with_its_column_and_rows(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("group,y\na,1.0\nb,inf\n")
    told = fault("fit", "NormalNormal", str(path), "--out", str(tmp_path / "run.nc"))
    assert told.startswith("Column 'y':")
    assert "rows: 1" in told


def test_the_folder_of_the_result_is_looked_for_before_the_fit(table, tmp_path):
    assert "there is no folder" in fault("fit", "NormalNormal", str(table), "--out", str(tmp_path / "none" / "run.nc"))


def test_a_file_that_cannot_be_written_is_a_fault(run, tmp_path):
    assert "suffix '.doc'" in fault("report", str(run), "--out", str(tmp_path / "report.doc"))
    assert "none" in fault("report", str(run), "--out", str(tmp_path / "none" / "report.md"))


@pytest.mark.parametrize("text", ["[]", "{", '{"model": "NormalNormal"}', '{"model": "BetaBinomial", "settings": {}}'])
def test_a_specification_file_must_be_one_of_this_model(table, tmp_path, text):
    path = tmp_path / "spec.json"
    path.write_text(text)
    told = fault("fit", "NormalNormal", str(table), "--out", str(tmp_path / "run.nc"), "--spec", str(path))
    assert told.startswith("--spec: 'spec.json'")


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2), ("0.5", 0.5), ("true", True), ("null", None), ('"2"', "2"), ("gold", "gold"), ("", ""),
        ("NaN", "NaN"), ("Infinity", "Infinity"), ("a=b", "a=b"), ('["a", "b"]', ["a", "b"]),
        ('{"x": ["y"]}', {"x": ["y"]}),
    ],
)  # fmt: skip
def test_values_are_json_where_they_are_json(text, value):
    assert arguments.value_of(text) == value


def test_settings_go_over_the_specification_file(table, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(examples.NormalNormal(group="g", prior_sd=3.0).to_json())
    assert arguments.specification("NormalNormal", ["group=group"], path) == examples.NormalNormal(prior_sd=3.0)


# -- what the commands do ------------------------------------------------------------------------


def test_fit_check_report(table, tmp_path, normal_fit):
    """The same seed gives the same draws as the Python interface; the saved run is checked and reported."""
    out = tmp_path / "run.nc"
    done = invoke("fit", "NormalNormal", str(table), "--out", str(out), "--seed", "11", "--no-progress")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("PASS")
    assert "seed 11" in done.stdout
    np.testing.assert_array_equal(bayeskit.load(out).posterior["mu"].values, normal_fit.posterior["mu"].values)

    checked = invoke("check", str(out))
    assert checked.exit_code == 0
    assert checked.stdout.startswith("PASS: all")
    assert "r_hat" in checked.stdout
    told = json.loads(invoke("check", str(out), "--json").stdout)
    assert (told["status"], told["exit_code"], told["partial"]) == ("PASS", 0, False)

    reported = invoke("report", str(out), "--out", str(tmp_path / "report.md"), "--prob", "0.5")
    assert reported.exit_code == 0
    assert "50 %" in (tmp_path / "report.md").read_text()


def test_a_dial_reaches_the_fit(table, tmp_path):
    arguments = [
        "--dial",
        "noise.sd=9",
        "--draws",
        "300",
        "--tune",
        "300",
        "--no-progress",
        "--out",
        str(tmp_path / "run.nc"),
    ]
    invoke("fit", "NormalNormal", str(table), *arguments)
    assert bayeskit.load(tmp_path / "run.nc").dials["noise.sd"] == 9.0


def test_one_chain_fails_with_code_2_and_is_still_reported(table, tmp_path):
    out = tmp_path / "run.nc"
    done = invoke("fit", "NormalNormal", str(table), "--out", str(out), "--chains", "1", "--seed", "1", "--no-progress")
    assert done.exit_code == 2
    assert done.stdout.startswith("FAIL")
    assert invoke("check", str(out)).exit_code == 2
    assert json.loads(invoke("check", str(out), "--json").stdout)["exit_code"] == 2
    assert invoke("report", str(out), "--out", str(tmp_path / "report.html")).exit_code == 2
    assert "FAIL" in (tmp_path / "report.html").read_text()


def _verdict(*statuses, partial=False):
    return Verdict(tuple(CheckResult(f"check_{i}", s, "Text.") for i, s in enumerate(statuses)), partial)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (_verdict(Status.PASS), 0),
        (_verdict(Status.PASS, Status.WARN), 0),
        (_verdict(Status.PASS, Status.FAIL), 2),
        (_verdict(Status.NOT_COMPUTED), 2),
        (_verdict(Status.WARN, Status.NOT_COMPUTED), 2),  # the warning outranks it, and still nobody knows
        (_verdict(), 2),
        (_verdict(Status.PASS, partial=True), 2),
    ],
)
def test_exit_codes_of_verdicts(verdict, code):
    assert cli.exit_code(verdict) == code


def test_models_are_listed_with_their_settings():
    listed = invoke("models").stdout
    for word in ("NormalNormal", "BetaBinomial", "prior_sd"):
        assert word in listed
    one = invoke("models", "NormalNormal").stdout
    assert "prior_sd" in one
    assert "2.0" in one


def test_settings_are_explained_from_the_docstring():
    class Documented(examples.NormalNormal):
        """One line.

        More.

        Parameters
        ----------
        group, y : str
            Columns
            of the table.
        prior_sd : float, optional
            Its width.

        Raises
        ------
        SpecificationError
            Never.
        """

    assert catalogue.parameters_of(Documented) == {
        "group": ("str", "Columns of the table."),
        "y": ("str", "Columns of the table."),
        "prior_sd": ("float, optional", "Its width."),
    }


def test_calibration(tmp_path):
    """The sound model passes and draws its plot; one that ignores its data does not pass."""
    plot = tmp_path / "plot.svg"
    arguments = ["--simulations", "60", "--size", "n=4", "--size", "groups=2", "--no-progress"]
    good = invoke("calibrate", "NormalNormal", *arguments, "--plot", str(plot))
    assert good.exit_code == 0, good.output
    assert good.stdout.startswith("PASS")
    assert b"<svg" in plot.read_bytes()[:1000]
    bad = invoke("calibrate", "NormalNormal", "-s", "broken=shifted", *arguments)
    assert bad.exit_code == 2, bad.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--size", "gruops=2"], "Did you mean 'groups'?"),
        (["--size", "dials=2"], "has no such size"),
        (["--size", "groups=two"], "whole number"),
        (["--plot", "plot.png"], "must end in .svg"),
        (["--simulations", "3"], "at least 20"),
    ],
)
def test_faults_of_calibration(arguments, told):
    assert told in fault("calibrate", "NormalNormal", *arguments)


# -- help and completion -------------------------------------------------------------------------


def test_every_command_has_examples_in_its_help():
    commands = [c.callback.__name__ for c in cli.app.registered_commands]
    assert len(commands) >= 7
    for name in commands:
        told = invoke(name, "--help").stdout
        assert "Examples" in told and f"bayeskit {name}" in told, name
        assert "\x1b" not in told


def test_misspelt_commands_options_and_keys_of_a_file_are_suggested(table, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text('{"model": "NormalNormal", "settings": {"gruop": "g"}}')
    call = ("fit", "NormalNormal", str(table), "--out", str(tmp_path / "run.nc"))
    assert "Did you mean 'group'?" in fault(*call, "--spec", str(path))
    assert "'fit'" in fault("fitt")
    assert "--seed" in fault(*call, "--sed", "1")


def test_a_dial_given_as_a_setting_is_told_its_option(table, tmp_path):
    call = ("fit", "NormalNormal", str(table), "--out", str(tmp_path / "run.nc"))
    assert "--dial mu.sigma=2 on the command line" in fault(*call, "-s", "mu.sigma=2")
    assert "-s prior_sd=..." in fault(*call, "--dial", "prior_sd=2")


def completed(*words):
    """What the shell offers for the last of the words, by the protocol of bash."""
    env = {"_BAYESKIT_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(["bayeskit", *words]), "COMP_CWORD": str(len(words))}
    result = CliRunner().invoke(cli.app, [], prog_name="bayeskit", env=env)
    assert result.exit_code == 0, result.output
    return result.stdout.split()


def test_completion_offers_models_settings_and_dials(run, table):
    assert completed("fit", "NormalN") == ["NormalNormal"]
    assert completed("models", "NormalN") == ["NormalNormal"]
    assert completed("demo", "surv") == ["survival"]
    assert completed("fit", "NormalNormal", str(table), "-s", "g") == ["group="]
    assert completed("calibrate", "NormalNormal", "--set", "prior") == ["prior_sd="]
    assert completed("sensitivity", str(run), "--dial", "mu") == ["mu.mu", "mu.sigma"]
    assert completed("sensitivity", str(run), "--sweep", "noise") == ["noise.sd="]
    assert completed("che") == ["check"]


def test_completion_is_silent_where_there_is_nothing_to_offer(table):
    assert completed("fit", "NoSuchModel", "t.csv", "-s", "g") == []
    assert completed("sensitivity", str(table), "--dial", "mu") == []  # a file that is no run
    assert completed("sensitivity", "no-such-run.nc", "--dial", "mu") == []


def test_completion_can_be_installed():
    assert "--install-completion" in invoke("--help").stdout
    # the shell's name by the protocol: there may be no shell above a test to find it from
    script = CliRunner().invoke(cli.app, [], prog_name="bayeskit", env={"_BAYESKIT_COMPLETE": "source_bash"})
    assert script.exit_code == 0 and "complete -o default -F _bayeskit_completion bayeskit" in script.stdout


# -- demonstrations ------------------------------------------------------------------------------


def show(out, console, progress):
    """Stand in for a model's demonstration."""
    (out / "told.txt").write_text(f"progress={progress}")
    console.print("Shown.")
    return 2


def test_demonstrations_are_found_by_their_entry_point(monkeypatch, tmp_path):
    points = [EntryPoint("tiny", f"{__name__}:show", commands.DEMOS)]
    monkeypatch.setattr(commands, "entry_points", lambda group: points if group == commands.DEMOS else [])
    result = invoke("demo", "tiny", "--out", str(tmp_path / "a" / "b"), "--no-progress")
    assert (result.exit_code, result.stdout) == (2, "Shown.\n")
    assert (tmp_path / "a" / "b" / "told.txt").read_text() == "progress=False"
    assert "Did you mean 'tiny'?" in fault("demo", "tini", "--out", str(tmp_path))
