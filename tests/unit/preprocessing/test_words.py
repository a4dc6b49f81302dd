"""Words are cut as a person sees them, in any script, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.preprocessing.words import split_words


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in split_words(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FREE entry! Call 08712-460-324", ["FREE", "entry!", "Call", "08712-460-324"]),
        ("I don't\n\tknow…", ["I", "don't", "know…"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("今日は晴れ ok", ["今", "日", "は", "晴", "れ", "ok"]),
        ("ทำดี", ["ท", "ำ", "ดี"]),
        ("hi 👨‍👩‍👧!", ["hi", "👨‍👩‍👧!"]),
        (
            "http://www.example.com/claim/now",
            ["http://", "www.", "example.", "com/", "claim/", "now"],
        ),
        ("", []),
        (" \n", []),
    ],
)
def test_words(text: str, wanted: list[str]) -> None:
    assert words(text) == wanted


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=80))
def test_every_character_but_space_is_in_one_word(text: str) -> None:
    assert "".join(words(text)) == "".join(text.split())
    assert all(own and not any(c.isspace() for c in own) for own in words(text))
