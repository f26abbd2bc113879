"""SVG: the same bytes each time, ids of its own, and a title for every point that is drawn."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest

from bayesmoe.plots.style import hover
from bayesmoe.reporting.svg import dark_colors, svg

HOSTILE = '<script>"&'


@pytest.fixture
def drawn():
    """A line with a point that is not known, a scatter and bars, each told."""
    figure, axes = plt.subplots()
    (line,) = axes.plot([1.0, 2.0, 3.0], [1.0, np.nan, 2.0], "o", linestyle="none")
    hover(line, ["first", "unknown", HOSTILE])
    hover(axes.scatter([1.0, 2.0], [3.0, 4.0]), ["left", "right"])
    for bar, said in zip(axes.bar([1, 2], [0.5, 0.7]), ("low", "high"), strict=True):
        hover(bar, [said])
    yield figure
    plt.close(figure)


def test_every_point_that_is_drawn_is_told(drawn):
    root = ElementTree.fromstring(svg(drawn, "one", "A caption"))
    titles = [node.text for node in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(map(str, titles)) == sorted(["first", HOSTILE, "left", "right", "low", "high"])
    assert (root.get("role"), root.get("aria-label")) == ("img", "A caption")


def test_it_is_the_same_each_time_and_another_under_another_name(drawn):
    assert svg(drawn, "one", "A") == svg(drawn, "one", "A")
    ids = [set(re.findall(r' id="([^"]+)"', svg(drawn, name, "A"))) for name in ("one", "two")]
    assert not ids[0] & ids[1]


def test_what_refers_finds_its_target(drawn):
    text = svg(drawn, "one", "A")
    ids = set(re.findall(r' id="([^"]+)"', text))
    meant = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
    assert meant
    assert meant <= ids


def test_nothing_known_is_nothing_told():
    figure, axes = plt.subplots()
    (line,) = axes.plot([np.nan], [np.nan], "o")
    hover(line, ["unknown"])
    assert "<title>" not in svg(figure, "one", "A")
    plt.close(figure)


def test_text_stays_text_in_the_font_of_the_page(drawn):
    drawn.axes[0].set_xlabel("experts of a layer")
    root = ElementTree.fromstring(svg(drawn, "one", "A"))
    (label,) = [node for node in root.iter("{http://www.w3.org/2000/svg}text") if node.text == "experts of a layer"]
    assert "font-family: system-ui, sans-serif" in label.get("style", "")


def test_every_color_is_that_of_the_page_and_has_a_dark_one(drawn):
    text = svg(drawn, "one", "A")
    colors = set(re.findall(r"var\(--c-([0-9a-f]{6}), #\1\)", text))
    assert {"ffffff", "000000", "1f77b4"} <= colors
    assert not re.search(r"(?<!, )#[0-9a-f]{6}", text)
    dark = dict(re.findall(r"--c-([0-9a-f]{6}): (#[0-9a-f]{6});", dark_colors([text])))
    assert set(dark) == colors
    assert (dark["ffffff"], dark["000000"]) == ("#16181b", "#ececec")


@pytest.mark.parametrize("color", ["0072b2", "440154", "d55e00", "8c6d1f", "6b6b6b"])
def test_what_is_drawn_stands_out_from_dark_paper(color):
    """Contrast of graphics: at least 3 (WCAG 2.2, 1.4.11)."""
    (dark,) = re.findall(r": #([0-9a-f]{6});", dark_colors([f"var(--c-{color}, #{color})"]))
    assert _luminance(dark) + 0.05 >= 3 * (_luminance("16181b") + 0.05)


def _luminance(color):
    values = np.array([int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]
