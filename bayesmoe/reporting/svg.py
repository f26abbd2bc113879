"""Figures as SVG: the same bytes each time, described for screen readers, with values on hover, in the colors of the page."""

from __future__ import annotations

import colorsys
import io
import json
import re
from collections.abc import Iterable
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from bayesmoe.plots.style import HOVER

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_COLOR = re.compile(r"#([0-9a-f]{6})\b")
_FONT = re.compile(r"font-family: [^;]+")
_DARK = to_rgb("#16181b"), to_rgb("#ececec")
"""Paper and ink of the page on a dark screen."""

_GRAY, _LIGHT_ENOUGH = 0.1, 0.6
_DROPPED = (f"{{{_SVG}}}metadata",)


def svg(figure: Figure, name: str, caption: str) -> str:
    """SVG text of a figure, to stand alone or within a page beside others.

    Parameters
    ----------
    figure : Figure
        The figure; what :func:`bayesmoe.plots.style.hover` gave it becomes titles.
    name : str
        Prefix of all ids: those of two figures on one page must differ.
    caption : str
        What it shows, for who cannot see it.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for unwanted in [child for child in root if child.tag in _DROPPED]:
        root.remove(unwanted)
    number = 0
    for node in list(root.iter()):
        own = node.get("id", "")
        if own.startswith(f'["{HOVER}"'):
            _tell(node, json.loads(own)[1:])
            node.set("id", f"{HOVER}_{number}")
            number += 1
    for node in root.iter():
        _rename(node, name)
        if style := node.get("style"):
            style = _FONT.sub("font-family: system-ui, sans-serif", style)
            node.set("style", _COLOR.sub(lambda found: f"var(--c-{found[1]}, #{found[1]})", style))
    root.set("role", "img")
    root.set("aria-label", caption)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def dark_colors(drawn: Iterable[str]) -> str:
    """CSS custom properties that give every color of some SVG its counterpart on dark paper: grays reversed, others light enough to stand out."""
    found = sorted({color for text in drawn for color in re.findall(r"var\(--c-([0-9a-f]{6})", text)})
    return " ".join(f"--c-{color}: {_on_dark(color)};" for color in found)


def _on_dark(color: str) -> str:
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(f"#{color}"))
    if saturation < _GRAY:
        paper, ink = np.array(_DARK)
        return to_hex(tuple(paper + (ink - paper) * (1.0 - lightness)))
    return to_hex(colorsys.hls_to_rgb(hue, max(lightness, _LIGHT_ENOUGH), saturation))


def _tell(node: ElementTree.Element, said: list[str]) -> None:
    """A title for each thing drawn: in a group of its own, as a title of a ``use`` is not shown by every browser."""
    if not said:
        # Matplotlib writes an empty path where no point is known.
        return
    parents = {child: parent for parent in node.iter() for child in parent}
    drawn = [child for child in node.iter() if child.tag == f"{{{_SVG}}}use"] or [
        child for child in node if child.tag == f"{{{_SVG}}}path"
    ]
    for child, text in zip(drawn, said, strict=True):
        parent = parents[child]
        group = ElementTree.Element(f"{{{_SVG}}}g")
        ElementTree.SubElement(group, f"{{{_SVG}}}title").text = text
        place = list(parent).index(child)
        parent.remove(child)
        group.append(child)
        parent.insert(place, group)


def _rename(node: ElementTree.Element, name: str) -> None:
    for key, value in node.attrib.items():
        if key == "id":
            node.set(key, f"{name}-{value}")
        elif key.endswith("href") and value.startswith("#"):
            node.set(key, f"#{name}-{value[1:]}")
        elif "url(#" in value:
            node.set(key, re.sub(r"url\(#", f"url(#{name}-", value))
