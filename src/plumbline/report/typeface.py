"""How wide a text may be drawn, in the widest of the fonts that a reader may have.

The page brings no font, so the reader's own is used. DejaVu Sans, the default of many Linux
systems, is the widest of those in common use; these are its widths, so that what fits here fits
everywhere.
"""

from __future__ import annotations

import unicodedata

SIZE = 11.5  # of a drawing's text, in its units; page.css has the same
ELLIPSIS = "…"
# widths in ems of the printable ASCII characters
WIDTHS = {
    **dict.fromkeys("'ijl", 0.28),
    **dict.fromkeys("IJ", 0.31),
    **dict.fromkeys(" ,.", 0.32),
    **dict.fromkeys("/:;\\|", 0.34),
    **dict.fromkeys("-f()[]!t", 0.42),
    **dict.fromkeys('r"', 0.46),
    **dict.fromkeys("*_`sz?", 0.54),
    **dict.fromkeys("cLFkvxyPTYaeo", 0.62),
    **dict.fromkeys("$0123456789ESbdghnpqu{}", 0.64),
    **dict.fromkeys("KABVXZCR", 0.7),
    **dict.fromkeys("UNHDGOQ&", 0.79),
    **dict.fromkeys("w#+<=>^~", 0.84),
    **dict.fromkeys("MW%m@", 1.0),
    "\u00a0": 0.32,
    "…": 1.0,
    "–": 0.5,
    **dict.fromkeys("−×", 0.84),
    **dict.fromkeys("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", 0.53),
    "·": 0.32,
}


def text_width(text: str, size: float = SIZE) -> float:
    """How wide a text is drawn at most."""
    return size * sum(_em(character) for character in text)


def _em(character: str) -> float:
    known = WIDTHS.get(character)
    if known is not None:
        return known
    kind = unicodedata.category(character)
    if kind in ("Mn", "Me", "Cf", "Cc"):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05 if ord(character) < 0x10000 else 1.65  # emoji among the latter
    if kind[0] == "L" and character.islower():
        return 1.06
    return 1.1 if kind in ("Lo", "Lm", "Nd") else 1.65 if kind == "So" else 1.45


def shorten(text: str, width: float, size: float = SIZE) -> str:
    """A text cut to a width, with an ellipsis."""
    if text_width(text, size) <= width + 1e-6:  # rounding aside
        return text
    room = width - text_width(ELLIPSIS, size)
    end = 0
    for character in text:
        room -= text_width(character, size)
        if room < 0:
            break
        end += 1
    return text[:end] + ELLIPSIS
