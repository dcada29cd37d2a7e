"""A model in a package of its own: the page that explains it, its installation, the contract and the command line."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "examples" / "event_rates"
PAGE = (ROOT / "docs" / "own_model.md").read_text(encoding="utf-8")


def blocks(language):
    """The blocks of the page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a process in which the package is installed.

    Built by its own build backend and unpacked, which is all that installing a wheel of pure Python means: no installer and
    no network are needed.
    """
    target, dist = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("dist")
    build = f"from hatchling.build import build_wheel; build_wheel({str(dist)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=PACKAGE, check=True, capture_output=True)
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "event_rates.py" in archive.namelist()
        archive.extractall(target)
    path = os.pathsep.join(filter(None, (str(target), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "200", "TERM": "dumb"}


def run(command, environment, folder):
    """Run a command of the page, "bayeskit ..." or "pytest ...", by this interpreter; return what it printed."""
    name, *arguments = shlex.split(command, comments=True)
    module = {"bayeskit": "bayeskit.cli", "pytest": "pytest"}[name]
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_the_page_shows_the_files_of_the_package():
    code = (PACKAGE / "event_rates.py").read_text(encoding="utf-8")
    assert blocks("python")[0] == code
    assert blocks("toml") == [(PACKAGE / "pyproject.toml").read_text(encoding="utf-8")]
    assert len(code.splitlines()) < 60


def test_the_model_is_known_where_its_package_is_installed(installed, tmp_path):
    listed = run("bayeskit models", installed, tmp_path)
    assert re.search(r"EventRates\b.*Rates of events by site.*site, events, exposure", listed)


@pytest.mark.slow
def test_the_model_keeps_the_contract(installed):
    """The command of the page, and every test of it ran."""
    (line,) = (line for block in blocks("sh") for line in block.splitlines() if "BAYESKIT_CONTRACT" in line)
    example = shlex.split(line)[0].partition("=")[2]
    told = run(line[line.index("pytest ") :], {**installed, "BAYESKIT_CONTRACT": example}, ROOT)
    found = re.fullmatch(r"(\d+) passed, \d+ deselected in .*", told.splitlines()[-1].strip("= "))
    assert found and int(found[1]) >= 20, told


@pytest.mark.slow
def test_the_commands_of_the_page_serve_it(installed, tmp_path):
    table = next(code for code in blocks("python") if "to_csv" in code)
    subprocess.run([sys.executable, "-c", table], cwd=tmp_path, check=True)
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("bayeskit ")]
    told = "\n".join(run(command, installed, tmp_path) for command in commands)
    assert len(commands) == 4 and told.count("PASS: ") >= 2
    assert "EventRates report" in (tmp_path / "pumps.html").read_text(encoding="utf-8")
