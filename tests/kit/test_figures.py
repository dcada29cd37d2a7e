"""Figures: their numbers in words, any label, nothing that cannot be drawn, colours that can be told apart."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest
from hostile import NASTY

from bayeskit.report import figures as fg

RNG = np.random.default_rng(0)
P = np.array([[0.7, 0.3], [0.3, 0.7]])
CASES = {
    "interval": lambda: fg.interval_plot(
        ["a", "b"], [1.0, 2.0], [0.0, 1.0], [2.0, 3.0], xlabel="score", inner=([0.5, 1.5], [1.5, 2.5]),
        groups=["x", "y"], reference=1.5, reference_label="gold",
    ),
    "rank": lambda: fg.rank_plot(["a", "b"], P, lower=[1, 1], upper=[2, 2]),
    "matrix": lambda: fg.matrix_plot(["a", "b"], P),
    "density": lambda: fg.density_plot(
        {"a": RNG.normal(size=500), "b": RNG.gamma(2, size=500)}, xlabel="score", prior=RNG.normal(size=500),
        reference=0.0,
    ),
    "curve": lambda: fg.curve_plot(
        [0, 1, 2], {"a": ([1, 0.8, 0.5], [1, 0.7, 0.3], [1, 0.9, 0.7])}, xlabel="years", ylabel="survival",
        observed_until=1.0,
    ),
    "ecdf": lambda: fg.ecdf_difference_plot({"mu": np.zeros(9), "tau": np.full(9, 0.4)}, 10, 50, 2.5),
}  # fmt: skip
NUMBERS = {
    "interval": ("a 1.0 (0.0 to 2.0)", "95 % equal-tailed"),
    "rank": ("70 %", "interval 1 to 2", "95 % equal-tailed"),
    "matrix": ("row and column: a and b 30 %.",),
    "density": ("median", "95 % equal-tailed"),
    "curve": ("at 2.00 0.500 (0.300 to 0.700)", "extrapolation"),
    "ecdf": ("tau leaves the band", "mu stays inside", "0.400"),
}


@pytest.mark.parametrize("name", CASES)
def test_figures_tell_their_numbers_in_words(name):
    figure = CASES[name]()
    assert figure.media_type == "image/svg+xml"
    for part in NUMBERS[name]:
        assert part in figure.alt, figure.alt
    assert figure.caption
    assert b"<text" not in figure.data  # outlines only: no label is markup, and no font is needed
    assert b"http" not in re.sub(rb'xmlns(:xlink)?="[^"]*"', b"", figure.data)
    import xml.etree.ElementTree as ET

    ET.fromstring(figure.data)


def test_figures_survive_any_label():
    values = np.arange(len(NASTY), dtype=float)
    figure = fg.interval_plot(NASTY, values, values - 1, values + 1, groups=NASTY, reference=1.0, reference_label=NASTY[0])
    assert b"<script" not in figure.data
    fg.matrix_plot(NASTY[:14], np.full((14, 14), 0.5))
    fg.rank_plot(NASTY[-12:], np.full((12, 12), 1 / 12))
    fg.density_plot({v: RNG.normal(size=20) for v in NASTY[-7:]}, xlabel="$\\frac{")
    assert base64.b64encode(figure.data)


def test_notes_stand_behind_the_numbers_of_their_row():
    figure = fg.interval_plot(["a", "b"], [1.0, 2.0], [0.5, 1.5], [1.5, 2.5], notes=["rank 2", "rank 1"])
    assert "a 1.0 (0.5 to 1.5), rank 2; b 2.0 (1.5 to 2.5), rank 1" in figure.alt
    with pytest.raises(ValueError, match="notes 1"):
        fg.interval_plot(["a", "b"], [1.0, 2.0], [0.5, 1.5], [1.5, 2.5], notes=["rank 2"])


@pytest.mark.parametrize(
    "call",
    [
        lambda: fg.interval_plot(["a"], [1.0, 2.0], [0.0], [1.0]),
        lambda: fg.interval_plot([], [], [], []),
        lambda: fg.rank_plot(["a"], P),
        lambda: fg.density_plot({}),
        lambda: fg.density_plot({"a": [np.nan, 1.0]}),
        lambda: fg.curve_plot([0, 1], {}),
    ],
)
def test_figures_refuse_what_cannot_be_drawn(call):
    with pytest.raises(ValueError):
        call()


def test_density_integrates_to_one():
    grid = np.linspace(-6, 6, 256)
    y = fg.smooth_density(RNG.normal(size=20_000), grid)
    assert np.trapezoid(y, grid) == pytest.approx(1, abs=0.01)
    assert y.max() == pytest.approx(1 / np.sqrt(2 * np.pi), abs=0.03)


def test_colours_have_contrast_and_series_never_rest_on_colour_alone():
    from bayeskit.report.palette import SERIES, style

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    for colour in SERIES:
        assert 1.05 / (luminance(colour) + 0.05) >= 3.0, colour
    looks = [style(i) for i in range(28)]
    assert len(set(looks)) == 28
    assert len({(s.marker, s.dashes) for s in looks[:7]}) == 7
