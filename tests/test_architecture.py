"""The map in docs/architecture.md is true, and the house rules about size and imports hold."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (ROOT / "bayeskit", ROOT / "models" / "bayeskit_models")
SOURCES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAP = ROOT / "docs" / "architecture.md"
MOST_LINES, MOST_FUNCTION = 500, 60
FORBIDDEN = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# Put together here, so that this file does not hold what it looks for.
HOSTS = tuple(".".join(parts) for parts in (("pypi", "org"), ("python" + "hosted", "org"), ("anaconda", "org")))


def name_of(path):
    """Dotted name of a module."""
    package = next(p for p in PACKAGES if p in path.parents)
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def identify(path):
    return path.relative_to(ROOT).as_posix()


def test_every_module_is_on_the_map_once():
    rows = re.findall(r"^\| `(bayeskit[\w.]*)` \| (.+) \|$", MAP.read_text(encoding="utf-8"), re.MULTILINE)
    told = Counter(name for name, _ in rows)
    there = {name_of(path) for path in SOURCES}
    assert sorted(there - set(told)) == [], "modules that docs/architecture.md does not name"
    assert sorted(set(told) - there) == [], "modules that docs/architecture.md names and that are not there"
    assert [name for name, count in told.items() if count > 1] == []
    assert all(len(purpose.strip()) > 10 for _, purpose in rows)


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=identify)
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    limit = MOST_LINES if path in SOURCES else 2 * MOST_LINES
    assert len(text.splitlines()) <= limit
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _length(node) > MOST_FUNCTION
    ]
    assert long == []


def _length(function):
    """Lines of a function without its docstring, which is for readers and may be long."""
    length = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        length -= first.end_lineno - first.lineno + 1
    return length


@pytest.mark.parametrize("path", SOURCES, ids=identify)
def test_nothing_is_imported_that_executes_what_it_reads(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in names} & FORBIDDEN


def test_the_kit_names_no_model():
    """Not even in a string or a comment: a third party's model is as good as ours."""
    naming = [identify(path) for path in SOURCES if path.is_relative_to(PACKAGES[0]) and "bayeskit_models" in path.read_text()]
    assert naming == []


def test_no_file_names_a_registry():
    """Whoever installs says where from; an address here would override that silently."""
    folders = ("bayeskit", "models", "tests", "docs", "examples", ".ci")
    files = [p for f in folders for p in (ROOT / f).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    files += [ROOT / n for n in ("README.md", "CITATION.cff", "pyproject.toml", "constraints.txt")]
    found = [identify(p) for p in files if any(host.encode() in p.read_bytes() for host in HOSTS)]
    assert found == []
