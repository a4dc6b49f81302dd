"""Texts from outside, made fit for a page."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

# what neither HTML nor UTF-8 may hold: controls but tab and line feed, halves of surrogate pairs
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


# after these a long name may be broken, but not between the digits of a number
BREAKS = re.compile(r"(?<=[^\W_])(?!(?<=\d)[.:/-]\d)([_./:=-]+)(?=\w)")
QUOTED = re.compile(r"`([^`]+)`")


def breakable(text: str) -> Markup:
    """A name that may be broken after its underscores, dots and slashes."""
    return Markup(BREAKS.sub(lambda result: f"{result[1]}<wbr>", str(escape(text))))


def coded(text: str) -> Markup:
    """A text in which `this` is set as code."""
    return Markup(QUOTED.sub(r"<code>\1</code>", str(escape(text))))


def printable(text: str) -> str:
    """The text with a replacement character for each that cannot be shown or encoded."""
    return UNPRINTABLE.sub("\ufffd", text)
