"""Another program's SVG, made safe to stand inside the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from markupsafe import Markup

SVG = "http://www.w3.org/2000/svg"
LARGEST = 400_000  # characters
ELEMENTS = frozenset(
    re.findall(r"\w+", "svg g rect path circle ellipse line polyline polygon text tspan title desc")
)
ATTRIBUTES = frozenset(
    re.findall(
        r"[\w-]+",
        "viewBox x y x1 y1 x2 y2 cx cy r rx ry width height d points transform opacity fill "
        "fill-opacity stroke stroke-width stroke-dasharray stroke-linecap stroke-linejoin "
        "stroke-opacity text-anchor font-size font-weight font-style dominant-baseline role "
        "aria-label",
    )
)
# values that would fetch something, or could hold a script
FORBIDDEN = re.compile(r"url\s*\(|javascript:|data:|[<>{};\\]", re.IGNORECASE)


def inline_svg(source: str | None) -> Markup | None:
    """The drawing with only shapes, texts and their looks; None where it is not an SVG.

    Elements and attributes outside the lists above are left out: scripts, styles, links,
    handlers, images, entities. Text is escaped again.
    """
    if source is None or len(source) > LARGEST or "<!DOCTYPE" in source or "<!ENTITY" in source:
        return None
    try:
        root = ElementTree.fromstring(source)
    except ElementTree.ParseError:
        return None
    if _name(root) != "svg":
        return None
    return _written(root, top=True)


def _name(element: ElementTree.Element) -> str:
    return str(element.tag).removeprefix(f"{{{SVG}}}")


def _written(element: ElementTree.Element, *, top: bool = False) -> Markup:
    kept = {
        key: value
        for key, value in element.attrib.items()
        if key in ATTRIBUTES and (key == "aria-label" or not FORBIDDEN.search(value))
    }
    if top:  # the page scales it
        kept = {
            k: v for k, v in kept.items() if k not in ("width", "height") or "viewBox" not in kept
        }
        kept.setdefault("role", "img")
    attributes = Markup("").join(Markup(' {}="{}"').format(k, v) for k, v in kept.items())
    inner = Markup("{}").format(element.text or "")
    for child in element:
        if _name(child) in ELEMENTS:
            inner += _written(child)
        inner += Markup("{}").format(child.tail or "")
    name = Markup(_name(element))  # one of ELEMENTS
    return Markup("<{}{}>{}</{}>").format(name, attributes, inner, name)
