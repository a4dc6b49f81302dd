"""Colored words: escaped, cut around what counts, with a table beside the colors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report.sample import CLASSES, config, words_of, write_sample

from plumbline.report.page import render
from plumbline.report.read import Reports

HOSTILE = '<script>alert("1")</script> "onmouseover=x שלום \u202eevil 👨‍👩‍👧'


def page(tmp_path: Path, text: str = "", **row: Any) -> str:
    """The part of the page on words."""
    write_sample(tmp_path)
    content = words_of(CLASSES["binary"], text) if text else words_of(CLASSES["binary"])
    content["rows"][0] |= row
    (tmp_path / "explain" / "words.json").write_text(json.dumps(content))
    whole = render(config(), Reports(tmp_path))
    return re.split(r"Texts, word by word</h3>", whole)[1].split("</section>")[0]


def test_each_word_has_a_color_a_number_and_a_row_in_the_table(tmp_path: Path) -> None:
    part = page(tmp_path)
    shown = part.split('<p class="words" dir="auto">')[1].split("</p>")[0]
    assert re.sub("<[^>]*>", "", shown) == "Win a FREE prize, call now"
    assert '<mark class="p4" title="FREE: 0.5">FREE</mark>' in shown
    assert '<mark class="n2" title="a: −0.15">a</mark>' in shown
    assert "now</mark>" not in shown  # near zero: no color
    assert "Without the words 0.130." in part and "saliency (no sign)" in part
    assert "<bdi>FREE</bdi></th><td" in part
    assert "The deletion test on the words of message" in part


def test_a_word_that_is_not_in_the_vocabulary_is_marked(tmp_path: Path) -> None:
    row = words_of(CLASSES["binary"])["rows"][0]
    row["words"][5] |= {"known": False, "shap": 1e-18}
    part = page(tmp_path, words=row["words"])
    assert '<mark class="unknown" title="now: not in the vocabulary">now</mark>' in part


def test_a_hostile_text_is_text(tmp_path: Path) -> None:
    part = page(tmp_path, HOSTILE)
    assert "<script" not in part and "&lt;script&gt;" in part
    assert "\u202e" not in part.split('<p class="words"')[1].split("</p>")[0]
    assert not re.search(r"<[^>]*\sonmouseover=", part)


def test_a_long_text_is_cut_around_what_counts_and_says_so(tmp_path: Path) -> None:
    text = " ".join(["one", "two", "FREE", *(f"word{k}" * 10 for k in range(60))])
    part = page(tmp_path, text, characters=9000, characters_read=5000)
    shown = part.split('<p class="words" dir="auto">')[1].split("</p>")[0]
    assert ">FREE</mark>" in shown and "…" in shown
    assert len(re.sub("<[^>]*>", "", shown)) < 1400
    assert "Shortened to the most important words: " in part
    assert "The model reads the first 5,000 of its 9,000 characters." in part


@pytest.mark.parametrize("content", [None, {"rows": []}, {"rows": [{"words": [{"text": 3}]}]}])
def test_without_a_text_there_is_no_such_part(tmp_path: Path, content: Any) -> None:
    write_sample(tmp_path)
    file = tmp_path / "explain" / "words.json"
    file.unlink() if content is None else file.write_text(json.dumps(content))
    whole = render(config(), Reports(tmp_path))
    assert ("Texts, word by word" in whole) == (content is None)  # a missing file is named
    assert ("reports/explain/words.json is not there" in whole) == (content is None)
