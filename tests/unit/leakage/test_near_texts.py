"""Edited copies of texts are told from texts that are alike because of a template or by chance."""

from __future__ import annotations

import random
from collections.abc import Callable

import polars as pl
import pytest
from tests.unit.leakage.test_near import HELD, TRAIN, profile

from plumbline.leakage import Finding

VOCABULARY = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdgklmnrstxz"]


def prose(rng: random.Random, words: int = 25) -> str:
    return " ".join(rng.choices(VOCABULARY, k=words)).capitalize() + "."


def copied(change: Callable[[str, random.Random], str], copies: int = 10) -> list[Finding]:
    """The check where the last rows are changed copies of the first."""
    rng = random.Random(0)
    texts = [prose(rng) for _ in range(TRAIN + HELD)]
    for i in range(copies):
        texts[-copies + i] = change(texts[i], rng)
    return profile(pl.DataFrame({"note": texts}))


def replaced(text: str, rng: random.Random) -> str:
    words = text.split()
    words[rng.randrange(5, 20)] = "otherwise"
    return " ".join(words)


EDITS: dict[str, Callable[[str, random.Random], str]] = {
    "one word is another": replaced,
    "the end is cut": lambda text, rng: " ".join(text.split()[:-4]),
    "words stand before": lambda text, rng: f"re: re: {text} thanks",
    "case and marks differ, and a word": lambda text, rng: f"{text.upper()}!! ok ☺",
    "a number is added": lambda text, rng: f"{text} 12",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=list(EDITS))
def test_edited_copies_are_found_with_their_originals(
    edit: Callable[[str, random.Random], str],
) -> None:
    (finding,) = copied(edit)
    assert finding.check == "near_duplicates" and finding.columns == ("note",)
    last = TRAIN + HELD
    assert finding.rows.tolist() == list(range(last - 10, last))
    assert finding.drop_rows.tolist() == list(range(10))
    assert "10 held-out rows (3.33%)" in finding.detail and "'note'" in finding.detail


def test_other_texts_are_no_copies() -> None:
    assert copied(lambda text, rng: prose(rng)) == []
    half = lambda text, rng: " ".join([*text.split()[:12], *prose(rng).split()[12:]])  # noqa: E731
    assert copied(half) == []
    assert copied(EDITS["one word is another"], copies=1) == []  # a coincidence


def test_equal_rows_are_left_to_the_check_of_duplicates() -> None:
    assert copied(lambda text, rng: f"  {text.upper()}!") == []


def test_templates_are_no_copies() -> None:
    """Neither where messages differ in numbers alone, nor where many are alike."""
    rng = random.Random(1)
    code = "Your code is {} and it is valid for {} minutes, do not give it to anybody"
    parcel = "Dear {}, your parcel has arrived at our station and waits there for you until {}"
    codes = [code.format(rng.randrange(10**6), rng.randrange(5, 60)) for _ in range(4)]
    parcels = [parcel.format(*rng.choices(VOCABULARY, k=2)) for _ in range(400)]
    texts = [prose(rng) for _ in range(TRAIN + HELD)]
    texts[:2], texts[-2:] = codes[:2], codes[2:]
    texts[100:400], texts[TRAIN + 50 : TRAIN + 150] = parcels[:300], parcels[300:]
    assert profile(pl.DataFrame({"note": texts})) == []


def test_scripts_without_blanks_have_words_too() -> None:
    rng = random.Random(2)
    signs = [chr(c) for c in range(0x4E00, 0x4E00 + 800)]
    texts = ["".join(rng.choices(signs, k=30)) for _ in range(TRAIN + HELD)]
    for i in range(10):
        texts[-10 + i] = texts[i][:14] + "們" + texts[i][15:]
    (finding,) = profile(pl.DataFrame({"note": texts}))
    assert len(finding.rows) == 10


def test_short_texts_are_alike_by_chance() -> None:
    rng = random.Random(3)
    texts = [f"Love it {rng.choice(['so', 'very'])} much, thanks {i % 7}" for i in range(1200)]
    assert profile(pl.DataFrame({"note": texts, "x": [float(i % 97) for i in range(1200)]})) == []
