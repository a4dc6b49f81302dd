"""Excel workbooks and JSON lines become tables that every stage reads; Parquet types are named."""

from __future__ import annotations

import datetime
import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.data.canonical import make_canonical
from plumbline.data.options import ReadingOptions
from plumbline.data.read import scan
from plumbline.data.workbook import cell_text
from plumbline.errors import DataError, ParameterError

Grid = list[list[str]]


def read(file: Path, **options: Any) -> Grid:
    result = make_canonical(file, file.parent / "plain", ReadingOptions.of(options))
    frame = scan(result.path, result.form).collect()
    return [frame.columns, *[[cell or "" for cell in row] for row in frame.rows()]]


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd hh:mm:ss"}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for i, row in enumerate(rows):
                for j, value in enumerate(row):
                    sheet.write(i, j, value)
    return path


TABLE = [
    ["id", "day", "share", "ok", "code"],
    [1, datetime.datetime(2024, 1, 2, 3, 4, 5), 1 / 3, True, "007"],
    [2**40, datetime.datetime(2024, 1, 3), -1e-9, False, "Köln,\n2"],
    [3, None, 12.5, True, 'a "b"'],
]
TEXTS = [
    ["id", "day", "share", "ok", "code"],
    ["1", "2024-01-02 03:04:05", "0.3333333333333333", "true", "007"],
    ["1099511627776", "2024-01-03 00:00:00", "-1e-09", "false", "Köln,\n2"],
    ["3", "", "12.5", "true", 'a "b"'],
]


def test_a_workbook_is_read_with_all_its_digits(tmp_path: Path) -> None:
    assert read(workbook(tmp_path / "a.xlsx", {"one": TABLE, "empty": []})) == TEXTS


def test_titles_above_a_sheets_table_are_left_out(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["Report of 2024"], [], *TABLE, [], ["Source: the office"]]
    file = workbook(tmp_path / "a.xlsx", {"one": rows})
    result = read(file)
    assert result[:4] == TEXTS
    assert read(file, skip=2, header=True, footer=2) == TEXTS


def test_the_sheet_is_named_where_several_hold_cells(tmp_path: Path) -> None:
    file = workbook(tmp_path / "a.xlsx", {"one": TABLE, "two": [["a", "b"], [1, 2], [3, 4]]})
    with pytest.raises(DataError, match=r"2 sheets hold cells.*one, two.*--sheet"):
        read(file)
    assert read(file, sheet="two") == [["a", "b"], ["1", "2"], ["3", "4"]]
    with pytest.raises(ParameterError, match=r"no such sheet.*one, two.*three"):
        read(file, sheet="three")
    with pytest.raises(ParameterError, match="--separator"):
        read(file, sheet="two", separator=";")


def test_workbooks_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        read(workbook(tmp_path / "a.xlsx", {"one": []}))
    whole = workbook(tmp_path / "b.xlsx", {"one": TABLE}).read_bytes()
    (tmp_path / "cut.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut.xlsx.*(damaged|cut)"):
        read(tmp_path / "cut.xlsx")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("a.csv", "a,b\n1,2\n")
    with pytest.raises(DataError, match=r"zip archive of 1 file.*a.csv.*[Uu]npack"):
        read(tmp_path / "c.zip")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_of_a_workbook_keeps_its_value(value: float) -> None:
    assert float(cell_text(value)) == value


JSON = [{"a": 1, "b": "x, y", "c": True}, {"a": 2.50, "d": "007"}, {"a": None, "b": 'q "r"\n'}]
JSON_TEXTS = [
    ["a", "b", "c", "d"],
    ["1", "x, y", "true", ""],
    ["2.5", "", "", "007"],
    ["", 'q "r"\n', "", ""],
]


def lines(items: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def test_json_lines_and_arrays(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines(JSON))
    assert read(tmp_path / "a.jsonl") == JSON_TEXTS
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(lines(JSON).encode()))
    assert read(tmp_path / "a.ndjson.gz") == JSON_TEXTS
    (tmp_path / "a.json").write_text(json.dumps(JSON, indent=2))
    assert read(tmp_path / "a.json") == JSON_TEXTS


def test_json_keeps_every_digit(tmp_path: Path) -> None:
    text = '{"a": 12345678901234567890, "b": 0.10}\n{"a": 1, "b": 1e400}\n'
    (tmp_path / "a.jsonl").write_text(text)
    assert read(tmp_path / "a.jsonl")[1:] == [["12345678901234567890", "0.10"], ["1", "1e400"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "b": 1}\n{"a": 1, "b": [1, 2]}\n', r"column 'b'.*line 2 holds a list"),
        ('{"a": 1, "b": {"c": 1}}\n', r"column 'b'.*line 1 holds an object"),
        ('{"a": 1}\n[1, 2]\n', "line 2 is no object"),
        ('{"a": 1}\n{"a": ', r"line 2 is no JSON.*cut"),
        ('{"a": 1, "a": 2}\n', "twice"),
        ("{}\n", "no object with a key"),
        ('{"a": "\\ud83c\\udfaf"}\n{"a": "\\uD800"}\n', r"column 'a': line 2 .*surrogate"),
        ('[{"a": 1}, {"\\udcff": 1}]', r"column '\\udcff': line 2 .*surrogate"),
    ],
)
def test_json_that_is_no_table(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.jsonl").write_text(text)
    with pytest.raises(DataError, match=words) as refused:
        read(tmp_path / "mine.jsonl")
    assert "mine.jsonl" in str(refused.value)


@pytest.mark.parametrize("orient", ["split", "columns", "index", "values", "table"])
@pytest.mark.parametrize("rows", [1, 3])
def test_other_layouts_of_pandas_are_told_how_to_write_rows(
    tmp_path: Path, orient: Any, rows: int
) -> None:
    pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}).head(rows).to_json(
        tmp_path / "mine.json", orient=orient
    )
    with pytest.raises(DataError, match=r"mine\.json.*orient='records', lines=True"):
        read(tmp_path / "mine.json")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map(
    lambda text: text.rstrip("\r")
)
CELLS = st.one_of(st.none(), st.booleans(), st.integers(), TEXT)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_json_values_come_back(rows: list[tuple[Any, Any]], tmp_path_factory: Any) -> None:
    def text(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return "" if value is None else str(value)

    file = tmp_path_factory.mktemp("json") / "a.jsonl"
    file.write_text(lines([{"k": "row", "a": a, "b": b} for a, b in rows]), encoding="utf-8")
    assert read(file)[1:] == [["row", text(a), text(b)] for a, b in rows]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[1, 2]], "List"),
        ([{"x": 1}], "Struct"),
        ([b"x"], "Binary"),
    ],
)
def test_parquet_types_that_are_not_read_are_named(
    tmp_path: Path, values: list[Any], kind: str
) -> None:
    pl.DataFrame({"a": [1], "odd": values}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=rf"a.parquet: column 'odd'.*{kind}"):
        make_canonical(tmp_path / "a.parquet", tmp_path / "plain")


def test_a_folder_of_csv_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"many.*is a folder.*[Jj]oin"):
        make_canonical(tmp_path / "many", tmp_path / "plain")
