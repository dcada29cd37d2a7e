"""Every Python example of the documentation runs, and prints what the page says that it prints.

A ``python`` block is run in the namespace of the blocks before it on the same page. Where a ``text`` block follows it
directly, that is its output: words must agree line by line, numbers need not, because they carry Monte Carlo error and
lines of a ranking may change places.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SLOW = {
    "docs/benchmarks.md", "docs/cluster.md", "docs/judges.md", "docs/own_model.md", "docs/reports.md", "docs/risk.md",
    "docs/sensitivity.md", "docs/survival.md",
}  # fmt: skip
PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("models/**/README.md")))
    if "_build" not in path.parts
]
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$(?:\n+```text\n(?P<told>.*?)^```$)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d*)?(?:e[-+]?\d+)?%?(?![\w-])")
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def blocks(page):
    """Code, printed text (or None) and the line where the code starts, for every block of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [(m["code"], m["told"], text.count("\n", 0, m.start()) + 2) for m in BLOCK.finditer(text)]


def words(text):
    """The lines of a text without their numbers, in alphabetical order."""
    lines = (" ".join(NUMBER.sub("#", line).split()) for line in text.splitlines())
    return sorted(line for line in lines if line)


def execute(page, folder):
    """Run the blocks of a page in `folder`; return pairs of what was printed and what the page says."""
    namespace = {"__name__": "__main__"}
    out = []
    with contextlib.chdir(folder):
        for code, told, line in blocks(page):
            printed = io.StringIO()
            # Line numbers of a traceback are those of the page.
            program = compile("\n" * (line - 1) + code, page, "exec")
            with contextlib.redirect_stdout(printed):
                exec(program, namespace)
            out.append((printed.getvalue(), told))
    return out


@pytest.mark.parametrize("page", [pytest.param(p, marks=[pytest.mark.slow] if p in SLOW else []) for p in PAGES])
def test_examples_run_and_print_what_the_page_says(page, tmp_path):
    for printed, told in execute(page, tmp_path):
        if told is not None:
            assert words(printed) == words(told)


def test_the_readme_has_an_example():
    assert len(blocks("README.md")) >= 2


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page):
    here = (ROOT / page).parent
    missing = [link for link in LINK.findall((ROOT / page).read_text(encoding="utf-8")) if not (here / link).exists()]
    assert not missing


@pytest.mark.parametrize("command", ["bayeskit demo", "pytest"])
def test_the_set_up_commands_stand_in_the_readme(command):
    line = f"python3 -m pip install uv && python3 -m uv run {command}"
    assert line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def entries(page):
    """Pages that the tables of contents of a page name."""
    lines = [line.strip() for found in TOCTREE.findall(page.read_text(encoding="utf-8")) for line in found.splitlines()]
    return [page.parent / f"{line}.md" for line in lines if line and not line.startswith(":")]


def test_every_page_is_in_the_table_of_contents_once():
    found, todo = [], [ROOT / "docs" / "index.md"]
    while todo:
        found.append(page := todo.pop())
        todo += entries(page)
    there = [path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts]
    assert sorted(found) == sorted(there)


def test_every_public_name_is_in_the_reference():
    import bayeskit
    import bayeskit_models

    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "api").glob("*.md"))
    told = set(re.findall(r"^\.\. auto(?:class|function|exception|module):: (?:[\w.]+\.)?(\w+)$", text, re.MULTILINE))
    told |= {name for names in re.findall(r"^   :members: (.+)$", text, re.MULTILINE) for name in names.split(", ")}
    packages = {n for n in bayeskit_models.__all__ if n.islower() and n != "datasets"}
    wanted = {*bayeskit.__all__, *bayeskit_models.__all__} - packages
    wanted |= {name for package in packages for name in getattr(bayeskit_models, package).__all__}
    assert wanted - told == set()
