"""What every column makes of every kind of value, whatever brings it: the cell of a text file that
says the same, or a refusal that names the column. Never an unknown category in silence."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from tests.version import Version

from plumbline.cell_kinds import kind_of
from plumbline.commands.predict_input import open_input
from plumbline.data.options import ReadingOptions
from plumbline.errors import DataError
from plumbline.inference.column_ranges import ColumnRange
from plumbline.kinds import CellKind, ColumnType, Role, Task
from plumbline.serving.refused import Refused
from plumbline.serving.served import Served
from plumbline.store.loader import RowModel
from plumbline.tables import CellFormat, Column, Schema

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = 60
DAY = dt.datetime(2024, 5, 2)
DAYS = [DAY + dt.timedelta(days=k) for k in range(3)]
C, T, N = ColumnType.CATEGORY, ColumnType.TEXT, ColumnType.NUMBER
# name -> type, the training values in turn, what they are in a Parquet file where that is unusual
COLUMNS: dict[str, tuple[ColumnType, list[Any], CellKind | None]] = {
    "number": (N, [0.5, 1.5, 7.25, -3.0], None),
    "whole": (ColumnType.INTEGER, [1, 2, 40], None),
    "flag": (ColumnType.INTEGER, [0, 1], None),
    "truth": (ColumnType.BOOLEAN, [True, False], None),
    "day": (ColumnType.DATE, DAYS, None),
    "texts": (C, ["A", "B", "Café"], None),
    "codes": (C, ["1", "2", "3"], None),
    "with a letter": (C, ["1", "2", "2A"], None),
    "floats": (C, ["1.0", "2.0", "3.5"], None),
    "padded": (C, ["01", "02", "10"], None),
    "decimals": (C, ["0.3", "0.1", "0.7"], None),
    "truths": (C, ["True", "False"], None),
    "days": (C, ["2024-05-02", "2024-05-03"], None),
    "note": (T, ["soft red shoes", "red rain", "soft rain"], None),
    "clock": (N, [3600.0, 60.0, 5.5], CellKind.DURATION),
    "serial": (T, ["11", "12", "13"], CellKind.NUMBER),
    "switch": (C, ["true", "false"], CellKind.BOOLEAN),
    "euro": (N, [0.5, 1.5, 1234.25], None),
    "score": (ColumnType.INTEGER, [1, 2, 3], None),
    "since": (ColumnType.DATE, DAYS, None),
}
FORMATS = {
    "euro": CellFormat(decimal=",", thousands=".", unit="€", missing=("-", "-999.0")),
    "score": CellFormat(missing=("-999", "NA")),
    "since": CellFormat(missing=("0001-01-01", "1900-01-01")),
}
Text = Callable[[Any], str | None]  # of a value; None: the cell is refused


def number(value: Any) -> str:
    """As a computer writes it; a number of float32 with the digits that it has."""
    if isinstance(value, int | np.integer | np.float32):
        return str(value).removesuffix(".0")
    return repr(float(f"{float(value):.15g}")).removesuffix(".0")


def whole(value: Any) -> str | None:
    return number(value) if float(value).is_integer() else None


def seconds(value: Any) -> str:
    if isinstance(value, dt.time):
        value = dt.timedelta(hours=value.hour, minutes=value.minute, seconds=value.second)
    return number(pd.Timedelta(value).total_seconds())


def truth(value: Any) -> str | None:
    return {0.0: "false", 1.0: "true"}.get(float(value))


def day(value: Any) -> str:
    return f"{pd.Timestamp(value):%Y-%m-%d}"


NUMBER, BOOLEAN, DATE = CellKind.NUMBER, CellKind.BOOLEAN, CellKind.DATE
# column -> kind -> the text that says the same; no entry: the kind is refused
ACCEPTED: dict[str, dict[CellKind, Text]] = {
    "number": {NUMBER: number},
    "whole": {NUMBER: whole},
    "flag": {NUMBER: whole, BOOLEAN: lambda value: str(int(value))},
    "truth": {BOOLEAN: truth, NUMBER: truth},
    "day": {DATE: day, NUMBER: lambda value: None},
    "texts": {},
    "codes": {NUMBER: number},
    "with a letter": {NUMBER: number},
    "floats": {NUMBER: lambda value: f"{number(value)}.0" if whole(value) else number(value)},
    "padded": {},
    "decimals": {NUMBER: number},
    "truths": {BOOLEAN: lambda value: str(bool(value))},
    "days": {DATE: day},
    "note": {},
    "clock": {NUMBER: number, CellKind.DURATION: seconds},
    "serial": {NUMBER: number},
    "switch": {BOOLEAN: truth},
    "euro": {NUMBER: lambda value: number(value).replace(".", ",")},
    "score": {NUMBER: whole},
    "since": {DATE: day, NUMBER: lambda value: None},
}
SENT: dict[CellKind, list[Any]] = {
    NUMBER: [1, 2.0, np.int8(12), np.float32(0.1), 0.1 + 0.2, Decimal("0.7")],
    BOOLEAN: [True, np.bool_(False)],
    DATE: [DAY.date(), pd.Timestamp(DAY), np.datetime64("2024-05-03")],
    CellKind.DURATION: [dt.time(1), np.timedelta64(60, "s")],
    CellKind.BYTES: [b"A"],
    CellKind.OTHER: [[1], {"a": 1}],
}


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    columns = [
        Column(name=name, type=kind, native=native, format=FORMATS.get(name, CellFormat()))
        for name, (kind, _, native) in COLUMNS.items()
    ]
    labels = ("no", "yes")
    columns.append(Column(name="y", type=C, role=Role.TARGET, labels=labels))
    schema = Schema(columns=tuple(columns), task=Task.BINARY, classes=labels)
    # every column has a turn of its own, so that none is another's copy
    rows = pl.DataFrame(
        {
            name: [values[(i // (k + 1)) % len(values)] for i in range(ROWS)]
            for k, (name, (_, values, _)) in enumerate(COLUMNS.items())
        }
        | {"y": [labels[i % 2] for i in range(ROWS)]}
    )
    flag = ColumnRange(name="flag", low=0.0, high=1.0)
    folder = tmp_path_factory.mktemp("version") / "v"
    return Version(folder, Task.BINARY, table=(schema, rows), ranges=[flag])


@pytest.fixture(scope="module")
def served(version: Version) -> Served:
    return Served.load(version.folder, "made/1")


TEXTS = {name: str(values[0]) for name, (_, values, _) in COLUMNS.items()}
TEXTS |= {"day": "2024-05-02", "since": "2024-05-02", "euro": "0,5 €"}
MIXED = ("categories", "a column of several types")


def of_file(version: Version, path: Path) -> pl.DataFrame:
    """The predictions of `plumbline predict`, which reads a file; the first refusal is raised."""
    predictor = version.predictor
    opened = open_input(path, path.parent / "work", predictor, ReadingOptions(), "refuse", 512)
    (source,) = opened.sources
    for column, _, reason in source.misfits.values():
        raise DataError(reason, where=f"column '{column}'")
    return predictor.predict(source.frame.collect())


def answers(version: Version, served: Served, folder: Path, name: str, value: Any) -> Iterator[Any]:
    """What every way gives of a row with a value in a column: (way, answer)."""
    row, model = {**TEXTS, name: value}, RowModel(version.predictor)
    plain = value.item() if isinstance(value, np.generic) and kind_of(value) != NUMBER else value
    frame = pl.DataFrame([pl.Series(k, [v]) for k, v in {**TEXTS, name: plain}.items()])
    frame.write_parquet(folder / "rows.parquet")
    ways: dict[str, Callable[[], Any]] = {
        "parquet": lambda: of_file(version, folder / "rows.parquet")["p_yes"][0],
        "pandas": lambda: model.predict(pd.DataFrame([row]))["p_yes"][0],
        "objects": lambda: model.predict(pd.DataFrame([row], dtype=object))["p_yes"][0],
        "categories": lambda: model.predict(
            pd.DataFrame([TEXTS, row]).assign(**{name: pd.Categorical([TEXTS[name], value])})
        )["p_yes"][1],
        "a list": lambda: model.predict([row])["p_yes"][0],
        "a column of several types": lambda: model.predict([TEXTS, row])["p_yes"][1],
    }
    if isinstance(value, list | dict):
        del ways["categories"]
    if name == "euro":  # numbers do not mix with texts of another format
        ways = {way: ask for way, ask in ways.items() if way not in MIXED}
    if isinstance(value, bool | int | float | str) and value == value and abs_of(value) < math.inf:
        (folder / "rows.jsonl").write_text(json.dumps(TEXTS) + "\n" + json.dumps(row) + "\n")
        ways["json lines"] = lambda: of_file(version, folder / "rows.jsonl")["p_yes"][1]
        ways["the service"] = lambda: of_service(served, [TEXTS, row])[1]
        ways["the service, one row"] = lambda: of_service(served, [row])[0]
    for way, ask in ways.items():
        try:
            yield way, float(ask())
        except (DataError, MlflowException) as error:
            yield way, str(error)
        except Refused as error:
            yield way, error.message


def abs_of(value: Any) -> float:
    return 0.0 if isinstance(value, str) else abs(value)


def of_service(served: Served, rows: list[dict[str, Any]]) -> list[float]:
    predicted = served.predict(served.parse(json.loads(json.dumps(rows))))
    for cell in predicted.wrong:
        raise DataError(cell.reason, where=f"column '{cell.column}'")
    return [answer["p_yes"] for answer in predicted.answers]


def check(version: Version, served: Served, folder: Path, name: str, value: Any, text: Any) -> None:
    """Args: text: of the same cell in a file of text; None: the value is refused."""
    expected = None
    if text is not None:
        expected = version.predictor.predict(pl.DataFrame({**TEXTS, name: text}))["p_yes"][0]
    for way, answer in answers(version, served, folder, name, value):
        if expected is None:
            assert isinstance(answer, str), f"{way}: {name} took {value!r}"
            assert f"column '{name}'" in answer, (way, answer)
            assert "wanted " in answer or "is not " in answer, (way, answer)
        else:
            assert answer == pytest.approx(expected, abs=1e-6), (way, value, text)


@pytest.mark.parametrize("kind", SENT)
@pytest.mark.parametrize("name", COLUMNS)
def test_a_value_is_the_cell_that_says_the_same_or_is_refused_by_name(
    version: Version, served: Served, tmp_path: Path, name: str, kind: CellKind
) -> None:
    assert set(ACCEPTED) == set(COLUMNS)
    for value in SENT[kind]:
        text = ACCEPTED[name][kind](value) if kind in ACCEPTED[name] else None
        check(version, served, tmp_path, name, value, text)


MOST = 2**53  # whole numbers beyond are refused as codes
VALUES: dict[CellKind, st.SearchStrategy[Any]] = {
    NUMBER: st.integers(-(2**63), 2**63 - 1)
    | st.floats(1 - MOST, MOST - 1)
    | st.floats(-1e9, 1e9, width=32).map(np.float32),
    BOOLEAN: st.booleans(),
    DATE: st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)),
    CellKind.DURATION: st.integers(0, 10**6).map(lambda s: dt.timedelta(seconds=s)),
}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(list(COLUMNS)), kind=st.sampled_from(list(VALUES)), data=st.data())
def test_so_it_is_with_any_value(
    version: Version, served: Served, tmp_path: Path, name: str, kind: CellKind, data: st.DataObject
) -> None:
    value = data.draw(VALUES[kind])
    text = ACCEPTED[name][kind](value) if kind in ACCEPTED[name] else None
    check(version, served, tmp_path, name, value, text)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_missing_cells_is_of_no_wrong_type(version: Version, name: str) -> None:
    model = RowModel(version.predictor)
    expected = version.predictor.predict(pl.DataFrame({**TEXTS, name: ""}))["p_yes"][0]
    kinds = (pl.Null, pl.String, pl.Int8, pl.Boolean, pl.Date, pl.Duration, pl.Binary)
    columns = [pl.Series([None], dtype=kind) for kind in (*kinds, pl.List(pl.Int8))]
    columns.append(pl.Series([math.nan]))
    for column in columns:
        frame = pl.DataFrame(TEXTS).with_columns(column.alias(name))
        assert version.predictor.predict(frame)["p_yes"][0] == pytest.approx(expected, abs=1e-6)
    missing = [None, math.nan, pd.NA, pd.NaT, np.float32("nan"), np.datetime64("NaT")]
    for value in [*missing, pd.Categorical([None])[0]]:
        for data in (pd.DataFrame([{**TEXTS, name: value}]), [{**TEXTS, name: value}]):
            assert model.predict(data)["p_yes"][0] == pytest.approx(expected, abs=1e-6)


INFINITE = ["inf", "-inf", "+inf", "Infinity", "-Infinity", "INF", "1e400", math.inf, -math.inf]


@pytest.mark.parametrize("value", INFINITE)
def test_an_infinite_number_is_missing_and_is_no_whole_number(
    version: Version, served: Served, tmp_path: Path, value: Any
) -> None:
    for name in ("number", "clock", "euro"):
        check(version, served, tmp_path, name, value, "")
    for name in ("whole", "truth", "day"):
        check(version, served, tmp_path, name, value, None)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("score", -999, ""),
        ("score", -999.0, ""),
        ("score", np.float32(-999), ""),
        ("score", "NA", ""),
        ("score", -998, "-998"),
        ("euro", -999, ""),
        ("euro", Decimal("-999"), ""),
        ("since", dt.date(1900, 1, 1), ""),
        ("since", pd.Timestamp("1900-01-01"), ""),
        ("since", dt.datetime(1, 1, 1), ""),
        ("since", dt.date(1900, 1, 2), "1900-01-02"),
    ],
)
def test_what_stands_for_a_missing_cell_does_so_as_a_value_too(
    version: Version, served: Served, tmp_path: Path, name: str, value: Any, text: str
) -> None:
    check(version, served, tmp_path, name, value, text)


@pytest.mark.parametrize("value", ["0001-01-01", dt.date(1, 1, 1), dt.datetime(999, 12, 31)])
def test_a_date_before_the_year_1000_is_refused_as_such(
    version: Version, served: Served, tmp_path: Path, value: Any
) -> None:
    """0001-01-01 is what some programs write for no date, and 0024 is a year of two digits."""
    for way, answer in answers(version, served, tmp_path, "day", value):
        assert "column 'day'" in answer and "a date before the year 1000" in answer, (way, answer)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("texts", 3, ["row 1", "such as 'A', 'B', 'Café'", "got 3", "as text"]),
        ("texts", True, ["true or false", "got True", "as a word"]),
        ("note", dt.date(2024, 5, 2), ["a date", "wanted text", "got 2024-05-02"]),
        ("padded", 2, ["such as '01', '02', '10'", "begin with zeros", "pass them as text"]),
        ("codes", 1e17, ["lost digits", "got 1e+17", "such codes as text"]),
        ("whole", True, ["wanted a whole number", "1 and 0"]),
        ("number", dt.timedelta(1), ["wanted a number", "the unit of the training data"]),
        ("texts", pd.Period("2024"), ["wanted text", "one value in every cell"]),
        ("texts", np.array([1, 2]), ["wanted text", "one value in every cell"]),
        ("texts", 1j, ["wanted text", "got 1j"]),
    ],
)
def test_a_refusal_says_what_was_wanted_what_came_and_the_fix(
    version: Version, name: str, value: Any, words: list[str]
) -> None:
    rows = [TEXTS, {**TEXTS, name: value}]
    for data in (rows, pd.DataFrame(rows)):
        with pytest.raises(MlflowException) as caught:
            RowModel(version.predictor).predict(data)
        message = str(caught.value)
        assert all(word in message for word in (f"column '{name}'", *words)), message


def test_a_row_that_lacks_a_column_is_refused_by_program_and_server(
    version: Version, served: Served
) -> None:
    rows = [TEXTS, {name: cell for name, cell in TEXTS.items() if name != "number"}]
    with pytest.raises(MlflowException, match="column 'number', row 1: no such column"):
        RowModel(version.predictor).predict(rows)
    with pytest.raises(Refused, match="row 1, column 'number': no such column"):
        served.parse(rows)


def test_a_file_of_another_type_stops_before_a_row_is_predicted(
    version: Version, tmp_path: Path
) -> None:
    rows = pl.DataFrame([TEXTS] * 3).with_columns(texts=pl.Series([None, None, 7]))
    rows.write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError) as caught:
        of_file(version, tmp_path / "rows.parquet")
    assert str(caught.value).startswith(
        "rows.parquet: column 'texts', row 2: holds cells of type Int64 (wanted text, such as "
        "'A', 'B', 'Café', got 7)."
    )


def test_a_row_of_json_lines_stops_no_other_and_a_workbook_has_texts_that_are_numbers(
    version: Version, tmp_path: Path
) -> None:
    rows = [TEXTS, {**TEXTS, "texts": 7}, {**TEXTS, "note": True}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    opened = open_input(
        tmp_path / "rows.jsonl", tmp_path, version.predictor, ReadingOptions(), "refuse", 512
    )
    assert opened.sources[0].misfits == {
        1: ("texts", "7", "holds a number, wanted text, such as 'A', 'B', 'Café'"),
        2: ("note", "true", "holds true or false, wanted text"),
    }
    pl.DataFrame(rows[:2], strict=False).with_columns(
        texts=pl.Series([1, 7]), floats=pl.Series([1, 2])
    ).write_excel(tmp_path / "rows.xlsx")
    texts = {**TEXTS, "texts": "1", "floats": "1.0"}
    same = pl.DataFrame([texts, {**texts, "texts": "7", "floats": "2.0"}])
    assert of_file(version, tmp_path / "rows.xlsx")["p_yes"].to_list() == pytest.approx(
        version.predictor.predict(same)["p_yes"].to_list(), abs=1e-6
    )
