"""One row is read as the same cells of a file are, in every format and type."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from plumbline import cells
from plumbline.cells import typed, unreadable
from plumbline.config.data import NormalizeConfig
from plumbline.errors import DataError
from plumbline.kinds import ColumnType, Role, Task
from plumbline.preprocessing.few_rows import RowTransformer
from plumbline.preprocessing.row import RowReader, boolean_of, category_of, date_of, number_of
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import THOUSANDS, CellFormat, Column, Schema

NUMERIC = (ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.BOOLEAN, ColumnType.DATE)
PATTERNS = (None, "%d/%m/%Y", "%m/%d/%y", "%d-%b-%Y", "%Y-%m-%dT%H:%M:%S%z", "%d.%m.%Y %H:%M")


@st.composite
def formats(draw: Any) -> CellFormat:
    decimal = draw(st.sampled_from([".", ","]))
    others = [mark for mark in THOUSANDS if mark != decimal]
    return CellFormat(
        decimal=decimal,
        thousands=draw(st.sampled_from([None, *others])),
        unit=draw(st.sampled_from([None, "$", "%", "€", "kg", "R$", "a.b"[:1]])),
        parentheses=draw(st.booleans()),
        date=draw(st.sampled_from(PATTERNS)),
        missing=draw(st.sampled_from([None, (), ("-", "none"), ("NA", "0")])),
    )


@st.composite
def texts(draw: Any, form: CellFormat) -> str:
    """Numbers and dates as people write them, and what comes near."""
    number = draw(st.one_of(st.integers(-(10**20), 10**20).map(str), st.floats().map(repr)))
    group = {" ": "\u202f"}.get(form.thousands or "", form.thousands or "")
    grouped = f"{draw(st.integers(0, 10**9)):,}.5".replace(".", "·").replace(",", group)
    written = grouped.replace("·", form.decimal)
    day = draw(st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(2300, 1, 1)))
    zone = day.replace(tzinfo=dt.timezone(dt.timedelta(minutes=draw(st.integers(-720, 720)))))
    unit = form.unit or ""
    return draw(
        st.sampled_from(
            [
                number,
                number.replace(".", form.decimal),
                written,
                f"{unit}{written}",
                f"{written} {unit}",
                f"({written})",
                f"-{unit}{written}",
                f"{day:{form.date or '%Y-%m-%d'}}",
                day.isoformat(),
                zone.isoformat(),
                f"{day:%Y%m%d}",
                *("", " ", "NA", "-", "none", "inf", "nan", "Yes", " no ", "TRUE", "07", "1e400"),
                *("1,5", "1.5", "1.234", "1,234", "１２", "1_000", "0x1F", "--5", "12%", "$", "%"),
                draw(st.text(max_size=6)),
            ]
        )
    )


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_a_cell_of_a_row_is_the_cell_of_a_file(data: Any) -> None:
    form = data.draw(formats())
    column = Column(name="x", type=data.draw(st.sampled_from(NUMERIC)), format=form)
    text = data.draw(texts(form))
    frame = pl.LazyFrame({"x": [text]}, schema={"x": pl.String})
    value = typed(column, pl.String()).to_physical().cast(pl.Float64)
    in_file = frame.select(value.alias("value"), unreadable(column, pl.String()).alias("bad"))
    number, bad = in_file.collect().row(0)
    try:
        (result,) = RowReader([column])({"x": text})
    except DataError as refusal:
        assert bad, f"{text!r} of {column}: {refusal}"
        return
    assert not bad, f"{text!r} of {column} read as {result}"
    assert result == number


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_row_gives_the_tensors_of_the_file(data: Any) -> None:
    """Over several columns at once, after the state went through JSON."""
    kinds = data.draw(st.lists(st.sampled_from(list(ColumnType)), min_size=1, max_size=5))
    columns = [
        Column(name=f"{k}", type=t, format=data.draw(formats())) for k, t in enumerate(kinds)
    ]
    target = Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET)
    schema = Schema(columns=(*columns, target), task=Task.REGRESSION)
    size = data.draw(st.integers(4, 12))
    raw = {c.name: [data.draw(texts(c.format)) for _ in range(size)] for c in columns}
    frame = pl.LazyFrame({**raw, "y": ["1.5"] * size}, schema=dict.fromkeys([*raw, "y"], pl.String))
    read = frame.select(typed(c, pl.String()) for c in schema.columns).collect()
    bad = frame.select(unreadable(c, pl.String()).alias(c.name) for c in schema.columns).collect()
    rows = np.arange(size)
    try:
        made = TableTransformer(schema, NormalizeConfig()).fit(read.lazy(), seed=0)
    except DataError as nothing:
        assert "no feature is left" in str(nothing)
        reject()
    made = TableTransformer.from_json(json.loads(json.dumps(made.to_json())))
    examples = made.transform(read.lazy(), rows)
    for i in rows:
        values = {name: None if bad[name][int(i)] else raw[name][i] for name in raw}
        one = RowTransformer(made)(values)
        assert one.keys() == examples.inputs.keys()
        for name, array in examples.inputs.items():
            assert one[name].tobytes() == array[i].tobytes(), (name, values)


def test_a_row_is_read_by_the_format_of_the_data() -> None:
    """A decimal comma that means one and a half in the file means so in a row, too."""
    form = CellFormat(decimal=",", thousands=".", missing=("-",))
    columns = [Column(name="x", type=ColumnType.NUMBER, format=form)]
    columns.append(Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET))
    schema = Schema(columns=tuple(columns), task=Task.REGRESSION)
    frame = pl.LazyFrame({"x": [1.5, 2.5, 1234.5, None], "y": [0.0, 1.0, 2.0, 3.0]})
    made = TableTransformer(schema, NormalizeConfig(numbers_as_categories=False))
    made.fit(frame, seed=0)
    again = TableTransformer.from_json(json.loads(json.dumps(made.to_json())))
    num = made.transform(frame, np.arange(4)).inputs["num"]
    for i, text in enumerate(["1,5", "2,5", "1.234,5", "-"]):
        assert RowTransformer(again)({"x": text})["num"].tobytes() == num[i].tobytes()
    with pytest.raises(DataError, match=r"column 'x'.*decimal: ','.*got '1.5'"):
        RowTransformer(again)({"x": "1.5"})


def test_an_unfitted_transformer_says_so() -> None:
    target = Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET)
    made = TableTransformer(Schema(columns=(target,), task=Task.REGRESSION), NormalizeConfig())
    with pytest.raises(DataError, match="Call fit first"):
        RowTransformer(made)({})
    with pytest.raises(DataError, match="Call fit first"):
        made.transform(pl.LazyFrame({"y": [1.0]}), np.arange(1))


# -- native values


def test_native_numbers() -> None:
    assert number_of(True) == 1 and number_of(np.int64(7)) == 7
    assert number_of(np.float32(0.5)) == 0.5 and number_of(10**400) == math.inf
    assert number_of([1]) is None and number_of({}) is None and number_of(b"1") is None


def test_native_truth_values() -> None:
    assert boolean_of(2) is None and boolean_of(False) == 0 and boolean_of(1.0) == 1
    assert boolean_of(math.nan) is not None


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (dt.date(2024, 5, 1), 19844),
        (dt.datetime(2024, 5, 1), 19844),
        (dt.datetime(2024, 5, 1, tzinfo=dt.UTC), 19844),
        (dt.datetime(2024, 5, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))), 19844),
        (np.datetime64("2024-05-01"), 19844),
    ],
)
def test_native_dates(value: object, day: int) -> None:
    assert date_of(value) == day * 86_400_000_000


@pytest.mark.parametrize("value", [20240501, 1.5, True, "2024-05-01", [1]])
def test_what_is_no_native_date(value: object) -> None:
    assert date_of(value) is None


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**62), 2**62), st.floats(), st.text(max_size=8)
)


@settings(max_examples=300, deadline=None)
@given(scalars, st.sampled_from([None, (), ("-", "a")]))
def test_a_category_is_the_text_that_reading_a_file_gives(value: object, words: Any) -> None:
    """1.0 sent by a client is the category 1 of a file of whole numbers."""
    form = CellFormat(missing=words)
    series = pl.Series("c", [value], dtype=pl.String if value is None else None)
    read = pl.LazyFrame(series).select(cells.text("c", series.dtype, form.words()))
    assert category_of(value, form) == read.collect()["c"][0]
