"""What is expected of texts: proposed by `init`, held against new rows, told by row."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.data.test_checks import CONFIG, outcomes, write

from plumbline.config.data import FormatConfig
from plumbline.data.infer import Inferred, Wishes, infer
from plumbline.data.load import load_expectations
from plumbline.data.propose import propose, to_yaml
from plumbline.data.text_profile import TextProfile, is_garbled, profile_texts
from plumbline.errors import ParameterError
from plumbline.kinds import ColumnType, Role
from plumbline.tables import CellFormat, Column

# of Great Expectations' own imports
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

ROWS = 200
GOOD = [f"the parcel number {i} came on time and whole" for i in range(ROWS)]
LANGUAGES = [
    "Ça coûte 5 €, n'est-ce pas ?",
    "SÃO PAULO, AMANHÃ ÀS 9H",
    "Ångström & Ñandú",
    "привет, как дела",
    "こんにちは世界、元気ですか",
    "مرحبا بالعالم",
    "👩‍👩‍👧 🇩🇪 \u200e\tdone\r\nnext line",
    "ÞAÐ ER GOTT VEÐUR",
]
BROKEN = [
    "cafÃ© at the corner",
    "donâ€™t do it",
    "price Â£5",
    "a question\ufffd mark",
    "a bell \x07 rings",
    "привет".encode().decode("latin-1"),
]


def frame_of(texts: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"t": texts, "y": [f"{i}.5" for i in range(len(texts))]})


def inferred(texts: list[str]) -> Inferred:
    form = FormatConfig(missing=["NA"])
    return infer(frame_of(texts).lazy(), form, Wishes(target="y"), file="a.csv")


def failed(folder: Path, expected: dict[str, Any], texts: list[Any]) -> dict[str, Any]:
    """By expectation: the sentence's end; and the rows listed."""
    result = outcomes(folder, {"t": {"type": "text", **expected}}, frame_of(texts).select("t"))
    bad = [o.problem for o in result["outcomes"]["t"] if not o.success]
    return {"problems": bad, "rows": result["rows"].get("t", [])}


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(
            *[st.sampled_from(["NA", "", None, "one two", "three", "Ã© four", "five six"])] * 2
        ),
        min_size=1,
        max_size=30,
    )
)
def test_texts_with_gaps_are_measured_as_by_hand(rows: list[tuple[str | None, str | None]]) -> None:
    names = ["t", "u"]
    form = CellFormat(missing=("NA", ""))
    columns = {
        n: Column(name=n, type=ColumnType.TEXT, role=Role.FEATURE, format=form) for n in names
    }
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    profiles = profile_texts(frame.lazy(), columns, "a.csv")
    for name in names:
        texts = [cell for cell in frame[name] if cell not in ("NA", "", None)]
        if not texts:
            assert name not in profiles
            continue
        assert profiles[name] == TextProfile(
            shortest=min(map(len, texts)),
            longest=max(map(len, texts)),
            garbled=sum("Ã©" in text for text in texts) / len(rows),
            repeated=max(Counter(texts).values()) / len(rows),
        )


def test_texts_of_every_language_are_not_garbled() -> None:
    for text, expected in [*((t, False) for t in LANGUAGES), *((t, True) for t in BROKEN)]:
        assert pl.select(is_garbled(pl.lit(text))).item() is expected, text


@given(st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "Zs"]), max_size=20))
def test_text_that_was_decoded_wrongly_is_garbled(text: str) -> None:
    """UTF-8 of Western letters read as Latin-1 is told; as it was written, it is not."""
    accented = [c for c in text if "\xc0" <= c <= "\xff"]
    twice = text.encode().decode("latin-1")
    if accented:
        assert pl.select(is_garbled(pl.lit(twice))).item()


def test_length_garbling_and_repetition_are_told_by_row(tmp_path: Path) -> None:
    texts = [*GOOD, "ok", *BROKEN[:4], *["your code is on its way"] * 40]
    wide = {"length": {"min": 5, "max": 100}, "garbled": {"max": 0.1}, "repeated": {"max": 0.5}}
    assert failed(tmp_path, wide, GOOD) == {"problems": [], "rows": []}
    result = failed(tmp_path, {"length": {"min": 5, "max": 100}}, texts)
    assert result["rows"] == [ROWS]
    assert result["problems"] == ["do not have 5 to 100 characters"]
    result = failed(tmp_path, {"garbled": {"max": 0.01}}, texts)
    assert result["rows"] == [*range(ROWS + 1, ROWS + 5)]
    assert "garbled" in result["problems"][0] and "1% allowed" in result["problems"][0]
    result = failed(tmp_path, {"repeated": {"max": 0.05}}, texts)
    assert result["rows"] == [*range(ROWS + 5, ROWS + 45)]
    assert failed(tmp_path, {"garbled": {"max": 0.1}}, texts)["problems"] == []
    assert failed(tmp_path, {"repeated": {"max": 0.05}}, ["same text"] * 10)["problems"] == []


def test_init_proposes_what_the_texts_meet_with_tolerance(tmp_path: Path) -> None:
    texts = [*GOOD, GOOD[0], BROKEN[0]]
    column = inferred(texts).expectations.columns["t"]
    assert column.type is ColumnType.TEXT
    assert column.length is not None and column.garbled is not None and column.repeated is not None
    lengths = sorted(map(len, texts))
    assert column.length.min < lengths[0] and column.length.max > lengths[-1]  # type: ignore[operator]
    assert 1 / 202 < column.garbled.max < 0.1 and 2 / 202 < column.repeated.max < 0.1
    own = {
        "length": {"min": column.length.min, "max": column.length.max},
        "garbled": {"max": column.garbled.max},
        "repeated": {"max": column.repeated.max},
    }
    assert failed(tmp_path, own, texts)["problems"] == []


def test_update_widens_what_the_texts_at_hand_would_fail(tmp_path: Path) -> None:
    before = inferred(GOOD)
    path = tmp_path / "expectations.yaml"
    path.write_text(to_yaml(before.expectations))
    current = load_expectations(path, CONFIG)
    assert propose(current, before).columns["t"] == current.columns["t"]
    after = propose(current, inferred([*GOOD, *BROKEN, "long " * 200])).columns["t"]
    old = current.columns["t"]
    assert after.length.max >= 1000 and after.length.min <= old.length.min  # type: ignore[union-attr, operator]
    assert after.garbled.max > old.garbled.max  # type: ignore[union-attr]
    assert after.repeated == old.repeated


@pytest.mark.parametrize("key", ["length", "garbled", "repeated"])
def test_other_types_have_no_texts(tmp_path: Path, key: str) -> None:
    own = {"type": "number", key: {"max": 1}}
    with pytest.raises(ParameterError, match=rf"columns\.x\.{key}.*no texts"):
        load_expectations(write(tmp_path, {"x": own}), CONFIG)
