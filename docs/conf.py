"""The site made of these pages: ``uv run --group docs sphinx-build -W --keep-going -b html docs docs/_build``.

The pages are read on GitHub too, so their links lead to files of the repository. `expand` turns those that the site
holds as pages of its own into links to these. There is no intersphinx: the site is built without a network, and an
inventory that is kept here would name objects that others have moved since.
"""

from __future__ import annotations

import inspect
import os.path
import re
from pathlib import Path
from typing import Any

from sphinx.util.inspect import stringify_signature

import bayeskit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

project = "bayeskit"
author = "bayeskit maintainers"
project_copyright = "bayeskit maintainers, Apache License 2.0"
version = release = bayeskit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
root_doc = "index"
exclude_patterns = ["_build"]

# -- pages
# ---------------------------------------------------------------------------------------
myst_heading_anchors = 3  # the anchors that GitHub gives to headings
myst_links_external_new_tab = False
nitpicky = True
# A name in single backticks is a link where it is the name of an object, and code where it is an argument or a value.
default_role = "py:obj"
nitpick_ignore_regex = [("py:obj", ".*")]

# -- reference
# ---------------------------------------------------------------------------------------
autosummary_generate = False  # summaries stand above what they summarise: no files are written beside the pages
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the sections of the docstrings say it in words, with shapes and units
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"
numpydoc_xref_param_type = False
highlight_language = "none"  # blocks without a language are formulas and output

# -- looks: nothing is fetched, neither now nor by whoever reads
# ---------------------------------------------------------------------------------------
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"bayeskit {version}"
html_copy_source = False
html_show_sphinx = False

PAGES = {
    ROOT / "README.md": "start",
    **{ROOT / f"models/bayeskit_models/{m}/README.md": f"cards/{m}" for m in ("judges", "benchmarks", "risk", "survival")},
}
"""Files outside this folder that are pages of the site, and their names there."""

_INCLUDE = re.compile(r"^```\{include\} (?P<path>\S+)\n(?::start-line: (?P<start>\d+)\n)?```$", re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?!https?://|#)(?P<path>[^)#\s]+)")


def expand(app: Any, docname: str, source: list[str]) -> None:
    """Put included files in, and let links lead from the page `docname` to where the site has what they point to."""
    page = HERE / f"{docname}.md"

    def relinked(text: str, folder: Path) -> str:
        def target(found: re.Match[str]) -> str:
            path = (folder / found["path"]).resolve()
            if not path.exists():  # code that looks like a link, or a broken one: Sphinx will say so
                return found["path"]
            path = HERE / f"{PAGES[path]}.md" if path in PAGES else path
            return Path(os.path.relpath(path, page.parent)).as_posix()

        return _LINK.sub(target, text)

    def included(found: re.Match[str]) -> str:
        file = (page.parent / found["path"]).resolve()
        app.env.note_dependency(str(file))
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        return relinked("".join(lines[int(found["start"] or 0) :]), file.parent)

    parts, last = [], 0
    for found in _INCLUDE.finditer(source[0]):
        parts += [relinked(source[0][last : found.start()], page.parent), included(found)]
        last = found.end()
    source[0] = "".join([*parts, relinked(source[0][last:], page.parent)])


def settings(app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None) -> Any:
    """Show the settings of a specification, whose ``__new__`` takes anything in order to refuse it with a suggestion."""
    if what != "class" or signature != "(*args, **settings)":
        return None
    found = inspect.signature(obj.__init__)
    own = found.replace(parameters=[p for p in found.parameters.values() if p.name != "self"])
    return stringify_signature(own, show_annotation=False, show_return_annotation=False), returned


def setup(app: Any) -> dict[str, bool]:
    """Register the hooks."""
    app.connect("source-read", expand)
    app.connect("autodoc-process-signature", settings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
