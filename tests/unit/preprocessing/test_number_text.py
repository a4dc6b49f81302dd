"""Numbers, truth values, dates and categories that arrive as text, or as a client sends them."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from plumbline import cells
from plumbline.errors import DataError
from plumbline.kinds import ColumnType
from plumbline.preprocessing.text import (
    WORDS,
    boolean_of,
    category_of,
    date_of,
    number_of,
    read_texts,
)
from plumbline.tables import CellFormat, Column


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        (" -1.5e3 ", -1500),
        (".5", 0.5),
        ("5.", 5),
        ("+7", 7),
        ("1,234.5", 1234.5),
        ("-1,234,567", -1234567),
        ("3%", 0.03),
        ("$5", 5),
        ("-5 €", -5),
        ("-$1,000.50", -1000.5),
        ("12 %", 0.12),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
    ],
)
def test_a_plain_meaning_is_repaired(text: str, number: float) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "NaN", "null", "None", "-", "?"])
def test_a_missing_number(text: str) -> None:
    found = number_of(text)
    assert found is not None and math.isnan(found)


@pytest.mark.parametrize(
    "text", ["1,5", "1.234,5", "12,34", "abc", "1 2", "0x1F", "1_000", "--5", "+-5", "5-", "%", "$"]
)
def test_what_could_mean_two_things_is_refused(text: str) -> None:
    """1,5 is one and a half here and fifteen there."""
    assert number_of(text) is None


def test_values_that_are_no_text() -> None:
    assert (
        number_of(True) == 1 and number_of(np.int64(7)) == 7 and number_of(np.float32(0.5)) == 0.5
    )
    assert math.isnan(number_of(None) or 0)
    assert number_of(10**400) == math.inf
    assert number_of([1]) is None and number_of({}) is None and number_of(b"1") is None


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False))
def test_what_python_writes_is_read_back(number: float) -> None:
    assert number_of(repr(number)) == number
    assert number_of(number) == number


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=12))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    for read in (number_of, boolean_of, date_of):
        found = read(text)
        assert found is None or isinstance(found, float)


@pytest.mark.parametrize("text", [*cells.TRUE, *cells.FALSE, *WORDS, " Yes ", "TRUE"])
def test_truth_values_are_those_of_a_file(text: str) -> None:
    frame = pl.LazyFrame({"b": [text]})
    in_file = frame.select(
        cells.boolean(Column(name="b", type=ColumnType.BOOLEAN), pl.String())
    ).collect()["b"][0]
    assert in_file is not None
    assert boolean_of(text) == float(in_file)


def test_what_is_no_truth_value() -> None:
    assert boolean_of("maybe") is None and boolean_of(2) is None and boolean_of("2") is None
    assert boolean_of(False) == 0 and boolean_of(1.0) == 1 and math.isnan(boolean_of(None) or 1)


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2024-05-01", 19844),
        ("2024-05-01T00:00:00", 19844),
        ("2024-05-01T02:00:00+02:00", 19844),
        ("1969-12-31", -1),
        (dt.date(2024, 5, 1), 19844),
        (dt.datetime(2024, 5, 1), 19844),
        (dt.datetime(2024, 5, 1, tzinfo=dt.UTC), 19844),
        (np.datetime64("2024-05-01"), 19844),
    ],
)
def test_dates(value: object, day: int) -> None:
    assert date_of(value) == day * 86_400_000_000


@pytest.mark.parametrize("value", ["soon", "01.05.2024", "2024-13-01", 20240501, 1.5, True])
def test_what_is_no_date_is_refused(value: object) -> None:
    assert date_of(value) is None


@pytest.mark.parametrize("value", [None, "", "NA", np.datetime64("NaT")])
def test_a_missing_date(value: object) -> None:
    assert math.isnan(date_of(value) or 0)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.floats(),
    st.text(max_size=8).filter(lambda t: t.strip() not in CellFormat().words()),
)


@settings(max_examples=400, deadline=None)
@given(scalars)
def test_a_category_is_the_text_that_reading_a_file_gives(value: object) -> None:
    """1.0 sent by a client is the category 1 of a file of whole numbers."""
    series = pl.Series("c", [value], dtype=pl.String if value is None else None)
    read = pl.LazyFrame(series).select(cells.text("c", series.dtype, CellFormat().words()))
    assert category_of(value) == read.collect()["c"][0]


def test_a_text_column_is_read_once_per_text() -> None:
    asked = []

    def read(value: object) -> float | None:
        asked.append(value)
        return number_of(value)

    values = pl.Series("x", ["1", None, "2", "1", "NA", None, "2"])
    found = read_texts(values, read, "a number", np.arange(7))
    assert_array_equal(found, [1, np.nan, 2, 1, np.nan, np.nan, 2])
    assert sorted(map(str, asked)) == ["1", "2", "NA", "None"]


def test_the_first_wrong_text_is_named_by_column_and_row() -> None:
    values = pl.Series("price", ["1", "2", "dear", "cheap"])
    with pytest.raises(DataError) as caught:
        read_texts(values, number_of, "a number", np.array([10, 20, 30, 40]))
    assert "column 'price', row 30" in str(caught.value)
    assert "'dear'" in str(caught.value) and "a number" in str(caught.value)
