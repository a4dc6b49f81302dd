"""Where the words of a text begin and end, as a person sees them, whatever the tokenizer.

A word is a run of characters between spaces, signs included. In scripts without spaces between
words each character stands alone, and a long run (an address, a list) is cut after its
punctuation.
"""

from __future__ import annotations

import unicodedata

LONG = 20  # characters; a longer run is cut after its punctuation
# Thai and Lao, Myanmar, Khmer, kana, ideographs: as `plumbline init` counts words
UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)

Span = tuple[int, int]


def split_words(text: str) -> list[Span]:
    """Start and end of each word, in order.

    >>> text = "WIN £100, now!"
    >>> [text[start:end] for start, end in split_words(text)]
    ['WIN', '£100,', 'now!']
    """
    spans: list[Span] = []
    start = None
    for i, character in enumerate(text):
        if character.isspace():
            if start is not None:
                spans += _cut(text, start, i)
            start = None
        elif start is None:
            start = i
    if start is not None:
        spans += _cut(text, start, len(text))
    return spans


def _cut(text: str, start: int, end: int) -> list[Span]:
    """The words of one run between spaces."""
    begins = [start]
    for i in range(start + 1, end):
        before, own = text[i - 1], text[i]
        if unicodedata.category(own).startswith("M"):  # belongs to the character before it
            continue
        punctuated = unicodedata.category(before).startswith("P") and own.isalnum()
        if _unspaced(before) or _unspaced(own) or (punctuated and end - start > LONG):
            begins.append(i)
    return list(zip(begins, [*begins[1:], end], strict=True))


def _unspaced(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in UNSPACED)
