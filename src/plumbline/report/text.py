"""Texts from outside, made fit for a page."""

from __future__ import annotations

import re

# what neither HTML nor UTF-8 may hold: controls but tab and line feed, halves of surrogate pairs
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """The text with a replacement character for each that cannot be shown or encoded."""
    return UNPRINTABLE.sub("\ufffd", text)
