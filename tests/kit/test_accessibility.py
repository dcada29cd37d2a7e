"""Reports for people who see little, see colours otherwise, or do not see: contrast, structure, words for pictures."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from fake_fit import make_fit
from hostile import NASTY
from test_report import Page

import bayeskit.report
from bayeskit.report import build_report, render
from bayeskit.report.html import to_html
from bayeskit.report.palette import DASHES, INK, MARKERS, MUTED, SERIES

ROOT = Path(__file__).resolve().parents[2]
CSS = (Path(bayeskit.report.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")


def linear(colour):
    """Linear RGB of "#rrggbb"."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def luminance(rgb):
    return float(np.array([0.2126, 0.7152, 0.0722]) @ rgb)


def contrast(one, other):
    """Contrast ratio of WCAG 2.2, 1 to 21."""
    low, high = sorted((luminance(linear(one)), luminance(linear(other))))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the textbook grey that just fails


def schemes():
    """Variables of the style sheet, light and dark; the dark ones go over the light ones."""
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.S)
    light, dark = ({k: v for k, v in re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)} for block in blocks[:2])
    return {"light": light, "dark": {**light, **dark}}


KINDS = ("pass", "warn", "fail", "info", "other")
TEXT = [
    ("ink", "page"), ("muted", "page"), ("link", "page"), ("ink", "soft"), ("muted", "soft"),
    *((k, f"{k}-bg") for k in KINDS),  # verdict lines
    *(("ink", f"{k}-bg") for k in KINDS),  # what stands below them
    *(("page", k) for k in ("fail", "warn", *KINDS)),  # marks and signs
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_4_5(scheme):
    colours = schemes()[scheme]
    low = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in TEXT}
    assert min(low.values()) >= 4.5, {k: v for k, v in low.items() if v < 4.5}


def test_graphics_have_a_contrast_of_3_on_the_white_of_figures():
    assert min(contrast(c, "#ffffff") for c in (*SERIES, INK)) >= 3.0
    assert contrast(MUTED, "#ffffff") >= 4.5 and contrast(INK, "#ffffff") >= 4.5  # axes and labels are text
    assert "figure img { display: block; max-width: 100%; height: auto; background: #fff;" in CSS  # in the dark as well


DEUTERANOPIA = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
"""Machado, Oliveira, Fernandes (2009), IEEE Trans. Vis. Comput. Graph. 15:1291, severity 1, on linear RGB."""


def lab(rgb):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_series_are_told_apart_without_red_and_green():
    """The first three, which most figures have, by colour alone (a distance of 10 is plain); all by marker and dash."""
    seen = [lab(DEUTERANOPIA @ linear(c)) for c in SERIES]
    near = {(i, j): np.linalg.norm(seen[i] - seen[j]) for i, j in combinations(range(3), 2)}
    assert min(near.values()) > 10, near
    assert len(set(MARKERS)) == len(SERIES) == len(set(DASHES))


@pytest.mark.parametrize("changes", [{}, {"bad": True}, {"partial": True}, {"labels": NASTY[:60]}], ids=str)
def test_structure_is_that_of_a_document(changes):
    page = Page(to_html(build_report(make_fit(**changes))))
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert len(page.all("main")) == len(page.all("nav")) == len(page.all("header")) == 1
    assert len(page.all("title")) == 1
    assert {a["scope"] for a in page.all("th")} == {"row", "col"}
    assert len(page.all("caption")) == len(page.all("table"))
    names = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert names <= {a["id"] for _, a in page.tags if "id" in a}
    skip = page.all("a")[0]
    assert skip["class"] == "skip" and skip["href"] == "#content"


def test_pictures_are_told_with_their_numbers():
    report = build_report(make_fit())
    median = next(t for t in report.tables() if "Median" in t.columns).rows[0][1].value
    alts = [f.alt for f in report.figures()]
    assert len(alts) >= 3
    assert f"{median:.1f}" in alts[0]
    assert all(len(re.findall(r"\d", alt)) >= 4 for alt in alts)


def test_fifty_rows_fit_into_two_megabytes():
    text = to_html(build_report(make_fit([f"item {i}" for i in range(50)])))
    assert len(text.encode()) < 2_000_000
    assert len(re.findall(r'<th scope="row"[^>]*>item \d+', text)) >= 50


def test_a_verdict_is_never_a_colour_alone():
    for changes, word in (({}, "PASS"), ({"bad": True}, "FAIL"), ({"partial": True}, "PARTIAL")):
        page = Page(to_html(build_report(make_fit(**changes))))
        assert any(t.startswith(word) for _, t in page.texts)
    struck = to_html(build_report(make_fit(bad=True)))
    assert "<s>" in struck and "not for use" in struck


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm, which fetches the checker, is not installed")
@pytest.mark.skipif(not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), reason="no Chromium")
def test_axe_finds_nothing_serious(tmp_path):
    """The checker of the field, in a browser, on a report of every state and one with hostile labels, light and dark."""
    states = {"pass": {}, "fail": {"bad": True}, "partial": {"partial": True}, "nasty": {"labels": NASTY[:60], "notes": NASTY}}
    files = [render(build_report(make_fit(**changes)), tmp_path / f"{name}.html") for name, changes in states.items()]
    done = subprocess.run([sys.executable, ROOT / ".ci" / "axe.py", *files], capture_output=True, text=True, check=False)
    if done.stdout.startswith("Skipped"):
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("rules passed, 0 findings") == 8, done.stdout
