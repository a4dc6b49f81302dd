"""Which encoding a text has that is not UTF-8: told only where one alone makes sense.

A wrong guess among the one-byte encodings goes unseen (`Łódź` reads as `£ódŸ`), so a text that
makes sense in two of them, and differs, is refused with both readings.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from plumbline.errors import DataError

GUESSED = 1 << 16  # bytes of lines beyond ASCII that are looked at
TOLERATED = 0.05  # share of words that may make no sense
COMMON = (
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "koi8_r",
    "gb18030",
    "big5",
    "cp932",
    "cp949",
    "euc_jp",
)


def guess_encoding(name: str, block: bytes) -> str:
    """The encoding of a block of a file.

    Raises:
        DataError: none fits, or several do and read differently.
    """
    lines = [line for line in block.split(b"\n") if not line.isascii()]
    sample = b"\n".join(lines)[:GUESSED].rsplit(b"\n", 1)[0]
    fitting: dict[str, str] = {}
    for encoding in COMMON:
        try:
            text = sample.decode(encoding)
        except UnicodeDecodeError:
            continue
        if makes_sense(text):
            fitting[encoding] = text
    if len(set(fitting.values())) == 1:
        return next(iter(fitting))
    shown = {text: encoding for encoding, text in reversed(fitting.items())}
    readings = [f"{encoding}: {_first_word(text)}" for text, encoding in shown.items()]
    raise DataError(
        "is not UTF-8, and its encoding cannot be determined",
        file=name,
        got="; ".join(readings[-4:]) or None,
        hint="pass --encoding NAME" + (", the one whose words are right" if readings else ""),
    )


def makes_sense(text: str) -> bool:
    """Whether the words beyond ASCII look like words: letters of one script, symbols and capitals
    not in their middle, no control characters."""
    words = [w for w in re.split(r"[\s,;|\t\"'()/]+", text) if not w.isascii()]
    odd = sum(1 for word in words if _is_odd(word))
    return bool(words) and odd <= TOLERATED * len(words)


def _is_odd(word: str) -> bool:
    if any(unicodedata.category(c) in ("Cc", "Cn", "Co", "Cs") for c in word):
        return True
    scripts = {_script(c) for c in word if unicodedata.category(c)[0] in "LM"}
    if len(scripts - {"CJK", "HIRAGANA", "KATAKANA"}) + bool(scripts & {"CJK", "HIRAGANA"}) > 1:
        return True
    for before, after in pairwise(word):
        if before.islower() and after.isupper():
            return True
        beyond = (c for c in (before, after) if not c.isascii() and not c.isalpha())
        if any(unicodedata.category(c)[0] in "SNP" for c in beyond) and (
            before.isalpha() or after.isalpha()
        ):
            return True
    return False


def _script(letter: str) -> str:
    return unicodedata.name(letter, "NONE").split()[0]


def _first_word(text: str) -> str:
    return next((w for w in re.split(r"[\s,;|\"]+", text) if not w.isascii()), "")[:20]
