"""Rows of programs and requests become the cells that a file of them would have."""

from __future__ import annotations

import base64
import datetime as dt
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image

from plumbline.cells import typed
from plumbline.errors import DataError
from plumbline.inference.accepted_kinds import AcceptedKinds
from plumbline.kinds import ColumnType, Role, Task
from plumbline.store.given import SERVED, given_rows
from plumbline.tables import CellFormat, Column, Schema

EURO = CellFormat(decimal=",", thousands=".", unit="€")
SCHEMA = Schema(
    columns=(
        Column(name="n", type=ColumnType.NUMBER),
        Column(name="price", type=ColumnType.NUMBER, format=EURO),
        Column(name="k", type=ColumnType.INTEGER),
        Column(name="b", type=ColumnType.BOOLEAN),
        Column(name="day", type=ColumnType.DATE),
        Column(name="born", type=ColumnType.DATE, format=CellFormat(date="%d/%m/%Y")),
        Column(name="zip", type=ColumnType.CATEGORY),
        Column(name="photo", type=ColumnType.IMAGE),
        Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET),
    ),
    task=Task.REGRESSION,
)
ACCEPTED = AcceptedKinds(SCHEMA.features, {"zip": ("7", "8")})
DAY = dt.datetime(2024, 2, 29, 11, 30)
ZONED = DAY.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))


def png() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(content, "PNG")
    return content.getvalue()


PNG = png()


def read(name: str, values: Any) -> list[Any]:
    """The cells of a column, as the model reads them."""
    frame = given_rows(
        values if isinstance(values, pd.DataFrame) else {name: values}, SCHEMA, ACCEPTED
    )
    column = SCHEMA.column(name)
    return frame.select(typed(column, frame.schema[name]))[name].to_list()


@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
        ("n", [1, 2], [1.0, 2.0]),
        ("n", [1, 2.5, None, float("nan")], [1.0, 2.5, None, None]),
        ("n", [1, "2.5", None], [1.0, 2.5, None]),
        ("n", np.array([1, 2], dtype=np.uint8), [1.0, 2.0]),
        ("n", [Decimal("1.5"), None], [1.5, None]),
        ("n", pd.Series([1, None], dtype="Int64"), [1.0, None]),
        ("price", ["1.234,50 €", None], [1234.5, None]),
        ("price", [Decimal("1.234")], [1.234]),
        ("price", [1.234], [1.234]),
        ("k", pd.Series([3.0, np.nan]), [3, None]),
        ("k", [2**53 + 1], [2**53 + 1]),
        ("b", [True, None, False], [True, None, False]),
        ("b", ["yes", "no"], [True, False]),
        ("b", pd.Series([True, pd.NA], dtype="boolean"), [True, None]),
        ("day", [DAY, None], [DAY, None]),
        ("day", [pd.Timestamp(DAY), pd.NaT], [DAY, None]),
        ("day", pd.Series([DAY]), [DAY]),
        ("day", [ZONED, DAY], [DAY.replace(hour=9), DAY]),
        ("day", [dt.date(2024, 2, 29)], [dt.datetime(2024, 2, 29)]),
        ("day", ["2024-02-29T11:30:00"], [DAY]),
        ("day", np.array([DAY, "NaT"], dtype="datetime64[ns]"), [DAY, None]),
        ("born", ["29/02/2024", None], [dt.datetime(2024, 2, 29), None]),
        ("born", ["2024-02-29T11:30:00", None], [DAY, None]),
        ("born", ["2024-02-29T11:30:00+02:00"], [DAY.replace(hour=9)]),
        ("zip", [7, 8], ["7", "8"]),
        ("zip", [7.0, "07", None], ["7", "07", None]),
        ("zip", pd.Series(["07", None], dtype="category"), ["07", None]),
        ("photo", [PNG, None], [PNG, None]),
        ("photo", [base64.b64encode(PNG).decode(), ""], [PNG, None]),
        ("photo", ["data:image/png;base64," + base64.encodebytes(PNG).decode()], [PNG]),
        ("photo", [{"bytes": PNG, "path": "a.png"}], [PNG]),
    ],
)
def test_cells_of_a_program(name: str, values: Any, wanted: list[Any]) -> None:
    assert read(name, values) == wanted
    if not isinstance(values, np.ndarray | pd.Series):
        rows = [{name: value} for value in values]
        frame = given_rows(rows, SCHEMA, ACCEPTED)
        assert frame.equals(given_rows({name: values}, SCHEMA, ACCEPTED))
        assert read(name, pd.DataFrame({name: pd.Series(values, dtype=object)})) == wanted


def test_every_kind_of_table_gives_the_same_rows() -> None:
    rows = [{"n": 1.5, "zip": "07"}, {"n": None, "zip": "08"}]
    wanted = pl.DataFrame(rows)
    for data in (rows, pd.DataFrame(rows), wanted, {"n": [1.5, None], "zip": ["07", "08"]}):
        assert given_rows(data, SCHEMA, ACCEPTED).equals(wanted)
    assert given_rows({"n": 1.5, "zip": "07"}, SCHEMA, ACCEPTED).equals(wanted[:1])
    assert given_rows([{"n": 1.5}, {"zip": "08"}], SCHEMA, ACCEPTED)["zip"].to_list() == [
        None,
        "08",
    ]


def test_an_image_may_be_the_path_of_a_file_but_not_in_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert read("photo", [path]) == [PNG]
    monkeypatch.chdir(tmp_path)
    assert read("photo", ["a.png", None]) == [PNG, None]
    with pytest.raises(DataError, match=r"b\.png: column 'photo', row 1: no such file"):
        read("photo", [PNG, "b.png"])
    monkeypatch.setenv(SERVED, "true")
    with pytest.raises(DataError, match="column 'photo', row 0: no files are read here"):
        read("photo", ["a.png"])
    assert read("photo", [base64.b64encode(PNG).decode()]) == [PNG]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("x", "no rows that can be read"),
        ([1, 2], "no rows that can be read"),
        ([{"n": 1.5}, None], r"row 1: is no row .*got 'NoneType'"),
        ([{"n": 1.5}, [1, 2]], r"row 1: is no row .*got 'list'"),
        (pl.LazyFrame({"n": [1.5]}), r"Collect it"),
        (pa.table({"n": [1.5]}), r"\.to_pandas\(\)"),
        (np.rec.fromrecords([(1.5,)], names="n"), r"from_records"),
        ({"n": ["1", "\ud800"]}, r"column 'n', row 1: .*surrogate.*'\\ud800'"),
        ([{"zip": "7", "x\udcff": 1}], r"column 'x\\udcff': .*surrogate"),
        (pd.DataFrame({"zip": pd.Series(["\ud800"], dtype=object)}), r"column 'zip', row 0: "),
        ({"photo": [np.zeros((8, 8), np.uint8)]}, r"'photo', row 0: .*got 'ndarray'.*fromarray"),
        ({"n": [1, 2], "k": [1]}, "'n': 2, 'k': 1"),
        ({"price": [1.234, "1,5"]}, "column 'price': has values of several types"),
        ({"n": [1.5, True]}, "column 'n', row 1: holds true or false"),
        ({"photo": [3]}, "column 'photo', row 0: a value of another kind"),
        (pd.DataFrame([[1, 2]], columns=["n", "n"]), "column 'n': two columns have one name"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        given_rows(data, SCHEMA, ACCEPTED)
    str(caught.value).encode()  # can be printed


def test_a_row_of_a_list_must_have_what_the_others_have() -> None:
    rows = [{"n": 1.5, "zip": "7"}, {"zip": "7"}, {"n": None}, {"zip": "8"}]
    with pytest.raises(DataError, match=r"column 'n', row 1: no such .* row, nor in 1 more"):
        given_rows(rows, SCHEMA, ACCEPTED, {"n"})
    assert given_rows(rows, SCHEMA, ACCEPTED)["n"].to_list() == [1.5, None, None, None]


@pytest.mark.parametrize(
    "cell", [[1, 2], ["\ud800"], np.arange(3), np.arange(3000).reshape(30, 100), {"a": 1}]
)
def test_a_list_in_a_cell_is_shown_in_one_line(cell: Any) -> None:
    for row, cells in enumerate(([cell, cell], ["7", cell])):
        with pytest.raises(DataError, match=f"column 'zip', row {row}: holds a list") as caught:
            given_rows({"zip": cells}, SCHEMA, ACCEPTED)
        assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)
        assert len(given_rows({"y": cells}, SCHEMA, ACCEPTED)) == 2  # which the model does not read


def test_a_list_of_a_typed_frame_is_shown_in_one_line() -> None:
    frame = given_rows(pl.DataFrame({"zip": [list(range(1000))]}), SCHEMA, ACCEPTED)
    with pytest.raises(DataError, match=r"column 'zip', row 0: .* got \[0, 1, 2\]"):
        ACCEPTED.check(frame, "zip", frame.schema["zip"])
