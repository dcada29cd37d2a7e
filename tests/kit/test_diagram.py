"""What enters what: read from priors and graphs, told in every format, drawn so that arrows lead to the right."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import ClassVar

import examples
import pytest

from bayeskit.dependencies import dependencies
from bayeskit.report import build_report
from bayeskit.report.card import _entering
from bayeskit.report.content import Figure
from bayeskit.report.diagram import _placed, dependency_diagram
from bayeskit.report.markdown import to_markdown
from bayeskit.report.render import RENDERERS

MIXTURE = {
    "low": (), "high": (), "sigma": (), "theta": (), "order": ("low", "high"),
    "likelihood of data": ("low", "high", "sigma", "theta"),
}  # fmt: skip


def of(spec, table):
    return dependencies(spec, spec.statistics(table))


def test_dependencies_of_known_models(normal_table, mixture_table, schools_table):
    """Variables, numbers of a structural assumption, hierarchies, constraints, and variables in coordinates of their own."""
    normal = {"mu": (), "likelihood of data": ("mu", "noise")}
    assert of(examples.NormalNormal(), normal_table) == normal
    assert of(examples.OwnCoordinates(), normal_table) == normal
    assert of(examples.NormalNormal(broken="ignored"), normal_table) == normal  # times zero, and still read
    assert of(examples.GaussianMixture(), mixture_table) == MIXTURE
    funnel = of(examples.CentredFunnel(), schools_table)
    assert funnel == {"neck": (), "x": ("neck",), "likelihood of data": ("x",)}


def test_arrows_lead_to_the_right_and_boxes_do_not_overlap():
    entering = {"a": (), "b": ("a",), "c": ("a", "b"), "likelihood of y": ("c", "a", "d"), "bound": ("b",)}
    parts = ["a", "b", "c", "d", "likelihood of y", "bound"]
    edges = [(s, t) for t, sources in entering.items() for s in sources]
    boxes = _placed(parts, edges, {p: p for p in parts})
    for source, target in edges:
        assert boxes[source].x + boxes[source].width < boxes[target].x, (source, target)
    for one in parts:
        for other in parts[parts.index(one) + 1 :]:
            a, b = boxes[one], boxes[other]
            assert a.x != b.x or abs(a.y - b.y) > (a.height + b.height) / 2, (one, other)
            assert min(a.y - a.height / 2, b.y - b.height / 2) >= 0


def test_a_circle_ends():
    assert dependency_diagram({"a": ("b",), "b": ("a",)}, {}).mermaid.count("-->") == 2


def test_the_figure_says_in_words_and_in_mermaid_what_it_shows():
    figure = dependency_diagram(MIXTURE, {"sigma": ("component",)}, ["theta"])
    assert figure.alt == (
        "Diagram of 6 parts of the model and 6 arrows. order takes low, high; likelihood of data takes low, high, sigma, theta."
    )
    lines = figure.mermaid.splitlines()
    assert lines[0] == "flowchart LR" and '  p2["sigma (component)"]' in lines and lines.count("  p0 --> p4") == 1
    assert sum("-->" in line for line in lines) == 6
    again = dependency_diagram(MIXTURE, {"sigma": ("component",)}, ["theta"])
    assert again == figure and len(figure.data) < 60_000 and b"<script" not in figure.data


def test_hostile_names_stay_inside_their_label():
    hostile = 'x"]; click p0 "javascript:alert(1)" <b>`\n```'
    figure = dependency_diagram({f"likelihood of {hostile}": ("mu",)}, {"mu": (hostile,)})
    body = figure.mermaid.splitlines()
    assert len(body) == 4 and all(re.fullmatch(r"flowchart LR|  p\d\[\"[\w ,.()-]*\"\]|  p\d --> p\d", line) for line in body)
    text = to_markdown_of(figure)
    assert text.count("```") == 2


def to_markdown_of(figure):
    from bayeskit.report.content import Note, Report, Section

    return to_markdown(Report("T", Note("pass", "PASS"), (Section("S", "s", (figure,)),)))


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="nothing to draw"):
        dependency_diagram({"mu": ()}, {})


def test_every_format_of_a_report_tells_it(normal_fit):
    report = build_report(normal_fit, sensitivity=(), replicate=0)
    (section,) = (s for s in report.sections if s.id == "assumptions")
    (figure,) = (b for b in section.blocks if isinstance(b, Figure))
    assert "likelihood of data takes mu, noise" in figure.alt
    texts = {suffix: write(report) for suffix, write in RENDERERS.items()}
    assert "```mermaid\nflowchart LR" in texts[".md"] and figure.mermaid in texts[".md"]
    for suffix in (".html", ".md", ".tex", ".json"):
        assert "likelihood of data takes mu, noise" in texts[suffix].replace("{}", ""), suffix
    document = json.loads(texts[".json"])
    (table,) = (
        b for s in document["sections"] if s["id"] == "assumptions" for b in s["blocks"] if "Enters" in b.get("columns", ())
    )
    assert [row[-1] for row in table["rows"]] == ["likelihood of data", "likelihood of data"]
    assert ",Enters,likelihood of data," in texts[".csv"]


class Rows(examples.Regression):
    """A model whose rows are not saved, and whose structure is known without them."""

    row_dims: ClassVar[tuple[str, ...]] = ("row",)

    def reduce(self, rows):
        return super().reduce(rows).assign_attrs(law="normal")


def test_a_run_without_its_rows_is_drawn_where_its_structure_is_that_of_simulated_ones():
    spec = Rows()
    statistics = spec.statistics(spec.simulate(1, n=9).table)
    kept = spec.aggregated(statistics)
    assert set(kept.data_vars) < set(statistics.data_vars)
    expected = {"a": (), "b": (), "likelihood of data": ("a", "b", "noise")}
    assert _entering(SimpleNamespace(spec=spec, statistics=statistics, aggregate=kept)) == expected
    assert _entering(SimpleNamespace(spec=spec, statistics=None, aggregate=kept)) == expected
    assert _entering(SimpleNamespace(spec=spec, statistics=None, aggregate=kept.assign_attrs(law="other"))) == {}
    assert _entering(SimpleNamespace(spec=spec, statistics=None, aggregate=None)) == {}
